//! VXLAN (RFC 7348) and VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe).
//!
//! In: the content of a UDP datagram. Out: an Ethernet frame; of VXLAN-GPE also IP, MPLS or NSH.

use super::{BAD_TUNNEL, PART, Tunnel, nsh};
use crate::decode::{
    TunnelKind,
    counters::SkipReason,
    cursor::Cursor,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

pub(super) const TUNNEL: Tunnel =
    Tunnel { udp_ports: &[(|ports| &ports.vxlan, vxlan), (|ports| &ports.vxlan_gpe, generic)], ..Tunnel::UNANNOUNCED };

/// Set where a VXLAN header's network identifier is valid.
const VNI_PRESENT: u8 = 0x08;

fn vxlan<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let [flags, _, _, _, identifier @ ..]: [u8; 8] = cursor.take(PART)?;
    if flags & VNI_PRESENT == 0 {
        return Err(BAD_TUNNEL);
    }
    outer.enter_tunnel(TunnelKind::Vxlan, u32::from_be_bytes(identifier) >> 8)?;
    Ok(Next::Layer(Layer::Ethernet, cursor))
}

fn generic<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    const NEXT_PROTOCOL_PRESENT: u8 = 0x04;
    const MAINTENANCE: u8 = 0x01;
    let [flags, _, _, next, identifier @ ..]: [u8; 8] = cursor.take(PART)?;
    if flags & VNI_PRESENT == 0 {
        return Err(BAD_TUNNEL);
    }
    if flags & MAINTENANCE != 0 {
        return Err(SkipReason::TunnelControl);
    }
    let layer = if flags & NEXT_PROTOCOL_PRESENT == 0 {
        Layer::Ethernet
    } else {
        nsh::next_protocol(next).map_err(|_| BAD_TUNNEL)?
    };
    outer.enter_tunnel(TunnelKind::Vxlan, u32::from_be_bytes(identifier) >> 8)?;
    Ok(Next::Layer(layer, cursor))
}
