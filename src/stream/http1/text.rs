//! The text that an exchange keeps of its messages.
//!
//! In: start lines, fields and the first bytes of bodies. Out: the exchange's text, with a limit for each part. Promises:
//! header fields with credentials are never stored (`Authorization`, `Cookie`, `Set-Cookie`, `Proxy-Authorization`).

use super::{
    conversation::{Answering, Conversation, ReadState},
    credentials,
    field_values::Length,
    fields,
    framing::Body,
    head::{Extent, Head},
    plain_head,
    start_line::{RequestLine, StatusLine},
};
use crate::{
    exchange::{Exchange, ExchangeSink, Features, Remarks, Span},
    stream::{StreamSettings, context::ParserContext},
};

impl Conversation {
    /// Stores the first bytes of an error response's body, if the body comes in a later chunk than the header block.
    #[inline]
    pub(super) fn store_body_start<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8]) {
        let Some(client) = self.client else { return };
        let side = &self.sides[client.opposite() as usize];
        if side.body != 0 {
            return;
        }
        let body = match side.state {
            ReadState::Body(left) => Body::Known(left),
            ReadState::Chunked(_) => Body::Chunked,
            ReadState::UntilClose => Body::UntilClose,
            _ => return,
        };
        let Some(in_flight) = &mut self.in_flight else { return };
        let exchange = match self.answering {
            Answering::None => return,
            Answering::Oldest => in_flight.queue.front_mut().map(|entry| &mut entry.exchange),
            Answering::Unpaired => in_flight.unpaired.as_mut(),
        };
        if let Some(exchange) = exchange {
            store_first_body(&around.shared.settings, exchange, body, bytes);
        }
    }
}

impl Conversation {
    /// Stores what is kept of a form whose body begins in a later chunk than its head.
    #[inline]
    pub(super) fn store_form_start(&mut self, bytes: &[u8]) {
        let waiting = self.in_flight.as_mut().and_then(|in_flight| in_flight.queue.back_mut());
        if let Some(entry) = waiting.filter(|entry| entry.exchange.features.has(Features::FORM)) {
            credentials::store_form(&mut entry.exchange, bytes);
        }
    }
}

/// Stores the contents of a request's head.
#[inline]
pub(super) fn fill_request(
    settings: &StreamSettings,
    exchange: &mut Exchange,
    line: &RequestLine<'_>,
    head: &Head<'_>,
) {
    let fields = head.fields;
    let limit = settings.max_field_bytes;
    exchange.version = line.version;
    (exchange.method, exchange.target) = store_line(settings, exchange, line, head.bytes);
    exchange.host = store(exchange, authority(line).unwrap_or(fields.host), limit);
    exchange.user_agent = store(exchange, fields.user_agent, limit);
    if settings.keep_detail {
        exchange.referrer = store(exchange, fields.referrer, limit);
    }
    exchange.features = fields.features;
    exchange.features.add_if(!fields.referrer.is_empty(), Features::REFERRER);
    let is_proxied = fields.names_client || exchange.proxied_source.is_some();
    exchange.features.add_if(is_proxied, Features::CLIENT_HEADER);
    if !fields.authorization.is_empty() {
        credentials::store_authorization(exchange, fields.authorization);
    }
    if carries_body(line.method) {
        credentials::note_kind(exchange, line.method, fields.content_type);
        credentials::store_form(exchange, head.after);
    }
    if fields.names_client {
        exchange.forwarded = store_forwarded(settings, exchange, head.bytes);
    }
    if head.extent == Extent::Cut {
        exchange.remarks.add(Remarks::REQUEST_TRUNCATED);
        if line.target.as_ptr_range().end == head.bytes.as_ptr_range().end {
            exchange.remarks.add(Remarks::FIELD_TRUNCATED);
        }
    } else if fields.odd
        || (settings.keep_detail
            && !head.is_plain
            && !head.bytes.is_empty()
            && !plain_head::is_strict_request(head.bytes))
    {
        exchange.remarks.add(Remarks::MALFORMED_HEADERS);
    }
}

/// Stores the contents of a response's head.
#[inline]
pub(super) fn fill_response(
    settings: &StreamSettings,
    exchange: &mut Exchange,
    line: &StatusLine<'_>,
    head: &Head<'_>,
) {
    let fields = head.fields;
    let limit = settings.max_field_bytes;
    exchange.version = line.version;
    exchange.status = line.status;
    exchange.server = store(exchange, fields.server, limit);
    exchange.via = store(exchange, fields.via, limit);
    exchange.content_type = store(exchange, fields.content_type, limit);
    exchange.location = store(exchange, fields.location, limit);
    exchange.announced_bytes = match fields.length {
        Length::Known(length) => Some(length),
        Length::Absent | Length::Unusable => None,
    };
    exchange.features.add_if(fields.features.has(Features::SESSION), Features::SESSION);
    if line.status >= 400 || settings.keep_detail {
        exchange.reason = store(exchange, line.reason, limit);
        exchange.field_order = fields.order;
    }
    let strict = || head.is_plain || plain_head::is_strict_response(head.bytes);
    if head.extent == Extent::Cut {
        exchange.remarks.add(Remarks::RESPONSE_TRUNCATED);
    } else if line.odd || fields.odd || (settings.keep_detail && !strict()) {
        exchange.remarks.add(Remarks::MALFORMED_HEADERS);
    }
}

/// Returns whether requests with this method carry a body that may be a form or a file.
#[inline]
fn carries_body(method: &[u8]) -> bool {
    matches!(method, b"POST" | b"PUT")
}

/// Stores a field, cut at its limit.
#[inline]
pub(super) fn store(exchange: &mut Exchange, bytes: &[u8], limit: usize) -> Span {
    if bytes.is_empty() {
        return Span::default();
    }
    if bytes.len() > limit {
        exchange.remarks.add(Remarks::FIELD_TRUNCATED);
    }
    exchange.store(&bytes[..bytes.len().min(limit)])
}

/// Stores a request's method and target. In nearly all requests one blank is between them, and both are copied at once.
#[inline]
fn store_line(settings: &StreamSettings, exchange: &mut Exchange, line: &RequestLine<'_>, head: &[u8]) -> (Span, Span) {
    let (method, target) = (line.method, line.target);
    if let Some(both) = head.get(..method.len() + 1 + target.len())
        && let Some(second) = both.get(method.len() + 1..)
        && std::ptr::eq(both.as_ptr(), method.as_ptr())
        && std::ptr::eq(second.as_ptr(), target.as_ptr())
        && method.len() <= settings.max_field_bytes
        && target.len() <= settings.max_target_bytes
    {
        return exchange.store(both).around_one(method.len() as u32);
    }
    let method = store(exchange, method, settings.max_field_bytes);
    (method, store(exchange, target, settings.max_target_bytes))
}

/// Stores the fields that name a client, one on each line. Fields that are too long together are cut at their start, because
/// the nearest proxy appends at the end.
fn store_forwarded(settings: &StreamSettings, exchange: &mut Exchange, head: &[u8]) -> Span {
    let before = exchange.text.len();
    let start = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    fields::each_line(&head[start..], |text, _| {
        if fields::names_client(text) {
            // A folded field stays one line.
            exchange.text.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
            exchange.text.push(b'\n');
        }
    });
    if exchange.text.len() - before > settings.max_field_bytes {
        exchange.remarks.add(Remarks::FIELD_TRUNCATED);
        let kept = shortened_forwarded(&exchange.text[before..], settings.max_field_bytes / 16);
        exchange.text.truncate(before);
        return exchange.store(&kept);
    }
    exchange.text_since(before)
}

/// Joins the lines of each name, and keeps the last `limit` bytes of each value. A client can therefore not push out what its
/// proxy wrote, neither with many lines nor with other names.
#[cold]
fn shortened_forwarded(lines: &[u8], limit: usize) -> Vec<u8> {
    let mut joined: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = line[..colon].to_ascii_lowercase();
        // A name with blanks behind it stays a name of its own.
        let bare = name.trim_ascii_end();
        let name = if bare.len() == name.len() { name } else { [bare, b" "].concat() };
        let place = joined.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            joined.push((name, Vec::new()));
            joined.len() - 1
        });
        let value = &mut joined[place].1;
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(line[colon + 1..].trim_ascii());
    }
    let mut kept = Vec::new();
    for (name, value) in joined {
        kept.extend_from_slice(&name);
        // The element that is cut cannot be read as an address behind the question mark.
        kept.extend_from_slice(if value.len() > limit { b":?" } else { b":" });
        kept.extend_from_slice(&value[value.len().saturating_sub(limit)..]);
        kept.push(b'\n');
    }
    kept
}

/// Stores the first bytes of an error response's body, as far as they are present.
pub(super) fn store_first_body(settings: &StreamSettings, exchange: &mut Exchange, body: Body, bytes: &[u8]) {
    if exchange.status < 400 || !exchange.body_start.is_empty() {
        return;
    }
    let bytes = match body {
        Body::None => return,
        Body::Chunked => memchr::memchr(b'\n', bytes).map_or(&[][..], |end| &bytes[end + 1..]),
        Body::Known(length) => &bytes[..bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX))],
        Body::UntilClose | Body::Unframed => bytes,
    };
    exchange.body_start = exchange.store(&bytes[..bytes.len().min(settings.max_body_start_bytes)]);
}

/// Returns the authority of an absolute target, which has precedence over `Host` (RFC 9112, section 3.2.2), or the target of
/// CONNECT.
fn authority<'a>(line: &RequestLine<'a>) -> Option<&'a [u8]> {
    if line.method == b"CONNECT" {
        return Some(line.target);
    }
    // Nearly every target is only a path, which its first byte shows.
    if line.target.first() == Some(&b'/') {
        return None;
    }
    let colon = line.target.iter().take(16).position(|byte| *byte == b':')?;
    let rest = line.target[colon..].strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    // Credentials before the host do not belong to the host's name.
    rest[..end].rsplit(|byte| *byte == b'@').next()
}
