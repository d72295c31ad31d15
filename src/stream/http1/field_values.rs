//! The values of the header fields that decide how a message is framed and how the connection goes on.
//!
//! In: a field's value, and what fields before it said. Out: [`Length`], [`Transfer`], [`Persistence`]. Promises: linear time;
//! what cannot be read is told from what is absent.

use super::fields::is_name;

/// The value of `Content-Length` (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Length {
    #[default]
    Absent,
    /// One value, however often it was repeated.
    Known(u64),
    /// Several values that differ, or a value that is not a length.
    Unusable,
}

/// The value of `Transfer-Encoding` (RFC 9112, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Transfer {
    /// Absent, empty or `identity`.
    #[default]
    None,
    /// The last coding is `chunked`.
    Chunked,
    /// Another coding is the last.
    Other,
}

/// What `Connection` announces: whether the connection closes or stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Persistence {
    #[default]
    Unsaid,
    KeepAlive,
    Close,
}

/// Largest length that is believed (8 EiB). Some implementations overflow on larger lengths.
const MAX_LENGTH: u64 = i64::MAX as u64;

#[inline]
pub(super) fn length(value: &[u8], before: Length) -> Length {
    // In nearly all cases there is one field of at most 9 digits, which cannot overflow.
    if before == Length::Absent && matches!(value.len(), 1..=9) {
        let digits = value.iter().try_fold(0, |sum, digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit <= 9).then(|| sum * 10 + u64::from(digit))
        });
        if let Some(length) = digits {
            return Length::Known(length);
        }
    }
    lengths(value, before)
}

#[cold]
fn lengths(value: &[u8], before: Length) -> Length {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).fold(before, |before, text| {
        let parsed = match text {
            [] => None,
            digits => digits.iter().try_fold(0u64, |sum, digit| {
                let digit = u64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
                sum.checked_mul(10)?.checked_add(digit).filter(|sum| *sum <= MAX_LENGTH)
            }),
        };
        match (before, parsed) {
            (Length::Absent, Some(length)) => Length::Known(length),
            (Length::Known(known), Some(length)) if known == length => before,
            _ => Length::Unusable,
        }
    })
}

/// What `Upgrade` names (RFC 9110, section 7.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Upgrade {
    #[default]
    None,
    /// Protocols other than HTTP/2.
    Other,
    /// HTTP/2 in clear, perhaps beside other protocols (RFC 7540, section 3.2).
    Http2,
}

pub(super) fn upgrade(value: &[u8], before: Upgrade) -> Upgrade {
    let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    match before == Upgrade::Http2 || names.any(|name| name.eq_ignore_ascii_case(b"h2c")) {
        true => Upgrade::Http2,
        false => Upgrade::Other,
    }
}

#[inline]
pub(super) fn persistence(value: &[u8], before: Persistence) -> Persistence {
    // In nearly all cases there is only one option.
    if is_word(value, b"close") {
        return Persistence::Close;
    }
    if is_word(value, b"keep-alive") {
        return if before == Persistence::Unsaid { Persistence::KeepAlive } else { before };
    }
    options(value, before)
}

#[cold]
fn options(value: &[u8], before: Persistence) -> Persistence {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).fold(before, |before, option| {
        if option.eq_ignore_ascii_case(b"close") {
            Persistence::Close
        } else if option.eq_ignore_ascii_case(b"keep-alive") && before == Persistence::Unsaid {
            Persistence::KeepAlive
        } else {
            before
        }
    })
}

pub(super) fn transfer(value: &[u8], before: Transfer) -> Transfer {
    let codings = value.split(|byte| *byte == b',').map(|coding| {
        // Parameters do not change the coding.
        coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
    });
    codings.fold(before, |before, coding| {
        if coding.eq_ignore_ascii_case(b"chunked") {
            Transfer::Chunked
        } else if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
            before
        } else {
            Transfer::Other
        }
    })
}

/// Returns whether a value is exactly this word, which is in lower case.
#[inline(always)]
fn is_word<const N: usize>(value: &[u8], word: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(value).is_ok_and(|value| is_name(value, word))
}

/// Returns whether a cookie is that of a session, by its name: what frameworks call theirs, and names that say so.
#[cold]
pub(super) fn names_session(cookie: &[u8]) -> bool {
    const MARKS: [&[u8]; 6] = [b"sess", b"sid", b"auth", b"token", b"login", b"jwt"];
    let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default().to_ascii_lowercase();
    name.len() <= 64 && MARKS.iter().any(|mark| memchr::memmem::find(&name, mark).is_some())
}
