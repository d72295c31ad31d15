//! Fingerprints of hellos: JA3, JA4 and JA4S.
//!
//! In: hello messages. Out: fingerprints as they are written in lists of known programs. Promises: GREASE values (RFC 8701)
//! do not count.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest, Md5};

use super::{
    cursor::{is_grease, numbers},
    hello::{ALPN, ClientHello, SERVER_NAME, ServerHello},
};

/// JA3: the MD5 of a ClientHello's lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ja3([u8; 16]);

/// JA4: 36 ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ja4([u8; 36]);

/// JA4S: 25 ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ja4s([u8; 25]);

impl fmt::Display for Ja3 {
    /// Writes 32 hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Display for Ja4 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Ja4s {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Ja4 {
    /// The fingerprint as text.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Ja4s {
    /// The fingerprint as text.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Ja3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ja3({self})")
    }
}

impl fmt::Debug for Ja4 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ja4({self})")
    }
}

impl fmt::Debug for Ja4s {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ja4s({self})")
    }
}

/// Computes JA3: version, suites, extensions, groups and point formats in decimal.
pub(super) fn ja3(hello: &ClientHello<'_>) -> Ja3 {
    let mut text = Vec::with_capacity(512);
    let extensions = hello.extensions.iter().map(|(kind, _)| kind);
    let formats = hello.point_formats.iter().map(|format| u16::from(*format));
    join_decimal(&mut text, [hello.legacy_version].into_iter());
    text.push(b',');
    join_decimal(&mut text, numbers(hello.suites).filter(|suite| !is_grease(*suite)));
    text.push(b',');
    join_decimal(&mut text, extensions.filter(|kind| !is_grease(*kind)));
    text.push(b',');
    join_decimal(&mut text, numbers(hello.groups).filter(|group| !is_grease(*group)));
    text.push(b',');
    join_decimal(&mut text, formats);
    Ja3(Md5::digest(&text).into())
}

/// Computes JA4 of a ClientHello that came over TCP.
pub(super) fn ja4(hello: &ClientHello<'_>) -> Ja4 {
    let mut suites: Vec<u16> = numbers(hello.suites).filter(|suite| !is_grease(*suite)).collect();
    let mut kinds: Vec<u16> = hello.extensions.iter().map(|(kind, _)| kind).filter(|kind| !is_grease(*kind)).collect();
    let name = if hello.server_name.is_some() { b'd' } else { b'i' };
    let mut text = Vec::with_capacity(36);
    text.push(b't');
    text.extend_from_slice(version_digits(hello.version()));
    text.push(name);
    text.extend_from_slice(&count_digits(suites.len()));
    text.extend_from_slice(&count_digits(kinds.len()));
    text.extend_from_slice(&alpn_characters(hello.first_alpn()));
    text.push(b'_');
    suites.sort_unstable();
    kinds.retain(|kind| *kind != SERVER_NAME && *kind != ALPN);
    kinds.sort_unstable();
    push_hash(&mut text, &join_hex(suites.iter().copied()));
    text.push(b'_');
    let mut hashed = join_hex(kinds.iter().copied());
    let algorithms = join_hex(numbers(hello.signature_algorithms).filter(|algorithm| !is_grease(*algorithm)));
    if !algorithms.is_empty() {
        hashed.push(b'_');
        hashed.extend_from_slice(&algorithms);
    }
    push_hash(&mut text, &hashed);
    Ja4(fixed(&text))
}

/// Computes JA4S of a ServerHello that came over TCP.
pub(super) fn ja4s(hello: &ServerHello<'_>) -> Ja4s {
    let kinds = hello.extensions.iter().map(|(kind, _)| kind).filter(|kind| !is_grease(*kind));
    let mut text = Vec::with_capacity(25);
    text.push(b't');
    text.extend_from_slice(version_digits(hello.version));
    text.extend_from_slice(&count_digits(kinds.clone().count()));
    text.extend_from_slice(&alpn_characters(hello.alpn));
    text.push(b'_');
    text.extend_from_slice(&join_hex([hello.suite].into_iter()));
    text.push(b'_');
    push_hash(&mut text, &join_hex(kinds));
    Ja4s(fixed(&text))
}

/// Adds numbers in decimal.
fn join_decimal(text: &mut Vec<u8>, values: impl Iterator<Item = u16>) {
    for (index, value) in values.enumerate() {
        if index != 0 {
            text.push(b'-');
        }
        for unit in [10000, 1000, 100, 10, 1] {
            if value >= unit || unit == 1 {
                text.push(b'0' + (value / unit % 10) as u8);
            }
        }
    }
}

/// Returns numbers as four hexadecimal digits each.
fn join_hex(values: impl Iterator<Item = u16>) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    for (index, value) in values.enumerate() {
        if index != 0 {
            text.push(b',');
        }
        text.extend_from_slice(&[digit_of(value >> 12), digit_of(value >> 8), digit_of(value >> 4), digit_of(value)]);
    }
    text
}

/// Adds the first 12 digits of the text's SHA-256; zeros for an empty text.
fn push_hash(text: &mut Vec<u8>, hashed: &[u8]) {
    if hashed.is_empty() {
        text.extend_from_slice(b"000000000000");
        return;
    }
    for byte in digest(&SHA256, hashed).as_ref().iter().take(6) {
        text.extend_from_slice(&[digit_of((byte >> 4).into()), digit_of((*byte).into())]);
    }
}

/// Returns the last four bits as a hexadecimal digit.
fn digit_of(value: u16) -> u8 {
    match (value & 15) as u8 {
        small @ 0..=9 => b'0' + small,
        large => b'a' - 10 + large,
    }
}

/// Returns a count as two decimal digits; 99 for any higher one.
fn count_digits(count: usize) -> [u8; 2] {
    let count = count.min(99) as u8;
    [b'0' + count / 10, b'0' + count % 10]
}

fn version_digits(version: u16) -> &'static [u8] {
    match version {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        _ => b"00",
    }
}

/// The first and the last character of a protocol. If one of them is neither a letter nor a digit, those of the protocol in
/// hexadecimal.
fn alpn_characters(protocol: &[u8]) -> [u8; 2] {
    let (Some(first), Some(last)) = (protocol.first(), protocol.last()) else { return *b"00" };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [*first, *last];
    }
    [digit_of((first >> 4).into()), digit_of((*last).into())]
}

/// Copies a text of fixed length.
fn fixed<const N: usize>(text: &[u8]) -> [u8; N] {
    text.first_chunk().copied().unwrap_or([b'0'; N])
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    fn list16(numbers: &[u16]) -> Vec<u8> {
        testing::list16(&numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
    }

    /// Computes JA3 and JA4 of a ClientHello with these suites and extensions.
    fn of(suites: &[u16], list: &[(u16, Vec<u8>)]) -> (String, String) {
        let message = testing::client_hello([1; 32], &[2; 32], suites, list);
        let hello = ClientHello::read(&message[4..]).expect("whole");
        (ja3(&hello).to_string(), ja4(&hello).to_string())
    }

    const CHROME_SUITES: [u16; 16] = [
        0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
        0x002f, 0x0035,
    ];

    fn chrome(last: u16) -> Vec<(u16, Vec<u8>)> {
        let algorithms = list16(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        let versions = vec![6, 0x7a, 0x7a, 3, 4, 3, 3];
        let mut list = vec![(0x3a3a, vec![]), (43, versions), (13, algorithms), (16, vec![0, 3, 2, b'h', b'2'])];
        let name = [&[0, 7, 0, 0, 4][..], b"test"].concat();
        list.push((0, name));
        for kind in [0x0005, 0x000a, 0x000b, 0x0012, 0x0017, 0x001b, 0x0023, 0x002d, 0x0033, 0x4469, 0xff01, last] {
            list.push((kind, vec![]));
        }
        list
    }

    /// Fingerprints of Chrome in the description of JA4.
    #[test]
    fn chrome_has_its_published_ja4() {
        assert_eq!(of(&CHROME_SUITES, &chrome(0x0015)).1, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(of(&CHROME_SUITES, &chrome(0xfe0d)).1, "t13d1516h2_8daaf6152771_02713d6af862");
    }

    /// The examples in the description of JA3, whose version is that of TLS 1.0.
    #[test]
    fn published_examples_of_ja3() {
        let suites = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4];
        let list = [(0, vec![]), (10, list16(&[23, 24, 25])), (11, vec![1, 0])];
        for (suites, list, expected) in [
            (&suites[..], &list[..], "ada70206e40642a3e4461f35503241d5"),
            (&[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], &[], "de350869b8c85de67a350c8d186f11e6"),
        ] {
            let mut message = testing::client_hello([1; 32], &[], suites, list);
            message[4..6].copy_from_slice(&[3, 1]);
            let hello = ClientHello::read(&message[4..]).expect("whole");
            assert_eq!(ja3(&hello).to_string(), expected);
        }
    }

    #[test]
    fn placeholders_do_not_count() {
        let mut with = chrome(0x0015);
        with.push((0xfafa, vec![0]));
        let suites: Vec<_> = CHROME_SUITES.iter().copied().chain([0x9a9a]).collect();
        assert_eq!(of(&suites, &with), of(&CHROME_SUITES, &chrome(0x0015)));
    }

    #[test]
    fn hellos_without_lists_have_fingerprints() {
        assert_eq!(of(&[], &[]).1, "t12i000000_000000000000_000000000000");
        let odd = [(16, vec![0, 3, 2, 0xab, 0xcd]), (0x0d, list16(&[0x0403]))];
        let (_, text) = of(&[0x1301], &odd);
        assert!(text.starts_with("t12i0102ad_"), "{text}");
        assert_eq!(&alpn_characters(b"x"), b"xx");
        assert_eq!(&alpn_characters(b"http/1.1"), b"h1");
    }

    /// A server of TLS 1.3 in the description of JA4S.
    #[test]
    fn a_published_ja4s() {
        let list = [(0x0033, vec![]), (0x002b, vec![3, 4])];
        let message = testing::server_hello(0x0304, [1; 32], &[], 0x1301, &list);
        let hello = ServerHello::read(&message[4..]).expect("whole");
        assert_eq!(ja4s(&hello).to_string(), "t130200_1301_234ea6891581");
    }
}
