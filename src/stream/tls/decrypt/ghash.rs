//! Tags of AES-GCM, and the sequence number of a record of TLS 1.2, computed from its tag.
//!
//! In: a record, and the key and the salt that may have sealed it. Out: the number that it was sealed with, if these are right.
//! Promises: the work is that of sealing the record twice, whatever the number is; the caller opens the record with the number, and
//! only the tag decides.
//!
//! The tag is the xor of an encrypted nonce, which the record carries, and of a hash that is linear in the additional data, which begins
//! with the number. So two tags of the same ciphertext differ by the difference of the numbers, multiplied in GF(2^128) with a power
//! of the hash key. Sealing gives a second tag, and dividing by that power gives the difference.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use super::{
    opener::{NONCE_BYTES, TAG_BYTES, nonce12, pseudo_header},
    outcome::Record,
};

/// What it costs beside sealing, in bytes that could be decrypted in the same time.
pub(super) const DIVISION_COST: usize = 128 << 10;

/// One, and the reduction of x^128. The most significant bit is the coefficient of x^0 (NIST SP 800-38D, section 6.3).
const ONE: u128 = 1 << 127;
const REDUCTION: u128 = 0xe1 << 120;

/// The last block of the hash of 16 bytes of additional data: their length in bits.
const LENGTH_OF_ONE_BLOCK: u128 = 128 << 64;

/// Returns the number under which a record was sealed if this key sealed it.
pub(super) fn number(key: &LessSafeKey, salt: [u8; 4], record: Record<'_>) -> Option<u64> {
    let (explicit, sealed) = record.body.split_first_chunk()?;
    let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
    let nonce = nonce12(salt, explicit);
    let [kind, major, minor, ..] = record.header;
    let additional = pseudo_header(0, [kind, major, minor], text.len() as u16);
    let known = tag_of(key, nonce, &additional, text)?;
    let tag = u128::from_be_bytes(tag.try_into().ok()?);
    let hash_key = hash_key(key, nonce)?;
    let blocks = text.len().div_ceil(16) as u32;
    let difference = multiply(tag ^ known, inverse(power(hash_key, blocks + 2)));
    let (number, rest) = ((difference >> 64) as u64, difference as u64);
    (rest == 0).then_some(number)
}

/// The tag of a ciphertext under a nonce and with additional data of the caller's choice. Sealing zeros gives the key stream, and sealing
/// the ciphertext xor the key stream gives the same ciphertext again.
pub(super) fn tag_of(
    key: &LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    additional: &[u8],
    ciphertext: &[u8],
) -> Option<u128> {
    let mut again = vec![0; ciphertext.len()];
    seal(key, nonce, &[], &mut again)?;
    for (to, from) in again.iter_mut().zip(ciphertext) {
        *to ^= from;
    }
    seal(key, nonce, additional, &mut again)
}

/// Seals in place. Returns the tag. The tag of nothing is the encrypted nonce alone.
pub(super) fn seal(key: &LessSafeKey, nonce: [u8; NONCE_BYTES], additional: &[u8], text: &mut [u8]) -> Option<u128> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(additional), text).ok()?;
    Some(u128::from_be_bytes(tag.as_ref().try_into().ok()?))
}

/// The hash key. The tag of a block of zeros as additional data is that of nothing, xor the hash key multiplied with the length.
fn hash_key(key: &LessSafeKey, nonce: [u8; NONCE_BYTES]) -> Option<u128> {
    let hashed = seal(key, nonce, &[], &mut [])? ^ seal(key, nonce, &[0; 16], &mut [])?;
    Some(multiply(hashed, inverse(LENGTH_OF_ONE_BLOCK)))
}

/// NIST SP 800-38D, section 6.3.
fn multiply(left: u128, right: u128) -> u128 {
    let (mut product, mut multiple) = (0, right);
    for place in (0..128).rev() {
        product ^= multiple & (left >> place & 1).wrapping_neg();
        multiple = multiple >> 1 ^ REDUCTION & (multiple & 1).wrapping_neg();
    }
    product
}

fn power(base: u128, exponent: u32) -> u128 {
    (0..32).rev().fold(ONE, |power, place| {
        let square = multiply(power, power);
        if exponent >> place & 1 == 1 { multiply(square, base) } else { square }
    })
}

/// The inverse, which is the power to 2^128 - 2; 0 for 0.
fn inverse(value: u128) -> u128 {
    let power = (0..127).fold(ONE, |power, _| multiply(multiply(power, power), value));
    multiply(power, power)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_128_GCM, UnboundKey};

    use super::*;

    /// Test case 2 of "The Galois/Counter Mode of Operation": the hash key of AES-128 under the key of zeros.
    #[test]
    fn the_hash_key_is_the_encryption_of_zeros() {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[0; 16]).expect("16 bytes"));
        assert_eq!(hash_key(&key, [7; 12]), Some(0x66e9_4bd4_ef8a_2c3b_884c_fa59_ca34_2b2e));
    }

    #[test]
    fn division_undoes_multiplication() {
        let (left, right) = (0x1234_5678_9abc_def0_0fed_cba9_8765_4321, 0xdead_beef_0000_0001_8000_0000_0000_0007);
        assert_eq!(multiply(multiply(left, right), inverse(right)), left);
        assert_eq!(multiply(left, ONE), left);
        assert_eq!(power(left, 5), multiply(left, multiply(multiply(left, left), multiply(left, left))));
        assert_eq!((inverse(0), inverse(ONE)), (0, ONE));
    }
}
