//! The memory of the flows: one block of entries, linked into one list for each stage of a flow's life.
//!
//! In: new flows, and flows with a new segment. Out: for each [`Stage`], the flow that was silent for longest. Promises:
//! every operation is O(1). The lists are in the order of last activity, accurate to [`MOVE_AFTER`].

use crate::{
    capture::Stamp,
    decode::Encapsulation,
    tcp::{Connection, FlowFacts, Stage},
    time::Timestamp,
};

use super::{FlowKey, guard::Guard};

/// A flow moves to the end of its list at most once in this time, so most segments change no list.
pub(super) const MOVE_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

const NONE: u32 = u32::MAX;
const STAGES: usize = 4;

/// One flow. The fields that every segment needs come first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Entry<S> {
    pub(super) facts: FlowFacts,
    pub(super) connection: Connection,
    /// The time at which the flow last moved to the end of its list.
    pub(super) queued: Timestamp,
    /// Counts the flows that have used this place.
    pub(super) generation: u32,
    pub(super) stage: Stage,
    pub(super) is_used: bool,
    /// Whether the flow is in the table's list of flows whose consumer awaits time.
    pub(super) is_awaiting: bool,
    pub(super) guard: Guard,
    older: u32,
    newer: u32,
    /// The key's scope; the rest of the key is in the facts.
    scope: u32,
    pub(super) hash: u64,
    /// The time of the flow's first packet.
    pub(super) opened: Timestamp,
    pub(super) state: S,
}

impl<S> Entry<S> {
    /// Returns whether this is the flow of a key.
    #[inline]
    pub(super) fn is_of(&self, key: &FlowKey) -> bool {
        self.facts.ends == key.ends() && self.scope == key.scope
    }
}

#[derive(Debug, Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

/// All flows of a table.
#[derive(Debug)]
pub(super) struct Slab<S> {
    entries: Vec<Entry<S>>,
    free: Vec<u32>,
    lists: [List; STAGES],
}

impl<S: Default> Slab<S> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), lists: [List { oldest: NONE, newest: NONE }; STAGES] }
    }

    /// Adds a new, half-open flow and returns its index.
    pub(super) fn insert(&mut self, key: FlowKey, encapsulation: Encapsulation, hash: u64, now: Stamp) -> u32 {
        let mut entry = Entry {
            facts: FlowFacts::new(key.ends(), encapsulation),
            scope: key.scope,
            connection: Connection::new(),
            queued: now.time,
            generation: 0,
            stage: Stage::HalfOpen,
            is_used: true,
            is_awaiting: false,
            guard: Guard::default(),
            older: NONE,
            newer: NONE,
            hash,
            opened: now.time,
            state: S::default(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                let place = &mut self.entries[index as usize];
                entry.generation = place.generation;
                *place = entry;
                index
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.link(index);
        index
    }

    /// Forgets a flow.
    pub(super) fn remove(&mut self, index: u32) {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        entry.is_used = false;
        entry.generation = entry.generation.wrapping_add(1);
        entry.state = S::default();
        self.free.push(index);
    }

    /// Puts a flow at the end of the list of its stage.
    pub(super) fn requeue(&mut self, index: u32, stage: Stage, now: Timestamp) {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        (entry.stage, entry.queued) = (stage, now);
        self.link(index);
    }

    /// Packet time was set back to `now`: every flow counts as active just now.
    pub(super) fn turn_back(&mut self, now: Timestamp) {
        self.entries.iter_mut().for_each(|entry| entry.queued = now);
    }

    #[inline]
    pub(super) fn entry(&self, index: u32) -> Option<&Entry<S>> {
        self.entries.get(index as usize)
    }

    #[inline]
    pub(super) fn entry_mut(&mut self, index: u32) -> &mut Entry<S> {
        &mut self.entries[index as usize]
    }

    /// Returns the flow of a stage that was silent for longest.
    pub(super) fn oldest(&self, stage: Stage) -> Option<u32> {
        let oldest = self.lists[stage as usize].oldest;
        (oldest != NONE).then_some(oldest)
    }

    /// Returns the number of places, in use and free.
    pub(super) fn places(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Returns the bytes that are allocated.
    pub(super) fn allocated(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<S>>() + self.free.capacity() * size_of::<u32>()
    }

    fn link(&mut self, index: u32) {
        let stage = self.entries[index as usize].stage as usize;
        let newest = self.lists[stage].newest;
        match self.entries.get_mut(newest as usize) {
            Some(entry) => entry.newer = index,
            None => self.lists[stage].oldest = index,
        }
        self.lists[stage].newest = index;
        let entry = &mut self.entries[index as usize];
        (entry.older, entry.newer) = (newest, NONE);
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (older, newer, stage) = (entry.older, entry.newer, entry.stage as usize);
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.lists[stage].oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.lists[stage].newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the state of the streams, which a test of theirs limits, a flow has 368 bytes.
    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry<()>>() <= 232, "{}", size_of::<Entry<()>>());
    }
}
