//! Which successful exchanges are worth passing on to learn a server's software.
//!
//! In: exchanges of one shard. Out: an [`Observation`] where one shows something of its server that this shard has not
//! told yet. Promises: bounded memory; deterministic, since a shard is.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::{event::Observation, exchange::Exchange};

/// Looks remembered by one shard; above it all are forgotten and told again.
const REMEMBERED: usize = 4_096;

/// What one shard has told already.
#[derive(Debug, Default)]
pub(crate) struct TeachingFilter {
    told: HashSet<u64, FixedState>,
}

impl TeachingFilter {
    /// What the exchange shows of its server, unless one that looked the same was told before.
    pub(crate) fn news(&mut self, exchange: &Exchange) -> Option<Observation> {
        let (_, server) = exchange.endpoints.filter(|_| exchange.status != 0)?;
        let mut look = FixedState::with_seed(0).build_hasher();
        server.hash(&mut look);
        exchange.field(exchange.server).hash(&mut look);
        exchange.field(exchange.via).hash(&mut look);
        exchange.field_order.hash(&mut look);
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert(look.finish()).then(|| Observation::of(exchange))?
    }
}
