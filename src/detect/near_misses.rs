//! The clients that came nearest to an alert without one.
//!
//! In: counts of clients that were not over the threshold, and the clients that were. Out: a few [`NearMiss`]es, the nearest first.
//! Promises: bounded memory; a client that was over the threshold is never named, unless more than 4,096 others were since.

use std::collections::VecDeque;

use hashbrown::HashSet;

use crate::{address::Address, keyed_hash::KeyedState, time::Timestamp};

/// The most clients that are named.
const NAMED: usize = 3;
/// The most clients that are kept: some of them may be over the threshold later.
const KEPT: usize = 32;
/// The most clients that are known to have been over the threshold.
const MOST_OVER: usize = 4_096;

/// A client that was not over the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearMiss {
    /// The client.
    pub client: Address,
    /// Its errors in the window that had the most of them.
    pub count: u64,
    /// The threshold.
    pub threshold: u64,
    /// The end of that window, or the last of these errors where windows slide.
    pub until: Timestamp,
}

/// The near misses of a rule.
#[derive(Debug, Default)]
pub(super) struct NearMisses {
    /// In order of [`NearMiss::is_nearer`].
    nearest: Vec<NearMiss>,
    over: HashSet<Address, KeyedState>,
    /// The same clients in the order in which they came.
    order: VecDeque<Address>,
}

impl NearMiss {
    fn is_nearer(&self, other: &Self) -> bool {
        (self.count, other.client) > (other.count, self.client)
    }
}

impl NearMisses {
    /// Notes the errors of a client. They are a near miss if they are more than a quarter of the threshold, and not over it.
    #[inline]
    pub(super) fn note(&mut self, miss: NearMiss) {
        let is_near = miss.count <= miss.threshold && miss.count * 4 > miss.threshold;
        let may_be_kept =
            || self.nearest.len() < KEPT || self.nearest.last().is_some_and(|last| miss.count >= last.count);
        if is_near && may_be_kept() && !self.over.contains(&miss.client) {
            self.keep(miss);
        }
    }

    fn keep(&mut self, miss: NearMiss) {
        if let Some(known) = self.nearest.iter().position(|known| known.client == miss.client) {
            if self.nearest[known].count >= miss.count {
                return;
            }
            self.nearest.remove(known);
        }
        let place = self.nearest.partition_point(|known| known.is_nearer(&miss));
        self.nearest.insert(place, miss);
        self.nearest.truncate(KEPT);
    }

    /// Notes a client that is over the threshold.
    pub(super) fn note_over(&mut self, client: Address) {
        if self.over.insert(client) {
            self.order.push_back(client);
            self.nearest.retain(|known| known.client != client);
            if self.order.len() > MOST_OVER
                && let Some(first) = self.order.pop_front()
            {
                self.over.remove(&first);
            }
        }
    }

    /// The nearest, in order.
    pub(super) fn nearest(&self) -> &[NearMiss] {
        &self.nearest[..self.nearest.len().min(NAMED)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_recount(steps in proptest::collection::vec((0u8..12, 1u64..60), 0..80)) {
            let mut misses = NearMisses::default();
            let (mut most, mut over) = (BTreeMap::new(), Vec::new());
            for (number, count) in steps {
                let client = Address::v4([192, 0, 2, number]);
                if count > 50 {
                    misses.note_over(client);
                    over.push(client);
                } else {
                    misses.note(NearMiss { client, count, threshold: 50, until: Timestamp::EPOCH });
                    let known = most.entry(client).or_insert(0);
                    *known = count.max(*known);
                }
            }
            let mut wanted: Vec<(u64, Address)> =
                most.into_iter().filter(|(client, count)| !over.contains(client) && *count * 4 > 50).map(|(client, count)| (count, client)).collect();
            wanted.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
            wanted.truncate(NAMED);
            let found: Vec<(u64, Address)> = misses.nearest().iter().map(|miss| (miss.count, miss.client)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
