//! The heartbeat: whether the threads of a live run still do their work.
//!
//! In: a report of each watched thread whenever it has finished a piece of work. Out: whether both have reported lately,
//! which decides whether the service manager's watchdog is fed and what `/healthz` answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A thread that has not reported for this long counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(15);

/// When the packet thread and the output thread last reported.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    started: Instant,
    /// Milliseconds after `started`.
    packet_thread: Arc<AtomicU64>,
    /// Milliseconds after `started`.
    output_thread: Arc<AtomicU64>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { started: Instant::now(), packet_thread: Arc::default(), output_thread: Arc::default() }
    }
}

impl Heartbeat {
    /// The packet thread reports.
    pub(crate) fn packet_thread(&self) {
        self.packet_thread.store(self.now(), Ordering::Relaxed);
    }

    /// The output thread reports.
    pub(crate) fn output_thread(&self) {
        self.output_thread.store(self.now(), Ordering::Relaxed);
    }

    /// Returns whether both threads have reported within the last 15 seconds.
    pub(crate) fn is_healthy(&self) -> bool {
        let oldest = self.packet_thread.load(Ordering::Relaxed).min(self.output_thread.load(Ordering::Relaxed));
        self.now().saturating_sub(oldest) < HUNG_AFTER.as_millis() as u64
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
impl Heartbeat {
    /// The heartbeat of a run whose threads have not reported for longer than [`HUNG_AFTER`].
    pub(super) fn silent() -> Self {
        Self { started: Instant::now().checked_sub(HUNG_AFTER * 2).unwrap(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_threads_must_report() {
        assert!(Heartbeat::default().is_healthy());
        let heartbeat = Heartbeat::silent();
        assert!(!heartbeat.is_healthy());
        heartbeat.packet_thread();
        assert!(!heartbeat.is_healthy());
        heartbeat.output_thread();
        assert!(heartbeat.is_healthy());
    }
}
