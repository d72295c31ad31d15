//! The flow table of one shard.
//!
//! In: segments with their flow's key and hash, and ticks of packet time. Out: the flows' streams and endings, passed to a
//! [`StreamConsumer`]. Promises: memory stays under the caps of [`FlowSettings`]. The same calls always give the same
//! output.

use hashbrown::HashTable;

use super::{
    FlowKey, FlowSettings, TableCounters,
    closed::{Again, Belonging, ClosedFlow, ClosedFlows, milliseconds},
    doubts::{Doubts, Due},
    guard::{Guard, Trust},
    slab::{Entry, MOVE_AFTER, Slab},
};
use crate::{
    capture::Stamp,
    decode::TcpFlags,
    tcp::{
        Bystander, Connection, Direction, Ending, FlowFacts, FlowSegment, GapCause, Gaps, Pool, Shared, Stage,
        StreamConsumer, TcpCounters,
    },
    time::{Stretch, Timestamp},
};

/// The place where [`FlowTable::locate`] found a flow. The table recognises a place whose flow has ended since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowSlot {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// The flows of one shard, each with a consumer's state `S`.
#[derive(Debug)]
pub struct FlowTable<S> {
    pub(super) index: HashTable<u32>,
    pub(super) flows: Slab<S>,
    pub(super) closed: ClosedFlows,
    /// Flows whose consumer awaits time. Some of them may have ended since.
    pub(super) awaiting: Vec<FlowSlot>,
    pub(super) doubts: Doubts,
    pub(super) settings: FlowSettings,
    pub(super) counters: TableCounters,
    /// The state that all connections of the table share.
    pub(super) shared: Shared,
    /// The latest packet time seen. Time-outs use this clock, as packets may have times out of order.
    pub(super) clock: Timestamp,
}

impl<S: Default> FlowTable<S> {
    /// An empty table.
    pub fn new(settings: FlowSettings) -> Self {
        Self {
            index: HashTable::new(),
            flows: Slab::new(),
            closed: ClosedFlows::default(),
            awaiting: Vec::new(),
            doubts: Doubts::default(),
            shared: Shared {
                pool: Pool::new(),
                settings: settings.tcp.clone(),
                counters: TcpCounters::default(),
                gaps: Gaps::default(),
                lost: None,
            },
            settings,
            counters: TableCounters::default(),
            clock: Timestamp::EPOCH,
        }
    }

    /// Changes the settings. If the table is over a new limit, the next segments bring it under that limit.
    pub fn reconfigure(&mut self, settings: FlowSettings) {
        self.shared.settings.clone_from(&settings.tcp);
        self.settings = settings;
    }

    /// Finds a flow, if the table has it. If this is called for a whole batch of segments before any is pushed, the cache
    /// misses of the look-ups overlap.
    #[inline]
    pub fn locate(&self, hash: u64, key: &FlowKey) -> Option<FlowSlot> {
        let Some(&index) = self.index.find(hash, |index| self.holds(*index, key)) else {
            // The caller will need the entry of the closed flow next. Reading it now lets these cache misses overlap too.
            std::hint::black_box(self.closed.holds(hash));
            return None;
        };
        let generation = self.flows.entry(index)?.generation;
        Some(FlowSlot { index, generation })
    }

    /// Updates the table after a segment that may have changed more than its own streams: the flow's place in its list, the
    /// list of flows that await time, and the caps. Returns the flow's place, unless the flow is over.
    pub(super) fn settle<C: StreamConsumer<S>>(
        &mut self,
        slot: FlowSlot,
        hash: u64,
        stamp: Stamp,
        consumer: &mut C,
    ) -> Option<FlowSlot> {
        let entry = self.flows.entry_mut(slot.index);
        let stage = entry.connection.stage();
        if stage == Stage::Closing
            && let Some((base, next)) = entry.connection.settled()
        {
            let opened = milliseconds(entry.opened);
            let closed = ClosedFlow { hash, base, next, opened, again: Again::Nothing };
            self.close(slot.index, closed, stamp, consumer);
            return None;
        }
        if stage != entry.stage || (stage != Stage::Closing && self.clock.since(entry.queued) >= MOVE_AFTER) {
            self.flows.requeue(slot.index, stage, self.clock);
        }
        let entry = self.flows.entry_mut(slot.index);
        if !entry.is_awaiting && consumer.awaits_time(&entry.state) {
            entry.is_awaiting = true;
            self.await_time(slot);
        }
        if self.is_over_total() {
            self.relieve(stamp, consumer);
        }
        Some(slot)
    }

    /// Runs the timers. To be called at ticks of packet time, whether or not segments arrive. A tick that is earlier than
    /// the packets before it says that packet time was set back.
    pub fn advance<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        if now.time < self.clock {
            self.turn_back(now, consumer);
        }
        self.clock = now.time;
        self.decide_doubts(Due::Waited(now.time), now, consumer);
        self.closed.advance(self.clock, self.settings.linger_time);
        let mut next = self.shared.pool.oldest();
        while let Some((waiting, index)) = next {
            next = self.shared.pool.after(waiting);
            let (connection, mut around) = self.parts(index, now, consumer);
            connection.decide(&mut around);
            self.restage(index);
        }
        self.tick(now, consumer);
        consumer.time(now);
        for (stage, time) in [
            (Stage::Closing, self.settings.linger_time),
            (Stage::HalfOpen, self.settings.half_open_time),
            (Stage::HalfClosed, self.settings.half_closed_time),
            (Stage::Established, self.settings.established_time),
        ] {
            while let Some(index) = self.flows.oldest(stage) {
                if self.clock.since(self.flows.entry_mut(index).queued) < time {
                    break;
                }
                self.end(index, now, Ending::Idle, consumer);
            }
        }
    }

    /// No packet will come any more: waiting pieces are delivered, and what waits for other flows is tried again. To be called for all
    /// tables until nothing changes any more, and before the first [`finish`](Self::finish).
    pub fn flush<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        self.decide_doubts(Due::All, now, consumer);
        for index in 0..self.flows.places() {
            if self.flows.entry_mut(index).is_used {
                let (connection, mut around) = self.parts(index, now, consumer);
                connection.flush(&mut around, GapCause::End);
                around.consumer.flushed(around.facts, around.state, now);
            }
        }
        consumer.time(now);
    }

    /// Ends every flow at the end of the capture. Waiting pieces are delivered first.
    pub fn finish<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        self.decide_doubts(Due::All, now, consumer);
        for index in 0..self.flows.places() {
            if self.flows.entry_mut(index).is_used {
                self.end(index, now, Ending::CaptureEnd, consumer);
            }
        }
        consumer.finish(now);
    }

    /// Calls `act` with each flow's facts and state, in an order that depends only on the calls before.
    pub fn for_each(&mut self, mut act: impl FnMut(&FlowFacts, &mut S)) {
        for index in 0..self.flows.places() {
            let entry = self.flows.entry_mut(index);
            if entry.is_used {
                act(&entry.facts, &mut entry.state);
            }
        }
    }

    /// Returns the period in which the capture missed bytes of the streams, since the last call.
    pub fn take_lost(&mut self) -> Option<Stretch> {
        self.shared.lost.take()
    }

    /// Returns whether a place still holds the same flow as when it was returned.
    #[inline]
    pub(super) fn is_valid(&self, slot: FlowSlot) -> bool {
        self.flows.entry(slot.index).is_some_and(|entry| entry.is_used && entry.generation == slot.generation)
    }

    /// Adds a flow to the list of flows whose consumer awaits time. Flows that have ended are removed before the list is
    /// more than twice as long as the table.
    #[cold]
    fn await_time(&mut self, slot: FlowSlot) {
        if self.awaiting.len() > 2 * self.index.len() {
            let mut awaiting = std::mem::take(&mut self.awaiting);
            awaiting.retain(|slot| self.is_valid(*slot));
            self.awaiting = awaiting;
        }
        self.awaiting.push(slot);
    }

    /// Tells the consumers that await time that time has passed.
    fn tick<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        let mut awaiting = std::mem::take(&mut self.awaiting);
        awaiting.retain(|slot| {
            if !self.is_valid(*slot) {
                return false;
            }
            let entry = self.flows.entry_mut(slot.index);
            consumer.tick(&entry.facts, &mut entry.state, now);
            entry.is_awaiting = consumer.awaits_time(&entry.state);
            entry.is_awaiting
        });
        self.awaiting = awaiting;
    }

    #[inline]
    fn holds(&self, index: u32, key: &FlowKey) -> bool {
        self.flows.entry(index).is_some_and(|entry| entry.is_of(key))
    }

    /// Creates a flow for a segment that may begin a flow.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "what the stages before have worked out, each once")]
    pub(super) fn create<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        key: &FlowKey,
        direction: Direction,
        hash: u64,
        stamp: Stamp,
        trust: Trust,
        consumer: &mut C,
    ) -> Option<u32> {
        let belonging = self.belonging(segment, direction, hash);
        if matches!(belonging, Belonging::Late { .. }) {
            return None;
        }
        let is_again = matches!(belonging, Belonging::Again { .. });
        let flags = segment.flags;
        let is_keep_alive = segment.payload == [0] && segment.wire_length == 1;
        let begins = flags.has(TcpFlags::SYN) || flags.has(TcpFlags::FIN) || segment.wire_length > 0 && !is_keep_alive;
        if flags.has(TcpFlags::RST) || !(begins || is_again) {
            self.counters.segments_without_flow += 1;
            return None;
        }
        while self.index.len() >= self.settings.max_flows.max(1) {
            self.evict(stamp, consumer);
        }
        self.count_start(segment);
        let stamp = Stamp { time: self.clock, ..stamp };
        let index = self.flows.insert(*key, *segment.encapsulation, hash, stamp);
        self.flows.entry_mut(index).guard.begin(direction, segment.encapsulation.outer_source, trust);
        let flows = &self.flows;
        self.index.insert_unique(hash, index, |index| flows.entry(*index).map_or(0, |entry| entry.hash));
        if let Belonging::Again { acknowledgment } = belonging {
            let entry = self.flows.entry_mut(index);
            entry.facts.opened_by = Some(direction);
            entry.facts.evidence.note_handshake();
            entry.connection.anchor(direction, segment.sequence);
            entry.connection.anchor(direction.opposite(), acknowledgment);
        }
        Some(index)
    }

    fn count_start(&mut self, segment: &FlowSegment<'_>) {
        if segment.flags.has(TcpFlags::SYN) {
            self.counters.flows_opened += 1;
        } else {
            self.counters.flows_joined += 1;
        }
    }

    /// Ends a flow and begins another in its place.
    #[cold]
    pub(super) fn replace<C: StreamConsumer<S>>(
        &mut self,
        index: u32,
        segment: &FlowSegment<'_>,
        (direction, trust): (Direction, Trust),
        opener: Option<(Direction, u32)>,
        stamp: Stamp,
        consumer: &mut C,
    ) {
        let (connection, mut around) = self.parts(index, stamp, consumer);
        let strays = connection.take_strays(&mut around, direction, segment.sequence);
        self.finish_flow(index, stamp, Ending::Replaced, consumer);
        self.count_start(segment);
        let entry = self.flows.entry_mut(index);
        entry.connection = Connection::new();
        entry.state = S::default();
        entry.facts = FlowFacts::new(entry.facts.ends, *segment.encapsulation);
        entry.facts.opened_by = opener.map(|(direction, _)| direction);
        entry.guard = Guard::default();
        entry.guard.begin(direction, segment.encapsulation.outer_source, trust);
        // Without a SYN, nothing but the segments' own numbers says that this is another connection.
        if trust == Trust::Unconfirmed || !segment.flags.has(TcpFlags::SYN) {
            entry.facts.evidence.note_doubt();
        }
        if let Some((opener, first)) = opener {
            entry.connection.anchor(opener, first);
        }
        entry.opened = stamp.time;
        let (connection, mut around) = self.parts(index, stamp, consumer);
        for stray in &strays {
            connection.take_over(&mut around, direction, stray);
        }
        connection.segment(&mut around, direction, segment);
    }

    /// Ends the flow that was silent for longest: a closing flow if there is one, else a half-open, half-closed or
    /// established flow, in this order.
    fn evict<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        let stages = [Stage::Closing, Stage::HalfOpen, Stage::HalfClosed, Stage::Established];
        if let Some(index) = stages.into_iter().find_map(|stage| self.flows.oldest(stage)) {
            self.counters.lingers_cut += u64::from(self.flows.entry_mut(index).stage == Stage::Closing);
            self.end(index, now, Ending::Evicted, consumer);
        }
    }

    /// Ends a flow that both sides closed, and remembers it among the closed flows.
    fn close<C: StreamConsumer<S>>(&mut self, index: u32, closed: ClosedFlow, now: Stamp, consumer: &mut C) {
        self.end(index, now, Ending::Closed, consumer);
        if !self.settings.linger_time.is_zero() {
            let cut = self.closed.remember(closed, self.settings.max_flows / 2);
            self.counters.lingers_cut += cut as u64;
        }
    }

    /// Ends a flow and forgets it.
    fn end<C: StreamConsumer<S>>(&mut self, index: u32, now: Stamp, ending: Ending, consumer: &mut C) {
        self.finish_flow(index, now, ending, consumer);
        let hash = self.flows.entry_mut(index).hash;
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        self.flows.remove(index);
    }

    /// Delivers waiting pieces and tells the consumer that the flow is over.
    fn finish_flow<C: StreamConsumer<S>>(&mut self, index: u32, now: Stamp, ending: Ending, consumer: &mut C) {
        let (connection, mut around) = self.parts(index, now, consumer);
        connection.flush(&mut around, GapCause::End);
        if ending == Ending::Idle {
            connection.confirm_doubted_reset(&mut around);
        }
        let ending = match connection.stage() {
            Stage::Closing if connection.is_reset() => Ending::Reset,
            Stage::Closing => Ending::Closed,
            _ => ending,
        };
        around.consumer.end(around.facts, around.state, now, ending);
        let counters = &mut self.counters;
        match ending {
            Ending::Closed => counters.ended_closed += 1,
            Ending::Reset => counters.ended_reset += 1,
            Ending::Idle => counters.ended_idle += 1,
            Ending::Evicted => counters.ended_evicted += 1,
            Ending::Replaced => counters.ended_replaced += 1,
            Ending::CaptureEnd => counters.ended_capture += 1,
        }
    }

    /// Restarts all timers after packet time was set back. Otherwise waiting pieces and time-outs would be due only when
    /// packet time reaches its old value again.
    #[cold]
    fn turn_back<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        self.clock = now.time;
        self.closed.turn_back(now.time);
        self.flows.turn_back(now.time);
        while let Some((_, index)) = self.shared.pool.oldest() {
            let (connection, mut around) = self.parts(index, now, consumer);
            connection.flush(&mut around, GapCause::Time);
            self.restage(index);
        }
    }

    /// Moves a flow to the list of its stage, if the stage has changed.
    fn restage(&mut self, index: u32) {
        let entry = self.flows.entry_mut(index);
        let (stage, queued) = (entry.connection.stage(), entry.queued);
        if stage != entry.stage {
            self.flows.requeue(index, stage, queued.max(self.clock));
        }
    }

    #[inline]
    fn is_over_total(&self) -> bool {
        self.shared.pool.charge() > self.shared.settings.max_total_waiting_bytes
            || self.shared.pool.pieces() > self.shared.settings.max_total_waiting_pieces
    }

    /// Declares the gaps of the flows that have waited for longest, until the table is under its caps.
    #[cold]
    fn relieve<C: StreamConsumer<S>>(&mut self, now: Stamp, consumer: &mut C) {
        while self.is_over_total() {
            let Some((_, index)) = self.shared.pool.oldest() else { return };
            let (connection, mut around) = self.parts(index, now, consumer);
            connection.flush(&mut around, GapCause::TotalCap);
            self.restage(index);
        }
    }

    /// Returns a flow's connection, and the context that the connection needs.
    #[inline]
    fn parts<'a, C>(
        &'a mut self,
        index: u32,
        now: Stamp,
        consumer: &'a mut C,
    ) -> (&'a mut Connection, Bystander<'a, S, C>) {
        self.flows.entry_mut(index).parts(index, now, &mut self.shared, consumer)
    }
}

impl<S> Entry<S> {
    /// Returns the connection of the flow at `index`, and the context that the connection needs.
    #[inline]
    pub(super) fn parts<'a, C>(
        &'a mut self,
        index: u32,
        now: Stamp,
        shared: &'a mut Shared,
        consumer: &'a mut C,
    ) -> (&'a mut Connection, Bystander<'a, S, C>) {
        let Self { facts, connection, opened, state, .. } = self;
        let around = Bystander { facts, state, consumer, shared, now, carried: now, opened: *opened, flow: index };
        (connection, around)
    }
}
