//! What happens on each server, whoever asks.
//!
//! In: every exchange. Out: exchanges by kind and by interval, and the clients whose requests failed. Promises: bounded memory; a
//! server beyond the limit shares the place of all others.

use super::{
    few::Few,
    kinds::{Kind, Kinds},
};
use crate::{
    address::{Address, Endpoint},
    detect::server_numbers::ServerNumbers,
    exchange::Observation,
};

/// The most servers that are told apart.
const MOST_SERVERS: u16 = 4_096;

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

/// What happens on all servers.
#[derive(Debug)]
pub(super) struct Servers {
    numbers: ServerNumbers,
    /// The intervals of each server in order, by its number.
    intervals: Vec<Vec<Interval>>,
}

impl Default for Servers {
    fn default() -> Self {
        Self { numbers: ServerNumbers::new(MOST_SERVERS), intervals: Vec::new() }
    }
}

impl Servers {
    /// Returns the number of a server. A new server gets the next number.
    #[inline]
    pub(super) fn number(&mut self, server: Endpoint) -> u16 {
        self.numbers.number(server)
    }

    /// All servers in the order of their numbers; number 0 is that of no single server.
    pub(super) fn all(&self) -> &[Endpoint] {
        self.numbers.all()
    }

    pub(super) fn endpoint(&self, number: u16) -> Endpoint {
        self.numbers.all().get(usize::from(number)).copied().unwrap_or(Endpoint::UNKNOWN)
    }

    /// Adds an exchange. Intervals before `oldest` are forgotten.
    #[inline]
    pub(super) fn add(&mut self, number: u16, interval: u64, oldest: u64, observation: &Observation, kind: Kind) {
        let is_current = |server: &Vec<Interval>| server.last().is_some_and(|last| last.number == interval);
        let known = match self.intervals.get_mut(usize::from(number)) {
            Some(server) if is_current(server) => server.last_mut(),
            _ => self.interval(number, interval, oldest),
        };
        let Some(known) = known else { return };
        known.kinds.add(kind);
        let client = fold(observation.client);
        known.clients.add(client);
        if kind.is_server_failure() {
            known.failing.add(client);
        }
    }

    /// Returns an interval of a server, which may be new.
    #[inline(never)]
    fn interval(&mut self, number: u16, interval: u64, oldest: u64) -> Option<&mut Interval> {
        if self.intervals.len() <= usize::from(number) {
            self.intervals.resize_with(usize::from(number) + 1, Vec::new);
        }
        let intervals = &mut self.intervals[usize::from(number)];
        let place = intervals.partition_point(|known| known.number < interval);
        if intervals.get(place).is_some_and(|known| known.number == interval) {
            return intervals.get_mut(place);
        }
        let gone = intervals.partition_point(|known| known.number < oldest).min(place);
        intervals.drain(..gone);
        intervals.insert(place - gone, Interval { number: interval, ..Interval::default() });
        intervals.get_mut(place - gone)
    }

    /// The intervals of a server.
    pub(super) fn intervals(&self, number: u16) -> impl Iterator<Item = &Interval> {
        self.intervals.get(usize::from(number)).into_iter().flatten()
    }
}

/// An address as a number, to tell clients apart.
pub(super) fn fold(address: Address) -> u32 {
    let (high, low) = address.halves();
    let mixed = (high ^ low.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32 ^ low as u32
}
