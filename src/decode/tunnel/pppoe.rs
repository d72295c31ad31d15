//! PPPoE (RFC 2516).
//!
//! In: a session or discovery packet. Out: PPP. Discovery packets are counted as tunnel control.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
};

const DISCOVERY: u16 = 0x8863;

pub(super) const TUNNEL: Tunnel =
    Tunnel { ether_types: &[(ethertype::PPPOE, session), (DISCOVERY, discovery)], ..Tunnel::UNANNOUNCED };

/// A session packet (section 4).
fn session<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const VERSION_AND_TYPE: u8 = 0x11;
    let header: [u8; 6] = cursor.take(PART)?;
    let identifier = u16::from_be_bytes([header[2], header[3]]);
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    match header {
        [VERSION_AND_TYPE, 0, ..] => {}
        [VERSION_AND_TYPE, ..] => return Err(SkipReason::TunnelControl),
        _ => return Err(BAD_TUNNEL),
    }
    outer.enter_tunnel(TunnelKind::Pppoe, u32::from(identifier))?;
    // Offloaded segments are longer than the length field can say. The length is zero then, and the IP header inside
    // has it.
    if length != 0 {
        cursor.shorten_to(length);
    }
    Ok(Next::Layer(Layer::Ppp, cursor))
}

fn discovery<'a>(_: Cursor<'a>, _: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    Err(SkipReason::TunnelControl)
}
