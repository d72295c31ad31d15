//! Capture threads.
//!
//! In: open [`LiveSource`]s. Out: batches of packets, and what each interface delivered and lost. Promises: a thread does
//! nothing but copy packets out of the ring, so that the ring is full only when everything behind it is.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    capture::{
        PacketBatch,
        live::{Filled, InterfaceCounters, LiveSource, wall_clock},
    },
    telemetry::metrics::{Gauge, InterfaceSnapshot},
};

/// Filled batches that may wait, for each source.
pub(super) const QUEUE: usize = 8;
/// Time between two looks at an interface's counters.
const REFRESH: Duration = Duration::from_millis(500);
/// Longest time to empty the ring after the run was told to stop.
const DRAIN: Duration = Duration::from_secs(1);

/// What the capture threads share with the line.
#[derive(Clone)]
pub(super) struct Captures {
    readings: Arc<Vec<Mutex<Reading>>>,
    stop: Arc<AtomicBool>,
    free: (Sender<PacketBatch>, Receiver<PacketBatch>),
    ring_bytes: u32,
}

/// The state of one source.
#[derive(Debug, Clone, Default)]
struct Reading {
    interface: String,
    present: bool,
    counters: InterfaceCounters,
    /// Age of the newest packet when it was taken from the ring.
    lag: Duration,
    bytes_per_second: f64,
}

impl Captures {
    /// For these sources, each with a ring of so many bytes.
    pub(super) fn new(sources: &[LiveSource], ring_bytes: u32) -> Self {
        let reading = |source: &LiveSource| {
            Mutex::new(Reading { interface: source.interface().into(), present: true, ..Reading::default() })
        };
        Self {
            readings: Arc::new(sources.iter().map(reading).collect()),
            stop: Arc::default(),
            free: bounded(QUEUE * sources.len()),
            ring_bytes,
        }
    }

    /// A capture thread: fills batches until it is told to stop and the ring is empty.
    pub(super) fn run(&self, index: usize, mut source: LiveSource, filled: &Sender<PacketBatch>) {
        let mut refreshed = Instant::now();
        let mut bytes_then = 0;
        let mut stopping = None;
        loop {
            let mut batch = self.free.1.try_recv().unwrap_or_default();
            let outcome = source.fill(&mut batch);
            let lag = wall_clock().since(source.newest());
            if outcome == Filled::Packets {
                if filled.send(batch).is_err() {
                    break;
                }
            } else {
                self.recycle(batch);
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
                let rate = (bytes - bytes_then) as f64 / passed.as_secs_f64();
                self.publish(index, &mut source, if outcome == Filled::Packets { lag } else { Duration::ZERO }, rate);
                (refreshed, bytes_then) = (Instant::now(), bytes);
            }
        }
        self.publish(index, &mut source, Duration::ZERO, 0.0);
    }

    /// Gives a batch back for reuse.
    pub(super) fn recycle(&self, batch: PacketBatch) {
        // A full store needs no more.
        let _ = self.free.0.try_send(batch);
    }

    /// Tells the threads to stop.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether every interface is there.
    pub(super) fn all_present(&self) -> bool {
        self.each(|reading| reading.present).into_iter().all(|present| present)
    }

    /// The counters of all interfaces together.
    pub(super) fn totals(&self) -> InterfaceCounters {
        let mut totals = InterfaceCounters::default();
        for counters in self.each(|reading| reading.counters.clone()) {
            totals.merge(&counters);
        }
        totals
    }

    /// Each interface once: the members of a fan-out group together.
    pub(super) fn by_interface(&self) -> Vec<(String, InterfaceCounters)> {
        let mut all: Vec<(String, InterfaceCounters)> = Vec::new();
        for reading in self.each(Reading::clone) {
            match all.iter_mut().find(|(interface, _)| *interface == reading.interface) {
                Some((_, counters)) => counters.merge(&reading.counters),
                None => all.push((reading.interface, reading.counters)),
            }
        }
        all
    }

    /// Each interface's numbers for the metrics endpoint.
    pub(super) fn snapshots(&self) -> Vec<InterfaceSnapshot> {
        let readings = self.each(Reading::clone);
        let snapshot = |(interface, counters): (String, InterfaceCounters)| {
            let own = || readings.iter().filter(|reading| reading.interface == interface);
            let lag = own().map(|reading| reading.lag).max().unwrap_or_default().as_secs_f64();
            let fill = own().map(|reading| reading.fill(self.ring_bytes)).fold(0.0, f64::max);
            let up = own().all(|reading| reading.present);
            let gauges = vec![
                Gauge { name: "present", help: "1 when the interface is there", value: f64::from(u8::from(up)) },
                Gauge { name: "lag_seconds", help: "Age of packets when they are taken from the ring", value: lag },
                Gauge { name: "ring_fill_ratio", help: "Part of the ring in use, by rate and lag", value: fill },
            ];
            InterfaceSnapshot { counts: counters.counts(), interface, gauges }
        };
        self.by_interface().into_iter().map(snapshot).collect()
    }

    fn publish(&self, index: usize, source: &mut LiveSource, lag: Duration, bytes_per_second: f64) {
        let (present, counters) = (source.is_present(), source.counters().clone());
        let Some(reading) = self.readings.get(index) else { return };
        let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.present = present;
        reading.counters = counters;
        reading.lag = lag;
        reading.bytes_per_second = bytes_per_second;
    }

    fn each<T>(&self, read: impl Fn(&Reading) -> T) -> Vec<T> {
        self.readings.iter().map(|reading| read(&reading.lock().unwrap_or_else(PoisonError::into_inner))).collect()
    }
}

impl Reading {
    fn fill(&self, ring_bytes: u32) -> f64 {
        (self.bytes_per_second * self.lag.as_secs_f64() / f64::from(ring_bytes.max(1))).min(1.0)
    }
}
