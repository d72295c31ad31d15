//! The open streams of a connection (RFC 9113, section 5.1).
//!
//! In: streams that begin and end. Out: [`OpenStream`], found by identifier. Promises: at most [`MOST_STREAMS`] are kept, if the
//! oldest goes when one more begins.

use std::collections::VecDeque;

use super::tunnel::Connect;
use crate::{exchange::Exchange, stream::context::Origin, tcp::ChunkContext};

/// Most open streams of a connection. Most servers allow 100 to 256; Envoy and node allow more, and scanners use them.
pub(super) const MOST_STREAMS: usize = 1_024;

/// Most streams that the client has cancelled and whose response may be under way.
pub(super) const MOST_CANCELLED: usize = 32;

/// Most responses that a server has announced and whose exchange is kept. Servers push a few with a page.
pub(super) const MOST_PUSHED: usize = 32;

/// How much of a request was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Unseen,
    /// The header block was seen.
    Open,
    Complete,
}

/// How much of a response was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    Waiting,
    /// The header block was there, but its status is not known.
    Unknown,
    Answered,
    Complete,
}

/// A stream and its exchange.
#[derive(Debug)]
pub(super) struct OpenStream {
    pub(super) exchange: Box<Exchange>,
    pub(super) request: Request,
    pub(super) response: Response,
    /// Offset of the request's first byte in the client's stream.
    pub(super) asked: u64,
    /// The offset after the request's last byte so far.
    pub(super) asked_until: u64,
    /// Whether frames that could have belonged to the stream were lost.
    pub(super) is_unsure: bool,
    /// Whether the client has cancelled the stream before its response.
    pub(super) is_cancelled: bool,
    /// Where a response was captured that waits for its request; it is not decided yet.
    pub(super) early: Option<ChunkContext>,
    /// Where the response of gRPC was captured whose status is awaited; it is not decided yet.
    pub(super) awaits_status: Option<ChunkContext>,
    pub(super) connect: Connect,
    /// The bytes by which the exchange is charged.
    pub(super) charge: u32,
}

impl OpenStream {
    /// A stream whose request was not seen.
    pub(super) fn unseen(exchange: Box<Exchange>) -> Self {
        Self {
            exchange,
            request: Request::Unseen,
            response: Response::Waiting,
            asked: 0,
            asked_until: 0,
            is_unsure: false,
            is_cancelled: false,
            early: None,
            awaits_status: None,
            connect: Connect::None,
            charge: 0,
        }
    }

    /// A stream whose request begins at `origin`.
    pub(super) fn asked(exchange: Box<Exchange>, origin: &Origin) -> Self {
        Self { request: Request::Open, asked: origin.offset, ..Self::unseen(exchange) }
    }

    /// Takes the chunk of a response that is not decided yet: nothing is awaited any more.
    pub(super) fn take_undecided(&mut self) -> Option<ChunkContext> {
        let status = self.awaits_status.take();
        self.early.take().or(status)
    }

    /// Returns whether nothing more can come of both messages.
    pub(super) fn is_complete(&self) -> bool {
        self.response == Response::Complete && self.request != Request::Open
    }

    /// The bytes of memory that the stream holds.
    pub(super) fn weight(&self) -> u32 {
        let bytes = size_of::<Exchange>() + size_of::<Self>() + self.exchange.text.capacity();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// The open streams, in the order of their beginning. Mostly the oldest ends first.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    /// `ids[n]` is the identifier of `streams[n]`.
    ids: VecDeque<u32>,
    streams: VecDeque<OpenStream>,
}

impl OpenStreams {
    /// Finds a stream.
    pub(super) fn find(&mut self, id: u32) -> Option<&mut OpenStream> {
        let place = self.place_of(id)?;
        self.streams.get_mut(place)
    }

    /// Returns whether a stream is open.
    pub(super) fn is_open(&self, id: u32) -> bool {
        self.place_of(id).is_some()
    }

    /// The place of a stream in both lists. The stream that began last is looked at first: often no other one is open.
    #[inline]
    fn place_of(&self, id: u32) -> Option<usize> {
        match self.ids.back() {
            Some(last) if *last == id => Some(self.ids.len() - 1),
            Some(_) if self.ids.len() > 1 => self.place_of_earlier(id),
            _ => None,
        }
    }

    #[inline(never)]
    fn place_of_earlier(&self, id: u32) -> Option<usize> {
        self.ids.iter().rposition(|known| *known == id)
    }

    /// How many of the streams are pushed.
    pub(super) fn pushed(&self) -> usize {
        self.ids.iter().filter(|id| is_pushed(**id)).count()
    }

    /// Returns the oldest cancelled stream if there are too many of them.
    pub(super) fn oldest_cancelled(&self) -> Option<u32> {
        let both = self.ids.iter().zip(&self.streams);
        let mut cancelled = both.filter(|(_, stream)| stream.is_cancelled).map(|(id, _)| *id);
        let oldest = cancelled.next();
        oldest.filter(|_| cancelled.count() >= MOST_CANCELLED)
    }

    /// Returns the oldest stream if one more does not fit.
    pub(super) fn oldest_if_full(&self) -> Option<u32> {
        self.ids.front().copied().filter(|_| self.ids.len() >= MOST_STREAMS)
    }

    /// Adds a stream.
    pub(super) fn add(&mut self, id: u32, stream: OpenStream) -> &mut OpenStream {
        self.ids.push_back(id);
        self.streams.push_back_mut(stream)
    }

    /// Takes a stream out.
    pub(super) fn remove(&mut self, id: u32) -> Option<OpenStream> {
        let place = self.place_of(id)?;
        if place + 1 == self.ids.len() {
            self.ids.pop_back();
            return self.streams.pop_back();
        }
        self.ids.remove(place);
        self.streams.remove(place)
    }

    /// Takes all streams out, with their identifiers.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (u32, OpenStream)> + use<> {
        std::mem::take(&mut self.ids).into_iter().zip(std::mem::take(&mut self.streams))
    }

    /// All identifiers of streams that a test selects.
    pub(super) fn ids_of(&self, test: impl Fn(u32, &OpenStream) -> bool) -> Vec<u32> {
        let both = self.ids.iter().zip(&self.streams);
        both.filter(|(id, stream)| test(**id, stream)).map(|(id, _)| *id).collect()
    }

    /// Notes that frames were lost which could have belonged to any stream.
    pub(super) fn note_loss(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.is_unsure = true);
    }

    /// All streams, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenStream> {
        self.streams.iter()
    }
}

/// Returns whether the server has begun a stream: it announces a response that it pushes (RFC 9113, sections 5.1.1 and 8.4).
pub(super) fn is_pushed(id: u32) -> bool {
    id.is_multiple_of(2)
}
