//! Protocols above TCP.
//!
//! In: [`Chunk`](crate::tcp::Chunk)s of both sides of a flow. Out: [`Exchange`](crate::exchange::Exchange)s, to an
//! [`ExchangeSink`]. Promises: the content chooses the parser, on any port; a gap or a
//! message that cannot be read never silences a connection; linear time, capped memory.
//!
//! # The way of a chunk
//!
//! 1. [`Streams`] takes it, with the [`Stream`] that the flow table keeps for its flow.
//! 2. `probe` reads the first bytes of each side: it takes a PROXY protocol header off and finds the parser.
//! 3. The parser reads the side from there on. [`http1`] reads what no other parser recognises.
//! 4. What a parser finds out leaves through its `ParserContext`: exchanges that are decided and finished.
//!
//! Each side is probed by itself and changes its protocol only by what it sends: a server that answers a ClientHello with
//! an HTTP response speaks HTTP/1.
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
//! of their own, and an inner [`Stream`] is probed as a connection is. At most four lie in one another.
//!
//! # Room for datagrams
//!
//! QUIC comes in datagrams, not in a stream. Nothing here needs one: its parser would stand beside [`Streams`], find
//! the connection of a datagram by its connection identifier, and hand each QUIC stream's bytes on as chunks, which is what
//! `ParserContext` asks for: a flow's two ends, a direction, offsets, and packets.

mod context;
#[cfg(any(test, fuzzing))]
mod fuzzing;
pub mod http1;
#[cfg(test)]
mod lines;
mod probe;
mod proxy;
mod registry;
mod settings;
mod streams;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use settings::{StreamCounters, StreamSettings};
pub use streams::{Stream, Streams};

#[cfg(fuzzing)]
pub use fuzzing::fuzz;

use context::ParserContext;

use crate::{capture::Stamp, exchange::ExchangeSink, tcp::Direction, time::Timestamp};

/// A protocol above TCP: reads both sides of a connection, or the one that speaks it.
///
/// The context's chunk names the side, the packet and the offset of what a call is about.
pub(crate) trait Parser: Sized {
    /// Tells whether a side that begins with these bytes speaks the protocol. At least one byte is given; the fewer bytes a
    /// probe needs to say no, the less is kept.
    fn probe(bytes: &[u8]) -> Probe;

    /// The state of a connection of which one side has just been recognised.
    fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self;

    /// Takes the side's next bytes, which begin `at` bytes into the chunk, and returns how many it took. It is called
    /// again with the rest: it takes at least one, or sets another reader.
    fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize;

    /// So many bytes of the side are missing.
    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, kind: GapKind);

    /// A side is over, or the flow is. Told to each parser of the connection, whoever reads the side.
    fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End);

    /// The packet time after which [`time`](Self::time) is to be called, however little is sent.
    fn deadline(&self, _settings: &StreamSettings) -> Option<Timestamp> {
        None
    }

    /// The deadline has passed.
    fn time<K: ExchangeSink>(&mut self, _around: &mut ParserContext<'_, K>) {}

    /// How many coming bytes of a side it will not look at, whatever they are: they need not be kept out of order.
    fn unneeded(&self, _direction: Direction) -> u64 {
        0
    }

    /// Returns whether nothing is left to be told of this connection: the state is let go.
    fn is_over(&self) -> bool;
}

/// Whether bytes are the beginning of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// They are.
    Certain,
    /// They may be: more bytes are needed.
    Undecided,
    /// They are not.
    Other,
}

/// Why bytes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapKind {
    /// They were never captured.
    NotCaptured,
    /// They were captured out of order and not kept, since [`Parser::unneeded`] covered them.
    NotKept,
}

/// What is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The side at hand: its sender sent FIN.
    Fin {
        /// Whether its sender had sent none before, or has sent bytes since.
        is_first: bool,
    },
    /// The side at hand: one of the two reset the connection, and nothing was sent after. The sender's side is told first.
    Reset {
        /// Who sent it.
        by: Direction,
        /// The packet with which the reset took effect.
        took_effect: Stamp,
    },
    /// The whole flow; no more calls come.
    Flow,
}
