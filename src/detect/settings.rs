//! What the user may decide about the rule.
//!
//! In: validated configuration. Out: [`RuleSettings`]; [`RuleSettings::validate`] says what cannot be.

use std::time::Duration;

use crate::event::{Reason, ReasonSet};

/// How the rule looks at time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// At every multiple of the interval since the Unix epoch, count the look-back before it.
    #[default]
    Scheduled,
    /// Alert with the very packet that makes the count exceed the threshold within a sliding look-back.
    Streaming,
}

/// Who the rule says it is. The wording is this project's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleIdentity {
    /// `rule.id`, part of every alert's ID.
    pub id: String,
    /// `rule.name`.
    pub name: String,
    /// `rule.version`.
    pub version: u32,
}

impl Default for RuleIdentity {
    fn default() -> Self {
        Self {
            id: "5a0c9f3e-7d41-4b6e-9c58-2f1f0f6b8e10".into(),
            name: "Web server error spike from one client".into(),
            version: 1,
        }
    }
}

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSettings {
    /// Who the rule is.
    pub identity: RuleIdentity,
    /// More errors than this make an alert.
    pub threshold: u32,
    /// The look-back, at least a second.
    pub window: Duration,
    /// The interval between executions, at least a second.
    pub every: Duration,
    /// Alerts an execution at most; the largest counts first.
    pub max_alerts: usize,
    /// Scheduled or streaming.
    pub mode: Mode,
    /// How long after its time stamp an event still counts, in packet time.
    pub lateness: Duration,
    /// Which kinds of failure count toward the threshold.
    pub reasons: ReasonSet,
    /// After an alert, how long the same group raises no other (scheduled mode); `None` is never silent.
    pub suppress: Option<Duration>,
    /// In streaming mode, the shortest time between updates of one alert.
    pub update_every: Duration,
    /// Client addresses counted at once.
    pub max_clients: usize,
    /// Bytes of evidence (paths, user agents, tallies) held in all; counting goes on without.
    pub max_evidence_bytes: usize,
    /// Seed of the hashes: random in live use, fixed for replay.
    pub seed: u64,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            identity: RuleIdentity::default(),
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
            max_evidence_bytes: 64 << 20,
            seed: 0,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleSettingsError {
    /// The look-back is too short.
    #[error("the window must be at least one second")]
    WindowTooShort,
    /// The interval is too short.
    #[error("the interval between executions must be at least one second")]
    IntervalTooShort,
    /// A duration beyond what packet time can hold.
    #[error("window, interval and lateness must each be below 100 years")]
    TooLong,
    /// No alert could ever be written.
    #[error("at least one alert an execution must be allowed")]
    NoAlerts,
}

impl RuleSettings {
    /// The interval by which an alert's timeline counts: a minute where that makes no more than two hours of them, else
    /// what makes 60 to 120 of them.
    pub fn timeline_interval(&self) -> Duration {
        let seconds = self.window.as_secs();
        Duration::from_secs(match seconds {
            0..=120 => seconds.div_ceil(60).max(1),
            121..=7_200 => 60,
            _ => 60 * (seconds / 7_200 + 1),
        })
    }

    /// Says what cannot be.
    pub fn validate(&self) -> Result<(), RuleSettingsError> {
        const SECOND: Duration = Duration::from_secs(1);
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        if self.window < SECOND {
            return Err(RuleSettingsError::WindowTooShort);
        }
        if self.every < SECOND {
            return Err(RuleSettingsError::IntervalTooShort);
        }
        if self.window > CENTURY || self.every > CENTURY || self.lateness > CENTURY {
            return Err(RuleSettingsError::TooLong);
        }
        if self.max_alerts == 0 {
            return Err(RuleSettingsError::NoAlerts);
        }
        Ok(())
    }
}
