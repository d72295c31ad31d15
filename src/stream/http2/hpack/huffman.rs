//! The Huffman code of HPACK.
//!
//! In: an encoded string (RFC 7541, section 5.2). Out: the text. Promises: linear time; a string that no encoder makes is refused.
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols. The lengths of RFC 7541, appendix B,
//! are therefore enough to make all codes. Decoding takes four bits at a time: a state is a place within the tree of codes.

/// The length in bits of each symbol's code. The last symbol ends a string (EOS).
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
/// The symbol that ends a string. It must not be in one.
const END: usize = 256;
/// The places within the tree of codes that are not leaves: one less than leaves.
const STATES: usize = 256;

/// The codes of all symbols.
const CODES: [u32; 257] = codes();
/// What follows for each state and four bits.
static STEPS: [[Step; 16]; STATES] = steps();

/// What four bits do.
#[derive(Clone, Copy)]
struct Step {
    /// The next state.
    state: u8,
    /// The symbol that is complete, if `gives` is set. Codes have five bits or more, so there is at most one.
    symbol: u8,
    gives: bool,
    /// Whether the bits are of no text.
    is_bad: bool,
    /// Whether a string may end in the next state: what is left of a byte is the beginning of EOS.
    may_end: bool,
}

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let (mut code, mut length) = (0u32, 1);
    while length <= 30 {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] == length {
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

/// Makes the tree: two branches for each state. A branch is a state, or a symbol behind 1,000.
const fn tree() -> [[u16; 2]; STATES] {
    let mut tree = [[0u16; 2]; STATES];
    let (mut used, mut symbol) = (1, 0);
    while symbol < 257 {
        let (code, length) = (CODES[symbol], LENGTHS[symbol]);
        let (mut state, mut bit) = (0usize, 0);
        while bit < length {
            let branch = (code >> (length - 1 - bit) & 1) as usize;
            if bit + 1 == length {
                tree[state][branch] = 1_000 + symbol as u16;
            } else {
                if tree[state][branch] == 0 {
                    tree[state][branch] = used;
                    used += 1;
                }
                state = tree[state][branch] as usize;
            }
            bit += 1;
        }
        symbol += 1;
    }
    tree
}

const fn steps() -> [[Step; 16]; STATES] {
    let tree = tree();
    // The states along the first seven bits of EOS, which are all 1.
    let mut may_end = [false; STATES];
    let (mut state, mut bit) = (0usize, 0);
    while bit < 8 {
        may_end[state] = true;
        state = tree[state][1] as usize;
        bit += 1;
    }
    let mut steps = [[Step { state: 0, symbol: 0, gives: false, is_bad: false, may_end: false }; 16]; STATES];
    let mut from = 0;
    while from < STATES {
        let mut bits = 0;
        while bits < 16 {
            let mut step = Step { state: 0, symbol: 0, gives: false, is_bad: false, may_end: false };
            let (mut state, mut bit) = (from, 4);
            while bit > 0 {
                bit -= 1;
                let next = tree[state][bits >> bit & 1] as usize;
                if next >= 1_000 {
                    let symbol = next - 1_000;
                    if symbol == END {
                        step.is_bad = true;
                    } else {
                        step.symbol = symbol as u8;
                        step.gives = true;
                    }
                    state = 0;
                } else {
                    state = next;
                }
            }
            step.state = state as u8;
            step.may_end = may_end[state];
            steps[from][bits] = step;
            bits += 1;
        }
        from += 1;
    }
    steps
}

/// Appends the text of an encoded string. `None` if the string ends within a symbol, holds EOS, or is padded with anything but the
/// beginning of EOS.
pub(super) fn decode(encoded: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let (mut state, mut may_end) = (0u8, true);
    // Codes have five bits or more.
    text.reserve(encoded.len() * 8 / 5);
    for byte in encoded {
        for bits in [byte >> 4, byte & 15] {
            let step = STEPS[usize::from(state)][usize::from(bits)];
            if step.is_bad {
                return None;
            }
            if step.gives {
                text.push(step.symbol);
            }
            (state, may_end) = (step.state, step.may_end);
        }
    }
    may_end.then_some(())
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
        let mut text = Vec::new();
        decode(encoded, &mut text).map(|()| text)
    }

    #[test]
    fn the_code_is_complete_and_that_of_the_rfc() {
        let sum: u64 = LENGTHS.iter().map(|length| 1u64 << (30 - length)).sum();
        assert_eq!(sum, 1 << 30, "every string of bits is a sequence of codes");
        for (symbol, code) in [(b'0', 0), (b' ', 0x14), (b'z', 0x7b), (b'X', 0xfc), (0, 0x1ff8), (255, 0x03ff_ffee)] {
            assert_eq!(CODES[usize::from(symbol)], code, "{symbol}");
        }
        assert_eq!(CODES[END], 0x3fff_ffff);
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
    fn padding_is_the_beginning_of_eos_and_shorter_than_a_byte() {
        assert_eq!(decoded(&[0b0000_0111]), Some(b"0".to_vec()));
        for wrong in [&[0b0000_0110][..], &[0b0000_0000], &[0xff], &[0b0000_0111, 0xff], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(decoded(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(&testing::encode(&text)), Some(text));
        }

        #[test]
        fn what_decodes_encodes_as_it_was(encoded in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(text) = decoded(&encoded) {
                prop_assert_eq!(testing::encode(&text), encoded);
            }
        }
    }
}
