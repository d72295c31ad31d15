//! Alerts as text for people.
//!
//! In: the JSON document of an alert. Out: about a dozen lines that fit a terminal ([`Layout::alert`]), or one row of a table
//! ([`Layout::row`]). Promises: what is absent in the document is left out; no line is wider than the layout; nothing from the
//! wire acts on the terminal.
//!
//! `encoding.rs` is the [`Encoding`](super::Encoding) that makes such text of alerts in a run. `exchange.rs` makes lines like
//! those of an access log.

mod chart;
mod encoding;
mod exchange;
#[cfg(test)]
mod tests;
mod wrap;

use serde_json::Value;

pub use self::{encoding::AlertText, exchange::exchange_line};
use super::{
    alert_document::{AlertDocument, Found},
    times_in_words::utc,
};
use crate::telemetry::summary::grouped;
use wrap::{columns, cut, wrapped};

/// Columns of a terminal whose width is not known.
pub const USUAL_COLUMNS: usize = 80;
/// Columns before the text of a labelled line.
const INDENT: usize = 11;
/// The most reasons, findings, tell-tales and values of other lists that are shown; what is left out is counted.
const MOST_REASONS: usize = 3;
const MOST_FOUND: usize = 5;
const MOST_TELLTALES: usize = 3;
const MOST_LISTED: usize = 3;
/// Columns of the path of a finding, where the notes behind it have room.
const PATH_COLUMNS: usize = 36;

const BOLD: &str = "1";
const DIM: &str = "2";

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The width.
    pub columns: usize,
    /// Whether the terminal shows colours.
    pub colour: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { columns: USUAL_COLUMNS, colour: false }
    }
}

impl Layout {
    /// The text of an alert, with a line end.
    pub fn alert(self, document: &Value) -> String {
        let alert = AlertDocument(document);
        let mut page = Page { layout: self, text: String::new() };
        if let Some(sentence) = alert.sentence() {
            for line in wrapped(&sentence, self.columns) {
                page.line(&self.painted(BOLD, &line));
            }
        }
        page.severity(alert);
        page.verdict(alert);
        page.labelled("activity", alert.extent());
        page.left_out(alert);
        page.list("servers", &alert.servers());
        page.list("gRPC", &alert.grpc_statuses());
        page.list("methods", &alert.unusual_methods());
        page.list("TLS", &alert.tls());
        page.found(alert);
        page.telltales(alert);
        page.list("others", &alert.others());
        page.block("timeline", chart::lines(&alert.timeline()).into_iter());
        page.list("labels", &alert.labels());
        page.next_steps(alert);
        page.evidence(alert);
        page.labelled("id", alert.id());
        page.text
    }

    /// The head of the table, with a line end.
    pub fn head(self) -> String {
        let line = row_of(["time (UTC)", "severity", "client", "errors", "verdict"], self.columns);
        format!("{}\n", self.painted(DIM, line.trim_end()))
    }

    /// An alert as a row of the table, with a line end.
    pub fn row(self, document: &Value) -> String {
        let alert = AlertDocument(document);
        let time = alert.time().map(|time| utc(time, "%m-%d %H:%M:%S")).unwrap_or_default();
        let is_left_out = alert.kind().is_some_and(|kind| kind == "left_out");
        let client = alert.client().unwrap_or(if is_left_out { "left out".into() } else { "-".into() });
        let errors = alert.count().map(grouped).unwrap_or_default();
        let mut verdict = alert.verdict().map(|verdict| verdict.name).unwrap_or_default();
        if alert.kind().is_some_and(|kind| kind == "follow_up") {
            verdict.push_str(", then success");
        }
        let severity = alert.severity();
        let row = row_of([&time, severity, &client, &errors, &verdict], self.columns);
        let row = row.trim_end();
        // Times have no letters, so the first place of the word is the column.
        match row.split_once(severity) {
            Some((before, after)) => format!("{before}{}{after}\n", self.painted(colour_of(severity), severity)),
            None => format!("{row}\n"),
        }
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The columns of a row. A client that needs more than its column takes it from the verdict.
fn row_of([time, severity, client, errors, verdict]: [&str; 5], columns_in_all: usize) -> String {
    let row = format!("{time:<14}  {severity:<8}  {client:<15}  {errors:>7}  {verdict}");
    cut(&row, columns_in_all)
}

fn colour_of(severity: &str) -> &'static str {
    match severity {
        "critical" => "1;31",
        "high" => "31",
        "medium" => "33",
        _ => "",
    }
}

/// The text of an alert as it grows.
struct Page {
    layout: Layout,
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A line with a label, wrapped. Without a text there is no line.
    fn labelled(&mut self, label: &str, text: Option<impl AsRef<str>>) {
        let Some(text) = text else { return };
        self.block(label, wrapped(text.as_ref(), self.room()).into_iter());
    }

    /// Lines that fit, with a label before the first.
    fn block(&mut self, label: &str, lines: impl Iterator<Item = String>) {
        for (number, line) in lines.enumerate() {
            let label = format!("{:<INDENT$}", if number == 0 { label } else { "" });
            let label = self.layout.painted(DIM, &label);
            let line = cut(&line, self.room());
            self.line(&format!("{label}{line}"));
        }
    }

    /// A list with commas, the first values only.
    fn list<T: AsRef<str>>(&mut self, label: &str, values: &[T]) {
        let mut shown: Vec<String> = values.iter().take(MOST_LISTED).map(|value| value.as_ref().to_owned()).collect();
        shown.extend(more(values.len(), MOST_LISTED));
        self.labelled(label, (!values.is_empty()).then(|| shown.join(", ")));
    }

    fn severity(&mut self, alert: AlertDocument<'_>) {
        let severity = alert.severity();
        let reasons = alert.severity_reasons();
        let text = match reasons.is_empty() {
            true => severity.to_owned(),
            false => format!("{severity}: {}", reasons.join("; ")),
        };
        let lines = wrapped(&text, self.room());
        let word = self.layout.painted(colour_of(severity), severity);
        for (number, line) in lines.iter().enumerate() {
            let label = self.layout.painted(DIM, &format!("{:<INDENT$}", if number == 0 { "severity" } else { "" }));
            let line = line
                .strip_prefix(severity)
                .filter(|_| number == 0)
                .map_or_else(|| line.clone(), |rest| format!("{word}{rest}"));
            self.line(&format!("{label}{line}"));
        }
    }

    fn verdict(&mut self, alert: AlertDocument<'_>) {
        let Some(verdict) = alert.verdict() else { return };
        let mut text = verdict.name;
        if let Some(tool) = verdict.tool {
            text.push_str(&format!(" by {tool}"));
        }
        if let Some(confidence) = verdict.confidence {
            text.push_str(&format!(", confidence {confidence:.2}"));
        }
        self.labelled("verdict", Some(text));
        self.points(verdict.reasons.iter().take(MOST_REASONS).map(AsRef::as_ref));
        self.points(more(verdict.reasons.len(), MOST_REASONS).iter().map(String::as_str));
    }

    /// Points under a labelled line.
    fn points<'t>(&mut self, points: impl Iterator<Item = &'t str>) {
        for point in points {
            let lines = with_mark("- ", point, self.room());
            self.block("", lines.into_iter());
        }
    }

    fn left_out(&mut self, alert: AlertDocument<'_>) {
        let limits: Vec<String> = alert
            .left_out()
            .map(|(limit, clients, errors)| {
                format!("{} clients with {} {}, by the {limit}", grouped(clients), grouped(errors), alert.noun())
            })
            .collect();
        self.labelled("left out", (!limits.is_empty()).then(|| limits.join("; ")));
        self.list("largest", &alert.largest_left_out());
    }

    fn found(&mut self, alert: AlertDocument<'_>) {
        let found = alert.found();
        let room = self.room();
        let mut lines: Vec<String> = found.iter().take(MOST_FOUND).map(|entry| found_line(entry, room)).collect();
        lines.extend(more(found.len(), MOST_FOUND));
        self.block("found", lines.into_iter());
    }

    fn telltales(&mut self, alert: AlertDocument<'_>) {
        let telltales = alert.telltales();
        let line = |telltale: &super::alert_document::Telltale<'_>| {
            let count =
                if telltale.count > 1 { format!(" ({} times)", grouped(telltale.count)) } else { String::new() };
            let method = with_space(telltale.method.as_deref());
            format!("{}  {}  {method}{}{count}", telltale.status, telltale.class, telltale.path)
        };
        let mut lines: Vec<String> = telltales.iter().take(MOST_TELLTALES).map(line).collect();
        lines.extend(more(telltales.len(), MOST_TELLTALES));
        self.block("tell-tales", lines.into_iter());
    }

    fn next_steps(&mut self, alert: AlertDocument<'_>) {
        let room = self.room();
        let steps = alert.next_steps();
        let lines = steps.iter().zip(1..).flat_map(|(step, number)| with_mark(&format!("{number}. "), step, room));
        let lines: Vec<String> = lines.collect();
        self.block("next", lines.into_iter());
    }

    fn evidence(&mut self, alert: AlertDocument<'_>) {
        let mut parts: Vec<String> = alert.grade().into_iter().collect();
        if alert.is_lower_bound() {
            parts.push("the numbers are lower bounds".to_owned());
        }
        parts.extend(alert.evidence_file().map(|file| format!("packets in {file}")));
        self.labelled("evidence", (!parts.is_empty()).then(|| parts.join(", ")));
    }

    /// Columns behind a label.
    fn room(&self) -> usize {
        self.layout.columns.saturating_sub(INDENT).max(20)
    }
}

/// A text with a mark before its first line, and as much room before the others.
fn with_mark(mark: &str, text: &str, room: usize) -> Vec<String> {
    let lines = wrapped(text, room.saturating_sub(mark.len()));
    let space = " ".repeat(mark.len());
    lines.iter().enumerate().map(|(n, line)| format!("{}{line}", if n == 0 { mark } else { &space })).collect()
}

fn found_line(found: &Found<'_>, room: usize) -> String {
    let method = with_space(found.method.as_deref());
    let notes = found.notes.join(", ");
    let before = columns(&found.status) + 2 + columns(&method);
    let wanted = room.saturating_sub(before + 2 + columns(&notes));
    let path = cut(&found.path, wanted.max(PATH_COLUMNS.min(room.saturating_sub(before))));
    format!("{}  {method}{path}  {notes}", found.status).trim_end().to_owned()
}

/// A method before its path.
fn with_space(method: Option<&str>) -> String {
    method.map(|method| format!("{method} ")).unwrap_or_default()
}

/// Says how many there are beyond those shown.
fn more(all: usize, shown: usize) -> Option<String> {
    (all > shown).then(|| format!("and {} more", grouped((all - shown) as u64)))
}
