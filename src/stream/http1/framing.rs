//! Framing of message bodies: their length, and the end of chunked bodies.
//!
//! In: the fields that frame a body (RFC 9112, section 6). Out: a [`Body`]; for chunked bodies a [`Chunked`], which follows
//! the chunks byte by byte and keeps no byte. Promises: the result does not depend on how the bytes are split.

use super::{
    field_values::{Length, Transfer},
    fields::Fields,
};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// There is no body.
    None,
    /// The body ends after this many bytes; never 0.
    Known(u64),
    /// The body ends with the last chunk and its trailer.
    Chunked,
    /// The body ends with the stream.
    UntilClose,
    /// The end is unknown: the lengths are in conflict or unreadable.
    Unframed,
}

/// Returns how a request's body ends.
pub(super) fn request_body(fields: &Fields<'_>) -> Body {
    match (fields.transfer, fields.length) {
        (Transfer::Chunked, _) => Body::Chunked,
        (Transfer::Other, _) | (Transfer::None, Length::Unusable) => Body::Unframed,
        (Transfer::None, Length::Absent | Length::Known(0)) => Body::None,
        (Transfer::None, Length::Known(length)) => Body::Known(length),
    }
}

/// Returns how a response's body ends, if neither the status nor the request's method rules out a body.
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

/// The position in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In a chunk-size line.
    Size(SizeLine),
    /// In a chunk's data, with this many bytes left, at least 1.
    Data(u64),
    /// Before the line end that follows a chunk's data.
    DataEnd,
    /// In the trailer section.
    Trailer {
        /// Bytes of the trailer so far.
        seen: u32,
        /// Whether the current line has no byte so far, or only CR.
        empty: bool,
    },
}

/// A chunk-size line, as far as it was read.
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

/// The result of reading a chunked body's next bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes belong to the body, and the body continues.
    More,
    /// The body ended after this many of the bytes.
    End(usize),
    /// After this many of the bytes, something stands where the empty line after the last chunk belongs: a trailer, or the
    /// next message.
    Trailer(usize),
    /// The framing is broken.
    Broken,
}

impl Chunked {
    /// The position before the first chunk.
    pub(super) const START: Self = Self::Size(SizeLine { size: 0, seen: 0, part: SizePart::Before });

    /// The position before the first line of a trailer.
    pub(super) const TRAILER: Self = Self::Trailer { seen: 1, empty: true };

    /// Reads the next bytes. Adds the number of data bytes to `body`.
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
                    // Some servers leave out the line end. Then the next size line begins here.
                    _ => {
                        *self = Self::START;
                        continue;
                    }
                },
                Self::Trailer { empty: true, .. } if byte == b'\n' => return Progress::End(at + 1),
                Self::Trailer { seen: 0, .. } if byte != b'\r' => return Progress::Trailer(at),
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

    /// Skips missing bytes. Returns `false` if the position in the framing is not known after them.
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

    /// Returns the number of data bytes that certainly come next.
    pub(super) const fn data_left(self) -> u64 {
        if let Self::Data(left) = self { left } else { 0 }
    }
}

struct Broken;

impl SizeLine {
    /// Reads a byte. Returns `true` at the line's end. Digits in any case, blanks around them and a bare LF are tolerated.
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
