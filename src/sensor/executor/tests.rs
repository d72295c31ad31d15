//! The executor against its reference: the same findings for any number of workers and any cut into batches.

use std::{fs, ops::Range, path::Path, thread, time::Duration};

use proptest::prelude::*;

use super::{sequential::SequentialExecutor, *};
use crate::{
    capture::{
        LinkType, PacketRecord,
        files::{CaptureSet, FileSettings, Filled},
    },
    detect::{ErrorSpikeSettings, Mode, RuleName, RulesSettings},
    document::{Batch, Document, EcsJson, Encoding},
    event::{EventSettings, Site},
    sensor::Finding,
};

#[path = "time_tests.rs"]
mod time;

/// A packet, or the time that is reached where no packet comes.
#[derive(Debug, Clone)]
enum Input {
    Packet { time: Timestamp, link_type: LinkType, data: Vec<u8> },
    Tick(Timestamp),
}

/// Cuts input into batches of these sizes, taken in turn. A tick ends a batch.
fn batches(input: &[Input], sizes: &[usize]) -> Vec<PacketBatch> {
    let mut sizes = sizes.iter().cycle();
    let (mut all, mut batch, mut number) = (Vec::new(), PacketBatch::default(), 0);
    let mut room = sizes.next().copied().unwrap_or(1);
    for item in input {
        match item {
            Input::Packet { time, link_type, data } => {
                number += 1;
                batch.records.push(PacketRecord {
                    stamp: Stamp { number, time: *time },
                    offset: batch.bytes.len() as u32,
                    captured: data.len() as u32,
                    wire_length: data.len() as u32,
                    link_type: *link_type,
                    interface: 0,
                });
                batch.bytes.extend_from_slice(data);
                if batch.records.len() < room {
                    continue;
                }
            }
            Input::Tick(time) => batch.reached = Some(*time),
        }
        all.push(std::mem::take(&mut batch));
        room = sizes.next().copied().unwrap_or(1);
    }
    all.push(batch);
    all
}

/// Everything that was found, in order, as it would be written.
struct Transcript {
    site: Arc<Site>,
    events: EventSettings,
    encoding: EcsJson,
    findings: Vec<String>,
}

impl Transcript {
    fn new(settings: &SensorSettings) -> Self {
        let site = Arc::clone(&settings.site);
        let encoding = EcsJson::new(Arc::clone(&site));
        Self { site, events: settings.events.clone(), encoding, findings: Vec::new() }
    }

    fn take(&mut self, finding: Finding<'_>) {
        let Self { site, events, encoding, .. } = self;
        let mut batch = Batch::default();
        let mut rest = Vec::new();
        match finding {
            Finding::Event(event) => encoding.write(&Document::event(event, site), &mut batch),
            Finding::Exchange { exchange, attribution } => {
                let reason = events.reason_of(exchange);
                encoding.write(&Document::exchange(exchange, attribution, reason, site), &mut batch);
            }
            Finding::EventAndExchange(event) => {
                for document in Document::pair(event, site) {
                    encoding.write(&document, &mut batch);
                }
            }
            Finding::Alert { alert, verdict } => encoding.write(&Document::alert(alert, verdict), &mut batch),
            Finding::Gap(stretch) => rest.extend(format!("{stretch:?}").bytes()),
        }
        let written = [batch.bytes(), &rest].concat();
        self.findings.push(String::from_utf8_lossy(&written).into_owned());
    }
}

/// Findings and counters.
type Results = (Vec<String>, Vec<StageCounts>);

fn sequentially(settings: &SensorSettings, input: &[Input]) -> Results {
    let mut transcript = Transcript::new(settings);
    let mut executor = SequentialExecutor::new(settings).unwrap();
    for batch in batches(input, &[usize::MAX]) {
        executor.push(&batch, &mut |finding| transcript.take(finding));
    }
    let counts = executor.finish(&mut |finding| transcript.take(finding));
    (transcript.findings, counts)
}

fn on_threads(settings: &SensorSettings, input: &[Input], workers: usize, sizes: &[usize]) -> Results {
    let mut transcript = Transcript::new(settings);
    thread::scope(|scope| {
        let threads = ExecutorSettings { workers, queue: 4 };
        let evaluator = Evaluator::new(settings);
        let (mut executor, mut findings) = Executor::with_workers(scope, settings, threads, evaluator).unwrap();
        let output = scope.spawn(move || {
            while findings.receive(&mut |finding| transcript.take(finding)) {}
            (findings, transcript)
        });
        for mut batch in batches(input, sizes) {
            executor.push(&mut batch).unwrap();
        }
        let (PathCounts { mut stages, last, .. }, worked) = executor.finish();
        worked.unwrap();
        let (mut findings, mut transcript) = output.join().unwrap();
        findings.finish(last, &mut |finding| transcript.take(finding));
        stages.extend(findings.evaluator().counts());
        (transcript.findings, stages)
    })
}

/// Settings under which short captures have alerts too.
fn settings(mode: Mode) -> SensorSettings {
    let minute = Duration::from_secs(60);
    let error_spike =
        ErrorSpikeSettings { mode, threshold: 2, every: minute, window: minute, ..ErrorSpikeSettings::default() };
    // The rule that exists for tests has a filter of its own, which the shards ask.
    let enabled = RuleName::ALL.iter().copied().collect();
    let rules = RulesSettings { enabled, error_spike, ..RulesSettings::default() };
    SensorSettings { rules, report_exchanges: true, ..SensorSettings::default() }
}

/// The packets of a capture.
fn packets_of(capture: &Path) -> Vec<Input> {
    let mut captures = CaptureSet::open(&[capture.to_path_buf()], FileSettings::default()).unwrap();
    let (mut batch, mut input) = (PacketBatch::default(), Vec::new());
    while let Filled::Packets = captures.fill(&mut batch) {
        input.extend(batch.packets().map(|packet| Input::Packet {
            time: packet.stamp.time,
            link_type: packet.link_type,
            data: packet.data.to_vec(),
        }));
    }
    input
}

#[test]
fn every_capture_gives_the_findings_of_the_reference() {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).into_iter().flatten());
    let captures = files.map(|file| file.unwrap().path());
    let is_capture = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("capture.pcap"))
    };
    let (mut compared, mut alerts) = (0, 0);
    for capture in captures.filter(is_capture) {
        let (input, settings) = (packets_of(&capture), settings(Mode::Scheduled));
        let expected = sequentially(&settings, &input);
        for (workers, sizes) in [(0, &[100][..]), (1, &[1]), (2, &[7, 1, 64]), (3, &[1_000]), (8, &[13])] {
            let found = on_threads(&settings, &input, workers, sizes);
            assert_eq!(found, expected, "{} with {workers} workers", capture.display());
        }
        compared += 1;
        alerts += expected.0.iter().filter(|finding| finding.contains("\"alert\":{")).count();
    }
    assert!(compared > 30 && alerts > 10, "{compared} captures, {alerts} alerts");
}

/// What one end of a generated connection does.
#[derive(Debug, Clone)]
enum Act {
    Request,
    Response {
        status: u16,
        body: usize,
    },
    Close,
    Reset,
    /// Nothing but time passes.
    Silence,
}

#[derive(Debug, Clone)]
struct Step {
    connection: u8,
    act: Act,
    /// Bytes of each segment.
    segment: usize,
    /// Which of its segments is not captured.
    lost: Option<usize>,
    /// Milliseconds until the next step.
    pause: u64,
    /// Whether the clock is told before the next packet.
    tick: bool,
    /// Whether its segments travel in one 802.11 frame with those of the next step.
    aggregate: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        4 => Just(Act::Request),
        4 => (prop_oneof![Just(200), Just(304), Just(404), Just(403), Just(500)], 0..300usize)
            .prop_map(|(status, body)| Act::Response { status, body }),
        1 => Just(Act::Close),
        1 => Just(Act::Reset),
        1 => Just(Act::Silence),
    ];
    let pause = prop_oneof![6 => 0..50u64, 2 => 500..3_000u64, 1 => 20_000..90_000u64];
    let step =
        (0..9u8, act, 5..200usize, proptest::option::weighted(0.1, 0..3usize), pause, any::<bool>(), any::<bool>());
    let step = step.prop_map(|(connection, act, segment, lost, pause, tick, aggregate)| Step {
        connection,
        act,
        segment,
        lost,
        pause,
        tick: tick && pause > 400,
        aggregate,
    });
    proptest::collection::vec(step, 1..80)
}

/// Sequence numbers of a connection's next bytes, by client and server.
#[derive(Clone, Copy, Default)]
struct Connection {
    client: u32,
    server: u32,
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;
const RST: u8 = 0x04;

/// An IPv4 packet with a TCP segment of a connection.
fn ip_packet(number: u8, from_client: bool, flags: u8, at: Connection, payload: &[u8]) -> Vec<u8> {
    let (client, server) = ([10, 0, 0, number % 4], [192, 0, 2, 1 + number % 2]);
    let (client_port, server_port) = (40_000 + u16::from(number), 80);
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    let ports = if from_client { [client_port, server_port] } else { [server_port, client_port] };
    let (sequence, acknowledgment) = if from_client { (at.client, at.server) } else { (at.server, at.client) };
    let length = (40 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(ports.map(u16::to_be_bytes).concat());
    packet.extend(sequence.to_be_bytes());
    packet.extend(acknowledgment.to_be_bytes());
    packet.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    packet.extend_from_slice(payload);
    packet
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2; 12], &[0x08, 0x00][..], packet].concat()
}

/// An 802.11 frame that aggregates these packets.
fn wifi(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = [&[0x88, 0x01][..], &[0; 22], &[0x80, 0]].concat();
    for packet in packets {
        let content = [&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00], packet.as_slice()].concat();
        frame.extend([2; 12]);
        frame.extend((content.len() as u16).to_be_bytes());
        frame.extend(&content);
        frame.extend(vec![0; (14 + content.len()).next_multiple_of(4) - 14 - content.len()]);
    }
    frame
}

/// The packets of a step, and what they leave of the connection.
fn packets_of_step(step: &Step, index: usize, connection: &mut Option<Connection>) -> Vec<Vec<u8>> {
    let number = step.connection;
    let mut packets = Vec::new();
    let mut at = connection.unwrap_or_else(|| {
        let mut at = Connection { client: 1_000 * u32::from(number), server: 7 };
        packets.push(ip_packet(number, true, SYN, at, b""));
        at.client += 1;
        packets.push(ip_packet(number, false, SYN | ACK, at, b""));
        at.server += 1;
        at
    });
    let (from_client, bytes) = match &step.act {
        Act::Request => (true, format!("GET /{index} HTTP/1.1\r\nHost: shop.example\r\n\r\n")),
        Act::Response { status, body } => {
            let head = format!("HTTP/1.1 {status} Words\r\nServer: nginx\r\nContent-Length: {body}\r\n\r\n");
            (false, head + &"x".repeat(*body))
        }
        Act::Close => {
            packets.push(ip_packet(number, true, FIN | ACK, at, b""));
            at.client += 1;
            packets.push(ip_packet(number, false, FIN | ACK, at, b""));
            *connection = None;
            return packets;
        }
        Act::Reset => {
            packets.push(ip_packet(number, false, RST | ACK, at, b""));
            *connection = None;
            return packets;
        }
        Act::Silence => return Vec::new(),
    };
    for (piece, payload) in bytes.as_bytes().chunks(step.segment).enumerate() {
        if step.lost != Some(piece) {
            packets.push(ip_packet(number, from_client, ACK, at, payload));
        }
        if from_client { at.client += payload.len() as u32 } else { at.server += payload.len() as u32 }
    }
    packets.push(ip_packet(number, !from_client, ACK, at, b""));
    *connection = Some(at);
    packets
}

fn input_of(steps: &[Step]) -> Vec<Input> {
    let mut connections = [None; 9];
    let mut now = Timestamp::from_parts(1_700_000_000, 0);
    let (mut input, mut aggregated) = (Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let packets = packets_of_step(step, index, &mut connections[usize::from(step.connection)]);
        let mut push = |link_type, data| input.push(Input::Packet { time: now, link_type, data });
        if step.aggregate {
            aggregated.extend(packets);
        } else {
            if !aggregated.is_empty() {
                push(LinkType(105), wifi(&std::mem::take(&mut aggregated)));
            }
            packets.iter().for_each(|packet| push(LinkType::ETHERNET, ethernet(packet)));
        }
        now = now.plus(Duration::from_millis(step.pause));
        if step.tick {
            input.push(Input::Tick(now));
        }
    }
    input
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn generated_traffic_gives_the_findings_of_the_reference(
        steps in steps(),
        sizes in proptest::collection::vec(1..40usize, 1..6),
        is_streaming in any::<bool>(),
    ) {
        let settings = settings(if is_streaming { Mode::Streaming } else { Mode::Scheduled });
        let input = input_of(&steps);
        let expected = sequentially(&settings, &input);
        for workers in [0, 1, 2, 5, 8] {
            let found = on_threads(&settings, &input, workers, &sizes);
            prop_assert_eq!(&found, &expected, "{} workers", workers);
        }
    }
}

/// Packets of connections that are requested and answered with an error.
fn errors(connections: Range<u8>) -> Vec<Input> {
    let step =
        |connection, act| Step { connection, act, segment: 500, lost: None, pause: 1, tick: false, aggregate: false };
    let steps: Vec<_> = connections
        .flat_map(|number| [step(number, Act::Request), step(number, Act::Response { status: 404, body: 10 })])
        .collect();
    input_of(&steps)
}

#[test]
fn generated_traffic_has_findings() {
    let (findings, _) = sequentially(&settings(Mode::Streaming), &errors(0..9));
    let count = |kind: &str| findings.iter().filter(|finding| finding.contains(kind)).count();
    assert_eq!(count("\"url\":"), 9);
    assert!(count("\"alert\":{") > 0, "{findings:?}");
}

#[test]
fn a_lost_worker_ends_the_run_with_an_error() {
    let settings = settings(Mode::Scheduled);
    thread::scope(|scope| {
        let threads = ExecutorSettings { workers: 2, queue: 4 };
        let evaluator = Evaluator::new(&settings);
        let (mut executor, mut findings) = Executor::with_workers(scope, &settings, threads, evaluator).unwrap();
        let output = scope.spawn(move || while findings.receive(&mut |_| ()) {});
        let schedule = Arc::clone(&executor.schedule);
        executor.workers.push(scope.spawn(move || {
            let _guard = schedule::CloseOnPanic(&schedule);
            std::panic::resume_unwind(Box::new("lost"));
        }));
        let input = errors(0..9);
        let batches = std::iter::repeat_with(|| batches(&input, &[1])).flatten();
        let disconnected = batches.map(|mut batch| executor.push(&mut batch)).find_map(Result::err);
        assert_eq!(disconnected, Some(Disconnected));
        assert_eq!(executor.finish().1, Err(WorkerLost));
        output.join().unwrap();
    });
}

#[test]
fn a_receiver_that_goes_away_ends_the_run() {
    let settings = settings(Mode::Scheduled);
    for workers in [0, 1, 3] {
        thread::scope(|scope| {
            let threads = ExecutorSettings { workers, queue: 1 };
            let evaluator = Evaluator::new(&settings);
            let (mut executor, mut findings) = Executor::with_workers(scope, &settings, threads, evaluator).unwrap();
            scope.spawn(move || findings.receive(&mut |_| ()));
            let input = errors(0..9);
            let batches = std::iter::repeat_with(|| batches(&input, &[5])).flatten();
            let disconnected = batches.map(|mut batch| executor.push(&mut batch)).find_map(Result::err);
            assert_eq!(disconnected, Some(Disconnected));
            let (_, worked) = executor.finish();
            assert_eq!(worked, Ok(()), "no worker was lost");
        });
    }
}
