//! Contested requests: the same bytes of the client's stream, captured with different contents.
//!
//! In: bytes that a segment repeats before the server has acknowledged them. For example, somebody lays a `GET` that does not
//! reach the server over a `HEAD`. Out: the requests among them whose method and target are not certain any more. Promises:
//! such a request is not reported with a method or target that the server may not have received. No status is hidden: a
//! status line where the body's first byte belongs ends the response. A repetition with the same contents changes nothing.

use super::{
    conversation::{Conversation, ReadState},
    fields::Fields,
    framing,
    pairing::{Entry, MethodKind, RequestProgress},
    start_line::{self, StartLine},
};
use crate::{
    exchange::{ExchangeSink, Remarks, Span},
    stream::context::{Contested, ParserContext},
    tcp::Direction,
};

/// How far a repeated request agrees with the captured one, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    Same,
    /// The request line differs; both requests end at the same byte.
    OtherLine,
    /// The requests may end at different bytes.
    OtherEnd,
}

impl Conversation {
    /// Compares bytes that a segment repeats with the requests that were read from the same place. Returns whether they differ.
    #[cold]
    pub(in crate::stream) fn repeated<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        bytes: &[u8],
    ) -> bool {
        let direction = around.direction();
        if self.is_server(direction) {
            return false;
        }
        let offset = around.chunk.offset;
        let end = offset + bytes.len() as u64;
        let Some(in_flight) = &mut self.in_flight else { return false };
        let head = &in_flight.partial_heads[direction as usize];
        let begun = head.origin.filter(|_| !head.bytes.is_empty()).map(|origin| origin.offset);
        let is_other_head = begun.is_some_and(|begun| differs(&head.bytes, begun, bytes, offset));
        if is_other_head {
            note_contested(around, offset, end);
        }
        let mut worst = Agreement::Same;
        let is_client = self.client == Some(direction);
        for entry in
            in_flight.queue.iter_mut().filter(|entry| is_client && entry.start < end && entry.head_end > offset)
        {
            let agreement = entry.compare(bytes, offset);
            if agreement != Agreement::Same {
                entry.contest();
            }
            worst = worst.max(agreement);
        }
        if worst == Agreement::OtherEnd {
            self.leave_contested_body(around, direction);
        }
        is_other_head || worst != Agreement::Same
    }

    /// The client's last request may have another body, or none: looks for the next request at the start of each segment.
    fn leave_contested_body<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, client: Direction) {
        self.break_pairing(around);
        let side = self.side(client);
        if matches!(side.state, ReadState::Body(_) | ReadState::Chunked(_)) {
            (side.state, side.body) = (ReadState::Resync, 0);
            self.cut_request();
        }
    }

    /// Returns whether the request line at these offsets of the client's stream is contested. Then nothing proves from here on
    /// which request a response answers.
    #[cold]
    pub(super) fn is_contested<K>(&mut self, around: &mut ParserContext<'_, K>, start: u64, head_end: u64) -> bool {
        let direction = around.direction();
        let contested = around.rare.as_ref().and_then(|rare| rare.contested);
        let is_contested =
            contested.is_some_and(|range| range.direction == direction && range.start < head_end && range.end > start);
        if is_contested {
            self.break_pairing(around);
        }
        is_contested
    }
}

/// Notes that bytes of the current side have been captured with different contents before they were read.
#[cold]
pub(in crate::stream) fn note_contested<K>(around: &mut ParserContext<'_, K>, start: u64, end: u64) {
    let direction = around.direction();
    let contested = &mut around.rare_mut().contested;
    let before = contested.filter(|range| range.direction == direction);
    let (start, end) = before.map_or((start, end), |range| (range.start.min(start), range.end.max(end)));
    *contested = Some(Contested { direction, start, end });
}

impl Entry {
    /// Compares the request with bytes that begin at an offset of the client's stream.
    fn compare(&self, bytes: &[u8], offset: u64) -> Agreement {
        let method = self.exchange.field(self.exchange.method);
        let target = self.exchange.field(self.exchange.target);
        let is_other_method = !method.is_empty() && differs(method, self.start, bytes, offset);
        let is_other_target = self.target_start != self.start && differs(target, self.target_start, bytes, offset);
        let is_other_line = is_other_method || is_other_target;
        let begun = self.start.checked_sub(offset).and_then(|skip| bytes.get(usize::try_from(skip).ok()?..));
        let Some(bytes) = begun else {
            return if is_other_line { Agreement::OtherEnd } else { Agreement::Same };
        };
        match start_line::start_line(bytes) {
            StartLine::Request(line, length) => {
                let (fields, end) = Fields::scan(bytes.get(length..).unwrap_or_default());
                let is_other_end = match end {
                    Some(end) => {
                        (length + end) as u64 != self.head_end - self.start
                            || framing::request_body(&fields) != self.framing
                    }
                    None => bytes.len() as u64 >= self.head_end - self.start,
                };
                let is_other_line = is_other_line || (!line.target.starts_with(target) && !target.is_empty());
                match (self.request == RequestProgress::Cut || !is_other_end, is_other_line) {
                    (false, _) => Agreement::OtherEnd,
                    (true, true) if end.is_some() => Agreement::OtherLine,
                    (true, true) => Agreement::OtherEnd,
                    (true, false) => Agreement::Same,
                }
            }
            StartLine::Undecided if !is_other_line => Agreement::Same,
            _ => Agreement::OtherEnd,
        }
    }

    /// Takes back what is known of the method and the target.
    fn contest(&mut self) {
        self.method = MethodKind::Unsure;
        (self.exchange.method, self.exchange.target) = (Span::default(), Span::default());
        self.exchange.remarks.add(Remarks::DISAGREEING_OVERLAP);
    }
}

/// Returns whether two runs of bytes differ where both have bytes. Each is given with its offset.
fn differs(one: &[u8], one_offset: u64, other: &[u8], other_offset: u64) -> bool {
    let start = one_offset.max(other_offset);
    let from = |bytes: &'_ [u8], offset: u64| {
        usize::try_from(start - offset).map_or(bytes.len(), |skip| skip.min(bytes.len()))
    };
    one[from(one, one_offset)..].iter().zip(&other[from(other, other_offset)..]).any(|(one, other)| one != other)
}
