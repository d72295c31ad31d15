//! A segment's way into its connection.
//!
//! In: a segment with its flow's key, hash and, if known, place. Out: what the connection delivers of it. Promises: an ordinary
//! segment takes the short way: its flow's entry is looked up once, and nothing about it is in doubt.

use super::{
    FlowKey, FlowSlot, FlowTable,
    guard::{FlowOf, Trust, needs_sum},
    slab::MOVE_AFTER,
};
use crate::{
    capture::Stamp,
    decode::Sum,
    tcp::{Direction, FlowSegment, Stage, StreamConsumer, Verdict},
};

impl<S: Default> FlowTable<S> {
    /// Processes a segment. `key` and `direction` come from [`FlowKey::of`], `hash` from [`hash`](super::hash), and the
    /// place from [`locate`](Self::locate), if it was called. Returns the flow's place, unless the flow is over.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "what the stages before have worked out, each once")]
    pub fn push<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        key: &FlowKey,
        direction: Direction,
        hash: u64,
        hint: Option<FlowSlot>,
        stamp: Stamp,
        consumer: &mut C,
    ) -> Option<FlowSlot> {
        self.clock = self.clock.max(stamp.time);
        self.counters.segments += 1;
        self.counters.payload_bytes += u64::from(segment.wire_length);
        let flow = (key, hash, direction);
        let known = self.locate_again(flow, hint);
        if segment.encapsulation.outer_source == 0 && (self.doubts.is_empty() || !self.doubts.holds(hash)) {
            let needs_sum = match known {
                Some(slot) => {
                    let entry = self.flows.entry_mut(slot.index);
                    if entry.guard.is_tunnelled() {
                        return self.push_in_doubt(segment, flow, known, stamp, consumer);
                    }
                    // Half of all segments only acknowledge, in a flow that need not move in its list.
                    if entry.stage == Stage::Established
                        && self.clock.since(entry.queued) < MOVE_AFTER
                        && entry.connection.take_acknowledgment(direction, segment, self.shared.settings.window)
                    {
                        return known;
                    }
                    entry.needs_sum(direction, segment, consumer)
                }
                None => needs_sum(segment),
            };
            if !needs_sum || !self.settings.judges_checksums || self.sum(known, flow, segment) == Sum::Right {
                return self.take(segment, flow, known, [stamp; 2], Trust::Verified, consumer);
            }
        }
        self.push_in_doubt(segment, flow, known, stamp, consumer)
    }

    /// Finds a flow whose place was this.
    #[inline]
    pub(super) fn locate_again(&self, (key, hash, _): FlowOf<'_>, slot: Option<FlowSlot>) -> Option<FlowSlot> {
        slot.filter(|slot| self.is_valid(*slot)).or_else(|| self.locate(hash, key))
    }

    /// Processes a segment about which there may be doubt.
    #[cold]
    #[inline(never)]
    fn push_in_doubt<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: FlowOf<'_>,
        known: Option<FlowSlot>,
        stamp: Stamp,
        consumer: &mut C,
    ) -> Option<FlowSlot> {
        let trust = self.examine(segment, flow, known, stamp, consumer);
        let known = self.locate_again(flow, known);
        match trust {
            Some(trust) => self.take_doubted(segment, flow, known, [stamp; 2], trust, consumer),
            None => known,
        }
    }

    /// Does the same as [`take`](Self::take), for segments that were in doubt. The compiler puts `take` into the loop over
    /// segments; these segments are too rare for a second copy there.
    #[cold]
    #[inline(never)]
    pub(super) fn take_doubted<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: FlowOf<'_>,
        known: Option<FlowSlot>,
        stamps: [Stamp; 2],
        trust: Trust,
        consumer: &mut C,
    ) -> Option<FlowSlot> {
        self.take(segment, flow, known, stamps, trust, consumer)
    }

    /// Gives a segment to its connection. `carried` is the segment's packet, `stamp` the one now being processed. Returns the
    /// flow's place, unless the flow is over.
    #[inline(always)]
    fn take<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        (key, hash, direction): FlowOf<'_>,
        known: Option<FlowSlot>,
        [carried, stamp]: [Stamp; 2],
        trust: Trust,
        consumer: &mut C,
    ) -> Option<FlowSlot> {
        let index = match known {
            Some(slot) => slot.index,
            None => self.create(segment, key, direction, hash, stamp, trust, consumer)?,
        };
        let entry = self.flows.entry_mut(index);
        if trust == Trust::Unconfirmed {
            entry.facts.evidence.note_doubt();
        }
        let (connection, mut around) = entry.parts(index, stamp, &mut self.shared, consumer);
        around.carried = carried;
        let verdict = connection.segment(&mut around, direction, segment);
        if verdict == Verdict::InOrder
            && entry.stage == Stage::Established
            && self.clock.since(entry.queued) < MOVE_AFTER
            && (entry.is_awaiting || !consumer.awaits_time(&entry.state))
        {
            return Some(FlowSlot { index, generation: entry.generation });
        }
        if let Verdict::Replaces(opener) = verdict {
            self.replace(index, segment, (direction, trust), opener, stamp, consumer);
        }
        let slot = FlowSlot { index, generation: self.flows.entry_mut(index).generation };
        self.settle(slot, hash, stamp, consumer)
    }
}
