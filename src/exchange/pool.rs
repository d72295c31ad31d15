//! A pool of emptied exchanges for reuse.
//!
//! In: exchanges that are over. Out: the same values, emptied, with their buffers. Promises: after the first few exchanges,
//! a new exchange needs no allocation. The pool is capped in the number of exchanges, in the size of each buffer, and in the
//! size of all buffers.

use super::Exchange;

/// Most exchanges that a pool keeps.
const POOL_LIMIT: usize = 4096;

/// Largest empty buffer that is kept, in bytes. There may be as many such buffers as connections with a message in flight.
pub(crate) const KEPT_BUFFER_BYTES: usize = 4 << 10;

/// Most bytes that the buffers of all exchanges in a pool have together.
const POOL_BYTES: usize = 4 << 20;

/// Emptied exchanges, boxed so that they move as pointers between pool, queue, sink and connection.
#[derive(Debug, Default)]
pub struct ExchangePool {
    #[expect(clippy::vec_box, reason = "the boxes are what is reused")]
    exchanges: Vec<Box<Exchange>>,
    /// Bytes of the buffers of these exchanges.
    bytes: usize,
}

impl ExchangePool {
    /// Returns an empty exchange, from the pool if it has one.
    #[inline]
    pub fn get(&mut self) -> Box<Exchange> {
        let exchange = self.exchanges.pop().unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(exchange.text.capacity());
        exchange
    }

    /// Takes a decided exchange out of its place. An empty exchange with the same outcome, version and endpoints stays
    /// there.
    #[inline]
    pub fn take(&mut self, place: &mut Box<Exchange>) -> Box<Exchange> {
        let mut rest = self.get();
        (rest.outcome, rest.version, rest.endpoints) = (place.outcome, place.version, place.endpoints);
        std::mem::replace(place, rest)
    }

    /// Takes back an exchange that is not needed any more, and empties it.
    #[inline]
    pub fn put(&mut self, mut exchange: Box<Exchange>) {
        exchange.clear();
        self.put_empty(exchange);
    }

    /// Takes back an exchange that its last user has already emptied.
    #[inline]
    pub fn put_empty(&mut self, exchange: Box<Exchange>) {
        let bytes = exchange.text.capacity();
        if self.exchanges.len() < POOL_LIMIT && bytes <= KEPT_BUFFER_BYTES && self.bytes + bytes <= POOL_BYTES {
            self.bytes += bytes;
            self.exchanges.push(exchange);
        }
    }

    /// Returns the number of exchanges in the pool.
    #[inline]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Returns whether the pool is empty.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }
}
