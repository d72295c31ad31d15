//! The observation: the part of a final exchange that rules see.
//!
//! In: nothing; the module `event` fills the observations. Out: [`Observation`], a `Copy` value of fixed size without text.
//! Promises: an observation has at most 80 bytes, so that an exchange without an error costs only one small record on its
//! way from the shard to the rules.

use std::num::NonZeroU32;

use super::{Answer, Features, Grade, MediaKind, Method, Outcome, Protocol};
use crate::{
    address::{Address, Endpoint},
    time::Timestamp,
};

/// A final exchange in at most 80 bytes. Texts are represented by their hashes; `None` means that the text is absent.
///
/// [`ObservationFlags::ERROR`] and `outcome` together tell whether the exchange is an error, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Observation {
    /// The event time, which an event shows as `@timestamp`.
    pub time: Timestamp,
    /// The number of the packet that decided the exchange; it gives the observations their order.
    pub packet: u64,
    /// The client: the client that a trusted proxy named, or else the connection's peer.
    pub client: Address,
    /// The server.
    pub server: Endpoint,
    /// Hash of the target's path, without its query.
    pub path: Option<NonZeroU32>,
    /// Hash of `User-Agent`.
    pub user_agent: Option<NonZeroU32>,
    /// Hash of `Host`.
    pub host: Option<NonZeroU32>,
    /// The statuses of the response.
    pub answer: Answer,
    /// Further facts about the exchange.
    pub flags: ObservationFlags,
    /// The request's method.
    pub method: Method,
    /// The result of the exchange.
    pub outcome: Outcome,
    /// The protocol that carried it.
    pub protocol: Protocol,
    /// How well the exchange is supported.
    pub grade: Grade,
    /// Body bytes that the response's head announces; `u32::MAX` if it announces none, or more.
    pub announced_bytes: u32,
}

/// Further facts about an observed exchange, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct ObservationFlags(pub u16);

impl ObservationFlags {
    /// The exchange is an error by the current settings; its outcome gives the reason.
    pub const ERROR: Self = Self(1);
    /// The request was not seen.
    pub const REQUEST_UNSEEN: Self = Self(1 << 1);
    /// The capture joined the connection midway.
    pub const MIDSTREAM: Self = Self(1 << 2);
    /// A trusted proxy named the client; the client is not the connection's peer.
    pub const CLIENT_NAMED: Self = Self(1 << 3);
    /// The target has a query.
    pub const QUERY: Self = Self(1 << 4);
    /// The three bits from this one on are the number of a [`MediaKind`].
    const MEDIA_AT: u32 = 5;
    /// The bits from this one on are those of [`Features`].
    const FEATURES_AT: u32 = 8;

    /// Returns these bits, together with the features of the messages.
    #[must_use]
    pub const fn with_features(self, features: Features) -> Self {
        Self(self.0 | features.0 << Self::FEATURES_AT)
    }

    /// The features of the messages.
    pub const fn features(self) -> Features {
        Features(self.0 >> Self::FEATURES_AT)
    }

    /// Returns these bits, together with what the response's body is.
    #[must_use]
    pub const fn with_media(self, media: MediaKind) -> Self {
        Self(self.0 | (media as u16) << Self::MEDIA_AT)
    }

    /// What the response's body is. Known only of an exchange that is no error.
    pub const fn media(self) -> MediaKind {
        MediaKind::numbered(self.0 >> Self::MEDIA_AT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_small() {
        assert!(size_of::<Observation>() <= 80, "{}", size_of::<Observation>());
    }
}
