//! How plain lengths follow from the lengths of records.
//!
//! In: a cipher suite, or the record with the client's Finished where the ServerHello was not captured. Out: [`Lengths`]. Promises:
//! a suite that is not known is taken for one that encrypts blocks, whose lengths are the least certain.

use super::decrypt::{APPLICATION_DATA, HANDSHAKE};

/// How plain lengths follow from the lengths of records.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    /// What protection adds to a record.
    overhead: u16,
    /// The length of the record with the client's Finished, in TLS 1.3; otherwise 0.
    pub(super) finished: u16,
    /// Whether the suite encrypts blocks of 16 bytes, so that lengths are known to 16 bytes only.
    pub(super) is_in_blocks: bool,
}

impl Lengths {
    /// The lengths under a cipher suite.
    pub(super) fn of(suite: u16) -> Self {
        let (overhead, finished) = match suite {
            0x1305 => (9, 4 + 32 + 9),
            0x1302 => (17, 4 + 48 + 17),
            0x1300..=0x13ff => (17, 4 + 32 + 17),
            0xcca8..=0xccae | 0xc0a0..=0xc0a3 | 0xc0ae | 0xc0af => (16, 0),
            0x009c..=0x00ad | 0xc02b..=0xc032 | 0xc050..=0xc06f | 0xc07a..=0xc093 | 0xc09c..=0xc0af => (24, 0),
            // CBC: an initialisation vector of 16 bytes, a MAC of 20 or more, and padding of at least one byte.
            _ => return Self { overhead: 37, finished: 0, is_in_blocks: true },
        };
        Self { overhead, finished, is_in_blocks: false }
    }

    /// The lengths as the record with the client's Finished shows them, where the ServerHello was not captured. TLS 1.3 sends it
    /// as content. In TLS 1.2 it has 16 bytes, and the suite adds what it adds to every record.
    pub(super) fn of_finished(kind: u8, length: u16) -> Option<Self> {
        let (overhead, finished, is_in_blocks) = match (kind, length) {
            (APPLICATION_DATA, 45) => (9, 45, false),
            (APPLICATION_DATA, 53 | 69) => (17, length, false),
            (HANDSHAKE, 32) => (16, 0, false),
            (HANDSHAKE, 40) => (24, 0, false),
            // CBC with a MAC of 20, 32 or 48 bytes, which is encrypted too, or follows (RFC 7366).
            (HANDSHAKE, 64 | 80 | 96 | 68) => (37, 0, true),
            _ => return None,
        };
        Some(Self { overhead, finished, is_in_blocks })
    }

    /// The plain bytes of a record, or the most that they may be.
    pub(super) fn plain(self, record: u16) -> u32 {
        record.saturating_sub(self.overhead).into()
    }
}
