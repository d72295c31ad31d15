//! What is remembered of one connection.
//!
//! [`Conversation`] is small and lives in the flow table; while messages are in flight it owns a [`Work`] from the
//! engine's pool. An idle keep-alive connection owns none.

use super::{
    framing::Chunked,
    pairing::{Asks, Entry, Pairing},
    tls::TlsHandshake,
};
use crate::exchange::Exchange;
use crate::exchange::KEPT_BUFFER_BYTES;
use crate::{
    address::Endpoint,
    capture::Stamp,
    tcp::{ChunkContext, Direction},
};
use std::collections::VecDeque;

/// The HTTP state of one flow.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Who sends requests, once that is known.
    pub(super) client: Option<Direction>,
    pub(super) sides: [Side; 2],
    pub(super) pairing: Pairing,
    pub(super) asks: Asks,
    pub(super) overtaking: Overtaking,
    /// How far the client's stream is accounted for by responses whose requests were not seen.
    pub(super) accounted: u64,
    /// Which exchange the server's side is answering.
    pub(super) target: Target,
    /// Whether the last final response said that the connection ends with it.
    pub(super) last_answer: LastAnswer,
    /// Source that a PROXY protocol header named.
    pub(super) proxied: Option<Box<Endpoint>>,
    pub(super) work: Option<Box<Work>>,
}

/// Whether a response may be held until its request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Overtaking {
    #[default]
    Possible,
    /// What was held is being read; nothing is held meanwhile.
    Releasing,
    /// Not while nothing of the client was ever seen.
    GivenUp,
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
pub(super) enum Target {
    #[default]
    None,
    /// The oldest request.
    Front,
    /// A response without a known request.
    Unpaired,
}

/// One direction's stream.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) reading: Reading,
    /// Stream offset of the next byte.
    pub(super) offset: u64,
    /// Body bytes of the message being read; bytes passed over while resynchronising.
    pub(super) body: u64,
    pub(super) ended: Ended,
    /// Before this offset messages may have been lost.
    pub(super) lost_until: u64,
}

/// Where a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reading {
    /// At the stream's start: any protocol, a PROXY preface or TLS may begin.
    #[default]
    Fresh,
    /// Between messages.
    Start,
    /// In a header block, which is kept in [`Work::heads`].
    Head,
    /// In a header block over the limit; looking for its end.
    SkipHead(HeadEnd),
    /// Response held until its request is there; bytes are kept in [`Work::held`].
    Held,
    /// In a body, so many bytes are left, at least 1.
    Body(u64),
    Chunked(Chunked),
    UntilClose,
    /// Looking for a message at the start of a chunk.
    Resync,
    /// In a TLS handshake.
    Tls,
    /// Nothing more is read.
    Opaque,
}

impl Reading {
    /// Whether no message is cut where the stream ends.
    #[inline]
    pub(super) fn is_between_messages(self) -> bool {
        matches!(self, Self::Fresh | Self::Start | Self::Opaque)
    }
}

/// How much of a header block's end was just seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadEnd {
    None,
    LineFeed,
    LineFeedReturn,
}

/// Whether a stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ended {
    #[default]
    Open,
    Fin,
}

/// A reset that was accepted. What it ends is ended with the flow, lest a forged one end what goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset {
    pub(super) by: Direction,
    pub(super) carried: Stamp,
    /// The packet with which it took effect.
    pub(super) now: Stamp,
}

/// Where a message began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) carried: Stamp,
    /// Stream offset of the first byte of the start line.
    pub(super) offset: u64,
    pub(super) acknowledged: Option<u64>,
}

impl Origin {
    /// The message begins `skipped` bytes into a chunk.
    pub(super) fn within(context: &ChunkContext, skipped: usize) -> Self {
        Self { carried: context.carried, offset: context.offset + skipped as u64, acknowledged: context.acknowledged }
    }
}

/// An incomplete header block.
#[derive(Debug, Default)]
pub(super) struct HeadBuffer {
    pub(super) bytes: Vec<u8>,
    /// `bytes[..searched]` holds no end of the block.
    pub(super) searched: usize,
    /// `bytes[..line_searched]` holds no line end.
    pub(super) line_searched: usize,
    pub(super) origin: Option<Origin>,
    /// Whether the start line was found to be one.
    pub(super) is_message: bool,
    /// Whether the stream begins here, so that a preface or another protocol may.
    pub(super) is_fresh: bool,
    /// Whether this was taken for a message while looking for one.
    pub(super) is_guess: bool,
}

impl HeadBuffer {
    pub(super) fn clear(&mut self) {
        let buffer = std::mem::take(&mut self.bytes);
        self.put_back(buffer);
        self.searched = 0;
        self.line_searched = 0;
        self.origin = None;
        self.is_message = false;
        self.is_fresh = false;
        self.is_guess = false;
    }

    /// Keeps an emptied buffer for the next header block; a large one is freed, since nothing charges for it.
    pub(super) fn put_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER_BYTES {
            buffer.clear();
            self.bytes = buffer;
        }
    }
}

/// A response that came before its request, and what followed it.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    /// Context and length of each piece of the bytes.
    pub(super) pieces: Vec<(ChunkContext, usize)>,
    /// How far the client's stream must come.
    pub(super) until: u64,
    pub(super) since: Stamp,
    /// The FIN after it, if that has come too.
    pub(super) end: Option<ChunkContext>,
}

/// Parts of a conversation that are only there while messages are in flight.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) heads: [HeadBuffer; 2],
    /// Requests in order; those before the first unanswered one only wait for the end of their own body.
    pub(super) queue: VecDeque<Entry>,
    /// The response being read that has no known request.
    pub(super) unpaired: Option<Box<Exchange>>,
    /// A message of the client's that no server could parse.
    pub(super) malformed: Option<Box<Exchange>>,
    pub(super) held: Held,
    pub(super) tls: Option<Box<TlsHandshake>>,
    pub(super) reset: Option<Reset>,
}

impl Work {
    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.unpaired.is_none()
            && self.malformed.is_none()
            && self.tls.is_none()
            && self.held.pieces.is_empty()
            && self.heads.iter().all(|head| head.bytes.is_empty())
    }
}

impl Conversation {
    /// The client's direction, as far as it is known.
    #[inline]
    pub(super) fn is_client(&self, direction: Direction) -> bool {
        self.client == Some(direction)
    }

    #[inline]
    pub(super) fn is_server(&self, direction: Direction) -> bool {
        self.client == Some(direction.opposite())
    }

    #[inline]
    pub(super) fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize]
    }
}
