//! Framing: finds the packets in a block of capture bytes without copying them.
//!
//! In: a block and the offset to start at. Out: [`PacketRecord`]s that point into the block, the offset at which framing
//! stopped, and the reason. Promises: nothing is copied. A record that is only partly in the block is left for the next
//! block.

use crate::{
    capture::{LinkType, PacketRecord, Stamp},
    time::Timestamp,
};

use super::{CaptureCounters, problem::ProblemKind, secrets::SecretBlocks};

/// Most captured bytes a record may claim before the file counts as corrupt: 1 MiB.
///
/// The largest packet that Linux hands to a capture has 524,280 bytes (BIG TCP), so no real packet reaches twice that size.
/// The limit is also small enough to detect most corrupt lengths before they hide the packets behind them. The snap length
/// in the file header is not used as the limit: in real files it is 0, too small or too large.
pub const MAX_CAPTURED: u32 = 1 << 20;

/// Why framing stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The next record needs this many bytes from its start, more than the block has left.
    More(usize),
    /// The next bytes, this many, are to be skipped. The block may have fewer bytes left.
    Skip(u64),
    /// Another capture file begins here: two files were concatenated.
    AnotherFile,
    /// The bytes from here on cannot be framed.
    Broken(ProblemKind),
}

/// Progress through one block.
pub(super) struct Framing<'a> {
    /// The block: the filled part of the batch's bytes.
    pub(super) bytes: &'a [u8],
    /// Offset of the next record; `at <= bytes.len() <= u32::MAX`.
    pub(super) at: usize,
    /// The list to which records are added.
    pub(super) records: &'a mut Vec<PacketRecord>,
    /// The next packet's number.
    pub(super) number: u64,
    /// The latest packet's time in this input.
    pub(super) last: Timestamp,
    /// Where key logs go.
    pub(super) secrets: &'a mut SecretBlocks,
    /// Counters.
    pub(super) counters: &'a mut CaptureCounters,
}

impl<'a> Framing<'a> {
    /// Returns the bytes from the next record on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Moves to the record `length` bytes further.
    #[inline]
    pub(super) fn advance(&mut self, length: usize) {
        self.at += length;
    }

    /// Adds a packet. Its bytes start `data_at` bytes after the start of the next record, and all of them are in the block.
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

/// Returns both lengths without the frame check sequence of `fcs` bytes. A snap length may have cut off all or part of it.
fn without_check_sequence(captured: u32, wire_length: u32, fcs: u32) -> (u32, u32) {
    let wire_length = wire_length.saturating_sub(fcs);
    (captured.min(wire_length), wire_length)
}
