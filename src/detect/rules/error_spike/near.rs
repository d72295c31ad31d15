//! Near misses of the rule.
//!
//! In: executed windows, and counts of sliding windows. Out: near misses, noted in
//! [`NearMisses`](crate::detect::near_misses::NearMisses). Promises: the counts are exact.

use std::ops::RangeInclusive;

use super::engine::ErrorSpike;
use crate::{address::Address, detect::near_misses::NearMiss, time::Timestamp};

impl ErrorSpike {
    /// Notes the clients that are near the threshold in a window that ends at one of these boundaries.
    pub(super) fn note_near_misses(&mut self, boundaries: RangeInclusive<Timestamp>) {
        let threshold = u64::from(self.settings.threshold);
        for client in self.clients.all() {
            if let Some((count, until)) = client.most_errors(&self.layout.cells, &boundaries) {
                self.near.note(NearMiss { client: client.address, count, threshold, until });
            }
        }
    }

    /// Notes how near a client is with its error at `time`, where windows slide.
    #[inline]
    pub(super) fn note_slide(&mut self, client: Address, count: u64, time: Timestamp) {
        self.near.note(NearMiss { client, count, threshold: self.settings.threshold.into(), until: time });
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        detect::{ErrorSpikeSettings, Matched, Mode, Rule, RuleContext},
        event::testing::{bare_event, client},
        time::nanos,
    };

    /// The nearest misses of a rule that counts these errors, each of a client at a second.
    fn found(settings: &ErrorSpikeSettings, errors: &[(u8, u64)]) -> Vec<(u64, Address)> {
        let mut engine = ErrorSpike::new(settings.clone(), &RuleContext::default());
        let mut alerts = Vec::new();
        for (packet, &(number, second)) in (0..).zip(errors) {
            let time = Timestamp::from_parts(second, 0);
            engine.take(&Matched::of(&bare_event(client(number), time, packet, time)), &mut alerts);
        }
        let last = errors.last().map_or(0, |error| error.1);
        engine.finish(Timestamp::from_parts(last, 0), &mut alerts);
        engine.near_misses().iter().map(|miss| (miss.count, miss.client)).collect()
    }

    /// The same by a recount: the most errors of each client in any window, without clients over the threshold in one.
    fn recounted(settings: &ErrorSpikeSettings, errors: &[(u8, u64)]) -> Vec<(u64, Address)> {
        let (window, every) = (nanos(settings.window) / 1_000_000_000, nanos(settings.every) / 1_000_000_000);
        let last = errors.last().map_or(0, |error| error.1);
        let ends: Vec<u64> = match settings.mode {
            Mode::Scheduled => (1..=last / every + 1).map(|number| number * every).collect(),
            Mode::Streaming => errors.iter().map(|(_, second)| second + 1).collect(),
        };
        let mut most: BTreeMap<u8, u64> = BTreeMap::new();
        for end in ends {
            let within = |second: u64| second < end && second + window >= end;
            for (number, _) in errors {
                let count = errors.iter().filter(|(other, second)| other == number && within(*second)).count() as u64;
                let known = most.entry(*number).or_default();
                *known = count.max(*known);
            }
        }
        let threshold = u64::from(settings.threshold);
        let mut near: Vec<(u64, Address)> = most
            .into_iter()
            .filter(|(_, count)| *count <= threshold && count * 4 > threshold)
            .map(|(number, count)| (count, client(number).address))
            .collect();
        near.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        near.truncate(3);
        near
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_recount(
            mut errors in proptest::collection::vec((0u8..6, 0u64..120), 0..200),
            threshold in 1u32..40,
            window in 1u64..50,
            every in 1u64..50,
            is_streaming in any::<bool>(),
        ) {
            errors.sort_by_key(|(_, second)| *second);
            let settings = ErrorSpikeSettings {
                mode: if is_streaming { Mode::Streaming } else { Mode::Scheduled },
                threshold,
                window: Duration::from_secs(window),
                every: Duration::from_secs(every),
                ..ErrorSpikeSettings::default()
            };
            prop_assert_eq!(found(&settings, &errors), recounted(&settings, &errors));
        }
    }
}
