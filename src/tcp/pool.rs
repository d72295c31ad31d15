//! Where flows with something out of order keep it.
//!
//! In: flows that start and stop waiting. Out: one [`Pending`] each, in order of the time they began to wait.
//! Promises: a flow with nothing waiting costs nothing here; bytes and pieces of the whole table are known at any time.

use super::waiting::Waiting;

/// No index.
pub(crate) const NONE: u32 = u32::MAX;

/// What waits in both directions of one flow.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The flow's index in the table.
    pub(crate) flow: u32,
    older: u32,
    newer: u32,
    /// By direction.
    pub(crate) sides: [Waiting; 2],
}

/// All that waits in a table.
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

    /// Starts waiting for a flow; the index to find it by.
    pub(crate) fn open(&mut self, flow: u32) -> u32 {
        let pending = Pending { flow, older: self.newest, newer: NONE, sides: Default::default() };
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

    /// Stops waiting. What was still held is dropped.
    pub(crate) fn close(&mut self, index: u32) {
        let pending = &mut self.slots[index as usize];
        let (older, newer) = (pending.older, pending.newer);
        for side in &mut pending.sides {
            self.charge -= side.charge();
            self.pieces -= side.pieces();
            *side = Waiting::default();
        }
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

    /// Changes what waits in one direction, and keeps the books.
    pub(crate) fn change<T>(&mut self, index: u32, side: usize, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let waiting = &mut self.slots[index as usize].sides[side];
        let (charge, pieces) = (waiting.charge(), waiting.pieces());
        let result = change(waiting);
        self.charge = self.charge - charge + waiting.charge();
        self.pieces = self.pieces - pieces + waiting.pieces();
        result
    }

    /// What waits in one direction.
    pub(crate) fn side(&self, index: u32, side: usize) -> &Waiting {
        &self.slots[index as usize].sides[side]
    }

    /// The flow that has waited longest, and where.
    pub(crate) fn oldest(&self) -> Option<(u32, u32)> {
        self.slots.get(self.oldest as usize).map(|pending| (self.oldest, pending.flow))
    }

    /// The one that began to wait after this one.
    pub(crate) fn after(&self, index: u32) -> Option<(u32, u32)> {
        let newer = self.slots[index as usize].newer;
        self.slots.get(newer as usize).map(|pending| (newer, pending.flow))
    }

    /// Bytes charged.
    pub(crate) const fn charge(&self) -> usize {
        self.charge
    }

    /// Pieces held.
    pub(crate) const fn pieces(&self) -> usize {
        self.pieces
    }

    /// Flows that wait.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
