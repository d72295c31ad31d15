//! A shard: a fixed part of all flows, from segments to records.
//!
//! In: segments of the shard's flows, and ticks. Out: [`Record`]s in order. Promises: what a shard finds depends on its own
//! segments and on ticks alone; shards share nothing.

use crate::{
    capture::Stamp,
    detect::{Filters, RuleSet},
    event::Observer,
    exchange::{Exchange, ExchangePool, ExchangeSink, Turn},
    flow::{FlowCounters, FlowKey, FlowSlot, FlowTable},
    stream::{Relief, Stream, StreamCounters, Streams, UnreadPorts},
    tcp::{Direction, FlowSegment, Gaps},
    telemetry::summary::StageCounts,
    time::Stretch,
    verdict::activity::Telling,
};

use super::{
    record::{Content, Order, Record},
    server_fingerprints::ServerFingerprints,
    settings::ShardSettings,
};

/// Shards of a sensor that does not process connections in the order of all their packets. Their number is fixed, so that limits, timers
/// and order do not depend on the number of workers.
pub(crate) const SHARDS: usize = 16;

/// A flow as its key, its hash and the direction of the segment at hand.
#[derive(Clone, Copy)]
pub(crate) struct FlowRef<'a> {
    pub key: &'a FlowKey,
    pub hash: u64,
    pub direction: Direction,
}

/// One shard.
pub(crate) struct Shard {
    flows: FlowTable<Stream>,
    streams: Streams<Reporter>,
}

impl Shard {
    /// A shard that has seen nothing yet.
    pub(crate) fn new(number: u8, settings: &ShardSettings) -> Self {
        let mut streams = Streams::new(settings.streams.clone(), Reporter::new(number, settings));
        streams.use_tls_keys(settings.tls_keys.clone());
        Self { flows: FlowTable::new(settings.flow.clone()), streams }
    }

    /// Goes on under other settings.
    pub(crate) fn reconfigure(&mut self, settings: &ShardSettings) {
        self.flows.reconfigure(settings.flow.clone());
        self.streams.reconfigure(settings.streams.clone());
        self.streams.sink_mut().reconfigure(settings);
    }

    /// Finds a flow, if the shard knows it.
    #[inline]
    pub(crate) fn locate(&self, key: &FlowKey, hash: u64) -> Option<FlowSlot> {
        self.flows.locate(hash, key)
    }

    /// Processes a segment. `slot` is the flow's place in the flow table where the caller has located it. Returns the
    /// flow's place, unless the flow is over. Compiled into the loop over segments: a call costs a twentieth of a segment.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: FlowRef<'_>,
        stamp: Stamp,
        slot: Option<FlowSlot>,
        records: &mut Vec<Record>,
    ) -> Option<FlowSlot> {
        let slot = self.flows.push(segment, flow.key, flow.direction, flow.hash, slot, stamp, &mut self.streams);
        if self.streams.needs_relief() {
            self.relieve(stamp);
        }
        let found = &mut self.streams.sink_mut().records;
        if !found.is_empty() {
            records.append(found);
        }
        slot
    }

    /// Runs the timers of the shard's flows: packet time has reached `now`.
    pub(crate) fn advance(&mut self, now: Stamp, records: &mut Vec<Record>) {
        self.streams.sink_mut().moment = Moment::Tick;
        self.flows.advance(now, &mut self.streams);
        self.report_gap(now);
        let reporter = self.streams.sink_mut();
        reporter.moment = Moment::Packet;
        records.append(&mut reporter.records);
    }

    /// The packets are over: what waits for missing bytes is delivered, and what waits for other connections is tried again.
    pub(crate) fn flush(&mut self, now: Stamp, records: &mut Vec<Record>) {
        self.streams.sink_mut().moment = Moment::End;
        self.flows.flush(now, &mut self.streams);
        records.append(&mut self.streams.sink_mut().records);
    }

    /// The packets are over, and all shards have [flushed](Self::flush): every flow ends.
    pub(crate) fn finish(&mut self, now: Stamp, records: &mut Vec<Record>) {
        self.streams.sink_mut().moment = Moment::End;
        self.flows.finish(now, &mut self.streams);
        self.report_gap(now);
        records.append(&mut self.streams.sink_mut().records);
    }

    /// Where the shard's exchanges come from, to give used ones back.
    pub(crate) fn pool(&mut self) -> &mut ExchangePool {
        self.streams.pool_mut()
    }

    /// What the shard has counted.
    pub(crate) fn counters(&self) -> ShardCounters {
        ShardCounters {
            flow: self.flows.counters().clone(),
            streams: self.streams.counters().clone(),
            gaps: self.flows.gaps().clone(),
            unread: self.streams.unread_ports().clone(),
        }
    }

    /// Lets the oldest exchanges in flight go.
    #[cold]
    fn relieve(&mut self, now: Stamp) {
        let mut relief = Relief::default();
        self.flows.for_each(|_, stream| relief.consider(stream));
        relief.choose(&mut self.streams, now);
        self.flows.for_each(|flow, stream| self.streams.relieve(&relief, flow, stream, now));
    }

    /// Reports the gaps since the tick before.
    fn report_gap(&mut self, now: Stamp) {
        let reporter = self.streams.sink_mut();
        let gap = self.flows.take_lost().into_iter().chain(reporter.gap.take()).reduce(Stretch::with);
        if let Some(gap) = gap {
            reporter.record(reporter.order(now, None), now, Content::Gap(gap));
        }
    }
}

/// The counters of one shard or of several.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardCounters {
    flow: FlowCounters,
    streams: StreamCounters,
    gaps: Gaps,
    unread: UnreadPorts,
}

impl ShardCounters {
    /// Adds another shard's counters.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.flow.merge(&other.flow);
        self.streams.merge(&other.streams);
        self.gaps.merge(&other.gaps);
        self.unread.merge(&other.unread);
    }

    /// The counters by stage.
    pub(crate) fn stages(&self) -> [StageCounts; 2] {
        [
            StageCounts { stage: "flow", counts: self.flow.counts() },
            StageCounts { stage: "http", counts: self.streams.counts() },
        ]
    }

    /// Gaps in TCP streams, by interface.
    pub(crate) fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// The ports of connections whose content is not read.
    pub(crate) fn unread_ports(&self) -> &UnreadPorts {
        &self.unread
    }
}

impl FromIterator<ShardCounters> for ShardCounters {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), |mut sum, one| {
            sum.merge(&one);
            sum
        })
    }
}

/// What a shard does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It processes a packet.
    Packet,
    /// It runs its timers.
    Tick,
    /// It ends all flows.
    End,
}

/// The packet of an exchange's first byte.
fn first_packet(exchange: &Exchange) -> u64 {
    let starts = [exchange.request_start, exchange.response_start].into_iter().flatten();
    starts.map(|stamp| stamp.number).min().unwrap_or(u64::MAX)
}

/// Turns a shard's exchanges into records.
struct Reporter {
    shard: u8,
    /// When bytes that may have held responses were not captured, since that was last reported.
    gap: Option<Stretch>,
    /// What the shard does now.
    moment: Moment,
    observer: Observer,
    filters: Filters,
    telling: Telling,
    report_exchanges: bool,
    fingerprints: ServerFingerprints,
    records: Vec<Record>,
}

impl Reporter {
    fn new(shard: u8, settings: &ShardSettings) -> Self {
        Self {
            shard,
            gap: None,
            moment: Moment::Packet,
            observer: settings.observer.clone(),
            filters: settings.filters.clone(),
            telling: Telling::default(),
            report_exchanges: settings.report_exchanges,
            fingerprints: ServerFingerprints::default(),
            records: Vec::new(),
        }
    }

    fn reconfigure(&mut self, settings: &ShardSettings) {
        self.observer.clone_from(&settings.observer);
        self.filters.clone_from(&settings.filters);
        self.report_exchanges = settings.report_exchanges;
    }

    fn record(&mut self, order: Order, now: Stamp, content: Content) {
        self.records.push(Record { order, stamp: now, content });
    }

    /// A decided exchange to pass on. The connection keeps its own where that is reported when it is over.
    fn passed_on(&self, exchange: &mut Box<Exchange>, pool: &mut ExchangePool) -> Box<Exchange> {
        if self.report_exchanges {
            let mut copy = pool.get();
            copy.copy_from(exchange);
            copy
        } else {
            pool.take(exchange)
        }
    }

    /// The order of a record now. A record without an exchange comes last of its moment.
    fn order(&self, now: Stamp, exchange: Option<&Exchange>) -> Order {
        let first = || exchange.map_or(u64::MAX, first_packet);
        match self.moment {
            Moment::Packet => {
                let client = exchange.and_then(|exchange| exchange.endpoints).map(|(client, _)| client);
                Order::of_packet(now.number, client, self.shard)
            }
            Moment::Tick => Order::of_tick(now.number, first(), self.shard),
            Moment::End => Order::of_end(now.number, first(), self.shard),
        }
    }

    /// The content of the last record, and the rules that it is for, if that record is of the same packet and says that this
    /// very exchange failed.
    fn failed_just_now(&mut self, exchange: &Exchange, now: Stamp) -> Option<(&mut Content, RuleSet)> {
        let order = self.order(now, Some(exchange));
        let Record { content, .. } = self.records.last_mut().filter(|last| last.order == order)?;
        let Content::Failed(failed, matched) = &mut *content else { return None };
        let matched = *matched;
        failed.completes_as(exchange).then_some((content, matched))
    }
}

impl ExchangeSink for Reporter {
    fn decided(&mut self, exchange: &mut Box<Exchange>, pool: &mut ExchangePool, now: Stamp) {
        let order = self.order(now, Some(exchange));
        let reason = self.observer.reason_of(exchange);
        let matched = self.filters.matching(exchange, reason);
        if reason.is_some() {
            let failed = self.passed_on(exchange, pool);
            self.record(order, now, Content::Failed(failed, matched));
            return;
        }
        if let Some(fingerprint) = self.fingerprints.new_in(exchange) {
            self.record(order, now, Content::ServerFingerprint(fingerprint));
        }
        let Some(observation) = self.observer.observe(exchange, now) else { return };
        if !matched.is_empty() || self.telling.wants(&observation, exchange) {
            let exchange = self.passed_on(exchange, pool);
            self.record(order, now, Content::Matched(exchange, matched));
        } else {
            self.record(order, now, Content::Observed(observation));
        }
    }

    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, now: Stamp) {
        if !self.report_exchanges {
            pool.put(exchange);
        } else if let Some((content, matched)) = self.failed_just_now(&exchange, now) {
            // One record instead of two: the output thread's core has half as many bytes to fetch.
            let both = Content::FailedAndFinished(exchange, matched);
            if let Content::Failed(failed, _) = std::mem::replace(content, both) {
                pool.put(failed);
            }
        } else {
            self.record(self.order(now, Some(&exchange)), now, Content::Finished(exchange));
        }
    }

    fn turn(&mut self, turn: &Turn, now: Stamp) {
        if self.observer.counts_turn(turn) {
            let order = match self.moment {
                Moment::Packet => Order::of_packet(now.number, Some(turn.client), self.shard),
                Moment::Tick => Order::of_tick(now.number, turn.packet, self.shard),
                Moment::End => Order::of_end(now.number, turn.packet, self.shard),
            };
            self.record(order, now, Content::Turn(Box::new(turn.clone())));
        }
    }

    fn response_gap(&mut self, now: Stamp) {
        let now = Stretch::from(now.time);
        self.gap = Some(self.gap.map_or(now, |before| before.with(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exchange::{Outcome, Remarks},
        sensor::SensorSettings,
        time::Timestamp,
    };

    /// What is recorded of an error that is decided with the first packet and over with the packet `end`.
    fn recorded(end: u64, between: impl Fn(&mut Exchange, &mut Reporter)) -> Vec<&'static str> {
        let packet = |number| Stamp { number, time: Timestamp::EPOCH };
        let sensor = SensorSettings { report_exchanges: true, ..SensorSettings::default() };
        let (mut reporter, mut pool) = (Reporter::new(0, &ShardSettings::of(&sensor)), ExchangePool::default());
        let mut exchange = Box::new(Exchange { status: 404, outcome: Outcome::Answered, ..Exchange::default() });
        exchange.target = exchange.store(b"/missing");
        reporter.decided(&mut exchange, &mut pool, packet(1));
        between(&mut exchange, &mut reporter);
        exchange.response_end = Some(packet(end));
        exchange.response_body_bytes = 153;
        reporter.finished(exchange.clone(), &mut pool, packet(end));
        for record in &reporter.records {
            let ended = record.content.exchange().map(|found| found.response_body_bytes);
            assert_eq!(ended, Some(if matches!(record.content, Content::Failed(..)) { 0 } else { 153 }));
        }
        let name = |record: &Record| match record.content {
            Content::Failed(..) => "failed",
            Content::Finished(_) => "finished",
            Content::FailedAndFinished(..) => "both",
            Content::Observed(_)
            | Content::Matched(..)
            | Content::ServerFingerprint(_)
            | Content::Turn(_)
            | Content::Gap(_) => "other",
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
        assert_eq!(recorded(1, |_, reporter| reporter.moment = Moment::Tick), ["failed", "finished"]);
    }
}
