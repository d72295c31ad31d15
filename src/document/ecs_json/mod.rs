//! Documents as lines of JSON, under the names of the Elastic Common Schema (ECS).
//!
//! In: documents. Out: one line of nested JSON for each; what the schema has no name for stands under `wirespike`. Promises:
//! absent fields are left out; bytes from the wire cannot break the line; the fields that were changed are named in
//! `wirespike.sanitized` (not plain text) and `wirespike.masked` (credentials hidden).
//!
//! `exchange.rs` has the line of an exchange and of its event from beginning to end, `fields.rs` and `connection.rs` the objects
//! in it. `reuse.rs` makes it fast.

mod connection;
mod exchange;
mod fields;
mod reuse;

use std::sync::Arc;

use self::exchange::{ExchangeWriter, Subject};
use super::{
    Batch, Document, Encoding, Value,
    alert::write_alert,
    json::{Json, key},
    statistics,
};
use crate::event::{Reason, Site};

/// `ecs.version`.
pub const ECS_VERSION: &str = "8.17.0";

/// The encoding as lines of ECS JSON.
#[derive(Debug)]
pub struct EcsJson {
    exchanges: ExchangeWriter,
}

impl EcsJson {
    /// The encoding for a site.
    pub fn new(site: Arc<Site>) -> Self {
        Self { exchanges: ExchangeWriter::new(site) }
    }
}

impl Encoding for EcsJson {
    #[inline]
    fn write(&mut self, document: &Document<'_>, batch: &mut Batch) {
        match document.value {
            Value::Alert(alert) => batch.push(document, |out| write_alert(out, alert)),
            Value::AlertLine(line) => batch.push(document, |out| out.extend_from_slice(line)),
            Value::Statistics(summary) => {
                let line = format!("{}\n", statistics::object(summary));
                batch.push(document, |out| out.extend_from_slice(line.as_bytes()));
            }
            Value::Event(_) | Value::Exchange { .. } => {
                let Some(subject) = subject(document) else { return };
                batch.push(document, |out| self.exchanges.write(out, subject));
            }
        }
    }

    fn write_pair(&mut self, [event, exchange]: &[Document<'_>; 2], events: &mut Batch, exchanges: &mut Batch) {
        let Some(subject) = subject(event) else { return };
        let joints = events.push(event, |out| self.exchanges.write(out, subject));
        // Of errors without a status, and without a method, more than the end differs.
        if subject.reason == Some(Reason::HttpStatus) && !subject.exchange.method.is_empty() {
            let written = events.bytes();
            exchanges.push(exchange, |out| {
                self.exchanges.write_whole_after_event(out, written, &joints, subject.exchange);
            });
        } else {
            self.write(exchange, exchanges);
        }
    }
}

/// What an event or an exchange is written of.
#[inline]
fn subject<'a>(document: &Document<'a>) -> Option<Subject<'a>> {
    let id = document.id;
    match document.value {
        Value::Event(event) => Some(Subject {
            id,
            exchange: &event.exchange,
            attribution: &event.attribution,
            reason: Some(event.reason),
            is_whole: false,
        }),
        Value::Exchange { exchange, attribution, reason } => {
            Some(Subject { id, exchange, attribution, reason, is_whole: true })
        }
        Value::Alert(_) | Value::AlertLine(_) | Value::Statistics(_) => None,
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

#[cfg(test)]
mod tests;
