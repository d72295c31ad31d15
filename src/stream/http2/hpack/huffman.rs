//! The Huffman code of HPACK.
//!
//! In: an encoded string (RFC 7541, section 5.2). Out: its text. Promises: linear time; a string that no encoder makes is refused.
//!
//! The code is canonical: codes of the same length are consecutive numbers in the order of their symbols, and shorter codes come
//! first. So the lengths of RFC 7541, appendix B, determine all codes. Nearly all text consists of codes of at most ten bits. A
//! table of 2 KiB, indexed by the next ten bits, decodes each of them in one step. Longer codes are found by their length.

/// The length in bits of each symbol's code. The last symbol is EOS, which must not be in a string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];
const EOS: usize = 256;
/// The length of the shortest code.
const SHORTEST: usize = 5;
/// The length of the longest code.
const LONGEST: u32 = 30;
/// The length of the longest code that the table of short codes has.
const SHORT: u32 = 10;

/// The codes of all symbols.
const CODES: [u32; 257] = codes();
/// The symbol and length of the code with which ten bits begin. The length is 0 if the code is longer than ten bits.
static SHORT_CODES: [(u8, u8); 1 << SHORT] = short_codes();
/// The codes of each length.
static LONG_CODES: [Codes; LONGEST as usize + 1] = codes_by_length();
/// All symbols in the order of their codes.
static SYMBOLS: [u16; 257] = symbols();

/// The codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    /// The code after the last one.
    end: u32,
    /// The first code.
    first: u32,
    /// The place of the first code's symbol in [`SYMBOLS`].
    place: u16,
}

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let (mut code, mut length) = (0, 1);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as u32 == length {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes
}

const fn short_codes() -> [(u8, u8); 1 << SHORT] {
    let mut table = [(0, 0); 1 << SHORT];
    let mut symbol = 0;
    while symbol < EOS {
        let length = LENGTHS[symbol];
        if length as u32 <= SHORT {
            let free = SHORT - length as u32;
            let mut bits = 0;
            while bits < 1 << free {
                table[(CODES[symbol] << free) as usize + bits] = (symbol as u8, length);
                bits += 1;
            }
        }
        symbol += 1;
    }
    table
}

const fn symbols() -> [u16; 257] {
    let mut symbols = [0; 257];
    let (mut place, mut length) = (0, 1);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as u32 == length {
                symbols[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
}

const fn codes_by_length() -> [Codes; LONGEST as usize + 1] {
    let mut table = [Codes { end: 0, first: 0, place: 0 }; LONGEST as usize + 1];
    let (mut code, mut place, mut length) = (0, 0, 1);
    while length <= LONGEST as usize {
        let (first, first_place) = (code, place);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        table[length] = Codes { end: code, first, place: first_place };
        code <<= 1;
        length += 1;
    }
    table
}

/// The next bits of a string.
struct Bits<'a> {
    /// The next bits, beginning with the highest. After the string's last bit, they are 0.
    next: u64,
    /// How many of them are known to be the string's.
    count: u32,
    rest: &'a [u8],
}

impl Bits<'_> {
    /// Makes at least 56 bits available, or all that are left.
    #[inline(always)]
    fn refill(&mut self) {
        if let Some(bytes) = self.rest.first_chunk::<8>() {
            // The bits of a byte that fits in part are already right. They are not counted, and are written again next time.
            self.next |= u64::from_be_bytes(*bytes) >> self.count;
            let taken = (63 - self.count) / 8;
            self.rest = &self.rest[taken as usize..];
            self.count += taken * 8;
            return;
        }
        while self.count <= 56
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.next |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    #[inline(always)]
    fn skip(&mut self, length: u32) {
        self.next <<= length;
        self.count -= length;
    }

    /// Returns whether a string may end with these bits: fewer than eight, all of them 1 as in EOS.
    fn is_padding(&self) -> bool {
        self.count < 8 && self.next.leading_ones() >= self.count
    }

    /// Returns the symbol and length of a code of more than ten bits. `None` for EOS.
    #[cold]
    fn long_code(&self) -> Option<(u8, u32)> {
        for length in SHORT + 1..=LONGEST {
            let code = (self.next >> (64 - length)) as u32;
            let codes = LONG_CODES.get(length as usize)?;
            if code < codes.end {
                let symbol = SYMBOLS.get(codes.place as usize + (code.checked_sub(codes.first)?) as usize)?;
                return Some((u8::try_from(*symbol).ok()?, length));
            }
        }
        None
    }
}

/// Writes the text of an encoded string to `room`, and returns it. Returns `None` if the string contains EOS or ends with anything
/// but up to seven bits of EOS.
pub(super) fn decode<'a>(encoded: &[u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let most = encoded.len() * 8 / SHORTEST;
    if room.len() < most {
        room.resize(most, 0);
    }
    let mut bits = Bits { next: 0, count: 0, rest: encoded };
    let mut length = 0;
    loop {
        bits.refill();
        // The 56 bits are enough for five short codes, or for one long code.
        for place in 0..5 {
            let (mut symbol, short) = SHORT_CODES[(bits.next >> (64 - SHORT)) as usize];
            let mut code_length = u32::from(short);
            let is_long = code_length == 0;
            if is_long {
                if place > 0 {
                    break;
                }
                if bits.is_padding() {
                    return room.get(..length);
                }
                (symbol, code_length) = bits.long_code()?;
            }
            if code_length > bits.count {
                // Nothing is left to refill: the string ends here.
                return if bits.is_padding() { room.get(..length) } else { None };
            }
            bits.skip(code_length);
            *room.get_mut(length)? = symbol;
            length += 1;
            if is_long {
                break;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::{CODES, LENGTHS};

    /// Encodes a text.
    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let (mut bits, mut count, mut out) = (0u64, 0, Vec::new());
        for byte in text {
            let length = LENGTHS[usize::from(*byte)];
            bits = bits << length | u64::from(CODES[usize::from(*byte)]);
            count += length;
            while count >= 8 {
                count -= 8;
                out.push((bits >> count) as u8);
            }
        }
        if count > 0 {
            out.push((bits << (8 - count)) as u8 | 0xff >> count);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
        decode(encoded, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    /// Decodes bit by bit, as the RFC describes it.
    fn decoded_slowly(encoded: &[u8]) -> Option<Vec<u8>> {
        let (mut text, mut code, mut length) = (Vec::new(), 0u32, 0u8);
        for place in 0..encoded.len() * 8 {
            code = code << 1 | u32::from(encoded[place / 8] >> (7 - place % 8) & 1);
            length += 1;
            if let Some(symbol) = (0..257).find(|symbol| LENGTHS[*symbol] == length && CODES[*symbol] == code) {
                text.push(u8::try_from(symbol).ok()?);
                (code, length) = (0, 0);
            }
        }
        (length < 8 && code == (1 << length) - 1).then_some(text)
    }

    #[test]
    fn the_code_is_complete_and_that_of_the_rfc() {
        let sum: u64 = LENGTHS.iter().map(|length| 1u64 << (30 - length)).sum();
        assert_eq!(sum, 1 << 30, "every string of bits is a sequence of codes");
        for (symbol, code) in [
            (b'0', 0),
            (b' ', 0x14),
            (b'z', 0x7b),
            (b'X', 0xfc),
            (b'|', 0x7fc),
            (b'\\', 0x7fff0),
            (0, 0x1ff8),
            (b'\n', 0x3fff_fffc),
            (127, 0x0fff_fffc),
            (128, 0xfffe6),
            (255, 0x03ff_ffee),
        ] {
            assert_eq!(CODES[usize::from(symbol)], code, "{symbol}");
        }
        assert_eq!(CODES[EOS], 0x3fff_ffff);
    }

    #[test]
    fn texts_of_the_rfc() {
        for (encoded, text) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], &b"www.example.com"[..]),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], b"no-cache"),
            (&[0x64, 0x02], b"302"),
            (&[], b""),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(text));
        }
    }

    #[test]
    fn each_byte_comes_back_at_each_place() {
        for byte in 0..=u8::MAX {
            for before in 0..20 {
                let text = [vec![b'a'; before], vec![byte], vec![b'0'; 9]].concat();
                assert_eq!(decoded(&testing::encode(&text)), Some(text));
            }
        }
    }

    #[test]
    fn padding_is_the_beginning_of_eos_and_shorter_than_a_byte() {
        assert_eq!(decoded(&[0b0000_0111]), Some(b"0".to_vec()));
        // One symbol of eight bits needs no padding.
        assert_eq!(decoded(&[0xf8]), Some(b"&".to_vec()));
        for wrong in [
            &[0b0000_0110][..],
            &[0b0000_0000],
            &[0xff],
            &[0xf8, 0xff],
            &[0b0000_0111, 0xff],
            &[0xff, 0xff, 0xff],
            // EOS, alone and before other symbols.
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfc],
            &[0xff, 0xff, 0xff, 0xfc, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f],
            // A symbol that is cut.
            &[0xff, 0xc0],
        ] {
            assert_eq!(decoded(wrong), None, "{wrong:?}");
            assert_eq!(decoded_slowly(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn all_strings_of_two_bytes_decode_as_bit_by_bit() {
        for bytes in 0..=u16::MAX {
            assert_eq!(decoded(&bytes.to_be_bytes()), decoded_slowly(&bytes.to_be_bytes()), "{bytes:x}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(&testing::encode(&text)), Some(text));
        }

        #[test]
        fn every_string_decodes_as_bit_by_bit(
            encoded in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0xfe)], 0..40),
        ) {
            prop_assert_eq!(decoded(&encoded), decoded_slowly(&encoded));
        }

        #[test]
        fn the_room_may_hold_an_older_text(first in "[ -~]{0,40}", second in "[ -~]{0,40}") {
            let mut room = Vec::new();
            for text in [first.as_bytes(), second.as_bytes()] {
                prop_assert_eq!(decode(&testing::encode(text), &mut room), Some(text));
            }
        }
    }
}
