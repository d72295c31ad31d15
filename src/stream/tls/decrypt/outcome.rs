//! What goes into a session and what comes out of it.
//!
//! In: nothing. Out: [`Sender`], [`Record`], [`Opened`] with [`Content`] and [`Cause`], [`PlainLength`] and [`Facts`].

use std::ops::Range;

use super::fingerprint::{Ja3, Ja4, Ja4s};

/// Who sent a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// The sender of the ClientHello.
    Client,
    /// The other side.
    Server,
}

impl Sender {
    /// The other side.
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A whole record (RFC 8446, section 5.1), encrypted or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Type, version (2 bytes) and length (2 bytes) as they were sent.
    pub header: [u8; 5],
    /// The bytes after the header, as many as its length says.
    pub body: &'a [u8],
}

/// The result of giving a session one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// How many records of the same sender are missing before this one, as its sequence number shows. Data of the sender
    /// is missing if this is not 0.
    pub lost: u32,
    /// What the record holds.
    pub content: Content,
}

impl Opened {
    pub(super) fn of(content: Content) -> Self {
        Self { lost: 0, content }
    }
}

/// The beginning of a record that was decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// Bytes of the body before its data.
    pub(crate) front: u64,
    /// Bytes of data.
    pub(crate) length: u64,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Handshake messages or parts of them. [`Session::facts`](super::Session::facts) may have changed.
    Handshake,
    /// An alert, in clear or decrypted (RFC 8446, section 6).
    Alert {
        /// 1: warning, 2: fatal.
        level: u8,
        /// The description. 0 is close_notify.
        description: u8,
    },
    /// Application data: this range of the plaintext buffer.
    Data(Range<usize>),
    /// Nothing that matters: a ChangeCipherSpec, an empty record, early data that the server rejected, or an encrypted
    /// record of the handshake for which there is no secret.
    Nothing,
    /// The record cannot be opened yet. Hold it and all later records of its sender, and give them again in order when
    /// [`Session::progress`](super::Session::progress) differs.
    Waiting,
    /// The record cannot be opened. Its data is missing; later records may open.
    Failed(Cause),
}

/// Why records of a connection could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// There are no secrets for the connection's client random.
    NoKeys,
    /// The same, and private keys were given, which cannot open this key exchange: it has forward secrecy.
    ForwardSecret,
    /// There are secrets, but no record opens with any of them.
    WrongKeys,
    /// The cipher suite (its identifier) is not supported.
    UnsupportedSuite(u16),
    /// There are no secrets for the client random, and the client sent an encrypted ClientHello (or a random value in its
    /// place, which cannot be told apart): the secrets may be kept under the random inside.
    EncryptedClientHello,
    /// The handshake was not captured or not all of it, and no secret that was tried opens a record.
    Midstream,
    /// No record with data was captured whole.
    Incomplete,
    /// A record of early data has no secret, or it is not known whether the server accepted it.
    EarlyData,
    /// The keys are right, but so many records are missing that the sequence number was not found.
    Desynchronised,
    /// The connection has used up the work that is allowed for the search of keys and sequence numbers.
    BudgetSpent,
}

impl Cause {
    /// Returns whether no later record of the sender will open. Otherwise one may, if secrets come.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::NoKeys
            | Self::ForwardSecret
            | Self::WrongKeys
            | Self::EncryptedClientHello
            | Self::EarlyData
            | Self::Midstream
            | Self::Desynchronised => false,
            Self::UnsupportedSuite(_) | Self::Incomplete | Self::BudgetSpent => true,
        }
    }
}

/// The length of a record's application data, told without decrypting the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainLength {
    /// Exactly so many bytes.
    Exact(usize),
    /// So many bytes unless the sender padded the record (TLS 1.3). No record of this sender that was opened so far had
    /// padding.
    Unpadded(usize),
}

impl PlainLength {
    /// The length in bytes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Exact(bytes) | Self::Unpadded(bytes) => bytes,
        }
    }
}

/// What is known about a connection from its handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// SNI as the client sent it; empty if absent. At most 255 bytes.
    pub server_name: Box<[u8]>,
    /// The first protocol that the client offers by ALPN, as JA4 uses it; empty if absent.
    pub alpn_offered: Box<[u8]>,
    /// The protocol that the server chose; empty if there is none or it was not seen.
    pub alpn: Box<[u8]>,
    /// The highest version that the client offers; 0 if no ClientHello was seen.
    pub offered_version: u16,
    /// Whether the client's first suite is a reserved value (GREASE, RFC 8701), as browsers with Chromium's engine send.
    pub offers_grease: bool,
    /// The version that the server chose; 0 if no ServerHello was seen.
    pub version: u16,
    /// The cipher suite that the server chose; 0 if no ServerHello was seen. [`suite_name`](super::suite_name) names it.
    pub suite: u16,
    /// JA3 of the ClientHello.
    pub ja3: Option<Ja3>,
    /// JA4 of the ClientHello.
    pub ja4: Option<Ja4>,
    /// JA4S of the ServerHello.
    pub ja4s: Option<Ja4s>,
    /// The subject of the server's certificate: common name or, without one, the first DNS name. Empty if it was not seen.
    /// At most 255 bytes.
    pub certificate: Box<[u8]>,
    /// Whether the connection resumes an earlier session. `None` if this is not known.
    pub is_resumed: Option<bool>,
    /// Whether the server accepted early data. `None` if the client sent none or the answer is not known.
    pub early_data_accepted: Option<bool>,
}
