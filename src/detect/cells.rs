//! Cells: the pieces of time that windows are made of.
//!
//! In: interval and look-back. Out: for each time the number of its *cell*. Windows begin and end only at the cuts between
//! cells, so counts by cell are exact. The cuts are at the multiples of the interval since the epoch, and at the same times
//! less the look-back. This gives at most two cells an interval for any durations, and one cell where the interval divides
//! the look-back. Cells as long as the greatest common divisor would be more: eleven for a look-back of 11 minutes every 10
//! minutes, and millions for odd durations.

use std::time::Duration;

use crate::time::{Timestamp, nanos};

/// The cells of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Cells {
    /// Nanoseconds between boundaries; not 0.
    every: u64,
    /// Nanoseconds of look-back.
    window: u64,
    /// The offset within each interval at which windows begin, in nanoseconds. 0 means that they begin at the boundary
    /// itself.
    cut: u64,
}

impl Cells {
    /// Cells for windows of length `window` that end at every multiple of `every`.
    pub(super) fn scheduled(window: Duration, every: Duration) -> Self {
        let (every, window) = (nanos(every).max(1), nanos(window).max(1));
        Self { every, window, cut: (every - window % every) % every }
    }

    /// Cells of equal width, for windows that slide.
    pub(super) fn even(width: Duration) -> Self {
        let width = nanos(width).max(1);
        Self { every: width, window: width, cut: 0 }
    }

    /// Returns the cell that contains a time.
    #[inline]
    pub(super) const fn of(&self, time: Timestamp) -> u64 {
        let (interval, within) = (time.as_nanos() / self.every, time.as_nanos() % self.every);
        interval * 2 + (self.cut > 0 && within >= self.cut) as u64
    }

    /// Returns the cells of the window that ends at a boundary.
    pub(super) const fn before(&self, boundary: Timestamp) -> std::ops::Range<u64> {
        let start = Timestamp::from_nanos(boundary.as_nanos().saturating_sub(self.window));
        self.of(start)..self.of(boundary)
    }

    /// Returns the time at which a cell begins.
    pub(super) const fn start(&self, cell: u64) -> Timestamp {
        let interval = (cell / 2).saturating_mul(self.every);
        Timestamp::from_nanos(if cell % 2 == 1 { interval.saturating_add(self.cut) } else { interval })
    }

    /// Returns the earliest boundary after a time.
    pub(super) const fn next_boundary(&self, time: Timestamp) -> Timestamp {
        let floor = time.as_nanos() - time.as_nanos() % self.every;
        Timestamp::from_nanos(floor.saturating_add(self.every))
    }

    /// Returns whether any window counts this cell. No window does when the look-back is shorter than the interval and the
    /// cell lies between two windows.
    #[inline]
    pub(super) const fn is_counted(&self, cell: u64) -> bool {
        self.window >= self.every || cell % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_is_exactly_its_cells(window in 1u64..5_000, every in 1u64..5_000, boundary in 0u64..50, time in 0u64..100_000) {
            let cells = Cells::scheduled(Duration::from_nanos(window), Duration::from_nanos(every));
            let boundary = boundary * every;
            let within = time < boundary && time + window >= boundary;
            let cell = cells.of(Timestamp::from_nanos(time));
            prop_assert_eq!(cells.before(Timestamp::from_nanos(boundary)).contains(&cell), within);
            prop_assert!(!within || cells.is_counted(cell));
            prop_assert!(cells.start(cell).as_nanos() <= time);
            prop_assert_eq!(cells.of(cells.start(cell)), cell);
        }
    }

    #[test]
    fn the_default_schedule_has_two_cells_an_interval() {
        let cells = Cells::scheduled(Duration::from_secs(660), Duration::from_secs(600));
        assert_eq!(cells.before(Timestamp::from_parts(1_200, 0)), 1..4);
        assert_eq!(cells.next_boundary(Timestamp::from_parts(1_200, 0)), Timestamp::from_parts(1_800, 0));
    }
}
