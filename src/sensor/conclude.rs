//! From findings to output: the end of the line, on one thread.
//!
//! In: [`Records`] in order. Out: exchanges, error events and alerts, written. Promises: what is written depends on the
//! records and ticks alone; formatting and rule never run on the packet path.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    capture::Stamp,
    detect::{RuleSettings, Snapshot, SnapshotError},
    document::EcsWriter,
    event::{ErrorEvent, EventBuilder, EventSettings, Site},
    exchange::Exchange,
    output::{Opening, OutputCounters, OutputError, Sink},
    settings::{OutputSettings, Settings},
    telemetry::summary::StageCounts,
    time::{Stretch, Timestamp},
};

use super::{
    alerting::{Alerting, Windows},
    prefetch::{prefetch, prefetch_value},
    record::{Finding, Record, Records, Spent},
};

/// Records between the one at hand and the one whose exchange is asked for: another core has written it. Half way to it its
/// text is asked for.
const FETCHED_AHEAD: usize = 8;

/// Events, rule and sinks.
pub(crate) struct Conclusion {
    builder: EventBuilder,
    writer: EcsWriter,
    alerting: Alerting,
    events: Option<Sink>,
    exchanges: Option<Sink>,
    /// Whether the counters are written at the end.
    writes_statistics: bool,
    errors: u64,
    /// Where `Some`, a sink that cannot be written is tried again, and what happens on the way is told.
    live: Option<Live>,
}

/// What a live run tells only now and then.
#[derive(Default)]
struct Live {
    /// Whether some sink cannot be written now.
    blocked: bool,
    /// From when on gaps in TCP streams are told again.
    next_warning: Timestamp,
}

/// Packet time between two warnings about gaps.
const WARNING: Duration = Duration::from_secs(10);

/// Sinks opened for other paths than before, by use: alerts, events, exchanges. `None` where the path is the same.
pub(crate) type OtherSinks = [Option<Option<Sink>>; 3];

/// Opens the sinks whose path has changed.
///
/// # Errors
///
/// A sink that cannot be opened.
pub(crate) fn open_changed(old: &OutputSettings, new: &OutputSettings) -> Result<OtherSinks, OutputError> {
    let open = |old: &Option<_>, new: &Option<_>| {
        (old != new).then(|| new.as_deref().map(|path| open(path, Opening::Append)).transpose()).transpose()
    };
    Ok([open(&old.alerts, &new.alerts)?, open(&old.events, &new.events)?, open(&old.exchanges, &new.exchanges)?])
}

fn open(path: &Path, opening: Opening) -> Result<Sink, OutputError> {
    Sink::open(&path.to_string_lossy(), opening)
}

/// What was concluded in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
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
    pub(crate) fn open(
        site: Arc<Site>,
        events: EventSettings,
        rule: RuleSettings,
        output: &OutputSettings,
    ) -> Result<Self, OutputError> {
        let open = |path: &Option<_>| path.as_deref().map(|path| open(path, output.opening)).transpose();
        Ok(Self {
            writer: EcsWriter::new(&events, Arc::clone(&site)),
            builder: EventBuilder::new(events, Arc::clone(&site)),
            alerting: Alerting::new(rule, site, open(&output.alerts)?),
            events: open(&output.events)?,
            exchanges: open(&output.exchanges)?,
            writes_statistics: output.stats.is_some(),
            errors: 0,
            live: None,
        })
    }

    /// Takes the records of one batch, in order.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(crate) fn take(&mut self, records: Records) -> Result<(), OutputError> {
        let mut ticks = records.ticks.into_iter().peekable();
        let mut spent: Vec<Spent> = records.ways_back.ways.iter().map(|_| Spent::new()).collect();
        let mut arrived = records.records.into_iter();
        while let Some(record) = arrived.next() {
            let ahead = |distance: usize| arrived.as_slice().get(distance)?.finding.exchange();
            if let Some(exchange) = ahead(FETCHED_AHEAD) {
                prefetch_value(exchange);
            }
            if let Some(exchange) = ahead(FETCHED_AHEAD / 2) {
                prefetch(&exchange.text);
            }
            while let Some((_, time)) = ticks.next_if(|(number, _)| *number <= record.stamp.number) {
                self.tick(time)?;
            }
            let shard = record.order.shard();
            let group = records.ways_back.groups.of_shard(usize::from(shard));
            if let (Some(mut exchange), Some(spent)) = (self.conclude(record)?, spent.get_mut(group)) {
                // Its memory is near now, and will be far from who reuses it.
                exchange.clear();
                spent.push((shard, exchange));
            }
        }
        for (_, time) in ticks {
            self.tick(time)?;
        }
        for (group, spent) in spent.into_iter().enumerate() {
            records.ways_back.give_back(group, spent);
        }
        Ok(())
    }

    /// Concludes a record; its exchange is not needed any more.
    fn conclude(&mut self, record: Record) -> Result<Option<Box<Exchange>>, OutputError> {
        match record.finding {
            Finding::Teaching(observation) => self.builder.learn(&observation),
            Finding::Loss(stretch) => self.note_gap(stretch),
            Finding::Failed(exchange) => return self.fail(exchange, record.stamp).map(Some),
            Finding::FailedAndFinished(exchange) => return self.fail_and_finish(exchange, record.stamp).map(Some),
            Finding::Finished(exchange) => {
                self.write_exchange(&exchange)?;
                return Ok(Some(exchange));
            }
        }
        Ok(None)
    }

    fn tick(&mut self, time: Timestamp) -> Result<(), OutputError> {
        self.alerting.tick(time).or_else(|error| self.excuse(error))
    }

    fn fail(&mut self, exchange: Box<Exchange>, now: Stamp) -> Result<Box<Exchange>, OutputError> {
        let event = match self.builder.error_event(exchange, now) {
            Ok(event) => event,
            Err(exchange) => return Ok(exchange),
        };
        if let Some(sink) = &mut self.events {
            self.writer.write_event(sink.buffer(), &event);
        }
        self.count(&event)?;
        Ok(event.exchange)
    }

    fn fail_and_finish(&mut self, exchange: Box<Exchange>, now: Stamp) -> Result<Box<Exchange>, OutputError> {
        let event = match self.builder.error_event(exchange, now) {
            Ok(event) => event,
            Err(exchange) => {
                self.write_exchange(&exchange)?;
                return Ok(exchange);
            }
        };
        match (&mut self.events, &mut self.exchanges) {
            (Some(events), Some(exchanges)) => self.writer.write_both(events.buffer(), exchanges.buffer(), &event),
            (None, Some(exchanges)) => {
                self.writer.write_exchange(exchanges.buffer(), &event.exchange, &event.attribution);
            }
            (Some(events), None) => self.writer.write_event(events.buffer(), &event),
            (None, None) => {}
        }
        self.count(&event)?;
        self.submit_exchange()?;
        Ok(event.exchange)
    }

    /// Submits the event that was written, and shows it to the rule.
    fn count(&mut self, event: &ErrorEvent) -> Result<(), OutputError> {
        self.errors += 1;
        if let Some(sink) = &mut self.events {
            sink.submit().or_else(|error| self.excuse(error))?;
        }
        self.alerting.observe(event).or_else(|error| self.excuse(error))
    }

    fn write_exchange(&mut self, exchange: &Exchange) -> Result<(), OutputError> {
        let Some(sink) = &mut self.exchanges else { return Ok(()) };
        let attribution = self.builder.attribute(exchange);
        self.writer.write_exchange(sink.buffer(), exchange, &attribution);
        self.submit_exchange()
    }

    fn submit_exchange(&mut self) -> Result<(), OutputError> {
        let Some(sink) = &mut self.exchanges else { return Ok(()) };
        sink.submit().or_else(|error| self.excuse(error))
    }

    /// Makes this the conclusion of a live run: lines that cannot be written are kept and tried again.
    pub(crate) fn keep_trying(&mut self) {
        self.live = Some(Live::default());
        self.alerting.remember();
    }

    /// Rule and alerts.
    pub(crate) fn alerting(&self) -> &Alerting {
        &self.alerting
    }

    /// Alerts that an earlier run has written, by ID, and lines that it could not write any more.
    pub(crate) fn go_on(&mut self, written: Vec<String>, unwritten: &[u8]) {
        self.alerting.skip(written);
        if let Some(sink) = self.alerting.sink() {
            sink.buffer().extend_from_slice(unwritten);
        }
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

    /// Packets were lost about then.
    pub(crate) fn note_loss(&mut self, at: Timestamp) {
        self.alerting.note_loss(at.into());
    }

    /// Parts of TCP streams were not captured.
    fn note_gap(&mut self, stretch: Stretch) {
        self.alerting.note_loss(stretch);
        if let Some(live) = &mut self.live
            && (stretch.end >= live.next_warning || stretch.end.plus(2 * WARNING) < live.next_warning)
        {
            live.next_warning = stretch.end.plus(WARNING);
            tracing::warn!(from = %stretch.start, to = %stretch.end, "gaps in TCP streams: counts in alerts are a lower bound");
        }
    }

    /// Goes on under another configuration, and in other files; files that were moved away are made anew.
    ///
    /// # Errors
    ///
    /// A sink whose reader has gone.
    pub(crate) fn reload(
        &mut self,
        settings: Settings,
        sinks: OtherSinks,
        now: Timestamp,
    ) -> Result<Windows, OutputError> {
        for (sink, other) in [self.alerting.sink(), &mut self.events, &mut self.exchanges].into_iter().zip(sinks) {
            match (sink, other) {
                (Some(sink), None) => match sink.reopen() {
                    Ok(true) => tracing::info!(path = sink.path(), "the file was moved away and is made anew"),
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "the file that was moved away is written on"),
                },
                (None, None) => {}
                (sink, Some(mut other)) => {
                    if let (Some(sink), Some(other)) = (&mut *sink, &mut other) {
                        other.take_over(sink);
                    }
                    *sink = other;
                }
            }
        }
        self.writes_statistics = settings.output.stats.is_some();
        self.writer = EcsWriter::new(&settings.events, Arc::clone(&settings.site));
        self.builder.reconfigure(settings.events, Arc::clone(&settings.site));
        self.alerting.reload(settings.rule, settings.site, now)
    }

    /// Writes out what was submitted.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written; in a live run only one whose reader has gone.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        let (mut trouble, mut abandoned) = (None, None);
        for sink in [self.alerting.sink(), &mut self.events, &mut self.exchanges].into_iter().flatten() {
            match sink.flush() {
                Err(error) if error.is_closed_pipe() => abandoned = Some(error),
                Err(error) if self.live.is_some() => trouble = trouble.or(Some(error)),
                result => result?,
            }
        }
        if let Some(error) = abandoned {
            self.excuse(error)?;
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

    /// Counters of the outputs.
    pub(crate) fn output_counts(&mut self) -> StageCounts {
        let mut counters = OutputCounters::default();
        for sink in self.sinks() {
            counters.dropped_lines += sink.dropped_lines();
            counters.undelivered_lines += sink.undelivered_lines();
        }
        StageCounts { stage: "output", counts: counters.counts() }
    }

    /// Lines that are not written yet.
    pub(crate) fn unwritten_lines(&mut self) -> usize {
        self.sinks().map(|sink| memchr::memchr_iter(b'\n', sink.unwritten()).count()).sum()
    }

    fn sinks(&mut self) -> impl Iterator<Item = &Sink> {
        [self.alerting.sink().as_ref(), self.events.as_ref(), self.exchanges.as_ref()].into_iter().flatten()
    }

    /// Returns the errors that end the run. A reader that has gone ends it when no other output is of use to anybody. In a live
    /// run nothing else does: [`flush`](Self::flush) tries again and tells.
    fn excuse(&mut self, error: OutputError) -> Result<(), OutputError> {
        if !error.is_closed_pipe() {
            return if self.live.is_some() { Ok(()) } else { Err(error) };
        }
        if !self.writes_statistics && !self.sinks().any(Sink::is_useful) {
            return Err(error);
        }
        tracing::warn!(%error, "its lines are counted and not written from now on; the other outputs go on");
        Ok(())
    }

    /// The end of a replay: executes the boundary after the last packet and flushes the sinks.
    ///
    /// # Errors
    ///
    /// A sink that cannot be written.
    pub(crate) fn finish(&mut self, last: Timestamp) -> Result<(), OutputError> {
        self.alerting.finish(last).or_else(|error| self.excuse(error))?;
        self.flush()
    }

    /// Totals so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals { errors: self.errors, alerts: self.alerting.alerts() }
    }

    /// Counters of the stages that run here.
    pub(crate) fn counts(&self) -> Vec<StageCounts> {
        vec![
            StageCounts { stage: "event", counts: self.builder.counters().counts() },
            StageCounts { stage: "detect", counts: self.alerting.counters().counts() },
        ]
    }
}
