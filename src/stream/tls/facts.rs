//! The facts of a connection, as its exchanges have them.
//!
//! In: [`Facts`] of a handshake. Out: the [`TlsConnection`] that all exchanges of the connection share.

use std::sync::Arc;

use super::decrypt::{Facts, suite_name};
use crate::exchange::TlsConnection;

/// What is known of the TLS connection, for its exchanges.
pub(super) fn shared(facts: &Facts) -> Arc<TlsConnection> {
    Arc::new(TlsConnection {
        server_name: facts.server_name.clone(),
        version: facts.version,
        cipher: suite_name(facts.suite).unwrap_or_default(),
        next_protocol: facts.alpn.clone(),
        is_resumed: facts.is_resumed,
        ja3: facts.ja3.map(|ja3| ja3.to_string().into()).unwrap_or_default(),
        ja4: facts.ja4.map(|ja4| ja4.as_str().into()).unwrap_or_default(),
        ja4s: facts.ja4s.map(|ja4s| ja4s.as_str().into()).unwrap_or_default(),
        certificate: facts.certificate.clone(),
    })
}
