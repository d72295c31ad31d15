//! Header blocks: the examples of the RFC, cases at limits, and generated blocks of which some are lost.

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
fn single_fields_of_the_rfc() {
    // Appendix C.2: incremental, without indexing, never indexed, indexed.
    for (block, field, entries) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ("custom-key", "custom-header"), 1),
        ("040c 2f73 616d 706c 652f 7061 7468", (":path", "/sample/path"), 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", ("password", "secret"), 0),
        ("82", (":method", "GET"), 0),
    ] {
        let mut decoder = Decoder::from_start();
        assert_eq!(fields(&mut decoder, &bytes(block)), Ok(pairs(&[field])));
        let again = fields(&mut decoder, &bytes("be"));
        assert_eq!(again, if entries > 0 { Ok(pairs(&[field])) } else { Err(HpackError::Index) });
    }
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
    // Appendix C.5 and, with the Huffman code, C.6. The table has 256 bytes.
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
             474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
             666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
             3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
             63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let mut decoder = Decoder::from_start();
        let mut read = |block: &str| fields(&mut decoder, &bytes(block)).unwrap();
        assert_eq!(read("3fe101"), []);
        let private = ("cache-control", "private");
        let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
        let location = ("location", "https://www.example.com");
        assert_eq!(read(blocks[0]), pairs(&[(":status", "302"), private, date, location]));
        assert_eq!(read(blocks[1]), pairs(&[(":status", "307"), private, date, location]));
        let date = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
        let cookie = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
        let coding = ("content-encoding", "gzip");
        assert_eq!(read(blocks[2]), pairs(&[(":status", "200"), private, date, location, coding, cookie]));
        // The three entries that the RFC lists afterwards, and none more.
        assert_eq!(read("be bf c0"), pairs(&[cookie, coding, date]));
        assert_eq!(fields(&mut decoder, &bytes("c1")), Err(HpackError::Index));
    }
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
        ("3fff ffff ffff 00", HpackError::Number),
        ("0f2f 00", HpackError::Index),
        ("7e 00", HpackError::Index),
    ] {
        assert_eq!(fields(&mut Decoder::from_start(), &bytes(block)), Err(error), "{block}");
    }
    // Joined midway, the entry may exist.
    assert_eq!(fields(&mut Decoder::default(), &bytes("be")), Ok(pairs(&[("?", "?")])));
}

#[test]
fn after_an_error_nothing_is_known() {
    let mut decoder = Decoder::from_start();
    // a: 1 enters; then a block that inserts b: 2 and has a fault.
    fields(&mut decoder, &bytes("4001 6101 31")).unwrap();
    assert_eq!(fields(&mut decoder, &bytes("4001 6201 32 80")), Err(HpackError::Index));
    assert_eq!(fields(&mut decoder, &bytes("be")), Ok(pairs(&[("?", "?")])));
    assert_eq!(fields(&mut decoder, &bytes("4001 6301 33 be")), Ok(pairs(&[("c", "3"), ("c", "3")])));
}

#[test]
fn a_maximum_below_the_smallest_entry_means_an_empty_table() {
    for (block, expected) in [
        ("20 be", Err(HpackError::Index)),
        ("3f00 be", Err(HpackError::Index)),
        // An entry of 32 bytes fits.
        ("3f01 be", Ok(pairs(&[("?", "?")]))),
    ] {
        assert_eq!(fields(&mut Decoder::default(), &bytes(block)), expected, "{block}");
    }
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

/// Encodes a literal that is inserted, with names and values of these lengths.
fn inserted(name: usize, value: usize) -> Vec<u8> {
    let mut block = vec![0x40];
    Encoder::string(&mut block, &vec![b'n'; name], false);
    Encoder::string(&mut block, &vec![b'v'; value], false);
    block
}

#[test]
fn an_entry_above_the_maximum_empties_the_table() {
    for (name, value, remains) in [(1, 4_063, Ok(1)), (1, 4_064, Err(HpackError::Index))] {
        let mut decoder = Decoder::from_start();
        decoder.decode(&inserted(1, 1), |_| {}).unwrap();
        decoder.decode(&inserted(name, value), |_| {}).unwrap();
        assert_eq!(fields(&mut decoder, &bytes("be")).map(|found| found.len()), remains, "{value}");
    }
}

#[test]
fn a_table_larger_than_what_is_kept_is_unknown_in_part() {
    let mut decoder = Decoder::from_start();
    // A maximum of 2^32 - 1 bytes; two entries that fit together, and one that does not fit beside them.
    let mut block = bytes("3fe0 ffff ff0f");
    block.extend([inserted(1, 30_000), inserted(2, 30_000), inserted(3, 30_000)].concat());
    decoder.decode(&block, |_| {}).unwrap();
    let known = |decoder: &mut Decoder, block: &str| -> Vec<Option<usize>> {
        let mut known = Vec::new();
        decoder.decode(&bytes(block), |field| known.push(field.name.map(<[u8]>::len))).unwrap();
        known
    };
    assert_eq!(known(&mut decoder, "be bf c0"), [Some(3), Some(2), None]);
    // An entry that is never kept: it has an index.
    decoder.decode(&inserted(4, 70_000), |_| {}).unwrap();
    decoder.decode(&inserted(5, 1), |_| {}).unwrap();
    assert_eq!(known(&mut decoder, "be bf c0"), [Some(5), None, None]);
    // After a maximum of 0, everything is known again.
    assert_eq!(known(&mut decoder, "20 3fe1 1f"), []);
    decoder.decode(&inserted(6, 1), |_| {}).unwrap();
    assert_eq!(known(&mut decoder, "be"), [Some(6)]);
    assert_eq!(fields(&mut decoder, &bytes("bf")), Err(HpackError::Index));
}

#[test]
fn short_references_to_a_long_name_do_not_copy_it() {
    let mut decoder = Decoder::from_start();
    decoder.decode(&bytes("3fe1 ff03"), |_| {}).unwrap();
    decoder.decode(&inserted(20_000, 0), |_| {}).unwrap();
    let mut places = std::collections::HashSet::new();
    // The name of the newest entry: not inserted, then inserted several times.
    decoder
        .decode(&bytes("0f2f 00 0f2f 00 7e00 7e00 7e00 7e00 be"), |field| {
            places.insert(field.name.unwrap().as_ptr());
        })
        .unwrap();
    assert_eq!(places.len(), 1);
}

#[test]
fn buffers_of_long_strings_are_not_kept() {
    let mut decoder = Decoder::from_start();
    let mut block = vec![0x00];
    Encoder::string(&mut block, &[b'a'; 100_000], true);
    Encoder::string(&mut block, &[b'a'; 100_000], true);
    decoder.decode(&block, |field| assert_eq!(field.value.map(<[u8]>::len), Some(100_000))).unwrap();
    assert!(decoder.bytes() <= 2 * KEPT_BYTES);
}

/// An entry of the encoder's table, and which of its parts the decoder must know.
struct Sent {
    name: Vec<u8>,
    value: Vec<u8>,
    knows_name: bool,
    knows_value: bool,
}

/// A small encoder. A number chooses how it encodes each field.
struct Encoder {
    /// The newest entry is the first.
    table: Vec<Sent>,
    maximum: usize,
}

impl Encoder {
    fn resize(&mut self, out: &mut Vec<u8>, maximum: usize) {
        self.maximum = maximum;
        self.evict();
        Self::number(out, 0x20, 5, maximum);
    }

    fn evict(&mut self) {
        let mut size = 0;
        let fits = |sent: &Sent| {
            size += 32 + sent.name.len() + sent.value.len();
            size <= self.maximum
        };
        let kept = self.table.iter().map(fits).take_while(|fits| *fits).count();
        self.table.truncate(kept);
    }

    fn lose(&mut self) {
        self.table.iter_mut().for_each(|sent| (sent.knows_name, sent.knows_value) = (false, false));
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

    /// Encodes a field. Returns whether the decoder must know its name and its value.
    fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8], how: u8) -> (bool, bool) {
        let whole = self.table.iter().position(|sent| sent.name == name && sent.value == value);
        if let Some(place) = whole.filter(|_| how & 3 != 0) {
            Self::number(out, 0x80, 7, 62 + place);
            return (self.table[place].knows_name, self.table[place].knows_value);
        }
        let is_named = how & 4 != 0;
        let of_static = (name == b":path").then_some((4, true)).filter(|_| is_named && how & 1 != 0);
        // The last entry of several with the same name is the oldest: it may be evicted by the field itself.
        let of_table = self.table.iter().rposition(|sent| sent.name == name).filter(|_| is_named);
        let of_table = of_table.map(|place| (62 + place, self.table[place].knows_name));
        let (index, knows_name) = of_static.or(of_table).unwrap_or((0, true));
        let (first, prefix, enters) = match how >> 3 & 3 {
            0 => (0x00, 4, false),
            1 => (0x10, 4, false),
            _ => (0x40, 6, true),
        };
        Self::number(out, first, prefix, index);
        if index == 0 {
            Self::string(out, name, how & 32 != 0);
        }
        Self::string(out, value, how & 64 != 0);
        if enters {
            self.table.insert(0, Sent { name: name.to_vec(), value: value.to_vec(), knows_name, knows_value: true });
            self.evict();
        }
        (knows_name, true)
    }
}

/// A block: its fields, whether it is lost, and the new maxima at its beginning.
type Block = (Vec<(u8, u8, u8)>, bool, Vec<usize>);

fn blocks(maxima: impl Strategy<Value = usize> + Clone + 'static) -> impl Strategy<Value = Vec<Block>> {
    let fields = proptest::collection::vec((0u8..6, 0u8..9, any::<u8>()), 0..8);
    let maxima = prop_oneof![6 => Just(Vec::new()), 1 => proptest::collection::vec(maxima, 1..3)];
    proptest::collection::vec((fields, proptest::bool::weighted(0.1), maxima), 1..30)
}

/// Encodes, loses and decodes blocks. Every field that is handed out must be right or unknown. If `is_exact`, it must be known if and
/// only if everything it depends on was seen.
fn check(blocks: Vec<Block>, is_midway: bool, unit: usize, is_exact: bool) {
    let mut encoder = Encoder { table: Vec::new(), maximum: 4_096 };
    let mut decoder = if is_midway { Decoder::default() } else { Decoder::from_start() };
    for (number, (fields, is_lost, maxima)) in blocks.into_iter().enumerate() {
        let (mut block, mut sent) = (Vec::new(), Vec::new());
        maxima.into_iter().for_each(|maximum| encoder.resize(&mut block, maximum));
        for (name, value, how) in fields {
            let name = if name == 0 { b":path".to_vec() } else { vec![b'a' + name; usize::from(name) * unit / 4] };
            let value = vec![b'a' + value; usize::from(value) * unit];
            let known = encoder.field(&mut block, &name, &value, how);
            sent.push((name, value, known));
        }
        if is_lost || (number == 0 && is_midway) {
            decoder.forget();
            encoder.lose();
            continue;
        }
        let mut place = 0;
        let read = decoder.decode(&block, |field| {
            let (name, value, known) = &sent[place];
            place += 1;
            assert!(field.name.is_none_or(|found| found == name), "{place}");
            assert!(field.value.is_none_or(|found| found == value), "{place}");
            assert!(!is_exact || *known == (field.name.is_some(), field.value.is_some()), "{place}");
        });
        assert_eq!((read, place), (Ok(()), sent.len()));
    }
}

proptest! {
    #[test]
    fn fields_are_known_exactly_if_all_they_depend_on_was_seen(
        blocks in blocks(prop_oneof![Just(0usize), 0usize..300, 300usize..6_000]),
        is_midway: bool,
        unit in prop_oneof![Just(5usize), Just(40), Just(600)],
    ) {
        check(blocks, is_midway, unit, true);
    }

    #[test]
    fn fields_of_a_table_larger_than_what_is_kept_are_right_or_unknown(
        blocks in blocks(prop_oneof![Just(0usize), Just(4_096), 60_000usize..70_000, 100_000usize..1_000_000]),
        is_midway: bool,
    ) {
        check(blocks, is_midway, 9_000, false);
    }

    #[test]
    fn no_bytes_cause_a_panic_and_memory_is_bounded(
        blocks in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4, 0x3eu8..0x42, 0x7du8..0x84, 0xbdu8..0xc0], 0..300),
            0..60,
        ),
        is_midway: bool,
    ) {
        let mut decoder = if is_midway { Decoder::default() } else { Decoder::from_start() };
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
    assert_eq!(fields(&mut decoder, &bytes("ffff ff00")), Ok(pairs(&[("?", "?")])), "it may exist");
}
