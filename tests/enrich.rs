//! What local files say about the client of a recorded scan: from the configuration to the alert.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Replay, documents, field, file, root};

#[allow(dead_code, reason = "the unit tests use more of it")]
#[path = "../src/enrich/testing.rs"]
mod mmdb;

fn scan() -> PathBuf {
    root().join("pcaps/nginx-gobuster/capture.pcap.gz")
}

/// One client whose errors spread over several seconds.
fn errors_of_seconds() -> PathBuf {
    root().join("pcaps/apache-odd-requests/capture.pcap.gz")
}

/// Replays a capture under a configuration.
fn replayed_from(capture: &Path, folder: &TempDir, configuration: &str) -> Replay {
    let path = file(folder, "sensor.toml", configuration);
    Replay::run(capture, &["--config", path.to_str().unwrap()])
}

fn replayed(folder: &TempDir, configuration: &str) -> Replay {
    replayed_from(&scan(), folder, configuration)
}

/// The alerts of the scan, annotated.
fn annotated(folder: &TempDir, configuration: &str) -> Vec<Value> {
    documents(&replayed(folder, configuration).succeeded().alerts)
}

fn client() -> Ipv4Addr {
    let folder = TempDir::new().unwrap();
    field(&annotated(&folder, "")[0], "source.ip").parse().unwrap()
}

#[test]
fn an_alert_is_annotated_from_databases_lists_and_windows() {
    let folder = TempDir::new().unwrap();
    let client = client();
    let [a, b, c, _] = client.octets();
    let record = [
        ("autonomous_system_number", mmdb::Record::Number(64_496)),
        ("autonomous_system_organization", mmdb::Record::Text("Example Networks")),
    ];
    let database = file(&folder, "asn.mmdb", mmdb::database_of([a, b, c], "GeoLite2-ASN", &record));
    let list = file(&folder, "offices.txt", format!("# offices\n{a}.{b}.0.0/16 # main\n"));
    let configuration = format!(
        "[enrich]\ndatabases = [{database:?}]\n\
         maintenance = [{{ name = \"always\", daily = \"00:00-24:00\" }}, {{ name = \"then\", start = 2000-01-01T00:00:00Z, \
         end = 2000-01-02T00:00:00Z }}]\n\
         [enrich.networks]\noffice = [{list:?}]\nown_scanner = [\"{client}\"]\n"
    );
    let alerts = annotated(&folder, &configuration);
    let labels = json!(["own_scanner", "office", "maintenance: always"]);
    assert!(!alerts.is_empty());
    for alert in &alerts {
        assert_eq!(alert["wirespike"]["alert"]["labels"], labels);
        assert_eq!(alert["source"]["as"], json!({"number": 64_496, "organization": {"name": "Example Networks"}}));
        assert!(alert["source"].get("geo").is_none());
    }
}

#[test]
fn a_label_suppresses_alerts_and_they_are_counted() {
    let folder = TempDir::new().unwrap();
    let configuration = format!("[enrich]\nnetworks = {{ own = [\"{}\"] }}\nsuppress = [\"own\"]\n", client());
    let replay = replayed(&folder, &configuration).succeeded();
    assert_eq!(replay.alerts, "");
    let said = replay.said();
    assert!(said.contains("0 alerts"), "{said}");
    let stats: Value = serde_json::from_str(&replay.stats).unwrap();
    assert!(stats.to_string().contains("\"suppressed_by_label\":"), "{stats}");
}

#[test]
fn earlier_alerts_of_the_client_are_told_and_a_repeated_replay_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("sightings.state");
    let configuration =
        format!("[enrich]\nsightings = {state:?}\n[rule]\nthreshold = 2\nwindow = \"1s\"\nevery = \"1s\"\n");
    let replay = || replayed_from(&errors_of_seconds(), &folder, &configuration).succeeded();
    let alerts = documents(&replay().alerts);
    assert!(alerts.len() > 2, "{}", alerts.len());
    for (before, alert) in alerts.iter().enumerate() {
        let sightings = &alert["wirespike"]["alert"]["sightings"];
        match before {
            0 => assert!(sightings.is_null(), "{sightings}"),
            _ => {
                assert_eq!(sightings["alerts"], before);
                assert_eq!(sightings["first_alert"], alerts[0]["@timestamp"]);
                assert_eq!(sightings["last_alert"], alerts[before - 1]["@timestamp"]);
            }
        }
    }
    let saved = fs::read(&state).unwrap();
    let last = documents(&replay().alerts).pop().unwrap();
    assert_eq!(last["wirespike"]["alert"]["sightings"]["alerts"], alerts.len() - 1);
    assert_eq!(fs::read(&state).unwrap(), saved);
    fs::write(&state, "damaged").unwrap();
    let replay = replay();
    assert!(replay.said().contains("is not used: ") && replay.said().contains("rejected-1"), "{}", replay.said());
    assert_eq!(fs::read(folder.path().join("sightings.state.rejected-1")).unwrap(), b"damaged");
}

#[test]
fn a_file_that_cannot_be_used_ends_the_run_before_it_begins() {
    let folder = TempDir::new().unwrap();
    let list = file(&folder, "list.txt", "192.0.2.1\nwww.example.com\n");
    let damaged = file(&folder, "asn.mmdb", "damaged");
    for (configuration, words) in [
        (format!("networks = {{ x = [{list:?}] }}"), "list.txt:2: 'www.example.com' is not a network"),
        (format!("databases = [{damaged:?}]"), "asn.mmdb: not a usable MaxMind database"),
        ("suppress = [\"x\"]".to_owned(), "no alert can get the label \"x\""),
        (format!("sightings = {list:?}\nnetworks = {{ x = [{list:?}] }}"), "is the same file as a file of [enrich]"),
    ] {
        let replay = replayed(&folder, &format!("[enrich]\n{configuration}\n"));
        assert_eq!(replay.output.status.code(), Some(2), "{}", replay.said());
        assert!(replay.said().contains(words), "{}", replay.said());
    }
}
