//! One TCP connection, as an observer between the two ends sees it.
//!
//! In: the connection's segments in capture order. Out: both streams in stream order, through [`Bystander`]. Promises:
//! payload that arrives in order is passed on as a slice of its packet, without a copy. Whatever the segments claim, stream
//! offsets only grow, and no byte is passed on twice.
//!
//! A gap is declared when the receiver has acknowledged the missing bytes and the reordering tolerance of the capture is
//! over. It is also declared when a time limit or a cap is reached. For a stream whose SYN was not seen, the first byte is
//! not known for certain. Its first segments are held for the same reordering tolerance, so that an earlier byte that is
//! captured later still finds its place.

use super::{
    Direction, FlowFacts, FlowSegment, Gaps, StreamConsumer, TcpCounters, TcpSettings,
    half::{Half, Phase},
    pool::{NONE, Pool},
    waiting::{Arrival, Carrier, Mark},
};
use crate::{
    capture::Stamp,
    decode::TcpFlags,
    time::{Stretch, Timestamp},
};

/// The state that all connections of a table share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The pieces that wait out of order.
    pub(crate) pool: Pool,
    pub(crate) settings: TcpSettings,
    pub(crate) counters: TcpCounters,
    /// Gaps by interface.
    pub(crate) gaps: Gaps,
    /// The period in which the capture missed bytes of the streams, since this value was last taken.
    pub(crate) lost: Option<Stretch>,
}

/// The context that a connection needs to process a segment.
pub(crate) struct Bystander<'a, S, C> {
    pub(crate) facts: &'a mut FlowFacts,
    pub(crate) state: &'a mut S,
    pub(crate) consumer: &'a mut C,
    pub(crate) shared: &'a mut Shared,
    /// The packet now being processed.
    pub(crate) now: Stamp,
    /// The time of the connection's first packet.
    pub(crate) opened: Timestamp,
    /// The packet of the segment: an earlier packet than `now`, if the segment was held in doubt.
    pub(crate) carried: Stamp,
    /// The flow's index in the table.
    pub(crate) flow: u32,
}

/// The result of processing a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The segment was the next in order of an established connection. The connection stays in its stage, and nothing waits.
    InOrder,
    /// The segment belongs to the connection.
    Taken,
    /// The segment begins another connection between the same ports. The value is the direction of the opener and the
    /// opener's first sequence number, if known.
    Replaces(Option<(Direction, u32)>),
}

/// The stage of a connection's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Closed or reset.
    Closing = 0,
    /// The handshake is not complete, and no data was sent.
    HalfOpen = 1,
    /// One side sent FIN, or sent a reset that is in doubt.
    HalfClosed = 2,
    /// Open.
    Established = 3,
}

/// Why a gap is declared, that is, why reassembly stops waiting for missing bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapCause {
    /// The receiver acknowledged the missing bytes: it has them, the capture does not.
    Acknowledged,
    /// The bytes were missing for too long.
    Time,
    /// Too many bytes or pieces of this direction wait behind the missing bytes.
    DirectionCap,
    /// Too many bytes or pieces of all connections together wait.
    TotalCap,
    /// The connection ended.
    End,
}

/// A reset in the window, but not at a sequence number that its receiver may expect. It is either forged or captured too
/// early.
#[derive(Debug, Clone, Copy)]
pub(super) struct DoubtedReset {
    pub(super) direction: Direction,
    pub(super) sequence: u32,
    /// Whether the sender of the reset has sent anything since.
    pub(super) is_contradicted: bool,
}

/// A connection's state.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) halves: [Half; 2],
    /// The index of the waiting pieces in the pool, or [`NONE`].
    pub(super) waiting: u32,
    /// Whether the handshake completed or data was carried.
    pub(super) established: bool,
    /// A reset in doubt.
    pub(super) doubted_reset: Option<DoubtedReset>,
    /// Who sent a SYN with another sequence number that is in doubt. `stray` of that half holds the
    /// sequence number.
    pub(super) doubted_syn: Option<Direction>,
}

impl Connection {
    /// Creates a connection of which nothing is known.
    pub(crate) const fn new() -> Self {
        Self {
            halves: [Half::UNSEEN, Half::UNSEEN],
            waiting: NONE,
            established: false,
            doubted_reset: None,
            doubted_syn: None,
        }
    }

    /// Processes a segment that only acknowledges: it has no payload and is the next in order of an open connection, in
    /// which nothing waits and nothing is in doubt. The connection stays in its stage. Returns `false` for any other segment
    /// and changes nothing.
    #[inline]
    pub(crate) fn take_acknowledgment(&mut self, direction: Direction, segment: &FlowSegment<'_>, window: u32) -> bool {
        let opposite = direction.opposite() as usize;
        let is_bare = segment.wire_length == 0 && self.established && self.halves[opposite].phase == Phase::Open;
        if !is_bare || !self.is_next_in_order(direction, segment) || self.acknowledges_unseen(direction, segment) {
            return false;
        }
        self.halves[opposite].acknowledge_open(segment.acknowledgment, window);
        true
    }

    /// Processes a segment.
    #[inline]
    pub(crate) fn segment<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
    ) -> Verdict {
        if !self.is_next_in_order(direction, segment) {
            return self.uncommon(around, direction, segment);
        }
        let is_unchanged = self.established && self.halves[direction.opposite() as usize].phase == Phase::Open;
        if !is_unchanged {
            self.note_answer(around, direction, segment.acknowledgment);
        }
        self.acknowledge(around, direction.opposite(), segment.acknowledgment);
        self.established = true;
        if segment.wire_length > 0 {
            self.halves[direction as usize].strays = 0;
            let carrier = Carrier {
                stamp: around.carried,
                acknowledgment: Some(segment.acknowledgment),
                interface: segment.encapsulation.interface,
            };
            let captured = segment.payload.len() as u32;
            self.deliver(around, direction, carrier, Some(segment.payload), captured);
            self.deliver_snapped(around, direction, carrier, (captured, segment.wire_length));
        }
        if is_unchanged { Verdict::InOrder } else { Verdict::Taken }
    }

    /// Returns whether a segment is the next in order of a half that is open, and nothing waits or is in doubt.
    #[inline]
    fn is_next_in_order(&self, direction: Direction, segment: &FlowSegment<'_>) -> bool {
        const UNCOMMON: u8 = TcpFlags::SYN.0 | TcpFlags::RST.0 | TcpFlags::FIN.0;
        let half = &self.halves[direction as usize];
        // Every segment but the first SYN acknowledges.
        segment.flags.0 & (UNCOMMON | TcpFlags::ACK.0) == TcpFlags::ACK.0
            && self.waiting == NONE
            && self.doubted_reset.is_none()
            && half.phase == Phase::Open
            && segment.sequence == half.next
    }

    /// Returns the stage of the connection's life.
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

    /// Returns the sequence numbers of both first bytes, and the numbers after both FINs, if both sides closed the
    /// connection and both FINs are acknowledged.
    #[inline]
    pub(crate) fn settled(&self) -> Option<([u32; 2], [u32; 2])> {
        let is_settled =
            |half: &Half| half.phase == Phase::Finished && half.is_acknowledged && half.acknowledged == half.next;
        let numbers = || (self.halves.each_ref().map(Half::base), self.halves.each_ref().map(|half| half.next));
        (self.waiting == NONE && self.doubted_syn.is_none() && self.halves.iter().all(is_settled)).then(numbers)
    }

    /// Returns whether a reset was delivered.
    pub(crate) fn is_reset(&self) -> bool {
        self.halves.iter().any(|half| half.phase == Phase::Reset)
    }

    /// Processes any segment that is not the next in order of an open connection.
    fn uncommon<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
    ) -> Verdict {
        const NEEDS_NO_ACK: u8 = TcpFlags::ACK.0 | TcpFlags::SYN.0 | TcpFlags::RST.0;
        if segment.flags.0 & NEEDS_NO_ACK == 0 && self.halves[direction.opposite() as usize].is_acknowledged {
            // The receiver drops a segment without ACK (RFC 9293, section 3.10.7.4). If the sender has acknowledged before,
            // such a segment is forged.
            around.shared.counters.segments_without_acknowledgment += 1;
            return Verdict::Taken;
        }
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
            if let replaced @ Verdict::Replaces(_) = self.choose(around, direction, segment) {
                return replaced;
            }
            self.note_answer(around, direction, segment.acknowledgment);
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
                stamp: around.carried,
                acknowledgment: segment.flags.has(TcpFlags::ACK).then_some(segment.acknowledgment),
                interface: segment.encapsulation.interface,
            },
        };
        let fin = segment.flags.has(TcpFlags::FIN);
        if arrival.length > 0 || fin {
            if let replaced @ Verdict::Replaces(_) = self.place(around, direction, arrival, fin) {
                return replaced;
            }
        } else if segment.sequence.wrapping_add(1) == self.halves[direction as usize].next && past_syn == 0 {
            around.shared.counters.keep_alives += 1;
        }
        if self.waiting != NONE {
            for side in 0..2 {
                around
                    .shared
                    .pool
                    .change(self.waiting, side, |waiting| waiting.segments = waiting.segments.saturating_add(1));
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

    /// Notes that the receiver of a direction has all bytes before the sequence number `number`.
    #[inline]
    pub(super) fn acknowledge<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        number: u32,
    ) {
        let half = &mut self.halves[direction as usize];
        if half.is_acknowledged && number == half.acknowledged {
            return;
        }
        let window = around.shared.settings.window;
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
                if !ahead {
                    half.point_elsewhere(number);
                }
            }
            Phase::Open | Phase::Reset => _ = half.acknowledge_open(number, window),
            Phase::Finished => {
                if half.acknowledge_open(number, window) && number.wrapping_sub(half.next) as i32 > 0 {
                    (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1));
                    around.shared.counters.fins_disproved += 1;
                }
            }
        }
        if half.elsewhere().is_some() && self.waiting != NONE {
            self.confirm(around, direction);
        }
    }

    /// Puts the payload, and the FIN after it, at their place in the stream.
    pub(super) fn place<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        mut arrival: Arrival<'_>,
        fin: bool,
    ) -> Verdict {
        let window = around.shared.settings.window as i32;
        let half = &mut self.halves[direction as usize];
        if half.phase == Phase::Unseen {
            (half.phase, half.next) = (Phase::Provisional, arrival.sequence);
        }
        let half = &self.halves[direction as usize];
        let distance = arrival.sequence.wrapping_sub(half.next) as i32;
        let ahead = half.receiver_ahead() as i32;
        let is_far =
            distance.saturating_sub(ahead) > window || distance.saturating_add(arrival.length as i32) < -window;
        if is_far
            && half.phase == Phase::Provisional
            && arrival.length > 0
            && self.is_nothing_waiting(around, direction)
        {
            // Only an acknowledgment named the place of the stream. The sender itself knows better.
            let half = &mut self.halves[direction as usize];
            half.point_elsewhere(half.next);
            (half.next, half.is_acknowledged) = (arrival.sequence, false);
        } else if is_far || (distance < 0 && around.facts.opened_by.is_some() && half.is_before_first(&arrival)) {
            return self.stray(around, direction, arrival, fin);
        }
        self.count_quiet(around);
        let half = &mut self.halves[direction as usize];
        let distance = arrival.sequence.wrapping_sub(half.next) as i32;
        if arrival.end().wrapping_sub(half.next) as i32 > 0 {
            half.strays = 0;
        }
        let distance = if half.is_fin_contradicted(&arrival) {
            (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1));
            around.shared.counters.fins_disproved += 1;
            0
        } else {
            distance
        };
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
            around.shared.counters.repeated_bytes += u64::from(old);
            around.shared.counters.keep_alives += u64::from(arrival.length == 1 && distance == -1 && !fin);
            self.compare_repeated(around, direction, &arrival, old);
            arrival.drop_front(old);
        }
        let is_old_fin = (arrival.end().wrapping_sub(self.halves[direction as usize].next) as i32) < 0;
        let half = &mut self.halves[direction as usize];
        match half.phase {
            Phase::Finished => {
                around.shared.counters.bytes_after_fin += u64::from(arrival.length);
                return Verdict::Taken;
            }
            Phase::Reset if arrival.length > 0 => {
                half.phase = Phase::Open;
                around.shared.counters.resumed_after_reset += 1;
            }
            _ => {}
        }
        if arrival.length == 0 && (!fin || is_old_fin) {
            return Verdict::Taken;
        }
        self.deliver_or_hold(around, direction, arrival, fin);
        Verdict::Taken
    }

    /// Returns whether no piece of a direction waits.
    fn is_nothing_waiting<S, C>(&self, around: &Bystander<'_, S, C>, direction: Direction) -> bool {
        self.waiting == NONE || around.shared.pool.side(self.waiting, direction as usize).is_empty()
    }

    /// Delivers payload that is next in order and overlaps no waiting piece. Holds the rest.
    pub(super) fn deliver_or_hold<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: Arrival<'_>,
        fin: bool,
    ) {
        let side = direction as usize;
        let next = self.halves[side].next;
        let is_free = self.waiting == NONE || {
            let waiting = around.shared.pool.side(self.waiting, side);
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
                self.deliver_snapped(around, direction, arrival.carrier, (captured, arrival.length));
            }
            if fin {
                self.deliver_fin(around, direction, arrival.carrier);
            }
            if self.waiting != NONE {
                let now = around.now.time;
                around.shared.pool.change(self.waiting, side, |waiting| waiting.restart(now));
            }
        }
        self.drain(around, direction);
        self.close_if_empty(around);
    }

    /// Keeps payload and FIN until the bytes before them are delivered.
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
        let (base, policy, now) = (half.next, around.shared.settings.overlap, around.now.time);
        let overlap = self.wait(around, side, |waiting| {
            if waiting.is_empty() {
                waiting.restart(now);
            }
            if fin {
                waiting.fin.get_or_insert(Mark { sequence: arrival.end(), carrier: arrival.carrier });
            }
            waiting.insert(&arrival, base, keep, policy)
        });
        around.shared.counters.out_of_order_segments += 1;
        around.shared.counters.repeated_bytes += overlap.repeated;
        around.shared.counters.disagreeing_bytes += overlap.disagreeing;
        around.facts.disagreeing_bytes += overlap.disagreeing;
        if overlap.disagreeing != 0 {
            self.note_contested(around, direction, &arrival);
        }
    }

    /// Changes the waiting pieces of one direction. If the connection has no place in the pool yet, opens one.
    pub(super) fn wait<S, C, T>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        side: usize,
        change: impl FnOnce(&mut super::waiting::Waiting) -> T,
    ) -> T {
        if self.waiting == NONE {
            self.waiting = around.shared.pool.open(around.flow);
        }
        around.shared.pool.change(self.waiting, side, change)
    }
}
