//! The turns of one client with one server in one cell of time.
//!
//! In: turns. Out: how often each pair of lengths came, of request and answer. Promises: fixed size for each pair; at most
//! [`MAX_PAIRS`] pairs; the pairs that come most often stay, and turns whose pair was let go still count as turns.

use serde::{Deserialize, Serialize};

use super::order::Order;
use crate::{
    detect::{GradeCounts, TlsFacts},
    exchange::{Turn, TurnFlags},
    time::Timestamp,
};

/// The longest answer that may be a uniform one. Longer answers only count as turns.
pub(super) const MAX_ANSWER_BYTES: u32 = 4_095;
/// The most different pairs of lengths.
pub(super) const MAX_PAIRS: usize = 512;
/// The client's ports of connections that are kept.
const KEPT_PORTS: usize = 3;

/// A pair of lengths, in 32 bits that are ordered by protocol, answer and request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Pair(u32);

impl Pair {
    /// The pair of a turn, unless its answer is too long.
    pub(super) fn of(turn: &Turn) -> Option<Self> {
        let request = turn.request_bytes.min(u16::MAX.into());
        let protocol = u32::from(turn.flags.has(TurnFlags::MULTIPLEXED));
        (turn.answer_bytes <= MAX_ANSWER_BYTES).then_some(Self(protocol << 31 | turn.answer_bytes << 16 | request))
    }

    /// Plain bytes of the request; 0 if it is not known.
    pub(super) const fn request(self) -> u32 {
        self.0 & 0xffff
    }

    /// Plain bytes of the answer.
    pub(super) const fn answer(self) -> u32 {
        self.0 >> 16 & 0x7fff
    }

    /// Whether it is of HTTP/2.
    pub(super) const fn is_multiplexed(self) -> bool {
        self.0 >> 31 == 1
    }
}

/// The turns of a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Pairs with their counts, in order of pair.
    pairs: Vec<(Pair, u32)>,
    /// All turns by the grade of their connection.
    pub(super) grades: GradeCounts,
    /// Turns of a ClientHello with GREASE.
    pub(super) grease: u64,
    /// Turns under a suite that encrypts blocks.
    pub(super) blocks: u64,
    /// Turns whose pair was let go.
    pub(super) unlisted: u64,
    /// Turns whose request is one byte longer than the one before.
    pub(super) steps: u64,
    /// The order of the request lengths under suites that encrypt blocks.
    pub(super) order: Order,
    /// The length of the request before.
    before: u32,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// The client's first ports.
    ports: Vec<u16>,
    /// What the connections show.
    pub(super) tls: TlsFacts,
}

impl Tally {
    /// Adds a turn. `has_room` says whether one more pair may be held.
    pub(super) fn add(&mut self, turn: &Turn, has_room: bool) {
        self.grades.add(turn.grade);
        self.grease += u64::from(turn.flags.has(TurnFlags::GREASE));
        if turn.flags.has(TurnFlags::BLOCKS) {
            self.blocks += 1;
            self.order.add(turn.request_bytes);
        }
        self.steps += u64::from(turn.request_bytes == self.before.saturating_add(1));
        self.before = turn.request_bytes;
        self.first = Some(self.first.map_or(turn.time, |first| first.min(turn.time)));
        self.last = self.last.max(Some(turn.time));
        if self.ports.len() < KEPT_PORTS && !self.ports.contains(&turn.client.port) {
            self.ports.push(turn.client.port);
        }
        if let Some(connection) = &turn.connection {
            self.tls.add(connection);
        }
        let Some(pair) = Pair::of(turn) else { return };
        match self.pairs.binary_search_by_key(&pair, |(pair, _)| *pair) {
            Ok(at) => self.pairs[at].1 = self.pairs[at].1.saturating_add(1),
            Err(_) if !has_room => self.unlisted += 1,
            Err(at) if self.pairs.len() < MAX_PAIRS => self.pairs.insert(at, (pair, 1)),
            Err(_) => {
                // Pairs that came once make room. A pair that comes often enough to matter stays or comes back.
                let before = self.pairs.len();
                self.pairs.retain(|(_, count)| *count > 1);
                self.unlisted += (before - self.pairs.len()) as u64;
                match self.pairs.binary_search_by_key(&pair, |(pair, _)| *pair) {
                    Err(at) if self.pairs.len() < MAX_PAIRS => self.pairs.insert(at, (pair, 1)),
                    _ => self.unlisted += 1,
                }
            }
        }
    }

    /// Adds the turns of a later cell.
    pub(super) fn merge(&mut self, other: &Self) {
        self.grades.add_all(other.grades);
        self.grease += other.grease;
        self.blocks += other.blocks;
        self.order.merge(&other.order);
        self.unlisted += other.unlisted;
        self.steps += other.steps;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        let more = other.ports.iter().filter(|port| !self.ports.contains(port)).copied();
        let more: Vec<u16> = more.take(KEPT_PORTS - self.ports.len().min(KEPT_PORTS)).collect();
        self.ports.extend(more);
        self.tls.merge(&other.tls);
        self.pairs.extend_from_slice(&other.pairs);
        self.pairs.sort_unstable();
        self.pairs.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            earlier.1 = if is_same { earlier.1.saturating_add(later.1) } else { earlier.1 };
            is_same
        });
    }

    /// All turns.
    pub(super) fn turns(&self) -> u64 {
        self.grades.total()
    }

    /// The pairs of lengths and how often each came.
    pub(super) fn pairs(&self) -> &[(Pair, u32)] {
        &self.pairs
    }

    /// The client's first ports.
    pub(super) fn ports(&self) -> &[u16] {
        &self.ports
    }
}
