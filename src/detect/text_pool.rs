//! The memory that all rules together may fill with texts and other evidence.
//!
//! In: what rules keep, in bytes. Out: whether there is room. Promises: the sum over all rules is known at any time and
//! bounded by one limit; a share gives its bytes back when its owner goes; what found no room is counted.
//!
//! The pool counts bytes and holds none: each text lies where its rule needs it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Bytes of evidence that rules hold in all, unless configured otherwise.
pub const DEFAULT_TEXT_BYTES: usize = 64 << 20;

/// The pool. Clones are the same pool.
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
    /// A pool of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Counts { limit: limit.into(), used: 0.into(), refused: 0.into() }))
    }

    /// Sets another limit. What is held beyond it stays until its rule lets it go.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Relaxed);
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// Exchanges of which nothing, or less than wanted, was kept because the pool was full.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    /// A share in the pool, for one rule.
    pub(super) fn share(&self) -> TextShare {
        TextShare { pool: self.clone(), held: 0 }
    }
}

/// What one rule holds of the pool.
#[derive(Debug)]
pub(super) struct TextShare {
    pool: TextPool,
    held: usize,
}

impl TextShare {
    /// Returns whether there is any room. A single text may exceed the limit by its own length.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.pool.used() < self.pool.0.limit.load(Relaxed)
    }

    /// Returns whether less than half of the pool is used: groups of which little is known, and of which there may be very
    /// many, leave the other half to those of which much is known.
    #[inline]
    pub(super) fn has_ample_room(&self) -> bool {
        self.pool.used() < self.pool.0.limit.load(Relaxed) / 2
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Holds more bytes.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        if bytes > 0 {
            self.held += bytes;
            self.pool.0.used.fetch_add(bytes, Relaxed);
        }
    }

    /// Gives bytes back.
    #[inline]
    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        if bytes > 0 {
            self.held -= bytes;
            self.pool.0.used.fetch_sub(bytes, Relaxed);
        }
    }

    /// Holds more bytes, or gives some back.
    #[inline]
    pub(super) fn change(&mut self, by: isize) {
        if by > 0 { self.take(by.unsigned_abs()) } else { self.give_back(by.unsigned_abs()) }
    }

    /// Counts an exchange that found no room.
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
