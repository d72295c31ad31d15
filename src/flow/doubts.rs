//! Segments in doubt: they wait until the receiver's acknowledgments say whether the receiver took them.
//!
//! In: segments whose checksum is wrong, or that arrived another way than their connection. Out: the segments that an
//! acknowledgment confirms, in order of arrival, and those that nothing confirmed in time. Promises: segments and bytes are
//! capped; the oldest segment goes first. Segments of senders whom nobody answers push no other segments out, and neither
//! do many segments of one connection.

use std::{collections::VecDeque, time::Duration};

use hashbrown::HashTable;

use super::FlowKey;
use crate::{
    capture::Stamp,
    decode::{Encapsulation, Sum, TcpFlags},
    tcp::{Direction, FlowSegment},
    time::Timestamp,
};

/// Most segments in doubt in one queue.
const MAX_SEGMENTS: usize = 512;
/// Most payload bytes of them.
const MAX_BYTES: usize = 1 << 20;
/// Most segments of one connection that wait in the queue of the answered senders. A sender has fewer segments under way
/// before the first acknowledgment, which is all that it takes to learn that its checksums are filled in later.
const MAX_ANSWERED_OF_FLOW: u32 = 64;
/// How long a segment waits for an acknowledgment.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a segment is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its checksum is wrong.
    Checksum(Sum),
    /// It arrived through another tunnel than its connection.
    Way {
        /// Whether its sender still has to show, by a segment of the connection's own way that begins behind it, that it sent
        /// these bytes at all. A receiver can acknowledge what nobody sent.
        needs_sender: bool,
    },
}

/// Which segments in doubt are decided without an acknowledgment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Those above a queue's cap.
    OverCap,
    /// Those that have waited for too long at a time. Only ticks ask for them, so that the moment does not depend on the other
    /// flows of the shard.
    Waited(Timestamp),
    /// All: the capture is over.
    All,
}

/// A segment in doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) key: FlowKey,
    pub(super) hash: u64,
    pub(super) direction: Direction,
    pub(super) carried: Stamp,
    pub(super) reason: Reason,
    /// Whether its receiver had acknowledged other bytes of the same connection and direction.
    pub(super) is_answered: bool,
    /// Whether the receiver has sent a segment since, which acknowledged less.
    pub(super) is_passed_by: bool,
    /// Whether the receiver has acknowledged the whole segment.
    pub(super) is_acknowledged: bool,
    sequence: u32,
    acknowledgment: u32,
    flags: TcpFlags,
    payload: Box<[u8]>,
    wire_length: u32,
    pub(super) encapsulation: Encapsulation,
}

impl Doubt {
    /// Copies a segment.
    pub(super) fn of(
        segment: &FlowSegment<'_>,
        (key, hash, direction): (&FlowKey, u64, Direction),
        carried: Stamp,
        reason: Reason,
        is_answered: bool,
    ) -> Self {
        Self {
            key: *key,
            hash,
            direction,
            carried,
            reason,
            is_answered,
            is_passed_by: false,
            is_acknowledged: false,
            sequence: segment.sequence,
            acknowledgment: segment.acknowledgment,
            flags: segment.flags,
            payload: segment.payload.into(),
            wire_length: segment.wire_length,
            encapsulation: *segment.encapsulation,
        }
    }

    /// The segment, for reassembly.
    pub(super) fn segment(&self) -> FlowSegment<'_> {
        FlowSegment {
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            flags: self.flags,
            payload: &self.payload,
            wire_length: self.wire_length,
            header: &[],
            encapsulation: &self.encapsulation,
        }
    }

    /// The sequence number after the segment.
    fn end(&self) -> u32 {
        let flags = [TcpFlags::SYN, TcpFlags::FIN].into_iter().filter(|flag| self.flags.has(*flag)).count() as u32;
        self.sequence.wrapping_add(self.wire_length).wrapping_add(flags)
    }

    fn is_other_way(&self) -> bool {
        matches!(self.reason, Reason::Way { .. })
    }

    /// Returns whether all witnesses have confirmed the segment.
    fn is_confirmed(&self) -> bool {
        self.is_acknowledged && !matches!(self.reason, Reason::Way { needs_sender: true })
    }

    /// Returns whether an acknowledgment number says that the receiver has the whole segment. Resets are not acknowledged.
    fn is_confirmed_by(&self, number: u32, window: u32) -> bool {
        self.end() != self.sequence && !self.flags.has(TcpFlags::RST) && number.wrapping_sub(self.end()) <= window
    }
}

/// The segments in doubt of one flow table.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Segments of senders whom nobody answers, and of answered senders.
    queues: [Queue; 2],
    /// The flows with segments that wait, by their hash, which is keyed already.
    by_flow: HashTable<OfFlow>,
}

/// How many segments of a flow wait.
#[derive(Debug)]
struct OfFlow {
    hash: u64,
    by_direction: [u32; 2],
    /// How many of them arrived another way.
    other_way: u32,
}

impl OfFlow {
    const fn new(hash: u64) -> Self {
        Self { hash, by_direction: [0; 2], other_way: 0 }
    }

    const fn waiting(&self) -> u32 {
        self.by_direction[0] + self.by_direction[1]
    }

    /// Returns whether a segment of this direction can decide something about those that wait. If only this side has sent
    /// segments in doubt, its further segments decide nothing, and the queues need not be searched.
    const fn hears(&self, direction: Direction) -> bool {
        self.by_direction[direction.opposite() as usize] > 0 || self.other_way > 0
    }
}

/// Segments in doubt, in order of arrival.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Doubt>,
    bytes: usize,
}

impl Queue {
    fn is_over_cap(&self) -> bool {
        self.waiting.len() > MAX_SEGMENTS || self.bytes > MAX_BYTES
    }

    fn take(&mut self, at: usize) -> Option<Doubt> {
        let doubt = self.waiting.remove(at)?;
        self.bytes -= doubt.payload.len();
        Some(doubt)
    }
}

impl Doubts {
    /// Returns whether no segment is in doubt.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.by_flow.is_empty()
    }

    /// Returns whether a segment of a flow is in doubt.
    pub(super) fn holds(&self, hash: u64) -> bool {
        self.by_flow.find(hash, |flow| flow.hash == hash).is_some()
    }

    /// Bytes that the segments take.
    pub(super) fn allocated(&self) -> usize {
        self.queues.iter().map(|queue| queue.bytes + queue.waiting.capacity() * size_of::<Doubt>()).sum()
    }

    /// Adds a segment. Returns `false` if too many of its connection wait already.
    pub(super) fn hold(&mut self, doubt: Doubt) -> bool {
        let hash = doubt.hash;
        let flow = self.by_flow.entry(hash, |flow| flow.hash == hash, |flow| flow.hash);
        let flow = flow.or_insert_with(|| OfFlow::new(hash)).into_mut();
        if doubt.is_answered && flow.waiting() >= MAX_ANSWERED_OF_FLOW {
            return false;
        }
        flow.by_direction[doubt.direction as usize] += 1;
        flow.other_way += u32::from(doubt.is_other_way());
        let queue = &mut self.queues[usize::from(doubt.is_answered)];
        queue.bytes += doubt.payload.len();
        queue.waiting.push_back(doubt);
        true
    }

    /// Notes what a segment of the connection's own way says of the segments that wait: its sender is at `sequence`, and has
    /// received all before `acknowledgment`. Returns whether a segment is confirmed by that.
    pub(super) fn note_segment(
        &mut self,
        hash: u64,
        direction: Direction,
        (sequence, acknowledgment): (u32, Option<u32>),
        window: u32,
    ) -> bool {
        if !self.by_flow.find(hash, |flow| flow.hash == hash).is_some_and(|flow| flow.hears(direction)) {
            return false;
        }
        let mut is_any_confirmed = false;
        let waiting = self.queues.iter_mut().flat_map(|queue| &mut queue.waiting);
        for doubt in waiting.filter(|doubt| doubt.hash == hash) {
            let end = doubt.end();
            if doubt.direction == direction {
                if let Reason::Way { needs_sender } = &mut doubt.reason {
                    *needs_sender &= sequence.wrapping_sub(end) > window;
                }
            } else if let Some(number) = acknowledgment {
                let is_confirmed = doubt.is_confirmed_by(number, window);
                doubt.is_acknowledged |= is_confirmed;
                doubt.is_passed_by |= !is_confirmed;
            }
            is_any_confirmed |= doubt.is_confirmed();
        }
        is_any_confirmed
    }

    /// Takes the oldest segment of a direction that its receiver, and if need be its sender, has confirmed.
    pub(super) fn take_confirmed(&mut self, hash: u64, direction: Direction) -> Option<Doubt> {
        if !self.holds(hash) {
            return None;
        }
        // What waits among the unanswered came before the first acknowledgment, so before what waits among the answered.
        let doubt = self.queues.iter_mut().find_map(|queue| {
            let at = queue
                .waiting
                .iter()
                .position(|doubt| doubt.hash == hash && doubt.direction == direction && doubt.is_confirmed())?;
            queue.take(at)
        })?;
        self.forget(&doubt);
        Some(doubt)
    }

    /// Takes the oldest segment that is due.
    pub(super) fn take_due(&mut self, due: Due) -> Option<Doubt> {
        let is_due = |queue: &Queue, oldest: &Doubt| match due {
            Due::OverCap => queue.is_over_cap(),
            Due::Waited(now) => now.since(oldest.carried.time) >= PATIENCE,
            Due::All => true,
        };
        let due = self.queues.iter_mut().filter_map(|queue| {
            let oldest = queue.waiting.front()?;
            is_due(queue, oldest).then_some((oldest.carried, queue))
        });
        let (_, queue) = due.min_by_key(|(carried, _)| *carried)?;
        let doubt = queue.take(0)?;
        self.forget(&doubt);
        Some(doubt)
    }

    fn forget(&mut self, doubt: &Doubt) {
        if let Ok(mut found) = self.by_flow.find_entry(doubt.hash, |flow| flow.hash == doubt.hash) {
            let flow = found.get_mut();
            flow.by_direction[doubt.direction as usize] -= 1;
            flow.other_way -= u32::from(doubt.is_other_way());
            if flow.waiting() == 0 {
                found.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::{Address, Endpoint};

    const WINDOW: u32 = 1 << 20;

    fn at(milliseconds: u64) -> Stamp {
        let time = Timestamp::from_parts(1_000, 0).plus(Duration::from_millis(milliseconds));
        Stamp { number: milliseconds, time }
    }

    /// Ten bytes of flow `hash` at `sequence`.
    fn doubt(hash: u64, sequence: u32, arrived: u64, is_answered: bool) -> Doubt {
        let end = |port| Endpoint::new(Address::v4([10, 0, 0, 1]), port);
        let key = FlowKey { lower: end(80), upper: end(40_000), scope: 0 };
        let segment = FlowSegment {
            sequence,
            acknowledgment: 0,
            flags: TcpFlags::ACK,
            payload: &[7; 10],
            wire_length: 10,
            header: &[],
            encapsulation: &Encapsulation::default(),
        };
        Doubt::of(
            &segment,
            (&key, hash, Direction::Ascending),
            at(arrived),
            Reason::Way { needs_sender: false },
            is_answered,
        )
    }

    fn confirmed(doubts: &mut Doubts, hash: u64, number: u32) -> Option<Doubt> {
        doubts.note_segment(hash, Direction::Descending, (0, Some(number)), WINDOW);
        doubts.take_confirmed(hash, Direction::Ascending)
    }

    fn with_flags(flags: TcpFlags, payload_length: u32) -> Doubt {
        Doubt { flags, wire_length: payload_length, ..doubt(1, 100, 0, false) }
    }

    #[test]
    fn an_acknowledgment_confirms_what_ends_before_it() {
        for (flags, length, number, is_confirmed) in [
            (TcpFlags::ACK, 10, 109, false),
            (TcpFlags::ACK, 10, 110, true),
            (TcpFlags::ACK, 10, 110 + WINDOW, true),
            (TcpFlags::ACK, 10, 111 + WINDOW, false),
            (TcpFlags::ACK, 0, 100, false),
            (TcpFlags::SYN, 0, 100, false),
            (TcpFlags::SYN, 0, 101, true),
            (TcpFlags::FIN, 10, 110, false),
            (TcpFlags::FIN, 10, 111, true),
            (TcpFlags::RST, 0, 100, false),
            (TcpFlags::RST, 10, 110, false),
        ] {
            let doubt = with_flags(flags, length);
            assert_eq!(doubt.is_confirmed_by(number, WINDOW), is_confirmed, "{flags:?} {length} {number}");
        }
    }

    #[test]
    fn a_flood_of_unanswered_senders_pushes_no_answered_sender_out() {
        let mut doubts = Doubts::default();
        assert!(doubts.hold(doubt(1, 100, 0, true)));
        let mut pushed_out = 0;
        for number in 0..5_000 {
            doubts.hold(doubt(2 + number, 100, 1, false));
            while let Some(doubt) = doubts.take_due(Due::OverCap) {
                assert_ne!(doubt.hash, 1);
                pushed_out += 1;
            }
        }
        assert_eq!(pushed_out, 5_000 - MAX_SEGMENTS);
        assert!(confirmed(&mut doubts, 1, 110).is_some());
    }

    #[test]
    fn a_flood_in_one_connection_pushes_no_other_connection_out() {
        let mut doubts = Doubts::default();
        assert!(doubts.hold(doubt(1, 100, 0, true)));
        let held = (0..5_000).filter(|number| doubts.hold(doubt(2, 10 * number, 1, true))).count();
        assert_eq!(held, MAX_ANSWERED_OF_FLOW as usize);
        assert!(doubts.take_due(Due::OverCap).is_none());
        assert!(confirmed(&mut doubts, 1, 110).is_some());
    }

    #[test]
    fn what_waits_for_too_long_is_taken_in_order_of_arrival() {
        let mut doubts = Doubts::default();
        for (hash, arrived, is_answered) in [(1, 0, true), (2, 1, false), (3, 2, true), (4, 3_500, false)] {
            doubts.hold(doubt(hash, 100, arrived, is_answered));
        }
        assert!(doubts.take_due(Due::Waited(at(2_999).time)).is_none());
        let taken: Vec<u64> =
            std::iter::from_fn(|| doubts.take_due(Due::Waited(at(4_000).time))).map(|doubt| doubt.hash).collect();
        assert_eq!(taken, [1, 2, 3]);
        assert_eq!(doubts.take_due(Due::All).map(|doubt| doubt.hash), Some(4));
        assert!(doubts.by_flow.is_empty());
    }

    proptest! {
        #[test]
        fn each_segment_leaves_once_and_the_counts_are_exact(
            steps in proptest::collection::vec((0u64..6, 0u32..50, any::<bool>(), 0u8..4), 0..400),
        ) {
            let mut doubts = Doubts::default();
            let (mut held, mut taken) = (0, 0);
            for (time, (hash, place, is_answered, step)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => held += usize::from(doubts.hold(doubt(hash, 10 * place, 20 * time as u64, is_answered))),
                    2 => {
                        let number = 10 * place + 10;
                        while let Some(doubt) = confirmed(&mut doubts, hash, number) {
                            prop_assert!(doubt.hash == hash && doubt.sequence < number);
                            taken += 1;
                        }
                    }
                    _ => taken += usize::from(doubts.take_due(Due::Waited(at(20 * time as u64).time)).is_some()),
                }
                let waiting: usize = doubts.queues.iter().map(|queue| queue.waiting.len()).sum();
                prop_assert_eq!(waiting, held - taken);
                prop_assert_eq!(doubts.by_flow.iter().map(|flow| flow.waiting() as usize).sum::<usize>(), waiting);
                for queue in &doubts.queues {
                    prop_assert_eq!(queue.bytes, 10 * queue.waiting.len());
                }
            }
        }
    }
}
