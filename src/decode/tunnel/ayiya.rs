//! AYIYA (draft-massar-v6ops-ayiya), recorded as IP in IP.
//!
//! In: the content of a UDP datagram. Out: an IP packet.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::protocol,
    outer::OuterHeaders,
};

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|ports| &ports.ayiya, ayiya)], ..Tunnel::UNANNOUNCED };

/// Identity (a power of two long) and signature follow the fixed header; operation 1 forwards a packet.
fn ayiya<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const FORWARD: u8 = 1;
    let [identity, signature, operation, next, ..]: [u8; 8] = cursor.take(PART)?;
    cursor.skip((1 << (identity >> 4)) + usize::from(signature >> 4) * 4, PART)?;
    let layer = match next {
        protocol::IPV4 => Layer::Ipv4,
        protocol::IPV6 => Layer::Ipv6,
        protocol::NO_NEXT => return Err(SkipReason::TunnelControl),
        _ => return Err(BAD_TUNNEL),
    };
    if operation & 0x0f != FORWARD {
        return Err(SkipReason::TunnelControl);
    }
    outer.enter_tunnel(TunnelKind::IpInIp, 0)?;
    Ok(Next::Layer(layer, cursor))
}
