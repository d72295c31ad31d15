//! Which proxies are trusted, and which header each of them writes.
//!
//! In: words such as `10.0.0.0/8` and `10.0.0.0/8=x-real-ip`. Out: [`TrustedProxy`]. Promises: a header that only some proxies
//! write is believed only where it is named, because a proxy that does not write a header passes on what the client sent.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::address::Address;

/// A header by which a trusted proxy names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientHeader {
    /// `X-Forwarded-For`, a list.
    XForwardedFor,
    /// `Forwarded` (RFC 7239), a list.
    Forwarded,
    /// `CF-Connecting-IP`.
    CfConnectingIp,
    /// `True-Client-IP`.
    TrueClientIp,
    /// `X-Real-IP`.
    XRealIp,
}

impl ClientHeader {
    /// All headers.
    pub const ALL: [Self; 5] =
        [Self::XForwardedFor, Self::Forwarded, Self::CfConnectingIp, Self::TrueClientIp, Self::XRealIp];

    /// The field name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::CfConnectingIp => "cf-connecting-ip",
            Self::TrueClientIp => "true-client-ip",
            Self::XRealIp => "x-real-ip",
        }
    }

    /// Returns whether each proxy appends an element. A proxy replaces the value of any other header.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::XForwardedFor | Self::Forwarded)
    }
}

/// What is believed of a trusted proxy's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// `X-Forwarded-For` or `Forwarded`, whichever is present.
    #[default]
    Lists,
    /// This header alone.
    Header(ClientHeader),
}

/// A network of trusted proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy {
    /// The proxies' addresses.
    pub network: IpNet,
    /// What is believed of their requests.
    pub trust: Trust,
}

/// What is believed of the requests of this address, or `None` if it belongs to no trusted proxy. Of several networks that
/// hold the address, the smallest decides.
pub(super) fn trust_of(proxies: &[TrustedProxy], address: Address) -> Option<Trust> {
    if proxies.is_empty() {
        return None;
    }
    let ip = address.to_ip();
    let holding = proxies.iter().filter(|proxy| proxy.network.contains(&ip));
    holding.max_by_key(|proxy| proxy.network.prefix_len()).map(|proxy| proxy.trust)
}

/// The reason why a trusted proxy could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedProxyError {
    /// Neither an address nor a network.
    #[error("'{0}' is not an address or a network, such as 192.0.2.10 or 192.0.2.0/24, with or without =HEADER")]
    Network(String),
    /// A header that cannot be read.
    #[error("'{0}' is not a header that names clients: write {names}", names = ClientHeader::ALL.map(ClientHeader::name).join(", "))]
    Header(String),
}

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    /// Reads `NETWORK` or `NETWORK=HEADER`.
    fn from_str(text: &str) -> Result<Self, TrustedProxyError> {
        let (network, header) = text.split_once('=').map_or((text, None), |(network, header)| (network, Some(header)));
        let network = network.trim();
        let network = network.parse::<IpNet>().or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| TrustedProxyError::Network(text.to_owned()))?;
        let trust = match header.map(str::trim) {
            None => Trust::Lists,
            Some(name) => {
                let known = ClientHeader::ALL.into_iter().find(|header| header.name().eq_ignore_ascii_case(name));
                Trust::Header(known.ok_or_else(|| TrustedProxyError::Header(name.to_owned()))?)
            }
        };
        Ok(Self { network, trust })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.network.prefix_len() == self.network.max_prefix_len() {
            write!(f, "{}", self.network.addr())?;
        } else {
            write!(f, "{}", self.network)?;
        }
        match self.trust {
            Trust::Lists => Ok(()),
            Trust::Header(header) => write!(f, "={}", header.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_written() {
        for (text, written) in [
            ("192.0.2.10", "192.0.2.10"),
            ("192.0.2.10/32 = X-Real-IP", "192.0.2.10=x-real-ip"),
            ("10.0.0.0/8=forwarded", "10.0.0.0/8=forwarded"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(text.parse::<TrustedProxy>().unwrap().to_string(), written);
        }
        for (text, complaint) in
            [("proxy", "is not an address or a network"), ("10.0.0.0/8=host", "'host' is not a header")]
        {
            assert!(text.parse::<TrustedProxy>().unwrap_err().to_string().contains(complaint));
        }
    }

    #[test]
    fn the_smallest_network_decides() {
        let proxies: Vec<TrustedProxy> =
            ["10.0.0.0/8", "10.1.0.0/16=x-real-ip", "10.0.0.0/9=forwarded"].map(|text| text.parse().unwrap()).into();
        let trust = |octets| trust_of(&proxies, Address::v4(octets));
        assert_eq!(trust([10, 200, 0, 1]), Some(Trust::Lists));
        assert_eq!(trust([10, 2, 0, 1]), Some(Trust::Header(ClientHeader::Forwarded)));
        assert_eq!(trust([10, 1, 0, 1]), Some(Trust::Header(ClientHeader::XRealIp)));
        assert_eq!(trust([192, 0, 2, 1]), None);
    }
}
