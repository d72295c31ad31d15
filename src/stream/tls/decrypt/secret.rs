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

/// About how many secrets [`SecretSource::search`] adds at once.
pub(crate) const SEARCHED_AT_ONCE: usize = 16;

/// How many of the connections that were logged last are looked at again when others were logged: a connection's lines do not come
/// all at once.
const LOOKED_AT_AGAIN: u32 = 16;

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

    /// Returns the number of the connection with this client random if there is any secret of it. Connections are numbered as they were
    /// logged.
    fn number_of(&self, client_random: &[u8; 32]) -> Option<u32>;

    /// Returns a number that rises whenever a secret may be found that was not there before.
    fn generation(&self) -> u64;

    /// Adds what the encrypted premaster secret of a ClientKeyExchange may be: 48 bytes each, one for each key that decrypts it
    /// to this length. The version in the first two bytes is not checked.
    fn decrypt_premaster(&self, encrypted: &[u8], found: &mut Vec<Secret>);

    /// Returns whether [`decrypt_premaster`](Self::decrypt_premaster) may find something at all.
    fn may_decrypt_premasters(&self) -> bool {
        true
    }

    /// Returns whether there is a private key.
    fn has_private_key(&self) -> bool {
        true
    }

    /// Begins a search among the connections that were logged since the last search from this place, near the connection with a number.
    fn begin_search(&self, place: &mut SearchPlace, near: u32);

    /// Adds the next secrets under any of these labels, about [`SEARCHED_AT_ONCE`]. Returns false if the search is over.
    fn search(&self, labels: &[Label], place: &mut SearchPlace, found: &mut Vec<Logged>) -> bool;
}

/// A secret with the connection for which it was logged.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    /// The connection.
    pub client_random: [u8; 32],
    /// What it is for.
    pub label: Label,
    /// The secret.
    pub secret: Secret,
}

/// How far a search among the connections of a source is. A search begins at one of
/// them and goes outward, because connections of one time were logged near each other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SearchPlace {
    /// The numbers of this search: `low <= number < high`.
    low: u32,
    high: u32,
    /// Where it begins, and how far from there it is.
    from: u32,
    step: u32,
}

impl SearchPlace {
    /// Begins a search among the connections below `high` that were logged since the last one, near the number `from`.
    pub(crate) fn begin(&mut self, high: u32, from: u32) {
        let low = self.high.min(high).saturating_sub(LOOKED_AT_AGAIN);
        *self = Self { low, high, from: from.clamp(low, high.max(low + 1) - 1), step: 0 };
    }

    /// Begins the same search again.
    pub(crate) fn begin_again(&mut self) {
        self.step = 0;
    }

    /// The numbers that are next; `None` if there are no more.
    pub(crate) fn next(&mut self) -> Option<impl Iterator<Item = u32> + use<>> {
        let up = self.from.checked_add(self.step).filter(|number| *number < self.high);
        let down = self.from.checked_sub(self.step).filter(|number| *number >= self.low && self.step > 0);
        self.step = self.step.saturating_add(1);
        (up.is_some() || down.is_some()).then(|| up.into_iter().chain(down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(place: &mut SearchPlace) -> Vec<u32> {
        std::iter::from_fn(|| place.next()).flatten().collect()
    }

    #[test]
    fn a_search_goes_outward_and_the_next_one_looks_at_what_is_new() {
        let mut place = SearchPlace::default();
        place.begin(5, 3);
        assert_eq!(all(&mut place), [3, 4, 2, 1, 0]);
        place.begin_again();
        assert_eq!(all(&mut place).len(), 5);
        place.begin(40, u32::MAX);
        assert_eq!(all(&mut place), (0..40).rev().collect::<Vec<_>>());
        place.begin(42, 41);
        assert_eq!(all(&mut place), (24..42).rev().collect::<Vec<_>>());
        place.begin(0, 0);
        assert!(all(&mut place).is_empty());
    }
}
