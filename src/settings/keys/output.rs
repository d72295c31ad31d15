//! `[output]`: what is written where.

use crate::settings::{
    Settings,
    key::{Category::Output, Flag, Key, setting},
};

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("alerts"),
        value_name: "PATH",
        long: "A replay replaces a file; live adds to it. No output may be an input, or another output.",
        example: r#""/var/lib/wirespike/alerts.jsonl""#,
        ..Key::new(
            "output.alerts",
            Output,
            "Write alerts here, one JSON object a line unless --format says text; - is standard output",
            setting!(output.alerts),
        )
    },
    Key {
        flag: Flag::value("format"),
        value_name: "FORMAT",
        long: "With auto, alerts are text where they go to standard output and that is a terminal, and JSON everywhere else. A \
               replay writes a row of a table for each alert as it is found, and at its end the text of each; live writes the \
               text at once. Events, exchanges and counters are always JSON.",
        example: r#""json""#,
        ..Key::new("output.format", Output, "How alerts are written: auto, text or json", setting!(output.format))
    },
    Key {
        flag: Flag::value("events"),
        value_name: "PATH",
        long: "One for each failed exchange: the client, the server, the status, the URL.",
        example: r#""/var/lib/wirespike/events.jsonl""#,
        ..Key::new(
            "output.events",
            Output,
            "Write error events here, one ECS JSON object a line",
            setting!(output.events),
        )
    },
    Key {
        flag: Flag::value("exchanges"),
        value_name: "PATH",
        long: "The access log of the wire: failed and successful exchanges, with sizes and durations.",
        example: r#""/var/lib/wirespike/exchanges.jsonl""#,
        ..Key::new(
            "output.exchanges",
            Output,
            "Write every HTTP exchange here, one ECS JSON object a line",
            setting!(output.exchanges),
        )
    },
    Key {
        flag: Flag::value("stats"),
        value_name: "PATH",
        long: "Written at the end of the run. Every counter of every stage is there, also those that are zero.",
        example: r#""/var/lib/wirespike/stats.json""#,
        ..Key::new("output.stats", Output, "Write the run's counters here, one JSON object", setting!(output.stats))
    },
];
