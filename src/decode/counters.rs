//! Why a packet yields no segment, and the decoder's counters.
//!
//! In: a reason for each packet without a segment (for each subframe of an aggregated 802.11 frame). Out:
//! [`DecodeCounters`].

use super::{TunnelKind, outer::OuterHeaders};

/// The part of a packet that is truncated or malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketPart {
    /// The link layer and its tags.
    Link,
    /// IPv4, IPv6 and extension headers.
    Ip,
    /// A tunnel's header.
    Tunnel,
    /// TCP.
    Tcp,
}

/// Why a packet yields no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SkipReason {
    LinkType,
    NotIp,
    Icmp,
    Udp,
    UdpTunnelMismatch,
    Sctp,
    Esp,
    OtherProtocol,
    Truncated(PacketPart),
    Malformed(PacketPart),
    IpChecksum,
    TcpChecksum,
    TooDeep,
    EncryptedWifi,
    EncryptedMacsec,
    WifiManagement,
    WifiFragment,
    TunnelControl,
    TunnelFragment,
    EncryptedTunnel,
}

crate::counters! {
    /// What the decoder saw, and why packets yielded nothing.
    pub struct DecodeCounters {
        /// Packets taken in.
        packets,
        /// TCP segments handed on.
        segments,
        /// Packets of a link type that is not decoded.
        unsupported_link_type,
        /// Frames that carry neither IPv4 nor IPv6 (ARP, LLDP, spanning tree and the like).
        not_ip,
        /// ICMP and ICMPv6.
        icmp,
        /// UDP that is no tunnel.
        udp,
        /// UDP on a tunnel's port that does not parse as that tunnel.
        udp_tunnel_mismatches,
        /// SCTP.
        sctp,
        /// IPsec ESP.
        esp,
        /// Any other protocol over IP.
        other_protocols,
        /// Link-layer headers cut off by the snap length.
        truncated_link,
        /// IP headers cut off by the snap length.
        truncated_ip,
        /// Tunnel headers cut off by the snap length.
        truncated_tunnel,
        /// TCP headers cut off by the snap length.
        truncated_tcp,
        /// Link-layer headers that are too short or contradict themselves.
        malformed_link,
        /// IP headers of the wrong version or with impossible lengths.
        malformed_ip,
        /// Tunnel headers that are too short or contradict themselves.
        malformed_tunnel,
        /// TCP headers with impossible lengths.
        malformed_tcp,
        /// IPv4 headers with a wrong checksum, where checksums are verified.
        wrong_ip_checksums,
        /// TCP segments with a wrong checksum, where checksums are verified.
        wrong_tcp_checksums,
        /// Packets with more tags and tunnels than are looked into.
        too_deep,
        /// Encrypted 802.11 frames.
        encrypted_wifi,
        /// Encrypted MACsec frames.
        encrypted_macsec,
        /// 802.11 management, control and empty frames.
        wifi_without_data,
        /// Fragments of 802.11 frames, which are not reassembled.
        wifi_fragments,
        /// Control messages and keep-alives of tunnels.
        tunnel_control,
        /// Fragments of frames that a tunnel or a link layer cut itself. They are not reassembled.
        tunnel_fragments,
        /// Packets in tunnels that are encrypted (CAPWAP in DTLS).
        encrypted_tunnels,
        /// IP fragments taken in.
        fragments,
        /// IP fragments that brought nothing new: copies of what was held or already reassembled.
        fragments_repeated,
        /// IP fragments with impossible offsets or lengths.
        fragments_malformed,
        /// IP fragments that overlap others of their datagram.
        fragments_overlapping,
        /// Overlapping IP fragments whose bytes disagree with what came first.
        fragments_disagreeing,
        /// IP fragments of datagrams that were given up.
        fragments_refused,
        /// Datagrams reassembled from fragments.
        datagrams_reassembled,
        /// IPv6 datagrams given up because fragments overlapped (RFC 5722).
        datagrams_given_up_overlap,
        /// Datagrams given up because they came in too many pieces.
        datagrams_given_up_pieces,
        /// Incomplete datagrams given up after the time-out.
        datagrams_timed_out,
        /// Incomplete datagrams given up, oldest first, to stay within the caps.
        datagrams_evicted,
        /// Incomplete datagrams still held at the end.
        datagrams_incomplete,
        /// Packets with VLAN tags.
        through_vlan,
        /// Packets through GRE.
        through_gre,
        /// Packets through NVGRE or Ethernet over GRE.
        through_nvgre,
        /// Packets through ERSPAN.
        through_erspan,
        /// Packets through VXLAN or VXLAN-GPE.
        through_vxlan,
        /// Packets through GENEVE.
        through_geneve,
        /// Packets through IP in IP.
        through_ip_in_ip,
        /// Packets through GTP-U.
        through_gtp_u,
        /// Packets through Teredo.
        through_teredo,
        /// Packets through L2TP.
        through_l2tp,
        /// Packets through MPLS.
        through_mpls,
        /// Packets through provider backbone bridging.
        through_pbb,
        /// Packets through PPPoE.
        through_pppoe,
        /// Packets through TZSP.
        through_tzsp,
        /// Packets through Juniper's packet mirror.
        through_juniper_mirror,
        /// Packets through CAPWAP.
        through_capwap,
        /// Packets through LISP.
        through_lisp,
    }
}

impl DecodeCounters {
    /// Counts a packet that yielded no segment.
    pub(super) fn skip(&mut self, reason: SkipReason) {
        let counter = match reason {
            SkipReason::LinkType => &mut self.unsupported_link_type,
            SkipReason::NotIp => &mut self.not_ip,
            SkipReason::Icmp => &mut self.icmp,
            SkipReason::Udp => &mut self.udp,
            SkipReason::UdpTunnelMismatch => &mut self.udp_tunnel_mismatches,
            SkipReason::Sctp => &mut self.sctp,
            SkipReason::Esp => &mut self.esp,
            SkipReason::OtherProtocol => &mut self.other_protocols,
            SkipReason::Truncated(PacketPart::Link) => &mut self.truncated_link,
            SkipReason::Truncated(PacketPart::Ip) => &mut self.truncated_ip,
            SkipReason::Truncated(PacketPart::Tunnel) => &mut self.truncated_tunnel,
            SkipReason::Truncated(PacketPart::Tcp) => &mut self.truncated_tcp,
            SkipReason::Malformed(PacketPart::Link) => &mut self.malformed_link,
            SkipReason::Malformed(PacketPart::Ip) => &mut self.malformed_ip,
            SkipReason::Malformed(PacketPart::Tunnel) => &mut self.malformed_tunnel,
            SkipReason::Malformed(PacketPart::Tcp) => &mut self.malformed_tcp,
            SkipReason::IpChecksum => &mut self.wrong_ip_checksums,
            SkipReason::TcpChecksum => &mut self.wrong_tcp_checksums,
            SkipReason::TooDeep => &mut self.too_deep,
            SkipReason::EncryptedWifi => &mut self.encrypted_wifi,
            SkipReason::EncryptedMacsec => &mut self.encrypted_macsec,
            SkipReason::WifiManagement => &mut self.wifi_without_data,
            SkipReason::WifiFragment => &mut self.wifi_fragments,
            SkipReason::TunnelControl => &mut self.tunnel_control,
            SkipReason::TunnelFragment => &mut self.tunnel_fragments,
            SkipReason::EncryptedTunnel => &mut self.encrypted_tunnels,
        };
        *counter += 1;
    }

    /// Counts the packet for every kind of tunnel that it came through.
    pub(super) fn tunnels(&mut self, outer: OuterHeaders) {
        outer.kinds().for_each(|kind| self.tunnel(kind));
    }

    fn tunnel(&mut self, kind: TunnelKind) {
        let counter = match kind {
            TunnelKind::None => &mut self.through_vlan,
            TunnelKind::Gre => &mut self.through_gre,
            TunnelKind::Nvgre => &mut self.through_nvgre,
            TunnelKind::Erspan => &mut self.through_erspan,
            TunnelKind::Vxlan => &mut self.through_vxlan,
            TunnelKind::Geneve => &mut self.through_geneve,
            TunnelKind::IpInIp => &mut self.through_ip_in_ip,
            TunnelKind::GtpU => &mut self.through_gtp_u,
            TunnelKind::Teredo => &mut self.through_teredo,
            TunnelKind::L2tp => &mut self.through_l2tp,
            TunnelKind::Mpls => &mut self.through_mpls,
            TunnelKind::Pbb => &mut self.through_pbb,
            TunnelKind::Pppoe => &mut self.through_pppoe,
            TunnelKind::Tzsp => &mut self.through_tzsp,
            TunnelKind::JuniperMirror => &mut self.through_juniper_mirror,
            TunnelKind::Capwap => &mut self.through_capwap,
            TunnelKind::Lisp => &mut self.through_lisp,
        };
        *counter += 1;
    }
}
