//! The Internet checksum (RFC 1071).
//!
//! In: bytes. Out: whether IPv4 and TCP checksums are right. Promises: the sum is built from wide words, because it is taken
//! of the payload of most segments.

use super::{numbers::protocol, outer::Addresses};
use crate::address::Address;

/// Lanes of 32 bits that are summed side by side, so that the compiler uses the processor's vectors.
const LANES: usize = 8;

/// What a TCP checksum is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Right, or there is nothing to verify it with.
    Right,
    /// Wrong, and what an operating system leaves for the network card: the sum of the pseudo-header alone.
    Partial,
    /// Wrong in another way.
    Wrong,
}

/// The checksum of consecutive parts, each but the last of even length; 0 over data that contains its right checksum.
pub(super) fn of(parts: &[&[u8]]) -> u16 {
    !fold(parts.iter().map(|part| sum(part)).sum())
}

/// Returns whether a whole TCP segment's checksum is right with its pseudo-header.
pub(super) fn is_tcp_right(addresses: &Addresses, segment: &[u8]) -> bool {
    let Ok(length) = u32::try_from(segment.len()) else { return false };
    fold(pseudo_header(addresses.source, addresses.destination, length) + sum(segment)) == 0xffff
}

/// Judges the checksum of a segment between two addresses, in either order. `header` is the TCP header, empty if it is not
/// known; `wire_length` is the payload's length on the wire.
pub(crate) fn judge(addresses: [Address; 2], header: &[u8], payload: &[u8], wire_length: u32) -> Sum {
    let Some(&[high, low]) = header.get(16..18).and_then(|bytes| bytes.first_chunk::<2>()) else { return Sum::Right };
    if payload.len() as u64 != u64::from(wire_length) {
        return Sum::Right;
    }
    let [source, destination] = addresses;
    let length = wire_length.wrapping_add(header.len() as u32);
    let pseudo = pseudo_header(source, destination, length);
    if fold(pseudo + sum(header) + sum(payload)) == 0xffff {
        return Sum::Right;
    }
    // Segmentation offload may leave the length out, since it differs between the segments that are made of this one.
    let stored = u16::from_be_bytes([high, low]);
    match stored == fold(pseudo) || stored == fold(pseudo_header(source, destination, 0)) {
        true => Sum::Partial,
        false => Sum::Wrong,
    }
}

/// The sum of a TCP pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn pseudo_header(source: Address, destination: Address, length: u32) -> u64 {
    // An IPv4 address has the same sum as its IPv4-mapped form: the prefix of that form, 0xffff, adds nothing.
    let words = |address: Address| {
        let (high, low) = address.halves();
        (high >> 32) + (high & 0xffff_ffff) + (low >> 32) + (low & 0xffff_ffff)
    };
    words(source) + words(destination) + u64::from(length) + u64::from(protocol::TCP)
}

/// The sum of bytes as 16-bit words, folded. The last byte of an odd number is a word's high byte.
fn sum(bytes: &[u8]) -> u64 {
    // The order of bytes in a word does not matter until the sum is folded (RFC 1071, section 2 (B)), so the words are read
    // as the processor reads them. A lane of 32 bits has room for 65,536 words, which is more than a block has.
    let mut total = 0u64;
    for block in bytes.chunks(LANES * 4 * 0x1000) {
        let (rows, rest) = block.as_chunks::<{ LANES * 4 }>();
        let mut lanes = [0u32; LANES];
        for row in rows {
            let (words, _) = row.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                let word = u32::from_ne_bytes(*word);
                *lane += (word & 0xffff) + (word >> 16);
            }
        }
        total += lanes.iter().map(|&lane| u64::from(lane)).sum::<u64>();
        let (words, rest) = rest.as_chunks::<4>();
        total += words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>();
        let mut tail = [0; 4];
        tail.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        total += u64::from(u32::from_ne_bytes(tail));
    }
    u64::from(fold(total).to_be())
}

/// Folds a sum into 16 bits, with end-around carries.
const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum as RFC 1071 describes it: word by word.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn the_sum_equals_a_naive_recount(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(fold(sum(&bytes)) % 0xffff, naive(&bytes) % 0xffff);
        }

        #[test]
        fn a_segment_with_its_checksum_is_right_and_with_any_other_wrong(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            (source, destination) in (any::<[u8; 16]>(), any::<[u8; 16]>()),
            mut header in any::<[u8; 20]>(),
            change in 1u16..0xffff,
        ) {
            let addresses = [Address::v6(source), Address::v6(destination)];
            let length = payload.len() as u32;
            header[16..18].fill(0);
            let pseudo = pseudo_header(addresses[0], addresses[1], length + 20);
            let stored = !fold(pseudo + sum(&header) + sum(&payload));
            header[16..18].copy_from_slice(&stored.to_be_bytes());
            prop_assert_eq!(judge(addresses, &header, &payload, length), Sum::Right);
            prop_assert_eq!(judge([addresses[1], addresses[0]], &header, &payload, length), Sum::Right);
            prop_assert_eq!(judge(addresses, &header, &payload, length + 1), Sum::Right, "snapped");
            let wrong = (u32::from(stored) + u32::from(change)) % 0xffff;
            if wrong != u32::from(stored) % 0xffff {
                header[16..18].copy_from_slice(&(wrong as u16).to_be_bytes());
                prop_assert_ne!(judge(addresses, &header, &payload, length), Sum::Right);
            }
            header[16..18].copy_from_slice(&fold(pseudo).to_be_bytes());
            prop_assert_ne!(judge(addresses, &header, &payload, length), Sum::Wrong);
        }
    }
}
