//! The user's settings for events.
//!
//! In: validated configuration. Out: [`EventSettings`]. No later stage validates them again.

use std::{num::ParseIntError, str::FromStr};

use ipnet::IpNet;

use super::{Dataset, Reason};
use crate::{
    address::Address,
    exchange::{Exchange, Outcome, Remarks},
};

/// Settings of how events are built and what is written about exchanges.
#[derive(Debug, Clone)]
pub struct EventSettings {
    /// Final statuses that are errors.
    pub error_statuses: StatusSet,
    /// The kinds of failure that are written as events.
    pub reasons: ReasonSet,
    /// Datasets that the configuration fixes. The first rule that matches decides, and all evidence is ignored.
    pub dataset_rules: Vec<DatasetRule>,
    /// Which side of a proxy makes events when both sides are captured.
    pub count_leg: Leg,
    /// The most server endpoints whose dataset is remembered.
    pub max_endpoints: usize,
    /// Seed of the hashes that observations hold instead of texts. Two texts have the same hash with a chance of 2⁻³².
    pub hash_seed: u64,
    /// The true clients whose exchanges are wanted. An empty list means all clients.
    pub clients: Vec<IpNet>,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            error_statuses: StatusSet::default(),
            reasons: ReasonSet::default(),
            dataset_rules: Vec::new(),
            count_leg: Leg::Auto,
            max_endpoints: 65_536,
            hash_seed: 0,
            clients: Vec::new(),
        }
    }
}

impl EventSettings {
    /// Returns whether exchanges of this true client are wanted.
    #[inline]
    pub fn wants_client(&self, client: Address) -> bool {
        self.clients.is_empty() || {
            let ip = client.to_ip();
            self.clients.iter().any(|network| network.contains(&ip))
        }
    }

    /// The reason why an exchange is an error, or `None` if it is not an error. It is cheap enough to be called for every
    /// exchange.
    #[inline]
    pub fn reason_of(&self, exchange: &Exchange) -> Option<Reason> {
        if exchange.remarks.has(Remarks::PUSHED) {
            // No client has asked for it.
            return None;
        }
        let reason = match exchange.outcome {
            Outcome::Answered if self.error_statuses.contains(exchange.status) => Reason::HttpStatus,
            Outcome::NoResponseReset | Outcome::NoResponseClosed | Outcome::NoResponseTimeout => Reason::NoResponse,
            Outcome::MalformedRequest => Reason::MalformedRequest,
            Outcome::TlsAlert => Reason::TlsAlert,
            Outcome::Answered if exchange.grpc_status.is_some_and(|status| status != 0) => Reason::GrpcStatus,
            Outcome::Answered | Outcome::Pending | Outcome::Unknown => return None,
        };
        self.reasons.contains(reason).then_some(reason)
    }
}

/// A set of HTTP status codes, 100 to 599. Default: 400 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusSet([u64; 10]);

impl StatusSet {
    /// The empty set.
    pub const EMPTY: Self = Self([0; 10]);

    /// Adds a range of statuses. Statuses above 599 are ignored.
    pub fn insert(&mut self, statuses: std::ops::RangeInclusive<u16>) {
        for status in statuses.filter(|&status| status < 600) {
            self.0[usize::from(status / 64)] |= 1 << (status % 64);
        }
    }

    /// Removes a range of statuses.
    pub fn remove(&mut self, statuses: std::ops::RangeInclusive<u16>) {
        for status in statuses.filter(|&status| status < 600) {
            self.0[usize::from(status / 64)] &= !(1 << (status % 64));
        }
    }

    /// Returns whether a status is in the set.
    #[inline]
    pub fn contains(&self, status: u16) -> bool {
        self.0.get(usize::from(status / 64)).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        let mut set = Self::EMPTY;
        set.insert(400..=599);
        set
    }
}

/// The reason why a status set could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusSetError {
    /// Not a number.
    #[error("`{0}` is not a status or a range of statuses such as 400-599 or 4xx")]
    NotAStatus(String, #[source] Option<ParseIntError>),
    /// A number outside 100 to 599, or a range that runs backwards.
    #[error("`{0}` is not within 100 to 599")]
    OutOfRange(String),
}

impl FromStr for StatusSet {
    type Err = StatusSetError;

    /// Reads a comma-separated list of statuses, ranges and classes. `!` removes an item: `400-599`, `4xx,500,503`,
    /// `4xx,!404`.
    fn from_str(text: &str) -> Result<Self, StatusSetError> {
        let mut set = Self::EMPTY;
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (take_out, item) = item.strip_prefix('!').map_or((false, item), |rest| (true, rest.trim()));
            let range = status_range(item)?;
            if take_out { set.remove(range) } else { set.insert(range) }
        }
        Ok(set)
    }
}

fn status_range(item: &str) -> Result<std::ops::RangeInclusive<u16>, StatusSetError> {
    let number = |text: &str| {
        text.trim().parse::<u16>().map_err(|error| StatusSetError::NotAStatus(item.to_owned(), Some(error)))
    };
    let range = if let Some(class) = item.strip_suffix("xx").or_else(|| item.strip_suffix("XX")) {
        let class = number(class)?.saturating_mul(100);
        class..=class.saturating_add(99)
    } else if let Some((first, last)) = item.split_once('-') {
        number(first)?..=number(last)?
    } else {
        let status = number(item)?;
        status..=status
    };
    if range.is_empty() || *range.start() < 100 || *range.end() > 599 {
        return Err(StatusSetError::OutOfRange(item.to_owned()));
    }
    Ok(range)
}

/// A set of [`Reason`]s. Default: all but [`Reason::GrpcStatus`], as many services use its statuses for what is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonSet(u8);

impl ReasonSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Returns the set with one more reason.
    pub const fn with(self, reason: Reason) -> Self {
        Self(self.0 | 1 << reason as u8)
    }

    /// Returns whether a reason is in the set.
    #[inline]
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 >> reason as u8 & 1 == 1
    }
}

impl Default for ReasonSet {
    fn default() -> Self {
        Reason::ALL.into_iter().filter(|reason| *reason != Reason::GrpcStatus).collect()
    }
}

impl FromIterator<Reason> for ReasonSet {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        reasons.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// A dataset that the configuration fixes for all servers that match every given condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRule {
    /// The server's address must be in this network. A single address is a network with one member.
    pub network: Option<IpNet>,
    /// The server's port.
    pub port: Option<u16>,
    /// The request's host without its port. The comparison ignores case.
    pub host: Option<String>,
    /// The dataset.
    pub dataset: Dataset,
}

/// Which exchanges around a proxy make events.
///
/// With a tap on both sides of a proxy, one failed request gives two exchanges: client to proxy (the *client* leg), and proxy to
/// server (the *backend* leg). [`Auto`](Self::Auto) compares the exchanges themselves and needs no list of proxies; see the
/// module `legs`. [`Client`](Self::Client) and [`Backend`](Self::Backend) go by the trusted proxies: an exchange belongs to the
/// backend leg when its peer is a trusted proxy, and to the client leg when its server is a trusted proxy and its peer is not. An
/// exchange without a trusted proxy always counts for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leg {
    /// An error of the backend leg makes no event if the same error was seen on the client leg.
    #[default]
    Auto,
    /// Both legs make events.
    All,
    /// Only the client leg makes events. It shows the client's own address, and also the requests that the proxy itself
    /// refused.
    Client,
    /// Only the backend leg makes events. It shows which server failed, but not the requests that the proxy itself refused.
    Backend,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_sets() {
        let set: StatusSet = "4xx, !404, 500, 502-504".parse().unwrap();
        for (status, within) in
            [(399, false), (400, true), (404, false), (499, true), (500, true), (501, false), (504, true), (599, false)]
        {
            assert_eq!(set.contains(status), within, "{status}");
        }
        assert_eq!("400-599".parse::<StatusSet>().unwrap(), StatusSet::default());
        for (text, message) in [
            ("4x", "`4x` is not a status or a range of statuses such as 400-599 or 4xx"),
            ("600", "`600` is not within 100 to 599"),
            ("500-400", "`500-400` is not within 100 to 599"),
            ("9xx", "`9xx` is not within 100 to 599"),
        ] {
            assert_eq!(text.parse::<StatusSet>().unwrap_err().to_string(), message);
        }
        assert!(!StatusSet::default().contains(u16::MAX));
    }

    #[test]
    fn reasons_follow_outcome_status_and_settings() {
        let mut settings = EventSettings::default();
        let exchange = |outcome, status| Exchange { outcome, status, ..Exchange::default() };
        assert_eq!(settings.reason_of(&exchange(Outcome::Answered, 404)), Some(Reason::HttpStatus));
        assert_eq!(settings.reason_of(&exchange(Outcome::Answered, 304)), None);
        assert_eq!(settings.reason_of(&exchange(Outcome::NoResponseReset, 0)), Some(Reason::NoResponse));
        assert_eq!(settings.reason_of(&exchange(Outcome::Unknown, 0)), None);
        settings.reasons = [Reason::HttpStatus].into_iter().collect();
        assert_eq!(settings.reason_of(&exchange(Outcome::TlsAlert, 0)), None);
        assert_eq!(settings.reason_of(&exchange(Outcome::Answered, 500)), Some(Reason::HttpStatus));
    }
}
