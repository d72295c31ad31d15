//! A timeline as bars.
//!
//! In: the minutes of an alert. Out: at most [`MOST_BARS`] bars, each for the same number of minutes. Promises: what is added up
//! over servers and minutes loses no request and no error.

use super::super::alert_document::{Minute, utc};
use crate::telemetry::summary::grouped;

/// The most bars.
const MOST_BARS: usize = 6;
/// Columns of the longest bar.
const BAR_COLUMNS: u64 = 24;
const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// The lines of the chart: the time, a bar, the numbers.
pub(super) fn lines(minutes: &[Minute]) -> Vec<String> {
    let bars = joined(minutes);
    let most = bars.iter().map(|bar| bar.requests.max(bar.errors())).max().unwrap_or_default();
    let is_one_day = match (bars.first(), bars.last()) {
        (Some(first), Some(last)) => first.start.div_euclid(DAY) == last.start.div_euclid(DAY),
        _ => true,
    };
    let form = if is_one_day { "%H:%M" } else { "%m-%d %H:%M" };
    bars.iter().map(|bar| format!("{}  {}  {}", utc(bar.start, form), drawn(bar, most), numbers(bar))).collect()
}

/// The same requests and errors in few bars. Minutes without a request between others have a bar too.
fn joined(minutes: &[Minute]) -> Vec<Minute> {
    let Some(first) = minutes.iter().map(|minute| minute.start).min() else { return Vec::new() };
    let last = minutes.iter().map(|minute| minute.start).max().unwrap_or(first);
    let count = last.saturating_sub(first) / MINUTE + 1;
    let each = (count - 1) / MOST_BARS as i64 + 1;
    let bar = |number: i64| Minute {
        start: first + number * each * MINUTE,
        server: String::new(),
        requests: 0,
        client_errors: 0,
        server_errors: 0,
        other_errors: 0,
        distinct_paths: None,
    };
    let mut bars: Vec<Minute> = (0..=(count - 1) / each).map(bar).collect();
    for minute in minutes {
        let number = minute.start.saturating_sub(first) / (each * MINUTE);
        let Some(bar) = usize::try_from(number).ok().and_then(|number| bars.get_mut(number)) else { continue };
        bar.requests += minute.requests;
        bar.client_errors += minute.client_errors;
        bar.server_errors += minute.server_errors;
        bar.other_errors += minute.other_errors;
    }
    bars
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
        let start = 1_795_556_400 + number * MINUTE;
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
    fn many_minutes_become_few_bars_and_nothing_is_lost() {
        for count in [1, 6, 7, 11, 12, 13, 1_000] {
            let minutes: Vec<Minute> = (0..count).map(|number| minute(number, 3, 2, 1)).collect();
            let bars = joined(&minutes);
            assert!(bars.len() <= MOST_BARS, "{count}: {}", bars.len());
            assert_eq!(bars.iter().map(|bar| bar.requests).sum::<u64>(), 3 * count as u64);
            assert_eq!(bars.iter().map(Minute::errors).sum::<u64>(), 3 * count as u64);
        }
        let far = [minute(0, 1, 1, 0), minute(100_000_000, 1, 1, 0)];
        assert_eq!(joined(&far).len(), MOST_BARS);
        assert!(lines(&far)[0].starts_with("11-24 21:40  "));
    }
}
