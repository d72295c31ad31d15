//! Which successful exchanges are passed on because they show which software a server runs.
//!
//! In: the exchanges of one shard. Out: a [`ServerFingerprint`] for each exchange that shows something of its server that this shard
//! has not reported yet. Promises: bounded memory; the same exchanges give the same fingerprints.

use hashbrown::HashSet;

use crate::{
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
    /// What the last exchange showed, in bytes. Most exchanges show the same as the one before, and need no hash.
    last: Vec<u8>,
    /// The buffer of the next exchange's bytes.
    next: Vec<u8>,
}

impl ServerFingerprints {
    /// What the exchange shows of its server, unless an exchange that looked the same was reported before.
    pub(crate) fn new_in(&mut self, exchange: &Exchange) -> Option<ServerFingerprint> {
        let (_, server) = exchange.endpoints.filter(|_| exchange.status != 0)?;
        let (high, low) = server.address.halves();
        let (software, via) = (exchange.field(exchange.server), exchange.field(exchange.via));
        self.next.clear();
        self.next.extend_from_slice(&high.to_ne_bytes());
        self.next.extend_from_slice(&low.to_ne_bytes());
        self.next.extend_from_slice(&server.port.to_ne_bytes());
        self.next.extend_from_slice(&bytes_of(exchange.field_order));
        self.next.extend_from_slice(&software.len().to_ne_bytes());
        self.next.extend_from_slice(software);
        self.next.extend_from_slice(via);
        if self.next == self.last {
            return None;
        }
        std::mem::swap(&mut self.next, &mut self.last);
        if self.reported.len() >= REMEMBERED {
            self.reported.clear();
        }
        self.reported.insert(self.reported.hasher().hash(&self.last)).then(|| ServerFingerprint::of(exchange))?
    }
}

/// All positions, in an order of their own.
fn bytes_of(order: FieldOrder) -> [u8; 9] {
    // The pattern names all fields, so that a new field cannot be forgotten here.
    let FieldOrder {
        fields,
        accept_ranges,
        connection,
        content_language,
        content_length,
        content_type,
        date,
        transfer_encoding,
        x_powered_by,
    } = order;
    [
        fields,
        accept_ranges,
        connection,
        content_language,
        content_length,
        content_type,
        date,
        transfer_encoding,
        x_powered_by,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::{Address, Endpoint},
        event::testing::client,
        exchange::Outcome,
    };

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
