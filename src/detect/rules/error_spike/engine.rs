//! The engine: counts errors, and moves packet time on.
//!
//! In: errors in packet order, and the packet time reached. Out: alerts, made by `scheduled` or `streaming`. Promises: an event
//! counts in every window that contains its time stamp; see `late` for windows that were executed before. A window is executed
//! once packet time has passed its end by the lateness. Only packet time executes windows, never an event's stamp. Years without
//! events cost nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ErrorSpikeSettings, IDENTITY,
    client::{Budget, Layout},
    clients::Clients,
    given_up::GivenUp,
    late::Late,
    record::{self, Record},
};
use crate::{
    address::Address,
    counters,
    detect::{
        Alert, AlertKind, GradeCounts, Group, GroupValue, LeftOut, Matched, Mode, RuleContext, RuleIdentity, Summary,
        Window, alert::alert_id, cells::Cells, losses::Losses, near_misses::NearMisses, places::Places,
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
            Mode::Scheduled => self.execute_last(last, alerts),
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

    fn run_due(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        let reached = watermark.minus(self.settings.lateness);
        match self.settings.mode {
            Mode::Scheduled if self.next <= reached => self.execute_due(reached, alerts),
            Mode::Streaming if self.next <= reached => {
                self.close_quiet(reached, alerts);
                self.begin_interval(reached, alerts);
            }
            _ => {}
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
