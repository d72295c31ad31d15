//! What the rule must not forget over a restart, and new settings for a rule at work.
//!
//! In: a [`RuleEngine`]. Out: a [`Snapshot`] that can be kept as JSON, and an engine that goes on from it. Promises: an engine
//! restored from a snapshot raises the alerts that the one it was taken of would have raised.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    client::Client,
    engine::{RuleEngine, layout},
    losses::Losses,
    settings::{Mode, RuleSettings},
    window::Cells,
};
use crate::{
    address::{Address, Endpoint},
    event::Site,
    time::Timestamp,
};

/// The open windows of a rule, lent by the rule at work or owned: a copy would take as much memory again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot<'a> {
    cells: Cells,
    streaming: bool,
    seed: u64,
    clients: Cow<'a, [Client]>,
    servers: Cow<'a, [Endpoint]>,
    watermark: Option<Timestamp>,
    next: Timestamp,
    next_sweep: Timestamp,
    suppressed: Vec<(Address, Timestamp)>,
    losses: Cow<'a, Losses>,
    opened: (Timestamp, usize),
}

/// Why a snapshot cannot be gone on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Windows of another length cannot be counted from it.
    #[error("the rule's window, interval or mode is not the one the state was kept under")]
    OtherWindows,
}

impl Snapshot<'_> {
    /// Client addresses in it.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A copy that the rule does not lend.
    pub fn into_owned(self) -> Snapshot<'static> {
        Snapshot {
            clients: Cow::Owned(self.clients.into_owned()),
            servers: Cow::Owned(self.servers.into_owned()),
            losses: Cow::Owned(self.losses.into_owned()),
            ..self
        }
    }
}

impl RuleEngine {
    /// The open windows as they are now.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            cells: self.layout.cells,
            streaming: self.settings.mode == Mode::Streaming,
            seed: self.settings.seed,
            clients: self.clients.all().into(),
            servers: self.servers.all().into(),
            watermark: self.watermark,
            next: self.next,
            next_sweep: self.next_sweep,
            suppressed: self.suppressed.iter().map(|(&address, &until)| (address, until)).collect(),
            losses: Cow::Borrowed(&self.losses),
            opened: self.opened,
        }
    }

    /// An engine that goes on from a snapshot. Time without the sensor counts as loss.
    ///
    /// # Errors
    ///
    /// Settings under which the snapshot's windows mean something else.
    pub fn restore(settings: RuleSettings, site: Arc<Site>, snapshot: Snapshot<'_>) -> Result<Self, SnapshotError> {
        let same_mode = snapshot.streaming == (settings.mode == Mode::Streaming);
        if !same_mode || snapshot.cells != layout(&settings).cells {
            return Err(SnapshotError::OtherWindows);
        }
        // Texts are kept as hashes, which mean nothing under another seed.
        let mut engine = Self::new(RuleSettings { seed: snapshot.seed, ..settings }, site);
        engine.budget.used = snapshot.clients.iter().map(Client::evidence_bytes).sum();
        engine.clients.restore(snapshot.clients.into_owned());
        for server in snapshot.servers.iter() {
            engine.servers.number(*server);
        }
        engine.watermark = snapshot.watermark;
        engine.next = snapshot.next;
        engine.next_sweep = snapshot.next_sweep;
        engine.suppressed = snapshot.suppressed.into_iter().collect();
        engine.losses = snapshot.losses.into_owned();
        engine.opened = snapshot.opened;
        engine.find_hot();
        if let Some(reached) = engine.watermark {
            engine.note_loss(reached.into());
        }
        Ok(engine)
    }

    /// Goes on under other settings.
    ///
    /// # Errors
    ///
    /// Settings under which the open windows mean something else; nothing has changed then.
    pub fn reconfigure(&mut self, settings: RuleSettings, site: Arc<Site>) -> Result<(), SnapshotError> {
        let new = layout(&settings);
        if settings.mode != self.settings.mode || new.cells != self.layout.cells {
            return Err(SnapshotError::OtherWindows);
        }
        self.settings = RuleSettings { seed: self.settings.seed, max_clients: self.settings.max_clients, ..settings };
        self.site = site;
        self.budget.limit = self.settings.max_evidence_bytes;
        self.layout = new;
        self.find_hot();
        Ok(())
    }

    /// Lists the clients that may be over the threshold; what is kept one by one and may be is counted by cell.
    fn find_hot(&mut self) {
        self.clients.relayout(&self.layout, &mut self.budget);
        self.hot = match self.settings.mode {
            Mode::Scheduled => self.clients.over(u64::from(self.settings.threshold)),
            // There the list holds the clients whose alert is open.
            Mode::Streaming => self.clients.alerting(),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        detect::Alert,
        event::testing::{client, event},
    };

    fn settings(mode: Mode, threshold: u32) -> RuleSettings {
        let (window, every) = (Duration::from_secs(660), Duration::from_secs(600));
        RuleSettings { mode, threshold, window, every, seed: 77, ..RuleSettings::default() }
    }

    fn observe(engine: &mut RuleEngine, events: &[(u8, u64)], from: usize, alerts: &mut Vec<Alert>) {
        for (packet, &(number, time)) in events.iter().enumerate().skip(from) {
            let path = format!("/{}", packet % 7);
            engine.observe(&event(client(number), Timestamp::from_parts(time, 0), packet as u64, &path), alerts);
        }
    }

    /// What an alert says, but for the mark of loss that a restart sets.
    fn said(mut alert: Alert) -> Alert {
        alert.lower_bound = false;
        alert
    }

    proptest! {
        #[test]
        fn a_restart_anywhere_changes_no_alert(
            mut events in proptest::collection::vec((1u8..4, 10_000u64..14_000), 1..160),
            cut in 0usize..160,
            threshold in 0u32..60,
            streaming: bool,
        ) {
            events.sort_by_key(|event| event.1);
            let cut = cut.min(events.len());
            let mode = if streaming { Mode::Streaming } else { Mode::Scheduled };
            let last = Timestamp::from_parts(14_000, 0);
            let (mut whole, mut expected) = (RuleEngine::new(settings(mode, threshold), Arc::default()), Vec::new());
            observe(&mut whole, &events, 0, &mut expected);
            whole.finish(last, &mut expected);

            let (mut first, mut alerts) = (RuleEngine::new(settings(mode, threshold), Arc::default()), Vec::new());
            observe(&mut first, &events[..cut], 0, &mut alerts);
            let kept = serde_json::to_vec(&first.snapshot()).unwrap();
            let other_seed = RuleSettings { seed: 1, ..settings(mode, threshold) };
            let mut second = RuleEngine::restore(other_seed, Arc::default(), serde_json::from_slice(&kept).unwrap()).unwrap();
            observe(&mut second, &events, cut, &mut alerts);
            second.finish(last, &mut alerts);
            let alerts: Vec<Alert> = alerts.into_iter().map(said).collect();
            prop_assert_eq!(alerts, expected.into_iter().map(said).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_lower_threshold_finds_those_already_counted() {
        let events: Vec<_> = (0..8).map(|second| (1, 10_000 + second)).collect();
        let (mut engine, mut alerts) = (RuleEngine::new(settings(Mode::Scheduled, 50), Arc::default()), Vec::new());
        observe(&mut engine, &events, 0, &mut alerts);
        engine.reconfigure(settings(Mode::Scheduled, 7), Arc::default()).unwrap();
        engine.finish(Timestamp::from_parts(10_100, 0), &mut alerts);
        assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn a_client_that_a_higher_threshold_took_off_the_list_comes_back() {
        let events: Vec<_> = (0..80).map(|second| (1, 10_000 + second)).collect();
        for restarts in [false, true] {
            let (mut engine, mut alerts) = (RuleEngine::new(settings(Mode::Scheduled, 50), Arc::default()), Vec::new());
            observe(&mut engine, &events[..60], 0, &mut alerts);
            engine.reconfigure(settings(Mode::Scheduled, 70), Arc::default()).unwrap();
            if restarts {
                engine = RuleEngine::restore(settings(Mode::Scheduled, 70), Arc::default(), engine.snapshot()).unwrap();
            }
            observe(&mut engine, &events, 60, &mut alerts);
            engine.finish(Timestamp::from_parts(10_100, 0), &mut alerts);
            assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [80]);
        }
    }

    #[test]
    fn other_windows_are_refused() {
        let engine = RuleEngine::new(settings(Mode::Scheduled, 50), Arc::default());
        let other = RuleSettings { window: Duration::from_secs(60), ..settings(Mode::Scheduled, 50) };
        assert!(RuleEngine::restore(other.clone(), Arc::default(), engine.snapshot()).is_err());
        assert!(RuleEngine::restore(settings(Mode::Streaming, 50), Arc::default(), engine.snapshot()).is_err());
        let mut engine = engine;
        assert_eq!(engine.reconfigure(other, Arc::default()), Err(SnapshotError::OtherWindows));
    }
}
