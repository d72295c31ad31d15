//! Gaps and resynchronisation: how a stream is read again after a gap.
//!
//! In: gaps, refused bytes, and the bytes after them. Out: a stream that continues at the next message. Promises: only
//! messages that a gap may have contained are lost. If a gap may have contained a message, responses are paired by evidence
//! from there on.

use super::{
    conversation::{Answering, Conversation, ReadState},
    head::blanks,
    pairing::{Entry, Pairing, Pipelining, ResponseProgress, Snapped},
    start_line::{self, StartLine},
};
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::{
        GapKind,
        context::{Origin, ParserContext},
        registry::Reader,
    },
    tcp::Direction,
};

/// In a stream without gaps, HTTP must begin within this many bytes of the start. If it does not, the stream is of another
/// protocol.
const RECOGNITION_BYTES: u64 = 64 << 10;

impl Conversation {
    /// Looks for a message at the start of a chunk. Returns how many bytes were skipped.
    pub(super) fn resync<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        at: usize,
    ) -> usize {
        let direction = around.direction();
        let skip = if at == 0 { blanks(rest) } else { 0 };
        let candidate = &rest[skip..];
        let mut is_guess = false;
        // After a gap a chunk may begin inside a method's name.
        let is_whole = around.flow.is_whole();
        let found = at == 0
            && match start_line::start_line(candidate) {
                StartLine::Response(status, _) => status.status != 0 && self.may_answer(around, direction),
                StartLine::Request(request, _) => {
                    request.version.major != 0
                        && self.may_ask(around, direction)
                        && (is_whole || start_line::is_known_method(request.method))
                }
                StartLine::Undecided => {
                    is_guess = self.may_begin(around, candidate);
                    is_guess
                }
                StartLine::Malformed | StartLine::Neither => false,
            };
        if found {
            around.shared.counters.resynchronisations += 1;
            if self.client.is_some() && self.side(direction).body != 0 && !self.was_snapped(direction) {
                // The skipped bytes may have been messages.
                self.note_gap(around, direction, around.chunk.offset);
            }
            if self.answering != Answering::None && self.is_server(direction) {
                self.end_response(around, Remarks::default());
            }
            self.side(direction).state = ReadState::Between;
            if is_guess {
                self.begin_partial_head(around, candidate, &Origin::within(around.chunk, skip));
                around.shared.http1.fill(&mut self.in_flight).partial_heads[direction as usize].is_guess = true;
                return rest.len();
            }
            return skip;
        }
        if self.is_client(direction) {
            self.add_to_malformed(around, rest, around.chunk.offset + at as u64);
        }
        let is_other = is_whole && self.client.is_none();
        if self.is_client(direction) {
            self.pipelining.note_bytes();
        }
        let side = self.side(direction);
        side.body += rest.len() as u64;
        around.shared.counters.bytes_passed_over += rest.len() as u64;
        if is_other && side.body > RECOGNITION_BYTES {
            around.sides[direction as usize].reader = Reader::Opaque;
        }
        self.note_refused(around, rest);
        rest.len()
    }

    /// Looks for the next status line in bytes that belong to no message. Returns how many bytes were skipped.
    #[cold]
    pub(super) fn surplus<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        rest: &[u8],
        at: usize,
    ) -> usize {
        let direction = around.direction();
        let found = match at {
            0 if start_line::begins_response(rest) => Some(0),
            _ if self.awaits_response() => start_line::find_status_line(rest),
            _ => None,
        };
        let skipped = found.unwrap_or(rest.len());
        around.shared.counters.bytes_passed_over += skipped as u64;
        if skipped != 0 {
            self.note_gap(around, direction, around.chunk.offset + (at + skipped) as u64);
        }
        if found.is_some() {
            around.shared.counters.resynchronisations += 1;
            self.side(direction).state = ReadState::Between;
        }
        skipped
    }

    /// Returns whether a request waits for its response, or a response may come whose request is not known.
    pub(super) fn awaits_response(&self) -> bool {
        self.pairing != Pairing::Exact || self.has_waiting_request()
    }

    /// Returns whether a request waits for its response.
    pub(super) fn has_waiting_request(&self) -> bool {
        let mut queue = self.in_flight.iter().flat_map(|in_flight| &in_flight.queue);
        queue.any(|entry| entry.response == ResponseProgress::Waiting)
    }

    /// Notes that bytes of a side before the offset `end` may have been messages. They were not captured or could not be
    /// read.
    pub(super) fn note_gap<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        direction: Direction,
        end: u64,
    ) {
        let before = self.pairing;
        self.pairing.note_gap(self.pipelining);
        if self.pairing == Pairing::Broken && before != Pairing::Broken {
            around.shared.counters.pairings_broken += 1;
        }
        let from_server = self.is_server(direction);
        around.sides[direction as usize].may_lack_answer |= end != 0;
        let side = &mut self.sides[direction as usize];
        side.gap_until = side.gap_until.max(end);
        if !from_server && end != 0 {
            self.pipelining.note_gap();
        }
        for entry in self.waiting_mut() {
            if !from_server {
                entry.doubt.followers = true;
            } else if entry.received < end {
                // What the client had received before it sent the request is not the response.
                entry.doubt.response = true;
            }
        }
    }

    /// The requests that wait for their responses.
    fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let queue = self.in_flight.iter_mut().flat_map(|in_flight| &mut in_flight.queue);
        queue.filter(|entry| entry.response == ResponseProgress::Waiting)
    }

    /// Notes that the packet of a request is cut by the capture's snap length. A client that waits for each answer sends nothing else
    /// in that packet.
    fn note_snapped_request(&mut self) {
        self.pairing.note_gap(self.pipelining);
        self.pipelining = Pipelining::OneByOne(Snapped::Last);
        self.waiting_mut().for_each(|entry| entry.doubt.followers = true);
    }

    /// Returns whether the last message of a side was a request that the snap length cut. What the client sends then without beginning a
    /// request is the body of that one.
    fn was_snapped(&self, direction: Direction) -> bool {
        self.is_client(direction) && self.pipelining.is_snapped()
    }

    /// A response came that no request waits for. Returns whether only a packet of the client that the snap length cut can have held
    /// its request, behind another.
    pub(super) fn is_of_snapped_request(&self, server: Direction) -> bool {
        self.pipelining.is_snapped()
            && self.sides[server.opposite() as usize].gap_until <= self.accounted_until
            && !self.has_waiting_request()
    }

    /// Handles missing bytes.
    pub(in crate::stream) fn gap<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        count: u64,
        kind: GapKind,
    ) {
        let direction = around.direction();
        let remark = if kind == GapKind::NotKept { Remarks::default() } else { Remarks::BODY_GAP };
        let is_unpaired = self.answering == Answering::Unpaired && self.is_server(direction);
        if self.is_held(around, direction) {
            self.release_without_request(around);
        }
        let side = self.side(direction);
        match &mut side.state {
            ReadState::Body(left) => {
                let passed = count.min(*left);
                *left -= passed;
                // A response to an unseen request may answer HEAD. Then the missing bytes are no body.
                let in_doubt = side.body == 0 && is_unpaired;
                side.body = side.body.saturating_add(passed);
                let over = *left == 0;
                if in_doubt {
                    self.note_gap(around, direction, around.chunk.offset.saturating_add(count));
                }
                self.remark(direction, remark);
                if over {
                    around.sides[direction as usize].offset = around.chunk.offset.saturating_add(passed);
                    self.end_message(around, Remarks::default());
                }
                if passed < count {
                    // Behind the body, another message has begun.
                    self.gap_between_messages(around, count, GapKind::NotCaptured);
                }
            }
            ReadState::Chunked(chunked) => {
                let is_framed = chunked.pass(count, &mut side.body);
                self.remark(direction, remark);
                if !is_framed {
                    self.end_message(around, Remarks::BODY_GAP);
                    self.gap_between_messages(around, count, kind);
                }
            }
            ReadState::UntilClose => {
                side.body = side.body.saturating_add(count);
                self.remark(direction, remark);
            }
            ReadState::PartialHead => {
                around.shared.counters.heads_cut += 1;
                let is_response = self.holds_response(direction);
                if !self.cut_head(around, Some(kind)) && is_response {
                    around.shared.sink.response_gap(around.now());
                }
                self.gap_between_messages(around, count, kind);
            }
            ReadState::BodyOrMessage => {
                self.settle_first_line(around);
                self.gap(around, count, kind);
            }
            ReadState::Between => self.gap_between_messages(around, count, GapKind::NotCaptured),
            ReadState::OversizedHead(_) | ReadState::Surplus | ReadState::Resync | ReadState::EarlyResponse => {
                self.gap_between_messages(around, count, kind);
            }
        }
    }

    /// Returns whether the partial head of a side is that of a response.
    fn holds_response(&self, direction: Direction) -> bool {
        let Some(in_flight) = &self.in_flight else { return false };
        self.is_server(direction)
            || (self.client.is_none()
                && start_line::may_be_response(&in_flight.partial_heads[direction as usize].bytes))
    }

    /// Handles missing bytes that may have been whole messages.
    fn gap_between_messages<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, count: u64, kind: GapKind) {
        if self.is_server(around.direction()) && self.has_waiting_request() {
            around.shared.sink.response_gap(around.now());
        }
        let end = around.chunk.offset.saturating_add(count);
        let waits = matches!(self.pipelining, Pipelining::OneByOne(_));
        if kind == GapKind::Snapped && waits && self.is_client(around.direction()) {
            self.note_snapped_request();
        } else {
            self.note_gap(around, around.direction(), end);
        }
        self.side(around.direction()).state = ReadState::Resync;
        if self.roles.is_unseen(around.direction()) {
            self.note_missing_first_bytes(around);
        }
    }

    /// Returns whether the last bytes of a chunk are certainly the first part of a start line. After a wrong guess, the next
    /// start line would be missed.
    fn may_begin<K>(&self, around: &ParserContext<'_, K>, bytes: &[u8]) -> bool {
        let direction = around.direction();
        let response = bytes.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"));
        (response && self.may_answer(around, direction))
            || (start_line::begins_plain_request(bytes) && self.may_ask(around, direction))
    }
}
