//! From findings to output: the end of the line, on one thread.
//!
//! In: [`Records`] in order. Out: exchanges, error events and alerts, written. Promises: what is written depends on the
//! records and ticks alone; formatting and rule never run on the packet path.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use crate::{
    capture::Stamp,
    config::OutputSettings,
    detect::{Alert, AlertKind, RuleEngine, RuleSettings, Snapshot, SnapshotError},
    event::{EcsWriter, EventBuilder, EventSettings},
    http::Exchange,
    output::{OutputError, Sink},
    telemetry::summary::StageCounts,
    time::{Stretch, Timestamp},
};

use super::record::{Finding, Record, Records, Spent};

/// Events, rule and sinks.
pub(super) struct Conclusion {
    builder: EventBuilder,
    writer: EcsWriter,
    rule: RuleEngine,
    alerts: Option<Sink>,
    events: Option<Sink>,
    exchanges: Option<Sink>,
    raised: Vec<Alert>,
    totals: Totals,
    /// Where `Some`, a sink that cannot be written is tried again, and alerts written before are not written twice.
    live: Option<Live>,
}

/// What a live run needs to know besides.
#[derive(Default)]
struct Live {
    /// IDs of alerts of windows that may be executed again, oldest first.
    written: VecDeque<String>,
    /// Whether some sink cannot be written now.
    blocked: bool,
    /// From when on gaps in TCP streams are told again.
    next_warning: Timestamp,
}

/// Packet time between two warnings about gaps.
const WARNING: Duration = Duration::from_secs(10);

/// IDs remembered: forty executions full of alerts.
const REMEMBERED_ALERTS: usize = 4_000;

/// What was concluded in all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Error events made.
    pub errors: u64,
    /// Alerts written.
    pub alerts: u64,
}

impl Conclusion {
    /// Opens the sinks.
    ///
    /// # Errors
    ///
    /// A sink that cannot be opened.
    pub(super) fn open(
        events: EventSettings,
        rule: RuleSettings,
        output: &OutputSettings,
    ) -> Result<Self, OutputError> {
        let open = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| Sink::open(&path.to_string_lossy(), output.opening)).transpose()
        };
        Ok(Self {
            writer: EcsWriter::new(&events),
            builder: EventBuilder::new(events),
            rule: RuleEngine::new(rule),
            alerts: open(&output.alerts)?,
            events: open(&output.events)?,
            exchanges: open(&output.exchanges)?,
            raised: Vec::new(),
            totals: Totals::default(),
            live: None,
        })
    }

    /// Takes the records of one batch, in order.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(super) fn take(&mut self, records: Records) -> Result<(), OutputError> {
        let mut ticks = records.ticks.into_iter().peekable();
        let mut spent = Spent::with_capacity(records.records.len());
        for record in records.records {
            while let Some((_, time)) = ticks.next_if(|(number, _)| *number <= record.stamp.number) {
                self.tick(time)?;
            }
            spent.extend(self.conclude(record)?);
        }
        for (_, time) in ticks {
            self.tick(time)?;
        }
        if let Some(give_back) = records.give_back.filter(|_| !spent.is_empty()) {
            // Where nobody takes them back in time, they are freed.
            let _ = give_back.try_send(spent);
        }
        Ok(())
    }

    /// Concludes a record; its exchange is not needed any more.
    fn conclude(&mut self, record: Record) -> Result<Option<Box<Exchange>>, OutputError> {
        match record.finding {
            Finding::Teaching(observation) => self.builder.learn(&observation),
            Finding::Loss(stretch) => self.note_gap(stretch),
            Finding::Failed(exchange) => return self.fail(exchange, record.stamp),
            Finding::Finished(exchange) => {
                self.write_exchange(&exchange)?;
                return Ok(Some(exchange));
            }
        }
        Ok(None)
    }

    fn fail(&mut self, exchange: Box<Exchange>, now: Stamp) -> Result<Option<Box<Exchange>>, OutputError> {
        let Some(event) = self.builder.error_event(exchange, now) else { return Ok(None) };
        self.totals.errors += 1;
        if let Some(sink) = &mut self.events {
            self.writer.write_event(sink.buffer(), &event);
            let result = sink.submit();
            self.settle(result)?;
        }
        self.rule.observe(&event, &mut self.raised);
        self.write_raised()?;
        Ok(Some(event.exchange))
    }

    fn write_exchange(&mut self, exchange: &Exchange) -> Result<(), OutputError> {
        let Some(sink) = &mut self.exchanges else { return Ok(()) };
        let attribution = self.builder.attribute(exchange);
        self.writer.write_exchange(sink.buffer(), exchange, &attribution);
        let result = sink.submit();
        self.settle(result)
    }

    fn tick(&mut self, time: Timestamp) -> Result<(), OutputError> {
        self.rule.advance(time, &mut self.raised);
        self.write_raised()
    }

    fn write_raised(&mut self) -> Result<(), OutputError> {
        if self.raised.is_empty() {
            return Ok(());
        }
        for alert in std::mem::take(&mut self.raised) {
            if self.is_written_before(&alert) {
                continue;
            }
            self.totals.alerts += 1;
            if let Some(sink) = &mut self.alerts {
                alert.write(sink.buffer(), self.rule.settings());
                let result = sink.submit();
                self.settle(result)?;
            }
        }
        Ok(())
    }

    /// Makes this the conclusion of a live run: lines that cannot be written are kept and tried again.
    pub(super) fn keep_trying(&mut self) {
        self.live = Some(Live::default());
    }

    /// Alerts that an earlier run has written.
    pub(super) fn skip_alerts(&mut self, ids: Vec<String>) {
        if let Some(live) = &mut self.live {
            live.written.extend(ids);
            let excess = live.written.len().saturating_sub(REMEMBERED_ALERTS);
            live.written.drain(..excess);
        }
    }

    /// Alerts written lately.
    pub(super) fn written_alerts(&self) -> impl Iterator<Item = &str> {
        self.live.iter().flat_map(|live| &live.written).map(String::as_str)
    }

    /// A copy of the rule's open windows.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.rule.snapshot()
    }

    /// Goes on with the open windows of an earlier run.
    ///
    /// # Errors
    ///
    /// Windows that mean something else under these settings.
    pub(super) fn restore(&mut self, rule: RuleSettings, snapshot: Snapshot) -> Result<(), SnapshotError> {
        self.rule = RuleEngine::restore(rule, snapshot)?;
        Ok(())
    }

    /// Packets were lost about then.
    pub(super) fn note_loss(&mut self, at: Timestamp) {
        self.rule.note_loss(at.into());
    }

    /// Parts of TCP streams were not captured.
    fn note_gap(&mut self, stretch: Stretch) {
        self.rule.note_loss(stretch);
        if let Some(live) = &mut self.live
            && stretch.end >= live.next_warning
        {
            live.next_warning = stretch.end.plus(WARNING);
            tracing::warn!(from = %stretch.start, to = %stretch.end, "gaps in TCP streams: counts in alerts are a lower bound");
        }
    }

    /// Goes on under another configuration; where the rule cannot, nothing changes.
    pub(super) fn reload(&mut self, events: EventSettings, rule: RuleSettings) -> Result<(), SnapshotError> {
        self.rule.reconfigure(rule)?;
        self.writer = EcsWriter::new(&events);
        self.builder.reconfigure(events);
        Ok(())
    }

    /// Writes out what was submitted.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written; in a live run only one whose reader has gone.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        let mut trouble = None;
        for sink in [&mut self.alerts, &mut self.events, &mut self.exchanges].into_iter().flatten() {
            match (sink.flush(), &self.live) {
                (Err(error), Some(_)) if !error.is_closed_pipe() => trouble = trouble.or(Some(error)),
                (result, _) => result?,
            }
        }
        if let Some(live) = &mut self.live {
            match &trouble {
                Some(error) if !live.blocked => tracing::error!(%error, "lines are kept and written once that works"),
                None if live.blocked => tracing::info!("the kept lines are written"),
                Some(_) | None => {}
            }
            live.blocked = trouble.is_some();
        }
        Ok(())
    }

    /// Lines that were found but could not be written for too long.
    pub(super) fn dropped_lines(&self) -> u64 {
        [&self.alerts, &self.events, &self.exchanges].into_iter().flatten().map(Sink::dropped_lines).sum()
    }

    /// In a live run only a reader that has gone is an error; the rest is told and tried again by [`flush`](Self::flush).
    fn settle(&self, result: Result<(), OutputError>) -> Result<(), OutputError> {
        match result {
            Err(error) if self.live.is_some() && !error.is_closed_pipe() => Ok(()),
            result => result,
        }
    }

    fn is_written_before(&mut self, alert: &Alert) -> bool {
        let Some(live) = self.live.as_mut().filter(|_| alert.kind == AlertKind::Scheduled) else { return false };
        if live.written.contains(&alert.id) {
            return true;
        }
        if live.written.len() >= REMEMBERED_ALERTS {
            live.written.pop_front();
        }
        live.written.push_back(alert.id.clone());
        false
    }

    /// The end of a replay: executes the boundary after the last packet and flushes the sinks.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(super) fn finish(&mut self, last: Timestamp) -> Result<(), OutputError> {
        self.rule.finish(last, &mut self.raised);
        self.write_raised()?;
        self.flush()
    }

    /// Totals so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Counters of the stages that run here.
    pub(super) fn counts(&self) -> Vec<StageCounts> {
        vec![
            StageCounts { stage: "event", counts: self.builder.counters().counts() },
            StageCounts { stage: "detect", counts: self.rule.counters().counts() },
        ]
    }
}
