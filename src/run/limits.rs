//! Whether a run reached a limit of its memory.
//!
//! In: the counters of every stage. Out: whether one of them says that something was dropped, refused or decided early to make
//! room. Promises: where none does, no output depends on the seed of the hashes. The seed chooses the shard of a connection, and
//! each shard has an equal part of every total.

use crate::telemetry::summary::StageCounts;

/// The counters that say so, by stage.
const LIMITS: [(&str, &[&str]); 4] = [
    ("decode", &["datagrams_evicted", "datagrams_given_up_pieces"]),
    ("flow", &["ended_evicted", "lingers_cut", "doubts_evicted", "holes_total_cap"]),
    ("http", &["held_refused", "pipelined_dropped", "in_flight_dropped", "tls_searches_put_off", "tls_held_refused"]),
    ("detect", &["without_evidence", "clients_evicted", "clients_refused", "late_dropped"]),
];

/// Returns whether the run reached a limit.
pub(super) fn is_any_reached(stages: &[StageCounts]) -> bool {
    stages.iter().any(|stage| {
        let limits = LIMITS.iter().find(|(name, _)| *name == stage.stage).map_or(&[][..], |(_, limits)| limits);
        stage.counts.iter().any(|count| count.value > 0 && limits.contains(&count.name))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        sensor::{
            Evaluator, SensorSettings,
            executor::{Executor, ExecutorSettings},
        },
        telemetry::Count,
    };

    /// All stages of a sensor that has seen nothing.
    pub(in crate::run) fn stages() -> Vec<StageCounts> {
        let settings = SensorSettings::default();
        std::thread::scope(|scope| {
            let threads = ExecutorSettings { workers: 1, queue: 1 };
            let (executor, findings) = Executor::start(scope, &settings, threads, Evaluator::new(&settings)).unwrap();
            let stages = executor.counts().stages.into_iter().chain(findings.evaluator().counts());
            stages.collect()
        })
    }

    #[test]
    fn every_limit_is_a_counter_and_each_alone_is_enough() {
        assert!(!is_any_reached(&stages()));
        for (name, limits) in LIMITS {
            for limit in limits {
                let mut stages = stages();
                let stage = stages.iter_mut().find(|stage| stage.stage == name).unwrap();
                let count: &mut Count = stage.counts.iter_mut().find(|count| count.name == *limit).unwrap();
                count.value = 1;
                assert!(is_any_reached(&stages), "{name}.{limit}");
            }
        }
    }
}
