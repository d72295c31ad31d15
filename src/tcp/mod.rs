//! Reassembly of TCP streams.
//!
//! In: segments of one connection, in any order, repeated, incomplete and forged. Out: [`Chunk`]s of each direction in
//! stream order, to a [`StreamConsumer`]. Promises: in-order bytes are never copied. Memory is capped in bytes and in
//! pieces. The same bytes give the same content, however they were cut into segments, reordered or repeated.

mod claims;
mod connection;
mod control;
mod counters;
mod delivery;
mod evidence;
mod gaps;
mod half;
mod overlap;
mod pool;
mod relocation;
mod settings;
mod waiting;

pub use counters::{GapCounters, Gaps, TcpCounters};
pub use evidence::Evidence;
pub use settings::{OverlapPolicy, ResetPolicy, TcpSettings};

pub(crate) use connection::{Bystander, Connection, GapCause, Shared, Stage, Verdict};
pub(crate) use pool::Pool;

use crate::{
    address::Endpoint,
    capture::Stamp,
    decode::{Encapsulation, Segment, TcpFlags},
};

/// One of a connection's two directions, named by the order of its endpoints. The names do not depend on who opened the
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the lower endpoint to the upper.
    Ascending = 0,
    /// From the upper endpoint to the lower.
    Descending = 1,
}

impl Direction {
    /// Both directions.
    pub const BOTH: [Self; 2] = [Self::Ascending, Self::Descending];

    /// The other direction.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// A segment whose flow is known, without the fields that identify the flow.
#[derive(Debug, Clone, Copy)]
pub struct FlowSegment<'a> {
    /// Sequence number of the first byte, or of the SYN if that flag is set.
    pub sequence: u32,
    /// Acknowledgment number; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// The captured payload bytes; fewer than `wire_length` under a snap length.
    pub payload: &'a [u8],
    /// Payload length on the wire; at least `payload.len()`.
    pub wire_length: u32,
    /// The TCP header's bytes; empty if the checksum cannot be verified.
    pub header: &'a [u8],
    /// Interface, VLAN tags and tunnels of the packet.
    pub encapsulation: &'a Encapsulation,
}

impl<'a> FlowSegment<'a> {
    /// Takes the remaining fields of a decoded segment.
    pub const fn of(segment: &'a Segment<'_>) -> Self {
        Self {
            sequence: segment.sequence,
            acknowledgment: segment.acknowledgment,
            flags: segment.flags,
            payload: segment.payload,
            wire_length: segment.wire_length,
            header: segment.header,
            encapsulation: &segment.encapsulation,
        }
    }
}

/// The next part of one direction's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes that directly follow the chunk before.
    Data(&'a [u8]),
    /// This many bytes were captured but not kept: they waited out of order, and [`StreamConsumer::unneeded`] covered them.
    Skipped(u64),
    /// This many bytes were sent but never captured.
    Gap(u64),
    /// This many bytes end the packet of which the bytes before were captured: they lie beyond the capture's snap length.
    Snapped(u64),
    /// The sender will send no more: FIN, in its place in the stream.
    Fin,
    /// A reset from this direction's sender was accepted.
    Reset,
}

impl Chunk<'_> {
    /// How many bytes of the stream it stands for.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Skipped(length) | Self::Gap(length) | Self::Snapped(length) => *length,
            Self::Fin | Self::Reset => 0,
        }
    }
}

/// Where and when a chunk was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkContext {
    /// The packet that carried the chunk's first byte. For a gap, the packet that caused the gap to be declared.
    pub carried: Stamp,
    /// The packet now being processed, which allowed the chunk to be delivered. Never before `carried`.
    pub now: Stamp,
    /// The direction of the stream.
    pub direction: Direction,
    /// Stream offset of the chunk's first byte. Offset 0 is the first byte after SYN, or the first byte seen if the SYN was
    /// not seen.
    pub offset: u64,
    /// The acknowledgment in the packet that carried the chunk, as an offset of the *opposite* stream: the sender had
    /// received all bytes before that offset when it sent the packet. `None` without ACK. After a gap, this offset is needed
    /// to pair requests with responses.
    pub acknowledged: Option<u64>,
    /// The highest acknowledgment number that the receiver of this direction has sent. `None` if the receiver was not seen.
    pub receiver: Option<u32>,
}

/// Why a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides sent FIN, and all bytes before the FINs were delivered.
    Closed,
    /// One side reset the connection.
    Reset,
    /// The flow was silent for longer than the time-out.
    Idle,
    /// The flow made room for another flow under the flow cap.
    Evicted,
    /// A new connection took the same ports.
    Replaced,
    /// The capture ended.
    CaptureEnd,
}

/// What reassembly knows of a flow so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowFacts {
    /// The two endpoints: the sender of each direction.
    pub ends: [Endpoint; 2],
    /// The TCP sequence number of stream offset 0, by direction. Valid once bytes of that direction were delivered.
    pub first_sequence: [u32; 2],
    /// VLAN tags and tunnels of the first packet.
    pub encapsulation: Encapsulation,
    /// The direction in which the initiator's SYN went, if a SYN or SYN-ACK was seen.
    pub opened_by: Option<Direction>,
    /// Bytes never captured, both directions.
    pub gap_bytes: u64,
    /// Overlapping bytes that disagreed, both directions.
    pub disagreeing_bytes: u64,
    /// What supports the streams.
    pub evidence: Evidence,
}

impl FlowFacts {
    /// Creates the facts of a new connection: only its endpoints and the encapsulation of its first packet are known.
    pub const fn new(ends: [Endpoint; 2], encapsulation: Encapsulation) -> Self {
        Self {
            ends,
            first_sequence: [0; 2],
            encapsulation,
            opened_by: None,
            gap_bytes: 0,
            disagreeing_bytes: 0,
            evidence: Evidence::NONE,
        }
    }

    /// Returns whether nothing is known to be missing: the connection's beginning was captured, and there is no gap.
    pub const fn is_whole(&self) -> bool {
        self.opened_by.is_some() && self.gap_bytes == 0
    }

    /// Returns the endpoint that sends in a direction.
    pub const fn sender(&self, direction: Direction) -> Endpoint {
        self.ends[direction as usize]
    }

    /// Returns the TCP sequence number of the byte at a stream offset. It is the same for every sensor, whichever packet of
    /// the connection the sensor captured first.
    pub const fn sequence(&self, direction: Direction, offset: u64) -> u32 {
        self.first_sequence[direction as usize].wrapping_add(offset as u32)
    }
}

/// Receives the streams. The flow table keeps one state `S` for each flow.
pub trait StreamConsumer<S> {
    /// Takes the next chunk of one direction.
    fn chunk(&mut self, flow: &FlowFacts, state: &mut S, context: &ChunkContext, chunk: Chunk<'_>);
    /// Called when the flow is over and no more chunks come: once for each flow, whatever the ending.
    fn end(&mut self, flow: &FlowFacts, state: &mut S, now: Stamp, ending: Ending);
    /// Returns how many of this direction's next bytes the consumer will not read, for example in a body of known length.
    /// The content of these bytes need not be kept while they wait out of order.
    fn unneeded(&self, state: &S, direction: Direction) -> u64;
    /// Returns whether the consumer holds something of the flow that it may release after some time, without another
    /// segment.
    fn awaits_time(&self, _state: &S) -> bool {
        false
    }
    /// Called with bytes that a segment repeats, before their receiver acknowledged them. Returns whether the consumer knows
    /// that they differ from the bytes that were delivered at the same place.
    fn repeated(&mut self, _flow: &FlowFacts, _state: &mut S, _context: &ChunkContext, _bytes: &[u8]) -> bool {
        false
    }
    /// Called when segments with different contents were captured, before any of these bytes is delivered. The context gives
    /// the first of the `length` bytes.
    fn contested(&mut self, _flow: &FlowFacts, _state: &mut S, _context: &ChunkContext, _length: u64) {}
    /// Called at ticks of packet time, as long as [`awaits_time`](Self::awaits_time) returns `true`.
    fn tick(&mut self, _flow: &FlowFacts, _state: &mut S, _now: Stamp) {}
    /// Called at ticks of packet time, for what the consumer keeps of flows that have ended.
    fn time(&mut self, _now: Stamp) {}
    /// Called at the end of the capture, when all bytes of all flows were delivered and before the first flow ends. The consumer tries
    /// again what waits for something that another flow may have shown.
    fn flushed(&mut self, _flow: &FlowFacts, _state: &mut S, _now: Stamp) {}
    /// Called at the end of the capture, when all flows have ended.
    fn finish(&mut self, _now: Stamp) {}
}
