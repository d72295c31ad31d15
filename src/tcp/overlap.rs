//! Bytes that were captured more than once, with different contents.
//!
//! In: segments that overlap bytes which wait, or which were delivered. Out: calls of the consumer, which knows what it has read
//! from the delivered bytes. Promises: only bytes count that the receiver had not acknowledged, since it drops the others.

use super::{
    ChunkContext, Direction, StreamConsumer,
    connection::{Bystander, Connection},
    waiting::Arrival,
};

impl Connection {
    /// Shows the consumer the first `old` bytes of a segment, which were delivered before. Bytes that the receiver has
    /// acknowledged are left out: it had them before this segment came.
    #[cold]
    pub(super) fn compare_repeated<S, C: StreamConsumer<S>>(
        &self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: &Arrival<'_>,
        old: u32,
    ) {
        let half = &self.halves[direction as usize];
        let settled = if half.is_acknowledged { half.acknowledged.wrapping_sub(arrival.sequence) as i32 } else { 0 };
        let mut open = *arrival;
        open.drop_front(settled.max(0).unsigned_abs().min(old));
        let length = old - (open.sequence.wrapping_sub(arrival.sequence));
        let bytes = &open.payload[..open.payload.len().min(length as usize)];
        if !bytes.is_empty() {
            let context = self.context(around, direction, &open);
            if around.consumer.repeated(around.facts, around.state, &context, bytes) {
                around.shared.counters.disagreeing_bytes += u64::from(length);
                around.facts.disagreeing_bytes += u64::from(length);
            }
        }
    }

    /// The context of bytes that are not delivered.
    fn context<S, C>(&self, around: &Bystander<'_, S, C>, direction: Direction, arrival: &Arrival<'_>) -> ChunkContext {
        let opposite = &self.halves[direction.opposite() as usize];
        let half = &self.halves[direction as usize];
        ChunkContext {
            carried: arrival.carrier.stamp,
            now: around.now,
            direction,
            offset: half.offset_of(arrival.sequence),
            acknowledged: arrival.carrier.acknowledgment.map(|number| opposite.offset_of(number)),
            receiver: half.is_acknowledged.then_some(half.acknowledged),
        }
    }

    /// Tells the consumer that a segment contradicts bytes that wait.
    #[cold]
    pub(super) fn note_contested<S, C: StreamConsumer<S>>(
        &self,
        around: &mut Bystander<'_, S, C>,
        direction: Direction,
        arrival: &Arrival<'_>,
    ) {
        let context = self.context(around, direction, arrival);
        around.consumer.contested(around.facts, around.state, &context, u64::from(arrival.length));
    }
}
