//! Decoded batches: the segments of one [`PacketBatch`], placed on their shards.
//!
//! In: segments as decoding lends them out. Out: [`PlacedSegment`]s that own nothing and point into the batch's bytes, so that a
//! batch can be shared with workers without copying payload. Bytes that decoding made itself (reassembled fragments)
//! are copied into the batch's side buffer.

use crate::{
    capture::Stamp,
    decode::{Encapsulation, Segment, TcpFlags},
    flow::{self, Direction, FlowKey},
};

/// Shards in all: fixed, so that caps, timers and order do not depend on the worker count.
pub const SHARDS: usize = 16;

/// Where a payload lies.
#[derive(Debug, Clone, Copy)]
enum PayloadPlace {
    /// In the packet batch's bytes.
    Packet(u32),
    /// In the side buffer.
    Side(u32),
}

/// One segment, with its flow's key and hash, pointing into its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlacedSegment {
    /// The flow.
    pub key: FlowKey,
    /// Hash of the key: chooses the shard, and the place in the shard's table.
    pub hash: u64,
    /// Packet number and time.
    pub stamp: Stamp,
    /// Which way.
    pub direction: Direction,
    flags: TcpFlags,
    window: u16,
    sequence: u32,
    acknowledgment: u32,
    place: PayloadPlace,
    captured: u32,
    wire_length: u32,
    encapsulation: Encapsulation,
}

/// The shard that owns a flow.
#[inline]
pub(super) const fn shard_of(hash: u64) -> usize {
    flow::shard(hash, SHARDS)
}

/// A moment of packet time at which every shard runs its timers, before the segment at `before`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    /// Index into the route's segments.
    pub before: u32,
    /// The packet whose time made the tick due.
    pub stamp: Stamp,
}

/// The segments of one batch that go to one worker, in packet order, and the ticks between them.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Segments.
    pub segments: Vec<PlacedSegment>,
    /// Ticks, in order.
    pub ticks: Vec<Tick>,
}

impl Route {
    /// Empties the route, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.ticks.clear();
    }
}

/// Payload bytes that decoding made itself.
#[derive(Debug, Default)]
pub(super) struct SideBuffer(Vec<u8>);

impl SideBuffer {
    /// Empties the buffer, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl PlacedSegment {
    /// Places a segment of the batch that `bytes` are of.
    #[inline]
    pub(super) fn place(
        segment: &Segment<'_>,
        (key, direction): (FlowKey, Direction),
        hash: u64,
        stamp: Stamp,
        bytes: &[u8],
        side: &mut SideBuffer,
    ) -> Self {
        let offset = (segment.payload.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        let inside = offset <= bytes.len() && segment.payload.len() <= bytes.len() - offset;
        let place = if inside {
            PayloadPlace::Packet(offset as u32)
        } else {
            let start = side.0.len() as u32;
            side.0.extend_from_slice(segment.payload);
            PayloadPlace::Side(start)
        };
        Self {
            key,
            hash,
            stamp,
            direction,
            flags: segment.flags,
            window: segment.window,
            sequence: segment.sequence,
            acknowledgment: segment.acknowledgment,
            place,
            captured: segment.payload.len() as u32,
            wire_length: segment.wire_length,
            encapsulation: segment.encapsulation,
        }
    }

    /// The segment again, borrowing its payload from where it lies.
    #[inline]
    pub(super) fn segment<'a>(&self, bytes: &'a [u8], side: &'a SideBuffer) -> Segment<'a> {
        let (from, start) = match self.place {
            PayloadPlace::Packet(start) => (bytes, start as usize),
            PayloadPlace::Side(start) => (side.0.as_slice(), start as usize),
        };
        Segment {
            source: self.key.sender(self.direction),
            destination: self.key.sender(self.direction.opposite()),
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            window: self.window,
            flags: self.flags,
            payload: from.get(start..start + self.captured as usize).unwrap_or_default(),
            wire_length: self.wire_length,
            encapsulation: self.encapsulation,
        }
    }
}
