//! An alert in one sentence.
//!
//! In: an alert and the verdict on it. Out: one sentence for people that says what happened. Promises: the sentence says
//! only what the alert's counts show. Text from the wire enters it only as host names and tool names in plain ASCII.

use std::{
    fmt::{self, Display, Write},
    time::Duration,
};

use crate::{
    detect::{Alert, AlertKind, GradeCounts, Group, GroupValue, Inference, LeftOut, LeftOutCount, Summary},
    event::{Dataset, Reason, Site},
    exchange::Grade,
    verdict::{
        Handshakes, Verdict, VerdictName,
        activity::{Found, and_more},
    },
};

/// Most sentences are no longer than this, in bytes.
const SENTENCE: usize = 256;
/// The most ways in which handshakes ended that a sentence names.
const NAMED_HANDSHAKES: usize = 4;

/// Makes the sentence.
pub(crate) fn sentence(alert: &Alert, verdict: &Verdict) -> String {
    if let Some(left_out) = &alert.left_out {
        return left_out_sentence(alert, left_out);
    }
    if let Some(found) = &alert.inference {
        return inferred_sentence(alert, found);
    }
    if alert.kind == AlertKind::FollowUp {
        return follow_up_sentence(alert, verdict);
    }
    let summary = &alert.summary;
    let mut text = String::with_capacity(SENTENCE);
    // Writing into a string cannot fail.
    if let Some(proxy) = proxy_phrase(alert, verdict) {
        let _ = write!(text, "{proxy}; ");
    }
    let _ = write!(text, "{} caused ", Subject(&alert.group));
    let count = match (alert.kind, alert.episode) {
        (AlertKind::Close, Some(episode)) => episode.count,
        _ => alert.count,
    };
    let _ = write!(text, "{}{} {}", if alert.lower_bound { "at least " } else { "" }, count, plural(count, "error"));
    if let Some(server) = server_phrase(summary, &alert.site) {
        let _ = write!(text, " on {server}");
    }
    let _ = write!(text, " {}", within(alert, verdict));
    let mut requests = status_parts(alert).join(", ");
    if summary.distinct_paths > 0 {
        let at_least = if summary.more_paths { "more than " } else { "" };
        let different = if summary.distinct_paths == 1 { "path" } else { "different paths" };
        let _ = write!(requests, " over {at_least}{} {different}", summary.distinct_paths);
    }
    // A handshake has no path.
    let mut parts = handshake_parts(summary);
    if !requests.is_empty() {
        parts.insert(0, requests);
    }
    if !parts.is_empty() {
        let _ = write!(text, ": {}", parts.join(", "));
    }
    if !summary.answers.is_empty() {
        let handshakes = Handshakes::among(alert.count, summary);
        let _ = match verdict.name {
            VerdictName::Unclear if handshakes.prevail() => write!(text, "; shows {}", handshakes.said()),
            VerdictName::Unclear => write!(text, "; shows {}", verdict.said()),
            _ => write!(text, "; looks like {}", verdict.said()),
        };
    }
    if let Some(tool) = verdict.tool.as_ref().filter(|_| verdict.name.blames_client()) {
        let _ = write!(text, " by {tool}");
    }
    if let Some(found) = found_phrase(verdict) {
        let _ = write!(text, "; {found}");
    }
    match alert.kind {
        AlertKind::Close => text.push_str("; now quiet"),
        AlertKind::Update => text.push_str("; still going on"),
        AlertKind::Open | AlertKind::Scheduled | AlertKind::FollowUp | AlertKind::LeftOut => {}
    }
    if let Some(weakness) = weakness(alert.grades) {
        let _ = write!(text, "; {weakness}");
    }
    text
}

/// Makes the sentence of an alert that was inferred: it counts turns, because no error was read.
fn inferred_sentence(alert: &Alert, found: &Inference) -> String {
    let mut text = String::with_capacity(SENTENCE);
    // Writing into a string cannot fail.
    let at_least = if alert.lower_bound { "at least " } else { "" };
    let client = alert.group.client().map(|client| client.to_string()).unwrap_or_default();
    let more = if found.slope > 0.0 { " and more with the request's length" } else { "" };
    let _ = write!(text, "{client} got {at_least}{} uniform answers of {} bytes{more}", alert.count, found.length);
    if let Some(server) = server_phrase(&alert.summary, &alert.site) {
        let _ = write!(text, " from {server}");
    }
    let _ = write!(
        text,
        " in {} turns inside TLS within {}, for requests of {} different lengths; inferred without keys, looks like a scan",
        found.turns,
        real(found.end.since(found.start)),
        found.request_lengths
    );
    match (alert.kind, alert.episode) {
        (AlertKind::Close, Some(episode)) => {
            let _ = write!(text, "; now quiet, after {} of them in all", episode.count);
        }
        (AlertKind::Update, _) => text.push_str("; still going on"),
        _ => {}
    }
    if let Some(weakness) = weakness(alert.grades) {
        let _ = write!(text, "; {weakness}");
    }
    text
}

/// Makes the sentence of an alert about a scan that turned into success.
fn follow_up_sentence(alert: &Alert, verdict: &Verdict) -> String {
    let found = verdict.conduct.as_ref().map_or(&[][..], |conduct| &conduct.found);
    let mut text = String::with_capacity(SENTENCE);
    // Writing into a string cannot fail.
    let _ = write!(text, "{} {}", Subject(&alert.group), deeds(found));
    let begin = found.iter().map(|found| found.first).min();
    if let (Some(begin), Some(last)) = (begin, &alert.summary.last)
        && begin > last.time
    {
        let _ = write!(text, " {} after the last error of its alert", real(begin.since(last.time)));
    }
    let _ = write!(text, ": what looks like {}", verdict.said());
    if let Some(tool) = &verdict.tool {
        let _ = write!(text, " by {tool}");
    }
    let _ = write!(text, ", {} {}", alert.count, plural(alert.count, "error"));
    if let Some(server) = server_phrase(&alert.summary, &alert.site) {
        let _ = write!(text, " on {server}");
    }
    text.push_str(", turned into success");
    text
}

/// What a client did with what it found, each kind of deed once.
fn deeds(found: &[Found]) -> String {
    let deed = |verb: &str, is_one: fn(&Found) -> bool| {
        let mut of_kind = found.iter().filter(|found| is_one(found));
        let first = of_kind.next()?;
        Some(format!("{verb} {}", and_more(&first.said(), of_kind.count())))
    };
    let deeds = [
        deed("got", Found::is_given_away),
        deed("logged in at", Found::is_log_in),
        deed("stored a file at", Found::is_stored),
    ];
    deeds.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Says that the client is a proxy, if it is: that comes first.
fn proxy_phrase(alert: &Alert, verdict: &Verdict) -> Option<String> {
    let (client, conduct) = (alert.group.client()?, verdict.conduct.as_ref()?);
    let (with, all) = (conduct.signals.with_client_header, conduct.signals.requests);
    (verdict.name == VerdictName::ProxyAsClient)
        .then(|| format!("{with} of {all} requests name a client behind a proxy, trust {client} to see the clients"))
}

/// The real time that the errors took, and the requests among which they were.
fn within(alert: &Alert, verdict: &Verdict) -> String {
    let (first, last) = match (alert.kind, alert.episode, &alert.summary.first, &alert.summary.last) {
        (AlertKind::Close, Some(episode), ..) => (episode.started, episode.last),
        (AlertKind::Open, Some(episode), ..) => (alert.window.start.max(episode.started), episode.last),
        (_, _, Some(first), Some(last)) => (first.time, last.time),
        _ => return format!("in {}", spoken(alert.look_back)),
    };
    let mut text = format!("within {}", real(last.since(first)));
    if let Some(extent) = verdict.conduct.as_ref().and_then(|conduct| conduct.extent)
        && alert.episode.is_none()
        && extent.requests >= alert.count
    {
        let share = alert.count * 100 / extent.requests.max(1);
        // A handshake is no request.
        let noun = if alert.summary.of_reason(Reason::TlsAlert) > 0 { "exchange" } else { "request" };
        let _ = write!(text, ", {share} % of its {} {} in that time", extent.requests, plural(extent.requests, noun));
    }
    text
}

/// The errors by status, the most frequent first: that of gRPC where it is why they are errors. Then those without a status, but
/// for handshakes.
fn status_parts(alert: &Alert) -> Vec<String> {
    let summary = &alert.summary;
    let answered = || summary.answers.iter().filter(|(answer, _)| answer.status() != 0).take(3);
    let mut parts: Vec<String> = answered().map(|(answer, count)| format!("{count} × {answer}")).collect();
    let named: u64 = answered().map(|(_, count)| count).sum();
    let mut other_reasons = 0;
    for (reason, said) in
        [(Reason::NoResponse, "without an answer"), (Reason::MalformedRequest, "malformed and without an answer")]
    {
        let count = summary.of_reason(reason);
        other_reasons += count;
        if count > 0 {
            parts.push(format!("{count} {said}"));
        }
    }
    other_reasons += summary.of_reason(Reason::TlsAlert);
    let others = alert.count.saturating_sub(named + other_reasons + summary.without_evidence);
    if others > 0 && !parts.is_empty() {
        parts.push(format!("{others} of other kinds"));
    }
    parts
}

/// The handshakes that failed by what ended them, the most frequent first.
fn handshake_parts(summary: &Summary) -> Vec<String> {
    let failed = summary.failed_handshakes();
    let (named, others) = failed.split_at(failed.len().min(NAMED_HANDSHAKES));
    let mut parts: Vec<String> = named.iter().map(|(failed, count)| format!("{count} × {failed}")).collect();
    let others: u64 = others.iter().map(|(_, count)| count).sum();
    if others > 0 {
        parts.push(format!("{others} other failed TLS {}", plural(others, "handshake")));
    }
    parts
}

/// What the client got that should not be on a server.
fn found_phrase(verdict: &Verdict) -> Option<String> {
    let conduct = verdict.conduct.as_ref().filter(|_| verdict.name.blames_client())?;
    let mut told = conduct.given_away();
    let path = told.next()?.said();
    Some(format!("it got {}", and_more(&path, told.count())))
}

/// Formats the time between two packets: whole units where they are large.
fn real(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => "less than a second".into(),
        seconds if seconds < 120.0 => format!("{seconds:.0} {}", plural(seconds.round() as u64, "second")),
        seconds if seconds < 7200.0 => format!("{:.0} minutes", seconds / 60.0),
        seconds => format!("{:.0} hours", seconds / 3600.0),
    }
}

/// Says how much of the errors rests on less than whole connections. `None` when all connections were seen whole.
fn weakness(grades: GradeCounts) -> Option<String> {
    let (all, forgeable, midstream) = (grades.total(), grades.of(Grade::OneWay), grades.of(Grade::TwoWay));
    if forgeable > 0 && forgeable == all {
        Some("only one side of each connection was seen, so the address may be forged".into())
    } else if forgeable > 0 {
        Some(format!("of {forgeable} of them only one side of the connection was seen, so their address may be forged"))
    } else if midstream > 0 && midstream == all {
        Some("the beginning of each connection was not seen".into())
    } else if midstream > 0 {
        Some(format!("of {midstream} of them the beginning of the connection was not seen"))
    } else {
        None
    }
}

/// Makes the sentence of an alert that sums up the clients that found no place.
fn left_out_sentence(alert: &Alert, left_out: &LeftOut) -> String {
    let said = |count: &LeftOutCount, of: &str, why: &str| {
        let (errors, confirmed) = (count.errors.total(), count.errors.confirmed());
        let clients = plural(count.clients, "client");
        let noun = if alert.rule.is_inferred { "turn" } else { "error" };
        let errors = format!("{errors} {}", plural(errors, noun));
        (count.clients > 0)
            .then(|| format!("{of}{} {clients} with {errors}, {confirmed} confirmed, {why}", count.clients))
    };
    let parts = [
        said(&left_out.alert_limit, "", "got no alert because the limit of alerts was reached"),
        said(&left_out.client_limit, "up to ", "could not be counted because the table of clients was full"),
    ];
    let mut text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let _ = write!(text, "; in {}", spoken(alert.window.end.since(alert.window.start)));
    let largest: Vec<String> =
        left_out.largest.shown().map(|(client, errors)| format!("{client} ({})", errors.total())).collect();
    if !largest.is_empty() {
        let _ = write!(text, "; the largest: {}", largest.join(", "));
    }
    text
}

/// The cause of the errors: the client when the rule groups by clients, else all parts of the group.
struct Subject<'a>(&'a Group);

impl Display for Subject<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(client) = self.0.client() {
            return client.fmt(out);
        }
        for (index, (name, value)) in self.0.parts().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(out, "{separator}{name} ")?;
            match value {
                GroupValue::Address(address) => address.fmt(out)?,
                GroupValue::Text(text) => out.write_str(text)?,
                GroupValue::Number(number) => number.fmt(out)?,
            }
        }
        Ok(())
    }
}

/// Returns the place of the errors: `www.example (nginx)`, `3 servers (nginx, Apache httpd)`.
fn server_phrase(summary: &Summary, site: &Site) -> Option<String> {
    let (first, _) = summary.servers.first()?;
    let place = if summary.servers.len() > 1 {
        format!("{} servers", summary.servers.len())
    } else if let Some(name) = site.server_name(first.address) {
        name.to_owned()
    } else {
        match summary.hosts.first().and_then(|entry| host_name(&entry.text)) {
            Some(host) if summary.hosts.len() == 1 => host,
            _ => first.to_string(),
        }
    };
    let products: Vec<&str> = summary
        .datasets
        .iter()
        .filter(|(dataset, _)| *dataset != Dataset::Http)
        .map(|(dataset, _)| dataset.product())
        .collect();
    Some(if products.is_empty() { place } else { format!("{place} ({})", products.join(", ")) })
}

/// Returns a host as sent, if it has at most 100 bytes and only characters that host names may have.
fn host_name(host: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    (host.len() <= 100 && host.iter().all(plain)).then(|| host.iter().map(|&byte| char::from(byte)).collect())
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

/// Formats a duration as people say it: `11 minutes`, `90 seconds`.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0 => return "less than a second".into(),
        _ if seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {}", plural(count, unit))
}
