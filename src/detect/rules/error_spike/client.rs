//! The state of one client address.
//!
//! In: the client's errors. Out: counts by cell, and the evidence behind them. Promises: a client with few errors takes a
//! few dozen bytes; counts are exact even when there is no memory for evidence.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    ops::{Range, RangeInclusive},
};

use super::{
    evidence::{Evidence, Seen},
    record::Record,
    streaming::Sliding,
};
use crate::{
    address::Address,
    detect::{GradeCounts, cells::Cells, grades::Rank, text_pool::TextShare},
    exchange::{Method, MethodName},
    time::Timestamp,
};

/// One client address.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Client {
    pub(super) address: Address,
    pub(super) state: State,
}

/// The errors of a client: one by one while they are few, as counts when they are many.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) enum State {
    One(Kept),
    Several(Vec<Kept>),
    Many(Box<Many>),
}

/// One single error. Its texts are kept for the evidence that is made when the client's errors become many.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Kept {
    record: Record,
    /// The path, masked and cut. If the method is in no list, its name and a space precede the path.
    text: Option<Box<[u8]>>,
}

impl Kept {
    fn of(seen: &Seen<'_>, budget: &mut Budget) -> Self {
        let is_kept = seen.target.is_some_and(|target| !target.is_empty()) && budget.share.has_ample_room();
        let path = || is_kept.then(|| seen.shown_path()).flatten();
        let text = match seen.sent.filter(|_| budget.share.has_ample_room()) {
            None => path().map(Into::into),
            Some(sent) => {
                let method = MethodName::new(seen.record.method, Some(sent));
                Some([method.bytes(), b" ", &path().unwrap_or_default()].concat().into())
            }
        };
        let kept = Self { record: seen.record, text };
        budget.share.take(kept.bytes());
        kept
    }

    fn seen(&self) -> Seen<'_> {
        let text = self.text.as_deref();
        let (sent, target) = match text.filter(|_| self.record.method == Method::Other) {
            // A method ends before the first space (RFC 9112, section 3).
            Some(text) => match text.iter().position(|byte| *byte == b' ') {
                Some(end) => (text.get(..end), text.get(end + 1..).filter(|path| !path.is_empty())),
                None => (None, Some(text)),
            },
            None => (None, text),
        };
        Seen { record: self.record, sent, target, text: None }
    }

    /// The number of bytes on the heap.
    fn bytes(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }

    /// Returns whether the error lies in the cell `oldest` or later. If not, its memory is returned to the budget.
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
    /// The cells in order of `index`. Every cell has at least one event.
    cells: VecDeque<Cell>,
    /// The number of events in all cells.
    pub(super) total: u64,
    /// The number of these events that one sender alone cannot have forged.
    pub(super) confirmed: u64,
    /// Whether the client is in the engine's list of clients that may alert. A snapshot does not hold this list, so it does
    /// not hold this flag.
    #[serde(skip)]
    pub(super) hot: bool,
    /// Whether the client is in the engine's list of clients that found no place for a streaming alert.
    pub(super) is_unplaced: bool,
    /// The state of streaming mode.
    pub(super) sliding: Sliding,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Cell {
    index: u64,
    errors: GradeCounts,
    evidence: Option<Box<Evidence>>,
}

/// The settings that decide how clients are kept.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) cells: Cells,
    /// The most single errors of a client. When there are more, they are counted by cell.
    pub(super) few: usize,
    /// Whether windows slide. The times of single errors are then needed.
    pub(super) slides: bool,
}

/// The memory for evidence, shared by all clients.
#[derive(Debug)]
pub(super) struct Budget {
    /// The rule's share of the memory of all rules.
    pub(super) share: TextShare,
    /// The interval of the timeline in nanoseconds.
    pub(super) interval: u64,
    /// The number of events that were counted without evidence.
    pub(super) refused: u64,
}

impl Client {
    /// Creates a client with its first event.
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

    /// Adds an event. Errors in cells before `oldest` may be forgotten.
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

    /// Returns the number of confirmed errors and the number of all errors.
    pub(super) fn counts(&self) -> (u64, u64) {
        let confirmed = |kept: &Kept| kept.record.grade.is_confirmed();
        match &self.state {
            State::One(kept) => (confirmed(kept).into(), 1),
            State::Several(few) => (few.iter().filter(|kept| confirmed(kept)).count() as u64, few.len() as u64),
            State::Many(many) => (many.confirmed, many.total),
        }
    }

    /// The most errors in any window that ends at one of these boundaries, and its end. `None` if there are none, or if the
    /// client's errors are few.
    pub(super) fn most_errors(
        &self,
        cells: &Cells,
        boundaries: &RangeInclusive<Timestamp>,
    ) -> Option<(u64, Timestamp)> {
        let State::Many(many) = &self.state else { return None };
        // No window has more than the first one that has its last cell with errors.
        let ends = many.cells.iter().map(|cell| cells.next_boundary(cells.start(cell.index)));
        let counts = ends
            .filter(|end| boundaries.contains(end))
            .map(|end| (many.count(&cells.before(end)).total(), Reverse(end)));
        counts.max().map(|(count, Reverse(end))| (count, end))
    }

    /// The client's rank by all its errors.
    pub(super) fn rank(&self) -> Rank {
        let (confirmed, count) = self.counts();
        Rank::new(confirmed, count, self.address)
    }

    /// Calls `each` with cells and the errors in them. A cell may come more than once.
    pub(super) fn each_cell(&self, layout: &Layout, mut each: impl FnMut(u64, GradeCounts)) {
        let mut single = |kept: &Kept| each(layout.cells.of(kept.record.time), kept.record.grade.into());
        match &self.state {
            State::One(kept) => single(kept),
            State::Several(few) => few.iter().for_each(single),
            State::Many(many) => many.cells.iter().for_each(|cell| each(cell.index, cell.errors)),
        }
    }

    /// Returns whether the client has an open alert.
    pub(super) fn has_open_alert(&self) -> bool {
        matches!(&self.state, State::Many(many) if many.sliding.open.is_some())
    }

    /// Counts single errors by cell when there are more than the layout allows.
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

    /// Takes the single errors out and leaves an empty list. The caller must set the new state.
    fn take_few(&mut self) -> Vec<Kept> {
        match std::mem::replace(&mut self.state, State::Several(Vec::new())) {
            State::One(kept) => vec![kept],
            State::Several(few) => few,
            State::Many(_) => Vec::new(),
        }
    }

    /// The number of bytes of evidence.
    pub(super) fn evidence_bytes(&self) -> usize {
        match &self.state {
            State::Many(many) => {
                many.cells.iter().filter_map(|cell| cell.evidence.as_ref()).map(|held| held.bytes()).sum()
            }
            State::One(kept) => kept.bytes(),
            State::Several(few) => few.iter().map(Kept::bytes).sum(),
        }
    }

    /// Returns the counts by cell, when the client has many errors.
    pub(super) fn many(&mut self) -> Option<&mut Many> {
        match &mut self.state {
            State::Many(many) => Some(many),
            State::One(_) | State::Several(_) => None,
        }
    }

    /// Forgets all errors before the cell `oldest`. Returns false when no error is left.
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

    /// Returns the memory of the client's evidence to the budget.
    pub(super) fn release(&mut self, budget: &mut Budget) {
        match &mut self.state {
            State::Many(many) => many.forget_before(u64::MAX, budget),
            State::One(_) | State::Several(_) => budget.share.give_back(self.evidence_bytes()),
        }
    }
}

impl Many {
    /// Counts single errors, and one more event if given, by cell. The event's own time is not added to `sliding`; the
    /// caller does that.
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
        let grade = seen.record.grade;
        self.total += 1;
        self.confirmed += u64::from(grade.is_confirmed());
        let cell = self.cell(layout.cells.of(seen.record.time), budget);
        cell.errors.add(grade);
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
            self.total -= cell.errors.total();
            self.confirmed -= cell.errors.confirmed();
            budget.share.give_back(cell.evidence.map_or(0, |evidence| evidence.bytes()));
        }
    }

    /// The events in a range of cells.
    pub(super) fn count(&self, range: &Range<u64>) -> GradeCounts {
        let mut all = GradeCounts::default();
        self.cells.iter().filter(|cell| range.contains(&cell.index)).for_each(|cell| all.add_all(cell.errors));
        all
    }

    /// The first cell with an event.
    pub(super) fn first_cell(&self) -> Option<u64> {
        self.cells.front().map(|cell| cell.index)
    }

    /// The first cell with an event that is not before this cell.
    pub(super) fn first_cell_from(&self, from: u64) -> Option<u64> {
        self.cells.iter().map(|cell| cell.index).find(|index| *index >= from)
    }

    /// The counts and the evidence of a range of cells.
    pub(super) fn evidence(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Option<&Evidence>)> {
        self.cells
            .iter()
            .filter(move |cell| range.contains(&cell.index))
            .map(|cell| (cell.errors.total(), cell.evidence.as_deref()))
    }
}

impl Cell {
    fn new(index: u64, budget: &mut Budget) -> Self {
        let evidence = budget.share.has_room().then(Box::<Evidence>::default);
        budget.share.take(evidence.as_ref().map_or(0, |evidence| evidence.bytes()));
        Self { index, errors: GradeCounts::default(), evidence }
    }
}
