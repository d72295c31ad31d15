//! Which successful exchanges are passed on because they show which software a server runs.
//!
//! In: the exchanges of one shard. Out: a [`ServerFingerprint`] for each exchange that shows something of its server that this shard
//! has not reported yet. Promises: bounded memory; the same exchanges give the same fingerprints.

use std::hash::BuildHasher;

use hashbrown::HashSet;

use crate::{
    address::Endpoint,
    event::ServerFingerprint,
    exchange::{Exchange, FieldOrder},
    keyed_hash::KeyedState,
};

/// Fingerprints that one shard remembers. Beyond them it forgets all of them, and reports each again.
const REMEMBERED: usize = 4_096;

/// The fingerprints that one shard has reported already.
#[derive(Debug, Default)]
pub(crate) struct ServerFingerprints {
    reported: HashSet<u64, KeyedState>,
    /// What the last exchange showed. Most exchanges show the same as the one before, and need no hash.
    last: Option<Shown>,
}

/// What an exchange shows of its server.
#[derive(Debug)]
struct Shown {
    server: Endpoint,
    order: FieldOrder,
    software: Vec<u8>,
    via: Vec<u8>,
}

impl Shown {
    #[inline]
    fn is_of(&self, exchange: &Exchange, server: Endpoint) -> bool {
        self.server == server
            && self.order == exchange.field_order
            && self.software == exchange.field(exchange.server)
            && self.via == exchange.field(exchange.via)
    }
}

impl ServerFingerprints {
    /// What the exchange shows of its server, unless an exchange that looked the same was reported before.
    #[inline]
    pub(crate) fn new_in(&mut self, exchange: &Exchange) -> Option<ServerFingerprint> {
        let (_, server) = exchange.endpoints.filter(|_| exchange.status != 0)?;
        if self.last.as_ref().is_some_and(|last| last.is_of(exchange, server)) {
            return None;
        }
        self.other_than_last(exchange, server)
    }

    #[inline(never)]
    fn other_than_last(&mut self, exchange: &Exchange, server: Endpoint) -> Option<ServerFingerprint> {
        let order = exchange.field_order;
        let (software, via) = (exchange.field(exchange.server), exchange.field(exchange.via));
        let hash = self.reported.hasher().hash_one((server.address.halves(), server.port, order, software, via));
        self.last = Some(Shown { server, order, software: software.to_vec(), via: via.to_vec() });
        if self.reported.len() >= REMEMBERED {
            self.reported.clear();
        }
        self.reported.insert(hash).then(|| ServerFingerprint::of(exchange))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::Address, event::testing::client, exchange::Outcome};

    #[test]
    fn what_a_server_shows_is_reported_once_in_any_order() {
        let shown = |port: u16, software: &[u8], via: &[u8], date: u8| {
            let server = Endpoint::new(Address::v4([192, 0, 2, 80]), port);
            let mut exchange = Exchange {
                endpoints: Some((client(1), server)),
                outcome: Outcome::Answered,
                status: 200,
                ..Exchange::default()
            };
            exchange.server = exchange.store(software);
            exchange.via = exchange.store(via);
            exchange.field_order.date = date;
            exchange
        };
        let all = [
            shown(80, b"nginx", b"", 1),
            shown(81, b"nginx", b"", 1),
            shown(80, b"Apache", b"", 1),
            shown(80, b"nginx", b"proxy", 1),
            shown(80, b"nginxp", b"roxy", 1),
            shown(80, b"nginx", b"", 2),
        ];
        let mut fingerprints = ServerFingerprints::default();
        for round in 0..3 {
            for exchange in all.iter().chain(all.iter().rev()) {
                let is_new = fingerprints.new_in(exchange).is_some();
                assert!(!is_new || round == 0, "{exchange:?}");
            }
            assert_eq!(fingerprints.reported.len(), all.len());
        }
    }
}
