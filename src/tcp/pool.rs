//! The pool of the pieces that wait out of order, of all flows.
//!
//! In: flows that start and stop waiting. Out: one [`Pending`] for each, in the order in which the flows began to wait.
//! Promises: a flow without waiting pieces costs nothing here. The total bytes and pieces of the table are known at any
//! time.

use super::{claims::Claims, waiting::Waiting};

/// The value that stands for "no index".
pub(crate) const NONE: u32 = u32::MAX;

/// The waiting pieces of both directions of one flow.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The flow's index in the table.
    pub(crate) flow: u32,
    older: u32,
    newer: u32,
    /// The waiting pieces, by direction.
    pub(crate) sides: [Waiting; 2],
    /// What says that the connection is elsewhere.
    claims: Claims,
}

/// All waiting pieces of a table.
#[derive(Debug)]
pub(crate) struct Pool {
    slots: Vec<Pending>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    charge: usize,
    pieces: usize,
}

impl Pool {
    /// An empty pool.
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), oldest: NONE, newest: NONE, charge: 0, pieces: 0 }
    }

    /// Opens a place for a flow's waiting pieces and returns its index in the pool.
    pub(crate) fn open(&mut self, flow: u32) -> u32 {
        let pending =
            Pending { flow, older: self.newest, newer: NONE, sides: Default::default(), claims: Claims::default() };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = pending;
                index
            }
            None => {
                self.slots.push(pending);
                (self.slots.len() - 1) as u32
            }
        };
        match self.slots.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = index,
            None => self.oldest = index,
        }
        self.newest = index;
        self.charge += size_of::<Pending>();
        index
    }

    /// Closes the place of a flow. Pieces that are still held are dropped.
    pub(crate) fn close(&mut self, index: u32) {
        let pending = &mut self.slots[index as usize];
        let (older, newer) = (pending.older, pending.newer);
        for side in &mut pending.sides {
            self.charge -= side.charge();
            self.pieces -= side.pieces();
            *side = Waiting::default();
        }
        self.charge -= pending.claims.charge();
        self.pieces -= pending.claims.pieces();
        pending.claims = Claims::default();
        match self.slots.get_mut(older as usize) {
            Some(pending) => pending.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(pending) => pending.older = older,
            None => self.newest = older,
        }
        self.charge -= size_of::<Pending>();
        self.free.push(index);
    }

    /// Changes the waiting pieces of one direction, and updates the totals.
    pub(crate) fn change<T>(&mut self, index: u32, side: usize, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let waiting = &mut self.slots[index as usize].sides[side];
        let (charge, pieces) = (waiting.charge(), waiting.pieces());
        let result = change(waiting);
        self.charge = self.charge - charge + waiting.charge();
        self.pieces = self.pieces - pieces + waiting.pieces();
        result
    }

    /// Changes the claims of a flow, and updates the totals.
    pub(super) fn change_claims<T>(&mut self, index: u32, change: impl FnOnce(&mut Claims) -> T) -> T {
        let claims = &mut self.slots[index as usize].claims;
        let (charge, pieces) = (claims.charge(), claims.pieces());
        let result = change(claims);
        self.charge = self.charge - charge + claims.charge();
        self.pieces = self.pieces - pieces + claims.pieces();
        result
    }

    /// Returns the claims of a flow.
    pub(super) fn claims(&self, index: u32) -> &Claims {
        &self.slots[index as usize].claims
    }

    /// Returns the waiting pieces of one direction.
    pub(crate) fn side(&self, index: u32, side: usize) -> &Waiting {
        &self.slots[index as usize].sides[side]
    }

    /// Returns the flow that has waited longest: its index in the pool and its index in the table.
    pub(crate) fn oldest(&self) -> Option<(u32, u32)> {
        self.slots.get(self.oldest as usize).map(|pending| (self.oldest, pending.flow))
    }

    /// Returns the flow that was next to begin waiting after this one, as [`oldest`](Self::oldest) does.
    pub(crate) fn after(&self, index: u32) -> Option<(u32, u32)> {
        let newer = self.slots[index as usize].newer;
        self.slots.get(newer as usize).map(|pending| (newer, pending.flow))
    }

    /// Returns the bytes that are charged for all waiting pieces.
    pub(crate) const fn charge(&self) -> usize {
        self.charge
    }

    /// Returns the number of pieces held.
    pub(crate) const fn pieces(&self) -> usize {
        self.pieces
    }

    /// Returns the number of flows that wait.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
