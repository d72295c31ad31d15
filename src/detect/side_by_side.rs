//! Several rules side by side over one stream, and over the life of a sensor: restarts, reloads, clocks that are set back.
//!
//! In: observations, matched exchanges and packet time. Out: alerts. Promises: a rule finds the same whichever rules run
//! beside it, unless the text pool they share is full, which is counted; an alert is raised once, over restarts too; when a
//! reload changes a rule's windows, nothing is lost: the old windows go on until their next execution.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Alert, AlertKind, Matched, RuleContext, TextPool,
    rules::{AnyRule, AnySnapshot, RuleName, RuleSet, RulesSettings},
};
use crate::{
    event::Site,
    exchange::Observation,
    telemetry::Count,
    time::{Stretch, Timestamp},
};

/// IDs remembered: forty executions full of alerts.
const REMEMBERED_ALERTS: usize = 4_000;

/// How far behind the time that was reached a tick may be after a restart.
const SET_BACK: Duration = Duration::from_secs(2);

/// Why a snapshot cannot be gone on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Windows of another length cannot be counted from it.
    #[error("the rule's window, interval or mode is not the one the state was kept under")]
    OtherWindows,
}

/// The rules that run.
#[derive(Debug)]
pub struct Rules {
    context: RuleContext,
    /// In the order of the catalog.
    active: Vec<AnyRule>,
    retiring: Vec<Retiring>,
    /// Counts of rules that are no longer at work.
    past: BTreeMap<RuleName, Vec<Count>>,
    raised: Raised,
}

/// A rule whose windows were changed, until its last execution.
#[derive(Debug)]
struct Retiring {
    rule: AnyRule,
    /// When its last window is due.
    until: Timestamp,
    /// What it had counted when it was replaced.
    counted: Vec<Count>,
}

/// Alerts on their way out, and the IDs of those that have left.
#[derive(Debug, Default)]
struct Raised {
    /// Alerts that rules have just raised.
    pending: Vec<Alert>,
    /// Those of them that were not raised before. Nobody has taken them yet.
    settled: Vec<Alert>,
    /// Alerts that were settled so far.
    count: u64,
    /// IDs of alerts of windows that may be executed again, oldest first. `None` in a replay, which executes no window
    /// again.
    remembered: Option<VecDeque<String>>,
}

/// The open windows of all rules, lent or owned.
#[derive(Debug, Serialize, Deserialize)]
pub struct RulesSnapshot<'a> {
    /// Seed of the hashes that the rules have kept in the place of texts.
    seed: u64,
    rules: Vec<AnySnapshot<'a>>,
}

impl RulesSnapshot<'_> {
    /// Groups that are counted in it.
    pub fn groups(&self) -> usize {
        self.rules.iter().map(AnySnapshot::groups).sum()
    }

    /// A copy that the rules do not lend.
    pub fn into_owned(self) -> RulesSnapshot<'static> {
        RulesSnapshot { seed: self.seed, rules: self.rules.into_iter().map(AnySnapshot::into_owned).collect() }
    }
}

/// Which windows a reload leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// The same, under other settings or not.
    Same,
    /// Others for some rule; the old ones are executed for the last time then.
    New {
        /// Packet time of the last execution.
        old_until: Timestamp,
    },
}

impl Rules {
    /// Rules that have seen nothing. `seed` is that of the observations' hashes. The settings are taken as valid.
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

    /// Shows every rule a final exchange; `now` is the time of the packet that decided it.
    #[inline]
    pub fn observe(&mut self, observation: &Observation, now: Timestamp) {
        for Retiring { rule, .. } in &mut self.retiring {
            rule.observe(observation, now, &mut self.raised.pending);
        }
        for rule in &mut self.active {
            rule.observe(observation, now, &mut self.raised.pending);
        }
    }

    /// Shows an exchange, which was observed before, to the rules whose filter matched it.
    pub fn take(&mut self, matched: &Matched<'_>, by: RuleSet) {
        for Retiring { rule, .. } in self.retiring.iter_mut().filter(|retiring| by.contains(retiring.rule.name())) {
            rule.take(matched, &mut self.raised.pending);
        }
        for rule in self.active.iter_mut().filter(|rule| by.contains(rule.name())) {
            rule.take(matched, &mut self.raised.pending);
        }
    }

    /// Returns whether a tick is so far behind the time reached that the clock must have been set back.
    pub fn is_set_back(&self, tick: Timestamp) -> bool {
        self.active.iter().filter_map(AnyRule::reached).any(|reached| reached > tick.plus(SET_BACK))
    }

    /// Packet time has reached this.
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

    /// Time was set back: open windows are executed as at the end, and begin anew.
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
        // The same boundaries come again, and their alerts are others.
        raised.settle();
        raised.remembered.iter_mut().for_each(VecDeque::clear);
    }

    /// The input is over: open windows are executed, marked partial.
    pub fn finish(&mut self, last: Timestamp) {
        self.retire(last, |_| true);
        for rule in &mut self.active {
            rule.finish(last, &mut self.raised.pending);
        }
    }

    /// Goes on under other settings. Where they mean other windows for a rule, those begin now, and the open ones go on beside
    /// them until they have been executed. A rule that is switched off executes what it has open.
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

    /// A rule whose windows begin now. What they would have counted before is a loss to them.
    fn begin(&mut self, name: RuleName, settings: &RulesSettings, now: Timestamp) -> AnyRule {
        let mut rule = AnyRule::new(name, settings, &self.context);
        rule.advance(now, &mut self.raised.pending);
        rule.note_loss(now.into());
        rule
    }

    /// Packets were lost within this time.
    pub fn note_loss(&mut self, lost: Stretch) {
        for Retiring { rule, .. } in &mut self.retiring {
            rule.note_loss(lost);
        }
        for rule in &mut self.active {
            rule.note_loss(lost);
        }
    }

    /// Returns whether a rule has raised an alert that nobody has taken.
    #[inline]
    pub fn have_raised(&self) -> bool {
        !self.raised.pending.is_empty() || !self.raised.settled.is_empty()
    }

    /// Takes the alerts that were raised, without those that were raised before.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        self.raised.settle();
        std::mem::take(&mut self.raised.settled)
    }

    /// Alerts that were taken so far, with those that wait to be taken.
    pub fn alerts(&self) -> u64 {
        self.raised.count
    }

    /// Remembers from now on which alerts were taken.
    pub fn remember(&mut self) {
        self.raised.remembered = Some(VecDeque::new());
    }

    /// Takes the IDs of alerts that an earlier run has raised: those are not raised again.
    pub fn skip(&mut self, ids: Vec<String>) {
        if let Some(remembered) = &mut self.raised.remembered {
            remembered.extend(ids);
            remembered.drain(..remembered.len().saturating_sub(REMEMBERED_ALERTS));
        }
    }

    /// IDs of the alerts that were taken lately, where they are remembered.
    pub fn remembered(&self) -> impl Iterator<Item = &str> {
        self.raised.remembered.iter().flatten().map(String::as_str)
    }

    /// The open windows of the rules that run.
    pub fn snapshot(&self) -> RulesSnapshot<'_> {
        RulesSnapshot { seed: self.context.seed, rules: self.active.iter().map(AnyRule::snapshot).collect() }
    }

    /// Goes on with the open windows of an earlier run. Observations must be hashed with [`hash_seed`](Self::hash_seed) from
    /// then on. What the snapshot holds of rules that do not run is left out.
    ///
    /// # Errors
    ///
    /// Windows of some rule that mean something else under these settings: that rule begins anew, the others go on.
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

    /// The seed of the hashes that the rules keep in the place of texts.
    pub fn hash_seed(&self) -> u64 {
        self.context.seed
    }

    /// What was counted so far, by stage. Each rule counts what of its own found no room in the text pool.
    pub fn counts(&self) -> Vec<(&'static str, Vec<Count>)> {
        let active = self.active.iter().map(|rule| (rule.name(), rule.counts()));
        let mut all = self.past.clone();
        for (name, counts) in active {
            add(all.entry(name).or_default(), &counts);
        }
        all.into_iter().map(|(name, counts)| (name.stage(), counts)).collect()
    }

    /// What is held now, by stage.
    pub fn gauges(&self) -> Vec<(&'static str, Vec<Count>)> {
        self.active.iter().map(|rule| (rule.name().stage(), rule.gauges())).collect()
    }

    /// The memory that the rules share.
    pub fn pool(&self) -> &TextPool {
        &self.context.pool
    }

    /// Lets go of the retiring rules whose time has come.
    fn retire(&mut self, now: Timestamp, is_over: impl Fn(Timestamp) -> bool) {
        let (over, go_on) = std::mem::take(&mut self.retiring).into_iter().partition(|rule| is_over(rule.until));
        self.retiring = go_on;
        self.let_go(now, over);
    }

    /// Lets go of one rule's retired windows, because others take their place.
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

/// Adds counts to those of the same rule.
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
    /// Leaves out the alerts that were raised before.
    fn settle(&mut self) {
        for alert in std::mem::take(&mut self.pending) {
            if !self.is_repeated(&alert) {
                self.count += 1;
                self.settled.push(alert);
            }
        }
    }

    /// Returns whether an alert was raised before, and remembers it if not.
    fn is_repeated(&mut self, alert: &Alert) -> bool {
        let Some(remembered) = self.remembered.as_mut().filter(|_| alert.kind == AlertKind::Scheduled) else {
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
