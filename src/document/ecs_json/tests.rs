use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    address::Address,
    address::Endpoint,
    capture::Stamp,
    decode::{Encapsulation, TunnelKind},
    document::testing::{valid, validator},
    event::{Attribution, ClientHeader, ErrorEvent, EventBuilder, EventSettings, MaskedKeys, Site, testing},
    exchange::{EndingFrame, Exchange, Outcome, Remarks, StreamEnd, TlsConnection, TlsFailure, path_and_query},
    time::Timestamp,
};

fn event_schema() -> jsonschema::Validator {
    validator(include_str!("../../../packaging/schemas/event.schema.json"))
}

fn exchange_schema() -> jsonschema::Validator {
    validator(include_str!("../../../packaging/schemas/exchange.schema.json"))
}

/// Encodes an event as a line.
fn event_line(writer: &mut EcsJson, event: &ErrorEvent) -> Vec<u8> {
    let mut batch = Batch::default();
    writer.write(&Document::event(event, &Site::default()), &mut batch);
    batch.bytes().to_vec()
}

/// Encodes an exchange as a line.
fn exchange_line(writer: &mut EcsJson, exchange: &Exchange, attribution: &Attribution) -> Vec<u8> {
    let mut batch = Batch::default();
    let (reason, site) = (EventSettings::default().reason_of(exchange), Site::default());
    writer.write(&Document::exchange(exchange, attribution, reason, &site), &mut batch);
    batch.bytes().to_vec()
}

fn written_event(site: Site, exchange: Exchange) -> Value {
    let now = Stamp { number: 9, time: exchange.event_time() };
    let mut writer = EcsJson::new(Arc::new(site.clone()));
    let event = testing::builder(site).error_event(Box::new(exchange), now).unwrap();
    valid(&event_line(&mut writer, &event), &event_schema())
}

fn written_exchange(site: Site, exchange: &Exchange) -> Value {
    let mut writer = EcsJson::new(Arc::new(site.clone()));
    let attribution = testing::builder(site).attribute(exchange);
    valid(&exchange_line(&mut writer, exchange, &attribution), &exchange_schema())
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_parts(1_700_000_000, milliseconds * 1_000_000)
}

fn full_exchange() -> Exchange {
    let mut exchange = testing::exchange(testing::client(7), at(250), 8, 404, "/login?user=a&password=b");
    exchange.request_start = Some(Stamp { number: 5, time: at(100) });
    exchange.request_end = Some(Stamp { number: 6, time: at(150) });
    exchange.response_end = Some(Stamp { number: 9, time: at(300) });
    exchange.request_body_bytes = 12;
    exchange.response_body_bytes = 3_000;
    exchange.referrer = exchange.store(b"http://u:p@www.example/from");
    exchange.content_type = exchange.store(b"text/html; charset=utf-8");
    exchange.location = exchange.store(b"/next?token=secret");
    exchange.reason = exchange.store(b"Not Found");
    exchange.via = exchange.store(b"1.1 varnish");
    exchange
}

fn tls(server_name: &[u8], cipher: &'static str) -> Arc<TlsConnection> {
    Arc::new(TlsConnection { server_name: server_name.into(), cipher, ..TlsConnection::default() })
}

#[test]
fn an_event_is_this_document() {
    let document = written_event(Site::default(), full_exchange());
    let expected = json!({
        "@timestamp": "2023-11-14T22:13:20.250000000Z",
        "ecs": {"version": ECS_VERSION},
        "agent": {"id": "wirespike", "type": "wirespike", "version": env!("CARGO_PKG_VERSION")},
        "event": {
            "kind": "event", "category": ["web"], "type": ["error"], "outcome": "failure", "reason": "http_status",
            "dataset": "nginx.error", "module": "nginx", "id": document["event"]["id"],
            "start": "2023-11-14T22:13:20.100000000Z",
        },
        "data_stream": {"type": "logs", "dataset": "nginx.error", "namespace": "default"},
        "host": {"name": "203.0.113.80"},
        "source": {"ip": "198.51.100.7", "port": 40_000},
        "destination": {"ip": "203.0.113.80", "port": 80},
        "network": {
            "transport": "tcp", "protocol": "http", "type": "ipv4",
            "community_id": document["network"]["community_id"],
        },
        "http": {
            "version": "1.1",
            "request": {"method": "GET", "referrer": "http://u:***@www.example/from"},
            "response": {"status_code": 404, "mime_type": "text/html"},
        },
        "url": {
            "original": "/login?user=a&password=***", "path": "/login", "query": "user=a&password=***",
            "domain": "www.example",
        },
        "user_agent": {"original": "gobuster/3.6"},
        "wirespike": {
            "dataset": {"evidence": "server_header", "proxied": true},
            "grade": "handshake", "reason_phrase": "Not Found", "location": "/next?token=***", "server": "nginx/1.26.3", "via": "1.1 varnish",
            "time_to_first_byte": 100_000_000,
            "masked": ["url.original", "http.request.referrer", "wirespike.location"],
        },
    });
    assert_eq!(document, expected);
}

#[test]
fn an_exchange_tells_its_end_and_sizes_too() {
    let mut event = written_event(Site::default(), full_exchange());
    let exchange = written_exchange(Site::default(), &full_exchange());
    event["event"]["duration"] = json!(200_000_000);
    event["event"]["end"] = json!("2023-11-14T22:13:20.300000000Z");
    event["http"]["request"]["body"] = json!({"bytes": 12});
    event["http"]["response"]["body"] = json!({"bytes": 3_000});
    assert_eq!(exchange, event);
}

#[test]
fn an_event_written_with_its_exchange_is_as_if_each_were_written_alone() {
    let mut bare = full_exchange();
    (bare.method, bare.target, bare.version) = Default::default();
    let mut unanswered = full_exchange();
    (unanswered.outcome, unanswered.status, unanswered.response_end) = (Outcome::NoResponseClosed, 0, None);
    unanswered.decided = Some(Stamp { number: 9, time: at(300) });
    let mut endless = full_exchange();
    (endless.response_end, endless.request_start) = (None, None);
    for exchange in [full_exchange(), bare, unanswered, endless] {
        let (site, now) = (Site::default(), Stamp { number: 9, time: exchange.event_time() });
        let event = testing::builder(Site::default()).error_event(Box::new(exchange), now).unwrap();
        let documents = Document::pair(&event, &site);
        let written = |write: fn(&mut EcsJson, &[Document<'_>; 2], &mut Batch, &mut Batch)| {
            let (mut events, mut exchanges) = (Batch::default(), Batch::default());
            let before = Document::alert_line(documents[0].id, documents[0].time, documents[0].route, b"before\n");
            events.push(&before, |out| out.extend_from_slice(b"before\n"));
            exchanges.push(&before, |out| out.extend_from_slice(b"earlier\n"));
            write(&mut EcsJson::new(Arc::default()), &documents, &mut events, &mut exchanges);
            [events, exchanges].map(|batch| (batch.len(), String::from_utf8(batch.bytes().to_vec()).unwrap()))
        };
        let alone = written(|writer, [event, exchange], events, exchanges| {
            writer.write(event, events);
            writer.write(exchange, exchanges);
        });
        assert_eq!(written(EcsJson::write_pair), alone);
    }
}

#[test]
fn exchanges_that_are_no_errors_are_of_the_access_dataset() {
    let mut exchange = full_exchange();
    exchange.status = 200;
    let document = written_exchange(Site::default(), &exchange);
    assert_eq!(document["event"]["dataset"], "nginx.access");
    assert_eq!(document["event"]["outcome"], "success");
    exchange.status = 500;
    let document = written_exchange(Site::default(), &exchange);
    assert_eq!(
        (&document["event"]["dataset"], &document["event"]["outcome"]),
        (&json!("nginx.error"), &json!("failure"))
    );
}

#[test]
fn a_named_client_leaves_the_peer_beside_it() {
    let site = Site {
        trusted_proxies: vec!["198.51.100.0/24".parse().unwrap()],
        server_names: [(testing::SERVER.address, "shop".to_owned())].into(),
        ..Site::default()
    };
    let mut exchange = full_exchange();
    exchange.forwarded = exchange.store(b"X-Forwarded-For: 2001:db8::1");
    let document = written_event(site, exchange);
    assert_eq!(document["source"], json!({"ip": "2001:db8::1"}));
    assert_eq!(document["wirespike"]["peer"], json!({"ip": "198.51.100.7", "port": 40_000}));
    assert_eq!(document["wirespike"]["client_source"], ClientHeader::XForwardedFor.name());
    assert_eq!(document["host"]["name"], "shop");
}

#[test]
fn failures_without_a_status_say_what_happened() {
    for (outcome, failure, reason) in [
        (Outcome::NoResponseReset, "reset", "no_response"),
        (Outcome::NoResponseClosed, "closed", "no_response"),
        (Outcome::NoResponseTimeout, "timeout", "no_response"),
        (Outcome::MalformedRequest, "malformed_request", "malformed_request"),
    ] {
        let exchange = Exchange { outcome, status: 0, response_start: None, ..full_exchange() };
        let document = written_event(Site::default(), exchange);
        assert_eq!(document["wirespike"]["failure"], failure);
        assert_eq!(document["event"]["reason"], reason);
        assert!(document["http"]["response"].get("status_code").is_none());
    }
}

#[test]
fn a_tls_alert_shows_name_version_and_alert() {
    let mut exchange = Exchange {
        endpoints: Some((testing::client(1), testing::SERVER)),
        outcome: Outcome::TlsAlert,
        tls_failure: Some(TlsFailure { alert: 70, offered_version: 0x0303, by_server: true }),
        decided: Some(Stamp { number: 3, time: at(1) }),
        ..Exchange::default()
    };
    exchange.tls = Some(tls(b"www.example", ""));
    let document = written_event(Site::default(), exchange);
    assert_eq!(document["network"]["protocol"], "tls");
    assert_eq!(document["tls"], json!({"established": false, "client": {"server_name": "www.example"}}));
    let expected = json!({"alert": 70, "alert_sender": "server", "offered_version": "TLS 1.2"});
    assert_eq!(document["wirespike"]["tls"], expected);
}

#[test]
fn tags_tunnels_and_remarks_are_told() {
    let mut exchange = full_exchange();
    exchange.encapsulation = Encapsulation {
        vlans: [100, 7],
        tunnel: TunnelKind::Vxlan,
        depth: 4,
        tunnel_id: 5_000,
        ..Encapsulation::default()
    };
    exchange.gap_bytes = 1_460;
    exchange.remarks.add(Remarks::BODY_GAP);
    exchange.remarks.add(Remarks::MIDSTREAM);
    let document = written_event(Site::default(), exchange);
    assert_eq!(document["network"]["vlan"]["id"], "100");
    assert_eq!(document["network"]["inner"]["vlan"]["id"], "7");
    assert_eq!(document["wirespike"]["tunnel"], json!({"type": "vxlan", "id": 5_000, "depth": 4}));
    assert_eq!(document["wirespike"]["tcp"], json!({"gap_bytes": 1_460, "disagreeing_bytes": 0}));
    assert_eq!(document["wirespike"]["remarks"], json!(["body_gap", "midstream"]));
}

#[test]
fn the_frame_that_ended_a_stream_is_told() {
    for (frame, by_server, code, remark, expected) in [
        (EndingFrame::Reset, false, 8, Remarks::CANCELLED, json!({"reset": {"by": "client", "code": "CANCEL"}})),
        (EndingFrame::Reset, true, 7, Remarks::REFUSED, json!({"reset": {"by": "server", "code": "REFUSED_STREAM"}})),
        (EndingFrame::GoAway, true, 0, Remarks::REFUSED, json!({"goaway": {"by": "server", "code": "NO_ERROR"}})),
        (EndingFrame::GoAway, false, 77, Remarks::RESET, json!({"goaway": {"by": "client", "code": "0x4d"}})),
    ] {
        let mut exchange = Exchange { stream: 5, outcome: Outcome::Unknown, ..full_exchange() };
        exchange.stream_end = Some(StreamEnd { frame, by_server, code });
        exchange.remarks = remark;
        let written = written_exchange(Site::default(), &exchange);
        assert_eq!(written["wirespike"]["http2"], expected);
        assert_eq!(written["event"]["outcome"], "unknown");
    }
    assert!(written_exchange(Site::default(), &full_exchange())["wirespike"].get("http2").is_none());
}

#[test]
fn paths_and_queries_of_all_forms_of_target() {
    for (target, expected) in [
        ("/a/b?c=d?e", Some(("/a/b", Some("c=d?e")))),
        ("/", Some(("/", None))),
        ("/a?", Some(("/a", Some("")))),
        ("/a#b?c", Some(("/a", None))),
        ("http://host/a?b", Some(("/a", Some("b")))),
        ("http://host?b", Some(("", Some("b")))),
        ("http://host", None),
        ("host:443", None),
        ("*", None),
        ("", None),
    ] {
        let expected = expected.map(|(path, query): (&str, Option<&str>)| (path.as_bytes(), query.map(str::as_bytes)));
        assert_eq!(path_and_query(target.as_bytes()), expected, "{target}");
    }
}

/// Exchanges that each differ in one field from a usual exchange. The usual exchange comes before and after each of them.
fn unlike_each_other() -> Vec<Exchange> {
    let changes: [fn(&mut Exchange); 29] = [
        |_| {},
        |exchange| exchange.endpoints = Some((testing::client(9), testing::SERVER)),
        |exchange| exchange.endpoints = Some((testing::client(7), testing::client(8))),
        |exchange| exchange.endpoints = None,
        |exchange| exchange.encapsulation.vlans = [7, 0],
        |exchange| exchange.outcome = Outcome::NoResponseReset,
        |exchange| exchange.outcome = Outcome::TlsAlert,
        |exchange| exchange.status = 500,
        |exchange| exchange.status = 0,
        |exchange| exchange.version.minor = 0,
        |exchange| exchange.remarks.add(Remarks::MIDSTREAM),
        |exchange| exchange.request_start = None,
        |exchange| (exchange.request_start, exchange.request_end) = (None, None),
        |exchange| exchange.response_start = None,
        |exchange| exchange.response_end = None,
        |exchange| exchange.decided = Some(Stamp { number: 3, time: at(299) }),
        |exchange| exchange.response_body_bytes = 7,
        |exchange| exchange.gap_bytes = 7,
        |exchange| {
            let end = StreamEnd { frame: EndingFrame::Reset, by_server: false, code: 8 };
            exchange.stream_end = Some(end);
        },
        |exchange| exchange.tls_failure = Some(TlsFailure { alert: 70, offered_version: 0x0303, by_server: true }),
        |exchange| exchange.method = exchange.store(b"P\xffST"),
        |exchange| exchange.method = exchange.store(b""),
        |exchange| exchange.target = exchange.store(b"/\xff?token=x&y#z"),
        |exchange| exchange.target = exchange.store(b""),
        |exchange| exchange.host = exchange.store(b"other.example:8080"),
        |exchange| exchange.user_agent = exchange.store(b""),
        |exchange| exchange.referrer = exchange.store(b"/\x01?token=x"),
        |exchange| exchange.location = exchange.store(b"/?token=x"),
        |exchange| exchange.forwarded = exchange.store(b"X-Forwarded-For: 2001:db8::1"),
    ];
    let texts: [fn(&mut Exchange); 6] = [
        |exchange| exchange.content_type = exchange.store(b"text/plain"),
        |exchange| exchange.server = exchange.store(b"Apache"),
        |exchange| exchange.via = exchange.store(b""),
        |exchange| exchange.reason = exchange.store(b"Gone\x07"),
        |exchange| {
            exchange.tls = Some(tls(b"www.example", "TLS_AES_128_GCM_SHA256"));
        },
        |exchange| exchange.tls = Some(tls(b"www.example", "TLS_AES_256_GCM_SHA384")),
    ];
    let usual = |target: &str| {
        let mut exchange = full_exchange();
        exchange.target = exchange.store(target.as_bytes());
        exchange
    };
    let changed = |change: &fn(&mut Exchange)| {
        let mut exchange = full_exchange();
        change(&mut exchange);
        [usual("/a"), usual("/a?b"), exchange.clone(), exchange]
    };
    changes.iter().chain(&texts).flat_map(changed).collect()
}

#[test]
fn documents_after_others_are_as_if_each_were_written_first() {
    let proxies = vec!["198.51.100.7/32".parse().unwrap()];
    let site = Arc::new(Site { trusted_proxies: proxies, ..Site::default() });
    let settings = EventSettings::default();
    let mut builder = EventBuilder::new(settings, Arc::clone(&site));
    let new_writer = || EcsJson::new(Arc::clone(&site));
    let mut writer = new_writer();
    for exchange in unlike_each_other() {
        let attribution = builder.attribute(&exchange);
        let exchange_after = exchange_line(&mut writer, &exchange, &attribution);
        let exchange_first = exchange_line(&mut new_writer(), &exchange, &attribution);
        assert_eq!(String::from_utf8(exchange_after), String::from_utf8(exchange_first));
        let now = Stamp { number: 9, time: exchange.event_time() };
        let Ok(event) = builder.error_event(Box::new(exchange), now) else { continue };
        let event_after = event_line(&mut writer, &event);
        let event_first = event_line(&mut new_writer(), &event);
        assert_eq!(String::from_utf8(event_after), String::from_utf8(event_first));
    }
}

#[test]
fn community_ids_are_not_mixed_up_between_connections() {
    let mut writer = EcsJson::new(Arc::default());
    let mut builder = testing::builder(Site::default());
    let ids: Vec<Value> = [1, 1, 2, 1]
        .map(|number| {
            let exchange = testing::exchange(testing::client(number), at(0), 1, 404, "/");
            let line = exchange_line(&mut writer, &exchange, &builder.attribute(&exchange));
            serde_json::from_slice::<Value>(&line).unwrap()["network"]["community_id"].clone()
        })
        .to_vec();
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[3]));
    assert_ne!(ids[0], ids[2]);
}

proptest! {
    #[test]
    fn no_bytes_break_a_line_and_what_is_changed_is_named(
        fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 11),
        status in 0u16..600,
        bits in any::<u32>(),
    ) {
        let mut exchange = full_exchange();
        exchange.status = if status < 100 { 0 } else { status };
        exchange.remarks = Remarks(bits);
        exchange.method = exchange.store(&fields[0]);
        exchange.target = exchange.store(&fields[1]);
        exchange.host = exchange.store(&fields[2]);
        exchange.user_agent = exchange.store(&fields[3]);
        exchange.referrer = exchange.store(&fields[4]);
        exchange.content_type = exchange.store(&fields[5]);
        exchange.location = exchange.store(&fields[6]);
        exchange.server = exchange.store(&fields[7]);
        exchange.via = exchange.store(&fields[8]);
        exchange.reason = exchange.store(&fields[9]);
        exchange.tls = Some(tls(&fields[10], ""));
        exchange.endpoints = Some((Endpoint::new(Address::v6([1; 16]), 1), testing::SERVER));
        // A mask may take the bytes away that would have to be changed.
        let site = Site { masked_keys: MaskedKeys::new(Vec::new()), ..Site::default() };
        let document = written_exchange(site, &exchange);
        let plain = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| {
            text.chars().all(crate::printable::is_printable)
        });
        let sanitized: Vec<_> = document["wirespike"]["sanitized"].as_array().into_iter().flatten().collect();
        for (bytes, name) in [(&fields[0], "http.request.method"), (&fields[3], "user_agent.original")] {
            prop_assert_eq!(sanitized.iter().any(|known| *known == name), !plain(bytes), "{}", name);
        }
        if plain(&fields[3]) && !fields[3].is_empty() {
            prop_assert_eq!(document["user_agent"]["original"].as_str().unwrap().as_bytes(), &fields[3][..]);
        }
    }
}
