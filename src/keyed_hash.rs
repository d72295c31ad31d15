//! The hash of everything that a sender chooses: addresses, ports, fragment identifiers, texts.
//!
//! In: bytes, or values that implement [`Hash`](std::hash::Hash), and a seed. Out: 64 bits. Promises: who does not know the
//! seed cannot choose inputs whose hashes collide more often than by chance, so a look-up does bounded work.
//!
//! The hash is SipHash-1-3, as in the standard library. Multiplicative hashes are faster, but a sender can choose inputs that
//! make a factor of the product a constant, and then collisions do not depend on the seed.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

use siphasher::sip::SipHasher13;

/// Makes keyed hashes.
#[derive(Debug, Clone, Copy)]
pub struct KeyedState {
    keys: (u64, u64),
}

impl KeyedState {
    /// Hashes with a given seed. The same seed gives the same hashes.
    pub const fn with_seed(seed: u64) -> Self {
        Self { keys: (seed, seed.rotate_left(32) ^ 0x6b65_7965_645f_6861) }
    }

    /// Hashes with a secret seed, which is the same for the whole process. For tables on whose order no output depends.
    pub fn secret() -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        Self::with_seed(*SEED.get_or_init(random_seed))
    }

    /// Returns the hash of bytes.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.keys.0, self.keys.1).hash(bytes)
    }
}

impl Default for KeyedState {
    fn default() -> Self {
        Self::secret()
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.keys.0, self.keys.1)
    }
}

/// Returns a number that nobody outside can guess.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
