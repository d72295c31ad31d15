//! The delivery: findings become documents, and documents go to the outputs.
//!
//! In: [`Finding`]s, in order. Out: documents in the outputs for alerts, events and exchanges, at the end statistics. Promises:
//! documents are never made on the packet path, and none is made that no output wants.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    annotator::{Annotator, AnnotatorChange},
    evidence::EvidenceRequests,
};
use crate::{
    detect::Alert,
    document::{AlertText, Document, EcsJson, Kind, Report, RunFacts},
    event::{EventSettings, Site},
    output::{AlertFormat, ChangedOutputs, LastOutput, OutputError, OutputSettings, Outputs},
    sensor::{Finding, SensorSettings},
    telemetry::summary::{StageCounts, Summary},
    time::{Stretch, Timestamp},
    verdict::Verdict,
};

use super::terminal;

/// Packet time between two warnings about gaps in TCP streams.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The encoding and the outputs of a run.
pub(super) struct Delivery {
    site: Arc<Site>,
    events: EventSettings,
    encoding: EcsJson,
    format: AlertFormat,
    /// How alerts are written as text.
    text: AlertText,
    /// Whether an alert was written that somebody at a terminal waits for.
    is_awaited: bool,
    outputs: Outputs,
    /// The alerts of the report, if there is one.
    report: Option<Report>,
    annotator: Annotator,
    /// Asks for the packets of alerts, where they are written.
    evidence: Option<EvidenceRequests>,
    /// In a live run, packet time from which on a gap in a TCP stream is logged again.
    next_warning: Option<Timestamp>,
}

impl Delivery {
    /// Opens the outputs.
    ///
    /// # Errors
    ///
    /// An output that cannot be opened.
    pub(super) fn open(
        settings: &SensorSettings,
        output: &OutputSettings,
        annotator: Annotator,
    ) -> Result<Self, OutputError> {
        let outputs = Outputs::open(output)?;
        let layout = terminal::layout(outputs.show_alerts());
        Ok(Self {
            site: Arc::clone(&settings.site),
            events: settings.events.clone(),
            encoding: EcsJson::new(Arc::clone(&settings.site)),
            format: output.format,
            text: AlertText::new(Arc::clone(&settings.site), layout).with_rows_first(),
            is_awaited: false,
            outputs,
            report: output.report.is_some().then(Report::default),
            annotator,
            evidence: None,
            next_warning: None,
        })
    }

    /// Asks for the packets of alerts from now on.
    pub(super) fn ask_for_packets(&mut self, requests: EvidenceRequests) {
        self.evidence = Some(requests);
    }

    /// Asks for no more packets, so that whoever writes them comes to an end.
    pub(super) fn end_requests(&mut self) {
        self.evidence = None;
    }

    /// Makes this the delivery of a live run: documents that cannot be written are kept and tried again, and alerts are written by
    /// [`flush`](Self::flush) alone, so that the caller can save their IDs before.
    pub(super) fn keep_trying(&mut self) {
        self.outputs.keep_trying();
        self.text.write_at_once();
        self.next_warning = Some(Timestamp::EPOCH);
    }

    /// Takes a finding. It is written once [`submit`](Self::submit) or [`flush`](Self::flush) was called.
    pub(super) fn take(&mut self, finding: Finding<'_>) {
        if let (Some(evidence), Finding::Event(event) | Finding::EventAndExchange(event)) =
            (&mut self.evidence, finding)
        {
            evidence.note(event);
        }
        let Self { site, events, encoding, outputs, .. } = self;
        match finding {
            Finding::Event(event) if outputs.want(Kind::Event) => {
                outputs.write(&Document::event(event, site), encoding);
            }
            Finding::Exchange { exchange, attribution } if outputs.want(Kind::Exchange) => {
                let reason = events.reason_of(exchange);
                outputs.write(&Document::exchange(exchange, attribution, reason, site), encoding);
            }
            Finding::EventAndExchange(event) => match [Kind::Event, Kind::Exchange].map(|kind| outputs.want(kind)) {
                [true, true] => outputs.write_pair(&Document::pair(event, site), encoding),
                [false, false] => {}
                [true, false] => outputs.write(&Document::event(event, site), encoding),
                [false, true] => {
                    let (reason, attribution) = (Some(event.reason), &event.attribution);
                    outputs.write(&Document::exchange(&event.exchange, attribution, reason, site), encoding);
                }
            },
            Finding::Alert { alert, verdict } => self.take_alert(alert, verdict),
            Finding::Gap(stretch) => self.warn_of_gap(stretch),
            Finding::Event(_) | Finding::Exchange { .. } => {}
        }
    }

    fn take_alert(&mut self, alert: &Alert, verdict: &Verdict) {
        let annotations = self.annotator.annotate(alert);
        if annotations.is_suppressed {
            return;
        }
        let lowered = annotations.is_lowered.then(|| verdict.clone().lowered(alert));
        let verdict = lowered.as_ref().unwrap_or(verdict);
        let file = self.evidence.as_mut().and_then(|evidence| evidence.request(alert, verdict));
        let document = Document::annotated_alert(alert, verdict, &annotations).with_evidence_file(file.as_deref());
        if let Some(report) = &mut self.report {
            report.take(&document, &mut self.encoding);
        }
        if !self.outputs.want(Kind::Alert) {
            return;
        }
        if self.writes_text() {
            self.outputs.write(&document, &mut self.text);
            self.is_awaited = self.outputs.show_alerts();
        } else {
            self.outputs.write(&document, &mut self.encoding);
        }
    }

    /// Returns whether alerts are written as text now.
    fn writes_text(&self) -> bool {
        match self.format {
            AlertFormat::Auto => self.outputs.show_alerts(),
            AlertFormat::Text => true,
            AlertFormat::Json => false,
        }
    }

    /// Returns once for one or more new alerts whether somebody at a terminal waits for them.
    pub(super) fn takes_awaited(&mut self) -> bool {
        std::mem::take(&mut self.is_awaited)
    }

    /// Writes what waits for the end of a replay: the text of each alert below the table.
    pub(super) fn end_replay(&mut self) {
        let Self { text, encoding, outputs, .. } = self;
        text.rest(|document| outputs.write(document, encoding));
    }

    /// The alerts of the report, if there is one. It is taken once, at the end.
    pub(super) fn take_report(&mut self) -> Option<Report> {
        self.report.take()
    }

    /// Writes the outputs that have gathered a block of documents.
    ///
    /// # Errors
    ///
    /// What ends the run: see [`Outputs::submit`].
    pub(super) fn submit(&mut self) -> Result<(), OutputError> {
        self.outputs.submit()
    }

    /// Writes all documents.
    ///
    /// # Errors
    ///
    /// What ends the run: see [`Outputs::flush`].
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        self.outputs.flush()
    }

    /// Goes on with another configuration. Files that were moved away are made anew.
    pub(super) fn reload(&mut self, settings: &SensorSettings, changed: ChangedOutputs, annotator: AnnotatorChange) {
        self.site = Arc::clone(&settings.site);
        self.events = settings.events.clone();
        self.encoding = EcsJson::new(Arc::clone(&settings.site));
        self.format = changed.format();
        self.outputs.reload(changed);
        self.annotator.reload(annotator);
    }

    /// Takes alerts that an earlier run has found and could not write.
    pub(super) fn go_on_with(&mut self, unwritten_alerts: &[u8]) {
        if self.writes_text() {
            self.outputs.restore_alerts(unwritten_alerts, &mut self.text);
        } else {
            self.outputs.restore_alerts(unwritten_alerts, &mut self.encoding);
        }
    }

    /// The last alerts that were written, also by earlier runs, where the output can tell. The first line may be cut.
    pub(super) fn last_alerts(&self) -> Vec<u8> {
        self.outputs.last_alerts()
    }

    /// Alerts that are not written yet.
    pub(super) fn unwritten_alerts(&self) -> &[u8] {
        self.outputs.unwritten_alerts()
    }

    /// Lines that are not written yet.
    pub(super) fn unwritten_lines(&self) -> usize {
        self.outputs.unwritten()
    }

    /// The counters of the outputs, and of what annotates alerts.
    pub(super) fn counts(&self) -> Vec<StageCounts> {
        self.annotator.counts().into_iter().chain([self.outputs.counts()]).collect()
    }

    /// The annotator.
    pub(super) fn annotator(&mut self) -> &mut Annotator {
        &mut self.annotator
    }

    /// The number of alerts that a label kept from being written.
    pub(super) fn suppressed(&self) -> u64 {
        self.annotator.suppressed()
    }

    /// Logs, in a live run and not too often, that parts of TCP streams were not captured.
    #[cold]
    fn warn_of_gap(&mut self, stretch: Stretch) {
        if let Some(next_warning) = &mut self.next_warning
            && (stretch.end >= *next_warning || stretch.end.plus(2 * WARNING_INTERVAL) < *next_warning)
        {
            *next_warning = stretch.end.plus(WARNING_INTERVAL);
            tracing::warn!(from = %stretch.start, to = %stretch.end, "gaps in TCP streams: counts in alerts are a lower bound");
        }
    }
}

/// Opens the output for the counters or the report of a run.
///
/// # Errors
///
/// An output that cannot be opened.
pub(super) fn open_last(path: &Path) -> Result<LastOutput, OutputError> {
    LastOutput::open(path)
}

/// Writes the counters of a run.
///
/// # Errors
///
/// An output that cannot be written.
pub(super) fn write_statistics(mut output: LastOutput, summary: &Summary, site: &Arc<Site>) -> Result<(), OutputError> {
    output.write(&Document::statistics(summary, site), &mut EcsJson::new(Arc::clone(site)))
}

/// Writes the report of a run.
///
/// # Errors
///
/// An output that cannot be written.
pub(super) fn write_report(
    mut output: LastOutput,
    report: Report,
    facts: &RunFacts<'_>,
    site: &Arc<Site>,
) -> Result<(), OutputError> {
    let page = report.page(facts);
    output.write(&Document::report(&page, site), &mut EcsJson::new(Arc::clone(site)))
}
