//! The observation: the part of a final exchange that rules see.
//!
//! In: nothing; the module `event` fills the observations. Out: [`Observation`], a `Copy` value of fixed size without text.
//! Promises: an observation has at most 80 bytes, so that an exchange without an error costs only one small record on its
//! way from the shard to the rules.

use std::num::NonZeroU32;

use super::{Features, Grade, MediaKind, Outcome, Protocol};
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
    /// Final status; 0 if there is none.
    pub status: u16,
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

    /// Returns whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

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

    /// Returns these bits, together with the bits of `other` if `is_set` is true.
    #[must_use]
    pub const fn with_if(self, is_set: bool, other: Self) -> Self {
        if is_set { Self(self.0 | other.0) } else { self }
    }
}

macro_rules! methods {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal),* $(,)?) => {
        /// A request method in one byte. Methods are case-sensitive (RFC 9110, section 9.1): `get` is
        /// [`Other`](Self::Other).
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
        )]
        #[repr(u8)]
        pub enum Method {
            $($(#[doc = $help])+ $variant,)*
            /// A method that is not in this list.
            Other,
            /// The request was not seen.
            #[default]
            Unseen,
        }

        impl Method {
            /// All methods in order.
            pub const ALL: [Self; [$($name),*].len() + 2] = [$(Self::$variant,)* Self::Other, Self::Unseen];

            /// The method's name as sent; `other` and `unseen` for the last two variants.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other => "other",
                    Self::Unseen => "unseen",
                }
            }

            /// Returns the method with this name, by a comparison with all names.
            fn among_all(sent: &[u8]) -> Self {
                $(if sent == $name.as_bytes() {
                    return Self::$variant;
                })*
                if sent.is_empty() { Self::Unseen } else { Self::Other }
            }
        }
    };
}

methods! {
    /// `GET`
    Get = "GET",
    /// `HEAD`
    Head = "HEAD",
    /// `POST`
    Post = "POST",
    /// `PUT`
    Put = "PUT",
    /// `DELETE`
    Delete = "DELETE",
    /// `CONNECT`
    Connect = "CONNECT",
    /// `OPTIONS`
    Options = "OPTIONS",
    /// `TRACE`
    Trace = "TRACE",
    /// `PATCH`
    Patch = "PATCH",
    /// `QUERY`: a safe method with content.
    Query = "QUERY",
    /// `PRI`: the start of an HTTP/2 preface.
    Pri = "PRI",
    /// `PROPFIND` (WebDAV, RFC 4918)
    Propfind = "PROPFIND",
    /// `PROPPATCH` (WebDAV)
    Proppatch = "PROPPATCH",
    /// `MKCOL` (WebDAV)
    Mkcol = "MKCOL",
    /// `COPY` (WebDAV)
    Copy = "COPY",
    /// `MOVE` (WebDAV)
    Move = "MOVE",
    /// `LOCK` (WebDAV)
    Lock = "LOCK",
    /// `UNLOCK` (WebDAV)
    Unlock = "UNLOCK",
    /// `ACL` (WebDAV, RFC 3744)
    Acl = "ACL",
    /// `SEARCH` (WebDAV, RFC 5323)
    Search = "SEARCH",
    /// `ORDERPATCH` (WebDAV, RFC 3648)
    Orderpatch = "ORDERPATCH",
    /// `BIND` (WebDAV, RFC 5842)
    Bind = "BIND",
    /// `UNBIND` (WebDAV)
    Unbind = "UNBIND",
    /// `REBIND` (WebDAV)
    Rebind = "REBIND",
    /// `MKCALENDAR` (CalDAV, RFC 4791)
    Mkcalendar = "MKCALENDAR",
    /// `MKREDIRECTREF` (RFC 4437)
    Mkredirectref = "MKREDIRECTREF",
    /// `UPDATEREDIRECTREF` (RFC 4437)
    Updateredirectref = "UPDATEREDIRECTREF",
    /// `REPORT` (versioning, RFC 3253)
    Report = "REPORT",
    /// `CHECKIN` (versioning)
    Checkin = "CHECKIN",
    /// `CHECKOUT` (versioning)
    Checkout = "CHECKOUT",
    /// `UNCHECKOUT` (versioning)
    Uncheckout = "UNCHECKOUT",
    /// `VERSION-CONTROL` (versioning)
    VersionControl = "VERSION-CONTROL",
    /// `BASELINE-CONTROL` (versioning)
    BaselineControl = "BASELINE-CONTROL",
    /// `LABEL` (versioning)
    Label = "LABEL",
    /// `MERGE` (versioning)
    Merge = "MERGE",
    /// `MKACTIVITY` (versioning)
    Mkactivity = "MKACTIVITY",
    /// `MKWORKSPACE` (versioning)
    Mkworkspace = "MKWORKSPACE",
    /// `UPDATE` (versioning)
    Update = "UPDATE",
    /// `LINK` (RFC 2068)
    Link = "LINK",
    /// `UNLINK` (RFC 2068)
    Unlink = "UNLINK",
    /// `TRACK`: a method of IIS similar to TRACE, which scanners try.
    Track = "TRACK",
    /// `DEBUG`: remote debugging of ASP.NET, which scanners try.
    Debug = "DEBUG",
    /// `PURGE`, for caches.
    Purge = "PURGE",
    /// `BAN`, for caches.
    Ban = "BAN",
    /// `NOTIFY` (UPnP)
    Notify = "NOTIFY",
    /// `SUBSCRIBE` (UPnP)
    Subscribe = "SUBSCRIBE",
    /// `UNSUBSCRIBE` (UPnP)
    Unsubscribe = "UNSUBSCRIBE",
    /// `M-SEARCH` (UPnP)
    MSearch = "M-SEARCH",
    /// `RPC_IN_DATA` (Outlook Anywhere)
    RpcInData = "RPC_IN_DATA",
    /// `RPC_OUT_DATA` (Outlook Anywhere)
    RpcOutData = "RPC_OUT_DATA",
}

impl Method {
    /// Returns the method with this name as sent, or [`Unseen`](Self::Unseen) if there are no bytes.
    #[inline]
    pub fn of(sent: &[u8]) -> Self {
        match sent {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            _ => Self::among_all(sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_small() {
        assert!(size_of::<Observation>() <= 80, "{}", size_of::<Observation>());
    }

    #[test]
    fn every_method_is_read_from_its_name() {
        for method in Method::ALL.into_iter().filter(|method| !matches!(method, Method::Other | Method::Unseen)) {
            assert_eq!(Method::of(method.name().as_bytes()), method);
        }
        for (index, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, index, "the list is in order");
        }
        for (sent, method) in [("get", Method::Other), ("GETS", Method::Other), ("", Method::Unseen)] {
            assert_eq!(Method::of(sent.as_bytes()), method, "{sent}");
        }
    }
}
