//! Messages: from decoded fields to an exchange.
//!
//! In: header blocks. Out: [`Head`], and the contents of exchanges, filled as HTTP/1 fills them. Promises: a field that the
//! decoder does not know stays unknown, and the exchange is marked. The number and the bytes of fields that are kept are
//! limited; the rest of a block is decoded for its table alone.

use super::{
    hpack::{Decoder, Field, HpackError},
    tunnel::Connect,
};
use crate::{
    address::Endpoint,
    exchange::{Exchange, Remarks, Version},
    stream::{StreamSettings, context::Shared, http1},
};

/// Most fields of a message that are kept. Browsers send up to 30.
const MOST_FIELDS: usize = 256;

/// Most bytes of the fields of a message that are kept. Servers accept 8 to 64 KiB.
const MOST_DECODED_BYTES: usize = 64 << 10;

/// The largest buffer that is kept between messages, in bytes.
const KEPT_BYTES: usize = 16 << 10;

pub(super) const VERSION: Version = Version { major: 2, minor: 0 };

/// The fields of one message.
#[derive(Debug, Default)]
pub(in crate::stream) struct Head {
    method: Vec<u8>,
    path: Vec<u8>,
    authority: Vec<u8>,
    /// Whether `:protocol` is present (RFC 8441).
    is_extended: bool,
    status: Option<u16>,
    grpc_status: GrpcStatus,
    /// The other fields as HTTP/1 writes them, behind an empty start line.
    lines: Vec<u8>,
    fields: usize,
    /// Bytes of the fields so far, kept or not.
    decoded: usize,
    /// Whether a field is unknown or was not kept.
    is_cut: bool,
    /// Whether the first field is unknown, which may be `:status` or `:method`.
    begins_unknown: bool,
    is_over_limit: bool,
}

/// What a block says of the status of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum GrpcStatus {
    #[default]
    Absent,
    Known(u16),
    /// No number, or several that differ.
    Unreadable,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    /// A response with this status.
    Response(u16),
    /// Fields without a start: trailers.
    Trailers,
    /// The field that would tell is unknown.
    Unknown,
}

impl Head {
    /// Decodes a block. After an error, nothing of the block counts.
    pub(super) fn read(
        &mut self,
        decoder: &mut Decoder,
        block: &[u8],
        settings: &StreamSettings,
    ) -> Result<(), HpackError> {
        self.clear();
        self.lines.push(b'\n');
        let limit = settings.max_head_bytes.min(MOST_DECODED_BYTES);
        decoder.decode(block, |field| self.take(field, limit))?;
        self.lines.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Returns whether a block, of which nothing before is known, begins a request or a response.
    pub(super) fn is_message(&mut self, block: &[u8]) -> bool {
        let settings = StreamSettings { max_head_bytes: 0, ..StreamSettings::default() };
        let is_read = self.read(&mut Decoder::default(), block, &settings).is_ok();
        is_read && (self.status.is_some() || (is_method(&self.method) && !self.path.is_empty()))
    }

    /// What the block is.
    pub(super) fn kind(&self) -> Kind {
        match self.status {
            Some(status) => Kind::Response(status),
            None if self.begins_unknown => Kind::Unknown,
            None if self.method.is_empty() && self.path.is_empty() => Kind::Trailers,
            None => Kind::Request,
        }
    }

    /// Returns whether fields were not kept.
    pub(super) fn is_over_limit(&self) -> bool {
        self.is_over_limit
    }

    fn clear(&mut self) {
        let kept = |buffer: &mut Vec<u8>| {
            let mut buffer = std::mem::take(buffer);
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
            buffer
        };
        let Self { method, path, authority, lines, .. } = self;
        *self = Self {
            method: kept(method),
            path: kept(path),
            authority: kept(authority),
            lines: kept(lines),
            ..Self::default()
        };
    }

    fn take(&mut self, field: Field<'_>, limit: usize) {
        self.fields += 1;
        let length = field.name.map_or(0, <[u8]>::len) + field.value.map_or(0, <[u8]>::len);
        self.decoded = self.decoded.saturating_add(length);
        let (Some(name), value) = (field.name, field.value) else {
            self.begins_unknown |= self.fields == 1;
            self.is_cut = true;
            return;
        };
        let Some(value) = value else {
            self.begins_unknown |= self.fields == 1;
            self.is_cut = true;
            return;
        };
        if let [b':', pseudo @ ..] = name {
            self.take_pseudo(pseudo, value);
        } else if self.fields > MOST_FIELDS || self.decoded > limit {
            // Fields of one byte each can stand for long ones, so what is done for a block is limited by their length.
            self.is_over_limit |= limit > 0;
            self.is_cut = true;
        } else if name == b"grpc-status" {
            self.grpc_status = self.grpc_status.and(grpc_status(value));
        } else if is_name(name) {
            self.take_line(name, value);
        }
    }

    fn take_pseudo(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"method" if self.method.is_empty() => self.method.extend_from_slice(value),
            b"path" if self.path.is_empty() => self.path.extend_from_slice(value),
            b"authority" if self.authority.is_empty() => self.authority.extend_from_slice(value),
            b"protocol" => self.is_extended = true,
            // A status stands before all other fields (RFC 9113, section 8.3).
            b"status" if self.status.is_none() && self.lines.len() <= 1 => self.status = status(value),
            _ => {}
        }
    }

    /// The status of gRPC, if the block has one that can be read.
    pub(super) fn grpc_status(&self) -> Option<u16> {
        match self.grpc_status {
            GrpcStatus::Known(status) => Some(status),
            GrpcStatus::Absent | GrpcStatus::Unreadable => None,
        }
    }

    /// What the request asks for instead of a response alone.
    pub(super) fn connect(&self) -> Connect {
        match self.method == b"CONNECT" {
            true if self.is_extended => Connect::Protocol,
            true => Connect::Host,
            false => Connect::None,
        }
    }

    /// Writes a field as a line. Bytes that would end the line are none that a field may have (RFC 9113, section 8.2.1).
    fn take_line(&mut self, name: &[u8], value: &[u8]) {
        self.lines.extend_from_slice(name);
        self.lines.extend_from_slice(b": ");
        match memchr::memchr3(b'\r', b'\n', 0, value) {
            None => self.lines.extend_from_slice(value),
            Some(_) => {
                let ends_line = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
                self.lines.extend(value.iter().map(|byte| if ends_line(byte) { b' ' } else { *byte }));
            }
        }
        self.lines.extend_from_slice(b"\r\n");
    }

    /// Stores the contents of a request. `after` is what is present of its body.
    pub(super) fn fill_request<K>(
        &self,
        shared: &mut Shared<K>,
        sender: Endpoint,
        exchange: &mut Exchange,
        after: &[u8],
    ) {
        let is_connect = self.method == b"CONNECT";
        let target = if is_connect && !self.is_extended { &self.authority } else { &self.path };
        let authority = Some(&self.authority[..]).filter(|authority| !authority.is_empty());
        http1::fill_request_of_fields(
            &shared.settings,
            &mut shared.repeated_fields,
            sender,
            exchange,
            &http1::RequestOfFields {
                version: VERSION,
                method: &self.method,
                target,
                authority,
                lines: &self.lines,
                after,
            },
        );
        if self.is_cut || self.method.is_empty() || target.is_empty() {
            exchange.remarks.add(Remarks::REQUEST_TRUNCATED);
        }
    }

    /// Stores the contents of a response.
    pub(super) fn fill_response<K>(
        &self,
        shared: &mut Shared<K>,
        sender: Endpoint,
        exchange: &mut Exchange,
        status: u16,
    ) {
        let response = http1::ResponseOfFields { version: VERSION, status, lines: &self.lines };
        http1::fill_response_of_fields(&shared.settings, &mut shared.repeated_fields, sender, exchange, &response);
        if self.is_cut {
            exchange.remarks.add(Remarks::RESPONSE_TRUNCATED);
        }
    }
}

/// Reads a status of three digits, the first of which is not 0.
fn status(value: &[u8]) -> Option<u16> {
    let [first @ b'1'..=b'9', second @ b'0'..=b'9', third @ b'0'..=b'9'] = value else { return None };
    let digit = |digit: &u8| u16::from(digit - b'0');
    Some(100 * digit(first) + 10 * digit(second) + digit(third))
}

/// Returns whether bytes may be the name of a field in a line: visible characters without a colon. All of them are looked at, which
/// costs less than to stop at the first wrong one.
fn is_name(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |is_name, byte| is_name & byte.is_ascii_graphic() & (*byte != b':'))
}

/// Reads a status of gRPC: a number. It has 17 values, but servers may send others.
fn grpc_status(value: &[u8]) -> GrpcStatus {
    let is_number = matches!(value.len(), 1..=3) && value.iter().all(u8::is_ascii_digit);
    match is_number {
        true => GrpcStatus::Known(value.iter().fold(0, |number, digit| 10 * number + u16::from(digit - b'0'))),
        false => GrpcStatus::Unreadable,
    }
}

impl GrpcStatus {
    /// What two fields say together.
    fn and(self, other: Self) -> Self {
        if self == Self::Absent || self == other { other } else { Self::Unreadable }
    }
}

/// Returns whether bytes may be a method: a token (RFC 9110, section 9.1).
fn is_method(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= 32 && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}
