//! Documents as lines of JSON, under the names of the Elastic Common Schema (ECS).
//!
//! In: documents. Out: one line of nested JSON for each. Fields that the schema has no name for stand under `wirespike`.
//! Promises: absent fields are left out. Bytes from the wire cannot break the line. `wirespike.sanitized` names the fields
//! that were changed because they were not plain text. `wirespike.masked` names the fields in which credentials were
//! replaced.
//!
//! `exchange.rs` writes the whole line of an exchange or of its event. `fields.rs` and `connection.rs` write the objects in
//! it. `reuse.rs` makes this fast by reusing parts of earlier lines.

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
    /// Creates the encoding for a site.
    pub fn new(site: Arc<Site>) -> Self {
        Self { exchanges: ExchangeWriter::new(site) }
    }
}

impl Encoding for EcsJson {
    #[inline]
    fn write(&mut self, document: &Document<'_>, batch: &mut Batch) {
        match document.value {
            Value::Alert { alert, verdict, annotations, evidence_file } => {
                batch.push(document, |out| write_alert(out, alert, verdict, annotations, evidence_file));
            }
            Value::AlertLine(line) => batch.push(document, |out| out.extend_from_slice(line)),
            Value::Statistics(summary) => {
                let line = format!("{}\n", statistics::object(summary));
                batch.push(document, |out| out.extend_from_slice(line.as_bytes()));
            }
            Value::Report(page) => batch.push(document, |out| out.extend_from_slice(page.as_bytes())),
            Value::Event(_) | Value::Exchange { .. } => {
                let Some(subject) = subject(document) else { return };
                batch.push(document, |out| self.exchanges.write(out, subject));
            }
        }
    }

    fn write_pair(&mut self, [event, exchange]: &[Document<'_>; 2], events: &mut Batch, exchanges: &mut Batch) {
        let Some(subject) = subject(event) else { return };
        let joints = events.push(event, |out| self.exchanges.write(out, subject));
        // The line of the event can be reused only for an error with a status and a method. Otherwise the two lines differ
        // in more than their ends.
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

/// Returns the values from which an event or an exchange is written. `None` for other documents.
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
        Value::Alert { .. } | Value::AlertLine(_) | Value::Statistics(_) | Value::Report(_) => None,
    }
}

/// Writes `agent`: the sensor and the program.
pub(crate) fn write_agent(json: &mut Json<'_>, sensor_id: &str) {
    let agent = json.open(key!("agent"));
    json.text(key!("id"), sensor_id);
    json.name(key!("type"), "wirespike");
    json.name(key!("version"), env!("CARGO_PKG_VERSION"));
    json.close(agent);
}

#[cfg(test)]
mod tests;
