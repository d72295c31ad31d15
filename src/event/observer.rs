//! The view that rules have of an exchange: its [`Observation`].
//!
//! In: a decided [`Exchange`]. Out: the reason why it is an error, if it is one; and an [`Observation`] of every exchange
//! that counts. Promises: no text is copied and nothing is allocated; the same settings give the same observation on every
//! thread.

use std::{num::NonZeroU32, sync::Arc};

use super::{Client, ClientSource, EventCounters, EventSettings, Leg, Reason, Site, client};
use crate::{
    address::Endpoint,
    capture::Stamp,
    exchange::{Exchange, Features, MediaKind, Method, Observation, ObservationFlags, Remarks, Turn, path_and_query},
    keyed_hash::KeyedState,
};

/// Observes exchanges. Each shard has its own observer for exchanges that did not fail; the event builder has an observer
/// for failed exchanges.
#[derive(Debug, Clone)]
pub struct Observer {
    settings: EventSettings,
    site: Arc<Site>,
    hasher: KeyedState,
    last_target: Last<(Option<NonZeroU32>, bool)>,
    last_path: Last<Option<NonZeroU32>>,
    last_user_agent: Last<Option<NonZeroU32>>,
    last_host: Last<Option<NonZeroU32>>,
    last_media: Last<MediaKind>,
}

/// The last text of a kind, and the value that was computed from it. Most exchanges repeat the texts of the exchange before, and
/// comparing a text costs a fifth of hashing it. The value of an empty text must be the default.
#[derive(Debug, Clone, Default)]
struct Last<T> {
    text: Vec<u8>,
    made: T,
}

impl<T: Copy> Last<T> {
    /// Returns the value of a text. `make` computes it, unless the text is the last one.
    #[inline]
    fn of(&mut self, text: &[u8], make: impl FnOnce(&[u8]) -> T) -> T {
        if text != self.text {
            self.change(text, make(text));
        }
        self.made
    }

    #[inline(never)]
    fn change(&mut self, text: &[u8], made: T) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.made = made;
    }
}

/// The hash of a text. An absent text has none.
#[inline(never)]
fn hash_of(text: &[u8], hasher: &KeyedState) -> Option<NonZeroU32> {
    let hash = (hasher.hash(text) >> 32) as u32;
    (!text.is_empty()).then_some(NonZeroU32::new(hash).unwrap_or(NonZeroU32::MIN))
}

impl Observer {
    /// Creates an observer with these settings.
    pub fn new(settings: EventSettings, site: Arc<Site>) -> Self {
        let hasher = KeyedState::with_seed(settings.hash_seed);
        Self {
            settings,
            site,
            hasher,
            last_target: Last::default(),
            last_path: Last::default(),
            last_user_agent: Last::default(),
            last_host: Last::default(),
            last_media: Last::default(),
        }
    }

    /// Sets the seed for all hashes from now on.
    pub(super) fn set_hash_seed(&mut self, seed: u64) {
        self.settings.hash_seed = seed;
        *self = Self::new(self.settings.clone(), Arc::clone(&self.site));
    }

    /// The settings.
    pub fn settings(&self) -> &EventSettings {
        &self.settings
    }

    /// The reason why an exchange is an error, or `None` if it is not an error.
    #[inline]
    pub fn reason_of(&self, exchange: &Exchange) -> Option<Reason> {
        self.settings.reason_of(exchange)
    }

    /// Observes a decided exchange that is no error. `now` is the packet that decided it. Returns `None` when the exchange
    /// has no addresses, belongs to a proxy leg that does not count, or belongs to a client that is not wanted.
    #[inline]
    pub fn observe(&mut self, exchange: &Exchange, now: Stamp) -> Option<Observation> {
        let (peer, server) = exchange.endpoints?;
        // No client has asked for what a server pushes.
        if exchange.remarks.has(Remarks::PUSHED) || !self.leg_counts(peer, server) {
            return None;
        }
        // Client headers are counted only for exchanges that become events.
        let client = self.true_client(exchange, peer, &mut EventCounters::default());
        if !self.settings.wants_client(client.endpoint.address) {
            return None;
        }
        Some(self.observation(exchange, &client, server, None, now))
    }

    /// Makes the observation of an exchange whose client is known.
    #[inline]
    pub(super) fn observation(
        &mut self,
        exchange: &Exchange,
        client: &Client,
        server: Endpoint,
        reason: Option<Reason>,
        now: Stamp,
    ) -> Observation {
        let Self { hasher, last_target, last_path, last_user_agent, last_host, last_media, .. } = self;
        let (path, has_query) = last_target.of(exchange.field(exchange.target), |target| {
            let (path, query) = path_and_query(target).unwrap_or((target, None));
            (last_path.of(path, |path| hash_of(path, hasher)), query.is_some())
        });
        let media = match reason {
            None => last_media.of(exchange.field(exchange.content_type), MediaKind::of),
            Some(_) => MediaKind::Unknown,
        };
        let is_named = client.source != ClientSource::Peer;
        let mut features = exchange.features;
        if is_named {
            // What a trusted proxy writes is not the client's doing.
            features.remove(Features::CLIENT_HEADER);
        }
        let mut flags = ObservationFlags::default().with_media(media).with_features(features);
        flags.add_if(reason.is_some(), ObservationFlags::ERROR);
        flags.add_if(exchange.remarks.has(Remarks::REQUEST_UNSEEN), ObservationFlags::REQUEST_UNSEEN);
        flags.add_if(exchange.remarks.has(Remarks::MIDSTREAM), ObservationFlags::MIDSTREAM);
        flags.add_if(is_named, ObservationFlags::CLIENT_NAMED);
        flags.add_if(has_query, ObservationFlags::QUERY);
        Observation {
            time: exchange.event_time(),
            packet: now.number,
            client: client.endpoint.address,
            server,
            path,
            user_agent: last_user_agent.of(exchange.field(exchange.user_agent), |text| hash_of(text, hasher)),
            host: last_host.of(exchange.field(exchange.host), |text| hash_of(text, hasher)),
            answer: exchange.answer(),
            flags,
            method: Method::of(exchange.field(exchange.method)),
            outcome: exchange.outcome,
            protocol: exchange.protocol,
            grade: exchange.grade,
            announced_bytes: exchange.announced_bytes.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn true_client(&self, exchange: &Exchange, peer: Endpoint, counters: &mut EventCounters) -> Client {
        client::true_client(&self.site, exchange, peer, counters)
    }

    /// Returns whether a turn inside TLS counts: its leg does, its client is wanted, and is no trusted proxy, whose connections
    /// carry the requests of many clients.
    pub fn counts_turn(&self, turn: &Turn) -> bool {
        let client = turn.client;
        self.leg_counts(client, turn.server)
            && self.settings.wants_client(client.address)
            && !self.site.is_trusted(client.address)
    }

    /// Returns whether exchanges between this peer and this server count, given the configured proxy leg.
    #[inline]
    pub(super) fn leg_counts(&self, peer: Endpoint, server: Endpoint) -> bool {
        match self.settings.count_leg {
            // `Auto` decides later, by the exchanges of both legs.
            Leg::Auto | Leg::All => true,
            Leg::Client => !self.site.is_trusted(peer.address),
            Leg::Backend => self.site.is_trusted(peer.address) || !self.site.is_trusted(server.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{
            EventBuilder,
            testing::{SERVER, client, exchange},
        },
        exchange::{Answer, Outcome},
        time::Timestamp,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn an_exchange_is_observed_whether_it_fails_or_not() {
        let now = Stamp { number: 7, time: at(3) };
        let mut builder = EventBuilder::new(EventSettings::default(), Arc::default());
        let success = exchange(client(1), at(2), 5, 200, "/shop?item=1");
        let seen = Observer::new(EventSettings::default(), Arc::default()).observe(&success, now).unwrap();
        assert_eq!((seen.time, seen.packet, seen.client, seen.server), (at(2), 7, client(1).address, SERVER));
        assert_eq!((seen.answer, seen.method, seen.outcome), (Answer::http(200), Method::Get, Outcome::Answered));
        assert_eq!(seen.flags, ObservationFlags::QUERY);
        let failure = exchange(client(1), at(2), 5, 404, "/shop?item=2");
        let event = builder.error_event(Box::new(failure), now).unwrap();
        let mut flags = seen.flags;
        flags.add(ObservationFlags::ERROR);
        assert_eq!(event.observation, Observation { answer: Answer::http(404), flags, ..seen });
        assert_eq!(builder.observe(&success, now), Some(seen), "every thread observes the same");
    }

    #[test]
    fn texts_are_told_apart_by_their_hashes_and_absent_texts_have_none() {
        let mut observer = Observer::new(EventSettings { hash_seed: 5, ..EventSettings::default() }, Arc::default());
        let mut observe =
            |target| observer.observe(&exchange(client(1), at(1), 1, 200, target), Stamp::default()).unwrap();
        assert_eq!(observe("/a?x").path, observe("/a?y").path);
        assert_ne!(observe("/a").path, observe("/b").path);
        assert_eq!(observe("").path, None);
        let mut other = Observer::new(EventSettings { hash_seed: 6, ..EventSettings::default() }, Arc::default());
        let elsewhere = other.observe(&exchange(client(1), at(1), 1, 200, "/a"), Stamp::default()).unwrap();
        assert_ne!(observe("/a").path, elsewhere.path);
    }

    #[test]
    fn a_leg_that_does_not_count_is_not_observed_and_a_named_client_is() {
        let site = Arc::new(Site { trusted_proxies: vec!["198.51.100.1/32".parse().unwrap()], ..Site::default() });
        let settings = |count_leg| EventSettings { count_leg, ..EventSettings::default() };
        let mut through_proxy = exchange(client(1), at(1), 1, 200, "/");
        through_proxy.forwarded = through_proxy.store(b"X-Forwarded-For: 192.0.2.77");
        let observe = |leg| Observer::new(settings(leg), Arc::clone(&site)).observe(&through_proxy, Stamp::default());
        assert_eq!(observe(Leg::Client), None);
        let seen = observe(Leg::Backend).unwrap();
        assert_eq!(seen.client.to_string(), "192.0.2.77");
        assert!(seen.flags.has(ObservationFlags::CLIENT_NAMED));
        assert_eq!(Observer::new(settings(Leg::All), site).observe(&Exchange::default(), Stamp::default()), None);
    }
}
