//! Maintenance windows.
//!
//! In: a name, a period, and perhaps the servers it is for. Out: whether an alert lies within it. Promises: the whole extent
//! of the alert must lie within one occurrence, and all its servers must be among those of the window. Times are UTC.

use ipnet::IpNet;

use super::Subject;
use crate::time::Timestamp;

const DAY: u64 = 86_400;
/// The names of weekdays, in the order of [`Daily::days`].
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// 1 January 1970 was a Thursday.
const WEEKDAY_OF_EPOCH: u64 = 3;

/// One maintenance window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Its name.
    pub name: String,
    /// When it is.
    pub period: Period,
    /// The networks of the servers it is for; empty for all.
    pub servers: Vec<IpNet>,
}

/// When a window is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Period {
    /// Once.
    Once {
        /// The first time in it.
        start: Timestamp,
        /// The first time after it.
        end: Timestamp,
    },
    /// Again and again.
    Daily(Daily),
}

/// A time of day, on some weekdays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Daily {
    /// Minutes from midnight to the start.
    start: u64,
    /// Minutes from midnight to the end. An end before the start is on the next day.
    end: u64,
    /// Whether it starts on each weekday, Monday first.
    days: [bool; 7],
}

/// Why a window is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaintenanceError {
    /// Not two times of day.
    #[error("'{0}' is not a time of day; write for example 22:00-23:30")]
    TimeOfDay(String),
    /// It starts and ends at the same time.
    #[error("'{0}' has no length; write 00:00-24:00 for the whole day")]
    Empty(String),
    /// Not a weekday.
    #[error("'{0}' is not a weekday; the weekdays are mon, tue, wed, thu, fri, sat and sun")]
    Day(String),
}

impl Maintenance {
    /// The label of alerts within it.
    pub fn label(&self) -> String {
        format!("maintenance: {}", self.name)
    }

    /// Returns whether an alert lies within it.
    pub(super) fn covers(&self, subject: &Subject) -> bool {
        let Some((first, last)) = subject.extent else { return false };
        let holds =
            |server: &crate::address::Address| self.servers.iter().any(|network| network.contains(&server.to_ip()));
        let is_of_servers = self.servers.is_empty() || subject.has_all_servers && subject.servers.iter().all(holds);
        is_of_servers && self.period.covers(first, last)
    }
}

impl Period {
    fn covers(&self, first: Timestamp, last: Timestamp) -> bool {
        match self {
            Self::Once { start, end } => *start <= first && first <= last && last < *end,
            Self::Daily(daily) => daily.covers(first, last),
        }
    }
}

impl Daily {
    /// Reads a time of day such as `22:00-23:30` and weekdays such as `sat`; no weekday means every day.
    ///
    /// # Errors
    ///
    /// What is neither a time of day nor a weekday.
    pub fn new(times: &str, days: &[impl AsRef<str>]) -> Result<Self, MaintenanceError> {
        let refused = || MaintenanceError::TimeOfDay(times.to_owned());
        let (start, end) = times.split_once('-').ok_or_else(refused)?;
        let [start, end] = [start, end].map(|time| minutes(time.trim()));
        let (start, end) = (start.filter(|start| start * 60 < DAY).ok_or_else(refused)?, end.ok_or_else(refused)?);
        if start == end {
            return Err(MaintenanceError::Empty(times.to_owned()));
        }
        let mut chosen = [days.is_empty(); 7];
        for day in days {
            let day = day.as_ref();
            let place = DAYS.iter().position(|name| *name == day).and_then(|index| chosen.get_mut(index));
            *place.ok_or_else(|| MaintenanceError::Day(day.to_owned()))? = true;
        }
        Ok(Self { start, end, days: chosen })
    }

    /// The times as [`new`](Self::new) reads them.
    pub fn times(&self) -> String {
        let [start, end] = [self.start, self.end].map(|time| format!("{:02}:{:02}", time / 60, time % 60));
        format!("{start}-{end}")
    }

    /// The weekdays as [`new`](Self::new) reads them.
    pub fn days(&self) -> Vec<&'static str> {
        if self.days == [true; 7] {
            return Vec::new();
        }
        DAYS.iter().zip(self.days).filter(|(_, is_chosen)| *is_chosen).map(|(name, _)| *name).collect()
    }

    fn covers(&self, first: Timestamp, last: Timestamp) -> bool {
        let end = if self.end > self.start { self.end } else { self.end + DAY / 60 };
        let today = first.as_nanos() / 1_000_000_000 / DAY;
        // An occurrence that holds the first error has started on its day or on the day before.
        [Some(today), today.checked_sub(1)].into_iter().flatten().any(|day| {
            let starts_then = self.days.get(((day + WEEKDAY_OF_EPOCH) % 7) as usize).is_some_and(|starts| *starts);
            let [start, end] = [self.start, end].map(|minutes| Timestamp::from_parts(day * DAY + minutes * 60, 0));
            starts_then && Period::Once { start, end }.covers(first, last)
        })
    }
}

/// Minutes from midnight to `HH:MM`, at most 24:00.
fn minutes(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u64>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all * 60 <= DAY).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn time(text: &str) -> Timestamp {
        Timestamp::from_nanos(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as u64)
    }

    fn subject(first: &str, last: &str) -> Subject {
        Subject {
            client: None,
            extent: Some((time(first), time(last))),
            servers: vec![Address::v4([203, 0, 113, 80])],
            has_all_servers: true,
        }
    }

    #[test]
    fn the_whole_extent_lies_within_one_occurrence() {
        let daily = |times: &str, days: &[&str]| Period::Daily(Daily::new(times, days).unwrap());
        // 28 November 2026 is a Saturday.
        for (period, first, last, expected) in [
            (daily("22:00-23:30", &[]), "2026-11-28T22:00:00Z", "2026-11-28T23:29:59Z", true),
            (daily("22:00-23:30", &[]), "2026-11-28T22:00:00Z", "2026-11-28T23:30:00Z", false),
            (daily("22:00-23:30", &[]), "2026-11-28T21:59:59Z", "2026-11-28T22:10:00Z", false),
            (daily("22:00-23:30", &[]), "2026-11-28T22:10:00Z", "2026-11-29T22:10:00Z", false),
            (daily("22:00-02:00", &["sat"]), "2026-11-28T23:59:00Z", "2026-11-29T01:59:00Z", true),
            (daily("22:00-02:00", &["sat"]), "2026-11-29T00:10:00Z", "2026-11-29T01:59:00Z", true),
            (daily("22:00-02:00", &["sun"]), "2026-11-29T00:10:00Z", "2026-11-29T01:59:00Z", false),
            (daily("00:00-24:00", &["sat", "sun"]), "2026-11-29T00:00:00Z", "2026-11-29T23:59:59Z", true),
            (daily("00:00-24:00", &["mon"]), "2026-11-29T00:00:00Z", "2026-11-29T23:59:59Z", false),
        ] {
            let window = Maintenance { name: "x".into(), period, servers: Vec::new() };
            assert_eq!(window.covers(&subject(first, last)), expected, "{window:?} {first} {last}");
        }
        let once = Period::Once { start: time("2026-11-28T10:00:00Z"), end: time("2026-11-28T11:00:00Z") };
        assert!(once.covers(time("2026-11-28T10:00:00Z"), time("2026-11-28T10:59:59Z")));
        assert!(!once.covers(time("2026-11-28T10:00:00Z"), time("2026-11-28T11:00:00Z")));
    }

    #[test]
    fn all_servers_are_among_those_of_the_window() {
        let period = Period::Daily(Daily::new("00:00-24:00", &[""; 0]).unwrap());
        let window = Maintenance { name: "x".into(), period, servers: vec!["203.0.113.0/24".parse().unwrap()] };
        let at = "2026-11-28T10:00:00Z";
        assert!(window.covers(&subject(at, at)));
        let mut other = subject(at, at);
        other.servers.push(Address::v4([198, 51, 100, 1]));
        assert!(!window.covers(&other));
        assert!(!window.covers(&Subject { has_all_servers: false, ..subject(at, at) }));
        assert!(!window.covers(&Subject { extent: None, ..subject(at, at) }));
    }

    #[test]
    fn times_and_days_are_read_and_written_or_refused() {
        let daily = Daily::new("22:00-02:30", &["sun", "mon"]).unwrap();
        assert_eq!((daily.times().as_str(), daily.days()), ("22:00-02:30", vec!["mon", "sun"]));
        assert!(Daily::new("00:00-24:00", &[""; 0]).unwrap().days().is_empty());
        for times in
            ["", "22:00", "22:00-25:00", "24:00-25:00", "24:00-01:00", "2:00-03:00", "22:60-23:00", "+1:00-02:00"]
        {
            let refused = Daily::new(times, &[""; 0]);
            assert_eq!(refused, Err(MaintenanceError::TimeOfDay(times.into())));
        }
        assert_eq!(Daily::new("22:00-22:00", &[""; 0]), Err(MaintenanceError::Empty("22:00-22:00".into())));
        assert_eq!(Daily::new("22:00-23:00", &["funday"]), Err(MaintenanceError::Day("funday".into())));
    }
}
