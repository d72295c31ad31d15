//! The server ports of connections whose content is not read.
//!
//! In: connections that turn out to be TLS or HTTP/2. Out: how many there were by port of the server, to tell people where
//! they are. Promises: at most [`MOST_PORTS`] ports are kept apart for each reason, however many a sender chooses; the
//! connections to further ports are counted together.

use std::collections::BTreeMap;

use crate::tcp::{Direction, FlowFacts};

/// The most ports that are kept apart.
const MOST_PORTS: usize = 64;

/// The ports of connections that were not read, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadPorts {
    /// Connections with a TLS handshake.
    pub tls: PortCounts,
    /// Connections with an HTTP/2 preface.
    pub http2: PortCounts,
}

/// Connections by port of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortCounts {
    by_port: BTreeMap<u16, u64>,
    others: u64,
}

impl UnreadPorts {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.tls.merge(&other.tls);
        self.http2.merge(&other.http2);
    }
}

impl PortCounts {
    /// Adds a connection. Where nobody was seen to open it, the lower port is the server's.
    #[cold]
    pub(super) fn note(&mut self, flow: &FlowFacts) {
        let [one, other] = Direction::BOTH.map(|direction| flow.sender(direction).port);
        let server = flow.opened_by.map_or(one.min(other), |opener| flow.sender(opener.opposite()).port);
        self.add(server, 1);
    }

    fn add(&mut self, port: u16, connections: u64) {
        if self.by_port.len() < MOST_PORTS || self.by_port.contains_key(&port) {
            *self.by_port.entry(port).or_default() += connections;
        } else {
            self.others += connections;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (port, connections) in &other.by_port {
            self.add(*port, *connections);
        }
        self.others += other.others;
    }

    /// Returns the ports with the most connections, at most `most` of them, and how many connections went to other ports.
    pub fn top(&self, most: usize) -> (Vec<(u16, u64)>, u64) {
        let mut ports: Vec<(u16, u64)> = self.by_port.iter().map(|(port, connections)| (*port, *connections)).collect();
        ports.sort_by_key(|(port, connections)| (std::cmp::Reverse(*connections), *port));
        let others: u64 = ports.iter().skip(most).map(|(_, connections)| connections).sum();
        ports.truncate(most);
        (ports, others + self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_bounded_and_nothing_is_lost() {
        let mut all = PortCounts::default();
        for shard in 0..16u16 {
            let mut one = PortCounts::default();
            (0..1_000).for_each(|port| one.add(shard * 1_000 + port, 1));
            one.add(shard * 1_000, 5);
            all.merge(&one);
        }
        let (top, others) = all.top(3);
        assert_eq!((top.as_slice(), all.by_port.len()), (&[(0, 6), (1, 1), (2, 1)][..], MOST_PORTS));
        assert_eq!(top.iter().map(|(_, connections)| connections).sum::<u64>() + others, 16_000 + 16 * 5);
    }
}
