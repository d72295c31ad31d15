//! What can be typed.
//!
//! In: arguments. Out: [`Command`], as typed. The flags of settings come from the settings table; here stand the commands, and
//! the few flags that are no setting. [`ReplayArgs::settings`] and its like turn what was typed into what it means.

pub mod examples;
pub mod manual;
mod source;
mod version;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::settings::{ConfigError, Loaded, Selection, Settings, Sources, Verbosity, fixed_keys};

pub use self::source::{SourceArgs, TlsArgs};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "wirespike",
    version,
    long_version = version::long(),
    about = "Finds web-server error spikes on the wire: packets in, JSON alerts out",
    long_about = "Finds web-server error spikes on the wire.\n\n\
        wirespike reassembles the HTTP exchanges in captured packets, turns every failed one into an ECS error event, \
        and alerts when one client causes more than 50 errors in 11 minutes, checked every 10 minutes. It needs no \
        server log, no agent and no configuration.",
    after_help = "Exit status: 0 the run did what was asked, alerts or not; 2 it could not, and one line says why.",
    after_long_help = examples::help(""),
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
    /// Show one alert to a person, and what its client did
    ///
    /// It prints the alert as text. With captures, it prints below the client's exchanges within the alert's window, and with
    /// --packets it writes the client's packets to a file.
    #[command(after_long_help = examples::help("show"))]
    Show(ShowArgs),
    /// Validate a configuration file
    Check(CheckArgs),
    /// Print the configuration in force, and where each value comes from
    ///
    /// What is printed is itself a configuration file. It takes the same flags as live, and changes nothing.
    #[command(after_long_help = examples::help("config"))]
    Config(SourceArgs<true>),
    /// List the rules that exist: what each finds, whether it is loaded, its settings
    ///
    /// It takes the same flags as live, and shows what they would do.
    #[command(after_long_help = examples::help("rules"))]
    Rules(SourceArgs<true>),
    /// List the interfaces that can be watched, and whether anything arrives
    #[command(after_long_help = examples::help("interfaces"))]
    Interfaces,
    /// Print a completion script for a shell
    #[command(after_long_help = examples::help("completions"))]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_long_help = examples::help("man"))]
    Man,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_long_help = examples::help("replay"))]
pub struct ReplayArgs {
    /// Capture files, directories of them, or - for standard input
    ///
    /// pcap and pcapng, plain or compressed (gzip, zstd, lz4, xz), recognised by content. Several are one timeline.
    #[arg(required_unless_present = "read", value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Read this capture too, as tcpdump's -r; repeat for several
    #[arg(short = 'r', long, value_name = "FILE", help_heading = "Input", value_hint = clap::ValueHint::AnyPath)]
    pub read: Vec<PathBuf>,
    /// Leave out packets before this time
    ///
    /// RFC 3339 such as 2026-11-24T21:40:00Z, the same without a zone (UTC), a date, or seconds since the Unix epoch.
    #[arg(long, value_name = "TIME", help_heading = "Input", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Leave out packets after this time
    ///
    /// Written as --since. A packet of exactly this time is read.
    #[arg(long, value_name = "TIME", help_heading = "Input", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Only exchanges, events and alerts of this client; repeat for several
    ///
    /// The true client: behind a trusted proxy, the one that the proxy names.
    #[arg(long, value_name = "ADDRESS|NETWORK", help_heading = "Input")]
    pub client: Vec<String>,
    /// Write a report for people here: one page of HTML that needs nothing else
    ///
    /// The page shows the alerts, the most serious first, each with its timeline, what the client found and which other clients do
    /// the same. It also says what the run could not see. It opens from disk in any browser, loads nothing and has no script.
    #[arg(long, value_name = "FILE", help_heading = "Output", value_hint = clap::ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Where settings come from.
    #[command(flatten)]
    pub sources: SourceArgs<false>,
    /// How much is told.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

impl ReplayArgs {
    /// All captures, however they were named.
    pub fn inputs(&self) -> Vec<PathBuf> {
        self.captures.iter().chain(&self.read).cloned().collect()
    }

    /// What the arguments mean.
    ///
    /// # Errors
    ///
    /// The argument or setting that is wrong. The text says where it stands and what to write instead.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let Selection { times, clients } = Selection::read(self.since.as_deref(), self.until.as_deref(), &self.client)?;
        let mut settings = Settings::for_replay(&self.sources.0)?;
        settings.verbosity = self.verbosity.meaning();
        settings.times = times;
        settings.events.clients = clients;
        settings.output.report.clone_from(&self.report);
        Ok(settings)
    }
}

/// Arguments of `live`.
#[derive(Debug, Args)]
#[command(after_long_help = live_help())]
pub struct LiveArgs {
    /// Interface to watch; repeat for several
    #[arg(short = 'i', long = "interface", value_name = "IFACE", required = true, help_heading = "Capture")]
    pub interfaces: Vec<String>,
    /// Refused: a report is for a run that ends.
    #[arg(long, value_name = "FILE", hide = true)]
    pub report: Option<PathBuf>,
    /// Where settings come from.
    #[command(flatten)]
    pub sources: SourceArgs<true>,
    /// How much is told.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

impl LiveArgs {
    /// What the arguments mean, with the configuration file as it is now.
    ///
    /// # Errors
    ///
    /// The argument or setting that is wrong. The text says where it stands and what to write instead.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        if self.report.is_some() {
            let reason = "a live run has no end to report on; record the packets and use `wirespike replay --report`, or show \
                          single alerts with `wirespike show`";
            return Err(ConfigError::Value { place: "--report".to_owned(), reason: reason.to_owned() });
        }
        Ok(Settings { verbosity: self.verbosity.meaning(), ..Settings::for_live(&self.sources.0)? })
    }
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The alert's event.id, or at least the first 6 characters of it
    pub id: String,
    /// File of alerts, one JSON object a line; - is standard input
    #[arg(long, value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub alerts: PathBuf,
    /// Capture files, or directories of them, in which to look for the client's exchanges
    #[arg(value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Write the client's packets here, cut from the captures, as pcapng
    ///
    /// As --evidence of a run: from the client's first error to its last, and output.evidence_before and output.evidence_after
    /// besides, at most output.evidence_bytes. The file is replaced if it is there; it cannot be an input.
    #[arg(long, value_name = "FILE", requires = "captures", value_hint = clap::ValueHint::FilePath)]
    pub packets: Option<PathBuf>,
    /// What decrypts TLS in the captures.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Configuration file (TOML) under which the captures are read
    #[arg(long, value_name = "FILE", help_heading = "Configuration", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Set any key, for example proxies.trusted=192.0.2.20; repeat for several
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Configuration")]
    pub set: Vec<String>,
}

impl ShowArgs {
    /// What the arguments mean.
    ///
    /// # Errors
    ///
    /// The argument or setting that is wrong. The text says where it stands and what to write instead.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let (config, assignments, flags) = (self.config.clone(), self.set.clone(), self.tls.0.clone());
        Settings::for_replay(&Sources { config, assignments, flags })
    }
}

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_long_help = examples::help("check"))]
pub struct CheckArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub config: PathBuf,
}

impl CheckArgs {
    /// What the file means.
    ///
    /// # Errors
    ///
    /// The argument or setting that is wrong. The text says where it stands and what to write instead.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        Sources::file(self.config.clone()).load()
    }
}

/// How much is told on standard error.
#[derive(Debug, Args)]
pub struct VerbosityArgs {
    /// Warnings and errors only: no progress bar, no summary
    #[arg(short, long, help_heading = "Output", conflicts_with = "verbose")]
    pub quiet: bool,
    /// Every counter, also zeros, and what was read file by file; -vv debug logs
    #[arg(short, long, help_heading = "Output", action = ArgAction::Count)]
    pub verbose: u8,
}

impl VerbosityArgs {
    fn meaning(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Debug,
        }
    }
}

/// The end of `live --help`: signals, which keys wait for a restart, state, examples.
fn live_help() -> String {
    format!("{}\n\n{}", live_notes().join("\n\n"), examples::help("live"))
}

/// What a running sensor does on signals, and what its state file is worth.
fn live_notes() -> [String; 2] {
    let fixed: Vec<_> = fixed_keys().filter(|key| !key.starts_with("live.")).collect();
    let signals = format!(
        "Signals: SIGTERM and SIGINT finish what is in flight, execute the open window marked partial, and exit 0. SIGHUP loads \
         the configuration again and opens output files anew that were moved away; windows and flows go on. A configuration \
         that is wrong in any part changes nothing. Only these wait for a restart, and the log names those that were changed: \
         {}, and [live].",
        fixed.join(", ")
    );
    let state = "State: with --state, open windows survive restarts and no alert is written twice. After a kill -9 the errors of \
                 the last second may be missing from them, and alerts on standard output may come again: write them to a file.";
    [signals, state.to_owned()]
}
