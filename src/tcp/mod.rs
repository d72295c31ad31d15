//! Reassembly of TCP streams.
//!
//! In: segments of one connection, in any order, repeated, incomplete and forged. Out: [`Chunk`]s of each direction in
//! stream order, to a [`StreamConsumer`]. Promises: in-order bytes are never copied; memory is capped in bytes and pieces;
//! the same bytes give the same chunks' content however they were cut, reordered or repeated.

mod connection;
mod control;
mod counters;
mod delivery;
mod gaps;
mod half;
mod pool;
mod settings;
mod waiting;

pub use counters::{GapCounters, Gaps, TcpCounters};
pub use settings::{OverlapPolicy, ResetPolicy, TcpSettings};

pub(crate) use connection::{Bystander, Connection, GapCause, Shared, Stage, Verdict};
pub(crate) use pool::Pool;

use crate::{
    address::Endpoint,
    capture::Stamp,
    decode::{Encapsulation, Segment, TcpFlags},
};

/// One of a connection's two directions, named by the order of its endpoints: every segment between the same two has the
/// same two directions, whoever opened the connection.
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

/// A segment whose flow is known: what is left to say of it.
#[derive(Debug, Clone, Copy)]
pub struct FlowSegment<'a> {
    /// Sequence number of the first byte (of SYN, where set).
    pub sequence: u32,
    /// Acknowledgment number; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// The captured payload bytes; fewer than `wire_length` under a snap length.
    pub payload: &'a [u8],
    /// Payload length on the wire; at least `payload.len()`.
    pub wire_length: u32,
    /// Interface, tags and tunnels that it came through.
    pub encapsulation: &'a Encapsulation,
}

impl<'a> FlowSegment<'a> {
    /// A segment as decoding hands it out.
    pub const fn of(segment: &'a Segment<'_>) -> Self {
        Self {
            sequence: segment.sequence,
            acknowledgment: segment.acknowledgment,
            flags: segment.flags,
            payload: segment.payload,
            wire_length: segment.wire_length,
            encapsulation: &segment.encapsulation,
        }
    }
}

/// The next part of one direction's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes, consecutive to the chunk before.
    Data(&'a [u8]),
    /// So many bytes were captured but not kept: they waited out of order and [`StreamConsumer::unneeded`] covered them.
    Skipped(u64),
    /// So many bytes were sent but never captured.
    Gap(u64),
    /// The sender will send no more: FIN, in its place in the stream.
    Fin,
    /// A reset was accepted, sent by this direction's sender; the stream may still be delivered up to here.
    Reset,
}

/// Where and when a chunk was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkContext {
    /// The packet that carried the chunk's first byte (for a gap: the packet that decided it).
    pub carried: Stamp,
    /// The packet now being processed, which made the chunk deliverable. Never before `carried`.
    pub now: Stamp,
    /// Which stream.
    pub direction: Direction,
    /// Stream offset of the chunk's first byte; 0 is the first byte after SYN, or the first seen when SYN was not.
    pub offset: u64,
    /// How far into the *opposite* stream the carrying packet acknowledged, as a stream offset of that direction: the
    /// sender had received all before it when it sent this. `None` without ACK. Pairs requests with responses after loss.
    pub acknowledged: Option<u64>,
}

/// Why a flow was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides sent FIN and all before it was delivered.
    Closed,
    /// A reset.
    Reset,
    /// Silent past the time-out.
    Idle,
    /// Made room for another under the flow cap.
    Evicted,
    /// A new connection took the same ports.
    Replaced,
    /// The capture ended.
    CaptureEnd,
}

/// What TCP saw of a flow so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowFacts {
    /// The two ends: who sends in each direction.
    pub ends: [Endpoint; 2],
    /// The TCP sequence number that each direction's stream offset 0 stands for, once bytes of it were delivered.
    pub first_sequence: [u32; 2],
    /// Tags and tunnels of the first packet.
    pub encapsulation: Encapsulation,
    /// The direction in which the initiator's SYN went, if a SYN or SYN-ACK was seen.
    pub opened_by: Option<Direction>,
    /// Bytes never captured, both directions.
    pub gap_bytes: u64,
    /// Overlapping bytes that disagreed, both directions.
    pub disagreeing_bytes: u64,
}

impl FlowFacts {
    /// The facts of a connection of which nothing is known but its ends and the way its first packet came.
    pub const fn new(ends: [Endpoint; 2], encapsulation: Encapsulation) -> Self {
        Self { ends, first_sequence: [0; 2], encapsulation, opened_by: None, gap_bytes: 0, disagreeing_bytes: 0 }
    }

    /// The endpoint that sends in a direction.
    pub const fn sender(&self, direction: Direction) -> Endpoint {
        self.ends[direction as usize]
    }

    /// The TCP sequence number of the byte at a stream offset: the same for whoever captured the connection, from
    /// whichever packet on.
    pub const fn sequence(&self, direction: Direction, offset: u64) -> u32 {
        self.first_sequence[direction as usize].wrapping_add(offset as u32)
    }
}

/// What takes the streams: one state `S` per flow, kept in the flow table.
pub trait StreamConsumer<S> {
    /// The next chunk of one direction.
    fn chunk(&mut self, flow: &FlowFacts, state: &mut S, context: &ChunkContext, chunk: Chunk<'_>);
    /// The flow is over; no more chunks come. Called once a flow, whatever the ending.
    fn end(&mut self, flow: &FlowFacts, state: &mut S, now: Stamp, ending: Ending);
    /// How many coming bytes of this direction the consumer will not look at (inside a body of known length): their
    /// content need not be kept while they wait out of order.
    fn unneeded(&self, state: &S, direction: Direction) -> u64;
    /// Returns whether something of the flow is held that time alone may release.
    fn awaits_time(&self, _state: &S) -> bool {
        false
    }
    /// Time has passed: called at ticks of packet time, as long as [`awaits_time`](Self::awaits_time) says so.
    fn tick(&mut self, _flow: &FlowFacts, _state: &mut S, _now: Stamp) {}
}
