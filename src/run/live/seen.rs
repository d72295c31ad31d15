//! What a live run leaves when it ends, beside its output.
//!
//! In: what was captured, counted and concluded. Out: a line of the log for each interface and one for the run, and the counters
//! for `--stats`. Promises: told too where the run ends in an error.

use std::{path::PathBuf, time::Duration};

use crate::{
    capture::live::InterfaceCounters,
    output::{Opening, OutputError, Sink},
    telemetry::{
        Count,
        summary::{StageCounts, Summary},
    },
};

use super::output::Concluded;

/// What a run saw up to its end.
pub(super) struct Seen {
    /// How long it ran.
    pub(super) elapsed: Duration,
    /// All interfaces together.
    pub(super) capture: InterfaceCounters,
    /// The counters of each interface.
    pub(super) interfaces: Vec<(String, Vec<Count>)>,
    /// The counters of the packet path.
    pub(super) stages: Vec<StageCounts>,
    /// Where counters are written.
    pub(super) stats: Option<PathBuf>,
}

impl Seen {
    /// Tells what was seen, and what was concluded where the output did not fail.
    pub(super) fn report(self, concluded: Option<Concluded>) {
        for (interface, counts) in &self.interfaces {
            let of = |name| counts.iter().find(|count| count.name == name).map_or(0, |count| count.value);
            tracing::info!(
                interface,
                packets = of("packets"),
                kernel_drops = of("kernel_drops"),
                interface_drops = of("interface_drops"),
                vanished = of("vanished"),
                tcp_gaps = of("tcp_gaps"),
                tcp_gap_bytes = of("tcp_gap_bytes"),
                "seen"
            );
        }
        if let Some(Concluded { totals, .. }) = &concluded {
            tracing::info!(errors = totals.errors, alerts = totals.alerts, "stopped");
        }
        if let Err(error) = self.write_stats(concluded.unwrap_or_default()) {
            tracing::error!(%error, "the counters are not written");
        }
    }

    fn write_stats(self, concluded: Concluded) -> Result<(), OutputError> {
        let Some(path) = &self.stats else { return Ok(()) };
        let capture = StageCounts { stage: "capture", counts: self.capture.counts() };
        let stages = [vec![capture], self.stages, concluded.stages].concat();
        let summary = Summary {
            packets: self.capture.packets,
            bytes: self.capture.bytes,
            elapsed: self.elapsed,
            errors: concluded.totals.errors,
            alerts: concluded.totals.alerts,
            interfaces: self.interfaces,
            ..Summary::of(stages)
        };
        let mut sink = Sink::open(&path.to_string_lossy(), Opening::Replace)?;
        sink.write(format!("{}\n", summary.to_json()).as_bytes())?;
        sink.flush()
    }
}
