//! The errors of clients for which the table had no place.
//!
//! In: clients that were evicted, and errors that were refused. Out: for a range of cells, how many errors of how many clients
//! it lacks. Promises: the counts of the clients in the table and the counts here add up to all errors in each window; memory
//! is bounded.

use std::{collections::VecDeque, ops::Range};

use super::client::{Client, Layout};
use crate::{
    address::Address,
    detect::{GradeCounts, LargestClients, LeftOut, LeftOutCount},
};

/// The most cells that are kept apart. Above this, the two oldest cells are merged, and a window may include errors from
/// before its start.
const MAX_CELLS: usize = 256;

/// The errors without a place, by cell.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct GivenUp {
    /// In order of the cells' indexes.
    cells: VecDeque<Cell>,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Cell {
    index: u64,
    count: LeftOutCount,
    largest: LargestClients,
}

impl GivenUp {
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Adds an error that was refused.
    pub(super) fn note_error(&mut self, cell: u64, address: Address, error: GradeCounts) {
        self.add(cell, 1, address, error);
    }

    /// Adds a client that was evicted. Its errors in cells before `oldest` count in no later window.
    pub(super) fn note_client(&mut self, client: &Client, oldest: u64, layout: &Layout) {
        let mut latest = None;
        client.each_cell(layout, |cell, errors| {
            if cell >= oldest {
                self.add(cell, 0, client.address, errors);
                latest = latest.max(Some(cell));
            }
        });
        if let Some(latest) = latest {
            self.add(latest, 1, client.address, GradeCounts::default());
        }
    }

    /// Forgets the cells before `oldest`.
    pub(super) fn forget_before(&mut self, oldest: u64) {
        while self.cells.pop_front_if(|cell| cell.index < oldest).is_some() {}
    }

    /// Returns whether errors in these cells have no place.
    pub(super) fn are_within(&self, cells: &Range<u64>) -> bool {
        self.cells.iter().any(|cell| cells.contains(&cell.index))
    }

    /// Adds the errors of a range of cells to a summary.
    pub(super) fn add_to(&self, left_out: &mut LeftOut, cells: &Range<u64>) {
        for cell in self.cells.iter().filter(|cell| cells.contains(&cell.index)) {
            left_out.client_limit.add(cell.count.clients, cell.count.errors);
            left_out.largest.merge(&cell.largest);
        }
    }

    fn add(&mut self, index: u64, clients: u64, address: Address, errors: GradeCounts) {
        let place = self.cells.partition_point(|cell| cell.index < index);
        if self.cells.get(place).is_none_or(|cell| cell.index != index) {
            let new = Cell { index, count: LeftOutCount::default(), largest: LargestClients::default() };
            self.cells.insert(place, new);
        }
        if let Some(cell) = self.cells.get_mut(place) {
            cell.count.add(clients, errors);
            if errors.total() > 0 {
                cell.largest.note(address, errors);
            }
        }
        if self.cells.len() > MAX_CELLS
            && let Some(first) = self.cells.pop_front()
            && let Some(second) = self.cells.front_mut()
        {
            second.count.add(first.count.clients, first.count.errors);
            second.largest.merge(&first.largest);
        }
    }
}
