//! Flow look-up and reassembly alone: nanoseconds a segment, bytes a flow, and what attacks cost.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use wirespike::{
    address::{Address, Endpoint},
    capture::Stamp,
    decode::{Encapsulation, Segment, TcpFlags},
    flow::{FlowKey, FlowSettings, FlowSlot, FlowTable, hash},
    tcp::{Chunk, ChunkContext, Direction, Ending, FlowFacts, FlowSegment, StreamConsumer},
    time::Timestamp,
};

/// Segments that are looked up together.
const BATCH: usize = 64;
const SYN: u8 = 2;
const FIN: u8 = 1;
const ACK: u8 = 16;
static PAYLOAD: [u8; 1460] = [b'x'; 1460];

/// Counts what it is given. Its state is as large as that of HTTP may be.
#[derive(Default)]
struct Count {
    bytes: u64,
    endings: u64,
}

#[derive(Default)]
struct State {
    _room: [u64; 20],
}

impl StreamConsumer<State> for Count {
    fn chunk(&mut self, _: &FlowFacts, _: &mut State, _: &ChunkContext, chunk: Chunk<'_>) {
        if let Chunk::Data(bytes) = chunk {
            self.bytes += bytes.len() as u64;
        }
    }

    fn end(&mut self, _: &FlowFacts, _: &mut State, _: Stamp, _: Ending) {
        self.endings += 1;
    }

    fn unneeded(&self, _: &State, _: Direction) -> u64 {
        0
    }
}

/// One segment of the connection of client number `client`.
fn segment(
    client: u32,
    is_client: bool,
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    length: usize,
) -> Segment<'static> {
    let client = Endpoint::new(Address::v4((0x0a00_0000 + (client >> 4)).to_be_bytes()), 1_024 + (client & 15) as u16);
    let server = Endpoint::new(Address::v4([192, 0, 2, 1]), 80);
    let (source, destination) = if is_client { (client, server) } else { (server, client) };
    Segment {
        source,
        destination,
        sequence,
        acknowledgment,
        flags: TcpFlags(flags),
        payload: &PAYLOAD[..length],
        wire_length: length as u32,
        header: &[],
        encapsulation: Encapsulation::default(),
    }
}

/// The ten segments of a connection with one request.
fn short_flow(client: u32) -> [Segment<'static>; 10] {
    [
        segment(client, true, 0, 0, SYN, 0),
        segment(client, false, 0, 1, SYN | ACK, 0),
        segment(client, true, 1, 1, ACK, 0),
        segment(client, true, 1, 1, ACK, 80),
        segment(client, false, 1, 81, ACK, 0),
        segment(client, false, 1, 81, ACK, 300),
        segment(client, true, 81, 301, ACK, 0),
        segment(client, true, 81, 301, ACK | FIN, 0),
        segment(client, false, 301, 82, ACK | FIN, 0),
        segment(client, true, 82, 302, ACK, 0),
    ]
}

/// Runs segments through a table in batches, as the pipeline does; a millisecond of packet time for a thousand.
fn play(table: &mut FlowTable<State>, segments: &[Segment<'_>], now: &mut Stamp) -> Count {
    let mut count = Count::default();
    let mut found: Vec<(FlowKey, Direction, u64, Option<FlowSlot>)> = Vec::with_capacity(BATCH);
    for batch in segments.chunks(BATCH) {
        found.clear();
        found.extend(batch.iter().map(|segment| {
            let (key, direction) = FlowKey::of(segment, 0);
            let hash = hash(&key, 1);
            (key, direction, hash, table.locate(hash, &key))
        }));
        for (segment, (key, direction, hash, slot)) in batch.iter().zip(&found) {
            now.number += 1;
            now.time = now.time.plus(Duration::from_micros(1));
            table.push(&FlowSegment::of(segment), key, *direction, *hash, *slot, *now, &mut count);
        }
        if now.number % 100_000 < BATCH as u64 {
            table.advance(*now, &mut count);
        }
    }
    count
}

fn start() -> Stamp {
    Stamp { number: 0, time: Timestamp::from_parts(1_000, 0) }
}

fn bench_hash(criterion: &mut Criterion) {
    let (key, _) = FlowKey::of(&segment(1, true, 0, 0, ACK, 0), 0);
    criterion.bench_function("hash", |bencher| bencher.iter(|| hash(black_box(&key), black_box(1))));
}

fn bench_order(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("in_order");
    group.sample_size(10);
    for flows in [1, 1_000, 100_000, 1_000_000u32] {
        let rounds = (100_000 / flows).max(1);
        group.throughput(Throughput::Elements(u64::from(flows * rounds)));
        group.bench_function(format!("{flows}_flows"), |bencher| {
            let mut table = FlowTable::new(FlowSettings::default());
            let mut now = start();
            let opening: Vec<_> = (0..flows).flat_map(|client| short_flow(client).into_iter().take(3)).collect();
            play(&mut table, &opening, &mut now);
            let mut place = 1u32;
            bencher.iter_batched(
                || {
                    let first = place;
                    place += rounds;
                    let clients = |round| {
                        (0..flows).map(move |index| (round, (u64::from(index) * 7_919 % u64::from(flows)) as u32))
                    };
                    (0..rounds)
                        .flat_map(clients)
                        .map(|(round, client)| segment(client, true, first + round, 1, ACK, 1))
                        .collect::<Vec<_>>()
                },
                |segments| play(&mut table, &segments, &mut now).bytes,
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn bench_short_flows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("short_flows");
    group.throughput(Throughput::Elements(1_000_000)).sample_size(10);
    group.bench_function("200_at_once", |bencher| {
        let flows: Vec<_> = (0..100_000u32).map(short_flow).collect();
        let steps = |flows: &[[Segment<'static>; 10]]| -> Vec<Segment<'static>> {
            (0..10).flat_map(|step| flows.iter().map(move |flow| flow[step])).collect()
        };
        let segments: Vec<_> = flows.chunks(200).flat_map(steps).collect();
        bencher.iter(|| {
            let mut table = FlowTable::new(FlowSettings::default());
            play(&mut table, &segments, &mut start()).bytes
        });
    });
    group.finish();
}

fn bench_attacks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attacks");
    group.sample_size(10).throughput(Throughput::Elements(1_000_000));
    let half_open = |client| segment(client, true, 0, 0, SYN, 0);
    let pieces = |at| segment(0, true, 3 + 2 * at, 0, ACK, 1);
    let backwards = |at| segment(0, true, 2 * (1_000 - at % 1_000) + at / 1_000 * 2_000, 0, ACK, 1);
    let spread = |at| segment(at % 100_000, true, 3 + at / 100_000 * 2, 0, ACK, 1);
    let attacks: [(&str, &dyn Fn(u32) -> Segment<'static>); 4] = [
        ("half_open", &half_open),
        ("one_byte_pieces", &pieces),
        ("one_byte_pieces_backwards", &backwards),
        ("one_byte_pieces_of_100000_flows", &spread),
    ];
    for (name, attack) in attacks {
        let mut peak = (0, 0, 0);
        group.bench_function(name, |bencher| {
            let segments: Vec<_> = (0..1_000_000u32).map(attack).collect();
            bencher.iter(|| {
                let mut table = FlowTable::new(FlowSettings { max_flows: 200_000, ..FlowSettings::default() });
                let mut now = start();
                play(&mut table, &[segment(0, true, 0, 0, SYN, 0)], &mut now);
                for part in segments.chunks(50_000) {
                    play(&mut table, part, &mut now);
                    peak = peak.max((table.allocated_bytes(), table.waiting_pieces(), table.len()));
                }
                table.counters().table.segments
            });
        });
        if peak.0 == 0 {
            continue;
        }
        println!("{name}: at most {} bytes allocated, {} pieces, {} flows", peak.0, peak.1, peak.2);
    }
    group.finish();
}

fn bench_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory");
    group.sample_size(10);
    let mut told = String::new();
    group.bench_function("1000000_flows", |bencher| {
        bencher.iter_batched(
            || (0..1_000_000u32).flat_map(|client| short_flow(client).into_iter().take(6)).collect::<Vec<_>>(),
            |segments| {
                let before = resident();
                let mut table = FlowTable::new(FlowSettings::default());
                play(&mut table, &segments, &mut start());
                told = format!(
                    "{} flows, {} bytes resident a flow with {} bytes of consumer's state, entry {} bytes",
                    table.len(),
                    resident().saturating_sub(before) / table.len().max(1),
                    size_of::<State>(),
                    FlowTable::<State>::bytes_per_flow(),
                );
            },
            BatchSize::PerIteration,
        );
    });
    if !told.is_empty() {
        println!("memory: {told}");
    }
    group.finish();
}

/// Resident bytes of this process, 0 where the system does not tell.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = bench_memory, bench_hash, bench_order, bench_short_flows, bench_attacks
}
criterion_main!(benches);
