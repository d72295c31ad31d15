//! What the shards pass on to events and rules, and in which order.
//!
//! In: exchanges as the shards find them. Out: [`Record`]s, each with its [`Order`]: by packet number; records of the tick
//! before a packet come before the packet's own. A packet may hold segments of several connections; their records are ordered
//! by client. Records of timers and of the end are ordered by the first packet of their
//! exchange, so that the order does not depend on which shard a flow is in; then by shard. Promises: sorted by that order, the
//! records are the same whatever the number of workers.

use crate::{
    address::Endpoint,
    capture::Stamp,
    detect::RuleSet,
    event::ServerFingerprint,
    exchange::{Exchange, Observation, Turn},
    time::Stretch,
};

/// A record's position among all records. Records of the same shard and packet keep the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    packet: u64,
    /// False for records of the tick that ran before the packet.
    after_tick: bool,
    /// What tells the exchange from others of the same moment: of records of packets its client, of records of timers and of the
    /// end its first packet.
    exchange: u64,
    shard: u8,
}

impl Order {
    /// The shard that made the record.
    pub(crate) const fn shard(self) -> u8 {
        self.shard
    }

    /// The order of a record of a client's exchange that a shard made while it processed this packet.
    pub(crate) const fn of_packet(packet: u64, client: Option<Endpoint>, shard: u8) -> Self {
        let exchange = match client {
            Some(client) => client.address.halves().1.rotate_left(16) ^ client.port as u64,
            None => 0,
        };
        Self { packet, after_tick: true, exchange, shard }
    }

    /// The order of a record of an exchange that a shard made while it ran its timers before this packet.
    pub(crate) const fn of_tick(packet: u64, exchange: u64, shard: u8) -> Self {
        Self { packet, after_tick: false, exchange, shard }
    }

    /// The order of a record of an exchange that a shard made at the end. `packet` is the number after the last packet's.
    pub(crate) const fn of_end(packet: u64, exchange: u64, shard: u8) -> Self {
        Self { packet, after_tick: true, exchange, shard }
    }
}

/// What a shard found.
#[derive(Debug)]
pub(crate) enum Content {
    /// An exchange that may be an error event, and the rules whose filter matched it.
    Failed(Box<Exchange>, RuleSet),
    /// An exchange that did not fail, as rules observe it.
    Observed(Observation),
    /// An exchange that did not fail, and the rules whose filter matched it. It is observed on the way to the rules.
    Matched(Box<Exchange>, RuleSet),
    /// What an exchange that did not fail showed of its server's software.
    ServerFingerprint(ServerFingerprint),
    /// An exchange that is over.
    Finished(Box<Exchange>),
    /// An exchange that may be an error event and is over: nothing but its end came after it was decided. And the rules whose
    /// filter matched it.
    FailedAndFinished(Box<Exchange>, RuleSet),
    /// A request and its answer inside TLS, of which lengths and times alone are known.
    Turn(Box<Turn>),
    /// When bytes that may have held responses were not captured. A shard makes at most one of these a tick.
    Gap(Stretch),
}

impl Content {
    /// The exchange that was found.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Failed(exchange, _)
            | Self::Matched(exchange, _)
            | Self::Finished(exchange)
            | Self::FailedAndFinished(exchange, _) => Some(exchange),
            Self::Observed(_) | Self::ServerFingerprint(_) | Self::Turn(_) | Self::Gap(_) => None,
        }
    }
}

/// One thing that a shard found, and its position among all records.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its position among all records.
    pub order: Order,
    /// The packet that led to it.
    pub stamp: Stamp,
    /// What was found.
    pub content: Content,
}
