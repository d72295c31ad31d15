//! The two legs of a proxied exchange.
//!
//! In: error events in packet order, as [`LegFacts`] with any value that goes with them. Out: which errors of a *backend leg*
//! (proxy to server) are left out because the error of their *client leg* (client to proxy) counts. Promises:
//!
//! - An error is left out only for another error that stands for it: of another client, to another server, no weaker in evidence,
//!   asked for before and answered after, and used for no other error. So whoever wants to hide his errors must make as many
//!   in the name of an address that really holds connections.
//! - The decision belongs to the exchange, not to its peer: what a proxy asks for by itself still counts.
//! - Every error that is held comes back: as left out, or through [`due`](Legs::due) and [`let_go`](Legs::let_go). At most
//!   [`MOST_HELD`] errors wait, and none longer than the patience.
//!
//! The server's answer passes the backend leg first. An error is therefore held if its peer may be a proxy: the request has a
//! header that names a client, or its peer is a server too. A peer for whose errors no client leg comes is not waited for any
//! more, so that a capture behind a proxy is not slowed down. The first error of a proxy that was not yet seen as a server, and
//! whose requests have no such header, is not held and counts.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use hashbrown::HashSet;

use super::{ErrorEvent, Reason, client};
use crate::{
    address::{Address, Endpoint},
    exchange::{Features, Method},
    keyed_hash::KeyedState,
    time::Timestamp,
};

/// The most errors that are held.
const MOST_HELD: usize = 512;
/// The most peers of which it is remembered whether they are proxies.
const MOST_PEERS: usize = 64;
/// The most addresses of servers that are remembered.
const MOST_SERVERS: usize = 8_192;
/// After so many errors without a client leg, the errors of a peer are not held for a while.
const MOST_MISSES: u8 = 32;
/// How long they are not held then.
const PAUSE: Duration = Duration::from_secs(60);
/// How much the stamps of the two legs may contradict their order.
const TOLERANCE: Duration = Duration::from_millis(10);

/// The facts of an error by which legs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LegFacts {
    /// The end of the connection that sent the request.
    peer: Address,
    /// The end that answered.
    server: Endpoint,
    method: Method,
    path: NonZeroU32,
    status: u16,
    reason: Reason,
    /// Whether one sender alone cannot have forged it.
    is_confirmed: bool,
    /// Whether the request names a client behind a proxy.
    names_client: bool,
    asked: Timestamp,
    answered: Timestamp,
}

impl LegFacts {
    /// The facts of an event. `None` for an event that cannot be compared, because its request was not seen.
    pub(crate) fn of(event: &ErrorEvent) -> Option<Self> {
        let (peer, server) = event.exchange.endpoints?;
        let observation = &event.observation;
        Some(Self {
            peer: peer.address,
            server,
            method: observation.method,
            path: observation.path?,
            status: observation.answer.status(),
            reason: event.reason,
            is_confirmed: observation.grade.is_confirmed(),
            names_client: event.exchange.features.has(Features::CLIENT_HEADER),
            asked: event.exchange.request_start?.time,
            answered: event.time,
        })
    }

    /// Returns whether this error counts at least as much as an error of the backend leg.
    fn stands_for(&self, backend: &Self) -> bool {
        let is_same_kind = match (self.reason, backend.reason) {
            // A proxy may give another status of the same class. It answers 502 or 504 where the server gave no answer.
            (Reason::HttpStatus, Reason::HttpStatus) => self.status / 100 == backend.status / 100,
            (Reason::HttpStatus, Reason::NoResponse) => self.status >= 500,
            (own, other) => own == other,
        };
        is_same_kind && (self.is_confirmed || !backend.is_confirmed)
    }

    /// Returns whether this exchange lasted from before the other one began until after it was answered.
    fn encloses(&self, backend: &Self) -> bool {
        self.asked <= backend.asked.plus(TOLERANCE) && backend.answered <= self.answered.plus(TOLERANCE)
    }
}

/// An error that waits for the error of its client leg.
#[derive(Debug)]
struct Held<T> {
    facts: LegFacts,
    /// The clients that the nearest proxy's headers name.
    named: [Option<Address>; 2],
    /// The time of the packet that decided it.
    seen: Timestamp,
    value: T,
}

impl<T> Held<T> {
    /// How well an error fits as that of the client leg; 0 if it does not.
    fn fit(&self, client: &LegFacts) -> u8 {
        let backend = &self.facts;
        let is_same_path = client.path == backend.path;
        let is_proxy = client.server.address == backend.peer;
        let is_named = self.named.contains(&Some(client.peer));
        let fit = match (is_same_path, is_proxy, is_named) {
            (true, true, true) => 4,
            (true, true, false) => 3,
            // The proxy has another address towards its servers, such as a loopback address.
            (true, false, true) => 2,
            // The proxy rewrites paths.
            (false, true, true) => 1,
            _ => 0,
        };
        let is_other =
            client.method == backend.method && client.server != backend.server && client.peer != backend.peer;
        if is_other && client.stands_for(backend) && client.encloses(backend) { fit } else { 0 }
    }
}

/// A peer that had errors held, and how many of them belonged to a client leg.
#[derive(Debug, Clone, Copy)]
struct Peer {
    address: Address,
    /// Errors that were left out.
    left_out: u64,
    /// Errors in a row for which no client leg came.
    misses: u8,
    /// Until when its errors are not held.
    paused_until: Timestamp,
}

/// Holds errors that may belong to a backend leg until their client leg arrives, and remembers which peers are proxies.
#[derive(Debug)]
pub(crate) struct Legs<T> {
    patience: Duration,
    held: VecDeque<Held<T>>,
    peers: Vec<Peer>,
    /// The addresses that are known as servers.
    servers: HashSet<Address, KeyedState>,
    /// The address that was looked up last, and whether it is that of a server.
    last_looked_up: (Address, bool),
    /// How many of the servers that others have seen are in `servers`.
    servers_read: usize,
}

impl<T> Legs<T> {
    /// Holds nothing yet. An error is held no longer than `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            held: VecDeque::new(),
            peers: Vec::new(),
            servers: HashSet::with_hasher(KeyedState::secret()),
            last_looked_up: (Endpoint::UNKNOWN.address, false),
            servers_read: 0,
        }
    }

    /// Goes on with another patience.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Returns whether no error is held.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes note of servers. `all` are those seen since the beginning, in a list that only grows.
    #[inline]
    pub(crate) fn note_servers(&mut self, all: &[Endpoint]) {
        if all.len() != self.servers_read {
            let from = if all.len() < self.servers_read { 0 } else { self.servers_read };
            all[from..].iter().for_each(|server| self.note_server(server.address));
            self.servers_read = all.len();
        }
    }

    fn note_server(&mut self, address: Address) {
        if self.servers.len() < MOST_SERVERS && self.servers.insert(address) {
            self.last_looked_up = (address, true);
        }
    }

    /// Takes an error that may be that of a client leg: returns the error of the backend leg that it stands for, if that is held.
    pub(crate) fn answered_by(&mut self, client: &LegFacts) -> Option<T> {
        let mut best = (0, 0);
        for (place, held) in self.held.iter().enumerate() {
            let fit = held.fit(client);
            if fit > best.0 {
                best = (fit, place);
            }
        }
        let (1.., place) = best else { return None };
        let found = self.held.remove(place)?;
        let peer = self.peer(found.facts.peer);
        peer.misses = 0;
        peer.left_out += 1;
        Some(found.value)
    }

    /// Returns whether an error may be that of one of the legs: another one is held, or its peer may be a proxy. Most errors are
    /// of neither, and this costs two comparisons.
    #[inline]
    pub(crate) fn may_concern(&mut self, event: &ErrorEvent) -> bool {
        let Some((peer, _)) = event.exchange.endpoints else { return false };
        let names_client = event.exchange.features.has(Features::CLIENT_HEADER);
        !self.held.is_empty() || names_client || self.is_server(peer.address)
    }

    #[inline]
    fn is_server(&mut self, address: Address) -> bool {
        if self.last_looked_up.0 != address {
            self.last_looked_up = (address, self.servers.contains(&address));
        }
        self.last_looked_up.1
    }

    /// Returns whether an error is to be held at this time, because it may be that of a backend leg.
    pub(crate) fn may_be_backend(&mut self, error: &LegFacts, now: Timestamp) -> bool {
        if !error.names_client && !self.is_server(error.peer) {
            return false;
        }
        let known = self.peers.iter().find(|peer| peer.address == error.peer);
        known.is_none_or(|peer| peer.paused_until <= now)
    }

    /// Holds an error; `event_of` gives the event within the value. Where too many are held, the oldest comes back and counts.
    pub(crate) fn hold(&mut self, facts: LegFacts, value: T, event_of: impl Fn(&T) -> &ErrorEvent) -> Option<T> {
        let event = event_of(&value);
        let seen = event.seen;
        // Behind this proxy may be another one.
        self.note_server(facts.server.address);
        let named = if facts.names_client { client::named_by_peer(&event.exchange) } else { [None; 2] };
        self.held.push_back(Held { facts, named, seen, value });
        if self.held.len() > MOST_HELD { self.give_up() } else { None }
    }

    /// An error that was held long enough. It counts.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<T> {
        let oldest = self.held.front()?;
        if oldest.seen.plus(self.patience) <= now { self.give_up() } else { None }
    }

    /// An error that is held no longer, because nothing more comes or packet time goes on elsewhere. It counts.
    pub(crate) fn let_go(&mut self) -> Option<T> {
        self.held.pop_front().map(|held| held.value)
    }

    /// The proxies that were seen on both sides, each with the number of its errors that were left out.
    pub(crate) fn proxies(&self) -> impl Iterator<Item = (Address, u64)> {
        self.peers.iter().filter(|peer| peer.left_out > 0).map(|peer| (peer.address, peer.left_out))
    }

    /// The oldest error has waited in vain.
    fn give_up(&mut self) -> Option<T> {
        let Held { facts, seen, value, .. } = self.held.pop_front()?;
        let pause = seen.plus(self.patience).plus(PAUSE);
        let peer = self.peer(facts.peer);
        peer.misses = peer.misses.saturating_add(1);
        if peer.misses >= MOST_MISSES {
            peer.paused_until = pause;
        }
        Some(value)
    }

    /// What is known of a peer. A new one takes the place of the oldest with the fewest errors left out.
    fn peer(&mut self, address: Address) -> &mut Peer {
        let place = self.peers.iter().position(|peer| peer.address == address).unwrap_or_else(|| {
            if self.peers.len() >= MOST_PEERS {
                let least = (0..self.peers.len()).min_by_key(|&place| self.peers[place].left_out);
                self.peers.remove(least.unwrap_or(0));
            }
            self.peers.push(Peer { address, left_out: 0, misses: 0, paused_until: Timestamp::EPOCH });
            self.peers.len() - 1
        });
        &mut self.peers[place]
    }
}

#[cfg(test)]
#[path = "legs_tests.rs"]
mod tests;
