//! 802.11 and the headers that capture tools put before it.
//!
//! In: an 802.11 frame, perhaps after radiotap, Prism, AVS or PPI. Out: its LLC header, or its subframes when it is
//! aggregated. Promises: only data frames in clear are read; the check sequence at the end is beyond the IP packet.

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

const DATA: u8 = 0x08;
const TYPE_AND_VERSION: u8 = 0x0f;
/// The first bytes of LLC with SNAP, which nearly every data frame holds.
const SNAP: Option<[u8; 3]> = Some([0xaa, 0xaa, 0x03]);

/// An 802.11 MAC header (IEEE 802.11, section 9.2).
pub(in crate::decode) fn frame(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let header: [u8; 24] = cursor.take(LINK)?;
    let [kind, flags, ..] = header;
    after_header(kind, flags, header, cursor)
}

/// An 802.11 MAC header whose frame control may have its two bytes swapped, as access points of some vendors send it to
/// their controller. Swapped bytes are believed where LLC with SNAP follows the header that they describe.
pub(in crate::decode) fn frame_in_either_order(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let whole = cursor;
    let header: [u8; 24] = cursor.take(LINK)?;
    let [flags, kind, ..] = header;
    if header[0] & TYPE_AND_VERSION != DATA && kind & TYPE_AND_VERSION == DATA {
        match after_header(kind, flags, header, cursor) {
            Ok(Next::Layer(layer, content)) if content.peek(0) == SNAP => return Ok(Next::Layer(layer, content)),
            Ok(Next::Subframes(frames)) if frames.peek(SUBFRAME_HEADER) == SNAP => return Ok(Next::Subframes(frames)),
            _ => {}
        }
    }
    frame(whole)
}

/// What comes after the fixed part of a MAC header with this frame control.
fn after_header(kind: u8, flags: u8, header: [u8; 24], mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const WITHOUT_DATA: u8 = 0x40;
    const QUALITY_OF_SERVICE: u8 = 0x80;
    const TO_AND_FROM_DISTRIBUTION: u8 = 0x03;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const HIGH_THROUGHPUT_CONTROL: u8 = 0x80;
    const AGGREGATED: u8 = 0x80;

    if kind & TYPE_AND_VERSION != DATA || kind & WITHOUT_DATA != 0 {
        return Err(SkipReason::WifiManagement);
    }
    if flags & PROTECTED != 0 {
        return Err(SkipReason::EncryptedWifi);
    }
    if flags & MORE_FRAGMENTS != 0 || header[22] & 0x0f != 0 {
        return Err(SkipReason::WifiFragment);
    }
    let mut length = 24;
    if flags & TO_AND_FROM_DISTRIBUTION == TO_AND_FROM_DISTRIBUTION {
        cursor.skip(6, LINK)?;
        length += 6;
    }
    if kind & QUALITY_OF_SERVICE != 0 {
        let [quality, _] = cursor.take(LINK)?;
        length += 2;
        if flags & HIGH_THROUGHPUT_CONTROL != 0 {
            cursor.skip(4, LINK)?;
        }
        if quality & AGGREGATED != 0 {
            return Ok(Next::Subframes(cursor));
        }
    }
    // Some hardware pads the header to a multiple of four; radiotap may say so, other headers cannot.
    if length % 4 == 2 && cursor.peek(0) != SNAP && cursor.peek(2) == SNAP {
        cursor.skip(2, LINK)?;
    }
    Ok(Next::Layer(Layer::Llc, cursor))
}

/// Bytes of a subframe's header: two addresses and a length. Fewer bytes at an aggregated frame's end are its check
/// sequence.
pub(in crate::decode) const SUBFRAME_HEADER: usize = 14;

/// Splits the next subframe off an aggregated frame: two addresses, a length, LLC, padding to four bytes.
pub(in crate::decode) fn subframe<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, SkipReason> {
    let mut rest = *cursor;
    rest.skip(12, LINK)?;
    let length = usize::from(rest.take_u16(LINK)?);
    let mut subframe = rest;
    subframe.shorten_to(length);
    // The last subframe has no padding.
    let padded = (SUBFRAME_HEADER + length).next_multiple_of(4) - SUBFRAME_HEADER;
    rest.skip(padded.min(rest.wire_length()), LINK)?;
    *cursor = rest;
    Ok(subframe)
}

/// radiotap: its length in little-endian order at offset 2.
pub(super) fn radiotap(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const FIXED: u16 = 8;
    let [version, _, low, high] = cursor.peek(0).ok_or(SkipReason::Truncated(LINK))?;
    let length = u16::from_le_bytes([low, high]);
    if version != 0 || length < FIXED {
        return Err(BAD_LINK);
    }
    cursor.skip(usize::from(length), LINK)?;
    Ok(Next::Layer(Layer::Wifi, cursor))
}

/// Prism: message code and length in the byte order of the host; an AVS header may stand in its place.
pub(super) fn prism(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const AVS_MAGIC: [u8; 3] = [0x80, 0x21, 0x10];
    if cursor.peek(0) == Some(AVS_MAGIC) {
        return avs(cursor);
    }
    let bytes = cursor.peek(4).ok_or(SkipReason::Truncated(LINK))?;
    let length = u32::from_le_bytes(bytes).min(u32::from_be_bytes(bytes));
    cursor.skip(usize::try_from(length).unwrap_or(usize::MAX).max(8), LINK)?;
    Ok(Next::Layer(Layer::Wifi, cursor))
}

/// AVS: version and length in network order.
pub(super) fn avs(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let length = cursor.peek(4).map(u32::from_be_bytes).ok_or(SkipReason::Truncated(LINK))?;
    cursor.skip(usize::try_from(length).unwrap_or(usize::MAX).max(8), LINK)?;
    Ok(Next::Layer(Layer::Wifi, cursor))
}

/// Per-Packet Information: the length, and the link type that follows, both little-endian.
pub(super) fn per_packet_information<'a>(
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
) -> Result<Next<'a>, SkipReason> {
    outer.spend_depth()?;
    let [_, _, low, high, link @ ..]: [u8; 8] = cursor.peek(0).ok_or(SkipReason::Truncated(LINK))?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length < 8 {
        return Err(BAD_LINK);
    }
    cursor.skip(length, LINK)?;
    let link_type = u16::try_from(u32::from_le_bytes(link)).map_err(|_| SkipReason::LinkType)?;
    Ok(Next::Layer(Layer::Link(LinkType(link_type)), cursor))
}
