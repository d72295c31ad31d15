//! Apple's link types: the packet tap of macOS and iOS (PKTAP), and IP over IEEE 1394.
//!
//! In: the header. Out: the frame after it.

use super::{BAD_LINK, LINK};
use crate::{
    capture::LinkType,
    decode::{
        counters::SkipReason,
        cursor::Cursor,
        layer::{Layer, Next},
        outer::OuterHeaders,
    },
};

/// PKTAP: its length, the kind of record, and the link type that follows, in the byte order of the host.
pub(super) fn packet_tap<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const PACKET: u32 = 1;
    const SHORTEST: u32 = 12;
    outer.spend_depth()?;
    let mut header = cursor;
    let mut number = || header.take(LINK).map(|bytes| u32::from_le_bytes(bytes).min(u32::from_be_bytes(bytes)));
    let (length, record, link_type) = (number()?, number()?, number()?);
    if length < SHORTEST || record != PACKET {
        return Err(BAD_LINK);
    }
    cursor.skip(usize::try_from(length).unwrap_or(usize::MAX), LINK)?;
    let link_type = u16::try_from(link_type).map_err(|_| SkipReason::LinkType)?;
    Ok(Next::Layer(Layer::Link(LinkType(link_type)), cursor))
}

/// PKTAP under the number for private use that Apple's own tools write. Other private frames have that number too.
pub(super) fn private<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    packet_tap(cursor, outer).map_err(|reason| match reason {
        SkipReason::Malformed(_) => SkipReason::LinkType,
        reason => reason,
    })
}

/// IP over IEEE 1394: two addresses of eight bytes, then an EtherType.
pub(super) fn firewire(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    cursor.skip(16, LINK)?;
    let kind = cursor.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), cursor))
}
