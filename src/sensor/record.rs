//! What leaves the packet path, and in which order.
//!
//! In: exchanges as the shards find them. Out: [`Record`]s, each with its [`Order`]: packet number, then ticks before packets,
//! then shard. Merging by that order gives the same records whatever the worker count.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::{
    capture::Stamp,
    event::Observation,
    exchange::Exchange,
    time::{Stretch, Timestamp},
};

use super::segments::Groups;

/// A record's place among all records; records of one shard and packet keep the order they were made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    packet: u64,
    /// Ticks run before the packet that made them due.
    after_tick: bool,
    shard: u8,
}

impl Order {
    /// The shard that made the record.
    pub(crate) const fn shard(self) -> u8 {
        self.shard
    }

    /// Made by a shard while it processed this packet.
    pub(crate) const fn of_packet(packet: u64, shard: u8) -> Self {
        Self { packet, after_tick: true, shard }
    }

    /// Made by a shard while it ran its timers before this packet.
    pub(crate) const fn of_tick(packet: u64, shard: u8) -> Self {
        Self { packet, after_tick: false, shard }
    }
}

/// What the packet path found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// An exchange that may be an error event.
    Failed(Box<Exchange>),
    /// What an exchange that did not fail showed of its server's software.
    Teaching(Observation),
    /// An exchange that is over.
    Finished(Box<Exchange>),
    /// Both at once: nothing but its end came after the exchange was decided.
    FailedAndFinished(Box<Exchange>),
    /// When something was not captured that may have held responses; at most one a shard and tick.
    Loss(Stretch),
}

impl Finding {
    /// The exchange that was found.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Failed(exchange) | Self::Finished(exchange) | Self::FailedAndFinished(exchange) => Some(exchange),
            Self::Teaching(_) | Self::Loss(_) => None,
        }
    }
}

/// A finding with its place.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its place among all records.
    pub order: Order,
    /// The packet that made it.
    pub stamp: Stamp,
    /// What was found.
    pub finding: Finding,
}

/// The records of one batch, in order, and the ticks of packet time among them.
#[derive(Debug)]
pub(crate) struct Records {
    /// Records, in order.
    pub records: Vec<Record>,
    /// Ticks in order: packet number and time. A tick comes before the records of its packet.
    pub ticks: Vec<(u64, Timestamp)>,
    /// Where exchanges go that are not needed any more.
    pub ways_back: Arc<WaysBack>,
}

/// Exchanges whose records were concluded, emptied, with the shards that made them: each gets back as many as it makes.
pub(crate) type Spent = Vec<(u8, Box<Exchange>)>;

/// The ways back to the shards that made the exchanges, for reuse.
#[derive(Debug)]
pub(crate) struct WaysBack {
    /// Which shards are in which group.
    pub groups: Groups,
    /// The way to each group.
    pub ways: Vec<Sender<Spent>>,
}

impl WaysBack {
    /// Gives exchanges back to their group; those that find no room there are freed.
    pub(crate) fn give_back(&self, group: usize, spent: Spent) {
        if let Some(way) = self.ways.get(group).filter(|_| !spent.is_empty()) {
            let _ = way.try_send(spent);
        }
    }
}
