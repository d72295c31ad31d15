//! The ends of exchanges: with a side or with the connection, answered or not.
//!
//! In: FINs, resets, and the end of the flow. Out: unanswered exchanges, which are decided if it is certain that the server
//! did not answer; all exchanges in flight, finished. Promises: an exchange that began is finished exactly once.

use super::{
    conversation::{Answering, Conversation, LastAnswer, ReadState},
    in_flight::EarlyEnd,
    pairing::{Entry, Pairing, RequestProgress, ResponseProgress},
    relief,
};
use crate::{
    capture::Stamp,
    exchange::{ExchangeSink, Outcome, Remarks, Version},
    stream::{End, context::ParserContext, registry::Reader},
    tcp::Direction,
};

/// How a side ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// By FIN, or with the flow.
    Fin,
    /// By a reset that took effect with this packet.
    Reset(Stamp),
}

impl Conversation {
    /// Ends a side, or the whole flow.
    pub(in crate::stream) fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) {
        let direction = around.direction();
        match end {
            End::Fin { is_first } if self.is_held(around, direction) => {
                let end = EarlyEnd { chunk: *around.chunk, is_first };
                around.shared.http1.fill(&mut self.in_flight).early.end = Some(end);
            }
            End::Fin { is_first } => self.side_ends(around, is_first),
            End::Reset { by, took_effect } => {
                self.close_message(around, Close::Reset(took_effect));
                if direction == by {
                    if self.is_server(direction) && !around.has_ended(direction) {
                        self.server_ends(around, Close::Reset(took_effect));
                    }
                    self.release_if_complete(around);
                }
            }
            End::Flow => {
                for direction in Direction::BOTH {
                    let chunk = around.at_end_of(direction, around.now());
                    self.close_message(&mut around.with_chunk(&chunk), Close::Fin);
                }
                self.finish_all(around);
            }
        }
    }

    /// Ends a side that sends nothing more.
    pub(super) fn side_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, is_first: bool) {
        self.close_message(around, Close::Fin);
        if is_first && self.is_server(around.direction()) {
            self.server_ends(around, Close::Fin);
        }
    }

    /// Ends the message that a side was in the middle of.
    fn close_message<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, how: Close) {
        let direction = around.direction();
        if around.reader(direction) != Reader::Http1 {
            return;
        }
        let reset = if how == Close::Fin { Remarks::default() } else { Remarks::RESET };
        let mut incomplete = Remarks::BODY_INCOMPLETE;
        incomplete.add(reset);
        let from_server = self.is_server(direction);
        if self.side(direction).state == ReadState::BodyOrMessage {
            self.settle_first_line(around);
        }
        match self.side(direction).state {
            ReadState::Body(_) | ReadState::Chunked(_) => self.end_message(around, incomplete),
            ReadState::UntilClose => self.end_message(around, reset),
            ReadState::PartialHead => {
                around.shared.counters.heads_cut += 1;
                self.cut_head(around, None);
            }
            ReadState::EarlyResponse => self.release_without_request(around),
            ReadState::Resync if from_server => self.end_response(around, reset),
            _ => {}
        }
    }

    /// Handles that the server closed or reset the connection. Unanswered requests that it had received completely become
    /// errors without a status.
    fn server_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, how: Close) {
        let client = around.direction().opposite();
        if self.in_flight.is_none() || around.has_ended(client) {
            return;
        }
        let acknowledged = around.chunk.acknowledged;
        let (outcome, decided) = match how {
            Close::Reset(when) => (Outcome::NoResponseReset, when),
            Close::Fin => (Outcome::NoResponseClosed, around.now()),
        };
        if around.flow.gap_bytes == 0
            && let Some(mut exchange) = self.in_flight.as_mut().and_then(|in_flight| in_flight.malformed.take())
        {
            exchange.target = exchange.all_text();
            around.fail(exchange, Outcome::MalformedRequest, decided);
        }
        if self.pairing != Pairing::Exact {
            return;
        }
        // After a response that announced the end of the connection, the server need not answer further requests.
        let owes = self.last_answer != LastAnswer::Closes;
        let Some(in_flight) = &mut self.in_flight else { return };
        let mut at = 0;
        while let Some(entry) = in_flight.queue.get(at) {
            let end = entry.head_end + entry.exchange.request_body_bytes;
            let received = how != Close::Fin || acknowledged.is_none_or(|acknowledged| acknowledged >= end);
            let can_fail = entry.exchange.version.major != 0 && entry.candidate.is_none();
            if owes
                && entry.request == RequestProgress::Complete
                && entry.response == ResponseProgress::Waiting
                && received
                && can_fail
            {
                let Some(entry) = in_flight.queue.remove(at) else { return };
                around.shared.discharge(entry.charge);
                around.fail(entry.exchange, outcome, decided);
            } else {
                at += 1;
            }
        }
    }

    /// Finishes everything in flight, at the end of the flow.
    fn finish_all<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        self.leave_streams(around, Reader::Opaque);
        let now = around.now();
        let Some(mut in_flight) = self.in_flight.take() else { return };
        let can_tell = self.pairing == Pairing::Exact;
        for mut entry in in_flight.queue.drain(..) {
            let asked = entry.exchange.request_end.unwrap_or(now);
            let is_silent = now.time.since(asked.time) >= around.shared.settings.no_response_timeout;
            let failed = entry.request == RequestProgress::Complete
                && entry.response == ResponseProgress::Waiting
                && entry.candidate.is_none()
                && can_tell;
            if failed && is_silent && entry.exchange.version.major != 0 && self.last_answer != LastAnswer::Closes {
                entry.exchange.outcome = Outcome::NoResponseTimeout;
                around.decide_without_status(&mut entry.exchange);
            }
            finish_entry(around, entry);
        }
        if let Some(exchange) = in_flight.unpaired.take() {
            around.shared.discharge(relief::UNPAIRED_CHARGE);
            around.finish(exchange);
        }
        if let Some(exchange) = in_flight.malformed.take() {
            around.shared.exchanges.put(exchange);
        }
        self.answering = Answering::None;
        self.in_flight = Some(in_flight);
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }
}

/// Finishes a request's exchange as it stands.
pub(super) fn finish_entry<K: ExchangeSink>(around: &mut ParserContext<'_, K>, mut entry: Entry) {
    around.shared.discharge(entry.charge);
    if entry.exchange.outcome == Outcome::Pending && entry.exchange.version == (Version { major: 0, minor: 9 }) {
        // The answer to an HTTP/0.9 request has no status line, so nothing distinguishes it from another protocol.
        around.shared.counters.http09_requests += 1;
        around.shared.exchanges.put(entry.exchange);
        return;
    }
    if entry.exchange.outcome == Outcome::Pending && entry.candidate.is_some() {
        around.shared.exchanges.put(entry.exchange);
        return;
    }
    if entry.request == RequestProgress::Body {
        entry.exchange.remarks.add(Remarks::BODY_INCOMPLETE);
    }
    around.finish(entry.exchange);
}
