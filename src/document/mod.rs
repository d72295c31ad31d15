//! Everything that is written, and nothing else: events, exchanges, alerts, statistics.
//!
//! In: an [`ErrorEvent`], an [`Exchange`], an alert, a [`Summary`]. Out: a [`Document`], which says what it is, what it is called,
//! when it was, and where it belongs; and its bytes, which an [`Encoding`] appends to a [`Batch`]. Promises: the same findings
//! give the same bytes; no I/O.
//!
//! An encoding is asked once for each document, before any sink sees it, so that all sinks and a spool hold the same bytes.
//! [`EcsJson`] is the first: a line of nested JSON, fields named by the Elastic Common Schema. How a document's identifier is
//! made is told in `identity.rs`.

mod alert;
mod batch;
mod community_id;
mod digest;
mod ecs_json;
mod identity;
pub(crate) mod json;
mod restored;
mod sentence;
mod statistics;

pub use self::{
    batch::{Batch, Encoded},
    ecs_json::{ECS_VERSION, EcsJson},
    identity::Identifier,
};
pub(crate) use self::{community_id::community_id, ecs_json::write_agent, restored::restore_alerts};

use crate::{
    address::Address,
    detect::Alert,
    event::{Attribution, ErrorEvent, Reason, Site},
    exchange::Exchange,
    telemetry::summary::Summary,
    time::Timestamp,
};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An error event.
    Event,
    /// An exchange that is over.
    Exchange,
    /// An alert.
    Alert,
    /// The counters of a run.
    Statistics,
}

/// Where a document belongs: what a receiver sorts it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// `data_stream.dataset`.
    pub dataset: &'a str,
    /// `data_stream.namespace`.
    pub namespace: &'a str,
    /// The client it is about.
    pub client: Option<Address>,
}

/// What a document says.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// An error event: what was known when the exchange was decided.
    Event(&'a ErrorEvent),
    /// The whole exchange.
    Exchange {
        /// The exchange.
        exchange: &'a Exchange,
        /// Whose it was.
        attribution: &'a Attribution,
        /// Why it is an error, if it is one.
        reason: Option<Reason>,
    },
    /// An alert.
    Alert(&'a Alert),
    /// An alert of an earlier run, which is a line of JSON already.
    AlertLine(&'a [u8]),
    /// The counters of a run.
    Statistics(&'a Summary),
}

/// One thing to write.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// What it is called.
    pub id: Identifier,
    /// `@timestamp`.
    pub time: Timestamp,
    /// Where it belongs.
    pub route: Route<'a>,
    /// What it says.
    pub value: Value<'a>,
}

/// Makes bytes of documents.
pub trait Encoding {
    /// Appends a document to a batch.
    fn write(&mut self, document: &Document<'_>, batch: &mut Batch);

    /// Appends an event to one batch and its exchange, which is over with the same packet, to another. The bytes are those that
    /// [`write`](Self::write) makes of each.
    fn write_pair(&mut self, [event, exchange]: &[Document<'_>; 2], events: &mut Batch, exchanges: &mut Batch) {
        self.write(event, events);
        self.write(exchange, exchanges);
    }
}

impl<'a> Document<'a> {
    /// The document of an error event.
    pub fn event(event: &'a ErrorEvent, site: &'a Site) -> Self {
        Self::event_called(Identifier::of(&event.exchange), event, site)
    }

    /// The document of an exchange that is over. The dataset's name ends in `.error` where there is a `reason` why the exchange is
    /// an error, else in `.access`.
    pub fn exchange(
        exchange: &'a Exchange,
        attribution: &'a Attribution,
        reason: Option<Reason>,
        site: &'a Site,
    ) -> Self {
        Self::exchange_called(Identifier::of(exchange), exchange, attribution, reason, site)
    }

    /// The documents of an error event and of its exchange, which is over with the same packet.
    pub fn pair(event: &'a ErrorEvent, site: &'a Site) -> [Self; 2] {
        let id = Identifier::of(&event.exchange);
        [
            Self::event_called(id, event, site),
            Self::exchange_called(id, &event.exchange, &event.attribution, Some(event.reason), site),
        ]
    }

    /// The document of an alert, which brings its site.
    pub fn alert(alert: &'a Alert) -> Self {
        let id = Identifier::from_digits(alert.id.as_bytes()).unwrap_or_default();
        let route =
            Route { dataset: "wirespike.alert", namespace: &alert.site.namespace, client: alert.group.client() };
        Self { id, time: alert.time, route, value: Value::Alert(alert) }
    }

    /// The document of an alert that is a line of JSON already.
    pub fn alert_line(id: Identifier, time: Timestamp, route: Route<'a>, line: &'a [u8]) -> Self {
        Self { id, time, route, value: Value::AlertLine(line) }
    }

    /// The document of a run's counters. It has no identifier and no packet time.
    pub fn statistics(summary: &'a Summary, site: &'a Site) -> Self {
        let route = Route { dataset: "wirespike.statistics", namespace: &site.namespace, client: None };
        Self { id: Identifier::default(), time: Timestamp::EPOCH, route, value: Value::Statistics(summary) }
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        match self.value {
            Value::Event(_) => Kind::Event,
            Value::Exchange { .. } => Kind::Exchange,
            Value::Alert(_) | Value::AlertLine(_) => Kind::Alert,
            Value::Statistics(_) => Kind::Statistics,
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
