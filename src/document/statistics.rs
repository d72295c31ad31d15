//! The counters of a run as JSON.
//!
//! In: a [`Summary`]. Out: one JSON object with every counter, including counters that are zero, under the names of their
//! stages.

use crate::telemetry::{
    Count,
    summary::{Nearest, Summary},
};

/// Makes the JSON object.
pub(super) fn object(summary: &Summary) -> serde_json::Value {
    let object = |counts: &[Count]| {
        let counts = counts.iter().map(|count| (count.name.to_owned(), count.value.into()));
        serde_json::Value::Object(counts.collect())
    };
    let stages = summary.stages.iter().map(|stage| (stage.stage.to_owned(), object(&stage.counts)));
    let interfaces = summary.interfaces.iter().map(|(name, counts)| (name.clone(), object(counts)));
    let mut object = serde_json::json!({
        "wirespike": { "version": env!("CARGO_PKG_VERSION") },
        "elapsed_seconds": summary.elapsed.as_secs_f64(),
        "packets": summary.packets,
        "bytes": summary.bytes,
        "flows": summary.flows,
        "exchanges": summary.exchanges,
        "errors": summary.errors,
        "alerts": summary.alerts,
        "near_misses": summary.nearest.iter().map(near_miss).collect::<Vec<_>>(),
        "stages": serde_json::Value::Object(stages.collect()),
        "interfaces": serde_json::Value::Object(interfaces.collect()),
        "problems": summary.problems,
    });
    if let (Some(seed), Some(members)) = (summary.repeated_with, object.as_object_mut()) {
        members.insert("hash_seed".to_owned(), seed.into());
    }
    object
}

fn near_miss(Nearest { client, errors, threshold, until }: &Nearest) -> serde_json::Value {
    serde_json::json!({ "client": client, "errors": errors, "threshold": threshold, "until": until })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::summary::StageCounts;

    #[test]
    fn every_counter_is_there_also_those_that_are_zero() {
        let count = |name, value| Count { name, help: "", value };
        let stage = StageCounts { stage: "decode", counts: vec![count("odd", 1_234), count("even", 0)] };
        let json = object(&Summary { packets: 7, stages: vec![stage], ..Summary::default() });
        assert_eq!(json["stages"]["decode"], serde_json::json!({"odd": 1_234, "even": 0}));
        assert_eq!((&json["interfaces"], &json["packets"]), (&serde_json::json!({}), &serde_json::json!(7)));
    }
}
