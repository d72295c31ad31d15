//! The server ports of connections whose content is not read.
//!
//! In: connections that turn out to be TLS, or HTTP/2 that cannot be read. Out: how many there were by port of the server, to tell people where
//! they are. Promises: at most [`MOST_PORTS`] ports are kept apart for each reason.

use crate::{
    tcp::{Direction, FlowFacts},
    telemetry::tally::Tally,
};

/// The most ports that are kept apart.
const MOST_PORTS: usize = 64;

/// Connections by port of the server.
pub type PortCounts = Tally<u16, MOST_PORTS>;

/// The ports of connections that were not read, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadPorts {
    /// Connections with a TLS handshake.
    pub tls: PortCounts,
    /// Connections of HTTP/2 of which no message could be read.
    pub http2: PortCounts,
}

impl UnreadPorts {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.tls.merge(&other.tls);
        self.http2.merge(&other.http2);
    }
}

/// Adds a connection. Where nobody was seen to open it, the lower port is the server's.
#[cold]
pub(super) fn note(counts: &mut PortCounts, flow: &FlowFacts) {
    let [one, other] = Direction::BOTH.map(|direction| flow.sender(direction).port);
    let server = flow.opened_by.map_or(one.min(other), |opener| flow.sender(opener.opposite()).port);
    counts.add(server, 1);
}
