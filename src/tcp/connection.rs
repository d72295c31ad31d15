//! One TCP connection as a bystander sees it.
//!
//! In: its segments in capture order. Out: both streams in stream order, through [`Bystander`]. Promises: what arrives
//! in order goes on as the packet's own slice; whatever the segments claim, offsets only grow and nothing is handed on twice.
//!
//! A hole is given up when the receiver acknowledged past it and the reordering tolerance of the capture is over, or
//! when time or caps say so. A stream whose SYN was not seen begins with a hole of unknown size before its first byte:
//! what comes first is held for the same tolerance, so that an earlier byte captured later still finds its place.

use super::{
    Chunk, ChunkContext, FlowFacts, StreamConsumer,
    pool::{NONE, Pool},
    waiting::{Arrival, Carrier, Mark},
};
use crate::{
    capture::Stamp,
    decode::{Segment, TcpFlags},
    flow::{Direction, FlowCounters, FlowSettings},
};

/// Consistent segments out of window after which a stream is picked up where they are.
const STRAYS_TO_FOLLOW: u8 = 4;

/// How far the beginning, order and end of one direction are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Nothing seen.
    #[default]
    Unseen,
    /// No SYN seen: `next` is the lowest sequence number so far, payload is held.
    Provisional,
    /// Bytes before `next` are delivered.
    Open,
    /// FIN is delivered; `next` is after it.
    Finished,
    /// A reset is delivered.
    Reset,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Stream offset of the next byte to deliver.
    pub(super) offset: u64,
    /// Its sequence number.
    pub(super) next: u32,
    /// The highest acknowledgment of this direction's bytes, when `is_acknowledged`.
    pub(super) acknowledged: u32,
    /// After the last segment out of window.
    pub(super) stray: u32,
    pub(super) phase: Phase,
    /// Whether the receiver's acknowledgments are seen.
    pub(super) is_acknowledged: bool,
    /// Consistent segments out of window in a row.
    pub(super) strays: u8,
}

impl Half {
    /// The stream offset that a sequence number stands for, not below 0. A delivered FIN's own number counts nothing.
    fn offset_of(&self, sequence: u32) -> u64 {
        let distance = sequence.wrapping_sub(self.next) as i32;
        let distance = if self.phase == Phase::Finished { distance.saturating_add(1).min(0) } else { distance };
        self.offset.saturating_add_signed(i64::from(distance))
    }

    /// How far the receiver is known to be ahead of what is delivered.
    pub(super) const fn receiver_ahead(&self) -> u32 {
        let ahead = self.acknowledged.wrapping_sub(self.next) as i32;
        if self.is_acknowledged && ahead > 0 { ahead as u32 } else { 0 }
    }

    /// The sequence number of stream offset 0.
    pub(super) const fn base(&self) -> u32 {
        let fin = if matches!(self.phase, Phase::Finished) { 1 } else { 0 };
        self.next.wrapping_sub(fin).wrapping_sub(self.offset as u32)
    }
}

/// What a connection needs around it to take a segment.
pub(crate) struct Bystander<'a, S, C> {
    pub(crate) facts: &'a mut FlowFacts,
    pub(crate) state: &'a mut S,
    pub(crate) consumer: &'a mut C,
    pub(crate) pool: &'a mut Pool,
    pub(crate) settings: &'a FlowSettings,
    pub(crate) counters: &'a mut FlowCounters,
    /// The packet now being processed.
    pub(crate) now: Stamp,
    /// The flow's index in the table.
    pub(crate) flow: u32,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the connection's.
    Taken,
    /// It begins another connection between the same ports; with the other side's first sequence number, where known.
    Replaces(Option<(Direction, u32)>),
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Closed or reset.
    Closing = 0,
    /// No completed handshake and no data.
    HalfOpen = 1,
    /// One side sent FIN, or a reset in doubt.
    HalfClosed = 2,
    /// Open.
    Established = 3,
}

/// Why a hole is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    Acknowledged,
    Time,
    DirectionCap,
    TotalCap,
    End,
}

/// A reset in window, but not at a sequence number that its receiver may expect: forged, or captured too early.
#[derive(Debug, Clone, Copy)]
pub(super) struct DoubtedReset {
    pub(super) direction: Direction,
    pub(super) sequence: u32,
    /// Whether its sender was heard of since.
    pub(super) is_contradicted: bool,
}

/// A connection's state.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) halves: [Half; 2],
    /// Where in the pool, or [`NONE`].
    pub(super) waiting: u32,
    /// Whether the handshake completed or data was carried.
    pub(super) established: bool,
    /// A reset in doubt.
    pub(super) doubted_reset: Option<DoubtedReset>,
    /// Who sent a SYN of another sequence number that is in doubt; it is that half's `stray`.
    pub(super) doubted_syn: Option<Direction>,
}

impl Connection {
    /// A connection of which nothing is known.
    pub(crate) const fn new() -> Self {
        const HALF: Half = Half {
            offset: 0,
            next: 0,
            acknowledged: 0,
            stray: 0,
            phase: Phase::Unseen,
            is_acknowledged: false,
            strays: 0,
        };
        Self { halves: [HALF, HALF], waiting: NONE, established: false, doubted_reset: None, doubted_syn: None }
    }

    /// Takes a segment.
    #[inline]
    pub(crate) fn segment<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &Segment<'_>,
    ) -> Verdict {
        const UNCOMMON: u8 = TcpFlags::SYN.0 | TcpFlags::RST.0 | TcpFlags::FIN.0;
        let flags = segment.flags;
        let half = &self.halves[direction as usize];
        if flags.0 & UNCOMMON != 0
            || self.waiting != NONE
            || self.doubted_reset.is_some()
            || half.phase != Phase::Open
            || segment.sequence != half.next
        {
            return self.uncommon(around, direction, segment);
        }
        let acknowledgment = flags.has(TcpFlags::ACK).then_some(segment.acknowledgment);
        if let Some(number) = acknowledgment {
            self.acknowledge(around, direction.opposite(), number);
        }
        self.established = true;
        if segment.wire_length > 0 {
            self.halves[direction as usize].strays = 0;
            let carrier = Carrier { stamp: around.now, acknowledgment };
            self.deliver(around, direction, carrier, Some(segment.payload), segment.payload.len() as u32);
            self.deliver_snapped(around, direction, carrier, segment.wire_length - segment.payload.len() as u32);
        }
        Verdict::Taken
    }

    /// Where the connection is in its life.
    #[inline]
    pub(crate) fn stage(&self) -> Stage {
        match (self.halves[0].phase, self.halves[1].phase) {
            (Phase::Reset, _) | (_, Phase::Reset) | (Phase::Finished, Phase::Finished) => Stage::Closing,
            (Phase::Finished, _) | (_, Phase::Finished) => Stage::HalfClosed,
            _ if self.doubted_reset.is_some_and(|doubted| !doubted.is_contradicted) => Stage::HalfClosed,
            _ if self.established => Stage::Established,
            _ => Stage::HalfOpen,
        }
    }

    /// Whether a reset was delivered.
    pub(crate) fn is_reset(&self) -> bool {
        self.halves.iter().any(|half| half.phase == Phase::Reset)
    }

    /// Delivers what waits, giving up every hole, in the order the packets were captured.
    pub(crate) fn flush<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, why: GiveUp) {
        self.settle(around);
        while self.waiting != NONE {
            let [ascending, descending] = [Direction::Ascending, Direction::Descending].map(|direction| {
                let waiting = around.pool.side(self.waiting, direction as usize);
                let first = waiting.first().map(|piece| piece.carrier.stamp);
                first.or(waiting.fin.or(waiting.reset).map(|mark| mark.carrier.stamp))
            });
            let direction = match (ascending, descending) {
                (Some(a), Some(b)) if b < a => Direction::Descending,
                (None, Some(_)) => Direction::Descending,
                _ => Direction::Ascending,
            };
            self.give_up_hole(around, direction, u32::MAX, why);
            self.deliver_first(around, direction);
            self.close_if_empty(around);
        }
        self.judge_reset(around);
    }

    /// Gives up the holes whose time has come.
    pub(crate) fn decide<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting == NONE {
            return;
        }
        if self.halves.iter().any(|half| half.phase == Phase::Provisional) && self.start_is_due(around) {
            around.counters.starts_guessed += 1;
            self.settle(around);
        }
        for direction in [Direction::Ascending, Direction::Descending] {
            while let Some((limit, why)) = self.due(around, direction) {
                self.give_up_hole(around, direction, limit, why);
                self.drain(around, direction);
            }
        }
        self.close_if_empty(around);
        self.judge_reset(around);
    }

    /// Everything but the next segment in order of an open connection.
    fn uncommon<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &Segment<'_>,
    ) -> Verdict {
        if segment.flags.has(TcpFlags::RST) {
            self.reset(around, direction, segment);
            self.decide(around);
            return Verdict::Taken;
        }
        if segment.flags.has(TcpFlags::SYN) {
            if let replaced @ Verdict::Replaces(_) = self.synchronise(around, direction, segment) {
                return replaced;
            }
        } else if segment.flags.has(TcpFlags::ACK) {
            self.acknowledge(around, direction.opposite(), segment.acknowledgment);
            self.established |=
                self.halves.iter().all(|half| !matches!(half.phase, Phase::Unseen | Phase::Provisional));
        }
        let past_syn = u32::from(segment.flags.has(TcpFlags::SYN));
        let arrival = Arrival {
            sequence: segment.sequence.wrapping_add(past_syn),
            payload: segment.payload,
            length: segment.wire_length,
            carrier: Carrier {
                stamp: around.now,
                acknowledgment: segment.flags.has(TcpFlags::ACK).then_some(segment.acknowledgment),
            },
        };
        let fin = segment.flags.has(TcpFlags::FIN);
        if arrival.length > 0 || fin {
            if let replaced @ Verdict::Replaces(_) = self.place(around, direction, arrival, fin) {
                return replaced;
            }
        } else if segment.sequence.wrapping_add(1) == self.halves[direction as usize].next && past_syn == 0 {
            around.counters.keep_alives += 1;
        }
        if self.waiting != NONE {
            for side in 0..2 {
                around.pool.change(self.waiting, side, |waiting| waiting.segments = waiting.segments.saturating_add(1));
            }
            self.enforce(around, direction);
            self.decide(around);
        }
        if let Some(doubted) = &mut self.doubted_reset {
            doubted.is_contradicted |= doubted.direction == direction;
            self.judge_reset(around);
        }
        Verdict::Taken
    }

    /// Notes that the receiver of a direction has all before `number`.
    #[inline]
    pub(super) fn acknowledge<S, C>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction, number: u32) {
        let half = &mut self.halves[direction as usize];
        if half.is_acknowledged && number == half.acknowledged {
            return;
        }
        let window = around.settings.window;
        match half.phase {
            Phase::Unseen => {
                (half.phase, half.next) = (Phase::Provisional, number);
                (half.acknowledged, half.is_acknowledged) = (number, true);
            }
            Phase::Provisional => {
                if half.next.wrapping_sub(number) <= window {
                    half.next = number;
                }
                let ahead = number.wrapping_sub(half.next) <= window;
                if ahead && (!half.is_acknowledged || number.wrapping_sub(half.acknowledged) as i32 > 0) {
                    (half.acknowledged, half.is_acknowledged) = (number, true);
                }
            }
            Phase::Open | Phase::Finished | Phase::Reset => {
                let newest = half.next.wrapping_add(half.receiver_ahead());
                let distance = number.wrapping_sub(newest) as i32;
                if distance > window as i32 || distance < -(window as i32) {
                    return;
                }
                half.strays = 0;
                if half.is_acknowledged && number.wrapping_sub(half.acknowledged) as i32 <= 0 {
                    return;
                }
                (half.acknowledged, half.is_acknowledged) = (number, true);
                if half.phase == Phase::Finished && number.wrapping_sub(half.next) as i32 > 0 {
                    (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1));
                    around.counters.fins_disproved += 1;
                }
            }
        }
    }

    /// Puts payload, and the FIN after it, in their place in the stream.
    fn place<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        mut arrival: Arrival<'_>,
        fin: bool,
    ) -> Verdict {
        let window = around.settings.window as i32;
        let half = &mut self.halves[direction as usize];
        if half.phase == Phase::Unseen {
            (half.phase, half.next) = (Phase::Provisional, arrival.sequence);
        }
        let distance = arrival.sequence.wrapping_sub(half.next) as i32;
        let ahead = half.receiver_ahead() as i32;
        if distance.saturating_sub(ahead) > window || distance.saturating_add(arrival.length as i32) < -window {
            return self.stray(around, direction, arrival, fin);
        }
        half.strays = 0;
        self.established |= arrival.length > 0;
        if half.phase == Phase::Provisional {
            if distance < 0 {
                half.next = arrival.sequence;
            }
            self.hold(around, direction, arrival, fin);
            return Verdict::Taken;
        }
        if distance < 0 {
            let old = distance.unsigned_abs().min(arrival.length);
            around.facts.repeated_bytes += u64::from(old);
            around.counters.repeated_bytes += u64::from(old);
            around.counters.keep_alives += u64::from(arrival.length == 1 && distance == -1 && !fin);
            arrival.drop_front(old);
        }
        let is_old_fin = (arrival.end().wrapping_sub(half.next) as i32) < 0;
        match half.phase {
            Phase::Finished => {
                around.counters.bytes_after_fin += u64::from(arrival.length);
                return Verdict::Taken;
            }
            Phase::Reset if arrival.length > 0 => {
                half.phase = Phase::Open;
                around.counters.resumed_after_reset += 1;
            }
            _ => {}
        }
        if arrival.length == 0 && (!fin || is_old_fin) {
            return Verdict::Taken;
        }
        self.deliver_or_hold(around, direction, arrival, fin);
        Verdict::Taken
    }

    /// Delivers what is next in order and overlaps nothing that waits; holds the rest.
    fn deliver_or_hold<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: Arrival<'_>,
        fin: bool,
    ) {
        let side = direction as usize;
        let next = self.halves[side].next;
        let is_free = self.waiting == NONE || {
            let waiting = around.pool.side(self.waiting, side);
            let end = arrival.end().wrapping_sub(next);
            waiting.first().is_none_or(|piece| piece.sequence.wrapping_sub(next) >= end)
                && waiting.fin.is_none_or(|mark| mark.sequence.wrapping_sub(next) >= end)
        };
        if arrival.sequence != next || !is_free {
            self.hold(around, direction, arrival, fin);
        } else {
            let captured = arrival.payload.len() as u32;
            if arrival.length > 0 {
                self.deliver(around, direction, arrival.carrier, Some(arrival.payload), captured);
                self.deliver_snapped(around, direction, arrival.carrier, arrival.length - captured);
            }
            if fin {
                self.deliver_fin(around, direction, arrival.carrier);
            }
            if self.waiting != NONE {
                let now = around.now.time;
                around.pool.change(self.waiting, side, |waiting| waiting.restart(now));
            }
        }
        self.drain(around, direction);
        self.close_if_empty(around);
    }

    /// Keeps payload and FIN until their turn.
    fn hold<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: Arrival<'_>,
        fin: bool,
    ) {
        let side = direction as usize;
        let half = &self.halves[side];
        let end = u64::from(arrival.end().wrapping_sub(half.next));
        let keep = half.phase == Phase::Provisional || end > around.consumer.unneeded(around.state, direction);
        let (base, policy, now) = (half.next, around.settings.overlap, around.now.time);
        let overlap = self.wait(around, side, |waiting| {
            if waiting.is_empty() {
                waiting.restart(now);
            }
            if fin {
                waiting.fin.get_or_insert(Mark { sequence: arrival.end(), carrier: arrival.carrier });
            }
            waiting.insert(&arrival, base, keep, policy)
        });
        around.counters.out_of_order_segments += 1;
        around.counters.repeated_bytes += overlap.repeated;
        around.counters.disagreeing_bytes += overlap.disagreeing;
        around.facts.repeated_bytes += overlap.repeated;
        around.facts.disagreeing_bytes += overlap.disagreeing;
    }

    /// Changes what waits in one direction, opening a place for it where there is none.
    pub(super) fn wait<S, C, T>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        side: usize,
        change: impl FnOnce(&mut super::waiting::Waiting) -> T,
    ) -> T {
        if self.waiting == NONE {
            self.waiting = around.pool.open(around.flow);
        }
        around.pool.change(self.waiting, side, change)
    }

    /// A segment too far from where the stream is: dropped, unless it is one of a run that shows where the stream went.
    fn stray<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: Arrival<'_>,
        fin: bool,
    ) -> Verdict {
        around.counters.out_of_window_segments += 1;
        let half = &mut self.halves[direction as usize];
        if arrival.length == 0 {
            return Verdict::Taken;
        }
        let follows = half.strays > 0 && arrival.sequence.wrapping_sub(half.stray) <= around.settings.window;
        half.strays = if follows { half.strays + 1 } else { 1 };
        half.stray = arrival.end();
        if half.strays < STRAYS_TO_FOLLOW {
            return Verdict::Taken;
        }
        around.counters.resynchronised += 1;
        half.strays = 0;
        if self.doubted_syn == Some(direction) || (arrival.sequence.wrapping_sub(half.next) as i32) < 0 {
            let opener = self.doubted_syn.filter(|opener| *opener == direction);
            return Verdict::Replaces(opener.map(|opener| (opener, arrival.sequence)));
        }
        self.flush(around, GiveUp::Acknowledged);
        let half = &mut self.halves[direction as usize];
        half.acknowledged = arrival.sequence;
        if half.phase == Phase::Finished {
            (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1));
        }
        let gap = arrival.sequence.wrapping_sub(half.next);
        self.deliver_gap(around, direction, gap, GiveUp::Acknowledged);
        self.deliver_or_hold(around, direction, arrival, fin);
        Verdict::Taken
    }

    /// Fixes the first byte of streams whose SYN was not seen.
    pub(super) fn settle<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        for half in &mut self.halves {
            if half.phase == Phase::Provisional {
                half.phase = Phase::Open;
            }
        }
        self.drain_both(around);
        self.close_if_empty(around);
    }

    /// Whether the reordering tolerance of a flow without SYN is over.
    fn start_is_due<S, C>(&self, around: &Bystander<'_, S, C>) -> bool {
        [0, 1].into_iter().map(|side| around.pool.side(self.waiting, side)).any(|waiting| {
            !waiting.is_empty()
                && (waiting.segments >= around.settings.reorder_segments
                    || around.now.time.since(waiting.since) >= around.settings.reorder_time)
        })
    }

    /// Whether the first hole of a direction is to be given up, up to which distance, and why.
    fn due<S, C>(&self, around: &mut Bystander<'_, S, C>, direction: Direction) -> Option<(u32, GiveUp)> {
        let side = direction as usize;
        let half = &self.halves[side];
        if self.waiting == NONE
            || matches!(half.phase, Phase::Unseen | Phase::Provisional)
            || around.pool.side(self.waiting, side).is_empty()
        {
            return None;
        }
        let (now, settings) = (around.now.time, around.settings);
        let ahead = half.receiver_ahead();
        let is_acknowledged = half.is_acknowledged;
        around.pool.change(self.waiting, side, |waiting| {
            if ahead > 0 {
                if waiting.covered.is_none() {
                    waiting.covered = Some(now);
                    waiting.segments = 0;
                }
                let covered = waiting.covered.unwrap_or(now);
                if waiting.segments >= settings.reorder_segments || now.since(covered) >= settings.reorder_time {
                    return Some((ahead, GiveUp::Acknowledged));
                }
            }
            let patience = if is_acknowledged { settings.patience } else { settings.hole_time };
            (now.since(waiting.since) >= patience).then_some((u32::MAX, GiveUp::Time))
        })
    }

    /// Keeps one direction under its caps by giving up its first holes.
    fn enforce<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction) {
        let side = direction as usize;
        while self.waiting != NONE {
            let waiting = around.pool.side(self.waiting, side);
            if waiting.charge() <= around.settings.max_waiting_bytes
                && waiting.pieces() <= around.settings.max_waiting_pieces
            {
                return;
            }
            self.settle(around);
            if self.waiting != NONE {
                self.give_up_hole(around, direction, u32::MAX, GiveUp::DirectionCap);
                self.drain(around, direction);
                self.close_if_empty(around);
            }
        }
    }

    /// Declares the hole before what waits first, or its first `limit` bytes.
    fn give_up_hole<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        limit: u32,
        why: GiveUp,
    ) {
        let half = &self.halves[direction as usize];
        let waiting = around.pool.side(self.waiting, direction as usize);
        let piece = waiting.first().map(|piece| piece.sequence);
        let marks = [waiting.fin, waiting.reset].into_iter().flatten().map(|mark| mark.sequence);
        let distance = |sequence: u32| (sequence.wrapping_sub(half.next) as i32).max(0).unsigned_abs();
        let hole = piece.into_iter().chain(marks).map(distance).min();
        let now = around.now.time;
        around.pool.change(self.waiting, direction as usize, |waiting| waiting.restart(now));
        self.deliver_gap(around, direction, hole.unwrap_or(0).min(limit), why);
    }

    /// Delivers what has become next in one direction.
    fn drain<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction) {
        while self.waiting != NONE && self.deliver_first(around, direction) {}
    }

    /// Delivers what has become next in both directions, in the order the packets were captured.
    pub(super) fn drain_both<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting == NONE {
            return;
        }
        loop {
            let [ascending, descending] = [0, 1].map(|side| {
                let half = &self.halves[side];
                let first = around.pool.side(self.waiting, side).first().filter(|_| half.phase == Phase::Open);
                first.filter(|piece| piece.sequence == half.next).map(|piece| piece.carrier.stamp)
            });
            match (ascending, descending) {
                (Some(a), Some(b)) if b < a => self.deliver_first(around, Direction::Descending),
                (None, Some(_)) => self.deliver_first(around, Direction::Descending),
                (Some(_), _) => self.deliver_first(around, Direction::Ascending),
                (None, None) => break,
            };
        }
        self.drain(around, Direction::Ascending);
        self.drain(around, Direction::Descending);
    }

    /// Delivers the first piece or mark of a direction, if it is next. Whether there was one.
    fn deliver_first<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
    ) -> bool {
        let side = direction as usize;
        if matches!(self.halves[side].phase, Phase::Unseen | Phase::Provisional) {
            return false;
        }
        let next = self.halves[side].next;
        let now = around.now.time;
        let is_reached = |mark: &mut Mark| (mark.sequence.wrapping_sub(next) as i32) <= 0;
        let (piece, fin, reset) = around.pool.change(self.waiting, side, |waiting| {
            if let Some(mark) = waiting.fin.take_if(is_reached) {
                return (None, Some(mark), None);
            }
            if waiting.first().is_some_and(|piece| (piece.sequence.wrapping_sub(next) as i32) <= 0) {
                waiting.restart(now);
                return (waiting.pop(), None, None);
            }
            (None, None, waiting.reset.take_if(is_reached))
        });
        if let Some(mark) = fin {
            self.deliver_fin(around, direction, mark.carrier);
            return true;
        }
        if let Some(mark) = reset {
            self.deliver_reset(around, direction, mark.carrier);
            return true;
        }
        let Some(mut piece) = piece else { return false };
        piece.drop_front(next.wrapping_sub(piece.sequence));
        if piece.length > 0 {
            self.deliver(around, direction, piece.carrier, piece.bytes(), piece.captured);
            self.deliver_snapped(around, direction, piece.carrier, piece.length - piece.captured);
        }
        true
    }

    pub(super) fn close_if_empty<S, C>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting != NONE && [0, 1].iter().all(|side| around.pool.side(self.waiting, *side).is_empty()) {
            around.pool.close(self.waiting);
            self.waiting = NONE;
        }
    }

    /// Delivers bytes that are next; `None` for bytes that were not kept.
    #[inline]
    fn deliver<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        bytes: Option<&[u8]>,
        length: u32,
    ) {
        if length > 0 {
            let chunk = bytes.map_or(Chunk::Skipped(u64::from(length)), Chunk::Data);
            self.emit(around, direction, carrier, chunk);
            let half = &mut self.halves[direction as usize];
            half.offset += u64::from(length);
            half.next = half.next.wrapping_add(length);
        }
    }

    /// Delivers a gap for the bytes beyond the snap length.
    #[inline]
    fn deliver_snapped<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        length: u32,
    ) {
        if length > 0 {
            around.counters.snapped_bytes += u64::from(length);
            self.emit_gap(around, direction, carrier, length);
        }
    }

    fn deliver_gap<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        length: u32,
        why: GiveUp,
    ) {
        if length == 0 {
            return;
        }
        let counters = &mut *around.counters;
        match why {
            GiveUp::Acknowledged => counters.holes_acknowledged += 1,
            GiveUp::Time => counters.holes_timed_out += 1,
            GiveUp::DirectionCap => counters.holes_direction_cap += 1,
            GiveUp::TotalCap => counters.holes_total_cap += 1,
            GiveUp::End => counters.holes_at_end += 1,
        }
        counters.gap_bytes += u64::from(length);
        let carrier = Carrier { stamp: around.now, acknowledgment: None };
        self.emit_gap(around, direction, carrier, length);
    }

    fn emit_gap<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        length: u32,
    ) {
        around.facts.gap_bytes += u64::from(length);
        self.emit(around, direction, carrier, Chunk::Gap(u64::from(length)));
        let half = &mut self.halves[direction as usize];
        half.offset += u64::from(length);
        half.next = half.next.wrapping_add(length);
    }

    /// Delivers a FIN and drops what waits after it.
    fn deliver_fin<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
    ) {
        self.emit(around, direction, carrier, Chunk::Fin);
        let half = &mut self.halves[direction as usize];
        (half.phase, half.next) = (Phase::Finished, half.next.wrapping_add(1));
        let after = half.next;
        if self.waiting != NONE {
            around.counters.bytes_after_fin += around.pool.change(self.waiting, direction as usize, |waiting| {
                waiting.fin = None;
                if let Some(reset) = &mut waiting.reset {
                    reset.sequence = after;
                }
                std::iter::from_fn(|| waiting.pop()).map(|piece| u64::from(piece.length)).sum::<u64>()
            });
        }
    }

    pub(super) fn deliver_reset<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
    ) {
        self.emit(around, direction, carrier, Chunk::Reset);
        let half = &mut self.halves[direction as usize];
        if half.phase == Phase::Finished {
            half.next = half.next.wrapping_sub(1);
        }
        half.phase = Phase::Reset;
    }

    #[inline]
    fn emit<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        chunk: Chunk<'_>,
    ) {
        let opposite = &self.halves[direction.opposite() as usize];
        let context = ChunkContext {
            carried: carrier.stamp,
            now: around.now,
            direction,
            offset: self.halves[direction as usize].offset,
            acknowledged: carrier.acknowledgment.map(|number| opposite.offset_of(number)),
        };
        around.consumer.chunk(around.facts, around.state, &context, chunk);
    }
}
