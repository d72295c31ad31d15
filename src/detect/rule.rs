//! The interface of a rule.
//!
//! In: observations of every final exchange, the exchanges that the rule's own filter matched, and packet time. Out: alerts,
//! and a snapshot from which a later run continues. Promises of every rule: its alerts depend only on this input; its memory
//! is bounded; its texts are charged to the [`TextPool`]; everything that it leaves out is counted.

use std::{fmt::Debug, sync::Arc};

use serde::Serialize;

use super::{Alert, NearMiss, RuleIdentity, SnapshotError, text_pool::TextPool};
use crate::{
    event::{Dataset, ErrorEvent, Reason, Site},
    exchange::{Exchange, Observation, Turn},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// The values that all rules of a sensor share.
#[derive(Debug, Clone, Default)]
pub struct RuleContext {
    /// The site.
    pub site: Arc<Site>,
    /// The budget of memory for evidence.
    pub pool: TextPool,
    /// Seed of the hash tables: random in live use, fixed for replay.
    pub seed: u64,
}

/// An exchange that a rule's filter matched.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// The observation of the exchange.
    pub observation: &'a Observation,
    /// The exchange with its texts.
    pub exchange: &'a Exchange,
    /// The reason why the exchange is an error, if it is one.
    pub reason: Option<Reason>,
    /// The dataset that the exchange belongs to.
    pub dataset: Dataset,
    /// The time of the packet that decided the exchange.
    pub now: Timestamp,
}

impl<'a> Matched<'a> {
    /// Makes the matched exchange of an error event.
    pub fn of(event: &'a ErrorEvent) -> Self {
        Self {
            observation: &event.observation,
            exchange: &event.exchange,
            reason: Some(event.reason),
            dataset: event.dataset(),
            now: event.seen,
        }
    }
}

/// Selects the exchanges that a rule sees with their texts. A filter runs on the threads that decide exchanges, for every
/// final exchange. It must be cheap and must keep no state.
pub trait Filter: Debug + Clone + Send {
    /// Returns whether the rule wants this exchange. `reason` is the reason why the exchange is an error, if it is one.
    fn matches(&self, exchange: &Exchange, reason: Option<Reason>) -> bool;
}

/// A running rule.
pub trait Rule: Sized + Send {
    /// The user's settings for the rule.
    type Settings: Debug + Clone + Default;
    /// The filter that selects the exchanges that the rule sees with their texts.
    type Filter: Filter;
    /// The state from which a later run continues.
    type Snapshot<'a>: Debug + Serialize
    where
        Self: 'a;

    /// The rule's identity.
    const IDENTITY: RuleIdentity;
    /// Whether the rule runs when the configuration does not list rules.
    const IS_DEFAULT: bool;
    /// The stage that the rule's counters are shown under.
    const STAGE: &'static str;
    /// The names of the counters that count alerts, not exchanges. When a reload changes a rule's windows, the old rule runs
    /// beside the new rule until its last execution. During this time, only these counters of the old rule are still added.
    const ALERT_COUNTERS: &'static [&'static str];

    /// Creates a rule that has seen nothing.
    fn new(settings: Self::Settings, context: &RuleContext) -> Self;

    /// Returns the rule's filter.
    fn filter(settings: &Self::Settings) -> Self::Filter;

    /// The settings.
    fn settings(&self) -> &Self::Settings;

    /// Observes a final exchange. `now` is the time of the packet that decided it.
    fn observe(&mut self, observation: &Observation, now: Timestamp, alerts: &mut Vec<Alert>);

    /// Takes an exchange that the filter matched. The same exchange was given to `observe` before.
    fn take(&mut self, matched: &Matched<'_>, alerts: &mut Vec<Alert>);

    /// Takes a request and its answer inside TLS, of which lengths and times alone are known. `now` is the time of the packet
    /// that decided it. A rule that needs none does nothing.
    fn turn(&mut self, _turn: &Turn, _now: Timestamp, _alerts: &mut Vec<Alert>) {}

    /// The latest packet time. `None` before the first packet.
    fn reached(&self) -> Option<Timestamp>;

    /// Moves packet time on to `watermark`, and executes every window that is due.
    fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>);

    /// Packet time goes on from an earlier time: the packets that follow should have come before those already seen.
    /// [`reached`](Self::reached) is `to` afterwards.
    fn go_back(&mut self, to: Timestamp, alerts: &mut Vec<Alert>);

    /// Ends the input, and executes all open windows. `last` is the time of the last packet.
    fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>);

    /// Notes that the sensor lost packets in this time. Counts of windows that contain it are lower bounds.
    fn note_loss(&mut self, lost: Stretch);

    /// Makes a snapshot of the open windows.
    fn snapshot(&self) -> Self::Snapshot<'_>;

    /// Copies a snapshot, so that it no longer borrows from the rule.
    fn into_owned(snapshot: Self::Snapshot<'_>) -> Self::Snapshot<'static>;

    /// Leaves groups out of a snapshot, those of the lowest rank first, until its JSON text takes about this many bytes.
    /// Returns how many were left out. A rule whose snapshots are small leaves out none.
    fn limit(_snapshot: &mut Self::Snapshot<'_>, _bytes: usize) -> usize {
        0
    }

    /// The number of groups in a snapshot.
    fn groups_in(snapshot: &Self::Snapshot<'_>) -> usize;

    /// Creates a rule that continues from a snapshot, which must have been taken with the same seed. The time between counts
    /// as lost.
    ///
    /// # Errors
    ///
    /// The settings do not have the windows of the snapshot.
    fn restore(
        settings: Self::Settings,
        context: &RuleContext,
        snapshot: Self::Snapshot<'_>,
    ) -> Result<Self, SnapshotError>;

    /// Replaces the settings.
    ///
    /// # Errors
    ///
    /// The new settings have other windows. The rule is then unchanged.
    fn reconfigure(&mut self, settings: Self::Settings, context: &RuleContext) -> Result<(), SnapshotError>;

    /// Returns the time at which the windows that are open at `now` will have been executed, for the case that another rule
    /// takes over.
    fn retires_at(&self, now: Timestamp) -> Timestamp;

    /// Ends the rule after another rule took over, and executes those windows that were open then and are still open.
    /// `until` is the result of [`retires_at`](Self::retires_at).
    fn retire(&mut self, now: Timestamp, until: Timestamp, alerts: &mut Vec<Alert>);

    /// The counters up to now.
    fn counts(&self) -> Vec<Count>;

    /// The gauges: what the rule holds now.
    fn gauges(&self) -> Vec<Count>;

    /// The groups that came nearest to an alert without one, the nearest first. A rule without a threshold has none.
    fn near_misses(&self) -> &[NearMiss] {
        &[]
    }
}
