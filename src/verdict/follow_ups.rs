//! Scans that turn into success after their alert.
//!
//! In: alerts with their verdicts; later, the successes of the same clients, and packet time. Out: alerts of the kind
//! [`FollowUp`](AlertKind::FollowUp), each with the verdict of the earlier alert. Promises: at most 512 clients are watched; the client
//! with the oldest alert is dropped first, and counted. A client is looked at every ten seconds at most, and once more at the end of
//! the input, so every success is reported. An alert that one sender may have forged has no follow-up.

use std::{collections::VecDeque, time::Duration};

use hashbrown::HashMap;

use super::{
    Verdict,
    activity::{Activity, Conduct, Found},
};
use crate::{
    address::{Address, Endpoint},
    counters,
    detect::{Alert, AlertKind},
    keyed_hash::KeyedState,
    time::Timestamp,
};

/// The most clients that are watched.
const MOST_WATCHED: usize = 512;
/// The most reported successes that are remembered of a client.
const MOST_TOLD: usize = 64;
/// The least time between two looks at a client.
const PAUSE: Duration = Duration::from_secs(10);

counters! {
    /// What is done about clients whose alert was raised.
    pub struct FollowUpCounters {
        /// Alerts that say that a scan turned into success.
        follow_ups,
        /// Clients that are no longer watched for later success, because there were too many.
        clients_unwatched,
    }
}

/// The clients that are watched.
#[derive(Debug, Default)]
pub struct FollowUps {
    watched: HashMap<Address, Watched, KeyedState>,
    /// Clients that got something since they were last looked at, in the order in which they did.
    waiting: Vec<Address>,
    counters: FollowUpCounters,
}

/// A client whose alert was raised.
#[derive(Debug)]
struct Watched {
    alert: Alert,
    verdict: Verdict,
    /// The successes that were reported, the oldest first. The activity remembers no more of a client.
    told: VecDeque<Told>,
    /// When it may be looked at next.
    next: Timestamp,
}

/// A success that was reported: its path, server and status.
type Told = (Vec<u8>, Endpoint, u16);

impl Watched {
    /// Returns whether the client may be looked at. If `next` is far ahead, the clock was set back since then.
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.next || self.next > now.plus(PAUSE)
    }

    fn tell(&mut self, found: &Found) {
        if self.told.len() == MOST_TOLD {
            self.told.pop_front();
        }
        self.told.push_back((found.path.clone(), found.server, found.status));
    }

    fn has_told(&self, found: &Found) -> bool {
        let is_it =
            |(path, server, status): &Told| (path, *server, *status) == (&found.path, found.server, found.status);
        self.told.iter().any(is_it)
    }
}

impl FollowUps {
    /// The counters up to now.
    pub fn counters(&self) -> &FollowUpCounters {
        &self.counters
    }

    /// Watches the client of an alert from now on, if the verdict blames it.
    pub fn watch(&mut self, alert: &Alert, verdict: &Verdict) {
        let Some(client) = alert.group.client() else { return };
        if !verdict.name.blames_client() || !alert.is_confirmed() {
            return;
        }
        if self.watched.len() >= MOST_WATCHED && !self.watched.contains_key(&client) {
            let first = self.watched.iter().min_by_key(|(client, watched)| (watched.alert.time, **client));
            if let Some(first) = first.map(|(client, _)| *client) {
                self.watched.remove(&first);
                self.counters.clients_unwatched += 1;
            }
        }
        let told = VecDeque::new();
        let mut watched = Watched { alert: alert.clone(), verdict: verdict.clone(), told, next: Timestamp::EPOCH };
        verdict.conduct.iter().flat_map(|conduct| &conduct.found).for_each(|found| watched.tell(found));
        self.watched.insert(client, watched);
    }

    /// A client got something that may matter. Returns the alert that follows, if it is watched and this is news.
    #[inline]
    pub fn note(&mut self, client: Address, now: Timestamp, activity: &mut Activity) -> Option<(Alert, Verdict)> {
        if self.watched.is_empty() { None } else { self.look_now_or_later(client, now, activity) }
    }

    fn look_now_or_later(
        &mut self,
        client: Address,
        now: Timestamp,
        activity: &mut Activity,
    ) -> Option<(Alert, Verdict)> {
        let watched = self.watched.get(&client)?;
        if watched.is_due(now) {
            return self.look(client, now, activity);
        }
        if !self.waiting.contains(&client) {
            self.waiting.push(client);
        }
        None
    }

    /// Packet time has reached `now`. Returns the alerts that follow for clients that wait for a look.
    pub fn advance(&mut self, now: Timestamp, activity: &mut Activity) -> Vec<(Alert, Verdict)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let is_due = |client: &mut Address| self.watched.get(client).is_none_or(|watched| watched.is_due(now));
        let due: Vec<Address> = self.waiting.extract_if(.., is_due).collect();
        due.into_iter().filter_map(|client| self.look(client, now, activity)).collect()
    }

    /// The input is over. Returns the alerts that follow for all clients that wait for a look.
    pub fn finish(&mut self, activity: &mut Activity) -> Vec<(Alert, Verdict)> {
        self.advance(Timestamp::MAX, activity)
    }

    /// Looks at what a client got.
    fn look(&mut self, client: Address, now: Timestamp, activity: &mut Activity) -> Option<(Alert, Verdict)> {
        let watched = self.watched.get_mut(&client)?;
        watched.next = now.plus(PAUSE);
        let Some(conduct) = activity.conduct(client, watched.alert.window) else {
            self.watched.remove(&client);
            return None;
        };
        let is_news = |found: &Found| found.matters() && !watched.has_told(found);
        let found: Vec<Found> = conduct.found.into_iter().filter(is_news).collect();
        let last = found.iter().map(|found| found.first).max()?;
        found.iter().for_each(|found| watched.tell(found));
        let of_alert = watched.verdict.conduct.clone().unwrap_or_default();
        let conduct = Conduct { found, more_found: 0, after: conduct.after, ..of_alert };
        let alert = Alert {
            id: watched.alert.id_of_follow_up(last),
            kind: AlertKind::FollowUp,
            time: last,
            ..watched.alert.clone()
        };
        let verdict = watched.verdict.after_success(&alert, conduct);
        self.counters.follow_ups += 1;
        Some((alert, verdict))
    }
}
