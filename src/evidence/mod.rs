//! The packets behind an alert: which packets are its client's, how many of them are kept, and how they are written.
//!
//! In: packets, and for each alert a [`Selection`]. Out: which alerts a packet belongs to ([`Selector`]), how its connection began
//! ([`Openings`]), where it stands within the bound of bytes ([`Bound`]), and the bytes of a pcapng file ([`pcapng`]). Promises: no
//! I/O; bounded memory; what the bound leaves out is counted.
//!
//! `run/evidence` reads packets and writes the files.

mod bound;
mod openings;
pub mod pcapng;
mod selection;

pub use self::{
    bound::{Amount, Bound, Place},
    openings::{Beginning, Openings},
    selection::{ClientSegment, Connection, Found, Selection, Selector},
};

crate::counters! {
    /// What became of the packets of alerts.
    pub struct EvidenceCounters {
        /// Files with the packets of an alert that were written.
        files,
        /// Packets in these files.
        packets,
        /// Bytes of these files.
        bytes,
        /// Packets that were left out because a file holds at most output.evidence_bytes.
        packets_left_out,
        /// Alerts whose file has no packets because the directory holds output.evidence_total_bytes.
        files_over_total,
        /// Alerts that name no file because the directory was full, or because too many files were waiting to be written.
        alerts_without_file,
        /// Files without packets because no packet of the client was found.
        files_without_packets,
        /// Alerts whose first packets the ring did not hold any more (output.evidence_ring_bytes).
        beginnings_lost,
        /// Connections that look like TLS and were open before the time of a file, and whose beginning is not in it.
        connections_without_beginning,
        /// Packets that the ring did not take because writing files took too long.
        packets_not_kept,
        /// Connections of clients behind a proxy that were forgotten because there were too many.
        connections_forgotten,
        /// Files that could not be written.
        files_failed,
    }
}
