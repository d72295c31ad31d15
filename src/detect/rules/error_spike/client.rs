//! What the rule keeps of one client address.
//!
//! In: the client's errors. Out: counts by cell, and the evidence behind them. Promises: a client with few errors
//! takes a few dozen bytes; counts are exact whether or not there is memory for evidence.

use std::{collections::VecDeque, ops::Range};

use super::{
    evidence::{Evidence, Seen},
    record::Record,
    streaming::Sliding,
};
use crate::{
    address::Address,
    detect::{cells::Cells, text_pool::TextShare},
};

/// One client address.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Client {
    pub(super) address: Address,
    pub(super) state: State,
}

/// Few errors are kept one by one, many as counts.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) enum State {
    One(Kept),
    Several(Vec<Kept>),
    Many(Box<Many>),
}

/// One of few errors. Its path is kept for the evidence, should they become many.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Kept {
    record: Record,
    /// Masked and cut.
    path: Option<Box<[u8]>>,
}

impl Kept {
    fn of(seen: &Seen<'_>, budget: &mut Budget) -> Self {
        let path = seen.path.filter(|path| !path.is_empty() && budget.share.has_ample_room());
        let kept = Self { record: seen.record, path: path.and_then(|_| seen.shown_path()).map(Into::into) };
        budget.share.take(kept.bytes());
        kept
    }

    fn seen(&self) -> Seen<'_> {
        Seen { record: self.record, path: self.path.as_deref(), text: None }
    }

    /// Bytes on the heap.
    fn bytes(&self) -> usize {
        self.path.as_ref().map_or(0, |path| path.len())
    }

    /// Whether the error lies in a cell from `oldest` on; gives its memory back if not.
    fn stays(&self, oldest: u64, layout: &Layout, budget: &mut Budget) -> bool {
        let stays = layout.cells.of(self.record.time) >= oldest;
        if !stays {
            budget.share.give_back(self.bytes());
        }
        stays
    }
}

/// The counts of a client with many errors.
#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Many {
    /// In order of `index`; none is empty.
    cells: VecDeque<Cell>,
    /// Events in all cells.
    pub(super) total: u64,
    /// Whether the engine has the client in its list of those that may alert. The list is not kept, so this is not.
    #[serde(skip)]
    pub(super) hot: bool,
    /// What streaming mode keeps.
    pub(super) sliding: Sliding,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Cell {
    index: u64,
    count: u64,
    evidence: Option<Box<Evidence>>,
}

/// How clients are kept.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) cells: Cells,
    /// Records kept of a client before its errors are counted by cell.
    pub(super) few: usize,
    /// Whether windows slide, so that single times matter.
    pub(super) slides: bool,
}

/// Memory for evidence, shared by all clients.
#[derive(Debug)]
pub(super) struct Budget {
    /// The rule's share of the memory of all rules.
    pub(super) share: TextShare,
    /// Nanoseconds of the timeline's interval.
    pub(super) interval: u64,
    /// Events counted without evidence.
    pub(super) refused: u64,
}

impl Client {
    /// A client with its first event.
    pub(super) fn new(address: Address, seen: &Seen<'_>, layout: &Layout, budget: &mut Budget) -> Self {
        let state = if layout.few == 0 {
            let mut many = Box::new(Many::default());
            many.add(seen, layout, budget);
            State::Many(many)
        } else {
            State::One(Kept::of(seen, budget))
        };
        Self { address, state }
    }

    /// Adds an event; cells before `oldest` are over.
    #[inline]
    pub(super) fn add(&mut self, seen: &Seen<'_>, layout: &Layout, oldest: u64, budget: &mut Budget) {
        if let State::Many(many) = &mut self.state {
            return many.add(seen, layout, budget);
        }
        let mut few = self.take_few();
        if few.len() >= layout.few {
            few.retain(|kept| kept.stays(oldest, layout, budget));
        }
        if few.len() < layout.few {
            few.push(Kept::of(seen, budget));
            self.state = State::Several(few);
        } else {
            self.state = State::Many(Many::of(&few, Some(seen), layout, budget));
        }
    }

    /// Counts single errors by cell when they are more than the layout keeps.
    pub(super) fn relayout(&mut self, layout: &Layout, budget: &mut Budget) {
        let few = match &self.state {
            State::One(_) => 1,
            State::Several(few) => few.len(),
            State::Many(_) => return,
        };
        if few > layout.few {
            let few = self.take_few();
            self.state = State::Many(Many::of(&few, None, layout, budget));
        }
    }

    /// Takes the few errors out; something must be put in their place.
    fn take_few(&mut self) -> Vec<Kept> {
        match std::mem::replace(&mut self.state, State::Several(Vec::new())) {
            State::One(kept) => vec![kept],
            State::Several(few) => few,
            State::Many(_) => Vec::new(),
        }
    }

    /// Bytes of evidence held.
    pub(super) fn evidence_bytes(&self) -> usize {
        match &self.state {
            State::Many(many) => {
                many.cells.iter().filter_map(|cell| cell.evidence.as_ref()).map(|held| held.bytes()).sum()
            }
            State::One(kept) => kept.bytes(),
            State::Several(few) => few.iter().map(Kept::bytes).sum(),
        }
    }

    /// The state once there are many errors.
    pub(super) fn many(&mut self) -> Option<&mut Many> {
        match &mut self.state {
            State::Many(many) => Some(many),
            State::One(_) | State::Several(_) => None,
        }
    }

    /// Forgets what lies before a cell; false when nothing is left.
    pub(super) fn forget_before(&mut self, oldest: u64, layout: &Layout, budget: &mut Budget) -> bool {
        match &mut self.state {
            State::One(kept) => {
                let stays = kept.stays(oldest, layout, budget);
                if !stays {
                    self.state = State::Several(Vec::new());
                }
                stays
            }
            State::Several(few) => {
                few.retain(|kept| kept.stays(oldest, layout, budget));
                !few.is_empty()
            }
            State::Many(many) => {
                many.forget_before(oldest, budget);
                many.total > 0
            }
        }
    }

    /// Gives the memory of its evidence back.
    pub(super) fn release(&mut self, budget: &mut Budget) {
        match &mut self.state {
            State::Many(many) => many.forget_before(u64::MAX, budget),
            State::One(_) | State::Several(_) => budget.share.give_back(self.evidence_bytes()),
        }
    }
}

impl Many {
    /// What single errors and one event more amount to. The event's own time is for the caller to look at.
    fn of(few: &[Kept], event: Option<&Seen<'_>>, layout: &Layout, budget: &mut Budget) -> Box<Self> {
        let mut many = Box::new(Self::default());
        for kept in few {
            budget.share.give_back(kept.bytes());
            if layout.slides {
                many.sliding.note(kept.record.time);
            }
            many.add(&kept.seen(), layout, budget);
        }
        if let Some(event) = event {
            many.add(event, layout, budget);
        }
        many
    }

    fn add(&mut self, seen: &Seen<'_>, layout: &Layout, budget: &mut Budget) {
        self.total += 1;
        let cell = self.cell(layout.cells.of(seen.record.time), budget);
        cell.count += 1;
        let Some(evidence) = &mut cell.evidence else {
            budget.refused += 1;
            budget.share.refuse();
            return;
        };
        let grown = evidence.add(seen, budget.interval, budget.share.has_room());
        budget.share.change(grown);
    }

    fn cell(&mut self, index: u64, budget: &mut Budget) -> &mut Cell {
        let place = match self.cells.back() {
            Some(last) if last.index == index => self.cells.len() - 1,
            Some(last) if last.index > index => {
                let place = self.cells.partition_point(|cell| cell.index < index);
                if self.cells[place].index != index {
                    self.cells.insert(place, Cell::new(index, budget));
                }
                place
            }
            _ => {
                self.cells.push_back(Cell::new(index, budget));
                self.cells.len() - 1
            }
        };
        &mut self.cells[place]
    }

    pub(super) fn forget_before(&mut self, oldest: u64, budget: &mut Budget) {
        while let Some(cell) = self.cells.pop_front_if(|cell| cell.index < oldest) {
            self.total -= cell.count;
            budget.share.give_back(cell.evidence.map_or(0, |evidence| evidence.bytes()));
        }
    }

    /// Events in a range of cells.
    pub(super) fn count(&self, range: &Range<u64>) -> u64 {
        self.cells.iter().filter(|cell| range.contains(&cell.index)).map(|cell| cell.count).sum()
    }

    /// The first cell that holds anything.
    pub(super) fn first_cell(&self) -> Option<u64> {
        self.cells.front().map(|cell| cell.index)
    }

    /// Counts and evidence of a range of cells.
    pub(super) fn evidence(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Option<&Evidence>)> {
        self.cells
            .iter()
            .filter(move |cell| range.contains(&cell.index))
            .map(|cell| (cell.count, cell.evidence.as_deref()))
    }
}

impl Cell {
    fn new(index: u64, budget: &mut Budget) -> Self {
        let evidence = budget.share.has_room().then(Box::<Evidence>::default);
        budget.share.take(evidence.as_ref().map_or(0, |evidence| evidence.bytes()));
        Self { index, count: 0, evidence }
    }
}
