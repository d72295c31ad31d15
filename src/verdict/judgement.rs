//! The judgement: which explanation fits an alert best, how well, and why.
//!
//! In: [`Facts`]. Out: a [`Judgement`]: name, confidence, reasons. Promises: no explanation rests on a user agent alone; a reason
//! holds only numbers that were counted. Every explanation weighs the facts by itself, in a function of its own; the one with the
//! highest confidence wins, and of two that are equal the first of [`EXPLANATIONS`].

use super::{claims, facts::Facts};

/// What explains an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictName {
    /// A client works through a list of paths.
    Enumeration,
    /// A client tries known weaknesses and tell-tale paths.
    VulnerabilityScan,
    /// A client guesses names or passwords.
    CredentialGuessing,
    /// A client sends payloads of injection.
    Injection,
    /// A client sends inputs that make the application fail.
    FaultInjection,
    /// A client sends requests that are no proper HTTP, or unusual methods.
    ProtocolProbing,
    /// A client works through a list inside TLS, as far as lengths and times show.
    EncryptedScan,
    /// A crawler or a link check meets dead links.
    Crawler,
    /// The same few paths are missing again and again: a broken link or a stale client.
    BrokenLink,
    /// A server limits the rate of a client.
    RateLimited,
    /// A server, or what is behind it, fails.
    ServerFailing,
    /// A server fails for many people behind one address.
    SharedOutage,
    /// Many people behind one address, whose errors add up.
    SharedEgress,
    /// A proxy is counted as a client.
    ProxyAsClient,
    /// A monitor asks for something that fails.
    Monitoring,
    /// Nothing fits well.
    Unclear,
}

impl VerdictName {
    /// All names.
    pub const ALL: [Self; 16] = [
        Self::Enumeration,
        Self::VulnerabilityScan,
        Self::CredentialGuessing,
        Self::Injection,
        Self::FaultInjection,
        Self::ProtocolProbing,
        Self::EncryptedScan,
        Self::Crawler,
        Self::BrokenLink,
        Self::RateLimited,
        Self::ServerFailing,
        Self::SharedOutage,
        Self::SharedEgress,
        Self::ProxyAsClient,
        Self::Monitoring,
        Self::Unclear,
    ];

    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enumeration => "enumeration",
            Self::VulnerabilityScan => "vulnerability_scan",
            Self::CredentialGuessing => "credential_guessing",
            Self::Injection => "injection",
            Self::FaultInjection => "fault_injection",
            Self::ProtocolProbing => "protocol_probing",
            Self::EncryptedScan => "encrypted_scan",
            Self::Crawler => "crawler",
            Self::BrokenLink => "broken_link",
            Self::RateLimited => "rate_limited",
            Self::ServerFailing => "server_failing",
            Self::SharedOutage => "shared_outage",
            Self::SharedEgress => "shared_egress",
            Self::ProxyAsClient => "proxy_as_client",
            Self::Monitoring => "monitoring",
            Self::Unclear => "unclear",
        }
    }

    /// Returns whether the client is the one to act against.
    pub const fn blames_client(self) -> bool {
        matches!(
            self,
            Self::Enumeration
                | Self::VulnerabilityScan
                | Self::CredentialGuessing
                | Self::Injection
                | Self::FaultInjection
                | Self::ProtocolProbing
        )
    }
}

/// Below this confidence nothing is concluded.
pub(super) const UNCLEAR: f64 = 0.5;

/// An explanation, how well it fits, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    pub(super) name: VerdictName,
    pub(super) confidence: f64,
    pub(super) reasons: Vec<String>,
}

/// What speaks for an explanation, and how much.
#[derive(Default)]
struct Weight {
    confidence: f64,
    reasons: Vec<String>,
}

impl Weight {
    fn of(confidence: f64, reason: String) -> Self {
        Self { confidence, reasons: vec![reason] }
    }

    /// Adds a reason that changes the confidence, if it holds.
    fn and(mut self, holds: bool, by: f64, reason: impl FnOnce() -> String) -> Self {
        if holds {
            self.confidence += by;
            self.reasons.push(reason());
        }
        self
    }
}

type Explanation = (VerdictName, fn(&Facts) -> Option<Weight>);

const EXPLANATIONS: [Explanation; 14] = [
    (VerdictName::ProxyAsClient, proxy),
    (VerdictName::RateLimited, rate_limit),
    (VerdictName::CredentialGuessing, guessing),
    (VerdictName::Injection, injection),
    (VerdictName::VulnerabilityScan, vulnerability_scan),
    (VerdictName::SharedOutage, shared_outage),
    (VerdictName::Monitoring, monitoring),
    (VerdictName::ServerFailing, server_failing),
    (VerdictName::FaultInjection, fault_injection),
    (VerdictName::ProtocolProbing, protocol_probing),
    (VerdictName::Crawler, crawler),
    (VerdictName::SharedEgress, shared_egress),
    (VerdictName::BrokenLink, broken_link),
    (VerdictName::Enumeration, enumeration),
];

/// Judges.
pub(super) fn judge(facts: &Facts) -> Judgement {
    let weighed = EXPLANATIONS.into_iter().filter_map(|(name, weigh)| weigh(facts).map(|weight| (name, weight)));
    let best = weighed.reduce(|best, next| if next.1.confidence > best.1.confidence { next } else { best });
    match best {
        Some((name, weight)) if weight.confidence >= UNCLEAR => {
            let confidence = (weight.confidence.min(0.99) * 100.0).round() / 100.0;
            Judgement { name, confidence, reasons: weight.reasons }
        }
        Some((name, weight)) => {
            let nearest = format!("The nearest explanation is {}, and little speaks for it.", said(name));
            let confidence = (weight.confidence.max(0.0) * 100.0).round() / 100.0;
            Judgement { name: VerdictName::Unclear, confidence, reasons: vec![nearest] }
        }
        None => Judgement { name: VerdictName::Unclear, confidence: 0.0, reasons: vec![why_unclear(facts)] },
    }
}

/// Says why no explanation fits.
fn why_unclear(facts: &Facts) -> String {
    if facts.knows_paths() {
        return "The errors are of several kinds, and none of them explains the others.".into();
    }
    if facts.handshakes.prevail() {
        return "A failed handshake shows no intent by itself: a client or a certificate may be out of date.".into();
    }
    let unseen = (facts.errors - facts.asked).saturating_sub(facts.handshakes.count());
    format!("The requests of {unseen} of {} errors were not seen: nobody knows what was asked for.", facts.errors)
}

/// A verdict as people say it.
pub(super) const fn said(name: VerdictName) -> &'static str {
    match name {
        VerdictName::Enumeration => "path enumeration",
        VerdictName::VulnerabilityScan => "a vulnerability scan",
        VerdictName::CredentialGuessing => "credential guessing",
        VerdictName::Injection => "injection",
        VerdictName::FaultInjection => "inputs that make the application fail",
        VerdictName::ProtocolProbing => "protocol probing",
        VerdictName::EncryptedScan => "a scan inside TLS",
        VerdictName::Crawler => "a crawler or link check that meets dead links",
        VerdictName::BrokenLink => "a broken link or a stale client",
        VerdictName::RateLimited => "a client held back by rate limits",
        VerdictName::ServerFailing => "a failing server rather than a hostile client",
        VerdictName::SharedOutage => "an outage met by many people behind one address",
        VerdictName::SharedEgress => "many people behind one address rather than one client",
        VerdictName::ProxyAsClient => "a proxy that stands for its clients",
        VerdictName::Monitoring => "a monitor that asks for something that fails",
        VerdictName::Unclear => "no single pattern",
    }
}

fn percent(share: f64) -> String {
    // Only all is 100, and only none is 0.
    let rounded = (share * 100.0).round();
    let shown = if share < 1.0 { rounded.min(99.0) } else { rounded };
    format!("{} %", if share > 0.0 { shown.max(1.0) } else { shown })
}

fn proxy(facts: &Facts) -> Option<Weight> {
    let (with, all) = (facts.signals.with_client_header, facts.signals.requests);
    let share = facts.of_requests(with);
    // A peer that makes up its clients is none to be trusted.
    (share >= 0.9 && !claims::are_own(&facts.signals)).then(|| {
        Weight::of(
            0.97,
            format!("{with} of {all} requests name a client behind a proxy, and the sensor does not trust this peer."),
        )
    })
}

fn rate_limit(facts: &Facts) -> Option<Weight> {
    let limited = facts.with_status(&[429]);
    (facts.share(limited) >= 0.3).then(|| {
        Weight::of(
            0.6 + 0.35 * facts.share(limited),
            format!("{limited} of {} errors say that the client asks too often (429).", facts.errors),
        )
    })
}

fn guessing(facts: &Facts) -> Option<Weight> {
    let refused = facts.with_status(&[401, 407]);
    let forbidden = facts.with_status(&[403]);
    let signals = &facts.signals;
    let tried = signals.with_credentials;
    let unauthorized =
        if tried * 2 >= facts.errors { refused + forbidden + facts.with_status(&[400, 422]) } else { refused };
    if facts.share(unauthorized) < 0.5 {
        return None;
    }
    let statuses = format!("{unauthorized} of {} errors refuse a log-in.", facts.errors);
    if tried == 0 {
        // The credentials may have come in a form that is not read.
        let is_narrow = facts.knows_paths() && facts.paths <= 5;
        return Some(Weight::of(if is_narrow { 0.7 } else { 0.4 }, statuses));
    }
    if signals.credentials <= 2 {
        // The same credentials again and again: a program whose password has changed.
        return Some(Weight::of(0.35, statuses));
    }
    Some(
        Weight::of(0.8, statuses)
            .and(true, 0.05, || {
                format!("{tried} requests bring credentials, at least {} different ones.", signals.credentials)
            })
            .and(signals.users >= 2, 0.05, || format!("They name {} different users.", signals.users))
            .and(signals.credentials >= 10, 0.05, || "A person who mistypes a password tries less often.".into()),
    )
}

fn injection(facts: &Facts) -> Option<Weight> {
    let signals = &facts.signals;
    let share = facts.of_requests(signals.payloads);
    if signals.payloads < 5 || share < 0.1 || signals.injections * 3 < signals.payloads {
        return None;
    }
    let (payloads, injections) = (signals.payloads, signals.injections);
    Some(
        Weight::of(
            0.8,
            format!("{payloads} of {} requests hold payloads, {injections} of them of injection.", signals.requests),
        )
        .and(share >= 0.3, 0.1, || format!("That is {} of all its requests.", percent(share)))
        .and(signals.faulty_payloads > 0, 0.05, || {
            format!("The server failed on {} of them.", signals.faulty_payloads)
        }),
    )
}

fn vulnerability_scan(facts: &Facts) -> Option<Weight> {
    let signals = &facts.signals;
    let classes = if facts.is_known { signals.classes } else { facts.example_classes.len() as u64 };
    let share = facts.of_requests(signals.telltales);
    let is_attack = signals.payloads >= 10 && facts.of_requests(signals.payloads) > 0.15;
    if signals.telltales < 10 || (classes < 3 && !is_attack) || facts.failed_share() < 0.3 {
        return None;
    }
    Some(
        Weight::of(0.45, format!("{} requests are tell-tales, of {classes} classes.", signals.telltales))
            .and(share >= 0.15, 0.25, || format!("That is {} of its requests.", percent(share)))
            .and(share >= 0.4, 0.15, || "Most lists of paths hold far fewer.".into())
            .and(signals.payloads > 5, 0.1, || format!("{} of them are attacks, not looks.", signals.payloads)),
    )
}

fn outage_share(facts: &Facts) -> u64 {
    facts.unanswered + facts.with_status(&[502, 503, 504])
}

fn shared_outage(facts: &Facts) -> Option<Weight> {
    let failed = outage_share(facts) + facts.faults();
    if facts.share(failed) < 0.6 || facts.signals.payloads * 5 > facts.signals.requests || !facts.is_known {
        return None;
    }
    let signals = &facts.signals;
    let many = signals.agents >= 3;
    let people = many || facts.browses() && facts.of_requests(signals.with_cookie) > 0.3;
    people.then(|| {
        Weight::of(0.7, format!("{failed} of {} errors are failures of the server.", facts.errors))
            .and(many, 0.15, || format!("The address has at least {} user agents.", signals.agents))
            .and(facts.failing_others > 0, 0.1, || other_clients(facts))
            .and(facts.successes > facts.errors / 2, 0.05, || {
                format!("{} other requests of the same address succeeded.", facts.successes)
            })
    })
}

fn other_clients(facts: &Facts) -> String {
    let count = facts.failing_others;
    format!("The same servers failed for at least {count} other client{}.", if count == 1 { "" } else { "s" })
}

fn monitoring(facts: &Facts) -> Option<Weight> {
    let signals = &facts.signals;
    let variation = signals.variation?;
    (facts.knows_paths()
        && facts.paths <= 3
        && variation < 0.25
        && signals.agents <= 1
        && signals.with_referrer == 0
        && signals.with_credentials == 0)
        .then(|| {
            let each = format!("Requests come every {:.1} seconds, evenly, for {}.", signals.mean_gap, paths(facts));
            Weight::of(0.75, each).and(variation < 0.1, 0.1, || "No person is so regular.".into()).and(
                facts.share(outage_share(facts)) > 0.8,
                0.1,
                || "All of them show a server that fails.".into(),
            )
        })
}

fn paths(facts: &Facts) -> String {
    if facts.paths == 1 { "one path".into() } else { format!("{} paths", facts.paths) }
}

fn server_failing(facts: &Facts) -> Option<Weight> {
    let gateway = outage_share(facts);
    let failed = gateway + facts.faults();
    if facts.share(failed) < 0.5 || facts.signals.payloads * 5 > facts.signals.requests {
        return None;
    }
    let is_gateway = facts.share(gateway) >= 0.5;
    let others = facts.others;
    Some(
        Weight::of(
            if is_gateway { 0.75 } else { 0.5 },
            format!("{failed} of {} errors are failures of the server, {gateway} of what is behind it.", facts.errors),
        )
        .and(facts.failing_others > 0, 0.15, || other_clients(facts))
        .and(others.0 >= 20 && others.1 == 0, -0.25, || {
            format!("It failed on none of {} requests of other clients.", others.0)
        })
        .and(facts.knows_paths() && !facts.has_many_paths() && !is_gateway, 0.2, || {
            format!("The errors concern {}.", paths(facts))
        }),
    )
}

fn fault_injection(facts: &Facts) -> Option<Weight> {
    let faults = facts.faults();
    if facts.share(faults) < 0.5 {
        return None;
    }
    let others = facts.others;
    Some(
        Weight::of(0.45, format!("{faults} of {} errors are failures of the application itself.", facts.errors))
            .and(facts.has_many_paths(), 0.15, || format!("They came from {} different paths.", facts.paths))
            .and(facts.signals.payloads > 5, 0.2, || format!("{} requests hold payloads.", facts.signals.payloads))
            .and(others.0 >= 10 && others.1 * 20 < others.0, 0.2, || {
                format!("For other clients, the server failed on {} of {} requests.", others.1, others.0)
            })
            .and(facts.failing_others > 0 && others.1 * 5 > others.0, -0.3, || other_clients(facts)),
    )
}

fn protocol_probing(facts: &Facts) -> Option<Weight> {
    let odd = facts.malformed + facts.with_status(&[400, 405, 411, 413, 414, 415, 416, 417, 431, 501, 505]);
    let (refused, ways) = facts.handshakes.trials().unwrap_or_default();
    let share = facts.share(odd + refused);
    (share >= 0.5).then(|| {
        Weight { confidence: 0.6 + 0.3 * share, ..Weight::default() }
            .and(odd > 0, 0.0, || format!("{odd} of {} errors refuse the form of the request.", facts.errors))
            .and(refused > 0, 0.0, || {
                format!("The server refused {refused} handshakes in at least {ways} different ways.")
            })
    })
}

fn is_missing(facts: &Facts) -> u64 {
    facts.with_status(&[404, 410, 403])
}

fn crawler(facts: &Facts) -> Option<Weight> {
    let signals = &facts.signals;
    let missing = is_missing(facts);
    if facts.share(missing) < 0.5 || !facts.is_known {
        return None;
    }
    let follows = facts.of_requests(signals.with_referrer);
    if !(signals.read_robots || follows > 0.5)
        || signals.telltales * 10 > signals.requests
        || facts.failed_share() > 0.8
    {
        return None;
    }
    Some(
        Weight::of(0.45, format!("{} of {} requests failed.", facts.errors, facts.requests))
            .and(signals.read_robots, 0.25, || "It read /robots.txt first.".into())
            .and(follows > 0.5, 0.2, || {
                format!("{} of its requests name the page that links to them.", percent(follows))
            })
            .and(facts.has_many_paths(), 0.1, || format!("The errors concern {} different paths.", facts.paths))
            .and(signals.with_cookie * 2 > signals.requests, -0.2, || "It keeps cookies, as browsers do.".into()),
    )
}

fn shared_egress(facts: &Facts) -> Option<Weight> {
    let signals = &facts.signals;
    if signals.agents < 5 || !facts.is_known || facts.failed_share() > 0.5 || signals.telltales * 10 > signals.requests
    {
        return None;
    }
    Some(
        Weight::of(0.6, format!("The address has at least {} user agents.", signals.agents))
            .and(facts.browses(), 0.2, || {
                "Most requests name a page that links to them and a language, as browsers do.".into()
            })
            .and(facts.failed_share() < 0.3, 0.1, || {
                format!("Only {} of {} requests failed.", facts.errors, facts.requests)
            }),
    )
}

fn broken_link(facts: &Facts) -> Option<Weight> {
    let refused_again = facts.with_status(&[401]) * 2 > facts.errors && facts.signals.credentials.wrapping_sub(1) < 2;
    let missing = is_missing(facts) + if refused_again { facts.with_status(&[401]) } else { 0 };
    let is_attack = facts.signals.payloads * 10 > facts.signals.requests;
    if facts.share(missing) < 0.5 || !facts.knows_paths() || facts.paths > 5.max(facts.asked / 10) || is_attack {
        return None;
    }
    Some(
        Weight::of(0.75, format!("The same {} failed {} times.", paths(facts), facts.errors))
            .and(facts.signals.with_referrer > 0, 0.1, || {
                format!("{} requests name the page that links to them.", facts.signals.with_referrer)
            })
            .and(facts.successes > facts.errors, 0.05, || format!("{} other requests succeeded.", facts.successes))
            .and(refused_again, 0.05, || "It brings the same credentials again and again.".into()),
    )
}

fn enumeration(facts: &Facts) -> Option<Weight> {
    let refused = facts.with_status(&[401]);
    let missing = is_missing(facts) + refused;
    // Where most is refused, the paths behind the refusal are the list, unless credentials are tried.
    let is_list =
        facts.share(missing - refused) >= 0.5 || facts.share(refused) >= 0.5 && facts.signals.credentials <= 2;
    if !facts.has_many_paths() || !is_list {
        return None;
    }
    let failed = facts.failed_share();
    let signals = &facts.signals;
    Some(
        Weight::of(
            0.55,
            format!(
                "{missing} of {} errors are of paths that are missing or refused, {} different ones.",
                facts.errors, facts.paths
            ),
        )
        .and(failed > 0.6, 0.25, || format!("{} of its {} requests failed.", percent(failed), facts.requests))
        .and(signals.ascending.is_some_and(|share| share > 0.7), 0.05, || {
            format!(
                "{} of the paths come after the one before in the order of letters, as in a word list.",
                percent(signals.ascending.unwrap_or(0.0))
            )
        })
        .and(signals.telltales > 0, 0.05, || format!("{} of its requests are tell-tales.", signals.telltales))
        .and(facts.is_known && signals.with_referrer == 0 && signals.requests > 20, 0.05, || {
            "No request names a page that links to it.".into()
        })
        .and(facts.browses(), -0.25, || "Most requests look like those of a browser.".into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::activity::Signals;

    /// Errors of one status, of which so many requests were seen, on so many paths.
    fn facts(errors: u64, status: u16, asked: u64, paths: u64) -> Facts {
        let signals = Signals { requests: asked, variation: Some(0.01), mean_gap: 2.0, ..Signals::default() };
        Facts {
            errors,
            statuses: vec![(status, errors)],
            requests: errors,
            asked,
            paths,
            signals,
            is_known: true,
            ..Facts::default()
        }
    }

    #[test]
    fn few_paths_say_nothing_where_the_requests_were_not_seen() {
        for (status, seen) in [(404, VerdictName::Monitoring), (401, VerdictName::Monitoring)] {
            assert_eq!(judge(&facts(80, status, 80, 1)).name, seen, "{status}");
            for (asked, paths) in [(0, 0), (10, 1)] {
                let judged = judge(&facts(80, status, asked, paths));
                assert_eq!(judged.name, VerdictName::Unclear, "{status} {judged:?}");
            }
        }
        let nothing = judge(&facts(80, 404, 0, 0));
        assert_eq!(
            nothing.reasons,
            ["The requests of 80 of 80 errors were not seen: nobody knows what was asked for."]
        );
        assert_eq!(judge(&facts(80, 502, 0, 0)).name, VerdictName::ServerFailing, "the statuses say it");
        let silent = Facts { unanswered: 80, ..facts(80, 0, 80, 1) };
        assert_eq!(outage_share(&silent), 80);
    }

    #[test]
    fn a_proxy_is_one_by_the_requests_that_were_seen() {
        let mut lossy = facts(80, 404, 70, 60);
        lossy.signals.with_client_header = 70;
        assert_eq!(judge(&lossy).name, VerdictName::ProxyAsClient);
        lossy.signals.with_client_header = 50;
        assert_ne!(judge(&lossy).name, VerdictName::ProxyAsClient);
    }
}
