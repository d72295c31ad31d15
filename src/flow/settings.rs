//! Limits and time-outs of the flow table and of reassembly.
//!
//! In: nothing; every number has a default. Out: [`FlowSettings`]. One table is one shard: the totals here are a shard's.

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

/// Settings of a [`FlowTable`](super::FlowTable).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSettings {
    /// Flows held at once. Above it the longest quiet goes: closing before half-open before half-closed before
    /// established.
    pub max_flows: usize,
    /// Memory for pieces out of order, one direction of one flow, in bytes, bookkeeping included.
    pub max_waiting_bytes: usize,
    /// Pieces out of order, one direction of one flow.
    pub max_waiting_pieces: usize,
    /// Memory for pieces out of order in the whole table, in bytes, bookkeeping included.
    pub max_total_waiting_bytes: usize,
    /// Pieces out of order in the whole table.
    pub max_total_waiting_pieces: usize,
    /// Silence that ends a flow without a completed handshake or data. SYNs are sent again within seconds.
    pub half_open_time: Duration,
    /// Silence that ends an established flow. Longer than any common keep-alive; a flow that outlives it is picked up
    /// again midstream.
    pub established_time: Duration,
    /// Silence that ends a flow of which one side sent FIN.
    pub half_closed_time: Duration,
    /// How long a closed or reset flow is remembered for its late and repeated segments.
    pub linger_time: Duration,
    /// How much packet time the capture may be out of order: a hole is given up this long after the receiver
    /// acknowledged past it, and the first byte of a flow without SYN is settled this long after its first segment.
    pub reorder_time: Duration,
    /// The same in segments of the flow; whichever comes first.
    pub reorder_segments: u16,
    /// How long a hole may last when the receiver's acknowledgments are not seen.
    pub hole_time: Duration,
    /// How long a hole may last when they are seen, but do not pass it: the sender still owes those bytes.
    pub patience: Duration,
    /// How far from the expected sequence number data is plausible, in bytes.
    pub window: u32,
    /// Overlaps.
    pub overlap: OverlapPolicy,
    /// Resets.
    pub reset: ResetPolicy,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            max_flows: 1_000_000,
            max_waiting_bytes: 1 << 20,
            max_waiting_pieces: 1_024,
            max_total_waiting_bytes: 64 << 20,
            max_total_waiting_pieces: 1 << 18,
            half_open_time: Duration::from_secs(30),
            established_time: Duration::from_secs(600),
            half_closed_time: Duration::from_secs(120),
            linger_time: Duration::from_secs(3),
            reorder_time: Duration::from_millis(250),
            reorder_segments: 32,
            hole_time: Duration::from_secs(3),
            patience: Duration::from_secs(30),
            window: 16 << 20,
            overlap: OverlapPolicy::default(),
            reset: ResetPolicy::default(),
        }
    }
}
