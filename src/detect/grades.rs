//! Errors by the grade of their evidence, and the order that follows from it.
//!
//! In: the grade of each error. Out: [`GradeCounts`], and the [`Rank`] of a group. Promises: wherever a limit forces a choice
//! between groups, [`Rank`] decides, so that errors that one sender can forge never displace errors that nobody can forge.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::{address::Address, exchange::Grade};

/// Errors by grade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GradeCounts([u64; Grade::ALL.len()]);

impl GradeCounts {
    /// Adds one error.
    #[inline]
    pub fn add(&mut self, grade: Grade) {
        self.0[grade as usize] += 1;
    }

    /// Adds several errors of one grade.
    pub(super) fn add_many(&mut self, grade: Grade, count: u64) {
        self.0[grade as usize] += count;
    }

    /// Adds all errors of `other`.
    pub fn add_all(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// The errors of one grade.
    pub const fn of(self, grade: Grade) -> u64 {
        self.0[grade as usize]
    }

    /// All errors.
    pub fn total(self) -> u64 {
        self.0.iter().sum()
    }

    /// The errors that one sender alone cannot have forged.
    pub fn confirmed(self) -> u64 {
        Grade::ALL.into_iter().filter(|grade| grade.is_confirmed()).map(|grade| self.of(grade)).sum()
    }

    /// The grade of most errors. When two grades have equally many errors, it is the worse one.
    pub fn most(self) -> Grade {
        Grade::ALL.into_iter().max_by_key(|&grade| (self.of(grade), grade)).unwrap_or_default()
    }

    /// The rank of a group with these errors.
    pub(super) fn rank(self, address: Address) -> Rank {
        Rank::new(self.confirmed(), self.total(), address)
    }
}

impl From<Grade> for GradeCounts {
    fn from(grade: Grade) -> Self {
        let mut counts = Self::default();
        counts.add(grade);
        counts
    }
}

/// The one order of groups over a limit: by confirmed errors, then by errors, then by address. The smallest rank comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    confirmed: Reverse<u64>,
    count: Reverse<u64>,
    address: Address,
}

impl Rank {
    /// The rank of a group with so many confirmed errors among its errors.
    pub(super) fn new(confirmed: u64, count: u64, address: Address) -> Self {
        Self { confirmed: Reverse(confirmed), count: Reverse(count), address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(handshake: u64, two_way: u64, one_way: u64) -> GradeCounts {
        GradeCounts([handshake, two_way, one_way])
    }

    #[test]
    fn confirmed_errors_come_before_any_number_of_others() {
        let address = |last| Address::v4([192, 0, 2, last]);
        let mut ranks = [
            (counts(0, 0, 1_000_000).rank(address(1)), "forged"),
            (counts(1, 0, 50).rank(address(2)), "one confirmed"),
            (counts(30, 30, 0).rank(address(3)), "confirmed"),
            (counts(60, 0, 1).rank(address(9)), "confirmed and one more"),
            (counts(60, 0, 0).rank(address(2)), "confirmed, lower address"),
        ];
        ranks.sort_unstable();
        let order = ranks.map(|(_, name)| name);
        assert_eq!(
            order,
            ["confirmed and one more", "confirmed, lower address", "confirmed", "one confirmed", "forged"]
        );
    }

    #[test]
    fn the_grade_of_most_errors_is_the_worse_of_two_equal_ones() {
        for (counts, most) in [
            (counts(5, 0, 1), Grade::Handshake),
            (counts(5, 5, 0), Grade::TwoWay),
            (counts(5, 5, 5), Grade::OneWay),
            (counts(0, 5, 4), Grade::TwoWay),
        ] {
            assert_eq!(counts.most(), most, "{counts:?}");
        }
    }
}
