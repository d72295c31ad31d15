//! Pairing: finds the request that a response answers.
//!
//! In: requests in the order in which they were sent, and the place in both streams where a response begins. Out: the oldest
//! unanswered request, or none. Promises: without a gap that could contain a message, responses answer requests first in,
//! first out. After such a gap, a response is paired only if acknowledgments prove the pair. An unknown request is better
//! than a wrong request.
//!
//! What acknowledgments prove, with a request's last header byte at offset *e* of the client's stream, *k* the offset
//! of the server's stream up to which the client had received when it sent the request, *o* the response's first byte
//! and *a* the offset up to which the server had received when it sent the response:
//!
//! - *a* < *e*: the server had not seen the request; the response answers an earlier one.
//! - *k* > *o*: the client had the response before it sent the request; the response answers an earlier one.
//! - A later request with a larger *k* is also possible: the client sent it after it had received the response to the
//!   earlier request, and that response is in a gap. Behind `Expect: 100-continue` a larger *k* proves nothing, because the
//!   client may have received only `100 Continue`.
//!
//! A gap may also contain the head of a request whose body looks like a request, or the first letters of a method. So a
//! request behind a gap is paired only if the response acknowledges nothing beyond what the client was seen to send, and a
//! request directly after a gap only if the response does not refuse its method or its line (400, 405, 501).
//!
//! In a capture that begins within a connection, requests before the first captured request may wait for their responses. So
//! the first response is paired only if it can answer no request but one.
//!
//! If a client sends several requests without waiting for responses, nothing proves after a gap which response belongs to
//! which request. On such a connection, no response is paired after a gap.

use std::collections::VecDeque;

use super::{doubt::Opening, field_values::Upgrade, framing::Body};
use crate::{
    exchange::{Exchange, Remarks},
    stream::context::Origin,
};

/// Whether a client waits for one answer before it sends the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pipelining {
    #[default]
    OneByOne,
    /// The one request that waited was let go. The next request shows whether the client waits for its answer.
    OneLetGo,
    Ahead,
}

/// How responses are paired with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pairing {
    /// No gap could have contained a message: responses are paired in order.
    #[default]
    Exact,
    /// A request may be content of the body before it (see `doubt`). Responses are paired in order up to that request; the
    /// first response to it decides.
    InDoubt,
    /// A gap may have contained messages: a response is paired only if acknowledgments prove the pair.
    ByEvidence,
    /// A gap may have contained messages, and the client sends requests without waiting: no response is paired.
    Broken,
}

/// Methods that change how a response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MethodKind {
    Head,
    Connect,
    Other,
    /// The method's first letters may belong to the body before.
    Unsure,
}

/// What a client waits for before it sends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    Nothing,
    /// `100 Continue`, which was not seen.
    Continue,
    /// `100 Continue`, which was seen.
    Continued,
}

/// How much of an entry's request was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestProgress {
    /// The header block was read; the body is not complete yet.
    Body,
    Complete,
    /// The end of the request is in a gap, or never came.
    Cut,
}

/// How much of an entry's final response was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseProgress {
    Waiting,
    /// The header block was read; the body is not complete yet.
    Body,
    Complete,
}

/// A request and the exchange it began.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) exchange: Box<Exchange>,
    pub(super) method: MethodKind,
    pub(super) request: RequestProgress,
    pub(super) response: ResponseProgress,
    /// What the request asks to change to.
    pub(super) upgrade: Upgrade,
    pub(super) expects: Expectation,
    /// Whether the body begins like a request.
    pub(super) opening: Opening,
    /// How the request's body ends.
    pub(super) framing: Body,
    /// Whether servers may disagree about the body's length.
    pub(super) is_length_unsure: bool,
    /// Whether the request may be content of the body before it.
    pub(super) may_be_content: bool,
    /// The bytes of memory by which the exchange is charged to the limit of all exchanges in flight.
    pub(super) charge: u32,
    /// *k* above.
    pub(super) received: u64,
    /// Offset of the request line in the client's stream.
    pub(super) start: u64,
    /// Offset of the target in the client's stream; `start` if it does not follow the method and one blank.
    pub(super) target_start: u64,
    /// *e* above.
    pub(super) head_end: u64,
    pub(super) doubt: Doubt,
    /// If the request may be content of another protocol: the offset of the server's stream at which the status line must
    /// begin that shows it is not. Without such a status line, the request is forgotten.
    pub(super) candidate: Option<u64>,
}

/// The doubts about a request's response that gaps around the request cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Doubt {
    /// Gaps before this offset of the client's stream may have contained requests, all of them sent before this request.
    pub(super) gap_before: u64,
    /// Whether the byte before this request is missing.
    pub(super) follows_gap: bool,
    /// Whether gaps after this request may have contained responses.
    pub(super) response: bool,
    /// Whether gaps after this request may have contained requests.
    pub(super) followers: bool,
}

/// How much of the client's stream is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientStream {
    /// The number of bytes that have come.
    pub(super) seen: u64,
    /// The end of what the client has announced: the bytes that have come, and the rest of a body of known length.
    pub(super) announced: u64,
    /// Responses whose requests were not seen account for the bytes before this offset.
    pub(super) accounted_until: u64,
}

/// The request that a response answers, as a position in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partner {
    /// The oldest request that is left after this many requests were forgotten.
    After(usize),
    /// No request is certain. This many of the oldest requests may be the one, and can no longer be paired either.
    None(usize),
}

impl Pairing {
    /// Notes that a gap may have contained messages, or that bytes could not be read.
    pub(super) fn note_gap(&mut self, pipelining: Pipelining) {
        *self = match (*self, pipelining) {
            (Self::Exact | Self::ByEvidence, Pipelining::OneByOne | Pipelining::OneLetGo) => Self::ByEvidence,
            _ => Self::Broken,
        };
    }

    /// Returns the partner of a final response that begins at `origin`, among the unanswered requests.
    #[inline]
    pub(super) fn partner(self, queue: &VecDeque<Entry>, origin: &Origin, client: ClientStream) -> Partner {
        match self {
            Self::Exact | Self::InDoubt => match queue.front() {
                // The server cannot answer a request that had not reached it.
                Some(entry) if origin.acknowledged.is_none_or(|acknowledged| acknowledged > entry.start) => {
                    Partner::After(0)
                }
                _ => Partner::None(0),
            },
            Self::ByEvidence => by_evidence(queue, origin, client),
            Self::Broken => Partner::None(queue.iter().take_while(|entry| entry.could_be_answered_by(origin)).count()),
        }
    }
}

fn by_evidence(queue: &VecDeque<Entry>, origin: &Origin, client: ClientStream) -> Partner {
    let mut possible = queue.iter().take_while(|entry| entry.could_be_answered_by(origin));
    let Some(mut last) = possible.next() else { return Partner::None(0) };
    let mut passed = 0;
    for next in possible {
        if !last.doubt.response {
            break;
        }
        if next.received <= last.received || last.expects != Expectation::Nothing {
            // Two requests were sent without waiting, and a response is missing: nothing proves which request this response
            // answers. What the client received after `Expect` may only have been `100 Continue`.
            return Partner::None(queue.iter().take_while(|entry| entry.could_be_answered_by(origin)).count());
        }
        passed += 1;
        last = next;
    }
    // The server received bytes that the capture has not shown. The request that this response answers may be among them.
    let unseen = origin.acknowledged.is_none_or(|acknowledged| acknowledged > client.seen);
    let Doubt { gap_before, response, followers, .. } = last.doubt;
    // The gap before the request may contain the head of a request whose body it is. Then a request that was not seen is
    // answered.
    let is_passed_over = gap_before != 0
        && (followers || origin.acknowledged.is_none_or(|acknowledged| acknowledged > client.announced));
    if gap_before > client.accounted_until || (response && (followers || unseen)) || is_passed_over {
        // The response may answer this request or another request. In both cases, no later response can be paired with this
        // request.
        Partner::None(passed + 1)
    } else {
        Partner::After(passed)
    }
}

impl Entry {
    /// Returns whether the server may answer without reading the request's body.
    pub(super) fn has_doubtful_body(&self) -> bool {
        self.request == RequestProgress::Body
            || self.expects == Expectation::Continue
            || self.method == MethodKind::Connect
            || self.is_length_unsure
    }

    /// Returns whether a response's status shows that the request's method, or its line, is not what was captured. If the
    /// first byte directly follows bytes that are missing or could not be read, they may hold the first letters of the method,
    /// as in `XYZGET`. Every server knows GET and HEAD, so it does not refuse them.
    #[cold]
    pub(super) fn may_lack_first_letters(&self, status: u16) -> bool {
        let is_midstream = self.exchange.remarks.has(Remarks::MIDSTREAM);
        let is_known = matches!(self.exchange.field(self.exchange.method), b"GET" | b"HEAD");
        self.doubt.follows_gap && (self.start != 0 || is_midstream) && (status == 400 || is_known)
    }

    /// Returns whether the response may answer this request: neither stream's acknowledgments rule it out.
    fn could_be_answered_by(&self, origin: &Origin) -> bool {
        origin.acknowledged.is_none_or(|acknowledged| acknowledged >= self.head_end) && self.received <= origin.offset
    }
}
