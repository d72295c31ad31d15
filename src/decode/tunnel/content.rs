//! What a tunnel carries where its header does not say so.
//!
//! In: the bytes after the tunnel's header. Out: the layer that starts there. Promises: only a header whose lengths fit
//! into the packet is believed.

use super::{BAD_TUNNEL, PART};
use crate::decode::{
    counters::SkipReason, cursor::Cursor, ip::looks_like_ip, layer::Layer, link::ethernet::looks_like_ethernet,
};

/// The layer at the cursor: IP, Ethernet or PPP. Bytes that are none of them are no content of a tunnel.
pub(super) fn recognised(cursor: Cursor<'_>) -> Result<Layer, SkipReason> {
    if looks_like_ip(cursor, 0) { Ok(Layer::Ip) } else { framed(cursor) }
}

/// The IP layer at the cursor.
pub(super) fn ip(cursor: Cursor<'_>) -> Result<Layer, SkipReason> {
    if looks_like_ip(cursor, 0) { Ok(Layer::Ip) } else { Err(unrecognised(cursor)) }
}

/// The layer at the cursor: Ethernet or PPP.
fn framed(cursor: Cursor<'_>) -> Result<Layer, SkipReason> {
    if looks_like_ethernet(cursor, 0) {
        Ok(Layer::Ethernet)
    } else if cursor.peek(0) == Some([0xff, 0x03, 0x00]) {
        Ok(Layer::Ppp)
    } else {
        Err(unrecognised(cursor))
    }
}

/// Why the content is not recognised: the snap length left too little of it, or it is none.
fn unrecognised(cursor: Cursor<'_>) -> SkipReason {
    const ENOUGH: usize = 34;
    if cursor.captured().len() < ENOUGH && !cursor.is_whole() { SkipReason::Truncated(PART) } else { BAD_TUNNEL }
}
