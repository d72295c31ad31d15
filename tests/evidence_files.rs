//! The packets of alerts in files: `--evidence` of a replay, and `show --packets`.
//!
//! In: recorded scans, plain, wrapped into tunnels and cut into fragments. What is checked: the file that an alert names holds the
//! client's exchanges, which the program finds again in it, and nobody else's; bounds and what they leave out; no input is replaced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Replay, Row, documents, field, file,
    packets::{self, Timed},
    root, wirespike,
    wrap::{Frame, Wrap, fragments},
};

/// The errors in the scan.
const ERRORS: usize = 271;

/// A scan of nginx by gobuster, from 192.0.2.10.
fn scan() -> PathBuf {
    root().join("pcaps/nginx-gobuster/capture.pcap.gz")
}

/// Replays a capture with the packets of its alerts in a folder. Returns the alerts too.
fn replayed(capture: &Path, folder: &Path, more: &[&str]) -> (Replay, Vec<Value>) {
    let arguments = [&["--evidence", folder.to_str().unwrap()], more].concat();
    let replay = Replay::run(capture, &arguments).succeeded();
    let alerts = documents(&replay.alerts);
    (replay, alerts)
}

/// The file that an alert names.
fn file_of(alert: &Value) -> PathBuf {
    PathBuf::from(field(alert, "wirespike.alert.evidence.file"))
}

/// The failed exchanges of an alert's client during its activity.
fn errors_of(alert: &Value, events: &str) -> Vec<Row> {
    let [start, end] = ["start", "end"].map(|end| field(alert, &format!("wirespike.alert.extent.{end}")));
    let client = field(alert, "source.ip");
    let own = documents(events).into_iter().filter(|event| {
        let time = field(event, "@timestamp");
        field(event, "source.ip") == client && (&start..=&end).contains(&&time)
    });
    own.map(|event| Row::of(&event)).collect()
}

/// The names in a folder, also hidden ones.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Checks that the file of each alert has the client's errors, and no error of anybody else. Returns their number.
fn check(replay: &Replay, alerts: &[Value], more: &[&str]) -> usize {
    let mut count = 0;
    for alert in alerts {
        let path = file_of(alert);
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("{}.pcapng", field(alert, "event.id")));
        let again = Replay::run(&path, more).succeeded();
        let errors = errors_of(alert, &again.events);
        assert_eq!(errors, errors_of(alert, &replay.events));
        count += errors.len();
    }
    count
}

#[test]
fn the_file_that_an_alert_names_holds_its_clients_exchanges() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("new/packets");
    let (replay, alerts) = replayed(&scan(), &place, &[]);
    assert_eq!(alerts.len(), 1);
    let path = file_of(&alerts[0]);
    assert_eq!(path.parent(), Some(place.as_path()));
    assert_eq!(check(&replay, &alerts, &[]), ERRORS);
    assert_eq!(names(&place), [path.file_name().unwrap().to_str().unwrap()], "nothing else is left");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let bytes = fs::read(&path).unwrap();
    let comment = String::from_utf8_lossy(&bytes[..1_000]).into_owned();
    for part in [&field(&alerts[0], "event.id"), &field(&alerts[0], "message"), "client 192.0.2.10"] {
        assert!(comment.contains(part), "{part}: {comment}");
    }
    let stats: Value = serde_json::from_str(&replay.stats).unwrap();
    let counters = &stats["stages"]["evidence"];
    assert_eq!((&counters["files"], &counters["bytes"]), (&1.into(), &bytes.len().into()), "{stats}");

    // A later replay replaces the file with the same bytes, from whatever it reads.
    let piped = piped(&scan(), &["--evidence", place.to_str().unwrap()]);
    assert_eq!(piped.status.code(), Some(0), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(fs::read(&path).unwrap() == bytes, "standard input");
    fs::write(&path, "").unwrap();
    replayed(&scan(), &place, &["--workers", "2"]);
    assert!(fs::read(&path).unwrap() == bytes);
}

/// Replays a capture from standard input.
fn piped(capture: &Path, more: &[&str]) -> Output {
    let mut command = wirespike();
    command.args(["replay", "--alerts", "/dev/null"]).args(more).arg("-");
    command.stdin(fs::File::open(capture).unwrap()).stderr(Stdio::piped()).output().unwrap()
}

/// The scan, and some of its packets once more as those of another client.
fn with_another_client() -> Vec<Timed> {
    let folder = TempDir::new().unwrap();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(fs::File::open(scan()).unwrap()), &mut plain).unwrap();
    let own = packets::read(&file(&folder, "plain.pcap", plain)).unwrap();
    let [client, other] = ["192.0.2.10", "192.0.2.99"].map(|address| address.parse().unwrap());
    let others = own.iter().take(200).cloned().map(|mut packet| {
        for end in [&mut packet.segment.source, &mut packet.segment.destination] {
            end.0 = if end.0 == client { other } else { end.0 };
        }
        packet
    });
    let mut all: Vec<Timed> = others.chain(own.iter().cloned()).collect();
    all.sort_by_key(|packet| packet.time);
    all
}

#[test]
fn tunnels_tags_and_fragments_are_looked_into_and_others_are_left_out() {
    let packets = with_another_client();
    let plain: Vec<Frame> = packets.iter().map(packets::frame).collect();
    let vlan = |frame: &Frame| Wrap::Vlan(7).around(frame.clone()).unwrap().ethernet();
    let vxlan = |frame: &Frame| Wrap::Vxlan(7).around(frame.clone()).unwrap();
    let whole = |frame: Frame| vec![frame.ethernet()];
    let cut = |number: usize, frame: Frame| {
        let pieces = fragments(&frame.ip().unwrap(), number as u16, &[160]);
        pieces.into_iter().map(|piece| Frame::Ip(piece).ethernet()).collect::<Vec<_>>()
    };
    let wrapped: [(&str, Vec<Vec<Vec<u8>>>); 5] = [
        ("plain", plain.iter().cloned().map(whole).collect()),
        ("VLAN", plain.iter().map(|frame| vec![vlan(frame)]).collect()),
        ("VXLAN", plain.iter().map(|frame| whole(vxlan(frame))).collect()),
        ("fragments", plain.iter().cloned().enumerate().map(|(number, frame)| cut(number, frame)).collect()),
        ("VXLAN in fragments", plain.iter().enumerate().map(|(number, frame)| cut(number, vxlan(frame))).collect()),
    ];
    for (name, frames) in wrapped {
        let folder = TempDir::new().unwrap();
        let timed =
            packets.iter().zip(&frames).flat_map(|(packet, frames)| frames.iter().map(|f| (packet.time, f.clone())));
        let capture = file(&folder, "capture.pcap", packets::pcap(1, timed));
        let (replay, alerts) = replayed(&capture, &folder.path().join("packets"), &[]);
        let alert = alerts.iter().find(|alert| field(alert, "source.ip") == "192.0.2.10").unwrap();
        assert_eq!(check(&replay, std::slice::from_ref(alert), &[]), ERRORS, "{name}");
        let again = Replay::run(&file_of(alert), &[] as &[&str]).succeeded();
        assert!(again.rows().iter().all(|row| row.client == "192.0.2.10"), "{name}");
        let stats: Value = serde_json::from_str(&again.stats).unwrap();
        let expected: usize = packets
            .iter()
            .zip(&frames)
            .filter(|(packet, _)| {
                [packet.segment.source, packet.segment.destination].iter().any(|end| end.0.to_string() == "192.0.2.10")
            })
            .map(|(_, frames)| frames.len())
            .sum();
        assert_eq!(stats["packets"], expected, "{name}: every packet of the client and no other");
    }
}

#[test]
fn behind_a_proxy_the_connections_with_the_clients_errors_are_written() {
    let capture = root().join("pcaps/haproxy-forwarded-for/capture.pcap");
    let trust = ["--trust", "192.0.2.20=x-forwarded-for", "--threshold", "1"];
    let folder = TempDir::new().unwrap();
    let (replay, alerts) = replayed(&capture, folder.path(), &trust);
    let behind: Vec<Value> = alerts.into_iter().filter(|alert| field(alert, "source.ip") != "192.0.2.20").collect();
    assert!(!behind.is_empty());
    assert!(check(&replay, &behind, &trust) > 1);
    let alerts = file(&folder, "alerts.json", &replay.alerts);
    let cut = folder.path().join("cut.pcapng");
    let set = ["--set", "proxies.trusted=192.0.2.20=x-forwarded-for"];
    let id = field(&behind[0], "event.id");
    let shown = show(&id, &alerts, &cut, &[&set[..], &[capture.to_str().unwrap()]].concat());
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    let again = Replay::run(&cut, &trust).succeeded();
    assert_eq!(errors_of(&behind[0], &again.events), errors_of(&behind[0], &replay.events));
}

/// Shows an alert with its packets in a file.
fn show(id: &str, alerts: &Path, packets: &Path, more: &[&str]) -> Output {
    let mut command = wirespike();
    command.args(["show", id, "--alerts"]).arg(alerts).arg("--packets").arg(packets).args(more);
    command.output().unwrap()
}

#[test]
fn show_cuts_the_same_packets_and_replaces_no_input() {
    let folder = TempDir::new().unwrap();
    let (replay, alerts) = replayed(&scan(), folder.path(), &[]);
    let listed = file(&folder, "alerts.json", &replay.alerts);
    let (id, cut) = (field(&alerts[0], "event.id"), folder.path().join("cut.pcapng"));
    let shown = show(&id, &listed, &cut, &[scan().to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(fs::read(&cut).unwrap() == fs::read(file_of(&alerts[0])).unwrap());
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.ends_with(&format!(" packets of 192.0.2.10 in {}\n", cut.display())), "{text}");
    assert!(text.contains(&file_of(&alerts[0]).file_name().unwrap().to_string_lossy().into_owned()), "{text}");

    let before = fs::read(&listed).unwrap();
    let capture = file(&folder, "copy.pcap.gz", fs::read(scan()).unwrap());
    for (packets, captures, said) in [
        (&listed, &[capture.to_str().unwrap()][..], "is the same file as the alerts"),
        (&capture, &[capture.to_str().unwrap()], "is the same file as the capture"),
        (&cut, &["-"], "standard input can be read only once"),
        (&cut, &[], "<CAPTURE>"),
        (&folder.path().join("missing/cut.pcapng"), &[capture.to_str().unwrap()], "cannot write to"),
    ] {
        let refused = show(&id, &listed, packets, captures);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && stderr.contains(said), "{said}: {stderr}");
    }
    assert!(fs::read(&listed).unwrap() == before && fs::read(&capture).unwrap() == fs::read(scan()).unwrap());
}

#[test]
fn bounds_hold_and_what_they_leave_out_is_said() {
    let folder = TempDir::new().unwrap();
    let small = ["--set", "output.evidence_bytes=65536"];
    let (replay, alerts) = replayed(&scan(), folder.path(), &small);
    let size = fs::metadata(file_of(&alerts[0])).unwrap().len();
    assert!((32_768..=66_560).contains(&size), "{size}");
    assert!(replay.said().contains("; a file holds 65,536 bytes at most"), "{}", replay.said());
    let comment = String::from_utf8_lossy(&fs::read(file_of(&alerts[0])).unwrap()[..1_000]).into_owned();
    assert!(comment.contains("are left out after the first"), "{comment}");
    assert!(!documents(&Replay::run(&file_of(&alerts[0]), &small).succeeded().events).is_empty());

    // The first run fills the directory, and finds that its packets have no room; the second run finds it full.
    let folder = TempDir::new().unwrap();
    let little = ["--set", "output.evidence_total_bytes=500"];
    let (replay, alerts) = replayed(&scan(), folder.path(), &little);
    assert!(fs::metadata(file_of(&alerts[0])).unwrap().len() < 1_000);
    assert!(
        replay.said().contains("files of --evidence without packets: 1; the directory holds 500 bytes"),
        "{}",
        replay.said()
    );
    let (replay, alerts) = replayed(&scan(), folder.path(), &little);
    assert_eq!(file_of(&alerts[0]), PathBuf::new());
    assert!(replay.said().contains("alerts that name no file of packets: 1; "), "{}", replay.said());
}

/// The packets of a capture, those of each connection from its first application data of both sides on `seconds` later.
fn idle_after_the_handshake(capture: &Path, seconds: u64) -> Vec<Timed> {
    let mut begun: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut packets = packets::read(capture).unwrap();
    for packet in &mut packets {
        let (source, destination) = (packet.segment.source, packet.segment.destination);
        let of_connection = begun.entry((source.min(destination), source.max(destination))).or_default();
        if of_connection.len() == 2 {
            packet.time += seconds * 1_000_000_000;
        }
        if packet.segment.payload.first() == Some(&23) {
            of_connection.insert(source);
        }
    }
    packets.sort_by_key(|packet| packet.time);
    packets
}

/// The times of the packets in a pcapng file.
fn times_in(mut bytes: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut times = Vec::new();
    while !bytes.is_empty() {
        if number(bytes, 0) == 6 {
            times.push(u64::from(number(bytes, 12)) << 32 | u64::from(number(bytes, 16)));
        }
        bytes = &bytes[number(bytes, 4) as usize..];
    }
    times
}

/// The connections wait long between their handshakes and their errors.
#[test]
fn the_packets_of_tls_begin_with_its_handshakes() {
    let folder = TempDir::new().unwrap();
    let scan = root().join("pcaps/nginx-tls12");
    let keys = scan.join("keys.log");
    let packets = idle_after_the_handshake(&scan.join("capture.pcap.gz"), 200);
    let capture = file(&folder, "idle.pcap", packets::plain(&packets));
    let options = ["--threshold", "1", "--tls-keylog", keys.to_str().unwrap()];
    let (replay, alerts) = replayed(&capture, &folder.path().join("packets"), &options);
    assert!(check(&replay, &alerts, &options) > 1);
    let text = String::from_utf8_lossy(&fs::read(file_of(&alerts[0])).unwrap()[..1_000]).into_owned();
    assert!(text.contains("of connections that were open already"), "{text}");
    let times = times_in(&fs::read(file_of(&alerts[0])).unwrap());
    assert!(times.is_sorted() && times.len() > 20, "{times:?}");

    // From a pipe they are in the ring.
    let pipe = folder.path().join("pipe");
    let output = piped(&capture, &[&["--evidence", pipe.to_str().unwrap()], &options[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let from_pipe = pipe.join(file_of(&alerts[0]).file_name().unwrap());
    assert!(fs::read(from_pipe).unwrap() == fs::read(file_of(&alerts[0])).unwrap());

    // A capture that begins after the handshakes cannot give them.
    let is_late = |packet: &&Timed| packet.time >= packets[0].time + 100_000_000_000;
    let later: Vec<Timed> = packets.iter().filter(is_late).cloned().collect();
    let listed = file(&folder, "alerts.json", &replay.alerts);
    let cut = folder.path().join("cut.pcapng");
    let later = file(&folder, "later.pcap", packets::plain(&later));
    let shown = show(&field(&alerts[0], "event.id"), &listed, &cut, &[later.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8_lossy(&fs::read(&cut).unwrap()[..1_000]).into_owned();
    assert!(text.contains("whose first packets are missing"), "{text}");
}

#[test]
fn one_activity_has_one_file_in_streaming_mode() {
    let folder = TempDir::new().unwrap();
    let (replay, alerts) = replayed(&scan(), folder.path(), &["--mode", "streaming"]);
    assert!(alerts.len() > 1, "it opens and closes");
    assert!(alerts.iter().all(|alert| file_of(alert) == file_of(&alerts[0])));
    assert_eq!(names(folder.path()).len(), 1);
    assert_eq!(replay.events.lines().count(), ERRORS);
    assert_eq!(Replay::run(&file_of(&alerts[0]), &[] as &[&str]).succeeded().events, replay.events);
}

#[test]
fn what_cannot_be_written_and_what_would_be_replaced_is_told_before_anything_is_read() {
    let folder = TempDir::new().unwrap();
    let taken = file(&folder, "taken", "");
    let refused = Replay::run(&scan(), &["--evidence", taken.to_str().unwrap()]);
    assert_eq!(refused.output.status.code(), Some(2));
    assert!(refused.said().contains("taken for writing: not a directory"), "{}", refused.said());
    let (_, alerts) = replayed(&scan(), folder.path(), &[]);
    let before = fs::read(file_of(&alerts[0])).unwrap();
    let refused = Replay::run(&file_of(&alerts[0]), &["--evidence", folder.path().to_str().unwrap()]);
    assert_eq!(refused.output.status.code(), Some(2));
    assert!(refused.said().contains("would replace the capture"), "{}", refused.said());
    assert!(fs::read(file_of(&alerts[0])).unwrap() == before);
}
