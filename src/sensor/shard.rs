//! A shard: a fixed part of all flows, from segments to findings.
//!
//! In: a [`Route`] of its group. Out: [`Record`]s in order. Promises: what a shard finds depends on its own segments and on ticks
//! alone; shards share nothing.

use std::ops::Range;

use crossbeam_channel::{Receiver, Sender, bounded, never};

use crate::{
    capture::Stamp,
    event::EventSettings,
    exchange::{Exchange, ExchangePool, ExchangeSink},
    flow::{FlowCounters, FlowSettings, FlowSlot, FlowTable, Gaps},
    stream::http1::{Conversation, HttpCounters, HttpEngine, HttpSettings},
    tcp::FlowSegment,
    telemetry::summary::StageCounts,
    time::Stretch,
};

use super::{
    prefetch::{prefetch, prefetch_value},
    record::{Finding, Order, Record, Spent},
    segments::{PlacedSegment, Route, RoutedFlow, SideBuffer, shard_of},
    teaching::TeachingFilter,
};

/// Segments between the one at hand and the one whose payload is asked for: another core has read it.
const FETCHED_AHEAD: usize = 8;

/// Batches of spent exchanges that may wait to be reused: more than there can be after the output was held up.
const SPENT: usize = 64;

/// What a shard reports.
#[derive(Debug, Clone)]
pub(crate) struct Reporting {
    /// Which exchanges are errors.
    pub events: EventSettings,
    /// Whether every exchange is reported when it is over.
    pub every_exchange: bool,
}

/// The settings of one shard.
#[derive(Debug, Clone)]
pub(crate) struct ShardSettings {
    /// Flows and reassembly.
    pub flow: FlowSettings,
    /// HTTP.
    pub http: HttpSettings,
    /// What is reported.
    pub reporting: Reporting,
}

/// One shard.
struct Shard {
    flows: FlowTable<Conversation>,
    http: HttpEngine<Reporter>,
}

/// The counters of a group of shards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    flow: FlowCounters,
    http: HttpCounters,
    gaps: Gaps,
}

/// Shards that are worked on together.
pub(crate) struct ShardGroup {
    /// Number of the first.
    first: usize,
    shards: Vec<Shard>,
    /// Where the flows of the batch at hand are.
    places: Vec<Option<FlowSlot>>,
    /// Exchanges that come back for reuse.
    returned: Receiver<Spent>,
}

impl ShardGroup {
    /// A group of shards, none of which has seen anything.
    pub(crate) fn new(numbers: Range<usize>, settings: &ShardSettings) -> Self {
        let shard = |number| Shard {
            flows: FlowTable::new(settings.flow.clone()),
            http: HttpEngine::new(settings.http.clone(), Reporter::new(number as u8, settings.reporting.clone())),
        };
        Self { first: numbers.start, shards: numbers.map(shard).collect(), places: Vec::new(), returned: never() }
    }

    /// A place to give back exchanges that these shards made.
    pub(crate) fn way_back(&mut self) -> Sender<Spent> {
        let (give_back, returned) = bounded(SPENT);
        self.returned = returned;
        give_back
    }

    /// Takes exchanges back that the shards made, each its own: were they spread, shards that make few would pile them up and
    /// those that make many would allocate for ever.
    fn take_back(&mut self) {
        for (shard, exchange) in self.returned.try_iter().flatten() {
            if let Some(shard) = self.shards.get_mut(usize::from(shard).wrapping_sub(self.first)) {
                shard.http.pool_mut().put_empty(exchange);
            }
        }
    }

    /// Processes a route: segments in order, timers at its ticks.
    pub(crate) fn process(&mut self, route: &Route, bytes: &[u8], side: &SideBuffer, records: &mut Vec<Record>) {
        self.take_back();
        self.locate_all(&route.flows);
        let mut start = 0;
        for tick in &route.ticks {
            let end = (tick.before as usize).min(route.segments.len());
            self.push_all(&route.segments[start..end], &route.flows, bytes, side, records);
            self.advance(tick.stamp, records);
            start = end;
        }
        self.push_all(&route.segments[start..], &route.flows, bytes, side, records);
    }

    /// Goes on under other settings.
    pub(crate) fn reconfigure(&mut self, settings: &ShardSettings) {
        for shard in &mut self.shards {
            shard.flows.reconfigure(settings.flow.clone());
            shard.http.reconfigure(settings.http.clone());
            shard.http.sink_mut().reporting.clone_from(&settings.reporting);
        }
    }

    /// The counters of flows and HTTP over all shards of the group.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for shard in &self.shards {
            tally.flow.merge(shard.flows.counters());
            tally.http.merge(shard.http.counters());
            tally.gaps.merge(shard.flows.gaps());
        }
        tally
    }

    /// Tallies of all groups together: counters by stage, and holes by interface.
    pub(crate) fn counts(tallies: Vec<Tally>) -> ([StageCounts; 2], Gaps) {
        let Tally { flow, http, gaps } = tallies.into_iter().fold(Tally::default(), |mut sum, tally| {
            sum.flow.merge(&tally.flow);
            sum.http.merge(&tally.http);
            sum.gaps.merge(&tally.gaps);
            sum
        });
        let stages = [
            StageCounts { stage: "flow", counts: flow.counts() },
            StageCounts { stage: "http", counts: http.counts() },
        ];
        (stages, gaps)
    }

    /// Finds the flows of a whole batch before any of its segments is pushed: the look-ups' cache misses overlap.
    fn locate_all(&mut self, flows: &[RoutedFlow]) {
        self.places.clear();
        self.places.extend(flows.iter().map(|flow| {
            let shard = self.shards.get(shard_of(flow.hash).wrapping_sub(self.first));
            shard.and_then(|shard| shard.flows.locate(flow.hash, &flow.key))
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
                prefetch(ahead.payload(bytes, side));
            }
            let index = placed.flow as usize;
            let (Some(flow), Some(place)) = (flows.get(index), self.places.get_mut(index)) else { continue };
            if let Some(shard) = self.shards.get_mut(shard_of(flow.hash).wrapping_sub(self.first)) {
                let segment = placed.segment(flow, bytes, side);
                *place = shard.push(&segment, flow, placed, *place, records);
            }
        }
        // A packet may hold segments of several shards, which must not be told in another order where others share a group.
        if let Some(found) = records.get_mut(found_before..) {
            found.sort_by_key(|record| record.order);
        }
    }

    fn advance(&mut self, now: Stamp, records: &mut Vec<Record>) {
        for shard in &mut self.shards {
            shard.http.sink_mut().is_tick = true;
            shard.flows.advance(now, &mut shard.http);
            shard.report_loss(now);
            let reporter = shard.http.sink_mut();
            reporter.is_tick = false;
            records.append(&mut reporter.records);
        }
    }

    /// The capture has ended: what waits is delivered, every flow ends.
    pub(crate) fn finish(&mut self, now: Stamp, records: &mut Vec<Record>) {
        for shard in &mut self.shards {
            shard.flows.finish(now, &mut shard.http);
            shard.report_loss(now);
            records.append(&mut shard.http.sink_mut().records);
        }
    }
}

impl Shard {
    /// Reports what was lost since the tick before.
    fn report_loss(&mut self, now: Stamp) {
        let reporter = self.http.sink_mut();
        let lost = self.flows.take_lost().into_iter().chain(reporter.hidden.take()).reduce(Stretch::with);
        if let Some(lost) = lost {
            reporter.record(now, Finding::Loss(lost));
        }
    }

    #[inline]
    fn push(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: &RoutedFlow,
        placed: &PlacedSegment,
        place: Option<FlowSlot>,
        records: &mut Vec<Record>,
    ) -> Option<FlowSlot> {
        let (direction, stamp) = (placed.direction, placed.stamp);
        let place = self.flows.push(segment, &flow.key, direction, flow.hash, place, stamp, &mut self.http);
        let found = &mut self.http.sink_mut().records;
        if !found.is_empty() {
            records.append(found);
        }
        place
    }
}

/// Turns a shard's exchanges into records.
struct Reporter {
    shard: u8,
    /// When bytes were not captured that may have held responses, since that was last reported.
    hidden: Option<Stretch>,
    is_tick: bool,
    reporting: Reporting,
    taught: TeachingFilter,
    records: Vec<Record>,
}

impl Reporter {
    fn new(shard: u8, reporting: Reporting) -> Self {
        Self { shard, hidden: None, is_tick: false, reporting, taught: TeachingFilter::default(), records: Vec::new() }
    }

    fn record(&mut self, now: Stamp, finding: Finding) {
        self.records.push(Record { order: self.order(now), stamp: now, finding });
    }

    fn order(&self, now: Stamp) -> Order {
        if self.is_tick { Order::of_tick(now.number, self.shard) } else { Order::of_packet(now.number, self.shard) }
    }

    /// The last record, if it is of the same packet and says of this very exchange that it failed.
    fn decided_just_now(&mut self, exchange: &Exchange, now: Stamp) -> Option<&mut Finding> {
        let order = self.order(now);
        let Record { finding, .. } = self.records.last_mut().filter(|last| last.order == order)?;
        let Finding::Failed(decided) = &mut *finding else { return None };
        decided.completes_as(exchange).then_some(finding)
    }
}

impl ExchangeSink for Reporter {
    fn decided(&mut self, exchange: &mut Box<Exchange>, pool: &mut ExchangePool, now: Stamp) {
        if self.reporting.events.reason_of(exchange).is_some() {
            let failed = if self.reporting.every_exchange {
                let mut copy = pool.get();
                copy.copy_from(exchange);
                copy
            } else {
                pool.take(exchange)
            };
            self.record(now, Finding::Failed(failed));
        } else if let Some(observation) = self.taught.news(exchange) {
            self.record(now, Finding::Teaching(observation));
        }
    }

    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, now: Stamp) {
        if !self.reporting.every_exchange {
            pool.put(exchange);
        } else if let Some(finding) = self.decided_just_now(&exchange, now) {
            // One value instead of two: the other core has half as much to fetch.
            if let Finding::Failed(decided) = std::mem::replace(finding, Finding::FailedAndFinished(exchange)) {
                pool.put(decided);
            }
        } else {
            self.record(now, Finding::Finished(exchange));
        }
    }

    fn hidden(&mut self, now: Stamp) {
        let now = Stretch::from(now.time);
        self.hidden = Some(self.hidden.map_or(now, |before| before.with(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exchange::{Outcome, Remarks},
        time::Timestamp,
    };

    /// What is recorded of an error that is decided with the first packet and over with the packet `end`.
    fn recorded(end: u64, between: impl Fn(&mut Exchange, &mut Reporter)) -> Vec<&'static str> {
        let packet = |number| Stamp { number, time: Timestamp::EPOCH };
        let reporting = Reporting { events: EventSettings::default(), every_exchange: true };
        let (mut reporter, mut pool) = (Reporter::new(0, reporting), ExchangePool::default());
        let mut exchange = Box::new(Exchange { status: 404, outcome: Outcome::Answered, ..Exchange::default() });
        exchange.target = exchange.store(b"/missing");
        reporter.decided(&mut exchange, &mut pool, packet(1));
        between(&mut exchange, &mut reporter);
        exchange.response_end = Some(packet(end));
        exchange.response_body_bytes = 153;
        reporter.finished(exchange.clone(), &mut pool, packet(end));
        for record in &reporter.records {
            let ended = record.finding.exchange().map(|found| found.response_body_bytes);
            assert_eq!(ended, Some(if matches!(record.finding, Finding::Failed(_)) { 0 } else { 153 }));
        }
        let name = |record: &Record| match record.finding {
            Finding::Failed(_) => "failed",
            Finding::Finished(_) => "finished",
            Finding::FailedAndFinished(_) => "both",
            Finding::Teaching(_) | Finding::Loss(_) => "other",
        };
        reporter.records.iter().map(name).collect()
    }

    #[test]
    fn an_error_that_is_over_at_once_is_one_record_unless_more_than_its_end_came_after() {
        assert_eq!(recorded(1, |_, _| {}), ["both"]);
        assert_eq!(recorded(2, |_, _| {}), ["failed", "finished"]);
        assert_eq!(recorded(1, |exchange, _| exchange.remarks.add(Remarks::RESET)), ["failed", "finished"]);
        let page = |exchange: &mut Exchange, _: &mut Reporter| exchange.body_start = exchange.store(b"<html>");
        assert_eq!(recorded(1, page), ["failed", "finished"]);
        assert_eq!(recorded(1, |_, reporter| reporter.is_tick = true), ["failed", "finished"]);
    }

    #[test]
    fn exchanges_go_round_however_unequal_the_shards_are() {
        let reporting = Reporting { events: EventSettings::default(), every_exchange: false };
        let settings = ShardSettings { flow: FlowSettings::default(), http: HttpSettings::default(), reporting };
        let mut group = ShardGroup::new(4..8, &settings);
        let way_back = group.way_back();
        let pooled = |group: &ShardGroup| group.shards.iter().map(|shard| shard.http.pool().len()).sum::<usize>();
        for _ in 0..1_000 {
            // All errors of a batch are one shard's.
            let busy = &mut group.shards[1];
            let spent: Spent = (0..10).map(|_| (5, busy.http.pool_mut().get())).collect();
            way_back.send(spent).unwrap();
            group.take_back();
            assert_eq!(pooled(&group), 10);
        }
        way_back.send(vec![(0, Box::default())]).unwrap();
        group.take_back();
        assert_eq!(pooled(&group), 10, "what no shard of the group made is freed");
    }
}
