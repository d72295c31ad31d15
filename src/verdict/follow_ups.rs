//! Scans that turn into success after their alert.
//!
//! In: alerts with their verdicts; then what the same clients get. Out: alerts of the kind [`FollowUp`](AlertKind::FollowUp), each
//! with the verdict of the alert that it follows. Promises: at most 512 clients are watched, and those whose alert was raised
//! first go first, counted; a client is looked at at most every ten seconds, and the last look comes at the end of the input, so
//! that nothing that was got is left untold; no follow-up rests on errors that one sender may have forged.

use std::time::Duration;

use hashbrown::HashMap;

use super::{
    Verdict,
    activity::{Activity, Conduct, Found},
};
use crate::{
    address::Address,
    counters,
    detect::{Alert, AlertKind},
    keyed_hash::KeyedState,
    time::Timestamp,
};

/// The most clients that are watched.
const MOST_WATCHED: usize = 512;
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
    /// What was got up to here is told.
    told: Timestamp,
    /// When it may be looked at next.
    next: Timestamp,
}

impl FollowUps {
    /// The counters up to now.
    pub fn counters(&self) -> &FollowUpCounters {
        &self.counters
    }

    /// Watches the client of an alert from now on, if the verdict blames it.
    pub fn watch(&mut self, alert: &Alert, verdict: &Verdict, activity: &Activity) {
        let Some(client) = alert.group.client() else { return };
        if !verdict.name.blames_client() || !alert.is_confirmed() {
            return;
        }
        let told = activity.last_seen(client).unwrap_or(alert.time);
        if self.watched.len() >= MOST_WATCHED && !self.watched.contains_key(&client) {
            let first = self.watched.iter().min_by_key(|(client, watched)| (watched.alert.time, **client));
            if let Some(first) = first.map(|(client, _)| *client) {
                self.watched.remove(&first);
                self.counters.clients_unwatched += 1;
            }
        }
        let watched = Watched { alert: alert.clone(), verdict: verdict.clone(), told, next: Timestamp::EPOCH };
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
        if now >= watched.next {
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
        let is_due = |client: &mut Address| self.watched.get(client).is_none_or(|watched| now >= watched.next);
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
        let is_news = |found: &Found| found.first > watched.told && found.matters();
        let found: Vec<Found> = conduct.found.iter().filter(|found| is_news(found)).cloned().collect();
        let last = found.iter().map(|found| found.first).max()?;
        watched.told = last;
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
