//! AES-CBC with an HMAC, of TLS 1.0 to 1.2 (RFC 5246, section 6.2.3.2; RFC 7366).
//!
//! In: whole records with their sequence numbers. Out: plaintext. Promises: padding and MAC are verified always. A passive
//! reader answers nothing, so the time this takes tells nobody anything.

use aws_lc_rs::{cipher, hmac, iv::FixedLength};

use super::{
    opener::{Plain, pseudo_header},
    outcome::Record,
    schedule::{DirectionKeys, TLS11},
    suite::Mac,
};

const BLOCK_BYTES: usize = 16;

/// The record protection of one direction.
pub(super) struct Cbc {
    decrypt: cipher::DecryptingKey,
    authenticate: hmac::Key,
    mac_bytes: usize,
    iv: Iv,
    encrypt_then_mac: bool,
}

/// Where a record's initialisation vector is.
enum Iv {
    /// It is the last encrypted block of the record before (TLS 1.0). `None` if that record was not seen.
    Chained {
        last: Option<[u8; BLOCK_BYTES]>,
        /// Whether records may be missing since.
        is_broken: bool,
    },
    /// The record begins with it.
    Explicit,
}

impl Cbc {
    /// `None` if the keys' lengths do not fit.
    pub(super) fn new(version: u16, mac: Mac, keys: &DirectionKeys, encrypt_then_mac: bool) -> Option<Self> {
        let algorithm = match keys.key.len() {
            16 => &cipher::AES_128,
            32 => &cipher::AES_256,
            _ => return None,
        };
        let unbound = cipher::UnboundCipherKey::new(algorithm, &keys.key).ok()?;
        let hash = match mac {
            Mac::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Mac::Sha256 => hmac::HMAC_SHA256,
            Mac::Sha384 => hmac::HMAC_SHA384,
        };
        Some(Self {
            decrypt: cipher::DecryptingKey::cbc(unbound).ok()?,
            authenticate: hmac::Key::new(hash, &keys.mac),
            mac_bytes: mac.bytes(),
            iv: if version < TLS11 {
                Iv::Chained { last: Some(keys.iv[..].try_into().ok()?), is_broken: false }
            } else {
                Iv::Explicit
            },
            encrypt_then_mac,
        })
    }

    /// Opens a record as [`Opener::open`](super::opener::Opener::open) does.
    pub(super) fn open(&self, sequence: u64, record: Record<'_>, plaintext: &mut Vec<u8>) -> Option<Plain> {
        let [kind, major, minor, ..] = record.header;
        let mut sealed = record.body;
        if self.encrypt_then_mac {
            let (covered, tag) = sealed.split_at_checked(sealed.len().checked_sub(self.mac_bytes)?)?;
            let header = pseudo_header(sequence, [kind, major, minor], u16::try_from(covered.len()).ok()?);
            self.is_authentic(&header, covered, tag)?;
            sealed = covered;
        }
        let iv = match self.iv {
            Iv::Chained { last, .. } => last?,
            Iv::Explicit => {
                let (iv, rest) = sealed.split_first_chunk()?;
                sealed = rest;
                *iv
            }
        };
        if plaintext.len() < sealed.len() {
            plaintext.resize(sealed.len(), 0);
        }
        let text = plaintext.get_mut(..sealed.len())?;
        text.copy_from_slice(sealed);
        let context = cipher::DecryptionContext::Iv128(FixedLength::from(iv));
        self.decrypt.decrypt(text, context).ok()?;
        let mut length = unpadded(text)?;
        if !self.encrypt_then_mac {
            length = length.checked_sub(self.mac_bytes)?;
            let (content, tag) = text.split_at_checked(length)?;
            let header = pseudo_header(sequence, [kind, major, minor], u16::try_from(length).ok()?);
            self.is_authentic(&header, content, tag.get(..self.mac_bytes)?)?;
        }
        Some(Plain { kind, length, is_padded: false })
    }

    /// Notes that a record was sent.
    pub(super) fn passed(&mut self, body: &[u8]) {
        if let Iv::Chained { last, is_broken } = &mut self.iv {
            let mac_bytes = if self.encrypt_then_mac { self.mac_bytes } else { 0 };
            let sealed = body.get(..body.len().saturating_sub(mac_bytes)).unwrap_or_default();
            (*last, *is_broken) = (sealed.last_chunk().copied(), false);
        }
    }

    /// Notes that bytes may be missing before the next record. With encrypt-then-MAC, the MAC does not cover the block that the next
    /// record of TLS 1.0 is chained to, so that record must not be opened without it. Without, the MAC decides.
    pub(super) fn lost(&mut self) {
        if let Iv::Chained { last, is_broken } = &mut self.iv {
            *is_broken = true;
            last.take_if(|_| self.encrypt_then_mac);
        }
    }

    /// Returns whether the next record opens with no number but the expected one, because records before it may be missing.
    pub(super) fn is_chain_broken(&self) -> bool {
        matches!(self.iv, Iv::Chained { is_broken: true, .. })
    }

    fn is_authentic(&self, header: &[u8], content: &[u8], tag: &[u8]) -> Option<()> {
        let mut context = hmac::Context::with_key(&self.authenticate);
        context.update(header);
        context.update(content);
        (context.sign().as_ref() == tag).then_some(())
    }
}

/// Returns the length without padding: the last byte says how many bytes are before it, all of the same value.
fn unpadded(text: &[u8]) -> Option<usize> {
    let padding = *text.last()?;
    let length = text.len().checked_sub(usize::from(padding) + 1)?;
    text.get(length..)?.iter().all(|byte| *byte == padding).then_some(length)
}
