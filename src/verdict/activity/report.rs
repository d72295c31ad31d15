//! From what is remembered to the conduct of one client.
//!
//! In: an alert. Out: the [`Conduct`] of its client within the alert's window, and about it. Promises: lists are short and
//! ordered by what they tell; what is equal for every path is not found.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use hashbrown::HashMap;

use super::{
    Activity,
    actor::{Actor, ClaimCounts, Hit, SentMethod, Success},
    bucket::Bucket,
    conduct::{Conduct, Extent, Found, Other, ServerHealth, Signals, TelltaleHit, TimelineEntry},
    few::Few,
    is_remarkable,
    kinds::Kinds,
    marks::Marks,
    servers::fold,
};
use crate::{
    address::Address,
    detect::Window,
    exchange::{Features, MediaKind, MethodName},
    keyed_hash::KeyedState,
    time::{Timestamp, nanos},
    verdict::{telltales::Telltale, tools::ToolSet},
};

/// The most tell-tales and findings that are listed.
const LISTED: usize = 20;
/// The most other clients that are listed.
const LISTED_OTHERS: usize = 5;
/// Successes on different paths that show whether a server answers everything with the same page.
const CATCH_ALL_PATHS: usize = 10;

impl Activity {
    /// The conduct of a client about a window. `None` if the client is not remembered.
    pub fn conduct(&mut self, client: Address, window: Window) -> Option<Conduct> {
        let (first, end) = (self.interval_of(window.start), self.interval_of(window.end));
        self.look_around(self.actor(client)?.works_among(first..end));
        let (actor, around) = (self.actor(client)?, self.around.as_ref()?);
        let is_within = |bucket: &&Bucket| (first..end).contains(&bucket.interval);
        let within: Vec<&Bucket> = actor.buckets.iter().filter(is_within).collect();
        let sum = |wanted: &dyn Fn(u64) -> bool| {
            let mut kinds = Kinds::default();
            actor
                .buckets
                .iter()
                .filter(|bucket| wanted(bucket.interval))
                .for_each(|bucket| kinds.add_all(&bucket.kinds));
            kinds
        };
        let (found, more_found, is_catch_all) = self.found(actor);
        Some(Conduct {
            extent: extent(&within),
            kinds: sum(&|interval| (first..end).contains(&interval)),
            before: sum(&|interval| interval < first),
            after: sum(&|interval| interval >= end),
            timeline: within.iter().map(|bucket| self.timeline_entry(bucket)).collect(),
            telltales: self.telltales(actor),
            found,
            more_found,
            is_catch_all,
            signals: Signals { read_robots: self.has_read_robots(actor), ..signals(actor) },
            others: self.others(actor, &around.worst),
            servers: around.health.iter().map(|health| self.without(health, &within, client)).collect(),
        })
    }

    /// Computes [`Around`] for a key, unless it is already there.
    fn look_around(&mut self, among: Among) {
        if self.around.as_ref().is_none_or(|known| known.among != among || known.observed != self.observed) {
            let health = among.servers.iter().map(|server| self.health(*server, &among.window)).collect();
            let worst = self.worst(&among);
            self.around = Some(Around { among, observed: self.observed, worst, health });
        }
    }

    fn timeline_entry(&self, bucket: &Bucket) -> TimelineEntry {
        TimelineEntry {
            start: self.start_of(bucket.interval),
            server: self.servers.endpoint(bucket.server),
            kinds: bucket.kinds,
            distinct_paths: bucket.paths.into(),
            methods: bucket.methods.ranked(),
        }
    }

    pub(super) fn start_of(&self, interval: u64) -> Timestamp {
        Timestamp::from_nanos(interval.saturating_mul(nanos(self.settings.interval)))
    }

    fn text(&self, hash: u32) -> Vec<u8> {
        self.paths.get(hash).unwrap_or_default().to_vec()
    }

    fn method(&self, sent: SentMethod) -> MethodName {
        MethodName::new(sent.method, self.paths.get(sent.name))
    }

    fn telltales(&self, actor: &Actor) -> Vec<TelltaleHit> {
        let mut hits = BTreeMap::<_, (Hit, u64)>::new();
        for hit in actor.all_details().flat_map(|details| &details.hits) {
            hits.entry(hit.key()).or_insert((*hit, 0)).1 += u64::from(hit.count);
        }
        let mut hits: Vec<_> = hits
            .into_values()
            .map(|(hit, count)| TelltaleHit {
                class: hit.class,
                path: self.text(hit.path),
                status: hit.status,
                method: self.method(hit.method),
                count,
            })
            .collect();
        hits.sort_by(|one, other| {
            let key = |hit: &TelltaleHit| (hit.class, std::cmp::Reverse(hit.count), hit.status);
            key(one).cmp(&key(other)).then_with(|| (&one.path, &one.method).cmp(&(&other.path, &other.method)))
        });
        // Each class is shown before any class is shown a second time at length.
        let mut shown: BTreeMap<Telltale, usize> = BTreeMap::new();
        let classes = hits.iter().map(|hit| hit.class).collect::<BTreeSet<_>>().len().max(1);
        let each = (LISTED / classes).max(1);
        hits.retain(|hit| {
            let count = shown.entry(hit.class).or_default();
            *count += 1;
            *count <= each
        });
        hits.truncate(LISTED);
        hits
    }

    /// What a client got: each success that tells something, without what the server answers to everything.
    fn found(&self, actor: &Actor) -> (Vec<Found>, u64, bool) {
        let mut all = BTreeMap::<_, Success>::new();
        for success in actor.all_details().flat_map(|details| &details.successes) {
            all.entry(success.key()).and_modify(|known| known.add(success)).or_insert(*success);
        }
        let successes: Vec<Success> = all.into_values().collect();
        let common = catch_all(&successes, |hash| self.path_length(hash));
        let is_told = |success: &&Success| {
            let is_common = common.is_some_and(|common| common.covers(success, self.path_length(success.path)));
            // Every server answers for its root, whatever stands in the query.
            let is_root = self.paths.get(success.path).is_none_or(|path| path == b"/");
            !is_common && (!is_root || is_remarkable(success.features))
        };
        let mut told: Vec<&Success> = successes.iter().filter(is_told).collect();
        told.sort_by_cached_key(|success| {
            let rank = success.class.map_or(Telltale::ALL.len(), |class| class as usize);
            let is_whole = success.status < 300;
            let is_sensitive = is_whole && success.class.is_some_and(Telltale::is_sensitive);
            // The order must not depend on hashes, which differ from run to run.
            let name = (self.text(success.path), success.status, success.server, self.method(success.method));
            (!is_remarkable(success.features), !is_sensitive, rank, !is_whole, success.first, name)
        });
        let more = told.len().saturating_sub(LISTED) as u64
            + actor.all_details().map(|details| u64::from(details.more_successes)).sum::<u64>();
        let found = told.into_iter().take(LISTED).map(|success| self.named(success)).collect();
        (found, more, common.is_some())
    }

    fn has_read_robots(&self, actor: &Actor) -> bool {
        let mut successes = actor.all_details().flat_map(|details| &details.successes);
        successes.any(|success| self.paths.get(success.path) == Some(b"/robots.txt"))
    }

    fn path_length(&self, hash: u32) -> usize {
        self.paths.get(hash).map_or(0, <[u8]>::len)
    }

    fn named(&self, success: &Success) -> Found {
        Found {
            path: self.text(success.path),
            server: self.servers.endpoint(success.server),
            status: success.status,
            bytes: success.bytes.map(u64::from),
            media: success.media,
            class: success.class,
            method: self.method(success.method),
            redirect: success.redirect.map(|hash| self.text(hash)).filter(|text| !text.is_empty()),
            features: success.features,
            count: success.count.into(),
            first: success.first,
        }
    }

    fn others(&self, actor: &Actor, worst: &[(u64, Address)]) -> Vec<Other> {
        let tools = actor.tools();
        let shared = |other: &Actor| {
            other.all_details().flat_map(|details| details.paths.iter()).filter(|path| actor.missed(*path)).count()
                as u64
        };
        let others = worst.iter().filter(|(_, address)| *address != actor.address);
        let known = others.filter_map(|(errors, address)| Some((*errors, self.actor(*address)?)));
        known
            .take(LISTED_OTHERS)
            .map(|(errors, other)| Other {
                address: other.address,
                errors,
                shared_paths: shared(other),
                has_same_tool: tools.shares(other.tools()),
            })
            .collect()
    }

    /// Returns the clients with the most errors on these servers in the window. A client that uses one of the scanners counts with
    /// its errors on any server. The list has one more entry than an alert shows, because the alert's own client may be in it.
    fn worst(&self, among: &Among) -> Vec<(u64, Address)> {
        let is_among = |server: u16| match &among.servers[..] {
            [only] => server == *only,
            several => several.contains(&server),
        };
        let errors_of = |other: &Actor| -> u64 {
            let is_anywhere = !among.scanners.is_empty() && among.scanners.shares(other.tools());
            let is_counted =
                |bucket: &&Bucket| among.window.contains(&bucket.interval) && (is_anywhere || is_among(bucket.server));
            other.buckets.iter().filter(is_counted).map(|bucket| bucket.kinds.failed()).sum()
        };
        let mut worst: Vec<(u64, Address)> = Vec::with_capacity(LISTED_OTHERS + 2);
        for other in self.actors.iter().filter(|other| other.errors > 0) {
            let errors = errors_of(other);
            let is_before = |known: &(u64, Address)| (known.0, other.address) > (errors, known.1);
            if errors == 0 || worst.len() > LISTED_OTHERS && worst.last().is_some_and(is_before) {
                continue;
            }
            worst.truncate(LISTED_OTHERS);
            worst.insert(worst.partition_point(is_before), (errors, other.address));
        }
        worst
    }

    /// A server as all clients see it in a window.
    fn health(&self, server: u16, window: &Range<u64>) -> Health {
        let mut health =
            Health { server, all: Kinds::default(), failing: Few::default(), clients: Few::default(), since: None };
        for interval in self.servers.intervals(server).filter(|interval| window.contains(&interval.number)) {
            health.all.add_all(&interval.kinds);
            health.failing.add_all(&interval.failing);
            health.clients.add_all(&interval.clients);
            if health.since.is_none() && interval.kinds.server_failed() > 0 {
                health.since = Some(self.start_of(interval.number));
            }
        }
        health
    }

    /// A server as the other clients see it.
    fn without(&self, health: &Health, own: &[&Bucket], client: Address) -> ServerHealth {
        let mut mine = Kinds::default();
        own.iter().filter(|bucket| bucket.server == health.server).for_each(|bucket| mine.add_all(&bucket.kinds));
        let without_client = |few: &Few<64>| few.count() - u64::from(few.contains(fold(client)));
        ServerHealth {
            server: self.servers.endpoint(health.server),
            others: health.all.without(&mine),
            failing_clients: without_client(&health.failing),
            clients: without_client(&health.clients),
            failing_since: health.since,
        }
    }
}

/// The key of [`Around`]: the servers on which a client has errors, the window, and the client's scanners.
#[derive(Debug, PartialEq, Eq)]
struct Among {
    servers: Vec<u16>,
    window: Range<u64>,
    scanners: ToolSet,
}

/// The other clients and the servers around a client. Alerts of one execution mostly have the same key, so this is computed once for
/// all of them. It is valid until the next exchange is observed.
#[derive(Debug)]
pub(super) struct Around {
    among: Among,
    observed: u64,
    /// Errors and clients, the most first.
    worst: Vec<(u64, Address)>,
    health: Vec<Health>,
}

/// A server as all clients see it.
#[derive(Debug)]
struct Health {
    server: u16,
    all: Kinds,
    failing: Few<64>,
    clients: Few<64>,
    since: Option<Timestamp>,
}

impl Actor {
    fn works_among(&self, window: Range<u64>) -> Among {
        let has_errors = |bucket: &&Bucket| bucket.errors.is_some() && window.contains(&bucket.interval);
        let mut servers: Vec<u16> = self.buckets.iter().filter(has_errors).map(|bucket| bucket.server).collect();
        servers.sort_unstable();
        servers.dedup();
        Among { servers, window, scanners: self.tools().scanners() }
    }
}

/// From the first to the last error of some buckets, in order of time.
fn extent(buckets: &[&Bucket]) -> Option<Extent> {
    let start = buckets.iter().filter_map(|bucket| bucket.errors).map(|(first, _)| first).min()?;
    let end = buckets.iter().filter_map(|bucket| bucket.errors).map(|(_, last)| last).max()?;
    let with_errors = || buckets.iter().filter(|bucket| bucket.errors.is_some());
    let first = with_errors().map(|bucket| bucket.interval).min()?;
    let last = with_errors().map(|bucket| bucket.interval).max()?;
    let mut requests = 0;
    for bucket in buckets.iter().filter(|bucket| (first..=last).contains(&bucket.interval)) {
        let mut counted = bucket.kinds.total();
        if bucket.interval == last && bucket.errors.is_some() {
            counted = bucket.up_to_errors.into();
        }
        if bucket.interval == first && bucket.errors.is_some() {
            counted -= u64::from(bucket.before_errors);
        }
        requests += counted;
    }
    Some(Extent { start, end, requests })
}

fn signals(actor: &Actor) -> Signals {
    let mut signals = Signals { variation: actor.pace.variation(), mean_gap: actor.pace.mean(), ..Signals::default() };
    let (mut agents, mut users, mut credentials) = (Few::<16>::default(), Few::<256>::default(), Few::<256>::default());
    let (mut order, mut marks) = ([0u64; 2], Marks::default());
    let mut classes = BTreeSet::new();
    let (mut claims, mut claimed) = (ClaimCounts::default(), BTreeSet::new());
    for details in actor.all_details() {
        agents.add_all(&details.agents);
        users.add_all(&details.users);
        credentials.add_all(&details.credentials);
        marks.add_all(details.marks);
        classes.extend(details.hits.iter().map(|hit| hit.class));
        signals.requests += u64::from(details.requests);
        signals.telltales += u64::from(details.hit_count);
        signals.payloads += u64::from(details.payloads);
        signals.faulty_payloads += u64::from(details.faulty_payloads);
        signals.injections += u64::from(details.injections);
        order[0] += u64::from(details.order[0]);
        order[1] += u64::from(details.order[1]);
        let with = |feature: Features| u64::from(details.features[feature.0.trailing_zeros() as usize]);
        signals.with_referrer += with(Features::REFERRER);
        signals.with_cookie += with(Features::COOKIE);
        signals.with_language += with(Features::ACCEPT_LANGUAGE);
        signals.with_client_header += with(Features::CLIENT_HEADER);
        claims.add(details.claims);
        claimed.extend(details.claimed.iter());
        signals.with_credentials += with(Features::CREDENTIALS);
    }
    let steps = order[0] + order[1];
    signals.ascending = (steps >= 20).then(|| order[0] as f64 / steps as f64);
    signals.agents = agents.count();
    signals.users = users.count();
    signals.credentials = credentials.count();
    signals.with_claims = claims.all.into();
    signals.claims_local = claims.local.into();
    signals.claims_impossible = claims.impossible.into();
    signals.claims_direct = claims.direct.into();
    signals.claims_told = claims.told.into();
    signals.claimed_clients = claimed.len() as u64;
    signals.classes = classes.len() as u64;
    signals.tool = marks.tool();
    signals
}

/// The answer that a server gives to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CatchAll {
    server: u16,
    status: u16,
    /// Body bytes, or those beyond the length of the path where the page repeats it.
    bytes: Option<u32>,
    repeats_path: bool,
    media: MediaKind,
    redirect: Option<u32>,
}

impl CatchAll {
    fn of(success: &Success, path_length: usize, repeats_path: bool) -> Self {
        let bytes =
            success.bytes.map(|bytes| if repeats_path { bytes.saturating_sub(path_length as u32) } else { bytes });
        let Success { server, status, media, redirect, .. } = *success;
        Self { server, status, bytes, repeats_path, media, redirect }
    }

    fn covers(&self, success: &Success, path_length: usize) -> bool {
        *self == Self::of(success, path_length, self.repeats_path)
    }
}

/// Returns the answer that most different paths got, if it shows that the server answers everything with the same page.
fn catch_all(successes: &[Success], path_length: impl Fn(u32) -> usize) -> Option<CatchAll> {
    if successes.len() < CATCH_ALL_PATHS {
        return None;
    }
    let mut answers: HashMap<CatchAll, usize, KeyedState> = HashMap::default();
    for success in successes {
        for repeats_path in [false, true] {
            *answers.entry(CatchAll::of(success, path_length(success.path), repeats_path)).or_default() += 1;
        }
    }
    let (most, count) = answers
        .into_iter()
        .max_by_key(|(answer, count)| (*count, !answer.repeats_path, answer.status, answer.bytes, answer.server))?;
    (count * 4 >= successes.len() * 3).then_some(most)
}
