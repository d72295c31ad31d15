//! What a request claims about where it comes from, and whether that can be.
//!
//! In: the fields of a request that name a client behind a proxy. Out: [`Claims`]. Promises: what proxies and load balancers
//! write by themselves is never called forged; a line that was cut is not judged.
//!
//! Whoever sends such fields himself wants to pass for somebody else: for the server's own host, to get around an access list, or
//! for another client with each request, to get around a limit.

use super::client::{named_nodes, parse_node};
use crate::{
    address::Address,
    event::ClientHeader,
    exchange::{Exchange, Remarks},
};

/// The most elements of one request that are read.
const MOST_ELEMENTS: usize = 16;

/// The signs of forgery in a request's forwarding fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Claims {
    /// The client that is named first is this very host: a loopback address, `0.0.0.0`, `localhost`.
    pub(crate) is_local: bool,
    /// A value is no address, or a field names a client that the list of hops does not have.
    pub(crate) is_impossible: bool,
    /// No proxy has added itself: no field has more than one element.
    pub(crate) is_direct: bool,
}

impl Claims {
    /// Reads what a request claims. `client` is the client that it is charged to: what that one truly is, it may also say.
    #[cold]
    pub(crate) fn of(exchange: &Exchange, client: Address) -> Self {
        if exchange.remarks.has(Remarks::REQUEST_TRUNCATED) || exchange.remarks.has(Remarks::FIELD_TRUNCATED) {
            return Self::default();
        }
        let lines = exchange.field(exchange.forwarded);
        let mut claims = Self { is_direct: true, ..Self::default() };
        // The addresses of the lists, and what the other fields name.
        let (mut hops, mut named) = (Vec::new(), Vec::new());
        for header in ClientHeader::ALL {
            let nodes: Vec<&[u8]> = named_nodes(lines, header).take(MOST_ELEMENTS).collect();
            claims.is_direct &= nodes.len() <= 1;
            for (place, node) in nodes.iter().enumerate() {
                let address = parse_node(node).map(|hop| hop.address);
                // The lists are read from the right, so the client that is named first comes last.
                let is_first = place + 1 == nodes.len();
                claims.is_local |= is_first && !is_local(client) && address.map_or(is_localhost(node), is_local);
                claims.is_impossible |= address.is_none() && !is_localhost(node) && !is_hidden(node);
                if header.is_list() { hops.extend(address) } else { named.extend(address) }
            }
        }
        let is_known = |address: &Address| hops.contains(address) || *address == client;
        claims.is_impossible |= !hops.is_empty() && !named.iter().all(is_known);
        claims
    }
}

/// Returns whether no packet comes from this address over a network.
fn is_local(address: Address) -> bool {
    let ip = address.to_ip();
    ip.is_loopback() || ip.is_unspecified()
}

fn is_localhost(node: &[u8]) -> bool {
    node.eq_ignore_ascii_case(b"localhost")
}

/// Returns whether a proxy hides its client (RFC 7239, sections 6.2 and 6.3).
fn is_hidden(node: &[u8]) -> bool {
    let node = node.strip_prefix(b"\"").and_then(|node| node.strip_suffix(b"\"")).unwrap_or(node);
    node.is_empty() || node == b"-" || node.starts_with(b"_") || node.to_ascii_lowercase().starts_with(b"unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_told_from_what_proxies_write() {
        let client = Address::v4([198, 51, 100, 1]);
        let read = |lines: &str| {
            let mut exchange = Exchange::default();
            exchange.forwarded = exchange.store(lines.as_bytes());
            let claims = Claims::of(&exchange, client);
            (claims.is_local, claims.is_impossible, claims.is_direct)
        };
        for (lines, expected) in [
            ("X-Forwarded-For: 203.0.113.7", (false, false, true)),
            ("X-Forwarded-For: 10.0.0.7, 203.0.113.7", (false, false, false)),
            ("X-Forwarded-For: unknown, 203.0.113.7", (false, false, false)),
            ("Forwarded: for=_hidden;proto=https, for=unknown", (false, false, false)),
            ("X-Forwarded-For: 203.0.113.7, 10.0.0.1\nX-Real-IP: 10.0.0.1", (false, false, false)),
            ("X-Forwarded-For: 203.0.113.7\nForwarded: for=203.0.113.7;by=10.0.0.1", (false, false, true)),
            ("X-Real-IP: 203.0.113.7\nX-Forwarded-For: 203.0.113.7", (false, false, true)),
            ("X-Forwarded-For: 203.0.113.7\nX-Real-IP: 198.51.100.1", (false, false, true)),
            ("X-Forwarded-For: 203.0.113.7, 127.0.0.1", (false, false, false)),
            ("X-Forwarded-For: 127.0.0.1", (true, false, true)),
            ("X-Forwarded-For: localhost", (true, false, true)),
            ("X-Real-IP: ::1", (true, false, true)),
            ("Forwarded: for=\"[::1]:80\"", (true, false, true)),
            ("True-Client-IP: 0.0.0.0", (true, false, true)),
            ("X-Forwarded-For: 127.0.0.1, 203.0.113.7", (true, false, false)),
            ("X-Forwarded-For: ' or 1=1 --", (false, true, true)),
            ("X-Forwarded-For: 256.1.1.1", (false, true, true)),
            ("X-Forwarded-For: 203.0.113.7\nX-Real-IP: 203.0.113.8", (false, true, true)),
            ("X-Forwarded-For:", (false, false, true)),
        ] {
            assert_eq!(read(lines), expected, "{lines}");
        }
        let mut cut = Exchange::default();
        cut.forwarded = cut.store(b"x-forwarded-for:?27.0.0.1");
        cut.remarks.add(Remarks::FIELD_TRUNCATED);
        assert_eq!(Claims::of(&cut, client), Claims::default());
        let mut local = Exchange::default();
        local.forwarded = local.store(b"X-Forwarded-For: 127.0.0.1");
        assert!(
            !Claims::of(&local, Address::v4([127, 0, 0, 1])).is_local,
            "a proxy on this host, and its own requests"
        );
    }
}
