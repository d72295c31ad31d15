use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    address::Endpoint,
    detect::{Rule, TextPool},
    event::testing::{SERVER, bare_event, client, event},
    exchange::Grade,
};

const SECOND: u64 = 1_000_000_000;

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_parts(seconds, 0)
}

pub(super) fn settings(threshold: u32, window: u64, every: u64) -> ErrorSpikeSettings {
    ErrorSpikeSettings {
        threshold,
        window: Duration::from_secs(window),
        every: Duration::from_secs(every),
        ..ErrorSpikeSettings::default()
    }
}

/// Runs events of (client, seconds) to the end of the input. Returns (boundary, client, count) of every alert.
fn run(settings: ErrorSpikeSettings, events: &[(u8, u64)]) -> (Vec<(u64, u8, u64)>, ErrorSpike, Vec<Alert>) {
    run_in(&RuleContext::default(), settings, events)
}

fn run_in(
    context: &RuleContext,
    settings: ErrorSpikeSettings,
    events: &[(u8, u64)],
) -> (Vec<(u64, u8, u64)>, ErrorSpike, Vec<Alert>) {
    let mut engine = ErrorSpike::new(settings, context);
    let mut alerts = Vec::new();
    for (packet, &(number, time)) in events.iter().enumerate() {
        engine.take(&Matched::of(&event(client(number), at(time), packet as u64, &format!("/{packet}"))), &mut alerts);
    }
    let last = events.iter().map(|event| event.1).max().unwrap_or_default();
    engine.finish(at(last), &mut alerts);
    let short = alerts
        .iter()
        .map(|alert| (alert.time.as_nanos() / SECOND, number_of(alert), alert.count))
        .filter(|&(_, number, _)| number != LEFT_OUT)
        .collect();
    (short, engine, alerts)
}

/// The number that stands for all clients that found no place.
pub(super) const LEFT_OUT: u8 = 255;

/// Returns the number of an alert's client.
pub(super) fn number_of(alert: &Alert) -> u8 {
    let group = alert.group.client();
    assert_eq!(group.is_none(), alert.kind == AlertKind::LeftOut);
    group.map_or(LEFT_OUT, |address| (0..LEFT_OUT).find(|&number| client(number).address == address).unwrap())
}

#[test]
fn more_than_the_threshold_alerts_and_as_many_do_not() {
    let events: Vec<_> = (0..51).map(|second| (1, 600_000 + second)).collect();
    assert_eq!(run(ErrorSpikeSettings::default(), &events[..50]).0, []);
    assert_eq!(run(ErrorSpikeSettings::default(), &events).0, [(600_600, 1, 51)]);
}

#[test]
fn windows_are_half_open_and_overlap() {
    // The minute before a boundary is in the window of that boundary and also in the next window.
    let events: Vec<_> = (0..3).map(|index| (1, 1_140 + index * 30)).collect();
    assert_eq!(run(settings(1, 660, 600), &events).0, [(1_200, 1, 2), (1_800, 1, 3)]);
    // Second 540 is the first second of the window that ends at 1200. Second 539 is not in it.
    assert_eq!(run(settings(1, 660, 600), &[(1, 539), (1, 540), (1, 1_199)]).0, [(600, 1, 2), (1_200, 1, 2)]);
}

#[test]
fn alerts_are_ordered_and_truncated() {
    let mut events = Vec::new();
    for (number, count) in [(9, 3), (4, 5), (7, 3), (1, 2), (2, 1)] {
        events.extend((0..count).map(|index| (number, 100 + index)));
    }
    events.sort_by_key(|&(_, time)| time);
    let limited = ErrorSpikeSettings { max_alerts: 3, ..settings(1, 660, 600) };
    let (short, engine, alerts) = run(limited, &events);
    assert_eq!(short, [(600, 4, 5), (600, 7, 3), (600, 9, 3)]);
    assert!(alerts.iter().all(|alert| alert.execution.is_some_and(|it| (it.groups, it.truncated) == (4, 1))));
    let left_out = alerts[3].left_out.as_ref().unwrap();
    assert_eq!((left_out.alert_limit.clients, left_out.alert_limit.errors.total()), (1, 2));
    assert_eq!(left_out.largest.shown().map(|entry| entry.0).collect::<Vec<_>>(), [client(1).address]);
    assert_eq!(engine.counters().alerts_truncated, 1);
    assert!(alerts[0].window.partial);
}

#[test]
fn ids_depend_on_rule_group_and_boundary_only() {
    let events: Vec<_> = (0..10).map(|index| (1, 500 + index * 200)).collect();
    let (_, _, alerts) = run(settings(1, 660, 600), &events);
    let ids: BTreeSet<_> = alerts.iter().map(|alert| alert.id.clone()).collect();
    assert_eq!(ids.len(), alerts.len());
    assert!(ids.iter().all(|id| id.len() == 40));
    let (_, _, again) = run(settings(1, 660, 600), &events[1..]);
    assert_eq!(alerts.last().unwrap().id, again.last().unwrap().id);
    let other = Site { sensor_id: "other".into(), ..Site::default() };
    let elsewhere = RuleContext { site: Arc::new(other), ..RuleContext::default() };
    assert_ne!(alerts.last().unwrap().id, run_in(&elsewhere, settings(1, 660, 600), &events).2.last().unwrap().id);
}

#[test]
fn evidence_is_that_of_the_window() {
    let mut events: Vec<_> = (0..60).map(|index| (1, 3_600 + index)).collect();
    events.extend((0..60).map(|index| (1, 7_200 + index)));
    let (_, _, alerts) = run(ErrorSpikeSettings::default(), &events);
    assert_eq!(alerts.len(), 2);
    let summary = &alerts[1].summary;
    assert_eq!(summary.statuses(), [(404, 60)]);
    assert_eq!(summary.servers, [(SERVER, 60)]);
    assert_eq!((summary.distinct_paths, summary.more_paths), (60, false));
    assert_eq!(summary.timeline, [(at(7_200), 60)]);
    assert_eq!(summary.first.as_ref().unwrap().time, at(7_200));
    assert_eq!(summary.first.as_ref().unwrap().path, b"/60");
    assert_eq!(summary.last.as_ref().unwrap().path, b"/119");
    assert_eq!(summary.user_agents[0].text, b"gobuster/3.6");
    assert_eq!(summary.user_agents[0].count, 60);
    assert_eq!(summary.flows, [(client(1), SERVER)]);
}

#[test]
fn a_gap_of_years_costs_nothing_and_old_clients_are_forgotten() {
    let mut events: Vec<_> = (0..60).map(|index| (1, 100 + index)).collect();
    events.push((2, 400 * 365 * 86_400));
    let (short, engine, _) = run(settings(50, 1, 1), &events[..60]);
    assert_eq!(short, []);
    assert_ne!(engine.clients.len(), 0);
    let (short, engine, _) = run(settings(50, 660, 1), &events);
    // Windows exceed the threshold from the second after the 51st error to the last second whose look-back holds 51 errors.
    assert_eq!(short.len(), (151..=109 + 660).count());
    assert_eq!(engine.clients.len(), 1);
}

#[test]
fn the_end_of_time_is_survived() {
    let mut engine = ErrorSpike::new(settings(0, 660, 600), &RuleContext::default());
    let mut alerts = Vec::new();
    engine.take(&Matched::of(&bare_event(client(1), Timestamp::MAX, 1, Timestamp::MAX)), &mut alerts);
    engine.finish(Timestamp::MAX, &mut alerts);
    let mut engine = ErrorSpike::new(settings(0, 660, 600), &RuleContext::default());
    engine.take(&Matched::of(&bare_event(client(1), Timestamp::EPOCH, 1, Timestamp::EPOCH)), &mut alerts);
    engine.advance(Timestamp::MAX, &mut alerts);
    engine.finish(Timestamp::EPOCH, &mut alerts);
    assert_eq!(alerts.len(), 1);
}

#[test]
fn late_events_are_counted_by_cause() {
    let mut engine = ErrorSpike::new(settings(1_000, 660, 600), &RuleContext::default());
    let mut alerts = Vec::new();
    engine.advance(at(600), &mut alerts);
    for (time, seen) in [(599, 659), (599, 660), (540, 661), (539, 662), (100, 663), (1_199, 1_259)] {
        engine.take(&Matched::of(&bare_event(client(1), at(time), 1, at(seen))), &mut alerts);
    }
    let counters = engine.counters();
    assert_eq!((counters.counted, counters.late_partly, counters.late_incomplete), (6, 4, 0));
}

#[test]
fn reasons_that_do_not_count_are_counted_apart() {
    let mut engine = ErrorSpike::new(settings(0, 660, 600), &RuleContext::default());
    let mut alerts = Vec::new();
    let mut other = bare_event(client(1), at(1), 1, at(1));
    other.reason = crate::event::Reason::TlsAlert;
    engine.take(&Matched::of(&other), &mut alerts);
    engine.finish(at(1), &mut alerts);
    assert_eq!((alerts.len(), engine.counters().other_reasons), (0, 1));
}

#[test]
fn memory_of_evidence_is_given_back() {
    let mut engine = ErrorSpike::new(settings(50, 660, 600), &RuleContext::default());
    let mut alerts = Vec::new();
    for index in 0..200u64 {
        // One client has many errors, some clients have a few, and some have one error.
        let number = if index % 2 == 0 { 1 } else { 2 + (index % 23) as u8 };
        engine.take(&Matched::of(&event(client(number), at(1_000 + index), index, "/some/path")), &mut alerts);
    }
    let held = |engine: &ErrorSpike| engine.gauges()[1].value;
    assert!(held(&engine) > 200 * 10);
    engine.advance(at(10_000), &mut alerts);
    assert_eq!((engine.gauges()[0].value, held(&engine)), (0, 0));
}

#[test]
fn clients_with_few_errors_leave_memory_to_those_with_many() {
    let mut engine =
        ErrorSpike::new(settings(20, 660, 600), &RuleContext { pool: TextPool::new(40_000), ..RuleContext::default() });
    let mut alerts = Vec::new();
    let path = "/".repeat(200);
    for number in 0..250u8 {
        engine.take(&Matched::of(&event(client(number), at(1_000), 1, &path)), &mut alerts);
    }
    assert!((20_000..21_000).contains(&engine.gauges()[1].value), "{}", engine.gauges()[1].value);
    for index in 0..40 {
        engine.take(&Matched::of(&event(client(251), at(1_010 + index), index, "/x")), &mut alerts);
    }
    engine.finish(at(1_100), &mut alerts);
    assert_eq!((alerts[0].count, alerts[0].summary.without_evidence), (40, 0));
}

#[test]
fn loss_within_a_window_makes_its_alerts_lower_bounds() {
    let mut engine = ErrorSpike::new(settings(0, 660, 600), &RuleContext::default());
    let mut alerts = Vec::new();
    for time in [100, 2_000] {
        engine.take(&Matched::of(&bare_event(client(1), at(time), 1, at(time))), &mut alerts);
    }
    for second in 0..10_000 {
        engine.note_loss(at(1_800 + second % 100).into());
    }
    engine.finish(at(2_000), &mut alerts);
    assert_eq!(alerts.iter().map(|alert| alert.lower_bound).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn suppression_keeps_a_group_silent_for_its_period() {
    let events: Vec<_> = (0..600).map(|index| (1, index * 10)).collect();
    let all = run(settings(5, 600, 600), &events).0;
    assert_eq!(all.len(), 10);
    let silent = ErrorSpikeSettings { suppress: Some(Duration::from_secs(1_800)), ..settings(5, 600, 600) };
    let (short, engine, _) = run(silent, &events);
    assert_eq!(short.iter().map(|alert| alert.0).collect::<Vec<_>>(), [600, 2_400, 4_200, 6_000]);
    assert_eq!(engine.counters().alerts_suppressed, 6);
}

#[test]
fn a_full_table_gives_up_clients_with_few_errors_only() {
    let full = ErrorSpikeSettings { max_clients: 3, ..settings(8, 660, 600) };
    let mut events: Vec<_> = (0..10).map(|index| (1, 100 + index)).collect();
    events.extend((2..100).map(|number| (number, 120)));
    let (short, engine, alerts) = run(full, &events);
    assert_eq!(short, [(600, 1, 10)]);
    assert_eq!(engine.clients.len(), 3);
    assert_eq!(engine.counters().clients_evicted, 96);
    let left_out = alerts[1].left_out.as_ref().unwrap();
    assert_eq!((left_out.client_limit.clients, left_out.client_limit.errors.total()), (96, 96));
    assert!(alerts[0].lower_bound, "the window lacks errors");
}

#[test]
fn without_memory_for_evidence_counts_stay_exact() {
    let poor = RuleContext { pool: TextPool::new(0), ..RuleContext::default() };
    let events: Vec<_> = (0..60).map(|index| (1, 100 + index)).collect();
    let (short, engine, alerts) = run_in(&poor, settings(50, 660, 600), &events);
    assert_eq!(short, [(600, 1, 60)]);
    assert_eq!(alerts[0].summary.without_evidence, 60);
    assert_eq!(engine.counters().without_evidence, 60);
}

#[test]
fn streaming_alerts_with_the_packet_that_crosses() {
    let streaming = ErrorSpikeSettings { mode: Mode::Streaming, ..settings(50, 660, 600) };
    let mut engine = ErrorSpike::new(streaming, &RuleContext::default());
    let mut alerts = Vec::new();
    for index in 0..200u64 {
        engine.take(&Matched::of(&event(client(1), at(1_000 + index), index, &format!("/{index}"))), &mut alerts);
        assert_eq!(!alerts.is_empty(), index >= 50, "{index}");
    }
    assert_eq!(alerts[0].time, at(1_050));
    assert_eq!(alerts[0].count, 51);
    engine.take(&Matched::of(&event(client(2), at(3_000), 999, "/")), &mut alerts);
    let kinds: Vec<_> = alerts.iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::Open, AlertKind::Update, AlertKind::Update, AlertKind::Close]);
    assert!(alerts.iter().all(|alert| alert.id == alerts[0].id));
    assert_eq!(alerts[3].episode.unwrap().count, 200);
    engine.finish(at(3_000), &mut alerts);
    assert_eq!(alerts.len(), 4);
}

#[test]
fn streaming_opens_no_more_than_allowed_and_closes_at_the_end() {
    let streaming = ErrorSpikeSettings { mode: Mode::Streaming, max_alerts: 2, ..settings(1, 660, 600) };
    let mut engine = ErrorSpike::new(streaming, &RuleContext::default());
    let mut alerts = Vec::new();
    for number in 0..5 {
        for packet in 0..2 {
            engine.take(&Matched::of(&event(client(number), at(100), packet, "/")), &mut alerts);
        }
    }
    assert_eq!((alerts.len(), engine.counters().alerts_truncated), (2, 3));
    engine.take(&Matched::of(&event(client(4), at(610), 9, "/")), &mut alerts);
    let kinds: Vec<_> = alerts[2..].iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::LeftOut, AlertKind::Open], "the next interval has room again");
    let left_out = alerts[2].left_out.as_ref().unwrap();
    assert_eq!((left_out.alert_limit.clients, left_out.alert_limit.errors.total(), alerts[2].time), (3, 6, at(600)));
    engine.finish(at(610), &mut alerts);
    assert_eq!(alerts[4..].iter().map(|alert| alert.kind).collect::<Vec<_>>(), [AlertKind::Close; 3]);
}

/// An event: its client, its time, and the delay until it is seen.
type Arrival = (u8, u64, u64);

/// The grade of a generated error. Errors of client 0 are confirmed, those of client 1 are not, the others are mixed.
fn grade_of(number: u8, time: u64) -> Grade {
    match number {
        0 => Grade::Handshake,
        1 => Grade::OneWay,
        _ => Grade::ALL[(time / (SECOND / 10) % 3) as usize],
    }
}

/// A slow and simple version of the rule: every window counts every event by itself, however late it came.
fn recount(settings: &ErrorSpikeSettings, arrivals: &[Arrival]) -> Vec<(u64, u8, u64)> {
    let (window, every) = (nanos(settings.window), nanos(settings.every));
    let Some(last) = arrivals.iter().map(|arrival| arrival.1 + arrival.2).max() else { return Vec::new() };
    let mut boundary = every;
    let mut found = Vec::new();
    while boundary <= (last / every + 1) * every {
        let mut counts = BTreeMap::<u8, (u64, u64)>::new();
        for &(number, time, _) in arrivals {
            if time < boundary && time + window >= boundary {
                let (confirmed, count) = counts.entry(number).or_default();
                *confirmed += u64::from(grade_of(number, time) != Grade::OneWay);
                *count += 1;
            }
        }
        counts.retain(|_, &mut (_, count)| count > u64::from(settings.threshold));
        let mut over = Vec::from_iter(counts);
        over.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        let left_out: u64 = over.iter().skip(settings.max_alerts).map(|&(_, (_, count))| count).sum();
        over.truncate(settings.max_alerts);
        found.extend(over.into_iter().map(|(number, (_, count))| (boundary, number, count)));
        found.extend((left_out > 0).then_some((boundary, LEFT_OUT, left_out)));
        boundary += every;
    }
    found
}

/// The last count of each window and client.
fn last_counts(found: &[(u64, u8, u64)]) -> BTreeMap<(u64, u8), u64> {
    found.iter().map(|&(boundary, number, count)| ((boundary, number), count)).collect()
}

fn engine_run(
    settings: &ErrorSpikeSettings,
    arrivals: &[Arrival],
    nudges: bool,
) -> (Vec<(u64, u8, u64)>, ErrorSpikeCounters) {
    let mut engine = ErrorSpike::new(settings.clone(), &RuleContext::default());
    let mut alerts = Vec::new();
    let mut last = 0;
    for (packet, &(number, time, delay)) in arrivals.iter().enumerate() {
        let (time, seen) = (Timestamp::from_nanos(time), Timestamp::from_nanos(time + delay));
        last = last.max(seen.as_nanos());
        let mut event = bare_event(client(number), time, packet as u64, seen);
        event.observation.grade = grade_of(number, time.as_nanos());
        engine.take(&Matched::of(&event), &mut alerts);
        if nudges {
            engine.advance(Timestamp::from_nanos(last), &mut alerts);
        }
    }
    engine.finish(Timestamp::from_nanos(last), &mut alerts);
    let short = alerts.iter().map(|alert| (alert.time.as_nanos(), number_of(alert), alert.count)).collect();
    (short, engine.counters())
}

fn rule() -> impl Strategy<Value = ErrorSpikeSettings> {
    let tenths = |range: std::ops::Range<u64>| range.prop_map(|tenths| Duration::from_millis(tenths * 100));
    (0u32..20, tenths(10..200), tenths(10..200), tenths(0..100), 1usize..5).prop_map(
        |(threshold, window, every, lateness, max_alerts)| ErrorSpikeSettings {
            threshold,
            window,
            every,
            lateness,
            max_alerts,
            ..ErrorSpikeSettings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn equals_a_recount(
        settings in rule(),
        arrivals in proptest::collection::vec((0u8..4, 0u64..600, 0u64..120), 0..120),
        ordered in any::<bool>(),
    ) {
        let mut arrivals: Vec<Arrival> =
            arrivals.into_iter().map(|(number, time, delay)| (number, time * SECOND / 10, delay * SECOND / 10)).collect();
        if ordered {
            arrivals.sort_by_key(|&(_, time, delay)| time + delay);
        }
        let (found, counters) = engine_run(&settings, &arrivals, false);
        if counters.late_partly == 0 {
            prop_assert_eq!(&found, &recount(&settings, &arrivals));
            prop_assert_eq!(&found, &engine_run(&settings, &arrivals, true).0);
        }
        // Where windows are executed again, the order is another and the limit holds for each execution by itself.
        let settings = ErrorSpikeSettings { max_alerts: 1_000, ..settings };
        let (found, counters) = engine_run(&settings, &arrivals, false);
        let (found, expected) = (last_counts(&found), last_counts(&recount(&settings, &arrivals)));
        if counters.late_incomplete == 0 {
            prop_assert_eq!(&found, &expected);
        }
        for (key, count) in &found {
            prop_assert!(expected.get(key).is_some_and(|most| count <= most), "{:?} {}", key, count);
        }
    }

    #[test]
    fn any_order_within_the_lateness_gives_the_same_alerts(
        settings in rule(),
        times in proptest::collection::vec((0u8..3, 0u64..600), 1..100),
        shuffle in any::<u64>(),
    ) {
        let lateness = nanos(settings.lateness);
        let mut arrivals: Vec<Arrival> = times.into_iter().map(|(number, time)| (number, time * SECOND / 10, 0)).collect();
        arrivals.sort_by_key(|&(_, time, _)| time);
        // The first event decides where the first window starts, so both runs begin with the same event at time 0.
        arrivals.insert(0, (0, 0, 0));
        let (ordered, _) = engine_run(&settings, &arrivals, false);
        let mut random = shuffle;
        for (_, _, delay) in arrivals.iter_mut().skip(1) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *delay = (random >> 33) % (lateness + 1);
        }
        arrivals.sort_by_key(|&(_, time, delay)| time + delay);
        let (shuffled, _) = engine_run(&settings, &arrivals, false);
        // The last delay moves the end of the input, so more windows may be executed after it.
        prop_assert!(shuffled.starts_with(&ordered), "{:?} {:?}", ordered, shuffled);
    }
}

proptest! {
    #[test]
    fn streaming_opens_where_a_recount_says_so(
        mut times in proptest::collection::vec(0u64..400, 1..150),
        threshold in 0u32..60,
        window in 1u64..60,
    ) {
        times.sort_unstable();
        let streaming = ErrorSpikeSettings { mode: Mode::Streaming, ..settings(threshold, window, 10) };
        let mut engine = ErrorSpike::new(streaming, &RuleContext::default());
        let mut alerts = Vec::new();
        for (packet, &time) in times.iter().enumerate() {
            engine.take(&Matched::of(&bare_event(client(1), at(time), packet as u64, at(time))), &mut alerts);
            let recount = times[..=packet].iter().filter(|&&earlier| earlier + window > time).count();
            let over = recount > threshold as usize;
            prop_assert!(!over || alerts.iter().any(|alert| alert.kind == AlertKind::Open), "missed at {}", time);
            if alerts.len() == 1 && alerts[0].time == at(time) {
                prop_assert!(over, "too early at {}", time);
                prop_assert!(alerts[0].count > u64::from(threshold));
                break;
            }
        }
        engine.finish(at(400), &mut alerts);
        let of_kind = |kind| alerts.iter().filter(|alert| alert.kind == kind).count();
        prop_assert_eq!(of_kind(AlertKind::Open), of_kind(AlertKind::Close));
    }

    #[test]
    fn more_servers_than_are_listed_are_counted(servers in 1u16..80) {
        let mut engine = ErrorSpike::new(settings(0, 660, 600), &RuleContext::default());
        let mut alerts = Vec::new();
        for port in 1..=servers {
            let mut event = bare_event(client(1), at(1), u64::from(port), at(1));
            event.observation.server = Endpoint::new(SERVER.address, port);
            event.exchange.endpoints = Some((client(1), event.observation.server));
            engine.take(&Matched::of(&event), &mut alerts);
        }
        engine.finish(at(1), &mut alerts);
        prop_assert_eq!(alerts[0].summary.servers.len(), usize::from(servers.min(32)));
        let listed: u64 = alerts[0].summary.servers.iter().map(|entry| entry.1).sum();
        prop_assert_eq!(alerts[0].count - listed, u64::from(servers.saturating_sub(32)));
    }
}
