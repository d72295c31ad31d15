//! The evidence in an alert beyond its count.
//!
//! In: the evidence that a rule has kept of the exchanges that it counted. Out: a [`Summary`]. Lists are ordered by count,
//! the largest first, and then by key, so that the same exchanges give the same summary.

use std::{collections::BTreeMap, time::Duration};

use super::TlsFacts;
use crate::{
    address::Endpoint,
    event::{Dataset, Reason},
    exchange::{Answer, FailedHandshake, GrpcStatus, MethodName},
    time::Timestamp,
};

/// One entry of a list of the most frequent texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopEntry {
    /// The text as bytes from the wire, masked and cut at 256 bytes.
    pub text: Vec<u8>,
    /// How often the text was seen, at least.
    pub count: u64,
}

/// One error as an example for the analyst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The time of the error.
    pub time: Timestamp,
    /// The statuses of the response; 0 when there was none.
    pub answer: Answer,
    /// The reason why the exchange is an error.
    pub reason: Reason,
    /// The method, if the request was seen.
    pub method: Option<MethodName>,
    /// The path, masked and cut. Empty when the path was not kept.
    pub path: Vec<u8>,
    /// The server.
    pub server: Endpoint,
}

/// The evidence about the errors that an alert counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Errors by the statuses of their response, or by what ended their handshake.
    pub answers: Vec<(Answer, u64)>,
    /// Errors by method. Handshakes that failed have none.
    pub methods: Vec<(MethodName, u64)>,
    /// Errors by reason.
    pub reasons: Vec<(Reason, u64)>,
    /// Errors by dataset.
    pub datasets: Vec<(Dataset, u64)>,
    /// Errors by server.
    pub servers: Vec<(Endpoint, u64)>,
    /// The most requested paths.
    pub paths: Vec<TopEntry>,
    /// The most frequent user agents.
    pub user_agents: Vec<TopEntry>,
    /// Errors whose request had a user agent.
    pub with_user_agent: u64,
    /// The most frequent hosts.
    pub hosts: Vec<TopEntry>,
    /// What the TLS connections of the errors or turns show.
    pub tls: TlsFacts,
    /// The number of different paths. It is a lower bound when `more_paths` is set.
    pub distinct_paths: u64,
    /// Whether there were more different paths than were counted.
    pub more_paths: bool,
    /// The number of errors in each interval, in order of time.
    pub timeline: Vec<(Timestamp, u64)>,
    /// The length of an interval of the timeline.
    pub timeline_interval: Duration,
    /// The first error.
    pub first: Option<Sample>,
    /// The last error.
    pub last: Option<Sample>,
    /// The first connections, each as client and server.
    pub flows: Vec<(Endpoint, Endpoint)>,
    /// Errors that were counted without evidence because no memory was left for evidence.
    pub without_evidence: u64,
}

impl Summary {
    /// Errors by status of HTTP; 0 if they have none.
    pub fn statuses(&self) -> Vec<(u16, u64)> {
        added_up(self.answers.iter().map(|(answer, count)| (answer.status(), *count)))
    }

    /// Errors by status of gRPC, where that is why they are errors.
    pub fn grpc_statuses(&self) -> Vec<(GrpcStatus, u64)> {
        added_up(self.answers.iter().filter_map(|(answer, count)| Some((answer.grpc()?, *count))))
    }

    /// Errors that have a status, by the status of HTTP that says what their response says.
    pub fn meanings(&self) -> Vec<(u16, u64)> {
        let meanings = self.answers.iter().map(|(answer, count)| (answer.meaning(), *count));
        added_up(meanings.filter(|(meaning, _)| *meaning != 0))
    }

    /// Handshakes that failed, by what ended them.
    pub fn failed_handshakes(&self) -> Vec<(FailedHandshake, u64)> {
        added_up(self.answers.iter().filter_map(|(answer, count)| Some((answer.failed_handshake()?, *count))))
    }

    /// Errors with a reason.
    pub fn of_reason(&self, reason: Reason) -> u64 {
        self.reasons.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum()
    }
}

/// Adds up the counts of equal keys, and ranks them.
fn added_up<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut sums = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key).or_default() += count;
    }
    ranked(sums)
}

/// Sorts counts, the largest first, then by key. Counts of zero are left out.
pub(super) fn ranked<K: Ord>(counts: impl IntoIterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut ranked: Vec<_> = counts.into_iter().filter(|&(_, count)| count > 0).collect();
    ranked.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    ranked
}
