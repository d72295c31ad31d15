//! Limits and time-outs of the flow table.
//!
//! In: nothing; every number has a default. Out: [`FlowSettings`]. One table is one shard: the totals here are a shard's.

use std::time::Duration;

use crate::tcp::TcpSettings;

/// Settings of a [`FlowTable`](super::FlowTable).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSettings {
    /// Flows held at once. Above it the longest quiet goes: closing before half-open before half-closed before
    /// established.
    pub max_flows: usize,
    /// Silence that ends a flow without a completed handshake or data. SYNs are sent again within seconds.
    pub half_open_time: Duration,
    /// Silence that ends an established flow. Longer than any common keep-alive; a flow that outlives it is picked up
    /// again midstream.
    pub established_time: Duration,
    /// Silence that ends a flow of which one side sent FIN.
    pub half_closed_time: Duration,
    /// How long a closed or reset flow is remembered for its late and repeated segments.
    pub linger_time: Duration,
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
            tcp: TcpSettings::default(),
        }
    }
}
