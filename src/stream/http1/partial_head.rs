//! Header blocks that arrive in several chunks.
//!
//! In: the first bytes of a message whose header block is incomplete. Out: the whole block once its last byte has arrived,
//! or the block's start if a limit cuts the block. Promises: each byte is kept once and searched once. A block is limited to
//! [`StreamSettings::max_head_bytes`](crate::stream::StreamSettings::max_head_bytes), and there is a cap for all blocks
//! together.

use super::{
    conversation::{Conversation, HeadEnd, ReadState},
    fields,
    start_line::{self, StartLine},
};
use crate::{
    exchange::ExchangeSink,
    stream::{
        context::{Origin, ParserContext},
        streams,
    },
    tcp::ChunkContext,
};

impl Conversation {
    /// Keeps the start of a header block: all bytes that are present.
    pub(in crate::stream) fn begin_partial_head<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        origin: &Origin,
    ) -> usize {
        let side = around.direction() as usize;
        self.sides[side].state = ReadState::PartialHead;
        let head = &mut around.shared.http1.fill(&mut self.in_flight).partial_heads[side];
        head.clear();
        head.origin = Some(*origin);
        head.bytes.extend_from_slice(rest);
        head.searched = rest.len();
        around.shared.held += rest.len();
        rest.len()
    }

    /// Adds bytes to a header block that is kept.
    pub(super) fn more_of_head<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        at: usize,
    ) -> usize {
        let side = around.direction() as usize;
        if at == 0 && self.is_followed_by_message(around, rest) {
            let (bytes, origin) = self.take_partial_head(around, side);
            if let Some(origin) = origin {
                self.refuse(around, &bytes, &origin);
            }
            self.return_buffer(around, side, bytes);
            self.sides[side].state = ReadState::Between;
            return 0;
        }
        let within_all = around.shared.can_hold(rest.len());
        let limit = around.shared.settings.max_head_bytes;
        let head = &mut around.shared.http1.fill(&mut self.in_flight).partial_heads[side];
        if head.bytes.len() >= limit || !within_all {
            return self.head_over_limit(around);
        }
        let before = head.bytes.len();
        let taken = rest.len().min(limit - before);
        head.bytes.extend_from_slice(&rest[..taken]);
        around.shared.held += taken;
        let Some(end) = fields::find_end(&head.bytes, head.searched) else {
            head.searched = head.bytes.len();
            self.check_partial_head(around, before);
            return taken;
        };
        head.bytes.truncate(end);
        around.shared.held -= before + taken - end;
        let consumed = end - before;
        if head.is_guess && start_line::has_blank_in_target(&head.bytes) {
            self.refuse_partial_head(around, before);
            return consumed;
        }
        let (bytes, origin) = self.take_partial_head(around, side);
        if let Some(origin) = origin {
            self.sides[side].state = ReadState::Between;
            let read = self.message(around, &bytes, &rest[consumed..], &origin);
            self.read_again(around, &bytes[read..], (read, before), &origin);
        }
        self.return_buffer(around, side, bytes);
        consumed
    }

    /// Refuses the kept bytes if they turn out to be no message.
    /// The first `before` bytes came in earlier chunks.
    fn check_partial_head<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, before: usize) {
        let side = around.direction() as usize;
        let is_server = self.is_server(around.direction());
        let head = &mut around.shared.http1.fill(&mut self.in_flight).partial_heads[side];
        if head.is_message {
            return;
        }
        if is_server && !start_line::may_become_response(&head.bytes) {
            return self.refuse_partial_head(around, before);
        }
        let few = head.bytes.len() <= start_line::UNDECIDED_BYTES;
        if !few && !head.bytes[head.line_searched..].contains(&b'\n') {
            head.line_searched = head.bytes.len();
            return;
        }
        match start_line::start_line(&head.bytes) {
            StartLine::Undecided => {}
            // HTTP/0.9: the line is the whole request.
            StartLine::Request(line, _) if line.version.major == 0 => self.read_partial_head(around),
            StartLine::Request(..) | StartLine::Response(..) => head.is_message = true,
            StartLine::Malformed | StartLine::Neither => self.refuse_partial_head(around, before),
        }
    }

    /// Returns whether a chunk begins with the connection's first message, and the bytes kept before it do not look like a
    /// message.
    fn is_followed_by_message<K>(&self, around: &ParserContext<'_, K>, rest: &[u8]) -> bool {
        let Some(in_flight) = &self.in_flight else { return false };
        let direction = around.direction();
        let head = &in_flight.partial_heads[direction as usize];
        let is_response = || self.may_answer(around, direction) && start_line::begins_response(rest);
        let is_request = start_line::begins_plain_request(rest) && start_line::begins_request(rest);
        if head.is_guess {
            return is_response() || start_line::begins_plain_request(rest);
        }
        if !head.is_message && self.is_server(direction) {
            return is_response();
        }
        if head.is_message || self.is_client(direction) || start_line::is_plausible(&head.bytes) {
            return false;
        }
        is_response() || (self.client.is_none() && is_request)
    }

    /// Reads the kept bytes as a message.
    fn read_partial_head<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let side = around.direction() as usize;
        let (bytes, origin) = self.take_partial_head(around, side);
        if let Some(origin) = origin {
            self.sides[side].state = ReadState::Between;
            self.message(around, &bytes, &[], &origin);
        }
        self.return_buffer(around, side, bytes);
    }

    /// Refuses the kept bytes, of which the first `before` came in earlier chunks.
    fn refuse_partial_head<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, before: usize) {
        let side = around.direction() as usize;
        let (bytes, origin) = self.take_partial_head(around, side);
        if let Some(origin) = origin {
            let refused = self.refuse(around, &bytes, &origin);
            self.read_again(around, &bytes[refused..], (refused, before), &origin);
        }
        self.return_buffer(around, side, bytes);
    }

    /// Reads the rest of the kept bytes again, after `read` bytes: a message begins there. The first `before` bytes came in
    /// earlier chunks. Which of these chunks holds the message's first byte is not known, nor what its packet acknowledged.
    fn read_again<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        (read, before): (usize, usize),
        origin: &Origin,
    ) {
        if rest.is_empty() {
            return;
        }
        let kept = ChunkContext { acknowledged: None, ..origin.as_chunk(around.chunk) };
        let chunk = if read < before { kept } else { *around.chunk };
        let chunk = ChunkContext { offset: origin.offset + read as u64, ..chunk };
        streams::read(&mut around.with_chunk(&chunk), self, rest);
    }

    /// Takes a kept header block out of its buffer.
    pub(super) fn take_partial_head<K>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        side: usize,
    ) -> (Vec<u8>, Option<Origin>) {
        let Some(in_flight) = &mut self.in_flight else { return Default::default() };
        let head = &mut in_flight.partial_heads[side];
        let (bytes, origin) = (std::mem::take(&mut head.bytes), head.origin);
        head.clear();
        around.shared.held -= bytes.len();
        (bytes, origin)
    }

    /// Gives the buffer of a header block back, unless another header block has begun meanwhile.
    pub(super) fn return_buffer<K>(&mut self, around: &mut ParserContext<'_, K>, side: usize, bytes: Vec<u8>) {
        if let Some(in_flight) = &mut self.in_flight
            && in_flight.partial_heads[side].bytes.is_empty()
        {
            in_flight.partial_heads[side].put_back(bytes);
        }
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }

    /// Handles a header block over a limit: its start is read, and the rest is skipped.
    fn head_over_limit<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) -> usize {
        around.shared.counters.heads_over_limit += 1;
        let side = around.direction() as usize;
        if self.cut_head(around, None) {
            self.sides[side].state = ReadState::OversizedHead(HeadEnd::None);
        }
        0
    }

    /// Skips bytes up to the end of a header block that is not read.
    pub(super) fn skip_head<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        mut end: HeadEnd,
    ) -> usize {
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            end = match (end, byte) {
                (HeadEnd::LineFeed | HeadEnd::LineFeedReturn, b'\n') => {
                    self.after_skipped_head(around);
                    return at + 1;
                }
                (_, b'\n') => HeadEnd::LineFeed,
                (HeadEnd::LineFeed | HeadEnd::LineFeedReturn, b'\r') => HeadEnd::LineFeedReturn,
                _ => {
                    at += memchr::memchr(b'\n', &rest[at..]).unwrap_or(rest.len() - at);
                    end = HeadEnd::None;
                    continue;
                }
            };
            at += 1;
        }
        self.side(around.direction()).state = ReadState::OversizedHead(end);
        rest.len()
    }

    /// Looks for the next message after a skipped header block, because the body's length may have been in the skipped part.
    fn after_skipped_head<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let direction = around.direction();
        let end = around.sides[direction as usize].offset;
        self.note_gap(around, direction, end);
        self.side(direction).state = ReadState::Resync;
    }
}
