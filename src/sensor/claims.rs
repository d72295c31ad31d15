//! The stamps of packets that were processed under packet time because no other packet supported them.
//!
//! In: the number and the stamp of each such packet, and what shards found. Out: the same findings, with the packet's own
//! stamp wherever they have its time. So an event counts in the window of its own stamp, and no timer ever saw that stamp.
//! Promises: at most [`MOST_CLAIMS`] stamps are remembered, the latest ones; an exchange whose packet's stamp was forgotten
//! keeps packet time.

use std::collections::BTreeMap;

use crate::{
    capture::Stamp,
    exchange::{Exchange, Observation},
    time::Timestamp,
};

use super::record::Content;

/// The most stamps that are remembered.
const MOST_CLAIMS: usize = 4_096;

/// Stamps by packet number.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<u64, Timestamp>);

impl Claims {
    /// Returns whether no packet had a stamp that was not believed.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers the stamp of a packet.
    pub(super) fn note(&mut self, packet: u64, stamp: Timestamp) {
        self.0.insert(packet, stamp);
        if self.0.len() > MOST_CLAIMS {
            self.0.pop_first();
        }
    }

    /// Puts the packets' own stamps into what a shard found.
    #[cold]
    pub(super) fn apply(&self, content: &mut Content) {
        match content {
            Content::Failed(exchange, _)
            | Content::Matched(exchange, _)
            | Content::Finished(exchange)
            | Content::FailedAndFinished(exchange, _) => self.restamp(exchange),
            Content::Observed(observation) => self.restamp_observation(observation),
            Content::Turn(turn) => {
                if let Some(stamp) = self.0.get(&turn.packet) {
                    turn.time = *stamp;
                }
            }
            Content::ServerFingerprint(_) | Content::Gap(_) => {}
        }
    }

    fn restamp(&self, exchange: &mut Exchange) {
        let Exchange { request_start, request_end, response_start, response_end, decided, .. } = exchange;
        for Stamp { number, time } in
            [request_start, request_end, response_start, response_end, decided].into_iter().flatten()
        {
            if let Some(stamp) = self.0.get(number) {
                *time = *stamp;
            }
        }
    }

    /// An observation has the number of the packet that decided the exchange, and the time of the response's first packet.
    /// For nearly all exchanges both are the same packet.
    fn restamp_observation(&self, observation: &mut Observation) {
        if let Some(stamp) = self.0.get(&observation.packet) {
            observation.time = *stamp;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::RuleSet;

    #[test]
    fn only_the_doubted_packets_times_change_and_only_the_latest_are_remembered() {
        let stamp = |number, seconds| Some(Stamp { number, time: Timestamp::from_parts(seconds, 0) });
        let mut claims = Claims::default();
        claims.note(7, Timestamp::from_parts(9_999, 0));
        let exchange = Exchange { request_start: stamp(6, 10), response_start: stamp(7, 11), ..Exchange::default() };
        let mut content = Content::Failed(Box::new(exchange), RuleSet::EMPTY);
        claims.apply(&mut content);
        let found = content.exchange().unwrap();
        assert_eq!((found.request_start, found.response_start), (stamp(6, 10), stamp(7, 9_999)));
        (8..8 + MOST_CLAIMS as u64).for_each(|packet| claims.note(packet, Timestamp::EPOCH));
        assert_eq!((claims.0.len(), claims.0.contains_key(&7)), (MOST_CLAIMS, false));
    }
}
