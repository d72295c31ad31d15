//! The user's settings of the error spike rule.
//!
//! In: configuration. Out: [`ErrorSpikeSettings`]. [`ErrorSpikeSettings::validate`] refuses wrong settings and says what to
//! write instead.

use std::{fmt, time::Duration};

use crate::{
    detect::Mode,
    event::{Reason, ReasonSet},
};

/// Settings of the error spike rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorSpikeSettings {
    /// The threshold. More errors than this make an alert.
    pub threshold: u32,
    /// The look-back, at least one second.
    pub window: Duration,
    /// The interval between executions, at least one second.
    pub every: Duration,
    /// The most alerts of one execution. The groups with the most confirmed errors come first, then those with the most
    /// errors.
    pub max_alerts: usize,
    /// Scheduled or streaming.
    pub mode: Mode,
    /// The lateness: how long after its time stamp an event still counts, in packet time.
    pub lateness: Duration,
    /// The kinds of failure that count toward the threshold.
    pub reasons: ReasonSet,
    /// In scheduled mode, how long a group raises no other alert after an alert. `None` switches suppression off.
    pub suppress: Option<Duration>,
    /// In streaming mode, the shortest time between updates of one alert.
    pub update_every: Duration,
    /// The most client addresses that are counted at the same time.
    pub max_clients: usize,
}

impl Default for ErrorSpikeSettings {
    fn default() -> Self {
        Self {
            threshold: 50,
            window: Duration::from_secs(11 * 60),
            every: Duration::from_secs(10 * 60),
            max_alerts: 100,
            mode: Mode::Scheduled,
            lateness: Duration::from_secs(60),
            reasons: ReasonSet::EMPTY.with(Reason::HttpStatus),
            suppress: None,
            update_every: Duration::from_secs(60),
            max_clients: 2_000_000,
        }
    }
}

/// The reason why settings are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErrorSpikeSettingsError {
    /// The look-back is too short.
    #[error("the window must be at least one second")]
    WindowTooShort,
    /// The interval is too short.
    #[error("the interval between executions must be at least one second")]
    IntervalTooShort,
    /// A duration is too long for packet time.
    #[error("window, interval and lateness must each be below 100 years")]
    TooLong,
    /// The limit of alerts is 0, so no alert could ever be written.
    #[error("at least one alert an execution must be allowed")]
    NoAlerts,
    /// The look-back is shorter than the interval, so errors between two windows would never count.
    #[error(
        "the window ({}) is shorter than the interval ({}), so that errors between two windows would never count; write a window \
         of at least {}, or an interval (--every) of at most {}",
        Written(*window), Written(*every), Written(*every), Written(*window)
    )]
    WindowShorterThanInterval {
        /// The look-back.
        window: Duration,
        /// The interval.
        every: Duration,
    },
}

/// Displays a duration as the configuration writes it.
struct Written(Duration);

impl fmt::Display for Written {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        for (length, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
            if rest >= length {
                write!(out, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl ErrorSpikeSettings {
    /// The interval of an alert's timeline. It is one or two seconds for a look-back of up to two minutes, and one minute
    /// for a look-back of up to two hours. For a longer look-back, it is the number of minutes that gives 60 to 120
    /// intervals.
    pub fn timeline_interval(&self) -> Duration {
        let seconds = self.window.as_secs();
        Duration::from_secs(match seconds {
            0..=120 => seconds.div_ceil(60).max(1),
            121..=7_200 => 60,
            _ => 60 * (seconds / 7_200 + 1),
        })
    }

    /// Checks that the rule can run with these settings.
    ///
    /// # Errors
    ///
    /// The first setting that is refused, and what to write instead.
    pub fn validate(&self) -> Result<(), ErrorSpikeSettingsError> {
        const SECOND: Duration = Duration::from_secs(1);
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        if self.window < SECOND {
            return Err(ErrorSpikeSettingsError::WindowTooShort);
        }
        if self.every < SECOND {
            return Err(ErrorSpikeSettingsError::IntervalTooShort);
        }
        if self.window > CENTURY || self.every > CENTURY || self.lateness > CENTURY {
            return Err(ErrorSpikeSettingsError::TooLong);
        }
        if self.max_alerts == 0 {
            return Err(ErrorSpikeSettingsError::NoAlerts);
        }
        if self.mode == Mode::Scheduled && self.window < self.every {
            let (window, every) = (self.window, self.every);
            return Err(ErrorSpikeSettingsError::WindowShorterThanInterval { window, every });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_miss_errors_are_refused_with_what_to_write_instead() {
        let settings = |window, every, mode| ErrorSpikeSettings {
            window: Duration::from_secs(window),
            every: Duration::from_secs(every),
            mode,
            ..ErrorSpikeSettings::default()
        };
        assert_eq!(ErrorSpikeSettings::default().validate(), Ok(()));
        assert_eq!(settings(600, 600, Mode::Scheduled).validate(), Ok(()));
        assert_eq!(settings(60, 600, Mode::Streaming).validate(), Ok(()), "a sliding window misses nothing");
        let refused = settings(90, 600, Mode::Scheduled).validate().unwrap_err().to_string();
        assert_eq!(
            refused,
            "the window (1m30s) is shorter than the interval (10m), so that errors between two windows would never count; write a \
             window of at least 10m, or an interval (--every) of at most 1m30s"
        );
        assert!(settings(0, 1, Mode::Scheduled).validate().is_err());
        assert!(settings(1, 0, Mode::Scheduled).validate().is_err());
    }
}
