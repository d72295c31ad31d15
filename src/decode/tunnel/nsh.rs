//! The network service header (RFC 8300).
//!
//! In: the header. Out: what its next protocol announces. Events do not name it.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
};

pub(super) const TUNNEL: Tunnel = Tunnel { ether_types: &[(ethertype::NSH, service_header)], ..Tunnel::UNANNOUNCED };

fn service_header<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const FIXED: usize = 8;
    outer.spend_depth()?;
    let mut rest = cursor;
    let [_, length, _, next]: [u8; 4] = cursor.take(PART)?;
    let length = usize::from(length & 0x3f) * 4;
    if length < FIXED {
        return Err(BAD_TUNNEL);
    }
    rest.skip(length, PART)?;
    Ok(Next::Layer(next_protocol(next)?, rest))
}

/// The layer behind a next-protocol number. VXLAN-GPE has the same numbers.
pub(super) fn next_protocol(number: u8) -> Result<Layer, SkipReason> {
    match number {
        1 => Ok(Layer::Ipv4),
        2 => Ok(Layer::Ipv6),
        3 => Ok(Layer::Ethernet),
        4 => Ok(Layer::EtherType(ethertype::NSH)),
        5 => Ok(Layer::EtherType(ethertype::MPLS)),
        _ => Err(SkipReason::NotIp),
    }
}
