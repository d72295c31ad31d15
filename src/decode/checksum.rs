//! The Internet checksum (RFC 1071).
//!
//! In: bytes. Out: whether IPv4 and TCP checksums are right. Used where the settings ask for it.

use super::{numbers::protocol, outer::Addresses};

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

/// Returns whether a whole TCP segment's checksum is right with its pseudo-header.
pub(super) fn is_tcp_right(addresses: &Addresses, segment: &[u8]) -> bool {
    let Ok(length) = u32::try_from(segment.len()) else { return false };
    // An IPv4 address has the same sum as its IPv4-mapped form: the prefix of that form, 0xffff, adds nothing.
    let addresses = [addresses.source, addresses.destination].map(|address| {
        let (high, low) = address.halves();
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    });
    of(&[&addresses[0], &addresses[1], &length.to_be_bytes(), &[0, protocol::TCP], segment]) == 0
}
