//! The state that a connection needs only while messages are in flight.
//!
//! In: messages that began and are not over. Out: [`InFlight`], which is taken from a pool when the first message begins and
//! given back, with its buffers, when the last message is over. Promises: after the first few connections, a new connection
//! needs no allocation. The pool is capped in number and in size.

use std::collections::VecDeque;

use super::{conversation::ReadState, doubt::SecondReading, pairing::Entry};
use crate::{
    capture::Stamp,
    exchange::{Exchange, KEPT_BUFFER_BYTES},
    stream::context::Origin,
    tcp::ChunkContext,
};

/// Most values that the pool keeps.
const POOL_LIMIT: usize = 4096;

/// Most entries that an empty queue keeps memory for.
const KEPT_ENTRIES: usize = 32;

/// The messages of a connection that are in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    pub(super) partial_heads: [PartialHead; 2],
    /// Requests in order. The requests before the first unanswered request only wait for the end of their own body.
    pub(super) queue: VecDeque<Entry>,
    /// The response being read that has no known request.
    pub(super) unpaired: Option<Box<Exchange>>,
    /// A message of the client that no server could parse.
    pub(super) malformed: Option<Box<Exchange>>,
    pub(super) early: EarlyResponse,
    /// The bodies whose first line is looked at.
    pub(super) awaited_bodies: [ReadState; 2],
    /// How else the client's bytes can be read.
    pub(super) second_reading: Option<SecondReading>,
}

/// An incomplete header block.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    pub(super) bytes: Vec<u8>,
    /// `bytes[..searched]` contains no end of the block.
    pub(super) searched: usize,
    /// `bytes[..line_searched]` contains no line end.
    pub(super) line_searched: usize,
    pub(super) origin: Option<Origin>,
    /// Whether the first line is known to be a start line.
    pub(super) is_message: bool,
    /// Whether these bytes were only guessed to be a message, during resynchronisation.
    pub(super) is_guess: bool,
}

/// A response that was captured before its request, and the bytes that followed it.
#[derive(Debug, Default)]
pub(super) struct EarlyResponse {
    pub(super) bytes: Vec<u8>,
    /// Context and length of each piece of the bytes.
    pub(super) pieces: Vec<(ChunkContext, usize)>,
    /// The offset that the client's stream must reach.
    pub(super) until: u64,
    pub(super) since: Stamp,
    /// The FIN after the response, if it has been captured.
    pub(super) end: Option<EarlyEnd>,
    /// Whether the bytes are in a tunnel that has been opened since. Whoever reads the side now reads them.
    pub(super) is_in_tunnel: bool,
}

/// A FIN that is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct EarlyEnd {
    pub(super) chunk: ChunkContext,
    pub(super) is_first: bool,
}

/// Emptied values for reuse by all connections.
#[expect(clippy::vec_box, reason = "the boxes are what is reused")]
#[derive(Debug, Default)]
pub(crate) struct InFlightPool(Vec<Box<InFlight>>);

impl InFlightPool {
    /// Returns the in-flight state of a connection. Takes one from the pool if the connection has none yet.
    #[inline]
    pub(super) fn fill<'a>(&mut self, place: &'a mut Option<Box<InFlight>>) -> &'a mut InFlight {
        place.get_or_insert_with(|| self.0.pop().unwrap_or_default())
    }

    /// Takes a connection's in-flight state back into the pool, if nothing is in flight.
    #[inline]
    pub(super) fn release_if_idle(&mut self, place: &mut Option<Box<InFlight>>) {
        if let Some(mut in_flight) = place.take_if(|in_flight| in_flight.is_idle())
            && self.0.len() < POOL_LIMIT
            && in_flight.queue.capacity() <= KEPT_ENTRIES
            && in_flight.partial_heads.iter().all(|head| head.bytes.capacity() <= KEPT_BUFFER_BYTES)
            && in_flight.early.bytes.capacity() <= KEPT_BUFFER_BYTES
        {
            in_flight.second_reading = None;
            self.0.push(in_flight);
        }
    }
}

impl InFlight {
    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.unpaired.is_none()
            && self.malformed.is_none()
            && self.early.pieces.is_empty()
            && self.awaited_bodies.iter().all(|body| *body == ReadState::Between)
            && self.partial_heads.iter().all(|head| head.bytes.is_empty())
    }
}

impl PartialHead {
    /// Empties the header block and keeps its buffer.
    pub(super) fn clear(&mut self) {
        let buffer = std::mem::take(&mut self.bytes);
        *self = Self::default();
        self.put_back(buffer);
    }

    /// Keeps an emptied buffer for the next header block. A large buffer is freed, as empty buffers are not counted against
    /// any limit.
    pub(super) fn put_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER_BYTES {
            buffer.clear();
            self.bytes = buffer;
        }
    }
}
