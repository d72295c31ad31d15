//! PPP.
//!
//! In: a PPP frame, from a serial line or a tunnel. Out: what it carries. Sources: RFC 1661, 1662, 1990, 3518.

use super::LINK;
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::ethertype,
};

/// The protocol field of one or two bytes. Address and control may come before it.
pub(in crate::decode) fn protocol(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    if cursor.peek(0) == Some([0xff, 0x03]) {
        cursor.skip(2, LINK)?;
    }
    let [first] = cursor.take(LINK)?;
    let number = if first & 1 == 1 {
        u16::from(first)
    } else {
        let [second] = cursor.take(LINK)?;
        u16::from_be_bytes([first, second])
    };
    match number {
        0x0021 => Ok(Next::Layer(Layer::Ipv4, cursor)),
        0x0057 => Ok(Next::Layer(Layer::Ipv6, cursor)),
        0x0281 | 0x0283 => Ok(Next::Layer(Layer::EtherType(ethertype::MPLS), cursor)),
        0x0031 => bridged(cursor),
        0x003d => whole_of_multilink(cursor),
        _ => Err(SkipReason::NotIp),
    }
}

/// A bridged frame (RFC 3518): flags and a MAC type come first. Type 1 is Ethernet.
fn bridged(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    match cursor.take(LINK)? {
        [_, 1] => Ok(Next::Layer(Layer::Ethernet, cursor)),
        _ => Err(SkipReason::NotIp),
    }
}

/// A multilink fragment (RFC 1990) with a long sequence number that is the whole packet.
fn whole_of_multilink(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const BEGIN_AND_END: u8 = 0xc0;
    match cursor.take::<4>(LINK)? {
        [flags, ..] if flags & BEGIN_AND_END == BEGIN_AND_END => Ok(Next::Layer(Layer::Ppp, cursor)),
        _ => Err(SkipReason::NotIp),
    }
}

/// PPP after a direction byte. Where the direction took the place of the address alone, the control byte is still
/// there.
pub(super) fn after_direction(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    if cursor.peek(0) == Some([0x03]) {
        cursor.skip(1, LINK)?;
    }
    Ok(Next::Layer(Layer::Ppp, cursor))
}
