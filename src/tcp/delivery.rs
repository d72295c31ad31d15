//! Delivery of the streams to the consumer.
//!
//! In: bytes, gaps, FINs and resets that are next in order. Out: [`Chunk`]s with their context. Promises: offset and next
//! sequence number always move together. Every gap is counted by its cause.

use super::{
    Chunk, ChunkContext, Direction, StreamConsumer,
    connection::{Bystander, Connection, GapCause},
    half::Phase,
    pool::NONE,
    waiting::Carrier,
};
use crate::time::Stretch;

impl Connection {
    /// Delivers bytes that are next in order. `None` stands for bytes whose content was not kept.
    #[inline]
    pub(super) fn deliver<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        bytes: Option<&[u8]>,
        length: u32,
    ) {
        if length > 0 {
            let chunk = bytes.map_or(Chunk::Skipped(u64::from(length)), Chunk::Data);
            self.emit(around, direction, carrier, chunk);
            let half = &mut self.halves[direction as usize];
            half.offset += u64::from(length);
            half.next = half.next.wrapping_add(length);
        }
    }

    /// Delivers a gap for the bytes of a packet beyond the snap length. So many bytes before them were captured.
    #[inline]
    pub(super) fn deliver_snapped<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        (captured, length): (u32, u32),
    ) {
        let missing = u64::from(length - captured);
        if missing > 0 {
            around.shared.counters.snapped_bytes += missing;
            let chunk = if captured > 0 { Chunk::Snapped(missing) } else { Chunk::Gap(missing) };
            self.emit_gap(around, direction, carrier, chunk);
        }
    }

    /// Delivers a gap for missing bytes; `behind` is the packet with the bytes after the gap. The gap is counted for the
    /// interface of that packet: the next bytes of the same direction came through it, so most likely that interface missed
    /// the bytes.
    pub(super) fn deliver_gap<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        length: u64,
        behind: Carrier,
        why: GapCause,
    ) {
        if length == 0 {
            return;
        }
        // Where the capture joins a flow midstream, a gap at the very start may be bytes that were sent before the capture
        // began.
        if around.facts.opened_by.is_some() || self.halves[direction as usize].offset > 0 {
            let lost = Stretch::between(behind.stamp.time, around.now.time);
            around.shared.lost = Some(around.shared.lost.map_or(lost, |before| before.with(lost)));
        }
        let counters = &mut around.shared.counters;
        match why {
            GapCause::Acknowledged => counters.holes_acknowledged += 1,
            GapCause::Time => counters.holes_timed_out += 1,
            GapCause::DirectionCap => counters.holes_direction_cap += 1,
            GapCause::TotalCap => counters.holes_total_cap += 1,
            GapCause::End => counters.holes_at_end += 1,
        }
        if why != GapCause::Acknowledged {
            let end = self.halves[direction as usize].next.wrapping_add(length as u32);
            around.facts.evidence.note_guess(direction, end);
        }
        counters.gap_bytes += length;
        around.shared.gaps.note(behind.interface, length);
        let carrier = Carrier { stamp: around.now, acknowledgment: None, interface: behind.interface };
        self.emit_gap(around, direction, carrier, Chunk::Gap(length));
    }

    fn emit_gap<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        chunk: Chunk<'_>,
    ) {
        let length = chunk.length();
        around.facts.gap_bytes += length;
        self.emit(around, direction, carrier, chunk);
        let half = &mut self.halves[direction as usize];
        half.offset += length;
        half.next = half.next.wrapping_add(length as u32);
    }

    /// Delivers a FIN and drops the pieces that wait after it.
    pub(super) fn deliver_fin<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
    ) {
        self.emit(around, direction, carrier, Chunk::Fin);
        let half = &mut self.halves[direction as usize];
        (half.phase, half.next) = (Phase::Finished, half.next.wrapping_add(1));
        let after = half.next;
        if self.waiting != NONE {
            around.shared.counters.bytes_after_fin +=
                around.shared.pool.change(self.waiting, direction as usize, |waiting| {
                    waiting.fin = None;
                    if let Some(reset) = &mut waiting.reset {
                        reset.sequence = after;
                    }
                    std::iter::from_fn(|| waiting.pop()).map(|piece| u64::from(piece.length)).sum::<u64>()
                });
        }
    }

    pub(super) fn deliver_reset<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
    ) {
        self.emit(around, direction, carrier, Chunk::Reset);
        let half = &mut self.halves[direction as usize];
        if half.phase == Phase::Finished {
            half.next = half.next.wrapping_sub(1);
        }
        half.phase = Phase::Reset;
    }

    #[inline]
    fn emit<S, C: StreamConsumer<S>>(
        &mut self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        carrier: Carrier,
        chunk: Chunk<'_>,
    ) {
        let opposite = &self.halves[direction.opposite() as usize];
        let half = &self.halves[direction as usize];
        around.facts.first_sequence[direction as usize] = half.next.wrapping_sub(half.offset as u32);
        let context = ChunkContext {
            carried: carrier.stamp,
            now: around.now,
            direction,
            offset: half.offset,
            acknowledged: carrier.acknowledgment.map(|number| opposite.offset_of(number)),
            receiver: half.is_acknowledged.then_some(half.acknowledged),
        };
        around.consumer.chunk(around.facts, around.state, &context, chunk);
    }
}
