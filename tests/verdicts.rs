//! What alerts conclude, against what is known of the recordings, and against a recount of the exchanges.
//!
//! The truth about each recording stands here, beside `expected.txt`, which only says what the sensor said last.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Replay,
    case::Case,
    documents, field, file,
    packets::{self, Timed},
    transform::Random,
};

/// What really happened in each recording that alerts: the verdicts that say so, and whether the client got something that
/// matters. Two verdicts are right where two people would not say the same.
const TRUTH: &[(&str, &[&str], bool)] = &[
    ("apache-credential-guessing", &["credential_guessing"], true),
    ("apache-doubtful-bodies", &["broken_link", "unclear"], false),
    ("apache-ffuf", &["enumeration"], false),
    ("haproxy-two-legs", &["enumeration"], false),
    ("haproxy-untrusted", &["proxy_as_client"], false),
    ("iis-scan-built", &["enumeration"], false),
    ("nginx-broken-link", &["broken_link"], false),
    ("nginx-catch-all", &["enumeration"], false),
    ("nginx-crawler", &["crawler"], false),
    ("nginx-dirsearch", &["enumeration"], true),
    ("nginx-doubtful-bodies", &["broken_link", "unclear"], false),
    ("nginx-form-guessing", &["credential_guessing"], true),
    ("nginx-gobuster", &["enumeration"], false),
    ("nginx-late-success", &["enumeration"], true),
    ("nginx-maintenance-scan", &["enumeration", "vulnerability_scan"], false),
    ("nginx-monitoring", &["monitoring"], false),
    ("nginx-nat-outage", &["shared_outage"], false),
    ("nginx-nuclei-like", &["vulnerability_scan"], false),
    ("nginx-office", &["shared_egress"], false),
    ("nginx-outage", &["server_failing"], false),
    ("nginx-pipeline", &["enumeration"], false),
    ("nginx-rate-limited", &["rate_limited"], false),
    ("nginx-scan-success", &["enumeration"], true),
    ("nginx-spraying", &["credential_guessing"], true),
    ("nginx-sqlmap", &["injection"], false),
    ("nginx-stale-client", &["broken_link"], false),
    ("nginx-wapiti", &["vulnerability_scan", "injection"], false),
    ("nginx-webdav", &["protocol_probing"], true),
    ("nginx-tls13", &["enumeration"], false),
    ("nginx-wrk", &["broken_link", "unclear"], false),
    ("tls-dirb-http2", &["encrypted_scan"], false),
    ("tls-gobuster", &["encrypted_scan"], false),
    ("tomcat-dirb", &["enumeration"], false),
    ("tomcat-fault-injection", &["fault_injection"], false),
    ("tomcat-wfuzz", &["enumeration"], false),
];

/// The alerts of a run about one client each.
fn alerts(replay: &Replay) -> Vec<Value> {
    documents(&replay.alerts).into_iter().filter(|alert| !field(alert, "source.ip").is_empty()).collect()
}

/// The clients that alerts are about.
fn clients(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| field(alert, "source.ip")).collect()
}

fn verdict(alert: &Value) -> String {
    field(alert, "wirespike.alert.verdict.name")
}

#[test]
fn verdicts_and_findings_are_what_really_happened() {
    let mut wrong = Vec::new();
    for case in Case::all() {
        let replay = Replay::run(&case.capture, &case.settings.args);
        let alerts = alerts(&replay);
        let Some((_, right, has_harm)) = TRUTH.iter().find(|(name, ..)| *name == case.name) else {
            wrong.extend(
                (!alerts.is_empty()).then(|| format!("{}: alerts, and the truth is not written down", case.name)),
            );
            continue;
        };
        if clients(&alerts).len() != 1 {
            wrong.push(format!("{}: alerts about {:?}", case.name, clients(&alerts)));
        }
        for alert in &alerts {
            if !right.contains(&verdict(alert).as_str()) {
                wrong.push(format!("{}: {} instead of {right:?}", case.name, verdict(alert)));
            }
        }
        let is_raised =
            |alert: &Value| field(alert, "wirespike.alert.severity") != field(alert, "wirespike.alert.rule_severity");
        if alerts.iter().any(is_raised) != *has_harm {
            wrong.push(format!("{}: harm was {}", case.name, if *has_harm { "done" } else { "not done" }));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A document's time in nanoseconds.
fn nanos(document: &Value, path: &str) -> i128 {
    field(document, path).parse::<jiff::Timestamp>().unwrap().as_nanosecond()
}

/// A client's exchanges and errors, as the run wrote them.
struct Recount {
    /// Times of exchanges.
    exchanges: Vec<i128>,
    /// Times, statuses and paths of errors.
    errors: Vec<(i128, String, String)>,
    /// Paths of successes.
    successes: BTreeSet<String>,
}

impl Recount {
    fn of(replay: &Replay, alert: &Value) -> Self {
        let client = field(alert, "source.ip");
        let [start, end] = ["start", "end"].map(|end| nanos(alert, &format!("wirespike.alert.window.{end}")));
        let is_own = |document: &&Value| field(document, "source.ip") == client;
        let path = |document: &Value| {
            let [path, original] = ["url.path", "url.original"].map(|name| field(document, name));
            if path.is_empty() { original } else { path }
        };
        let is_known = |document: &&Value| field(document, "event.outcome") != "unknown";
        let exchanges = documents(&replay.exchanges);
        let own: Vec<&Value> = exchanges.iter().filter(is_own).filter(is_known).collect();
        let events = documents(&replay.events);
        let mut errors: Vec<(i128, String, String)> = events
            .iter()
            .filter(is_own)
            .filter(|event| field(event, "event.reason") == "http_status")
            .map(|event| (nanos(event, "@timestamp"), field(event, "http.response.status_code"), path(event)))
            .filter(|(time, ..)| (start..end).contains(time))
            .collect();
        errors.sort();
        let is_success = |exchange: &&&Value| field(exchange, "http.response.status_code").starts_with(['2', '3']);
        Self {
            exchanges: own.iter().map(|exchange| nanos(exchange, "@timestamp")).collect(),
            successes: own.iter().filter(is_success).map(|exchange| path(exchange)).collect(),
            errors,
        }
    }

    /// Says what is false in the sentence of a scan that turned into success.
    fn refuted_success(&self, sentence: &str) -> Vec<String> {
        let got = sentence.split_once(" got ").map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
        match got {
            Some(path) if self.successes.contains(path) => Vec::new(),
            other => vec![format!("success with {other:?}, which nothing shows")],
        }
    }

    /// Says what is false in a sentence.
    fn refuted(&self, sentence: &str, alert: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |what: &str, said: Option<String>, counted: String| {
            if said.as_ref() != Some(&counted) {
                wrong.push(format!("{what}: said {said:?}, counted {counted}"));
            }
        };
        let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let after = |mark: &str| sentence.split_once(mark).map(|(_, rest)| rest);
        check("errors", after(" caused ").map(number), self.errors.len().to_string());
        let (first, last) = (self.errors[0].0, self.errors[self.errors.len() - 1].0);
        let seconds = (last - first) as f64 / 1e9;
        let took = match seconds {
            seconds if seconds < 1.0 => "less than a second".to_owned(),
            seconds if seconds < 120.0 => format!("{seconds:.0} second"),
            seconds => format!("{:.0} minutes", seconds / 60.0),
        };
        check("time", after(" within ").map(|rest| rest[..took.len().min(rest.len())].to_owned()), took);
        if let Some(said) = after("% of its ").map(number) {
            // Exchanges with the very stamp of the first or the last error may be on either side of it.
            let count = |is_in: &dyn Fn(i128) -> bool| self.exchanges.iter().filter(|time| is_in(**time)).count();
            let most = count(&|time| (first..=last).contains(&time));
            let least = count(&|time| first < time && time < last) + 1;
            let said: usize = said.parse().unwrap();
            if !(least..=most).contains(&said) {
                wrong.push(format!("requests: said {said}, counted {least} to {most}"));
            }
        }
        let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
        self.errors.iter().for_each(|(_, status, _)| *statuses.entry(status).or_default() += 1);
        for (count, rest) in sentence.split(" × ").zip(sentence.split(" × ").skip(1)) {
            let count: String = count.chars().rev().take_while(char::is_ascii_digit).collect();
            let (said, status) = (count.chars().rev().collect::<String>(), number(rest));
            if statuses.get(status.as_str()).map(usize::to_string) != Some(said.clone()) {
                wrong.push(format!("status {status}: said {said}, counted {:?}", statuses.get(status.as_str())));
            }
        }
        let paths: BTreeSet<&String> =
            self.errors.iter().map(|(.., path)| path).filter(|path| !path.is_empty()).collect();
        if let Some(said) =
            after(" over ").map(number).filter(|said| !said.is_empty() && said.parse() != Ok(paths.len()))
        {
            wrong.push(format!("paths: said {said}, counted {}", paths.len()));
        }
        if let Some(got) = after("; it got ") {
            let path = got.split([' ', ';']).next().unwrap_or_default();
            if !self.successes.contains(path) {
                wrong.push(format!("got {path}, which nothing shows"));
            }
        }
        let name = verdict(alert).replace('_', " ");
        let claims = if name == "unclear" { "shows no single pattern" } else { "looks like " };
        if !sentence.contains(claims) {
            wrong.push(format!("the verdict is {name}, and the sentence does not say so"));
        }
        wrong
    }
}

#[test]
fn no_sentence_is_false() {
    let mut wrong = Vec::new();
    for case in Case::all() {
        let replay = Replay::run(&case.capture, &case.settings.args);
        for alert in alerts(&replay) {
            // What is inferred has nothing to be recounted by; see `encrypted`.
            if field(&alert, "wirespike.alert.inferred") == "true" {
                continue;
            }
            let sentence = field(&alert, "message");
            let recount = Recount::of(&replay, &alert);
            let refuted = match field(&alert, "wirespike.alert.kind").as_str() {
                "follow_up" => recount.refuted_success(&sentence),
                _ => recount.refuted(&sentence, &alert),
            };
            wrong.extend(refuted.into_iter().map(|what| format!("{}: {what}\n    {sentence}", case.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Changes a capture in a way that changes nothing about what happened.
type Change = fn(&mut [Timed]);

/// Every user agent becomes a browser's of the same length. Those that differ still differ, where they are long enough.
fn as_browsers(packets: &mut [Timed]) {
    const BROWSER: &[u8] =
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 ";
    for packet in packets {
        let payload = &mut packet.segment.payload;
        let Some(name) = payload.windows(12).position(|name| name.eq_ignore_ascii_case(b"user-agent: ")) else {
            continue;
        };
        let value = name + 12;
        let length = payload[value..].iter().position(|byte| *byte == b'\r').unwrap_or(0);
        let own = &mut payload[value..value + length];
        let sum = own.iter().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        let name = format!("{sum:08x}");
        own.iter_mut().zip(BROWSER.iter().cycle()).for_each(|(byte, new)| *byte = *new);
        if let Some(end) = own.len().checked_sub(8).filter(|end| *end > 8) {
            own[end..].copy_from_slice(name.as_bytes());
        }
    }
}

/// Other addresses and ports.
fn elsewhere(packets: &mut [Timed]) {
    let moved = |(address, port): (std::net::IpAddr, u16)| match address {
        std::net::IpAddr::V4(v4) => {
            let [.., last] = v4.octets();
            let port = if port >= 32_768 { port ^ 0x1554 } else { port };
            (std::net::IpAddr::from([10, 77, last ^ 0x5a, 9]), port)
        }
        v6 => (v6, port),
    };
    for Timed { segment, .. } in packets {
        segment.source = moved(segment.source);
        segment.destination = moved(segment.destination);
    }
}

/// The targets of requests that failed change places with others of the same length: a word list in another order.
fn shuffled(packets: &mut [Timed]) {
    let mut places: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (index, packet) in packets.iter().enumerate() {
        let payload = &packet.segment.payload;
        let Some(line) = payload.strip_prefix(b"GET /") else { continue };
        if let Some(length) = line.windows(6).position(|end| end == b" HTTP/") {
            places.entry(length).or_default().push((index, 5));
        }
    }
    let mut random = Random::new(11);
    for (length, places) in places {
        for at in (1..places.len()).rev() {
            let ((one, start), (other, _)) = (places[at], places[random.below(at + 1)]);
            for byte in start..start + length {
                let (a, b) = (packets[one].segment.payload[byte], packets[other].segment.payload[byte]);
                packets[one].segment.payload[byte] = b;
                packets[other].segment.payload[byte] = a;
            }
        }
    }
}

#[test]
fn verdicts_hold_under_other_names_addresses_and_orders() {
    let scratch = TempDir::new().unwrap();
    let mut wrong = Vec::new();
    for case in Case::all() {
        // Settings that name addresses would have to change with them.
        let Some((_, right, _)) = TRUTH.iter().find(|(name, ..)| *name == case.name) else { continue };
        let Some(packets) = packets::read(&case.capture).filter(|_| case.settings.args.is_empty()) else { continue };
        let changes: [(&str, Change); 3] =
            [("browsers", as_browsers), ("elsewhere", elsewhere), ("shuffled", shuffled)];
        for (change, apply) in changes {
            // The same few paths in another order are other paths that fail.
            if change == "shuffled" && !right.contains(&"enumeration") {
                continue;
            }
            let mut changed = packets.clone();
            apply(&mut changed);
            let capture = file(&scratch, &format!("{}-{change}.pcap", case.name), packets::plain(&changed));
            let replay = Replay::run(&capture, &case.settings.args);
            let found = alerts(&replay);
            let one_client = clients(&found).len() == 1;
            let found: Vec<String> = found.iter().map(verdict).collect();
            if !one_client || found.iter().any(|found| !right.contains(&found.as_str())) {
                wrong.push(format!("{} {change}: {found:?} instead of {right:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
