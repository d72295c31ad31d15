//! Private keys of servers, which decrypt the premaster secrets of TLS 1.2 and earlier where the key exchange is RSA.
//!
//! In: the text of PEM files, the encrypted premaster secret of a ClientKeyExchange. Out: what the key decrypts it to, if that
//! has 48 bytes. Promises: an encrypted key, a key that is no RSA key and a file without a key are told apart; no message
//! contains any of the file's content; what was decoded is overwritten when it is no longer needed.
//!
//! The caller tries the secret on a record, and the record's authentication decides. Nothing is ever sent to anyone who could
//! learn from the outcome or from the time that a decryption takes, so the countermeasures of RFC 5246, section 7.4.7.1, which
//! hide a malformed padding from the sender, are not needed.

use std::fmt;

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::super::decrypt::Secret;

/// The length of a premaster secret.
const PREMASTER: usize = 48;
/// The longest modulus in bytes.
const MAX_MODULUS: usize = 1024;
/// Most private keys of one file.
const MAX_KEYS: usize = 16;

/// An RSA key.
pub struct PrivateKey {
    key: Pkcs1PrivateDecryptingKey,
}

/// Why a file gives no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// The key is protected by a passphrase.
    #[error("the private key is encrypted; decrypt it first, for instance with: openssl pkey -in FILE -out CLEAR-FILE")]
    Encrypted,
    /// The file has a key of another kind.
    #[error(
        "the private key is no RSA key; only RSA keys decrypt connections, and only those of TLS 1.2 and earlier whose key \
         exchange is RSA; use a key log instead"
    )]
    NotRsa,
    /// The file has PEM blocks, or none, but no private key.
    #[error(
        "there is no private key in it; expected is a block that begins with -----BEGIN PRIVATE KEY----- or \
             -----BEGIN RSA PRIVATE KEY-----"
    )]
    NoKey,
    /// The file is DER.
    #[error("it is not in PEM format; convert it, for instance with: openssl pkey -inform DER -in FILE -out PEM-FILE")]
    Der,
    /// A block has no end or is not base64.
    #[error("a private key in it is damaged")]
    Damaged,
    /// The key has less than 2048 bits.
    #[error("the RSA key is too short; supported are 2048 to 8192 bits")]
    TooShort,
    /// The key has more than 8192 bits.
    #[error("the RSA key is too long; supported are 2048 to 8192 bits")]
    TooLong,
    /// The file has too many keys.
    #[error("there are more than {MAX_KEYS} private keys in it")]
    TooMany,
}

impl PrivateKey {
    /// Reads the RSA keys of a PEM file: at least one. The file may also have certificates, parameters, and keys of other kinds.
    ///
    /// # Errors
    /// When a key in it cannot be used, or there is none.
    pub fn read_all(text: &[u8]) -> Result<Vec<Self>, PrivateKeyError> {
        let (mut keys, mut has_others) = (Vec::new(), false);
        let mut rest = text;
        while let Some(block) = Block::next(&mut rest)? {
            let key = match block.kind {
                b"RSA PRIVATE KEY" => Self::from_pkcs8(&pkcs8_of(&block.decoded()?)),
                b"PRIVATE KEY" => Self::from_pkcs8(&block.decoded()?),
                b"ENCRYPTED PRIVATE KEY" => Err(PrivateKeyError::Encrypted),
                kind if kind.ends_with(b"PRIVATE KEY") => Err(PrivateKeyError::NotRsa),
                _ => continue,
            };
            let key = match key {
                Err(PrivateKeyError::NotRsa) => {
                    has_others = true;
                    continue;
                }
                key => key?,
            };
            if keys.len() == MAX_KEYS {
                return Err(PrivateKeyError::TooMany);
            }
            keys.push(key);
        }
        match text.first() {
            _ if !keys.is_empty() => Ok(keys),
            _ if has_others => Err(PrivateKeyError::NotRsa),
            // A sequence, with which every key in DER begins.
            Some(0x30) => Err(PrivateKeyError::Der),
            _ => Err(PrivateKeyError::NoKey),
        }
    }

    /// Decrypts the premaster secret of a ClientKeyExchange (RFC 5246, section 7.4.7.1), without its length field. Returns
    /// `None` unless the result has 48 bytes. The version in its first two bytes is not checked.
    pub(super) fn decrypt_premaster(&self, encrypted: &[u8]) -> Option<Secret> {
        let mut plain = Zeroizing::new([0; MAX_MODULUS]);
        if encrypted.len() != self.key.key_size_bytes() {
            return None;
        }
        let plain = self.key.decrypt(encrypted, plain.get_mut(..self.key.min_output_size())?).ok()?;
        if plain.len() == PREMASTER { Secret::new(plain) } else { None }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|rejected| match rejected.to_string().as_str() {
            "TooSmall" => PrivateKeyError::TooShort,
            "TooLarge" => PrivateKeyError::TooLong,
            "WrongAlgorithm" => PrivateKeyError::NotRsa,
            _ if !contains(der, RSA_ENCRYPTION) => PrivateKeyError::NotRsa,
            _ => PrivateKeyError::Damaged,
        })?;
        let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| PrivateKeyError::Damaged)?;
        Ok(Self { key })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// A block of a PEM file (RFC 7468).
struct Block<'a> {
    /// What stands after `BEGIN`.
    kind: &'a [u8],
    /// The text between the two lines.
    text: &'a [u8],
}

impl<'a> Block<'a> {
    /// Removes the next block.
    fn next(rest: &mut &'a [u8]) -> Result<Option<Self>, PrivateKeyError> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        const DASHES: &[u8] = b"-----";
        let Some((_, after)) = split_at(rest, BEGIN) else { return Ok(None) };
        let (kind, after) = split_at(after, DASHES).ok_or(PrivateKeyError::Damaged)?;
        let (text, after) = split_at(after, b"-----END ").ok_or(PrivateKeyError::Damaged)?;
        *rest = after;
        Ok(Some(Self { kind, text }))
    }

    fn decoded(&self) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
        // Older encrypted keys have headers before the base64 text: `Proc-Type: 4,ENCRYPTED` (RFC 1421).
        if contains(self.text, b"ENCRYPTED") {
            return Err(PrivateKeyError::Encrypted);
        }
        // The room is allocated at once, because a buffer that grows leaves copies behind.
        let mut digits = Zeroizing::new(Vec::with_capacity(self.text.len()));
        digits.extend(self.text.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; digits.len()]);
        let length = STANDARD.decode_slice(&*digits, &mut der).map_err(|_| PrivateKeyError::Damaged)?;
        der.truncate(length);
        Ok(der)
    }
}

/// The object identifier of `rsaEncryption` in DER.
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Wraps an `RSAPrivateKey` of PKCS#1 into a `PrivateKeyInfo` of PKCS#8 (RFC 5208, section 5).
fn pkcs8_of(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    const VERSION: &[u8] = &[0x02, 1, 0];
    const NULL: &[u8] = &[0x05, 0];
    let algorithm = [&[0x30, (RSA_ENCRYPTION.len() + NULL.len()) as u8], RSA_ENCRYPTION, NULL].concat();
    let octets = header(0x04, pkcs1.len());
    let length = VERSION.len() + algorithm.len() + octets.len() + pkcs1.len();
    Zeroizing::new([&header(0x30, length), VERSION, &algorithm, &octets, pkcs1].concat())
}

/// The tag and the length of a DER value.
fn header(tag: u8, length: usize) -> Vec<u8> {
    let length = length as u32;
    if length < 0x80 {
        return vec![tag, length as u8];
    }
    let zeros = length.leading_zeros() as usize / 8;
    let bytes = length.to_be_bytes();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    [&[tag, 0x80 | bytes.len() as u8], bytes].concat()
}

/// Returns what is before and after the first occurrence of a text.
fn split_at<'a>(bytes: &'a [u8], text: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, text)?;
    Some((bytes.get(..at)?, bytes.get(at + text.len()..)?))
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(bytes, text).is_some()
}
