//! Record protection of one direction.
//!
//! In: whole records with their sequence numbers. Out: plaintext in a buffer of the caller. Promises: nothing counts as
//! opened unless its tag or MAC is right; the beginning of a record, which has none, is decrypted only where it is asked for. The
//! record itself is never changed, so another key or sequence number can be tried on it. Keys are erased when they are dropped.
//!
//! The plaintext goes to another buffer because the library erases a record that it fails to open in place.

use aws_lc_rs::aead;
use zeroize::Zeroize;

use super::{
    cbc::Cbc,
    ghash,
    outcome::{Beginning, Record},
    records::APPLICATION_DATA,
    schedule::{DirectionKeys, TLS13},
    suite::{Protection, Suite},
};

pub(super) const TAG_BYTES: usize = 16;
pub(super) const NONCE_BYTES: usize = 12;

/// Bytes of the nonce that TLS 1.2 sends with each record of AES-GCM.
pub(super) const EXPLICIT_NONCE_BYTES: usize = 8;

/// Content of an opened record: its type, and how many bytes of the buffer it fills from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    /// The type; of TLS 1.3 the inner one.
    pub(super) kind: u8,
    /// Length without padding.
    pub(super) length: usize,
    /// Whether the record was padded (TLS 1.3).
    pub(super) is_padded: bool,
}

/// The record protection of one direction under one set of keys.
pub(super) enum Opener {
    /// TLS 1.3.
    Tls13 {
        /// The key.
        key: aead::LessSafeKey,
        /// Xor-ed with the sequence number, this is the nonce.
        iv: [u8; NONCE_BYTES],
    },
    /// AES-GCM of TLS 1.2.
    Gcm12 {
        /// The key.
        key: aead::LessSafeKey,
        /// The nonce's first four bytes.
        salt: [u8; 4],
    },
    /// ChaCha20-Poly1305 of TLS 1.2.
    ChaCha12 {
        /// The key.
        key: aead::LessSafeKey,
        /// Xor-ed with the sequence number, this is the nonce.
        iv: [u8; NONCE_BYTES],
    },
    /// AES-CBC of TLS 1.0 to 1.2.
    Cbc(Box<Cbc>),
}

impl Drop for Opener {
    fn drop(&mut self) {
        match self {
            Self::Tls13 { iv, .. } | Self::ChaCha12 { iv, .. } => iv.zeroize(),
            Self::Gcm12 { salt, .. } => salt.zeroize(),
            Self::Cbc(_) => {}
        }
    }
}

impl Opener {
    /// Creates the protection that a version, a suite and keys give. `None` if they do not fit one another.
    pub(super) fn new(version: u16, suite: Suite, keys: &DirectionKeys, encrypt_then_mac: bool) -> Option<Self> {
        let algorithm = match (suite.protection, suite.key_bytes) {
            (Protection::AesGcm, 16) => &aead::AES_128_GCM,
            (Protection::AesGcm, _) => &aead::AES_256_GCM,
            (Protection::ChaCha20Poly1305, _) => &aead::CHACHA20_POLY1305,
            (Protection::AesCbc(mac), _) => {
                return Cbc::new(version, mac, keys, encrypt_then_mac).map(|cbc| Self::Cbc(Box::new(cbc)));
            }
        };
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, &keys.key).ok()?);
        Some(match (version, suite.protection) {
            (TLS13, _) => Self::Tls13 { key, iv: keys.iv[..].try_into().ok()? },
            (_, Protection::AesGcm) => Self::Gcm12 { key, salt: keys.iv[..].try_into().ok()? },
            _ => Self::ChaCha12 { key, iv: keys.iv[..].try_into().ok()? },
        })
    }

    /// Opens a record. The plaintext is at the front of `plaintext`, which grows as needed and is overwritten even if the
    /// record does not open (`None`).
    pub(super) fn open(&self, sequence: u64, record: Record<'_>, plaintext: &mut Vec<u8>) -> Option<Plain> {
        let [kind, major, minor, ..] = record.header;
        let mut open = |key: &aead::LessSafeKey, nonce, aad: &[u8], sealed: &[u8]| -> Option<usize> {
            let length = sealed.len().checked_sub(TAG_BYTES)?;
            let (text, tag) = sealed.split_at(length);
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let aad = aead::Aad::from(aad);
            key.open_separate_gather(nonce, aad, text, tag, room(plaintext, length)?).ok()?;
            Some(length)
        };
        // RFC 5246, section 6.2.3.3: the length is that of the plaintext.
        let aad12 = |overhead: usize| {
            let length = record.body.len().saturating_sub(overhead) as u16;
            pseudo_header(sequence, [kind, major, minor], length)
        };
        match self {
            Self::Tls13 { key, iv } => {
                if kind != APPLICATION_DATA {
                    return None;
                }
                let length = open(key, xor_nonce(iv, sequence), &record.header, record.body)?;
                let inner = plaintext.get(..length)?;
                // Only zeros is not allowed (RFC 8446, section 5.4); type 0 stands for it.
                let last = inner.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                let kind = inner.get(last).copied().unwrap_or(0);
                Some(Plain { kind, length: last, is_padded: last + 1 < length })
            }
            Self::Gcm12 { key, salt } => {
                let (explicit, sealed) = record.body.split_at_checked(EXPLICIT_NONCE_BYTES)?;
                let length = open(
                    key,
                    nonce12(*salt, explicit.first_chunk()?),
                    &aad12(EXPLICIT_NONCE_BYTES + TAG_BYTES),
                    sealed,
                )?;
                Some(Plain { kind, length, is_padded: false })
            }
            Self::ChaCha12 { key, iv } => {
                let length = open(key, xor_nonce(iv, sequence), &aad12(TAG_BYTES), record.body)?;
                Some(Plain { kind, length, is_padded: false })
            }
            Self::Cbc(cbc) => cbc.open(sequence, record, plaintext),
        }
    }

    /// Decrypts the beginning of a record's body, up to so many bytes of data, without authentication. The plaintext is at the front of
    /// `plaintext`, which grows as needed. `None` for CBC.
    pub(super) fn open_beginning(
        &self,
        sequence: u64,
        body: &[u8],
        data: u64,
        plaintext: &mut Vec<u8>,
    ) -> Option<Beginning> {
        let (key, nonce, front) = match self {
            Self::Tls13 { key, iv } | Self::ChaCha12 { key, iv } => (key, xor_nonce(iv, sequence), 0),
            Self::Gcm12 { key, salt } => (key, nonce12(*salt, body.first_chunk()?), EXPLICIT_NONCE_BYTES),
            Self::Cbc(_) => return None,
        };
        let text = body.get(front..)?;
        let length = text.len().min(usize::try_from(data).unwrap_or(usize::MAX));
        let plaintext = room(plaintext, length)?;
        plaintext.copy_from_slice(text.get(..length)?);
        // These ciphers xor a key stream, so that sealing undoes sealing. The tag is of no use.
        ghash::seal(key, nonce, &[], plaintext)?;
        Some(Beginning { front: front as u64, length: length as u64 })
    }

    /// Notes the body of a record that was sent, whether it was opened or not, or the body's end. Must be called for each record.
    pub(super) fn passed(&mut self, body: &[u8]) {
        if let Self::Cbc(cbc) = self {
            cbc.passed(body);
        }
    }

    /// Notes that bytes may be missing before the next record.
    pub(super) fn lost(&mut self) {
        if let Self::Cbc(cbc) = self {
            cbc.lost();
        }
    }

    /// Returns whether the next record opens with no number but the expected one (CBC of TLS 1.0).
    pub(super) fn is_chain_broken(&self) -> bool {
        matches!(self, Self::Cbc(cbc) if cbc.is_chain_broken())
    }

    /// Returns the nonce that a record carries. Most senders count it up by one for each record.
    pub(super) fn explicit_nonce(&self, record: Record<'_>) -> Option<u64> {
        match self {
            Self::Gcm12 { .. } => record.body.first_chunk().map(|nonce| u64::from_be_bytes(*nonce)),
            _ => None,
        }
    }

    /// Returns the sequence number that a record's tag shows, if its protection shows one (AES-GCM of TLS 1.2).
    pub(super) fn shown_number(&self, record: Record<'_>) -> Option<u64> {
        match self {
            Self::Gcm12 { key, salt } => ghash::number(key, *salt, record),
            _ => None,
        }
    }

    /// Returns the bytes that protection adds to each record if this is the same for all records that are not padded;
    /// `None` for CBC.
    pub(super) fn overhead(&self) -> Option<usize> {
        match self {
            // The inner type is one byte.
            Self::Tls13 { .. } => Some(TAG_BYTES + 1),
            Self::Gcm12 { .. } => Some(EXPLICIT_NONCE_BYTES + TAG_BYTES),
            Self::ChaCha12 { .. } => Some(TAG_BYTES),
            Self::Cbc(_) => None,
        }
    }
}

/// So many bytes at the front of a buffer, which grows if it is shorter.
fn room(buffer: &mut Vec<u8>, length: usize) -> Option<&mut [u8]> {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    buffer.get_mut(..length)
}

/// The sequence number and a header, which tags and MACs of TLS 1.2 and below cover.
pub(super) fn pseudo_header(sequence: u64, [kind, major, minor]: [u8; 3], length: u16) -> [u8; 13] {
    let mut header = [0; 13];
    let [high, low] = length.to_be_bytes();
    header[..8].copy_from_slice(&sequence.to_be_bytes());
    header[8..].copy_from_slice(&[kind, major, minor, high, low]);
    header
}

/// RFC 5288, section 3.
pub(super) fn nonce12(salt: [u8; 4], explicit: &[u8; EXPLICIT_NONCE_BYTES]) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..salt.len()].copy_from_slice(&salt);
    nonce[salt.len()..].copy_from_slice(explicit);
    nonce
}

/// RFC 8446, section 5.3.
pub(super) fn xor_nonce(iv: &[u8; NONCE_BYTES], sequence: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = *iv;
    for (to, from) in nonce[NONCE_BYTES - 8..].iter_mut().zip(sequence.to_be_bytes()) {
        *to ^= from;
    }
    nonce
}
