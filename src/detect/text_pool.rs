//! The budget of memory for texts and other evidence, shared by all rules.
//!
//! In: the number of bytes that rules keep. Out: whether there is room for more. Promises: the sum over all rules is always
//! known and has one limit; a share returns its bytes when its rule is dropped; every text that found no room is counted.
//!
//! The pool only counts bytes. The texts themselves are stored in the rules.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// The most bytes of evidence that all rules hold together, unless configured otherwise.
pub const DEFAULT_TEXT_BYTES: usize = 64 << 20;

/// The pool. All clones share the same counts.
#[derive(Debug, Clone)]
pub struct TextPool(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    limit: AtomicUsize,
    used: AtomicUsize,
    refused: AtomicU64,
}

impl Default for TextPool {
    fn default() -> Self {
        Self::new(DEFAULT_TEXT_BYTES)
    }
}

impl TextPool {
    /// Creates a pool with a limit in bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Counts { limit: limit.into(), used: 0.into(), refused: 0.into() }))
    }

    /// Sets another limit. Bytes above the new limit stay until their rule returns them.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Relaxed);
    }

    /// The number of bytes held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// The number of exchanges whose evidence was not kept, or only in part, because the pool was full.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    /// Creates a share of the pool for one rule.
    pub(super) fn share(&self) -> TextShare {
        TextShare { pool: self.clone(), held: 0 }
    }
}

/// The bytes of the pool that one rule holds.
#[derive(Debug)]
pub(super) struct TextShare {
    pool: TextPool,
    held: usize,
}

impl TextShare {
    /// Returns whether there is room. A single text may exceed the limit by its own length.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.pool.used() < self.pool.0.limit.load(Relaxed)
    }

    /// Returns whether less than half of the pool is used. There may be very many groups with little evidence; they may fill
    /// only the first half, so that groups with much evidence find room in the other half.
    #[inline]
    pub(super) fn has_ample_room(&self) -> bool {
        self.pool.used() < self.pool.0.limit.load(Relaxed) / 2
    }

    /// The number of bytes that this share holds.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes bytes from the pool.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        if bytes > 0 {
            self.held += bytes;
            self.pool.0.used.fetch_add(bytes, Relaxed);
        }
    }

    /// Returns bytes to the pool.
    #[inline]
    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        if bytes > 0 {
            self.held -= bytes;
            self.pool.0.used.fetch_sub(bytes, Relaxed);
        }
    }

    /// Takes bytes from the pool, or returns bytes when `by` is negative.
    #[inline]
    pub(super) fn change(&mut self, by: isize) {
        if by > 0 { self.take(by.unsigned_abs()) } else { self.give_back(by.unsigned_abs()) }
    }

    /// Counts an exchange whose evidence found no room.
    #[inline]
    pub(super) fn refuse(&self) {
        self.pool.0.refused.fetch_add(1, Relaxed);
    }
}

impl Drop for TextShare {
    fn drop(&mut self) {
        self.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_give_back_what_they_held() {
        let pool = TextPool::new(100);
        let (mut one, mut other) = (pool.share(), pool.share());
        one.take(40);
        assert!(other.has_ample_room());
        other.change(30);
        assert!(!one.has_ample_room() && one.has_room());
        other.change(30);
        assert!(!one.has_room() && !other.has_room(), "one limit for all");
        one.refuse();
        one.give_back(1_000);
        assert_eq!((pool.used(), one.held(), other.held(), pool.refused()), (60, 0, 60, 1));
        drop(other);
        assert_eq!(pool.used(), 0);
        pool.set_limit(0);
        assert!(!one.has_room());
    }
}
