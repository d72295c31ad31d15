//! Teredo (RFC 4380).
//!
//! In: the content of a UDP datagram. Out: an IPv6 packet. Teredo has no header of its own, so the IPv6 header must be
//! plausible.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    ip::looks_like_ip,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|ports| &ports.teredo, teredo)], ..Tunnel::UNANNOUNCED };

/// Authentication and origin indications (RFC 4380, section 5.1.1) may come before the IPv6 packet.
fn teredo<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    if cursor.peek(0) == Some([0x00, 0x01]) {
        let [_, _, identifier, value]: [u8; 4] = cursor.take(PART)?;
        cursor.skip(usize::from(identifier) + usize::from(value) + 9, PART)?;
    }
    if cursor.peek(0) == Some([0x00, 0x00]) {
        cursor.skip(8, PART)?;
    }
    match cursor.peek(0) {
        Some([first]) if first >> 4 == 6 && looks_like_ip(cursor, 0) => {}
        _ if cursor.captured().len() < 6 && cursor.wire_length() >= 40 => return Err(SkipReason::Truncated(PART)),
        _ => return Err(BAD_TUNNEL),
    }
    outer.enter_tunnel(TunnelKind::Teredo, 0)?;
    Ok(Next::Layer(Layer::Ipv6, cursor))
}
