//! The stream inside TLS.
//!
//! In: decrypted data, the places of records, what is missing, and the ends of both sides. Out: chunks of the inner stream, with
//! offsets of their own. Promises: a byte of data has the stamp of the packet that carried it; what a packet acknowledged is told
//! in offsets of the inner stream. If records are missing, the length of their data is exact once the side goes on, unless they were
//! padded; the other side may go on before.

use std::collections::VecDeque;

use super::decrypt::HEADER_BYTES;
use crate::{
    exchange::ExchangeSink,
    stream::context::{Origin, ParserContext},
    tcp::{Chunk, ChunkContext, Direction},
};

/// The most places of a side at which both offsets are remembered.
const MOST_MARKS: usize = 64;

/// Most data in a record (RFC 8446, section 5.1).
const MAX_DATA_BYTES: u64 = 1 << 14;

/// The place of a record in the side's stream: the offsets of its first byte and after its last byte, and the TCP sequence number of
/// the first byte. That number is not asked for later, because it is not certain any more once the side has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) sequence: u32,
    pub(super) end: u64,
}

/// What precedes a record that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Before {
    /// Records that are missing.
    pub(super) lost: u32,
    /// Bytes of each of them beside its data.
    pub(super) overhead: u64,
}

/// Where the data of a side begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// The offset at which it may begin.
    pub(super) offset: u64,
    /// Whether data is missing there.
    pub(super) before: Missing,
}

/// Whether data is missing before the first that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// No.
    Nothing,
    /// The sequence number of the next record shows it.
    Perhaps,
    /// Records passed that nobody could open. Sequence numbers do not show whether they were data, so they are taken for it.
    Surely,
}

/// The stream inside TLS: how far each side is.
#[derive(Debug, Default)]
pub(super) struct Inner {
    sides: [Side; 2],
}

#[derive(Debug, Default)]
struct Side {
    /// Offset of the next byte of data.
    offset: u64,
    /// Places at which both offsets are known, as the offset of the connection and that of the data. Never empty.
    marks: VecDeque<(u64, u64)>,
    /// Bytes of the last record beside its data.
    overhead: u64,
    /// How many of these come before its data, if the last mark is within that record.
    front: u64,
    loss: Loss,
    /// The offset of the connection up to which data counts as missing, though it was captured later.
    missing_until: u64,
    /// Records that are missing after the last mark, and records without data that came after them.
    since_mark: SinceMark,
}

/// Records since the last mark, where some are missing.
#[derive(Debug, Clone, Copy, Default)]
struct SinceMark {
    /// Records that are missing.
    lost: u32,
    /// Bytes of the connection in records without data.
    without_data: u64,
}

/// Whether records are missing since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Loss {
    /// None is known to be missing.
    #[default]
    Nothing,
    /// Records may be missing. How much data, the next record will show.
    Records,
    /// The inner stream was told of the missing data.
    Told,
    /// Nothing of the side can be read: all its bytes are missing data.
    Unreadable,
}

impl Inner {
    /// The stream inside a connection whose handshake is over. `starts` says for each side where its data may begin.
    pub(super) fn begin(starts: [Start; 2]) -> Self {
        let side = |Start { offset, before }| Side {
            marks: VecDeque::from([(offset, 0)]),
            loss: if before == Missing::Nothing { Loss::Nothing } else { Loss::Records },
            since_mark: SinceMark { lost: u32::from(before == Missing::Surely), without_data: 0 },
            ..Side::default()
        };
        Self { sides: starts.map(side) }
    }

    /// Passes on the data of a record of the current side. `origins` are the packets that carried the record, in order of offset.
    pub(super) fn data<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (place, before): (Place, Before),
        origins: &[Origin],
        data: &[u8],
    ) {
        let direction = around.direction();
        if place.start < self.sides[direction as usize].missing_until {
            return;
        }
        self.tell_loss(around, direction.opposite(), origins.last().and_then(|origin| origin.acknowledged));
        self.goes_on(around, place, before);
        // A lost record makes the data's offset uncertain. The place in the connection names a byte for every sensor.
        let sequence = place.sequence.wrapping_add(HEADER_BYTES as u32);
        around.note_inner_position(direction, self.sides[direction as usize].offset, sequence);
        let mut rest = data;
        let mut at = place.start + HEADER_BYTES as u64;
        let (mut carrier, mut later) =
            origins.split_first().map_or((None, origins), |(first, rest)| (Some(*first), rest));
        while !rest.is_empty() {
            while let Some((next, after)) = later.split_first().filter(|(next, _)| next.offset <= at) {
                (carrier, later) = (Some(*next), after);
            }
            let next = later.first().filter(|_| !is_rest_unneeded(around, rest));
            let length = next.map_or(rest.len(), |next| rest.len().min((next.offset - at) as usize));
            let (part, after) = rest.split_at(length);
            if next.is_none() {
                carrier = later.last().copied().or(carrier);
            }
            let origin = carrier.unwrap_or(Origin::within(around.chunk, 0));
            self.hand_on(around, &origin, Chunk::Data(part));
            self.sides[direction as usize].offset += length as u64;
            (rest, at) = (after, at + length as u64);
        }
        self.mark(direction, place.end);
    }

    /// Passes on the data at the beginning of a record of the current side, which is in one packet. The place ends with that data.
    pub(super) fn beginning<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (place, before): (Place, Before),
        origin: Origin,
        data: &[u8],
    ) {
        self.data(around, (place, before), &[origin], data);
        self.sides[around.direction() as usize].front = (place.end - place.start).saturating_sub(data.len() as u64);
    }

    /// A record of the current side, which ends here, passed without being decrypted: it has so many bytes of data.
    pub(super) fn passed<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        length: u64,
        end: u64,
        is_captured: bool,
    ) {
        let direction = around.direction();
        let side = &mut self.sides[direction as usize];
        if end <= side.missing_until {
            return;
        }
        if side.loss == Loss::Records {
            // How much is missing before it, the next record will show.
            side.since_mark.lost = side.since_mark.lost.saturating_add(1);
            return;
        }
        let origin = Origin::within(around.chunk, 0);
        let chunk = if is_captured { Chunk::Skipped(length) } else { Chunk::Gap(length) };
        self.hand_on(around, &origin, chunk);
        self.sides[direction as usize].offset += length;
        self.mark(direction, end);
    }

    /// Records of a side may be missing from here on.
    pub(super) fn lose(&mut self, direction: Direction) {
        let loss = &mut self.sides[direction as usize].loss;
        if *loss != Loss::Unreadable {
            *loss = Loss::Records;
        }
    }

    /// Returns whether nothing of a side is known to be missing since its last record.
    pub(super) fn is_whole(&self, direction: Direction) -> bool {
        let side = &self.sides[direction as usize];
        side.loss == Loss::Nothing && side.since_mark.lost == 0
    }

    /// The current side's data up to an offset counts as missing. It may still be captured, but the other side has gone on, and answers
    /// to this data would be taken for answers to other data.
    pub(super) fn miss<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, until: u64) {
        let direction = around.direction();
        let side = &mut self.sides[direction as usize];
        let Some(&(last, _)) = side.marks.back() else { return };
        if until <= last || side.loss == Loss::Unreadable {
            return;
        }
        (side.missing_until, side.loss, side.since_mark) = (until, Loss::Told, SinceMark::default());
        let data = side.data_of(until - last).max(1);
        self.gap(around, data);
        self.mark(direction, until);
    }

    /// Nothing of a side can be read.
    pub(super) fn give_up(&mut self, direction: Direction) {
        self.sides[direction as usize].loss = Loss::Unreadable;
    }

    /// A record of the current side holds no data. `lost` records before it are missing.
    pub(super) fn without_data(&mut self, direction: Direction, place: Place, lost: u32) {
        let side = &mut self.sides[direction as usize];
        if place.end <= side.missing_until {
            return;
        }
        side.since_mark.lost = side.since_mark.lost.saturating_add(lost);
        if side.since_mark.lost > 0 {
            side.since_mark.without_data += place.end.saturating_sub(place.start);
        } else if side.loss == Loss::Nothing {
            self.mark(direction, place.end);
        }
    }

    /// A record of the current side was opened. If records before it are missing, the bytes between the last record and this one
    /// are theirs.
    fn goes_on<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, place: Place, before: Before) {
        let direction = around.direction();
        let side = &mut self.sides[direction as usize];
        side.overhead = before.overhead;
        let was_told = std::mem::take(&mut side.loss) == Loss::Told;
        let since_mark = std::mem::take(&mut side.since_mark);
        let lost = before.lost.saturating_add(since_mark.lost);
        let Some(&(last, _)) = side.marks.back() else { return };
        if lost > 0 && !was_told {
            let missing = place.start.saturating_sub(last).saturating_sub(since_mark.without_data);
            self.gap(around, missing.saturating_sub(before.overhead.saturating_mul(lost.into())).max(1));
            self.mark(direction, place.start);
        }
    }

    /// The other side goes on, after it has acknowledged this side up to an offset. If data of this side is missing, it was sent
    /// before. How much is not certain: it is taken for records as long as they can be.
    fn tell_loss<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        direction: Direction,
        acknowledged: Option<u64>,
    ) {
        // Records that waited are read when much more of this side was captured.
        let captured = around.sides[direction as usize].offset;
        let end = acknowledged.map_or(captured, |acknowledged| acknowledged.min(captured));
        let side = &mut self.sides[direction as usize];
        let Some(&(last, _)) = side.marks.back() else { return };
        let data = side.data_of(end.saturating_sub(last));
        if matches!(side.loss, Loss::Records | Loss::Unreadable) && data > 0 {
            if side.loss == Loss::Records && end == captured {
                side.loss = Loss::Told;
            }
            let chunk = ChunkContext { direction, acknowledged: None, ..*around.chunk };
            self.gap(&mut around.with_chunk(&chunk), data);
            self.mark(direction, end);
        }
    }

    /// Passes on that data of the current side is missing.
    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64) {
        let origin = Origin { acknowledged: None, ..Origin::within(around.chunk, 0) };
        self.hand_on(around, &origin, Chunk::Gap(length));
        self.sides[around.direction() as usize].offset += length;
    }

    /// Passes on that the current side has ended, with a FIN or a reset.
    pub(super) fn ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, chunk: Chunk<'_>) {
        let side = &mut self.sides[around.direction() as usize];
        if matches!(std::mem::take(&mut side.loss), Loss::Records | Loss::Unreadable) {
            self.gap(around, 1);
        }
        let origin = Origin::within(around.chunk, 0);
        self.hand_on(around, &origin, chunk);
    }

    fn hand_on<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, origin: &Origin, chunk: Chunk<'_>) {
        let direction = around.direction();
        let acknowledged =
            origin.acknowledged.and_then(|offset| self.inner_offset(around, direction.opposite(), offset));
        let offset = self.sides[direction as usize].offset;
        let context = ChunkContext { carried: origin.carried, offset, acknowledged, ..*around.chunk };
        around.hand_on(&context, chunk);
    }

    /// Returns the offset of the data that corresponds to an offset of a side, or `None` if it is not known.
    fn inner_offset<K>(&self, around: &ParserContext<'_, K>, direction: Direction, offset: u64) -> Option<u64> {
        let side = &self.sides[direction as usize];
        let captured = around.sides[direction as usize].offset;
        if offset > captured.max(side.missing_until) {
            // The receiver has bytes that were not captured yet. How much data they hold is not known.
            return Some(side.offset.saturating_add(1));
        }
        let known = side.marks.iter().rev().find(|(outer, _)| *outer <= offset);
        known.map(|(_, inner)| *inner).or((side.marks.len() < MOST_MARKS).then_some(0))
    }

    fn mark(&mut self, direction: Direction, end: u64) {
        let side = &mut self.sides[direction as usize];
        if std::mem::take(&mut side.front) > 0 {
            // The one within the record is of no use after the record's end.
            side.marks.pop_back();
        }
        if side.marks.len() >= MOST_MARKS {
            side.marks.pop_front();
        }
        side.marks.push_back((end, side.offset));
    }
}

/// Returns whether nobody will read the rest of a record. Then only the packet of its last byte matters.
fn is_rest_unneeded<K: ExchangeSink>(around: &ParserContext<'_, K>, rest: &[u8]) -> bool {
    around.inner_unneeded(around.direction()) >= rest.len() as u64
}

impl Side {
    /// The data in so many bytes after the last mark, of records that are not known: as few of them as possible, each with as much beside
    /// its data as the last one.
    fn data_of(&self, bytes: u64) -> u64 {
        let bytes = bytes + self.front;
        let records = bytes.div_ceil(MAX_DATA_BYTES + self.overhead);
        bytes.saturating_sub(records * self.overhead)
    }
}
