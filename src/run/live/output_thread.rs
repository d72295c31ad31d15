//! The output thread of a live run.
//!
//! In: records in order, and commands of the packet thread. Out: written events, exchanges and alerts, and the state file.
//! Promises: a full disk loses no alert and stops nothing; what was found is written within a second.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, select};

use crate::{
    detect::Windows,
    output::ChangedOutputs,
    run::{RunError, annotator::AnnotatorChange, delivery::Delivery, nearest, two_sides},
    sensor::{
        SensorSettings, Totals,
        executor::{Findings, Records},
    },
    service::heartbeat::Heartbeat,
    telemetry::{
        snapshot::SharedSnapshot,
        summary::{Nearest, StageCounts},
    },
    time::Timestamp,
};

use super::windows_keeper::WindowsKeeper;

/// Longest time that lines stay in memory before they are written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// What the packet thread asks of the output thread.
pub(super) enum Command {
    /// Packets were lost about this time.
    Loss(Timestamp),
    /// A new configuration, the outputs opened and the files read for it, and the packet time from which it holds.
    Reload(Box<SensorSettings>, Box<ChangedOutputs>, Box<AnnotatorChange>, Timestamp),
    /// The run ends at this packet time. Records that are on their way come first.
    Finish(Timestamp),
}

/// What the output thread leaves when it ends.
#[derive(Default)]
pub(super) struct Delivered {
    pub(super) totals: Totals,
    /// The clients that came nearest to an alert without one.
    pub(super) nearest: Vec<Nearest>,
    /// The counters of its stages.
    pub(super) stages: Vec<StageCounts>,
    /// What is to be known of how errors were counted, one line each.
    pub(super) notes: Vec<String>,
}

/// The output thread.
pub(super) struct OutputThread {
    /// Events and rules.
    pub(super) findings: Findings,
    /// The outputs.
    pub(super) delivery: Delivery,
    /// Saves what must survive a restart.
    pub(super) windows: WindowsKeeper,
    /// Where this thread reports that it works.
    pub(super) heartbeat: Heartbeat,
    /// Where its numbers go.
    pub(super) snapshot: SharedSnapshot,
}

impl OutputThread {
    /// Runs until [`Command::Finish`], or until the packet thread has gone.
    pub(super) fn run(mut self, commands: &Receiver<Command>) -> Result<Delivered, RunError> {
        let mut records = self.findings.channel().clone();
        let mut flushed = Instant::now();
        loop {
            select! {
                recv(records) -> arrived => match arrived {
                    Ok(arrived) => self.deliver(arrived)?,
                    Err(_) => records = never(),
                },
                recv(commands) -> command => match command {
                    Ok(Command::Loss(at)) => self.findings.evaluator_mut().note_loss(at),
                    Ok(Command::Reload(settings, outputs, annotator, at)) => {
                        self.reload(*settings, *outputs, *annotator, at);
                    }
                    Ok(Command::Finish(last)) => return self.finish(last),
                    Err(_) => return Ok(self.delivered()),
                },
                default(FLUSH_INTERVAL) => {}
            }
            if flushed.elapsed() >= FLUSH_INTERVAL {
                self.windows.save_when_due(self.findings.evaluator(), &self.delivery);
                self.delivery.flush()?;
                self.delivery.annotator().save_when_due();
                self.publish();
                flushed = Instant::now();
            }
            self.heartbeat.output_thread();
        }
    }

    fn deliver(&mut self, records: Records) -> Result<(), RunError> {
        self.findings.evaluate(records, &mut |finding| self.delivery.take(finding));
        Ok(self.delivery.submit()?)
    }

    fn reload(&mut self, settings: SensorSettings, outputs: ChangedOutputs, annotator: AnnotatorChange, at: Timestamp) {
        self.delivery.reload(&settings, outputs, annotator);
        let evaluator = self.findings.evaluator_mut();
        match evaluator.reconfigure(settings, at, &mut |finding| self.delivery.take(finding)) {
            Windows::Same => tracing::info!("the new configuration is in force"),
            Windows::New { old_until } => {
                tracing::info!(%old_until, "the new configuration is in force; windows of the old kind are still executed until then");
            }
        }
    }

    fn publish(&self) {
        let counts = self.counts();
        let gauges = self.findings.evaluator().gauges();
        self.snapshot.update(|snapshot| {
            snapshot.gauges = gauges;
            snapshot.stages.retain(|(stage, _)| counts.iter().all(|own| own.stage != *stage));
            snapshot.stages.extend(counts.into_iter().map(|own| (own.stage, own.counts)));
        });
    }

    fn counts(&self) -> Vec<StageCounts> {
        let mut counts = self.findings.evaluator().counts();
        counts.extend(self.delivery.counts());
        counts.extend(self.windows.counts());
        counts
    }

    fn delivered(&self) -> Delivered {
        let mut totals = self.findings.evaluator().totals();
        totals.alerts = totals.alerts.saturating_sub(self.delivery.suppressed());
        let stages = self.counts();
        let evaluator = self.findings.evaluator();
        let notes = two_sides::said(&evaluator.two_sided_proxies(), &stages).into_iter().collect();
        Delivered { totals, nearest: nearest(evaluator), stages, notes }
    }

    fn finish(mut self, last: Timestamp) -> Result<Delivered, RunError> {
        while let Ok(arrived) = self.findings.channel().try_recv() {
            self.deliver(arrived)?;
        }
        // The next run goes on with the windows as they are before the last execution, which counts them only in part.
        self.findings.evaluator_mut().count_held(&mut |finding| self.delivery.take(finding));
        let open = self.windows.copied(self.findings.evaluator().snapshot());
        self.findings.finish(last, &mut |finding| self.delivery.take(finding));
        let flushed = self.delivery.flush();
        self.windows.save(open, self.findings.evaluator(), &self.delivery);
        self.delivery.annotator().save_or_log();
        flushed?;
        let lines = self.delivery.unwritten_lines();
        if lines > 0 {
            tracing::error!(
                lines,
                "the run ends with lines that cannot be written; alerts wait in the state file, if there is one"
            );
        }
        Ok(self.delivered())
    }
}
