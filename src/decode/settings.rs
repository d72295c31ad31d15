//! Settings of the decoder.
//!
//! In: values from the configuration. Out: [`DecodeSettings`]. Promises: every limit has a default that suits a sensor on
//! one busy link.

use std::time::Duration;

use ipnet::IpNet;

/// What a wrong checksum means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksumPolicy {
    /// A segment whose TCP checksum is wrong counts once its receiver acknowledges it: then the capture shows it before the
    /// sender's network card filled the checksum in. Others are dropped.
    #[default]
    Auto,
    /// The packet is dropped. IPv4 header checksums must be right as well.
    Always,
    /// Nothing: checksums are not looked at.
    Never,
}

/// Settings of a [`Decoder`](super::Decoder).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeSettings {
    /// How many tags and tunnels, one inside the other, the decoder reads. A packet with more is counted as `too_deep`.
    pub max_depth: u8,
    /// What a wrong checksum means. UDP checksums of tunnels are never looked at.
    pub verify_checksums: ChecksumPolicy,
    /// Outer sources that are mirrors: what they carry counts as if it came through no tunnel.
    pub mirrors: Vec<IpNet>,
    /// UDP ports of tunnels, at either end of a datagram.
    pub ports: TunnelPorts,
    /// Limits of IP fragment reassembly.
    pub fragments: FragmentLimits,
    /// Seed of the hashes of fragments and outer sources.
    pub hash_seed: u64,
    /// Whether ordinary packets take the short way. The results are the same without it; tests switch it off to prove
    /// that.
    pub short_way: bool,
}

impl Default for DecodeSettings {
    fn default() -> Self {
        Self {
            max_depth: 8,
            verify_checksums: ChecksumPolicy::default(),
            mirrors: Vec::new(),
            ports: TunnelPorts::default(),
            fragments: FragmentLimits::default(),
            hash_seed: 0,
            short_way: true,
        }
    }
}

impl DecodeSettings {
    /// Returns whether the decoder drops packets with wrong checksums.
    pub(super) const fn drops_wrong_checksums(&self) -> bool {
        matches!(self.verify_checksums, ChecksumPolicy::Always)
    }
}

/// UDP ports of tunnels. A datagram on one of them that does not parse as that tunnel is plain UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelPorts {
    /// VXLAN (RFC 7348). Linux used 8472 before the number was assigned, and some network cards' vendors still do.
    pub vxlan: Vec<u16>,
    /// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe).
    pub vxlan_gpe: Vec<u16>,
    /// GENEVE (RFC 8926).
    pub geneve: Vec<u16>,
    /// GTP-U (3GPP TS 29.281).
    pub gtp_u: Vec<u16>,
    /// Teredo (RFC 4380).
    pub teredo: Vec<u16>,
    /// AYIYA (draft-massar-v6ops-ayiya), recorded as IP in IP.
    pub ayiya: Vec<u16>,
    /// L2TP version 2 (RFC 2661) and 3 (RFC 3931).
    pub l2tp: Vec<u16>,
    /// TZSP, the mirror of MikroTik routers.
    pub tzsp: Vec<u16>,
    /// The packet mirror of Juniper routers.
    pub juniper_mirror: Vec<u16>,
}

impl Default for TunnelPorts {
    fn default() -> Self {
        Self {
            vxlan: vec![4789, 8472],
            vxlan_gpe: vec![4790],
            geneve: vec![6081],
            gtp_u: vec![2152],
            teredo: vec![3544],
            ayiya: vec![5072],
            l2tp: vec![1701],
            tzsp: vec![37_008],
            juniper_mirror: vec![30_030],
        }
    }
}

/// Limits of IP fragment reassembly. Where one is reached, the oldest datagram makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Bytes held for all datagrams, bookkeeping included.
    pub bytes: usize,
    /// Datagrams held.
    pub datagrams: usize,
    /// Pieces of one datagram. A datagram with more is abandoned.
    pub pieces: usize,
    /// Packet time from a datagram's first fragment to the last moment at which it can be completed.
    pub timeout: Duration,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self { bytes: 16 << 20, datagrams: 16_384, pieces: 1_024, timeout: Duration::from_secs(30) }
    }
}
