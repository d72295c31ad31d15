//! Handshakes that fail.
//!
//! In: a ClientHello, and what ends its connection. Out: an exchange with [`Outcome::TlsAlert`] for a fatal alert, or if the
//! server closes or resets the connection after the ClientHello without sending a byte. Promises: one exchange at most for a
//! connection.

use super::{decrypt::Facts, facts};
use crate::{
    capture::Stamp,
    exchange::{Exchange, ExchangeSink, Outcome, Protocol, TlsFailure},
    stream::context::ParserContext,
    tcp::Direction,
};

/// The exchange of a handshake, as long as the handshake may fail.
#[derive(Debug, Default)]
pub(super) struct Failure {
    exchange: Option<Box<Exchange>>,
    /// Whether a ClientHello has begun an exchange. A second one does not.
    was_begun: bool,
}

impl Failure {
    /// Returns whether the ClientHello was seen, and the handshake may still fail.
    pub(super) fn is_possible(&self) -> bool {
        self.exchange.is_some()
    }

    /// Returns whether a ClientHello was seen.
    pub(super) fn was_begun(&self) -> bool {
        self.was_begun
    }

    /// Begins the exchange of a ClientHello, which ends before the offset `end` of the current side.
    pub(super) fn begin<K>(&mut self, around: &mut ParserContext<'_, K>, end: u64) {
        let mut exchange = around.shared.exchanges.get();
        exchange.protocol = Protocol::Tls;
        exchange.position = around.position(around.direction(), end.saturating_sub(1));
        exchange.request_start = Some(around.chunk.carried);
        exchange.request_end = Some(around.chunk.carried);
        self.exchange = Some(exchange);
        self.was_begun = true;
    }

    /// Drops the exchange: this handshake has nothing to report.
    pub(super) fn let_go<K>(&mut self, around: &mut ParserContext<'_, K>) {
        if let Some(exchange) = self.exchange.take() {
            around.shared.exchanges.put(exchange);
        }
    }

    /// Reports that the current side made the handshake fail: with an alert and the offset of its last byte, or without an
    /// alert.
    pub(super) fn report<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        client: Direction,
        about: Option<&Facts>,
        alert: Option<(u8, u64)>,
        when: Stamp,
    ) {
        let by = around.direction();
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
        if let Some(about) = about {
            exchange.tls = Some(facts::shared(about));
        }
        exchange.tls_failure = Some(TlsFailure {
            alert: alert.map_or(0, |(alert, _)| alert),
            offered_version: about.map_or(0, |about| about.offered_version),
            by_server: by != client,
        });
        around.fail(exchange, Outcome::TlsAlert, when);
    }
}
