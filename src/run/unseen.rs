//! What a run could not see.
//!
//! In: the counters of every stage. Out: a phrase for each kind of thing that was there and was not read, or is missing, with its
//! number. Promises: what is zero has no phrase.

use crate::telemetry::summary::{StageCounts, grouped};

use super::warnings::Counters;

/// A stage, the counters of one kind, and what they count in words: one of it, and several.
type Unseen = (&'static str, &'static [&'static str], [&'static str; 2]);

const UNSEEN: [Unseen; 10] = [
    ("http", &["tls_unread"], ["TLS connection", "TLS connections"]),
    (
        "http",
        &["tls_partly_read"],
        ["TLS connection of which only a part was read", "TLS connections of which only a part was read"],
    ),
    (
        "http",
        &["http2_unread"],
        ["HTTP/2 connection that could not be read", "HTTP/2 connections that could not be read"],
    ),
    ("decode", &["unsupported_link_type"], ["packet of an unknown link type", "packets of an unknown link type"]),
    ("decode", &["encrypted_wifi", "encrypted_macsec", "esp"], ["encrypted packet", "encrypted packets"]),
    (
        "decode",
        &[
            "truncated_link",
            "truncated_ip",
            "truncated_tunnel",
            "truncated_tcp",
            "malformed_link",
            "malformed_ip",
            "malformed_tunnel",
            "malformed_tcp",
            "too_deep",
            "wifi_fragments",
        ],
        ["packet that cannot be decoded", "packets that cannot be decoded"],
    ),
    ("flow", &["gap_bytes"], ["byte in gaps of TCP streams", "bytes in gaps of TCP streams"]),
    ("flow", &["snapped_bytes"], ["byte beyond the snap length", "bytes beyond the snap length"]),
    ("detect", &["late_dropped"], ["error out of order that came too late", "errors out of order that came too late"]),
    (
        "output",
        &["dropped_lines", "undelivered_lines"],
        ["line that nobody read or that could not be written", "lines that nobody read or that could not be written"],
    ),
];

/// What was not seen, one phrase each.
pub(super) fn of(stages: &[StageCounts]) -> Vec<String> {
    let counters = Counters(stages);
    let phrase = |&(stage, names, [one, several]): &Unseen| {
        let count = counters.of(stage, names);
        (count > 0).then(|| format!("{} {}", grouped(count), if count == 1 { one } else { several }))
    };
    UNSEEN.iter().filter_map(phrase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{output::OutputCounters, run::limits, telemetry::Count};

    #[test]
    fn every_counter_exists_and_each_alone_is_told() {
        let mut all = limits::tests::stages();
        all.push(StageCounts { stage: "output", counts: OutputCounters::default().counts() });
        assert!(of(&all).is_empty());
        for (name, counters, [one, several]) in UNSEEN {
            for (counter, (value, said)) in counters.iter().flat_map(|counter| {
                [(1, format!("1 {one}")), (1_234, format!("1,234 {several}"))].map(|said| (counter, said))
            }) {
                let mut stages = all.clone();
                let stage = stages.iter_mut().find(|stage| stage.stage == name).unwrap();
                let count: &mut Count = stage.counts.iter_mut().find(|count| count.name == *counter).unwrap();
                count.value = value;
                assert_eq!(of(&stages), [said], "{name}.{counter}");
            }
        }
    }
}
