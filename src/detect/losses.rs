//! The times at which the sensor is known to have missed packets.
//!
//! In: stretches of time in which packets were lost. Out: whether a window contains such a stretch. Promises: memory is
//! bounded. When stretches are merged to keep this bound, the result covers more time, never less.

use std::{collections::VecDeque, time::Duration};

use super::Window;
use crate::time::{Stretch, Timestamp};

/// The most stretches that are kept apart.
pub(super) const MAX_LOSSES: usize = 256;

/// Stretches of time in which packets were lost.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Losses {
    stretches: VecDeque<(Timestamp, Timestamp)>,
    /// Two stretches that are closer than this are merged.
    near: Duration,
}

impl Losses {
    pub(super) fn new(near: Duration) -> Self {
        Self { stretches: VecDeque::new(), near }
    }

    pub(super) fn note(&mut self, lost: Stretch) {
        match self.stretches.back_mut() {
            Some((start, end)) if lost.end.plus(self.near) >= *start && lost.start <= end.plus(self.near) => {
                *start = lost.start.min(*start);
                *end = lost.end.max(*end);
            }
            _ => self.stretches.push_back((lost.start, lost.end)),
        }
        if self.stretches.len() > MAX_LOSSES
            && let (Some((start, end)), Some((other_start, other_end))) =
                (self.stretches.pop_front(), self.stretches.pop_front())
        {
            self.stretches.push_front((start.min(other_start), end.max(other_end)));
        }
    }

    pub(super) fn within(&self, window: Window) -> bool {
        self.stretches.iter().any(|&(start, end)| start < window.end && end >= window.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_loss_is_forgotten(times in proptest::collection::vec(0u64..100_000, 1..600), near in 0u64..50) {
            let mut losses = Losses::new(Duration::from_nanos(near));
            for &time in &times {
                losses.note(Timestamp::from_nanos(time).into());
            }
            prop_assert!(losses.stretches.len() <= MAX_LOSSES);
            for &time in &times {
                let at = Timestamp::from_nanos(time);
                let window = Window { start: at, end: at.plus(Duration::from_nanos(1)), partial: false };
                prop_assert!(losses.within(window));
            }
        }
    }

    #[test]
    fn a_window_without_loss_is_told_apart() {
        let mut losses = Losses::new(Duration::from_nanos(5));
        for (start, end) in [(100, 100), (102, 103), (200, 200)] {
            losses.note(Stretch { start: Timestamp::from_nanos(start), end: Timestamp::from_nanos(end) });
        }
        for (start, end, holds) in
            [(0, 100, false), (0, 101, true), (103, 104, true), (104, 200, false), (201, 300, false)]
        {
            let window =
                Window { start: Timestamp::from_nanos(start), end: Timestamp::from_nanos(end), partial: false };
            assert_eq!(losses.within(window), holds, "{start} {end}");
        }
    }
}
