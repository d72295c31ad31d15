//! A live sensor on the loopback: what it says about itself.
//!
//! What is checked: logs as JSON lines, the report on each measure of the sandbox against what the kernel says, the
//! metrics' names and values, the health and readiness probes, the end on SIGTERM. Skipped where this process may not capture.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{skipped, wirespike};

/// Errors asked for: more than the threshold.
const ERRORS: usize = 60;

/// A running sensor; killed if the test ends early.
pub(crate) struct Sensor {
    process: Child,
    folder: TempDir,
    metrics: SocketAddr,
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Sensor {
    /// A sensor on the loopback, or `None` where that is not permitted.
    fn start(filter: &str) -> Option<Self> {
        Self::start_in(tempfile::tempdir().unwrap(), filter, &[])
    }

    /// A sensor whose files are in this folder, with further arguments.
    pub(crate) fn start_in(folder: TempDir, filter: &str, more: &[&str]) -> Option<Self> {
        // Free a moment ago, and nobody else is told.
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = wirespike()
            .args(["live", "-i", "lo", "--log-format", "json", "--metrics", &metrics.to_string()])
            .args(["--filter", filter, "--ring", "4", "--stamps", "hardware"])
            .arg("--alerts")
            .arg(folder.path().join("alerts"))
            .arg("--state")
            .arg(folder.path().join("state"))
            .arg("--stats")
            .arg(folder.path().join("stats"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut sensor = Self { process, folder, metrics };
        let started = until(|| sensor.log().contains("watching") || sensor.process.try_wait().unwrap().is_some());
        assert!(started, "{}", sensor.log());
        if sensor.log().contains("no permission to capture") {
            skipped("live sensor on the loopback", "no permission to capture");
            return None;
        }
        Some(sensor)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    fn log_lines(&self) -> Vec<Value> {
        let log = self.log();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Status and body of one of the endpoint's pages.
    fn page(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: sensor\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The processes' status as the kernel tells it, for each thread.
    fn threads(&self) -> Vec<BTreeMap<String, String>> {
        let folder = format!("/proc/{}/task", self.process.id());
        let status = |entry: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(entry.unwrap().path().join("status")).unwrap();
            text.lines().filter_map(|line| line.split_once(":\t")).map(|(k, v)| (k.into(), v.trim().into())).collect()
        };
        fs::read_dir(folder).unwrap().map(status).collect()
    }
}

/// Waits until something holds; whether it does.
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// A server that finds nothing; its port.
fn serve_errors() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(read @ 1..) => request.extend_from_slice(&part[..read]),
                    Ok(0) | Err(_) => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    port
}

fn request_errors(port: u16) {
    for number in 0..ERRORS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(format!("GET /missing{number} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn a_live_sensor_says_how_it_is() {
    let port = serve_errors();
    let Some(mut sensor) = Sensor::start(&format!("tcp port {port}")) else { return };
    request_errors(port);
    assert!(until(|| sensor.page("/readyz").0 == 200), "{}", sensor.log());
    assert_eq!(sensor.page("/healthz"), (200, "healthy\n".into()));
    let responses = |metrics: &str| value(metrics, "wirespike_http_responses_total") == Some(ERRORS as f64);
    assert!(until(|| responses(&sensor.page("/metrics").1)), "{}", sensor.page("/metrics").1);
    let counted = |metrics: &str| value(metrics, "wirespike_detect_counted_total") == Some(ERRORS as f64);
    assert!(until(|| counted(&sensor.page("/metrics").1)), "{}", sensor.page("/metrics").1);
    check_metrics(&sensor.page("/metrics").1);
    check_sandbox(&sensor);
    // The loopback has no clock of its own.
    assert!(sensor.log().contains("offers no hardware time stamps; the kernel's are used"), "{}", sensor.log());
    check_end(&mut sensor);
    check_logs(&sensor);
}

/// The value of a sample without labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Names and units are conventional (<https://prometheus.io/docs/practices/naming/>), every sample has its type and help.
fn check_metrics(metrics: &str) {
    let mut described: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    let mut samples = 0;
    for line in metrics.lines().take_while(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            described.entry(name).or_default().insert(what);
            if what == "TYPE" {
                kinds.insert(name, rest);
            }
            if what == "UNIT" {
                assert!(name.ends_with(&format!("_{rest}")), "{line}");
            }
            continue;
        }
        samples += 1;
        let (sample, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok_and(|number| number >= 0.0), "{line}");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        assert!(name.starts_with("wirespike_"), "{line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{line}");
        assert!(["", "interface=\"lo\"}"].contains(&labels), "no label but the interface: {line}");
        let family = name.strip_suffix("_total").unwrap_or(name);
        let kind = if family == name { "gauge" } else { "counter" };
        assert_eq!(kinds.get(family), Some(&kind), "{line}");
        assert!(described[family].contains("HELP"), "{line}");
    }
    assert!(metrics.ends_with("# EOF\n") && samples > 50, "{samples} samples");
    assert!(!metrics.contains("127.0.0.1"), "clients are nobody's business here");
    for name in
        ["packets", "bytes", "kernel_drops", "interface_drops", "vanished", "reopened", "tcp_gaps", "tcp_gap_bytes"]
    {
        let sample = format!("wirespike_interface_{name}_total{{interface=\"lo\"}} ");
        assert!(metrics.contains(&sample), "{sample} is missing");
    }
    for name in ["present", "lag_seconds", "ring_fill_ratio"] {
        assert!(metrics.contains(&format!("wirespike_interface_{name}{{interface=\"lo\"}} ")), "{name} is missing");
    }
    assert_eq!(value(metrics, "wirespike_detect_clients"), Some(1.0));
    assert!(value(metrics, "wirespike_detect_evidence_bytes").is_some_and(|bytes| bytes > 0.0));
    for stage in ["filter", "decode", "flow", "http", "event", "detect", "output"] {
        assert!(metrics.contains(&format!("\nwirespike_{stage}_")), "{stage} is missing");
    }
}

/// What the sensor reports of its sandbox is what the kernel says of its threads.
fn check_sandbox(sensor: &Sensor) {
    let log = sensor.log_lines();
    let reported = |measure: &str| {
        let line = log.iter().find(|line| line["fields"]["measure"] == measure).unwrap_or_else(|| panic!("{measure}"));
        let message = line["fields"]["message"].as_str().unwrap();
        let applied = message == "sandbox: applied";
        assert_eq!(line["level"], if applied { "INFO" } else { "WARN" }, "{line}");
        applied
    };
    assert!(sensor.threads().len() > 3);
    for status in sensor.threads() {
        if reported("capabilities") {
            for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(status[set], "0000000000000000", "{set} of {}", status["Name"]);
            }
        }
        if reported("no_new_privs") {
            assert_eq!(status["NoNewPrivs"], "1", "{}", status["Name"]);
        }
        if reported("seccomp") {
            assert_eq!(status["Seccomp"], "2", "{}", status["Name"]);
        }
    }
    reported("landlock");
}

/// SIGTERM: the open window is executed, marked partial, within five seconds.
fn check_end(sensor: &mut Sensor) {
    let began = Instant::now();
    assert!(Command::new("kill").arg(sensor.process.id().to_string()).status().unwrap().success());
    let status = sensor.process.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", sensor.log());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let alerts = fs::read_to_string(sensor.path("alerts")).unwrap();
    let alert: Value = serde_json::from_str(alerts.lines().next().unwrap()).unwrap();
    assert_eq!(alert["Esql"]["event_count"], ERRORS);
    assert_eq!(alert["wirespike"]["alert"]["window"]["partial"], true);
    assert_eq!(alert["wirespike"]["alert"]["window"]["lower_bound"], true, "it began before the sensor did");
    assert!(sensor.path("state").exists());
}

/// The packets of an alert are written while the activity goes on, and again at its end, from inside the sandbox.
#[test]
fn the_packets_of_an_alert_are_written_while_the_sensor_runs() {
    let port = serve_errors();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("packets");
    let more = ["--mode", "streaming", "--set", "output.evidence_after=0s", "--evidence", place.to_str().unwrap()];
    let Some(sensor) = Sensor::start_in(folder, &format!("tcp port {port}"), &more) else { return };
    request_errors(port);
    let files = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&place).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "pcapng")).collect()
    };
    assert!(until(|| files().len() == 1), "{}", sensor.log());
    let (log, (code, folder)) = (sensor.log(), end(sensor));
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    let alerts = fs::read_to_string(folder.path().join("alerts")).unwrap();
    let alerts = crate::support::documents(&alerts);
    assert!(alerts.len() >= 2, "it opens and closes: {alerts:?}");
    let path = files().remove(0);
    for alert in &alerts {
        assert_eq!(alert["wirespike"]["alert"]["evidence"]["file"], path.to_str().unwrap());
    }
    let again = crate::support::Replay::run(&path, &[] as &[&str]).succeeded();
    assert_eq!(again.events.lines().count(), ERRORS);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    let stats: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("stats")).unwrap()).unwrap();
    assert_eq!(stats["stages"]["evidence"]["files"], 1, "{stats}");
    assert_eq!(stats["stages"]["evidence"]["packets_not_kept"], 0, "{stats}");
}

/// Asks the sensor to end, and returns its exit status and its folder.
pub(crate) fn end(mut sensor: Sensor) -> (Option<i32>, TempDir) {
    assert!(Command::new("kill").arg(sensor.process.id().to_string()).status().unwrap().success());
    let code = sensor.process.wait().unwrap().code();
    (code, std::mem::replace(&mut sensor.folder, tempfile::tempdir().unwrap()))
}

/// A folder for a sensor that is started as root; `None` where this process is not root.
fn folder_for_root(mode: u32, owner: u32) -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        skipped("sensor that is started as root", "not root");
        return None;
    }
    chown(folder.path(), Some(owner), None).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    Some(folder)
}

/// Files of a run are moved away and made anew, and the state is saved, whoever the sensor is by then.
fn check_rotation(sensor: &Sensor, port: u16, owner: u32) {
    request_errors(port);
    assert!(until(|| sensor.path("state").exists()), "{}", sensor.log());
    let saved = fs::metadata(sensor.path("state")).unwrap();
    for file in ["exchanges", "alerts"] {
        fs::rename(sensor.path(file), sensor.path(&format!("{file}.1"))).unwrap();
    }
    assert!(Command::new("kill").args(["-HUP", &sensor.process.id().to_string()]).status().unwrap().success());
    assert!(until(|| sensor.path("exchanges").exists() && sensor.path("alerts").exists()), "{}", sensor.log());
    request_errors(port);
    let is_written = || fs::metadata(sensor.path("exchanges")).unwrap().len() > 0;
    assert!(until(is_written), "{}", sensor.log());
    let is_saved_again = || fs::metadata(sensor.path("state")).is_ok_and(|state| state.ino() != saved.ino());
    assert!(until(is_saved_again), "{}", sensor.log());
    for file in ["exchanges", "alerts", "state"] {
        let metadata = fs::metadata(sensor.path(file)).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (owner, 0o640), "{file}");
    }
    assert!(!sensor.log().contains("ERROR"), "{}", sensor.log());
}

/// In folders of the new user and in those like `/tmp`, with one and with several workers, with files that an earlier run of
/// root has left, and again with those that the new user has left.
#[test]
fn a_sensor_that_is_started_as_root_becomes_another_user_and_goes_on() {
    const NOBODY: u32 = 65_534;
    const NET_RAW: u64 = 1 << 13;
    let port = serve_errors();
    let filter = format!("tcp port {port}");
    for (mode, owner, workers) in [(0o755, NOBODY, "1"), (0o1777, 0, "2")] {
        let Some(mut folder) = folder_for_root(mode, owner) else { return };
        for file in ["alerts", "exchanges", "stats"] {
            fs::write(folder.path().join(file), "{}\n").unwrap();
            fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(0o640)).unwrap();
        }
        for round in 0..2 {
            let exchanges = folder.path().join("exchanges").display().to_string();
            let more = ["--exchanges", &exchanges, "--set", "live.user=nobody", "--workers", workers];
            let Some(sensor) = Sensor::start_in(folder, &filter, &more) else { return };
            assert!(sensor.threads().len() > 3);
            let expected = if workers == "1" { 0 } else { NET_RAW };
            for status in sensor.threads() {
                for identity in ["Uid", "Gid"] {
                    assert_eq!(status[identity], format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}"), "{status:?}");
                }
                assert_eq!(status["Groups"], NOBODY.to_string(), "{status:?}");
                for (set, expected) in [("CapEff", expected), ("CapPrm", expected), ("CapInh", 0), ("CapAmb", 0)] {
                    assert_eq!(u64::from_str_radix(&status[set], 16), Ok(expected), "{set} of {}", status["Name"]);
                }
                assert_eq!(u64::from_str_radix(&status["CapBnd"], 16), Ok(0), "{}", status["Name"]);
            }
            check_rotation(&sensor, port, NOBODY);
            let (log, (code, left)) = (sensor.log(), end(sensor));
            assert_eq!(code, Some(0), "round {round}: {log}");
            folder = left;
            assert_eq!(fs::metadata(folder.path().join("stats")).unwrap().uid(), NOBODY);
            for file in ["exchanges.1", "alerts.1"] {
                fs::remove_file(folder.path().join(file)).unwrap();
            }
        }
    }
}

/// Where nobody asked for a user and that user could not do the work, the sensor stays root, says so once, and does the work.
#[test]
fn a_sensor_whose_user_could_not_rotate_stays_root_and_says_what_to_do() {
    let port = serve_errors();
    for more in [&[][..], &["--set", "live.user=root"]] {
        let Some(folder) = folder_for_root(0o755, 0) else { return };
        let place = folder.path().display().to_string();
        let exchanges = folder.path().join("exchanges").display().to_string();
        let more = [&["--exchanges", &exchanges], more].concat();
        let Some(sensor) = Sensor::start_in(folder, &format!("tcp port {port}"), &more) else { return };
        let lines = sensor.log_lines();
        let warnings: Vec<_> = lines.iter().filter(|line| line["fields"]["measure"] == "user").collect();
        let [warning] = warnings[..] else { panic!("{warnings:?}") };
        let reason = warning["fields"]["reason"].as_str().unwrap();
        assert_eq!(warning["level"], "WARN");
        assert!(reason.starts_with("stays root"), "{reason}");
        assert_eq!(more.len() == 2, reason.contains("cannot create files in ") && reason.contains(&place), "{reason}");
        check_rotation(&sensor, port, 0);
        assert_eq!(end(sensor).0, Some(0));
    }
}

/// Where the user was asked for, nothing is opened before it is known that the user can do the work.
#[test]
fn a_user_who_could_not_do_the_work_is_refused_at_the_start() {
    let Some(folder) = folder_for_root(0o755, 0) else { return };
    let (alerts, config) = (folder.path().join("alerts"), folder.path().join("config"));
    fs::write(&config, "[live]\nuser = \"nobody\"\n").unwrap();
    let refusal = |configured: &str, more: &[&str]| {
        fs::write(&config, format!("[live]\nuser = \"{configured}\"\n")).unwrap();
        let mut command = wirespike();
        command.args(["live", "-i", "lo", "--config"]).arg(&config).args(more);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refusal("nobody", &["--alerts", alerts.to_str().unwrap()]);
    assert!(said.contains("nobody cannot create files in") && said.contains("chown nobody"), "{said}");
    assert!(!alerts.exists());
    let said = refusal("no-such-user", &[]);
    assert!(said.contains("there is no user no-such-user"), "{said}");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let said = refusal("65534", &["--alerts", "/dev/null"]);
    assert!(said.contains("cannot read") && said.contains("while it runs"), "{said}");
}

/// Every line of the log is an object with a time, a level and a message.
fn check_logs(sensor: &Sensor) {
    let lines = sensor.log_lines();
    assert!(lines.len() > 5);
    for line in &lines {
        let time: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() > 1_700_000_000, "{line}");
        assert!(["INFO", "WARN", "ERROR"].iter().any(|level| line["level"] == *level), "{line}");
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    let stopped = lines.iter().find(|line| line["fields"]["message"] == "stopped").unwrap();
    assert_eq!((&stopped["fields"]["errors"], &stopped["fields"]["alerts"]), (&ERRORS.into(), &1.into()));
}

/// Bytes of a body that the filter does not let through: one packet of the loopback.
const HOLE: usize = 30_000;

#[test]
fn holes_in_streams_are_counted_by_interface() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Some(mut sensor) = Sensor::start(&format!("tcp port {port} and less 20000")) else { return };
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap()
    });
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    assert_eq!(stream.read(&mut [0; 1024]).unwrap(), 18);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", HOLE + 4);
    for part in [head.as_bytes(), &[b'x'; HOLE], b"tail"] {
        stream.write_all(part).unwrap();
        // Each part is sent before the next comes.
        thread::sleep(Duration::from_millis(20));
    }
    drop(stream);
    assert_eq!(client.join().unwrap(), head.len() + HOLE + 4);
    let bytes = format!("wirespike_interface_tcp_gap_bytes_total{{interface=\"lo\"}} {HOLE}");
    assert!(until(|| sensor.page("/metrics").1.contains(&bytes)), "{}", sensor.page("/metrics").1);
    let metrics = sensor.page("/metrics").1;
    assert!(metrics.contains("wirespike_interface_tcp_gaps_total{interface=\"lo\"} 1\n"), "{metrics}");
    assert_eq!(value(&metrics, "wirespike_flow_gap_bytes_total"), Some(HOLE as f64));
    assert!(Command::new("kill").arg(sensor.process.id().to_string()).status().unwrap().success());
    assert_eq!(sensor.process.wait().unwrap().code(), Some(0), "{}", sensor.log());
    let log = sensor.log_lines();
    let seen = log.iter().find(|line| line["fields"]["message"] == "seen").unwrap();
    assert_eq!((&seen["fields"]["tcp_gaps"], &seen["fields"]["tcp_gap_bytes"]), (&1.into(), &HOLE.into()));
    let stats: Value = serde_json::from_str(&fs::read_to_string(sensor.path("stats")).unwrap()).unwrap();
    assert_eq!(stats["interfaces"]["lo"]["tcp_gap_bytes"], HOLE);
    assert_eq!((&stats["flows"], &stats["exchanges"], &stats["errors"]), (&1.into(), &1.into(), &0.into()));
}

#[test]
fn interfaces_says_whether_anything_arrives() {
    let port = serve_errors();
    let is_told = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_told.load(Ordering::Relaxed) {
                request_errors(port);
            }
        });
        let output = wirespike().arg("interfaces").output();
        is_told.store(true, Ordering::Relaxed);
        output.unwrap()
    });
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let loopback = text.lines().find(|line| line.starts_with("lo ")).unwrap();
    assert!(loopback.contains("packets/s") && loopback.contains("127.0.0.1"), "{text}");
}

#[test]
fn help_says_how_to_filter_mirrored_traffic_and_what_a_reload_changes() {
    let output = wirespike().args(["live", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in
        ["(vlan and tcp port 80)", "'udp port 4789'", "'ip proto 47'", "SIGHUP", "packets.workers", "phc2sys", "MiB"]
    {
        assert!(text.contains(words), "'{words}' is not in\n{text}");
    }
}
