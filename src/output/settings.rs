//! Where output goes.
//!
//! In: paths as configured; `-` is standard output. Out: [`OutputSettings`]. Which sink a path means is the registry's affair
//! (`sinks/mod.rs`).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{OutputError, Targets, sinks};
use crate::document::Kind;

/// What becomes of what a file holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is replaced: a replay starts afresh.
    Replace,
    /// It is kept and added to: a sensor goes on after a restart.
    Append,
}

/// How alerts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlertFormat {
    /// As text where standard output is a terminal and alerts go there, else as JSON.
    #[default]
    Auto,
    /// As text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where output goes; `-` is standard output. No two are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSettings {
    /// Alerts.
    pub alerts: Option<PathBuf>,
    /// Error events.
    pub events: Option<PathBuf>,
    /// Every exchange.
    pub exchanges: Option<PathBuf>,
    /// Counters at the end.
    pub stats: Option<PathBuf>,
    /// The report at the end of a replay.
    pub report: Option<PathBuf>,
    /// How alerts are written.
    pub format: AlertFormat,
    /// What becomes of what the files hold already.
    pub opening: Opening,
    /// The packets of alerts.
    pub evidence: EvidenceSettings,
}

/// Where the packets of alerts are written, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceSettings {
    /// The directory. Without it no packets are kept or written.
    pub directory: Option<PathBuf>,
    /// The most bytes of an alert's file.
    pub bytes: u64,
    /// Packet time before the client's first error.
    pub before: Duration,
    /// Packet time after the client's last error.
    pub after: Duration,
    /// The most bytes of all files in the directory.
    pub total_bytes: u64,
    /// The most bytes of the ring that holds the latest packets, where they cannot be read a second time.
    pub ring_bytes: usize,
}

impl Default for EvidenceSettings {
    fn default() -> Self {
        Self {
            directory: None,
            bytes: 16 << 20,
            before: Duration::from_secs(30),
            after: Duration::from_secs(30),
            total_bytes: 1 << 30,
            ring_bytes: 64 << 20,
        }
    }
}

impl OutputSettings {
    /// Where documents of a kind go.
    pub fn target(&self, kind: Kind) -> Option<&Path> {
        let Self { alerts, events, exchanges, stats, report, .. } = self;
        let target = match kind {
            Kind::Alert => alerts,
            Kind::Event => events,
            Kind::Exchange => exchanges,
            Kind::Statistics => stats,
            Kind::Report => report,
        };
        target.as_deref()
    }

    /// Returns whether something is written at the end of the run.
    pub(super) fn writes_at_end(&self) -> bool {
        self.stats.is_some() || self.report.is_some()
    }

    /// Names the files that are written, so that none of them is another or is read.
    ///
    /// # Errors
    ///
    /// A file that is read, or written twice; a standard output that was closed from the start.
    pub fn name_files(&self, targets: &mut Targets) -> Result<(), OutputError> {
        let flags = [
            (Kind::Alert, "--alerts"),
            (Kind::Event, "--events"),
            (Kind::Exchange, "--exchanges"),
            (Kind::Statistics, "--stats"),
            (Kind::Report, "--report"),
        ];
        let mut named = flags.into_iter().filter_map(|(kind, flag)| Some((flag, self.target(kind)?)));
        named.try_for_each(|(flag, path)| targets.writes(flag, path))
    }

    /// Names the directory of packets, after all files that are read or written.
    ///
    /// # Errors
    ///
    /// A file in this directory that the packets of an alert could replace.
    pub fn name_evidence(&self, targets: &Targets) -> Result<(), OutputError> {
        let directory = self.evidence.directory.as_deref();
        directory.map_or(Ok(()), |directory| targets.fills("--evidence", directory))
    }

    /// The paths of the file system that are written.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let all = [Kind::Alert, Kind::Event, Kind::Exchange, Kind::Statistics, Kind::Report];
        all.into_iter().filter_map(|kind| self.target(kind)).filter(|path| sinks::is_file(path))
    }
}
