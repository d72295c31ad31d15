//! A response, from its header block to its end.
//!
//! In: status lines with their fields. Out: decided exchanges, joined with the request that they answer where that is
//! certain; connections that become something else (CONNECT, 101). Promises: a response without its request is an
//! exchange all the same.

use super::{
    conversation::{Conversation, HeadEnd, Held, LastAnswer, Origin, Reading, Target},
    engine::{HttpEngine, Scene},
    fields::Persistence,
    framing::{self, Body},
    line::StatusLine,
    message::{Extent, Head, state_facts},
    pairing::{Answer, Asking, Asks, ClientStream, MethodKind, Pairing, Partner},
};
use crate::exchange::{Exchange, ExchangeSink, Outcome, Remarks, Version};

impl<K: ExchangeSink> HttpEngine<K> {
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
            (205, _) if framing::response_body(head.fields) == Body::UntilClose => Body::Unframed,
            _ => framing::response_body(head.fields),
        };
        self.fill_response(exchange, line, head);
        exchange.response_start = Some(origin.carried);
        if line.status != 0 {
            exchange.outcome = Outcome::Answered;
            self.store_first_body(exchange, body, head.after);
            state_facts(exchange, scene.flow);
            self.counters.answered += 1;
            self.sink.decided(exchange, &mut self.pools.exchanges, scene.now());
        }
        conversation.last_answer = match (head.fields.persistence, line.version) {
            (Persistence::Close, _) | (Persistence::Unsaid, Version { major: 1, minor: 0 }) => LastAnswer::Closes,
            _ => LastAnswer::KeepsOpen,
        };
        if head.extent == Extent::Cut {
            self.end_response(conversation, scene, Remarks::default());
            return;
        }
        self.begin_body(conversation, scene, body, framing::has_conflict(head.fields));
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
            self.pools.exchanges.put(exchange);
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
        let mut exchange = self.pools.exchanges.get();
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
            conversation.side(client).reading = Reading::SkipHead(HeadEnd::None);
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
        for side in &mut conversation.sides {
            (side.reading, side.body) = (reading, 0);
        }
        if conversation.work.is_some() {
            self.forget_kept(conversation);
        }
    }

    /// Empties the buffers of both streams.
    fn forget_kept(&mut self, conversation: &mut Conversation) {
        for side in 0..conversation.sides.len() {
            let (bytes, _) = self.take_head(conversation, side);
            self.return_head(conversation, side, bytes);
        }
        if let Some(work) = &mut conversation.work {
            self.held -= work.held.bytes.len();
            work.held = Held::default();
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
}
