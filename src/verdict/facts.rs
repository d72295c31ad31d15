//! The numbers that a verdict weighs, from an alert and the conduct of its client.
//!
//! In: an [`Alert`] and a [`Conduct`]. Out: [`Facts`]. Promises: without a conduct, only what the alert counts is known.

use super::{
    activity::{Conduct, Kind, Signals},
    handshakes::Handshakes,
    telltales::{self, Telltale},
};
use crate::{
    detect::{Alert, Summary},
    event::Reason,
    exchange::{GrpcStatus, Method},
};

/// The most statuses of gRPC that a reason names.
const NAMED_GRPC: usize = 3;

/// What is weighed. Shares are between 0 and 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Errors that the alert counts.
    pub(super) errors: u64,
    /// Errors by what their status says, in HTTP. Errors without a status are not among them.
    pub(super) statuses: Vec<(u16, u64)>,
    /// Complete requests without an answer.
    pub(super) unanswered: u64,
    /// TLS handshakes that failed.
    pub(super) handshakes: Handshakes,
    /// Errors by status of gRPC, where that is why they are errors.
    pub(super) grpc_statuses: Vec<(GrpcStatus, u64)>,
    /// Exchanges of the window, errors included. Handshakes that failed are among them only if they count as errors.
    pub(super) requests: u64,
    /// Exchanges with success, or a redirect.
    pub(super) successes: u64,
    /// Errors whose request was seen.
    pub(super) asked: u64,
    /// Different paths of errors, at least.
    pub(super) paths: u64,
    /// Malformed requests without an answer.
    pub(super) malformed: u64,
    pub(super) signals: Signals,
    /// Whether the conduct is known.
    pub(super) is_known: bool,
    /// Other clients for whom the same servers failed, at least.
    pub(super) failing_others: u64,
    /// Exchanges of other clients with the same servers, and those on which the servers failed.
    pub(super) others: (u64, u64),
    /// Classes among the examples of paths, where the conduct is not known.
    pub(super) example_classes: Vec<Telltale>,
}

impl Facts {
    pub(super) fn of(alert: &Alert, conduct: Option<&Conduct>) -> Self {
        let Summary { methods, paths, distinct_paths, .. } = &alert.summary;
        let handshakes = Handshakes::among(alert.count, &alert.summary);
        let unseen = methods.iter().find(|(name, _)| name.is_one_of(&[Method::Unseen])).map_or(0, |found| found.1);
        let mut facts = Self {
            errors: alert.count,
            statuses: alert.summary.meanings(),
            grpc_statuses: alert.summary.grpc_statuses(),
            requests: alert.count,
            unanswered: alert.summary.of_reason(Reason::NoResponse),
            asked: alert.count.saturating_sub(unseen + handshakes.count()),
            handshakes,
            paths: *distinct_paths,
            malformed: alert.summary.of_reason(Reason::MalformedRequest),
            example_classes: paths.iter().filter_map(|entry| telltales::classify(Method::Get, &entry.text)).collect(),
            ..Self::default()
        };
        if let Some(conduct) = conduct {
            facts.is_known = true;
            facts.requests = (conduct.kinds.requests() + facts.handshakes.count()).max(alert.count);
            facts.successes = conduct.kinds.of_all(&[Kind::Success, Kind::Redirect]);
            facts.signals = conduct.signals.clone();
            for health in &conduct.servers {
                facts.failing_others += health.failing_clients;
                facts.others.0 += health.others.requests();
                facts.others.1 += health.others.server_failed();
            }
        }
        facts
    }

    /// Errors with one of these statuses.
    pub(super) fn with_status(&self, statuses: &[u16]) -> u64 {
        self.statuses.iter().filter(|(status, _)| statuses.contains(status)).map(|(_, count)| count).sum()
    }

    /// Errors with a status of 5xx that is not of a gateway.
    pub(super) fn faults(&self) -> u64 {
        let is_fault = |status: u16| status >= 500 && !(502..=504).contains(&status) && !matches!(status, 501 | 505);
        self.statuses.iter().filter(|(status, _)| is_fault(*status)).map(|(_, count)| count).sum()
    }

    /// Names the most frequent statuses of gRPC among the errors, and what they say in HTTP, if there are any.
    pub(super) fn grpc(&self) -> Option<String> {
        let named = self.grpc_statuses.iter().take(NAMED_GRPC).map(|(status, count)| {
            format!("{count} of {} errors are {status}, judged as {} of HTTP", self.errors, status.http_status())
        });
        let others: u64 = self.grpc_statuses.iter().skip(NAMED_GRPC).map(|(_, count)| count).sum();
        let named: Vec<String> =
            named.chain((others > 0).then(|| format!("{others} are other statuses of gRPC"))).collect();
        (!named.is_empty()).then(|| format!("{}.", named.join("; ")))
    }

    /// The share of the errors.
    pub(super) fn share(&self, count: u64) -> f64 {
        count as f64 / self.errors.max(1) as f64
    }

    /// The share of failed exchanges among all.
    pub(super) fn failed_share(&self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }

    /// The share of the exchanges that the signals are about.
    pub(super) fn of_requests(&self, count: u64) -> f64 {
        count as f64 / self.signals.requests.max(1) as f64
    }

    /// Whether the errors spread over many different paths.
    pub(super) fn has_many_paths(&self) -> bool {
        self.paths > 20 && self.paths * 4 > self.asked
    }

    /// Whether it is known what most errors asked for, so that paths that are few are few.
    pub(super) fn knows_paths(&self) -> bool {
        self.paths > 0 && self.asked * 2 > self.errors
    }

    /// Whether a person seems to use a browser: pages are reached over links, with the language of a person.
    pub(super) fn browses(&self) -> bool {
        self.of_requests(self.signals.with_referrer) > 0.3 && self.of_requests(self.signals.with_language) > 0.3
    }
}
