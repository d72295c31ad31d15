//! Limits and times of reassembly.
//!
//! In: nothing; every number has a default. Out: [`TcpSettings`]. The totals apply to one flow table, that is, to one shard.

use std::time::Duration;

/// Which bytes win where overlapping segments disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlapPolicy {
    /// The bytes that arrive first, as most receivers keep them.
    #[default]
    First,
    /// The bytes that arrive last before delivery.
    Last,
}

/// Which resets are accepted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetPolicy {
    /// Resets at a sequence number that the receiver may expect next (RFC 5961, section 3.2): from the last number that it
    /// acknowledged to the last number that it was sent. Other resets in the window are accepted only if the sender stays
    /// silent after them.
    #[default]
    Strict,
    /// All resets in the window (RFC 9293, section 3.10.7.4, before RFC 5961).
    Window,
}

/// Settings of reassembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSettings {
    /// Most memory for the pieces out of order of one direction of one connection, in bytes, bookkeeping included.
    pub max_in_flight_bytes: usize,
    /// Most pieces out of order of one direction of one connection.
    pub max_waiting_pieces: usize,
    /// Most memory for the pieces out of order of all connections, in bytes, bookkeeping included.
    pub max_total_waiting_bytes: usize,
    /// Most pieces out of order of all connections.
    pub max_total_waiting_pieces: usize,
    /// The reordering tolerance: by how much packet time the capture may be out of order. A gap is declared this long after
    /// the receiver acknowledged its bytes. The first byte of a stream without SYN is settled this long after the stream's
    /// first segment.
    pub reorder_time: Duration,
    /// The same tolerance in segments of the connection. The tolerance that is over first counts.
    pub reorder_segments: u16,
    /// How long bytes may be missing before a gap is declared, if the receiver's acknowledgments are not seen.
    pub gap_time: Duration,
    /// How long bytes may be missing before a gap is declared, if acknowledgments are seen but do not cover the missing
    /// bytes. In this case the sender must still send these bytes.
    pub gap_patience: Duration,
    /// The window: how far from the expected sequence number data is plausible, in bytes.
    pub window: u32,
    /// Which bytes win where overlapping segments disagree.
    pub overlap: OverlapPolicy,
    /// Which resets are accepted at once.
    pub reset: ResetPolicy,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            max_in_flight_bytes: 1 << 20,
            max_waiting_pieces: 1_024,
            max_total_waiting_bytes: 64 << 20,
            max_total_waiting_pieces: 1 << 18,
            reorder_time: Duration::from_millis(250),
            reorder_segments: 32,
            gap_time: Duration::from_secs(3),
            gap_patience: Duration::from_secs(30),
            window: 16 << 20,
            overlap: OverlapPolicy::default(),
            reset: ResetPolicy::default(),
        }
    }
}
