//! HTTP exchanges from TCP streams.
//!
//! In: [`Chunk`](crate::tcp::Chunk)s of both directions of a flow. Out: [`Exchange`]s, to an [`ExchangeSink`].
//! Promises: the status line comes first; a hole or a bad message never silences a connection; a response is never
//! paired with a request it does not answer; linear time, capped memory.

mod conversation;
mod ending;
mod engine;
mod exchange;
mod fields;
mod framing;
mod line;
mod message;
mod overtaking;
mod pairing;
mod proxy;
mod settings;
mod tls;

pub use conversation::Conversation;
pub use engine::HttpEngine;
pub use exchange::{Exchange, ExchangeSink, Outcome, Remarks, Span, TlsFacts, Version};
pub use settings::{HttpCounters, HttpSettings};

#[cfg(test)]
mod tests;
