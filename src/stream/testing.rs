//! A connection for tests: the test states what each side sends, in capture order, and reads the resulting exchanges.

use crate::{
    address::{Address, Endpoint},
    capture::Stamp,
    decode::Encapsulation,
    exchange::{Exchange, ExchangePool, ExchangeSink, Outcome, Turn},
    stream::{Relief, Stream, StreamSettings, Streams},
    tcp::{Chunk, ChunkContext, Direction, Ending, FlowFacts, StreamConsumer},
    time::Timestamp,
};
use std::time::Duration;

pub(super) const CLIENT: Direction = Direction::Ascending;
pub(super) const SERVER: Direction = Direction::Descending;

/// Keeps every exchange.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) decided: Vec<Exchange>,
    pub(super) finished: Vec<Exchange>,
    pub(super) response_gaps: usize,
    pub(super) turns: Vec<Turn>,
}

impl ExchangeSink for Recorder {
    fn decided(&mut self, exchange: &mut Box<Exchange>, _: &mut ExchangePool, _: Stamp) {
        self.decided.push((**exchange).clone());
    }

    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, _: Stamp) {
        self.finished.push((*exchange).clone());
        pool.put(exchange);
    }

    fn turn(&mut self, turn: &Turn, _: Stamp) {
        self.turns.push(turn.clone());
    }

    fn response_gap(&mut self, _: Stamp) {
        self.response_gaps += 1;
    }
}

pub(super) struct Talk {
    pub(super) streams: Streams<Recorder>,
    pub(super) stream: Stream,
    pub(super) flow: FlowFacts,
    pub(super) sent: [u64; 2],
    pub(super) now: Stamp,
    /// The offset that the next chunk acknowledges, if it does not acknowledge everything that was sent.
    pub(super) acknowledged: Option<u64>,
}

impl Talk {
    pub(super) fn new() -> Self {
        Self::with(StreamSettings::default())
    }

    pub(super) fn with(settings: StreamSettings) -> Self {
        let lower = Endpoint::new(Address::v4([10, 0, 0, 1]), 40000);
        let upper = Endpoint::new(Address::v4([10, 0, 0, 2]), 8080);
        let mut flow =
            FlowFacts { opened_by: Some(CLIENT), ..FlowFacts::new([lower, upper], Encapsulation::default()) };
        flow.evidence.note_handshake();
        Self {
            streams: Streams::new(settings, Recorder::default()),
            stream: Stream::default(),
            flow,
            sent: [0; 2],
            now: Stamp { number: 0, time: Timestamp::from_parts(1_000, 0) },
            acknowledged: None,
        }
    }

    pub(super) fn chunk(&mut self, direction: Direction, chunk: Chunk<'_>) -> &mut Self {
        self.now.number += 1;
        self.now.time = self.now.time.plus(Duration::from_millis(1));
        let context = ChunkContext {
            carried: self.now,
            now: self.now,
            direction,
            offset: self.sent[direction as usize],
            acknowledged: Some(self.acknowledged.take().unwrap_or(self.sent[direction.opposite() as usize])),
            receiver: None,
        };
        self.sent[direction as usize] += chunk.length();
        if let Chunk::Gap(count) | Chunk::Snapped(count) = chunk {
            self.flow.gap_bytes += count;
        }
        self.streams.chunk(&self.flow, &mut self.stream, &context, chunk);
        self
    }

    pub(super) fn client(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.chunk(CLIENT, Chunk::Data(bytes.as_ref()))
    }

    pub(super) fn server(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.chunk(SERVER, Chunk::Data(bytes.as_ref()))
    }

    /// Sets the offset that the next chunk acknowledges.
    pub(super) fn acking(&mut self, offset: u64) -> &mut Self {
        self.acknowledged = Some(offset);
        self
    }

    pub(super) fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now.time = self.now.time.plus(Duration::from_secs(seconds));
        if self.streams.awaits_time(&self.stream) {
            self.streams.tick(&self.flow, &mut self.stream, self.now);
        }
        self.streams.time(self.now);
        self
    }

    /// The connection ends, and the capture goes on. What comes next is of another connection.
    pub(super) fn close(&mut self, ending: Ending) -> &mut Self {
        self.streams.end(&self.flow, &mut self.stream, self.now, ending);
        (self.stream, self.sent) = (Stream::default(), [0; 2]);
        self
    }

    /// Lets go what is in flight, as the shard does over the limit.
    pub(super) fn relieve(&mut self) -> &mut Self {
        assert!(self.streams.needs_relief());
        let mut relief = Relief::default();
        relief.consider(&self.stream);
        relief.choose(&mut self.streams, self.now);
        self.streams.relieve(&relief, &self.flow, &mut self.stream, self.now);
        assert!(!self.streams.needs_relief(), "one relief is enough");
        self
    }

    pub(super) fn end(&mut self, ending: Ending) -> &mut Self {
        self.streams.end(&self.flow, &mut self.stream, self.now, ending);
        self.streams.finish(self.now);
        assert_eq!(self.streams.held_bytes(), 0, "everything held is let go at the end");
        assert!(self.stream.http1().is_idle(), "nothing stays in flight at the end");
        let recorder = self.streams.sink();
        let decided = recorder.finished.iter().filter(|exchange| exchange.outcome != Outcome::Unknown).count();
        assert_eq!(recorder.decided.len(), decided, "every outcome but unknown is decided once");
        self
    }

    /// Returns `method target status outcome` of every finished exchange.
    pub(super) fn rows(&self) -> Vec<String> {
        self.streams.sink().finished.iter().map(row).collect()
    }

    pub(super) fn finished(&self) -> &[Exchange] {
        &self.streams.sink().finished
    }
}

/// Numbers that a seed decides (xorshift).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }
}

pub(super) fn row(exchange: &Exchange) -> String {
    let text = |span| String::from_utf8_lossy(exchange.field(span)).into_owned();
    match exchange.outcome {
        Outcome::Answered => format!("{} {} {}", text(exchange.method), text(exchange.target), exchange.status),
        outcome => format!("{} {} {outcome:?}", text(exchange.method), text(exchange.target)),
    }
}
