use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::testing::{client, inference, naive, turn, word},
    *,
};
use crate::{
    detect::Rule,
    exchange::{Grade, TurnFlags},
};

/// What the rule raises for turns in order of time.
fn raised(settings: EncryptedScanSettings, turns: &[Turn]) -> (Vec<Alert>, EncryptedScan) {
    let mut rule = EncryptedScan::new(settings, &RuleContext::default());
    let mut alerts = Vec::new();
    for turn in turns {
        rule.turn(turn, turn.time, &mut alerts);
    }
    let last = turns.iter().map(|turn| turn.time).max().unwrap_or_default();
    rule.finish(last, &mut alerts);
    (alerts, rule)
}

#[test]
fn a_scan_alerts_and_what_resembles_it_does_not() {
    // What it is, how many turns, their lengths, and the alert's count and length.
    type Traffic = (&'static str, u64, fn(u64) -> (u32, u32), Option<(u64, u32)>);
    let cases: [Traffic; 14] = [
        ("one page", 51, |n| (word(n), 308), Some((51, 308))),
        ("as many as the threshold", 50, |n| (word(n), 308), None),
        ("a page that repeats the path", 200, |n| (word(n), 300 + word(n)), Some((200, 300))),
        ("a page that repeats the path twice", 200, |n| (word(n), 300 + 2 * word(n)), Some((200, 300))),
        (
            "a page among others",
            200,
            |n| (word(n), if n % 2 == 0 { 308 } else { 500 + n as u32 * 9 }),
            Some((100, 308)),
        ),
        ("a poller", 500, |_| (120, 308 - 60), None),
        ("a counter in the path", 500, |n| (120 + (n > 9) as u32 + (n > 99) as u32, 240), None),
        ("a monitor of twelve addresses", 240, |n| (100 + (n * 5 % 12) as u32, 240), None),
        ("words that are typed", 200, |n| (100 + (n % 11) as u32, 240), None),
        ("unchanged files", 200, |n| (word(n), 205 + (n % 2) as u32), None),
        ("pages that differ", 500, |n| (word(n), 300 + (n * 37 % 3_000) as u32), None),
        (
            "few of one length among many",
            1_000,
            |n| (word(n), if n % 10 == 0 { 308 } else { 400 + n as u32 * 3 }),
            None,
        ),
        ("reports of any length, acknowledged in few bytes", 500, |n| (300 + (n * 131 % 900) as u32, 120), None),
        ("downloads", 200, |n| (word(n), 1 << 20), None),
    ];
    for (what, count, shape, expected) in cases {
        let turns: Vec<Turn> = (0..count)
            .map(|n| {
                let (request, answer) = shape(n);
                turn(600_000 + n / 4, 7, request, answer)
            })
            .collect();
        let (alerts, _) = raised(EncryptedScanSettings::default(), &turns);
        let found: Option<(u64, u32)> = alerts.first().map(|alert| (alert.count, inference(alert).length));
        assert_eq!(found, expected, "{what}");
        for alert in &alerts {
            assert!(alert.rule.is_inferred && alert.summary.answers.is_empty());
            assert_eq!(alert.count, inference(alert).uniform);
        }
    }
}

#[test]
fn http2_paths_are_shorter_than_what_the_page_repeats() {
    let turns: Vec<Turn> = (0..120)
        .map(|n| {
            let path = word(n) - 96;
            let flags = TurnFlags::MULTIPLEXED;
            Turn { flags, ..turn(600_000 + n, 7, 20 + path * 3 / 4, 400 + 2 * path) }
        })
        .collect();
    let (alerts, _) = raised(EncryptedScanSettings::default(), &turns);
    assert_eq!(alerts.len(), 1);
    assert!(inference(&alerts[0]).is_multiplexed && alerts[0].count > 100, "{}", alerts[0].count);
}

#[test]
fn a_browser_and_an_ordinary_answer_are_less_convincing() {
    let scan = |from: u8, flags| {
        (0..100).map(move |n| Turn { flags, ..turn(600_000 + n, from, word(n), 250) }).collect::<Vec<_>>()
    };
    let confidence = |turns: &[Turn]| {
        let settings = EncryptedScanSettings { min_confidence: 0, ..EncryptedScanSettings::default() };
        raised(settings, turns).0.first().map(|alert| inference(alert).confidence)
    };
    let alone = confidence(&scan(1, TurnFlags::default()));
    assert_eq!(alone, Some(0.9));
    assert_eq!(confidence(&scan(1, TurnFlags::GREASE)), Some(0.45));
    let many: Vec<Turn> = (1..=6).flat_map(|from| scan(from, TurnFlags::default())).collect();
    assert_eq!(confidence(&many), Some(0.8));
    let strict = EncryptedScanSettings { min_confidence: 85, ..EncryptedScanSettings::default() };
    let (alerts, rule) = raised(strict, &many);
    assert_eq!((alerts.len(), rule.counters.unconvincing), (0, 6));
}

#[test]
fn limits_hold_and_what_is_left_out_is_told() {
    let settings = EncryptedScanSettings { max_groups: 8, max_alerts: 2, ..EncryptedScanSettings::default() };
    let mut turns: Vec<Turn> =
        (0..4u8).flat_map(|from| (0..60).map(move |n| turn(600_000 + n, from, word(n), 308))).collect();
    // Clients with one turn each, whose connections one sender may have forged.
    turns.extend((20..120u8).map(|from| Turn { grade: Grade::OneWay, ..turn(600_000, from, 100, 999) }));
    turns.extend((120..250u8).map(|from| turn(600_050, from, 100, 999)));
    turns.sort_by_key(|turn| turn.time);
    let (alerts, rule) = raised(settings, &turns);
    assert!(rule.groups.len() <= 8);
    assert!(rule.counters.groups_evicted > 100 && rule.counters.turns_refused > 50, "{:?}", rule.counters);
    let clients: Vec<_> = alerts.iter().filter_map(|alert| alert.group.client()).collect();
    assert_eq!(clients, [client(0), client(1)], "confirmed turns stay, the first addresses come first");
    let left_out = alerts.last().and_then(|alert| alert.left_out.as_ref()).expect("an alert about the others");
    assert_eq!((left_out.alert_limit.clients, rule.counters.alerts_truncated), (2, 2));
    assert!(alerts.iter().all(|alert| alert.lower_bound));
}

#[test]
fn a_rule_goes_on_from_its_snapshot() {
    let turns: Vec<Turn> = (0..80).map(|n| turn(600_000 + n, 1, word(n), 308)).collect();
    let mut rule = EncryptedScan::new(EncryptedScanSettings::default(), &RuleContext::default());
    let mut alerts = Vec::new();
    turns[..40].iter().for_each(|turn| rule.turn(turn, turn.time, &mut alerts));
    let text = serde_json::to_string(&rule.snapshot()).expect("JSON");
    let kept = serde_json::from_str(&text).expect("the same");
    let mut rule =
        EncryptedScan::restore(EncryptedScanSettings::default(), &RuleContext::default(), kept).expect("same windows");
    turns[40..].iter().for_each(|turn| rule.turn(turn, turn.time, &mut alerts));
    rule.finish(turns[79].time, &mut alerts);
    assert_eq!(alerts.iter().map(|alert| (alert.count, alert.lower_bound)).collect::<Vec<_>>(), [(80, true)]);
}

#[test]
fn a_snapshot_that_is_too_large_keeps_the_groups_of_the_highest_rank() {
    let turns: Vec<Turn> =
        (1..=20u8).flat_map(|from| (0..u64::from(from)).map(move |n| turn(600_000 + n, from, word(n), 308))).collect();
    let (mut rule, mut alerts) =
        (EncryptedScan::new(EncryptedScanSettings::default(), &RuleContext::default()), Vec::new());
    turns.iter().for_each(|turn| rule.turn(turn, turn.time, &mut alerts));
    let mut snapshot = rule.snapshot();
    let left_out = EncryptedScan::limit(&mut snapshot, 4_000);
    let text = serde_json::to_string(&snapshot).expect("JSON");
    assert!(left_out > 0 && text.len() < 5_000, "{left_out} {}", text.len());
    assert_eq!(EncryptedScan::groups_in(&snapshot) + left_out, 20);
    assert!(text.contains(&serde_json::to_string(&client(20)).expect("JSON")));
}

proptest! {
    #[test]
    fn counts_equal_a_naive_recount(
        seeds in proptest::collection::vec((0u64..2_400, 0u8..3, 60u32..90, 0u32..12), 1..600),
        threshold in 0u32..80,
    ) {
        let mut turns: Vec<Turn> =
            seeds.iter().map(|&(at, from, request, answer)| turn(600_000 + at, from, request, 300 + answer * 2)).collect();
        turns.sort_by_key(|turn| turn.time);
        let settings = EncryptedScanSettings { threshold, min_confidence: 0, ..EncryptedScanSettings::default() };
        let (alerts, _) = raised(settings, &turns);
        let mut found: BTreeMap<(u64, Address), u64> = BTreeMap::new();
        for alert in &alerts {
            found.insert((alert.time.as_nanos() / 1_000_000_000, alert.group.client().expect("a client")), alert.count);
        }
        let mut expected = BTreeMap::new();
        let last = turns.last().map_or(0, |turn| turn.time.as_nanos() / 1_000_000_000);
        for boundary in (0..).map(|n| 600_000 + n * 600).skip_while(|end| *end <= 600_000 - 60).take_while(|end| *end <= last + 600) {
            for from in 0..3u8 {
                let within: Vec<&Turn> = turns
                    .iter()
                    .filter(|turn| {
                        let at = turn.time.as_nanos() / 1_000_000_000;
                        turn.client.address == client(from) && at + 660 >= boundary && at < boundary
                    })
                    .collect();
                let count = naive(&within);
                if count > u64::from(threshold) {
                    expected.insert((boundary, client(from)), count);
                }
            }
        }
        prop_assert_eq!(found, expected);
    }
}
