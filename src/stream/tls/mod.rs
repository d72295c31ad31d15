//! TLS handshakes that fail in clear.
//!
//! In: the records of both sides until they are encrypted. Out: an exchange with [`Outcome::TlsAlert`] for a fatal alert.
//! The same is reported if the server closes or resets the connection after the ClientHello without sending a byte. The
//! exchange has the server name and the highest version that the client offered. Promises: encrypted bytes are not looked
//! at. At most one ClientHello is kept for a connection, up to a limit.

mod hello;
mod records;

use self::{
    hello::{hello_facts, message_length},
    records::{Content, Records},
};
use super::{End, GapKind, Parser, Probe, context::ParserContext, registry::Reader, unread};
use crate::{
    capture::Stamp,
    exchange::{Exchange, ExchangeSink, Outcome, Protocol, TlsFacts},
    tcp::Direction,
};

/// Longest ClientHello that is read. With post-quantum key shares, a ClientHello has about 2 KiB.
const MAX_HELLO_BYTES: usize = 16 << 10;

const CLIENT_HELLO: u8 = 1;

/// A handshake, as far as it was seen.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    sides: [Records; 2],
    /// Who sent the ClientHello.
    client: Option<Direction>,
    /// The bytes of the ClientHello so far, from the handshake message's header on.
    hello: Vec<u8>,
    /// The exchange, once the ClientHello is whole.
    exchange: Option<Box<Exchange>>,
    is_over: bool,
}

impl Parser for Handshake {
    /// Returns whether a handshake record or an alert begins at the first byte.
    #[inline]
    fn probe(bytes: &[u8]) -> Probe {
        let (Some(22 | 21), major, minor) = (bytes.first(), bytes.get(1), bytes.get(2)) else { return Probe::Other };
        match (major, minor, bytes.get(5)) {
            // The values 1 and 2 are ClientHello and ServerHello in a handshake record, warning and fatal in an alert.
            (Some(3), Some(0..=4), Some(1 | 2)) => Probe::Certain,
            (None | Some(3), None | Some(0..=4), None) => Probe::Undecided,
            _ => Probe::Other,
        }
    }

    fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self {
        around.shared.counters.tls_handshakes += 1;
        unread::note(&mut around.shared.unread.tls, around.flow);
        Self::default()
    }

    fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize {
        let direction = around.direction();
        let mut taken = 0;
        while taken < bytes.len() {
            let offset = around.chunk.offset + (at + taken) as u64;
            let (length, content) = self.sides[direction as usize].take(&bytes[taken..]);
            taken += length;
            match content {
                Content::Nothing => {}
                Content::Handshake { bytes, begins_record } => {
                    if let Some(end) = self.take_hello(around.flow.opened_by, direction, bytes, begins_record) {
                        self.begin_exchange(around, offset + end as u64);
                    }
                }
                Content::Fatal(alert) => {
                    let last = around.chunk.offset + (at + taken - 1) as u64;
                    self.fail(around, Some((alert, last)), around.now());
                    return bytes.len();
                }
                Content::Closed => {
                    self.leave_side(around);
                    return bytes.len();
                }
            }
        }
        taken
    }

    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, _length: u64, _kind: GapKind) {
        self.leave_side(around);
    }

    fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) {
        match end {
            End::Fin { .. } => self.side_ends(around, around.now()),
            End::Reset { by, took_effect } if by == around.direction() => self.side_ends(around, took_effect),
            End::Reset { .. } => {}
            End::Flow => self.let_go(around),
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Handshake {
    /// Adds bytes to the ClientHello. If it is whole then, returns how many of the bytes belong to it.
    fn take_hello(
        &mut self,
        opened_by: Option<Direction>,
        direction: Direction,
        bytes: &[u8],
        begins_record: bool,
    ) -> Option<usize> {
        let may_be_client = opened_by.is_none_or(|opener| opener == direction);
        if may_be_client
            && self.client.is_none()
            && self.hello.is_empty()
            && begins_record
            && bytes.first() == Some(&CLIENT_HELLO)
        {
            self.client = Some(direction);
        }
        let is_whole = |hello: &[u8]| message_length(hello).is_some_and(|length| hello.len() >= length);
        if self.client != Some(direction) || is_whole(&self.hello) {
            return None;
        }
        let before = self.hello.len();
        self.hello.extend_from_slice(&bytes[..bytes.len().min(MAX_HELLO_BYTES - before)]);
        message_length(&self.hello).filter(|length| self.hello.len() >= *length).map(|length| length - before)
    }

    /// Begins the exchange of a whole ClientHello, which ends before the offset `end` of its side.
    fn begin_exchange<K>(&mut self, around: &mut ParserContext<'_, K>, end: u64) {
        let mut exchange = around.shared.exchanges.get();
        let facts = hello_facts(&self.hello);
        exchange.protocol = Protocol::Tls;
        exchange.position = around.position(around.direction(), end.saturating_sub(1));
        exchange.request_start = Some(around.chunk.carried);
        exchange.request_end = Some(around.chunk.carried);
        exchange.server_name = exchange.store(facts.server_name);
        exchange.tls = Some(TlsFacts { offered_version: facts.version, ..TlsFacts::default() });
        self.exchange = Some(exchange);
    }

    /// Stops reading the current side, because it is encrypted from here on or bytes are missing.
    fn leave_side<K>(&mut self, around: &mut ParserContext<'_, K>) {
        let direction = around.direction();
        around.sides[direction as usize].reader = Reader::Opaque;
        if around.reader(direction.opposite()) == Reader::Opaque {
            self.let_go(around);
        }
    }

    /// Drops the exchange: this handshake has nothing to report.
    fn let_go<K>(&mut self, around: &mut ParserContext<'_, K>) {
        self.is_over = true;
        if let Some(exchange) = self.exchange.take() {
            around.shared.exchanges.put(exchange);
        }
    }

    /// Handles the end of a side. If the server ends the connection after the ClientHello without sending a byte, the
    /// handshake has failed.
    fn side_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, when: Stamp) {
        let by = around.direction();
        let is_refused = self.client == Some(by.opposite())
            && self.exchange.is_some()
            && around.sides[by as usize].offset == 0
            && !around.has_ended(by.opposite())
            && around.flow.opened_by.is_some()
            && around.flow.gap_bytes == 0;
        if is_refused {
            self.fail(around, None, when);
        } else if around.sides.iter().all(|side| side.has_ended) {
            around.leave_both_sides();
            self.let_go(around);
        }
    }

    /// Reports that the current side made the handshake fail: with an alert and the offset of its last byte, or without an
    /// alert.
    fn fail<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, alert: Option<(u8, u64)>, when: Stamp) {
        let by = around.direction();
        let client = self.client.or(around.flow.opened_by);
        let is_other_side_tls = !matches!(around.reader(by.opposite()), Reader::Undecided | Reader::Http1);
        if client != Some(by) || is_other_side_tls {
            around.leave_both_sides();
        } else {
            // The server may not have received these bytes of the client. What the server sends shows its protocol.
            around.sides[by as usize].reader = Reader::Opaque;
        }
        self.is_over = true;
        // If no ClientHello was seen, the side that opened the connection is the client.
        let Some(client) = client else { return };
        let mut exchange = self.exchange.take().unwrap_or_else(|| {
            let mut unseen = around.shared.exchanges.get();
            unseen.protocol = Protocol::Tls;
            unseen
        });
        // The alert's position is known even if the ClientHello is captured later or is in a gap.
        if let Some((_, last)) = alert {
            exchange.position = around.position(by, last);
        }
        around.fill_connection(&mut exchange, client);
        let facts = exchange.tls.get_or_insert_default();
        (facts.alert, facts.by_server) = (alert.map_or(0, |(alert, _)| alert), by != client);
        exchange.outcome = Outcome::TlsAlert;
        exchange.decided = Some(when);
        around.decide_without_status(&mut exchange);
        around.finish(exchange);
    }
}
