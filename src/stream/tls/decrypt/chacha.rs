//! The block function of ChaCha20 (RFC 8439, section 2.3), of which the AEAD library shows whole records alone.
//!
//! In: a key, a block's number, a nonce. Out: 64 bytes of key stream. Promises: it says which records are worth opening, and opens
//! none. The key is erased when it is dropped.

use zeroize::{Zeroize, ZeroizeOnDrop};

pub(super) const BLOCK_BYTES: usize = 64;

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

const DOUBLE_ROUNDS: usize = 10;

/// A key, as words.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Key([u32; 8]);

impl Key {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(words(key))
    }

    /// The key stream of a block.
    pub(super) fn block(&self, number: u32, nonce: &[u8; 12]) -> [u8; BLOCK_BYTES] {
        let mut start = [0; 16];
        start[..4].copy_from_slice(&CONSTANTS);
        start[4..12].copy_from_slice(&self.0);
        start[12] = number;
        start[13..].copy_from_slice(&words::<3>(nonce));
        let mut state = start;
        for _ in 0..DOUBLE_ROUNDS {
            quarter_round::<0, 4, 8, 12>(&mut state);
            quarter_round::<1, 5, 9, 13>(&mut state);
            quarter_round::<2, 6, 10, 14>(&mut state);
            quarter_round::<3, 7, 11, 15>(&mut state);
            quarter_round::<0, 5, 10, 15>(&mut state);
            quarter_round::<1, 6, 11, 12>(&mut state);
            quarter_round::<2, 7, 8, 13>(&mut state);
            quarter_round::<3, 4, 9, 14>(&mut state);
        }
        let mut stream = [0; BLOCK_BYTES];
        for ((to, word), first) in stream.chunks_exact_mut(4).zip(state).zip(start) {
            to.copy_from_slice(&word.wrapping_add(first).to_le_bytes());
        }
        start.zeroize();
        stream
    }
}

/// Little-endian words; `bytes` has four for each.
fn words<const COUNT: usize>(bytes: &[u8]) -> [u32; COUNT] {
    let mut words = [0; COUNT];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// RFC 8439, section 2.1.
#[inline]
fn quarter_round<const A: usize, const B: usize, const C: usize, const D: usize>(state: &mut [u32; 16]) {
    state[A] = state[A].wrapping_add(state[B]);
    state[D] = (state[D] ^ state[A]).rotate_left(16);
    state[C] = state[C].wrapping_add(state[D]);
    state[B] = (state[B] ^ state[C]).rotate_left(12);
    state[A] = state[A].wrapping_add(state[B]);
    state[D] = (state[D] ^ state[A]).rotate_left(8);
    state[C] = state[C].wrapping_add(state[D]);
    state[B] = (state[B] ^ state[C]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::super::testing::unhex;
    use super::*;

    /// RFC 8439, section 2.3.2.
    #[test]
    fn the_block_is_that_of_rfc_8439() {
        let key: Vec<u8> = (0..32).collect();
        let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0];
        let block = Key::new(key[..].try_into().expect("32 bytes")).block(1, &nonce);
        let expected = "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
            d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e";
        assert_eq!(block[..], unhex(expected));
    }
}
