//! The change from HTTP/1 to HTTP/2 by `Upgrade` (RFC 7540, section 3.2).
//!
//! In: the request that a server answered with a 101 to HTTP/2. Out: stream 1, which the client has half closed; its response
//! answers the request. Promises: only a 101 of the server, to a request that asked for HTTP/2, leads here. Both sides are
//! probed behind it: their content shows whether they speak HTTP/2.

use super::{
    Http2,
    side::State,
    streams::{OpenStream, Request},
};
use crate::{
    exchange::{Exchange, ExchangeSink, Outcome, Protocol, Remarks},
    stream::{GapKind, Parser, context::ParserContext, registry::Reader},
    tcp::Direction,
};

/// The stream of the request that was upgraded.
const UPGRADED_STREAM: u32 = 1;

/// A request of HTTP/1 that HTTP/2 answers.
#[derive(Debug)]
pub(in crate::stream) struct Upgraded {
    /// A copy of the request's exchange, without its 101.
    pub(in crate::stream) exchange: Box<Exchange>,
    pub(in crate::stream) client: Direction,
    /// Offset of the request's first byte in the client's stream.
    pub(in crate::stream) asked: u64,
    /// The offset after the request's last byte so far.
    pub(in crate::stream) asked_until: u64,
    /// How many bytes of the request's body have not come, or `None` if that is not known.
    pub(in crate::stream) body_left: Option<u64>,
    /// The offset of the server's stream from which on it is HTTP/2.
    pub(in crate::stream) server_start: u64,
}

/// Begins HTTP/2 on a connection whose server has changed to it. Both sides are still to be probed, but for the rest of the
/// request's body.
#[cold]
pub(in crate::stream) fn upgrade<K: ExchangeSink>(around: &mut ParserContext<'_, K>, upgraded: Upgraded) {
    if around.rare.as_ref().is_some_and(|rare| rare.states.has_http2()) {
        around.shared.exchanges.put(upgraded.exchange);
        return;
    }
    let client = upgraded.client;
    let has_body_left = upgraded.body_left.is_some_and(|left| left > 0);
    let mut http2 = Http2::begin(around);
    http2.take_upgraded(around, upgraded);
    around.rare_mut().states.set_http2(http2);
    if has_body_left && around.reader(client) == Reader::Undecided {
        around.sides[client as usize].reader = Reader::Http2;
    }
}

impl Http2 {
    /// Returns whether the connection began with HTTP/1.
    pub(in crate::stream) fn is_upgraded(&self) -> bool {
        self.is_upgraded
    }

    fn take_upgraded<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, upgraded: Upgraded) {
        let Upgraded { mut exchange, client, asked, asked_until, body_left, server_start } = upgraded;
        (exchange.protocol, exchange.stream) = (Protocol::Http2, UPGRADED_STREAM.into());
        exchange.version = super::messages::VERSION;
        exchange.outcome = Outcome::Pending;
        let left = body_left.unwrap_or(0);
        let client_end = around.sides[client as usize].offset;
        self.is_upgraded = true;
        self.client = Some(client);
        self.highest = UPGRADED_STREAM;
        self.sides[client as usize]
            .begin_at(client_end + left, if left > 0 { State::Body(left) } else { State::Start });
        self.sides[client.opposite() as usize].begin_at(server_start, State::Start);
        let stream = OpenStream {
            request: if left > 0 { Request::Open } else { Request::Complete },
            asked,
            asked_until,
            is_unsure: body_left.is_none(),
            ..OpenStream::unseen(exchange)
        };
        self.open(around, UPGRADED_STREAM, stream);
    }

    /// Reads the rest of the upgraded request's body, of which so many bytes are left, and so many come or are missing now.
    pub(super) fn pass_body<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        left: u64,
        length: u64,
        gap: Option<GapKind>,
    ) {
        let side = around.direction() as usize;
        let rest = left.saturating_sub(length);
        self.sides[side].set_state(if rest > 0 { State::Body(rest) } else { State::Start });
        let Some(stream) = self.streams.find(UPGRADED_STREAM) else { return };
        stream.exchange.request_body_bytes += length;
        if gap.is_some_and(|kind| kind != GapKind::NotKept) {
            stream.exchange.remarks.add(Remarks::BODY_GAP);
        }
        if rest == 0 {
            let end = self.sides[side].start;
            self.message_ends(around, UPGRADED_STREAM, end);
        }
    }
}
