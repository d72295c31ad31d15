//! Packets to TCP segments.
//!
//! In: [`Packet`]s of any link type. Out: [`Segment`]s of the innermost TCP, with the tags and
//! tunnels they came through. Promises: no panic on any bytes, bounded memory, every packet that yields nothing counted.
//!
//! # What is decoded
//!
//! The table of link types, tags and tunnels, each row with the test that proves it, is in the README;
//! `the_readme_names_every_case` holds it to the tests.
//!
//! # What a wrong guess costs
//!
//! UDP ports are hints: a datagram that does not parse as the tunnel of its port is plain UDP and counted. MPLS and L2TPv3 do
//! not say what they carry, so the bytes are looked at. TCP is never taken for anything else.
//!
//! What yields nothing is counted by reason in [`DecodeCounters`]; `every_reason_is_counted` has a packet for each.

mod aged;
mod checksum;
mod fast;
mod fragments;
mod fuzz;
mod ip;
mod layer;
mod link;
mod ppp;
mod reason;
mod settings;
mod tunnel;
mod udp;
mod view;
mod wifi;

#[cfg(test)]
mod tests;

use fragments::{Fragments, Taken};
use layer::{Fragment, Layer, Next, Rules, Trail, ethertype, protocol};
use view::View;

#[doc(hidden)]
pub use fuzz::{fuzz, fuzz_fragments};
pub use reason::DecodeCounters;
pub use settings::{DecodeSettings, FragmentLimits, TunnelPorts};

use crate::{
    address::Endpoint,
    capture::{LinkType, Packet},
    time::Timestamp,
};

/// Packets to segments, with what must be remembered between packets: IP fragments.
#[derive(Debug)]
pub struct Decoder {
    settings: DecodeSettings,
    /// Ordinary Ethernet frames go the short way.
    fast: bool,
    ports: udp::Ports,
    fragments: Fragments,
    counters: DecodeCounters,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new(settings: DecodeSettings) -> Self {
        Self {
            fast: is_fast(&settings),
            ports: udp::Ports::new(&settings.ports),
            fragments: Fragments::new(settings.fragments, settings.hash_seed),
            counters: DecodeCounters::default(),
            settings,
        }
    }

    /// Goes on under other settings; fragments keep the limits they had.
    pub fn reconfigure(&mut self, settings: DecodeSettings) {
        self.fast = is_fast(&settings);
        self.ports = udp::Ports::new(&settings.ports);
        self.settings = settings;
    }

    /// Hands the packet's TCP segments to `sink`: none or one, several of an aggregated 802.11 frame.
    #[inline]
    pub fn decode(&mut self, packet: &Packet<'_>, sink: &mut impl FnMut(Segment<'_>)) {
        match self.decode_ordinary(packet) {
            Some(segment) => sink(segment),
            None => self.decode_other(packet, sink),
        }
    }

    /// The segment of an ordinary Ethernet frame with IPv4. What this says nothing of is for
    /// [`decode_other`](Self::decode_other): two ways, so that the short one is compiled into the loop over packets.
    #[inline(always)]
    pub fn decode_ordinary<'a>(&mut self, packet: &Packet<'a>) -> Option<Segment<'a>> {
        if !self.fast || packet.link_type != LinkType::ETHERNET {
            return None;
        }
        let segment = fast::ethernet_v4(packet)?;
        self.counters.packets += 1;
        self.count(&segment);
        Some(segment)
    }

    /// Hands the segments of any other packet to `sink`.
    #[inline(never)]
    pub fn decode_other(&mut self, packet: &Packet<'_>, sink: &mut dyn FnMut(Segment<'_>)) {
        self.counters.packets += 1;
        if self.fast && packet.link_type == LinkType::ETHERNET {
            if let Some(segment) = fast::ethernet_v6(packet) {
                self.count(&segment);
                return sink(segment);
            }
            if fast::is_plain_udp(packet, &self.ports) {
                return self.counters.skip(reason::Reason::Udp);
            }
        }
        let wire = usize::try_from(packet.wire_length).unwrap_or(usize::MAX);
        let view = View::new(packet.data, wire);
        self.walk(Layer::Link(packet.link_type), view, Trail::new(self.settings.max_depth), packet.stamp.time, sink);
    }

    /// Counts the segment of an ordinary frame.
    #[inline]
    fn count(&mut self, segment: &Segment<'_>) {
        self.counters.segments += 1;
        self.counters.through_vlan += u64::from(segment.encapsulation.depth != 0);
    }

    /// What was seen so far.
    pub fn counters(&self) -> DecodeCounters {
        DecodeCounters { datagrams_incomplete: self.fragments.incomplete(), ..self.counters.clone() }
    }

    /// Memory that fragments take, at most [`FragmentLimits::bytes`].
    pub const fn fragment_bytes_held(&self) -> usize {
        self.fragments.bytes_held()
    }

    /// Reads header after header until the packet ends in a segment, a fragment or a reason.
    fn walk(
        &mut self,
        mut layer: Layer,
        mut view: View<'_>,
        mut trail: Trail,
        now: Timestamp,
        sink: &mut dyn FnMut(Segment<'_>),
    ) {
        let rules = Rules { ports: &self.ports, verify_checksums: self.settings.verify_checksums };
        let end = loop {
            if self.fast
                && let Some(segment) = fast::ip(layer, view.data(), trail.encapsulation)
            {
                break Ok(segment);
            }
            match layer::step(layer, view, &mut trail, rules) {
                Ok(Next::Layer(next, rest)) => (layer, view) = (next, rest),
                Ok(Next::Tcp(rest)) => break ip::tcp(rest, &trail, rules.verify_checksums),
                Ok(Next::Subframes(frames)) => return self.subframes(frames, trail, now, sink),
                Ok(Next::Fragment(fragment, data)) => return self.fragment(fragment, data, trail, now, sink),
                Err(reason) => break Err(reason),
            }
        };
        match end {
            Ok(segment) => {
                self.counters.segments += 1;
                sink(segment);
            }
            Err(reason) => self.counters.skip(reason),
        }
        trail.kinds().for_each(|kind| self.counters.tunnel(kind));
    }

    fn subframes(&mut self, mut frames: View<'_>, mut trail: Trail, now: Timestamp, sink: &mut dyn FnMut(Segment<'_>)) {
        loop {
            match wifi::subframe(&mut frames) {
                Ok(subframe) => self.walk(Layer::Llc, subframe, trail, now, sink),
                Err(reason) => return self.counters.skip(reason),
            }
            if frames.wire() < wifi::SUBFRAME_HEADER {
                return;
            }
            trail = trail.counted();
        }
    }

    /// Keeps a fragment; goes on inside the datagram if it was the missing one.
    fn fragment(
        &mut self,
        fragment: Fragment,
        data: View<'_>,
        mut trail: Trail,
        now: Timestamp,
        sink: &mut dyn FnMut(Segment<'_>),
    ) {
        if let Err(reason) = trail.descend() {
            return self.counters.skip(reason);
        }
        let taken = self.fragments.take(&fragment, data, &trail, now, &mut self.counters);
        if let Taken::Complete { protocol, bytes, wire } = taken {
            self.walk(Layer::Upper(protocol), View::new(&bytes, wire), trail, now, sink);
            self.fragments.recycle(bytes);
        } else {
            trail.kinds().for_each(|kind| self.counters.tunnel(kind));
        }
    }
}

/// Whether settings leave ordinary Ethernet frames to the short way.
fn is_fast(settings: &DecodeSettings) -> bool {
    !settings.verify_checksums && settings.max_depth >= 2
}

/// TCP flags, the low byte of the header's flag field (RFC 9293, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);

    /// Whether all flags of `other` are set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The kind of tunnel a packet came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TunnelKind {
    /// No tunnel.
    #[default]
    None,
    /// GRE (RFC 2784, RFC 2890).
    Gre,
    /// NVGRE and transparent Ethernet bridging over GRE (RFC 7637).
    Nvgre,
    /// ERSPAN type I, II or III.
    Erspan,
    /// VXLAN and VXLAN-GPE (RFC 7348).
    Vxlan,
    /// GENEVE (RFC 8926).
    Geneve,
    /// IP in IP: 4in4, 6in4, 4in6, 6in6 (RFC 2003, 2473, 4213).
    IpInIp,
    /// GTP-U (3GPP TS 29.281).
    GtpU,
    /// Teredo (RFC 4380).
    Teredo,
    /// L2TPv3 (RFC 3931).
    L2tp,
    /// MPLS label stack (RFC 3032).
    Mpls,
    /// Provider backbone bridging (IEEE 802.1ah).
    Pbb,
    /// PPPoE session (RFC 2516).
    Pppoe,
}

/// Interface, tags and the innermost tunnel a packet came through. Recorded, not part of the flow key by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Encapsulation {
    /// VLAN identifiers, outermost first; 0 is none. More than two keep the outermost and the innermost.
    pub vlans: [u16; 2],
    /// The innermost tunnel.
    pub tunnel: TunnelKind,
    /// Headers of tags and tunnels in all.
    pub depth: u8,
    /// The innermost tunnel's identifier: VNI, key, session, label, TEID. 0 where it has none.
    pub tunnel_id: u32,
    /// Which of a live run's interfaces it came through; 0 in a replay, and where decoding hands it on.
    pub interface: u16,
}

impl Encapsulation {
    /// Adds a VLAN tag, by its control information (IEEE 802.1Q, section 9.6).
    #[inline]
    fn tag(&mut self, control: u16) {
        let position = usize::from(self.vlans[0] != 0);
        self.vlans[position] = control & 0x0fff;
        self.depth = self.depth.saturating_add(1);
    }
}

/// One TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Who sent it.
    pub source: Endpoint,
    /// Whom it was sent to.
    pub destination: Endpoint,
    /// Sequence number of the first byte (of SYN, where set).
    pub sequence: u32,
    /// Acknowledgment number; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// The captured payload bytes; fewer than `wire_length` under a snap length.
    pub payload: &'a [u8],
    /// Payload length on the wire; at least `payload.len()`.
    pub wire_length: u32,
    /// Tags and tunnels.
    pub encapsulation: Encapsulation,
}
