//! The rule over the life of a sensor: restarts, reloads, clocks that are set back.
//!
//! In: error events and packet time. Out: alerts. Promises: an alert is raised once, over restarts too; when a reload changes
//! the rule's windows, nothing is lost: the old windows go on until their next execution.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    detect::{Alert, AlertKind, Mode, RuleCounters, RuleEngine, RuleSettings, Snapshot, SnapshotError},
    event::{ErrorEvent, Site},
    telemetry::{Count, snapshot::Gauge},
    time::{Stretch, Timestamp},
};

use super::finding::Finding;

/// Most alert IDs that are remembered: those of forty executions with 100 alerts each.
const REMEMBERED_ALERTS: usize = 4_000;

/// A tick may be this far behind the time that the rule has reached: after a restart, packets may be a little older than the
/// saved time. When a tick is further behind, the clock was set back.
const SET_BACK: Duration = Duration::from_secs(2);

/// The rule, and the alerts that it has raised.
pub(crate) struct Alerting {
    rule: RuleEngine,
    retiring: Option<Retiring>,
    /// Counts of rules that are no longer at work.
    past: RuleCounters,
    raised: Raised,
}

/// Alerts on their way out, and those that have left.
#[derive(Default)]
struct Raised {
    /// Alerts that a rule has just raised.
    pending: Vec<Alert>,
    /// Alerts passed on.
    count: u64,
    /// IDs of alerts of windows that may be executed again, oldest first. `None` in a replay, which executes no window
    /// again.
    remembered: Option<VecDeque<String>>,
}

/// A rule whose windows were changed, until its last execution.
struct Retiring {
    rule: RuleEngine,
    /// Packet time of its last execution.
    until: Timestamp,
    /// The rule's counters when it was replaced.
    counted: RuleCounters,
}

impl Alerting {
    /// A rule that has seen nothing yet.
    pub(crate) fn new(rule: RuleSettings, site: Arc<Site>) -> Self {
        Self {
            rule: RuleEngine::new(rule, site),
            retiring: None,
            past: RuleCounters::default(),
            raised: Raised::default(),
        }
    }

    /// Shows an event to the rule.
    pub(crate) fn observe(&mut self, event: &ErrorEvent, findings: &mut impl FnMut(Finding<'_>)) {
        if let Some(Retiring { rule, .. }) = &mut self.retiring {
            rule.observe(event, &mut self.raised.pending);
            self.raised.pass_on(rule, findings);
        }
        self.rule.observe(event, &mut self.raised.pending);
        self.raised.pass_on(&self.rule, findings);
    }

    /// Packet time has reached this.
    pub(crate) fn tick(&mut self, time: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        if self.rule.reached().is_some_and(|reached| reached > time.plus(SET_BACK)) {
            self.turn_back(time, findings);
        }
        if let Some(Retiring { rule, until, .. }) = &mut self.retiring {
            rule.advance(time, &mut self.raised.pending);
            self.raised.pass_on(rule, findings);
            if time >= *until {
                self.retire(time, findings);
            }
        }
        self.rule.advance(time, &mut self.raised.pending);
        self.raised.pass_on(&self.rule, findings);
    }

    /// Time was set back: open windows are executed as at the end, and begin anew.
    #[cold]
    fn turn_back(&mut self, to: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        tracing::warn!(%to, "the clock was set back: open windows are executed, and begin anew");
        self.finish(to, findings);
        let mut new = RuleEngine::new(self.rule.settings().clone(), Arc::clone(self.rule.site()));
        new.advance(to, &mut self.raised.pending);
        new.note_loss(to.into());
        self.past.merge(&std::mem::replace(&mut self.rule, new).counters());
        // The same boundaries come again, and their alerts are others.
        self.raised.remembered.iter_mut().for_each(VecDeque::clear);
    }

    /// The input is over: the open window is executed, marked partial.
    pub(crate) fn finish(&mut self, last: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        self.retire(last, findings);
        self.rule.finish(last, &mut self.raised.pending);
        self.raised.pass_on(&self.rule, findings);
    }

    /// Goes on under other settings. Where they mean other windows, those begin now, and the open ones go on beside them until
    /// they have been executed.
    pub(crate) fn reload(
        &mut self,
        settings: RuleSettings,
        site: Arc<Site>,
        now: Timestamp,
        findings: &mut impl FnMut(Finding<'_>),
    ) -> Windows {
        if self.rule.reconfigure(settings.clone(), Arc::clone(&site)).is_ok() {
            return Windows::Same;
        }
        self.retire(now, findings);
        let old = self.rule.settings();
        let until = match old.mode {
            Mode::Scheduled => now.floor_to(old.every).plus(old.every).plus(old.lateness),
            Mode::Streaming => now.plus(old.window),
        };
        let mut new = RuleEngine::new(RuleSettings { seed: old.seed, ..settings }, site);
        new.advance(now, &mut self.raised.pending);
        // The new windows have not seen the events before now: to them those are a loss.
        new.note_loss(now.into());
        let rule = std::mem::replace(&mut self.rule, new);
        let counted = rule.counters();
        self.past.merge(&counted);
        self.retiring = Some(Retiring { rule, until, counted });
        Windows::New { old_until: until }
    }

    /// Packets were lost within this time.
    pub(crate) fn note_loss(&mut self, stretch: Stretch) {
        self.rule.note_loss(stretch);
        if let Some(retiring) = &mut self.retiring {
            retiring.rule.note_loss(stretch);
        }
    }

    /// Remembers from now on which alerts were passed on.
    pub(crate) fn remember(&mut self) {
        self.raised.remembered = Some(VecDeque::new());
    }

    /// Takes the IDs of alerts that an earlier run has passed on.
    pub(crate) fn skip(&mut self, ids: Vec<String>) {
        if let Some(remembered) = &mut self.raised.remembered {
            remembered.extend(ids);
            remembered.drain(..remembered.len().saturating_sub(REMEMBERED_ALERTS));
        }
    }

    /// IDs of the alerts that were passed on lately.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &str> {
        self.raised.remembered.iter().flatten().map(String::as_str)
    }

    /// The open windows.
    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        self.rule.snapshot()
    }

    /// Goes on with the open windows of an earlier run.
    ///
    /// # Errors
    ///
    /// Windows that mean something else under these settings.
    pub(crate) fn restore(&mut self, rule: RuleSettings, snapshot: Snapshot<'_>) -> Result<(), SnapshotError> {
        self.rule = RuleEngine::restore(rule, Arc::clone(self.rule.site()), snapshot)?;
        Ok(())
    }

    /// Alerts passed on.
    pub(crate) fn alerts(&self) -> u64 {
        self.raised.count
    }

    /// What the rule did.
    pub(crate) fn counters(&self) -> RuleCounters {
        let mut counters = self.past.clone();
        counters.merge(&self.rule.counters());
        counters
    }

    /// What the rule holds now.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let gauge = |held: Count| Gauge { name: held.name, help: held.help, value: held.value as f64 };
        self.rule.gauges().map(gauge).into()
    }

    /// Executes the open windows of a replaced rule, and drops the rule.
    fn retire(&mut self, now: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        let Some(Retiring { mut rule, until, counted }) = self.retiring.take() else { return };
        if now < until || rule.settings().mode == Mode::Streaming {
            rule.finish(now, &mut self.raised.pending);
        }
        let counters = rule.counters();
        self.past.executions_with_alerts += counters.executions_with_alerts - counted.executions_with_alerts;
        self.past.alerts += counters.alerts - counted.alerts;
        self.past.alerts_truncated += counters.alerts_truncated - counted.alerts_truncated;
        self.past.alerts_suppressed += counters.alerts_suppressed - counted.alerts_suppressed;
        self.raised.pass_on(&rule, findings);
    }
}

impl Raised {
    /// Passes on the alerts that a rule has just raised.
    #[inline]
    fn pass_on(&mut self, rule: &RuleEngine, findings: &mut impl FnMut(Finding<'_>)) {
        if !self.pending.is_empty() {
            self.pass_on_all(rule, findings);
        }
    }

    #[cold]
    fn pass_on_all(&mut self, rule: &RuleEngine, findings: &mut impl FnMut(Finding<'_>)) {
        for alert in std::mem::take(&mut self.pending) {
            if !self.is_repeated(&alert) {
                self.count += 1;
                findings(Finding::Alert { alert: &alert, settings: rule.settings(), site: rule.site() });
            }
        }
    }

    /// Returns whether an alert was passed on before; remembers it if not.
    fn is_repeated(&mut self, alert: &Alert) -> bool {
        let Some(remembered) = self.remembered.as_mut().filter(|_| alert.kind == AlertKind::Scheduled) else {
            return false;
        };
        if remembered.contains(&alert.id) {
            return true;
        }
        if remembered.len() >= REMEMBERED_ALERTS {
            remembered.pop_front();
        }
        remembered.push_back(alert.id.clone());
        false
    }
}

/// Which windows a reload leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    /// The rule's windows stay the same.
    Same,
    /// The rule has new windows. The old ones go on until their last execution.
    New {
        /// Packet time of the last execution.
        old_until: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testing::{client, event};

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(1_000_000 + second, 0)
    }

    fn ignore(_: Finding<'_>) {}

    /// Errors of a client, one a second.
    fn errors(alerting: &mut Alerting, number: u8, seconds: std::ops::Range<u64>) {
        for second in seconds {
            alerting.tick(at(second), &mut ignore);
            alerting.observe(&event(client(number), at(second), second, "/"), &mut ignore);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_alert() {
        let mut alerting = Alerting::new(RuleSettings::default(), Arc::default());
        alerting.remember();
        errors(&mut alerting, 1, 86_400..86_460);
        // A day back: the open window is executed at once, and the day's windows are not lost.
        errors(&mut alerting, 2, 0..60);
        assert_eq!(alerting.alerts(), 1);
        alerting.tick(at(1_200), &mut ignore);
        assert_eq!(alerting.alerts(), 2);
        // The window that was executed early comes again.
        errors(&mut alerting, 1, 86_400..86_460);
        alerting.tick(at(87_600), &mut ignore);
        assert_eq!((alerting.alerts(), alerting.counters().late_dropped), (3, 0));
        // Within the allowance time only stands still.
        alerting.tick(at(87_599), &mut ignore);
        assert_eq!(alerting.rule.reached(), Some(at(87_600)));
    }
}
