//! The reference of the executor, for tests: the same interface over a [`Sensor`], on the calling thread.

use crate::{
    capture::{PacketBatch, filter::FilterError},
    sensor::{Finding, Sensor, SensorSettings},
    telemetry::summary::StageCounts,
};

/// Gives every packet of a batch to a [`Sensor`], one at a time.
pub(super) struct SequentialExecutor {
    sensor: Sensor,
}

impl SequentialExecutor {
    /// An executor that has seen nothing yet.
    pub(super) fn new(settings: &SensorSettings) -> Result<Self, FilterError> {
        Ok(Self { sensor: Sensor::new(settings)? })
    }

    /// Processes a batch, and passes on its findings.
    pub(super) fn push(&mut self, batch: &PacketBatch, findings: &mut impl FnMut(Finding<'_>)) {
        for packet in batch.packets() {
            self.sensor.push(&packet, findings);
        }
        if let Some(time) = batch.reached {
            self.sensor.tick(time, findings);
        }
    }

    /// Ends all connections, executes the open window, and returns the counters of every stage.
    pub(super) fn finish(mut self, findings: &mut impl FnMut(Finding<'_>)) -> Vec<StageCounts> {
        self.sensor.finish(findings);
        self.sensor.counts()
    }
}
