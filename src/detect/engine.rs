//! Counting, and when to look.
//!
//! In: error events in packet order, and the packet time reached. Out: alerts, in order of execution, then of count.
//! Promises: an event counts in every window of its time stamp that is executed after it arrives; a window is executed once
//! packet time has passed its end by the lateness; years without events cost nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use foldhash::fast::FixedState;

use super::{
    alert::{Alert, AlertKind, Execution, Window, alert_id},
    client::{Budget, Layout},
    clients::{Clients, Servers},
    evidence::{Summary, summarize},
    losses::Losses,
    record,
    settings::{Mode, RuleSettings},
    window::Cells,
};
use crate::{
    address::{Address, Endpoint},
    counters,
    event::{ErrorEvent, Site},
    telemetry::Count,
    time::{Stretch, Timestamp, nanos},
};

counters! {
    /// What the rule did.
    pub struct RuleCounters {
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

/// The rule at work.
#[derive(Debug)]
pub struct RuleEngine {
    pub(super) settings: RuleSettings,
    pub(super) site: Arc<Site>,
    pub(super) layout: Layout,
    pub(super) hasher: FixedState,
    pub(super) clients: Clients,
    /// Clients that may be over the threshold (scheduled), or whose alert is open (streaming).
    pub(super) hot: Vec<Address>,
    pub(super) servers: Servers,
    pub(super) budget: Budget,
    pub(super) counters: RuleCounters,
    /// The latest packet time reached; `None` before the first.
    pub(super) watermark: Option<Timestamp>,
    /// The next boundary to execute, or in streaming mode to look for alerts that are over.
    pub(super) next: Timestamp,
    pub(super) next_sweep: Timestamp,
    pub(super) suppressed: BTreeMap<Address, Timestamp>,
    pub(super) losses: Losses,
    /// In streaming mode, the interval's boundary and the alerts opened since.
    pub(super) opened: (Timestamp, usize),
}

impl RuleEngine {
    /// An engine that has seen nothing. The settings are taken as valid ([`RuleSettings::validate`]).
    pub fn new(settings: RuleSettings, site: Arc<Site>) -> Self {
        let layout = layout(&settings);
        let interval = nanos(settings.timeline_interval());
        Self {
            layout,
            hasher: FixedState::with_seed(settings.seed),
            clients: Clients::new(settings.max_clients, settings.seed),
            hot: Vec::new(),
            servers: Servers::new(settings.seed),
            budget: Budget { used: 0, limit: settings.max_evidence_bytes, interval, refused: 0 },
            counters: RuleCounters::default(),
            watermark: None,
            next: Timestamp::EPOCH,
            next_sweep: Timestamp::EPOCH,
            suppressed: BTreeMap::new(),
            losses: Losses::new(settings.window / 64),
            opened: (Timestamp::EPOCH, 0),
            settings,
            site,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &RuleSettings {
        &self.settings
    }

    /// The site whose events these are.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The latest packet time; `None` before the first.
    pub fn reached(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// What was counted so far.
    pub fn counters(&self) -> RuleCounters {
        RuleCounters { without_evidence: self.budget.refused, ..self.counters.clone() }
    }

    /// What is held now: clients, and bytes of evidence.
    pub fn gauges(&self) -> [Count; 2] {
        [
            Count { name: "clients", help: "Client addresses counted now.", value: self.clients.len() as u64 },
            Count { name: "evidence_bytes", help: "Bytes of evidence held now.", value: self.budget.used as u64 },
        ]
    }

    /// Takes an event in, after executing what was due before it was seen.
    pub fn observe(&mut self, event: &ErrorEvent, alerts: &mut Vec<Alert>) {
        self.advance(event.seen.max(event.time), alerts);
        if !self.settings.reasons.contains(event.reason) {
            self.counters.other_reasons += 1;
            return;
        }
        if !self.is_in_time(event.time) {
            return;
        }
        let server = event.exchange.endpoints.map_or(Endpoint::UNKNOWN, |(_, server)| server);
        let server = self.servers.number(server);
        let seen = record::read(event, server, &self.hasher, &self.site);
        let oldest = self.oldest_cell();
        let counted = self.clients.add(event.client().address, &seen, &self.layout, oldest, &mut self.budget);
        self.counters.clients_evicted += u64::from(counted.evicted);
        match counted.place {
            None => self.counters.clients_refused += 1,
            Some(place) => {
                self.counters.counted += 1;
                match self.settings.mode {
                    Mode::Scheduled => self.note_hot(place),
                    Mode::Streaming => self.slide(place, event.time, alerts),
                }
            }
        }
    }

    /// Packet time has reached `watermark`: executes every window that is due. Time never runs backwards here.
    #[inline]
    pub fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
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

    /// The input is over, `last` is the last packet's time: executes every window up to and with the boundary after it, which
    /// is marked partial; in streaming mode closes what is open.
    pub fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
        let last = self.watermark.map_or(last, |reached| reached.max(last));
        self.advance(last, alerts);
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

    /// The sensor lost packets in this time: windows that hold it are lower bounds.
    pub fn note_loss(&mut self, lost: Stretch) {
        self.losses.note(lost);
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

    /// The first cell that a window still to come may count.
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
        let execution = Execution { groups: groups as u64, truncated: (groups - over.len()) as u64 };
        self.counters.executions_with_alerts += 1;
        self.counters.alerts_truncated += execution.truncated;
        self.counters.alerts += over.len() as u64;
        let window = Window { start: boundary.minus(self.settings.window), end: boundary, partial };
        let lower_bound = self.losses.within(window);
        for (count, source) in over {
            let summary = self.clients.many(source).map_or_else(Summary::default, |many| {
                summarize(many.evidence(cells.clone()), self.servers.all(), self.budget.interval)
            });
            alerts.push(Alert {
                id: alert_id(&self.settings, &self.site, source, boundary),
                kind: AlertKind::Scheduled,
                time: boundary,
                window,
                source,
                count,
                summary,
                execution: Some(execution),
                episode: None,
                lower_bound,
            });
        }
    }

    /// The clients with more errors in these cells than the threshold; forgets what lies before.
    fn over_threshold(&mut self, cells: &std::ops::Range<u64>) -> Vec<(u64, Address)> {
        let threshold = u64::from(self.settings.threshold);
        let mut over = Vec::new();
        // A client that was forgotten and came back is listed twice.
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

    /// Takes out the clients that alerted a short while ago, and remembers the others.
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

/// How clients are kept under these settings.
pub(super) fn layout(settings: &RuleSettings) -> Layout {
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
