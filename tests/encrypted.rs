//! Scans inside TLS, inferred from lengths and times: recorded cases against the server's own log (`inside.log`), which the program
//! never sees.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Replay,
    case::Case,
    documents, field, file,
    packets::{self, Timed},
    transform::{self, Random},
};

const RULES: [&str; 2] = ["--rules", "error_spike,encrypted_scan"];

/// The cases whose traffic is inside TLS, each with the statuses that the server logged.
fn cases() -> Vec<(Case, Vec<u16>)> {
    let inside = |case: &Case| {
        let log = fs::read_to_string(case.folder.join("inside.log")).ok()?;
        Some(log.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect())
    };
    let cases: Vec<_> = Case::all().into_iter().filter_map(|case| inside(&case).map(|log| (case, log))).collect();
    assert!(cases.len() >= 3, "{}", cases.len());
    cases
}

fn errors(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status >= 400).count()
}

/// The counts of all alerts, each of which says that it is inferred.
fn counts(replay: &Replay) -> Vec<u64> {
    let count = |alert: Value| {
        assert_eq!(field(&alert, "wirespike.alert.rule"), "encrypted_scan");
        assert_eq!(field(&alert, "wirespike.alert.inferred"), "true");
        assert_eq!(field(&alert, "wirespike.alert.verdict.name"), "encrypted_scan");
        let ja4 = alert.pointer("/wirespike/alert/tls/ja4/0").and_then(Value::as_str);
        assert!(ja4.is_some_and(|ja4| ja4.starts_with("t13")), "{alert}");
        alert.pointer("/wirespike/alert/count").unwrap().as_u64().unwrap()
    };
    documents(&replay.alerts).into_iter().map(count).collect()
}

#[test]
fn alerts_count_the_errors_of_the_servers_log() {
    for (case, statuses) in cases() {
        let replay = Replay::run(&case.capture, &RULES).succeeded();
        assert!(replay.exchanges.is_empty() && replay.events.is_empty(), "{}: nothing was read", case.name);
        let (found, errors) = (counts(&replay), errors(&statuses) as u64);
        match errors > 50 {
            true => {
                let [found] = found[..] else { panic!("{}: {found:?}", case.name) };
                assert!(found <= errors && errors - found <= errors / 50, "{}: {found} of {errors}", case.name);
            }
            false => assert!(found.is_empty(), "{}: {found:?}", case.name),
        }
        for alert in documents(&replay.alerts) {
            let turns = alert.pointer("/wirespike/alert/inference/turns").unwrap().as_u64().unwrap();
            assert!(turns <= statuses.len() as u64, "{}: {turns} of {}", case.name, statuses.len());
            assert!(!field(&alert, "message").contains("error"), "{}", field(&alert, "message"));
        }
    }
}

#[test]
fn in_streaming_mode_the_alert_comes_with_the_answer_that_is_over_the_threshold() {
    let streaming = [&RULES[..], &["--set", "encrypted_scan.mode=\"streaming\""]].concat();
    for (case, statuses) in cases() {
        let replay = Replay::run(&case.capture, &streaming).succeeded();
        let alerts = documents(&replay.alerts);
        if errors(&statuses) <= 50 {
            assert!(alerts.is_empty(), "{}", case.name);
            continue;
        }
        assert_eq!(counts(&replay)[0], 51, "{}", case.name);
        let kinds: Vec<String> = alerts.iter().map(|alert| field(alert, "wirespike.alert.kind")).collect();
        assert_eq!(
            (kinds.first().map(String::as_str), kinds.last().map(String::as_str)),
            (Some("open"), Some("close"))
        );
        let of_one = |alert: &Value| field(alert, "event.id") == field(&alerts[0], "event.id");
        assert!(alerts.iter().all(of_one), "{}: one activity has one ID", case.name);
        let (last, scheduled) = (alerts.last().unwrap(), counts(&Replay::run(&case.capture, &RULES).succeeded()));
        assert_eq!(counts(&replay).last(), scheduled.first(), "{}: the same answers count", case.name);
        assert!(field(last, "message").contains("; now quiet, after "), "{}", field(last, "message"));
    }
}

#[test]
fn without_the_rule_nothing_is_inferred() {
    for (case, _) in cases() {
        assert_eq!(Replay::run(&case.capture, &["-q"]).succeeded().alerts, "", "{}", case.name);
    }
}

#[test]
fn any_number_of_workers_writes_the_same_bytes() {
    for (case, _) in cases() {
        let alerts = |workers| {
            let arguments = [&RULES[..], &["--workers", workers]].concat();
            Replay::run(&case.capture, &arguments).succeeded().alerts
        };
        let alone = alerts("1");
        assert_eq!([alerts("2"), alerts("8")], [alone.clone(), alone], "{}", case.name);
    }
}

#[test]
fn what_networks_do_to_packets_changes_nothing_and_a_loss_adds_nothing() {
    type Change = fn(&[Timed], &mut Random) -> Vec<Timed>;
    let folder = TempDir::new().unwrap();
    let harmless: [Change; 4] = [transform::reorder, transform::repeat, transform::split, transform::join];
    for (case, _) in cases() {
        let Some(packets) = packets::read(&case.capture) else { continue };
        let count = |packets: &[Timed]| {
            let capture = file(&folder, "capture.pcap", packets::plain(packets));
            counts(&Replay::run(&capture, &RULES).succeeded()).first().copied()
        };
        let whole = count(&packets);
        for (number, change) in harmless.into_iter().enumerate() {
            assert_eq!(count(&change(&packets, &mut Random::new(3))), whole, "{} {number}", case.name);
        }
        for seed in 0..4 {
            let lossy = count(&transform::lose(&packets, &mut Random::new(seed)));
            assert!(lossy <= whole, "{} {seed}: {lossy:?} of {whole:?}", case.name);
        }
    }
}
