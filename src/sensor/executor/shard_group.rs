//! Shards that are worked on together, a batch at a time.
//!
//! In: the [`Route`] of a group for each batch. Out: [`Record`]s in order. Promises: the group finds what its shards would find
//! one segment at a time; memory is asked for before it is read.

use std::ops::Range;

use crossbeam_channel::{Receiver, Sender, bounded, never};

use crate::{
    capture::Stamp,
    flow::{self, FlowSlot},
    sensor::{
        record::Record,
        settings::ShardSettings,
        shard::{FlowRef, Shard, ShardCounters},
    },
};

use super::{
    prefetch::{prefetch, prefetch_value},
    records::UsedExchanges,
    routes::{PlacedMoment, PlacedSegment, Route, RoutedFlow, SideBuffer},
};

/// Segments between the one at hand and the one whose payload is asked for: another core has read it.
const FETCHED_AHEAD: usize = 8;

/// Batches of used exchanges that may wait to be reused: more than there can be after the output was held up.
const RETURN_QUEUE: usize = 64;

/// Shards that are worked on together.
pub(crate) struct ShardGroup {
    /// Number of the first shard.
    first: usize,
    /// The number of shards in all.
    of: usize,
    shards: Vec<Shard>,
    /// Where the flows of the batch at hand are in the flow tables.
    slots: Vec<Option<FlowSlot>>,
    /// Exchanges that come back for reuse.
    returned: Receiver<UsedExchanges>,
    /// Records of the last batch: the next batch has about as many.
    last_records: usize,
}

impl ShardGroup {
    /// A group of the shards with these numbers. They have seen nothing yet.
    pub(crate) fn new(numbers: Range<usize>, settings: &ShardSettings) -> Self {
        let first = numbers.start;
        let shards = numbers.map(|number| Shard::new(number as u8, settings)).collect();
        Self { first, of: settings.shards, shards, slots: Vec::new(), returned: never(), last_records: 0 }
    }

    /// Opens the channel on which exchanges that these shards made come back.
    pub(crate) fn return_channel(&mut self) -> Sender<UsedExchanges> {
        let (give_back, returned) = bounded(RETURN_QUEUE);
        self.returned = returned;
        give_back
    }

    /// Takes exchanges back, each into the pool of the shard that made it. If they were spread evenly, shards that make few
    /// would pile them up and shards that make many would allocate for ever.
    fn take_returned(&mut self) {
        for (shard, exchange) in self.returned.try_iter().flatten() {
            if let Some(shard) = self.shards.get_mut(usize::from(shard).wrapping_sub(self.first)) {
                shard.pool().put_empty(exchange);
            }
        }
    }

    /// Processes a route: its segments in order, and the timers at its moments. Returns the records, in order.
    pub(crate) fn process(&mut self, route: &Route, bytes: &[u8], side: &SideBuffer) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.last_records + self.last_records / 4);
        self.take_returned();
        self.locate_all(&route.flows);
        let mut start = 0;
        for PlacedMoment { before, number, moment } in &route.moments {
            let Some(time) = moment.time() else { continue };
            let end = (*before as usize).min(route.segments.len());
            self.push_all(&route.segments[start..end], &route.flows, bytes, side, &mut records);
            self.advance(Stamp { number: *number, time }, &mut records);
            start = end;
        }
        self.push_all(&route.segments[start..], &route.flows, bytes, side, &mut records);
        self.last_records = records.len();
        records
    }

    /// Goes on under other settings.
    pub(crate) fn reconfigure(&mut self, settings: &ShardSettings) {
        self.shards.iter_mut().for_each(|shard| shard.reconfigure(settings));
    }

    /// The counters of all shards of the group.
    pub(crate) fn counters(&self) -> ShardCounters {
        self.shards.iter().map(Shard::counters).collect()
    }

    /// Finds the flows of a whole batch before any of its segments is pushed: the cache misses of the look-ups overlap.
    fn locate_all(&mut self, flows: &[RoutedFlow]) {
        self.slots.clear();
        self.slots.extend(flows.iter().map(|flow| {
            let shard = self.shards.get(flow::shard(flow.hash, self.of).wrapping_sub(self.first));
            shard.and_then(|shard| shard.locate(&flow.key, flow.hash))
        }));
    }

    fn push_all(
        &mut self,
        segments: &[PlacedSegment],
        flows: &[RoutedFlow],
        bytes: &[u8],
        side: &SideBuffer,
        records: &mut Vec<Record>,
    ) {
        let found_before = records.len();
        for (index, placed) in segments.iter().enumerate() {
            if let Some(farthest) = segments.get(index + 4 * FETCHED_AHEAD) {
                prefetch_value(farthest);
            }
            if let Some(flow) = segments.get(index + 2 * FETCHED_AHEAD).and_then(|far| flows.get(far.flow as usize)) {
                prefetch_value(flow);
            }
            if let Some(ahead) = segments.get(index + FETCHED_AHEAD) {
                prefetch(ahead.parts(bytes, side).1);
            }
            let index = placed.flow as usize;
            let (Some(flow), Some(slot)) = (flows.get(index), self.slots.get_mut(index)) else { continue };
            if let Some(shard) = self.shards.get_mut(flow::shard(flow.hash, self.of).wrapping_sub(self.first)) {
                let segment = placed.segment(flow, bytes, side);
                let flow = FlowRef { key: &flow.key, hash: flow.hash, direction: placed.direction };
                *slot = shard.push(&segment, flow, placed.stamp, *slot, records);
            }
        }
        // A packet may hold segments of several shards. Sorted by shard, their records have the same order in every grouping.
        sort_from(records, found_before);
    }

    fn advance(&mut self, now: Stamp, records: &mut Vec<Record>) {
        let found_before = records.len();
        self.shards.iter_mut().for_each(|shard| shard.advance(now, records));
        sort_from(records, found_before);
    }

    /// The packets are over: what waits for missing bytes is delivered, and what waits for other connections is tried again.
    pub(crate) fn flush(&mut self, now: Stamp, records: &mut Vec<Record>) {
        let found_before = records.len();
        self.shards.iter_mut().for_each(|shard| shard.flush(now, records));
        sort_from(records, found_before);
    }

    /// The packets are over, and all groups have flushed: every flow ends.
    pub(crate) fn finish(&mut self, now: Stamp, records: &mut Vec<Record>) {
        let found_before = records.len();
        self.shards.iter_mut().for_each(|shard| shard.finish(now, records));
        sort_from(records, found_before);
    }
}

/// Sorts the records from an index on.
fn sort_from(records: &mut [Record], start: usize) {
    if let Some(found) = records.get_mut(start..) {
        found.sort_by_key(|record| record.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::SensorSettings;

    #[test]
    fn exchanges_go_round_however_unequal_the_shards_are() {
        let mut group = ShardGroup::new(4..8, &ShardSettings::of(&SensorSettings::default()));
        let give_back = group.return_channel();
        let pooled = |group: &mut ShardGroup| group.shards.iter_mut().map(|shard| shard.pool().len()).sum::<usize>();
        for _ in 0..1_000 {
            // All errors of a batch are one shard's.
            let busy = &mut group.shards[1];
            let used: UsedExchanges = (0..10).map(|_| (5, busy.pool().get())).collect();
            give_back.send(used).unwrap();
            group.take_returned();
            assert_eq!(pooled(&mut group), 10);
        }
        give_back.send(vec![(0, Box::default())]).unwrap();
        group.take_returned();
        assert_eq!(pooled(&mut group), 10, "what no shard of the group made is freed");
    }
}
