//! A tunnel that exists for tests alone: it shows that a tunnel is this file and one line in the list of tunnels.
//!
//! In: a mark of two bytes and an identifier of two bytes. Out: the IP packet after them.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

pub(in crate::decode) const ETHER_TYPE: u16 = 0x9ace;
pub(in crate::decode) const UDP_PORT: u16 = 9_470;
pub(in crate::decode) const MARK: [u8; 2] = *b"mu";

pub(super) const TUNNEL: Tunnel =
    Tunnel { ether_types: &[(ETHER_TYPE, packet)], udp_ports: &[(|_| &[UDP_PORT], packet)], ..Tunnel::UNANNOUNCED };

fn packet<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    if cursor.take(PART)? != MARK {
        return Err(BAD_TUNNEL);
    }
    let identifier = cursor.take_u16(PART)?;
    outer.enter_tunnel(TunnelKind::IpInIp, u32::from(identifier))?;
    Ok(Next::Layer(Layer::Ip, cursor))
}
