//! Recognises a file by its first bytes.
//!
//! In: the first bytes of an input that is not a capture. Out: a description of what the input looks like, and advice for
//! the user.

use std::fmt;

/// Bytes that are enough to recognise every format that this module knows. The last one needed is a tar archive's magic
/// number at byte 257.
pub(super) const ENOUGH: usize = 512;

/// What an input that is not a capture looks like, and advice for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resemblance {
    /// What the input looks like.
    pub what: &'static str,
    /// What the user should do.
    pub advice: &'static str,
}

impl fmt::Display for Resemblance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it looks like {}; {}", self.what, self.advice)
    }
}

const CONVERT: &str = "convert it first: editcap -F pcapng IN OUT";
const UNPACK: &str = "unpack it and name the captures inside";
const NAME_A_CAPTURE: &str = "name a pcap or pcapng file, plain or compressed with gzip, zstd, lz4 or xz";
const LOGS: &str = "this program reads packets, not logs; name a pcap or pcapng file";

/// Magic numbers at byte 0.
const MAGICS: &[(&[u8], &str, &str)] = &[
    (b"BZh", "bzip2 data", "decompress it first: bunzip2"),
    (b"\x1f\x9d", "compress (.Z) data", "decompress it first: uncompress"),
    (b"\x1f\xa0", "compress (LZH) data", "decompress it first: uncompress"),
    (b"\x5d\x00\x00", "lzma data", "decompress it first: unlzma"),
    (b"LZIP", "lzip data", "decompress it first: lzip -d"),
    (b"\x04\x22\x4d\x18", "lz4 data", NAME_A_CAPTURE),
    (b"snoop\0\0\0", "a Solaris snoop capture", CONVERT),
    (b"GMBU", "a Microsoft Network Monitor 2 capture", CONVERT),
    (b"RTSS", "a Microsoft Network Monitor 1 capture", CONVERT),
    (b"btsnoop\0", "a Bluetooth btsnoop capture", "it holds no IP traffic; name a network capture"),
    (b"TRSNIFF data    \x1a", "a Network General Sniffer capture", CONVERT),
    (b"XCP\0", "a NetXRay or Sniffer capture", CONVERT),
    (b"\x1c\x00\x01\xac", "an Ixia lcap capture", CONVERT),
    (b"\x1c\x00\x01\xab", "an Ixia lcap capture", CONVERT),
    (b"\xac\x01\x00\x1c", "an Ixia lcap capture", CONVERT),
    (b"\xab\x01\x00\x1c", "an Ixia lcap capture", CONVERT),
    (b"ObserverPktBuffe", "a Network Instruments Observer capture", CONVERT),
    (b"pktt", "a NetApp trace", CONVERT),
    (b"\x54\x00\x00\x02", "an etl trace", "convert it first: etl2pcapng IN OUT"),
    (b"\x7fELF", "an ELF program or library", NAME_A_CAPTURE),
    (b"MZ", "a Windows program", NAME_A_CAPTURE),
    (b"\xcf\xfa\xed\xfe", "a macOS program", NAME_A_CAPTURE),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"PK\x05\x06", "an empty ZIP archive", NAME_A_CAPTURE),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"!<arch>\n", "a Debian package or ar archive", UNPACK),
    (b"\xed\xab\xee\xdb", "an RPM package", NAME_A_CAPTURE),
    (b"070701", "a cpio archive", UNPACK),
    (b"%PDF-", "a PDF document", NAME_A_CAPTURE),
    (b"\x89PNG", "a PNG image", NAME_A_CAPTURE),
    (b"\xff\xd8\xff", "a JPEG image", NAME_A_CAPTURE),
    (b"GIF8", "a GIF image", NAME_A_CAPTURE),
    (b"SQLite format 3\0", "an SQLite database", NAME_A_CAPTURE),
    (b"LPKSHHRH", "a systemd journal", LOGS),
    (b"ElfFile\0", "a Windows event log", LOGS),
    (b"PERFILE2", "a Linux perf recording", NAME_A_CAPTURE),
    (b"OggS", "an Ogg recording", NAME_A_CAPTURE),
    (b"PAR1", "a Parquet table", NAME_A_CAPTURE),
];

/// Kinds of text, by their first characters after white space and a byte-order mark.
const TEXTS: &[(&[u8], &str, &str)] = &[
    (b"<!doctype html", "an HTML page", "perhaps a download that failed; fetch the capture itself"),
    (b"<html", "an HTML page", "perhaps a download that failed; fetch the capture itself"),
    (b"<?xml", "an XML document", NAME_A_CAPTURE),
    (b"<pdml", "a PDML export", "it is a dissection, not packets; name the capture it was made from"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"#!", "a script", NAME_A_CAPTURE),
    (b"#separator", "a Zeek log", LOGS),
    (b"#fields", "a Zeek or W3C log", LOGS),
    (b"#software: microsoft internet information", "an IIS log", LOGS),
    (b"http/1.", "an HTTP message saved as text", NAME_A_CAPTURE),
    (b"{", "JSON text", NAME_A_CAPTURE),
    (b"[{", "JSON text", NAME_A_CAPTURE),
    (b"-----begin ", "a PEM key or certificate", NAME_A_CAPTURE),
];

/// Returns what an input that is not a capture looks like. `head` is its first bytes, up to [`ENOUGH`].
pub(super) fn resemblance(head: &[u8]) -> Resemblance {
    let at_start = |table: &[(&[u8], &'static str, &'static str)], bytes: &[u8]| {
        table.iter().find(|(magic, ..)| bytes.starts_with(magic)).map(|&(_, what, advice)| Resemblance { what, advice })
    };
    if let Some(known) = at_start(MAGICS, head) {
        return known;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Resemblance { what: "a tar archive", advice: UNPACK };
    }
    if is_text(head) {
        let trimmed = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
        return at_start(TEXTS, &trimmed).unwrap_or_else(|| plain_text(&trimmed));
    }
    if head.iter().all(|&byte| byte == 0) {
        return Resemblance { what: "nothing but zero bytes", advice: "check that the copy or the disk is sound" };
    }
    if is_endace(head) {
        return Resemblance { what: "an Endace ERF capture", advice: CONVERT };
    }
    Resemblance { what: "binary data of an unknown kind", advice: NAME_A_CAPTURE }
}

/// Recognises a log, a dump or other text by its first line, which is in lower case.
fn plain_text(text: &[u8]) -> Resemblance {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let has = |needle: &[u8]| line.windows(needle.len()).any(|window| window == needle);
    if has(b" http/1.") || has(b" http/2") {
        return Resemblance { what: "an HTTP access log", advice: LOGS };
    }
    if has(b" ip ") && has(b" > ") {
        return Resemblance { what: "the text output of tcpdump", advice: "record packets instead: tcpdump -w FILE" };
    }
    if line.starts_with(b"0000 ") || line.starts_with(b"000000 ") {
        return Resemblance { what: "a hex dump", advice: "convert it first: text2pcap IN OUT" };
    }
    if has(b"[error]") || has(b"[warn]") || has(b"[notice]") {
        return Resemblance { what: "a server's error log", advice: LOGS };
    }
    Resemblance { what: "text", advice: NAME_A_CAPTURE }
}

/// Returns whether all bytes are printable ASCII, white space or part of UTF-8 characters.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The end of the excerpt may cut a character.
        Err(error) => error.error_len().is_none() && head.len() >= ENOUGH,
    };
    valid
        && !head.is_empty()
        && head.iter().all(|&byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
}

/// Returns whether the bytes look like ERF, which has no magic number: a record header with a known type and consistent
/// lengths, and a second such header behind the first record.
fn is_endace(head: &[u8]) -> bool {
    let record = |at: usize| -> Option<usize> {
        let header = head.get(at..at + 16)?;
        let kind = header[8] & 0x7f;
        let record_length = usize::from(u16::from_be_bytes([header[10], header[11]]));
        let wire_length = u16::from_be_bytes([header[14], header[15]]);
        ((1..=27).contains(&kind) && record_length >= 20 && wire_length > 0).then_some(at + record_length)
    };
    record(0).is_some_and(|next| next >= head.len() || record(next).is_some() || head.len() - next < 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_it_is_not() {
        let mut tar = vec![b'a'; 512];
        tar[100..200].fill(0);
        tar[257..262].copy_from_slice(b"ustar");
        let mut erf = vec![0x55u8, 1, 2, 3, 4, 5, 6, 7, 2, 4, 0, 80, 0, 0, 0, 60];
        erf.resize(80, 9);
        let cases: &[(&[u8], &str)] = &[
            (b"\x7fELF\x02\x01\x01", "ELF"),
            (b"PK\x03\x04aa", "ZIP"),
            (b"BZh91AY", "bzip2"),
            (b"GMBU\x00\x02", "Network Monitor"),
            (b"btsnoop\0\0\0\0\x01", "btsnoop"),
            (b"snoop\0\0\0\0\0\0\x02", "snoop"),
            (b"LPKSHHRH\x00", "systemd journal"),
            (b"%PDF-1.7", "PDF"),
            (b"\xef\xbb\xbf \n<!DOCTYPE HTML>", "HTML"),
            (b"{\"a\":1}\n", "JSON"),
            (b"192.0.2.1 - - [24/Nov/2026:20:00:00 +0000] \"GET / HTTP/1.1\" 404 5\n", "access log"),
            (b"2026/11/24 20:00:00 [error] 5#5: *1 open() failed\n", "error log"),
            (b"20:00:00.1 IP 192.0.2.1.80 > 192.0.2.2.5: tcp\n", "tcpdump"),
            (b"hello", "text"),
            ("h\u{e9}llo".as_bytes(), "text"),
            (b"\x00\x00\x00\x00\x00\x00", "zero bytes"),
            (b"\x93\x01\xff\xfe", "binary"),
            (&tar, "tar"),
            (&erf, "ERF"),
        ];
        for (head, word) in cases {
            let named = resemblance(head);
            assert!(named.what.contains(word), "{head:?}: {named}");
        }
    }
}
