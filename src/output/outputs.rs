//! The outputs of a run.
//!
//! In: documents. Out: the same documents in the sinks that were configured. Promises: what a sink cannot take now is kept for the
//! next try, up to [`MAX_PENDING`] bytes, and beyond that the newest documents are dropped and counted; when a reader has gone
//! away its documents are counted, and the run goes on as long as another output is of use to anybody; at a reload, documents
//! that are pending move to the new sink.

use std::path::{Path, PathBuf};

use super::{
    OutputError,
    settings::{AlertFormat, Opening, OutputSettings},
    sinks::AnySink,
};
use crate::{
    counters,
    document::{Batch, Document, Encoding, Kind},
    telemetry::summary::StageCounts,
};

/// Bytes gathered before they are written.
const BLOCK: usize = 256 << 10;

/// Bytes kept at most while they cannot be written. Documents beyond are dropped and counted.
pub const MAX_PENDING: usize = 16 << 20;

/// Bytes at the end of the alert output that are read to know what earlier runs have written.
const TAIL: u64 = 4 << 20;

counters! {
    /// What became of documents that no output holds.
    pub struct OutputCounters {
        /// Lines given up after a disk was full for long
        dropped_lines,
        /// Lines that nobody read: the reader of the output had gone away
        undelivered_lines,
    }
}

/// One output: a sink, and the documents on their way to it.
#[derive(Debug)]
struct Output {
    target: PathBuf,
    sink: AnySink,
    batch: Batch,
    /// Whether the reader has gone away. Then documents are counted instead of written.
    is_abandoned: bool,
    counters: OutputCounters,
}

impl Output {
    fn open(target: &Path, opening: Opening) -> Result<Self, OutputError> {
        Ok(Self {
            target: target.to_owned(),
            sink: AnySink::open(target, opening)?,
            batch: Batch::default(),
            is_abandoned: false,
            counters: OutputCounters::default(),
        })
    }

    /// Hands the documents over if they have grown to a block.
    #[inline]
    fn submit(&mut self) -> Result<(), OutputError> {
        if self.batch.bytes().len() >= BLOCK { self.deliver() } else { Ok(()) }
    }

    /// Hands the documents over. Those that the sink does not accept are kept.
    fn deliver(&mut self) -> Result<(), OutputError> {
        if self.is_abandoned {
            self.count_undelivered();
        }
        let mut result = Ok(());
        while !self.batch.is_empty() {
            match self.sink.write(&mut self.batch) {
                Ok(accepted) if accepted.documents > 0 => {}
                Ok(_) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if result.as_ref().is_err_and(OutputError::is_closed_pipe) {
            self.is_abandoned = true;
            self.count_undelivered();
        }
        self.counters.dropped_lines += self.batch.drop_beyond(MAX_PENDING) as u64;
        result
    }

    fn count_undelivered(&mut self) {
        let documents = self.batch.len();
        self.counters.undelivered_lines += documents as u64;
        self.batch.release(documents);
    }

    /// Opens the target anew, to add to it, if it was moved away or deleted. Returns whether it was.
    fn reopen(&mut self) -> Result<bool, OutputError> {
        if !self.sink.is_moved_away() {
            return Ok(false);
        }
        let fresh = AnySink::open(&self.target, Opening::Append)?;
        // What cannot be written there is written here.
        let _ = self.deliver();
        self.sink = fresh;
        Ok(true)
    }

    /// Takes over the documents that another output, which is done with, cannot write.
    fn take_over(&mut self, mut other: Self) {
        // What cannot be written there is written here.
        let _ = other.deliver();
        self.batch.append(&mut other.batch);
        self.counters.merge(&other.counters);
    }

    fn is_useful(&self) -> bool {
        !self.is_abandoned && self.sink.is_useful()
    }
}

impl Drop for Output {
    /// Tries to hand over what is left. A caller that needs to know whether that worked flushes first.
    fn drop(&mut self) {
        let _unreported = self.deliver();
    }
}

/// The outputs of a run. See the module's documentation.
#[derive(Debug)]
pub struct Outputs {
    alerts: Option<Output>,
    events: Option<Output>,
    exchanges: Option<Output>,
    /// Whether counters or a report are written at the end of the run.
    writes_at_end: bool,
    /// Counts of outputs that a reload has closed.
    past: OutputCounters,
    /// `Some` in a live run: sinks that fail are tried again. Then, whether one fails now.
    retrying: Option<bool>,
}

/// Outputs that a reload opens: `None` where the target stays the same, `Some(None)` where there is no target any more.
#[derive(Debug, Default)]
pub struct ChangedOutputs {
    alerts: Option<Option<Output>>,
    events: Option<Option<Output>>,
    exchanges: Option<Option<Output>>,
    writes_at_end: bool,
    format: AlertFormat,
}

impl ChangedOutputs {
    /// How alerts are written from now on.
    pub fn format(&self) -> AlertFormat {
        self.format
    }
}

impl Outputs {
    /// Opens the sinks.
    ///
    /// # Errors
    ///
    /// A sink that cannot be opened.
    pub fn open(settings: &OutputSettings) -> Result<Self, OutputError> {
        let open = |kind| settings.target(kind).map(|target| Output::open(target, settings.opening)).transpose();
        Ok(Self {
            alerts: open(Kind::Alert)?,
            events: open(Kind::Event)?,
            exchanges: open(Kind::Exchange)?,
            writes_at_end: settings.writes_at_end(),
            past: OutputCounters::default(),
            retrying: None,
        })
    }

    /// Opens the sinks whose target has changed.
    ///
    /// # Errors
    ///
    /// A sink that cannot be opened; then no output is changed.
    pub fn open_changed(old: &OutputSettings, new: &OutputSettings) -> Result<ChangedOutputs, OutputError> {
        let open = |kind| {
            let target = new.target(kind);
            let is_changed = target != old.target(kind);
            let opened = || target.map(|target| Output::open(target, Opening::Append)).transpose();
            is_changed.then(opened).transpose()
        };
        Ok(ChangedOutputs {
            alerts: open(Kind::Alert)?,
            events: open(Kind::Event)?,
            exchanges: open(Kind::Exchange)?,
            writes_at_end: new.writes_at_end(),
            format: new.format,
        })
    }

    /// Makes these the outputs of a live run: a sink that fails is tried again with each flush, which says so, and only a run
    /// whose readers have all gone ends. Alerts wait for a flush, so that what survives a restart can be kept first.
    pub fn keep_trying(&mut self) {
        self.retrying = Some(false);
    }

    /// Returns whether documents of a kind go anywhere.
    #[inline]
    pub fn want(&self, kind: Kind) -> bool {
        match kind {
            Kind::Alert => self.alerts.is_some(),
            Kind::Event => self.events.is_some(),
            Kind::Exchange => self.exchanges.is_some(),
            Kind::Statistics | Kind::Report => self.writes_at_end,
        }
    }

    /// Returns whether alerts go to a terminal.
    pub fn show_alerts(&self) -> bool {
        self.alerts.as_ref().is_some_and(|output| output.sink.is_terminal())
    }

    /// Writes an alert, an event or an exchange where its kind goes. It leaves with [`submit`](Self::submit) or
    /// [`flush`](Self::flush).
    #[inline]
    pub fn write(&mut self, document: &Document<'_>, encoding: &mut impl Encoding) {
        let output = match document.kind() {
            Kind::Alert => &mut self.alerts,
            Kind::Event => &mut self.events,
            Kind::Exchange => &mut self.exchanges,
            Kind::Statistics | Kind::Report => return,
        };
        if let Some(output) = output {
            encoding.write(document, &mut output.batch);
        }
    }

    /// Writes an event and its exchange, which is over with the same packet.
    pub fn write_pair(&mut self, documents: &[Document<'_>; 2], encoding: &mut impl Encoding) {
        match (&mut self.events, &mut self.exchanges) {
            (Some(events), Some(exchanges)) => {
                encoding.write_pair(documents, &mut events.batch, &mut exchanges.batch);
            }
            _ => documents.iter().for_each(|document| self.write(document, encoding)),
        }
    }

    /// Hands over the documents of outputs that have gathered a block of them. To be called often, for what is written between
    /// two calls is kept in memory.
    ///
    /// # Errors
    ///
    /// A sink that fails, except in a live run, where the next flush tells; readers that have gone where no other output is of
    /// use.
    pub fn submit(&mut self) -> Result<(), OutputError> {
        let is_live = self.retrying.is_some();
        let alerts = self.alerts.as_mut().filter(|_| !is_live);
        let mut abandoned = None;
        for output in [alerts, self.events.as_mut(), self.exchanges.as_mut()].into_iter().flatten() {
            match output.submit() {
                Err(error) if error.is_closed_pipe() => abandoned = Some(error),
                Err(_) if is_live => {}
                result => result?,
            }
        }
        abandoned.map_or(Ok(()), |error| self.go_on_without_reader(error))
    }

    /// Hands over all that was written.
    ///
    /// # Errors
    ///
    /// A sink that fails, and readers that have gone where no other output is of use. In a live run only the latter: other
    /// failures are logged, once until they are over, and the documents are kept.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let (mut failure, mut abandoned) = (None, None);
        for output in self.open_outputs() {
            match output.deliver() {
                Err(error) if error.is_closed_pipe() => abandoned = Some(error),
                Err(error) => failure = failure.or(Some(error)),
                Ok(()) => {}
            }
        }
        if let Some(error) = abandoned {
            self.go_on_without_reader(error)?;
        }
        let Some(is_failing) = &mut self.retrying else { return failure.map_or(Ok(()), Err) };
        match &failure {
            Some(error) if !*is_failing => tracing::error!(%error, "lines are kept and written once that works"),
            None if *is_failing => tracing::info!("the kept lines are written"),
            Some(_) | None => {}
        }
        *is_failing = failure.is_some();
        Ok(())
    }

    /// Goes on with other outputs; files that were moved away are made anew.
    pub fn reload(&mut self, changed: ChangedOutputs) {
        let ChangedOutputs { alerts, events, exchanges, writes_at_end, format: _ } = changed;
        self.writes_at_end = writes_at_end;
        let places = [(&mut self.alerts, alerts), (&mut self.events, events), (&mut self.exchanges, exchanges)];
        for (place, changed) in places {
            let Some(mut new) = changed else {
                place.iter_mut().for_each(reopen);
                continue;
            };
            match (place.take(), &mut new) {
                (Some(old), Some(new)) => new.take_over(old),
                (Some(mut old), None) => {
                    let _ = old.deliver();
                    self.past.merge(&old.counters);
                }
                (None, _) => {}
            }
            *place = new;
        }
    }

    /// Goes on with alerts that an earlier run found and could not write any more.
    pub fn restore_alerts(&mut self, lines: &[u8], encoding: &mut impl Encoding) {
        if let Some(output) = &mut self.alerts {
            crate::document::restore_alerts(lines, |document| encoding.write(document, &mut output.batch));
        }
    }

    /// Alerts that are not in their output yet.
    pub fn unwritten_alerts(&self) -> &[u8] {
        self.alerts.as_ref().map_or(&[], |output| output.batch.bytes())
    }

    /// The last alerts that their output has taken, also in earlier runs. The first line may be cut.
    pub fn last_alerts(&self) -> Vec<u8> {
        self.alerts.as_ref().map(|output| output.sink.tail(TAIL)).unwrap_or_default()
    }

    /// Documents that are not in their outputs yet.
    pub fn unwritten(&self) -> usize {
        [&self.alerts, &self.events, &self.exchanges].into_iter().flatten().map(|output| output.batch.len()).sum()
    }

    /// The counters of all outputs.
    pub fn counts(&self) -> StageCounts {
        let mut counters = self.past.clone();
        for output in [&self.alerts, &self.events, &self.exchanges].into_iter().flatten() {
            counters.merge(&output.counters);
        }
        StageCounts { stage: "output", counts: counters.counts() }
    }

    fn open_outputs(&mut self) -> impl Iterator<Item = &mut Output> {
        [&mut self.alerts, &mut self.events, &mut self.exchanges].into_iter().flatten()
    }

    /// Goes on after the reader of an output has gone, if another output is of use to anybody.
    #[cold]
    fn go_on_without_reader(&mut self, error: OutputError) -> Result<(), OutputError> {
        if !self.writes_at_end && !self.open_outputs().any(|output| output.is_useful()) {
            return Err(error);
        }
        tracing::warn!(%error, "its lines are counted and not written from now on; the other outputs go on");
        Ok(())
    }
}

/// The output for a document that a run writes last and that replaces the one of the run before: counters, a report.
#[derive(Debug)]
pub struct LastOutput(Output);

impl LastOutput {
    /// Opens the output. A run that opens it before it begins learns of a wrong path at once.
    ///
    /// # Errors
    ///
    /// An output that cannot be opened.
    pub fn open(target: &Path) -> Result<Self, OutputError> {
        Output::open(target, Opening::Replace).map(Self)
    }

    /// Writes the document.
    ///
    /// # Errors
    ///
    /// An output that cannot be written.
    pub fn write(&mut self, document: &Document<'_>, encoding: &mut impl Encoding) -> Result<(), OutputError> {
        encoding.write(document, &mut self.0.batch);
        self.0.deliver()
    }
}

fn reopen(output: &mut Output) {
    match output.reopen() {
        Ok(true) => tracing::info!(path = output.sink.name(), "the file was moved away and is made anew"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the file that was moved away is written on"),
    }
}

#[cfg(test)]
#[path = "outputs_tests.rs"]
mod tests;
