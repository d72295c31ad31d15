//! The command line's contract: exit codes, messages, and what goes where.
//!
//! Exit 0: done, alerts or not. Exit 2: could not, with one line on standard error that says what, where and what to do.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tempfile::TempDir;

use crate::support::{Replay, documents, field, file, packets, root, wirespike};

/// A capture with one alert in it.
fn scan() -> PathBuf {
    root().join("pcaps/nginx-gobuster/capture.pcap.gz")
}

/// A small plain pcap file.
fn small() -> PathBuf {
    root().join("pcaps/nginx-timeouts/capture.pcap")
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    wirespike().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit 2, nothing on standard output, and one line that holds all these words.
fn refused<S: AsRef<std::ffi::OsStr>>(arguments: &[S], words: &[&str]) {
    let output = run(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
}

fn replayed(capture: &Path, arguments: &[&str]) -> Output {
    wirespike().arg("replay").args(arguments).arg(capture).output().unwrap()
}

#[test]
fn usage_errors_exit_2() {
    for (arguments, words) in [
        (&["replay"][..], "<CAPTURE>"),
        (&["--nothing"], "--nothing"),
        (&["replay", "--nothing", "x"], "--nothing"),
        (&["reply"], "reply"),
        (&["replay", "--threshold", "many", "x"], "many"),
        (&["replay", "--window", "eleven", "x"], "eleven"),
        (&["replay", "--mode", "both", "x"], "both"),
        (&["live"], "--interface"),
        (&["check"], "--config"),
        (&["completions", "tcsh"], "tcsh"),
    ] {
        let output = run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
    assert_eq!(run::<&str>(&[]).status.code(), Some(2));
}

#[test]
fn settings_that_make_no_sense_are_refused_in_one_line() {
    let capture = small();
    let capture = capture.to_str().unwrap();
    refused(&["replay", "--every", "0s", capture], &["interval"]);
    refused(&["replay", "--max-alerts", "0", capture], &["at least one alert"]);
    refused(&["replay", "--workers", "0", capture], &["workers"]);
    refused(&["replay", "--trust", "nowhere", capture], &["nowhere", "192.0.2.0/24"]);
    refused(&["replay", "--set", "rule.nothing=1", capture], &["rule.nothing"]);
    refused(&["replay", "--set", "rule.threshold", capture], &["KEY=VALUE"]);
    refused(&["replay", "--events", "/tmp/same", "--exchanges", "/tmp/same", capture], &["/tmp/same", "twice"]);
    refused(&["replay", "--events", "-", capture], &["twice"]);
    refused(&["replay", "--filter", "not a filter at all", capture], &["filter"]);
}

#[test]
fn input_that_is_no_capture_is_named_for_what_it_is() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing.pcap");
    refused(&["replay", missing.to_str().unwrap()], &["missing.pcap", "No such file"]);
    let empty_folder = TempDir::new().unwrap();
    refused(&["replay", empty_folder.path().to_str().unwrap()], &[empty_folder.path().to_str().unwrap()]);
    for (name, bytes, words) in [
        ("empty.pcap", &b""[..], &["empty.pcap", "empty"][..]),
        ("access.log", b"192.0.2.1 - - [x] \"GET / HTTP/1.1\" 200\n", &["access.log", "byte 0", "log"]),
        ("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", &["program", "byte 0", "ELF"]),
        ("page.html", b"<!doctype html><html></html>\n", &["page.html", "byte 0"]),
        ("noise", b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", &["noise", "byte 0"]),
    ] {
        let path = file(&folder, name, bytes);
        refused(&["replay", path.to_str().unwrap()], words);
    }
}

#[test]
fn unreadable_places_for_output_are_refused() {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("no/such/folder/events.json");
    refused(
        &["replay", "--events", nowhere.to_str().unwrap(), small().to_str().unwrap()],
        &["no/such/folder", "No such file"],
    );
    let output = replayed(&scan(), &["--quiet", "--alerts", "/dev/null", "--exchanges", "/dev/full"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/dev/full"), "{}", text(&output.stderr));
}

/// Where the packet records of a plain pcap file start.
fn records(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![24];
    while let Some(length) = bytes.get(starts[starts.len() - 1] + 8..).and_then(|rest| rest.first_chunk()) {
        starts.push(starts[starts.len() - 1] + 16 + u32::from_le_bytes(*length) as usize);
    }
    starts
}

#[test]
fn a_capture_that_breaks_off_yields_what_came_before() {
    let bytes = fs::read(small()).unwrap();
    let starts = records(&bytes);
    let cut = starts[starts.len() * 2 / 3];
    let folder = TempDir::new().unwrap();
    let whole = Replay::run(&file(&folder, "whole.pcap", &bytes[..cut]), &["--quiet"]).succeeded();
    assert!(!whole.exchanges.is_empty());
    for end in [cut + 1, cut + 15, cut + 16, cut + 40] {
        let broken = Replay::run(&file(&folder, "broken.pcap", &bytes[..end]), &["--quiet"]);
        let said = broken.said();
        assert_eq!(broken.output.status.code(), Some(2), "{said}");
        assert_eq!(broken.exchanges, whole.exchanges);
        assert_eq!(broken.events, whole.events);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("broken.pcap") && said.contains(&format!("byte {cut}")), "{said}");
    }
}

#[test]
fn a_corrupt_record_or_compression_yields_what_came_before() {
    let bytes = fs::read(small()).unwrap();
    let starts = records(&bytes);
    let at = starts[starts.len() / 2];
    let mut corrupt = bytes.clone();
    corrupt[at + 8..at + 12].copy_from_slice(&[0xff; 4]);
    let folder = TempDir::new().unwrap();
    let broken = Replay::run(&file(&folder, "corrupt.pcap", corrupt), &["--quiet"]);
    assert_eq!(broken.output.status.code(), Some(2));
    assert!(broken.said().contains(&format!("byte {at}")), "{}", broken.said());
    assert!(!broken.exchanges.is_empty());

    let packed = fs::read(scan()).unwrap();
    let cut = Replay::run(&file(&folder, "cut.pcap.gz", &packed[..packed.len() * 3 / 4]), &["--quiet"]);
    assert_eq!(cut.output.status.code(), Some(2));
    assert!(cut.said().contains("cut.pcap.gz") && cut.said().contains("byte "), "{}", cut.said());
    assert!(cut.exchanges.lines().count() > 50, "{}", cut.exchanges.lines().count());
}

#[test]
fn a_good_file_before_a_bad_one_still_counts() {
    let folder = TempDir::new().unwrap();
    let bytes = fs::read(small()).unwrap();
    let broken = file(&folder, "broken.pcap", &bytes[..bytes.len() - 5]);
    let events = folder.path().join("events");
    let output =
        wirespike().args(["replay", "--quiet", "--events"]).arg(&events).arg(scan()).arg(&broken).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout).lines().count(), 1, "the scan's alert");
    assert!(fs::read_to_string(events).unwrap().lines().count() > 200);
}

#[test]
fn standard_input_directories_and_lists_are_one_timeline() {
    let whole = Replay::run(&scan(), &["--quiet"]).succeeded();
    let folder = TempDir::new().unwrap();
    let exchanges = folder.path().join("exchanges");
    let mut child = wirespike()
        .args(["replay", "--quiet", "-", "--exchanges"])
        .arg(&exchanges)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(scan()).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), whole.alerts);
    assert_eq!(fs::read_to_string(&exchanges).unwrap(), whole.exchanges);

    let halves = TempDir::new().unwrap();
    let bytes = fs::read(small()).unwrap();
    let starts = records(&bytes);
    let middle = starts[starts.len() / 2];
    let first = file(&halves, "a.pcap", &bytes[..middle]);
    let second = file(&halves, "b.pcap", [&bytes[..24], &bytes[middle..]].concat());
    let whole = Replay::run(&small(), &["--quiet"]).succeeded();
    assert_eq!(Replay::run(halves.path(), &["--quiet"]).succeeded().exchanges, whole.exchanges);
    let backwards = Replay::run(&first, &["--quiet", second.to_str().unwrap()]).succeeded();
    assert_eq!(backwards.exchanges, whole.exchanges, "several files are one timeline in whatever order they are named");
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let mut child = wirespike()
        .args(["replay", "--quiet", "--alerts", "/dev/null", "--exchanges", "-"])
        .arg(scan())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

/// A folder with a capture, and other names of it: through a link, a second hard link, and a detour.
fn capture_with_many_names() -> (TempDir, PathBuf, [PathBuf; 4]) {
    let folder = TempDir::new().unwrap();
    let capture = file(&folder, "x.pcap", fs::read(small()).unwrap());
    let [link, hard] = ["link", "hard"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink("x.pcap", &link).unwrap();
    fs::hard_link(&capture, &hard).unwrap();
    let detour = folder.path().join("./x.pcap");
    (folder, capture.clone(), [capture, link, hard, detour])
}

#[test]
fn an_output_never_replaces_an_input() {
    let (folder, capture, names) = capture_with_many_names();
    let before = fs::read(&capture).unwrap();
    let [capture, folder_path] = [&capture, folder.path()].map(|path: &Path| path.to_str().unwrap());
    for flag in ["--alerts", "--events", "--exchanges", "--stats", "--report"] {
        for name in &names {
            let name = name.to_str().unwrap();
            refused(&["replay", capture, flag, name], &[flag, name, "the capture", capture, "another file"]);
            // A file of the directory that is read.
            refused(&["replay", folder_path, flag, name], &[flag, name, "the capture"]);
        }
    }
    let config = file(&folder, "sensor.toml", "[rule]\nthreshold = 5\n");
    let config = config.to_str().unwrap();
    refused(
        &["replay", "--config", config, capture, "--events", config],
        &["--events", "the configuration", "another file"],
    );
    refused(&["live", "-i", "lo", "--config", config, "--state", config], &["--state", "the configuration"]);
    assert_eq!(fs::read(capture).unwrap(), before);
    assert_eq!(fs::read_to_string(config).unwrap().lines().count(), 2);

    // What is no capture is not read: the alerts of the last run, in the directory with the captures.
    let alerts = file(&folder, "alerts.json", "{}\n");
    let again = run(&["replay", "--quiet", folder_path, "--alerts", alerts.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
}

#[test]
fn a_redirected_capture_is_not_replaced_either() {
    let (_folder, capture, [_, link, hard, _]) = capture_with_many_names();
    let before = fs::read(&capture).unwrap();
    let read = || Stdio::from(fs::File::open(&capture).unwrap());
    for name in [&capture, &link, &hard] {
        let output = wirespike().args(["replay", "-", "--alerts"]).arg(name).stdin(read()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--alerts") && said.contains("the capture standard input"), "{said}");
        let output = wirespike()
            .args(["replay"])
            .arg(name)
            .stdout(fs::OpenOptions::new().append(true).open(&capture).unwrap())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--alerts standard output is the same file as the capture"), "{said}");
    }
    assert_eq!(fs::read(&capture).unwrap(), before);
}

#[test]
fn each_output_has_a_file_of_its_own() {
    let folder = TempDir::new().unwrap();
    let capture = small();
    let capture = capture.to_str().unwrap();
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    for (first, second) in [("--alerts", "--events"), ("--exchanges", "--stats"), ("--alerts", "--stats")] {
        refused(&["replay", capture, first, &one, second, &one], &[first, second, &one, "give each its own file"]);
    }
    fs::write(&one, "kept\n").unwrap();
    fs::hard_link(&one, &other).unwrap();
    refused(&["replay", capture, "--events", &one, "--stats", &other], &["--events", "--stats", &other]);
    refused(&["live", "-i", "lo", "--events", &one, "--state", &other], &["--events", "--state"]);
    refused(
        &["live", "-i", "lo", "--state", &one, "--exchanges", &format!("{one}.tmp")],
        &["--exchanges", "--state", "one.tmp"],
    );
    assert_eq!(fs::read_to_string(&one).unwrap(), "kept\n");
    let shared =
        run(&["replay", "-q", capture, "--alerts", "/dev/null", "--events", "/dev/null", "--stats", "/dev/null"]);
    assert_eq!(shared.status.code(), Some(0), "{}", text(&shared.stderr));
    // A path that cannot be written is told before anything is read.
    let nowhere = folder.path().join("no/such/folder/stats");
    refused(&["replay", capture, "--stats", nowhere.to_str().unwrap()], &["no/such/folder", "No such file"]);
}

/// The program started by a shell, which redirects as `redirection` says.
fn redirected(redirection: &str, arguments: &[&str]) -> Output {
    std::process::Command::new("sh")
        .args(["-c", &format!("exec \"$0\" \"$@\" {redirection}"), env!("CARGO_BIN_EXE_wirespike")])
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Names of one file, with the redirection that each needs: other spellings, links, chains of links, and open descriptors.
fn names_of(folder: &Path, name: &str) -> Vec<(String, String)> {
    let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let file = place(name);
    let [link, chain, hard, at] = ["link", "chain", "hard", "at"].map(|kind| place(&format!("{name}.{kind}")));
    let inside = folder.join(format!("{name}.folder"));
    if inside.exists() {
        fs::remove_dir_all(&inside).unwrap();
        [&link, &chain, &hard, &at].into_iter().for_each(|path| fs::remove_file(path).unwrap());
    }
    fs::create_dir(&inside).unwrap();
    std::os::unix::fs::symlink(name, &link).unwrap();
    std::os::unix::fs::symlink(&link, &chain).unwrap();
    std::os::unix::fs::symlink("..", inside.join("up")).unwrap();
    std::os::unix::fs::symlink("/proc/self/fd/7", &at).unwrap();
    fs::hard_link(&file, &hard).unwrap();
    let of_folder = inside.file_name().unwrap().to_str().unwrap().to_owned();
    let (opened, read) = (format!("7>>{file}"), format!("<{file}"));
    let spelled = [
        file.clone(),
        link,
        chain,
        hard,
        place(&format!("./{name}")),
        place(&format!("{of_folder}/../{name}")),
        place(&format!("{of_folder}/up/{name}")),
        format!("/proc/self/root{file}"),
        format!("/{file}"),
    ];
    let descriptors = ["/dev/fd/7", "/proc/self/fd/7", "/proc/thread-self/fd/7", at.as_str()];
    let standard = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    let plain = spelled.into_iter().map(|name| (name, String::new()));
    let opened = descriptors.into_iter().map(|name| (name.to_owned(), opened.clone()));
    let read = standard.into_iter().map(|name| (name.to_owned(), read.clone()));
    plain.chain(opened).chain(read).collect()
}

/// Whatever a run reads or keeps, and under whatever name an output would write it: the run is refused and nothing is changed.
#[test]
fn no_name_of_a_file_lets_an_output_write_over_it() {
    let folder = TempDir::new().unwrap();
    let capture = file(&folder, "x.pcap", fs::read(small()).unwrap());
    let config = file(&folder, "sensor.toml", "[rule]\nthreshold = 5\n");
    let state = file(&folder, "windows.state", "kept\n");
    let lock = file(&folder, "windows.state.lock", "kept too\n");
    let first = file(&folder, "first.jsonl", "{}\n");
    let [capture, config, state, lock, first] =
        [&capture, &config, &state, &lock, &first].map(|path| path.to_str().unwrap());
    let replay = &["replay", capture, "--config", config][..];
    let live = &["live", "-i", "no-such-interface", "--config", config, "--state", state];
    let with_first = [live, &["--exchanges", first][..]].concat();
    for (name, protected, run, flags) in [
        ("x.pcap", capture, replay, &["--alerts", "--events", "--exchanges", "--stats", "--report"][..]),
        ("sensor.toml", config, replay, &["--alerts", "--stats"]),
        ("sensor.toml", config, live, &["--alerts", "--events"]),
        ("windows.state", state, live, &["--alerts", "--stats"]),
        ("windows.state.lock", lock, live, &["--exchanges"]),
        ("first.jsonl", first, &with_first, &["--alerts", "--stats"]),
    ] {
        let before = fs::read(protected).unwrap();
        for (other, redirection) in names_of(folder.path(), name) {
            for flag in flags {
                let output = redirected(&redirection, &[run, &[*flag, &other]].concat());
                let said = text(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{flag} {other}: {said}");
                let advises = said.contains("its own file") || said.contains("another file");
                assert!(said.contains(flag) && advises, "{said}");
                assert_eq!(fs::read(protected).unwrap(), before, "{flag} {other}");
            }
        }
    }
}

/// The file of another sensor, by any of its names, is refused before it is emptied.
#[test]
fn the_file_of_another_sensor_is_not_emptied() {
    let folder = TempDir::new().unwrap();
    let taken = file(&folder, "alerts.jsonl", "kept\n");
    let held = fs::OpenOptions::new().append(true).open(&taken).unwrap();
    held.try_lock().unwrap();
    let capture = small();
    for (name, redirection) in names_of(folder.path(), "alerts.jsonl") {
        for flag in ["--alerts", "--stats", "--report"] {
            let output = redirected(&redirection, &["replay", capture.to_str().unwrap(), flag, &name]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{flag} {name}: {said}");
            assert!(said.contains("writes this file already"), "{flag} {name}: {said}");
            assert_eq!(fs::read_to_string(&taken).unwrap(), "kept\n", "{flag} {name}");
        }
    }
}

#[test]
fn a_closed_standard_output_is_told_at_once() {
    let capture = scan();
    let capture = capture.to_str().unwrap();
    for arguments in [
        &["replay", capture][..],
        &["replay", "--alerts", "/dev/null", "--events", "/dev/stdout", capture],
        &["live", "-i", "lo"],
        &["man"],
        &["--help"],
    ] {
        let output = redirected(">&-", arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("standard output is closed") && said.lines().count() == 1, "{arguments:?}: {said}");
    }
    let unneeded = redirected(">&-", &["replay", "-q", "--alerts", "/dev/null", capture]);
    assert_eq!((unneeded.status.code(), text(&unneeded.stderr).as_str()), (Some(0), ""));
    // Open for reading and writing, as daemons and other languages' libraries give it, /dev/null is not a closed output.
    for redirection in ["1<>/dev/null", ">/dev/null", ">/dev/null <&-", "2>&-"] {
        let output = redirected(redirection, &["replay", "-q", capture]);
        assert_eq!(output.status.code(), Some(0), "{redirection}: {}", text(&output.stderr));
    }
}

#[test]
fn other_outputs_go_on_when_a_reader_leaves() {
    let whole = Replay::run(&scan(), &["--quiet"]).succeeded();
    let folder = TempDir::new().unwrap();
    let [events, stats] = ["events", "stats"].map(|name| folder.path().join(name));
    let mut child = wirespike()
        .args(["replay", "--alerts", "/dev/null", "--exchanges", "-", "--events"])
        .arg(&events)
        .arg("--stats")
        .arg(&stats)
        .arg(scan())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(fs::read_to_string(events).unwrap(), whole.events);
    let undelivered =
        documents(&fs::read_to_string(stats).unwrap())[0]["stages"]["output"]["undelivered_lines"].clone();
    assert_eq!(undelivered, whole.exchanges.lines().count());
    assert!(said.contains(&format!("not seen: {} lines that nobody read", whole.exchanges.lines().count())), "{said}");
    let stages = &documents(&whole.stats)[0]["stages"];
    assert_eq!(stages["output"]["undelivered_lines"], 0);
}

#[test]
fn standard_output_carries_alerts_and_nothing_else() {
    let output = replayed(&scan(), &[]);
    assert_eq!(output.status.code(), Some(0));
    let alerts = documents(&text(&output.stdout));
    assert_eq!(alerts.len(), 1);
    assert_eq!(field(&alerts[0], "source.ip"), "192.0.2.10");
    let said = text(&output.stderr);
    assert!(
        said.contains("alert") && !said.contains('\u{1b}'),
        "a summary for people, without colours in a file: {said}"
    );

    let quiet = replayed(&scan(), &["--quiet"]);
    assert_eq!(text(&quiet.stdout), text(&output.stdout));
    assert_eq!(text(&quiet.stderr), "");

    let none = replayed(&small(), &["--quiet"]);
    assert_eq!((none.status.code(), none.stdout.len(), none.stderr.len()), (Some(0), 0, 0), "no alert is no error");
}

#[test]
fn flags_reach_rule_and_documents() {
    let alerts = |arguments: &[&str]| Replay::run(&scan(), arguments).succeeded().alerts.lines().count();
    let errors = Replay::run(&scan(), &["--quiet"]).succeeded().events.lines().count();
    assert_eq!(alerts(&["--threshold", &errors.to_string()]), 0, "strictly more than the threshold");
    assert_eq!(alerts(&["--threshold", &(errors - 1).to_string()]), 1);
    assert_eq!(alerts(&["--set", "rule.threshold=100000"]), 0);
    let named = Replay::run(&scan(), &["--sensor-id", "tap-7", "--namespace", "lab"]).succeeded();
    for document in [&named.alerts, &named.events, &named.exchanges].map(|lines| documents(lines).remove(0)) {
        assert_eq!(field(&document, "agent.id"), "tap-7");
        assert!(document.to_string().contains("\"lab\""), "{document}");
    }
    let stats = documents(&named.stats);
    assert_eq!(stats.len(), 1);
    assert!(stats[0].is_object());
    let filtered = Replay::run(&scan(), &["--filter", "port 81"]).succeeded();
    assert_eq!(filtered.exchanges, "");
    assert_eq!(
        Replay::run(&scan(), &["--filter", "tcp port 80"]).succeeded().exchanges,
        Replay::run(&scan(), &["-q"]).exchanges
    );
}

/// The scan's requests with a credential in each path that has room for one, as `/;ticket=s3cr3t`.
fn scan_with_credentials(folder: &TempDir) -> PathBuf {
    const SECRET: &[u8] = b"/;ticket=s3cr3t";
    let mut packets = packets::read(&scan()).unwrap();
    for packet in &mut packets {
        let payload = &mut packet.segment.payload;
        let Some(end) = payload.windows(9).position(|bytes| bytes == b" HTTP/1.1") else { continue };
        if payload.starts_with(b"GET /") && end >= 4 + SECRET.len() {
            payload[4..4 + SECRET.len()].copy_from_slice(SECRET);
        }
    }
    file(folder, "credentials.pcap", packets::plain(&packets))
}

#[test]
fn the_site_is_the_same_in_events_exchanges_and_alerts() {
    let folder = TempDir::new().unwrap();
    let capture = scan_with_credentials(&folder);
    let server = field(&documents(&Replay::run(&scan(), &["-q"]).events)[0], "destination.ip");
    let config = format!(
        "[sensor]\nid = \"tap-7\"\nnamespace = \"lab\"\n[events]\nmasked_keys = [\"Ticket\"]\n\
         [[server]]\nnetwork = \"{server}\"\nname = \"shop\"\n"
    );
    let config = file(&folder, "site.toml", config);
    for mode in ["scheduled", "streaming"] {
        let replay = Replay::run(&capture, &["-q", "--mode", mode, "--config", config.to_str().unwrap()]).succeeded();
        for lines in [&replay.events, &replay.exchanges, &replay.alerts] {
            assert!(!lines.is_empty() && lines.contains("ticket=***") && !lines.contains("s3cr3t"), "{mode}");
            for document in documents(lines) {
                assert_eq!(field(&document, "agent.id"), "tap-7");
                assert_eq!(field(&document, "data_stream.namespace"), "lab");
            }
        }
        assert!(documents(&replay.events).iter().all(|event| field(event, "host.name") == "shop"));
        for alert in documents(&replay.alerts) {
            assert_eq!(alert["Esql"]["host_name_values"], serde_json::json!(["shop"]));
            assert_eq!(alert["Esql"]["agent_id_values"], serde_json::json!(["tap-7"]));
            assert_eq!(alert["Esql"]["data_stream_namespace_values"], serde_json::json!(["lab"]));
            assert_eq!(alert["wirespike"]["alert"]["servers"][0]["name"], "shop");
            assert!(field(&alert, "message").contains(" on shop (nginx) "), "{}", field(&alert, "message"));
        }
    }
}

#[test]
fn a_configuration_is_checked_before_it_is_used() {
    let folder = TempDir::new().unwrap();
    let good = file(&folder, "good.toml", "[rule]\nthreshold = 5\nwindow = \"5m\"\nevery = \"5m\"\n");
    let output = wirespike().args(["check", "--config"]).arg(&good).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("good.toml"));
    for (name, content, words) in [
        ("key.toml", "[rule]\ntreshold = 5\n", &["key.toml:2", "treshold"][..]),
        ("type.toml", "[rule]\nthreshold = \"many\"\n", &["type.toml:2"]),
        ("syntax.toml", "[rule\n", &["syntax.toml:1"]),
        ("value.toml", "[rule]\nwindow = \"never\"\n", &["value.toml:2", "never"]),
    ] {
        let path = file(&folder, name, content);
        refused(&["check", "--config", path.to_str().unwrap()], words);
        refused(&["replay", "--config", path.to_str().unwrap(), small().to_str().unwrap()], words);
    }
    let missing = folder.path().join("missing.toml");
    refused(&["check", "--config", missing.to_str().unwrap()], &["missing.toml", "No such file"]);
    let low = Replay::run(&scan(), &["--config", good.to_str().unwrap(), "--threshold", "100000"]).succeeded();
    assert_eq!(low.alerts, "", "flags win over the file");
}

#[test]
fn help_fits_a_screen_and_teaches_when_asked() {
    for (arguments, most) in [(&["-h"][..], 24), (&["replay", "-h"], 60), (&["live", "-h"], 60), (&["check", "-h"], 24)]
    {
        let output = run(arguments);
        let help = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(help.lines().count() <= most, "{arguments:?}: {} lines:\n{help}", help.lines().count());
        assert!(output.stderr.is_empty());
    }
    let (short, long) = (run(&["replay", "-h"]), run(&["replay", "--help"]));
    assert!(long.stdout.len() > short.stdout.len());
    for flag in [
        "--alerts",
        "--events",
        "--exchanges",
        "--stats",
        "--report",
        "--format",
        "--config",
        "--sensor-id",
        "--namespace",
        "--threshold",
        "--window",
        "--every",
        "--max-alerts",
        "--mode",
        "--filter",
        "--workers",
        "--quiet",
    ] {
        assert!(text(&short.stdout).contains(flag), "{flag}");
    }
    assert!(text(&run(&["--version"]).stdout).starts_with("wirespike "));
}

#[test]
fn every_command_has_short_help_that_fits_a_screen_and_examples() {
    for command in ["replay", "live", "show", "check", "config", "rules", "interfaces", "completions", "man"] {
        let short = text(&run(&[command, "-h"]).stdout);
        assert!(short.lines().count() <= 60, "{command}: {} lines:\n{short}", short.lines().count());
        assert!(!short.contains("Examples:"), "{short}");
        let long = text(&run(&[command, "--help"]).stdout);
        assert!(long.contains(&format!("Examples:\n  wirespike {command}")), "{long}");
    }
    for flag in ["--threshold", "--window", "--every", "--max-alerts", "--mode"] {
        let long = text(&run(&["replay", "--help"]).stdout);
        let (_, explained) = long.split_once(flag).unwrap();
        assert!(explained.lines().nth(1).unwrap().contains("error_spike"), "{flag}");
    }
}

#[test]
fn the_version_is_one_line_and_the_long_one_names_commit_and_libpcap() {
    let short = text(&run(&["-V"]).stdout);
    assert_eq!(short, format!("wirespike {}\n", env!("CARGO_PKG_VERSION")));
    let long = text(&run(&["--version"]).stdout);
    assert!(long.starts_with(&short), "{long}");
    for words in ["\ncommit: ", "libpcap version ", "zstd", "seccomp"] {
        assert!(long.contains(words), "{long}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_with_what_to_write() {
    let capture = small();
    let capture = capture.to_str().unwrap();
    let refused = |flags: &[&str], line: &str| {
        let output = run(&[&["replay", capture], flags].concat());
        assert_eq!(text(&output.stderr), format!("wirespike: {line}\n"));
        assert_eq!(output.status.code(), Some(2));
    };
    let duration = "is not a duration: numbers with units (ms, s, m, h, d), such as 11m or 1h30m";
    refused(&["--window", "-5m"], &format!("--window: '-5m' {duration}; write for example --window 11m"));
    refused(&["--every", "0"], &format!("--every: '0' {duration}; write for example --every 10m"));
    refused(
        &["--threshold", "-1"],
        "--threshold: '-1' is not a whole number from 0 to 4294967295; write for example --threshold 20",
    );
    refused(
        &["--window", "5m"],
        "--window: the window (5m) is shorter than the interval (10m), so that errors between two windows would never \
         count; write a window of at least 10m, or an interval (--every) of at most 5m",
    );
    refused(
        &["--sensor-id", ""],
        "--sensor-id: the sensor ID is empty; write a name that tells this sensor from others, such as 'dmz-1'",
    );
    refused(&["--namespace", "Web-Shop"], "--namespace: the namespace \"Web-Shop\" holds '-'; write 'web_shop'");
    refused(
        &["--rules", "spikes"],
        "--rules: 'spikes' is not a rule; known: error_spike, encrypted_scan; write for example --rules error_spike",
    );
    refused(
        &["--set", "rule.treshold=5"],
        "--set rule.treshold=5: there is no key 'rule.treshold'; did you mean rule.threshold?",
    );
    refused(
        &["--since", "2026-11-25", "--until", "2026-11-24"],
        "--until: 2026-11-24T00:00:00.000000000Z is before --since, 2026-11-25T00:00:00.000000000Z; exchange the two",
    );
    refused(
        &["--threshold", "5", "--threshold", "6"],
        "the argument '--threshold <N>' cannot be used multiple times; see `wirespike replay --help`",
    );
    refused(&["-q", "-v"], "the argument '--quiet' cannot be used with '--verbose...'; see `wirespike replay --help`");
}

#[test]
fn the_configuration_in_force_is_printed_and_read_back() {
    let folder = TempDir::new().unwrap();
    let written = "[rule]\nthreshold = 5\n\n[[server]]\nnetwork = \"192.0.2.80\"\nname = \"www1\"\n";
    let written = file(&folder, "sensor.toml", written);
    let config = |file: &Path, flags: &[&str]| {
        let output = wirespike().args(["config", "--config"]).arg(file).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let printed =
        config(&written, &["--every", "5m", "--set", "limits.flows=7", "--trust", "192.0.2.1", "--state", "x"]);
    let origin = |key: &str| {
        let line = printed.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        line.rsplit("# ").next().unwrap().to_owned()
    };
    let from_file = |line: usize| format!("{}:{line}", written.display());
    assert_eq!(["threshold", "network", "name"].map(origin), [2, 5, 6].map(from_file));
    assert_eq!(["every", "flows", "trusted", "state"].map(origin), ["--every", "--set", "--trust", "--state"]);
    assert_eq!(["window", "alerts"].map(origin), ["default"; 2]);
    let again = config(&file(&folder, "again.toml", &printed), &[]);
    let values = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn rules_are_listed_and_chosen() {
    let listed = text(&run(&["rules", "--threshold", "7"]).stdout);
    assert!(listed.starts_with("error_spike (on): "), "{listed}");
    assert!(
        listed.lines().any(|line| line.trim_start().starts_with("rule.threshold") && line.contains(" 7 ")),
        "{listed}"
    );
    let by_default = Replay::run(&scan(), &["--quiet"]).succeeded().alerts;
    for rules in ["all", "error_spike"] {
        assert_eq!(Replay::run(&scan(), &["--quiet", "--rules", rules]).succeeded().alerts, by_default);
    }
}

#[test]
fn a_capture_is_named_as_for_tcpdump() {
    let capture = scan();
    let whole = Replay::run(&capture, &["--quiet"]).succeeded();
    let output = wirespike().args(["replay", "--quiet", "-r"]).arg(&capture).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), whole.alerts));
    let both = Replay::run(&capture, &["--quiet", "-r", small().to_str().unwrap()]).succeeded();
    assert!(both.exchanges.len() > whole.exchanges.len());
}

/// A counter of a replay.
fn counter(replay: &Replay, stage: &str, name: &str) -> u64 {
    documents(&replay.stats)[0]["stages"][stage][name].as_u64().unwrap_or_else(|| panic!("{stage}.{name}"))
}

#[test]
fn packets_outside_the_times_asked_for_are_left_out_and_counted() {
    let whole = Replay::run(&scan(), &["--quiet"]).succeeded();
    let packets = counter(&whole, "capture", "packets");
    assert_eq!(counter(&whole, "filter", "outside_time"), 0);
    let wide = Replay::run(&scan(), &["--quiet", "--since", "2000-01-01", "--until", "2100-01-01T00:00"]).succeeded();
    assert_eq!((&wide.exchanges, &wide.alerts), (&whole.exchanges, &whole.alerts));
    let none = Replay::run(&scan(), &["-v", "--until", "946684800"]).succeeded();
    assert_eq!((none.exchanges.as_str(), none.alerts.as_str()), ("", ""));
    assert_eq!(counter(&none, "filter", "outside_time"), packets);
    assert!(none.said().contains("Packets before or after the times asked for, left out"), "{}", none.said());

    let rows = documents(&whole.exchanges);
    let middle = field(&rows[rows.len() / 2], "@timestamp");
    let [before, after] =
        ["--until", "--since"].map(|flag| Replay::run(&scan(), &["--quiet", flag, &middle]).succeeded());
    let outside = [&before, &after].map(|replay| counter(replay, "filter", "outside_time"));
    assert!(outside.iter().all(|&count| count > 100), "{outside:?}");
    // Packets of exactly that time are in both halves.
    let both = 2 * packets - outside[0] - outside[1];
    assert!((packets..packets + 10).contains(&both), "{packets} {outside:?}");
    assert!(documents(&before.exchanges).iter().all(|row| field(row, "@timestamp") <= middle));
    assert!(documents(&after.exchanges).iter().all(|row| field(row, "@timestamp") >= middle));
}

#[test]
fn one_client_can_be_asked_for() {
    let whole = Replay::run(&scan(), &["--quiet"]).succeeded();
    for client in ["192.0.2.10", "192.0.2.0/24"] {
        let one = Replay::run(&scan(), &["--quiet", "--client", "198.51.100.1", "--client", client]).succeeded();
        assert_eq!((&one.alerts, &one.events, &one.exchanges), (&whole.alerts, &whole.events, &whole.exchanges));
    }
    let other = Replay::run(&scan(), &["-v", "--client", "198.51.100.1"]).succeeded();
    assert_eq!((other.alerts.as_str(), other.events.as_str(), other.exchanges.as_str()), ("", "", ""));
    assert_eq!(counter(&other, "event", "other_clients"), whole.events.lines().count() as u64);
    assert_eq!(counter(&other, "event", "other_clients_exchanges"), whole.exchanges.lines().count() as u64);
    assert!(other.said().contains("another client was asked for"), "{}", other.said());
}

#[test]
fn a_verbose_replay_tells_every_counter_and_every_file() {
    let usual = replayed(&scan(), &["--alerts", "/dev/null"]);
    let verbose = replayed(&scan(), &["--alerts", "/dev/null", "-v", "-r", small().to_str().unwrap()]);
    let (usual, verbose) = (text(&usual.stderr), text(&verbose.stderr));
    assert_eq!(usual.lines().count(), 3, "{usual}");
    assert!(usual.ends_with("; -v shows every counter\n") && !verbose.contains("-v shows"), "{usual}");
    let read: Vec<_> = verbose.lines().filter(|line| line.starts_with("read ")).collect();
    assert_eq!(read.len(), 2, "{verbose}");
    assert!(read[0].contains("nginx-gobuster/capture.pcap.gz: 660 packets, "), "{read:?}");
    assert!(verbose.contains(" 0  Packets that the filter left out"), "{verbose}");
    let debug = text(&replayed(&scan(), &["--alerts", "/dev/null", "-vv"]).stderr);
    assert!(debug.contains("DEBUG") && debug.contains("the settings in force"), "{debug}");
}

#[test]
fn completions_and_manual_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("replay"), "{shell}");
    }
    let manual = run(&["man"]);
    assert_eq!(manual.status.code(), Some(0));
    assert!(text(&manual.stdout).contains(".TH wirespike"));
}

#[test]
fn a_live_capture_that_cannot_start_says_why() {
    refused(&["live", "-i", "no-such-interface"], &["wirespike: "]);
}

#[test]
fn the_manual_has_no_mistakes_that_a_formatter_tells() {
    let folder = TempDir::new().unwrap();
    let page = file(&folder, "wirespike.1", run(&["man"]).stdout);
    let formatters: [(&str, &[&str]); 2] =
        [("groff", &["-man", "-Tutf8", "-ww", "-z"]), ("mandoc", &["-Tlint", "-Werror"])];
    for (formatter, arguments) in formatters {
        // What is not installed tells nothing.
        let Ok(output) = std::process::Command::new(formatter).args(arguments).arg(&page).output() else { continue };
        assert!(output.status.success() && output.stderr.is_empty(), "{formatter}: {}", text(&output.stderr));
    }
}

#[test]
fn check_looks_at_key_logs_and_private_keys() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = |text: String| file(&folder, "wirespike.toml", text).to_string_lossy().into_owned();
    file(&folder, "no.log", "no secrets\n");
    file(&folder, "server.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    for (log, words) in [("missing.log", "a live run waits for it"), ("no.log", "is it a key log?")] {
        let checked = run(&["check", "--config", &config(format!("[tls]\nkeylog = [{:?}]\n", path(log)))]);
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{said}");
        assert!(said.contains(&path(log)) && said.contains(words), "{said}");
        assert!(text(&checked.stdout).contains("is valid"));
    }
    for (setting, words) in [
        (format!("key = [{:?}]", path("server.pem")), ["--tls-key", "server.pem"]),
        (format!("key = [{:?}]", path("missing.pem")), ["--tls-key", "missing.pem"]),
        (format!("keylog = [{:?}]", path("no/folder/keys.log")), ["--tls-keylog", "no/folder"]),
        (r#"keylog = ["./keys.log", "keys.log"]"#.to_owned(), ["keys.log", "listed twice"]),
    ] {
        refused(&["check", "--config", &config(format!("[tls]\n{setting}\n"))], &words);
    }
}
