//! `[encrypted_scan]`: the rule encrypted_scan, and it alone.

use super::within;
use crate::settings::{
    Settings,
    key::{Category::Rules, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        value_name: "N",
        long: "Strictly more: with 50, the 51st uniform answer makes the alert.",
        example: "50",
        ..Key::new(
            "encrypted_scan.threshold",
            Rules,
            "encrypted_scan: alert on more than this many uniform answers to one client of one server",
            setting!(rules.encrypted_scan.threshold),
        )
    },
    Key {
        value_name: "DURATION",
        long: "In scheduled mode at least as long as the interval. In streaming mode a look-back is up to a 22nd of it shorter.",
        example: r#""11m""#,
        ..Key::new(
            "encrypted_scan.window",
            Rules,
            "encrypted_scan: how far each check looks back",
            setting!(rules.encrypted_scan.window),
        )
    },
    Key {
        value_name: "DURATION",
        long: "Checks are at the multiples of this interval since the Unix epoch.",
        example: r#""10m""#,
        ..Key::new(
            "encrypted_scan.every",
            Rules,
            "encrypted_scan: how often it is checked",
            setting!(rules.encrypted_scan.every),
        )
    },
    Key {
        value_name: "MODE",
        long: "scheduled counts at fixed times. streaming alerts with the packet by which a client is over the threshold, and says \
               again how it goes on and when it is over.",
        example: r#""streaming""#,
        ..Key::new(
            "encrypted_scan.mode",
            Rules,
            "encrypted_scan: when alerts are written",
            setting!(rules.encrypted_scan.mode),
        )
    },
    Key {
        value_name: "N",
        long: "The clients with the most uniform answers come first; `truncated` says how many were left out.",
        example: "100",
        ..Key::new(
            "encrypted_scan.max_alerts",
            Rules,
            "encrypted_scan: alerts written at most for one check",
            setting!(rules.encrypted_scan.max_alerts),
        )
    },
    Key {
        value_name: "PERCENT",
        long: "Lower finds more and is wrong more often. What had enough uniform answers and too little confidence is counted.",
        example: "70",
        check: |settings| within(settings.rules.encrypted_scan.min_confidence.into(), 0..=100, " %"),
        ..Key::new(
            "encrypted_scan.min_confidence",
            Rules,
            "encrypted_scan: the least confidence of an alert, in percent",
            setting!(rules.encrypted_scan.min_confidence),
        )
    },
    Key {
        value_name: "N",
        long: "Over it, those with the fewest confirmed turns are given up and counted.",
        example: "100000",
        ..Key::new(
            "encrypted_scan.max_groups",
            Rules,
            "encrypted_scan: pairs of client and server counted at the same time",
            setting!(rules.encrypted_scan.max_groups),
        )
    },
];
