//! IP fragments to datagrams.
//!
//! In: fragments of IPv4 and IPv6, whole or cut by a snap length, with packet time. Out: datagrams, at the packet that
//! completes them. Promises: bytes, datagrams and pieces are capped; the oldest datagram makes room, in O(1); the same
//! fragments give the same datagrams in any order and number.
//!
//! Which bytes count when fragments overlap:
//! - An exact copy of a fragment changes nothing, before and after the datagram is complete. (A SPAN port copies
//!   packets twice.)
//! - IPv4: the bytes that arrived first stay; a later fragment only fills gaps. Receivers that accept overlaps do the
//!   same.
//! - IPv6: an overlap that is not an exact copy ends the datagram; its later fragments are refused (RFC 5722).
//!
//! etherparse's `IpDefragBuf` is no base for this: a later fragment overwrites an earlier one, and neither overlaps nor
//! bytes that the snap length cut off are noticed.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::{
    DecodeCounters, Encapsulation, FragmentLimits,
    cursor::Cursor,
    fifo_slab::FifoSlab,
    layer::{Fragment, IpVersion},
    outer::{Addresses, OuterHeaders},
};
use crate::{address::Address, keyed_hash::KeyedState, time::Timestamp};

/// The longest datagram that fragments can make (RFC 791; RFC 8200, section 4.5).
const MAX_DATAGRAM: usize = 65_535;

/// The state of a datagram after a fragment was added.
#[derive(Debug)]
pub(super) enum Reassembly {
    /// The datagram misses fragments, or the fragment was of no use.
    Incomplete,
    /// The fragment completed the datagram.
    Complete {
        /// Protocol number of the content.
        protocol: u8,
        /// The bytes up to the first one that was not captured. The caller returns them with
        /// [`FragmentTable::recycle`].
        bytes: Vec<u8>,
        /// The datagram's length on the wire.
        wire_length: usize,
    },
}

/// The fields that all fragments of one datagram share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    /// IPv4 only. An IPv6 datagram is identified by addresses and identification alone (RFC 8200).
    protocol: Option<u8>,
    /// Several VLANs and tunnels may use the same private addresses.
    encapsulation: Encapsulation,
}

impl Key {
    fn of(fragment: &Fragment, addresses: Addresses, encapsulation: Encapsulation) -> Self {
        Self {
            source: addresses.source,
            destination: addresses.destination,
            identification: fragment.identification,
            protocol: (fragment.version == IpVersion::V4).then_some(fragment.protocol),
            encapsulation,
        }
    }
}

/// Consecutive bytes of a datagram.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Offset in the datagram.
    start: u32,
    /// Offset of the end on the wire; `start < end`.
    end: u32,
    /// Offset of the captured bytes in the datagram's `bytes`.
    position: u32,
    /// Captured bytes; at most `end - start`.
    captured: u32,
    /// Hash of the captured bytes. It recognises a copy after the bytes were dropped.
    digest: u64,
}

/// How far a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// FragmentTable are missing.
    Waiting,
    /// The datagram was handed on. Its pieces are kept without their bytes, to recognise copies of its fragments.
    Complete,
    /// The datagram cannot be completed. Its later fragments are refused.
    Abandoned,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    hash: u64,
    first_seen: Timestamp,
    progress: Progress,
    /// Protocol number of the content, from the first fragment.
    protocol: Option<u8>,
    /// Length on the wire, from the last fragment.
    length: Option<u32>,
    /// Captured bytes in order of arrival.
    bytes: Vec<u8>,
    /// Sorted by `start`, disjoint.
    pieces: Vec<Piece>,
    /// Sum of the pieces' lengths on the wire.
    covered: u32,
    /// Its part of [`FragmentTable::bytes_held`].
    accounted: usize,
}

/// The part of a datagram that a fragment covers.
#[derive(Debug, Clone, Copy)]
struct Coverage<'a> {
    start: u32,
    /// `start < end <= MAX_DATAGRAM`.
    end: u32,
    /// The captured bytes; at most `end - start`.
    data: &'a [u8],
}

/// How a fragment overlaps the pieces of its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlap {
    /// It overlaps no piece.
    None,
    /// It has the offset, length and bytes of a piece.
    Copy,
    /// It overlaps pieces, and the bytes are the same.
    Agreeing,
    /// It overlaps pieces, and the bytes differ.
    Disagreeing,
}

/// The datagrams of which fragments were seen.
#[derive(Debug)]
pub(super) struct FragmentTable {
    limits: FragmentLimits,
    hasher: KeyedState,
    /// Indexes of `datagrams`, by key.
    table: HashTable<u32>,
    datagrams: FifoSlab<Datagram>,
    bytes_held: usize,
    /// Number of datagrams that wait for fragments.
    waiting: u64,
    /// The buffer for the next complete datagram.
    spare_buffer: Vec<u8>,
}

impl FragmentTable {
    pub(super) fn new(limits: FragmentLimits, hash_seed: u64) -> Self {
        Self {
            limits,
            hasher: KeyedState::with_seed(hash_seed),
            table: HashTable::new(),
            datagrams: FifoSlab::new(),
            bytes_held: 0,
            waiting: 0,
            spare_buffer: Vec::new(),
        }
    }

    /// Adds a fragment to its datagram. `data` is the part of the packet after the fragment's header.
    pub(super) fn add(
        &mut self,
        fragment: &Fragment,
        data: Cursor<'_>,
        outer: &OuterHeaders,
        now: Timestamp,
        counters: &mut DecodeCounters,
    ) -> Reassembly {
        counters.fragments += 1;
        self.expire(now, counters);
        let Some(coverage) = Coverage::of(fragment, data) else {
            counters.fragments_malformed += 1;
            return Reassembly::Incomplete;
        };
        let index = self.datagram(Key::of(fragment, outer.addresses, outer.encapsulation), &coverage, now, counters);
        let Some(datagram) = self.datagrams.get_mut(index) else { return Reassembly::Incomplete };
        let before = datagram.progress;
        let complete = datagram.add(fragment, &coverage, self.limits.pieces, &self.hasher, counters);
        let result =
            if complete { datagram.assemble(std::mem::take(&mut self.spare_buffer)) } else { Reassembly::Incomplete };
        counters.datagrams_reassembled += u64::from(complete);
        if datagram.progress != Progress::Waiting {
            datagram.bytes = Vec::new();
        }
        self.waiting -= u64::from(before == Progress::Waiting && datagram.progress != Progress::Waiting);
        self.bytes_held -= datagram.accounted;
        datagram.accounted = datagram.memory();
        self.bytes_held += datagram.accounted;
        while self.bytes_held > self.limits.bytes && self.evict_oldest(counters) {}
        result
    }

    /// Takes the buffer of a complete datagram back, for the next one.
    pub(super) fn recycle(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spare_buffer = bytes;
    }

    /// Datagrams that wait for fragments.
    pub(super) const fn incomplete(&self) -> u64 {
        self.waiting
    }

    /// Memory that all datagrams take.
    pub(super) const fn bytes_held(&self) -> usize {
        self.bytes_held
    }

    /// The index of the datagram with this key, which is new where the table has none. A complete datagram makes way
    /// for a new one when the fragment is no copy of its own: senders use identifications again.
    fn datagram(&mut self, key: Key, coverage: &Coverage<'_>, now: Timestamp, counters: &mut DecodeCounters) -> u32 {
        let hash = self.hasher.hash_one(key);
        let datagrams = &self.datagrams;
        let known = self.table.find(hash, |&index| datagrams.get(index).is_some_and(|datagram| datagram.key == key));
        if let Some(&index) = known {
            let is_over = datagrams.get(index).is_some_and(|datagram| {
                datagram.progress == Progress::Complete && !datagram.has_copy(coverage, &self.hasher)
            });
            if !is_over {
                return index;
            }
            self.remove(index);
        }
        while self.datagrams.len() >= self.limits.datagrams.max(1) && self.evict_oldest(counters) {}
        self.waiting += 1;
        let index = self.datagrams.push(Datagram::new(key, hash, now));
        let datagrams = &self.datagrams;
        self.table.insert_unique(hash, index, |&index| datagrams.get(index).map_or(0, |datagram| datagram.hash));
        index
    }

    /// Removes the datagrams that are older than the time-out.
    fn expire(&mut self, now: Timestamp, counters: &mut DecodeCounters) {
        while let Some(index) = self.datagrams.oldest() {
            let Some(datagram) = self.datagrams.get(index) else { return };
            if now.since(datagram.first_seen) <= self.limits.timeout {
                return;
            }
            let progress = self.remove(index);
            counters.datagrams_timed_out += u64::from(progress == Some(Progress::Waiting));
        }
    }

    /// Removes the oldest datagram. Returns whether there was one.
    fn evict_oldest(&mut self, counters: &mut DecodeCounters) -> bool {
        let Some(index) = self.datagrams.oldest() else { return false };
        let progress = self.remove(index);
        counters.datagrams_evicted += u64::from(progress == Some(Progress::Waiting));
        progress.is_some()
    }

    fn remove(&mut self, index: u32) -> Option<Progress> {
        let datagram = self.datagrams.remove(index)?;
        if let Ok(entry) = self.table.find_entry(datagram.hash, |&other| other == index) {
            entry.remove();
        }
        self.bytes_held -= datagram.accounted;
        self.waiting -= u64::from(datagram.progress == Progress::Waiting);
        Some(datagram.progress)
    }
}

impl<'a> Coverage<'a> {
    /// Returns `None` for a fragment that no sender makes: one that is empty, ends beyond the longest datagram, or is
    /// followed by others and not a multiple of eight bytes long. The last kind is refused in IPv6 and shortened in
    /// IPv4, as receivers do.
    fn of(fragment: &Fragment, mut data: Cursor<'a>) -> Option<Self> {
        if fragment.more && !data.wire_length().is_multiple_of(8) {
            if fragment.version == IpVersion::V6 {
                return None;
            }
            data.shorten_to(data.wire_length() / 8 * 8);
        }
        let end = fragment.offset.checked_add(data.wire_length())?;
        if data.wire_length() == 0 || end > MAX_DATAGRAM {
            return None;
        }
        Some(Self { start: u32::try_from(fragment.offset).ok()?, end: u32::try_from(end).ok()?, data: data.captured() })
    }

    /// The captured bytes between two offsets in the datagram.
    fn between(&self, start: u32, end: u32) -> &'a [u8] {
        let captured = self.data.len();
        let from = (start.saturating_sub(self.start) as usize).min(captured);
        let to = (end.saturating_sub(self.start) as usize).clamp(from, captured);
        &self.data[from..to]
    }
}

impl Datagram {
    const fn new(key: Key, hash: u64, first_seen: Timestamp) -> Self {
        Self {
            key,
            hash,
            first_seen,
            progress: Progress::Waiting,
            protocol: None,
            length: None,
            bytes: Vec::new(),
            pieces: Vec::new(),
            covered: 0,
            accounted: 0,
        }
    }

    /// Bytes of memory that the datagram takes.
    fn memory(&self) -> usize {
        const TABLE: usize = 16;
        size_of::<Self>() + TABLE + self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Adds the bytes of a fragment that are new. Returns whether the datagram is complete.
    fn add(
        &mut self,
        fragment: &Fragment,
        coverage: &Coverage<'_>,
        max_pieces: usize,
        hasher: &KeyedState,
        counters: &mut DecodeCounters,
    ) -> bool {
        match self.progress {
            Progress::Waiting => {}
            Progress::Complete => {
                counters.fragments_repeated += 1;
                return false;
            }
            Progress::Abandoned => {
                counters.fragments_refused += 1;
                return false;
            }
        }
        if !self.agrees_on_length(fragment, coverage) {
            counters.fragments_malformed += 1;
            return false;
        }
        let overlap = self.overlap(coverage);
        match overlap {
            Overlap::None => {}
            Overlap::Copy => counters.fragments_repeated += 1,
            Overlap::Agreeing => counters.fragments_overlapping += 1,
            Overlap::Disagreeing => {
                counters.fragments_overlapping += 1;
                counters.fragments_disagreeing += 1;
            }
        }
        let is_refused =
            matches!(overlap, Overlap::Agreeing | Overlap::Disagreeing) && fragment.version == IpVersion::V6;
        if is_refused {
            counters.datagrams_given_up_overlap += 1;
        } else if overlap != Overlap::Copy {
            self.fill_gaps(coverage, hasher);
        }
        let too_many = self.pieces.len() > max_pieces;
        counters.datagrams_given_up_pieces += u64::from(too_many && !is_refused);
        if is_refused || too_many {
            self.progress = Progress::Abandoned;
            self.pieces = Vec::new();
            return false;
        }
        if fragment.offset == 0 {
            self.protocol.get_or_insert(fragment.protocol);
        }
        if !fragment.more {
            self.length = Some(coverage.end);
        }
        self.length == Some(self.covered)
    }

    /// Returns whether a fragment fits the datagram's length as other fragments tell it.
    fn agrees_on_length(&self, fragment: &Fragment, coverage: &Coverage<'_>) -> bool {
        let reached = self.pieces.last().map_or(0, |piece| piece.end);
        match self.length {
            Some(length) if fragment.more => coverage.end <= length,
            Some(length) => coverage.end == length,
            None => fragment.more || coverage.end >= reached,
        }
    }

    /// Indexes of the pieces that a fragment overlaps.
    fn overlapped(&self, coverage: &Coverage<'_>) -> std::ops::Range<usize> {
        let first = self.pieces.partition_point(|piece| piece.end <= coverage.start);
        let last = self.pieces.partition_point(|piece| piece.start < coverage.end);
        first..last.max(first)
    }

    fn overlap(&self, coverage: &Coverage<'_>) -> Overlap {
        let pieces = &self.pieces[self.overlapped(coverage)];
        let same = |piece: &Piece| {
            let ours = piece.bytes(&self.bytes, coverage.start, coverage.end);
            let theirs = coverage.between(piece.start.max(coverage.start), piece.end.min(coverage.end));
            let length = ours.len().min(theirs.len());
            ours[..length] == theirs[..length]
        };
        match pieces {
            [] => Overlap::None,
            pieces if !pieces.iter().all(same) => Overlap::Disagreeing,
            [piece] if (piece.start, piece.end) == (coverage.start, coverage.end) => Overlap::Copy,
            _ => Overlap::Agreeing,
        }
    }

    /// Adds a piece for each part of a fragment that no piece covers.
    fn fill_gaps(&mut self, coverage: &Coverage<'_>, hasher: &KeyedState) {
        let overlapped = self.overlapped(coverage);
        let mut start = coverage.start;
        let mut added = Vec::new();
        let bounds = self.pieces[overlapped].iter().map(|piece| (piece.start, piece.end));
        for (end, next) in bounds.chain([(coverage.end, coverage.end)]) {
            if start < end {
                let data = coverage.between(start, end);
                added.push(Piece {
                    start,
                    end,
                    position: self.bytes.len() as u32,
                    captured: data.len() as u32,
                    digest: hasher.hash_one(data),
                });
                self.bytes.extend_from_slice(data);
                self.covered += end - start;
            }
            start = next.max(start);
        }
        for piece in added {
            let at = self.pieces.partition_point(|other| other.start < piece.start);
            self.pieces.insert(at, piece);
        }
    }

    /// Returns whether a fragment is a copy of one of the pieces.
    fn has_copy(&self, coverage: &Coverage<'_>, hasher: &KeyedState) -> bool {
        self.pieces[self.overlapped(coverage)].iter().any(|piece| {
            (piece.start, piece.end) == (coverage.start, coverage.end)
                && piece.captured as usize == coverage.data.len()
                && piece.digest == hasher.hash_one(coverage.data)
        })
    }

    /// The datagram up to the first byte that was not captured.
    fn assemble(&mut self, mut bytes: Vec<u8>) -> Reassembly {
        let Some(protocol) = self.protocol else { return Reassembly::Incomplete };
        for piece in &self.pieces {
            bytes.extend_from_slice(piece.bytes(&self.bytes, piece.start, piece.end));
            if piece.captured < piece.end - piece.start {
                break;
            }
        }
        self.progress = Progress::Complete;
        Reassembly::Complete { protocol, bytes, wire_length: self.covered as usize }
    }
}

impl Piece {
    /// The captured bytes between two offsets in the datagram.
    fn bytes<'a>(&self, datagram: &'a [u8], start: u32, end: u32) -> &'a [u8] {
        let from = start.saturating_sub(self.start).min(self.captured);
        let to = end.saturating_sub(self.start).clamp(from, self.captured);
        datagram.get((self.position + from) as usize..(self.position + to) as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;
    use crate::keyed_hash::testing::{assert_bounded_work, colliding_addresses};

    #[test]
    fn datagrams_of_addresses_that_a_sender_chose_cost_bounded_work() {
        let hasher = KeyedState::with_seed(7);
        assert_bounded_work(colliding_addresses().map(|source| {
            let (source, encapsulation) = (Address::v6(source), Encapsulation::default());
            hasher.hash_one(Key { source, destination: source, identification: 1, protocol: None, encapsulation })
        }));
    }
}
