//! The table of the client addresses that are counted now.
//!
//! In: addresses and their events. Out: each address's [`Client`]. Promises: the number of clients never exceeds the limit;
//! only clients with few errors are evicted, and the caller counts them; no result depends on the order of a hash table.

use foldhash::fast::FixedState;
use hashbrown::{HashTable, hash_table::Entry};

use super::{
    client::{Budget, Client, Layout, Many, State},
    evidence::Seen,
};
use crate::address::{Address, Endpoint};

/// The most clients that are examined to find a client to evict when the table is full.
const EVICTION_PROBES: usize = 32;

/// The most servers that evidence tells apart. Number 0 stands for all other servers.
const MAX_SERVERS: usize = u16::MAX as usize;

/// The result of adding an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// The client's place in the table, valid until the next call that adds or removes clients. `None` when there was no
    /// room.
    pub(super) place: Option<u32>,
    /// Whether another client was evicted.
    pub(super) evicted: bool,
}

/// The clients by address.
#[derive(Debug)]
pub(super) struct Clients {
    hasher: FixedState,
    table: HashTable<u32>,
    clients: Vec<Client>,
    limit: usize,
    /// The place of the last event's client. In a scan, the next event has the same client.
    recent: u32,
    eviction_hand: usize,
}

impl Clients {
    pub(super) fn new(limit: usize, seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            table: HashTable::new(),
            clients: Vec::new(),
            limit: limit.min(u32::MAX as usize),
            recent: 0,
            eviction_hand: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Adds an event to its client. Errors in cells before `oldest` may be forgotten.
    pub(super) fn add(
        &mut self,
        address: Address,
        seen: &Seen<'_>,
        layout: &Layout,
        oldest: u64,
        budget: &mut Budget,
    ) -> Counted {
        let mut counted = Counted { place: Some(self.recent), evicted: false };
        if let Some(client) = self.clients.get_mut(self.recent as usize)
            && client.address == address
        {
            client.add(seen, layout, oldest, budget);
            return counted;
        }
        if self.clients.len() >= self.limit && self.find(address).is_none() {
            counted.evicted = self.evict_one(budget);
            if !counted.evicted {
                counted.place = None;
                return counted;
            }
        }
        let (clients, hasher) = (&mut self.clients, &self.hasher);
        let is_it = |&place: &u32| clients.get(place as usize).is_some_and(|client| client.address == address);
        let hash_of = |&place: &u32| clients.get(place as usize).map_or(0, |client| hash(hasher, client.address));
        let place = match self.table.entry(hash(hasher, address), is_it, hash_of) {
            Entry::Occupied(found) => {
                let place = *found.get();
                if let Some(client) = clients.get_mut(place as usize) {
                    client.add(seen, layout, oldest, budget);
                }
                place
            }
            Entry::Vacant(vacant) => {
                let place = clients.len() as u32;
                vacant.insert(place);
                clients.push(Client::new(address, seen, layout, budget));
                place
            }
        };
        self.recent = place;
        Counted { place: Some(place), ..counted }
    }

    /// Returns the client at a place that [`add`](Self::add) returned, when it has many errors.
    #[inline]
    pub(super) fn at(&mut self, place: u32) -> Option<(Address, &mut Many)> {
        let client = self.clients.get_mut(place as usize)?;
        let address = client.address;
        client.many().map(|many| (address, many))
    }

    /// Returns the client of an address, when it has many errors.
    pub(super) fn many(&mut self, address: Address) -> Option<&mut Many> {
        let place = self.find(address)?;
        self.clients.get_mut(place as usize)?.many()
    }

    /// Forgets clients whose errors all lie before a cell, except those with an open alert.
    pub(super) fn sweep(&mut self, oldest: u64, layout: &Layout, budget: &mut Budget) {
        let mut place = 0;
        while let Some(client) = self.clients.get_mut(place) {
            let keeps = client.many().is_some_and(|many| many.sliding.open.is_some())
                || client.forget_before(oldest, layout, budget);
            if keeps { place += 1 } else { self.remove(place, budget) }
        }
        if self.clients.capacity() > 1_024 && self.clients.len() < self.clients.capacity() / 4 {
            let room = self.clients.len() * 2;
            self.clients.shrink_to(room);
            let (clients, hasher) = (&self.clients, &self.hasher);
            let hash_of = |&place: &u32| clients.get(place as usize).map_or(0, |client| hash(hasher, client.address));
            self.table.shrink_to(room, hash_of);
        }
    }

    /// Every client.
    pub(super) fn all(&self) -> &[Client] {
        &self.clients
    }

    /// Adds the clients of a snapshot. Clients beyond the limit are left out.
    pub(super) fn restore(&mut self, clients: Vec<Client>) {
        for client in clients.into_iter().take(self.limit) {
            if self.find(client.address).is_some() {
                continue;
            }
            let (known, hasher) = (&self.clients, &self.hasher);
            let hash_of = |&place: &u32| known.get(place as usize).map_or(0, |client| hash(hasher, client.address));
            self.table.insert_unique(hash(hasher, client.address), self.clients.len() as u32, hash_of);
            self.clients.push(client);
        }
    }

    /// Counts the errors of a client by cell when it has more single errors than the layout now allows.
    pub(super) fn relayout(&mut self, layout: &Layout, budget: &mut Budget) {
        for client in &mut self.clients {
            client.relayout(layout, budget);
        }
    }

    /// Returns the clients with more than `threshold` errors in all cells, and marks exactly these as listed. Clients with
    /// few errors are not included.
    pub(super) fn over(&mut self, threshold: u64) -> Vec<Address> {
        let over = |client: &mut Client| {
            let address = client.address;
            let many = client.many()?;
            many.hot = many.total > threshold;
            many.hot.then_some(address)
        };
        self.clients.iter_mut().filter_map(over).collect()
    }

    /// The clients whose alert is open.
    pub(super) fn alerting(&mut self) -> Vec<Address> {
        let is_open = |client: &mut Client| client.many().is_some_and(|many| many.sliding.open.is_some());
        let open = |client: &mut Client| is_open(client).then_some(client.address);
        self.clients.iter_mut().filter_map(open).collect()
    }

    /// Evicts one client with few errors. Returns false when none of the next [`EVICTION_PROBES`] clients has few errors.
    fn evict_one(&mut self, budget: &mut Budget) -> bool {
        for _ in 0..EVICTION_PROBES.min(self.clients.len()) {
            self.eviction_hand = (self.eviction_hand + 1) % self.clients.len();
            if !matches!(self.clients[self.eviction_hand].state, State::Many(_)) {
                self.remove(self.eviction_hand, budget);
                return true;
            }
        }
        false
    }

    fn remove(&mut self, place: usize, budget: &mut Budget) {
        let last = self.clients.len() - 1;
        self.clients[place].release(budget);
        let removed = hash(&self.hasher, self.clients[place].address);
        if let Ok(found) = self.table.find_entry(removed, |&known| known as usize == place) {
            found.remove();
        }
        let moved = hash(&self.hasher, self.clients[last].address);
        if let Some(known) = self.table.find_mut(moved, |&known| known as usize == last) {
            *known = place as u32;
        }
        self.clients.swap_remove(place);
    }

    fn find(&self, address: Address) -> Option<u32> {
        let is_it = |&place: &u32| self.clients.get(place as usize).is_some_and(|client| client.address == address);
        self.table.find(hash(&self.hasher, address), is_it).copied()
    }
}

#[inline]
fn hash(hasher: &FixedState, address: Address) -> u64 {
    let (high, low) = address.halves();
    hash_halves(hasher, high, low)
}

#[inline]
fn hash_halves(hasher: &FixedState, high: u64, low: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut state = hasher.build_hasher();
    state.write_u64(high);
    state.write_u64(low);
    state.finish()
}

/// Servers by number, so that a record needs only two bytes for its server.
#[derive(Debug)]
pub(super) struct Servers {
    hasher: FixedState,
    servers: Vec<Endpoint>,
    numbers: HashTable<u16>,
    recent: (Endpoint, u16),
}

impl Servers {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            servers: vec![Endpoint::UNKNOWN],
            numbers: HashTable::new(),
            recent: (Endpoint::UNKNOWN, 0),
        }
    }

    /// The servers in order of their numbers.
    pub(super) fn all(&self) -> &[Endpoint] {
        &self.servers
    }

    /// Returns the number of a server. A new server gets the next number.
    #[inline]
    pub(super) fn number(&mut self, server: Endpoint) -> u16 {
        if self.recent.0 != server {
            self.recent = (server, self.find_or_add(server));
        }
        self.recent.1
    }

    fn find_or_add(&mut self, server: Endpoint) -> u16 {
        let hash_of = |server: Endpoint| {
            let (high, low) = server.address.halves();
            hash_halves(&self.hasher, high ^ u64::from(server.port) << 32, low)
        };
        let servers = &self.servers;
        let at = |number: u16| servers.get(usize::from(number)).copied().unwrap_or(Endpoint::UNKNOWN);
        match self.numbers.entry(hash_of(server), |&n| at(n) == server, |&n| hash_of(at(n))) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(_) if servers.len() >= MAX_SERVERS => 0,
            Entry::Vacant(place) => {
                let number = servers.len() as u16;
                place.insert(number);
                self.servers.push(server);
                number
            }
        }
    }
}
