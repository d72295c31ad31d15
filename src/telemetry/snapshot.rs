//! The numbers of a running sensor at one moment.
//!
//! In: counters and gauges, from the threads that own them. Out: a [`Snapshot`] of all numbers, for example for the metrics
//! endpoint. Promises: a thread that updates its numbers waits only while another thread updates or copies the snapshot.

use std::sync::{Arc, Mutex, PoisonError};

use super::Count;

/// A value that goes up and down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gauge {
    /// The name in snake case, with the unit at its end.
    pub(crate) name: &'static str,
    /// The meaning of the value, in one line.
    pub(crate) help: &'static str,
    /// The value, in the unit at the end of the name.
    pub(crate) value: f64,
}

/// The counters and gauges of one interface.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InterfaceSnapshot {
    /// The interface's name.
    pub(crate) interface: String,
    /// The interface's counters.
    pub(crate) counts: Vec<Count>,
    /// The interface's gauges.
    pub(crate) gauges: Vec<Gauge>,
}

/// All numbers at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Counters by stage.
    pub(crate) stages: Vec<(&'static str, Vec<Count>)>,
    /// Gauges by stage.
    pub(crate) gauges: Vec<(&'static str, Vec<Gauge>)>,
    /// The numbers of each interface. All interfaces have the same counters and gauges in the same order.
    pub(crate) interfaces: Vec<InterfaceSnapshot>,
    /// Whether packets are being captured on every interface.
    pub(crate) ready: bool,
}

/// The latest snapshot, shared between the threads that update it and the threads that show it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedSnapshot(Arc<Mutex<Snapshot>>);

impl SharedSnapshot {
    /// Changes the snapshot.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns a copy of the latest snapshot.
    pub(crate) fn latest(&self) -> Snapshot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
