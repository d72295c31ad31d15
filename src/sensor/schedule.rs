//! Who works on what: batches in flight, and the groups of shards that have not done them yet.
//!
//! In: [`Work`], in order. Out: its records, in the same order, to [`Reports`]. Promises: every group does all work in order and on
//! one thread at a time, whichever is free; what is in flight is bounded; a thread that would have to wait for others works
//! instead, so that cores are busy whatever the traffic is like and however unequal the threads' other duties are.

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

use crate::capture::{PacketBatch, Stamp};

use super::{
    merge::merge,
    record::Record,
    reports::{Disconnected, Reports, ticks_of},
    segments::{Route, SideBuffer},
    shard::{ShardGroup, ShardSettings, Tally},
};

/// Most batches in flight: enough for a thread that is held up not to hold up the others.
const IN_FLIGHT: usize = 8;

/// Batches in flight from which on the thread that reads and decodes works too: those that wait should not leave the caches.
const AHEAD: usize = 4;

/// Where work comes within this time of the work before, threads that find none nap and look again, and sleep only after it: to wake
/// one for every batch took an eighth of the processor time on bodies of megabytes.
const BRISK: Duration = Duration::from_micros(300);

/// The least that a nap takes; with the kernel's slack, a few batches' time.
const NAP: Duration = Duration::from_micros(50);

/// A batch after decoding, shared by all who work on it.
#[derive(Default)]
pub(crate) struct Dispatched {
    pub batch: PacketBatch,
    pub side: SideBuffer,
    /// By group.
    pub routes: Vec<Route>,
}

/// What every group does once.
#[derive(Clone)]
pub(crate) enum Work {
    /// Process its route of a batch.
    Batch(Arc<Dispatched>),
    /// Go on under other settings.
    Reconfigure(Arc<ShardSettings>),
    /// End all flows: the packets are over.
    Finish(Stamp),
}

/// Work that not every group has done, or whose records have not left.
struct Flight {
    work: Work,
    /// What the groups found that have done it.
    parts: Vec<Vec<Record>>,
    undone: usize,
}

/// A group between two pieces of work, or away doing one.
struct Place {
    shards: Option<ShardGroup>,
    /// Number of the work that is next for it.
    next: u64,
    /// What it had counted at its last tick.
    tally: Tally,
}

struct State {
    /// The oldest first.
    flights: VecDeque<Flight>,
    /// Number of the oldest.
    first: u64,
    places: Vec<Place>,
    /// Batches to be filled, the first that came back first: nobody else's core has its bytes any more.
    free: VecDeque<Dispatched>,
    /// When work was added last.
    added: Instant,
    /// Whether it came soon after the work before.
    is_brisk: bool,
    /// Threads that sleep.
    sleeping: usize,
    /// Whether a thread is sending records on.
    is_leaving: bool,
    /// Nobody works any more: all is done, or whoever takes the records has gone, or a thread of this schedule.
    is_over: bool,
}

/// The schedule, shared by all threads of the packet path.
pub(crate) struct Schedule {
    state: Mutex<State>,
    /// Counts what those who wait may wait for; changed under the lock, read without it too.
    changes: AtomicU64,
    changed: Condvar,
    reports: Reports,
}

/// Where a thread looks for work first: the flows of a group are in the cache of the core that worked on them last.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seat {
    /// One of so many workers: takes the oldest work, whose records everyone waits for; of equally old, its share of the groups first.
    Worker { index: usize, workers: usize },
    /// The thread that reads and decodes: takes the work of the last groups, however old.
    Dispatcher,
}

/// A group away with its next piece of work.
struct Task {
    place: usize,
    shards: ShardGroup,
    work: Work,
}

/// A group that comes back.
struct Done {
    place: usize,
    shards: ShardGroup,
    found: Vec<Record>,
    tally: Option<Tally>,
}

impl Task {
    fn perform(self) -> Done {
        let Self { place, mut shards, work } = self;
        let mut found = Vec::new();
        let mut tally = None;
        match &work {
            Work::Batch(dispatched) => {
                if let Some(route) = dispatched.routes.get(place) {
                    shards.process(route, &dispatched.batch.bytes, &dispatched.side, &mut found);
                    tally = (!route.ticks.is_empty()).then(|| shards.tally());
                }
            }
            Work::Reconfigure(settings) => shards.reconfigure(settings),
            Work::Finish(now) => {
                shards.finish(*now, &mut found);
                tally = Some(shards.tally());
            }
        }
        Done { place, shards, found, tally }
    }
}

impl State {
    /// The next piece of work of a group that is here, chosen as the seat says.
    fn take(&mut self, seat: Seat) -> Option<Task> {
        let end = self.first + self.flights.len() as u64;
        let waiting = |place: &usize| self.places[*place].shards.is_some() && self.places[*place].next < end;
        let count = self.places.len();
        let place = match seat {
            Seat::Worker { index, workers } => {
                let own = (0..count).map(|step| (index * count / workers.max(1) + step) % count);
                own.filter(waiting).min_by_key(|place| self.places[*place].next)?
            }
            Seat::Dispatcher => (0..count).rev().find(waiting)?,
        };
        let Place { shards, next, .. } = &mut self.places[place];
        let work = self.flights.get((*next - self.first) as usize)?.work.clone();
        Some(Task { place, shards: shards.take()?, work })
    }

    /// Whether a group is here that has work.
    fn has_work(&self) -> bool {
        let end = self.first + self.flights.len() as u64;
        self.places.iter().any(|place| place.shards.is_some() && place.next < end)
    }

    fn put_back(&mut self, done: Done) {
        let place = &mut self.places[done.place];
        place.shards = Some(done.shards);
        place.tally = done.tally.unwrap_or_else(|| std::mem::take(&mut place.tally));
        if let Some(flight) = self.flights.get_mut((place.next - self.first) as usize) {
            flight.undone -= 1;
            flight.parts.push(done.found);
        }
        place.next += 1;
    }

    /// The oldest work, if every group has done it.
    fn leaving(&mut self) -> Option<Flight> {
        let flight = self.flights.pop_front_if(|flight| flight.undone == 0)?;
        self.first += 1;
        Some(flight)
    }
}

impl Schedule {
    /// A schedule of these groups, for so many workers beside the thread that adds work. Without any, one batch at a time stays
    /// in the caches.
    pub(crate) fn new(groups: Vec<ShardGroup>, workers: usize, reports: Reports) -> Self {
        let in_flight = if workers == 0 { 1 } else { IN_FLIGHT };
        let free = || Dispatched { routes: groups.iter().map(|_| Route::default()).collect(), ..Dispatched::default() };
        let free = (0..in_flight).map(|_| free()).collect();
        let place = |shards| Place { shards: Some(shards), next: 0, tally: Tally::default() };
        let places = groups.into_iter().map(place).collect();
        let flights = VecDeque::with_capacity(in_flight);
        let state = State {
            flights,
            first: 0,
            places,
            free,
            added: Instant::now(),
            is_brisk: false,
            sleeping: 0,
            is_leaving: false,
            is_over: false,
        };
        Self { state: Mutex::new(state), changes: AtomicU64::new(0), changed: Condvar::new(), reports }
    }

    /// Adds work, after all that was added before.
    pub(crate) fn add(&self, work: Work) {
        let mut state = self.lock();
        let undone = state.places.len();
        let before = std::mem::replace(&mut state.added, Instant::now());
        state.is_brisk = state.added.duration_since(before) < BRISK;
        state.flights.push_back(Flight { work, parts: Vec::with_capacity(undone), undone });
        self.tell(&state);
    }

    /// A batch to be filled. As long as the calling thread is far ahead, or would have to wait for one, it works.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when the records' receiver has gone, or a thread of this schedule.
    pub(crate) fn vacant(&self, seat: Seat) -> Result<Dispatched, Disconnected> {
        let mut state = self.lock();
        loop {
            if state.is_over {
                return Err(Disconnected);
            }
            if (state.flights.len() >= AHEAD || state.free.is_empty())
                && let Some(task) = state.take(seat)
            {
                state = self.perform(state, task);
                continue;
            }
            if let Some(free) = state.free.pop_front() {
                if state.has_work() {
                    self.tell(&state);
                }
                return Ok(free);
            }
            state = self.wait(state);
        }
    }

    /// Works until nothing is left in flight, or the records' receiver has gone.
    pub(crate) fn work_off(&self, seat: Seat) {
        let mut state = self.lock();
        while !state.is_over && (state.is_leaving || !state.flights.is_empty()) {
            state = self.work_or_wait(state, seat);
        }
    }

    /// Works until the schedule ends.
    pub(crate) fn work(&self, seat: Seat) {
        let _alarm = Alarm(self);
        let mut state = self.lock();
        while !state.is_over {
            state = self.work_or_wait(state, seat);
        }
    }

    /// Lets everyone go.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_over = true;
        self.tell(&state);
    }

    /// What every group had counted at its last tick, or when it finished.
    pub(crate) fn tallies(&self) -> Vec<Tally> {
        self.lock().places.iter().map(|place| place.tally.clone()).collect()
    }

    fn work_or_wait<'s>(&'s self, mut state: MutexGuard<'s, State>, seat: Seat) -> MutexGuard<'s, State> {
        match state.take(seat) {
            Some(task) => self.perform(state, task),
            None => self.wait(state),
        }
    }

    fn perform<'s>(&'s self, state: MutexGuard<'s, State>, task: Task) -> MutexGuard<'s, State> {
        drop(state);
        let done = task.perform();
        let mut state = self.lock();
        state.put_back(done);
        self.see_off(state)
    }

    /// Sends on the records of all work that is done. One thread at a time does so; the others go on with what comes after.
    fn see_off<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        while !state.is_leaving
            && let Some(Flight { work, parts, .. }) = state.leaving()
        {
            state.is_leaving = true;
            if state.has_work() {
                // It may take long until this thread is back.
                self.tell(&state);
            }
            drop(state);
            let ticks = match &work {
                Work::Batch(dispatched) => dispatched.routes.first().map(ticks_of).unwrap_or_default(),
                Work::Reconfigure(_) | Work::Finish(_) => Vec::new(),
            };
            let sent = self.reports.send(merge(parts), ticks);
            state = self.lock();
            state.is_leaving = false;
            if let Work::Batch(dispatched) = work
                && let Some(dispatched) = Arc::into_inner(dispatched)
            {
                state.free.push_back(dispatched);
            }
            state.is_over |= sent.is_err();
            self.tell(&state);
        }
        state
    }

    /// Waits until something has changed, or a little less.
    fn wait<'s>(&'s self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let seen = self.changes.load(Ordering::Acquire);
        let may_nap = state.is_brisk && state.added.elapsed() < BRISK;
        drop(state);
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            if self.changes.load(Ordering::Acquire) != seen {
                return self.lock();
            }
            backoff.snooze();
        }
        if may_nap {
            thread::sleep(NAP);
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

    /// Tells those who wait that something has changed; the lock is held.
    fn tell(&self, state: &State) {
        self.changes.fetch_add(1, Ordering::Release);
        if state.sleeping > 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets everyone go when a thread is lost: what its group had to do will never be done.
struct Alarm<'a>(&'a Schedule);

impl Drop for Alarm<'_> {
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
        event::EventSettings,
        flow::FlowSettings,
        sensor::{
            record::{Records, WaysBack},
            segments::{Groups, Tick},
            shard::Reporting,
        },
        stream::http1::HttpSettings,
        time::Timestamp,
    };

    fn settings() -> ShardSettings {
        let reporting = Reporting { events: EventSettings::default(), every_exchange: false };
        ShardSettings { flow: FlowSettings::default(), http: HttpSettings::default(), reporting }
    }

    fn schedule(workers: usize) -> (Schedule, Receiver<Records>) {
        let (records, arriving) = bounded(2);
        let groups = Groups::of_workers(workers);
        let shards = groups.shards().map(|numbers| ShardGroup::new(numbers, &settings())).collect();
        (
            Schedule::new(
                shards,
                workers,
                Reports { records, ways_back: Arc::new(WaysBack { groups, ways: Vec::new() }) },
            ),
            arriving,
        )
    }

    /// Adds batches that hold nothing but a tick each; returns how many were taken.
    fn add_ticks(schedule: &Schedule, numbers: std::ops::Range<u64>) -> u64 {
        let mut taken = 0;
        for number in numbers {
            let Ok(mut dispatched) = schedule.vacant(Seat::Dispatcher) else { break };
            let stamp = Stamp { number, time: Timestamp::from_parts(number, 0) };
            for route in &mut dispatched.routes {
                route.clear();
                route.ticks.push(Tick { before: 0, stamp });
            }
            schedule.add(Work::Batch(Arc::new(dispatched)));
            if number % 100 == 0 {
                schedule.add(Work::Reconfigure(Arc::new(settings())));
            }
            taken += 1;
        }
        taken
    }

    #[test]
    fn whoever_works_batches_leave_in_order() {
        for workers in [0, 1, 2, 7] {
            let (schedule, arriving) = schedule(workers);
            let ticks = thread::scope(|scope| {
                for index in 0..workers {
                    let schedule = &schedule;
                    scope.spawn(move || schedule.work(Seat::Worker { index, workers }));
                }
                let output =
                    scope.spawn(move || arriving.iter().take(1_000).flat_map(|records| records.ticks).collect());
                assert_eq!(add_ticks(&schedule, 0..1_000), 1_000);
                schedule.work_off(Seat::Dispatcher);
                schedule.close();
                let ticks: Vec<(u64, Timestamp)> = output.join().unwrap();
                ticks
            });
            assert!(ticks.iter().map(|(number, _)| *number).eq(0..1_000), "{workers} workers");
            let in_flight = if workers == 0 { 1 } else { IN_FLIGHT };
            assert_eq!(schedule.lock().free.len(), in_flight, "every batch comes back");
        }
    }

    #[test]
    fn when_nobody_takes_the_records_everyone_goes() {
        for workers in [0, 3] {
            let (schedule, arriving) = schedule(workers);
            thread::scope(|scope| {
                for index in 0..workers {
                    let schedule = &schedule;
                    scope.spawn(move || schedule.work(Seat::Worker { index, workers }));
                }
                scope.spawn(move || drop(arriving.recv()));
                assert!(add_ticks(&schedule, 0..1_000) < 1_000);
                schedule.work_off(Seat::Dispatcher);
            });
        }
    }

    #[test]
    fn when_a_worker_is_lost_everyone_goes() {
        let (schedule, _arriving) = schedule(2);
        thread::scope(|scope| {
            scope.spawn(|| schedule.work(Seat::Worker { index: 0, workers: 2 }));
            let lost = scope.spawn(|| {
                let _alarm = Alarm(&schedule);
                std::panic::resume_unwind(Box::new("lost"));
            });
            assert!(lost.join().is_err());
            assert!(schedule.vacant(Seat::Dispatcher).is_err());
        });
    }
}
