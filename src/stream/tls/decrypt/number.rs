//! Finds the sequence number of a record of TLS 1.3 without opening the record for each number.
//!
//! In: a record and the keys of its sender, if these are the right ones. Out: the number under which the record opens. Promises: for
//! AES-GCM, the work does not depend on the number; for ChaCha20, it is one block of the cipher a number. A number counts as found
//! only if the record was opened with it. The work is taken off a budget.

use std::ops::Range;

use aws_lc_rs::{aead, cipher};
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
};
use zeroize::Zeroizing;

use super::{
    ghash,
    keys::{spend, take},
    opener::{NONCE_BYTES, TAG_BYTES, xor_nonce},
    outcome::Record,
    records::{ALERT, APPLICATION_DATA, HANDSHAKE},
    schedule::DirectionKeys,
    suite::{Protection, Suite},
};

/// What a test of one number costs for ChaCha20, in bytes that could be decrypted in the same time.
const CHACHA_COST: usize = 3 * CHACHA_BLOCK_BYTES;

const CHACHA_BLOCK_BYTES: usize = 64;

/// Finds the number of one record under one set of keys.
pub(super) enum Finder<'a> {
    /// AES-GCM: the only number that is possible.
    Gcm(u64),
    /// ChaCha20-Poly1305: each number is tested, and one of about 80 passes.
    ChaCha(ChaCha<'a>),
}

impl<'a> Finder<'a> {
    /// `None` if no number is possible, the suite shows none, or the budget is used up.
    pub(super) fn new(suite: Suite, keys: &DirectionKeys, record: Record<'a>, budget: &mut u32) -> Option<Self> {
        match suite.protection {
            Protection::AesGcm => {
                spend(budget, 2 * record.body.len())?;
                gcm_number(keys, record).map(Self::Gcm)
            }
            Protection::ChaCha20Poly1305 => ChaCha::new(keys, record).map(Self::ChaCha),
            Protection::AesCbc(_) => None,
        }
    }

    /// Looks for the number under which `open` opens the record: not below the range, and for ChaCha20 within it, the nearest to
    /// `expected` first.
    pub(super) fn find<T>(
        &self,
        (range, expected): (Range<u64>, u64),
        record: Record<'_>,
        budget: &mut u32,
        mut open: impl FnMut(u64) -> Option<T>,
    ) -> Option<T> {
        match self {
            Self::Gcm(number) => (*number >= range.start).then(|| open(*number)).flatten(),
            Self::ChaCha(chacha) => {
                for number in outward(range, expected) {
                    take(budget, CHACHA_COST)?;
                    if chacha.is_plausible(number) {
                        spend(budget, record.body.len())?;
                        let opened = open(number);
                        if opened.is_some() {
                            return opened;
                        }
                    }
                }
                None
            }
        }
    }
}

/// Computes the number under which a record was sealed with AES-GCM if these keys sealed it.
///
/// The tag is the xor of a hash of the ciphertext, which the nonce does not change, and of one encrypted block, which depends on the
/// nonce alone. So the hash follows from another tag of the same ciphertext, and decrypting the block gives the nonce.
fn gcm_number(keys: &DirectionKeys, record: Record<'_>) -> Option<u64> {
    let (text, tag) = record.body.split_at_checked(record.body.len().checked_sub(TAG_BYTES)?)?;
    let iv: [u8; NONCE_BYTES] = keys.iv[..].try_into().ok()?;
    let (aead, cipher) = match keys.key.len() {
        16 => (&aead::AES_128_GCM, &cipher::AES_128),
        _ => (&aead::AES_256_GCM, &cipher::AES_256),
    };
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(aead, &keys.key).ok()?);
    // Any nonce will do.
    let encrypted = ghash::seal(&key, iv, &[], &mut [])?;
    let known = ghash::tag_of(&key, iv, &record.header, text)?;
    let mut block = (u128::from_be_bytes(tag.try_into().ok()?) ^ known ^ encrypted).to_be_bytes();
    let blocks = cipher::DecryptingKey::ecb(cipher::UnboundCipherKey::new(cipher, &keys.key).ok()?).ok()?;
    blocks.decrypt(&mut block, cipher::DecryptionContext::None).ok()?;
    let (number, counter) = (block[4..12].try_into().ok()?, &block[12..]);
    let masked = u64::from_be_bytes(number) ^ u64::from_be_bytes(iv[4..].try_into().ok()?);
    (block[..4] == iv[..4] && *counter == [0, 0, 0, 1]).then_some(masked)
}

/// The last block of a record shows its inner type, which is one of three, and zeros behind it.
pub(super) struct ChaCha<'a> {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; NONCE_BYTES],
    /// The number of the last block, which counts from 1, and its ciphertext without the tag.
    block: u32,
    text: &'a [u8],
}

impl<'a> ChaCha<'a> {
    fn new(keys: &DirectionKeys, record: Record<'a>) -> Option<Self> {
        let (text, _) = record.body.split_at_checked(record.body.len().checked_sub(TAG_BYTES)?)?;
        let before = text.len().checked_sub(1)? / CHACHA_BLOCK_BYTES;
        Some(Self {
            key: Zeroizing::new(keys.key[..].try_into().ok()?),
            iv: keys.iv[..].try_into().ok()?,
            block: before as u32 + 1,
            text: text.get(before * CHACHA_BLOCK_BYTES..)?,
        })
    }

    fn is_plausible(&self, number: u64) -> bool {
        let stream = chacha_block(&self.key, self.block, &xor_nonce(&self.iv, number));
        let mut plain = self.text.iter().zip(stream).rev().map(|(byte, key)| byte ^ key);
        plain.find(|byte| *byte != 0).is_none_or(|kind| matches!(kind, ALERT | HANDSHAKE | APPLICATION_DATA))
    }
}

/// A block of ChaCha20's key stream (RFC 8439, section 2.3), of which the AEAD library shows whole records alone.
fn chacha_block(key: &[u8; 32], number: u32, nonce: &[u8; NONCE_BYTES]) -> [u8; CHACHA_BLOCK_BYTES] {
    let mut cipher = ChaCha20::new(key.into(), nonce.into());
    let mut stream = [0; CHACHA_BLOCK_BYTES];
    cipher.seek(u64::from(number) * CHACHA_BLOCK_BYTES as u64);
    cipher.apply_keystream(&mut stream);
    stream
}

/// The numbers of a range, the nearest to one of them first.
pub(super) fn outward(range: Range<u64>, from: u64) -> impl Iterator<Item = u64> {
    let steps = 1..range.end.saturating_sub(range.start);
    let near = steps.flat_map(move |step| [from.checked_add(step), from.checked_sub(step)]).flatten();
    std::iter::once(from).chain(near).filter(move |number| range.contains(number))
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
        let block = chacha_block(key[..].try_into().expect("32 bytes"), 1, &nonce);
        let expected = "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
            d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e";
        assert_eq!(block[..], unhex(expected));
    }

    #[test]
    fn numbers_come_outward() {
        assert_eq!(outward(2..9, 4).collect::<Vec<_>>(), [4, 5, 3, 6, 2, 7, 8]);
        assert_eq!(outward(0..3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(outward(0..3, 7).count(), 0);
        assert_eq!(outward(u64::MAX - 2..u64::MAX, u64::MAX - 1).count(), 2);
    }
}
