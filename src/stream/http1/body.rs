//! Message bodies, from the first byte to the end.
//!
//! In: the bytes after a header block, and their framing. Out: the number of body bytes, and the place where the next
//! message begins. Promises: the bytes of a body are counted, not interpreted. A message that begins where a body was
//! expected is found.

use super::{
    conversation::{Answering, Conversation, LastAnswer, ReadState},
    doubt::OPENING_BYTES,
    framing::{Body, Chunked, Progress},
    pairing::RequestProgress,
    start_line,
};
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::context::ParserContext,
    tcp::Direction,
};

impl Conversation {
    /// Continues with a message's body, or with the message's end if it has no body.
    pub(super) fn begin_body<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        body: Body,
        conflicting: bool,
    ) {
        let direction = around.direction();
        if conflicting {
            around.shared.counters.conflicting_lengths += 1;
            self.remark(direction, Remarks::CONFLICTING_LENGTH);
        }
        let side = self.side(direction);
        side.body = 0;
        side.state = match body {
            Body::None => ReadState::Between,
            Body::Known(length) => ReadState::Body(length),
            Body::Chunked => ReadState::Chunked(Chunked::START),
            Body::UntilClose => ReadState::UntilClose,
            Body::Unframed => ReadState::Resync,
        };
        match body {
            Body::None => self.end_message(around, Remarks::default()),
            Body::Unframed => {
                self.note_gap(around, direction, around.chunk.offset.saturating_add(1));
                if self.is_client(direction) {
                    self.cut_request();
                }
            }
            _ => {}
        }
    }

    /// Ends the message that is being read in this direction.
    pub(super) fn end_message<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, remarks: Remarks) {
        if self.is_server(around.direction()) {
            self.end_response(around, remarks);
        } else {
            self.end_request(around, remarks);
        }
    }

    /// Adds remarks to the exchange of the message that is being read in this direction.
    pub(super) fn remark(&mut self, direction: Direction, remarks: Remarks) {
        let from_server = self.is_server(direction);
        let Some(in_flight) = &mut self.in_flight else { return };
        let exchange = match (from_server, self.answering) {
            (false, _) => {
                let back = in_flight.queue.back_mut().filter(|entry| entry.request == RequestProgress::Body);
                back.map(|entry| &mut entry.exchange)
            }
            (true, Answering::None) => None,
            (true, Answering::Oldest) => in_flight.queue.front_mut().map(|entry| &mut entry.exchange),
            (true, Answering::Unpaired) => in_flight.unpaired.as_mut(),
        };
        if let Some(exchange) = exchange {
            exchange.remarks.add(remarks);
        }
    }

    /// Reads bytes of a body. Returns how many of the bytes belong to the body.
    #[inline]
    pub(super) fn body<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) -> usize {
        let direction = around.direction();
        let from_server = self.is_server(direction);
        if self.is_no_body_after_all(around, rest, at) {
            if self.sides[direction as usize].body == 0 || self.answering == Answering::Oldest {
                self.end_response(around, Remarks::default());
            } else {
                // The bytes that were read as a body may have been messages.
                self.end_response(around, Remarks::BODY_INCOMPLETE);
                self.note_gap(around, direction, around.chunk.offset);
            }
            return 0;
        }
        if !from_server {
            if at == 0 && self.sides[direction as usize].body == 0 {
                self.store_form_start(rest);
            }
            if self.sides[direction as usize].body < OPENING_BYTES {
                self.note_opening(around, rest);
            }
            if at == 0
                && matches!(rest.first(), Some(b'A'..=b'Z'))
                && matches!(self.sides[direction as usize].state, ReadState::Body(_))
            {
                self.doubt_rest_of_body(around, rest);
            }
        }
        // Body bytes in the same chunk as the head were already stored with the head.
        if from_server && at == 0 {
            self.store_body_start(around, rest);
        }
        let side = &mut self.sides[direction as usize];
        let (taken, over) = match &mut side.state {
            ReadState::Body(left) => {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                side.body += taken as u64;
                (taken, *left == 0)
            }
            ReadState::Chunked(chunked) => match chunked.take(rest, &mut side.body) {
                Progress::More => (rest.len(), false),
                Progress::End(taken) => (taken, true),
                Progress::Trailer(taken) => {
                    self.await_first_line(around, direction);
                    return taken;
                }
                Progress::Broken => {
                    self.break_chunks(around, (at + rest.len()) as u64);
                    return rest.len();
                }
            },
            _ => {
                side.body += rest.len() as u64;
                return rest.len();
            }
        };
        if over {
            around.sides[direction as usize].offset = around.chunk.offset + (at + taken) as u64;
            if from_server {
                self.end_response(around, Remarks::default());
            } else {
                self.end_request(around, Remarks::default());
            }
        }
        taken
    }

    /// Chunked framing broke in a part of the current chunk that ends at `end`.
    #[cold]
    fn break_chunks<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: u64) {
        let direction = around.direction();
        around.shared.counters.bad_chunks += 1;
        self.remark(direction, Remarks::BAD_CHUNK);
        self.sides[direction as usize].state = ReadState::Resync;
        if !self.is_server(direction) {
            self.end_request(around, Remarks::BAD_CHUNK);
        }
        self.note_gap(around, direction, around.chunk.offset + end);
        self.sides[direction as usize].state = ReadState::Resync;
    }

    /// Returns whether a server's next message begins at the start of a chunk, although a body was expected there.
    ///
    /// - A response to an unseen request may answer HEAD, unless it is the connection's last response anyway. Then the bytes
    ///   that were read as its body may have been messages.
    /// - A response without length ends where another response answers a request that was sent later.
    #[inline]
    fn is_no_body_after_all<K>(&self, around: &ParserContext<'_, K>, rest: &[u8], at: usize) -> bool {
        if at != 0 || !self.is_server(around.direction()) {
            return false;
        }
        let is_unpaired = self.answering != Answering::Oldest && self.last_answer != LastAnswer::Closes;
        let is_until_close = self.sides[around.direction() as usize].state == ReadState::UntilClose;
        (is_unpaired || (is_until_close && self.has_waiting_request())) && start_line::begins_response(rest)
    }
}
