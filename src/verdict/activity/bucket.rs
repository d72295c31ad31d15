//! The exchanges of a client with one server in one interval.
//!
//! In: nothing; [`actor`](super::actor) fills them. Out: [`Bucket`]. Promises: fixed size; all counts are exact, methods beyond the
//! twelfth of an interval together.

use super::kinds::Kinds;
use crate::{exchange::Method, time::Timestamp};

/// The most methods of an interval that are counted apart.
const MOST_METHODS: usize = 12;

/// The exchanges of a client with one server in one interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// The number of the interval since the Unix epoch.
    pub(super) interval: u64,
    /// The server's number.
    pub(super) server: u16,
    /// Different paths of errors.
    pub(super) paths: u32,
    pub(super) kinds: Kinds,
    /// The first and the last error.
    pub(super) errors: Option<(Timestamp, Timestamp)>,
    /// Exchanges before the first error of the interval.
    pub(super) before_errors: u32,
    /// Exchanges up to the last error of the interval.
    pub(super) up_to_errors: u32,
    pub(super) methods: MethodCounts,
}

/// Exchanges by method. The places are taken in the order in which methods come; those that find none count as
/// [`Method::Other`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MethodCounts {
    counts: [(Method, u32); MOST_METHODS],
    /// Places that are taken.
    taken: u8,
    others: u32,
}

impl MethodCounts {
    #[inline]
    pub(super) fn add(&mut self, method: Method) {
        let taken = usize::from(self.taken);
        if let Some((_, count)) = self.counts.iter_mut().take(taken).find(|(known, _)| *known == method) {
            *count += 1;
        } else if let Some(free) = self.counts.get_mut(taken).filter(|_| method != Method::Other) {
            *free = (method, 1);
            self.taken += 1;
        } else {
            self.others += 1;
        }
    }

    /// The counts, the highest first.
    pub(super) fn ranked(&self) -> Vec<(Method, u64)> {
        let counts = self.counts.iter().copied().chain([(Method::Other, self.others)]);
        let mut ranked: Vec<_> =
            counts.filter(|(_, count)| *count > 0).map(|(method, count)| (method, count.into())).collect();
        ranked.sort_unstable_by_key(|&(method, count): &(Method, u64)| (std::cmp::Reverse(count), method));
        ranked
    }
}
