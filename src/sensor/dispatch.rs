//! From packets to routes: decode, hash, choose the shard.
//!
//! In: one [`PacketBatch`]. Out: for each group of shards the [`Route`] of its segments, with ticks of packet time
//! between them. Promises: routes depend on the packets alone, never on how they were cut into batches.

use std::time::Duration;

use crate::{
    capture::{
        LinkType, Packet, PacketBatch, Stamp,
        filter::{Filter, FilterError},
    },
    counters,
    decode::{DecodeSettings, Decoder, Segment},
    flow::{self, Direction, FlowKey, FlowScope},
    time::Timestamp,
};

use super::{
    prefetch::prefetch_headers,
    segments::{FlowMemory, FlowPlace, Groups, PlacedSegment, Route, RoutedFlow, SideBuffer, Tick, shard_of},
};

/// Packets between the one at hand and the one whose bytes are asked for.
const FETCHED_AHEAD: usize = 8;

/// Packet time between two ticks.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Decodes batches and places their segments.
pub(crate) struct Dispatcher {
    decoder: Decoder,
    filter: Option<PacketFilter>,
    scope: FlowScope,
    seed: u64,
    clock: PacketClock,
    memory: FlowMemory,
    counters: FilterCounters,
}

counters! {
    /// What the filter did.
    pub struct FilterCounters {
        /// Packets that the filter left out.
        left_out,
    }
}

impl Dispatcher {
    /// A dispatcher; `seed` keys the flow hash.
    pub(crate) fn new(decoder: Decoder, filter: Option<PacketFilter>, scope: FlowScope, seed: u64) -> Self {
        Self {
            decoder,
            filter,
            scope,
            seed,
            clock: PacketClock::default(),
            memory: FlowMemory::new(seed),
            counters: FilterCounters::default(),
        }
    }

    /// Decodes under other settings from now on.
    pub(crate) fn reconfigure(&mut self, decode: &DecodeSettings) {
        self.decoder.reconfigure(decode.clone());
    }

    /// Decodes a batch into one route a group of shards. Routes and side buffer are emptied first.
    #[inline(never)]
    pub(crate) fn dispatch(
        &mut self,
        batch: &PacketBatch,
        groups: Groups,
        routes: &mut [Route],
        side: &mut SideBuffer,
    ) {
        side.clear();
        routes.iter_mut().for_each(Route::clear);
        self.memory.next_batch();
        let (scope, seed, memory) = (self.scope, self.seed, &mut self.memory);
        let mut placing = Placing { scope, seed, groups, memory, bytes: &batch.bytes, routes, side };
        for (index, packet) in batch.packets().enumerate() {
            if let Some(ahead) = batch.records.get(index + FETCHED_AHEAD) {
                prefetch_headers(&batch.bytes, ahead.offset as usize);
            }
            if let Some(filter) = &mut self.filter
                && !filter.matches(&packet)
            {
                self.counters.left_out += 1;
                continue;
            }
            if let Some(stamp) = self.clock.advance(packet.stamp) {
                tick(placing.routes, stamp);
            }
            if let Some(segment) = self.decoder.decode_ordinary(&packet) {
                placing.place(segment, &packet);
            } else {
                self.decoder.decode_other(&packet, &mut |segment| placing.place(segment, &packet));
            }
        }
        if let Some(time) = batch.reached
            && let Some(stamp) = self.clock.advance(Stamp { number: self.clock.now.number, time })
        {
            tick(routes, stamp);
        }
    }

    /// Packet time goes on from an earlier one: every clock it came from was set back. A tick says so before the next packet.
    pub(crate) fn turn_back(&mut self, time: Timestamp) {
        self.clock.turn_back(time);
    }

    /// The last packet's number and the latest packet time so far.
    pub(crate) fn now(&self) -> Stamp {
        self.clock.now
    }

    /// What the filter did.
    pub(crate) fn counters(&self) -> &FilterCounters {
        &self.counters
    }

    /// The decoder, for its counters.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

/// Puts the segments of one batch on the routes of their groups.
struct Placing<'a> {
    scope: FlowScope,
    seed: u64,
    groups: Groups,
    memory: &'a mut FlowMemory,
    bytes: &'a [u8],
    routes: &'a mut [Route],
    side: &'a mut SideBuffer,
}

impl Placing<'_> {
    #[inline(always)]
    fn place(&mut self, mut segment: Segment<'_>, packet: &Packet<'_>) {
        segment.encapsulation.interface = packet.interface;
        let recalled = self.memory.recall(&segment, self.routes);
        let (place, direction) = recalled.unwrap_or_else(|| self.place_flow(segment));
        if let Some(route) = self.routes.get_mut(place.group as usize) {
            let flow = (place.flow, direction);
            route.segments.push(PlacedSegment::place(&segment, flow, packet.stamp, self.bytes, self.side));
        }
    }

    /// Puts the flow of a segment on its group's route. Takes a copy of the segment: one that is lent out would have to be in
    /// memory on the way that never comes here too.
    #[inline(never)]
    fn place_flow(&mut self, segment: Segment<'_>) -> (FlowPlace, Direction) {
        let encapsulation = segment.encapsulation;
        let (key, direction) = FlowKey::of(&segment, self.scope.of(&encapsulation));
        let hash = flow::hash(&key, self.seed);
        let group = self.groups.of_shard(shard_of(hash));
        let mut place = FlowPlace { group: group as u32, flow: 0 };
        if let Some(route) = self.routes.get_mut(group) {
            place.flow = route.flows.len() as u32;
            route.flows.push(RoutedFlow { key, hash, encapsulation });
            self.memory.note(&segment, place);
        }
        (place, direction)
    }
}

/// Puts a tick after the segments placed so far.
fn tick(routes: &mut [Route], stamp: Stamp) {
    for route in routes {
        route.ticks.push(Tick { before: route.segments.len() as u32, stamp });
    }
}

/// One filter expression, compiled for each link type that comes.
pub(crate) struct PacketFilter {
    expression: String,
    compiled: Vec<(LinkType, Option<Filter>)>,
}

impl PacketFilter {
    /// A filter; the expression must compile for Ethernet, or for raw IP.
    ///
    /// # Errors
    ///
    /// An expression that is not in libpcap's language.
    pub(crate) fn new(expression: &str) -> Result<Self, FilterError> {
        let compiled = Filter::compile(LinkType::ETHERNET, expression)?;
        Ok(Self { expression: expression.to_owned(), compiled: vec![(LinkType::ETHERNET, Some(compiled))] })
    }

    /// Whether a packet matches; none does on a link type for which the expression means nothing.
    fn matches(&mut self, packet: &Packet<'_>) -> bool {
        let known = self.compiled.iter().position(|(link_type, _)| *link_type == packet.link_type);
        let index = known.unwrap_or_else(|| {
            self.compiled.push((packet.link_type, Filter::compile(packet.link_type, &self.expression).ok()));
            self.compiled.len() - 1
        });
        self.compiled[index].1.as_ref().is_some_and(|filter| filter.matches(packet.data))
    }
}

/// The latest packet time, which never goes back, and when the next tick is due.
#[derive(Debug, Default)]
struct PacketClock {
    now: Stamp,
    next_tick: Timestamp,
}

impl PacketClock {
    fn turn_back(&mut self, time: Timestamp) {
        (self.now.time, self.next_tick) = (time, Timestamp::EPOCH);
    }

    /// Takes the next packet; a tick is due when its time crosses a multiple of [`TICK`].
    #[inline]
    fn advance(&mut self, packet: Stamp) -> Option<Stamp> {
        self.now = Stamp { number: packet.number, time: self.now.time.max(packet.time) };
        if self.now.time < self.next_tick {
            return None;
        }
        self.next_tick = self.now.time.floor_to(TICK).plus(TICK);
        Some(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_unless_it_is_set_back() {
        let mut clock = PacketClock::default();
        let at = |clock: &mut PacketClock, seconds| {
            clock.advance(Stamp { number: seconds, time: Timestamp::from_parts(seconds, 0) }).map(|tick| tick.time)
        };
        let time = |seconds| Some(Timestamp::from_parts(seconds, 0));
        assert_eq!([100, 100, 90, 101].map(|seconds| at(&mut clock, seconds)), [time(100), None, None, time(101)]);
        clock.turn_back(Timestamp::from_parts(50, 0));
        assert_eq!([51, 51, 52].map(|seconds| at(&mut clock, seconds)), [time(51), None, time(52)]);
    }
}
