//! A timeline as bars.
//!
//! In: the minutes of an alert. Out: at most [`MOST_BARS`] bars, each for the same number of minutes. Promises: what is added up
//! over servers and minutes loses no request and no error.

use super::super::{alert_document::Minute, timeline::joined, times_in_words::utc};
use crate::telemetry::summary::grouped;

/// The most bars.
const MOST_BARS: i64 = 6;
/// Columns of the longest bar.
const BAR_COLUMNS: u64 = 24;
/// Seconds.
const DAY: i64 = 24 * 60 * 60;

/// The lines of the chart: the time, a bar, the numbers.
pub(super) fn lines(minutes: &[Minute]) -> Vec<String> {
    let (bars, _) = joined(minutes, MOST_BARS);
    let most = bars.iter().map(|bar| bar.requests.max(bar.errors())).max().unwrap_or_default();
    let is_one_day = match (bars.first(), bars.last()) {
        (Some(first), Some(last)) => first.start.div_euclid(DAY) == last.start.div_euclid(DAY),
        _ => true,
    };
    let form = if is_one_day { "%H:%M" } else { "%m-%d %H:%M" };
    bars.iter().map(|bar| format!("{}  {}  {}", utc(bar.start, form), drawn(bar, most), numbers(bar))).collect()
}

/// A bar as wide as the requests, with the errors dark at its left.
fn drawn(bar: &Minute, most: u64) -> String {
    let wide = |count: u64| {
        let columns = u128::from(count) * u128::from(BAR_COLUMNS) / u128::from(most.max(1));
        // What happened is seen, however little it is.
        u64::try_from(columns).unwrap_or_default().max(u64::from(count > 0))
    };
    let errors = wide(bar.errors());
    let all = wide(bar.requests.max(bar.errors())).max(errors);
    let run = |character: &str, count: u64| character.repeat(count as usize);
    format!("{}{}{}", run("█", errors), run("░", all - errors), run(" ", BAR_COLUMNS.saturating_sub(all)))
}

fn numbers(bar: &Minute) -> String {
    if bar.requests == 0 && bar.errors() == 0 {
        return "nothing".to_owned();
    }
    let classes = [(bar.client_errors, "4xx"), (bar.server_errors, "5xx"), (bar.other_errors, "none")];
    let classes: Vec<String> = classes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, class)| format!("{} {class}", grouped(*count)))
        .collect();
    let of = if bar.requests > 0 { format!(" of {}", grouped(bar.requests)) } else { String::new() };
    if classes.is_empty() { format!("0 errors{of}") } else { format!("{}{of}", classes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: i64, requests: u64, client_errors: u64, server_errors: u64) -> Minute {
        let start = 1_795_556_400 + number * 60;
        Minute {
            start,
            server: String::new(),
            requests,
            client_errors,
            server_errors,
            other_errors: 0,
            distinct_paths: None,
        }
    }

    #[test]
    fn bars_are_as_long_as_their_requests() {
        let lines = lines(&[minute(0, 24, 12, 0), minute(0, 24, 12, 6), minute(2, 1, 1, 0)]);
        assert_eq!(
            lines,
            [
                "21:40  ███████████████░░░░░░░░░  24 4xx, 6 5xx of 48",
                "21:41                            nothing",
                "21:42  █                         1 4xx of 1",
            ]
        );
    }

    #[test]
    fn a_long_timeline_names_the_days() {
        let far = [minute(0, 1, 1, 0), minute(100_000_000, 1, 1, 0)];
        let lines = lines(&far);
        assert!(lines.len() as i64 <= MOST_BARS && lines[0].starts_with("11-24 21:40  "), "{lines:?}");
    }
}
