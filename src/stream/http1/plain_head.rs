//! Reads heads that conform to RFC 9112, with httparse.
//!
//! In: bytes at the start of a message. Out: its start line, its fields and its length, if the whole head is present and RFC
//! 9112 allows every byte of it. Promises: `start_line` and `fields` would read such a head in the same way (a property test
//! compares both). They also read every other head.
//!
//! This module is used only for the output of events and exchanges, which need to know whether a head conforms. Alerts do
//! not need this, and httparse is slower: on the capture of `tests/benches/instructions` it takes 44 million instructions
//! for heads that `start_line` and `fields` read with 28 million, before any field is recognised by its name.

use std::mem::MaybeUninit;

use super::{
    fields::Fields,
    start_line::{MAX_METHOD_BYTES, RequestLine, StartLine, StatusLine},
};
use crate::exchange::Version;

/// Most fields of a plain head. `start_line` and `fields` read a head with more fields.
const MAX_FIELDS: usize = 64;

type Headers<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS];

/// Reads a plain head. Its fields are added to `fields`, which must be empty before. If the result is `None`, the caller
/// must drop `fields`.
pub(super) fn read<'a>(bytes: &'a [u8], fields: &mut Fields<'a>) -> Option<(StartLine<'a>, usize)> {
    let mut headers: Headers<'a> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    if bytes.starts_with(b"HTTP/") {
        response(bytes, fields, &mut headers)
    } else {
        request(bytes, fields, &mut headers)
    }
}

fn request<'a>(bytes: &'a [u8], fields: &mut Fields<'a>, headers: &mut Headers<'a>) -> Option<(StartLine<'a>, usize)> {
    let mut request = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(length)) = request.parse_with_uninit_headers(bytes, headers) else {
        return None;
    };
    let (method, target) = (request.method?.as_bytes(), request.path?.as_bytes());
    // `ICY 200` is a status line of old streaming servers.
    if method.len() > MAX_METHOD_BYTES || method.eq_ignore_ascii_case(b"ICY") {
        return None;
    }
    let version = Version { major: 1, minor: request.version? };
    let line_end = method.len() + target.len() + b"  HTTP/1.1".len();
    let block = lines(bytes, line_end, length, request.headers, fields)?;
    Some((StartLine::Request(RequestLine { method, target, version }, block), length))
}

fn response<'a>(bytes: &'a [u8], fields: &mut Fields<'a>, headers: &mut Headers<'a>) -> Option<(StartLine<'a>, usize)> {
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, headers);
    let Ok(httparse::Status::Complete(length)) = parsed else { return None };
    let status = response.code.filter(|code| *code >= 100)?;
    let version = Version { major: 1, minor: response.version? };
    let reason = response.reason?.as_bytes();
    // If there is no reason, the blank before it may be missing too.
    let code_end = b"HTTP/1.1 200".len();
    let line_end = if bytes.get(code_end) == Some(&b' ') { code_end + 1 + reason.len() } else { code_end };
    let block = lines(bytes, line_end, length, response.headers, fields)?;
    Some((StartLine::Response(StatusLine { version, status, reason, odd: false }, block), length))
}

/// Reads the fields of a head whose start line ends at `line_end`. Returns the offset at which the fields begin, or `None`
/// if a line does not end with CRLF, as httparse also accepts a bare LF.
fn lines<'a>(
    bytes: &'a [u8],
    line_end: usize,
    length: usize,
    headers: &[httparse::Header<'_>],
    fields: &mut Fields<'a>,
) -> Option<usize> {
    let place_of = |header: &httparse::Header<'_>| header.name.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
    let block = line_end + 2;
    let end = length.checked_sub(2)?;
    let first = headers.first().map_or(end, place_of);
    if bytes.get(line_end..first)? != b"\r\n" || bytes.get(end..length)? != b"\r\n" {
        return None;
    }
    let mut start = first;
    for index in 0..headers.len() {
        let next = headers.get(index + 1).map_or(end, place_of);
        let line = bytes.get(start..next)?.strip_suffix(b"\r\n")?;
        fields.take_line(line);
        start = next;
    }
    Some(block)
}

/// After this many fields, a header block counts as strict if these fields are.
const MAX_STRICT_FIELDS: usize = 128;

/// Returns whether RFC 9112 allows a response's whole head, as httparse reads it in strict mode.
pub(super) fn is_strict_response(head: &[u8]) -> bool {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_STRICT_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, head, &mut headers) {
        Ok(parsed) => parsed.is_complete(),
        Err(error) => error == httparse::Error::TooManyHeaders,
    }
}

/// Returns whether RFC 9112 allows a request's whole head, as httparse reads it in strict mode.
pub(super) fn is_strict_request(head: &[u8]) -> bool {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_STRICT_FIELDS];
    match httparse::Request::new(&mut []).parse_with_uninit_headers(head, &mut headers) {
        Ok(parsed) => parsed.is_complete(),
        Err(error) => error == httparse::Error::TooManyHeaders,
    }
}
