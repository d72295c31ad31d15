//! A timeline as inline SVG.
//!
//! In: the minutes of an alert. Out: one bar for each stretch of time, with errors at its foot, and a label that says the same in
//! words. Promises: nothing is said by colour alone: a table with the same numbers stands below.

use super::{
    super::{alert_document::Minute, timeline::joined, times_in_words::utc},
    html::Html,
};
use crate::telemetry::summary::grouped;

/// The most bars, and the most rows of the table.
const MOST_BARS: i64 = 60;
pub(super) const MOST_ROWS: usize = 120;
/// The size of the drawing, without a unit.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 96;
/// The widest bar.
const WIDEST: u64 = 72;

/// Appends the chart.
pub(super) fn append(html: &mut Html, minutes: &[Minute]) {
    let (bars, each) = joined(minutes, MOST_BARS);
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return };
    let most = bars.iter().map(|bar| bar.requests.max(bar.errors())).max().unwrap_or_default().max(1);
    let [errors, requests] = [bars.iter().map(Minute::errors).sum::<u64>(), bars.iter().map(|bar| bar.requests).sum()];
    let [from, to] = [first.start, last.start].map(|start| utc(start, "%Y-%m-%d %H:%M"));
    let label = format!(
        "{} errors in {} requests, from {from} to {to} UTC; at most {} requests in {}",
        grouped(errors),
        grouped(requests),
        grouped(most),
        stretch(each),
    );
    html.markup("<figure>\n<svg role=\"img\"").attribute("viewBox", format!("0 0 {WIDTH} {HEIGHT}"));
    html.attribute("aria-label", &label).markup(" preserveAspectRatio=\"none\">\n");
    let step = (WIDTH / bars.len() as u64).min(WIDEST);
    for (bar, index) in bars.iter().zip(0u64..) {
        let mut foot = HEIGHT;
        let rest = bar.requests.saturating_sub(bar.errors());
        let parts = [
            ("server-errors", bar.server_errors),
            ("other-errors", bar.other_errors),
            ("client-errors", bar.client_errors),
            ("requests", rest),
        ];
        for (class, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
            // What happened is seen, however little it is.
            let scaled = u128::from(count) * u128::from(HEIGHT) / u128::from(most);
            let height = u64::try_from(scaled).unwrap_or(HEIGHT).clamp(2, HEIGHT);
            foot = foot.saturating_sub(height);
            html.markup("<rect").attribute("class", class).attribute("x", index * step).attribute("y", foot);
            html.attribute("width", step.saturating_sub(1).max(1)).attribute("height", height).markup("></rect>\n");
        }
    }
    html.markup("</svg>\n").between("<figcaption>", &label, " <span class=\"legend\">");
    html.markup("<span class=\"key server-errors\">5xx</span> <span class=\"key other-errors\">no status</span> ");
    html.markup("<span class=\"key client-errors\">4xx</span> <span class=\"key requests\">no error</span>");
    html.markup("</span></figcaption>\n</figure>\n<details>\n<summary>The timeline as a table</summary>\n");
    html.table("Requests and errors by minute and server", HEADS, minutes.iter().take(MOST_ROWS).map(row));
    html.markup("</details>\n");
}

const HEADS: [&str; 7] = ["Minute (UTC)", "Server", "Requests", "4xx", "5xx", "No status", "Distinct paths"];

fn row(minute: &Minute) -> [String; 7] {
    [
        utc(minute.start, "%Y-%m-%d %H:%M"),
        minute.server.clone(),
        grouped(minute.requests),
        grouped(minute.client_errors),
        grouped(minute.server_errors),
        grouped(minute.other_errors),
        minute.distinct_paths.map(grouped).unwrap_or_default(),
    ]
}

fn stretch(minutes: i64) -> String {
    if minutes == 1 { "one minute".to_owned() } else { format!("{minutes} minutes") }
}
