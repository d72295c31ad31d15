//! Copies the parts that documents have in common, instead of writing them again.
//!
//! In: an exchange, and what the last documents were like. Out: parts of its document, copied where a copy is right. Promises: a
//! document is byte for byte the one that a new writer makes. A new writer has nothing to copy: it is the plain form, and the
//! tests compare with it. The memory is bounded: some dozen kinds of document, one server, and two documents.
//!
//! There are three measures, from the largest gain to the smallest:
//!
//! - [`Previous`] copies nine parts of the previous document if both exchanges agree in what those parts say. The errors of a
//!   scan differ in times, port and target; the other nine tenths of their documents are these parts.
//! - [`Joints`] are the places where an exchange's document differs from that of its event, so that one is copied from the other.
//! - [`Prepared`] keeps the parts that depend on nothing but the kind of document or the server, for exchanges that do not agree
//!   with the previous one.

use super::super::json::{Json, key};
use super::fields::{Changes, write_endpoint};
use crate::address::Endpoint;
use crate::event::{Attribution, ClientSource, Dataset, DatasetEvidence, Reason, Site};
use crate::exchange::{Exchange, Span};

/// Parts of a document that can be copied.
const PARTS: usize = 9;

/// The parts of the previous document that can be copied, and what they were written of.
#[derive(Debug, Default)]
pub(super) struct Previous {
    /// `None` before the first document.
    exchange: Option<Exchange>,
    reason: Option<Reason>,
    dataset: DatasetEvidence,
    /// The parts one after the other, and where each ends.
    text: Vec<u8>,
    ends: [usize; PARTS],
    /// The fields in these parts that were masked or sanitized.
    changes: Changes,
}

/// The parts of one document: copied from the previous document, or written and noted so that the next document can copy them.
pub(super) struct Parts<'p> {
    /// The document to copy from, if its parts are right.
    previous: Option<&'p Previous>,
    /// Where each part was written.
    written: [(usize, usize); PARTS],
    next: usize,
    /// The fields in the parts so far that were masked or sanitized.
    pub(super) changes: Changes,
}

impl Previous {
    /// Begins a document.
    pub(super) fn parts(&self, exchange: &Exchange, reason: Option<Reason>, attribution: &Attribution) -> Parts<'_> {
        let is_right = self.exchange.as_ref().is_some_and(|known| {
            has_fixed_parts(exchange, attribution)
                && (self.reason, self.dataset) == (reason, attribution.dataset)
                && agree(known, exchange)
        });
        let (previous, changes) = if is_right { (Some(self), self.changes) } else { (None, Changes::default()) };
        Parts { previous, written: [(0, 0); PARTS], next: 0, changes }
    }

    /// Takes the parts of a document that was written without a copy. `out` holds the document.
    pub(super) fn keep(
        &mut self,
        written: &WrittenParts,
        out: &[u8],
        exchange: &Exchange,
        reason: Option<Reason>,
        attribution: &Attribution,
    ) {
        if !has_fixed_parts(exchange, attribution) {
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

/// Where the parts of a document stand that was written without a copy.
pub(super) struct WrittenParts {
    places: [(usize, usize); PARTS],
    changes: Changes,
}

impl Parts<'_> {
    /// Appends the next part: copies it, or lets `write` write it.
    #[inline]
    pub(super) fn part(&mut self, json: &mut Json<'_>, write: impl FnOnce(&mut Json<'_>, &mut Changes)) {
        match self.previous {
            Some(previous) => {
                let start = self.next.checked_sub(1).map_or(0, |before| previous.ends[before]);
                json.raw(&previous.text[start..previous.ends[self.next]]);
            }
            None => {
                let start = json.position();
                write(json, &mut self.changes);
                self.written[self.next] = (start, json.position());
            }
        }
        self.next += 1;
    }

    /// The parts that the next document can copy. `None` where they were copied themselves.
    pub(super) fn written(self) -> Option<WrittenParts> {
        self.previous.is_none().then_some(WrittenParts { places: self.written, changes: self.changes })
    }
}

/// Whether each part of the exchange's document stands by itself. An object without members is left out, so a part that opens an
/// object needs a member that is always there.
fn has_fixed_parts(exchange: &Exchange, attribution: &Attribution) -> bool {
    exchange.endpoints.is_some()
        && !exchange.method.is_empty()
        && !exchange.target.is_empty()
        && exchange.status != 0
        && exchange.time_to_first_byte().is_some()
        && attribution.client.source == ClientSource::Peer
        && !attribution.client.conflicting
        && !attribution.client.unreadable
}

/// Whether two exchanges agree in all that the parts say: in everything but times, packets, client, target, sizes and place in the
/// connection.
fn agree(known: &Exchange, exchange: &Exchange) -> bool {
    // The pattern names all fields, so that a new field cannot be forgotten here.
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
        grade,
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
        tls,
        tls_failure,
        grpc_status,
        stream_end,
        features: _,
        credentials: _,
        announced_bytes: _,
        user: _,
    } = exchange;
    let server_of = |exchange: &Exchange| exchange.endpoints.map(|(_, server)| server);
    let is_same = |one: Span, other: Span| known.field(one) == exchange.field(other);
    known.status == *status
        && known.protocol == *protocol
        && known.outcome == *outcome
        && known.version == *version
        && (known.remarks, known.grade) == (*remarks, *grade)
        && known.encapsulation == *encapsulation
        && (known.gap_bytes, known.disagreeing_bytes) == (*gap_bytes, *disagreeing_bytes)
        && (known.tls_failure, known.grpc_status) == (*tls_failure, *grpc_status)
        && known.stream_end == *stream_end
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
        ]
        .into_iter()
        .all(|(one, other)| is_same(one, other))
}

/// What the constant part of `event` and `data_stream` depend on.
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

/// Parts that depend on the kind of document alone, or on the server alone.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    kinds: Vec<KindParts>,
    server: Option<ServerParts>,
}

/// The members that `write` puts into an object, without the brace that opens it.
pub(super) fn members(write: impl FnOnce(&mut Json<'_>)) -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut Json::object(&mut text));
    text.remove(0);
    text
}

impl Prepared {
    /// The parts of a kind of document. There are some dozen kinds at most.
    pub(super) fn kind(&mut self, kind: PartsKind, site: &Site) -> &KindParts {
        let index = self.kinds.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            self.kinds.push(KindParts::new(kind, site));
            self.kinds.len() - 1
        });
        &self.kinds[index]
    }

    /// The parts that name a server. Those of the last server are kept.
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
