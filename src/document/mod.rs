//! Documents: everything that the program writes to outputs. They are events, exchanges, alerts and statistics.
//!
//! In: an [`ErrorEvent`], an [`Exchange`], an alert, a [`Summary`]. Out: a [`Document`] with its kind, identifier, time and
//! route; and its bytes, which an [`Encoding`] appends to a [`Batch`]. Promises: the same findings give the same bytes; no
//! I/O.
//!
//! Each document is encoded once, before any sink sees it, so that all sinks and a spool hold the same bytes. [`EcsJson`] is
//! the first encoding: one line of nested JSON, with fields named by the Elastic Common Schema. `identity.rs` describes how
//! a document's identifier is made. [`AlertText`] is the encoding of alerts for people: it reads their JSON.

mod alert;
mod alert_document;
mod alert_verdict;
mod annotations;
mod batch;
mod community_id;
mod digest;
mod ecs_json;
mod identity;
pub(crate) mod json;
mod report;
mod restored;
mod sentence;
mod statistics;
#[cfg(test)]
mod testing;
mod text;
mod timeline;
mod times_in_words;

pub(crate) use self::{
    alert_document::AlertDocument, community_id::community_id, ecs_json::write_agent, restored::restore_alerts,
    sentence::sentence,
};
pub use self::{
    batch::{Batch, Encoded},
    ecs_json::{ECS_VERSION, EcsJson},
    identity::Identifier,
    report::{Report, RunFacts},
    text::{AlertText, Layout, USUAL_COLUMNS, exchange_line},
};

use crate::{
    address::Address,
    detect::Alert,
    enrich::Annotations,
    event::{Attribution, ErrorEvent, Reason, Site},
    exchange::Exchange,
    telemetry::summary::Summary,
    time::Timestamp,
    verdict::Verdict,
};

/// The kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An error event.
    Event,
    /// A finished exchange.
    Exchange,
    /// An alert.
    Alert,
    /// The counters of a run.
    Statistics,
    /// The report of a run.
    Report,
}

/// The route of a document: the values by which a receiver sorts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// `data_stream.dataset`.
    pub dataset: &'a str,
    /// `data_stream.namespace`.
    pub namespace: &'a str,
    /// The client that the document is about.
    pub client: Option<Address>,
}

/// The content of a document.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// An error event, with what was known when the exchange was decided.
    Event(&'a ErrorEvent),
    /// The whole exchange.
    Exchange {
        /// The exchange.
        exchange: &'a Exchange,
        /// The client and the dataset of the exchange.
        attribution: &'a Attribution,
        /// The reason why the exchange is an error, if it is one.
        reason: Option<Reason>,
    },
    /// An alert.
    Alert {
        /// The alert.
        alert: &'a Alert,
        /// The verdict on it.
        verdict: &'a Verdict,
        /// What local files say about it.
        annotations: &'a Annotations,
        /// The file with the client's packets.
        evidence_file: Option<&'a str>,
    },
    /// An alert of an earlier run, already encoded as a line of JSON.
    AlertLine(&'a [u8]),
    /// The counters of a run.
    Statistics(&'a Summary),
    /// The report of a run, as a page of HTML.
    Report(&'a str),
}

/// One document to write.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The identifier.
    pub id: Identifier,
    /// `@timestamp`.
    pub time: Timestamp,
    /// The route.
    pub route: Route<'a>,
    /// The content.
    pub value: Value<'a>,
}

/// Encodes documents as bytes.
pub trait Encoding {
    /// Appends a document to a batch.
    fn write(&mut self, document: &Document<'_>, batch: &mut Batch);

    /// Appends an event to one batch and its exchange to another. The exchange is finished by the same packet that decided
    /// the event. The bytes are the same as those of two calls of [`write`](Self::write).
    fn write_pair(&mut self, [event, exchange]: &[Document<'_>; 2], events: &mut Batch, exchanges: &mut Batch) {
        self.write(event, events);
        self.write(exchange, exchanges);
    }
}

impl<'a> Document<'a> {
    /// Makes the document of an error event.
    pub fn event(event: &'a ErrorEvent, site: &'a Site) -> Self {
        Self::event_called(Identifier::of(&event.exchange), event, site)
    }

    /// Makes the document of a finished exchange. The dataset's name ends in `.error` when there is a `reason` why the
    /// exchange is an error, else in `.access`.
    pub fn exchange(
        exchange: &'a Exchange,
        attribution: &'a Attribution,
        reason: Option<Reason>,
        site: &'a Site,
    ) -> Self {
        Self::exchange_called(Identifier::of(exchange), exchange, attribution, reason, site)
    }

    /// Makes the documents of an error event and of its exchange, when the same packet decides the event and finishes the
    /// exchange.
    pub fn pair(event: &'a ErrorEvent, site: &'a Site) -> [Self; 2] {
        let id = Identifier::of(&event.exchange);
        [
            Self::event_called(id, event, site),
            Self::exchange_called(id, &event.exchange, &event.attribution, Some(event.reason), site),
        ]
    }

    /// Makes the document of an alert without annotations. The alert holds its site.
    pub fn alert(alert: &'a Alert, verdict: &'a Verdict) -> Self {
        static NONE: Annotations = Annotations::NONE;
        Self::annotated_alert(alert, verdict, &NONE)
    }

    /// Makes the document of an alert with what local files say about it.
    pub fn annotated_alert(alert: &'a Alert, verdict: &'a Verdict, annotations: &'a Annotations) -> Self {
        let id = Identifier::from_digits(alert.id.as_bytes()).unwrap_or_default();
        let route =
            Route { dataset: "wirespike.alert", namespace: &alert.site.namespace, client: alert.group.client() };
        let value = Value::Alert { alert, verdict, annotations, evidence_file: None };
        Self { id, time: alert.time, route, value }
    }

    /// Returns the document of an alert with the name of the file that has the client's packets.
    #[must_use]
    pub fn with_evidence_file(mut self, file: Option<&'a str>) -> Self {
        if let Value::Alert { evidence_file, .. } = &mut self.value {
            *evidence_file = file;
        }
        self
    }

    /// Makes the document of an alert that is already encoded as a line of JSON.
    pub fn alert_line(id: Identifier, time: Timestamp, route: Route<'a>, line: &'a [u8]) -> Self {
        Self { id, time, route, value: Value::AlertLine(line) }
    }

    /// Makes the document of a run's counters. It has no identifier and no packet time.
    pub fn statistics(summary: &'a Summary, site: &'a Site) -> Self {
        let route = Route { dataset: "wirespike.statistics", namespace: &site.namespace, client: None };
        Self { id: Identifier::default(), time: Timestamp::EPOCH, route, value: Value::Statistics(summary) }
    }

    /// Makes the document of a run's report. It has no identifier and no packet time.
    pub fn report(page: &'a str, site: &'a Site) -> Self {
        let route = Route { dataset: "wirespike.report", namespace: &site.namespace, client: None };
        Self { id: Identifier::default(), time: Timestamp::EPOCH, route, value: Value::Report(page) }
    }

    /// Returns the kind of the document.
    pub const fn kind(&self) -> Kind {
        match self.value {
            Value::Event(_) => Kind::Event,
            Value::Exchange { .. } => Kind::Exchange,
            Value::Alert { .. } | Value::AlertLine(_) => Kind::Alert,
            Value::Statistics(_) => Kind::Statistics,
            Value::Report(_) => Kind::Report,
        }
    }

    fn event_called(id: Identifier, event: &'a ErrorEvent, site: &'a Site) -> Self {
        let route =
            Route { dataset: event.dataset().name(), namespace: &site.namespace, client: Some(event.client().address) };
        Self { id, time: event.time, route, value: Value::Event(event) }
    }

    fn exchange_called(
        id: Identifier,
        exchange: &'a Exchange,
        attribution: &'a Attribution,
        reason: Option<Reason>,
        site: &'a Site,
    ) -> Self {
        let dataset = attribution.dataset.dataset;
        let route = Route {
            dataset: if reason.is_some() { dataset.name() } else { dataset.access_name() },
            namespace: &site.namespace,
            client: Some(attribution.client.endpoint.address),
        };
        let time = exchange.event_time();
        Self { id, time, route, value: Value::Exchange { exchange, attribution, reason } }
    }
}
