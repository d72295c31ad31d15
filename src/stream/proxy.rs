//! The PROXY protocol's preface, versions 1 and 2.
//!
//! In: the first bytes of a client's stream. Out: the length of the preface and the source that it names. The preface of any
//! sender is recognised, so that the bytes after it can be read. Whether its source is believed is decided elsewhere, by the
//! settings of trusted proxies.

use crate::address::{Address, Endpoint};
use std::net::IpAddr;

/// The PROXY preface in a stream's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preface {
    /// The bytes are no preface.
    None,
    /// The bytes may be a preface; more bytes are needed.
    Part,
    /// The bytes begin like a preface, but cannot be read.
    Refused,
    /// A whole preface of version 1 or 2.
    Whole {
        version: u8,
        length: usize,
        /// `None` for UNKNOWN, LOCAL, UNIX and address families other than IP.
        source: Option<Endpoint>,
    },
}

const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, line end included.
const MAX_V1_BYTES: usize = 107;

/// Reads a preface at the start of `bytes`.
#[inline]
pub(super) fn preface(bytes: &[u8]) -> Preface {
    match bytes.first() {
        Some(b'P') => version_1(bytes),
        Some(b'\r') => version_2(bytes),
        _ => Preface::None,
    }
}

fn version_1(bytes: &[u8]) -> Preface {
    let common = bytes.len().min(V1.len());
    if bytes[..common] != V1[..common] {
        return Preface::None;
    }
    let shown = &bytes[..bytes.len().min(MAX_V1_BYTES)];
    let Some(end) = memchr::memchr(b'\n', shown) else {
        return if bytes.len() >= MAX_V1_BYTES { Preface::Refused } else { Preface::Part };
    };
    let line = shown[..end].strip_suffix(b"\r").unwrap_or(&shown[..end]);
    let mut words = line.split(|byte| *byte == b' ').skip(1);
    let source = match words.next() {
        Some(b"UNKNOWN") => None,
        Some(b"TCP4" | b"TCP6") => match source_v1(words) {
            Some(source) => Some(source),
            None => return Preface::Refused,
        },
        _ => return Preface::Refused,
    };
    Preface::Whole { version: 1, length: end + 1, source }
}

/// `source destination source-port destination-port`
fn source_v1<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Endpoint> {
    let mut text = || words.next().and_then(|word| std::str::from_utf8(word).ok());
    let source: IpAddr = text()?.parse().ok()?;
    let _destination: IpAddr = text()?.parse().ok()?;
    let port: u16 = text()?.parse().ok()?;
    Some(Endpoint::new(source.into(), port))
}

fn version_2(bytes: &[u8]) -> Preface {
    let common = bytes.len().min(V2.len());
    if bytes[..common] != V2[..common] {
        return Preface::None;
    }
    let Some(&[command, family, high, low]) = bytes.get(12..16) else { return Preface::Part };
    if command >> 4 != 2 || command & 0xf > 1 {
        return Preface::Refused;
    }
    let length = 16 + usize::from(u16::from_be_bytes([high, low]));
    let Some(block) = bytes.get(16..length) else { return Preface::Part };
    let local = command & 0xf == 0;
    // The high four bits are the address family (1 IPv4, 2 IPv6, 3 UNIX), the low four bits the transport. TLVs follow the
    // addresses.
    let source = match family >> 4 {
        _ if local => None,
        1 => match block {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                Some(Endpoint::new(Address::v4([*a, *b, *c, *d]), u16::from_be_bytes([*high, *low])))
            }
            _ => return Preface::Refused,
        },
        2 => match (block.first_chunk::<16>(), block.get(32..36)) {
            (Some(address), Some(&[high, low, _, _])) => {
                Some(Endpoint::new(Address::v6(*address), u16::from_be_bytes([high, low])))
            }
            _ => return Preface::Refused,
        },
        _ => None,
    };
    Preface::Whole { version: 2, length, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        let socket: std::net::SocketAddr = text.parse().unwrap();
        Endpoint::new(socket.ip().into(), socket.port())
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = V2.to_vec();
        bytes.extend([command, family]);
        bytes.extend((block.len() as u16).to_be_bytes());
        bytes.extend(block);
        bytes
    }

    #[test]
    fn version_1_lines() {
        let whole = |source: Option<&str>, length| Preface::Whole { version: 1, length, source: source.map(endpoint) };
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\nGET", whole(Some("192.0.2.1:4711"), 40)),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", whole(Some("[2001:db8::1]:1"), 44)),
            ("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 65535\r\n", whole(Some("192.0.2.1:1"), 49)),
            ("PROXY UNKNOWN\r\n", whole(None, 15)),
            ("PROXY UNKNOWN ff::1 ff::2 1 2\r\n", whole(None, 31)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 70000 80\r\n", Preface::Refused),
            ("PROXY TCP4 192.0.2.1\r\n", Preface::Refused),
            ("PROXY UDP4 192.0.2.1 192.0.2.2 1 80\r\n", Preface::Refused),
            ("PROXY TCP4 192.0.2", Preface::Part),
            ("PRO", Preface::Part),
            ("PROPFIND / HTTP/1.1\r\n", Preface::None),
            ("POST / HTTP/1.1\r\n", Preface::None),
        ] {
            assert_eq!(preface(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(preface(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), Preface::Refused);
    }

    #[test]
    fn version_2_headers() {
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0, 80];
        let mut six = [0u8; 36];
        six[..16].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        six[32..34].copy_from_slice(&[0, 9]);
        let with_tlv = [four.as_slice(), &[0x20, 0, 5, 1, 2, 3, 4, 5, 4, 0, 0]].concat();
        for (bytes, source) in [
            (v2(0x21, 0x11, &four), Some("192.0.2.1:4711")),
            (v2(0x21, 0x11, &with_tlv), Some("192.0.2.1:4711")),
            (v2(0x21, 0x21, &six), Some("[2001:db8::1]:9")),
            (v2(0x20, 0x11, &four), None),
            (v2(0x20, 0, &[]), None),
            (v2(0x21, 0x31, &[7; 216]), None),
        ] {
            let expected = Preface::Whole { version: 2, length: bytes.len(), source: source.map(endpoint) };
            assert_eq!(preface(&bytes), expected);
            assert_eq!(preface(&[bytes.as_slice(), b"GET / HTTP/1.1\r\n"].concat()), expected);
            for cut in 1..bytes.len() {
                assert_eq!(preface(&bytes[..cut]), Preface::Part, "{cut}");
            }
        }
        for refused in [v2(0x11, 0x11, &four), v2(0x2f, 0x11, &four), v2(0x21, 0x11, &four[..8]), v2(0x21, 0x21, &four)]
        {
            assert_eq!(preface(&refused), Preface::Refused);
        }
        assert_eq!(preface(b"\r\n\r\nGET / HTTP/1.1\r\n"), Preface::None);
    }
}
