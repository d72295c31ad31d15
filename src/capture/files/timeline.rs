//! Merges several files into one timeline.
//!
//! In: files in the order of the times of their first packets. Out: batches in the order of packet time. While all packets
//! of one file come before those of all others, its batches are passed on as they were read. Packets are copied one by one
//! only where files overlap, and where a file is not in order and is read as the sorted runs it consists of.

use std::{
    cmp::Ordering,
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{
    capture::{PacketBatch, PacketRecord, Stamp},
    time::Timestamp,
};

use super::{
    CaptureCounters, CaptureError, CaptureProblem, CaptureSet, Filled, ProblemKind,
    index::Run,
    reader::{CaptureReader, Counted},
    run::RunProgress,
    secrets::SecretBlocks,
};

/// Most files open at once.
const MAX_OPEN: usize = 256;
/// Fewest bytes to read at once while many files are merged.
const MIN_BLOCK: usize = 16 * 1024;

/// The sort key of a file or packet in the timeline: its time (`None` if not known yet), then its place among the inputs.
pub(super) type Key = (Option<Timestamp>, Place);

/// The place of a file among the inputs, then of a run in its file.
pub(super) type Place = (usize, usize);

/// A file that is not begun yet.
pub(super) struct Waiting {
    /// The time of its first packet and its place among the inputs.
    pub(super) key: Key,
    /// How to begin the file.
    pub(super) source: Source,
}

/// How to begin a file.
pub(super) enum Source {
    /// The file is opened when its turn comes.
    File(PathBuf),
    /// The file is already open, because it cannot be opened twice or need not be opened twice.
    Opened(Box<OpenFile>),
    /// A run of a file that is not in order. Its file is opened when the run's turn comes.
    Run(PathBuf, Box<Run>),
}

/// A file that is begun. In comparisons, a file that must be read further is the greatest, then the file with the earliest
/// next packet.
pub(super) struct OpenFile {
    place: Place,
    reader: CaptureReader,
    /// For a run of a file that is not in order.
    run: Option<RunProgress>,
    /// `batch.records[next..]` are the packets that are read but not delivered yet.
    batch: PacketBatch,
    next: usize,
    /// The sort keys of the packets in the batch of a run. Without them, the stamps are the keys.
    keys: Vec<Timestamp>,
}

impl OpenFile {
    pub(super) fn new(order: usize, reader: CaptureReader) -> Self {
        let place = (order, 0);
        Self { place, reader, run: None, batch: PacketBatch::default(), next: 0, keys: Vec::new() }
    }

    /// A run of a file. The reader stands where the run's reading begins.
    fn of_run(place: Place, reader: CaptureReader, run: Run) -> Self {
        Self { place, run: Some(RunProgress::new(run)), ..Self::new(place.0, reader) }
    }

    /// Reads the next packets into the file's own batch. All packets of that batch must have been delivered.
    pub(super) fn read(&mut self, block: usize, counters: &mut CaptureCounters) -> Result<Filled, CaptureProblem> {
        self.next = 0;
        match &mut self.run {
            None => self.reader.fill(&mut self.batch, 0, block, counters),
            Some(run) => Ok(run.fill(&mut self.reader, &mut self.batch, &mut self.keys, block)),
        }
    }

    /// Returns the sort key of the file's next packet.
    pub(super) fn key(&self) -> Key {
        (self.head().map(|record| self.time_of(record)), self.place)
    }

    /// Returns the time under which the file's next packet is sorted.
    fn time_of(&self, next: &PacketRecord) -> Timestamp {
        self.keys.get(self.next).copied().unwrap_or(next.stamp.time)
    }

    /// Returns the file's place among the inputs.
    pub(super) fn order(&self) -> usize {
        self.place.0
    }

    /// Returns the key logs that were met in the file.
    pub(super) fn secrets(&mut self) -> &mut SecretBlocks {
        &mut self.reader.secrets
    }

    /// Returns the packets in the file's own batch.
    pub(super) fn held(&self) -> &[PacketRecord] {
        &self.batch.records
    }

    fn head(&self) -> Option<&PacketRecord> {
        self.batch.records.get(self.next)
    }
}

/// Returns the time at which a file begins: the first stamp that the next packet supports, so that one wrong stamp does not
/// put the file in the wrong place. Without such a stamp, it is the first packet's.
pub(super) fn first_time(records: &[PacketRecord]) -> Option<Timestamp> {
    let near = |pair: &[PacketRecord]| {
        let [one, other] = [0, 1].map(|index| pair.get(index).map(|record| record.stamp.time));
        one?.is_near(other?).then_some(one?)
    };
    let supported = records.windows(2).find_map(near);
    supported.or_else(|| records.first().map(|record| record.stamp.time))
}

impl PartialEq for OpenFile {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for OpenFile {}

impl PartialOrd for OpenFile {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OpenFile {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl CaptureSet {
    /// Fills the batch with the next packets of the timeline. The earlier contents of the batch are overwritten.
    pub fn fill(&mut self, batch: &mut PacketBatch) -> Filled {
        batch.records.clear();
        loop {
            let Some((key, needs_reading, is_run)) =
                self.open.peek().map(|top| (top.key(), top.head().is_none(), top.run.is_some()))
            else {
                if !batch.records.is_empty() {
                    return Filled::Packets;
                }
                if !self.begin_next() {
                    return Filled::End;
                }
                continue;
            };
            if needs_reading && (self.open.len() > 1 || is_run && batch.records.is_empty()) {
                self.read_top();
            } else if needs_reading {
                if !batch.records.is_empty() || self.fill_from_only(batch) {
                    return Filled::Packets;
                }
            } else if self.open.len() < MAX_OPEN && self.waiting.front().is_some_and(|waiting| waiting.key < key) {
                self.begin_next();
            } else if self.emit(batch) {
                return Filled::Packets;
            }
        }
    }

    /// Begins the next file. Returns `false` if no file waits.
    fn begin_next(&mut self) -> bool {
        let Some(Waiting { key, source }) = self.waiting.pop_front() else { return false };
        self.counters.files += u64::from(!matches!(source, Source::Run(..)));
        if key.0.is_some_and(|first| first < self.merged_until)
            && let Source::File(path) | Source::Run(path, _) = &source
        {
            let kind = ProblemKind::TooManyOverlapping { limit: MAX_OPEN };
            self.problems.push(CaptureProblem::new(path, 0, false, kind));
        }
        match source {
            Source::Opened(file) => self.open.push(file),
            Source::File(path) => {
                let unreadable = |error| CaptureError::Unreadable { path: path.clone(), error };
                match File::open(&path).map_err(unreadable).and_then(|file| self.opened(&path, Box::new(file), key.1.0))
                {
                    Ok(file) => self.open.push(Box::new(file)),
                    Err(error) => self.unreadable(&path, &error),
                }
            }
            Source::Run(path, run) => self.begin_run(&path, *run, key.1),
        }
        true
    }

    /// Begins a run of a file that is not in order.
    fn begin_run(&mut self, path: &Path, run: Run, place: Place) {
        let unreadable = |error| CaptureError::Unreadable { path: path.to_owned(), error };
        let placed = File::open(path).and_then(|mut file| file.seek(SeekFrom::Start(run.start.offset())).map(|_| file));
        match placed.map_err(unreadable) {
            Ok(file) => {
                let input = Box::new(Counted { inner: file, count: self.consumed_bytes() });
                let reader = CaptureReader::resume(path, input, run.start.clone());
                self.open.push(Box::new(OpenFile::of_run(place, reader, run)));
            }
            Err(error) => self.unreadable(path, &error),
        }
    }

    /// A file cannot be opened any more.
    fn unreadable(&mut self, path: &Path, error: &CaptureError) {
        let kind = ProblemKind::Read { message: error.to_string() };
        self.broken(CaptureProblem::new(path, 0, false, kind));
    }

    /// Reads the top file, while several files are open, into its own batch. Drops the file at its end.
    fn read_top(&mut self) {
        let block = (self.settings.block / self.open.len()).max(MIN_BLOCK).min(self.settings.block);
        let Some(mut file) = self.open.pop() else { return };
        match self.read_into_own(&mut file, block) {
            Ok(Filled::Packets) => self.open.push(file),
            Ok(Filled::End) => {}
            Err(problem) => self.broken(problem),
        }
    }

    /// Reads the only open file directly into the batch. Returns `false` if the batch has no packets to deliver: the file
    /// has ended, or it overlaps with the next file and its packets went to its own batch, to be merged.
    fn fill_from_only(&mut self, batch: &mut PacketBatch) -> bool {
        let Some(mut file) = self.open.pop() else { return false };
        let before = self.counters.bytes;
        let filled = file.reader.fill(batch, self.counters.packets + 1, self.settings.block, &mut self.counters);
        self.note_read(file.order(), &batch.records, before);
        self.key_logs.append(file.secrets(), &mut self.counters);
        match filled {
            Ok(Filled::Packets) => {}
            Ok(Filled::End) => return false,
            Err(problem) => {
                self.broken(problem);
                return false;
            }
        }
        let after_next = |record: &PacketRecord, next: &Waiting| (Some(record.stamp.time), file.place) > next.key;
        let overlaps =
            self.waiting.front().is_some_and(|next| batch.records.iter().any(|record| after_next(record, next)));
        if overlaps {
            std::mem::swap(batch, &mut file.batch);
            file.next = 0;
            batch.records.clear();
        } else {
            self.counters.packets += batch.records.len() as u64;
        }
        self.open.push(file);
        !overlaps
    }

    /// Copies packets of the top file to the batch, until another file's next packet is earlier. Returns `true` if the batch
    /// is full.
    fn emit(&mut self, batch: &mut PacketBatch) -> bool {
        let Some(mut file) = self.open.pop() else { return false };
        let waiting = self.waiting.front().filter(|_| self.open.len() + 1 < MAX_OPEN).map(|waiting| waiting.key);
        let limit = [waiting, self.open.peek().map(|other| other.key())].into_iter().flatten().min();
        if batch.records.is_empty() {
            batch.bytes.clear();
        }
        let mut full = false;
        while let Some(record) = file.batch.records.get(file.next) {
            if limit.is_some_and(|limit| limit < (Some(file.time_of(record)), file.place)) {
                break;
            }
            if batch.bytes.len() >= self.settings.block || batch.records.len() >= self.settings.block {
                full = true;
                break;
            }
            self.counters.packets += 1;
            self.merged_until = self.merged_until.max(file.time_of(record));
            let stamp = Stamp { number: self.counters.packets, time: record.stamp.time };
            let offset = batch.bytes.len() as u32;
            batch.bytes.extend_from_slice(file.batch.packet(record).data);
            batch.records.push(PacketRecord { stamp, offset, ..*record });
            file.next += 1;
        }
        self.open.push(file);
        full
    }
}
