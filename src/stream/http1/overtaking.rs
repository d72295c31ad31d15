//! Responses that come before their request.
//!
//! Two interfaces, two threads of a capture: a response can stand in the capture before the request it answers. Its own
//! acknowledgment tells: the server had received more of the client's stream than the capture has shown so far. Such a
//! response is held, within limits, until that much is there.

use std::time::Duration;

use super::{
    conversation::{Conversation, Ended, Origin, Overtaking, Reading},
    engine::{HttpEngine, Scene},
    line::StatusLine,
    pairing::{Answer, Pairing},
};
use crate::exchange::ExchangeSink;
use crate::exchange::KEPT_BUFFER_BYTES;
use crate::{
    capture::Stamp,
    tcp::{Chunk, ChunkContext, Direction, FlowFacts},
};

/// Pieces that are held of one connection.
const MAX_PIECES: usize = 256;

impl<K: ExchangeSink> HttpEngine<K> {
    /// Whether a response's request is still to come.
    pub(super) fn must_wait(
        &self,
        conversation: &Conversation,
        line: &StatusLine<'_>,
        direction: Direction,
        origin: &Origin,
    ) -> bool {
        let client = &conversation.sides[direction.opposite() as usize];
        let is_final = line.status >= 200 || line.status == 101;
        is_final
            && match conversation.overtaking {
                Overtaking::Possible => true,
                Overtaking::GivenUp => client.offset != 0,
                Overtaking::Releasing => false,
            }
            && conversation.pairing != Pairing::Broken
            && client.ended == Ended::Open
            && client.reading != Reading::Opaque
            && origin.acknowledged.is_some_and(|acknowledged| acknowledged > client.offset)
            && !conversation.work.as_ref().is_some_and(|work| {
                work.queue.iter().any(|entry| entry.answer == Answer::Waiting && !entry.doubt.answer)
            })
    }

    /// Holds a response from its first byte.
    pub(super) fn begin_hold(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        bytes: &[u8],
        origin: &Origin,
    ) -> usize {
        self.counters.overtaking_responses += 1;
        self.meet(conversation, scene.direction().opposite());
        conversation.side(scene.direction()).reading = Reading::Held;
        let held = &mut self.pools.work(conversation).held;
        held.until = origin.acknowledged.unwrap_or(0);
        held.since = scene.now();
        let context = ChunkContext {
            carried: origin.carried,
            offset: origin.offset,
            acknowledged: origin.acknowledged,
            ..*scene.context
        };
        held.pieces.push((context, bytes.len()));
        held.bytes.extend_from_slice(bytes);
        self.held += bytes.len();
        bytes.len()
    }

    /// Holds what follows a held response.
    pub(super) fn hold(&mut self, conversation: &mut Conversation, scene: Scene<'_>, bytes: &[u8]) -> usize {
        let limit = self.settings.max_overtaking_bytes;
        let fits = self.held + bytes.len() <= self.settings.max_held_bytes;
        let held = &mut self.pools.work(conversation).held;
        if held.bytes.len() + bytes.len() > limit || held.pieces.len() >= MAX_PIECES || !fits {
            self.give_up_waiting(conversation, scene);
            return 0;
        }
        // Bytes after a FIN: it was forged.
        held.end = None;
        held.pieces.push((*scene.context, bytes.len()));
        held.bytes.extend_from_slice(bytes);
        self.held += bytes.len();
        bytes.len()
    }

    /// Lets held responses go where the request's bytes are there, or where they will not come.
    pub(super) fn release_if_complete(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        let Some(client) = conversation.client else { return };
        if conversation.side(client.opposite()).reading != Reading::Held {
            return;
        }
        let until = conversation.work.as_ref().map_or(0, |work| work.held.until);
        if conversation.side(client).offset >= until || Self::has_ended(conversation, client) {
            self.release(conversation, scene);
        }
    }

    /// Holds the FIN after a held response.
    pub(super) fn hold_end(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        self.pools.work(conversation).held.end = Some(*scene.context);
    }

    /// Whether this direction's bytes are held, and for how long.
    fn held_for(conversation: &Conversation, direction: Direction, now: Stamp) -> Option<Duration> {
        let is_held = conversation.sides[direction as usize].reading == Reading::Held;
        let work = conversation.work.as_ref().filter(|_| is_held)?;
        Some(now.time.since(work.held.since.time))
    }

    /// Lets held responses go before the server's stream goes on with what may have held another, or has waited too long.
    pub(super) fn release_before(&mut self, conversation: &mut Conversation, scene: Scene<'_>, chunk: &Chunk<'_>) {
        let Some(waited) = Self::held_for(conversation, scene.direction(), scene.now()) else { return };
        let is_hole = matches!(chunk, Chunk::Gap(_) | Chunk::Skipped(_));
        if is_hole || (matches!(chunk, Chunk::Data(_)) && waited > self.settings.overtaking_patience) {
            self.give_up_waiting(conversation, scene);
        }
    }

    /// Lets held responses go after which the server has been silent for too long.
    pub(super) fn release_if_overdue(&mut self, flow: &FlowFacts, conversation: &mut Conversation, now: Stamp) {
        let Some(direction) = conversation.client.map(Direction::opposite) else { return };
        if Self::held_for(conversation, direction, now).is_some_and(|waited| waited > self.settings.overtaking_silence)
        {
            let offset = conversation.side(direction).offset;
            let context = ChunkContext { carried: now, now, direction, offset, acknowledged: None };
            self.give_up_waiting(conversation, Scene { flow, context: &context });
            self.pools.rest(conversation);
        }
    }

    /// The request does not come.
    pub(super) fn give_up_waiting(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        self.counters.overtaking_given_up += 1;
        conversation.overtaking = Overtaking::Releasing;
        self.release(conversation, scene);
        conversation.overtaking = Overtaking::GivenUp;
    }

    fn release(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        let Some(client) = conversation.client else { return };
        let Some(work) = &mut conversation.work else { return };
        let end = work.held.end.take();
        let mut pieces = std::mem::take(&mut work.held.pieces);
        let mut bytes = std::mem::take(&mut work.held.bytes);
        self.held -= bytes.len();
        conversation.side(client.opposite()).reading = Reading::Start;
        let mut rest = bytes.as_slice();
        for (context, length) in pieces.drain(..) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            let context = ChunkContext { now: scene.now(), ..context };
            self.feed(conversation, Scene { flow: scene.flow, context: &context }, piece);
        }
        bytes.clear();
        let held = &mut self.pools.work(conversation).held;
        if held.pieces.is_empty() && bytes.capacity() <= KEPT_BUFFER_BYTES {
            (held.pieces, held.bytes) = (pieces, bytes);
        }
        if conversation.side(client.opposite()).reading == Reading::Held {
            self.pools.work(conversation).held.end = end;
        } else if let Some(context) = end {
            let context = ChunkContext { now: scene.now(), ..context };
            self.stream_ends(conversation, Scene { flow: scene.flow, context: &context });
        }
    }
}
