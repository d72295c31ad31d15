//! Reads one run of a file: see [`index`](super::index).
//!
//! In: a reader that is placed before the run. Out: batches of the run's packets in the order of time, each with its key:
//! its stamp, or, where the stamp is in doubt, the stamp of the packet before it. Promises: packets of equal time keep their
//! order; at most [`MOST_HELD`] bytes are held back to sort steps back that lie in two batches.

use std::time::Duration;

use crate::{
    capture::{PacketBatch, PacketRecord},
    time::Timestamp,
};

use super::{CaptureCounters, Filled, index::Run, reader::CaptureReader};

/// Most bytes that are held back.
const MOST_HELD: usize = 4 << 20;

/// How far the reading of a run is.
#[derive(Debug)]
pub(super) struct RunProgress {
    /// Packets that are not part of the run and come before it.
    skip: usize,
    /// Packets of the run that were read, and that are still to be read.
    read: u64,
    left: u64,
    jitter: Duration,
    doubted: std::vec::IntoIter<u64>,
    next_doubted: Option<u64>,
    /// The key of the last packet that was read.
    key: Timestamp,
    /// Packets that were read, but which later packets may precede.
    held: PacketBatch,
    held_keys: Vec<Timestamp>,
    /// The counters of this part of the file. The index has counted it already.
    counted: CaptureCounters,
}

impl RunProgress {
    /// A run that is not begun.
    pub(super) fn new(run: Run) -> Self {
        let Run { skip, packets, first, jitter, doubted, .. } = run;
        let mut doubted = doubted.into_iter();
        Self {
            skip,
            read: 0,
            left: packets,
            jitter,
            next_doubted: doubted.next(),
            doubted,
            key: first,
            held: PacketBatch::default(),
            held_keys: Vec::new(),
            counted: CaptureCounters::default(),
        }
    }

    /// Reads the next packets of the run.
    pub(super) fn fill(
        &mut self,
        reader: &mut CaptureReader,
        batch: &mut PacketBatch,
        keys: &mut Vec<Timestamp>,
        block: usize,
    ) -> Filled {
        loop {
            keys.clear();
            batch.records.clear();
            if self.left > 0 {
                batch.bytes.truncate(block);
                match reader.fill(batch, 0, block, &mut self.counted) {
                    Ok(Filled::Packets) => self.take_part(batch, keys),
                    // The index has reported why the file ends here.
                    Ok(Filled::End) | Err(_) => {
                        batch.records.clear();
                        self.left = 0;
                    }
                }
            } else if self.held.records.is_empty() {
                return Filled::End;
            }
            if !self.jitter.is_zero() {
                self.sort(batch, keys);
            }
            if !batch.records.is_empty() {
                return Filled::Packets;
            }
        }
    }

    /// Removes the packets that are not part of the run, and finds the keys of the others.
    fn take_part(&mut self, batch: &mut PacketBatch, keys: &mut Vec<Timestamp>) {
        let before = self.skip.min(batch.records.len());
        self.skip -= before;
        batch.records.drain(..before);
        batch.records.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= batch.records.len() as u64;
        for record in &batch.records {
            if self.next_doubted == Some(self.read) {
                self.next_doubted = self.doubted.next();
            } else {
                self.key = record.stamp.time;
            }
            self.read += 1;
            keys.push(self.key);
        }
    }

    /// Sorts the packets of the batch and those that were held back. Holds the packets back that later ones may precede.
    fn sort(&mut self, batch: &mut PacketBatch, keys: &mut Vec<Timestamp>) {
        let mut packets: Vec<(Timestamp, PacketRecord)> = Vec::with_capacity(self.held_keys.len() + keys.len());
        for (key, record) in self.held_keys.drain(..).zip(&self.held.records) {
            let offset = batch.bytes.len() as u32;
            batch.bytes.extend_from_slice(self.held.packet(record).data);
            packets.push((key, PacketRecord { offset, ..*record }));
        }
        packets.extend(keys.drain(..).zip(batch.records.drain(..)));
        packets.sort_by_key(|(key, _)| *key);
        self.held.records.clear();
        self.held.bytes.clear();
        let latest = packets.last().map(|(key, _)| *key).unwrap_or_default();
        let mut due = packets.partition_point(|(key, _)| self.left == 0 || key.plus(self.jitter) <= latest);
        let mut late: usize = packets.iter().skip(due).map(|(_, record)| record.captured as usize).sum();
        while late > MOST_HELD {
            late -= packets.get(due).map_or(late, |(_, record)| record.captured as usize);
            due += 1;
        }
        for (key, record) in packets.drain(due.min(packets.len())..) {
            let offset = self.held.bytes.len() as u32;
            self.held.bytes.extend_from_slice(batch.packet(&record).data);
            self.held.records.push(PacketRecord { offset, ..record });
            self.held_keys.push(key);
        }
        for (key, record) in packets {
            keys.push(key);
            batch.records.push(record);
        }
    }
}
