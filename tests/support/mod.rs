//! Running the program and reading what it wrote.

pub(crate) mod case;
pub(crate) mod log;
pub(crate) mod packets;
pub(crate) mod transform;
pub(crate) mod wrap;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The built program.
pub(crate) fn wirespike() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wirespike"));
    command.stdin(Stdio::null()).current_dir(root());
    command
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One replay and all it wrote.
pub(crate) struct Replay {
    pub(crate) output: Output,
    pub(crate) exchanges: String,
    pub(crate) events: String,
    pub(crate) alerts: String,
    pub(crate) stats: String,
}

impl Replay {
    /// Replays a capture with every output written to a file.
    pub(crate) fn run<S: AsRef<str>>(capture: &Path, arguments: &[S]) -> Self {
        let folder = TempDir::new().unwrap();
        let place = |name: &str| folder.path().join(name);
        let mut command = wirespike();
        command.arg("replay");
        for name in ["exchanges", "events", "alerts", "stats"] {
            command.arg(format!("--{name}")).arg(place(name));
        }
        command.args(arguments.iter().map(AsRef::as_ref)).arg(capture);
        let output = command.output().unwrap();
        let read = |name: &str| fs::read_to_string(place(name)).unwrap_or_default();
        let [exchanges, events, alerts, stats] = ["exchanges", "events", "alerts", "stats"].map(read);
        Self { output, exchanges, events, alerts, stats }
    }

    /// What it said on standard error.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Panics with what was said unless the run ended with 0.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.said());
        self
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        documents(&self.exchanges).iter().map(Row::of).collect()
    }
}

/// The JSON objects of a file of lines.
pub(crate) fn documents(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A member by its dotted path, as text; empty when absent.
pub(crate) fn field(document: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(document, |value, key| value.get(key));
    match found {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// What comparisons read of an exchange or an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// The other end of the connection.
    pub(crate) peer: String,
    /// Who the sensor says is the client; an address without a port.
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) target: String,
    /// Empty when there was none.
    pub(crate) status: String,
    /// Why there was none, where that is known.
    pub(crate) failure: String,
    /// `event.id`.
    pub(crate) id: String,
}

impl Row {
    pub(crate) fn of(document: &Value) -> Self {
        let endpoint = |name: &str| {
            let ip = field(document, &format!("{name}.ip"));
            (!ip.is_empty()).then(|| format!("{ip} {}", field(document, &format!("{name}.port"))))
        };
        Self {
            peer: endpoint("wirespike.peer").or_else(|| endpoint("source")).unwrap_or_default(),
            client: field(document, "source.ip"),
            method: field(document, "http.request.method"),
            target: field(document, "url.original"),
            status: field(document, "http.response.status_code"),
            failure: field(document, "wirespike.failure"),
            id: field(document, "event.id"),
        }
    }
}

/// The clients of HTTP/1 that sent a request before the last response had ended. How many requests were in bytes that are lost, such
/// a connection does not show.
pub(crate) fn pipelining(exchanges: &[Value]) -> BTreeSet<String> {
    let mut exchanges: Vec<&Value> =
        exchanges.iter().filter(|exchange| field(exchange, "http.version") != "2").collect();
    exchanges.sort_by_key(|exchange| field(exchange, "event.start"));
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for exchange in exchanges {
        let (peer, end) = (Row::of(exchange).peer, field(exchange, "event.end"));
        if ends.get(&peer).is_some_and(|last| field(exchange, "event.start") < *last) {
            found.insert(peer.clone());
        }
        ends.insert(peer, end);
    }
    found
}

/// Says that a test is skipped: on standard error, and in the file that `tests/run` prints at its end.
pub(crate) fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("WIRESPIKE_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// Writes bytes where a test can name them.
pub(crate) fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}
