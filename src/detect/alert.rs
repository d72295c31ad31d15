//! The alert.
//!
//! In: a client over the threshold and the evidence of the window. Out: one line of JSON that an analyst can act on
//! without another tool. Promises: the same events give the same line, ID included; bytes from the wire cannot break it.

use sha1::{Digest, Sha1};

use super::{
    evidence::{Sample, Summary, TopEntry},
    settings::{Mode, RuleSettings},
    triage::{Triage, triage},
};
use crate::{
    address::{Address, Endpoint},
    event::{
        ECS_VERSION, community_id,
        json::{Json, Written},
        masked, write_agent,
    },
    time::Timestamp,
};

/// What kind of news an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A scheduled execution found the client over the threshold.
    Scheduled,
    /// Streaming: the client has just crossed the threshold.
    Open,
    /// Streaming: it goes on. Has the ID of the alert it updates.
    Update,
    /// Streaming: the client fell quiet, or the input ended. Has the ID of the alert it closes.
    Close,
}

impl AlertKind {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Update => "update",
            Self::Close => "close",
        }
    }
}

/// The time an alert counts, half open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first time within.
    pub start: Timestamp,
    /// The first time no more within.
    pub end: Timestamp,
    /// Whether the input ended before the window did.
    pub partial: bool,
}

/// The execution an alert is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// Clients over the threshold.
    pub groups: u64,
    /// How many of them are left out because there were too many.
    pub truncated: u64,
}

/// A streaming alert from its opening on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// The first of the errors that crossed the threshold.
    pub started: Timestamp,
    /// The last error.
    pub last: Timestamp,
    /// Errors since `started`.
    pub count: u64,
    /// How often it was updated.
    pub updates: u64,
}

/// One client over the threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// A hash of rule, group and time.
    pub id: String,
    /// What kind of news it is.
    pub kind: AlertKind,
    /// The boundary, or in streaming mode the time of the deciding error.
    pub time: Timestamp,
    /// What is counted.
    pub window: Window,
    /// The client.
    pub source: Address,
    /// Its errors in the window.
    pub count: u64,
    /// What they were.
    pub summary: Summary,
    /// The execution, in scheduled mode.
    pub execution: Option<Execution>,
    /// The whole of it so far, in streaming mode.
    pub episode: Option<Episode>,
    /// Whether the sensor is known to have lost packets within the window.
    pub lower_bound: bool,
}

/// A hash of the rule, the group and a time, in hexadecimal.
pub(super) fn alert_id(settings: &RuleSettings, source: Address, time: Timestamp) -> String {
    let (high, low) = source.halves();
    let mut hash = Sha1::new();
    for part in [settings.identity.id.as_bytes(), settings.sensor_id.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    for number in [high, low, time.as_nanos()] {
        hash.update(number.to_be_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Alert {
    /// What the errors look like and what to do next.
    pub fn triage(&self, settings: &RuleSettings) -> Triage {
        triage(self, settings)
    }

    /// Appends the alert as one line of JSON.
    pub fn write(&self, out: &mut Vec<u8>, settings: &RuleSettings) {
        let triage = self.triage(settings);
        let mut json = Json::object(out);
        json.time("@timestamp", self.time);
        let ecs = json.open("ecs");
        json.name("version", ECS_VERSION);
        json.close(ecs);
        write_agent(&mut json, &settings.sensor_id);
        self.write_event(&mut json);
        json.text("message", &triage.message);
        write_rule(&mut json, settings);
        let source = json.open("source");
        json.address("ip", self.source);
        json.close(source);
        let stream = json.open("data_stream");
        json.raw(br#""type":"logs","dataset":"wirespike.alert""#);
        json.text("namespace", &settings.namespace);
        json.close(stream);
        self.write_columns(&mut json, settings);
        let wirespike = json.open("wirespike");
        let alert = json.open("alert");
        self.write_circumstances(&mut json, settings);
        write_summary(&mut json, &self.summary, settings);
        write_triage(&mut json, &triage);
        json.close(alert);
        json.close(wirespike);
        json.end_line();
    }

    fn write_event(&self, json: &mut Json<'_>) {
        let event = json.open("event");
        json.raw(br#""kind":"alert","category":["web","intrusion_detection"],"type":["info"]"#);
        json.name("action", self.kind.name());
        json.raw(br#","module":"wirespike","dataset":"wirespike.alert","severity":21,"risk_score":21"#);
        json.name("id", &self.id);
        json.time("start", self.window.start);
        json.time("end", self.window.end);
        json.close(event);
    }

    fn write_columns(&self, json: &mut Json<'_>, settings: &RuleSettings) {
        let columns = json.open("Esql");
        json.number("event_count", self.count);
        json.open_array("host_name_values");
        let mut named = Vec::new();
        for (server, _) in &self.summary.servers {
            if !named.contains(&server.address) {
                named.push(server.address);
                write_server_name(json, server.address, settings);
            }
        }
        json.close_array();
        json.open_array("agent_id_values");
        json.element_text(&settings.sensor_id);
        json.close_array();
        json.open_array("event_dataset_values");
        for (dataset, _) in &self.summary.datasets {
            json.element_text(dataset.name());
        }
        json.close_array();
        json.open_array("data_stream_namespace_values");
        json.element_text(&settings.namespace);
        json.close_array();
        json.close(columns);
    }

    fn write_circumstances(&self, json: &mut Json<'_>, settings: &RuleSettings) {
        json.name("kind", self.kind.name());
        json.name("severity", "low");
        json.number("risk_score", 21);
        json.name("mode", if settings.mode == Mode::Streaming { "streaming" } else { "scheduled" });
        json.number("threshold", u64::from(settings.threshold));
        json.number("count", self.count);
        let window = json.open("window");
        json.time("start", self.window.start);
        json.time("end", self.window.end);
        json.number("seconds", settings.window.as_secs());
        json.flag("partial", self.window.partial);
        json.flag("lower_bound", self.lower_bound);
        json.close(window);
        if let Some(execution) = self.execution {
            let object = json.open("execution");
            json.number("every_seconds", settings.every.as_secs());
            json.number("clients_over_threshold", execution.groups);
            json.number("truncated", execution.truncated);
            json.close(object);
        }
        if let Some(episode) = self.episode {
            let object = json.open("episode");
            json.time("started", episode.started);
            json.time("last_error", episode.last);
            json.number("count", episode.count);
            json.number("updates", episode.updates);
            json.close(object);
        }
    }
}

fn write_rule(json: &mut Json<'_>, settings: &RuleSettings) {
    let rule = json.open("rule");
    json.text("id", &settings.identity.id);
    json.text("name", &settings.identity.name);
    json.text("version", &settings.identity.version.to_string());
    json.text(
        "description",
        "One client caused more failed web requests on the servers this sensor watches than the threshold allows within the look-back.",
    );
    json.close(rule);
    let threat = json.open("threat");
    json.raw(
        br#""framework":"MITRE ATT&CK","tactic":{"id":["TA0043"],"name":["Reconnaissance"],"reference":["https://attack.mitre.org/tactics/TA0043/"]},"technique":{"id":["T1595"],"name":["Active Scanning"],"reference":["https://attack.mitre.org/techniques/T1595/"],"subtechnique":{"id":["T1595.002","T1595.003"],"name":["Vulnerability Scanning","Wordlist Scanning"],"reference":["https://attack.mitre.org/techniques/T1595/002/","https://attack.mitre.org/techniques/T1595/003/"]}}"#,
    );
    json.close(threat);
}

fn write_server_name(json: &mut Json<'_>, address: Address, settings: &RuleSettings) {
    match settings.server_names.get(&address) {
        Some(name) => json.element_text(name),
        None => json.element_address(address),
    }
}

fn write_summary(json: &mut Json<'_>, summary: &Summary, settings: &RuleSettings) {
    write_sample(json, "first_error", &summary.first, settings);
    write_sample(json, "last_error", &summary.last, settings);
    write_counts(json, "status_codes", &summary.statuses, |json, &status| {
        json.number("status_code", u64::from(status))
    });
    write_counts(json, "methods", &summary.methods, |json, method| json.name("method", method));
    write_counts(json, "reasons", &summary.reasons, |json, reason| json.name("reason", reason.name()));
    write_counts(json, "datasets", &summary.datasets, |json, dataset| json.name("dataset", dataset.name()));
    write_counts(json, "servers", &summary.servers, |json, server: &Endpoint| {
        json.address("ip", server.address);
        json.number("port", u64::from(server.port));
        if let Some(name) = settings.server_names.get(&server.address) {
            json.text("name", name);
        }
    });
    let listed: u64 = summary.servers.iter().map(|&(_, count)| count).sum();
    let all: u64 = summary.reasons.iter().map(|&(_, count)| count).sum();
    if all > listed {
        json.number("on_unlisted_servers", all - listed);
    }
    let mut sanitized = Written::Plain;
    for (name, member, list) in [
        ("paths", "path", &summary.paths),
        ("user_agents", "user_agent", &summary.user_agents),
        ("hosts", "host", &summary.hosts),
    ] {
        sanitized = sanitized.and(write_top(json, name, member, list));
    }
    if sanitized == Written::Sanitized {
        json.flag("sanitized", true);
    }
    json.number("distinct_paths", summary.distinct_paths);
    if summary.more_paths {
        json.flag("distinct_paths_is_lower_bound", true);
    }
    let timeline = json.open("timeline");
    json.number("interval_seconds", settings.timeline_interval().as_secs());
    write_counts(json, "counts", &summary.timeline, |json, &start| json.time("start", start));
    json.close(timeline);
    if !summary.flows.is_empty() {
        json.open_array("community_ids");
        for &(client, server) in &summary.flows {
            let _base64 = json.element_bytes(&community_id(client, server));
        }
        json.close_array();
    }
    if summary.without_evidence > 0 {
        json.number("without_evidence", summary.without_evidence);
    }
}

fn write_counts<K>(json: &mut Json<'_>, name: &str, counts: &[(K, u64)], mut key: impl FnMut(&mut Json<'_>, &K)) {
    json.open_array(name);
    for (each, count) in counts {
        json.open_element();
        key(json, each);
        json.number("count", *count);
        json.close_element();
    }
    json.close_array();
}

fn write_top(json: &mut Json<'_>, name: &str, member: &str, list: &[TopEntry]) -> Written {
    let mut written = Written::Plain;
    json.open_array(name);
    for entry in list {
        json.open_element();
        written = written.and(json.bytes(member, &entry.text));
        json.number("count", entry.count);
        json.close_element();
    }
    json.close_array();
    written
}

fn write_sample(json: &mut Json<'_>, name: &str, sample: &Option<(Sample, Endpoint)>, settings: &RuleSettings) {
    let Some((sample, server)) = sample else { return };
    let object = json.open(name);
    json.time("@timestamp", sample.time);
    json.name("reason", sample.reason.name());
    if sample.status != 0 {
        json.number("status_code", u64::from(sample.status));
    }
    if let Some(method) = sample.method() {
        json.name("method", method);
    }
    let _marked_in_the_event = json.optional_bytes("path", &masked(&sample.path, &settings.masked_parameters));
    let place = json.open("server");
    json.address("ip", server.address);
    json.number("port", u64::from(server.port));
    json.close(place);
    json.close(object);
}

fn write_triage(json: &mut Json<'_>, triage: &Triage) {
    let object = json.open("triage");
    json.name("assessment", triage.assessment.name());
    if let Some(tool) = &triage.tool {
        json.text("tool", tool);
    }
    json.open_array("next_steps");
    for step in &triage.next_steps {
        json.element_text(step);
    }
    json.close_array();
    json.close(object);
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
