//! From records to findings: events and rules, on one thread.
//!
//! In: [`Record`]s in order, and [`Moment`]s. Out: [`Finding`]s. Promises: findings depend on the records and ticks alone; no I/O.

use std::{sync::Arc, time::Duration};

use crate::{
    address::Address,
    capture::Stamp,
    detect::{Alert, Matched, NearMiss, RuleSet, Rules, RulesSettings, RulesSnapshot, SnapshotError, Windows},
    event::{ErrorEvent, EventBuilder, Leg, LegFacts, Legs},
    exchange::Exchange,
    telemetry::{Count, snapshot::Gauge, summary::StageCounts},
    time::Timestamp,
    verdict::{
        FollowUps, SeverityPolicy, Verdict,
        activity::{Activity, ActivitySettings},
    },
};

use super::{
    claims::Claims,
    clock::Moment,
    finding::Finding,
    record::{Content, Record},
    settings::SensorSettings,
};

/// Makes events, shows every final exchange to the rules, and gives findings.
pub struct Evaluator {
    events: EventBuilder,
    rules: Rules,
    /// What clients and servers did lately.
    activity: Activity,
    /// Clients whose alert was raised.
    follow_ups: FollowUps,
    severity: SeverityPolicy,
    /// Errors that wait until it is clear whether the client leg of a proxy shows them too.
    legs: Legs<(ErrorEvent, RuleSet)>,
    /// Error events made.
    errors: u64,
    /// The stamps of packets that were processed under another time. Their exchanges get these times.
    claims: Claims,
}

/// How long activity is remembered, for the windows of these rules.
fn remembered(rules: &RulesSettings) -> ActivitySettings {
    let rule = &rules.error_spike;
    let seconds = [rule.window.as_secs(), rule.every.as_secs()].into_iter().fold(60, gcd).max(1);
    ActivitySettings { interval: Duration::from_secs(seconds), remembered: rule.window + rule.every + rule.lateness }
}

/// How long an error waits for the client leg of a proxy: less than the lateness, so that it does not miss its windows.
fn patience(rules: &RulesSettings) -> Duration {
    (rules.error_spike.lateness / 2).clamp(Duration::from_millis(100), Duration::from_secs(2))
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// Findings so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Error events made.
    pub errors: u64,
    /// Alerts raised.
    pub alerts: u64,
}

impl Evaluator {
    /// An evaluator that has seen nothing yet.
    pub fn new(settings: &SensorSettings) -> Self {
        Self {
            events: EventBuilder::new(settings.events.clone(), Arc::clone(&settings.site)),
            rules: Rules::new(&settings.rules, Arc::clone(&settings.site), settings.events.hash_seed),
            activity: Activity::new(remembered(&settings.rules), Arc::clone(&settings.site)),
            follow_ups: FollowUps::default(),
            severity: settings.severity,
            legs: Legs::new(patience(&settings.rules)),
            errors: 0,
            claims: Claims::default(),
        }
    }

    /// Takes a record, and passes on what follows from it. Returns the record's exchange, which can be used again.
    pub(crate) fn record(
        &mut self,
        mut record: Record,
        findings: &mut impl FnMut(Finding<'_>),
    ) -> Option<Box<Exchange>> {
        if !self.claims.is_empty() {
            self.claims.apply(&mut record.content);
        }
        match record.content {
            Content::Observed(observation) => {
                self.activity.observe(&observation, None, false);
                self.rules.observe(&observation, record.stamp.time);
                self.pass_on(findings);
            }
            Content::Matched(exchange, by) => {
                self.matched(&exchange, by, record.stamp, findings);
                return Some(exchange);
            }
            Content::ServerFingerprint(fingerprint) => self.events.learn(&fingerprint),
            Content::Turn(turn) => {
                self.rules.turn(&turn, record.stamp.time);
                self.pass_on(findings);
            }
            Content::Gap(stretch) => {
                self.rules.note_loss(stretch);
                findings(Finding::Gap(stretch));
            }
            Content::Failed(exchange, by) => return self.failed(exchange, false, by, record.stamp, findings),
            Content::FailedAndFinished(exchange, by) => {
                return self.failed(exchange, true, by, record.stamp, findings);
            }
            Content::Finished(exchange) => {
                self.finished(&exchange, findings);
                return Some(exchange);
            }
        }
        None
    }

    /// Takes note of a moment of packet time, at the packet with this number.
    pub(crate) fn moment(&mut self, number: u64, moment: Moment, findings: &mut impl FnMut(Finding<'_>)) {
        match moment {
            Moment::Reached(time) => self.tick(time, findings),
            Moment::WentBack(time) => {
                self.count_held(findings);
                self.rules.go_back(time);
                self.pass_on(findings);
            }
            Moment::Claimed(time) => self.claims.note(number, time),
        }
    }

    /// Packet time has reached this: windows that are over are executed.
    fn tick(&mut self, time: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        self.count_due(time, findings);
        if self.rules.is_set_back(time) {
            self.count_held(findings);
            tracing::warn!(to = %time, "the clock was set back: open windows are executed, and begin anew");
            self.rules.turn_back(time);
        }
        self.rules.advance(time);
        self.pass_on(findings);
        for (alert, verdict) in self.follow_ups.advance(time, &mut self.activity) {
            self.raise(&alert, verdict, findings);
        }
    }

    /// The input is over: the open window is executed, marked partial.
    pub(crate) fn finish(&mut self, last: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        self.count_held(findings);
        self.rules.finish(last);
        self.pass_on(findings);
        for (alert, verdict) in self.follow_ups.finish(&mut self.activity) {
            self.raise(&alert, verdict, findings);
        }
    }

    /// Takes an exchange that may be an error event. `is_over` says that nothing more of it comes. Returns the exchange, unless
    /// its event waits.
    fn failed(
        &mut self,
        exchange: Box<Exchange>,
        is_over: bool,
        by: RuleSet,
        now: Stamp,
        findings: &mut impl FnMut(Finding<'_>),
    ) -> Option<Box<Exchange>> {
        let event = match self.events.error_event(exchange, now) {
            Ok(event) => event,
            Err(exchange) => {
                if is_over {
                    self.finished(&exchange, findings);
                }
                return Some(exchange);
            }
        };
        self.count_due(now.time, findings);
        // The activity sees the exchange now, even if the rules see the event later.
        self.activity.observe(&event.observation, Some(&event.exchange), true);
        self.legs.note_servers(self.activity.servers());
        if self.events.settings().count_leg == Leg::Auto
            && self.legs.may_concern(&event)
            && let Some(leg) = LegFacts::of(&event)
        {
            if !self.legs.is_empty() && self.legs.answered_by(&leg).is_some() {
                self.events.note_left_out();
            }
            if self.legs.may_be_backend(&leg, now.time) {
                self.await_client_leg(leg, event, is_over, by, findings);
                return None;
            }
        }
        findings(if is_over { Finding::EventAndExchange(&event) } else { Finding::Event(&event) });
        self.count(&event, by, findings);
        Some(event.exchange)
    }

    /// Holds an event until the client leg shows the same error. Its exchange is not held.
    fn await_client_leg(
        &mut self,
        leg: LegFacts,
        event: ErrorEvent,
        is_over: bool,
        by: RuleSet,
        findings: &mut impl FnMut(Finding<'_>),
    ) {
        if is_over {
            findings(Finding::Exchange { exchange: &event.exchange, attribution: &event.attribution });
        }
        self.events.note_awaited();
        if let Some(oldest) = self.legs.hold(leg, (event, by), |(event, _)| event) {
            self.count_late(oldest, findings);
        }
    }

    /// Counts the events that have waited long enough.
    #[inline]
    fn count_due(&mut self, now: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        if !self.legs.is_empty() {
            while let Some(due) = self.legs.due(now) {
                self.count_late(due, findings);
            }
        }
    }

    /// Counts every event that waits.
    pub(crate) fn count_held(&mut self, findings: &mut impl FnMut(Finding<'_>)) {
        while let Some(held) = self.legs.let_go() {
            self.count_late(held, findings);
        }
    }

    /// Counts an event that waited for a client leg in vain.
    fn count_late(&mut self, (event, by): (ErrorEvent, RuleSet), findings: &mut impl FnMut(Finding<'_>)) {
        findings(Finding::Event(&event));
        self.count(&event, by, findings);
    }

    fn finished(&mut self, exchange: &Exchange, findings: &mut impl FnMut(Finding<'_>)) {
        let attribution = &self.events.attribute(exchange);
        if self.events.wants(attribution) {
            findings(Finding::Exchange { exchange, attribution });
        }
    }

    /// Shows an event to the rules.
    fn count(&mut self, event: &ErrorEvent, by: RuleSet, findings: &mut impl FnMut(Finding<'_>)) {
        self.errors += 1;
        self.events.note_counted();
        self.rules.observe(&event.observation, event.seen);
        self.rules.take(&Matched::of(event), by);
        self.pass_on(findings);
    }

    /// Shows the rules an exchange that did not fail and that a filter matched.
    fn matched(&mut self, exchange: &Exchange, by: RuleSet, now: Stamp, findings: &mut impl FnMut(Finding<'_>)) {
        let Some(observation) = self.events.observe(exchange, now) else { return };
        let may_matter = self.activity.observe(&observation, Some(exchange), false);
        self.rules.observe(&observation, now.time);
        if !by.is_empty() {
            let dataset = self.events.attribute(exchange).dataset.dataset;
            let matched = Matched { observation: &observation, exchange, reason: None, dataset, now: now.time };
            self.rules.take(&matched, by);
        }
        self.pass_on(findings);
        if may_matter
            && let Some((alert, verdict)) = self.follow_ups.note(observation.client, now.time, &mut self.activity)
        {
            self.raise(&alert, verdict, findings);
        }
    }

    /// Passes on the alerts that rules have just raised.
    #[inline]
    fn pass_on(&mut self, findings: &mut impl FnMut(Finding<'_>)) {
        if self.rules.have_raised() {
            self.pass_on_alerts(findings);
        }
    }

    #[inline(never)]
    fn pass_on_alerts(&mut self, findings: &mut impl FnMut(Finding<'_>)) {
        for alert in &self.rules.take_alerts() {
            // What was read in clear says nothing of what was inferred inside TLS.
            let client = alert.group.client().filter(|_| alert.inference.is_none());
            let conduct = client.and_then(|client| self.activity.conduct(client, alert.window));
            let verdict = Verdict::of(alert, conduct);
            if alert.inference.is_none() {
                self.follow_ups.watch(alert, &verdict);
            }
            self.raise(alert, verdict, findings);
        }
    }

    fn raise(&self, alert: &Alert, verdict: Verdict, findings: &mut impl FnMut(Finding<'_>)) {
        let verdict = match self.severity {
            SeverityPolicy::Verdict => verdict,
            SeverityPolicy::Constant => verdict.constant(alert),
        };
        findings(Finding::Alert { alert, verdict: &verdict });
    }

    /// Goes on under other settings.
    pub(crate) fn reconfigure(
        &mut self,
        settings: SensorSettings,
        now: Timestamp,
        findings: &mut impl FnMut(Finding<'_>),
    ) -> Windows {
        self.count_held(findings);
        self.legs.set_patience(patience(&settings.rules));
        self.events.reconfigure(settings.events, Arc::clone(&settings.site));
        self.activity.reconfigure(remembered(&settings.rules), Arc::clone(&settings.site));
        self.severity = settings.severity;
        let windows = self.rules.reconfigure(&settings.rules, settings.site, now);
        self.pass_on(findings);
        windows
    }

    /// Packets were lost about this time.
    pub(crate) fn note_loss(&mut self, at: Timestamp) {
        self.rules.note_loss(at.into());
    }

    /// Remembers from now on which alerts were raised, so that none is raised twice over a restart.
    pub(crate) fn remember_alerts(&mut self) {
        self.rules.remember();
    }

    /// Takes the IDs of alerts that an earlier run has raised: they are not raised again.
    pub(crate) fn skip_alerts(&mut self, ids: Vec<String>) {
        self.rules.skip(ids);
    }

    /// IDs of the alerts that were raised lately, where they are remembered.
    pub(crate) fn remembered_alerts(&self) -> impl Iterator<Item = &str> {
        self.rules.remembered()
    }

    /// The rules' open windows.
    pub(crate) fn snapshot(&self) -> RulesSnapshot<'_> {
        self.rules.snapshot()
    }

    /// Goes on with the open windows of an earlier run. The shards must hash texts with
    /// [`hash_seed`](Self::hash_seed) from then on.
    ///
    /// # Errors
    ///
    /// Windows that mean something else under these settings.
    pub(crate) fn restore(
        &mut self,
        settings: &RulesSettings,
        snapshot: RulesSnapshot<'_>,
    ) -> Result<(), SnapshotError> {
        let restored = self.rules.restore(settings, snapshot);
        self.events.set_hash_seed(self.rules.hash_seed());
        restored
    }

    /// The seed of the hashes that the rules keep in the place of texts.
    pub(crate) fn hash_seed(&self) -> u64 {
        self.rules.hash_seed()
    }

    /// The proxies that were seen on both sides, each with the number of errors that were left out because the client's side
    /// counts.
    pub fn two_sided_proxies(&self) -> Vec<(Address, u64)> {
        self.legs.proxies().collect()
    }

    /// Findings so far.
    pub fn totals(&self) -> Totals {
        Totals { errors: self.errors, alerts: self.rules.alerts() + self.follow_ups.counters().follow_ups }
    }

    /// The counters of events and rules.
    pub fn counts(&self) -> Vec<StageCounts> {
        let events = StageCounts { stage: "event", counts: self.events.counters().counts() };
        let rules = self.rules.counts().into_iter().map(|(stage, counts)| StageCounts { stage, counts });
        let activity = StageCounts { stage: "activity", counts: self.activity.counters().counts() };
        let follow_ups = StageCounts { stage: "verdict", counts: self.follow_ups.counters().counts() };
        std::iter::once(events).chain(rules).chain([activity, follow_ups]).collect()
    }

    /// The clients that came nearest to an alert without one.
    pub fn near_misses(&self) -> impl Iterator<Item = &NearMiss> {
        self.rules.near_misses()
    }

    /// What the rules hold now, by stage.
    pub(crate) fn gauges(&self) -> Vec<(&'static str, Vec<Gauge>)> {
        let gauge = |held: Count| Gauge { name: held.name, help: held.help, value: held.value as f64 };
        let of_rule = |(stage, held): (_, Vec<Count>)| (stage, held.into_iter().map(gauge).collect());
        self.rules.gauges().into_iter().map(of_rule).collect()
    }
}

#[cfg(test)]
#[path = "follow_up_tests.rs"]
mod follow_up_tests;
