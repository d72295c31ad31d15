//! What became of TLS connections, in one line.
//!
//! In: the counters of every stage. Out: a line for people, where secrets were there or expected. Promises: the numbers of those
//! that were read and of those that were not, by cause, add up to all.

use crate::telemetry::summary::{StageCounts, grouped};

use super::warnings::Counters;

/// Counters of connections that were not read, and what they are in words.
const CAUSES: [(&str, &str); 10] = [
    ("tls_no_keys", "without keys"),
    ("tls_forward_secret", "without keys, of a key exchange that no private key opens"),
    ("tls_wrong_keys", "with keys that open nothing"),
    ("tls_unsupported_suite", "with a cipher suite that is not supported"),
    ("tls_encrypted_hello", "with an encrypted hello and without keys"),
    ("tls_midstream", "begun before the capture"),
    ("tls_incomplete", "with no record captured whole"),
    ("tls_early_data", "with early data that may not be read"),
    ("tls_desynchronised", "with too many lost records"),
    ("tls_budget_spent", "given up after a long search"),
];

/// Those of them that other secrets would open.
pub(super) const LACKS_SECRETS: [&str; 4] =
    ["tls_no_keys", "tls_forward_secret", "tls_wrong_keys", "tls_encrypted_hello"];

/// `412 TLS connections, 380 read; 32 without keys`. `None` without TLS, and where no secret was expected.
pub(super) fn said(stages: &[StageCounts]) -> Option<String> {
    let counters = Counters(stages);
    let of = |name: &'static str| counters.of("http", &[name]);
    let (all, read) = (of("tls_handshakes"), of("tls_read"));
    if all == 0 || !counters.has_secrets() {
        return None;
    }
    let mut rest: Vec<(u64, &str)> = CAUSES.iter().map(|(name, words)| (of(name), *words)).collect();
    rest.push((of("tls_failures"), "failed in the handshake"));
    rest.push((of("tls_without_data"), "without data"));
    let accounted: u64 = read + rest.iter().map(|(count, _)| count).sum::<u64>();
    rest.push((all.saturating_sub(accounted), "unread for other causes"));
    let parts: Vec<String> = rest
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{} {words}", grouped(*count)))
        .collect();
    let partly = of("tls_partly_read");
    let partly = if partly > 0 { format!(" ({} in part)", grouped(partly)) } else { String::new() };
    let tail = if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
    let noun = if all == 1 { "connection" } else { "connections" };
    let expired = counters.of("tls_secrets", &["connections_expired"]);
    let expired = if expired > 0 {
        format!("; the secrets of {} were dropped, as tls.max_secrets was reached", grouped(expired))
    } else {
        String::new()
    };
    Some(format!("{} TLS {noun}, {} read{partly}{tail}{expired}", grouped(all), grouped(read)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{stream::StreamCounters, telemetry::Count};

    fn stages(values: &[(&str, u64)], with_secrets: bool) -> Vec<StageCounts> {
        let mut counts: Vec<Count> = StreamCounters::default().counts();
        for (name, value) in values {
            counts.iter_mut().find(|count| count.name == *name).unwrap().value = *value;
        }
        let secrets = with_secrets.then(|| StageCounts { stage: "tls_secrets", counts: Vec::new() });
        [StageCounts { stage: "http", counts }].into_iter().chain(secrets).collect()
    }

    #[test]
    fn the_numbers_add_up() {
        let read = |values: &[(&'static str, u64)]| said(&stages(values, true));
        assert_eq!(read(&[]), None);
        assert_eq!(
            read(&[("tls_handshakes", 412), ("tls_read", 380), ("tls_no_keys", 32)]).unwrap(),
            "412 TLS connections, 380 read; 32 without keys"
        );
        assert_eq!(read(&[("tls_handshakes", 1), ("tls_read", 1)]).unwrap(), "1 TLS connection, 1 read");
        let mut many = stages(&[("tls_handshakes", 2), ("tls_no_keys", 2)], true);
        many[1].counts.push(Count { name: "connections_expired", help: "", value: 3 });
        assert_eq!(
            said(&many).unwrap(),
            "2 TLS connections, 0 read; 2 without keys; the secrets of 3 were dropped, as tls.max_secrets was reached"
        );
        let mixed = [
            ("tls_handshakes", 20),
            ("tls_read", 9),
            ("tls_partly_read", 1),
            ("tls_midstream", 4),
            ("tls_failures", 3),
            ("tls_without_data", 4),
        ];
        assert_eq!(
            read(&mixed).unwrap(),
            "20 TLS connections, 9 read (1 in part); 4 begun before the capture, 3 failed in the handshake, 4 without data"
        );
        assert_eq!(read(&[("tls_handshakes", 1)]).unwrap(), "1 TLS connection, 0 read; 1 unread for other causes");
        assert_eq!(said(&stages(&[("tls_handshakes", 2)], false)), None);
    }

    #[test]
    fn every_cause_has_a_counter() {
        assert!(LACKS_SECRETS.iter().all(|lacking| CAUSES.iter().any(|(name, _)| name == lacking)));
        for (name, words) in CAUSES {
            let text = said(&stages(&[("tls_handshakes", 1), (name, 1)], true)).unwrap();
            assert_eq!(text, format!("1 TLS connection, 0 read; 1 {words}"));
        }
    }
}
