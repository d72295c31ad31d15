//! Tunnels over UDP: VXLAN, VXLAN-GPE, GENEVE, GTP-U, Teredo, AYIYA, L2TP.
//!
//! In: a UDP datagram. Out: what the tunnel on its ports carries; for any other datagram, that it is plain UDP. Promises: a
//! port is only a hint, every header must also parse. Sources: RFC 7348, 8926, 4380, 2661, 3931, 3GPP TS 29.281.

use super::{
    TunnelKind,
    layer::{BAD_TUNNEL, Layer, Next, Trail, ethertype, protocol},
    reason::{Part, Reason},
    settings::TunnelPorts,
    tunnel,
    view::View,
};

const TUNNEL: Part = Part::Tunnel;

/// What a port announces.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Vxlan,
    VxlanGpe,
    Geneve,
    GtpU,
    Teredo,
    Ayiya,
    L2tp,
}

/// The ports of all tunnels in one list, which is short.
#[derive(Debug)]
pub(super) struct Ports(Vec<(u16, Kind)>);

impl Ports {
    pub(super) fn new(ports: &TunnelPorts) -> Self {
        let kinds = [
            (&ports.vxlan, Kind::Vxlan),
            (&ports.vxlan_gpe, Kind::VxlanGpe),
            (&ports.geneve, Kind::Geneve),
            (&ports.gtp_u, Kind::GtpU),
            (&ports.teredo, Kind::Teredo),
            (&ports.ayiya, Kind::Ayiya),
            (&ports.l2tp, Kind::L2tp),
        ];
        Self(kinds.into_iter().flat_map(|(ports, kind)| ports.iter().map(move |&port| (port, kind))).collect())
    }

    /// Whether either is a tunnel's port.
    #[inline]
    pub(super) fn any(&self, source: u16, destination: u16) -> bool {
        self.0.iter().any(|&(port, _)| port == source || port == destination)
    }
}

impl Kind {
    fn parse<'a>(self, view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
        match self {
            Self::Vxlan => vxlan(view, trail),
            Self::VxlanGpe => vxlan_gpe(view, trail),
            Self::Geneve => geneve(view, trail),
            Self::GtpU => gtp_u(view, trail),
            Self::Teredo => teredo(view, trail),
            Self::Ayiya => ayiya(view, trail),
            Self::L2tp => l2tp(view, trail),
        }
    }
}

/// A UDP header. The receiver's port is tried first, then the sender's.
pub(super) fn datagram<'a>(mut view: View<'a>, trail: &mut Trail, ports: &Ports) -> Result<Next<'a>, Reason> {
    const HEADER: usize = 8;
    let Ok(header) = view.take::<HEADER>(TUNNEL) else { return Err(Reason::Udp) };
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (source, destination, length) = (field(0), field(2), field(4));
    // Zero is segmentation offload; anything else below the header's length is not to be believed.
    match usize::from(length).checked_sub(HEADER) {
        Some(length) => view.limit(length),
        None if length == 0 => {}
        None => return Err(Reason::Udp),
    }
    let mut outcome = Err(Reason::Udp);
    for port in [destination, source] {
        for (_, kind) in ports.0.iter().filter(|(announced, _)| *announced == port) {
            let mut tried = *trail;
            match kind.parse(view, &mut tried) {
                Err(Reason::Malformed(TUNNEL)) => outcome = Err(Reason::UdpTunnelMismatch),
                parsed => {
                    *trail = tried;
                    return parsed;
                }
            }
        }
    }
    outcome
}

/// Whether a VXLAN header's network identifier is valid.
const VNI_PRESENT: u8 = 0x08;

fn vxlan<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let [flags, _, _, _, identifier @ ..]: [u8; 8] = view.take(TUNNEL)?;
    if flags & VNI_PRESENT == 0 {
        return Err(BAD_TUNNEL);
    }
    trail.enter(TunnelKind::Vxlan, u32::from_be_bytes(identifier) >> 8)?;
    Ok(Next::Layer(Layer::Ethernet, view))
}

fn vxlan_gpe<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const NEXT_PROTOCOL_PRESENT: u8 = 0x04;
    const MAINTENANCE: u8 = 0x01;
    let [flags, _, _, next, identifier @ ..]: [u8; 8] = view.take(TUNNEL)?;
    if flags & VNI_PRESENT == 0 {
        return Err(BAD_TUNNEL);
    }
    if flags & MAINTENANCE != 0 {
        return Err(Reason::TunnelControl);
    }
    let layer = if flags & NEXT_PROTOCOL_PRESENT == 0 {
        Layer::Ethernet
    } else {
        tunnel::next_protocol(next).map_err(|_| BAD_TUNNEL)?
    };
    trail.enter(TunnelKind::Vxlan, u32::from_be_bytes(identifier) >> 8)?;
    Ok(Next::Layer(layer, view))
}

fn geneve<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let [version_and_length, _, kind_high, kind_low, identifier @ ..]: [u8; 8] = view.take(TUNNEL)?;
    if version_and_length >> 6 != 0 {
        return Err(BAD_TUNNEL);
    }
    view.skip(usize::from(version_and_length & 0x3f) * 4, TUNNEL)?;
    trail.enter(TunnelKind::Geneve, u32::from_be_bytes(identifier) >> 8)?;
    match u16::from_be_bytes([kind_high, kind_low]) {
        0 => Err(Reason::TunnelControl),
        ethertype::BRIDGING => Ok(Next::Layer(Layer::Ethernet, view)),
        kind => Ok(Next::Layer(Layer::EtherType(kind), view)),
    }
}

fn gtp_u<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const VERSION_1_NOT_PRIME: u8 = 0x30;
    const ANY_OPTION: u8 = 0x07;
    const EXTENSION: u8 = 0x04;
    const USER_DATA: u8 = 255;
    let [flags, message, length_high, length_low, identifier @ ..]: [u8; 8] = view.take(TUNNEL)?;
    if flags & 0xf0 != VERSION_1_NOT_PRIME {
        return Err(BAD_TUNNEL);
    }
    if message != USER_DATA {
        return Err(Reason::TunnelControl);
    }
    match u16::from_be_bytes([length_high, length_low]) {
        0 => {}
        length => view.limit(usize::from(length)),
    }
    if flags & ANY_OPTION != 0 {
        let [_, _, _, mut next]: [u8; 4] = view.take(TUNNEL)?;
        while flags & EXTENSION != 0 && next != 0 {
            let Some(content) = view.take::<1>(TUNNEL).map(|[units]| usize::from(units) * 4)?.checked_sub(2) else {
                return Err(BAD_TUNNEL);
            };
            view.skip(content, TUNNEL)?;
            [next] = view.take(TUNNEL)?;
        }
    }
    trail.enter(TunnelKind::GtpU, u32::from_be_bytes(identifier))?;
    Ok(Next::Layer(Layer::Ip, view))
}

/// Authentication and origin indications (RFC 4380, section 5.1.1) may come before the IPv6 packet.
fn teredo<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    if view.peek(0) == Some([0x00, 0x01]) {
        let [_, _, identifier, value]: [u8; 4] = view.take(TUNNEL)?;
        view.skip(usize::from(identifier) + usize::from(value) + 9, TUNNEL)?;
    }
    if view.peek(0) == Some([0x00, 0x00]) {
        view.skip(8, TUNNEL)?;
    }
    match view.peek(0) {
        Some([first]) if first >> 4 == 6 && tunnel::looks_like_ip(view, 0) => {}
        _ if view.data().len() < 6 && view.wire() >= 40 => return Err(Reason::Truncated(TUNNEL)),
        _ => return Err(BAD_TUNNEL),
    }
    trail.enter(TunnelKind::Teredo, 0)?;
    Ok(Next::Layer(Layer::Ipv6, view))
}

/// Identity (a power of two long) and signature follow the fixed header; operation 1 forwards a packet.
fn ayiya<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const FORWARD: u8 = 1;
    let [identity, signature, operation, next, ..]: [u8; 8] = view.take(TUNNEL)?;
    view.skip((1 << (identity >> 4)) + usize::from(signature >> 4) * 4, TUNNEL)?;
    let layer = match next {
        protocol::IPV4 => Layer::Ipv4,
        protocol::IPV6 => Layer::Ipv6,
        protocol::NO_NEXT => return Err(Reason::TunnelControl),
        _ => return Err(BAD_TUNNEL),
    };
    if operation & 0x0f != FORWARD {
        return Err(Reason::TunnelControl);
    }
    trail.enter(TunnelKind::IpInIp, 0)?;
    Ok(Next::Layer(layer, view))
}

/// Both versions, told by the version field.
fn l2tp<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    let whole = view;
    let flags = view.take_u16(TUNNEL)?;
    match flags & 0x000f {
        2 | 3 if flags & CONTROL != 0 => return Err(Reason::TunnelControl),
        2 => {}
        3 => {
            view.skip(2, TUNNEL)?;
            let session = view.take_u32(TUNNEL)?;
            return tunnel::l2tp_session(session, view, trail);
        }
        _ => return Err(BAD_TUNNEL),
    }
    if flags & LENGTH != 0 {
        let length = usize::from(view.take_u16(TUNNEL)?);
        let before = whole.wire() - view.wire();
        view.limit(length.checked_sub(before).ok_or(BAD_TUNNEL)?);
    }
    let (tunnel, session) = (view.take_u16(TUNNEL)?, view.take_u16(TUNNEL)?);
    if flags & SEQUENCE != 0 {
        view.skip(4, TUNNEL)?;
    }
    if flags & OFFSET != 0 {
        let offset = view.take_u16(TUNNEL)?;
        view.skip(usize::from(offset), TUNNEL)?;
    }
    trail.enter(TunnelKind::L2tp, u32::from(tunnel) << 16 | u32::from(session))?;
    Ok(Next::Layer(Layer::Ppp, view))
}
