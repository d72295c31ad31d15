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

    /// Hashes with a secret seed, which is the same for the whole process and which no setting governs. For tables that are
    /// only asked for what they hold, so that no output depends on the seed, even when a limit is reached.
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

/// Returns a number that nobody outside can guess. It has 63 bits, so that a configuration file can hold it.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 1
}

/// Keys that a sender chose, for tests of every table.
#[cfg(test)]
pub(crate) mod testing {
    use hashbrown::HashTable;

    /// A constant of a hash that multiplies two numbers. Addresses that contain it make one of the numbers zero, and then the
    /// product is zero whatever the other number and the key are.
    pub(crate) const FACTOR: u64 = 0x243f_6a88_85a3_08d3;

    /// IPv6 addresses that all have the same lower half, which is [`FACTOR`], and different upper halves.
    pub(crate) fn colliding_addresses() -> impl Iterator<Item = [u8; 16]> {
        (0..4_096u64).map(|network| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&(0x2001_0db8_0000_0000 | network).to_be_bytes());
            bytes[8..].copy_from_slice(&FACTOR.to_be_bytes());
            bytes
        })
    }

    /// Returns the most keys that a table with these hashes compares to find one, and the most keys that begin their search at
    /// one of its places.
    pub(crate) fn work_of(hashes: impl Iterator<Item = u64>) -> (usize, usize) {
        let hashes: Vec<u64> = hashes.collect();
        let mut table = HashTable::new();
        for (number, &hash) in hashes.iter().enumerate() {
            table.insert_unique(hash, number, |&other| hashes[other]);
        }
        let compared = hashes.iter().enumerate().map(|(number, &hash)| {
            let mut compared = 0;
            table.find(hash, |&other| {
                compared += 1;
                other == number
            });
            compared
        });
        let mut starts = vec![0; table.capacity().next_power_of_two()];
        let places = starts.len() as u64;
        hashes.iter().for_each(|hash| starts[(hash % places) as usize] += 1);
        (compared.max().unwrap_or(0), starts.into_iter().max().unwrap_or(0))
    }

    /// Panics if one look-up may take more work than chance explains.
    pub(crate) fn assert_bounded_work(hashes: impl Iterator<Item = u64>) {
        let (compared, starts) = work_of(hashes);
        assert!(compared <= 8 && starts <= 12, "{compared} keys compared, {starts} begin at one place");
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{FACTOR, assert_bounded_work, colliding_addresses, work_of},
        *,
    };

    /// A keyed hash that multiplies, as many fast hashes do.
    fn product(high: u64, low: u64, seed: u64) -> u64 {
        let product = u128::from(high ^ seed) * u128::from(low ^ FACTOR);
        product as u64 ^ (product >> 64) as u64
    }

    #[test]
    fn addresses_that_collide_under_any_key_of_a_product_cost_bounded_work() {
        for seed in [0, 1, 7, u64::MAX, random_seed()] {
            let half = |address: &[u8]| address.iter().fold(0, |half, &byte| half << 8 | u64::from(byte));
            let halves = || colliding_addresses().map(|address| (half(&address[..8]), half(&address[8..])));
            let (compared, _) = work_of(halves().map(|(high, low)| product(high, low, seed)));
            assert!(compared > 4_000, "the family collides under a product: {compared}");
            assert_bounded_work(halves().map(|halves| KeyedState::with_seed(seed).hash_one(halves)));
        }
    }

    #[test]
    fn a_random_seed_fits_into_a_configuration_file() {
        assert!((0..64).all(|_| i64::try_from(random_seed()).is_ok()));
    }
}
