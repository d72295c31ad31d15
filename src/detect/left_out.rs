//! The clients that found no place.
//!
//! In: clients that a limit left out, with their errors. Out: [`LeftOut`], the content of an alert of kind
//! [`LeftOut`](super::AlertKind::LeftOut). Promises: errors are counted exactly; of the clients, only a few of the first by
//! rank are kept, so that the size is bounded.

use serde::{Deserialize, Serialize};

use super::grades::GradeCounts;
use crate::address::Address;

/// The most clients whose addresses an alert shows.
const SHOWN: usize = 5;
/// The most clients that are kept while they are counted. It is larger than [`SHOWN`], because a client that was left out
/// with one error after the other moves up only when it is kept.
const KEPT: usize = 16;

/// Clients that one limit left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOutCount {
    /// The number of clients.
    pub clients: u64,
    /// Their errors.
    pub errors: GradeCounts,
}

impl LeftOutCount {
    /// Adds clients with their errors.
    pub(super) fn add(&mut self, clients: u64, errors: GradeCounts) {
        self.clients += clients;
        self.errors.add_all(errors);
    }
}

/// The first clients by rank among those that were left out, in order of rank.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LargestClients(Vec<(Address, GradeCounts)>);

impl LargestClients {
    /// Adds errors of a client.
    pub(super) fn note(&mut self, address: Address, errors: GradeCounts) {
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == address) {
            known.add_all(errors);
        } else {
            if self.0.len() >= KEPT {
                match self.0.last() {
                    Some(&(last, known)) if known.rank(last) < errors.rank(address) => return,
                    _ => self.0.truncate(KEPT - 1),
                }
            }
            self.0.push((address, errors));
        }
        self.0.sort_unstable_by_key(|&(address, errors)| errors.rank(address));
    }

    /// Adds the clients of another list.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|&(address, errors)| self.note(address, errors));
    }

    /// The clients to show, in order of rank.
    pub fn shown(&self) -> impl Iterator<Item = &(Address, GradeCounts)> {
        self.0.iter().take(SHOWN)
    }
}

/// All clients that found no place in one execution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Clients over the threshold for which no alert was written, because there were more than the limit of alerts.
    pub alert_limit: LeftOutCount,
    /// Clients that were not counted or no longer counted, because there were more than the limit of clients. A client that
    /// came back and was left out again is counted again, so this number of clients is an upper bound.
    pub client_limit: LeftOutCount,
    /// A few of the first of these clients by rank.
    pub largest: LargestClients,
}

impl LeftOut {
    /// Returns whether nobody was left out.
    pub fn is_empty(&self) -> bool {
        self.alert_limit.clients == 0 && self.client_limit.clients == 0
    }

    /// All errors of these clients.
    pub fn errors(&self) -> GradeCounts {
        let mut all = self.alert_limit.errors;
        all.add_all(self.client_limit.errors);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Grade;

    #[test]
    fn the_largest_client_is_kept_among_thousands_of_small_ones() {
        let mut largest = LargestClients::default();
        let scanner = Address::v4([192, 0, 2, 1]);
        for number in 0..10_000u32 {
            largest.note(Address::v4(number.to_be_bytes()), Grade::OneWay.into());
            if number % 100 == 99 {
                largest.note(scanner, Grade::Handshake.into());
            }
        }
        let shown: Vec<_> = largest.shown().collect();
        assert_eq!((shown.len(), shown[0].0, shown[0].1.confirmed()), (SHOWN, scanner, 100));
    }
}
