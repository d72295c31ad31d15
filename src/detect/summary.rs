//! What an alert can say beyond its count.
//!
//! In: what a rule has kept of the exchanges it counted. Out: a [`Summary`]. Lists are ordered by count, largest first,
//! then by what they count, so that the same exchanges give the same summary.

use std::time::Duration;

use crate::{
    address::Endpoint,
    event::{Dataset, Reason},
    time::Timestamp,
};

/// One entry of a list of what was seen most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopEntry {
    /// The text, masked and cut at 256 bytes; bytes are the wire's.
    pub text: Vec<u8>,
    /// How often at least.
    pub count: u64,
}

/// One error, for the analyst to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub time: Timestamp,
    /// Status, or 0.
    pub status: u16,
    /// Why it is an error.
    pub reason: Reason,
    /// The method's name, if the request was seen.
    pub method: Option<&'static str>,
    /// The path where it was kept, masked and cut.
    pub path: Vec<u8>,
    /// The server.
    pub server: Endpoint,
}

/// What is known of the errors that an alert counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Errors by status.
    pub statuses: Vec<(u16, u64)>,
    /// Errors by method.
    pub methods: Vec<(&'static str, u64)>,
    /// Errors by reason.
    pub reasons: Vec<(Reason, u64)>,
    /// Errors by dataset.
    pub datasets: Vec<(Dataset, u64)>,
    /// Errors by server.
    pub servers: Vec<(Endpoint, u64)>,
    /// The most requested paths.
    pub paths: Vec<TopEntry>,
    /// The most seen user agents.
    pub user_agents: Vec<TopEntry>,
    /// The most seen hosts.
    pub hosts: Vec<TopEntry>,
    /// Different paths; at least so many where `more_paths`.
    pub distinct_paths: u64,
    /// Whether there were more different paths than were counted.
    pub more_paths: bool,
    /// Errors by interval, in order of time.
    pub timeline: Vec<(Timestamp, u64)>,
    /// The interval of the timeline.
    pub timeline_interval: Duration,
    /// The first error.
    pub first: Option<Sample>,
    /// The last error.
    pub last: Option<Sample>,
    /// The first connections, client first.
    pub flows: Vec<(Endpoint, Endpoint)>,
    /// Errors counted without evidence, because there was no memory left for it.
    pub without_evidence: u64,
}

/// What was counted at all, largest count first, then by key.
pub(super) fn ranked<K: Ord>(counts: impl IntoIterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut ranked: Vec<_> = counts.into_iter().filter(|&(_, count)| count > 0).collect();
    ranked.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    ranked
}
