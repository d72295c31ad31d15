//! Numbers by which a header announces what follows it, as IEEE and IANA assigned them.
//!
//! In: nothing. Out: constants. A tunnel's own numbers are in its file under `tunnel/`, unless another header names
//! them too.

/// Internet protocol numbers.
pub(super) mod protocol {
    pub(in crate::decode) const HOP_BY_HOP: u8 = 0;
    pub(in crate::decode) const ICMP: u8 = 1;
    pub(in crate::decode) const IPV4: u8 = 4;
    pub(in crate::decode) const TCP: u8 = 6;
    pub(in crate::decode) const UDP: u8 = 17;
    pub(in crate::decode) const IPV6: u8 = 41;
    pub(in crate::decode) const ROUTING: u8 = 43;
    pub(in crate::decode) const FRAGMENT: u8 = 44;
    pub(in crate::decode) const ESP: u8 = 50;
    pub(in crate::decode) const AUTHENTICATION: u8 = 51;
    pub(in crate::decode) const ICMPV6: u8 = 58;
    pub(in crate::decode) const NO_NEXT: u8 = 59;
    pub(in crate::decode) const DESTINATION_OPTIONS: u8 = 60;
    pub(in crate::decode) const SCTP: u8 = 132;
    pub(in crate::decode) const MOBILITY: u8 = 135;
    pub(in crate::decode) const HIP: u8 = 139;
    pub(in crate::decode) const SHIM6: u8 = 140;
}

/// EtherTypes.
pub(super) mod ethertype {
    /// The highest number that is an 802.3 length and not a type.
    pub(in crate::decode) const LONGEST_LENGTH: u16 = 1500;
    pub(in crate::decode) const IPV4: u16 = 0x0800;
    pub(in crate::decode) const ARP: u16 = 0x0806;
    pub(in crate::decode) const BRIDGING: u16 = 0x6558;
    pub(in crate::decode) const VLAN: u16 = 0x8100;
    pub(in crate::decode) const IPV6: u16 = 0x86dd;
    pub(in crate::decode) const PPP: u16 = 0x880b;
    pub(in crate::decode) const MPLS: u16 = 0x8847;
    pub(in crate::decode) const PPPOE: u16 = 0x8864;
    pub(in crate::decode) const JUMBO_LLC: u16 = 0x8870;
    pub(in crate::decode) const SERVICE_VLAN: u16 = 0x88a8;
    pub(in crate::decode) const NSH: u16 = 0x894f;

    /// Returns whether a VLAN tag follows: 802.1Q, 802.1ad, and the numbers that were in use before 802.1ad.
    #[inline]
    pub(in crate::decode) const fn is_vlan(kind: u16) -> bool {
        matches!(kind, VLAN | SERVICE_VLAN | 0x9100 | 0x9200 | 0x9300)
    }
}
