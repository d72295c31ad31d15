//! Header blocks that do not come in one chunk.
//!
//! In: the first bytes of a message whose header block is not whole. Out: the whole block, once its last byte is here;
//! or its start, when a limit cuts it. Promises: each byte is kept once and searched once, up to
//! [`HttpSettings::max_head_bytes`](super::HttpSettings::max_head_bytes) a block and a cap for all.

use super::{
    conversation::{Conversation, HeadEnd, Origin, Reading},
    engine::{HttpEngine, Scene},
    fields,
    line::{self, StartLine},
    proxy::{self, Preface},
    tls,
};
use crate::exchange::ExchangeSink;
use crate::tcp::ChunkContext;

impl<K: ExchangeSink> HttpEngine<K> {
    /// Keeps the start of a header block, all bytes there are.
    pub(super) fn begin_head(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        rest: &[u8],
        origin: &Origin,
    ) -> usize {
        let side = scene.direction() as usize;
        let is_fresh = conversation.sides[side].reading == Reading::Fresh;
        conversation.sides[side].reading = Reading::Head;
        let head = &mut self.pools.work(conversation).heads[side];
        head.clear();
        head.origin = Some(*origin);
        head.is_fresh = is_fresh;
        head.bytes.extend_from_slice(rest);
        head.searched = rest.len();
        self.held += rest.len();
        rest.len()
    }

    /// More of a header block that is kept.
    pub(super) fn head(&mut self, conversation: &mut Conversation, scene: Scene<'_>, rest: &[u8], at: usize) -> usize {
        let side = scene.direction() as usize;
        if at == 0 && self.is_overtaken_by_message(conversation, scene, rest) {
            self.refuse_kept(conversation, scene);
            conversation.sides[side].reading = Reading::Start;
            return 0;
        }
        let within_all = self.held + rest.len() <= self.settings.max_held_bytes;
        let limit = self.settings.max_head_bytes;
        let head = &mut self.pools.work(conversation).heads[side];
        if head.bytes.len() >= limit || !within_all {
            return self.head_over_limit(conversation, scene);
        }
        let before = head.bytes.len();
        let taken = rest.len().min(limit - before);
        head.bytes.extend_from_slice(&rest[..taken]);
        self.held += taken;
        if head.is_fresh {
            return self.fresh_again(conversation, scene, taken);
        }
        let Some(end) = fields::find_end(&head.bytes, head.searched) else {
            head.searched = head.bytes.len();
            self.check_kept(conversation, scene);
            return taken;
        };
        head.bytes.truncate(end);
        self.held -= before + taken - end;
        let consumed = end - before;
        let (bytes, origin) = self.take_head(conversation, side);
        if let Some(origin) = origin {
            conversation.sides[side].reading = Reading::Start;
            self.message(conversation, scene, &bytes, &rest[consumed..], &origin);
        }
        self.return_head(conversation, side, bytes);
        consumed
    }

    /// A stream's first bytes, kept because they could not be told yet.
    fn fresh_again(&mut self, conversation: &mut Conversation, scene: Scene<'_>, taken: usize) -> usize {
        let side = scene.direction() as usize;
        let head = &mut self.pools.work(conversation).heads[side];
        let undecided = match proxy::preface(&head.bytes) {
            Preface::Part => true,
            Preface::None => tls::recognise(&head.bytes) == tls::Recognition::Part,
            _ => false,
        };
        if undecided {
            return taken;
        }
        let (bytes, origin) = self.take_head(conversation, side);
        conversation.sides[side].reading = Reading::Fresh;
        if let Some(origin) = origin {
            self.replay(conversation, scene, &origin, &bytes);
        }
        self.return_head(conversation, side, bytes);
        taken
    }

    /// Reads kept bytes again, as if they had come in one chunk.
    fn replay(&mut self, conversation: &mut Conversation, scene: Scene<'_>, origin: &Origin, bytes: &[u8]) {
        let context = ChunkContext {
            carried: origin.carried,
            offset: origin.offset,
            acknowledged: origin.acknowledged,
            ..*scene.context
        };
        self.feed(conversation, Scene { flow: scene.flow, context: &context }, bytes);
    }

    /// Looks whether kept bytes are no message after all.
    fn check_kept(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        let side = scene.direction() as usize;
        let head = &mut self.pools.work(conversation).heads[side];
        if head.is_message {
            return;
        }
        let few = head.bytes.len() <= line::UNDECIDED_BYTES;
        if !few && !head.bytes[head.line_searched..].contains(&b'\n') {
            head.line_searched = head.bytes.len();
            return;
        }
        match line::start_line(&head.bytes) {
            StartLine::Undecided => {}
            StartLine::Request(..) | StartLine::Response(..) => head.is_message = true,
            StartLine::Malformed | StartLine::Neither => self.refuse_kept(conversation, scene),
        }
    }

    /// Whether a chunk begins with the connection's first message while what was kept before it does not look like one.
    fn is_overtaken_by_message(&self, conversation: &Conversation, scene: Scene<'_>, rest: &[u8]) -> bool {
        let Some(work) = &conversation.work else { return false };
        let head = &work.heads[scene.direction() as usize];
        let is_request = line::begins_plain_request(rest) && line::begins_request(rest);
        if head.is_guess {
            return line::begins_response(rest) || is_request;
        }
        if head.is_message || conversation.is_client(scene.direction()) || line::is_plausible(&head.bytes) {
            return false;
        }
        line::begins_response(rest) || (conversation.client.is_none() && is_request)
    }

    /// What was kept is no message.
    fn refuse_kept(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        let side = scene.direction() as usize;
        let (bytes, origin) = self.take_head(conversation, side);
        if let Some(origin) = origin {
            self.refuse(conversation, scene, &bytes, &origin);
        }
        self.return_head(conversation, side, bytes);
    }

    /// Takes a kept header block out of its buffer.
    pub(super) fn take_head(&mut self, conversation: &mut Conversation, side: usize) -> (Vec<u8>, Option<Origin>) {
        let Some(work) = &mut conversation.work else { return Default::default() };
        let head = &mut work.heads[side];
        let (bytes, origin) = (std::mem::take(&mut head.bytes), head.origin);
        head.clear();
        self.held -= bytes.len();
        (bytes, origin)
    }

    /// Gives the buffer back, unless another header block has begun meanwhile.
    pub(super) fn return_head(&mut self, conversation: &mut Conversation, side: usize, bytes: Vec<u8>) {
        if let Some(work) = &mut conversation.work
            && work.heads[side].bytes.is_empty()
        {
            work.heads[side].put_back(bytes);
        }
        self.pools.rest(conversation);
    }

    /// A header block is over a limit: its start counts, the rest is skipped.
    fn head_over_limit(&mut self, conversation: &mut Conversation, scene: Scene<'_>) -> usize {
        self.counters.heads_over_limit += 1;
        let side = scene.direction() as usize;
        if self.cut_head(conversation, scene) {
            conversation.sides[side].reading = Reading::SkipHead(HeadEnd::None);
        }
        0
    }

    /// To the end of a header block that is not read.
    pub(super) fn skip_head(
        &mut self,
        conversation: &mut Conversation,
        scene: Scene<'_>,
        rest: &[u8],
        mut end: HeadEnd,
    ) -> usize {
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            end = match (end, byte) {
                (HeadEnd::LineFeed | HeadEnd::LineFeedReturn, b'\n') => {
                    self.after_skipped_head(conversation, scene);
                    return at + 1;
                }
                (_, b'\n') => HeadEnd::LineFeed,
                (HeadEnd::LineFeed, b'\r') => HeadEnd::LineFeedReturn,
                _ => {
                    at += memchr::memchr(b'\n', &rest[at..]).unwrap_or(rest.len() - at);
                    end = HeadEnd::None;
                    continue;
                }
            };
            at += 1;
        }
        conversation.side(scene.direction()).reading = Reading::SkipHead(end);
        rest.len()
    }

    /// The body's length was in what was skipped: wait for the next message.
    fn after_skipped_head(&mut self, conversation: &mut Conversation, scene: Scene<'_>) {
        let direction = scene.direction();
        let end = conversation.side(direction).offset;
        self.lose(conversation, direction, end);
        conversation.side(direction).reading = Reading::Resync;
    }
}
