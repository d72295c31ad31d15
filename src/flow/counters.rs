//! The counters of the flow table and of reassembly.
//!
//! In: the counters of one table, and those of its connections. Out: [`FlowCounters`], which users see as the counters of
//! one stage.

use crate::{tcp::TcpCounters, telemetry::Count};

crate::counters! {
    /// Counters of the flow table alone.
    pub struct TableCounters {
        /// TCP segments
        segments,
        /// Payload bytes in them, as long as on the wire
        payload_bytes,
        /// Flows that began with SYN or SYN-ACK
        flows_opened,
        /// Flows joined midstream
        flows_joined,
        /// Segments of unknown flows that start none: neither SYN nor FIN nor payload
        segments_without_flow,
        /// Segments of flows that both sides had closed: repeated, or captured late
        late_segments,
        /// Connections whose whole handshake came again after they had closed: a capture was replayed
        connections_repeated,
        /// Flows that ended with FIN from both sides
        ended_closed,
        /// Flows that ended with a reset
        ended_reset,
        /// Flows that ended by silence
        ended_idle,
        /// Flows that made room for others under the flow cap
        ended_evicted,
        /// Flows whose ports a new connection took
        ended_replaced,
        /// Flows that the end of the capture ended
        ended_capture,
        /// Closed flows forgotten before their linger time, to make room under the flow cap
        lingers_cut,
        /// Segments with a wrong TCP checksum, among those whose flags or bytes matter
        checksums_wrong,
        /// Wrong checksums that count, since the receiver acknowledged one of this connection: the network card fills them in
        checksums_offloaded,
        /// Wrong checksums that count as unconfirmed, since no receiver was seen
        checksums_unanswered,
        /// Segments in doubt decided before their receiver could acknowledge them, to make room
        doubts_evicted,
        /// Segments dropped, since their checksum is wrong and their receiver did not acknowledge them
        checksums_dropped,
        /// Segments left out that came through another tunnel than their connection
        tunnels_refused,
        /// Segments through another tunnel that count, since their receiver acknowledged them
        tunnels_confirmed,
    }
}

/// Counters of one flow table and of the reassembly in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// The counters of the table itself.
    pub table: TableCounters,
    /// The counters of the connections in the table.
    pub tcp: TcpCounters,
}

impl FlowCounters {
    /// Adds the other's counts to these.
    pub fn merge(&mut self, other: &Self) {
        self.table.merge(&other.table);
        self.tcp.merge(&other.tcp);
    }

    /// Returns all counters in the order in which users see them: counters of dropped segments stand together.
    pub fn counts(&self) -> Vec<Count> {
        let mut counts = self.table.counts();
        let mut tcp = self.tcp.counts();
        let dropped = |count: &Count| count.name == "segments_without_flow";
        if let Some(at) = counts.iter().position(dropped) {
            counts.splice(at + 1..at + 1, tcp.drain(..1));
        }
        counts.extend(tcp);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_listed_once_and_those_of_dropped_segments_stand_together() {
        let counters = FlowCounters::default();
        let names: Vec<_> = counters.counts().into_iter().map(|count| count.name).collect();
        assert_eq!(names.len(), counters.table.counts().len() + counters.tcp.counts().len());
        let expected = ["segments_without_flow", "segments_without_acknowledgment", "late_segments"];
        assert!(names.windows(3).any(|three| three == expected), "{names:?}");
        assert_eq!(names.last(), Some(&"syns_with_data"));
    }
}
