//! L2TP version 2 (RFC 2661) and version 3 (RFC 3931).
//!
//! In: the content of a UDP datagram or, of version 3, of an IP packet. Out: PPP; of version 3 what the session
//! carries. Version 3 does not say what that is: the bytes decide, and a header whose lengths fit is believed.

use super::{BAD_TUNNEL, PART, Tunnel};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    ip::looks_like_ip,
    layer::{Layer, Next},
    link::ethernet::looks_like_ethernet,
    outer::OuterHeaders,
};

const L2TP: u8 = 115;

pub(super) const TUNNEL: Tunnel =
    Tunnel { ip_protocols: &[(L2TP, over_ip)], udp_ports: &[(|ports| &ports.l2tp, over_udp)], ..Tunnel::UNANNOUNCED };

/// Either version; the version field tells which.
fn over_udp<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    let whole = cursor;
    let flags = cursor.take_u16(PART)?;
    match flags & 0x000f {
        2 | 3 if flags & CONTROL != 0 => return Err(SkipReason::TunnelControl),
        2 => {}
        3 => {
            cursor.skip(2, PART)?;
            let session = cursor.take_u32(PART)?;
            return session_content(session, cursor, outer);
        }
        _ => return Err(BAD_TUNNEL),
    }
    if flags & LENGTH != 0 {
        let length = usize::from(cursor.take_u16(PART)?);
        let before = whole.wire_length() - cursor.wire_length();
        cursor.shorten_to(length.checked_sub(before).ok_or(BAD_TUNNEL)?);
    }
    let (tunnel, session) = (cursor.take_u16(PART)?, cursor.take_u16(PART)?);
    if flags & SEQUENCE != 0 {
        cursor.skip(4, PART)?;
    }
    if flags & OFFSET != 0 {
        let offset = cursor.take_u16(PART)?;
        cursor.skip(usize::from(offset), PART)?;
    }
    outer.enter_tunnel(TunnelKind::L2tp, u32::from(tunnel) << 16 | u32::from(session))?;
    Ok(Next::Layer(Layer::Ppp, cursor))
}

/// L2TPv3 directly over IP. Session zero is the control connection.
fn over_ip<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    match cursor.take_u32(PART)? {
        0 => Err(SkipReason::TunnelControl),
        session => session_content(session, cursor, outer),
    }
}

/// The content of an L2TPv3 session. The length of the cookie (0, 4 or 8 bytes) and of the sublayer (0 or 4 bytes), and
/// the kind of content, are in no header: the two ends agreed on them before.
fn session_content<'a>(session: u32, mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.enter_tunnel(TunnelKind::L2tp, session)?;
    for before in [0, 4, 8, 12] {
        let layer = if looks_like_ethernet(cursor, before) {
            Layer::Ethernet
        } else if looks_like_ip(cursor, before) {
            Layer::Ip
        } else if cursor.peek(before) == Some([0xff, 0x03, 0x00]) {
            Layer::Ppp
        } else {
            continue;
        };
        cursor.skip(before, PART)?;
        return Ok(Next::Layer(layer, cursor));
    }
    Err(SkipReason::NotIp)
}
