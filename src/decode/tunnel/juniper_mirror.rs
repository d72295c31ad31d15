//! The packet mirror of Juniper routers (flow tap and subscriber mirroring).
//!
//! In: the content of a UDP datagram. Out: the mirrored packet. Promises: the mirror's header does not name the protocol of the
//! mirrored packet, so the packet is decoded only if its first header has lengths that fit.

use super::{PART, Tunnel, content};
use crate::decode::{TunnelKind, counters::SkipReason, cursor::Cursor, layer::Next, outer::OuterHeaders};

pub(super) const TUNNEL: Tunnel =
    Tunnel { udp_ports: &[(|ports| &ports.juniper_mirror, mirror)], ..Tunnel::UNANNOUNCED };

/// Intercept identifier and session identifier, then the packet.
fn mirror<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let [_, _, _, _, session @ ..]: [u8; 8] = cursor.take(PART)?;
    let layer = content::recognised(cursor)?;
    outer.enter_tunnel(TunnelKind::JuniperMirror, u32::from_be_bytes(session))?;
    Ok(Next::Layer(layer, cursor))
}
