//! The counters of reassembly.
//!
//! In: nothing; the connections of a table count directly. Out: [`TcpCounters`] over all connections, and [`Gaps`] by
//! interface. Users read a counter's name and help text, so both stay as they are when code is renamed.

crate::counters! {
    /// Counters of reassembly, all connections of one flow table together.
    pub struct TcpCounters {
        /// Segments without ACK from a sender that acknowledged before: dropped, as receivers do
        segments_without_acknowledgment,
        /// Segments that arrived before an earlier one and waited
        out_of_order_segments,
        /// Payload bytes seen more than once: retransmissions, duplicates, overlaps
        repeated_bytes,
        /// Overlapping bytes that disagreed with those already waiting
        disagreeing_bytes,
        /// Keep-alives and window probes: at most one byte, just before the expected
        keep_alives,
        /// Holes given up because the receiver had acknowledged past them
        holes_acknowledged,
        /// Holes given up by time
        holes_timed_out,
        /// Holes given up because one direction held too many bytes or pieces
        holes_direction_cap,
        /// Holes given up because the table held too many bytes or pieces
        holes_total_cap,
        /// Holes given up because the flow ended
        holes_at_end,
        /// Bytes in holes
        gap_bytes,
        /// Bytes beyond the capture's snap length
        snapped_bytes,
        /// Flows whose first byte was settled by the reordering tolerance, no SYN being seen
        starts_guessed,
        /// Segments too far from the expected sequence number
        out_of_window_segments,
        /// Streams picked up elsewhere after a run of consistent segments out of window
        resynchronised,
        /// Bytes after the sender's FIN
        bytes_after_fin,
        /// FINs that the receiver's acknowledgments disproved
        fins_disproved,
        /// Resets believed
        resets_accepted,
        /// Resets in window but not at the expected sequence number, held in doubt
        resets_doubted,
        /// Doubted resets disproved by more from their sender
        resets_disproved,
        /// Resets out of window
        resets_refused,
        /// Flows on which data came after a believed reset
        resumed_after_reset,
        /// SYNs sent again, or captured late
        syns_repeated,
        /// SYNs of another sequence number on an open connection, held in doubt
        syns_doubted,
        /// SYNs that carried data
        syns_with_data,
    }
}

crate::counters! {
    /// Gaps in TCP streams: bytes that were sent and not captured.
    pub struct GapCounters {
        /// Holes in TCP streams whose next bytes came through the interface
        tcp_gaps,
        /// Bytes in them
        tcp_gap_bytes,
    }
}

/// Gaps by interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps(Vec<GapCounters>);

impl Gaps {
    /// Returns the gaps of an interface.
    pub fn of(&self, interface: usize) -> GapCounters {
        self.0.get(interface).cloned().unwrap_or_default()
    }

    /// Counts a gap.
    pub(crate) fn note(&mut self, interface: u16, bytes: u64) {
        let counters = self.entry(usize::from(interface));
        counters.tcp_gaps += 1;
        counters.tcp_gap_bytes += bytes;
    }

    /// Adds the other's counts to these.
    pub fn merge(&mut self, other: &Self) {
        for (interface, counters) in other.0.iter().enumerate() {
            self.entry(interface).merge(counters);
        }
    }

    fn entry(&mut self, interface: usize) -> &mut GapCounters {
        if self.0.len() <= interface {
            self.0.resize(interface + 1, GapCounters::default());
        }
        &mut self.0[interface]
    }
}
