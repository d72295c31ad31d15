//! Relief: lets the oldest exchanges go when too many are in flight.
//!
//! In: the memory of the exchanges in flight on all connections of a shard. Out: these exchanges, finished as they stand.
//! Promises: the memory of exchanges in flight is bounded over all connections. A response is never paired wrongly because its
//! request was let go: to pairing, the request is like one that was not captured.

use super::{
    conversation::{Answering, Conversation},
    ending::finish_entry,
    in_flight::InFlight,
    pairing::{Entry, Pairing, Pipelining},
};
use crate::{
    exchange::{Exchange, ExchangeSink, Remarks},
    stream::{Held, context::ParserContext},
};

/// The bytes by which a response without a known request is charged.
pub(super) const UNPAIRED_CHARGE: u32 = (size_of::<Exchange>() + size_of::<InFlight>()) as u32;

/// Returns the bytes of memory of an exchange whose request was read. The queue may be twice as long as its entries need.
#[inline]
pub(super) fn charge(exchange: &Exchange, is_first: bool) -> u32 {
    let connection = if is_first { size_of::<InFlight>() } else { 0 };
    let bytes = size_of::<Exchange>() + 2 * size_of::<Entry>() + connection + exchange.text.capacity();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Conversation {
    /// Returns what the exchanges in flight hold. `None` when there are none.
    pub(in crate::stream) fn held(&self) -> Option<Held> {
        let in_flight = self.in_flight.as_ref()?;
        let unpaired = in_flight.unpaired.as_ref();
        let oldest = unpaired.or_else(|| in_flight.queue.front().map(|entry| &entry.exchange))?;
        let since = oldest.request_start.or(oldest.response_start).unwrap_or_default().number;
        let waiting: usize = in_flight.queue.iter().map(|entry| entry.charge as usize).sum();
        Some(Held { since, bytes: waiting + unpaired.map_or(0, |_| UNPAIRED_CHARGE as usize) })
    }

    /// Lets all exchanges in flight go.
    #[cold]
    pub(in crate::stream) fn let_go<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let (Some(client), Some(in_flight)) = (self.client, &mut self.in_flight) else { return };
        let mut waiting = std::mem::take(&mut in_flight.queue);
        let unpaired = in_flight.unpaired.take();
        let body = self.sides[client.opposite() as usize].body;
        let cut = |exchange: &mut Exchange| {
            exchange.response_body_bytes = body;
            exchange.remarks.add(Remarks::BODY_INCOMPLETE);
        };
        around.shared.counters.in_flight_dropped += waiting.len() as u64 + u64::from(unpaired.is_some());
        if let Some(mut exchange) = unpaired {
            cut(&mut exchange);
            around.shared.discharge(UNPAIRED_CHARGE);
            around.finish(exchange);
        }
        if std::mem::take(&mut self.answering) == Answering::Oldest
            && let Some(mut entry) = waiting.pop_front()
        {
            cut(&mut entry.exchange);
            finish_entry(around, entry);
        }
        if !waiting.is_empty() {
            if matches!(self.pipelining, Pipelining::OneByOne(_)) {
                self.pipelining = if waiting.len() == 1 { Pipelining::OneLetGo } else { Pipelining::Ahead };
            }
            for entry in waiting {
                finish_entry(around, entry);
            }
            let end = around.sides[client as usize].offset;
            self.note_gap(around, client, end);
        }
        around.shared.http1.release_if_idle(&mut self.in_flight);
    }

    /// Notes the first request after the only waiting request was let go. If no response has answered that one yet, the
    /// client does not wait for answers, and nothing proves which request a response answers.
    #[cold]
    pub(super) fn note_request_after_relief<K>(&mut self, around: &mut ParserContext<'_, K>, entry: &Entry) {
        self.pipelining = Pipelining::default();
        if entry.doubt.gap_before > self.accounted_until {
            self.pipelining = Pipelining::Ahead;
            if self.pairing != Pairing::Broken {
                self.pairing = Pairing::Broken;
                around.shared.counters.pairings_broken += 1;
            }
        }
    }
}
