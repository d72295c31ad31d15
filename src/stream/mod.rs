//! Protocols above TCP.
//!
//! In: [`Chunk`](crate::tcp::Chunk)s of both directions of a flow. Out: [`Exchange`](crate::exchange::Exchange)s.

pub mod http1;
