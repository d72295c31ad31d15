use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::testing::{client, inference, naive, turn, word},
    *,
};
use crate::{
    address::Address,
    detect::{EncryptedScanSettings, Mode, Rule, RuleContext},
    exchange::Grade,
};

fn settings() -> EncryptedScanSettings {
    EncryptedScanSettings { mode: Mode::Streaming, ..EncryptedScanSettings::default() }
}

fn begin(settings: EncryptedScanSettings) -> EncryptedScan {
    EncryptedScan::new(settings, &RuleContext::default())
}

fn raised(settings: EncryptedScanSettings, turns: &[Turn]) -> Vec<Alert> {
    let (mut rule, mut alerts) = (begin(settings), Vec::new());
    turns.iter().for_each(|turn| rule.turn(turn, turn.time, &mut alerts));
    rule.finish(turns.last().map(|turn| turn.time).unwrap_or_default(), &mut alerts);
    alerts
}

fn seconds(time: Timestamp) -> u64 {
    time.as_nanos() / 1_000_000_000
}

#[test]
fn a_scan_alerts_with_the_turn_that_is_over_the_threshold_and_ends_when_it_is_quiet() {
    let scan = (0..200).map(|n| turn(600_000 + n, 7, word(n), 308));
    // Another client keeps packet time going.
    let later = (0..40).map(|n| turn(600_200 + n * 30, 8, 120, 900));
    let turns: Vec<Turn> = scan.chain(later).collect();
    let alerts = raised(settings(), &turns);
    let said: Vec<_> = alerts.iter().map(|alert| (alert.kind, seconds(alert.time) - 600_000, alert.count)).collect();
    use AlertKind::{Close, Open, Update};
    assert_eq!(said, [(Open, 50, 51), (Update, 110, 111), (Update, 170, 171), (Close, 199, 200)]);
    assert!(alerts.iter().all(|alert| alert.id == alerts[0].id && alert.mode == Mode::Streaming));
    assert!(alerts.iter().all(|alert| alert.count == inference(alert).uniform));
    let episode = alerts[3].episode.expect("an episode");
    assert_eq!(
        (seconds(episode.started), seconds(episode.last), episode.count, episode.updates),
        (600_000, 600_199, 200, 2)
    );
}

#[test]
fn what_resembles_no_scan_opens_nothing() {
    let poller: Vec<Turn> = (0..500).map(|n| turn(600_000 + n, 7, 120, 248)).collect();
    assert!(raised(settings(), &poller).is_empty());
    let few: Vec<Turn> = (0..50).map(|n| turn(600_000 + n, 7, word(n), 308)).collect();
    assert!(raised(settings(), &few).is_empty());
    // Never more than fifty within eleven minutes.
    let slow: Vec<Turn> = (0..400).map(|n| turn(600_000 + n * 14, 7, word(n), 308)).collect();
    assert!(raised(settings(), &slow).is_empty());
}

#[test]
fn clients_without_a_place_are_summed_up() {
    let settings = EncryptedScanSettings { max_alerts: 2, ..settings() };
    let mut turns: Vec<Turn> =
        (0..5u8).flat_map(|from| (0..60).map(move |n| turn(600_000 + n, from, word(n), 308))).collect();
    // They open no place for others, and find the places of others taken.
    turns.extend(
        (10..14u8).flat_map(|from| {
            (0..60).map(move |n| Turn { grade: Grade::OneWay, ..turn(600_000 + n, from, word(n), 308) })
        }),
    );
    turns.sort_by_key(|turn| turn.time);
    let alerts = raised(settings, &turns);
    let opened = alerts.iter().filter(|alert| alert.kind == AlertKind::Open).count();
    assert_eq!(opened, 4, "two with confirmed turns, and two others");
    let left_out = alerts.last().and_then(|alert| alert.left_out.as_ref()).expect("an alert about the others");
    assert_eq!((left_out.alert_limit.clients, left_out.errors().total()), (5, 300));
}

#[test]
fn a_group_that_makes_room_has_its_alert_closed() {
    let settings = EncryptedScanSettings { max_groups: 4, ..settings() };
    let mut turns: Vec<Turn> = (0..60).map(|n| turn(600_000 + n, 1, word(n), 308)).collect();
    turns.extend((2..5u8).flat_map(|from| (0..90).map(move |n| turn(600_100 + n, from, word(n), 308))));
    turns.sort_by_key(|turn| turn.time);
    turns.push(turn(600_200, 9, 120, 308));
    let (mut rule, mut alerts) = (begin(settings), Vec::new());
    turns.iter().for_each(|turn| rule.turn(turn, turn.time, &mut alerts));
    let closed: Vec<_> =
        alerts.iter().filter(|alert| alert.kind == AlertKind::Close).filter_map(|alert| alert.group.client()).collect();
    assert_eq!(closed, [client(1)]);
}

/// The look-back of a turn, of whole cells of 30 seconds.
fn is_within(at: u64, end: u64) -> bool {
    at <= end && at >= (end - 660) / 30 * 30 + 30
}

proptest! {
    #[test]
    fn alerts_open_at_the_turn_at_which_a_recount_is_over_the_threshold(
        seeds in proptest::collection::vec((0u64..1_500, 0u8..3, 60u32..90, 0u32..3), 1..300),
        threshold in 0u32..60,
    ) {
        let mut turns: Vec<Turn> =
            seeds.iter().map(|&(at, from, request, answer)| turn(600_000 + at, from, request, 300 + answer * 40)).collect();
        turns.sort_by_key(|turn| turn.time);
        let settings = EncryptedScanSettings { threshold, min_confidence: 0, ..settings() };
        let mut opened: BTreeMap<Address, (u64, u64)> = BTreeMap::new();
        for alert in raised(settings, &turns) {
            let client = alert.group.client().expect("a client");
            if alert.kind == AlertKind::Open {
                opened.entry(client).or_insert((seconds(alert.time), alert.count));
            }
        }
        let mut expected = BTreeMap::new();
        for (at, last) in turns.iter().enumerate() {
            let end = seconds(last.time);
            let within: Vec<&Turn> = turns[..=at]
                .iter()
                .filter(|turn| turn.client.address == last.client.address && is_within(seconds(turn.time), end))
                .collect();
            let count = naive(&within);
            if count > u64::from(threshold) {
                expected.entry(last.client.address).or_insert((end, count));
            }
        }
        prop_assert_eq!(opened, expected);
    }

    #[test]
    fn a_restart_anywhere_changes_no_alert(
        seeds in proptest::collection::vec((0u64..3_000, 0u8..3, 60u32..90), 1..200),
        cut in 0usize..200,
        threshold in 0u32..40,
    ) {
        let mut turns: Vec<Turn> = seeds.iter().map(|&(at, from, request)| turn(600_000 + at, from, request, 308)).collect();
        turns.sort_by_key(|turn| turn.time);
        let settings = EncryptedScanSettings { threshold, min_confidence: 0, ..settings() };
        let expected = raised(settings.clone(), &turns);
        let (before, after) = turns.split_at(cut.min(turns.len()));
        let (mut first, mut alerts) = (begin(settings.clone()), Vec::new());
        before.iter().for_each(|turn| first.turn(turn, turn.time, &mut alerts));
        let kept = serde_json::to_string(&first.snapshot()).expect("JSON");
        let kept = serde_json::from_str(&kept).expect("the same");
        let mut second = EncryptedScan::restore(settings, &RuleContext::default(), kept).expect("the same windows");
        after.iter().for_each(|turn| second.turn(turn, turn.time, &mut alerts));
        second.finish(turns.last().map(|turn| turn.time).unwrap_or_default(), &mut alerts);
        let said = |alerts: Vec<Alert>| alerts.into_iter().map(|alert| Alert { lower_bound: false, ..alert }).collect::<Vec<_>>();
        prop_assert_eq!(said(alerts), said(expected));
    }
}
