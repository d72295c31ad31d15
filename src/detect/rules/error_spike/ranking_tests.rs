use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{tests::*, *};
use crate::{
    detect::Rule,
    event::testing::{bare_event, client},
    exchange::Grade,
};

fn take(engine: &mut ErrorSpike, number: u8, time: u64, grade: Grade, alerts: &mut Vec<Alert>) {
    let mut event = bare_event(client(number), at(time), time, at(time));
    event.observation.grade = grade;
    engine.take(&Matched::of(&event), alerts);
}

/// Events of (client, grade), all within one window.
fn events() -> impl Strategy<Value = Vec<(u8, Grade)>> {
    let grade = prop_oneof![1 => Just(Grade::Handshake), 1 => Just(Grade::TwoWay), 6 => Just(Grade::OneWay)];
    proptest::collection::vec((0u8..60, grade), 1..300)
}

fn begin(threshold: u32, max_clients: usize, seed: u64) -> ErrorSpike {
    let settings = ErrorSpikeSettings { max_clients, max_alerts: 7, ..settings(threshold, 660, 600) };
    ErrorSpike::new(settings, &RuleContext { seed, ..RuleContext::default() })
}

proptest! {
    #[test]
    fn no_error_of_a_full_table_is_lost_without_a_word(
        events in events(),
        threshold in 0u32..60,
        max_clients in 1usize..40,
    ) {
        let (mut engine, mut alerts) = (begin(threshold, max_clients, 0), Vec::new());
        for &(number, grade) in &events {
            take(&mut engine, number, 100, grade, &mut alerts);
        }
        prop_assert!(engine.clients.len() <= max_clients);
        let counted: u64 = engine.clients.all().iter().map(|client| client.counts().1).sum();
        let mut left_out = LeftOut::default();
        engine.given_up.add_to(&mut left_out, &(0..u64::MAX));
        prop_assert_eq!(counted + left_out.client_limit.errors.total(), events.len() as u64);
        let counters = engine.counters();
        prop_assert_eq!(left_out.client_limit.clients, counters.clients_evicted + counters.clients_refused);
        engine.finish(at(100), &mut alerts);
        let lower_bounds = alerts.iter().filter(|alert| alert.left_out.is_none()).all(|alert| alert.lower_bound);
        prop_assert!(left_out.is_empty() || lower_bounds);
    }

    #[test]
    fn confirmed_errors_stay_while_their_clients_fit(events in events(), threshold in 0u32..60, spare in 0usize..4) {
        let mut confirmed = BTreeMap::<_, u64>::new();
        for (number, _) in events.iter().filter(|(_, grade)| grade.is_confirmed()) {
            *confirmed.entry(client(*number).address).or_default() += 1;
        }
        // The random events that nobody can confirm are many times the table's size.
        let (mut engine, mut alerts) = (begin(threshold, (confirmed.len() + spare).max(1), 0), Vec::new());
        for &(number, grade) in &events {
            take(&mut engine, number, 100, grade, &mut alerts);
        }
        for (address, errors) in confirmed {
            let held = engine.clients.all().iter().find(|held| held.address == address);
            prop_assert_eq!(held.map(|held| held.counts().0), Some(errors));
        }
    }

    #[test]
    fn what_goes_does_not_depend_on_the_seed(events in events(), threshold in 0u32..9, max_clients in 1usize..40) {
        let mut found = [0, 1, 77].map(|seed| {
            let (mut engine, mut alerts) = (begin(threshold, max_clients, seed), Vec::new());
            for (time, &(number, grade)) in events.iter().enumerate() {
                // The windows move on while the table is full.
                take(&mut engine, number, 100 + 10 * time as u64, grade, &mut alerts);
            }
            engine.finish(at(100 + 10 * events.len() as u64), &mut alerts);
            alerts
        }).into_iter();
        let first = found.next();
        prop_assert!(found.all(|other| Some(other) == first));
    }
}

#[test]
fn forged_errors_do_not_push_a_scanner_out_of_an_execution() {
    let settings = ErrorSpikeSettings { max_alerts: 10, ..ErrorSpikeSettings::default() };
    let (mut engine, mut alerts) = (ErrorSpike::new(settings, &RuleContext::default()), Vec::new());
    for number in 0..100 {
        for _ in 0..500 {
            take(&mut engine, number, 100, Grade::OneWay, &mut alerts);
        }
    }
    for _ in 0..51 {
        take(&mut engine, 200, 101, Grade::Handshake, &mut alerts);
    }
    engine.finish(at(101), &mut alerts);
    assert_eq!(alerts.iter().map(number_of).collect::<Vec<_>>(), [200, 0, 1, 2, 3, 4, 5, 6, 7, 8, LEFT_OUT]);
    assert_eq!((alerts[0].is_confirmed(), alerts[1].is_confirmed()), (true, false));
    let left_out = alerts[10].left_out.as_ref().unwrap();
    let LeftOutCounts { clients, errors, confirmed } = LeftOutCounts::of(left_out);
    assert_eq!((clients, errors, confirmed), (91, 91 * 500, 0));
}

/// The sums of the clients beyond the limit of alerts.
struct LeftOutCounts {
    clients: u64,
    errors: u64,
    confirmed: u64,
}

impl LeftOutCounts {
    fn of(left_out: &LeftOut) -> Self {
        let counts = left_out.alert_limit;
        Self { clients: counts.clients, errors: counts.errors.total(), confirmed: counts.errors.confirmed() }
    }
}

#[test]
fn forged_errors_do_not_push_a_scanner_out_of_a_streaming_interval() {
    let settings =
        ErrorSpikeSettings { mode: Mode::Streaming, max_alerts: 3, max_clients: 20, ..ErrorSpikeSettings::default() };
    let (mut engine, mut alerts) = (ErrorSpike::new(settings, &RuleContext::default()), Vec::new());
    for number in 0..100 {
        for _ in 0..60 {
            take(&mut engine, number, 100, Grade::OneWay, &mut alerts);
        }
    }
    alerts.clear();
    // The first half of the scan is not confirmed: its alert waits until the confirmed errors alone are too many.
    for error in 0..102 {
        let grade = if error < 51 { Grade::OneWay } else { Grade::Handshake };
        take(&mut engine, 200, 101, grade, &mut alerts);
        let opened = alerts.iter().filter(|alert| alert.kind == AlertKind::Open).map(number_of).collect::<Vec<_>>();
        assert_eq!(opened, if error < 101 { vec![] } else { vec![200] }, "{error}");
    }
    engine.finish(at(101), &mut alerts);
    let left_out = alerts.last().unwrap();
    assert_eq!((left_out.kind, left_out.window.partial), (AlertKind::LeftOut, true));
    let of_kind = |kind| alerts.iter().filter(|alert| alert.kind == kind).count();
    assert_eq!((of_kind(AlertKind::LeftOut), of_kind(AlertKind::Open)), (1, 1));
}

#[test]
fn an_open_alert_is_closed_before_its_client_goes() {
    let settings = ErrorSpikeSettings { mode: Mode::Streaming, max_clients: 2, ..ErrorSpikeSettings::default() };
    let (mut engine, mut alerts) = (ErrorSpike::new(settings, &RuleContext::default()), Vec::new());
    for number in [1, 2] {
        for _ in 0..60 {
            take(&mut engine, number, 100, Grade::OneWay, &mut alerts);
        }
    }
    for number in [3, 4] {
        take(&mut engine, number, 101, Grade::Handshake, &mut alerts);
    }
    let kinds: Vec<_> = alerts.iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::Open, AlertKind::Open, AlertKind::Close, AlertKind::Close]);
}

#[test]
fn a_client_whose_confirmed_errors_are_over_goes_to_the_second_part() {
    let (mut engine, mut alerts) = (begin(50, 3, 0), Vec::new());
    for number in [1, 2, 3] {
        take(&mut engine, number, 100, Grade::Handshake, &mut alerts);
    }
    for minute in 1..40 {
        for number in [1, 2, 3] {
            take(&mut engine, number, 100 + 60 * minute, Grade::OneWay, &mut alerts);
        }
    }
    take(&mut engine, 4, 2_500, Grade::Handshake, &mut alerts);
    assert!(engine.clients.all().iter().any(|held| held.address == client(4).address));
    assert_eq!(engine.clients.len(), 3);
}
