//! What messages mean for their streams, and the streams for exchanges.
//!
//! In: header blocks and DATA. Out: exchanges, decided when their response is known. Promises: a response answers the request
//! of its stream, and no other.

use super::{
    Http2,
    blocks::Block,
    frames::{FrameHeader, HEADER_BYTES, flag, kind},
    messages::{Head, Kind},
    side::SideReader,
    streams::{MOST_PUSHED, OpenStream, Request, Response, is_pushed},
    tunnel::Connect,
};
use crate::{
    exchange::{Exchange, ExchangeSink, Outcome, Protocol, Remarks},
    stream::{
        GapKind,
        context::{ParserContext, fill_gap_facts},
        http1,
        registry::Reader,
    },
    tcp::{Chunk, ChunkContext, Direction},
};

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
        let (direction, id) = (around.direction(), block.stream);
        if block.header.kind == kind::PUSH_PROMISE {
            self.promise(around, id, head);
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
        if asker == Some(client) {
            self.sides[direction as usize].confirm();
        }
        if !is_pushed(id) || self.streams.is_open(id) {
            match kind {
                Kind::Request | Kind::Unknown if direction == client => self.request(around, block, head),
                Kind::Response(status) if direction != client => self.response(around, block, head, status),
                Kind::Trailers | Kind::Unknown if direction != client && self.is_answered(id) => {
                    self.trailers(around, id, head);
                }
                Kind::Unknown => self.unknown_response(around, id),
                Kind::Request | Kind::Response(_) | Kind::Trailers => {}
            }
        }
        if block.header.has(flag::END_STREAM) {
            self.message_ends(around, id, block.end);
        }
    }

    /// Takes a request that a server announces and answers itself.
    fn promise<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, head: &Head) {
        around.shared.counters.http2_pushes += 1;
        let client = around.direction().opposite();
        if self.client != Some(client) || !is_pushed(id) || self.streams.is_open(id) {
            return;
        }
        if self.streams.pushed() >= MOST_PUSHED {
            around.shared.counters.http2_streams_dropped += 1;
            return;
        }
        let mut exchange = self.begin_exchange(around, id, client);
        exchange.remarks.add(Remarks::PUSHED);
        head.fill_request(around.shared, around.flow.sender(client), &mut exchange, &[]);
        self.open(around, id, OpenStream { request: Request::Complete, ..OpenStream::unseen(exchange) });
    }

    /// Takes a request. A block of a stream that is not new is its trailers, unless its response came first.
    fn request<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, block: &Block<'_>, head: &Head) {
        let (client, id) = (around.direction(), block.stream);
        let after = data_after(block);
        if let Some(stream) = self.streams.find(id) {
            let Some(chunk) = stream.early.take() else { return };
            stream.request = Request::Open;
            (stream.asked, stream.asked_until) = (block.origin.offset, block.end);
            stream.exchange.request_start = Some(block.origin.carried);
            head.fill_request(around.shared, around.flow.sender(client), &mut stream.exchange, after);
            let chunk = ChunkContext { now: around.chunk.now, ..chunk };
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
        head.fill_request(around.shared, around.flow.sender(client), &mut exchange, after);
        let stream = OpenStream {
            asked_until: block.end,
            connect: head.connect(),
            ..OpenStream::asked(exchange, &block.origin)
        };
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
        let (server, id) = (around.direction(), block.stream);
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
        head.fill_response(around.shared, around.flow.sender(server), exchange, status);
        exchange.response_start = Some(block.origin.carried);
        exchange.outcome = Outcome::Answered;
        exchange.position = around.position(server, block.origin.offset);
        if stream.request == Request::Open && !stream.is_unsure && !overtakes {
            exchange.remarks.add(Remarks::EARLY_ANSWER);
        }
        http1::store_body_start(&around.shared.settings, exchange, data_after(block));
        if is_grpc(exchange) {
            if block.header.has(flag::END_STREAM) {
                exchange.grpc_status = head.grpc_status();
            } else {
                stream.awaits_status = Some(*around.chunk);
            }
        }
        let is_cancelled = stream.is_cancelled;
        let connect = if (200..300).contains(&status) { stream.connect } else { Connect::None };
        if stream.early.is_some() {
            around.shared.counters.overtaking_responses += 1;
            return;
        }
        self.decide_response(around, id);
        if is_cancelled {
            let mut remarks = Remarks::RESET;
            remarks.add(Remarks::BODY_INCOMPLETE);
            self.finish(around, id, remarks);
        } else if connect != Connect::None {
            self.open_tunnel(around, id, connect);
        }
    }

    /// Returns whether the response of a stream was read.
    fn is_answered(&mut self, id: u32) -> bool {
        self.streams.find(id).is_some_and(|stream| stream.response == Response::Answered)
    }

    /// Takes the trailers of a response, which have the status of gRPC.
    fn trailers<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, head: &Head) {
        let Some(stream) = self.streams.find(id) else { return };
        if stream.awaits_status.take().is_some() {
            stream.exchange.grpc_status = head.grpc_status();
            self.decide_response(around, id);
        }
    }

    /// Decides the outcome of a stream whose response was read, unless something of it is awaited.
    pub(super) fn decide_response<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32) {
        let Some(stream) = self.streams.find(id) else { return };
        if stream.early.is_some() || stream.awaits_status.is_some() {
            return;
        }
        if stream.request == Request::Unseen {
            around.shared.counters.requests_unseen += 1;
        } else {
            stream.exchange.remarks.remove(Remarks::REQUEST_UNSEEN);
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
    pub(super) fn data<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, piece: &[u8], end: u64) {
        if self.is_tunnel(id) {
            self.hand_on_content(around, id, piece, end);
            return;
        }
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
        if self.is_tunnel(id) {
            self.hand_on_gap(around, id, length, kind);
            return;
        }
        let is_client = self.client == Some(around.direction());
        let Some(stream) = self.streams.find(id) else { return };
        let exchange = &mut stream.exchange;
        if kind != GapKind::NotKept {
            exchange.remarks.add(Remarks::BODY_GAP);
        }
        let bytes = if is_client { &mut exchange.request_body_bytes } else { &mut exchange.response_body_bytes };
        *bytes += u64::from(length);
    }

    /// Ends the current side's message of a stream, before the offset `end`.
    pub(super) fn message_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, end: u64) {
        if self.is_tunnel(id) {
            self.end_tunnel(around, id, Chunk::Fin);
            return;
        }
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
        if !is_client && let Some(chunk) = stream.awaits_status.take() {
            // There are no trailers, or they were lost: the status is not known.
            self.decide_response(&mut around.with_chunk(&ChunkContext { now: around.chunk.now, ..chunk }), id);
        }
        let Some(stream) = self.streams.find(id) else { return };
        if stream.is_complete() && stream.early.is_none() {
            self.finish(around, id, Remarks::default());
        }
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
    pub(super) fn open<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, mut stream: OpenStream) {
        if let Some(oldest) = self.streams.oldest_if_full() {
            around.shared.counters.http2_streams_dropped += 1;
            self.may_lack_requests = true;
            self.finish(around, oldest, Remarks::default());
        }
        stream.is_unsure |= self.sides.iter().any(SideReader::is_doubtful);
        stream.charge = stream.weight();
        around.shared.in_flight_bytes += stream.charge as usize;
        self.streams.add(id, stream);
    }
}

/// Returns whether a response is one of gRPC: a number of content types begin like this.
fn is_grpc(exchange: &Exchange) -> bool {
    let start = exchange.field(exchange.content_type).first_chunk::<16>();
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

/// Returns the content of the DATA frame that follows a block, as far as it came in the same chunk.
fn data_after<'a>(block: &Block<'a>) -> &'a [u8] {
    let header = FrameHeader::read(block.after)
        .filter(|header| header.kind == kind::DATA && header.stream == block.stream && !header.has(flag::PADDED));
    let Some(header) = header else { return &[] };
    let content = &block.after[HEADER_BYTES..];
    &content[..content.len().min(header.length as usize)]
}
