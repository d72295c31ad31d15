//! The facts of a connection in its exchanges.
//!
//! In: [`Facts`] of a handshake. Out: the exchange's [`TlsConnection`], with the texts that it refers to.

use super::decrypt::{Facts, suite_name};
use crate::exchange::{Exchange, TlsConnection};

/// Stores what is known of the TLS connection in an exchange.
pub(crate) fn store(exchange: &mut Exchange, facts: &Facts) {
    let connection = TlsConnection {
        server_name: exchange.store(&facts.server_name),
        version: facts.version,
        cipher: suite_name(facts.suite).unwrap_or_default(),
        next_protocol: exchange.store(&facts.alpn),
        is_resumed: facts.is_resumed,
        ja3: facts.ja3.map(|ja3| exchange.store(ja3.to_string().as_bytes())).unwrap_or_default(),
        ja4: facts.ja4.map(|ja4| exchange.store(ja4.as_str().as_bytes())).unwrap_or_default(),
        ja4s: facts.ja4s.map(|ja4s| exchange.store(ja4s.as_str().as_bytes())).unwrap_or_default(),
        certificate: exchange.store(&facts.certificate),
    };
    exchange.tls = Some(connection);
}
