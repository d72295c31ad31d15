//! What the program does with wrong stamps and with files in the wrong order, and what it says of what it could not read.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::support::{
    Replay, documents, field,
    packets::{Timed, plain},
    root,
    transform::Random,
    wirespike,
    wrap::Tcp,
};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// The records of a small pcap file with nanoseconds, and its file header.
fn capture(name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = fs::read(root().join("pcaps").join(name).join("capture.pcap")).unwrap();
    let mut records = Vec::new();
    let mut at = FILE_HEADER;
    while at < bytes.len() {
        let captured = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let end = at + RECORD_HEADER + captured;
        records.push(bytes[at..end].to_vec());
        at = end;
    }
    (bytes[..FILE_HEADER].to_vec(), records)
}

fn seconds(record: &[u8]) -> u32 {
    u32::from_le_bytes(record[..4].try_into().unwrap())
}

fn moved(record: &[u8], by: u32) -> Vec<u8> {
    [&seconds(record).wrapping_add(by).to_le_bytes()[..], &record[4..]].concat()
}

fn write(folder: &TempDir, name: &str, header: &[u8], records: &[Vec<u8>]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, [header, &records.concat()].concat()).unwrap();
    path
}

/// The counts of the alerts, and the statuses and targets of the events, in one order.
fn found(replay: &Replay) -> (Vec<String>, Vec<String>) {
    let counts = documents(&replay.alerts).iter().map(|alert| field(alert, "Esql.event_count")).collect();
    let event = |event: &serde_json::Value| field(event, "http.response.status_code") + &field(event, "url.original");
    let mut events: Vec<String> = documents(&replay.events).iter().map(event).collect();
    events.sort();
    (counts, events)
}

const EVERY_ERROR: [&str; 3] = ["--quiet", "--threshold", "3"];

#[test]
fn one_wrong_stamp_hides_no_event() {
    let folder = TempDir::new().unwrap();
    let (header, records) = capture("nginx-curl");
    let (_, expected) = found(&Replay::run(&write(&folder, "as-it-was.pcap", &header, &records), &EVERY_ERROR));
    let last = records.len() - 1;
    for place in [0, 1, last / 2, last - 1, last] {
        for by in [3_600, 0u32.wrapping_sub(3_600), 70 * 365 * 86_400] {
            let mut wrong = records.clone();
            wrong[place] = moved(&records[place], by);
            let replay = Replay::run(&write(&folder, "wrong.pcap", &header, &wrong), &EVERY_ERROR).succeeded();
            assert_eq!(found(&replay).1, expected, "packet {place} moved by {by} s");
        }
    }
}

#[test]
fn parts_in_the_wrong_order_have_both_their_alerts() {
    let folder = TempDir::new().unwrap();
    let (header, later) = capture("nginx-curl");
    let (_, earlier) = capture("apache-curl");
    let two_hours_before = seconds(&later[0]).wrapping_sub(7_200).wrapping_sub(seconds(&earlier[0]));
    let earlier: Vec<_> = earlier.iter().map(|record| moved(record, two_hours_before)).collect();
    let run = |name: &str, records: &[Vec<u8>]| {
        found(&Replay::run(&write(&folder, name, &header, records), &EVERY_ERROR).succeeded())
    };
    let in_order = run("in-order.pcap", &[earlier.clone(), later.clone()].concat());
    assert!(in_order.0.len() > 1, "{in_order:?}");
    let (mut counts, events) = run("joined.pcap", &[later, earlier].concat());
    counts.sort();
    let mut expected = in_order.0;
    expected.sort();
    assert_eq!((counts, events), (expected, in_order.1));
}

#[test]
fn what_could_not_be_read_is_said_also_with_quiet() {
    let folder = TempDir::new().unwrap();
    let (header, records) = capture("nginx-curl");
    let plain = write(&folder, "plain.pcap", &header, &records);
    let unknown_type = [&header[..20], &147u32.to_le_bytes()].concat();
    let unknown = write(&folder, "unknown\u{1b}[31m.pcap", &unknown_type, &records);
    let run = |arguments: &[&str], files: &[&PathBuf]| {
        let mut command = wirespike();
        let output = command.args(["replay", "--quiet"]).args(arguments).args(files).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&[], &[&plain]), (Some(0), String::new()));
    let (code, said) = run(&[], &[&unknown]);
    assert!(code == Some(2) && said.contains("link type 147") && said.lines().count() == 1, "{code:?} {said}");
    assert!(said.contains(&records.len().to_string()) && !said.contains('\u{1b}'), "{said:?}");
    let (code, said) = run(&[], &[&plain, &unknown]);
    assert!(code == Some(0) && said.contains("link type 147") && said.lines().count() == 1, "{code:?} {said}");
    let (code, said) = run(&["--filter", "tcp port 7"], &[&plain]);
    assert!(code == Some(0) && said.contains("\"tcp port 7\" matches none of the"), "{code:?} {said}");
}

const SEEDS: u64 = 12;

/// Captures of several servers, with keep-alive, pipelining and connections that end in every way.
const CAPTURES: [&str; 4] = ["nginx-curl", "apache-curl", "nginx-pipeline", "haproxy-front"];

/// The records in the order of time; those of equal time keep their order.
fn sorted(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| stamp(record));
    sorted
}

/// Seconds and nanoseconds.
fn stamp(record: &[u8]) -> (u32, u32) {
    (seconds(record), u32::from_le_bytes(record[4..8].try_into().unwrap()))
}

/// A pcapng file of the records of a pcap file with nanoseconds, each third of them on an interface of its own.
fn pcapng(records: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len().next_multiple_of(4) + 12) as u32;
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &padding, &length.to_le_bytes()].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    for (number, record) in records.iter().enumerate() {
        if number % (records.len() / 3).max(1) == 0 {
            file.extend(block(1, &[1, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
        }
        let interface = (number / (records.len() / 3).max(1)) as u32;
        let (seconds, nanos) = stamp(record);
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        let head = [interface, (time >> 32) as u32, time as u32].map(u32::to_le_bytes).concat();
        file.extend(block(6, &[&head, &record[8..16], &record[16..]].concat()));
    }
    file
}

/// What a run wrote of what it found.
fn written(replay: Replay) -> [String; 3] {
    let Replay { alerts, events, exchanges, .. } = replay.succeeded();
    [alerts, events, exchanges]
}

#[test]
fn pieces_of_a_capture_in_any_order_give_what_the_capture_gives() {
    let folder = TempDir::new().unwrap();
    for name in CAPTURES {
        let (header, records) = capture(name);
        let records = sorted(&records);
        let expected = written(Replay::run(&write(&folder, "whole.pcap", &header, &records), &EVERY_ERROR));
        for seed in 0..SEEDS {
            let mut random = Random::new(seed);
            let mut cuts: Vec<usize> = (0..1 + random.below(6)).map(|_| random.below(records.len())).collect();
            cuts.retain(|&cut| cut > 0 && stamp(&records[cut - 1]) < stamp(&records[cut]));
            cuts.extend([0, records.len()]);
            cuts.sort_unstable();
            let mut pieces: Vec<&[Vec<u8>]> = cuts.windows(2).map(|ends| &records[ends[0]..ends[1]]).collect();
            for place in 0..pieces.len() {
                let with = random.below(pieces.len());
                pieces.swap(place, with);
            }
            let pieces = pieces.concat();
            let as_pcap = write(&folder, "pieces.pcap", &header, &pieces);
            let as_pcapng = folder.path().join("pieces.pcapng");
            fs::write(&as_pcapng, pcapng(&pieces)).unwrap();
            for path in [as_pcap, as_pcapng] {
                let replay = Replay::run(&path, &EVERY_ERROR);
                assert_eq!(replay.said(), "", "{name} {seed}");
                assert!(written(replay) == expected, "{name} {seed} {}", path.display());
            }
        }
    }
}

#[test]
fn packets_that_come_twice_count_once() {
    let folder = TempDir::new().unwrap();
    for name in CAPTURES {
        let (header, records) = capture(name);
        let third = records.len() / 3;
        let one = write(&folder, "one.pcap", &header, &records);
        let expected = Replay::run(&one, &EVERY_ERROR).succeeded();
        let other = write(&folder, "other.pcap", &header, &records);
        // The second tap is 50 µs behind and sees other MAC addresses.
        let late = |record: &Vec<u8>| {
            let (mut seconds, mut nanos) = stamp(record);
            nanos += 50_000;
            (seconds, nanos) = (seconds + nanos / 1_000_000_000, nanos % 1_000_000_000);
            [&seconds.to_le_bytes()[..], &nanos.to_le_bytes(), &record[8..16], &[6; 12], &record[28..]].concat()
        };
        let tap = write(&folder, "tap.pcap", &header, &records.iter().map(late).collect::<Vec<_>>());
        let begin = write(&folder, "begin.pcap", &header, &records[..2 * third]);
        let end = write(&folder, "end.pcap", &header, &records[third..]);
        let twice = folder.path().join("twice.pcap");
        fs::write(&twice, [fs::read(&one).unwrap(), fs::read(&one).unwrap()].concat()).unwrap();
        for files in [vec![&one, &one], vec![&one, &other], vec![&one, &tap], vec![&end, &begin], vec![&twice]] {
            let (last, before) = files.split_last().unwrap();
            let arguments = EVERY_ERROR.into_iter().chain(before.iter().map(|path| path.to_str().unwrap()));
            let got = Replay::run(last, &arguments.collect::<Vec<_>>()).succeeded();
            assert_eq!(got.rows(), expected.rows(), "{name} {files:?}");
            assert_eq!(found(&got), found(&expected), "{name} {files:?}");
        }
    }
}

#[test]
fn files_run_together_are_read_as_if_they_were_named_one_by_one() {
    let folder = TempDir::new().unwrap();
    let (header, later) = capture("nginx-curl");
    let (_, earlier) = capture("apache-curl");
    let shift = seconds(&later[0]).wrapping_sub(7_200).wrapping_sub(seconds(&earlier[0]));
    let earlier: Vec<_> = earlier.iter().map(|record| moved(record, shift)).collect();
    let [one, two] = [("one", &earlier), ("two", &later)].map(|(name, records)| write(&folder, name, &header, records));
    let named = |first: &PathBuf, second: &PathBuf| {
        written(Replay::run(second, &["--quiet", "--threshold", "3", first.to_str().unwrap()]))
    };
    let expected = named(&one, &two);
    assert!(named(&two, &one) == expected);
    for (name, first, second) in [("in-order", &one, &two), ("backwards", &two, &one)] {
        let path = folder.path().join(name);
        fs::write(&path, [fs::read(first).unwrap(), fs::read(second).unwrap()].concat()).unwrap();
        assert!(written(Replay::run(&path, &EVERY_ERROR)) == expected, "{name}");
    }
}

#[test]
fn a_stream_that_goes_back_is_read_as_it_is_and_says_so() {
    let folder = TempDir::new().unwrap();
    let (header, records) = capture("nginx-curl");
    let earlier: Vec<_> = records.iter().map(|record| moved(record, 0u32.wrapping_sub(7_200))).collect();
    let path = write(&folder, "backwards.pcap", &header, &[records.clone(), earlier].concat());
    let output = wirespike()
        .args(["replay", "--quiet", "--threshold", "3", "-"])
        .stdin(fs::File::open(&path).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1), "{said}");
    let place = format!("out of order from packet {} on", records.len() + 1);
    assert!(said.contains(&place) && said.contains("0 were left out"), "{said}");
    assert!(Replay::run(&path, &EVERY_ERROR).succeeded().said().is_empty());
}

#[test]
fn two_wrong_stamps_that_agree_hide_no_event() {
    let folder = TempDir::new().unwrap();
    let (header, records) = capture("nginx-curl");
    let (_, expected) = found(&Replay::run(&write(&folder, "as-it-was.pcap", &header, &records), &EVERY_ERROR));
    let statuses = |events: &[String]| -> Vec<String> {
        events.iter().filter(|event| !event.starts_with('/')).map(|event| event[..3].to_owned()).collect()
    };
    for place in [0, 1, records.len() / 3, records.len() / 2, records.len() - 2] {
        for by in [3_600, 0u32.wrapping_sub(3_600), 70 * 365 * 86_400] {
            let mut wrong = records.clone();
            (place..place + 2).for_each(|place| wrong[place] = moved(&records[place], by));
            let replay = Replay::run(&write(&folder, "wrong.pcap", &header, &wrong), &EVERY_ERROR).succeeded();
            // A connection that seems to have been silent for an hour is over: an answer may have lost its request, and the
            // request, its answer.
            assert_eq!(statuses(&found(&replay).1), statuses(&expected), "packets from {place} moved by {by} s");
        }
    }
}

#[test]
fn a_capture_of_any_year_gives_its_events() {
    let folder = TempDir::new().unwrap();
    let (header, records) = capture("nginx-curl");
    let (_, expected) = found(&Replay::run(&write(&folder, "as-it-was.pcap", &header, &records), &EVERY_ERROR));
    let [first, last] = [&records[0], &records[records.len() - 1]].map(|record| seconds(record));
    for (year, to) in
        [("1970", 0), ("1970, an hour later", 3_600), ("2038", 1 << 31), ("2106", u32::MAX - (last - first))]
    {
        let records: Vec<_> = records.iter().map(|record| moved(record, to.wrapping_sub(first))).collect();
        let replay = Replay::run(&write(&folder, "moved.pcap", &header, &records), &EVERY_ERROR).succeeded();
        assert_eq!((found(&replay).1, replay.said()), (expected.clone(), String::new()), "{year}");
    }
    // A fraction of more than a second, and a time that no stamp can hold: pcapng with microseconds shifted by 600 years.
    let mut odd = records.clone();
    odd.iter_mut().for_each(|record| record[4..8].copy_from_slice(&u32::MAX.to_le_bytes()));
    let replay = Replay::run(&write(&folder, "odd.pcap", &header, &odd), &EVERY_ERROR).succeeded();
    assert_eq!(found(&replay).1, expected);
    let beyond = folder.path().join("beyond.pcapng");
    let shifted = [9, 0, 1, 0, 9, 0, 0, 0, 14, 0, 8, 0];
    let plain = pcapng(&records);
    let at = plain.windows(8).position(|bytes| bytes == [9, 0, 1, 0, 9, 0, 0, 0]).unwrap();
    let (before, after) = (&plain[..at - 16], &plain[at + 16..]);
    let offset = (600i64 * 365 * 86_400).to_le_bytes();
    let length = 44u32.to_le_bytes();
    let description =
        [&1u32.to_le_bytes()[..], &length, &[1, 0, 0, 0, 0, 0, 4, 0], &shifted, &offset, &[0; 4], &length].concat();
    fs::write(&beyond, [before, &description, after].concat()).unwrap();
    let replay = Replay::run(&beyond, &EVERY_ERROR).succeeded();
    assert!(replay.said().contains("packets are stamped before 1970 or after 2553"), "{}", replay.said());
    // All packets have the same time now, so a request may be taken for late; the statuses are all there.
    let statuses = |events: &[String]| events.iter().map(|event| event[..3].to_owned()).collect::<Vec<_>>();
    assert_eq!(statuses(&found(&replay).1), statuses(&expected));
}

#[test]
fn a_capture_that_is_played_again_after_an_hour_counts_again() {
    let folder = TempDir::new().unwrap();
    for name in CAPTURES {
        let (header, records) = capture(name);
        let loops: Vec<_> =
            (0..3).flat_map(|hour| records.iter().map(move |record| moved(record, hour * 3_600))).collect();
        let once = found(&Replay::run(&write(&folder, "once.pcap", &header, &records), &EVERY_ERROR).succeeded()).1;
        let three = found(&Replay::run(&write(&folder, "loops.pcap", &header, &loops), &EVERY_ERROR).succeeded()).1;
        let mut expected = [once.clone(), once.clone(), once].concat();
        expected.sort();
        assert_eq!(three, expected, "{name}");
    }
}

/// The packets of a connection from its SYN on, to a port of a server, in which the client sends these bytes.
fn greeting(client: u16, port: u16, bytes: &[u8]) -> Vec<Timed> {
    let base = Tcp { source: ("192.0.2.9".parse().unwrap(), client), ..Tcp::v4(b"") };
    let to_server = Tcp { destination: (base.destination.0, port), options: Vec::new(), ..base };
    let back = Tcp { source: to_server.destination, destination: to_server.source, ..to_server.clone() };
    let segment = |of: &Tcp, flags: u8, sequence: u32, acknowledgment: u32, payload: &[u8]| Tcp {
        flags,
        sequence,
        acknowledgment,
        payload: payload.to_vec(),
        ..of.clone()
    };
    let segments = [
        segment(&to_server, 0x02, 100, 0, b""),
        segment(&back, 0x12, 500, 101, b""),
        segment(&to_server, 0x18, 101, 501, bytes),
        segment(&back, 0x10, 501, 101 + bytes.len() as u32, b""),
    ];
    let time = |number: usize| 1_764_000_000_000_000_000 + u64::from(client) * 10_000_000 + number as u64 * 100_000;
    segments.into_iter().enumerate().map(|(number, segment)| Timed { time: time(number), segment }).collect()
}

#[test]
fn warnings_name_ports_files_and_what_a_filter_could_have_matched() {
    let folder = TempDir::new().unwrap();
    let tls = [22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let store = |name: &str, packets: &[Vec<Timed>]| {
        let path = folder.path().join(name);
        fs::write(&path, plain(&packets.concat())).unwrap();
        path
    };
    let connections = |ports: &[u16], bytes: &[u8], first: u16| -> Vec<Vec<Timed>> {
        (first..).zip(ports).map(|(client, port)| greeting(client, *port, bytes)).collect()
    };
    let tls = store("tls.pcap", &connections(&[443, 443, 443, 8443], &tls, 40_000));
    let http2 = store("http2.pcap", &connections(&[8080, 8080], preface, 41_000));
    let (header, records) = capture("nginx-curl");
    let http = write(&folder, "http.pcap", &header, &records);
    let broken: Vec<_> =
        records.iter().map(|record| [&record[..16], &vec![0x41; record.len() - 16]].concat()).collect();
    let raw = [&header[..20], &101u32.to_le_bytes()].concat();
    let broken = write(&folder, "broken.pcap", &raw, &broken);
    let run = |arguments: &[&str], files: &[&PathBuf]| {
        let mut command = wirespike();
        let output = command.args(["replay", "--quiet"]).args(arguments).args(files).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let has = |arguments: &[&str], files: &[&PathBuf], code: i32, lines: &[&[&str]]| {
        let (exit, said) = run(arguments, files);
        assert_eq!((exit, said.lines().count()), (Some(code), lines.len()), "{said}");
        for (line, words) in said.lines().zip(lines) {
            assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
        }
    };
    has(&[], &[&http], 0, &[]);
    has(&[], &[&tls], 0, &[&["4 of 4 connections are TLS (to port 443: 3, 8443: 1)"]]);
    // HTTP/2 is read, also where it carries no request.
    has(&[], &[&http2], 0, &[]);
    has(&[], &[&http, &tls], 0, &[&["are TLS (to port 443: 3, 8443: 1)", "no HTTP in clear in", "tls.pcap"]]);
    has(&[], &[&http2, &http], 0, &[]);
    has(&[], &[&broken], 2, &[&["none of its", "broken.pcap"]]);
    has(
        &[],
        &[&http, &broken, &tls, &http2],
        0,
        &[&["broken.pcap: no packet could be decoded"], &["4 of", "TLS", "tls.pcap"]],
    );
    let server = "198.51.100.2:443";
    has(
        &["--filter", "tcp port 7"],
        &[&tls],
        0,
        &[&["\"tcp port 7\" matches none of the 16", server, "198.51.100.2:8443"]],
    );
}
