//! What a live run reports when it ends, beside its outputs.
//!
//! In: what was captured, counted and delivered. Out: a log line for each interface, lines about what could not be seen, one line for
//! the run, and the counters for `--stats`. Promises: also written when the run ends in an error; of the same counters it draws the
//! conclusions of a replay.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    capture::live::InterfaceCounters,
    event::Site,
    output::OutputError,
    run::{delivery, tls_summary, unread::Unread, unseen},
    stream::UnreadPorts,
    telemetry::{
        Count,
        summary::{StageCounts, Summary},
    },
};

use super::output_thread::Delivered;

/// What the packet thread saw up to the end of the run.
pub(super) struct RunReport {
    /// How long the run took.
    pub(super) elapsed: Duration,
    /// The counters of all interfaces together.
    pub(super) capture: InterfaceCounters,
    /// The counters of each interface.
    pub(super) interfaces: Vec<(String, Vec<Count>)>,
    /// The counters of the stages up to the shards.
    pub(super) stages: Vec<StageCounts>,
    /// The server ports of connections whose content is not read.
    pub(super) unread: UnreadPorts,
    /// Where counters are written.
    pub(super) stats: Option<PathBuf>,
    /// Whose counters they are.
    pub(super) site: Arc<Site>,
}

impl RunReport {
    /// Logs what was seen, and what was delivered unless the output thread failed.
    pub(super) fn write(self, delivered: Option<Delivered>) {
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
        let of_delivery = delivered.as_ref().map_or(&[][..], |delivered| &delivered.stages);
        self.tell_unseen(&[&self.stages, of_delivery].concat());
        if let Some(Delivered { totals, notes, .. }) = &delivered {
            notes.iter().for_each(|note| tracing::info!("{note}"));
            tracing::info!(errors = totals.errors, alerts = totals.alerts, "stopped");
        }
        if let Err(error) = self.write_statistics(delivered.unwrap_or_default()) {
            tracing::error!(%error, "the counters are not written");
        }
    }

    /// Logs what was there and could not be seen.
    fn tell_unseen(&self, stages: &[StageCounts]) {
        let unread = Unread { stages, ports: &self.unread };
        unread.where_much([&[], &[]]).iter().for_each(|line| tracing::warn!("{line}"));
        let unseen = unseen::of(stages);
        if !unseen.is_empty() {
            tracing::info!("not seen: {}", unseen.join(", "));
        }
        tls_summary::said(stages).iter().for_each(|note| tracing::info!("{note}"));
    }

    fn write_statistics(self, delivered: Delivered) -> Result<(), OutputError> {
        let Some(path) = &self.stats else { return Ok(()) };
        let capture = StageCounts { stage: "capture", counts: self.capture.counts() };
        let stages = [vec![capture], self.stages, delivered.stages].concat();
        let summary = Summary {
            packets: self.capture.packets,
            bytes: self.capture.bytes,
            elapsed: self.elapsed,
            errors: delivered.totals.errors,
            alerts: delivered.totals.alerts,
            nearest: delivered.nearest,
            interfaces: self.interfaces,
            ..Summary::of(stages)
        };
        delivery::write_statistics(delivery::open_last(path)?, &summary, &self.site)
    }
}
