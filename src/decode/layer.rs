//! What comes next in a packet.
//!
//! In: a [`Layer`] and the bytes that start with it. Out: the layer inside it, a segment, a fragment, several frames, or
//! the reason why there is nothing. Promises: every step reads at least one header or only names the layer anew, so that
//! a packet of *n* bytes is done in O(*n*); tags and tunnels are limited by [`Trail`].

use super::{
    Encapsulation, TunnelKind, ip, link, ppp,
    reason::{Part, Reason},
    tunnel,
    udp::{self, Ports},
    view::View,
    wifi,
};
use crate::{address::Address, capture::LinkType};

/// What the next byte starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layer {
    /// A frame of a link type, as captured or wrapped by another.
    Link(LinkType),
    /// A destination MAC address.
    Ethernet,
    /// What an EtherType announced.
    EtherType(u16),
    /// IEEE 802.2 LLC.
    Llc,
    /// A PPP protocol field, perhaps after address and control.
    Ppp,
    /// An IPv4 or IPv6 header, told by its version.
    Ip,
    /// An IPv4 header.
    Ipv4,
    /// An IPv6 header.
    Ipv6,
    /// What an IP header or an extension header announced, by its protocol number.
    Upper(u8),
    /// An MPLS label stack.
    Mpls,
    /// An 802.11 header.
    Wifi,
}

/// Whom the innermost IP header so far is from and to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    /// The sender by the IP header.
    pub(super) source: Address,
    /// The receiver by the IP header.
    pub(super) destination: Address,
    /// Whether the TCP checksum can be computed: not while a routing header names another last destination.
    pub(super) checkable: bool,
}

/// One IP fragment, without its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment {
    /// The IP version's rules.
    pub(super) version: IpVersion,
    /// Identification field.
    pub(super) identification: u32,
    /// Offset of the first byte.
    pub(super) offset: usize,
    /// Whether others follow.
    pub(super) more: bool,
    /// What the datagram carries, by its protocol number; of an IPv6 datagram only the first fragment's counts.
    pub(super) protocol: u8,
}

/// Whose rules a fragment follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4,
    V6,
}

/// What a step came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next<'a> {
    /// Another header.
    Layer(Layer, View<'a>),
    /// A TCP header: the end.
    Tcp(View<'a>),
    /// A piece of a datagram.
    Fragment(Fragment, View<'a>),
    /// The subframes of an aggregated 802.11 frame.
    Subframes(View<'a>),
}

/// The tags and tunnels a packet came through so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trail {
    pub(super) encapsulation: Encapsulation,
    pub(super) addresses: Addresses,
    /// Tags and tunnels, and reassemblies between them, that may still come.
    budget: u8,
    /// Kinds seen, a bit each; that of [`TunnelKind::None`] stands for VLAN tags.
    kinds: u16,
}

impl Trail {
    pub(super) fn new(max_depth: u8) -> Self {
        let nobody = Address::v4([0; 4]);
        Self {
            encapsulation: Encapsulation::default(),
            addresses: Addresses { source: nobody, destination: nobody, checkable: true },
            budget: max_depth,
            kinds: 0,
        }
    }

    /// Goes through a VLAN tag with this control information.
    pub(super) fn tag(&mut self, control: u16) -> Result<(), Reason> {
        self.descend()?;
        self.encapsulation.tag(control);
        self.kinds |= 1 << TunnelKind::None as u16;
        Ok(())
    }

    /// Goes into a tunnel.
    pub(super) fn enter(&mut self, kind: TunnelKind, identifier: u32) -> Result<(), Reason> {
        self.descend()?;
        self.encapsulation.depth = self.encapsulation.depth.saturating_add(1);
        self.encapsulation.tunnel = kind;
        self.encapsulation.tunnel_id = identifier;
        self.kinds |= 1 << kind as u16;
        Ok(())
    }

    /// Spends one unit of depth on what is neither recorded as a tag nor as a tunnel.
    pub(super) fn descend(&mut self) -> Result<(), Reason> {
        self.budget = self.budget.checked_sub(1).ok_or(Reason::TooDeep)?;
        Ok(())
    }

    /// Leaves the tunnels gone through so far to be counted by another part of the packet.
    pub(super) fn counted(self) -> Self {
        Self { kinds: 0, ..self }
    }

    /// The kinds of tunnels gone through, each once; [`TunnelKind::None`] for VLAN tags.
    pub(super) fn kinds(self) -> impl Iterator<Item = TunnelKind> {
        let mut left = self.kinds;
        std::iter::from_fn(move || {
            let kind = KINDS.get(left.trailing_zeros() as usize).copied();
            left &= left.wrapping_sub(1);
            kind
        })
    }
}

/// In order of their numbers.
const KINDS: [TunnelKind; 13] = [
    TunnelKind::None,
    TunnelKind::Gre,
    TunnelKind::Nvgre,
    TunnelKind::Erspan,
    TunnelKind::Vxlan,
    TunnelKind::Geneve,
    TunnelKind::IpInIp,
    TunnelKind::GtpU,
    TunnelKind::Teredo,
    TunnelKind::L2tp,
    TunnelKind::Mpls,
    TunnelKind::Pbb,
    TunnelKind::Pppoe,
];

/// What the steps need to know of the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) ports: &'a Ports,
    pub(super) verify_checksums: bool,
}

/// Reads one header.
pub(super) fn step<'a>(layer: Layer, view: View<'a>, trail: &mut Trail, rules: Rules<'_>) -> Result<Next<'a>, Reason> {
    match layer {
        Layer::Link(link_type) => link::frame(link_type, view, trail),
        Layer::Ethernet => link::ethernet(view),
        Layer::EtherType(kind) => link::ether_type(kind, view, trail),
        Layer::Llc => link::llc(view),
        Layer::Ppp => ppp::protocol(view),
        Layer::Ip => ip::by_version(view),
        Layer::Ipv4 => ip::v4(view, trail, rules.verify_checksums),
        Layer::Ipv6 => ip::v6(view, trail),
        Layer::Upper(number) => upper_layer(number, view, trail, rules),
        Layer::Mpls => tunnel::mpls(view, trail),
        Layer::Wifi => wifi::frame(view),
    }
}

fn upper_layer<'a>(number: u8, view: View<'a>, trail: &mut Trail, rules: Rules<'_>) -> Result<Next<'a>, Reason> {
    match number {
        protocol::TCP => Ok(Next::Tcp(view)),
        protocol::UDP => udp::datagram(view, trail, rules.ports),
        protocol::IPV4 => ip_in_ip(Layer::Ipv4, view, trail),
        protocol::IPV6 => ip_in_ip(Layer::Ipv6, view, trail),
        protocol::IP_WITHIN_IP => ip_in_ip(Layer::Ip, view, trail),
        protocol::GRE => tunnel::gre(view, trail),
        protocol::L2TP => tunnel::l2tp_over_ip(view, trail),
        protocol::MPLS => Ok(Next::Layer(Layer::Mpls, view)),
        protocol::ETHER_IP => tunnel::ether_ip(view, trail),
        protocol::ETHERNET => {
            trail.descend()?;
            Ok(Next::Layer(Layer::Ethernet, view))
        }
        protocol::HOP_BY_HOP
        | protocol::ROUTING
        | protocol::DESTINATION_OPTIONS
        | protocol::MOBILITY
        | protocol::HIP
        | protocol::SHIM6 => ip::extension(number, view, trail),
        protocol::AUTHENTICATION => ip::authentication(view),
        protocol::FRAGMENT => ip::v6_fragment(view),
        protocol::ICMP | protocol::ICMPV6 => Err(Reason::Icmp),
        protocol::SCTP => Err(Reason::Sctp),
        protocol::ESP => Err(Reason::Esp),
        _ => Err(Reason::OtherProtocol),
    }
}

fn ip_in_ip<'a>(layer: Layer, view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    trail.enter(TunnelKind::IpInIp, 0)?;
    Ok(Next::Layer(layer, view))
}

/// Internet protocol numbers (IANA).
pub(super) mod protocol {
    pub(in crate::decode) const HOP_BY_HOP: u8 = 0;
    pub(in crate::decode) const ICMP: u8 = 1;
    pub(in crate::decode) const IPV4: u8 = 4;
    pub(in crate::decode) const TCP: u8 = 6;
    pub(in crate::decode) const UDP: u8 = 17;
    pub(in crate::decode) const IPV6: u8 = 41;
    pub(in crate::decode) const ROUTING: u8 = 43;
    pub(in crate::decode) const FRAGMENT: u8 = 44;
    pub(in crate::decode) const GRE: u8 = 47;
    pub(in crate::decode) const ESP: u8 = 50;
    pub(in crate::decode) const AUTHENTICATION: u8 = 51;
    pub(in crate::decode) const ICMPV6: u8 = 58;
    pub(in crate::decode) const NO_NEXT: u8 = 59;
    pub(in crate::decode) const DESTINATION_OPTIONS: u8 = 60;
    pub(in crate::decode) const IP_WITHIN_IP: u8 = 94;
    pub(in crate::decode) const ETHER_IP: u8 = 97;
    pub(in crate::decode) const L2TP: u8 = 115;
    pub(in crate::decode) const SCTP: u8 = 132;
    pub(in crate::decode) const MOBILITY: u8 = 135;
    pub(in crate::decode) const MPLS: u8 = 137;
    pub(in crate::decode) const HIP: u8 = 139;
    pub(in crate::decode) const SHIM6: u8 = 140;
    pub(in crate::decode) const ETHERNET: u8 = 143;
}

/// EtherTypes (IEEE, IANA).
pub(super) mod ethertype {
    pub(in crate::decode) const IPV4: u16 = 0x0800;
    pub(in crate::decode) const BRIDGING: u16 = 0x6558;
    pub(in crate::decode) const VLAN: u16 = 0x8100;
    pub(in crate::decode) const IPV6: u16 = 0x86dd;
    pub(in crate::decode) const PPP: u16 = 0x880b;
    pub(in crate::decode) const MPLS: u16 = 0x8847;
    pub(in crate::decode) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in crate::decode) const PPPOE_DISCOVERY: u16 = 0x8863;
    pub(in crate::decode) const PPPOE: u16 = 0x8864;
    pub(in crate::decode) const JUMBO_LLC: u16 = 0x8870;
    pub(in crate::decode) const SERVICE_VLAN: u16 = 0x88a8;
    pub(in crate::decode) const PBB: u16 = 0x88e7;
    pub(in crate::decode) const MACSEC: u16 = 0x88e5;
    pub(in crate::decode) const VN_TAG: u16 = 0x8926;
    pub(in crate::decode) const FABRIC_PATH: u16 = 0x8903;
    pub(in crate::decode) const CISCO_METADATA: u16 = 0x8909;
    pub(in crate::decode) const E_TAG: u16 = 0x893f;
    pub(in crate::decode) const NSH: u16 = 0x894f;

    /// Whether this is a common type other than IP, LLC and VLAN tags.
    pub(in crate::decode) const fn is_other_known(kind: u16) -> bool {
        const ARP: u16 = 0x0806;
        matches!(
            kind,
            ARP | MPLS
                | MPLS_MULTICAST
                | PPPOE
                | PPPOE_DISCOVERY
                | PBB
                | MACSEC
                | VN_TAG
                | FABRIC_PATH
                | CISCO_METADATA
                | E_TAG
                | NSH
        )
    }

    /// Whether a VLAN tag follows: 802.1Q, 802.1ad, and the numbers used before that.
    #[inline]
    pub(in crate::decode) const fn is_vlan(kind: u16) -> bool {
        matches!(kind, VLAN | SERVICE_VLAN | 0x9100 | 0x9200 | 0x9300)
    }
}

/// Damage to a tunnel header.
pub(super) const BAD_TUNNEL: Reason = Reason::Malformed(Part::Tunnel);
