//! Wrong stamps and files in the wrong order, against a recount from the events' own stamps.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{address::Address, detect::AlertKind};

/// An error event with a status: its client, its URL and its time.
type Event = (Address, String, Timestamp);

/// What a run found.
#[derive(Debug, Default)]
struct Found {
    events: Vec<Event>,
    /// The last count of each scheduled alert, by client and end of the window.
    counts: BTreeMap<(Address, Timestamp), u64>,
    /// The clients with an alert of streaming mode.
    opened: BTreeSet<Address>,
}

fn found(settings: &SensorSettings, input: &[Input]) -> Found {
    let mut found = Found::default();
    let mut executor = SequentialExecutor::new(settings).unwrap();
    let mut take = |finding: Finding<'_>| match finding {
        Finding::Event(event) | Finding::EventAndExchange(event) if event.exchange.status > 0 => {
            let url = String::from_utf8_lossy(event.exchange.field(event.exchange.target)).into_owned();
            found.events.push((event.client().address, url, event.time));
        }
        Finding::Alert { alert, .. } => match (alert.group.client(), alert.kind) {
            (Some(client), AlertKind::Scheduled) => {
                let before = found.counts.insert((client, alert.window.end), alert.count);
                assert!(
                    before.is_none_or(|before| before < alert.count),
                    "an alert again without more errors: {alert:?}"
                );
            }
            (Some(client), AlertKind::Open) => drop(found.opened.insert(client)),
            _ => {}
        },
        _ => {}
    };
    for batch in batches(input, &[usize::MAX]) {
        executor.push(&batch, &mut take);
    }
    executor.finish(&mut take);
    found
}

fn rule(mode: Mode, minutes: u64) -> SensorSettings {
    let window = Duration::from_secs(60 * minutes);
    let error_spike = ErrorSpikeSettings { mode, threshold: 2, every: window, window, ..ErrorSpikeSettings::default() };
    let rules = RulesSettings { error_spike, ..RulesSettings::default() };
    SensorSettings { rules, report_exchanges: true, ..SensorSettings::default() }
}

/// Counts the events of each window by their own times.
fn recount(events: &[Event], window: Duration) -> BTreeMap<(Address, Timestamp), u64> {
    let mut counts = BTreeMap::new();
    for (client, _, time) in events {
        *counts.entry((*client, time.floor_to(window).plus(window))).or_default() += 1;
    }
    counts.retain(|_, count| *count > 2);
    counts
}

/// Returns the clients that have more errors than the threshold within one look-back.
fn crossing(events: &[Event], window: Duration) -> BTreeSet<Address> {
    let crosses = |(client, _, start): &&Event| {
        let within = |other: &&Event| other.0 == *client && other.2 >= *start && other.2.since(*start) < window;
        events.iter().filter(within).count() > 2
    };
    events.iter().filter(crosses).map(|(client, ..)| *client).collect()
}

/// Errors on these connections, in turn, with these pauses in milliseconds.
fn scan(connections: Range<u8>, pauses: &[u64]) -> Vec<Step> {
    let turns = connections.cycle().zip(pauses);
    turns
        .flat_map(|(connection, &pause)| {
            [(Act::Request, 3), (Act::Response { status: 404, body: 10 }, pause)].map(|(act, pause)| Step {
                connection,
                act,
                segment: 500,
                lost: None,
                pause,
                tick: false,
                aggregate: false,
            })
        })
        .collect()
}

/// Changes the time of the packet at this place, counted from the first (`Ok`) or from the last (`Err`).
fn restamp(input: &mut [Input], place: Result<usize, usize>, change: impl Fn(Timestamp) -> Timestamp) {
    let last = input.len() - 1;
    let place = match place {
        Ok(place) => place.min(last),
        Err(place) => last - place.min(last),
    };
    if let Input::Packet { time, .. } = &mut input[place] {
        *time = change(*time);
    }
}

fn moved(time: Timestamp, seconds: i64) -> Timestamp {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { time.minus(by) } else { time.plus(by) }
}

/// The events without their times, in one order.
fn untimed(events: &[Event]) -> Vec<(Address, &str)> {
    let mut all: Vec<_> = events.iter().map(|(client, url, _)| (*client, url.as_str())).collect();
    all.sort_unstable();
    all
}

const YEARS: i64 = 365 * 86_400;

fn shifts() -> impl Strategy<Value = i64> {
    prop_oneof![Just(61 + 2), Just(-61 - 2), Just(3_600), Just(-3_600), Just(70 * YEARS), Just(-70 * YEARS)]
}

fn places() -> impl Strategy<Value = Result<usize, usize>> {
    prop_oneof![Just(Ok(0)), Just(Err(0)), (0..300usize).prop_map(Ok), (0..12usize).prop_map(Err)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn one_wrong_stamp_hides_nothing(
        pauses in proptest::collection::vec(prop_oneof![5 => 5..900u64, 2 => 1_000..9_000u64], 1..60),
        flows in 1..9u8,
        place in places(),
        shift in shifts(),
        sizes in proptest::collection::vec(1..40usize, 1..6),
    ) {
        let honest = input_of(&scan(0..flows, &pauses));
        let mut input = honest.clone();
        restamp(&mut input, place, |time| moved(time, shift));
        let (settings, window) = (rule(Mode::Scheduled, 1), Duration::from_secs(60));
        let (expected, got) = (found(&settings, &honest), found(&settings, &input));
        prop_assert_eq!(untimed(&got.events), untimed(&expected.events));
        let moved_events = got.events.iter().filter(|event| !expected.events.contains(event)).count();
        prop_assert!(moved_events <= 1, "{} events have other times", moved_events);
        prop_assert_eq!(&got.counts, &recount(&got.events, window));
        for mode in [Mode::Scheduled, Mode::Streaming] {
            let settings = rule(mode, 1);
            let expected = sequentially(&settings, &input);
            for workers in [0, 3] {
                prop_assert_eq!(&on_threads(&settings, &input, workers, &sizes), &expected, "{} workers", workers);
            }
        }
        let opened = found(&rule(Mode::Streaming, 1), &input).opened;
        let at_most = crossing(&got.events, window);
        let unmoved: Vec<Event> = got.events.iter().filter(|event| expected.events.contains(event)).cloned().collect();
        prop_assert!(opened.is_subset(&at_most) && opened.is_superset(&crossing(&unmoved, window)), "{:?}", opened);
    }

    #[test]
    fn parts_in_the_wrong_order_are_read_as_they_should_have_been(
        pauses in proptest::collection::vec(prop_oneof![5 => 5..900u64, 2 => 1_000..9_000u64], 12..60),
        between in prop_oneof![Just(0), Just(90_000), Just(7_200_000), Just(70 * 365 * 86_400_000u64)],
        sizes in proptest::collection::vec(1..40usize, 1..6),
    ) {
        let (first, second) = pauses.split_at(pauses.len() / 2);
        let mut first = scan(0..4, first);
        first.last_mut().unwrap().pause += between;
        let all = input_of(&[first.clone(), scan(4..8, second)].concat());
        let cut = input_of(&first).len();
        let swapped = [&all[cut..], &all[..cut]].concat();
        let (settings, window) = (rule(Mode::Scheduled, 10), Duration::from_secs(600));
        let (expected, got) = (found(&settings, &all), found(&settings, &swapped));
        prop_assert_eq!(untimed(&got.events), untimed(&expected.events));
        prop_assert_eq!(&got.counts, &recount(&expected.events, window));
        for mode in [Mode::Scheduled, Mode::Streaming] {
            let settings = rule(mode, 10);
            let expected = sequentially(&settings, &swapped);
            prop_assert_eq!(&on_threads(&settings, &swapped, 3, &sizes), &expected);
        }
        let streaming = rule(Mode::Streaming, 10);
        if between > 600_000 {
            prop_assert_eq!(found(&streaming, &swapped).opened, crossing(&expected.events, window));
        }
    }
}

#[test]
fn two_wrong_stamps_side_by_side_move_time_there_and_back() {
    for (place, shift) in [(0, 3_600), (40, 3_600), (40, -3_600), (40, 70 * YEARS), (1_000, 3_600)] {
        let honest = input_of(&scan(0..1, &[50; 40]));
        let mut input = honest.clone();
        for place in [place, place + 1].map(|place| place.min(input.len() - 2)) {
            restamp(&mut input, Ok(place), |time| moved(time, shift));
        }
        let settings = rule(Mode::Scheduled, 1);
        let (expected, got) = (found(&settings, &honest), found(&settings, &input));
        // A connection that seems to have been silent for an hour is over, and its answer has lost its request. A window that
        // seems to have been over for an hour has forgotten its first errors.
        assert_eq!(got.events.len(), expected.events.len(), "{place} {shift}");
        let all = recount(&got.events, Duration::from_secs(60));
        assert!(got.counts.keys().eq(all.keys()), "{place} {shift}");
        assert!(got.counts.iter().zip(&all).all(|(got, all)| got.1 <= all.1), "{place} {shift}");
    }
}
