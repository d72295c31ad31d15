//! Tunnels over IP and labels under it: GRE, ERSPAN, L2TP sessions, EtherIP, MPLS, NSH.
//!
//! In: a tunnel's header. Out: what it carries. Where the format does not say what follows (MPLS, L2TPv3), the bytes are
//! looked at: a header whose lengths fit is believed. Sources: RFC 2784, 2890, 2637, 7637, 3931, 3378, 3032, 4385, 8300,
//! draft-foschiano-erspan.

use super::{
    TunnelKind,
    layer::{BAD_TUNNEL, Layer, Next, Trail, ethertype},
    reason::{Part, Reason},
    view::View,
};

const TUNNEL: Part = Part::Tunnel;

/// GRE, version 0 and, for PPTP, version 1.
pub(super) fn gre<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;

    let flags = view.take_u16(TUNNEL)?;
    let kind = view.take_u16(TUNNEL)?;
    match flags & 0x0007 {
        0 => {}
        1 => return pptp(flags, kind, view, trail),
        _ => return Err(BAD_TUNNEL),
    }
    if flags & (CHECKSUM | ROUTING) != 0 {
        view.skip(4, TUNNEL)?;
    }
    let key = if flags & KEY != 0 { view.take_u32(TUNNEL)? } else { 0 };
    let has_sequence = flags & SEQUENCE != 0;
    if has_sequence {
        view.skip(4, TUNNEL)?;
    }
    if flags & ROUTING != 0 {
        skip_source_routes(&mut view)?;
    }
    match kind {
        0 => Err(Reason::TunnelControl),
        ethertype::BRIDGING => {
            trail.enter(TunnelKind::Nvgre, bridging_identifier(key))?;
            Ok(Next::Layer(Layer::Ethernet, view))
        }
        ERSPAN if !has_sequence => {
            trail.enter(TunnelKind::Erspan, 0)?;
            Ok(Next::Layer(Layer::Ethernet, view))
        }
        ERSPAN | ERSPAN_III => erspan(view, trail),
        WEB_CACHE => {
            trail.enter(TunnelKind::Gre, key)?;
            // Version 2 of the protocol has a redirect header before the packet.
            if view.peek::<1>(0).is_some_and(|[first]| first >> 4 != 4) {
                view.skip(4, TUNNEL)?;
            }
            Ok(Next::Layer(Layer::Ipv4, view))
        }
        ARUBA_FIRST..=ARUBA_LAST => {
            trail.enter(TunnelKind::Gre, key)?;
            Ok(Next::Layer(Layer::Wifi, view))
        }
        // Below this are lengths, which are of Ethernet and not of GRE.
        0x0600.. => {
            trail.enter(TunnelKind::Gre, key)?;
            Ok(Next::Layer(Layer::EtherType(kind), view))
        }
        _ => Err(Reason::NotIp),
    }
}

const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
const WEB_CACHE: u16 = 0x883e;
/// 802.11 frames between access point and controller; the low bits are the access point's.
const ARUBA_FIRST: u16 = 0x8200;
const ARUBA_LAST: u16 = 0x83ff;

/// NVGRE's key is a 24-bit subnet, not below 0x1000 (RFC 7637, section 3.2), and a flow; a plain key is itself.
fn bridging_identifier(key: u32) -> u32 {
    if key >> 8 >= 0x1000 { key >> 8 } else { key }
}

/// Source route entries of RFC 1701, up to the one of length zero.
fn skip_source_routes(view: &mut View<'_>) -> Result<(), Reason> {
    loop {
        let [_, _, _, length]: [u8; 4] = view.take(TUNNEL)?;
        if length == 0 {
            return Ok(());
        }
        view.skip(usize::from(length), TUNNEL)?;
    }
}

/// Enhanced GRE (RFC 2637, section 4.1): payload length and call, then PPP.
fn pptp<'a>(flags: u16, kind: u16, mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    if kind != ethertype::PPP {
        return Err(Reason::NotIp);
    }
    let length = view.take_u16(TUNNEL)?;
    let call = view.take_u16(TUNNEL)?;
    if flags & SEQUENCE == 0 {
        return Err(Reason::TunnelControl);
    }
    view.skip(if flags & ACKNOWLEDGMENT != 0 { 8 } else { 4 }, TUNNEL)?;
    view.limit(usize::from(length));
    trail.enter(TunnelKind::Gre, u32::from(call))?;
    Ok(Next::Layer(Layer::Ppp, view))
}

/// ERSPAN types II and III, told by their version.
fn erspan<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const HAS_PLATFORM_HEADER: u8 = 0x01;
    const NO_ETHERNET: u8 = 0x7c;
    let header: [u8; 8] = view.take(TUNNEL)?;
    let session = u32::from(u16::from_be_bytes([header[2], header[3]]) & 0x03ff);
    trail.enter(TunnelKind::Erspan, session)?;
    match header[0] >> 4 {
        1 => Ok(Next::Layer(Layer::Ethernet, view)),
        2 => {
            let [_, _, frame_type, flags]: [u8; 4] = view.take(TUNNEL)?;
            if flags & HAS_PLATFORM_HEADER != 0 {
                view.skip(8, TUNNEL)?;
            }
            // Frame type 2 is a bare IP packet, 0 an Ethernet frame.
            match (frame_type & NO_ETHERNET) >> 2 {
                2 => Ok(Next::Layer(Layer::Ip, view)),
                _ => Ok(Next::Layer(Layer::Ethernet, view)),
            }
        }
        _ => Err(BAD_TUNNEL),
    }
}

/// EtherIP (RFC 3378): a version, then a frame.
pub(super) fn ether_ip<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    trail.descend()?;
    match view.take(TUNNEL)? {
        [version, _] if version >> 4 == 3 => Ok(Next::Layer(Layer::Ethernet, view)),
        _ => Err(BAD_TUNNEL),
    }
}

/// L2TPv3 directly over IP: a session, where zero is the control connection.
pub(super) fn l2tp_over_ip<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    match view.take_u32(TUNNEL)? {
        0 => Err(Reason::TunnelControl),
        session => l2tp_session(session, view, trail),
    }
}

/// The content of an L2TPv3 session. Cookie (0, 4 or 8 bytes), sublayer (0 or 4) and pseudowire were agreed on elsewhere.
pub(super) fn l2tp_session<'a>(session: u32, mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    trail.enter(TunnelKind::L2tp, session)?;
    for before in [0, 4, 8, 12] {
        let layer = if looks_like_ethernet(view, before) {
            Layer::Ethernet
        } else if looks_like_ip(view, before) {
            Layer::Ip
        } else if view.peek(before) == Some([0xff, 0x03, 0x00]) {
            Layer::Ppp
        } else {
            continue;
        };
        view.skip(before, TUNNEL)?;
        return Ok(Next::Layer(layer, view));
    }
    Err(Reason::NotIp)
}

/// An MPLS label stack and what is under it: IP, or a pseudowire with or without a control word.
pub(super) fn mpls<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const BOTTOM: u32 = 0x100;
    const CONTROL_WORD: usize = 4;
    let label = loop {
        let entry = view.take_u32(TUNNEL)?;
        if entry & BOTTOM != 0 {
            break entry >> 12;
        }
    };
    trail.enter(TunnelKind::Mpls, label)?;
    let Some([first]) = view.peek(0) else {
        return Err(if view.wire() == 0 { BAD_TUNNEL } else { Reason::Truncated(TUNNEL) });
    };
    let layer = match first >> 4 {
        4 | 6 if looks_like_ip(view, 0) || !looks_like_ethernet(view, 0) => Layer::Ip,
        // Also the first byte of many a MAC address.
        0 if looks_like_ethernet(view, CONTROL_WORD) || !looks_like_ethernet(view, 0) => {
            view.skip(CONTROL_WORD, TUNNEL)?;
            Layer::Ethernet
        }
        _ => Layer::Ethernet,
    };
    Ok(Next::Layer(layer, view))
}

/// A network service header (RFC 8300).
pub(super) fn service_header<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const FIXED: usize = 8;
    trail.descend()?;
    let mut rest = view;
    let [_, length, _, next]: [u8; 4] = view.take(TUNNEL)?;
    let length = usize::from(length & 0x3f) * 4;
    if length < FIXED {
        return Err(BAD_TUNNEL);
    }
    rest.skip(length, TUNNEL)?;
    Ok(Next::Layer(next_protocol(next)?, rest))
}

/// The next-protocol numbers of NSH, the same as those of VXLAN-GPE.
pub(super) fn next_protocol(number: u8) -> Result<Layer, Reason> {
    match number {
        1 => Ok(Layer::Ipv4),
        2 => Ok(Layer::Ipv6),
        3 => Ok(Layer::Ethernet),
        4 => Ok(Layer::EtherType(ethertype::NSH)),
        5 => Ok(Layer::Mpls),
        _ => Err(Reason::NotIp),
    }
}

/// Whether an IP header whose lengths fit into the packet starts at `at`.
pub(super) fn looks_like_ip(view: View<'_>, at: usize) -> bool {
    let room = view.wire().saturating_sub(at);
    let Some([first, _, total_high, total_low, length_high, length_low]) = view.peek(at) else { return false };
    match first >> 4 {
        4 => {
            let header = usize::from(first & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([total_high, total_low]));
            header >= 20 && header <= room && (total == 0 || (header..=room).contains(&total))
        }
        6 => usize::from(u16::from_be_bytes([length_high, length_low])).saturating_add(40) <= room,
        _ => false,
    }
}

/// Whether an Ethernet header with a type that fits what follows starts at `at`.
pub(super) fn looks_like_ethernet(view: View<'_>, at: usize) -> bool {
    const MAX_TAGS: usize = 4;
    let mut at = at + 12;
    for _ in 0..=MAX_TAGS {
        let Some(kind) = view.peek(at).map(u16::from_be_bytes) else { return false };
        at += 2;
        match kind {
            ethertype::IPV4 | ethertype::IPV6 => return looks_like_ip(view, at),
            0..=1500 => return usize::from(kind) <= view.wire().saturating_sub(at) && looks_like_llc(view, at),
            ethertype::JUMBO_LLC => return looks_like_llc(view, at),
            kind if ethertype::is_vlan(kind) => at += 2,
            kind => return ethertype::is_other_known(kind),
        }
    }
    false
}

fn looks_like_llc(view: View<'_>, at: usize) -> bool {
    matches!(view.peek(at), Some([0xaa, 0xaa, 0x03] | [0x42, 0x42, 0x03] | [0x06, 0x06, 0x03] | [0xfe, 0xfe, 0x03]))
}
