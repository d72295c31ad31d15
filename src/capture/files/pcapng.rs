//! The pcapng format: sections of blocks.
//!
//! In: the bytes of a pcapng stream, in blocks cut anywhere. Out: records that point into the block. Sections may have
//! either byte order, and their interfaces any link type and time resolution. Enhanced, simple and old packet blocks are
//! read. Decryption secrets blocks are handed over if anyone takes them (`secrets.rs`). Every other block is skipped and
//! counted by kind. The format is that of the IETF draft `draft-ietf-opsawg-pcapng`.
//! Old writers left the padding out of a block's length; such blocks are read too. If a pcap file follows, this file ends
//! there.

use std::time::Duration;

use crate::{
    capture::LinkType,
    time::{NANOS_PER_SECOND, Timestamp},
};

use super::{
    CaptureCounters,
    framing::{Framing, MAX_CAPTURED, Stop},
    pcap::begins_file,
    problem::ProblemKind,
};

/// The block type that every section starts with. Its bytes are the same in both byte orders.
pub(super) const SECTION_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The number in a section header that shows the byte order of the section.
pub(super) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// The latest time that a packet gets. It lies a year before the last time that can be shown, so that timers that run from
/// the packet on still have an end.
const LATEST: Timestamp = Timestamp::MAX.minus(Duration::from_secs(366 * 86_400));

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const SYSTEMD_JOURNAL: u32 = 9;
pub(super) const DECRYPTION_SECRETS: u32 = 10;
const CUSTOM: [u32; 2] = [0x0bad, 0x4000_0bad];

/// Longest packet block or interface description: the largest packet, and options of the same size.
const MAX_BLOCK: u32 = 2 * MAX_CAPTURED;
/// Longest skipped block whose two lengths are compared, for which the whole block must be read. The lengths of longer
/// skipped blocks are not compared.
const MAX_WHOLE: u32 = 64 * 1024;
/// Most interfaces a section may describe. Packets of further interfaces are counted, not read.
const MAX_INTERFACES: usize = 65_536;

/// The state of reading a pcapng stream.
#[derive(Debug, Clone, Default)]
pub(super) struct PcapngStream {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

/// The contents of an interface description.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: LinkType,
    snap_length: u32,
    scale: TimeScale,
    /// `if_tsoffset` in nanoseconds.
    offset: i128,
    fcs: u32,
}

/// The unit of timestamps, from `if_tsresol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeScale {
    /// Nanoseconds in a unit.
    Multiply(u64),
    /// Units in a nanosecond.
    Divide(u64),
    /// 2^n units in a second.
    PowerOfTwo(u8),
}

impl PcapngStream {
    /// The number of interfaces that the section has described so far.
    pub(super) fn interfaces(&self) -> usize {
        self.interfaces.len()
    }

    /// Returns whether bytes from the middle of the section look like the start of an enhanced packet block.
    pub(super) fn begins_packet(&self, bytes: &[u8]) -> bool {
        let word = |at: usize| {
            let bytes = bytes.get(at..)?.first_chunk().copied()?;
            Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
        };
        let Some(length) = word(4) else { return false };
        let is_block =
            word(0) == Some(ENHANCED_PACKET) && (32..=MAX_BLOCK).contains(&length) && length.is_multiple_of(4);
        is_block && word(length as usize - 4) == Some(length)
    }

    /// Reads the blocks in the bytes of `out` and adds their packets; see [`Framing`].
    pub(super) fn frame(&mut self, out: &mut Framing<'_>) -> Stop {
        loop {
            let step = if self.big_endian {
                self.blocks(out, Order { word: u32::from_be_bytes, half: u16::from_be_bytes })
            } else {
                self.blocks(out, Order { word: u32::from_le_bytes, half: u16::from_le_bytes })
            };
            match step {
                Step::Stop(stop) => return stop,
                Step::NextSection => {
                    if let Err(stop) = self.section(out) {
                        return stop;
                    }
                }
            }
        }
    }

    /// Reads blocks up to the next section header.
    #[inline]
    fn blocks<W, H>(&mut self, out: &mut Framing<'_>, order: Order<W, H>) -> Step
    where
        W: Fn([u8; 4]) -> u32 + Copy,
        H: Fn([u8; 2]) -> u16 + Copy,
    {
        loop {
            let rest = out.rest();
            let Some(&[t0, t1, t2, t3, l0, l1, l2, l3]) = rest.first_chunk() else {
                return Step::Stop(Stop::More(12));
            };
            let (kind, length) = ((order.word)([t0, t1, t2, t3]), (order.word)([l0, l1, l2, l3]));
            if kind == SECTION_HEADER {
                return Step::NextSection;
            }
            if !holds_packets(kind) && begins_file(rest) {
                return Step::Stop(Stop::AnotherFile);
            }
            if length < 12 {
                return Step::Stop(Stop::Broken(ProblemKind::BlockLength { length }));
            }
            if length > MAX_BLOCK && holds_packets(kind) {
                return Step::Stop(Stop::Broken(ProblemKind::BlockLength { length }));
            }
            if length > MAX_WHOLE && !holds_packets(kind) && !(kind == DECRYPTION_SECRETS && out.secrets.wants(length))
            {
                match kind {
                    DECRYPTION_SECRETS => out.secrets.skip(out.counters),
                    _ => count_skipped(kind, out.counters),
                }
                return Step::Stop(Stop::Skip(u64::from(length).next_multiple_of(4)));
            }
            // Old writers leave the padding out of the length, although they write the padding.
            let padded = length.next_multiple_of(4) as usize;
            let Some(block) = rest.get(..padded) else {
                return Step::Stop(Stop::More(padded));
            };
            let Some((body, &trailer)) = block.get(8..).and_then(<[u8]>::split_last_chunk) else {
                return Step::Stop(Stop::Broken(ProblemKind::BlockLength { length }));
            };
            let trailing = (order.word)(trailer);
            if trailing != length {
                return Step::Stop(Stop::Broken(ProblemKind::BlockTrailer { leading: length, trailing }));
            }
            let read = match kind {
                ENHANCED_PACKET => self.enhanced(out, body, order),
                INTERFACE_DESCRIPTION => self.interface(out, body, order),
                SIMPLE_PACKET => self.simple(out, body, order),
                OLD_PACKET => self.old(out, body, order),
                DECRYPTION_SECRETS => {
                    let is_late = out.last != Timestamp::EPOCH;
                    out.secrets.take_block(body, order.word, is_late, out.counters);
                    Ok(())
                }
                _ => {
                    count_skipped(kind, out.counters);
                    Ok(())
                }
            };
            match read {
                Ok(()) => out.advance(padded),
                Err(BadBlock::Short) => return Step::Stop(Stop::Broken(ProblemKind::BlockLength { length })),
                Err(BadBlock::Captured(length)) => {
                    return Step::Stop(Stop::Broken(ProblemKind::CapturedLength { length }));
                }
            }
        }
    }

    /// Reads a section header, which sets the byte order of the section. The interfaces of the section before are forgotten.
    fn section(&mut self, out: &mut Framing<'_>) -> Result<(), Stop> {
        const LENGTH: usize = 28;
        let rest = out.rest();
        let Some(&[_, _, _, _, l0, l1, l2, l3, m0, m1, m2, m3, v0, v1, ..]) = rest.first_chunk::<LENGTH>() else {
            return Err(Stop::More(LENGTH));
        };
        let magic = [m0, m1, m2, m3];
        let (big_endian, length, major) = if u32::from_le_bytes(magic) == BYTE_ORDER_MAGIC {
            (false, u32::from_le_bytes([l0, l1, l2, l3]), u16::from_le_bytes([v0, v1]))
        } else if u32::from_be_bytes(magic) == BYTE_ORDER_MAGIC {
            (true, u32::from_be_bytes([l0, l1, l2, l3]), u16::from_be_bytes([v0, v1]))
        } else {
            return Err(Stop::Broken(ProblemKind::SectionMagic { found: u32::from_le_bytes(magic) }));
        };
        if major != 1 {
            return Err(Stop::Broken(ProblemKind::SectionVersion { major }));
        }
        if length < LENGTH as u32 || length > MAX_BLOCK {
            return Err(Stop::Broken(ProblemKind::BlockLength { length }));
        }
        let padded = length.next_multiple_of(4) as usize;
        let Some(block) = rest.get(..padded) else {
            return Err(Stop::More(padded));
        };
        let trailer = block.last_chunk().copied().unwrap_or_default();
        let trailing = if big_endian { u32::from_be_bytes(trailer) } else { u32::from_le_bytes(trailer) };
        if trailing != length {
            return Err(Stop::Broken(ProblemKind::BlockTrailer { leading: length, trailing }));
        }
        self.big_endian = big_endian;
        self.interfaces.clear();
        out.counters.sections += 1;
        out.advance(padded);
        Ok(())
    }

    fn interface<W, H>(&mut self, out: &mut Framing<'_>, body: &[u8], order: Order<W, H>) -> Result<(), BadBlock>
    where
        W: Fn([u8; 4]) -> u32 + Copy,
        H: Fn([u8; 2]) -> u16 + Copy,
    {
        let Some((&[t0, t1, _, _, s0, s1, s2, s3], options)) = body.split_first_chunk() else {
            return Err(BadBlock::Short);
        };
        if self.interfaces.len() == MAX_INTERFACES {
            out.counters.interfaces_refused += 1;
            return Ok(());
        }
        let mut interface = Interface {
            link_type: LinkType((order.half)([t0, t1])),
            snap_length: (order.word)([s0, s1, s2, s3]),
            scale: TimeScale::Multiply(1_000),
            offset: 0,
            fcs: 0,
        };
        for (code, value) in options_of(options, order.half) {
            match (code, value) {
                (9, &[resolution]) => interface.scale = TimeScale::from_resolution(resolution),
                (13, &[length]) => interface.fcs = check_sequence_length(length),
                (14, value) => {
                    if let Some((&[a, b, c, d], &[e, f, g, h])) =
                        value.split_first_chunk().and_then(|(first, rest)| Some((first, rest.first_chunk()?)))
                    {
                        let (first, second) = ((order.word)([a, b, c, d]), (order.word)([e, f, g, h]));
                        let (high, low) = if self.big_endian { (first, second) } else { (second, first) };
                        let seconds = (u64::from(high) << 32 | u64::from(low)) as i64;
                        interface.offset = i128::from(seconds) * i128::from(NANOS_PER_SECOND);
                    }
                }
                _ => {}
            }
        }
        self.interfaces.push(interface);
        Ok(())
    }

    #[inline]
    fn enhanced<W, H>(&self, out: &mut Framing<'_>, body: &[u8], order: Order<W, H>) -> Result<(), BadBlock>
    where
        W: Fn([u8; 4]) -> u32 + Copy,
        H: Fn([u8; 2]) -> u16 + Copy,
    {
        let Some((&header, data)) = body.split_first_chunk::<20>() else {
            return Err(BadBlock::Short);
        };
        let [i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, w0, w1, w2, w3] = header;
        let units = u64::from((order.word)([h0, h1, h2, h3])) << 32 | u64::from((order.word)([l0, l1, l2, l3]));
        let lengths = ((order.word)([c0, c1, c2, c3]), (order.word)([w0, w1, w2, w3]));
        self.timed(out, (order.word)([i0, i1, i2, i3]), units, lengths, data)
    }

    fn old<W, H>(&self, out: &mut Framing<'_>, body: &[u8], order: Order<W, H>) -> Result<(), BadBlock>
    where
        W: Fn([u8; 4]) -> u32 + Copy,
        H: Fn([u8; 2]) -> u16 + Copy,
    {
        let Some((&header, data)) = body.split_first_chunk::<20>() else {
            return Err(BadBlock::Short);
        };
        let [i0, i1, _, _, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, w0, w1, w2, w3] = header;
        let units = u64::from((order.word)([h0, h1, h2, h3])) << 32 | u64::from((order.word)([l0, l1, l2, l3]));
        let lengths = ((order.word)([c0, c1, c2, c3]), (order.word)([w0, w1, w2, w3]));
        self.timed(out, u32::from((order.half)([i0, i1])), units, lengths, data)
    }

    /// Adds the packet of an enhanced or old packet block. Both kinds have 20 bytes before the packet's data.
    #[inline]
    fn timed(
        &self,
        out: &mut Framing<'_>,
        interface: u32,
        units: u64,
        lengths: (u32, u32),
        data: &[u8],
    ) -> Result<(), BadBlock> {
        let captured = lengths.0;
        if captured > MAX_CAPTURED {
            return Err(BadBlock::Captured(captured));
        }
        if captured as usize > data.len() {
            return Err(BadBlock::Short);
        }
        let Some(interface) = self.interfaces.get(interface as usize) else {
            out.counters.packets_of_unknown_interface += 1;
            return Ok(());
        };
        let time = interface.time(units);
        out.counters.stamps_clamped += u64::from(interface.is_clamped(time));
        out.packet(time, 8 + 20, lengths, interface.link_type, interface.fcs);
        Ok(())
    }

    /// Adds the packet of a simple packet block. The block holds no time, so the packet gets the time of the packet before it.
    /// It belongs to the section's first interface.
    fn simple<W, H>(&self, out: &mut Framing<'_>, body: &[u8], order: Order<W, H>) -> Result<(), BadBlock>
    where
        W: Fn([u8; 4]) -> u32 + Copy,
        H: Fn([u8; 2]) -> u16 + Copy,
    {
        let Some((&wire_length, data)) = body.split_first_chunk() else {
            return Err(BadBlock::Short);
        };
        let Some(interface) = self.interfaces.first() else {
            out.counters.packets_of_unknown_interface += 1;
            return Ok(());
        };
        let wire_length = (order.word)(wire_length);
        let snap_length = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = wire_length.min(snap_length).min(data.len() as u32);
        if captured > MAX_CAPTURED {
            return Err(BadBlock::Captured(captured));
        }
        out.counters.packets_without_time += 1;
        out.packet(out.last, 8 + 4, (captured, wire_length), interface.link_type, interface.fcs);
        Ok(())
    }
}

/// Converts the bytes of a section to numbers, in the section's byte order.
#[derive(Clone, Copy)]
struct Order<W, H> {
    word: W,
    half: H,
}

enum Step {
    Stop(Stop),
    NextSection,
}

enum BadBlock {
    /// The block is too short for the contents that it declares.
    Short,
    /// The captured length is over the limit.
    Captured(u32),
}

impl Interface {
    #[inline]
    fn time(&self, units: u64) -> Timestamp {
        let nanos = self.scale.nanos(units);
        if self.offset == 0 {
            return Timestamp::from_nanos(nanos).min(LATEST);
        }
        let shifted = (i128::from(nanos) + self.offset).clamp(0, i128::from(u64::MAX));
        Timestamp::from_nanos(shifted as u64).min(LATEST)
    }
}

impl Interface {
    /// Returns whether a time lies at an end of the times that can be shown, so that the stamp may lie beyond it.
    #[inline]
    fn is_clamped(&self, time: Timestamp) -> bool {
        time == LATEST || (time == Timestamp::EPOCH && self.offset < 0)
    }
}

impl TimeScale {
    /// Converts `if_tsresol`. The highest bit chooses between powers of two and powers of ten; the other bits are the
    /// negative exponent.
    fn from_resolution(resolution: u8) -> Self {
        let exponent = resolution & 0x7f;
        if resolution & 0x80 != 0 {
            return Self::PowerOfTwo(exponent);
        }
        match u32::from(exponent) {
            exponent @ 0..=9 => Self::Multiply(10u64.pow(9 - exponent)),
            // Below 10^-28 s, even the largest possible number of units is less than a nanosecond.
            exponent => 10u64.checked_pow(exponent - 9).map_or(Self::Multiply(0), Self::Divide),
        }
    }

    #[inline]
    fn nanos(self, units: u64) -> u64 {
        match self {
            Self::Multiply(nanos) => units.saturating_mul(nanos),
            Self::Divide(units_per_nano) => units / units_per_nano,
            Self::PowerOfTwo(exponent) => {
                let nanos = (u128::from(units) * u128::from(NANOS_PER_SECOND)) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Returns the length of the frame check sequence in bytes, from `if_fcslen`. The specification wants bits there, but some
/// writers write bytes. Only values that stand for 2 or 4 bytes are believed, as no other frame check sequences exist.
fn check_sequence_length(length: u8) -> u32 {
    match length {
        2 | 16 => 2,
        4 | 32 => 4,
        _ => 0,
    }
}

/// Iterates over the options of a block (code and value), up to `opt_endofopt` or the first option that does not fit into
/// the block.
fn options_of(mut bytes: &[u8], half: impl Fn([u8; 2]) -> u16) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[c0, c1, l0, l1], rest) = bytes.split_first_chunk()?;
        let (code, length) = (half([c0, c1]), usize::from(half([l0, l1])));
        if code == 0 {
            return None;
        }
        let value = rest.get(..length)?;
        bytes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    })
}

/// Returns whether a block of this type contains a packet or describes an interface.
#[inline]
fn holds_packets(kind: u32) -> bool {
    matches!(kind, INTERFACE_DESCRIPTION | OLD_PACKET | SIMPLE_PACKET | ENHANCED_PACKET)
}

fn count_skipped(kind: u32, counters: &mut CaptureCounters) {
    *match kind {
        NAME_RESOLUTION => &mut counters.blocks_name_resolution,
        INTERFACE_STATISTICS => &mut counters.blocks_interface_statistics,
        SYSTEMD_JOURNAL => &mut counters.blocks_journal,
        kind if CUSTOM.contains(&kind) => &mut counters.blocks_custom,
        _ => &mut counters.blocks_unknown,
    } += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_resolution() {
        let cases = [
            (0u8, 7u64, 7_000_000_000u64),
            (3, 7, 7_000_000),
            (6, 1_700_000_000_000_001, 1_700_000_000_000_001_000),
            (9, 1_700_000_000_000_000_001, 1_700_000_000_000_000_001),
            (12, 1_700_000_000_000_999, 1_700_000_000_000),
            (18, 18_000_000_000_000_000_000, 18_000_000_000),
            (28, u64::MAX, 1),
            (29, u64::MAX, 0),
            (127, u64::MAX, 0),
            (0x80, 7, 7_000_000_000),
            (0x8a, 1_024, 1_000_000_000),
            (0x94, (1 << 20) * 3 + (1 << 19), 3_500_000_000),
            (0xa0, (5 << 32) | (1 << 31), 5_500_000_000),
            (0xff, u64::MAX, 0),
            (0, u64::MAX, u64::MAX),
        ];
        for (resolution, units, nanos) in cases {
            assert_eq!(TimeScale::from_resolution(resolution).nanos(units), nanos, "{resolution:#x} {units}");
        }
    }
}
