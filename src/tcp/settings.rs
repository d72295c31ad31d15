//! Limits and times of reassembly.
//!
//! In: nothing; every number has a default. Out: [`TcpSettings`]. The totals are those of one flow table, which is one shard.

use std::time::Duration;

/// Which bytes win where overlapping segments disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlapPolicy {
    /// The first to arrive, as most receivers keep it.
    #[default]
    First,
    /// The last to arrive before delivery.
    Last,
}

/// Which resets are believed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetPolicy {
    /// Those at a sequence number the receiver may expect next (RFC 5961, section 3.2): from the last it acknowledged
    /// to the last it was sent. Others in the window are believed only when the sender stays silent after them.
    #[default]
    Strict,
    /// Any in the window (RFC 9293, section 3.10.7.4, before RFC 5961).
    Window,
}

/// Settings of reassembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSettings {
    /// Memory for pieces out of order, one direction of one connection, in bytes, bookkeeping included.
    pub max_waiting_bytes: usize,
    /// Pieces out of order, one direction of one connection.
    pub max_waiting_pieces: usize,
    /// Memory for pieces out of order of all connections, in bytes, bookkeeping included.
    pub max_total_waiting_bytes: usize,
    /// Pieces out of order of all connections.
    pub max_total_waiting_pieces: usize,
    /// How much packet time the capture may be out of order. A gap is declared this long after the receiver acknowledged
    /// past it; the first byte of a stream without SYN is settled this long after its first segment.
    pub reorder_time: Duration,
    /// The same in segments of the connection; whichever comes first.
    pub reorder_segments: u16,
    /// How long bytes may be missing before a gap is declared, when the receiver's acknowledgments are not seen.
    pub gap_time: Duration,
    /// The same when they are seen and do not pass the missing bytes: the sender still owes those.
    pub gap_patience: Duration,
    /// How far from the expected sequence number data is plausible, in bytes.
    pub window: u32,
    /// Overlaps.
    pub overlap: OverlapPolicy,
    /// Resets.
    pub reset: ResetPolicy,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            max_waiting_bytes: 1 << 20,
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
