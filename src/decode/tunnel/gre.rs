//! GRE (RFC 2784, RFC 2890), with NVGRE (RFC 7637), the GRE of PPTP (RFC 2637) and MikroTik's EoIP.
//!
//! In: the content of an IP packet or of a UDP datagram (RFC 8086). Out: what the protocol type announces: an EtherType's content, ERSPAN, redirected
//! web traffic (WCCP), 802.11 frames of an access point.

use super::{BAD_TUNNEL, PART, Tunnel, erspan};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
};

const GRE: u8 = 47;
const GRE_IN_UDP: u16 = 4_754;

pub(super) const TUNNEL: Tunnel =
    Tunnel { ip_protocols: &[(GRE, gre)], udp_ports: &[(|_| &[GRE_IN_UDP], over_udp)], ..Tunnel::UNANNOUNCED };

// Protocol types that are no EtherTypes.
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
const WEB_CACHE: u16 = 0x883e;
const EOIP: u16 = 0x6400;
/// 802.11 frames between access point and controller. The low bits number the access point.
const ARUBA_FIRST: u16 = 0x8200;
const ARUBA_LAST: u16 = 0x83ff;

/// GRE on a UDP port, which is only a hint. The bits that are zero in every GRE header must be zero, and the type one
/// that GRE can carry.
fn over_udp<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const RESERVED_AND_VERSION: u16 = 0x0fff;
    let mut header = cursor;
    let (flags, kind) = (header.take_u16(PART)?, header.take_u16(PART)?);
    match kind {
        _ if flags & RESERVED_AND_VERSION != 0 => Err(BAD_TUNNEL),
        1..=ethertype::LONGEST_LENGTH => Err(BAD_TUNNEL),
        _ => gre(cursor, outer),
    }
}

/// Version 0, or version 1 for PPTP and EoIP.
fn gre<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;

    let flags = cursor.take_u16(PART)?;
    let kind = cursor.take_u16(PART)?;
    match flags & 0x0007 {
        0 => {}
        1 if kind == EOIP => return ethernet_over_ip(cursor, outer),
        1 => return pptp(flags, kind, cursor, outer),
        _ => return Err(BAD_TUNNEL),
    }
    if flags & (CHECKSUM | ROUTING) != 0 {
        cursor.skip(4, PART)?;
    }
    let key = if flags & KEY != 0 { cursor.take_u32(PART)? } else { 0 };
    let has_sequence = flags & SEQUENCE != 0;
    if has_sequence {
        cursor.skip(4, PART)?;
    }
    if flags & ROUTING != 0 {
        skip_source_routes(&mut cursor)?;
    }
    match kind {
        0 => Err(SkipReason::TunnelControl),
        ethertype::BRIDGING => {
            outer.enter_tunnel(TunnelKind::Nvgre, bridging_identifier(key))?;
            Ok(Next::Layer(Layer::Ethernet, cursor))
        }
        ERSPAN if !has_sequence => erspan::type_1(cursor, outer),
        ERSPAN | ERSPAN_III => erspan::type_2_or_3(cursor, outer),
        WEB_CACHE => {
            outer.enter_tunnel(TunnelKind::Gre, key)?;
            // Version 2 of the protocol has a redirect header before the packet.
            if cursor.peek::<1>(0).is_some_and(|[first]| first >> 4 != 4) {
                cursor.skip(4, PART)?;
            }
            Ok(Next::Layer(Layer::Ipv4, cursor))
        }
        ARUBA_FIRST..=ARUBA_LAST => {
            outer.enter_tunnel(TunnelKind::Gre, key)?;
            Ok(Next::Layer(Layer::Wifi, cursor))
        }
        // Smaller numbers are lengths in Ethernet, and nothing in GRE.
        0x0600.. => {
            outer.enter_tunnel(TunnelKind::Gre, key)?;
            Ok(Next::Layer(Layer::EtherType(kind), cursor))
        }
        _ => Err(SkipReason::NotIp),
    }
}

/// The tunnel identifier in the key of bridged frames. NVGRE's key is a 24-bit subnet of at least 0x1000 (RFC 7637,
/// section 3.2) and an 8-bit flow; any other key is the identifier itself.
fn bridging_identifier(key: u32) -> u32 {
    if key >> 8 >= 0x1000 { key >> 8 } else { key }
}

/// Source route entries of RFC 1701, up to the one of length zero.
fn skip_source_routes(cursor: &mut Cursor<'_>) -> Result<(), SkipReason> {
    loop {
        let [_, _, _, length]: [u8; 4] = cursor.take(PART)?;
        if length == 0 {
            return Ok(());
        }
        cursor.skip(usize::from(length), PART)?;
    }
}

/// Enhanced GRE (RFC 2637, section 4.1): payload length and call, then PPP.
fn pptp<'a>(flags: u16, kind: u16, mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    if kind != ethertype::PPP {
        return Err(SkipReason::NotIp);
    }
    let length = cursor.take_u16(PART)?;
    let call = cursor.take_u16(PART)?;
    if flags & SEQUENCE == 0 {
        return Err(SkipReason::TunnelControl);
    }
    cursor.skip(if flags & ACKNOWLEDGMENT != 0 { 8 } else { 4 }, PART)?;
    cursor.shorten_to(usize::from(length));
    outer.enter_tunnel(TunnelKind::Gre, u32::from(call))?;
    Ok(Next::Layer(Layer::Ppp, cursor))
}

/// EoIP. Its key field holds the length of the frame, then the tunnel's identifier in little-endian order. A keep-alive holds
/// no frame.
fn ethernet_over_ip<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let length = usize::from(cursor.take_u16(PART)?);
    let identifier = u16::from_le_bytes(cursor.take(PART)?);
    if length == 0 {
        return Err(SkipReason::TunnelControl);
    }
    cursor.shorten_to(length);
    outer.enter_tunnel(TunnelKind::Nvgre, u32::from(identifier))?;
    Ok(Next::Layer(Layer::Ethernet, cursor))
}
