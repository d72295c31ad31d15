//! The delivery: findings become documents, and documents go to the outputs.
//!
//! In: [`Finding`]s, in order. Out: lines in the outputs for alerts, events and exchanges. Promises: formatting never runs on
//! the packet path; in a live run, lines that cannot be written are kept and tried again, and only a reader that has gone is
//! an error.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    document::EcsWriter,
    output::{Opening, OutputCounters, OutputError, Sink},
    sensor::{Finding, SensorSettings},
    settings::OutputSettings,
    telemetry::summary::{StageCounts, Summary},
    time::{Stretch, Timestamp},
};

/// Packet time between two warnings about gaps in TCP streams.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The outputs of a run.
pub(super) struct Delivery {
    writer: EcsWriter,
    alerts: Option<Sink>,
    events: Option<Sink>,
    exchanges: Option<Sink>,
    /// Whether counters are written at the end.
    writes_statistics: bool,
    /// `Some` in a live run.
    live: Option<LiveDelivery>,
}

/// What a live run keeps in mind to log a lasting problem once.
#[derive(Default)]
struct LiveDelivery {
    /// Whether some output cannot be written now.
    is_blocked: bool,
    /// Packet time from which on a gap in a TCP stream is logged again.
    next_warning: Timestamp,
}

/// Outputs that were opened for a new configuration. The outer `None` means that the path has not changed.
pub(super) struct ChangedOutputs {
    alerts: Option<Option<Sink>>,
    events: Option<Option<Sink>>,
    exchanges: Option<Option<Sink>>,
    writes_statistics: bool,
}

impl ChangedOutputs {
    /// Opens the outputs whose path has changed.
    ///
    /// # Errors
    ///
    /// An output that cannot be opened.
    pub(super) fn open(old: &OutputSettings, new: &OutputSettings) -> Result<Self, OutputError> {
        let open = |old: &Option<_>, new: &Option<_>| {
            (old != new).then(|| new.as_deref().map(|path| open(path, Opening::Append)).transpose()).transpose()
        };
        Ok(Self {
            alerts: open(&old.alerts, &new.alerts)?,
            events: open(&old.events, &new.events)?,
            exchanges: open(&old.exchanges, &new.exchanges)?,
            writes_statistics: new.stats.is_some(),
        })
    }
}

impl Delivery {
    /// Opens the outputs.
    ///
    /// # Errors
    ///
    /// An output that cannot be opened.
    pub(super) fn open(settings: &SensorSettings, output: &OutputSettings) -> Result<Self, OutputError> {
        let open = |path: &Option<_>| path.as_deref().map(|path| open(path, output.opening)).transpose();
        Ok(Self {
            writer: writer(settings),
            alerts: open(&output.alerts)?,
            events: open(&output.events)?,
            exchanges: open(&output.exchanges)?,
            writes_statistics: output.stats.is_some(),
            live: None,
        })
    }

    /// Makes this the delivery of a live run: lines that cannot be written are kept and tried again, and alerts are written by
    /// [`flush`](Self::flush) alone, so that the caller can save their IDs before.
    pub(super) fn keep_trying(&mut self) {
        self.live = Some(LiveDelivery::default());
    }

    /// Takes a finding. It is written once [`submit`](Self::submit) or [`flush`](Self::flush) was called.
    pub(super) fn take(&mut self, finding: Finding<'_>) {
        match finding {
            Finding::Event(event) => {
                if let Some(sink) = &mut self.events {
                    self.writer.write_event(sink.buffer(), event);
                }
            }
            Finding::Exchange { exchange, attribution } => {
                if let Some(sink) = &mut self.exchanges {
                    self.writer.write_exchange(sink.buffer(), exchange, attribution);
                }
            }
            Finding::EventAndExchange(event) => match (&mut self.events, &mut self.exchanges) {
                (Some(events), Some(exchanges)) => self.writer.write_both(events.buffer(), exchanges.buffer(), event),
                (None, Some(exchanges)) => {
                    self.writer.write_exchange(exchanges.buffer(), &event.exchange, &event.attribution);
                }
                (Some(events), None) => self.writer.write_event(events.buffer(), event),
                (None, None) => {}
            },
            Finding::Alert { alert, settings, site } => {
                if let Some(sink) = &mut self.alerts {
                    alert.write(sink.buffer(), settings, site);
                }
            }
            Finding::Gap(stretch) => self.warn_of_gap(stretch),
        }
    }

    /// Writes the outputs that have gathered a block of lines.
    ///
    /// # Errors
    ///
    /// An output that cannot be written, except in a live run; a reader that has gone, unless another output is of use.
    pub(super) fn submit(&mut self) -> Result<(), OutputError> {
        let is_live = self.live.is_some();
        let mut abandoned = None;
        let alerts = self.alerts.as_mut().filter(|_| !is_live);
        for sink in [alerts, self.events.as_mut(), self.exchanges.as_mut()].into_iter().flatten() {
            match sink.submit() {
                Err(error) if error.is_closed_pipe() => abandoned = Some(error),
                // The next flush logs the error and tries again.
                Err(_) if is_live => {}
                result => result?,
            }
        }
        abandoned.map_or(Ok(()), |error| self.go_on_without_reader(error))
    }

    /// Writes all lines.
    ///
    /// # Errors
    ///
    /// An output that cannot be written, except in a live run; a reader that has gone, unless another output is of use.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        let (mut problem, mut abandoned) = (None, None);
        for sink in [&mut self.alerts, &mut self.events, &mut self.exchanges].into_iter().flatten() {
            match sink.flush() {
                Err(error) if error.is_closed_pipe() => abandoned = Some(error),
                Err(error) if self.live.is_some() => problem = problem.or(Some(error)),
                result => result?,
            }
        }
        if let Some(error) = abandoned {
            self.go_on_without_reader(error)?;
        }
        if let Some(live) = &mut self.live {
            match &problem {
                Some(error) if !live.is_blocked => {
                    tracing::error!(%error, "lines are kept and written once that works")
                }
                None if live.is_blocked => tracing::info!("the kept lines are written"),
                Some(_) | None => {}
            }
            live.is_blocked = problem.is_some();
        }
        Ok(())
    }

    /// Goes on after the reader of an output has gone, if another output is of use to anybody.
    fn go_on_without_reader(&self, error: OutputError) -> Result<(), OutputError> {
        if !self.writes_statistics && !self.sinks().any(Sink::is_useful) {
            return Err(error);
        }
        tracing::warn!(%error, "its lines are counted and not written from now on; the other outputs go on");
        Ok(())
    }

    /// Goes on with the outputs of another configuration. Files that were moved away are made anew.
    pub(super) fn reload(&mut self, settings: &SensorSettings, changed: ChangedOutputs) {
        let ChangedOutputs { alerts, events, exchanges, writes_statistics } = changed;
        self.writer = writer(settings);
        self.writes_statistics = writes_statistics;
        let outputs = [(&mut self.alerts, alerts), (&mut self.events, events), (&mut self.exchanges, exchanges)];
        for (sink, changed) in outputs {
            match (sink, changed) {
                (Some(sink), None) => reopen(sink),
                (None, None) => {}
                (sink, Some(mut changed)) => {
                    if let (Some(sink), Some(changed)) = (&mut *sink, &mut changed) {
                        changed.take_over(sink);
                    }
                    *sink = changed;
                }
            }
        }
    }

    /// Takes alerts that an earlier run has found and could not write.
    pub(super) fn go_on_with(&mut self, unwritten_alerts: &[u8]) {
        if let Some(sink) = &mut self.alerts {
            sink.buffer().extend_from_slice(unwritten_alerts);
        }
    }

    /// Alerts that are not written yet.
    pub(super) fn unwritten_alerts(&self) -> &[u8] {
        self.alerts.as_ref().map_or(&[], Sink::unwritten)
    }

    /// Lines that are not written yet.
    pub(super) fn unwritten_lines(&self) -> usize {
        self.sinks().map(|sink| memchr::memchr_iter(b'\n', sink.unwritten()).count()).sum()
    }

    /// The counters of the outputs.
    pub(super) fn counts(&self) -> StageCounts {
        let mut counters = OutputCounters::default();
        for sink in self.sinks() {
            counters.dropped_lines += sink.dropped_lines();
            counters.undelivered_lines += sink.undelivered_lines();
        }
        StageCounts { stage: "output", counts: counters.counts() }
    }

    fn sinks(&self) -> impl Iterator<Item = &Sink> {
        [&self.alerts, &self.events, &self.exchanges].into_iter().flatten()
    }

    /// Logs, in a live run and not too often, that parts of TCP streams were not captured.
    #[cold]
    fn warn_of_gap(&mut self, stretch: Stretch) {
        if let Some(live) = &mut self.live
            && (stretch.end >= live.next_warning || stretch.end.plus(2 * WARNING_INTERVAL) < live.next_warning)
        {
            live.next_warning = stretch.end.plus(WARNING_INTERVAL);
            tracing::warn!(from = %stretch.start, to = %stretch.end, "gaps in TCP streams: counts in alerts are a lower bound");
        }
    }
}

/// Opens the file for the counters of a run.
///
/// # Errors
///
/// A file that cannot be opened.
pub(super) fn open_statistics(path: &Path) -> Result<Sink, OutputError> {
    open(path, Opening::Replace)
}

/// Writes the counters of a run.
///
/// # Errors
///
/// A file that cannot be written.
pub(super) fn write_statistics(mut sink: Sink, summary: &Summary) -> Result<(), OutputError> {
    sink.write(format!("{}\n", summary.to_json()).as_bytes())?;
    sink.flush()
}

fn writer(settings: &SensorSettings) -> EcsWriter {
    EcsWriter::new(&settings.events, Arc::clone(&settings.site))
}

fn open(path: &Path, opening: Opening) -> Result<Sink, OutputError> {
    Sink::open(&path.to_string_lossy(), opening)
}

/// Makes a file anew that was moved away, as log rotation does.
fn reopen(sink: &mut Sink) {
    match sink.reopen() {
        Ok(true) => tracing::info!(path = sink.path(), "the file was moved away and is made anew"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the file that was moved away is written on"),
    }
}
