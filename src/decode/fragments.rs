//! IP fragments to datagrams.
//!
//! In: fragments of IPv4 and IPv6, whole or cut by a snap length, at packet time. Out: datagrams, in the packet that
//! completes them. Promises: bytes, datagrams and pieces are capped; what makes room is the oldest datagram, in O(1); the
//! same fragments give the same datagrams in any order and number.
//!
//! Which reading is taken when fragments overlap:
//! - The same bytes again, and copies of a datagram's fragments after it is complete (a SPAN port copies packets twice), are
//!   no news.
//! - IPv4: what arrived first stays, what is new is added. Receivers that do not refuse such a datagram do the same.
//! - IPv6: an overlap that is not an exact copy ends the datagram and all that may still come of it (RFC 5722).

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use super::{
    DecodeCounters, Encapsulation, FragmentLimits,
    aged::Aged,
    layer::{Addresses, Fragment, IpVersion, Trail},
    view::View,
};
use crate::{address::Address, time::Timestamp};

/// The longest datagram that fragments can make (RFC 791; RFC 8200, section 4.5).
const MAX_DATAGRAM: usize = 65_535;

/// What became of a fragment.
#[derive(Debug)]
pub(super) enum Taken {
    /// It waits for others, or was of no use.
    Nothing,
    /// It was the last one missing.
    Complete {
        /// What the datagram carries, by its protocol number.
        protocol: u8,
        /// The bytes up to the first that was not captured; give them back with [`Fragments::recycle`].
        bytes: Vec<u8>,
        /// The datagram's length on the wire.
        wire: usize,
    },
}

/// What the fragments of one datagram have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    /// IPv4 only: RFC 8200 identifies by addresses and identification.
    protocol: Option<u8>,
    /// The same private addresses may be in use in several VLANs and tunnels.
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
    /// Where the captured bytes lie in the datagram's `bytes`.
    position: u32,
    /// Captured bytes; at most `end - start`.
    captured: u32,
    /// Hash of the captured bytes, to know a copy when the bytes are gone.
    digest: u64,
}

/// Whether a datagram still wants fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Fragments are missing.
    Waiting,
    /// It was handed on; its pieces are remembered to know copies of them.
    Complete,
    /// It was given up; what comes of it is refused.
    GivenUp,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    hash: u64,
    first_seen: Timestamp,
    progress: Progress,
    /// Protocol number, from the first fragment.
    carried: Option<u8>,
    /// Known from the last fragment.
    total: Option<u32>,
    /// Captured bytes in order of arrival.
    bytes: Vec<u8>,
    /// Sorted by `start`, disjoint.
    pieces: Vec<Piece>,
    /// Sum of the pieces' lengths on the wire.
    covered: u32,
    /// What [`Fragments::bytes_held`] counts for it.
    charged: usize,
}

/// A fragment's place in its datagram.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    start: u32,
    /// `start < end <= MAX_DATAGRAM`.
    end: u32,
    /// The captured bytes; at most `end - start`.
    data: &'a [u8],
}

/// How a fragment relates to what is held of its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Touches nothing.
    New,
    /// The same place and bytes as one that is held.
    Copy,
    /// Covers bytes that are held, and they agree.
    Overlap,
    /// Covers bytes that are held, and they do not.
    Disagreement,
}

/// The datagrams of which fragments are known.
#[derive(Debug)]
pub(super) struct Fragments {
    limits: FragmentLimits,
    hasher: FixedState,
    /// Indexes into `datagrams`, by key.
    table: HashTable<u32>,
    datagrams: Aged<Datagram>,
    bytes_held: usize,
    /// Datagrams that wait for fragments.
    waiting: u64,
    /// A buffer for the next complete datagram.
    spare: Vec<u8>,
}

impl Fragments {
    pub(super) fn new(limits: FragmentLimits, hash_seed: u64) -> Self {
        Self {
            limits,
            hasher: FixedState::with_seed(hash_seed),
            table: HashTable::new(),
            datagrams: Aged::new(),
            bytes_held: 0,
            waiting: 0,
            spare: Vec::new(),
        }
    }

    /// Takes a fragment in; `data` is what follows its header.
    pub(super) fn take(
        &mut self,
        fragment: &Fragment,
        data: View<'_>,
        trail: &Trail,
        now: Timestamp,
        counters: &mut DecodeCounters,
    ) -> Taken {
        counters.fragments += 1;
        self.expire(now, counters);
        let Some(range) = Range::of(fragment, data) else {
            counters.fragments_malformed += 1;
            return Taken::Nothing;
        };
        let index = self.datagram(Key::of(fragment, trail.addresses, trail.encapsulation), &range, now, counters);
        let Some(datagram) = self.datagrams.get_mut(index) else { return Taken::Nothing };
        let before = datagram.progress;
        let complete = datagram.add(fragment, &range, self.limits.pieces, &self.hasher, counters);
        let taken = if complete { datagram.assemble(std::mem::take(&mut self.spare)) } else { Taken::Nothing };
        counters.datagrams_reassembled += u64::from(complete);
        if datagram.progress != Progress::Waiting {
            datagram.bytes = Vec::new();
        }
        self.waiting -= u64::from(before == Progress::Waiting && datagram.progress != Progress::Waiting);
        self.bytes_held -= datagram.charged;
        datagram.charged = datagram.weight();
        self.bytes_held += datagram.charged;
        while self.bytes_held > self.limits.bytes && self.evict_oldest(counters) {}
        taken
    }

    /// Takes the buffer of a complete datagram back.
    pub(super) fn recycle(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spare = bytes;
    }

    /// Datagrams that wait for fragments.
    pub(super) const fn incomplete(&self) -> u64 {
        self.waiting
    }

    /// Memory taken by datagrams that are known.
    pub(super) const fn bytes_held(&self) -> usize {
        self.bytes_held
    }

    /// The index of the datagram with this key, or of a new one; new also when the one known is complete and this
    /// fragment is none of its own: identifications are used again.
    fn datagram(&mut self, key: Key, range: &Range<'_>, now: Timestamp, counters: &mut DecodeCounters) -> u32 {
        let hash = self.hasher.hash_one(key);
        let datagrams = &self.datagrams;
        let known = self.table.find(hash, |&index| datagrams.get(index).is_some_and(|datagram| datagram.key == key));
        if let Some(&index) = known {
            let over = datagrams.get(index).is_some_and(|datagram| {
                datagram.progress == Progress::Complete && !datagram.has_copy(range, &self.hasher)
            });
            if !over {
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

    /// Gives up what was waited for too long.
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

    /// Makes room; whether there was anything to give up.
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
        self.bytes_held -= datagram.charged;
        self.waiting -= u64::from(datagram.progress == Progress::Waiting);
        Some(datagram.progress)
    }
}

impl<'a> Range<'a> {
    /// `None` for a fragment that no sender makes: empty, beyond the longest datagram, or (but for the last) not a multiple
    /// of eight bytes long. IPv4 receivers cut the latter down, IPv6 receivers refuse it.
    fn of(fragment: &Fragment, mut data: View<'a>) -> Option<Self> {
        if fragment.more && !data.wire().is_multiple_of(8) {
            if fragment.version == IpVersion::V6 {
                return None;
            }
            data.limit(data.wire() / 8 * 8);
        }
        let end = fragment.offset.checked_add(data.wire())?;
        if data.wire() == 0 || end > MAX_DATAGRAM {
            return None;
        }
        Some(Self { start: u32::try_from(fragment.offset).ok()?, end: u32::try_from(end).ok()?, data: data.data() })
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
            carried: None,
            total: None,
            bytes: Vec::new(),
            pieces: Vec::new(),
            covered: 0,
            charged: 0,
        }
    }

    /// Bytes of memory it takes.
    fn weight(&self) -> usize {
        const TABLE: usize = 16;
        size_of::<Self>() + TABLE + self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Adds what is new in a fragment; whether the datagram is complete with it.
    fn add(
        &mut self,
        fragment: &Fragment,
        range: &Range<'_>,
        max_pieces: usize,
        hasher: &FixedState,
        counters: &mut DecodeCounters,
    ) -> bool {
        match self.progress {
            Progress::Waiting => {}
            Progress::Complete => {
                counters.fragments_repeated += 1;
                return false;
            }
            Progress::GivenUp => {
                counters.fragments_refused += 1;
                return false;
            }
        }
        if !self.agrees_on_total(fragment, range) {
            counters.fragments_malformed += 1;
            return false;
        }
        let relation = self.relation(range);
        match relation {
            Relation::New => {}
            Relation::Copy => counters.fragments_repeated += 1,
            Relation::Overlap => counters.fragments_overlapping += 1,
            Relation::Disagreement => {
                counters.fragments_overlapping += 1;
                counters.fragments_disagreeing += 1;
            }
        }
        let refused =
            matches!(relation, Relation::Overlap | Relation::Disagreement) && fragment.version == IpVersion::V6;
        if refused {
            counters.datagrams_given_up_overlap += 1;
        } else if relation != Relation::Copy {
            self.fill(range, hasher);
        }
        let too_many = self.pieces.len() > max_pieces;
        counters.datagrams_given_up_pieces += u64::from(too_many && !refused);
        if refused || too_many {
            self.progress = Progress::GivenUp;
            self.pieces = Vec::new();
            return false;
        }
        if fragment.offset == 0 {
            self.carried.get_or_insert(fragment.protocol);
        }
        if !fragment.more {
            self.total = Some(range.end);
        }
        self.total == Some(self.covered)
    }

    /// Whether a fragment fits where the datagram ends by other fragments.
    fn agrees_on_total(&self, fragment: &Fragment, range: &Range<'_>) -> bool {
        let reached = self.pieces.last().map_or(0, |piece| piece.end);
        match self.total {
            Some(total) if fragment.more => range.end <= total,
            Some(total) => range.end == total,
            None => fragment.more || range.end >= reached,
        }
    }

    /// Pieces that overlap a range.
    fn overlapped(&self, range: &Range<'_>) -> std::ops::Range<usize> {
        let first = self.pieces.partition_point(|piece| piece.end <= range.start);
        let last = self.pieces.partition_point(|piece| piece.start < range.end);
        first..last.max(first)
    }

    fn relation(&self, range: &Range<'_>) -> Relation {
        let pieces = &self.pieces[self.overlapped(range)];
        let same = |piece: &Piece| {
            let ours = piece.bytes(&self.bytes, range.start, range.end);
            let theirs = range.between(piece.start.max(range.start), piece.end.min(range.end));
            let length = ours.len().min(theirs.len());
            ours[..length] == theirs[..length]
        };
        match pieces {
            [] => Relation::New,
            pieces if !pieces.iter().all(same) => Relation::Disagreement,
            [piece] if (piece.start, piece.end) == (range.start, range.end) => Relation::Copy,
            _ => Relation::Overlap,
        }
    }

    /// Keeps the parts of a range that no piece covers.
    fn fill(&mut self, range: &Range<'_>, hasher: &FixedState) {
        let overlapped = self.overlapped(range);
        let mut start = range.start;
        let mut added = Vec::new();
        let bounds = self.pieces[overlapped].iter().map(|piece| (piece.start, piece.end));
        for (taken, next) in bounds.chain([(range.end, range.end)]) {
            if start < taken {
                let data = range.between(start, taken);
                added.push(Piece {
                    start,
                    end: taken,
                    position: self.bytes.len() as u32,
                    captured: data.len() as u32,
                    digest: hasher.hash_one(data),
                });
                self.bytes.extend_from_slice(data);
                self.covered += taken - start;
            }
            start = next.max(start);
        }
        for piece in added {
            let at = self.pieces.partition_point(|other| other.start < piece.start);
            self.pieces.insert(at, piece);
        }
    }

    /// Whether a range is one of the pieces again.
    fn has_copy(&self, range: &Range<'_>, hasher: &FixedState) -> bool {
        self.pieces[self.overlapped(range)].iter().any(|piece| {
            (piece.start, piece.end) == (range.start, range.end)
                && piece.captured as usize == range.data.len()
                && piece.digest == hasher.hash_one(range.data)
        })
    }

    /// The datagram from its first byte to the first that was not captured.
    fn assemble(&mut self, mut bytes: Vec<u8>) -> Taken {
        let Some(protocol) = self.carried else { return Taken::Nothing };
        for piece in &self.pieces {
            bytes.extend_from_slice(piece.bytes(&self.bytes, piece.start, piece.end));
            if piece.captured < piece.end - piece.start {
                break;
            }
        }
        self.progress = Progress::Complete;
        Taken::Complete { protocol, bytes, wire: self.covered as usize }
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
