//! Runs: a sensor between packets that come from files or interfaces, and outputs.
//!
//! In: [`Settings`] and where packets come from. Out: alerts, events and exchanges in the outputs, and a [`Completion`] or a
//! [`RunError`]. Both kinds of run have the same parts: a thread that gives batches of packets to the
//! [`Executor`](crate::sensor::executor::Executor), and a thread that passes its findings to the `delivery`.

mod delivery;
mod error;
pub mod live;
mod progress;
mod readahead;
pub mod replay;
mod survey;
mod warnings;

pub use error::{Completion, RunError};

use std::sync::Arc;

use crate::{decode::DecodeSettings, keyed_hash::random_seed, sensor::SensorSettings, settings::Settings};

/// The part of the settings that the sensor needs, for a replay.
fn sensor_settings(settings: &Settings) -> SensorSettings {
    let seed = settings.hash_seed.unwrap_or_else(random_seed);
    SensorSettings {
        flow_hash_key: seed,
        filter: settings.filter.clone(),
        times: settings.times.clone(),
        decode: DecodeSettings { hash_seed: seed, ..settings.decode.clone() },
        scope: settings.scope,
        flow: settings.flow.clone(),
        streams: settings.http.clone(),
        site: Arc::clone(&settings.site),
        events: settings.events.clone(),
        rules: settings.rules.clone(),
        report_exchanges: settings.output.exchanges.is_some(),
    }
}
