//! One step of the plain way: reads one header.
//!
//! In: a [`Layer`] and the bytes that start with it. Out: the layer inside it, a TCP header, a fragment, several
//! frames, or the reason why the packet yields nothing. Promises: every step reads at least one header or names the
//! layer more closely, so a packet of *n* bytes takes O(*n*); [`OuterHeaders`] limits tags and tunnels.

use super::{
    counters::SkipReason,
    cursor::Cursor,
    ip,
    link::{self, ethernet, llc, ppp, wifi},
    numbers::protocol,
    outer::OuterHeaders,
    tunnel::TunnelTable,
    udp,
};
use crate::capture::LinkType;

/// What starts at the next byte.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layer {
    /// A frame of a link type, as captured or inside another frame.
    Link(LinkType),
    /// A destination MAC address.
    Ethernet,
    /// The content that an EtherType announced.
    EtherType(u16),
    /// IEEE 802.2 LLC.
    Llc,
    /// A PPP protocol field, perhaps after address and control.
    Ppp,
    /// An IPv4 or IPv6 header; its version field tells which.
    Ip,
    /// An IPv4 header.
    Ipv4,
    /// An IPv6 header.
    Ipv6,
    /// The content that an IP header or an extension header announced, by its protocol number.
    IpProtocol(u8),
    /// An 802.11 header.
    Wifi,
}

/// Which IP version's rules a fragment follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4,
    V6,
}

/// One IP fragment, without its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment {
    pub(super) version: IpVersion,
    /// Identification field.
    pub(super) identification: u32,
    /// Offset of the first byte.
    pub(super) offset: usize,
    /// Whether others follow.
    pub(super) more: bool,
    /// Protocol number of the datagram's content. In IPv6 only the first fragment's counts.
    pub(super) protocol: u8,
}

/// What a header leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next<'a> {
    /// Another header.
    Layer(Layer, Cursor<'a>),
    /// A TCP header: the last one.
    Tcp(Cursor<'a>),
    /// A fragment of an IP datagram.
    Fragment(Fragment, Cursor<'a>),
    /// The subframes of an aggregated 802.11 frame.
    Subframes(Cursor<'a>),
}

/// Reads one header. `outer` holds what the headers before it said, and takes up what this one says.
pub(super) type ReadHeader = for<'a> fn(Cursor<'a>, outer: &mut OuterHeaders) -> Result<Next<'a>, SkipReason>;

/// Reads the header at the cursor.
pub(super) fn read<'a>(
    layer: Layer,
    cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
    tunnels: &TunnelTable,
    verify_checksums: bool,
) -> Result<Next<'a>, SkipReason> {
    match layer {
        Layer::Link(link_type) => link::frame(link_type, cursor, outer),
        Layer::Ethernet => ethernet::frame(cursor),
        Layer::EtherType(kind) => ethernet::content(kind, cursor, outer, tunnels),
        Layer::Llc => llc::header(cursor),
        Layer::Ppp => ppp::protocol(cursor),
        Layer::Ip => ip::by_version(cursor),
        Layer::Ipv4 => ip::v4(cursor, outer, verify_checksums),
        Layer::Ipv6 => ip::v6(cursor, outer),
        Layer::IpProtocol(number) => ip_content(number, cursor, outer, tunnels),
        Layer::Wifi => wifi::frame(cursor),
    }
}

/// Reads what an IP header or an extension header announced.
fn ip_content<'a>(
    number: u8,
    cursor: Cursor<'a>,
    outer: &mut OuterHeaders,
    tunnels: &TunnelTable,
) -> Result<Next<'a>, SkipReason> {
    match number {
        protocol::TCP => Ok(Next::Tcp(cursor)),
        protocol::UDP => udp::datagram(cursor, outer, tunnels),
        protocol::HOP_BY_HOP
        | protocol::ROUTING
        | protocol::DESTINATION_OPTIONS
        | protocol::MOBILITY
        | protocol::HIP
        | protocol::SHIM6 => ip::extension(number, cursor, outer),
        protocol::AUTHENTICATION => ip::authentication(cursor),
        protocol::FRAGMENT => ip::v6_fragment(cursor),
        protocol::ICMP | protocol::ICMPV6 => Err(SkipReason::Icmp),
        protocol::SCTP => Err(SkipReason::Sctp),
        protocol::ESP => Err(SkipReason::Esp),
        number => match tunnels.over_ip(number) {
            Some(read) => read(cursor, outer),
            None => Err(SkipReason::OtherProtocol),
        },
    }
}
