//! Counting, and when to look.
//!
//! In: error events in packet order, and the packet time reached. Out: alerts, in order of execution, then of count.
//! Promises: an event counts in every window of its time stamp that is executed after it arrives; a window is executed once
//! packet time has passed its end by the lateness; years without events cost nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use foldhash::fast::FixedState;
use hashbrown::{HashTable, hash_table::Entry};

use super::{
    alert::{Alert, AlertKind, Episode, Execution, Window, alert_id},
    client::{Budget, Client, Layout, State},
    evidence::{Seen, Summary, summarize},
    record,
    settings::{Mode, RuleSettings},
    streaming::Open,
    window::Cells,
};
use crate::{
    address::{Address, Endpoint},
    counters,
    event::ErrorEvent,
    telemetry::Count,
    time::{Timestamp, nanos},
};

/// Servers told apart in evidence; one more stands for all others.
const MAX_SERVERS: usize = u16::MAX as usize;
/// Times of loss that are remembered one by one.
const MAX_LOSSES: usize = 256;
/// Clients looked at in search of one to give up when the table is full.
const EVICTION_PROBES: usize = 32;

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
    settings: RuleSettings,
    layout: Layout,
    hasher: FixedState,
    table: HashTable<u32>,
    clients: Vec<Client>,
    /// The client of the last event: in a scan, of the next one too.
    recent: u32,
    /// Clients that may be over the threshold (scheduled), or whose alert is open (streaming).
    hot: Vec<Address>,
    servers: Vec<Endpoint>,
    server_numbers: HashTable<u16>,
    recent_server: (Endpoint, u16),
    budget: Budget,
    counters: RuleCounters,
    /// The latest packet time reached; `None` before the first.
    watermark: Option<Timestamp>,
    /// The next boundary to execute, or in streaming mode to look for alerts that are over.
    next: Timestamp,
    next_sweep: Timestamp,
    eviction_hand: usize,
    suppressed: BTreeMap<Address, Timestamp>,
    losses: VecDeque<(Timestamp, Timestamp)>,
    /// In streaming mode, alerts opened since the last boundary of the interval.
    opened: (Timestamp, usize),
}

impl RuleEngine {
    /// An engine that has seen nothing. The settings are taken as valid ([`RuleSettings::validate`]).
    pub fn new(settings: RuleSettings) -> Self {
        let layout = Layout {
            cells: match settings.mode {
                Mode::Scheduled => Cells::scheduled(settings.window, settings.every),
                Mode::Streaming => Cells::even(settings.window / 11),
            },
            few: (settings.threshold as usize / 4).min(12),
            slides: settings.mode == Mode::Streaming,
        };
        let hasher = FixedState::with_seed(settings.seed);
        let budget = Budget {
            used: 0,
            limit: settings.max_evidence_bytes,
            interval: nanos(settings.timeline_interval()),
            refused: 0,
        };
        Self {
            layout,
            hasher,
            table: HashTable::new(),
            clients: Vec::new(),
            recent: 0,
            hot: Vec::new(),
            servers: vec![Endpoint::UNKNOWN],
            server_numbers: HashTable::new(),
            recent_server: (Endpoint::UNKNOWN, 0),
            budget,
            counters: RuleCounters::default(),
            watermark: None,
            next: Timestamp::EPOCH,
            next_sweep: Timestamp::EPOCH,
            eviction_hand: 0,
            suppressed: BTreeMap::new(),
            losses: VecDeque::new(),
            opened: (Timestamp::EPOCH, 0),
            settings,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &RuleSettings {
        &self.settings
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
        let server = self.server_number(server);
        let parameters = std::mem::take(&mut self.settings.masked_parameters);
        let seen = record::read(event, server, &self.hasher, &parameters);
        if let Some(index) = self.count(event.client().address, &seen) {
            self.counters.counted += 1;
            self.after_count(index, event.time, alerts);
        }
        self.settings.masked_parameters = parameters;
    }

    /// Packet time has reached `watermark`: executes every window that is due. Time never runs backwards here.
    #[inline]
    pub fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
        match self.watermark {
            None => {
                self.watermark = Some(watermark);
                self.next = self.layout.cells.next_boundary(watermark.minus(self.settings.lateness));
                self.next_sweep = watermark.floor_to(self.sweep_interval()).plus(self.sweep_interval());
            }
            Some(reached) if watermark > reached => {
                self.watermark = Some(watermark);
                if watermark >= self.next.plus(self.settings.lateness).min(self.next_sweep) {
                    self.run_due(watermark, alerts);
                }
            }
            Some(_) => {}
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

    /// The sensor lost packets at this time: windows that hold it are lower bounds.
    pub fn note_loss(&mut self, at: Timestamp) {
        let near = self.settings.window / 64;
        match self.losses.back_mut() {
            Some((start, end)) if at.plus(near) >= *start && at <= end.plus(near) => {
                *start = at.min(*start);
                *end = at.max(*end);
            }
            _ => self.losses.push_back((at, at)),
        }
        if self.losses.len() > MAX_LOSSES
            && let (Some((start, _)), Some((_, end))) = (self.losses.pop_front(), self.losses.pop_front())
        {
            self.losses.push_front((start, end));
        }
    }

    fn is_in_time(&mut self, time: Timestamp) -> bool {
        match self.settings.mode {
            Mode::Scheduled => {
                let cell = self.layout.cells.of(time);
                if !self.layout.cells.is_counted(cell) {
                    self.counters.between_windows += 1;
                    return false;
                }
                let window = self.layout.cells.before(self.next);
                if cell < window.start {
                    self.counters.late_dropped += 1;
                    return false;
                }
                if time < self.next.minus(self.settings.every)
                    && self.layout.cells.before(self.last_boundary()).contains(&cell)
                {
                    self.counters.late_partly += 1;
                }
            }
            Mode::Streaming => {
                if self.watermark.is_some_and(|reached| time.plus(self.settings.lateness) < reached) {
                    self.counters.late_dropped += 1;
                    return false;
                }
            }
        }
        true
    }

    fn last_boundary(&self) -> Timestamp {
        self.next.minus(self.settings.every)
    }

    fn count(&mut self, address: Address, seen: &Seen<'_>) -> Option<u32> {
        if let Some(client) = self.clients.get_mut(self.recent as usize)
            && client.address == address
        {
            let oldest = oldest_cell(&self.settings, &self.layout.cells, self.next, self.watermark);
            client.add(seen, &self.layout, oldest, &mut self.budget);
            return Some(self.recent);
        }
        if self.clients.len() >= self.settings.max_clients && self.find(address).is_none() && !self.evict_one() {
            self.counters.clients_refused += 1;
            return None;
        }
        let oldest = oldest_cell(&self.settings, &self.layout.cells, self.next, self.watermark);
        let (clients, hasher) = (&mut self.clients, &self.hasher);
        let is_it = |&index: &u32| clients.get(index as usize).is_some_and(|client| client.address == address);
        let hash_of = |&index: &u32| clients.get(index as usize).map_or(0, |client| hash(hasher, client.address));
        let index = match self.table.entry(hash(hasher, address), is_it, hash_of) {
            Entry::Occupied(found) => {
                let index = *found.get();
                if let Some(client) = clients.get_mut(index as usize) {
                    client.add(seen, &self.layout, oldest, &mut self.budget);
                }
                index
            }
            Entry::Vacant(place) => {
                let index = clients.len() as u32;
                place.insert(index);
                clients.push(Client::new(address, seen, &self.layout, &mut self.budget));
                index
            }
        };
        self.recent = index;
        Some(index)
    }

    fn after_count(&mut self, index: u32, time: Timestamp, alerts: &mut Vec<Alert>) {
        let threshold = self.settings.threshold;
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        let address = client.address;
        let Some(many) = client.many() else { return };
        match self.settings.mode {
            Mode::Scheduled => {
                if !many.hot && many.total > u64::from(threshold) {
                    many.hot = true;
                    self.hot.push(address);
                }
            }
            Mode::Streaming => {
                let crossed = many.sliding.crosses(time, threshold, self.settings.window);
                if let Some(open) = &mut many.sliding.open {
                    open.count += 1;
                    open.last = open.last.max(time);
                    if open.last.since(open.written) >= self.settings.update_every {
                        open.written = open.last;
                        open.updates += 1;
                        self.write_open(index, AlertKind::Update, alerts);
                    }
                } else if let Some(first) = crossed {
                    self.open(index, address, first, time, alerts);
                }
            }
        }
    }

    fn open(&mut self, index: u32, address: Address, first: Timestamp, time: Timestamp, alerts: &mut Vec<Alert>) {
        let boundary = time.floor_to(self.settings.every);
        if self.opened.0 != boundary {
            self.opened = (boundary, 0);
        }
        if self.opened.1 >= self.settings.max_alerts {
            self.counters.alerts_truncated += 1;
            return;
        }
        self.opened.1 += 1;
        let id = alert_id(&self.settings, address, time);
        let count = u64::from(self.settings.threshold) + 1;
        let open = Open { id, started: first, last: time, count, written: time, updates: 0 };
        if let Some(many) = self.clients.get_mut(index as usize).and_then(Client::many) {
            many.sliding.open = Some(open);
            self.hot.push(address);
            self.write_open(index, AlertKind::Open, alerts);
        }
    }

    /// Writes a client's open alert. Counts are those of the cells that the look-back before the last error touches.
    fn write_open(&mut self, index: u32, kind: AlertKind, alerts: &mut Vec<Alert>) {
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        let address = client.address;
        let Some(many) = client.many() else { return };
        let Some(open) = many.sliding.open.clone() else { return };
        let oldest = self.layout.cells.of(open.last.minus(self.settings.window));
        many.forget_before(oldest, &mut self.budget);
        let cells = many.first_cell().unwrap_or(oldest)..self.layout.cells.of(open.last) + 2;
        let window = Window {
            start: self.layout.cells.start(cells.start),
            end: open.last.plus(Duration::from_nanos(1)),
            partial: false,
        };
        let count = many.count(&cells);
        let summary = summarize(many.evidence(cells), &self.servers, self.budget.interval);
        let episode = Episode { started: open.started, last: open.last, count: open.count, updates: open.updates };
        self.counters.alerts += 1;
        alerts.push(Alert {
            id: open.id,
            kind,
            time: open.last,
            window,
            source: address,
            count,
            summary,
            execution: None,
            episode: Some(episode),
            lower_bound: self.lost_within(window),
        });
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
            self.sweep();
        }
    }

    fn execute(&mut self, boundary: Timestamp, partial: bool, alerts: &mut Vec<Alert>) {
        let cells = self.layout.cells.before(boundary);
        let threshold = u64::from(self.settings.threshold);
        let mut over: Vec<(u64, Address)> = Vec::new();
        let mut hot = std::mem::take(&mut self.hot);
        // A client that was forgotten and came back is listed twice.
        hot.sort_unstable();
        hot.dedup();
        hot.retain(|&address| {
            let Some(many) = find(&self.table, &mut self.clients, &self.hasher, address).and_then(Client::many) else {
                return false;
            };
            many.forget_before(cells.start, &mut self.budget);
            let count = many.count(&cells);
            if count > threshold {
                over.push((count, address));
            }
            many.hot = many.total > threshold;
            many.hot
        });
        self.hot = hot;
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
        let lower_bound = self.lost_within(window);
        for (count, source) in over {
            let many = find(&self.table, &mut self.clients, &self.hasher, source).and_then(Client::many);
            let summary = many.map_or_else(Summary::default, |many| {
                summarize(many.evidence(cells.clone()), &self.servers, self.budget.interval)
            });
            alerts.push(Alert {
                id: alert_id(&self.settings, source, boundary),
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

    /// Closes the alerts of clients that made no error for a whole look-back before `reached`.
    fn close_quiet(&mut self, reached: Timestamp, alerts: &mut Vec<Alert>) {
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable();
        hot.retain(|&address| {
            let Some(index) = self.find(address) else { return false };
            let last = self.open_alert(index).map(|open| open.last);
            if last.is_some_and(|last| last.plus(self.settings.window) > reached && reached < Timestamp::MAX) {
                return true;
            }
            self.write_open(index, AlertKind::Close, alerts);
            if let Some(many) = self.clients.get_mut(index as usize).and_then(Client::many) {
                many.sliding.open = None;
            }
            false
        });
        self.hot = hot;
    }

    fn open_alert(&self, index: u32) -> Option<&Open> {
        match &self.clients.get(index as usize)?.state {
            State::Many(many) => many.sliding.open.as_ref(),
            State::One(_) | State::Several(_) => None,
        }
    }

    fn lost_within(&self, window: Window) -> bool {
        self.losses.iter().any(|&(start, end)| start < window.end && end >= window.start)
    }

    fn sweep_interval(&self) -> Duration {
        (self.settings.window / 8).max(self.settings.every.min(self.settings.window)).max(Duration::from_secs(1))
    }

    /// Forgets clients whose errors no window will count any more.
    fn sweep(&mut self) {
        let oldest = oldest_cell(&self.settings, &self.layout.cells, self.next, self.watermark);
        let mut index = 0;
        while index < self.clients.len() {
            let keeps = self.open_alert(index as u32).is_some()
                || self.clients[index].forget_before(oldest, &self.layout, &mut self.budget);
            if keeps { index += 1 } else { self.remove(index) }
        }
        if self.clients.capacity() > 1_024 && self.clients.len() < self.clients.capacity() / 4 {
            self.clients.shrink_to(self.clients.len() * 2);
            let (clients, hasher) = (&self.clients, &self.hasher);
            let hash_of = |&index: &u32| clients.get(index as usize).map_or(0, |client| hash(hasher, client.address));
            self.table.shrink_to(self.clients.len() * 2, hash_of);
        }
    }

    /// Gives up one client with few errors; false when none is found near the hand.
    fn evict_one(&mut self) -> bool {
        for _ in 0..EVICTION_PROBES.min(self.clients.len()) {
            self.eviction_hand = (self.eviction_hand + 1) % self.clients.len();
            if !matches!(self.clients[self.eviction_hand].state, State::Many(_)) {
                self.remove(self.eviction_hand);
                self.counters.clients_evicted += 1;
                return true;
            }
        }
        false
    }

    fn remove(&mut self, index: usize) {
        self.clients[index].release(&mut self.budget);
        let forget = |engine: &mut Self, index: usize| {
            let hash = hash(&engine.hasher, engine.clients[index].address);
            engine.table.find_entry(hash, |&known| known as usize == index).map(|found| found.remove()).is_ok()
        };
        let last = self.clients.len() - 1;
        let _was_there = forget(self, index);
        if index != last {
            let hash = hash(&self.hasher, self.clients[last].address);
            if let Some(moved) = self.table.find_mut(hash, |&known| known as usize == last) {
                *moved = index as u32;
            }
        }
        self.clients.swap_remove(index);
    }

    fn find(&self, address: Address) -> Option<u32> {
        let is_it = |&index: &u32| self.clients.get(index as usize).is_some_and(|client| client.address == address);
        self.table.find(hash(&self.hasher, address), is_it).copied()
    }

    fn server_number(&mut self, server: Endpoint) -> u16 {
        if self.recent_server.0 == server {
            return self.recent_server.1;
        }
        let hash_of = |server: Endpoint| {
            let (high, low) = server.address.halves();
            hash_halves(&self.hasher, high ^ u64::from(server.port) << 32, low)
        };
        let servers = &self.servers;
        let at = |number: u16| servers.get(usize::from(number)).copied().unwrap_or(Endpoint::UNKNOWN);
        let number = match self.server_numbers.entry(hash_of(server), |&n| at(n) == server, |&n| hash_of(at(n))) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(_) if servers.len() >= MAX_SERVERS => 0,
            Entry::Vacant(place) => {
                let number = servers.len() as u16;
                place.insert(number);
                self.servers.push(server);
                number
            }
        };
        self.recent_server = (server, number);
        number
    }
}

/// The first cell that a window still to come may count.
#[inline]
fn oldest_cell(settings: &RuleSettings, cells: &Cells, next: Timestamp, watermark: Option<Timestamp>) -> u64 {
    match settings.mode {
        Mode::Scheduled => cells.before(next).start,
        Mode::Streaming => {
            let reached = watermark.unwrap_or_default();
            cells.of(reached.minus(settings.lateness).minus(settings.window))
        }
    }
}

fn find<'c>(
    table: &HashTable<u32>,
    clients: &'c mut [Client],
    hasher: &FixedState,
    address: Address,
) -> Option<&'c mut Client> {
    let is_it = |&index: &u32| clients.get(index as usize).is_some_and(|client| client.address == address);
    let index = table.find(hash(hasher, address), is_it).copied()?;
    clients.get_mut(index as usize)
}

#[inline]
fn hash(hasher: &FixedState, address: Address) -> u64 {
    let (high, low) = address.halves();
    hash_halves(hasher, high, low)
}

#[inline]
fn hash_halves(hasher: &FixedState, high: u64, low: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut state = hasher.build_hasher();
    state.write_u64(high);
    state.write_u64(low);
    state.finish()
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
