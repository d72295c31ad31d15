//! The text of key logs (RFC 9850), as programs really write it.
//!
//! In: the bytes of a key log, cut anywhere. Out: a [`Line`] for each secret that decryption can use, and counts of everything
//! else. Promises: any cut of the same bytes gives the same lines; at most [`MAX_LINE`] bytes are kept of a line that is not
//! finished; nothing that was read is in any message.
//!
//! A line is `LABEL <client random> <secret>`, both in hexadecimal. Accepted beyond that:
//!
//! - upper and lower case digits, CRLF, several blanks and tabs, a byte order mark, comments;
//! - text before the label, such as the prefix of a syslog message, and several labels in one line, between which syslog writes
//!   `#012` for a line feed;
//! - `-` or nothing where HAProxy has no value;
//! - secrets of zeros, which some proxies write as a placeholder and which are ignored;
//! - secrets of 64 bytes, which eCapture writes where it does not know the length: padded with zeros, or with what was in the
//!   buffer;
//! - zero bytes at the start of a line, which a file has after its writer was not told of a truncation;
//! - `RSA <first 8 bytes of the encrypted premaster secret> <premaster secret>`, which Wireshark reads too.

use memchr::memchr;
use zeroize::Zeroizing;

use super::super::decrypt::{Label, MAX_SECRET, Secret};
use crate::counters;

/// The longest line in bytes, without its line feed. A line has up to 200 bytes; syslog may put five of them into one.
pub(super) const MAX_LINE: usize = 2048;

/// The length of the master secret and the premaster secret of TLS 1.2.
const MASTER: usize = 48;
/// The lengths of the hashes of TLS 1.3 cipher suites.
const HASHES: [usize; 2] = [32, 48];

counters! {
    /// What key logs held.
    pub struct KeyLogCounters {
        /// Lines read from key logs, comments and empty lines included.
        lines,
        /// Comments and empty lines.
        lines_blank,
        /// Lines of key logs without a label that is known.
        lines_unrecognised,
        /// Lines of key logs longer than 2 KiB, skipped.
        lines_too_long,
        /// Secrets in key logs that decryption can use, repeated ones included.
        secrets_read,
        /// Labels whose client random or secret is no hexadecimal number of the right length.
        secrets_malformed,
        /// Labels without a secret.
        secrets_absent,
        /// Secrets that consist of zeros.
        secrets_zero,
        /// Secrets of QUIC connections.
        secrets_quic,
        /// Secrets for exporters and encrypted ClientHellos, which are not needed.
        secrets_unused,
        /// Master secrets by session identifier and premaster secrets by client random, which are not supported.
        secrets_unsupported,
    }
}

/// By what a secret is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The label and the client random of the connection.
    Connection(Label, [u8; 32]),
    /// The first 8 bytes of an encrypted premaster secret.
    Premaster([u8; 8]),
}

/// A secret that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// By what it is found.
    pub key: Key,
    /// The secret: 48 bytes for TLS 1.2, 32 or 48 bytes for TLS 1.3.
    pub secret: Secret,
}

/// Reads one key log.
#[derive(Debug, Default)]
pub struct KeyLog {
    /// The line that is not finished yet.
    partial: Zeroizing<Vec<u8>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The next byte begins a line.
    #[default]
    LineStart,
    /// The line is in `partial` as far as it was read.
    InLine,
    /// The rest of the line is not read.
    Skipping,
}

impl KeyLog {
    /// Begins in the middle of a key log. What comes before the first line feed is not read.
    pub fn in_the_middle() -> Self {
        Self { state: State::Skipping, ..Self::default() }
    }

    /// Reads the next bytes and gives each secret in them to `take`.
    pub(super) fn read(&mut self, mut bytes: &[u8], counters: &mut KeyLogCounters, take: &mut dyn FnMut(Line)) {
        while !bytes.is_empty() {
            if self.state == State::LineStart {
                let padding = bytes.iter().take_while(|&&byte| byte == 0).count();
                bytes = bytes.get(padding..).unwrap_or_default();
            }
            let Some(end) = memchr(b'\n', bytes) else {
                self.keep(bytes, counters);
                return;
            };
            let (line, rest) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
            match self.state {
                State::LineStart => read_whole(line, counters, take),
                State::InLine => {
                    self.keep(line, counters);
                    self.finish(counters, take);
                }
                State::Skipping => {}
            }
            (self.state, bytes) = (State::LineStart, rest);
        }
    }

    /// Reads the last line if it has no line feed. The next bytes begin a new line.
    pub(super) fn finish(&mut self, counters: &mut KeyLogCounters, take: &mut dyn FnMut(Line)) {
        if std::mem::take(&mut self.state) == State::InLine {
            read_whole(&self.partial, counters, take);
        }
        self.forget();
    }

    /// Forgets the line that is not finished. The next bytes begin a new line.
    pub fn reset(&mut self) {
        self.state = State::LineStart;
        self.forget();
    }

    /// Keeps part of a line.
    fn keep(&mut self, part: &[u8], counters: &mut KeyLogCounters) {
        if part.is_empty() || self.state == State::Skipping {
            return;
        }
        if self.partial.len() + part.len() > MAX_LINE {
            counters.lines += 1;
            counters.lines_too_long += 1;
            self.state = State::Skipping;
            self.forget();
            return;
        }
        // All the room is allocated at once, because a buffer that grows leaves copies behind.
        self.partial.reserve(MAX_LINE);
        self.partial.extend_from_slice(part);
        self.state = State::InLine;
    }

    /// Overwrites the partial line.
    fn forget(&mut self) {
        self.partial.fill(0);
        self.partial.clear();
    }
}

/// What a label stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Used(Label),
    Quic,
    Unused,
    /// `PMS_CLIENT_RANDOM`.
    PremasterByRandom,
    /// `RSA`, in either of its forms.
    Rsa,
}

impl Kind {
    fn of(token: &[u8]) -> Option<Self> {
        Some(match token {
            b"CLIENT_RANDOM" => Self::Used(Label::ClientRandom),
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Self::Used(Label::ClientEarlyTraffic),
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Self::Used(Label::ClientHandshakeTraffic),
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Self::Used(Label::ServerHandshakeTraffic),
            b"CLIENT_TRAFFIC_SECRET_0" => Self::Used(Label::ClientTraffic),
            b"SERVER_TRAFFIC_SECRET_0" => Self::Used(Label::ServerTraffic),
            b"RSA" => Self::Rsa,
            b"PMS_CLIENT_RANDOM" => Self::PremasterByRandom,
            b"EXPORTER_SECRET" | b"EARLY_EXPORTER_SECRET" | b"EARLY_EXPORTER_MASTER_SECRET" => Self::Unused,
            b"ECH_SECRET" | b"ECH_CONFIG" => Self::Unused,
            _ if token.starts_with(b"QUIC_") => Self::Quic,
            // Secrets after a key update. They can be computed from the first ones.
            _ if token.starts_with(b"CLIENT_TRAFFIC_SECRET_") || token.starts_with(b"SERVER_TRAFFIC_SECRET_") => {
                Self::Unused
            }
            _ => return None,
        })
    }
}

/// Reads a line without its line feed.
fn read_whole(line: &[u8], counters: &mut KeyLogCounters, take: &mut dyn FnMut(Line)) {
    counters.lines += 1;
    if line.len() > MAX_LINE {
        counters.lines_too_long += 1;
        return;
    }
    let mut rest = line;
    let first = next_token(&mut rest);
    if first.is_none_or(|first| first.starts_with(b"#")) {
        counters.lines_blank += 1;
        return;
    }
    let (mut token, mut is_known) = (first, false);
    while let Some(word) = token {
        let Some(kind) = Kind::of(word) else {
            token = next_token(&mut rest);
            continue;
        };
        // The letters RSA may also stand in the text before a label.
        if kind == Kind::Rsa && !begins_rsa(rest) {
            token = next_token(&mut rest);
            continue;
        }
        is_known = true;
        read_secret(kind, &mut rest, counters, take);
        token = next_token(&mut rest);
    }
    counters.lines_unrecognised += u64::from(!is_known);
}

/// Reads what follows a label.
fn read_secret(kind: Kind, rest: &mut &[u8], counters: &mut KeyLogCounters, take: &mut dyn FnMut(Line)) {
    let (Some(key), Some(secret)) = (next_value(rest), next_value(rest)) else {
        counters.secrets_absent += 1;
        return;
    };
    match kind {
        Kind::Quic => counters.secrets_quic += 1,
        Kind::Unused => counters.secrets_unused += 1,
        Kind::PremasterByRandom => counters.secrets_unsupported += 1,
        Kind::Rsa if key.contains(&b':') => counters.secrets_unsupported += 1,
        Kind::Rsa => {
            let key = decoded(key).and_then(|key| Some(Key::Premaster(key.bytes().try_into().ok()?)));
            read_value(key, secret, &[MASTER], counters, take);
        }
        Kind::Used(label) => {
            let key = decoded(key).and_then(|random| Some(Key::Connection(label, random.bytes().try_into().ok()?)));
            let lengths = if label == Label::ClientRandom { &[MASTER][..] } else { &HASHES };
            read_value(key, secret, lengths, counters, take);
        }
    }
}

/// Reads the digits of a secret that may have one of these lengths, in ascending order.
fn read_value(
    key: Option<Key>,
    digits: &[u8],
    lengths: &[usize],
    counters: &mut KeyLogCounters,
    take: &mut dyn FnMut(Line),
) {
    let (Some(key), Some(secret)) = (key, decoded(digits)) else {
        counters.secrets_malformed += 1;
        return;
    };
    let bytes = secret.bytes();
    if is_zero(bytes) {
        counters.secrets_zero += 1;
        return;
    }
    if !lengths.contains(&bytes.len()) && bytes.len() != MAX_SECRET {
        counters.secrets_malformed += 1;
        return;
    }
    counters.secrets_read += 1;
    for &length in lengths {
        let (Some(secret), Some(padding)) = (bytes.get(..length).and_then(Secret::new), bytes.get(length..)) else {
            continue;
        };
        let is_padded = is_zero(padding);
        if is_padded || bytes.len() == MAX_SECRET {
            take(Line { key, secret });
        }
        // A longer secret does not end in so many zeros.
        if is_padded && bytes.len() == MAX_SECRET {
            return;
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Returns whether what follows the word `RSA` belongs to one of its two forms.
fn begins_rsa(mut rest: &[u8]) -> bool {
    let Some(key) = next_token(&mut rest) else { return false };
    key.starts_with(b"Session-ID:") || key.len() == 16 && decoded(key).is_some()
}

/// Removes the next value. Returns `None`, and leaves the next label where it is, if the value is absent.
fn next_value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut after = *rest;
    let token = next_token(&mut after)?;
    if Kind::of(token).is_some() {
        return None;
    }
    *rest = after;
    (token != b"-").then_some(token)
}

/// Removes the next token: characters of ASCII without blanks and quotation marks.
fn next_token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut bytes = *rest;
    while let separator @ 1.. = separator(bytes) {
        bytes = bytes.get(separator..).unwrap_or_default();
    }
    let mut length = 0;
    while let Some(rest) = bytes.get(length..) {
        // Most bytes are digits, which cannot begin a separator.
        length += rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if bytes.get(length..).is_none_or(|rest| rest.is_empty() || separator(rest) > 0) {
            break;
        }
        length += 1;
    }
    let (token, after) = bytes.split_at_checked(length)?;
    *rest = after;
    (!token.is_empty()).then_some(token)
}

/// Returns the length of the separator at the start, or 0 if there is none. Syslog writes a line feed as `#012`.
#[inline]
fn separator(bytes: &[u8]) -> usize {
    match bytes {
        [b'#', b'0', b'1', b'2', ..] => 4,
        [b'\\', b'n', ..] => 2,
        [0..=b' ' | b'"' | 0x7f.., ..] => 1,
        _ => 0,
    }
}

/// Decodes hexadecimal digits, at most 128 of them. Returns `None` if they are no bytes.
fn decoded(digits: &[u8]) -> Option<Secret> {
    let mut bytes = Zeroizing::new([0; MAX_SECRET]);
    if digits.len() > 2 * MAX_SECRET {
        return None;
    }
    let (pairs, odd) = digits.as_chunks::<2>();
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    if !odd.is_empty() {
        return None;
    }
    Secret::new(bytes.get(..pairs.len())?)
}

fn digit(character: u8) -> Option<u8> {
    Some(match character {
        b'0'..=b'9' => character - b'0',
        b'a'..=b'f' => character - b'a' + 10,
        b'A'..=b'F' => character - b'A' + 10,
        _ => return None,
    })
}

/// Fuzz entry: reads the bytes whole and in pieces, whose lengths the first byte chooses, and compares the secrets.
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz target calls it"))]
pub fn fuzz(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else { return };
    let whole = read_in_pieces(data, data.len().max(1));
    let pieces = read_in_pieces(data, usize::from(step).max(1));
    assert!(whole == pieces, "pieces give other secrets");
    assert!(whole.1.iter().all(|line| HASHES.contains(&line.secret.bytes().len())));
}

/// Reads a key log in pieces of the same length.
#[cfg(any(test, fuzzing))]
pub(super) fn read_in_pieces(data: &[u8], step: usize) -> (KeyLogCounters, Vec<Line>) {
    let (mut log, mut counters, mut lines) = (KeyLog::default(), KeyLogCounters::default(), Vec::new());
    for piece in data.chunks(step) {
        log.read(piece, &mut counters, &mut |line| lines.push(line));
        assert!(log.partial.len() <= MAX_LINE);
    }
    log.finish(&mut counters, &mut |line| lines.push(line));
    (counters, lines)
}
