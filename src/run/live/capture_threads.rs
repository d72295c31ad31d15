//! The capture threads of a live run: one for each source, which is an interface or a member of its fan-out group.
//!
//! In: open [`LiveSource`]s. Out: batches of packets, each with the time up to which its source has been seen, and the counters of
//! each interface. Promises: every source sends a batch at least every fraction of a second, an empty one if there were no
//! packets; a capture thread does nothing but copy packets out of the ring, so the ring fills up only when all queues behind
//! it are full.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    capture::{
        LinkType, PacketBatch,
        filter::{Filter, FilterError},
        live::{Filled, InterfaceCounters, LiveSource, wall_clock},
    },
    tcp::Gaps,
    telemetry::{
        Count,
        snapshot::{Gauge, InterfaceSnapshot},
    },
};

/// Filled batches that may wait, for each source. Further packets wait in the ring, which holds more.
pub(super) const QUEUE: usize = 4;
/// Batches of each source: those that wait, one that is being filled, one in the timeline, one that is being merged.
const BATCHES: usize = QUEUE + 3;
/// Time between two looks at an interface's counters.
const REFRESH: Duration = Duration::from_millis(500);
/// A quiet source counts as seen up to this long ago. The kernel keeps a packet in a block of the ring that is not full for a
/// shorter time. All sources of a timeline wait this long for each other, and their rings must hold the packets of that time.
const RING_DELAY: Duration = Duration::from_millis(100);
/// Longest time to empty the ring after the threads were told to stop.
const DRAIN: Duration = Duration::from_secs(1);

/// What the capture threads share with the packet thread.
#[derive(Clone)]
pub(super) struct CaptureThreads {
    sources: Arc<Vec<Mutex<SourceStatus>>>,
    stop: Arc<AtomicBool>,
    /// The newest filter, and its number: how many there were before it.
    filter: Arc<(Mutex<String>, AtomicU64)>,
    free: (Sender<PacketBatch>, Receiver<PacketBatch>),
    ring_bytes: u32,
}

/// The status of one source, as its capture thread last published it.
#[derive(Debug, Clone)]
struct SourceStatus {
    interface: String,
    link_type: LinkType,
    is_present: bool,
    counters: InterfaceCounters,
    /// Age of the newest packet when it was taken from the ring.
    lag: Duration,
    bytes_per_second: f64,
    /// The number of the filter that the source uses.
    filter_number: u64,
}

impl CaptureThreads {
    /// For these sources, each with this filter and a ring of `ring_bytes`.
    pub(super) fn new(sources: &[LiveSource], ring_bytes: u32, filter: String) -> Self {
        let status = |source: &LiveSource| {
            Mutex::new(SourceStatus {
                interface: source.interface().into(),
                link_type: source.link_type(),
                is_present: true,
                counters: InterfaceCounters::default(),
                lag: Duration::ZERO,
                bytes_per_second: 0.0,
                filter_number: 0,
            })
        };
        let free = bounded(BATCHES * sources.len());
        // All batches are made here. The executor has as many of its own, which it gives in exchange for those it is given:
        // memory does not grow with the load.
        for _ in 0..free.0.capacity().unwrap_or_default() {
            let _never_full = free.0.try_send(PacketBatch::with_room());
        }
        Self {
            sources: Arc::new(sources.iter().map(status).collect()),
            stop: Arc::default(),
            filter: Arc::new((Mutex::new(filter), AtomicU64::new(0))),
            free,
            ring_bytes,
        }
    }

    /// Runs a capture thread: fills batches until the thread is told to stop and the ring is empty.
    pub(super) fn run(&self, index: usize, mut source: LiveSource, filled: &Sender<PacketBatch>) {
        let mut refreshed = Instant::now();
        let mut bytes_before = 0;
        let mut stopping = None;
        let mut filter_number = 0;
        loop {
            if self.filter.1.load(Ordering::Acquire) != filter_number {
                filter_number = self.filter.1.load(Ordering::Acquire);
                source.set_filter(&self.filter.0.lock().unwrap_or_else(PoisonError::into_inner));
                self.update(index, |status| status.filter_number = filter_number);
            }
            let mut batch = self.free.1.try_recv().unwrap_or_default();
            let outcome = source.fill(&mut batch);
            let now = wall_clock();
            let lag = now.since(source.newest());
            batch.reached = Some(match outcome {
                Filled::Packets => source.newest(),
                Filled::Quiet | Filled::Gone => now.minus(RING_DELAY),
            });
            if filled.send(batch).is_err() {
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                let began = *stopping.get_or_insert_with(Instant::now);
                if outcome != Filled::Packets || began.elapsed() > DRAIN {
                    break;
                }
            }
            let passed = refreshed.elapsed();
            if passed >= REFRESH {
                let bytes = source.counters().bytes;
                let rate = (bytes - bytes_before) as f64 / passed.as_secs_f64();
                self.publish(index, &mut source, if outcome == Filled::Packets { lag } else { Duration::ZERO }, rate);
                (refreshed, bytes_before) = (Instant::now(), bytes);
            }
        }
        self.publish(index, &mut source, Duration::ZERO, 0.0);
        // Nobody waits for a thread that has ended.
        self.update(index, |status| status.filter_number = u64::MAX);
    }

    /// Gives a batch back for reuse.
    pub(super) fn recycle(&self, batch: PacketBatch) {
        // When the store is full, the batch is freed.
        let _ = self.free.0.try_send(batch);
    }

    /// Checks that a filter compiles for every interface.
    ///
    /// # Errors
    ///
    /// A filter that does not compile, with the reason.
    pub(super) fn check_filter(&self, expression: &str) -> Result<(), FilterError> {
        for link_type in self.each(|status| status.link_type) {
            Filter::compile(link_type, expression)?;
        }
        Ok(())
    }

    /// Makes the threads use another filter, each with its next batch.
    pub(super) fn use_filter(&self, expression: String) {
        let mut current = self.filter.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != expression {
            *current = expression;
            self.filter.1.fetch_add(1, Ordering::Release);
        }
    }

    /// Returns whether all threads use the filter that [`use_filter`](Self::use_filter) was given last.
    pub(super) fn use_newest_filter(&self) -> bool {
        let newest = self.filter.1.load(Ordering::Acquire);
        self.each(|status| status.filter_number >= newest).into_iter().all(|is_used| is_used)
    }

    /// Tells the threads to stop.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns whether every interface is present.
    pub(super) fn all_present(&self) -> bool {
        self.each(|status| status.is_present).into_iter().all(|present| present)
    }

    /// The counters of all interfaces together.
    pub(super) fn totals(&self) -> InterfaceCounters {
        let mut totals = InterfaceCounters::default();
        for counters in self.each(|status| status.counters.clone()) {
            totals.merge(&counters);
        }
        totals
    }

    /// The counters of each interface, in order of the interface's number. Members of a fan-out group are added up.
    pub(super) fn by_interface(&self) -> Vec<(String, InterfaceCounters)> {
        let mut all: Vec<(String, InterfaceCounters)> = Vec::new();
        for status in self.each(SourceStatus::clone) {
            match all.iter_mut().find(|(interface, _)| *interface == status.interface) {
                Some((_, counters)) => counters.merge(&status.counters),
                None => all.push((status.interface, status.counters)),
            }
        }
        all
    }

    /// The counters of each interface by name, with the gaps in the TCP streams that came through it.
    pub(super) fn counts(&self, gaps: &Gaps) -> Vec<(String, Vec<Count>)> {
        let counts = |(number, (interface, counters)): (usize, (String, InterfaceCounters))| {
            (interface, [counters.counts(), gaps.of(number).counts()].concat())
        };
        self.by_interface().into_iter().enumerate().map(counts).collect()
    }

    /// The numbers of each interface for the metrics endpoint.
    pub(super) fn snapshots(&self, gaps: &Gaps) -> Vec<InterfaceSnapshot> {
        let statuses = self.each(SourceStatus::clone);
        let snapshot = |(interface, counts): (String, Vec<Count>)| {
            let own = || statuses.iter().filter(|status| status.interface == interface);
            let lag = own().map(|status| status.lag).max().unwrap_or_default().as_secs_f64();
            let fill = own().map(|status| status.ring_fill_ratio(self.ring_bytes)).fold(0.0, f64::max);
            let up = own().all(|status| status.is_present);
            let gauges = vec![
                Gauge { name: "present", help: "1 when the interface is there", value: f64::from(u8::from(up)) },
                Gauge { name: "lag_seconds", help: "Age of packets when they are taken from the ring", value: lag },
                Gauge { name: "ring_fill_ratio", help: "Part of the ring in use, by rate and lag", value: fill },
            ];
            InterfaceSnapshot { counts, interface, gauges }
        };
        self.counts(gaps).into_iter().map(snapshot).collect()
    }

    fn publish(&self, index: usize, source: &mut LiveSource, lag: Duration, bytes_per_second: f64) {
        let (is_present, counters) = (source.is_present(), source.counters().clone());
        self.update(index, |status| {
            status.is_present = is_present;
            status.counters = counters;
            status.lag = lag;
            status.bytes_per_second = bytes_per_second;
        });
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut SourceStatus)) {
        let Some(status) = self.sources.get(index) else { return };
        change(&mut status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn each<T>(&self, read: impl Fn(&SourceStatus) -> T) -> Vec<T> {
        self.sources.iter().map(|status| read(&status.lock().unwrap_or_else(PoisonError::into_inner))).collect()
    }
}

impl SourceStatus {
    fn ring_fill_ratio(&self, ring_bytes: u32) -> f64 {
        (self.bytes_per_second * self.lag.as_secs_f64() / f64::from(ring_bytes.max(1))).min(1.0)
    }
}
