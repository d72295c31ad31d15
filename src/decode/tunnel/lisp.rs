//! LISP (RFC 9300) and its extension for any content (RFC 9305), data packets.
//!
//! In: the content of a UDP datagram. Out: an IP packet; with the extension also Ethernet or NSH.

use super::{PART, Tunnel, content, nsh};
use crate::decode::{TunnelKind, counters::SkipReason, cursor::Cursor, layer::Next, outer::OuterHeaders};

const DATA: u16 = 4_341;

pub(super) const TUNNEL: Tunnel = Tunnel { udp_ports: &[(|_| &[DATA], lisp)], ..Tunnel::UNANNOUNCED };

/// Flags and a nonce, then an instance identifier or status bits. The header has no mark to know it by, so the content
/// must be recognised.
fn lisp<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const INSTANCE_PRESENT: u8 = 0x08;
    const NEXT_PROTOCOL_PRESENT: u8 = 0x04;
    let [flags, _, _, next, identifier @ ..]: [u8; 8] = cursor.take(PART)?;
    let layer = if flags & NEXT_PROTOCOL_PRESENT == 0 {
        content::ip(cursor)?
    } else {
        nsh::next_protocol(next).map_err(|_| super::BAD_TUNNEL)?
    };
    let instance = if flags & INSTANCE_PRESENT == 0 { 0 } else { u32::from_be_bytes(identifier) >> 8 };
    outer.enter_tunnel(TunnelKind::Lisp, instance)?;
    Ok(Next::Layer(layer, cursor))
}
