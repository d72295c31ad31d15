//! What frames mean for the streams, and the streams for exchanges.
//!
//! In: header blocks, DATA, resets, GOAWAYs and ends. Out: exchanges, decided and finished. Promises: an exchange that began is
//! finished exactly once. A request counts as unanswered only if it was complete, the server had received it, and nothing
//! was lost that could have answered or cancelled it.

use super::{
    Http2,
    frames::{FrameHeader, HEADER_BYTES, flag, kind},
    messages::{Head, Kind},
    side::{Block, SideReader},
    streams::{OpenStream, Request, Response},
};
use crate::{
    capture::Stamp,
    exchange::{Exchange, ExchangeSink, Outcome, Protocol, Remarks},
    stream::{
        End, GapKind, StreamSettings,
        context::{ParserContext, fill_gap_facts},
        http1,
        registry::Reader,
    },
    tcp::Direction,
    time::Timestamp,
};

/// `REFUSED_STREAM` (RFC 9113, section 7): the server has not processed the request.
const REFUSED_STREAM: u32 = 7;

impl Http2 {
    /// Reads a whole header block.
    pub(super) fn block<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, block: &Block<'_>) {
        let mut head = std::mem::take(&mut around.shared.http2);
        let decoder = &mut self.sides[around.direction() as usize].decoder;
        let is_read = head.read(decoder, block.bytes, &around.shared.settings).is_ok();
        self.last_block = around.now().number;
        self.charge_tables(around);
        if is_read {
            around.shared.counters.heads_over_limit += u64::from(head.is_over_limit());
            self.message(around, block, &head);
        } else {
            around.shared.counters.http2_bad_blocks += 1;
            self.streams.note_loss();
            self.may_lack_requests = true;
            self.note_lost_message(around, block.header);
        }
        around.shared.http2 = head;
    }

    /// Takes the message that a header block begins or ends.
    fn message<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, block: &Block<'_>, head: &Head) {
        let (direction, id) = (around.direction(), block.header.stream);
        if block.header.kind == kind::PUSH_PROMISE {
            around.shared.counters.http2_pushes += 1;
            return;
        }
        let kind = head.kind();
        let asker = match kind {
            Kind::Request => Some(direction),
            Kind::Response(_) => Some(direction.opposite()),
            Kind::Trailers | Kind::Unknown => None,
        };
        let Some(client) = self.client.or(asker) else { return };
        self.client = Some(client);
        // Streams with an even identifier are the server's pushes.
        if id % 2 == 1 {
            match kind {
                Kind::Request | Kind::Unknown if direction == client => self.request(around, block, head),
                Kind::Response(status) if direction != client => self.response(around, block, head, status),
                Kind::Unknown => self.unknown_response(around, id),
                Kind::Request | Kind::Response(_) | Kind::Trailers => {}
            }
        }
        if block.header.has(flag::END_STREAM) {
            self.message_ends(around, id, block.end);
        }
    }

    /// Takes a request. A block of a stream that is not new is its trailers, unless its response came first.
    fn request<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, block: &Block<'_>, head: &Head) {
        let (client, id) = (around.direction(), block.header.stream);
        let settings = &around.shared.settings;
        let after = data_after(block);
        if let Some(stream) = self.streams.find(id) {
            let Some(chunk) = stream.early.take() else { return };
            stream.request = Request::Open;
            (stream.asked, stream.asked_until) = (block.origin.offset, block.end);
            stream.exchange.request_start = Some(block.origin.carried);
            head.fill_request(settings, &mut stream.exchange, after);
            self.highest = self.highest.max(id);
            around.shared.counters.requests += 1;
            self.decide_response(&mut around.with_chunk(&chunk), id);
            return;
        }
        if id <= self.highest {
            return;
        }
        self.highest = id;
        self.has_read = true;
        around.shared.counters.requests += 1;
        let mut exchange = self.begin_exchange(around, id, client);
        exchange.request_start = Some(block.origin.carried);
        exchange.position = around.position(client, block.end.saturating_sub(1));
        head.fill_request(&around.shared.settings, &mut exchange, after);
        let stream = OpenStream { asked_until: block.end, ..OpenStream::asked(exchange, &block.origin) };
        self.open(around, id, stream);
    }

    /// Takes a response.
    fn response<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        block: &Block<'_>,
        head: &Head,
        status: u16,
    ) {
        let (server, id) = (around.direction(), block.header.stream);
        if (100..200).contains(&status) {
            around.shared.counters.interim_responses += 1;
            return;
        }
        let client_offset = around.sides[server.opposite() as usize].offset;
        let overtakes = block.origin.acknowledged.is_some_and(|acknowledged| acknowledged > client_offset);
        if !self.streams.is_open(id) {
            let is_known = id <= self.highest && !self.may_lack_requests;
            if is_known {
                // The client has cancelled the stream.
                return;
            }
            let mut exchange = self.begin_exchange(around, id, server.opposite());
            exchange.remarks.add(Remarks::REQUEST_UNSEEN);
            let mut stream = OpenStream::unseen(exchange);
            let awaits = overtakes && around.reader(server.opposite()) != Reader::Opaque;
            stream.early = awaits.then_some(*around.chunk);
            self.open(around, id, stream);
        }
        let Some(stream) = self.streams.find(id) else { return };
        if !matches!(stream.response, Response::Waiting | Response::Unknown) {
            return;
        }
        self.has_read = true;
        around.shared.counters.responses += 1;
        stream.response = Response::Answered;
        let exchange = &mut stream.exchange;
        head.fill_response(&around.shared.settings, exchange, status);
        exchange.response_start = Some(block.origin.carried);
        exchange.outcome = Outcome::Answered;
        exchange.position = around.position(server, block.origin.offset);
        if stream.request == Request::Open && !stream.is_unsure && !overtakes {
            exchange.remarks.add(Remarks::EARLY_ANSWER);
        }
        http1::store_body_start(&around.shared.settings, exchange, data_after(block));
        if stream.early.is_some() {
            around.shared.counters.overtaking_responses += 1;
        } else {
            self.decide_response(around, id);
        }
    }

    /// Decides the outcome of a stream whose response was read.
    fn decide_response<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32) {
        let Some(stream) = self.streams.find(id) else { return };
        if stream.request == Request::Unseen {
            around.shared.counters.requests_unseen += 1;
        } else {
            stream.exchange.remarks = without(stream.exchange.remarks, Remarks::REQUEST_UNSEEN);
        }
        fill_gap_facts(&mut stream.exchange, around.flow);
        around.shared.counters.answered += 1;
        around.decide_asked_at(&mut stream.exchange, stream.asked);
    }

    /// Notes that a response, or its trailers, came whose first field is unknown.
    fn unknown_response<K>(&mut self, around: &mut ParserContext<'_, K>, id: u32) {
        match self.streams.find(id) {
            Some(stream) if stream.response == Response::Waiting => stream.response = Response::Unknown,
            Some(stream) if stream.response == Response::Unknown => return,
            Some(_) => return,
            None => {}
        }
        around.shared.counters.http2_statuses_unknown += 1;
    }

    /// Notes that a header block of a stream could not be read.
    pub(super) fn note_lost_message<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: FrameHeader,
    ) {
        if header.kind != kind::HEADERS {
            return;
        }
        if self.client == Some(around.direction().opposite()) && header.stream % 2 == 1 {
            self.unknown_response(around, header.stream);
        }
        if header.has(flag::END_STREAM) {
            let end = around.chunk.offset;
            self.message_ends(around, header.stream, end);
        }
    }

    /// Takes content of DATA.
    pub(super) fn data<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, piece: &[u8]) {
        let direction = around.direction();
        let is_client = self.client == Some(direction);
        let Some(stream) = self.streams.find(id).filter(|_| !piece.is_empty()) else { return };
        let exchange = &mut stream.exchange;
        if is_client {
            if exchange.request_body_bytes == 0 && stream.response == Response::Waiting {
                http1::store_form(exchange, piece);
            }
            exchange.request_body_bytes += piece.len() as u64;
        } else {
            if exchange.response_body_bytes == 0 {
                http1::store_body_start(&around.shared.settings, exchange, piece);
            }
            exchange.response_body_bytes += piece.len() as u64;
        }
    }

    /// Notes that content of DATA is missing.
    pub(super) fn data_is_missing<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        id: u32,
        length: u32,
        kind: GapKind,
    ) {
        let is_client = self.client == Some(around.direction());
        let Some(stream) = self.streams.find(id) else { return };
        let exchange = &mut stream.exchange;
        if kind == GapKind::NotCaptured {
            exchange.remarks.add(Remarks::BODY_GAP);
        }
        let bytes = if is_client { &mut exchange.request_body_bytes } else { &mut exchange.response_body_bytes };
        *bytes += u64::from(length);
    }

    /// Ends the current side's message of a stream, before the offset `end`.
    pub(super) fn message_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, end: u64) {
        let direction = around.direction();
        let is_client = self.client == Some(direction);
        let Some(stream) = self.streams.find(id) else { return };
        let exchange = &mut stream.exchange;
        if is_client {
            if stream.request == Request::Open {
                stream.request = Request::Complete;
                exchange.request_end = Some(around.chunk.carried);
                stream.asked_until = end;
                if stream.response == Response::Waiting {
                    exchange.position = around.position(direction, end.saturating_sub(1));
                }
            }
        } else if stream.early.is_none() {
            exchange.response_end = Some(around.chunk.carried);
            stream.response = match stream.response {
                Response::Waiting => Response::Waiting,
                Response::Unknown | Response::Answered | Response::Complete => Response::Complete,
            };
        } else {
            exchange.response_end = Some(around.chunk.carried);
            stream.response = Response::Complete;
        }
        if stream.is_complete() && stream.early.is_none() {
            self.finish(around, id, Remarks::default());
        }
    }

    /// Takes an `RST_STREAM` (RFC 9113, section 6.4).
    pub(super) fn reset_stream<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, code: u32) {
        let by_client = self.client == Some(around.direction());
        let Some(stream) = self.streams.find(id) else { return };
        let mut remarks = Remarks::default();
        match stream.response {
            Response::Waiting if by_client => around.shared.counters.http2_cancelled += 1,
            Response::Waiting if code == REFUSED_STREAM => around.shared.counters.http2_refused += 1,
            Response::Waiting if stream.request == Request::Complete && !stream.is_unsure => {
                let now = around.now();
                self.fail(around, id, Outcome::NoResponseReset, now);
                return;
            }
            Response::Answered => {
                remarks.add(Remarks::BODY_INCOMPLETE);
                remarks.add(Remarks::RESET);
            }
            Response::Waiting | Response::Unknown | Response::Complete => {}
        }
        self.finish(around, id, remarks);
    }

    /// Takes a `GOAWAY` (RFC 9113, section 6.8). The server has not processed, and will not process, later streams.
    pub(super) fn goaway<K>(&mut self, around: &mut ParserContext<'_, K>, last: u32) {
        if self.client == Some(around.direction().opposite()) {
            self.last_processed = self.last_processed.min(last);
        }
    }

    /// Ends a side or the flow.
    pub(super) fn ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) {
        let direction = around.direction();
        match end {
            End::Fin { is_first: true } => self.server_ends(around, Outcome::NoResponseClosed, around.now()),
            End::Fin { is_first: false } => {}
            End::Reset { by, took_effect } => {
                if direction == by && !around.has_ended(direction) {
                    self.server_ends(around, Outcome::NoResponseReset, took_effect);
                }
            }
            End::Flow => self.flow_ends(around),
        }
    }

    /// Handles that the current side has ended. If it is the server's, complete requests stay without a response.
    fn server_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, outcome: Outcome, when: Stamp) {
        let server = around.direction();
        if self.client != Some(server.opposite())
            || around.has_ended(server.opposite())
            || !self.is_heard(around, server)
        {
            return;
        }
        let acknowledged = around.chunk.acknowledged.filter(|_| outcome == Outcome::NoResponseClosed);
        let failed = self.streams.ids_of(|id, stream| {
            id <= self.last_processed
                && is_unanswered(stream)
                && acknowledged.is_none_or(|acknowledged| acknowledged >= stream.asked_until)
        });
        for id in failed {
            self.fail(around, id, outcome, when);
        }
    }

    fn flow_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let now = around.now();
        let patience = around.shared.settings.no_response_timeout;
        let is_heard = self.client.is_some_and(|client| self.is_heard(around, client.opposite()));
        let silent = self.streams.ids_of(|id, stream| {
            let asked = stream.exchange.request_end.unwrap_or(now);
            is_heard && id <= self.last_processed && is_unanswered(stream) && now.time.since(asked.time) >= patience
        });
        for id in silent {
            self.fail(around, id, Outcome::NoResponseTimeout, now);
        }
        for id in self.streams.ids_of(|_, _| true) {
            self.finish(around, id, Remarks::default());
        }
    }

    /// Returns whether everything that the server said is known: nothing was lost, and it speaks HTTP/2 or has not sent a byte.
    fn is_heard<K>(&self, around: &ParserContext<'_, K>, server: Direction) -> bool {
        let is_read = around.sides[server as usize].offset == 0 || !self.sides[server as usize].is_unread();
        is_read && around.flow.gap_bytes == 0
    }

    /// Makes an exchange of a stream.
    fn begin_exchange<K: ExchangeSink>(
        &self,
        around: &mut ParserContext<'_, K>,
        id: u32,
        client: Direction,
    ) -> Box<Exchange> {
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, client);
        exchange.protocol = Protocol::Http2;
        exchange.stream = id.into();
        exchange
    }

    /// Adds a stream. If there are too many, the oldest goes.
    fn open<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, mut stream: OpenStream) {
        if let Some(oldest) = self.streams.make_room() {
            around.shared.counters.http2_streams_dropped += 1;
            self.may_lack_requests = true;
            self.finish_stream(around, oldest, Remarks::default());
        }
        stream.is_unsure |= self.sides.iter().any(SideReader::is_lost);
        stream.charge = stream.weight();
        around.shared.in_flight_bytes += stream.charge as usize;
        self.streams.add(id, stream);
    }

    /// Finishes a stream whose request stays without a response.
    fn fail<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, outcome: Outcome, when: Stamp) {
        let Some(mut stream) = self.streams.remove(id) else { return };
        stream.exchange.outcome = outcome;
        stream.exchange.decided = Some(when);
        around.decide_without_status(&mut stream.exchange);
        around.shared.discharge(stream.charge);
        around.finish(stream.exchange);
    }

    /// Finishes a stream as it stands.
    pub(super) fn finish<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, remarks: Remarks) {
        if let Some(chunk) = self.streams.find(id).and_then(|stream| stream.early.take()) {
            self.decide_response(&mut around.with_chunk(&chunk), id);
        }
        if let Some(stream) = self.streams.remove(id) {
            self.finish_stream(around, stream, remarks);
        }
    }

    fn finish_stream<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        mut stream: OpenStream,
        remarks: Remarks,
    ) {
        stream.exchange.remarks.add(remarks);
        if let Some(chunk) = stream.early.take() {
            around.shared.counters.requests_unseen += 1;
            around.shared.counters.answered += 1;
            around.with_chunk(&chunk).decide(&mut stream.exchange);
        }
        if stream.response == Response::Answered || stream.request == Request::Open {
            stream.exchange.remarks.add(Remarks::BODY_INCOMPLETE);
        }
        around.shared.discharge(stream.charge);
        around.finish(stream.exchange);
    }

    /// Returns when the first response that waits for its request is given up.
    pub(super) fn early_deadline(&self, settings: &StreamSettings) -> Option<Timestamp> {
        let waiting = self.streams.iter().filter_map(|stream| stream.early.as_ref());
        waiting.map(|chunk| chunk.now.time.plus(settings.early_patience)).min()
    }

    /// Decides responses whose request has not come in time.
    pub(super) fn give_up_early<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let (now, patience) = (around.now().time, around.shared.settings.early_patience);
        let late = self
            .streams
            .ids_of(|_, stream| stream.early.as_ref().is_some_and(|chunk| chunk.now.time.plus(patience) < now));
        for id in late {
            around.shared.counters.overtaking_given_up += 1;
            let Some(stream) = self.streams.find(id) else { continue };
            let is_complete = stream.response == Response::Complete;
            if let Some(chunk) = stream.early.take() {
                self.decide_response(&mut around.with_chunk(&chunk), id);
            }
            if is_complete {
                self.finish(around, id, Remarks::default());
            }
        }
    }
}

/// Returns whether a complete request has certainly no response yet.
fn is_unanswered(stream: &OpenStream) -> bool {
    stream.request == Request::Complete && stream.response == Response::Waiting && !stream.is_unsure
}

fn without(remarks: Remarks, other: Remarks) -> Remarks {
    Remarks(remarks.0 & !other.0)
}

/// Returns the content of the DATA frame that follows a block, as far as it came in the same chunk.
fn data_after<'a>(block: &Block<'a>) -> &'a [u8] {
    let header = FrameHeader::read(block.after).filter(|header| {
        header.kind == kind::DATA && header.stream == block.header.stream && !header.has(flag::PADDED)
    });
    let Some(header) = header else { return &[] };
    let content = &block.after[HEADER_BYTES..];
    &content[..content.len().min(header.length as usize)]
}
