//! The way of records from the workers to the thread that evaluates them, and of exchanges back.
//!
//! In: the records of one batch, in order, and its moments. Out: [`Records`] of bounded size on a channel. Promises: order stays;
//! an empty batch of records is not sent; an exchange goes back to the shard that made it.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::{
    exchange::Exchange,
    sensor::{clock::Moment, record::Record},
};

use super::routes::{Groups, Route};

/// Most records that are sent at once. A packet may hold dozens of responses, so the number of batches alone would not bound
/// the memory of the queue.
const SENT_TOGETHER: usize = 512;

/// The records of one batch, in order, and the moments of packet time among them.
#[derive(Debug)]
pub(crate) struct Records {
    /// Records, in order.
    pub records: Vec<Record>,
    /// Moments in order, each with its packet's number. A moment comes before the records of its packet.
    pub moments: Vec<(u64, Moment)>,
    /// Where used exchanges go.
    pub returns: Arc<ExchangeReturns>,
}

/// Used exchanges, emptied, each with the number of the shard that made it.
pub(crate) type UsedExchanges = Vec<(u8, Box<Exchange>)>;

/// The channels on which used exchanges go back to the groups of shards that made them.
#[derive(Debug)]
pub(crate) struct ExchangeReturns {
    /// How shards are grouped.
    pub groups: Groups,
    /// The channel of each group.
    pub channels: Vec<Sender<UsedExchanges>>,
}

impl ExchangeReturns {
    /// Gives exchanges back to their group. Exchanges that its channel has no room for are freed.
    pub(crate) fn give_back(&self, group: usize, used: UsedExchanges) {
        if let Some(channel) = self.channels.get(group).filter(|_| !used.is_empty()) {
            let _ = channel.try_send(used);
        }
    }
}

/// The executor ended early: nobody receives its records any more, or a worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the findings have no receiver any more, or a worker thread was lost")]
pub struct Disconnected;

/// The sending end of the channel of records.
pub(crate) struct RecordSender {
    pub records: Sender<Records>,
    pub returns: Arc<ExchangeReturns>,
}

impl RecordSender {
    /// Sends records and moments on.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] when nobody receives them any more.
    pub(crate) fn send(&self, records: Vec<Record>, mut moments: Vec<(u64, Moment)>) -> Result<(), Disconnected> {
        if records.len() <= SENT_TOGETHER {
            return self.send_together(records, moments);
        }
        let mut records = records.into_iter();
        loop {
            let together: Vec<Record> = records.by_ref().take(SENT_TOGETHER).collect();
            let Some(last) = together.last().filter(|_| records.len() > 0).map(|record| record.stamp.number) else {
                return self.send_together(together, moments);
            };
            let later = moments.split_off(moments.partition_point(|(number, _)| *number <= last));
            self.send_together(together, std::mem::replace(&mut moments, later))?;
        }
    }

    fn send_together(&self, records: Vec<Record>, moments: Vec<(u64, Moment)>) -> Result<(), Disconnected> {
        if records.is_empty() && moments.is_empty() {
            return Ok(());
        }
        let returns = Arc::clone(&self.returns);
        self.records.send(Records { records, moments, returns }).map_err(|_| Disconnected)
    }
}

/// The moments of a batch, which are the same on every route, each with its packet's number.
pub(crate) fn moments_of(route: &Route) -> Vec<(u64, Moment)> {
    route.moments.iter().map(|placed| (placed.number, placed.moment)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    use crate::{
        capture::Stamp,
        sensor::record::{Content, Order},
        time::{Stretch, Timestamp},
    };

    #[test]
    fn many_records_leave_in_parts_and_ticks_keep_their_place() {
        let record = |number: u64| {
            let stamp = Stamp { number, time: Timestamp::from_nanos(number) };
            let content = Content::Gap(Stretch::from(stamp.time));
            Record { order: Order::of_packet(number, None, 0), stamp, content }
        };
        let numbers = || (0..2 * SENT_TOGETHER as u64 + 7).map(|number| number / 3);
        let moments = || {
            [0, 5, SENT_TOGETHER as u64 / 3, 2 * SENT_TOGETHER as u64]
                .map(|number| (number, Moment::Reached(Timestamp::EPOCH)))
        };
        let (sender, records) = bounded(8);
        let returns = Arc::new(ExchangeReturns { groups: Groups::of_workers(1, 16), channels: Vec::new() });
        let sender = RecordSender { records: sender, returns };
        sender.send(numbers().map(record).collect(), moments().into()).unwrap();
        sender.send(Vec::new(), moments().into()).unwrap();
        sender.send(Vec::new(), Vec::new()).unwrap();
        let parts: Vec<Records> = records.try_iter().collect();
        let sizes: Vec<_> = parts.iter().map(|part| part.records.len()).collect();
        assert_eq!(sizes, [SENT_TOGETHER, SENT_TOGETHER, 7, 0]);
        let arrived = parts[..3].iter().flat_map(|part| &part.records).map(|record| record.stamp.number);
        assert!(arrived.eq(numbers()));
        assert!(parts[..3].iter().flat_map(|part| part.moments.clone()).eq(moments()));
        for (part, next) in parts.iter().zip(&parts[1..3]) {
            let (last, first) = (part.records.last().unwrap().stamp.number, next.records[0].stamp.number);
            assert!(part.moments.iter().all(|(number, _)| *number <= last), "a tick before its packet");
            assert!(next.moments.iter().all(|(number, _)| *number > last || first > last), "a tick after its packet");
        }
        assert_eq!(parts[3].moments.len(), 4);
    }
}
