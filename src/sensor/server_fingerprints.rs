//! Which successful exchanges are passed on because they show which software a server runs.
//!
//! In: the exchanges of one shard. Out: a [`ServerFingerprint`] for each exchange that shows something of its server that this shard
//! has not reported yet. Promises: bounded memory; the same exchanges give the same fingerprints.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashSet;

use crate::{event::ServerFingerprint, exchange::Exchange, keyed_hash::KeyedState};

/// Fingerprints that one shard remembers. Beyond them it forgets all of them, and reports each again.
const REMEMBERED: usize = 4_096;

/// The fingerprints that one shard has reported already.
#[derive(Debug, Default)]
pub(crate) struct ServerFingerprints {
    reported: HashSet<u64, KeyedState>,
}

impl ServerFingerprints {
    /// What the exchange shows of its server, unless an exchange that looked the same was reported before.
    pub(crate) fn new_in(&mut self, exchange: &Exchange) -> Option<ServerFingerprint> {
        let (_, server) = exchange.endpoints.filter(|_| exchange.status != 0)?;
        let mut fingerprint = self.reported.hasher().build_hasher();
        server.hash(&mut fingerprint);
        exchange.field(exchange.server).hash(&mut fingerprint);
        exchange.field(exchange.via).hash(&mut fingerprint);
        exchange.field_order.hash(&mut fingerprint);
        if self.reported.len() >= REMEMBERED {
            self.reported.clear();
        }
        self.reported.insert(fingerprint.finish()).then(|| ServerFingerprint::of(exchange))?
    }
}
