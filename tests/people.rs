//! What is made for people: alerts as text, and the command `show`.
//!
//! In: a recorded scan. What is checked: the text of a run is the text of `show`; standard output is JSON where nobody reads along;
//! exchanges below an alert are those of a replay; what cannot be shown is told in one line.

use std::{fs, path::PathBuf, process::Output};

use tempfile::TempDir;

use crate::support::{Replay, documents, field, file, root, wirespike};

/// A scan of nginx by gobuster, from 192.0.2.10.
fn scan() -> PathBuf {
    root().join("pcaps/nginx-gobuster/capture.pcap.gz")
}

fn run(arguments: &[&str]) -> Output {
    wirespike().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Shows the alerts of a file, and captures.
fn show(id: &str, alerts: &str, captures: &[&str]) -> Output {
    run(&[&["show", id, "--alerts", alerts], captures].concat())
}

#[test]
fn a_run_and_show_give_the_same_text() {
    let folder = TempDir::new().unwrap();
    let replay = Replay::run(&scan(), &["--quiet"]).succeeded();
    let alerts = file(&folder, "alerts.json", &replay.alerts);
    let id = field(&documents(&replay.alerts)[0], "event.id");
    let shown = show(&id[..6], alerts.to_str().unwrap(), &[]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    assert!(shown.starts_with("192.0.2.10 ") && shown.ends_with(&format!("id         {id}\n")), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");

    let capture = scan();
    let replayed = text(&run(&["replay", "--quiet", "--format", "text", capture.to_str().unwrap()]).stdout);
    let (table, rest) = replayed.split_once("\n\n").unwrap();
    assert_eq!(rest, shown);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.starts_with("time (UTC)") && table.contains("192.0.2.10 "), "{table}");
    assert!(!replayed.contains('\u{1b}'), "no colour where there is no terminal");
}

#[test]
fn alerts_are_json_where_nobody_reads_along() {
    let capture = scan();
    let capture = capture.to_str().unwrap();
    let [auto, json] = ["auto", "json"].map(|format| run(&["replay", "--quiet", "--format", format, capture]).stdout);
    assert_eq!(auto, json);
    assert_eq!(documents(&text(&auto)).len(), 1);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("alerts.txt");
    let output = run(&["replay", "--quiet", "--format", "text", "--alerts", path.to_str().unwrap(), capture]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(fs::read_to_string(path).unwrap().starts_with("time (UTC)"));
}

#[test]
fn the_exchanges_of_the_client_stand_below() {
    let folder = TempDir::new().unwrap();
    let replay = Replay::run(&scan(), &["--quiet"]).succeeded();
    let alerts = file(&folder, "alerts.json", &replay.alerts);
    let id = field(&documents(&replay.alerts)[0], "event.id");
    let shown = text(&show(&id, alerts.to_str().unwrap(), &[scan().to_str().unwrap()]).stdout);
    let (_, below) = shown.split_once("\n\n").unwrap();
    let lines: Vec<&str> = below.lines().collect();
    assert_eq!(lines[0], "284 exchanges of 192.0.2.10 from 2026-11-24 21:29:00 to 21:40:00 UTC");
    assert_eq!((lines.len(), lines[201]), (202, "84 more"));
    let rows = documents(&replay.exchanges);
    for (line, row) in lines[1..201].iter().zip(&rows) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected =
            ["http.response.status_code", "http.request.method", "url.original"].map(|name| field(row, name));
        assert_eq!(words[2..5], expected);
        assert_eq!(words[5], field(row, "http.response.body.bytes"));
    }
}

#[test]
fn what_cannot_be_shown_is_told_in_one_line() {
    let folder = TempDir::new().unwrap();
    let alerts = file(&folder, "alerts.json", "{}\n");
    for (id, words) in [("743", "at least 6 characters"), ("743300", "none of its 0 alerts")] {
        let output = show(id, alerts.to_str().unwrap(), &[]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{said}");
    }
    assert!(text(&run(&["show", "743300"]).stderr).contains("--alerts <FILE>"));
}

#[test]
fn a_report_is_one_page_and_the_same_each_time() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let capture = scan();
    let pages = ["one.html", "two.html"].map(|name| {
        let path = folder.path().join(name);
        let workers = if name == "one.html" { "1" } else { "2" };
        let arguments = ["replay", "--quiet", "--workers", workers, "--report", path.to_str().unwrap()];
        let output = run(&[&arguments[..], &[capture.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(documents(&text(&output.stdout)).len(), 1, "alerts are written as ever");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        fs::read_to_string(path).unwrap()
    });
    let [page, again] = &pages;
    assert_eq!(page, again);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for said in ["192.0.2.10", "660 packets", "nothing lost", "capture.pcap.gz"] {
        assert!(page.contains(said), "{said}");
    }
    // Addresses of redirects are text of the page; it loads and links to nothing.
    for loaded in ["src=", "href=\"http", "url(", "@import", "<script"] {
        assert!(!page.contains(loaded), "{loaded}");
    }
}

#[test]
fn a_report_without_alerts_names_what_was_not_seen() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("report.html");
    let capture = root().join("pcaps/nginx-tls-alerts/capture.pcap");
    let output =
        run(&["replay", "--alerts", "/dev/null", "--report", path.to_str().unwrap(), capture.to_str().unwrap()]);
    let (said, page) = (text(&output.stderr), fs::read_to_string(path).unwrap());
    assert!(said.contains("\nnot seen: ") && said.contains(" TLS connection"), "{said}");
    assert!(page.contains("No alert.") && page.contains(" TLS connection"), "{page}");
}

#[test]
fn a_live_run_refuses_a_report() {
    let output = run(&["live", "-i", "lo", "--report", "report.html"]);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--report: a live run has no end to report on"), "{said}");
}

#[test]
fn of_a_proxy_that_is_seen_on_both_sides_the_clients_side_counts_and_the_summary_says_so() {
    let capture = root().join("pcaps/haproxy-two-legs/capture.pcap.gz");
    let sources = |lines: &str| -> Vec<String> {
        let mut sources: Vec<String> = documents(lines).iter().map(|document| field(document, "source.ip")).collect();
        sources.sort();
        sources.dedup();
        sources
    };
    let trust = ["--trust", "192.0.2.20"];
    for (arguments, sides) in [(&[][..], 2), (&trust[..], 1)] {
        let auto = Replay::run(&capture, arguments).succeeded();
        assert_eq!((documents(&auto.alerts).len(), documents(&auto.events).len()), (1, 86), "{arguments:?}");
        assert_eq!(sources(&auto.events), ["192.0.2.10"]);
        let both =
            sources(&auto.exchanges).iter().filter(|source| ["192.0.2.10", "192.0.2.20"].contains(&&***source)).count();
        assert_eq!((documents(&auto.exchanges).len(), both), (223, sides), "the exchanges have both sides");
        let line = "HTTP through 192.0.2.20 was seen on both sides of the proxy: the client's side counts (85 errors of the other \
                    side left out; proxies.leg = \"all\" counts both)\n";
        assert!(auto.said().contains(line), "{}", auto.said());
        let stats = serde_json::from_str(&auto.stats).unwrap();
        assert_eq!(
            (field(&stats, "stages.event.leg_skipped"), field(&stats, "stages.event.events")),
            ("85".into(), "86".into())
        );
    }
    let all = Replay::run(&capture, &["--set", "proxies.leg=all"]).succeeded();
    assert_eq!((documents(&all.alerts).len(), documents(&all.events).len()), (2, 171));
    assert!(!all.said().contains("both sides"), "{}", all.said());
}
