//! From records to findings: events and rules, on one thread.
//!
//! In: [`Record`]s in order, and ticks. Out: [`Finding`]s. Promises: findings depend on the records and ticks alone; no I/O.

use std::sync::Arc;

use crate::{
    capture::Stamp,
    detect::{RuleSettings, Snapshot, SnapshotError},
    event::{ErrorEvent, EventBuilder},
    exchange::Exchange,
    telemetry::{snapshot::Gauge, summary::StageCounts},
    time::Timestamp,
};

use super::{
    alerting::{Alerting, Windows},
    finding::Finding,
    record::{Content, Record},
    settings::SensorSettings,
};

/// Makes events, shows them to the rule, and gives findings.
pub struct Evaluator {
    events: EventBuilder,
    alerting: Alerting,
    /// Error events made.
    errors: u64,
}

/// Findings so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Error events made.
    pub errors: u64,
    /// Alerts raised.
    pub alerts: u64,
}

impl Evaluator {
    /// An evaluator that has seen nothing yet.
    pub fn new(settings: &SensorSettings) -> Self {
        Self {
            events: EventBuilder::new(settings.events.clone(), Arc::clone(&settings.site)),
            alerting: Alerting::new(settings.rule.clone(), Arc::clone(&settings.site)),
            errors: 0,
        }
    }

    /// Takes a record, and passes on what follows from it. Returns the record's exchange, which can be used again.
    pub(crate) fn record(&mut self, record: Record, findings: &mut impl FnMut(Finding<'_>)) -> Option<Box<Exchange>> {
        match record.content {
            Content::ServerFingerprint(observation) => self.events.learn(&observation),
            Content::Gap(stretch) => {
                self.alerting.note_loss(stretch);
                findings(Finding::Gap(stretch));
            }
            Content::Failed(exchange) => return Some(self.failed(exchange, record.stamp, findings)),
            Content::FailedAndFinished(exchange) => {
                return Some(self.failed_and_finished(exchange, record.stamp, findings));
            }
            Content::Finished(exchange) => {
                self.finished(&exchange, findings);
                return Some(exchange);
            }
        }
        None
    }

    /// Packet time has reached this: windows that are over are executed.
    pub(crate) fn tick(&mut self, time: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        self.alerting.tick(time, findings);
    }

    /// The input is over: the open window is executed, marked partial.
    pub(crate) fn finish(&mut self, last: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        self.alerting.finish(last, findings);
    }

    fn failed(&mut self, exchange: Box<Exchange>, now: Stamp, findings: &mut impl FnMut(Finding<'_>)) -> Box<Exchange> {
        let event = match self.events.error_event(exchange, now) {
            Ok(event) => event,
            Err(exchange) => return exchange,
        };
        findings(Finding::Event(&event));
        self.count(event, findings)
    }

    fn failed_and_finished(
        &mut self,
        exchange: Box<Exchange>,
        now: Stamp,
        findings: &mut impl FnMut(Finding<'_>),
    ) -> Box<Exchange> {
        let event = match self.events.error_event(exchange, now) {
            Ok(event) => event,
            Err(exchange) => {
                self.finished(&exchange, findings);
                return exchange;
            }
        };
        findings(Finding::EventAndExchange(&event));
        self.count(event, findings)
    }

    fn finished(&mut self, exchange: &Exchange, findings: &mut impl FnMut(Finding<'_>)) {
        let attribution = &self.events.attribute(exchange);
        if self.events.wants(attribution) {
            findings(Finding::Exchange { exchange, attribution });
        }
    }

    /// Shows an event to the rule. Returns its exchange.
    fn count(&mut self, event: ErrorEvent, findings: &mut impl FnMut(Finding<'_>)) -> Box<Exchange> {
        self.errors += 1;
        self.alerting.observe(&event, findings);
        event.exchange
    }

    /// Goes on under other settings.
    pub(crate) fn reconfigure(
        &mut self,
        settings: SensorSettings,
        now: Timestamp,
        findings: &mut impl FnMut(Finding<'_>),
    ) -> Windows {
        self.events.reconfigure(settings.events, Arc::clone(&settings.site));
        self.alerting.reload(settings.rule, settings.site, now, findings)
    }

    /// Packets were lost about then.
    pub(crate) fn note_loss(&mut self, at: Timestamp) {
        self.alerting.note_loss(at.into());
    }

    /// Remembers from now on which alerts were raised, so that none is raised twice over a restart.
    pub(crate) fn remember_alerts(&mut self) {
        self.alerting.remember();
    }

    /// Takes the IDs of alerts that an earlier run has raised: they are not raised again.
    pub(crate) fn skip_alerts(&mut self, ids: Vec<String>) {
        self.alerting.skip(ids);
    }

    /// IDs of the alerts that were raised lately, where they are remembered.
    pub(crate) fn remembered_alerts(&self) -> impl Iterator<Item = &str> {
        self.alerting.remembered()
    }

    /// The rule's open windows.
    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        self.alerting.snapshot()
    }

    /// Goes on with the open windows of an earlier run.
    ///
    /// # Errors
    ///
    /// Windows that mean something else under these settings.
    pub(crate) fn restore(&mut self, rule: RuleSettings, snapshot: Snapshot<'_>) -> Result<(), SnapshotError> {
        self.alerting.restore(rule, snapshot)
    }

    /// Findings so far.
    pub fn totals(&self) -> Totals {
        Totals { errors: self.errors, alerts: self.alerting.alerts() }
    }

    /// The counters of events and rules.
    pub fn counts(&self) -> Vec<StageCounts> {
        vec![
            StageCounts { stage: "event", counts: self.events.counters().counts() },
            StageCounts { stage: "detect", counts: self.alerting.counters().counts() },
        ]
    }

    /// What the rule holds now.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        self.alerting.gauges()
    }
}
