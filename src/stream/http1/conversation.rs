//! The HTTP/1 state of one connection.
//!
//! In: nothing; the other files of the folder change the state. Out: [`Conversation`], which is small, since every flow in
//! the flow table has one. While messages are in flight, a conversation owns an [`InFlight`] from the pool. An idle
//! keep-alive connection owns none.

use super::{
    framing::Chunked,
    in_flight::InFlight,
    pairing::{Pairing, Pipelining},
    roles::Roles,
};
use crate::{
    exchange::ExchangeSink,
    stream::{context::ParserContext, registry::Reader},
    tcp::Direction,
};

/// The HTTP/1 state of one connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// Who sends requests, once that is known.
    pub(super) client: Option<Direction>,
    pub(super) sides: [Side; 2],
    pub(super) roles: Roles,
    pub(super) pairing: Pairing,
    pub(super) pipelining: Pipelining,
    pub(super) early_responses: EarlyResponses,
    /// Responses whose requests were not seen account for the bytes of the client's stream before this offset: those
    /// requests are among these bytes.
    pub(super) accounted_until: u64,
    /// The exchange whose response the server's side is sending.
    pub(super) answering: Answering,
    /// Whether the last final response announced the end of the connection.
    pub(super) last_answer: LastAnswer,
    /// Whether a response was paired with its request.
    pub(super) has_paired: bool,
    /// Whether the client's last message had a body. Then the next bytes may still be of that body.
    pub(super) is_after_body: bool,
    pub(super) in_flight: Option<Box<InFlight>>,
}

/// Whether a response that was captured before its request is held until the request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum EarlyResponses {
    #[default]
    Hold,
    /// Held responses are being read. No response is held meanwhile.
    Releasing,
    /// An awaited request did not come. No response is held until bytes of the client are seen.
    NoLonger,
}

/// What the server's last final response announced: whether the connection stays open or closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LastAnswer {
    #[default]
    None,
    KeepsOpen,
    Closes,
}

/// The exchange that the bytes of the server's side belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Answering {
    #[default]
    None,
    /// The exchange of the oldest request.
    Oldest,
    /// A response without a known request.
    Unpaired,
}

/// The HTTP/1 state of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) state: ReadState,
    /// Body bytes of the message that is being read. During resynchronisation: bytes skipped so far.
    pub(super) body: u64,
    /// A gap before this offset may have contained messages.
    pub(super) gap_until: u64,
}

/// The part of a message that is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ReadState {
    /// A start line: the side is between messages.
    #[default]
    Between,
    /// More of a header block, which is kept in [`InFlight::partial_heads`].
    PartialHead,
    /// The rest of a header block over the limit, up to its end.
    OversizedHead(HeadEnd),
    /// More of a response that is held in [`InFlight::early`] until its request is captured.
    EarlyResponse,
    /// A body with this many bytes left, at least 1.
    Body(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// A body that lasts until the stream ends.
    UntilClose,
    /// A body, which is kept in [`InFlight::awaited_bodies`], or the next message in its place. The first line decides.
    BodyOrMessage,
    /// The next status line. The bytes before it belong to no message: the server sent more than it announced.
    Surplus,
    /// The next message that begins at the start of a chunk. Bytes before it are skipped.
    Resync,
}

/// How much of the end of a header block was just seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadEnd {
    None,
    LineFeed,
    LineFeedReturn,
}

impl Conversation {
    /// Returns whether a side is known to be the client's.
    #[inline]
    pub(super) fn is_client(&self, direction: Direction) -> bool {
        self.client == Some(direction)
    }

    /// Returns whether a side is known to be the server's.
    #[inline]
    pub(super) fn is_server(&self, direction: Direction) -> bool {
        self.client == Some(direction.opposite())
    }

    #[inline]
    pub(super) fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize]
    }

    /// Returns whether no message is in flight.
    #[inline]
    pub(in crate::stream) fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// Returns whether no message has shown yet that the connection speaks HTTP/1.
    pub(in crate::stream) fn may_be_other(&self) -> bool {
        self.client.is_none()
    }

    /// A side speaks another protocol. A preface of HTTP/2 that was read as a request is none, and an incomplete head is content.
    pub(in crate::stream) fn leave_to<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let has_requests = self
            .in_flight
            .as_ref()
            .is_some_and(|in_flight| in_flight.queue.iter().any(|entry| entry.candidate.is_none()));
        if !has_requests {
            self.drop_candidates(around);
        }
        let ahead = self.take_of_tunnel();
        self.forget_partial(around);
        for side in &mut self.sides {
            if matches!(side.state, ReadState::PartialHead | ReadState::OversizedHead(_) | ReadState::EarlyResponse) {
                side.state = ReadState::Resync;
            }
        }
        self.put_back(around, ahead);
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }

    /// Notes who sends requests. HTTP/1 takes over the sides that another parser has read until now.
    #[inline]
    pub(super) fn learn_client<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, client: Direction) {
        // A server that answers the preface of HTTP/2 with a response of HTTP/1 takes the client's side back.
        if self.client.is_none() || around.reader(client) == Reader::Http2 {
            self.take_sides(around, client);
        }
    }

    /// Reads both sides from here on. It happens once a connection, so that [`learn_client`](Self::learn_client) stays small.
    #[cold]
    fn take_sides<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, client: Direction) {
        self.client = Some(client);
        let taken = around.claim_for_http1();
        for (direction, is_taken) in Direction::BOTH.into_iter().zip(taken) {
            if is_taken {
                // The bytes that the other parser has read may have been messages.
                self.note_gap(around, direction, around.sides[direction as usize].offset);
                self.side(direction).state = ReadState::Resync;
            }
        }
    }
}

impl ReadState {
    /// Returns whether a body is read next.
    #[inline]
    pub(super) fn is_body(self) -> bool {
        matches!(self, Self::Body(_) | Self::Chunked(_) | Self::UntilClose)
    }
}
