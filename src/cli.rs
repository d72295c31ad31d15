//! What can be typed.
//!
//! In: arguments. Out: [`Command`], as typed; [`config`](crate::settings) turns it into what it means. Each flag has its
//! help, long help and category here and nowhere else.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use crate::service::logging::LogFormat;

use crate::{capture::filter::FILTER_HELP, settings::duration::parse_duration};

/// What a running sensor takes over on a signal; the end of `live --help`.
const RELOAD_HELP: &str = "\
Signals: SIGTERM and SIGINT finish what is in flight, execute the open window marked partial, and exit 0. SIGHUP loads the \
configuration again and opens output files anew that were moved away; windows and flows go on. A configuration that is wrong \
in any part changes nothing. Only these wait for a restart, and the log names those that were changed: packets.workers, \
packets.flow_scope, limits.fragment_*, limits.clients, timeouts.fragments, and [live].

State: with --state, open windows survive restarts and no alert is written twice. After a kill -9 the errors of the last second \
may be missing from them, and alerts on standard output may come again: write them to a file.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "wirespike",
    version,
    about = "Finds web-server error spikes on the wire: packets in, JSON alerts out",
    long_about = "Finds web-server error spikes on the wire.\n\n\
        wirespike reassembles the HTTP exchanges in captured packets, turns every failed one into an ECS error event, \
        and alerts when one client causes more than 50 errors in 11 minutes, checked every 10 minutes. It needs no \
        server log, no agent and no configuration.",
    after_help = "Exit status: 0 the run did what was asked, alerts or not; 2 it could not, and one line says why.",
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read capture files and write the alerts they hold
    Replay(ReplayArgs),
    /// Watch network interfaces and write alerts as they happen
    Live(LiveArgs),
    /// Validate a configuration file
    Check(CheckArgs),
    /// List the interfaces that can be watched, and whether anything arrives
    Interfaces,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Capture files, directories of them, or - for standard input
    ///
    /// pcap and pcapng, plain or compressed (gzip, zstd, lz4, xz), recognised by content. Several are one timeline.
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Options of both modes.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of `live`.
#[derive(Debug, Args)]
#[command(after_long_help = RELOAD_HELP)]
pub struct LiveArgs {
    /// Interface to watch; repeat for several
    #[arg(short = 'i', long = "interface", value_name = "IFACE", required = true, help_heading = "Capture")]
    pub interfaces: Vec<String>,
    /// Bytes kept of each packet [default: 262144]
    #[arg(long, value_name = "BYTES", help_heading = "Capture")]
    pub snap_length: Option<u32>,
    /// Size of the kernel's ring for each interface and worker, in MiB, up to 2047 [default: 64]
    ///
    /// The ring holds packets while the sensor is busy; when it is full the kernel drops packets and counts them. At 1 Gbit/s,
    /// 64 MiB are half a second.
    #[arg(long, value_name = "MIB", help_heading = "Capture")]
    pub ring: Option<u32>,
    /// Whose clock stamps packets [default: kernel]
    ///
    /// With `hardware` the interface's own clock does where it offers that, else the kernel's does and a warning says so. Windows
    /// are executed on the system's clock, so keep the interface's in step with it (phc2sys).
    #[arg(long, value_name = "CLOCK", help_heading = "Capture")]
    pub stamps: Option<StampArg>,
    /// Watch only traffic to and from this machine
    #[arg(long, help_heading = "Capture")]
    pub no_promiscuous: bool,
    /// Serve /metrics, /healthz and /readyz here, for example 127.0.0.1:9177 [default: off]
    #[arg(long, value_name = "ADDRESS", help_heading = "Service")]
    pub metrics: Option<SocketAddr>,
    /// Keep open windows here across restarts [default: off]
    #[arg(long, value_name = "PATH", help_heading = "Service")]
    pub state: Option<PathBuf>,
    /// How logs are written to standard error [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Service")]
    pub log_format: Option<LogFormat>,
    /// Options of both modes.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Whose clock stamps packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StampArg {
    /// The kernel's, when it takes a packet over.
    Kernel,
    /// The interface's own.
    Hardware,
}

/// Scheduled or streaming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeArg {
    /// Count at fixed boundaries, as the reference rule does.
    Scheduled,
    /// Alert with the very packet that crosses the threshold.
    Streaming,
}

/// Options of both modes.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Write alerts here, one JSON object a line [default: - (standard output)]
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub alerts: Option<PathBuf>,
    /// Write error events here, one ECS JSON object a line
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub events: Option<PathBuf>,
    /// Write every HTTP exchange here, one ECS JSON object a line: the access log of the wire
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub exchanges: Option<PathBuf>,
    /// Write the run's counters here, one JSON object
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub stats: Option<PathBuf>,
    /// No progress bar and no summary; warnings and errors only
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,

    /// Alert on more than this many errors by one client [default: 50]
    #[arg(long, value_name = "N", help_heading = "Rule")]
    pub threshold: Option<u32>,
    /// How far each check looks back [default: 11m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Rule")]
    pub window: Option<Duration>,
    /// How often the rule is checked, from the Unix epoch [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Rule")]
    pub every: Option<Duration>,
    /// Alerts written at most for one check [default: 100]
    #[arg(long, value_name = "N", help_heading = "Rule")]
    pub max_alerts: Option<usize>,
    /// When alerts are written [default: scheduled]
    #[arg(long, value_name = "MODE", help_heading = "Rule")]
    pub mode: Option<ModeArg>,
    /// How late an event may come and still count [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Rule")]
    pub lateness: Option<Duration>,

    /// Configuration file (TOML); flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Sensor")]
    pub config: Option<PathBuf>,
    /// Name of this sensor, agent.id in all output [default: wirespike]
    #[arg(long, value_name = "ID", help_heading = "Sensor")]
    pub sensor_id: Option<String>,
    /// data_stream.namespace in all output [default: default]
    #[arg(long, value_name = "NAME", help_heading = "Sensor")]
    pub namespace: Option<String>,
    /// Believe forwarded-for headers and PROXY protocol from this network; repeat for several
    #[arg(long, value_name = "NETWORK", help_heading = "Sensor")]
    pub trust: Vec<String>,
    /// Set any configuration key, for example --set limits.flows=200000; repeat for several
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Sensor")]
    pub overrides: Vec<String>,

    /// Use only packets that this BPF expression matches
    #[arg(long, value_name = "BPF", help_heading = "Packets", long_help = FILTER_HELP)]
    pub filter: Option<String>,
    /// Threads that reassemble and parse; the results do not depend on it [default: 1]
    #[arg(long, value_name = "N", help_heading = "Packets")]
    pub workers: Option<usize>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", required = true)]
    pub config: PathBuf,
}
