//! Tests of key logs in pcapng files.

use super::*;
use crate::capture::files::secrets::MAX_SECRETS_BLOCK;

const WANTED: FileSettings = FileSettings { block: 4_096, read_ahead: None, key_logs: true };

fn ng(big_endian: bool) -> Ng {
    let mut ng = Ng::new(big_endian);
    ng.interface(1, 0, &[]);
    ng
}

/// Adds a decryption secrets block.
fn secrets(ng: &mut Ng, big_endian: bool, kind: u32, text: &[u8]) {
    let word = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let padding = vec![0; text.len().next_multiple_of(4) - text.len()];
    let body = [word(kind).as_slice(), &word(text.len() as u32), text, &padding, &[0; 4]].concat();
    ng.block(10, &body);
}

fn packets(ng: &mut Ng, count: u64, length: usize) {
    (0..count).for_each(|number| ng.enhanced(0, 1_700_000_000_000_000 + number, &vec![7; length], length as u32));
}

/// Two sections of both byte orders with key logs of these lengths, between packets of this length.
fn capture(lengths: &[usize], packet: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut bytes, mut texts) = (Vec::new(), Vec::new());
    for big_endian in [false, true] {
        let mut ng = ng(big_endian);
        for &length in lengths {
            let text = vec![b'a' + texts.len() as u8; length];
            packets(&mut ng, 20, packet);
            secrets(&mut ng, big_endian, 0x544c_534b, &text);
            texts.push(text);
        }
        secrets(&mut ng, big_endian, 0x5747_4b4c, b"WireGuard");
        secrets(&mut ng, big_endian, 0x5353_484b, b"SSH");
        packets(&mut ng, 5, packet);
        bytes.extend(ng.bytes);
    }
    (bytes, texts)
}

/// Reads all packets and takes the key logs after each batch.
fn texts(set: &mut CaptureSet) -> (Vec<Vec<u8>>, u64) {
    let mut batch = PacketBatch::default();
    let mut texts = Vec::new();
    loop {
        let filled = set.fill(&mut batch);
        texts.extend(set.take_key_logs().iter().map(|text| text.to_vec()));
        if filled == Filled::End {
            return (texts, set.counters().packets);
        }
    }
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcapng");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn key_logs_of_a_stream_are_met_between_its_packets() {
    for lengths in [&[0, 1, 2, 3][..], &[200, 70_000, 1_000_000]] {
        let (bytes, expected) = capture(lengths, 100);
        for most in [7, usize::MAX] {
            let input = Chunked { bytes: io::Cursor::new(bytes.clone()), most };
            let mut set = CaptureSet::from_stream(Path::new("in"), Box::new(input), WANTED).unwrap();
            let (found, packets) = texts(&mut set);
            assert_eq!(found, expected);
            let counters = set.counters();
            assert_eq!(counters.key_logs, expected.len() as u64);
            assert_eq!((counters.secrets_of_other_kinds, counters.blocks_decryption_secrets), (4, 0));
            assert_eq!(packets, 2 * (20 * lengths.len() as u64 + 5));
            assert!(set.problems().is_empty());
        }
    }
}

#[test]
fn key_logs_of_a_file_are_there_before_its_packets() {
    for packet in [10, 1_000, 5_000, 100_000] {
        let (bytes, expected) = capture(&[60, 0, 70_000], packet);
        let (_folder, path) = written(&bytes);
        let mut set = CaptureSet::open(&[path], WANTED).unwrap();
        let found: Vec<Vec<u8>> = set.take_key_logs().iter().map(|text| text.to_vec()).collect();
        assert_eq!(found, expected, "packets of {packet} bytes");
        assert_eq!(texts(&mut set), (Vec::new(), 130));
        let counters = set.counters();
        assert_eq!((counters.key_logs, counters.key_logs_refused), (6, 0));
        assert_eq!((counters.secrets_of_other_kinds, counters.blocks_decryption_secrets), (4, 0));
    }
}

#[test]
fn key_logs_that_nobody_takes_are_skipped() {
    let (bytes, _) = capture(&[60, 70_000], 100);
    let (_folder, path) = written(&bytes);
    let mut set = CaptureSet::open(&[path], FileSettings::default()).unwrap();
    assert_eq!(texts(&mut set).0.len(), 0);
    assert_eq!((set.counters().blocks_decryption_secrets, set.counters().key_logs), (8, 0));
}

#[test]
fn files_among_others_and_files_out_of_order_are_scanned_too() {
    let mut unordered = ng(false);
    unordered.enhanced(0, 1_800_000_000_000_000, &[1; 60], 60);
    packets(&mut unordered, 10, 60);
    secrets(&mut unordered, false, 0x544c_534b, b"second");
    let (bytes, _) = capture(&[5], 100);
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.pcapng", "b.pcapng"].map(|name| folder.path().join(name));
    fs::write(&paths[0], bytes).unwrap();
    fs::write(&paths[1], unordered.bytes).unwrap();
    let mut set = CaptureSet::open(&paths, WANTED).unwrap();
    let found: Vec<Vec<u8>> = set.take_key_logs().iter().map(|text| text.to_vec()).collect();
    assert_eq!(found, [b"aaaaa".to_vec(), b"bbbbb".to_vec(), b"second".to_vec()]);
    assert_eq!(texts(&mut set), (Vec::new(), 61));
    assert_eq!((set.counters().key_logs, set.counters().blocks_decryption_secrets), (3, 0));
}

#[test]
fn a_compressed_file_gives_its_key_logs_when_they_are_met() {
    let (bytes, expected) = capture(&[60], 100);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bytes).unwrap();
    let (_folder, path) = written(&encoder.finish().unwrap());
    let mut set = CaptureSet::open(&[path], WANTED).unwrap();
    assert!(set.take_key_logs().is_empty());
    assert_eq!(texts(&mut set).0, expected);
}

#[test]
fn key_logs_beyond_a_limit_and_malformed_ones_are_counted() {
    let mut ng = ng(false);
    secrets(&mut ng, false, 0x544c_534b, &vec![b'x'; MAX_SECRETS_BLOCK as usize]);
    ng.block(10, &[]);
    ng.block(10, &[0x4b, 0x53, 0x4c, 0x54, 5, 0, 0, 0, 1, 2, 3, 4]);
    packets(&mut ng, 1, 60);
    let (_folder, path) = written(&ng.bytes);
    for mut set in [
        CaptureSet::open(&[path], WANTED).unwrap(),
        CaptureSet::from_stream(Path::new("in"), Box::new(io::Cursor::new(ng.bytes)), WANTED).unwrap(),
    ] {
        assert_eq!(texts(&mut set), (Vec::new(), 1));
        assert_eq!((set.counters().key_logs, set.counters().key_logs_refused), (0, 3));
        assert!(set.problems().is_empty());
    }
}

#[test]
fn only_so_many_bytes_of_key_logs_wait() {
    let mut ng = ng(false);
    (0..9).for_each(|_| secrets(&mut ng, false, 0x544c_534b, &vec![b'x'; 15 << 20]));
    packets(&mut ng, 1, 60);
    let (_folder, path) = written(&ng.bytes);
    let mut set = CaptureSet::open(&[path], WANTED).unwrap();
    assert_eq!(set.take_key_logs().len(), 4);
    assert_eq!((set.counters().key_logs, set.counters().key_logs_refused), (4, 5));
}

#[test]
fn a_file_that_breaks_off_gives_the_key_logs_before_the_break() {
    let (bytes, expected) = capture(&[60], 100);
    for cut in (0..bytes.len()).step_by(61) {
        let (_folder, path) = written(&bytes[..cut]);
        let Ok(mut set) = CaptureSet::open(&[path], WANTED) else { continue };
        let mut found: Vec<Vec<u8>> = set.take_key_logs().iter().map(|text| text.to_vec()).collect();
        found.extend(texts(&mut set).0);
        // A file whose scan was not complete gives them again when they are met.
        found.dedup();
        assert!(expected.starts_with(&found) || found.iter().all(|text| expected.contains(text)), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_scanned_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30), length in 0..3_000usize,
    ) {
        let (mut bytes, _) = capture(&[60, 0], 30);
        bytes.truncate(length.max(1));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (_folder, path) = written(&bytes);
        if let Ok(mut set) = CaptureSet::open(&[path], WANTED) {
            texts(&mut set);
        }
    }
}

/// A file of 40 MiB whose key logs come behind these numbers of packets of 64 KiB.
fn large(key_logs_behind: &[u64]) -> usize {
    let mut ng = ng(true);
    for number in 0..640 {
        if key_logs_behind.contains(&number) {
            secrets(&mut ng, true, 0x544c_534b, &[b'k'; 2_000_000]);
        }
        packets(&mut ng, 1, 64 << 10);
    }
    let (_folder, path) = written(&ng.bytes);
    let mut set = CaptureSet::open(&[path], WANTED).unwrap();
    let before = set.take_key_logs().len();
    assert!(texts(&mut set).0.len() >= key_logs_behind.len() - before, "what was not found before is met");
    before
}

#[test]
fn a_large_file_is_scanned_whole_if_secrets_are_near_one_of_its_ends() {
    assert_eq!(large(&[]), 0);
    assert_eq!(large(&[10, 400]), 2);
    assert_eq!(large(&[400, 639]), 2, "the last key log is longer than the part of the file that is searched");
    assert_eq!(large(&[300, 400]), 0);
}

/// Compares the time of the scan with the time of reading the packets.
#[test]
#[ignore = "a measurement, of 2 GB"]
fn a_scan_costs_a_part_of_reading() {
    for (length, with_secrets) in
        [100, 700, 1_400, 20_000, 64_000].into_iter().flat_map(|length| [(length, false), (length, true)])
    {
        let mut ng = ng(false);
        packets(&mut ng, (200u64 << 20) / length as u64, length);
        // A further key log makes the scan go on behind the first part of the file.
        if with_secrets {
            secrets(&mut ng, false, 0x544c_534b, b"late");
        }
        let (_folder, path) = written(&ng.bytes);
        let time = |settings: FileSettings| {
            let start = std::time::Instant::now();
            let mut set = CaptureSet::open(std::slice::from_ref(&path), settings).unwrap();
            let opened = start.elapsed();
            texts(&mut set);
            (opened, start.elapsed() - opened)
        };
        let settings = FileSettings::default();
        time(settings);
        let (without, read) = time(settings);
        let (with, _) = time(FileSettings { key_logs: true, ..settings });
        println!(
            "packets of {length} bytes, secrets {with_secrets}: scanned in {:?}, read in {read:?}",
            with.saturating_sub(without)
        );
    }
}
