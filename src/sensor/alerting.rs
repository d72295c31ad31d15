//! The rule at work, and its alerts written.
//!
//! In: error events and packet time. Out: alerts as lines of a sink. Promises: an alert's ID is written once, over restarts
//! too; other windows for the rule lose nothing, the old ones go on until their next execution.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    detect::{Alert, AlertKind, Mode, RuleCounters, RuleEngine, RuleSettings, Snapshot, SnapshotError},
    event::{ErrorEvent, Site},
    output::{OutputError, Sink},
    service::metrics::Gauge,
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// IDs remembered: forty executions full of alerts.
const REMEMBERED_ALERTS: usize = 4_000;

/// How far behind the time that was reached a tick may be after a restart.
const SET_BACK: Duration = Duration::from_secs(2);

/// Rule and alerts.
pub(crate) struct Alerting {
    rule: RuleEngine,
    retiring: Option<Retiring>,
    /// Counts of rules that are no longer at work.
    past: RuleCounters,
    output: Output,
}

/// Alerts on their way out.
struct Output {
    sink: Option<Sink>,
    raised: Vec<Alert>,
    /// Alerts written.
    alerts: u64,
    /// IDs of alerts of windows that may be executed again, oldest first; `None` in a replay, which executes none again.
    written: Option<VecDeque<String>>,
}

/// A rule whose windows were changed, until its last execution.
struct Retiring {
    rule: RuleEngine,
    /// When its last window is due.
    until: Timestamp,
    /// What it had counted when it was replaced.
    counted: RuleCounters,
}

impl Alerting {
    /// Raises the rule's alerts into a sink.
    pub(crate) fn new(rule: RuleSettings, site: Arc<Site>, sink: Option<Sink>) -> Self {
        let output = Output { sink, raised: Vec::new(), alerts: 0, written: None };
        Self { rule: RuleEngine::new(rule, site), retiring: None, past: RuleCounters::default(), output }
    }

    /// Takes an event in.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(crate) fn observe(&mut self, event: &ErrorEvent) -> Result<(), OutputError> {
        if let Some(Retiring { rule, .. }) = &mut self.retiring {
            rule.observe(event, &mut self.output.raised);
            self.output.write_raised(rule)?;
        }
        self.rule.observe(event, &mut self.output.raised);
        self.output.write_raised(&self.rule)
    }

    /// Packet time has reached this.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(crate) fn tick(&mut self, time: Timestamp) -> Result<(), OutputError> {
        if self.rule.reached().is_some_and(|reached| reached > time.plus(SET_BACK)) {
            self.turn_back(time)?;
        }
        if let Some(Retiring { rule, until, .. }) = &mut self.retiring {
            rule.advance(time, &mut self.output.raised);
            self.output.write_raised(rule)?;
            if time >= *until {
                self.retire(time)?;
            }
        }
        self.rule.advance(time, &mut self.output.raised);
        self.output.write_raised(&self.rule)
    }

    /// Time was set back: what is counted is executed as at the end, and windows begin anew.
    #[cold]
    fn turn_back(&mut self, to: Timestamp) -> Result<(), OutputError> {
        tracing::warn!(%to, "the clock was set back: open windows are executed, and begin anew");
        self.finish(to)?;
        let mut new = RuleEngine::new(self.rule.settings().clone(), Arc::clone(self.rule.site()));
        new.advance(to, &mut self.output.raised);
        new.note_loss(to.into());
        self.past.merge(&std::mem::replace(&mut self.rule, new).counters());
        // The same boundaries come again, and their alerts are others.
        self.output.written.iter_mut().for_each(VecDeque::clear);
        Ok(())
    }

    /// The input is over: the open window is executed, marked partial.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(crate) fn finish(&mut self, last: Timestamp) -> Result<(), OutputError> {
        self.retire(last)?;
        self.rule.finish(last, &mut self.output.raised);
        self.output.write_raised(&self.rule)
    }

    /// Goes on under other settings. Where they mean other windows, those begin now, and the open ones go on beside them until
    /// they have been executed.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(crate) fn reload(
        &mut self,
        settings: RuleSettings,
        site: Arc<Site>,
        now: Timestamp,
    ) -> Result<Windows, OutputError> {
        if self.rule.reconfigure(settings.clone(), Arc::clone(&site)).is_ok() {
            return Ok(Windows::Same);
        }
        self.retire(now)?;
        let old = self.rule.settings();
        let until = match old.mode {
            Mode::Scheduled => now.floor_to(old.every).plus(old.every).plus(old.lateness),
            Mode::Streaming => now.plus(old.window),
        };
        let mut new = RuleEngine::new(RuleSettings { seed: old.seed, ..settings }, site);
        new.advance(now, &mut self.output.raised);
        // What the new windows would have counted before now is a loss to them.
        new.note_loss(now.into());
        let rule = std::mem::replace(&mut self.rule, new);
        let counted = rule.counters();
        self.past.merge(&counted);
        self.retiring = Some(Retiring { rule, until, counted });
        Ok(Windows::New { old_until: until })
    }

    /// Packets were lost within this time.
    pub(crate) fn note_loss(&mut self, stretch: Stretch) {
        self.rule.note_loss(stretch);
        if let Some(retiring) = &mut self.retiring {
            retiring.rule.note_loss(stretch);
        }
    }

    /// Remembers from now on which alerts were written, and leaves it to the caller to flush.
    pub(crate) fn remember(&mut self) {
        self.output.written = Some(VecDeque::new());
    }

    /// Alerts that an earlier run has written.
    pub(crate) fn skip(&mut self, ids: Vec<String>) {
        if let Some(written) = &mut self.output.written {
            written.extend(ids);
            written.drain(..written.len().saturating_sub(REMEMBERED_ALERTS));
        }
    }

    /// IDs of alerts written lately.
    pub(crate) fn written(&self) -> impl Iterator<Item = &str> {
        self.output.written.iter().flatten().map(String::as_str)
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

    /// The sink.
    pub(crate) fn sink(&mut self) -> &mut Option<Sink> {
        &mut self.output.sink
    }

    /// Lines that are not in the sink's file yet.
    pub(crate) fn unwritten(&self) -> &[u8] {
        self.output.sink.as_ref().map_or(&[], Sink::unwritten)
    }

    /// Alerts written.
    pub(crate) fn alerts(&self) -> u64 {
        self.output.alerts
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

    /// Executes what a replaced rule has open, and lets it go.
    fn retire(&mut self, now: Timestamp) -> Result<(), OutputError> {
        let Some(Retiring { mut rule, until, counted }) = self.retiring.take() else { return Ok(()) };
        if now < until || rule.settings().mode == Mode::Streaming {
            rule.finish(now, &mut self.output.raised);
        }
        let counters = rule.counters();
        self.past.executions_with_alerts += counters.executions_with_alerts - counted.executions_with_alerts;
        self.past.alerts += counters.alerts - counted.alerts;
        self.past.alerts_truncated += counters.alerts_truncated - counted.alerts_truncated;
        self.past.alerts_suppressed += counters.alerts_suppressed - counted.alerts_suppressed;
        self.output.write_raised(&rule)
    }
}

impl Output {
    /// Writes what the rule has raised.
    #[inline]
    fn write_raised(&mut self, rule: &RuleEngine) -> Result<(), OutputError> {
        if self.raised.is_empty() { Ok(()) } else { self.write_all(rule) }
    }

    fn write_all(&mut self, rule: &RuleEngine) -> Result<(), OutputError> {
        let mut written = Ok(());
        for alert in std::mem::take(&mut self.raised) {
            if self.is_written_before(&alert) {
                continue;
            }
            self.alerts += 1;
            let Some(sink) = &mut self.sink else { continue };
            alert.write(sink.buffer(), rule.settings(), rule.site());
            if self.written.is_none() {
                written = written.and(sink.submit());
            }
        }
        written
    }

    fn is_written_before(&mut self, alert: &Alert) -> bool {
        let Some(written) = self.written.as_mut().filter(|_| alert.kind == AlertKind::Scheduled) else { return false };
        if written.contains(&alert.id) {
            return true;
        }
        if written.len() >= REMEMBERED_ALERTS {
            written.pop_front();
        }
        written.push_back(alert.id.clone());
        false
    }
}

/// Which windows a reload leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    /// The same, under other settings or not.
    Same,
    /// Others; the old ones are executed for the last time then.
    New {
        /// Packet time of the last execution.
        old_until: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::testing::{client, event},
        output::Opening,
    };

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(1_000_000 + second, 0)
    }

    /// Errors of a client, one a second.
    fn errors(alerting: &mut Alerting, number: u8, seconds: std::ops::Range<u64>) {
        for second in seconds {
            alerting.tick(at(second)).unwrap();
            alerting.observe(&event(client(number), at(second), second, "/")).unwrap();
        }
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_alert() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts");
        let sink = Sink::open(&path.to_string_lossy(), Opening::Replace).unwrap();
        let mut alerting = Alerting::new(RuleSettings::default(), Arc::default(), Some(sink));
        alerting.remember();
        errors(&mut alerting, 1, 86_400..86_460);
        // A day back: the open window is executed at once, and the day's windows are not lost.
        errors(&mut alerting, 2, 0..60);
        assert_eq!(alerting.alerts(), 1);
        alerting.tick(at(1_200)).unwrap();
        assert_eq!(alerting.alerts(), 2);
        // The window that was executed early comes again.
        errors(&mut alerting, 1, 86_400..86_460);
        alerting.tick(at(87_600)).unwrap();
        assert_eq!((alerting.alerts(), alerting.counters().late_dropped), (3, 0));
        // Within the allowance time only stands still.
        alerting.tick(at(87_599)).unwrap();
        assert_eq!(alerting.rule.reached(), Some(at(87_600)));
    }
}
