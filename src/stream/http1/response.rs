//! Responses, from the header block to the end.
//!
//! In: status lines with their fields. Out: decided exchanges, paired with their request if the pair is certain; connections
//! that change to another protocol (CONNECT, 101). Promises: a response without its request is also an exchange.

use super::{
    conversation::{Answering, Conversation, HeadEnd, LastAnswer, ReadState, Side},
    ending::finish_entry,
    field_values::{Persistence, Upgrade},
    fields::Fields,
    framing::{self, Body},
    head::{Extent, Head},
    in_flight::EarlyResponse,
    pairing::{
        ClientStream, Entry, Expectation, MethodKind, Pairing, Partner, Pipelining, RequestProgress, ResponseProgress,
    },
    relief,
    start_line::{self, StatusLine},
    text,
};
use crate::{
    exchange::{Exchange, ExchangeSink, Outcome, Remarks, Version},
    stream::{
        context::{Origin, ParserContext, fill_gap_facts},
        http2::{self, Upgraded},
        registry::Reader,
    },
    tcp::Direction,
};

/// What a final response tells about the request that it answers.
#[derive(Debug, Clone, Copy)]
struct ResponseFacts {
    /// An error that ends the connection.
    ends_by_refusal: bool,
    status: u16,
    /// What follows the response if it is the first one of a connection whose beginning was not captured.
    follows: Follows,
}

/// What follows a response that has a body unless its request was HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// What may follow any response, or nothing that was captured with it.
    Unknown,
    Body,
    /// Another response.
    Response,
}

impl Follows {
    #[cold]
    fn read(status: u16, head: &Head<'_>) -> Self {
        let may_have_body = !matches!(status, 101 | 204 | 304) && framing::response_body(head.fields) != Body::None;
        if may_have_body && start_line::begins_response(head.after) {
            Self::Response
        } else if may_have_body && !head.after.is_empty() && !start_line::may_become_response(head.after) {
            Self::Body
        } else {
            Self::Unknown
        }
    }

    /// Returns whether this shows that the response answers no request with the method.
    fn contradicts(self, method: MethodKind) -> bool {
        match self {
            Self::Unknown => false,
            Self::Body => method == MethodKind::Head,
            Self::Response => method != MethodKind::Head,
        }
    }
}

/// What the request tells about its response.
struct Asked {
    method: MethodKind,
    upgrade: Upgrade,
    /// The offset of the request's first byte.
    start: u64,
    /// The request goes on in HTTP/2.
    upgraded: Option<Upgraded>,
    has_doubtful_body: bool,
}

impl Asked {
    /// The request was not seen.
    const UNSEEN: Self = Self {
        method: MethodKind::Unsure,
        upgrade: Upgrade::Other,
        start: 0,
        upgraded: None,
        has_doubtful_body: false,
    };
}

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
            self.note_interim(line.status, origin.offset + head.bytes.len() as u64);
            return;
        }
        around.shared.counters.responses += 1;
        around.shared.counters.refused_status_lines += u64::from(line.status == 0);
        let announced = announced(line, head.fields);
        let is_refusal = line.status >= 400 && announced == LastAnswer::Closes;
        let is_first_midstream = around.flow.opened_by.is_none() && self.last_answer == LastAnswer::None;
        if around.flow.opened_by.is_none()
            && self.pairing == Pairing::Exact
            && !self.has_paired
            && self.may_answer_earlier_request(around, origin)
        {
            self.pipelining = Pipelining::Ahead;
            self.break_pairing(around);
        }
        let facts = ResponseFacts {
            ends_by_refusal: is_refusal,
            status: line.status,
            follows: if is_first_midstream { Follows::read(line.status, head) } else { Follows::Unknown },
        };
        self.choose_target(around, origin, facts);
        let Some((asked, exchange)) = self.begin_answer(around, line, head, origin) else { return };
        let body = body_of(line.status, asked.method, head.fields);
        let is_unsure = asked.method == MethodKind::Unsure || is_first_midstream;
        let may_be_bodyless = is_unsure && announced != LastAnswer::Closes;
        text::fill_response(&around.shared.settings, exchange, line, head);
        exchange.response_start = Some(origin.carried);
        if line.status != 0 {
            exchange.outcome = Outcome::Answered;
            exchange.position = around.position(direction, origin.offset);
            let is_bodyless = may_be_bodyless && start_line::begins_response(head.after);
            let body = if is_bodyless { Body::None } else { body };
            text::store_first_body(&around.shared.settings, exchange, body, head.after);
            fill_gap_facts(exchange, around.flow);
            around.shared.counters.answered += 1;
            around.decide_asked_at(exchange, asked.start);
        }
        self.last_answer = announced;
        if head.extent == Extent::Cut {
            self.end_response(around, Remarks::default());
            if let Some(upgraded) = asked.upgraded {
                http2::upgrade(around, upgraded);
            }
            return;
        }
        if asked.has_doubtful_body {
            self.doubt_body_of_answered(around, line.status);
        }
        self.begin_body(around, body, framing::has_conflict(head.fields));
        if may_be_bodyless && self.side(direction).state.is_body() {
            self.await_first_line(around, direction);
        }
        match (line.status, asked.method) {
            (101, _) if asked.upgrade != Upgrade::None => self.begin_tunnel(around, Some(direction.opposite())),
            (200..=299, MethodKind::Connect) => self.begin_tunnel(around, None),
            _ => {}
        }
        if let Some(upgraded) = asked.upgraded {
            http2::upgrade(around, upgraded);
        }
    }

    /// Notes that the answer of the request that a response belongs to has begun. Returns what the request tells, and its exchange
    /// or the one without a request.
    #[inline]
    fn begin_answer<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) -> Option<(Asked, &mut Box<Exchange>)> {
        let client = around.direction().opposite() as usize;
        let in_flight = self.in_flight.as_mut()?;
        let entry = match (self.answering, in_flight.queue.front_mut()) {
            (Answering::Oldest, Some(entry)) => entry,
            _ => return Some((Asked::UNSEEN, in_flight.unpaired.as_mut()?)),
        };
        entry.response = ResponseProgress::Body;
        let upgraded = (line.status == 101 && changes_to_http2(entry, head))
            .then(|| upgraded_request(around, entry, &self.sides[client], origin.offset + head.bytes.len() as u64));
        let asked = Asked {
            method: entry.method,
            upgrade: entry.upgrade,
            start: entry.start,
            upgraded,
            has_doubtful_body: entry.has_doubtful_body(),
        };
        let read = around.sides[client].offset;
        if entry.request == RequestProgress::Body && origin.acknowledged.is_none_or(|at| at <= read) {
            entry.exchange.remarks.add(Remarks::EARLY_ANSWER);
        }
        Some((asked, &mut entry.exchange))
    }

    /// Finds the request that a final response answers, or begins an exchange without one.
    fn choose_target<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        origin: &Origin,
        facts: ResponseFacts,
    ) {
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
            self.leave_unread_body(around, origin);
            self.forget_oldest_request(around);
        }
        self.ask_with_partial_head(around, origin);
        if self.pairing == Pairing::InDoubt {
            self.decide_reading(around, origin, direction.opposite(), facts.ends_by_refusal);
        }
        let partner = self.find_partner(around, origin, facts);
        around.sides[direction as usize].may_lack_answer = false;
        let (Partner::After(passed) | Partner::None(passed)) = partner;
        for _ in 0..passed {
            self.forget_oldest_request(around);
        }
        self.note_answered(partner, origin);
        if let Partner::After(_) = partner {
            self.has_paired = true;
            self.answering = Answering::Oldest;
            let queue = &around.shared.http1.fill(&mut self.in_flight).queue;
            if queue.front().is_some_and(|entry| entry.request == RequestProgress::Cut) {
                around.sides[direction as usize].may_lack_answer = true;
            }
            return;
        }
        around.shared.counters.requests_unseen += 1;
        let seen = around.sides[direction.opposite() as usize].offset;
        let is_seen = origin.acknowledged.is_none_or(|acknowledged| acknowledged <= seen);
        if !is_seen {
            // The request of this response may still be captured, but too late to be paired.
            self.note_gap(around, direction.opposite(), 0);
        } else if self.is_of_snapped_request(direction) {
            self.pipelining = Pipelining::Ahead;
            self.break_pairing(around);
        }
        self.accounted_until = self.accounted_until.max(origin.acknowledged.unwrap_or(0));
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, direction.opposite());
        exchange.remarks.add(Remarks::REQUEST_UNSEEN);
        exchange.position = around.position(direction, origin.offset);
        around.shared.in_flight_bytes += relief::UNPAIRED_CHARGE as usize;
        around.shared.http1.fill(&mut self.in_flight).unpaired = Some(exchange);
        self.answering = Answering::Unpaired;
    }

    /// Returns which request a final response answers. May find that nothing proves it from here on.
    fn find_partner<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        origin: &Origin,
        facts: ResponseFacts,
    ) -> Partner {
        let known = self.client_stream(around);
        let queue = &around.shared.http1.fill(&mut self.in_flight).queue;
        let is_other = |passed: usize| queue.get(passed).is_some_and(|entry| facts.follows.contradicts(entry.method));
        let partner = match self.pairing.partner(queue, origin, known) {
            // In a capture that begins midstream, a request before the oldest may be missing.
            Partner::After(0) if is_other(0) => Partner::None(0),
            Partner::After(passed) if is_other(passed) => Partner::None(passed + 1),
            Partner::After(passed)
                if matches!(facts.status, 400 | 405 | 501)
                    && queue.get(passed).is_some_and(|entry| entry.may_lack_first_letters(facts.status)) =>
            {
                Partner::None(passed + 1)
            }
            partner => partner,
        };
        match partner {
            Partner::None(passed) if passed != 0 && self.has_unanswered_gap(around, passed) => {
                self.pipelining = Pipelining::Ahead;
                self.break_pairing(around);
                let queue = &around.shared.http1.fill(&mut self.in_flight).queue;
                self.pairing.partner(queue, origin, known)
            }
            partner => partner,
        }
    }

    /// Returns what is known of the client's stream, while the server's is read.
    fn client_stream<K>(&self, around: &ParserContext<'_, K>) -> ClientStream {
        let client = around.direction().opposite() as usize;
        let seen = around.sides[client].offset;
        let left = if let ReadState::Body(left) = self.sides[client].state { left } else { 0 };
        ClientStream { seen, announced: seen.saturating_add(left), accounted_until: self.accounted_until }
    }

    /// Returns whether a request in a gap of the client's stream was not answered before one of the oldest requests was sent: no
    /// gap of the server's stream can hold its response. Then the client does not wait for responses. Of the request in the
    /// gap and the captured one, one is answered now and the other later.
    #[cold]
    fn has_unanswered_gap<K>(&self, around: &ParserContext<'_, K>, passed: usize) -> bool {
        let Some(in_flight) = &self.in_flight else { return false };
        // Before its first captured response, a server may have sent others, unless its SYN-ACK was captured.
        let is_known = self.last_answer != LastAnswer::None || around.flow.evidence.is_opened_both_ways();
        self.pairing == Pairing::ByEvidence
            && is_known
            && !around.sides[around.direction() as usize].may_lack_answer
            && in_flight.queue.iter().take(passed).any(|entry| entry.doubt.gap_before > self.accounted_until)
    }

    /// Returns whether a response may answer a request before the oldest captured one, in a capture that begins midstream and
    /// has shown no pair yet. The client sends requests without waiting, or bytes before the oldest request were not answered,
    /// or the server had not received the oldest request, or it had received more than the capture shows.
    #[cold]
    fn may_answer_earlier_request<K>(&self, around: &ParserContext<'_, K>, origin: &Origin) -> bool {
        let Some(queue) = self.in_flight.as_ref().map(|in_flight| &in_flight.queue) else { return false };
        let Some((oldest, acknowledged)) = queue.front().zip(origin.acknowledged) else { return queue.len() > 1 };
        queue.len() > 1
            || oldest.start > self.accounted_until
            || acknowledged <= oldest.start
            || acknowledged > self.client_stream(around).announced
    }

    /// Notes an interim response that ends at this offset: what the client has received up to there is no final response.
    fn note_interim(&mut self, status: u16, end: u64) {
        let Some(in_flight) = &mut self.in_flight else { return };
        let mut queue = in_flight.queue.iter_mut();
        let is_in_order = matches!(self.pairing, Pairing::Exact | Pairing::InDoubt);
        if let Some(entry) = queue.find(|entry| entry.response == ResponseProgress::Waiting).filter(|_| is_in_order) {
            entry.received = entry.received.max(end);
            if status == 100 && entry.expects == Expectation::Continue {
                entry.expects = Expectation::Continued;
            }
        }
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
            && self.cut_head_of(around, client, None)
        {
            self.side(client).state = ReadState::OversizedHead(HeadEnd::None);
        }
    }

    /// Begins a tunnel: the connection carries another protocol from here on, or HTTP/1 again. Both sides are probed anew.
    /// `upgraded_by` is who asked for an upgrade.
    fn begin_tunnel<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, upgraded_by: Option<Direction>) {
        around.shared.counters.tunnels += 1;
        while self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.queue.is_empty()) {
            self.forget_oldest_request(around);
        }
        self.hold_in_tunnel(around);
        let ahead = self.take_of_tunnel();
        self.leave_streams(around, Reader::Undecided);
        self.put_back(around, ahead);
        self.roles.open_anew(upgraded_by);
        self.client = None;
        self.pairing = Pairing::Exact;
        self.pipelining = Pipelining::default();
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
    pub(super) fn forget_partial<K>(&mut self, around: &mut ParserContext<'_, K>) {
        for side in 0..self.sides.len() {
            let (bytes, _) = self.take_partial_head(around, side);
            self.return_buffer(around, side, bytes);
        }
        if let Some(in_flight) = &mut self.in_flight {
            around.shared.held -= in_flight.early.bytes.len();
            in_flight.early = EarlyResponse::default();
            in_flight.awaited_bodies = Default::default();
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
                    around.shared.discharge(relief::UNPAIRED_CHARGE);
                    around.finish(exchange);
                }
            }
        }
    }
}

/// Returns what a response says about the end of the connection.
fn announced(line: &StatusLine<'_>, fields: &Fields<'_>) -> LastAnswer {
    match (fields.persistence, line.version) {
        (Persistence::Close, _) | (Persistence::Unsaid, Version { major: 1, minor: 0 }) => LastAnswer::Closes,
        _ => LastAnswer::KeepsOpen,
    }
}

/// Returns how the body of a response ends.
fn body_of(status: u16, method: MethodKind, fields: &Fields<'_>) -> Body {
    match (status, method) {
        (_, MethodKind::Head) | (101 | 204 | 304, _) | (200..=299, MethodKind::Connect) => Body::None,
        // A server that sends no length with a 205 sends no body either (RFC 9110, section 15.3.6).
        (205, _) if framing::response_body(fields) == Body::UntilClose => Body::Unframed,
        _ => framing::response_body(fields),
    }
}

/// Returns whether a 101 changes to HTTP/2, as its request asked. Of a head that is cut, the frames behind it tell.
fn changes_to_http2(entry: &Entry, head: &Head<'_>) -> bool {
    entry.upgrade == Upgrade::Http2 && (head.fields.upgrade == Upgrade::Http2 || head.extent == Extent::Cut)
}

/// Returns how many bytes of the body of the last request have not come; `None` if that is not known.
fn body_left(entry: &Entry, client: ReadState) -> Option<u64> {
    match (entry.request, client) {
        (RequestProgress::Complete, _) => Some(0),
        (RequestProgress::Body, ReadState::Body(left)) => Some(left),
        _ => None,
    }
}

/// The request of a 101, which is answered once more by HTTP/2. The server's bytes are HTTP/2 from an offset on.
#[cold]
fn upgraded_request<K>(around: &mut ParserContext<'_, K>, entry: &Entry, side: &Side, server_start: u64) -> Upgraded {
    let mut exchange = around.shared.exchanges.get();
    exchange.copy_from(&entry.exchange);
    let body_left = body_left(entry, side.state);
    if entry.request == RequestProgress::Body {
        exchange.request_body_bytes = side.body;
    }
    let client = around.direction().opposite();
    let end = around.sides[client as usize].offset;
    let asked_until = if body_left == Some(0) { entry.head_end + exchange.request_body_bytes } else { end };
    Upgraded { exchange, client, asked: entry.start, asked_until, body_left, server_start }
}
