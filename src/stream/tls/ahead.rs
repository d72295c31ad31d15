//! Records that were captured before what the other side had sent first.
//!
//! In: records of a side whose packets acknowledge bytes of the other side that were not captured yet. Out: the same, when those
//! bytes were. Promises: the bytes that a connection keeps are limited, and so is the time.
//!
//! A handshake is understood only in its order: the ServerHello after the ClientHello, data after the handshake. And what a packet
//! acknowledges can be told in offsets of the data only if the records up to there were read.

use std::collections::VecDeque;

use super::held::Unit;
use crate::{
    stream::context::ParserContext,
    tcp::{ChunkContext, Direction},
    time::Timestamp,
};

/// The records of the side that is ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) direction: Direction,
    /// Each with the offset of the other side up to which its packet acknowledged.
    queue: VecDeque<(ChunkContext, Unit<'static>, u64)>,
    bytes: usize,
    /// Packet time of the first record that is kept.
    pub(super) since: Timestamp,
}

impl Ahead {
    /// Nothing of this side is kept yet.
    pub(super) fn new<K>(around: &ParserContext<'_, K>) -> Self {
        Self { direction: around.direction(), queue: VecDeque::new(), bytes: 0, since: around.now().time }
    }

    /// Keeps what the side sent. Returns whether there was room for it.
    pub(super) fn push<K>(&mut self, around: &mut ParserContext<'_, K>, unit: &Unit<'_>) -> bool {
        let bytes = unit.bytes();
        let fits = self.bytes + bytes <= around.shared.settings.max_tls_held_bytes && around.shared.can_hold(bytes);
        if fits {
            self.bytes += bytes;
            around.shared.held += bytes;
            let until = around.chunk.acknowledged.unwrap_or(0);
            self.queue.push_back((*around.chunk, unit.to_owned(), until));
        }
        fits
    }

    /// Takes the next one, if the other side was captured as far as its packet acknowledged.
    pub(super) fn pop<K>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        captured: u64,
    ) -> Option<(ChunkContext, Unit<'static>)> {
        let (context, unit, _) = self.queue.pop_front_if(|(.., until)| *until <= captured)?;
        self.bytes -= unit.bytes();
        around.shared.held -= unit.bytes();
        Some((context, unit))
    }

    /// The offset of the other side up to which the last packet that is kept acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.queue.back().map_or(0, |(.., until)| *until)
    }

    /// Returns whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops all.
    pub(super) fn clear<K>(&mut self, around: &mut ParserContext<'_, K>) {
        around.shared.held -= self.bytes;
        self.bytes = 0;
        self.queue.clear();
    }
}
