//! Files whose packets are not in the order of time.

use super::*;

/// Reads one file by its path, so that it can be read in another order than its own.
fn read_file(bytes: &[u8], block: usize) -> (Vec<Sample>, CaptureSet) {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "one", bytes);
    let mut set = CaptureSet::open(&[path], FileSettings { block, read_ahead: None, key_logs: false }).unwrap();
    (drain(&mut set), set)
}

/// Packets with these pauses in milliseconds before them.
fn paused(pauses: &[u64]) -> Vec<Sample> {
    let mut nanos = 1_700_000_000_000_000_000;
    let packet = |(index, pause): (usize, &u64)| {
        nanos += pause * 1_000_000;
        let data = [&(index as u32).to_be_bytes()[..], &vec![7; index % 90]].concat();
        Sample { nanos, link_type: 1, wire_length: 100, data }
    };
    pauses.iter().enumerate().map(packet).collect()
}

/// Several ways to write packets that are not in the order of time.
fn ways_to_write(packets: &[Sample]) -> Vec<Vec<u8>> {
    let mut interfaces = Ng::new(true);
    for (index, packet) in packets.iter().enumerate() {
        interfaces.interface(1, 0, &[(9, &[9])]);
        interfaces.enhanced(index as u32, packet.nanos, &packet.data, packet.wire_length);
    }
    let (one, two) = packets.split_at(packets.len() / 3);
    vec![
        pcap(packets, 0xa1b2_3c4d, 1, false, 1),
        pcap(packets, 0xa1b2_c3d4, 1_000, true, 1),
        pcapng(packets, false),
        interfaces.bytes,
        [pcapng(one, true), pcap(two, 0xa1b2_3c4d, 1, true, 1)].concat(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn pieces_in_any_order_are_read_in_the_order_of_time(
        pauses in proptest::collection::vec(prop_oneof![8 => 0..2_000u64, 1 => 2_000..59_000u64], 2..200),
        cuts in proptest::collection::vec((0..200usize, any::<u32>()), 0..6),
        shuffles in proptest::collection::vec(any::<u16>(), 0..40),
    ) {
        let expected = paused(&pauses);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.0 % expected.len()).chain([0, expected.len()]).collect();
        places.sort_unstable();
        // Of one or two packets far from all others, nobody can say whether their stamps are wrong.
        places.dedup_by(|later, earlier| *later < *earlier + 3 && *later < expected.len());
        places.retain(|&place| place + 3 <= expected.len() || place == expected.len() || place == 0);
        let mut pieces: Vec<&[Sample]> = places.windows(2).map(|ends| &expected[ends[0]..ends[1]]).collect();
        let count = pieces.len();
        for (from, (_, to)) in cuts.iter().enumerate().take(count) {
            pieces.swap(from, *to as usize % count);
        }
        let mut packets = pieces.concat();
        // Neighbours that a queue of a network card delivered late. Packets of equal time keep their order.
        for place in shuffles {
            let place = usize::from(place) % (packets.len() - 1);
            let [one, two] = [packets[place].nanos, packets[place + 1].nanos];
            if one != two && one.abs_diff(two) < 1_000_000_000 {
                packets.swap(place, place + 1);
            }
        }
        let mut sorted = packets.clone();
        sorted.sort_by_key(|packet| packet.nanos);
        for file in ways_to_write(&packets) {
            for block in [64, 3_000, 1 << 18] {
                let (samples, set) = read_file(&file, block);
                prop_assert_eq!(&samples, &sorted);
                prop_assert_eq!(set.counters().files, 1);
                prop_assert_eq!(set.counters().files_sorted, u64::from(packets != sorted));
                prop_assert_eq!(set.counters().time_backwards > 0, packets != sorted);
                prop_assert_eq!(set.counters().bytes, file.len() as u64);
                prop_assert_eq!(set.files().map(|file| file.packets).collect::<Vec<_>>(), [packets.len() as u64]);
            }
        }
    }
}

#[test]
fn two_packets_support_each_other_also_where_they_are_the_whole_file() {
    let [early, late]: [Sample; 2] = paused(&[0, 30_000]).try_into().unwrap();
    for file in ways_to_write(&[late.clone(), early.clone()]) {
        let (samples, set) = read_file(&file, 4_096);
        assert_eq!(samples, [early.clone(), late.clone()]);
        assert_eq!(set.counters().files_sorted, 1);
    }
}

#[test]
fn one_or_two_stamps_far_from_their_neighbours_change_no_order() {
    let honest = paused(&[100; 40]);
    for (by, wrong) in [(3_600i64, 1), (-3_600, 1), (80 * 365 * 86_400, 1), (3_600, 2), (-3_600, 2)] {
        for place in [0, 1, 20, 38, 40 - wrong] {
            let mut packets = honest.clone();
            for packet in &mut packets[place..place + wrong] {
                packet.nanos = packet.nanos.wrapping_add_signed(by * 1_000_000_000);
            }
            let is_wrong = |time: u64| packets[place..place + wrong].iter().any(|packet| packet.nanos == time);
            for file in ways_to_write(&packets) {
                let (samples, set) = read_file(&file, 4_096);
                assert_eq!(samples, packets, "{place} {by}");
                assert_eq!(set.counters().files_sorted, 0);
            }
            // Beside another file, the packets behind the wrong stamp still come in their turn.
            let directory = tempfile::tempdir().unwrap();
            let other: Vec<Sample> =
                honest.iter().map(|one| Sample { nanos: one.nanos + 50_000_000, ..one.clone() }).collect();
            let one = write(directory.path(), "one", &pcap(&packets, 0xa1b2_3c4d, 1, false, 1));
            let two = write(directory.path(), "two", &pcap(&other, 0xa1b2_3c4d, 1, false, 1));
            let mut set = CaptureSet::open(&[one, two], FileSettings::default()).unwrap();
            let times: Vec<u64> = drain(&mut set).iter().map(|sample| sample.nanos).collect();
            let honest_times: Vec<u64> = times.iter().copied().filter(|time| !is_wrong(*time)).collect();
            assert!(honest_times.is_sorted(), "{place} {by}");
            assert_eq!(times.len(), 80);
        }
    }
}

#[test]
fn a_large_file_in_two_pieces_is_found_by_its_samples() {
    // 360 s of packets, and the same within 0.36 s.
    for faster in [1, 1_000] {
        let packets = paused(&[20; 18_000]);
        let begin = packets[0].nanos;
        let long = |one: &Sample| Sample {
            nanos: begin + (one.nanos - begin) / faster,
            data: [&one.data[..], &[0x5a; 900]].concat(),
            wire_length: 1_000,
            ..one.clone()
        };
        let long: Vec<Sample> = packets.iter().map(long).collect();
        let swapped = [&long[10_000..], &long[..10_000]].concat();
        for (packets, sorted) in [(&long, 0), (&swapped, 1)] {
            let [nanoseconds, microseconds] = [(0xa1b2_3c4d, 1, false), (0xa1b2_c3d4, 1_000, true)]
                .map(|(magic, unit, big)| pcap(packets, magic, unit, big, 1));
            for file in [nanoseconds, microseconds, pcapng(packets, true)] {
                assert!(file.len() > 16 << 20);
                let (samples, set) = read_file(&file, 1 << 18);
                assert_eq!((samples == long, set.counters().files_sorted), (true, sorted), "{faster}");
                // A file in order is not read whole before it is read.
                let mut named = tempfile::NamedTempFile::new().unwrap();
                named.write_all(&file).unwrap();
                let goes_back = index::goes_back(named.path(), named.as_file(), file.len() as u64);
                assert_eq!(goes_back, sorted == 1, "{faster}");
            }
        }
    }
}

#[test]
fn a_file_that_goes_back_and_breaks_off_gives_all_before_the_break() {
    let packets = paused(&[100; 40]);
    let swapped = [&packets[25..], &packets[..25]].concat();
    let whole = pcap(&swapped, 0xa1b2_3c4d, 1, false, 1);
    let (samples, set) = read_file(&whole[..whole.len() - 1], 4_096);
    assert_eq!(samples, [&packets[..24], &packets[25..]].concat());
    assert_eq!((set.problems().len(), set.counters().files_broken), (1, 1));
}
