//! The scope of a flow, which tells overlapping address spaces apart.
//!
//! In: a segment's VLAN tags and tunnels. Out: the identifier that is part of the flow key. By default this is 0, because a
//! SPAN port may mirror the two directions of one connection in different VLANs.

use crate::decode::Encapsulation;

/// Which tag or tunnel identifier is part of the flow key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowScope {
    /// None: the 5-tuple alone.
    #[default]
    None,
    /// The innermost VLAN.
    Vlan,
    /// The innermost tunnel's identifier.
    Tunnel,
}

impl FlowScope {
    /// Returns the scope of a segment with this encapsulation.
    #[inline]
    pub const fn of(self, encapsulation: &Encapsulation) -> u32 {
        match self {
            Self::None => 0,
            Self::Vlan if encapsulation.vlans[1] != 0 => encapsulation.vlans[1] as u32,
            Self::Vlan => encapsulation.vlans[0] as u32,
            Self::Tunnel => encapsulation.tunnel_id,
        }
    }
}
