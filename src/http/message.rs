//! What a header block means: requests and responses begin here and end here.

use super::{
    conversation::{Conversation, Ended, LastAnswer, Origin, Reading, Target},
    engine::{HttpEngine, Scene},
    exchange::{Exchange, ExchangeSink, Outcome, Remarks, Version},
    fields::{Fields, Persistence},
    framing::{self, Body, Chunked},
    line::{self, RequestLine, StartLine, StatusLine},
    pairing::{Answer, Asking, Asks, ClientStream, Doubt, Entry, MethodKind, Pairing, Partner},
};
use crate::flow::Direction;

/// A start line and its fields, whole or cut.
pub(super) struct Head<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) fields: Fields<'a>,
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
                let (fields, Some(end)) = Fields::scan(&bytes[length..]) else {
                    return self.begin_head(conversation, scene, bytes, origin);
                };
                let (head, rest) = bytes.split_at(length + end);
                let after = if rest.is_empty() { after } else { rest };
                let head = Head { bytes: head, fields, after, extent: Extent::Whole };
                self.request(conversation, scene, &line, &head, origin);
                length + end
            }
            StartLine::Response(line, length)
                if !conversation.is_client(direction) && (line.status != 0 || conversation.client.is_some()) =>
            {
                let (fields, Some(end)) = Fields::scan(&bytes[length..]) else {
                    return self.begin_head(conversation, scene, bytes, origin);
                };
                let (head, rest) = bytes.split_at(length + end);
                let after = if rest.is_empty() { after } else { rest };
                let head = Head { bytes: head, fields, after, extent: Extent::Whole };
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
        let mut exchange = self.pools.exchange();
        self.introduce(conversation, scene, &mut exchange);
        exchange.request_start = Some(origin.carried);
        exchange.request_end = Some(scene.context.carried);
        let line = line::split_line(bytes).map_or(bytes, |(line, _)| line);
        exchange.target = self.store(&mut exchange, line, self.settings.max_field_bytes);
        self.pools.work(conversation).malformed = Some(exchange);
    }

    /// What is known of any exchange of this connection.
    pub(super) fn introduce(&self, conversation: &Conversation, scene: Scene<'_>, exchange: &mut Exchange) {
        let flow = scene.flow;
        let client = conversation.client.unwrap_or(scene.direction());
        exchange.endpoints = Some((flow.key.sender(client), flow.key.sender(client.opposite())));
        exchange.encapsulation = flow.encapsulation;
        exchange.proxied_source = conversation.proxied.as_deref().copied();
        if flow.opened_by.is_none() {
            exchange.remarks.add(Remarks::MIDSTREAM);
        }
    }

    /// An HTTP/0.9 request: a line and nothing else.
    fn simple_request(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        line: &RequestLine<'_>,
        origin: &Origin,
    ) {
        let head = Head { bytes: &[], fields: Fields::default(), after: &[], extent: Extent::Whole };
        self.request(conversation, scene, line, &head, origin);
        conversation.side(scene.direction()).reading = Reading::Resync;
    }

    /// A request's header block.
    pub(super) fn request(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        line: &RequestLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) {
        let direction = scene.direction();
        if line.method == b"PRI" && line.version.major >= 2 {
            self.counters.http2_prefaces += 1;
            self.abandon(conversation, Reading::Opaque);
            return;
        }
        self.counters.requests += 1;
        self.meet(conversation, direction);
        let mut exchange = self.pools.exchange();
        self.introduce(conversation, scene, &mut exchange);
        self.fill_request(&mut exchange, line, head);
        exchange.request_start = Some(origin.carried);
        let fields = &head.fields;
        let lost_before = conversation.side(direction).lost_until;
        let server = conversation.side(direction.opposite());
        let received = origin.acknowledged.unwrap_or(server.offset);
        let entry = Entry {
            exchange,
            method: match line.method {
                b"HEAD" => MethodKind::Head,
                b"CONNECT" => MethodKind::Connect,
                _ => MethodKind::Other,
            },
            asking: if head.extent == Extent::Whole { Asking::Body } else { Asking::Cut },
            answer: Answer::Waiting,
            upgrade: fields.upgrade,
            expects_continue: fields.expects_continue,
            received,
            start: origin.offset,
            head_end: origin.offset + head.bytes.len() as u64,
            doubt: Doubt {
                lost_before,
                answer: received < server.lost_until || origin.offset < conversation.accounted,
                followers: false,
            },
        };
        let body = if entry.method == MethodKind::Connect { Body::None } else { framing::request_body(fields) };
        self.enqueue(conversation, scene, entry);
        if head.extent == Extent::Whole {
            let conflicting = framing::has_conflict(fields);
            self.begin_body(conversation, scene, body, conflicting);
        }
    }

    fn enqueue(&mut self, conversation: &mut Conversation, scene: Scene<'_>, entry: Entry) {
        if let Some(work) = &mut conversation.work {
            let waiting = work.queue.back().filter(|before| before.answer == Answer::Waiting);
            if waiting.is_some_and(|before| entry.received <= before.received) {
                conversation.asks = Asks::Ahead;
                if conversation.pairing == Pairing::ByEvidence {
                    conversation.pairing = Pairing::Broken;
                    self.counters.pairings_broken += 1;
                }
            }
            if work.queue.len() >= self.settings.max_pipelined {
                self.counters.pipelined_dropped += 1;
                conversation.pairing = Pairing::Broken;
                self.give_up_front(conversation, scene);
            }
        }
        self.pools.work(conversation).queue.push_back(entry);
    }

    /// The oldest request's fate will not be known.
    pub(super) fn give_up_front(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        if let Some(entry) = conversation.work.as_mut().and_then(|work| work.queue.pop_front()) {
            if conversation.target == Target::Front {
                conversation.target = Target::None;
            }
            self.finish_entry(scene.flow, scene.now(), entry);
        }
    }

    /// Goes on to a message's body, or to its end.
    fn begin_body(&mut self, conversation: &mut Conversation, scene: Scene<'_>, body: Body, conflicting: bool) {
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

    fn cut_request(&mut self, conversation: &mut Conversation) {
        if let Some(entry) = conversation.work.as_mut().and_then(|work| work.queue.back_mut()) {
            entry.asking = Asking::Cut;
        }
    }

    /// A final or interim response's header block.
    pub(super) fn response(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) {
        let direction = scene.direction();
        self.meet(conversation, direction.opposite());
        if let 100 | 102..=199 = line.status {
            self.counters.interim_responses += 1;
            conversation.side(direction).reading = Reading::Start;
            return;
        }
        self.counters.responses += 1;
        self.counters.refused_status_lines += u64::from(line.status == 0);
        self.choose_target(conversation, scene, origin);
        let client_offset = conversation.side(direction.opposite()).offset;
        let mut method = MethodKind::Other;
        let mut upgrade = true;
        let Some(work) = &mut conversation.work else { return };
        let exchange = match (conversation.target, work.queue.front_mut()) {
            (Target::Front, Some(entry)) => {
                (method, upgrade) = (entry.method, entry.upgrade);
                entry.answer = Answer::Body;
                if entry.asking == Asking::Body && origin.acknowledged.is_none_or(|at| at <= client_offset) {
                    entry.exchange.remarks.add(Remarks::EARLY_ANSWER);
                }
                &mut entry.exchange
            }
            _ => match &mut work.unpaired {
                Some(exchange) => exchange,
                None => return,
            },
        };
        let body = match (line.status, method) {
            (_, MethodKind::Head) | (101 | 204 | 304, _) | (200..=299, MethodKind::Connect) => Body::None,
            // A server that sends no length with a 205 sends no body either (RFC 9110, section 15.3.6).
            (205, _) if framing::response_body(&head.fields) == Body::UntilClose => Body::Unframed,
            _ => framing::response_body(&head.fields),
        };
        self.fill_response(exchange, line, head);
        exchange.response_start = Some(origin.carried);
        if line.status != 0 {
            exchange.outcome = Outcome::Answered;
            self.store_first_body(exchange, body, head.after);
            state_facts(exchange, scene);
            self.counters.answered += 1;
            self.sink.decided(exchange, scene.now());
        }
        conversation.last_answer = match (head.fields.persistence, line.version) {
            (Persistence::Close, _) | (Persistence::Unsaid, Version { major: 1, minor: 0 }) => LastAnswer::Closes,
            _ => LastAnswer::KeepsOpen,
        };
        if head.extent == Extent::Cut {
            self.end_response(conversation, scene, Remarks::default());
            return;
        }
        self.begin_body(conversation, scene, body, framing::has_conflict(&head.fields));
        match (line.status, method) {
            (101, _) if upgrade => self.tunnel(conversation, scene, Reading::Opaque),
            (200..=299, MethodKind::Connect) => self.tunnel(conversation, scene, Reading::Fresh),
            _ => {}
        }
    }

    /// Finds the request that a final response answers, or begins an exchange without one.
    fn choose_target(&mut self, conversation: &mut Conversation, scene: Scene<'_>, origin: &Origin) {
        let direction = scene.direction();
        if conversation.target != Target::None {
            self.end_response(conversation, scene, Remarks::default());
        }
        let work = self.pools.work(conversation);
        if let Some(exchange) = work.malformed.take() {
            self.pools.recycle(exchange);
        }
        // An answered request whose body never ended has had its turn.
        while self.pools.work(conversation).queue.front().is_some_and(|entry| entry.answer == Answer::Complete) {
            self.give_up_front(conversation, scene);
        }
        self.ask_with_partial_head(conversation, scene, origin);
        let pairing = conversation.pairing;
        let seen = conversation.side(direction.opposite()).offset;
        let known = ClientStream { seen, accounted: conversation.accounted };
        let partner = pairing.partner(&self.pools.work(conversation).queue, origin, known);
        let (Partner::After(passed) | Partner::None(passed)) = partner;
        for _ in 0..passed {
            self.give_up_front(conversation, scene);
        }
        if let Partner::After(_) = partner {
            conversation.target = Target::Front;
            return;
        }
        self.counters.requests_unseen += 1;
        if origin.acknowledged.is_some_and(|acknowledged| acknowledged > seen) {
            // Its request may still come, too late.
            self.lose(conversation, direction.opposite(), 0);
        }
        conversation.accounted = conversation.accounted.max(origin.acknowledged.unwrap_or(0));
        let mut exchange = self.pools.exchange();
        self.introduce(conversation, scene, &mut exchange);
        exchange.remarks.add(Remarks::REQUEST_UNSEEN);
        self.pools.work(conversation).unpaired = Some(exchange);
        conversation.target = Target::Unpaired;
    }

    /// A server that answers in the middle of a request's header block (408, 414, 431) answers that request.
    fn ask_with_partial_head(&mut self, conversation: &mut Conversation, scene: Scene<'_>, origin: &Origin) {
        let client = scene.direction().opposite();
        let Some(work) = &conversation.work else { return };
        let begun = work.heads[client as usize].origin.map_or(u64::MAX, |begun| begun.offset);
        if conversation.side(client).reading == Reading::Head
            && conversation.pairing == Pairing::Exact
            && conversation.work.as_ref().is_some_and(|work| work.queue.is_empty())
            && origin.acknowledged.is_none_or(|acknowledged| acknowledged > begun)
            && self.cut_head_of(conversation, scene, client)
        {
            conversation.side(client).reading = Reading::SkipHead(super::conversation::HeadEnd::None);
        }
    }

    /// The connection carries something else from here on.
    fn tunnel(&mut self, conversation: &mut Conversation, scene: Scene<'_>, reading: Reading) {
        self.counters.tunnels += 1;
        while conversation.work.as_ref().is_some_and(|work| !work.queue.is_empty()) {
            self.give_up_front(conversation, scene);
        }
        self.abandon(conversation, reading);
        conversation.client = None;
        conversation.pairing = Pairing::Exact;
        conversation.asks = Asks::OneByOne;
        conversation.last_answer = LastAnswer::None;
    }

    /// Leaves both streams wherever they are and goes on in another way.
    pub(super) fn abandon(&mut self, conversation: &mut Conversation, reading: Reading) {
        for side in 0..conversation.sides.len() {
            let (bytes, _) = self.take_head(conversation, side);
            self.return_head(conversation, side, bytes);
            let side = &mut conversation.sides[side];
            (side.reading, side.body) = (reading, 0);
        }
        if let Some(work) = &mut conversation.work {
            self.held -= work.held.bytes.len();
            work.held.bytes.clear();
            work.held.pieces.clear();
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

    /// The request being read is over.
    pub(super) fn end_request(&mut self, conversation: &mut Conversation, scene: Scene<'_>, remarks: Remarks) {
        let side = conversation.side(scene.direction());
        let body = std::mem::take(&mut side.body);
        side.reading = Reading::Start;
        let Some(work) = &mut conversation.work else { return };
        let Some(entry) = work.queue.back_mut().filter(|entry| entry.asking == Asking::Body) else { return };
        let exchange = &mut entry.exchange;
        exchange.request_body_bytes = body;
        exchange.request_end = Some(scene.context.carried);
        exchange.remarks.add(remarks);
        entry.asking = if remarks == Remarks::default() { Asking::Complete } else { Asking::Cut };
        if entry.answer == Answer::Complete
            && let Some(entry) = work.queue.pop_back()
        {
            self.finish_entry(scene.flow, scene.now(), entry);
        }
    }

    /// The response being read is over.
    pub(super) fn end_response(&mut self, conversation: &mut Conversation, scene: Scene<'_>, remarks: Remarks) {
        let Some(client) = conversation.client else { return };
        let side = conversation.side(client.opposite());
        let body = std::mem::take(&mut side.body);
        side.reading = Reading::Start;
        let target = std::mem::take(&mut conversation.target);
        let Some(work) = &mut conversation.work else { return };
        let state = |exchange: &mut Exchange| {
            exchange.response_body_bytes = body;
            exchange.response_end = Some(scene.context.carried);
            exchange.remarks.add(remarks);
        };
        match target {
            Target::None => {}
            Target::Front => {
                let Some(entry) = work.queue.front_mut() else { return };
                state(&mut entry.exchange);
                entry.answer = Answer::Complete;
                if entry.asking != Asking::Body
                    && let Some(entry) = work.queue.pop_front()
                {
                    self.finish_entry(scene.flow, scene.now(), entry);
                }
            }
            Target::Unpaired => {
                if let Some(mut exchange) = work.unpaired.take() {
                    state(&mut exchange);
                    self.finish(scene.flow, scene.now(), exchange);
                }
            }
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

    fn cut_head_of(&mut self, conversation: &mut Conversation, scene: Scene<'_>, direction: Direction) -> bool {
        let context = crate::tcp::ChunkContext { direction, ..*scene.context };
        let scene = Scene { flow: scene.flow, context: &context };
        let side = direction as usize;
        let (bytes, origin) = self.take_head(conversation, side);
        conversation.sides[side].reading = Reading::Resync;
        let Some(origin) = origin else { return false };
        let of = |length: usize| Head {
            bytes: &bytes,
            fields: Fields::scan(&bytes[length..]).0,
            after: &[],
            extent: Extent::Cut,
        };
        let is_message = match line::start_line(&bytes) {
            StartLine::Request(line, length) if !conversation.is_server(direction) => {
                self.request(conversation, scene, &line, &of(length), &origin);
                true
            }
            StartLine::Response(line, length) if line.status != 0 && !conversation.is_client(direction) => {
                self.response(conversation, scene, &line, &of(length), &origin);
                true
            }
            // A status line without its end has its status all the same.
            StartLine::Undecided if !conversation.is_client(direction) => match line::cut_status_line(&bytes) {
                Some(line) => {
                    self.response(conversation, scene, &line, &of(bytes.len()), &origin);
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
pub(super) fn state_facts(exchange: &mut Exchange, scene: Scene<'_>) {
    exchange.gap_bytes = scene.flow.gap_bytes;
    exchange.disagreeing_bytes = scene.flow.disagreeing_bytes;
    if scene.flow.disagreeing_bytes != 0 {
        exchange.remarks.add(Remarks::DISAGREEING_OVERLAP);
    }
}
