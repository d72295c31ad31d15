//! CAPWAP (RFC 5415), the data channel between access points and their controller, in clear.
//!
//! In: the content of a UDP datagram. Out: an Ethernet or 802.11 frame. Keep-alives are counted as tunnel control, a
//! channel inside DTLS as an encrypted tunnel. A frame that was cut into fragments is read up to the end of its first
//! fragment; the others are counted as tunnel fragments.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    link::wifi,
    outer::OuterHeaders,
};

const DATA_CHANNEL: u16 = 5_247;

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|_| &[DATA_CHANNEL], capwap)], ..Tunnel::UNANNOUNCED };

/// The header of section 4.3. Its length counts the radio's address and other optional fields.
fn capwap<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const FIXED: usize = 8;
    const IN_CLEAR: u8 = 0;
    const IN_DTLS: u8 = 1;
    const NATIVE_FRAME: u8 = 0x01;
    const BINDING: u8 = 0x3e;
    const IEEE_802_11: u8 = 0x02;
    const FRAGMENT: u8 = 0x80;
    const KEEP_ALIVE: u8 = 0x08;
    const RESERVED: u8 = 0x07;
    let [preamble, length, binding, flags, _, _, offset @ ..]: [u8; FIXED] = cursor.take(PART)?;
    match preamble {
        IN_CLEAR => {}
        IN_DTLS => return Err(SkipReason::EncryptedTunnel),
        _ => return Err(BAD_TUNNEL),
    }
    let Some(options) = (usize::from(length >> 3) * 4).checked_sub(FIXED) else { return Err(BAD_TUNNEL) };
    if flags & RESERVED != 0 {
        return Err(BAD_TUNNEL);
    }
    cursor.skip(options, PART)?;
    if flags & KEEP_ALIVE != 0 {
        return Err(SkipReason::TunnelControl);
    }
    if flags & FRAGMENT != 0 && u16::from_be_bytes(offset) >> 3 != 0 {
        return Err(SkipReason::TunnelFragment);
    }
    outer.enter_tunnel(TunnelKind::Capwap, 0)?;
    match (binding & NATIVE_FRAME, binding & BINDING) {
        (0, _) => Ok(Next::Layer(Layer::Ethernet, cursor)),
        (_, IEEE_802_11) => wifi::frame_in_either_order(cursor),
        _ => Err(SkipReason::NotIp),
    }
}
