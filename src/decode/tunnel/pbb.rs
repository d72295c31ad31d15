//! Provider backbone bridging (IEEE 802.1ah).
//!
//! In: the service tag. Out: the customer's Ethernet frame.

use super::Tunnel;
use crate::decode::{
    TunnelKind,
    counters::{PacketPart, SkipReason},
    cursor::Cursor,
    layer::{Layer, Next},
    outer::OuterHeaders,
};

const SERVICE_TAG: u16 = 0x88e7;

pub(super) const TUNNEL: Tunnel = Tunnel { ether_types: &[(SERVICE_TAG, service_tag)], ..Tunnel::UNANNOUNCED };

fn service_tag<'a>(mut cursor: Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason> {
    let tag = cursor.take_u32(PacketPart::Link)?;
    outer.enter_tunnel(TunnelKind::Pbb, tag & 0x00ff_ffff)?;
    Ok(Next::Layer(Layer::Ethernet, cursor))
}
