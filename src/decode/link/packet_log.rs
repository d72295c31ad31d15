//! Packets that a packet filter logged: Linux's NFLOG and OpenBSD's PFLOG.
//!
//! In: the header. Out: the IP packet after it.

use super::{BAD_LINK, LINK, address_family};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
};

/// NFLOG: a header, then attributes in the writing host's byte order. One of them is the packet.
pub(super) fn netfilter(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const PAYLOAD: u16 = 9;
    let [family, version, _, _] = cursor.take(LINK)?;
    if version != 0 {
        return Err(BAD_LINK);
    }
    let little_endian = attributes_fit(cursor, u16::from_le_bytes);
    let read: fn([u8; 2]) -> u16 = if little_endian { u16::from_le_bytes } else { u16::from_be_bytes };
    loop {
        let [length_0, length_1, kind_0, kind_1] = cursor.take(LINK)?;
        let length = usize::from(read([length_0, length_1])).checked_sub(4).ok_or(BAD_LINK)?;
        if read([kind_0, kind_1]) & 0x3fff == PAYLOAD {
            cursor.shorten_to(length);
            return Ok(Next::Layer(address_family::layer(u32::from(family)).unwrap_or(Layer::Ip), cursor));
        }
        cursor.skip(length.next_multiple_of(4), LINK)?;
    }
}

/// Returns whether the first attribute has a length that fits when read this way.
fn attributes_fit(cursor: Cursor<'_>, read: fn([u8; 2]) -> u16) -> bool {
    cursor.peek(0).map(read).is_some_and(|length| length >= 4 && usize::from(length) <= cursor.wire_length())
}

/// PFLOG begins with the header's length, which is padded to four bytes, and the address family.
pub(super) fn packet_filter(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let [length, family] = cursor.peek(0).ok_or(SkipReason::Truncated(LINK))?;
    cursor.skip(usize::from(length).next_multiple_of(4), LINK)?;
    Ok(Next::Layer(address_family::layer(u32::from(family))?, cursor))
}
