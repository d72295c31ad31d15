//! Finds the server software, and so the log, that an exchange belongs to.
//!
//! In: the traits of a response that depend on its server. Out: a [`Dataset`] and the evidence that decided it. Promises:
//! the same responses in the same order give the same datasets; memory is bounded by the number of endpoints.
//!
//! The evidence is checked in this order. The exchange's own evidence goes before the evidence of earlier exchanges with the
//! same endpoint:
//!
//! | evidence | how it is read |
//! |---|---|
//! | configuration | the first [`DatasetRule`] that matches |
//! | stock error page | a page of one server under another's `Server` header: the header is a proxy's, the page is from behind it |
//! | `Server` header | the table in [`by_server_header`]; a proxy's name says nothing about the server behind it |
//! | stock error page | without a telling `Server` header: the table in [`by_error_page`] |
//! | header order | without either: where `Date`, `Content-Type` and `Content-Length` stand, see [`by_header_order`] |
//!
//! A `Via` header or a proxy's name in `Server` sets [`DatasetEvidence::proxied`].

use hashbrown::{HashTable, hash_table::Entry};

use super::{Dataset, DatasetRule};
use crate::{
    address::Endpoint,
    exchange::{Exchange, FieldOrder},
    keyed_hash::KeyedState,
};

/// The evidence that decided a dataset, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Evidence {
    /// Nothing is known of the server.
    #[default]
    None,
    /// The order of the response's header fields.
    HeaderOrder,
    /// A stock error page.
    ErrorPage,
    /// The `Server` header.
    ServerHeader,
    /// A rule in the configuration.
    Configuration,
}

impl Evidence {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::HeaderOrder => "header_order",
            Self::ErrorPage => "error_page",
            Self::ServerHeader => "server_header",
            Self::Configuration => "configuration",
        }
    }
}

/// A dataset and the evidence for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatasetEvidence {
    /// The dataset.
    pub dataset: Dataset,
    /// The evidence that decided it.
    pub evidence: Evidence,
    /// Whether earlier responses of the endpoint decided, and not this response.
    pub learned: bool,
    /// Whether a proxy answered instead of the server, or passed the response on.
    pub proxied: bool,
}

/// The evidence from one response about the software behind its server's endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerFingerprint {
    server: Endpoint,
    judgement: Judgement,
}

/// The conclusion from one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Judgement {
    dataset: Dataset,
    evidence: Evidence,
    proxied: bool,
}

/// The traits of a response that differ from server to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look<'a> {
    server: &'a [u8],
    via: bool,
    page: &'a [u8],
    content_type: &'a [u8],
    order: FieldOrder,
}

impl ServerFingerprint {
    /// Judges a response. Returns `None` when the response gives no evidence.
    pub fn of(exchange: &Exchange) -> Option<Self> {
        let (_, server) = exchange.endpoints?;
        Look::at(exchange).judge().map(|judgement| Self { server, judgement })
    }
}

impl<'a> Look<'a> {
    fn at(exchange: &'a Exchange) -> Self {
        Self {
            server: exchange.field(exchange.server),
            via: !exchange.via.is_empty(),
            page: exchange.field(exchange.body_start),
            content_type: exchange.field(exchange.content_type),
            order: exchange.field_order,
        }
    }

    fn judge(&self) -> Option<Judgement> {
        let header = by_server_header(self.server);
        let (dataset, evidence, proxied) = match header {
            Named::Server(named) => match by_error_page(self.page) {
                Some(behind) if behind != named && behind != Dataset::Http => (behind, Evidence::ErrorPage, true),
                _ => (named, Evidence::ServerHeader, self.via),
            },
            Named::Proxy | Named::Nobody => {
                let proxied = self.via || header == Named::Proxy;
                if let Some(dataset) = by_error_page(self.page) {
                    (dataset, Evidence::ErrorPage, proxied)
                } else {
                    (by_header_order(self.order, self.content_type)?, Evidence::HeaderOrder, proxied)
                }
            }
        };
        Some(Judgement { dataset, evidence, proxied })
    }
}

/// Judges responses. It keeps the judgement of the last response and uses it again while the traits stay the same: most
/// errors of one server look alike.
#[derive(Debug, Default)]
pub(super) struct FingerprintReader {
    /// The three texts of the last response, one after the other.
    texts: Vec<u8>,
    lengths: (usize, usize),
    rest: (bool, FieldOrder),
    judgement: Option<Judgement>,
}

impl FingerprintReader {
    /// Returns the same as [`ServerFingerprint::of`].
    pub(super) fn read(&mut self, exchange: &Exchange) -> Option<ServerFingerprint> {
        let (_, server) = exchange.endpoints?;
        let look = Look::at(exchange);
        if !self.is_last(&look) {
            self.judgement = look.judge();
            self.texts.clear();
            [look.server, look.page, look.content_type].iter().for_each(|text| self.texts.extend_from_slice(text));
            self.lengths = (look.server.len(), look.page.len());
            self.rest = (look.via, look.order);
        }
        self.judgement.map(|judgement| ServerFingerprint { server, judgement })
    }

    fn is_last(&self, look: &Look<'_>) -> bool {
        let Some((server, others)) = self.texts.split_at_checked(self.lengths.0) else { return false };
        let Some((page, content_type)) = others.split_at_checked(self.lengths.1) else { return false };
        let (via, order) = self.rest;
        *look == Look { server, via, page, content_type, order }
    }
}

/// What was learned of each server endpoint.
#[derive(Debug)]
pub(super) struct Learned {
    endpoints: HashTable<ServerFingerprint>,
    max_endpoints: usize,
    /// The fingerprint of the endpoint that was updated last. The next response mostly has the same fingerprint.
    recent: Option<ServerFingerprint>,
}

impl Learned {
    pub(super) fn new(max_endpoints: usize) -> Self {
        Self { endpoints: HashTable::new(), max_endpoints, recent: None }
    }

    /// Keeps a fingerprint unless a stronger one is known for the endpoint. Returns false when the table is full.
    #[inline]
    pub(super) fn learn(&mut self, seen: &ServerFingerprint) -> bool {
        self.recent == Some(*seen) || self.keep(seen)
    }

    fn keep(&mut self, seen: &ServerFingerprint) -> bool {
        let full = self.endpoints.len() >= self.max_endpoints;
        match self.endpoints.entry(hash(seen.server), |known| known.server == seen.server, |known| hash(known.server)) {
            Entry::Occupied(mut known) => {
                if seen.judgement.evidence >= known.get().judgement.evidence {
                    *known.get_mut() = *seen;
                }
                self.recent = Some(*known.get());
                true
            }
            Entry::Vacant(_) if full => false,
            Entry::Vacant(place) => {
                place.insert(*seen);
                self.recent = Some(*seen);
                true
            }
        }
    }

    #[inline]
    fn of(&self, server: Endpoint) -> Option<&ServerFingerprint> {
        if let Some(recent) = self.recent.as_ref().filter(|recent| recent.server == server) {
            return Some(recent);
        }
        self.endpoints.find(hash(server), |known| known.server == server)
    }
}

/// Hashes an endpoint. Whoever can send segments can pretend to be any server, so the hash is keyed.
fn hash(server: Endpoint) -> u64 {
    let (high, low) = server.address.halves();
    let mut bytes = [0; 24];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip([high, low, u64::from(server.port)]) {
        *place = word.to_le_bytes();
    }
    KeyedState::secret().hash(&bytes)
}

/// Decides the dataset of an exchange: by the configuration, else by the exchange's own evidence, else by earlier evidence
/// of its endpoint.
pub(super) fn decide(
    rules: &[DatasetRule],
    learned: &Learned,
    exchange: &Exchange,
    own: Option<ServerFingerprint>,
    server: Endpoint,
) -> DatasetEvidence {
    if let Some(rule) = rules.iter().find(|rule| matches(rule, exchange, server)) {
        let proxied = !exchange.via.is_empty();
        return DatasetEvidence { dataset: rule.dataset, evidence: Evidence::Configuration, learned: false, proxied };
    }
    let known = learned.of(server);
    let known = known.map(|known| known.judgement);
    let (decisive, is_learned) = match (own.map(|own| own.judgement), known) {
        // The order of headers is weak evidence. A `Server` header or an error page of an earlier response is stronger.
        (Some(own), Some(known)) if own.evidence == Evidence::HeaderOrder && known.evidence > own.evidence => {
            (Some(known), true)
        }
        (Some(own), _) => (Some(own), false),
        (None, known) => (known, true),
    };
    decisive.map_or_else(DatasetEvidence::default, |seen| DatasetEvidence {
        dataset: seen.dataset,
        evidence: seen.evidence,
        learned: is_learned,
        proxied: seen.proxied,
    })
}

fn matches(rule: &DatasetRule, exchange: &Exchange, server: Endpoint) -> bool {
    rule.network.is_none_or(|network| network.contains(&server.address.to_ip()))
        && rule.port.is_none_or(|port| port == server.port)
        && rule
            .host
            .as_ref()
            .is_none_or(|host| host_without_port(exchange.field(exchange.host)).eq_ignore_ascii_case(host.as_bytes()))
}

/// Removes the port from a host: `www.example:8080` → `www.example`; `[::1]:80` → `[::1]`.
pub(crate) fn host_without_port(host: &[u8]) -> &[u8] {
    let host = host.trim_ascii();
    match memchr::memrchr(b':', host) {
        Some(colon)
            if host[colon + 1..].iter().all(u8::is_ascii_digit) && memchr::memchr(b']', &host[colon..]).is_none() =>
        {
            let name = &host[..colon];
            // An IPv6 address without brackets contains colons but has no port.
            if memchr::memchr(b':', name).is_some() && name.first() != Some(&b'[') { host } else { name }
        }
        _ => host,
    }
}

/// What a `Server` header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// A server.
    Server(Dataset),
    /// A proxy, which replaces the header with its own name.
    Proxy,
    /// Nothing: the header is absent or empty.
    Nobody,
}

/// Servers by the beginning of their `Server` header, in lower case. The first entry that matches decides.
const SERVERS: &[(&[u8], Dataset)] = &[
    (b"apache-coyote", Dataset::Tomcat),
    (b"apache tomcat", Dataset::Tomcat),
    (b"apache-tomcat", Dataset::Tomcat),
    (b"tomcat", Dataset::Tomcat),
    (b"apache", Dataset::Apache),
    (b"nginx", Dataset::Nginx),
    (b"openresty", Dataset::Nginx),
    (b"tengine", Dataset::Nginx),
    (b"freenginx", Dataset::Nginx),
    (b"angie", Dataset::Nginx),
    (b"microsoft-iis", Dataset::Iis),
    // `http.sys`, the kernel part of IIS, answers requests that cannot be parsed. Their errors are in IIS's HTTPERR log.
    (b"microsoft-httpapi", Dataset::Iis),
];

/// Proxies that replace the `Server` header with their own name, by the beginning of that name, in lower case.
const PROXIES: &[&[u8]] = &[
    b"akamaighost",
    b"ats",
    b"apachetrafficserver",
    b"awselb",
    b"bigip",
    b"big-ip",
    b"cloudflare",
    b"cloudfront",
    b"envoy",
    b"fastly",
    b"haproxy",
    b"istio-envoy",
    b"squid",
    b"sucuri",
    b"traefik",
    b"varnish",
];

fn by_server_header(header: &[u8]) -> Named {
    let header = header.trim_ascii();
    if header.is_empty() {
        return Named::Nobody;
    }
    // A name must end before a byte that is not a letter. Otherwise `apache` would also match `apachetrafficserver`.
    let starts = |name: &[u8]| {
        header.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && !header.get(name.len()).is_some_and(u8::is_ascii_alphabetic)
    };
    if let Some(&(_, dataset)) = SERVERS.iter().find(|(name, _)| starts(name)) {
        Named::Server(dataset)
    } else if PROXIES.iter().any(|name| starts(name)) {
        Named::Proxy
    } else {
        Named::Server(Dataset::Http)
    }
}

/// Finds the server whose stock error page begins like this.
///
/// | server | its page |
/// |---|---|
/// | Apache Tomcat | title `HTTP Status …`, before version 8.5 `Apache Tomcat/… - Error report` |
/// | Apache httpd | the HTML 2.0 document type, since 2.4.60 HTML 4.01; tags in lower case, a line each |
/// | nginx and kin | `<html>`, `<head><title>404 …`, and the heading in `<center><h1>` |
/// | IIS | XHTML 1.0 Strict and title `404 - …`; `IIS … Detailed Error`; ASP.NET's titles; http.sys's HTML 4.01 |
/// | `http.error` | lighttpd's XML declaration, HAProxy's page without a title |
fn by_error_page(page: &[u8]) -> Option<Dataset> {
    let Some((before, title)) = split_at_title(page) else {
        return page.starts_with(b"<html><body><h1>").then_some(Dataset::Http);
    };
    let has_status = title.first_chunk::<3>().is_some_and(|status| status.iter().all(u8::is_ascii_digit));
    if title.starts_with(b"HTTP Status ") || title.starts_with(b"Apache Tomcat/") {
        Some(Dataset::Tomcat)
    } else if before.starts_with(b"<!DOCTYPE HTML PUBLIC \"-//") && before.ends_with(b">\n<html><head>\n") && has_status
    {
        Some(Dataset::Apache)
    } else if before.starts_with(b"<?xml ") {
        Some(Dataset::Http)
    } else if before.starts_with(b"<html>") && has_status && has_centred_heading(title) {
        Some(Dataset::Nginx)
    } else {
        let xhtml = before.starts_with(b"<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\"");
        let kernel = before.starts_with(b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"");
        let stock = xhtml && has_status && title[3..].starts_with(b" - ");
        let framework = [&b"IIS "[..], b"The resource cannot be found.</title>", b"Runtime Error</title>"];
        let named = framework.iter().any(|text| title.starts_with(text));
        (stock || named || kernel && before.ends_with(b"<HTML><HEAD>")).then_some(Dataset::Iis)
    }
}

fn has_centred_heading(page: &[u8]) -> bool {
    memchr::memchr_iter(b'<', page).any(|at| page[at..].starts_with(b"<center><h1>"))
}

/// Splits a page into the part before `<title>` and the part after it.
fn split_at_title(page: &[u8]) -> Option<(&[u8], &[u8])> {
    const TITLE: &[u8] = b"<title>";
    memchr::memchr_iter(b'<', page)
        .find(|&at| page.get(at..at + TITLE.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(TITLE)))
        .map(|at| (&page[..at], &page[at + TITLE.len()..]))
}

/// Finds the server by the order of `Date`, `Content-Type` and `Content-Length`. The `Server` header is not counted.
///
/// | order | server | and, since others share the order |
/// |---|---|---|
/// | `Date`, `Content-Type`, `Content-Length` | nginx | first of all, then `Connection`, or the type is bare `text/html` |
/// | `Date`, `Content-Length`, `Content-Type` | Apache httpd | `Date` first and the type last, and `Accept-Ranges` or charset ISO-8859-1 |
/// | `Content-Type`, `Content-Length`, `Date` | Apache Tomcat | `Content-Language` between, or `Accept-Ranges` first |
/// | `Content-Type`, `Date`, `Content-Length` | IIS | the length last but for `Connection`, and `X-Powered-By` or bare `text/html` |
///
/// nginx and Apache write `Transfer-Encoding` in the place of a missing `Content-Length`, so it is used instead.
fn by_header_order(order: FieldOrder, content_type: &[u8]) -> Option<Dataset> {
    let place = |place: u8| (place != 0).then_some(place);
    let last = order.fields;
    let (date, kind) = (place(order.date)?, place(order.content_type)?);
    let is_bare = content_type.eq_ignore_ascii_case(b"text/html");
    if date == 1 {
        let length = place(order.content_length).or_else(|| place(order.transfer_encoding))?;
        if kind == 2 && length == 3 {
            return (order.connection == 4 || is_bare).then_some(Dataset::Nginx);
        }
        let own = order.accept_ranges != 0 || content_type.ends_with(b"charset=iso-8859-1");
        return (length < kind && kind == last && own).then_some(Dataset::Apache);
    }
    let length = place(order.content_length)?;
    if kind < length && length < date {
        let language = kind < order.content_language && order.content_language < length;
        return (language || order.accept_ranges == 1).then_some(Dataset::Tomcat);
    }
    let ends = if order.connection == last { length + 1 == last } else { length == last };
    let own = place(order.x_powered_by).is_some_and(|at| at < date) || is_bare;
    (kind < date && date < length && ends && own).then_some(Dataset::Iis)
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
