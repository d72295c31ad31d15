//! How predictable the order of request lengths is, where the suite shows lengths to 16 bytes only.
//!
//! In: the lengths of requests in their order. Out: how often the last two lengths did not foretell the next one. Promises: fixed
//! size; the same order gives the same figure.
//!
//! Under such a suite the words of a list have two or three lengths, as the addresses of a monitor have. A monitor asks in turn, so
//! that two lengths foretell the third. The words of a list do not.

use serde::{Deserialize, Serialize};

/// The most pairs of lengths whose next length is remembered.
const MAX_CONTEXTS: usize = 16;
/// Fewer requests show no order.
const MIN_KNOWN: u64 = 20;

/// The order of lengths in a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The last two lengths.
    before: [u32; 2],
    /// Two lengths, and the one that followed them last.
    followers: Vec<([u32; 2], u32)>,
    /// Requests after two lengths that came before, and those of them with the length that had followed.
    known: u64,
    foretold: u64,
}

impl Order {
    /// Adds the length of the next request.
    pub(super) fn add(&mut self, length: u32) {
        let context = self.before;
        self.before = [context[1], length];
        if let Some((_, next)) = self.followers.iter_mut().find(|(known, _)| *known == context) {
            self.known += 1;
            self.foretold += u64::from(*next == length);
            *next = length;
        } else if self.followers.len() < MAX_CONTEXTS {
            self.followers.push((context, length));
        }
    }

    /// Adds the order of a later cell.
    pub(super) fn merge(&mut self, other: &Self) {
        self.known += other.known;
        self.foretold += other.foretold;
    }

    /// The share of requests that were not foretold, 0 to 1. `None` if there are too few.
    pub(super) fn surprise(&self) -> Option<f64> {
        (self.known >= MIN_KNOWN).then(|| 1.0 - self.foretold as f64 / self.known as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surprise(lengths: impl Iterator<Item = u32>) -> f64 {
        let mut order = Order::default();
        lengths.for_each(|length| order.add(length));
        order.surprise().expect("enough requests")
    }

    #[test]
    fn what_asks_in_turn_is_foretold_and_what_does_not_is_not() {
        assert!(surprise((0..100).map(|n| n % 2 * 16)) < 0.05, "two addresses in turn");
        assert!(surprise((0..100).map(|n| n / 2 % 2 * 16)) < 0.05, "each twice");
        assert!(surprise((0..144).map(|n| n % 12 / 6 * 16)) < 0.4, "twelve addresses, the longer ones last");
        let coin = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as u32 % 2 * 16;
        assert!(surprise((0..400).map(|n| coin(n * n))) > 0.4, "words");
        assert_eq!(Order::default().surprise(), None);
    }
}
