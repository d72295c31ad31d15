//! Message bodies: how long they are, and where chunked ones end.
//!
//! In: the fields that frame a body (RFC 9112, section 6). Out: a [`Body`]; for chunked bodies a [`Chunked`] that
//! counts through them byte by byte without keeping any. Promises: any split of the bytes gives the same.

use super::fields::{Fields, Length, Transfer};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none.
    None,
    /// After so many bytes; never 0.
    Known(u64),
    /// With the last chunk and its trailer.
    Chunked,
    /// With the stream.
    UntilClose,
    /// Nobody can say: the lengths are in conflict or unreadable.
    Unframed,
}

/// A request's body.
pub(super) fn request_body(fields: &Fields<'_>) -> Body {
    match (fields.transfer, fields.length) {
        (Transfer::Chunked, _) => Body::Chunked,
        (Transfer::Other, _) | (Transfer::None, Length::Unusable) => Body::Unframed,
        (Transfer::None, Length::Absent | Length::Known(0)) => Body::None,
        (Transfer::None, Length::Known(length)) => Body::Known(length),
    }
}

/// A response's body, where neither its status nor its request's method rule one out.
pub(super) fn response_body(fields: &Fields<'_>) -> Body {
    match (fields.transfer, fields.length) {
        (Transfer::Chunked, _) => Body::Chunked,
        (Transfer::Other, _) | (Transfer::None, Length::Absent) => Body::UntilClose,
        (Transfer::None, Length::Unusable) => Body::Unframed,
        (Transfer::None, Length::Known(0)) => Body::None,
        (Transfer::None, Length::Known(length)) => Body::Known(length),
    }
}

/// Returns whether a message's lengths are in conflict: more than one length, or a length beside a transfer coding.
pub(super) fn has_conflict(fields: &Fields<'_>) -> bool {
    fields.length == Length::Unusable || (fields.length != Length::Absent && fields.transfer != Transfer::None)
}

/// Where in a chunked body the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In a chunk-size line.
    Size(SizeLine),
    /// In a chunk's data; so many bytes are left, at least 1.
    Data(u64),
    /// Before the line end that follows a chunk's data.
    DataEnd,
    /// In the trailer section.
    Trailer {
        /// Bytes of the trailer so far.
        seen: u32,
        /// Whether the present line has no byte yet but perhaps CR.
        empty: bool,
    },
}

/// A chunk-size line as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SizeLine {
    size: u64,
    seen: u16,
    part: SizePart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum SizePart {
    /// Blanks before the first digit.
    #[default]
    Before,
    Digits,
    /// Blanks after the last digit.
    After,
    /// An extension, up to the line's end.
    Extension,
}

/// Longest chunk-size line with its extension.
const MAX_SIZE_LINE_BYTES: u16 = 16 << 10;
/// Largest trailer section.
const MAX_TRAILER_BYTES: u32 = 256 << 10;

/// What a chunked body's next bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes taken; the body goes on.
    More,
    /// The body ended after so many of the bytes.
    End(usize),
    /// The framing is broken.
    Broken,
}

impl Chunked {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size(SizeLine { size: 0, seen: 0, part: SizePart::Before });

    /// Takes the next bytes, adding data bytes to `body`.
    pub(super) fn take(&mut self, bytes: &[u8], body: &mut u64) -> Progress {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self {
                Self::Data(left) => {
                    let taken = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *body = body.saturating_add(taken as u64);
                    at += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    continue;
                }
                Self::Size(line) => match line.take(byte) {
                    Ok(false) => {}
                    Ok(true) if line.size == 0 => *self = Self::Trailer { seen: 0, empty: true },
                    Ok(true) => *self = Self::Data(line.size),
                    Err(Broken) => return Progress::Broken,
                },
                Self::DataEnd => match byte {
                    b'\n' => *self = Self::START,
                    b'\r' => {}
                    // Some servers leave the line end out; then the next size begins here.
                    _ => {
                        *self = Self::START;
                        continue;
                    }
                },
                Self::Trailer { empty: true, .. } if byte == b'\n' => return Progress::End(at + 1),
                Self::Trailer { seen, empty } => {
                    *empty = byte == b'\n' || (*empty && byte == b'\r');
                    *seen += 1;
                    if *seen > MAX_TRAILER_BYTES {
                        return Progress::Broken;
                    }
                }
            }
            at += 1;
        }
        Progress::More
    }

    /// Passes over bytes that nobody has; `false` where the framing is lost.
    pub(super) fn pass(&mut self, count: u64, body: &mut u64) -> bool {
        match self {
            Self::Data(left) if count <= *left => {
                *body = body.saturating_add(count);
                *left -= count;
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                true
            }
            _ => false,
        }
    }

    /// Data bytes that certainly come next.
    pub(super) const fn data_left(self) -> u64 {
        if let Self::Data(left) = self { left } else { 0 }
    }
}

struct Broken;

impl SizeLine {
    /// Takes a byte; `true` at the line's end. Digits in any case, blanks around them and a bare LF are tolerated.
    fn take(&mut self, byte: u8) -> Result<bool, Broken> {
        self.seen += 1;
        if self.seen > MAX_SIZE_LINE_BYTES {
            return Err(Broken);
        }
        match (self.part, byte) {
            (SizePart::Before, b' ' | b'\t') => {}
            (SizePart::Before | SizePart::Digits, digit) if digit.is_ascii_hexdigit() => {
                let digit = (digit as char).to_digit(16).map_or(0, u64::from);
                self.size = self.size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Broken)?;
                self.part = SizePart::Digits;
            }
            (SizePart::Digits | SizePart::After | SizePart::Extension, b'\n') => return Ok(true),
            (SizePart::Digits | SizePart::After, b' ' | b'\t' | b'\r') => self.part = SizePart::After,
            (SizePart::Digits | SizePart::After, b';') => self.part = SizePart::Extension,
            (SizePart::Extension, _) => {}
            _ => return Err(Broken),
        }
        Ok(false)
    }
}
