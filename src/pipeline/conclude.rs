//! From findings to output: the end of the line, on one thread.
//!
//! In: [`Records`] in order. Out: exchanges, error events and alerts, written. Promises: what is written depends on the
//! records and ticks alone; formatting and rule never run on the packet path.

use std::path::PathBuf;

use crate::{
    capture::Stamp,
    config::OutputSettings,
    detect::{Alert, RuleEngine, RuleSettings},
    event::{EcsWriter, EventBuilder, EventSettings},
    http::Exchange,
    output::{OutputError, Sink},
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::record::{Finding, Record, Records};

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
}

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
        })
    }

    /// Takes the records of one batch, in order.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(super) fn take(&mut self, records: Records) -> Result<(), OutputError> {
        let mut ticks = records.ticks.into_iter().peekable();
        for record in records.records {
            while let Some((_, time)) = ticks.next_if(|(number, _)| *number <= record.stamp.number) {
                self.tick(time)?;
            }
            self.conclude(record)?;
        }
        for (_, time) in ticks {
            self.tick(time)?;
        }
        Ok(())
    }

    fn conclude(&mut self, record: Record) -> Result<(), OutputError> {
        match record.finding {
            Finding::Teaching(observation) => self.builder.learn(&observation),
            Finding::Failed(exchange) => self.fail(exchange, record.stamp)?,
            Finding::Finished(exchange) => self.write_exchange(&exchange)?,
        }
        Ok(())
    }

    fn fail(&mut self, exchange: Box<Exchange>, now: Stamp) -> Result<(), OutputError> {
        let Some(event) = self.builder.error_event(exchange, now) else { return Ok(()) };
        self.totals.errors += 1;
        if let Some(sink) = &mut self.events {
            self.writer.write_event(sink.buffer(), &event);
            sink.submit()?;
        }
        self.rule.observe(&event, &mut self.raised);
        self.write_raised()
    }

    fn write_exchange(&mut self, exchange: &Exchange) -> Result<(), OutputError> {
        let Some(sink) = &mut self.exchanges else { return Ok(()) };
        let attribution = self.builder.attribute(exchange);
        self.writer.write_exchange(sink.buffer(), exchange, &attribution);
        sink.submit()
    }

    fn tick(&mut self, time: Timestamp) -> Result<(), OutputError> {
        self.rule.advance(time, &mut self.raised);
        self.write_raised()
    }

    fn write_raised(&mut self) -> Result<(), OutputError> {
        for alert in self.raised.drain(..) {
            self.totals.alerts += 1;
            if let Some(sink) = &mut self.alerts {
                alert.write(sink.buffer(), self.rule.settings());
                sink.submit()?;
            }
        }
        Ok(())
    }

    /// The end of a replay: executes the boundary after the last packet and flushes the sinks.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(super) fn finish(&mut self, last: Timestamp) -> Result<(), OutputError> {
        self.rule.finish(last, &mut self.raised);
        self.write_raised()?;
        for sink in [&mut self.alerts, &mut self.events, &mut self.exchanges].into_iter().flatten() {
            sink.flush()?;
        }
        Ok(())
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
