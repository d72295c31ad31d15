//! The header that Junos writes before each frame of a capture.
//!
//! In: the header. Out: the Ethernet frame after it, or an IP packet where Junos left the link layer out.

use super::{BAD_LINK, LINK};
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
};

/// A mark, flags, and perhaps extensions after their length.
pub(super) fn ethernet(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const WITHOUT_LINK_LAYER: u8 = 0x02;
    const EXTENSIONS: u8 = 0x80;
    let [b'M', b'G', b'C', flags] = cursor.take(LINK)? else { return Err(BAD_LINK) };
    if flags & EXTENSIONS != 0 {
        let length = cursor.take_u16(LINK)?;
        cursor.skip(usize::from(length), LINK)?;
    }
    if flags & WITHOUT_LINK_LAYER == 0 {
        return Ok(Next::Layer(Layer::Ethernet, cursor));
    }
    // The kind of the packet in Junos's own numbers; its version field says the same.
    cursor.skip(4, LINK)?;
    Ok(Next::Layer(Layer::Ip, cursor))
}
