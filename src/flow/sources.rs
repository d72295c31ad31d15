//! Which senders leave checksums to their network card, as seen on each interface.
//!
//! In: what became of segments with wrong checksums. Out: whether a wrong checksum of a sender is to be expected. Promises:
//! the number of senders is capped, and the oldest goes.

use std::collections::{HashMap, VecDeque};

use crate::address::Address;

/// Most senders remembered.
const MAX_SOURCES: usize = 4_096;

/// What wrong checksums of a sender mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A receiver acknowledged segments of this sender whose checksum was wrong: the capture shows them before the network
    /// card filled the checksum in.
    Offloads,
    /// Nobody was seen to answer this sender's segments with wrong checksums.
    Unanswered,
}

/// The senders with wrong checksums, by interface and address.
#[derive(Debug, Default)]
pub(super) struct Sources {
    standings: HashMap<(u16, Address), Standing>,
    order: VecDeque<(u16, Address)>,
}

impl Sources {
    /// Returns what is known of a sender.
    pub(super) fn standing(&self, source: (u16, Address)) -> Option<Standing> {
        self.standings.get(&source).copied()
    }

    /// Notes what a sender's wrong checksum turned out to mean.
    pub(super) fn learn(&mut self, source: (u16, Address), standing: Standing) {
        if self.standings.insert(source, standing).is_some() {
            return;
        }
        self.order.push_back(source);
        if self.order.len() > MAX_SOURCES
            && let Some(oldest) = self.order.pop_front()
        {
            self.standings.remove(&oldest);
        }
    }

    /// Notes that a receiver did not take a segment of this sender whose checksum was wrong. What was learnt before counts
    /// no more.
    pub(super) fn forget(&mut self, source: (u16, Address)) {
        if self.standings.remove(&source).is_some() {
            self.order.retain(|other| *other != source);
        }
    }
}
