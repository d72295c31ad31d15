//! The next steps for an analyst.
//!
//! In: an alert, its verdict, and the conduct of its client. Out: sentences with the alert's own values, the most useful first.
//! Promises: no step advises to block an address unless confirmed errors alone are over the threshold and the verdict blames the
//! client. Text from the wire is in them only as far as it is printable ASCII without quotes.

use super::{
    Handshakes, VerdictName,
    activity::{Conduct, Found, and_more, said_path},
    claims,
};
use crate::{
    address::Endpoint,
    detect::{Alert, AlertKind},
};

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

/// The most findings that are named in a step.
const NAMED: usize = 3;

/// Returns the next steps after a verdict.
pub(super) fn after(name: VerdictName, alert: &Alert, conduct: Option<&Conduct>) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    if alert.kind == AlertKind::LeftOut {
        steps.extend(LEFT_OUT.map(String::from));
    } else {
        let context = Context::of(alert, conduct);
        if !alert.is_confirmed() {
            steps.extend(CONFIRM.map(String::from));
        }
        context.found(&mut steps);
        context.by_verdict(name, &mut steps);
        if alert.is_confirmed() && name.blames_client() {
            match conduct.is_some_and(|conduct| claims::made_up(&conduct.signals).is_some()) {
                true => context.ask_for_proxy(&mut steps),
                false => context.block(&mut steps),
            }
        }
        context.packets(&mut steps);
    }
    if alert.lower_bound {
        let why = "The sensor lost packets, or had no room for all clients, in this time: the counts are lower bounds.";
        steps.push(why.into());
    }
    steps
}

/// The values that steps hold.
struct Context<'a> {
    alert: &'a Alert,
    conduct: Option<&'a Conduct>,
    client: String,
    server: Option<Endpoint>,
    /// The first error and the last.
    times: Option<(String, String)>,
}

impl<'a> Context<'a> {
    fn of(alert: &'a Alert, conduct: Option<&'a Conduct>) -> Self {
        let samples = alert.summary.first.as_ref().zip(alert.summary.last.as_ref());
        Self {
            alert,
            conduct,
            client: alert.group.client().map(|client| client.to_string()).unwrap_or_default(),
            server: alert.summary.servers.first().map(|(server, _)| *server),
            times: samples.map(|(first, last)| (first.time.to_string(), last.time.to_string())),
        }
    }

    fn server(&self) -> String {
        self.server.map(|server| server.to_string()).unwrap_or_else(|| "the server".into())
    }

    /// What it got comes first, whatever the verdict.
    fn found(&self, steps: &mut Vec<String>) {
        let Some(conduct) = self.conduct else { return };
        // A path may have been found on several servers.
        let mut paths: Vec<String> = Vec::new();
        for path in conduct.given_away().filter_map(|found: &Found| said_path(&found.path)) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        if !paths.is_empty() {
            let named = &paths[..paths.len().min(NAMED)];
            let paths = and_more(&named.join(", "), paths.len() - named.len());
            let server = self.server();
            steps.push(format!("Remove {paths} from the web root of {server}, and change every secret in them."));
        }
        let stored = conduct.found.iter().find(|found| found.is_stored());
        if let Some(path) = stored.and_then(|found| said_path(&found.path)) {
            steps.push(format!("Examine what was stored at {path} on {}, and who may write there.", self.server()));
        }
    }

    fn by_verdict(&self, name: VerdictName, steps: &mut Vec<String>) {
        let (client, server) = (&self.client, self.server());
        let path = self.alert.summary.paths.first().and_then(|entry| said_path(&entry.text));
        let path = path.as_deref().unwrap_or("the path");
        let handshakes = Handshakes::among(self.alert.count, &self.alert.summary);
        let more: Vec<String> = match name {
            VerdictName::Enumeration | VerdictName::VulnerabilityScan => vec![
                format!("Read what {client} got with success on {server} in the same time: that is what it found."),
                "If the address is a scanner of your own, list it as one, so that its alerts say so.".into(),
            ],
            VerdictName::CredentialGuessing => vec![
                format!(
                    "Look for a log-in of {client} on {server} that succeeded after the failures, and end its session."
                ),
                "Lock or watch the accounts that were tried, and limit attempts for each account and address.".into(),
            ],
            VerdictName::Injection | VerdictName::FaultInjection => vec![
                format!(
                    "Read the application's own log on {server} for the requests that failed: which input broke what."
                ),
                "Look for answers that are larger or slower than those of the same page without the payload.".into(),
            ],
            VerdictName::ProtocolProbing => vec![
                format!("Look in the packets at what {client} really sent.{}", self.first_connection()),
                match handshakes.prevail() {
                    true => format!("Check that the server at {server} accepts no weak TLS version or cipher suite."),
                    false => format!("Check that the server at {server} has no known weakness in parsing requests."),
                },
            ],
            VerdictName::RateLimited => vec![
                format!("Find out whose program {client} is, and whether its limit is right."),
                "Check that its requests below the limit are harmless.".into(),
            ],
            VerdictName::Crawler => vec![
                "Correct the links that lead nowhere; the events name the pages that hold them as the referrer.".into(),
                format!("Confirm by reverse DNS that {client} is the crawler that it says it is."),
            ],
            VerdictName::BrokenLink => vec![
                format!(
                    "Find what asks for {path} (the events' referrer and user agent), and correct it or restore what it names."
                ),
                format!("If {client} runs your own software or monitoring, correct its configuration."),
            ],
            VerdictName::ServerFailing | VerdictName::SharedOutage => vec![
                format!("Check the health of {server} and of the application behind it first."),
                "Look at what was deployed or restarted shortly before the first error.".into(),
                format!("{client} is more likely a victim than a cause."),
            ],
            VerdictName::SharedEgress => vec![
                format!(
                    "Treat {client} as many people: find the one among them by user agent and cookie in the events."
                ),
                format!("Correct what fails for all of them: {path}."),
            ],
            VerdictName::ProxyAsClient => vec![
                format!("Trust {client} as a proxy (--trust {client}), so that its clients are counted one by one."),
                "Read the header in the events to see whose requests failed.".into(),
            ],
            VerdictName::Monitoring => vec![
                format!("Check what {path} on {server} should answer, and repair it."),
                format!("If the monitor at {client} asks for the wrong page, correct it."),
            ],
            VerdictName::Unclear if handshakes.prevail() => handshakes.steps(client, &server).collect(),
            // An inferred alert has steps of its own; see `inferred`.
            VerdictName::EncryptedScan | VerdictName::Unclear => vec![
                format!("Read the events of {client} in order: the sequence of paths shows the intent."),
                format!("Check what {client} got with success in the same time."),
            ],
        };
        steps.extend(more);
    }

    /// Names the first connection by its ends.
    fn first_connection(&self) -> String {
        let first = self.alert.summary.flows.first();
        first.map(|(from, to)| format!(" The first connection is from {from} to {to}.")).unwrap_or_default()
    }

    /// The client may stand for others, though it makes up whom it stands for.
    fn ask_for_proxy(&self, steps: &mut Vec<String>) {
        let client = &self.client;
        steps.push(format!(
            "Its requests name clients behind a proxy: make sure that {client} is no proxy of yours before you block it, and that \
             {} believes such fields from your own proxies alone.",
            self.server()
        ));
    }

    /// How to hold the client off for a while.
    fn block(&self, steps: &mut Vec<String>) {
        let client = &self.client;
        let family = if client.contains(':') { "ip6" } else { "ip" };
        steps.push(format!(
            "To hold it off for an hour: nft add table inet wirespike; nft add set inet wirespike hold '{{ type {}; flags timeout; }}'; \
             nft add chain inet wirespike input '{{ type filter hook input priority -10; }}'; \
             nft add rule inet wirespike input {family} saddr @hold drop; \
             nft add element inet wirespike hold '{{ {client} timeout 1h }}'",
            if family == "ip6" { "ipv6_addr" } else { "ipv4_addr" }
        ));
    }

    /// How to get the packets.
    fn packets(&self, steps: &mut Vec<String>) {
        if let Some((first, last)) = &self.times
            && !self.client.is_empty()
        {
            let handshakes = Handshakes::among(self.alert.count, &self.alert.summary).count();
            let inside = match self.alert.summary.tls.is_empty() {
                true => "",
                // A failed handshake is in clear.
                false if handshakes >= self.alert.count => "",
                false if handshakes > 0 => {
                    " If other errors among them are inside TLS, whoever reads them again needs the key log (--tls-keylog)."
                }
                false => {
                    " Errors among them are inside TLS: whoever reads them again needs the key log (--tls-keylog)."
                }
            };
            steps.push(format!(
                "The packets: tcpdump -r CAPTURE 'host {}', from {first} to {last}.{inside}",
                self.client
            ));
        }
    }
}
