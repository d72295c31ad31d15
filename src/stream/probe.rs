//! Finds the parser that reads a side.
//!
//! In: the first bytes of one side of a connection, of a tunnel, or of an inner protocol. Out: the contents of a PROXY
//! protocol header, if there is one, and the parser that reads the bytes after it. Promises: only the content decides, on
//! any port. Only the bytes that a side sends can change its protocol. HTTP/1 reads all bytes that no other parser
//! recognises, as it can find messages anywhere in a stream. Undecided bytes are kept, under the limits of an HTTP/1 header
//! block.

use super::{
    context::{Origin, ParserContext, Undecided},
    http1::Conversation,
    http2,
    proxy::{self, Preface},
    registry::{self, Probed, Reader, States},
    streams, tls,
};
use crate::exchange::ExchangeSink;

/// Reads the first bytes of a side. Returns how many bytes were read.
pub(super) fn first_bytes<K: ExchangeSink>(
    around: &mut ParserContext<'_, K>,
    http1: &mut Conversation,
    rest: &[u8],
    at: usize,
) -> usize {
    if has_undecided(around) {
        return more_bytes(around, http1, rest);
    }
    match proxy::preface(rest) {
        Preface::Whole { version, length, source } => {
            match version {
                1 => around.shared.counters.proxy_v1_headers += 1,
                _ => around.shared.counters.proxy_v2_headers += 1,
            }
            // Only the side that opened the connection knows where it comes from.
            let may_name = around.flow.opened_by.is_none_or(|opener| opener == around.direction());
            if may_name && (source.is_some() || around.rare.is_some()) {
                around.rare_mut().proxied = source;
            }
            return length;
        }
        Preface::Part => return keep(around, rest, at),
        Preface::Refused => around.shared.counters.proxy_headers_refused += 1,
        Preface::None => {}
    }
    match registry::probe(rest) {
        Probed::Known(Reader::Http2) => begin_http2(around, http1, rest, at),
        Probed::Known(reader) => {
            registry::begin(reader, around);
            0
        }
        Probed::Undecided => keep(around, rest, at),
    }
}

/// Begins HTTP/2 on the current side. HTTP/1 reads the client's preface first, as a request: a server that does not know HTTP/2
/// answers it. Returns how many bytes were read.
fn begin_http2<K: ExchangeSink>(
    around: &mut ParserContext<'_, K>,
    http1: &mut Conversation,
    rest: &[u8],
    at: usize,
) -> usize {
    let server = around.direction().opposite();
    let mut read = 0;
    if rest.starts_with(http2::PREFACE_REQUEST) {
        if around.flow.opened_by == Some(server) {
            registry::begin(Reader::Http1, around);
            return 0;
        }
        read = http2::PREFACE_REQUEST.len();
        if around.reader(server) == Reader::Http2 || is_upgraded(around) {
            around.shared.counters.http2_prefaces += 1;
        } else {
            registry::begin(Reader::Http1, around);
            http1.step(around, &rest[..read], at);
        }
    } else {
        http1.leave_to(around);
    }
    registry::begin(Reader::Http2, around);
    read
}

/// Returns whether a chunk that begins with this byte may join another protocol than HTTP/1.
#[inline]
pub(super) fn may_join(first: u8) -> bool {
    matches!(first, http2::FIRST_OF_MESSAGE | tls::FIRST_OF_DATA)
}

/// Returns whether a chunk of a side that HTTP/1 reads, on a connection where it has found no message, begins a message of
/// HTTP/2, or a record of TLS that may be decrypted or followed. That protocol reads the side from there on.
#[cold]
pub(super) fn joins<K: ExchangeSink>(
    around: &mut ParserContext<'_, K>,
    http1: &mut Conversation,
    bytes: &[u8],
) -> bool {
    let may_be_other = http1.may_be_other();
    let may_be =
        |known: fn(&States) -> bool| may_be_other || around.rare.as_ref().is_some_and(|rare| known(&rare.states));
    let reader = if may_be(States::has_http2) && http2::begins_message(bytes) {
        Reader::Http2
    } else if has_use(around, may_be(States::has_tls)) && tls::begins_record(bytes) {
        Reader::Tls
    } else {
        return false;
    };
    http1.leave_to(around);
    registry::begin(reader, around);
    true
}

/// Returns whether a record of TLS in the middle of a side is of use: it may be decrypted, or its other side is followed.
fn has_use<K>(around: &ParserContext<'_, K>, may_be_tls: bool) -> bool {
    let is_followed =
        around.shared.settings.follow_turns && around.rare.as_ref().is_some_and(|rare| rare.states.has_tls());
    is_followed || (may_be_tls && around.shared.tls.expects_secrets())
}

/// Returns whether the server has changed to HTTP/2 by its 101.
fn is_upgraded<K>(around: &ParserContext<'_, K>) -> bool {
    around.rare.as_ref().is_some_and(|rare| rare.states.is_upgraded_to_http2())
}

/// Called when the first bytes of a side are missing. HTTP/1 reads the side from there on, or HTTP/2 after an upgrade to it.
pub(super) fn begin_with_gap<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation) {
    if is_upgraded(around) {
        take(around);
        registry::begin(Reader::Http2, around);
    } else {
        give_to_http1(around, http1);
        registry::begin(Reader::Http1, around);
    }
}

/// Returns whether undecided bytes of the current side are kept.
fn has_undecided<K>(around: &ParserContext<'_, K>) -> bool {
    let undecided = around.rare.as_ref().and_then(|rare| rare.undecided.as_ref());
    undecided.is_some_and(|undecided| undecided[around.direction() as usize].origin.is_some())
}

/// Keeps bytes that do not show the protocol yet.
fn keep<K>(around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) -> usize {
    let (side, origin) = (around.direction() as usize, Origin::within(around.chunk, at));
    let undecided = around.rare_mut().undecided.get_or_insert_default();
    undecided[side] = Undecided { bytes: rest.to_vec(), origin: Some(origin) };
    around.shared.held += rest.len();
    rest.len()
}

/// Reads more bytes of a side whose first bytes are kept. Returns how many bytes were read.
fn more_bytes<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation, rest: &[u8]) -> usize {
    let side = around.direction() as usize;
    let limit = around.shared.settings.max_head_bytes;
    let within_all = around.shared.can_hold(rest.len());
    let Some(undecided) = around.rare.as_mut().and_then(|rare| rare.undecided.as_mut()) else { return 0 };
    let kept = &mut undecided[side].bytes;
    if kept.len() >= limit || !within_all {
        give_to_http1(around, http1);
        return 0;
    }
    let taken = rest.len().min(limit - kept.len());
    kept.extend_from_slice(&rest[..taken]);
    around.shared.held += taken;
    let is_undecided = match proxy::preface(kept) {
        Preface::Part => true,
        Preface::None => registry::probe(kept) == Probed::Undecided,
        Preface::Whole { .. } | Preface::Refused => false,
    };
    if !is_undecided && let Some((bytes, origin)) = take(around) {
        // The kept bytes are read as if they had come in one chunk.
        let chunk = origin.as_chunk(around.chunk);
        streams::read(&mut around.with_chunk(&chunk), http1, &bytes);
    }
    taken
}

/// Takes the kept bytes of the current side.
fn take<K>(around: &mut ParserContext<'_, K>) -> Option<(Vec<u8>, Origin)> {
    let side = around.direction() as usize;
    let rare = around.rare.as_mut()?;
    let undecided = std::mem::take(&mut rare.undecided.as_mut()?[side]);
    rare.undecided.take_if(|sides| sides.iter().all(|side| side.origin.is_none()));
    around.shared.held -= undecided.bytes.len();
    undecided.origin.map(|origin| (undecided.bytes, origin))
}

/// Called when a side whose protocol is not known has a gap or ends. HTTP/1 reads the side from there on; the kept bytes are
/// the beginning of a header block.
pub(super) fn give_to_http1<K: ExchangeSink>(around: &mut ParserContext<'_, K>, http1: &mut Conversation) {
    if let Some((bytes, origin)) = take(around) {
        registry::begin(Reader::Http1, around);
        http1.begin_partial_head(around, &bytes, &origin);
    }
}
