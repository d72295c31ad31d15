//! Packet sources: capture files, standard input and interfaces.
//!
//! In: capture files, standard input, interfaces. Out: [`PacketBatch`]es of [`Packet`]s with their bytes, packet time and
//! link type. Promises: a source reads ahead only if the caller asked for it. Packets before a broken part of a file are
//! kept. An error names the file and the byte offset.

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

/// The number and the time of a packet.
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
    /// The link-layer header that the bytes start with.
    pub link_type: LinkType,
    /// The number of the live interface that received the packet; 0 in a replay.
    pub interface: u16,
    /// Length on the wire; at least `data.len()`.
    pub wire_length: u32,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// The position of one packet in its batch, and its properties.
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
    /// The link-layer header that the bytes start with.
    pub link_type: LinkType,
    /// The number of the live interface that received the packet; 0 in a replay.
    pub interface: u16,
}

/// A block of capture input and the packets in it. Its buffers are reused for the next block.
#[derive(Debug, Default)]
pub struct PacketBatch {
    /// The bytes that the records point into.
    pub bytes: Vec<u8>,
    /// The packets, in order.
    pub records: Vec<PacketRecord>,
    /// The packet time that is reached after these packets, if it is known from elsewhere than a packet: in live capture,
    /// from the system clock.
    pub reached: Option<Timestamp>,
}

/// Most packets of a live batch.
pub const BATCH_PACKETS: usize = 2048;
/// A live batch takes no more packets once it holds this many bytes. This is small enough for the cache of one core.
pub const BATCH_BYTES: usize = 1 << 20;

/// Bytes allocated for a live batch: more than [`BATCH_BYTES`], as the last packets may exceed that limit.
const BATCH_ROOM: usize = BATCH_BYTES + (128 << 10);

impl PacketBatch {
    /// Creates an empty live batch whose memory is already allocated.
    pub fn with_room() -> Self {
        let mut batch = Self {
            bytes: Vec::with_capacity(BATCH_ROOM),
            records: Vec::with_capacity(BATCH_PACKETS + BATCH_PACKETS / 16),
            reached: None,
        };
        // The system provides a memory page at its first write. Writing now avoids this delay in the first burst of packets.
        batch.bytes.resize(BATCH_ROOM, u8::MAX);
        batch.bytes.clear();
        batch
    }

    /// Empties a live batch. Allocates its buffers if they are too small, and replaces them if they have grown too large.
    pub fn make_room(&mut self) {
        if (BATCH_ROOM..=2 * BATCH_ROOM).contains(&self.bytes.capacity()) {
            self.bytes.clear();
            self.records.clear();
            self.reached = None;
        } else {
            *self = Self::with_room();
        }
    }

    /// Returns whether a live batch is full, so that it takes no more packets.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.records.len() >= BATCH_PACKETS || self.bytes.len() >= BATCH_BYTES
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.records.iter().map(|record| self.packet(record))
    }

    /// Returns the packet that a record of this batch describes. The packet is empty if the record is not of this batch.
    #[inline]
    pub fn packet(&self, record: &PacketRecord) -> Packet<'_> {
        let start = record.offset as usize;
        let data = self.bytes.get(start..start + record.captured as usize).unwrap_or_default();
        let PacketRecord { stamp, link_type, interface, wire_length, .. } = *record;
        Packet { stamp, link_type, interface, wire_length, data }
    }
}
