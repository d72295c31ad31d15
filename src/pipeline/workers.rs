//! Packets to findings, on one thread or several.
//!
//! The calling thread reads and decodes; beside a lone worker, it has a few shards of its own, so that both have as much to do.
//!
//! In: [`PacketBatch`]es. Out: [`Records`] of each batch, in order, to a bounded channel. Promises: the same records for
//! any worker count; memory bounded by a fixed number of batches in flight.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, Scope, ScopedJoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    capture::{PacketBatch, Stamp},
    decode::DecodeSettings,
    flow::Gaps,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::{
    dispatch::Dispatcher,
    merge::merge,
    record::{Record, Records, WaysBack},
    segments::{Owners, Route, SideBuffer},
    shard::{ShardSet, ShardSettings, Tally},
};

/// Batches that may wait for one worker.
const QUEUE: usize = 4;

/// Most records that leave at once, so that a queue of them is bounded by more than the number of batches: a packet may hold
/// dozens of responses.
const TOGETHER: usize = 512;

/// A batch after decoding, shared by all workers.
#[derive(Default)]
struct Dispatched {
    batch: PacketBatch,
    side: SideBuffer,
    routes: Vec<Route>,
}

/// What a worker is given; with a lone worker's, what the dispatcher's own shards found.
enum Work {
    Batch(Arc<Dispatched>, Vec<Record>),
    /// Other settings; not answered.
    Reconfigure(Arc<ShardSettings>),
    Finish(Stamp, Vec<Record>),
}

/// A worker's answer to one piece of work; the batch comes back for reuse.
struct Answer {
    records: Vec<Record>,
    batch: Option<Arc<Dispatched>>,
}

/// Where a worker's answers go.
enum Answering {
    /// To where they are merged with the other workers'.
    ToCollector(Sender<Answer>),
    /// Straight on: there is no other worker.
    AtOnce(Back),
}

impl Answering {
    fn answer(&self, records: Vec<Record>, batch: Option<Arc<Dispatched>>) -> Result<(), Disconnected> {
        match self {
            Self::ToCollector(collector) => collector.send(Answer { records, batch }).map_err(|_| Disconnected),
            Self::AtOnce(back) => {
                let route = batch.as_ref().and_then(|batch| batch.routes.first());
                let ticks = route.map(ticks_of).unwrap_or_default();
                back.reuse(batch);
                back.reports.send(records, ticks)
            }
        }
    }
}

/// The way to the output, and where it gives exchanges back.
#[derive(Clone)]
struct Reports {
    records: Sender<Records>,
    ways_back: Arc<WaysBack>,
}

/// The way back from the workers.
#[derive(Clone)]
struct Back {
    recycle: Sender<Dispatched>,
    reports: Reports,
}

impl Reports {
    /// Passes records on, if there is anything to say.
    fn send(&self, records: Vec<Record>, mut ticks: Vec<(u64, Timestamp)>) -> Result<(), Disconnected> {
        if records.len() <= TOGETHER {
            return self.send_together(records, ticks);
        }
        let mut records = records.into_iter();
        loop {
            let together: Vec<Record> = records.by_ref().take(TOGETHER).collect();
            let Some(last) = together.last().filter(|_| records.len() > 0).map(|record| record.stamp.number) else {
                return self.send_together(together, ticks);
            };
            let later = ticks.split_off(ticks.partition_point(|(number, _)| *number <= last));
            self.send_together(together, std::mem::replace(&mut ticks, later))?;
        }
    }

    fn send_together(&self, records: Vec<Record>, ticks: Vec<(u64, Timestamp)>) -> Result<(), Disconnected> {
        if records.is_empty() && ticks.is_empty() {
            return Ok(());
        }
        let ways_back = Arc::clone(&self.ways_back);
        self.records.send(Records { records, ticks, ways_back }).map_err(|_| Disconnected)
    }
}

impl Back {
    /// Gives a batch back to the dispatcher if this was its last reference.
    fn reuse(&self, batch: Option<Arc<Dispatched>>) {
        if let Some(dispatched) = batch.and_then(|batch| Arc::try_unwrap(batch).ok()) {
            // The dispatcher has gone when nobody receives; then the batch is not needed.
            let _ = self.recycle.send(dispatched);
        }
    }
}

/// What the output side waits for next.
enum Expected {
    Batch(Vec<(u64, Timestamp)>),
    Finish,
}

/// The packet path ended early: whoever takes the records has gone.
#[derive(Debug)]
pub(super) struct Disconnected;

/// What the packet path counted.
pub(super) struct PathCounts {
    /// Counters by stage.
    pub stages: Vec<StageCounts>,
    /// Holes in TCP streams, by interface.
    pub gaps: Gaps,
}

/// Where batches go.
pub(super) enum PacketPath<'scope> {
    /// Everything on the calling thread.
    Inline(Box<InlinePath>),
    /// Workers of their own.
    Threads(Box<ThreadedPath<'scope>>),
}

/// The packet path on the calling thread.
pub(super) struct InlinePath {
    dispatcher: Dispatcher,
    owners: Owners,
    shards: ShardSet,
    routes: [Route; 1],
    side: SideBuffer,
    reports: Reports,
}

/// The packet path with worker threads.
pub(super) struct ThreadedPath<'scope> {
    dispatcher: Dispatcher,
    owners: Owners,
    /// The dispatcher's own shards, beside a lone worker.
    own: Option<ShardSet>,
    work: Vec<Sender<Work>>,
    /// To the collector, where there is one.
    expected: Option<Sender<Expected>>,
    free: Receiver<Dispatched>,
    workers: Vec<ScopedJoinHandle<'scope, ShardSet>>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    collector: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> PacketPath<'scope> {
    /// A path with so many workers.
    pub(super) fn new<'env>(
        scope: &'scope Scope<'scope, 'env>,
        dispatcher: Dispatcher,
        settings: &ShardSettings,
        workers: usize,
        records: Sender<Records>,
    ) -> Self {
        // One worker too is faster beside the thread that reads and decodes, unless they share one core.
        let has_one_core = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        let is_alone = workers <= 1;
        let is_inline = is_alone && has_one_core;
        let owners = if is_alone && !is_inline { Owners::lone() } else { Owners::even(workers) };
        let mut sets: Vec<ShardSet> =
            (0..owners.count()).map(|owner| ShardSet::new(owner, &owners, settings)).collect();
        let ways = sets.iter_mut().map(ShardSet::way_back).collect();
        let reports = Reports { records, ways_back: Arc::new(WaysBack { owners, ways }) };
        if is_inline && let Some(shards) = sets.pop() {
            let (routes, side) = ([Route::default()], SideBuffer::default());
            return Self::Inline(Box::new(InlinePath { dispatcher, owners, shards, routes, side, reports }));
        }
        let own = if is_alone { sets.pop() } else { None };
        Self::Threads(Box::new(ThreadedPath::new(scope, dispatcher, owners, own, sets, reports)))
    }

    /// Processes a batch; what it held afterwards is not said.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when the records' receiver has gone.
    pub(super) fn push(&mut self, batch: &mut PacketBatch) -> Result<(), Disconnected> {
        match self {
            Self::Inline(path) => path.push(batch),
            Self::Threads(path) => path.push(batch),
        }
    }

    /// The dispatcher.
    pub(super) fn dispatcher(&self) -> &Dispatcher {
        match self {
            Self::Inline(path) => &path.dispatcher,
            Self::Threads(path) => &path.dispatcher,
        }
    }

    /// Packet time goes on from an earlier one, with the next batch.
    pub(super) fn turn_back(&mut self, time: Timestamp) {
        match self {
            Self::Inline(path) => path.dispatcher.turn_back(time),
            Self::Threads(path) => path.dispatcher.turn_back(time),
        }
    }

    /// Other settings, from the next batch on.
    pub(super) fn reconfigure(&mut self, decode: &DecodeSettings, settings: ShardSettings) {
        match self {
            Self::Inline(path) => {
                path.dispatcher.reconfigure(decode);
                path.shards.reconfigure(&settings);
            }
            Self::Threads(path) => {
                path.dispatcher.reconfigure(decode);
                if let Some(own) = &mut path.own {
                    own.reconfigure(&settings);
                }
                let settings = Arc::new(settings);
                for worker in &path.work {
                    // A worker that has gone ends the run at the next batch.
                    let _ = worker.send(Work::Reconfigure(Arc::clone(&settings)));
                }
            }
        }
    }

    /// The counters of the stages in the path; of workers, those at the last tick.
    pub(super) fn counts(&self) -> PathCounts {
        match self {
            Self::Inline(path) => counts(&path.dispatcher, std::iter::once(path.shards.tally())),
            Self::Threads(path) => {
                let latest = |tally: &Arc<Mutex<Tally>>| tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
                counts(&path.dispatcher, path.tallies.iter().map(latest).chain(path.own.as_ref().map(ShardSet::tally)))
            }
        }
    }

    /// Ends all flows, and returns the counters of the stages in the path.
    pub(super) fn finish(self) -> PathCounts {
        match self {
            Self::Inline(path) => path.finish(),
            Self::Threads(path) => path.finish(),
        }
    }
}

/// The stamp under which flows end when the capture does: after its last packet.
fn end_of(dispatcher: &Dispatcher) -> Stamp {
    let now = dispatcher.now();
    Stamp { number: now.number + 1, time: now.time }
}

fn ticks_of(route: &Route) -> Vec<(u64, Timestamp)> {
    route.ticks.iter().map(|tick| (tick.stamp.number, tick.stamp.time)).collect()
}

impl InlinePath {
    fn push(&mut self, batch: &mut PacketBatch) -> Result<(), Disconnected> {
        self.dispatcher.dispatch(batch, &self.owners, &mut self.routes, &mut self.side);
        let [route] = &self.routes;
        let mut records = Vec::new();
        self.shards.process(route, &batch.bytes, &self.side, &mut records);
        self.reports.send(records, ticks_of(route))
    }

    fn finish(mut self) -> PathCounts {
        let mut records = Vec::new();
        self.shards.finish(end_of(&self.dispatcher), &mut records);
        // A receiver that has gone has its own error to report.
        let _ = self.reports.send(records, Vec::new());
        counts(&self.dispatcher, std::iter::once(self.shards.tally()))
    }
}

impl<'scope> ThreadedPath<'scope> {
    fn new<'env>(
        scope: &'scope Scope<'scope, 'env>,
        dispatcher: Dispatcher,
        owners: Owners,
        own: Option<ShardSet>,
        shard_sets: Vec<ShardSet>,
        reports: Reports,
    ) -> Self {
        let batches = QUEUE * 2;
        let (recycle, free) = bounded(batches);
        for _ in 0..batches {
            let routes = shard_sets.iter().chain(&own).map(|_| Route::default()).collect();
            // The channel holds exactly this many.
            let _ = recycle.send(Dispatched { routes, ..Dispatched::default() });
        }
        let back = Back { recycle, reports };
        let is_alone = shard_sets.len() == 1;
        let mut work = Vec::new();
        let mut answers = Vec::new();
        let mut workers = Vec::new();
        let mut tallies = Vec::new();
        for (index, shards) in shard_sets.into_iter().enumerate() {
            let (to_worker, from_dispatcher) = bounded(QUEUE);
            work.push(to_worker);
            let answering = if is_alone {
                Answering::AtOnce(back.clone())
            } else {
                let (to_collector, from_worker) = bounded(QUEUE);
                answers.push(from_worker);
                Answering::ToCollector(to_collector)
            };
            let tally = Arc::new(Mutex::new(Tally::default()));
            tallies.push(Arc::clone(&tally));
            let work = move || work_through(index, shards, &from_dispatcher, &answering, &tally);
            workers.push(scope.spawn(work));
        }
        let (expected, collector) = if is_alone {
            (None, None)
        } else {
            let (expected, expecting) = bounded(batches);
            (Some(expected), Some(scope.spawn(move || collect(&expecting, &answers, &back))))
        };
        Self { dispatcher, owners, own, work, expected, free, workers, tallies, collector }
    }

    fn push(&mut self, batch: &mut PacketBatch) -> Result<(), Disconnected> {
        let mut dispatched = self.free.recv().map_err(|_| Disconnected)?;
        std::mem::swap(&mut dispatched.batch, batch);
        self.dispatcher.dispatch(&dispatched.batch, &self.owners, &mut dispatched.routes, &mut dispatched.side);
        let mut found = Vec::new();
        if let (Some(own), Some(route)) = (&mut self.own, dispatched.routes.get(usize::from(Owners::DISPATCHER))) {
            own.process(route, &dispatched.batch.bytes, &dispatched.side, &mut found);
        }
        if let Some(expected) = &self.expected {
            let ticks = dispatched.routes.first().map(ticks_of).unwrap_or_default();
            expected.send(Expected::Batch(ticks)).map_err(|_| Disconnected)?;
        }
        let dispatched = Arc::new(dispatched);
        let Some((last, others)) = self.work.split_last() else { return Ok(()) };
        for worker in others {
            worker.send(Work::Batch(Arc::clone(&dispatched), Vec::new())).map_err(|_| Disconnected)?;
        }
        // Given away, not cloned: whoever hands back the last reference must be able to reuse the batch.
        last.send(Work::Batch(dispatched, found)).map_err(|_| Disconnected)
    }

    fn finish(mut self) -> PathCounts {
        let end = end_of(&self.dispatcher);
        let mut found = Vec::new();
        if let Some(own) = &mut self.own {
            own.finish(end, &mut found);
        }
        // Sends fail only when the receiving side has gone, and then it has its own error to report.
        let _ = self.expected.as_ref().map(|expected| expected.send(Expected::Finish));
        for worker in &self.work {
            let _ = worker.send(Work::Finish(end, std::mem::take(&mut found)));
        }
        drop((self.work, self.expected));
        let shard_sets: Vec<ShardSet> = self.workers.into_iter().filter_map(|worker| worker.join().ok()).collect();
        let _ = self.collector.map(ScopedJoinHandle::join);
        counts(&self.dispatcher, shard_sets.iter().chain(&self.own).map(ShardSet::tally))
    }
}

fn counts(dispatcher: &Dispatcher, tallies: impl Iterator<Item = Tally>) -> PathCounts {
    let mut stages = vec![
        StageCounts { stage: "filter", counts: dispatcher.counters().counts() },
        StageCounts { stage: "decode", counts: dispatcher.decoder().counters().counts() },
    ];
    let (of_shards, gaps) = ShardSet::counts(tallies);
    stages.extend(of_shards);
    PathCounts { stages, gaps }
}

fn work_through(
    index: usize,
    mut shards: ShardSet,
    work: &Receiver<Work>,
    answering: &Answering,
    tally: &Mutex<Tally>,
) -> ShardSet {
    for piece in work {
        let mut records = Vec::new();
        let (batch, others) = match piece {
            Work::Batch(batch, others) => {
                if let Some(route) = batch.routes.get(index) {
                    shards.process(route, &batch.batch.bytes, &batch.side, &mut records);
                    if !route.ticks.is_empty() {
                        *tally.lock().unwrap_or_else(PoisonError::into_inner) = shards.tally();
                    }
                }
                (Some(batch), others)
            }
            Work::Reconfigure(settings) => {
                shards.reconfigure(&settings);
                continue;
            }
            Work::Finish(now, others) => {
                shards.finish(now, &mut records);
                (None, others)
            }
        };
        if answering.answer(merge(vec![records, others]), batch).is_err() {
            break;
        }
    }
    shards
}

fn collect(expecting: &Receiver<Expected>, answers: &[Receiver<Answer>], back: &Back) {
    for expected in expecting {
        let mut parts = Vec::with_capacity(answers.len());
        for worker in answers {
            let Ok(answer) = worker.recv() else { return };
            parts.push(answer.records);
            back.reuse(answer.batch);
        }
        let ticks = match expected {
            Expected::Batch(ticks) => ticks,
            Expected::Finish => Vec::new(),
        };
        if back.reports.send(merge(parts), ticks).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pipeline::record::{Finding, Order},
        time::Stretch,
    };

    #[test]
    fn many_records_leave_in_parts_and_ticks_keep_their_place() {
        let record = |number: u64| {
            let stamp = Stamp { number, time: Timestamp::from_nanos(number) };
            let finding = Finding::Loss(Stretch::from(stamp.time));
            Record { order: Order::of_packet(number, 0), stamp, finding }
        };
        let numbers = || (0..2 * TOGETHER as u64 + 7).map(|number| number / 3);
        let ticks = || [0, 5, TOGETHER as u64 / 3, 2 * TOGETHER as u64].map(|number| (number, Timestamp::EPOCH));
        let (sender, records) = bounded(8);
        let ways_back = Arc::new(WaysBack { owners: Owners::even(1), ways: Vec::new() });
        let reports = Reports { records: sender, ways_back };
        reports.send(numbers().map(record).collect(), ticks().into()).unwrap();
        reports.send(Vec::new(), ticks().into()).unwrap();
        reports.send(Vec::new(), Vec::new()).unwrap();
        let parts: Vec<Records> = records.try_iter().collect();
        let sizes: Vec<_> = parts.iter().map(|part| part.records.len()).collect();
        assert_eq!(sizes, [TOGETHER, TOGETHER, 7, 0]);
        let arrived = parts[..3].iter().flat_map(|part| &part.records).map(|record| record.stamp.number);
        assert!(arrived.eq(numbers()));
        assert!(parts[..3].iter().flat_map(|part| part.ticks.clone()).eq(ticks()));
        for (part, next) in parts.iter().zip(&parts[1..3]) {
            let (last, first) = (part.records.last().unwrap().stamp.number, next.records[0].stamp.number);
            assert!(part.ticks.iter().all(|(number, _)| *number <= last), "a tick before its packet");
            assert!(next.ticks.iter().all(|(number, _)| *number > last || first > last), "a tick after its packet");
        }
        assert_eq!(parts[3].ticks.len(), 4);
    }
}
