//! The record layer of one side (RFC 8446, section 5.1).
//!
//! In: the side's bytes in order, however they are cut, and gaps. Out: [`Piece`]s: record headers, whole records, and
//! records that passed without their body. Promises: a body is kept only if it was asked for, and copied only if it is cut.
//! A gap inside a record leaves the records after it readable. After any other gap, the next record is searched for in at
//! most [`MAX_SEARCH_BYTES`].

use std::{borrow::Cow, mem};

/// Length of a record header in bytes.
pub(crate) const HEADER_BYTES: usize = 5;

/// Longest body of a record in bytes: 2^14 and what TLS 1.2 allows an encryption to add.
pub(crate) const MAX_BODY_BYTES: usize = (1 << 14) + 2048;

/// How many bytes after a gap are searched for a record. The side is closed if none is found.
pub(super) const MAX_SEARCH_BYTES: u32 = 256 << 10;

/// Record types (RFC 8446, appendix B.1).
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// What the record layer found next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record begins. Its body is kept if [`Records::keep_body`] is called now.
    Header([u8; HEADER_BYTES]),
    /// A whole record whose body was asked for.
    Record {
        /// The record's header.
        header: [u8; HEADER_BYTES],
        /// The record's body.
        body: Cow<'a, [u8]>,
    },
    /// A record has ended whose body was not asked for, or is not whole because of a gap.
    Passed([u8; HEADER_BYTES]),
    /// The bytes are not a record. The next record is searched for.
    Unreadable,
}

/// What a gap means for the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapEffect {
    /// The gap lies inside a record, whose end is still to come.
    Inside,
    /// The gap lies inside this record and ends with it. The record counts as passed.
    Ends([u8; HEADER_BYTES]),
    /// It is not known how many records are missing. The next record is searched for.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before or within a header.
    #[default]
    Header,
    /// Within a body that is kept.
    Kept,
    /// Within a body that is not kept.
    Passed,
    /// Looking for a header after a gap. The header's bytes are the last ones that came.
    Search,
    /// A header was found. The bytes up to the next header are kept.
    Candidate,
    /// The header and the one after it are of records. The bytes between are kept, and are the first record's body.
    Found {
        /// Whether that body was asked for.
        is_kept: bool,
    },
    /// No record was found.
    Closed,
}

/// The record layer of one side.
#[derive(Debug, Default)]
pub(crate) struct Records {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come: 0 ..= 5.
    header_bytes: u8,
    state: State,
    /// Bytes of the body that have not come yet.
    left: u16,
    /// Bytes that this search has looked at.
    searched: u32,
    /// The part of a body that has come. Boxed, as most sides keep nothing; the box stays for the next body.
    #[expect(clippy::box_collection, reason = "a side that keeps nothing is smaller")]
    held: Option<Box<Vec<u8>>>,
}

impl Records {
    /// Reads on. Takes what it reads off the front of `bytes`, and returns `None` when all bytes are read and nothing was
    /// found. A body that is cut is put together in `spare`, if that is not far too large for it; what it holds is overwritten.
    pub(crate) fn next<'a>(&mut self, bytes: &mut &'a [u8], spare: &mut Vec<u8>) -> Option<Piece<'a>> {
        loop {
            match self.state {
                State::Header => return self.read_header(bytes),
                State::Kept => return self.read_kept(bytes, spare),
                State::Passed => return self.pass(bytes),
                State::Found { is_kept } => return Some(self.found(is_kept)),
                State::Search => self.search(bytes),
                State::Candidate => self.test_candidate(bytes),
                State::Closed => *bytes = &[],
            }
            if let State::Found { .. } = self.state {
                return Some(Piece::Header(self.header));
            }
            if bytes.is_empty() {
                return None;
            }
        }
    }

    /// Passes so many bytes, if they and the next one are of a body that is not kept. Returns whether they are.
    #[inline]
    pub(crate) fn pass_within(&mut self, length: usize) -> bool {
        let is_within = self.state == State::Passed && length < usize::from(self.left);
        if is_within {
            self.left -= length as u16;
        }
        is_within
    }

    /// Asks for the body of the record whose header was just returned.
    pub(crate) fn keep_body(&mut self) {
        match &mut self.state {
            State::Found { is_kept } => *is_kept = true,
            state @ State::Passed if usize::from(self.left) == body_length(self.header) => *state = State::Kept,
            _ => {}
        }
    }

    /// Returns whether the next byte is the first one of a body.
    pub(crate) fn is_at_body(&self) -> bool {
        self.state == State::Passed && usize::from(self.left) == body_length(self.header)
    }

    /// Returns how many bytes are to come of the body that has begun.
    pub(crate) fn left(&self) -> Option<u64> {
        matches!(self.state, State::Kept | State::Passed).then(|| self.left.into())
    }

    /// So many bytes are missing.
    pub(crate) fn gap(&mut self, length: u64) -> GapEffect {
        let is_within = matches!(self.state, State::Kept | State::Passed);
        match u16::try_from(length).ok().and_then(|length| self.left.checked_sub(length)) {
            _ if self.state == State::Closed => GapEffect::Lost,
            Some(0) if is_within => {
                self.begin_header();
                self.held = None;
                GapEffect::Ends(self.header)
            }
            Some(left) if is_within => {
                (self.state, self.left, self.held) = (State::Passed, left, None);
                GapEffect::Inside
            }
            _ => {
                self.begin_search();
                GapEffect::Lost
            }
        }
    }

    /// Returns how many of the next bytes will not be looked at.
    pub(crate) fn unneeded(&self) -> u64 {
        match self.state {
            State::Passed => u64::from(self.left),
            State::Closed => u64::MAX,
            _ => 0,
        }
    }

    /// Returns whether no further record will be read.
    #[cfg(test)]
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Returns how many bytes after the record that was just returned are read already.
    pub(crate) fn read_ahead(&self) -> u64 {
        self.header_bytes.into()
    }

    /// Returns how many bytes are kept.
    pub(crate) fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.len())
    }

    fn begin_header(&mut self) {
        (self.state, self.header_bytes, self.left) = (State::Header, 0, 0);
    }

    fn begin_search(&mut self) {
        self.begin_header();
        (self.state, self.searched, self.held) = (State::Search, 0, None);
    }

    /// Reads a header, or interprets one that is whole already.
    fn read_header<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        let have = usize::from(self.header_bytes).min(HEADER_BYTES);
        let (taken, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - have));
        for (to, from) in self.header.iter_mut().skip(have).zip(taken) {
            *to = *from;
        }
        *bytes = rest;
        self.header_bytes = (have + taken.len()) as u8;
        if usize::from(self.header_bytes) < HEADER_BYTES {
            return None;
        }
        if !is_header(self.header) {
            self.begin_search();
            return Some(Piece::Unreadable);
        }
        (self.state, self.left) = (State::Passed, body_length(self.header) as u16);
        Some(Piece::Header(self.header))
    }

    fn read_kept<'a>(&mut self, bytes: &mut &'a [u8], spare: &mut Vec<u8>) -> Option<Piece<'a>> {
        let (taken, rest) = bytes.split_at(bytes.len().min(self.left.into()));
        *bytes = rest;
        self.left -= taken.len() as u16;
        let is_whole = self.left == 0;
        let body = if is_whole && self.held() == 0 {
            Cow::Borrowed(taken)
        } else {
            let length = usize::from(self.left) + taken.len();
            let held = self.held.get_or_insert_default();
            if held.capacity() == 0 {
                if spare.capacity() <= 2 * length {
                    **held = mem::take(spare);
                    held.clear();
                }
                held.reserve_exact(length);
            }
            held.extend_from_slice(taken);
            if !is_whole {
                return None;
            }
            Cow::Owned(mem::take(&mut **held))
        };
        self.begin_header();
        Some(Piece::Record { header: self.header, body })
    }

    fn pass<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        let taken = bytes.len().min(self.left.into());
        *bytes = bytes.get(taken..).unwrap_or_default();
        self.left -= taken as u16;
        if self.left != 0 {
            return None;
        }
        self.begin_header();
        Some(Piece::Passed(self.header))
    }

    /// Moves bytes through the header until it looks like one.
    fn search(&mut self, bytes: &mut &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.header.rotate_left(1);
            self.header[HEADER_BYTES - 1] = *byte;
            self.header_bytes = self.header_bytes.saturating_add(1);
            self.count_searched(1);
            if usize::from(self.header_bytes) >= HEADER_BYTES && is_likely_header(self.header) {
                self.state = State::Candidate;
            }
            if self.state != State::Search {
                return;
            }
        }
    }

    /// Keeps bytes up to the next header. The candidate is a record if a header follows, or if the bytes that came together
    /// end with it: the next record is then not sent yet.
    fn test_candidate(&mut self, bytes: &mut &[u8]) {
        let length = body_length(self.header);
        let held = self.held.get_or_insert_default();
        let (taken, rest) = bytes.split_at(bytes.len().min((length + HEADER_BYTES).saturating_sub(held.len())));
        held.extend_from_slice(taken);
        *bytes = rest;
        let next = held.get(length..).and_then(|next| next.first_chunk());
        match (next.copied().map(is_likely_header), held.len() == length && bytes.is_empty()) {
            (Some(true), _) | (_, true) => self.state = State::Found { is_kept: false },
            (Some(false), _) => {
                let dropped = held.len();
                self.held = None;
                self.header_bytes = 0;
                self.state = State::Search;
                self.count_searched(dropped as u32);
            }
            (None, _) => {}
        }
    }

    fn count_searched(&mut self, bytes: u32) {
        self.searched = self.searched.saturating_add(bytes);
        if self.searched > MAX_SEARCH_BYTES {
            self.state = State::Closed;
        }
    }

    /// Ends a record that a search found, and begins the header after it.
    fn found(&mut self, is_kept: bool) -> Piece<'static> {
        let header = self.header;
        let mut body = self.held.take().map(|held| *held).unwrap_or_default();
        let next = body.split_off(body_length(header).min(body.len()));
        self.begin_header();
        for (to, from) in self.header.iter_mut().zip(&next) {
            *to = *from;
        }
        self.header_bytes = next.len().min(HEADER_BYTES) as u8;
        if is_kept { Piece::Record { header, body: Cow::Owned(body) } } else { Piece::Passed(header) }
    }
}

/// Returns the length of the body that follows a header.
pub(crate) fn body_length(header: [u8; HEADER_BYTES]) -> usize {
    let [.., high, low] = header;
    u16::from_be_bytes([high, low]).into()
}

/// Returns whether this is the header of a record.
fn is_header(header: [u8; HEADER_BYTES]) -> bool {
    let [kind, major, minor, ..] = header;
    let least = usize::from(kind != APPLICATION_DATA);
    (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&kind)
        && major == 3
        && minor <= 4
        && (least..=MAX_BODY_BYTES).contains(&body_length(header))
}

/// Returns whether this is probably the header of a record, where no header is certain to be.
fn is_likely_header(header: [u8; HEADER_BYTES]) -> bool {
    is_header(header) && header[0] != HEARTBEAT && (1..=3).contains(&header[2]) && body_length(header) != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let [high, low] = (body.len() as u16).to_be_bytes();
        [&[kind, 3, 3, high, low][..], body].concat()
    }

    /// What was found: each piece with its body, if it has one.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Found {
        Record(u8, Vec<u8>),
        Passed(u8),
        Unreadable,
    }

    /// Reads bytes. Bodies of type 21 are not asked for.
    fn read(records: &mut Records, bytes: &[u8]) -> Vec<Found> {
        let mut rest = bytes;
        let mut found = Vec::new();
        let mut spare = Vec::new();
        while let Some(piece) = records.next(&mut rest, &mut spare) {
            match piece {
                Piece::Header(header) => {
                    if header[0] != ALERT {
                        records.keep_body();
                    }
                }
                Piece::Record { header, body } => {
                    found.push(Found::Record(header[0], body.to_vec()));
                    if let Cow::Owned(body) = body {
                        spare = body;
                    }
                }
                Piece::Passed(header) => found.push(Found::Passed(header[0])),
                Piece::Unreadable => found.push(Found::Unreadable),
            }
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn a_gap_inside_a_record_leaves_the_next_one_readable() {
        for kind in [ALERT, HANDSHAKE] {
            let mut records = Records::default();
            let bytes = record(kind, &[7; 100]);
            assert_eq!(read(&mut records, &bytes[..30]), []);
            assert_eq!(records.gap(50), GapEffect::Inside);
            assert_eq!(records.unneeded(), 25);
            assert_eq!(read(&mut records, &bytes[80..]), [Found::Passed(kind)]);
            assert_eq!(read(&mut records, &bytes[..5]), []);
            assert_eq!(records.gap(100), GapEffect::Ends([kind, 3, 3, 0, 100]));
            assert_eq!(read(&mut records, &record(HANDSHAKE, b"x")), [Found::Record(HANDSHAKE, b"x".to_vec())]);
        }
    }

    #[test]
    fn after_a_gap_the_next_record_is_found() {
        let body = [0x17, 3, 3, 0x40, 0, 0x16, 3, 1, 0, 1, 9, 9, 9];
        let mut records = Records::default();
        read(&mut records, &record(APPLICATION_DATA, &[1; 10]));
        assert_eq!(records.gap(1000), GapEffect::Lost);
        let mut bytes = [&[0x55; 300][..], &record(APPLICATION_DATA, b"one"), &record(ALERT, b"no")].concat();
        bytes.extend(record(APPLICATION_DATA, &body));
        let expected = [Found::Record(23, b"one".to_vec()), Found::Passed(21), Found::Record(23, body.to_vec())];
        assert_eq!(read(&mut records, &bytes), expected);
        // The record that ends with the last byte is taken although no header follows.
        assert_eq!(records.gap(5), GapEffect::Lost);
        assert_eq!(read(&mut records, &record(23, b"last")), [Found::Record(23, b"last".to_vec())]);
    }

    #[test]
    fn a_side_without_records_is_closed() {
        let mut records = Records::default();
        assert_eq!(read(&mut records, b"GET / HTTP/1.1"), [Found::Unreadable]);
        for _ in 0..300 {
            assert_eq!(read(&mut records, &[0x41; 1024]), []);
            assert!(records.held() <= MAX_BODY_BYTES + 2 * HEADER_BYTES);
        }
        assert!(records.is_closed());
        assert_eq!(records.unneeded(), u64::MAX);
        assert_eq!(read(&mut records, &record(23, b"x")), []);
    }

    #[test]
    fn lengths_are_limited() {
        let body = vec![0; MAX_BODY_BYTES];
        let expected = [Found::Record(23, body.clone())];
        assert_eq!(read(&mut Records::default(), &record(23, &body)), expected);
        let too_long = [23, 3, 3, 0x48, 1];
        for header in [too_long, [19, 3, 3, 0, 1], [23, 2, 3, 0, 1], [23, 3, 5, 0, 1], [22, 3, 3, 0, 0]] {
            assert_eq!(read(&mut Records::default(), &header), [Found::Unreadable]);
        }
        assert_eq!(read(&mut Records::default(), &[23, 3, 3, 0, 0]), [Found::Record(23, Vec::new())]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_records(
            bodies in prop::collection::vec((20u8..24, prop::collection::vec(any::<u8>(), 1..400)), 1..10),
            cuts in prop::collection::vec(1usize..300, 0..30),
        ) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|(kind, body)| record(*kind, body)).collect();
            let whole = read(&mut Records::default(), &bytes);
            prop_assert_eq!(whole.len(), bodies.len());
            let mut records = Records::default();
            let mut found = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                found.extend(read(&mut records, part));
                rest = after;
            }
            found.extend(read(&mut records, rest));
            prop_assert_eq!(found, whole);
        }

        /// After a gap, records are found again, whatever the cut; none is found that was not sent.
        #[test]
        fn any_gap_leaves_later_records_readable(
            lengths in prop::collection::vec(1usize..600, 4..10),
            start in 0usize..1500,
            length in 1usize..500,
            cut in 1usize..400,
        ) {
            let bodies: Vec<_> = lengths.iter().enumerate().map(|(index, length)| vec![0x80 | index as u8; *length]).collect();
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| record(23, body)).collect();
            let start = start.min(bytes.len());
            let end = (start + length).min(bytes.len());
            let mut records = Records::default();
            let mut found = read(&mut records, &bytes[..start]);
            records.gap((end - start) as u64);
            for part in bytes[end..].chunks(cut) {
                found.extend(read(&mut records, part));
            }
            let mut at = 0;
            for (index, body) in bodies.iter().enumerate() {
                let (begin, after) = (at, at + 5 + body.len());
                at = after;
                let is_there = found.contains(&Found::Record(23, body.clone()));
                if after <= start || begin >= end {
                    prop_assert!(is_there, "record {} of {}..{}", index, begin, after);
                }
            }
            prop_assert!(!found.contains(&Found::Unreadable));
        }

        #[test]
        fn any_bytes_and_gaps_never_panic(
            parts in prop::collection::vec((prop::collection::vec(prop_oneof![Just(3u8), 20u8..24, any::<u8>()], 0..60), 0u64..90), 0..40),
        ) {
            let mut records = Records::default();
            for (bytes, gap) in parts {
                read(&mut records, &bytes);
                if gap > 40 {
                    records.gap(gap - 40);
                }
            }
        }
    }
}
