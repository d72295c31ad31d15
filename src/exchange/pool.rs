//! Emptied exchanges for reuse.
//!
//! In: exchanges that are over. Out: the same values, empty, their buffers kept. Promises: no allocation for an exchange once
//! a few were seen; what is kept is capped in number and in size.

use super::Exchange;

/// Exchanges that a pool keeps.
const POOL_LIMIT: usize = 4096;

/// Largest buffer that is kept when it is empty: as many wait as there are connections with a message in flight.
pub(crate) const KEPT_BUFFER_BYTES: usize = 4 << 10;

/// Emptied exchanges, boxed so that they move as pointers between pool, queue, sink and connection.
#[expect(clippy::vec_box, reason = "the boxes are what is reused")]
#[derive(Debug, Default)]
pub struct ExchangePool(Vec<Box<Exchange>>);

impl ExchangePool {
    /// An empty exchange.
    #[inline]
    pub fn get(&mut self) -> Box<Exchange> {
        self.0.pop().unwrap_or_default()
    }

    /// Takes a decided exchange out of its place, where an empty one of the same outcome stays.
    #[inline]
    pub fn take(&mut self, place: &mut Box<Exchange>) -> Box<Exchange> {
        let mut rest = self.get();
        (rest.outcome, rest.version, rest.endpoints) = (place.outcome, place.version, place.endpoints);
        std::mem::replace(place, rest)
    }

    /// Takes an exchange back that is not needed any more.
    #[inline]
    pub fn put(&mut self, mut exchange: Box<Exchange>) {
        exchange.clear();
        self.put_empty(exchange);
    }

    /// Takes an exchange back that was emptied where it was last used.
    #[inline]
    pub fn put_empty(&mut self, exchange: Box<Exchange>) {
        if self.0.len() < POOL_LIMIT && exchange.text.capacity() <= KEPT_BUFFER_BYTES {
            self.0.push(exchange);
        }
    }

    /// Exchanges that wait to be used.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
