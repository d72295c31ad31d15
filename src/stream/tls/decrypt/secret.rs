//! Secrets of TLS connections, and the trait by which decryption asks for them.
//!
//! In: the bytes of secrets. Out: [`Secret`]s, by label and client random. Promises: the bytes of a secret are overwritten when
//! it is dropped, and no message and no debug output contains them.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The longest secret in bytes. It is the longest output of a hash that a cipher suite could use.
pub(crate) const MAX_SECRET: usize = 64;

/// Most candidates for one label of one connection.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// Most connections that [`SecretSource::recent`] returns.
pub(crate) const MAX_RECENT: usize = 16;

/// The purpose of a secret (RFC 9850, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    /// The master secret of TLS 1.2 and earlier: 48 bytes.
    ClientRandom,
    /// The client's early traffic secret of TLS 1.3.
    ClientEarlyTraffic,
    /// The client's handshake traffic secret of TLS 1.3.
    ClientHandshakeTraffic,
    /// The server's handshake traffic secret of TLS 1.3.
    ServerHandshakeTraffic,
    /// The client's first application traffic secret of TLS 1.3.
    ClientTraffic,
    /// The server's first application traffic secret of TLS 1.3.
    ServerTraffic,
}

/// A secret of at most [`MAX_SECRET`] bytes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret {
    bytes: [u8; MAX_SECRET],
    /// `length <= MAX_SECRET`.
    length: u8,
}

impl Secret {
    /// Copies the bytes of a secret. Returns `None` if there are none, or more than [`MAX_SECRET`].
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self { bytes: [0; MAX_SECRET], length: u8::try_from(bytes.len()).ok()? };
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(secret)
    }

    /// The bytes of the secret.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where decryption gets its secrets.
pub(crate) trait SecretSource {
    /// Adds the candidates for a secret, newest first, at most [`MAX_CANDIDATES`]. Producers of key logs sometimes write a
    /// wrong secret before the right one, so the authentication of the first record decides which candidate is right.
    fn candidates(&self, label: Label, client_random: &[u8; 32], found: &mut Vec<Secret>);

    /// Returns whether there is any secret of the connection with this client random.
    fn knows(&self, client_random: &[u8; 32]) -> bool;

    /// Returns a number that rises whenever a secret may be found that was not there before.
    fn generation(&self) -> u64;

    /// Adds what the encrypted premaster secret of a ClientKeyExchange may be: 48 bytes each, one for each key that decrypts it
    /// to this length. The version in the first two bytes is not checked.
    fn decrypt_premaster(&self, encrypted: &[u8], found: &mut Vec<Secret>);

    /// Returns whether there is a private key at all, so that [`decrypt_premaster`](Self::decrypt_premaster) may find something.
    fn has_private_keys(&self) -> bool {
        true
    }

    /// Adds the newest secrets under a label with their client randoms, newest first, at most [`MAX_RECENT`].
    fn recent(&self, label: Label, found: &mut Vec<([u8; 32], Secret)>);
}
