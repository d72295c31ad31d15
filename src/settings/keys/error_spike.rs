//! `[rule]`: the rule error_spike, and it alone.

use crate::settings::{
    Settings,
    key::{Category::ErrorSpike, Flag, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("threshold"),
        value_name: "N",
        long: "Strictly more: with 50, the 51st error makes the alert. Concerns error_spike only.",
        example: "20",
        ..Key::new(
            "rule.threshold",
            ErrorSpike,
            "error_spike: alert on more errors than this by a client",
            setting!(rules.error_spike.threshold),
        )
    },
    Key {
        flag: Flag::value("window"),
        value_name: "DURATION",
        long: "In scheduled mode at least as long as the interval (--every): errors between two windows would never count. \
               Concerns error_spike only.",
        example: r#""11m""#,
        ..Key::new(
            "rule.window",
            ErrorSpike,
            "error_spike: how far each check looks back",
            setting!(rules.error_spike.window),
        )
    },
    Key {
        flag: Flag::value("every"),
        value_name: "DURATION",
        long: "Checks are at the multiples of this interval since the Unix epoch. Concerns error_spike only.",
        example: r#""10m""#,
        ..Key::new("rule.every", ErrorSpike, "error_spike: how often it is checked", setting!(rules.error_spike.every))
    },
    Key {
        flag: Flag::value("max-alerts"),
        value_name: "N",
        long: "The clients with the most errors come first; `truncated` says how many were left out. Concerns error_spike only.",
        example: "100",
        ..Key::new(
            "rule.max_alerts",
            ErrorSpike,
            "error_spike: alerts written at most for one check",
            setting!(rules.error_spike.max_alerts),
        )
    },
    Key {
        flag: Flag::value("mode"),
        value_name: "MODE",
        long: "scheduled counts at fixed times, as the reference rule does. streaming alerts with the very packet that crosses the \
               threshold, and says again how it goes on and when it is over. Concerns error_spike only.",
        example: r#""streaming""#,
        ..Key::new("rule.mode", ErrorSpike, "error_spike: when alerts are written", setting!(rules.error_spike.mode))
    },
    Key {
        flag: Flag::value("lateness"),
        value_name: "DURATION",
        long: "In packet time. Errors that come later have the window executed again. Concerns error_spike only.",
        example: r#""60s""#,
        ..Key::new(
            "rule.lateness",
            ErrorSpike,
            "error_spike: how long after its end a window is executed",
            setting!(rules.error_spike.lateness),
        )
    },
    Key {
        long: "http_status, no_response, malformed_request, tls_alert and grpc_status; an event has its reason in event.reason.",
        example: r#"["http_status", "no_response"]"#,
        ..Key::new(
            "rule.reasons",
            ErrorSpike,
            "error_spike: which kinds of error count",
            setting!(rules.error_spike.reasons),
        )
    },
    Key {
        long: "In scheduled mode. 0s is never silent.",
        value_name: "DURATION",
        example: r#""1h""#,
        ..Key::new(
            "rule.suppress",
            ErrorSpike,
            "error_spike: no second alert for the same client within this time",
            setting!(rules.error_spike.suppress),
        )
    },
];
