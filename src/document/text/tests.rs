use serde_json::json;

use super::*;

fn shown(document: &Value) -> String {
    let text = Layout::default().alert(document);
    for line in text.lines() {
        assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
        assert!(!line.ends_with(' '), "{line:?}");
    }
    text
}

/// An alert with everything that an alert can have.
fn scan() -> Value {
    json!({
        "@timestamp": "2026-11-24T21:40:00.000000000Z",
        "event": {
            "id": "7433a2c397971e03da728b5a465950cb9313cc97",
            "severity": 73,
            "start": "2026-11-24T21:29:00.000000000Z",
            "end": "2026-11-24T21:40:00.000000000Z",
        },
        "message": "192.0.2.10 caused 271 errors in 284 requests to 192.0.2.80 (nginx) in 1 second: 265 × 404, 3 × 410, 3 × 502 \
                    over 271 different paths; enumeration by gobuster/3.5, which got 2 sensitive files",
        "rule": {"name": "Web server error spike from one client"},
        "threat": {"technique": {
            "id": ["T1595"], "name": ["Active Scanning"],
            "subtechnique": {"id": ["T1595.003"], "name": ["Wordlist Scanning"]},
        }},
        "source": {"ip": "192.0.2.10"},
        "wirespike": {"alert": {
            "kind": "scheduled",
            "count": 271,
            "severity": "high",
            "severity_reasons": ["it got /.env, a file of secrets, with status 200"],
            "window": {"start": "2026-11-24T21:29:00Z", "end": "2026-11-24T21:40:00Z", "lower_bound": true},
            "verdict": {
                "name": "enumeration", "confidence": 0.93, "tool": "gobuster/3.5",
                "reasons": [
                    "271 different paths in 271 requests that failed",
                    "all paths follow the order of a word list, and 258 of them end in one of the three extensions bak, php and old",
                    "no request has a referrer or a cookie",
                    "the pace is 5,180 requests a second",
                ],
            },
            "extent": {
                "start": "2026-11-24T21:30:54.027498837Z", "end": "2026-11-24T21:30:54.082242258Z",
                "seconds": 0.054743421, "requests": 284, "errors": 271, "requests_per_second": 5187.8,
            },
            "servers": [{"ip": "192.0.2.80", "port": 80, "count": 271}],
            "found": [
                {"path": "/.env", "status": 200, "bytes": 1412, "class": "environment_file", "type": "text"},
                {"path": "/admin", "status": 301, "bytes": 169, "class": "admin_console", "redirect": "/admin/"},
                {"path": "/login", "status": 302, "method": "POST", "session": true},
            ],
            "telltales": [
                {"class": "version_control", "path": "/.git/config", "status": 404, "count": 2},
                {"class": "backup", "path": "/db.sql.gz", "count": 1},
            ],
            "timeline": [{
                "start": "2026-11-24T21:30:00Z", "server": {"ip": "192.0.2.80", "port": 80},
                "requests": 284, "errors": {"4xx": 268, "5xx": 3}, "distinct_paths": 284,
            }],
            "others": [{"ip": "198.51.100.4", "errors": 1200, "shared_paths": 90}, {"ip": "198.51.100.5", "errors": 12}],
            "labels": ["own scanners"],
            "next_steps": [
                "Remove /.env from the web root of 192.0.2.80, and change every secret in it.",
                "Look at what it did: tcpdump -r capture.pcap 'host 192.0.2.10 and host 192.0.2.80'",
            ],
            "evidence": {"grade": "two_way", "file": "7433a2c3.pcapng"},
        }},
    })
}

#[test]
fn an_alert_is_shown_with_all_it_has() {
    let expected = "\
192.0.2.10 caused 271 errors in 284 requests to 192.0.2.80 (nginx) in 1 second:
265 × 404, 3 × 410, 3 × 502 over 271 different paths; enumeration by
gobuster/3.5, which got 2 sensitive files
severity   high: it got /.env, a file of secrets, with status 200
verdict    enumeration by gobuster/3.5, confidence 0.93
           - 271 different paths in 271 requests that failed
           - all paths follow the order of a word list, and 258 of them end in
             one of the three extensions bak, php and old
           - no request has a referrer or a cookie
           - and 1 more
activity   2026-11-24 21:30:54 to 21:30:54 UTC (0.05 s), 271 errors in 284
           requests, 5,188 requests a second
servers    192.0.2.80:80 (271)
found      200  /.env  environment file, 1,412 bytes, text
           301  /admin  admin console, 169 bytes, redirects to /admin/
           302  POST /login  sets a session cookie
tell-tales 404  version control  /.git/config (2 times)
           -  backup  /db.sql.gz
others     198.51.100.4 (1,200 errors, 90 of the same paths), 198.51.100.5 (12
           errors)
timeline   21:30  ██████████████████████░░  268 4xx, 3 5xx of 284
labels     own scanners
next       1. Remove /.env from the web root of 192.0.2.80, and change every
              secret in it.
           2. Look at what it did: tcpdump -r capture.pcap 'host 192.0.2.10 and
              host 192.0.2.80'
evidence   two way, the numbers are lower bounds, packets in 7433a2c3.pcapng
id         7433a2c397971e03da728b5a465950cb9313cc97
";
    assert_eq!(shown(&scan()), expected);
}

#[test]
fn an_outage_blames_the_server_and_has_bars_by_class() {
    let minute = |minute: u32, requests: u32, faults: u32| {
        json!({
            "start": format!("2026-11-24T21:{minute}:00Z"), "server": {"ip": "2001:db8::80", "port": 8080},
            "requests": requests, "errors": {"5xx": faults},
        })
    };
    let alert = json!({
        "@timestamp": "2026-11-24T21:40:00Z",
        "event": {"severity": 21, "id": "00ff"},
        "message": "160 of 480 requests of 192.0.2.7 failed with 502",
        "source": {"ip": "192.0.2.7"},
        "wirespike": {"alert": {
            "count": 160,
            "severity": "low",
            "verdict": {"name": "shared_outage", "confidence": 0.8, "reasons": ["20 user agents behind one address"]},
            "tls": {"ja4": ["t13d1516h2"], "server_names": ["www.example"], "certificates": []},
            "timeline": [minute(30, 160, 0), minute(31, 160, 80), minute(33, 160, 80)],
        }},
    });
    let expected = "\
160 of 480 requests of 192.0.2.7 failed with 502
severity   low
verdict    shared outage, confidence 0.80
           - 20 user agents behind one address
TLS        JA4 t13d1516h2, name www.example
timeline   21:30  ░░░░░░░░░░░░░░░░░░░░░░░░  0 errors of 160
           21:31  ████████████░░░░░░░░░░░░  80 5xx of 160
           21:32                            nothing
           21:33  ████████████░░░░░░░░░░░░  80 5xx of 160
id         00ff
";
    assert_eq!(shown(&alert), expected);
}

#[test]
fn those_who_found_no_place_are_summed_up() {
    let alert = json!({
        "@timestamp": "2026-11-24T21:40:00Z",
        "event": {"severity": 21, "id": "abc"},
        "message": "12 clients over the threshold have no alert of their own",
        "wirespike": {"alert": {
            "kind": "left_out",
            "left_out": {
                "alert_limit": {"clients": 12, "errors": 1900, "confirmed": 1800},
                "client_limit": {"clients": 1, "errors": 100, "confirmed": 0},
                "largest": [{"ip": "198.51.100.9", "errors": 700}, {"ip": "198.51.100.8", "errors": 600}],
            },
        }},
    });
    let expected = "\
12 clients over the threshold have no alert of their own
severity   low
left out   12 clients with 1,900 errors, by the limit of alerts; 1 clients with
           100 errors, by the limit of clients
largest    198.51.100.9 (700), 198.51.100.8 (600)
id         abc
";
    assert_eq!(shown(&alert), expected);
    assert_eq!(Layout::default().row(&alert), "11-24 21:40:00  low       left out           2,000\n");
}

#[test]
fn nothing_from_the_wire_acts_on_the_terminal() {
    let hostile = "\u{1b}]0;owned\u{7}\r\n\u{202e}gpj.exe\u{200b}";
    let mut alert = scan();
    let fields = &mut alert["wirespike"]["alert"];
    fields["found"] = json!([{"path": hostile, "status": 200, "class": hostile, "type": hostile, "redirect": hostile}]);
    fields["telltales"] = json!([{"class": hostile, "path": hostile}]);
    fields["verdict"] = json!({"name": hostile, "tool": hostile, "reasons": [hostile]});
    fields["others"] = json!([{"ip": hostile}]);
    fields["labels"] = json!([hostile]);
    fields["next_steps"] = json!([hostile]);
    fields["severity"] = json!(hostile);
    fields["severity_reasons"] = json!([hostile]);
    fields["servers"] = json!([{"ip": hostile, "name": hostile}]);
    fields["evidence"] = json!({"grade": hostile, "file": hostile});
    fields["extent"] = json!({"start": hostile, "end": hostile});
    alert["message"] = json!(format!("{hostile} {}", "日本語のパス".repeat(30)));
    alert["source"] = json!({"ip": hostile});
    alert["event"]["id"] = json!(hostile);
    for text in [shown(&alert), Layout::default().row(&alert)] {
        let acting = |c: char| c != '\n' && !crate::printable::is_printable(c);
        assert!(!text.contains(acting), "{text:?}");
    }
    assert!(Layout::default().row(&alert).lines().count() == 1);
}

#[test]
fn what_is_absent_or_of_another_type_is_left_out() {
    for document in [json!(null), json!({}), json!({"wirespike": {"alert": 7}}), json!([1])] {
        assert_eq!(shown(&document), "severity   low\n");
    }
    let mut alert = scan();
    let most =
        json!({"start": "2026-11-24T21:30:00Z", "requests": u64::MAX, "errors": {"4xx": u64::MAX, "none": u64::MAX}});
    alert["wirespike"]["alert"]["timeline"] = json!([most, most]);
    let limits = json!({"clients": u64::MAX, "errors": u64::MAX});
    alert["wirespike"]["alert"]["left_out"] = json!({"alert_limit": limits, "client_limit": limits});
    assert!(shown(&alert).contains("21:30  ████"), "numbers that cannot be");
    for (name, value) in alert["wirespike"]["alert"].as_object_mut().unwrap() {
        if name != "severity" {
            *value = json!([[], 7, {"start": 7, "path": 7}]);
        }
    }
    let text = shown(&alert);
    assert!(text.contains("severity   high\n") && text.lines().count() == 5, "{text}");
}

#[test]
fn rows_stand_in_columns_and_colour_is_asked_for() {
    let plain = Layout::default();
    assert_eq!(plain.head(), "time (UTC)      severity  client            errors  verdict\n");
    assert_eq!(plain.row(&scan()), "11-24 21:40:00  high      192.0.2.10           271  enumeration\n");
    let mut long = scan();
    long["source"]["ip"] = json!("2001:db8:1234:5678:9abc:def0:1234:5678");
    long["wirespike"]["alert"]["verdict"]["name"] = json!("vulnerability_scan");
    assert_eq!(plain.row(&long), "11-24 21:40:00  high      2001:db8:1234:5678:9abc:def0:1234:5678      271  vuln…\n");
    let coloured = Layout { colour: true, ..plain };
    assert!(coloured.row(&scan()).contains("\u{1b}[31mhigh\u{1b}[0m"));
    let text = coloured.alert(&scan());
    assert!(text.contains("\u{1b}[31mhigh\u{1b}[0m: it got"), "{text}");
    let without = without_colour(&text);
    assert_eq!(without, shown(&scan()), "colour changes nothing else");
}

/// The text without colours.
fn without_colour(text: &str) -> String {
    let parts = text.split("\u{1b}[");
    let plain = parts.enumerate().map(|(n, part)| if n == 0 { part } else { part.split_once('m').unwrap().1 });
    let plain: String = plain.collect();
    plain.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
