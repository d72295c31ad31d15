//! One alert of a report.
//!
//! In: the document of an alert, and its number on the page. Out: an HTML article with the alert's sentence, its severity and verdict
//! with their reasons, the client's findings, the timeline, the other clients, and the next steps. Promises: a part that the document
//! does not have is left out; lists have a limit, and the article says how many entries are not shown.

use super::{
    super::alert_document::{AlertDocument, Found, Telltale},
    chart,
    html::Html,
};
use crate::telemetry::summary::grouped;

/// The most rows of a table, and the most values of a list.
pub(super) const MOST_ROWS: usize = 50;
const MOST_LISTED: usize = 20;

/// Appends the alert at a place of the ranking.
pub(super) fn append(html: &mut Html, alert: AlertDocument<'_>, place: u64) {
    html.markup("<article").attribute("class", alert.severity()).attribute("id", format!("alert-{place}"));
    html.attribute("aria-labelledby", format!("title-{place}")).markup(">\n<h3");
    html.attribute("id", format!("title-{place}")).markup(">").between("Alert ", &place.to_string(), ": ");
    html.text(&client(alert)).markup(" ");
    severity(html, alert);
    html.markup("</h3>\n");
    if let Some(sentence) = alert.sentence() {
        html.between("<p class=\"sentence\">", &sentence, "</p>\n");
    }
    html.markup("<dl>\n");
    html.described("Severity", Some(alert.severity_reasons().join("; ")));
    if let Some(verdict) = alert.verdict() {
        let tool = verdict.tool.map(|tool| format!(" by {tool}")).unwrap_or_default();
        let confidence = verdict.confidence.map(|confidence| format!(", confidence {confidence:.2}"));
        html.described("Verdict", Some(format!("{}{tool}{}", verdict.name, confidence.unwrap_or_default())));
    }
    html.described("Activity", alert.extent());
    html.described("Window", alert.window_in_words());
    html.described("Servers", Some(listed(alert.servers())));
    html.described("Statuses", Some(listed(alert.counted("status_codes", "status_code"))));
    html.described("gRPC statuses", Some(listed(alert.grpc_statuses())));
    html.described("User agents", Some(listed(alert.counted("user_agents", "user_agent"))));
    html.described("TLS", Some(listed(alert.tls())));
    html.described("Methods", Some(listed(alert.counted("methods", "method"))));
    html.described("Paths", Some(listed(alert.counted("paths", "path"))));
    let left_out = alert.left_out().map(|(limit, clients, errors)| {
        format!("{} clients with {} {}, by the {limit}", grouped(clients), grouped(errors), alert.noun())
    });
    html.described("Left out", Some(left_out.collect::<Vec<_>>().join("; ")));
    html.described("Largest left out", Some(listed(alert.largest_left_out())));
    html.described("Labels", Some(alert.labels().join(", ")));
    html.described("Techniques", Some(listed(alert.techniques())));
    html.described("Rule", alert.rule());
    html.described("Evidence", evidence(alert));
    html.described("ID", alert.id());
    html.markup("</dl>\n");
    list(html, "<h4>Why this verdict</h4>\n<ul>\n", alert.verdict().map(|v| v.reasons).unwrap_or_default(), "</ul>\n");
    found(html, &alert.found());
    telltales(html, &alert.telltales());
    let timeline = alert.timeline();
    if !timeline.is_empty() {
        html.markup("<h4>Timeline</h4>\n");
        chart::append(html, &timeline);
        more(html, timeline.len(), chart::MOST_ROWS);
    }
    list(html, "<h4>Who else</h4>\n<ul>\n", alert.others(), "</ul>\n");
    list(html, "<h4>Next steps</h4>\n<ol>\n", alert.next_steps(), "</ol>\n");
    html.markup("</article>\n");
}

/// Appends the severity as a word in a frame.
pub(super) fn severity(html: &mut Html, alert: AlertDocument<'_>) {
    let severity = alert.severity();
    html.markup("<span").attribute("class", format!("severity {severity}")).between(">", severity, "</span>");
}

/// The client, or who else the alert is about.
pub(super) fn client(alert: AlertDocument<'_>) -> String {
    let is_left_out = alert.kind().is_some_and(|kind| kind == "left_out");
    let other = if is_left_out { "clients left out" } else { "no single client" };
    alert.client().map_or_else(|| other.to_owned(), |client| client.into_owned())
}

/// Says how many entries there are beyond those shown.
pub(super) fn more(html: &mut Html, all: usize, shown: usize) {
    if all > shown {
        html.between("<p>And ", &grouped((all - shown) as u64), " more.</p>\n");
    }
}

fn evidence(alert: AlertDocument<'_>) -> Option<String> {
    let mut parts: Vec<String> = alert.grade().into_iter().collect();
    if alert.is_lower_bound() {
        parts.push("something in the window was not seen, so the numbers are lower bounds".to_owned());
    }
    parts.extend(alert.evidence_file().map(|file| format!("packets in {file}")));
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn listed(mut values: Vec<String>) -> String {
    let more = values.len().saturating_sub(MOST_LISTED);
    values.truncate(MOST_LISTED);
    if more > 0 {
        values.push(format!("and {} more", grouped(more as u64)));
    }
    values.join(", ")
}

/// A list with its title. Without entries there is none.
fn list<T: AsRef<str>>(html: &mut Html, before: &'static str, entries: Vec<T>, after: &'static str) {
    if entries.is_empty() {
        return;
    }
    html.markup(before);
    for entry in entries.iter().take(MOST_ROWS) {
        html.between("<li>", entry.as_ref(), "</li>\n");
    }
    html.markup(after);
    more(html, entries.len(), MOST_ROWS);
}

fn found(html: &mut Html, found: &[Found<'_>]) {
    if found.is_empty() {
        return;
    }
    html.markup("<h4>What it found</h4>\n");
    let row = |entry: &Found<'_>| {
        let method = entry.method.as_deref().unwrap_or("GET");
        [entry.status.clone(), method.to_owned(), entry.path.to_string(), entry.notes.join(", ")]
    };
    let heads = ["Status", "Method", "Path", "What it is"];
    html.table("Responses of use to this client", heads, found.iter().take(MOST_ROWS).map(row));
    more(html, found.len(), MOST_ROWS);
}

fn telltales(html: &mut Html, telltales: &[Telltale<'_>]) {
    if telltales.is_empty() {
        return;
    }
    html.markup("<h4>Tell-tales</h4>\n");
    let row = |telltale: &Telltale<'_>| {
        let Telltale { class, method, path, status, count } = telltale;
        let method = method.as_deref().unwrap_or("GET");
        [class.clone(), method.to_owned(), path.to_string(), status.clone(), grouped(*count)]
    };
    let heads = ["Class", "Method", "Path", "Status", "Count"];
    html.table("Requests as scanners and attackers make them", heads, telltales.iter().take(MOST_ROWS).map(row));
    more(html, telltales.len(), MOST_ROWS);
}
