//! The pace at which a run saves a file again and again.
//!
//! In: when each save began. Out: whether the run has waited long enough for the next. Promises: saving takes at most a twentieth of
//! the time, however long a save takes.

use std::time::{Duration, Instant};

/// Shortest time between two saves.
const INTERVAL: Duration = Duration::from_secs(1);
/// After a save, the next one waits this many times as long as the save took.
const PAUSE_FACTOR: u32 = 20;

/// When a file was saved last, and how long that took.
#[derive(Debug, Clone, Copy)]
pub(super) struct SavePace {
    saved: Instant,
    cost: Duration,
}

impl SavePace {
    /// Nothing was saved yet. The first save waits as if something had been saved now.
    pub(super) fn new() -> Self {
        Self { saved: Instant::now(), cost: Duration::ZERO }
    }

    /// Notes the end of a save that began then.
    pub(super) fn note(&mut self, began: Instant) {
        *self = Self { saved: Instant::now(), cost: began.elapsed() };
    }

    /// How long the last save took.
    pub(super) fn cost(&self) -> Duration {
        self.cost
    }

    /// Returns whether the run has waited long enough for the next save.
    pub(super) fn is_due(&self) -> bool {
        self.saved.elapsed() >= INTERVAL.max(self.cost * PAUSE_FACTOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_save_waits_as_long_as_the_last_one_asks() {
        let ago = |seconds, cost| SavePace { saved: Instant::now() - Duration::from_secs(seconds), cost };
        let tenth = Duration::from_millis(100);
        assert!(!SavePace::new().is_due() && !ago(1, tenth).is_due());
        assert!(ago(2, Duration::ZERO).is_due() && ago(3, tenth).is_due());
    }
}
