//! The keys of one direction in use, and the search for a record's sequence number.
//!
//! In: records. Out: their plaintext and how many records are missing before them. Promises: an opened record was
//! authenticated. The work of a search is bounded by a budget in bytes.

use std::ops::Range;

use aws_lc_rs::{aead, cipher};

use super::{
    opener::{Opener, Plain},
    outcome::Record,
    schedule::{DirectionKeys, TLS13, next_traffic_secret, traffic_keys},
    secret::Secret,
    suite::{Protection, Suite},
};

/// Bytes that one direction of a connection may use to try keys and sequence numbers: about 10 ms of work. Each record that
/// opens gives its length back.
pub(super) const BUDGET_BYTES: u32 = 16 << 20;

/// How far a sequence number is searched when no bytes are known to be missing.
pub(super) const NEAR_RECORDS: u32 = 64;

/// How far a sequence number is searched at most.
pub(super) const FAR_RECORDS: u32 = 4096;

/// Cost of one attempt beside the record's bytes, in bytes that could be decrypted in the same time.
const ATTEMPT_COST: u32 = 512;

const BLOCK_BYTES: usize = 16;

/// The record protection of one direction, with the sequence number that is expected next.
pub(super) struct Keys {
    opener: Opener,
    /// The sequence number of the next record if none is missing.
    pub(super) next: u64,
    /// The traffic secret (TLS 1.3).
    secret: Option<Secret>,
    suite: Suite,
    /// The nonce that the last opened record carried (AES-GCM of TLS 1.2).
    last_nonce: Option<u64>,
}

impl Keys {
    /// Creates the keys of a traffic secret (TLS 1.3).
    pub(super) fn of_traffic_secret(suite: Suite, secret: &Secret) -> Option<Self> {
        let opener = Opener::new(TLS13, suite, &traffic_keys(suite, secret)?, false)?;
        Some(Self { opener, next: 0, secret: Some(secret.clone()), suite, last_nonce: None })
    }

    /// Creates the keys of a direction of TLS 1.2 and below.
    pub(super) fn of_key_block(
        version: u16,
        suite: Suite,
        keys: &DirectionKeys,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let opener = Opener::new(version, suite, keys, encrypt_then_mac)?;
        Some(Self { opener, next: 0, secret: None, suite, last_nonce: None })
    }

    /// Creates the keys that follow a key update (TLS 1.3).
    pub(super) fn updated(&self) -> Option<Self> {
        Self::of_traffic_secret(self.suite, &next_traffic_secret(self.suite, self.secret.as_ref()?)?)
    }

    /// Opens the record that is expected, or with a carried nonce the one that the nonce shows. Returns how many records are
    /// missing before it.
    pub(super) fn open(&mut self, record: Record<'_>, plaintext: &mut Vec<u8>) -> Option<(Plain, u32)> {
        let nonce = self.opener.explicit_nonce(record);
        if let (Some(nonce), Some(last)) = (nonce, self.last_nonce)
            && let missing @ 1.. = nonce.wrapping_sub(last).wrapping_sub(1)
            && missing < FAR_RECORDS.into()
            && let Some(found) = self.open_at(self.next.wrapping_add(missing), record, plaintext)
        {
            return Some(found);
        }
        self.open_at(self.next, record, plaintext)
    }

    /// Searches for the sequence number of a record that [`open`](Self::open) did not open: up to `distance` after the
    /// expected one, then up to `back` before it, in case that records were counted that the sender did not send. Takes the
    /// work off the budget, and ends the search if it is used up.
    pub(super) fn search(
        &mut self,
        record: Record<'_>,
        plaintext: &mut Vec<u8>,
        (back, distance): (u32, u32),
        budget: &mut u32,
    ) -> Option<(Plain, u32)> {
        let first = self.next.saturating_sub(back.min(FAR_RECORDS).into());
        let end = self.next.saturating_add(distance.min(FAR_RECORDS).into()).saturating_add(1);
        if self.secret.is_some() && self.suite.protection == Protection::AesGcm {
            let sequence = self.find_gcm(record, first..end, budget)?;
            return self.open_at(sequence, record, plaintext);
        }
        for sequence in outward(first..end, self.next) {
            spend(budget, record.body.len())?;
            if let Some(found) = self.open_at(sequence, record, plaintext) {
                return Some(found);
            }
        }
        None
    }

    /// Opens a record with this sequence number. Returns how many records are missing before it.
    fn open_at(&mut self, sequence: u64, record: Record<'_>, plaintext: &mut Vec<u8>) -> Option<(Plain, u32)> {
        let plain = self.opener.open(sequence, record, plaintext)?;
        let missing = u32::try_from(sequence.saturating_sub(self.next)).unwrap_or(u32::MAX);
        self.next = sequence.wrapping_add(1);
        self.last_nonce = self.opener.explicit_nonce(record);
        self.opener.passed(record.body);
        Some((plain, missing))
    }

    /// Notes a record that did not open or was not given. The next one has the next number.
    pub(super) fn pass(&mut self, record: Option<Record<'_>>) {
        self.next += 1;
        self.last_nonce = self.last_nonce.map(|nonce| nonce.wrapping_add(1));
        match record {
            Some(record) => self.opener.passed(record.body),
            None => self.opener.lost(),
        }
    }

    /// Notes how the record ends that is before the next one.
    pub(super) fn follow(&mut self, tail: &[u8]) {
        self.opener.passed(tail);
    }

    /// Notes that bytes may be missing before the next record.
    pub(super) fn lost(&mut self) {
        self.opener.lost();
    }

    /// Returns the bytes that protection adds to each record if this is the same for all records without padding.
    pub(super) fn overhead(&self) -> Option<usize> {
        self.opener.overhead()
    }

    /// Finds a sequence number with one pass over the record instead of one for each number. The tag of AES-GCM is the xor
    /// of a hash of the ciphertext, which the nonce does not change, and of one encrypted block, which depends on the
    /// nonce alone. So the hash is computed once, and gives the block that the right nonce must encrypt to.
    fn find_gcm(&self, record: Record<'_>, range: Range<u64>, budget: &mut u32) -> Option<u64> {
        let count = usize::try_from(range.end.saturating_sub(range.start)).ok()?;
        spend(budget, 2 * record.body.len() + BLOCK_BYTES * count)?;
        let (text, tag) = record.body.split_at_checked(record.body.len().checked_sub(BLOCK_BYTES)?)?;
        let tag: &[u8; BLOCK_BYTES] = tag.first_chunk()?;
        let keys = traffic_keys(self.suite, self.secret.as_ref()?)?;
        let iv: [u8; 12] = keys.iv[..].try_into().ok()?;
        let (aead, cipher) = match self.suite.key_bytes {
            16 => (&aead::AES_128_GCM, &cipher::AES_128),
            _ => (&aead::AES_256_GCM, &cipher::AES_256),
        };
        let seal = aead::LessSafeKey::new(aead::UnboundKey::new(aead, &keys.key).ok()?);
        let blocks = cipher::EncryptingKey::ecb(cipher::UnboundCipherKey::new(cipher, &keys.key).ok()?).ok()?;
        let first_block = |sequence: u64| {
            let mut block = [0; BLOCK_BYTES];
            block[..12].copy_from_slice(&iv);
            for (to, from) in block[4..12].iter_mut().zip(sequence.to_be_bytes()) {
                *to ^= from;
            }
            block[15] = 1;
            block
        };
        // Any nonce will do. Sealing zeros gives its key stream, and sealing this record's text xor the key stream gives the
        // same ciphertext again, with its tag under this nonce.
        let nonce = || aead::Nonce::assume_unique_for_key(iv);
        let mut sealed = vec![0; text.len()];
        let _ = seal.seal_in_place_separate_tag(nonce(), aead::Aad::empty(), &mut sealed).ok()?;
        for (to, from) in sealed.iter_mut().zip(text) {
            *to ^= from;
        }
        let known = seal.seal_in_place_separate_tag(nonce(), aead::Aad::from(&record.header), &mut sealed).ok()?;
        let mut encrypted = first_block(0);
        blocks.encrypt(&mut encrypted).ok()?;
        let mut wanted = *tag;
        for ((to, known), encrypted) in wanted.iter_mut().zip(known.as_ref()).zip(encrypted) {
            *to ^= known ^ encrypted;
        }
        let mut tried = Vec::with_capacity(BLOCK_BYTES * count);
        for sequence in range.clone() {
            tried.extend_from_slice(&first_block(sequence));
        }
        blocks.encrypt(&mut tried).ok()?;
        let found = tried.chunks_exact(BLOCK_BYTES).position(|block| *block == wanted)?;
        Some(range.start + found as u64)
    }
}

/// The numbers of a range but for one in it, the nearest to it first.
fn outward(range: Range<u64>, from: u64) -> impl Iterator<Item = u64> {
    let near = (1..range.end - range.start).flat_map(move |step| [from.checked_add(step), from.checked_sub(step)]);
    near.flatten().filter(move |number| range.contains(number))
}

/// Takes the cost of an attempt off the budget; `None` if it is used up.
pub(super) fn spend(budget: &mut u32, bytes: usize) -> Option<()> {
    let cost = u32::try_from(bytes).ok()?.checked_add(ATTEMPT_COST)?;
    match budget.checked_sub(cost) {
        Some(left) => {
            *budget = left;
            Some(())
        }
        None => {
            *budget = 0;
            None
        }
    }
}
