//! Credentials in URLs.
//!
//! In: a URL, a target or another text as sent. Out: the same text, with passwords and the values of masked keys replaced by
//! `***`. Promises: a text without secrets is returned unchanged and is not copied; the time is linear in the text's length.
//!
//! A key is recognised by its words, not by its exact spelling. A parameter's name is split into words at separators, at
//! changes of case and at digits, and a masked key matches a run of whole words: `token` matches `accessToken`, `token2` and
//! `user[token]`, but not `tokenize`. The text is looked at as sent and again after each percent-decoding, up to
//! [`MOST_LAYERS`] times, so encoded names and whole URLs inside a value are found as well. Members of JSON objects are parameters
//! like others. A JSON Web Token is a secret wherever it stands, and so is the session in a path of ASP.NET: `/(S(...))/`.

mod structured;

use std::{borrow::Cow, ops::Range};

use crate::{byte_scan, exchange::escaped};

const MASK: &[u8] = b"***";

/// How often a text is looked at: once as sent, and after each percent-decoding.
const MOST_LAYERS: usize = 4;

/// The longest name that is split into words. Of a longer name the end is taken.
const LONGEST_NAME: usize = 64;

/// Common keys of credentials. These are the masked keys when nothing else is configured.
pub const MASKED_KEYS: &[&str] = &[
    "access_key",
    "access_token",
    "account_key",
    "api_key",
    "app_key",
    "assertion",
    "auth",
    "auth_token",
    "authorization",
    "bearer",
    "cftoken",
    "client_secret",
    "code?",
    "consumer_key",
    "credential",
    "credentials",
    "creds",
    "csrf",
    "csrf_token",
    "csrfmiddlewaretoken",
    "functions_key",
    "hmac",
    "id_token",
    "jsessionid",
    "jwt",
    "key?",
    "oauth",
    "otp",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "phpsessid",
    "private_key",
    "pwd",
    "refresh_token",
    "saml_response",
    "secret",
    "secrets",
    "sess_id",
    "session",
    "session_id",
    "session_key",
    "session_token",
    "shared_key",
    "sid",
    "sig",
    "sign?",
    "signature",
    "state?",
    "subscription_key",
    "ticket?",
    "token",
    "xsrf",
];

/// When a key's value is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    /// Whatever the value is.
    Always,
    /// When the value looks like a generated secret.
    LooksSecret,
}

/// The keys whose values are never written.
///
/// A key that ends with `?` masks only values that look like a generated secret. No keys at all switch masking off.
#[derive(Debug, Clone)]
pub struct MaskedKeys {
    keys: Vec<String>,
    /// The letters and digits of each key in lower case, sorted.
    table: Vec<(Box<[u8]>, Condition)>,
    /// The length of the longest entry of `table`.
    longest: usize,
}

impl MaskedKeys {
    /// Prepares a list of keys.
    pub fn new(keys: Vec<String>) -> Self {
        let entry = |key: &String| {
            let condition = if key.ends_with('?') { Condition::LooksSecret } else { Condition::Always };
            let letters: Box<[u8]> = key
                .bytes()
                .filter(|&byte| Class::of(byte) != Class::Separator)
                .map(|byte| byte.to_ascii_lowercase())
                .collect();
            (!letters.is_empty()).then_some((letters, condition))
        };
        let mut table: Vec<_> = keys.iter().filter_map(entry).collect();
        table.sort_unstable();
        table.dedup_by(|later, earlier| later.0 == earlier.0);
        let longest = table.iter().map(|(letters, _)| letters.len()).max().unwrap_or_default();
        Self { keys, table, longest }
    }

    /// The keys as configured.
    pub fn as_slice(&self) -> &[String] {
        &self.keys
    }

    /// Replaces credentials in a text.
    #[inline]
    pub(super) fn masked<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        // A secret needs one of these bytes, or is a token. Most targets have none of them, so one pass over the bytes is
        // enough.
        if byte_scan::hold_any(text, *b"=@%(") || structured::may_hold_token(text) {
            self.mask(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    fn mask<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.table.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut secrets = Vec::new();
        self.find(text, &mut |secret| secrets.push(secret));
        let mut layer = Layer::decoded(text, None);
        for _ in 1..MOST_LAYERS {
            let Some(decoded) = layer else { break };
            self.find(&decoded.bytes, &mut |secret| secrets.push(decoded.origin(secret)));
            layer = Layer::decoded(&decoded.bytes, Some(&decoded));
        }
        if secrets.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replaced(text, secrets)) }
    }

    /// Finds the secrets of one layer.
    fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
        user_information(text, found);
        structured::tokens(text, found);
        structured::members(text, |name| self.condition(name), found);
        if self.condition(b"session") == Some(Condition::Always) {
            structured::cookieless_sessions(text, found);
        }
        let query = memchr::memchr2(b'?', b'#', text).unwrap_or(text.len());
        let mut start = 0;
        while start < text.len() {
            let in_path = start <= query;
            let end = position_from(text, start, |byte| is_delimiter(byte) || (in_path && byte == b'/'));
            let secret = self.value_in(text, start..end, in_path);
            start = secret.as_ref().map_or(end, |secret| secret.end) + 1;
            if let Some(secret) = secret {
                found(secret);
            }
        }
    }

    /// Finds the secret value in one piece between delimiters. A value may hold a name and a value again: `q=token=1`.
    fn value_in(&self, text: &[u8], piece: Range<usize>, in_path: bool) -> Option<Range<usize>> {
        let mut name = piece.start;
        for equals in memchr::memchr_iter(b'=', &text[piece.clone()]).map(|at| piece.start + at) {
            let value = equals + 1..if in_path { piece.end } else { query_value_end(text, piece.end) };
            if !value.is_empty() && self.is_secret(&text[name..equals], &text[value.clone()]) {
                return Some(value);
            }
            name = equals + 1;
        }
        None
    }

    fn is_secret(&self, name: &[u8], value: &[u8]) -> bool {
        self.condition(name).is_some_and(|condition| condition == Condition::Always || looks_secret(value))
    }

    /// When the value of a parameter of this name is masked, or `None` for never.
    fn condition(&self, name: &[u8]) -> Option<Condition> {
        let words = Words::of(name);
        let mut condition = None;
        for (index, &start) in words.starts().iter().enumerate() {
            let ends = words.starts()[index + 1..].iter().copied().chain([words.length]);
            for end in ends.take_while(|end| end - start <= self.longest) {
                let run = &words.letters[start..end];
                let Ok(place) = self.table.binary_search_by(|(letters, _)| (**letters).cmp(run)) else { continue };
                match self.table[place].1 {
                    Condition::Always => return Some(Condition::Always),
                    Condition::LooksSecret => condition = Some(Condition::LooksSecret),
                }
            }
        }
        condition
    }
}

impl Default for MaskedKeys {
    fn default() -> Self {
        Self::new(MASKED_KEYS.iter().map(|&key| key.to_owned()).collect())
    }
}

impl PartialEq for MaskedKeys {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl Eq for MaskedKeys {}

/// A text after percent-decoding, with the places where its bytes were in the text as sent.
struct Layer {
    bytes: Vec<u8>,
    /// The start of each byte in the text as sent, and the end of the last byte.
    places: Vec<usize>,
}

impl Layer {
    /// Decodes a text that is itself the decoded form `below`. Returns `None` when nothing in it is encoded.
    fn decoded(text: &[u8], below: Option<&Self>) -> Option<Self> {
        let place = |at: usize| below.map_or(at, |below| below.places[at]);
        let first = memchr::memchr_iter(b'%', text).find(|&at| escaped(&text[at..]).is_some())?;
        let mut bytes = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(&text[..first]);
        places.extend((0..first).map(place));
        let mut at = first;
        while at < text.len() {
            places.push(place(at));
            let (byte, length) = escaped(&text[at..]).map_or((text[at], 1), |byte| (byte, 3));
            bytes.push(byte);
            at += length;
        }
        places.push(place(text.len()));
        Some(Self { bytes, places })
    }

    /// The range in the text as sent.
    fn origin(&self, range: Range<usize>) -> Range<usize> {
        self.places[range.start]..self.places[range.end]
    }
}

/// The text with each of these ranges replaced. Ranges that touch are one.
fn replaced(text: &[u8], mut secrets: Vec<Range<usize>>) -> Vec<u8> {
    secrets.sort_unstable_by_key(|secret| (secret.start, secret.end));
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for (index, secret) in secrets.iter().enumerate() {
        if index == 0 || secret.start > copied {
            out.extend_from_slice(&text[copied..secret.start]);
            out.extend_from_slice(MASK);
        }
        copied = copied.max(secret.end);
    }
    out.extend_from_slice(&text[copied..]);
    out
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'?' | b'&' | b';' | b'#')
}

/// The position of the first byte from `start` on that `is_wanted`, or the text's end.
fn position_from(text: &[u8], start: usize, mut is_wanted: impl FnMut(u8) -> bool) -> usize {
    text[start..].iter().position(|&byte| is_wanted(byte)).map_or(text.len(), |at| start + at)
}

/// The end of a secret value in a query, given the first delimiter in it.
///
/// Most servers take `;` and `?` within a query for a part of the value. They end the value only when another parameter
/// follows.
fn query_value_end(text: &[u8], mut end: usize) -> usize {
    while matches!(text.get(end), Some(b';' | b'?')) {
        let next = position_from(text, end + 1, |byte| is_delimiter(byte) || byte == b'=');
        if text.get(next) == Some(&b'=') {
            break;
        }
        end = next;
    }
    end
}

/// Finds passwords before `@` (RFC 3986, section 3.2.1): in `//user:password@host` anywhere, and in a text that begins with
/// `user:password@host`. A user without a password is a secret when it looks like one, as access tokens do.
fn user_information(text: &[u8], found: &mut impl FnMut(Range<usize>)) {
    if memchr::memchr(b'@', text).is_none() {
        return;
    }
    let authority_end = |start| position_from(text, start, |byte| matches!(byte, b'/' | b'\\' | b'?' | b'#'));
    let first = authority_end(0);
    if !is_address_scheme(&text[..memchr::memchr(b':', text).unwrap_or(0)]) {
        secret_before_at(text, 0..first, false, found);
    }
    let mut start = first;
    while let Some(slash) = text.get(start..).and_then(|rest| memchr::memchr2(b'/', b'\\', rest)).map(|at| start + at) {
        let is_second = matches!(text.get(slash + 1), Some(b'/' | b'\\'));
        let follows_scheme = slash == 0 || matches!(text[slash - 1], b':' | b'=' | b'(' | b'<' | b'"' | b' ');
        start = slash + 1;
        if is_second && follows_scheme {
            let authority = slash + 2..authority_end(slash + 2);
            start = authority.end;
            secret_before_at(text, authority, true, found);
        }
    }
}

/// Finds the secret of one authority. Only behind `//` can a user stand alone.
fn secret_before_at(text: &[u8], authority: Range<usize>, may_stand_alone: bool, found: &mut impl FnMut(Range<usize>)) {
    let Some(at) = memchr::memrchr(b'@', &text[authority.clone()]).map(|at| authority.start + at) else { return };
    let user = &text[authority.start..at];
    match memchr::memchr(b':', user).map(|colon| authority.start + colon + 1) {
        Some(start) if start < at => found(start..at),
        None if may_stand_alone && looks_secret(user) => found(authority.start..at),
        _ => {}
    }
}

/// Returns whether a text is a scheme behind which an address with `@` follows at once.
fn is_address_scheme(text: &[u8]) -> bool {
    [&b"mailto"[..], b"sip", b"sips", b"xmpp", b"acct", b"im"].iter().any(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// Returns whether a value looks generated: one word of at least 10 letters and digits that change often between lower case,
/// upper case and digits, or a very long one.
fn looks_secret(value: &[u8]) -> bool {
    let (mut count, mut digits, mut changes, mut longest) = (0, 0, 0, 0);
    let (mut last, mut run) = (Class::Separator, 0);
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        if escaped(&value[at..]).is_some() {
            (at, run) = (at + 3, 0);
            continue;
        }
        at += 1;
        let class = Class::of(byte);
        if class == Class::Separator {
            if !b"-_.~+/=|!*$".contains(&byte) {
                return false;
            }
            run = 0;
            continue;
        }
        count += 1;
        run += 1;
        longest = longest.max(run);
        digits += usize::from(class == Class::Digit);
        changes += usize::from(last != class && last != Class::Separator);
        last = class;
    }
    let is_mixed = digits > 0 && digits < count;
    (is_mixed && count >= 10 && changes >= 3) || (is_mixed && longest >= 16 && changes >= 2) || longest >= 32
}

/// What kind of character a byte of a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Separator,
}

impl Class {
    /// Bytes of characters beyond ASCII count as lower case.
    fn of(byte: u8) -> Self {
        match byte {
            b'A'..=b'Z' => Self::Upper,
            b'0'..=b'9' => Self::Digit,
            b'a'..=b'z' | 0x80.. => Self::Lower,
            _ => Self::Separator,
        }
    }
}

/// The words of a name, one after the other in lower case and without what separates them.
struct Words {
    letters: [u8; LONGEST_NAME],
    /// `length <= LONGEST_NAME`
    length: usize,
    starts: [usize; LONGEST_NAME],
    /// `count <= length`
    count: usize,
}

impl Words {
    fn of(name: &[u8]) -> Self {
        let name = &name[name.len().saturating_sub(LONGEST_NAME)..];
        let mut words = Self { letters: [0; LONGEST_NAME], length: 0, starts: [0; LONGEST_NAME], count: 0 };
        let mut last = Class::Separator;
        for (at, &byte) in name.iter().enumerate() {
            let class = Class::of(byte);
            let begins = match (last, class) {
                (_, Class::Separator) => false,
                // In `APIKey` the second word begins with the capital letter before a small one.
                (Class::Upper, Class::Upper) => name.get(at + 1).is_some_and(|&next| Class::of(next) == Class::Lower),
                (Class::Upper, Class::Lower) => false,
                (last, class) => last != class,
            };
            last = class;
            if class == Class::Separator {
                continue;
            }
            if begins {
                words.starts[words.count] = words.length;
                words.count += 1;
            }
            words.letters[words.length] = byte.to_ascii_lowercase();
            words.length += 1;
        }
        words
    }

    /// Where in `letters` each word begins.
    fn starts(&self) -> &[usize] {
        &self.starts[..self.count]
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
