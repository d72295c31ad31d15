//! JSON, written straight into a buffer.
//!
//! In: names, numbers and bytes from the wire. Out: one JSON object, always on one line and always valid UTF-8.
//! Promises: no bytes can end a string early; bytes that are not UTF-8 are written as `\xHH` text, and the caller learns that
//! something was not plain text.

use crate::byte_scan;
use crate::{
    address::Address,
    printable::is_printable,
    time::{FRACTION_LENGTH, NANOS_PER_SECOND, SECOND_LENGTH, Timestamp},
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whether bytes from the wire were written as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Written {
    /// Printable text, unchanged.
    Plain,
    /// Control characters, or bytes that are not UTF-8.
    Sanitized,
}

impl Written {
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Plain { other } else { self }
    }
}

/// A member's name as it stands after another member: `,"name":`. Made by [`key!`], whose names are ours and need no escaping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(pub(crate) &'static str);

macro_rules! key {
    ($name:literal) => {
        $crate::document::json::Key(concat!(",\"", $name, "\":"))
    };
}
pub(crate) use key;

/// One JSON document under construction.
pub(crate) struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    /// Starts an object.
    pub(crate) fn object(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    /// Goes on within an object that has a member already.
    pub(crate) fn within(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// How long the output is.
    pub(crate) fn position(&self) -> usize {
        self.out.len()
    }

    /// Ends the document with a line feed.
    pub(crate) fn end_line(&mut self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// Writes text that is JSON already, such as a prepared fragment; the caller sees to the commas.
    #[inline]
    pub(crate) fn raw(&mut self, fragment: &[u8]) {
        self.out.extend_from_slice(fragment);
    }

    /// A member's name. Compiled into its place, where the name is a constant: most of a document's pieces are names.
    #[inline(always)]
    pub(crate) fn key(&mut self, name: Key) {
        let Key(name) = name;
        if self.is_first() {
            self.out.extend_from_slice(&name.as_bytes()[1..]);
        } else {
            self.out.extend_from_slice(name.as_bytes());
        }
    }

    /// Opens a nested object; [`close`](Self::close) takes what this returns.
    #[inline]
    pub(crate) fn open(&mut self, name: Key) -> usize {
        let before = self.out.len();
        self.key(name);
        self.out.push(b'{');
        before
    }

    /// Closes a nested object, or takes it back when nothing was put in.
    #[inline]
    pub(crate) fn close(&mut self, before: usize) {
        if self.out.last() == Some(&b'{') { self.out.truncate(before) } else { self.out.push(b'}') }
    }

    /// Opens an object that is an array's element.
    pub(crate) fn open_element(&mut self) {
        self.comma();
        self.out.push(b'{');
    }

    /// Closes an object that is an array's element.
    pub(crate) fn close_element(&mut self) {
        self.out.push(b'}');
    }

    /// Opens an array.
    pub(crate) fn open_array(&mut self, name: Key) {
        self.key(name);
        self.out.push(b'[');
    }

    /// Closes an array.
    pub(crate) fn close_array(&mut self) {
        self.out.push(b']');
    }

    /// A member that is an integer.
    #[inline]
    pub(crate) fn number(&mut self, name: Key, value: u64) {
        self.key(name);
        self.integer(value);
    }

    /// A member that is a number with up to three decimals.
    pub(crate) fn decimal(&mut self, name: Key, value: f64) {
        self.key(name);
        let rounded = (value * 1000.0).round() / 1000.0;
        self.out.extend_from_slice(rounded.to_string().as_bytes());
    }

    /// A member that is true or false.
    pub(crate) fn flag(&mut self, name: Key, value: bool) {
        self.key(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A member that is text of our own, which may still hold anything.
    #[inline]
    pub(crate) fn text(&mut self, name: Key, value: &str) {
        let _ours = self.bytes(name, value.as_bytes());
    }

    /// A member that is bytes from the wire.
    #[inline]
    pub(crate) fn bytes(&mut self, name: Key, value: &[u8]) -> Written {
        self.key(name);
        self.string(value)
    }

    /// A member that is bytes from the wire, left out when there are none.
    #[inline]
    pub(crate) fn optional_bytes(&mut self, name: Key, value: &[u8]) -> Written {
        if value.is_empty() { Written::Plain } else { self.bytes(name, value) }
    }

    /// A member that is a name of ours, known to be plain ASCII.
    #[inline]
    pub(crate) fn name(&mut self, name: Key, value: &str) {
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    /// A member that is a time.
    #[inline]
    pub(crate) fn time(&mut self, name: Key, value: Timestamp) {
        self.key(name);
        self.out.push(b'"');
        write_time(self.out, value);
        self.out.push(b'"');
    }

    /// A member that is an address.
    #[inline]
    pub(crate) fn address(&mut self, name: Key, value: Address) {
        self.key(name);
        self.out.push(b'"');
        write_address(self.out, value);
        self.out.push(b'"');
    }

    /// An array's element that is bytes from the wire.
    pub(crate) fn element_bytes(&mut self, value: &[u8]) -> Written {
        self.comma();
        self.string(value)
    }

    /// An array's element that is text of our own.
    pub(crate) fn element_text(&mut self, value: &str) {
        let _ours = self.element_bytes(value.as_bytes());
    }

    /// An array's element that is an address.
    pub(crate) fn element_address(&mut self, value: Address) {
        self.comma();
        self.out.push(b'"');
        write_address(self.out, value);
        self.out.push(b'"');
    }

    #[inline]
    fn comma(&mut self) {
        if !self.is_first() {
            self.out.push(b',');
        }
    }

    /// Returns whether nothing stands in the object or array yet.
    #[inline]
    fn is_first(&self) -> bool {
        matches!(self.out.last(), Some(b'{' | b'['))
    }

    #[inline]
    fn integer(&mut self, value: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    #[inline]
    fn string(&mut self, value: &[u8]) -> Written {
        self.out.push(b'"');
        let written = write_escaped(self.out, value);
        self.out.push(b'"');
        written
    }
}

/// Appends the inside of a JSON string.
#[inline]
fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) -> Written {
    if byte_scan::are_plain(bytes) {
        out.extend_from_slice(bytes);
        Written::Plain
    } else {
        write_odd(out, bytes)
    }
}

/// Appends what holds a byte that is not plain.
#[cold]
fn write_odd(out: &mut Vec<u8>, bytes: &[u8]) -> Written {
    let mut written = Written::Plain;
    for chunk in bytes.utf8_chunks() {
        written = written.and(write_text(out, chunk.valid()));
        for &byte in chunk.invalid() {
            out.extend_from_slice(&[b'\\', b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            written = Written::Sanitized;
        }
    }
    written
}

/// Appends valid text, escaping what JSON must escape and every character that a reader cannot see or takes for a line's end.
fn write_text(out: &mut Vec<u8>, text: &str) -> Written {
    let mut written = Written::Plain;
    let mut copied = 0;
    for (at, character) in text.char_indices() {
        let escape = match character {
            '"' | '\\' => true,
            _ => !is_printable(character),
        };
        if !escape {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[copied..at]);
        copied = at + character.len_utf8();
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            _ => {
                write_unicode_escape(out, character);
                written = Written::Sanitized;
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[copied..]);
    written
}

/// `\uHHHH` of a character, twice for a character above U+FFFF.
fn write_unicode_escape(out: &mut Vec<u8>, character: char) {
    for code in character.encode_utf16(&mut [0; 2]) {
        let digit = |shift: u32| HEX[usize::from(*code >> shift & 15)];
        out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    }
}

/// Appends an address as text.
fn write_address(out: &mut Vec<u8>, address: Address) {
    match address.to_ip() {
        std::net::IpAddr::V4(ip) => {
            let mut text = [b'.'; 16];
            let mut length = 0;
            let mut put = |byte: u8| {
                text[length] = byte;
                length += 1;
            };
            for octet in ip.octets() {
                if octet >= 100 {
                    put(b'0' + octet / 100);
                }
                if octet >= 10 {
                    put(b'0' + octet / 10 % 10);
                }
                put(b'0' + octet % 10);
                put(b'.');
            }
            out.extend_from_slice(&text[..length - 1]);
        }
        // Writing into a vector cannot fail.
        std::net::IpAddr::V6(ip) => drop(std::io::Write::write_fmt(out, format_args!("{ip}"))),
    }
}

/// Writes times. The text of a second is made once for all times within that second.
#[derive(Debug)]
pub(crate) struct TimeWriter {
    /// The second since the epoch that was last written.
    second: Option<u64>,
    /// The time that was last written, in quotation marks.
    text: [u8; TIME_LENGTH + 2],
}

/// Length of `2026-11-24T21:45:15.123456789Z`.
const TIME_LENGTH: usize = SECOND_LENGTH + FRACTION_LENGTH;

impl Default for TimeWriter {
    fn default() -> Self {
        Self { second: None, text: [b'"'; TIME_LENGTH + 2] }
    }
}

impl TimeWriter {
    /// A member that is a time.
    #[inline]
    pub(crate) fn write(&mut self, json: &mut Json<'_>, name: Key, time: Timestamp) {
        let second = time.as_nanos() / NANOS_PER_SECOND;
        if self.second != Some(second) {
            self.second = Some(second);
            self.text[1..=SECOND_LENGTH].copy_from_slice(&time.second_text());
        }
        self.text[1 + SECOND_LENGTH..=TIME_LENGTH].copy_from_slice(&time.fraction_text());
        json.key(name);
        json.raw(&self.text);
    }
}

/// Appends a time as RFC 3339 with nanoseconds.
fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&time.second_text());
    out.extend_from_slice(&time.fraction_text());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(bytes: &[u8]) -> (String, Written) {
        let mut out = Vec::new();
        let mut json = Json::object(&mut out);
        let written = json.bytes(key!("field"), bytes);
        json.end_line();
        (String::from_utf8(out).unwrap(), written)
    }

    #[test]
    fn escapes_what_could_break_a_line_or_a_string() {
        for (bytes, inside, kind) in [
            (&b"/plain?a=b"[..], r"/plain?a=b", Written::Plain),
            (br#"a"b\c"#, r#"a\"b\\c"#, Written::Plain),
            (b"a\r\nb\0\x1b[31m\x7f", r"a\u000d\u000ab\u0000\u001b[31m\u007f", Written::Sanitized),
            ("é€😀".as_bytes(), "é€😀", Written::Plain),
            ("a\u{2028}\u{85}b".as_bytes(), r"a\u2028\u0085b", Written::Sanitized),
            ("a\u{202e}\u{ad}\u{e0041}b".as_bytes(), r"a\u202e\u00ad\udb40\udc41b", Written::Sanitized),
            (b"caf\xe9\x22", r#"caf\\xe9\""#, Written::Sanitized),
            (b"\xed\xa0\x80", r"\\xed\\xa0\\x80", Written::Sanitized),
        ] {
            assert_eq!(written(bytes), (format!("{{\"field\":\"{inside}\"}}\n"), kind));
        }
    }

    #[test]
    fn empty_objects_are_taken_back() {
        let mut out = Vec::new();
        let mut json = Json::object(&mut out);
        json.number(key!("a"), 1);
        let outer = json.open(key!("b"));
        let inner = json.open(key!("c"));
        json.close(inner);
        json.close(outer);
        let kept = json.open(key!("d"));
        json.flag(key!("e"), true);
        json.close(kept);
        json.open_array(key!("f"));
        json.element_text("y");
        json.element_text("x");
        json.close_array();
        json.end_line();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":1,\"d\":{\"e\":true},\"f\":[\"y\",\"x\"]}\n");
    }

    proptest! {
        #[test]
        fn any_bytes_stay_one_string_on_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (line, kind) = written(&bytes);
            let ends_a_line = |c: char| !is_printable(c);
            prop_assert!(!line.trim_end_matches('\n').chars().any(ends_a_line));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let back = value["field"].as_str().unwrap();
            match std::str::from_utf8(&bytes) {
                Ok(text) => prop_assert_eq!(back, text),
                Err(_) => prop_assert_eq!(kind, Written::Sanitized),
            }
            if kind == Written::Plain {
                prop_assert_eq!(back.as_bytes(), &bytes[..]);
            }
        }

        #[test]
        fn times_and_addresses_print_as_display_does(nanos in any::<u64>(), bits in any::<u128>(), v4 in any::<u32>()) {
            let mut out = Vec::new();
            write_time(&mut out, Timestamp::from_nanos(nanos));
            prop_assert_eq!(String::from_utf8(out).unwrap(), Timestamp::from_nanos(nanos).to_string());
            for address in [Address::v6(bits.to_be_bytes()), Address::v4(v4.to_be_bytes())] {
                let mut out = Vec::new();
                write_address(&mut out, address);
                prop_assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
            }
        }
    }
}
