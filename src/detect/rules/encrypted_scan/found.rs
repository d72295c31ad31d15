//! What the turns of a group show: figures, grades and confidence.
//!
//! In: the turns of a group in some cells, and an estimate of their uniform answers. Out: [`Found`], from which an alert is made.
//! Promises: every figure was counted or follows from counts.

use std::ops::Range;

use super::{
    engine::{Cellwise, GroupKey},
    estimate::{Circumstances, Estimate, confidence, page},
    tally::Tally,
};
use crate::{
    address::Endpoint,
    detect::{GradeCounts, Inference, Summary},
    exchange::Grade,
};

/// What the turns of a group show.
pub(super) struct Found {
    pub(super) key: GroupKey,
    pub(super) grades: GradeCounts,
    pub(super) tally: Tally,
    pub(super) estimate: Estimate,
    pub(super) inference: Inference,
}

impl Found {
    /// Computes the confidence.
    pub(super) fn judge(&mut self) {
        let around = circumstances(&self.inference, &self.tally);
        self.inference.confidence = confidence(&self.estimate, &around);
    }
}

/// The turns of a group in these cells together.
pub(super) fn summed(group: &Cellwise, cells: &Range<u64>) -> Tally {
    group.within(cells).fold(Tally::default(), |mut sum, tally| {
        sum.merge(tally);
        sum
    })
}

/// What an estimate of these turns shows. `None` without times.
pub(super) fn found(key: GroupKey, estimate: Estimate, tally: Tally) -> Option<Found> {
    let inference = inferred(&estimate, &tally)?;
    Some(Found { key, grades: grades_of(estimate.uniform, tally.grades), tally, estimate, inference })
}

/// The summary of an alert: the server, and the first connections.
pub(super) fn summary_of(over: &Found) -> Summary {
    let (server, client) = over.key;
    let flows = over.tally.ports().iter().map(|port| (Endpoint::new(client, *port), server)).collect();
    let tls = over.tally.tls.clone();
    Summary { servers: vec![(server, over.inference.uniform)], flows, tls, ..Summary::default() }
}

/// The grades of the uniform answers, of which only the sum is known. The worst grades are taken first.
fn grades_of(uniform: u64, all: GradeCounts) -> GradeCounts {
    let mut left = uniform;
    let mut grades = GradeCounts::default();
    for grade in Grade::ALL.into_iter().rev() {
        let taken = all.of(grade).min(left);
        left -= taken;
        grades.add_many(grade, taken);
    }
    grades
}

/// The figures of an estimate. `None` without times.
fn inferred(found: &Estimate, tally: &Tally) -> Option<Inference> {
    let turns = tally.turns();
    Some(Inference {
        turns,
        uniform: found.uniform,
        length: found.length,
        band: found.band,
        slope: f64::from(found.slope) / 3.0,
        request_lengths: found.requests.distinct,
        shortest_request: found.requests.shortest,
        longest_request: found.requests.longest,
        variety: found.requests.variety,
        page: page(found),
        other_clients: 0,
        start: tally.first?,
        end: tally.last?,
        is_multiplexed: found.is_multiplexed,
        is_browser_like: tally.grease * 2 > turns,
        is_coarse: tally.blocks * 2 > turns,
        confidence: 0.0,
    })
}

fn circumstances(inference: &Inference, tally: &Tally) -> Circumstances {
    Circumstances {
        turns: inference.turns,
        turns_per_minute: inference.turns_per_minute(),
        other_clients: inference.other_clients,
        is_browser_like: inference.is_browser_like,
        is_coarse: inference.is_coarse,
        surprise: tally.order.surprise(),
        steps: tally.steps,
    }
}
