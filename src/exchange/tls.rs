//! The facts about a TLS connection that its exchanges carry.
//!
//! In: nothing; the parser of TLS fills it. Out: [`TlsConnection`], the facts of the connection that carried an exchange, or whose
//! handshake failed; [`TlsFailure`], how a handshake failed; [`FailedHandshake`], the part of it by which errors are counted. All
//! exchanges of a connection share its facts, so that an exchange is as small as one without TLS, and costs no copy of them.

use std::fmt;

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

/// What ended a handshake that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailedHandshake {
    /// See [`TlsFailure::alert`].
    pub alert: u8,
    /// See [`TlsFailure::by_server`].
    pub by_server: bool,
}

impl FailedHandshake {
    /// The registered name of the alert. `None` if it has none, and if there was no alert.
    pub const fn alert_name(self) -> Option<&'static str> {
        Some(match self.alert {
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            121 => "ech_required",
            _ => return None,
        })
    }
}

impl fmt::Display for FailedHandshake {
    /// `TLS alert 70 protocol_version`, `TLS alert 48 unknown_ca by the client`, `TLS handshake cut off`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.alert, self.alert_name()) {
            (0, _) => out.write_str("TLS handshake cut off")?,
            (alert, Some(name)) => write!(out, "TLS alert {alert} {name}")?,
            (alert, None) => write!(out, "TLS alert {alert}")?,
        }
        if self.by_server { Ok(()) } else { out.write_str(" by the client") }
    }
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
