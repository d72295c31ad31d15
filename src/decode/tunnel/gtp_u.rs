//! GTP-U (3GPP TS 29.281), the user traffic of mobile networks.
//!
//! In: the content of a UDP datagram. Out: an IP packet. Messages that carry no user data are counted as tunnel
//! control.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|ports| &ports.gtp_u, gtp_u)], ..Tunnel::UNANNOUNCED };

fn gtp_u<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const VERSION_1_NOT_PRIME: u8 = 0x30;
    const ANY_OPTION: u8 = 0x07;
    const EXTENSION: u8 = 0x04;
    const USER_DATA: u8 = 255;
    let [flags, message, length_high, length_low, identifier @ ..]: [u8; 8] = cursor.take(PART)?;
    if flags & 0xf0 != VERSION_1_NOT_PRIME {
        return Err(BAD_TUNNEL);
    }
    if message != USER_DATA {
        return Err(SkipReason::TunnelControl);
    }
    match u16::from_be_bytes([length_high, length_low]) {
        0 => {}
        length => cursor.shorten_to(usize::from(length)),
    }
    if flags & ANY_OPTION != 0 {
        let [_, _, _, mut next]: [u8; 4] = cursor.take(PART)?;
        while flags & EXTENSION != 0 && next != 0 {
            let Some(content) = cursor.take::<1>(PART).map(|[units]| usize::from(units) * 4)?.checked_sub(2) else {
                return Err(BAD_TUNNEL);
            };
            cursor.skip(content, PART)?;
            [next] = cursor.take(PART)?;
        }
    }
    outer.enter_tunnel(TunnelKind::GtpU, u32::from_be_bytes(identifier))?;
    Ok(Next::Layer(Layer::Ip, cursor))
}
