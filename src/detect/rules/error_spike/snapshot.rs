//! Snapshots, and new settings for a running rule.
//!
//! In: an [`ErrorSpike`]. Out: a [`Snapshot`] that can be stored as JSON, and a rule that continues from it. Promises: the
//! restored rule raises the same alerts as the original rule would have raised. A snapshot that is limited in size keeps the
//! clients that come first in the order of [`Rank`](crate::detect::grades::Rank), after those with an open alert.

use std::{borrow::Cow, cmp::Reverse};

use serde::{Deserialize, Serialize};

use super::{ErrorSpike, ErrorSpikeSettings, client::Client, given_up::GivenUp, late::Late, layout};
use crate::{
    address::{Address, Endpoint},
    detect::{Mode, Rule, RuleContext, SnapshotError, cells::Cells, losses::Losses, places::Places},
    time::Timestamp,
};

/// No client's JSON text is shorter.
const SHORTEST_CLIENT: usize = 128;
/// The longest JSON text of a client with one error, without its path.
const LONGEST_SINGLE: usize = 512;
/// The most bytes of JSON text for one byte of evidence: small numbers with their punctuation, and texts as lists of numbers.
const TEXT_PER_EVIDENCE: usize = 8;

/// The open windows of a rule. They are borrowed from the running rule where possible, because a copy would take the same
/// memory again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot<'a> {
    cells: Cells,
    streaming: bool,
    clients: Cow<'a, [Client]>,
    servers: Cow<'a, [Endpoint]>,
    watermark: Option<Timestamp>,
    next: Timestamp,
    next_sweep: Timestamp,
    suppressed: Vec<(Address, Timestamp)>,
    losses: Cow<'a, Losses>,
    given_up: Cow<'a, GivenUp>,
    places: Cow<'a, Places<Address>>,
    late: Box<Cow<'a, Late>>,
}

impl Snapshot<'_> {
    /// The number of client addresses in the snapshot.
    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Leaves out clients until the JSON text of the others takes at most `bytes`. Returns how many were left out.
    pub(super) fn limit(&mut self, bytes: usize) -> usize {
        if self.clients.iter().map(longest_text).sum::<usize>() <= bytes {
            return 0;
        }
        let order = |(_, client): &(usize, &Client)| (Reverse(client.has_open_alert()), client.rank());
        let mut ranked: Vec<_> = self.clients.iter().enumerate().collect();
        let most = bytes / SHORTEST_CLIENT;
        if most < ranked.len() {
            ranked.select_nth_unstable_by_key(most, order);
            ranked.truncate(most);
        }
        ranked.sort_by_cached_key(order);
        let mut room = bytes;
        let fitting = ranked.iter().take_while(|(_, client)| {
            let text = serde_json::to_vec(client).map_or(usize::MAX, |text| text.len() + 1);
            let fits = text <= room;
            room = room.saturating_sub(text);
            fits
        });
        let mut kept: Vec<usize> = fitting.map(|(place, _)| *place).collect();
        let left_out = self.clients.len() - kept.len();
        if left_out > 0 {
            kept.sort_unstable();
            self.clients = kept.into_iter().filter_map(|place| self.clients.get(place).cloned()).collect();
        }
        left_out
    }

    /// Copies the snapshot, so that it no longer borrows from the rule.
    pub(super) fn into_owned(self) -> Snapshot<'static> {
        Snapshot {
            clients: Cow::Owned(self.clients.into_owned()),
            servers: Cow::Owned(self.servers.into_owned()),
            losses: Cow::Owned(self.losses.into_owned()),
            given_up: Cow::Owned(self.given_up.into_owned()),
            places: Cow::Owned(self.places.into_owned()),
            late: Box::new(Cow::Owned(self.late.into_owned())),
            ..self
        }
    }
}

/// More bytes than a client's JSON text takes.
fn longest_text(client: &Client) -> usize {
    LONGEST_SINGLE * (client.counts().1.min(64) as usize + 1) + client.evidence_bytes() * TEXT_PER_EVIDENCE
}

impl ErrorSpike {
    /// Makes a snapshot of the open windows.
    pub(super) fn take_snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            cells: self.layout.cells,
            streaming: self.settings.mode == Mode::Streaming,
            clients: self.clients.all().into(),
            servers: self.servers.all().into(),
            watermark: self.watermark,
            next: self.next,
            next_sweep: self.next_sweep,
            suppressed: self.suppressed.iter().map(|(&address, &until)| (address, until)).collect(),
            losses: Cow::Borrowed(&self.losses),
            given_up: Cow::Borrowed(&self.given_up),
            places: Cow::Borrowed(&self.places),
            late: Box::new(Cow::Borrowed(&self.late)),
        }
    }

    /// Creates a rule that continues from a snapshot. Time in which no sensor ran counts as lost.
    pub(super) fn go_on(
        settings: ErrorSpikeSettings,
        context: &RuleContext,
        snapshot: Snapshot<'_>,
    ) -> Result<Self, SnapshotError> {
        let same_mode = snapshot.streaming == (settings.mode == Mode::Streaming);
        if !same_mode || snapshot.cells != layout(&settings).cells {
            return Err(SnapshotError::OtherWindows);
        }
        let mut rule = Self::new(settings, context);
        rule.budget.share.take(snapshot.clients.iter().map(Client::evidence_bytes).sum());
        rule.clients.restore(snapshot.clients.into_owned());
        for server in snapshot.servers.iter() {
            rule.servers.number(*server);
        }
        rule.watermark = snapshot.watermark;
        rule.next = snapshot.next;
        rule.next_sweep = snapshot.next_sweep;
        rule.suppressed = snapshot.suppressed.into_iter().collect();
        rule.losses = snapshot.losses.into_owned();
        rule.given_up = snapshot.given_up.into_owned();
        rule.places = snapshot.places.into_owned();
        rule.late = snapshot.late.into_owned();
        rule.find_hot();
        if let Some(reached) = rule.watermark {
            rule.note_loss(reached.into());
        }
        Ok(rule)
    }

    /// Replaces the settings, unless they have other windows.
    pub(super) fn change(&mut self, settings: ErrorSpikeSettings, context: &RuleContext) -> Result<(), SnapshotError> {
        let new = layout(&settings);
        if settings.mode != self.settings.mode || new.cells != self.layout.cells {
            return Err(SnapshotError::OtherWindows);
        }
        // The table of clients cannot change its limit, so the old limit stays.
        self.settings = ErrorSpikeSettings { max_clients: self.settings.max_clients, ..settings };
        self.site = context.site.clone();
        self.layout = new;
        self.find_hot();
        Ok(())
    }

    /// Makes the list of clients to check, after settings or clients were replaced. Clients with more single errors than the
    /// layout allows are counted by cell first, so that the list can hold them.
    fn find_hot(&mut self) {
        self.clients.relayout(&self.layout, &mut self.budget);
        self.hot = match self.settings.mode {
            Mode::Scheduled => self.clients.over(u64::from(self.settings.threshold)),
            // In streaming mode the list holds the clients with an open alert.
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
        detect::{Alert, Matched},
        event::testing::{client, event},
    };

    fn settings(mode: Mode, threshold: u32) -> ErrorSpikeSettings {
        let (window, every) = (Duration::from_secs(660), Duration::from_secs(600));
        ErrorSpikeSettings { mode, threshold, window, every, ..ErrorSpikeSettings::default() }
    }

    fn observe(engine: &mut ErrorSpike, events: &[(u8, u64)], from: usize, alerts: &mut Vec<Alert>) {
        for (packet, &(number, time)) in events.iter().enumerate().skip(from) {
            let path = format!("/{}", packet % 7);
            let event = event(client(number), Timestamp::from_parts(time, 0), packet as u64, &path);
            engine.take(&Matched::of(&event), alerts);
        }
    }

    /// The alert without `lower_bound`, which a restart sets.
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
            let (mut whole, mut expected) = (ErrorSpike::new(settings(mode, threshold), &RuleContext::default()), Vec::new());
            observe(&mut whole, &events, 0, &mut expected);
            whole.finish(last, &mut expected);

            let (mut first, mut alerts) = (ErrorSpike::new(settings(mode, threshold), &RuleContext::default()), Vec::new());
            observe(&mut first, &events[..cut], 0, &mut alerts);
            let kept = serde_json::to_vec(&first.snapshot()).unwrap();
            let kept = serde_json::from_slice(&kept).unwrap();
            let mut second = ErrorSpike::restore(settings(mode, threshold), &RuleContext::default(), kept).unwrap();
            observe(&mut second, &events, cut, &mut alerts);
            second.finish(last, &mut alerts);
            let alerts: Vec<Alert> = alerts.into_iter().map(said).collect();
            prop_assert_eq!(alerts, expected.into_iter().map(said).collect::<Vec<_>>());
        }
    }

    proptest! {
        /// Late errors have their windows executed again. A restart forgets neither those windows nor which alerts were
        /// raised, nor that errors of a window were forgotten.
        #[test]
        fn a_restart_anywhere_forgets_no_late_error(
            events in proptest::collection::vec((1u8..4, 10_000u64..16_000, 0..3_600u64), 1..120),
            cut in 0usize..120,
            threshold in 0u32..12,
        ) {
            let cut = cut.min(events.len());
            let seen: Vec<u64> = events.iter().scan(0, |now, event| { *now = event.1.max(*now); Some(*now) }).collect();
            let take = |engine: &mut ErrorSpike, range: std::ops::Range<usize>, alerts: &mut Vec<Alert>| {
                for packet in range {
                    let (number, time, late) = events[packet];
                    let time = Timestamp::from_parts(time.saturating_sub(late), 0);
                    let mut event = event(client(number), time, packet as u64, "/");
                    event.seen = Timestamp::from_parts(seen[packet], 0);
                    engine.take(&Matched::of(&event), alerts);
                }
            };
            let last = Timestamp::from_parts(16_000, 0);
            let begin = || (ErrorSpike::new(settings(Mode::Scheduled, threshold), &RuleContext::default()), Vec::new());
            let (mut whole, mut expected) = begin();
            take(&mut whole, 0..cut, &mut expected);
            take(&mut whole, cut..events.len(), &mut expected);
            whole.finish(last, &mut expected);
            let (mut first, mut alerts) = begin();
            take(&mut first, 0..cut, &mut alerts);
            let kept = serde_json::to_vec(&first.snapshot()).unwrap();
            let kept = serde_json::from_slice(&kept).unwrap();
            let mut second = ErrorSpike::restore(settings(Mode::Scheduled, threshold), &RuleContext::default(), kept).unwrap();
            take(&mut second, cut..events.len(), &mut alerts);
            second.finish(last, &mut alerts);
            // A restart marks the window in which it happened; it takes no mark away.
            prop_assert!(expected.iter().zip(&alerts).all(|(whole, restarted)| whole.lower_bound <= restarted.lower_bound));
            let said = |alerts: Vec<Alert>| alerts.into_iter().map(said).collect::<Vec<_>>();
            prop_assert_eq!(said(alerts), said(expected));
        }
    }

    #[test]
    fn a_lower_threshold_finds_those_already_counted() {
        let events: Vec<_> = (0..8).map(|second| (1, 10_000 + second)).collect();
        let (mut engine, mut alerts) =
            (ErrorSpike::new(settings(Mode::Scheduled, 50), &RuleContext::default()), Vec::new());
        observe(&mut engine, &events, 0, &mut alerts);
        engine.reconfigure(settings(Mode::Scheduled, 7), &RuleContext::default()).unwrap();
        engine.finish(Timestamp::from_parts(10_100, 0), &mut alerts);
        assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn a_client_that_a_higher_threshold_took_off_the_list_comes_back() {
        let events: Vec<_> = (0..80).map(|second| (1, 10_000 + second)).collect();
        for restarts in [false, true] {
            let (mut engine, mut alerts) =
                (ErrorSpike::new(settings(Mode::Scheduled, 50), &RuleContext::default()), Vec::new());
            observe(&mut engine, &events[..60], 0, &mut alerts);
            engine.reconfigure(settings(Mode::Scheduled, 70), &RuleContext::default()).unwrap();
            if restarts {
                engine = ErrorSpike::restore(settings(Mode::Scheduled, 70), &RuleContext::default(), engine.snapshot())
                    .unwrap();
            }
            observe(&mut engine, &events, 60, &mut alerts);
            engine.finish(Timestamp::from_parts(10_100, 0), &mut alerts);
            assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [80]);
        }
    }

    /// A flood of clients with one error each must neither make the state large nor push out the client that alerts.
    #[test]
    fn a_limited_snapshot_keeps_the_clients_of_the_highest_rank() {
        for (seed, limit) in [(1u32, 0usize), (2, 20_000), (3, 100_000), (4, 1 << 20), (5, 64 << 20)] {
            let mut engine = ErrorSpike::new(settings(Mode::Scheduled, 50), &RuleContext::default());
            let mut alerts = Vec::new();
            let flood = |number: u32| {
                let address = number.wrapping_mul(2_654_435_761).rotate_left(seed).to_be_bytes();
                Endpoint::new(crate::address::Address::v4(address), 40_000)
            };
            let at = |number: u32| Timestamp::from_parts(10_000, number.into());
            for number in 0..4_000u32 {
                let path = format!("/{}", "x".repeat(number as usize % 60));
                let event = event(flood(number), at(number), number.into(), &path);
                engine.take(&Matched::of(&event), &mut alerts);
                if number % 50 == 0 {
                    let event = self::event(client(1), at(number), number.into(), "/a");
                    engine.take(&Matched::of(&event), &mut alerts);
                }
            }
            let whole = engine.snapshot().clients();
            let mut snapshot = engine.snapshot();
            let left_out = ErrorSpike::limit(&mut snapshot, limit);
            assert_eq!(snapshot.clients() + left_out, whole);
            assert_eq!(left_out == 0, limit == 64 << 20, "{left_out} with {limit}");
            let text = serde_json::to_vec(&snapshot.clients).unwrap();
            assert!(text.len() <= limit + 2, "{} bytes with {limit}", text.len());
            if limit > 0 {
                assert!(
                    limit > 1 << 20 || text.len() * 10 > limit * 9 - 80_000,
                    "{} bytes of {limit} are used",
                    text.len()
                );
                let kept = serde_json::from_slice(&serde_json::to_vec(&snapshot).unwrap()).unwrap();
                let settings = settings(Mode::Scheduled, 50);
                let mut restored = ErrorSpike::restore(settings, &RuleContext::default(), kept).unwrap();
                restored.finish(Timestamp::from_parts(10_100, 0), &mut alerts);
                assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [80]);
            }
        }
    }

    #[test]
    fn other_windows_are_refused() {
        let engine = ErrorSpike::new(settings(Mode::Scheduled, 50), &RuleContext::default());
        let other = ErrorSpikeSettings { window: Duration::from_secs(60), ..settings(Mode::Scheduled, 50) };
        assert!(ErrorSpike::restore(other.clone(), &RuleContext::default(), engine.snapshot()).is_err());
        assert!(
            ErrorSpike::restore(settings(Mode::Streaming, 50), &RuleContext::default(), engine.snapshot()).is_err()
        );
        let mut engine = engine;
        assert_eq!(engine.reconfigure(other, &RuleContext::default()), Err(SnapshotError::OtherWindows));
    }
}
