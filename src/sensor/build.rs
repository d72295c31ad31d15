//! The parts of a run, made from its settings.
//!
//! In: [`Settings`], whose limits are totals. Out: a dispatcher and shard sets, with every total divided by the fixed
//! number of shards, so that limits do not depend on the worker count.

use crate::{decode::Decoder, flow::FlowSettings, settings::Settings, stream::http1::HttpSettings};

use super::{
    RunError,
    dispatch::{Dispatcher, PacketFilter},
    segments::SHARDS,
    shard::{Reporting, ShardSettings},
};

/// The flow hash's key in replay: fixed, so that the same capture takes the same paths.
const REPLAY_SEED: u64 = 0x7769_7265_7370_696b;

/// A dispatcher for a replay.
///
/// # Errors
///
/// A filter expression that is wrong.
pub(crate) fn dispatcher(settings: &Settings) -> Result<Dispatcher, RunError> {
    let filter = settings.filter.as_deref().map(PacketFilter::new).transpose()?;
    Ok(Dispatcher::new(Decoder::new(settings.decode.clone()), filter, settings.scope, REPLAY_SEED))
}

/// A dispatcher for a live run, whose interfaces filter already.
pub(crate) fn live_dispatcher(settings: &Settings, seed: u64) -> Dispatcher {
    Dispatcher::new(Decoder::new(settings.decode.clone()), None, settings.scope, seed)
}

/// The settings of each shard.
pub(crate) fn shard_settings(settings: &Settings) -> ShardSettings {
    ShardSettings {
        flow: per_shard_flow(&settings.flow),
        http: per_shard_http(&settings.http),
        reporting: Reporting { events: settings.events.clone(), every_exchange: settings.output.exchanges.is_some() },
    }
}

fn share(total: usize) -> usize {
    total.div_ceil(SHARDS).max(1)
}

fn per_shard_flow(flow: &FlowSettings) -> FlowSettings {
    FlowSettings {
        max_flows: share(flow.max_flows),
        max_total_waiting_bytes: share(flow.max_total_waiting_bytes),
        max_total_waiting_pieces: share(flow.max_total_waiting_pieces),
        ..flow.clone()
    }
}

fn per_shard_http(http: &HttpSettings) -> HttpSettings {
    HttpSettings { max_held_bytes: share(http.max_held_bytes), ..http.clone() }
}
