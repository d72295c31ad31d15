//! Tags between the Ethernet addresses and the EtherType of the content, VLAN tags apart.
//!
//! In: a tag. Out: what its EtherType announces. Sources: IEEE 802.1AE (MACsec), IEEE 802.1BR (E-tag), IEEE 802.1CB
//! (R-tag), IEC 62439-3 (HSR), Cisco (VN-tag, metadata, FabricPath), Arista (time stamps), Marvell (EDSA). Events do not
//! name these tags.

use etherparse::{MacsecHeader, MacsecHeaderSlice};

use super::{BAD_LINK, LINK, switch_tag};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next, ReadHeader},
    outer::OuterHeaders,
};

/// Every tag, by its EtherType.
const TAGS: [(u16, ReadHeader); 9] = [
    (0x88e5, macsec),
    (0x8903, fabric_path),
    (0x8909, six_bytes),  // Cisco metadata
    (0x8926, four_bytes), // VN-tag
    (0x892f, four_bytes), // HSR: path, length and sequence number
    (0x893f, six_bytes),  // E-tag
    (0xd28b, time_stamp),
    (0xdada, switch_tag::announced),
    (0xf1c1, four_bytes), // R-tag
];

/// The reader of the tag that an EtherType announces.
pub(super) fn reader(kind: u16) -> Option<ReadHeader> {
    TAGS.iter().find(|&&(announced, _)| announced == kind).map(|&(_, read)| read)
}

/// A MACsec tag. Integrity-only frames are in clear; the check value at their end is beyond the IP packet.
fn macsec<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.spend_depth()?;
    cursor.require(MacsecHeader::MIN_LEN, LINK)?;
    // etherparse refuses some versions and short lengths. They do not move the EtherType, so both fields are read as
    // zero.
    let [control, _, rest @ ..] = cursor.padded::<{ MacsecHeader::MAX_LEN }>();
    let mut tag = [0; MacsecHeader::MAX_LEN];
    tag[0] = control & 0x7f;
    tag[2..].copy_from_slice(&rest);
    let tag = MacsecHeaderSlice::from_slice(&tag).map_err(|_| BAD_LINK)?;
    let Some(kind) = tag.next_ether_type() else { return Err(SkipReason::EncryptedMacsec) };
    cursor.pass(tag.header_len(), LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind.0), cursor))
}

/// FabricPath: the rest of its header, then a whole Ethernet frame.
fn fabric_path<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.spend_depth()?;
    cursor.skip(2, LINK)?;
    Ok(Next::Layer(Layer::Ethernet, cursor))
}

/// Arista's time stamp: a subtype, the time scale, the format, then the time.
fn time_stamp<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const SUBTYPE: [u8; 2] = [0, 1];
    let [a, b, _, format] = cursor.take(LINK)?;
    match ([a, b], format >> 4) {
        (SUBTYPE, 1) => skip_tag(8, cursor, outer),
        (SUBTYPE, 2) => skip_tag(6, cursor, outer),
        _ => Err(SkipReason::NotIp),
    }
}

fn four_bytes<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    skip_tag(4, cursor, outer)
}

fn six_bytes<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    skip_tag(6, cursor, outer)
}

/// A tag that says nothing of use: `length` bytes, then the next EtherType.
fn skip_tag<'a>(length: usize, mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.spend_depth()?;
    cursor.skip(length, LINK)?;
    let kind = cursor.take_u16(LINK)?;
    Ok(Next::Layer(Layer::EtherType(kind), cursor))
}
