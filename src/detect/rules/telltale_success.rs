//! A rule only for tests. It shows what a rule needs.
//!
//! The rule counts successful requests for paths that should not be public, by server and class of path, in consecutive
//! windows of one length. It keeps the texts of some paths of every group. It also counts all final exchanges of each
//! server.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    address::Endpoint,
    counters,
    detect::{
        Alert, AlertKind, Execution, Filter, GradeCounts, Group, GroupValue, Matched, Mode, Rule, RuleContext,
        RuleIdentity, Severity, SnapshotError, Summary, Threat, TopEntry, Window, alert::alert_id, losses::Losses,
        text_pool::TextShare, top,
    },
    event::{Reason, Site},
    exchange::{Answer, Exchange, Observation},
    telemetry::Count,
    time::{Stretch, Timestamp},
};

counters! {
    /// What the rule did.
    pub struct TelltaleCounters {
        /// Final exchanges observed.
        observed,
        /// Successes on tell-tale paths.
        matched,
        /// Successes whose path was not kept because the text pool was full.
        without_text,
        /// Alerts written.
        alerts,
    }
}

/// Settings of the rule.
#[derive(Debug, Clone)]
pub struct TelltaleSettings {
    /// The threshold. More successes than this make an alert.
    pub threshold: u64,
    /// The length of a window, and the interval between two windows.
    pub window: Duration,
}

impl Default for TelltaleSettings {
    fn default() -> Self {
        Self { threshold: 0, window: Duration::from_secs(60) }
    }
}

/// The classes of paths, and the text that a path of the class contains.
const CLASSES: [(&str, &[u8]); 2] = [("secrets", b"/.env"), ("version_control", b"/.git/")];

fn class_of(exchange: &Exchange) -> Option<usize> {
    let target = exchange.field(exchange.target);
    CLASSES.iter().position(|(_, mark)| memchr::memmem::find(target, mark).is_some())
}

/// Matches successes on tell-tale paths.
#[derive(Debug, Clone, Copy)]
pub struct TelltaleFilter;

impl Filter for TelltaleFilter {
    fn matches(&self, exchange: &Exchange, _: Option<Reason>) -> bool {
        (200..300).contains(&exchange.answer().meaning()) && class_of(exchange).is_some()
    }
}

/// The successes of one server and class in the open window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Successes {
    grades: GradeCounts,
    paths: Vec<Box<[u8]>>,
}

type Groups = BTreeMap<(Endpoint, usize), Successes>;

/// The running rule.
#[derive(Debug)]
pub struct TelltaleSuccess {
    settings: TelltaleSettings,
    identity: Arc<RuleIdentity>,
    site: Arc<Site>,
    texts: TextShare,
    groups: Groups,
    /// Final exchanges by server, since the start.
    pub(crate) requests: BTreeMap<Endpoint, u64>,
    losses: Losses,
    reached: Option<Timestamp>,
    counters: TelltaleCounters,
}

/// The open window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TelltaleSnapshot<'a> {
    window: Duration,
    groups: Cow<'a, [((Endpoint, usize), Successes)]>,
    requests: Vec<(Endpoint, u64)>,
    losses: Cow<'a, Losses>,
    reached: Option<Timestamp>,
}

impl TelltaleSuccess {
    /// Executes the window that ends at `end`.
    fn execute(&mut self, end: Timestamp, partial: bool, alerts: &mut Vec<Alert>) {
        let window = Window { start: end.minus(self.settings.window), end, partial };
        let groups = std::mem::take(&mut self.groups);
        self.texts.give_back(groups.values().flat_map(|group| &group.paths).map(|path| path.len()).sum());
        let over: Vec<_> =
            groups.into_iter().filter(|(_, group)| group.grades.total() > self.settings.threshold).collect();
        self.counters.alerts += over.len() as u64;
        let execution = Execution { every: self.settings.window, groups: over.len() as u64, truncated: 0 };
        for ((server, class), Successes { grades, paths }) in over {
            let count = grades.total();
            let group = Group::default()
                .with("destination.ip", GroupValue::Address(server.address))
                .with("destination.port", GroupValue::Number(server.port.into()))
                .with("url.class", GroupValue::Text(CLASSES[class].0.to_owned()));
            let paths = paths.into_iter().map(|path| TopEntry { text: path.into(), count: 1 }).collect();
            let timeline_interval = self.settings.window;
            alerts.push(Alert {
                id: alert_id(&self.identity, &group, end),
                rule: Arc::clone(&self.identity),
                site: Arc::clone(&self.site),
                kind: AlertKind::Scheduled,
                time: end,
                mode: Mode::Scheduled,
                threshold: self.settings.threshold,
                look_back: self.settings.window,
                window,
                group,
                count,
                grades,
                summary: Summary {
                    servers: vec![(server, count)],
                    answers: vec![(Answer::http(200), count)],
                    paths,
                    timeline_interval,
                    ..Summary::default()
                },
                execution: Some(execution),
                episode: None,
                lower_bound: self.losses.within(window),
                left_out: None,
                inference: None,
            });
        }
    }

    fn window_end(&self, time: Timestamp) -> Timestamp {
        time.floor_to(self.settings.window).plus(self.settings.window)
    }
}

impl Rule for TelltaleSuccess {
    type Settings = TelltaleSettings;
    type Filter = TelltaleFilter;
    type Snapshot<'a> = TelltaleSnapshot<'a>;

    const IDENTITY: RuleIdentity = RuleIdentity {
        name: Cow::Borrowed("telltale_success"),
        id: Cow::Borrowed("00000000-0000-4000-8000-000000000001"),
        title: Cow::Borrowed("Success on a path that gives a server away"),
        version: 1,
        summary: Cow::Borrowed("Success on a path that gives a server away"),
        description: Cow::Borrowed("A server answered with success on a path that should not be there."),
        reference: Cow::Borrowed(""),
        severity: Severity::High,
        risk_score: 70,
        threat: Threat {
            tactics: Cow::Borrowed(&[]),
            techniques: Cow::Borrowed(&[]),
            subtechniques: Cow::Borrowed(&[]),
        },
        is_inferred: false,
    };
    const IS_DEFAULT: bool = false;
    const STAGE: &'static str = "telltale_success";
    const ALERT_COUNTERS: &'static [&'static str] = &["alerts"];

    fn new(settings: TelltaleSettings, context: &RuleContext) -> Self {
        Self {
            losses: Losses::new(settings.window),
            settings,
            identity: Arc::new(Self::IDENTITY),
            site: Arc::clone(&context.site),
            texts: context.pool.share(),
            groups: Groups::new(),
            requests: BTreeMap::new(),
            reached: None,
            counters: TelltaleCounters::default(),
        }
    }

    fn filter(_: &TelltaleSettings) -> TelltaleFilter {
        TelltaleFilter
    }

    fn settings(&self) -> &TelltaleSettings {
        &self.settings
    }

    fn observe(&mut self, observation: &Observation, now: Timestamp, alerts: &mut Vec<Alert>) {
        self.advance(now, alerts);
        self.counters.observed += 1;
        *self.requests.entry(observation.server).or_default() += 1;
    }

    fn take(&mut self, matched: &Matched<'_>, _: &mut Vec<Alert>) {
        let Some(class) = class_of(matched.exchange) else { return };
        self.counters.matched += 1;
        let group = self.groups.entry((matched.observation.server, class)).or_default();
        group.grades.add(matched.observation.grade);
        if self.texts.has_room() {
            let path = top::shown(matched.exchange.field(matched.exchange.target), &self.site);
            self.texts.take(path.len());
            group.paths.push(path.into());
        } else {
            self.texts.refuse();
            self.counters.without_text += 1;
        }
    }

    fn go_back(&mut self, to: Timestamp, _: &mut Vec<Alert>) {
        self.reached = Some(to);
    }

    fn reached(&self) -> Option<Timestamp> {
        self.reached
    }

    fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        if let Some(reached) = self.reached
            && self.window_end(reached) <= watermark
        {
            self.execute(self.window_end(reached), false, alerts);
        }
        self.reached = self.reached.max(Some(watermark));
    }

    fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        self.advance(last, alerts);
        self.execute(self.window_end(self.reached.unwrap_or(last)), true, alerts);
    }

    fn note_loss(&mut self, lost: Stretch) {
        self.losses.note(lost);
    }

    fn snapshot(&self) -> TelltaleSnapshot<'_> {
        TelltaleSnapshot {
            window: self.settings.window,
            groups: self.groups.iter().map(|(key, group)| (*key, group.clone())).collect(),
            requests: self.requests.iter().map(|(&server, &count)| (server, count)).collect(),
            losses: Cow::Borrowed(&self.losses),
            reached: self.reached,
        }
    }

    fn into_owned(snapshot: TelltaleSnapshot<'_>) -> TelltaleSnapshot<'static> {
        TelltaleSnapshot {
            groups: Cow::Owned(snapshot.groups.into_owned()),
            losses: Cow::Owned(snapshot.losses.into_owned()),
            ..snapshot
        }
    }

    fn groups_in(snapshot: &TelltaleSnapshot<'_>) -> usize {
        snapshot.groups.len()
    }

    fn restore(
        settings: TelltaleSettings,
        context: &RuleContext,
        snapshot: TelltaleSnapshot<'_>,
    ) -> Result<Self, SnapshotError> {
        if snapshot.window != settings.window {
            return Err(SnapshotError::OtherWindows);
        }
        let mut rule = Self::new(settings, context);
        rule.groups = snapshot.groups.into_owned().into_iter().collect();
        rule.texts.take(rule.groups.values().flat_map(|group| &group.paths).map(|path| path.len()).sum());
        rule.requests = snapshot.requests.into_iter().collect();
        rule.losses = snapshot.losses.into_owned();
        rule.reached = snapshot.reached;
        Ok(rule)
    }

    fn reconfigure(&mut self, settings: TelltaleSettings, context: &RuleContext) -> Result<(), SnapshotError> {
        if settings.window != self.settings.window {
            return Err(SnapshotError::OtherWindows);
        }
        (self.settings, self.site) = (settings, Arc::clone(&context.site));
        Ok(())
    }

    fn retires_at(&self, now: Timestamp) -> Timestamp {
        self.window_end(now)
    }

    fn retire(&mut self, now: Timestamp, until: Timestamp, alerts: &mut Vec<Alert>) {
        if now < until {
            self.finish(now, alerts);
        }
    }

    fn counts(&self) -> Vec<Count> {
        self.counters.counts()
    }

    fn gauges(&self) -> Vec<Count> {
        vec![Count { name: "text_bytes", help: "Bytes of paths held now.", value: self.texts.held() as u64 }]
    }
}
