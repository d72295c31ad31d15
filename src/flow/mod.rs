//! Flows: finds the connection that a segment belongs to, and decides when a connection is over.
//!
//! In: [`Segment`]s. Out: the flow's two reassembled streams, handed to a [`StreamConsumer`](crate::tcp::StreamConsumer).
//! Promises: flows, bytes and segments are capped; what is evicted is the longest quiet, and counted.

mod closed;
mod counters;
mod doubts;
mod figures;
mod guard;
#[cfg(any(test, fuzzing))]
mod model;
mod scope;
mod segments;
mod settings;
mod slab;
mod table;

pub use counters::{FlowCounters, TableCounters};
pub use scope::FlowScope;
pub use settings::FlowSettings;
pub use table::{FlowSlot, FlowTable};

use crate::{address::Endpoint, decode::Segment, keyed_hash::KeyedState, tcp::Direction};

/// Returns the hash of a flow's key. An attacker who does not know the seed cannot make keys collide. The hash is computed
/// once for each segment: [`shard`] takes the shard from some of its bits, and the table uses the others.
#[inline]
pub fn hash(key: &FlowKey, seed: u64) -> u64 {
    let (lower_high, lower_low) = key.lower.address.halves();
    let (upper_high, upper_low) = key.upper.address.halves();
    let rest = (key.lower.port as u64) << 48 | (key.upper.port as u64) << 32 | key.scope as u64;
    let mut bytes = [0; 40];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip([lower_high, lower_low, upper_high, upper_low, rest]) {
        *place = word.to_le_bytes();
    }
    KeyedState::with_seed(seed).hash(&bytes)
}

/// Returns the shard of a flow among `shards`, from bits of its hash that the table does not use.
#[inline]
pub const fn shard(hash: u64, shards: usize) -> usize {
    (((hash >> 24) as u32 as u64 * shards as u64) >> 32) as usize
}

/// The innermost 5-tuple in canonical order: both directions of a connection have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower endpoint.
    pub lower: Endpoint,
    /// The upper endpoint.
    pub upper: Endpoint,
    /// VLAN or tunnel identifier, if the settings use one to tell overlapping address spaces apart; else 0.
    pub scope: u32,
}

impl FlowKey {
    /// Returns the key of a segment's flow, and the direction of the segment.
    #[inline]
    pub fn of(segment: &Segment<'_>, scope: u32) -> (Self, Direction) {
        if segment.source <= segment.destination {
            (Self { lower: segment.source, upper: segment.destination, scope }, Direction::Ascending)
        } else {
            (Self { lower: segment.destination, upper: segment.source, scope }, Direction::Descending)
        }
    }

    /// Returns the direction of a segment, or `None` if it is not between these endpoints.
    #[inline(always)]
    pub fn direction_of(&self, segment: &Segment<'_>) -> Option<Direction> {
        if segment.source == self.lower && segment.destination == self.upper {
            Some(Direction::Ascending)
        } else if segment.source == self.upper && segment.destination == self.lower {
            Some(Direction::Descending)
        } else {
            None
        }
    }

    /// Returns the two endpoints: the sender of each direction.
    pub const fn ends(&self) -> [Endpoint; 2] {
        [self.lower, self.upper]
    }
}

/// Compares reassembly with its reference over a list of operations. Panics if they disagree.
#[cfg(fuzzing)]
pub fn fuzz(data: &[u8]) {
    model::run(data);
}

#[cfg(test)]
mod tests;
