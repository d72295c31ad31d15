//! The head of a message: start line and fields.
//!
//! In: bytes that may begin a message. Out: whole or incomplete heads, recognised as request or response; `request` and
//! `response` process them further. Promises: bytes that are neither are refused and counted.

use super::{
    conversation::{Conversation, LastAnswer, ReadState},
    fields::{Fields, line_feed},
    pairing::Pairing,
    plain_head,
    roles::Answer,
    start_line::{self, StartLine, StatusLine},
};
use crate::{
    exchange::{ExchangeSink, Remarks},
    stream::{
        GapKind,
        context::{Origin, ParserContext},
    },
    tcp::{ChunkContext, Direction},
};

/// A start line and its fields, whole or incomplete.
pub(super) struct Head<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) fields: &'a Fields<'a>,
    /// Bytes after the header block in the same chunk.
    pub(super) after: &'a [u8],
    pub(super) extent: Extent,
    /// Whether the head is known to conform to RFC 9112 in every byte.
    pub(super) is_plain: bool,
}

/// How much of a header block is present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// The end is missing, and the field with the body's length may be missing too.
    Cut,
}

impl<'a> Head<'a> {
    /// Returns the header block if its end is among the bytes. A plain head was read `whole` already, up to that length; of any
    /// other, the fields after the start line are read here. `status` is 0 for a request. `after` follows the bytes.
    #[inline(always)]
    fn whole<K>(
        around: &mut ParserContext<'_, K>,
        status: u16,
        bytes: &'a [u8],
        start_line: usize,
        whole: Option<usize>,
        fields: &'a mut Fields<'a>,
        after: &'a [u8],
    ) -> Option<Self> {
        let end = match whole {
            Some(end) => end,
            None => {
                let sender = around.flow.sender(around.direction());
                start_line + around.shared.repeated_fields.read(sender, status, &bytes[start_line..], fields)?
            }
        };
        let (bytes, rest) = bytes.split_at(end);
        let after = if rest.is_empty() { after } else { rest };
        Some(Self { bytes, fields, after, extent: Extent::Whole, is_plain: whole.is_some() })
    }

    fn cut(bytes: &'a [u8], fields: &'a Fields<'a>) -> Self {
        Self { bytes, fields, after: &[], extent: Extent::Cut, is_plain: false }
    }
}

/// Returns whether the first bytes of a side may begin within a method's name, because those before them were not captured.
#[inline]
fn begins_within_method<K>(around: &ParserContext<'_, K>, method: &[u8], origin: &Origin) -> bool {
    origin.offset == 0 && !around.flow.is_whole() && start_line::is_end_of_method(method)
}

impl Conversation {
    /// Reads the message that begins at the first byte. Returns the length of its header block in bytes.
    pub(super) fn message<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        after: &[u8],
        origin: &Origin,
    ) -> usize {
        let direction = around.direction();
        let mut fields = Fields::default();
        let plain = if around.shared.settings.keep_detail { plain_head::read(bytes, &mut fields) } else { None };
        let (line, whole) = match plain {
            Some((line, length)) => (line, Some(length)),
            None => {
                if around.shared.settings.keep_detail {
                    fields = Fields::default();
                }
                (start_line::start_line(bytes), None)
            }
        };
        match line {
            StartLine::Request(line, _) if begins_within_method(around, line.method, origin) => {
                self.refuse(around, bytes, origin)
            }
            StartLine::Request(line, length) if self.may_ask(around, direction) => {
                if line.version.major == 0 {
                    self.simple_request(around, &line, origin);
                    return bytes.len();
                }
                let Some(head) = Head::whole(around, 0, bytes, length, whole, &mut fields, after) else {
                    return self.begin_partial_head(around, bytes, origin);
                };
                self.request(around, &line, &head, origin);
                head.bytes.len()
            }
            StartLine::Response(line, length)
                if line.status == 0 && self.is_surplus(direction, &bytes[..length], origin) =>
            {
                self.refuse(around, bytes, origin)
            }
            StartLine::Response(line, length) if line.status != 0 || self.client.is_some() => {
                let Some(head) = Head::whole(around, line.status, bytes, length, whole, &mut fields, after) else {
                    return self.begin_partial_head(around, bytes, origin);
                };
                if !self.may_answer(around, direction) {
                    self.note_refused_answer(around, head.bytes, origin);
                    return self.refuse(around, bytes, origin);
                }
                match self.judge_answer(around, &line, &head, origin) {
                    Answer::Response => {}
                    Answer::Unasked if self.may_precede_request(around, direction) => {
                        return self.hold_until_asked(around, bytes, origin);
                    }
                    Answer::Unasked => {
                        self.pass_unasked(around, &line, &head);
                        return head.bytes.len();
                    }
                    Answer::Content => return self.refuse(around, bytes, origin),
                }
                if self.comes_early(around, &line, direction, origin) {
                    return self.hold_early_response(around, bytes, origin);
                }
                self.response(around, &line, &head, origin);
                head.bytes.len()
            }
            StartLine::Undecided if !self.is_server(direction) || start_line::may_become_response(bytes) => {
                self.begin_partial_head(around, bytes, origin)
            }
            _ => self.refuse(around, bytes, origin),
        }
    }

    /// Returns whether a line without a status is no status line: it follows bytes that belong to no message, or a status
    /// line with a status begins inside it.
    #[cold]
    fn is_surplus(&self, direction: Direction, line: &[u8], origin: &Origin) -> bool {
        let follows_refused = origin.offset != 0 && self.sides[direction as usize].gap_until == origin.offset;
        self.is_server(direction)
            && self.last_answer != LastAnswer::None
            && (follows_refused || start_line::find_status_line(line.get(1..).unwrap_or_default()).is_some())
    }

    /// Refuses bytes that are no message, at a place where a message should begin. Returns how many of the bytes are refused:
    /// a message may begin after them.
    pub(super) fn refuse<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        origin: &Origin,
    ) -> usize {
        let direction = around.direction();
        if let Some(length) = self.socks_message(around, direction, bytes, origin) {
            self.note_socks_message(direction, origin.offset + length as u64);
            self.side(direction).state = ReadState::Between;
            around.shared.counters.bytes_passed_over += length as u64;
            return length;
        }
        let next = match self.is_server(direction) {
            true if self.awaits_response() => {
                start_line::find_status_line(bytes.get(1..).unwrap_or_default()).map(|at| at + 1)
            }
            false if self.is_after_body => start_line::find_request_line(bytes),
            _ => None,
        };
        let is_surplus = self.is_server(direction) && self.last_answer != LastAnswer::None;
        let bytes = &bytes[..next.unwrap_or(bytes.len())];
        if self.is_server(direction) {
            around.shared.counters.refused_status_lines += 1;
        } else if self.is_client(direction) {
            around.shared.counters.refused_request_lines += 1;
        }
        if self.may_ask(around, direction) {
            self.suspect_malformed(around, bytes, origin);
        }
        if self.client.is_some() {
            self.note_gap(around, direction, origin.offset + bytes.len() as u64);
        }
        let side = self.side(direction);
        side.state = match next {
            Some(_) => ReadState::Between,
            None if is_surplus => ReadState::Surplus,
            None => ReadState::Resync,
        };
        side.body = 0;
        around.shared.counters.bytes_passed_over += bytes.len() as u64;
        self.note_refused(around, bytes);
        bytes.len()
    }

    /// Begins an exchange with bytes of the client that no server could parse. It becomes an error if the server does not
    /// answer.
    fn suspect_malformed<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], origin: &Origin) {
        let names_http = start_line::start_line(bytes) == StartLine::Malformed;
        let is_repeated =
            self.client.is_some() && self.pairing == Pairing::Exact && self.last_answer == LastAnswer::KeepsOpen;
        if !(names_http || is_repeated) || around.flow.gap_bytes != 0 || self.roles.is_other_protocol() {
            return;
        }
        self.learn_client(around, around.direction());
        let mut exchange = around.shared.exchanges.get();
        around.fill_connection(&mut exchange, around.direction());
        exchange.request_start = Some(origin.carried);
        around.shared.http1.fill(&mut self.in_flight).malformed = Some(exchange);
        self.add_to_malformed(around, bytes, origin.offset);
    }

    /// Adds bytes to the first line of a client's message that no server could parse. Once the line is whole, its text is
    /// stored as the target.
    pub(super) fn add_to_malformed<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
        offset: u64,
    ) {
        let Some(exchange) = self.in_flight.as_mut().and_then(|in_flight| in_flight.malformed.as_mut()) else { return };
        if !exchange.target.is_empty() {
            return;
        }
        let end = line_feed(bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        let room = around.shared.settings.max_field_bytes.saturating_sub(exchange.text.len());
        if line.len() > room {
            exchange.remarks.add(Remarks::FIELD_TRUNCATED);
        }
        exchange.text.extend_from_slice(&line[..line.len().min(room)]);
        exchange.request_end = Some(around.chunk.carried);
        // The position is the line's end, however the line was cut into segments.
        let seen = line.len() as u64 + u64::from(end.is_some());
        exchange.position = around.position(around.direction(), offset + seen.saturating_sub(1));
        if end.is_some() {
            exchange.text.pop_if(|last| *last == b'\r');
            exchange.target = exchange.all_text();
        }
    }

    /// Reads an incomplete head as far as it is present, after the kind of gap that cut it, if one did. Returns `true` if it
    /// is a message: its start line was whole, or the rest of that line can be done without.
    pub(super) fn cut_head<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        gap: Option<GapKind>,
    ) -> bool {
        self.cut_head_of(around, around.direction(), gap)
    }

    /// Does the same as [`cut_head`](Self::cut_head) for a side that need not be the chunk's side.
    pub(super) fn cut_head_of<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        direction: Direction,
        gap: Option<GapKind>,
    ) -> bool {
        let chunk = ChunkContext { direction, ..*around.chunk };
        let around = &mut around.with_chunk(&chunk);
        let side = direction as usize;
        let (bytes, origin) = self.take_partial_head(around, side);
        self.sides[side].state = ReadState::Resync;
        let Some(origin) = origin else { return false };
        let is_snapped = gap == Some(GapKind::Snapped);
        let is_message = match start_line::start_line(&bytes) {
            StartLine::Request(line, length) if self.may_ask(around, direction) => {
                let fields = Fields::scan(&bytes[length..]).0;
                self.request(around, &line, &Head::cut(&bytes, &fields), &origin);
                true
            }
            StartLine::Response(line, length) if line.status != 0 && self.may_answer(around, direction) => {
                let fields = Fields::scan(&bytes[length..]).0;
                self.cut_response(around, &line, &Head::cut(&bytes, &fields), &origin);
                true
            }
            // A snapped packet of a client still tells what was asked, or the beginning of it.
            StartLine::Undecided if is_snapped && self.may_ask(around, direction) => {
                match start_line::cut_request_line(&bytes) {
                    Some(line) => {
                        self.request(around, &line, &Head::cut(&bytes, &Fields::default()), &origin);
                        true
                    }
                    None => false,
                }
            }
            // A status line without its end may still have its status.
            StartLine::Undecided if self.may_answer(around, direction) => match start_line::cut_status_line(&bytes) {
                Some(line) => {
                    self.cut_response(around, &line, &Head::cut(&bytes, &Fields::default()), &origin);
                    true
                }
                None => false,
            },
            _ => false,
        };
        self.sides[side].state = ReadState::Resync;
        self.return_buffer(around, side, bytes);
        is_message
    }

    /// Processes an incomplete head of a response, unless its status line is content.
    fn cut_response<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        line: &StatusLine<'_>,
        head: &Head<'_>,
        origin: &Origin,
    ) {
        if self.judge_answer(around, line, head, origin) == Answer::Response {
            self.response(around, line, head, origin);
        }
    }
}

/// Returns the length of the blanks and line ends that may stand before a start line.
#[inline]
pub(super) fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).unwrap_or(bytes.len())
}
