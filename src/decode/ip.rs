//! IPv4, IPv6, extension headers, TCP.
//!
//! In: an IP packet. Out: a segment, or what the packet carries. Promises: lengths come from the IP header, so padding and
//! trailers are not payload and what a snap length cut off is still counted. Sources: RFC 791, 8200, 4302, 9293.

use super::{
    Segment, TcpFlags, checksum,
    layer::{Addresses, Fragment, IpVersion, Layer, Next, Trail, protocol},
    reason::{Part, Reason},
    view::View,
};
use crate::address::{Address, Endpoint};

const IP: Part = Part::Ip;
const BAD: Reason = Reason::Malformed(Part::Ip);

/// Either version.
pub(super) fn by_version(view: View<'_>) -> Result<Next<'_>, Reason> {
    let [first] = view.peek(0).ok_or(if view.wire() == 0 { BAD } else { Reason::Truncated(IP) })?;
    match first >> 4 {
        4 => Ok(Next::Layer(Layer::Ipv4, view)),
        6 => Ok(Next::Layer(Layer::Ipv6, view)),
        _ => Err(BAD),
    }
}

/// An IPv4 header with its options.
pub(super) fn v4<'a>(mut view: View<'a>, trail: &mut Trail, verify_checksum: bool) -> Result<Next<'a>, Reason> {
    let mut packet = view;
    let header: [u8; 20] = view.take(IP)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total = match u16::from_be_bytes([header[2], header[3]]) {
        // Segmentation offload: the card would have filled it in.
        0 => packet.wire(),
        total => usize::from(total),
    };
    if header[0] >> 4 != 4 || header_length < 20 || total < header_length {
        return Err(BAD);
    }
    packet.set_length(total);
    if verify_checksum && packet.data().get(..header_length).is_some_and(|header| checksum::of(&[header]) != 0) {
        return Err(Reason::IpChecksum);
    }
    packet.skip(header_length, IP)?;
    trail.addresses = Addresses {
        source: Address::v4([header[12], header[13], header[14], header[15]]),
        destination: Address::v4([header[16], header[17], header[18], header[19]]),
        checkable: true,
    };
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let (offset, more) = (usize::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0);
    if offset == 0 && !more {
        return Ok(Next::Layer(Layer::Upper(header[9]), packet));
    }
    let identification = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let fragment = Fragment { version: IpVersion::V4, identification, offset, more, protocol: header[9] };
    Ok(Next::Fragment(fragment, packet))
}

/// An IPv6 header.
pub(super) fn v6<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let [version, _, _, _, length_high, length_low, protocol, _]: [u8; 8] = view.take(IP)?;
    if version >> 4 != 6 {
        return Err(BAD);
    }
    let (source, destination) = (Address::v6(view.take(IP)?), Address::v6(view.take(IP)?));
    trail.addresses = Addresses { source, destination, checkable: true };
    // Zero is a jumbogram (RFC 2675) or segmentation offload; both fill the frame.
    match u16::from_be_bytes([length_high, length_low]) {
        0 => {}
        length => view.set_length(usize::from(length)),
    }
    Ok(Next::Layer(Layer::Upper(protocol), view))
}

/// An extension header of the common form: next header, length in units of eight bytes.
pub(super) fn extension<'a>(number: u8, mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    let mut rest = view;
    let [next, length, _, segments_left] = view.take(IP)?;
    rest.skip((usize::from(length) + 1) * 8, IP)?;
    if number == protocol::ROUTING && segments_left != 0 {
        trail.addresses.checkable = false;
    }
    Ok(Next::Layer(Layer::Upper(next), rest))
}

/// An authentication header: its length is in units of four bytes, less two.
pub(super) fn authentication(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let mut rest = view;
    let [next, length] = view.take(IP)?;
    rest.skip((usize::from(length) + 2) * 4, IP)?;
    Ok(Next::Layer(Layer::Upper(next), rest))
}

/// An IPv6 fragment header; one that is alone is no fragment (RFC 6946).
pub(super) fn v6_fragment(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let [protocol, _, high, low, identification @ ..]: [u8; 8] = view.take(IP)?;
    let field = u16::from_be_bytes([high, low]);
    let (offset, more) = (usize::from(field & 0xfff8), field & 1 != 0);
    if offset == 0 && !more {
        return Ok(Next::Layer(Layer::Upper(protocol), view));
    }
    let identification = u32::from_be_bytes(identification);
    Ok(Next::Fragment(Fragment { version: IpVersion::V6, identification, offset, more, protocol }, view))
}

/// A TCP header with its options.
pub(super) fn tcp<'a>(mut view: View<'a>, trail: &Trail, verify_checksum: bool) -> Result<Segment<'a>, Reason> {
    let addresses = trail.addresses;
    let mut rest = view;
    let header: [u8; 20] = view.take(Part::Tcp)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < header.len() {
        return Err(Reason::Malformed(Part::Tcp));
    }
    if verify_checksum && addresses.checkable && rest.is_whole() && !checksum::is_tcp_right(&addresses, rest.data()) {
        return Err(Reason::TcpChecksum);
    }
    rest.skip(header_length, Part::Tcp)?;
    Ok(Segment {
        source: Endpoint::new(addresses.source, u16::from_be_bytes([header[0], header[1]])),
        destination: Endpoint::new(addresses.destination, u16::from_be_bytes([header[2], header[3]])),
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        flags: TcpFlags(header[13]),
        payload: rest.data(),
        wire_length: u32::try_from(rest.wire()).unwrap_or(u32::MAX),
        encapsulation: trail.encapsulation,
    })
}
