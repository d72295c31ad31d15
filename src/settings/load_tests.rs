use std::path::Path;

use super::*;
use crate::{
    event::{Reason, ReasonSet},
    settings::{key::Category, keys::server},
};

/// Loads a file of this text, which errors call `sensor.toml`.
fn load(text: &str, assignments: &[&str], flags: &[(&'static str, &[&str])]) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sensor.toml");
    std::fs::write(&path, text).unwrap();
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let sources = Sources {
        config: Some(path.clone()),
        assignments: owned(assignments),
        flags: flags.iter().map(|(key, words)| (*key, owned(words))).collect(),
    };
    let named = |error: ConfigError| error.to_string().replace(&path.display().to_string(), "sensor.toml");
    sources.load().map_err(named)
}

fn refusal(text: &str, assignments: &[&str], flags: &[(&'static str, &[&str])]) -> String {
    load(text, assignments, flags).map(|_| ()).unwrap_err()
}

#[test]
fn a_bad_value_is_told_in_one_line_with_what_to_write() {
    for (text, expected) in [
        (
            "[rule]\nthreshold = \"many\"\n",
            "sensor.toml:2: rule.threshold: 'many' is not a whole number from 0 to 4294967295; write for example threshold = 20",
        ),
        (
            "[rule]\n\nwindow = \"eleven\"\n",
            "sensor.toml:3: rule.window: 'eleven' is not a duration: numbers with units (ms, s, m, h, d), such as 11m or 1h30m; \
             write for example window = \"11m\"",
        ),
        (
            "[rule]\nmode = \"both\"\n",
            "sensor.toml:2: rule.mode: 'both' is not scheduled or streaming; write for example mode = \"streaming\"",
        ),
        (
            "[detect]\nrules = [\"spikes\"]\n",
            "sensor.toml:2: detect.rules: 'spikes' is not a rule; known: error_spike, encrypted_scan, telltale_success; write for example rules = [\"error_spike\"]",
        ),
        (
            "[packets]\nworkers = 17\n",
            "sensor.toml:2: packets.workers: 17 is not between 1 and 16; write for example workers = 2",
        ),
        (
            "[live]\nring = 0\n",
            "sensor.toml:2: live.ring: 0 MiB is not between 1 and 2047; write for example ring = 256",
        ),
        (
            "[limits]\nflows = 0\n",
            "sensor.toml:2: limits.flows: 0 is too little: nothing could be held; write for example flows = 1000000",
        ),
        (
            "[proxies]\ntrusted = [\"nowhere\"]\n",
            "sensor.toml:2: proxies.trusted: 'nowhere' is not an address or a network, such as 192.0.2.10 or 192.0.2.0/24, with \
             or without =HEADER; write for example trusted = [\"192.0.2.10\", \"198.51.100.0/24=x-real-ip\"]",
        ),
        (
            "[sensor]\nid = \"\"\n",
            "sensor.toml:2: sensor.id: the sensor ID is empty; write a name that tells this sensor from others, such as 'dmz-1'",
        ),
        (
            "[sensor]\nid = \"a\\nb\"\n",
            "sensor.toml:2: sensor.id: the sensor ID \"a\\nb\" holds a control character; write letters, digits, '-', '_' and '.'",
        ),
        (
            "[sensor]\nnamespace = \"Lab\"\n",
            "sensor.toml:2: sensor.namespace: the namespace 'Lab' has capital letters; write 'lab'",
        ),
        (
            "[[server]]\nnetwork = \"192.0.2.0/24\"\nname = \"www\"\n",
            "sensor.toml:3: server.name: 'www' needs network to be a single address; write network = \"203.0.113.80\"",
        ),
        (
            "[[server]]\nport = \"http\"\n",
            "sensor.toml:2: server.port: 'http' is not a whole number from 0 to 65535; write for example port = 8080",
        ),
        (
            "[rule]\nwindow = \"5m\"\n",
            "sensor.toml:2: rule.window: the window (5m) is shorter than the interval (10m), so that errors between two windows \
             would never count; write a window of at least 10m, or an interval (--every) of at most 5m",
        ),
        (
            "[rule]\nevery = \"30m\"\n",
            "sensor.toml:2: rule.every: the window (11m) is shorter than the interval (30m), so that errors between two windows \
             would never count; write a window of at least 30m, or an interval (--every) of at most 11m",
        ),
    ] {
        assert_eq!(refusal(text, &[], &[]), expected);
    }
}

#[test]
fn a_bad_flag_or_assignment_is_named_as_it_was_typed() {
    let flag = |key, words: &[&str]| refusal("", &[], &[(key, words)]);
    let duration = "is not a duration: numbers with units (ms, s, m, h, d), such as 11m or 1h30m";
    assert_eq!(flag("rule.window", &["-5m"]), format!("--window: '-5m' {duration}; write for example --window 11m"));
    assert_eq!(flag("rule.every", &["0"]), format!("--every: '0' {duration}; write for example --every 10m"));
    assert_eq!(
        flag("rule.threshold", &["-1"]),
        "--threshold: '-1' is not a whole number from 0 to 4294967295; write for example --threshold 20"
    );
    assert_eq!(
        flag("detect.rules", &["error_spike,error_spike"]),
        "--rules: 'error_spike' is listed twice; write for example --rules error_spike"
    );
    assert_eq!(flag("packets.workers", &["0"]), "--workers: 0 is not between 1 and 16; write for example --workers 2");
    assert_eq!(flag("sensor.namespace", &["a b"]), "--namespace: the namespace \"a b\" holds ' '; write 'a_b'");
    assert_eq!(
        refusal("", &["rule.threshold=many"], &[]),
        "--set rule.threshold: 'many' is not a whole number from 0 to 4294967295; write for example --set rule.threshold=20"
    );
    assert_eq!(
        refusal("", &["rule.threshold=5", "rule.threshold=6"], &[]),
        "--set rule.threshold: '6' is the second value for this key; leave one out"
    );
    assert_eq!(
        refusal("[proxies]\ntrusted = ['192.0.2.1']\n", &[], &[("proxies.trusted", &["192.0.2.1"])]),
        "--trust: '192.0.2.1' is listed twice; write for example --trust 192.0.2.10,198.51.100.0/24=x-real-ip"
    );
}

#[test]
fn flags_win_over_set_which_wins_over_the_file() {
    let text = "[rule]\nthreshold = 1\nmax_alerts = 1\nlateness = \"1s\"\n[proxies]\ntrusted = [\"192.0.2.1\"]\n";
    let flags: &[(&'static str, &[&str])] = &[("rule.threshold", &["3"]), ("proxies.trusted", &["192.0.2.2"])];
    let loaded = load(text, &["rule.threshold=2", "rule.max_alerts=2"], flags).unwrap();
    let rule = &loaded.settings.rules.error_spike;
    assert_eq!((rule.threshold, rule.max_alerts, rule.lateness.as_secs()), (3, 2, 1));
    assert_eq!(loaded.settings.site.trusted_proxies.len(), 2, "--trust adds to the file");
    assert_eq!(loaded.origins.of(None, "proxies.trusted").len(), 2);
    // What the file says is read also where it is overridden.
    assert!(load("[rule]\nthreshold = -1\n", &["rule.threshold=2"], &[]).is_err());
    let streaming = load("[rule]\nmode = \"streaming\"\nwindow = \"1m\"\n", &[], &[]).unwrap();
    assert_eq!(streaming.settings.rules.error_spike.window.as_secs(), 60, "streaming has no interval");
    assert!(
        Sources::file(Path::new("/no/such/file").to_owned()).load().unwrap_err().to_string().contains("No such file")
    );
}

#[test]
fn what_the_rule_counts_is_an_event() {
    let events = |text: &str| load(text, &[], &[]).unwrap().settings.events.reasons;
    let all: ReasonSet = Reason::ALL.into_iter().collect();
    assert_eq!(events("[rule]\nreasons = ['http_status', 'grpc_status']\n"), all, "one setting is enough");
    assert_eq!(events("[rule]\nreasons = ['http_status', 'no_response']\n"), ReasonSet::default());
    let both = "[rule]\nreasons = ['grpc_status']\n[events]\nreasons = ['grpc_status']\n";
    assert_eq!(events(both), ReasonSet::EMPTY.with(Reason::GrpcStatus));
    let would = "out, so that it would never count; write the same reasons in both, or leave events.reasons away";
    for (text, place) in [
        (
            "[rule]\nreasons = ['http_status', 'grpc_status']\n[events]\nreasons = ['http_status']\n",
            "sensor.toml:2: rule.reasons: error_spike counts grpc_status, and events.reasons leaves grpc_status",
        ),
        (
            "[events]\nreasons = ['grpc_status']\n",
            "sensor.toml:2: events.reasons: error_spike counts http_status, and events.reasons leaves http_status",
        ),
    ] {
        assert_eq!(refusal(text, &[], &[]), format!("{place} {would}"));
    }
    // Without the rule, nothing counts them.
    let other = load("[events]\nreasons = ['grpc_status']\n[detect]\nrules = ['encrypted_scan']\n", &[], &[]);
    assert_eq!(other.unwrap().settings.events.reasons, ReasonSet::EMPTY.with(Reason::GrpcStatus));
}

#[test]
fn servers_are_replaced_as_a_whole() {
    let text = "[[server]]\nport = 1\ndataset = \"iis\"\n[[server]]\nport = 2\ndataset = \"iis\"\n";
    assert_eq!(load(text, &[], &[]).unwrap().settings.servers.len(), 2);
    let loaded = load(text, &["server=[{network='192.0.2.1', name='www1'}]"], &[]).unwrap();
    assert_eq!(loaded.settings.servers.len(), 1);
    assert_eq!(loaded.settings.site.server_names.len(), 1);
    assert!(loaded.settings.events.dataset_rules.is_empty());
    let refused = refusal(text, &["server=[{port=80, name='www1'}]"], &[]);
    assert!(refused.starts_with("--set server.name: 'www1' needs network"), "{refused}");
}

#[test]
fn every_key_is_reached_by_file_set_and_flag() {
    for key in keys::all() {
        assert!(!key.help.is_empty() && !key.example.is_empty(), "{}", key.name);
        let (section, name) = key.name.split_once('.').unwrap();
        let text = format!("[{section}]\n{name} = {}\n", key.example);
        let by_file = load(&text, &[], &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            by_file.origins.place(None, key.name),
            format!("{}: {}", by_file.origins.of(None, key.name)[0], key.name)
        );
        let expected = key.written(&by_file.settings).unwrap();
        let by_set = load("", &[&format!("{}={}", key.name, key.example)], &[]).unwrap();
        assert_eq!(key.written(&by_set.settings).unwrap(), expected, "{}", key.name);
        let by_word = load("", &[&format!("{}={}", key.name, key.example_word())], &[]).unwrap();
        assert_eq!(key.written(&by_word.settings).unwrap(), expected, "{}", key.name);
        let Some(flag) = key.flag else { continue };
        let word = key.example_word();
        let words: &[&str] = if let Takes::Nothing { .. } = flag.takes { &[] } else { &[&word] };
        let by_flag = load("", &[], &[(key.name, words)]).unwrap();
        assert_eq!(key.written(&by_flag.settings).unwrap(), expected, "{}", key.name);
        assert_eq!(by_flag.origins.place(None, key.name), format!("--{}", flag.long));
    }
    for key in server::KEYS {
        let more = "network = '192.0.2.1'\nname = 'x'\n";
        let more: String =
            more.lines().filter(|line| !line.starts_with(key.short_name())).map(|line| format!("{line}\n")).collect();
        let text = format!("[[server]]\n{} = {}\n{more}", key.short_name(), key.example);
        let loaded = load(&text, &[], &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(key.written(&loaded.settings.servers[0]).as_deref(), Some(key.example));
    }
}

#[test]
fn every_default_prints_and_reads_back() {
    let defaults = Settings::default();
    for key in keys::all() {
        let Some(written) = key.written(&defaults) else { continue };
        // No default proxy is trusted: an empty list is written as one.
        let (section, name) = key.name.split_once('.').unwrap();
        let loaded =
            load(&format!("[{section}]\n{name} = {written}\n"), &[], &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(key.written(&loaded.settings), Some(written), "{}", key.name);
    }
    let mut complete = Settings::default();
    complete.complete(&Origins::default()).unwrap();
    assert_eq!(format!("{complete:?}").replace("keep_detail: false", "keep_detail: true"), format!("{defaults:?}"));
}

#[test]
fn keys_of_error_spike_say_that_they_concern_it_alone() {
    for key in keys::all().filter(|key| key.category == Category::ErrorSpike) {
        assert!(key.help.starts_with("error_spike: "), "{}", key.name);
    }
}
