//! Header fields: one pass over a header block.
//!
//! In: the bytes after a start line. Out: [`Fields`]: the fields that framing, pairing and exchanges need, as slices.
//! Promises: any number of lines of any length are read in linear time. A line that is no field is skipped and does not end
//! the block.

use super::field_values::{self, Length, Persistence, Transfer, Upgrade};
use crate::exchange::{Features, FieldOrder};

/// The fields of a header block that are needed. An absent field is empty. Of a repeated field, the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fields<'a> {
    pub(super) length: Length,
    pub(super) transfer: Transfer,
    pub(super) persistence: Persistence,
    pub(super) upgrade: Upgrade,
    pub(super) expects_continue: bool,
    /// Whether the block has lines that RFC 9112 forbids and that were tolerated: folds, bare LF, blanks before the colon.
    pub(super) odd: bool,
    /// Whether a field names a client behind a proxy.
    pub(super) names_client: bool,
    /// `Cookie`, `Accept-Language`, and `Set-Cookie` of a session.
    pub(super) features: Features,
    pub(super) order: FieldOrder,
    pub(super) host: &'a [u8],
    pub(super) user_agent: &'a [u8],
    pub(super) referrer: &'a [u8],
    pub(super) content_type: &'a [u8],
    pub(super) location: &'a [u8],
    pub(super) server: &'a [u8],
    pub(super) via: &'a [u8],
    pub(super) authorization: &'a [u8],
}

/// How many values of a header block are kept as text.
pub(super) const TEXTS: usize = 8;

impl<'a> Fields<'a> {
    /// Reads a header block that may be incomplete. Returns its fields and, if it is complete, its length.
    pub(super) fn scan(bytes: &'a [u8]) -> (Self, Option<usize>) {
        let mut fields = Self::default();
        let length = fields.read(bytes);
        (fields, length)
    }

    /// Reads lines up to the empty line. Returns the length including the empty line, or `None` if the block is incomplete.
    /// Complete lines of an incomplete block are read, too.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Option<usize> {
        let (mut place, mut is_odd) = (0u8, false);
        let end = each_line(bytes, |text, odd| {
            is_odd |= odd;
            place += u8::from(place != u8::MAX);
            self.line(text, place);
        });
        self.order.fields = place;
        self.odd |= is_odd;
        let End { length, bare } = end?;
        self.odd |= bare;
        Some(length)
    }

    /// Returns the values that are kept as text.
    #[inline]
    pub(super) fn texts(&self) -> [&'a [u8]; TEXTS] {
        let Self { host, user_agent, referrer, content_type, location, server, via, authorization, .. } = *self;
        [host, user_agent, referrer, content_type, location, server, via, authorization]
    }

    /// The value with this number, in the order of [`texts`](Self::texts).
    #[inline]
    pub(super) fn text_mut(&mut self, number: usize) -> &mut &'a [u8] {
        match number {
            0 => &mut self.host,
            1 => &mut self.user_agent,
            2 => &mut self.referrer,
            3 => &mut self.content_type,
            4 => &mut self.location,
            5 => &mut self.server,
            6 => &mut self.via,
            _ => &mut self.authorization,
        }
    }

    /// Takes everything from other fields but the values that are kept as text.
    #[inline]
    pub(super) fn take_but_texts(&mut self, other: &Fields<'_>) {
        self.length = other.length;
        self.transfer = other.transfer;
        self.persistence = other.persistence;
        self.upgrade = other.upgrade;
        self.expects_continue = other.expects_continue;
        self.odd = other.odd;
        self.names_client = other.names_client;
        self.features = other.features;
        self.order = other.order;
    }

    /// Reads the next line, without its line end, of a block that was split into lines before.
    pub(super) fn take_line(&mut self, line: &'a [u8]) {
        self.order.fields = self.order.fields.saturating_add(1);
        self.line(line, self.order.fields);
    }

    #[inline(always)]
    fn line(&mut self, line: &'a [u8], place: u8) {
        let Some(first) = line.first() else { return };
        match first | 0x20 {
            b'a' => self.line_a(line, place),
            b'd' => self.note(place, line, b"date", |order| &mut order.date),
            b'h' => self.take(line, b"host", |fields| &mut fields.host),
            b'u' => {
                if let Some(found) = value(line, b"user-agent") {
                    self.keep(found, |fields| &mut fields.user_agent);
                } else if let Some((protocols, _)) = value(line, b"upgrade") {
                    self.upgrade = field_values::upgrade(protocols, self.upgrade);
                }
            }
            b'r' => self.take(line, b"referer", |fields| &mut fields.referrer),
            b's' => {
                if let Some((cookie, _)) = value(line, b"set-cookie") {
                    self.features.add_if(field_values::names_session(cookie), Features::SESSION);
                } else {
                    self.take(line, b"server", |fields| &mut fields.server);
                }
            }
            b'v' => self.take(line, b"via", |fields| &mut fields.via),
            b'l' => self.take(line, b"location", |fields| &mut fields.location),
            b'c' => self.line_c(line, place),
            b't' => {
                if let Some((value, odd)) = value(line, b"transfer-encoding") {
                    self.odd |= odd;
                    self.transfer = field_values::transfer(value, self.transfer);
                    self.place(place, |order| &mut order.transfer_encoding);
                }
                self.names_client |= value(line, b"true-client-ip").is_some();
            }
            b'e' => {
                if let Some((value, _)) = value(line, b"expect") {
                    self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
                }
            }
            b'x' => {
                self.note(place, line, b"x-powered-by", |order| &mut order.x_powered_by);
                self.names_client |= names_client_by_x(line);
            }
            b'f' => self.names_client |= value(line, b"forwarded").is_some(),
            _ => {}
        }
    }

    #[inline(always)]
    fn line_a(&mut self, line: &'a [u8], place: u8) {
        // The eighth letter distinguishes these names from `Accept`, which most requests have.
        match line.get(7).map(|letter| letter | 0x20) {
            Some(b'r') => self.note(place, line, b"accept-ranges", |order| &mut order.accept_ranges),
            Some(b'l') => {
                self.features.add_if(value(line, b"accept-language").is_some(), Features::ACCEPT_LANGUAGE);
            }
            Some(b'z') => self.take(line, b"authorization", |fields| &mut fields.authorization),
            _ => {}
        }
    }

    #[inline(always)]
    fn line_c(&mut self, line: &'a [u8], place: u8) {
        // The fourth letter distinguishes most of these names from each other, and from the cookie fields.
        match line.get(3).map(|letter| letter | 0x20) {
            Some(b't') => {
                if let Some((value, odd)) = value(line, b"content-length") {
                    self.odd |= odd;
                    self.length = field_values::length(value, self.length);
                    self.place(place, |order| &mut order.content_length);
                } else if let Some(found) = value(line, b"content-type") {
                    self.place(place, |order| &mut order.content_type);
                    self.keep(found, |fields| &mut fields.content_type);
                } else {
                    self.note(place, line, b"content-language", |order| &mut order.content_language);
                }
            }
            Some(b'n') => {
                if let Some((value, _)) = value(line, b"connection") {
                    self.place(place, |order| &mut order.connection);
                    self.persistence = field_values::persistence(value, self.persistence);
                }
            }
            Some(b'k') => self.features.add_if(value(line, b"cookie").is_some(), Features::COOKIE),
            _ => self.names_client |= value(line, b"cf-connecting-ip").is_some(),
        }
    }

    /// Notes the position of a field, if the line has this name.
    #[inline(always)]
    fn note<const N: usize>(
        &mut self,
        place: u8,
        line: &[u8],
        name: &[u8; N],
        slot: impl FnOnce(&mut FieldOrder) -> &mut u8,
    ) {
        if value(line, name).is_some() {
            self.place(place, slot);
        }
    }

    #[inline(always)]
    fn place(&mut self, place: u8, slot: impl FnOnce(&mut FieldOrder) -> &mut u8) {
        let slot = slot(&mut self.order);
        if *slot == 0 {
            *slot = place;
        }
    }

    #[inline]
    fn take<const N: usize>(&mut self, line: &'a [u8], name: &[u8; N], field: impl FnOnce(&mut Self) -> &mut &'a [u8]) {
        if let Some(found) = value(line, name) {
            self.keep(found, field);
        }
    }

    /// Keeps a field's value, unless the field already has a value.
    #[inline]
    fn keep(&mut self, (value, odd): (&'a [u8], bool), field: impl FnOnce(&mut Self) -> &mut &'a [u8]) {
        self.odd |= odd;
        let slot = field(self);
        if slot.is_empty() {
            *slot = value;
        }
    }
}

/// The end of a header block.
pub(super) struct End {
    /// Length of the block with its empty line.
    pub(super) length: usize,
    /// Whether the empty line is a bare LF.
    pub(super) bare: bool,
}

/// Calls `each` with every line of a header block, including its continuation lines (obs-fold), and with whether the line
/// ended with a bare LF or was folded. Returns `None` if the block is incomplete.
#[inline(always)]
pub(super) fn each_line<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8], bool)) -> Option<End> {
    let mut rest = bytes;
    let mut first = *rest.first()?;
    // Any later line that begins with a blank continues the one before (obs-fold, RFC 9112, section 5.2).
    let mut odd = is_blank(first);
    loop {
        if first <= b'\r' {
            let at = bytes.len() - rest.len();
            match rest {
                [b'\r', b'\n', ..] => return Some(End { length: at + 2, bare: false }),
                [b'\n', ..] => return Some(End { length: at + 1, bare: true }),
                [b'\r', b'\r', b'\n', ..] if ends_with_two_returns(&bytes[..at]) => {
                    return Some(End { length: at + 3, bare: true });
                }
                _ => {}
            }
        }
        let (mut line, mut after) = rest.split_at_checked(line_feed(rest)? + 1)?;
        // Only the first byte of the next line shows whether that line is a continuation.
        first = *after.first()?;
        if is_blank(first) {
            odd = true;
            (line, after) = folded(rest, line.len())?;
            first = *after.first()?;
        }
        rest = after;
        let text = match line {
            [text @ .., b'\r', _] => text,
            [text @ .., _] => {
                odd = true;
                text
            }
            [] => line,
        };
        each(text, odd);
        odd = false;
    }
}

/// Returns whether bytes end with CR CR LF. Some programs end every line so; then an empty line ends so, too.
#[cold]
fn ends_with_two_returns(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\r\r\n")
}

/// Returns the whole line that is continued after its first `length` bytes, and the bytes after the line.
#[cold]
fn folded(rest: &[u8], mut length: usize) -> Option<(&[u8], &[u8])> {
    while is_blank(*rest.get(length)?) {
        length += line_feed(&rest[length..])? + 1;
    }
    rest.split_at_checked(length)
}

#[inline]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns the offset of the next LF.
#[inline(always)]
pub(super) fn line_feed(bytes: &[u8]) -> Option<usize> {
    // Lines are short. An inlined search is therefore faster than a call of a function that is faster on long lines. A
    // search of only few bytes also compiles to less code.
    let near = bytes.get(..NEAR).unwrap_or(bytes);
    #[cfg(target_arch = "x86_64")]
    if let Some(search) = memchr::arch::x86_64::sse2::memchr::One::new(b'\n') {
        return search.find(near).or_else(|| far_line_feed(bytes));
    }
    far_line_feed(bytes)
}

/// Most lines are no longer than this, in bytes.
const NEAR: usize = 63;

#[cold]
fn far_line_feed(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}

/// Returns the value of a line, if the line has this name (in lower case), and whether blanks or NULs stood before the
/// colon.
#[inline(always)]
pub(super) fn value<'a, const N: usize>(line: &'a [u8], name: &[u8; N]) -> Option<(&'a [u8], bool)> {
    // Most names differ in length, so the byte after the name is compared first.
    let (start, rest) = line.split_first_chunk::<N>()?;
    let (delimiter, value) = rest.split_first()?;
    if *delimiter == b':' && is_name(start, name) {
        return Some((trimmed(value), false));
    }
    if *delimiter <= b' ' && is_name(start, name) { value_after_blanks(rest) } else { None }
}

/// Returns whether bytes are equal to a name in lower case, whatever their case. Names are constants, so a comparison takes
/// only a few machine words, which may overlap.
#[inline(always)]
pub(super) fn is_name<const N: usize>(bytes: &[u8; N], name: &[u8; N]) -> bool {
    if let (Some((start, rest)), Some((name_start, name_rest))) =
        (bytes.split_first_chunk::<8>(), name.split_first_chunk::<8>())
    {
        let same = is_word8(*start, *name_start);
        return match (bytes.last_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(end), Some(name_end)) if N <= 16 => same && is_word8(*end, *name_end),
            _ => same && rest.iter().zip(name_rest).all(|(byte, lower)| byte | case(*lower) == *lower),
        };
    }
    if let (Some(start), Some(end), Some(name_start), Some(name_end)) =
        (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), name.first_chunk::<4>(), name.last_chunk::<4>())
    {
        return is_word4(*start, *name_start) && (N == 4 || is_word4(*end, *name_end));
    }
    bytes.iter().zip(name).all(|(byte, lower)| byte | case(*lower) == *lower)
}

#[inline(always)]
fn is_word8(bytes: [u8; 8], lower: [u8; 8]) -> bool {
    u64::from_ne_bytes(bytes) | u64::from_ne_bytes(lower.map(case)) == u64::from_ne_bytes(lower)
}

#[inline(always)]
fn is_word4(bytes: [u8; 4], lower: [u8; 4]) -> bool {
    u32::from_ne_bytes(bytes) | u32::from_ne_bytes(lower.map(case)) == u32::from_ne_bytes(lower)
}

/// Returns the bit that distinguishes the upper and lower case of a letter, or 0 for other bytes.
#[inline(always)]
const fn case(lower: u8) -> u8 {
    (lower.is_ascii_lowercase() as u8) << 5
}

/// Returns a value without the blanks around it. Usually there is one blank before the value and none after it.
#[inline(always)]
fn trimmed(value: &[u8]) -> &[u8] {
    match value {
        [b' ', b'!'..=0xff, .., b'!'..=0xff] | [b' ', b'!'..=0xff] => &value[1..],
        _ => without_blanks(value),
    }
}

#[cold]
fn without_blanks(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

#[cold]
fn value_after_blanks(rest: &[u8]) -> Option<(&[u8], bool)> {
    let colon = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | 0))?;
    rest[colon..].strip_prefix(b":").map(|value| (value.trim_ascii(), true))
}

/// Returns whether a line is one of the fields that name a client behind a proxy.
#[inline]
pub(super) fn names_client(line: &[u8]) -> bool {
    names_client_by_x(line)
        || value(line, b"forwarded").is_some()
        || value(line, b"true-client-ip").is_some()
        || value(line, b"cf-connecting-ip").is_some()
}

#[inline]
fn names_client_by_x(line: &[u8]) -> bool {
    value(line, b"x-forwarded-for").is_some() || value(line, b"x-real-ip").is_some()
}

/// Returns where the block that begins at `bytes[0]` ends. The search starts at `from`, as `bytes[..from]` is known to
/// contain no end.
///
/// `from` may be any offset up to the length that was already searched. An end that lies across `from` is found, too.
pub(super) fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at).find_map(|at| match bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        [b'\r', b'\r', b'\n', ..] if ends_with_two_returns(&bytes[..=at]) && bytes[..at].contains(&b'\n') => {
            Some(at + 4)
        }
        _ => None,
    })
}
