//! The first look an analyst would take.
//!
//! In: an alert's counts. Out: what they look like, said in one plain sentence, and what to do next. Promises: says only
//! what the counts show; text from the wire enters the sentence only as host names and tool names of plain ASCII.

use std::{fmt::Write, time::Duration};

use super::{
    alert::{Alert, AlertKind},
    evidence::Summary,
    settings::RuleSettings,
};
use crate::event::{Dataset, Reason, Site};

/// What the errors look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessment {
    /// Many different paths, mostly not there: somebody works through a list.
    PathEnumeration,
    /// Refused log-ins on few paths: somebody guesses credentials.
    CredentialGuessing,
    /// Refused access to many different paths.
    ForbiddenProbing,
    /// The servers fail, on few paths: more likely their fault than the client's.
    ServerFault,
    /// The servers fail on many different paths: inputs that break them.
    FaultInjection,
    /// Requests that are malformed, of odd methods or sizes.
    ProtocolProbing,
    /// The client is being slowed down by the servers' own limits.
    RateLimited,
    /// Few paths that are not there, over and over: a broken link or a stale client.
    BrokenLink,
    /// Nothing of the above stands out.
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

    const fn phrase(self) -> &'static str {
        match self {
            Self::PathEnumeration => "path enumeration",
            Self::CredentialGuessing => "credential guessing",
            Self::ForbiddenProbing => "probing for what is forbidden",
            Self::ServerFault => "a failing server rather than a hostile client",
            Self::FaultInjection => "inputs that make the server fail",
            Self::ProtocolProbing => "protocol probing or fuzzing",
            Self::RateLimited => "a client held back by rate limits",
            Self::BrokenLink => "a broken link or a stale client",
            Self::Mixed => "mixed errors without one pattern",
        }
    }

    const fn next_steps(self) -> &'static [&'static str] {
        match self {
            Self::PathEnumeration => &[
                "Check this client's successful requests (2xx and 3xx) in the same time: those are what it found.",
                "Block or rate-limit the address if it is not a scanner of your own.",
                "Look for the same user agent and paths from other addresses.",
            ],
            Self::CredentialGuessing => &[
                "Check for a successful log-in from this address after the failures.",
                "Lock or watch the accounts that were tried; enforce a limit on attempts.",
                "Look for the same accounts tried from other addresses.",
            ],
            Self::ForbiddenProbing => &[
                "Check whether any of the forbidden paths answered with success.",
                "Make sure that what the paths name is not on the server at all.",
            ],
            Self::ServerFault => &[
                "Check the health of the server and of the application behind it first.",
                "See whether other clients get the same errors; if so, this client is a victim.",
            ],
            Self::FaultInjection => &[
                "Read the server's error log for the failing requests: which input broke what.",
                "Check the requests for injection payloads, and the server for signs of success.",
                "See whether other clients get the same errors.",
            ],
            Self::ProtocolProbing => &[
                "Look at the first connections by their Community IDs: what was really sent.",
                "Check that the server's version has no known weakness in request parsing.",
            ],
            Self::RateLimited => &[
                "Find out who the client is: a crawler, an integration or an attack.",
                "Check that the limit holds and that its requests below the limit are harmless.",
            ],
            Self::BrokenLink => &[
                "Find what refers to the path (the events' referrer) and correct it, or restore what it names.",
                "If the client is your own monitoring or software, correct its configuration.",
            ],
            Self::Mixed => &[
                "Read this client's events in order: the sequence of paths shows the intent.",
                "Check this client's successful requests in the same time.",
            ],
        }
    }
}

/// A first assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triage {
    /// What the errors look like.
    pub assessment: Assessment,
    /// The tool that named itself in the user agent.
    pub tool: Option<String>,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do next, most useful first.
    pub next_steps: Vec<&'static str>,
}

pub(super) fn triage(alert: &Alert, settings: &RuleSettings, site: &Site) -> Triage {
    let assessment = assess(&alert.summary);
    let tool = alert.summary.user_agents.iter().find_map(|entry| tool(&entry.text));
    let mut next_steps = assessment.next_steps().to_vec();
    if alert.lower_bound {
        next_steps.push("The sensor lost packets in this time: the counts are lower bounds.");
    }
    let message = message(alert, settings, site, assessment, tool.as_deref());
    Triage { assessment, tool, message, next_steps }
}

fn assess(summary: &Summary) -> Assessment {
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

/// Tools by what their user agents contain, lower case.
const TOOLS: &[(&str, &str)] = &[
    ("gobuster", "gobuster"),
    ("fuzz faster u fool", "ffuf"),
    ("feroxbuster", "feroxbuster"),
    ("dirbuster", "DirBuster"),
    ("dirsearch", "dirsearch"),
    ("wfuzz", "Wfuzz"),
    ("nikto", "Nikto"),
    ("sqlmap", "sqlmap"),
    ("nuclei", "Nuclei"),
    ("nmap scripting engine", "Nmap"),
    ("masscan", "masscan"),
    ("zgrab", "ZGrab"),
    ("wpscan", "WPScan"),
    ("joomscan", "JoomScan"),
    ("whatweb", "WhatWeb"),
    ("acunetix", "Acunetix"),
    ("nessus", "Nessus"),
    ("openvas", "OpenVAS"),
    ("qualys", "Qualys"),
    ("netsparker", "Netsparker"),
    ("arachni", "Arachni"),
    ("w3af", "w3af"),
    ("hydra", "Hydra"),
    ("httpx", "httpx"),
    ("censysinspect", "Censys"),
    ("l9explore", "l9explore"),
    ("python-requests", "python-requests"),
    ("python-urllib", "Python urllib"),
    ("aiohttp", "aiohttp"),
    ("go-http-client", "a Go program"),
    ("libwww-perl", "libwww-perl"),
    ("curl/", "curl"),
    ("wget/", "Wget"),
];

/// The tool a user agent names, with its version where one follows the name.
fn tool(user_agent: &[u8]) -> Option<String> {
    let text = user_agent.to_ascii_lowercase();
    let &(mark, name) = TOOLS.iter().find(|(mark, _)| memchr::memmem::find(&text, mark.as_bytes()).is_some())?;
    let after = memchr::memmem::find(&text, mark.trim_end_matches('/').as_bytes())? + mark.trim_end_matches('/').len();
    let version: String = user_agent
        .get(after..)
        .and_then(|rest| rest.strip_prefix(b"/").or_else(|| rest.strip_prefix(b" v")))
        .unwrap_or_default()
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        .take(16)
        .map(|&byte| char::from(byte))
        .collect();
    Some(if version.is_empty() { name.to_owned() } else { format!("{name}/{version}") })
}

fn message(alert: &Alert, settings: &RuleSettings, site: &Site, assessment: Assessment, tool: Option<&str>) -> String {
    let summary = &alert.summary;
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write!(text, "{} caused ", alert.source);
    let (count, within) = match (alert.kind, alert.episode) {
        (AlertKind::Close, Some(episode)) => (episode.count, episode.last.since(episode.started)),
        (AlertKind::Open, Some(episode)) => (alert.count, episode.last.since(alert.window.start.max(episode.started))),
        _ => (alert.count, settings.window),
    };
    let _ = write!(text, "{}{} {}", if alert.lower_bound { "at least " } else { "" }, count, plural(count, "error"));
    if let Some(server) = server_phrase(summary, site) {
        let _ = write!(text, " on {server}");
    }
    let _ = write!(text, " in {}", spoken(within));
    let mut parts: Vec<String> = summary
        .statuses
        .iter()
        .filter(|(status, _)| *status != 0)
        .take(3)
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    let named: u64 = summary.statuses.iter().filter(|(status, _)| *status != 0).take(3).map(|entry| entry.1).sum();
    let unanswered: u64 = summary.statuses.iter().filter(|(status, _)| *status == 0).map(|entry| entry.1).sum();
    if unanswered > 0 {
        parts.push(format!("{unanswered} without an answer"));
    }
    let others = alert.count.saturating_sub(named + unanswered + summary.without_evidence);
    if others > 0 && !parts.is_empty() {
        parts.push(format!("{others} of other kinds"));
    }
    if !parts.is_empty() {
        let _ = write!(text, ": {}", parts.join(", "));
    }
    if summary.distinct_paths > 0 {
        let at_least = if summary.more_paths { "more than " } else { "" };
        let different = if summary.distinct_paths == 1 { "path" } else { "different paths" };
        let _ = write!(text, " over {at_least}{} {different}", summary.distinct_paths);
    }
    if !summary.statuses.is_empty() {
        let _ = write!(text, "; looks like {}", assessment.phrase());
    }
    if let Some(tool) = tool {
        let _ = write!(text, " by {tool}");
    }
    match alert.kind {
        AlertKind::Close => text.push_str("; now quiet"),
        AlertKind::Update => text.push_str("; still going on"),
        AlertKind::Open | AlertKind::Scheduled => {}
    }
    text
}

/// Where the errors were: `www.example (nginx)`, `3 servers (nginx, Apache httpd)`.
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

/// A host as sent, if it is made of nothing but what host names are made of.
fn host_name(host: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    (host.len() <= 100 && host.iter().all(plain)).then(|| host.iter().map(|&byte| char::from(byte)).collect())
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

/// A duration as people say it: `11 minutes`, `90 seconds`.
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
