//! Finds the true client of an exchange.
//!
//! In: the connection's peer, the source address of a PROXY protocol header, and the client headers of the request. Out: one
//! [`Client`]. Promises: only headers from trusted proxies change the result. The chain of trusted proxies is followed from
//! the right end of the list, and the walk stops at the first hop that is not trusted. An IPv4-mapped IPv6 address counts as
//! the IPv4 address. The work is bounded by [`MAX_HOPS`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{ClientHeader, EventCounters, EventSettings, Site};
use crate::{address::Endpoint, exchange::Exchange};

/// The most hops that are read of one list, from its right end.
const MAX_HOPS: usize = 64;

/// The source of the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientSource {
    /// The connection itself.
    #[default]
    Peer,
    /// A PROXY protocol header.
    ProxyProtocol,
    /// A request header.
    Header(ClientHeader),
}

impl ClientSource {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::ProxyProtocol => "proxy_protocol",
            Self::Header(header) => header.name(),
        }
    }
}

/// The client of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address and port. The port is 0 when it is not known.
    pub endpoint: Endpoint,
    /// The source of the address.
    pub source: ClientSource,
    /// Whether the headers of a trusted proxy named different clients.
    pub conflicting: bool,
}

/// Finds the client of an exchange whose connection came from `peer`.
///
/// The chain of hops is, from the right: the peer, the source address of a PROXY header, then the elements of the most
/// trusted client header that is present. The first hop that is not a trusted proxy is the client. When all hops are
/// trusted, the leftmost hop is the client. An element that is not an address ends the walk, and the hop before it is the
/// client.
pub(super) fn true_client(
    settings: &EventSettings,
    site: &Site,
    exchange: &Exchange,
    peer: Endpoint,
    counters: &mut EventCounters,
) -> Client {
    let direct = Client { endpoint: peer, source: ClientSource::Peer, conflicting: false };
    if exchange.forwarded.is_empty() && exchange.proxied_source.is_none() {
        return direct;
    }
    if !site.is_trusted(peer.address) {
        counters.clients_forged += 1;
        return direct;
    }
    let mut client = direct;
    if let Some(source) = exchange.proxied_source {
        client = Client { endpoint: source, source: ClientSource::ProxyProtocol, ..client };
    }
    if site.is_trusted(client.endpoint.address) {
        named_by_headers(settings, site, exchange.field(exchange.forwarded), &mut client, counters);
    }
    if client.source != ClientSource::Peer {
        counters.clients_named += 1;
    }
    client
}

fn named_by_headers(
    settings: &EventSettings,
    site: &Site,
    lines: &[u8],
    client: &mut Client,
    counters: &mut EventCounters,
) {
    let mut decided: Option<Endpoint> = None;
    for &header in &settings.client_headers {
        let Some(walk) = walk(site, header, lines) else { continue };
        counters.clients_unreadable += u64::from(walk.unreadable);
        let Some(named) = walk.client else { continue };
        match decided {
            None => {
                decided = Some(named);
                client.endpoint = named;
                client.source = ClientSource::Header(header);
            }
            Some(first) if first.address != named.address => client.conflicting = true,
            Some(_) => {}
        }
    }
    counters.clients_conflicting += u64::from(client.conflicting);
}

/// The result of reading one client header.
#[derive(Debug, Default, PartialEq, Eq)]
struct Walk {
    /// The client, if the header named at least one address.
    client: Option<Endpoint>,
    /// Whether the walk ended at an element that is not an address, or after too many hops.
    unreadable: bool,
}

/// Reads the elements of one header from the right. Returns `None` when the request has no such header.
fn walk(site: &Site, header: ClientHeader, lines: &[u8]) -> Option<Walk> {
    let mut present = false;
    let mut walk = Walk::default();
    let mut hops = 0;
    // Several header lines of the same name form one list, in order. Reading from the right therefore starts at the last
    // line.
    for value in lines.rsplit(|&byte| byte == b'\n').filter_map(|line| value_of(line, header)) {
        present = true;
        for element in elements_from_right(value) {
            hops += 1;
            let hop = match header {
                ClientHeader::Forwarded => forwarded_for(element).and_then(parse_node),
                _ => parse_node(element),
            };
            let Some(hop) = hop.filter(|_| hops <= MAX_HOPS) else {
                walk.unreadable = true;
                return Some(walk);
            };
            walk.client = Some(hop);
            if !site.is_trusted(hop.address) {
                return Some(walk);
            }
        }
    }
    present.then_some(walk)
}

/// Returns the value of a `name: value` line when its name is that of `header`.
fn value_of(line: &[u8], header: ClientHeader) -> Option<&[u8]> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    (name.eq_ignore_ascii_case(header.name().as_bytes()) && !value.is_empty()).then_some(value)
}

/// The comma-separated elements of a list, the last one first. A comma within quotes does not separate.
fn elements_from_right(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let mut quoted = false;
        let comma = value.iter().rposition(|&byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        });
        let element = comma.map_or(value, |at| &value[at + 1..]);
        rest = comma.map(|at| &value[..at]);
        Some(element.trim_ascii())
    })
    .filter(|element| !element.is_empty())
}

/// The `for` parameter of one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    element.split(|&byte| byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        pair[..equals].trim_ascii().eq_ignore_ascii_case(b"for").then(|| pair[equals + 1..].trim_ascii())
    })
}

/// Parses an address, with or without port, brackets, quotes or zone: `192.0.2.1`, `192.0.2.1:80`, `"[2001:db8::1]:80"`.
///
/// Returns `None` for `unknown`, for obfuscated names (RFC 7239, section 6.3) and for any other text.
fn parse_node(node: &[u8]) -> Option<Endpoint> {
    let node = node.strip_prefix(b"\"").and_then(|node| node.strip_suffix(b"\"")).unwrap_or(node).trim_ascii();
    let text = std::str::from_utf8(node).ok().filter(|text| text.len() <= 64)?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Endpoint::new(ip.into(), 0));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(Endpoint::new(socket.ip().into(), socket.port()));
    }
    let bare = text.strip_prefix('[').map_or(text, |rest| rest.strip_suffix(']').unwrap_or(rest));
    let bare = bare.split_once('%').map_or(bare, |(address, _zone)| address);
    if let Ok(ip) = bare.parse::<Ipv6Addr>() {
        return Some(Endpoint::new(IpAddr::V6(ip).into(), 0));
    }
    // RFC 7239 allows an obfuscated port, `_name`. The address before it is still valid.
    let (address, port) = text.rsplit_once(':')?;
    port.starts_with('_').then(|| parse_node(address.as_bytes()))?
}

/// Entry point for fuzzing: no header line may cause a panic or an endless loop.
#[cfg(any(test, fuzzing))]
pub fn fuzz(lines: &[u8]) {
    let site = Site {
        trusted_proxies: ["10.0.0.0/8", "2001:db8::/32"].iter().filter_map(|text| text.parse().ok()).collect(),
        ..Site::default()
    };
    for header in ClientHeader::ALL {
        if let Some(Walk { client: Some(client), .. }) = walk(&site, header, lines) {
            assert!(!client.to_string().is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::Address;

    fn site() -> Site {
        Site {
            trusted_proxies: ["10.0.0.0/8", "2001:db8:ffff::/48"].iter().map(|text| text.parse().unwrap()).collect(),
            ..Site::default()
        }
    }

    fn endpoint(text: &str) -> Endpoint {
        let socket: SocketAddr = text.parse().unwrap();
        Endpoint::new(socket.ip().into(), socket.port())
    }

    fn named(peer: &str, proxied: Option<&str>, lines: &str) -> (String, &'static str, EventCounters) {
        let mut exchange = Exchange { proxied_source: proxied.map(endpoint), ..Exchange::default() };
        exchange.forwarded = exchange.store(lines.as_bytes());
        let mut counters = EventCounters::default();
        let client = true_client(&EventSettings::default(), &site(), &exchange, endpoint(peer), &mut counters);
        (client.endpoint.to_string(), client.source.name(), counters)
    }

    #[test]
    fn names_the_true_client() {
        let table: &[(&str, Option<&str>, &str, &str, &str)] = &[
            // peer, PROXY source, headers → client, named by
            ("192.0.2.9:5000", None, "", "192.0.2.9:5000", "peer"),
            ("10.0.0.1:5000", None, "", "10.0.0.1:5000", "peer"),
            ("192.0.2.9:5000", None, "X-Forwarded-For: 203.0.113.5", "192.0.2.9:5000", "peer"),
            ("192.0.2.9:5000", Some("203.0.113.5:1"), "", "192.0.2.9:5000", "peer"),
            ("10.0.0.1:5000", None, "X-Forwarded-For: 203.0.113.5", "203.0.113.5:0", "x-forwarded-for"),
            ("[::ffff:10.0.0.1]:5000", None, "x-forwarded-for:203.0.113.5:99", "203.0.113.5:99", "x-forwarded-for"),
            ("10.0.0.1:5", None, "X-Forwarded-For: 1.1.1.1, 203.0.113.5, 10.2.3.4", "203.0.113.5:0", "x-forwarded-for"),
            (
                "10.0.0.1:5",
                None,
                "X-Forwarded-For: 203.0.113.5\nX-Forwarded-For: 10.9.9.9",
                "203.0.113.5:0",
                "x-forwarded-for",
            ),
            ("10.0.0.1:5", None, "X-Forwarded-For: 10.7.7.7, 10.9.9.9", "10.7.7.7:0", "x-forwarded-for"),
            ("10.0.0.1:5", None, "X-Forwarded-For: 1.1.1.1, unknown, 10.9.9.9", "10.9.9.9:0", "x-forwarded-for"),
            ("10.0.0.1:5", None, "X-Forwarded-For: garbage", "10.0.0.1:5", "peer"),
            ("10.0.0.1:5", None, "X-Forwarded-For: ::ffff:203.0.113.5", "203.0.113.5:0", "x-forwarded-for"),
            ("10.0.0.1:5", None, "X-Forwarded-For: [2001:db8::7]:443", "[2001:db8::7]:443", "x-forwarded-for"),
            ("10.0.0.1:5", None, "X-Forwarded-For: fe80::1%eth0", "[fe80::1]:0", "x-forwarded-for"),
            ("10.0.0.1:5", None, "X-Forwarded-For: 203.0.113.5,,", "203.0.113.5:0", "x-forwarded-for"),
            ("10.0.0.1:5", None, "Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0", "forwarded"),
            (
                "10.0.0.1:5",
                None,
                "Forwarded: For=\"[2001:db8:cafe::17]:4711\"",
                "[2001:db8:cafe::17]:4711",
                "forwarded",
            ),
            ("10.0.0.1:5", None, "Forwarded: for=192.0.2.43, for=\"[2001:db8:ffff::1]\"", "192.0.2.43:0", "forwarded"),
            ("10.0.0.1:5", None, "Forwarded: for=\"192.0.2.43:_hidden\"", "192.0.2.43:0", "forwarded"),
            ("10.0.0.1:5", None, "Forwarded: for=_gazonk, for=10.0.0.7", "10.0.0.7:0", "forwarded"),
            ("10.0.0.1:5", None, "Forwarded: for=1.1.1.1;host=\"a,b\"", "1.1.1.1:0", "forwarded"),
            ("10.0.0.1:5", None, "Forwarded: by=1.1.1.1", "10.0.0.1:5", "peer"),
            ("10.0.0.1:5", None, "X-Real-IP: 203.0.113.8", "203.0.113.8:0", "x-real-ip"),
            ("10.0.0.1:5", None, "True-Client-IP: 203.0.113.8", "203.0.113.8:0", "true-client-ip"),
            ("10.0.0.1:5", None, "CF-Connecting-IP: 2001:db8::8", "[2001:db8::8]:0", "cf-connecting-ip"),
            (
                "10.0.0.1:5",
                None,
                "X-Real-IP: 9.9.9.9\nX-Forwarded-For: 203.0.113.5",
                "203.0.113.5:0",
                "x-forwarded-for",
            ),
            ("10.0.0.1:5", Some("203.0.113.5:777"), "X-Forwarded-For: 9.9.9.9", "203.0.113.5:777", "proxy_protocol"),
            ("10.0.0.1:5", Some("10.5.5.5:777"), "X-Forwarded-For: 9.9.9.9", "9.9.9.9:0", "x-forwarded-for"),
            ("[2001:db8:ffff::5]:80", None, "X-Forwarded-For: 9.9.9.9", "9.9.9.9:0", "x-forwarded-for"),
        ];
        for &(peer, proxied, lines, client, source) in table {
            let (found, by, _) = named(peer, proxied, lines);
            assert_eq!((found.as_str(), by), (client, source), "{peer} {proxied:?} {lines}");
        }
    }

    #[test]
    fn counts_what_it_ignores_and_what_disagrees() {
        assert_eq!(named("192.0.2.9:5", None, "X-Real-IP: 1.1.1.1").2.clients_forged, 1);
        assert_eq!(named("192.0.2.9:5", Some("1.1.1.1:1"), "").2.clients_forged, 1);
        let agreeing = named("10.0.0.1:5", None, "X-Real-IP: 1.1.1.1\nX-Forwarded-For: 1.1.1.1").2;
        assert_eq!((agreeing.clients_conflicting, agreeing.clients_named), (0, 1));
        assert_eq!(named("10.0.0.1:5", None, "X-Real-IP: 1.1.1.1\nX-Forwarded-For: 2.2.2.2").2.clients_conflicting, 1);
        assert_eq!(named("10.0.0.1:5", None, "X-Forwarded-For: ?").2.clients_unreadable, 1);
    }

    #[test]
    fn a_list_beyond_any_chain_ends_the_walk() {
        let mut list = String::from("X-Forwarded-For: 203.0.113.5");
        for _ in 0..MAX_HOPS {
            list.push_str(", 10.0.0.2");
        }
        let (client, _, counters) = named("10.0.0.1:5", None, &list);
        assert_eq!((client.as_str(), counters.clients_unreadable), ("10.0.0.2:0", 1));
    }

    proptest! {
        #[test]
        fn any_lines_are_survived(lines in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&lines);
        }

        #[test]
        fn every_address_is_read_back(bits in any::<u128>(), v4 in any::<u32>(), port in 1u16..) {
            for address in [Address::v6(bits.to_be_bytes()), Address::v4(v4.to_be_bytes())] {
                let endpoint = Endpoint::new(address, port);
                prop_assert_eq!(parse_node(endpoint.to_string().as_bytes()), Some(endpoint));
                prop_assert_eq!(parse_node(address.to_string().as_bytes()), Some(Endpoint::new(address, 0)));
            }
        }
    }
}
