//! What the headers that were read so far say about the rest of the packet.
//!
//! In: tags, tunnels and IP addresses, from the outside inwards. Out: the encapsulation of the segment, the addresses
//! for its endpoints, and the kinds of tunnel to count. Promises: a packet with more tags and tunnels than the settings
//! allow is refused.

use super::{Encapsulation, TunnelKind, counters::SkipReason};
use crate::address::Address;

/// Addresses of the innermost IP header so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    /// The sender.
    pub(super) source: Address,
    /// The receiver.
    pub(super) destination: Address,
    /// Whether the TCP checksum can be computed. It cannot while a routing header names another final destination.
    pub(super) checkable: bool,
}

/// The headers outside the one that is read next.
#[derive(Debug, Clone, Copy)]
pub(super) struct OuterHeaders {
    pub(super) encapsulation: Encapsulation,
    pub(super) addresses: Addresses,
    /// How many more tags, tunnels and IP reassemblies the settings allow.
    depth_left: u8,
    /// A bit for each kind of tunnel that the packet came through. The bit of [`TunnelKind::None`] stands for VLAN
    /// tags.
    kinds: u32,
    /// Whether `addresses` are those of an IP header.
    is_inside_ip: bool,
}

impl OuterHeaders {
    /// A packet of which nothing was read yet.
    pub(super) fn new(max_depth: u8) -> Self {
        let unknown = Address::v4([0; 4]);
        Self {
            encapsulation: Encapsulation::default(),
            addresses: Addresses { source: unknown, destination: unknown, checkable: true },
            depth_left: max_depth,
            kinds: 0,
            is_inside_ip: false,
        }
    }

    /// Goes into an IP packet.
    pub(super) fn enter_ip(&mut self, source: Address, destination: Address) {
        self.addresses = Addresses { source, destination, checkable: true };
        self.is_inside_ip = true;
    }

    /// Returns the source of the IP header outside, once for each, where another IP header follows.
    pub(super) fn take_outer_source(&mut self) -> Option<Address> {
        std::mem::take(&mut self.is_inside_ip).then_some(self.addresses.source)
    }

    /// The addresses of the innermost IP header so far. `None` before the first IP header, and once
    /// [`take_outer_source`](Self::take_outer_source) was called for it.
    pub(super) fn ip_addresses(&self) -> Option<Addresses> {
        self.is_inside_ip.then_some(self.addresses)
    }

    /// Goes through a VLAN tag.
    pub(super) fn enter_vlan(&mut self, identifier: u16) -> Result<(), SkipReason> {
        self.spend_depth()?;
        self.encapsulation.add_vlan(identifier);
        self.kinds |= 1 << TunnelKind::None as u32;
        Ok(())
    }

    /// Goes into a tunnel that events name.
    pub(super) fn enter_tunnel(&mut self, kind: TunnelKind, identifier: u32) -> Result<(), SkipReason> {
        self.spend_depth()?;
        self.encapsulation.depth = self.encapsulation.depth.saturating_add(1);
        self.encapsulation.tunnel = kind;
        self.encapsulation.tunnel_id = identifier;
        self.kinds |= 1 << kind as u32;
        Ok(())
    }

    /// Goes through a tag, tunnel or reassembly that events do not name.
    pub(super) fn spend_depth(&mut self) -> Result<(), SkipReason> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(SkipReason::TooDeep)?;
        Ok(())
    }

    /// The same headers for the next subframe of an aggregated 802.11 frame. The first subframe counts the tunnels
    /// outside.
    pub(super) fn for_next_subframe(self) -> Self {
        Self { kinds: 0, ..self }
    }

    /// The kinds of tunnel that the packet came through, each once; [`TunnelKind::None`] for VLAN tags.
    pub(super) fn kinds(self) -> impl Iterator<Item = TunnelKind> {
        TunnelKind::ALL.into_iter().filter(move |&kind| self.kinds & 1 << kind as u32 != 0)
    }
}
