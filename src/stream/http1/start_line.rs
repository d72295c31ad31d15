//! Start lines: which kind of message begins here, and the contents of its first line.
//!
//! In: bytes at a place where a message may begin. Out: a [`StartLine`]. Promises: the decision needs as few bytes as
//! possible. Another protocol is never taken for HTTP. The status of every status line that has a status is read.

use super::fields::line_feed;
use crate::exchange::Version;

/// A request line. Its target is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// The version; 0.9 for a line without a version.
    pub(super) version: Version,
}

impl RequestLine<'_> {
    /// Returns whether the method, one blank and the target are the first of the bytes from which the line was read.
    pub(super) fn is_plain(&self, bytes: &[u8]) -> bool {
        bytes.get(self.method.len() + 1..).is_some_and(|after| std::ptr::eq(after.as_ptr(), self.target.as_ptr()))
    }
}

/// A status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    /// 100 to 999, or 0 if the line has no three-digit status.
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
    /// Whether the line deviates from RFC 9112 and was tolerated.
    pub(super) odd: bool,
}

/// What the bytes at a possible start of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartLine<'a> {
    /// A request line, and its length with the line end.
    Request(RequestLine<'a>, usize),
    /// A status line, and its length with the line end.
    Response(StatusLine<'a>, usize),
    /// The line names HTTP like a request line, but no server could parse it.
    Malformed,
    /// The bytes may still become a request line or a status line.
    Undecided,
    /// The bytes are not the start of an HTTP message.
    Neither,
}

/// Longest word that is taken for a method. The longest registered methods are much shorter (`UPDATEREDIRECTREF` has 17
/// characters).
pub(super) const MAX_METHOD_BYTES: usize = 64;

/// Longest word after `HTTP/` that is skipped as a version.
const MAX_VERSION_BYTES: usize = 16;

/// After this many bytes, an undecided start line can only be decided by its line end.
pub(super) const UNDECIDED_BYTES: usize = MAX_METHOD_BYTES + 16;

/// Recognises the start line that begins at the first byte.
#[inline]
pub(super) fn start_line(bytes: &[u8]) -> StartLine<'_> {
    match bytes.first() {
        None => StartLine::Undecided,
        Some(b'H') if bytes.starts_with(b"HTTP/") => response_line(bytes),
        Some(b'H' | b'h' | b'I' | b'i') => match status_prefix(bytes) {
            // `ICY` may also be a request's method.
            Prefix::Whole => match response_line(bytes) {
                StartLine::Response(StatusLine { status: 0, .. }, _) if bytes[3] == b' ' => request_line(bytes),
                line => line,
            },
            Prefix::Part => StartLine::Undecided,
            Prefix::Other => request_line(bytes),
        },
        Some(_) => request_line(bytes),
    }
}

/// Returns whether a status line with a readable status begins at the first byte.
#[inline]
pub(super) fn begins_response(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(b'H' | b'h' | b'I' | b'i'))
        && matches!(start_line(bytes), StartLine::Response(StatusLine { status: 100.., .. }, _))
}

/// Returns whether an incomplete status line begins at the first byte.
pub(super) fn may_be_response(bytes: &[u8]) -> bool {
    matches!(status_prefix(bytes), Prefix::Whole) && matches!(start_line(bytes), StartLine::Undecided)
}

/// Returns whether bytes are a status line's first bytes.
pub(super) fn may_become_response(bytes: &[u8]) -> bool {
    !matches!(status_prefix(bytes), Prefix::Other)
}

/// Returns the offset of the next status line in bytes that belong to no message, or of the first bytes of one at the end.
/// Only the usual form is found: the bytes may be any text.
pub(super) fn find_status_line(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"HTTP/1.";
    let is_status_line = |at: &usize| {
        bytes[*at..].iter().skip(NAME.len()).take(6).enumerate().all(|(place, byte)| match place {
            1 => *byte == b' ',
            2 => matches!(byte, b'1'..=b'9'),
            5 => matches!(byte, b' ' | b'\r' | b'\n'),
            _ => byte.is_ascii_digit(),
        })
    };
    let cut =
        || (1..NAME.len()).rev().find(|length| bytes.ends_with(&NAME[..*length])).map(|length| bytes.len() - length);
    memchr::memmem::find_iter(bytes, NAME).find(is_status_line).or_else(cut)
}

/// Returns the offset of a request line that follows other bytes in its line or in a line before it.
pub(super) fn find_request_line(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some((_, length)) = split_line(&bytes[start..]) {
        let line = &bytes[start..start + length];
        let is_start = |at: &usize| *at == 0 || !TOKEN[line[at - 1] as usize];
        let mut starts = (0..line.len()).filter(|at| line[*at].is_ascii_uppercase()).filter(is_start);
        let found = starts.find(|at| begins_plain_request(&line[*at..]));
        if let Some(at) = found.filter(|at| start + at > 0 && begins_request(&line[*at..])) {
            return Some(start + at);
        }
        start += length;
    }
    None
}

/// Returns whether a word ends with a known method and is none itself: the bytes before it may be of another message.
pub(super) fn hides_method(method: &[u8]) -> bool {
    !is_known_method(method) && KNOWN_METHODS.iter().any(|known| method.ends_with(known))
}

/// Returns whether a method is the end of a known one and is none itself: its first letters may be missing.
pub(super) fn is_end_of_method(method: &[u8]) -> bool {
    !is_known_method(method) && KNOWN_METHODS.iter().any(|known| known.ends_with(method))
}

/// Returns whether bytes are the first bytes of a request line with a known method.
pub(super) fn may_become_plain_request(bytes: &[u8]) -> bool {
    let (method, after) = bytes.split_at(bytes.iter().take_while(|byte| TOKEN[**byte as usize]).count());
    match after {
        [] => KNOWN_METHODS.iter().any(|known| known.starts_with(method)),
        after => after == b" " && is_known_method(method),
    }
}

/// Returns the status line that begins at the first byte and was cut after its status.
pub(super) fn cut_status_line(bytes: &[u8]) -> Option<StatusLine<'_>> {
    let line = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    may_be_response(bytes).then(|| status_line(line)).filter(|line| line.status != 0)
}

/// Returns the request line that begins at the first byte with a known method, and was cut in or after its target. What is left of
/// the target ends with the bytes unless a blank and a part of the version follow it.
pub(super) fn cut_request_line(bytes: &[u8]) -> Option<RequestLine<'_>> {
    if !begins_plain_request(bytes) {
        return None;
    }
    let mut words = bytes.splitn(2, |byte| *byte == b' ');
    let (method, rest) = (words.next()?, words.next()?);
    let line = rest.strip_suffix(b"\r").unwrap_or(rest);
    let unfinished = RequestLine { method, target: line, version: Version::default() };
    let mut words = line.rsplitn(2, |byte| *byte == b' ');
    let (Some(last), Some(target)) = (words.next(), words.next()) else { return Some(unfinished) };
    let is_version = b"HTTP/".starts_with(last) || last.starts_with(b"HTTP/");
    // A shorter word may go on.
    let version = Some(last).filter(|word| word.len() >= b"HTTP/1.1".len()).and_then(request_version);
    Some(if is_version {
        RequestLine { target, version: version.unwrap_or_default(), ..unfinished }
    } else {
        unfinished
    })
}

/// Returns whether a request line with a version begins at the first byte.
pub(super) fn begins_request(bytes: &[u8]) -> bool {
    matches!(start_line(bytes), StartLine::Request(RequestLine { version: Version { major: 1.., .. }, .. }, _))
}

/// Returns whether a request line with a blank in its target begins at the first byte. Where the first bytes were only guessed to
/// begin a request, they may be the end of a body, and the request's own line follows them directly.
#[cold]
pub(super) fn has_blank_in_target(bytes: &[u8]) -> bool {
    matches!(start_line(bytes), StartLine::Request(line, _) if line.target.contains(&b' '))
}

/// Methods that are registered with IANA or common among servers and scanners.
const KNOWN_METHODS: [&[u8]; 50] = [
    b"ACL",
    b"BASELINE-CONTROL",
    b"BCOPY",
    b"BDELETE",
    b"BIND",
    b"BMOVE",
    b"BPROPFIND",
    b"BPROPPATCH",
    b"CHECKIN",
    b"CHECKOUT",
    b"CONNECT",
    b"COPY",
    b"DEBUG",
    b"DELETE",
    b"GET",
    b"HEAD",
    b"LABEL",
    b"LINK",
    b"LOCK",
    b"M-SEARCH",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MKREDIRECTREF",
    b"MKWORKSPACE",
    b"MOVE",
    b"NOTIFY",
    b"OPTIONS",
    b"ORDERPATCH",
    b"PATCH",
    b"POST",
    b"PROPFIND",
    b"PROPPATCH",
    b"PURGE",
    b"PUT",
    b"QUERY",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"SUBSCRIBE",
    b"TRACE",
    b"TRACK",
    b"UNBIND",
    b"UNCHECKOUT",
    b"UNLINK",
    b"UNLOCK",
    b"UNSUBSCRIBE",
    b"UPDATE",
    b"VERSION-CONTROL",
];

/// Returns whether a method is one of the known methods.
pub(super) fn is_known_method(method: &[u8]) -> bool {
    KNOWN_METHODS.binary_search(&method).is_ok()
}

/// Returns whether bytes begin with a known method, a blank and the first character of a target.
pub(super) fn begins_plain_request(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| TOKEN[**byte as usize]).count();
    is_known_method(&bytes[..method]) && matches!(bytes.get(method..), Some([b' ', b'/' | b'h' | b'*', ..]))
}

/// Returns whether undecided bytes look like a start line: the prefix of a status line, or a method in capitals.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let mut method = bytes.iter().take_while(|byte| TOKEN[**byte as usize]);
    !matches!(status_prefix(bytes), Prefix::Other)
        || method.all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
}

enum Prefix {
    Whole,
    Part,
    Other,
}

fn status_prefix(bytes: &[u8]) -> Prefix {
    for name in [b"HTTP/".as_slice(), b"ICY "] {
        let common = bytes.len().min(name.len());
        if bytes[..common].eq_ignore_ascii_case(&name[..common]) {
            return if common == name.len() { Prefix::Whole } else { Prefix::Part };
        }
    }
    Prefix::Other
}

/// Splits off the first line. Returns the line without its end (LF or CRLF), and its length including the end. Nearly every
/// message needs it once.
#[inline(always)]
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = line_feed(bytes)?;
    let line = &bytes[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Some programs write CR CR LF.
    Some((if let [line @ .., b'\r'] = line { line } else { line }, end + 1))
}

#[inline]
fn response_line(bytes: &[u8]) -> StartLine<'_> {
    match split_line(bytes) {
        Some((line, length)) => StartLine::Response(status_line(line), length),
        None if bytes[3] != b' ' && !has_version(&bytes[5..]) => StartLine::Neither,
        None => StartLine::Undecided,
    }
}

/// Returns whether the word after `HTTP/` is short enough for a version.
fn has_version(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_VERSION_BYTES || bytes[..MAX_VERSION_BYTES].iter().any(|byte| matches!(byte, b' ' | b'\t' | 0))
}

/// Reads a status line that is known to begin with `HTTP/` or `ICY `.
#[inline]
pub(super) fn status_line(line: &[u8]) -> StatusLine<'_> {
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b' ', a, b, c, rest @ ..] = line
        && let Some(status) = three_digits(*a, *b, *c)
        && matches!(rest.first(), None | Some(b' '))
    {
        let version = Version { major: 1, minor: minor - b'0' };
        return StatusLine { version, status, reason: rest.get(1..).unwrap_or_default(), odd: false };
    }
    odd_status_line(line)
}

/// Reads a status line tolerantly: any case, any version, tabs or NULs for blanks, several blanks, `ICY`, NULs inside words.
#[cold]
fn odd_status_line(line: &[u8]) -> StatusLine<'_> {
    let (version, rest) = match line.get(..4) {
        Some(icy) if icy.eq_ignore_ascii_case(b"ICY ") => (Version { major: 1, minor: 0 }, &line[3..]),
        _ => {
            let after = line.get(5..).unwrap_or_default();
            let end = after.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | 0)).unwrap_or(after.len());
            // A NUL ends the version only where a status follows it at once.
            let end = (0..end).find(|&at| after[at] == 0 && read_status(&after[at..]).0 != 0).unwrap_or(end);
            (version_of(&after[..end]), &after[end..])
        }
    };
    match read_status(rest) {
        (0, _) if line[3] != b' ' => status_after_any_version(&line[5..]),
        (status, reason) => StatusLine { version, status, reason, odd: true },
    }
}

/// Reads the status after a word that is not a regular version, such as `1.A`, ` 1.1` or `1.1-`.
fn status_after_any_version(text: &[u8]) -> StatusLine<'_> {
    let word = text.trim_ascii_start();
    let end = word.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(word.len());
    let is_version = end <= MAX_VERSION_BYTES
        && word[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b',' | b'-' | b'+'));
    let (status, reason) = if is_version { read_status(&word[end..]) } else { (0, &word[end..]) };
    StatusLine { version: version_of(&word[..end]), status, reason, odd: true }
}

fn version_of(text: &[u8]) -> Version {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut number = || {
        let digits = parts.next().unwrap_or_default().iter().filter(|byte| byte.is_ascii_digit());
        digits.fold(0u8, |sum, digit| sum.saturating_mul(10).saturating_add(digit - b'0'))
    };
    Version { major: number(), minor: number() }
}

/// Reads three digits after blanks; NULs among the digits are skipped. Returns the status and the text after it. The status
/// is 0 if there are more or fewer than three digits.
fn read_status(text: &[u8]) -> (u16, &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c);
    let blank = text.iter().position(|byte| !is_blank(byte) && *byte != 0).unwrap_or(text.len());
    if blank == 0 {
        return (0, text);
    }
    let word = &text[blank..];
    let end = word.iter().position(is_blank).unwrap_or(word.len());
    let mut digits = word[..end].iter().enumerate().filter(|(_, byte)| **byte != 0);
    let (Some((_, a)), Some((_, b)), Some((last, c))) = (digits.next(), digits.next(), digits.next()) else {
        return (0, word);
    };
    let ends_here = match word.get(last + 1) {
        None | Some(b' ' | b'\t' | b'\r' | 0x0b | 0x0c | 0) => true,
        Some(byte) => !byte.is_ascii_alphanumeric() && *byte != b'.',
    };
    match three_digits(*a, *b, *c) {
        Some(status) if ends_here => (status, word.get(last + 2..).unwrap_or_default()),
        _ => (0, word),
    }
}

#[inline]
fn three_digits(a: u8, b: u8, c: u8) -> Option<u16> {
    let digits = a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() && a != b'0';
    digits.then(|| u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[inline]
fn request_line(bytes: &[u8]) -> StartLine<'_> {
    let end = match bytes {
        [b'G', b'E', b'T', b' ', ..] => 3,
        _ => match method_end(bytes) {
            Ok(end) => end,
            Err(none) => return none,
        },
    };
    let Some((line, length)) = split_line(bytes) else {
        return StartLine::Undecided;
    };
    // In nearly all requests, there is one blank on each side of the target.
    if let Some((line, [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'])) = line.split_last_chunk()
        && let Some((method, [_, target @ ..])) = line.split_at_checked(end)
        && let [b'!'..=0xff, .., b'!'..=0xff] | [b'!'..=0xff] = target
    {
        let version = Version { major: 1, minor: minor - b'0' };
        return StartLine::Request(RequestLine { method, target, version }, length);
    }
    odd_request_line(line, end, length)
}

/// Returns where the method ends, if a blank follows it. Otherwise, returns what the line is.
fn method_end(bytes: &[u8]) -> Result<usize, StartLine<'_>> {
    let shown = &bytes[..bytes.len().min(MAX_METHOD_BYTES + 1)];
    match shown.iter().position(|byte| !TOKEN[*byte as usize]) {
        None if shown.len() > MAX_METHOD_BYTES => Err(StartLine::Neither),
        None => Err(StartLine::Undecided),
        Some(end) if end == 0 || !matches!(bytes[end], b' ' | b'\t') => Err(StartLine::Neither),
        Some(end) => Ok(end),
    }
}

/// Reads a request line tolerantly: several blanks or tabs, other versions or no version. The method has the length `end`.
fn odd_request_line(line: &[u8], end: usize, length: usize) -> StartLine<'_> {
    // The LF may have been inside the method's own line only after its blank.
    let rest = line.get(end + 1..).unwrap_or_default();
    let (method, rest) = (&line[..end], rest.trim_ascii());
    match rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t')) {
        Some(blank) if let Some(version) = request_version(&rest[blank + 1..]) => {
            StartLine::Request(RequestLine { method, target: rest[..blank].trim_ascii_end(), version }, length)
        }
        _ if request_version(rest).is_some() => StartLine::Malformed,
        _ if method == b"GET" && is_simple_target(rest) => {
            StartLine::Request(RequestLine { method, target: rest, version: Version { major: 0, minor: 9 } }, length)
        }
        _ if names_http(rest) => StartLine::Malformed,
        _ => StartLine::Neither,
    }
}

/// Returns whether HTTP/0.9 allows a target: a path or an http URL, without blanks.
fn is_simple_target(target: &[u8]) -> bool {
    let path =
        target.starts_with(b"/") || target.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http://"));
    path && !target.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

/// Returns whether the last word of a line begins like a version.
fn names_http(rest: &[u8]) -> bool {
    let word = rest.rsplit(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    rest.len() > word.len() && word.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"))
}

fn request_version(word: &[u8]) -> Option<Version> {
    let number = word.get(..5).filter(|name| name.eq_ignore_ascii_case(b"HTTP/")).map(|_| &word[5..])?;
    let digits = number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    (digits && number.len() <= 8 && number.first().is_some_and(u8::is_ascii_digit)).then(|| version_of(number))
}
