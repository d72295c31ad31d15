//! The places for alerts in one interval of streaming mode.
//!
//! In: groups that are over a threshold, and packet time. Out: for each group whether its alert may be opened, and at the end of an
//! interval the groups that found no place. Promises: at most as many alerts as the limit are opened in one interval, and as many again
//! for groups whose confirmed part alone is over the threshold, so that forged packets take no place from these groups.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Window;
use crate::time::Timestamp;

/// The places in one interval for groups of the type `G`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Places<G> {
    /// The boundary at which the interval began.
    since: Timestamp,
    /// The number of alerts opened for groups whose confirmed part alone is over the threshold.
    confirmed: usize,
    /// The number of alerts opened for other groups.
    others: usize,
    /// The groups that found no place.
    left_out: Vec<G>,
}

/// An interval that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended<G> {
    /// Its time.
    pub(super) window: Window,
    /// The groups that found no place in it, in order, each once.
    pub(super) left_out: Vec<G>,
}

impl<G> Default for Places<G> {
    fn default() -> Self {
        Self::since(Timestamp::EPOCH)
    }
}

impl<G> Places<G> {
    /// The places of an interval that begins at a boundary.
    const fn since(since: Timestamp) -> Self {
        Self { since, confirmed: 0, others: 0, left_out: Vec::new() }
    }

    /// Takes a place, of which there are `most` of each kind. Returns false if all are taken.
    pub(super) fn take(&mut self, is_confirmed: bool, most: usize) -> bool {
        let taken = if is_confirmed { &mut self.confirmed } else { &mut self.others };
        let is_free = *taken < most;
        *taken += usize::from(is_free);
        is_free
    }

    /// Notes a group that found no place.
    pub(super) fn leave_out(&mut self, group: G) {
        self.left_out.push(group);
    }
}

impl<G: Ord> Places<G> {
    /// Begins the interval that contains `time`. Returns the interval that has ended, or `None` if `time` is in no later interval than
    /// the current one.
    pub(super) fn begin(&mut self, time: Timestamp, every: Duration) -> Option<Ended<G>> {
        let since = time.floor_to(every);
        if since <= self.since {
            return None;
        }
        let ended = self.end(every, false);
        *self = Self::since(since);
        Some(ended)
    }

    /// Ends the current interval. Its places stay taken. `partial` says that the input has ended.
    pub(super) fn end(&mut self, every: Duration, partial: bool) -> Ended<G> {
        let mut left_out = std::mem::take(&mut self.left_out);
        // A group that was evicted and came back may be in the list twice.
        left_out.sort_unstable();
        left_out.dedup();
        Ended { window: Window { start: self.since, end: self.since.plus(every), partial }, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn each_kind_has_places_of_its_own() {
        let mut places = Places::<u8>::default();
        let taken = [false, false, false, true, true, true].map(|is_confirmed| places.take(is_confirmed, 2));
        assert_eq!(taken, [true, true, false, true, true, false]);
        assert!(places.begin(at(600), EVERY).is_some());
        assert!(places.take(false, 2), "a new interval has new places");
        assert!(!places.take(true, 0));
    }

    #[test]
    fn an_interval_ends_once_and_names_each_group_once() {
        let mut places = Places::default();
        assert!(places.begin(at(1_250), EVERY).is_some());
        [3, 1, 3].into_iter().for_each(|group| places.leave_out(group));
        assert_eq!(places.begin(at(1_799), EVERY), None, "still in the interval");
        assert_eq!(places.begin(at(700), EVERY), None, "in an earlier interval");
        let window = Window { start: at(1_200), end: at(1_800), partial: false };
        assert_eq!(places.begin(at(2_400), EVERY), Some(Ended { window, left_out: vec![1, 3] }));
        let window = Window { start: at(2_400), end: at(3_000), partial: true };
        assert_eq!(places.end(EVERY, true), Ended { window, left_out: vec![] });
    }

    #[test]
    fn places_stay_taken_when_an_interval_is_ended_early() {
        let mut places = Places::default();
        assert!(places.take(false, 1));
        places.leave_out(7);
        assert_eq!(places.end(EVERY, false).left_out, [7]);
        assert!(!places.take(false, 1));
        assert!(places.end(EVERY, false).left_out.is_empty());
    }
}
