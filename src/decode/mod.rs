//! Packets to TCP segments.
//!
//! In: [`Packet`](crate::capture::Packet)s of any link type. Out: [`Segment`]s of the innermost TCP, with the tags and
//! tunnels they came through. Promises: no panic on any bytes, bounded memory, every packet that yields nothing counted.

use crate::address::Endpoint;

/// TCP flags, the low byte of the header's flag field (RFC 9293, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);

    /// Whether all flags of `other` are set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The kind of tunnel a packet came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TunnelKind {
    /// No tunnel.
    #[default]
    None,
    /// GRE (RFC 2784, RFC 2890).
    Gre,
    /// NVGRE and transparent Ethernet bridging over GRE (RFC 7637).
    Nvgre,
    /// ERSPAN type I, II or III.
    Erspan,
    /// VXLAN and VXLAN-GPE (RFC 7348).
    Vxlan,
    /// GENEVE (RFC 8926).
    Geneve,
    /// IP in IP: 4in4, 6in4, 4in6, 6in6 (RFC 2003, 2473, 4213).
    IpInIp,
    /// GTP-U (3GPP TS 29.281).
    GtpU,
    /// Teredo (RFC 4380).
    Teredo,
    /// L2TPv3 (RFC 3931).
    L2tp,
    /// MPLS label stack (RFC 3032).
    Mpls,
    /// Provider backbone bridging (IEEE 802.1ah).
    Pbb,
    /// PPPoE session (RFC 2516).
    Pppoe,
}

/// Tags and the innermost tunnel a packet came through. Recorded, not part of the flow key by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Encapsulation {
    /// VLAN identifiers, outermost first; 0 is none. More than two keep the outermost and the innermost.
    pub vlans: [u16; 2],
    /// The innermost tunnel.
    pub tunnel: TunnelKind,
    /// Headers of tags and tunnels in all.
    pub depth: u8,
    /// The innermost tunnel's identifier: VNI, key, session, label, TEID. 0 where it has none.
    pub tunnel_id: u32,
}

/// One TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Who sent it.
    pub source: Endpoint,
    /// Whom it was sent to.
    pub destination: Endpoint,
    /// Sequence number of the first byte (of SYN, where set).
    pub sequence: u32,
    /// Acknowledgment number; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// The receive window, unscaled.
    pub window: u16,
    /// Flags.
    pub flags: TcpFlags,
    /// The captured payload bytes; fewer than `wire_length` under a snap length.
    pub payload: &'a [u8],
    /// Payload length on the wire; at least `payload.len()`.
    pub wire_length: u32,
    /// Tags and tunnels.
    pub encapsulation: Encapsulation,
}
