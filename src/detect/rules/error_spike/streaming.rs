//! Streaming mode: a look-back that slides.
//!
//! In: the times of one client's errors. Out: an alert at the error that makes more errors than the threshold lie within one
//! look-back; updates while the errors continue; and a closing alert when the client caused no error for a whole look-back.
//! Promises: the result is exact for errors in order of time; a late error counts while it is among the last *threshold + 1*
//! errors by time; a client has at most one open alert.
//!
//! At most as many alerts as the limit are opened in one interval, and as many again for clients whose confirmed errors alone
//! are over the threshold: these clients do not wait for the places that others took. At the end of the interval, one alert
//! sums up the clients that were left out.
//!
//! The count in such an alert is the sum over all cells that the look-back before the last error touches, with eleven cells
//! a look-back. The alert's window is exactly the time of these cells, up to the last error.

use std::{collections::VecDeque, time::Duration};

use super::{ErrorSpike, evidence::summarize};
use crate::{
    address::Address,
    detect::{Alert, AlertKind, Episode, LeftOut, Window, alert::alert_id, places::Ended},
    time::{Stretch, Timestamp},
};

/// The times of a client's last errors, and its open alert.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Sliding {
    /// The times, sorted. At most threshold + 1 up to the latest error, and as many after it, which came before their turn.
    times: VecDeque<Timestamp>,
    pub(super) open: Option<Open>,
}

/// An open alert.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Open {
    pub(super) id: String,
    /// The time of the first of the errors that crossed the threshold.
    pub(super) started: Timestamp,
    /// The time of the latest error.
    pub(super) last: Timestamp,
    /// The number of errors since `started`.
    pub(super) count: u64,
    /// The time of the error at which the alert was last written.
    pub(super) written: Timestamp,
    /// The number of updates that were written.
    pub(super) updates: u64,
}

impl Sliding {
    /// Adds the time of an error. It does not check the threshold. Returns the place of the time among all times.
    pub(super) fn note(&mut self, time: Timestamp) -> usize {
        let place = self.times.partition_point(|&known| known <= time);
        self.times.insert(place, time);
        place
    }

    /// The errors of the look-back that ends with an error at `time`.
    pub(super) fn within(&self, time: Timestamp, window: Duration) -> u64 {
        let end = self.times.partition_point(|&known| known <= time);
        let start = self.times.partition_point(|&known| known.plus(window) <= time);
        end.saturating_sub(start) as u64
    }

    /// Adds the time of an error. If more errors than the threshold now lie within one look-back, together with this one,
    /// returns the times of the first and the last of them. `reached` is packet time. An error ahead of it makes no earlier
    /// error superfluous, because errors of packet time still come.
    pub(super) fn crosses(
        &mut self,
        time: Timestamp,
        reached: Timestamp,
        threshold: u32,
        window: Duration,
    ) -> Option<Stretch> {
        let mut place = self.note(time);
        let is_ahead = time > reached;
        let limit = threshold as usize + 1;
        while self.times.len() > 2 * limit && place == 0 {
            self.times.pop_back();
        }
        while (place >= limit && !is_ahead) || (self.times.len() > 2 * limit && place > 0) {
            self.times.pop_front();
            place -= 1;
        }
        (place.saturating_sub(threshold as usize)..=place).find_map(|first| {
            let (start, end) = (*self.times.get(first)?, *self.times.get(first + threshold as usize)?);
            (end.since(start) < window).then_some(Stretch { start, end })
        })
    }
}

impl ErrorSpike {
    /// Opens or updates the alert of a client that had an error at `time`.
    pub(super) fn slide(&mut self, place: u32, time: Timestamp, alerts: &mut Vec<Alert>) {
        let Some((address, many)) = self.clients.at(place) else { return };
        let crossed =
            many.sliding.crosses(time, self.watermark.unwrap_or(time), self.settings.threshold, self.settings.window);
        if let Some(open) = &mut many.sliding.open {
            let is_stray = time.plus(self.settings.window) <= open.started
                || (time >= open.last.plus(self.settings.window) && self.watermark < Some(time));
            if is_stray {
                return;
            }
            open.count += 1;
            open.last = open.last.max(time);
            if open.last.since(open.written) >= self.settings.update_every {
                open.written = open.last;
                open.updates += 1;
                self.write_open(address, AlertKind::Update, alerts);
            }
        } else if let Some(crossed) = crossed {
            self.near.note_over(address);
            self.open(address, crossed, alerts);
        } else {
            let count = many.sliding.within(time, self.settings.window);
            self.note_slide(address, count, time);
        }
    }

    fn open(&mut self, address: Address, crossed: Stretch, alerts: &mut Vec<Alert>) {
        let Stretch { start: first, end: time } = crossed;
        let threshold = u64::from(self.settings.threshold);
        let cells = &self.layout.cells;
        let look_back = cells.of(time.minus(self.settings.window))..cells.of(time) + 1;
        let Some(many) = self.clients.many(address) else { return };
        let is_confirmed = many.confirmed > threshold && many.count(&look_back).confirmed() > threshold;
        if !self.places.take(is_confirmed, self.settings.max_alerts) {
            if !many.is_unplaced {
                many.is_unplaced = true;
                self.counters.alerts_truncated += 1;
                self.places.leave_out(address);
            }
            return;
        }
        let id = alert_id(&self.identity, &self.group(address), time);
        let count = threshold + 1;
        if let Some(many) = self.clients.many(address) {
            many.sliding.open = Some(Open { id, started: first, last: time, count, written: time, updates: 0 });
            self.hot.push(address);
            self.write_open(address, AlertKind::Open, alerts);
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

    /// Sums up the clients that found no place in an interval.
    fn sum_up(&mut self, ended: Ended<Address>, alerts: &mut Vec<Alert>) {
        let mut left_out = LeftOut::default();
        for address in ended.left_out {
            let Some(many) = self.clients.many(address) else { continue };
            many.is_unplaced = false;
            if many.sliding.open.is_none() {
                let errors = many.count(&(0..u64::MAX));
                left_out.alert_limit.add(1, errors);
                left_out.largest.note(address, errors);
            }
        }
        std::mem::take(&mut self.given_up).add_to(&mut left_out, &(0..u64::MAX));
        if !left_out.is_empty() {
            let alert = self.left_out_alert(left_out, ended.window.end, ended.window);
            alerts.push(alert);
        }
    }

    /// Closes the alert of a client, if it is open.
    pub(super) fn close(&mut self, address: Address, alerts: &mut Vec<Alert>) {
        self.write_open(address, AlertKind::Close, alerts);
        if let Some(many) = self.clients.many(address) {
            many.sliding.open = None;
        }
    }

    /// Closes the alerts of clients that caused no error for a whole look-back before `reached`.
    pub(super) fn close_quiet(&mut self, reached: Timestamp, alerts: &mut Vec<Alert>) {
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable();
        hot.retain(|&address| {
            let open = self.clients.many(address).and_then(|many| many.sliding.open.as_ref());
            let goes_on = open.is_some_and(|open| open.last.plus(self.settings.window) > reached);
            if !goes_on || reached == Timestamp::MAX {
                self.close(address, alerts);
            }
            goes_on && reached < Timestamp::MAX
        });
        self.hot = hot;
    }

    /// Writes the open alert of a client.
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
        let errors = many.count(&cells);
        let summary = summarize(many.evidence(cells), self.servers.all(), self.budget.interval);
        let episode = Episode { started: open.started, last: open.last, count: open.count, updates: open.updates };
        alerts.push(Alert {
            kind,
            episode: Some(episode),
            lower_bound: self.losses.within(window),
            ..self.alert(open.id, self.group(address), open.last, window, errors, summary)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn errors_far_ahead_do_not_hide_a_crossing(
            count in 1u64..60, threshold in 0u32..12, ahead in proptest::collection::vec(0u64..60, 0..4),
        ) {
            let mut sliding = Sliding::default();
            let (mut crossed, mut near) = (false, 0);
            for index in 0..count {
                let is_ahead = ahead.contains(&index);
                let time = if is_ahead { 1_000_000 + 100 * index } else { index };
                let crosses = sliding.crosses(
                    Timestamp::from_nanos(time),
                    Timestamp::from_nanos(index),
                    threshold,
                    Duration::from_nanos(80),
                );
                near += u64::from(!is_ahead);
                crossed |= crosses.is_some();
                prop_assert!(sliding.times.len() <= 2 * (threshold as usize + 1));
                prop_assert_eq!(crossed, near > u64::from(threshold) || (threshold == 0));
            }
        }

        #[test]
        fn crosses_when_a_recount_says_so(mut times in proptest::collection::vec(0u64..300, 1..80), threshold in 0u32..6, window in 1u64..40) {
            times.sort_unstable();
            let mut sliding = Sliding::default();
            for (index, &time) in times.iter().enumerate() {
                let recount = times[..=index].iter().filter(|&&earlier| earlier + window > time).count();
                let crosses = sliding.crosses(
                    Timestamp::from_nanos(time),
                    Timestamp::from_nanos(time),
                    threshold,
                    Duration::from_nanos(window),
                );
                prop_assert_eq!(crosses.is_some(), recount > threshold as usize, "{} of {:?}", time, times);
            }
        }
    }
}
