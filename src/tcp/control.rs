//! SYN and RST segments, which begin and break connections.
//!
//! In: segments with SYN or RST. Out: changed phases, or the verdict that another connection took the ports. Promises: a
//! forged or stale SYN or RST neither ends nor moves a connection that continues.

use super::{
    Direction, FlowSegment, ResetPolicy, StreamConsumer,
    claims::Rival,
    connection::{Bystander, Connection, DoubtedReset, Verdict},
    half::Phase,
    pool::NONE,
    waiting::{Carrier, Mark},
};
use crate::decode::TcpFlags;

impl Connection {
    /// Begins in the middle of a handshake: `opener`'s SYN was seen before this connection was created.
    pub(crate) fn anchor(&mut self, opener: Direction, first: u32) {
        let half = &mut self.halves[opener as usize];
        (half.phase, half.next) = (Phase::Open, first);
    }

    /// Processes a SYN or SYN-ACK (RFC 9293, section 3.10.7), but not its payload.
    pub(super) fn synchronise<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
    ) -> Verdict {
        let first = segment.sequence.wrapping_add(1);
        let acknowledgment = segment.flags.has(TcpFlags::ACK).then_some(segment.acknowledgment);
        if let Some(number) = acknowledgment
            && let replaced @ Verdict::Replaces(_) = self.answer(around, direction, first, number)
        {
            return replaced;
        }
        if self.is_rival_answer(around, direction, acknowledgment) {
            let opener = direction.opposite();
            self.add_rival(around, Rival { opener, first: acknowledgment.unwrap_or_default(), answer: Some(first) });
            return Verdict::Taken;
        }
        if self.begin(around, direction, first, acknowledgment).is_err() {
            return Verdict::Replaces(None);
        }
        if self.halves[direction as usize].base() != first {
            let opener = if acknowledgment.is_some() { direction.opposite() } else { direction };
            let answer = acknowledgment.map(|_| first);
            self.add_rival(around, Rival { opener, first: acknowledgment.unwrap_or(first), answer });
            return Verdict::Taken;
        }
        if let Some(number) = acknowledgment {
            let half = &mut self.halves[direction.opposite() as usize];
            if matches!(half.phase, Phase::Unseen | Phase::Provisional) {
                self.acknowledge(around, direction.opposite(), number);
                self.halves[direction.opposite() as usize].phase = Phase::Open;
            } else {
                self.acknowledge(around, direction.opposite(), number);
            }
        }
        match acknowledgment {
            None => around.facts.evidence.note_syn(),
            Some(number) if number == self.halves[direction.opposite() as usize].base() => {
                around.facts.evidence.note_syn_ack();
            }
            Some(_) => {}
        }
        let opener = if acknowledgment.is_some() { direction.opposite() } else { direction };
        around.facts.opened_by.get_or_insert(opener);
        around.shared.counters.syns_with_data += u64::from(segment.wire_length > 0);
        self.deliver_anchored(around);
        Verdict::Taken
    }

    /// Lets a SYN-ACK choose between several SYNs. Returns [`Verdict::Replaces`] if the chosen SYN begins another connection.
    fn answer<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        first: u32,
        number: u32,
    ) -> Verdict {
        let opener = direction.opposite();
        let own = &self.halves[direction as usize];
        let is_new = own.phase == Phase::Unseen || own.base() != first || self.established;
        let syn = self.rival(around, |rival| rival.opener == opener && rival.first == number && rival.answer.is_none());
        if syn.is_none() || !is_new || number == self.halves[opener as usize].base() {
            return Verdict::Taken;
        }
        if self.established || self.halves.iter().any(|half| half.offset > 0) {
            return Verdict::Replaces(Some((opener, number)));
        }
        if own.phase == Phase::Unseen {
            self.swap(around, opener, number);
        }
        Verdict::Taken
    }

    /// Returns whether a SYN-ACK answers another SYN than the one in use.
    fn is_rival_answer<S, C>(
        &self,
        around: &Bystander<'_, S, C>,
        direction: Direction,
        acknowledgment: Option<u32>,
    ) -> bool {
        let opener = &self.halves[direction.opposite() as usize];
        let answered = acknowledgment.map(|number| number.wrapping_sub(opener.base()));
        let is_known = around.facts.opened_by.is_some() && opener.phase == Phase::Open;
        is_known && answered.is_some_and(|answered| u64::from(answered) > opener.offset)
    }

    /// Sets the first sequence number of a direction, or puts a different one in doubt. Returns `Err` if the SYN begins
    /// another connection.
    fn begin<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        first: u32,
        acknowledgment: Option<u32>,
    ) -> Result<(), ()> {
        let is_over = self.stage() == super::connection::Stage::Closing;
        let opposite_base = self.halves[direction.opposite() as usize].base();
        let half = &mut self.halves[direction as usize];
        match half.phase {
            Phase::Unseen => (half.phase, half.next) = (Phase::Open, first),
            Phase::Provisional if half.next.wrapping_sub(first) <= around.shared.settings.window => {
                (half.phase, half.next) = (Phase::Open, first);
            }
            Phase::Provisional => return Err(()),
            _ if half.base() == first => {
                self.doubted_syn = self.doubted_syn.filter(|doubted| *doubted != direction);
                around.shared.counters.syns_repeated += 1;
                self.add_repeated(around, direction, first, acknowledgment);
            }
            _ if is_over => return Err(()),
            // The handshake continues, so a FIN or reset before it was forged.
            Phase::Finished | Phase::Reset if half.offset == 0 && acknowledgment == Some(opposite_base) => {
                return Err(());
            }
            // The handshake goes on with one of its numbers: an acknowledgment chooses.
            _ if !self.established => {}
            _ => {
                half.stray = first;
                self.doubted_syn = Some(direction);
            }
        }
        Ok(())
    }

    /// Delivers the pieces that were held until the first byte was known.
    fn deliver_anchored<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.waiting != NONE {
            self.drain_both(around);
            self.close_if_empty(around);
        }
    }

    /// Processes a reset (RFC 9293, section 3.10.7; RFC 5961, section 3.2).
    pub(super) fn reset<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
    ) {
        let side = direction as usize;
        let has_ack = segment.flags.has(TcpFlags::ACK);
        let carrier = Carrier {
            stamp: around.carried,
            acknowledgment: has_ack.then_some(segment.acknowledgment),
            interface: segment.encapsulation.interface,
        };
        let half = &self.halves[side];
        match half.phase {
            Phase::Reset => return,
            Phase::Unseen => return self.reset_of_unseen(around, direction, segment, carrier),
            Phase::Provisional | Phase::Open | Phase::Finished => {}
        }
        let window = around.shared.settings.window;
        let sent = match self.waiting {
            NONE => 0,
            index => {
                let waiting = around.shared.pool.side(index, side);
                let ends = waiting.end().into_iter().chain(waiting.fin.map(|mark| mark.sequence.wrapping_add(1)));
                ends.map(|end| end.wrapping_sub(half.next) as i32).max().unwrap_or(0).max(0)
            }
        };
        let distance = segment.sequence.wrapping_sub(half.next) as i32;
        let newest = sent.max(half.receiver_ahead() as i32);
        let unacknowledged = if half.is_acknowledged { half.acknowledged.wrapping_sub(half.next) as i32 } else { 0 };
        let before_fin = i32::from(half.phase == Phase::Finished);
        let expected = unacknowledged.min(-before_fin)..=newest;
        let is_plausible =
            distance > expected.start().saturating_sub(1) && distance.saturating_sub(newest) < window as i32;
        if expected.contains(&distance)
            || (around.shared.settings.reset == ResetPolicy::Window && is_plausible)
            || (half.phase == Phase::Provisional && distance.unsigned_abs() <= window)
        {
            around.shared.counters.resets_accepted += 1;
            self.doubted_reset = None;
            if distance > 0 || half.phase == Phase::Provisional {
                let now = around.now.time;
                self.wait(around, side, |waiting| {
                    if waiting.is_empty() {
                        waiting.restart(now);
                    }
                    waiting.reset.get_or_insert(Mark { sequence: segment.sequence, carrier });
                });
            } else {
                self.deliver_reset(around, direction, carrier);
            }
        } else if is_plausible {
            around.shared.counters.resets_doubted += 1;
            self.doubted_reset = Some(DoubtedReset { direction, sequence: segment.sequence, is_contradicted: false });
        } else {
            around.shared.counters.resets_refused += 1;
        }
    }

    /// Processes a reset from a side that was not seen yet. The reset answers a SYN, or it was captured before the segments
    /// that it follows.
    fn reset_of_unseen<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
        carrier: Carrier,
    ) {
        let opposite = &self.halves[direction.opposite() as usize];
        let answered = segment.acknowledgment.wrapping_sub(opposite.base());
        if carrier.acknowledgment.is_none()
            || answered > around.shared.settings.window
            || opposite.phase == Phase::Unseen
        {
            around.shared.counters.resets_refused += 1;
        } else if answered <= opposite.next.wrapping_sub(opposite.base()) {
            self.halves[direction as usize].next = segment.sequence;
            around.shared.counters.resets_accepted += 1;
            self.deliver_reset(around, direction, carrier);
        } else {
            around.shared.counters.resets_doubted += 1;
            self.doubted_reset = Some(DoubtedReset { direction, sequence: segment.sequence, is_contradicted: true });
        }
    }

    /// Checks a reset in doubt again. Accepts it if the stream has come exactly to its sequence number. Forgets it if the
    /// stream has gone past that number.
    pub(super) fn judge_reset<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        let Some(doubted) = self.doubted_reset else { return };
        let half = &self.halves[doubted.direction as usize];
        if matches!(half.phase, Phase::Unseen | Phase::Provisional) {
            return;
        }
        match doubted.sequence.wrapping_sub(half.next) as i32 {
            0 => self.accept_doubted_reset(around),
            ..0 => {
                self.doubted_reset = None;
                around.shared.counters.resets_disproved += 1;
            }
            _ => {}
        }
    }

    /// Accepts a reset in doubt, if its sender has sent nothing since.
    pub(crate) fn confirm_doubted_reset<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if self.doubted_reset.is_some_and(|doubted| !doubted.is_contradicted) {
            self.accept_doubted_reset(around);
        }
    }

    fn accept_doubted_reset<S, C: StreamConsumer<S>>(&mut self, around: &mut Bystander<'_, S, C>) {
        if let Some(doubted) = self.doubted_reset.take() {
            around.shared.counters.resets_accepted += 1;
            let carrier = Carrier { stamp: around.now, acknowledgment: None, interface: 0 };
            self.deliver_reset(around, doubted.direction, carrier);
        }
    }
}
