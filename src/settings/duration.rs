//! Durations as people write them: `11m`, `90s`, `1h30m`, `500ms`.

use std::time::Duration;

/// Parses a duration of one or more numbers with units: `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
///
/// A sentence that says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let complaint =
        || format!("'{text}' is not a duration: write a number and a unit (ms, s, m, h, d), such as 11m or 90s");
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
        for text in ["", "11", "m", "-5s", "1.5h", "5 parsecs", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
