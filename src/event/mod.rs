//! Error events from exchanges.
//!
//! In: [`Exchange`]s in packet order, on one thread. Out: for each exchange, its true client and the server log it belongs
//! to; for each failed exchange an [`ErrorEvent`]; for each final exchange an [`Observation`] for the rules ([`Observer`]).
//! Promises: the same exchanges in the same order give the same events; memory is bounded by
//! [`EventSettings::max_endpoints`]; a client header from an untrusted peer changes nothing.

mod claims;
mod client;
mod dataset;
mod legs;
mod mask;
mod observer;
mod settings;
mod site;
#[cfg(test)]
pub(crate) mod testing;
mod trust;

pub(crate) use self::claims::Claims;
#[cfg(any(test, fuzzing))]
pub use self::client::fuzz;
pub use self::{
    client::{Client, ClientSource},
    dataset::{DatasetEvidence, Evidence, ServerFingerprint},
    mask::{MASKED_KEYS, MaskedKeys},
    observer::Observer,
    settings::{DatasetRule, EventSettings, Leg, ReasonSet, StatusSet, StatusSetError},
    site::{Site, SiteError},
    trust::{ClientHeader, Trust, TrustedProxy, TrustedProxyError},
};
pub(crate) use self::{
    dataset::host_without_port,
    legs::{LegFacts, Legs},
};

use std::sync::Arc;

use crate::{
    address::Endpoint,
    capture::Stamp,
    counters,
    exchange::{Exchange, Observation},
    time::Timestamp,
};

/// The server software whose error log would hold the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Dataset {
    /// `nginx.error`
    Nginx,
    /// `apache.error`
    Apache,
    /// `apache_tomcat.error`
    Tomcat,
    /// `iis.error`
    Iis,
    /// `http.error`: any other server, or a server that could not be identified.
    #[default]
    Http,
}

impl Dataset {
    /// All datasets in order.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Apache, Self::Tomcat, Self::Iis, Self::Http];

    /// `event.dataset` of errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.error",
            Self::Apache => "apache.error",
            Self::Tomcat => "apache_tomcat.error",
            Self::Iis => "iis.error",
            Self::Http => "http.error",
        }
    }

    /// `event.dataset` of exchanges. An exchange on the wire corresponds to one line of an access log.
    pub const fn access_name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.access",
            Self::Apache => "apache.access",
            Self::Tomcat => "apache_tomcat.access",
            Self::Iis => "iis.access",
            Self::Http => "http.access",
        }
    }

    /// The product name of the server software, for people.
    pub const fn product(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "Apache httpd",
            Self::Tomcat => "Apache Tomcat",
            Self::Iis => "Microsoft IIS",
            Self::Http => "unidentified server",
        }
    }

    /// Finds a dataset by its name in the configuration: `nginx.error`, or `nginx` for short.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| {
            let full = dataset.name();
            name == full || full.strip_suffix(".error") == Some(name)
        })
    }
}

/// `event.reason`: the reason why an exchange is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Reason {
    /// A final response with an error status.
    HttpStatus,
    /// A complete request that got no response.
    NoResponse,
    /// A malformed request, which no server could parse.
    MalformedRequest,
    /// A fatal alert during a TLS handshake.
    TlsAlert,
    /// A response of gRPC with a status other than 0, and no error status of HTTP.
    GrpcStatus,
}

impl Reason {
    /// All reasons in order.
    pub const ALL: [Self; 5] =
        [Self::HttpStatus, Self::NoResponse, Self::MalformedRequest, Self::TlsAlert, Self::GrpcStatus];

    /// The name in events and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpStatus => "http_status",
            Self::NoResponse => "no_response",
            Self::MalformedRequest => "malformed_request",
            Self::TlsAlert => "tls_alert",
            Self::GrpcStatus => "grpc_status",
        }
    }

    /// Finds a reason by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// The client that an exchange is charged to, and the dataset that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribution {
    /// The client, and the evidence that named it.
    pub client: Client,
    /// The dataset, and the evidence that decided it.
    pub dataset: DatasetEvidence,
}

/// One failed exchange with its client and its dataset.
#[derive(Debug, Clone)]
pub struct ErrorEvent {
    /// `@timestamp`.
    pub time: Timestamp,
    /// The number of the packet that decided the event. Events are ordered by it.
    pub packet: u64,
    /// The time of that packet. `time` is earlier than `seen` when a gap or a time-out delayed the decision.
    pub seen: Timestamp,
    /// The reason why the exchange is an error.
    pub reason: Reason,
    /// The client and the dataset.
    pub attribution: Attribution,
    /// The observation that rules get of the exchange.
    pub observation: Observation,
    /// The exchange.
    pub exchange: Box<Exchange>,
}

impl ErrorEvent {
    /// The true client; its port is 0 when a header named it without one.
    pub fn client(&self) -> Endpoint {
        self.attribution.client.endpoint
    }

    /// The dataset: the server software whose error log would hold the event.
    pub fn dataset(&self) -> Dataset {
        self.attribution.dataset.dataset
    }
}

counters! {
    /// What happened to exchanges on their way to events.
    pub struct EventCounters {
        /// Error events made.
        events,
        /// Failed exchanges that made no event because they belong to the leg of a proxy that does not count.
        leg_skipped,
        /// Error events that waited for the client leg of a proxy, because their peer may be one.
        leg_awaited,
        /// Failed exchanges without addresses.
        unaddressed,
        /// Failed exchanges that made no event because another client was asked for.
        other_clients,
        /// Finished exchanges that were left out because another client was asked for.
        other_clients_exchanges,
        /// Error events whose client a trusted proxy named.
        clients_named,
        /// Error events with client headers (or PROXY headers) from peers that are no trusted proxy: ignored.
        clients_forged,
        /// Error events whose client headers from trusted proxies were not seen or could not be read.
        clients_unreadable,
        /// Error events whose client headers contradicted each other: the proxy counts as the client.
        clients_conflicting,
        /// Server endpoints whose evidence was not kept because the table was full.
        endpoints_unlearned,
    }
}

/// Finds the client and the dataset of exchanges, and makes error events. All calls come from one thread, in packet order.
#[derive(Debug)]
pub struct EventBuilder {
    observer: Observer,
    fingerprints: dataset::FingerprintReader,
    datasets: dataset::Learned,
    counters: EventCounters,
}

impl EventBuilder {
    /// Replaces the settings. What was learned about servers is kept.
    pub fn reconfigure(&mut self, settings: EventSettings, site: Arc<Site>) {
        self.observer = Observer::new(settings, site);
    }

    /// Creates a builder that has learned nothing yet.
    pub fn new(settings: EventSettings, site: Arc<Site>) -> Self {
        let datasets = dataset::Learned::new(settings.max_endpoints);
        Self {
            observer: Observer::new(settings, site),
            fingerprints: dataset::FingerprintReader::default(),
            datasets,
            counters: EventCounters::default(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &EventSettings {
        self.observer.settings()
    }

    /// The counters up to now.
    pub fn counters(&self) -> &EventCounters {
        &self.counters
    }

    /// Remembers which server software is behind an endpoint.
    pub fn learn(&mut self, fingerprint: &ServerFingerprint) {
        if !self.datasets.learn(fingerprint) {
            self.counters.endpoints_unlearned += 1;
        }
    }

    /// Makes the error event of a decided exchange, if the exchange is an error. One of the `note_` functions then takes note of
    /// what becomes of the event. `now` is the packet that decided the
    /// exchange. The builder also learns from the exchange which software the server runs.
    ///
    /// # Errors
    ///
    /// Returns the exchange itself when it makes no event.
    pub fn error_event(&mut self, exchange: Box<Exchange>, now: Stamp) -> Result<ErrorEvent, Box<Exchange>> {
        let fingerprint = self.fingerprints.read(&exchange);
        if let Some(fingerprint) = &fingerprint {
            self.learn(fingerprint);
        }
        let Some(reason) = self.observer.reason_of(&exchange) else { return Err(exchange) };
        let Some((peer, server)) = exchange.endpoints else {
            self.counters.unaddressed += 1;
            return Err(exchange);
        };
        if !self.observer.leg_counts(peer, server) {
            self.counters.leg_skipped += 1;
            return Err(exchange);
        }
        let client = self.observer.true_client(&exchange, peer, &mut self.counters);
        if !self.settings().wants_client(client.endpoint.address) {
            self.counters.other_clients += 1;
            return Err(exchange);
        }
        let attribution = Attribution { client, dataset: self.dataset(&exchange, fingerprint, server) };
        let observation = self.observer.observation(&exchange, &client, server, Some(reason), now);
        Ok(ErrorEvent {
            time: exchange.event_time(),
            packet: now.number,
            seen: now.time,
            reason,
            attribution,
            observation,
            exchange,
        })
    }

    /// Takes note of what became of an event: it counts.
    pub fn note_counted(&mut self) {
        self.counters.events += 1;
    }

    /// Takes note of what became of an event: it waits for the client leg of a proxy.
    pub fn note_awaited(&mut self) {
        self.counters.leg_awaited += 1;
    }

    /// Takes note of what became of an event: it is left out, because the same error counts on the client leg of a proxy.
    pub fn note_left_out(&mut self) {
        self.counters.leg_skipped += 1;
    }

    /// Finds the client and the dataset of an exchange, from what is known now.
    pub fn attribute(&mut self, exchange: &Exchange) -> Attribution {
        let (peer, server) = exchange.endpoints.unwrap_or((Endpoint::UNKNOWN, Endpoint::UNKNOWN));
        // The counters of client headers are updated when the error event is made, so they are not updated here.
        let mut uncounted = EventCounters::default();
        let client = self.observer.true_client(exchange, peer, &mut uncounted);
        let fingerprint = self.fingerprints.read(exchange);
        Attribution { client, dataset: self.dataset(exchange, fingerprint, server) }
    }

    /// Returns whether a finished exchange belongs to a wanted client. An exchange of another client is counted.
    pub fn wants(&mut self, attribution: &Attribution) -> bool {
        let wants = self.settings().wants_client(attribution.client.endpoint.address);
        self.counters.other_clients_exchanges += u64::from(!wants);
        wants
    }

    /// Makes the observation of a decided exchange that is no error; see [`Observer::observe`].
    pub fn observe(&mut self, exchange: &Exchange, now: Stamp) -> Option<Observation> {
        self.observer.observe(exchange, now)
    }

    /// Takes over the hash seed of an earlier run, so that hashes in the rules' restored state still match.
    pub fn set_hash_seed(&mut self, seed: u64) {
        self.observer.set_hash_seed(seed);
    }

    fn dataset(
        &self,
        exchange: &Exchange,
        fingerprint: Option<ServerFingerprint>,
        server: Endpoint,
    ) -> DatasetEvidence {
        dataset::decide(&self.settings().dataset_rules, &self.datasets, exchange, fingerprint, server)
    }
}
