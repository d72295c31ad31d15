//! Alerts that say that a scan turned into success.

use super::*;
use crate::{
    detect::{AlertKind, Filters, Severity},
    event::testing::{client, exchange},
    exchange::Features,
    sensor::record::Order,
    verdict::VerdictName,
};

const SCAN: u64 = 1_700_000_100;

/// A sensor's findings, from exchanges at given seconds.
struct Line {
    evaluator: Evaluator,
    filters: Filters,
    packet: u64,
    alerts: Vec<(Alert, Verdict)>,
}

impl Line {
    fn new(settings: &SensorSettings) -> Self {
        let (evaluator, filters) = (Evaluator::new(settings), Filters::new(&settings.rules));
        Self { evaluator, filters, packet: 0, alerts: Vec::new() }
    }

    /// After a scan of 60 paths, and the execution that raises its alert.
    fn after_scan(settings: &SensorSettings) -> Self {
        let mut line = Self::new(settings);
        for second in 0..60 {
            line.exchange(SCAN + second, 404, &format!("/missing-{second}"), Features::default());
        }
        line.reach(SCAN + 1_300);
        line
    }

    fn exchange(&mut self, second: u64, status: u16, target: &str, features: Features) {
        self.packet += 1;
        let time = Timestamp::from_parts(second, 0);
        let stamp = Stamp { number: self.packet, time };
        let mut exchange = exchange(client(1), time, self.packet, status, target);
        exchange.features = features;
        let reason = (status >= 400).then_some(crate::event::Reason::HttpStatus);
        let by = self.filters.matching(&exchange, reason);
        let exchange = Box::new(exchange);
        let content = if reason.is_some() { Content::Failed(exchange, by) } else { Content::Matched(exchange, by) };
        let order = Order::of_packet(self.packet, None, 0);
        let alerts = &mut self.alerts;
        self.evaluator.record(Record { order, stamp, content }, &mut |finding| keep(finding, alerts));
    }

    fn reach(&mut self, second: u64) {
        let alerts = &mut self.alerts;
        let moment = Moment::Reached(Timestamp::from_parts(second, 0));
        self.evaluator.moment(self.packet, moment, &mut |finding| keep(finding, alerts));
    }

    fn finish(&mut self, second: u64) {
        let alerts = &mut self.alerts;
        self.evaluator.finish(Timestamp::from_parts(second, 0), &mut |finding| keep(finding, alerts));
    }

    /// The paths of each follow-up.
    fn follow_ups(&self) -> Vec<Vec<String>> {
        let of_kind = self.alerts.iter().filter(|(alert, _)| alert.kind == AlertKind::FollowUp);
        of_kind
            .map(|(_, verdict)| {
                verdict.conduct.iter().flat_map(|conduct| conduct.found.iter().map(|found| found.said())).collect()
            })
            .collect()
    }
}

fn keep(finding: Finding<'_>, alerts: &mut Vec<(Alert, Verdict)>) {
    if let Finding::Alert { alert, verdict } = finding {
        alerts.push((alert.clone(), verdict.clone()));
    }
}

#[test]
fn a_success_after_the_alert_is_told_at_once() {
    let mut line = Line::after_scan(&SensorSettings::default());
    let [(scan, verdict)] = &line.alerts[..] else { panic!("{:?}", line.alerts.len()) };
    assert_eq!(
        (scan.kind, verdict.name, verdict.severity),
        (AlertKind::Scheduled, VerdictName::Enumeration, Severity::Low)
    );
    let scan_id = scan.id.clone();
    line.exchange(SCAN + 1_301, 200, "/index.html", Features::default());
    assert_eq!(line.follow_ups(), Vec::<Vec<String>>::new(), "a page is nothing that matters");
    line.exchange(SCAN + 1_302, 200, "/.env", Features::default());
    assert_eq!(line.follow_ups(), [["/.env"]]);
    let (alert, verdict) = &line.alerts[1];
    assert_eq!((verdict.name, verdict.severity), (VerdictName::Enumeration, Severity::High));
    assert_eq!((alert.count, alert.time), (60, Timestamp::from_parts(SCAN + 1_302, 0)));
    assert_ne!(alert.id, scan_id);
    assert_eq!(line.evaluator.totals().alerts, 2);
}

#[test]
fn what_is_got_shortly_after_a_follow_up_is_told_with_the_next_look_or_at_the_end() {
    let mut line = Line::after_scan(&SensorSettings::default());
    line.exchange(SCAN + 1_301, 200, "/.env", Features::default());
    line.exchange(SCAN + 1_302, 200, "/.git/config", Features::default());
    line.exchange(SCAN + 1_303, 201, "/shell.php", Features::UPLOAD);
    line.reach(SCAN + 1_304);
    assert_eq!(line.follow_ups(), [["/.env"]]);
    line.reach(SCAN + 1_312);
    assert_eq!(line.follow_ups()[1..], [["/shell.php", "/.git/config"]]);
    line.exchange(SCAN + 1_313, 200, "/backup.sql", Features::default());
    line.exchange(SCAN + 1_314, 200, "/.env", Features::default());
    line.finish(SCAN + 1_315);
    assert_eq!(line.follow_ups()[2..], [["/backup.sql"]], "what was told is not told again");
}

#[test]
fn severity_stays_that_of_the_rule_where_the_settings_say_so() {
    let settings = SensorSettings { severity: SeverityPolicy::Constant, ..SensorSettings::default() };
    let mut line = Line::after_scan(&settings);
    line.exchange(SCAN + 1_301, 200, "/.env", Features::default());
    assert_eq!(line.follow_ups(), [["/.env"]]);
    assert!(
        line.alerts.iter().all(|(alert, verdict)| {
            (verdict.severity, verdict.risk_score) == (Severity::Low, alert.rule.risk_score)
        })
    );
}

#[test]
fn a_server_that_answers_everything_gives_no_follow_up() {
    let mut line = Line::after_scan(&SensorSettings::default());
    for number in 0..40 {
        line.exchange(SCAN + 1_301 + number, 200, &format!("/{number}/.env"), Features::default());
        line.reach(SCAN + 1_301 + number);
    }
    let told: Vec<String> = line.follow_ups().concat();
    assert!(told.len() <= 10, "only until it is clear what the server does: {told:?}");
}

#[test]
fn a_clock_that_is_set_back_hides_no_success() {
    let mut line = Line::after_scan(&SensorSettings::default());
    line.exchange(SCAN + 1_301, 200, "/.env", Features::default());
    line.reach(SCAN - 7_200);
    line.exchange(SCAN - 7_199, 200, "/.git/config", Features::default());
    assert_eq!(line.follow_ups(), [["/.env"], ["/.git/config"]]);
}

#[test]
fn who_had_no_alert_is_not_followed() {
    let mut line = Line::new(&SensorSettings::default());
    line.exchange(SCAN, 404, "/missing", Features::default());
    line.exchange(SCAN + 1, 200, "/.env", Features::default());
    line.finish(SCAN + 2);
    assert_eq!(line.alerts.len(), 0);
}
