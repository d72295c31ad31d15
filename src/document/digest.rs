//! SHA-1 of at most 55 bytes.
//!
//! In: at most 55 bytes, so that they fit into one block together with SHA-1's padding (FIPS 180-4, section 5.1.1). Out: the
//! digest. Promises: no allocation and no extra buffer; SHA-1 instructions of the processor are used where they exist.

use sha1::block_api::compress;

/// The most bytes that fit into one block with their padding.
const MOST_BYTES: usize = 55;

/// The initial hash value of SHA-1 (FIPS 180-4, section 5.3.1).
const BEGINNING: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The bytes to hash, collected directly in the block that is hashed.
pub(super) struct Block {
    bytes: [u8; 64],
    length: usize,
}

impl Block {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }

    /// Appends bytes. Bytes that do not fit are left out as a whole.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        debug_assert!(end <= MOST_BYTES, "one block cannot hold {end} bytes");
        if let Some(room) = self.bytes[..MOST_BYTES].get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// Returns the digest of the bytes.
    #[inline]
    pub(super) fn digest(mut self) -> [u8; 20] {
        self.bytes[self.length] = 0x80;
        self.bytes[56..].copy_from_slice(&(self.length as u64 * 8).to_be_bytes());
        let mut state = BEGINNING;
        compress(&mut state, &[self.bytes]);
        let mut digest = [0; 20];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};

    use super::*;

    #[test]
    fn equals_the_hash_of_any_length() {
        for length in 0..=MOST_BYTES {
            let bytes: Vec<u8> = (0..length as u8).map(|byte| byte.wrapping_mul(37)).collect();
            let mut block = Block::new();
            for part in bytes.chunks(7) {
                block.push(part);
            }
            assert_eq!(block.digest()[..], Sha1::digest(&bytes)[..], "{length} bytes");
        }
    }
}
