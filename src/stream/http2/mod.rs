//! HTTP/2 in clear (RFC 9113): exchanges from the frames of both sides.
//!
//! In: the bytes of both sides, gaps and ends. Out: [`Exchange`](crate::exchange::Exchange)s. Promises: after a loss, a field is
//! unknown rather than wrong, and later streams of the connection are still read. A response is paired with its request by
//! the stream identifier alone. Memory is capped: header blocks, tables and open streams have a limit each, and a connection's
//! exchanges in flight belong to the relief of all connections.
//!
//! # Where to look
//!
//! | for | file |
//! |---|---|
//! | frame headers, chains of frames, the probe | `frames` |
//! | one side's bytes: which frame they belong to, what is kept of it, what a gap costs | `side` |
//! | header blocks and their fields | `hpack` |
//! | header blocks in several frames | `blocks` |
//! | from fields to an exchange | `messages` |
//! | the streams that are open | `streams` |
//! | what a header block and DATA mean for their stream | `conversation` |
//! | how streams end | `ending` |
//! | a request of HTTP/1 that HTTP/2 answers | `upgrade` |
//! | CONNECT | `tunnel` |
//!
//! # What is read
//!
//! The client's side is HTTP/2 from its preface on, the server's from its SETTINGS on: each by what it sends. In a capture that
//! begins within a connection, a side is HTTP/2 from a frame on that carries a message and begins a segment. HTTP/1 reads the
//! preface, too, as a request: a server that does not know HTTP/2 answers it with a status line, and then both sides are
//! HTTP/1.
//!
//! - A hole within DATA loses nothing else: its end is known. Any other hole empties the table of its direction; the frames go
//!   on at the next segment that begins a chain of them.
//! - An informational response (1xx) is not final. A block without `:status` behind a response is its trailers.
//! - A response to a stream that the client has cancelled still counts: it was under way, and the server has logged it.
//! - A stream that the client cancels, or that the server refuses unprocessed (REFUSED_STREAM, or beyond the last stream of a
//!   GOAWAY), is no error of the server: its outcome is unknown, and a remark says which of the two it is. The exchange of every
//!   stream that a frame ended has the frame's sender and error code.
//! - A response that the server pushes is an exchange with the remark `pushed`: its request was never sent, so it is nobody's
//!   error. A server logs such requests, too.
//! - A response of gRPC is decided with its trailers, which have its status.
//! - After the 101 to an upgrade, stream 1 answers the request of HTTP/1.
//! - The first tunnel of a connection (CONNECT) is read as an inner stream. Others are passed over.

mod blocks;
mod conversation;
mod ending;
mod frames;
mod hpack;
mod messages;
mod side;
mod streams;
#[cfg(test)]
mod tests;
mod tunnel;
mod upgrade;

pub(super) use frames::{PREFACE_REQUEST, begins_message};
#[cfg(any(test, fuzzing))]
pub(super) use hpack::fuzz_blocks;
pub(super) use messages::Head;
pub(super) use upgrade::{Upgraded, upgrade};

use self::{side::SideReader, streams::OpenStreams, tunnel::Tunnel};
use super::{End, GapKind, Held, Parser, Probe, context::ParserContext, unread};
use crate::{
    exchange::{ExchangeSink, Outcome},
    tcp::Direction,
};

/// The first byte of a message: a frame of less than 64 KiB begins with it.
pub(super) const FIRST_OF_MESSAGE: u8 = 0;

/// A connection that speaks HTTP/2, as far as it was seen.
#[derive(Debug)]
pub(crate) struct Http2 {
    sides: [SideReader; 2],
    client: Option<Direction>,
    streams: OpenStreams,
    /// The highest stream that the client has begun.
    highest: u32,
    /// The last stream that the server has processed, by its GOAWAY.
    last_processed: u32,
    /// The error code of each side's GOAWAY: the first that is an error, or else `NO_ERROR`.
    goaways: [Option<u32>; 2],
    /// Whether a request may have been lost or given up, so that a response to an unknown stream counts.
    may_lack_requests: bool,
    /// Whether the connection began with HTTP/1.
    is_upgraded: bool,
    /// The tunnel that is read.
    tunnel: Option<Box<Tunnel>>,
    /// Whether a message was read.
    has_read: bool,
    /// Bytes of both tables that are charged.
    charged_tables: usize,
    /// The number of the packet with the last header block.
    last_block: u64,
    is_over: bool,
}

impl Parser for Http2 {
    #[inline]
    fn probe(bytes: &[u8]) -> Probe {
        frames::probe(bytes)
    }

    fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self {
        around.shared.counters.http2_connections += 1;
        Self {
            sides: Default::default(),
            client: around.flow.opened_by,
            streams: OpenStreams::default(),
            highest: 0,
            last_processed: u32::MAX,
            goaways: [None; 2],
            may_lack_requests: around.flow.opened_by.is_none(),
            is_upgraded: false,
            tunnel: None,
            has_read: false,
            charged_tables: 0,
            last_block: around.now().number,
            is_over: false,
        }
    }

    fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            taken += self.step(around, rest, at + taken);
        }
        taken
    }

    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, kind: GapKind) {
        self.pass_gap(around, length, kind);
    }

    fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) {
        self.ends(around, end);
        if end == End::Flow {
            self.release(around);
            if !self.has_read && self.sides.iter().any(SideReader::has_passed_over) {
                around.shared.counters.http2_unread += 1;
                unread::note(&mut around.shared.unread.http2, around.flow);
            }
            self.is_over = true;
        }
    }

    fn deadline(&self, settings: &super::StreamSettings) -> Option<crate::time::Timestamp> {
        self.early_deadline(settings)
    }

    fn time<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        self.give_up_early(around);
    }

    fn unneeded(&self, direction: Direction) -> u64 {
        match self.sides[direction as usize].unneeded() {
            (_, Some(stream)) if self.is_tunnel(stream) => 0,
            (bytes, _) => bytes,
        }
    }

    fn abandon<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        for (_, mut stream) in self.streams.take_all() {
            around.shared.discharge(stream.charge);
            if stream.take_undecided().is_some() || stream.exchange.outcome == Outcome::Pending {
                around.shared.exchanges.put(stream.exchange);
            } else {
                around.finish(stream.exchange);
            }
        }
        self.release(around);
    }

    fn held(&self) -> Option<Held> {
        let bytes = self.streams.iter().map(|stream| stream.charge as usize).sum::<usize>() + self.charged_tables;
        let oldest = self.streams.iter().next().and_then(|stream| {
            let exchange = &stream.exchange;
            exchange.request_start.or(exchange.response_start)
        });
        (bytes > 0).then(|| Held { since: oldest.map_or(self.last_block, |start| start.number), bytes })
    }

    fn let_go<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let ids = self.streams.ids_of(|_, _| true);
        around.shared.counters.in_flight_dropped += ids.len() as u64;
        self.may_lack_requests |= !ids.is_empty();
        for id in ids {
            self.finish(around, id, crate::exchange::Remarks::default());
        }
        for side in &mut self.sides {
            side.forget_table();
        }
        self.charge_tables(around);
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Http2 {
    /// Releases everything that is held, apart from the streams.
    fn release<K>(&mut self, around: &mut ParserContext<'_, K>) {
        for side in &mut self.sides {
            side.release(around.shared);
            side.forget_table();
        }
        self.charge_tables(around);
    }

    /// Charges what both tables hold now in place of what they held before.
    fn charge_tables<K>(&mut self, around: &mut ParserContext<'_, K>) {
        let bytes = self.sides.iter().map(SideReader::table_bytes).sum();
        let shared = &mut *around.shared;
        shared.in_flight_bytes = shared.in_flight_bytes.saturating_sub(self.charged_tables) + bytes;
        self.charged_tables = bytes;
    }
}
