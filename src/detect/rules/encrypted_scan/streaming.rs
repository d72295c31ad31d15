//! Streaming mode: a look-back that slides.
//!
//! In: the turns of a group. Out: an alert at the turn by which the look-back holds more uniform answers than the threshold and
//! enough speaks for a scan; updates while uniform answers of that length continue; and a closing alert when none came for a whole
//! window. Promises: no alert counts a turn that is older than the window; a group has at most one open alert; the work for one turn
//! is bounded.
//!
//! The look-back begins at a cut between cells, 22 cells a window, so it is up to a cell shorter than the window and never longer.
//! Up to 127 turns in the look-back, every turn is examined. Beyond that, turns are examined together, at most one in 128 of those
//! in the look-back.
//!
//! At most as many alerts as the limit are opened in one interval, and as many again for clients whose confirmed turns alone are over
//! the threshold. At the end of the interval, one alert sums up the clients that were left out.

use std::{ops::Range, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    EncryptedScan,
    engine::{Cellwise, GroupKey},
    estimate::{Estimate, estimate},
    found::{Found, found, summary_of, summed},
    tally::{Pair, Tally},
};
use crate::{
    detect::{
        Alert, AlertKind, Episode, Window,
        alert::alert_id,
        cells::Cells,
        places::{Ended, Places},
    },
    exchange::Turn,
    time::Timestamp,
};

/// Cells of a window.
const CELLS: u32 = 22;
/// Turns are examined together once the look-back has so many for each of them.
const TURNS_FOR_EACH: u64 = 128;
/// The same where a client was over the threshold, and what else spoke against it.
const TURNS_FOR_EACH_REFUSED: u64 = 8;
/// The most groups that are looked at for others' alerts in one second of packet time.
const MAX_LOOKED_AT: usize = 100_000;

/// The look-back of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sliding {
    /// The time of the latest turn that was not ahead of packet time.
    last: Timestamp,
    /// Turns since the look-back was examined.
    unseen: u64,
    /// The look-back is examined again after so many turns.
    wait: u64,
    /// Whether it was counted that too little spoke for a scan.
    is_doubtful: bool,
    /// Whether its alert found no place in this interval.
    is_unplaced: bool,
    pub(super) open: Option<Box<Open>>,
}

/// An open alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    id: String,
    /// The time of the first turn in the look-back that opened it.
    started: Timestamp,
    /// The time of the latest uniform answer.
    pub(super) last: Timestamp,
    /// The uniform answers since `started`.
    count: u64,
    /// The time of the turn at which the alert was last written.
    written: Timestamp,
    updates: u64,
    /// The uniform answers that opened it. Later ones have their length.
    page: Estimate,
}

/// How many groups were looked at for others in one second of packet time. No restart is as short, so that this is in no snapshot.
#[derive(Debug, Default)]
pub(super) struct LookedAt {
    second: u64,
    groups: usize,
}

/// The cells of look-backs.
pub(super) fn look_backs(window: Duration) -> Cells {
    Cells::even(window / CELLS)
}

impl EncryptedScan {
    /// The cells that lie wholly within the look-back that ends with a turn at `end`.
    fn look_back(&self, end: Timestamp) -> Range<u64> {
        self.cells.of(end.minus(self.settings.window)) + 1..self.cells.of(end) + 1
    }

    /// Opens or updates the alert of a group that had a turn.
    pub(super) fn slide(&mut self, key: GroupKey, turn: &Turn, alerts: &mut Vec<Alert>) {
        let reached = self.watermark.unwrap_or(turn.time);
        let Some(group) = self.groups.get_mut(&key) else { return };
        let sliding = &mut group.sliding;
        sliding.last = sliding.last.max(turn.time.min(reached));
        sliding.unseen += 1;
        let end = turn.time.max(sliding.last);
        if let Some(open) = &mut sliding.open {
            if !Pair::of(turn).is_some_and(|pair| open.page.explains(pair)) || turn.time > reached {
                return;
            }
            open.count += 1;
            open.last = open.last.max(turn.time);
            if open.last.since(open.written) >= self.settings.update_every {
                (open.written, open.updates) = (open.last, open.updates + 1);
                self.write_open(key, AlertKind::Update, alerts);
            }
        } else if sliding.unseen >= sliding.wait {
            self.examine(key, end, alerts);
        }
    }

    /// Opens the alert of a group if its look-back is that of a scan.
    fn examine(&mut self, key: GroupKey, end: Timestamp, alerts: &mut Vec<Alert>) {
        let cells = self.look_back(end);
        let Some(group) = self.groups.get(&key) else { return };
        let turns = group.within(&cells).map(Tally::turns).sum::<u64>();
        if turns <= self.settings.threshold.into() {
            return;
        }
        let mut over = self.over(key, group, &cells);
        let is_likely = over.as_mut().is_some_and(|over| {
            over.judge();
            self.is_convincing(&over.inference)
        });
        if is_likely && !self.may_look_around() {
            self.counters.alerts_postponed += 1;
            return;
        }
        let is_opened = match &mut over {
            Some(over) if is_likely => {
                self.look_around_for(over, &cells);
                self.is_convincing(&over.inference) && self.open(over, end, alerts)
            }
            _ => false,
        };
        let Some(sliding) = self.groups.get_mut(&key).map(|group| &mut group.sliding) else { return };
        sliding.unseen = 0;
        sliding.wait = turns / if is_likely && !is_opened { TURNS_FOR_EACH_REFUSED } else { TURNS_FOR_EACH };
        if over.is_some() && !is_opened && !sliding.is_unplaced && !sliding.is_doubtful {
            sliding.is_doubtful = true;
            self.counters.unconvincing += 1;
        }
    }

    /// Returns whether groups may be looked at for others in this second of packet time.
    fn may_look_around(&mut self) -> bool {
        let second = self.watermark.unwrap_or_default().as_nanos() / 1_000_000_000;
        if second != self.looked_at.second {
            self.looked_at = LookedAt { second, groups: 0 };
        }
        self.looked_at.groups < MAX_LOOKED_AT
    }

    fn look_around_for(&mut self, over: &mut Found, cells: &Range<u64>) {
        let groups = self.look_around(std::slice::from_mut(over), cells);
        self.looked_at.groups += groups;
    }

    /// Opens the alert of a group, if there is a place. Returns whether there was.
    fn open(&mut self, over: &Found, end: Timestamp, alerts: &mut Vec<Alert>) -> bool {
        let is_confirmed = over.grades.confirmed() > self.settings.threshold.into();
        let has_place = self.places.take(is_confirmed, self.settings.max_alerts);
        let id = alert_id(&self.identity, &self.group(over.key), end);
        let Some(sliding) = self.groups.get_mut(&over.key).map(|group| &mut group.sliding) else { return false };
        if !has_place {
            if !sliding.is_unplaced {
                sliding.is_unplaced = true;
                self.counters.alerts_truncated += 1;
                self.places.leave_out(over.key);
            }
            return false;
        }
        let (started, count, page) = (over.inference.start, over.inference.uniform, over.estimate);
        sliding.open = Some(Box::new(Open { id, started, last: end, count, written: end, updates: 0, page }));
        self.write(over, AlertKind::Open, alerts);
        true
    }

    /// Writes the open alert of a group with what its look-back now shows.
    fn write_open(&mut self, key: GroupKey, kind: AlertKind, alerts: &mut Vec<Alert>) {
        let Some(group) = self.groups.get(&key) else { return };
        let Some(open) = &group.sliding.open else { return };
        let cells = self.look_back(open.last);
        let tally = summed(group, &cells);
        // Nothing shows where the lengths were let go.
        let shown = estimate(&tally).unwrap_or(open.page);
        if let Some(mut shown) = found(key, shown, tally) {
            self.look_around_for(&mut shown, &cells);
            self.write(&shown, kind, alerts);
        }
    }

    fn write(&mut self, shown: &Found, kind: AlertKind, alerts: &mut Vec<Alert>) {
        let Some(open) = self.groups.get(&shown.key).and_then(|group| group.sliding.open.as_ref()) else { return };
        let cells = self.look_back(open.last);
        let end = open.last.plus(Duration::from_nanos(1));
        // The first cell is the one after that of the look-back's begin; cells of equal width have even numbers.
        let window = Window { start: self.cells.start(cells.start + 1), end, partial: false };
        let episode = Episode { started: open.started, last: open.last, count: open.count, updates: open.updates };
        let (id, time) = (open.id.clone(), open.last);
        self.counters.alerts += 1;
        let alert = self.alert(self.group(shown.key), window, shown.grades, summary_of(shown));
        let inference = Some(Box::new(shown.inference.clone()));
        alerts.push(Alert { id, kind, time, episode: Some(episode), inference, ..alert });
    }

    /// Closes the alert of a group, if it is open.
    pub(super) fn close(&mut self, key: GroupKey, alerts: &mut Vec<Alert>) {
        self.write_open(key, AlertKind::Close, alerts);
        if let Some(group) = self.groups.get_mut(&key) {
            group.sliding.open = None;
        }
    }

    /// Closes the alerts of groups that had no uniform answer for a whole window before `reached`.
    pub(super) fn close_quiet(&mut self, reached: Timestamp, alerts: &mut Vec<Alert>) {
        let is_quiet = |group: &Cellwise| {
            let last = group.sliding.open.as_ref().map(|open| open.last);
            last.is_some_and(|last| reached == Timestamp::MAX || last.plus(self.settings.window) <= reached)
        };
        let quiet: Vec<GroupKey> =
            self.groups.iter().filter(|(_, group)| is_quiet(group)).map(|(key, _)| *key).collect();
        for key in quiet {
            self.close(key, alerts);
        }
    }

    /// Begins the interval that contains `time`, if it is a later one than the current interval.
    pub(super) fn begin_interval(&mut self, time: Timestamp, alerts: &mut Vec<Alert>) {
        if let Some(ended) = self.places.begin(time, self.settings.every) {
            self.sum_up(ended, alerts);
        }
    }

    /// Ends the current interval. `partial` says that the input has ended.
    pub(super) fn end_interval(&mut self, partial: bool, alerts: &mut Vec<Alert>) {
        let ended = self.places.end(self.settings.every, partial);
        self.sum_up(ended, alerts);
    }

    /// Sums up the groups that found no place in an interval.
    fn sum_up(&mut self, ended: Ended<GroupKey>, alerts: &mut Vec<Alert>) {
        let mut left_out = std::mem::take(&mut self.given_up);
        for key in ended.left_out {
            let Some(group) = self.groups.get_mut(&key) else { continue };
            let is_unplaced = std::mem::take(&mut group.sliding.is_unplaced);
            if is_unplaced && group.sliding.open.is_none() {
                left_out.alert_limit.add(1, group.grades());
                left_out.largest.note(key.1, group.grades());
            }
        }
        if !left_out.is_empty() {
            let alert = self.left_out_alert(left_out, ended.window);
            alerts.push(alert);
        }
    }

    /// Handles that packet time went back to `to`. Closes all open alerts; turns are counted from `to` on.
    pub(super) fn set_back(&mut self, to: Timestamp, alerts: &mut Vec<Alert>) {
        self.close_quiet(Timestamp::MAX, alerts);
        self.end_interval(false, alerts);
        self.places = Places::default();
        self.start_at(to);
    }
}

#[cfg(test)]
#[path = "streaming_tests.rs"]
mod tests;
