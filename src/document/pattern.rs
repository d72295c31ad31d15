//! Documents that are as the one before but for what each exchange has of its own.
//!
//! In: an exchange, and the document of one before it. Out: the parts that both documents share, copied instead of written.
//! Promises: the documents are the same as if each were written anew. The errors of a scan differ in times, port and target;
//! the other nine tenths of their documents are these parts.

use super::{ecs::Changes, json::Json};
use crate::event::{Attribution, ClientSource, DatasetEvidence, Reason};
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
