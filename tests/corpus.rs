//! The captures in `pcaps/` against the truth: the log of the server that was there.
//!
//! For each case, the exchanges reported equal the access log line for line: the connection's other end, the client, method,
//! target and status, in number and in order (where `case.toml` says that the bytes can be read in two ways, the request may
//! be unknown, but never another); the error events equal its lines of 400 and above (of a proxy
//! whose two sides are captured, those of the client's side). What the log cannot tell
//! (failures without a status, datasets, alerts) is compared with `expected.txt`, written by `tests/run --bless` and read
//! before it is committed. Every document written fits its JSON Schema in `packaging/schemas/`. Adding a case adds no code.

use std::{collections::BTreeMap, fmt::Write, fs};

use serde_json::Value;

use crate::support::{Replay, Row, case::Case, documents, field, log::Entry, root, wirespike};

/// Set by `tests/run --bless` to write what is expected instead of comparing with it.
const BLESS: &str = "WIRESPIKE_BLESS";

/// Runs a check on every case and shows all that is wrong, not just the first.
fn each_case(check: impl Fn(&Case, &Replay) -> Vec<String>) {
    let mut complaints = String::new();
    for case in Case::all() {
        let replay = Replay::run(&case.capture, &case.settings.args).succeeded();
        for complaint in check(&case, &replay) {
            writeln!(complaints, "{}: {complaint}", case.name).unwrap();
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn exchanges_equal_the_access_log() {
    each_case(|case, replay| {
        let rows = replay.rows();
        let answered: Vec<&Row> = rows.iter().filter(|row| !row.status.is_empty()).collect();
        let logged: Vec<&Entry> = case.log.iter().filter(|entry| entry.answered).collect();
        println!("{}: {} responses in the log, {} exchanges reported", case.name, logged.len(), answered.len());
        let mut complaints = Vec::new();
        if logged.len() != answered.len() {
            complaints.push(format!("{} responses in the log, {} reported", logged.len(), answered.len()));
        }
        if case.settings.ordered {
            complaints.extend(compare(&logged, &answered, case));
        } else {
            let mut connections: BTreeMap<&str, (Vec<&Entry>, Vec<&Row>)> = BTreeMap::new();
            for entry in logged {
                connections.entry(&entry.peer).or_default().0.push(entry);
            }
            for row in answered {
                connections.entry(&row.peer).or_default().1.push(row);
            }
            // Apache logs the 101 of an upgrade when it has answered the request by HTTP/2.
            for (logged, _) in connections.values_mut() {
                logged.sort_by_key(|entry| entry.status != 101);
            }
            complaints.extend(connections.values().flat_map(|(logged, answered)| compare(logged, answered, case)));
        }
        // A request that the server took for a body is not in its log.
        if !case.settings.doubtful {
            complaints.extend(unanswered(&case.log, &rows));
        }
        complaints
    });
}

/// Line for line, in order.
fn compare(logged: &[&Entry], reported: &[&Row], case: &Case) -> Vec<String> {
    let missing = logged.iter().skip(reported.len()).map(|entry| format!("not reported: {entry:?}"));
    let extra = reported.iter().skip(logged.len()).map(|row| format!("not in the log: {row:?}"));
    let pairs = logged.iter().zip(reported);
    let different = pairs
        .filter(|(entry, row)| !same(entry, row, case.settings.doubtful))
        .map(|(entry, row)| format!("{entry:?}\n    ≠ {row:?}"));
    different.chain(missing).chain(extra).collect()
}

fn same(entry: &Entry, row: &Row, may_be_unknown: bool) -> bool {
    let is_unknown = may_be_unknown && row.method.is_empty();
    let is_same = |(method, target): &(String, String)| *method == row.method && same_target(target, &row.target);
    let request = is_unknown || entry.request.as_ref().is_none_or(is_same);
    entry.peer == row.peer && entry.client == row.client && entry.status.to_string() == row.status && request
}

/// Some servers log an absolute target without its scheme and authority.
fn same_target(logged: &str, sent: &str) -> bool {
    let path = sent.strip_prefix("http://").and_then(|rest| Some(&rest[rest.find('/')?..]));
    logged == sent || path == Some(logged)
}

/// What the server logged and never answered must not be reported as answered otherwise; where the request is
/// reported at all, it is that request.
fn unanswered(log: &[Entry], rows: &[Row]) -> Vec<String> {
    let is_logged = |row: &Row| {
        let mut of_connection = log.iter().filter(|entry| entry.peer == row.peer).peekable();
        let known = of_connection.peek().is_some();
        // Of a line that is no request the exchange tells no method, however the server reads it.
        let is_same = |method: &str| method == row.method || row.failure == "malformed_request";
        !known || of_connection.any(|entry| entry.request.as_ref().is_none_or(|(method, _)| is_same(method)))
    };
    rows.iter()
        .filter(|row| row.status.is_empty() && !is_logged(row))
        .map(|row| format!("another request: {row:?}"))
        .collect()
}

#[test]
fn error_events_equal_the_logs_errors() {
    each_case(|case, replay| {
        let events = documents(&replay.events);
        let mut reported: Vec<(String, String)> = events
            .iter()
            .filter(|event| field(event, "event.reason") == "http_status")
            .map(|event| {
                let row = Row::of(event);
                (row.peer, row.status)
            })
            .collect();
        let proxy = case.settings.two_legs_of.as_ref().map(|proxy| format!("{proxy} "));
        let counts = |entry: &&Entry| proxy.as_ref().is_none_or(|proxy| !entry.peer.starts_with(proxy));
        let errors = case.log.iter().filter(|entry| entry.answered && entry.status >= 400).filter(counts);
        let mut logged: Vec<(String, String)> =
            errors.map(|entry| (entry.peer.clone(), entry.status.to_string())).collect();
        reported.sort();
        logged.sort();
        let difference =
            (reported != logged).then(|| format!("{} errors logged, {} reported", logged.len(), reported.len()));
        difference.into_iter().collect()
    });
}

#[test]
fn what_the_log_cannot_tell_is_as_expected() {
    each_case(|case, replay| {
        let found = summary(replay);
        let path = case.folder.join("expected.txt");
        if std::env::var_os(BLESS).is_some() {
            fs::write(&path, found).unwrap();
            return Vec::new();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let changed =
            (found != expected).then(|| format!("expected.txt says\n{expected}\n  but the sensor says\n{found}"));
        changed.into_iter().collect()
    });
}

/// The parts of a run that a person can check by reading.
fn summary(replay: &Replay) -> String {
    let events = documents(&replay.events);
    let mut text = String::new();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for event in &events {
        let status = field(event, "http.response.status_code");
        let key = format!("{} {} {}", field(event, "event.dataset"), field(event, "event.reason"), status);
        *counts.entry(key.trim_end().to_owned()).or_default() += 1;
    }
    writeln!(text, "exchanges {}\nevents {}", replay.exchanges.lines().count(), events.len()).unwrap();
    for (key, count) in counts {
        writeln!(text, "  {key} × {count}").unwrap();
    }
    writeln!(text, "without a status").unwrap();
    for document in
        documents(&replay.exchanges).iter().filter(|document| field(document, "http.response.status_code").is_empty())
    {
        writeln!(text, "  {}", without_status(document)).unwrap();
    }
    let alerts = documents(&replay.alerts);
    writeln!(text, "alerts {}", alerts.len()).unwrap();
    for alert in &alerts {
        writeln!(
            text,
            "  {} {} {}",
            field(alert, "source.ip"),
            field(alert, "Esql.event_count"),
            field(alert, "message")
        )
        .unwrap();
    }
    text
}

fn without_status(document: &Value) -> String {
    let row = Row::of(document);
    let server_name = field(document, "tls.client.server_name");
    let words = [&row.peer, &row.method, &row.target, &row.failure, &server_name];
    words.iter().filter(|word| !word.is_empty()).map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_document_fits_its_schema() {
    let schema = |name: &str| {
        let path = root().join(format!("packaging/schemas/{name}.schema.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let [event, exchange, alert] = ["event", "exchange", "alert"].map(schema);
    each_case(|_, replay| {
        let kinds = [(&replay.events, &event), (&replay.exchanges, &exchange), (&replay.alerts, &alert)];
        let complain = |document: &Value, schema: &jsonschema::Validator| {
            schema.iter_errors(document).map(|error| format!("{error} at {}: {document}", error.instance_path())).next()
        };
        kinds
            .iter()
            .flat_map(|(lines, schema)| documents(lines).into_iter().filter_map(|line| complain(&line, schema)))
            .collect()
    });
}

#[test]
fn each_output_is_the_same_alone_and_beside_the_others() {
    each_case(|case, all| {
        let written_alone = |flag: &str| {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("out");
            let run = wirespike()
                .args(["replay", "--quiet", "--alerts", if flag == "--alerts" { "-" } else { "/dev/null" }])
                .args((flag != "--alerts").then_some([flag.as_ref(), path.as_os_str()]).into_iter().flatten())
                .args(&case.settings.args)
                .arg(&case.capture)
                .output()
                .unwrap();
            if flag == "--alerts" { String::from_utf8(run.stdout).unwrap() } else { fs::read_to_string(path).unwrap() }
        };
        [("--alerts", &all.alerts), ("--events", &all.events), ("--exchanges", &all.exchanges)]
            .into_iter()
            .filter(|(flag, beside)| written_alone(flag) != **beside)
            .map(|(flag, _)| format!("{flag} is another without the others"))
            .collect()
    });
}

#[test]
fn each_exchange_has_a_name_of_its_own_which_its_event_shares() {
    each_case(|_, replay| {
        let mut complaints = Vec::new();
        let mut named = BTreeMap::new();
        for exchange in documents(&replay.exchanges) {
            let id = field(&exchange, "event.id");
            if let Some(other) = named.insert(id.clone(), exchange) {
                complaints.push(format!("{id} is also {other}"));
            }
        }
        let same =
            ["@timestamp", "wirespike.peer", "source", "destination", "url.original", "http.response.status_code"];
        for event in documents(&replay.events) {
            let id = field(&event, "event.id");
            let is_same = |exchange: &Value| same.iter().all(|path| field(exchange, path) == field(&event, path));
            match named.get(&id) {
                Some(exchange) if is_same(exchange) => {}
                other => complaints.push(format!("{id} is the event {event} and the exchange {other:?}")),
            }
        }
        complaints
    });
}

#[test]
fn the_same_bytes_for_any_seed_and_any_number_of_workers() {
    each_case(|case, one| {
        let differs = |(seed, workers): (&str, &str)| {
            let seed = format!("packets.hash_seed={seed}");
            let arguments: Vec<&str> =
                case.settings.args.iter().map(String::as_str).chain(["--workers", workers, "--set", &seed]).collect();
            let many = Replay::run(&case.capture, &arguments).succeeded();
            let pairs = [(&one.exchanges, &many.exchanges), (&one.events, &many.events), (&one.alerts, &many.alerts)];
            pairs.iter().any(|(one, many)| one != many).then(|| format!("other output with {workers} workers, {seed}"))
        };
        let seeds = ["1", "2", "7624982"];
        let runs = seeds.into_iter().flat_map(|seed| ["1", "2", "4"].map(|workers| (seed, workers)));
        runs.filter_map(differs).collect()
    });
}
