//! Ethernet (IEEE 802.3) and the VLAN tags in it (IEEE 802.1Q).
//!
//! In: a frame. Out: what its EtherType announces. etherparse reads the headers.

use etherparse::{Ethernet2Header, Ethernet2HeaderSlice, SingleVlanHeader, SingleVlanHeaderSlice};

use super::{LINK, llc, switch_tag, tags};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    ip::looks_like_ip,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
    tunnel::{self, TunnelTable},
};

/// Two addresses, then an EtherType or a length.
pub(in crate::decode) fn frame(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let kind = take_header(&mut cursor)?;
    Ok(Next::Layer(Layer::EtherType(kind), cursor))
}

/// What an EtherType announces, or an 802.3 length in its place.
pub(in crate::decode) fn content<'a>(
    kind: u16,
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
    tunnels: &TunnelTable,
) -> Result<Next<'a>, SkipReason> {
    let layer = match kind {
        0..=ethertype::LONGEST_LENGTH if !llc::looks_like_llc(cursor) && switch_tag::is_next(cursor) => {
            return switch_tag::unannounced(kind, cursor, outer);
        }
        0..=ethertype::LONGEST_LENGTH => {
            cursor.shorten_to(usize::from(kind));
            Layer::Llc
        }
        ethertype::IPV4 => Layer::Ipv4,
        ethertype::IPV6 => Layer::Ipv6,
        ethertype::PPP => Layer::Ppp,
        ethertype::JUMBO_LLC => Layer::Llc,
        ethertype::BRIDGING => Layer::Ethernet,
        kind if ethertype::is_vlan(kind) => {
            let tag = vlan_tag(cursor)?;
            outer.enter_vlan(tag.identifier)?;
            cursor.pass(SingleVlanHeader::LEN, LINK)?;
            Layer::EtherType(tag.kind)
        }
        kind => match tags::reader(kind).or_else(|| tunnels.over_ethernet(kind)) {
            Some(read) => return read(cursor, outer),
            None if switch_tag::is_next(cursor) => return switch_tag::unannounced(kind, cursor, outer),
            None => return Err(SkipReason::NotIp),
        },
    };
    Ok(Next::Layer(layer, cursor))
}

/// Returns whether an Ethernet header with a type that fits what follows starts at `at`. A DSA tag that no EtherType
/// announces does not count. If it did, bytes four bytes before the true header would look like a header with such a tag.
pub(in crate::decode) fn looks_like_ethernet(mut cursor: Cursor<'_>, at: usize) -> bool {
    const MAX_TAGS: usize = 4;
    let Ok(mut kind) = cursor.skip(at, LINK).and_then(|()| take_header(&mut cursor)) else { return false };
    for _ in 0..=MAX_TAGS {
        match kind {
            ethertype::IPV4 | ethertype::IPV6 => return looks_like_ip(cursor, 0),
            0..=ethertype::LONGEST_LENGTH => {
                return usize::from(kind) <= cursor.wire_length() && llc::looks_like_llc(cursor);
            }
            ethertype::JUMBO_LLC => return llc::looks_like_llc(cursor),
            kind if !ethertype::is_vlan(kind) => {
                return kind == ethertype::ARP || tags::reader(kind).is_some() || tunnel::is_ether_type(kind);
            }
            _ => match vlan_tag(cursor).and_then(|tag| cursor.pass(SingleVlanHeader::LEN, LINK).map(|()| tag)) {
                Ok(tag) => kind = tag.kind,
                Err(_) => return false,
            },
        }
    }
    false
}

/// Reads the type or length after the addresses, and steps over the header.
fn take_header(cursor: &mut Cursor<'_>) -> Result<u16, SkipReason> {
    let kind = cursor.header::<{ Ethernet2Header::LEN }, _, _>(Ethernet2Header::LEN, LINK, |bytes| {
        Ethernet2HeaderSlice::from_slice(bytes).map(|header| header.ether_type().0)
    })?;
    cursor.skip(Ethernet2Header::LEN, LINK)?;
    Ok(kind)
}

/// A VLAN tag.
#[derive(Debug, Clone, Copy)]
struct VlanTag {
    identifier: u16,
    /// The EtherType of the content; zero where it was not captured.
    kind: u16,
}

/// Reads a VLAN tag of which at least the identifier was captured, without stepping over it.
fn vlan_tag(cursor: Cursor<'_>) -> Result<VlanTag, SkipReason> {
    const CONTROL: usize = 2;
    cursor.header::<{ SingleVlanHeader::LEN }, _, _>(CONTROL, LINK, |bytes| {
        SingleVlanHeaderSlice::from_slice(bytes)
            .map(|tag| VlanTag { identifier: tag.vlan_identifier().value(), kind: tag.ether_type().0 })
    })
}
