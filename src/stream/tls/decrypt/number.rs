//! Finds the sequence number of a record of TLS 1.3 without opening the record for each number.
//!
//! In: a record and the keys of its sender, if these are the right ones. Out: the number under which the record opens. Promises: for
//! AES-GCM, the work does not depend on the number; for ChaCha20, it is one block of the cipher a number. A number counts as found
//! only if the record was opened with it. The work is taken off a budget.

use std::ops::Range;

use aws_lc_rs::{aead, cipher};

use super::{
    chacha,
    keys::{spend, take},
    outcome::Record,
    records::{ALERT, APPLICATION_DATA, HANDSHAKE},
    schedule::DirectionKeys,
    suite::{Protection, Suite},
};

const BLOCK_BYTES: usize = 16;

/// What a test of one number costs for ChaCha20, in bytes that could be decrypted in the same time.
const CHACHA_COST: usize = 3 * chacha::BLOCK_BYTES;

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
    let (text, tag) = record.body.split_at_checked(record.body.len().checked_sub(BLOCK_BYTES)?)?;
    let iv: [u8; 12] = keys.iv[..].try_into().ok()?;
    let (aead, cipher) = match keys.key.len() {
        16 => (&aead::AES_128_GCM, &cipher::AES_128),
        _ => (&aead::AES_256_GCM, &cipher::AES_256),
    };
    let seal = aead::LessSafeKey::new(aead::UnboundKey::new(aead, &keys.key).ok()?);
    // Any nonce will do. Sealing zeros gives its key stream, and sealing this record's text xor the key stream gives the
    // same ciphertext again, with its tag under this nonce. The tag of nothing is the encrypted block of the nonce.
    let nonce = || aead::Nonce::assume_unique_for_key(iv);
    let encrypted = seal.seal_in_place_separate_tag(nonce(), aead::Aad::empty(), &mut []).ok()?;
    let mut sealed = vec![0; text.len()];
    let _ = seal.seal_in_place_separate_tag(nonce(), aead::Aad::empty(), &mut sealed).ok()?;
    for (to, from) in sealed.iter_mut().zip(text) {
        *to ^= from;
    }
    let known = seal.seal_in_place_separate_tag(nonce(), aead::Aad::from(&record.header), &mut sealed).ok()?;
    let mut block: [u8; BLOCK_BYTES] = tag.try_into().ok()?;
    for ((to, known), encrypted) in block.iter_mut().zip(known.as_ref()).zip(encrypted.as_ref()) {
        *to ^= known ^ encrypted;
    }
    let blocks = cipher::DecryptingKey::ecb(cipher::UnboundCipherKey::new(cipher, &keys.key).ok()?).ok()?;
    blocks.decrypt(&mut block, cipher::DecryptionContext::None).ok()?;
    let (number, counter) = (block[4..12].try_into().ok()?, &block[12..]);
    let masked = u64::from_be_bytes(number) ^ u64::from_be_bytes(iv[4..].try_into().ok()?);
    (block[..4] == iv[..4] && *counter == [0, 0, 0, 1]).then_some(masked)
}

/// The nonce of a record (RFC 8446, section 5.3).
fn nonce(iv: &[u8; 12], number: u64) -> [u8; 12] {
    let mut nonce = *iv;
    for (to, from) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
        *to ^= from;
    }
    nonce
}

/// The last block of a record shows its inner type, which is one of three, and zeros behind it.
pub(super) struct ChaCha<'a> {
    key: chacha::Key,
    iv: [u8; 12],
    /// The number of the last block, which counts from 1, and its ciphertext without the tag.
    block: u32,
    text: &'a [u8],
}

impl<'a> ChaCha<'a> {
    fn new(keys: &DirectionKeys, record: Record<'a>) -> Option<Self> {
        let (text, _) = record.body.split_at_checked(record.body.len().checked_sub(BLOCK_BYTES)?)?;
        let before = text.len().checked_sub(1)? / chacha::BLOCK_BYTES;
        Some(Self {
            key: chacha::Key::new(keys.key[..].try_into().ok()?),
            iv: keys.iv[..].try_into().ok()?,
            block: before as u32 + 1,
            text: text.get(before * chacha::BLOCK_BYTES..)?,
        })
    }

    fn is_plausible(&self, number: u64) -> bool {
        let stream = self.key.block(self.block, &nonce(&self.iv, number));
        let mut plain = self.text.iter().zip(stream).rev().map(|(byte, key)| byte ^ key);
        plain.find(|byte| *byte != 0).is_none_or(|kind| matches!(kind, ALERT | HANDSHAKE | APPLICATION_DATA))
    }
}

/// The numbers of a range, the nearest to one of them first.
pub(super) fn outward(range: Range<u64>, from: u64) -> impl Iterator<Item = u64> {
    let steps = 1..range.end.saturating_sub(range.start);
    let near = steps.flat_map(move |step| [from.checked_add(step), from.checked_sub(step)]).flatten();
    std::iter::once(from).chain(near).filter(move |number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_outward() {
        assert_eq!(outward(2..9, 4).collect::<Vec<_>>(), [4, 5, 3, 6, 2, 7, 8]);
        assert_eq!(outward(0..3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(outward(0..3, 7).count(), 0);
        assert_eq!(outward(u64::MAX - 2..u64::MAX, u64::MAX - 1).count(), 2);
    }
}
