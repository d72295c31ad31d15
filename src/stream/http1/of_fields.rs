//! The contents of messages whose fields another protocol carried.
//!
//! In: what HTTP/2 has in place of a start line, and its fields written as lines. Out: the exchange's contents. Promises: they
//! are filled by the functions that fill those of HTTP/1, under the same limits.

use super::{
    credentials,
    fields::Fields,
    framing::Body,
    head::{Extent, Head},
    repeated_fields::RepeatedFields,
    start_line::{RequestLine, StatusLine},
    text,
};
use crate::{
    address::Endpoint,
    exchange::{Exchange, Version},
    stream::StreamSettings,
};

/// A request whose fields another protocol carried.
#[derive(Debug)]
pub(in crate::stream) struct RequestOfFields<'a> {
    pub(in crate::stream) version: Version,
    pub(in crate::stream) method: &'a [u8],
    pub(in crate::stream) target: &'a [u8],
    /// The authority, which has precedence over `Host`.
    pub(in crate::stream) authority: Option<&'a [u8]>,
    /// An empty start line, the fields, and an empty line.
    pub(in crate::stream) lines: &'a [u8],
    /// What is present of the body.
    pub(in crate::stream) after: &'a [u8],
}

/// A response whose fields another protocol carried.
#[derive(Debug)]
pub(in crate::stream) struct ResponseOfFields<'a> {
    pub(in crate::stream) version: Version,
    pub(in crate::stream) status: u16,
    /// An empty start line, the fields, and an empty line.
    pub(in crate::stream) lines: &'a [u8],
}

/// Stores the contents of a request. `known` has the blocks that were read before.
pub(in crate::stream) fn fill_request(
    settings: &StreamSettings,
    known: &mut RepeatedFields,
    sender: Endpoint,
    exchange: &mut Exchange,
    request: &RequestOfFields<'_>,
) {
    let mut fields = Fields::default();
    known.read(sender, 0, request.lines.get(1..).unwrap_or_default(), &mut fields);
    if let Some(authority) = request.authority {
        fields.host = authority;
    }
    let line = RequestLine { method: request.method, target: request.target, version: request.version };
    text::fill_request(settings, exchange, &line, &head(request.lines, &fields, request.after));
    if let Some(authority) = request.authority
        && request.method == b"CONNECT"
    {
        // The target of an extended CONNECT (RFC 8441) is a path.
        exchange.host = text::store(exchange, authority, settings.max_field_bytes);
    }
}

/// Stores the contents of a response.
pub(in crate::stream) fn fill_response(
    settings: &StreamSettings,
    known: &mut RepeatedFields,
    sender: Endpoint,
    exchange: &mut Exchange,
    response: &ResponseOfFields<'_>,
) {
    let ResponseOfFields { version, status, lines } = *response;
    let mut fields = Fields::default();
    known.read(sender, status, lines.get(1..).unwrap_or_default(), &mut fields);
    let line = StatusLine { version, status, reason: &[], odd: false };
    text::fill_response(settings, exchange, &line, &head(lines, &fields, &[]));
}

/// Stores the first bytes of an error response's body.
pub(in crate::stream) fn store_body_start(settings: &StreamSettings, exchange: &mut Exchange, bytes: &[u8]) {
    if !bytes.is_empty() {
        text::store_first_body(settings, exchange, Body::UntilClose, bytes);
    }
}

/// Stores what is kept of a form whose body begins with these bytes.
pub(in crate::stream) fn store_form(exchange: &mut Exchange, bytes: &[u8]) {
    credentials::store_form(exchange, bytes);
}

/// The lines are as this program writes them, so they are not checked against RFC 9112.
fn head<'a>(lines: &'a [u8], fields: &'a Fields<'a>, after: &'a [u8]) -> Head<'a> {
    Head { bytes: lines, fields, after, extent: Extent::Whole, is_plain: true }
}
