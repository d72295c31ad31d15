//! How exchanges end: with a stream, with the connection, with or without an answer.

use super::{
    conversation::{Conversation, Ended, LastAnswer, Reading, Reset, Target},
    engine::{HttpEngine, Scene},
    message::state_facts,
    pairing::{Answer, Asking, Entry, Pairing},
};
use crate::exchange::{Exchange, ExchangeSink, Outcome, Remarks, Version};
use crate::{
    capture::Stamp,
    tcp::{ChunkContext, Direction, Ending, FlowFacts},
};

/// How a stream comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// By FIN, or with the flow.
    Fin,
    /// By a reset that took effect then.
    Reset(Stamp),
}

impl<K: ExchangeSink> HttpEngine<K> {
    /// A side sends no more.
    pub(super) fn stream_ends(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        let direction = scene.direction();
        let before = conversation.side(direction).ended;
        self.close_message(conversation, scene, Close::Fin);
        conversation.side(direction).ended = Ended::Fin;
        if conversation.is_server(direction) && before == Ended::Open {
            self.server_ends(conversation, scene, Close::Fin);
        }
        self.tls_ends(conversation, scene, scene.now());
    }

    /// A reset was accepted. What is in flight ends with the flow, a short time later: a forged reset is known by its
    /// sender's going on.
    pub(super) fn is_reset(conversation: &mut Conversation, scene: Scene<'_>) {
        if let Some(work) = &mut conversation.work {
            let reset = Reset { by: scene.direction(), carried: scene.context.carried, now: scene.now() };
            work.reset.get_or_insert(reset);
        }
    }

    /// A side goes on: its end, if there was one, was forged.
    #[inline]
    pub(super) fn goes_on(conversation: &mut Conversation, direction: Direction) {
        conversation.side(direction).ended = Ended::Open;
        if let Some(work) = &mut conversation.work
            && work.reset.is_some_and(|reset| reset.by == direction)
        {
            work.reset = None;
        }
    }

    /// A reset ends both streams; what the other side still had in flight is not delivered to anyone.
    fn reset_ends(&mut self, flow: &FlowFacts, conversation: &mut Conversation, reset: Reset, now: Stamp) {
        for direction in [reset.by, reset.by.opposite()] {
            let offset = conversation.side(direction).offset;
            let context = ChunkContext { carried: reset.carried, now, direction, offset, acknowledged: None };
            let scene = Scene { flow, context: &context };
            self.close_message(conversation, scene, Close::Reset(reset.now));
            if direction == reset.by {
                if conversation.is_server(direction) && !Self::has_ended(conversation, direction) {
                    self.server_ends(conversation, scene, Close::Reset(reset.now));
                }
                self.tls_ends(conversation, scene, reset.now);
                self.release_if_complete(conversation, scene);
            }
        }
    }

    /// The message being read when a stream ends.
    fn close_message(&mut self, conversation: &mut Conversation, scene: Scene<'_>, how: Close) {
        let direction = scene.direction();
        let reset = if how == Close::Fin { Remarks::default() } else { Remarks::RESET };
        let mut incomplete = Remarks::BODY_INCOMPLETE;
        incomplete.add(reset);
        let from_server = conversation.is_server(direction);
        match conversation.side(direction).reading {
            Reading::Body(_) | Reading::Chunked(_) => self.end_message(conversation, scene, incomplete),
            Reading::UntilClose => self.end_message(conversation, scene, reset),
            Reading::Head => {
                self.counters.heads_cut += 1;
                self.cut_head(conversation, scene);
            }
            Reading::Held => self.give_up_waiting(conversation, scene),
            Reading::Resync if from_server => self.end_response(conversation, scene, reset),
            _ => {}
        }
    }

    /// The server closed or reset: what it left unanswered it will not answer.
    fn server_ends(&mut self, conversation: &mut Conversation, scene: Scene<'_>, how: Close) {
        let client = scene.direction().opposite();
        if conversation.work.is_none() || Self::has_ended(conversation, client) {
            return;
        }
        let acknowledged = scene.context.acknowledged;
        let (outcome, decided) = match how {
            Close::Reset(when) => (Outcome::NoResponseReset, when),
            Close::Fin => (Outcome::NoResponseClosed, scene.now()),
        };
        if scene.flow.gap_bytes == 0
            && let Some(mut exchange) = conversation.work.as_mut().and_then(|work| work.malformed.take())
        {
            exchange.outcome = Outcome::MalformedRequest;
            exchange.target = exchange.all_text();
            exchange.decided = Some(decided);
            self.decide_without_status(scene.flow, scene.now(), &mut exchange);
            self.finish(scene.flow, scene.now(), exchange);
        }
        if conversation.pairing != Pairing::Exact {
            return;
        }
        // After an answer that announced the end, the server owes nothing.
        let owes = conversation.last_answer != LastAnswer::Closes;
        let Some(work) = &mut conversation.work else { return };
        let mut at = 0;
        while let Some(entry) = work.queue.get(at) {
            let end = entry.head_end + entry.exchange.request_body_bytes;
            let received = how != Close::Fin || acknowledged.is_none_or(|acknowledged| acknowledged >= end);
            let can_fail = entry.exchange.version.major != 0;
            if owes && entry.asking == Asking::Complete && entry.answer == Answer::Waiting && received && can_fail {
                let Some(mut entry) = work.queue.remove(at) else { return };
                entry.exchange.outcome = outcome;
                entry.exchange.decided = Some(decided);
                self.decide_without_status(scene.flow, scene.now(), &mut entry.exchange);
                self.finish(scene.flow, scene.now(), entry.exchange);
            } else {
                at += 1;
            }
        }
    }

    /// Reports an outcome that needs no status; decided now, unless it says when.
    pub(super) fn decide_without_status(&mut self, flow: &FlowFacts, now: Stamp, exchange: &mut Box<Exchange>) {
        exchange.decided.get_or_insert(now);
        exchange.gap_bytes = flow.gap_bytes;
        exchange.disagreeing_bytes = flow.disagreeing_bytes;
        match exchange.outcome {
            Outcome::MalformedRequest => self.counters.malformed_requests += 1,
            Outcome::TlsAlert => self.counters.tls_failures += 1,
            _ => self.counters.no_response += 1,
        }
        self.sink.decided(exchange, &mut self.pools.exchanges, now);
    }

    /// The connection is over, whatever way.
    pub(super) fn connection_ends(
        &mut self,
        flow: &FlowFacts,
        conversation: &mut Conversation,
        now: Stamp,
        ending: Ending,
    ) {
        let reset = conversation.work.as_mut().and_then(|work| work.reset.take());
        if let Some(reset) = reset.filter(|_| ending == Ending::Reset) {
            self.reset_ends(flow, conversation, reset, now);
        }
        for direction in [Direction::Ascending, Direction::Descending] {
            let side = conversation.side(direction);
            if side.reading.is_between_messages() {
                continue;
            }
            let offset = side.offset;
            let context = ChunkContext { carried: now, now, direction, offset, acknowledged: None };
            self.close_message(conversation, Scene { flow, context: &context }, Close::Fin);
        }
        self.abandon(conversation, Reading::Opaque);
        let Some(mut work) = conversation.work.take() else { return };
        let can_tell = conversation.pairing == Pairing::Exact;
        for mut entry in work.queue.drain(..) {
            let asked = entry.exchange.request_end.unwrap_or(now);
            let is_silent = now.time.since(asked.time) >= self.settings.no_response_timeout;
            let failed = entry.asking == Asking::Complete && entry.answer == Answer::Waiting && can_tell;
            if failed
                && is_silent
                && entry.exchange.version.major != 0
                && conversation.last_answer != LastAnswer::Closes
            {
                entry.exchange.outcome = Outcome::NoResponseTimeout;
                self.decide_without_status(flow, now, &mut entry.exchange);
            }
            self.finish_entry(flow, now, entry);
        }
        if let Some(exchange) = work.unpaired.take() {
            self.finish(flow, now, exchange);
        }
        if let Some(exchange) = work.malformed.take() {
            self.pools.exchanges.put(exchange);
        }
        work.tls = None;
        conversation.target = Target::None;
        conversation.work = Some(work);
        self.pools.rest(conversation);
    }

    /// Finishes a request's exchange as it stands.
    pub(super) fn finish_entry(&mut self, flow: &FlowFacts, now: Stamp, mut entry: Entry) {
        if entry.exchange.outcome == Outcome::Pending {
            let simple = Version { major: 0, minor: 9 };
            if entry.exchange.version == simple {
                // The answer to such a request has no status line; nothing tells it from another protocol.
                self.counters.http09_requests += 1;
                self.pools.exchanges.put(entry.exchange);
                return;
            }
        }
        if entry.asking == Asking::Body {
            entry.exchange.remarks.add(Remarks::BODY_INCOMPLETE);
        }
        self.finish(flow, now, entry.exchange);
    }

    /// Gives a finished exchange away.
    #[inline]
    pub(super) fn finish(&mut self, flow: &FlowFacts, now: Stamp, mut exchange: Box<Exchange>) {
        if exchange.outcome == Outcome::Pending {
            exchange.outcome = Outcome::Unknown;
            self.counters.unknown_outcomes += 1;
        }
        state_facts(&mut exchange, flow);
        self.sink.finished(exchange, &mut self.pools.exchanges, now);
    }
}
