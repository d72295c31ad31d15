//! Tests on bytes, eight bytes at a time.
//!
//! In: bytes from the wire. Out: whether any of them is of the kind that is searched for. Promises: the answer is the same
//! as that of a loop over single bytes. Texts in documents are short, mostly about a dozen bytes: too short for vector
//! instructions, and long enough that eight bytes at a time are faster than a loop over single bytes.

/// Returns a word in which every byte has this value.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of each byte of a word. The tests below set this bit in every byte that they mark.
const TOP: u64 = each(0x80);

/// Returns whether all bytes are printable ASCII that JSON needs no escape for.
#[inline]
pub(super) fn are_plain(bytes: &[u8]) -> bool {
    let not_plain = |word: u64| {
        let at_or_above_delete = word | word.wrapping_add(each(1));
        at_or_above_delete | below(word, b' ') | below(word ^ each(b'"'), 1) | below(word ^ each(b'\\'), 1)
    };
    !any_marked(bytes, not_plain, b' ')
}

/// Returns whether `bytes` contains at least one of the `wanted` bytes. None of the `wanted` bytes may be 0.
#[inline]
pub(super) fn hold_any<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> bool {
    any_marked(bytes, |word| wanted.iter().fold(0, |found, &byte| found | below(word ^ each(byte), 1)), 0)
}

/// Marks the bytes of a word that are below `limit`, which is at most 128. If any byte is marked, more significant bytes may
/// be marked by mistake.
#[inline]
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(each(limit)) & !word
}

/// Returns whether `test` marks any of the bytes. `filler` pads a word that is not full; `test` must not mark `filler`.
#[inline]
fn any_marked(bytes: &[u8], test: impl Fn(u64) -> u64, filler: u8) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_ne_bytes(*last),
        None => rest.iter().fold(each(filler), |word, &byte| word << 8 | u64::from(byte)),
    };
    words.iter().fold(test(last), |found, &word| found | test(u64::from_ne_bytes(word))) & TOP != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_plain(byte: u8) -> bool {
        (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
    }

    #[test]
    fn every_byte_is_told_at_every_place() {
        for length in 1..20 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    assert_eq!(are_plain(&bytes), is_plain(byte), "{byte} at {place} of {length}");
                    assert_eq!(hold_any(&bytes, *b"?#"), b"?#".contains(&byte), "{byte} at {place} of {length}");
                }
            }
        }
        assert!(are_plain(b"") && !hold_any(b"", *b"?"));
    }

    proptest! {
        #[test]
        fn is_as_if_looked_at_one_by_one(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(are_plain(&bytes), bytes.iter().copied().all(is_plain));
            prop_assert_eq!(hold_any(&bytes, [1, 0xff]), bytes.iter().any(|byte| [1, 0xff].contains(byte)));
        }
    }
}
