//! What a configuration means.
//!
//! In: fields that the settings table has filled, each of the right type. Out: [`Settings`], complete: what follows from several
//! keys is worked out, values that contradict each other are refused.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    capture::live::StampSource,
    decode::DecodeSettings,
    detect::{ErrorSpikeSettingsError, RuleName, RulesSettings},
    enrich::EnrichSettings,
    event::{EventSettings, Reason, Site, SiteError},
    flow::{FlowScope, FlowSettings},
    output::{AlertFormat, EvidenceSettings, Opening, OutputError, OutputSettings, Targets},
    service::{logging::LogFormat, state::StateFile},
    stream::{StreamSettings, tls::secrets::DEFAULT_MAX_SECRETS},
    time::Timestamp,
    verdict::SeverityPolicy,
};

use super::{
    ConfigError, enrich,
    load::{Origins, Sources},
    server::{self, Server},
};

/// The most workers that can share the shards.
pub(super) const MOST_WORKERS: usize = crate::sensor::SHARDS;

/// Everything a run needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Packets to segments.
    pub decode: DecodeSettings,
    /// Flows and reassembly; totals over all shards.
    pub flow: FlowSettings,
    /// What tells overlapping address spaces apart.
    pub scope: FlowScope,
    /// Seed of every hash on which an output may depend; random if not set.
    pub hash_seed: Option<u64>,
    /// HTTP; totals over all shards.
    pub http: StreamSettings,
    /// What decrypts TLS.
    pub tls: TlsSettings,
    /// What identifies the site, for everything that is written.
    pub site: Arc<Site>,
    /// What is known of servers, as configured.
    pub servers: Vec<Server>,
    /// Error events.
    pub events: EventSettings,
    /// The rules to load, and their settings.
    pub rules: RulesSettings,
    /// Whether the verdict may raise an alert's severity.
    pub severity: SeverityPolicy,
    /// What annotates alerts.
    pub enrich: EnrichSettings,
    /// Where output goes.
    pub output: OutputSettings,
    /// Only packets that this BPF expression matches.
    pub filter: Option<String>,
    /// Only packets of these times.
    pub times: Option<RangeInclusive<Timestamp>>,
    /// Threads that reassemble and parse; at least 1.
    pub workers: usize,
    /// The configuration file, if there is one.
    pub config_file: Option<PathBuf>,
    /// How much is told on standard error.
    pub verbosity: Verbosity,
    /// Live capture and the service around it.
    pub live: LiveSettings,
}

/// Where the secrets of TLS connections are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Key logs: files, directories, FIFOs.
    pub key_logs: Vec<PathBuf>,
    /// PEM files with private keys of servers.
    pub keys: Vec<PathBuf>,
    /// Most secrets held.
    pub max_secrets: usize,
}

impl TlsSettings {
    /// Names the files that are read.
    pub(crate) fn name_files(&self, targets: &mut Targets) {
        self.key_logs.iter().for_each(|path| targets.reads("--tls-keylog", path));
        self.keys.iter().for_each(|path| targets.reads("--tls-key", path));
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { key_logs: Vec::new(), keys: Vec::new(), max_secrets: DEFAULT_MAX_SECRETS }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decode: DecodeSettings::default(),
            flow: FlowSettings::default(),
            scope: FlowScope::None,
            hash_seed: None,
            http: StreamSettings::default(),
            tls: TlsSettings::default(),
            site: Arc::default(),
            servers: Vec::new(),
            events: EventSettings::default(),
            rules: RulesSettings::default(),
            severity: SeverityPolicy::default(),
            enrich: EnrichSettings::default(),
            output: OutputSettings {
                alerts: Some(PathBuf::from("-")),
                events: None,
                exchanges: None,
                stats: None,
                report: None,
                format: AlertFormat::default(),
                opening: Opening::Replace,
                evidence: EvidenceSettings::default(),
            },
            filter: None,
            times: None,
            workers: 1,
            config_file: None,
            verbosity: Verbosity::default(),
            live: LiveSettings::default(),
        }
    }
}

/// How much is told on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Warnings and errors only.
    Quiet,
    /// A progress bar, and a summary of three lines.
    #[default]
    Normal,
    /// Every counter, and what was read, file by file.
    Verbose,
    /// Debug logs as well.
    Debug,
}

impl Verbosity {
    /// Returns whether only warnings and errors are told.
    pub fn is_quiet(self) -> bool {
        self == Self::Quiet
    }

    /// The level from which on logs are written.
    pub fn log_level(self) -> &'static str {
        match self {
            Self::Quiet => "warn",
            Self::Normal | Self::Verbose => "info",
            Self::Debug => "debug",
        }
    }
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
    /// The most bytes of the open windows of each rule in the state file.
    pub state_bytes: usize,
    /// The user that a sensor becomes that was started as root.
    pub user: Option<String>,
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
            state_bytes: 32 << 20,
            user: None,
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Settings of a replay.
    ///
    /// # Errors
    ///
    /// The argument or setting that is wrong. The text says where it stands and what to write instead.
    pub fn for_replay(sources: &Sources) -> Result<Self, ConfigError> {
        Ok(sources.load()?.settings)
    }

    /// Settings of live capture, whose outputs are added to.
    ///
    /// # Errors
    ///
    /// The argument or setting that is wrong. The text says where it stands and what to write instead.
    pub fn for_live(sources: &Sources) -> Result<Self, ConfigError> {
        let mut settings = sources.load()?.settings;
        settings.output.opening = Opening::Append;
        Ok(settings)
    }

    /// Names the configuration, which is read, and then all files that are written. The inputs are to be named before.
    ///
    /// # Errors
    ///
    /// A file that is read, or written twice.
    pub fn name_files(&self, targets: &mut Targets) -> Result<(), OutputError> {
        if let Some(path) = &self.config_file {
            targets.reads("the configuration", path);
        }
        self.enrich.files().for_each(|path| targets.reads("a file of [enrich]", path));
        self.tls.name_files(targets);
        self.output.name_files(targets)?;
        if let Some(state) = &self.live.state {
            name_state(targets, "--state", state)?;
        }
        if let Some(sightings) = &self.enrich.sightings {
            name_state(targets, "enrich.sightings", sightings)?;
        }
        self.output.name_evidence(targets)
    }

    /// Works out what follows from several keys, and refuses values that contradict each other.
    pub(super) fn complete(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        let refused = |key, reason: String| ConfigError::Value { place: origins.place(None, key), reason };
        let known = server::known(&self.servers)
            .map_err(|(index, key, reason)| ConfigError::Value { place: origins.place(Some(index), key), reason })?;
        let site = Arc::make_mut(&mut self.site);
        site.server_names = known.names;
        self.events.dataset_rules = known.datasets;
        self.http.keep_detail = self.output.events.is_some() || self.output.exchanges.is_some();
        let error_spike = &mut self.rules.error_spike;
        error_spike.suppress = error_spike.suppress.filter(|time| !time.is_zero());
        site.validate().map_err(|error| refused(site_key(&error), error.to_string()))?;
        enrich::require_known(&self.enrich).map_err(|(key, reason)| refused(key, reason))?;
        let window_is_default = origins.of(None, "rule.window").is_empty();
        error_spike.validate().map_err(|error| refused(rule_key(&error, window_is_default), error.to_string()))?;
        self.require_counted_reasons(origins)?;
        let scan = &self.rules.encrypted_scan;
        scan.validate().map_err(|error| refused(scan_key(&error), error.to_string()))?;
        if !self.tls.keys.is_empty() {
            // A connection that resumes a session needs its secret, whichever thread read the session.
            self.workers = 1;
        }
        self.output.name_files(&mut Targets::default()).map_err(|error| refused("output", error.to_string()))
    }

    /// Sees to it that errors which the rule error_spike counts are events. Where `events.reasons` was not given, they become
    /// events, so that one setting is enough. Where it was given and leaves a counted reason out, the two settings contradict
    /// each other: the rule would never count what it is told to count.
    fn require_counted_reasons(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        if !self.rules.enabled.contains(RuleName::ErrorSpike) {
            return Ok(());
        }
        let counted = self.rules.error_spike.reasons;
        let missing: Vec<&str> = Reason::ALL
            .into_iter()
            .filter(|reason| counted.contains(*reason) && !self.events.reasons.contains(*reason))
            .map(Reason::name)
            .collect();
        let is_given = |key| !origins.of(None, key).is_empty();
        if is_given("events.reasons") && !missing.is_empty() {
            let key = if is_given("rule.reasons") { "rule.reasons" } else { "events.reasons" };
            let names = missing.join(" and ");
            let reason = format!(
                "error_spike counts {names}, and events.reasons leaves {names} out, so that it would never count; write the same \
                 reasons in both, or leave events.reasons away"
            );
            return Err(ConfigError::Value { place: origins.place(None, key), reason });
        }
        let reasons = Reason::ALL.into_iter();
        self.events.reasons =
            reasons.filter(|reason| counted.contains(*reason) || self.events.reasons.contains(*reason)).collect();
        Ok(())
    }
}

/// Names a state file, and the files beside it that are written with it.
fn name_state(targets: &mut Targets, name: &str, path: &Path) -> Result<(), OutputError> {
    if path.exists() && !path.is_file() {
        let source = std::io::Error::other("not a regular file; name a file for the state");
        return Err(OutputError::Open { path: path.display().to_string(), source });
    }
    targets.writes(name, path)?;
    let state = StateFile::new(path);
    // A state file is written under this name first.
    targets.writes(&format!("{name} while it is written"), &state.temporary())?;
    targets.writes(&format!("the lock of {name}"), &state.lock_path())
}

/// The key that a complaint about the site is about.
fn site_key(error: &SiteError) -> &'static str {
    match error {
        SiteError::EmptySensorId | SiteError::SensorIdWithControl(_) => "sensor.id",
        _ => "sensor.namespace",
    }
}

/// The key that a complaint about the rule error_spike is about: of two that contradict each other, the one that was given.
fn rule_key(error: &ErrorSpikeSettingsError, window_is_default: bool) -> &'static str {
    match error {
        ErrorSpikeSettingsError::IntervalTooShort => "rule.every",
        ErrorSpikeSettingsError::WindowShorterThanInterval { .. } if window_is_default => "rule.every",
        ErrorSpikeSettingsError::NoAlerts => "rule.max_alerts",
        _ => "rule.window",
    }
}

/// The key that a complaint about the rule encrypted_scan is about.
fn scan_key(error: &ErrorSpikeSettingsError) -> &'static str {
    match error {
        ErrorSpikeSettingsError::IntervalTooShort => "encrypted_scan.every",
        ErrorSpikeSettingsError::NoAlerts => "encrypted_scan.max_alerts",
        _ => "encrypted_scan.window",
    }
}
