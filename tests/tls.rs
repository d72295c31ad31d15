//! TLS with secrets, as a user gives them: key logs in files and directories, in the capture, in part, or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    live::{Sensor, end, until},
    support::{
        Replay, Row,
        case::Case,
        documents, field, file,
        packets::{self, Timed},
        pipelining, root,
        transform::{self, Random},
        wirespike,
    },
};

fn case(name: &str) -> (PathBuf, String) {
    let folder = root().join("pcaps").join(name);
    let capture = ["capture.pcap", "capture.pcap.gz"].map(|file| folder.join(file));
    let capture = capture.into_iter().find(|path| path.exists()).unwrap();
    (capture, fs::read_to_string(folder.join("keys.log")).unwrap())
}

/// A key log in a folder of its own.
fn key_log(folder: &TempDir, name: &str, text: &str) -> String {
    file(folder, name, text).to_string_lossy().into_owned()
}

#[test]
fn without_secrets_nothing_is_read_and_the_summary_says_so() {
    let (capture, _) = case("nginx-tls13");
    let replay = Replay::run::<&str>(&capture, &[]).succeeded();
    assert!(replay.rows().is_empty());
    assert!(replay.said().contains("--tls-keylog"), "{}", replay.said());
}

#[test]
fn the_same_exchanges_from_files_directories_and_any_number_of_workers() {
    for name in ["nginx-tls13", "nginx-tls12"] {
        let (capture, keys) = case(name);
        let folder = TempDir::new().unwrap();
        let whole = key_log(&folder, "keys.log", &keys);
        let expected = Replay::run(&capture, &["--tls-keylog", &whole, "--workers", "1"]).succeeded();
        assert!(!expected.rows().is_empty());
        for alert in documents(&expected.alerts) {
            let tls = &alert["wirespike"]["alert"]["tls"];
            assert!(tls["ja4"][0].as_str().is_some_and(|ja4| ja4.starts_with("t13i")), "{tls}");
            assert_eq!(tls["certificates"], serde_json::json!(["www.example.test"]));
        }
        let parts = TempDir::new().unwrap();
        let lines: Vec<&str> = keys.lines().rev().collect();
        for (number, lines) in lines.chunks(7).enumerate() {
            key_log(&parts, &format!("{number}.log"), &lines.join("\r\n"));
        }
        let directory = parts.path().to_string_lossy().into_owned();
        for workers in ["1", "2", "8"] {
            let replay = Replay::run(&capture, &["--tls-keylog", &directory, "--workers", workers]).succeeded();
            assert_eq!(replay.exchanges, expected.exchanges, "{name}, {workers} workers");
            assert_eq!((&replay.events, &replay.alerts), (&expected.events, &expected.alerts));
        }
    }
}

#[test]
fn secrets_in_the_capture_need_no_option() {
    let (capture, keys) = case("nginx-tls13");
    let folder = TempDir::new().unwrap();
    let log = key_log(&folder, "keys.log", &keys);
    let expected = Replay::run(&capture, &["--tls-keylog", &log]).succeeded();
    for is_first in [true, false] {
        let with_secrets = file(&folder, "capture.pcapng", packets::pcapng_with_secrets(&capture, &keys, is_first));
        let replay = Replay::run::<&str>(&with_secrets, &[]).succeeded();
        assert_eq!(replay.rows(), expected.rows());
    }
}

#[test]
fn a_part_of_the_secrets_gives_a_part_of_the_exchanges() {
    let (capture, keys) = case("nginx-tls12");
    let folder = TempDir::new().unwrap();
    let whole = Replay::run(&capture, &["--tls-keylog", &key_log(&folder, "keys.log", &keys)]).succeeded().rows();
    let lines: Vec<&str> = keys.lines().collect();
    for kept in 0..lines.len() {
        let part = key_log(&folder, "part.log", &lines[..kept].join("\n"));
        let rows = Replay::run(&capture, &["--tls-keylog", &part]).succeeded().rows();
        assert!(rows.iter().all(|row| whole.contains(row)), "{kept} lines");
        // Connections of one session have one secret.
        let secret = |line: &&str| line.split(' ').nth(2).map(str::to_owned);
        let known: BTreeSet<_> = lines[..kept].iter().map(secret).collect();
        let has_all = lines[kept..].iter().map(secret).all(|secret| known.contains(&secret));
        assert_eq!(rows.len() == whole.len(), has_all, "{kept} lines");
    }
}

/// Recordings with sessions of TLS 1.2 that are resumed.
const RESUMED: [&str; 6] = ["nginx-tls12", "apache-tls", "caddy-tls", "haproxy-tls", "nghttpx-tls", "tomcat-tls"];

/// Of each session of TLS 1.2, the line of the first connection alone.
fn first_lines(keys: &str) -> String {
    let mut seen = BTreeSet::new();
    let mut is_first = |line: &str| seen.insert(line.split(' ').nth(2).unwrap_or_default().to_owned());
    let first: Vec<&str> = keys.lines().filter(|line| !line.starts_with("CLIENT_RANDOM") || is_first(line)).collect();
    assert!(first.len() < keys.lines().count(), "there are sessions that are resumed");
    first.join("\n")
}

#[test]
fn the_line_of_a_sessions_first_connection_is_enough() {
    for name in RESUMED {
        let (capture, keys) = case(name);
        let folder = TempDir::new().unwrap();
        let whole = Replay::run(&capture, &["--tls-keylog", &key_log(&folder, "keys.log", &keys)]).succeeded();
        let log = key_log(&folder, "first.log", &first_lines(&keys));
        for workers in ["1", "2"] {
            let replay = Replay::run(&capture, &["--tls-keylog", &log, "--workers", workers]).succeeded();
            assert_eq!(replay.exchanges, whole.exchanges, "{name}, {workers} workers");
        }
    }
}

/// Packets are lost, so that a session is known late: when missing bytes are given up, or when the capture ends.
#[test]
fn when_a_session_is_known_depends_on_no_hash() {
    let folder = TempDir::new().unwrap();
    for name in RESUMED {
        let (capture, keys) = case(name);
        let log = key_log(&folder, "first.log", &first_lines(&keys));
        let packets = packets::read(&capture).unwrap();
        for loss in 0..4 {
            let lossy = packets::plain(&transform::lose(&packets, &mut Random::new(loss)));
            let path = file(&folder, "lossy.pcap", lossy);
            let replay = |seed: u64| {
                let seed = format!("packets.hash_seed={seed}");
                let workers = if loss % 2 == 0 { "1" } else { "3" };
                Replay::run(&path, &["--tls-keylog", &log, "--set", &seed, "--workers", workers]).succeeded().exchanges
            };
            let first = replay(1);
            (2..5).for_each(|seed| assert_eq!(replay(seed), first, "{name}, loss {loss}, seed {seed}"));
        }
    }
}

#[test]
fn no_secret_is_in_any_output() {
    let (capture, keys) = case("nginx-tls13");
    let folder = TempDir::new().unwrap();
    let log = key_log(&folder, "keys.log", &format!("{keys}CLIENT_RANDOM 00ff broken-secret-0123456789\n"));
    let replay = Replay::run(&capture, &["--tls-keylog", &log, "-vv"]).succeeded();
    let said = replay.said();
    let outputs = [&said, &replay.exchanges, &replay.events, &replay.alerts, &replay.stats];
    for secret in keys.lines().filter_map(|line| line.split(' ').nth(2)).chain(["broken-secret"]) {
        assert!(outputs.iter().all(|output| !output.contains(secret)));
    }
    assert!(said.contains("TLS connections, ") && said.contains(" read"), "{said}");
}

#[test]
fn one_setting_counts_calls_of_grpc_that_fail_and_everything_names_their_status() {
    let (capture, keys) = case("nginx-tls-grpc");
    let folder = TempDir::new().unwrap();
    let keys = key_log(&folder, "keys.log", &keys);
    let set = ["--tls-keylog", &keys, "--threshold", "0", "--set", "rule.reasons=[\"grpc_status\"]"];
    let replay = Replay::run(&capture, &set).succeeded();
    let failed: Vec<String> = documents(&replay.exchanges)
        .iter()
        .map(|exchange| field(exchange, "rpc.grpc.status_code"))
        .filter(|code| !["", "0"].contains(&code.as_str()))
        .collect();
    let alerts = documents(&replay.alerts);
    assert!(!failed.is_empty());
    assert_eq!(field(&alerts[0], "wirespike.alert.count"), failed.len().to_string());
    let status = "5 NOT_FOUND";
    assert!(field(&alerts[0], "message").contains(&format!("{} × gRPC {status}", failed.len())), "{}", replay.alerts);
    let report = folder.path().join("report.html");
    let mut command = wirespike();
    command.args(["replay", "--quiet", "--format", "text", "--report"]).arg(&report).args(set).arg(&capture);
    let text = command.output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&format!("gRPC       {status} ({})", failed.len())), "{text}");
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains(&format!("<dt>gRPC statuses</dt><dd>{status} ({})</dd>", failed.len())), "{report}");
}

#[test]
fn handshakes_that_fail_are_no_requests_without_an_answer() {
    let capture = root().join("pcaps/nginx-tls-alerts/capture.pcap");
    let set = ["--threshold", "3", "--set", "rule.reasons=[\"http_status\",\"tls_alert\"]"];
    let replay = Replay::run(&capture, &set).succeeded();
    let alert = &documents(&replay.alerts)[0];
    assert_eq!(
        field(alert, "message"),
        "192.0.2.10 caused 7 errors on 2 servers (nginx) within less than a second, 100 % of its 7 exchanges in that time: \
         1 × 400 over 1 path, 2 × TLS alert 70 protocol_version, 2 × TLS alert 112 unrecognized_name, \
         1 × TLS alert 40 handshake_failure, 1 × TLS alert 48 unknown_ca by the client; \
         shows TLS handshakes that fail for several reasons"
    );
    assert_eq!(field(alert, "wirespike.alert.verdict.name"), "unclear");
    let facts = &alert["wirespike"]["alert"];
    let get = serde_json::json!([{"method": "GET", "count": 1}]);
    assert_eq!((&facts["methods"], &facts["timeline"][0]["methods"]), (&get, &get));
    let mut command = wirespike();
    command.args(["replay", "--quiet", "--format", "text"]).args(set).arg(&capture);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("6 of 7 errors are failed TLS handshakes, of which the server ended 5 and"), "{text}");
    assert!(text.contains("7 errors in 7 exchanges, 27.76 exchanges a second"), "{text}");
    for untrue in ["unseen", "hold it off", "probing", "Community ID", "Errors among them are inside TLS"] {
        assert!(!text.contains(untrue), "{untrue}: {text}");
    }
}

#[test]
fn a_key_log_that_cannot_be_read_is_an_error_that_helps() {
    let (capture, _) = case("nginx-tls13");
    for (option, path) in [("--tls-keylog", "/nonexistent/keys.log"), ("--tls-key", "README.md")] {
        let replay = Replay::run(&capture, &[option, path]);
        assert_eq!(replay.output.status.code(), Some(2));
        assert!(replay.said().contains(option) && replay.said().contains(path), "{}", replay.said());
    }
}

#[test]
fn a_private_key_that_cannot_help_is_said_to_be_of_no_use() {
    let (capture, _) = case("nginx-tls12");
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps/nginx-tls-rsa/server.key");
    let replay = Replay::run(&capture, &["--tls-key", key]);
    assert!(replay.said().contains("of a key exchange that no private key opens"), "{}", replay.said());
}

#[test]
fn a_key_log_is_an_input_that_no_output_replaces() {
    let (capture, keys) = case("nginx-tls13");
    let folder = TempDir::new().unwrap();
    let log = key_log(&folder, "keys.log", &keys);
    let replay = Replay::run(&capture, &["--tls-keylog", &log, "--report", &log]);
    assert_eq!(replay.output.status.code(), Some(2), "{}", replay.said());
    assert_eq!(fs::read_to_string(&log).unwrap(), keys);
}

/// A replay's only alert, in a file.
fn alert_of(replay: &Replay, folder: &TempDir) -> (String, String) {
    let id = field(&documents(&replay.alerts)[0], "event.id");
    (id, file(folder, "alerts.json", &replay.alerts).to_string_lossy().into_owned())
}

/// What `show` writes, and what it says.
fn shown(arguments: &[&str]) -> (String, String) {
    let output = wirespike().arg("show").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let [written, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let said = said.lines().filter(|line| !line.contains("other users can read the key log"));
    (written, said.collect::<Vec<_>>().join("\n"))
}

#[test]
fn show_reads_tls_as_a_replay_does() {
    let (capture, keys) = case("nginx-tls13");
    let folder = TempDir::new().unwrap();
    let log = key_log(&folder, "keys.log", &keys);
    let replay = Replay::run(&capture, &["--tls-keylog", &log]).succeeded();
    let client = field(&documents(&replay.alerts)[0], "source.ip");
    let expected = replay.rows().iter().filter(|row| row.client == client).count();
    let (id, alerts) = alert_of(&replay, &folder);
    let with_secrets = file(&folder, "capture.pcapng", packets::pcapng_with_secrets(&capture, &keys, true));
    let (set, capture) = (format!("tls.keylog=[{log:?}]"), capture.to_str().unwrap());
    for more in [&["--tls-keylog", &log, capture][..], &["--set", &set, capture], &[with_secrets.to_str().unwrap()]] {
        let (text, said) = shown(&[&[&id, "--alerts", &alerts], more].concat());
        assert!(text.contains(&format!("\n{expected} exchanges of {client} ")), "{more:?}: {text}");
        assert!(text.contains(" 404 ") && said.is_empty(), "{more:?}: {text}{said}");
    }
    let (text, said) = shown(&[&id, "--alerts", &alerts, capture]);
    assert!(text.contains(&format!("\n0 exchanges of {client} ")), "{text}");
    assert!(said.contains(" connections are TLS (to port 443: ") && said.contains("--tls-keylog"), "{said}");
    let wrong = key_log(&folder, "wrong.log", &format!("CLIENT_RANDOM {} {}\n", "ab".repeat(32), "cd".repeat(48)));
    let (_, said) = shown(&[&id, "--alerts", &alerts, "--tls-keylog", &wrong, capture]);
    assert!(said.contains(" 0 read; ") && said.contains(" without keys"), "{said}");
    let packets = ["--packets", &log, "--tls-keylog", &log, capture];
    let refused = wirespike().args(["show", &id, "--alerts", &alerts]).args(packets).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&log).unwrap(), keys, "a key log is an input");
}

/// A connection that begins long before the alert's window is read from its beginning.
#[test]
fn show_reads_connections_that_are_older_than_the_window() {
    let (capture, keys) = case("nginx-tls12");
    let folder = TempDir::new().unwrap();
    let log = key_log(&folder, "keys.log", &keys);
    let capture = file(&folder, "late.pcap", packets::plain(&delayed(&capture, 400)));
    let short = ["--threshold", "1", "--window", "1m", "--every", "1m"];
    let replay = Replay::run(&capture, &[&["--tls-keylog", &log][..], &short].concat()).succeeded();
    let (id, alerts) = alert_of(&replay, &folder);
    let (text, said) = shown(&[&id, "--alerts", &alerts, "--tls-keylog", &log, capture.to_str().unwrap()]);
    assert!(!text.contains("\n0 exchanges of ") && said.is_empty(), "{text}{said}");
}

/// The packets of a capture, those of each connection after its first application data `seconds` later.
fn delayed(capture: &Path, seconds: u64) -> Vec<Timed> {
    let mut begun = BTreeSet::new();
    let mut packets = packets::read(capture).unwrap();
    for packet in &mut packets {
        let ends = (
            packet.segment.source.max(packet.segment.destination),
            packet.segment.source.min(packet.segment.destination),
        );
        if packet.segment.payload.first() == Some(&23) {
            begun.insert(ends);
        }
        if begun.contains(&ends) {
            packet.time += seconds * 1_000_000_000;
        }
    }
    packets.sort_by_key(|packet| packet.time);
    packets
}

/// A writer that has the FIFO open is waited for: one that takes a while, and one that never closes.
#[test]
fn a_replay_waits_for_the_writer_of_a_fifo() {
    let (capture, keys) = case("nginx-tls13");
    let folder = TempDir::new().unwrap();
    let expected = Replay::run(&capture, &["--tls-keylog", &key_log(&folder, "keys.log", &keys)]).succeeded();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for closes in [true, false] {
        let (path, keys) = (fifo.clone(), keys.clone());
        let writer = std::thread::spawn(move || {
            let mut writer = fs::OpenOptions::new().write(true).open(path).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2_500));
            writer.write_all(keys.as_bytes()).unwrap();
            (!closes).then_some(writer)
        });
        let replay = Replay::run(&capture, &["--tls-keylog", fifo.to_str().unwrap()]).succeeded();
        drop(writer.join().unwrap());
        assert_eq!(replay.rows(), expected.rows(), "{}", replay.said());
        assert!(replay.said().contains("waiting for the writer of the key log"), "{}", replay.said());
    }
    let unopened = Replay::run(&capture, &["--tls-keylog", fifo.to_str().unwrap()]).succeeded();
    assert!(unopened.said().contains("nobody has opened the key log"), "{}", unopened.said());
}

/// What both sides of a connection sent, in order; true is the client.
type Parts = Vec<(bool, Vec<u8>)>;

/// Sends the recorded bytes of a connection over the loopback again, in their order: `(is_client, bytes)`.
fn send_again(server_port: u16, listener: &TcpListener, parts: &[(bool, Vec<u8>)]) {
    let mut client = TcpStream::connect(("127.0.0.1", server_port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for (is_client, bytes) in parts {
        let (from, to) = if *is_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        from.write_all(bytes).unwrap();
        to.read_exact(&mut vec![0; bytes.len()]).unwrap();
    }
}

/// The connections of a capture without losses.
fn connections(capture: &Path) -> Vec<Parts> {
    let mut connections: Vec<(u16, Parts)> = Vec::new();
    let mut sent = BTreeSet::new();
    for packet in packets::read(capture).unwrap() {
        let is_client = packet.segment.destination.1 == 443;
        let port = if is_client { packet.segment.source.1 } else { packet.segment.destination.1 };
        let place = connections.iter().position(|(known, _)| *known == port).unwrap_or_else(|| {
            connections.push((port, Vec::new()));
            connections.len() - 1
        });
        // Segments that were sent twice are part of the stream once.
        if !packet.segment.payload.is_empty() && sent.insert((port, is_client, packet.segment.sequence)) {
            connections[place].1.push((is_client, packet.segment.payload));
        }
    }
    connections.into_iter().map(|(_, parts)| parts).collect()
}

/// The key log is not there at the start, its lines come after the packets, in halves, and it is rotated between them.
#[test]
fn a_live_sensor_follows_a_key_log_whose_lines_come_late() {
    let (capture, keys) = case("nginx-tls13");
    let folder = tempfile::tempdir().unwrap();
    let (log, exchanges) = (folder.path().join("keys/keys.log"), folder.path().join("exchanges"));
    fs::create_dir(log.parent().unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (log_path, exchanges_path) = (log.to_str().unwrap(), exchanges.to_str().unwrap());
    let more = ["--tls-keylog", log_path, "--exchanges", exchanges_path, "--mode", "streaming"];
    let Some(sensor) = Sensor::start_in(folder, &format!("tcp port {port}"), &more) else { return };
    let connections = connections(&capture);
    let (first, second) = connections.split_at(2);
    let (early, late) = keys.split_at(keys.len() / 2);
    let write = |text: &str| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let seen = || documents(&fs::read_to_string(&exchanges).unwrap_or_default()).len();
    first.iter().for_each(|parts| send_again(port, &listener, parts));
    write(early);
    // More packets come, as packet time goes on with them alone.
    assert!(
        until(|| {
            send_again(port, &listener, &first[0]);
            seen() > 0
        }),
        "{}",
        sensor.log()
    );
    fs::rename(&log, log.with_extension("1")).unwrap();
    let complete = early.rfind('\n').map_or(early, |end| &early[end + 1..]);
    write(&format!("{complete}{late}"));
    second.iter().for_each(|parts| send_again(port, &listener, parts));
    let has_all = || {
        documents(&fs::read_to_string(&exchanges).unwrap_or_default())
            .iter()
            .any(|document| document["url"]["original"] == "/xmlrpc")
    };
    assert!(
        until(|| {
            send_again(port, &listener, &first[0]);
            has_all()
        }),
        "{}",
        sensor.log()
    );
    let log = sensor.log();
    let (code, folder) = end(sensor);
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    let alerts = documents(&fs::read_to_string(folder.path().join("alerts")).unwrap());
    let stats = fs::read_to_string(folder.path().join("stats")).unwrap();
    assert!(!alerts.is_empty(), "the scan in the recording is an alert: {stats}");
    assert!(keys.lines().all(|line| !log.contains(line.rsplit(' ').next().unwrap())), "no secret is in the log");
}

/// Without secrets, or with a file that holds none, a live run says at its end what a replay says.
#[test]
fn a_live_sensor_says_what_it_could_not_read() {
    let (capture, keys) = case("nginx-tls13");
    let wrong: String = keys.lines().map(|line| format!("{}\n", line.replace("_", "-"))).collect();
    for (log, said) in [
        (None, &["connections are TLS (to port ", "give them with --tls-keylog", "not seen: "][..]),
        (Some(wrong), &["is it a key log?", "add the key logs of their", " 0 read; "]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = log.map(|text| key_log(&folder, "keys.log", &text));
        let more: Vec<&str> = log.iter().flat_map(|log| ["--tls-keylog", log.as_str()]).collect();
        let Some(sensor) = Sensor::start_in(folder, &format!("tcp port {port}"), &more) else { return };
        connections(&capture).iter().for_each(|parts| send_again(port, &listener, parts));
        std::thread::sleep(std::time::Duration::from_secs(1));
        let (code, folder) = end(sensor);
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(code, Some(0), "{log}");
        said.iter().for_each(|words| assert!(log.contains(words), "'{words}' is not in: {log}"));
    }
}

/// Client's end, method, target and status of exchanges with all of them.
fn pairs(exchanges: &str) -> BTreeSet<[String; 4]> {
    let pair = |row: Row| [row.peer, row.method, row.target, row.status];
    let rows = documents(exchanges).into_iter().map(|document| pair(Row::of(&document)));
    rows.filter(|pair| pair.iter().all(|text| !text.is_empty())).collect()
}

/// Of every connection the same packets are lost: one, two in a row or with one or three between them, or four in a row.
#[test]
fn lost_packets_give_no_response_to_another_request() {
    const PATTERNS: [&[usize]; 5] = [&[0], &[0, 1], &[0, 2], &[0, 4], &[0, 1, 2, 3]];
    const MOST_PACKETS: usize = 24;
    let folder = TempDir::new().unwrap();
    let cases: Vec<_> =
        Case::all().into_iter().filter(|case| case.settings.args.contains(&"--tls-keylog".to_owned())).collect();
    assert!(cases.len() >= 10);
    let mut wrong = Vec::new();
    for case in cases {
        let whole = Replay::run(&case.capture, &case.settings.args).succeeded().exchanges;
        let (truth, pipelining) = (pairs(&whole), pipelining(&documents(&whole)));
        let packets = packets::read(&case.capture).unwrap();
        let mut seen: BTreeMap<_, usize> = BTreeMap::new();
        let numbered: Vec<(usize, &Timed)> = packets
            .iter()
            .map(|packet| {
                let mut ends = [packet.segment.source, packet.segment.destination];
                ends.sort_unstable();
                let next = seen.entry(ends).or_default();
                *next += 1;
                (*next - 1, packet)
            })
            .collect();
        for first in 0..MOST_PACKETS.min(seen.values().copied().max().unwrap()) {
            for pattern in PATTERNS {
                let is_lost = |number: usize| pattern.iter().any(|offset| number == first + offset);
                let kept = numbered.iter().filter(|(number, _)| !is_lost(*number));
                let kept: Vec<Timed> = kept.map(|(_, packet)| (*packet).clone()).collect();
                let path = file(&folder, "lossy.pcap", packets::plain(&kept));
                let lossy = pairs(&Replay::run(&path, &case.settings.args).succeeded().exchanges);
                let others = lossy.difference(&truth).filter(|pair| !pipelining.contains(&pair[0]));
                wrong.extend(others.map(|pair| format!("{} without {first} + {pattern:?}: {pair:?}", case.name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
