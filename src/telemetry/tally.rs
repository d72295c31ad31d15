//! Counts by key, for keys that a sender may choose.
//!
//! In: keys with counts. Out: the keys with the highest counts. Promises: at most `MOST` keys are kept apart; the counts of
//! further keys are added up together, so that none is lost.

use std::{cmp::Reverse, collections::BTreeMap};

/// Counts of at most `MOST` keys, and of all others together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<K, const MOST: usize> {
    by_key: BTreeMap<K, u64>,
    others: u64,
}

impl<K: Ord + Copy, const MOST: usize> Tally<K, MOST> {
    /// Adds to the count of a key.
    pub fn add(&mut self, key: K, count: u64) {
        if self.by_key.len() < MOST || self.by_key.contains_key(&key) {
            *self.by_key.entry(key).or_default() += count;
        } else {
            self.others += count;
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.by_key.iter().for_each(|(key, count)| self.add(*key, *count));
        self.others += other.others;
    }

    /// Returns the keys with the highest counts, at most `most` of them, and the sum of all other counts.
    pub fn top(&self, most: usize) -> (Vec<(K, u64)>, u64) {
        let mut top: Vec<(K, u64)> = self.by_key.iter().map(|(key, count)| (*key, *count)).collect();
        top.sort_by_key(|(key, count)| (Reverse(*count), *key));
        let others: u64 = top.iter().skip(most).map(|(_, count)| count).sum();
        top.truncate(most);
        (top, others + self.others)
    }
}

impl<K, const MOST: usize> Default for Tally<K, MOST> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), others: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_nothing_is_lost() {
        let mut all = Tally::<u16, 64>::default();
        for shard in 0..16u16 {
            let mut one = Tally::default();
            (0..1_000).for_each(|port| one.add(shard * 1_000 + port, 1));
            one.add(shard * 1_000, 5);
            all.merge(&one);
        }
        let (top, others) = all.top(3);
        assert_eq!((top.as_slice(), all.by_key.len()), (&[(0, 6), (1, 1), (2, 1)][..], 64));
        assert_eq!(top.iter().map(|(_, count)| count).sum::<u64>() + others, 16_000 + 16 * 5);
    }
}
