//! Records that wait: for their secrets, or for what the server says of early data.
//!
//! In: records of both sides, in the order of capture, from the first one that could not be opened on; gaps and ends among them.
//! Early data alone waits without the server's records. Out: the same, in order, when what they wait for has come. Promises: the bytes
//! of a connection are limited, and those of all connections together.

use std::{borrow::Cow, collections::VecDeque};

use super::decrypt::{HEADER_BYTES, Record, Waiting};
use crate::{
    stream::context::{Origin, ParserContext},
    tcp::{ChunkContext, Direction},
    time::Timestamp,
};

/// The most that a side sends before the end of its early data shows.
const MOST_LOOKED_AT: usize = 256;

/// What a side sent, or what is missing of it.
#[derive(Debug)]
pub(super) enum Unit<'a> {
    /// A whole record.
    Record {
        header: [u8; HEADER_BYTES],
        body: Cow<'a, [u8]>,
        /// Offset of its first byte, and the byte's TCP sequence number.
        start: (u64, u32),
        /// Bytes of its data that were handed on before it was whole.
        handed_on: u64,
        /// The packets that carried it.
        origins: Cow<'a, [Origin]>,
    },
    /// A record whose body was not kept, or is not whole.
    Passed {
        header: [u8; HEADER_BYTES],
        /// The offset after its last byte.
        end: u64,
    },
    /// Bytes that are missing, in records that are not known.
    Missing(u64),
    /// The side has ended.
    Fin,
}

impl Unit<'_> {
    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let of_record = match self {
            Self::Record { body, origins, .. } => body.len() + size_of_val::<[Origin]>(origins),
            Self::Passed { .. } | Self::Missing(_) | Self::Fin => 0,
        };
        size_of::<(ChunkContext, Self)>() + of_record
    }

    /// A copy that can be kept.
    pub(super) fn to_owned(&self) -> Unit<'static> {
        match self {
            Self::Record { header, body, start, handed_on, origins } => Unit::Record {
                header: *header,
                body: Cow::Owned(body.to_vec()),
                start: *start,
                handed_on: *handed_on,
                origins: Cow::Owned(origins.to_vec()),
            },
            Self::Passed { header, end } => Unit::Passed { header: *header, end: *end },
            Self::Missing(bytes) => Unit::Missing(*bytes),
            Self::Fin => Unit::Fin,
        }
    }
}

/// One that was taken out of those that wait.
#[derive(Debug)]
pub(super) struct Taken {
    index: usize,
    pub(super) context: ChunkContext,
    pub(super) unit: Unit<'static>,
}

/// The records of a connection that wait.
#[derive(Debug)]
pub(super) struct Held {
    queue: VecDeque<(ChunkContext, Unit<'static>)>,
    /// How many of them each side sent.
    counts: [usize; 2],
    bytes: usize,
    /// Packet time of the first record that waits.
    pub(super) since: Timestamp,
    /// Packet time of the last attempt.
    pub(super) tried: Timestamp,
    /// The session's progress at the last attempt.
    pub(super) progress: u64,
}

impl Held {
    /// Nothing waits yet.
    pub(super) fn new<K>(around: &ParserContext<'_, K>, progress: u64) -> Self {
        let now = around.now().time;
        Self { queue: VecDeque::new(), counts: [0; 2], bytes: 0, since: now, tried: now, progress }
    }

    /// Adds what comes after those that wait. Returns whether there was room for it.
    pub(super) fn push<K>(&mut self, around: &mut ParserContext<'_, K>, unit: &Unit<'_>) -> bool {
        let bytes = unit.bytes();
        let fits = self.bytes + bytes <= around.shared.settings.max_tls_held_bytes && around.shared.can_hold(bytes);
        if fits {
            self.bytes += bytes;
            around.shared.held += bytes;
            self.counts[around.direction() as usize] += 1;
            self.queue.push_back((*around.chunk, unit.to_owned()));
        }
        fits
    }

    /// Returns whether something waits that this side sent.
    pub(super) fn has_any_of(&self, direction: Direction) -> bool {
        self.counts[direction as usize] > 0
    }

    /// The records of a side that wait, of the first [`MOST_LOOKED_AT`] that it sent.
    pub(super) fn records_of(&self, direction: Direction) -> impl Iterator<Item = Waiting<'_>> {
        let of_side = self.queue.iter().filter(move |(context, _)| context.direction == direction);
        let mut is_whole = true;
        of_side.take(MOST_LOOKED_AT).zip(0..).filter_map(move |((_, unit), before)| match unit {
            Unit::Record { header, body, .. } => {
                Some(Waiting { record: Record { header: *header, body }, before, is_whole })
            }
            Unit::Passed { .. } | Unit::Missing(_) | Unit::Fin => {
                is_whole = false;
                None
            }
        })
    }

    /// Takes the next one, or the next one that is not of the side `except`. Its bytes count as held until
    /// [`put_back`](Self::put_back) or [`release`](Self::release).
    pub(super) fn pop(&mut self, except: Option<Direction>) -> Option<Taken> {
        let index = self.queue.iter().position(|(context, _)| except != Some(context.direction))?;
        let (context, unit) = self.queue.remove(index)?;
        self.counts[context.direction as usize] -= 1;
        Some(Taken { index, context, unit })
    }

    /// Puts one back that still has to wait.
    pub(super) fn put_back(&mut self, Taken { index, context, unit }: Taken) {
        self.counts[context.direction as usize] += 1;
        self.queue.insert(index.min(self.queue.len()), (context, unit));
    }

    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// One that was taken does not wait any more.
    pub(super) fn release<K>(&mut self, around: &mut ParserContext<'_, K>, bytes: usize) {
        self.bytes -= bytes;
        around.shared.held -= bytes;
    }

    /// Drops all.
    pub(super) fn clear<K>(&mut self, around: &mut ParserContext<'_, K>) {
        around.shared.held -= self.bytes;
        (self.bytes, self.counts) = (0, [0; 2]);
        self.queue.clear();
    }
}
