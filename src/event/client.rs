//! Finds the true client of an exchange.
//!
//! In: the connection's peer, the source address of a PROXY protocol header, and the client headers of the request. Out: one
//! [`Client`]. Promises: only headers that a trusted proxy writes change the result; what a client behind such a proxy sends in
//! the same or in other headers never chooses the client. The chain of proxies is followed from the right end of the list, and
//! ends at the first hop that is not trusted. Where headers contradict each other, the proxy itself is the client. An
//! IPv4-mapped IPv6 address counts as the IPv4 address. The work is bounded by [`MAX_HOPS`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{ClientHeader, EventCounters, Site, Trust};
use crate::{
    address::{Address, Endpoint},
    exchange::{Exchange, Remarks},
};

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
    /// Whether a trusted proxy may have named another client, in a part of the request that was not seen or cannot be read.
    pub unreadable: bool,
}

/// Finds the client of an exchange whose connection came from `peer`.
///
/// The chain of hops is, from the right: the peer, the source address of a PROXY header, then what each trusted proxy's header
/// names. The first hop that is not a trusted proxy is the client. When a proxy's headers contradict each other, were not seen, or
/// name nobody, the client is the last hop that is known for sure: that proxy.
pub(super) fn true_client(site: &Site, exchange: &Exchange, peer: Endpoint, counters: &mut EventCounters) -> Client {
    let direct = Client { endpoint: peer, source: ClientSource::Peer, conflicting: false, unreadable: false };
    let names_nobody = exchange.forwarded.is_empty() && exchange.proxied_source.is_none();
    let is_cut = exchange.remarks.has(Remarks::REQUEST_TRUNCATED);
    if names_nobody && (!is_cut || site.trust_of(peer.address).is_none()) {
        return direct;
    }
    if site.trust_of(peer.address).is_none() {
        counters.clients_forged += 1;
        return direct;
    }
    let mut client = direct;
    if let Some(source) = exchange.proxied_source {
        client = Client { endpoint: source, source: ClientSource::ProxyProtocol, ..client };
    }
    follow_headers(site, exchange, &mut client, counters);
    if client.source != ClientSource::Peer {
        counters.clients_named += 1;
    }
    client
}

/// The clients that the connection's peer names, whether it is trusted or not: the last element of a list, which is the peer's own
/// if it is a proxy, the value of any other header, or the source in a PROXY header. A hint, nothing that is proven.
pub(super) fn named_by_peer(exchange: &Exchange) -> [Option<Address>; 2] {
    let mut named = [exchange.proxied_source.map(|source| source.address), None];
    if exchange.forwarded.is_empty() {
        return named;
    }
    for header in ClientHeader::ALL {
        let Ok(hop) = Headers::new(exchange.field(exchange.forwarded)).next(header) else { continue };
        if !named.contains(&Some(hop.address))
            && let Some(free) = named.iter_mut().find(|place| place.is_none())
        {
            *free = Some(hop.address);
        }
    }
    named
}

/// Follows the chain of trusted proxies through the headers, as far as it goes.
fn follow_headers(site: &Site, exchange: &Exchange, client: &mut Client, counters: &mut EventCounters) {
    let Some(mut trust) = site.trust_of(client.endpoint.address) else { return };
    // The proxy's own line may be in the part of the head that was not kept.
    if exchange.remarks.has(Remarks::REQUEST_TRUNCATED) {
        client.unreadable = true;
        counters.clients_unreadable += 1;
        return;
    }
    if exchange.forwarded.is_empty() {
        return;
    }
    let mut headers = Headers::new(exchange.field(exchange.forwarded));
    for _ in 0..MAX_HOPS {
        let found = match trust {
            Trust::Header(header) => headers.next(header).map(|hop| (header, hop)),
            Trust::Lists => match headers.agreed_list(site) {
                Ok(Some(list)) => headers.next(list).map(|hop| (list, hop)),
                Ok(None) => return,
                Err(Contradiction) => {
                    client.conflicting = true;
                    counters.clients_conflicting += 1;
                    return;
                }
            },
        };
        let (header, hop) = match found {
            Ok(found) => found,
            Err(NoHop::End) => return,
            Err(NoHop::Unreadable) => {
                client.unreadable = true;
                counters.clients_unreadable += 1;
                return;
            }
            Err(NoHop::Contradiction) => {
                client.conflicting = true;
                counters.clients_conflicting += 1;
                return;
            }
        };
        client.endpoint = hop;
        client.source = ClientSource::Header(header);
        match site.trust_of(hop.address) {
            Some(next) => trust = next,
            None => return,
        }
    }
    client.unreadable = true;
    counters.clients_unreadable += 1;
}

/// `X-Forwarded-For` and `Forwarded` of one request lead to different clients.
struct Contradiction;

/// The reason why a header names no further hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoHop {
    /// The header is absent, or all its elements were read.
    End,
    /// The next element is not an address.
    Unreadable,
    /// Lines of a header that has a single value differ.
    Contradiction,
}

/// The client headers of one request. Each list is read from its right end.
#[derive(Debug, Clone, Copy)]
struct Headers<'a> {
    lines: &'a [u8],
    /// How many elements of each header were read, in the order of [`ClientHeader::ALL`].
    read: [usize; ClientHeader::ALL.len()],
}

impl<'a> Headers<'a> {
    fn new(lines: &'a [u8]) -> Self {
        Self { lines, read: Default::default() }
    }

    /// Reads the next hop of a header.
    fn next(&mut self, header: ClientHeader) -> Result<Endpoint, NoHop> {
        let done = &mut self.read[header as usize];
        let already = *done;
        *done += 1;
        if !header.is_list() {
            return if already == 0 { single(self.lines, header) } else { Err(NoHop::End) };
        }
        let element = elements(self.lines, header).nth(already).ok_or(NoHop::End)?;
        let node = match header {
            ClientHeader::Forwarded => element.and_then(forwarded_for),
            _ => element,
        };
        node.and_then(parse_node).ok_or(NoHop::Unreadable)
    }

    /// The list to go on with when the proxy's header is not configured: the one that is present. When both are present
    /// they must lead to the same client, because the client may have sent the one that the proxy does not write.
    fn agreed_list(&self, site: &Site) -> Result<Option<ClientHeader>, Contradiction> {
        let is_present = |header| elements(self.lines, header).nth(self.read[header as usize]).is_some();
        match (is_present(ClientHeader::XForwardedFor), is_present(ClientHeader::Forwarded)) {
            (false, false) => Ok(None),
            (true, false) => Ok(Some(ClientHeader::XForwardedFor)),
            (false, true) => Ok(Some(ClientHeader::Forwarded)),
            (true, true) => {
                let [one, other] =
                    [ClientHeader::XForwardedFor, ClientHeader::Forwarded].map(|header| self.end_of(header, site));
                match (one, other) {
                    (Some(one), Some(other)) if one == other => Ok(Some(ClientHeader::XForwardedFor)),
                    _ => Err(Contradiction),
                }
            }
        }
    }

    /// The address that a list leads to: its first hop from the right that is not trusted, or its last.
    fn end_of(mut self, header: ClientHeader, site: &Site) -> Option<Address> {
        let mut last = None;
        for _ in 0..MAX_HOPS {
            match self.next(header) {
                Ok(hop) if site.trust_of(hop.address).is_none() => return Some(hop.address),
                Ok(hop) => last = Some(hop.address),
                Err(NoHop::End) => return last,
                Err(NoHop::Unreadable | NoHop::Contradiction) => return None,
            }
        }
        None
    }
}

/// The value of a header that has a single one. A proxy that sets the header replaces what the client sent; lines that differ
/// show that it does not.
fn single(lines: &[u8], header: ClientHeader) -> Result<Endpoint, NoHop> {
    let mut named: Option<Endpoint> = None;
    for value in values_from_last(lines, header) {
        let hop = value.and_then(parse_node).ok_or(NoHop::Unreadable)?;
        if named.is_some_and(|named| named.address != hop.address) {
            return Err(NoHop::Contradiction);
        }
        named = Some(hop);
    }
    named.ok_or(NoHop::End)
}

/// The elements of a list header from the right. Several lines form one list, in order. `None` stands for an element in a
/// line that proxies read differently.
fn elements(lines: &[u8], header: ClientHeader) -> impl Iterator<Item = Option<&[u8]>> {
    values_from_last(lines, header).flat_map(move |value| {
        let is_odd = value.is_none();
        let elements = elements_from_right(value.unwrap_or_default(), header == ClientHeader::Forwarded);
        elements.map(Some).chain(is_odd.then_some(None))
    })
}

/// The values of a header's lines, the last line first. `None` stands for a line with a blank before its colon: some proxies
/// take it for this header and others do not.
fn values_from_last(lines: &[u8], header: ClientHeader) -> impl Iterator<Item = Option<&[u8]>> {
    lines.rsplit(|&byte| byte == b'\n').filter_map(move |line| {
        let colon = memchr::memchr(b':', line)?;
        let name = &line[..colon];
        let is_named = name.trim_ascii().eq_ignore_ascii_case(header.name().as_bytes());
        let value = line[colon + 1..].trim_ascii();
        (is_named && !value.is_empty()).then(|| (name.len() == header.name().len()).then_some(value))
    })
}

/// The comma-separated elements of a list, the last one first. Where elements may be quoted, a comma within quotes does not
/// separate, and a quote behind a backslash is no quote.
fn elements_from_right(value: &[u8], may_be_quoted: bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let mut quoted = false;
        let comma = (0..value.len()).rev().find(|&at| {
            quoted ^= may_be_quoted && is_quote(value, at);
            value[at] == b',' && !quoted
        });
        let element = comma.map_or(value, |at| &value[at + 1..]);
        rest = comma.map(|at| &value[..at]);
        Some(element.trim_ascii())
    })
    .filter(|element| !element.is_empty())
}

/// Returns whether a quote stands here that an even number of backslashes precedes.
fn is_quote(value: &[u8], at: usize) -> bool {
    value[at] == b'"' && value[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 0
}

/// The `for` parameter of one element of `Forwarded` (RFC 7239, section 4). Returns `None` when there are several.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut named = None;
    let (mut start, mut quoted) = (0, false);
    for at in 0..=element.len() {
        if at < element.len() {
            quoted ^= is_quote(element, at);
            if quoted || element[at] != b';' {
                continue;
            }
        }
        let pair = &element[start..at];
        start = at + 1;
        let Some(equals) = memchr::memchr(b'=', pair) else { continue };
        if !pair[..equals].trim_ascii().eq_ignore_ascii_case(b"for") {
            continue;
        }
        if named.is_some() {
            return None;
        }
        named = Some(pair[equals + 1..].trim_ascii());
    }
    named
}

/// The nodes that a header names, from the right: each element of a list, each value of another header.
pub(super) fn named_nodes(lines: &[u8], header: ClientHeader) -> impl Iterator<Item = &[u8]> {
    let of_lists = elements(lines, header).filter(move |_| header.is_list());
    let of_others = values_from_last(lines, header).filter(move |_| !header.is_list());
    of_lists.chain(of_others).map(move |element| match header {
        ClientHeader::Forwarded => element.and_then(forwarded_for).unwrap_or_default(),
        _ => element.unwrap_or_default(),
    })
}

/// Parses an address, with or without port, brackets, quotes or zone: `192.0.2.1`, `192.0.2.1:80`, `"[2001:db8::1]:80"`.
///
/// Returns `None` for `unknown`, for obfuscated names (RFC 7239, section 6.3) and for any other text.
pub(super) fn parse_node(node: &[u8]) -> Option<Endpoint> {
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
    let proxies = ["10.0.0.0/8", "10.1.0.0/16=forwarded", "10.2.0.0/16=x-real-ip", "2001:db8::/32"];
    let site =
        Site { trusted_proxies: proxies.iter().filter_map(|text| text.parse().ok()).collect(), ..Site::default() };
    let mut exchange = Exchange::default();
    exchange.forwarded = exchange.store(lines);
    for peer in [[10, 0, 0, 1], [10, 1, 0, 1], [10, 2, 0, 1]] {
        let peer = Endpoint::new(Address::v4(peer), 1);
        let client = true_client(&site, &exchange, peer, &mut EventCounters::default());
        assert!(!client.endpoint.to_string().is_empty());
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
