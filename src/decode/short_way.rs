//! The short way: Ethernet, at most two VLAN tags, IPv4 or IPv6 without extensions, TCP.
//!
//! In: an Ethernet frame, or the IP packet in a tunnel. Out: its segment, exactly as the plain way would make it, or
//! `None`: then the plain way reads the frame from its first byte. Promises: no state, no counters, few branches.
//!
//! Gain, in instructions a packet (`tests/benches/decode.rs` under callgrind), short way against plain way: Ethernet with
//! IPv4 130 against 611, with IPv6 165 against 521, under two VLAN tags 162 against 804, plain UDP 238 against 651, raw
//! IPv4 295 against 526. Tunnels cost the same both ways: what the inner packet saves, the failed attempts outside spend.

use super::{
    DecodeSettings, Encapsulation, Segment, TcpFlags,
    layer::Layer,
    numbers::{ethertype, protocol},
    tunnel::TunnelTable,
};
use crate::{
    address::{Address, Endpoint},
    capture::Packet,
};

const TCP_HEADER: usize = 20;

/// Returns whether the short way gives the plain way's results under these settings: it verifies no checksums, and
/// takes off two VLAN tags without counting depth.
pub(super) const fn is_possible(settings: &DecodeSettings) -> bool {
    settings.short_way && !settings.drops_wrong_checksums() && settings.max_depth >= 2
}

/// The segment of an ordinary Ethernet frame with IPv4. Compiled into the loop over packets, where the compiler
/// then knows that the addresses are IPv4.
#[inline(always)]
pub(super) fn ethernet_v4<'a>(packet: &Packet<'a>) -> Option<Segment<'a>> {
    let (kind, data, encapsulation) = network(packet)?;
    if kind == ethertype::IPV4 { ipv4(data, encapsulation) } else { None }
}

/// The segment of an ordinary Ethernet frame with IPv6.
#[inline]
pub(super) fn ethernet_v6<'a>(packet: &Packet<'a>) -> Option<Segment<'a>> {
    let (kind, data, encapsulation) = network(packet)?;
    if kind == ethertype::IPV6 { ipv6(data, encapsulation) } else { None }
}

/// EtherType and content of an Ethernet frame, under at most two VLAN tags.
#[inline(always)]
fn network<'a>(packet: &Packet<'a>) -> Option<(u16, &'a [u8], Encapsulation)> {
    let (header, mut rest) = packet.data.split_first_chunk::<14>()?;
    let mut kind = u16::from_be_bytes([header[12], header[13]]);
    let mut encapsulation = Encapsulation::default();
    while ethertype::is_vlan(kind) && encapsulation.depth < 2 {
        let (tag, inner) = rest.split_first_chunk::<4>()?;
        encapsulation.add_vlan(u16::from_be_bytes([tag[0], tag[1]]));
        kind = u16::from_be_bytes([tag[2], tag[3]]);
        rest = inner;
    }
    Some((kind, rest, encapsulation))
}

/// Returns whether an Ethernet frame is an ordinary UDP datagram on no tunnel's port. Most packets that are not TCP
/// are.
#[inline]
pub(super) fn is_plain_udp(packet: &Packet<'_>, tunnels: &TunnelTable) -> bool {
    let Some((header, data)) = packet.data.split_first_chunk::<14>() else { return false };
    let content = match u16::from_be_bytes([header[12], header[13]]) {
        ethertype::IPV4 => v4_content(data, protocol::UDP),
        ethertype::IPV6 => v6_content(data, protocol::UDP),
        _ => None,
    };
    let header = content.and_then(|(content, _)| content.first_chunk::<8>());
    header
        .is_some_and(|&[a, b, c, d, ..]| !tunnels.has_udp_port(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The segment of an ordinary IP packet, where `layer` is IP.
#[inline]
pub(super) fn ip(layer: Layer, data: &[u8], encapsulation: Encapsulation) -> Option<Segment<'_>> {
    match (layer, data.first()? >> 4) {
        (Layer::Ip | Layer::Ipv4, 4) => ipv4(data, encapsulation),
        (Layer::Ip | Layer::Ipv6, 6) => ipv6(data, encapsulation),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(data: &[u8], encapsulation: Encapsulation) -> Option<Segment<'_>> {
    let (content, length) = v4_content(data, protocol::TCP)?;
    let addresses = data[12..].first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *addresses;
    tcp(content, length, Address::v4([a, b, c, d]), Address::v4([e, f, g, h]), encapsulation)
}

/// Content of an IPv4 packet of this protocol, and its length on the wire.
#[inline(always)]
fn v4_content(data: &[u8], protocol: u8) -> Option<(&[u8], usize)> {
    let header = data.first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    let plain = header[0] >> 4 == 4 && header_length >= 20 && fragment == 0 && header[9] == protocol;
    if !plain || total < header_length {
        return None;
    }
    Some((data.get(..total).unwrap_or(data).get(header_length..)?, total - header_length))
}

#[inline]
fn ipv6(data: &[u8], encapsulation: Encapsulation) -> Option<Segment<'_>> {
    let (content, length) = v6_content(data, protocol::TCP)?;
    let (source, destination) = (data[8..].first_chunk::<16>()?, data[24..].first_chunk::<16>()?);
    tcp(content, length, Address::v6(*source), Address::v6(*destination), encapsulation)
}

/// Content of an IPv6 packet of this protocol, and its length on the wire.
#[inline]
fn v6_content(data: &[u8], protocol: u8) -> Option<(&[u8], usize)> {
    let (header, data) = data.split_first_chunk::<40>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || header[6] != protocol || length == 0 {
        return None;
    }
    Some((data.get(..length).unwrap_or(data), length))
}

/// The segment in the content of an IP packet. `data` holds the captured bytes; `length` is the content's length on the
/// wire.
#[inline(always)]
fn tcp(
    data: &[u8],
    length: usize,
    source: Address,
    destination: Address,
    encapsulation: Encapsulation,
) -> Option<Segment<'_>> {
    let header = data.first_chunk::<TCP_HEADER>()?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < TCP_HEADER || length < header_length {
        return None;
    }
    Some(Segment {
        source: Endpoint::new(source, u16::from_be_bytes([header[0], header[1]])),
        destination: Endpoint::new(destination, u16::from_be_bytes([header[2], header[3]])),
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        flags: TcpFlags(header[13]),
        payload: data.get(header_length..).unwrap_or_default(),
        wire_length: (length - header_length) as u32,
        header: data.get(..header_length).unwrap_or_default(),
        encapsulation,
    })
}
