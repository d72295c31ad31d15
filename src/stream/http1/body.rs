//! Message bodies, from the first byte to the end.
//!
//! In: the bytes after a header block, and their framing. Out: the number of body bytes, and the place where the next
//! message begins. Promises: the bytes of a body are counted, not interpreted. A message that begins where a body was
//! expected is found.

use super::{
    conversation::{Answering, Conversation, LastAnswer, ReadState},
    framing::{Body, Chunked, Progress},
    pairing::{RequestProgress, ResponseProgress},
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
            if !from_server {
                self.end_request(around, Remarks::BODY_INCOMPLETE);
            } else if self.sides[direction as usize].body == 0 || self.answering == Answering::Oldest {
                self.end_response(around, Remarks::default());
            } else {
                // The bytes that were read as a body may have been messages.
                self.end_response(around, Remarks::BODY_INCOMPLETE);
                self.note_gap(around, direction, around.chunk.offset);
            }
            return 0;
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
                Progress::Broken => {
                    around.shared.counters.bad_chunks += 1;
                    self.remark(direction, Remarks::BAD_CHUNK);
                    self.sides[direction as usize].state = ReadState::Resync;
                    if !from_server {
                        self.end_request(around, Remarks::BAD_CHUNK);
                    }
                    self.note_gap(around, direction, around.chunk.offset + (at + rest.len()) as u64);
                    self.sides[direction as usize].state = ReadState::Resync;
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

    /// Returns whether the next message begins where a body was expected.
    ///
    /// - A response to an unseen request may answer HEAD, unless it is the connection's last response anyway.
    /// - A client that was refused before it sent its body may send the next request instead.
    /// - A response without length ends where another response answers a request that was sent later.
    #[inline]
    fn is_no_body_after_all<K>(&self, around: &ParserContext<'_, K>, rest: &[u8], at: usize) -> bool {
        let side = &self.sides[around.direction() as usize];
        let queue = self.in_flight.as_ref().map(|in_flight| &in_flight.queue);
        if self.is_server(around.direction()) {
            let is_unpaired = self.answering == Answering::Unpaired;
            let is_last = self.last_answer == LastAnswer::Closes;
            let possible = (is_unpaired && !is_last && (side.body == 0 || at == 0))
                || (at == 0
                    && side.state == ReadState::UntilClose
                    && queue
                        .is_some_and(|queue| queue.iter().any(|entry| entry.response == ResponseProgress::Waiting)));
            possible
                && (start_line::begins_response(rest)
                    || (is_unpaired && side.body == 0 && start_line::may_be_response(rest)))
        } else {
            at == 0
                && side.body == 0
                && queue.and_then(|queue| queue.back()).is_some_and(|entry| {
                    entry.request == RequestProgress::Body
                        && entry.expects_continue
                        && entry.response != ResponseProgress::Waiting
                })
                && start_line::begins_request(rest)
        }
    }
}
