//! The memory of closed flows.
//!
//! In: flows that both sides closed, and later segments with their hash. Out: whether a segment is a late segment of such a
//! flow. Promises: a closed flow is remembered for at least the linger time and at most twice as long, in 32 bytes. The
//! number of remembered flows is bounded. Every operation is O(1).
//!
//! A capture that is replayed brings the same connection again, with the same numbers. After the time above, it is a new flow
//! without question. Before, a whole handshake in order (SYN, SYN-ACK, and an acknowledgment or data of both numbers) begins a
//! new flow. Anything less is a retransmission. So is everything that comes within the reordering tolerance after the first
//! packet of the flow: a capture may hold a second copy of each packet that late.
//!
//! A flow that both sides closed has no new data, but late segments of it may still come: retransmitted, duplicated or
//! reordered. Without this module, the flow's whole entry would have to stay in the table to recognise them, and entries of
//! short, closed flows would fill caches and memory.

use hashbrown::{HashTable, hash_table::OccupiedEntry};

use super::FlowTable;
use crate::{
    decode::TcpFlags,
    tcp::{Direction, FlowSegment},
    time::Timestamp,
};

/// The sequence numbers of a closed flow. The flow is identified only by its 64-bit hash under a secret seed, so of two
/// flows with the same hash, only one can be found.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClosedFlow {
    pub(super) hash: u64,
    /// The sequence number of each direction's first byte.
    pub(super) base: [u32; 2],
    /// The sequence number after each direction's FIN.
    pub(super) next: [u32; 2],
    /// The time of the flow's first packet, in milliseconds since the Unix epoch, modulo 2³².
    pub(super) opened: u32,
    /// How much of the same handshake came again.
    pub(super) again: Again,
}

/// How much of a closed flow's handshake came again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Again {
    /// Nothing.
    #[default]
    Nothing,
    /// The SYN.
    Syn(Direction),
    /// The SYN, then the SYN-ACK. The value is the sender of the SYN.
    Answered(Direction),
}

/// How a segment that belongs to no flow of the table relates to the closed flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belonging {
    /// The segment is a late segment of a closed flow: `repeated` payload bytes are before the flow's FIN, `beyond` bytes
    /// after it.
    Late { repeated: u32, beyond: u32 },
    /// The segment completes the same handshake again: the same connection begins again. The flow was forgotten.
    Again { acknowledgment: u32 },
    /// The segment belongs to no remembered flow, or the flow was just forgotten.
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
    /// Remembers a flow. At most twice `limit` flows are remembered; returns how many flows were forgotten before their time
    /// to keep this limit.
    pub(super) fn remember(&mut self, flow: ClosedFlow, limit: usize) -> usize {
        let mut cut = 0;
        if self.recent.len() >= limit.max(1) {
            cut = self.older.len();
            self.turn();
        }
        self.recent.insert_unique(flow.hash, flow, |flow| flow.hash);
        cut
    }

    /// Forgets the older generation of flows, if a linger time has passed since this was last done.
    pub(super) fn advance(&mut self, now: Timestamp, linger: std::time::Duration) {
        let silence = now.since(self.turned);
        if silence >= linger {
            self.turn();
            if silence >= 2 * linger {
                self.turn();
            }
            self.turned = now;
        }
    }

    /// Packet time was set back to `now` and continues from there.
    pub(super) fn turn_back(&mut self, now: Timestamp) {
        self.turned = now;
    }

    /// Returns whether a segment belongs to a closed flow. If the segment shows that the ports are used again, or that the
    /// close was forged, the flow is forgotten.
    pub(super) fn belonging(
        &mut self,
        hash: u64,
        direction: Direction,
        segment: &FlowSegment<'_>,
        window: u32,
        is_aged: impl Fn(u32) -> bool,
    ) -> Belonging {
        for generation in [&mut self.recent, &mut self.older] {
            if let Ok(mut found) = generation.find_entry(hash, |flow| flow.hash == hash) {
                let flow = found.get_mut();
                if is_aged(flow.opened) && flow.begins_again(direction, segment) {
                    found.remove();
                    return Belonging::Again { acknowledgment: segment.acknowledgment };
                }
                return flow.judge(direction, segment, window).unwrap_or_else(|| forget(found));
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

    /// Returns the number of flows that are remembered.
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    /// Returns the bytes that are allocated.
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
    /// Follows the same handshake when it comes again. Returns whether a segment completes it.
    fn begins_again(&mut self, direction: Direction, segment: &FlowSegment<'_>) -> bool {
        let [first, answered] = [direction, direction.opposite()].map(|side| self.base[side as usize]);
        let has = |flag| segment.flags.has(flag);
        let is_syn = has(TcpFlags::SYN) && segment.sequence.wrapping_add(1) == first;
        let acknowledges = has(TcpFlags::ACK) && segment.acknowledgment == answered;
        match self.again {
            _ if is_syn && !has(TcpFlags::ACK) => self.again = Again::Syn(direction),
            Again::Syn(opener) if is_syn && acknowledges && opener != direction => self.again = Again::Answered(opener),
            Again::Answered(opener) if opener == direction => {
                let is_bare = !has(TcpFlags::SYN) && !has(TcpFlags::RST);
                return is_bare && acknowledges && segment.sequence == first;
            }
            _ => {}
        }
        false
    }

    /// Returns how a segment relates to this flow, or `None` if it does not belong to this flow.
    fn judge(&self, direction: Direction, segment: &FlowSegment<'_>, window: u32) -> Option<Belonging> {
        let flags = segment.flags;
        if flags.has(TcpFlags::SYN) {
            let repeats = segment.sequence.wrapping_add(1) == self.base[direction as usize];
            return repeats.then_some(Belonging::Late { repeated: segment.wire_length, beyond: 0 });
        }
        // If the FIN was genuine, the receiver cannot acknowledge more than the FIN.
        let acknowledged = segment.acknowledgment.wrapping_sub(self.next[direction.opposite() as usize]) as i32;
        if flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::RST) && acknowledged > 0 && acknowledged as u32 <= window {
            return None;
        }
        // The FIN has its own sequence number, which is that of no byte.
        let end = self.next[direction as usize].wrapping_sub(1);
        let before = end.wrapping_sub(segment.sequence) as i32;
        if before.unsigned_abs() > window && segment.wire_length > 0 {
            return None;
        }
        let repeated = u32::try_from(before).unwrap_or(0).min(segment.wire_length);
        Some(Belonging::Late { repeated, beyond: segment.wire_length - repeated })
    }
}

impl<S> FlowTable<S> {
    /// Returns how a segment that belongs to no flow of the table relates to the closed flows.
    pub(super) fn belonging(&mut self, segment: &FlowSegment<'_>, direction: Direction, hash: u64) -> Belonging {
        self.closed.advance(self.clock, self.settings.linger_time);
        let (now, tolerance) = (milliseconds(self.clock), self.shared.settings.reorder_time.as_millis());
        let is_aged = |opened: u32| u128::from(now.wrapping_sub(opened)) >= tolerance;
        let belonging = self.closed.belonging(hash, direction, segment, self.shared.settings.window, is_aged);
        match belonging {
            Belonging::Late { repeated, beyond } => {
                self.counters.late_segments += 1;
                self.shared.counters.repeated_bytes += u64::from(repeated);
                self.shared.counters.bytes_after_fin += u64::from(beyond);
            }
            Belonging::Again { .. } => self.counters.connections_repeated += 1,
            Belonging::Unknown => {}
        }
        belonging
    }
}

/// Returns a time in milliseconds since the Unix epoch, modulo 2³².
pub(super) const fn milliseconds(time: Timestamp) -> u32 {
    (time.as_nanos() / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(hash: u64) -> ClosedFlow {
        ClosedFlow { hash, base: [0; 2], next: [1; 2], opened: 0, again: Again::Nothing }
    }

    #[test]
    fn twice_the_limit_is_remembered_and_the_oldest_goes() {
        let mut closed = ClosedFlows::default();
        let cut: usize = (0..10).map(|hash| closed.remember(flow(hash), 2)).sum();
        assert_eq!((cut, closed.len()), (6, 4));
        assert!((6..10).all(|hash| closed.recent.iter().chain(&closed.older).any(|flow| flow.hash == hash)));
    }
}
