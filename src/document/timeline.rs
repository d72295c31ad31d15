//! Minutes of a timeline, joined so that they fit a chart.
//!
//! In: the minutes of an alert. Out: fewer, longer stretches of equal length. Promises: no request and no error is lost; minutes
//! without a request between others are there too.

use super::alert_document::Minute;

/// Seconds.
const MINUTE: i64 = 60;

/// Adds up minutes, over servers too, into at most `most` stretches. Returns them and the minutes of each.
pub(super) fn joined(minutes: &[Minute], most: i64) -> (Vec<Minute>, i64) {
    let Some(first) = minutes.iter().map(|minute| minute.start).min() else { return (Vec::new(), 1) };
    let last = minutes.iter().map(|minute| minute.start).max().unwrap_or(first);
    let count = last.saturating_sub(first) / MINUTE + 1;
    let each = (count - 1) / most.max(1) + 1;
    let empty = |number: i64| Minute {
        start: first + number * each * MINUTE,
        server: String::new(),
        requests: 0,
        client_errors: 0,
        server_errors: 0,
        other_errors: 0,
        distinct_paths: None,
    };
    let mut stretches: Vec<Minute> = (0..=(count - 1) / each).map(empty).collect();
    for minute in minutes {
        let number = minute.start.saturating_sub(first) / (each * MINUTE);
        let Some(stretch) = usize::try_from(number).ok().and_then(|number| stretches.get_mut(number)) else { continue };
        stretch.requests += minute.requests;
        stretch.client_errors += minute.client_errors;
        stretch.server_errors += minute.server_errors;
        stretch.other_errors += minute.other_errors;
    }
    (stretches, each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_minutes_become_few_and_nothing_is_lost() {
        for (count, most) in [(1, 6), (6, 6), (7, 6), (11, 6), (12, 6), (13, 6), (1_000, 6), (1_000, 60)] {
            let minute = |number: i64| Minute {
                start: 1_795_556_400 + number * MINUTE,
                server: String::new(),
                requests: 4,
                client_errors: 2,
                server_errors: 1,
                other_errors: 1,
                distinct_paths: None,
            };
            let minutes: Vec<Minute> = (0..count).map(minute).collect();
            let (joined, each) = joined(&minutes, most);
            assert!(joined.len() as i64 <= most && joined.len() as i64 * each >= count, "{count}: {}", joined.len());
            assert_eq!(joined.iter().map(|minute| minute.requests).sum::<u64>(), 4 * count as u64);
            assert_eq!(joined.iter().map(Minute::errors).sum::<u64>(), 4 * count as u64);
        }
    }
}
