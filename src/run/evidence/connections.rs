//! Which connections carried the errors of clients that a trusted proxy named.
//!
//! In: error events. Out: the connections of a client. On these connections the peer is the proxy, so the client's address is in no
//! packet. Promises: at most [`MOST`] connections are remembered; the oldest makes room.

use std::collections::{HashSet, VecDeque};

use crate::{
    address::{Address, Endpoint},
    event::ErrorEvent,
    evidence::Connection,
    keyed_hash::KeyedState,
};

/// The most connections that are remembered.
const MOST: usize = 65_536;
/// The most connections of one client that an alert asks for, the latest ones.
pub(super) const MOST_OF_CLIENT: usize = 4_096;

/// The remembered connections.
#[derive(Debug, Default)]
pub(super) struct NamedConnections {
    /// The oldest first, each once.
    order: VecDeque<(Address, Connection)>,
    known: HashSet<(Address, Connection), KeyedState>,
}

impl NamedConnections {
    /// Remembers the connection of an event whose client is not its peer. Returns whether another connection was forgotten.
    pub(super) fn note(&mut self, event: &ErrorEvent) -> bool {
        let (Some((peer, server)), client) = (event.exchange.endpoints, event.client().address) else { return false };
        if peer.address == client {
            return false;
        }
        self.add(client, connection(peer, server))
    }

    fn add(&mut self, client: Address, connection: Connection) -> bool {
        let entry = (client, connection);
        if !self.known.insert(entry) {
            return false;
        }
        self.order.push_back(entry);
        if self.order.len() <= MOST {
            return false;
        }
        let oldest = self.order.pop_front();
        oldest.is_some_and(|oldest| self.known.remove(&oldest))
    }

    /// The latest connections of a client.
    pub(super) fn of(&self, client: Address) -> Vec<Connection> {
        let own = self.order.iter().rev().filter(|(of, _)| *of == client).map(|(_, connection)| *connection);
        own.take(MOST_OF_CLIENT).collect()
    }
}

/// The connection between two ends.
pub(in crate::run) fn connection(one: Endpoint, other: Endpoint) -> Connection {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_connections_are_forgotten() {
        let client = |number: u8| Address::v4([192, 0, 2, number]);
        let end = |port| Endpoint::new(client(200), port);
        let server = Endpoint::new(client(201), 80);
        let mut connections = NamedConnections::default();
        for port in 0..=u16::MAX {
            assert!(!connections.add(client(1), connection(server, end(port))));
            assert!(!connections.add(client(1), connection(end(port), server)), "each once");
        }
        assert!(connections.add(client(2), connection(end(7), server)), "the connection of port 0 makes room");
        assert!(connections.add(client(2), connection(end(8), server)));
        assert_eq!(connections.of(client(2)), [(end(8), server), (end(7), server)]);
        let of_first = connections.of(client(1));
        assert_eq!((of_first.len(), of_first[0]), (MOST_OF_CLIENT, (end(u16::MAX), server)));
        assert_eq!(connections.of(client(3)), []);
    }
}
