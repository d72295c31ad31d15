//! GENEVE (RFC 8926).
//!
//! In: the content of a UDP datagram. Out: an Ethernet frame, or what the protocol type announces.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
};

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|ports| &ports.geneve, geneve)], ..Tunnel::UNANNOUNCED };

fn geneve<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let [version_and_length, _, kind_high, kind_low, identifier @ ..]: [u8; 8] = cursor.take(PART)?;
    if version_and_length >> 6 != 0 {
        return Err(BAD_TUNNEL);
    }
    cursor.skip(usize::from(version_and_length & 0x3f) * 4, PART)?;
    outer.enter_tunnel(TunnelKind::Geneve, u32::from_be_bytes(identifier) >> 8)?;
    match u16::from_be_bytes([kind_high, kind_low]) {
        0 => Err(SkipReason::TunnelControl),
        ethertype::BRIDGING => Ok(Next::Layer(Layer::Ethernet, cursor)),
        kind => Ok(Next::Layer(Layer::EtherType(kind), cursor)),
    }
}
