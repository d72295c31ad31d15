//! Secrets that are told by the form of the text around them, not by `name=value`.
//!
//! In: one layer of a text. Out: the places of the values of JSON members, and of JSON Web Tokens. Promises: each byte is looked
//! at a bounded number of times.

use std::ops::Range;

use super::{Condition, LONGEST_NAME, looks_secret, position_from};

/// A shorter text holds no token with a header, claims and a signature.
pub(super) const SHORTEST_TOKEN: usize = 40;

/// How the claims of a JSON Web Token begin: the dot behind the header, and `{"` in Base64.
const CLAIMS: &[u8] = b".eyJ";

/// The shortest header of a token: `{"alg":` in Base64.
const SHORTEST_HEADER: usize = 10;

/// Returns whether a text may hold a JSON Web Token. Cheap for short texts, which most targets are.
#[inline]
pub(super) fn may_hold_token(text: &[u8]) -> bool {
    text.len() >= SHORTEST_TOKEN && memchr::memmem::find(text, CLAIMS).is_some()
}

/// Finds JSON Web Tokens (RFC 7519), wherever they stand.
pub(super) fn tokens(text: &[u8], found: &mut impl FnMut(Range<usize>)) {
    if text.len() < SHORTEST_TOKEN {
        return;
    }
    let is_outside = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    for dot in memchr::memmem::find_iter(text, CLAIMS) {
        let start = text[..dot].iter().rposition(|&byte| is_outside(byte)).map_or(0, |at| at + 1);
        let claims = position_from(text, dot + 1, is_outside);
        let is_header = dot - start >= SHORTEST_HEADER && text[start..].starts_with(b"eyJ");
        if is_header && text.get(claims) == Some(&b'.') {
            found(start..position_from(text, claims + 1, is_outside));
        }
    }
}

/// Finds the identifiers that ASP.NET writes into paths where it sets no cookie: sessions, sign-ins and anonymous users, as
/// in `/(A(...)S(...))/`.
pub(super) fn cookieless_sessions(text: &[u8], found: &mut impl FnMut(Range<usize>)) {
    let is_letter = |at: usize| matches!(text.get(at), Some(b'S' | b'F' | b'A'));
    let mut end = 0;
    for open in memchr::memmem::find_iter(text, b"/(").map(|at| at + 1) {
        if open < end {
            continue;
        }
        end = open + 1;
        while is_letter(end) && text.get(end + 1) == Some(&b'(') {
            let value = end + 2..position_from(text, end + 2, |byte| matches!(byte, b')' | b'/'));
            if text.get(value.end) != Some(&b')') {
                break;
            }
            end = value.end + 1;
            if !value.is_empty() {
                found(value);
            }
        }
    }
}

/// Finds the secret values of members of JSON objects. `condition` says when the value of a name is secret.
pub(super) fn members(
    text: &[u8],
    condition: impl Fn(&[u8]) -> Option<Condition>,
    found: &mut impl FnMut(Range<usize>),
) {
    let mut start = 0;
    while let Some(colon) = text.get(start..).and_then(|rest| memchr::memchr(b':', rest)).map(|at| start + at) {
        start = colon + 1;
        let Some(condition) = name_before(text, colon).and_then(|name| condition(&text[name])) else { continue };
        // An object or a list is secret as a whole where the name alone decides.
        let Some(value) = value_from(text, colon + 1, condition == Condition::Always) else { continue };
        if !value.is_empty() && (condition == Condition::Always || looks_secret(&text[value.clone()])) {
            start = value.end;
            found(value);
        }
    }
}

/// The name of a member whose colon is at `colon`: in quotes, or a word behind `{` or `,`.
fn name_before(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let earliest = colon.saturating_sub(LONGEST_NAME);
    let before = &text[earliest..colon];
    let end = before.iter().rposition(|&byte| byte != b' ')?;
    let last = before[end];
    if matches!(last, b'"' | b'\'') {
        let start = memchr::memrchr(last, &before[..end])? + 1;
        return Some(earliest + start..earliest + end);
    }
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    let start = before[..=end].iter().rposition(|&byte| !is_of_word(byte))?;
    matches!(before[start], b'{' | b',').then_some(earliest + start + 1..earliest + end + 1)
}

/// The value that begins behind a colon; `None` for an object or a list unless it `may_be_nested`.
fn value_from(text: &[u8], colon: usize, may_be_nested: bool) -> Option<Range<usize>> {
    let start = position_from(text, colon, |byte| byte != b' ');
    let is_escaped = text.get(start) == Some(&b'\\');
    let quote = start + usize::from(is_escaped);
    Some(match text.get(quote) {
        Some(&mark @ (b'"' | b'\'')) => {
            let ends = |at: &usize| (text[at - 1] == b'\\') == is_escaped;
            let end = memchr::memchr_iter(mark, &text[quote + 1..]).map(|at| quote + 1 + at).find(ends);
            let cut_short = || position_from(text, quote + 1, |byte| matches!(byte, b'&' | b'#'));
            quote + 1..end.map_or_else(cut_short, |end| (end - usize::from(is_escaped)).max(quote + 1))
        }
        Some(b'{' | b'[') if !may_be_nested => return None,
        Some(b'{' | b'[') => start..closing(text, start),
        _ => start..position_from(text, start, |byte| matches!(byte, b',' | b'}' | b']' | b'&' | b'#' | b' ')),
    })
}

/// The end of the object or list that begins at `start`.
fn closing(text: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    position_from(text, start, |byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
    .saturating_add(1)
    .min(text.len())
}
