//! The output thread of a live run.
//!
//! In: records in order, and commands of the line. Out: written events and alerts, and the state file. Promises: a full disk
//! loses no alert and stops nothing; what was found is written within a second.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, select};

use crate::{
    sensor::{
        RunError,
        alerting::Windows,
        conclude::{Conclusion, OtherSinks, Totals},
        record::Records,
    },
    service::{edge::Pulse, metrics::Shared},
    settings::Settings,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::windows::Keeper;

/// Longest time that written lines stay in memory.
const FLUSH: Duration = Duration::from_millis(500);

/// What the line asks of the output thread.
pub(super) enum Command {
    /// Packets were lost about then.
    Loss(Timestamp),
    /// A new configuration, the outputs it opens, and the time from which it holds.
    Reload(Box<Settings>, Box<OtherSinks>, Timestamp),
    /// The run ends at this packet time; records that are on their way come first.
    Finish(Timestamp),
}

/// What the output thread has done in the end.
#[derive(Default)]
pub(super) struct Concluded {
    pub(super) totals: Totals,
    /// Counters of its stages.
    pub(super) stages: Vec<StageCounts>,
}

/// Conclusions, written.
pub(super) struct OutputThread {
    /// Events, rule and sinks.
    pub(super) conclusion: Conclusion,
    /// What survives a restart.
    pub(super) windows: Keeper,
    /// Signs of life.
    pub(super) pulse: Pulse,
    /// Where the numbers go.
    pub(super) shared: Shared,
}

impl OutputThread {
    /// Runs until [`Command::Finish`], or until nobody commands any more.
    pub(super) fn run(
        mut self,
        records: &Receiver<Records>,
        commands: &Receiver<Command>,
    ) -> Result<Concluded, RunError> {
        let mut records = records.clone();
        let mut flushed = Instant::now();
        loop {
            select! {
                recv(records) -> arrived => match arrived {
                    Ok(arrived) => self.conclusion.take(arrived)?,
                    Err(_) => records = never(),
                },
                recv(commands) -> command => match command {
                    Ok(Command::Loss(at)) => self.conclusion.note_loss(at),
                    Ok(Command::Reload(settings, sinks, at)) => self.reload(*settings, *sinks, at)?,
                    Ok(Command::Finish(last)) => return self.finish(&records, last),
                    Err(_) => return Ok(self.concluded()),
                },
                default(FLUSH) => {}
            }
            if flushed.elapsed() >= FLUSH {
                self.windows.keep(&self.conclusion);
                self.conclusion.flush()?;
                self.publish();
                flushed = Instant::now();
            }
            self.pulse.output();
        }
    }

    fn reload(&mut self, settings: Settings, sinks: OtherSinks, at: Timestamp) -> Result<(), RunError> {
        match self.conclusion.reload(settings, sinks, at)? {
            Windows::Same => tracing::info!("the new configuration is in force"),
            Windows::New { old_until } => {
                tracing::info!(%old_until, "the new configuration is in force; windows of the old kind are still executed until then");
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        let counts = self.counts();
        let gauges = self.conclusion.alerting().gauges();
        self.shared.update(|snapshot| {
            snapshot.gauges = vec![("detect", gauges)];
            snapshot.stages.retain(|(stage, _)| counts.iter().all(|own| own.stage != *stage));
            snapshot.stages.extend(counts.into_iter().map(|own| (own.stage, own.counts)));
        });
    }

    fn counts(&mut self) -> Vec<StageCounts> {
        let mut counts = self.conclusion.counts();
        counts.push(self.conclusion.output_counts());
        counts
    }

    fn concluded(&mut self) -> Concluded {
        Concluded { totals: self.conclusion.totals(), stages: self.counts() }
    }

    fn finish(mut self, records: &Receiver<Records>, last: Timestamp) -> Result<Concluded, RunError> {
        for arrived in records.try_iter() {
            self.conclusion.take(arrived)?;
        }
        // The windows as they are before the last execution, which counts them only in part.
        let open = self.conclusion.snapshot().into_owned();
        let finished = self.conclusion.finish(last);
        self.windows.keep_last(open, &self.conclusion);
        finished?;
        let lines = self.conclusion.unwritten_lines();
        if lines > 0 {
            tracing::error!(
                lines,
                "the run ends with lines that cannot be written; alerts wait in the state file, if there is one"
            );
        }
        Ok(self.concluded())
    }
}
