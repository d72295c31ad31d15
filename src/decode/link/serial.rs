//! Serial lines: Cisco's HDLC and Frame Relay (Q.922, RFC 2427).
//!
//! In: a frame. Out: what it carries.

use super::{BAD_LINK, LINK, llc};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
};

/// PPP in HDLC-like framing, or Cisco's HDLC; the address byte tells which.
pub(super) fn hdlc(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const CISCO_UNICAST: u8 = 0x0f;
    const CISCO_BROADCAST: u8 = 0x8f;
    match cursor.peek(0) {
        Some([CISCO_UNICAST | CISCO_BROADCAST, 0]) => {
            cursor.skip(2, LINK)?;
            let kind = cursor.take_u16(LINK)?;
            Ok(Next::Layer(Layer::EtherType(kind), cursor))
        }
        _ => Ok(Next::Layer(Layer::Ppp, cursor)),
    }
}

/// A Frame Relay address of two to four bytes, then a network layer identifier, or Cisco's EtherType.
pub(super) fn frame_relay(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const LAST: u8 = 0x01;
    for position in 0.. {
        let [byte] = cursor.take(LINK)?;
        match (byte & LAST, position) {
            (LAST, 0) | (0, 3..) => return Err(BAD_LINK),
            (LAST, _) => break,
            _ => {}
        }
    }
    if cursor.peek::<1>(0) == Some([0x03]) {
        cursor.skip(1, LINK)?;
        return llc::network_layer_identifier(cursor);
    }
    let kind = cursor.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), cursor))
}
