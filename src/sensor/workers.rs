//! Packets to findings, on one thread or several.
//!
//! In: [`PacketBatch`]es. Out: [`Records`] of each batch, in order, to a bounded channel. Promises: the same records for
//! any worker count; memory bounded by a fixed number of batches in flight.

use std::{
    sync::Arc,
    thread::{self, Scope, ScopedJoinHandle},
};

use crossbeam_channel::Sender;

use crate::{
    capture::{PacketBatch, Stamp},
    decode::DecodeSettings,
    flow::Gaps,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::{
    RunError,
    dispatch::Dispatcher,
    record::{Records, WaysBack},
    reports::{Disconnected, Reports},
    schedule::{Schedule, Seat, Work},
    segments::Groups,
    shard::{ShardGroup, ShardSettings},
};

/// What the packet path counted.
pub(crate) struct PathCounts {
    /// Counters by stage.
    pub stages: Vec<StageCounts>,
    /// Holes in TCP streams, by interface.
    pub gaps: Gaps,
}

/// The packet path: the calling thread reads and decodes, workers do the rest, and the calling thread too where it is ahead of
/// them.
pub(crate) struct PacketPath<'scope> {
    dispatcher: Dispatcher,
    groups: Groups,
    schedule: Arc<Schedule>,
    workers: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> PacketPath<'scope> {
    /// A path with so many workers.
    pub(crate) fn new<'env>(
        scope: &'scope Scope<'scope, 'env>,
        dispatcher: Dispatcher,
        settings: &ShardSettings,
        workers: usize,
        records: Sender<Records>,
    ) -> Self {
        // On one core, the calling thread alone is faster.
        let has_one_core = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        let workers = if has_one_core { 0 } else { workers.max(1) };
        let groups = Groups::of_workers(workers);
        let mut shards: Vec<ShardGroup> = groups.shards().map(|numbers| ShardGroup::new(numbers, settings)).collect();
        let ways = shards.iter_mut().map(ShardGroup::way_back).collect();
        let ways_back = Arc::new(WaysBack { groups, ways });
        let schedule = Arc::new(Schedule::new(shards, workers, Reports { records, ways_back }));
        let worker = |index| {
            let schedule = Arc::clone(&schedule);
            // Where the system gives no more threads, those that are there do it, if need be the calling one alone.
            thread::Builder::new().spawn_scoped(scope, move || schedule.work(Seat::Worker { index, workers })).ok()
        };
        let workers = (0..workers).map_while(worker).collect();
        Self { dispatcher, groups, schedule, workers }
    }

    /// Processes a batch; what it held afterwards is not said.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when the records' receiver has gone, or a worker was lost.
    pub(crate) fn push(&mut self, batch: &mut PacketBatch) -> Result<(), Disconnected> {
        let mut dispatched = self.schedule.vacant(Seat::Dispatcher)?;
        std::mem::swap(&mut dispatched.batch, batch);
        self.dispatcher.dispatch(&dispatched.batch, self.groups, &mut dispatched.routes, &mut dispatched.side);
        self.schedule.add(Work::Batch(Arc::new(dispatched)));
        if self.workers.is_empty() {
            self.schedule.work_off(Seat::Dispatcher);
        }
        Ok(())
    }

    /// The dispatcher.
    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Packet time goes on from an earlier one, with the next batch.
    pub(crate) fn turn_back(&mut self, time: Timestamp) {
        self.dispatcher.turn_back(time);
    }

    /// Other settings, from the next batch on.
    pub(crate) fn reconfigure(&mut self, decode: &DecodeSettings, settings: ShardSettings) {
        self.dispatcher.reconfigure(decode);
        self.schedule.add(Work::Reconfigure(Arc::new(settings)));
    }

    /// The counters of the stages in the path; of flows and HTTP, those at the last tick.
    pub(crate) fn counts(&self) -> PathCounts {
        let mut stages = vec![
            StageCounts { stage: "filter", counts: self.dispatcher.counters().counts() },
            StageCounts { stage: "decode", counts: self.dispatcher.decoder().counters().counts() },
        ];
        let (of_shards, gaps) = ShardGroup::counts(self.schedule.tallies());
        stages.extend(of_shards);
        PathCounts { stages, gaps }
    }

    /// Ends all flows, and returns the counters of the stages in the path.
    ///
    /// # Errors
    ///
    /// Beside the counters, [`RunError::Crashed`] when a worker was lost: what it would have found is missing, and the run must
    /// not end as if nothing were.
    pub(crate) fn finish(mut self) -> (PathCounts, Result<(), RunError>) {
        let now = self.dispatcher.now();
        // Flows end with the capture: after its last packet.
        self.schedule.add(Work::Finish(Stamp { number: now.number + 1, time: now.time }));
        self.schedule.work_off(Seat::Dispatcher);
        self.schedule.close();
        let mut worked = Ok(());
        for worker in std::mem::take(&mut self.workers) {
            worked = worked.and(worker.join().map_err(|_| RunError::Crashed));
        }
        (self.counts(), worked)
    }
}

impl Drop for PacketPath<'_> {
    fn drop(&mut self) {
        self.schedule.close();
    }
}
