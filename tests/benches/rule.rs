//! The rule alone, and writing documents.
//!
//! `cargo bench --bench rule` prints nanoseconds an event and a line, and first what a client address costs in memory.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use wirespike::{
    address::{Address, Endpoint},
    capture::Stamp,
    detect::{ErrorSpike, ErrorSpikeSettings, Matched, Mode, Rule, RuleContext},
    document::{Batch, Document, EcsJson, Encoding},
    event::{ErrorEvent, EventBuilder, EventSettings, Site},
    exchange::{Exchange, Outcome, Version},
    time::Timestamp,
};

const SERVER: Endpoint = Endpoint::new(Address::v4([203, 0, 113, 80]), 80);

fn exchange(client: u32, time: Timestamp, path: &str) -> Exchange {
    let stamp = Some(Stamp { number: 1, time });
    let client = Endpoint::new(Address::v4(client.to_be_bytes()), 40_000 + (client % 20_000) as u16);
    let mut exchange = Exchange {
        endpoints: Some((client, SERVER)),
        outcome: Outcome::Answered,
        status: 404,
        version: Version { major: 1, minor: 1 },
        request_start: stamp,
        request_end: stamp,
        response_start: stamp,
        response_end: stamp,
        response_body_bytes: 153,
        ..Exchange::default()
    };
    exchange.method = exchange.store(b"GET");
    exchange.target = exchange.store(path.as_bytes());
    exchange.host = exchange.store(b"www.example");
    exchange.user_agent = exchange.store(b"gobuster/3.6");
    exchange.content_type = exchange.store(b"text/html; charset=iso-8859-1");
    exchange.server = exchange.store(b"Apache/2.4.62 (Debian)");
    exchange.reason = exchange.store(b"Not Found");
    exchange
}

fn event(builder: &mut EventBuilder, client: u32, time: Timestamp, path: &str) -> Option<ErrorEvent> {
    builder.error_event(Box::new(exchange(client, time, path)), Stamp { number: 1, time }).ok()
}

/// Resident bytes of this process, from the kernel.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

/// A million client addresses in one window: what they cost.
fn memory() {
    const CLIENTS: u32 = 1_000_000;
    for (mode, events) in [(Mode::Scheduled, 1), (Mode::Streaming, 1), (Mode::Scheduled, 3)] {
        let mut builder = EventBuilder::new(EventSettings::default(), Arc::default());
        let mut alerts = Vec::new();
        let before = resident();
        let mut engine =
            ErrorSpike::new(ErrorSpikeSettings { mode, ..ErrorSpikeSettings::default() }, &RuleContext::default());
        for number in 0..CLIENTS * events {
            let client = number % CLIENTS;
            let time = Timestamp::from_parts(1_700_000_000, u64::from(number) * 100_000);
            let path = format!("/{client}/not/there/{number}.html");
            if let Some(event) = event(&mut builder, client, time, &path) {
                engine.take(&Matched::of(&event), &mut alerts);
            }
        }
        let bytes = resident().saturating_sub(before);
        println!(
            "{mode:?}: {} clients with {events} error(s) each: {:.0} MB, {} bytes a client",
            engine.gauges()[0].value,
            bytes as f64 / 1e6,
            bytes / CLIENTS as usize
        );
        assert!(bytes <= 200_000_000, "a million clients take more than 200 MB");
    }
}

fn rule(criterion: &mut Criterion) {
    memory();
    const EVENTS: usize = 20_000;
    let mut builder = EventBuilder::new(EventSettings::default(), Arc::default());
    let mut group = criterion.benchmark_group("rule");
    group.throughput(Throughput::Elements(EVENTS as u64)).measurement_time(Duration::from_secs(3));
    for (name, clients) in
        [("observe, a scan by one client", 1), ("observe, scans by four clients", 4), ("observe, 5,000 clients", 5_000)]
    {
        let events: Vec<ErrorEvent> = (0..EVENTS)
            .filter_map(|number| {
                let time = Timestamp::from_parts(1_700_000_000, number as u64 * 5_000_000);
                event(&mut builder, number as u32 % clients, time, &format!("/words/{number}.php"))
            })
            .collect();
        for mode in [Mode::Scheduled, Mode::Streaming] {
            group.bench_function(format!("{name}, {mode:?}"), |bencher| {
                bencher.iter_batched_ref(
                    || {
                        (
                            ErrorSpike::new(
                                ErrorSpikeSettings { mode, ..ErrorSpikeSettings::default() },
                                &RuleContext::default(),
                            ),
                            Vec::new(),
                        )
                    },
                    |(engine, alerts)| {
                        for event in &events {
                            engine.take(&Matched::of(black_box(event)), alerts);
                        }
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

fn documents(criterion: &mut Criterion) {
    let settings = EventSettings::default();
    let mut builder = EventBuilder::new(settings.clone(), Arc::default());
    let (mut writer, site) = (EcsJson::new(Arc::default()), Site::default());
    let mut batch = Batch::default();
    let mut group = criterion.benchmark_group("documents");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(3));
    let kept_alive = exchange(1, Timestamp::from_parts(1_700_000_000, 5), "/index.html?page=7");
    let attribution = builder.attribute(&kept_alive);
    group.bench_function("attribute", |bencher| bencher.iter(|| builder.attribute(black_box(&kept_alive))));
    group.bench_function("exchange, same connection", |bencher| {
        bencher.iter(|| {
            batch.release(1);
            let reason = settings.reason_of(black_box(&kept_alive));
            let document = Document::exchange(&kept_alive, &attribution, reason, &site);
            writer.write(&document, &mut batch);
        });
    });
    let others: Vec<Exchange> =
        (0..64).map(|client| exchange(client, Timestamp::from_parts(1_700_000_000, 5), "/a")).collect();
    let mut next = 0;
    group.bench_function("exchange, another connection", |bencher| {
        bencher.iter(|| {
            batch.release(1);
            next = (next + 1) % others.len();
            let reason = settings.reason_of(black_box(&others[next]));
            let document = Document::exchange(&others[next], &attribution, reason, &site);
            writer.write(&document, &mut batch);
        });
    });
    group.finish();
}

criterion_group!(benches, rule, documents);
criterion_main!(benches);
