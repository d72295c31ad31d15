//! Kinds of answers, and how many of each.

use crate::exchange::Observation;

/// What kind of answer an exchange got. A status of gRPC counts as the status of HTTP that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 2xx
    Success,
    /// 3xx
    Redirect,
    /// 404 or 410: there is nothing.
    Missing,
    /// 403: it is forbidden.
    Forbidden,
    /// 401 or 407: credentials are asked for.
    Unauthorized,
    /// 429: too many requests.
    Limited,
    /// The server did not understand the request, or does not allow its form: 400, 405, 411, 413 to 417, 431, 501, 505.
    Protocol,
    /// 502, 503 or 504: what is behind the server fails.
    Gateway,
    /// 500 and other 5xx: the server fails.
    Fault,
    /// Other 4xx.
    OtherClientError,
    /// No answer.
    Unanswered,
    /// No request: a TLS handshake that failed, whoever ended it.
    FailedHandshake,
}

impl Kind {
    /// The number of kinds.
    pub(super) const COUNT: usize = 12;
    /// The server or what is behind it failed.
    const SERVER_FAILURES: [Self; 3] = [Self::Gateway, Self::Fault, Self::Unanswered];

    /// Returns whether the server or what is behind it failed.
    pub(super) fn is_server_failure(self) -> bool {
        Self::SERVER_FAILURES.contains(&self)
    }

    /// The kind of an exchange.
    #[inline]
    pub(super) fn of(observation: &Observation) -> Self {
        match observation.answer.meaning() {
            0 if observation.answer.failed_handshake().is_some() => Self::FailedHandshake,
            0 => Self::Unanswered,
            100..=299 => Self::Success,
            300..=399 => Self::Redirect,
            404 | 410 => Self::Missing,
            403 => Self::Forbidden,
            401 | 407 => Self::Unauthorized,
            429 => Self::Limited,
            400 | 405 | 411 | 413..=417 | 431 | 501 | 505 => Self::Protocol,
            502..=504 => Self::Gateway,
            500.. => Self::Fault,
            _ => Self::OtherClientError,
        }
    }
}

/// Exchanges by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    counts: [u32; Kind::COUNT],
    /// The sum of the counts. It is asked for with every error.
    total: u32,
}

impl Kinds {
    #[inline]
    pub(super) fn add(&mut self, kind: Kind) {
        self.counts[kind as usize] += 1;
        self.total += 1;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.total += other.total;
    }

    /// These exchanges without others that are among them.
    pub(super) fn without(&self, others: &Self) -> Self {
        let mut left = *self;
        for (count, other) in left.counts.iter_mut().zip(others.counts) {
            *count = count.saturating_sub(other);
        }
        left.total = left.counts.iter().sum();
        left
    }

    /// The number of one kind.
    pub const fn of(&self, kind: Kind) -> u64 {
        self.counts[kind as usize] as u64
    }

    /// The number of several kinds.
    pub fn of_all(&self, kinds: &[Kind]) -> u64 {
        kinds.iter().map(|kind| self.of(*kind)).sum()
    }

    /// All exchanges.
    pub fn total(&self) -> u64 {
        self.total.into()
    }

    /// All exchanges but handshakes that failed.
    pub fn requests(&self) -> u64 {
        self.total() - self.of(Kind::FailedHandshake)
    }

    /// Exchanges that are no success and no redirect.
    pub fn failed(&self) -> u64 {
        self.total() - self.of_all(&[Kind::Success, Kind::Redirect])
    }

    /// Exchanges in which the server or what is behind it failed.
    pub fn server_failed(&self) -> u64 {
        self.of_all(&Kind::SERVER_FAILURES)
    }
}
