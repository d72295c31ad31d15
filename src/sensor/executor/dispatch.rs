//! From packets to routes: filter, decode, hash, choose the group of shards.
//!
//! In: one [`PacketBatch`]. Out: for each group of shards the [`Route`] of its segments, with ticks of packet time
//! between them. Promises: routes depend on the packets alone, never on how they were cut into batches.

use crate::{
    capture::{Packet, PacketBatch, Stamp},
    decode::Segment,
    sensor::{
        intake::{FlowKeys, Intake},
        shard::shard_of,
    },
    tcp::Direction,
};

use super::{
    prefetch::prefetch_headers,
    routes::{FlowCache, FlowPlace, Groups, PlacedSegment, Route, RoutedFlow, SideBuffer, Tick},
};

/// Packets between the one at hand and the one whose bytes are asked for.
const FETCHED_AHEAD: usize = 8;

/// Decodes batches and places their segments on routes.
pub(crate) struct Dispatcher {
    pub(super) intake: Intake,
    cache: FlowCache,
}

impl Dispatcher {
    /// A dispatcher that has seen no packet yet.
    pub(crate) fn new(intake: Intake) -> Self {
        Self { cache: FlowCache::new(intake.keys.hash_key()), intake }
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
        self.cache.next_batch();
        let (intake, cache) = (&mut self.intake, &mut self.cache);
        let mut placing = Placing { keys: intake.keys, groups, cache, bytes: &batch.bytes, routes, side };
        for (index, packet) in batch.packets().enumerate() {
            if let Some(ahead) = batch.records.get(index + FETCHED_AHEAD) {
                prefetch_headers(&batch.bytes, ahead.offset as usize);
            }
            if !intake.admits(&packet) {
                continue;
            }
            if let Some(stamp) = intake.clock.advance(packet.stamp) {
                tick(placing.routes, stamp);
            }
            if let Some(segment) = intake.decoder.decode_ordinary(&packet) {
                placing.place(segment, &packet);
            } else {
                intake.decoder.decode_other(&packet, &mut |segment| placing.place(segment, &packet));
            }
        }
        if let Some(stamp) = batch.reached.and_then(|time| intake.clock.reach(time)) {
            tick(routes, stamp);
        }
    }
}

/// Puts the segments of one batch on the routes of their groups.
struct Placing<'a> {
    keys: FlowKeys,
    groups: Groups,
    cache: &'a mut FlowCache,
    bytes: &'a [u8],
    routes: &'a mut [Route],
    side: &'a mut SideBuffer,
}

impl Placing<'_> {
    #[inline(always)]
    fn place(&mut self, mut segment: Segment<'_>, packet: &Packet<'_>) {
        segment.encapsulation.interface = packet.interface;
        let cached = self.cache.find(&segment, self.routes);
        let (place, direction) = cached.unwrap_or_else(|| self.place_flow(segment));
        if let Some(route) = self.routes.get_mut(place.group as usize) {
            let flow = (place.flow, direction);
            route.segments.push(PlacedSegment::place(&segment, flow, packet.stamp, self.bytes, self.side));
        }
    }

    /// Puts the flow of a segment on its group's route. Takes a copy of the segment: if it took a reference, the compiler
    /// would write every segment to memory, also those whose flow is in the cache.
    #[inline(never)]
    fn place_flow(&mut self, segment: Segment<'_>) -> (FlowPlace, Direction) {
        let encapsulation = segment.encapsulation;
        let (key, hash, direction) = self.keys.of(&segment);
        let group = self.groups.of_shard(shard_of(hash));
        let mut place = FlowPlace { group: group as u32, flow: 0 };
        if let Some(route) = self.routes.get_mut(group) {
            place.flow = route.flows.len() as u32;
            route.flows.push(RoutedFlow { key, hash, encapsulation });
            self.cache.insert(&segment, place);
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
