//! Exchanges and error events as ECS documents.
//!
//! In: an exchange and whom it is charged to. Out: one line of nested JSON, fields named by the Elastic Common Schema,
//! what the schema has no name for under `wirespike`. Promises: absent fields are left out; bytes from the wire cannot
//! break the line; the fields that were changed are named in `wirespike.sanitized` (not plain text) and
//! `wirespike.masked` (credentials hidden).

use std::sync::Arc;

use super::{
    community_id,
    connection::{begin_network, end_network, write_connection, write_tls},
    fragments::{Fragments, Kind, members},
    json::{Json, Key, TimeWriter, Written, key},
    pattern::Pattern,
};
use crate::{
    address::Endpoint,
    capture::Stamp,
    event::{Attribution, ClientSource, ErrorEvent, EventSettings, Evidence, Reason, Site, host_without_port},
    exchange::{Exchange, Outcome, Remarks, path_and_query},
    time::nanos,
};

/// `ecs.version`.
pub const ECS_VERSION: &str = "8.17.0";

/// Writes documents. Prepared once for a sensor, then without allocation.
#[derive(Debug)]
pub struct EcsWriter {
    settings: EventSettings,
    site: Arc<Site>,
    /// `ecs` and `agent`, the same in every document.
    identity: Vec<u8>,
    fragments: Fragments,
    times: TimeWriter,
    /// The connection whose Community ID was last written.
    community: Option<(Endpoint, Endpoint, [u8; community_id::LENGTH])>,
    /// Of the last event, and of the last exchange.
    patterns: [Pattern; 2],
}

/// What an exchange is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Document {
    /// An error event: what was known when the exchange was decided.
    Event(Reason),
    /// The whole exchange.
    Exchange,
}

/// Places in the output where an exchange's line has more than its event's.
struct Joints {
    end: usize,
    request_body: usize,
    response_body: usize,
}

/// Fields that may have to be changed before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Method,
    Url,
    Domain,
    Referrer,
    UserAgent,
    ContentType,
    Location,
    Reason,
    Server,
    Via,
    ServerName,
}

const FIELDS: [(Field, &str); 11] = [
    (Field::Method, "http.request.method"),
    (Field::Url, "url.original"),
    (Field::Domain, "url.domain"),
    (Field::Referrer, "http.request.referrer"),
    (Field::UserAgent, "user_agent.original"),
    (Field::ContentType, "http.response.mime_type"),
    (Field::Location, "wirespike.location"),
    (Field::Reason, "wirespike.reason_phrase"),
    (Field::Server, "wirespike.server"),
    (Field::Via, "wirespike.via"),
    (Field::ServerName, "tls.client.server_name"),
];

/// What was changed in one document, one bit a field.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Changes {
    sanitized: u16,
    masked: u16,
}

impl Changes {
    #[inline]
    pub(super) fn note(&mut self, field: Field, written: Written) {
        if written == Written::Sanitized {
            self.sanitized |= 1 << field as u16;
        }
    }

    fn and(self, other: Self) -> Self {
        Self { sanitized: self.sanitized | other.sanitized, masked: self.masked | other.masked }
    }
}

impl EcsWriter {
    /// A writer for the sensor of these settings.
    pub fn new(settings: &EventSettings, site: Arc<Site>) -> Self {
        let identity = members(|json| {
            let ecs = json.open(key!("ecs"));
            json.name(key!("version"), ECS_VERSION);
            json.close(ecs);
            write_agent(json, &site.sensor_id);
        });
        Self {
            settings: settings.clone(),
            site,
            identity,
            fragments: Fragments::default(),
            times: TimeWriter::default(),
            community: None,
            patterns: Default::default(),
        }
    }

    /// Appends an error event as one line. What the end of an answered exchange tells is not in it.
    pub fn write_event(&mut self, out: &mut Vec<u8>, event: &ErrorEvent) {
        self.write(out, &event.exchange, &event.attribution, Document::Event(event.reason));
    }

    /// Appends an exchange as one line: the access log of the wire. The dataset's name ends in `.error` where the
    /// exchange is an error, else in `.access`.
    pub fn write_exchange(&mut self, out: &mut Vec<u8>, exchange: &Exchange, attribution: &Attribution) {
        self.write(out, exchange, attribution, Document::Exchange);
    }

    /// Appends an error event to one output and its exchange, which is over, to another.
    pub fn write_both(&mut self, events: &mut Vec<u8>, exchanges: &mut Vec<u8>, event: &ErrorEvent) {
        let start = events.len();
        let Joints { end, request_body, response_body } =
            self.write(events, &event.exchange, &event.attribution, Document::Event(event.reason));
        if event.reason != Reason::HttpStatus || event.exchange.method.is_empty() {
            self.write_exchange(exchanges, &event.exchange, &event.attribution);
            return;
        }
        // The rest of the two lines is the same, and to copy it costs a fraction of writing it.
        exchanges.extend_from_slice(&events[start..end]);
        let mut json = Json::within(exchanges);
        write_end(&mut self.times, &mut json, &event.exchange, event.exchange.response_end);
        json.raw(&events[end..request_body]);
        write_body(&mut json, event.exchange.request_body_bytes);
        json.raw(&events[request_body..response_body]);
        write_body(&mut json, event.exchange.response_body_bytes);
        json.raw(&events[response_body..]);
    }

    /// Writes a line: by turns what exchanges that are alike share, and what each has of its own.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        exchange: &Exchange,
        attribution: &Attribution,
        document: Document,
    ) -> Joints {
        let Self { settings, site, identity, fragments, times, community, patterns } = self;
        let (reason, pattern) = match document {
            Document::Event(reason) => (Some(reason), &mut patterns[0]),
            Document::Exchange => (settings.reason_of(exchange), &mut patterns[1]),
        };
        let category = if exchange.outcome == Outcome::TlsAlert { "network" } else { "web" };
        let outcome = outcome(exchange, reason);
        let kind = Kind { dataset: attribution.dataset.dataset, reason, outcome, category };
        let mut parts = pattern.parts(exchange, reason, attribution);
        let mut json = Json::object(out);

        times.write(&mut json, key!("@timestamp"), exchange.event_time());
        parts.shared(&mut json, |json, _| {
            json.raw(b",");
            json.raw(identity);
            json.raw(b",");
            json.raw(&fragments.kind(kind, site).event);
        });
        if let Some(start) = exchange.request_start {
            times.write(&mut json, key!("start"), start.time);
        }
        let end = json.position();
        let response_end = exchange.response_end.filter(|_| document == Document::Exchange);
        write_end(times, &mut json, exchange, response_end.or(exchange.decided));
        parts.shared(&mut json, |json, _| {
            json.raw(b"},");
            json.raw(&fragments.kind(kind, site).stream);
            if let Some((_, server)) = exchange.endpoints {
                json.raw(b",");
                json.raw(&fragments.server(server, site).host);
            }
        });

        if let Some((client, server)) = exchange.endpoints {
            write_endpoint(&mut json, key!("source"), attribution.client.endpoint);
            parts.shared(&mut json, |json, _| {
                json.raw(b",");
                json.raw(&fragments.server(server, site).destination);
                begin_network(json, exchange, server);
            });
            json.raw(&community_id_of(community, client, server));
        }
        let (mut http, mut request, mut response, mut url, mut facts) = Default::default();
        parts.shared(&mut json, |json, changes| {
            if exchange.endpoints.is_some() {
                end_network(json, exchange);
            }
            http = json.open(key!("http"));
            request = begin_request(json, exchange, site, changes);
        });
        let request_body = json.position();
        if document == Document::Exchange {
            write_body(&mut json, exchange.request_body_bytes);
        }
        parts.shared(&mut json, |json, changes| {
            json.close(request);
            response = begin_response(json, exchange, changes);
        });
        let response_body = json.position();
        if document == Document::Exchange {
            write_body(&mut json, exchange.response_body_bytes);
        }
        parts.shared(&mut json, |json, _| {
            json.close(response);
            json.close(http);
            url = json.open(key!("url"));
        });

        let in_target = write_target(&mut json, exchange, site);
        parts.shared(&mut json, |json, changes| {
            let host = host_without_port(exchange.field(exchange.host));
            changes.note(Field::Domain, json.optional_bytes(key!("domain"), host));
            json.close(url);
            let agent = json.open(key!("user_agent"));
            let name = exchange.field(exchange.user_agent);
            changes.note(Field::UserAgent, json.optional_bytes(key!("original"), name));
            json.close(agent);
            write_tls(json, exchange, changes);
            facts = begin_facts(json, exchange, attribution, site, changes);
        });
        if let Some(time) = exchange.time_to_first_byte() {
            json.number(key!("time_to_first_byte"), nanos(time));
        }
        parts.shared(&mut json, |json, _| {
            write_connection(json, exchange);
            if exchange.remarks != Remarks::default() {
                write_names(json, key!("remarks"), exchange.remarks.names());
            }
        });
        write_changes(&mut json, parts.changes.and(in_target));
        parts.shared(&mut json, |json, _| {
            json.close(facts);
            json.end_line();
        });
        if let Some(written) = parts.anew() {
            pattern.keep(&written, out, exchange, reason, attribution);
        }
        Joints { end, request_body, response_body }
    }
}

/// The Community ID of a connection, which mostly is that of the document before.
fn community_id_of(
    last: &mut Option<(Endpoint, Endpoint, [u8; community_id::LENGTH])>,
    client: Endpoint,
    server: Endpoint,
) -> [u8; community_id::LENGTH] {
    if let Some((known_client, known_server, id)) = *last
        && (known_client, known_server) == (client, server)
    {
        return id;
    }
    let id = community_id::community_id(client, server);
    *last = Some((client, server, id));
    id
}

/// The version, and `http.request` up to its body.
fn begin_request(json: &mut Json<'_>, exchange: &Exchange, site: &Site, changes: &mut Changes) -> usize {
    if exchange.version.major > 0 || exchange.version.minor > 0 {
        let version = [b'0' + exchange.version.major % 10, b'.', b'0' + exchange.version.minor % 10];
        let _digits = json.bytes(key!("version"), &version);
    }
    let request = json.open(key!("request"));
    changes.note(Field::Method, json.optional_bytes(key!("method"), exchange.field(exchange.method)));
    write_masked(json, key!("referrer"), Field::Referrer, exchange.field(exchange.referrer), site, changes);
    request
}

/// `http.response` up to its body.
fn begin_response(json: &mut Json<'_>, exchange: &Exchange, changes: &mut Changes) -> usize {
    let response = json.open(key!("response"));
    if exchange.status != 0 {
        json.number(key!("status_code"), u64::from(exchange.status));
    }
    let mime_type = exchange.field(exchange.content_type).split(|&byte| byte == b';').next().unwrap_or_default();
    changes.note(Field::ContentType, json.optional_bytes(key!("mime_type"), mime_type.trim_ascii()));
    response
}

/// The target as members of `url`, and what was changed in them.
fn write_target(json: &mut Json<'_>, exchange: &Exchange, site: &Site) -> Changes {
    let mut changes = Changes::default();
    let shown = site.masked(exchange.field(exchange.target));
    if matches!(shown, std::borrow::Cow::Owned(_)) {
        changes.masked |= 1 << Field::Url as u16;
    }
    changes.note(Field::Url, json.optional_bytes(key!("original"), &shown));
    if let Some((path, query)) = path_and_query(&shown) {
        changes.note(Field::Url, json.bytes(key!("path"), path));
        if let Some(query) = query {
            changes.note(Field::Url, json.bytes(key!("query"), query));
        }
    }
    changes
}

/// `wirespike` up to the time to the first byte.
fn begin_facts(
    json: &mut Json<'_>,
    exchange: &Exchange,
    attribution: &Attribution,
    site: &Site,
    changes: &mut Changes,
) -> usize {
    let facts = json.open(key!("wirespike"));
    if let (Some((peer, _)), false) = (exchange.endpoints, attribution.client.source == ClientSource::Peer) {
        write_endpoint(json, key!("peer"), peer);
        json.name(key!("client_source"), attribution.client.source.name());
        if attribution.client.conflicting {
            json.flag(key!("client_conflicting"), true);
        }
    }
    write_evidence(json, attribution);
    if let Some(failure) = failure(exchange.outcome) {
        json.name(key!("failure"), failure);
    }
    changes.note(Field::Reason, json.optional_bytes(key!("reason_phrase"), exchange.field(exchange.reason)));
    write_masked(json, key!("location"), Field::Location, exchange.field(exchange.location), site, changes);
    changes.note(Field::Server, json.optional_bytes(key!("server"), exchange.field(exchange.server)));
    changes.note(Field::Via, json.optional_bytes(key!("via"), exchange.field(exchange.via)));
    facts
}

fn write_masked(json: &mut Json<'_>, name: Key, field: Field, value: &[u8], site: &Site, changes: &mut Changes) {
    if value.is_empty() {
        return;
    }
    let shown = site.masked(value);
    if matches!(shown, std::borrow::Cow::Owned(_)) {
        changes.masked |= 1 << field as u16;
    }
    changes.note(field, json.bytes(name, &shown));
}

/// Names the fields that were changed.
fn write_changes(json: &mut Json<'_>, changes: Changes) {
    for (name, bits) in [(key!("sanitized"), changes.sanitized), (key!("masked"), changes.masked)] {
        if bits != 0 {
            write_names(json, name, changed(bits));
        }
    }
}

/// `agent`: which sensor, which program.
pub(crate) fn write_agent(json: &mut Json<'_>, sensor_id: &str) {
    let agent = json.open(key!("agent"));
    json.text(key!("id"), sensor_id);
    json.name(key!("type"), "wirespike");
    json.name(key!("version"), env!("CARGO_PKG_VERSION"));
    json.close(agent);
}

/// An endpoint's `ip` and, where known, `port`.
pub(crate) fn write_endpoint(json: &mut Json<'_>, name: Key, endpoint: Endpoint) {
    let object = json.open(name);
    json.address(key!("ip"), endpoint.address);
    if endpoint.port != 0 {
        json.number(key!("port"), u64::from(endpoint.port));
    }
    json.close(object);
}

fn outcome(exchange: &Exchange, reason: Option<Reason>) -> &'static str {
    match exchange.outcome {
        _ if reason.is_some() => "failure",
        Outcome::Answered if exchange.status < 400 => "success",
        Outcome::Unknown | Outcome::Pending => "unknown",
        _ => "failure",
    }
}

fn failure(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::NoResponseReset => Some("reset"),
        Outcome::NoResponseClosed => Some("closed"),
        Outcome::NoResponseTimeout => Some("timeout"),
        Outcome::MalformedRequest => Some("malformed_request"),
        Outcome::TlsAlert => Some("tls_alert"),
        Outcome::Answered | Outcome::Unknown | Outcome::Pending => None,
    }
}

/// The end of an exchange as members of `event`.
fn write_end(times: &mut TimeWriter, json: &mut Json<'_>, exchange: &Exchange, end: Option<Stamp>) {
    let Some(end) = end else { return };
    if let Some(start) = exchange.request_start {
        json.number(key!("duration"), nanos(end.time.since(start.time)));
    }
    times.write(json, key!("end"), end.time);
}

fn write_body(json: &mut Json<'_>, bytes: u64) {
    let body = json.open(key!("body"));
    json.number(key!("bytes"), bytes);
    json.close(body);
}

fn write_evidence(json: &mut Json<'_>, attribution: &Attribution) {
    let seen = attribution.dataset;
    let dataset = json.open(key!("dataset"));
    if seen.evidence != Evidence::None {
        json.name(key!("evidence"), seen.evidence.name());
    }
    if seen.learned {
        json.flag(key!("learned"), true);
    }
    if seen.proxied {
        json.flag(key!("proxied"), true);
    }
    json.close(dataset);
}

fn write_names<'n>(json: &mut Json<'_>, name: Key, names: impl Iterator<Item = &'n str>) {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return;
    }
    json.open_array(name);
    for each in names {
        json.element_text(each);
    }
    json.close_array();
}

fn changed(bits: u16) -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().filter(move |(field, _)| bits >> *field as u16 & 1 == 1).map(|(_, name)| name)
}

#[cfg(test)]
#[path = "ecs_tests.rs"]
mod tests;
