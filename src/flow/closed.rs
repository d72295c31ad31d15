//! What is remembered of closed flows.
//!
//! In: flows that both sides closed, and later segments with their hash. Out: whether a segment is a late one of such a
//! flow. Promises: a closed flow is remembered for the linger time, at most twice as long, in 24 bytes; a bounded number of
//! them; every operation is O(1).
//!
//! A flow that both sides closed says nothing more, but its segments may still come: repeated, duplicated, in another
//! order. Its whole entry would have to stay for that, and short flows would fill caches and memory with the dead.

use hashbrown::{HashTable, hash_table::OccupiedEntry};

use crate::{
    decode::TcpFlags,
    tcp::{Direction, FlowSegment},
    time::Timestamp,
};

/// The sequence numbers of a closed flow. Of two flows with one 64-bit hash under a secret seed, one is not remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClosedFlow {
    pub(super) hash: u64,
    /// Of each direction's first byte.
    pub(super) base: [u32; 2],
    /// After each direction's FIN.
    pub(super) next: [u32; 2],
}

/// What a segment without a flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belonging {
    /// Of a closed flow: payload bytes before its FIN, and after.
    Late { repeated: u32, beyond: u32 },
    /// Of no flow that is remembered, or not any more.
    Unknown,
}

/// The closed flows of one table, in two generations.
#[derive(Debug, Default)]
pub(super) struct ClosedFlows {
    recent: HashTable<ClosedFlow>,
    older: HashTable<ClosedFlow>,
    turned: Timestamp,
}

impl ClosedFlows {
    /// Remembers a flow; the number of others that were forgotten before their time, so that no more than twice `limit`
    /// are remembered.
    pub(super) fn remember(&mut self, flow: ClosedFlow, limit: usize) -> usize {
        let mut cut = 0;
        if self.recent.len() >= limit.max(1) {
            cut = self.older.len();
            self.turn();
        }
        self.recent.insert_unique(flow.hash, flow, |flow| flow.hash);
        cut
    }

    /// Forgets those that closed a linger time ago.
    pub(super) fn advance(&mut self, now: Timestamp, linger: std::time::Duration) {
        if now.since(self.turned) >= linger {
            self.turn();
            self.turned = now;
        }
    }

    /// Time goes on from an earlier one.
    pub(super) fn turn_back(&mut self, now: Timestamp) {
        self.turned = now;
    }

    /// Whether a segment is a closed flow's. One that shows that its ports are used again, or that the close was
    /// forged, makes the flow forgotten.
    pub(super) fn belonging(
        &mut self,
        hash: u64,
        direction: Direction,
        segment: &FlowSegment<'_>,
        window: u32,
    ) -> Belonging {
        for generation in [&mut self.recent, &mut self.older] {
            if let Ok(found) = generation.find_entry(hash, |flow| flow.hash == hash) {
                return found.get().judge(direction, segment, window).unwrap_or_else(|| forget(found));
            }
        }
        Belonging::Unknown
    }

    /// Returns whether a flow of this hash is remembered.
    #[inline]
    pub(super) fn holds(&self, hash: u64) -> bool {
        [&self.recent, &self.older]
            .into_iter()
            .any(|generation| generation.find(hash, |flow| flow.hash == hash).is_some())
    }

    /// Flows remembered.
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    /// Bytes allocated.
    pub(super) fn allocated(&self) -> usize {
        self.recent.allocation_size() + self.older.allocation_size()
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.recent, &mut self.older);
        self.recent.clear();
    }
}

fn forget(found: OccupiedEntry<'_, ClosedFlow>) -> Belonging {
    found.remove();
    Belonging::Unknown
}

impl ClosedFlow {
    /// What a segment is to this flow; `None` if it is not of it.
    fn judge(&self, direction: Direction, segment: &FlowSegment<'_>, window: u32) -> Option<Belonging> {
        let flags = segment.flags;
        if flags.has(TcpFlags::SYN) {
            let repeats = segment.sequence.wrapping_add(1) == self.base[direction as usize];
            return repeats.then_some(Belonging::Late { repeated: segment.wire_length, beyond: 0 });
        }
        // The receiver cannot have more than there was, if the FIN was true.
        let acknowledged = segment.acknowledgment.wrapping_sub(self.next[direction.opposite() as usize]) as i32;
        if flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::RST) && acknowledged > 0 && acknowledged as u32 <= window {
            return None;
        }
        // The FIN has a number of its own, which no byte has.
        let end = self.next[direction as usize].wrapping_sub(1);
        let before = end.wrapping_sub(segment.sequence) as i32;
        if before.unsigned_abs() > window && segment.wire_length > 0 {
            return None;
        }
        let repeated = u32::try_from(before).unwrap_or(0).min(segment.wire_length);
        Some(Belonging::Late { repeated, beyond: segment.wire_length - repeated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_limit_is_remembered_and_the_oldest_goes() {
        let mut closed = ClosedFlows::default();
        let cut: usize = (0..10).map(|hash| closed.remember(ClosedFlow { hash, base: [0; 2], next: [1; 2] }, 2)).sum();
        assert_eq!((cut, closed.len()), (6, 4));
        assert!((6..10).all(|hash| closed.recent.iter().chain(&closed.older).any(|flow| flow.hash == hash)));
    }
}
