//! One TCP connection as a bystander sees it.
//!
//! In: its segments in capture order. Out: both streams in stream order, through [`Bystander`]. Promises: what arrives
//! in order goes on as the packet's own slice; whatever the segments claim, offsets only grow and nothing is handed on twice.
//!
//! A gap is declared when the receiver acknowledged past the missing bytes and the reordering tolerance of the capture is
//! over, or when time or caps say so. A stream whose SYN was not seen may begin with missing bytes of unknown number: its
//! first segments are held for the same tolerance, so that an earlier byte captured later still finds its place.

use super::{
    Direction, FlowFacts, FlowSegment, Gaps, StreamConsumer, TcpCounters, TcpSettings,
    half::{Half, Phase},
    pool::{NONE, Pool},
    waiting::{Arrival, Carrier, Mark},
};
use crate::{capture::Stamp, decode::TcpFlags, time::Stretch};

/// Consistent segments out of window after which a stream is picked up where they are.
const STRAYS_TO_FOLLOW: u8 = 4;

/// What all connections of a table share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What waits out of order.
    pub(crate) pool: Pool,
    pub(crate) settings: TcpSettings,
    pub(crate) counters: TcpCounters,
    /// Gaps by interface.
    pub(crate) gaps: Gaps,
    /// When the capture lost bytes, since that was last taken.
    pub(crate) lost: Option<Stretch>,
}

/// What a connection needs around it to take a segment.
pub(crate) struct Bystander<'a, S, C> {
    pub(crate) facts: &'a mut FlowFacts,
    pub(crate) state: &'a mut S,
    pub(crate) consumer: &'a mut C,
    pub(crate) shared: &'a mut Shared,
    /// The packet now being processed.
    pub(crate) now: Stamp,
    /// The flow's index in the table.
    pub(crate) flow: u32,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was the next in order of an established connection, which stays in its stage with nothing waiting.
    InOrder,
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

/// Why a gap is declared: why missing bytes are not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapCause {
    /// The receiver acknowledged past them: it has them, the capture has not.
    Acknowledged,
    /// They were missing for too long.
    Time,
    /// Too much of this direction waits behind them.
    DirectionCap,
    /// Too much of all connections waits.
    TotalCap,
    /// The connection ended.
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

    /// Takes a segment without payload that only acknowledges: the next in order of an open connection in which nothing waits
    /// and nothing is in doubt. Of any other says `false` and changes nothing; a connection that takes it stays in its stage.
    #[inline]
    pub(crate) fn take_acknowledgment(&mut self, direction: Direction, segment: &FlowSegment<'_>, window: u32) -> bool {
        let opposite = direction.opposite() as usize;
        let is_bare = segment.wire_length == 0 && self.established && self.halves[opposite].phase == Phase::Open;
        if !is_bare || !self.is_next_in_order(direction, segment) {
            return false;
        }
        self.halves[opposite].acknowledge_open(segment.acknowledgment, window);
        true
    }

    /// Takes a segment.
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
        self.acknowledge(around, direction.opposite(), segment.acknowledgment);
        self.established = true;
        if segment.wire_length > 0 {
            self.halves[direction as usize].strays = 0;
            let carrier = Carrier {
                stamp: around.now,
                acknowledgment: Some(segment.acknowledgment),
                interface: segment.encapsulation.interface,
            };
            self.deliver(around, direction, carrier, Some(segment.payload), segment.payload.len() as u32);
            self.deliver_snapped(around, direction, carrier, segment.wire_length - segment.payload.len() as u32);
        }
        if is_unchanged { Verdict::InOrder } else { Verdict::Taken }
    }

    /// Returns whether a segment is the next one in order of a half that is open, with nothing waiting or in doubt.
    #[inline]
    fn is_next_in_order(&self, direction: Direction, segment: &FlowSegment<'_>) -> bool {
        const UNCOMMON: u8 = TcpFlags::SYN.0 | TcpFlags::RST.0 | TcpFlags::FIN.0;
        let half = &self.halves[direction as usize];
        // A SYN's first segment aside, every segment acknowledges.
        segment.flags.0 & (UNCOMMON | TcpFlags::ACK.0) == TcpFlags::ACK.0
            && self.waiting == NONE
            && self.doubted_reset.is_none()
            && half.phase == Phase::Open
            && segment.sequence == half.next
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

    /// Of a connection that both sides closed, and both know: the sequence numbers of the first bytes, and those after
    /// the FINs.
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

    /// Everything but the next segment in order of an open connection.
    fn uncommon<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        segment: &FlowSegment<'_>,
    ) -> Verdict {
        const NEEDS_NO_ACK: u8 = TcpFlags::ACK.0 | TcpFlags::SYN.0 | TcpFlags::RST.0;
        if segment.flags.0 & NEEDS_NO_ACK == 0 && self.halves[direction.opposite() as usize].is_acknowledged {
            // Its receiver drops it (RFC 9293, section 3.10.7.4), so one from a sender that knows better is forged.
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

    /// Notes that the receiver of a direction has all before `number`.
    #[inline]
    pub(super) fn acknowledge<S, C>(&mut self, around: &mut Bystander<'_, S, C>, direction: Direction, number: u32) {
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
            }
            Phase::Open | Phase::Reset => _ = half.acknowledge_open(number, window),
            Phase::Finished => {
                if half.acknowledge_open(number, window) && number.wrapping_sub(half.next) as i32 > 0 {
                    (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1));
                    around.shared.counters.fins_disproved += 1;
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
        let window = around.shared.settings.window as i32;
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
            arrival.drop_front(old);
        }
        let is_old_fin = (arrival.end().wrapping_sub(half.next) as i32) < 0;
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
                self.deliver_snapped(around, direction, arrival.carrier, arrival.length - captured);
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
    }

    /// Changes what waits in one direction, opening a place for it where there is none.
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

    /// A segment too far from where the stream is: dropped, unless it is one of a run that shows where the stream went.
    fn stray<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: Arrival<'_>,
        fin: bool,
    ) -> Verdict {
        around.shared.counters.out_of_window_segments += 1;
        let half = &mut self.halves[direction as usize];
        if arrival.length == 0 {
            return Verdict::Taken;
        }
        let follows = half.strays > 0 && arrival.sequence.wrapping_sub(half.stray) <= around.shared.settings.window;
        half.strays = if follows { half.strays + 1 } else { 1 };
        half.stray = arrival.end();
        if half.strays < STRAYS_TO_FOLLOW {
            return Verdict::Taken;
        }
        around.shared.counters.resynchronised += 1;
        half.strays = 0;
        if self.doubted_syn == Some(direction) || (arrival.sequence.wrapping_sub(half.next) as i32) < 0 {
            let opener = self.doubted_syn.filter(|opener| *opener == direction);
            return Verdict::Replaces(opener.map(|opener| (opener, arrival.sequence)));
        }
        self.flush(around, GapCause::Acknowledged);
        let half = &mut self.halves[direction as usize];
        half.acknowledged = arrival.sequence;
        if half.phase == Phase::Finished {
            (half.phase, half.next) = (Phase::Open, half.next.wrapping_sub(1));
        }
        let gap = arrival.sequence.wrapping_sub(half.next);
        self.deliver_gap(around, direction, gap, arrival.carrier, GapCause::Acknowledged);
        self.deliver_or_hold(around, direction, arrival, fin);
        Verdict::Taken
    }
}
