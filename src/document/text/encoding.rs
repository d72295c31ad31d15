//! The encoding of alerts as text.
//!
//! In: alerts. Out: their text. A live run writes each alert at once. A replay writes one row of a table for each alert as it is
//! found, and [`AlertText::rest`] gives the texts at its end, one for each alert. Of an alert that was updated, it gives the last
//! state. Promises: at most [`MOST_HELD`] bytes of text wait for the end; texts beyond are counted and not shown. The text is made
//! from the JSON document.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value as Json;

use super::Layout;
use crate::{
    document::{Batch, Document, EcsJson, Encoding, Identifier, Value},
    event::Site,
    telemetry::summary::grouped,
};

/// Bytes of text that wait for the end of a replay; about ten thousand alerts.
const MOST_HELD: usize = 16 << 20;

/// The encoding of alerts as text.
#[derive(Debug)]
pub struct AlertText {
    layout: Layout,
    json: EcsJson,
    /// The JSON of the alert at hand. Empty between calls.
    document: Batch,
    /// The texts that wait, where rows come first.
    held: Option<Batch>,
    has_rows: bool,
    left_out: u64,
}

impl AlertText {
    /// Creates the encoding. Texts are written at once.
    pub fn new(site: Arc<Site>, layout: Layout) -> Self {
        let (document, json) = (Batch::default(), EcsJson::new(site));
        Self { layout, json, document, held: None, has_rows: false, left_out: 0 }
    }

    /// Writes only a row for each alert, and keeps the texts for [`rest`](Self::rest).
    #[must_use]
    pub fn with_rows_first(mut self) -> Self {
        self.held = Some(Batch::default());
        self
    }

    /// Writes each text at once from now on.
    pub fn write_at_once(&mut self) {
        self.held = None;
    }

    /// Ends the table: gives the texts that were kept as documents, in order.
    pub fn rest(&mut self, mut each: impl FnMut(&Document<'_>)) {
        let Some(mut held) = self.held.replace(Batch::default()) else { return };
        let left_out = std::mem::take(&mut self.left_out);
        let last = held.len();
        // Of an alert that went on, the last state is shown.
        let newest: HashMap<Identifier, usize> = held.iter().map(|text| text.id).zip(1..).collect();
        for (text, number) in held.iter().zip(1..) {
            if text.id != Identifier::default() && newest.get(&text.id) != Some(&number) {
                continue;
            }
            let mut bytes = text.bytes.to_vec();
            if number == last && left_out > 0 {
                let count = grouped(left_out);
                let note = format!("\n{count} more alerts are in the table alone; --format json writes them whole\n");
                bytes.extend_from_slice(note.as_bytes());
            }
            each(&Document::alert_line(text.id, text.time, text.route, &bytes));
        }
        held.release(last);
    }

    /// Writes an alert whose JSON was read.
    fn write_text(&mut self, document: &Document<'_>, alert: &Json, batch: &mut Batch) {
        let Self { layout, held, has_rows, left_out, .. } = self;
        let Some(held) = held else {
            let text = format!("{}\n", layout.alert(alert));
            batch.push(document, |out| out.extend_from_slice(text.as_bytes()));
            return;
        };
        let head = if *has_rows { String::new() } else { layout.head() };
        *has_rows = true;
        let row = layout.row(alert);
        batch.push(document, |out| out.extend_from_slice([head, row].concat().as_bytes()));
        let text = format!("\n{}", layout.alert(alert));
        if held.bytes().len() + text.len() > MOST_HELD {
            *left_out += 1;
        } else {
            held.push(document, |out| out.extend_from_slice(text.as_bytes()));
        }
    }
}

impl Encoding for AlertText {
    /// Writes an alert. A line of an earlier run that is no JSON is text already, and is written as it is. Other documents have
    /// no text.
    fn write(&mut self, document: &Document<'_>, batch: &mut Batch) {
        if !matches!(document.value, Value::Alert { .. } | Value::AlertLine(_)) {
            return;
        }
        self.json.write(document, &mut self.document);
        let alert = serde_json::from_slice::<Json>(self.document.bytes());
        self.document.release(self.document.len());
        match alert {
            Ok(alert) => self.write_text(document, &alert, batch),
            Err(_) => self.json.write(document, batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::Route, time::Timestamp};

    fn write(encoding: &mut AlertText, line: &str, batch: &mut Batch) {
        let route = Route { dataset: "wirespike.alert", namespace: "default", client: None };
        let (id, time) = (Identifier::default(), Timestamp::EPOCH);
        encoding.write(&Document::alert_line(id, time, route, line.as_bytes()), batch);
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn alerts_are_written_at_once_or_rows_first() {
        let lines = ["{\"message\":\"one\"}\n", "{\"message\":\"two\"}\n"];
        let mut batch = Batch::default();
        let mut at_once = AlertText::new(Arc::default(), Layout::default());
        lines.iter().for_each(|line| write(&mut at_once, line, &mut batch));
        assert_eq!(text(batch.bytes()), "one\nseverity   low\n\ntwo\nseverity   low\n\n");
        at_once.rest(|_| panic!("nothing waits"));

        let mut batch = Batch::default();
        let mut rows = AlertText::new(Arc::default(), Layout::default()).with_rows_first();
        lines.iter().for_each(|line| write(&mut rows, line, &mut batch));
        assert_eq!(text(batch.bytes()).lines().count(), 3, "a head and two rows: {}", text(batch.bytes()));
        let mut rest = String::new();
        rows.rest(|document| {
            let Value::AlertLine(bytes) = document.value else { panic!("{document:?}") };
            rest.push_str(text(bytes));
        });
        assert_eq!(rest, "\none\nseverity   low\n\ntwo\nseverity   low\n");
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_left_out_is_said() {
        let mut batch = Batch::default();
        let mut rows = AlertText::new(Arc::default(), Layout::default()).with_rows_first();
        let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(9 << 20));
        (0..3).for_each(|_| write(&mut rows, &line, &mut batch));
        let mut end = Vec::new();
        rows.rest(|document| {
            let Value::AlertLine(bytes) = document.value else { panic!("{document:?}") };
            end.push(text(bytes)[bytes.len() - 90..].to_owned());
        });
        assert_eq!(end.len(), 1);
        assert!(end[0].ends_with("2 more alerts are in the table alone; --format json writes them whole\n"), "{end:?}");
    }

    #[test]
    fn what_an_earlier_run_left_as_text_stays_text() {
        let mut batch = Batch::default();
        write(&mut AlertText::new(Arc::default(), Layout::default()), "severity   low\n", &mut batch);
        assert_eq!(text(batch.bytes()), "severity   low\n");
    }
}
