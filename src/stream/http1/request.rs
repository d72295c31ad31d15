//! A request, from its header block to its end.
//!
//! In: request lines with their fields. Out: entries of the queue of requests that wait for their response, each with
//! what pairing has to know about it. Promises: the queue is capped, and who overflows it is counted.

use super::{
    conversation::{Conversation, Origin, Reading, Target},
    engine::{HttpEngine, Scene},
    fields::Fields,
    framing::{self, Body},
    line::RequestLine,
    message::{Extent, Head},
    pairing::{Answer, Asking, Asks, Doubt, Entry, MethodKind, Pairing},
};
use crate::exchange::{ExchangeSink, Remarks};

impl<K: ExchangeSink> HttpEngine<K> {
    /// An HTTP/0.9 request: a line and nothing else.
    pub(super) fn simple_request(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        line: &RequestLine<'_>,
        origin: &Origin,
    ) {
        let head = Head { bytes: &[], fields: &Fields::default(), after: &[], extent: Extent::Whole };
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
        let mut exchange = self.pools.exchanges.get();
        self.introduce(conversation, scene, &mut exchange);
        self.fill_request(&mut exchange, line, head);
        exchange.request_start = Some(origin.carried);
        let fields = head.fields;
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

    pub(super) fn cut_request(&mut self, conversation: &mut Conversation) {
        if let Some(entry) = conversation.work.as_mut().and_then(|work| work.queue.back_mut()) {
            entry.asking = Asking::Cut;
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
}
