//! Named edge cases of flow tracking and reassembly, played as scripts of segments.

use std::{ops::Range, time::Duration};

use super::*;
use crate::{
    address::Address,
    capture::Stamp,
    decode::{Encapsulation, TcpFlags},
    tcp::{Chunk, ChunkContext, Ending, FlowFacts, StreamConsumer},
    time::Timestamp,
};

const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Sequence number of the client's first byte.
const CLIENT: u32 = 1_001;
/// Sequence number of the server's first byte.
const SERVER: u32 = 9_001;

/// What a consumer was told, in words.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    streams: [Vec<u8>; 2],
    contexts: Vec<ChunkContext>,
    endings: Vec<Ending>,
    facts: Option<FlowFacts>,
    unneeded: u64,
}

impl StreamConsumer<()> for Log {
    fn chunk(&mut self, flow: &FlowFacts, (): &mut (), context: &ChunkContext, chunk: Chunk<'_>) {
        let who = ["c", "s"][context.direction as usize];
        let what = match chunk {
            Chunk::Data(bytes) => {
                self.streams[context.direction as usize].extend_from_slice(bytes);
                String::from_utf8_lossy(bytes).into_owned()
            }
            Chunk::Skipped(length) => format!("skip {length}"),
            Chunk::Gap(length) => format!("gap {length}"),
            Chunk::Fin => "fin".into(),
            Chunk::Reset => "reset".into(),
        };
        self.lines.push(format!("{who}{} {what}", context.offset));
        self.contexts.push(*context);
        self.facts = Some(*flow);
    }

    fn end(&mut self, flow: &FlowFacts, (): &mut (), _: Stamp, ending: Ending) {
        self.lines.push(format!("{ending:?}"));
        self.endings.push(ending);
        self.facts = Some(*flow);
    }

    fn unneeded(&self, (): &(), direction: Direction) -> u64 {
        if direction == Direction::Descending { self.unneeded } else { 0 }
    }
}

/// A table and its clock. Client and server speak in turn by the helpers below.
struct Play {
    table: FlowTable<()>,
    log: Log,
    now: Stamp,
}

impl Play {
    fn new() -> Self {
        Self::with(FlowSettings::default())
    }

    fn with(settings: FlowSettings) -> Self {
        let now = Stamp { number: 0, time: Timestamp::from_parts(1_000, 0) };
        Self { table: FlowTable::new(settings), log: Log::default(), now }
    }

    fn opened() -> Self {
        let mut play = Self::new();
        play.open();
        play
    }

    fn open(&mut self) -> &mut Self {
        self.client(CLIENT - 1, 0, SYN, b"").server(SERVER - 1, CLIENT, SYN | ACK, b"").client(CLIENT, SERVER, ACK, b"")
    }

    fn segment(&mut self, is_client: bool, sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8], cut: u32) {
        let client = Endpoint::new(Address::v4([10, 0, 0, 1]), 40_000);
        let server = Endpoint::new(Address::v4([10, 0, 0, 2]), 80);
        let (source, destination) = if is_client { (client, server) } else { (server, client) };
        self.now.number += 1;
        self.now.time = self.now.time.plus(Duration::from_micros(10));
        let segment = Segment {
            source,
            destination,
            sequence,
            acknowledgment,
            window: 65_535,
            flags: TcpFlags(flags),
            payload,
            wire_length: payload.len() as u32 + cut,
            encapsulation: Encapsulation::default(),
        };
        let (key, direction) = FlowKey::of(&segment, 0);
        let hash = hash(&key, 7);
        let hint = self.table.locate(hash, &key);
        self.table.push(&segment, &key, direction, hash, hint, self.now, &mut self.log);
    }

    fn client(&mut self, sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> &mut Self {
        self.segment(true, sequence, acknowledgment, flags, payload, 0);
        self
    }

    fn server(&mut self, sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> &mut Self {
        self.segment(false, sequence, acknowledgment, flags, payload, 0);
        self
    }

    fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.now.time = self.now.time.plus(Duration::from_millis(milliseconds));
        self.table.advance(self.now, &mut self.log);
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.table.finish(self.now, &mut self.log);
        assert!(self.table.is_empty());
        assert_eq!((self.table.waiting_bytes(), self.table.waiting_pieces(), self.table.waiting_flows()), (0, 0, 0));
        self
    }

    /// Everything the consumer was told since the last call.
    #[track_caller]
    fn told(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.log.lines), expected);
        self
    }

    fn counters(&self) -> &FlowCounters {
        self.table.counters()
    }
}

#[test]
fn in_order_bytes_are_told_at_once() {
    Play::opened()
        .client(CLIENT, SERVER, ACK, b"GET")
        .told(&["c0 GET"])
        .server(SERVER, CLIENT + 3, ACK, b"200")
        .told(&["s0 200"])
        .client(CLIENT + 3, SERVER + 3, ACK, b"GET")
        .told(&["c3 GET"]);
}

#[test]
fn a_closed_flow_lingers_and_ends_closed() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"bye")
        .server(SERVER, CLIENT + 4, ACK | FIN, b"")
        .client(CLIENT + 4, SERVER + 1, ACK, b"")
        .told(&["c0 bye", "c3 fin", "s0 fin"])
        .wait(2_900)
        .told(&[])
        .wait(200)
        .told(&["Closed"]);
    assert!(play.table.is_empty());
    assert_eq!(play.counters().ended_closed, 1);
}

#[test]
fn a_piece_out_of_order_waits_and_keeps_its_packet() {
    let mut play = Play::opened();
    play.client(CLIENT + 3, SERVER, ACK, b"def").told(&[]).client(CLIENT, SERVER, ACK, b"abc");
    play.told(&["c0 abc", "c3 def"]);
    assert_eq!(play.log.contexts[0].carried.number, 5);
    assert_eq!(play.log.contexts[1].carried.number, 4);
    assert_eq!(play.log.contexts[1].now.number, 5);
    assert_eq!(play.log.contexts[1].acknowledged, Some(0));
    play.finish().told(&["CaptureEnd"]);
}

#[test]
fn repeated_bytes_are_told_once() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"abc").client(CLIENT, SERVER, ACK, b"abcd").client(CLIENT + 1, SERVER, ACK, b"b");
    play.told(&["c0 abc", "c3 d"]);
    assert_eq!(play.counters().repeated_bytes, 4);
}

#[test]
fn a_hole_that_the_receiver_has_is_given_up_after_the_tolerance() {
    let mut play = Play::opened();
    play.server(SERVER + 10, CLIENT, ACK, b"tail").wait(1_000).told(&[]);
    play.client(CLIENT, SERVER + 14, ACK, b"").wait(249).told(&[]).wait(2).told(&["s0 gap 10", "s10 tail"]);
    assert_eq!((play.counters().holes_acknowledged, play.counters().gap_bytes), (1, 10));
}

#[test]
fn an_acknowledgment_captured_early_gives_nothing_up() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER + 14, ACK, b"").server(SERVER + 10, CLIENT, ACK, b"tail");
    play.wait(100).server(SERVER, CLIENT, ACK, b"0123456789").told(&["s0 0123456789", "s10 tail"]);
    assert_eq!(play.counters().gap_bytes, 0);
}

fn range(bytes: &[u8], range: Range<usize>) -> &[u8] {
    &bytes[range]
}

#[test]
fn a_start_without_syn_waits_for_earlier_bytes() {
    let mut play = Play::new();
    let text = b"0123456789";
    play.client(506, 77, ACK, range(text, 6..10)).client(500, 77, ACK, range(text, 0..6)).told(&[]);
    play.wait(300).told(&["c0 012345", "c6 6789"]);
    assert_eq!(play.counters().starts_guessed, 1);
    assert_eq!(play.log.contexts[0].acknowledged, Some(0));
}

#[test]
fn a_reset_at_the_expected_byte_is_believed() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER, CLIENT + 3, RST | ACK, b"").told(&["c0 GET", "s0 reset"]);
    play.wait(3_100).told(&["Reset"]);
    assert_eq!(play.counters().resets_accepted, 1);
}
