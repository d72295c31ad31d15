//! What HTTP/1 remembers of one connection.
//!
//! In: nothing by itself; the other files of the folder change it. Out: [`Conversation`], which is small and lies in the
//! flow table. While messages are in flight it owns an [`InFlight`] from the pool; an idle keep-alive connection owns
//! none.

use super::{
    framing::Chunked,
    in_flight::InFlight,
    pairing::{Pairing, Pipelining},
};
use crate::{stream::context::ParserContext, tcp::Direction};

/// The HTTP/1 state of one connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// Who sends requests, once that is known.
    pub(super) client: Option<Direction>,
    pub(super) sides: [Side; 2],
    pub(super) pairing: Pairing,
    pub(super) pipelining: Pipelining,
    pub(super) early_responses: EarlyResponses,
    /// Responses whose requests were not seen account for the client's stream before this offset.
    pub(super) accounted_until: u64,
    /// Which exchange the server's side is answering.
    pub(super) answering: Answering,
    /// Whether the last final response said that the connection ends with it.
    pub(super) last_answer: LastAnswer,
    pub(super) in_flight: Option<Box<InFlight>>,
}

/// Whether a response that was captured before its request is held until the request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum EarlyResponses {
    #[default]
    Hold,
    /// Held bytes are being read; nothing is held meanwhile.
    Releasing,
    /// A request did not come. None is held until something of the client is seen.
    NoLonger,
}

/// What the server's last final response said of the connection's future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LastAnswer {
    #[default]
    None,
    KeepsOpen,
    Closes,
}

/// Which exchange the bytes of the server's side belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Answering {
    #[default]
    None,
    /// That of the oldest request.
    Oldest,
    /// A response without a known request.
    Unpaired,
}

/// What HTTP/1 knows of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) state: ReadState,
    /// Body bytes of the message being read; bytes passed over while resynchronising.
    pub(super) body: u64,
    /// Before this offset a gap may have held messages.
    pub(super) gap_until: u64,
}

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ReadState {
    /// A start line: the side is between messages.
    #[default]
    Between,
    /// More of a header block, which is kept in [`InFlight::partial_heads`].
    PartialHead,
    /// The end of a header block over the limit.
    OversizedHead(HeadEnd),
    /// More of a response that is held in [`InFlight::early`] until its request is there.
    EarlyResponse,
    /// A body, of which so many bytes are left, at least 1.
    Body(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// A body that lasts until the stream ends.
    UntilClose,
    /// A message at the start of a chunk, whatever stands before it.
    Resync,
}

/// How much of a header block's end was just seen.
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

    /// Notes who sends requests. What another parser read until now is HTTP/1's from here on.
    pub(super) fn learn_client<K>(&mut self, around: &mut ParserContext<'_, K>, client: Direction) {
        if self.client.is_none() {
            self.client = Some(client);
            for (side, is_taken) in self.sides.iter_mut().zip(around.claim_for_http1()) {
                if is_taken {
                    side.state = ReadState::Resync;
                }
            }
        }
    }
}
