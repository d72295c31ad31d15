//! Responses, from the header block to the end.
//!
//! In: status lines with their fields. Out: decided exchanges, paired with their request if the pair is certain; connections
//! that change to another protocol (CONNECT, 101). Promises: a response without its request is also an exchange.

use super::{
    conversation::{Answering, Conversation, HeadEnd, LastAnswer, ReadState},
    ending::finish_entry,
    fields::Persistence,
    framing::{self, Body},
    head::{Extent, Head},
    in_flight::EarlyResponse,
    pairing::{ClientStream, MethodKind, Pairing, Partner, Pipelining, RequestProgress, ResponseProgress},
    start_line::StatusLine,
    text,
};
use crate::{
    exchange::{Exchange, ExchangeSink, Outcome, Remarks, Version},
    stream::{
        context::{Origin, ParserContext, fill_gap_facts},
        registry::Reader,
    },
};

impl Conversation {
    /// Processes a response's head.
    pub(super) fn response<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) {
        let direction = around.direction();
        self.learn_client(around, direction.opposite());
        if let 100 | 102..=199 = line.status {
            around.shared.counters.interim_responses += 1;
            self.side(direction).state = ReadState::Between;
            return;
        }
        around.shared.counters.responses += 1;
        around.shared.counters.refused_status_lines += u64::from(line.status == 0);
        self.choose_target(around, origin);
        let client_offset = around.sides[direction.opposite() as usize].offset;
        let mut method = MethodKind::Other;
        let mut upgrade = true;
        let Some(in_flight) = &mut self.in_flight else { return };
        let exchange = match (self.answering, in_flight.queue.front_mut()) {
            (Answering::Oldest, Some(entry)) => {
                (method, upgrade) = (entry.method, entry.upgrade);
                entry.response = ResponseProgress::Body;
                if entry.request == RequestProgress::Body && origin.acknowledged.is_none_or(|at| at <= client_offset) {
                    entry.exchange.remarks.add(Remarks::EARLY_ANSWER);
                }
                &mut entry.exchange
            }
            _ => match &mut in_flight.unpaired {
                Some(exchange) => exchange,
                None => return,
            },
        };
        let body = match (line.status, method) {
            (_, MethodKind::Head) | (101 | 204 | 304, _) | (200..=299, MethodKind::Connect) => Body::None,
            // A server that sends no length with a 205 sends no body either (RFC 9110, section 15.3.6).
            (205, _) if framing::response_body(head.fields) == Body::UntilClose => Body::Unframed,
            _ => framing::response_body(head.fields),
        };
        text::fill_response(&around.shared.settings, exchange, line, head);
        exchange.response_start = Some(origin.carried);
        if line.status != 0 {
            exchange.outcome = Outcome::Answered;
            exchange.position = around.position(direction, origin.offset);
            text::store_first_body(&around.shared.settings, exchange, body, head.after);
            fill_gap_facts(exchange, around.flow);
            around.shared.counters.answered += 1;
            around.decide(exchange);
        }
        self.last_answer = match (head.fields.persistence, line.version) {
            (Persistence::Close, _) | (Persistence::Unsaid, Version { major: 1, minor: 0 }) => LastAnswer::Closes,
            _ => LastAnswer::KeepsOpen,
        };
        if head.extent == Extent::Cut {
            self.end_response(around, Remarks::default());
            return;
        }
        self.begin_body(around, body, framing::has_conflict(head.fields));
        match (line.status, method) {
            (101, _) if upgrade => self.begin_tunnel(around, Reader::Opaque),
            (200..=299, MethodKind::Connect) => self.begin_tunnel(around, Reader::Undecided),
            _ => {}
        }
    }

    /// Finds the request that a final response answers, or begins an exchange without one.
    fn choose_target<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, origin: &Origin) {
        let direction = around.direction();
        if self.answering != Answering::None {
            self.end_response(around, Remarks::default());
        }
        let in_flight = around.shared.http1.fill(&mut self.in_flight);
        if let Some(exchange) = in_flight.malformed.take() {
            around.shared.exchanges.put(exchange);
        }
        // Requests that are already answered, but whose body never ended, are removed.
        while around
            .shared
            .http1
            .fill(&mut self.in_flight)
            .queue
            .front()
            .is_some_and(|entry| entry.response == ResponseProgress::Complete)
        {
            self.forget_oldest_request(around);
        }
        self.ask_with_partial_head(around, origin);
        let pairing = self.pairing;
        let seen = around.sides[direction.opposite() as usize].offset;
        let known = ClientStream { seen, accounted_until: self.accounted_until };
        let partner = pairing.partner(&around.shared.http1.fill(&mut self.in_flight).queue, origin, known);
        let (Partner::After(passed) | Partner::None(passed)) = partner;
        for _ in 0..passed {
            self.forget_oldest_request(around);
        }
        if let Partner::After(_) = partner {
            self.answering = Answering::Oldest;
            return;
        }
        around.shared.counters.requests_unseen += 1;
        if origin.acknowledged.is_some_and(|acknowledged| acknowledged > seen) {
            // The request of this response may still be captured, but too late to be paired.
            self.note_gap(around, direction.opposite(), 0);
        }
        self.accounted_until = self.accounted_until.max(origin.acknowledged.unwrap_or(0));
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, direction.opposite());
        exchange.remarks.add(Remarks::REQUEST_UNSEEN);
        exchange.position = around.position(direction, origin.offset);
        around.shared.http1.fill(&mut self.in_flight).unpaired = Some(exchange);
        self.answering = Answering::Unpaired;
    }

    /// Makes an incomplete request header block a request, if the response begins in the middle of that block: a server that
    /// answers then (408, 414, 431) answers this request.
    fn ask_with_partial_head<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, origin: &Origin) {
        let client = around.direction().opposite();
        let Some(in_flight) = &self.in_flight else { return };
        let begun = in_flight.partial_heads[client as usize].origin.map_or(u64::MAX, |begun| begun.offset);
        if self.side(client).state == ReadState::PartialHead
            && self.pairing == Pairing::Exact
            && self.in_flight.as_ref().is_some_and(|in_flight| in_flight.queue.is_empty())
            && origin.acknowledged.is_none_or(|acknowledged| acknowledged > begun)
            && self.cut_head_of(around, client)
        {
            self.side(client).state = ReadState::OversizedHead(HeadEnd::None);
        }
    }

    /// Begins a tunnel: the connection carries another protocol from here on. `reader` says whether the protocol is probed
    /// or not read.
    fn begin_tunnel<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, reader: Reader) {
        around.shared.counters.tunnels += 1;
        while self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.queue.is_empty()) {
            self.forget_oldest_request(around);
        }
        self.leave_streams(around, reader);
        self.client = None;
        self.pairing = Pairing::Exact;
        self.pipelining = Pipelining::OneByOne;
        self.last_answer = LastAnswer::None;
    }

    /// Leaves the connection to another parser. The exchanges in flight are finished when the flow ends.
    pub(in crate::stream) fn leave<K>(&mut self, around: &mut ParserContext<'_, K>) {
        self.leave_streams(around, Reader::Opaque);
        self.client = None;
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }

    /// Leaves both streams to another reader, whatever is being read.
    pub(super) fn leave_streams<K>(&mut self, around: &mut ParserContext<'_, K>, reader: Reader) {
        around.set_readers(reader);
        for side in &mut self.sides {
            (side.state, side.body) = (ReadState::Between, 0);
        }
        if self.in_flight.is_some() {
            self.forget_partial(around);
        }
    }

    /// Empties the buffers of both streams.
    fn forget_partial<K>(&mut self, around: &mut ParserContext<'_, K>) {
        for side in 0..self.sides.len() {
            let (bytes, _) = self.take_partial_head(around, side);
            self.return_buffer(around, side, bytes);
        }
        if let Some(in_flight) = &mut self.in_flight {
            around.shared.held -= in_flight.early.bytes.len();
            in_flight.early = EarlyResponse::default();
        }
    }

    /// Ends the response that is being read.
    pub(super) fn end_response<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, remarks: Remarks) {
        let Some(client) = self.client else { return };
        let side = self.side(client.opposite());
        let body = std::mem::take(&mut side.body);
        side.state = ReadState::Between;
        let target = std::mem::take(&mut self.answering);
        let Some(in_flight) = &mut self.in_flight else { return };
        let state = |exchange: &mut Exchange| {
            exchange.response_body_bytes = body;
            exchange.response_end = Some(around.chunk.carried);
            exchange.remarks.add(remarks);
        };
        match target {
            Answering::None => {}
            Answering::Oldest => {
                let Some(entry) = in_flight.queue.front_mut() else { return };
                state(&mut entry.exchange);
                entry.response = ResponseProgress::Complete;
                if entry.request != RequestProgress::Body
                    && let Some(entry) = in_flight.queue.pop_front()
                {
                    finish_entry(around, entry);
                }
            }
            Answering::Unpaired => {
                if let Some(mut exchange) = in_flight.unpaired.take() {
                    state(&mut exchange);
                    around.finish(exchange);
                }
            }
        }
    }
}
