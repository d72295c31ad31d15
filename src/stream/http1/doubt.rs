//! Bytes that can be read in two ways: as a body, or as the next message.
//!
//! In: the first bytes of a body that may be missing, requests that may be content of the body before them, and the
//! responses that decide between the readings. Out: the reading that the evidence proves. Promises: without evidence no
//! reading is taken for certain. Then responses are counted without a request, and the first bytes of each body are looked
//! at, so that no status is hidden.
//!
//! A body may be missing in these cases:
//!
//! - The response's request is not known, or its method is not: it may have been HEAD.
//! - The server answered a request before the first byte of its body: it was too large, unauthorized, or asked with
//!   `Expect: 100-continue`. Some clients send the body after that, others send the next request. nginx and Apache read the
//!   body in any case; other servers take the bytes for the next request.
//! - The last chunk's empty line is missing.
//!
//! If the client's bytes look like a request where a body's first byte belongs, they are read as a request, and the offset
//! at which the body would end is kept ([`SecondReading`]). The next response to such a request decides. If the server had
//! not received more than the body, it would not have answered: the request is one. If a further request follows the body,
//! either of them may have been answered: nothing is certain any more on this connection.

use super::{
    conversation::{Conversation, LastAnswer, ReadState},
    framing::Chunked,
    head::{Head, blanks},
    pairing::{Expectation, MethodKind, Pairing, RequestProgress, ResponseProgress},
    start_line::{self, StartLine},
};
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::{
        context::{Origin, ParserContext},
        streams,
    },
    tcp::{ChunkContext, Direction},
};

/// Most bytes that are kept of a first line, before they count as a body. All of them are looked at again with each segment.
const MAX_FIRST_LINE_BYTES: usize = 2 << 10;

/// A client's body begins like a request within this many bytes, or not at all.
pub(super) const OPENING_BYTES: u64 = 80;

/// The reading that the parser does not follow: the client's bytes are the rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SecondReading {
    /// Where the body ends in the client's stream; `None` if it ends with the next request's header block.
    body_end: Option<u64>,
    after: AfterBody,
}

/// What follows the body in the second reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterBody {
    /// The next message, if the client has sent one.
    Message,
    /// A message that begins inside one that was read as a request.
    HiddenMessage,
    /// Bytes that every server refuses.
    Refused,
}

/// Whether a client's body begins like a request: a method, a blank and a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// So many letters of a method.
    Method(u8),
    /// The blank after the method.
    Blank,
    Request,
    Other,
}

/// What stands where a body's first byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    Message,
    Body,
    Undecided,
}

impl Opening {
    pub(super) const START: Self = Self::Method(0);

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            *self = match (*self, byte) {
                (Self::Request | Self::Other, _) => return,
                (Self::Method(0), b'\r' | b'\n') => Self::Method(0),
                (Self::Method(letters @ ..64), b'A'..=b'Z' | b'-') => Self::Method(letters + 1),
                (Self::Method(3..), b' ') => Self::Blank,
                (Self::Blank, b'!'..=b'~') => Self::Request,
                _ => Self::Other,
            };
        }
    }
}

impl Conversation {
    /// Looks at the first line before the body of a side is read.
    pub(super) fn await_first_line<K>(&mut self, around: &mut ParserContext<'_, K>, direction: Direction) {
        let body = std::mem::replace(&mut self.side(direction).state, ReadState::BodyOrMessage);
        around.shared.http1.fill(&mut self.in_flight).awaited_bodies[direction as usize] = body;
    }

    /// Reads bytes at the place of a body's first byte. Returns how many bytes were read.
    #[cold]
    pub(super) fn body_or_message<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        at: usize,
    ) -> usize {
        let direction = around.direction();
        let side = direction as usize;
        let in_flight = around.shared.http1.fill(&mut self.in_flight);
        let body = in_flight.awaited_bodies[side];
        if in_flight.partial_heads[side].origin.is_none() {
            let line = self.first_line(direction, body, rest);
            if line == FirstLine::Undecided && around.shared.can_hold(rest.len()) {
                let taken = self.begin_partial_head(around, rest, &Origin::within(around.chunk, at));
                self.side(direction).state = ReadState::BodyOrMessage;
                return taken;
            }
            self.decide_first_line(around, line, around.chunk.offset + at as u64);
            return 0;
        }
        let head = &mut in_flight.partial_heads[side];
        head.bytes.extend_from_slice(rest);
        around.shared.held += rest.len();
        let is_full = !around.shared.can_hold(0);
        let bytes = std::mem::take(&mut head.bytes);
        let line = self.first_line(direction, body, &bytes);
        around.shared.http1.fill(&mut self.in_flight).partial_heads[side].bytes = bytes;
        match line {
            FirstLine::Undecided if !is_full => {}
            line => self.read_first_line(around, line),
        }
        rest.len()
    }

    /// Decides with the bytes that are there, because no more will come, or not in sequence.
    #[cold]
    pub(super) fn settle_first_line<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let direction = around.direction();
        let in_flight = around.shared.http1.fill(&mut self.in_flight);
        let is_cut_status_line =
            start_line::cut_status_line(&in_flight.partial_heads[direction as usize].bytes).is_some();
        let is_message = self.is_server(direction) && is_cut_status_line;
        self.read_first_line(around, if is_message { FirstLine::Message } else { FirstLine::Body });
    }

    /// Reads the kept bytes as what they were found to be.
    fn read_first_line<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, line: FirstLine) {
        let direction = around.direction();
        let (bytes, origin) = self.take_partial_head(around, direction as usize);
        let begun = origin.map_or(*around.chunk, |origin| origin.as_chunk(around.chunk));
        // A message began with the packet of its first byte. Of a body, the packet that decides is the one that counts.
        let first =
            if line == FirstLine::Message { begun } else { ChunkContext { offset: begun.offset, ..*around.chunk } };
        let around = &mut around.with_chunk(&first);
        self.decide_first_line(around, line, first.offset);
        streams::read(around, self, &bytes);
        self.return_buffer(around, direction as usize, bytes);
    }

    /// Continues with the body or with the next message, which begins at this offset.
    fn decide_first_line<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, line: FirstLine, offset: u64) {
        let direction = around.direction();
        let body =
            std::mem::take(&mut around.shared.http1.fill(&mut self.in_flight).awaited_bodies[direction as usize]);
        let trailer = matches!(body, ReadState::Chunked(Chunked::Trailer { .. }));
        if line != FirstLine::Message {
            self.side(direction).state = if trailer { ReadState::Chunked(Chunked::TRAILER) } else { body };
            return;
        }
        self.side(direction).state = body;
        around.shared.counters.bad_chunks += u64::from(trailer);
        if self.is_server(direction) {
            return self.end_response(around, if trailer { Remarks::BAD_CHUNK } else { Remarks::default() });
        }
        let reading = match body {
            ReadState::Body(left) => {
                SecondReading { body_end: Some(offset.saturating_add(left)), after: AfterBody::Message }
            }
            _ if trailer => SecondReading { body_end: None, after: AfterBody::Message },
            _ => SecondReading { body_end: Some(offset), after: AfterBody::Refused },
        };
        self.end_request(around, if trailer { Remarks::BAD_CHUNK } else { Remarks::BODY_INCOMPLETE });
        if self.pairing == Pairing::Exact {
            self.pairing = Pairing::InDoubt;
            around.shared.http1.fill(&mut self.in_flight).second_reading = Some(reading);
        } else {
            self.break_pairing(around);
        }
    }

    /// Returns what stands at the first byte of a side's body.
    fn first_line(&self, direction: Direction, body: ReadState, bytes: &[u8]) -> FirstLine {
        let may_wait = bytes.len() <= MAX_FIRST_LINE_BYTES;
        if self.is_server(direction) {
            return match start_line::start_line(bytes) {
                StartLine::Response(line, _) if line.status != 0 => FirstLine::Message,
                StartLine::Undecided if may_wait && start_line::may_become_response(bytes) => FirstLine::Undecided,
                StartLine::Undecided if start_line::cut_status_line(bytes).is_some() => FirstLine::Message,
                _ => FirstLine::Body,
            };
        }
        // The body may be a part of a line, directly before the next request.
        if let ReadState::Body(left) = body
            && let Some((content, next)) = usize::try_from(left).ok().and_then(|left| bytes.split_at_checked(left))
            && !content.contains(&b'\n')
        {
            if start_line::begins_plain_request(next) {
                return FirstLine::Body;
            }
            if may_wait && start_line::may_become_plain_request(next) {
                return FirstLine::Undecided;
            }
        }
        match start_line::start_line(bytes) {
            StartLine::Request(line, _) if line.version.major != 0 => FirstLine::Message,
            StartLine::Undecided if may_wait => FirstLine::Undecided,
            _ => FirstLine::Body,
        }
    }

    /// Notes whether the body of the request that is being read begins like a request.
    pub(super) fn note_opening<K>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8]) {
        let Some(entry) = self.in_flight.as_mut().and_then(|in_flight| in_flight.queue.back_mut()) else { return };
        if entry.request != RequestProgress::Body || matches!(entry.opening, Opening::Request | Opening::Other) {
            return;
        }
        entry.opening.take(bytes);
        if entry.opening == Opening::Request && entry.response != ResponseProgress::Waiting {
            self.break_pairing(around);
        }
    }

    /// Doubts all pairs from here on, if the server answered the request that is being read, and the bytes at the start of a
    /// segment of its body look like a request: the server may take the rest of the body for requests.
    #[cold]
    pub(super) fn doubt_rest_of_body<K>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8]) {
        let back = self.in_flight.as_ref().and_then(|in_flight| in_flight.queue.back());
        let is_answered = back
            .is_some_and(|entry| entry.request == RequestProgress::Body && entry.response != ResponseProgress::Waiting);
        if is_answered && start_line::begins_plain_request(bytes) {
            self.break_pairing(around);
        }
    }

    /// Notes that the oldest request is being answered, and that the server may not read the request's body.
    #[cold]
    pub(super) fn doubt_body_of_answered<K>(&mut self, around: &mut ParserContext<'_, K>, status: u16) {
        let Some(client) = self.client else { return };
        let Some(entry) = self.in_flight.as_ref().and_then(|in_flight| in_flight.queue.front()) else { return };
        if self.last_answer == LastAnswer::Closes {
            return;
        }
        let side = &self.sides[client as usize];
        let is_early = entry.request == RequestProgress::Body;
        let is_before_body =
            matches!(side.state, ReadState::Body(_) | ReadState::Chunked(Chunked::START)) && side.body == 0;
        let is_refusal =
            status >= 300 && (entry.expects == Expectation::Continue || entry.method == MethodKind::Connect);
        if entry.is_length_unsure {
            self.break_pairing(around);
        } else if is_early && is_before_body {
            self.await_first_line(around, client);
        } else if entry.opening == Opening::Request && (is_early || is_refusal) {
            self.break_pairing(around);
        }
    }

    /// Called when the server sends another response, although the body of the request that it answered last has not ended:
    /// it does not read that body.
    #[cold]
    pub(super) fn leave_unread_body<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, origin: &Origin) {
        let Some(client) = self.client else { return };
        let side = around.sides[client as usize];
        if origin.acknowledged.is_some_and(|acknowledged| acknowledged > side.offset) {
            return;
        }
        let end = around.at_end_of(client, around.now());
        if self.side(client).state == ReadState::BodyOrMessage {
            self.settle_first_line(&mut around.with_chunk(&end));
        }
        if matches!(self.side(client).state, ReadState::Body(_) | ReadState::Chunked(_)) {
            self.break_pairing(around);
            self.cut_request();
            let side = self.side(client);
            (side.state, side.body) = (ReadState::Resync, 0);
        }
    }

    /// Returns whether a request that begins here may be content of the body before it.
    #[cold]
    pub(super) fn may_be_content(&mut self, head: &Head<'_>, origin: &Origin, body: u64) -> bool {
        let Some(reading) = self.in_flight.as_mut().and_then(|in_flight| in_flight.second_reading.as_mut()) else {
            return false;
        };
        let head_end = origin.offset + head.bytes.len() as u64;
        let end = *reading.body_end.get_or_insert(head_end);
        if origin.offset >= end {
            return false;
        }
        let inside = usize::try_from(end - origin.offset).unwrap_or(usize::MAX);
        if let Some(next) = head.bytes.get(inside..).filter(|next| !next.is_empty()) {
            let next = &next[blanks(next)..];
            let is_refused = matches!(start_line::start_line(next), StartLine::Neither | StartLine::Malformed);
            reading.after = if is_refused { AfterBody::Refused } else { AfterBody::HiddenMessage };
        } else if head_end.saturating_add(body) > end {
            reading.after = AfterBody::HiddenMessage;
        }
        true
    }

    /// Decides between the two readings by the next final response, if the oldest request may be content. `is_refusal`
    /// says whether the response is an error that ends the connection.
    #[cold]
    pub(super) fn decide_reading<K>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        origin: &Origin,
        client: Direction,
        is_refusal: bool,
    ) {
        let seen = around.sides[client as usize].offset;
        let Some(in_flight) = &mut self.in_flight else { return };
        let Some(reading) = in_flight.second_reading else { return };
        if !in_flight.queue.front().is_some_and(|entry| entry.may_be_content) {
            return;
        }
        let end = reading.body_end.unwrap_or(u64::MAX);
        // The server answers what it has received.
        let received = origin.acknowledged.unwrap_or(seen);
        let is_request = received <= end || (reading.after == AfterBody::Refused && !is_refusal);
        in_flight.second_reading = None;
        in_flight.queue.iter_mut().for_each(|entry| entry.may_be_content = false);
        if is_request {
            self.pairing = Pairing::Exact;
        } else {
            self.break_pairing(around);
        }
    }

    /// From here on, nothing proves which request a response answers.
    pub(super) fn break_pairing<K>(&mut self, around: &mut ParserContext<'_, K>) {
        if self.pairing != Pairing::Broken {
            self.pairing = Pairing::Broken;
            around.shared.counters.pairings_broken += 1;
        }
    }
}
