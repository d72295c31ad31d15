//! What one client does.
//!
//! In: the client's exchanges, as observed; and those with a text that tells something. Out: counts by minute and server, and
//! the details that a verdict rests on. Promises: bounded memory; all counts are exact, or lower bounds where a set is full.
//!
//! Details are kept by periods. Those of the period before the last are forgotten, so that they belong to the same time as an
//! alert's window, or little more.

use std::num::NonZeroU32;

use super::{
    bucket::{Bucket, MethodCounts},
    few::Few,
    kinds::{Kind, Kinds},
    marks::Marks,
};
use crate::{
    address::Address,
    detect::path_set::{Added, PathSet},
    event::Claims,
    exchange::{Features, MediaKind, Method, Observation, ObservationFlags},
    time::Timestamp,
    verdict::{telltales::Telltale, tools::ToolSet},
};

/// The most different paths of errors that are told apart.
const MOST_PATHS: usize = 4_096;
/// The most tell-tales and successes that are kept.
const MOST_HITS: usize = 64;
/// The most buckets that a client holds.
const MOST_BUCKETS: usize = 256;

/// The most different claims of a client that are told apart.
const MOST_CLAIMS: usize = 512;

/// A tell-tale that a client requested.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) class: Telltale,
    pub(super) path: u32,
    pub(super) status: u16,
    pub(super) count: u32,
    pub(super) method: SentMethod,
}

/// A method, and where its name is if it is in no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SentMethod {
    pub(super) method: Method,
    /// The hash of the name; 0 if the method is in the list.
    pub(super) name: u32,
}

impl From<Method> for SentMethod {
    fn from(method: Method) -> Self {
        Self { method, name: 0 }
    }
}

impl Hit {
    /// What tells it from others.
    pub(super) fn key(&self) -> (Telltale, u32, u16, SentMethod) {
        (self.class, self.path, self.status, self.method)
    }
}

/// A path on which a client had success.
#[derive(Debug, Clone, Copy)]
pub(super) struct Success {
    pub(super) path: u32,
    pub(super) server: u16,
    pub(super) status: u16,
    /// Body bytes, if the response announced them.
    pub(super) bytes: Option<u32>,
    pub(super) class: Option<Telltale>,
    pub(super) method: SentMethod,
    pub(super) features: Features,
    pub(super) media: MediaKind,
    /// The redirect's target, by the hash of its text.
    pub(super) redirect: Option<u32>,
    pub(super) count: u32,
    pub(super) first: Timestamp,
}

impl Success {
    /// What an observation shows of a success.
    pub(super) fn observed(observation: &Observation, server: u16) -> Self {
        Self {
            path: observation.path.map_or(0, NonZeroU32::get),
            server,
            status: observation.answer.status(),
            bytes: (observation.announced_bytes != u32::MAX).then_some(observation.announced_bytes),
            class: None,
            method: observation.method.into(),
            features: observation.flags.features(),
            media: observation.flags.media(),
            redirect: None,
            count: 1,
            first: observation.time,
        }
    }

    /// What tells it from others.
    pub(super) fn key(&self) -> (u32, u16, u16, SentMethod) {
        (self.path, self.server, self.status, self.method)
    }

    /// Returns whether both are successes of one method on the same path.
    fn is_like(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// Adds later successes on the same path.
    pub(super) fn add(&mut self, later: &Self) {
        self.count += later.count;
        self.features.add(later.features);
        self.class = self.class.or(later.class);
        self.redirect = self.redirect.or(later.redirect);
    }
}

/// How even the time between requests is: the gaps in seconds, by number, sum, and sum of squares.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    gaps: u32,
    sum: f64,
    squares: f64,
}

impl Pace {
    #[inline]
    fn add(&mut self, nanos: u64) {
        let seconds = nanos as i64 as f64 * 1e-9;
        self.gaps += 1;
        self.sum += seconds;
        self.squares += seconds * seconds;
    }

    /// The mean gap in seconds.
    pub(super) fn mean(&self) -> f64 {
        if self.gaps == 0 { 0.0 } else { self.sum / f64::from(self.gaps) }
    }

    /// The standard deviation over the mean: 0 is a clock, 1 is chance. `None` with too few gaps.
    pub(super) fn variation(&self) -> Option<f64> {
        let mean = self.mean();
        let variance = || (self.squares / f64::from(self.gaps) - mean * mean).max(0.0);
        (self.gaps >= 10 && mean > 0.0).then(|| variance().sqrt() / mean)
    }
}

/// Errors that name a client behind a proxy.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClaimCounts {
    pub(super) all: u32,
    /// Those that claim to come for the server's own host.
    pub(super) local: u32,
    /// Those that name a client that cannot be.
    pub(super) impossible: u32,
    /// Those to which no proxy has added itself.
    pub(super) direct: u32,
    /// Those of which it is known whether they name another client than those before.
    pub(super) told: u32,
}

impl ClaimCounts {
    pub(super) fn add(&mut self, other: Self) {
        self.all += other.all;
        self.local += other.local;
        self.impossible += other.impossible;
        self.direct += other.direct;
        self.told += other.told;
    }
}

/// What a verdict rests on.
#[derive(Debug, Clone, Default)]
pub(super) struct Details {
    /// Exchanges with each feature, in the order of their bits.
    pub(super) features: [u32; 8],
    /// Exchanges whose request was seen.
    pub(super) requests: u32,
    /// Errors that name a client, and what is odd about whom they name.
    pub(super) claims: ClaimCounts,
    /// Whom errors name, by the hash of their fields.
    pub(super) claimed: PathSet,
    pub(super) agents: Few<16>,
    /// User agents whose text was read for `tools`.
    agents_read: Few<16>,
    /// Tools that the user agents of errors name.
    pub(super) tools: ToolSet,
    pub(super) users: Few<256>,
    pub(super) credentials: Few<256>,
    pub(super) hits: Vec<Hit>,
    pub(super) successes: Vec<Success>,
    /// Successes that found no room.
    pub(super) more_successes: u32,
    pub(super) hit_count: u32,
    pub(super) payloads: u32,
    pub(super) injections: u32,
    pub(super) faulty_payloads: u32,
    /// Errors whose path comes after the one before in the order of bytes, and those whose path comes before it.
    pub(super) order: [u32; 2],
    pub(super) marks: Marks,
    pub(super) paths: PathSet,
}

/// A client.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) address: Address,
    pub(super) last: Timestamp,
    pub(super) errors: u64,
    pub(super) confirmed: u64,
    pub(super) buckets: Vec<Bucket>,
    pub(super) details: Box<Details>,
    pub(super) earlier: Option<Box<Details>>,
    pub(super) pace: Pace,
    /// The path of the last error.
    last_path: Vec<u8>,
    /// Hashes of path, server and interval of the errors of the last interval.
    interval_paths: PathSet,
    /// The one of the last error, while both sets of this period have it.
    known_path: Option<u32>,
    /// The bytes on the heap that are counted, as of the last exchange.
    pub(super) counted_bytes: usize,
}

impl Actor {
    pub(super) fn new(address: Address, time: Timestamp) -> Self {
        Self {
            address,
            last: time,
            errors: 0,
            confirmed: 0,
            buckets: Vec::new(),
            details: Box::default(),
            earlier: None,
            pace: Pace::default(),
            last_path: Vec::new(),
            interval_paths: PathSet::default(),
            known_path: None,
            counted_bytes: 0,
        }
    }

    /// Adds an exchange. Without `has_room`, nothing grows. Returns whether something did.
    #[inline]
    pub(super) fn add(
        &mut self,
        observation: &Observation,
        kind: Kind,
        (server, interval): (u16, u64),
        is_error: bool,
        has_room: bool,
    ) -> bool {
        let gap = observation.time.as_nanos().saturating_sub(self.last.as_nanos());
        if gap != 0 {
            self.pace.add(gap);
            self.last = observation.time;
        }
        self.errors += u64::from(is_error);
        self.confirmed += u64::from(is_error && observation.grade.is_confirmed());
        let details = &mut *self.details;
        let is_request = kind != Kind::FailedHandshake;
        details.requests += u32::from(is_request && !observation.flags.has(ObservationFlags::REQUEST_UNSEEN));
        let features = observation.flags.features().0;
        if features != 0 {
            for (bit, count) in details.features.iter_mut().enumerate() {
                *count += u32::from(features >> bit & 1);
            }
        }
        let mut has_grown = observation.user_agent.is_some_and(|agent| details.agents.add(agent.get()));
        let is_new_path = is_error && self.note_path(observation, server, interval, has_room);
        has_grown |= is_new_path;
        let bucket = match self.buckets.last_mut() {
            Some(last) if (last.interval, last.server) == (interval, server) => last,
            _ => {
                has_grown = true;
                self.bucket(interval, server, has_room)
            }
        };
        bucket.kinds.add(kind);
        if is_request {
            bucket.methods.add(observation.method);
        }
        bucket.paths += u32::from(is_new_path);
        if is_error {
            let (time, exchanges) = (observation.time, bucket.kinds.total() as u32);
            match &mut bucket.errors {
                Some((first, last)) => (*first, *last) = ((*first).min(time), (*last).max(time)),
                none => {
                    *none = Some((time, time));
                    bucket.before_errors = exchanges - 1;
                }
            }
            bucket.up_to_errors = exchanges;
        }
        has_grown
    }

    /// Notes the path of an error. Returns whether it is new in its interval.
    fn note_path(&mut self, observation: &Observation, server: u16, interval: u64, has_room: bool) -> bool {
        let Some(path) = observation.path else { return false };
        let mixed =
            path.get() ^ u32::from(server).wrapping_mul(0x9e37_79b9) ^ (interval as u32).wrapping_mul(0x85eb_ca6b);
        if self.known_path == Some(mixed) {
            return false;
        }
        let limit = if has_room { MOST_PATHS } else { 0 };
        self.details.paths.add(path.get(), limit);
        if self.buckets.last().is_none_or(|last| last.interval != interval) {
            self.interval_paths.clear();
        }
        let added = self.interval_paths.add(mixed, limit);
        self.known_path = (added != Added::Refused).then_some(mixed);
        added == Added::New
    }

    /// Returns the bucket of an interval and server. Without `has_room`, a new one takes the place of the oldest.
    #[inline(never)]
    fn bucket(&mut self, interval: u64, server: u16, has_room: bool) -> &mut Bucket {
        let found = self.buckets.iter().rposition(|bucket| bucket.interval == interval && bucket.server == server);
        let place = found.unwrap_or_else(|| {
            if self.buckets.len() >= MOST_BUCKETS || !has_room && !self.buckets.is_empty() {
                self.buckets.remove(0);
            }
            let place = self.buckets.partition_point(|bucket| (bucket.interval, bucket.server) < (interval, server));
            let bucket = Bucket {
                interval,
                server,
                paths: 0,
                kinds: Kinds::default(),
                errors: None,
                before_errors: 0,
                up_to_errors: 0,
                methods: MethodCounts::default(),
            };
            self.buckets.insert(place, bucket);
            place
        });
        &mut self.buckets[place]
    }

    /// Notes the order of the paths of errors.
    pub(super) fn note_order(&mut self, path: &[u8]) {
        let path = path.get(..64).unwrap_or(path);
        match self.last_path.as_slice().cmp(path) {
            std::cmp::Ordering::Less => self.details.order[0] += 1,
            std::cmp::Ordering::Greater => self.details.order[1] += 1,
            std::cmp::Ordering::Equal => return,
        }
        self.last_path.clear();
        self.last_path.extend_from_slice(path);
    }

    /// Begins another period: the details of the period before the last are forgotten, and the buckets before `oldest`.
    pub(super) fn begin_period(&mut self, oldest: u64) {
        self.earlier = Some(std::mem::take(&mut self.details));
        self.known_path = None;
        self.buckets.retain(|bucket| bucket.interval >= oldest);
    }

    /// The details of this period and of the one before.
    pub(super) fn all_details(&self) -> impl Iterator<Item = &Details> {
        self.earlier.iter().map(|earlier| &**earlier).chain([&*self.details])
    }

    /// The tools that the client's user agents name.
    pub(super) fn tools(&self) -> ToolSet {
        self.all_details().fold(ToolSet::default(), |tools, details| tools.with(details.tools))
    }

    /// The hashes of the texts that the client's tell-tales and successes need.
    pub(super) fn named_texts(&self) -> impl Iterator<Item = u32> {
        self.all_details().flat_map(|details| {
            let successes = details
                .successes
                .iter()
                .flat_map(|success| [Some(success.path), success.redirect, Some(success.method.name)]);
            let hits = details.hits.iter().flat_map(|hit| [Some(hit.path), Some(hit.method.name)]);
            hits.chain(successes).flatten()
        })
    }

    /// Returns whether the client requested this path in vain.
    pub(super) fn missed(&self, path: u32) -> bool {
        self.all_details().any(|details| details.paths.contains(path))
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let details = |details: &Details| {
            size_of::<Details>()
                + details.agents.bytes()
                + details.agents_read.bytes()
                + details.users.bytes()
                + details.credentials.bytes()
                + details.hits.capacity() * size_of::<Hit>()
                + details.successes.capacity() * size_of::<Success>()
                + details.paths.bytes()
                + details.claimed.bytes()
        };
        self.buckets.capacity() * size_of::<Bucket>()
            + self.interval_paths.bytes()
            + self.all_details().map(details).sum::<usize>()
    }
}

impl Details {
    /// Notes the tool that the user agent of an error names. Returns whether the user agent is new.
    #[inline]
    pub(super) fn note_agent(&mut self, agent: u32, text: &[u8]) -> bool {
        let is_new = self.agents_read.add(agent);
        if is_new {
            self.tools.note(text);
        }
        is_new
    }

    /// Notes a tell-tale. Without `has_room`, the list does not grow.
    pub(super) fn note_hit(&mut self, hit: Hit, has_room: bool) {
        self.hit_count += 1;
        if hit.class.is_payload() {
            self.payloads += 1;
            self.injections += u32::from(hit.class == Telltale::Injection);
            self.faulty_payloads += u32::from(hit.status >= 500);
        }
        if let Some(known) = self.hits.iter_mut().find(|known| known.key() == hit.key()) {
            known.count += 1;
        } else if has_room && self.hits.len() < MOST_HITS {
            self.hits.push(hit);
        } else if let Some(place) = self.hits.iter().position(|kept| kept.class > hit.class) {
            // A class of higher rank takes the place of one of lower rank.
            self.hits[place] = hit;
        }
    }

    /// Notes whom an error claims to come for: by a hash, and what is odd about it. Without `has_room`, the set does not grow.
    pub(super) fn note_claim(&mut self, hash: u32, claims: Claims, is_named: bool, has_room: bool) {
        let is_told = self.claimed.add(hash, if has_room { MOST_CLAIMS } else { 0 }) != Added::Refused;
        self.claims.add(ClaimCounts {
            all: 1,
            local: claims.is_local.into(),
            impossible: claims.is_impossible.into(),
            direct: (claims.is_direct && !is_named).into(),
            told: is_told.into(),
        });
    }

    /// Notes a success. Without `has_room`, the list does not grow. Returns whether it did.
    pub(super) fn note_success(&mut self, success: Success, has_room: bool) -> bool {
        if let Some(known) = self.successes.iter_mut().find(|known| known.is_like(&success)) {
            known.add(&success);
        } else if has_room && self.successes.len() < MOST_HITS {
            self.successes.push(success);
            return true;
        } else {
            self.more_successes += 1;
            if success.class.is_some()
                && let Some(place) = self.successes.iter().position(|kept| kept.class.is_none())
            {
                self.successes[place] = success;
            }
        }
        false
    }
}
