//! ERSPAN, mirrored frames in GRE (draft-foschiano-erspan).
//!
//! In: the content of a GRE packet; GRE alone announces ERSPAN. Out: an Ethernet frame or, of type III, an IP packet.

use super::{BAD_TUNNEL, PART};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

/// Type I has no header: GRE without a sequence number.
pub(super) fn type_1<'a>(cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    outer.enter_tunnel(TunnelKind::Erspan, 0)?;
    Ok(Next::Layer(Layer::Ethernet, cursor))
}

/// Types II and III; the version field tells which.
pub(super) fn type_2_or_3<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const HAS_PLATFORM_HEADER: u8 = 0x01;
    const NO_ETHERNET: u8 = 0x7c;
    let header: [u8; 8] = cursor.take(PART)?;
    let session = u32::from(u16::from_be_bytes([header[2], header[3]]) & 0x03ff);
    outer.enter_tunnel(TunnelKind::Erspan, session)?;
    match header[0] >> 4 {
        1 => Ok(Next::Layer(Layer::Ethernet, cursor)),
        2 => {
            let [_, _, frame_type, flags]: [u8; 4] = cursor.take(PART)?;
            if flags & HAS_PLATFORM_HEADER != 0 {
                cursor.skip(8, PART)?;
            }
            // Frame type 2 is a bare IP packet, 0 an Ethernet frame.
            match (frame_type & NO_ETHERNET) >> 2 {
                2 => Ok(Next::Layer(Layer::Ip, cursor)),
                _ => Ok(Next::Layer(Layer::Ethernet, cursor)),
            }
        }
        _ => Err(BAD_TUNNEL),
    }
}
