//! `[output]`: what is written where.

use crate::settings::{
    Settings,
    key::{Category::Output, Flag, Key, Reload, setting},
    keys::within,
};

/// The least bytes of an alert's packets: some hundred small packets.
const LEAST_EVIDENCE: u64 = 64 << 10;
/// The most bytes of the ring: what a sensor can sensibly hold in memory.
const MOST_RING: u64 = 64 << 30;

pub(super) const KEYS: &[Key<Settings>] = &[
    Key {
        flag: Flag::value("alerts"),
        value_name: "PATH",
        long: "One JSON object a line, unless --format says text. A replay replaces a file; live adds to it. No output may be an \
               input, or another output.",
        example: r#""/var/lib/wirespike/alerts.jsonl""#,
        ..Key::new(
            "output.alerts",
            Output,
            "Write alerts here, as --format says; - is standard output",
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
    Key {
        flag: Flag::value("evidence"),
        value_name: "DIR",
        long: "One pcapng file for each alert that has a client, named by the alert's ID. The alert names the file. It holds what the \
               client sent and received from its first error to its last, and some time before and after. A replay reads the \
               captures a second time for that, and replaces the files of an earlier replay. Live, and a replay of standard \
               input, keep the latest packets in memory; there the file comes later than the alert. A connection of TLS or HTTP/2 that was \
               open before comes with its first packets. The directory is made if it is missing.",
        example: r#""/var/lib/wirespike/evidence""#,
        reload: Reload::OnRestart,
        ..Key::new(
            "output.evidence",
            Output,
            "Write the packets of each alert's client here, as pcapng",
            setting!(output.evidence.directory),
        )
    },
    Key {
        long: "Of more, the first packets up to half of it and the last packets are kept. The file's comment says how many are left \
               out. The first packets of older connections take an eighth more, at most 4 MiB.",
        example: "16777216",
        reload: Reload::OnRestart,
        check: |settings| within(settings.output.evidence.bytes, LEAST_EVIDENCE..=u64::from(u32::MAX), " bytes"),
        ..Key::new("output.evidence_bytes", Output, "Bytes of an alert's packets", setting!(output.evidence.bytes))
    },
    Key {
        example: r#""30s""#,
        reload: Reload::OnRestart,
        ..Key::new(
            "output.evidence_before",
            Output,
            "Packet time before the client's first error whose packets are written too",
            setting!(output.evidence.before),
        )
    },
    Key {
        long: "Live writes the file when this time has passed.",
        example: r#""30s""#,
        reload: Reload::OnRestart,
        ..Key::new(
            "output.evidence_after",
            Output,
            "Packet time after the client's last error whose packets are written too",
            setting!(output.evidence.after),
        )
    },
    Key {
        long: "When the directory is full, alerts name no file, which is counted. Live looks again when files were removed.",
        example: "1073741824",
        reload: Reload::OnRestart,
        ..Key::new(
            "output.evidence_total_bytes",
            Output,
            "Bytes of all pcapng files in the directory",
            setting!(output.evidence.total_bytes),
        )
    },
    Key {
        long: "Live, and a replay of standard input or a pipe, hold the latest packets in a ring of this size, and 16 MiB more while \
               files are written. Packets that the ring does not hold any more when the alert comes are missing in its file.",
        example: "67108864",
        reload: Reload::OnRestart,
        check: |settings| within(settings.output.evidence.ring_bytes as u64, 1 << 20..=MOST_RING, " bytes"),
        ..Key::new(
            "output.evidence_ring_bytes",
            Output,
            "Bytes of the latest packets that are held for alerts to come",
            setting!(output.evidence.ring_bytes),
        )
    },
];
