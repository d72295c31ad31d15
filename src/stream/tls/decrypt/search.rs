//! The search for the secrets of a connection whose client random is not known, among those of all connections.
//!
//! In: records of a sender, and the secrets that were logged. Out: the secret that opens a record. Promises: with time, every
//! connection that was logged is tried; what one record, one connection and all connections together may spend is limited.
//!
//! The search goes through the connections twice: first with what costs little.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{
    secret::{Logged, SearchPlace, SecretSource},
    session::{Call, Generation, Session},
};
use crate::time::Timestamp;

/// Work is counted in bytes that could be decrypted in the same time: 1.6 GB take about a second.
const MIB: u64 = 1 << 20;

/// The most work for one sender of a connection.
const MOST_OF_A_SENDER: u64 = 4096 * MIB;

/// How often a sender's records are tried, each time with the secrets that were logged since. A live run reads its key log while the
/// first records come.
pub(super) const MAX_ATTEMPTS: u8 = 64;

/// The most work for one secret.
const MOST_OF_A_SECRET: u32 = 4 << 20;

/// With what the search goes through all connections, one after another.
const ROUNDS: [Effort; 2] = [Effort::Small, Effort::Large];

/// Which suites are tried with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// AES-GCM of TLS 1.3, and all suites of TLS 1.2 and below: a record is tested once.
    Small,
    /// ChaCha20-Poly1305 of TLS 1.3: a record is tested for each sequence number.
    Large,
}

/// How much work may be done for many connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchLimit {
    /// For one record. If that is not enough, the search goes on with the sender's next record.
    of_a_record: u64,
    /// For all.
    most: u64,
    /// How much is given back each second.
    per_second: u64,
}

impl SearchLimit {
    /// For all connections of a sensor that is live: packets do not wait long.
    pub(crate) const LIVE: Self = Self { of_a_record: 64 * MIB, most: 8_192 * MIB, per_second: 128 * MIB };
    /// For all connections of a replay that processes them in order.
    pub(crate) const REPLAY_IN_ORDER: Self =
        Self { of_a_record: 1_024 * MIB, most: 32_768 * MIB, per_second: 512 * MIB };
    /// For those of one shard of a replay, where each shard has its own limit.
    pub(crate) const SHARD_OF_REPLAY: Self = Self { of_a_record: 1_024 * MIB, most: 2_048 * MIB, per_second: 32 * MIB };
}

/// What the searches of many connections share: the work that they may do, and where they begin.
#[derive(Debug)]
pub(crate) struct Searches {
    limit: SearchLimit,
    left: AtomicU64,
    /// The time up to which was added to it, in nanoseconds; 0 before the first.
    at: AtomicU64,
    put_off: AtomicU64,
    /// The number of the connection of which secrets were used last.
    last_used: AtomicU32,
}

impl Searches {
    pub(crate) fn new(limit: SearchLimit) -> Self {
        Self {
            limit,
            left: AtomicU64::new(limit.most),
            at: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            last_used: AtomicU32::new(u32::MAX),
        }
    }

    /// Adds what may be spent for the time since the last call.
    pub(crate) fn refill(&self, now: Timestamp) {
        let now = now.as_nanos();
        let last = self.at.fetch_max(now, Ordering::Relaxed);
        let elapsed = if last == 0 { 0 } else { now.saturating_sub(last) };
        let more = u128::from(self.limit.per_second) * u128::from(elapsed) / 1_000_000_000;
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.change(|left| left.saturating_add(more).min(self.limit.most));
    }

    /// Takes the number of searches that were put off since the last call.
    pub(crate) fn take_put_off(&self) -> u64 {
        self.put_off.swap(0, Ordering::Relaxed)
    }

    fn spend(&self, cost: u64) {
        self.change(|left| left.saturating_sub(cost));
    }

    fn has_any(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    fn put_off(&self) {
        self.put_off.fetch_add(1, Ordering::Relaxed);
    }

    /// Secrets of the connection with this number are used.
    fn used(&self, number: u32) {
        self.last_used.store(number, Ordering::Relaxed);
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        // The function never returns an error, so the update always succeeds.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(change(left)));
    }

    /// Spends all that is left. Returns how much that was.
    #[cfg(test)]
    pub(in crate::stream::tls) fn exhaust(&self) -> u64 {
        self.left.swap(0, Ordering::Relaxed)
    }
}

/// The search of one sender.
#[derive(Debug, Default)]
pub(super) struct Search {
    place: SearchPlace,
    /// The current one of [`ROUNDS`]; their number, if the search is over.
    round: usize,
    /// The generation of secrets when the search began.
    generation: Generation,
    attempts: u8,
    spent: u64,
}

impl Search {
    /// Returns whether no secret will be tried any more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.spent >= MOST_OF_A_SENDER || (self.is_over() && self.attempts >= MAX_ATTEMPTS)
    }

    fn new() -> Self {
        Self { round: ROUNDS.len(), ..Self::default() }
    }

    fn is_over(&self) -> bool {
        self.round >= ROUNDS.len()
    }

    fn spend(&mut self, shared: &Searches, cost: u64) {
        self.spent += cost;
        shared.spend(cost);
    }
}

impl Session {
    /// Notes that secrets of this connection are used: the next search begins near it in the key log.
    pub(super) fn note_used<S: SecretSource>(&self, call: &Call<'_, S>) {
        if let Some(number) = call.source.number_of(&self.client_random) {
            call.searches.used(number);
        }
    }

    /// Tries the secrets under some labels until `attempt` succeeds, which is given a budget.
    pub(super) fn search<S: SecretSource, T>(
        &mut self,
        call: &mut Call<'_, S>,
        labels: &[super::Label],
        mut attempt: impl FnMut(&mut Self, &mut Call<'_, S>, &Logged, Effort, &mut u32) -> Option<T>,
    ) -> Option<T> {
        let mut search = self.take_search(call)?;
        let found = self.go_on(call, &mut search, labels, &mut attempt);
        if found.is_none() {
            if search.is_over() {
                self.half_mut(call.sender).hopeless = Some(search.generation);
            }
            self.rare_mut().searches[call.sender as usize] = Some(search);
        }
        found
    }

    /// Returns whether a sender's records are not tried any more.
    pub(super) fn is_search_exhausted(&self, sender: super::Sender) -> bool {
        let searches = self.rare.as_ref().map(|rare| &rare.searches);
        searches.and_then(|searches| searches[sender as usize].as_ref()).is_some_and(|search| search.is_exhausted())
    }

    /// The sender's search that is under way, or one for secrets that were logged since the last. `None` if there is none to make.
    fn take_search<S: SecretSource>(&mut self, call: &Call<'_, S>) -> Option<Box<Search>> {
        let now = self.generation_of(call);
        if self.is_search_exhausted(call.sender) || self.half(call.sender).hopeless == Some(now) {
            return None;
        }
        let kept = self.rare.as_mut().and_then(|rare| rare.searches[call.sender as usize].take());
        let mut search = kept.unwrap_or_else(|| Box::new(Search::new()));
        if search.is_over() {
            (search.round, search.generation, search.attempts) = (0, now, search.attempts + 1);
            call.source.begin_search(&mut search.place, call.searches.last_used.load(Ordering::Relaxed));
        }
        Some(search)
    }

    fn go_on<S: SecretSource, T>(
        &mut self,
        call: &mut Call<'_, S>,
        search: &mut Search,
        labels: &[super::Label],
        attempt: &mut impl FnMut(&mut Self, &mut Call<'_, S>, &Logged, Effort, &mut u32) -> Option<T>,
    ) -> Option<T> {
        let end = search.spent.saturating_add(call.searches.limit.of_a_record).min(MOST_OF_A_SENDER);
        let mut logged = Vec::new();
        while let Some(&effort) = ROUNDS.get(search.round) {
            if search.spent >= end || !call.searches.has_any() {
                call.searches.put_off();
                return None;
            }
            let is_more = call.source.search(labels, &mut search.place, &mut logged);
            for logged in logged.drain(..) {
                let mut budget = MOST_OF_A_SECRET;
                let found = attempt(self, call, &logged, effort, &mut budget);
                search.spend(call.searches, u64::from(MOST_OF_A_SECRET - budget));
                if found.is_some() {
                    return found;
                }
            }
            if !is_more {
                search.round += 1;
                search.place.begin_again();
            }
        }
        None
    }
}
