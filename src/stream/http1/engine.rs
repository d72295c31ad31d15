//! The engine: chunks of many connections in, exchanges out.
//!
//! [`HttpEngine`] owns what connections share: the sink, the pools, the counters. Here is the way of a chunk through
//! one side's [`Reading`]; header blocks in pieces are in `kept`, what a whole one means is in `message`, what the end of a
//! stream means in `ending`.

use super::{
    conversation::{Conversation, LastAnswer, Origin, Reading, Target},
    framing::Progress,
    line,
    pairing::{Answer, Asking},
    pools::Pools,
    proxy::{self, Preface},
    settings::{HttpCounters, HttpSettings},
    tls,
};
use crate::exchange::{ExchangePool, ExchangeSink, Remarks};
use crate::{
    capture::Stamp,
    tcp::{Chunk, ChunkContext, Direction, Ending, FlowFacts, StreamConsumer},
};

/// Parses the HTTP of any number of connections and gives exchanges to its sink.
#[derive(Debug)]
pub struct HttpEngine<K> {
    pub(super) settings: HttpSettings,
    pub(super) counters: HttpCounters,
    pub(super) sink: K,
    pub(super) pools: Pools,
    /// Bytes of incomplete header blocks and held responses in all conversations.
    pub(super) held: usize,
}

/// The flow and packet at hand.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) flow: &'a FlowFacts,
    pub(super) context: &'a ChunkContext,
}

impl Scene<'_> {
    pub(super) fn direction(&self) -> Direction {
        self.context.direction
    }

    pub(super) fn now(&self) -> Stamp {
        self.context.now
    }
}

impl<K: ExchangeSink> HttpEngine<K> {
    /// An engine that has seen nothing yet.
    pub fn new(settings: HttpSettings, sink: K) -> Self {
        Self { settings, counters: HttpCounters::default(), sink, pools: Pools::default(), held: 0 }
    }

    /// Goes on under other settings, from the next header block on.
    pub fn reconfigure(&mut self, settings: HttpSettings) {
        self.settings = settings;
    }

    /// What takes the exchanges.
    pub fn sink(&self) -> &K {
        &self.sink
    }

    /// What takes the exchanges, to change it.
    pub fn sink_mut(&mut self) -> &mut K {
        &mut self.sink
    }

    /// Where exchanges come from.
    pub fn pool(&self) -> &ExchangePool {
        &self.pools.exchanges
    }

    /// The same, to give back those that the sink kept.
    pub fn pool_mut(&mut self) -> &mut ExchangePool {
        &mut self.pools.exchanges
    }

    /// What was seen so far.
    pub fn counters(&self) -> &HttpCounters {
        &self.counters
    }

    /// Bytes of incomplete header blocks and held responses at present.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Reads a chunk's bytes.
    pub(super) fn feed(&mut self, conversation: &mut Conversation, scene: Scene<'_>, bytes: &[u8]) {
        let side = scene.direction() as usize;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let reading = conversation.sides[side].reading;
            at += match reading {
                Reading::Body(_) | Reading::Chunked(_) | Reading::UntilClose => {
                    self.body(conversation, scene, rest, at)
                }
                Reading::Start => self.start(conversation, scene, rest, at),
                Reading::Fresh => self.fresh(conversation, scene, rest, at),
                Reading::Head => self.head(conversation, scene, rest, at),
                Reading::SkipHead(end) => self.skip_head(conversation, scene, rest, end),
                Reading::Held => self.hold(conversation, scene, rest),
                Reading::Resync => self.resync(conversation, scene, rest, at),
                Reading::Tls => self.tls(conversation, scene, rest),
                Reading::Opaque => rest.len(),
            };
            conversation.sides[side].offset = scene.context.offset + at as u64;
        }
    }

    /// At a stream's first byte.
    fn fresh(&mut self, conversation: &mut Conversation, scene: Scene<'_>, rest: &[u8], at: usize) -> usize {
        match proxy::preface(rest) {
            Preface::Whole { version, length, source } => {
                match version {
                    1 => self.counters.proxy_v1_headers += 1,
                    _ => self.counters.proxy_v2_headers += 1,
                }
                conversation.proxied = source.map(Box::new);
                return length;
            }
            Preface::Part => {
                return self.begin_head(conversation, scene, rest, &Origin::within(scene.context, at));
            }
            Preface::Refused => self.counters.proxy_headers_refused += 1,
            Preface::None => {}
        }
        match tls::recognise(rest) {
            tls::Recognition::Tls => {
                self.begin_tls(conversation, scene);
                0
            }
            tls::Recognition::Part => self.begin_head(conversation, scene, rest, &Origin::within(scene.context, at)),
            tls::Recognition::Other => {
                let side = conversation.side(scene.direction());
                side.reading = Reading::Start;
                side.offset = scene.context.offset + at as u64;
                self.start(conversation, scene, rest, at)
            }
        }
    }

    /// Where a message may begin.
    #[inline]
    fn start(&mut self, conversation: &mut Conversation, scene: Scene<'_>, rest: &[u8], at: usize) -> usize {
        let blank = blanks(rest);
        if blank != 0 {
            return blank;
        }
        self.message(conversation, scene, rest, &[], &Origin::within(scene.context, at))
    }

    /// In a body.
    #[inline]
    fn body(&mut self, conversation: &mut Conversation, scene: Scene<'_>, rest: &[u8], at: usize) -> usize {
        let direction = scene.direction();
        let from_server = conversation.is_server(direction);
        if self.is_no_body_after_all(conversation, scene, rest, at) {
            if !from_server {
                self.end_request(conversation, scene, Remarks::BODY_INCOMPLETE);
            } else if conversation.sides[direction as usize].body == 0 || conversation.target == Target::Front {
                self.end_response(conversation, scene, Remarks::default());
            } else {
                // What was taken for a body may have held messages.
                self.end_response(conversation, scene, Remarks::BODY_INCOMPLETE);
                self.lose(conversation, direction, scene.context.offset);
            }
            return 0;
        }
        // What follows a header block in its own chunk was stored with it.
        if from_server && at == 0 {
            self.store_body_start(conversation, rest);
        }
        let side = &mut conversation.sides[direction as usize];
        let (taken, over) = match &mut side.reading {
            Reading::Body(left) => {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                side.body += taken as u64;
                (taken, *left == 0)
            }
            Reading::Chunked(chunked) => match chunked.take(rest, &mut side.body) {
                Progress::More => (rest.len(), false),
                Progress::End(taken) => (taken, true),
                Progress::Broken => {
                    self.counters.bad_chunks += 1;
                    self.remark(conversation, direction, Remarks::BAD_CHUNK);
                    conversation.sides[direction as usize].reading = Reading::Resync;
                    if !from_server {
                        self.end_request(conversation, scene, Remarks::BAD_CHUNK);
                    }
                    self.lose(conversation, direction, scene.context.offset + (at + rest.len()) as u64);
                    conversation.sides[direction as usize].reading = Reading::Resync;
                    return rest.len();
                }
            },
            _ => {
                side.body += rest.len() as u64;
                return rest.len();
            }
        };
        if over {
            conversation.sides[direction as usize].offset = scene.context.offset + (at + taken) as u64;
            if from_server {
                self.end_response(conversation, scene, Remarks::default());
            } else {
                self.end_request(conversation, scene, Remarks::default());
            }
        }
        taken
    }

    /// Whether the next message begins where a body was expected.
    ///
    /// - A response to an unseen request may have been to HEAD, unless it is the connection's last anyway.
    /// - A client that was refused before it sent its body may send the next request instead.
    /// - A response without length ends where another one answers a request sent after it.
    #[inline]
    fn is_no_body_after_all(&self, conversation: &Conversation, scene: Scene<'_>, rest: &[u8], at: usize) -> bool {
        let side = &conversation.sides[scene.direction() as usize];
        let queue = conversation.work.as_ref().map(|work| &work.queue);
        if conversation.is_server(scene.direction()) {
            let is_unpaired = conversation.target == Target::Unpaired;
            let is_last = conversation.last_answer == LastAnswer::Closes;
            let possible = (is_unpaired && !is_last && (side.body == 0 || at == 0))
                || (at == 0
                    && side.reading == Reading::UntilClose
                    && queue.is_some_and(|queue| queue.iter().any(|entry| entry.answer == Answer::Waiting)));
            possible && (line::begins_response(rest) || (is_unpaired && side.body == 0 && line::may_be_response(rest)))
        } else {
            at == 0
                && side.body == 0
                && queue.and_then(|queue| queue.back()).is_some_and(|entry| {
                    entry.asking == Asking::Body && entry.expects_continue && entry.answer != Answer::Waiting
                })
                && line::begins_request(rest)
        }
    }
}

/// Length of the blanks and line ends that may stand before a start line.
#[inline]
pub(super) fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).unwrap_or(bytes.len())
}

impl<K: ExchangeSink> StreamConsumer<Conversation> for HttpEngine<K> {
    fn chunk(&mut self, flow: &FlowFacts, state: &mut Conversation, context: &ChunkContext, chunk: Chunk<'_>) {
        let scene = Scene { flow, context };
        let direction = context.direction;
        if matches!(chunk, Chunk::Data(_) | Chunk::Skipped(_) | Chunk::Gap(_)) {
            Self::goes_on(state, direction);
        }
        if state.sides[direction as usize].reading == Reading::Held {
            self.release_before(state, scene, &chunk);
        }
        match chunk {
            Chunk::Data(bytes) => self.feed(state, scene, bytes),
            Chunk::Fin if state.sides[direction as usize].reading == Reading::Held => self.hold_end(state, scene),
            Chunk::Skipped(count) => self.gap(state, scene, count, true),
            Chunk::Gap(count) => self.gap(state, scene, count, false),
            Chunk::Fin => self.stream_ends(state, scene),
            Chunk::Reset => Self::is_reset(state, scene),
        }
        self.release_if_complete(state, scene);
        self.pools.rest(state);
    }

    fn end(&mut self, flow: &FlowFacts, state: &mut Conversation, now: Stamp, ending: Ending) {
        self.connection_ends(flow, state, now, ending);
    }

    #[inline]
    fn awaits_time(&self, state: &Conversation) -> bool {
        state.sides.iter().any(|side| side.reading == Reading::Held)
    }

    fn tick(&mut self, flow: &FlowFacts, state: &mut Conversation, now: Stamp) {
        self.release_if_overdue(flow, state, now);
    }

    #[inline]
    fn unneeded(&self, state: &Conversation, direction: Direction) -> u64 {
        let side = &state.sides[direction as usize];
        match side.reading {
            // The first bytes of a body may turn out to be something else, or tell the server.
            Reading::Body(left) if side.body != 0 => left,
            Reading::Chunked(chunked) if side.body != 0 => chunked.data_left(),
            Reading::Opaque => u64::MAX,
            _ => 0,
        }
    }
}
