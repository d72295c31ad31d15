//! The table of the client addresses that are counted now.
//!
//! In: addresses and their events. Out: each address's [`Client`]. Promises: the number of clients never exceeds the limit;
//! the work of one call is bounded, except for [`sweep`](Clients::sweep); no result depends on the order of a hash table.
//!
//! # Who goes when the table is full
//!
//! A client with a confirmed error never goes for a client without one, so nobody can push it out without holding
//! connections. The list of clients has two parts for this: first the clients with confirmed errors, then the others. A
//! client of the second part goes first. Within a part, a clock hand examines [`EVICTION_PROBES`] clients, and the last of
//! them by confirmed errors, then by errors, then by address goes. Clients whose errors were counted by cell, because they
//! are many, go only for a client of a better part.

use hashbrown::{HashTable, hash_table::Entry};

use super::{
    client::{Budget, Client, Layout, Many, State},
    evidence::Seen,
};
use crate::{address::Address, detect::grades::Rank, keyed_hash::KeyedState};

/// The most clients that are examined to find a client to evict when the table is full.
const EVICTION_PROBES: usize = 32;

/// The clients by address.
#[derive(Debug)]
pub(super) struct Clients {
    hasher: KeyedState,
    table: HashTable<u32>,
    /// The clients with confirmed errors, then the others.
    clients: Vec<Client>,
    /// The number of clients in the first part. Some of them may have lost their confirmed errors since the last sweep.
    confirmed: usize,
    limit: usize,
    /// The place of the last event's client. In a scan, the next event has the same client.
    recent: u32,
    eviction_hand: usize,
}

impl Clients {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            hasher: KeyedState::secret(),
            table: HashTable::new(),
            clients: Vec::new(),
            confirmed: 0,
            limit: limit.min(u32::MAX as usize),
            recent: 0,
            eviction_hand: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Adds an event to its client. Errors in cells before `oldest` may be forgotten. Returns the client's place in the
    /// table, valid until the next call that adds or removes clients. Returns `None` when the client is new and the table is
    /// full.
    pub(super) fn add(
        &mut self,
        address: Address,
        seen: &Seen<'_>,
        layout: &Layout,
        oldest: u64,
        budget: &mut Budget,
    ) -> Option<u32> {
        if let Some(client) = self.clients.get_mut(self.recent as usize)
            && client.address == address
        {
            client.add(seen, layout, oldest, budget);
        } else if self.clients.len() >= self.limit && self.find(address).is_none() {
            return None;
        } else {
            self.recent = self.find_or_insert(address, seen, layout, oldest, budget);
        }
        if seen.record.grade.is_confirmed() && self.recent as usize >= self.confirmed {
            let first = self.confirmed;
            self.swap(self.recent as usize, first);
            self.confirmed += 1;
            self.recent = first as u32;
        }
        Some(self.recent)
    }

    /// Adds an event to its client, which may be new, and returns the client's place.
    fn find_or_insert(
        &mut self,
        address: Address,
        seen: &Seen<'_>,
        layout: &Layout,
        oldest: u64,
        budget: &mut Budget,
    ) -> u32 {
        let (clients, hasher) = (&mut self.clients, &self.hasher);
        let is_it = |&place: &u32| clients.get(place as usize).is_some_and(|client| client.address == address);
        let hash_of = |&place: &u32| clients.get(place as usize).map_or(0, |client| hash(hasher, client.address));
        match self.table.entry(hash(hasher, address), is_it, hash_of) {
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
        }
    }

    /// Returns the client that goes for a new client with such an error. Returns `None` when the new client has to be
    /// refused. To be called when the table is full.
    pub(super) fn victim(&mut self, is_confirmed: bool) -> Option<Address> {
        let has_unconfirmed = self.confirmed < self.clients.len();
        let part = match (has_unconfirmed, is_confirmed) {
            (true, _) => self.confirmed..self.clients.len(),
            (false, true) => 0..self.confirmed,
            (false, false) => return None,
        };
        let mut last: Option<(Rank, usize)> = None;
        for _ in 0..EVICTION_PROBES.min(part.len()) {
            self.eviction_hand += 1;
            if !part.contains(&self.eviction_hand) {
                self.eviction_hand = part.start;
            }
            let client = self.clients.get(self.eviction_hand)?;
            last = last.max(Some((client.rank(), self.eviction_hand)));
            if matches!(client.state, State::One(_)) {
                break;
            }
        }
        let client = self.clients.get(last?.1)?;
        let has_many = matches!(client.state, State::Many(_));
        (!has_many || (has_unconfirmed && is_confirmed)).then_some(client.address)
    }

    /// Takes a client out of the table. The caller releases its evidence.
    pub(super) fn take(&mut self, address: Address) -> Option<Client> {
        let place = self.find(address)?;
        self.remove(place as usize)
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
            let keeps = client.has_open_alert() || client.forget_before(oldest, layout, budget);
            if !keeps {
                if let Some(mut client) = self.remove(place) {
                    client.release(budget);
                }
            } else if place < self.confirmed && client.counts().0 == 0 {
                // The client moves to the second part. The client that takes its place is looked at next.
                self.confirmed -= 1;
                self.swap(place, self.confirmed);
            } else {
                place += 1;
            }
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
            let is_confirmed = client.counts().0 > 0;
            self.clients.push(client);
            if is_confirmed {
                self.swap(self.clients.len() - 1, self.confirmed);
                self.confirmed += 1;
            }
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
        self.clients.iter().filter(|client| client.has_open_alert()).map(|client| client.address).collect()
    }

    /// Removes the client at a place. Only clients behind it change their places.
    fn remove(&mut self, place: usize) -> Option<Client> {
        let last = self.clients.len().checked_sub(1)?;
        let mut gone = place;
        if gone < self.confirmed {
            self.confirmed -= 1;
            self.swap(gone, self.confirmed);
            gone = self.confirmed;
        }
        self.swap(gone, last);
        let client = self.clients.pop()?;
        if let Ok(found) = self.table.find_entry(hash(&self.hasher, client.address), |&known| known as usize == last) {
            found.remove();
        }
        Some(client)
    }

    /// Exchanges the places of two clients.
    fn swap(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        let hash_at = |place: usize| hash(&self.hasher, self.clients[place].address);
        let (first, second) = (hash_at(one), hash_at(other));
        // Both entries are found before either changes, because two entries would have one place in between.
        if let [Some(moved), Some(back)] = self
            .table
            .get_disjoint_mut([first, second], |which, &known| known as usize == if which == 0 { one } else { other })
        {
            (*moved, *back) = (other as u32, one as u32);
        }
        self.clients.swap(one, other);
    }

    fn find(&self, address: Address) -> Option<u32> {
        let is_it = |&place: &u32| self.clients.get(place as usize).is_some_and(|client| client.address == address);
        self.table.find(hash(&self.hasher, address), is_it).copied()
    }
}

#[inline]
fn hash(hasher: &KeyedState, address: Address) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let (high, low) = address.halves();
    let mut state = hasher.build_hasher();
    state.write_u64(high);
    state.write_u64(low);
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyed_hash::testing::{assert_bounded_work, colliding_addresses};

    #[test]
    fn addresses_that_a_sender_chose_cost_bounded_work() {
        let hasher = KeyedState::secret();
        assert_bounded_work(colliding_addresses().map(|address| hash(&hasher, Address::v6(address))));
    }
}
