//! The next steps for an analyst.
//!
//! In: an assessment and its alert. Out: sentences, the most useful first. Promises: no step advises to block an address
//! unless confirmed errors alone are over the threshold.

use super::Assessment;
use crate::detect::{Alert, AlertKind};

/// The step that only confirmed errors allow.
const BLOCK: &str = "Block or rate-limit the address if it is not a scanner of your own.";

/// The steps for errors that one sender may have forged.
const CONFIRM: [&str; 2] = [
    "Do not block the address: one sender can forge these errors in its name. Confirm them first in the server's own log.",
    "Make sure that the sensor sees both directions of the traffic and the beginnings of connections.",
];

/// The steps after clients found no place.
const LEFT_OUT: [&str; 3] = [
    "Read the events of this time: they hold every error, also those of the clients that were left out.",
    "If few of the errors are confirmed, somebody sends packets with forged addresses: find where they enter.",
    "If most are confirmed, raise rule.max_alerts (for alerts) or limits.clients (for clients).",
];

/// Returns the next steps after an assessment.
pub(super) fn after(assessment: Assessment, alert: &Alert) -> Vec<&'static str> {
    let mut steps = match alert.kind {
        AlertKind::LeftOut => LEFT_OUT.to_vec(),
        _ if alert.is_confirmed() => of(assessment).to_vec(),
        _ => CONFIRM.into_iter().chain(of(assessment).iter().copied().filter(|&step| step != BLOCK)).collect(),
    };
    if alert.lower_bound {
        steps.push(
            "The sensor lost packets, or had no room for all clients, in this time: the counts are lower bounds.",
        );
    }
    steps
}

const fn of(assessment: Assessment) -> &'static [&'static str] {
    match assessment {
        Assessment::PathEnumeration => &[
            "Check this client's successful requests (2xx and 3xx) in the same time: those are what it found.",
            BLOCK,
            "Look for the same user agent and paths from other addresses.",
        ],
        Assessment::CredentialGuessing => &[
            "Check for a successful log-in from this address after the failures.",
            "Lock or watch the accounts that were tried; enforce a limit on attempts.",
            "Look for the same accounts tried from other addresses.",
        ],
        Assessment::ForbiddenProbing => &[
            "Check whether any of the forbidden paths answered with success.",
            "Make sure that what the paths name is not on the server at all.",
        ],
        Assessment::ServerFault => &[
            "Check the health of the server and of the application behind it first.",
            "See whether other clients get the same errors; if so, this client is a victim.",
        ],
        Assessment::FaultInjection => &[
            "Read the server's error log for the failing requests: which input broke what.",
            "Check the requests for injection payloads, and the server for signs of success.",
            "See whether other clients get the same errors.",
        ],
        Assessment::ProtocolProbing => &[
            "Look at the first connections by their Community IDs: what was really sent.",
            "Check that the server's version has no known weakness in request parsing.",
        ],
        Assessment::RateLimited => &[
            "Find out who the client is: a crawler, an integration or an attack.",
            "Check that the limit holds and that its requests below the limit are harmless.",
        ],
        Assessment::BrokenLink => &[
            "Find what refers to the path (the events' referrer) and correct it, or restore what it names.",
            "If the client is your own monitoring or software, correct its configuration.",
        ],
        Assessment::Mixed => &[
            "Read this client's events in order: the sequence of paths shows the intent.",
            "Check this client's successful requests in the same time.",
        ],
    }
}
