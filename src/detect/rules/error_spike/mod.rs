//! The reference rule: one client causes more errors on one sensor than the threshold allows within the look-back.
//!
//! In: errors, as matched by [`Errors`], and packet time. Out: alerts by client. Promises: counts are exact for any order of
//! errors within the lateness; a later error counts in its own windows, which are executed again; alerts, their order and
//! their IDs depend only on the errors; memory is bounded by [`ErrorSpikeSettings`] and the text pool; everything that is left
//! out is counted.
//!
//! `engine` counts errors. `scheduled` executes scheduled windows, and `late` those of errors that come after them. `streaming` has
//! the sliding look-back. `clients` and `client` hold the counts, `given_up` those of clients without a place. `record` and
//! `evidence` hold the details of the errors. `snapshot` holds the state that survives a restart.

mod client;
mod clients;
mod engine;
mod evidence;
mod given_up;
mod late;
mod near;
mod record;
mod scheduled;
mod settings;
mod snapshot;
mod streaming;

pub use self::{
    engine::{ErrorSpike, ErrorSpikeCounters},
    settings::{ErrorSpikeSettings, ErrorSpikeSettingsError},
    snapshot::Snapshot,
};

use std::borrow::Cow;

use self::engine::layout;
use crate::{
    detect::{
        Alert, AttackEntry, Filter, Matched, Mode, NearMiss, Rule, RuleContext, RuleIdentity, Severity, SnapshotError,
        Threat,
    },
    event::Reason,
    exchange::{Exchange, Observation},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// The rule's identity. The texts were written for this project.
const IDENTITY: RuleIdentity = RuleIdentity {
    name: Cow::Borrowed("error_spike"),
    id: Cow::Borrowed("5a0c9f3e-7d41-4b6e-9c58-2f1f0f6b8e10"),
    title: Cow::Borrowed("Web server error spike from one client"),
    version: 1,
    summary: Cow::Borrowed("One client that causes more errors than a threshold within a window"),
    description: Cow::Borrowed(
        "One client caused more failed web requests on the servers this sensor watches than the threshold allows within the look-back.",
    ),
    reference: Cow::Borrowed(
        "https://github.com/elastic/detection-rules/blob/main/rules/cross-platform/reconnaissance_web_server_unusual_spike_in_error_logs.toml",
    ),
    severity: Severity::Low,
    risk_score: 21,
    threat: Threat {
        tactics: Cow::Borrowed(&[AttackEntry::new("TA0043", "Reconnaissance")]),
        techniques: Cow::Borrowed(&[AttackEntry::new("T1595", "Active Scanning")]),
        subtechniques: Cow::Borrowed(&[
            AttackEntry::new("T1595.002", "Vulnerability Scanning"),
            AttackEntry::new("T1595.003", "Wordlist Scanning"),
        ]),
    },
    is_inferred: false,
};

/// Matches every error, whatever its reason. Errors with a reason that does not count have a counter of their own.
#[derive(Debug, Clone, Copy)]
pub struct Errors;

impl Filter for Errors {
    #[inline]
    fn matches(&self, _: &Exchange, reason: Option<Reason>) -> bool {
        reason.is_some()
    }
}

impl Rule for ErrorSpike {
    type Settings = ErrorSpikeSettings;
    type Filter = Errors;
    type Snapshot<'a> = Snapshot<'a>;

    const IDENTITY: RuleIdentity = IDENTITY;
    const IS_DEFAULT: bool = true;
    const STAGE: &'static str = "detect";
    const ALERT_COUNTERS: &'static [&'static str] =
        &["executions_with_alerts", "alerts", "alerts_truncated", "alerts_suppressed", "alerts_left_out"];

    fn new(settings: ErrorSpikeSettings, context: &RuleContext) -> Self {
        Self::begin(settings, context)
    }

    fn filter(_: &ErrorSpikeSettings) -> Errors {
        Errors
    }

    fn settings(&self) -> &ErrorSpikeSettings {
        &self.settings
    }

    /// Does nothing: this rule needs only errors, which it gets through `take`.
    #[inline]
    fn observe(&mut self, _: &Observation, _: Timestamp, _: &mut Vec<Alert>) {}

    fn take(&mut self, matched: &Matched<'_>, alerts: &mut Vec<Alert>) {
        self.count(matched, alerts);
    }

    fn reached(&self) -> Option<Timestamp> {
        self.watermark
    }

    fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        self.reach(watermark, alerts);
    }

    fn go_back(&mut self, to: Timestamp, alerts: &mut Vec<Alert>) {
        self.set_back(to, alerts);
    }

    fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        self.end(last, alerts);
    }

    fn note_loss(&mut self, lost: Stretch) {
        self.losses.note(lost);
    }

    fn snapshot(&self) -> Snapshot<'_> {
        self.take_snapshot()
    }

    fn into_owned(snapshot: Snapshot<'_>) -> Snapshot<'static> {
        snapshot.into_owned()
    }

    fn limit(snapshot: &mut Snapshot<'_>, bytes: usize) -> usize {
        snapshot.limit(bytes)
    }

    fn groups_in(snapshot: &Snapshot<'_>) -> usize {
        snapshot.clients()
    }

    fn restore(
        settings: ErrorSpikeSettings,
        context: &RuleContext,
        snapshot: Snapshot<'_>,
    ) -> Result<Self, SnapshotError> {
        Self::go_on(settings, context, snapshot)
    }

    fn reconfigure(&mut self, settings: ErrorSpikeSettings, context: &RuleContext) -> Result<(), SnapshotError> {
        self.change(settings, context)
    }

    fn retires_at(&self, now: Timestamp) -> Timestamp {
        let ErrorSpikeSettings { mode, every, window, lateness, .. } = self.settings;
        match mode {
            Mode::Scheduled => now.floor_to(every).plus(every).plus(lateness),
            Mode::Streaming => now.plus(window),
        }
    }

    fn retire(&mut self, now: Timestamp, until: Timestamp, alerts: &mut Vec<Alert>) {
        if now < until || self.settings.mode == Mode::Streaming {
            self.end(now, alerts);
        }
    }

    fn counts(&self) -> Vec<Count> {
        self.counters().counts()
    }

    fn gauges(&self) -> Vec<Count> {
        self.held().into()
    }

    fn near_misses(&self) -> &[NearMiss] {
        self.near.nearest()
    }
}
