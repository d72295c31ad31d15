//! 802.11 and the headers that capture tools put before it.
//!
//! In: an 802.11 frame, perhaps after radiotap, Prism, AVS or PPI. Out: its LLC, or its subframes when it is aggregated.
//! Only data frames in clear carry anything; the check sequence at the end is beyond the IP packet.

use super::{
    layer::{Layer, Next, Trail},
    reason::{Part, Reason},
    view::View,
};
use crate::capture::LinkType;

const LINK: Part = Part::Link;
const BAD: Reason = Reason::Malformed(Part::Link);

/// An 802.11 MAC header (IEEE 802.11, section 9.2).
pub(super) fn frame(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const DATA: u8 = 0x08;
    const TYPE_AND_VERSION: u8 = 0x0f;
    const WITHOUT_DATA: u8 = 0x40;
    const QUALITY_OF_SERVICE: u8 = 0x80;
    const TO_AND_FROM_DISTRIBUTION: u8 = 0x03;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const HIGH_THROUGHPUT_CONTROL: u8 = 0x80;
    const AGGREGATED: u8 = 0x80;

    let header: [u8; 24] = view.take(LINK)?;
    let [kind, flags, ..] = header;
    if kind & TYPE_AND_VERSION != DATA || kind & WITHOUT_DATA != 0 {
        return Err(Reason::WifiManagement);
    }
    if flags & PROTECTED != 0 {
        return Err(Reason::EncryptedWifi);
    }
    if flags & MORE_FRAGMENTS != 0 || header[22] & 0x0f != 0 {
        return Err(Reason::WifiFragment);
    }
    let mut length = 24;
    if flags & TO_AND_FROM_DISTRIBUTION == TO_AND_FROM_DISTRIBUTION {
        view.skip(6, LINK)?;
        length += 6;
    }
    if kind & QUALITY_OF_SERVICE != 0 {
        let [quality, _] = view.take(LINK)?;
        length += 2;
        if flags & HIGH_THROUGHPUT_CONTROL != 0 {
            view.skip(4, LINK)?;
        }
        if quality & AGGREGATED != 0 {
            return Ok(Next::Subframes(view));
        }
    }
    // Some hardware pads the header to a multiple of four; radiotap may say so, other headers cannot.
    const SNAP: Option<[u8; 3]> = Some([0xaa, 0xaa, 0x03]);
    if length % 4 == 2 && view.peek(0) != SNAP && view.peek(2) == SNAP {
        view.skip(2, LINK)?;
    }
    Ok(Next::Layer(Layer::Llc, view))
}

/// Two addresses and a length; what is shorter at an aggregated frame's end is its check sequence.
pub(super) const SUBFRAME_HEADER: usize = 14;

/// Splits the next subframe off an aggregated frame: two addresses, a length, LLC, padding to four bytes.
pub(super) fn subframe<'a>(view: &mut View<'a>) -> Result<View<'a>, Reason> {
    let mut rest = *view;
    rest.skip(12, LINK)?;
    let length = usize::from(rest.take_u16(LINK)?);
    let mut subframe = rest;
    subframe.limit(length);
    // The last subframe has no padding.
    let padded = (SUBFRAME_HEADER + length).next_multiple_of(4) - SUBFRAME_HEADER;
    rest.skip(padded.min(rest.wire()), LINK)?;
    *view = rest;
    Ok(subframe)
}

/// radiotap: its length in little-endian order at offset 2.
pub(super) fn radiotap(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const FIXED: u16 = 8;
    let [version, _, low, high] = view.peek(0).ok_or(Reason::Truncated(LINK))?;
    let length = u16::from_le_bytes([low, high]);
    if version != 0 || length < FIXED {
        return Err(BAD);
    }
    view.skip(usize::from(length), LINK)?;
    Ok(Next::Layer(Layer::Wifi, view))
}

/// Prism: message code and length in the byte order of the host; an AVS header may stand in its place.
pub(super) fn prism(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    const AVS_MAGIC: [u8; 3] = [0x80, 0x21, 0x10];
    if view.peek(0) == Some(AVS_MAGIC) {
        return avs(view);
    }
    let bytes = view.peek(4).ok_or(Reason::Truncated(LINK))?;
    let length = u32::from_le_bytes(bytes).min(u32::from_be_bytes(bytes));
    view.skip(usize::try_from(length).unwrap_or(usize::MAX).max(8), LINK)?;
    Ok(Next::Layer(Layer::Wifi, view))
}

/// AVS: version and length in network order.
pub(super) fn avs(mut view: View<'_>) -> Result<Next<'_>, Reason> {
    let length = view.peek(4).map(u32::from_be_bytes).ok_or(Reason::Truncated(LINK))?;
    view.skip(usize::try_from(length).unwrap_or(usize::MAX).max(8), LINK)?;
    Ok(Next::Layer(Layer::Wifi, view))
}

/// Per-Packet Information: the length, and the link type that follows, both little-endian.
pub(super) fn per_packet_information<'a>(mut view: View<'a>, trail: &mut Trail) -> Result<Next<'a>, Reason> {
    trail.descend()?;
    let [_, _, low, high, link @ ..]: [u8; 8] = view.peek(0).ok_or(Reason::Truncated(LINK))?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length < 8 {
        return Err(BAD);
    }
    view.skip(length, LINK)?;
    let link_type = u16::try_from(u32::from_le_bytes(link)).map_err(|_| Reason::LinkType)?;
    Ok(Next::Layer(Layer::Link(LinkType(link_type)), view))
}
