//! The exchange: the result of HTTP parsing.
//!
//! An [`Exchange`] holds the contents of a request and its response, as far as each was seen. One buffer holds all text, as
//! it was sent. A field that is absent is an empty [`Span`]. The bytes are those of the wire, so code that prints them must
//! escape them.

use std::{sync::Arc, time::Duration};

mod answer;
mod grade;
mod media;
mod method;
mod observation;
mod pool;
mod stream_end;
mod target;
mod tls;
mod turn;

pub use answer::{Answer, GrpcStatus};
pub use grade::Grade;
pub use media::MediaKind;
pub use method::{Method, MethodName};
pub use observation::{Observation, ObservationFlags};
pub use pool::ExchangePool;
pub(crate) use pool::KEPT_BUFFER_BYTES;
pub use stream_end::{EndingFrame, StreamEnd};
pub(crate) use target::{escaped, path_and_query, percent_decoded};
pub use tls::{FailedHandshake, TlsConnection, TlsFailure};
pub use turn::{Turn, TurnFlags};

use crate::{address::Endpoint, capture::Stamp, decode::Encapsulation, time::Timestamp};

/// Bytes of an exchange's buffer at first: the text of most requests. Without it, the buffer would grow two or three times.
const FIRST_TEXT_BYTES: usize = 128;

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

    /// Returns the span's first `length` bytes, and those after one more byte.
    pub(crate) const fn around_one(self, length: u32) -> (Self, Self) {
        let middle = self.start + length;
        (Self { start: self.start, end: middle }, Self { start: middle + 1, end: self.end })
    }
}

/// The protocol that carried an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    /// HTTP/1.x, and messages that resemble it.
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

/// The result of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Outcome {
    /// Not decided yet.
    #[default]
    Pending,
    /// A final response was seen; `status` is set.
    Answered,
    /// The request was complete, and the server reset the connection.
    NoResponseReset,
    /// The request was complete, and the server closed the connection.
    NoResponseClosed,
    /// The request was complete, and the server sent nothing until the time-out.
    NoResponseTimeout,
    /// No server could parse the request, and the server sent no answer.
    MalformedRequest,
    /// A fatal alert during a TLS handshake, seen in clear.
    TlsAlert,
    /// The request was seen, but its result was not: the capture ended, or the response is in a gap.
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
    /// The request's header block is incomplete because of a gap, a limit or the end of the stream.
    REQUEST_TRUNCATED = 1 => "request_truncated",
    /// The response's header block is incomplete because of a gap, a limit or the end of the stream.
    RESPONSE_TRUNCATED = 2 => "response_truncated",
    /// Bytes of a body were never captured.
    BODY_GAP = 3 => "body_gap",
    /// The body ended before its declared length.
    BODY_INCOMPLETE = 4 => "body_incomplete",
    /// Header lines that no server should have sent were tolerated.
    MALFORMED_HEADERS = 5 => "malformed_headers",
    /// Content-Length fields conflict with each other, or stand beside Transfer-Encoding.
    CONFLICTING_LENGTH = 6 => "conflicting_length",
    /// Chunked framing broke.
    BAD_CHUNK = 7 => "bad_chunk",
    /// Overlapping segments disagreed about the connection's bytes.
    DISAGREEING_OVERLAP = 8 => "disagreeing_overlap",
    /// The capture joined the connection midway.
    MIDSTREAM = 9 => "midstream",
    /// A stored field was cut at its limit, or the target by the capture's snap length.
    FIELD_TRUNCATED = 10 => "field_truncated",
    /// The connection was reset before the response ended.
    RESET = 11 => "reset",
    /// The server answered before the request was complete.
    EARLY_ANSWER = 12 => "early_answer",
    /// The server pushed the response: it announced the request itself, and no client sent it.
    PUSHED = 13 => "pushed",
    /// The server refused the request without processing it.
    REFUSED = 14 => "refused",
    /// The client gave the request up before it had a response.
    CANCELLED = 15 => "cancelled",
}

/// What a request and its response carried, beyond the texts that are kept: a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Features(pub u16);

impl Features {
    /// The request has `Referer`.
    pub const REFERRER: Self = Self(1);
    /// The request has `Cookie`.
    pub const COOKIE: Self = Self(1 << 1);
    /// The request has a field that names a client behind a proxy, or came behind a PROXY protocol header.
    pub const CLIENT_HEADER: Self = Self(1 << 2);
    /// The request has `Authorization`, or a form with a password.
    pub const CREDENTIALS: Self = Self(1 << 3);
    /// The request has `Accept-Language`, as browsers send it.
    pub const ACCEPT_LANGUAGE: Self = Self(1 << 4);
    /// The request carries a file: it is a PUT, or a form with parts.
    pub const UPLOAD: Self = Self(1 << 5);
    /// The response sets a cookie whose name is that of a session.
    pub const SESSION: Self = Self(1 << 6);
    /// The request's body is a form without parts.
    pub const FORM: Self = Self(1 << 7);
}

/// What all sets of bits can do.
macro_rules! bit_sets {
    ($($set:ident),*) => {
        $(impl $set {
            /// Returns whether all bits of `other` are set.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Sets the bits of `other`.
            pub const fn add(&mut self, other: Self) {
                self.0 |= other.0;
            }

            /// Sets the bits of `other` if `is_set` is true.
            pub const fn add_if(&mut self, is_set: bool, other: Self) {
                if is_set {
                    self.add(other);
                }
            }

            /// Clears the bits of `other`.
            pub const fn remove(&mut self, other: Self) {
                self.0 &= !other.0;
            }
        })*
    };
}

bit_sets!(Features, ObservationFlags, Remarks, TurnFlags);

/// The protocol version of a start line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Version {
    /// Major digit. 0 together with a minor digit of 0 means "not seen".
    pub major: u8,
    /// Minor digit.
    pub minor: u8,
}

/// The positions of those response fields that servers send in different orders. The first field of the response has
/// position 1; an absent field has 0. For a repeated field, the first position counts. Positions above 255 become 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FieldOrder {
    /// Number of all fields.
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
    /// All text of the exchange; each field is a span of it. Never longer than the configured limit.
    pub text: Vec<u8>,
    /// Client and server, in this order; `None` only before the first byte of the exchange.
    pub endpoints: Option<(Endpoint, Endpoint)>,
    /// VLAN tags and tunnels.
    pub encapsulation: Encapsulation,
    /// The protocol that carried it.
    pub protocol: Protocol,
    /// The stream within the connection that carried it: HTTP/2's stream identifier, 0 in the other protocols.
    pub stream: u64,
    /// The position of the exchange in the connection, as a TCP sequence number. Every sensor that saw the exchange gets the
    /// same position. It is the sequence number of the status line's first byte. For a TLS alert it is that of the alert's
    /// last byte. For any other outcome without a status it is that of the last byte of the request that was seen.
    pub position: u64,
    /// The result.
    pub outcome: Outcome,
    /// Final status, three digits (RFC 9110 defines 100 to 599); 0 if there is none.
    pub status: u16,
    /// Version of the response, or of the request if there is no response.
    pub version: Version,
    /// What is missing or odd.
    pub remarks: Remarks,
    /// What the messages carried.
    pub features: Features,
    /// Hash of the credentials of the request, with a key that nobody knows; 0 if there are none.
    pub credentials: u32,
    /// Body bytes that the response's head announces.
    pub announced_bytes: Option<u64>,
    /// How well the exchange is supported, as of its decision.
    pub grade: Grade,
    /// Packet of the first byte of the request line.
    pub request_start: Option<Stamp>,
    /// Packet of the last byte of the request (its body included).
    pub request_end: Option<Stamp>,
    /// Packet of the first byte of the final status line.
    pub response_start: Option<Stamp>,
    /// Packet of the last byte of the response.
    pub response_end: Option<Stamp>,
    /// The packet that decided an outcome that has no status.
    pub decided: Option<Stamp>,
    /// Body bytes of the request on the wire (chunk framing excluded).
    pub request_body_bytes: u64,
    /// Body bytes of the response on the wire (chunk framing excluded).
    pub response_body_bytes: u64,
    /// Bytes of the connection in gaps, up to this exchange.
    pub gap_bytes: u64,
    /// Bytes of the connection that overlapping segments disagreed about, up to this exchange.
    pub disagreeing_bytes: u64,
    /// Method as sent.
    pub method: Span,
    /// Target as sent.
    pub target: Span,
    /// `Host`, or the authority of an absolute target.
    pub host: Span,
    /// `User-Agent`.
    pub user_agent: Span,
    /// The user that the request's credentials name.
    pub user: Span,
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
    /// The order of the response's header fields, which helps to tell servers apart.
    pub field_order: FieldOrder,
    /// First bytes of an error response's body, which help to tell servers apart.
    pub body_start: Span,
    /// Header fields that name the client behind a proxy: one `name: value` on each line, as sent.
    pub forwarded: Span,
    /// The source address that a PROXY protocol header named.
    pub proxied_source: Option<Endpoint>,
    /// The TLS connection that carried the exchange, or whose handshake failed.
    pub tls: Option<Arc<TlsConnection>>,
    /// How a TLS handshake failed.
    pub tls_failure: Option<TlsFailure>,
    /// The status of gRPC, as `grpc-status` gives it. `None` if the response is of another kind, or the status is not known.
    pub grpc_status: Option<u16>,
    /// What ended its stream of HTTP/2 before both messages were complete, if a frame did.
    pub stream_end: Option<StreamEnd>,
}

impl Exchange {
    /// What the response says of the request, or how the handshake failed.
    #[inline]
    pub fn answer(&self) -> Answer {
        match self.tls_failure {
            None => Answer::new(self.status, self.grpc_status.map_or(GrpcStatus::Ok, GrpcStatus::of)),
            Some(TlsFailure { alert, by_server, .. }) => Answer::from(FailedHandshake { alert, by_server }),
        }
    }

    /// The bytes of a field.
    pub fn field(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Appends a field's bytes to the text and returns their span.
    pub fn store(&mut self, bytes: &[u8]) -> Span {
        if self.text.capacity() == 0 {
            self.text.reserve(FIRST_TEXT_BYTES);
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { start, end: self.text.len() as u32 }
    }

    /// The span of the text from this position on.
    pub(crate) fn text_since(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.text.len() as u32 }
    }

    /// The span of all text so far.
    pub(crate) fn all_text(&self) -> Span {
        Span { start: 0, end: self.text.len() as u32 }
    }

    /// Empties the exchange for reuse and keeps its buffer.
    pub fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Before all else, so that the assignment has nothing to drop.
        self.tls = None;
        *self = Self { text, ..Self::default() };
    }

    /// Copies another exchange into this one. The buffer of this exchange is reused.
    pub fn copy_from(&mut self, other: &Self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.extend_from_slice(&other.text);
        *self = Self { text, tls: other.tls.clone(), ..*other };
    }

    /// Returns whether this exchange equals `whole`, apart from the response's end and body length. If so, takes over these
    /// two values, so that both are equal; if not, this exchange stays as it was.
    pub fn completes_as(&mut self, whole: &Self) -> bool {
        let decided = (self.response_end, self.response_body_bytes);
        (self.response_end, self.response_body_bytes) = (whole.response_end, whole.response_body_bytes);
        let is_same = *self == *whole;
        if !is_same {
            (self.response_end, self.response_body_bytes) = decided;
        }
        is_same
    }

    /// Returns the time from the request's last byte to the response's first byte. If the request's last byte was not seen,
    /// the request's first byte counts.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        let asked = self.request_end.or(self.request_start)?;
        Some(self.response_start?.time.since(asked.time))
    }

    /// Returns the event time: the time of the packet with the status line's first byte. Without a status line, it is the
    /// time of the packet that decided the outcome, or else of the request's first packet.
    pub fn event_time(&self) -> Timestamp {
        self.response_start.or(self.decided).or(self.request_start).unwrap_or_default().time
    }
}

/// Receives exchanges from HTTP parsing.
pub trait ExchangeSink {
    /// Called when the outcome is decided: a final response's header block is complete, or the exchange failed without a
    /// response. Called once for each exchange, except for exchanges with [`Outcome::Unknown`]. A sink that does not need
    /// `finished` may take the exchange out of its place here ([`ExchangePool::take`]).
    fn decided(&mut self, exchange: &mut Box<Exchange>, pool: &mut ExchangePool, now: Stamp);
    /// Called when the exchange is over and will not change any more: once for each exchange, after `decided`. An exchange
    /// that the sink does not keep goes back to the pool.
    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, now: Stamp);
    /// Called when a gap may have contained a response. Reassembly counts the gap itself, but only the HTTP parser knows
    /// whether a snap length cut off more than body bytes.
    fn response_gap(&mut self, _now: Stamp) {}
    /// Called with each turn of a connection whose content cannot be read, if turns are wanted
    /// ([`StreamSettings::follow_turns`](crate::stream::StreamSettings::follow_turns)).
    fn turn(&mut self, _turn: &Turn, _now: Stamp) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each request in flight has an exchange. In a flood of requests, a larger exchange costs much memory.
    #[test]
    fn an_exchange_is_small() {
        assert!(size_of::<Exchange>() <= 472, "{}", size_of::<Exchange>());
    }
}
