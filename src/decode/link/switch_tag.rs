//! The tag that Marvell's switch chips put between the Ethernet addresses and the EtherType (DSA), on the port to
//! their host.
//!
//! In: the tag. In the variant EDSA, an EtherType before the tag announces it; in DSA nothing does. Out: what the EtherType
//! after the tag announces. Promises: an unannounced tag is believed only if an IP header whose lengths fit follows it.
//! Events record the VLAN identifier in the tag. Source: the layouts in libpcap's list of link types (DSA_TAG_DSA,
//! DSA_TAG_EDSA).

use super::LINK;
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    ip::looks_like_ip,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
};

/// Two addresses.
const ADDRESSES: usize = 12;

/// A whole Ethernet frame with an unannounced tag.
pub(super) fn frame<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    cursor.pass(ADDRESSES, LINK)?;
    tag(cursor, outer)
}

/// A whole Ethernet frame with an announced tag. The chip can be configured to use any EtherType for that.
pub(super) fn announced_frame<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    cursor.pass(ADDRESSES + 2, LINK)?;
    announced(cursor, outer)
}

/// After the EtherType: two reserved bytes, then the tag.
pub(super) fn announced<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    cursor.skip(2, LINK)?;
    tag(cursor, outer)
}

/// An unannounced tag. `first` is its first half, which stands in the place of an EtherType.
#[cold]
pub(super) fn unannounced<'a>(
    first: u16,
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
) -> Result<Next<'a>, SkipReason> {
    let second = cursor.take_u16(LINK)?;
    content(first, second, cursor, outer)
}

/// Returns whether the second half of a tag is next, then an EtherType of IP, perhaps in a VLAN, and the IP header.
pub(super) fn is_next(cursor: Cursor<'_>) -> bool {
    const REST: usize = 2;
    const VLAN: usize = 4;
    let is_ip_at = |at| {
        let kind = cursor.peek(at).map(u16::from_be_bytes);
        matches!(kind, Some(ethertype::IPV4 | ethertype::IPV6)) && looks_like_ip(cursor, at + 2)
    };
    let outermost = cursor.peek(REST).map(u16::from_be_bytes);
    is_ip_at(REST) || outermost.is_some_and(ethertype::is_vlan) && is_ip_at(REST + VLAN)
}

fn tag<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let (first, second) = (cursor.take_u16(LINK)?, cursor.take_u16(LINK)?);
    content(first, second, cursor, outer)
}

/// What comes after the tag. A frame that had a VLAN tag has its identifier in the tag instead.
fn content<'a>(
    first: u16,
    second: u16,
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
) -> Result<Next<'a>, SkipReason> {
    const HAD_VLAN_TAG: u16 = 0x2000;
    const VLAN: u16 = 0x0fff;
    if first & HAD_VLAN_TAG != 0 {
        outer.enter_vlan(second & VLAN)?
    } else {
        outer.spend_depth()?
    }
    let kind = cursor.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), cursor))
}
