//! Request targets.
//!
//! In: a request target as sent. Out: its path and query, without a copy; or the text that its percent-encoding stands for.
//! Promises: linear time.

use crate::byte_scan;

/// Returns the path and the query of a target in origin or absolute form (RFC 9112, section 3.2), or `None` for the other
/// forms, which have no path.
pub(crate) fn path_and_query(target: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let origin = if target.first() == Some(&b'/') {
        target
    } else {
        let authority = memchr::memmem::find(target, b"://")? + 3;
        let length = memchr::memchr2(b'/', b'?', &target[authority..])?;
        &target[authority + length..]
    };
    // Most targets have neither a fragment nor a query; one search is enough for them.
    if !byte_scan::hold_any(origin, *b"#?") {
        return Some((origin, None));
    }
    let origin = memchr::memchr(b'#', origin).map_or(origin, |fragment| &origin[..fragment]);
    Some(match memchr::memchr(b'?', origin) {
        Some(question) => (&origin[..question], Some(&origin[question + 1..])),
        None => (origin, None),
    })
}

/// The byte that `%HH` at the start of a text stands for.
pub(crate) fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Returns what a text with percent-encoding stands for. What looks encoded and is not stays as it is.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let (byte, length) = escaped(rest).map_or((first, 1), |byte| (byte, 3));
        decoded.push(byte);
        rest = &rest[length..];
    }
    decoded
}
