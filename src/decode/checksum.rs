//! The Internet checksum (RFC 1071).
//!
//! In: bytes. Out: whether IPv4 and TCP checksums are right, for those who asked.

use super::layer::{Addresses, protocol};

/// The checksum of consecutive parts, each but the last of even length; 0 over data that contains its right checksum.
pub(super) fn of(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        let (words, odd) = part.as_chunks::<2>();
        sum += words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum::<u64>();
        sum += odd.first().map_or(0, |&byte| u64::from(byte) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether a whole TCP segment's checksum is right with its pseudo-header.
pub(super) fn is_tcp_right(addresses: &Addresses, segment: &[u8]) -> bool {
    let Ok(length) = u32::try_from(segment.len()) else { return false };
    // Of an IPv4 address the sum is that of its IPv4-mapped form but for the prefix, which is 0xffff: zero.
    let addresses = [addresses.source, addresses.destination].map(|address| {
        let (high, low) = address.halves();
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    });
    of(&[&addresses[0], &addresses[1], &length.to_be_bytes(), &[0, protocol::TCP], segment]) == 0
}
