use serde_json::json;

use super::*;
use crate::telemetry::summary::Summary;

/// The page for these alerts.
fn page(alerts: &[Json], facts: &RunFacts<'_>) -> String {
    let mut report = Report::default();
    alerts.iter().for_each(|alert| report.take_line(alert.to_string().into_bytes().into()));
    report.page(facts)
}

/// Checks that a page is well-formed and complete in itself, and returns its texts.
fn texts(page: &str) -> Vec<String> {
    const EMPTY: [&str; 1] = ["meta"];
    assert!(page.starts_with("<!doctype html>\n"));
    for outside in ["http:", "https:", "//", "src=", "url(", "@import", "<script", "<link", "<img", "javascript:"] {
        assert!(!page.to_lowercase().contains(outside), "{outside}");
    }
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    let mut ids = std::collections::BTreeSet::new();
    for part in page.trim_start_matches("<!doctype html>").split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {part}"));
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in the wrong order");
        } else {
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
            assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
            if let Some((_, id)) =
                attributes.split_once("id=\"").filter(|(before, _)| before.is_empty() || before.ends_with(' '))
            {
                assert!(ids.insert(id.split('"').next().unwrap().to_owned()), "an id twice: {id}");
            }
            if !EMPTY.contains(&name) {
                open.push(name);
            }
        }
        if open.last() != Some(&"style") {
            assert!(!text.contains(['"', '\'']), "not escaped: {text}");
            texts.push(text.to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let is_visible = |c: char| c == '\n' || crate::printable::is_printable(c);
    assert!(page.chars().all(is_visible), "a character that cannot be seen");
    let targets = page.split("href=\"#").skip(1).chain(page.split("labelledby=\"").skip(1));
    for target in targets.map(|rest| rest.split('"').next().unwrap()) {
        assert!(ids.contains(target), "nothing has the id {target}");
    }
    texts.retain(|text| !text.trim().is_empty());
    texts
}

fn facts<'a>(summary: &'a Summary, captures: &'a [(String, u64)], warnings: &'a [String]) -> RunFacts<'a> {
    RunFacts { captures, summary, warnings }
}

fn alert(client: &str, severity: u64, found: usize, count: u64) -> Json {
    json!({
        "@timestamp": "2026-11-24T21:40:00Z",
        "event": {"severity": severity, "id": format!("{client}-{severity}-{count}")},
        "message": format!("{client} caused {count} errors"),
        "source": {"ip": client},
        "wirespike": {"alert": {
            "count": count,
            "found": vec![json!({"path": "/.env", "status": 200, "class": "environment_file"}); found],
        }},
    })
}

#[test]
fn alerts_stand_in_order_of_consequence() {
    let alerts = [
        alert("192.0.2.1", 21, 0, 900),
        alert("192.0.2.2", 73, 0, 60),
        alert("192.0.2.3", 21, 1, 51),
        alert("192.0.2.4", 73, 2, 51),
        alert("192.0.2.5", 21, 0, 900),
    ];
    let summary = Summary { packets: 1_234, unseen: vec!["3 TLS connections".to_owned()], ..Summary::default() };
    let warnings = ["3 of 4 connections are TLS".to_owned()];
    let captures = [("<b>.pcap".to_owned(), 1_234)];
    let page = page(&alerts, &facts(&summary, &captures, &warnings));
    let texts = texts(&page);
    let order: Vec<&String> =
        texts.iter().filter(|text| text.ends_with(" errors") && text.contains(" caused ")).collect();
    let clients = order.iter().map(|text| text.split(' ').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(clients, ["192.0.2.4", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.5"]);
    for said in ["5 alerts: 2 high, 3 low.", "3 TLS connections", "3 of 4 connections are TLS", "&lt;b&gt;.pcap"] {
        assert!(texts.iter().any(|text| text == said), "{said}: {texts:?}");
    }
}

#[test]
fn an_alert_has_its_parts_and_nothing_from_the_wire_is_markup() {
    let hostile = "\"><script>alert('x')</script>&\u{202e}\u{1b}\n";
    let mut alert = alert("192.0.2.1", 99, 1, 271);
    alert["message"] = json!(hostile);
    alert["source"] = json!({"ip": hostile});
    alert["event"]["id"] = json!(hostile);
    alert["rule"] = json!({"name": hostile});
    alert["threat"] = json!({"technique": {"id": ["T1595", hostile], "name": ["Active Scanning"]}});
    let minute = json!({
        "start": "2026-11-24T21:30:00Z", "server": {"ip": hostile, "port": 80}, "requests": 284,
        "errors": {"4xx": 268, "5xx": 3, "none": 1}, "distinct_paths": 284,
    });
    let fields = json!({
        "kind": hostile, "severity": hostile, "severity_reasons": [hostile], "labels": [hostile],
        "verdict": {"name": hostile, "confidence": 0.9, "tool": hostile, "reasons": [hostile]},
        "extent": {"start": hostile, "end": hostile, "requests": 284},
        "window": {"start": hostile, "end": hostile, "lower_bound": true},
        "found": [{"path": hostile, "status": 200, "class": hostile, "redirect": hostile, "session": hostile,
            "type": hostile, "method": hostile, "bytes": 1}],
        "telltales": [{"class": hostile, "path": hostile, "status": 404, "count": 2}],
        "timeline": [minute], "others": [{"ip": hostile, "errors": 7}], "servers": [{"ip": hostile, "count": 1, "name": hostile}],
        "user_agents": [{"user_agent": hostile, "count": 1}], "paths": [{"path": hostile, "count": 1}],
        "status_codes": [{"status_code": 404, "count": 265}], "next_steps": [hostile],
        "evidence": {"grade": hostile, "file": hostile},
        "left_out": {"alert_limit": {"clients": 1, "errors": 2}, "largest": [{"ip": hostile}]},
    });
    alert["wirespike"]["alert"] = fields;
    let (summary, captures, warnings) = (Summary::default(), [(hostile.to_owned(), 1)], [hostile.to_owned()]);
    let page = page(&[alert], &facts(&summary, &captures, &warnings));
    let texts = texts(&page).join("\n");
    let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;\\u{202e}\\u{1b}\\u{a}";
    assert!(texts.matches(escaped).count() > 25, "{texts}");
    for part in ["What it found", "Tell-tales", "Timeline", "Who else", "Next steps", "Why this verdict", "404 (265)"] {
        assert!(texts.contains(part), "{part}");
    }
    assert!(page.contains("aria-label=\"272 errors in 284 requests, from 2026-11-24 21:30 to 2026-11-24 21:30 UTC"));
    assert_eq!(page.matches("<rect").count(), 4);
}

#[test]
fn what_is_kept_is_bounded_and_what_is_left_out_is_said() {
    let mut report = Report::default();
    for number in 0..MOST_ALERTS as u64 + 5 {
        report.take_line(alert("192.0.2.1", 21, 0, number).to_string().into_bytes().into());
    }
    report.take_line(alert("192.0.2.9", 47, 0, 1).to_string().into_bytes().into());
    assert_eq!(report.kept.len(), MOST_ALERTS);
    let page = report.page(&facts(&Summary::default(), &[], &[]));
    let texts = texts(&page);
    assert!(texts.iter().any(|text| text == "1,006 alerts: 1 medium, 1,005 low."), "{:?}", &texts[..5]);
    assert!(texts.iter().any(|text| text.starts_with("6 alerts of least consequence are left out")));
    assert!(
        texts.iter().any(|text| text == "192.0.2.9 caused 1 errors")
            && !texts.contains(&"192.0.2.1 caused 5 errors".to_owned())
    );
}

#[test]
fn an_alert_that_went_on_is_shown_once() {
    let mut states = [alert("192.0.2.1", 21, 0, 51), alert("192.0.2.1", 73, 1, 90), alert("192.0.2.1", 21, 0, 99)];
    states.iter_mut().for_each(|state| state["event"]["id"] = json!("one and the same"));
    let page = page(&states, &facts(&Summary::default(), &[], &[]));
    let texts = texts(&page);
    assert!(texts.iter().any(|text| text == "1 alert: 1 low."), "{:?}", &texts[..5]);
    assert!(texts.iter().any(|text| text == "192.0.2.1 caused 99 errors"));
}

#[test]
fn a_run_without_alerts_and_alerts_without_fields_have_a_page() {
    let summary = Summary::default();
    let facts = facts(&summary, &[], &[]);
    assert!(texts(&page(&[], &facts)).contains(&"No alert.".to_owned()));
    texts(&page(&[json!(null), json!({}), json!([1]), json!({"wirespike": 7})], &facts));
}
