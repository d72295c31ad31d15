//! A look-back that slides.
//!
//! In: the times of one client's errors. Out: whether more than the threshold lie within one look-back, the moment they
//! do. Promises: exact for errors in order of time; an error that arrives late counts as long as it is among the last
//! *threshold + 1* by time.

use std::{collections::VecDeque, time::Duration};

use crate::time::Timestamp;

/// The last times of one client, and its alert while that is open.
#[derive(Debug, Default)]
pub(super) struct Sliding {
    /// Sorted, at most threshold + 1.
    times: VecDeque<Timestamp>,
    pub(super) open: Option<Open>,
}

/// An alert that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) id: String,
    /// The first of the errors that crossed the threshold.
    pub(super) started: Timestamp,
    /// The latest error.
    pub(super) last: Timestamp,
    /// Errors so far.
    pub(super) count: u64,
    /// When the alert was last written.
    pub(super) written: Timestamp,
    /// How often the alert was updated.
    pub(super) updates: u64,
}

impl Sliding {
    /// Takes in a time from before there were many, when nothing could cross the threshold yet.
    pub(super) fn note(&mut self, time: Timestamp) {
        let place = self.times.partition_point(|&known| known <= time);
        self.times.insert(place, time);
    }

    /// Takes in a time; the first error of those that exceed the threshold within the look-back, if they do.
    pub(super) fn crosses(&mut self, time: Timestamp, threshold: u32, window: Duration) -> Option<Timestamp> {
        self.note(time);
        let limit = threshold as usize + 1;
        while self.times.len() > limit {
            self.times.pop_front();
        }
        let (first, last) = (*self.times.front()?, *self.times.back()?);
        (self.times.len() == limit && last.since(first) < window).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn crosses_when_a_recount_says_so(mut times in proptest::collection::vec(0u64..300, 1..80), threshold in 0u32..6, window in 1u64..40) {
            times.sort_unstable();
            let mut sliding = Sliding::default();
            for (index, &time) in times.iter().enumerate() {
                let recount = times[..=index].iter().filter(|&&earlier| earlier + window > time).count();
                let crosses = sliding.crosses(Timestamp::from_nanos(time), threshold, Duration::from_nanos(window));
                prop_assert_eq!(crosses.is_some(), recount > threshold as usize, "{} of {:?}", time, times);
            }
        }
    }
}
