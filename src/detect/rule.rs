//! What a rule is.
//!
//! In: observations of every final exchange, the exchanges that the rule's own filter matched, and packet time. Out: alerts,
//! and a snapshot that a later run goes on from. Promises of every rule: alerts depend on what it was fed and nothing else;
//! its memory is bounded, its texts are charged to the [`TextPool`], and what it leaves out is counted.

use std::{fmt::Debug, sync::Arc};

use serde::Serialize;

use super::{Alert, RuleIdentity, SnapshotError, text_pool::TextPool};
use crate::{
    event::{Dataset, ErrorEvent, Reason, Site},
    exchange::{Exchange, Observation},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// What all rules of a sensor share.
#[derive(Debug, Clone, Default)]
pub struct RuleContext {
    /// The site.
    pub site: Arc<Site>,
    /// The memory for evidence.
    pub pool: TextPool,
    /// Seed of the hash tables: random in live use, fixed for replay.
    pub seed: u64,
}

/// An exchange that a rule's filter matched.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// The exchange in short.
    pub observation: &'a Observation,
    /// The exchange, with its text.
    pub exchange: &'a Exchange,
    /// Why it is an error, if it is one.
    pub reason: Option<Reason>,
    /// Whose log it would be in.
    pub dataset: Dataset,
    /// The time of the packet that decided it.
    pub now: Timestamp,
}

impl<'a> Matched<'a> {
    /// The exchange of an error event.
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

/// Says which exchanges a rule wants to see with their text. A filter runs where exchanges are decided, on several threads,
/// for every final exchange: it must be cheap, and it remembers nothing.
pub trait Filter: Debug + Clone + Send {
    /// Returns whether the rule wants this exchange. `reason` says why it is an error, if it is one.
    fn matches(&self, exchange: &Exchange, reason: Option<Reason>) -> bool;
}

/// A rule at work.
pub trait Rule: Sized + Send {
    /// What the user may decide about the rule.
    type Settings: Debug + Clone + Default;
    /// Which exchanges the rule sees with their text.
    type Filter: Filter;
    /// What a later run goes on from.
    type Snapshot<'a>: Debug + Serialize
    where
        Self: 'a;

    /// Who the rule is.
    const IDENTITY: RuleIdentity;
    /// Whether the rule runs where nobody says which rules run.
    const IS_DEFAULT: bool;
    /// The stage that the rule's counters are shown under.
    const STAGE: &'static str;
    /// The counters that tell of alerts rather than of exchanges. A rule that is replaced by one with other windows goes on
    /// beside it for a while, and of the two only these counters of the old one still count.
    const ALERT_COUNTERS: &'static [&'static str];

    /// A rule that has seen nothing.
    fn new(settings: Self::Settings, context: &RuleContext) -> Self;

    /// The rule's filter.
    fn filter(settings: &Self::Settings) -> Self::Filter;

    /// The settings.
    fn settings(&self) -> &Self::Settings;

    /// Observes a final exchange; `now` is the time of the packet that decided it.
    fn observe(&mut self, observation: &Observation, now: Timestamp, alerts: &mut Vec<Alert>);

    /// Takes an exchange that the filter matched. It was observed before.
    fn take(&mut self, matched: &Matched<'_>, alerts: &mut Vec<Alert>);

    /// The latest packet time; `None` before the first.
    fn reached(&self) -> Option<Timestamp>;

    /// Packet time has reached `watermark`: executes every window that is due.
    fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>);

    /// The input is over, `last` is the last packet's time: executes what is open.
    fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>);

    /// The sensor lost packets in this time: windows that hold it are lower bounds.
    fn note_loss(&mut self, lost: Stretch);

    /// The open windows as they are now.
    fn snapshot(&self) -> Self::Snapshot<'_>;

    /// A copy of a snapshot that the rule does not lend.
    fn into_owned(snapshot: Self::Snapshot<'_>) -> Self::Snapshot<'static>;

    /// Groups in a snapshot.
    fn groups_in(snapshot: &Self::Snapshot<'_>) -> usize;

    /// A rule that goes on from a snapshot, taken under the same seed. The time between counts as loss.
    ///
    /// # Errors
    ///
    /// Settings under which the snapshot's windows mean something else.
    fn restore(
        settings: Self::Settings,
        context: &RuleContext,
        snapshot: Self::Snapshot<'_>,
    ) -> Result<Self, SnapshotError>;

    /// Goes on under other settings.
    ///
    /// # Errors
    ///
    /// Settings under which the open windows mean something else. The rule is as before then.
    fn reconfigure(&mut self, settings: Self::Settings, context: &RuleContext) -> Result<(), SnapshotError>;

    /// When the windows that are open at `now` have been executed, where another rule takes over.
    fn retires_at(&self, now: Timestamp) -> Timestamp;

    /// Another rule has taken over: executes what is left of the windows that were open then. `until` is what
    /// [`retires_at`](Self::retires_at) said.
    fn retire(&mut self, now: Timestamp, until: Timestamp, alerts: &mut Vec<Alert>);

    /// What was counted so far.
    fn counts(&self) -> Vec<Count>;

    /// What is held now.
    fn gauges(&self) -> Vec<Count>;
}
