//! Header blocks: the examples of the RFC, and generated ones with parts that are missed.

use proptest::prelude::*;

use super::*;

/// Fields as texts; `?` for what is not known.
fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
    let text = |bytes: Option<&[u8]>| bytes.map_or("?".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut found = Vec::new();
    decoder.decode(block, |field| found.push((text(field.name), text(field.value))))?;
    Ok(found)
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> = hexadecimal.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn requests_of_the_rfc() {
    for blocks in [
        // Appendix C.3 and, with the Huffman code, C.4.
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::from_start();
        let mut read = |block: &str| fields(&mut decoder, &bytes(block)).unwrap();
        let base = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        assert_eq!(read(blocks[0]), pairs(&base));
        assert_eq!(read(blocks[1]), pairs(&[&base[..], &[("cache-control", "no-cache")]].concat()));
        let last = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        assert_eq!(read(blocks[2]), pairs(&last));
    }
}

#[test]
fn responses_of_the_rfc_evict() {
    // Appendix C.5, with a table of 256 bytes.
    let mut decoder = Decoder::from_start();
    let mut read = |block: &str| fields(&mut decoder, &bytes(block)).unwrap();
    read("3fe101");
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let location = ("location", "https://www.example.com");
    assert_eq!(
        read(
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d"
        ),
        pairs(&[(":status", "302"), ("cache-control", "private"), date, location])
    );
    assert_eq!(read("4803 3330 37c1 c0bf"), pairs(&[(":status", "307"), ("cache-control", "private"), date, location]));
    let third = "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31";
    let cookie = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
    let date = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
    assert_eq!(
        read(third),
        pairs(&[
            (":status", "200"),
            ("cache-control", "private"),
            date,
            location,
            ("content-encoding", "gzip"),
            cookie
        ])
    );
}

#[test]
fn what_is_no_header_block_is_refused() {
    for (block, error) in [
        ("80", HpackError::Index),
        ("be", HpackError::Index),
        ("40", HpackError::Cut),
        ("4005 6162", HpackError::Cut),
        ("ff ffff ffff ff0f", HpackError::Number),
        ("4081 ff00", HpackError::Huffman),
        ("3f", HpackError::Cut),
    ] {
        assert_eq!(fields(&mut Decoder::from_start(), &bytes(block)), Err(error), "{block}");
    }
    // Joined midway, the entry may exist.
    assert_eq!(fields(&mut Decoder::default(), &bytes("be")), Ok(pairs(&[("?", "?")])));
}

#[test]
fn after_a_hole_only_what_was_seen_since_is_known() {
    let mut decoder = Decoder::from_start();
    fields(&mut decoder, &bytes("4001 6101 31")).unwrap();
    decoder.forget();
    // b: 2 enters; then the newest entry and the one before.
    assert_eq!(fields(&mut decoder, &bytes("4001 6201 32 be bf")), Ok(pairs(&[("b", "2"), ("b", "2"), ("?", "?")])));
    // A literal whose name has an unknown entry: the value is known, and numbers stay right.
    assert_eq!(fields(&mut decoder, &bytes("7f00 0133 be bf")), Ok(pairs(&[("?", "3"), ("?", "3"), ("b", "2")])));
    // A table of size 0 holds nothing, whatever was missed.
    assert_eq!(fields(&mut decoder, &bytes("20 be")), Err(HpackError::Index));
}

/// A small encoder: what it does with each field is chosen by a number.
struct Encoder {
    table: Vec<(Vec<u8>, Vec<u8>)>,
    maximum: usize,
}

impl Encoder {
    fn size(&self) -> usize {
        self.table.iter().map(|(name, value)| 32 + name.len() + value.len()).sum()
    }

    fn insert(&mut self, name: &[u8], value: &[u8]) {
        self.table.insert(0, (name.to_vec(), value.to_vec()));
        while self.size() > self.maximum {
            self.table.pop();
        }
    }

    fn number(out: &mut Vec<u8>, first: u8, prefix: u32, number: usize) {
        let most = (1 << prefix) - 1;
        if number < most {
            return out.push(first | number as u8);
        }
        out.push(first | most as u8);
        let mut left = number - most;
        while left >= 128 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    fn string(out: &mut Vec<u8>, text: &[u8], encodes: bool) {
        let encoded = if encodes { huffman::testing::encode(text) } else { text.to_vec() };
        Self::number(out, if encodes { 0x80 } else { 0 }, 7, encoded.len());
        out.extend(encoded);
    }

    fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8], how: u8) {
        let whole = self.table.iter().position(|(known, of)| known == name && of == value);
        if let Some(place) = whole.filter(|_| how & 3 != 0) {
            return Self::number(out, 0x80, 7, 62 + place);
        }
        let named = self
            .table
            .iter()
            .position(|(known, _)| known == name)
            .filter(|_| how & 4 != 0)
            .map_or(0, |place| 62 + place);
        let (first, prefix, enters) = match how >> 3 & 3 {
            0 => (0x00, 4, false),
            1 => (0x10, 4, false),
            _ => (0x40, 6, true),
        };
        Self::number(out, first, prefix, named);
        if named == 0 {
            Self::string(out, name, how & 32 != 0);
        }
        Self::string(out, value, how & 64 != 0);
        if enters {
            self.insert(name, value);
        }
    }
}

proptest! {
    #[test]
    fn fields_are_right_or_unknown_whatever_is_missed(
        blocks in proptest::collection::vec(
            (proptest::collection::vec((0u8..6, 0u8..9, any::<u8>()), 0..8), prop_oneof![8 => Just(0u8), 1 => Just(1), 1 => Just(2)], prop_oneof![1 => Just(0u16), 4 => 1_024u16..6_000]),
            1..30,
        ),
    ) {
        let mut encoder = Encoder { table: Vec::new(), maximum: 4_096 };
        let mut decoder = Decoder::from_start();
        let mut is_whole = true;
        for (fields, what, maximum) in blocks {
            let (mut block, mut sent) = (Vec::new(), Vec::new());
            if what == 2 {
                encoder.maximum = maximum.into();
                Encoder::number(&mut block, 0x20, 5, maximum.into());
                while encoder.size() > encoder.maximum {
                    encoder.table.pop();
                }
            }
            for (name, value, how) in fields {
                let name = format!("name-{name}").into_bytes();
                let value = vec![b'a' + value; usize::from(value) * 40];
                encoder.field(&mut block, &name, &value, how);
                sent.push((name, value));
            }
            if what == 1 {
                decoder.forget();
                is_whole = false;
                continue;
            }
            let mut place = 0;
            let read = decoder.decode(&block, |field| {
                let (name, value) = &sent[place];
                place += 1;
                assert!(field.name.is_none_or(|found| found == name), "{place}");
                assert!(field.value.is_none_or(|found| found == value), "{place}");
                assert!(!is_whole || field.name.is_some() && field.value.is_some(), "{place}");
            });
            prop_assert_eq!((read, place), (Ok(()), sent.len()));
        }
    }

    #[test]
    fn no_bytes_cause_a_panic_and_memory_is_bounded(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..60),
    ) {
        let mut decoder = Decoder::from_start();
        for block in blocks {
            let _ = decoder.decode(&block, |_| {});
            prop_assert!(decoder.bytes() < 300_000);
        }
    }
}

#[test]
fn many_entries_stay_within_bounds() {
    let mut decoder = Decoder::from_start();
    // A maximum of 16 MB, and entries of no texts.
    decoder.decode(&bytes("3fe1ffff07"), |_| {}).unwrap();
    for _ in 0..100_000 {
        decoder.decode(&bytes("40 0161 00"), |_| {}).unwrap();
    }
    assert!(decoder.bytes() < 400_000, "{}", decoder.bytes());
    assert_eq!(fields(&mut decoder, &bytes("ffffff00")), Ok(pairs(&[("?", "?")])), "it may exist");
}
