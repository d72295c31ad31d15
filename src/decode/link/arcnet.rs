//! ARCNET (RFC 1201, RFC 1051, RFC 2497), as BSD and Linux capture it.
//!
//! In: a frame. Out: the IP packet in it. A packet in several frames is read up to the end of its first frame; the
//! others are counted as fragments.

use super::LINK;
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
};

// What the type byte announces.
const IPV4_RFC_1051: u8 = 240;
const IPV4: u8 = 212;
const IPV6: u8 = 196;

/// BSD: two addresses and the type; frames of RFC 1201 then say which part of a packet they hold.
pub(super) fn bsd(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    const EXCEPTION: u8 = 0xff;
    let [_, _, kind] = cursor.take(LINK)?;
    let layer = match kind {
        IPV4_RFC_1051 => return Ok(Next::Layer(Layer::Ipv4, cursor)),
        kind => layer(kind)?,
    };
    let [mut part, _, _] = cursor.take(LINK)?;
    // Frames of some lengths do not exist on the wire, so the header was made longer: it comes a second time.
    if part == EXCEPTION {
        [_, part, _, _] = cursor.take(LINK)?;
    }
    // The first part has an odd number, the others even ones; zero is a whole packet.
    if part != 0 && part.is_multiple_of(2) {
        return Err(SkipReason::TunnelFragment);
    }
    Ok(Next::Layer(layer, cursor))
}

/// Linux: two bytes more before the type, and whole packets only.
pub(super) fn linux(mut cursor: Cursor<'_>) -> Result<Next<'_>, SkipReason> {
    let [_, _, _, _, kind] = cursor.take(LINK)?;
    if kind == IPV4_RFC_1051 {
        return Ok(Next::Layer(Layer::Ipv4, cursor));
    }
    let layer = layer(kind)?;
    cursor.skip(3, LINK)?;
    Ok(Next::Layer(layer, cursor))
}

fn layer(kind: u8) -> Result<Layer, SkipReason> {
    match kind {
        IPV4 => Ok(Layer::Ipv4),
        IPV6 => Ok(Layer::Ipv6),
        _ => Err(SkipReason::NotIp),
    }
}
