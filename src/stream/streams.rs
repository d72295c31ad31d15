//! The streams of many connections.
//!
//! In: chunks of both sides of each flow. Out: exchanges, passed to an [`ExchangeSink`]. Promises: each side's bytes go to
//! the parser that the content chose. Every exchange that began is finished at the latest when its flow ends. This module
//! owns the state that connections share; [`StreamSettings`] bounds it.

use super::{
    End, GapKind, Held,
    context::{ParserContext, Rare, Reset, Shared, Side},
    ended::EndedStreams,
    http1::{self, Conversation},
    http2,
    positions::Positions,
    probe,
    registry::{self, Reader},
    settings::{StreamCounters, StreamSettings},
    tls::{TlsKeys, TlsShared},
    unread::UnreadPorts,
};
use crate::{
    capture::Stamp,
    exchange::{ExchangePool, ExchangeSink},
    tcp::{Chunk, ChunkContext, Direction, Ending, FlowFacts, StreamConsumer},
};

/// The state of one flow's streams. It is small because every flow in the table has one. State that only few connections
/// need is allocated separately.
#[derive(Debug, Default)]
pub struct Stream {
    sides: [Side; 2],
    http1: Conversation,
    rare: Option<Box<Rare>>,
}

/// Reads the streams of any number of connections and gives their exchanges to its sink.
#[derive(Debug)]
pub struct Streams<K> {
    shared: Shared<K>,
    ended: EndedStreams,
}

impl<K: ExchangeSink> Streams<K> {
    /// Streams of which nothing has been seen yet.
    pub fn new(settings: StreamSettings, sink: K) -> Self {
        let shared = Shared {
            settings,
            counters: StreamCounters::default(),
            unread: UnreadPorts::default(),
            sink,
            exchanges: ExchangePool::default(),
            http1: http1::InFlightPool::default(),
            repeated_fields: http1::RepeatedFields::default(),
            http2: http2::Head::default(),
            tls: TlsShared::default(),
            held: 0,
            in_flight_bytes: 0,
        };
        Self { shared, ended: EndedStreams::default() }
    }

    /// Decrypts TLS with these keys from now on.
    pub fn use_tls_keys(&mut self, keys: TlsKeys) {
        self.shared.tls.use_keys(keys);
    }

    /// Changes the settings, from the next message on.
    pub fn reconfigure(&mut self, settings: StreamSettings) {
        self.shared.settings = settings;
    }

    /// Returns the sink that receives the exchanges.
    pub fn sink(&self) -> &K {
        &self.shared.sink
    }

    /// Returns the sink that receives the exchanges, to change it.
    pub fn sink_mut(&mut self) -> &mut K {
        &mut self.shared.sink
    }

    /// Returns the pool that new exchanges are taken from.
    pub fn pool(&self) -> &ExchangePool {
        &self.shared.exchanges
    }

    /// Returns the pool, so that exchanges that the sink kept can be given back.
    pub fn pool_mut(&mut self) -> &mut ExchangePool {
        &mut self.shared.exchanges
    }

    /// Returns the counters so far.
    pub fn counters(&self) -> &StreamCounters {
        &self.shared.counters
    }

    /// Returns the ports of connections whose content is not read.
    pub(crate) fn unread_ports(&self) -> &UnreadPorts {
        &self.shared.unread
    }

    /// Returns the bytes held at present: incomplete heads, undecided first bytes and early responses.
    pub fn held_bytes(&self) -> usize {
        self.shared.held
    }
}

impl<K: ExchangeSink> Streams<K> {
    /// Returns whether the exchanges in flight hold more than their limit. [`Relief`] then lets the oldest of them go.
    #[inline]
    pub fn needs_relief(&self) -> bool {
        self.shared.in_flight_bytes > self.shared.settings.max_in_flight_bytes
    }

    /// Lets a flow's exchanges in flight go, if the relief has chosen the flow.
    pub fn relieve(&mut self, relief: &Relief, flow: &FlowFacts, stream: &mut Stream, now: Stamp) {
        if relief.has_chosen(stream) {
            let_go(&mut self.shared, flow, stream, now);
        }
    }
}

/// The choice of the flows whose exchanges in flight go: those whose oldest exchange began first, until three quarters of the
/// limit are left. One choice looks at every flow, so it has to make room for many exchanges.
#[derive(Debug, Default)]
pub struct Relief {
    /// The beginning of each flow's oldest exchange, and the flow's bytes.
    flows: Vec<(u64, usize)>,
    /// The latest of the beginnings that go.
    last: Option<u64>,
}

impl Relief {
    /// Takes a flow into account.
    pub fn consider(&mut self, stream: &Stream) {
        self.flows.extend(stream.held().map(|held| (held.since, held.bytes)));
    }

    /// Chooses among the flows that were considered.
    ///
    /// Of connections that are kept after their end, the exchanges go at once.
    pub fn choose<K: ExchangeSink>(&mut self, streams: &mut Streams<K>, now: Stamp) {
        streams.ended.streams().for_each(|stream| self.consider(stream));
        self.flows.sort_unstable();
        let held: usize = self.flows.iter().map(|(_, bytes)| bytes).sum();
        // The sum over all flows is exact, whatever became of single exchanges.
        streams.shared.in_flight_bytes = held;
        let mut excess = held.saturating_sub(streams.shared.settings.max_in_flight_bytes / 4 * 3);
        for &(since, bytes) in self.flows.iter().take_while(|_| held > streams.shared.settings.max_in_flight_bytes) {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(bytes);
            self.last = Some(since);
        }
        streams.ended.relieve(&mut streams.shared, self, now);
    }

    /// Returns whether a stream's exchanges in flight go.
    pub(super) fn has_chosen(&self, stream: &Stream) -> bool {
        self.last.zip(stream.held()).is_some_and(|(last, held)| held.since <= last)
    }
}

impl Stream {
    /// The stream of a protocol inside another.
    pub(super) fn inside(rare: Rare) -> Self {
        Self { rare: Some(Box::new(rare)), ..Self::default() }
    }

    /// Where the bytes of this inner stream are in the connection.
    pub(super) fn positions_mut(&mut self) -> &mut Positions {
        self.rare.get_or_insert_default().positions.get_or_insert_default()
    }

    /// Returns what the exchanges in flight hold, those of the inner stream included.
    fn held(&self) -> Option<Held> {
        let http1 = self.http1.held();
        let Some(rare) = &self.rare else { return http1 };
        let inner = rare.inner().and_then(Self::held);
        [http1, rare.states.held(), inner].into_iter().flatten().reduce(Held::and)
    }

    /// Returns HTTP/1's state.
    #[cfg(test)]
    pub(super) fn http1(&self) -> &Conversation {
        &self.http1
    }

    /// Returns whether something is held that may be released after some time, without another segment.
    #[inline]
    fn awaits_time(&self, settings: &StreamSettings) -> bool {
        self.http1.is_waiting() || self.rare.as_ref().is_some_and(|rare| rare.awaits_time(settings))
    }

    /// Returns whether something of the connection may still be read after its end.
    pub(super) fn outlives_flow(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.states.outlive_flow() || rare.inner().is_some_and(Self::outlives_flow))
    }

    /// Returns whether a parser reads one of the sides.
    pub(super) fn is_read_by(&self, reader: Reader) -> bool {
        self.sides.iter().any(|side| side.reader == reader)
    }

    #[inline]
    pub(super) fn unneeded(&self, direction: Direction) -> u64 {
        match self.sides[direction as usize].reader {
            Reader::Http1 => self.http1.unneeded(direction),
            Reader::Undecided => 0,
            Reader::Opaque => u64::MAX,
            reader => self.rare.as_ref().map_or(0, |rare| rare.states.unneeded(reader, direction)),
        }
    }
}

impl Rare {
    fn awaits_time(&self, settings: &StreamSettings) -> bool {
        self.states.deadline(settings).is_some() || self.inner().is_some_and(|inner| inner.awaits_time(settings))
    }
}

/// Gives a chunk to the parser of its side.
pub(super) fn deliver<K: ExchangeSink>(
    shared: &mut Shared<K>,
    flow: &FlowFacts,
    stream: &mut Stream,
    context: &ChunkContext,
    chunk: Chunk<'_>,
) {
    let Stream { sides, http1, rare } = stream;
    let around = &mut ParserContext { shared, sides, rare, flow, chunk: context, is_claimed: false };
    match chunk {
        Chunk::Data(bytes) => {
            goes_on(around);
            read(around, http1, bytes);
        }
        Chunk::Skipped(length) => {
            goes_on(around);
            gap(around, http1, length, GapKind::NotKept);
        }
        Chunk::Gap(length) => {
            goes_on(around);
            gap(around, http1, length, GapKind::NotCaptured);
        }
        Chunk::Snapped(length) => {
            goes_on(around);
            gap(around, http1, length, GapKind::Snapped);
        }
        Chunk::Fin => {
            let side = &mut around.sides[context.direction as usize];
            let is_first = !std::mem::replace(&mut side.has_ended, true);
            end(around, http1, End::Fin { is_first });
        }
        Chunk::Reset => note_reset(around, http1),
    }
    http1.after_chunk(around);
    if around.rare.is_some() {
        tidy(around, http1);
    }
}

/// Makes HTTP/2 the reader of both sides of a stream of which no byte has come.
pub(super) fn begin_http2<K: ExchangeSink>(
    shared: &mut Shared<K>,
    flow: &FlowFacts,
    stream: &mut Stream,
    context: &ChunkContext,
) {
    let Stream { sides, rare, .. } = stream;
    let around = &mut ParserContext { shared, sides, rare, flow, chunk: context, is_claimed: false };
    registry::begin(Reader::Http2, around);
    around.set_readers(Reader::Http2);
}

/// Reads a chunk's bytes, each part by the parser of its side.
pub(super) fn read<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation, bytes: &[u8]) {
    let side = around.direction() as usize;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let reader = around.sides[side].reader;
        at += match reader {
            Reader::Http1 if at == 0 && probe::may_join(rest[0]) && probe::joins(around, http1, rest) => 0,
            Reader::Http1 => http1.step(around, rest, at),
            Reader::Undecided => probe::first_bytes(around, http1, rest, at),
            Reader::Opaque => rest.len(),
            _ => {
                let taken = registry::bytes(around, rest, at);
                leave_if_claimed(around, http1);
                taken
            }
        };
        around.sides[side].offset = around.chunk.offset + at as u64;
    }
}

/// Tells the parser of the current side that bytes are missing.
fn gap<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation, length: u64, kind: GapKind) {
    let direction = around.direction();
    if around.reader(direction) == Reader::Undecided {
        probe::begin_with_gap(around, http1);
    }
    match around.reader(direction) {
        Reader::Http1 => http1.gap(around, length, kind),
        Reader::Undecided | Reader::Opaque => {}
        _ => {
            registry::gap(around, length, kind);
            leave_if_claimed(around, http1);
        }
    }
    around.sides[direction as usize].offset = around.chunk.offset.saturating_add(length);
}

/// Handles the end of the current side.
fn end<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation, end: End) {
    if around.reader(around.direction()) == Reader::Undecided {
        probe::give_to_http1(around, http1);
    }
    http1.end(around, end);
    if around.rare.is_some() {
        registry::end(around, end);
        leave_if_claimed(around, http1);
    }
}

/// Notes that a side continues. If it had ended before, that end was forged.
#[inline]
fn goes_on<K>(around: &mut ParserContext<'_, K>) {
    let direction = around.direction();
    around.sides[direction as usize].has_ended = false;
    if let Some(rare) = around.rare {
        rare.reset.take_if(|reset| reset.by == direction);
    }
}

/// Remembers a reset, if it may end something that is in flight.
fn note_reset<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &Conversation) {
    if http1.is_idle() && around.rare.is_none() {
        return;
    }
    let reset = Reset { by: around.direction(), carried: around.chunk.carried, took_effect: around.now() };
    around.rare_mut().reset.get_or_insert(reset);
}

/// Tells HTTP/1 when another parser has taken the connection over.
fn leave_if_claimed<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation) {
    if std::mem::take(&mut around.is_claimed) {
        http1.leave(around);
    }
}

/// The context of a call that no chunk caused.
fn nowhere(now: Stamp) -> ChunkContext {
    ChunkContext { carried: now, now, direction: Direction::Ascending, offset: 0, acknowledged: None, receiver: None }
}

/// Frees state that is not needed any more.
#[cold]
fn tidy<K>(around: &mut ParserContext<'_, K>, http1: &Conversation) {
    let Some(rare) = around.rare else { return };
    if http1.is_idle() && rare.states.is_empty() {
        rare.reset = None;
    }
    around.rare.take_if(|rare| rare.is_empty());
}

/// Ends a flow: each side, the messages in flight, and the inner stream.
pub(super) fn end_flow<K: ExchangeSink>(
    shared: &mut Shared<K>,
    flow: &FlowFacts,
    stream: &mut Stream,
    now: Stamp,
    ending: Ending,
) {
    let Stream { sides, http1, rare } = stream;
    let nowhere = nowhere(now);
    let around = &mut ParserContext { shared, sides, rare, flow, chunk: &nowhere, is_claimed: false };
    if around.rare.is_some() {
        registry::stop_waiting(around);
        leave_if_claimed(around, http1);
    }
    let reset = around.rare.as_mut().and_then(|rare| rare.reset.take());
    if let Some(reset) = reset.filter(|_| ending == Ending::Reset) {
        // Bytes that the other side still had in flight are not delivered to anyone.
        for direction in [reset.by, reset.by.opposite()] {
            let chunk = around.at_end_of(direction, reset.carried);
            let around = &mut around.with_chunk(&chunk);
            end(around, http1, End::Reset { by: reset.by, took_effect: reset.took_effect });
        }
    }
    for direction in Direction::BOTH {
        if around.reader(direction) == Reader::Undecided {
            let chunk = around.at_end_of(direction, now);
            probe::give_to_http1(&mut around.with_chunk(&chunk), http1);
        }
    }
    http1.end(around, End::Flow);
    if around.rare.is_some() {
        registry::end(around, End::Flow);
        if let Some(mut inner) = around.take_inner() {
            let flow = FlowFacts { first_sequence: [0; 2], ..*flow };
            end_flow(around.shared, &flow, &mut inner, now, ending);
        }
    }
    around.sides.iter_mut().for_each(|side| side.reader = Reader::Opaque);
    *around.rare = None;
}

/// Lets the exchanges in flight of a stream and of its inner stream go.
pub(super) fn let_go<K: ExchangeSink>(shared: &mut Shared<K>, flow: &FlowFacts, stream: &mut Stream, now: Stamp) {
    let Stream { sides, http1, rare } = stream;
    let nowhere = nowhere(now);
    let around = &mut ParserContext { shared, sides, rare, flow, chunk: &nowhere, is_claimed: false };
    http1.let_go(around);
    if around.rare.is_some() {
        registry::let_go(around);
        if let Some(mut inner) = around.take_inner() {
            let_go(around.shared, flow, &mut inner, now);
            around.put_inner(inner);
        }
    }
}

/// Tells the parsers that wait for time to pass that time has passed.
pub(super) fn time_passes<K: ExchangeSink>(shared: &mut Shared<K>, flow: &FlowFacts, stream: &mut Stream, now: Stamp) {
    let Stream { sides, http1, rare } = stream;
    let nowhere = nowhere(now);
    let around = &mut ParserContext { shared, sides, rare, flow, chunk: &nowhere, is_claimed: false };
    http1.time(around);
    if around.rare.is_some() {
        registry::time(around);
        leave_if_claimed(around, http1);
        if let Some(mut inner) = around.take_inner() {
            let flow = FlowFacts { first_sequence: [0; 2], ..*flow };
            time_passes(around.shared, &flow, &mut inner, now);
            around.put_inner(inner);
        }
        tidy(around, http1);
    }
}

impl<K: ExchangeSink> StreamConsumer<Stream> for Streams<K> {
    fn chunk(&mut self, flow: &FlowFacts, state: &mut Stream, context: &ChunkContext, chunk: Chunk<'_>) {
        deliver(&mut self.shared, flow, state, context, chunk);
    }

    fn end(&mut self, flow: &FlowFacts, state: &mut Stream, now: Stamp, ending: Ending) {
        if ending != Ending::CaptureEnd && state.outlives_flow() {
            return self.ended.keep(&mut self.shared, flow, std::mem::take(state), now, ending);
        }
        end_flow(&mut self.shared, flow, state, now, ending);
    }

    fn repeated(&mut self, flow: &FlowFacts, state: &mut Stream, context: &ChunkContext, bytes: &[u8]) -> bool {
        let Stream { sides, http1, rare } = state;
        let is_read = sides[context.direction as usize].reader == Reader::Http1;
        let around =
            &mut ParserContext { shared: &mut self.shared, sides, rare, flow, chunk: context, is_claimed: false };
        is_read && http1.repeated(around, bytes)
    }

    fn contested(&mut self, flow: &FlowFacts, state: &mut Stream, context: &ChunkContext, length: u64) {
        let Stream { sides, rare, .. } = state;
        let around =
            &mut ParserContext { shared: &mut self.shared, sides, rare, flow, chunk: context, is_claimed: false };
        http1::note_contested(around, context.offset, context.offset.saturating_add(length));
    }

    #[inline]
    fn awaits_time(&self, state: &Stream) -> bool {
        state.awaits_time(&self.shared.settings)
    }

    fn tick(&mut self, flow: &FlowFacts, state: &mut Stream, now: Stamp) {
        time_passes(&mut self.shared, flow, state, now);
    }

    fn time(&mut self, now: Stamp) {
        self.ended.time(&mut self.shared, now);
    }

    fn flushed(&mut self, flow: &FlowFacts, state: &mut Stream, now: Stamp) {
        if state.outlives_flow() {
            time_passes(&mut self.shared, flow, state, now);
        }
    }

    fn finish(&mut self, now: Stamp) {
        self.ended.finish(&mut self.shared, now);
    }

    #[inline]
    fn unneeded(&self, state: &Stream, direction: Direction) -> u64 {
        state.unneeded(direction)
    }
}
