//! What a configuration means.
//!
//! In: a merged [`FileConfig`]. Out: [`Settings`]: defaults filled in, words turned into types, numbers checked.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    address::Address,
    capture::live::StampSource,
    cli::{CommonArgs, LiveArgs, LogFormat, ModeArg, ReplayArgs, StampArg},
    decode::DecodeSettings,
    detect::{Mode, RuleSettings},
    event::{Dataset, DatasetRule, EventSettings, Leg, Reason, ReasonSet, Site, StatusSet},
    flow::{FlowScope, FlowSettings},
    output::{Opening, OutputError, OutputSettings, Targets},
    service::state::StateFile,
    stream::http1::HttpSettings,
    tcp::OverlapPolicy,
};

use super::{
    ConfigError,
    file::{self, FileConfig, WrittenDuration},
    load,
};

/// The most workers that can share the shards.
const MOST_WORKERS: usize = crate::sensor::SHARDS;
/// The kernel takes the ring's size as a signed number of bytes.
const MOST_RING_MIB: u32 = 2_047;
/// Enough for the headers of a tunnelled packet.
const LEAST_SNAP_LENGTH: u32 = 128;
/// libpcap's own limit.
const MOST_SNAP_LENGTH: u32 = 262_144;

/// Everything a run needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Packets to segments.
    pub decode: DecodeSettings,
    /// Flows and reassembly; totals over all shards.
    pub flow: FlowSettings,
    /// What tells overlapping address spaces apart.
    pub scope: FlowScope,
    /// HTTP; totals over all shards.
    pub http: HttpSettings,
    /// What identifies the site, for everything that is written.
    pub site: Arc<Site>,
    /// Error events.
    pub events: EventSettings,
    /// The rule.
    pub rule: RuleSettings,
    /// Where output goes.
    pub output: OutputSettings,
    /// Only packets that this BPF expression matches.
    pub filter: Option<String>,
    /// Threads that reassemble and parse; at least 1.
    pub workers: usize,
    /// The configuration file, if there is one.
    pub config_file: Option<PathBuf>,
    /// No progress bar, no summary.
    pub quiet: bool,
    /// Live capture and the service around it.
    pub live: LiveSettings,
}

/// Live capture and the service around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// Bytes kept of each packet.
    pub snap_length: u32,
    /// Size of the kernel's ring for each interface and worker, in MiB.
    pub ring_mib: u32,
    /// Promiscuous mode.
    pub promiscuous: bool,
    /// Which clock stamps packets.
    pub stamps: StampSource,
    /// Address of the metrics endpoint.
    pub metrics: Option<SocketAddr>,
    /// The state file.
    pub state: Option<PathBuf>,
    /// Text or JSON logs.
    pub log_format: LogFormat,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            snap_length: 262_144,
            ring_mib: 64,
            promiscuous: true,
            stamps: StampSource::Kernel,
            metrics: None,
            state: None,
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Names the configuration, which is read, and then all files that are written.
    ///
    /// # Errors
    ///
    /// A file that is read, or written twice.
    pub fn name_files(&self, targets: &mut Targets) -> Result<(), OutputError> {
        if let Some(path) = &self.config_file {
            targets.reads("the configuration", path);
        }
        self.output.name_files(targets)?;
        let Some(state) = &self.live.state else { return Ok(()) };
        targets.writes("--state", state)?;
        // The state file is written under this name first.
        targets.writes("--state while it is written", &StateFile::new(state).temporary())
    }

    /// Settings of a replay.
    ///
    /// # Errors
    ///
    /// What is wrong with flags or file, and where.
    pub fn for_replay(args: &ReplayArgs) -> Result<Self, ConfigError> {
        Self::from_args(&args.common)
    }

    /// Settings of live capture.
    ///
    /// # Errors
    ///
    /// What is wrong with flags or file, and where.
    pub fn for_live(args: &LiveArgs) -> Result<Self, ConfigError> {
        let mut settings = Self::from_args(&args.common)?;
        settings.output.opening = Opening::Append;
        let live = &mut settings.live;
        take(&mut live.snap_length, args.snap_length);
        take(&mut live.ring_mib, args.ring);
        take(&mut live.log_format, args.log_format);
        take(&mut live.stamps, args.stamps.map(stamps));
        live.promiscuous &= !args.no_promiscuous;
        live.metrics = args.metrics.or(live.metrics);
        live.state = args.state.clone().or_else(|| live.state.take());
        check_live(live)?;
        Ok(settings)
    }

    /// Settings of a configuration file alone.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, and where.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::resolve(load::from_file(path)?)
    }

    fn from_args(args: &CommonArgs) -> Result<Self, ConfigError> {
        let mut settings = Self::resolve(load::load(args)?)?;
        settings.quiet = args.quiet;
        settings.config_file.clone_from(&args.config);
        Ok(settings)
    }

    fn resolve(mut config: FileConfig) -> Result<Self, ConfigError> {
        let output = output(config.output)?;
        let site = Arc::new(site(
            config.sensor,
            config.events.masked_keys.take(),
            config.proxies.trusted.take(),
            &config.server,
        )?);
        let events = events(config.events, config.proxies, config.server)?;
        let rule = rule(config.rule, config.limits.clients)?;
        let (scope, overlap) = (scope(&config.packets)?, overlap(&config.packets)?);
        let workers = config.packets.workers.unwrap_or(1);
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(value("workers", format!("{workers} is not between 1 and {MOST_WORKERS}")));
        }
        let mut http = http(config.http, &config.limits, &config.timeouts);
        http.keep_forwarded = !site.trusted_proxies.is_empty();
        http.keep_detail = output.events.is_some() || output.exchanges.is_some();
        Ok(Self {
            decode: decode(&config.packets, config.tunnels, &config.limits, &config.timeouts),
            flow: flow(&config.limits, &config.timeouts, overlap),
            scope,
            http,
            site,
            events,
            rule,
            output,
            filter: config.packets.filter,
            workers,
            config_file: None,
            quiet: false,
            live: live(config.live)?,
        })
    }
}

fn value(place: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { place: place.to_owned(), reason: reason.into() }
}

/// Replaces a default by what was configured.
fn take<T>(place: &mut T, configured: Option<T>) {
    if let Some(configured) = configured {
        *place = configured;
    }
}

fn take_time(place: &mut Duration, configured: Option<WrittenDuration>) {
    take(place, configured.map(|duration| duration.0));
}

fn output(config: file::Output) -> Result<OutputSettings, ConfigError> {
    let output = OutputSettings {
        alerts: Some(config.alerts.unwrap_or_else(|| PathBuf::from("-"))),
        events: config.events,
        exchanges: config.exchanges,
        stats: config.stats,
        opening: Opening::Replace,
    };
    output.name_files(&mut Targets::default()).map_err(|error| value("output", error.to_string()))?;
    Ok(output)
}

fn networks(place: &str, texts: Vec<String>) -> Result<Vec<IpNet>, ConfigError> {
    texts.iter().map(|text| network(place, text)).collect()
}

fn network(place: &str, text: &str) -> Result<IpNet, ConfigError> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| value(place, format!("'{text}' is not an address or a network such as 192.0.2.0/24")))
}

fn reasons(place: &str, names: &[String]) -> Result<ReasonSet, ConfigError> {
    names
        .iter()
        .map(|name| {
            Reason::from_name(name).ok_or_else(|| {
                let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
                value(place, format!("'{name}' is not a reason; known are {}", known.join(", ")))
            })
        })
        .collect()
}

fn site(
    sensor: file::Sensor,
    masked_keys: Option<Vec<String>>,
    trusted_proxies: Option<Vec<String>>,
    servers: &[file::Server],
) -> Result<Site, ConfigError> {
    let mut site = Site::default();
    take(&mut site.sensor_id, sensor.id);
    take(&mut site.namespace, sensor.namespace);
    take(&mut site.masked_keys, masked_keys.map(|keys| keys.iter().map(|key| key.to_lowercase()).collect()));
    site.trusted_proxies = networks("proxies.trusted", trusted_proxies.unwrap_or_default())?;
    for server in servers {
        let Some(name) = &server.name else { continue };
        let address = server_network(server)?
            .filter(|network| network.prefix_len() == network.max_prefix_len())
            .ok_or_else(|| value("server.name", format!("'{name}' needs 'network' to be a single address")))?;
        site.server_names.insert(Address::from(address.addr()), name.clone());
    }
    Ok(site)
}

fn server_network(server: &file::Server) -> Result<Option<IpNet>, ConfigError> {
    server.network.as_deref().map(|text| network("server.network", text)).transpose()
}

fn events(
    config: file::Events,
    proxies: file::Proxies,
    servers: Vec<file::Server>,
) -> Result<EventSettings, ConfigError> {
    let mut events = EventSettings::default();
    if let Some(statuses) = config.statuses {
        events.error_statuses =
            statuses.join(",").parse::<StatusSet>().map_err(|error| value("events.statuses", error.to_string()))?;
    }
    if let Some(names) = config.reasons {
        events.reasons = reasons("events.reasons", &names)?;
    }
    events.count_leg = match proxies.leg.as_deref() {
        None | Some("all") => Leg::All,
        Some("client") => Leg::Client,
        Some("backend") => Leg::Backend,
        Some(other) => return Err(value("proxies.leg", format!("'{other}' is not all, client or backend"))),
    };
    for server in servers {
        add_server(&mut events, server)?;
    }
    Ok(events)
}

fn add_server(events: &mut EventSettings, server: file::Server) -> Result<(), ConfigError> {
    let network = server_network(&server)?;
    if let Some(name) = server.dataset {
        let dataset = Dataset::from_name(&name).ok_or_else(|| {
            value("server.dataset", format!("'{name}' is not nginx, apache, apache_tomcat, iis or http"))
        })?;
        events.dataset_rules.push(DatasetRule { network, port: server.port, host: server.host, dataset });
    }
    Ok(())
}

fn rule(config: file::Rule, clients: Option<usize>) -> Result<RuleSettings, ConfigError> {
    let mut rule = RuleSettings::default();
    take(&mut rule.threshold, config.threshold);
    take_time(&mut rule.window, config.window);
    take_time(&mut rule.every, config.every);
    take(&mut rule.max_alerts, config.max_alerts);
    take_time(&mut rule.lateness, config.lateness);
    take(&mut rule.max_clients, clients);
    rule.suppress = config.suppress.map(|duration| duration.0).filter(|duration| !duration.is_zero());
    rule.mode = match config.mode {
        Some(ModeArg::Streaming) => Mode::Streaming,
        Some(ModeArg::Scheduled) | None => Mode::Scheduled,
    };
    if let Some(names) = config.reasons {
        rule.reasons = reasons("rule.reasons", &names)?;
    }
    rule.validate().map_err(|error| value("rule", error.to_string()))?;
    Ok(rule)
}

fn scope(packets: &file::Packets) -> Result<FlowScope, ConfigError> {
    match packets.flow_scope.as_deref() {
        None | Some("none") => Ok(FlowScope::None),
        Some("vlan") => Ok(FlowScope::Vlan),
        Some("tunnel") => Ok(FlowScope::Tunnel),
        Some(other) => Err(value("packets.flow_scope", format!("'{other}' is not none, vlan or tunnel"))),
    }
}

fn overlap(packets: &file::Packets) -> Result<OverlapPolicy, ConfigError> {
    match packets.overlap.as_deref() {
        None | Some("first") => Ok(OverlapPolicy::First),
        Some("last") => Ok(OverlapPolicy::Last),
        Some(other) => Err(value("packets.overlap", format!("'{other}' is not first or last"))),
    }
}

fn decode(
    packets: &file::Packets,
    tunnels: file::Tunnels,
    limits: &file::Limits,
    timeouts: &file::Timeouts,
) -> DecodeSettings {
    let mut decode = DecodeSettings::default();
    take(&mut decode.verify_checksums, packets.verify_checksums);
    take(&mut decode.max_depth, tunnels.max_depth);
    take(&mut decode.ports.vxlan, tunnels.vxlan_ports);
    take(&mut decode.ports.vxlan_gpe, tunnels.vxlan_gpe_ports);
    take(&mut decode.ports.geneve, tunnels.geneve_ports);
    take(&mut decode.ports.gtp_u, tunnels.gtp_u_ports);
    take(&mut decode.ports.teredo, tunnels.teredo_ports);
    take(&mut decode.ports.l2tp, tunnels.l2tp_ports);
    take(&mut decode.fragments.bytes, limits.fragment_bytes);
    take(&mut decode.fragments.datagrams, limits.fragment_datagrams);
    take(&mut decode.fragments.pieces, limits.fragment_pieces);
    take_time(&mut decode.fragments.timeout, timeouts.fragments);
    decode
}

fn flow(limits: &file::Limits, timeouts: &file::Timeouts, overlap: OverlapPolicy) -> FlowSettings {
    let mut flow = FlowSettings::default();
    flow.tcp.overlap = overlap;
    take(&mut flow.max_flows, limits.flows);
    take(&mut flow.tcp.max_total_waiting_bytes, limits.reassembly_bytes);
    take(&mut flow.tcp.max_total_waiting_pieces, limits.reassembly_segments);
    take(&mut flow.tcp.max_waiting_bytes, limits.flow_reassembly_bytes);
    take(&mut flow.tcp.max_waiting_pieces, limits.flow_reassembly_segments);
    take_time(&mut flow.half_open_time, timeouts.half_open);
    take_time(&mut flow.established_time, timeouts.established);
    take_time(&mut flow.half_closed_time, timeouts.half_closed);
    take_time(&mut flow.linger_time, timeouts.linger);
    take_time(&mut flow.tcp.reorder_time, timeouts.reorder);
    take_time(&mut flow.tcp.gap_time, timeouts.hole);
    flow
}

fn live(config: file::Live) -> Result<LiveSettings, ConfigError> {
    let mut live = LiveSettings { metrics: config.metrics, state: config.state, ..LiveSettings::default() };
    take(&mut live.snap_length, config.snap_length);
    take(&mut live.ring_mib, config.ring);
    take(&mut live.promiscuous, config.promiscuous);
    take(&mut live.stamps, config.stamps.map(stamps));
    take(&mut live.log_format, config.log_format);
    check_live(&live)?;
    Ok(live)
}

fn check_live(live: &LiveSettings) -> Result<(), ConfigError> {
    if !(1..=MOST_RING_MIB).contains(&live.ring_mib) {
        return Err(value("live.ring", format!("{} MiB is not between 1 and {MOST_RING_MIB}", live.ring_mib)));
    }
    if !(LEAST_SNAP_LENGTH..=MOST_SNAP_LENGTH).contains(&live.snap_length) {
        let reason = format!("{} bytes is not between {LEAST_SNAP_LENGTH} and {MOST_SNAP_LENGTH}", live.snap_length);
        return Err(value("live.snap_length", reason));
    }
    Ok(())
}

fn stamps(written: StampArg) -> StampSource {
    match written {
        StampArg::Kernel => StampSource::Kernel,
        StampArg::Hardware => StampSource::Hardware,
    }
}

fn http(config: file::Http, limits: &file::Limits, timeouts: &file::Timeouts) -> HttpSettings {
    let mut http = HttpSettings::default();
    take(&mut http.max_head_bytes, config.header_block_bytes);
    take(&mut http.max_target_bytes, config.target_bytes);
    take(&mut http.max_field_bytes, config.field_bytes);
    take(&mut http.max_pipelined, limits.pending_requests);
    take(&mut http.max_held_bytes, limits.http_bytes);
    take_time(&mut http.no_response_timeout, timeouts.response);
    http
}
