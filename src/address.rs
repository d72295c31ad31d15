//! Network addresses.
//!
//! One 128-bit [`Address`] holds IPv4 and IPv6 addresses. An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) equals
//! the IPv4 address, so one host has one [`Address`], whichever form a packet or a header uses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An IPv4 or IPv6 address in 16 bytes. Addresses are ordered by their IPv6 form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Address {
    high: u64,
    low: u64,
}

const MAPPED: u64 = 0xffff_0000_0000;

impl Address {
    /// The first address in order.
    pub const LOWEST: Self = Self { high: 0, low: 0 };

    /// An IPv4 address from its four bytes in network order.
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self { high: 0, low: MAPPED | u32::from_be_bytes(octets) as u64 }
    }

    /// An IPv6 address from its sixteen bytes in network order.
    pub const fn v6(octets: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(octets);
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// Returns the upper and the lower 64 bits, for hashing.
    pub const fn halves(self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// Returns the last byte, in which the addresses of a network differ most.
    pub const fn last_byte(self) -> u8 {
        self.low as u8
    }

    /// Returns the address as the standard library's type. An IPv4-mapped IPv6 address becomes an IPv4 address.
    pub const fn to_ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from_bits(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits((self.high as u128) << 64 | self.low as u128))
        }
    }

    /// Returns whether this is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        self.high == 0 && self.low >> 32 == 0xffff
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip.octets()),
            IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// An address and a TCP port, ordered by address first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Endpoint {
    /// The IP address.
    pub address: Address,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Stands for an endpoint that was never seen: `[::]:0`.
    pub const UNKNOWN: Self = Self::new(Address::v6([0; 16]), 0);

    /// An endpoint from its parts.
    pub const fn new(address: Address, port: u16) -> Self {
        Self { address, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address.to_ip(), self.port).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_ipv6_is_ipv4() {
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Address::from(mapped), Address::v4([192, 0, 2, 1]));
        assert_eq!(Address::from(mapped).to_string(), "192.0.2.1");
        for text in ["2001:db8::1", "::", "::1", "0.0.0.0", "255.255.255.255", "::fffe:192.0.2.1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).to_ip(), ip);
        }
    }
}
