//! Packet time.
//!
//! In: seconds and fractions of a second, as capture files and kernels write them. Out: [`Timestamp`], which counts
//! nanoseconds since the Unix epoch and prints as RFC 3339. This module reads no clock. Its arithmetic saturates and never
//! overflows.

use std::{fmt, time::Duration};

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Two stamps that are further apart than this do not support each other.
pub const NEAR: Duration = Duration::from_secs(60);

/// A point in packet time: nanoseconds since the Unix epoch, from 1970 to 2554.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch, the earliest representable time.
    pub const EPOCH: Self = Self(0);
    /// The latest representable time.
    pub const MAX: Self = Self(u64::MAX);

    /// A time from nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time from whole seconds and nanoseconds since the Unix epoch.
    pub const fn from_parts(seconds: u64, nanos: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to `self`, or zero if `earlier` is after `self`.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns whether two stamps support each other: they are at most [`NEAR`] apart, in any order.
    pub fn is_near(self, other: Self) -> bool {
        self.max(other).since(self.min(other)) <= NEAR
    }

    /// The time `duration` after this one.
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// The time `duration` before this one, or the epoch if that would be before the epoch.
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// Rounds this time down to a multiple of `step`, counted from the epoch. A `step` of zero changes nothing.
    pub const fn floor_to(self, step: Duration) -> Self {
        let step = nanos(step);
        if step == 0 { self } else { Self(self.0 - self.0 % step) }
    }
}

/// A period of time that includes both of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first time of the period.
    pub start: Timestamp,
    /// The last time of the period; never before `start`.
    pub end: Timestamp,
}

impl Stretch {
    /// The period between two times, which may be given in any order.
    pub fn between(one: Timestamp, other: Timestamp) -> Self {
        Self { start: one.min(other), end: one.max(other) }
    }

    /// Returns the shortest period that contains both periods.
    pub fn with(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl From<Timestamp> for Stretch {
    fn from(time: Timestamp) -> Self {
        Self { start: time, end: time }
    }
}

/// Converts a duration to nanoseconds. The result saturates at 2^64 - 1 ns (584 years).
pub const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with nanoseconds: `2026-11-24T20:23:07.000000001Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, fraction) = (self.second_text(), self.fraction_text());
        [&second[..], &fraction].into_iter().try_for_each(|part| f.write_str(str::from_utf8(part).unwrap_or_default()))
    }
}

/// Bytes of a time as RFC 3339, up to the point after its second.
pub(crate) const SECOND_LENGTH: usize = 20;
/// Bytes of the fraction of a second, with the zone.
pub(crate) const FRACTION_LENGTH: usize = 10;

impl Timestamp {
    /// The time as RFC 3339, up to the point after its second.
    pub(crate) fn second_text(self) -> [u8; SECOND_LENGTH] {
        let (year, month, day) = date_of(self);
        let second = (self.0 / NANOS_PER_SECOND % 86_400) as u32;
        let mut text = *b"0000-00-00T00:00:00.";
        put_digits(&mut text[0..4], year as u32);
        put_digits(&mut text[5..7], month as u32);
        put_digits(&mut text[8..10], day as u32);
        put_digits(&mut text[11..13], second / 3600);
        put_digits(&mut text[14..16], second / 60 % 60);
        put_digits(&mut text[17..19], second % 60);
        text
    }

    /// What follows: the fraction of the second, and the zone.
    #[inline]
    pub(crate) fn fraction_text(self) -> [u8; FRACTION_LENGTH] {
        let nanos = self.0 % NANOS_PER_SECOND;
        let [a, b, c, d, e, f, g, h] = eight_digits(nanos / 10);
        [a, b, c, d, e, f, g, h, b'0' + (nanos % 10) as u8, b'Z']
    }
}

/// The digits of a number below 100,000,000. All are divided at once: first two halves of four digits, then four pairs, then
/// eight digits side by side in one word, the first in its lowest byte.
#[inline]
const fn eight_digits(number: u64) -> [u8; 8] {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | (pairs - 10 * tens) << 8;
    (digits + 0x3030_3030_3030_3030).to_le_bytes()
}

#[inline]
fn put_digits(text: &mut [u8], mut value: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a time in UTC.
fn date_of(time: Timestamp) -> (u64, u64, u64) {
    civil_from_days(time.0 / (86_400 * NANOS_PER_SECOND))
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
///
/// The calculation starts each year on 1 March, so that a leap day is the last day of its year. The calendar repeats every
/// 400 years (an era).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    const DAYS_FROM_0000_03_01: u64 = 719_468;
    let shifted = days + DAYS_FROM_0000_03_01;
    let (era, day_of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_time_prints_as_the_calendar_library_does(nanos in any::<u64>()) {
            let theirs = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap();
            prop_assert_eq!(Timestamp::from_nanos(nanos).to_string(), theirs.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string());
        }

        #[test]
        fn digits_are_those_that_formatting_prints(number in 0u64..100_000_000) {
            prop_assert_eq!(eight_digits(number).to_vec(), format!("{number:08}").into_bytes());
        }
    }

    #[test]
    fn prints_rfc_3339_as_the_calendar_library_does() {
        for seconds in [0u64, 951_782_399, 951_782_400, 1_709_164_800, 4_107_542_399, 4_107_542_400, 18_446_744_073] {
            let ours = Timestamp::from_parts(seconds, 7).to_string();
            let theirs: jiff::Timestamp = ours.parse().unwrap();
            assert_eq!(theirs.as_nanosecond(), i128::from(seconds) * 1_000_000_000 + 7, "{ours}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::MAX.plus(second), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.minus(second), Timestamp::EPOCH);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::from_parts(u64::MAX, u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_parts(119, 5).floor_to(Duration::from_secs(60)), Timestamp::from_parts(60, 0));
    }
}
