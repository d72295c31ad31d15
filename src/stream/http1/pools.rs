//! Emptied values for reuse.
//!
//! In: the work of connections that rest. Out: the same values, empty, their buffers kept. Promises: no allocation for a
//! connection once a few were seen; what is kept is capped in number and in size.

use super::conversation::{Conversation, Work};
use crate::exchange::{ExchangePool, KEPT_BUFFER_BYTES};

/// Works that the pool keeps.
const POOL_LIMIT: usize = 4096;

/// What the connections of an engine reuse.
#[expect(clippy::vec_box, reason = "the boxes are what is reused")]
#[derive(Debug, Default)]
pub(super) struct Pools {
    works: Vec<Box<Work>>,
    pub(super) exchanges: ExchangePool,
}

impl Pools {
    #[inline]
    pub(super) fn work<'a>(&mut self, conversation: &'a mut Conversation) -> &'a mut Work {
        conversation.work.get_or_insert_with(|| self.works.pop().unwrap_or_default())
    }

    /// Takes the work back if nothing is in flight.
    #[inline]
    pub(super) fn rest(&mut self, conversation: &mut Conversation) {
        if let Some(mut work) = conversation.work.take_if(|work| work.is_idle())
            && self.works.len() < POOL_LIMIT
            && work.heads.iter().all(|head| head.bytes.capacity() <= KEPT_BUFFER_BYTES)
            && work.held.bytes.capacity() <= KEPT_BUFFER_BYTES
        {
            work.reset = None;
            self.works.push(work);
        }
    }
}
