//! What a flow table can say of itself: counters, and how much it holds.
//!
//! In: the table. Out: numbers. Promises: nothing changes.

use super::{FlowCounters, FlowSlot, FlowTable, slab::Entry};
use crate::tcp::Gaps;

impl<S: Default> FlowTable<S> {
    /// Returns the counters so far.
    pub fn counters(&self) -> FlowCounters {
        FlowCounters { table: self.counters.clone(), tcp: self.shared.counters.clone() }
    }

    /// Gaps in the streams, by interface.
    pub fn gaps(&self) -> &Gaps {
        &self.shared.gaps
    }

    /// Returns the number of flows held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether no flow is held.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the number of closed flows that are remembered.
    pub fn closed_flows(&self) -> usize {
        self.closed.len()
    }

    /// Returns the number of flows with pieces out of order.
    pub fn waiting_flows(&self) -> usize {
        self.shared.pool.len()
    }

    /// Returns the number of pieces held out of order.
    pub fn waiting_pieces(&self) -> usize {
        self.shared.pool.pieces()
    }

    /// Returns the bytes held out of order, bookkeeping included.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.pool.charge()
    }

    /// Returns all allocated bytes, without the memory that the consumer's states own outside the table.
    pub fn allocated_bytes(&self) -> usize {
        let lists =
            self.doubts.allocated() + self.closed.allocated() + self.awaiting.capacity() * size_of::<FlowSlot>();
        self.index.allocation_size() + self.flows.allocated() + lists + self.shared.pool.charge()
    }

    /// Returns the bytes of one flow's entry. The consumer's state is included; the 5 to 12 bytes for each flow in the index
    /// are not.
    pub const fn bytes_per_flow() -> usize {
        size_of::<Entry<S>>()
    }
}
