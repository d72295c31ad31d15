use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    capture::Stamp,
    detect::{ErrorSpikeSettings, Filters, Mode, rules::telltale_success::TelltaleSettings},
    event::{
        EventBuilder,
        testing::{self, client},
    },
};

/// A time that is a window boundary for every rule in these tests, in seconds.
const START: u64 = 1_200_000;

fn at(second: u64) -> Timestamp {
    Timestamp::from_parts(START + second, 0)
}

/// A request: client, second, status and target.
type Request = (u8, u64, u16, &'static str);

/// Feeds rules in the order of a sensor: first the filters, then events, observations and matched exchanges.
struct Bench {
    settings: RulesSettings,
    filters: Filters,
    events: EventBuilder,
    rules: Rules,
    packets: u64,
    alerts: Vec<Alert>,
}

fn settings(rules: &[RuleName]) -> RulesSettings {
    RulesSettings { enabled: rules.iter().copied().collect(), ..RulesSettings::default() }
}

const BOTH: &[RuleName] = &[RuleName::ErrorSpike, RuleName::TelltaleSuccess];

impl Bench {
    fn new(settings: RulesSettings) -> Self {
        Self {
            filters: Filters::new(&settings),
            events: testing::builder(Site::default()),
            rules: Rules::new(&settings, Arc::default(), 0),
            settings,
            packets: 0,
            alerts: Vec::new(),
        }
    }

    fn feed(&mut self, requests: &[Request]) {
        for &(number, second, status, target) in requests {
            self.packets += 1;
            let now = Stamp { number: self.packets, time: at(second) };
            let exchange = Box::new(testing::exchange(client(number), now.time, now.number, status, target));
            let reason = self.events.settings().reason_of(&exchange);
            let by = self.filters.matching(&exchange, reason);
            self.rules.advance(now.time);
            match self.events.error_event(exchange, now) {
                Ok(event) => {
                    self.rules.observe(&event.observation, event.seen);
                    self.rules.take(&Matched::of(&event), by);
                }
                Err(exchange) => {
                    let observation = &self.events.observe(&exchange, now).unwrap();
                    self.rules.observe(observation, now.time);
                    if !by.is_empty() {
                        let dataset = Default::default();
                        let (exchange, now) = (&*exchange, now.time);
                        self.rules.take(&Matched { observation, exchange, reason: None, dataset, now }, by);
                    }
                }
            }
            self.alerts.append(&mut self.rules.take_alerts());
        }
    }

    fn finish(mut self) -> Vec<Alert> {
        let last = self.rules.active.iter().filter_map(AnyRule::reached).max().unwrap_or_default();
        self.rules.finish(last);
        self.alerts.append(&mut self.rules.take_alerts());
        self.alerts
    }

    fn count(&self, stage: &str, name: &str) -> u64 {
        let counts = self.rules.counts();
        let (_, counts) = counts.iter().find(|(known, _)| *known == stage).unwrap();
        counts.iter().find(|count| count.name == name).unwrap().value
    }
}

/// A scan with 60 errors, and among them the successful requests.
fn scan() -> Vec<Request> {
    let mut requests: Vec<Request> = (0..60).map(|second| (1, second, 404, "/not/there")).collect();
    requests.extend([(1, 20, 200, "/.git/config"), (2, 30, 200, "/"), (1, 40, 200, "/.env?token=abc")]);
    requests.extend([(2, 70, 206, "/.git/HEAD"), (1, 80, 404, "/.env")]);
    requests.sort_by_key(|request| request.1);
    requests
}

fn of_rule<'a>(alerts: &'a [Alert], name: &'a str) -> impl Iterator<Item = &'a Alert> {
    alerts.iter().filter(move |alert| alert.rule.name == name)
}

fn alone(rule: RuleName, requests: &[Request]) -> Vec<Alert> {
    let mut bench = Bench::new(settings(&[rule]));
    bench.feed(requests);
    bench.finish()
}

#[test]
fn a_rule_with_a_filter_and_a_group_of_its_own_runs_beside_the_reference() {
    let mut bench = Bench::new(settings(BOTH));
    bench.feed(&scan());
    assert_eq!(bench.count("detect", "counted"), 61);
    assert_eq!(bench.count("telltale_success", "observed"), 65, "it sees successes and errors");
    assert_eq!(bench.count("telltale_success", "matched"), 3, "failures on tell-tale paths are not matched");
    let alerts = bench.finish();
    let spikes: Vec<_> = of_rule(&alerts, "error_spike").map(|alert| alert.count).collect();
    assert_eq!(spikes, [61]);
    let found: Vec<_> = of_rule(&alerts, "telltale_success").collect();
    assert_eq!(found.iter().map(|alert| alert.count).collect::<Vec<_>>(), [1, 1, 1]);
    let group: Vec<_> = found[0].group.parts().map(|(name, _)| name).collect();
    assert_eq!(group, ["destination.ip", "destination.port", "url.class"]);
    assert_eq!((found[0].group.client(), found[0].rule.risk_score), (None, 70));
    assert_eq!(found[0].summary.paths[0].text, b"/.env?token=***");
    assert!(alerts.iter().all(|alert| alert.id.len() == 40));
    for rule in BOTH {
        let name = rule.name();
        assert!(of_rule(&alerts, name).eq(&alone(*rule, &scan())), "{name} finds the same alone");
    }
}

#[test]
fn the_pool_bounds_what_all_rules_keep_together() {
    let mut small = Bench::new(RulesSettings { text_bytes: 10_000, ..settings(BOTH) });
    let mut requests: Vec<Request> = (0..60).map(|second| (1, second, 404, "/not/there")).collect();
    requests.extend((0..2_000).map(|_| (2, 60, 200, "/.git/objects/0123456789/a/rather/long/path/0123456789")));
    small.feed(&requests);
    let (used, text_length) = (small.rules.pool().used(), requests.last().unwrap().3.len());
    assert!((10_000..10_000 + text_length).contains(&used), "{used}");
    let left_out = small.count("telltale_success", "without_text");
    assert!(left_out > 1_500, "{left_out}");
    assert_eq!(small.rules.pool().refused(), left_out + small.count("detect", "without_evidence"));
    let alerts = small.finish();
    let counts: BTreeMap<_, _> = alerts.iter().map(|alert| (alert.rule.name.as_ref(), alert.count)).collect();
    assert_eq!(counts, BTreeMap::from([("error_spike", 60), ("telltale_success", 2_000)]), "counts stay exact");
}

#[test]
fn a_rule_that_goes_gives_its_share_of_the_pool_back() {
    let mut bench = Bench::new(settings(BOTH));
    bench.feed(&scan());
    let pool = bench.rules.pool().clone();
    assert!(pool.used() > 0);
    drop(bench);
    assert_eq!(pool.used(), 0);
}

/// The alerts without `lower_bound`, which a restart sets.
fn said(alerts: Vec<Alert>) -> Vec<Alert> {
    alerts.into_iter().map(|alert| Alert { lower_bound: false, ..alert }).collect()
}

#[test]
fn a_restart_goes_on_with_the_windows_of_every_rule() {
    let (requests, mut whole) = (scan(), Bench::new(settings(BOTH)));
    whole.feed(&requests);
    let expected = said(whole.finish());
    for cut in [1, 25, 42, 64] {
        let mut first = Bench::new(settings(BOTH));
        first.feed(&requests[..cut]);
        let kept = serde_json::to_string(&first.rules.snapshot()).unwrap();
        assert!(kept.contains("\"error_spike\"") && kept.contains("\"telltale_success\""));
        let snapshot: RulesSnapshot<'static> = serde_json::from_str(&kept).unwrap();
        let mut second = Bench::new(settings(BOTH));
        second.packets = first.packets;
        second.rules.restore(&second.settings, snapshot).unwrap();
        let (used, before) = (second.rules.pool().used(), first.rules.pool().used());
        assert!(used > before / 2 && used <= before, "{used} of {before}: lists are no longer than they need to be");
        second.feed(&requests[cut..]);
        let mut alerts = first.alerts.clone();
        alerts.extend(second.finish());
        assert_eq!(said(alerts), expected, "cut after {cut}");
    }
}

#[test]
fn a_rule_whose_windows_changed_begins_anew_beside_one_that_goes_on() {
    let mut first = Bench::new(settings(BOTH));
    first.feed(&scan());
    let snapshot = first.rules.snapshot().into_owned();
    let other = TelltaleSettings { window: Duration::from_secs(600), ..TelltaleSettings::default() };
    let mut second = Bench::new(RulesSettings { telltale_success: other, ..settings(BOTH) });
    assert_eq!(second.rules.restore(&second.settings, snapshot), Err(SnapshotError::OtherWindows));
    let alerts = second.finish();
    assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [61]);
    let mut reference_alone = Bench::new(settings(&[RuleName::ErrorSpike]));
    reference_alone.rules.restore(&reference_alone.settings, first.rules.snapshot()).unwrap();
    assert_eq!(reference_alone.finish().len(), 1, "what is kept of a rule that does not run is left out");
}

#[test]
fn a_reload_changes_one_rule_and_leaves_the_other_alone() {
    let mut bench = Bench::new(settings(BOTH));
    let mut requests = scan();
    // This request comes after the last execution of the windows that the reload replaces.
    requests.push((3, 1_500, 200, "/"));
    bench.feed(&requests[..32]);
    let every_minute = ErrorSpikeSettings { every: Duration::from_secs(60), ..ErrorSpikeSettings::default() };
    let changed = RulesSettings { error_spike: every_minute, ..settings(BOTH) };
    let windows = bench.rules.reconfigure(&changed, Arc::default(), at(31));
    let Windows::New { old_until } = windows else { panic!("{windows:?}") };
    assert_eq!(old_until, at(31).floor_to(Duration::from_secs(600)).plus(Duration::from_secs(660)));
    assert_eq!(bench.rules.retiring.len(), 1);
    bench.feed(&requests[32..]);
    assert!(bench.rules.retiring.is_empty());
    assert_eq!(bench.count("detect", "counted"), 61, "no error counts twice");
    let alerts = bench.finish();
    // The old windows saw every error. The new windows saw only the errors after the reload, which are too few for an alert.
    assert_eq!(of_rule(&alerts, "error_spike").map(|alert| alert.count).collect::<Vec<_>>(), [61]);
    assert!(of_rule(&alerts, "telltale_success").eq(&alone(RuleName::TelltaleSuccess, &requests)));
}

#[test]
fn a_rule_can_be_switched_on_and_off_at_a_reload() {
    let mut bench = Bench::new(settings(BOTH));
    bench.feed(&scan());
    let reference = settings(&[RuleName::ErrorSpike]);
    assert_eq!(bench.rules.reconfigure(&reference, Arc::default(), at(90)), Windows::Same);
    let of_open_window = bench.rules.take_alerts();
    assert_eq!(of_rule(&of_open_window, "telltale_success").count(), 1, "what it had open is executed");
    assert_eq!((bench.rules.active.len(), bench.count("telltale_success", "matched")), (1, 3));
    bench.rules.reconfigure(&settings(BOTH), Arc::default(), at(95));
    bench.feed(&[(2, 96, 200, "/.env")]);
    assert_eq!(bench.count("telltale_success", "matched"), 4);
}

#[test]
fn an_alert_is_raised_once_over_restarts_and_without_memory_again() {
    let spike = scan();
    let mut first = Bench::new(settings(BOTH));
    first.rules.remember();
    first.feed(&spike);
    first.rules.finish(at(90));
    let raised = first.rules.take_alerts();
    let ids: Vec<String> = first.rules.remembered().map(str::to_owned).collect();
    assert!(!raised.is_empty() && raised.iter().all(|alert| ids.contains(&alert.id)));
    let mut second = Bench::new(settings(BOTH));
    second.rules.remember();
    second.rules.skip(ids);
    second.feed(&spike);
    assert_eq!(second.finish(), []);
    assert!(!alone(RuleName::ErrorSpike, &spike).is_empty());
}

/// Sends errors of one client, one a second.
fn errors(bench: &mut Bench, number: u8, seconds: std::ops::Range<u64>) {
    for second in seconds {
        if bench.rules.is_set_back(at(second)) {
            bench.rules.turn_back(at(second));
        }
        bench.feed(&[(number, second, 404, "/")]);
    }
}

#[test]
fn a_clock_that_is_set_back_costs_no_alert() {
    let mut bench = Bench::new(settings(&[RuleName::ErrorSpike]));
    bench.rules.remember();
    errors(&mut bench, 1, 86_400..86_460);
    // The clock goes back by a day. The open window is executed at once, and no window of that day is lost.
    errors(&mut bench, 2, 0..60);
    assert_eq!(bench.rules.alerts(), 1);
    bench.rules.advance(at(1_200));
    bench.rules.take_alerts();
    assert_eq!(bench.rules.alerts(), 2);
    // The window that was executed early is executed again.
    errors(&mut bench, 1, 86_400..86_460);
    bench.rules.advance(at(87_600));
    bench.rules.take_alerts();
    assert_eq!((bench.rules.alerts(), bench.count("detect", "late_dropped")), (3, 0));
    // A small step back is allowed. Packet time then stands still.
    assert!(!bench.rules.is_set_back(at(87_599)));
    bench.rules.advance(at(87_599));
    assert_eq!(bench.rules.active[0].reached(), Some(at(87_600)));
}

fn request() -> impl Strategy<Value = Request> {
    let targets = prop::sample::select(vec!["/", "/.env", "/.git/config", "/login", "/a/.git/x?password=1"]);
    (1u8..4, 0u64..2_000, prop::sample::select(vec![200u16, 204, 302, 401, 404, 500]), targets)
}

proptest! {
    #[test]
    fn rules_side_by_side_find_what_each_finds_alone_and_what_a_recount_finds(
        mut requests in prop::collection::vec(request(), 0..200),
        threshold in 0u32..20,
        streaming: bool,
    ) {
        requests.sort_by_key(|request| request.1);
        let mode = if streaming { Mode::Streaming } else { Mode::Scheduled };
        let error_spike = ErrorSpikeSettings { threshold, mode, ..ErrorSpikeSettings::default() };
        let with = |rules| RulesSettings { error_spike: error_spike.clone(), ..settings(rules) };
        let run = |rules| {
            let mut bench = Bench::new(with(rules));
            bench.feed(&requests);
            bench.finish()
        };
        let both = run(BOTH);
        for rule in BOTH {
            let (name, alone) = (rule.name(), run(std::slice::from_ref(rule)));
            prop_assert!(of_rule(&both, name).eq(&alone), "{} is disturbed", name);
        }
        // A slow and simple recount of the second rule: every request, by minute and class.
        let mut recount = BTreeMap::<(u64, &str), u64>::new();
        for &(_, second, status, target) in &requests {
            let minute = (START + second) / 60;
            let class = if target.contains("/.env") { "secrets" } else { "version_control" };
            if (200..300).contains(&status) && (target.contains("/.env") || target.contains("/.git/")) {
                *recount.entry((minute, class)).or_default() += 1;
            }
        }
        let found: BTreeMap<(u64, String), u64> = of_rule(&both, "telltale_success")
            .map(|alert| {
                let class = alert.group.parts().find(|(name, _)| *name == "url.class");
                let Some((_, crate::detect::GroupValue::Text(class))) = class else { panic!("{:?}", alert.group) };
                ((alert.window.start.as_nanos() / 60_000_000_000, class.clone()), alert.count)
            })
            .collect();
        let recount: BTreeMap<(u64, String), u64> =
            recount.into_iter().map(|((minute, class), count)| ((minute, class.to_owned()), count)).collect();
        prop_assert_eq!(found, recount);
    }
}
