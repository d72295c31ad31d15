//! IPv4, IPv6 and extension headers.
//!
//! In: an IP packet. Out: what it carries. Promises: lengths come from the IP header, so padding and trailers are not
//! payload, and what a snap length cut off is still counted. etherparse reads the headers (RFC 791, 8200, 4302).

use etherparse::{
    IpAuthHeader, IpAuthHeaderSlice, Ipv4Header, Ipv4HeaderSlice, Ipv6FragmentHeader, Ipv6FragmentHeaderSlice,
    Ipv6Header, Ipv6HeaderSlice, Ipv6RawExtHeader, Ipv6RawExtHeaderSlice,
};

use super::{
    checksum,
    counters::{PacketPart, SkipReason},
    cursor::Cursor,
    layer::{Fragment, IpVersion, Layer, Next},
    numbers::protocol,
    outer::OuterHeaders,
};
use crate::address::Address;

const IP: PacketPart = PacketPart::Ip;
const BAD: SkipReason = SkipReason::Malformed(PacketPart::Ip);

/// An IP packet of either version.
pub(super) fn by_version(cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let [first] = cursor.peek(0).ok_or(if cursor.wire_length() == 0 { BAD } else { SkipReason::Truncated(IP) })?;
    match first >> 4 {
        4 => Ok(Next::Layer(Layer::Ipv4, cursor)),
        6 => Ok(Next::Layer(Layer::Ipv6, cursor)),
        _ => Err(BAD),
    }
}

/// An IPv4 header with its options.
pub(super) fn v4<'a>(
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
    verify_checksum: bool,
) -> Result<Next<'a>, SkipReason> {
    let header = match cursor.header::<{ Ipv4Header::MAX_LEN }, _, _>(Ipv4Header::MIN_LEN, IP, |bytes| {
        Ipv4HeaderSlice::from_slice(bytes).map(|header| header.to_header())
    }) {
        Ok(header) => header,
        Err(reason) => return other_version(6, Layer::Ipv6, cursor).ok_or(reason),
    };
    let total = match header.total_len {
        // Segmentation offload: the network card fills the length in after the capture.
        0 => cursor.wire_length(),
        total => usize::from(total),
    };
    if total < header.header_len() {
        return Err(BAD);
    }
    cursor.set_wire_length(total);
    if verify_checksum && cursor.captured().get(..header.header_len()).is_some_and(|bytes| checksum::of(&[bytes]) != 0)
    {
        return Err(SkipReason::IpChecksum);
    }
    cursor.skip(header.header_len(), IP)?;
    outer.enter_ip(Address::v4(header.source), Address::v4(header.destination));
    if !header.is_fragmenting_payload() {
        return Ok(Next::Layer(Layer::IpProtocol(header.protocol.0), cursor));
    }
    let fragment = Fragment {
        version: IpVersion::V4,
        identification: u32::from(header.identification),
        offset: usize::from(header.fragment_offset.byte_offset()),
        more: header.more_fragments,
        protocol: header.protocol.0,
    };
    Ok(Next::Fragment(fragment, cursor))
}

/// An IPv6 header.
pub(super) fn v6<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    // Another version is malformed even where the rest of the header was not captured.
    const VERSION_AND_LENGTH: usize = 8;
    let header = match cursor.header::<{ Ipv6Header::LEN }, _, _>(VERSION_AND_LENGTH, IP, |bytes| {
        Ipv6HeaderSlice::from_slice(bytes).map(|header| header.to_header())
    }) {
        Ok(header) => header,
        Err(reason) => return other_version(4, Layer::Ipv4, cursor).ok_or(reason),
    };
    cursor.pass(Ipv6Header::LEN, IP)?;
    outer.enter_ip(Address::v6(header.source), Address::v6(header.destination));
    // Zero is a jumbogram (RFC 2675) or segmentation offload; both fill the frame.
    match header.payload_length {
        0 => {}
        length => cursor.set_wire_length(usize::from(length)),
    }
    Ok(Next::Layer(Layer::IpProtocol(header.next_header.0), cursor))
}

/// The packet as one of the other IP version, where its version field and its lengths say so. Tools that rewrite
/// packets leave the wrong EtherType before them.
#[cold]
fn other_version(version: u8, layer: Layer, cursor: Cursor<'_>) -> Option<Next<'_>> {
    let is_other = cursor.peek(0).is_some_and(|[first]| first >> 4 == version) && looks_like_ip(cursor, 0);
    is_other.then_some(Next::Layer(layer, cursor))
}

/// An extension header of the common form: next header, length in units of eight bytes.
pub(super) fn extension<'a>(
    number: u8,
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
) -> Result<Next<'a>, SkipReason> {
    const UP_TO_SEGMENTS_LEFT: usize = 4;
    let (next, length, segments_left) =
        cursor.header::<{ Ipv6RawExtHeader::MAX_LEN }, _, _>(UP_TO_SEGMENTS_LEFT, IP, |bytes| {
            Ipv6RawExtHeaderSlice::from_slice(bytes)
                .map(|header| (header.next_header().0, header.slice().len(), header.payload().get(1).copied()))
        })?;
    cursor.skip(length, IP)?;
    if number == protocol::ROUTING && segments_left != Some(0) {
        outer.addresses.checkable = false;
    }
    Ok(Next::Layer(Layer::IpProtocol(next), cursor))
}

/// An authentication header. RFC 4302 allows no length of zero, which etherparse refuses; it is read as eight bytes.
pub(super) fn authentication(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const UP_TO_LENGTH: usize = 2;
    let (next, length) = cursor.header::<{ IpAuthHeader::MAX_LEN }, _, _>(UP_TO_LENGTH, IP, |bytes| {
        IpAuthHeaderSlice::from_slice(bytes).map(|header| (header.next_header().0, header.slice().len())).or_else(
            |_| Ipv6RawExtHeaderSlice::from_slice(bytes).map(|header| (header.next_header().0, header.slice().len())),
        )
    })?;
    cursor.skip(length, IP)?;
    Ok(Next::Layer(Layer::IpProtocol(next), cursor))
}

/// An IPv6 fragment header. Where offset and flag are zero, the packet is no fragment (RFC 6946).
pub(super) fn v6_fragment(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let header = cursor.header::<{ Ipv6FragmentHeader::LEN }, _, _>(Ipv6FragmentHeader::LEN, IP, |bytes| {
        Ipv6FragmentHeaderSlice::from_slice(bytes).map(|header| header.to_header())
    })?;
    cursor.skip(Ipv6FragmentHeader::LEN, IP)?;
    if !header.is_fragmenting_payload() {
        return Ok(Next::Layer(Layer::IpProtocol(header.next_header.0), cursor));
    }
    let fragment = Fragment {
        version: IpVersion::V6,
        identification: header.identification,
        offset: usize::from(header.fragment_offset.byte_offset()),
        more: header.more_fragments,
        protocol: header.next_header.0,
    };
    Ok(Next::Fragment(fragment, cursor))
}

/// Returns whether an IP header whose lengths fit into the packet starts at `at`.
pub(super) fn looks_like_ip(mut cursor: Cursor<'_>, at: usize) -> bool {
    const LENGTHS: usize = 6;
    if cursor.skip(at, IP).is_err() {
        return false;
    }
    let v4 = cursor.header::<{ Ipv4Header::MAX_LEN }, _, _>(LENGTHS, IP, |bytes| {
        Ipv4HeaderSlice::from_slice(bytes).map(|header| (header.slice().len(), usize::from(header.total_len())))
    });
    let v6 = cursor.header::<{ Ipv6Header::LEN }, _, _>(LENGTHS, IP, |bytes| {
        Ipv6HeaderSlice::from_slice(bytes).map(|header| Ipv6Header::LEN + usize::from(header.payload_length()))
    });
    match (v4, v6) {
        (Ok((header, total)), _) => {
            header <= cursor.wire_length() && (total == 0 || (header..=cursor.wire_length()).contains(&total))
        }
        (_, Ok(length)) => length <= cursor.wire_length(),
        _ => false,
    }
}
