//! Requests, from the header block to the end.
//!
//! In: request lines with their fields. Out: entries in the queue of requests that wait for their response, with the data
//! that pairing needs. Promises: the queue is capped. Requests that do not fit into the queue are counted.

use super::{
    conversation::{Answering, Conversation, ReadState, Snapped},
    doubt::Opening,
    ending::finish_entry,
    fields::Fields,
    framing::{self, Body},
    head::{Extent, Head},
    pairing::{Doubt, Entry, Expectation, MethodKind, Pairing, Pipelining, RequestProgress, ResponseProgress},
    relief,
    start_line::{self, RequestLine},
    text,
};
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::context::{Origin, ParserContext},
};

impl Conversation {
    /// Processes an HTTP/0.9 request, which consists of only one line.
    pub(super) fn simple_request<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &RequestLine<'_>,
        origin: &Origin,
    ) {
        let head = Head { bytes: &[], fields: &Fields::default(), after: &[], extent: Extent::Whole, is_plain: false };
        self.request(around, line, &head, origin);
    }

    /// Processes a request's head.
    pub(super) fn request<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &RequestLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) {
        let direction = around.direction();
        // An HTTP/1 server answers the preface of HTTP/2 like a request, and then it reads HTTP/1 as before.
        let is_preface = line.method == b"PRI" && line.version.major >= 2;
        around.shared.counters.http2_prefaces += u64::from(is_preface);
        around.shared.counters.requests += u64::from(!is_preface);
        self.note_first_asker(direction, origin);
        self.learn_client(around, direction);
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, direction);
        let head_end = origin.offset + head.bytes.len() as u64;
        let is_contested = around.rare.is_some() && self.is_contested(around, origin.offset, head_end);
        let hides_method = std::mem::take(&mut self.is_after_body) && start_line::hides_method(line.method);
        let is_method_unsure = hides_method || is_contested;
        let line = &RequestLine {
            method: if is_method_unsure { b"" } else { line.method },
            target: if is_contested { b"" } else { line.target },
            ..*line
        };
        text::fill_request(&around.shared.settings, &mut exchange, line, head);
        exchange.request_start = Some(origin.carried);
        exchange.position = around.position(direction, head_end.saturating_sub(1));
        let fields = head.fields;
        let body = framing::request_body(fields);
        let target_at = if line.is_plain(head.bytes) { line.method.len() as u64 + 1 } else { 0 };
        let may_be_content = self.pairing == Pairing::InDoubt
            && self.may_be_content(head, origin, if let Body::Known(length) = body { length } else { 0 });
        let gap_before = self.side(direction).gap_until;
        let server_gap = self.side(direction.opposite()).gap_until;
        let received = origin.acknowledged.unwrap_or(around.sides[direction.opposite() as usize].offset);
        let entry = Entry {
            exchange,
            method: match line.method {
                _ if is_method_unsure => MethodKind::Unsure,
                b"HEAD" => MethodKind::Head,
                b"CONNECT" => MethodKind::Connect,
                _ => MethodKind::Other,
            },
            request: if head.extent == Extent::Whole { RequestProgress::Body } else { RequestProgress::Cut },
            response: ResponseProgress::Waiting,
            candidate: self.candidate(around, origin, is_preface),
            upgrade: fields.upgrade,
            expects: if fields.expects_continue { Expectation::Continue } else { Expectation::Nothing },
            opening: Opening::START,
            framing: body,
            is_length_unsure: body == Body::Unframed || framing::has_conflict(fields),
            may_be_content,
            charge: 0,
            received,
            start: origin.offset,
            target_start: origin.offset + target_at,
            head_end,
            doubt: Doubt {
                gap_before,
                follows_gap: origin.offset == gap_before || self.snapped == Snapped::Last,
                response: received < server_gap || origin.offset < self.accounted_until,
                followers: false,
            },
        };
        if self.snapped == Snapped::Last {
            self.snapped = Snapped::Before;
        }
        self.enqueue(around, entry);
        if head.extent == Extent::Whole {
            let conflicting = framing::has_conflict(fields);
            self.begin_body(around, body, conflicting);
        }
        if is_preface || (line.version.major == 0 && head.extent == Extent::Whole) {
            self.after_simple_request(around, head.bytes, head_end);
        } else {
            self.roles.note_message(direction);
        }
    }

    /// Continues after a request that is a whole protocol's beginning, or that has only one line. The bytes after it are no
    /// message, and whether the stream is HTTP/1 depends on what the server sends.
    #[cold]
    fn after_simple_request<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], end: u64) {
        let direction = around.direction();
        self.note_gap(around, direction, end);
        self.side(direction).state = ReadState::Resync;
        if self.roles.is_unseen(direction) {
            self.note_other_bytes(around, direction, bytes);
        }
    }

    /// Adds a request to the queue of requests that wait for their response.
    fn enqueue<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, mut entry: Entry) {
        if self.pipelining == Pipelining::OneLetGo {
            self.note_request_after_relief(around, &entry);
        }
        if let Some(in_flight) = &mut self.in_flight {
            let waiting = in_flight.queue.back().filter(|before| before.response == ResponseProgress::Waiting);
            if waiting.is_some_and(|before| entry.received <= before.received) {
                self.pipelining = Pipelining::Ahead;
                if self.pairing == Pairing::ByEvidence {
                    self.pairing = Pairing::Broken;
                    around.shared.counters.pairings_broken += 1;
                }
            }
            if in_flight.queue.len() >= around.shared.settings.max_pipelined {
                around.shared.counters.pipelined_dropped += 1;
                self.pairing = Pairing::Broken;
                self.forget_oldest_request(around);
            }
        }
        let queue = &mut around.shared.http1.fill(&mut self.in_flight).queue;
        entry.charge = relief::charge(&entry.exchange, queue.is_empty());
        around.shared.in_flight_bytes += entry.charge as usize;
        queue.push_back(entry);
    }

    /// Finishes the oldest request's exchange without a response, because it cannot be known which response answers it.
    pub(super) fn forget_oldest_request<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        if let Some(entry) = self.in_flight.as_mut().and_then(|in_flight| in_flight.queue.pop_front()) {
            if self.answering == Answering::Oldest {
                self.answering = Answering::None;
            }
            finish_entry(around, entry);
        }
    }

    /// Notes that the end of the last request will not be seen.
    pub(super) fn cut_request(&mut self) {
        if let Some(entry) = self.in_flight.as_mut().and_then(|in_flight| in_flight.queue.back_mut()) {
            entry.request = RequestProgress::Cut;
        }
    }

    /// Ends the request that is being read.
    pub(super) fn end_request<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, remarks: Remarks) {
        let side = self.side(around.direction());
        let body = std::mem::take(&mut side.body);
        side.state = ReadState::Between;
        self.is_after_body = body != 0;
        let Some(in_flight) = &mut self.in_flight else { return };
        let Some(entry) = in_flight.queue.back_mut().filter(|entry| entry.request == RequestProgress::Body) else {
            return;
        };
        let exchange = &mut entry.exchange;
        if exchange.status == 0 {
            let end = entry.head_end.max(around.sides[around.direction() as usize].offset);
            exchange.position = around.position(around.direction(), end.saturating_sub(1));
        }
        exchange.request_body_bytes = body;
        exchange.request_end = Some(around.chunk.carried);
        exchange.remarks.add(remarks);
        entry.request = if remarks == Remarks::default() { RequestProgress::Complete } else { RequestProgress::Cut };
        if entry.response == ResponseProgress::Complete
            && let Some(entry) = in_flight.queue.pop_back()
        {
            finish_entry(around, entry);
        }
    }
}
