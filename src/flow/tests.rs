//! Edge cases of flow tracking and reassembly. Each test sends a sequence of segments.

use std::{ops::Range, time::Duration};

use super::*;
use crate::{
    address::Address,
    capture::Stamp,
    decode::{Encapsulation, TcpFlags},
    tcp::{
        Chunk, ChunkContext, Direction, Ending, FlowFacts, FlowSegment, GapCounters, OverlapPolicy, ResetPolicy,
        StreamConsumer, TcpSettings,
    },
    time::Timestamp,
};

mod claims;

const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Sequence number of the client's first byte.
const CLIENT: u32 = 1_001;
/// Sequence number of the server's first byte.
const SERVER: u32 = 9_001;

/// Records each call of the consumer as text.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    streams: [Vec<u8>; 2],
    contexts: Vec<ChunkContext>,
    lengths: Vec<usize>,
    endings: Vec<Ending>,
    facts: Option<FlowFacts>,
    unneeded: u64,
    /// Number of ticks that the consumer still awaits.
    awaited: u32,
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
            Chunk::Snapped(length) => format!("snapped {length}"),
            Chunk::Fin => "fin".into(),
            Chunk::Reset => "reset".into(),
        };
        self.lines.push(format!("{who}{} {what}", context.offset));
        self.contexts.push(*context);
        self.lengths.push(if let Chunk::Data(bytes) = chunk { bytes.len() } else { 0 });
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

    fn awaits_time(&self, (): &()) -> bool {
        self.awaited > 0
    }

    fn tick(&mut self, _: &FlowFacts, (): &mut (), _: Stamp) {
        self.awaited -= 1;
        self.lines.push("tick".into());
    }
}

/// A table and its clock. The helpers below send segments of the client and the server.
struct Play {
    table: FlowTable<()>,
    log: Log,
    now: Stamp,
    /// The interfaces through which the client's and the server's segments come.
    interfaces: [u16; 2],
}

impl Play {
    fn new() -> Self {
        Self::with(FlowSettings::default())
    }

    fn with(settings: FlowSettings) -> Self {
        let now = Stamp { number: 0, time: Timestamp::from_parts(1_000, 0) };
        Self { table: FlowTable::new(settings), log: Log::default(), now, interfaces: [0, 0] }
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
            flags: TcpFlags(flags),
            payload,
            wire_length: payload.len() as u32 + cut,
            header: &[],
            encapsulation: Encapsulation {
                interface: self.interfaces[usize::from(!is_client)],
                ..Encapsulation::default()
            },
        };
        let (key, direction) = FlowKey::of(&segment, 0);
        let hash = hash(&key, 7);
        let hint = self.table.locate(hash, &key);
        self.table.push(&FlowSegment::of(&segment), &key, direction, hash, hint, self.now, &mut self.log);
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

    /// Checks everything that the consumer was told since the last call.
    #[track_caller]
    fn told(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.log.lines), expected);
        self
    }

    fn counters(&self) -> FlowCounters {
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

/// A connection that both sides have closed. The client sent the last segments.
fn closed() -> Play {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"bye")
        .server(SERVER, CLIENT + 4, ACK | FIN, b"")
        .client(CLIENT + 4, SERVER + 1, ACK, b"")
        .told(&["c0 bye", "c3 fin", "s0 fin", "Closed"]);
    assert!(play.table.is_empty());
    assert_eq!(play.counters().table.ended_closed, 1);
    play
}

#[test]
fn a_close_without_the_last_acknowledgment_lingers() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"bye").server(SERVER, CLIENT + 4, ACK | FIN, b"");
    play.told(&["c0 bye", "c3 fin", "s0 fin"]).wait(2_900).told(&[]).wait(200).told(&["Closed"]);
}

#[test]
fn late_segments_of_a_closed_flow_begin_nothing() {
    let mut play = closed();
    play.client(CLIENT - 1, 0, SYN, b"").server(SERVER - 1, CLIENT, SYN | ACK, b"").wait(2_900);
    play.client(CLIENT, SERVER, ACK | FIN, b"bye").server(SERVER, CLIENT + 4, ACK | FIN, b"");
    play.client(CLIENT + 4, SERVER + 1, ACK, b"more").server(SERVER + 1, 0, RST, b"").told(&[]);
    assert!(play.table.is_empty());
    let counters = play.counters();
    assert_eq!((counters.table.late_segments, counters.tcp.repeated_bytes, counters.tcp.bytes_after_fin), (6, 3, 4));
    assert_eq!(play.table.closed_flows(), 1);
    play.wait(6_000).wait(6_000);
    assert_eq!(play.table.closed_flows(), 0);
}

#[test]
fn the_ports_of_a_closed_flow_are_used_again() {
    let mut play = closed();
    play.client(CLIENT + 100, 0, SYN, b"").server(SERVER + 100, CLIENT + 101, SYN | ACK, b"");
    play.client(CLIENT + 101, SERVER + 101, ACK, b"again").told(&["c0 again"]);
    assert_eq!(play.table.closed_flows(), 0);
}

#[test]
fn a_close_that_acknowledgments_disprove_is_joined_again() {
    let mut play = closed();
    play.server(SERVER, CLIENT + 9, ACK, b"");
    play.client(CLIENT + 9, SERVER, ACK, b"on").wait(300).told(&["c0 on"]);
    assert_eq!(play.counters().table.flows_joined, 1);
}

#[test]
fn a_consumer_is_told_of_time_as_long_as_it_awaits_it() {
    let mut play = Play::opened();
    play.wait(1_000).told(&[]);
    play.log.awaited = 2;
    play.client(CLIENT, SERVER, ACK, b"GET").told(&["c0 GET"]);
    play.wait(1_000).told(&["tick"]).wait(1_000).told(&["tick"]).wait(1_000).told(&[]);
    play.log.awaited = 1;
    play.server(SERVER, CLIENT + 3, ACK, b"200").wait(1_000).told(&["s0 200", "tick"]);
    play.log.awaited = 1;
    play.server(SERVER + 3, CLIENT + 3, ACK, b"").finish().told(&["CaptureEnd"]);
    play.wait(1_000).told(&[]);
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
    assert_eq!(play.counters().tcp.repeated_bytes, 4);
}

#[test]
fn a_gap_that_the_receiver_acknowledged_past_is_declared_after_the_tolerance() {
    let mut play = Play::opened();
    play.server(SERVER + 10, CLIENT, ACK, b"tail").wait(1_000).told(&[]);
    play.client(CLIENT, SERVER + 14, ACK, b"").wait(249).told(&[]).wait(2).told(&["s0 gap 10", "s10 tail"]);
    assert_eq!((play.counters().tcp.holes_acknowledged, play.counters().tcp.gap_bytes), (1, 10));
}

#[test]
fn an_acknowledgment_captured_early_gives_nothing_up() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER + 14, ACK, b"").server(SERVER + 10, CLIENT, ACK, b"tail");
    play.wait(100).server(SERVER, CLIENT, ACK, b"0123456789").told(&["s0 0123456789", "s10 tail"]);
    assert_eq!(play.counters().tcp.gap_bytes, 0);
}

#[test]
fn a_gap_is_known_from_the_packet_behind_it_on() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER + 10, CLIENT + 3, ACK, b"tail");
    let behind = play.now.time;
    assert_eq!(play.table.take_lost(), None);
    play.wait(1_000).client(CLIENT + 3, SERVER + 14, ACK, b"").wait(300);
    let lost = play.table.take_lost().unwrap();
    assert_eq!((lost.start, lost.end), (behind, play.now.time));
    assert_eq!(play.table.take_lost(), None);
}

#[test]
fn time_that_is_set_back_holds_nothing_up() {
    let mut play = Play::opened();
    play.server(SERVER + 10, CLIENT, ACK, b"tail").told(&[]);
    let day = Duration::from_secs(86_400);
    play.now.time = play.now.time.minus(day / 1_000);
    play.wait(0).told(&["s0 gap 10", "s10 tail"]);
    play.client(CLIENT, SERVER + 14, ACK, b"GET").told(&["c0 GET"]);
    let idle = FlowSettings::default().established_time.as_millis() as u64;
    play.wait(idle - 1_000);
    assert_eq!(play.counters().table.ended_idle, 0);
    play.wait(2_000);
    assert_eq!(play.counters().table.ended_idle, 1);
}

#[test]
fn a_gap_is_of_the_interface_that_the_bytes_behind_it_came_through() {
    let mut play = Play::opened();
    play.interfaces = [2, 1];
    // The gaps are declared by the client's acknowledgment, which comes through the other interface; then by time; then by
    // the end.
    play.server(SERVER + 10, CLIENT, ACK, b"tail").client(CLIENT, SERVER + 14, ACK, b"").wait(1_000);
    play.client(CLIENT + 5, SERVER + 14, ACK, b"more").wait(60_000).server(SERVER + 20, CLIENT, ACK, b"tail").finish();
    let counted = |gaps, bytes| GapCounters { tcp_gaps: gaps, tcp_gap_bytes: bytes };
    let gaps = play.table.gaps();
    assert_eq!(
        [0, 1, 2, 3].map(|interface| gaps.of(interface)),
        [(0, 0), (2, 16), (1, 5), (0, 0)].map(|(a, b)| counted(a, b))
    );
    assert_eq!(play.counters().tcp.gap_bytes, 21);
}

#[test]
fn what_was_on_its_way_when_a_flow_was_joined_is_no_loss() {
    let mut play = Play::new();
    play.client(500, 77, ACK, b"GET").server(87, 503, ACK, b"tail").client(503, 91, ACK, b"").wait(1_000).wait(300);
    play.told(&["c0 GET", "s0 gap 10", "s10 tail"]);
    assert_eq!(play.table.take_lost(), None);
    play.server(100, 503, ACK, b"more").client(503, 104, ACK, b"").wait(1_000);
    assert!(play.table.take_lost().is_some());
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
    assert_eq!(play.counters().tcp.starts_guessed, 1);
    assert_eq!(play.log.contexts[0].acknowledged, Some(0));
}

#[test]
fn a_reset_at_the_expected_byte_is_believed() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER, CLIENT + 3, RST | ACK, b"").told(&["c0 GET", "s0 reset"]);
    play.wait(3_100).told(&["Reset"]);
    assert_eq!(play.counters().tcp.resets_accepted, 1);
}

#[test]
fn a_reset_out_of_window_ends_nothing() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER.wrapping_add(1 << 30), 0, RST, b"");
    play.server(SERVER.wrapping_sub(1 << 30), 0, RST, b"").server(SERVER, CLIENT + 3, ACK, b"200");
    play.told(&["c0 GET", "s0 200"]);
    assert_eq!((play.counters().tcp.resets_refused, play.counters().tcp.resets_accepted), (2, 0));
}

#[test]
fn a_reset_in_window_but_not_next_is_doubted_and_disproved() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER + 500, 0, RST, b"").wait(5_000);
    play.server(SERVER, CLIENT + 3, ACK, b"200").told(&["c0 GET", "s0 200"]).wait(300_000).told(&[]);
    assert_eq!((play.counters().tcp.resets_doubted, play.counters().tcp.resets_disproved), (1, 0));
    play.server(SERVER + 3, CLIENT + 3, ACK, &[b'x'; 600]);
    assert_eq!((play.counters().tcp.resets_accepted, play.counters().tcp.resets_disproved), (0, 1));
}

#[test]
fn a_reset_captured_before_anything_it_follows_is_believed_where_the_stream_ends() {
    let mut play = Play::opened();
    play.server(SERVER + 5, CLIENT, RST | ACK, b"")
        .server(SERVER, CLIENT, ACK, b"hello")
        .told(&["s0 hello", "s5 reset"]);
}

#[test]
fn a_doubted_reset_is_believed_after_silence() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER + 500, 0, RST, b"").wait(121_000);
    play.told(&["c0 GET", "s0 reset", "Reset"]);
}

#[test]
fn the_window_policy_believes_any_reset_in_window() {
    let mut play = Play::with(FlowSettings {
        tcp: TcpSettings { reset: ResetPolicy::Window, ..TcpSettings::default() },
        ..FlowSettings::default()
    });
    play.open().client(CLIENT, SERVER, ACK, b"GET").server(SERVER + 500, CLIENT + 3, RST | ACK, b"").finish();
    play.told(&["c0 GET", "s0 gap 500", "s500 reset", "Reset"]);
}

#[test]
fn a_reset_at_what_the_receiver_acknowledged_is_believed() {
    let mut play = Play::opened();
    play.server(SERVER, CLIENT, ACK, b"hello").client(CLIENT, SERVER + 5, ACK, b"").server(
        SERVER + 5,
        CLIENT,
        ACK,
        b"more",
    );
    play.server(SERVER + 5, 0, RST, b"").told(&["s0 hello", "s5 more", "s9 reset"]);
}

#[test]
fn a_refused_connection_is_a_reset() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").server(0, CLIENT, RST | ACK, b"").told(&["s0 reset"]);
    play.wait(4_000).told(&["Reset"]);
}

#[test]
fn an_end_forged_into_the_handshake_ends_nothing() {
    for forged in [&[RST | ACK][..], &[FIN | ACK], &[RST | ACK, FIN | ACK], &[FIN | ACK, RST | ACK]] {
        let mut play = Play::new();
        play.client(CLIENT - 1, 0, SYN, b"");
        for flags in forged {
            play.server(0, CLIENT, *flags, b"");
        }
        play.server(SERVER - 1, CLIENT, SYN | ACK, b"").client(CLIENT, SERVER, ACK, b"GET");
        play.server(SERVER, CLIENT + 3, ACK, b"404").client(CLIENT + 3, SERVER + 3, ACK, b"");
        assert_eq!(play.log.lines.iter().rev().take(2).collect::<Vec<_>>(), ["s0 404", "c0 GET"], "{forged:?}");
        assert_eq!(play.counters().tcp.gap_bytes, 0);
    }
}

#[test]
fn a_reset_that_answers_nothing_sent_is_refused() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").server(0, CLIENT + 77, RST | ACK, b"").server(5, 0, RST, b"").told(&[]);
    assert_eq!((play.counters().tcp.resets_refused, play.counters().tcp.resets_doubted), (1, 1));
    play.wait(31_000).told(&["Idle"]);
}

#[test]
fn a_reset_captured_before_the_data_it_follows_waits_for_it() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER + 5, ACK, b"").server(SERVER + 5, CLIENT, RST | ACK, b"").told(&[]);
    play.server(SERVER, CLIENT, ACK, b"hello").told(&["s0 hello", "s5 reset"]);
}

#[test]
fn data_after_a_reset_goes_on() {
    let mut play = Play::opened();
    play.server(SERVER, CLIENT, RST | ACK, b"").server(SERVER, CLIENT, ACK, b"alive").wait(4_000);
    play.told(&["s0 reset", "s0 alive"]).server(SERVER + 5, CLIENT, ACK, b"!").told(&["s5 !"]);
    assert_eq!(play.counters().tcp.resumed_after_reset, 1);
}

#[test]
fn a_fin_captured_early_waits_for_its_place() {
    let mut play = Play::opened();
    play.client(CLIENT + 3, SERVER, ACK | FIN, b"def").told(&[]).client(CLIENT, SERVER, ACK, b"abc");
    play.told(&["c0 abc", "c3 def", "c6 fin"]);
}

#[test]
fn a_repeated_fin_is_told_once() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"abc").client(CLIENT, SERVER, ACK | FIN, b"abc");
    play.client(CLIENT + 3, SERVER, ACK | FIN, b"").told(&["c0 abc", "c3 fin"]);
    assert_eq!((play.counters().tcp.repeated_bytes, play.counters().tcp.bytes_after_fin), (3, 0));
}

#[test]
fn a_fin_repeated_out_of_order_is_told_once() {
    let mut play = Play::opened();
    play.client(CLIENT + 3, SERVER, ACK | FIN, b"").client(CLIENT, SERVER, ACK | FIN, b"abc");
    play.told(&["c0 abc", "c3 fin"]).finish().told(&["CaptureEnd"]);
}

#[test]
fn bytes_after_fin_are_counted_and_dropped() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"abc").client(CLIENT + 4, SERVER, ACK, b"late");
    play.told(&["c0 abc", "c3 fin"]);
    assert_eq!(play.counters().tcp.bytes_after_fin, 4);
}

#[test]
fn a_forged_fin_is_disproved_by_acknowledgments_of_more() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"abc");
    play.server(SERVER, CLIENT + 6, ACK, b"").client(CLIENT + 6, SERVER, ACK, b"ghi").wait(1).wait(260);
    play.told(&["c0 abc", "c3 fin", "c3 gap 3", "c6 ghi"]);
    assert_eq!(play.counters().tcp.fins_disproved, 1);
}

#[test]
fn a_forged_fin_is_disproved_by_bytes_in_its_place() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER, CLIENT + 3, ACK | FIN, b"");
    play.server(SERVER, CLIENT + 3, ACK, b"404").told(&["c0 GET", "s0 fin", "s0 404"]);
    assert_eq!((play.counters().tcp.fins_disproved, play.counters().tcp.bytes_after_fin), (1, 0));
    // Once the receiver has acknowledged the FIN, later bytes do not disprove it.
    play.server(SERVER + 3, CLIENT + 3, ACK | FIN, b"").client(CLIENT + 3, SERVER + 4, ACK, b"");
    play.server(SERVER + 3, CLIENT + 3, ACK, b"more").told(&["s3 fin"]);
    assert_eq!((play.counters().tcp.fins_disproved, play.counters().tcp.bytes_after_fin), (1, 3));
}

#[test]
fn both_sides_close_at_once() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"").server(SERVER, CLIENT, ACK | FIN, b"");
    play.client(CLIENT + 1, SERVER + 1, ACK, b"")
        .server(SERVER + 1, CLIENT + 1, ACK, b"")
        .told(&["c0 fin", "s0 fin", "Closed"]);
    assert_eq!((play.counters().table.flows_opened, play.counters().table.flows_joined), (1, 0));
}

#[test]
fn a_half_closed_flow_lives_on() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"GET").wait(100_000).server(SERVER, CLIENT + 4, ACK, b"200");
    play.wait(119_000).told(&["c0 GET", "c3 fin", "s0 200"]).wait(2_000).told(&["Idle"]);
}

#[test]
fn both_sides_open_at_once() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").server(SERVER - 1, 0, SYN, b"");
    play.client(CLIENT - 1, SERVER, SYN | ACK, b"").server(SERVER - 1, CLIENT, SYN | ACK, b"");
    play.client(CLIENT, SERVER, ACK, b"a").server(SERVER, CLIENT, ACK, b"b").told(&["c0 a", "s0 b"]);
    assert_eq!(play.log.facts.unwrap().opened_by, Some(Direction::Ascending));
}

#[test]
fn a_syn_carries_data() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"GET").told(&["c0 GET"]).server(SERVER - 1, CLIENT + 3, SYN | ACK, b"");
    play.client(CLIENT + 3, SERVER, ACK, b"more").server(SERVER, CLIENT + 7, ACK, b"200").told(&["c3 more", "s0 200"]);
    assert_eq!(play.counters().tcp.syns_with_data, 1);
}

#[test]
fn data_on_a_syn_that_the_server_refused_is_told_once() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"GET").server(SERVER - 1, CLIENT, SYN | ACK, b"");
    play.client(CLIENT, SERVER, ACK, b"GET").told(&["c0 GET"]);
}

#[test]
fn repeated_syns_begin_nothing() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").client(CLIENT - 1, 0, SYN, b"").server(SERVER - 1, CLIENT, SYN | ACK, b"");
    play.client(CLIENT, SERVER, ACK, b"a").client(CLIENT - 1, 0, SYN, b"").server(SERVER - 1, CLIENT, SYN | ACK, b"");
    play.client(CLIENT + 1, SERVER, ACK, b"b").told(&["c0 a", "c1 b"]);
    assert_eq!((play.counters().table.flows_opened, play.counters().tcp.syns_repeated), (1, 3));
}

#[test]
fn a_syn_ack_captured_before_the_syn_opens_the_flow() {
    let mut play = Play::new();
    play.server(SERVER - 1, CLIENT, SYN | ACK, b"").client(CLIENT - 1, 0, SYN, b"").client(CLIENT, SERVER, ACK, b"a");
    play.told(&["c0 a"]);
    assert_eq!(play.log.facts.unwrap().opened_by, Some(Direction::Ascending));
    assert_eq!((play.counters().table.flows_opened, play.counters().tcp.syns_repeated), (1, 1));
}

#[test]
fn a_syn_captured_after_the_data_anchors_it() {
    let mut play = Play::new();
    play.client(CLIENT + 1, SERVER, ACK, b"bc").client(CLIENT - 1, 0, SYN, b"").told(&[]);
    play.client(CLIENT, SERVER, ACK, b"a").told(&["c0 a", "c1 bc"]);
}

#[test]
fn a_response_and_a_fin_captured_before_the_handshake_find_their_place() {
    let mut play = Play::new();
    play.server(SERVER + 3, CLIENT + 3, ACK | FIN, b"").server(SERVER, CLIENT + 3, ACK, b"200");
    play.client(CLIENT - 1, 0, SYN, b"").client(CLIENT, SERVER, ACK, b"GET").told(&["c0 GET"]);
    assert_eq!(play.log.contexts[0].acknowledged, Some(0));
    play.server(SERVER - 1, CLIENT, SYN | ACK, b"").told(&["s0 200", "s3 fin"]);
    assert_eq!(play.log.contexts[1].acknowledged, Some(3));
}

#[test]
fn a_new_syn_on_a_closed_flow_replaces_it() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | FIN, b"").server(SERVER, CLIENT + 1, ACK | FIN, b"");
    play.client(77_000, 0, SYN, b"").told(&["c0 fin", "s0 fin", "Closed"]).server(5_000, 77_001, SYN | ACK, b"");
    play.client(77_001, 5_001, ACK, b"GET").told(&["c0 GET"]);
    assert_eq!(play.counters().table.flows_opened, 2);
}

#[test]
fn a_new_syn_on_an_open_flow_is_believed_when_the_server_answers_it() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER, CLIENT + 3, ACK, b"2").client(0x7000_0000, 0, SYN, b"");
    play.told(&["c0 GET", "s0 2"]).server(0x1000_0000, 0x7000_0001, SYN | ACK, b"").told(&["Replaced"]);
    play.client(0x7000_0001, 0x1000_0001, ACK, b"new").server(0x1000_0001, 0x7000_0004, ACK, b"404");
    play.told(&["c0 new", "s0 404"]);
    assert_eq!(play.log.facts.unwrap().opened_by, Some(Direction::Ascending));
}

#[test]
fn a_forged_syn_on_an_open_flow_changes_nothing() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").client(0x7000_0000, 0, SYN, b"").server(SERVER, CLIENT + 3, ACK, b"200");
    play.client(CLIENT + 3, SERVER + 3, ACK, b"GET").told(&["c0 GET", "s0 200", "c3 GET"]);
    assert_eq!((play.counters().tcp.syns_doubted, play.counters().table.ended_replaced), (1, 0));
}

#[test]
fn a_one_sided_flow_follows_a_new_syn_with_its_first_data() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").client(CLIENT, SERVER, ACK, b"old").client(0x7000_0000, 0, SYN, b"");
    play.client(0x7000_0001, 9, ACK, b"new").told(&["c0 old", "Replaced", "c0 new"]);
}

#[test]
fn a_server_may_change_its_number_before_it_is_used() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").server(SERVER - 1, CLIENT, SYN | ACK, b"").client(CLIENT - 1, 0, SYN, b"");
    play.server(0x5000_0000, CLIENT, SYN | ACK, b"").client(CLIENT, 0x5000_0001, ACK, b"GET");
    play.server(0x5000_0001, CLIENT + 3, ACK, b"200").told(&["c0 GET", "s0 200"]);
    assert_eq!(play.counters().table.ended_replaced, 0);
}

#[test]
fn keep_alives_and_window_probes_add_nothing() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"abc").client(CLIENT + 2, SERVER, ACK, b"").client(
        CLIENT + 2,
        SERVER,
        ACK,
        b"\0",
    );
    play.client(CLIENT + 3, SERVER, ACK, b"d")
        .client(CLIENT + 3, SERVER, ACK, b"def")
        .told(&["c0 abc", "c3 d", "c4 ef"]);
    assert_eq!(play.counters().tcp.keep_alives, 2);
}

#[test]
fn sequence_numbers_wrap() {
    let mut play = Play::new();
    play.client(u32::MAX - 3, 0, SYN, b"").server(u32::MAX - 1, u32::MAX - 2, SYN | ACK, b"");
    play.client(4, u32::MAX, ACK, b"6789").client(u32::MAX - 2, u32::MAX, ACK, b"012").client(
        0,
        u32::MAX,
        ACK,
        b"345x",
    );
    play.server(u32::MAX, 8, ACK, b"abc").told(&["c0 012", "c3 345x", "c7 6789", "s0 abc"]);
    assert_eq!(play.log.contexts[3].acknowledged, Some(11));
}

#[test]
fn the_first_of_disagreeing_bytes_wins_by_default() {
    let mut play = Play::opened();
    play.client(CLIENT + 2, SERVER, ACK, b"CDE").client(CLIENT + 1, SERVER, ACK, b"bcdef");
    play.client(CLIENT, SERVER, ACK, b"a").finish();
    assert_eq!(play.log.streams[0], b"abCDEf");
    assert_eq!(play.counters().tcp.disagreeing_bytes, 3);
    assert_eq!(play.log.facts.unwrap().disagreeing_bytes, 3);
}

#[test]
fn the_last_of_disagreeing_bytes_wins_when_configured() {
    let mut play = Play::with(FlowSettings {
        tcp: TcpSettings { overlap: OverlapPolicy::Last, ..TcpSettings::default() },
        ..FlowSettings::default()
    });
    play.open().client(CLIENT + 1, SERVER, ACK, b"BCDEF").client(CLIENT + 2, SERVER, ACK, b"cd");
    play.client(CLIENT, SERVER, ACK, b"a").finish();
    assert_eq!(play.log.streams[0], b"aBcdEF");
    assert_eq!(play.counters().tcp.disagreeing_bytes, 2);
}

#[test]
fn an_in_order_segment_does_not_overwrite_what_waits() {
    let mut play = Play::opened();
    play.client(CLIENT + 1, SERVER, ACK, b"BC").client(CLIENT, SERVER, ACK, b"abcd").told(&["c0 a", "c1 BC", "c3 d"]);
}

#[test]
fn bytes_beyond_the_snap_length_are_a_gap() {
    let mut play = Play::opened();
    play.segment(false, SERVER, CLIENT, ACK, b"200", 97);
    play.server(SERVER + 100, CLIENT, ACK, b"404").told(&["s0 200", "s3 snapped 97", "s100 404"]);
    play.segment(false, SERVER + 203, CLIENT, ACK, b"5", 9);
    play.server(SERVER + 103, CLIENT, ACK, &[b'x'; 100]).log.lines.remove(0);
    play.told(&["s203 5", "s204 gap 9"]);
    assert_eq!((play.counters().tcp.snapped_bytes, play.counters().tcp.gap_bytes), (106, 0));
    assert_eq!(play.log.facts.unwrap().gap_bytes, 106);
}

#[test]
fn bytes_that_nobody_needs_are_not_kept() {
    let mut play = Play::opened();
    play.log.unneeded = 1_000;
    for at in (10..910).step_by(100) {
        play.server(SERVER + at, CLIENT, ACK, &[b'x'; 100]);
    }
    play.server(SERVER + 910, CLIENT, ACK, &[b'y'; 100]).told(&[]);
    assert_eq!(play.table.waiting_pieces(), 2);
    play.server(SERVER, CLIENT, ACK, &[b'z'; 10]).log.lines.clear();
    assert_eq!(play.log.contexts.len(), 3);
    assert_eq!(play.log.streams[1].len(), 110);
}

#[test]
fn a_segment_longer_than_any_mtu_is_taken_whole() {
    let mut play = Play::opened();
    let payload = vec![b'x'; 65_000];
    play.server(SERVER, CLIENT, ACK, &payload).server(SERVER + 65_000, CLIENT, ACK, b"end");
    assert_eq!(play.log.streams[1].len(), 65_003);
}

#[test]
fn the_same_packet_seen_twice_changes_nothing() {
    let mut play = Play::new();
    for _ in 0..2 {
        play.client(CLIENT - 1, 0, SYN, b"");
    }
    for _ in 0..2 {
        play.server(SERVER - 1, CLIENT, SYN | ACK, b"");
    }
    for _ in 0..2 {
        play.client(CLIENT, SERVER, ACK | FIN, b"GET");
    }
    for _ in 0..2 {
        play.server(SERVER, CLIENT + 4, ACK | FIN, b"200");
    }
    for _ in 0..2 {
        play.client(CLIENT + 4, SERVER + 4, ACK, b"");
    }
    play.wait(3_100).told(&["c0 GET", "c3 fin", "s0 200", "s3 fin", "Closed"]);
}

#[test]
fn a_stale_segment_is_refused() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").client(CLIENT.wrapping_sub(1 << 30), SERVER, ACK, b"old");
    play.client(CLIENT + (1 << 30), SERVER, ACK, b"far")
        .client(CLIENT + 3, SERVER, ACK, b"x")
        .told(&["c0 GET", "c3 x"]);
    assert_eq!(play.counters().tcp.out_of_window_segments, 2);
}

#[test]
fn a_stream_that_went_elsewhere_is_followed() {
    let mut play = Play::opened();
    play.server(SERVER, CLIENT, ACK, b"a");
    for index in 0..5 {
        play.server(SERVER + 100_000_000 + index, CLIENT, ACK, b"z");
    }
    let (gap, at) = ("s1 gap 99999999", |index: u32| format!("s{} z", 100_000_000 + index));
    play.told(&["s0 a", gap, &at(0), &at(1), &at(2), &at(3), &at(4)]);
    assert_eq!(play.counters().tcp.resynchronised, 1);
}

#[test]
fn a_stream_that_went_back_is_another_connection() {
    let mut play = Play::opened();
    play.server(SERVER, CLIENT, ACK, b"a");
    for index in 0..5 {
        play.server(SERVER.wrapping_sub(1 << 30).wrapping_add(index), CLIENT, ACK, b"z");
    }
    play.finish().told(&["s0 a", "Replaced", "s0 z", "s1 z", "s2 z", "s3 z", "s4 z", "CaptureEnd"]);
}

#[test]
fn requests_only_still_flow() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").client(CLIENT, SERVER, ACK, b"GET").client(CLIENT + 8, SERVER + 99, ACK, b"x");
    play.wait(2_900).told(&["c0 GET"]).wait(200).told(&["c3 gap 5", "c8 x"]);
    assert_eq!(play.log.contexts[0].acknowledged, Some(0));
    assert_eq!(play.log.contexts[2].acknowledged, Some(99));
    assert_eq!(play.counters().tcp.holes_timed_out, 1);
}

#[test]
fn replies_only_still_flow() {
    let mut play = Play::new();
    play.server(SERVER - 1, CLIENT, SYN | ACK, b"").server(SERVER, CLIENT + 30, ACK, b"200").told(&["s0 200"]);
    assert_eq!(play.log.contexts[0].acknowledged, Some(30));
    play.server(SERVER + 3, CLIENT + 60, ACK, b"404").told(&["s3 404"]);
    assert_eq!(play.log.contexts[1].acknowledged, Some(60));
}

#[test]
fn a_sender_that_owes_bytes_gets_patience() {
    let mut play = Play::opened();
    play.server(SERVER, CLIENT, ACK, b"a").client(CLIENT, SERVER + 1, ACK, b"").server(SERVER + 4, CLIENT, ACK, b"e");
    play.wait(20_000).server(SERVER + 1, CLIENT, ACK, b"bcd").told(&["s0 a", "s1 bcd", "s4 e"]);
}

#[test]
fn many_segments_end_the_tolerance_before_its_time() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER + 60, ACK, b"");
    for index in 0..40 {
        play.server(SERVER + 10 + index, CLIENT, ACK, b"x");
    }
    assert_eq!(play.log.lines.first().unwrap(), "s0 gap 10");
    assert_eq!(play.log.streams[1].len(), 40);
}

#[test]
fn a_direction_over_its_cap_declares_its_gap_and_drops_nothing() {
    let mut play = Play::with(FlowSettings {
        tcp: TcpSettings { max_waiting_pieces: 3, ..TcpSettings::default() },
        ..FlowSettings::default()
    });
    play.open();
    for at in [1, 3, 5, 7] {
        play.client(CLIENT + at, SERVER, ACK, b"x");
    }
    play.told(&["c0 gap 1", "c1 x"]).finish();
    play.told(&["c2 gap 1", "c3 x", "c4 gap 1", "c5 x", "c6 gap 1", "c7 x", "CaptureEnd"]);
    assert_eq!((play.counters().tcp.holes_direction_cap, play.counters().tcp.holes_at_end), (1, 3));
}

#[test]
fn a_table_over_its_cap_serves_the_longest_waiting_first() {
    let mut play = Play::with(FlowSettings {
        tcp: TcpSettings { max_total_waiting_pieces: 1, ..TcpSettings::default() },
        ..FlowSettings::default()
    });
    play.open().client(CLIENT + 1, SERVER, ACK, b"x").told(&[]).server(SERVER + 1, CLIENT, ACK, b"y");
    play.told(&["c0 gap 1", "c1 x", "s0 gap 1", "s1 y"]);
    assert_eq!(play.counters().tcp.holes_total_cap, 2);
}

#[test]
fn segments_that_cannot_begin_a_flow_begin_none() {
    let mut play = Play::new();
    play.client(5, 6, ACK, b"").client(5, 6, RST, b"").client(5, 6, ACK, b"\0");
    assert!(play.table.is_empty());
    assert_eq!(play.counters().table.segments_without_flow, 3);
}

#[test]
fn silence_ends_flows_by_how_far_they_came() {
    let mut play = Play::new();
    play.client(CLIENT - 1, 0, SYN, b"").wait(29_000).told(&[]).wait(1_100).told(&["Idle"]);
    play.open().client(CLIENT, SERVER, ACK, b"GET").wait(599_000).told(&["c0 GET"]).wait(2_000).told(&["Idle"]);
    assert_eq!(play.counters().table.ended_idle, 2);
}

#[test]
fn segments_without_acknowledgment_are_dropped_where_their_sender_knows_better() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK, b"GET").server(SERVER, 0, FIN, b"").server(SERVER, 0, 0, b"junk");
    play.server(SERVER, CLIENT + 3, ACK, b"404").told(&["c0 GET", "s0 404"]);
    assert_eq!(play.counters().tcp.segments_without_acknowledgment, 2);
    // A sender that never acknowledges is unusual, or only half of the connection is captured; its segments are kept.
    let mut play = Play::new();
    play.server(SERVER - 1, 0, SYN, b"").server(SERVER, 0, 0, b"404").server(SERVER + 3, 0, FIN, b"");
    play.told(&["s0 404", "s3 fin"]);
}

#[test]
fn urgent_bytes_stay_in_line() {
    let mut play = Play::opened();
    play.client(CLIENT, SERVER, ACK | TcpFlags::URG.0, b"abc")
        .client(CLIENT + 3, SERVER, ACK, b"d")
        .told(&["c0 abc", "c3 d"]);
}

#[test]
fn packet_time_that_goes_back_ends_nothing() {
    let mut play = Play::opened();
    play.now.time = Timestamp::from_parts(1, 0);
    play.client(CLIENT, SERVER, ACK, b"a").wait(0).told(&["c0 a"]);
}

/// Pushes SYNs of `count` clients. The consumer sees only endings.
fn flood(play: &mut Play, count: u32) {
    for index in 0..count {
        let segment = Segment {
            source: Endpoint::new(Address::v4((0x1400_0000 + index).to_be_bytes()), 1_024),
            destination: Endpoint::new(Address::v4([10, 0, 0, 2]), 80),
            sequence: index,
            acknowledgment: 0,
            flags: TcpFlags::SYN,
            payload: b"",
            wire_length: 0,
            header: &[],
            encapsulation: Encapsulation::default(),
        };
        let (key, direction) = FlowKey::of(&segment, 0);
        play.now.number += 1;
        play.table.push(&FlowSegment::of(&segment), &key, direction, hash(&key, 7), None, play.now, &mut play.log);
    }
}

#[test]
fn a_flood_of_half_open_flows_evicts_its_own() {
    let mut play = Play::with(FlowSettings { max_flows: 100, ..FlowSettings::default() });
    play.open().client(CLIENT, SERVER, ACK, b"GET");
    flood(&mut play, 1_000);
    assert_eq!(play.table.len(), 100);
    play.log.lines.clear();
    play.server(SERVER, CLIENT + 3, ACK, b"200").told(&["s0 200"]);
    assert_eq!(play.counters().table.ended_evicted, 901);
}

#[test]
fn a_stale_hint_is_looked_up_again() {
    let mut play = Play::with(FlowSettings { max_flows: 1, ..FlowSettings::default() });
    play.open();
    let key = play.log.facts.map(|facts| facts.ends);
    assert!(key.is_none());
    let client = Endpoint::new(Address::v4([10, 0, 0, 1]), 40_000);
    let server = Endpoint::new(Address::v4([10, 0, 0, 2]), 80);
    let key = FlowKey { lower: client, upper: server, scope: 0 };
    let stale = play.table.locate(hash(&key, 7), &key);
    assert!(stale.is_some());
    flood(&mut play, 1);
    assert_eq!(play.table.locate(hash(&key, 7), &key), None);
    let segment = Segment {
        source: client,
        destination: server,
        sequence: 5,
        acknowledgment: 6,
        flags: TcpFlags::ACK,
        payload: b"",
        wire_length: 0,
        header: &[],
        encapsulation: Encapsulation::default(),
    };
    play.table.push(
        &FlowSegment::of(&segment),
        &key,
        Direction::Ascending,
        hash(&key, 7),
        stale,
        play.now,
        &mut play.log,
    );
    assert_eq!(play.counters().table.segments_without_flow, 1);
}

#[test]
fn hashes_depend_on_every_part_of_the_key_and_on_the_seed() {
    let endpoint = |last, port| Endpoint::new(Address::v4([10, 0, 0, last]), port);
    let key = FlowKey { lower: endpoint(1, 1), upper: endpoint(2, 2), scope: 0 };
    let variants = [
        FlowKey { lower: endpoint(3, 1), ..key },
        FlowKey { lower: endpoint(1, 3), ..key },
        FlowKey { upper: endpoint(3, 2), ..key },
        FlowKey { upper: endpoint(2, 3), ..key },
        FlowKey { scope: 1, ..key },
    ];
    for variant in variants {
        assert_ne!(hash(&key, 1), hash(&variant, 1));
    }
    assert_ne!(hash(&key, 1), hash(&key, 2));
}

#[test]
fn hashes_spread_over_shards_and_buckets() {
    let mut shards = [0u32; 16];
    let mut buckets = [0u32; 256];
    for client in 0..16_000u32 {
        let lower = Endpoint::new(Address::v4([10, 0, (client >> 8) as u8, client as u8]), 1_024);
        let upper = Endpoint::new(Address::v4([192, 0, 2, 1]), 80);
        let hash = hash(&FlowKey { lower, upper, scope: 0 }, 1);
        shards[shard(hash, 16)] += 1;
        buckets[hash as usize % 256] += 1;
    }
    assert!(shards.iter().all(|count| (850..1_150).contains(count)), "{shards:?}");
    assert!(buckets.iter().all(|count| (25..110).contains(count)), "{buckets:?}");
}

/// Addresses that make one factor of a multiplicative hash a constant of that hash, whatever its seed: interface identifiers
/// that are digits of pi, zero, and all ones.
#[test]
fn chosen_addresses_spread_as_others_do() {
    const IDENTIFIERS: [u64; 5] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0, u64::MAX];
    for identifier in IDENTIFIERS {
        let mut buckets = [0u32; 256];
        let mut tags = std::collections::BTreeSet::new();
        for prefix in 0..16_000u64 {
            let address = (u128::from(0x2001_0db8_0000_0000 | prefix) << 64 | u128::from(identifier)).to_be_bytes();
            let lower = Endpoint::new(Address::v6(address), 1_024);
            let upper = Endpoint::new(Address::v6([0xfd; 16]), 80);
            let hash = hash(&FlowKey { lower, upper, scope: 0 }, prefix % 2);
            buckets[hash as usize % 256] += 1;
            tags.insert(hash);
        }
        assert!(buckets.iter().all(|count| (25..110).contains(count)), "{identifier:x} {buckets:?}");
        assert!(tags.len() > 15_990);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1_000))]

    #[test]
    fn streams_equal_the_reference(script in proptest::collection::vec(proptest::num::u8::ANY, 0..900)) {
        super::model::run(&script);
    }
}

/// A conversation in capture order: who, sequence, acknowledgment, flags, payload.
type Packets = Vec<(bool, u32, u32, u8, Vec<u8>)>;

/// Exchanges with the given request and response lengths, cut into segments of `mss` bytes, with the given first sequence
/// numbers.
fn conversation(exchanges: &[(usize, usize)], mss: usize, first: (u32, u32), end: u8) -> Packets {
    let (mut client, mut server) = first;
    let mut packets: Packets = vec![
        (true, client.wrapping_sub(1), 0, SYN, vec![]),
        (false, server.wrapping_sub(1), client, SYN | ACK, vec![]),
        (true, client, server, ACK, vec![]),
    ];
    let text = |from: u32, length: usize| {
        (0..length).map(|index| b'a' + ((from as usize + index) % 26) as u8).collect::<Vec<_>>()
    };
    for &(request, response) in exchanges {
        for part in text(client, request).chunks(mss) {
            packets.push((true, client, server, ACK, part.into()));
            client = client.wrapping_add(part.len() as u32);
        }
        for part in text(server, response).chunks(mss) {
            packets.push((false, server, client, ACK, part.into()));
            server = server.wrapping_add(part.len() as u32);
            packets.push((true, client, server, ACK, vec![]));
        }
    }
    if end == FIN {
        packets.push((true, client, server, ACK | FIN, vec![]));
        packets.push((false, server, client.wrapping_add(1), ACK | FIN, vec![]));
        packets.push((true, client.wrapping_add(1), server.wrapping_add(1), ACK, vec![]));
    } else {
        packets.push((false, server, client, ACK | RST, vec![]));
    }
    packets
}

/// Both streams, the acknowledgment of each byte by its offset, the endings, and the bytes in gaps.
type Outcome = ([Vec<u8>; 2], [Vec<Option<u64>>; 2], Vec<Ending>, u64);

fn outcome(packets: &Packets) -> Outcome {
    let mut play = Play::new();
    for (is_client, sequence, acknowledgment, flags, payload) in packets {
        play.segment(*is_client, *sequence, *acknowledgment, *flags, payload, 0);
        play.wait(1);
    }
    play.wait(5_000).finish();
    let mut bytes = [vec![], vec![]];
    for (context, length) in play.log.contexts.iter().zip(&play.log.lengths) {
        bytes[context.direction as usize].extend(std::iter::repeat_n(context.acknowledged, *length));
    }
    let gaps = play.counters().tcp.gap_bytes;
    (play.log.streams, bytes, play.log.endings, gaps)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_order_of_the_segments_gives_the_same_streams(
        exchanges in proptest::collection::vec((1usize..400, 1usize..900), 1..5),
        mss in 20usize..300,
        first in proptest::num::u32::ANY,
        is_reset in proptest::bool::ANY,
        lost in 0usize..8,
        shifts in proptest::collection::vec(0usize..12, 400),
        copies in proptest::collection::vec(0usize..400, 0..8),
    ) {
        let packets = conversation(&exchanges, mss, (first, first.rotate_left(7)), if is_reset { RST } else { FIN });
        let expected = outcome(&packets);
        proptest::prop_assert_eq!(expected.3, 0);
        let mut shuffled: Vec<_> = packets.iter().enumerate().map(|(at, packet)| (at + shifts[at % 400], packet)).collect();
        shuffled.extend(copies.iter().filter_map(|at| packets.get(*at).map(|packet| (at + shifts[399 - at], packet))));
        shuffled.sort_by_key(|(at, _)| *at);
        let shuffled: Packets = shuffled.into_iter().map(|(_, packet)| packet.clone()).collect();
        let without = |flags| shuffled.iter().filter(|packet| packet.3 != flags).cloned().collect::<Packets>();
        let shuffled = match lost {
            0 => without(SYN),
            1 => without(SYN | ACK),
            2 => without(SYN).into_iter().filter(|packet| packet.3 != SYN | ACK).collect(),
            _ => shuffled,
        };
        let found = outcome(&shuffled);
        proptest::prop_assert_eq!(&found.0, &expected.0);
        proptest::prop_assert_eq!(&found.1, &expected.1);
        // A reset begins no flow. So a reset that is captured before all other segments of a flow without SYN is not seen.
        let begins = |packet: &&(bool, u32, u32, u8, Vec<u8>)| packet.3 != ACK || !packet.4.is_empty();
        if shuffled.iter().find(begins).is_some_and(|packet| packet.3 & RST == 0) {
            proptest::prop_assert_eq!(&found.2, &expected.2);
        }
        proptest::prop_assert_eq!(found.3, 0);
    }
}

#[test]
fn a_byte_has_its_sequence_number_wherever_the_capture_began() {
    let sequence_of_last = |play: &Play, direction: Direction| {
        let offset = play.log.contexts.iter().rev().find(|context| context.direction == direction).unwrap().offset;
        play.log.facts.unwrap().sequence(direction, offset)
    };
    let mut whole = Play::opened();
    whole.client(CLIENT, SERVER, ACK, b"abc").server(SERVER, CLIENT + 3, ACK, b"defg");
    whole.server(SERVER + 4, CLIENT + 3, ACK, b"h").server(SERVER + 10, CLIENT + 3, ACK, b"z").finish();
    assert_eq!(sequence_of_last(&whole, Direction::Ascending), CLIENT);
    assert_eq!(sequence_of_last(&whole, Direction::Descending), SERVER + 10, "a gap moves offset and sequence alike");
    // The capture joins midstream, with segments out of order: the same bytes have the same sequence numbers.
    let mut joined = Play::new();
    joined.server(SERVER + 10, CLIENT + 3, ACK, b"z").server(SERVER + 4, CLIENT + 3, ACK, b"h").finish();
    assert_eq!(sequence_of_last(&joined, Direction::Descending), SERVER + 10);
}

#[test]
fn keys_that_a_sender_chose_cost_bounded_work() {
    use crate::keyed_hash::testing::{assert_bounded_work, colliding_addresses};

    let server = Endpoint::new(Address::v4([192, 0, 2, 80]), 80);
    for seed in [0, 7, u64::MAX] {
        assert_bounded_work(colliding_addresses().map(|address| {
            let client = Endpoint::new(Address::v6(address), 40_000);
            hash(&FlowKey { lower: server.min(client), upper: server.max(client), scope: 0 }, seed)
        }));
    }
}
