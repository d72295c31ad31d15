//! Alerts as documents.
//!
//! In: an [`Alert`]. Out: one line of JSON with everything that an analyst needs to act. Promises: the same alert gives the
//! same line; bytes from the wire cannot break the line; the fields are the same for every rule.

use serde_json::Value;

use super::{
    ECS_VERSION,
    alert_verdict::write_verdict,
    annotations, community_id,
    json::{Json, Key, Written, key},
    sentence::sentence,
    write_agent,
};
use crate::{
    address::Endpoint,
    detect::{
        Alert, AttackEntry, GradeCounts, Group, GroupValue, LeftOut, RuleIdentity, Sample, Summary, Threat, TlsFacts,
        TopEntry,
    },
    enrich::Annotations,
    event::Site,
    exchange::{Grade, Method},
    verdict::{Verdict, telltales},
};

/// The most paths that are listed.
const LISTED_PATHS: usize = 10;

/// Appends an alert as one line of JSON.
pub(super) fn write_alert(
    out: &mut Vec<u8>,
    alert: &Alert,
    verdict: &Verdict,
    noted: &Annotations,
    evidence_file: Option<&str>,
) {
    let site = &*alert.site;
    let mut json = Json::object(out);
    json.time(key!("@timestamp"), alert.time);
    let ecs = json.open(key!("ecs"));
    json.name(key!("version"), ECS_VERSION);
    json.close(ecs);
    write_agent(&mut json, &site.sensor_id);
    write_event(&mut json, alert, verdict);
    json.text(key!("message"), &sentence(alert, verdict));
    write_rule(&mut json, &alert.rule);
    write_threat(&mut json, &verdict.threat);
    if let Some(client) = alert.group.client() {
        let source = json.open(key!("source"));
        json.address(key!("ip"), client);
        annotations::write_source(&mut json, noted);
        json.close(source);
    }
    let stream = json.open(key!("data_stream"));
    json.raw(br#""type":"logs","dataset":"wirespike.alert""#);
    json.text(key!("namespace"), &site.namespace);
    json.close(stream);
    write_columns(&mut json, alert);
    let wirespike = json.open(key!("wirespike"));
    let object = json.open(key!("alert"));
    json.name(key!("rule"), &alert.rule.name);
    write_group(&mut json, &alert.group);
    write_circumstances(&mut json, alert, verdict);
    write_inference(&mut json, alert);
    write_evidence(&mut json, alert.grades, alert.rule.is_inferred, evidence_file);
    if let Some(left_out) = &alert.left_out {
        write_left_out(&mut json, left_out);
    }
    let written = write_summary(&mut json, &alert.summary, site).and(write_verdict(&mut json, alert, verdict));
    if written == Written::Sanitized {
        json.flag(key!("sanitized"), true);
    }
    annotations::write_members(&mut json, noted);
    json.close(object);
    json.close(wirespike);
    json.end_line();
}

fn write_event(json: &mut Json<'_>, alert: &Alert, verdict: &Verdict) {
    let event = json.open(key!("event"));
    json.raw(br#""kind":"alert","category":["web","intrusion_detection"],"type":["info"]"#);
    json.name(key!("action"), alert.kind.name());
    json.raw(br#","module":"wirespike","dataset":"wirespike.alert""#);
    json.number(key!("severity"), verdict.severity.number());
    json.number(key!("risk_score"), verdict.risk_score);
    json.name(key!("id"), &alert.id);
    json.time(key!("start"), alert.window.start);
    json.time(key!("end"), alert.window.end);
    json.close(event);
}

fn write_rule(json: &mut Json<'_>, identity: &RuleIdentity) {
    let rule = json.open(key!("rule"));
    json.text(key!("id"), &identity.id);
    json.text(key!("name"), &identity.title);
    json.text(key!("version"), &identity.version.to_string());
    json.text(key!("description"), &identity.description);
    json.close(rule);
}

fn write_threat(json: &mut Json<'_>, found: &Threat) {
    if *found == Threat::default() {
        return;
    }
    let threat = json.open(key!("threat"));
    json.name(key!("framework"), "MITRE ATT&CK");
    let tactic = json.open(key!("tactic"));
    write_entries(json, "tactics", &found.tactics);
    json.close(tactic);
    let technique = json.open(key!("technique"));
    write_entries(json, "techniques", &found.techniques);
    let subtechnique = json.open(key!("subtechnique"));
    write_entries(json, "techniques", &found.subtechniques);
    json.close(subtechnique);
    json.close(technique);
    json.close(threat);
}

/// Writes entries of MITRE ATT&CK. `kind` is the part of their address on the ATT&CK website.
fn write_entries(json: &mut Json<'_>, kind: &str, entries: &[AttackEntry]) {
    if entries.is_empty() {
        return;
    }
    json.open_array(key!("id"));
    for entry in entries {
        json.element_text(&entry.id);
    }
    json.close_array();
    json.open_array(key!("name"));
    for entry in entries {
        json.element_text(&entry.name);
    }
    json.close_array();
    json.open_array(key!("reference"));
    for entry in entries {
        json.element_text(&format!("https://attack.mitre.org/{kind}/{}/", entry.id.replace('.', "/")));
    }
    json.close_array();
}

/// Writes the columns that the reference rule returns.
fn write_columns(json: &mut Json<'_>, alert: &Alert) {
    let columns = json.open(key!("Esql"));
    json.number(key!("event_count"), alert.count);
    json.open_array(key!("host_name_values"));
    let mut named = Vec::new();
    for (server, _) in &alert.summary.servers {
        if !named.contains(&server.address) {
            named.push(server.address);
            match alert.site.server_name(server.address) {
                Some(name) => json.element_text(name),
                None => json.element_address(server.address),
            }
        }
    }
    json.close_array();
    json.open_array(key!("agent_id_values"));
    json.element_text(&alert.site.sensor_id);
    json.close_array();
    json.open_array(key!("event_dataset_values"));
    for (dataset, _) in &alert.summary.datasets {
        json.element_text(dataset.name());
    }
    json.close_array();
    json.open_array(key!("data_stream_namespace_values"));
    json.element_text(&alert.site.namespace);
    json.close_array();
    json.close(columns);
}

fn write_group(json: &mut Json<'_>, group: &Group) {
    let member = |(name, value): (&str, &GroupValue)| {
        let value = match value {
            GroupValue::Address(address) => Value::from(address.to_string()),
            GroupValue::Text(text) => Value::from(text.as_str()),
            GroupValue::Number(number) => Value::from(*number),
        };
        format!("{}:{value}", Value::from(name))
    };
    let object = json.open(key!("group"));
    json.raw(group.parts().map(member).collect::<Vec<_>>().join(",").as_bytes());
    json.close(object);
}

fn write_circumstances(json: &mut Json<'_>, alert: &Alert, verdict: &Verdict) {
    json.name(key!("kind"), alert.kind.name());
    json.name(key!("severity"), verdict.severity.name());
    json.number(key!("risk_score"), verdict.risk_score);
    json.name(key!("rule_severity"), alert.rule.severity.name());
    json.number(key!("rule_risk_score"), alert.rule.risk_score);
    json.name(key!("mode"), alert.mode.name());
    json.number(key!("threshold"), alert.threshold);
    json.number(key!("count"), alert.count);
    let window = json.open(key!("window"));
    json.time(key!("start"), alert.window.start);
    json.time(key!("end"), alert.window.end);
    json.number(key!("seconds"), alert.look_back.as_secs());
    json.flag(key!("partial"), alert.window.partial);
    json.flag(key!("lower_bound"), alert.lower_bound);
    json.close(window);
    if let Some(execution) = alert.execution {
        let object = json.open(key!("execution"));
        json.number(key!("every_seconds"), execution.every.as_secs());
        json.number(key!("clients_over_threshold"), execution.groups);
        json.number(key!("truncated"), execution.truncated);
        json.close(object);
    }
    if let Some(episode) = alert.episode {
        let object = json.open(key!("episode"));
        json.time(key!("started"), episode.started);
        json.time(key!("last_error"), episode.last);
        json.number(key!("count"), episode.count);
        json.number(key!("updates"), episode.updates);
        json.close(object);
    }
}

/// Writes the conclusion of a rule that saw only lengths and times, and the figures behind it.
fn write_inference(json: &mut Json<'_>, alert: &Alert) {
    if !alert.rule.is_inferred {
        return;
    }
    json.flag(key!("inferred"), true);
    let Some(found) = &alert.inference else { return };
    let object = json.open(key!("inference"));
    json.number(key!("turns"), found.turns);
    json.number(key!("uniform_answers"), found.uniform);
    json.decimal(key!("share"), found.share());
    json.number(key!("answer_bytes"), found.length.into());
    json.number(key!("answer_band"), found.band.into());
    json.decimal(key!("slope"), found.slope);
    json.number(key!("request_lengths"), found.request_lengths);
    json.number(key!("shortest_request"), found.shortest_request.into());
    json.number(key!("longest_request"), found.longest_request.into());
    json.decimal(key!("variety"), found.variety);
    json.decimal(key!("turns_per_minute"), found.turns_per_minute());
    json.number(key!("other_clients"), found.other_clients);
    if let Some(page) = found.page {
        json.name(key!("page"), page);
    }
    json.name(key!("protocol"), if found.is_multiplexed { "http2" } else { "http1" });
    json.flag(key!("browser_like"), found.is_browser_like);
    json.flag(key!("coarse"), found.is_coarse);
    json.close(object);
    let object = json.open(key!("extent"));
    json.time(key!("start"), found.start);
    json.time(key!("end"), found.end);
    let seconds = found.end.since(found.start).as_secs_f64();
    json.decimal(key!("seconds"), seconds);
    json.number(key!("requests"), found.turns);
    if seconds > 0.0 {
        json.decimal(key!("requests_per_second"), found.turns as f64 / seconds);
    }
    json.close(object);
}

/// Writes what the counted errors rest on, and which file has the client's packets.
fn write_evidence(json: &mut Json<'_>, grades: GradeCounts, is_inferred: bool, file: Option<&str>) {
    let evidence = json.open(key!("evidence"));
    json.name(key!("grade"), grades.most().name());
    // A rule that saw no status counts turns, so its total must not be called errors.
    let errors = json.open(if is_inferred { key!("turns") } else { key!("errors") });
    write_grades(json, grades);
    json.close(errors);
    json.number(key!("confirmed"), grades.confirmed());
    if let Some(file) = file {
        json.text(key!("file"), file);
    }
    json.close(evidence);
}

/// Writes errors by grade as members. Grades without errors are left out.
fn write_grades(json: &mut Json<'_>, grades: GradeCounts) {
    for grade in Grade::ALL {
        let name = match grade {
            Grade::Handshake => key!("handshake"),
            Grade::TwoWay => key!("two_way"),
            Grade::OneWay => key!("one_way"),
        };
        if grades.of(grade) > 0 {
            json.number(name, grades.of(grade));
        }
    }
}

/// Writes who found no place.
fn write_left_out(json: &mut Json<'_>, left_out: &LeftOut) {
    let object = json.open(key!("left_out"));
    for (name, count) in [(key!("alert_limit"), &left_out.alert_limit), (key!("client_limit"), &left_out.client_limit)]
    {
        if count.clients > 0 {
            let limit = json.open(name);
            json.number(key!("clients"), count.clients);
            write_errors(json, count.errors);
            json.close(limit);
        }
    }
    json.open_array(key!("largest"));
    for &(client, errors) in left_out.largest.shown() {
        json.open_element();
        json.address(key!("ip"), client);
        write_errors(json, errors);
        json.close_element();
    }
    json.close_array();
    json.close(object);
}

/// Writes the number of errors and how many of them are confirmed.
fn write_errors(json: &mut Json<'_>, errors: GradeCounts) {
    json.number(key!("errors"), errors.total());
    json.number(key!("confirmed"), errors.confirmed());
}

fn write_summary(json: &mut Json<'_>, summary: &Summary, site: &Site) -> Written {
    write_sample(json, key!("first_error"), &summary.first);
    write_sample(json, key!("last_error"), &summary.last);
    write_counts(json, key!("status_codes"), &summary.statuses(), |json, &status| {
        json.number(key!("status_code"), u64::from(status))
    });
    let grpc_statuses = summary.grpc_statuses();
    if !grpc_statuses.is_empty() {
        write_counts(json, key!("grpc_status_codes"), &grpc_statuses, |json, &status| {
            json.number(key!("grpc_status_code"), status.code().into());
            json.name(key!("name"), status.name());
        });
    }
    let methods = summary.methods.iter().map(|(method, count)| (method.bytes(), *count));
    let mut sanitized = write_methods(json, methods);
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
    let paths = by_what_they_tell(&summary.paths);
    for (name, member, list) in [
        (key!("paths"), key!("path"), &paths),
        (key!("user_agents"), key!("user_agent"), &summary.user_agents),
        (key!("hosts"), key!("host"), &summary.hosts),
    ] {
        sanitized = sanitized.and(write_top(json, name, member, list));
    }
    sanitized = sanitized.and(write_tls(json, &summary.tls));
    json.number(key!("distinct_paths"), summary.distinct_paths);
    if summary.more_paths {
        json.flag(key!("distinct_paths_is_lower_bound"), true);
    }
    json.number(key!("timeline_interval_seconds"), summary.timeline_interval.as_secs());
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
    sanitized
}

/// Writes what TLS connections show, if there are any.
fn write_tls(json: &mut Json<'_>, tls: &TlsFacts) -> Written {
    let mut written = Written::Plain;
    if tls.is_empty() {
        return written;
    }
    let object = json.open(key!("tls"));
    for (name, list) in
        [(key!("ja4"), &tls.ja4), (key!("server_names"), &tls.server_names), (key!("certificates"), &tls.certificates)]
    {
        json.open_array(name);
        for value in list {
            written = written.and(json.element_bytes(value));
        }
        json.close_array();
    }
    json.close(object);
    written
}

/// Returns the paths that the alert lists. Tell-tales come first, and then the paths with the most requests.
fn by_what_they_tell(paths: &[TopEntry]) -> Vec<TopEntry> {
    let mut paths = paths.to_vec();
    let rank =
        |entry: &TopEntry| telltales::classify(Method::Get, &entry.text).map_or(usize::MAX, |class| class as usize);
    paths.sort_by_cached_key(rank);
    // Tell-tales take at most half of the list. The other half shows the paths with the most requests.
    let telling = paths.iter().filter(|entry| rank(entry) != usize::MAX).count();
    if telling > LISTED_PATHS / 2 {
        paths.drain(LISTED_PATHS / 2..telling);
    }
    paths.truncate(LISTED_PATHS);
    paths
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

/// Writes how many exchanges had each method.
pub(super) fn write_methods<'m>(json: &mut Json<'_>, methods: impl Iterator<Item = (&'m [u8], u64)>) -> Written {
    let mut written = Written::Plain;
    json.open_array(key!("methods"));
    for (method, count) in methods {
        json.open_element();
        written = written.and(json.bytes(key!("method"), method));
        json.number(key!("count"), count);
        json.close_element();
    }
    json.close_array();
    written
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

fn write_sample(json: &mut Json<'_>, name: Key, sample: &Option<Sample>) {
    let Some(sample) = sample else { return };
    let object = json.open(name);
    json.time(key!("@timestamp"), sample.time);
    json.name(key!("reason"), sample.reason.name());
    if sample.answer.status() != 0 {
        json.number(key!("status_code"), u64::from(sample.answer.status()));
    }
    if let Some(status) = sample.answer.grpc() {
        json.number(key!("grpc_status_code"), status.code().into());
    }
    if let Some(method) = &sample.method {
        let _marked_in_the_event = json.bytes(key!("method"), method.bytes());
    }
    let _marked_in_the_event = json.optional_bytes(key!("path"), &sample.path);
    let place = json.open(key!("server"));
    json.address(key!("ip"), sample.server.address);
    json.number(key!("port"), u64::from(sample.server.port));
    json.close(place);
    json.close(object);
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
