//! Runs several rules side by side, through restarts, reloads and clocks that are set back.
//!
//! In: observations, matched exchanges and packet time. Out: alerts. Promises: a rule finds the same alerts whichever rules
//! run beside it, unless the shared text pool is full, which is counted. An alert is raised only once, also over restarts.
//! When a reload changes a rule's windows, no count is lost: the old windows continue until their next execution.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Alert, Matched, Mode, NearMiss, RuleContext, TextPool,
    rules::{AnyRule, AnySnapshot, RuleName, RuleSet, RulesSettings},
};
use crate::{
    event::Site,
    exchange::{Observation, Turn},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// The most alert IDs that are remembered. This is enough for forty executions with the default limit of 100 alerts each.
const REMEMBERED_ALERTS: usize = 4_000;

/// How far a tick may be behind the packet time reached. A tick that is further behind means that the clock was set back.
const SET_BACK: Duration = Duration::from_secs(2);

/// The reason why a rule cannot continue from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The snapshot has other windows than the settings, so its counts cannot be used.
    #[error("the rule's window, interval or mode is not the one the state was kept under")]
    OtherWindows,
}

/// The rules that run.
#[derive(Debug)]
pub struct Rules {
    context: RuleContext,
    /// The running rules, in the order of the catalog.
    active: Vec<AnyRule>,
    retiring: Vec<Retiring>,
    /// The counts of rules that no longer run.
    past: BTreeMap<RuleName, Vec<Count>>,
    raised: Raised,
}

/// A rule with old windows. It runs until its last execution, because a reload changed the windows.
#[derive(Debug)]
struct Retiring {
    rule: AnyRule,
    /// The time at which its last window is due.
    until: Timestamp,
    /// The rule's counts when it was replaced.
    counted: Vec<Count>,
}

/// Alerts that wait to be taken, and the IDs of alerts that were taken.
#[derive(Debug, Default)]
struct Raised {
    /// Alerts that rules have just raised.
    pending: Vec<Alert>,
    /// Alerts that are not repetitions and that nobody has taken yet.
    settled: Vec<Alert>,
    /// The number of alerts that were put into `settled` up to now.
    count: u64,
    /// The IDs of recent alerts, the oldest first. After a restart the same windows may be executed again. `None` in a
    /// replay, which executes no window twice.
    remembered: Option<VecDeque<String>>,
}

/// The open windows of all rules, borrowed from the rules or owned.
#[derive(Debug, Serialize, Deserialize)]
pub struct RulesSnapshot<'a> {
    /// The seed of the hashes that the rules keep instead of texts.
    seed: u64,
    rules: Vec<AnySnapshot<'a>>,
}

impl RulesSnapshot<'_> {
    /// The number of groups in the snapshot.
    pub fn groups(&self) -> usize {
        self.rules.iter().map(AnySnapshot::groups).sum()
    }

    /// Leaves groups out, those of the lowest rank first, until the JSON text of each rule takes about this many bytes. Returns
    /// how many were left out.
    pub fn limit(&mut self, bytes: usize) -> usize {
        self.rules.iter_mut().map(|rule| rule.limit(bytes)).sum()
    }

    /// Copies the snapshot, so that it no longer borrows from the rules.
    pub fn into_owned(self) -> RulesSnapshot<'static> {
        RulesSnapshot { seed: self.seed, rules: self.rules.into_iter().map(AnySnapshot::into_owned).collect() }
    }
}

/// The effect of a reload on the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// All rules keep their windows. Other settings may have changed.
    Same,
    /// At least one rule has new windows. The old windows run on until their last execution.
    New {
        /// Packet time of the last execution.
        old_until: Timestamp,
    },
}

impl Rules {
    /// Creates rules that have seen nothing. `seed` is the seed of the observations' hashes. The settings must be valid.
    pub fn new(settings: &RulesSettings, site: Arc<Site>, seed: u64) -> Self {
        let context = RuleContext { site, pool: TextPool::new(settings.text_bytes), seed };
        Self {
            active: settings.running().map(|rule| AnyRule::new(rule, settings, &context)).collect(),
            context,
            retiring: Vec::new(),
            past: BTreeMap::new(),
            raised: Raised::default(),
        }
    }

    /// Shows a final exchange to every rule. `now` is the time of the packet that decided it.
    #[inline]
    pub fn observe(&mut self, observation: &Observation, now: Timestamp) {
        for Retiring { rule, .. } in &mut self.retiring {
            rule.observe(observation, now, &mut self.raised.pending);
        }
        for rule in &mut self.active {
            rule.observe(observation, now, &mut self.raised.pending);
        }
    }

    /// Shows an exchange to the rules in `by`, whose filters matched it. The exchange was given to `observe` before.
    pub fn take(&mut self, matched: &Matched<'_>, by: RuleSet) {
        for Retiring { rule, .. } in self.retiring.iter_mut().filter(|retiring| by.contains(retiring.rule.name())) {
            rule.take(matched, &mut self.raised.pending);
        }
        for rule in self.active.iter_mut().filter(|rule| by.contains(rule.name())) {
            rule.take(matched, &mut self.raised.pending);
        }
    }

    /// Shows a turn inside TLS to every rule. `now` is the time of the packet that decided it.
    pub fn turn(&mut self, turn: &Turn, now: Timestamp) {
        for Retiring { rule, .. } in &mut self.retiring {
            rule.turn(turn, now, &mut self.raised.pending);
        }
        for rule in &mut self.active {
            rule.turn(turn, now, &mut self.raised.pending);
        }
    }

    /// Returns whether a tick is so far behind the packet time reached that the clock must have been set back.
    pub fn is_set_back(&self, tick: Timestamp) -> bool {
        self.active.iter().filter_map(AnyRule::reached).any(|reached| reached > tick.plus(SET_BACK))
    }

    /// Moves packet time on, and executes every window that is due.
    pub fn advance(&mut self, time: Timestamp) {
        if !self.retiring.is_empty() {
            for Retiring { rule, .. } in &mut self.retiring {
                rule.advance(time, &mut self.raised.pending);
            }
            self.retire(time, |until| time >= until);
        }
        for rule in &mut self.active {
            rule.advance(time, &mut self.raised.pending);
        }
    }

    /// Handles a clock that was set back: executes the open windows as at the end of the input, and starts new windows.
    #[cold]
    pub fn turn_back(&mut self, to: Timestamp) {
        self.finish(to);
        let Self { context, active, past, raised, .. } = self;
        for rule in active {
            let mut new = rule.anew(context);
            new.advance(to, &mut raised.pending);
            new.note_loss(to.into());
            let old = std::mem::replace(rule, new);
            add(past.entry(old.name()).or_default(), &old.counts());
        }
        // The same window boundaries come again. Their alerts are new alerts, so the remembered IDs must not suppress them.
        raised.settle();
        raised.remembered.iter_mut().for_each(VecDeque::clear);
    }

    /// Handles an input whose packets go on at an earlier time, for instance files joined in the wrong order. Windows stay,
    /// and errors count in the windows of their own times.
    #[cold]
    pub fn go_back(&mut self, to: Timestamp) {
        for Retiring { rule, .. } in &mut self.retiring {
            rule.go_back(to, &mut self.raised.pending);
        }
        for rule in &mut self.active {
            rule.go_back(to, &mut self.raised.pending);
        }
    }

    /// Ends the input: executes the open windows and marks their alerts as partial.
    pub fn finish(&mut self, last: Timestamp) {
        self.retire(last, |_| true);
        for rule in &mut self.active {
            rule.finish(last, &mut self.raised.pending);
        }
    }

    /// Replaces the settings. When they change the windows of a rule, the new windows begin now, and the old windows
    /// continue beside them until they have been executed. A rule that is switched off executes its open windows now.
    pub fn reconfigure(&mut self, settings: &RulesSettings, site: Arc<Site>, now: Timestamp) -> Windows {
        self.context.site = site;
        self.context.pool.set_limit(settings.text_bytes);
        let mut old: BTreeMap<RuleName, AnyRule> = self.active.drain(..).map(|rule| (rule.name(), rule)).collect();
        let mut windows = Windows::Same;
        for name in settings.running() {
            let Some(mut rule) = old.remove(&name) else {
                let new = self.begin(name, settings, now);
                self.active.push(new);
                continue;
            };
            if rule.reconfigure(settings, &self.context).is_err() {
                self.retire_rule(now, name);
                let until = rule.retires_at(now);
                let new = self.begin(name, settings, now);
                let replaced = std::mem::replace(&mut rule, new);
                let counted = replaced.counts();
                add(self.past.entry(name).or_default(), &counted);
                self.retiring.push(Retiring { rule: replaced, until, counted });
                windows = match windows {
                    Windows::New { old_until } if old_until > until => windows,
                    Windows::New { .. } | Windows::Same => Windows::New { old_until: until },
                };
            }
            self.active.push(rule);
        }
        for (name, mut rule) in old {
            self.retire_rule(now, name);
            rule.finish(now, &mut self.raised.pending);
            add(self.past.entry(name).or_default(), &rule.counts());
        }
        windows
    }

    /// Creates a rule whose windows begin now. The time before counts as lost, because the new windows did not see it.
    fn begin(&mut self, name: RuleName, settings: &RulesSettings, now: Timestamp) -> AnyRule {
        let mut rule = AnyRule::new(name, settings, &self.context);
        rule.advance(now, &mut self.raised.pending);
        rule.note_loss(now.into());
        rule
    }

    /// Notes that packets were lost within this time.
    pub fn note_loss(&mut self, lost: Stretch) {
        for Retiring { rule, .. } in &mut self.retiring {
            rule.note_loss(lost);
        }
        for rule in &mut self.active {
            rule.note_loss(lost);
        }
    }

    /// Returns whether there are alerts that nobody has taken yet.
    #[inline]
    pub fn have_raised(&self) -> bool {
        !self.raised.pending.is_empty() || !self.raised.settled.is_empty()
    }

    /// Takes the alerts that were raised. Alerts that were raised before, in this or an earlier run, are left out.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        self.raised.settle();
        std::mem::take(&mut self.raised.settled)
    }

    /// The number of alerts up to now: those that were taken, and those that wait to be taken.
    pub fn alerts(&self) -> u64 {
        self.raised.count
    }

    /// Starts to remember the IDs of alerts.
    pub fn remember(&mut self) {
        self.raised.remembered = Some(VecDeque::new());
    }

    /// Remembers the IDs of alerts that an earlier run raised, so that they are not raised again.
    pub fn skip(&mut self, ids: Vec<String>) {
        if let Some(remembered) = &mut self.raised.remembered {
            remembered.extend(ids);
            remembered.drain(..remembered.len().saturating_sub(REMEMBERED_ALERTS));
        }
    }

    /// The IDs of recent alerts, if they are remembered.
    pub fn remembered(&self) -> impl Iterator<Item = &str> {
        self.raised.remembered.iter().flatten().map(String::as_str)
    }

    /// Makes a snapshot of the open windows of the running rules.
    pub fn snapshot(&self) -> RulesSnapshot<'_> {
        RulesSnapshot { seed: self.context.seed, rules: self.active.iter().map(AnyRule::snapshot).collect() }
    }

    /// Continues with the open windows of an earlier run. Observations must be hashed with [`hash_seed`](Self::hash_seed)
    /// from then on. State of rules that do not run now is left out.
    ///
    /// # Errors
    ///
    /// A rule has other windows in these settings than in the snapshot. That rule starts without state; the other rules
    /// continue.
    pub fn restore(&mut self, settings: &RulesSettings, snapshot: RulesSnapshot<'_>) -> Result<(), SnapshotError> {
        let context = RuleContext { seed: snapshot.seed, ..self.context.clone() };
        let mut result = Ok(());
        for kept in snapshot.rules {
            let name = kept.rule();
            let Some(rule) = self.active.iter_mut().find(|rule| rule.name() == name) else { continue };
            match AnyRule::restore(settings, &context, kept) {
                Ok(restored) => {
                    *rule = restored;
                    self.context.seed = context.seed;
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// The seed of the hashes that the rules keep instead of texts.
    pub fn hash_seed(&self) -> u64 {
        self.context.seed
    }

    /// The counters up to now, by stage. Each rule counts its own texts that did not fit into the text pool.
    pub fn counts(&self) -> Vec<(&'static str, Vec<Count>)> {
        let active = self.active.iter().map(|rule| (rule.name(), rule.counts()));
        let mut all = self.past.clone();
        for (name, counts) in active {
            add(all.entry(name).or_default(), &counts);
        }
        all.into_iter().map(|(name, counts)| (name.stage(), counts)).collect()
    }

    /// The gauges of the rules, by stage.
    pub fn gauges(&self) -> Vec<(&'static str, Vec<Count>)> {
        self.active.iter().map(|rule| (rule.name().stage(), rule.gauges())).collect()
    }

    /// The groups that came nearest to an alert without one.
    pub fn near_misses(&self) -> impl Iterator<Item = &NearMiss> {
        self.active.iter().flat_map(AnyRule::near_misses)
    }

    /// The text pool that the rules share.
    pub fn pool(&self) -> &TextPool {
        &self.context.pool
    }

    /// Ends the retiring rules for which `is_over` returns true.
    fn retire(&mut self, now: Timestamp, is_over: impl Fn(Timestamp) -> bool) {
        let (over, go_on) = std::mem::take(&mut self.retiring).into_iter().partition(|rule| is_over(rule.until));
        self.retiring = go_on;
        self.let_go(now, over);
    }

    /// Ends the retiring windows of one rule, because newer windows replace them.
    fn retire_rule(&mut self, now: Timestamp, name: RuleName) {
        let (over, go_on) = std::mem::take(&mut self.retiring).into_iter().partition(|old| old.rule.name() == name);
        self.retiring = go_on;
        self.let_go(now, over);
    }

    fn let_go(&mut self, now: Timestamp, over: Vec<Retiring>) {
        for Retiring { mut rule, until, counted } in over {
            rule.retire(now, until, &mut self.raised.pending);
            let of_alerts = rule.name().alert_counters();
            let since = rule.counts().into_iter().zip(counted);
            let since: Vec<Count> = since
                .map(|(new, old)| Count { value: new.value - old.value, ..new })
                .map(|count| if of_alerts.contains(&count.name) { count } else { Count { value: 0, ..count } })
                .collect();
            add(self.past.entry(rule.name()).or_default(), &since);
        }
    }
}

/// Adds counts to the sum of the same rule.
fn add(sum: &mut Vec<Count>, counts: &[Count]) {
    if sum.is_empty() {
        sum.extend_from_slice(counts);
        return;
    }
    for (sum, count) in sum.iter_mut().zip(counts) {
        sum.value += count.value;
    }
}

impl Raised {
    /// Moves pending alerts to `settled`, without those that were raised before.
    fn settle(&mut self) {
        for alert in std::mem::take(&mut self.pending) {
            if !self.is_repeated(&alert) {
                self.count += 1;
                self.settled.push(alert);
            }
        }
    }

    /// Returns whether an alert was raised before. A new alert is remembered.
    fn is_repeated(&mut self, alert: &Alert) -> bool {
        let Some(remembered) = self.remembered.as_mut().filter(|_| alert.mode == Mode::Scheduled) else {
            return false;
        };
        if remembered.contains(&alert.id) {
            return true;
        }
        if remembered.len() >= REMEMBERED_ALERTS {
            remembered.pop_front();
        }
        remembered.push_back(alert.id.clone());
        false
    }
}

#[cfg(test)]
#[path = "side_by_side_tests.rs"]
mod tests;
