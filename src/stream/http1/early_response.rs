//! Early responses: responses that were captured before the request that they answer; and what a client sends in a tunnel, captured
//! before the answer that opens it.
//!
//! In: a response whose packet acknowledges bytes of the client's stream that are not captured yet. This happens if the two
//! directions come through different interfaces or threads. Also the first response of a connection, if the server sends it
//! before the client has asked for anything. Likewise bytes of a client that has asked for a tunnel or an upgrade, whose packet
//! acknowledges an answer that is not captured yet. Out: the same bytes, once the acknowledged bytes are captured.
//! Promises: the bytes of one side are held under caps of bytes, pieces and time. When a cap is reached, they are read as they are:
//! a response without its request.

use std::time::Duration;

use super::{
    conversation::{Conversation, EarlyResponses, LastAnswer, ReadState},
    field_values::Upgrade,
    in_flight::EarlyResponse,
    pairing::{MethodKind, Pairing, RequestProgress, ResponseProgress},
    start_line::StatusLine,
};
use crate::{
    capture::Stamp,
    exchange::{ExchangeSink, KEPT_BUFFER_BYTES},
    stream::{
        context::{Origin, ParserContext},
        registry::Reader,
        streams,
    },
    tcp::{ChunkContext, Direction},
};

/// Most pieces that are held of one connection.
const MAX_PIECES: usize = 256;

/// Stands for the offset of the client's stream at which its first request is complete.
const UNTIL_ASKED: u64 = u64::MAX;

impl Conversation {
    /// Returns whether a response was captured before its request.
    pub(super) fn comes_early<K>(
        &self,
        around: &ParserContext<'_, K>,
        line: &StatusLine<'_>,
        direction: Direction,
        origin: &Origin,
    ) -> bool {
        let client = around.sides[direction.opposite() as usize];
        let is_final = line.status >= 200 || line.status == 101;
        is_final
            && match self.early_responses {
                EarlyResponses::Hold => true,
                EarlyResponses::NoLonger => client.offset != 0,
                EarlyResponses::Releasing => false,
            }
            && self.pairing != Pairing::Broken
            && !client.has_ended
            && client.reader != Reader::Opaque
            && origin.acknowledged.is_some_and(|acknowledged| acknowledged > client.offset)
            && self.holding().is_none()
            && !self.in_flight.as_ref().is_some_and(|in_flight| {
                in_flight.queue.iter().any(|entry| entry.response == ResponseProgress::Waiting && !entry.doubt.response)
            })
    }

    /// Returns whether the current side's next bytes may be in a tunnel that is not open yet, as far as was captured: the client has
    /// asked for a tunnel or an upgrade, and had an answer when it sent them.
    #[inline]
    pub(super) fn may_be_in_tunnel<K>(&self, around: &ParserContext<'_, K>) -> bool {
        let server = around.sides[around.direction().opposite() as usize];
        around.chunk.acknowledged.is_some_and(|acknowledged| acknowledged > server.offset) && self.awaits_tunnel(around)
    }

    #[cold]
    fn awaits_tunnel<K>(&self, around: &ParserContext<'_, K>) -> bool {
        let direction = around.direction();
        let server = around.sides[direction.opposite() as usize];
        self.is_client(direction)
            && self.early_responses != EarlyResponses::Releasing
            && self.holding().is_none()
            && !server.has_ended
            && server.reader != Reader::Opaque
            && self.in_flight.as_ref().and_then(|in_flight| in_flight.queue.back()).is_some_and(|entry| {
                entry.response == ResponseProgress::Waiting
                    && entry.request == RequestProgress::Complete
                    && (entry.method == MethodKind::Connect || entry.upgrade != Upgrade::None)
            })
    }

    /// Returns whether a response that nobody has asked for is the first of a connection whose client has sent nothing. Such a
    /// client may take the response for the answer to the request that it sends next.
    pub(super) fn may_precede_request<K>(&self, around: &ParserContext<'_, K>, direction: Direction) -> bool {
        let client = around.sides[direction.opposite() as usize];
        self.last_answer == LastAnswer::None
            && self.early_responses == EarlyResponses::Hold
            && client.offset == 0
            && !client.has_ended
    }

    /// Holds the first response of a connection, from its first byte until the client asks.
    #[cold]
    pub(super) fn hold_until_asked<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        origin: &Origin,
    ) -> usize {
        let held = self.hold_early_response(around, bytes, origin);
        around.shared.http1.fill(&mut self.in_flight).early.until = UNTIL_ASKED;
        held
    }

    /// Holds a response from its first byte.
    pub(super) fn hold_early_response<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        origin: &Origin,
    ) -> usize {
        around.shared.counters.overtaking_responses += 1;
        self.learn_client(around, around.direction().opposite());
        self.hold(around, bytes, origin)
    }

    /// Holds the current side's bytes, which come before what they acknowledge.
    pub(super) fn hold<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        origin: &Origin,
    ) -> usize {
        self.side(around.direction()).state = ReadState::EarlyResponse;
        let held = &mut around.shared.http1.fill(&mut self.in_flight).early;
        held.is_in_tunnel = false;
        held.until = origin.acknowledged.unwrap_or(0);
        held.since = around.now();
        held.pieces.push((origin.as_chunk(around.chunk), bytes.len()));
        held.bytes.extend_from_slice(bytes);
        around.shared.held += bytes.len();
        bytes.len()
    }

    /// Holds the bytes that follow a held response.
    pub(super) fn hold_more<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8]) -> usize {
        let limit = around.shared.settings.max_early_bytes;
        let fits = around.shared.can_hold(bytes.len());
        let held = &mut around.shared.http1.fill(&mut self.in_flight).early;
        if held.bytes.len() + bytes.len() > limit || held.pieces.len() >= MAX_PIECES || !fits {
            self.release_without_request(around);
            return 0;
        }
        // Bytes after a FIN show that it was forged.
        held.end = None;
        held.pieces.push((*around.chunk, bytes.len()));
        held.bytes.extend_from_slice(bytes);
        around.shared.held += bytes.len();
        bytes.len()
    }

    /// Reads held responses if the request's bytes are captured, or will not come.
    pub(super) fn release_if_complete<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let Some(ahead) = self.holding() else { return };
        let other = ahead.opposite();
        let is_due = self.in_flight.as_ref().is_none_or(|in_flight| match in_flight.early.until {
            _ if in_flight.early.is_in_tunnel => true,
            UNTIL_ASKED => self.has_waiting_request(),
            until => around.sides[other as usize].offset >= until,
        });
        if is_due || around.has_ended(other) {
            self.release(around);
        }
    }

    /// Returns whether bytes of a side are held.
    #[inline]
    pub(super) fn is_held<K>(&self, around: &ParserContext<'_, K>, direction: Direction) -> bool {
        self.sides[direction as usize].state == ReadState::EarlyResponse && around.reader(direction) == Reader::Http1
    }

    /// Returns whether responses are held, which may be released after some time without another segment.
    #[inline]
    pub(in crate::stream) fn is_waiting(&self) -> bool {
        self.holding().is_some()
    }

    /// Returns the side whose bytes are held. [`Self::client`] does not tell it: who asks may be unknown again since then.
    #[inline]
    fn holding(&self) -> Option<Direction> {
        Direction::BOTH.into_iter().find(|direction| self.sides[*direction as usize].state == ReadState::EarlyResponse)
    }

    /// Returns how long the held bytes have been held.
    fn held_for(&self, now: Stamp) -> Duration {
        self.in_flight.as_ref().map_or(Duration::ZERO, |in_flight| now.time.since(in_flight.early.since.time))
    }

    /// Holds more bytes of a side. If the held bytes have waited for too long, reads all of them instead.
    pub(super) fn hold_or_release<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        at: usize,
    ) -> usize {
        if at == 0 && self.held_for(around.now()) > around.shared.settings.early_patience {
            self.release_without_request(around);
            return 0;
        }
        self.hold_more(around, bytes)
    }

    /// Reads held responses if the server has been silent for too long after them.
    pub(in crate::stream) fn time<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let Some(direction) = self.holding() else { return };
        if self.is_held(around, direction) && self.held_for(around.now()) > around.shared.settings.early_silence {
            let chunk = around.at_end_of(direction, around.now());
            self.release_without_request(&mut around.with_chunk(&chunk));
            around.shared.http1.release_if_idle(&mut self.in_flight);
        }
    }

    /// Reads held responses without their request, which has not come.
    pub(super) fn release_without_request<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        around.shared.counters.overtaking_given_up += 1;
        self.early_responses = EarlyResponses::Releasing;
        self.release(around);
        self.early_responses = EarlyResponses::NoLonger;
    }

    /// A tunnel is opened: what the client sent ahead is in it, and its side is put back to where that begins.
    pub(super) fn hold_in_tunnel<K>(&mut self, around: &mut ParserContext<'_, K>) {
        if let Some(ahead) = self.holding()
            && let Some(in_flight) = &mut self.in_flight
            && let Some((first, _)) = in_flight.early.pieces.first()
        {
            around.sides[ahead as usize].offset = first.offset;
            in_flight.early.is_in_tunnel = true;
        }
    }

    /// Takes the client's bytes that were captured too early and belong into the tunnel, before this state is dropped.
    pub(super) fn take_of_tunnel(&mut self) -> Option<(Direction, EarlyResponse)> {
        let ahead = self.holding()?;
        let in_flight = self.in_flight.as_mut().filter(|in_flight| in_flight.early.is_in_tunnel)?;
        Some((ahead, std::mem::take(&mut in_flight.early)))
    }

    /// Holds the bytes that [`take_of_tunnel`](Self::take_of_tunnel) has taken.
    pub(super) fn put_back<K>(&mut self, around: &mut ParserContext<'_, K>, taken: Option<(Direction, EarlyResponse)>) {
        if let Some((ahead, held)) = taken {
            self.side(ahead).state = ReadState::EarlyResponse;
            around.shared.http1.fill(&mut self.in_flight).early = held;
        }
    }

    /// Reads all held bytes.
    fn release<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let Some(server) = self.holding() else { return };
        self.side(server).state = ReadState::Between;
        let Some(in_flight) = &mut self.in_flight else { return };
        let end = in_flight.early.end.take();
        in_flight.early.is_in_tunnel = false;
        let mut pieces = std::mem::take(&mut in_flight.early.pieces);
        let mut bytes = std::mem::take(&mut in_flight.early.bytes);
        around.shared.held -= bytes.len();
        let mut rest = bytes.as_slice();
        for (context, length) in pieces.drain(..) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            let chunk = ChunkContext { now: around.now(), ..context };
            streams::read(&mut around.with_chunk(&chunk), self, piece);
        }
        bytes.clear();
        let held = &mut around.shared.http1.fill(&mut self.in_flight).early;
        if held.pieces.is_empty() && bytes.capacity() <= KEPT_BUFFER_BYTES {
            (held.pieces, held.bytes) = (pieces, bytes);
        }
        if self.side(server).state == ReadState::EarlyResponse {
            around.shared.http1.fill(&mut self.in_flight).early.end = end;
        } else if let Some(end) = end {
            let chunk = ChunkContext { now: around.now(), ..end.chunk };
            self.side_ends(&mut around.with_chunk(&chunk), end.is_first);
        }
    }
}
