//! The identifier of a document: `event.id`.
//!
//! In: an exchange. Out: its [`Identifier`]. Promises: every sensor that saw the exchange, every leg of a mirror and every
//! replay gives the same identifier, so that receivers can remove duplicates. An event and its exchange have the same
//! identifier. Two different exchanges have different identifiers.
//!
//! The identifier is the SHA-1 of these 54 bytes, numbers in network byte order:
//!
//! | bytes | hold |
//! |---|---|
//! | 0 | the version of this layout: 1 |
//! | 1 | the protocol: 1 HTTP/1, 2 HTTP/2, 3 TLS |
//! | 2–17 | the client's address as the connection has it, IPv4 as IPv4-mapped IPv6 |
//! | 18–19 | the client's port |
//! | 20–35 | the server's address |
//! | 36–37 | the server's port |
//! | 38–45 | the stream within the connection, 0 in HTTP/1 |
//! | 46–53 | [`Exchange::position`] |
//!
//! The client is the connection's peer, not the client that a proxy names, because each sensor has its own list of trusted
//! proxies. Tunnels, VLAN tags, time stamps and packet numbers are not part of the identifier.

use std::fmt;

use super::digest::Block;
use crate::{
    address::Endpoint,
    exchange::{Exchange, Protocol},
};

/// The version of the layout.
const LAYOUT: u8 = 1;

/// The identifier of a document, 20 bytes. Documents show it as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Identifier([u8; 20]);

impl Identifier {
    /// The number of digits of an identifier as text.
    pub const DIGITS: usize = 40;

    /// Makes the identifier of an exchange and of its error event.
    pub fn of(exchange: &Exchange) -> Self {
        let (client, server) = exchange.endpoints.unwrap_or((Endpoint::UNKNOWN, Endpoint::UNKNOWN));
        let mut block = Block::new();
        block.push(&[LAYOUT, number_of(exchange.protocol)]);
        push_endpoint(&mut block, client);
        push_endpoint(&mut block, server);
        block.push(&exchange.stream.to_be_bytes());
        block.push(&exchange.position.to_be_bytes());
        Self(block.digest())
    }

    /// Parses 40 hexadecimal digits.
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        let pairs: &[[u8; 2]; 20] = digits.as_chunks().0.try_into().ok().filter(|_| digits.len() == Self::DIGITS)?;
        let mut bytes = [0; 20];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        }
        Some(Self(bytes))
    }

    /// Returns the 40 hexadecimal digits.
    #[inline]
    pub fn digits(&self) -> [u8; Self::DIGITS] {
        let mut digits = [0; Self::DIGITS];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = PAIRS[usize::from(byte)];
        }
        digits
    }

    /// Returns whether this is a real identifier. Statistics have none.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// The two hexadecimal digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Returns the protocol's number in the layout. These numbers must never change.
const fn number_of(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Http1 => 1,
        Protocol::Http2 => 2,
        Protocol::Tls => 3,
    }
}

#[inline]
fn push_endpoint(block: &mut Block, endpoint: Endpoint) {
    let (high, low) = endpoint.address.halves();
    block.push(&high.to_be_bytes());
    block.push(&low.to_be_bytes());
    block.push(&endpoint.port.to_be_bytes());
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::Address, event::testing, time::Timestamp};

    fn exchange() -> Exchange {
        let mut exchange = testing::exchange(testing::client(7), Timestamp::from_nanos(5), 8, 404, "/a");
        exchange.position = 0x0102_0304;
        exchange
    }

    #[test]
    fn is_this_hash_of_this_layout() {
        // The expected value was computed with Python's hashlib, for client 198.51.100.7:40000 and server 203.0.113.80:80.
        assert_eq!(Identifier::of(&exchange()).to_string(), "f51d35c67ef1ee178e3f7fd56de3959f86daf071");
    }

    #[test]
    fn each_part_of_the_layout_counts_and_nothing_else() {
        let known = Identifier::of(&exchange());
        let parts: [fn(&mut Exchange); 6] = [
            |exchange| exchange.position += 1,
            |exchange| exchange.stream += 1,
            |exchange| exchange.protocol = Protocol::Http2,
            |exchange| exchange.endpoints = Some((testing::client(8), testing::SERVER)),
            |exchange| {
                exchange.endpoints = Some((testing::client(7), Endpoint::new(Address::v4([203, 0, 113, 80]), 81)))
            },
            |exchange| exchange.endpoints = None,
        ];
        for change in parts {
            let mut other = exchange();
            change(&mut other);
            assert_ne!(Identifier::of(&other), known);
        }
        let mut seen_elsewhere = exchange();
        seen_elsewhere.encapsulation.vlans = [7, 8];
        seen_elsewhere.response_start = None;
        seen_elsewhere.target = seen_elsewhere.store(b"/other");
        assert_eq!(Identifier::of(&seen_elsewhere), known);
    }

    #[test]
    fn digits_are_read_back() {
        let known = Identifier::of(&exchange());
        assert_eq!(Identifier::from_digits(&known.digits()), Some(known));
        for digits in [&b""[..], b"12", &[b'g'; 40], &[b'0'; 42]] {
            assert_eq!(Identifier::from_digits(digits), None);
        }
    }
}
