//! The configuration file's shape.
//!
//! In: TOML. Out: [`FileConfig`], every key optional, unknown keys refused. What a key means is decided in
//! [`Settings`](super::Settings).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer};

use crate::{
    cli::{LogFormat, ModeArg, StampArg},
    settings::duration::parse_duration,
};

/// A duration written as `11m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrittenDuration(pub Duration);

impl<'de> Deserialize<'de> for WrittenDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileConfig {
    /// `[sensor]`
    pub sensor: Sensor,
    /// `[output]`
    pub output: Output,
    /// `[rule]`
    pub rule: Rule,
    /// `[events]`
    pub events: Events,
    /// `[proxies]`
    pub proxies: Proxies,
    /// `[[server]]`, repeated
    pub server: Vec<Server>,
    /// `[packets]`
    pub packets: Packets,
    /// `[tunnels]`
    pub tunnels: Tunnels,
    /// `[http]`
    pub http: Http,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[live]`
    pub live: Live,
}

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $help:literal])+ $key:ident: $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name { $($(#[doc = $help])+ pub(super) $key: Option<$kind>,)* }
    };
}

section! {
    /// Who this sensor is.
    Sensor {
        /// `agent.id`.
        id: String,
        /// `data_stream.namespace`.
        namespace: String,
    }
}

section! {
    /// Where output goes; `-` is standard output.
    Output {
        /// Alerts.
        alerts: PathBuf,
        /// Error events.
        events: PathBuf,
        /// Every exchange.
        exchanges: PathBuf,
        /// Counters at the end.
        stats: PathBuf,
    }
}

section! {
    /// The rule.
    Rule {
        /// Alert above this many errors.
        threshold: u32,
        /// Look-back.
        window: WrittenDuration,
        /// Interval.
        every: WrittenDuration,
        /// Alerts an execution.
        max_alerts: usize,
        /// Scheduled or streaming.
        mode: ModeArg,
        /// How late an event may come and still count.
        lateness: WrittenDuration,
        /// Which `event.reason`s count.
        reasons: Vec<String>,
        /// No second alert for the same client within this time.
        suppress: WrittenDuration,
    }
}

section! {
    /// Which exchanges are error events.
    Events {
        /// Statuses and ranges of them: `["400-599"]`.
        statuses: Vec<String>,
        /// Reasons for which events are written.
        reasons: Vec<String>,
        /// Query keys whose values are masked.
        masked_keys: Vec<String>,
    }
}

section! {
    /// Proxies in front of servers.
    Proxies {
        /// Networks whose forwarded-for headers and PROXY protocol are believed.
        trusted: Vec<String>,
        /// Which leg of a proxied request counts when both are on the wire: `all`, `client` or `backend`.
        leg: String,
    }
}

section! {
    /// What is known of a server; all given conditions must hold.
    Server {
        /// Its address or network.
        network: String,
        /// Its port.
        port: u16,
        /// The `Host` it serves.
        host: String,
        /// Its dataset: `nginx`, `apache`, `apache_tomcat`, `iis` or `http`.
        dataset: String,
        /// Its name, `host.name` in output.
        name: String,
    }
}

section! {
    /// How packets are read.
    Packets {
        /// BPF expression.
        filter: String,
        /// Worker threads.
        workers: usize,
        /// Whether IPv4 and TCP checksums must be right.
        verify_checksums: bool,
        /// What tells overlapping address spaces apart: `none`, `vlan` or `tunnel`.
        flow_scope: String,
        /// Which of two overlapping segments that disagree is believed: `first` or `last`.
        overlap: String,
    }
}

section! {
    /// Tunnels.
    Tunnels {
        /// Tags and tunnels looked into, one inside the other.
        max_depth: u8,
        /// UDP ports of VXLAN.
        vxlan_ports: Vec<u16>,
        /// UDP ports of VXLAN-GPE.
        vxlan_gpe_ports: Vec<u16>,
        /// UDP ports of GENEVE.
        geneve_ports: Vec<u16>,
        /// UDP ports of GTP-U.
        gtp_u_ports: Vec<u16>,
        /// UDP ports of Teredo.
        teredo_ports: Vec<u16>,
        /// UDP ports of L2TP.
        l2tp_ports: Vec<u16>,
    }
}

section! {
    /// HTTP parsing.
    Http {
        /// Largest header block kept, in bytes.
        header_block_bytes: usize,
        /// Longest request target kept, in bytes.
        target_bytes: usize,
        /// Longest other field kept, in bytes.
        field_bytes: usize,
    }
}

section! {
    /// Memory; totals over all shards.
    Limits {
        /// Connections tracked.
        flows: usize,
        /// Bytes held out of order, in all.
        reassembly_bytes: usize,
        /// Segments held out of order, in all.
        reassembly_segments: usize,
        /// Bytes held out of order for one direction of one connection.
        flow_reassembly_bytes: usize,
        /// Segments held out of order for one direction of one connection.
        flow_reassembly_segments: usize,
        /// Bytes of IP fragments held.
        fragment_bytes: usize,
        /// Fragmented datagrams held.
        fragment_datagrams: usize,
        /// Pieces of one fragmented datagram.
        fragment_pieces: usize,
        /// Clients counted in the rule's windows.
        clients: usize,
        /// Requests waiting for a response on one connection.
        pending_requests: usize,
        /// Bytes of unfinished HTTP messages held, in all.
        http_bytes: usize,
    }
}

section! {
    /// Times after which something is given up, in packet time.
    Timeouts {
        /// A connection whose handshake did not complete.
        half_open: WrittenDuration,
        /// A connection that is silent.
        established: WrittenDuration,
        /// A connection that one side has closed.
        half_closed: WrittenDuration,
        /// How long a closed connection is remembered for its late segments.
        linger: WrittenDuration,
        /// How much the capture may be out of order.
        reorder: WrittenDuration,
        /// A hole, where no acknowledgments are seen.
        hole: WrittenDuration,
        /// A fragmented datagram.
        fragments: WrittenDuration,
        /// A request without a response.
        response: WrittenDuration,
    }
}

section! {
    /// Live capture and the service around it.
    Live {
        /// Bytes kept of each packet.
        snap_length: u32,
        /// Ring size in MiB.
        ring: u32,
        /// Promiscuous mode.
        promiscuous: bool,
        /// Whose clock stamps packets: `kernel` or `hardware`.
        stamps: StampArg,
        /// Address of the metrics endpoint.
        metrics: SocketAddr,
        /// The state file.
        state: PathBuf,
        /// Text or JSON logs.
        log_format: LogFormat,
    }
}
