//! The context of a parser: everything it uses outside its own state.
//!
//! In: the flow and the current chunk. Out: [`ParserContext`]. Through it, a parser reports exchanges, learns how far both
//! sides are, and passes on the bytes of a protocol inside its own. Promises: exchanges of all protocols are completed and
//! counted in one place.

use std::sync::Arc;

use super::{
    grade, http1, http2,
    positions::Positions,
    registry::{self, Reader, States},
    settings::{StreamCounters, StreamSettings},
    streams::{self, Stream},
    tls,
    unread::UnreadPorts,
};
use crate::{
    address::Endpoint,
    capture::Stamp,
    exchange::{Exchange, ExchangePool, ExchangeSink, Outcome, Remarks, TlsConnection},
    tcp::{Chunk, ChunkContext, Direction, FlowFacts},
};

/// How many protocols may be nested. Bytes of a deeper protocol are skipped and counted.
const MAX_DEPTH: u8 = 4;

/// The state that all connections of a [`Streams`](super::Streams) share.
#[derive(Debug)]
pub(crate) struct Shared<K> {
    pub(super) settings: StreamSettings,
    pub(super) counters: StreamCounters,
    /// The ports of connections whose content is not read.
    pub(super) unread: UnreadPorts,
    pub(super) sink: K,
    pub(super) exchanges: ExchangePool,
    pub(super) http1: http1::InFlightPool,
    pub(super) repeated_fields: http1::RepeatedFields,
    /// The buffers of the message of HTTP/2 that is being read.
    pub(super) http2: http2::Head,
    pub(super) tls: tls::TlsShared,
    /// Bytes held by all connections together: incomplete heads, undecided first bytes and early responses.
    pub(super) held: usize,
    /// Bytes of the exchanges in flight of all connections together, and of the tables of HTTP/2.
    pub(super) in_flight_bytes: usize,
}

impl<K> Shared<K> {
    /// Returns whether so many more bytes can be held within the limit of all connections together, and counts when not.
    pub(super) fn can_hold(&mut self, bytes: usize) -> bool {
        let fits = self.held + bytes <= self.settings.max_held_bytes;
        self.counters.held_refused += u64::from(!fits);
        fits
    }

    /// An exchange of this charge is no longer in flight.
    #[inline]
    pub(super) fn discharge(&mut self, charge: u32) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(charge as usize);
    }
}

/// One side of a connection: the bytes that one end sends. It is packed, as each of a million flows has two.
#[derive(Debug, Clone, Copy, Default)]
#[repr(Rust, packed(4))]
pub(super) struct Side {
    /// Stream offset of the next byte.
    pub(super) offset: u64,
    /// Which parser reads the side.
    pub(super) reader: Reader,
    /// Whether the side's sender has sent FIN and nothing since.
    pub(super) has_ended: bool,
    /// Whether bytes of the side that are missing, or could not be read, may be a response of HTTP/1 after the last one that
    /// was read.
    pub(super) may_lack_answer: bool,
}

/// State that only few connections need beside HTTP/1's state. It is allocated separately, so that the other connections use
/// no memory for it.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// The source address that a PROXY protocol header named.
    pub(super) proxied: Option<Endpoint>,
    /// The TLS connection that carries this stream, or is this one.
    pub(super) tls: Option<Arc<TlsConnection>>,
    /// First bytes of each side, as long as they do not show the protocol.
    pub(super) undecided: Option<Box<[Undecided; 2]>>,
    /// The states of the parsers other than HTTP/1.
    pub(super) states: States,
    /// The stream of the protocol inside this connection's protocol.
    inner: Option<Box<Stream>>,
    /// Where the bytes of this stream are in the connection, if it is inside another protocol that says so.
    pub(super) positions: Option<Box<Positions>>,
    pub(super) reset: Option<Reset>,
    /// Bytes that were captured with different contents before they were read.
    pub(super) contested: Option<Contested>,
    /// The nesting depth: how many protocols this stream is inside of.
    depth: u8,
}

/// First bytes of a side, as long as they do not show the protocol.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    pub(super) bytes: Vec<u8>,
    /// Where the bytes began; `None` if there are no bytes.
    pub(super) origin: Option<Origin>,
}

/// A range of a side's stream of which segments with different contents were captured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contested {
    pub(super) direction: Direction,
    /// Offset of the first byte.
    pub(super) start: u64,
    /// The offset after the last byte.
    pub(super) end: u64,
}

/// A reset that was accepted. Messages and exchanges are ended only when the flow ends, because a sender that continues
/// after the reset shows that it was forged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset {
    /// Who sent the reset.
    pub(super) by: Direction,
    /// The packet of the reset.
    pub(super) carried: Stamp,
    /// The packet with which the reset took effect.
    pub(super) took_effect: Stamp,
}

/// The beginning of a message, or of another unit that a parser reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The packet of the first byte.
    pub(super) carried: Stamp,
    /// Stream offset of the first byte.
    pub(super) offset: u64,
    /// The offset of the other side's stream up to which that packet acknowledged.
    pub(super) acknowledged: Option<u64>,
}

impl Origin {
    /// The origin of a message that begins `skipped` bytes into a chunk.
    pub(super) fn within(chunk: &ChunkContext, skipped: usize) -> Self {
        Self { carried: chunk.carried, offset: chunk.offset + skipped as u64, acknowledged: chunk.acknowledged }
    }

    /// Returns the context of a chunk that begins here but is read later, together with the chunk `now`.
    pub(super) fn as_chunk(&self, now: &ChunkContext) -> ChunkContext {
        ChunkContext { carried: self.carried, offset: self.offset, acknowledged: self.acknowledged, ..*now }
    }
}

/// The current flow and chunk, both sides, and the state that all connections share.
pub(crate) struct ParserContext<'a, K> {
    pub(super) shared: &'a mut Shared<K>,
    pub(super) sides: &'a mut [Side; 2],
    pub(super) rare: &'a mut Option<Box<Rare>>,
    pub(super) flow: &'a FlowFacts,
    pub(super) chunk: &'a ChunkContext,
    /// Whether a parser other than HTTP/1 has taken over both sides. HTTP/1 is told when that parser returns.
    pub(super) is_claimed: bool,
}

impl<K> ParserContext<'_, K> {
    /// Returns the side that is being read.
    #[inline]
    pub(super) fn direction(&self) -> Direction {
        self.chunk.direction
    }

    /// The packet being processed.
    #[inline]
    pub(super) fn now(&self) -> Stamp {
        self.chunk.now
    }

    /// Returns the same context with another chunk: a chunk that was kept, or a chunk of the other side.
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

    /// Returns the context of an empty chunk at the current end of a side.
    pub(super) fn at_end_of(&self, direction: Direction, carried: Stamp) -> ChunkContext {
        let offset = self.sides[direction as usize].offset;
        ChunkContext { carried, now: self.now(), direction, offset, acknowledged: None, receiver: None }
    }

    /// Returns the parser that reads a side.
    #[inline]
    pub(super) fn reader(&self, direction: Direction) -> Reader {
        self.sides[direction as usize].reader
    }

    /// Returns whether a side has ended.
    #[inline]
    pub(super) fn has_ended(&self, direction: Direction) -> bool {
        self.sides[direction as usize].has_ended
    }

    /// Returns the TCP sequence number of the byte at an offset of a side, in the form of [`Exchange::position`].
    #[inline]
    pub(super) fn position(&self, direction: Direction, offset: u64) -> u64 {
        let known = self.rare.as_ref().and_then(|rare| rare.positions.as_ref());
        let known = known.and_then(|positions| positions.of(direction, offset));
        u64::from(known.unwrap_or_else(|| self.flow.sequence(direction, offset)))
    }

    /// Returns the state that few connections need; creates it if necessary.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Sets the parser that reads both sides from here on. The undecided first bytes that are kept are dropped.
    pub(super) fn set_readers(&mut self, reader: Reader) {
        self.sides.iter_mut().for_each(|side| side.reader = reader);
        if let Some(undecided) = self.rare.as_mut().and_then(|rare| rare.undecided.take()) {
            self.shared.held -= undecided.iter().map(|side| side.bytes.len()).sum::<usize>();
        }
    }

    /// Stops reading both sides. Only parsers other than HTTP/1 call this; HTTP/1 is then told to release what it holds.
    pub(super) fn leave_both_sides(&mut self) {
        self.set_readers(Reader::Opaque);
        self.is_claimed = true;
    }
}

impl<K: ExchangeSink> ParserContext<'_, K> {
    /// HTTP/1 is certain that this connection speaks HTTP/1. Other parsers are dropped, and HTTP/1 reads their sides from
    /// here on, and sides that nothing reads. Returns which sides these are.
    pub(super) fn claim_for_http1(&mut self) -> [bool; 2] {
        registry::abandon(self);
        self.sides.each_mut().map(|side| {
            let is_taken = !matches!(side.reader, Reader::Undecided | Reader::Http1);
            if is_taken {
                side.reader = Reader::Http1;
            }
            is_taken
        })
    }

    /// Fills in the fields that all exchanges of this connection have in common.
    pub(super) fn fill_connection(&self, exchange: &mut Exchange, client: Direction) {
        exchange.endpoints = Some((self.flow.sender(client), self.flow.sender(client.opposite())));
        exchange.encapsulation = self.flow.encapsulation;
        if let Some(rare) = &*self.rare {
            exchange.proxied_source = rare.proxied;
            exchange.tls.clone_from(&rare.tls);
        }
        if self.flow.opened_by.is_none() {
            exchange.remarks.add(Remarks::MIDSTREAM);
        }
    }

    /// Reports an outcome that has no status. It is decided by the current packet, unless the exchange already names another
    /// packet.
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
        self.decide_asked_at(exchange, 0);
    }

    /// Reports a decided outcome of a request that begins at an offset of the client's stream.
    #[inline]
    pub(super) fn decide_asked_at(&mut self, exchange: &mut Box<Exchange>, asked: u64) {
        exchange.grade = grade::of(exchange, self.flow, self.chunk, self.sides, asked);
        self.shared.sink.decided(exchange, &mut self.shared.exchanges, self.chunk.now);
    }

    /// Decides an exchange that gets no status, and finishes it.
    pub(super) fn fail(&mut self, mut exchange: Box<Exchange>, outcome: Outcome, when: Stamp) {
        exchange.outcome = outcome;
        exchange.decided = Some(when);
        self.decide_without_status(&mut exchange);
        self.finish(exchange);
    }

    /// Gives a finished exchange to the sink.
    #[inline]
    pub(super) fn finish(&mut self, mut exchange: Box<Exchange>) {
        if exchange.outcome == Outcome::Pending {
            exchange.outcome = Outcome::Unknown;
            self.shared.counters.unknown_outcomes += 1;
        }
        fill_gap_facts(&mut exchange, self.flow);
        self.shared.sink.finished(exchange, &mut self.shared.exchanges, self.chunk.now);
    }

    /// Creates an inner stream. `None` if too many protocols are nested.
    #[cold]
    fn new_inner(&mut self) -> Option<Box<Stream>> {
        let Rare { proxied, depth, tls, .. } = self.rare_mut();
        let around = Rare { proxied: *proxied, tls: tls.clone(), depth: *depth + 1, ..Rare::default() };
        (*depth < MAX_DEPTH).then(|| Box::new(Stream::inside(around)))
    }

    /// Takes the inner stream out of its place; makes one if there is none. `None` if too many protocols are nested.
    #[inline]
    fn take_or_make_inner(&mut self) -> Option<Box<Stream>> {
        self.take_inner().or_else(|| self.new_inner())
    }

    /// Notes where the next part of a side of the inner stream is in the connection, for the positions of its exchanges.
    pub(super) fn note_inner_position(&mut self, direction: Direction, offset: u64, sequence: u32) {
        if let Some(mut inner) = self.take_or_make_inner() {
            inner.positions_mut().note(direction, offset, sequence);
            self.put_inner(inner);
        }
    }

    /// Passes on a chunk of the inner protocol, which is inside the parser's own: decrypted or unwrapped bytes, a gap in
    /// them, or their end. The inner stream is probed like a connection. Its offsets are those of `chunk`. An exchange's position
    /// is its offset in the inner stream, unless [`note_inner_position`](Self::note_inner_position) has said where its bytes are.
    /// If the connection itself becomes the inner protocol (CONNECT), this function is not needed: the parser sets both readers to
    /// [`Reader::Undecided`].
    pub(super) fn hand_on(&mut self, context: &ChunkContext, chunk: Chunk<'_>) {
        let Some(mut inner) = self.take_or_make_inner() else {
            if let Chunk::Data(bytes) = chunk {
                self.shared.counters.bytes_passed_over += bytes.len() as u64;
            }
            return;
        };
        let flow = FlowFacts { first_sequence: [0; 2], ..*self.flow };
        streams::deliver(self.shared, &flow, &mut inner, context, chunk);
        self.put_inner(inner);
    }

    /// Lets HTTP/2 read both sides of the inner stream from their first byte on, as the outer protocol has agreed (ALPN): also
    /// where that byte is missing. To be called before any byte is handed on.
    pub(super) fn begin_inner_http2(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.inner.is_some()) {
            return;
        }
        let Some(mut inner) = self.new_inner() else { return };
        let flow = FlowFacts { first_sequence: [0; 2], ..*self.flow };
        streams::begin_http2(self.shared, &flow, &mut inner, self.chunk);
        self.put_inner(inner);
    }

    /// Returns whether the inner stream is HTTP/2.
    pub(super) fn is_inner_http2(&self) -> bool {
        let inner = self.rare.as_ref().and_then(|rare| rare.inner());
        inner.is_some_and(|inner| inner.is_read_by(Reader::Http2))
    }

    /// Returns how many of a side's next bytes the inner stream will not read.
    pub(super) fn inner_unneeded(&self, direction: Direction) -> u64 {
        self.rare.as_ref().and_then(|rare| rare.inner()).map_or(0, |inner| inner.unneeded(direction))
    }

    /// Takes the inner stream, if there is one, out of its place.
    pub(super) fn take_inner(&mut self) -> Option<Box<Stream>> {
        self.rare.as_mut().and_then(|rare| rare.inner.take())
    }

    /// Puts the inner stream back.
    pub(super) fn put_inner(&mut self, inner: Box<Stream>) {
        self.rare_mut().inner = Some(inner);
    }
}

impl Rare {
    /// Returns whether all of this state is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.proxied.is_none()
            && self.tls.is_none()
            && self.undecided.is_none()
            && self.inner.is_none()
            && self.reset.is_none()
            && self.contested.is_none()
            && self.depth == 0
            && self.states.is_empty()
    }

    /// The inner stream.
    pub(super) fn inner(&self) -> Option<&Stream> {
        self.inner.as_deref()
    }
}

/// Stores the connection's gap bytes and disagreeing bytes so far.
pub(super) fn fill_gap_facts(exchange: &mut Exchange, flow: &FlowFacts) {
    exchange.gap_bytes = flow.gap_bytes;
    exchange.disagreeing_bytes = flow.disagreeing_bytes;
    if flow.disagreeing_bytes != 0 {
        exchange.remarks.add(Remarks::DISAGREEING_OVERLAP);
    }
}
