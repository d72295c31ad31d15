//! The way from the packet path to the output.
//!
//! In: the records of one batch, in order, and its ticks. Out: [`Records`], in parts of bounded size. Promises: order stays, and
//! nothing is sent that says nothing.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::time::Timestamp;

use super::{
    record::{Record, Records, WaysBack},
    segments::Route,
};

/// Most records that leave at once, so that a queue of them is bounded by more than the number of batches: a packet may hold
/// dozens of responses.
const TOGETHER: usize = 512;

/// The packet path ended early: whoever takes the records has gone.
#[derive(Debug)]
pub(crate) struct Disconnected;

/// The way to the output, and where it gives exchanges back.
pub(crate) struct Reports {
    pub records: Sender<Records>,
    pub ways_back: Arc<WaysBack>,
}

impl Reports {
    /// Passes records on, if there is anything to say.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when their receiver has gone.
    pub(crate) fn send(&self, records: Vec<Record>, mut ticks: Vec<(u64, Timestamp)>) -> Result<(), Disconnected> {
        if records.len() <= TOGETHER {
            return self.send_together(records, ticks);
        }
        let mut records = records.into_iter();
        loop {
            let together: Vec<Record> = records.by_ref().take(TOGETHER).collect();
            let Some(last) = together.last().filter(|_| records.len() > 0).map(|record| record.stamp.number) else {
                return self.send_together(together, ticks);
            };
            let later = ticks.split_off(ticks.partition_point(|(number, _)| *number <= last));
            self.send_together(together, std::mem::replace(&mut ticks, later))?;
        }
    }

    fn send_together(&self, records: Vec<Record>, ticks: Vec<(u64, Timestamp)>) -> Result<(), Disconnected> {
        if records.is_empty() && ticks.is_empty() {
            return Ok(());
        }
        let ways_back = Arc::clone(&self.ways_back);
        self.records.send(Records { records, ticks, ways_back }).map_err(|_| Disconnected)
    }
}

/// The ticks of a batch, which every route has: packet number and time.
pub(crate) fn ticks_of(route: &Route) -> Vec<(u64, Timestamp)> {
    route.ticks.iter().map(|tick| (tick.stamp.number, tick.stamp.time)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    use crate::{
        capture::Stamp,
        sensor::{
            record::{Finding, Order},
            segments::Groups,
        },
        time::Stretch,
    };

    #[test]
    fn many_records_leave_in_parts_and_ticks_keep_their_place() {
        let record = |number: u64| {
            let stamp = Stamp { number, time: Timestamp::from_nanos(number) };
            let finding = Finding::Loss(Stretch::from(stamp.time));
            Record { order: Order::of_packet(number, 0), stamp, finding }
        };
        let numbers = || (0..2 * TOGETHER as u64 + 7).map(|number| number / 3);
        let ticks = || [0, 5, TOGETHER as u64 / 3, 2 * TOGETHER as u64].map(|number| (number, Timestamp::EPOCH));
        let (sender, records) = bounded(8);
        let ways_back = Arc::new(WaysBack { groups: Groups::of_workers(1), ways: Vec::new() });
        let reports = Reports { records: sender, ways_back };
        reports.send(numbers().map(record).collect(), ticks().into()).unwrap();
        reports.send(Vec::new(), ticks().into()).unwrap();
        reports.send(Vec::new(), Vec::new()).unwrap();
        let parts: Vec<Records> = records.try_iter().collect();
        let sizes: Vec<_> = parts.iter().map(|part| part.records.len()).collect();
        assert_eq!(sizes, [TOGETHER, TOGETHER, 7, 0]);
        let arrived = parts[..3].iter().flat_map(|part| &part.records).map(|record| record.stamp.number);
        assert!(arrived.eq(numbers()));
        assert!(parts[..3].iter().flat_map(|part| part.ticks.clone()).eq(ticks()));
        for (part, next) in parts.iter().zip(&parts[1..3]) {
            let (last, first) = (part.records.last().unwrap().stamp.number, next.records[0].stamp.number);
            assert!(part.ticks.iter().all(|(number, _)| *number <= last), "a tick before its packet");
            assert!(next.ticks.iter().all(|(number, _)| *number > last || first > last), "a tick after its packet");
        }
        assert_eq!(parts[3].ticks.len(), 4);
    }
}
