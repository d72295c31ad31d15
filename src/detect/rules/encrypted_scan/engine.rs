//! The engine: counts turns by client and server, and executes windows.
//!
//! In: turns in packet order, and the packet time reached. Out: alerts, in order of execution, then of rank. Promises: a turn
//! counts in every window that contains its time and is not executed yet; a window is executed once packet time has passed its end
//! by the lateness. In streaming mode a turn counts in every look-back that contains its time (`streaming`). There is a limit for the
//! number of groups, and one for the pairs of lengths; whatever they leave out is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    EncryptedScanSettings,
    estimate::estimate,
    found::{Found, found, summary_of, summed},
    streaming::{LookedAt, Sliding, look_backs},
    tally::Tally,
};
use crate::{
    address::{Address, Endpoint},
    counters,
    detect::{
        Alert, AlertKind, Execution, GradeCounts, Group, GroupValue, Inference, LeftOut, Mode, RuleContext,
        RuleIdentity, Summary, Window, alert::alert_id, cells::Cells, losses::Losses, places::Places,
    },
    event::Site,
    exchange::Turn,
    time::Timestamp,
};

/// The most pairs of lengths of all groups together; 32 MB.
const MAX_PAIRS_IN_ALL: usize = 4_000_000;
/// The interval of the alert's timeline.
const TIMELINE: Duration = Duration::from_secs(60);

counters! {
    /// What the rule did.
    pub struct EncryptedScanCounters {
        /// Turns counted.
        turns,
        /// Turns that came after the last window that counts them was executed; not counted.
        turns_late,
        /// Turns whose lengths were not kept because the limit of all lengths was reached; they count as other turns.
        lengths_refused,
        /// Pairs of a client and a server dropped to make room for others; the alert of kind left_out counts them.
        groups_evicted,
        /// Turns not counted because there was no room for one more pair of client and server; alerts of kind left_out count them.
        turns_refused,
        /// Times that a client had enough uniform answers for an alert, and too little else spoke for a scan.
        unconvincing,
        /// Alerts written.
        alerts,
        /// Alerts left out because an execution had too many.
        alerts_truncated,
        /// Alerts of kind left_out written.
        alerts_left_out,
        /// In streaming mode, alerts that waited for a later turn, because too many clients of one server were looked at.
        alerts_postponed,
    }
}

/// A server and one of its clients.
pub(super) type GroupKey = (Endpoint, Address);

/// The turns of a group by cell, the earliest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cellwise {
    cells: Vec<(u64, Tally)>,
    /// Streaming mode: when the look-back was last examined, and the alert that is open. Empty in scheduled mode.
    pub(super) sliding: Sliding,
}

impl Cellwise {
    fn at(&mut self, cell: u64) -> Option<&mut Tally> {
        let place = match self.cells.binary_search_by_key(&cell, |(cell, _)| *cell) {
            Ok(place) => place,
            Err(place) => {
                self.cells.insert(place, (cell, Tally::default()));
                place
            }
        };
        self.cells.get_mut(place).map(|(_, tally)| tally)
    }

    pub(super) fn within(&self, cells: &Range<u64>) -> impl Iterator<Item = &Tally> {
        self.cells.iter().filter(move |(cell, _)| cells.contains(cell)).map(|(_, tally)| tally)
    }

    pub(super) fn grades(&self) -> GradeCounts {
        self.cells.iter().fold(GradeCounts::default(), |mut sum, (_, tally)| {
            sum.add_all(tally.grades);
            sum
        })
    }

    /// The most bytes that it takes as JSON, its key included.
    pub(super) fn longest_text(&self) -> usize {
        400 + self.cells.len() * 300 + self.pairs() * 26 + if self.sliding.open.is_some() { 1_000 } else { 0 }
    }

    pub(super) fn pairs(&self) -> usize {
        self.cells.iter().map(|(_, tally)| tally.pairs().len()).sum()
    }
}

/// The running rule.
#[derive(Debug)]
pub struct EncryptedScan {
    pub(super) settings: EncryptedScanSettings,
    pub(super) identity: Arc<RuleIdentity>,
    pub(super) site: Arc<Site>,
    pub(super) cells: Cells,
    pub(super) groups: BTreeMap<GroupKey, Cellwise>,
    /// Pairs of lengths in all groups.
    pub(super) pairs: usize,
    pub(super) losses: Losses,
    /// The latest packet time reached. `None` before the first packet.
    pub(super) watermark: Option<Timestamp>,
    /// The next boundary to execute. In streaming mode, the next time to look for alerts to close.
    pub(super) next: Timestamp,
    /// The groups that were removed to make room for others since the last execution.
    pub(super) given_up: LeftOut,
    /// The cell in which that happened last.
    given_up_in: u64,
    /// When lengths may make room again.
    next_room: Timestamp,
    /// In streaming mode, the places for alerts in the current interval.
    pub(super) places: Places<GroupKey>,
    pub(super) looked_at: LookedAt,
    pub(super) counters: EncryptedScanCounters,
}

impl EncryptedScan {
    /// Creates a rule that has seen nothing.
    pub(super) fn begin(settings: EncryptedScanSettings, context: &RuleContext) -> Self {
        Self {
            cells: cells(&settings),
            losses: Losses::new(settings.window / 64),
            identity: Arc::new(super::IDENTITY),
            site: Arc::clone(&context.site),
            groups: BTreeMap::new(),
            pairs: 0,
            watermark: None,
            next: Timestamp::EPOCH,
            given_up: LeftOut::default(),
            given_up_in: 0,
            next_room: Timestamp::EPOCH,
            places: Places::default(),
            looked_at: LookedAt::default(),
            counters: EncryptedScanCounters::default(),
            settings,
        }
    }

    /// Counts a turn. Windows that were due before it was seen are executed first.
    pub(super) fn count(&mut self, turn: &Turn, now: Timestamp, alerts: &mut Vec<Alert>) {
        self.reach(now, alerts);
        let cell = self.cells.of(turn.time);
        if cell < self.oldest_cell() || !self.cells.is_counted(cell) {
            self.counters.turns_late += 1;
            return;
        }
        if self.settings.mode == Mode::Streaming {
            self.begin_interval(now, alerts);
        }
        let key = (turn.server, turn.client.address);
        let is_full = self.groups.len() >= self.settings.max_groups && !self.groups.contains_key(&key);
        if is_full && !turn.grade.is_confirmed() {
            self.refuse(key, turn);
            return;
        }
        // To choose groups looks at all of them, so that lengths make room once a second at most.
        let is_due = self.pairs >= MAX_PAIRS_IN_ALL && turn.grade.is_confirmed() && now >= self.next_room;
        if is_full || is_due {
            self.make_room(turn.time, alerts);
            self.next_room = now.plus(Duration::from_secs(1));
        }
        let has_room = self.pairs < MAX_PAIRS_IN_ALL;
        let Some(tally) = self.groups.entry(key).or_default().at(cell) else { return };
        let (pairs, unlisted) = (tally.pairs().len(), tally.unlisted);
        tally.add(turn, has_room);
        self.pairs = self.pairs + tally.pairs().len() - pairs;
        self.counters.turns += 1;
        self.counters.lengths_refused += if has_room { 0 } else { tally.unlisted - unlisted };
        if self.settings.mode == Mode::Streaming {
            self.slide(key, turn, alerts);
        }
    }

    /// The first cell that a later execution or look-back may count.
    fn oldest_cell(&self) -> u64 {
        match self.settings.mode {
            Mode::Scheduled => self.cells.before(self.next).start,
            Mode::Streaming => {
                let reached = self.watermark.unwrap_or_default();
                self.cells.of(reached.minus(self.settings.lateness).minus(self.settings.window))
            }
        }
    }

    /// Does not count a turn, because there is no room for its group. One sender alone may have forged this turn, so no other group
    /// is removed for it.
    #[cold]
    fn refuse(&mut self, key: GroupKey, turn: &Turn) {
        self.counters.turns_refused += 1;
        self.given_up.client_limit.add(1, turn.grade.into());
        self.given_up.largest.note(key.1, turn.grade.into());
        self.given_up_in = self.cells.of(turn.time);
        self.losses.note(turn.time.into());
    }

    /// Lets the quarter of the groups with the lowest rank go.
    #[cold]
    fn make_room(&mut self, now: Timestamp, alerts: &mut Vec<Alert>) {
        let mut ranked: Vec<_> = self.groups.iter().map(|(key, group)| (group.grades().rank(key.1), *key)).collect();
        ranked.sort_unstable();
        for (_, key) in ranked.split_off(ranked.len() - ranked.len().div_ceil(4)) {
            self.close(key, alerts);
            let Some(group) = self.groups.remove(&key) else { continue };
            self.pairs -= group.pairs();
            self.counters.groups_evicted += 1;
            self.given_up.client_limit.add(1, group.grades());
            self.given_up.largest.note(key.1, group.grades());
        }
        self.given_up_in = self.cells.of(now);
        self.losses.note(now.into());
    }

    /// Moves packet time on to `watermark`, and executes every window that is due.
    #[inline]
    pub(super) fn reach(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        match self.watermark {
            Some(reached) if watermark <= reached => return,
            Some(_) => self.watermark = Some(watermark),
            None => self.start_at(watermark),
        }
        let due = watermark.minus(self.settings.lateness);
        if self.next <= due {
            match self.settings.mode {
                Mode::Scheduled => self.execute_up_to(due, |_| false, alerts),
                Mode::Streaming => {
                    self.close_quiet(due, alerts);
                    self.begin_interval(due, alerts);
                    self.forget();
                }
            }
            self.next = self.next.max(self.cells.next_boundary(due));
        }
    }

    /// Packet time starts here.
    pub(super) fn start_at(&mut self, watermark: Timestamp) {
        self.watermark = Some(watermark);
        self.next = self.cells.next_boundary(watermark.minus(self.settings.lateness));
    }

    /// Ends the input: executes every window up to and including the first boundary after the last packet. In streaming mode,
    /// closes the open alerts.
    pub(super) fn end(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        let last = self.watermark.map_or(last, |reached| reached.max(last));
        self.reach(last, alerts);
        if self.settings.mode == Mode::Streaming {
            self.close_quiet(Timestamp::MAX, alerts);
            self.end_interval(true, alerts);
            return;
        }
        let end = self.cells.next_boundary(last);
        self.execute_up_to(end, |boundary| boundary > last, alerts);
        self.next = self.next.max(end.plus(self.settings.every));
        self.forget();
    }

    /// Executes the windows that end up to this time, as long as there is something to count.
    fn execute_up_to(&mut self, time: Timestamp, is_partial: impl Fn(Timestamp) -> bool, alerts: &mut Vec<Alert>) {
        while self.next <= time && !(self.groups.is_empty() && self.given_up.is_empty()) && self.next < Timestamp::MAX {
            self.execute(self.next, is_partial(self.next), alerts);
            self.next = self.next.plus(self.settings.every);
            self.forget();
        }
    }

    /// Forgets the turns that no later window counts.
    fn forget(&mut self) {
        let forgotten = self.oldest_cell();
        let (cells, look_back) = (self.cells, self.settings.window);
        let mut gone = 0;
        self.groups.retain(|_, group| {
            let before = group.pairs();
            // The closing alert shows the look-back of the last uniform answer.
            let open = group.sliding.open.as_ref().map(|open| cells.of(open.last.minus(look_back)));
            let oldest = open.map_or(forgotten, |open| open.min(forgotten));
            group.cells.retain(|(cell, _)| *cell >= oldest);
            gone += before - group.pairs();
            !group.cells.is_empty()
        });
        self.pairs -= gone;
    }

    fn execute(&mut self, boundary: Timestamp, partial: bool, alerts: &mut Vec<Alert>) {
        let cells = self.cells.before(boundary);
        let window = Window { start: boundary.minus(self.settings.window), end: boundary, partial };
        let mut over: Vec<Found> =
            self.groups.iter().filter_map(|(key, group)| self.over(*key, group, &cells)).collect();
        let mut unconvincing = 0;
        self.look_around(&mut over, &cells);
        over.retain(|over| {
            let is_enough = self.is_convincing(&over.inference);
            unconvincing += u64::from(!is_enough);
            is_enough
        });
        self.counters.unconvincing += unconvincing;
        over.sort_unstable_by_key(|over| (over.grades.rank(over.key.1), over.key.0));
        let is_of_window = self.given_up_in < cells.end;
        let mut left_out = if is_of_window { std::mem::take(&mut self.given_up) } else { LeftOut::default() };
        for over in over.iter().skip(self.settings.max_alerts) {
            left_out.alert_limit.add(1, over.grades);
            left_out.largest.note(over.key.1, over.grades);
        }
        let truncated = over.len().saturating_sub(self.settings.max_alerts) as u64;
        self.counters.alerts_truncated += truncated;
        let execution = Some(Execution { every: self.settings.every, groups: over.len() as u64, truncated });
        over.truncate(self.settings.max_alerts);
        for over in over {
            self.counters.alerts += 1;
            let group = self.group(over.key);
            let (grades, summary) = (over.grades, summary_of(&over));
            let alert = self.alert(group, window, grades, summary);
            alerts.push(Alert { execution, inference: Some(Box::new(over.inference)), ..alert });
        }
        if !left_out.is_empty() {
            let alert = self.left_out_alert(left_out, window);
            alerts.push(Alert { execution, ..alert });
        }
    }

    /// Makes the alert that sums up the groups that found no place. Its own group is the sensor.
    pub(super) fn left_out_alert(&mut self, left_out: LeftOut, window: Window) -> Alert {
        self.counters.alerts_left_out += 1;
        let group = Group::default().with("agent.id", GroupValue::Text(self.site.sensor_id.clone()));
        let alert = self.alert(group, window, left_out.errors(), Summary::default());
        Alert { kind: AlertKind::LeftOut, left_out: Some(Box::new(left_out)), ..alert }
    }

    /// Returns whether enough speaks for a scan.
    pub(super) fn is_convincing(&self, inference: &Inference) -> bool {
        inference.confidence * 100.0 >= f64::from(self.settings.min_confidence)
    }

    /// Returns a group with more uniform answers in these cells than the threshold.
    pub(super) fn over(&self, key: GroupKey, group: &Cellwise, cells: &Range<u64>) -> Option<Found> {
        let threshold = u64::from(self.settings.threshold);
        if group.within(cells).map(Tally::turns).sum::<u64>() <= threshold {
            return None;
        }
        let tally = summed(group, cells);
        let estimate = estimate(&tally).filter(|found| found.uniform > threshold)?;
        found(key, estimate, tally)
    }

    /// Counts for each group the other clients of its server that got an answer of the same length, which makes it an ordinary
    /// one, and then the confidence. Every group of these servers is looked at once. Returns how many these are.
    pub(super) fn look_around(&self, over: &mut [Found], cells: &Range<u64>) -> usize {
        let mut clients: BTreeMap<(Endpoint, u32), u64> =
            over.iter().map(|over| ((over.key.0, over.inference.length), 0)).collect();
        let servers: BTreeSet<Endpoint> = over.iter().map(|over| over.key.0).collect();
        let mut looked_at = 0;
        for server in servers {
            for (_, group) in self.groups.range((server, Address::LOWEST)..).take_while(|((of, _), _)| *of == server) {
                looked_at += 1;
                let lengths: BTreeSet<u32> =
                    group.within(cells).flat_map(Tally::pairs).map(|(pair, _)| pair.answer()).collect();
                for length in lengths {
                    clients.entry((server, length)).and_modify(|count| *count += 1);
                }
            }
        }
        for over in over {
            let all = clients.get(&(over.key.0, over.inference.length)).copied().unwrap_or_default();
            // A length that no answer has by itself, as with a slope, belongs to nobody else.
            over.inference.other_clients = if over.estimate.slope == 0 { all.saturating_sub(1) } else { 0 };
            over.judge();
        }
        looked_at
    }

    /// The group: one client of one server on one sensor.
    pub(super) fn group(&self, (server, client): GroupKey) -> Group {
        Group::default()
            .with("source.ip", GroupValue::Address(client))
            .with("destination.ip", GroupValue::Address(server.address))
            .with("destination.port", GroupValue::Number(server.port.into()))
            .with("agent.id", GroupValue::Text(self.site.sensor_id.clone()))
    }

    /// Makes an alert without `execution` and `inference`.
    pub(super) fn alert(&self, group: Group, window: Window, grades: GradeCounts, summary: Summary) -> Alert {
        Alert {
            id: alert_id(&self.identity, &group, window.end),
            rule: Arc::clone(&self.identity),
            site: Arc::clone(&self.site),
            kind: AlertKind::Scheduled,
            time: window.end,
            mode: self.settings.mode,
            threshold: u64::from(self.settings.threshold),
            look_back: self.settings.window,
            window,
            group,
            count: grades.total(),
            grades,
            summary: Summary { timeline_interval: TIMELINE, ..summary },
            execution: None,
            episode: None,
            lower_bound: self.losses.within(window),
            left_out: None,
            inference: None,
        }
    }
}

/// The cells of the rule's windows.
pub(super) fn cells(settings: &EncryptedScanSettings) -> Cells {
    match settings.mode {
        Mode::Scheduled => Cells::scheduled(settings.window, settings.every),
        Mode::Streaming => look_backs(settings.window),
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
