//! What an exchange keeps of its messages.
//!
//! In: start lines, fields and the first bytes of bodies. Out: the exchange's text, each part under its limit. Promises:
//! no header that carries credentials is ever stored (`Authorization`, `Cookie`, `Set-Cookie`, `Proxy-Authorization`).

use super::{
    conversation::{Conversation, Reading, Target},
    engine::HttpEngine,
    fields,
    framing::Body,
    line::{RequestLine, StatusLine},
    message::{Extent, Head},
};
use crate::exchange::{Exchange, ExchangeSink, Remarks, Span};

impl<K: ExchangeSink> HttpEngine<K> {
    pub(super) fn fill_request(&self, exchange: &mut Exchange, line: &RequestLine<'_>, head: &Head<'_>) {
        let fields = head.fields;
        let limit = self.settings.max_field_bytes;
        exchange.version = line.version;
        exchange.method = self.store(exchange, line.method, limit);
        exchange.target = self.store(exchange, line.target, self.settings.max_target_bytes);
        exchange.host = self.store(exchange, authority(line).unwrap_or(fields.host), limit);
        exchange.user_agent = self.store(exchange, fields.user_agent, limit);
        if self.settings.keep_detail {
            exchange.referrer = self.store(exchange, fields.referrer, limit);
        }
        if self.settings.keep_forwarded && fields.names_client {
            exchange.forwarded = self.store_forwarded(exchange, head.bytes);
        }
        if head.extent == Extent::Cut {
            exchange.remarks.add(Remarks::REQUEST_TRUNCATED);
        }
        if fields.odd || (self.settings.keep_detail && !head.bytes.is_empty() && !fields::is_strict_request(head.bytes))
        {
            exchange.remarks.add(Remarks::MALFORMED_HEADERS);
        }
    }

    pub(super) fn fill_response(&self, exchange: &mut Exchange, line: &StatusLine<'_>, head: &Head<'_>) {
        let fields = head.fields;
        let limit = self.settings.max_field_bytes;
        exchange.version = line.version;
        exchange.status = line.status;
        exchange.server = self.store(exchange, fields.server, limit);
        exchange.via = self.store(exchange, fields.via, limit);
        let is_error = line.status >= 400;
        if is_error || self.settings.keep_detail {
            exchange.reason = self.store(exchange, line.reason, limit);
            exchange.content_type = self.store(exchange, fields.content_type, limit);
            exchange.location = self.store(exchange, fields.location, limit);
            exchange.field_order = fields.order;
        }
        let strict = || fields::is_strict_response(head.bytes);
        if head.extent == Extent::Cut {
            exchange.remarks.add(Remarks::RESPONSE_TRUNCATED);
        } else if line.odd || fields.odd || (self.settings.keep_detail && !strict()) {
            exchange.remarks.add(Remarks::MALFORMED_HEADERS);
        }
    }

    pub(super) fn store(&self, exchange: &mut Exchange, bytes: &[u8], limit: usize) -> Span {
        if bytes.len() > limit {
            exchange.remarks.add(Remarks::FIELD_TRUNCATED);
        }
        exchange.store(&bytes[..bytes.len().min(limit)])
    }

    /// Stores the fields that name a client, one a line.
    fn store_forwarded(&self, exchange: &mut Exchange, head: &[u8]) -> Span {
        let mut lines = Vec::new();
        let mut is_full = false;
        let start = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
        fields::each_line(&head[start..], |text, _| {
            if is_full || !fields::names_client(text) {
                return;
            }
            if lines.len() + text.len() > self.settings.max_field_bytes {
                is_full = true;
                return;
            }
            // A folded field stays one line.
            lines.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
            lines.push(b'\n');
        });
        if is_full {
            exchange.remarks.add(Remarks::FIELD_TRUNCATED);
        }
        exchange.store(&lines)
    }

    /// Stores the first bytes of an error response's body, of what is there of it.
    pub(super) fn store_first_body(&self, exchange: &mut Exchange, body: Body, bytes: &[u8]) {
        if exchange.status < 400 || !exchange.body_start.is_empty() {
            return;
        }
        let bytes = match body {
            Body::None => return,
            Body::Chunked => memchr::memchr(b'\n', bytes).map_or(&[][..], |end| &bytes[end + 1..]),
            Body::Known(length) => &bytes[..bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX))],
            Body::UntilClose | Body::Unframed => bytes,
        };
        exchange.body_start = exchange.store(&bytes[..bytes.len().min(self.settings.max_body_start_bytes)]);
    }

    /// The same for a body that comes in a later chunk than its header block.
    #[inline]
    pub(super) fn store_body_start(&mut self, conversation: &mut Conversation, bytes: &[u8]) {
        let Some(client) = conversation.client else { return };
        let side = &conversation.sides[client.opposite() as usize];
        if side.body != 0 {
            return;
        }
        let body = match side.reading {
            Reading::Body(left) => Body::Known(left),
            Reading::Chunked(_) => Body::Chunked,
            Reading::UntilClose => Body::UntilClose,
            _ => return,
        };
        let Some(work) = &mut conversation.work else { return };
        let exchange = match conversation.target {
            Target::None => return,
            Target::Front => work.queue.front_mut().map(|entry| &mut entry.exchange),
            Target::Unpaired => work.unpaired.as_mut(),
        };
        if let Some(exchange) = exchange {
            self.store_first_body(exchange, body, bytes);
        }
    }
}

/// The authority of an absolute target, which counts before `Host` (RFC 9112, section 3.2.2), or the target of CONNECT.
fn authority<'a>(line: &RequestLine<'a>) -> Option<&'a [u8]> {
    if line.method == b"CONNECT" {
        return Some(line.target);
    }
    // As nearly every target is, one that is no more than a path is known by its first byte.
    if line.target.first() == Some(&b'/') {
        return None;
    }
    let colon = line.target.iter().take(16).position(|byte| *byte == b':')?;
    let rest = line.target[colon..].strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    // Credentials before the host are no part of its name.
    rest[..end].rsplit(|byte| *byte == b'@').next()
}
