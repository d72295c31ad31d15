//! Merges the records that the groups of shards found in one batch.
//!
//! In: the records of every group, each group's in order. Out: the batch's records in one order. Every group has done the
//! batch, so the batch is the watermark: no earlier record can still come.

use crate::sensor::record::Record;

/// Merges the groups' records of one batch by their order. Each input must be in order.
pub(crate) fn merge(mut parts: Vec<Vec<Record>>) -> Vec<Record> {
    parts.retain(|part| !part.is_empty());
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut merged = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    // Shards are disjoint between groups, so there are no ties between parts.
    let next = |part: &std::vec::IntoIter<Record>| part.as_slice().first().map(|record| record.order);
    while let Some(part) = parts.iter_mut().filter(|part| next(part).is_some()).min_by_key(|part| next(part)) {
        merged.extend(part.next());
    }
    merged
}
