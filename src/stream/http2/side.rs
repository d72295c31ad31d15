//! One side of a connection: its bytes, frame by frame.
//!
//! In: the side's bytes and gaps. Out: header blocks, the content of DATA, and control frames, each passed on when it is whole.
//! Promises: only header blocks and short control frames are kept, under the limits of one block and of all connections. Any
//! cut into chunks gives the same.

use super::{
    Http2,
    blocks::OpenBlock,
    frames::{
        self, BlockLimits, DEFAULT_MAX_LENGTH, FrameHeader, GREATEST_MAX_LENGTH, HEADER_BYTES, PREFACE,
        PREFACE_REQUEST, flag, kind,
    },
    hpack::Decoder,
};
use crate::{
    exchange::ExchangeSink,
    stream::{
        GapKind,
        context::{Origin, ParserContext, Shared},
    },
};

/// Longest SETTINGS, GOAWAY or RST_STREAM of which the content is read.
const MOST_CONTROL_BYTES: u32 = 1 << 10;

/// How far beyond the highest stream that was seen a stream may be after a loss.
const MOST_STREAMS_LOST: u32 = 512;

/// The part of a frame that is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// The first byte of the side.
    #[default]
    Start,
    /// The rest of the body of a request of HTTP/1 that HTTP/2 answers, of which so many bytes are left.
    Body(u64),
    /// The rest of the client's preface, of which so many bytes were seen.
    Preface(u8),
    /// A frame header, the first bytes of which may be in `partial`.
    Header,
    /// A payload that is kept in `partial` until it is whole.
    Payload(FrameHeader),
    /// DATA, with so many bytes left of the frame, and of its content.
    Data { header: FrameHeader, left: u32, content: u32, is_first: bool },
    /// A frame that is not read, with so many bytes left.
    Skip(u32),
    /// The next chunk that begins a chain of frames: bytes were lost, or could not be read.
    Lost,
}

/// The reader of one side.
#[derive(Debug, Default)]
pub(super) struct SideReader {
    pub(super) state: State,
    /// The offset at which the side begins to speak HTTP/2.
    pub(super) start: u64,
    /// Where the frame begins that is being read.
    pub(super) origin: Option<Origin>,
    pub(super) partial: Vec<u8>,
    pub(super) open_block: Option<OpenBlock>,
    /// The fragments of the open block, without padding and priority.
    pub(super) block: Vec<u8>,
    pub(super) decoder: Decoder,
    /// The longest frame that the other side has allowed, as far as it was seen.
    max_length: u32,
    /// Whether bytes were passed over.
    has_passed_over: bool,
    /// Whether frames were lost and no message was read since: where the frames seem to go on may be within one.
    is_doubtful: bool,
}

impl SideReader {
    /// Returns whether bytes of the side were passed over.
    pub(super) fn has_passed_over(&self) -> bool {
        self.has_passed_over
    }

    /// Sets where the side begins to speak HTTP/2, and what is read next.
    pub(super) fn begin_at(&mut self, start: u64, state: State) {
        (self.start, self.state) = (start, state);
    }

    /// Sets what is read next.
    pub(super) fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// Returns whether the side has not been read yet.
    pub(super) fn is_unread(&self) -> bool {
        self.state == State::Start
    }

    /// Returns whether it is not certain where frames begin.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Notes that a message was read: it is certain where frames begin.
    pub(super) fn confirm(&mut self) {
        self.is_doubtful = false;
    }

    /// Returns how many of the side's next bytes are not read, whatever they are, and the stream whose content they are.
    pub(super) fn unneeded(&self) -> (u64, Option<u32>) {
        match self.state {
            // The first bytes of a body may be a form, or help to identify the server.
            State::Data { header, left, is_first: false, .. } => (left.into(), Some(header.stream)),
            State::Skip(left) => (left.into(), None),
            State::Body(left) => (left, None),
            _ => (0, None),
        }
    }

    pub(super) fn table_bytes(&self) -> usize {
        self.decoder.bytes()
    }

    pub(super) fn forget_table(&mut self) {
        self.decoder = Decoder::default();
    }

    /// Empties both buffers.
    pub(super) fn release<K>(&mut self, shared: &mut Shared<K>) {
        self.release_block(shared);
        shared.held -= self.partial.len();
        self.partial = Vec::new();
    }

    pub(super) fn release_block<K>(&mut self, shared: &mut Shared<K>) {
        self.open_block = None;
        shared.held -= self.block.len();
        self.block = Vec::new();
    }
}

impl Http2 {
    /// Reads the next bytes of the current side, up to the end of a frame at most. Returns how many were read.
    pub(super) fn step<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) -> usize {
        let side = around.direction() as usize;
        match self.sides[side].state {
            State::Start => {
                self.begin_side(around, rest, at);
                0
            }
            State::Body(left) => {
                let taken = left.min(rest.len() as u64);
                self.pass_body(around, left, taken, None);
                taken as usize
            }
            State::Preface(seen) => self.preface(around, rest, seen),
            State::Header => self.header(around, rest, at),
            State::Payload(header) => self.payload(around, header, rest, at),
            State::Data { header, left, content, is_first } => {
                let taken = rest.len().min(left as usize);
                let mut piece = &rest[..taken];
                let mut content = content;
                if is_first && header.has(flag::PADDED) {
                    let (padding, after) = piece.split_first().unwrap_or((&0, &[]));
                    content = (header.length - 1).saturating_sub(u32::from(*padding));
                    piece = after;
                }
                let piece = &piece[..piece.len().min(content as usize)];
                self.data(around, header.stream, piece, around.chunk.offset + (at + taken) as u64);
                let (left, content) = (left - taken as u32, content - piece.len() as u32);
                self.sides[side].state = State::Data { header, left, content, is_first: false };
                self.end_data_if_whole(around, around.chunk.offset + (at + taken) as u64);
                taken
            }
            State::Skip(left) => {
                let taken = rest.len().min(left as usize);
                self.sides[side].state = skip(left - taken as u32);
                taken
            }
            State::Lost => {
                if at == 0 && rest.starts_with(PREFACE) {
                    self.begin_side(around, rest, at);
                    return 0;
                }
                if at == 0 && self.goes_on(rest) {
                    around.shared.counters.resynchronisations += 1;
                    let side = &mut self.sides[side];
                    side.state = State::Header;
                    // The loss may have hidden the side's beginning.
                    side.max_length = side.max_length.max(longest_at_first(around));
                    return 0;
                }
                self.pass_over(around, rest.len() as u64);
                rest.len()
            }
        }
    }

    /// Begins to read a side: with the preface, behind the preface's request line, or with a frame.
    fn begin_side<K>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) {
        let direction = around.direction();
        let side = &mut self.sides[direction as usize];
        let seen = match rest.first() {
            Some(b'P') => Some(0),
            Some(b'S') => Some(PREFACE_REQUEST.len() as u8),
            _ => None,
        };
        let is_first = seen.is_some() || around.chunk.offset + at as u64 == side.start;
        if is_first && around.flow.opened_by.is_some() {
            side.decoder = Decoder::from_start();
        }
        side.max_length = side.max_length.max(longest_at_first(around));
        side.state = seen.map_or(State::Header, State::Preface);
        if seen.is_some() {
            self.client = Some(direction);
        }
        if !is_first {
            self.may_lack_requests = true;
            self.streams.note_loss();
        }
    }

    fn preface<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], seen: u8) -> usize {
        let expected = &PREFACE[usize::from(seen)..];
        let taken = rest.len().min(expected.len());
        if rest[..taken] != expected[..taken] {
            self.lose(around);
            return 0;
        }
        let side = &mut self.sides[around.direction() as usize];
        side.state = if taken == expected.len() { State::Header } else { State::Preface(seen + taken as u8) };
        taken
    }

    fn header<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, rest: &[u8], at: usize) -> usize {
        let side = &mut self.sides[around.direction() as usize];
        if side.partial.is_empty() {
            side.origin = Some(Origin::within(around.chunk, at));
        }
        let taken = rest.len().min(HEADER_BYTES - side.partial.len());
        let header = if side.partial.is_empty() {
            FrameHeader::read(rest)
        } else {
            side.partial.extend_from_slice(&rest[..taken]);
            around.shared.held += taken;
            FrameHeader::read(&side.partial)
        };
        match header {
            Some(header) => {
                around.shared.held -= side.partial.len();
                side.partial.clear();
                self.begin_frame(around, header, at + taken);
            }
            None if side.partial.is_empty() => {
                side.partial.extend_from_slice(rest);
                around.shared.held += rest.len();
            }
            None => {}
        }
        taken
    }

    /// Begins a frame, whose payload begins `at` bytes into the chunk.
    fn begin_frame<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, header: FrameHeader, at: usize) {
        let end = around.chunk.offset + at as u64;
        let side = &mut self.sides[around.direction() as usize];
        if !header.is_valid(side.max_length) {
            self.lose(around);
            return;
        }
        let goes_on = header.kind == kind::CONTINUATION;
        let belongs = side.open_block.is_some_and(|block| goes_on && block.header.stream == header.stream);
        if goes_on != belongs || (side.open_block.is_some() && !belongs) {
            // A block without its end, or an end without its block.
            self.lose_block(around, None);
        }
        let side = &mut self.sides[around.direction() as usize];
        let is_kept = match header.kind {
            kind::HEADERS | kind::PUSH_PROMISE => true,
            kind::CONTINUATION => belongs,
            kind::RST_STREAM | kind::GOAWAY | kind::SETTINGS => header.length <= MOST_CONTROL_BYTES,
            _ => false,
        };
        match (header.kind, header.length) {
            (kind::DATA, length) => {
                side.state = State::Data { header, left: length, content: length, is_first: true };
                self.end_data_if_whole(around, end);
            }
            (_, 0) if is_kept => {
                side.state = State::Header;
                self.frame(around, header, &[], end, &[]);
            }
            (kind, length) if !is_kept => {
                side.state = skip(length);
                if kind == kind::GOAWAY {
                    // Which streams the server has processed is in the part that is not read.
                    self.streams.note_loss();
                }
            }
            _ => side.state = State::Payload(header),
        }
    }

    /// Reads bytes of a payload that is kept until it is whole.
    fn payload<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: FrameHeader,
        rest: &[u8],
        at: usize,
    ) -> usize {
        let side = &mut self.sides[around.direction() as usize];
        let lacking = header.length as usize - side.partial.len();
        let taken = rest.len().min(lacking);
        let end = around.chunk.offset + (at + taken) as u64;
        let (piece, after) = rest.split_at(taken);
        if taken == lacking {
            side.state = State::Header;
            if side.partial.is_empty() {
                self.frame(around, header, piece, end, after);
            } else {
                let mut payload = std::mem::take(&mut side.partial);
                around.shared.held -= payload.len();
                payload.extend_from_slice(piece);
                self.frame(around, header, &payload, end, after);
            }
            return taken;
        }
        let limit = BlockLimits::of(&around.shared.settings).bytes;
        if side.partial.len() + taken > limit || !around.shared.can_hold(taken) {
            self.lose_payload(around, header, (lacking - taken) as u32);
            around.shared.counters.heads_over_limit += 1;
            return taken;
        }
        side.partial.extend_from_slice(piece);
        around.shared.held += taken;
        taken
    }

    /// Reads a whole frame other than DATA.
    fn frame<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        header: FrameHeader,
        payload: &[u8],
        end: u64,
        after: &[u8],
    ) {
        match header.kind {
            kind::HEADERS | kind::PUSH_PROMISE => self.begin_block(around, header, payload, end, after),
            kind::CONTINUATION => self.add_to_block(around, header, payload, end, after),
            kind::RST_STREAM => self.reset_stream(around, header.stream, frames::first_number(payload)),
            kind::GOAWAY => {
                let code = frames::first_number(payload.get(4..).unwrap_or_default());
                self.goaway(around, frames::first_number(payload) & (u32::MAX >> 1), code);
            }
            kind::SETTINGS => {
                if let Some(length) = frames::max_frame_length(payload) {
                    let other = &mut self.sides[around.direction().opposite() as usize];
                    other.max_length = other.max_length.max(length);
                }
            }
            _ => {}
        }
    }

    /// Ends the frame of DATA that is being read, if it is whole. It ends before the offset `end`.
    fn end_data_if_whole<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: u64) {
        let side = &mut self.sides[around.direction() as usize];
        if let State::Data { header, left: 0, .. } = side.state {
            side.state = State::Header;
            if header.has(flag::END_STREAM) {
                self.message_ends(around, header.stream, end);
            }
        }
    }

    /// Passes over missing bytes.
    pub(super) fn pass_gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, kind: GapKind) {
        let number = around.direction() as usize;
        let side = &mut self.sides[number];
        let within = |left: u32| u32::try_from(length).ok().filter(|length| *length <= left);
        match side.state {
            State::Data { header, left, content, .. } if within(left).is_some() => {
                let length = within(left).unwrap_or_default();
                let missing = length.min(content);
                side.state = State::Data { header, left: left - length, content: content - missing, is_first: false };
                self.data_is_missing(around, header.stream, missing, kind);
                self.end_data_if_whole(around, around.chunk.offset + u64::from(length));
            }
            State::Body(left) if length <= left => self.pass_body(around, left, length, Some(kind)),
            State::Skip(left) if within(left).is_some() => {
                side.state = skip(left - within(left).unwrap_or_default());
            }
            State::Payload(header) => match within(header.length - side.partial.len() as u32) {
                Some(length) => {
                    let left = header.length - side.partial.len() as u32 - length;
                    around.shared.counters.heads_cut += 1;
                    self.lose_payload(around, header, left);
                }
                None => self.lose(around),
            },
            _ => self.lose(around),
        }
    }

    /// Notes that it is not known any more where frames begin.
    fn lose<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let direction = around.direction();
        let side = &mut self.sides[direction as usize];
        side.state = State::Lost;
        (side.has_passed_over, side.is_doubtful) = (true, true);
        side.release(around.shared);
        side.forget_table();
        self.charge_tables(around);
        self.may_lack_requests = true;
        self.streams.note_loss();
        self.lose_tunnel(around);
        if self.client == Some(direction.opposite()) {
            around.shared.sink.response_gap(around.chunk.now);
        }
    }

    fn pass_over<K>(&mut self, around: &mut ParserContext<'_, K>, length: u64) {
        self.sides[around.direction() as usize].has_passed_over = true;
        around.shared.counters.bytes_passed_over += length;
    }

    /// Returns whether the frames of a side go on at these bytes, after a loss.
    fn goes_on(&self, bytes: &[u8]) -> bool {
        let last = self.highest.saturating_add(MOST_STREAMS_LOST);
        frames::goes_on(bytes, |stream| stream <= last) || frames::begins_message(bytes)
    }
}

/// The longest frame that is valid before SETTINGS were seen that allow a longer one.
fn longest_at_first<K>(around: &ParserContext<'_, K>) -> u32 {
    if around.flow.opened_by.is_some() { DEFAULT_MAX_LENGTH } else { GREATEST_MAX_LENGTH }
}

/// The state in which so many bytes of a frame are skipped.
pub(super) fn skip(left: u32) -> State {
    if left == 0 { State::Header } else { State::Skip(left) }
}
