//! Framing: finding the packets in a block of capture bytes, in place.
//!
//! In: a block and where to start. Out: [`PacketRecord`]s that point into the block, how far it got, and why it stopped.
//! Copies nothing; a record that the block cuts is left for the next block.

use crate::{
    capture::{LinkType, PacketRecord, Stamp},
    time::Timestamp,
};

use super::{CaptureCounters, problem::ProblemKind};

/// Most captured bytes a record may claim before the file counts as corrupt: 1 MiB.
///
/// The largest packet Linux hands to a capture is 524,280 bytes (BIG TCP); twice that is never reached by a real packet,
/// and small enough that a corrupt length is noticed rather than swallowing the packets behind it. The file header's snap
/// length is no guide: real files have 0, too little and too much there.
pub const MAX_CAPTURED: u32 = 1 << 20;

/// Why framing stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The next record needs this many bytes from its start, more than the block has left.
    More(usize),
    /// The next this many bytes are of no interest; the block may have more or fewer left.
    Skip(u64),
    /// Another capture file begins here: two files were run together.
    AnotherFile,
    /// The bytes cannot be framed any further.
    Broken(ProblemKind),
}

/// Progress through one block.
pub(super) struct Framing<'a> {
    /// The block; only this much of the batch's bytes is filled.
    pub(super) bytes: &'a [u8],
    /// Offset of the next record; `at <= bytes.len() <= u32::MAX`.
    pub(super) at: usize,
    /// Where records go.
    pub(super) records: &'a mut Vec<PacketRecord>,
    /// The next packet's number.
    pub(super) number: u64,
    /// The latest packet's time in this input.
    pub(super) last: Timestamp,
    /// Counters.
    pub(super) counters: &'a mut CaptureCounters,
}

impl<'a> Framing<'a> {
    /// The bytes from the next record on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Moves to the record `length` bytes further.
    #[inline]
    pub(super) fn advance(&mut self, length: usize) {
        self.at += length;
    }

    /// Adds the packet whose bytes start `data_at` after the next record's start and are all in the block.
    #[inline]
    pub(super) fn packet(
        &mut self,
        time: Timestamp,
        data_at: usize,
        (captured, wire_length): (u32, u32),
        link_type: LinkType,
        fcs: u32,
    ) {
        if captured > wire_length {
            self.counters.captured_beyond_wire_length += 1;
        }
        if time < self.last {
            self.counters.time_backwards += 1;
        }
        self.last = time;
        let wire_length = wire_length.max(captured);
        let (captured, wire_length) =
            if fcs == 0 { (captured, wire_length) } else { without_check_sequence(captured, wire_length, fcs) };
        self.records.push(PacketRecord {
            stamp: Stamp { number: self.number, time },
            offset: (self.at + data_at) as u32,
            captured,
            wire_length,
            link_type,
            interface: 0,
        });
        self.number += 1;
    }
}

/// Lengths without a frame check sequence of `fcs` bytes, of which a snap length may have cut all or a part.
fn without_check_sequence(captured: u32, wire_length: u32, fcs: u32) -> (u32, u32) {
    let wire_length = wire_length.saturating_sub(fcs);
    (captured.min(wire_length), wire_length)
}
