//! Holes, and the way back.
//!
//! In: gaps, and bytes in which the next message must be found. Out: a stream that goes on at a message. Promises: what
//! a hole cannot have held is not given up for it; what it may have held makes pairing careful.

use super::{
    conversation::{Conversation, Origin, Reading, Target},
    engine::{HttpEngine, Scene, blanks},
    line::{self, StartLine},
    pairing::{Answer, Pairing},
};
use crate::exchange::{ExchangeSink, Remarks};
use crate::tcp::Direction;

/// Bytes of a loss-free stream from its start in which HTTP may yet begin; beyond it the stream is something else.
const RECOGNITION_BYTES: u64 = 64 << 10;

impl<K: ExchangeSink> HttpEngine<K> {
    /// Looking for a message at the start of a chunk.
    pub(super) fn resync(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        rest: &[u8],
        at: usize,
    ) -> usize {
        let direction = scene.direction();
        let skip = if at == 0 { blanks(rest) } else { 0 };
        let candidate = &rest[skip..];
        let mut is_guess = false;
        // After a loss a chunk may begin inside a method's name.
        let is_whole = scene.flow.opened_by.is_some() && scene.flow.gap_bytes == 0;
        let found = at == 0
            && match line::start_line(candidate) {
                StartLine::Response(status, _) => status.status != 0 && !conversation.is_client(direction),
                StartLine::Request(request, _) => {
                    request.version.major != 0
                        && !conversation.is_server(direction)
                        && (is_whole || line::is_known_method(request.method))
                }
                StartLine::Undecided => {
                    is_guess = may_begin(conversation, direction, candidate);
                    is_guess
                }
                StartLine::Malformed | StartLine::Neither => false,
            };
        if found {
            self.counters.resynchronisations += 1;
            if conversation.client.is_some() && conversation.side(direction).body != 0 {
                // What was passed over may have held messages.
                self.lose(conversation, direction, scene.context.offset);
            }
            if conversation.target != Target::None && conversation.is_server(direction) {
                self.end_response(conversation, scene, Remarks::default());
            }
            conversation.side(direction).reading = Reading::Start;
            if is_guess {
                self.begin_head(conversation, scene, candidate, &Origin::within(scene.context, skip));
                self.pools.work(conversation).heads[direction as usize].is_guess = true;
                return rest.len();
            }
            return skip;
        }
        if conversation.is_client(direction) {
            self.add_to_malformed(conversation, scene, rest);
        }
        let is_other = is_whole && conversation.client.is_none();
        let side = conversation.side(direction);
        side.body += rest.len() as u64;
        self.counters.bytes_passed_over += rest.len() as u64;
        if is_other && side.body > RECOGNITION_BYTES {
            side.reading = Reading::Opaque;
        }
        rest.len()
    }

    /// Something of this direction before `end` that could have held a message was lost or could not be read.
    pub(super) fn lose(&mut self, conversation: &mut Conversation, direction: Direction, end: u64) {
        let before = conversation.pairing;
        conversation.pairing.lose(conversation.asks);
        if conversation.pairing == Pairing::Broken && before != Pairing::Broken {
            self.counters.pairings_broken += 1;
        }
        let from_server = conversation.is_server(direction);
        let side = &mut conversation.sides[direction as usize];
        side.lost_until = side.lost_until.max(end);
        if let Some(work) = &mut conversation.work {
            for entry in work.queue.iter_mut().filter(|entry| entry.answer == Answer::Waiting) {
                if from_server {
                    entry.doubt.answer = true;
                } else {
                    entry.doubt.followers = true;
                }
            }
        }
    }

    /// Bytes that were never captured, or that nobody kept.
    pub(super) fn gap(&mut self, conversation: &mut Conversation, scene: Scene<'_>, count: u64, captured: bool) {
        let direction = scene.direction();
        let remark = if captured { Remarks::default() } else { Remarks::BODY_GAP };
        let is_unpaired = conversation.target == Target::Unpaired && conversation.is_server(direction);
        let side = conversation.side(direction);
        match &mut side.reading {
            Reading::Body(left) => {
                let passed = count.min(*left);
                *left -= passed;
                // A response to an unseen request may have been to HEAD, and what is lost no body.
                let in_doubt = side.body == 0 && is_unpaired;
                side.body = side.body.saturating_add(passed);
                let over = *left == 0;
                if in_doubt {
                    self.lose(conversation, direction, scene.context.offset.saturating_add(count));
                }
                self.remark(conversation, direction, remark);
                if over {
                    self.end_message(conversation, scene, Remarks::default());
                }
                if passed < count {
                    self.gap_between(conversation, scene, count);
                }
            }
            Reading::Chunked(chunked) => {
                let kept = chunked.pass(count, &mut side.body);
                self.remark(conversation, direction, remark);
                if !kept {
                    self.end_message(conversation, scene, Remarks::BODY_GAP);
                    self.gap_between(conversation, scene, count);
                }
            }
            Reading::UntilClose => {
                side.body = side.body.saturating_add(count);
                self.remark(conversation, direction, remark);
            }
            Reading::Head => {
                self.counters.heads_cut += 1;
                let is_response = self.keeps_response(conversation, direction);
                if !self.cut_head(conversation, scene) && is_response {
                    self.sink.hidden(scene.now());
                }
                self.gap_between(conversation, scene, count);
            }
            Reading::Opaque => {}
            Reading::Tls => self.leave_tls(conversation, scene.direction()),
            Reading::Fresh | Reading::Start | Reading::SkipHead(_) | Reading::Resync | Reading::Held => {
                self.gap_between(conversation, scene, count);
            }
        }
        conversation.side(direction).offset = scene.context.offset.saturating_add(count);
    }

    /// Whether what is kept of a header block is a response's.
    fn keeps_response(&self, conversation: &Conversation, direction: Direction) -> bool {
        let Some(work) = &conversation.work else { return false };
        conversation.is_server(direction)
            || (conversation.client.is_none() && line::may_be_response(&work.heads[direction as usize].bytes))
    }

    /// What is lost may have held whole messages.
    fn gap_between(&mut self, conversation: &mut Conversation, scene: Scene<'_>, count: u64) {
        if conversation.is_server(scene.direction())
            && let Some(work) = &conversation.work
            && work.queue.iter().any(|entry| entry.answer == Answer::Waiting)
        {
            self.sink.hidden(scene.now());
        }
        self.lose(conversation, scene.direction(), scene.context.offset.saturating_add(count));
        if !matches!(conversation.side(scene.direction()).reading, Reading::Opaque) {
            conversation.side(scene.direction()).reading = Reading::Resync;
        }
    }
}

/// Whether the end of a chunk is surely the first part of a start line: a guess would swallow the next one.
fn may_begin(conversation: &Conversation, direction: Direction, bytes: &[u8]) -> bool {
    let response = bytes.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"));
    (response && !conversation.is_client(direction))
        || (line::begins_plain_request(bytes) && !conversation.is_server(direction))
}
