//! Errors that come after their windows were executed, and input whose time goes back.
//!
//! In: the times of late errors, and the time to which packet time goes back. Out: further executions of their windows.
//! Promises: a window is executed again at the next execution or at the end of the input, whichever comes first; an alert is
//! raised again, under the same ID, only if its count has grown; the memory for all this is bounded. Where errors of a window
//! were already forgotten, the window is marked as if packets had been lost in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::ErrorSpike;
use crate::{
    address::Address,
    detect::{Alert, Mode, places::Places},
    time::{Stretch, Timestamp},
};

/// The most windows that wait to be executed again.
const MOST_REOPENED: usize = 1_024;

/// The most alerts whose counts are remembered.
const MOST_ALERTS: usize = 4_000;

/// What is known of windows that were executed.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Late {
    /// The ends of the windows that are to be executed again.
    reopened: BTreeSet<Timestamp>,
    /// The counts of the latest alerts, by the end of their window and their client; without a client, the
    /// errors of those that were left out.
    #[serde(with = "as_list")]
    alerts: BTreeMap<(Timestamp, Option<Address>), u64>,
    /// The first cell whose errors were counted in their turn, since packet time last went back.
    began: Option<u64>,
    /// Errors in cells before this one may be forgotten, since packet time last went back.
    pub(super) forgotten: u64,
    /// The cells that were read and forgotten before packet time went back.
    read_before: Vec<Range<u64>>,
    /// The cells of late errors since windows were last executed again, and those before, whose errors may be forgotten.
    cells: BTreeSet<u64>,
    past_cells: BTreeSet<u64>,
    /// The latest time from which packet time went back.
    furthest: Timestamp,
}

/// A map as a list of its entries: the keys of an object in JSON must be text.
mod as_list {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Address, BTreeMap, Timestamp};

    type Alerts = BTreeMap<(Timestamp, Option<Address>), u64>;

    pub(super) fn serialize<S: Serializer>(alerts: &Alerts, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(alerts)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Alerts, D::Error> {
        let entries = Vec::<((Timestamp, Option<Address>), u64)>::deserialize(deserializer)?;
        Ok(entries.into_iter().collect())
    }
}

impl Late {
    /// The end of the first window that is to be executed again.
    #[inline]
    pub(super) fn first_reopened(&self) -> Option<Timestamp> {
        self.reopened.first().copied()
    }

    /// Returns whether a window reaches beyond the input, whose last packet is of this time.
    pub(super) fn is_partial(&self, boundary: Timestamp, last: Timestamp) -> bool {
        boundary > last.max(self.furthest)
    }

    /// Returns whether no alert with this count or more was raised for this window and client.
    pub(super) fn is_news(&self, boundary: Timestamp, client: Option<Address>, count: u64) -> bool {
        self.alerts.get(&(boundary, client)).is_none_or(|raised| *raised < count)
    }

    /// Remembers an alert.
    pub(super) fn note_alert(&mut self, boundary: Timestamp, client: Option<Address>, count: u64) {
        self.alerts.insert((boundary, client), count);
        if self.alerts.len() > MOST_ALERTS {
            self.alerts.pop_first();
        }
    }

    /// Takes note that this is the first cell whose errors are counted in their turn.
    pub(super) fn begin(&mut self, cell: u64) {
        self.began = Some(cell);
        self.forgotten = cell;
    }

    /// The cells that were read since packet time last went back and that may be forgotten.
    fn read_now(&self) -> Range<u64> {
        self.began.unwrap_or(self.forgotten)..self.forgotten
    }

    /// Returns whether errors in any of these cells may have been forgotten.
    fn are_forgotten(&self, cells: &Range<u64>) -> bool {
        let overlaps = |read: &Range<u64>| read.start.max(cells.start) < read.end.min(cells.end);
        self.past_cells.range(cells.clone()).next().is_some()
            || overlaps(&self.read_now())
            || self.read_before.iter().any(overlaps)
    }

    /// The windows were executed again, and their errors may be forgotten.
    fn settle(&mut self) {
        self.reopened.clear();
        self.past_cells.append(&mut self.cells);
        while self.past_cells.len() > MOST_REOPENED {
            self.past_cells.pop_first();
        }
    }
}

impl ErrorSpike {
    /// Takes note of an error in a cell of windows that were executed: they are executed again.
    #[cold]
    pub(super) fn reopen(&mut self, time: Timestamp, cell: u64) {
        let end = time.plus(self.settings.window).min(self.next.minus(self.settings.every));
        let mut boundary = self.layout.cells.next_boundary(time);
        if boundary > end {
            return;
        }
        self.counters.late_partly += 1;
        let windows = self.layout.cells.before(boundary).start..self.layout.cells.before(end).end.max(cell + 1);
        if self.late.are_forgotten(&windows) {
            self.counters.late_incomplete += 1;
            self.losses.note(Stretch::from(time));
        }
        self.late.cells.insert(cell);
        while boundary <= end {
            if self.late.reopened.len() >= MOST_REOPENED && !self.late.reopened.contains(&boundary) {
                self.counters.late_dropped += 1;
                self.losses.note(Stretch::from(time));
                return;
            }
            self.late.reopened.insert(boundary);
            boundary = boundary.plus(self.settings.every);
        }
    }

    /// Executes the windows that late errors belong to.
    pub(super) fn execute_reopened(&mut self, alerts: &mut Vec<Alert>) {
        for boundary in self.late.reopened.clone() {
            self.execute(boundary, false, alerts);
        }
        self.late.settle();
    }

    /// Executes the windows that end after those of the input and hold errors: of packets whose stamps were not believed, or
    /// that were read before packet time went back. Of the windows that hold an error, the first is executed.
    pub(super) fn execute_ahead(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        while self.next < Timestamp::MAX {
            let from = self.layout.cells.of(self.next.minus(self.settings.every));
            let (clients, hot) = (&mut self.clients, &self.hot);
            let ahead = hot.iter().filter_map(|address| clients.many(*address)?.first_cell_from(from)).min();
            let Some(first) = ahead else { return };
            let boundary = self.layout.cells.next_boundary(self.layout.cells.start(first)).max(self.next);
            self.execute(boundary, self.late.is_partial(boundary, last), alerts);
            self.next = boundary.plus(self.settings.every);
        }
    }

    /// Packet time goes on from an earlier time.
    #[cold]
    pub(super) fn set_back(&mut self, to: Timestamp, alerts: &mut Vec<Alert>) {
        let Some(reached) = self.watermark else { return };
        match self.settings.mode {
            Mode::Scheduled => self.execute_reopened(alerts),
            Mode::Streaming => {
                self.close_quiet(Timestamp::MAX, alerts);
                self.end_interval(false, alerts);
                self.places = Places::default();
            }
        }
        let read = self.late.read_now();
        self.late.read_before.push(read);
        self.late.furthest = self.late.furthest.max(reached);
        self.start_at(to);
    }
}
