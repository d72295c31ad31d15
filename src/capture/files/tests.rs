//! Tests of reading capture files: each format byte by byte, then properties over all of them.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::*;
use crate::capture::{
    LinkType,
    testing::{self, Ng, Sample, drain, pcap, pcapng},
};

mod order;
mod secrets;

/// A reader that gives at most `most` bytes at a time.
struct Chunked {
    bytes: io::Cursor<Vec<u8>>,
    most: usize,
}

impl Read for Chunked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.most.min(buffer.len());
        self.bytes.read(&mut buffer[..most])
    }
}

fn read_chunked(bytes: &[u8], most: usize, block: usize) -> Result<(Vec<Sample>, CaptureSet), CaptureError> {
    let input = Chunked { bytes: io::Cursor::new(bytes.to_vec()), most };
    let settings = FileSettings { block, read_ahead: None, key_logs: false };
    let mut set = CaptureSet::from_stream(Path::new("in"), Box::new(input), settings)?;
    let samples = drain(&mut set);
    Ok((samples, set))
}

fn read(bytes: &[u8]) -> (Vec<Sample>, CaptureSet) {
    read_chunked(bytes, usize::MAX, 64 * 1024).unwrap()
}

fn some_packets() -> Vec<Sample> {
    (0..40u32)
        .map(|n| Sample {
            nanos: 1_700_000_000_000_000_000 + u64::from(n) * 1_000_000,
            link_type: 1,
            wire_length: n * 37 + 2,
            data: (0..n * 37 + n % 3).map(|byte| byte as u8).collect(),
        })
        .collect()
}

fn problem(set: &CaptureSet) -> &CaptureProblem {
    assert_eq!(set.problems().len(), 1, "{:?}", set.problems());
    &set.problems()[0]
}

#[test]
fn pcap_in_every_variant() {
    let packets = some_packets();
    for big_endian in [false, true] {
        for (magic, units) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1), (0xa1b2_cd34, 1_000)] {
            let (samples, set) = read(&pcap(&packets, magic, units, big_endian, 1));
            assert_eq!(samples, packets);
            assert!(set.problems().is_empty());
        }
    }
}

#[test]
fn pcap_link_type_is_the_low_half_and_its_check_sequence_is_cut() {
    let packet = |wire_length, length| Sample { nanos: 0, link_type: 1, wire_length, data: vec![7; length] };
    let written = [packet(64, 64), packet(64, 62), packet(64, 60), packet(64, 20), packet(2, 2)];
    let expected = [packet(60, 60), packet(60, 60), packet(60, 60), packet(60, 20), packet(0, 0)];
    let (samples, _) = read(&pcap(&written, 0xa1b2_c3d4, 1_000, false, 0x2400_0001));
    assert_eq!(samples, expected);
    let (samples, _) = read(&pcap(&written, 0xa1b2_c3d4, 1_000, true, 0x2000_0001));
    assert_eq!(samples, written, "a length without the bit that makes it valid");
}

#[test]
fn more_captured_than_on_the_wire_is_tolerated() {
    let written = Sample { nanos: 5_000, link_type: 1, wire_length: 10, data: vec![1; 20] };
    let (samples, set) = read(&pcap(std::slice::from_ref(&written), 0xa1b2_c3d4, 1_000, false, 1));
    assert_eq!(samples, [Sample { wire_length: 20, ..written }]);
    assert_eq!(set.counters().captured_beyond_wire_length, 1);
}

#[test]
fn lengths_of_old_pcap_versions_are_the_other_way_round() {
    let packets: Vec<Sample> =
        some_packets().into_iter().map(|sample| Sample { wire_length: 2_000, ..sample }).collect();
    for big_endian in [false, true] {
        let written = pcap(&packets, 0xa1b2_c3d4, 1_000, big_endian, 1);
        for (minor, swaps) in [(4u8, false), (3, false), (3, true), (2, true), (1, true)] {
            let mut file = written.clone();
            file[if big_endian { 7 } else { 6 }] = minor;
            let mut at = 24;
            for packet in &packets {
                if swaps {
                    file[at + 8..at + 16].rotate_left(4);
                }
                at += 16 + packet.data.len();
            }
            let (samples, set) = read(&file);
            assert_eq!(samples, packets, "version 2.{minor}");
            assert_eq!(set.counters().captured_beyond_wire_length, 0);
        }
    }
}

#[test]
fn files_run_together_are_read_one_after_the_other() {
    let packets = some_packets();
    let kinds = [
        pcap(&packets, 0xa1b2_c3d4, 1_000, false, 1),
        pcap(&packets, 0xa1b2_3c4d, 1, true, 1),
        pcap(&packets, 0xa1b2_cd34, 1_000, false, 1),
        pcapng(&packets, false),
        pcapng(&packets, true),
    ];
    for one in &kinds {
        for two in &kinds {
            let file = [one.as_slice(), two, one].concat();
            for most in [1, 1_000, usize::MAX] {
                let (samples, set) = read_chunked(&file, most, 4_096).unwrap();
                assert!(samples.iter().eq(packets.iter().chain(&packets).chain(&packets)));
                assert_eq!(set.problems(), []);
            }
        }
    }
}

#[test]
fn pcapng_blocks_whose_length_leaves_out_the_padding() {
    let packets = some_packets();
    for big_endian in [false, true] {
        let file = pcapng(&packets, big_endian);
        let word = |bytes: &[u8]| {
            let bytes = bytes.try_into().unwrap();
            if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let (mut unpadded, mut at) = (Vec::new(), 0);
        while at < file.len() {
            let length = word(&file[at + 4..at + 8]) as usize;
            let mut block = file[at..at + length].to_vec();
            if word(&block[..4]) == 6 {
                let padding = (4 - word(&block[20..24]) % 4) % 4;
                let said = length as u32 - padding;
                let said = if big_endian { said.to_be_bytes() } else { said.to_le_bytes() };
                block[4..8].copy_from_slice(&said);
                block[length - 4..].copy_from_slice(&said);
            }
            unpadded.extend(block);
            at += length;
        }
        let (samples, set) = read(&unpadded);
        assert_eq!((samples, set.problems().len()), (packets.clone(), 0));
    }
}

#[test]
fn pcapng_sections_of_both_orders_with_interfaces_that_differ() {
    let mut expected = Vec::new();
    let mut file = Vec::new();
    for (section, big_endian) in [false, true, false].into_iter().enumerate() {
        let mut ng = Ng::new(big_endian);
        ng.interface(1, 0, &[]);
        ng.interface(113, 96, &[(9, &[9]), (2, b"eth0")]);
        ng.interface(101, 0, &[(9, &[0x94])]);
        ng.interface(228, 0, &[(9, &[3]), (14, &testing::i64_bytes(-3_600, big_endian))]);
        ng.interface(276, 0, &[(14, &testing::i64_bytes(1_600_000_000, big_endian))]);
        ng.block(4, &[0; 8]);
        ng.block(5, &[0; 12]);
        ng.block(0x1234_5678, &[9; 60_000]);
        ng.block(0x1234_5678, &[9; 70_000]);
        let data = vec![section as u8; 61];
        let cases = [
            (0, 1_700_000_000_000_001u64, 1_700_000_000_000_001_000u64, 1),
            (1, 1_700_000_000_000_000_001, 1_700_000_000_000_000_001, 113),
            (2, (1_700_000_000 << 20) | (1 << 19), 1_700_000_000_500_000_000, 101),
            (3, 1_700_000_000_250, 1_699_996_400_250_000_000, 228),
            (4, 1_000_000, 1_600_000_001_000_000_000, 276),
        ];
        for (interface, units, nanos, link_type) in cases {
            ng.enhanced(interface, units, &data, 100);
            ng.old(interface as u16, units, &data, 100);
            let sample = Sample { nanos, link_type, wire_length: 100, data: data.clone() };
            expected.extend([sample.clone(), sample]);
        }
        ng.enhanced(9, 0, &data, 100);
        file.extend(ng.bytes);
    }
    for most in [1, 13, usize::MAX] {
        let (samples, set) = read_chunked(&file, most, 4_096).unwrap();
        assert_eq!(samples, expected);
        let counters = set.counters();
        assert_eq!((counters.sections, counters.packets_of_unknown_interface), (3, 3));
        assert_eq!(counters.blocks_name_resolution, 3);
        assert_eq!((counters.blocks_interface_statistics, counters.blocks_unknown), (3, 6));
        assert!(set.problems().is_empty());
    }
}

#[test]
fn simple_packets_are_cut_at_the_snap_length_and_take_the_time_before() {
    let mut ng = Ng::new(true);
    ng.interface(1, 50, &[]);
    ng.simple(&[1; 30], 30);
    ng.enhanced(0, 7, &[2; 10], 10);
    ng.simple(&[3; 50], 90);
    let (samples, set) = read(&ng.bytes);
    let sample = |nanos, data: &[u8], wire_length| Sample { nanos, link_type: 1, wire_length, data: data.to_vec() };
    assert_eq!(samples, [sample(0, &[1; 30], 30), sample(7_000, &[2; 10], 10), sample(7_000, &[3; 50], 90)]);
    assert_eq!(set.counters().packets_without_time, 2);
}

#[test]
fn pcapng_check_sequence_is_cut_when_its_length_is_sensible() {
    for (length, cut) in [(4u8, 4), (32, 4), (2, 2), (16, 2), (0, 0), (1, 0), (200, 0)] {
        let mut ng = Ng::new(false);
        ng.interface(1, 0, &[(13, &[length])]);
        ng.enhanced(0, 0, &[1; 64], 64);
        assert_eq!(read(&ng.bytes).0[0].data.len(), 64 - cut, "if_fcslen {length}");
    }
}

#[test]
fn corrupt_files_tell_what_and_where_after_what_came_before() {
    let packets = some_packets();
    let good = pcap(&packets, 0xa1b2_c3d4, 1_000, false, 1);
    let mut long = good.clone();
    long.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 16, 0, 1, 0, 16, 0]);
    let mut ng = Ng::new(false);
    ng.interface(1, 0, &[]);
    ng.enhanced(0, 0, &[1; 8], 8);
    let whole = ng.bytes;
    let with = |tail: &[u8]| [whole.as_slice(), tail].concat();
    let kind_length = |kind: u32, length: u32| with(&[kind.to_le_bytes(), length.to_le_bytes()].concat());
    let cases = [
        (long, good.len(), packets.len(), "1048577 captured bytes"),
        (good[..good.len() - 1].to_vec(), good.len() - 16 - packets[39].data.len(), 39, "packet record"),
        (kind_length(6, 31), whole.len(), 1, "breaks off 8 bytes into a pcapng block"),
        (kind_length(6, 8), whole.len(), 1, "impossible length of 8"),
        (kind_length(6, 1 << 24), whole.len(), 1, "impossible length of 16777216"),
        (kind_length(99, 1 << 24), whole.len(), 1, "breaks off 8 bytes into a pcapng block"),
        (with(&[9, 9, 0, 0, 12, 0, 0, 0, 16, 0, 0, 0]), whole.len(), 1, "starts with length 12 but ends with 16"),
        (with(&[&[0x0a, 0x0d, 0x0d, 0x0a][..], &[0; 30]].concat()), whole.len(), 1, "byte-order magic 0x00000000"),
        (good[..20].to_vec(), 0, 0, "20 bytes into a file header"),
    ];
    for (bytes, offset, count, words) in cases {
        for most in [1, usize::MAX] {
            let (samples, set) = read_chunked(&bytes, most, 1_000).unwrap();
            assert_eq!((samples.len(), set.problems().len()), (count, 1), "{words}");
            let problem = problem(&set);
            assert_eq!(problem.offset, offset as u64, "{words}");
            assert!(problem.to_string().contains(words), "{problem}");
            assert!(problem.to_string().starts_with(&format!("in: byte {offset}: ")), "{problem}");
            assert!(!problem.to_string().contains('\n'));
        }
    }
}

fn compressed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(bytes, 1).unwrap()),
        ("lz4", lz4.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
    ]
}

#[test]
fn every_compression_in_several_members_with_what_may_stand_between() {
    let packets = some_packets();
    let file = pcap(&packets, 0xa1b2_3c4d, 1, true, 1);
    let (first, second) = file.split_at(777);
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for ((name, one), (_, two)) in compressed(first).into_iter().zip(compressed(second)) {
        let between: &[u8] = match name {
            "gzip" => &[],
            "xz" => &[0; 8],
            _ => &skippable,
        };
        let whole = [&one, between, &two].concat();
        for most in [1, 100, usize::MAX] {
            let (samples, set) = read_chunked(&whole, most, 4_096).unwrap();
            assert_eq!(samples, packets, "{name}");
            assert_eq!(set.problems(), [], "{name}");
            assert_eq!(set.consumed_bytes().load(Relaxed), whole.len() as u64, "{name}");
        }
    }
}

#[test]
fn cut_compressed_streams_yield_a_prefix_and_one_problem() {
    let packets = some_packets();
    let file = pcap(&packets, 0xa1b2_3c4d, 1, true, 1);
    for (name, whole) in compressed(&file) {
        for cut in (whole.len() / 2..whole.len()).step_by(7).chain([whole.len() - 1]) {
            match read_chunked(&whole[..cut], usize::MAX, 4_096) {
                Ok((samples, set)) => {
                    assert_eq!(samples, packets[..samples.len()], "{name}");
                    let problem = problem(&set);
                    assert!(problem.compressed, "{name} {cut}");
                    assert!(problem.to_string().contains("decompress"), "{problem}");
                }
                Err(error) => assert!(matches!(error, CaptureError::NotDecompressible { .. }), "{name}: {error}"),
            }
        }
    }
}

#[test]
fn what_follows_compressed_data_is_told() {
    let packets = some_packets();
    for (name, mut whole) in compressed(&pcap(&packets, 0xa1b2_3c4d, 1, true, 1)) {
        whole.extend(b"garbage");
        let (samples, set) = read(&whole);
        assert_eq!(samples, packets, "{name}");
        assert!(problem(&set).to_string().contains("something else follows"), "{name}");
    }
}

#[test]
fn not_a_capture() {
    let error = |bytes: &[u8]| read_chunked(bytes, 3, 4_096).map(|_| ()).unwrap_err().to_string();
    assert!(error(b"").contains("empty"));
    assert!(error(b"{\"event\": 1}").contains("JSON"));
    assert!(error(b"BZh91AY&SY").contains("bunzip2"));
    assert!(error(b"ab").contains("text"));
    for (name, bytes) in compressed(b"<html><body>Not found</body></html>") {
        assert!(error(&bytes).contains("HTML"), "{name}");
    }
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn at(nanos: &[u64], mark: u8) -> Vec<Sample> {
    nanos.iter().map(|&nanos| Sample { nanos, link_type: 1, wire_length: 1, data: vec![mark] }).collect()
}

fn marks(samples: &[Sample]) -> String {
    samples.iter().map(|sample| sample.data[0] as char).collect()
}

#[test]
fn overlapping_files_are_merged_by_time_and_ties_by_input() {
    let directory = tempfile::tempdir().unwrap();
    let nano = |samples: &[Sample]| pcap(samples, 0xa1b2_3c4d, 1, false, 1);
    let c = write(directory.path(), "c", &nano(&at(&[100, 110], b'c')));
    let a = write(directory.path(), "a", &nano(&at(&[10, 20, 30, 40, 50], b'a')));
    let b = write(directory.path(), "b", &nano(&at(&[20, 25, 45, 44, 60], b'b')));
    let empty = write(directory.path(), "d", &nano(&[]));
    let mut set = CaptureSet::open(&[c.clone(), a.clone(), empty, b.clone()], FileSettings::default()).unwrap();
    let total: u64 = [&a, &b, &c].iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>() + 24;
    assert_eq!(set.total_bytes(), Some(total));
    assert_eq!(marks(&drain(&mut set)), "aababaabbbcc".replace("aababaabbb", "aabbaabbab"));
    assert_eq!(set.consumed_bytes().load(Relaxed), total);
    let counters = set.counters();
    assert_eq!((counters.files, counters.files_without_packets, counters.time_backwards), (4, 1, 1));
}

#[test]
fn a_broken_file_does_not_stop_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let nano = |samples: &[Sample]| pcap(samples, 0xa1b2_3c4d, 1, false, 1);
    let mut cut = nano(&at(&[10, 20, 30], b'a'));
    cut.pop();
    let a = write(directory.path(), "a", &cut);
    let b = write(directory.path(), "b", &nano(&at(&[15, 40], b'b')));
    let mut set = CaptureSet::open(&[a.clone(), b], FileSettings::default()).unwrap();
    assert_eq!(marks(&drain(&mut set)), "abab");
    assert_eq!(problem(&set).path, a);
    assert_eq!(problem(&set).offset, 24 + 2 * 17);
}

#[test]
fn directories_in_name_order_without_what_is_no_capture() {
    let directory = tempfile::tempdir().unwrap();
    for (name, mark) in [("2.pcap", b'b'), ("1.pcap", b'a'), ("sub/3.pcap", b'c'), ("x.pcap", b'd')] {
        write(directory.path(), name, &pcap(&at(&[5, 5], mark), 0xa1b2_3c4d, 1, false, 1));
    }
    write(directory.path(), "README", b"hello");
    write(directory.path(), "empty", b"");
    let mut set = CaptureSet::open(&[directory.path().to_owned()], FileSettings::default()).unwrap();
    assert_eq!(marks(&drain(&mut set)), "aabbccdd");
    assert_eq!(set.counters().files_skipped, 2);
    let other = tempfile::tempdir().unwrap();
    write(other.path(), "README", b"hello");
    let error = CaptureSet::open(&[other.path().to_owned()], FileSettings::default()).err().unwrap();
    assert!(matches!(error, CaptureError::NoCaptureInDirectory { skipped: 1, .. }), "{error}");
}

#[test]
fn more_files_than_may_be_open_are_read_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    for n in 0..700u64 {
        write(directory.path(), &format!("{n:04}"), &pcap(&at(&[n * 10, n * 10 + 12], 0), 0xa1b2_3c4d, 1, false, 1));
    }
    let mut set = CaptureSet::open(&[directory.path().to_owned()], FileSettings::default()).unwrap();
    let samples = drain(&mut set);
    assert_eq!(samples.len(), 1_400);
    assert!(samples.is_sorted_by_key(|sample| sample.nanos));
    assert!(set.problems().is_empty());
}

#[test]
fn only_a_file_that_is_read_too_late_is_a_problem() {
    for (overlapping, later, late) in [(255, 10, 0), (256, 0, 0), (256, 1, 0), (256, 300, 0), (257, 0, 1), (260, 3, 4)]
    {
        let directory = tempfile::tempdir().unwrap();
        for n in 0..overlapping {
            write(directory.path(), &format!("a{n:04}"), &pcap(&at(&[n, 5_000 + n], 0), 0xa1b2_3c4d, 1, false, 1));
        }
        for n in 0..later {
            write(directory.path(), &format!("b{n:04}"), &pcap(&at(&[6_000 + n * 10], 0), 0xa1b2_3c4d, 1, false, 1));
        }
        let mut set = CaptureSet::open(&[directory.path().to_owned()], FileSettings::default()).unwrap();
        let samples = drain(&mut set);
        assert_eq!(samples.len() as u64, overlapping * 2 + later);
        assert_eq!(samples.is_sorted_by_key(|sample| sample.nanos), late == 0);
        assert_eq!(set.problems().len(), late, "{overlapping} {later}");
    }
}

#[test]
fn unusable_inputs() {
    let open = |inputs: &[&str]| {
        let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
        CaptureSet::open(&inputs, FileSettings::default()).err().unwrap()
    };
    assert!(matches!(open(&[]), CaptureError::NoInput));
    assert!(matches!(open(&["-", "-"]), CaptureError::StandardInputTwice));
    assert!(matches!(open(&["/nonexistent/file.pcap"]), CaptureError::Unreadable { .. }));
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (0..4_000_000_000u64, 0..1_000_000u64, prop::collection::vec(any::<u8>(), 0..200), 0..50u32).prop_map(
        |(seconds, micros, data, cut)| Sample {
            nanos: seconds * 1_000_000_000 + micros * 1_000,
            link_type: 1,
            wire_length: data.len() as u32 + cut,
            data,
        },
    );
    prop::collection::vec(sample, 0..30)
}

/// Writes the packets in one of six formats.
fn written(samples: &[Sample], format: usize) -> Vec<u8> {
    match format {
        0 => pcap(samples, 0xa1b2_c3d4, 1_000, false, 1),
        1 => pcap(samples, 0xa1b2_c3d4, 1_000, true, 1),
        2 => pcap(samples, 0xa1b2_3c4d, 1, false, 1),
        3 => pcap(samples, 0xa1b2_3c4d, 1, true, 1),
        _ => pcapng(samples, format == 5),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_packets_in_any_format_by_any_chunks_come_back(
        samples in samples(), format in 0..6usize, compression in 0..5usize,
        most in 1..600usize, block in 1..600usize,
    ) {
        let plain = written(&samples, format);
        let bytes = if compression == 4 { plain } else { compressed(&plain).swap_remove(compression).1 };
        let (got, set) = read_chunked(&bytes, most, block).unwrap();
        prop_assert_eq!(got, samples);
        prop_assert!(set.problems().is_empty());
    }

    #[test]
    fn any_cut_yields_a_prefix(samples in samples(), format in 0..6usize, cut in any::<prop::sample::Index>()) {
        let mut bytes = written(&samples, format);
        bytes.truncate(cut.index(bytes.len()).max(4));
        let (got, set) = read_chunked(&bytes, 500, 300).unwrap();
        prop_assert_eq!(&got[..], &samples[..got.len()]);
        let told: usize = set.problems().len();
        prop_assert!(told <= 1);
        // A file that is cut after its section header is a whole section without packets.
        let section = (format > 3).then(|| Ng::new(format == 5).bytes.len());
        let whole = [Some(written(&samples[..got.len()], format).len()), section];
        prop_assert!(told == 1 || whole.contains(&Some(bytes.len())));
    }

    #[test]
    fn random_bytes_never_panic(
        start in 0..9usize, mut tail in prop::collection::vec(any::<u8>(), 0..400), small in any::<bool>(),
    ) {
        if small {
            tail.iter_mut().step_by(2).for_each(|byte| *byte = 0);
        }
        let head: &[u8] = match start {
            0 => &[0xd4, 0xc3, 0xb2, 0xa1],
            1 => &[0xa1, 0xb2, 0x3c, 0x4d],
            2 => &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0],
            3 => &[0x1f, 0x8b, 8, 0],
            4 => &[0x28, 0xb5, 0x2f, 0xfd],
            5 => &[4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82],
            6 => b"\xfd7zXZ\0",
            7 => &[0x50, 0x2a, 0x4d, 0x18],
            _ => &[],
        };
        let bytes = [head, &tail].concat();
        crate::capture::files::fuzz(&bytes);
    }

    #[test]
    fn merging_equals_a_stable_sort(times in prop::collection::vec(prop::collection::vec(0..60u64, 1..20), 1..6)) {
        let directory = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        let mut inputs = Vec::new();
        for (index, mut times) in times.into_iter().enumerate() {
            times.sort();
            let samples = at(&times, index as u8);
            inputs.push(write(directory.path(), &index.to_string(), &pcap(&samples, 0xa1b2_3c4d, 1, false, 1)));
            expected.extend(samples);
        }
        expected.sort_by_key(|sample| sample.nanos);
        for block in [20, 100, 100_000] {
            let mut set = CaptureSet::open(&inputs, FileSettings { block, read_ahead: None, key_logs: false }).unwrap();
            prop_assert_eq!(&drain(&mut set), &expected);
        }
    }
}

#[test]
fn link_types_beyond_ethernet_pass_through() {
    let (samples, _) = read(&pcap(&some_packets(), 0xa1b2_c3d4, 1_000, false, 276));
    assert!(samples.iter().all(|sample| LinkType(sample.link_type) == LinkType(276)));
}
