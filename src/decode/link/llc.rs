//! IEEE 802.2 LLC, SNAP and the ISO network layer identifiers.
//!
//! In: the header. Out: what it announces. Sources: IEEE 802.2, RFC 1042, RFC 2427, RFC 2684, ISO/IEC TR 9577.

use super::{LINK, ethernet::looks_like_ethernet};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
};

/// An LLC header, and the SNAP header or network layer identifier after it.
pub(in crate::decode) fn header(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let [destination, source, control] = cursor.take(LINK)?;
    match (destination, source, control) {
        (0xaa, 0xaa, 0x03) => snap(cursor),
        (0x06, 0x06, 0x03) => Ok(Next::Layer(Layer::Ipv4, cursor)),
        (0xfe, 0xfe, 0x03) => network_layer_identifier(cursor),
        _ => Err(SkipReason::NotIp),
    }
}

/// SNAP: an organisation, and a type that the organisation defined.
fn snap(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let [a, b, c, high, low] = cursor.take(LINK)?;
    let kind = u16::from_be_bytes([high, low]);
    match [a, b, c] {
        // An EtherType: RFC 1042, and 802.1H's bridge tunnel.
        [0, 0, 0] | [0, 0, 0xf8] => Ok(Next::Layer(Layer::EtherType(kind), cursor)),
        // A bridged 802.3 frame, with and without its check sequence. Over ATM two bytes of padding come first.
        [0, 0x80, 0xc2] if kind == 0x0001 || kind == 0x0007 => {
            if !looks_like_ethernet(cursor, 0) && looks_like_ethernet(cursor, 2) {
                cursor.skip(2, LINK)?;
            }
            Ok(Next::Layer(Layer::Ethernet, cursor))
        }
        _ => Err(SkipReason::NotIp),
    }
}

/// A network layer identifier (NLPID).
pub(super) fn network_layer_identifier(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let mut identifier: [u8; 1] = cursor.take(LINK)?;
    if identifier == [0] {
        identifier = cursor.take(LINK)?;
    }
    match identifier {
        [0xcc] => Ok(Next::Layer(Layer::Ipv4, cursor)),
        [0x8e] => Ok(Next::Layer(Layer::Ipv6, cursor)),
        [0x80] => snap(cursor),
        [0xcf] => Ok(Next::Layer(Layer::Ppp, cursor)),
        _ => Err(SkipReason::NotIp),
    }
}

/// Returns whether a common LLC header is next: SNAP, spanning tree, IP or ISO.
pub(super) fn looks_like_llc(cursor: Cursor<'_>) -> bool {
    matches!(cursor.peek(0), Some([0xaa, 0xaa, 0x03] | [0x42, 0x42, 0x03] | [0x06, 0x06, 0x03] | [0xfe, 0xfe, 0x03]))
}
