//! Which part of a replay is wanted.
//!
//! In: times and clients as they were typed. Out: [`Selection`]. A time without a zone is in UTC.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::time::Timestamp;

use super::{ConfigError, given::Given, meaning::Meaning};

/// Which packets and which clients of a replay are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Packets of these times; `None` is all.
    pub times: Option<RangeInclusive<Timestamp>>,
    /// True clients; empty is all.
    pub clients: Vec<IpNet>,
}

impl Selection {
    /// Reads the words of `--since`, `--until` and `--client`.
    ///
    /// # Errors
    ///
    /// A word that is no time or no client, or times that hold nothing.
    pub fn read(since: Option<&str>, until: Option<&str>, clients: &[String]) -> Result<Self, ConfigError> {
        let refused = |place: &str, reason| ConfigError::Value { place: place.to_owned(), reason };
        let time =
            |flag, word: Option<&str>| word.map(|word| time(word).map_err(|reason| refused(flag, reason))).transpose();
        let (start, end) = (time("--since", since)?, time("--until", until)?);
        let range = start.unwrap_or(Timestamp::EPOCH)..=end.unwrap_or(Timestamp::MAX);
        if range.is_empty() {
            let reason = format!("{} is before --since, {}; exchange the two", range.end(), range.start());
            return Err(refused("--until", reason));
        }
        let instead = |reason| refused("--client", format!("{reason}; write for example --client 192.0.2.10"));
        let words = Given::Words(clients.to_vec());
        let clients = if clients.is_empty() { Vec::new() } else { Vec::read(&words).map_err(instead)? };
        Ok(Self { times: (since.is_some() || until.is_some()).then_some(range), clients })
    }
}

/// Reads an RFC 3339 time with or without a zone, a date, or seconds since the Unix epoch.
fn time(word: &str) -> Result<Timestamp, String> {
    let word = word.trim();
    seconds(word).or_else(|| date_time(word)).ok_or_else(|| {
        format!(
            "'{word}' is not a time from 1970 to 2554; write 2026-11-24T21:40:00Z, the same without Z (UTC), 2026-11-24, or \
             seconds since the Unix epoch"
        )
    })
}

fn seconds(word: &str) -> Option<Timestamp> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Timestamp::from_parts(whole.parse().ok()?, nanos))
}

fn date_time(word: &str) -> Option<Timestamp> {
    let zoned = || word.parse::<jiff::Timestamp>().ok();
    let in_utc = || {
        let civil = word.parse::<jiff::civil::DateTime>().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
    };
    let nanos = zoned().or_else(in_utc)?.as_nanosecond();
    u64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (word, nanos) in [
            ("2026-11-24T21:40:00Z", 1_795_556_400_000_000_000u64),
            ("2026-11-24T23:40:00+02:00", 1_795_556_400_000_000_000),
            ("2026-11-24T21:40:00", 1_795_556_400_000_000_000),
            ("2026-11-24 21:40", 1_795_556_400_000_000_000),
            ("2026-11-24T21:40:00.5Z", 1_795_556_400_500_000_000),
            ("2026-11-24", 1_795_478_400_000_000_000),
            ("1795556400", 1_795_556_400_000_000_000),
            ("1795556400.000000001", 1_795_556_400_000_000_001),
            ("0", 0),
        ] {
            assert_eq!(time(word), Ok(Timestamp::from_nanos(nanos)), "{word}");
        }
        for word in ["", "yesterday", "-1", "1e9", "2026-13-01", "24.11.2026", "1969-12-31", "1.", ".5", "1.0000000001"]
        {
            assert!(time(word).unwrap_err().starts_with(&format!("'{word}' is not a time")), "{word}");
        }
    }

    #[test]
    fn a_selection_that_holds_nothing_is_refused() {
        let said = |since, until, clients: &[&str]| {
            let clients: Vec<_> = clients.iter().map(|&client| client.to_owned()).collect();
            Selection::read(since, until, &clients).map_err(|error| error.to_string())
        };
        assert_eq!(said(None, None, &[]), Ok(Selection::default()));
        assert_eq!(said(Some("5"), None, &[]).unwrap().times.unwrap(), Timestamp::from_parts(5, 0)..=Timestamp::MAX);
        assert_eq!(said(None, None, &["192.0.2.1", "2001:db8::/32"]).unwrap().clients.len(), 2);
        assert_eq!(
            said(Some("6"), Some("5"), &[]).unwrap_err(),
            "--until: 1970-01-01T00:00:05.000000000Z is before --since, 1970-01-01T00:00:06.000000000Z; exchange the two"
        );
        assert!(said(Some("now"), None, &[]).unwrap_err().starts_with("--since: 'now' is not a time"));
        assert_eq!(
            said(None, None, &["somebody"]).unwrap_err(),
            "--client: 'somebody' is not an address or a network, such as 192.0.2.10 or 192.0.2.0/24; write for example \
             --client 192.0.2.10"
        );
    }
}
