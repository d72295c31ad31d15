//! Numbers and strings: the two types of which header blocks are made.
//!
//! In: the rest of a header block. Out: a number or a string, and the rest after it. Promises: nothing beyond the block is read, and
//! no number overflows.

use super::{HpackError, huffman};

/// The most bytes of a number after its first one. Five are enough for 32 bits.
const MOST_BYTES: usize = 5;

/// Reads a number that begins in the low `prefix` bits of the first byte (RFC 7541, section 5.1).
#[inline]
pub(super) fn number(rest: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let (first, after) = rest.split_first().ok_or(HpackError::Cut)?;
    *rest = after;
    let full = (1u8 << prefix) - 1;
    let low = first & full;
    if low < full { Ok(low.into()) } else { long_number(rest, low) }
}

/// Reads the bytes of a number after its first one. Each has seven bits; the lowest come first.
fn long_number(rest: &mut &[u8], low: u8) -> Result<usize, HpackError> {
    let mut number = u64::from(low);
    for place in 0..MOST_BYTES {
        let (byte, after) = rest.split_first().ok_or(HpackError::Cut)?;
        *rest = after;
        number += u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).map_err(|_| HpackError::Number)?;
            return usize::try_from(number).map_err(|_| HpackError::Number);
        }
    }
    Err(HpackError::Number)
}

/// Reads a string (RFC 7541, section 5.2). If it is Huffman-encoded, its text is written to `room`.
#[inline]
pub(super) fn string<'a, 'b: 'a>(rest: &mut &'b [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], HpackError> {
    let is_encoded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = number(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(HpackError::Cut)?;
    *rest = after;
    if is_encoded { huffman::decode(bytes, room).ok_or(HpackError::Huffman) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_their_limits() {
        for (bytes, prefix, expected) in [
            // The examples of appendix C.1.
            (&[0x0a][..], 5, Ok(10)),
            (&[0x1f, 0x9a, 0x0a], 5, Ok(1_337)),
            (&[0x2a], 8 - 1, Ok(42)),
            // The bits before the prefix do not count.
            (&[0xea], 5, Ok(10)),
            (&[0x1f, 0x00], 5, Ok(31)),
            (&[0x7f, 0x00], 7, Ok(127)),
            // Zeros at the end are allowed, up to five bytes.
            (&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 5, Ok(31)),
            (&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5, Err(HpackError::Number)),
            // 2^32 - 1, and one more.
            (&[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], 5, Ok(0xffff_ffff)),
            (&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 5, Err(HpackError::Number)),
            (&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f], 5, Err(HpackError::Number)),
            (&[], 5, Err(HpackError::Cut)),
            (&[0x1f], 5, Err(HpackError::Cut)),
            (&[0x1f, 0x80], 5, Err(HpackError::Cut)),
        ] {
            let mut rest = bytes;
            assert_eq!(number(&mut rest, prefix), expected, "{bytes:x?}");
            assert!(expected.is_err() || rest.is_empty(), "{bytes:x?}");
        }
    }

    #[test]
    fn strings_end_where_their_length_says() {
        let mut room = Vec::new();
        let mut rest = &[0x02, b'a', b'b', 0x81, 0x1f, 0x00, 0x03, b'a'][..];
        assert_eq!(string(&mut rest, &mut room), Ok(&b"ab"[..]));
        assert_eq!(string(&mut rest, &mut room), Ok(&b"a"[..]));
        assert_eq!(string(&mut rest, &mut room), Ok(&b""[..]));
        assert_eq!(string(&mut rest, &mut room), Err(HpackError::Cut));
    }
}
