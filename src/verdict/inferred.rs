//! The verdict on an alert that was inferred from lengths and times.
//!
//! In: an [`Alert`] with its [`Inference`]. Out: a [`Verdict`]: always [`VerdictName::EncryptedScan`], with the confidence of the
//! inference. Promises: every reason says what was counted, and the first one that nothing was read; no step advises to block the
//! client, because an inference is no proof.

use super::{Verdict, VerdictName};
use crate::detect::{Alert, Inference};

/// Makes the verdict.
pub(super) fn verdict(alert: &Alert, found: &Inference) -> Verdict {
    let severity_reason = "Not raised: nothing was read, lengths and times alone speak for it.";
    Verdict {
        name: VerdictName::EncryptedScan,
        confidence: found.confidence,
        reasons: reasons(found),
        tool: None,
        severity: alert.rule.severity,
        risk_score: alert.rule.risk_score,
        severity_reasons: vec![severity_reason.into()],
        threat: alert.rule.threat.clone(),
        next_steps: next_steps(alert, found),
        conduct: None,
    }
}

fn percent(share: f64) -> u64 {
    (share * 100.0).round() as u64
}

fn reasons(found: &Inference) -> Vec<String> {
    let Inference { uniform, turns, length, band, request_lengths, shortest_request, longest_request, .. } = *found;
    let mut reasons = vec![format!(
        "Inferred from lengths and times inside TLS; nothing was read: {uniform} of {turns} answers ({} %) are uniform.",
        percent(found.share())
    )];
    reasons.push(match (found.slope > 0.0, band) {
        (true, _) => format!(
            "The uniform answers are {length} bytes long and {:.2} bytes more for each byte of the request, as a page that repeats the path.",
            found.slope
        ),
        (false, 0) => format!("The uniform answers are all {length} bytes long, as one page is."),
        (false, _) => format!("The uniform answers are {length} bytes long and differ by at most {band}, as one page does."),
    });
    reasons.push(format!(
        "The requests for them have {request_lengths} different lengths from {shortest_request} to {longest_request} bytes, as words of a list have; a poller repeats one length."
    ));
    reasons.push(format!("It made {:.0} requests a minute.", found.turns_per_minute()));
    if let Some(page) = found.page {
        reasons.push(format!("The length is exactly that of the page {page}."));
    }
    if found.other_clients > 0 {
        reasons.push(format!("{} other clients of the server got answers of this length.", found.other_clients));
    }
    if found.is_browser_like {
        reasons.push(
            "Less sure: its handshakes are those of a browser, which gets many 304 of one length after a reload."
                .into(),
        );
    }
    if found.is_coarse {
        reasons.push("Less sure: the cipher suite shows lengths to 16 bytes only.".into());
    }
    reasons
}

fn next_steps(alert: &Alert, found: &Inference) -> Vec<String> {
    let client = alert.group.client().map(|client| client.to_string()).unwrap_or_default();
    let server = alert.summary.servers.first().map(|(server, _)| server.to_string()).unwrap_or_default();
    let (start, end) = (found.start, found.end);
    let mut steps = vec![
        format!("Read the log of {server} for {client} between {start} and {end}: it holds the paths and the statuses."),
        "To have them here, let the server write a key log, and name it with --tls-keylog: then error_spike counts what really failed.".into(),
        format!(
            "Ask whose program {client} is: an API client whose answers are all of one length looks the same from outside."
        ),
    ];
    steps.push(format!("The packets: tcpdump -r CAPTURE 'host {client}', from {start} to {end}."));
    if alert.lower_bound {
        steps.push(
            "The sensor lost packets, or had no room for all clients, in this time: the counts are lower bounds."
                .into(),
        );
    }
    steps
}
