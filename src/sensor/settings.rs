//! What the sensor is told, and what follows for each shard.
//!
//! In: [`SensorSettings`], whose limits are totals. Out: [`ShardSettings`] with every total divided by the fixed number of
//! shards, so that limits do not depend on the number of workers.

use std::{ops::RangeInclusive, sync::Arc};

use crate::{
    decode::{ChecksumPolicy, DecodeSettings},
    detect::{Filters, RuleName, RulesSettings},
    event::{EventSettings, Observer, Site},
    flow::{FlowScope, FlowSettings},
    stream::{StreamSettings, TlsKeys},
    tcp::TcpSettings,
    time::Timestamp,
    verdict::SeverityPolicy,
};

use super::shard::SHARDS;

/// The default key of the flow hash: fixed, so that the same packets take the same paths in every run.
const FIXED_HASH_KEY: u64 = 0x7769_7265_7370_696b;

/// The settings of every stage, from packets to alerts.
#[derive(Debug, Clone)]
pub struct SensorSettings {
    /// Only packets that this BPF expression matches are looked at.
    pub filter: Option<String>,
    /// Only packets of these times are looked at.
    pub times: Option<RangeInclusive<Timestamp>>,
    /// Packets to segments.
    pub decode: DecodeSettings,
    /// What tells overlapping address spaces apart.
    pub scope: FlowScope,
    /// Key of the flow hash. A sensor on a live network needs one that nobody outside can guess.
    pub flow_hash_key: u64,
    /// Flows and reassembly; limits are totals over all shards.
    pub flow: FlowSettings,
    /// The protocols above TCP; limits are totals over all shards.
    pub streams: StreamSettings,
    /// What decrypts TLS.
    pub tls_keys: TlsKeys,
    /// Whether the packets of all connections are processed in their order, on one thread, and not only those of one connection. What
    /// one connection shows then reaches another at the same packet in every run.
    pub in_order: bool,
    /// What identifies the site, in events and alerts alike.
    pub site: Arc<Site>,
    /// Which exchanges are error events, and whose.
    pub events: EventSettings,
    /// The rules.
    pub rules: RulesSettings,
    /// Whether the verdict may raise an alert's severity.
    pub severity: SeverityPolicy,
    /// Whether every exchange is reported when it is over, and not error events and alerts alone.
    pub report_exchanges: bool,
}

impl Default for SensorSettings {
    fn default() -> Self {
        Self {
            filter: None,
            times: None,
            decode: DecodeSettings::default(),
            scope: FlowScope::default(),
            flow_hash_key: FIXED_HASH_KEY,
            flow: FlowSettings::default(),
            streams: StreamSettings::default(),
            tls_keys: TlsKeys::default(),
            in_order: false,
            site: Arc::default(),
            events: EventSettings::default(),
            rules: RulesSettings::default(),
            severity: SeverityPolicy::default(),
            report_exchanges: false,
        }
    }
}

impl SensorSettings {
    /// The number of shards.
    pub(crate) fn shards(&self) -> usize {
        if self.in_order { 1 } else { SHARDS }
    }
}

/// The settings of one shard.
#[derive(Debug, Clone)]
pub(crate) struct ShardSettings {
    /// The number of shards in all.
    pub shards: usize,
    /// Flows and reassembly.
    pub flow: FlowSettings,
    /// The protocols above TCP.
    pub streams: StreamSettings,
    /// What decrypts TLS.
    pub tls_keys: TlsKeys,
    /// What an exchange is observed as, and whether it is an error.
    pub observer: Observer,
    /// Which exchanges rules see with their text.
    pub filters: Filters,
    /// Whether every exchange is reported when it is over.
    pub report_exchanges: bool,
}

impl ShardSettings {
    /// The settings of each shard of a sensor.
    pub(crate) fn of(settings: &SensorSettings) -> Self {
        let shards = settings.shards();
        Self {
            shards,
            flow: FlowSettings {
                judges_checksums: settings.decode.verify_checksums == ChecksumPolicy::Auto,
                ..per_shard_flow(&settings.flow, shards)
            },
            streams: StreamSettings {
                follow_turns: settings.rules.enabled.contains(RuleName::EncryptedScan),
                ..per_shard_streams(&settings.streams, shards)
            },
            tls_keys: settings.tls_keys.clone(),
            observer: Observer::new(settings.events.clone(), Arc::clone(&settings.site)),
            filters: Filters::new(&settings.rules),
            report_exchanges: settings.report_exchanges,
        }
    }
}

fn share(total: usize, shards: usize) -> usize {
    total.div_ceil(shards).max(1)
}

fn per_shard_flow(flow: &FlowSettings, shards: usize) -> FlowSettings {
    FlowSettings {
        max_flows: share(flow.max_flows, shards),
        tcp: TcpSettings {
            max_total_waiting_bytes: share(flow.tcp.max_total_waiting_bytes, shards),
            max_total_waiting_pieces: share(flow.tcp.max_total_waiting_pieces, shards),
            ..flow.tcp.clone()
        },
        ..flow.clone()
    }
}

fn per_shard_streams(streams: &StreamSettings, shards: usize) -> StreamSettings {
    StreamSettings {
        max_held_bytes: share(streams.max_held_bytes, shards),
        max_in_flight_bytes: share(streams.max_in_flight_bytes, shards),
        ..streams.clone()
    }
}
