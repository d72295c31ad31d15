//! Segments in doubt: they wait until the receiver's acknowledgments say whether the receiver took them.
//!
//! In: segments whose checksum is wrong, or that arrived another way than their connection. Out: the segments that an
//! acknowledgment confirms, in order of arrival, and those that nothing confirmed in time. Promises: segments and bytes are
//! capped; the oldest segment goes first.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::FlowKey;
use crate::{
    capture::Stamp,
    decode::{Encapsulation, Sum, TcpFlags},
    tcp::{Direction, FlowSegment},
    time::Timestamp,
};

/// Most segments in doubt.
const MAX_SEGMENTS: usize = 1_024;
/// Most payload bytes of them.
const MAX_BYTES: usize = 2 << 20;
/// How long a segment waits for an acknowledgment.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a segment is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its checksum is wrong.
    Checksum(Sum),
    /// It arrived through another tunnel than its connection.
    Way,
}

/// A segment in doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) key: FlowKey,
    pub(super) hash: u64,
    pub(super) direction: Direction,
    pub(super) carried: Stamp,
    pub(super) reason: Reason,
    /// Whether the receiver has sent a segment since, which acknowledged less.
    pub(super) is_passed_by: bool,
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
    ) -> Self {
        Self {
            key: *key,
            hash,
            direction,
            carried,
            reason,
            is_passed_by: false,
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

    /// Returns whether an acknowledgment number says that the receiver has the whole segment. Resets are not acknowledged.
    fn is_confirmed_by(&self, number: u32, window: u32) -> bool {
        let flags = [TcpFlags::SYN, TcpFlags::FIN].into_iter().filter(|flag| self.flags.has(*flag)).count() as u32;
        let length = self.wire_length.wrapping_add(flags);
        length > 0
            && !self.flags.has(TcpFlags::RST)
            && number.wrapping_sub(self.sequence.wrapping_add(length)) <= window
    }
}

/// The segments in doubt of one flow table, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    waiting: VecDeque<Doubt>,
    /// How many segments of each flow wait, by the flow's hash.
    by_flow: HashMap<u64, u32>,
    bytes: usize,
}

impl Doubts {
    /// Returns whether nothing is in doubt.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that the segments take.
    pub(super) fn allocated(&self) -> usize {
        self.bytes + self.waiting.capacity() * size_of::<Doubt>()
    }

    /// Adds a segment.
    pub(super) fn hold(&mut self, doubt: Doubt) {
        self.bytes += doubt.payload.len();
        *self.by_flow.entry(doubt.hash).or_default() += 1;
        self.waiting.push_back(doubt);
    }

    /// Takes the oldest segment of a direction that an acknowledgment of its receiver confirms.
    pub(super) fn take_confirmed(
        &mut self,
        hash: u64,
        direction: Direction,
        number: u32,
        window: u32,
    ) -> Option<Doubt> {
        if !self.by_flow.contains_key(&hash) {
            return None;
        }
        let at = self.waiting.iter().position(|doubt| {
            doubt.hash == hash && doubt.direction == direction && doubt.is_confirmed_by(number, window)
        })?;
        let doubt = self.waiting.remove(at)?;
        self.forget(&doubt);
        Some(doubt)
    }

    /// Notes that the receiver of a direction sent a segment that confirmed none of those that still wait.
    pub(super) fn note_passed_by(&mut self, hash: u64, direction: Direction) {
        if self.by_flow.contains_key(&hash) {
            let of_direction = |doubt: &&mut Doubt| doubt.hash == hash && doubt.direction == direction;
            self.waiting.iter_mut().filter(of_direction).for_each(|doubt| doubt.is_passed_by = true);
        }
    }

    /// Takes the oldest segment if it has waited too long, or if there are too many. Without a time, takes it in any case.
    pub(super) fn take_expired(&mut self, now: Option<Timestamp>) -> Option<Doubt> {
        let oldest = self.waiting.front()?;
        let is_over = self.waiting.len() > MAX_SEGMENTS
            || self.bytes > MAX_BYTES
            || now.is_none_or(|now| now.since(oldest.carried.time) >= PATIENCE);
        let doubt = if is_over { self.waiting.pop_front()? } else { return None };
        self.forget(&doubt);
        Some(doubt)
    }

    fn forget(&mut self, doubt: &Doubt) {
        self.bytes -= doubt.payload.len();
        if let Some(count) = self.by_flow.get_mut(&doubt.hash) {
            *count -= 1;
            if *count == 0 {
                self.by_flow.remove(&doubt.hash);
            }
        }
    }
}
