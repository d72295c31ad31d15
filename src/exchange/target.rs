//! Request targets.
//!
//! In: a target as sent. Out: its path and query. Promises: linear time, no copy.

use crate::byte_scan;

/// Path and query of a target in origin or absolute form (RFC 9112, section 3.2); the other forms have none.
pub(crate) fn path_and_query(target: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let origin = if target.first() == Some(&b'/') {
        target
    } else {
        let authority = memchr::memmem::find(target, b"://")? + 3;
        let length = memchr::memchr2(b'/', b'?', &target[authority..])?;
        &target[authority + length..]
    };
    // Most paths have neither, and are looked at once.
    if !byte_scan::hold_any(origin, *b"#?") {
        return Some((origin, None));
    }
    let origin = memchr::memchr(b'#', origin).map_or(origin, |fragment| &origin[..fragment]);
    Some(match memchr::memchr(b'?', origin) {
        Some(question) => (&origin[..question], Some(&origin[question + 1..])),
        None => (origin, None),
    })
}
