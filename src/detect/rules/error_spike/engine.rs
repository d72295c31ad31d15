//! The engine: counts errors and executes windows.
//!
//! In: errors in packet order, and the packet time reached. Out: alerts, in order of execution, then of count. Promises: an
//! event counts in every window that contains its time stamp and that is executed after the event arrived. A window is
//! executed once packet time has passed its end by the lateness. Years without events cost nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ErrorSpikeSettings, IDENTITY,
    client::{Budget, Layout},
    clients::{Clients, Servers},
    evidence::summarize,
    record,
};
use crate::{
    address::Address,
    counters,
    detect::{
        Alert, AlertKind, Execution, Group, GroupValue, Matched, Mode, RuleContext, RuleIdentity, Summary, Window,
        alert::alert_id, cells::Cells, losses::Losses,
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
        /// Events too late for a window already executed; they count in those still to come.
        late_partly,
        /// Events too late for every window.
        late_dropped,
        /// Events between two windows, where the look-back is shorter than the interval.
        between_windows,
        /// Events counted without evidence because its memory was used up.
        without_evidence,
        /// Clients with few errors given up to make room for others.
        clients_evicted,
        /// Events not counted because there was no room for one more client.
        clients_refused,
        /// Executions that found at least one client over the threshold.
        executions_with_alerts,
        /// Alerts written.
        alerts,
        /// Alerts left out because an execution had too many.
        alerts_truncated,
        /// Alerts not written because of suppression.
        alerts_suppressed,
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
    pub(super) servers: Servers,
    pub(super) budget: Budget,
    pub(super) counters: ErrorSpikeCounters,
    /// The latest packet time reached. `None` before the first packet.
    pub(super) watermark: Option<Timestamp>,
    /// The next boundary to execute. In streaming mode, the next time to look for alerts to close.
    pub(super) next: Timestamp,
    pub(super) next_sweep: Timestamp,
    pub(super) suppressed: BTreeMap<Address, Timestamp>,
    pub(super) losses: Losses,
    /// In streaming mode, the boundary at which the current interval began, and the number of alerts opened since.
    pub(super) opened: (Timestamp, usize),
}

impl ErrorSpike {
    /// Creates a rule that has seen nothing. The settings must be valid ([`ErrorSpikeSettings::validate`]).
    pub(super) fn begin(settings: ErrorSpikeSettings, context: &RuleContext) -> Self {
        let layout = layout(&settings);
        let interval = nanos(settings.timeline_interval());
        Self {
            layout,
            clients: Clients::new(settings.max_clients, context.seed),
            hot: Vec::new(),
            servers: Servers::new(context.seed),
            budget: Budget { share: context.pool.share(), interval, refused: 0 },
            counters: ErrorSpikeCounters::default(),
            watermark: None,
            next: Timestamp::EPOCH,
            next_sweep: Timestamp::EPOCH,
            suppressed: BTreeMap::new(),
            losses: Losses::new(settings.window / 64),
            opened: (Timestamp::EPOCH, 0),
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
        self.reach(matched.now.max(time), alerts);
        if !matched.reason.is_some_and(|reason| self.settings.reasons.contains(reason)) {
            self.counters.other_reasons += 1;
            return;
        }
        if !self.is_in_time(time) {
            return;
        }
        let server = self.servers.number(observation.server);
        let Some(seen) = record::read(matched, server, &self.site) else { return };
        let oldest = self.oldest_cell();
        let counted = self.clients.add(observation.client, &seen, &self.layout, oldest, &mut self.budget);
        self.counters.clients_evicted += u64::from(counted.evicted);
        match counted.place {
            None => self.counters.clients_refused += 1,
            Some(place) => {
                self.counters.counted += 1;
                match self.settings.mode {
                    Mode::Scheduled => self.note_hot(place),
                    Mode::Streaming => self.slide(place, time, alerts),
                }
            }
        }
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
            None => {
                self.watermark = Some(watermark);
                self.next = self.layout.cells.next_boundary(watermark.minus(self.settings.lateness));
                self.next_sweep = watermark.floor_to(self.sweep_interval()).plus(self.sweep_interval());
            }
        }
    }

    /// Ends the input. `last` is the time of the last packet. In scheduled mode, executes every window up to and including
    /// the first boundary after `last`; that last window is marked partial. In streaming mode, closes the open alerts.
    pub(super) fn end(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        let last = self.watermark.map_or(last, |reached| reached.max(last));
        self.reach(last, alerts);
        match self.settings.mode {
            Mode::Scheduled => {
                let end = self.layout.cells.next_boundary(last);
                while self.next <= end && !self.hot.is_empty() {
                    self.execute(self.next, self.next > last, alerts);
                    if self.next == Timestamp::MAX {
                        break;
                    }
                    self.next = self.next.plus(self.settings.every);
                }
                self.next = self.next.max(end.plus(self.settings.every));
            }
            Mode::Streaming => self.close_quiet(Timestamp::MAX, alerts),
        }
    }

    fn is_in_time(&mut self, time: Timestamp) -> bool {
        let refused = match self.settings.mode {
            Mode::Scheduled => {
                let (cells, cell) = (&self.layout.cells, self.layout.cells.of(time));
                if cell >= cells.before(self.next).start {
                    let executed = cells.before(self.next.minus(self.settings.every));
                    self.counters.late_partly += u64::from(executed.contains(&cell));
                }
                if !cells.is_counted(cell) {
                    Some(&mut self.counters.between_windows)
                } else {
                    (cell < cells.before(self.next).start).then_some(&mut self.counters.late_dropped)
                }
            }
            Mode::Streaming => {
                let late = self.watermark.is_some_and(|reached| time.plus(self.settings.lateness) < reached);
                late.then_some(&mut self.counters.late_dropped)
            }
        };
        let in_time = refused.is_none();
        if let Some(counter) = refused {
            *counter += 1;
        }
        in_time
    }

    /// The first cell that a later window may count.
    #[inline]
    fn oldest_cell(&self) -> u64 {
        match self.settings.mode {
            Mode::Scheduled => self.layout.cells.before(self.next).start,
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
        }
    }

    fn run_due(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        let reached = watermark.minus(self.settings.lateness);
        match self.settings.mode {
            Mode::Scheduled => {
                while self.next <= reached && !self.hot.is_empty() && self.next < Timestamp::MAX {
                    self.execute(self.next, false, alerts);
                    self.next = self.next.plus(self.settings.every);
                }
            }
            Mode::Streaming if self.next <= reached => self.close_quiet(reached, alerts),
            Mode::Streaming => {}
        }
        if self.next <= reached {
            self.next = self.layout.cells.next_boundary(reached);
        }
        if watermark >= self.next_sweep {
            let interval = self.sweep_interval();
            self.next_sweep = watermark.floor_to(interval).plus(interval);
            self.clients.sweep(self.oldest_cell(), &self.layout, &mut self.budget);
        }
    }

    fn sweep_interval(&self) -> Duration {
        (self.settings.window / 8).max(Duration::from_secs(1))
    }

    fn execute(&mut self, boundary: Timestamp, partial: bool, alerts: &mut Vec<Alert>) {
        let cells = self.layout.cells.before(boundary);
        let mut over = self.over_threshold(&cells);
        self.suppress(&mut over, boundary);
        if over.is_empty() {
            return;
        }
        over.sort_unstable_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        let groups = over.len();
        over.truncate(self.settings.max_alerts);
        let truncated = (groups - over.len()) as u64;
        let execution = Execution { every: self.settings.every, groups: groups as u64, truncated };
        self.counters.executions_with_alerts += 1;
        self.counters.alerts_truncated += truncated;
        self.counters.alerts += over.len() as u64;
        let window = Window { start: boundary.minus(self.settings.window), end: boundary, partial };
        let lower_bound = self.losses.within(window);
        for (count, client) in over {
            let summary = self.clients.many(client).map_or_else(Summary::default, |many| {
                summarize(many.evidence(cells.clone()), self.servers.all(), self.budget.interval)
            });
            let id = alert_id(&self.identity, &self.group(client), boundary);
            alerts.push(Alert {
                execution: Some(execution),
                lower_bound,
                ..self.alert(id, client, boundary, window, count, summary)
            });
        }
    }

    /// The group of a client: one client on one sensor.
    pub(super) fn group(&self, client: Address) -> Group {
        Group::default()
            .with("source.ip", GroupValue::Address(client))
            .with("agent.id", GroupValue::Text(self.site.sensor_id.clone()))
    }

    /// Makes a scheduled alert without `execution` and `episode`.
    pub(super) fn alert(
        &self,
        id: String,
        client: Address,
        time: Timestamp,
        window: Window,
        count: u64,
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
            group: self.group(client),
            count,
            summary,
            execution: None,
            episode: None,
            lower_bound: false,
        }
    }

    /// Returns the clients with more errors in these cells than the threshold. Errors before these cells are forgotten.
    fn over_threshold(&mut self, cells: &std::ops::Range<u64>) -> Vec<(u64, Address)> {
        let threshold = u64::from(self.settings.threshold);
        let mut over = Vec::new();
        // A client that was forgotten and came back is in the list twice.
        self.hot.sort_unstable();
        self.hot.dedup();
        self.hot.retain(|&address| {
            let Some(many) = self.clients.many(address) else { return false };
            many.forget_before(cells.start, &mut self.budget);
            let count = many.count(cells);
            if count > threshold {
                over.push((count, address));
            }
            many.hot = many.total > threshold;
            many.hot
        });
        over
    }

    /// Removes the clients that alerted within the suppression period, and remembers the other clients as alerting now.
    fn suppress(&mut self, over: &mut Vec<(u64, Address)>, boundary: Timestamp) {
        let Some(period) = self.settings.suppress else { return };
        self.suppressed.retain(|_, until| *until > boundary);
        over.retain(|(_, address)| {
            let silent = self.suppressed.contains_key(address);
            self.counters.alerts_suppressed += u64::from(silent);
            !silent
        });
        let until = boundary.plus(period);
        self.suppressed.extend(over.iter().map(|&(_, address)| (address, until)));
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
