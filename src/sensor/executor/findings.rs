//! The receiving end of the executor: records to findings, on whichever thread calls.
//!
//! In: [`Records`] from the workers. Out: [`Finding`]s, in the order of the packets. Promises: the findings of a [`Sensor`]
//! that was given the same packets; used exchanges go back to the shards that made them.
//!
//! [`Sensor`]: crate::sensor::Sensor

use crossbeam_channel::Receiver;

use crate::{
    sensor::{Evaluator, Finding},
    time::Timestamp,
};

use super::{
    prefetch::{prefetch, prefetch_value},
    records::{Records, UsedExchanges},
};

/// Records between the one at hand and the one whose exchange is asked for: another core has written it. The exchange's text
/// is asked for when the record is half as far away.
const FETCHED_AHEAD: usize = 8;

/// The receiving end of the executor.
pub struct Findings {
    evaluator: Evaluator,
    records: Receiver<Records>,
}

impl Findings {
    pub(super) fn new(evaluator: Evaluator, records: Receiver<Records>) -> Self {
        Self { evaluator, records }
    }

    /// Waits for the next records and passes on their findings. Returns false when the executor has finished and nothing is
    /// left.
    pub fn receive(&mut self, findings: &mut impl FnMut(Finding<'_>)) -> bool {
        let received = self.records.recv();
        received.map(|records| self.evaluate(records, findings)).is_ok()
    }

    /// Executes the open window, marked partial: the packets are over, and `last` is the time of the last one.
    pub fn finish(&mut self, last: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        self.evaluator.finish(last, findings);
    }

    /// Events and rules.
    pub fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Events and rules, to change their settings.
    pub(crate) fn evaluator_mut(&mut self) -> &mut Evaluator {
        &mut self.evaluator
    }

    /// The channel of records, for a thread that waits for something else too.
    pub(crate) fn channel(&self) -> &Receiver<Records> {
        &self.records
    }

    /// Passes on the findings of the records of one batch.
    pub(crate) fn evaluate(&mut self, records: Records, findings: &mut impl FnMut(Finding<'_>)) {
        let Records { records, moments, returns } = records;
        let mut moments = moments.into_iter().peekable();
        let mut used: Vec<UsedExchanges> = returns.channels.iter().map(|_| UsedExchanges::new()).collect();
        let mut arrived = records.into_iter();
        while let Some(record) = arrived.next() {
            let ahead = |distance: usize| arrived.as_slice().get(distance)?.content.exchange();
            if let Some(exchange) = ahead(FETCHED_AHEAD) {
                prefetch_value(exchange);
            }
            if let Some(exchange) = ahead(FETCHED_AHEAD / 2) {
                prefetch(&exchange.text);
            }
            while let Some((number, moment)) = moments.next_if(|(number, _)| *number <= record.stamp.number) {
                self.evaluator.moment(number, moment, findings);
            }
            let shard = record.order.shard();
            let group = returns.groups.of_shard(usize::from(shard));
            if let (Some(mut exchange), Some(used)) = (self.evaluator.record(record, findings), used.get_mut(group)) {
                // It is emptied here: this core has it in its cache, and the worker's core does not.
                exchange.clear();
                used.push((shard, exchange));
            }
        }
        for (number, moment) in moments {
            self.evaluator.moment(number, moment, findings);
        }
        for (group, used) in used.into_iter().enumerate() {
            returns.give_back(group, used);
        }
    }
}
