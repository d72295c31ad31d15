//! What documents have in common is copied, not written again.
//!
//! In: the document at hand, and what earlier ones were like. Out: its parts, copied where that is possible. Promises: the
//! documents are byte for byte those of a writer that has written nothing before, which is the plain form that the tests
//! compare with; what is kept is bounded: some dozen kinds of document, one server, and one document for events and for
//! exchanges each.
//!
//! Three measures, all at this place: [`Pattern`] copies nine parts of the previous document if the two exchanges are alike (the
//! errors of a scan differ in times, port and target; the other nine tenths of their documents are these parts); [`Prepared`]
//! keeps the parts that depend on the kind of document and on the server alone; [`Joints`] lets an exchange's document be
//! copied from that of its event.

use super::super::json::{Json, key};
use super::fields::{Changes, write_endpoint};
use crate::address::Endpoint;
use crate::event::{Attribution, ClientSource, Dataset, DatasetEvidence, Reason, Site};
use crate::exchange::{Exchange, Span};

/// Parts of a document that exchanges which are alike share.
const SHARED: usize = 9;

/// A document's shared parts, and the exchange they were written of.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    /// Nothing is alike before the first.
    exchange: Option<Exchange>,
    reason: Option<Reason>,
    dataset: DatasetEvidence,
    /// The shared parts one after the other, and where each ends.
    text: Vec<u8>,
    ends: [usize; SHARED],
    /// What was changed in them.
    changes: Changes,
}

/// One document being written: shared parts are copied from a pattern, or written so that they can be copied later.
pub(super) struct Parts<'p> {
    /// The pattern the exchange is alike to.
    pattern: Option<&'p Pattern>,
    /// Where each part was written.
    written: [(usize, usize); SHARED],
    next: usize,
    /// What was changed in shared parts.
    pub(super) changes: Changes,
}

impl Pattern {
    /// Begins a document.
    pub(super) fn parts(&self, exchange: &Exchange, reason: Option<Reason>, attribution: &Attribution) -> Parts<'_> {
        let fits = self.exchange.as_ref().is_some_and(|known| {
            is_plain(exchange, attribution)
                && (self.reason, self.dataset) == (reason, attribution.dataset)
                && are_alike(known, exchange)
        });
        let (pattern, changes) = if fits { (Some(self), self.changes) } else { (None, Changes::default()) };
        Parts { pattern, written: [(0, 0); SHARED], next: 0, changes }
    }

    /// Keeps the shared parts of the document of an exchange, which was written anew.
    pub(super) fn keep(
        &mut self,
        written: &Written,
        out: &[u8],
        exchange: &Exchange,
        reason: Option<Reason>,
        attribution: &Attribution,
    ) {
        if !is_plain(exchange, attribution) {
            return;
        }
        self.exchange.get_or_insert_default().copy_from(exchange);
        (self.reason, self.dataset) = (reason, attribution.dataset);
        self.changes = written.changes;
        self.text.clear();
        for (end, &(from, to)) in self.ends.iter_mut().zip(&written.places) {
            self.text.extend_from_slice(&out[from..to]);
            *end = self.text.len();
        }
    }
}

/// A document that was written anew.
pub(super) struct Written {
    places: [(usize, usize); SHARED],
    changes: Changes,
}

impl Parts<'_> {
    /// The next part that documents share.
    #[inline]
    pub(super) fn shared(&mut self, json: &mut Json<'_>, write: impl FnOnce(&mut Json<'_>, &mut Changes)) {
        match self.pattern {
            Some(pattern) => {
                let start = self.next.checked_sub(1).map_or(0, |before| pattern.ends[before]);
                json.raw(&pattern.text[start..pattern.ends[self.next]]);
            }
            None => {
                let start = json.position();
                write(json, &mut self.changes);
                self.written[self.next] = (start, json.position());
            }
        }
        self.next += 1;
    }

    /// What there is to keep, if the document was written anew.
    pub(super) fn anew(self) -> Option<Written> {
        self.pattern.is_none().then_some(Written { places: self.written, changes: self.changes })
    }
}

/// Whether a document's objects all hold something whatever else differs, and whether nothing but the connection says who the
/// client was. An object that turns out empty is taken back, and then parts do not stand by themselves.
fn is_plain(exchange: &Exchange, attribution: &Attribution) -> bool {
    exchange.endpoints.is_some()
        && !exchange.method.is_empty()
        && !exchange.target.is_empty()
        && exchange.status != 0
        && exchange.time_to_first_byte().is_some()
        && attribution.client.source == ClientSource::Peer
}

/// Whether two exchanges have the same but for times, packets, client, target, sizes and place in the connection.
fn are_alike(known: &Exchange, exchange: &Exchange) -> bool {
    // All fields are named, so that a new one cannot be forgotten here.
    let Exchange {
        text: _,
        endpoints,
        encapsulation,
        protocol,
        stream: _,
        position: _,
        outcome,
        status,
        version,
        remarks,
        request_start: _,
        request_end: _,
        response_start: _,
        response_end: _,
        decided: _,
        request_body_bytes: _,
        response_body_bytes: _,
        gap_bytes,
        disagreeing_bytes,
        method,
        target: _,
        host,
        user_agent,
        referrer,
        content_type,
        location,
        server,
        via,
        reason,
        field_order: _,
        body_start: _,
        forwarded: _,
        proxied_source: _,
        server_name,
        tls,
    } = exchange;
    let server_of = |exchange: &Exchange| exchange.endpoints.map(|(_, server)| server);
    let is_same = |one: Span, other: Span| known.field(one) == exchange.field(other);
    known.status == *status
        && known.protocol == *protocol
        && known.outcome == *outcome
        && known.version == *version
        && known.remarks == *remarks
        && known.encapsulation == *encapsulation
        && (known.gap_bytes, known.disagreeing_bytes) == (*gap_bytes, *disagreeing_bytes)
        && known.tls == *tls
        && server_of(known) == endpoints.map(|(_, server)| server)
        && [
            (known.method, *method),
            (known.host, *host),
            (known.user_agent, *user_agent),
            (known.referrer, *referrer),
            (known.content_type, *content_type),
            (known.location, *location),
            (known.server, *server),
            (known.via, *via),
            (known.reason, *reason),
            (known.server_name, *server_name),
        ]
        .into_iter()
        .all(|(one, other)| is_same(one, other))
}

/// What decides the constant part of `event`, and `data_stream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartsKind {
    pub(super) dataset: Dataset,
    pub(super) reason: Option<Reason>,
    pub(super) outcome: &'static str,
    pub(super) category: &'static str,
}

/// `event` without its end, and `data_stream`.
#[derive(Debug)]
pub(super) struct KindParts {
    kind: PartsKind,
    pub(super) event: Vec<u8>,
    pub(super) stream: Vec<u8>,
}

/// `host` and `destination` of a server.
#[derive(Debug)]
pub(super) struct ServerParts {
    server: Endpoint,
    pub(super) host: Vec<u8>,
    pub(super) destination: Vec<u8>,
}

/// The parts known so far.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    kinds: Vec<KindParts>,
    server: Option<ServerParts>,
}

/// What `write` puts into an object, without the brace that opens it.
pub(super) fn members(write: impl FnOnce(&mut Json<'_>)) -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut Json::object(&mut text));
    text.remove(0);
    text
}

impl Prepared {
    /// The parts that a kind of document has. There are no more than some dozen kinds.
    pub(super) fn kind(&mut self, kind: PartsKind, site: &Site) -> &KindParts {
        let index = self.kinds.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            self.kinds.push(KindParts::new(kind, site));
            self.kinds.len() - 1
        });
        &self.kinds[index]
    }

    /// The parts that tell the server; those of the last server are kept.
    pub(super) fn server(&mut self, server: Endpoint, site: &Site) -> &ServerParts {
        if self.server.as_ref().is_some_and(|known| known.server != server) {
            self.server = None;
        }
        self.server.get_or_insert_with(|| ServerParts::new(server, site))
    }
}

impl KindParts {
    fn new(kind: PartsKind, site: &Site) -> Self {
        let PartsKind { dataset, reason, outcome, category } = kind;
        let name = if reason.is_some() { dataset.name() } else { dataset.access_name() };
        let event = members(|json| {
            json.open(key!("event"));
            json.name(key!("kind"), "event");
            for (member, value) in
                [(key!("category"), category), (key!("type"), if reason.is_some() { "error" } else { "access" })]
            {
                json.open_array(member);
                json.element_text(value);
                json.close_array();
            }
            json.name(key!("outcome"), outcome);
            if let Some(reason) = reason {
                json.name(key!("reason"), reason.name());
            }
            json.name(key!("dataset"), name);
            if let Some((module, _)) = name.split_once('.') {
                json.name(key!("module"), module);
            }
        });
        let stream = members(|json| {
            let stream = json.open(key!("data_stream"));
            json.name(key!("type"), "logs");
            json.name(key!("dataset"), name);
            json.text(key!("namespace"), &site.namespace);
            json.close(stream);
        });
        Self { kind, event, stream }
    }
}

impl ServerParts {
    fn new(server: Endpoint, site: &Site) -> Self {
        let host = members(|json| {
            let host = json.open(key!("host"));
            match site.server_name(server.address) {
                Some(name) => json.text(key!("name"), name),
                None => json.address(key!("name"), server.address),
            }
            json.close(host);
        });
        let destination = members(|json| write_endpoint(json, key!("destination"), server));
        Self { server, host, destination }
    }
}

/// Where in the output an event was written, and the places in it where the line of its whole exchange has more.
pub(super) struct Joints {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) request_body: usize,
    pub(super) response_body: usize,
}

impl Joints {
    /// The pieces of the event between these places.
    pub(super) fn cut<'o>(&self, out: &'o [u8]) -> [&'o [u8]; 4] {
        let Self { start, end, request_body, response_body } = *self;
        [(start, end), (end, request_body), (request_body, response_body), (response_body, out.len())]
            .map(|(from, to)| out.get(from..to).unwrap_or_default())
    }
}
