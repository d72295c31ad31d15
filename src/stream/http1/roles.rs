//! Roles: who may ask, who may answer, and which status lines are content.
//!
//! In: who opened the connection, what each side's first bytes are, and the place of each status line. Out: which side a
//! request or response may come from, and whether a status line begins a response. Promises: the bytes of one side alone
//! neither silence nor reverse the other side.
//!
//! - **Who opened.** If the handshake was seen, the side that sent the SYN asks, and the other side answers. A 101 opens
//!   the streams anew: then either side may ask, and the first request decides.
//! - **What was opened.** A stream is of another protocol if the first bytes of *both* sides are not HTTP. For example, a
//!   client's junk, its TLS ClientHello or its HTTP/2 preface prove nothing as long as the server answers with a status
//!   line. HTTP may begin later, behind a SOCKS handshake for example: with a request and a status line that comes directly
//!   after it, or after the proxy's messages of that handshake (`socks`). Any other status line in a stream of another
//!   protocol is content. After a 101, the first bytes of the side that sent the 101 are enough.
//! - **What was asked.** A response that acknowledges only bytes of the client that earlier responses have answered is not a
//!   response. A body, or bytes that were not understood, may contain a request in each [`SMALLEST_REQUEST_BYTES`] bytes.
//!   Only one further response is believed: a 408 or 400 that ends the connection.
//! - **An echo.** A status line is an echo if the client sent the same header block at the same offset of its stream, and
//!   the server has not sent any response.
//!
//! A capture that begins within a connection, or holds one side only, knows no opening. All its status lines count.

use super::{
    conversation::{Answering, Conversation, ReadState},
    field_values::Persistence,
    framing::{self, Body, Chunked},
    head::Head,
    pairing::{Pairing, Partner, ResponseProgress},
    start_line::StatusLine,
};
use crate::{
    exchange::{ExchangeSink, Remarks, Version},
    stream::{
        context::{Origin, ParserContext},
        registry::Reader,
    },
    tcp::Direction,
};

/// Bytes of the smallest request that a server answers with a status line: `GET / HTTP/1.0` and two line ends.
const SMALLEST_REQUEST_BYTES: u64 = 16;

/// What the first bytes of a side are, from the handshake or from a 101 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum FirstBytes {
    #[default]
    Unseen,
    /// HTTP, or not known because the first bytes are in a gap.
    MaybeHttp,
    /// No message of HTTP/1.
    Other,
    /// A message of a SOCKS handshake.
    Socks,
}

impl FirstBytes {
    /// Returns whether the side began with bytes that are not HTTP.
    #[inline]
    fn is_other(self) -> bool {
        matches!(self, Self::Other | Self::Socks)
    }
}

/// What is known of the roles of both sides.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// The responses so far answer the bytes of the client's stream before this offset.
    answered_until: u64,
    /// Hash of the last header block of a response that a side sent which cannot answer; 0 if there is none.
    refused_answer: u32,
    first: [FirstBytes; 2],
    /// The client of the request that a 101 answered.
    upgraded_by: Option<Direction>,
    /// Whether a response that nobody asked for was believed, because it ends the connection.
    has_given_up: bool,
}

/// What a status line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A response.
    Response,
    /// Nothing: it is content of another protocol, or an echo.
    Content,
    /// A message that answers no request.
    Unasked,
}

impl Roles {
    /// Returns whether both sides began with bytes that are not HTTP.
    #[inline]
    pub(super) fn is_other_protocol(&self) -> bool {
        self.first.iter().all(|first| first.is_other())
    }

    /// Notes that a message of HTTP/1 came from a side.
    #[inline]
    pub(super) fn note_message(&mut self, direction: Direction) {
        let first = &mut self.first[direction as usize];
        if *first == FirstBytes::Unseen {
            *first = FirstBytes::MaybeHttp;
        }
    }

    #[inline]
    pub(super) fn is_unseen(&self, direction: Direction) -> bool {
        self.first[direction as usize] == FirstBytes::Unseen
    }

    /// Returns what the first bytes of a side are.
    pub(super) fn first_bytes(&self, direction: Direction) -> FirstBytes {
        self.first[direction as usize]
    }

    /// Notes that a side began with a SOCKS handshake.
    pub(super) fn note_socks(&mut self, direction: Direction) {
        self.first[direction as usize] = FirstBytes::Socks;
    }

    /// Returns whether a 101 opened the streams.
    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded_by.is_some()
    }

    /// Begins new streams on the same connection. After a 101, `upgraded_by` is who asked for the upgrade.
    pub(super) fn open_anew(&mut self, upgraded_by: Option<Direction>) {
        self.first = [FirstBytes::Unseen; 2];
        if upgraded_by.is_some() {
            self.upgraded_by = upgraded_by;
            // The request that was answered with the 101 may be answered once more (RFC 9110, section 7.8).
            self.answered_until = self.answered_until.saturating_sub(SMALLEST_REQUEST_BYTES);
        }
    }

    /// Notes that a response answers a request whose head ends at an offset of the client's stream.
    #[inline]
    pub(super) fn note_answer(&mut self, head_end: u64, origin: &Origin) {
        // A server that had not received the whole head answers an earlier part of it, which may be a request of its own.
        let end = origin.acknowledged.map_or(head_end, |acknowledged| acknowledged.min(head_end));
        self.answered_until = self.answered_until.max(end);
    }

    /// Notes that a response answers a request that is not known.
    pub(super) fn note_answer_to_unknown(&mut self) {
        self.answered_until = self.answered_until.saturating_add(SMALLEST_REQUEST_BYTES);
    }
}

impl Conversation {
    /// Returns whether a side may send requests.
    #[inline]
    pub(super) fn may_ask<K>(&self, around: &ParserContext<'_, K>, direction: Direction) -> bool {
        match self.client {
            Some(client) => client == direction,
            None => self.roles.upgraded_by.is_some() || around.flow.opened_by.is_none_or(|opener| opener == direction),
        }
    }

    /// Returns whether a side may send responses.
    #[inline]
    pub(super) fn may_answer<K>(&self, around: &ParserContext<'_, K>, direction: Direction) -> bool {
        match self.client {
            Some(client) => client != direction,
            None => self.opener(around) != Some(direction),
        }
    }

    /// Returns the side that opened the streams: that asked for the upgrade, or else sent the SYN.
    #[inline]
    fn opener<K>(&self, around: &ParserContext<'_, K>) -> Option<Direction> {
        self.roles.upgraded_by.or(around.flow.opened_by)
    }

    /// Notes that a side which may ask begins a request. If an upgrade turned the roles, only bytes from here on are
    /// answered.
    pub(super) fn note_first_asker(&mut self, direction: Direction, origin: &Origin) {
        if self.client.is_none() && self.roles.upgraded_by.is_some_and(|asked| asked != direction) {
            self.roles.answered_until = origin.offset;
        }
    }

    /// Notes that the first bytes of a side are missing.
    #[cold]
    pub(super) fn note_missing_first_bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let direction = around.direction();
        if self.roles.upgraded_by.is_some() {
            self.note_other_bytes(around, direction, &[]);
        } else {
            self.roles.first[direction as usize] = FirstBytes::MaybeHttp;
        }
    }

    /// Notes that the first bytes of a side are no message.
    #[cold]
    pub(super) fn note_other_bytes<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        direction: Direction,
        bytes: &[u8],
    ) {
        let other = direction.opposite();
        let (opener, is_upgraded) = (self.opener(around), self.roles.upgraded_by.is_some());
        // A capture that begins within a connection does not show its first bytes.
        if opener.is_none() && !self.roles.first[other as usize].is_other() {
            return;
        }
        self.roles.first[direction as usize] = FirstBytes::Other;
        if !matches!(around.reader(other), Reader::Undecided | Reader::Http1) {
            self.roles.first[other as usize] = FirstBytes::Other;
        }
        let is_responder = opener != Some(direction);
        if self.roles.is_other_protocol() || (is_upgraded && is_responder) {
            self.drop_candidates(around);
            if is_upgraded || (is_responder && names_other_protocol(bytes)) {
                self.leave_streams(around, Reader::Opaque);
            }
        }
    }

    /// Notes that a side sent bytes that are no message.
    #[inline]
    pub(super) fn note_refused<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8]) {
        let direction = around.direction();
        if self.roles.is_unseen(direction) {
            self.note_other_bytes(around, direction, bytes);
        } else if self.roles.is_other_protocol() && self.client == Some(direction.opposite()) {
            self.drop_candidates(around);
        }
    }

    /// Forgets the requests that were read in a stream of another protocol, because no status line came directly after them.
    #[cold]
    pub(super) fn drop_candidates<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        while self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.queue.is_empty()) {
            self.forget_oldest_request(around);
        }
        if let Some(exchange) = self.in_flight.as_mut().and_then(|in_flight| in_flight.malformed.take()) {
            around.shared.exchanges.put(exchange);
        }
        if let Some(client) = self.client.take() {
            let side = self.side(client);
            if matches!(side.state, ReadState::Body(_) | ReadState::Chunked(_)) {
                (side.state, side.body) = (ReadState::Resync, 0);
            }
        }
        self.pairing = Pairing::Exact;
    }

    /// Returns the offset of the server's stream at which a status line must begin, if a request that begins now counts only
    /// when a status line answers it.
    #[inline]
    pub(super) fn candidate<K>(&self, around: &ParserContext<'_, K>, origin: &Origin, is_preface: bool) -> Option<u64> {
        let direction = around.direction();
        if !is_preface && !self.roles.first[direction as usize].is_other() {
            return None;
        }
        let offset = around.sides[direction.opposite() as usize].offset;
        let is_silent = offset == 0 && origin.acknowledged == Some(0);
        (is_preface || self.roles.is_other_protocol() || is_silent).then_some(offset)
    }

    /// Returns what a status line begins that a side sent which may answer.
    #[inline]
    pub(super) fn judge_answer<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) -> Answer {
        let is_awaited = self.in_flight.as_ref().is_some_and(|in_flight| {
            in_flight.queue.front().is_some_and(|entry| entry.response == ResponseProgress::Waiting)
        });
        if is_awaited && !self.roles.is_other_protocol() && self.roles.refused_answer == 0 {
            return Answer::Response;
        }
        self.judge_odd_answer(around, line, head, origin)
    }

    #[cold]
    fn judge_odd_answer<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) -> Answer {
        let server = around.direction();
        if self.roles.is_other_protocol() {
            let is_proof = self.in_flight.as_ref().is_some_and(|in_flight| {
                in_flight.queue.front().is_some_and(|entry| {
                    entry.candidate == Some(origin.offset)
                        && origin.acknowledged.is_none_or(|acknowledged| acknowledged >= entry.head_end)
                })
            });
            if !is_proof {
                around.shared.counters.status_lines_in_content += 1;
                return Answer::Content;
            }
            self.roles.first = [FirstBytes::MaybeHttp; 2];
        }
        let has_answered = self.roles.first[server as usize] == FirstBytes::MaybeHttp;
        if self.roles.refused_answer != 0 && !has_answered && hash(head.bytes, origin) == self.roles.refused_answer {
            around.shared.counters.status_lines_in_content += 1;
            return Answer::Content;
        }
        if (100..200).contains(&line.status) && line.status != 101 {
            return Answer::Response;
        }
        if self.is_unasked(around, origin) && !self.gives_up(line, head, server) {
            around.shared.counters.unasked_responses += 1;
            return Answer::Unasked;
        }
        Answer::Response
    }

    /// Returns whether a response answers no byte of the client: the client's stream is known from its first byte up to what
    /// the response acknowledges, and earlier responses answer all of it.
    fn is_unasked<K>(&self, around: &ParserContext<'_, K>, origin: &Origin) -> bool {
        !self.has_waiting_request()
            && around.flow.opened_by.is_some()
            && around.flow.evidence.is_opened_both_ways()
            && self.pairing != Pairing::Broken
            && origin.acknowledged.is_some_and(|acknowledged| acknowledged <= self.roles.answered_until)
    }

    /// Returns whether a response that nobody asked for is the one that ends the connection: the server waited in vain (408),
    /// or refuses the connection (400).
    fn gives_up(&mut self, line: &StatusLine<'_>, head: &Head<'_>, server: Direction) -> bool {
        let is_at_message = !self.roles.first[server as usize].is_other();
        let is_last = match head.fields.persistence {
            Persistence::Close => true,
            Persistence::Unsaid => line.version == (Version { major: 1, minor: 0 }),
            Persistence::KeepAlive => false,
        } || framing::response_body(head.fields) == Body::UntilClose;
        let believed = matches!(line.status, 400 | 408) && is_at_message && is_last && !self.roles.has_given_up;
        self.roles.has_given_up |= believed;
        believed
    }

    /// Passes over a message that answers no request. Its framing is followed, as the next message may be a response.
    #[cold]
    pub(super) fn pass_unasked<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
    ) {
        if self.answering != Answering::None {
            self.end_response(around, Remarks::default());
        }
        let side = self.side(around.direction());
        side.body = 0;
        side.state = match (line.status, framing::response_body(head.fields)) {
            (101 | 204 | 304, _) | (_, Body::None) => ReadState::Between,
            (_, Body::Known(length)) => ReadState::Body(length),
            (_, Body::Chunked) => ReadState::Chunked(Chunked::START),
            (_, Body::UntilClose | Body::Unframed) => ReadState::Resync,
        };
    }

    /// Remembers the header block of a response that comes from a side which may not answer. The other side may echo it.
    #[cold]
    pub(super) fn note_refused_answer<K>(&mut self, around: &mut ParserContext<'_, K>, head: &[u8], origin: &Origin) {
        around.shared.counters.status_lines_in_content += 1;
        self.roles.refused_answer = hash(head, origin);
    }

    /// Notes which bytes of the client a final response answers.
    #[inline]
    pub(super) fn note_answered(&mut self, partner: Partner, origin: &Origin) {
        self.roles.note_message(match self.client {
            Some(client) => client.opposite(),
            None => return,
        });
        let oldest = self.in_flight.as_ref().and_then(|in_flight| in_flight.queue.front());
        match (partner, oldest) {
            (Partner::After(_), Some(entry)) => self.roles.note_answer(entry.head_end, origin),
            _ => self.roles.note_answer_to_unknown(),
        }
    }
}

/// Returns whether the first bytes of a server name a protocol whose messages look like those of HTTP and contain them.
fn names_other_protocol(bytes: &[u8]) -> bool {
    [b"ICAP/".as_slice(), b"RTSP/", b"SIP/"].iter().any(|name| bytes.starts_with(name))
}

/// Returns a hash of a header block and its offset (FNV-1a); never 0.
fn hash(head: &[u8], origin: &Origin) -> u32 {
    let offset = origin.offset.to_be_bytes();
    let bytes = offset.iter().chain(head);
    bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)).max(1)
}
