//! The facts about a TLS connection that its exchanges carry.
//!
//! In: nothing; the parser of TLS fills it. Out: [`TlsConnection`], the facts of the connection that carried an exchange, or whose
//! handshake failed; [`TlsFailure`], how a handshake failed. All exchanges of a connection share its facts, so that an exchange is as
//! small as one without TLS, and costs no copy of them.

/// The unencrypted part of a TLS handshake, for an exchange with [`Outcome::TlsAlert`](super::Outcome::TlsAlert).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TlsFailure {
    /// `AlertDescription` (RFC 8446, section 6); 0 if the server closed or reset the connection after the ClientHello
    /// without an alert.
    pub alert: u8,
    /// The highest version that the client offered, encoded as `ProtocolVersion`; 0 if unknown.
    pub offered_version: u16,
    /// Whether the server sent the alert.
    pub by_server: bool,
}

/// A TLS connection, as far as its handshake was seen. A text is empty where the fact is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConnection {
    /// SNI, as sent; at most 255 bytes.
    pub server_name: Box<[u8]>,
    /// The version that the server chose, encoded as `ProtocolVersion`; 0 if unknown.
    pub version: u16,
    /// The registered name of the cipher suite that the server chose.
    pub cipher: &'static str,
    /// The protocol that the server chose (ALPN, RFC 7301).
    pub next_protocol: Box<[u8]>,
    /// Whether the connection resumes an earlier session.
    pub is_resumed: Option<bool>,
    /// Fingerprints of the ClientHello, and of the ServerHello.
    pub ja3: Box<str>,
    /// See `ja3`.
    pub ja4: Box<str>,
    /// See `ja3`.
    pub ja4s: Box<str>,
    /// The subject of the server's certificate, where it was in clear or decrypted; at most 255 bytes.
    pub certificate: Box<[u8]>,
}
