//! What the decoder hands on: a TCP segment, and the tags and tunnels it came through.
//!
//! In: nothing, these are types. Out: [`Segment`], [`TcpFlags`], [`Encapsulation`], [`TunnelKind`]. Promises: all are
//! small and `Copy`; a segment borrows its payload from the packet.

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

    /// Returns whether all flags of `other` are set.
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
    /// NVGRE and Ethernet over GRE (RFC 7637, MikroTik's EoIP).
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
    /// L2TPv2 and L2TPv3 (RFC 2661, RFC 3931).
    L2tp,
    /// MPLS label stack (RFC 3032).
    Mpls,
    /// Provider backbone bridging (IEEE 802.1ah).
    Pbb,
    /// PPPoE session (RFC 2516).
    Pppoe,
    /// TZSP.
    Tzsp,
    /// Juniper's packet mirror.
    JuniperMirror,
    /// CAPWAP data channel (RFC 5415).
    Capwap,
    /// LISP (RFC 9300).
    Lisp,
}

impl TunnelKind {
    /// Every kind, in order of its number.
    pub(super) const ALL: [Self; 17] = [
        Self::None,
        Self::Gre,
        Self::Nvgre,
        Self::Erspan,
        Self::Vxlan,
        Self::Geneve,
        Self::IpInIp,
        Self::GtpU,
        Self::Teredo,
        Self::L2tp,
        Self::Mpls,
        Self::Pbb,
        Self::Pppoe,
        Self::Tzsp,
        Self::JuniperMirror,
        Self::Capwap,
        Self::Lisp,
    ];
}

/// Interface, tags and the innermost tunnel a packet came through. Recorded, not part of the flow key by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Encapsulation {
    /// VLAN identifiers, outermost first; 0 is none. Of more than two tags, the outermost and the innermost are
    /// recorded.
    pub vlans: [u16; 2],
    /// The innermost tunnel.
    pub tunnel: TunnelKind,
    /// Number of tags and tunnels.
    pub depth: u8,
    /// The innermost tunnel's identifier: VNI, key, session, label, TEID. 0 where it has none.
    pub tunnel_id: u32,
    /// Which of a live run's interfaces the packet came through. 0 in a replay and in segments that the decoder hands
    /// on.
    pub interface: u16,
    /// A keyed hash of the source addresses of the IP headers outside the innermost one, mirrors excepted. 0 if there are
    /// none: the packet came through no tunnel, or through a mirror alone. Never 1.
    pub outer_source: u32,
}

impl Encapsulation {
    /// Adds a VLAN tag. `control` is its identifier, or the whole tag control field (IEEE 802.1Q, section 9.6).
    #[inline]
    pub(super) fn add_vlan(&mut self, control: u16) {
        let position = usize::from(self.vlans[0] != 0);
        self.vlans[position] = control & 0x0fff;
        self.depth = self.depth.saturating_add(1);
    }
}

/// One TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// Sequence number of the first byte (of SYN, where set).
    pub sequence: u32,
    /// Acknowledgment number; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// The captured payload bytes; fewer than `wire_length` under a snap length.
    pub payload: &'a [u8],
    /// Payload length on the wire; at least `payload.len()`.
    pub wire_length: u32,
    /// The TCP header's bytes, directly before the payload. Empty if the checksum cannot be verified.
    pub header: &'a [u8],
    /// Tags and tunnels.
    pub encapsulation: Encapsulation,
}
