//! Scheduled mode: windows that end at the boundaries of a schedule.
//!
//! In: the clients that may be over the threshold, and packet time. Out: for each window that is due, the alerts of the clients with
//! more errors in it than the threshold, in order of rank, and one alert that sums up those beyond the limit of alerts. Promises: a
//! client alerts at most once in a suppression period; a window is executed again only for late errors (`late`).

use std::ops::Range;

use super::{ErrorSpike, evidence::summarize};
use crate::{
    address::Address,
    detect::{Alert, Execution, GradeCounts, LeftOut, Summary, Window, alert::alert_id},
    time::Timestamp,
};

/// A client over the threshold.
struct Over {
    client: Address,
    errors: GradeCounts,
}

impl ErrorSpike {
    #[inline]
    pub(super) fn note_hot(&mut self, place: u32) {
        let threshold = u64::from(self.settings.threshold);
        if let Some((address, many)) = self.clients.at(place)
            && !many.hot
            && many.total > threshold
        {
            many.hot = true;
            self.hot.push(address);
            if self.hot.len() > 2 * self.clients.len() + 1_024 {
                self.thin_hot();
            }
        }
    }

    /// Removes the clients from the list that the table no longer has, and those that are in the list twice.
    #[cold]
    fn thin_hot(&mut self) {
        self.hot.sort_unstable();
        self.hot.dedup();
        self.hot.retain(|&address| self.clients.many(address).is_some_and(|many| many.hot));
    }

    /// Returns whether the next window may raise an alert.
    fn may_alert(&self) -> bool {
        !self.hot.is_empty() || !self.given_up.is_empty()
    }

    /// Executes the windows that are due when packet time less the lateness has reached this time.
    pub(super) fn execute_due(&mut self, reached: Timestamp, alerts: &mut Vec<Alert>) {
        self.execute_reopened(alerts);
        while self.next <= reached && self.may_alert() && self.next < Timestamp::MAX {
            self.execute(self.next, false, alerts);
            self.next = self.next.plus(self.settings.every);
        }
        if self.next <= reached {
            self.note_near_misses(self.next..=reached);
        }
    }

    /// Executes every window up to and including the first boundary after the last packet, and those of errors with later stamps.
    pub(super) fn execute_last(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        self.execute_reopened(alerts);
        let end = self.layout.cells.next_boundary(last);
        while self.next <= end && self.may_alert() {
            self.execute(self.next, self.late.is_partial(self.next, last), alerts);
            if self.next == Timestamp::MAX {
                break;
            }
            self.next = self.next.plus(self.settings.every);
        }
        self.note_near_misses(self.next..=end);
        self.next = self.next.max(end.plus(self.settings.every));
        self.execute_ahead(last, alerts);
    }

    /// Executes the window that ends at a boundary.
    pub(super) fn execute(&mut self, boundary: Timestamp, partial: bool, alerts: &mut Vec<Alert>) {
        let cells = self.layout.cells.before(boundary);
        self.given_up.forget_before(self.oldest_cell().min(cells.start));
        let mut over = self.over_threshold(&cells);
        over.iter().for_each(|over| self.near.note_over(over.client));
        self.note_near_misses(boundary..=boundary);
        over.retain(|over| self.late.is_news(boundary, Some(over.client), over.errors.total()));
        self.suppress(&mut over, boundary);
        over.sort_unstable_by_key(|over| over.errors.rank(over.client));
        let groups = over.len();
        let beyond = over.split_off(groups.min(self.settings.max_alerts));
        let mut left_out = LeftOut::default();
        for Over { client, errors } in &beyond {
            left_out.alert_limit.add(1, *errors);
            left_out.largest.note(*client, *errors);
        }
        self.given_up.add_to(&mut left_out, &cells);
        let execution = Execution { every: self.settings.every, groups: groups as u64, truncated: beyond.len() as u64 };
        self.counters.executions_with_alerts += u64::from(groups > 0);
        self.counters.alerts_truncated += execution.truncated;
        self.counters.alerts += over.len() as u64;
        let window = Window { start: boundary.minus(self.settings.window), end: boundary, partial };
        let lower_bound = self.losses.within(window) || self.given_up.are_within(&cells);
        for Over { client, errors } in over {
            self.late.note_alert(boundary, Some(client), errors.total());
            let summary = self.clients.many(client).map_or_else(Summary::default, |many| {
                summarize(many.evidence(cells.clone()), self.servers.all(), self.budget.interval)
            });
            let group = self.group(client);
            let id = alert_id(&self.identity, &group, boundary);
            alerts.push(Alert {
                execution: Some(execution),
                lower_bound,
                ..self.alert(id, group, boundary, window, errors, summary)
            });
        }
        let total = left_out.errors().total();
        if !left_out.is_empty() && self.late.is_news(boundary, None, total) {
            self.late.note_alert(boundary, None, total);
            let alert = self.left_out_alert(left_out, boundary, window);
            alerts.push(Alert { execution: Some(execution), ..alert });
        }
    }

    /// Returns the clients with more errors in these cells than the threshold. Errors that no execution counts any more are
    /// forgotten.
    fn over_threshold(&mut self, cells: &Range<u64>) -> Vec<Over> {
        let threshold = u64::from(self.settings.threshold);
        let oldest = self.oldest_cell().min(cells.start);
        self.late.forgotten = self.late.forgotten.max(oldest);
        let mut over = Vec::new();
        // A client that was forgotten and came back is in the list twice.
        self.hot.sort_unstable();
        self.hot.dedup();
        self.hot.retain(|&address| {
            let Some(many) = self.clients.many(address) else { return false };
            many.forget_before(oldest, &mut self.budget);
            let errors = many.count(cells);
            if errors.total() > threshold {
                over.push(Over { client: address, errors });
            }
            many.hot = many.total > threshold;
            many.hot
        });
        over
    }

    /// Removes the clients that alerted within the suppression period, and remembers the other clients as alerting now.
    fn suppress(&mut self, over: &mut Vec<Over>, boundary: Timestamp) {
        let Some(period) = self.settings.suppress else { return };
        self.suppressed.retain(|_, until| *until > boundary);
        over.retain(|over| {
            // A window that is executed again may lie before the alert that began the suppression.
            let silent = self.suppressed.get(&over.client).is_some_and(|until| until.minus(period) <= boundary);
            self.counters.alerts_suppressed += u64::from(silent);
            !silent
        });
        let until = boundary.plus(period);
        self.suppressed.extend(over.iter().map(|over| (over.client, until)));
    }
}
