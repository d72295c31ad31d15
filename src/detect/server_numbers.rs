//! Numbers for servers: a number takes two bytes, an endpoint takes 24.
//!
//! In: endpoints of servers. Out: a number for each. Promises: numbers are given in the order in which the servers come; a look-up
//! does bounded work; servers beyond the limit share the number 0.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{HashTable, hash_table::Entry};

use crate::{address::Endpoint, keyed_hash::KeyedState};

/// The servers by number. Number 0 stands for all servers beyond the limit.
#[derive(Debug)]
pub(crate) struct ServerNumbers {
    hasher: KeyedState,
    servers: Vec<Endpoint>,
    numbers: HashTable<u16>,
    recent: (Endpoint, u16),
    limit: usize,
}

impl ServerNumbers {
    /// No server yet. At most `limit` get a number of their own, and never more than 65,534.
    pub(crate) fn new(limit: u16) -> Self {
        Self {
            hasher: KeyedState::secret(),
            servers: vec![Endpoint::UNKNOWN],
            numbers: HashTable::new(),
            recent: (Endpoint::UNKNOWN, 0),
            limit: limit.into(),
        }
    }

    /// The servers in order of their numbers.
    pub(crate) fn all(&self) -> &[Endpoint] {
        &self.servers
    }

    /// Returns the number of a server. A new server gets the next number.
    #[inline]
    pub(crate) fn number(&mut self, server: Endpoint) -> u16 {
        if self.recent.0 != server {
            self.recent = (server, self.find_or_add(server));
        }
        self.recent.1
    }

    #[inline(never)]
    fn find_or_add(&mut self, server: Endpoint) -> u16 {
        let hash_of = |server: Endpoint| {
            let (high, low) = server.address.halves();
            let mut state = self.hasher.build_hasher();
            state.write_u64(high ^ u64::from(server.port) << 32);
            state.write_u64(low);
            state.finish()
        };
        let servers = &self.servers;
        let at = |number: u16| servers.get(usize::from(number)).copied().unwrap_or(Endpoint::UNKNOWN);
        match self.numbers.entry(hash_of(server), |&n| at(n) == server, |&n| hash_of(at(n))) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(_) if servers.len() >= self.limit => 0,
            Entry::Vacant(place) => {
                let number = servers.len() as u16;
                place.insert(number);
                self.servers.push(server);
                number
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    #[test]
    fn servers_beyond_the_limit_share_a_number() {
        let mut numbers = ServerNumbers::new(3);
        let server = |port| Endpoint::new(Address::v4([192, 0, 2, 80]), port);
        assert_eq!([1, 2, 1, 3, 2].map(|port| numbers.number(server(port))), [1, 2, 1, 0, 2]);
        assert_eq!(numbers.all(), [Endpoint::UNKNOWN, server(1), server(2)]);
    }
}
