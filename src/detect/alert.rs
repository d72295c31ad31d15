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
    document::{
        ECS_VERSION, community_id,
        json::{Json, Key, Written, key},
        write_agent,
    },
    event::Site,
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
pub(super) fn alert_id(settings: &RuleSettings, site: &Site, source: Address, time: Timestamp) -> String {
    let (high, low) = source.halves();
    let mut hash = Sha1::new();
    for part in [settings.identity.id.as_bytes(), site.sensor_id.as_bytes()] {
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
    pub fn triage(&self, settings: &RuleSettings, site: &Site) -> Triage {
        triage(self, settings, site)
    }

    /// Appends the alert as one line of JSON.
    pub fn write(&self, out: &mut Vec<u8>, settings: &RuleSettings, site: &Site) {
        let triage = self.triage(settings, site);
        let mut json = Json::object(out);
        json.time(key!("@timestamp"), self.time);
        let ecs = json.open(key!("ecs"));
        json.name(key!("version"), ECS_VERSION);
        json.close(ecs);
        write_agent(&mut json, &site.sensor_id);
        self.write_event(&mut json);
        json.text(key!("message"), &triage.message);
        write_rule(&mut json, settings);
        let source = json.open(key!("source"));
        json.address(key!("ip"), self.source);
        json.close(source);
        let stream = json.open(key!("data_stream"));
        json.raw(br#""type":"logs","dataset":"wirespike.alert""#);
        json.text(key!("namespace"), &site.namespace);
        json.close(stream);
        self.write_columns(&mut json, site);
        let wirespike = json.open(key!("wirespike"));
        let alert = json.open(key!("alert"));
        self.write_circumstances(&mut json, settings);
        write_summary(&mut json, &self.summary, settings, site);
        write_triage(&mut json, &triage);
        json.close(alert);
        json.close(wirespike);
        json.end_line();
    }

    fn write_event(&self, json: &mut Json<'_>) {
        let event = json.open(key!("event"));
        json.raw(br#""kind":"alert","category":["web","intrusion_detection"],"type":["info"]"#);
        json.name(key!("action"), self.kind.name());
        json.raw(br#","module":"wirespike","dataset":"wirespike.alert","severity":21,"risk_score":21"#);
        json.name(key!("id"), &self.id);
        json.time(key!("start"), self.window.start);
        json.time(key!("end"), self.window.end);
        json.close(event);
    }

    fn write_columns(&self, json: &mut Json<'_>, site: &Site) {
        let columns = json.open(key!("Esql"));
        json.number(key!("event_count"), self.count);
        json.open_array(key!("host_name_values"));
        let mut named = Vec::new();
        for (server, _) in &self.summary.servers {
            if !named.contains(&server.address) {
                named.push(server.address);
                write_server_name(json, server.address, site);
            }
        }
        json.close_array();
        json.open_array(key!("agent_id_values"));
        json.element_text(&site.sensor_id);
        json.close_array();
        json.open_array(key!("event_dataset_values"));
        for (dataset, _) in &self.summary.datasets {
            json.element_text(dataset.name());
        }
        json.close_array();
        json.open_array(key!("data_stream_namespace_values"));
        json.element_text(&site.namespace);
        json.close_array();
        json.close(columns);
    }

    fn write_circumstances(&self, json: &mut Json<'_>, settings: &RuleSettings) {
        json.name(key!("kind"), self.kind.name());
        json.name(key!("severity"), "low");
        json.number(key!("risk_score"), 21);
        json.name(key!("mode"), if settings.mode == Mode::Streaming { "streaming" } else { "scheduled" });
        json.number(key!("threshold"), u64::from(settings.threshold));
        json.number(key!("count"), self.count);
        let window = json.open(key!("window"));
        json.time(key!("start"), self.window.start);
        json.time(key!("end"), self.window.end);
        json.number(key!("seconds"), settings.window.as_secs());
        json.flag(key!("partial"), self.window.partial);
        json.flag(key!("lower_bound"), self.lower_bound);
        json.close(window);
        if let Some(execution) = self.execution {
            let object = json.open(key!("execution"));
            json.number(key!("every_seconds"), settings.every.as_secs());
            json.number(key!("clients_over_threshold"), execution.groups);
            json.number(key!("truncated"), execution.truncated);
            json.close(object);
        }
        if let Some(episode) = self.episode {
            let object = json.open(key!("episode"));
            json.time(key!("started"), episode.started);
            json.time(key!("last_error"), episode.last);
            json.number(key!("count"), episode.count);
            json.number(key!("updates"), episode.updates);
            json.close(object);
        }
    }
}

fn write_rule(json: &mut Json<'_>, settings: &RuleSettings) {
    let rule = json.open(key!("rule"));
    json.text(key!("id"), &settings.identity.id);
    json.text(key!("name"), &settings.identity.name);
    json.text(key!("version"), &settings.identity.version.to_string());
    json.text(
        key!("description"),
        "One client caused more failed web requests on the servers this sensor watches than the threshold allows within the look-back.",
    );
    json.close(rule);
    let threat = json.open(key!("threat"));
    json.raw(
        br#""framework":"MITRE ATT&CK","tactic":{"id":["TA0043"],"name":["Reconnaissance"],"reference":["https://attack.mitre.org/tactics/TA0043/"]},"technique":{"id":["T1595"],"name":["Active Scanning"],"reference":["https://attack.mitre.org/techniques/T1595/"],"subtechnique":{"id":["T1595.002","T1595.003"],"name":["Vulnerability Scanning","Wordlist Scanning"],"reference":["https://attack.mitre.org/techniques/T1595/002/","https://attack.mitre.org/techniques/T1595/003/"]}}"#,
    );
    json.close(threat);
}

fn write_server_name(json: &mut Json<'_>, address: Address, site: &Site) {
    match site.server_name(address) {
        Some(name) => json.element_text(name),
        None => json.element_address(address),
    }
}

fn write_summary(json: &mut Json<'_>, summary: &Summary, settings: &RuleSettings, site: &Site) {
    write_sample(json, key!("first_error"), &summary.first);
    write_sample(json, key!("last_error"), &summary.last);
    write_counts(json, key!("status_codes"), &summary.statuses, |json, &status| {
        json.number(key!("status_code"), u64::from(status))
    });
    write_counts(json, key!("methods"), &summary.methods, |json, method| json.name(key!("method"), method));
    write_counts(json, key!("reasons"), &summary.reasons, |json, reason| json.name(key!("reason"), reason.name()));
    write_counts(json, key!("datasets"), &summary.datasets, |json, dataset| json.name(key!("dataset"), dataset.name()));
    write_counts(json, key!("servers"), &summary.servers, |json, server: &Endpoint| {
        json.address(key!("ip"), server.address);
        json.number(key!("port"), u64::from(server.port));
        if let Some(name) = site.server_name(server.address) {
            json.text(key!("name"), name);
        }
    });
    let listed: u64 = summary.servers.iter().map(|&(_, count)| count).sum();
    let all: u64 = summary.reasons.iter().map(|&(_, count)| count).sum();
    if all > listed {
        json.number(key!("on_unlisted_servers"), all - listed);
    }
    let mut sanitized = Written::Plain;
    for (name, member, list) in [
        (key!("paths"), key!("path"), &summary.paths),
        (key!("user_agents"), key!("user_agent"), &summary.user_agents),
        (key!("hosts"), key!("host"), &summary.hosts),
    ] {
        sanitized = sanitized.and(write_top(json, name, member, list));
    }
    if sanitized == Written::Sanitized {
        json.flag(key!("sanitized"), true);
    }
    json.number(key!("distinct_paths"), summary.distinct_paths);
    if summary.more_paths {
        json.flag(key!("distinct_paths_is_lower_bound"), true);
    }
    let timeline = json.open(key!("timeline"));
    json.number(key!("interval_seconds"), settings.timeline_interval().as_secs());
    write_counts(json, key!("counts"), &summary.timeline, |json, &start| json.time(key!("start"), start));
    json.close(timeline);
    if !summary.flows.is_empty() {
        json.open_array(key!("community_ids"));
        for &(client, server) in &summary.flows {
            let _base64 = json.element_bytes(&community_id(client, server));
        }
        json.close_array();
    }
    if summary.without_evidence > 0 {
        json.number(key!("without_evidence"), summary.without_evidence);
    }
}

fn write_counts<K>(json: &mut Json<'_>, name: Key, counts: &[(K, u64)], mut key: impl FnMut(&mut Json<'_>, &K)) {
    json.open_array(name);
    for (each, count) in counts {
        json.open_element();
        key(json, each);
        json.number(key!("count"), *count);
        json.close_element();
    }
    json.close_array();
}

fn write_top(json: &mut Json<'_>, name: Key, member: Key, list: &[TopEntry]) -> Written {
    let mut written = Written::Plain;
    json.open_array(name);
    for entry in list {
        json.open_element();
        written = written.and(json.bytes(member, &entry.text));
        json.number(key!("count"), entry.count);
        json.close_element();
    }
    json.close_array();
    written
}

fn write_sample(json: &mut Json<'_>, name: Key, sample: &Option<(Sample, Endpoint)>) {
    let Some((sample, server)) = sample else { return };
    let object = json.open(name);
    json.time(key!("@timestamp"), sample.time);
    json.name(key!("reason"), sample.reason.name());
    if sample.status != 0 {
        json.number(key!("status_code"), u64::from(sample.status));
    }
    if let Some(method) = sample.method() {
        json.name(key!("method"), method);
    }
    let _marked_in_the_event = json.optional_bytes(key!("path"), &sample.path);
    let place = json.open(key!("server"));
    json.address(key!("ip"), server.address);
    json.number(key!("port"), u64::from(server.port));
    json.close(place);
    json.close(object);
}

fn write_triage(json: &mut Json<'_>, triage: &Triage) {
    let object = json.open(key!("triage"));
    json.name(key!("assessment"), triage.assessment.name());
    if let Some(tool) = &triage.tool {
        json.text(key!("tool"), tool);
    }
    json.open_array(key!("next_steps"));
    for step in &triage.next_steps {
        json.element_text(step);
    }
    json.close_array();
    json.close(object);
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
