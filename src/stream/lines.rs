//! A line-based protocol for tests only. It shows what a further parser needs.
//!
//! In: `LINES` and a line end. Then each line of one side is a request, and each line of the other side is an answer. Out:
//! one exchange for each answer. In a line, `=` stands for missing bytes. After the line `INSIDE`, both sides carry another
//! protocol, whose bytes are XORed with [`KEY`]. An answer that does not come within [`PATIENCE`] is an error.

use std::time::Duration;

use super::{End, GapKind, Parser, Probe, StreamSettings, context::ParserContext, registry::Reader};
use crate::{
    exchange::{Exchange, ExchangeSink, Outcome, Protocol},
    tcp::{Chunk, ChunkContext, Direction},
    time::Timestamp,
};

/// The inner protocol's bytes are XORed with this byte.
pub(super) const KEY: u8 = 0x55;
/// The longest time that an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

const GREETING: &[u8] = b"LINES\n";

/// Both sides of a connection.
#[derive(Debug)]
pub(super) struct Lines {
    client: Direction,
    lines: [Vec<u8>; 2],
    asked: Option<Box<Exchange>>,
    /// The offset that each side's inner protocol has reached; `None` before the inner protocol begins.
    inner: Option<[u64; 2]>,
    is_over: bool,
}

impl Parser for Lines {
    fn probe(bytes: &[u8]) -> Probe {
        let common = bytes.len().min(GREETING.len());
        match (bytes[..common] == GREETING[..common], common == GREETING.len()) {
            (false, _) => Probe::Other,
            (true, true) => Probe::Certain,
            (true, false) => Probe::Undecided,
        }
    }

    fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self {
        // The server sends no greeting, so this parser reads the server's side from its first byte.
        let client = around.direction();
        around.sides[client.opposite() as usize].reader = Reader::Lines;
        Self { client, lines: Default::default(), asked: None, inner: None, is_over: false }
    }

    fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize {
        if self.inner.is_some() {
            let clear: Vec<u8> = bytes.iter().map(|byte| byte ^ KEY).collect();
            self.hand_on(around, Chunk::Data(&clear));
            return bytes.len();
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let side = around.direction() as usize;
        self.lines[side].extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        let Some(end) = end else { return bytes.len() };
        let line = std::mem::take(&mut self.lines[side]);
        match &line[..] {
            b"LINES" => {}
            b"INSIDE" => self.inner = Some([0; 2]),
            b"INSIDE HTTP2" => {
                around.begin_inner_http2();
                self.inner = Some([0; 2]);
            }
            line if around.direction() == self.client => self.ask(around, line, at + end),
            line => self.answer(around, line, at),
        }
        end + 1
    }

    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, _kind: GapKind) {
        match self.inner {
            Some(_) => self.hand_on(around, Chunk::Gap(length)),
            None => self.lines[around.direction() as usize].push(b'='),
        }
    }

    fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) {
        match end {
            End::Fin { .. } if self.inner.is_some() => self.hand_on(around, Chunk::Fin),
            End::Fin { .. } | End::Reset { .. } if around.direction() == self.client => {}
            End::Fin { .. } => self.fail(around, Outcome::NoResponseClosed),
            End::Reset { .. } => self.fail(around, Outcome::NoResponseReset),
            End::Flow => {
                if let Some(exchange) = self.asked.take() {
                    around.finish(exchange);
                }
                self.is_over = true;
            }
        }
    }

    fn deadline(&self, _: &StreamSettings) -> Option<Timestamp> {
        let asked = self.asked.as_ref()?.request_end?;
        Some(asked.time.plus(PATIENCE))
    }

    fn time<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        self.fail(around, Outcome::NoResponseTimeout);
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Lines {
    fn ask<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, line: &[u8], last: usize) {
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, self.client);
        exchange.protocol = Protocol::Http2;
        exchange.target = exchange.store(line);
        exchange.position = around.position(self.client, around.chunk.offset + last as u64);
        (exchange.request_start, exchange.request_end) = (Some(around.chunk.carried), Some(around.chunk.carried));
        self.asked = Some(exchange);
    }

    fn answer<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, line: &[u8], at: usize) {
        let Some(mut exchange) = self.asked.take() else { return };
        exchange.status = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).unwrap_or(599);
        exchange.outcome = Outcome::Answered;
        exchange.position = around.position(around.direction(), around.chunk.offset + at as u64);
        exchange.response_start = Some(around.chunk.carried);
        around.decide(&mut exchange);
        around.finish(exchange);
    }

    fn fail<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, outcome: Outcome) {
        if let Some(exchange) = self.asked.take() {
            around.fail(exchange, outcome, around.now());
        }
    }

    fn hand_on<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, chunk: Chunk<'_>) {
        let Some(inner) = &mut self.inner else { return };
        let direction = around.direction();
        let context = ChunkContext {
            offset: inner[direction as usize],
            acknowledged: Some(inner[direction.opposite() as usize]),
            ..*around.chunk
        };
        inner[direction as usize] += chunk.length();
        around.hand_on(&context, chunk);
    }
}
