//! IP in IP: 4in4, 6in4, 4in6, 6in6 (RFC 2003, 2473, 4213), and IP within IP, protocol 94.
//!
//! In: an IP packet right after another IP header. Out: that packet.

use super::Tunnel;
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::protocol,
    outer::OuterHeaders,
};

const IP_WITHIN_IP: u8 = 94;

pub(super) const TUNNEL: Tunnel = Tunnel {
    ip_protocols: &[(protocol::IPV4, v4), (protocol::IPV6, v6), (IP_WITHIN_IP, either)],
    ..Tunnel::UNANNOUNCED
};

fn v4<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    packet(Layer::Ipv4, cursor, outer)
}

fn v6<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    packet(Layer::Ipv6, cursor, outer)
}

fn either<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    packet(Layer::Ip, cursor, outer)
}

fn packet<'a>(version: Layer, cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.enter_tunnel(TunnelKind::IpInIp, 0)?;
    Ok(Next::Layer(version, cursor))
}
