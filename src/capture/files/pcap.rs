//! The pcap format: one header, then packet records.
//!
//! In: the bytes of a pcap stream after its header, in blocks cut anywhere. Out: records that point into the block.
//! Both byte orders, micro- and nanoseconds, and the record layout of the modified ("Kuznetzov") variant. The format is
//! that of the IETF draft `draft-ietf-opsawg-pcap`.

use crate::{capture::LinkType, time::Timestamp};

use super::{
    framing::{Framing, MAX_CAPTURED, Stop},
    problem::ProblemKind,
};

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;

const RECORD_HEADER: usize = 16;
const MODIFIED_RECORD_HEADER: usize = 24;

/// What a pcap file header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PcapHeader {
    big_endian: bool,
    nanos_per_unit: u64,
    record_header: usize,
    link_type: LinkType,
    fcs: u32,
}

impl PcapHeader {
    /// Whether `head` starts with a pcap magic number.
    pub(super) fn recognise(head: &[u8]) -> bool {
        head.first_chunk().is_some_and(|&magic| variant(magic).is_some())
    }

    /// The header; `None` when it does not start with a magic number. The snap length and version are not believed:
    /// real files have zero, too small and absurd values there, and the records speak for themselves.
    pub(super) fn parse(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let &[m0, m1, m2, m3, .., l0, l1, l2, l3] = header;
        let (big_endian, nanos_per_unit, record_header) = variant([m0, m1, m2, m3])?;
        let link = [l0, l1, l2, l3];
        let link = if big_endian { u32::from_be_bytes(link) } else { u32::from_le_bytes(link) };
        // Bit 26 says that bits 28 to 31 hold the length of the frame check sequence in 16-bit units.
        let fcs = if link & 0x0400_0000 != 0 { (link >> 28) * 2 } else { 0 };
        Some(Self { big_endian, nanos_per_unit, record_header, link_type: LinkType(link as u16), fcs })
    }

    /// Frames the records in `out`; see [`Framing`].
    pub(super) fn frame(&self, out: &mut Framing<'_>) -> Stop {
        if self.big_endian {
            self.frame_with(out, u32::from_be_bytes)
        } else {
            self.frame_with(out, u32::from_le_bytes)
        }
    }

    #[inline]
    fn frame_with(&self, out: &mut Framing<'_>, word: impl Fn([u8; 4]) -> u32 + Copy) -> Stop {
        loop {
            let rest = out.rest();
            let Some(&[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3]) = rest.first_chunk() else {
                return Stop::More(self.record_header);
            };
            let captured = word([c0, c1, c2, c3]);
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
            let lengths = (captured, word([w0, w1, w2, w3]));
            out.packet(time, self.record_header, lengths, self.link_type, self.fcs);
            out.advance(end);
        }
    }
}

/// Byte order (big-endian?), nanoseconds per time unit and record header length of a magic number.
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
