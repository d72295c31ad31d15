//! The executor: the stages of a sensor, spread over threads.
//!
//! In: [`PacketBatch`]es on the calling thread. Out: [`Findings`], on any other thread. Promises: the findings of a
//! [`Sensor`](super::Sensor) that was given the same packets, for any number of workers and any cut into batches; memory is
//! bounded by a fixed number of batches in flight; every queue is bounded and holds its sender back.
//!
//! A batch goes through these files:
//!
//! ```text
//! calling thread   dispatch     decodes a batch and puts its segments on routes, one for each group of shards
//! workers          schedule     gives each group's next batch to a free thread, the calling thread included
//!                  shard_group  processes a route
//!                  merge        puts the records of all groups in one order
//!                  records      sends them on
//! another thread   findings     receives records, makes events, runs the rules
//! ```

mod dispatch;
mod findings;
mod merge;
mod prefetch;
mod records;
mod routes;
mod schedule;
#[cfg(test)]
mod sequential;
mod shard_group;
#[cfg(test)]
mod tests;

pub use self::{findings::Findings, records::Disconnected};
pub(crate) use records::Records;

use std::{
    sync::Arc,
    thread::{self, Scope, ScopedJoinHandle},
};

use crossbeam_channel::bounded;

use crate::{
    capture::{PacketBatch, Stamp, filter::FilterError},
    stream::{TlsKeys, UnreadPorts},
    tcp::Gaps,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::{Evaluator, SensorSettings, end_after, intake::Intake, settings::ShardSettings, shard::ShardCounters};

use self::{
    dispatch::Dispatcher,
    records::{ExchangeReturns, RecordSender},
    routes::Groups,
    schedule::{Affinity, Job, Schedule},
    shard_group::ShardGroup,
};

/// A worker thread ended in a defect of this program: findings are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a worker thread ended unexpectedly; this is a defect: please report it with the capture's kind")]
pub struct WorkerLost;

/// How many threads and how long a queue an executor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorSettings {
    /// Threads that reassemble and parse. With 0 the calling thread does all the work. On a machine with one core none is started: the
    /// calling thread alone is faster there; nor where [`SensorSettings::in_order`] is set.
    pub workers: usize,
    /// Batches of records that may wait for the thread that receives the findings. A full queue holds the packets back.
    pub queue: usize,
}

/// What the stages up to the shards have counted.
#[derive(Debug, Clone)]
pub struct PathCounts {
    /// Counters by stage: filter, time, decode, flow, http.
    pub stages: Vec<StageCounts>,
    /// Gaps in TCP streams, by interface.
    pub gaps: Gaps,
    /// The ports of connections whose content is not read.
    pub unread: UnreadPorts,
    /// The latest packet time.
    pub last: Timestamp,
    /// The number of the first packet whose stamp no other packet supported, or at which packet time went back.
    pub first_disorder: Option<u64>,
}

/// The sending end of the executor. The calling thread decodes, and workers do the rest; when it is far ahead of them, the
/// calling thread works too.
///
/// ```
/// use wirespike::{
///     capture::files::{CaptureSet, FileSettings, Filled},
///     capture::PacketBatch,
///     sensor::executor::{Executor, ExecutorSettings},
///     sensor::{Evaluator, SensorSettings},
/// };
///
/// let settings = SensorSettings::default();
/// let threads = ExecutorSettings { workers: 2, queue: 16 };
/// let mut capture = CaptureSet::open(&["pcaps/nginx-curl/capture.pcap".into()], FileSettings::default())?;
/// let totals = std::thread::scope(|scope| {
///     let (mut executor, mut findings) = Executor::start(scope, &settings, threads, Evaluator::new(&settings))?;
///     let receiver = scope.spawn(move || {
///         while findings.receive(&mut |finding| println!("{finding:?}")) {}
///         findings
///     });
///     let mut batch = PacketBatch::default();
///     while let Filled::Packets = capture.fill(&mut batch) {
///         executor.push(&mut batch)?;
///     }
///     let (counts, worked) = executor.finish();
///     let mut findings = receiver.join().expect("the receiver does not panic");
///     findings.finish(counts.last, &mut |finding| println!("{finding:?}"));
///     worked?;
///     Ok::<_, Box<dyn std::error::Error>>(findings.evaluator().totals())
/// })?;
/// assert!(totals.errors > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Executor<'scope> {
    dispatcher: Dispatcher,
    groups: Groups,
    schedule: Arc<Schedule>,
    workers: Vec<ScopedJoinHandle<'scope, ()>>,
    tls_keys: TlsKeys,
}

impl<'scope> Executor<'scope> {
    /// Starts the workers in a scope of threads. The evaluator goes to the receiving end.
    ///
    /// # Errors
    ///
    /// A filter expression that is not in libpcap's language.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        settings: &SensorSettings,
        threads: ExecutorSettings,
        evaluator: Evaluator,
    ) -> Result<(Self, Findings), FilterError> {
        let has_one_core = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        let workers = if has_one_core || settings.in_order { 0 } else { threads.workers };
        Self::with_workers(scope, settings, ExecutorSettings { workers, ..threads }, evaluator)
    }

    /// Starts exactly this number of workers, which may be none.
    fn with_workers<'env>(
        scope: &'scope Scope<'scope, 'env>,
        settings: &SensorSettings,
        ExecutorSettings { workers, queue }: ExecutorSettings,
        evaluator: Evaluator,
    ) -> Result<(Self, Findings), FilterError> {
        let dispatcher = Dispatcher::new(Intake::new(settings)?);
        let groups = Groups::of_workers(workers, settings.shards());
        let of_shards = ShardSettings::of(settings);
        let mut shards: Vec<_> = groups.shards().map(|numbers| ShardGroup::new(numbers, &of_shards)).collect();
        let channels = shards.iter_mut().map(ShardGroup::return_channel).collect();
        let (records, received) = bounded(queue);
        let sender = RecordSender { records, returns: Arc::new(ExchangeReturns { groups, channels }) };
        let schedule = Arc::new(Schedule::new(shards, workers, sender));
        let worker = |index| {
            let schedule = Arc::clone(&schedule);
            let affinity = Affinity::Worker { index, workers };
            // Where the system gives fewer threads, those that there are do all the work, if need be the calling one alone.
            thread::Builder::new().spawn_scoped(scope, move || schedule.work(affinity)).ok()
        };
        let workers = (0..workers).map_while(worker).collect();
        Ok((
            Self { dispatcher, groups, schedule, workers, tls_keys: settings.tls_keys.clone() },
            Findings::new(evaluator, received),
        ))
    }

    /// Processes a batch. The batch has other memory afterwards, whose content means nothing.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when the [`Findings`] were dropped, or a worker was lost.
    pub fn push(&mut self, batch: &mut PacketBatch) -> Result<(), Disconnected> {
        let mut decoded = self.schedule.free_batch(Affinity::Dispatcher)?;
        std::mem::swap(&mut decoded.batch, batch);
        self.dispatcher.dispatch(&decoded.batch, self.groups, &mut decoded.routes, &mut decoded.side);
        self.schedule.add(Job::Batch(Arc::new(decoded)));
        if self.workers.is_empty() {
            self.schedule.work_until_idle(Affinity::Dispatcher);
        }
        Ok(())
    }

    /// The last processed packet's number and the latest packet time. The clock may hold a packet whose stamp is doubtful.
    pub fn now(&self) -> Stamp {
        self.dispatcher.intake.clock.now()
    }

    /// Packet time goes on from an earlier time, with the next batch.
    pub(crate) fn turn_back(&mut self, time: Timestamp) {
        self.dispatcher.intake.clock.turn_back(time);
    }

    /// Goes on under other settings from the next batch on. The filter, and how flows are told apart, stay.
    pub(crate) fn reconfigure(&mut self, settings: &SensorSettings) {
        self.dispatcher.intake.reconfigure(settings);
        self.schedule.add(Job::Reconfigure(Arc::new(ShardSettings::of(settings))));
    }

    /// The counters of the stages up to the shards. Those of flows and HTTP are as of the last tick.
    pub fn counts(&self) -> PathCounts {
        let shards: ShardCounters = self.schedule.counters().into_iter().collect();
        let stages = self.dispatcher.intake.stages().into_iter().chain(shards.stages()).collect();
        let clock = &self.dispatcher.intake.clock;
        let (last, first_disorder) = (clock.now().time, clock.first_disorder());
        PathCounts { stages, gaps: shards.gaps().clone(), unread: shards.unread_ports().clone(), last, first_disorder }
    }

    /// Ends all connections, and waits until the workers are done. The [`Findings`] that are left can still be received.
    ///
    /// # Errors
    ///
    /// Beside the counters, [`WorkerLost`] when a worker ended in a panic: what it would have found is missing.
    pub fn finish(mut self) -> (PathCounts, Result<(), WorkerLost>) {
        // Without a free batch a worker was lost, which is said below.
        if let Ok(mut decoded) = self.schedule.free_batch(Affinity::Dispatcher) {
            self.dispatcher.dispatch_held(self.groups, &mut decoded.routes, &mut decoded.side);
            self.schedule.add(Job::Batch(Arc::new(decoded)));
        }
        // A connection may wait for what another one's packets show, so all are read before the first connection is ended.
        self.schedule.work_until_idle(Affinity::Dispatcher);
        let end = end_after(self.now());
        self.tls_keys.until_nothing_is_shown(|| {
            self.schedule.add(Job::Flush(end));
            self.schedule.work_until_idle(Affinity::Dispatcher);
        });
        self.schedule.add(Job::Finish(end));
        self.schedule.work_until_idle(Affinity::Dispatcher);
        self.schedule.close();
        let mut worked = Ok(());
        for worker in std::mem::take(&mut self.workers) {
            worked = worked.and(worker.join().map_err(|_| WorkerLost));
        }
        (self.counts(), worked)
    }
}

impl Drop for Executor<'_> {
    fn drop(&mut self) {
        self.schedule.close();
    }
}
