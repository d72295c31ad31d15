//! What happens on each server, whoever asks.
//!
//! In: every exchange. Out: exchanges by kind and by interval, and the clients whose requests failed. Promises: bounded memory; a
//! server beyond the limit shares the place of all others.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::{
    few::Few,
    kinds::{Kind, Kinds},
};
use crate::{
    address::{Address, Endpoint},
    exchange::Observation,
    keyed_hash::KeyedState,
};

/// The most servers that are told apart. Number 0 stands for all others.
const MOST_SERVERS: usize = 4_096;

/// The exchanges of all clients with one server in one interval.
#[derive(Debug, Clone, Default)]
pub(super) struct Interval {
    pub(super) number: u64,
    pub(super) kinds: Kinds,
    /// The clients for whom the server failed, each as its folded address.
    pub(super) failing: Few<64>,
    /// All clients, each as its folded address.
    pub(super) clients: Few<64>,
}

/// All servers by number.
#[derive(Debug)]
pub(super) struct Servers {
    numbers: HashMap<Endpoint, u16, KeyedState>,
    servers: Vec<(Endpoint, VecDeque<Interval>)>,
    recent: (Endpoint, u16),
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
            servers: vec![(Endpoint::UNKNOWN, VecDeque::new())],
            recent: (Endpoint::UNKNOWN, 0),
        }
    }
}

impl Servers {
    /// Returns the number of a server. A new server gets the next number.
    #[inline]
    pub(super) fn number(&mut self, server: Endpoint) -> u16 {
        if self.recent.0 != server {
            let next = self.servers.len();
            let number = match self.numbers.get(&server) {
                Some(number) => *number,
                None if next >= MOST_SERVERS => 0,
                None => {
                    self.numbers.insert(server, next as u16);
                    self.servers.push((server, VecDeque::new()));
                    next as u16
                }
            };
            self.recent = (server, number);
        }
        self.recent.1
    }

    pub(super) fn endpoint(&self, number: u16) -> Endpoint {
        self.servers.get(usize::from(number)).map_or(Endpoint::UNKNOWN, |(endpoint, _)| *endpoint)
    }

    /// Adds an exchange. Intervals before `oldest` are forgotten.
    pub(super) fn add(&mut self, number: u16, interval: u64, oldest: u64, observation: &Observation) {
        let Some((_, intervals)) = self.servers.get_mut(usize::from(number)) else { return };
        let place = match intervals.iter().rposition(|known| known.number <= interval) {
            Some(place) if intervals[place].number == interval => place,
            before => {
                while intervals.pop_front_if(|first| first.number < oldest).is_some() {}
                let place = before.map_or(0, |before| before + 1).min(intervals.len());
                intervals.insert(place, Interval { number: interval, ..Interval::default() });
                place
            }
        };
        let known = &mut intervals[place];
        let kind = Kind::of(observation);
        known.kinds.add(kind);
        let client = fold(observation.client);
        known.clients.add(client);
        if kind.is_server_failure() {
            known.failing.add(client);
        }
    }

    /// The intervals of a server.
    pub(super) fn intervals(&self, number: u16) -> impl Iterator<Item = &Interval> {
        self.servers.get(usize::from(number)).into_iter().flat_map(|(_, intervals)| intervals)
    }
}

/// An address as a number, to tell clients apart.
pub(super) fn fold(address: Address) -> u32 {
    let (high, low) = address.halves();
    let mixed = (high ^ low.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32 ^ low as u32
}
