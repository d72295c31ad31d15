//! Tunnels through a stream (CONNECT: RFC 9113, section 8.5, and RFC 8441).
//!
//! In: CONNECT requests that a server has accepted, and DATA of their streams. Out: the bytes of the first tunnel of a
//! connection, handed on to an inner stream, which is probed. Promises: at most one tunnel of a connection is read. All
//! others, and those to a protocol other than TCP, are skipped and counted. After a loss of unknown length, no byte is handed on.

use super::Http2;
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::{GapKind, context::ParserContext},
    tcp::{Chunk, ChunkContext, Direction},
};

/// What a request asks for instead of a response alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Connect {
    /// It is no CONNECT.
    #[default]
    None,
    /// A tunnel to a host.
    Host,
    /// A tunnel of the protocol that `:protocol` names, as WebSocket.
    Protocol,
}

/// The tunnel that is read.
#[derive(Debug)]
pub(super) struct Tunnel {
    id: u32,
    /// How many bytes of each side the inner stream has.
    offsets: [u64; 2],
    /// The offsets of both sides of the connection after the last of these bytes.
    carried_until: [u64; 2],
    is_lost: bool,
}

impl Http2 {
    /// Opens a tunnel: the server has accepted a CONNECT. The exchange is over.
    pub(super) fn open_tunnel<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        id: u32,
        connect: Connect,
    ) {
        around.shared.counters.tunnels += 1;
        if connect == Connect::Host && self.tunnel.is_none() {
            self.tunnel = Some(Box::new(Tunnel { id, offsets: [0; 2], carried_until: [0; 2], is_lost: false }));
        } else {
            around.shared.counters.http2_tunnels_unread += 1;
        }
        self.finish(around, id, Remarks::default());
    }

    /// Returns whether DATA of this stream is content of the tunnel that is read.
    pub(super) fn is_tunnel(&self, id: u32) -> bool {
        self.tunnel.as_ref().is_some_and(|tunnel| tunnel.id == id && !tunnel.is_lost)
    }

    /// Hands content of the tunnel on, which ends before the offset `end` of the current side.
    pub(super) fn hand_on_content<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        id: u32,
        piece: &[u8],
        end: u64,
    ) {
        if !piece.is_empty() {
            self.hand_on(around, id, Chunk::Data(piece), piece.len() as u64, end);
        }
    }

    /// Tells the tunnel that content is missing.
    pub(super) fn hand_on_gap<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        id: u32,
        length: u32,
        kind: GapKind,
    ) {
        let length = u64::from(length);
        let chunk = if kind == GapKind::NotKept { Chunk::Skipped(length) } else { Chunk::Gap(length) };
        if length > 0 {
            self.hand_on(around, id, chunk, length, around.chunk.offset + length);
        }
    }

    /// Tells the tunnel that the current side's stream has ended.
    pub(super) fn end_tunnel<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, id: u32, chunk: Chunk<'_>) {
        self.hand_on(around, id, chunk, 0, around.chunk.offset);
    }

    /// Notes that frames of the current side were lost, which may have had content of the tunnel.
    pub(super) fn lose_tunnel<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let Some(id) = self.tunnel.as_ref().filter(|tunnel| !tunnel.is_lost).map(|tunnel| tunnel.id) else { return };
        // The length is not known. A gap of any length makes the inner stream doubt what follows.
        self.hand_on(around, id, Chunk::Gap(1), 1, around.chunk.offset);
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.is_lost = true;
        }
    }

    fn hand_on<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        id: u32,
        chunk: Chunk<'_>,
        length: u64,
        end: u64,
    ) {
        let direction = around.direction();
        let Some(tunnel) = self.tunnel.as_mut().filter(|tunnel| tunnel.id == id && !tunnel.is_lost) else { return };
        let context = tunnel.context(around.chunk, direction);
        tunnel.offsets[direction as usize] += length;
        tunnel.carried_until[direction as usize] = end;
        around.hand_on(&context, chunk);
    }
}

impl Tunnel {
    /// The context of the current side's next bytes. They acknowledge what the other side has sent through the tunnel if the
    /// packet acknowledges the frames that carried it; otherwise it is not known what they acknowledge.
    fn context(&self, chunk: &ChunkContext, direction: Direction) -> ChunkContext {
        let other = direction.opposite() as usize;
        let has_all = chunk.acknowledged.is_some_and(|acknowledged| acknowledged >= self.carried_until[other]);
        ChunkContext {
            offset: self.offsets[direction as usize],
            acknowledged: has_all.then_some(self.offsets[other]),
            ..*chunk
        }
    }
}
