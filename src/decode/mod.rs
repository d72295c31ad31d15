//! Packets to TCP segments.
//!
//! In: [`Packet`]s of any link type. Out: [`Segment`]s of the innermost TCP, with the tags and tunnels they came
//! through. Promises: no panic on any bytes, bounded memory, every packet that yields no segment counted by reason in
//! [`DecodeCounters`].
//!
//! # Two ways
//!
//! The plain way reads one header after the other, most of them with etherparse (`layer.rs` and what it names). The
//! short way (`short_way.rs`) reads ordinary packets at once. Both give the same segments and counters; the tests run
//! everything both ways.
//!
//! # What is decoded
//!
//! The README has a table of link types, tags and tunnels. Each row names the test that proves it, and
//! `the_readme_names_every_case` compares the table with the tests. To add a tunnel, see `tunnel/mod.rs`.
//!
//! # Guesses
//!
//! UDP ports are hints: a datagram that does not parse as the tunnel of its port is plain UDP and counted. MPLS and
//! L2TPv3 do not say what they carry, so the bytes decide. TCP is never taken for anything else.

mod checksum;
mod counters;
mod cursor;
mod ends;
mod fifo_slab;
mod fragments;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod ip;
mod layer;
mod link;
mod numbers;
mod outer;
mod outer_source;
mod segment;
mod settings;
mod short_way;
mod tcp;
mod tunnel;
mod udp;

#[cfg(test)]
mod tests;

use counters::SkipReason;
use cursor::Cursor;
use fragments::{FragmentTable, Reassembly};
use layer::{Fragment, Layer, Next};
use link::wifi;
use outer::OuterHeaders;
use outer_source::OuterSources;
use tunnel::TunnelTable;

pub(crate) use checksum::{Sum, judge as judge_checksum};
pub use counters::DecodeCounters;
pub use ends::{Ends, EndsReader, SegmentStart};
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use fuzz::{fuzz, fuzz_fragments};
pub use segment::{Encapsulation, Segment, TcpFlags, TunnelKind};
pub use settings::{ChecksumPolicy, DecodeSettings, FragmentLimits, TunnelPorts};

use crate::{
    capture::{LinkType, Packet},
    time::Timestamp,
};

/// Turns packets into segments. Remembers IP fragments between packets.
#[derive(Debug)]
pub struct Decoder {
    settings: DecodeSettings,
    /// Whether ordinary packets take the short way under these settings.
    short_way: bool,
    tunnels: TunnelTable,
    fragments: FragmentTable,
    outer_sources: OuterSources,
    counters: DecodeCounters,
}

/// Returns whether packets of a link type are decoded.
pub fn decodes(link_type: LinkType) -> bool {
    link::is_decoded(link_type)
}

impl Decoder {
    /// A decoder that has seen no packet yet.
    pub fn new(settings: DecodeSettings) -> Self {
        Self {
            short_way: short_way::is_possible(&settings),
            tunnels: TunnelTable::new(&settings.ports),
            fragments: FragmentTable::new(settings.fragments, settings.hash_seed),
            outer_sources: OuterSources::new(settings.mirrors.clone(), settings.hash_seed),
            counters: DecodeCounters::default(),
            settings,
        }
    }

    /// Changes the settings. Limits of fragment reassembly stay as they were.
    pub fn reconfigure(&mut self, settings: DecodeSettings) {
        self.short_way = short_way::is_possible(&settings);
        self.tunnels = TunnelTable::new(&settings.ports);
        self.outer_sources.reconfigure(settings.mirrors.clone());
        self.settings = settings;
    }

    /// Hands the packet's TCP segments to `sink`: none or one; of an aggregated 802.11 frame perhaps several.
    #[inline]
    pub fn decode(&mut self, packet: &Packet<'_>, sink: &mut impl FnMut(Segment<'_>)) {
        match self.decode_ordinary(packet) {
            Some(segment) => sink(segment),
            None => self.decode_other(packet, sink),
        }
    }

    /// Returns the segment of an ordinary Ethernet frame with IPv4, and `None` for packets that it does not handle:
    /// [`decode_other`](Self::decode_other) takes those. The two are apart so that this one is compiled into the loop
    /// over packets.
    #[inline(always)]
    pub fn decode_ordinary<'a>(&mut self, packet: &Packet<'a>) -> Option<Segment<'a>> {
        if !self.short_way || packet.link_type != LinkType::ETHERNET {
            return None;
        }
        let segment = short_way::ethernet_v4(packet)?;
        self.counters.packets += 1;
        self.count_ordinary(&segment);
        Some(segment)
    }

    /// Hands the segments of any other packet to `sink`.
    #[inline(never)]
    pub fn decode_other(&mut self, packet: &Packet<'_>, sink: &mut dyn FnMut(Segment<'_>)) {
        self.counters.packets += 1;
        if self.short_way && packet.link_type == LinkType::ETHERNET {
            if let Some(segment) = short_way::ethernet_v6(packet) {
                self.count_ordinary(&segment);
                return sink(segment);
            }
            if short_way::is_plain_udp(packet, &self.tunnels) {
                return self.counters.skip(SkipReason::Udp);
            }
        }
        let wire_length = usize::try_from(packet.wire_length).unwrap_or(usize::MAX);
        let cursor = Cursor::new(packet.data, wire_length);
        let outer = OuterHeaders::new(self.settings.max_depth);
        self.read_headers(Layer::Link(packet.link_type), cursor, outer, packet.stamp.time, sink);
    }

    /// Counts a segment that the short way found.
    #[inline]
    fn count_ordinary(&mut self, segment: &Segment<'_>) {
        self.counters.segments += 1;
        self.counters.through_vlan += u64::from(segment.encapsulation.depth != 0);
    }

    /// What the decoder saw so far.
    pub fn counters(&self) -> DecodeCounters {
        DecodeCounters { datagrams_incomplete: self.fragments.incomplete(), ..self.counters.clone() }
    }

    /// Memory that fragments take, at most [`FragmentLimits::bytes`].
    pub const fn fragment_bytes_held(&self) -> usize {
        self.fragments.bytes_held()
    }

    /// Reads header after header until the packet ends in a segment, a fragment, subframes or a reason to skip it.
    fn read_headers(
        &mut self,
        mut layer: Layer,
        mut cursor: Cursor<'_>,
        mut outer: OuterHeaders,
        now: Timestamp,
        sink: &mut dyn FnMut(Segment<'_>),
    ) {
        let verify_checksums = self.settings.drops_wrong_checksums();
        let result = loop {
            if matches!(layer, Layer::Ip | Layer::Ipv4 | Layer::Ipv6)
                && let Some(source) = outer.take_outer_source()
            {
                self.outer_sources.note(source, &mut outer.encapsulation);
            }
            if self.short_way
                && let Some(segment) = short_way::ip(layer, cursor.captured(), outer.encapsulation)
            {
                break Ok(segment);
            }
            match layer::read(layer, cursor, &mut outer, &self.tunnels, verify_checksums) {
                Ok(Next::Layer(next, content)) => (layer, cursor) = (next, content),
                Ok(Next::Tcp(content)) => break tcp::segment(content, &outer, verify_checksums),
                Ok(Next::Subframes(frames)) => return self.subframes(frames, outer, now, sink),
                Ok(Next::Fragment(fragment, data)) => return self.fragment(fragment, data, outer, now, sink),
                Err(reason) => break Err(reason),
            }
        };
        match result {
            Ok(segment) => {
                self.counters.segments += 1;
                sink(segment);
            }
            Err(reason) => self.counters.skip(reason),
        }
        self.counters.tunnels(outer);
    }

    /// Decodes each subframe of an aggregated 802.11 frame.
    fn subframes(
        &mut self,
        mut frames: Cursor<'_>,
        mut outer: OuterHeaders,
        now: Timestamp,
        sink: &mut dyn FnMut(Segment<'_>),
    ) {
        loop {
            match wifi::subframe(&mut frames) {
                Ok(subframe) => self.read_headers(Layer::Llc, subframe, outer, now, sink),
                Err(reason) => return self.counters.skip(reason),
            }
            if frames.wire_length() < wifi::SUBFRAME_HEADER {
                return;
            }
            outer = outer.for_next_subframe();
        }
    }

    /// Adds a fragment to its datagram. Decodes the datagram if it is complete now.
    fn fragment(
        &mut self,
        fragment: Fragment,
        data: Cursor<'_>,
        mut outer: OuterHeaders,
        now: Timestamp,
        sink: &mut dyn FnMut(Segment<'_>),
    ) {
        if let Err(reason) = outer.spend_depth() {
            return self.counters.skip(reason);
        }
        match self.fragments.add(&fragment, data, &outer, now, &mut self.counters) {
            Reassembly::Complete { protocol, bytes, wire_length } => {
                let cursor = Cursor::new(&bytes, wire_length);
                self.read_headers(Layer::IpProtocol(protocol), cursor, outer, now, sink);
                self.fragments.recycle(bytes);
            }
            Reassembly::Incomplete => self.counters.tunnels(outer),
        }
    }
}
