//! The report of a run: one page of HTML to attach to a ticket.
//!
//! In: the JSON documents of alerts, and the facts of the run. Out: an HTML page. Its alerts are sorted by severity, then by the
//! number of findings, then by the number of errors. Promises: the page is one file: it loads nothing, has no script, and can be
//! read without a mouse and without colours. At most [`MOST_ALERTS`] alerts are kept; the last in the order are dropped first, and
//! the page says how many. An updated alert is shown in its last state. The same run gives the same page.

mod alert;
mod chart;
mod html;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use serde_json::Value as Json;

use super::{
    Batch, Document, EcsJson, Encoding,
    alert_document::{AlertDocument, Rank},
    times_in_words::utc,
};
use crate::telemetry::summary::{Summary, grouped};
use html::Html;

/// The most alerts of a report.
const MOST_ALERTS: usize = 1_000;
const STYLE: &str = include_str!("style.css");

/// What the page says about the run, apart from its alerts.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    /// The captures, and how many packets were read of each.
    pub captures: &'a [(String, u64)],
    /// The numbers of the run.
    pub summary: &'a Summary,
    /// What people must know beside the result, one line each.
    pub warnings: &'a [String],
}

/// The alerts of a report.
#[derive(Debug, Default)]
pub struct Report {
    /// The alerts of most consequence. The one of least consequence is on top.
    kept: BinaryHeap<Reverse<Kept>>,
    /// All alerts, by severity.
    seen: BTreeMap<Reverse<u64>, (&'static str, u64)>,
    count: u64,
    /// The JSON of the alert at hand. Empty between calls.
    document: Batch,
}

/// An alert as one line of JSON. Of two with the same rank the earlier one comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    rank: Rank,
    number: Reverse<u64>,
    line: Box<[u8]>,
}

impl Report {
    /// Takes an alert.
    pub fn take(&mut self, document: &Document<'_>, encoding: &mut EcsJson) {
        encoding.write(document, &mut self.document);
        let line: Box<[u8]> = self.document.bytes().into();
        self.document.release(self.document.len());
        self.take_line(line);
    }

    fn take_line(&mut self, line: Box<[u8]>) {
        let Ok(json) = serde_json::from_slice::<Json>(&line) else { return };
        let alert = AlertDocument(&json);
        let rank = alert.rank();
        self.seen.entry(Reverse(rank.severity)).or_insert((alert.severity(), 0)).1 += 1;
        self.kept.push(Reverse(Kept { rank, number: Reverse(self.count), line }));
        self.count += 1;
        if self.kept.len() > MOST_ALERTS {
            self.kept.pop();
        }
    }

    /// Makes the page.
    pub fn page(mut self, facts: &RunFacts<'_>) -> String {
        self.drop_superseded();
        let count = self.count;
        let by_severity: Vec<String> =
            self.seen.values().map(|(severity, count)| format!("{} {severity}", grouped(*count))).collect();
        // The heap holds the order reversed, so its sorted form begins with the alert of most consequence.
        let lines = self.kept.into_sorted_vec();
        let alerts: Vec<Json> =
            lines.iter().filter_map(|Reverse(kept)| serde_json::from_slice(&kept.line).ok()).collect();
        let mut html = Html::default();
        head(&mut html, count);
        html.markup("<header>\n<h1>Web server error spikes</h1>\n<p class=\"lead\">");
        html.text(&match by_severity.is_empty() {
            true => "No alert.".to_owned(),
            false => format!("{}: {}.", counted(count, "alert"), by_severity.join(", ")),
        });
        html.markup("</p>\n");
        if !facts.summary.unseen.is_empty() {
            html.between("<p class=\"warnings\">Not seen or lost: ", &facts.summary.unseen.join(", "), ". ");
            html.markup("<a href=\"#run\">More about the run</a></p>\n");
        }
        html.markup("</header>\n<main>\n");
        overview(&mut html, &alerts);
        if count > alerts.len() as u64 {
            let left_out = grouped(count - alerts.len() as u64);
            html.markup("<p class=\"warnings\">").text(&left_out);
            html.markup(" alerts of least consequence are left out of this page. The file of --alerts has all.</p>\n");
        }
        if !alerts.is_empty() {
            html.markup("<section id=\"alerts\" aria-labelledby=\"alerts-title\">\n");
            html.markup("<h2 id=\"alerts-title\">Each alert</h2>\n");
            alerts.iter().zip(1..).for_each(|(json, place)| alert::append(&mut html, AlertDocument(json), place));
            html.markup("</section>\n");
        }
        run(&mut html, facts);
        html.markup("</main>\n<footer>Made by wirespike ").text(env!("CARGO_PKG_VERSION"));
        html.markup(
            ". All times are in UTC. Texts from the network are shown as they were, with characters that cannot be ",
        );
        html.markup("seen written as <code>\\u{…}</code>.</footer>\n</body>\n</html>\n");
        html.finish()
    }
}

impl Report {
    /// Of alerts that are the same one as it went on, leaves the last.
    fn drop_superseded(&mut self) {
        let id_of = |kept: &Kept| {
            let json: Json = serde_json::from_slice(&kept.line).ok()?;
            AlertDocument(&json).id().map(|id| id.into_owned())
        };
        let mut newest: BTreeMap<String, Reverse<u64>> = BTreeMap::new();
        for Reverse(kept) in &self.kept {
            if let Some(id) = id_of(kept) {
                let number = newest.entry(id).or_insert(kept.number);
                *number = (*number).min(kept.number);
            }
        }
        let Self { kept, seen, count, .. } = self;
        kept.retain(|Reverse(kept)| {
            let is_newest = id_of(kept).and_then(|id| newest.get(&id)).is_none_or(|number| *number == kept.number);
            if !is_newest {
                *count -= 1;
                seen.entry(Reverse(kept.rank.severity)).and_modify(|(_, count)| *count -= 1);
            }
            is_newest
        });
        seen.retain(|_, (_, count)| *count > 0);
    }
}

fn head(html: &mut Html, count: u64) {
    html.markup("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n");
    html.markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n");
    html.markup(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />\n",
    );
    html.markup("<meta name=\"referrer\" content=\"no-referrer\" />\n");
    html.between("<title>wirespike: ", &counted(count, "alert"), "</title>\n<style>\n").markup(STYLE);
    html.markup(
        "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#run\">Skip to the run and what it could not see</a>\n",
    );
}

/// The table of all alerts.
fn overview(html: &mut Html, alerts: &[Json]) {
    if alerts.is_empty() {
        return;
    }
    html.markup("<section aria-labelledby=\"overview\">\n<h2 id=\"overview\">By consequence</h2>\n");
    html.markup("<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-labelledby=\"overview\">\n<table class=\"overview\">\n<caption>");
    html.markup("The most severe first, then those who found more, then those with more errors</caption>\n<thead><tr>");
    for column in ["Place", "Severity", "Client", "Verdict", "Found", "Errors", "Checked at"] {
        html.between("<th scope=\"col\">", column, "</th>");
    }
    html.markup("</tr></thead>\n<tbody>\n");
    for (json, place) in alerts.iter().zip(1u64..) {
        let (alert, rank) = (AlertDocument(json), AlertDocument(json).rank());
        html.markup("<tr><td><a").attribute("href", format!("#alert-{place}")).markup(">");
        html.between("Alert ", &place.to_string(), "</a></td><td>");
        alert::severity(html, alert);
        html.between("</td><td>", &alert::client(alert), "</td><td>");
        html.text(&alert.verdict().map(|verdict| verdict.name).unwrap_or_default());
        html.between("</td><td>", &grouped(rank.found as u64), "</td><td>").text(&grouped(rank.count));
        let time = alert.time().map(|time| utc(time, "%Y-%m-%d %H:%M:%S")).unwrap_or_default();
        html.between("</td><td>", &time, "</td></tr>\n");
    }
    html.markup("</tbody>\n</table>\n</div>\n</section>\n");
}

/// Appends the section about the run: the files that were read, and the traffic that the run could not see.
fn run(html: &mut Html, facts: &RunFacts<'_>) {
    let summary = facts.summary;
    html.markup("<section aria-labelledby=\"run\">\n<h2 id=\"run\">The run</h2>\n<dl>\n");
    let numbers = [
        counted(summary.packets, "packet"),
        counted(summary.flows, "connection"),
        counted(summary.exchanges, "HTTP exchange"),
        counted(summary.errors, "error"),
    ];
    html.described("Read", Some(numbers.join(", ")));
    html.described(
        "Not seen or lost",
        Some(match summary.unseen.is_empty() {
            true => "no unread TLS or HTTP/2, nothing undecoded and nothing lost".to_owned(),
            false => summary.unseen.join(", "),
        }),
    );
    html.described("Counted", (!summary.notes.is_empty()).then(|| summary.notes.join(". ")));
    html.markup("</dl>\n");
    if !facts.warnings.is_empty() {
        html.markup("<div class=\"warnings\">\n<h3>Warnings</h3>\n<ul>\n");
        for warning in facts.warnings {
            html.between("<li>", warning, "</li>\n");
        }
        html.markup("</ul>\n</div>\n");
    }
    let captures = facts.captures.iter().take(alert::MOST_ROWS);
    html.table("Captures", ["Capture", "Packets"], captures.map(|(name, packets)| [name.clone(), grouped(*packets)]));
    alert::more(html, facts.captures.len(), alert::MOST_ROWS);
    html.markup("</section>\n");
}

/// A number and the thing that it counts: `1 alert`, `2 alerts`.
fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}
