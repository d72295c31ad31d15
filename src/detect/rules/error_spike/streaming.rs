//! A look-back that slides: streaming mode.
//!
//! In: the times of one client's errors. Out: an alert with the very error that makes more than the threshold lie within
//! one look-back, updates while it goes on, and its end once the client was quiet for a whole look-back. Promises: exact for
//! errors in order of time; an error that arrives late counts as long as it is among the last *threshold + 1* by time; a
//! client has one alert open at a time.
//!
//! The counts in these alerts are those of the cells (eleven to a look-back) that the look-back before the last error
//! touches, and the alert's window says exactly which time that is.

use std::{collections::VecDeque, time::Duration};

use super::{ErrorSpike, evidence::summarize};
use crate::{
    address::Address,
    detect::{Alert, AlertKind, Episode, Window, alert::alert_id},
    time::Timestamp,
};

/// The last times of one client, and its alert while that is open.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Sliding {
    /// Sorted, at most threshold + 1.
    times: VecDeque<Timestamp>,
    pub(super) open: Option<Open>,
}

/// An alert that goes on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Open {
    pub(super) id: String,
    /// The first of the errors that crossed the threshold.
    pub(super) started: Timestamp,
    /// The latest error.
    pub(super) last: Timestamp,
    /// Errors so far.
    pub(super) count: u64,
    /// When the alert was last written.
    pub(super) written: Timestamp,
    /// How often the alert was updated.
    pub(super) updates: u64,
}

impl Sliding {
    /// Takes in a time from before there were many, when nothing could cross the threshold yet.
    pub(super) fn note(&mut self, time: Timestamp) {
        let place = self.times.partition_point(|&known| known <= time);
        self.times.insert(place, time);
    }

    /// Takes in a time; the first error of those that exceed the threshold within the look-back, if they do.
    pub(super) fn crosses(&mut self, time: Timestamp, threshold: u32, window: Duration) -> Option<Timestamp> {
        self.note(time);
        let limit = threshold as usize + 1;
        while self.times.len() > limit {
            self.times.pop_front();
        }
        let (first, last) = (*self.times.front()?, *self.times.back()?);
        (self.times.len() == limit && last.since(first) < window).then_some(first)
    }
}

impl ErrorSpike {
    /// Looks at a client that had an error at `time`.
    pub(super) fn slide(&mut self, place: u32, time: Timestamp, alerts: &mut Vec<Alert>) {
        let Some((address, many)) = self.clients.at(place) else { return };
        let crossed = many.sliding.crosses(time, self.settings.threshold, self.settings.window);
        if let Some(open) = &mut many.sliding.open {
            open.count += 1;
            open.last = open.last.max(time);
            if open.last.since(open.written) >= self.settings.update_every {
                open.written = open.last;
                open.updates += 1;
                self.write_open(address, AlertKind::Update, alerts);
            }
        } else if let Some(first) = crossed {
            self.open(address, first, time, alerts);
        }
    }

    fn open(&mut self, address: Address, first: Timestamp, time: Timestamp, alerts: &mut Vec<Alert>) {
        let boundary = time.floor_to(self.settings.every);
        if self.opened.0 != boundary {
            self.opened = (boundary, 0);
        }
        if self.opened.1 >= self.settings.max_alerts {
            self.counters.alerts_truncated += 1;
            return;
        }
        self.opened.1 += 1;
        let id = alert_id(&self.identity, &self.group(address), time);
        let count = u64::from(self.settings.threshold) + 1;
        if let Some(many) = self.clients.many(address) {
            many.sliding.open = Some(Open { id, started: first, last: time, count, written: time, updates: 0 });
            self.hot.push(address);
            self.write_open(address, AlertKind::Open, alerts);
        }
    }

    /// Closes the alerts of clients that made no error for a whole look-back before `reached`.
    pub(super) fn close_quiet(&mut self, reached: Timestamp, alerts: &mut Vec<Alert>) {
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable();
        hot.retain(|&address| {
            let open = self.clients.many(address).and_then(|many| many.sliding.open.as_ref());
            let goes_on = open.is_some_and(|open| open.last.plus(self.settings.window) > reached);
            if !goes_on || reached == Timestamp::MAX {
                self.write_open(address, AlertKind::Close, alerts);
                if let Some(many) = self.clients.many(address) {
                    many.sliding.open = None;
                }
            }
            goes_on && reached < Timestamp::MAX
        });
        self.hot = hot;
    }

    /// Writes a client's open alert.
    fn write_open(&mut self, address: Address, kind: AlertKind, alerts: &mut Vec<Alert>) {
        let Some(many) = self.clients.many(address) else { return };
        let Some(open) = many.sliding.open.clone() else { return };
        let layout = &self.layout;
        let oldest = layout.cells.of(open.last.minus(self.settings.window));
        many.forget_before(oldest, &mut self.budget);
        let cells = many.first_cell().unwrap_or(oldest)..layout.cells.of(open.last) + 1;
        let window = Window {
            start: layout.cells.start(cells.start),
            end: open.last.plus(Duration::from_nanos(1)),
            partial: false,
        };
        self.counters.alerts += 1;
        let count = many.count(&cells);
        let summary = summarize(many.evidence(cells), self.servers.all(), self.budget.interval);
        let episode = Episode { started: open.started, last: open.last, count: open.count, updates: open.updates };
        alerts.push(Alert {
            kind,
            episode: Some(episode),
            lower_bound: self.losses.within(window),
            ..self.alert(open.id, address, open.last, window, count, summary)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn crosses_when_a_recount_says_so(mut times in proptest::collection::vec(0u64..300, 1..80), threshold in 0u32..6, window in 1u64..40) {
            times.sort_unstable();
            let mut sliding = Sliding::default();
            for (index, &time) in times.iter().enumerate() {
                let recount = times[..=index].iter().filter(|&&earlier| earlier + window > time).count();
                let crosses = sliding.crosses(Timestamp::from_nanos(time), threshold, Duration::from_nanos(window));
                prop_assert_eq!(crosses.is_some(), recount > threshold as usize, "{} of {:?}", time, times);
            }
        }
    }
}
