//! The engine: counts errors and executes windows.
//!
//! In: errors in packet order, and the packet time reached. Out: alerts, in order of execution, then of rank. Promises: an
//! event counts in every window that contains its time stamp; see `late` for windows that were executed before. A window is
//! executed once packet time has passed its end by the lateness. Only packet time executes windows, never an event's stamp.
//! Years without events cost nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ErrorSpikeSettings, IDENTITY,
    client::{Budget, Layout},
    clients::Clients,
    evidence::summarize,
    given_up::GivenUp,
    late::Late,
    record::{self, Record},
};
use crate::{
    address::Address,
    counters,
    detect::{
        Alert, AlertKind, Execution, GradeCounts, Group, GroupValue, LeftOut, Matched, Mode, RuleContext, RuleIdentity,
        Summary, Window, alert::alert_id, cells::Cells, losses::Losses, near_misses::NearMisses, places::Places,
        server_numbers::ServerNumbers,
    },
    event::Site,
    telemetry::Count,
    time::{Timestamp, nanos},
};

counters! {
    /// What the rule did.
    pub struct ErrorSpikeCounters {
        /// Events that count toward the threshold.
        counted,
        /// Events of a kind that does not count toward the threshold.
        other_reasons,
        /// Events for windows that were already executed; these windows are executed again.
        late_partly,
        /// Late events for times whose other errors are already forgotten; alerts of these times are lower bounds.
        late_incomplete,
        /// Events left out of windows that were already executed, because too many such windows waited.
        late_dropped,
        /// Events between two windows, where the look-back is shorter than the interval.
        between_windows,
        /// Events counted without evidence because its memory was used up.
        without_evidence,
        /// Clients dropped to make room for others; the alert of kind left_out counts them.
        clients_evicted,
        /// Events not counted because there was no room for one more client; alerts of kind left_out count them.
        clients_refused,
        /// Executions that found at least one client over the threshold.
        executions_with_alerts,
        /// Alerts written.
        alerts,
        /// Alerts left out because an execution had too many.
        alerts_truncated,
        /// Alerts not written because of suppression.
        alerts_suppressed,
        /// Alerts of kind left_out written.
        alerts_left_out,
    }
}

/// The running rule.
#[derive(Debug)]
pub struct ErrorSpike {
    pub(super) settings: ErrorSpikeSettings,
    pub(super) identity: Arc<RuleIdentity>,
    pub(super) site: Arc<Site>,
    pub(super) layout: Layout,
    pub(super) clients: Clients,
    /// In scheduled mode, the clients that may be over the threshold. In streaming mode, the clients with an open alert.
    pub(super) hot: Vec<Address>,
    pub(super) servers: ServerNumbers,
    pub(super) budget: Budget,
    pub(super) counters: ErrorSpikeCounters,
    /// The latest packet time reached. `None` before the first packet.
    pub(super) watermark: Option<Timestamp>,
    /// The next boundary to execute. In streaming mode, the next time to look for alerts to close.
    pub(super) next: Timestamp,
    pub(super) next_sweep: Timestamp,
    pub(super) suppressed: BTreeMap<Address, Timestamp>,
    pub(super) losses: Losses,
    /// The errors of clients for which the table had no place.
    pub(super) given_up: GivenUp,
    /// In streaming mode, the places for alerts in the current interval.
    pub(super) places: Places<Address>,
    pub(super) late: Late,
    pub(super) near: NearMisses,
}

/// A client over the threshold.
struct Over {
    client: Address,
    errors: GradeCounts,
}

impl ErrorSpike {
    /// Creates a rule that has seen nothing. The settings must be valid ([`ErrorSpikeSettings::validate`]).
    pub(super) fn begin(settings: ErrorSpikeSettings, context: &RuleContext) -> Self {
        let layout = layout(&settings);
        let interval = nanos(settings.timeline_interval());
        Self {
            layout,
            clients: Clients::new(settings.max_clients),
            hot: Vec::new(),
            servers: ServerNumbers::new(u16::MAX),
            budget: Budget { share: context.pool.share(), interval, refused: 0 },
            counters: ErrorSpikeCounters::default(),
            watermark: None,
            next: Timestamp::EPOCH,
            next_sweep: Timestamp::EPOCH,
            suppressed: BTreeMap::new(),
            losses: Losses::new(settings.window / 64),
            given_up: GivenUp::default(),
            places: Places::default(),
            late: Late::default(),
            near: NearMisses::default(),
            settings,
            identity: Arc::new(IDENTITY),
            site: Arc::clone(&context.site),
        }
    }

    /// The counters up to now.
    pub(super) fn counters(&self) -> ErrorSpikeCounters {
        ErrorSpikeCounters { without_evidence: self.budget.refused, ..self.counters.clone() }
    }

    /// The gauges: clients, and bytes of evidence.
    pub(super) fn held(&self) -> [Count; 2] {
        let bytes = self.budget.share.held() as u64;
        [
            Count { name: "clients", help: "Client addresses counted now.", value: self.clients.len() as u64 },
            Count { name: "evidence_bytes", help: "Bytes of evidence held now.", value: bytes },
        ]
    }

    /// Counts an error. Windows that were due before the error was seen are executed first.
    pub(super) fn count(&mut self, matched: &Matched<'_>, alerts: &mut Vec<Alert>) {
        let (observation, time) = (matched.observation, matched.observation.time);
        self.reach(matched.now, alerts);
        if !matched.reason.is_some_and(|reason| self.settings.reasons.contains(reason)) {
            self.counters.other_reasons += 1;
            return;
        }
        if !self.is_counted(time) {
            return;
        }
        if self.settings.mode == Mode::Streaming {
            self.begin_interval(matched.now, alerts);
        }
        let server = self.servers.number(observation.server);
        let Some(seen) = record::read(matched, server, &self.site) else { return };
        let (client, oldest) = (observation.client, self.oldest_cell());
        let mut place = self.clients.add(client, &seen, &self.layout, oldest, &mut self.budget);
        if place.is_none() {
            let record = seen.record;
            if self.make_room(client, &record, oldest, alerts)
                && let Some(seen) = record::read(matched, server, &self.site)
            {
                place = self.clients.add(client, &seen, &self.layout, oldest, &mut self.budget);
            }
        }
        let Some(place) = place else { return };
        self.counters.counted += 1;
        match self.settings.mode {
            Mode::Scheduled => self.note_hot(place),
            Mode::Streaming => self.slide(place, time, alerts),
        }
    }

    /// Makes room in the full table for a new client with this error. Returns false when the new client has to be refused.
    #[cold]
    fn make_room(&mut self, client: Address, record: &Record, oldest: u64, alerts: &mut Vec<Alert>) -> bool {
        if self.settings.mode == Mode::Streaming {
            // The sums of an interval are forgotten at its end, but later look-backs reach into it.
            self.losses.note(record.time.into());
        }
        let Some(victim) = self.clients.victim(record.grade.is_confirmed()) else {
            self.counters.clients_refused += 1;
            self.given_up.note_error(self.layout.cells.of(record.time), client, record.grade.into());
            return false;
        };
        self.counters.clients_evicted += 1;
        self.close(victim, alerts);
        if let Some(mut gone) = self.clients.take(victim) {
            self.given_up.note_client(&gone, oldest, &self.layout);
            gone.release(&mut self.budget);
        }
        true
    }

    /// Moves packet time on to `watermark`, and executes every window that is due. An earlier `watermark` changes nothing.
    #[inline]
    pub(super) fn reach(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        match self.watermark {
            Some(reached) if watermark <= reached => {}
            Some(_) => {
                self.watermark = Some(watermark);
                if watermark >= self.next.plus(self.settings.lateness).min(self.next_sweep) {
                    self.run_due(watermark, alerts);
                }
            }
            None => self.start_at(watermark),
        }
    }

    /// Packet time starts here, or goes on from here.
    pub(super) fn start_at(&mut self, watermark: Timestamp) {
        self.watermark = Some(watermark);
        self.next = self.layout.cells.next_boundary(watermark.minus(self.settings.lateness));
        self.next_sweep = watermark.floor_to(self.sweep_interval()).plus(self.sweep_interval());
        self.late.begin(self.layout.cells.before(self.next).start);
    }

    /// Ends the input. `last` is the time of the last packet. In scheduled mode, executes every window up to and including
    /// the first boundary after `last`; that last window is marked partial. In streaming mode, closes the open alerts.
    pub(super) fn end(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        let last = self.watermark.map_or(last, |reached| reached.max(last));
        self.reach(last, alerts);
        match self.settings.mode {
            Mode::Scheduled => {
                self.execute_reopened(alerts);
                let end = self.layout.cells.next_boundary(last);
                while self.next <= end && self.may_alert() {
                    self.execute(self.next, self.late.is_partial(self.next, last), alerts);
                    if self.next == Timestamp::MAX {
                        break;
                    }
                    self.next = self.next.plus(self.settings.every);
                }
                self.note_near_misses(self.next..=end);
                self.next = self.next.max(end.plus(self.settings.every));
                self.execute_ahead(last, alerts);
            }
            Mode::Streaming => {
                self.close_quiet(Timestamp::MAX, alerts);
                self.end_interval(true, alerts);
            }
        }
    }

    /// Returns whether any window counts an event of this time. Takes note of late events.
    fn is_counted(&mut self, time: Timestamp) -> bool {
        let Mode::Scheduled = self.settings.mode else {
            let is_late = self.watermark.is_some_and(|reached| time.plus(self.settings.lateness) < reached);
            self.counters.late_partly += u64::from(is_late);
            return true;
        };
        let cells = &self.layout.cells;
        let cell = cells.of(time);
        if !cells.is_counted(cell) {
            self.counters.between_windows += 1;
            return false;
        }
        if cell < cells.before(self.next.minus(self.settings.every)).end {
            self.reopen(time, cell);
        }
        true
    }

    /// The first cell that a later execution may count. The cells of the last window that was executed are kept, in case it
    /// is executed again.
    #[inline]
    pub(super) fn oldest_cell(&self) -> u64 {
        match self.settings.mode {
            Mode::Scheduled => {
                let last = self.next.minus(self.settings.every);
                self.layout.cells.before(self.late.first_reopened().map_or(last, |first| first.min(last))).start
            }
            Mode::Streaming => {
                let reached = self.watermark.unwrap_or_default();
                self.layout.cells.of(reached.minus(self.settings.lateness).minus(self.settings.window))
            }
        }
    }

    #[inline]
    fn note_hot(&mut self, place: u32) {
        let threshold = u64::from(self.settings.threshold);
        if let Some((address, many)) = self.clients.at(place)
            && !many.hot
            && many.total > threshold
        {
            many.hot = true;
            self.hot.push(address);
            if self.hot.len() > 2 * self.clients.len() + 1_024 {
                self.thin_hot();
            }
        }
    }

    /// Removes the clients from the list that the table no longer has, and those that are in the list twice.
    #[cold]
    fn thin_hot(&mut self) {
        self.hot.sort_unstable();
        self.hot.dedup();
        self.hot.retain(|&address| self.clients.many(address).is_some_and(|many| many.hot));
    }

    /// Returns whether the next window may raise an alert.
    fn may_alert(&self) -> bool {
        !self.hot.is_empty() || !self.given_up.is_empty()
    }

    fn run_due(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        let reached = watermark.minus(self.settings.lateness);
        match self.settings.mode {
            Mode::Scheduled => {
                if self.next <= reached {
                    self.execute_reopened(alerts);
                }
                while self.next <= reached && self.may_alert() && self.next < Timestamp::MAX {
                    self.execute(self.next, false, alerts);
                    self.next = self.next.plus(self.settings.every);
                }
                if self.next <= reached {
                    self.note_near_misses(self.next..=reached);
                }
            }
            Mode::Streaming if self.next <= reached => {
                self.close_quiet(reached, alerts);
                self.begin_interval(reached, alerts);
            }
            Mode::Streaming => {}
        }
        if self.next <= reached {
            self.next = self.layout.cells.next_boundary(reached);
        }
        if watermark >= self.next_sweep {
            let interval = self.sweep_interval();
            self.next_sweep = watermark.floor_to(interval).plus(interval);
            let oldest = self.oldest_cell();
            self.late.forgotten = self.late.forgotten.max(oldest);
            self.clients.sweep(oldest, &self.layout, &mut self.budget);
            self.given_up.forget_before(oldest);
        }
    }

    pub(super) fn sweep_interval(&self) -> Duration {
        (self.settings.window / 8).max(Duration::from_secs(1))
    }

    pub(super) fn execute(&mut self, boundary: Timestamp, partial: bool, alerts: &mut Vec<Alert>) {
        let cells = self.layout.cells.before(boundary);
        self.given_up.forget_before(self.oldest_cell().min(cells.start));
        let mut over = self.over_threshold(&cells);
        over.iter().for_each(|over| self.near.note_over(over.client));
        self.note_near_misses(boundary..=boundary);
        over.retain(|over| self.late.is_news(boundary, Some(over.client), over.errors.total()));
        self.suppress(&mut over, boundary);
        over.sort_unstable_by_key(|over| over.errors.rank(over.client));
        let groups = over.len();
        let beyond = over.split_off(groups.min(self.settings.max_alerts));
        let mut left_out = LeftOut::default();
        for Over { client, errors } in &beyond {
            left_out.alert_limit.add(1, *errors);
            left_out.largest.note(*client, *errors);
        }
        self.given_up.add_to(&mut left_out, &cells);
        let execution = Execution { every: self.settings.every, groups: groups as u64, truncated: beyond.len() as u64 };
        self.counters.executions_with_alerts += u64::from(groups > 0);
        self.counters.alerts_truncated += execution.truncated;
        self.counters.alerts += over.len() as u64;
        let window = Window { start: boundary.minus(self.settings.window), end: boundary, partial };
        let lower_bound = self.losses.within(window) || self.given_up.are_within(&cells);
        for Over { client, errors } in over {
            self.late.note_alert(boundary, Some(client), errors.total());
            let summary = self.clients.many(client).map_or_else(Summary::default, |many| {
                summarize(many.evidence(cells.clone()), self.servers.all(), self.budget.interval)
            });
            let group = self.group(client);
            let id = alert_id(&self.identity, &group, boundary);
            alerts.push(Alert {
                execution: Some(execution),
                lower_bound,
                ..self.alert(id, group, boundary, window, errors, summary)
            });
        }
        let total = left_out.errors().total();
        if !left_out.is_empty() && self.late.is_news(boundary, None, total) {
            self.late.note_alert(boundary, None, total);
            let alert = self.left_out_alert(left_out, boundary, window);
            alerts.push(Alert { execution: Some(execution), ..alert });
        }
    }

    /// The group of a client: one client on one sensor.
    pub(super) fn group(&self, client: Address) -> Group {
        let group = Group::default().with("source.ip", GroupValue::Address(client));
        group.with("agent.id", GroupValue::Text(self.site.sensor_id.clone()))
    }

    /// Makes the alert that sums up the clients that found no place, without `execution`. Its group is the sensor.
    pub(super) fn left_out_alert(&mut self, left_out: LeftOut, time: Timestamp, window: Window) -> Alert {
        self.counters.alerts_left_out += 1;
        let group = Group::default().with("agent.id", GroupValue::Text(self.site.sensor_id.clone()));
        let id = alert_id(&self.identity, &group, time);
        let summary = Summary { timeline_interval: Duration::from_nanos(self.budget.interval), ..Summary::default() };
        Alert {
            kind: AlertKind::LeftOut,
            lower_bound: self.losses.within(window),
            left_out: Some(Box::new(left_out.clone())),
            ..self.alert(id, group, time, window, left_out.errors(), summary)
        }
    }

    /// Makes a scheduled alert without `execution` and `episode`.
    pub(super) fn alert(
        &self,
        id: String,
        group: Group,
        time: Timestamp,
        window: Window,
        grades: GradeCounts,
        summary: Summary,
    ) -> Alert {
        Alert {
            id,
            rule: Arc::clone(&self.identity),
            site: Arc::clone(&self.site),
            kind: AlertKind::Scheduled,
            time,
            mode: self.settings.mode,
            threshold: u64::from(self.settings.threshold),
            look_back: self.settings.window,
            window,
            group,
            count: grades.total(),
            grades,
            summary,
            execution: None,
            episode: None,
            lower_bound: false,
            left_out: None,
            inference: None,
        }
    }

    /// Returns the clients with more errors in these cells than the threshold. Errors that no execution counts any more are
    /// forgotten.
    fn over_threshold(&mut self, cells: &std::ops::Range<u64>) -> Vec<Over> {
        let threshold = u64::from(self.settings.threshold);
        let oldest = self.oldest_cell().min(cells.start);
        self.late.forgotten = self.late.forgotten.max(oldest);
        let mut over = Vec::new();
        // A client that was forgotten and came back is in the list twice.
        self.hot.sort_unstable();
        self.hot.dedup();
        self.hot.retain(|&address| {
            let Some(many) = self.clients.many(address) else { return false };
            many.forget_before(oldest, &mut self.budget);
            let errors = many.count(cells);
            if errors.total() > threshold {
                over.push(Over { client: address, errors });
            }
            many.hot = many.total > threshold;
            many.hot
        });
        over
    }

    /// Removes the clients that alerted within the suppression period, and remembers the other clients as alerting now.
    fn suppress(&mut self, over: &mut Vec<Over>, boundary: Timestamp) {
        let Some(period) = self.settings.suppress else { return };
        self.suppressed.retain(|_, until| *until > boundary);
        over.retain(|over| {
            // A window that is executed again may lie before the alert that began the suppression.
            let silent = self.suppressed.get(&over.client).is_some_and(|until| until.minus(period) <= boundary);
            self.counters.alerts_suppressed += u64::from(silent);
            !silent
        });
        let until = boundary.plus(period);
        self.suppressed.extend(over.iter().map(|over| (over.client, until)));
    }
}

/// The layout of clients for these settings.
pub(super) fn layout(settings: &ErrorSpikeSettings) -> Layout {
    Layout {
        cells: match settings.mode {
            Mode::Scheduled => Cells::scheduled(settings.window, settings.every),
            Mode::Streaming => Cells::even(settings.window / 11),
        },
        few: (settings.threshold as usize / 4).min(12),
        slides: settings.mode == Mode::Streaming,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod ranking_tests;
