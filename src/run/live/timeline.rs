//! The timeline: puts the packets of several sources in one order of time.
//!
//! In: a channel of batches for each source. Every batch has the time up to which its source has been seen. Out: batches in
//! order of time. Promises: findings do not depend on which interface or capture thread a packet came through; at most one
//! batch of each source waits here; the batches of a single source are passed on as they are.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, TryRecvError};

use crate::{
    capture::{
        PacketBatch,
        live::{CLOCK_TOLERANCE, wall_clock},
    },
    time::Timestamp,
};

/// One source: the channel of its batches, and the batch that is being merged.
struct Source {
    batches: Receiver<PacketBatch>,
    current: Option<PartlyMerged>,
}

/// A batch, and the number of its packets that have been merged.
struct PartlyMerged {
    batch: PacketBatch,
    merged: usize,
}

/// The sources of a run.
pub(super) struct Timeline {
    sources: Vec<Source>,
    /// Whether the run has a single source, so that nothing needs merging.
    has_one_source: bool,
    /// The number of the last packet. The packets of several sources are numbered anew.
    number: u64,
    /// Batches whose packets have all been merged.
    used: Vec<PacketBatch>,
    /// The largest time by which stamps were last found to be ahead of the clock.
    ahead_of_clock: Option<Duration>,
}

/// What [`Timeline::next`] brought.
pub(super) enum Next {
    /// Packets, or only the time that every source has reached.
    Batch(PacketBatch),
    /// Nothing came within the time limit, or the other channel has a message.
    Nothing,
    /// All sources have ended.
    Ended,
}

impl PartlyMerged {
    /// The time up to which the batch has every packet of its source.
    fn seen_up_to(&self) -> Timestamp {
        self.batch.reached.unwrap_or_default()
    }

    /// The time of its next packet.
    fn next(&self) -> Option<Timestamp> {
        self.batch.records.get(self.merged).map(|record| record.stamp.time)
    }

    /// Sets stamps that are in the future to now: one of them would make packet time stand still until the clock reaches it.
    /// Returns how far in the future they were.
    fn correct_future_stamps(&mut self, now: Timestamp) -> Duration {
        let ahead = self.seen_up_to().since(now);
        if ahead <= CLOCK_TOLERANCE {
            return Duration::ZERO;
        }
        for record in &mut self.batch.records[self.merged..] {
            record.stamp.time = record.stamp.time.min(now);
        }
        self.batch.reached = Some(now);
        ahead
    }

    /// Copies its packets up to a time to the end of another batch, until that batch is full. Numbers them on from `number`.
    fn copy_into(&mut self, until: Timestamp, merged: &mut PacketBatch, number: &mut u64) {
        for record in &self.batch.records[self.merged..] {
            if record.stamp.time > until || merged.is_full() {
                break;
            }
            self.merged += 1;
            *number += 1;
            let mut copied = *record;
            copied.stamp.number = *number;
            copied.offset = merged.bytes.len() as u32;
            merged.bytes.extend_from_slice(self.batch.packet(record).data);
            merged.records.push(copied);
        }
    }
}

impl Timeline {
    /// A timeline of these sources.
    pub(super) fn new(sources: Vec<Receiver<PacketBatch>>) -> Self {
        let sources: Vec<_> = sources.into_iter().map(|batches| Source { batches, current: None }).collect();
        Self { has_one_source: sources.len() == 1, sources, number: 0, used: Vec::new(), ahead_of_clock: None }
    }

    /// The next batch in order of time. Waits for it until the time limit, or until the other channel has a message.
    pub(super) fn next<T>(&mut self, limit: Duration, other: &Receiver<T>) -> Next {
        let deadline = Instant::now() + limit;
        while self.fetch() {
            if !other.is_empty() {
                return Next::Nothing;
            }
            let mut select = Select::new();
            for source in self.sources.iter().filter(|source| source.current.is_none()) {
                select.recv(&source.batches);
            }
            select.recv(other);
            if select.ready_deadline(deadline).is_err() {
                return Next::Nothing;
            }
        }
        self.merge()
    }

    /// The next batch of what is left, without waiting for sources that have sent nothing.
    pub(super) fn next_of_rest(&mut self) -> Option<PacketBatch> {
        self.fetch();
        self.sources.retain(|source| source.current.is_some());
        match self.merge() {
            Next::Batch(batch) => Some(batch),
            Next::Nothing | Next::Ended => None,
        }
    }

    /// A batch that can be given back to the capture threads. One stays here for the next merge.
    pub(super) fn take_used(&mut self) -> Option<PacketBatch> {
        if self.used.len() > 1 { self.used.pop() } else { None }
    }

    /// How far ahead of the clock stamps were, if stamps had to be corrected.
    pub(super) fn ahead_of_clock(&self) -> Option<Duration> {
        self.ahead_of_clock
    }

    /// Receives the next batch of each source that has none here, and drops sources that have ended. Returns whether a source
    /// has no batch yet.
    fn fetch(&mut self) -> bool {
        self.sources.retain_mut(|source| {
            if source.current.is_some() {
                return true;
            }
            match source.batches.try_recv() {
                Ok(batch) => source.current = Some(PartlyMerged { batch, merged: 0 }),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return false,
            }
            true
        });
        self.sources.iter().any(|source| source.current.is_none())
    }

    /// Merges the packets up to the time that all sources have reached, at most a full batch. Every source has a batch here.
    fn merge(&mut self) -> Next {
        let now = wall_clock();
        let ahead = self
            .sources
            .iter_mut()
            .filter_map(|source| source.current.as_mut())
            .map(|current| current.correct_future_stamps(now))
            .max();
        self.ahead_of_clock = ahead.filter(|ahead| !ahead.is_zero()).or(self.ahead_of_clock);
        let current = || self.sources.iter().filter_map(|source| source.current.as_ref());
        let Some(until) = current().map(PartlyMerged::seen_up_to).min() else { return Next::Ended };
        if self.has_one_source {
            let only = self.sources.iter_mut().find_map(|source| source.current.take());
            return only.map_or(Next::Nothing, |only| Next::Batch(only.batch));
        }
        let merged = self.interleave(until);
        let is_used =
            |current: &mut PartlyMerged| current.next().is_none() && Some(current.seen_up_to()) <= merged.reached;
        self.used.extend(
            self.sources.iter_mut().filter_map(|source| source.current.take_if(is_used)).map(|current| current.batch),
        );
        Next::Batch(merged)
    }

    fn interleave(&mut self, until: Timestamp) -> PacketBatch {
        let mut merged = self.used.pop().unwrap_or_default();
        merged.bytes.clear();
        merged.records.clear();
        merged.reached = Some(until);
        loop {
            let due = self.sources.iter().enumerate().filter_map(|(index, source)| {
                let time = source.current.as_ref()?.next()?;
                (time <= until).then_some((time, index))
            });
            let (mut first, mut second) = (None, None);
            for candidate in due {
                if first.is_none_or(|earliest| candidate < earliest) {
                    second = first.replace(candidate);
                } else if second.is_none_or(|other| candidate < other) {
                    second = Some(candidate);
                }
            }
            let Some((_, index)) = first else { return merged };
            if merged.is_full() {
                merged.reached = merged.records.last().map(|record| record.stamp.time);
                return merged;
            }
            let until = second.map_or(until, |(time, _)| time);
            if let Some(current) = &mut self.sources[index].current {
                current.copy_into(until, &mut merged, &mut self.number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Sender, bounded, never, unbounded};
    use proptest::prelude::*;

    use super::*;
    use crate::capture::{BATCH_PACKETS, LinkType, PacketRecord, Stamp};

    /// A batch with a packet at each of these times, each holding its own time, seen up to `reached`.
    fn batch(times: &[u64], reached: u64) -> PacketBatch {
        let mut batch = PacketBatch { reached: Some(Timestamp::from_nanos(reached)), ..PacketBatch::default() };
        for &time in times {
            batch.records.push(PacketRecord {
                stamp: Stamp { number: 0, time: Timestamp::from_nanos(time) },
                offset: batch.bytes.len() as u32,
                captured: 8,
                wire_length: 8,
                link_type: LinkType::ETHERNET,
                interface: 0,
            });
            batch.bytes.extend_from_slice(&time.to_be_bytes());
        }
        batch
    }

    fn sources(count: usize) -> (Vec<Sender<PacketBatch>>, Timeline) {
        let (senders, receivers) = (0..count).map(|_| unbounded()).unzip();
        (senders, Timeline::new(receivers))
    }

    /// The times read back from the packets' bytes, checked against their stamps and numbers.
    fn times(batch: &PacketBatch, number: &mut u64) -> Vec<u64> {
        let read = |packet: crate::capture::Packet<'_>| {
            *number += 1;
            assert_eq!(packet.stamp.number, *number);
            let time = u64::from_be_bytes(packet.data.try_into().unwrap());
            assert_eq!(packet.stamp.time, Timestamp::from_nanos(time));
            time
        };
        batch.packets().map(read).collect()
    }

    #[test]
    fn waits_until_every_source_has_been_seen() {
        let (senders, mut timeline) = sources(2);
        let mut number = 0;
        senders[0].send(batch(&[10, 30], 30)).unwrap();
        assert!(matches!(timeline.next(Duration::ZERO, &never::<()>()), Next::Nothing));
        senders[1].send(batch(&[], 20)).unwrap();
        let Next::Batch(first) = timeline.next(Duration::ZERO, &never::<()>()) else { panic!("nothing") };
        assert_eq!((times(&first, &mut number), first.reached), (vec![10], Some(Timestamp::from_nanos(20))));
        assert!(matches!(timeline.next(Duration::ZERO, &never::<()>()), Next::Nothing));
        assert_eq!(timeline.next_of_rest().map(|rest| times(&rest, &mut number)), Some(vec![30]));
        assert!(timeline.next_of_rest().is_none());
    }

    #[test]
    fn one_source_goes_through_untouched() {
        let (senders, mut timeline) = sources(1);
        senders[0].send(batch(&[20, 10], 20)).unwrap();
        drop(senders);
        let Next::Batch(only) = timeline.next(Duration::ZERO, &never::<()>()) else { panic!("nothing") };
        assert_eq!(only.records.len(), 2);
        assert!(matches!(timeline.next(Duration::ZERO, &never::<()>()), Next::Ended));
    }

    #[test]
    fn a_message_on_the_other_channel_ends_the_wait() {
        let (_senders, mut timeline) = sources(1);
        let (news, other) = bounded(1);
        news.send(()).unwrap();
        let began = Instant::now();
        assert!(matches!(timeline.next(Duration::from_secs(60), &other), Next::Nothing));
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn stamps_from_the_future_are_taken_as_now() {
        for count in [1, 2] {
            let (senders, mut timeline) = sources(count);
            let future = wall_clock().plus(Duration::from_secs(86_400));
            senders[0].send(batch(&[10, future.as_nanos()], future.as_nanos())).unwrap();
            senders[1..].iter().for_each(|other| other.send(batch(&[], wall_clock().as_nanos())).unwrap());
            let Next::Batch(merged) = timeline.next(Duration::ZERO, &never::<()>()) else { panic!("nothing") };
            let rest = timeline.next_of_rest().map_or(Vec::new(), |rest| rest.records);
            let stamps: Vec<_> = merged.records.iter().chain(&rest).map(|record| record.stamp.time).collect();
            assert!(
                matches!(stamps[..], [first, second] if first.as_nanos() == 10 && second <= wall_clock()),
                "{stamps:?}"
            );
            assert!(timeline.ahead_of_clock().is_some_and(|ahead| ahead > Duration::from_secs(86_000)));
        }
    }

    #[test]
    fn no_batch_outgrows_the_others_memory() {
        let (senders, mut timeline) = sources(2);
        let count = BATCH_PACKETS as u64;
        for (first, sender) in (0..).zip(&senders) {
            let times: Vec<u64> = (0..count).map(|index| 2 * index + first).collect();
            sender.send(batch(&times, 2 * count)).unwrap();
        }
        drop(senders);
        let (mut sizes, mut seen, mut number) = (Vec::new(), Vec::new(), 0);
        while let Next::Batch(batch) = timeline.next(Duration::ZERO, &never::<()>()) {
            sizes.push(batch.records.len());
            seen.extend(times(&batch, &mut number));
            let end = seen.last().map(|last| Timestamp::from_nanos(*last));
            assert!(batch.reached >= end && (number == 2 * count || batch.reached == end));
        }
        assert_eq!(sizes, [BATCH_PACKETS; 2]);
        assert!(seen.into_iter().eq(0..2 * count));
    }

    proptest! {
        #[test]
        fn order_of_time_whatever_the_sources_and_batches(
            sent in proptest::collection::vec((0usize..3, 0u64..40, 0u8..4), 1..120),
        ) {
            let (senders, mut timeline) = sources(3);
            let mut clock = 0;
            let mut open: Vec<Vec<u64>> = vec![Vec::new(); 3];
            let mut expected = Vec::new();
            for (source, pause, cut) in sent {
                clock += pause;
                open[source].push(clock);
                expected.push(clock);
                if cut == 0 {
                    senders[source].send(batch(&std::mem::take(&mut open[source]), clock)).unwrap();
                }
            }
            for (times, sender) in open.iter().zip(&senders) {
                sender.send(batch(times, clock)).unwrap();
            }
            drop(senders);
            let (mut seen, mut number) = (Vec::new(), 0);
            while let Next::Batch(batch) = timeline.next(Duration::ZERO, &never::<()>()) {
                seen.extend(times(&batch, &mut number));
                prop_assert!(batch.reached.is_some());
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
