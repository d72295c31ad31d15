//! Finds the sorted runs of a file whose stamps go backwards.
//!
//! In: a regular file without compression. Out: an [`Index`], if the file is worth reading in another order: the places at
//! which its runs begin. A run is a part of the file in which no packet is earlier than the packets before it by more than the
//! run's `jitter`. Promises:
//!
//! - A file of at most [`SMALL_FILE`] bytes is read whole for this. Of a larger file, up to [`MOST_SAMPLES`] places are
//!   looked at, and it is read whole only if a place is earlier than a place before it.
//! - One or two stamps that are more than 60 s from the stamps before and after them begin no run. They may be wrong, and
//!   stay where they are: two packets moved away from their connections would lose more than the order of two packets gives.
//! - At most [`MOST_RUNS`] runs. A file with more runs is read as it is.

use std::{fs::File, os::unix::fs::FileExt, path::Path, time::Duration};

use crate::{
    capture::{PacketBatch, PacketRecord},
    time::{NEAR, Timestamp},
};

use super::{
    CaptureCounters, Filled, PEEK_BLOCK,
    problem::CaptureProblem,
    reader::{CaptureReader, Checkpoint},
};

/// A file of at most this many bytes is always read whole: 4 MiB take about 1 ms.
const SMALL_FILE: u64 = 4 << 20;
/// Most places that are looked at in a larger file.
const MOST_SAMPLES: u64 = 64;
/// Bytes between two places that are looked at, at least.
const SAMPLE_DISTANCE: u64 = 256 << 10;
/// Bytes to read at each place.
const SAMPLE: usize = 8 << 10;
/// Most runs of a file. All of them may have to be open at once.
const MOST_RUNS: usize = 192;
/// Most packets side by side whose stamps support each other and may still be wrong.
const MOST_WRONG: usize = 2;
/// Most packets of a run whose stamps may be wrong.
const MOST_DOUBTED: usize = 65_536;
/// Steps back up to this size begin no run. Each further size is for files that have too many runs with the one before. The
/// first is small, because the packets of as much time are held back to sort them.
const JITTERS: [Duration; 3] = [Duration::from_millis(1), Duration::from_secs(1), NEAR];
/// Bytes to read at once for an index. Reading a run begins at most this far before it.
const BLOCK: usize = 64 << 10;

/// The runs of a file, and what the reading of the whole file counted.
#[derive(Debug)]
pub(super) struct Index {
    /// The runs, in the order of the file.
    pub(super) runs: Vec<Run>,
    /// What reading the file whole counted.
    pub(super) counters: CaptureCounters,
    /// Why the file breaks off, if it does.
    pub(super) problem: Option<CaptureProblem>,
}

/// A part of a file whose packets are in the order of time.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Where reading begins.
    pub(super) start: Checkpoint,
    /// Packets from there to the first packet of the run.
    pub(super) skip: usize,
    /// Packets of the run.
    pub(super) packets: u64,
    /// The earliest time of the run, of the packets whose stamps are not in doubt.
    pub(super) first: Timestamp,
    /// The longest step back within the run.
    pub(super) jitter: Duration,
    /// The packets, counted from 0, whose stamps are far from both neighbours. In ascending order.
    pub(super) doubted: Vec<u64>,
    /// The latest time of the run.
    latest: Timestamp,
}

impl Index {
    /// Makes the index of a file, unless the file can be read as it is. `among_others` says that packets of other files
    /// come between those of this file, so that a wrong stamp must not hold the packets behind it.
    pub(super) fn of(path: &Path, file: &File, size: u64, among_others: bool) -> Option<Self> {
        if size > SMALL_FILE && !goes_back(path, file, size) {
            return None;
        }
        let index = JITTERS.into_iter().find_map(|jitter| Self::read(path, file, jitter))?;
        let is_in_order = match index.runs.as_slice() {
            [only] => only.jitter.is_zero() && (only.doubted.is_empty() || !among_others),
            runs => runs.is_empty(),
        };
        (!is_in_order).then_some(index)
    }

    /// Reads the whole file. Returns `None` if it has too many runs, or is no capture.
    fn read(path: &Path, file: &File, jitter: Duration) -> Option<Self> {
        let mut reader = CaptureReader::open(path, Box::new(Positioned::at(file, 0)?), None).ok()?;
        let mut counters = CaptureCounters::default();
        let mut finder = RunFinder::new(jitter);
        let mut batch = PacketBatch::default();
        let problem = loop {
            let start = reader.checkpoint()?;
            match reader.fill(&mut batch, 0, BLOCK, &mut counters) {
                Ok(Filled::Packets) => finder.take_batch(&start, &batch.records)?,
                Ok(Filled::End) => break None,
                Err(problem) => break Some(problem),
            }
        };
        Some(Self { runs: finder.finish()?, counters, problem })
    }
}

/// Finds runs while packets come in the order of the file.
struct RunFinder {
    jitter: Duration,
    runs: Vec<Run>,
    /// The last packets, at most [`MOST_WRONG`]. Their stamps are far from the time of the run, so the packets behind them
    /// decide.
    pending: Vec<Place>,
}

/// A packet in the file.
#[derive(Debug, Clone)]
struct Place {
    time: Timestamp,
    start: Checkpoint,
    skip: usize,
}

impl RunFinder {
    fn new(jitter: Duration) -> Self {
        Self { jitter, runs: Vec::new(), pending: Vec::new() }
    }

    /// Takes the packets that follow a checkpoint. Returns `None` if there are too many runs.
    fn take_batch(&mut self, start: &Checkpoint, records: &[PacketRecord]) -> Option<()> {
        for (skip, record) in records.iter().enumerate() {
            let time = record.stamp.time;
            // The ordinary packet follows the one before it within 60 s.
            if self.pending.is_empty()
                && let Some(run) = self.runs.last_mut()
                && time >= run.latest
                && time.since(run.latest) <= NEAR
            {
                (run.latest, run.packets) = (time, run.packets + 1);
                continue;
            }
            self.take(Place { time, start: start.clone(), skip })?;
        }
        Some(())
    }

    /// Takes a packet that is not simply the next of its run.
    fn take(&mut self, place: Place) -> Option<()> {
        if let Some(held) = self.pending.last().map(|held| held.time) {
            let goes_on = held.is_near(place.time);
            if goes_on && self.pending.len() < MOST_WRONG {
                self.pending.push(place);
                return Some(());
            }
            // The held packets are not believed if the next packet is back where the run was, or, at the start, far before
            // them.
            let is_back = match self.runs.last().filter(|run| !run.is_unbegun()) {
                Some(run) => run.latest.is_near(place.time),
                None => place.time < held,
            };
            for pending in std::mem::take(&mut self.pending) {
                if is_back && !goes_on { self.doubt(pending) } else { self.believe(pending)? }
            }
        }
        match self.runs.last() {
            Some(run) if run.latest.is_near(place.time) && !run.is_unbegun() => self.believe(place),
            _ => {
                self.pending.push(place);
                Some(())
            }
        }
    }

    /// Adds a packet to its run, or begins a run with it.
    fn believe(&mut self, Place { time, start, skip }: Place) -> Option<()> {
        let (jitter, is_full) = (self.jitter, self.runs.len() == MOST_RUNS);
        match self.runs.last_mut() {
            Some(run) if run.is_unbegun() => (run.first, run.latest, run.packets) = (time, time, run.packets + 1),
            Some(run) if run.latest.since(time) <= jitter => {
                run.jitter = run.jitter.max(run.latest.since(time));
                run.first = run.first.min(time);
                (run.latest, run.packets) = (run.latest.max(time), run.packets + 1);
            }
            _ if is_full => return None,
            _ => self.runs.push(Run::begun(start, skip, time)),
        }
        Some(())
    }

    /// Leaves a packet where it is, although its stamp says otherwise.
    fn doubt(&mut self, Place { start, skip, .. }: Place) {
        if self.runs.is_empty() {
            let unbegun = Run { packets: 0, latest: Timestamp::EPOCH, ..Run::begun(start, skip, Timestamp::MAX) };
            self.runs.push(unbegun);
        }
        if let Some(run) = self.runs.last_mut() {
            run.doubted.push(run.packets);
            run.packets += 1;
        }
    }

    /// The file has ended.
    fn finish(mut self) -> Option<Vec<Run>> {
        for pending in std::mem::take(&mut self.pending) {
            let is_far_back =
                self.runs.last().is_some_and(|run| pending.time < run.latest && !run.latest.is_near(pending.time));
            if is_far_back { self.doubt(pending) } else { self.believe(pending)? }
        }
        let doubted: usize = self.runs.iter().map(|run| run.doubted.len()).sum();
        (doubted <= MOST_DOUBTED).then_some(self.runs)
    }
}

impl Run {
    fn begun(start: Checkpoint, skip: usize, time: Timestamp) -> Self {
        Self { start, skip, packets: 1, first: time, jitter: Duration::ZERO, doubted: Vec::new(), latest: time }
    }

    /// Returns whether the run holds only packets whose stamps are in doubt.
    fn is_unbegun(&self) -> bool {
        self.first > self.latest
    }
}

/// Reads a file from a position that belongs to this reader alone. Other readers of the same file do not move it.
pub(super) struct Positioned {
    file: File,
    at: u64,
}

impl Positioned {
    /// A reader from this offset on. Returns `None` if the system gives no further descriptor.
    pub(super) fn at(file: &File, at: u64) -> Option<Self> {
        Some(Self { file: file.try_clone().ok()?, at })
    }
}

impl std::io::Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Returns whether a sample of the file is earlier than a sample before it. One sample alone may hold a wrong stamp, so each
/// is the time of two packets within 60 s.
pub(super) fn goes_back(path: &Path, file: &File, size: u64) -> bool {
    let Some(mut reader) =
        Positioned::at(file, 0).and_then(|input| CaptureReader::open(path, Box::new(input), None).ok())
    else {
        return false;
    };
    let mut batch = PacketBatch::default();
    let Ok(Filled::Packets) = reader.fill(&mut batch, 0, PEEK_BLOCK, &mut CaptureCounters::default()) else {
        return false;
    };
    let distance = (size / MOST_SAMPLES).max(SAMPLE_DISTANCE);
    let mut latest = Timestamp::EPOCH;
    let mut bytes = vec![0; SAMPLE];
    let end = size.saturating_sub(SAMPLE as u64) & !3;
    let places = (1..).map(|sample| (sample * distance) & !3).take_while(|place| *place < end).chain([end]);
    for at in places {
        let Ok(read) = file.read_at(&mut bytes, at) else { return false };
        if let Some((first, last)) = reader.times_within(bytes.get(..read).unwrap_or_default()) {
            if first < latest.minus(JITTERS[0]) {
                return true;
            }
            latest = latest.max(last);
        }
    }
    false
}
