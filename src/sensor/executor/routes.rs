//! Routes: the segments of one [`PacketBatch`](crate::capture::PacketBatch), by the group of shards that processes them.
//!
//! In: segments as decoding lends them out. Out: [`PlacedSegment`]s that own nothing and point into the batch's bytes, so that a
//! batch can be shared with workers without copying payload. Bytes that decoding made itself (reassembled fragments)
//! are copied into the batch's side buffer.

use std::ops::Range;

use crate::{
    address::Endpoint,
    capture::Stamp,
    decode::{Encapsulation, Segment, TcpFlags},
    flow::{self, FlowKey},
    sensor::clock::Moment,
    tcp::{Direction, FlowSegment},
};

/// Where a payload lies.
#[derive(Debug, Clone, Copy)]
enum PayloadPlace {
    /// In the packet batch's bytes.
    Packet(u32),
    /// In the side buffer.
    Side(u32),
}

/// A flow that has segments in a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutedFlow {
    /// The flow.
    pub key: FlowKey,
    /// Hash of the key. It selects the shard and the place in the shard's flow table.
    pub hash: u64,
    /// Interface, tags and tunnels of these segments. A flow whose segments differ in them is put on the route once for each.
    pub encapsulation: Encapsulation,
}

/// One segment, pointing into its batch. It is small because one core writes it and another reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedSegment {
    /// Packet number and time.
    pub stamp: Stamp,
    /// Index into the route's flows.
    pub flow: u32,
    /// Which way the segment goes.
    pub direction: Direction,
    flags: TcpFlags,
    sequence: u32,
    acknowledgment: u32,
    place: PayloadPlace,
    captured: u32,
    wire_length: u32,
    /// Bytes of the TCP header directly before the payload, if they are at hand.
    header_length: u8,
}

/// How shards are grouped. There are enough groups to give all threads an equal part of the work, and few enough to give each
/// group a good part of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups {
    count: usize,
    shards: usize,
}

impl Groups {
    /// The grouping of this number of shards, a power of two, for this number of workers. The thread that reads and decodes is not
    /// counted.
    pub(crate) fn of_workers(workers: usize, shards: usize) -> Self {
        let least = if workers == 0 { 1 } else { 4 };
        Self { count: workers.saturating_mul(2).max(least).min(shards).next_power_of_two(), shards }
    }

    /// The numbers of each group's shards.
    pub(crate) fn shards(self) -> impl Iterator<Item = Range<usize>> {
        let together = self.shards / self.count;
        (0..self.count).map(move |group| group * together..(group + 1) * together)
    }

    /// The group that has the flow with this hash.
    #[inline]
    pub(crate) fn of_flow(self, hash: u64) -> usize {
        self.of_shard(flow::shard(hash, self.shards))
    }

    /// The group of a shard.
    #[inline]
    pub(crate) fn of_shard(self, shard: usize) -> usize {
        shard * self.count / self.shards
    }
}

/// A moment of packet time, before the segment at `before`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedMoment {
    /// Index into the route's segments.
    pub before: u32,
    /// The number of the packet that it comes before.
    pub number: u64,
    /// The moment.
    pub moment: Moment,
}

/// The segments of one batch that go to one group, in packet order, and the moments between them.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Flows, in order of their first segment.
    pub flows: Vec<RoutedFlow>,
    /// Segments.
    pub segments: Vec<PlacedSegment>,
    /// Moments, in order.
    pub moments: Vec<PlacedMoment>,
}

impl Route {
    /// Empties the route, keeping its memory.
    pub(crate) fn clear(&mut self) {
        self.flows.clear();
        self.segments.clear();
        self.moments.clear();
    }
}

/// Where a flow of the batch at hand is: the group whose route it is on, and its index there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowPlace {
    /// Index of the route.
    pub group: u32,
    /// Index into the route's flows.
    pub flow: u32,
}

/// A cache of where the flows of the batch at hand are, by their endpoints. Most segments of a batch are of few flows, so key
/// and hash are worked out once a flow and batch instead of once a segment. A flow whose entry another flow has taken is
/// put on the route a second time, as another [`RoutedFlow`] with the same key. That costs a look-up and changes no finding.
#[derive(Debug)]
pub(crate) struct FlowCache {
    entries: Box<[CachedFlow; CACHED_FLOWS]>,
    batch: u32,
    multiplier: u64,
}

#[derive(Debug, Clone, Copy)]
struct CachedFlow {
    batch: u32,
    place: FlowPlace,
}

/// Entries of a [`FlowCache`]: as many as stay in the processor's nearest cache.
const CACHED_FLOWS: usize = 512;

impl FlowCache {
    /// An empty cache. The seed keeps outsiders from knowing which flows share an entry.
    pub(crate) fn new(seed: u64) -> Self {
        let nothing = CachedFlow { batch: 0, place: FlowPlace { group: 0, flow: 0 } };
        Self { entries: Box::new([nothing; CACHED_FLOWS]), batch: 0, multiplier: (seed ^ 0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// Begins another batch.
    pub(crate) fn next_batch(&mut self) {
        self.batch = self.batch.wrapping_add(1);
    }

    /// Where the flow of a segment is, and which way the segment goes. `None` if the flow is not in the cache. A call would
    /// make the compiler write every segment to memory.
    #[inline(always)]
    pub(crate) fn find(&self, segment: &Segment<'_>, routes: &[Route]) -> Option<(FlowPlace, Direction)> {
        let CachedFlow { batch, place } = self.entries[self.index_of(segment)];
        if batch != self.batch {
            return None;
        }
        let known = routes.get(place.group as usize)?.flows.get(place.flow as usize)?;
        if known.encapsulation != segment.encapsulation {
            return None;
        }
        Some((place, known.key.direction_of(segment)?))
    }

    /// Stores where the flow of a segment is.
    #[inline]
    pub(crate) fn insert(&mut self, segment: &Segment<'_>, place: FlowPlace) {
        self.entries[self.index_of(segment)] = CachedFlow { batch: self.batch, place };
    }

    /// The entry of a segment's flow: the same for both directions.
    #[inline]
    fn index_of(&self, segment: &Segment<'_>) -> usize {
        let (Endpoint { address: source, port }, Endpoint { address: destination, port: other }) =
            (segment.source, segment.destination);
        let ((high, low), (other_high, other_low)) = (source.halves(), destination.halves());
        let mixed = low ^ other_low ^ (high ^ other_high).rotate_left(29) ^ u64::from(port ^ other) << 40;
        let mixed = mixed ^ u64::from(segment.encapsulation.outer_source);
        (mixed.wrapping_mul(self.multiplier) >> (64 - CACHED_FLOWS.ilog2())) as usize % CACHED_FLOWS
    }
}

/// Bytes of memory that an emptied side buffer keeps.
const KEPT_SIDE_BYTES: usize = 256 << 10;

/// Payload bytes that decoding made itself.
#[derive(Debug, Default)]
pub(crate) struct SideBuffer(Vec<u8>);

impl SideBuffer {
    /// Empties the buffer. Keeps at most 256 KiB of memory: a single batch may complete many datagrams.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_SIDE_BYTES);
    }
}

impl PlacedSegment {
    /// Places a segment. `bytes` are those of the segment's batch.
    #[inline]
    pub(crate) fn place(
        segment: &Segment<'_>,
        (flow, direction): (u32, Direction),
        stamp: Stamp,
        bytes: &[u8],
        side: &mut SideBuffer,
    ) -> Self {
        let offset = (segment.payload.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        let inside = offset <= bytes.len() && segment.payload.len() <= bytes.len() - offset;
        let place = if inside {
            PayloadPlace::Packet(offset as u32)
        } else {
            side.0.extend_from_slice(segment.header);
            let start = side.0.len() as u32;
            side.0.extend_from_slice(segment.payload);
            PayloadPlace::Side(start)
        };
        Self {
            stamp,
            flow,
            direction,
            flags: segment.flags,
            sequence: segment.sequence,
            acknowledgment: segment.acknowledgment,
            place,
            captured: segment.payload.len() as u32,
            wire_length: segment.wire_length,
            header_length: segment.header.len() as u8,
        }
    }

    /// The TCP header and the payload, where they lie. The header is empty if it is not at hand.
    #[inline]
    pub(crate) fn parts<'a>(&self, bytes: &'a [u8], side: &'a SideBuffer) -> (&'a [u8], &'a [u8]) {
        let (from, payload) = match self.place {
            PayloadPlace::Packet(start) => (bytes, start as usize),
            PayloadPlace::Side(start) => (side.0.as_slice(), start as usize),
        };
        let header_length = usize::from(self.header_length);
        let both = from.get(payload.wrapping_sub(header_length)..payload + self.captured as usize).unwrap_or_default();
        both.split_at_checked(header_length).unwrap_or_default()
    }

    /// The segment as reassembly takes it, with its payload borrowed from where it lies.
    #[inline]
    pub(crate) fn segment<'a>(&self, flow: &'a RoutedFlow, bytes: &'a [u8], side: &'a SideBuffer) -> FlowSegment<'a> {
        let (header, payload) = self.parts(bytes, side);
        FlowSegment {
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            flags: self.flags,
            payload,
            wire_length: self.wire_length,
            header,
            encapsulation: &flow.encapsulation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn segment(source: (u8, u16), destination: (u8, u16), encapsulation: Encapsulation) -> Segment<'static> {
        let end = |(host, port): (u8, u16)| Endpoint::new(Address::v4([10, 0, 0, host]), port);
        Segment {
            source: end(source),
            destination: end(destination),
            sequence: 0,
            acknowledgment: 0,
            flags: TcpFlags::ACK,
            payload: &[],
            wire_length: 0,
            header: &[],
            encapsulation,
        }
    }

    #[test]
    fn a_flow_is_found_both_ways_in_its_batch_and_its_encapsulation_only() {
        let plain = Encapsulation::default();
        let there = segment((1, 4000), (2, 80), plain);
        let (key, _) = FlowKey::of(&there, 0);
        let route = Route { flows: vec![RoutedFlow { key, hash: 5, encapsulation: plain }], ..Route::default() };
        let routes = [Route::default(), route];
        let mut cache = FlowCache::new(7);
        cache.next_batch();
        let found = |cache: &FlowCache, segment: &Segment<'_>| {
            cache.find(segment, &routes).map(|(place, direction)| (place.group, place.flow, direction))
        };
        assert_eq!(found(&cache, &there), None);
        cache.insert(&there, FlowPlace { group: 1, flow: 0 });
        assert_eq!(found(&cache, &there), Some((1, 0, Direction::Ascending)));
        let back = segment((2, 80), (1, 4000), plain);
        assert_eq!(found(&cache, &back), Some((1, 0, Direction::Descending)));
        let tagged = segment((1, 4000), (2, 80), Encapsulation { vlans: [7, 0], depth: 1, ..plain });
        assert_eq!(found(&cache, &tagged), None);
        cache.next_batch();
        assert_eq!(found(&cache, &there), None);
    }

    #[test]
    fn a_flow_whose_entry_another_has_taken_is_not_mistaken_for_it() {
        let plain = Encapsulation::default();
        let mut cache = FlowCache::new(7);
        cache.next_batch();
        let ports = 1..=u16::MAX;
        let mut routes = [Route::default()];
        for port in ports.clone() {
            let new = segment((1, port), (2, 80), plain);
            let place = FlowPlace { group: 0, flow: routes[0].flows.len() as u32 };
            let (key, _) = FlowKey::of(&new, 0);
            routes[0].flows.push(RoutedFlow { key, hash: 0, encapsulation: plain });
            cache.insert(&new, place);
        }
        let mut cached = 0;
        for port in ports {
            let again = segment((1, port), (2, 80), plain);
            if let Some((place, _)) = cache.find(&again, &routes) {
                assert_eq!(routes[0].flows[place.flow as usize].key, FlowKey::of(&again, 0).0);
                cached += 1;
            }
        }
        // All entries are used: the ports of one host are spread over them.
        assert_eq!(cached, CACHED_FLOWS);
    }
}
