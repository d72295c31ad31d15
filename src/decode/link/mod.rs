//! Link layers, one file a family.
//!
//! In: a frame and its link type. Out: what the frame carries. Source of the numbers: the registry of link types at
//! tcpdump.org.

mod address_family;
mod apple;
mod arcnet;
mod cooked;
pub(super) mod ethernet;
mod juniper;
pub(super) mod llc;
mod packet_log;
pub(super) mod ppp;
mod serial;
mod switch_tag;
mod tags;
pub(super) mod wifi;

use super::{
    counters::{PacketPart, SkipReason},
    cursor::Cursor,
    layer::{Layer, Next},
    numbers::ethertype,
    outer::OuterHeaders,
};
use crate::capture::LinkType;

const LINK: PacketPart = PacketPart::Link;
/// Damage to a link-layer header.
const BAD_LINK: SkipReason = SkipReason::Malformed(PacketPart::Link);

/// Link types by number.
mod number {
    pub(super) const NULL: u16 = 0;
    pub(super) const ETHERNET: u16 = 1;
    pub(super) const ARCNET: u16 = 7;
    pub(super) const PPP: u16 = 9;
    pub(super) const RAW_BSD: u16 = 12;
    pub(super) const RAW_OPENBSD: u16 = 14;
    pub(super) const PPP_HDLC: u16 = 50;
    pub(super) const PPP_ETHER: u16 = 51;
    pub(super) const ATM_RFC1483: u16 = 100;
    pub(super) const RAW: u16 = 101;
    pub(super) const C_HDLC: u16 = 104;
    pub(super) const IEEE802_11: u16 = 105;
    pub(super) const FRAME_RELAY: u16 = 107;
    pub(super) const LOOP: u16 = 108;
    pub(super) const ENC: u16 = 109;
    pub(super) const LINUX_SLL: u16 = 113;
    pub(super) const PFLOG: u16 = 117;
    pub(super) const PRISM: u16 = 119;
    pub(super) const RADIOTAP: u16 = 127;
    pub(super) const ARCNET_LINUX: u16 = 129;
    pub(super) const APPLE_IP_OVER_1394: u16 = 138;
    pub(super) const USER_2: u16 = 149;
    pub(super) const AVS: u16 = 163;
    pub(super) const PPP_PPPD: u16 = 166;
    pub(super) const JUNIPER_ETHERNET: u16 = 178;
    pub(super) const PPI: u16 = 192;
    pub(super) const PPP_WITH_DIRECTION: u16 = 204;
    pub(super) const IPV4: u16 = 228;
    pub(super) const IPV6: u16 = 229;
    pub(super) const NFLOG: u16 = 239;
    pub(super) const PKTAP: u16 = 258;
    pub(super) const LINUX_SLL2: u16 = 276;
    pub(super) const DSA: u16 = 284;
    pub(super) const EDSA: u16 = 285;
}

/// Reads the header of a frame, by its link type.
pub(super) fn frame<'a>(
    link_type: LinkType,
    mut cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
) -> Result<Next<'a>, SkipReason> {
    let layer = match link_type.0 {
        number::ETHERNET => Layer::Ethernet,
        number::NULL | number::LOOP => return address_family::header(cursor, 0),
        // OpenBSD's decapsulated IPsec: a security parameter index and flags follow the family.
        number::ENC => return address_family::header(cursor, 8),
        number::RAW_BSD | number::RAW_OPENBSD | number::RAW => Layer::Ip,
        number::IPV4 => Layer::Ipv4,
        number::IPV6 => Layer::Ipv6,
        number::LINUX_SLL => return cooked::version_1(cursor),
        number::LINUX_SLL2 => return cooked::version_2(cursor),
        number::PPP => Layer::Ppp,
        number::PPP_HDLC | number::C_HDLC => return serial::hdlc(cursor),
        number::PPP_PPPD | number::PPP_WITH_DIRECTION => {
            cursor.skip(1, LINK)?;
            return ppp::after_direction(cursor);
        }
        number::PPP_ETHER => Layer::EtherType(ethertype::PPPOE),
        number::FRAME_RELAY => return serial::frame_relay(cursor),
        number::ATM_RFC1483 => Layer::Llc,
        number::IEEE802_11 => Layer::Wifi,
        number::RADIOTAP => return wifi::radiotap(cursor),
        number::PRISM => return wifi::prism(cursor),
        number::AVS => return wifi::avs(cursor),
        number::PPI => return wifi::per_packet_information(cursor, outer),
        number::NFLOG => return packet_log::netfilter(cursor),
        number::PFLOG => return packet_log::packet_filter(cursor),
        number::PKTAP => return apple::packet_tap(cursor, outer),
        number::USER_2 => return apple::private(cursor, outer),
        number::APPLE_IP_OVER_1394 => return apple::firewire(cursor),
        number::ARCNET => return arcnet::bsd(cursor),
        number::ARCNET_LINUX => return arcnet::linux(cursor),
        number::JUNIPER_ETHERNET => return juniper::ethernet(cursor),
        number::DSA => return switch_tag::frame(cursor, outer),
        number::EDSA => return switch_tag::announced_frame(cursor, outer),
        _ => return Err(SkipReason::LinkType),
    };
    Ok(Next::Layer(layer, cursor))
}

/// Returns whether frames of a link type are decoded.
pub(super) fn is_decoded(link_type: LinkType) -> bool {
    !matches!(frame(link_type, Cursor::new(&[], 0), &mut OuterHeaders::new(1)), Err(SkipReason::LinkType))
}
