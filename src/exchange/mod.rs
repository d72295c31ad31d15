//! The one value that leaves HTTP parsing.
//!
//! An [`Exchange`] holds what a request and its response said, as far as either was seen. Text is kept as sent, in one
//! buffer; absent fields are empty [`Span`]s. Bytes are the wire's: whoever prints them escapes them.

use std::time::Duration;

mod observation;
mod pool;
mod target;

pub use observation::{Method, Observation, ObservationFlags};
pub use pool::ExchangePool;
pub(crate) use pool::KEPT_BUFFER_BYTES;
pub(crate) use target::path_and_query;

use crate::{address::Endpoint, capture::Stamp, decode::Encapsulation, time::Timestamp};

/// A range of an exchange's text; empty when the field is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Returns whether the field is absent (or was sent empty).
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The protocol that carried an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    /// HTTP/1.x and what resembles it.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
    /// A TLS handshake that failed in clear.
    Tls,
}

impl Protocol {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Tls => "tls",
        }
    }
}

/// How an exchange came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Outcome {
    /// Not decided yet.
    #[default]
    Pending,
    /// A final response was seen; `status` is set.
    Answered,
    /// A complete request, and the server reset the connection.
    NoResponseReset,
    /// A complete request, and the server closed the connection.
    NoResponseClosed,
    /// A complete request, and the server stayed silent past the time-out.
    NoResponseTimeout,
    /// A request the server could not have parsed, answered with nothing.
    MalformedRequest,
    /// A fatal alert during a TLS handshake, seen in clear.
    TlsAlert,
    /// The request was seen, what became of it was not (the capture ended, the response was lost).
    Unknown,
}

/// What is missing or odd about an exchange: a set of bits, each with a name for output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Remarks(pub u32);

macro_rules! remarks {
    ($($(#[doc = $help:literal])+ $constant:ident = $bit:literal => $name:literal),* $(,)?) => {
        impl Remarks {
            $($(#[doc = $help])+ pub const $constant: Self = Self(1 << $bit);)*

            /// The names of the set bits, in order of bit.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Self::$constant, $name)),*].into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
            }
        }
    };
}

remarks! {
    /// The request was not seen.
    REQUEST_UNSEEN = 0 => "request_unseen",
    /// The request's header block was cut by a hole, a limit or the end.
    REQUEST_TRUNCATED = 1 => "request_truncated",
    /// The response's header block was cut by a hole, a limit or the end.
    RESPONSE_TRUNCATED = 2 => "response_truncated",
    /// Bytes of a body were never captured.
    BODY_GAP = 3 => "body_gap",
    /// The body ended before its declared length.
    BODY_INCOMPLETE = 4 => "body_incomplete",
    /// Header lines that no server should have sent were tolerated.
    MALFORMED_HEADERS = 5 => "malformed_headers",
    /// Content-Length fields that conflict, or together with Transfer-Encoding.
    CONFLICTING_LENGTH = 6 => "conflicting_length",
    /// Chunked framing broke.
    BAD_CHUNK = 7 => "bad_chunk",
    /// Overlapping segments disagreed about the connection's bytes.
    DISAGREEING_OVERLAP = 8 => "disagreeing_overlap",
    /// The capture joined the connection midway.
    MIDSTREAM = 9 => "midstream",
    /// A stored field was cut at its limit.
    FIELD_TRUNCATED = 10 => "field_truncated",
    /// The connection was reset before the response ended.
    RESET = 11 => "reset",
    /// Answered before the request was complete.
    EARLY_ANSWER = 12 => "early_answer",
}

impl Remarks {
    /// Returns whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The protocol version of a start line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Version {
    /// Major digit; 0 with minor 0 is "not seen".
    pub major: u8,
    /// Minor digit.
    pub minor: u8,
}

/// What TLS showed in clear, of an exchange with [`Outcome::TlsAlert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TlsFacts {
    /// `AlertDescription` (RFC 8446, section 6); 0 where the server closed or reset upon the ClientHello without one.
    pub alert: u8,
    /// The highest version the client offered, as in `ProtocolVersion`; 0 is unknown.
    pub offered_version: u16,
    /// Whether the server sent the alert.
    pub by_server: bool,
}

/// Where fields that servers send in different orders stood in a response, counted from 1; 0 where absent. Of a repeated
/// field the first counts; no more than 255 fields are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FieldOrder {
    /// Fields in all.
    pub fields: u8,
    /// `Accept-Ranges`
    pub accept_ranges: u8,
    /// `Connection`
    pub connection: u8,
    /// `Content-Language`
    pub content_language: u8,
    /// `Content-Length`
    pub content_length: u8,
    /// `Content-Type`
    pub content_type: u8,
    /// `Date`
    pub date: u8,
    /// `Transfer-Encoding`
    pub transfer_encoding: u8,
    /// `X-Powered-By`
    pub x_powered_by: u8,
}

/// One HTTP exchange. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange {
    /// All text; fields are spans of it. Never longer than the configured limit.
    pub text: Vec<u8>,
    /// Client and server; `None` only before the first byte was attributed.
    pub endpoints: Option<(Endpoint, Endpoint)>,
    /// Tags and tunnels.
    pub encapsulation: Encapsulation,
    /// The protocol that carried it.
    pub protocol: Protocol,
    /// The stream within the connection that carried it: HTTP/2's stream identifier, 0 in the other protocols.
    pub stream: u64,
    /// Where in the connection it stands, the same for every sensor that saw it: the TCP sequence number of the status
    /// line's first byte; of a TLS alert, that of its last byte; of any other outcome without status, that of the
    /// request's last byte that was seen.
    pub position: u64,
    /// How it came out.
    pub outcome: Outcome,
    /// Final status, three digits (RFC 9110 knows 100 to 599); 0 is none.
    pub status: u16,
    /// Version of the response, or of the request where there is no response.
    pub version: Version,
    /// What is missing or odd.
    pub remarks: Remarks,
    /// Packet of the first byte of the request line.
    pub request_start: Option<Stamp>,
    /// Packet of the last byte of the request (its body included).
    pub request_end: Option<Stamp>,
    /// Packet of the first byte of the final status line.
    pub response_start: Option<Stamp>,
    /// Packet of the last byte of the response.
    pub response_end: Option<Stamp>,
    /// The packet that decided an outcome without status.
    pub decided: Option<Stamp>,
    /// Body bytes of the request on the wire (chunk framing excluded).
    pub request_body_bytes: u64,
    /// Body bytes of the response on the wire (chunk framing excluded).
    pub response_body_bytes: u64,
    /// Connection facts at this point: bytes never captured.
    pub gap_bytes: u64,
    /// Connection facts at this point: bytes of overlaps that disagreed.
    pub disagreeing_bytes: u64,
    /// Method as sent.
    pub method: Span,
    /// Target as sent.
    pub target: Span,
    /// `Host`, or the authority of an absolute target.
    pub host: Span,
    /// `User-Agent`.
    pub user_agent: Span,
    /// `Referer`.
    pub referrer: Span,
    /// `Content-Type` of the response.
    pub content_type: Span,
    /// `Location` of the response.
    pub location: Span,
    /// `Server` of the response.
    pub server: Span,
    /// `Via` of the response.
    pub via: Span,
    /// Reason phrase.
    pub reason: Span,
    /// In which order the response's header fields stood, for telling servers apart.
    pub field_order: FieldOrder,
    /// First bytes of an error response's body, for telling servers apart.
    pub body_start: Span,
    /// Headers that name a true client, one `name: value` a line as sent, kept only where a proxy is trusted.
    pub forwarded: Span,
    /// Source that a PROXY protocol header named.
    pub proxied_source: Option<Endpoint>,
    /// SNI of a TLS handshake.
    pub server_name: Span,
    /// Facts of a TLS alert.
    pub tls: Option<TlsFacts>,
}

impl Exchange {
    /// The bytes of a field.
    pub fn field(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Appends a field's bytes to the text and returns their span.
    pub fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { start, end: self.text.len() as u32 }
    }

    /// The span of all text so far.
    pub(crate) fn all_text(&self) -> Span {
        Span { start: 0, end: self.text.len() as u32 }
    }

    /// Empties the exchange for reuse, keeping its buffer.
    pub fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self { text, ..Self::default() };
    }

    /// Makes this a copy of another, in the buffer that is there.
    pub fn copy_from(&mut self, other: &Self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.extend_from_slice(&other.text);
        *self = Self { text, ..*other };
    }

    /// Whether this exchange, when it was decided, became `whole` by its response's end alone; then it is the same now.
    pub fn completes_as(&mut self, whole: &Self) -> bool {
        let decided = (self.response_end, self.response_body_bytes);
        (self.response_end, self.response_body_bytes) = (whole.response_end, whole.response_body_bytes);
        let is_same = *self == *whole;
        if !is_same {
            (self.response_end, self.response_body_bytes) = decided;
        }
        is_same
    }

    /// From the request's last byte, or its first where the last was not seen, to the response's first.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        let asked = self.request_end.or(self.request_start)?;
        Some(self.response_start?.time.since(asked.time))
    }

    /// The event time: the packet of the status line's first byte, else the packet that decided the outcome, else
    /// the request's first.
    pub fn event_time(&self) -> Timestamp {
        self.response_start.or(self.decided).or(self.request_start).unwrap_or_default().time
    }
}

/// What takes exchanges as HTTP parsing finds them.
pub trait ExchangeSink {
    /// The outcome is decided: a final response's header block is complete, or the exchange failed without one.
    /// Called once an exchange, except for [`Outcome::Unknown`]. May be taken ([`ExchangePool::take`]) by a sink to which
    /// `finished` says nothing.
    fn decided(&mut self, exchange: &mut Box<Exchange>, pool: &mut ExchangePool, now: Stamp);
    /// The exchange is over and will not change any more. Called once an exchange, after `decided`. What the sink does
    /// not keep goes back to the pool.
    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, now: Stamp);
    /// A gap may have held a response. TCP knows of bytes that were lost; that a snap length cut more than a body is known
    /// here only.
    fn response_gap(&mut self, _now: Stamp) {}
}
