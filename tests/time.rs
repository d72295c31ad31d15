//! What the program does with wrong stamps and with files in the wrong order, and what it says of what it could not read.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::support::{Replay, documents, field, root, wirespike};

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
