//! Header blocks: the fragments of which the frames of one message carry one each.
//!
//! In: whole frames of HEADERS, PUSH_PROMISE and CONTINUATION, and what is lost of them. Out: whole blocks. Promises: at most
//! one block a side is kept, under the limits of one block and of all connections.

use super::{
    Http2,
    frames::{self, BlockLimits, FrameHeader, flag, kind},
    side::skip,
};
use crate::{
    exchange::ExchangeSink,
    stream::context::{Origin, ParserContext},
};

/// A header block whose end has not come.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenBlock {
    /// The header of its first frame.
    pub(super) header: FrameHeader,
    /// The stream of the message.
    stream: u32,
    origin: Origin,
    frames: u32,
}

/// A whole header block.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// The header of its first frame.
    pub(super) header: FrameHeader,
    /// The stream of the message: of a PUSH_PROMISE, the one that it announces.
    pub(super) stream: u32,
    pub(super) origin: Origin,
    pub(super) bytes: &'a [u8],
    /// The offset after its last frame.
    pub(super) end: u64,
    /// The bytes after it in the same chunk.
    pub(super) after: &'a [u8],
}

impl Http2 {
    /// Takes a whole frame of HEADERS or PUSH_PROMISE, which ends before the offset `end`; `after` is what follows it in the
    /// same chunk.
    pub(super) fn begin_block<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: FrameHeader,
        payload: &[u8],
        end: u64,
        after: &[u8],
    ) {
        let Some(fragment) = frames::block_within(header, payload) else {
            self.lose_block(around, Some(header));
            return;
        };
        let stream = frames::stream_of(header, payload);
        let side = &mut self.sides[around.direction() as usize];
        let Some(origin) = side.origin else { return };
        if header.has(flag::END_HEADERS) {
            self.block(around, &Block { header, stream, origin, bytes: fragment, end, after });
            return;
        }
        side.open_block = Some(OpenBlock { header, stream, origin, frames: 0 });
        self.keep_fragment(around, fragment);
    }

    /// Takes a whole frame of CONTINUATION.
    pub(super) fn add_to_block<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: FrameHeader,
        fragment: &[u8],
        end: u64,
        after: &[u8],
    ) {
        self.keep_fragment(around, fragment);
        let side = &mut self.sides[around.direction() as usize];
        if header.has(flag::END_HEADERS)
            && let Some(OpenBlock { header, stream, origin, .. }) = side.open_block
        {
            let bytes = std::mem::take(&mut side.block);
            around.shared.held -= bytes.len();
            side.open_block = None;
            self.block(around, &Block { header, stream, origin, bytes: &bytes, end, after });
        }
    }

    /// Keeps a fragment of the open block, or loses the block if it is over a limit.
    fn keep_fragment<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, fragment: &[u8]) {
        let limits = BlockLimits::of(&around.shared.settings);
        let side = &mut self.sides[around.direction() as usize];
        let Some(block) = &mut side.open_block else { return };
        block.frames += 1;
        let fits = block.frames <= limits.frames && side.block.len() + fragment.len() <= limits.bytes;
        if fits && around.shared.can_hold(fragment.len()) {
            side.block.extend_from_slice(fragment);
            around.shared.held += fragment.len();
        } else {
            around.shared.counters.heads_over_limit += 1;
            self.lose_block(around, None);
        }
    }

    /// Loses the payload that is being read. So many bytes of it follow.
    pub(super) fn lose_payload<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: FrameHeader,
        left: u32,
    ) {
        let side = &mut self.sides[around.direction() as usize];
        around.shared.held -= side.partial.len();
        side.partial = Vec::new();
        side.state = skip(left);
        match header.kind {
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => self.lose_block(around, Some(header)),
            _ => self.streams.note_loss(),
        }
    }

    /// Loses the open block, and a frame of a block that is not open. The table lacks what they would have put in it.
    pub(super) fn lose_block<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        frame: Option<FrameHeader>,
    ) {
        let side = &mut self.sides[around.direction() as usize];
        let lost = side.open_block.map(|block| block.header);
        side.release_block(around.shared);
        side.forget_table();
        self.charge_tables(around);
        self.may_lack_requests = true;
        self.streams.note_loss();
        for header in [lost, frame].into_iter().flatten().filter(|header| header.kind == kind::HEADERS) {
            self.note_lost_message(around, header);
        }
    }
}
