//! Runs: a sensor between packets that come from files or interfaces, and outputs.
//!
//! In: [`Settings`] and where packets come from. Out: alerts, events and exchanges in the outputs, and a [`Completion`] or a
//! [`RunError`]. Both kinds of run have the same parts: a thread that gives batches of packets to the
//! [`Executor`](crate::sensor::executor::Executor), and a thread that passes its findings to the `delivery`.

mod annotator;
mod delivery;
mod error;
mod evidence;
mod limits;
pub mod live;
mod progress;
mod readahead;
pub mod replay;
mod save_pace;
pub mod show;
mod survey;
mod terminal;
mod tls_keys;
mod tls_summary;
mod two_sides;
mod unread;
mod unseen;
mod warnings;

pub use error::{Completion, RunError};
pub use tls_keys::{TlsKeysError, check as check_tls};

use std::sync::Arc;

use crate::{
    decode::DecodeSettings,
    detect::NearMiss,
    event::EventSettings,
    keyed_hash::random_seed,
    sensor::{Evaluator, SensorSettings},
    settings::Settings,
    stream::TlsKeys,
    telemetry::summary::Nearest,
};

/// The seed of a run: the configured one, or a random one.
fn seed_of(settings: &Settings) -> u64 {
    settings.hash_seed.unwrap_or_else(random_seed)
}

/// The clients that came nearest to an alert without one, for the summary.
fn nearest(evaluator: &Evaluator) -> Vec<Nearest> {
    let nearest = |miss: &NearMiss| Nearest {
        client: miss.client.to_string(),
        errors: miss.count,
        threshold: miss.threshold,
        until: miss.until.to_string(),
    };
    evaluator.near_misses().map(nearest).collect()
}

/// The part of the settings that the sensor needs, for a replay. One seed governs every hash on which an output may depend.
fn sensor_settings(settings: &Settings, seed: u64) -> SensorSettings {
    SensorSettings {
        flow_hash_key: seed,
        filter: settings.filter.clone(),
        times: settings.times.clone(),
        decode: DecodeSettings { hash_seed: seed, ..settings.decode.clone() },
        scope: settings.scope,
        flow: settings.flow.clone(),
        streams: settings.http.clone(),
        tls_keys: TlsKeys::default(),
        in_order: false,
        site: Arc::clone(&settings.site),
        events: EventSettings { hash_seed: seed, ..settings.events.clone() },
        rules: settings.rules.clone(),
        severity: settings.severity,
        report_exchanges: settings.output.exchanges.is_some(),
    }
}
