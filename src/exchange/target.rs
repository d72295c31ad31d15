//! Request targets.
//!
//! In: a request target as sent. Out: its path and query. Promises: linear time, no copy.

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
