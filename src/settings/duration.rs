//! Durations as people write them: `11m`, `90s`, `1h30m`, `500ms`.
//!
//! In: text. Out: a [`Duration`], and text again. Promises: what `written` writes, [`parse_duration`] reads as the same duration.

use std::time::Duration;

/// The units that are written, largest first, in milliseconds.
const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration of one or more numbers with units: `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
///
/// A sentence that says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let complaint = || format!("'{text}' is not a duration: numbers with units (ms, s, m, h, d), such as 11m or 1h30m");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(complaint());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| complaint())?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(complaint()),
        };
        let part = number.checked_mul(milliseconds).ok_or_else(complaint)?;
        total = total.checked_add(Duration::from_millis(part)).ok_or_else(complaint)?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// A duration in whole milliseconds as people write it: `1h30m`.
pub(super) fn written(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, milliseconds) in UNITS {
        if rest >= milliseconds {
            text.push_str(&format!("{}{unit}", rest / milliseconds));
            rest %= milliseconds;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_refuses_the_rest() {
        for (text, milliseconds) in
            [("11m", 660_000), ("90s", 90_000), ("1h30m", 5_400_000), ("1h 5s", 3_605_000), ("250ms", 250), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "11", "m", "-5s", "-5m", "0", "1.5h", "5 parsecs", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["0s", "250ms", "3s", "1m", "11m", "1m30s", "1h30m", "2d", "1d1h1m1s1ms"] {
            assert_eq!(written(parse_duration(text).unwrap()), text);
        }
        assert_eq!(written(Duration::from_secs(90)), "1m30s");
    }
}
