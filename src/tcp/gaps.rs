//! Gaps: how long reassembly waits for missing bytes, when it declares a gap, and what it delivers then.
//!
//! In: a connection with waiting pieces, and the time. Out: gaps, and the pieces that waited behind them, in stream order.
//! Promises: no gap is declared while its bytes may still come within the settings' limits. Reassembly never waits beyond
//! these limits.

use super::{
    Direction, StreamConsumer,
    connection::{Bystander, Connection, GapCause},
    half::Phase,
    pool::NONE,
    waiting::Mark,
};
use crate::capture::Stamp;

impl Connection {
    /// Delivers everything that waits, in the order in which the packets were captured, with gaps for missing bytes. Decides
    /// all claims.
    pub(crate) fn flush<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, why: GapCause) {
        self.settle(around);
        while self.waiting != NONE {
            let [ascending, descending] = Direction::BOTH.map(|direction| self.first_waiting(around, direction));
            let direction = match (ascending, descending) {
                (Some(a), Some(b)) if b < a => Direction::Descending,
                (None, Some(_)) => Direction::Descending,
                (Some(_), _) => Direction::Ascending,
                (None, None) => {
                    self.conclude(around, why);
                    continue;
                }
            };
            self.declare_gap(around, direction, u32::MAX, why);
            self.deliver_first(around, direction);
            self.close_if_empty(around);
        }
        self.judge_reset(around);
    }

    /// Delivers everything that waits in one direction, with gaps for missing bytes.
    pub(super) fn flush_side<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        why: GapCause,
    ) {
        let half = &mut self.halves[direction as usize];
        if matches!(half.phase, Phase::Unseen | Phase::Provisional) {
            half.phase = Phase::Open;
        }
        while self.waiting != NONE && self.first_waiting(around, direction).is_some() {
            self.declare_gap(around, direction, u32::MAX, why);
            self.deliver_first(around, direction);
        }
    }

    /// Returns the packet of the first piece or mark that waits in one direction.
    fn first_waiting<S, C>(&self, around: &Bystander<'_, S, C>, direction: Direction) -> Option<Stamp> {
        let waiting = around.shared.pool.side(self.waiting, direction as usize);
        let first = waiting.first().map(|piece| piece.carrier.stamp);
        first.or(waiting.fin.or(waiting.reset).map(|mark| mark.carrier.stamp))
    }

    /// Declares the gaps that are due.
    pub(crate) fn decide<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting == NONE {
            return;
        }
        if self.halves.iter().any(|half| half.phase == Phase::Provisional) && self.start_is_due(around) {
            around.shared.counters.starts_guessed += 1;
            self.settle(around);
        }
        for direction in [Direction::Ascending, Direction::Descending] {
            while let Some((limit, why)) = self.due(around, direction) {
                self.declare_gap(around, direction, limit, why);
                self.drain(around, direction);
            }
        }
        self.close_if_empty(around);
        self.decide_strays(around);
        self.judge_reset(around);
    }

    /// Settles the first byte of streams whose SYN was not seen: the lowest byte so far is the first.
    pub(super) fn settle<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        for half in &mut self.halves {
            if half.phase == Phase::Provisional {
                half.phase = Phase::Open;
            }
        }
        self.drain_both(around);
        self.close_if_empty(around);
    }

    /// Returns whether the reordering tolerance at the start of a flow without SYN is over.
    fn start_is_due<S, C>(&self, around: &Bystander<'_, S, C>) -> bool {
        [0, 1].into_iter().map(|side| around.shared.pool.side(self.waiting, side)).any(|waiting| {
            !waiting.is_empty()
                && (waiting.segments >= around.shared.settings.reorder_segments
                    || around.now.time.since(waiting.since) >= around.shared.settings.reorder_time)
        })
    }

    /// Returns whether the first missing bytes of a direction must be declared a gap: at most how many bytes, and the cause.
    fn due<S, C>(&self, around: &mut Bystander<'_, S, C>, direction: Direction) -> Option<(u32, GapCause)> {
        let side = direction as usize;
        let half = &self.halves[side];
        if self.waiting == NONE
            || matches!(half.phase, Phase::Unseen | Phase::Provisional)
            || around.shared.pool.side(self.waiting, side).is_empty()
        {
            return None;
        }
        let (now, settings) = (around.now.time, &around.shared.settings);
        let ahead = half.receiver_ahead();
        let is_acknowledged = half.is_acknowledged;
        around.shared.pool.change(self.waiting, side, |waiting| {
            if ahead > 0 {
                if waiting.covered.is_none() {
                    waiting.covered = Some(now);
                    waiting.segments = 0;
                }
                let covered = waiting.covered.unwrap_or(now);
                if waiting.segments >= settings.reorder_segments || now.since(covered) >= settings.reorder_time {
                    return Some((ahead, GapCause::Acknowledged));
                }
            }
            let patience = if is_acknowledged { settings.gap_patience } else { settings.gap_time };
            (now.since(waiting.since) >= patience).then_some((u32::MAX, GapCause::Time))
        })
    }

    /// Keeps one direction under its caps: declares its first gaps until it is.
    pub(super) fn enforce<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction) {
        let side = direction as usize;
        while self.waiting != NONE {
            let waiting = around.shared.pool.side(self.waiting, side);
            if waiting.charge() <= around.shared.settings.max_in_flight_bytes
                && waiting.pieces() <= around.shared.settings.max_waiting_pieces
            {
                return;
            }
            self.settle(around);
            if self.waiting != NONE {
                self.declare_gap(around, direction, u32::MAX, GapCause::DirectionCap);
                self.drain(around, direction);
                self.close_if_empty(around);
            }
        }
    }

    /// Declares a gap for the bytes that are missing before the first waiting bytes, but for at most `limit` bytes.
    pub(super) fn declare_gap<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        limit: u32,
        why: GapCause,
    ) {
        let half = &self.halves[direction as usize];
        let waiting = around.shared.pool.side(self.waiting, direction as usize);
        let piece = waiting.first().map(|piece| (piece.sequence, piece.carrier));
        let marks = [waiting.fin, waiting.reset].into_iter().flatten().map(|mark| (mark.sequence, mark.carrier));
        let distance = |sequence: u32| (sequence.wrapping_sub(half.next) as i32).max(0).unsigned_abs();
        let behind = piece.into_iter().chain(marks).map(|(sequence, carrier)| (distance(sequence), carrier));
        // There are missing bytes only if a piece or a mark waits behind them.
        let Some((missing, behind)) = behind.min_by_key(|(missing, carrier)| (*missing, carrier.stamp)) else { return };
        let now = around.now.time;
        around.shared.pool.change(self.waiting, direction as usize, |waiting| waiting.restart(now));
        self.deliver_gap(around, direction, u64::from(missing.min(limit)), behind, why);
    }

    /// Delivers the waiting pieces of one direction that are now next in order.
    pub(super) fn drain<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction) {
        while self.waiting != NONE && self.deliver_first(around, direction) {}
    }

    /// Delivers the waiting pieces of both directions that are now next in order. The order is that in which the packets
    /// were captured.
    pub(super) fn drain_both<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting == NONE {
            return;
        }
        loop {
            let [ascending, descending] = [0, 1].map(|side| {
                let half = &self.halves[side];
                let first = around.shared.pool.side(self.waiting, side).first().filter(|_| half.phase == Phase::Open);
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

    /// Delivers the first piece or mark of a direction, if it is next in order. Returns whether something was delivered.
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
        let (piece, fin, reset) = around.shared.pool.change(self.waiting, side, |waiting| {
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
            self.deliver_snapped(around, direction, piece.carrier, (piece.captured, piece.length));
        }
        true
    }

    pub(super) fn close_if_empty<S, C>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting != NONE
            && [0, 1].iter().all(|side| around.shared.pool.side(self.waiting, *side).is_empty())
            && around.shared.pool.claims(self.waiting).is_empty()
        {
            around.shared.pool.close(self.waiting);
            self.waiting = NONE;
        }
    }
}
