//! The members of an exchange's document, object by object.
//!
//! In: an exchange. Out: members of `event`, `http`, `url` and `wirespike`, and a note of each member whose bytes were
//! changed. Promises: absent fields are left out; credentials are masked before anything is written.

use super::super::json::{Json, Key, TimeWriter, Written, key};
use crate::{
    address::Endpoint,
    capture::Stamp,
    event::{Attribution, ClientSource, Evidence, Reason, Site},
    exchange::{Exchange, Outcome, Protocol, path_and_query},
    time::nanos,
};

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
    Tls,
}

const FIELDS: [(Field, &str); 12] = [
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
    (Field::Tls, "tls"),
];

/// The fields that were changed in one document. Each field has one bit.
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

    pub(super) fn and(self, other: Self) -> Self {
        Self { sanitized: self.sanitized | other.sanitized, masked: self.masked | other.masked }
    }
}

/// Writes the version, and `http.request` up to its body.
pub(super) fn begin_request(json: &mut Json<'_>, exchange: &Exchange, site: &Site, changes: &mut Changes) -> usize {
    if exchange.version.major > 0 || exchange.version.minor > 0 {
        let version = [b'0' + exchange.version.major % 10, b'.', b'0' + exchange.version.minor % 10];
        // HTTP/2 has no minor versions (RFC 9113, section 3).
        let shown = if exchange.protocol == Protocol::Http2 { &version[..1] } else { &version };
        let _digits = json.bytes(key!("version"), shown);
    }
    let request = json.open(key!("request"));
    changes.note(Field::Method, json.optional_bytes(key!("method"), exchange.field(exchange.method)));
    write_masked(json, key!("referrer"), Field::Referrer, exchange.field(exchange.referrer), site, changes);
    request
}

/// Writes `http.response` up to its body.
pub(super) fn begin_response(json: &mut Json<'_>, exchange: &Exchange, changes: &mut Changes) -> usize {
    let response = json.open(key!("response"));
    if exchange.status != 0 {
        json.number(key!("status_code"), u64::from(exchange.status));
    }
    let mime_type = exchange.field(exchange.content_type).split(|&byte| byte == b';').next().unwrap_or_default();
    changes.note(Field::ContentType, json.optional_bytes(key!("mime_type"), mime_type.trim_ascii()));
    response
}

/// Writes the target as members of `url`, and returns the changes in them.
pub(super) fn write_target(json: &mut Json<'_>, exchange: &Exchange, site: &Site) -> Changes {
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

/// Writes `wirespike` up to the time to the first byte.
pub(super) fn begin_facts(
    json: &mut Json<'_>,
    exchange: &Exchange,
    attribution: &Attribution,
    site: &Site,
    changes: &mut Changes,
) -> usize {
    let facts = json.open(key!("wirespike"));
    json.name(key!("grade"), exchange.grade.name());
    if let (Some((peer, _)), false) = (exchange.endpoints, attribution.client.source == ClientSource::Peer) {
        write_endpoint(json, key!("peer"), peer);
        json.name(key!("client_source"), attribution.client.source.name());
    }
    if attribution.client.conflicting {
        json.flag(key!("client_conflicting"), true);
    }
    if attribution.client.unreadable {
        json.flag(key!("client_unreadable"), true);
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

pub(super) fn write_masked(
    json: &mut Json<'_>,
    name: Key,
    field: Field,
    value: &[u8],
    site: &Site,
    changes: &mut Changes,
) {
    if value.is_empty() {
        return;
    }
    let shown = site.masked(value);
    if matches!(shown, std::borrow::Cow::Owned(_)) {
        changes.masked |= 1 << field as u16;
    }
    changes.note(field, json.bytes(name, &shown));
}

/// Writes the names of the fields that were changed.
pub(super) fn write_changes(json: &mut Json<'_>, changes: Changes) {
    for (name, bits) in [(key!("sanitized"), changes.sanitized), (key!("masked"), changes.masked)] {
        if bits != 0 {
            write_names(json, name, changed(bits));
        }
    }
}

/// Writes an endpoint's `ip` and, if known, its `port`.
pub(super) fn write_endpoint(json: &mut Json<'_>, name: Key, endpoint: Endpoint) {
    let object = json.open(name);
    json.address(key!("ip"), endpoint.address);
    if endpoint.port != 0 {
        json.number(key!("port"), u64::from(endpoint.port));
    }
    json.close(object);
}

pub(super) fn outcome(exchange: &Exchange, reason: Option<Reason>) -> &'static str {
    match exchange.outcome {
        _ if reason.is_some() => "failure",
        Outcome::Answered if exchange.status < 400 && exchange.grpc_status.is_none_or(|status| status == 0) => {
            "success"
        }
        Outcome::Unknown | Outcome::Pending => "unknown",
        _ => "failure",
    }
}

pub(super) fn failure(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::NoResponseReset => Some("reset"),
        Outcome::NoResponseClosed => Some("closed"),
        Outcome::NoResponseTimeout => Some("timeout"),
        Outcome::MalformedRequest => Some("malformed_request"),
        Outcome::TlsAlert => Some("tls_alert"),
        Outcome::Answered | Outcome::Unknown | Outcome::Pending => None,
    }
}

/// Writes the end of an exchange as members of `event`.
pub(super) fn write_end(times: &mut TimeWriter, json: &mut Json<'_>, exchange: &Exchange, end: Option<Stamp>) {
    let Some(end) = end else { return };
    if let Some(start) = exchange.request_start {
        json.number(key!("duration"), nanos(end.time.since(start.time)));
    }
    times.write(json, key!("end"), end.time);
}

pub(super) fn write_body(json: &mut Json<'_>, bytes: u64) {
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

pub(super) fn write_names<'n>(json: &mut Json<'_>, name: Key, names: impl Iterator<Item = &'n str>) {
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
