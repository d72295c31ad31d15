//! Limits and time-outs of the flow table.
//!
//! In: nothing; every number has a default. Out: [`FlowSettings`]. Each shard has one table, so the totals apply to one
//! shard.

use std::time::Duration;

use crate::tcp::TcpSettings;

/// Settings of a [`FlowTable`](super::FlowTable).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSettings {
    /// Most flows held at once. Above this number, the flow that was silent for longest is evicted: first among the closing
    /// flows, then half-open, half-closed and established flows.
    pub max_flows: usize,
    /// Silence that ends a flow without a completed handshake or data. It may be short, as SYNs are retransmitted within
    /// seconds.
    pub half_open_time: Duration,
    /// Silence that ends an established flow. It is longer than any common keep-alive interval. A flow that continues after
    /// this silence is joined again midstream.
    pub established_time: Duration,
    /// Silence that ends a flow of which one side sent FIN.
    pub half_closed_time: Duration,
    /// How long a closed or reset flow is remembered, to recognise its late and repeated segments.
    pub linger_time: Duration,
    /// Whether segments with wrong checksums wait until their receiver acknowledges them.
    pub judges_checksums: bool,
    /// Reassembly of the flows' streams.
    pub tcp: TcpSettings,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            max_flows: 1_000_000,
            half_open_time: Duration::from_secs(30),
            established_time: Duration::from_secs(600),
            half_closed_time: Duration::from_secs(120),
            linger_time: Duration::from_secs(3),
            judges_checksums: true,
            tcp: TcpSettings::default(),
        }
    }
}
