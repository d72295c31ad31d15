//! Packets in.
//!
//! In: capture files, standard input, interfaces. Out: [`Packet`]s in [`PacketBatch`]es: bytes, packet time, link type.
//! Promises: reads ahead of nothing it was not asked for, keeps what came before a break, names file and offset of what is wrong.

use crate::time::Timestamp;

pub mod files;
pub mod filter;
pub mod interfaces;
pub mod libpcap;
pub mod live;
#[cfg(test)]
pub(crate) mod testing;

/// A link-layer header type, numbered as in the pcap and pcapng `LINKTYPE_` registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
}

/// When and as which packet something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// Position in the timeline of all inputs, from 1.
    pub number: u64,
    /// Packet time.
    pub time: Timestamp,
}

/// One captured packet, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Position and time.
    pub stamp: Stamp,
    /// What the bytes start with.
    pub link_type: LinkType,
    /// Which of a live run's interfaces it came through; 0 in a replay.
    pub interface: u16,
    /// Length on the wire; at least `data.len()`.
    pub wire_length: u32,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// Where one packet lies in its batch.
#[derive(Debug, Clone, Copy)]
pub struct PacketRecord {
    /// Position and time.
    pub stamp: Stamp,
    /// Offset of the first captured byte in [`PacketBatch::bytes`].
    pub offset: u32,
    /// Captured bytes; `offset + captured <= bytes.len()`.
    pub captured: u32,
    /// Length on the wire; `>= captured`.
    pub wire_length: u32,
    /// What the bytes start with.
    pub link_type: LinkType,
    /// Which of a live run's interfaces it came through; 0 in a replay.
    pub interface: u16,
}

/// A block of capture input and the packets in it. Reused from batch to batch.
#[derive(Debug, Default)]
pub struct PacketBatch {
    /// The bytes that the records point into.
    pub bytes: Vec<u8>,
    /// The packets, in order.
    pub records: Vec<PacketRecord>,
    /// Packet time that is reached after them even where no packet says so: live, the clock.
    pub reached: Option<Timestamp>,
}

/// Most packets of a live batch.
pub const BATCH_PACKETS: usize = 2048;
/// A live batch takes no more packets once it holds this many bytes: few enough for a core's own cache.
pub const BATCH_BYTES: usize = 1 << 20;

/// Bytes that a live batch has room for: the last packets may go beyond the limit.
const BATCH_ROOM: usize = BATCH_BYTES + (128 << 10);

impl PacketBatch {
    /// An empty live batch, which takes no more memory when it is used.
    pub fn with_room() -> Self {
        let mut batch = Self {
            bytes: Vec::with_capacity(BATCH_ROOM),
            records: Vec::with_capacity(BATCH_PACKETS + BATCH_PACKETS / 16),
            reached: None,
        };
        // The system gives memory when it is written: now rather than in the first burst.
        batch.bytes.resize(BATCH_ROOM, u8::MAX);
        batch.bytes.clear();
        batch
    }

    /// Empties a live batch; one that has no room yet gets it, one that has outgrown it loses what is too much.
    pub fn make_room(&mut self) {
        if (BATCH_ROOM..=2 * BATCH_ROOM).contains(&self.bytes.capacity()) {
            self.bytes.clear();
            self.records.clear();
            self.reached = None;
        } else {
            *self = Self::with_room();
        }
    }

    /// Returns whether a live run puts no more packets into it.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.records.len() >= BATCH_PACKETS || self.bytes.len() >= BATCH_BYTES
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.records.iter().map(|record| self.packet(record))
    }

    /// The packet of one of this batch's records; empty when the record is not of this batch.
    #[inline]
    pub fn packet(&self, record: &PacketRecord) -> Packet<'_> {
        let start = record.offset as usize;
        let data = self.bytes.get(start..start + record.captured as usize).unwrap_or_default();
        let PacketRecord { stamp, link_type, interface, wire_length, .. } = *record;
        Packet { stamp, link_type, interface, wire_length, data }
    }
}
