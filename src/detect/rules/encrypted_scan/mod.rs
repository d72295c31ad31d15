//! Scans inside TLS: one client gets more uniform answers from one server than the threshold allows, as far as lengths and times
//! show.
//!
//! In: turns, and packet time. Out: alerts by client and server, marked as inferred. Promises: nothing is decrypted; counts of turns
//! are exact for any order within the lateness; alerts, their order and their IDs depend only on the turns; memory is bounded;
//! everything that is left out is counted. This rule counts turns only. Errors that were read are counted by other rules, and the two
//! are never added.
//!
//! `tally` counts pairs of lengths, `estimate` says how many answers are uniform and how well that fits a scan, `engine` executes
//! windows, `streaming` has the sliding look-back.

mod engine;
mod estimate;
mod found;
mod order;
mod settings;
mod streaming;
mod tally;
#[cfg(test)]
mod testing;

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

pub use self::{
    engine::{EncryptedScan, EncryptedScanCounters},
    settings::EncryptedScanSettings,
};

use self::engine::{Cellwise, GroupKey, cells};
use crate::{
    detect::{
        Alert, AttackEntry, Filter, Matched, Mode, Rule, RuleContext, RuleIdentity, Severity, SnapshotError, Threat,
        cells::Cells, losses::Losses, places::Places,
    },
    event::Reason,
    exchange::{Exchange, Observation, Turn},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// The rule's identity. The texts were written for this project.
const IDENTITY: RuleIdentity = RuleIdentity {
    name: Cow::Borrowed("encrypted_scan"),
    id: Cow::Borrowed("c9d3b1a7-64e2-4f0b-8b1e-7a52d0c4e936"),
    title: Cow::Borrowed("Probable scan inside TLS by one client"),
    version: 1,
    summary: Cow::Borrowed(
        "One client that gets more answers of one length inside TLS than a threshold; inferred, without keys",
    ),
    description: Cow::Borrowed(
        "One client sent requests of varying length inside TLS and got answers of one length more often than the threshold allows within the look-back. The content was not read: lengths and times alone speak for a scan.",
    ),
    reference: Cow::Borrowed(""),
    severity: Severity::Low,
    risk_score: 15,
    threat: Threat {
        tactics: Cow::Borrowed(&[AttackEntry::new("TA0043", "Reconnaissance")]),
        techniques: Cow::Borrowed(&[AttackEntry::new("T1595", "Active Scanning")]),
        subtechniques: Cow::Borrowed(&[AttackEntry::new("T1595.003", "Wordlist Scanning")]),
    },
    is_inferred: true,
};

/// Matches no exchange: what can be read is counted by other rules.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Filter for Nothing {
    #[inline]
    fn matches(&self, _: &Exchange, _: Option<Reason>) -> bool {
        false
    }
}

/// The open windows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot<'a> {
    cells: Cells,
    streaming: bool,
    groups: Vec<(GroupKey, Cow<'a, Cellwise>)>,
    losses: Cow<'a, Losses>,
    watermark: Option<Timestamp>,
    next: Timestamp,
    places: Cow<'a, Places<GroupKey>>,
}

impl Rule for EncryptedScan {
    type Settings = EncryptedScanSettings;
    type Filter = Nothing;
    type Snapshot<'a> = Snapshot<'a>;

    const IDENTITY: RuleIdentity = IDENTITY;
    const IS_DEFAULT: bool = false;
    const STAGE: &'static str = "encrypted_scan";
    const ALERT_COUNTERS: &'static [&'static str] =
        &["unconvincing", "alerts", "alerts_truncated", "alerts_left_out", "alerts_postponed"];

    fn new(settings: EncryptedScanSettings, context: &RuleContext) -> Self {
        Self::begin(settings, context)
    }

    fn filter(_: &EncryptedScanSettings) -> Nothing {
        Nothing
    }

    fn settings(&self) -> &EncryptedScanSettings {
        &self.settings
    }

    /// Does nothing: this rule needs only turns.
    #[inline]
    fn observe(&mut self, _: &Observation, _: Timestamp, _: &mut Vec<Alert>) {}

    fn take(&mut self, _: &Matched<'_>, _: &mut Vec<Alert>) {}

    fn turn(&mut self, turn: &Turn, now: Timestamp, alerts: &mut Vec<Alert>) {
        self.count(turn, now, alerts);
    }

    fn reached(&self) -> Option<Timestamp> {
        self.watermark
    }

    fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        self.reach(watermark, alerts);
    }

    /// Turns of windows that were executed before are late.
    fn go_back(&mut self, to: Timestamp, alerts: &mut Vec<Alert>) {
        match self.settings.mode {
            Mode::Scheduled => self.watermark = Some(to),
            Mode::Streaming => self.set_back(to, alerts),
        }
    }

    fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        self.end(last, alerts);
    }

    fn note_loss(&mut self, lost: Stretch) {
        self.losses.note(lost);
    }

    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            cells: self.cells,
            streaming: self.settings.mode == Mode::Streaming,
            groups: self.groups.iter().map(|(key, group)| (*key, Cow::Borrowed(group))).collect(),
            losses: Cow::Borrowed(&self.losses),
            watermark: self.watermark,
            next: self.next,
            places: Cow::Borrowed(&self.places),
        }
    }

    fn into_owned(snapshot: Snapshot<'_>) -> Snapshot<'static> {
        let own = |(key, group): (GroupKey, Cow<'_, Cellwise>)| (key, Cow::Owned(group.into_owned()));
        Snapshot {
            groups: snapshot.groups.into_iter().map(own).collect(),
            losses: Cow::Owned(snapshot.losses.into_owned()),
            places: Cow::Owned(snapshot.places.into_owned()),
            ..snapshot
        }
    }

    fn limit(snapshot: &mut Snapshot<'_>, bytes: usize) -> usize {
        let mut room = bytes;
        let mut ranked: Vec<_> = snapshot.groups.drain(..).collect();
        let before = ranked.len();
        ranked.sort_by_cached_key(|(key, group)| (group.sliding.open.is_none(), group.grades().rank(key.1), *key));
        let fitting = ranked.into_iter().take_while(|(_, group)| {
            let text = group.longest_text();
            let fits = text <= room;
            room = room.saturating_sub(text);
            fits
        });
        snapshot.groups = fitting.collect();
        snapshot.groups.sort_unstable_by_key(|(key, _)| *key);
        before - snapshot.groups.len()
    }

    fn groups_in(snapshot: &Snapshot<'_>) -> usize {
        snapshot.groups.len()
    }

    fn restore(
        settings: EncryptedScanSettings,
        context: &RuleContext,
        snapshot: Snapshot<'_>,
    ) -> Result<Self, SnapshotError> {
        if (snapshot.cells, snapshot.streaming) != (cells(&settings), settings.mode == Mode::Streaming) {
            return Err(SnapshotError::OtherWindows);
        }
        let mut rule = Self::begin(settings, context);
        rule.groups =
            snapshot.groups.into_iter().map(|(key, group)| (key, group.into_owned())).collect::<BTreeMap<_, _>>();
        rule.pairs = rule.groups.values().map(Cellwise::pairs).sum();
        rule.losses = snapshot.losses.into_owned();
        rule.places = snapshot.places.into_owned();
        (rule.watermark, rule.next) = (snapshot.watermark, snapshot.next);
        if let Some(end) = rule.watermark {
            rule.losses.note(end.into());
        }
        Ok(rule)
    }

    fn reconfigure(&mut self, settings: EncryptedScanSettings, context: &RuleContext) -> Result<(), SnapshotError> {
        if (settings.mode, cells(&settings)) != (self.settings.mode, self.cells) {
            return Err(SnapshotError::OtherWindows);
        }
        (self.settings, self.site) = (settings, std::sync::Arc::clone(&context.site));
        Ok(())
    }

    fn retires_at(&self, now: Timestamp) -> Timestamp {
        let EncryptedScanSettings { mode, every, window, lateness, .. } = self.settings;
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
        self.counters.counts()
    }

    fn gauges(&self) -> Vec<Count> {
        vec![
            Count { name: "groups", help: "Pairs of client and server counted now.", value: self.groups.len() as u64 },
            Count { name: "lengths", help: "Pairs of lengths held now.", value: self.pairs as u64 },
        ]
    }
}
