//! Protocols above TCP.
//!
//! In: [`Chunk`](crate::tcp::Chunk)s of both sides of a flow. Out: [`Exchange`](crate::exchange::Exchange)s, passed to an
//! [`ExchangeSink`]. Promises: the content chooses the parser, on any port. After a gap or an unreadable message, later
//! messages of the connection are still read. Linear time, capped memory.
//!
//! # The way of a chunk
//!
//! 1. [`Streams`] takes the chunk, with the [`Stream`] that the flow table keeps for its flow.
//! 2. `probe` reads the first bytes of each side: it takes a PROXY protocol header off and finds the parser.
//! 3. The parser reads the side from there on. [`http1`] reads what no other parser recognises.
//! 4. What a parser finds out leaves through its `ParserContext`: exchanges that are decided and finished.
//!
//! Each side is probed separately, and only the bytes that a side sends can change its protocol. For example, a server that
//! answers a ClientHello with an HTTP response speaks HTTP/1.
//!
//! # A further protocol
//!
//! A parser is a type that implements `Parser`, in a file or folder of its own, and one line in `registry`. The parser that
//! tests use (`lines`) is the shortest example; its shape is:
//!
//! ```ignore
//! #[derive(Debug)]
//! struct Lines { /* both sides' state */ }
//!
//! impl Parser for Lines {
//!     fn probe(bytes: &[u8]) -> Probe { /* is this the protocol? may it still become it? */ }
//!     fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self { /* count the connection */ }
//!     fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize {
//!         // A request or response is whole: around.decide(&mut exchange), around.finish(exchange).
//!         // Bytes of a protocol inside this one: around.hand_on(&context, Chunk::Data(&decrypted)).
//!     }
//!     fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, kind: GapKind) { /* … */ }
//!     fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) { /* … */ }
//!     fn is_over(&self) -> bool { /* may the state be let go? */ }
//! }
//! ```
//!
//! # Protocols inside protocols
//!
//! - From some byte on, the connection *is* the inner protocol (CONNECT, an upgrade): the parser sets both sides' readers to
//!   `Undecided`, and the very next byte is probed.
//! - The inner protocol's bytes are made from the outer's (decrypted TLS): the parser hands them on as chunks with offsets
//!   of their own, and an inner [`Stream`] is probed as a connection is. At most four lie in one another.
//!
//! # Room for datagrams
//!
//! QUIC uses datagrams, not a byte stream. Nothing in this module requires a TCP stream. A QUIC parser would stand beside
//! [`Streams`], find the connection of a datagram by its connection identifier, and pass on each QUIC stream's bytes as
//! chunks. Chunks have all that `ParserContext` needs: a flow's two ends, a direction, offsets, and packets.

mod context;
mod ended;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod grade;
pub mod http1;
mod http2;
#[cfg(test)]
mod lines;
mod positions;
mod probe;
mod proxy;
mod registry;
mod settings;
mod streams;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tls;
mod unread;

pub use settings::{StreamCounters, StreamSettings};
pub use streams::{Relief, Stream, Streams};
pub use tls::TlsKeys;
pub use unread::{PortCounts, UnreadPorts};

#[cfg(fuzzing)]
pub use fuzzing::{fuzz, fuzz_http2, fuzz_tls};
#[cfg(fuzzing)]
pub use tls::secrets::fuzz_key_log;

use context::ParserContext;

use crate::{capture::Stamp, exchange::ExchangeSink, tcp::Direction, time::Timestamp};

/// A parser of a protocol above TCP. It reads both sides of a connection, or only the side that speaks the protocol.
///
/// In each call, the chunk of the context gives the side, the packet and the offset.
pub(crate) trait Parser: Sized {
    /// Returns whether a side that begins with these bytes (at least one) speaks the protocol. Undecided bytes must be kept,
    /// so a probe should say no after as few bytes as possible.
    fn probe(bytes: &[u8]) -> Probe;

    /// Creates the state of a connection, one side of which has just been recognised.
    fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self;

    /// Reads the side's next bytes, which begin `at` bytes into the chunk, and returns how many it read. The function is
    /// called again with the rest, so it must read at least one byte or set another reader.
    fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize;

    /// Called when `length` bytes of the side are missing.
    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, kind: GapKind);

    /// Called when a side or the flow has ended. Each parser of the connection is told, even if it does not read the side.
    fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End);

    /// Returns the packet time after which [`time`](Self::time) is to be called, even if no segment arrives.
    fn deadline(&self, _settings: &StreamSettings) -> Option<Timestamp> {
        None
    }

    /// Returns whether the parser may still read bytes of a connection that has ended, because it waits for something that does not
    /// come with packets. The end of the flow is told later then.
    fn outlives_flow(&self) -> bool {
        false
    }

    /// Called when the deadline has passed.
    fn time<K: ExchangeSink>(&mut self, _around: &mut ParserContext<'_, K>) {}

    /// Returns how many of a side's next bytes the parser will not read, whatever they are. These bytes need not be kept if
    /// they arrive out of order.
    fn unneeded(&self, _direction: Direction) -> u64 {
        0
    }

    /// Called when HTTP/1 is certain that the connection speaks HTTP/1, before the state is dropped. What the parser has read is
    /// of no protocol that the connection speaks.
    fn abandon<K: ExchangeSink>(&mut self, _around: &mut ParserContext<'_, K>) {}

    /// Returns what the exchanges in flight hold, if they are charged to the limit of all connections together. `None` when
    /// there are none.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Finishes all exchanges in flight as they stand, because all connections together hold too many.
    fn let_go<K: ExchangeSink>(&mut self, _around: &mut ParserContext<'_, K>) {}

    /// Returns whether the parser has nothing more to report for this connection. Its state is dropped then.
    fn is_over(&self) -> bool;
}

/// The answer to the question whether bytes are the beginning of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// The bytes are the beginning of the protocol.
    Certain,
    /// The bytes may be the beginning of the protocol; more bytes are needed to decide.
    Undecided,
    /// The bytes are not the beginning of the protocol.
    Other,
}

/// What a connection's exchanges in flight hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// The number of the packet with which the oldest exchange began.
    since: u64,
    /// Bytes of memory.
    bytes: usize,
}

impl Held {
    /// Returns what both hold together.
    fn and(self, other: Self) -> Self {
        Self { since: self.since.min(other.since), bytes: self.bytes + other.bytes }
    }
}

/// Why bytes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapKind {
    /// The bytes were never captured.
    NotCaptured,
    /// The bytes end the packet of which the bytes before were captured: they lie beyond the capture's snap length.
    Snapped,
    /// The bytes were captured out of order and not kept, because [`Parser::unneeded`] covered them.
    NotKept,
}

/// What has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The current side: its sender sent FIN.
    Fin {
        /// Whether this is the sender's first FIN, or the first after further bytes.
        is_first: bool,
    },
    /// The current side: client or server reset the connection, and nothing was sent afterwards. The parser is called first
    /// for the side of the reset's sender.
    Reset {
        /// Who sent the reset.
        by: Direction,
        /// The packet with which the reset took effect.
        took_effect: Stamp,
    },
    /// The whole flow. No more calls follow.
    Flow,
}
