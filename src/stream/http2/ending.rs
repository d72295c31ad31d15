//! The ends of streams: with their messages, by a reset, with a side, or with the connection.
//!
//! In: resets, GOAWAYs, FINs, and the end of the flow. Out: exchanges, finished; those without a response are decided where it
//! is certain that the server gave none. Promises: an exchange that began is finished exactly once. A request counts as
//! unanswered only if it was complete, the server had received it, and nothing was lost that could have answered or cancelled
//! it.

use super::{
    Http2,
    streams::{OpenStream, Request, Response, is_pushed},
};
use crate::{
    capture::Stamp,
    exchange::{EndingFrame, ExchangeSink, Outcome, Remarks, StreamEnd},
    stream::{End, StreamSettings, context::ParserContext},
    tcp::{Chunk, ChunkContext, Direction},
    time::Timestamp,
};

/// `NO_ERROR` (RFC 9113, section 7): a GOAWAY with it ends no stream that the server has processed.
const NO_ERROR: u32 = 0;

/// `REFUSED_STREAM`: the server has not processed the request.
const REFUSED_STREAM: u32 = 7;

impl Http2 {
    /// Takes an `RST_STREAM` (RFC 9113, section 6.4).
    pub(super) fn reset_stream<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, code: u32) {
        if self.is_tunnel(id) {
            self.end_tunnel(around, id, Chunk::Reset);
            return;
        }
        let by_client = self.client == Some(around.direction());
        let Some(stream) = self.streams.find(id) else { return };
        let end = StreamEnd { frame: EndingFrame::Reset, by_server: !by_client, code };
        stream.exchange.stream_end.get_or_insert(end);
        let mut remarks = Remarks::default();
        match stream.response {
            Response::Waiting if by_client && !is_pushed(id) => {
                stream.exchange.remarks.add(Remarks::CANCELLED);
                self.cancel(around, id);
                return;
            }
            Response::Waiting if code == REFUSED_STREAM => {
                around.shared.counters.http2_refused += 1;
                remarks.add(Remarks::REFUSED);
            }
            Response::Waiting if is_unanswered(id, stream) => {
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

    /// Cancels a stream for the client. Its response may be under way: who reads it may have cancelled the stream to hide it.
    fn cancel<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32) {
        let Some(stream) = self.streams.find(id) else { return };
        if !std::mem::replace(&mut stream.is_cancelled, true) {
            around.shared.counters.http2_cancelled += 1;
        }
        if let Some(oldest) = self.streams.oldest_cancelled() {
            self.finish(around, oldest, Remarks::default());
        }
    }

    /// Takes a `GOAWAY` (RFC 9113, section 6.8). The server has not processed, and will not process, later streams.
    pub(super) fn goaway<K>(&mut self, around: &mut ParserContext<'_, K>, last: u32, code: u32) {
        if self.client == Some(around.direction().opposite()) {
            self.last_processed = self.last_processed.min(last);
        }
        let known = &mut self.goaways[around.direction() as usize];
        if known.is_none_or(|known| known == NO_ERROR) {
            *known = Some(code);
        }
    }

    /// Notes on an exchange which GOAWAY ended its stream, if one did and nothing else had ended it before: the server's if the
    /// stream is beyond the last that it processed, or else one with an error.
    fn note_goaway(&self, id: u32, stream: &mut OpenStream) {
        let Some(client) = self.client.filter(|_| stream.response != Response::Complete) else { return };
        let is_refused = id > self.last_processed && !is_pushed(id);
        let ended_by = |sender: Direction, by_server| {
            let code = self.goaways[sender as usize].filter(|code| *code != NO_ERROR || is_refused && by_server)?;
            Some(StreamEnd { frame: EndingFrame::GoAway, by_server, code })
        };
        let exchange = &mut stream.exchange;
        if exchange.stream_end.is_some() {
            return;
        }
        exchange.stream_end = ended_by(client.opposite(), true).or_else(|| ended_by(client, false));
        if is_refused && stream.response == Response::Waiting {
            exchange.remarks.add(Remarks::REFUSED);
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
                && is_unanswered(id, stream)
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
            is_heard && id <= self.last_processed && is_unanswered(id, stream) && now.time.since(asked.time) >= patience
        });
        for id in silent {
            self.fail(around, id, Outcome::NoResponseTimeout, now);
        }
        for id in self.streams.ids_of(|_, _| true) {
            self.finish(around, id, Remarks::default());
        }
    }

    /// Returns whether the server speaks HTTP/2 or has not sent a byte, so that nothing it said was not read.
    fn is_heard<K>(&self, around: &ParserContext<'_, K>, server: Direction) -> bool {
        let side = &self.sides[server as usize];
        around.sides[server as usize].offset == side.start || !side.is_unread()
    }

    /// Finishes a stream whose request stays without a response.
    fn fail<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, outcome: Outcome, when: Stamp) {
        let Some(mut stream) = self.streams.remove(id) else { return };
        self.note_goaway(id, &mut stream);
        around.shared.discharge(stream.charge);
        around.fail(stream.exchange, outcome, when);
    }

    /// Finishes a stream as it stands.
    pub(super) fn finish<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, remarks: Remarks) {
        if let Some(chunk) = self.streams.find(id).and_then(OpenStream::take_undecided) {
            self.decide_response(&mut around.with_chunk(&ChunkContext { now: around.chunk.now, ..chunk }), id);
        }
        let Some(mut stream) = self.streams.remove(id) else { return };
        if is_pushed(id) && stream.response == Response::Waiting {
            // What a server announces and does not send is nothing that happened.
            around.shared.discharge(stream.charge);
            around.shared.exchanges.put(stream.exchange);
            return;
        }
        self.note_goaway(id, &mut stream);
        stream.exchange.remarks.add(remarks);
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
                self.decide_response(&mut around.with_chunk(&ChunkContext { now: around.chunk.now, ..chunk }), id);
            }
            if is_complete {
                self.finish(around, id, Remarks::default());
            }
        }
    }
}

/// Returns whether a complete request has certainly no response yet.
fn is_unanswered(id: u32, stream: &OpenStream) -> bool {
    !is_pushed(id)
        && stream.request == Request::Complete
        && stream.response == Response::Waiting
        && !stream.is_unsure
        && !stream.is_cancelled
}
