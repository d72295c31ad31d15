//! Requests, from the header block to the end.
//!
//! In: request lines with their fields. Out: entries in the queue of requests that wait for their response, with the data
//! that pairing needs. Promises: the queue is capped. Requests that do not fit into the queue are counted.

use super::{
    conversation::{Answering, Conversation, ReadState},
    ending::finish_entry,
    fields::Fields,
    framing::{self, Body},
    head::{Extent, Head},
    pairing::{Doubt, Entry, MethodKind, Pairing, Pipelining, RequestProgress, ResponseProgress},
    start_line::RequestLine,
    text,
};
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::{
        context::{Origin, ParserContext},
        registry::Reader,
    },
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
        self.side(around.direction()).state = ReadState::Resync;
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
        if line.method == b"PRI" && line.version.major >= 2 {
            around.shared.counters.http2_prefaces += 1;
            self.leave_streams(around, Reader::Opaque);
            return;
        }
        around.shared.counters.requests += 1;
        self.learn_client(around, direction);
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, direction);
        text::fill_request(&around.shared.settings, &mut exchange, line, head);
        exchange.request_start = Some(origin.carried);
        let head_end = origin.offset + head.bytes.len() as u64;
        exchange.position = around.position(direction, head_end.saturating_sub(1));
        let fields = head.fields;
        let gap_before = self.side(direction).gap_until;
        let server = self.side(direction.opposite());
        let received = origin.acknowledged.unwrap_or(around.sides[direction.opposite() as usize].offset);
        let entry = Entry {
            exchange,
            method: match line.method {
                b"HEAD" => MethodKind::Head,
                b"CONNECT" => MethodKind::Connect,
                _ => MethodKind::Other,
            },
            request: if head.extent == Extent::Whole { RequestProgress::Body } else { RequestProgress::Cut },
            response: ResponseProgress::Waiting,
            upgrade: fields.upgrade,
            expects_continue: fields.expects_continue,
            received,
            start: origin.offset,
            head_end,
            doubt: Doubt {
                gap_before,
                response: received < server.gap_until || origin.offset < self.accounted_until,
                followers: false,
            },
        };
        let body = if entry.method == MethodKind::Connect { Body::None } else { framing::request_body(fields) };
        self.enqueue(around, entry);
        if head.extent == Extent::Whole {
            let conflicting = framing::has_conflict(fields);
            self.begin_body(around, body, conflicting);
        }
    }

    /// Adds a request to the queue of requests that wait for their response.
    fn enqueue<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, entry: Entry) {
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
        around.shared.http1.fill(&mut self.in_flight).queue.push_back(entry);
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
