//! Which request a response answers.
//!
//! In: requests in the order they were sent, and where in both streams a response begins. Out: the oldest unanswered
//! request, or none. Promises: without a gap that could hold a message, first in, first out; after one
//! only where acknowledgments prove it. Better unknown than wrong.
//!
//! What acknowledgments prove, with a request's last header byte at offset *e* of the client's stream, *k* the offset
//! of the server's stream up to which the client had received when it sent the request, *o* the response's first byte
//! and *a* the offset up to which the server had received when it sent the response:
//!
//! - *a* < *e*: the server had not seen the request; the response answers an earlier one.
//! - *k* > *o*: the client had the response before it asked; the same.
//! - a later request with a larger *k* is also possible: the client went on to it after it had its answer to the
//!   earlier one, which is in a gap.
//!
//! On a connection whose client sends several requests without waiting, a loss leaves nothing that proves which
//! response is whose: no response is paired any more.

use std::collections::VecDeque;

use crate::{exchange::Exchange, stream::context::Origin};

/// Whether a client waits for one answer before it sends the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pipelining {
    #[default]
    OneByOne,
    Ahead,
}

/// How responses find their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pairing {
    /// No gap could have held a message: in order.
    #[default]
    Exact,
    /// A gap may have held messages: where acknowledgments prove it.
    ByEvidence,
    /// A gap may have held messages and requests were sent without waiting: never.
    Broken,
}

/// Methods that change how a response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MethodKind {
    Head,
    Connect,
    Other,
}

/// How far an entry's request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestProgress {
    /// The header block was read, the body is coming.
    Body,
    Complete,
    /// Its end is in a gap, or never came.
    Cut,
}

/// How far an entry's final response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseProgress {
    Waiting,
    /// The header block was read, the body is coming.
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
    pub(super) upgrade: bool,
    pub(super) expects_continue: bool,
    /// *k* above.
    pub(super) received: u64,
    /// Offset of the request line in the client's stream.
    pub(super) start: u64,
    /// *e* above.
    pub(super) head_end: u64,
    pub(super) doubt: Doubt,
}

/// What losses around a request make doubtful about its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Doubt {
    /// Gaps before this offset of the client's stream may have held requests, all of them sent before this one.
    pub(super) gap_before: u64,
    /// Gaps since may have held responses.
    pub(super) response: bool,
    /// Gaps since may have held requests.
    pub(super) followers: bool,
}

/// How far the client's stream is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientStream {
    /// So many bytes have come.
    pub(super) seen: u64,
    /// So far it is accounted_until for by responses whose requests were not seen.
    pub(super) accounted_until: u64,
}

/// A response's partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partner {
    /// The oldest request that is left after so many were forgotten.
    After(usize),
    /// None; as many of the oldest can no longer be told from it.
    None(usize),
}

impl Pairing {
    /// A gap may have held messages, or bytes could not be read.
    pub(super) fn note_gap(&mut self, pipelining: Pipelining) {
        *self = match (*self, pipelining) {
            (Self::Exact | Self::ByEvidence, Pipelining::OneByOne) => Self::ByEvidence,
            _ => Self::Broken,
        };
    }

    /// The partner of a final response that begins at `origin`, among the unanswered requests.
    #[inline]
    pub(super) fn partner(self, queue: &VecDeque<Entry>, origin: &Origin, client: ClientStream) -> Partner {
        match self {
            Self::Exact => match queue.front() {
                // The server cannot answer what had not reached it.
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
        if next.received <= last.received {
            // Two were asked at once and an answer is missing: nothing tells whose this is.
            return Partner::None(queue.iter().take_while(|entry| entry.could_be_answered_by(origin)).count());
        }
        passed += 1;
        last = next;
    }
    // What the server received and the capture did not show may be the request that this answers.
    let unseen = origin.acknowledged.is_none_or(|acknowledged| acknowledged > client.seen);
    let Doubt { gap_before, response, followers } = last.doubt;
    if gap_before > client.accounted_until || (response && (followers || unseen)) {
        // It answers this request, or another in whose place this one will not be answered.
        Partner::None(passed + 1)
    } else {
        Partner::After(passed)
    }
}

impl Entry {
    /// Returns whether neither stream rules out that the response is this request's.
    fn could_be_answered_by(&self, origin: &Origin) -> bool {
        origin.acknowledged.is_none_or(|acknowledged| acknowledged >= self.head_end) && self.received <= origin.offset
    }
}
