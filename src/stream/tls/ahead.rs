//! Records that were captured before what the other side had sent first.
//!
//! In: records of a side whose packets acknowledge bytes of the other side that were not captured yet. Out: the same, when those
//! bytes were. Promises: the bytes that a connection keeps are limited, and so is the time.
//!
//! A handshake is understood only in its order: the ServerHello after the ClientHello, data after the handshake. And what a packet
//! acknowledges can be told in offsets of the data only if the records up to there were read.

use std::collections::VecDeque;

use super::{Tls, held::Unit};
use crate::{
    exchange::ExchangeSink,
    stream::context::ParserContext,
    tcp::{ChunkContext, Direction},
    time::Timestamp,
};

/// The most bytes of a side that count as missing because they were captured too late.
const MOST_LATE_BYTES: u64 = 1 << 20;

/// The records of the side that is ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) direction: Direction,
    /// Each with the offset of the other side up to which its packet acknowledged.
    queue: VecDeque<(ChunkContext, Unit<'static>, u64)>,
    bytes: usize,
    /// Packet time of the first record that is kept.
    pub(super) since: Timestamp,
}

impl Ahead {
    /// Nothing of this side is kept yet.
    pub(super) fn new<K>(around: &ParserContext<'_, K>) -> Self {
        Self { direction: around.direction(), queue: VecDeque::new(), bytes: 0, since: around.now().time }
    }

    /// Keeps what the side sent. Returns whether there was room for it.
    pub(super) fn push<K>(&mut self, around: &mut ParserContext<'_, K>, unit: &Unit<'_>) -> bool {
        let bytes = unit.bytes();
        let fits = self.bytes + bytes <= around.shared.settings.max_tls_held_bytes && around.shared.can_hold(bytes);
        if fits {
            self.bytes += bytes;
            around.shared.held += bytes;
            let until = around.chunk.acknowledged.unwrap_or(0);
            self.queue.push_back((*around.chunk, unit.to_owned(), until));
        }
        fits
    }

    /// Takes the next one, if the other side was captured as far as its packet acknowledged.
    pub(super) fn pop<K>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        captured: u64,
    ) -> Option<(ChunkContext, Unit<'static>)> {
        let (context, unit, _) = self.queue.pop_front_if(|(.., until)| *until <= captured)?;
        self.bytes -= unit.bytes();
        around.shared.held -= unit.bytes();
        Some((context, unit))
    }

    /// The offset of the other side up to which the last packet that is kept acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.queue.back().map_or(0, |(.., until)| *until)
    }

    /// Returns whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops all.
    pub(super) fn clear<K>(&mut self, around: &mut ParserContext<'_, K>) {
        around.shared.held -= self.bytes;
        self.bytes = 0;
        self.queue.clear();
    }
}

impl Tls {
    /// Keeps what the current side sent, if the other side sent something before it that was not captured yet. Returns whether it
    /// is kept.
    pub(super) fn is_kept_ahead<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        unit: &Unit<'_>,
    ) -> bool {
        if !self.is_ahead(around) {
            return false;
        }
        let mut ahead = self.ahead.take().unwrap_or_else(|| Box::new(Ahead::new(around)));
        let fits = ahead.push(around, unit);
        self.ahead = Some(ahead);
        if !fits {
            self.go_ahead(around);
        }
        fits
    }

    /// Returns whether what the current side sends now comes after something of the other side that was not captured yet.
    pub(super) fn is_ahead<K>(&self, around: &ParserContext<'_, K>) -> bool {
        let direction = around.direction();
        let captured = around.sides[direction.opposite() as usize].offset;
        match &self.ahead {
            Some(ahead) => ahead.direction == direction,
            None => {
                around.shared.tls.expects_secrets()
                    && around.chunk.acknowledged.is_some_and(|acknowledged| acknowledged > captured)
            }
        }
    }

    /// What the late side sent is not waited for any longer.
    pub(super) fn go_ahead<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let Some(ahead) = &self.ahead else { return };
        let late = ahead.direction.opposite();
        let most = around.sides[late as usize].offset.saturating_add(MOST_LATE_BYTES);
        let acknowledged = ahead.acknowledged().max(around.chunk.acknowledged.unwrap_or(0));
        self.late = Some((late, acknowledged.min(most)));
        self.tell_late(around);
        self.catch_up(around, late, u64::MAX);
    }

    /// Tells the inner stream which data counts as missing because it was captured too late. HTTP/2 is not told: its streams have
    /// numbers, so each answer is found whatever comes first.
    pub(super) fn tell_late<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        if let Some((direction, until)) = self.late
            && let Some(inner) = self.inner.as_mut().filter(|_| !around.is_inner_http2())
        {
            let chunk = ChunkContext { direction, acknowledged: None, ..*around.chunk };
            inner.miss(&mut around.with_chunk(&chunk), until);
        }
    }

    /// The current side was read up to this offset. Reads those records of the other side that waited for it.
    pub(super) fn read_up_to<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: u64) {
        let direction = around.direction();
        around.sides[direction as usize].offset = end;
        if self.ahead.is_some() {
            self.catch_up(around, direction, end);
        }
    }

    /// A side was captured up to this offset. Reads those records of the other side that waited for it.
    pub(super) fn catch_up<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        side: Direction,
        captured: u64,
    ) {
        let Some(mut ahead) = self.ahead.take_if(|ahead| ahead.direction != side) else { return };
        while let Some((context, unit)) = ahead.pop(around, captured) {
            let chunk = ChunkContext { now: around.now(), ..context };
            let inner = &mut around.with_chunk(&chunk);
            if !self.is_over {
                self.unit_in_order(inner, &unit);
            }
            let is_claimed = inner.is_claimed;
            around.is_claimed |= is_claimed;
        }
        if self.is_over {
            ahead.clear(around);
        } else if !ahead.is_empty() {
            self.ahead = Some(ahead);
        }
    }
}
