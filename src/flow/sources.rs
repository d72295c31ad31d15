//! Which senders leave checksums to their network card, as seen on each interface.
//!
//! In: what became of segments with wrong checksums. Out: whether a wrong checksum of a sender is to be expected. Promises:
//! the number of senders of each standing is capped, and the oldest of the same standing goes.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::{address::Address, keyed_hash::KeyedState};

/// Most senders of one standing.
const MAX_SOURCES: usize = 4_096;

/// What wrong checksums of a sender mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A receiver acknowledged segments of this sender whose checksum was wrong: the capture shows them before the network
    /// card filled the checksum in.
    Offloads = 0,
    /// Nobody was seen to answer this sender's segments with wrong checksums.
    Unanswered = 1,
}

/// The senders with wrong checksums, by interface and address.
#[derive(Debug, Default)]
pub(super) struct Sources {
    standings: HashMap<(u16, Address), Standing, KeyedState>,
    /// By standing, the senders in the order in which they got it.
    order: [VecDeque<(u16, Address)>; 2],
}

impl Sources {
    /// Returns what is known of a sender.
    pub(super) fn standing(&self, source: (u16, Address)) -> Option<Standing> {
        self.standings.get(&source).copied()
    }

    /// Notes what a sender's wrong checksum turned out to mean.
    pub(super) fn learn(&mut self, source: (u16, Address), standing: Standing) {
        match self.standings.insert(source, standing) {
            Some(before) if before == standing => return,
            Some(before) => self.order[before as usize].retain(|other| *other != source),
            None => {}
        }
        let order = &mut self.order[standing as usize];
        order.push_back(source);
        if order.len() > MAX_SOURCES
            && let Some(oldest) = order.pop_front()
        {
            self.standings.remove(&oldest);
        }
    }

    /// Notes that a receiver did not take a segment of this sender whose checksum was wrong. What was learnt before counts
    /// no more.
    pub(super) fn forget(&mut self, source: (u16, Address)) {
        if let Some(before) = self.standings.remove(&source) {
            self.order[before as usize].retain(|other| *other != source);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(number: u32) -> (u16, Address) {
        (0, Address::v4(number.to_be_bytes()))
    }

    #[test]
    fn a_sender_is_what_was_learnt_last_on_its_interface() {
        let mut sources = Sources::default();
        assert_eq!(sources.standing(host(1)), None);
        sources.learn(host(1), Standing::Unanswered);
        assert_eq!(sources.standing(host(1)), Some(Standing::Unanswered));
        sources.learn(host(1), Standing::Offloads);
        assert_eq!(sources.standing(host(1)), Some(Standing::Offloads));
        assert_eq!(sources.standing((1, host(1).1)), None, "another interface");
        sources.forget(host(1));
        assert_eq!(sources.standing(host(1)), None);
    }

    #[test]
    fn senders_that_nobody_answers_push_no_sender_out_that_was_answered() {
        let mut sources = Sources::default();
        (0..100).for_each(|number| sources.learn(host(number), Standing::Offloads));
        (1_000..50_000).for_each(|number| sources.learn(host(number), Standing::Unanswered));
        assert!((0..100).all(|number| sources.standing(host(number)) == Some(Standing::Offloads)));
        assert_eq!(sources.standings.len(), 100 + MAX_SOURCES);
        assert_eq!(sources.standing(host(1_000)), None, "the oldest goes");
        assert_eq!(sources.standing(host(49_999)), Some(Standing::Unanswered));
    }

    proptest! {
        #[test]
        fn the_order_holds_each_sender_once(steps in proptest::collection::vec((0u32..20, 0u8..3), 0..300)) {
            let mut sources = Sources::default();
            let mut expected = HashMap::with_hasher(KeyedState::default());
            for (number, step) in steps {
                match [Some(Standing::Offloads), Some(Standing::Unanswered), None][usize::from(step)] {
                    Some(standing) => {
                        sources.learn(host(number), standing);
                        expected.insert(host(number), standing);
                    }
                    None => {
                        sources.forget(host(number));
                        expected.remove(&host(number));
                    }
                }
            }
            prop_assert_eq!(sources.order.iter().map(VecDeque::len).sum::<usize>(), expected.len());
            prop_assert_eq!(&sources.standings, &expected);
        }
    }
}
