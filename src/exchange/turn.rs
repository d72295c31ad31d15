//! A turn: one request and its answer inside TLS, of which only lengths and times are known.
//!
//! In: nothing; the protocol parser of TLS makes turns. Out: [`Turn`]. Promises: a turn holds nothing that was decrypted. It is no [`Exchange`](super::Exchange): neither method, path nor status is known, so no output of
//! exchanges lists it.

use std::sync::Arc;

use super::{Grade, TlsConnection};
use crate::{address::Endpoint, time::Timestamp};

/// One request and its answer inside TLS, in at most 88 bytes. Lengths are those of the plain bytes: the overhead of the cipher
/// suite is taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The time of the packet with the first byte of the answer.
    pub time: Timestamp,
    /// The number of that packet.
    pub packet: u64,
    /// The client's end of the connection.
    pub client: Endpoint,
    /// The server's end of the connection.
    pub server: Endpoint,
    /// Plain bytes of the request; 0 if the request cannot be told apart from others, as in a record that holds several.
    pub request_bytes: u32,
    /// Plain bytes of the answer.
    pub answer_bytes: u32,
    /// Records of the request; 255 stands for 255 or more.
    pub request_records: u8,
    /// Records of the answer; 255 stands for 255 or more.
    pub answer_records: u8,
    /// Further facts.
    pub flags: TurnFlags,
    /// How certain it is that client and server really sent these packets, as far as the capture shows.
    pub grade: Grade,
    /// What its hellos show, if they were seen.
    pub connection: Option<Arc<TlsConnection>>,
}

/// Further facts about a turn, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TurnFlags(pub u8);

impl TurnFlags {
    /// The connection speaks HTTP/2, or resembles it: answers are single records that may overtake each other.
    pub const MULTIPLEXED: Self = Self(1);
    /// The suite encrypts blocks of 16 bytes, so that lengths are known to 16 bytes only.
    pub const BLOCKS: Self = Self(1 << 1);
    /// The connection uses TLS 1.3.
    pub const TLS13: Self = Self(1 << 2);
    /// The ClientHello has values of GREASE (RFC 8701), as those of browsers with Chromium's engine have.
    pub const GREASE: Self = Self(1 << 3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert!(size_of::<Turn>() <= 88, "{}", size_of::<Turn>());
    }
}
