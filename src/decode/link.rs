//! Link layers and their tags.
//!
//! In: a frame of any link type. Out: what it carries. Sources: the registry of link types at tcpdump.org, IEEE 802.3,
//! 802.1Q, 802.1ah and 802.1AE, RFC 1042 and RFC 2427.

use super::{
    TunnelKind,
    layer::{Layer, Next, Trail, ethertype},
    ppp,
    reason::{Part, Reason},
    tunnel,
    view::View,
    wifi,
};
use crate::capture::LinkType;

const LINK: Part = Part::Link;
const BAD: Reason = Reason::Malformed(Part::Link);

/// Link types by number.
mod number {
    pub(super) const NULL: u16 = 0;
    pub(super) const ETHERNET: u16 = 1;
    pub(super) const PPP: u16 = 9;
    pub(super) const RAW_BSD: u16 = 12;
    pub(super) const RAW_OPENBSD: u16 = 14;
    pub(super) const PPP_HDLC: u16 = 50;
    pub(super) const PPP_ETHER: u16 = 51;
    pub(super) const ATM_RFC1483: u16 = 100;
    pub(super) const RAW: u16 = 101;
    pub(super) const C_HDLC: u16 = 104;
    pub(super) const IEEE802_11: u16 = 105;
    pub(super) const FRAME_RELAY: u16 = 107;
    pub(super) const LOOP: u16 = 108;
    pub(super) const ENC: u16 = 109;
    pub(super) const LINUX_SLL: u16 = 113;
    pub(super) const PFLOG: u16 = 117;
    pub(super) const PRISM: u16 = 119;
    pub(super) const RADIOTAP: u16 = 127;
    pub(super) const AVS: u16 = 163;
    pub(super) const PPP_PPPD: u16 = 166;
    pub(super) const PPI: u16 = 192;
    pub(super) const PPP_WITH_DIRECTION: u16 = 204;
    pub(super) const IPV4: u16 = 228;
    pub(super) const IPV6: u16 = 229;
    pub(super) const NFLOG: u16 = 239;
    pub(super) const LINUX_SLL2: u16 = 276;
}

/// The header of a captured frame.
pub(super) fn frame<'a>(link_type: LinkType, mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let layer = match link_type.0 {
        number::ETHERNET => Layer::Ethernet,
        number::NULL | number::LOOP => return address_family(view, 0),
        // OpenBSD's decapsulated IPsec: family, security parameter index, flags.
        number::ENC => return address_family(view, 8),
        number::RAW_BSD | number::RAW_OPENBSD | number::RAW => Layer::Ip,
        number::IPV4 => Layer::Ipv4,
        number::IPV6 => Layer::Ipv6,
        number::LINUX_SLL => return linux_cooked(view),
        number::LINUX_SLL2 => return linux_cooked_2(view),
        number::PPP => Layer::Ppp,
        number::PPP_HDLC | number::C_HDLC => return ppp::serial(view),
        number::PPP_PPPD | number::PPP_WITH_DIRECTION => {
            view.skip(1, LINK)?;
            return ppp::after_direction(view);
        }
        number::PPP_ETHER => return ppp::over_ethernet(view, trail),
        number::FRAME_RELAY => return frame_relay(view),
        number::ATM_RFC1483 => Layer::Llc,
        number::IEEE802_11 => Layer::Wifi,
        number::RADIOTAP => return wifi::radiotap(view),
        number::PRISM => return wifi::prism(view),
        number::AVS => return wifi::avs(view),
        number::PPI => return wifi::per_packet_information(view, trail),
        number::NFLOG => return netfilter_log(view),
        number::PFLOG => return packet_filter_log(view),
        _ => return Err(Reason::LinkType),
    };
    Ok(Next::Layer(layer, view))
}

/// IEEE 802.3: two addresses, then a type or a length.
pub(super) fn ethernet(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    view.skip(12, LINK)?;
    let kind = view.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), view))
}

/// What follows an EtherType, or an 802.3 length in its place.
pub(super) fn ether_type<'a>(kind: u16, mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let layer = match kind {
        0..=1500 => {
            view.limit(usize::from(kind));
            Layer::Llc
        }
        ethertype::IPV4 => Layer::Ipv4,
        ethertype::IPV6 => Layer::Ipv6,
        ethertype::MPLS | ethertype::MPLS_MULTICAST => Layer::Mpls,
        ethertype::PPP => Layer::Ppp,
        ethertype::PPPOE => return ppp::over_ethernet(view, trail),
        ethertype::PPPOE_DISCOVERY => return Err(Reason::TunnelControl),
        ethertype::JUMBO_LLC => Layer::Llc,
        ethertype::BRIDGING => Layer::Ethernet,
        ethertype::PBB => return provider_backbone(view, trail),
        ethertype::MACSEC => return macsec(view, trail),
        ethertype::NSH => return tunnel::service_header(view, trail),
        ethertype::FABRIC_PATH => {
            trail.descend()?;
            view.skip(2, LINK)?;
            Layer::Ethernet
        }
        ethertype::VN_TAG => return skip_tag(4, view, trail),
        ethertype::E_TAG | ethertype::CISCO_METADATA => return skip_tag(6, view, trail),
        kind if ethertype::is_vlan(kind) => {
            trail.tag(view.take_u16(LINK)?)?;
            Layer::EtherType(view.take_u16(LINK)?)
        }
        _ => return Err(Reason::NotIp),
    };
    Ok(Next::Layer(layer, view))
}

/// IEEE 802.2 LLC, with SNAP where it says so; also the ISO network layer identifiers.
pub(super) fn llc(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let [destination, source, control] = view.take(LINK)?;
    match (destination, source, control) {
        (0xaa, 0xaa, 0x03) => snap(view),
        (0x06, 0x06, 0x03) => Ok(Next::Layer(Layer::Ipv4, view)),
        (0xfe, 0xfe, 0x03) => network_layer_identifier(view),
        _ => Err(Reason::NotIp),
    }
}

/// SNAP: an organisation and its own type.
fn snap(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let [a, b, c, high, low] = view.take(LINK)?;
    let kind = u16::from_be_bytes([high, low]);
    match [a, b, c] {
        // RFC 1042, and 802.1H's bridge tunnel.
        [0, 0, 0] | [0, 0, 0xf8] => Ok(Next::Layer(Layer::EtherType(kind), view)),
        // RFC 2427 and RFC 2684: bridged 802.3, with and without its check sequence; over ATM two bytes of padding.
        [0, 0x80, 0xc2] if kind == 0x0001 || kind == 0x0007 => {
            if !tunnel::looks_like_ethernet(view, 0) && tunnel::looks_like_ethernet(view, 2) {
                view.skip(2, LINK)?;
            }
            Ok(Next::Layer(Layer::Ethernet, view))
        }
        _ => Err(Reason::NotIp),
    }
}

/// NLPID (ISO/IEC TR 9577, RFC 2427).
fn network_layer_identifier(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let mut identifier: [u8; 1] = view.take(LINK)?;
    if identifier == [0] {
        identifier = view.take(LINK)?;
    }
    match identifier {
        [0xcc] => Ok(Next::Layer(Layer::Ipv4, view)),
        [0x8e] => Ok(Next::Layer(Layer::Ipv6, view)),
        [0x80] => snap(view),
        [0xcf] => Ok(Next::Layer(Layer::Ppp, view)),
        _ => Err(Reason::NotIp),
    }
}

/// BSD loopback: the address family in the byte order of whichever host wrote it. `more` bytes of the header follow.
fn address_family(mut view: View<'_>, more: usize) -> Result<Next<'_>, Reason> {
    let bytes = view.take(LINK)?;
    view.skip(more, LINK)?;
    let family = u32::from_be_bytes(bytes).min(u32::from_le_bytes(bytes));
    Ok(Next::Layer(family_layer(family)?, view))
}

/// IPv6 is 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS, 10 on Linux.
fn family_layer(family: u32) -> Result<Layer, Reason> {
    match family {
        2 => Ok(Layer::Ipv4),
        10 | 24 | 28 | 30 => Ok(Layer::Ipv6),
        _ => Err(Reason::NotIp),
    }
}

fn linux_cooked(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let header: [u8; 16] = view.take(LINK)?;
    cooked(u16::from_be_bytes([header[2], header[3]]), u16::from_be_bytes([header[14], header[15]]), view)
}

fn linux_cooked_2(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let header: [u8; 20] = view.take(LINK)?;
    cooked(u16::from_be_bytes([header[8], header[9]]), u16::from_be_bytes([header[0], header[1]]), view)
}

/// What a cooked header announces: an EtherType, or by hardware type something else.
fn cooked(hardware: u16, protocol: u16, view: View<'_>) -> Result<Next<'_>, Reason> {
    const ARPHRD_PPP: u16 = 512;
    const ARPHRD_IEEE80211: u16 = 801;
    const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
    const ETH_P_802_2: u16 = 4;
    const NO_PROTOCOL: u16 = 0;
    let layer = match (hardware, protocol) {
        (ARPHRD_IEEE80211, _) => Layer::Wifi,
        (ARPHRD_IEEE80211_RADIOTAP, _) => Layer::Link(LinkType(number::RADIOTAP)),
        (ARPHRD_PPP, NO_PROTOCOL) => Layer::Ppp,
        (_, ETH_P_802_2) => Layer::Llc,
        (_, 0..=1500) => return Err(Reason::NotIp),
        (_, kind) => Layer::EtherType(kind),
    };
    Ok(Next::Layer(layer, view))
}

/// Q.922 address, then RFC 2427 or Cisco's EtherType.
fn frame_relay(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const LAST: u8 = 0x01;
    for position in 0.. {
        let [byte] = view.take(LINK)?;
        match (byte & LAST, position) {
            (LAST, 0) | (0, 3..) => return Err(BAD),
            (LAST, _) => break,
            _ => {}
        }
    }
    if view.peek::<1>(0) == Some([0x03]) {
        view.skip(1, LINK)?;
        return network_layer_identifier(view);
    }
    let kind = view.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), view))
}

/// NFLOG: a header, then attributes in the writing host's byte order, of which one is the packet.
fn netfilter_log(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const PAYLOAD: u16 = 9;
    let [family, version, _, _] = view.take(LINK)?;
    if version != 0 {
        return Err(BAD);
    }
    let little_endian = attributes_fit(view, u16::from_le_bytes);
    let read: fn([u8; 2]) -> u16 = if little_endian { u16::from_le_bytes } else { u16::from_be_bytes };
    loop {
        let [length_0, length_1, kind_0, kind_1] = view.take(LINK)?;
        let length = usize::from(read([length_0, length_1])).checked_sub(4).ok_or(BAD)?;
        if read([kind_0, kind_1]) & 0x3fff == PAYLOAD {
            view.limit(length);
            return Ok(Next::Layer(family_layer(u32::from(family)).unwrap_or(Layer::Ip), view));
        }
        view.skip(length.next_multiple_of(4), LINK)?;
    }
}

/// Whether the first attribute has a length that fits when read this way.
fn attributes_fit(view: View<'_>, read: fn([u8; 2]) -> u16) -> bool {
    view.peek(0).map(read).is_some_and(|length| length >= 4 && usize::from(length) <= view.wire())
}

/// OpenBSD's packet filter log: header length (padded to four bytes) and address family come first.
fn packet_filter_log(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let [length, family] = view.peek(0).ok_or(Reason::Truncated(LINK))?;
    view.skip(usize::from(length).next_multiple_of(4), LINK)?;
    Ok(Next::Layer(family_layer(u32::from(family))?, view))
}

/// IEEE 802.1ah: the service instance, then the customer's frame.
fn provider_backbone<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let tag = view.take_u32(LINK)?;
    trail.enter(TunnelKind::Pbb, tag & 0x00ff_ffff)?;
    Ok(Next::Layer(Layer::Ethernet, view))
}

/// IEEE 802.1AE. Integrity-only frames are in clear; the check value at their end is beyond the IP packet.
fn macsec<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    const CHANNEL_PRESENT: u8 = 0x20;
    const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
    trail.descend()?;
    let [control, ..]: [u8; 6] = view.take(LINK)?;
    if control & ENCRYPTED_OR_CHANGED != 0 {
        return Err(Reason::EncryptedMacsec);
    }
    if control & CHANNEL_PRESENT != 0 {
        view.skip(8, LINK)?;
    }
    let kind = view.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), view))
}

/// A tag of no interest here, `length` bytes before the next EtherType.
fn skip_tag<'a>(length: usize, mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    trail.descend()?;
    view.skip(length, LINK)?;
    let kind = view.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), view))
}
