//! Headers that name an address family: BSD loopback, and OpenBSD's decapsulated IPsec.
//!
//! In: the header. Out: the IP packet after it.

use super::LINK;
use crate::decode::{
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
};

/// The address family, in the byte order of the host that wrote it. `more` bytes of the header come after it.
pub(super) fn header(mut cursor: Cursor<'_>, more: usize) -> Result<Next<'_>, SkipReason> {
    let bytes = cursor.take(LINK)?;
    cursor.skip(more, LINK)?;
    let family = u32::from_be_bytes(bytes).min(u32::from_le_bytes(bytes));
    Ok(Next::Layer(layer(family)?, cursor))
}

/// The IP version of an address family. IPv6 is 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS, 10 on Linux.
pub(super) fn layer(family: u32) -> Result<Layer, SkipReason> {
    match family {
        2 => Ok(Layer::Ipv4),
        10 | 24 | 28 | 30 => Ok(Layer::Ipv6),
        _ => Err(SkipReason::NotIp),
    }
}
