//! Connections that have ended, and of which something may still be read.
//!
//! In: the streams of connections that end while a parser waits for something from elsewhere than their packets: the secrets of TLS.
//! Out: the same streams, ended as their connections did, once nothing waits any more. Promises: at most [`MOST_ENDED`] of them are
//! kept. What they hold counts to the limit of all connections. They end in the order in which their connections ended, except that
//! one for which what it waits for has come does not wait for others.

use std::collections::VecDeque;

use super::{
    context::Shared,
    streams::{Relief, Stream, end_flow, let_go, time_passes},
};
use crate::{
    capture::Stamp,
    exchange::ExchangeSink,
    tcp::{Ending, FlowFacts},
};

/// Most connections of a shard that are kept after their end.
const MOST_ENDED: usize = 1024;

/// A connection that has ended.
#[derive(Debug)]
struct Ended {
    flow: FlowFacts,
    stream: Stream,
    ending: Ending,
}

/// The connections that have ended, in the order of their ends.
#[derive(Debug, Default)]
pub(super) struct EndedStreams {
    waiting: VecDeque<Ended>,
}

impl EndedStreams {
    /// Keeps a connection that ends now. Ends the oldest one if there are too many.
    #[cold]
    pub(super) fn keep<K: ExchangeSink>(
        &mut self,
        shared: &mut Shared<K>,
        flow: &FlowFacts,
        stream: Stream,
        now: Stamp,
        ending: Ending,
    ) {
        if self.waiting.len() >= MOST_ENDED
            && let Some(oldest) = self.waiting.pop_front()
        {
            oldest.end(shared, now);
        }
        self.waiting.push_back(Ended { flow: *flow, stream, ending });
    }

    /// Tells the connections that time has passed. Those for which nothing waits any more end.
    #[inline]
    pub(super) fn time<K: ExchangeSink>(&mut self, shared: &mut Shared<K>, now: Stamp) {
        for _ in 0..self.waiting.len() {
            let Some(mut ended) = self.waiting.pop_front() else { return };
            time_passes(shared, &ended.flow, &mut ended.stream, now);
            if ended.stream.outlives_flow() {
                self.waiting.push_back(ended);
            } else {
                ended.end(shared, now);
            }
        }
    }

    /// Lets the exchanges in flight go that a relief has chosen.
    pub(super) fn relieve<K: ExchangeSink>(&mut self, shared: &mut Shared<K>, relief: &Relief, now: Stamp) {
        for Ended { flow, stream, .. } in self.waiting.iter_mut().filter(|ended| relief.has_chosen(&ended.stream)) {
            let_go(shared, flow, stream, now);
        }
    }

    /// Ends all, in order.
    pub(super) fn finish<K: ExchangeSink>(&mut self, shared: &mut Shared<K>, now: Stamp) {
        self.waiting.drain(..).for_each(|ended| ended.end(shared, now));
    }

    /// The streams that are kept.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.waiting.iter().map(|ended| &ended.stream)
    }
}

impl Ended {
    fn end<K: ExchangeSink>(mut self, shared: &mut Shared<K>, now: Stamp) {
        end_flow(shared, &self.flow, &mut self.stream, now, self.ending);
    }
}
