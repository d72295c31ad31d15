//! Tunnels, one file a protocol.
//!
//! In: a number that announces a tunnel (EtherType, IP protocol, UDP port) and the bytes after it. Out: what the tunnel
//! carries. Promises: a UDP port is only a hint, and a datagram that does not parse as the tunnel of its port is plain
//! UDP.
//!
//! To add a tunnel, write its file with a `TUNNEL` that says how packets announce it, and add the file's name to the
//! list below. A tunnel that events shall name needs a [`TunnelKind`](super::TunnelKind) and its counter too; users can
//! set its ports once [`TunnelPorts`] has a field for them.

use super::{
    counters::{PacketPart, SkipReason},
    layer::ReadHeader,
    settings::TunnelPorts,
};

macro_rules! tunnels {
    ($($(#[$condition:meta])? $file:ident,)*) => {
        $($(#[$condition])? pub(super) mod $file;)*

        /// Every tunnel.
        const TUNNELS: &[Tunnel] = &[$($(#[$condition])? $file::TUNNEL,)*];
    };
}

// Users can give one UDP port to several tunnels: then the first of this list that can parse the datagram takes it.
tunnels! {
    vxlan,
    geneve,
    gtp_u,
    teredo,
    ayiya,
    l2tp,
    gre,
    ip_in_ip,
    ethernet_in_ip,
    mpls,
    pppoe,
    pbb,
    nsh,
    tzsp,
    juniper_mirror,
    capwap,
    lisp,
    #[cfg(test)] made_up,
}

mod content;
// Not in the list, because GRE alone announces it.
mod erspan;

/// How packets announce a tunnel, and what reads its header.
#[derive(Debug, Clone, Copy)]
struct Tunnel {
    /// By EtherType.
    ether_types: &'static [(u16, ReadHeader)],
    /// By IP protocol number.
    ip_protocols: &'static [(u8, ReadHeader)],
    /// By UDP port, at either end of a datagram.
    udp_ports: &'static [(PortsOf, ReadHeader)],
}

/// Picks a tunnel's ports from the settings, or names fixed ones.
type PortsOf = fn(&TunnelPorts) -> &[u16];

impl Tunnel {
    /// A tunnel that nothing announces. Other tunnels take the fields from it that they do not use.
    const UNANNOUNCED: Self = Self { ether_types: &[], ip_protocols: &[], udp_ports: &[] };
}

/// The part of the packet that tunnel headers are.
const PART: PacketPart = PacketPart::Tunnel;

/// Damage to a tunnel header.
const BAD_TUNNEL: SkipReason = SkipReason::Malformed(PART);

/// Returns whether an EtherType announces a tunnel.
pub(super) fn is_ether_type(kind: u16) -> bool {
    TUNNELS.iter().flat_map(|tunnel| tunnel.ether_types).any(|&(announced, _)| announced == kind)
}

/// The tunnels by what announces them, under the settings' ports. The lists are short enough to be searched from the
/// front.
#[derive(Debug)]
pub(super) struct TunnelTable {
    ether_types: Vec<(u16, ReadHeader)>,
    ip_protocols: Vec<(u8, ReadHeader)>,
    udp_ports: Vec<(u16, ReadHeader)>,
    /// A bit for each of `udp_ports`, so that most datagrams need no search.
    port_bits: PortBits,
}

impl TunnelTable {
    pub(super) fn new(ports: &TunnelPorts) -> Self {
        let udp_ports = TUNNELS.iter().flat_map(|tunnel| tunnel.udp_ports);
        let udp_ports: Vec<_> =
            udp_ports.flat_map(|&(ports_of, read)| ports_of(ports).iter().map(move |&port| (port, read))).collect();
        Self {
            port_bits: PortBits::of(udp_ports.iter().map(|&(port, _)| port)),
            ether_types: TUNNELS.iter().flat_map(|tunnel| tunnel.ether_types).copied().collect(),
            ip_protocols: TUNNELS.iter().flat_map(|tunnel| tunnel.ip_protocols).copied().collect(),
            udp_ports,
        }
    }

    /// The reader of the tunnel that an EtherType announces.
    pub(super) fn over_ethernet(&self, kind: u16) -> Option<ReadHeader> {
        find(&self.ether_types, kind)
    }

    /// The reader of the tunnel that an IP protocol number announces.
    pub(super) fn over_ip(&self, number: u8) -> Option<ReadHeader> {
        find(&self.ip_protocols, number)
    }

    /// The readers of the tunnels that may be on a UDP port; users can give one port to several tunnels.
    pub(super) fn over_udp(&self, port: u16) -> impl Iterator<Item = ReadHeader> {
        self.udp_ports.iter().filter(move |&&(announced, _)| announced == port).map(|&(_, read)| read)
    }

    /// Returns whether either port is a tunnel's.
    #[inline]
    pub(super) fn has_udp_port(&self, source: u16, destination: u16) -> bool {
        (self.port_bits.may_hold(source) || self.port_bits.may_hold(destination))
            && self.udp_ports.iter().any(|&(port, _)| port == source || port == destination)
    }
}

/// A set of ports by their low ten bits. It may hold a port that was not put in, and holds every port that was.
#[derive(Debug, Default)]
struct PortBits([u64; 16]);

impl PortBits {
    fn of(ports: impl Iterator<Item = u16>) -> Self {
        let mut bits = Self::default();
        for port in ports {
            let (word, bit) = Self::place(port);
            bits.0[word] |= bit;
        }
        bits
    }

    #[inline]
    fn may_hold(&self, port: u16) -> bool {
        let (word, bit) = Self::place(port);
        self.0[word] & bit != 0
    }

    #[inline]
    fn place(port: u16) -> (usize, u64) {
        (usize::from(port >> 6 & 15), 1 << (port & 63))
    }
}

fn find<N: PartialEq>(readers: &[(N, ReadHeader)], number: N) -> Option<ReadHeader> {
    readers.iter().find(|(announced, _)| *announced == number).map(|&(_, read)| read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_no_double<N: Ord>(mut numbers: Vec<N>) -> bool {
        numbers.sort();
        numbers.windows(2).all(|pair| pair[0] != pair[1])
    }

    #[test]
    fn no_number_announces_two_tunnels() {
        let table = TunnelTable::new(&TunnelPorts::default());
        assert!(has_no_double(table.ether_types.iter().map(|&(number, _)| number).collect()));
        assert!(has_no_double(table.ip_protocols.iter().map(|&(number, _)| number).collect()));
        assert!(has_no_double(table.udp_ports.iter().map(|&(number, _)| number).collect()));
    }
}
