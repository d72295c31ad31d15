//! Compares the reading of header blocks with a simple byte-by-byte reading, and the reading of start lines with their
//! tolerant reading.

use crate::{
    exchange::Version,
    stream::http1::{
        field_values::{Length, Persistence},
        fields::{End, Fields, each_line, value},
        start_line::{self, RequestLine, StartLine},
    },
};
use proptest::prelude::*;

/// The lines, each with whether it is odd, and the block's length with whether its end is a bare LF.
type Block = (Vec<(Vec<u8>, bool)>, Option<(usize, bool)>);

fn obvious_block(bytes: &[u8]) -> Block {
    let line_feed = |from: usize| (from..bytes.len()).find(|at| bytes[*at] == b'\n');
    let is_blank = |at: usize| matches!(bytes[at], b' ' | b'\t');
    let (mut lines, mut start) = (Vec::new(), 0);
    while let Some(mut end) = line_feed(start) {
        match &bytes[start..end] {
            b"" => return (lines, Some((end + 1, true))),
            b"\r" => return (lines, Some((end + 1, false))),
            b"\r\r" if bytes[..start].ends_with(b"\r\r\n") => return (lines, Some((end + 1, true))),
            _ => {}
        }
        let mut odd = bytes[end - 1] != b'\r' || is_blank(start);
        while end + 1 < bytes.len() && is_blank(end + 1) {
            odd = true;
            let Some(next) = line_feed(end + 1) else { return (lines, None) };
            end = next;
        }
        if end + 1 == bytes.len() {
            return (lines, None);
        }
        let text = &bytes[start..end];
        lines.push((text.strip_suffix(b"\r").unwrap_or(text).to_vec(), odd));
        start = end + 1;
    }
    (lines, None)
}

fn obvious_value<'a>(line: &'a [u8], name: &[u8]) -> Option<(&'a [u8], bool)> {
    let rest = line.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &line[name.len()..])?;
    let colon = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | 0))?;
    rest[colon..].strip_prefix(b":").map(|value| (value.trim_ascii(), colon != 0))
}

fn request_of(bytes: &[u8]) -> Option<RequestLine<'_>> {
    match start_line::start_line(bytes) {
        StartLine::Request(line, _) => Some(line),
        _ => None,
    }
}

proptest! {
    #[test]
    fn lines_are_found_as_one_looks_for_them(
        pieces in prop::collection::vec(
            prop_oneof![
                4 => "[A-Za-z]{1,12}: [ -~]{0,90}",
                1 => Just(" folded".to_owned()),
                1 => Just("\t".to_owned()),
                1 => Just("\r".to_owned()),
                1 => Just(String::new()),
            ],
            0..12,
        ),
        ends in prop::collection::vec(prop::sample::select(&["\r\n", "\r\n", "\r\n", "\n", "\r"][..]), 12),
        cut in any::<prop::sample::Index>(),
    ) {
        let text: String = pieces.iter().zip(&ends).flat_map(|(piece, end)| [piece.as_str(), end]).collect();
        for bytes in [text.as_bytes(), &text.as_bytes()[..cut.index(text.len() + 1)]] {
            let mut lines = Vec::new();
            let end = each_line(bytes, |text, odd| lines.push((text.to_vec(), odd)));
            let found = (lines, end.map(|End { length, bare }| (length, bare)));
            prop_assert_eq!(found, obvious_block(bytes));
        }
    }

    #[test]
    fn names_are_told_as_one_compares_them(
        name in prop::sample::select(&[
            "via", "host", "server", "referer", "location", "forwarded", "user-agent", "content-length",
            "cf-connecting-ip", "transfer-encoding",
        ][..]),
        capitals in any::<u32>(),
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        colon in prop::sample::select(&[":", ": ", ":\t", " :", "\t : ", "\0:", ";", ""][..]),
        text in prop_oneof!["[ -~]{0,6}", "[\t a\r\0]{0,4}"],
    ) {
        let mut line = format!("{name}{colon}{text}").into_bytes();
        for at in (0..name.len()).filter(|at| capitals >> at & 1 == 1) {
            line[at].make_ascii_uppercase();
        }
        if let Some((index, byte)) = change {
            let at = index.index(name.len());
            line[at] = byte;
        }
        let found = match name {
            "via" => value(&line, b"via"),
            "host" => value(&line, b"host"),
            "server" => value(&line, b"server"),
            "referer" => value(&line, b"referer"),
            "location" => value(&line, b"location"),
            "forwarded" => value(&line, b"forwarded"),
            "user-agent" => value(&line, b"user-agent"),
            "content-length" => value(&line, b"content-length"),
            "cf-connecting-ip" => value(&line, b"cf-connecting-ip"),
            _ => value(&line, b"transfer-encoding"),
        };
        prop_assert_eq!(found, obvious_value(&line, name.as_bytes()));
    }

    #[test]
    fn a_target_is_the_same_between_one_blank_and_several(
        method in prop::sample::select(&["GET", "HEAD", "G", "PROPFIND"][..]),
        target in "[!-~]([ -~\0\r\t]{0,80}[!-~])?",
        minor in 0u8..=9,
    ) {
        let plain = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
        let spread = format!("{method}  {target} \tHTTP/1.{minor} \r\n").into_bytes();
        let expected = RequestLine {
            method: method.as_bytes(),
            target: target.as_bytes(),
            version: Version { major: 1, minor },
        };
        prop_assert_eq!(request_of(&plain), Some(expected));
        prop_assert_eq!(request_of(&spread), Some(expected));
    }
}

#[test]
fn lengths_and_options_may_be_said_in_any_way() {
    let lengths: [(&[u8], Length); 8] = [
        (b"Content-Length: 153\r\n\r\n", Length::Known(153)),
        (b"Content-Length: 000000000153\r\n\r\n", Length::Known(153)),
        (b"Content-Length: 12345678901\r\n\r\n", Length::Known(12_345_678_901)),
        (b"Content-Length: 7, 7\r\nContent-Length: 7\r\n\r\n", Length::Known(7)),
        (b"Content-Length: 7\r\nContent-Length: 8\r\n\r\n", Length::Unusable),
        (b"Content-Length: \r\n\r\n", Length::Unusable),
        (b"Content-Length: -1\r\n\r\n", Length::Unusable),
        (b"Content-Length: 9223372036854775808\r\n\r\n", Length::Unusable),
    ];
    for (block, expected) in lengths {
        assert_eq!(Fields::scan(block).0.length, expected, "{}", block.escape_ascii());
    }
    let options: [(&[u8], Persistence); 6] = [
        (b"Connection: Keep-Alive\r\n\r\n", Persistence::KeepAlive),
        (b"Connection: CLOSE\r\nConnection: keep-alive\r\n\r\n", Persistence::Close),
        (b"Connection: keep-alive\r\nConnection: close\r\n\r\n", Persistence::Close),
        (b"Connection: TE , close\r\n\r\n", Persistence::Close),
        (b"Connection: upgrade,keep-alive\r\n\r\n", Persistence::KeepAlive),
        (b"Connection: closed\r\n\r\n", Persistence::Unsaid),
    ];
    for (block, expected) in options {
        assert_eq!(Fields::scan(block).0.persistence, expected, "{}", block.escape_ascii());
    }
}
