//! The times in an alert's document, for people.
//!
//! In: times as JSON has them. Out: seconds since the Unix epoch, and words. Promises: a text that is no time is shown as it is,
//! printable.

use serde_json::Value;

use crate::printable::printable;

/// The start and the end of an object that has both.
pub(super) fn span(value: &Value) -> Option<[&str; 2]> {
    Some([value.get("start")?.as_str()?, value.get("end")?.as_str()?])
}

/// Two times with their day, which is named once where it is the same.
pub(super) fn span_in_words(start: &str, end: &str) -> String {
    let [from, to] = [start, end].map(|text| in_utc(text, "%Y-%m-%d %H:%M:%S"));
    let of_day = in_utc(end, "%H:%M:%S");
    let same_day = from.get(..10).is_some_and(|day| to.starts_with(day));
    format!("{from} to {} UTC", if same_day { of_day } else { to })
}

fn in_utc(text: &str, form: &str) -> String {
    text.parse::<jiff::Timestamp>()
        .map_or_else(|_| printable(text).into_owned(), |time| time.strftime(form).to_string())
}

/// A time in seconds since the Unix epoch, as UTC in a form of `strftime`.
pub(super) fn utc(seconds: i64, form: &str) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.strftime(form).to_string()).unwrap_or_default()
}

/// The seconds since the Unix epoch of a time.
pub(super) fn seconds_of(value: &Value) -> Option<i64> {
    value.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}
