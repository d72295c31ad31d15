//! An alert's document, read for people.
//!
//! In: the JSON of an alert, also one that an earlier version or another program has written. Out: its parts as values that
//! the text and the report show. Promises: a field that is absent or of another type is left out, never an error; every text
//! is printable, because [`printable`] has escaped it.
//!
//! The text and the report read documents and no types of the pipeline. So `show`, which has only a file, and a run give
//! the same text.

use std::borrow::Cow;

use serde_json::Value;

use super::times_in_words::{seconds_of, span, span_in_words};
use crate::{printable::printable, telemetry::summary::grouped};

/// The most requests of one minute that are believed. Numbers up to here can be added up.
const MOST_IN_A_MINUTE: u64 = 1 << 40;

/// The document of an alert.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlertDocument<'a>(pub(crate) &'a Value);

/// What an alert is ranked by: the most consequential alert has the greatest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Rank {
    /// `event.severity`.
    pub(super) severity: u64,
    /// How many findings the client made.
    pub(super) found: usize,
    /// The number of counted errors.
    pub(super) count: u64,
}

/// `wirespike.alert.verdict`.
#[derive(Debug)]
pub(super) struct VerdictOf<'a> {
    /// The name, with spaces in the place of underscores.
    pub(super) name: String,
    /// From 0 to 1.
    pub(super) confidence: Option<f64>,
    /// Sentences.
    pub(super) reasons: Vec<Cow<'a, str>>,
    /// The tool, where it is known.
    pub(super) tool: Option<Cow<'a, str>>,
}

/// An entry of `wirespike.alert.found`.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The status of the response, or a dash.
    pub(super) status: String,
    /// The method, where it is not GET.
    pub(super) method: Option<Cow<'a, str>>,
    /// The path.
    pub(super) path: Cow<'a, str>,
    /// What else is known: class, size, type, where a redirect leads, session.
    pub(super) notes: Vec<String>,
}

/// An entry of `wirespike.alert.telltales`.
#[derive(Debug)]
pub(super) struct Telltale<'a> {
    /// The class, with spaces in the place of underscores.
    pub(super) class: String,
    /// The method, where it is not GET.
    pub(super) method: Option<Cow<'a, str>>,
    /// The path.
    pub(super) path: Cow<'a, str>,
    /// The status, or a dash.
    pub(super) status: String,
    /// How often.
    pub(super) count: u64,
}

/// An entry of `wirespike.alert.timeline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Minute {
    /// When it begins, in seconds since the Unix epoch.
    pub(super) start: i64,
    /// The server as `address:port`; empty where it is not named.
    pub(super) server: String,
    /// Requests.
    pub(super) requests: u64,
    /// Errors with a status from 400 to 499.
    pub(super) client_errors: u64,
    /// Errors with a status from 500 to 599.
    pub(super) server_errors: u64,
    /// All other errors, mostly without a status.
    pub(super) other_errors: u64,
    /// Distinct paths, where they are known.
    pub(super) distinct_paths: Option<u64>,
}

impl Minute {
    /// All errors.
    pub(super) fn errors(&self) -> u64 {
        self.client_errors + self.server_errors + self.other_errors
    }
}

impl<'a> AlertDocument<'a> {
    /// `event.id`.
    pub(crate) fn id(self) -> Option<Cow<'a, str>> {
        text_at(self.0, "/event/id")
    }

    /// `message`: the sentence.
    pub(crate) fn sentence(self) -> Option<Cow<'a, str>> {
        text_at(self.0, "/message")
    }

    /// `source.ip`.
    pub(crate) fn client(self) -> Option<Cow<'a, str>> {
        text_at(self.0, "/source/ip")
    }

    /// `@timestamp`, in seconds since the Unix epoch.
    pub(super) fn time(self) -> Option<i64> {
        self.0.get("@timestamp").and_then(seconds_of)
    }

    /// The kind, such as `scheduled` or `left_out`.
    pub(super) fn kind(self) -> Option<Cow<'a, str>> {
        text_of(self.member("kind")?)
    }

    /// The severity as a word. It is one of four, so that it can stand in a column and in the name of a style.
    pub(super) fn severity(self) -> &'static str {
        let word = self.member("severity").and_then(Value::as_str);
        let known = ["low", "medium", "high", "critical"].into_iter().find(|known| word == Some(*known));
        known.unwrap_or(match self.rank().severity {
            0..=21 => "low",
            22..=47 => "medium",
            48..=73 => "high",
            _ => "critical",
        })
    }

    /// What the alert is ranked by.
    pub(super) fn rank(self) -> Rank {
        Rank {
            severity: self.0.pointer("/event/severity").and_then(Value::as_u64).unwrap_or_default(),
            found: self.list("found").len(),
            count: self.count().unwrap_or_default(),
        }
    }

    /// The number of counted errors. For an alert about those who found no place, it is the number of their errors.
    pub(crate) fn count(self) -> Option<u64> {
        let limits = || self.left_out().map(|(_, _, errors)| errors);
        self.member("count").and_then(Value::as_u64).or_else(|| limits().reduce(u64::saturating_add))
    }

    /// What the counts count: errors, or turns where nothing was read.
    pub(super) fn noun(self) -> &'static str {
        if self.is_inferred() { "turns" } else { "errors" }
    }

    /// What the errors are counted among. A TLS handshake that failed is no request.
    fn noun_of_all(self) -> &'static str {
        let is_handshake = |entry: &Value| text_at(entry, "/reason").is_some_and(|reason| reason == "tls_alert");
        match self.is_inferred() {
            true => "turns",
            false if self.list("reasons").iter().any(is_handshake) => "exchanges",
            false => "requests",
        }
    }

    /// Returns whether the alert rests on lengths and times.
    pub(super) fn is_inferred(self) -> bool {
        self.member("inferred").and_then(Value::as_bool) == Some(true)
    }

    /// Why the severity is what it is.
    pub(super) fn severity_reasons(self) -> Vec<Cow<'a, str>> {
        self.texts("severity_reasons")
    }

    /// The verdict.
    pub(super) fn verdict(self) -> Option<VerdictOf<'a>> {
        let verdict = self.member("verdict")?;
        Some(VerdictOf {
            name: self.named(in_words(&text_at(verdict, "/name")?)),
            confidence: verdict.get("confidence").and_then(Value::as_f64),
            reasons: texts_of(verdict.get("reasons")),
            tool: text_at(verdict, "/tool"),
        })
    }

    /// What to do next.
    pub(super) fn next_steps(self) -> Vec<Cow<'a, str>> {
        self.texts("next_steps")
    }

    /// What the client got.
    pub(super) fn found(self) -> Vec<Found<'a>> {
        self.list("found").iter().filter_map(found_of).collect()
    }

    /// The signs of an attack among the requests.
    pub(super) fn telltales(self) -> Vec<Telltale<'a>> {
        let telltale = |entry: &'a Value| {
            Some(Telltale {
                class: in_words(&text_at(entry, "/class")?),
                method: method_of(entry),
                path: text_at(entry, "/path").unwrap_or_default(),
                status: status_of(entry),
                count: number_at(entry, "/count").unwrap_or(1),
            })
        };
        self.list("telltales").iter().filter_map(telltale).collect()
    }

    /// Requests and errors by minute and server, in order of time.
    pub(super) fn timeline(self) -> Vec<Minute> {
        let mut minutes: Vec<Minute> = self.list("timeline").iter().filter_map(minute_of).collect();
        minutes.sort_by(|one, other| (one.start, &one.server).cmp(&(other.start, &other.server)));
        minutes
    }

    /// The activity in one line: when, how long, how much, how fast.
    pub(super) fn extent(self) -> Option<String> {
        let extent = self.member("extent")?;
        let mut parts = Vec::new();
        if let Some([start, end]) = span(extent) {
            parts.push(match number_with_fraction(extent.get("seconds")) {
                Some(seconds) => format!("{} ({seconds} s)", span_in_words(start, end)),
                None => span_in_words(start, end),
            });
        }
        let errors = number_at(extent, "/errors").map(|errors| format!("{} errors", grouped(errors)));
        let noun = self.noun_of_all();
        let requests = number_at(extent, "/requests").map(|requests| format!("{} {noun}", grouped(requests)));
        match (errors, requests) {
            (Some(errors), Some(requests)) => parts.push(format!("{errors} in {requests}")),
            (one, other) => parts.extend(one.or(other)),
        }
        if let Some(rate) = number_with_fraction(extent.get("requests_per_second")) {
            parts.push(format!("{rate} {noun} a second"));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// When the window of the alert begins and ends, as the document writes it.
    pub(crate) fn window(self) -> Option<[&'a str; 2]> {
        [self.member("window"), self.0.get("event"), self.member("extent")].into_iter().flatten().find_map(span)
    }

    /// When the client's errors begin and end, or else the window, as the document writes it.
    pub(crate) fn activity(self) -> Option<[&'a str; 2]> {
        self.member("extent").and_then(span).or_else(|| self.window())
    }

    /// The window with its days: `2026-11-24 21:29:00 to 21:40:00 UTC`.
    pub(crate) fn window_in_words(self) -> Option<String> {
        self.window().map(|[start, end]| span_in_words(start, end))
    }

    /// A list of objects with counts, each as `what (count)`.
    pub(super) fn counted(self, list: &str, member: &str) -> Vec<String> {
        let entry = |entry: &Value| {
            let what = entry.get(member)?;
            let what = text_of(what).map(Cow::into_owned).or_else(|| what.as_u64().map(|number| number.to_string()))?;
            Some(match number_at(entry, "/count") {
                Some(count) => format!("{what} ({})", grouped(count)),
                None => what,
            })
        };
        self.list(list).iter().filter_map(entry).collect()
    }

    /// The statuses of gRPC, each as `number name (count)`.
    pub(super) fn grpc_statuses(self) -> Vec<String> {
        let status = |entry: &Value| {
            let (code, name) = (number_at(entry, "/grpc_status_code")?, text_at(entry, "/name")?);
            Some(format!("{code} {name} ({})", grouped(number_at(entry, "/count")?)))
        };
        self.list("grpc_status_codes").iter().filter_map(status).collect()
    }

    /// The methods, each as `method (count)`. Empty if all requests are GET, as most are.
    pub(super) fn unusual_methods(self) -> Vec<String> {
        let is_get = |entry: &Value| text_at(entry, "/method").is_some_and(|method| method == "GET");
        if self.list("methods").iter().all(is_get) { Vec::new() } else { self.counted("methods", "method") }
    }

    /// The servers, each as `address:port (count)`.
    pub(super) fn servers(self) -> Vec<String> {
        let server = |entry: &Value| {
            let count = number_at(entry, "/count").map(|count| format!(" ({})", grouped(count)));
            let name = text_at(entry, "/name").map(|name| format!(" {name}"));
            Some(format!("{}{}{}", endpoint(entry)?, name.unwrap_or_default(), count.unwrap_or_default()))
        };
        self.list("servers").iter().filter_map(server).collect()
    }

    /// Other clients who do the same, each as `address (errors)`.
    pub(super) fn others(self) -> Vec<String> {
        let other = |entry: &Value| {
            let ip = text_at(entry, "/ip")?;
            let notes = [("/errors", "errors"), ("/shared_paths", "of the same paths")];
            let notes = notes.map(|(at, of)| number_at(entry, at).map(|count| format!("{} {of}", grouped(count))));
            let mut notes: Vec<String> = notes.into_iter().flatten().collect();
            if entry.get("same_tool").and_then(Value::as_bool) == Some(true) {
                notes.push("the same tool".to_owned());
            }
            Some(if notes.is_empty() { ip.into_owned() } else { format!("{ip} ({})", notes.join(", ")) })
        };
        self.list("others").iter().filter_map(other).collect()
    }

    /// Techniques of MITRE ATT&CK, each as `T1595 Active Scanning`.
    pub(super) fn techniques(self) -> Vec<String> {
        let names = |at: &str| {
            let entries = self.0.pointer(at);
            let [ids, names] = ["id", "name"].map(|list| texts_of(entries.and_then(|entries| entries.get(list))));
            let name = |index: usize| names.get(index).map(|name| format!(" {name}")).unwrap_or_default();
            ids.iter().enumerate().map(|(index, id)| format!("{id}{}", name(index))).collect::<Vec<_>>()
        };
        [names("/threat/technique"), names("/threat/technique/subtechnique")].concat()
    }

    /// Labels of the client's network.
    pub(super) fn labels(self) -> Vec<Cow<'a, str>> {
        self.texts("labels")
    }

    /// What TLS connections show, each as `kind value`.
    pub(super) fn tls(self) -> Vec<String> {
        let kinds = [("ja4", "JA4"), ("server_names", "name"), ("certificates", "certificate")];
        let of = |(member, kind): (&str, &str)| {
            let values = texts_of(self.member("tls").and_then(|tls| tls.get(member)));
            values.into_iter().map(|value| format!("{kind} {value}")).collect::<Vec<_>>()
        };
        kinds.into_iter().flat_map(of).collect()
    }

    /// The grade of most counted errors, with spaces in the place of underscores.
    pub(super) fn grade(self) -> Option<String> {
        text_at(self.member("evidence")?, "/grade").map(|grade| in_words(&grade))
    }

    /// The file that holds the client's packets.
    pub(super) fn evidence_file(self) -> Option<Cow<'a, str>> {
        text_at(self.member("evidence")?, "/file")
    }

    /// The rule's title.
    pub(crate) fn rule(self) -> Option<Cow<'a, str>> {
        text_at(self.0, "/rule/name")
    }

    /// Returns whether the numbers are lower bounds, because something in the window was not seen.
    pub(super) fn is_lower_bound(self) -> bool {
        self.member("window").and_then(|window| window.get("lower_bound")).and_then(Value::as_bool) == Some(true)
    }

    /// Which limits left somebody out: the limit in words, the number of clients, the number of their errors.
    pub(super) fn left_out(self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let limits = [("alert_limit", "limit of alerts"), ("client_limit", "limit of clients")];
        let left_out = self.member("left_out");
        limits.into_iter().filter_map(move |(name, words)| {
            let limit = left_out?.get(name)?;
            Some((words, number_at(limit, "/clients")?, number_at(limit, "/errors").unwrap_or_default()))
        })
    }

    /// The largest of those who were left out, each as `address (errors)`.
    pub(super) fn largest_left_out(self) -> Vec<String> {
        let largest = self.member("left_out").and_then(|left_out| left_out.get("largest")).and_then(Value::as_array);
        let client = |entry: &Value| {
            let (ip, errors) = (text_at(entry, "/ip")?, number_at(entry, "/errors").unwrap_or_default());
            Some(format!("{ip} ({})", grouped(errors)))
        };
        largest.into_iter().flatten().filter_map(client).collect()
    }

    /// The name of a verdict, with a remark where it was inferred.
    fn named(self, name: String) -> String {
        if self.is_inferred() { format!("{name} (inferred)") } else { name }
    }

    fn member(self, name: &str) -> Option<&'a Value> {
        self.0.get("wirespike")?.get("alert")?.get(name)
    }

    fn list(self, name: &str) -> &'a [Value] {
        self.member(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn texts(self, name: &str) -> Vec<Cow<'a, str>> {
        texts_of(self.member(name))
    }
}

fn found_of(entry: &Value) -> Option<Found<'_>> {
    let mut notes = Vec::new();
    notes.extend(text_at(entry, "/class").map(|class| in_words(&class)));
    notes.extend(number_at(entry, "/bytes").map(|bytes| format!("{} bytes", grouped(bytes))));
    notes.extend(text_at(entry, "/type").map(Cow::into_owned));
    notes.extend(text_at(entry, "/redirect").map(|to| format!("redirects to {to}")));
    match entry.get("session") {
        Some(Value::Bool(true)) => notes.push("sets a session cookie".to_owned()),
        Some(Value::String(session)) => notes.push(format!("session {}", printable(session))),
        _ => {}
    }
    for (flag, words) in [("credentials", "with credentials"), ("upload", "stores a file")] {
        if entry.get(flag).and_then(Value::as_bool) == Some(true) {
            notes.push(words.to_owned());
        }
    }
    let method = method_of(entry);
    Some(Found { status: status_of(entry), method, path: text_at(entry, "/path")?, notes })
}

/// The method of an entry, where it is not GET.
fn method_of(entry: &Value) -> Option<Cow<'_, str>> {
    text_at(entry, "/method").filter(|method| method != "GET")
}

fn minute_of(entry: &Value) -> Option<Minute> {
    let errors = entry.get("errors");
    let number = |value: &Value| value.as_u64().map(|number| number.min(MOST_IN_A_MINUTE));
    let class = |name: &str| errors.and_then(|errors| errors.get(name)).and_then(number).unwrap_or_default();
    let by_class = errors.and_then(Value::as_object).into_iter().flatten().filter_map(|(_, count)| number(count));
    let all: u64 = errors.and_then(number).unwrap_or_else(|| by_class.sum());
    let (client_errors, server_errors) = (class("4xx"), class("5xx"));
    Some(Minute {
        start: entry.get("start").and_then(seconds_of)?,
        server: entry.get("server").and_then(endpoint).unwrap_or_default(),
        requests: entry.get("requests").and_then(number).unwrap_or_default(),
        client_errors,
        server_errors,
        other_errors: all.saturating_sub(client_errors).saturating_sub(server_errors),
        distinct_paths: number_at(entry, "/distinct_paths"),
    })
}

/// `address:port`, with brackets around an IPv6 address.
fn endpoint(value: &Value) -> Option<String> {
    let ip = text_at(value, "/ip")?;
    Some(match number_at(value, "/port") {
        None => ip.into_owned(),
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
    })
}

fn status_of(entry: &Value) -> String {
    number_at(entry, "/status").map_or_else(|| "-".to_owned(), |status| status.to_string())
}

/// A number with at most two digits behind the point, and none where it is large.
fn number_with_fraction(value: Option<&Value>) -> Option<String> {
    let number = value?.as_f64()?;
    if number >= 100.0 || number.fract() == 0.0 {
        return Some(grouped(number.round() as u64));
    }
    let text = format!("{number:.2}");
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// A name in snake case, in words.
fn in_words(name: &str) -> String {
    name.replace('_', " ")
}

fn texts_of(value: Option<&Value>) -> Vec<Cow<'_, str>> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(text_of).collect()
}

fn text_at<'v>(value: &'v Value, pointer: &str) -> Option<Cow<'v, str>> {
    text_of(value.pointer(pointer)?)
}

fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    value.as_str().map(printable)
}

fn number_at(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}
