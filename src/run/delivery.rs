//! The delivery: findings become documents, and documents go to the outputs.
//!
//! In: [`Finding`]s, in order. Out: documents in the outputs for alerts, events and exchanges, at the end statistics. Promises:
//! documents are never made on the packet path, and none is made that no output wants.

use std::{path::Path, sync::Arc, time::Duration};

use super::annotator::{Annotator, AnnotatorChange};
use crate::{
    document::{Document, EcsJson, Kind},
    event::{EventSettings, Site},
    output::{ChangedOutputs, OutputError, OutputSettings, Outputs, StatisticsOutput},
    sensor::{Finding, SensorSettings},
    telemetry::summary::{StageCounts, Summary},
    time::{Stretch, Timestamp},
};

/// Packet time between two warnings about gaps in TCP streams.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The encoding and the outputs of a run.
pub(super) struct Delivery {
    site: Arc<Site>,
    events: EventSettings,
    encoding: EcsJson,
    outputs: Outputs,
    annotator: Annotator,
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
        Ok(Self {
            site: Arc::clone(&settings.site),
            events: settings.events.clone(),
            encoding: EcsJson::new(Arc::clone(&settings.site)),
            outputs: Outputs::open(output)?,
            annotator,
            next_warning: None,
        })
    }

    /// Makes this the delivery of a live run: documents that cannot be written are kept and tried again, and alerts are written by
    /// [`flush`](Self::flush) alone, so that the caller can save their IDs before.
    pub(super) fn keep_trying(&mut self) {
        self.outputs.keep_trying();
        self.next_warning = Some(Timestamp::EPOCH);
    }

    /// Takes a finding. It is written once [`submit`](Self::submit) or [`flush`](Self::flush) was called.
    pub(super) fn take(&mut self, finding: Finding<'_>) {
        let Self { site, events, encoding, outputs, annotator, .. } = self;
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
            Finding::Alert(alert) if outputs.want(Kind::Alert) => {
                let annotations = annotator.annotate(alert);
                if !annotations.is_suppressed {
                    outputs.write(&Document::annotated_alert(alert, &annotations), encoding);
                }
            }
            Finding::Gap(stretch) => self.warn_of_gap(stretch),
            Finding::Event(_) | Finding::Exchange { .. } | Finding::Alert(_) => {}
        }
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
        self.outputs.reload(changed);
        self.annotator.reload(annotator);
    }

    /// Takes alerts that an earlier run has found and could not write.
    pub(super) fn go_on_with(&mut self, unwritten_alerts: &[u8]) {
        self.outputs.restore_alerts(unwritten_alerts, &mut self.encoding);
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

/// Opens the output for the counters of a run.
///
/// # Errors
///
/// An output that cannot be opened.
pub(super) fn open_statistics(path: &Path) -> Result<StatisticsOutput, OutputError> {
    StatisticsOutput::open(path)
}

/// Writes the counters of a run.
///
/// # Errors
///
/// An output that cannot be written.
pub(super) fn write_statistics(
    mut output: StatisticsOutput,
    summary: &Summary,
    site: &Arc<Site>,
) -> Result<(), OutputError> {
    output.write(&Document::statistics(summary, site), &mut EcsJson::new(Arc::clone(site)))
}
