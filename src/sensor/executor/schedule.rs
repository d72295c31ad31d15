//! The schedule: which thread does which job for which group of shards.
//!
//! In: [`Job`]s, in order. Out: their records, in the same order, to a [`RecordSender`]. Promises: every group does every job, in
//! order, on one thread at a time; the number of jobs in flight is bounded. Any free thread takes the next job of any group,
//! and a thread that would have to wait for others works instead. So all cores are busy, also when the traffic loads the
//! groups unequally.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_utils::Backoff;

use crate::{
    capture::{PacketBatch, Stamp},
    sensor::{record::Record, settings::ShardSettings, shard::ShardCounters},
};

use super::{
    merge::merge,
    records::{Disconnected, RecordSender, moments_of},
    routes::{Route, SideBuffer},
    shard_group::ShardGroup,
};

/// Most batches in flight: enough that one thread that is held up does not hold up the others.
const MOST_IN_FLIGHT: usize = 8;

/// With this number of jobs in flight the thread that reads and decodes works too. More batches would leave the caches while
/// they wait.
const FAR_AHEAD: usize = 4;

/// While jobs follow each other within this time, an idle thread polls for the next one; after it the thread sleeps until it is
/// woken. Measured gain: waking a thread for every batch took an eighth of the processor time on bodies of megabytes.
const POLL_WITHIN: Duration = Duration::from_micros(300);

/// Time between two polls. The kernel's timer slack is added, which together is the time of a few batches.
const POLL_INTERVAL: Duration = Duration::from_micros(50);

/// A batch after decoding, shared by all threads that work on it.
#[derive(Default)]
pub(crate) struct DecodedBatch {
    pub batch: PacketBatch,
    pub side: SideBuffer,
    /// The route of each group.
    pub routes: Vec<Route>,
}

/// What every group does once.
#[derive(Clone)]
pub(crate) enum Job {
    /// Process the group's route of a batch.
    Batch(Arc<DecodedBatch>),
    /// Go on under other settings.
    Reconfigure(Arc<ShardSettings>),
    /// Deliver what waits for missing bytes, and try again what waits for other connections: the packets are over.
    Flush(Stamp),
    /// End all flows.
    Finish(Stamp),
}

/// A job in flight: some group has not done it, or its records are not sent.
struct InFlight {
    job: Job,
    /// The records of the groups that have done it.
    records: Vec<Vec<Record>>,
    /// Groups that have not done it.
    undone: usize,
}

/// One group of shards, as the schedule sees it.
struct GroupSlot {
    /// `None` while a thread works on the group.
    shards: Option<ShardGroup>,
    /// Number of the group's next job.
    next: u64,
    /// The group's counters at its last tick.
    counters: ShardCounters,
}

struct State {
    /// The oldest first.
    in_flight: VecDeque<InFlight>,
    /// Number of the oldest job in flight.
    first: u64,
    groups: Vec<GroupSlot>,
    /// Batches to be filled. The one that came back first is used first: its bytes have left the other cores' caches.
    free: VecDeque<DecodedBatch>,
    /// When the last job was added.
    added: Instant,
    /// Whether it was added within [`POLL_WITHIN`] of the job before.
    is_busy: bool,
    /// Threads that sleep.
    sleeping: usize,
    /// Whether a thread is sending records.
    is_sending: bool,
    /// All threads leave: the work is done, the records have no receiver any more, or a worker was lost.
    is_closed: bool,
}

/// The schedule, shared by all threads of the executor.
pub(crate) struct Schedule {
    state: Mutex<State>,
    /// Counts the changes that a waiting thread may wait for. Changed under the lock; read without it too.
    changes: AtomicU64,
    changed: Condvar,
    records: RecordSender,
}

/// Which group a thread prefers: a group's flows are in the cache of the core that worked on them last.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Affinity {
    /// A worker takes the oldest job, since the records of all later jobs wait for it. Of equally old jobs it takes those
    /// of its own share of the groups first.
    Worker { index: usize, workers: usize },
    /// The thread that reads and decodes takes the jobs of the last groups, however old.
    Dispatcher,
}

/// A group that is taken out of the schedule, and its next job.
struct Task {
    group: usize,
    shards: ShardGroup,
    job: Job,
}

/// A group that goes back to the schedule after a job.
struct Done {
    group: usize,
    shards: ShardGroup,
    records: Vec<Record>,
    /// The group's counters, where the job had a tick.
    counters: Option<ShardCounters>,
}

impl Task {
    fn perform(self) -> Done {
        let Self { group, mut shards, job } = self;
        let mut records = Vec::new();
        let mut counters = None;
        match &job {
            Job::Batch(decoded) => {
                if let Some(route) = decoded.routes.get(group) {
                    records = shards.process(route, &decoded.batch.bytes, &decoded.side);
                    counters = (!route.moments.is_empty()).then(|| shards.counters());
                }
            }
            Job::Reconfigure(settings) => shards.reconfigure(settings),
            Job::Flush(now) => shards.flush(*now, &mut records),
            Job::Finish(now) => {
                shards.finish(*now, &mut records);
                counters = Some(shards.counters());
            }
        }
        Done { group, shards, records, counters }
    }
}

impl State {
    /// Takes a group that has a job to do, chosen by the thread's affinity.
    fn take(&mut self, affinity: Affinity) -> Option<Task> {
        let end = self.first + self.in_flight.len() as u64;
        let is_ready = |group: &usize| self.groups[*group].shards.is_some() && self.groups[*group].next < end;
        let count = self.groups.len();
        let group = match affinity {
            Affinity::Worker { index, workers } => {
                let from_own = (0..count).map(|step| (index * count / workers.max(1) + step) % count);
                from_own.filter(is_ready).min_by_key(|group| self.groups[*group].next)?
            }
            Affinity::Dispatcher => (0..count).rev().find(is_ready)?,
        };
        let GroupSlot { shards, next, .. } = &mut self.groups[group];
        let job = self.in_flight.get((*next - self.first) as usize)?.job.clone();
        Some(Task { group, shards: shards.take()?, job })
    }

    /// Returns whether a group that no thread works on has a job to do.
    fn has_work(&self) -> bool {
        let end = self.first + self.in_flight.len() as u64;
        self.groups.iter().any(|group| group.shards.is_some() && group.next < end)
    }

    fn put_back(&mut self, done: Done) {
        let group = &mut self.groups[done.group];
        group.shards = Some(done.shards);
        group.counters = done.counters.unwrap_or_else(|| std::mem::take(&mut group.counters));
        if let Some(in_flight) = self.in_flight.get_mut((group.next - self.first) as usize) {
            in_flight.undone -= 1;
            in_flight.records.push(done.records);
        }
        group.next += 1;
    }

    /// Takes the oldest job out, if every group has done it.
    fn take_completed(&mut self) -> Option<InFlight> {
        let completed = self.in_flight.pop_front_if(|job| job.undone == 0)?;
        self.first += 1;
        Some(completed)
    }
}

impl Schedule {
    /// A schedule of these groups. `workers` does not count the thread that adds jobs. Without workers there is one batch,
    /// which stays in the caches.
    pub(crate) fn new(groups: Vec<ShardGroup>, workers: usize, records: RecordSender) -> Self {
        let most_in_flight = if workers == 0 { 1 } else { MOST_IN_FLIGHT };
        let free =
            || DecodedBatch { routes: groups.iter().map(|_| Route::default()).collect(), ..DecodedBatch::default() };
        let free = (0..most_in_flight).map(|_| free()).collect();
        let slot = |shards| GroupSlot { shards: Some(shards), next: 0, counters: ShardCounters::default() };
        let groups = groups.into_iter().map(slot).collect();
        let state = State {
            in_flight: VecDeque::with_capacity(most_in_flight),
            first: 0,
            groups,
            free,
            added: Instant::now(),
            is_busy: false,
            sleeping: 0,
            is_sending: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), changes: AtomicU64::new(0), changed: Condvar::new(), records }
    }

    /// Adds a job after all jobs that were added before.
    pub(crate) fn add(&self, job: Job) {
        let mut state = self.lock();
        let undone = state.groups.len();
        let before = std::mem::replace(&mut state.added, Instant::now());
        state.is_busy = state.added.duration_since(before) < POLL_WITHIN;
        state.in_flight.push_back(InFlight { job, records: Vec::with_capacity(undone), undone });
        self.notify(&state);
    }

    /// Returns a batch to be filled. While the calling thread is far ahead of the workers, or no batch is free, it works.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when the records have no receiver any more, or a worker was lost.
    pub(crate) fn free_batch(&self, affinity: Affinity) -> Result<DecodedBatch, Disconnected> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return Err(Disconnected);
            }
            if (state.in_flight.len() >= FAR_AHEAD || state.free.is_empty())
                && let Some(task) = state.take(affinity)
            {
                state = self.perform(state, task);
                continue;
            }
            if let Some(free) = state.free.pop_front() {
                if state.has_work() {
                    self.notify(&state);
                }
                return Ok(free);
            }
            state = self.wait(state);
        }
    }

    /// Works until no job is in flight, or the schedule is closed.
    pub(crate) fn work_until_idle(&self, affinity: Affinity) {
        let mut state = self.lock();
        while !state.is_closed && (state.is_sending || !state.in_flight.is_empty()) {
            state = self.work_or_wait(state, affinity);
        }
    }

    /// Works until the schedule is closed.
    pub(crate) fn work(&self, affinity: Affinity) {
        let _guard = CloseOnPanic(self);
        let mut state = self.lock();
        while !state.is_closed {
            state = self.work_or_wait(state, affinity);
        }
    }

    /// Lets all threads leave.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.notify(&state);
    }

    /// Each group's counters at its last tick, or when it finished.
    pub(crate) fn counters(&self) -> Vec<ShardCounters> {
        self.lock().groups.iter().map(|group| group.counters.clone()).collect()
    }

    fn work_or_wait<'s>(&'s self, mut state: MutexGuard<'s, State>, affinity: Affinity) -> MutexGuard<'s, State> {
        match state.take(affinity) {
            Some(task) => self.perform(state, task),
            None => self.wait(state),
        }
    }

    fn perform<'s>(&'s self, state: MutexGuard<'s, State>, task: Task) -> MutexGuard<'s, State> {
        drop(state);
        let done = task.perform();
        let mut state = self.lock();
        state.put_back(done);
        self.send_completed(state)
    }

    /// Sends the records of all completed jobs. One thread at a time sends; the others go on with the jobs that follow.
    fn send_completed<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        while !state.is_sending
            && let Some(InFlight { job, records, .. }) = state.take_completed()
        {
            state.is_sending = true;
            if state.has_work() {
                // Sending may take long, and this thread does not work meanwhile.
                self.notify(&state);
            }
            drop(state);
            let moments = match &job {
                Job::Batch(decoded) => decoded.routes.first().map(moments_of).unwrap_or_default(),
                Job::Reconfigure(_) | Job::Flush(_) | Job::Finish(_) => Vec::new(),
            };
            let sent = self.records.send(merge(records), moments);
            state = self.lock();
            state.is_sending = false;
            if let Job::Batch(decoded) = job
                && let Some(decoded) = Arc::into_inner(decoded)
            {
                state.free.push_back(decoded);
            }
            state.is_closed |= sent.is_err();
            self.notify(&state);
        }
        state
    }

    /// Waits until something has changed: spins shortly, then polls once or sleeps until another thread wakes this one. May
    /// return before anything has changed.
    fn wait<'s>(&'s self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let seen = self.changes.load(Ordering::Acquire);
        let may_poll = state.is_busy && state.added.elapsed() < POLL_WITHIN;
        drop(state);
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            if self.changes.load(Ordering::Acquire) != seen {
                return self.lock();
            }
            backoff.snooze();
        }
        if may_poll {
            thread::sleep(POLL_INTERVAL);
            return self.lock();
        }
        let mut state = self.lock();
        if self.changes.load(Ordering::Acquire) == seen {
            state.sleeping += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
        state
    }

    /// Tells waiting threads that something has changed. The caller holds the lock.
    fn notify(&self, state: &State) {
        self.changes.fetch_add(1, Ordering::Release);
        if state.sleeping > 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the schedule when its thread panics: the job at hand will never be done, and all threads would wait for it.
pub(super) struct CloseOnPanic<'a>(pub(super) &'a Schedule);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, bounded};

    use crate::{
        sensor::{
            SensorSettings,
            clock::Moment,
            executor::{
                records::{ExchangeReturns, Records},
                routes::{Groups, PlacedMoment},
            },
        },
        time::Timestamp,
    };

    fn settings() -> ShardSettings {
        ShardSettings::of(&SensorSettings::default())
    }

    fn schedule(workers: usize) -> (Schedule, Receiver<Records>) {
        let (records, arriving) = bounded(2);
        let groups = Groups::of_workers(workers, settings().shards);
        let shards = groups.shards().map(|numbers| ShardGroup::new(numbers, &settings())).collect();
        let returns = Arc::new(ExchangeReturns { groups, channels: Vec::new() });
        (Schedule::new(shards, workers, RecordSender { records, returns }), arriving)
    }

    /// Adds batches that hold nothing but a tick each; returns how many were taken.
    fn add_ticks(schedule: &Schedule, numbers: std::ops::Range<u64>) -> u64 {
        let mut taken = 0;
        for number in numbers {
            let Ok(mut decoded) = schedule.free_batch(Affinity::Dispatcher) else { break };
            let moment = Moment::Reached(Timestamp::from_parts(number, 0));
            for route in &mut decoded.routes {
                route.clear();
                route.moments.push(PlacedMoment { before: 0, number, moment });
            }
            schedule.add(Job::Batch(Arc::new(decoded)));
            if number % 100 == 0 {
                schedule.add(Job::Reconfigure(Arc::new(settings())));
            }
            taken += 1;
        }
        taken
    }

    #[test]
    fn batches_leave_in_order_whichever_thread_works() {
        for workers in [0, 1, 2, 7] {
            let (schedule, arriving) = schedule(workers);
            let ticks = thread::scope(|scope| {
                for index in 0..workers {
                    let schedule = &schedule;
                    scope.spawn(move || schedule.work(Affinity::Worker { index, workers }));
                }
                let output =
                    scope.spawn(move || arriving.iter().take(1_000).flat_map(|records| records.moments).collect());
                assert_eq!(add_ticks(&schedule, 0..1_000), 1_000);
                schedule.work_until_idle(Affinity::Dispatcher);
                schedule.close();
                let ticks: Vec<(u64, Moment)> = output.join().unwrap();
                ticks
            });
            assert!(ticks.iter().map(|(number, _)| *number).eq(0..1_000), "{workers} workers");
            let most_in_flight = if workers == 0 { 1 } else { MOST_IN_FLIGHT };
            assert_eq!(schedule.lock().free.len(), most_in_flight, "every batch comes back");
        }
    }

    #[test]
    fn all_threads_leave_when_nobody_receives_the_records() {
        for workers in [0, 3] {
            let (schedule, arriving) = schedule(workers);
            thread::scope(|scope| {
                for index in 0..workers {
                    let schedule = &schedule;
                    scope.spawn(move || schedule.work(Affinity::Worker { index, workers }));
                }
                scope.spawn(move || drop(arriving.recv()));
                assert!(add_ticks(&schedule, 0..1_000) < 1_000);
                schedule.work_until_idle(Affinity::Dispatcher);
            });
        }
    }

    #[test]
    fn all_threads_leave_when_a_worker_is_lost() {
        let (schedule, _arriving) = schedule(2);
        thread::scope(|scope| {
            scope.spawn(|| schedule.work(Affinity::Worker { index: 0, workers: 2 }));
            let lost = scope.spawn(|| {
                let _guard = CloseOnPanic(&schedule);
                std::panic::resume_unwind(Box::new("lost"));
            });
            assert!(lost.join().is_err());
            assert!(schedule.free_batch(Affinity::Dispatcher).is_err());
        });
    }
}
