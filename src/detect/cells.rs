//! Where windows begin and end.
//!
//! In: interval and look-back. Out: for each time the number of its *cell*. Windows begin and end at the cuts between
//! cells and nowhere else, so counts by cell are exact: multiples of the interval since the epoch, and those less the
//! look-back. That makes two cells an interval at most, whatever the durations, and one where the interval divides
//! the look-back; panes of the greatest common divisor would be eleven for 11 minutes every 10, and millions for odd
//! durations.

use std::time::Duration;

use crate::time::{Timestamp, nanos};

/// The cells of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Cells {
    /// Nanoseconds between boundaries; not 0.
    every: u64,
    /// Nanoseconds of look-back.
    window: u64,
    /// Where within each interval windows begin; 0 is with the boundary itself.
    cut: u64,
}

impl Cells {
    /// The cells of windows of `window` before every multiple of `every`.
    pub(super) fn scheduled(window: Duration, every: Duration) -> Self {
        let (every, window) = (nanos(every).max(1), nanos(window).max(1));
        Self { every, window, cut: (every - window % every) % every }
    }

    /// Cells of one width, for windows that slide.
    pub(super) fn even(width: Duration) -> Self {
        let width = nanos(width).max(1);
        Self { every: width, window: width, cut: 0 }
    }

    /// The cell a time lies in.
    #[inline]
    pub(super) const fn of(&self, time: Timestamp) -> u64 {
        let (interval, within) = (time.as_nanos() / self.every, time.as_nanos() % self.every);
        interval * 2 + (self.cut > 0 && within >= self.cut) as u64
    }

    /// The cells that the window before a boundary is made of.
    pub(super) const fn before(&self, boundary: Timestamp) -> std::ops::Range<u64> {
        let start = Timestamp::from_nanos(boundary.as_nanos().saturating_sub(self.window));
        self.of(start)..self.of(boundary)
    }

    /// Where the cell of a time begins.
    pub(super) const fn start(&self, cell: u64) -> Timestamp {
        let interval = (cell / 2).saturating_mul(self.every);
        Timestamp::from_nanos(if cell % 2 == 1 { interval.saturating_add(self.cut) } else { interval })
    }

    /// The earliest boundary after a time.
    pub(super) const fn next_boundary(&self, time: Timestamp) -> Timestamp {
        let floor = time.as_nanos() - time.as_nanos() % self.every;
        Timestamp::from_nanos(floor.saturating_add(self.every))
    }

    /// Whether any window ever counts a cell: none does when the look-back is shorter than the interval and the cell
    /// lies in between.
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
