//! Ethernet in IP: EtherIP (RFC 3378), and bare frames under protocol 143 (RFC 8986).
//!
//! In: the content of an IP packet. Out: an Ethernet frame. Events do not name these tunnels.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

const ETHER_IP: u8 = 97;
const ETHERNET: u8 = 143;

pub(super) const TUNNEL: Tunnel =
    Tunnel { ip_protocols: &[(ETHER_IP, ether_ip), (ETHERNET, bare_frame)], ..Tunnel::UNANNOUNCED };

/// EtherIP: two bytes with a version, then a frame.
fn ether_ip<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.spend_depth()?;
    match cursor.take(PART)? {
        [version, _] if version >> 4 == 3 => Ok(Next::Layer(Layer::Ethernet, cursor)),
        _ => Err(BAD_TUNNEL),
    }
}

fn bare_frame<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.spend_depth()?;
    Ok(Next::Layer(Layer::Ethernet, cursor))
}
