//! What clients and servers do, beside what rules count.
//!
//! In: every final exchange as an [`Observation`], and the exchanges themselves where their text tells something: all errors, and
//! successes that [`Telling`] selects. Out: for an alert, the [`Conduct`] of its client. Promises: the same exchanges in the same
//! order give the same conduct; at most 32,768 clients are remembered, and those with the fewest errors go first; a
//! conduct holds no number that is too high.

mod actor;
mod bucket;
mod classes;
mod conduct;
mod few;
mod kinds;
mod marks;
mod paths;
mod report;
mod servers;
mod telling;

pub use self::{
    conduct::{Conduct, Extent, Found, Other, ServerHealth, Signals, TelltaleHit, TimelineEntry, and_more, said_path},
    kinds::{Kind, Kinds},
    telling::Telling,
};

use std::{num::NonZeroU32, ops::Range, sync::Arc, time::Duration};

use hashbrown::{HashTable, hash_table::Entry};

use self::{
    actor::{Actor, Hit, SentMethod, Success},
    classes::Classes,
    paths::Paths,
    report::Around,
    servers::Servers,
};
use super::telltales::Telltale;
use crate::{
    address::{Address, Endpoint},
    counters,
    event::{Claims, Site},
    exchange::{Exchange, Features, Method, MethodName, Observation, ObservationFlags, path_and_query},
    keyed_hash::KeyedState,
    time::{Timestamp, nanos},
};

/// The most clients that are remembered.
const MOST_ACTORS: usize = 32_768;
/// The most clients that are looked at to find the one that goes.
const PROBES: usize = 16;
/// The most bytes that clients hold on the heap.
const MOST_BYTES: usize = 64 << 20;

counters! {
    /// What is remembered of clients.
    pub struct ActivityCounters {
        /// Clients that were forgotten to make room for others.
        clients_forgotten,
        /// Paths whose text found no room.
        paths_without_text,
    }
}

/// How long is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivitySettings {
    /// The length of an interval of the timeline. Windows of rules begin and end at its multiples.
    pub interval: Duration,
    /// The longest window of a rule, with the time that its alert may come later.
    pub remembered: Duration,
}

impl Default for ActivitySettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), remembered: Duration::from_secs(22 * 60) }
    }
}

/// What came of the texts of an exchange.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    /// It may be a success that matters.
    matters: bool,
    /// What is remembered of the client may need more memory.
    has_grown: bool,
}

/// What clients and servers did lately.
#[derive(Debug)]
pub struct Activity {
    settings: ActivitySettings,
    site: Arc<Site>,
    hasher: KeyedState,
    table: HashTable<u32>,
    actors: Vec<Actor>,
    /// Bytes that the actors hold on the heap, as of their last change.
    bytes: usize,
    hand: usize,
    recent: usize,
    servers: Servers,
    paths: Paths,
    classes: Classes,
    /// The times of the interval of the last exchange, and its number.
    interval: (Range<Timestamp>, u64),
    /// How many intervals are remembered.
    kept_intervals: u64,
    period: u64,
    forgotten: u64,
    /// Exchanges that were observed.
    observed: u64,
    around: Option<Around>,
}

impl Activity {
    /// Remembers nothing yet.
    pub fn new(settings: ActivitySettings, site: Arc<Site>) -> Self {
        Self {
            settings,
            site,
            hasher: KeyedState::secret(),
            table: HashTable::new(),
            actors: Vec::new(),
            bytes: 0,
            hand: 0,
            recent: 0,
            servers: Servers::default(),
            paths: Paths::default(),
            classes: Classes::default(),
            interval: (Timestamp::EPOCH..Timestamp::EPOCH, 0),
            kept_intervals: 2 * settings.remembered.as_secs() / settings.interval.as_secs().max(1) + 1,
            period: 0,
            forgotten: 0,
            observed: 0,
            around: None,
        }
    }

    /// Goes on under other settings. What was counted in intervals of another length is forgotten.
    pub fn reconfigure(&mut self, settings: ActivitySettings, site: Arc<Site>) {
        if settings == self.settings {
            self.site = site;
        } else {
            *self = Self::new(settings, site);
        }
    }

    /// The counters up to now.
    pub fn counters(&self) -> ActivityCounters {
        ActivityCounters { clients_forgotten: self.forgotten, paths_without_text: self.paths.refused }
    }

    /// The servers that were seen, in the order in which they came. Those beyond a limit are not in the list.
    pub fn servers(&self) -> &[Endpoint] {
        self.servers.all()
    }

    /// Observes an exchange. `exchange` is there where it is an error, or its text tells something. Returns whether it may be a
    /// success that matters.
    #[inline]
    pub fn observe(&mut self, observation: &Observation, exchange: Option<&Exchange>, is_error: bool) -> bool {
        let time = observation.time;
        self.observed += 1;
        if !self.interval.0.contains(&time) {
            self.begin_interval(time);
        }
        let interval = self.interval.1;
        let oldest = interval.saturating_sub(self.kept_intervals);
        let kind = Kind::of(observation);
        let server = self.servers.number(observation.server);
        self.servers.add(server, interval, oldest, observation, kind);
        let place = self.place_of(observation.client, time);
        let has_room = self.bytes < MOST_BYTES;
        let Some(actor) = self.actors.get_mut(place) else { return false };
        let mut matters = false;
        let mut has_grown = actor.add(observation, kind, (server, interval), is_error, has_room);
        match exchange {
            Some(exchange) => {
                let read = self.read(observation, exchange, server, place, is_error, has_room);
                matters = read.matters;
                has_grown |= read.has_grown;
            }
            // The text of this path was read before. Which shard read it must make no difference.
            None if observation.answer.is_success() => {
                has_grown |= actor.details.note_success(Success::observed(observation, server), has_room);
            }
            None => {}
        }
        if has_grown && let Some(actor) = self.actors.get_mut(place) {
            let bytes = actor.bytes();
            let before = std::mem::replace(&mut actor.counted_bytes, bytes);
            self.bytes = self.bytes + bytes - before;
        }
        matters
    }

    /// The exchanges go on in another interval.
    #[cold]
    fn begin_interval(&mut self, time: Timestamp) {
        let interval = self.interval_of(time);
        let start = time.floor_to(self.settings.interval);
        self.interval = (start..start.plus(self.settings.interval), interval);
        let period = time.as_nanos() / nanos(self.settings.remembered).max(1);
        if period > self.period {
            self.begin_period(period, interval.saturating_sub(self.kept_intervals));
        }
    }

    /// Reads the texts of an exchange.
    fn read(
        &mut self,
        observation: &Observation,
        exchange: &Exchange,
        server: u16,
        place: usize,
        is_error: bool,
        has_room: bool,
    ) -> Read {
        let mut read = Read::default();
        let Some(actor) = self.actors.get_mut(place) else { return read };
        let target = exchange.field(exchange.target);
        let path = || path_and_query(target).map_or(target, |(path, _)| path);
        let class = self.classes.of(observation.method, target);
        let details = &mut *actor.details;
        if matches!(target.len(), 33 | 37 | 97) || class.is_some_and(Telltale::is_payload) {
            details.marks.note(target);
        }
        if exchange.credentials != 0 && has_room {
            read.has_grown = true;
            details.credentials.add(exchange.credentials);
            let user = exchange.field(exchange.user);
            if !user.is_empty() {
                details.users.add((self.hasher.hash(user) >> 32) as u32);
            }
        }
        let hash = observation.path.map_or(0, NonZeroU32::get);
        let site = &self.site;
        let mut method = SentMethod::from(observation.method);
        if method.method == Method::Other {
            let sent = exchange.field(exchange.method);
            method.name = self.hasher.hash(sent) as u32;
            self.paths.keep(method.name, sent.get(..MethodName::MOST_BYTES).unwrap_or(sent), site);
        }
        if let Some(class) = class {
            // What makes a payload is often in the query.
            let (hash, text) =
                if class.is_payload() { (self.hasher.hash(target) as u32, target) } else { (hash, path()) };
            self.paths.keep(hash, text, site);
            let status = observation.answer.status();
            read.has_grown = true;
            details.note_hit(Hit { class, path: hash, status, count: 1, method }, has_room);
        }
        if observation.answer.is_success() {
            self.paths.keep(hash, path(), site);
            let location = exchange.field(exchange.location);
            let redirect = (!location.is_empty()).then(|| self.hasher.hash(location) as u32);
            if let Some(redirect) = redirect {
                self.paths.keep(redirect, location, site);
            }
            let success = Success { class, redirect, method, ..Success::observed(observation, server) };
            details.note_success(success, has_room);
            read.has_grown = true;
            read.matters = class.is_some_and(Telltale::is_sensitive) || is_remarkable(observation.flags.features());
        }
        if is_error {
            actor.note_order(target);
            if !exchange.forwarded.is_empty() {
                let hash = self.hasher.hash(exchange.field(exchange.forwarded)) as u32;
                let is_named = observation.flags.has(ObservationFlags::CLIENT_NAMED);
                actor.details.note_claim(hash, Claims::of(exchange, observation.client), is_named, has_room);
                read.has_grown = true;
            }
            if let Some(agent) = observation.user_agent {
                read.has_grown |= actor.details.note_agent(agent.get(), exchange.field(exchange.user_agent));
            }
        }
        read
    }

    /// Returns the place of a client, which may be new.
    #[inline]
    fn place_of(&mut self, client: Address, time: Timestamp) -> usize {
        if self.actors.get(self.recent).is_none_or(|actor| actor.address != client) {
            self.recent = self.find_or_add(client, time);
        }
        self.recent
    }

    #[inline(never)]
    fn find_or_add(&mut self, client: Address, time: Timestamp) -> usize {
        let hash = self.hash(client);
        let is_it = |place: &u32| self.actors.get(*place as usize).is_some_and(|actor| actor.address == client);
        if let Some(place) = self.table.find(hash, is_it) {
            return *place as usize;
        }
        let place = if self.actors.len() < MOST_ACTORS && self.bytes < MOST_BYTES {
            self.actors.push(Actor::new(client, time));
            self.actors.len() - 1
        } else {
            self.replace_one(client, time)
        };
        let (actors, hasher) = (&self.actors, &self.hasher);
        let hash_of = |place: &u32| actors.get(*place as usize).map_or(0, |actor| hash_of(hasher, actor.address));
        if let Entry::Vacant(vacant) = self.table.entry(hash, |_| false, hash_of) {
            vacant.insert(place as u32);
        }
        place
    }

    /// Gives the place of the client with the fewest errors, of some that are looked at, to another.
    fn replace_one(&mut self, client: Address, time: Timestamp) -> usize {
        self.forgotten += 1;
        let probed = (0..PROBES.min(self.actors.len())).map(|probe| (self.hand + probe) % self.actors.len());
        let place = probed
            .min_by_key(|place| {
                let actor = &self.actors[*place];
                (actor.confirmed, actor.errors, actor.last)
            })
            .unwrap_or(0);
        self.hand = (self.hand + PROBES) % self.actors.len();
        let gone = std::mem::replace(&mut self.actors[place], Actor::new(client, time));
        self.bytes -= gone.counted_bytes;
        if let Ok(found) = self.table.find_entry(hash_of(&self.hasher, gone.address), |known| *known as usize == place)
        {
            found.remove();
        }
        place
    }

    /// Begins another period: forgets what is older than the period before.
    #[cold]
    fn begin_period(&mut self, period: u64, oldest: u64) {
        let is_next = period == self.period + 1;
        self.period = period;
        for actor in &mut self.actors {
            actor.begin_period(oldest);
            if !is_next {
                actor.begin_period(oldest);
            }
        }
        let mut place = 0;
        let horizon = self.start_of(oldest);
        while let Some(actor) = self.actors.get(place) {
            if actor.last >= horizon {
                place += 1;
                continue;
            }
            let last = self.actors.len() - 1;
            let (gone, moved) = (self.hash(actor.address), self.hash(self.actors[last].address));
            if let Ok(found) = self.table.find_entry(gone, |known| *known as usize == place) {
                found.remove();
            }
            if let Some(known) = self.table.find_mut(moved, |known| *known as usize == last) {
                *known = place as u32;
            }
            self.actors.swap_remove(place);
        }
        self.recent = 0;
        self.actors.iter_mut().for_each(|actor| actor.counted_bytes = actor.bytes());
        self.bytes = self.actors.iter().map(|actor| actor.counted_bytes).sum();
        self.paths.clean(self.actors.iter().flat_map(Actor::named_texts));
    }

    fn interval_of(&self, time: Timestamp) -> u64 {
        time.as_nanos() / nanos(self.settings.interval).max(1)
    }

    fn actor(&self, client: Address) -> Option<&Actor> {
        let is_it = |place: &u32| self.actors.get(*place as usize).is_some_and(|actor| actor.address == client);
        self.table.find(self.hash(client), is_it).and_then(|place| self.actors.get(*place as usize))
    }

    fn hash(&self, client: Address) -> u64 {
        hash_of(&self.hasher, client)
    }
}

#[inline]
fn hash_of(hasher: &KeyedState, client: Address) -> u64 {
    use std::hash::BuildHasher;
    hasher.hash_one(client.halves())
}

/// Returns whether a success carries more than a page: credentials, a file, a session.
pub(super) fn is_remarkable(features: Features) -> bool {
    [Features::CREDENTIALS, Features::UPLOAD].into_iter().any(|feature| features.has(feature))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        capture::Stamp,
        detect::Window,
        event::{EventSettings, Observer, testing},
    };

    proptest! {
        #[test]
        fn the_bytes_of_all_clients_are_known(
            steps in proptest::collection::vec((0u8..6, 0u8..40, any::<bool>(), 0u64..4_000), 0..200),
        ) {
            let mut activity = Activity::new(ActivitySettings::default(), Arc::default());
            let mut observer = Observer::new(EventSettings::default(), Arc::default());
            let mut seconds = 1_700_000_000;
            for (number, (client, path, is_error, later)) in (0u64..).zip(steps) {
                seconds += if later < 3_900 { later % 60 } else { later };
                let time = Timestamp::from_parts(seconds, 0);
                let status = if is_error { 404 } else { 200 };
                let target = format!("/{path}/.env?a=<script>{path}");
                let exchange = testing::exchange(testing::client(client), time, number, status, &target);
                let observation = observer.observe(&exchange, Stamp { number, time }).unwrap();
                activity.observe(&observation, (path % 3 != 0).then_some(&exchange), is_error);
                prop_assert_eq!(activity.bytes, activity.actors.iter().map(Actor::bytes).sum::<usize>());
                if path == 39 {
                    // What replaces a client is counted with its first exchange.
                    let gone = activity.actors[0].bytes();
                    let held = activity.bytes;
                    activity.hand = 0;
                    activity.actors.truncate(1);
                    activity.replace_one(testing::client(100).address, time);
                    prop_assert_eq!(activity.bytes, held - gone);
                    return Ok(());
                }
            }
        }
    }

    #[test]
    fn without_room_nothing_grows_and_nothing_is_forgotten_that_is_counted() {
        let mut activity = Activity::new(ActivitySettings::default(), Arc::default());
        let mut observer = Observer::new(EventSettings::default(), Arc::default());
        let mut observe = |activity: &mut Activity, number: u64, target: &str| {
            let time = Timestamp::from_parts(1_700_000_000, 0);
            let exchange = testing::exchange(testing::client(1), time, number, 404, target);
            let observation = observer.observe(&exchange, Stamp { number, time }).unwrap();
            activity.observe(&observation, Some(&exchange), true);
        };
        observe(&mut activity, 0, "/.env");
        let held = activity.bytes;
        activity.bytes = MOST_BYTES;
        (1..100).for_each(|number| observe(&mut activity, number, &format!("/{number}.bak")));
        assert_eq!(activity.bytes, MOST_BYTES);
        assert_eq!(activity.actors[0].bytes(), held);
        assert_eq!((activity.actors[0].errors, activity.actors[0].buckets[0].kinds.total()), (100, 100));
    }

    /// One path, one status, several methods: each is a tell-tale of its own, and has its count in the timeline.
    #[test]
    fn requests_that_differ_in_their_method_alone_are_told_apart() {
        let mut activity = Activity::new(ActivitySettings::default(), Arc::default());
        let mut observer = Observer::new(EventSettings::default(), Arc::default());
        let start = 1_700_000_040;
        let methods = ["PROPFIND", "JEFF", "PROPFIND", "MKCOL", "GET", "JEFF", "TRACK", "JEFF", "get"];
        for (number, method) in (0..).zip(methods) {
            let time = Timestamp::from_parts(start + number, 0);
            let mut exchange = testing::exchange(testing::client(1), time, number, 405, "/dav/");
            exchange.method = exchange.store(method.as_bytes());
            let observation = observer.observe(&exchange, Stamp { number, time }).unwrap();
            activity.observe(&observation, Some(&exchange), true);
        }
        let window = Window {
            start: Timestamp::from_parts(start - 600, 0),
            end: Timestamp::from_parts(start + 60, 0),
            partial: false,
        };
        let conduct = activity.conduct(testing::client(1).address, window).unwrap();
        let told = |hit: &TelltaleHit| (String::from_utf8_lossy(hit.method.bytes()).into_owned(), hit.count);
        let told: Vec<_> = conduct.telltales.iter().map(told).collect();
        let expected = [("JEFF", 3), ("PROPFIND", 2), ("MKCOL", 1), ("TRACK", 1), ("get", 1)];
        assert_eq!(told, expected.map(|(method, count)| (method.to_owned(), count)));
        let by_method =
            [(Method::Other, 4), (Method::Propfind, 2), (Method::Get, 1), (Method::Mkcol, 1), (Method::Track, 1)];
        assert_eq!(conduct.timeline.iter().map(|entry| &entry.methods[..]).collect::<Vec<_>>(), [&by_method[..]]);
    }
}
