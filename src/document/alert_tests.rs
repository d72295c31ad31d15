use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    capture::Stamp,
    detect::{ErrorSpike, ErrorSpikeSettings, Matched, Mode, Rule, RuleContext},
    document::testing::{valid, validator},
    event::{EventBuilder, EventSettings, Reason, Site, testing},
    exchange::{Exchange, Grade, Outcome, Protocol, TlsFailure},
    time::Timestamp,
};

fn schema() -> jsonschema::Validator {
    validator(include_str!("../../packaging/schemas/alert.schema.json"))
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_parts(1_699_999_800 + seconds, 0)
}

/// A request of the client: the status of the response, the target, the user agent.
type Request<'a> = (u16, &'a str, &'a [u8]);

fn exchange(request: &Request<'_>, time: Timestamp, packet: u64) -> Exchange {
    let &(status, target, user_agent) = request;
    let mut exchange = testing::exchange(testing::client(7), time, packet, status, target);
    exchange.user_agent = exchange.store(user_agent);
    if status == 0 {
        exchange.outcome = Outcome::NoResponseReset;
    }
    exchange
}

fn alerts(settings: &ErrorSpikeSettings, requests: &[Request<'_>]) -> (Vec<Alert>, Vec<Value>) {
    graded_alerts(settings, requests, &[Grade::Handshake])
}

/// The alerts for requests whose grades are these in turn.
fn graded_alerts(
    settings: &ErrorSpikeSettings,
    requests: &[Request<'_>],
    grades: &[Grade],
) -> (Vec<Alert>, Vec<Value>) {
    let mut builder = testing::builder(Site::default());
    let mut engine = ErrorSpike::new(settings.clone(), &RuleContext::default());
    let mut alerts = Vec::new();
    for (packet, request) in requests.iter().enumerate() {
        let (packet, time) = (packet as u64, at(packet as u64));
        let now = Stamp { number: packet, time };
        let mut exchange = exchange(request, time, packet);
        exchange.grade = grades[packet as usize % grades.len()];
        if let Ok(event) = builder.error_event(Box::new(exchange), now) {
            engine.take(&Matched::of(&event), &mut alerts);
        }
    }
    engine.finish(at(requests.len() as u64), &mut alerts);
    let documents = checked(&alerts);
    (alerts, documents)
}

/// Encodes alerts and checks them against the schema.
fn checked(alerts: &[Alert]) -> Vec<Value> {
    let schema = schema();
    alerts
        .iter()
        .map(|alert| {
            let mut line = Vec::new();
            write_alert(&mut line, alert, &Verdict::of(alert, None), &Annotations::NONE, None);
            valid(&line, &schema)
        })
        .collect()
}

fn message(settings: &ErrorSpikeSettings, requests: &[Request<'_>]) -> String {
    alerts(settings, requests).1[0]["message"].as_str().unwrap().to_owned()
}

#[test]
fn an_alert_says_all_an_analyst_asks() {
    let paths: Vec<String> = (0..60).map(|number| format!("/path-{number}?q=1")).collect();
    let requests: Vec<Request<'_>> = paths
        .iter()
        .enumerate()
        .map(|(index, path)| (if index % 10 == 9 { 403 } else { 404 }, path.as_str(), &b"gobuster/3.6"[..]))
        .collect();
    let (_, documents) = alerts(&ErrorSpikeSettings::default(), &requests);
    assert_eq!(documents.len(), 1);
    let document = &documents[0];
    assert_eq!(
        document["message"],
        "198.51.100.7 caused 60 errors on www.example (nginx) within 59 seconds: 54 × 404, 6 × 403 over 60 different paths; \
         looks like path enumeration by gobuster/3.6"
    );
    assert_eq!(
        document["Esql"],
        json!({
            "event_count": 60, "host_name_values": ["203.0.113.80"], "agent_id_values": ["wirespike"],
            "event_dataset_values": ["nginx.error"], "data_stream_namespace_values": ["default"],
        })
    );
    let alert = &document["wirespike"]["alert"];
    assert_eq!(alert["window"]["start"], "2023-11-14T22:09:00.000000000Z");
    assert_eq!(alert["window"]["end"], "2023-11-14T22:20:00.000000000Z");
    assert_eq!(alert["status_codes"], json!([{"status_code": 404, "count": 54}, {"status_code": 403, "count": 6}]));
    assert_eq!(alert["methods"], json!([{"method": "GET", "count": 60}]));
    assert_eq!(alert["servers"], json!([{"ip": "203.0.113.80", "port": 80, "count": 60}]));
    assert_eq!(alert["user_agents"], json!([{"user_agent": "gobuster/3.6", "count": 60}]));
    assert_eq!(alert["first_error"]["@timestamp"], "2023-11-14T22:10:00.000000000Z");
    assert_eq!(alert["first_error"]["path"], "/path-0");
    assert_eq!(alert["last_error"]["path"], "/path-59");
    assert_eq!(alert["paths"].as_array().unwrap().len(), 10);
    assert_eq!(alert["verdict"]["name"], "enumeration");
    assert_eq!(document["rule"]["id"], "5a0c9f3e-7d41-4b6e-9c58-2f1f0f6b8e10");
    assert_eq!((&alert["rule"], &alert["severity"]), (&json!("error_spike"), &json!("low")));
    assert_eq!(alert["group"], json!({"source.ip": "198.51.100.7", "agent.id": "wirespike"}));
    assert_eq!(document["source"], json!({"ip": "198.51.100.7"}));
}

#[test]
fn an_alert_says_what_its_errors_rest_on() {
    let paths: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
    let requests: Vec<Request<'_>> = paths.iter().map(|path| (404, path.as_str(), &b"x"[..])).collect();
    let (handshake, two_way, one_way) = (Grade::Handshake, Grade::TwoWay, Grade::OneWay);
    for (grades, evidence, said, may_block) in [
        (
            &[handshake][..],
            json!({"grade": "handshake", "errors": {"handshake": 60}, "confirmed": 60}),
            "enumeration",
            true,
        ),
        (
            &[two_way],
            json!({"grade": "two_way", "errors": {"two_way": 60}, "confirmed": 60}),
            "; the beginning of each connection was not seen",
            true,
        ),
        (
            &[one_way],
            json!({"grade": "one_way", "errors": {"one_way": 60}, "confirmed": 0}),
            "; only one side of each connection was seen, so the address may be forged",
            false,
        ),
        (
            &[handshake, handshake, two_way, one_way],
            json!({"grade": "handshake", "errors": {"handshake": 30, "two_way": 15, "one_way": 15}, "confirmed": 45}),
            "; of 15 of them only one side of the connection was seen, so their address may be forged",
            false,
        ),
    ] {
        let (_, documents) = graded_alerts(&ErrorSpikeSettings::default(), &requests, grades);
        let alert = &documents[0]["wirespike"]["alert"];
        assert_eq!(alert["evidence"], evidence);
        assert_eq!(documents[0]["Esql"]["event_count"], 60, "the threshold counts all errors");
        assert_eq!((&alert["severity"], &documents[0]["event"]["risk_score"]), (&json!("low"), &json!(21)));
        let message = documents[0]["message"].as_str().unwrap();
        assert!(message.ends_with(said), "{message}");
        let steps = alert["next_steps"].to_string();
        assert_eq!((steps.contains("hold it off"), steps.contains("Do not block")), (may_block, !may_block), "{steps}");
    }
}

#[test]
fn an_alert_names_the_file_with_its_packets() {
    let paths: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
    let requests: Vec<Request<'_>> = paths.iter().map(|path| (404, path.as_str(), &b"x"[..])).collect();
    let (found, _) = alerts(&ErrorSpikeSettings::default(), &requests);
    let mut line = Vec::new();
    let verdict = Verdict::of(&found[0], None);
    write_alert(&mut line, &found[0], &verdict, &Annotations::NONE, Some("packets/\u{7}of \"it\".pcapng"));
    let document: Value = serde_json::from_slice(&line).unwrap();
    assert!(schema().is_valid(&document), "{document}");
    assert_eq!(document["wirespike"]["alert"]["evidence"]["file"], "packets/\u{7}of \"it\".pcapng");
}

#[test]
fn clients_without_a_place_are_summed_up() {
    let limits = ErrorSpikeSettings { threshold: 4, max_alerts: 1, max_clients: 3, ..ErrorSpikeSettings::default() };
    for (mode, partial) in [(Mode::Scheduled, true), (Mode::Streaming, true)] {
        let settings = ErrorSpikeSettings { mode, ..limits.clone() };
        let (mut engine, mut found) = (ErrorSpike::new(settings, &RuleContext::default()), Vec::new());
        for (number, errors) in [(1, 9), (2, 7), (3, 5), (4, 1)] {
            for packet in 0..errors {
                let event = testing::event(testing::client(number), at(1), packet, "/");
                engine.take(&Matched::of(&event), &mut found);
            }
        }
        engine.finish(at(1), &mut found);
        let documents = checked(&found);
        let document = documents.iter().find(|document| document["event"]["action"] == "left_out").unwrap();
        let alert = &document["wirespike"]["alert"];
        assert_eq!((&alert["kind"], &alert["group"]), (&json!("left_out"), &json!({"agent.id": "wirespike"})));
        assert_eq!((document.get("source"), &alert["window"]["partial"]), (None, &json!(partial)));
        assert_eq!(
            alert["left_out"],
            json!({
                "alert_limit": {"clients": 2, "errors": 12, "confirmed": 12},
                "client_limit": {"clients": 1, "errors": 1, "confirmed": 1},
                "largest": [
                    {"ip": "198.51.100.2", "errors": 7, "confirmed": 7},
                    {"ip": "198.51.100.3", "errors": 5, "confirmed": 5},
                    {"ip": "198.51.100.4", "errors": 1, "confirmed": 1},
                ],
            })
        );
        let within = if mode == Mode::Scheduled { "11" } else { "10" };
        assert_eq!(
            document["message"],
            format!(
                "2 clients with 12 errors, 12 confirmed, got no alert because the limit of alerts was reached; up to 1 client \
                 with 1 error, 1 confirmed, could not be counted because the table of clients was full; in {within} minutes; \
                 the largest: 198.51.100.2 (7), 198.51.100.3 (5), 198.51.100.4 (1)"
            )
        );
    }
}

#[test]
fn each_pattern_has_its_verdict_even_when_nothing_else_is_known() {
    let settings = ErrorSpikeSettings::default();
    let names: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
    let many = |status: u16| names.iter().map(|name| (status, name.as_str(), &b"x"[..])).collect::<Vec<_>>();
    let one = |status: u16| vec![(status, "/login", &b"x"[..]); 60];
    for (requests, verdict) in [
        (many(404), "enumeration"),
        (one(404), "broken_link"),
        (one(401), "credential_guessing"),
        (many(403), "enumeration"),
        (one(503), "server_failing"),
        (many(500), "fault_injection"),
        (one(400), "protocol_probing"),
        (one(429), "rate_limited"),
        ([many(404)[..25].to_vec(), one(401)[..20].to_vec(), one(500)[..15].to_vec()].concat(), "unclear"),
    ] {
        let (_, documents) = alerts(&settings, &requests);
        assert_eq!(documents[0]["wirespike"]["alert"]["verdict"]["name"], verdict);
    }
}

/// The alerts for exchanges one second apart, where all reasons count.
fn alerts_of(exchanges: impl Iterator<Item = Exchange>) -> Vec<Value> {
    let reasons = Reason::ALL.into_iter().collect();
    let mut builder = EventBuilder::new(EventSettings { reasons, ..EventSettings::default() }, Arc::default());
    let settings = ErrorSpikeSettings { reasons, ..ErrorSpikeSettings::default() };
    let mut engine = ErrorSpike::new(settings, &RuleContext::default());
    let mut alerts = Vec::new();
    let mut now = Stamp { number: 0, time: at(0) };
    for mut exchange in exchanges {
        exchange.request_end = Some(now);
        exchange.response_start = Some(now);
        let event = builder.error_event(Box::new(exchange), now).unwrap();
        engine.take(&Matched::of(&event), &mut alerts);
        now = Stamp { number: now.number + 1, time: at(now.number + 1) };
    }
    engine.finish(now.time, &mut alerts);
    checked(&alerts)
}

/// The alerts for calls of gRPC: the code of each, and the method that was called.
fn alerts_of_calls(calls: &[(u16, &str)]) -> Vec<Value> {
    alerts_of(calls.iter().map(|(code, path)| {
        let exchange = exchange(&(200, path, b"grpc-go/1.33"), at(0), 0);
        Exchange { grpc_status: Some(*code), ..exchange }
    }))
}

/// A handshake that failed with an alert, sent by the server or by the client.
fn handshake(alert: u8, by_server: bool) -> Exchange {
    Exchange {
        endpoints: Some((testing::client(7), testing::SERVER)),
        outcome: Outcome::TlsAlert,
        protocol: Protocol::Tls,
        grade: Grade::Handshake,
        tls_failure: Some(TlsFailure { alert, offered_version: 0x0303, by_server }),
        ..Exchange::default()
    }
}

#[test]
fn handshakes_that_fail_are_named_by_their_alerts_and_blame_nobody() {
    for (alert, by_server, named, shown, step) in [
        (
            48,
            false,
            "TLS alert 48 unknown_ca by the client",
            "a client that does not accept the server's certificate",
            "Check the certificate of 203.0.113.80:80: its dates, its names, its chain. If it is right, 198.51.100.7 does not know \
             its authority.",
        ),
        (
            116,
            true,
            "TLS alert 116 certificate_required",
            "a server that accepts no certificate of the client",
            "Check which certificate 198.51.100.7 is to show, whether it is still valid, and whether 203.0.113.80:80 knows its \
             authority.",
        ),
        (
            70,
            true,
            "TLS alert 70 protocol_version",
            "a client and a server that do not agree on a TLS handshake",
            "Compare the TLS versions and cipher suites that 203.0.113.80:80 accepts with what 198.51.100.7 offers: the events name \
             its highest version and its JA4.",
        ),
        (
            112,
            true,
            "TLS alert 112 unrecognized_name",
            "a client that asks for a name that the server does not know",
            "Check the names that 198.51.100.7 asks for, as the events give them, against those of 203.0.113.80:80.",
        ),
        (
            0,
            true,
            "TLS handshake cut off",
            "TLS handshakes that fail",
            "Read the log of 203.0.113.80:80: it may say why handshakes with 198.51.100.7 fail.",
        ),
    ] {
        let alert = &alerts_of((0..60).map(|_| handshake(alert, by_server)))[0];
        assert_eq!(
            alert["message"],
            format!("198.51.100.7 caused 60 errors on 203.0.113.80:80 within 59 seconds: 60 × {named}; shows {shown}")
        );
        let facts = &alert["wirespike"]["alert"];
        assert_eq!((&facts["methods"], &facts["distinct_paths"]), (&json!([]), &json!(0)));
        assert_eq!(facts["verdict"]["name"], "unclear");
        assert_eq!((&facts["next_steps"][0], facts["next_steps"].as_array().unwrap().len()), (&json!(step), 2));
    }
}

#[test]
fn requests_and_handshakes_that_fail_are_counted_apart() {
    let requests = |status: u16, count: usize| (0..count).map(move |_| exchange(&(status, "/a", b"x"), at(0), 0));
    let malformed = Exchange { outcome: Outcome::MalformedRequest, ..exchange(&(0, "/a", b"x"), at(0), 0) };
    let handshakes = [(70, true), (48, false), (40, true), (40, false), (0, true)]
        .map(|(alert, by_server)| handshake(alert, by_server));
    let mixed = requests(400, 40).chain(requests(0, 10)).chain([malformed]).chain(handshakes);
    let alert = &alerts_of(mixed)[0];
    let message = alert["message"].as_str().unwrap();
    let counted = "40 × 400, 10 without an answer, 1 malformed and without an answer over 1 path, 1 × TLS handshake cut off, \
                   1 × TLS alert 40 handshake_failure by the client, 1 × TLS alert 40 handshake_failure, \
                   1 × TLS alert 48 unknown_ca by the client, 1 other failed TLS handshake; looks like protocol probing";
    assert!(message.contains(counted), "{message}");
    let facts = &alert["wirespike"]["alert"];
    let reasons = json!([
        "5 of 56 errors are failed TLS handshakes, of which the server ended 3 and the client ended 2.",
        "41 of 56 errors refuse the form of the request.",
    ]);
    assert_eq!(facts["verdict"]["reasons"], reasons);
    assert_eq!(facts["methods"], json!([{"method": "GET", "count": 51}]));
}

#[test]
fn a_client_that_is_refused_in_many_ways_tries_out_the_server() {
    let refused = |ways: &[u8], by_server: bool| {
        let alerts = alerts_of((0..60).map(|number| handshake(ways[number % ways.len()], by_server)));
        alerts[0]["wirespike"]["alert"].clone()
    };
    for (ways, by_server) in [(&[40, 70][..], true), (&[42, 45, 46, 48], false)] {
        let facts = refused(ways, by_server);
        assert_eq!(facts["verdict"]["name"], "unclear", "{ways:?}");
        assert!(!facts["next_steps"].to_string().contains("hold it off"), "{ways:?}");
    }
    let facts = refused(&[40, 70, 47], true);
    assert_eq!(facts["verdict"]["name"], "protocol_probing");
    assert_eq!(facts["verdict"]["reasons"][1], "The server refused 60 handshakes in at least 3 different ways.");
    let steps = facts["next_steps"].to_string();
    assert!(steps.contains("The first connection is from 198.51.100.7:40000 to 203.0.113.80:80."), "{steps}");
    assert!(steps.contains("accepts no weak TLS version") && steps.contains("hold it off"), "{steps}");
}

#[test]
fn calls_that_fail_are_judged_as_requests_that_fail() {
    let names: Vec<String> = (0..60).map(|number| format!("/shop.Cart/{number}")).collect();
    let one: Vec<String> = vec!["/shop.Cart/Log".to_owned(); 60];
    for (code, status) in
        [(16, 401), (7, 403), (5, 404), (12, 404), (8, 429), (14, 503), (13, 500), (3, 400), (99, 500)]
    {
        for paths in [&names, &one] {
            let calls: Vec<_> = paths.iter().map(|path| (code, path.as_str())).collect();
            let requests: Vec<_> = paths.iter().map(|path| (status, path.as_str(), &b"grpc-go/1.33"[..])).collect();
            let of = |alert: &Value| alert["wirespike"]["alert"]["verdict"].clone();
            let (call, request) =
                (&alerts_of_calls(&calls)[0], &alerts(&ErrorSpikeSettings::default(), &requests).1[0]);
            let [called, requested] = [of(call), of(request)];
            assert_eq!(
                (&called["name"], &called["confidence"]),
                (&requested["name"], &requested["confidence"]),
                "{code}"
            );
            let [called, requested] = [called, requested].map(|verdict| verdict["reasons"].as_array().unwrap().clone());
            assert_eq!(called[1..], requested, "{code}");
        }
    }
}

#[test]
fn an_alert_about_calls_names_their_status() {
    let calls: Vec<_> = (0..60).map(|number| if number < 50 { (16, "/a/B") } else { (7, "/a/C") }).collect();
    let alert = &alerts_of_calls(&calls)[0];
    let message = alert["message"].as_str().unwrap();
    assert!(message.contains(": 50 × gRPC 16 UNAUTHENTICATED, 10 × gRPC 7 PERMISSION_DENIED over 2 "), "{message}");
    let facts = &alert["wirespike"]["alert"];
    assert_eq!(facts["status_codes"], json!([{"status_code": 200, "count": 60}]));
    let counts = json!([
        {"grpc_status_code": 16, "name": "UNAUTHENTICATED", "count": 50},
        {"grpc_status_code": 7, "name": "PERMISSION_DENIED", "count": 10},
    ]);
    assert_eq!(facts["grpc_status_codes"], counts);
    assert_eq!(
        (&facts["first_error"]["grpc_status_code"], &facts["last_error"]["grpc_status_code"]),
        (&json!(16), &json!(7))
    );
    assert_eq!(
        facts["verdict"]["reasons"][0],
        "50 of 60 errors are gRPC 16 UNAUTHENTICATED, judged as 401 of HTTP; \
         10 of 60 errors are gRPC 7 PERMISSION_DENIED, judged as 403 of HTTP."
    );
}

#[test]
fn more_servers_than_are_listed_are_counted() {
    for (servers, unlisted) in [(32u16, None), (40, Some(8))] {
        let settings = ErrorSpikeSettings { threshold: 0, ..ErrorSpikeSettings::default() };
        let (mut engine, mut found) = (ErrorSpike::new(settings, &RuleContext::default()), Vec::new());
        for port in 1..=servers {
            let mut event = testing::bare_event(testing::client(7), at(1), port.into(), at(1));
            event.observation.server.port = port;
            engine.take(&Matched::of(&event), &mut found);
        }
        engine.finish(at(1), &mut found);
        let mut line = Vec::new();
        write_alert(&mut line, &found[0], &Verdict::of(&found[0], None), &Annotations::NONE, None);
        let alert: Value = serde_json::from_slice(&line).unwrap();
        let said = alert["wirespike"]["alert"].get("on_unlisted_servers").and_then(Value::as_u64);
        assert_eq!(said, unlisted);
    }
}

#[test]
fn tools_name_themselves() {
    let settings = ErrorSpikeSettings { threshold: 0, ..ErrorSpikeSettings::default() };
    for (user_agent, tool) in [
        ("gobuster/3.6", Some("gobuster/3.6")),
        ("Fuzz Faster U Fool v2.1.0-dev", Some("ffuf/2.1.0-dev")),
        ("Mozilla/5.00 (Nikto/2.1.6) (Evasions:None) (Test:000001)", Some("Nikto/2.1.6")),
        ("sqlmap/1.7#stable (https://sqlmap.org)", Some("sqlmap/1.7")),
        ("Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", Some("Nmap")),
        ("curl/7.88.1", Some("curl/7.88.1")),
        ("Wfuzz/3.1.0", Some("Wfuzz/3.1.0")),
        ("Mozilla/5.0", None),
    ] {
        let (_, documents) = alerts(&settings, &[(404, "/", user_agent.as_bytes())]);
        assert_eq!(documents[0]["wirespike"]["alert"]["verdict"].get("tool").and_then(Value::as_str), tool);
    }
}

#[test]
fn messages_fit_what_happened() {
    let settings = ErrorSpikeSettings { threshold: 0, ..ErrorSpikeSettings::default() };
    assert_eq!(
        message(&settings, &[(404, "/", b"")]),
        "198.51.100.7 caused 1 error on www.example (nginx) within less than a second: 1 × 404 over 1 path; looks like a broken link or \
         a stale client"
    );
    let all = ErrorSpikeSettings { reasons: Default::default(), ..settings };
    let said = message(&all, &[(0, "/", b""), (0, "/", b""), (500, "/", b"")]);
    assert!(said.contains("3 errors on www.example (nginx) within 2 seconds: 1 × 500, 2 without an answer"), "{said}");
}

#[test]
fn streaming_alerts_fit_the_schema_too() {
    let settings = ErrorSpikeSettings { mode: Mode::Streaming, threshold: 10, ..ErrorSpikeSettings::default() };
    let (_, documents) = alerts(&settings, &[(404, "/", &b"curl/8"[..]); 100]);
    let kinds: Vec<_> = documents.iter().map(|document| document["event"]["action"].clone()).collect();
    assert_eq!(kinds, ["open", "update", "close"]);
    assert_eq!(documents[2]["wirespike"]["alert"]["episode"]["count"], 100);
    assert!(documents[2]["message"].as_str().unwrap().ends_with("; now quiet"));
    assert!(documents.iter().all(|document| document["event"]["id"] == documents[0]["event"]["id"]));
}

#[test]
fn an_alert_names_servers_and_masks_keys_as_events_do() {
    let site = Site {
        server_names: [(testing::SERVER.address, "shop".to_owned())].into(),
        masked_keys: crate::event::MaskedKeys::new(vec!["ticket".to_owned()]),
        ..Site::default()
    };
    let settings = ErrorSpikeSettings { threshold: 0, ..ErrorSpikeSettings::default() };
    let context = RuleContext { site: Arc::new(site), ..RuleContext::default() };
    let mut engine = ErrorSpike::new(settings, &context);
    let (mut builder, mut found) = (EventBuilder::new(EventSettings::default(), context.site), Vec::new());
    let long = format!("/{};ticket=s3cr3t", "x".repeat(240));
    for (packet, target) in ["/;ticket=s3cr3t/a", "/b;ticket=s3cr3t", &long].into_iter().enumerate() {
        let request = (404, target, &b"http://user:s3cr3t@host/;ticket=s3cr3t"[..]);
        let now = Stamp { number: packet as u64, time: at(packet as u64) };
        let exchange = Box::new(exchange(&request, now.time, now.number));
        engine.take(&Matched::of(&builder.error_event(exchange, now).unwrap()), &mut found);
    }
    let secret = b"s3cr3t".map(|byte| byte.to_string()).join(",");
    assert!(!serde_json::to_string(&engine.snapshot()).unwrap().contains(&secret), "the state file has none either");
    engine.finish(at(3), &mut found);
    let mut line = Vec::new();
    write_alert(&mut line, &found[0], &Verdict::of(&found[0], None), &Annotations::NONE, None);
    let text = String::from_utf8(line).unwrap();
    assert!(!text.contains("s3cr3t") && text.contains("/;ticket=***/a") && text.contains("ticket=***\""), "{text}");
    assert!(text.contains("\"host_name_values\":[\"shop\"]") && text.contains("\"name\":\"shop\""), "{text}");
}

#[test]
fn credentials_stay_within_the_sensor() {
    let settings = ErrorSpikeSettings { threshold: 0, ..ErrorSpikeSettings::default() };
    let (_, documents) = alerts(&settings, &[(404, "/a;jsessionid=0123?password=x", &b""[..]); 2]);
    let text = documents[0].to_string();
    assert!(!text.contains("0123") && !text.contains("password=x"), "{text}");
    assert!(text.contains("/a;jsessionid=***"), "{text}");
}

proptest! {
    #[test]
    fn no_bytes_break_an_alert(
        texts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), 400u16..600), 1..30),
    ) {
        let settings = ErrorSpikeSettings { threshold: 0, ..ErrorSpikeSettings::default() };
        let mut engine = ErrorSpike::new(settings.clone(), &RuleContext::default());
        let mut builder = testing::builder(Site::default());
        let mut found = Vec::new();
        for (bytes, status) in &texts {
            let mut exchange = testing::exchange(testing::client(7), at(0), 1, *status, "");
            exchange.target = exchange.store(bytes);
            exchange.host = exchange.store(bytes);
            exchange.user_agent = exchange.store(bytes);
            exchange.method = exchange.store(bytes);
            let event = builder.error_event(Box::new(exchange), Stamp { number: 1, time: at(0) }).unwrap();
            engine.take(&Matched::of(&event), &mut found);
        }
        engine.finish(at(0), &mut found);
        prop_assert_eq!(found[0].count, texts.len() as u64);
        let mut line = Vec::new();
        write_alert(&mut line, &found[0], &Verdict::of(&found[0], None), &Annotations::NONE, None);
        let text = std::str::from_utf8(&line).unwrap().trim_end_matches('\n');
        prop_assert!(!text.chars().any(char::is_control));
        let value: Value = serde_json::from_str(text).unwrap();
        prop_assert!(schema().is_valid(&value), "{}", text);
    }
}
