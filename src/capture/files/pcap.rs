//! The pcap format: one header, then packet records.
//!
//! In: the bytes of a pcap stream after its header, in blocks cut anywhere. Out: records that point into the block. Both
//! byte orders, microseconds and nanoseconds, and the record layout of the modified ("Kuznetzov") variant are read. The
//! format is that of the IETF draft `draft-ietf-opsawg-pcap`. In files of versions before 2.4, the two lengths of a record
//! may stand in the opposite order. If the header of another capture file stands in the place of a record, this file ends
//! there: two files were concatenated.

use crate::{
    capture::LinkType,
    time::{NANOS_PER_SECOND, Timestamp},
};

use super::{
    framing::{Framing, MAX_CAPTURED, Stop},
    pcapng::{BYTE_ORDER_MAGIC, SECTION_MAGIC},
    problem::ProblemKind,
};

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;

const RECORD_HEADER: usize = 16;
const MODIFIED_RECORD_HEADER: usize = 24;

/// Which of a record's two lengths comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LengthOrder {
    /// Captured bytes, then bytes on the wire: version 2.4.
    CapturedFirst,
    /// Bytes on the wire first: versions before 2.3.
    WireFirst,
    /// Version 2.3: writers used both orders. The shorter length is the captured length.
    ShorterIsCaptured,
}

impl LengthOrder {
    fn of_version(major: u16, minor: u16) -> Self {
        match (major, minor) {
            (2, 0..=2) => Self::WireFirst,
            (2, 3) => Self::ShorterIsCaptured,
            _ => Self::CapturedFirst,
        }
    }

    /// Returns the captured length and the length on the wire.
    #[inline]
    fn read(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::CapturedFirst => (first, second),
            Self::WireFirst => (second, first),
            Self::ShorterIsCaptured => (first.min(second), first.max(second)),
        }
    }
}

/// The contents of a pcap file header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PcapHeader {
    big_endian: bool,
    nanos_per_unit: u64,
    record_header: usize,
    lengths: LengthOrder,
    link_type: LinkType,
    fcs: u32,
}

impl PcapHeader {
    /// Returns whether `head` starts with a pcap magic number.
    pub(super) fn recognise(head: &[u8]) -> bool {
        head.first_chunk().is_some_and(|&magic| variant(magic).is_some())
    }

    /// Parses a header. Returns `None` if it does not start with a magic number. The snap length is ignored: in real files
    /// it is zero, too small or absurd, and each record has its own length. A version that was never in use is read as 2.4.
    pub(super) fn parse(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let &[m0, m1, m2, m3, v0, v1, v2, v3, .., l0, l1, l2, l3] = header;
        let (big_endian, nanos_per_unit, record_header) = variant([m0, m1, m2, m3])?;
        let half = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        let lengths = LengthOrder::of_version(half([v0, v1]), half([v2, v3]));
        let link = [l0, l1, l2, l3];
        let link = if big_endian { u32::from_be_bytes(link) } else { u32::from_le_bytes(link) };
        // Bit 26 says that bits 28 to 31 hold the length of the frame check sequence in 16-bit units.
        let fcs = if link & 0x0400_0000 != 0 { (link >> 28) * 2 } else { 0 };
        Some(Self { big_endian, nanos_per_unit, record_header, lengths, link_type: LinkType(link as u16), fcs })
    }

    /// Returns whether bytes from the middle of the file look like a record: lengths that a packet may have, and a fraction
    /// of a second. The caller must check that further records follow.
    pub(super) fn begins_record(&self, bytes: &[u8]) -> bool {
        let Some(&[_, _, _, _, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3]) = bytes.first_chunk() else {
            return false;
        };
        let word = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        let (captured, wire_length) = self.lengths.read(word([c0, c1, c2, c3]), word([w0, w1, w2, w3]));
        let fraction = u64::from(word([f0, f1, f2, f3])) * self.nanos_per_unit;
        fraction < NANOS_PER_SECOND
            && (1..=MAX_CAPTURED).contains(&captured)
            && (captured..=MAX_CAPTURED).contains(&wire_length)
    }

    /// Finds the records in the block of `out`; see [`Framing`].
    pub(super) fn frame(&self, out: &mut Framing<'_>) -> Stop {
        match (self.big_endian, self.lengths) {
            // Almost all files are like this. The compiler makes a loop for them that does not ask about the order at each packet.
            (false, LengthOrder::CapturedFirst) => self.frame_with(out, u32::from_le_bytes, LengthOrder::CapturedFirst),
            (false, lengths) => self.frame_with(out, u32::from_le_bytes, lengths),
            (true, lengths) => self.frame_with(out, u32::from_be_bytes, lengths),
        }
    }

    #[inline(always)]
    fn frame_with(&self, out: &mut Framing<'_>, word: impl Fn([u8; 4]) -> u32 + Copy, lengths: LengthOrder) -> Stop {
        loop {
            let rest = out.rest();
            let Some(&[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3]) = rest.first_chunk() else {
                return Stop::More(self.record_header);
            };
            if begins_file(rest) {
                return Stop::AnotherFile;
            }
            let (captured, wire_length) = lengths.read(word([c0, c1, c2, c3]), word([w0, w1, w2, w3]));
            if captured > MAX_CAPTURED {
                return Stop::Broken(ProblemKind::CapturedLength { length: captured });
            }
            let end = self.record_header + captured as usize;
            if rest.len() < end {
                return Stop::More(end);
            }
            let seconds = u64::from(word([s0, s1, s2, s3]));
            let fraction = u64::from(word([f0, f1, f2, f3])) * self.nanos_per_unit;
            let time = Timestamp::from_parts(seconds, fraction);
            out.packet(time, self.record_header, (captured, wire_length), self.link_type, self.fcs);
            out.advance(end);
        }
    }
}

/// Returns whether a capture file begins here: a pcap header of version 2.0 to 2.4, or a pcapng section header. No real
/// record is mistaken for a pcap header: such a record would have a time in the year 2055 or later, with the version number
/// as the fraction of the second.
#[inline]
pub(super) fn begins_file(bytes: &[u8]) -> bool {
    let Some(&magic) = bytes.first_chunk::<4>() else { return false };
    // Every magic number of pcap holds these two bytes, in this or the other order, in its first or last half.
    let [m0, m1, m2, m3] = magic;
    ([m0, m1] == [0xa1, 0xb2] || [m2, m3] == [0xb2, 0xa1] || magic == SECTION_MAGIC) && is_file_header(bytes)
}

/// Returns whether a file header begins here, if the first bytes look like one.
#[cold]
fn is_file_header(bytes: &[u8]) -> bool {
    let Some((&magic, rest)) = bytes.split_first_chunk::<4>() else { return false };
    if magic == SECTION_MAGIC {
        let order = rest.get(4..8).unwrap_or_default();
        return order == BYTE_ORDER_MAGIC.to_le_bytes() || order == BYTE_ORDER_MAGIC.to_be_bytes();
    }
    let Some((big_endian, ..)) = variant(magic) else { return false };
    let Some(&[v0, v1, v2, v3]) = rest.first_chunk() else { return false };
    let half = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
    half([v0, v1]) == 2 && half([v2, v3]) <= 4
}

/// Returns what a magic number stands for: whether the file is big-endian, the nanoseconds in a time unit, and the length of
/// a record header.
fn variant(magic: [u8; 4]) -> Option<(bool, u64, usize)> {
    let read = |value: u32| match value {
        0xa1b2_c3d4 => Some((1_000, RECORD_HEADER)),
        0xa1b2_3c4d => Some((1, RECORD_HEADER)),
        0xa1b2_cd34 => Some((1_000, MODIFIED_RECORD_HEADER)),
        _ => None,
    };
    let little = read(u32::from_le_bytes(magic)).map(|(nanos, header)| (false, nanos, header));
    little.or_else(|| read(u32::from_be_bytes(magic)).map(|(nanos, header)| (true, nanos, header)))
}
