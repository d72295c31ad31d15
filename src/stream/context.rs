//! What a parser finds around its own state.
//!
//! In: the flow and the chunk at hand. Out: [`ParserContext`], by which a parser reports exchanges, learns how far both
//! sides are, and hands on bytes of a protocol inside its own. Promises: what leaves a parser is filled in and counted in
//! one place, whatever the protocol.

use super::{
    http1,
    registry::{Reader, States},
    settings::{StreamCounters, StreamSettings},
    streams::{self, Stream},
};
use crate::{
    address::Endpoint,
    capture::Stamp,
    exchange::{Exchange, ExchangePool, ExchangeSink, Outcome, Remarks},
    tcp::{Chunk, ChunkContext, Direction, FlowFacts},
};

/// How many protocols may lie within one another; deeper bytes are passed over and counted.
const MAX_DEPTH: u8 = 4;

/// What all connections of a [`Streams`](super::Streams) share.
#[derive(Debug)]
pub(crate) struct Shared<K> {
    pub(super) settings: StreamSettings,
    pub(super) counters: StreamCounters,
    pub(super) sink: K,
    pub(super) exchanges: ExchangePool,
    pub(super) http1: http1::InFlightPool,
    /// Bytes of incomplete heads, undecided beginnings and early responses that are held, all connections together.
    pub(super) held: usize,
}

/// One side of a connection: the bytes that one end sends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Side {
    /// Stream offset of the next byte.
    pub(super) offset: u64,
    /// Which parser reads the side.
    pub(super) reader: Reader,
    /// Whether its sender has sent FIN and nothing since.
    pub(super) has_ended: bool,
}

/// What few connections have beside HTTP/1's state, in a place of its own so that the others need not pay for it.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Source that a PROXY protocol header named.
    pub(super) proxied: Option<Endpoint>,
    /// First bytes of each side that do not yet tell the protocol.
    pub(super) undecided: Option<Box<[Undecided; 2]>>,
    /// The parsers other than HTTP/1.
    pub(super) states: States,
    /// The protocol inside the one that is read.
    inner: Option<Box<Stream>>,
    pub(super) reset: Option<Reset>,
    /// How many protocols this connection's bytes lie in.
    depth: u8,
}

/// First bytes of a side that do not yet tell the protocol.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    pub(super) bytes: Vec<u8>,
    /// Where they began; `None` without bytes.
    pub(super) origin: Option<Origin>,
}

/// A reset that was accepted. What it ends is ended with the flow: a forged reset is known by its sender's going on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset {
    /// Who sent it.
    pub(super) by: Direction,
    /// Its packet.
    pub(super) carried: Stamp,
    /// The packet with which it took effect.
    pub(super) took_effect: Stamp,
}

/// Where a message, or anything else that a parser reads, began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The packet of the first byte.
    pub(super) carried: Stamp,
    /// Stream offset of the first byte.
    pub(super) offset: u64,
    /// How far that packet acknowledged the other side.
    pub(super) acknowledged: Option<u64>,
}

impl Origin {
    /// The beginning is `skipped` bytes into a chunk.
    pub(super) fn within(chunk: &ChunkContext, skipped: usize) -> Self {
        Self { carried: chunk.carried, offset: chunk.offset + skipped as u64, acknowledged: chunk.acknowledged }
    }

    /// The context of a chunk that begins here and is read later, with the chunk `now`.
    pub(super) fn as_chunk(&self, now: &ChunkContext) -> ChunkContext {
        ChunkContext { carried: self.carried, offset: self.offset, acknowledged: self.acknowledged, ..*now }
    }
}

/// The flow and chunk at hand, both sides, and what all connections share.
pub(crate) struct ParserContext<'a, K> {
    pub(super) shared: &'a mut Shared<K>,
    pub(super) sides: &'a mut [Side; 2],
    pub(super) rare: &'a mut Option<Box<Rare>>,
    pub(super) flow: &'a FlowFacts,
    pub(super) chunk: &'a ChunkContext,
    /// Whether a parser other than HTTP/1 has taken both sides; HTTP/1 is told when that parser returns.
    pub(super) is_claimed: bool,
}

impl<K> ParserContext<'_, K> {
    /// The side that is read.
    #[inline]
    pub(super) fn direction(&self) -> Direction {
        self.chunk.direction
    }

    /// The packet being processed.
    #[inline]
    pub(super) fn now(&self) -> Stamp {
        self.chunk.now
    }

    /// The same with another chunk at hand: one that was kept, or another side's.
    pub(super) fn with_chunk<'b>(&'b mut self, chunk: &'b ChunkContext) -> ParserContext<'b, K> {
        ParserContext {
            shared: self.shared,
            sides: self.sides,
            rare: self.rare,
            flow: self.flow,
            chunk,
            is_claimed: false,
        }
    }

    /// A chunk without bytes where a side is now.
    pub(super) fn at_end_of(&self, direction: Direction, carried: Stamp) -> ChunkContext {
        let offset = self.sides[direction as usize].offset;
        ChunkContext { carried, now: self.now(), direction, offset, acknowledged: None }
    }

    /// Who reads a side.
    #[inline]
    pub(super) fn reader(&self, direction: Direction) -> Reader {
        self.sides[direction as usize].reader
    }

    /// Returns whether a side is over.
    #[inline]
    pub(super) fn has_ended(&self, direction: Direction) -> bool {
        self.sides[direction as usize].has_ended
    }

    /// The TCP sequence number of the byte at an offset of a side, as [`Exchange::position`] holds it.
    #[inline]
    pub(super) fn position(&self, direction: Direction, offset: u64) -> u64 {
        u64::from(self.flow.sequence(direction, offset))
    }

    /// The place for what few connections have.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// HTTP/1 knows for certain that it is what this connection speaks. Other parsers are dropped; the sides that they read
    /// are HTTP/1's from here on, and named.
    pub(super) fn claim_for_http1(&mut self) -> [bool; 2] {
        if let Some(rare) = self.rare {
            rare.states = States::default();
        }
        self.sides.each_mut().map(|side| {
            let is_taken = !matches!(side.reader, Reader::Undecided | Reader::Http1 | Reader::Opaque);
            if is_taken {
                side.reader = Reader::Http1;
            }
            is_taken
        })
    }

    /// Another reader reads both sides from here on; what is kept of their beginnings is forgotten.
    pub(super) fn set_readers(&mut self, reader: Reader) {
        self.sides.iter_mut().for_each(|side| side.reader = reader);
        if let Some(undecided) = self.rare.as_mut().and_then(|rare| rare.undecided.take()) {
            self.shared.held -= undecided.iter().map(|side| side.bytes.len()).sum::<usize>();
        }
    }

    /// Nothing more of either side is read. For parsers other than HTTP/1, which is told to let go of what it holds.
    pub(super) fn leave_both_sides(&mut self) {
        self.set_readers(Reader::Opaque);
        self.is_claimed = true;
    }
}

impl<K: ExchangeSink> ParserContext<'_, K> {
    /// Fills in what is known of any exchange of this connection.
    pub(super) fn fill_connection(&self, exchange: &mut Exchange, client: Direction) {
        exchange.endpoints = Some((self.flow.sender(client), self.flow.sender(client.opposite())));
        exchange.encapsulation = self.flow.encapsulation;
        exchange.proxied_source = self.rare.as_ref().and_then(|rare| rare.proxied);
        if self.flow.opened_by.is_none() {
            exchange.remarks.add(Remarks::MIDSTREAM);
        }
    }

    /// Reports an outcome that needs no status; decided now, unless it says when.
    pub(super) fn decide_without_status(&mut self, exchange: &mut Box<Exchange>) {
        exchange.decided.get_or_insert(self.now());
        exchange.gap_bytes = self.flow.gap_bytes;
        exchange.disagreeing_bytes = self.flow.disagreeing_bytes;
        match exchange.outcome {
            Outcome::MalformedRequest => self.shared.counters.malformed_requests += 1,
            Outcome::TlsAlert => self.shared.counters.tls_failures += 1,
            _ => self.shared.counters.no_response += 1,
        }
        self.decide(exchange);
    }

    /// Reports a decided outcome.
    #[inline]
    pub(super) fn decide(&mut self, exchange: &mut Box<Exchange>) {
        self.shared.sink.decided(exchange, &mut self.shared.exchanges, self.chunk.now);
    }

    /// Gives a finished exchange away.
    #[inline]
    pub(super) fn finish(&mut self, mut exchange: Box<Exchange>) {
        if exchange.outcome == Outcome::Pending {
            exchange.outcome = Outcome::Unknown;
            self.shared.counters.unknown_outcomes += 1;
        }
        fill_gap_facts(&mut exchange, self.flow);
        self.shared.sink.finished(exchange, &mut self.shared.exchanges, self.chunk.now);
    }

    /// Hands on a chunk of the protocol inside the parser's own: decrypted or unwrapped bytes, a gap in them, their end. The
    /// inner stream is probed as a connection is, and its offsets are those of `chunk`; an exchange's position is its offset
    /// there. Bytes that are the connection's own from here on (CONNECT) need none of this: their parser sets both readers
    /// to [`Reader::Undecided`].
    #[cfg_attr(not(test), expect(dead_code, reason = "no parser but that of the tests has an inner protocol yet"))]
    pub(super) fn hand_on(&mut self, context: &ChunkContext, chunk: Chunk<'_>) {
        let rare = self.rare.get_or_insert_default();
        if rare.depth >= MAX_DEPTH {
            if let Chunk::Data(bytes) = chunk {
                self.shared.counters.bytes_passed_over += bytes.len() as u64;
            }
            return;
        }
        let mut inner = rare.inner.take().unwrap_or_else(|| {
            let around = Rare { proxied: rare.proxied, depth: rare.depth + 1, ..Rare::default() };
            Box::new(Stream::inside(around))
        });
        let flow = FlowFacts { first_sequence: [0; 2], ..*self.flow };
        streams::deliver(self.shared, &flow, &mut inner, context, chunk);
        self.rare_mut().inner = Some(inner);
    }

    /// The inner stream, if there is one, out of its place.
    pub(super) fn take_inner(&mut self) -> Option<Box<Stream>> {
        self.rare.as_mut().and_then(|rare| rare.inner.take())
    }

    /// Puts the inner stream back.
    pub(super) fn put_inner(&mut self, inner: Box<Stream>) {
        self.rare_mut().inner = Some(inner);
    }
}

impl Rare {
    /// Returns whether nothing is left in it.
    pub(super) fn is_empty(&self) -> bool {
        self.proxied.is_none()
            && self.undecided.is_none()
            && self.inner.is_none()
            && self.reset.is_none()
            && self.depth == 0
            && self.states.is_empty()
    }

    /// The inner stream.
    pub(super) fn inner(&self) -> Option<&Stream> {
        self.inner.as_deref()
    }
}

/// The connection's gaps and disagreeing bytes at this point.
pub(super) fn fill_gap_facts(exchange: &mut Exchange, flow: &FlowFacts) {
    exchange.gap_bytes = flow.gap_bytes;
    exchange.disagreeing_bytes = flow.disagreeing_bytes;
    if flow.disagreeing_bytes != 0 {
        exchange.remarks.add(Remarks::DISAGREEING_OVERLAP);
    }
}
