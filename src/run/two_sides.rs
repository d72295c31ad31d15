//! What a run says of proxies that were seen on both sides.
//!
//! In: those proxies, and the counters of every stage. Out: one sentence, if there are any. Promises: at most [`MOST_NAMED`] proxies
//! are named.

use crate::{
    address::Address,
    telemetry::summary::{StageCounts, grouped},
};

use super::warnings::Counters;

/// The most proxies that are named.
const MOST_NAMED: usize = 5;

/// Says through which proxies requests were seen twice, and which side counts.
pub(super) fn said(proxies: &[(Address, u64)], stages: &[StageCounts]) -> Option<String> {
    let mut by_errors = proxies.to_vec();
    by_errors.sort_unstable_by_key(|&(address, left_out)| (std::cmp::Reverse(left_out), address));
    let mut names: Vec<String> = by_errors.iter().take(MOST_NAMED).map(|(address, _)| address.to_string()).collect();
    if let Some(more @ 1..) = by_errors.len().checked_sub(MOST_NAMED) {
        names.push(format!("{more} more"));
    }
    let left_out = Counters(stages).of("event", &["leg_skipped"]);
    (!names.is_empty()).then(|| {
        format!(
            "HTTP through {} was seen on both sides of the proxy: the client's side counts ({} error{} of the other side left out; \
             proxies.leg = \"all\" counts both)",
            names.join(", "),
            grouped(left_out),
            if left_out == 1 { "" } else { "s" }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::limits;

    #[test]
    fn the_proxies_with_the_most_errors_are_named() {
        let proxy = |last: u8, left_out| (Address::v4([192, 0, 2, last]), left_out);
        let mut stages = limits::tests::stages();
        assert_eq!(said(&[], &stages), None);
        let counts = &mut stages.iter_mut().find(|stage| stage.stage == "event").unwrap().counts;
        counts.iter_mut().find(|count| count.name == "leg_skipped").unwrap().value = 1_171;
        let text = said(&[proxy(20, 171), proxy(30, 1_000)], &stages).unwrap();
        assert!(text.starts_with("HTTP through 192.0.2.30, 192.0.2.20 was seen on both sides"), "{text}");
        assert!(text.contains("(1,171 errors of the other side left out;"), "{text}");
        let many: Vec<_> = (1..=7).map(|last| proxy(last, u64::from(last))).collect();
        let text = said(&many, &stages).unwrap();
        assert!(text.contains("192.0.2.7, 192.0.2.6, 192.0.2.5, 192.0.2.4, 192.0.2.3, 2 more was seen"), "{text}");
    }
}
