//! Warns while a live run goes on that much of what passes is TLS that cannot be read.
//!
//! In: the counters of the stages, once a second. Out: a line for the log. Promises: a warning needs [`FEWEST`] such connections and half
//! of all connections since the last warning; between two warnings there are at least [`INTERVAL`], whatever passes.

use std::time::{Duration, Instant};

use crate::{
    run::{tls_keys::SecretsCounter, unread::Unread},
    stream::UnreadPorts,
    telemetry::summary::StageCounts,
};

/// The fewest unread connections that are worth a warning.
const FEWEST: u64 = 50;
/// Time between two warnings.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at the counters.
pub(super) struct UnreadWatch {
    secrets: SecretsCounter,
    /// Unread connections and all connections at the last warning, and when that was.
    warned: ([u64; 2], Option<Instant>),
}

impl UnreadWatch {
    pub(super) fn new(secrets: SecretsCounter) -> Self {
        Self { secrets, warned: ([0; 2], None) }
    }

    /// Returns a warning if one is due.
    pub(super) fn look(&mut self, stages: &[StageCounts], ports: &UnreadPorts, now: Instant) -> Option<String> {
        let (before, when) = self.warned;
        if when.is_some_and(|when| now.saturating_duration_since(when) < INTERVAL) {
            return None;
        }
        let unread = Unread { stages, ports };
        let sums = [unread.tls(), unread.connections()];
        let [tls, all] = [sums[0].saturating_sub(before[0]), sums[1].saturating_sub(before[1])];
        if tls < FEWEST || tls * 2 < all {
            return None;
        }
        self.warned = (sums, Some(now));
        let stages = [stages.to_vec(), self.secrets.stages()].concat();
        Unread { stages: &stages, ..unread }.all().into_iter().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{stream::StreamCounters, telemetry::Count};

    fn counts(tls_unread: u64, flows_opened: u64) -> [StageCounts; 2] {
        let http = StreamCounters { tls_unread, ..StreamCounters::default() };
        let flow = vec![Count { name: "flows_opened", help: "", value: flows_opened }];
        [StageCounts { stage: "flow", counts: flow }, StageCounts { stage: "http", counts: http.counts() }]
    }

    #[test]
    fn a_large_share_is_told_once_a_day() {
        let mut watch = UnreadWatch::new(SecretsCounter::default());
        let start = Instant::now();
        let ports = UnreadPorts::default();
        let mut said =
            |tls, all, hours: u64| watch.look(&counts(tls, all), &ports, start + Duration::from_secs(hours * 3_600));
        assert_eq!(said(49, 49, 0), None, "too few");
        assert_eq!(said(60, 121, 0), None, "too small a share");
        let line = said(60, 120, 1).unwrap();
        assert!(
            line.starts_with("60 of 120 connections are TLS, whose content cannot be read without their secrets"),
            "{line}"
        );
        assert_eq!(said(9_000, 9_000, 24), None);
        assert!(said(9_000, 9_000, 25).unwrap().starts_with("9,000 of 9,000 connections"));
        assert_eq!(said(9_049, 9_049, 50), None, "few since then");
    }
}
