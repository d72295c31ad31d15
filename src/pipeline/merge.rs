//! One order from many workers.
//!
//! In: for each batch, every owner's records, each in order. Out: the batch's records in one order. Because every owner
//! answers every batch, the batch itself is the watermark: nothing earlier can still come.

use super::record::Record;

/// Merges the owners' records of one batch by their order. Each input must be in order.
pub(super) fn merge(mut parts: Vec<Vec<Record>>) -> Vec<Record> {
    parts.retain(|part| !part.is_empty());
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut all: Vec<Record> = parts.into_iter().flatten().collect();
    // A stable sort of few sorted runs is a merge; shards are disjoint between owners, so ties stay within one.
    all.sort_by_key(|record| record.order);
    all
}
