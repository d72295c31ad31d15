//! The verdict of an alert, and what it rests on, as members of the alert's document.
//!
//! In: a [`Verdict`]. Out: `verdict`, `next_steps`, `extent`, `found`, `telltales`, `timeline`, `others` and `server_health`.
//! Promises: lists are bounded by what the verdict holds; bytes from the wire cannot break the line.

use super::json::{Json, Key, Written, key};
use crate::{
    detect::Alert,
    exchange::Features,
    verdict::{
        Verdict,
        activity::{Conduct, Found, Kind, Kinds, TimelineEntry},
    },
};

/// Writes the verdict and what it rests on.
pub(super) fn write_verdict(json: &mut Json<'_>, alert: &Alert, verdict: &Verdict) -> Written {
    let object = json.open(key!("verdict"));
    json.name(key!("name"), verdict.name.name());
    json.decimal(key!("confidence"), verdict.confidence);
    write_texts(json, key!("reasons"), &verdict.reasons);
    if let Some(tool) = &verdict.tool {
        json.text(key!("tool"), tool);
    }
    json.close(object);
    if !verdict.severity_reasons.is_empty() {
        write_texts(json, key!("severity_reasons"), &verdict.severity_reasons);
    }
    write_texts(json, key!("next_steps"), &verdict.next_steps);
    let Some(conduct) = &verdict.conduct else { return Written::Plain };
    write_extent(json, alert, conduct);
    let written = write_found(json, conduct).and(write_telltales(json, conduct));
    write_timeline(json, &conduct.timeline);
    write_others(json, conduct);
    write_signals(json, conduct);
    written
}

fn write_texts(json: &mut Json<'_>, name: Key, texts: &[String]) {
    json.open_array(name);
    for text in texts {
        json.element_text(text);
    }
    json.close_array();
}

/// Writes how long the client's errors went on, how many requests it made in that time, and its requests before and after the
/// window.
fn write_extent(json: &mut Json<'_>, alert: &Alert, conduct: &Conduct) {
    let Some(extent) = conduct.extent else { return };
    let object = json.open(key!("extent"));
    json.time(key!("start"), extent.start);
    json.time(key!("end"), extent.end);
    let seconds = extent.end.since(extent.start).as_secs_f64();
    json.decimal(key!("seconds"), seconds);
    json.number(key!("requests"), extent.requests.max(alert.count));
    json.number(key!("errors"), alert.count);
    if seconds > 0.0 {
        json.decimal(key!("requests_per_second"), extent.requests.max(alert.count) as f64 / seconds);
    }
    for (name, kinds) in
        [(key!("in_window"), &conduct.kinds), (key!("before"), &conduct.before), (key!("after"), &conduct.after)]
    {
        if kinds.total() > 0 {
            let part = json.open(name);
            json.number(key!("requests"), kinds.total());
            json.number(key!("errors"), kinds.failed());
            json.close(part);
        }
    }
    json.close(object);
}

fn write_found(json: &mut Json<'_>, conduct: &Conduct) -> Written {
    let mut written = Written::Plain;
    json.open_array(key!("found"));
    for found in &conduct.found {
        json.open_element();
        written = written.and(json.bytes(key!("path"), &found.path));
        json.number(key!("status"), found.status.into());
        written = written.and(json.bytes(key!("method"), found.method.bytes()));
        if let Some(bytes) = found.bytes {
            json.number(key!("bytes"), bytes);
        }
        if let Some(kind) = found.media.name() {
            json.name(key!("type"), kind);
        }
        written = written.and(write_what_was_found(json, found));
        json.number(key!("count"), found.count);
        json.time(key!("first"), found.first);
        let server = json.open(key!("server"));
        json.address(key!("ip"), found.server.address);
        json.number(key!("port"), found.server.port.into());
        json.close(server);
        json.close_element();
    }
    json.close_array();
    if conduct.more_found > 0 {
        json.number(key!("more_found"), conduct.more_found);
    }
    if conduct.is_catch_all {
        json.flag(key!("catch_all"), true);
    }
    written
}

fn write_what_was_found(json: &mut Json<'_>, found: &Found) -> Written {
    if let Some(class) = found.class {
        json.name(key!("class"), class.name());
    }
    let written = found.redirect.as_ref().map_or(Written::Plain, |redirect| json.bytes(key!("redirect"), redirect));
    for (name, feature) in [
        (key!("session"), Features::SESSION),
        (key!("credentials"), Features::CREDENTIALS),
        (key!("upload"), Features::UPLOAD),
    ] {
        if found.features.has(feature) {
            json.flag(name, true);
        }
    }
    written
}

fn write_telltales(json: &mut Json<'_>, conduct: &Conduct) -> Written {
    let mut written = Written::Plain;
    json.open_array(key!("telltales"));
    for hit in &conduct.telltales {
        json.open_element();
        json.name(key!("class"), hit.class.name());
        written = written.and(json.bytes(key!("path"), &hit.path));
        if hit.status != 0 {
            json.number(key!("status"), hit.status.into());
        }
        written = written.and(json.bytes(key!("method"), hit.method.bytes()));
        json.number(key!("count"), hit.count);
        json.close_element();
    }
    json.close_array();
    written
}

fn write_timeline(json: &mut Json<'_>, timeline: &[TimelineEntry]) {
    json.open_array(key!("timeline"));
    for entry in timeline {
        json.open_element();
        json.time(key!("start"), entry.start);
        let server = json.open(key!("server"));
        json.address(key!("ip"), entry.server.address);
        json.number(key!("port"), entry.server.port.into());
        json.close(server);
        json.number(key!("requests"), entry.kinds.total());
        write_errors_by_class(json, &entry.kinds);
        json.number(key!("distinct_paths"), entry.distinct_paths);
        let methods = entry.methods.iter().map(|(method, count)| (method.name().as_bytes(), *count));
        let _names_of_the_list = super::alert::write_methods(json, methods);
        json.close_element();
    }
    json.close_array();
}

fn write_errors_by_class(json: &mut Json<'_>, kinds: &Kinds) {
    let errors = json.open(key!("errors"));
    let server = kinds.of_all(&[Kind::Gateway, Kind::Fault]);
    let without_status = kinds.of_all(&[Kind::Unanswered, Kind::FailedHandshake]);
    // 501 and 505 are answers to the form of a request, and stand with those of the client.
    for (name, count) in
        [(key!("4xx"), kinds.failed() - server - without_status), (key!("5xx"), server), (key!("none"), without_status)]
    {
        if count > 0 {
            json.number(name, count);
        }
    }
    json.close(errors);
}

fn write_others(json: &mut Json<'_>, conduct: &Conduct) {
    if !conduct.others.is_empty() {
        json.open_array(key!("others"));
        for other in &conduct.others {
            json.open_element();
            json.address(key!("ip"), other.address);
            json.number(key!("errors"), other.errors);
            json.number(key!("shared_paths"), other.shared_paths);
            if other.has_same_tool {
                json.flag(key!("same_tool"), true);
            }
            json.close_element();
        }
        json.close_array();
    }
    if conduct.servers.is_empty() {
        return;
    }
    json.open_array(key!("server_health"));
    for health in &conduct.servers {
        json.open_element();
        json.address(key!("ip"), health.server.address);
        json.number(key!("port"), health.server.port.into());
        json.number(key!("other_requests"), health.others.requests());
        json.number(key!("other_server_errors"), health.others.server_failed());
        json.number(key!("other_clients"), health.clients);
        json.number(key!("other_clients_failing"), health.failing_clients);
        if let Some(since) = health.failing_since {
            json.time(key!("failing_since"), since);
        }
        json.close_element();
    }
    json.close_array();
}

fn write_signals(json: &mut Json<'_>, conduct: &Conduct) {
    let signals = &conduct.signals;
    let object = json.open(key!("signals"));
    for (name, count) in [
        (key!("requests"), signals.requests),
        (key!("user_agents"), signals.agents),
        (key!("with_referrer"), signals.with_referrer),
        (key!("with_cookie"), signals.with_cookie),
        (key!("with_credentials"), signals.with_credentials),
        (key!("users"), signals.users),
        (key!("credentials"), signals.credentials),
        (key!("with_client_header"), signals.with_client_header),
        (key!("claims_local"), signals.claims_local),
        (key!("claims_impossible"), signals.claims_impossible),
        (key!("claimed_clients"), signals.claimed_clients),
        (key!("telltales"), signals.telltales),
        (key!("payloads"), signals.payloads),
    ] {
        if count > 0 {
            json.number(name, count);
        }
    }
    json.close(object);
}
