//! Pieces of one direction's stream that wait for earlier bytes.
//!
//! In: payload ranges by sequence number, in any order, overlapping. Out: disjoint pieces in stream order, each with the
//! packet that carried it. Promises: no byte is held twice. The overlap policy decides which bytes win. Every byte held is
//! charged to the caps.

use std::collections::VecDeque;

use super::OverlapPolicy;
use crate::{capture::Stamp, time::Timestamp};

/// Bytes charged for a piece in addition to its content: twice the size of the piece, as the queue may have as much spare
/// room again, and 16 bytes for the allocation.
const PIECE_CHARGE: usize = 2 * size_of::<Piece>() + 16;

/// The packet that carried a piece, a FIN or a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carrier {
    /// The packet's number and time.
    pub(crate) stamp: Stamp,
    /// The packet's acknowledgment number.
    pub(crate) acknowledgment: Option<u32>,
    /// The interface that captured the packet.
    pub(crate) interface: u16,
}

/// A range of payload: `captured` bytes, then `length - captured` bytes that the snap length cut off.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Sequence number of the first byte.
    pub(crate) sequence: u32,
    /// Bytes on the wire.
    pub(crate) length: u32,
    /// Bytes captured, `<= length`.
    pub(crate) captured: u32,
    /// The offset of the captured bytes in `content`.
    start: u32,
    /// The bytes; `None` if the consumer does not need them.
    content: Option<Box<[u8]>>,
    /// The packet that carried the bytes.
    pub(crate) carrier: Carrier,
}

impl Piece {
    /// Returns the captured bytes, or `None` if they were not kept.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        let start = self.start as usize;
        self.content.as_ref().map(|content| content.get(start..start + self.captured as usize).unwrap_or_default())
    }

    /// The sequence number after the last byte.
    pub(crate) const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.length)
    }

    /// Cuts off the first `count` bytes.
    pub(crate) fn drop_front(&mut self, count: u32) {
        let count = count.min(self.length);
        let captured = count.min(self.captured);
        self.sequence = self.sequence.wrapping_add(count);
        self.length -= count;
        self.captured -= captured;
        self.start += captured;
    }

    fn keep_front(&mut self, count: u32) {
        self.length = count.min(self.length);
        self.captured = self.captured.min(self.length);
    }

    pub(super) fn charge(&self) -> usize {
        PIECE_CHARGE + self.content.as_ref().map_or(0, |content| content.len())
    }

    /// Returns how many of the `length` bytes from `sequence` on differ between this piece and `payload`, as far as both
    /// were captured.
    fn disagreement(&self, payload: &[u8], payload_sequence: u32, sequence: u32, length: u32) -> u64 {
        let Some(own) = self.bytes() else { return 0 };
        let own = own.get(sequence.wrapping_sub(self.sequence) as usize..).unwrap_or_default();
        let other = payload.get(sequence.wrapping_sub(payload_sequence) as usize..).unwrap_or_default();
        own.iter().zip(other).take(length as usize).filter(|(a, b)| a != b).count() as u64
    }
}

/// The payload of a segment that arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// Sequence number of the first byte.
    pub(crate) sequence: u32,
    /// Captured bytes.
    pub(crate) payload: &'a [u8],
    /// Bytes on the wire, `>= payload.len()`.
    pub(crate) length: u32,
    /// The packet that carried the bytes.
    pub(crate) carrier: Carrier,
}

impl Arrival<'_> {
    /// Cuts off the first `count` bytes.
    pub(crate) fn drop_front(&mut self, count: u32) {
        let count = count.min(self.length);
        self.sequence = self.sequence.wrapping_add(count);
        self.length -= count;
        self.payload = self.payload.get(count as usize..).unwrap_or_default();
    }

    /// The sequence number after the last byte.
    pub(crate) const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.length)
    }

    pub(super) fn part(&self, from: u32, length: u32, keep: bool) -> Piece {
        let start = from.wrapping_sub(self.sequence) as usize;
        let bytes = self.payload.get(start..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(length as usize)];
        Piece {
            sequence: from,
            length,
            captured: bytes.len() as u32,
            start: 0,
            content: keep.then(|| bytes.into()),
            carrier: self.carrier,
        }
    }
}

/// How an inserted payload overlaps the waiting pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Bytes of the payload that were already waiting.
    pub(crate) repeated: u64,
    /// Bytes among the `repeated` bytes that differ.
    pub(crate) disagreeing: u64,
}

/// The place of a FIN or a reset in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The sequence number: the FIN or reset comes after all bytes before this number.
    pub(crate) sequence: u32,
    /// The packet that carried the FIN or reset.
    pub(crate) carrier: Carrier,
}

/// The pieces and marks that wait in one direction.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pieces: VecDeque<Piece>,
    charge: usize,
    /// A FIN whose place is not reached yet.
    pub(crate) fin: Option<Mark>,
    /// A reset whose place is not reached yet.
    pub(crate) reset: Option<Mark>,
    /// The time when waiting for the missing bytes before the first piece began.
    pub(crate) since: Timestamp,
    /// The time when the receiver's acknowledgment first covered missing bytes; `None` if it has not.
    pub(crate) covered: Option<Timestamp>,
    /// Segments of the flow since `covered`, or since `since` while `covered` is `None`.
    pub(crate) segments: u16,
}

impl Waiting {
    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.fin.is_none() && self.reset.is_none()
    }

    /// Pieces held.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Bytes charged for the pieces.
    pub(crate) fn charge(&self) -> usize {
        self.charge
    }

    /// The first piece.
    pub(crate) fn first(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// The sequence number after the last piece.
    pub(crate) fn end(&self) -> Option<u32> {
        self.pieces.back().map(Piece::end)
    }

    /// Takes the first piece out.
    pub(crate) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.charge -= piece.charge();
        Some(piece)
    }

    /// Starts the waiting time again, for the next missing bytes.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        self.since = now;
        self.covered = None;
        self.segments = 0;
    }

    /// Inserts a payload. `base` is a sequence number less than 2 GiB before all waiting and arriving bytes.
    pub(crate) fn insert(&mut self, arrival: &Arrival<'_>, base: u32, keep: bool, policy: OverlapPolicy) -> Overlap {
        if arrival.length == 0 {
            return Overlap::default();
        }
        match policy {
            OverlapPolicy::First => self.insert_around(arrival, base, keep),
            OverlapPolicy::Last => self.insert_over(arrival, base, keep),
        }
    }

    /// Inserts those parts of the payload that no waiting piece covers.
    fn insert_around(&mut self, arrival: &Arrival<'_>, base: u32, keep: bool) -> Overlap {
        let place = |sequence: u32| sequence.wrapping_sub(base);
        let (mut cursor, end) = (place(arrival.sequence), place(arrival.sequence) + arrival.length);
        let first = self.pieces.partition_point(|piece| place(piece.sequence) + piece.length <= cursor);
        let mut overlap = Overlap::default();
        let mut parts = Vec::new();
        let mut single = None;
        for piece in self.pieces.range(first..) {
            let start = place(piece.sequence);
            if start >= end {
                break;
            }
            if start > cursor {
                parts.extend(single.replace((cursor, start)));
                cursor = start;
            }
            let shared = end.min(start + piece.length) - cursor;
            let from = base.wrapping_add(cursor);
            overlap.repeated += u64::from(shared);
            overlap.disagreeing += piece.disagreement(arrival.payload, arrival.sequence, from, shared);
            cursor += shared;
        }
        if cursor < end {
            parts.extend(single.replace((cursor, end)));
        }
        let part = |(from, to): (u32, u32)| arrival.part(base.wrapping_add(from), to - from, keep);
        if parts.is_empty() {
            if let Some(range) = single {
                self.insert_one(part(range), base);
            }
        } else {
            parts.extend(single);
            for piece in parts.into_iter().map(part) {
                self.charge += piece.charge();
                self.pieces.push_back(piece);
            }
            self.pieces.make_contiguous().sort_by_key(|piece| place(piece.sequence));
        }
        overlap
    }

    /// Inserts a whole payload. The overlapping parts of waiting pieces are cut off.
    fn insert_over(&mut self, arrival: &Arrival<'_>, base: u32, keep: bool) -> Overlap {
        let place = |sequence: u32| sequence.wrapping_sub(base);
        let (start, end) = (place(arrival.sequence), place(arrival.sequence) + arrival.length);
        let first = self.pieces.partition_point(|piece| place(piece.sequence) + piece.length <= start);
        let last = self.pieces.partition_point(|piece| place(piece.sequence) < end);
        let mut overlap = Overlap::default();
        let mut rests = [None, None];
        for piece in self.pieces.drain(first..last.max(first)) {
            self.charge -= piece.charge();
            let (old_start, old_end) = (place(piece.sequence), place(piece.sequence) + piece.length);
            let from = old_start.max(start);
            let shared = old_end.min(end) - from;
            overlap.repeated += u64::from(shared);
            overlap.disagreeing +=
                piece.disagreement(arrival.payload, arrival.sequence, base.wrapping_add(from), shared);
            if old_start < start {
                let mut before = piece.clone();
                before.keep_front(start - old_start);
                rests[0] = Some(before);
            }
            if old_end > end {
                let mut after = piece;
                after.drop_front(end - old_start);
                rests[1] = Some(after);
            }
        }
        let [before, after] = rests;
        for piece in before.into_iter().chain([arrival.part(arrival.sequence, arrival.length, keep)]).chain(after) {
            self.insert_one(piece, base);
        }
        overlap
    }

    /// Inserts a piece that overlaps no other piece.
    fn insert_one(&mut self, piece: Piece, base: u32) {
        let place = |sequence: u32| sequence.wrapping_sub(base);
        let at = self.pieces.partition_point(|other| place(other.sequence) < place(piece.sequence));
        if piece.content.is_none() && piece.captured == piece.length {
            let before = at.checked_sub(1).and_then(|index| self.pieces.get_mut(index));
            if let Some(before) = before.filter(|before| {
                before.content.is_none() && before.captured == before.length && before.end() == piece.sequence
            }) {
                before.length += piece.length;
                before.captured = before.length;
                return;
            }
        }
        self.charge += piece.charge();
        self.pieces.insert(at, piece);
    }
}
