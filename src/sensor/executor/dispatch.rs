//! From packets to routes: filter, decode, hash, choose the group of shards.
//!
//! In: one [`PacketBatch`]. Out: for each group of shards the [`Route`] of its segments, with moments of packet
//! time between them. Promises: routes depend on the packets alone, never on how they were cut into batches.

use crate::{
    capture::{Packet, PacketBatch},
    decode::{Decoder, Segment},
    sensor::{
        clock::{Moment, Step, Turn},
        intake::{FlowKeys, Intake},
    },
    tcp::Direction,
};

use super::{
    prefetch::prefetch_headers,
    routes::{FlowCache, FlowPlace, Groups, PlacedMoment, PlacedSegment, Route, RoutedFlow, SideBuffer},
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
            match intake.clock.take(&packet) {
                Turn::Now => {}
                Turn::AfterTick(now) => note(placing.routes, now.number, Moment::Reached(now.time)),
                Turn::Instead(steps) => {
                    placing.follow(steps, &mut intake.decoder);
                    continue;
                }
            }
            placing.decode(&packet, &mut intake.decoder);
        }
        if let Some(time) = batch.reached {
            let steps = intake.clock.reach(time);
            placing.follow(steps, &mut intake.decoder);
        }
    }

    /// The packets are over: places the packets that the clock still holds, as a batch of its own.
    pub(crate) fn dispatch_held(&mut self, groups: Groups, routes: &mut [Route], side: &mut SideBuffer) {
        side.clear();
        routes.iter_mut().for_each(Route::clear);
        self.cache.next_batch();
        let (intake, cache) = (&mut self.intake, &mut self.cache);
        let steps = intake.clock.finish();
        let mut placing = Placing { keys: intake.keys, groups, cache, bytes: &[], routes, side };
        placing.follow(steps, &mut intake.decoder);
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
    fn decode(&mut self, packet: &Packet<'_>, decoder: &mut Decoder) {
        if let Some(segment) = decoder.decode_ordinary(packet) {
            self.place(segment, packet);
        } else {
            decoder.decode_other(packet, &mut |segment| self.place(segment, packet));
        }
    }

    /// Follows the steps of the clock. The payload of a held packet goes to the side buffer, as it is not in the batch.
    #[cold]
    #[inline(never)]
    fn follow(&mut self, steps: Vec<Step>, decoder: &mut Decoder) {
        for step in steps {
            match step {
                Step::Moment(number, moment) => note(self.routes, number, moment),
                Step::Packet(held) => {
                    self.decode(&held.packet(), decoder);
                }
            }
        }
    }

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
        let group = self.groups.of_flow(hash);
        let mut place = FlowPlace { group: group as u32, flow: 0 };
        if let Some(route) = self.routes.get_mut(group) {
            place.flow = route.flows.len() as u32;
            route.flows.push(RoutedFlow { key, hash, encapsulation });
            self.cache.insert(&segment, place);
        }
        (place, direction)
    }
}

/// Puts a moment after the segments placed so far.
fn note(routes: &mut [Route], number: u64, moment: Moment) {
    for route in routes {
        route.moments.push(PlacedMoment { before: route.segments.len() as u32, number, moment });
    }
}
