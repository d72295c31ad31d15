//! Where a message begins, and what it goes on to.
//!
//! In: bytes that may begin a message. Out: whole or cut header blocks, told apart as request or response (`request` and
//! `response` read them), and how each side is read from there on. Promises: what is neither is refused and counted.

use super::{
    conversation::{Conversation, Ended, LastAnswer, Origin, Reading, Target},
    engine::{HttpEngine, Scene},
    fields::{Fields, line_feed},
    framing::{Body, Chunked},
    line::{self, StartLine},
    pairing::{Asking, Pairing},
};
use crate::exchange::{Exchange, ExchangeSink, Remarks};
use crate::tcp::{Direction, FlowFacts};

/// A start line and its fields, whole or cut.
pub(super) struct Head<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) fields: &'a Fields<'a>,
    /// Bytes after the block in the same chunk.
    pub(super) after: &'a [u8],
    pub(super) extent: Extent,
}

/// How much of a header block there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// The end is missing; the body's length with it.
    Cut,
}

impl<'a> Head<'a> {
    fn cut(bytes: &'a [u8], fields: &'a Fields<'a>) -> Self {
        Self { bytes, fields, after: &[], extent: Extent::Cut }
    }
}

impl<K: ExchangeSink> HttpEngine<K> {
    /// Reads the message that begins at the first byte; returns how many bytes its header block takes.
    pub(super) fn message(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        bytes: &[u8],
        after: &[u8],
        origin: &Origin,
    ) -> usize {
        let direction = scene.direction();
        match line::start_line(bytes) {
            StartLine::Request(line, length) if !conversation.is_server(direction) => {
                if line.version.major == 0 {
                    self.simple_request(conversation, scene, &line, origin);
                    return bytes.len();
                }
                let mut fields = Fields::default();
                let Some(end) = fields.read(&bytes[length..]) else {
                    return self.begin_head(conversation, scene, bytes, origin);
                };
                let (head, rest) = bytes.split_at(length + end);
                let after = if rest.is_empty() { after } else { rest };
                let head = Head { bytes: head, fields: &fields, after, extent: Extent::Whole };
                self.request(conversation, scene, &line, &head, origin);
                length + end
            }
            StartLine::Response(line, length)
                if !conversation.is_client(direction) && (line.status != 0 || conversation.client.is_some()) =>
            {
                let mut fields = Fields::default();
                let Some(end) = fields.read(&bytes[length..]) else {
                    return self.begin_head(conversation, scene, bytes, origin);
                };
                let (head, rest) = bytes.split_at(length + end);
                let after = if rest.is_empty() { after } else { rest };
                let head = Head { bytes: head, fields: &fields, after, extent: Extent::Whole };
                if self.must_wait(conversation, &line, direction, origin) {
                    return self.begin_hold(conversation, scene, bytes, origin);
                }
                self.response(conversation, scene, &line, &head, origin);
                length + end
            }
            StartLine::Undecided => self.begin_head(conversation, scene, bytes, origin),
            _ => {
                self.refuse(conversation, scene, bytes, origin);
                bytes.len()
            }
        }
    }

    /// The parties are known.
    pub(super) fn meet(&mut self, conversation: &mut Conversation, client: Direction) {
        if conversation.client.is_none() {
            conversation.client = Some(client);
            for direction in [client, client.opposite()] {
                if conversation.side(direction).reading == Reading::Tls {
                    conversation.side(direction).reading = Reading::Resync;
                }
            }
            if let Some(work) = &mut conversation.work {
                work.tls = None;
            }
        }
    }

    /// What stands where a message should begin is none.
    pub(super) fn refuse(&mut self, conversation: &mut Conversation, scene: Scene<'_>, bytes: &[u8], origin: &Origin) {
        let direction = scene.direction();
        if conversation.is_server(direction) {
            self.counters.refused_status_lines += 1;
        } else if conversation.is_client(direction) {
            self.counters.refused_request_lines += 1;
        }
        if !conversation.is_server(direction) {
            self.suspect_malformed(conversation, scene, bytes, origin);
        }
        if conversation.client.is_some() {
            self.lose(conversation, direction, origin.offset + bytes.len() as u64);
        }
        let side = conversation.side(direction);
        side.reading = Reading::Resync;
        side.body = 0;
        self.counters.bytes_passed_over += bytes.len() as u64;
    }

    /// Keeps a client's message that no server could parse, until it is seen whether it is answered.
    fn suspect_malformed(&mut self, conversation: &mut Conversation, scene: Scene<'_>, bytes: &[u8], origin: &Origin) {
        let names_http = line::start_line(bytes) == StartLine::Malformed;
        let is_known = conversation.client.is_some()
            && conversation.pairing == Pairing::Exact
            && conversation.last_answer == LastAnswer::KeepsOpen;
        if !(names_http || is_known) || scene.flow.gap_bytes != 0 {
            return;
        }
        self.meet(conversation, scene.direction());
        let mut exchange = self.pools.exchanges.get();
        self.introduce(conversation, scene, &mut exchange);
        exchange.request_start = Some(origin.carried);
        self.pools.work(conversation).malformed = Some(exchange);
        self.add_to_malformed(conversation, scene, bytes);
    }

    /// Adds to the first line of a client's message that no server could parse. Its text is the target once it is whole.
    pub(super) fn add_to_malformed(&mut self, conversation: &mut Conversation, scene: Scene<'_>, bytes: &[u8]) {
        let Some(exchange) = conversation.work.as_mut().and_then(|work| work.malformed.as_mut()) else { return };
        if !exchange.target.is_empty() {
            return;
        }
        let end = line_feed(bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        let room = self.settings.max_field_bytes.saturating_sub(exchange.text.len());
        if line.len() > room {
            exchange.remarks.add(Remarks::FIELD_TRUNCATED);
        }
        exchange.text.extend_from_slice(&line[..line.len().min(room)]);
        exchange.request_end = Some(scene.context.carried);
        if end.is_some() {
            exchange.text.pop_if(|last| *last == b'\r');
            exchange.target = exchange.all_text();
        }
    }

    /// What is known of any exchange of this connection.
    pub(super) fn introduce(&self, conversation: &Conversation, scene: Scene<'_>, exchange: &mut Exchange) {
        let flow = scene.flow;
        let client = conversation.client.unwrap_or(scene.direction());
        exchange.endpoints = Some((flow.sender(client), flow.sender(client.opposite())));
        exchange.encapsulation = flow.encapsulation;
        exchange.proxied_source = conversation.proxied.as_deref().copied();
        if flow.opened_by.is_none() {
            exchange.remarks.add(Remarks::MIDSTREAM);
        }
    }

    /// Goes on to a message's body, or to its end.
    pub(super) fn begin_body(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        body: Body,
        conflicting: bool,
    ) {
        let direction = scene.direction();
        if conflicting {
            self.counters.conflicting_lengths += 1;
            self.remark(conversation, direction, Remarks::CONFLICTING_LENGTH);
        }
        let side = conversation.side(direction);
        side.body = 0;
        side.reading = match body {
            Body::None => Reading::Start,
            Body::Known(length) => Reading::Body(length),
            Body::Chunked => Reading::Chunked(Chunked::START),
            Body::UntilClose => Reading::UntilClose,
            Body::Unframed => Reading::Resync,
        };
        match body {
            Body::None => self.end_message(conversation, scene, Remarks::default()),
            Body::Unframed => {
                self.lose(conversation, direction, scene.context.offset.saturating_add(1));
                if conversation.is_client(direction) {
                    self.cut_request(conversation);
                }
            }
            _ => {}
        }
    }

    /// The message being read in this direction is over.
    pub(super) fn end_message(&mut self, conversation: &mut Conversation, scene: Scene<'_>, remarks: Remarks) {
        if conversation.is_server(scene.direction()) {
            self.end_response(conversation, scene, remarks);
        } else {
            self.end_request(conversation, scene, remarks);
        }
    }

    /// Adds remarks to the exchange whose message is being read in this direction.
    pub(super) fn remark(&mut self, conversation: &mut Conversation, direction: Direction, remarks: Remarks) {
        let from_server = conversation.is_server(direction);
        let Some(work) = &mut conversation.work else { return };
        let exchange = match (from_server, conversation.target) {
            (false, _) => {
                let back = work.queue.back_mut().filter(|entry| entry.asking == Asking::Body);
                back.map(|entry| &mut entry.exchange)
            }
            (true, Target::None) => None,
            (true, Target::Front) => work.queue.front_mut().map(|entry| &mut entry.exchange),
            (true, Target::Unpaired) => work.unpaired.as_mut(),
        };
        if let Some(exchange) = exchange {
            exchange.remarks.add(remarks);
        }
    }

    /// Makes of a cut header block what can be made of it; `true` if its start line was whole.
    pub(super) fn cut_head(&mut self, conversation: &mut Conversation, scene: Scene<'_>) -> bool {
        self.cut_head_of(conversation, scene, scene.direction())
    }

    pub(super) fn cut_head_of(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        direction: Direction,
    ) -> bool {
        let context = crate::tcp::ChunkContext { direction, ..*scene.context };
        let scene = Scene { flow: scene.flow, context: &context };
        let side = direction as usize;
        let (bytes, origin) = self.take_head(conversation, side);
        conversation.sides[side].reading = Reading::Resync;
        let Some(origin) = origin else { return false };
        let is_message = match line::start_line(&bytes) {
            StartLine::Request(line, length) if !conversation.is_server(direction) => {
                let fields = Fields::scan(&bytes[length..]).0;
                self.request(conversation, scene, &line, &Head::cut(&bytes, &fields), &origin);
                true
            }
            StartLine::Response(line, length) if line.status != 0 && !conversation.is_client(direction) => {
                let fields = Fields::scan(&bytes[length..]).0;
                self.response(conversation, scene, &line, &Head::cut(&bytes, &fields), &origin);
                true
            }
            // A status line without its end has its status all the same.
            StartLine::Undecided if !conversation.is_client(direction) => match line::cut_status_line(&bytes) {
                Some(line) => {
                    self.response(conversation, scene, &line, &Head::cut(&bytes, &Fields::default()), &origin);
                    true
                }
                None => false,
            },
            _ => false,
        };
        conversation.sides[side].reading = Reading::Resync;
        self.return_head(conversation, side, bytes);
        is_message
    }

    /// Whether a stream is over.
    pub(super) fn has_ended(conversation: &Conversation, direction: Direction) -> bool {
        conversation.sides[direction as usize].ended != Ended::Open
    }
}

/// The connection's facts at this point.
pub(super) fn state_facts(exchange: &mut Exchange, flow: &FlowFacts) {
    exchange.gap_bytes = flow.gap_bytes;
    exchange.disagreeing_bytes = flow.disagreeing_bytes;
    if flow.disagreeing_bytes != 0 {
        exchange.remarks.add(Remarks::DISAGREEING_OVERLAP);
    }
}
