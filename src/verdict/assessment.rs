//! The pattern that an alert's errors show.
//!
//! In: an alert's [`Summary`]. Out: one [`Assessment`]. The first pattern that matches decides, in the order of [`assess`].

use crate::{detect::Summary, event::Reason};

/// The pattern that an alert's errors show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessment {
    /// Many different paths, most of them not found: the client works through a list.
    PathEnumeration,
    /// Refused log-ins on few paths: the client guesses credentials.
    CredentialGuessing,
    /// Refused access to many different paths.
    ForbiddenProbing,
    /// The servers fail on few paths. This is more likely their fault than the client's.
    ServerFault,
    /// The servers fail on many different paths: the client sends inputs that make them fail.
    FaultInjection,
    /// Requests that are malformed, or that have unusual methods or sizes.
    ProtocolProbing,
    /// The servers refuse requests because the client exceeds their rate limits.
    RateLimited,
    /// The same few paths are not found again and again: a broken link or an outdated client.
    BrokenLink,
    /// No other pattern matches.
    Mixed,
}

impl Assessment {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PathEnumeration => "path_enumeration",
            Self::CredentialGuessing => "credential_guessing",
            Self::ForbiddenProbing => "forbidden_probing",
            Self::ServerFault => "server_fault",
            Self::FaultInjection => "fault_injection",
            Self::ProtocolProbing => "protocol_probing",
            Self::RateLimited => "rate_limited",
            Self::BrokenLink => "broken_link",
            Self::Mixed => "mixed",
        }
    }
}

/// Returns the first pattern that the counts match.
pub(super) fn assess(summary: &Summary) -> Assessment {
    let by_status: u64 = summary.statuses.iter().map(|&(_, count)| count).sum();
    let share = |statuses: &[u16]| {
        let those: u64 =
            summary.statuses.iter().filter(|(status, _)| statuses.contains(status)).map(|entry| entry.1).sum();
        those as f64 / by_status.max(1) as f64
    };
    let total: u64 = summary.reasons.iter().map(|&(_, count)| count).sum();
    let odd: u64 = summary
        .reasons
        .iter()
        .filter(|(reason, _)| matches!(reason, Reason::MalformedRequest | Reason::TlsAlert))
        .map(|entry| entry.1)
        .sum();
    let faults = summary.statuses.iter().filter(|(status, _)| *status >= 500).map(|entry| entry.1).sum::<u64>() as f64
        / by_status.max(1) as f64;
    let many_paths = summary.more_paths || summary.distinct_paths > 20 && summary.distinct_paths * 4 > total;
    if share(&[401, 407]) > 0.5 || !many_paths && share(&[401, 403, 407]) > 0.5 && share(&[401, 407]) > 0.2 {
        Assessment::CredentialGuessing
    } else if share(&[429]) > 0.3 {
        Assessment::RateLimited
    } else if faults > 0.5 {
        if many_paths { Assessment::FaultInjection } else { Assessment::ServerFault }
    } else if odd * 2 > total || share(&[400, 405, 411, 413, 414, 417, 431, 501, 505]) > 0.5 {
        Assessment::ProtocolProbing
    } else if share(&[403]) > 0.5 && many_paths {
        Assessment::ForbiddenProbing
    } else if share(&[404, 410, 403]) > 0.5 {
        if many_paths { Assessment::PathEnumeration } else { Assessment::BrokenLink }
    } else {
        Assessment::Mixed
    }
}
