//! The packets of one alert, cut from captures.
//!
//! In: an alert, captures, and a path. Out: a pcapng file. Promises: the same packets as in the file that a run writes with
//! `--evidence`; no input is replaced; captures that can be read only once are refused before anything is read.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    address::Address,
    document::AlertDocument,
    output::{OutputError, Targets},
    run::{
        RunError,
        evidence::{Connection, Cuts, Request, SharedCounters, cut_from_files, cut_settings},
    },
    settings::{ConfigError, Selection, Settings},
    time::Timestamp,
};

/// Why the packets of an alert cannot be cut out.
#[derive(Debug, thiserror::Error)]
pub enum PacketsError {
    /// The captures are read twice.
    #[error("--packets reads the captures twice, and {path} can be read only once: save it to a file")]
    ReadOnce {
        /// The capture.
        path: String,
    },
    /// The client of the alert is no address.
    #[error("--packets: the alert's client {client} is no address")]
    NoAddress {
        /// What the alert says.
        client: String,
    },
    /// The file is an input, or cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The times of the alert are none.
    #[error("the alert cannot be looked up in captures: {0}")]
    Times(#[from] ConfigError),
    /// The captures cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Checks that the packets can be written to a file, before anything is read.
///
/// # Errors
///
/// A file that is an input; a capture that can be read only once.
pub(super) fn check(path: &Path, settings: &Settings, alerts: &Path, captures: &[PathBuf]) -> Result<(), PacketsError> {
    let mut targets = Targets::default();
    let metadata = |capture: &PathBuf| std::fs::metadata(capture).ok();
    for capture in captures {
        let is_read_once = capture.as_os_str() == "-"
            || metadata(capture).is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        if is_read_once {
            let path = if capture.as_os_str() == "-" { "standard input".into() } else { capture.display().to_string() };
            return Err(PacketsError::ReadOnce { path });
        }
        if let Some(metadata) = metadata(capture) {
            targets.reads_open("the capture", capture, metadata.dev(), metadata.ino());
        }
    }
    targets.reads("the alerts", alerts);
    settings.config_file.iter().for_each(|config| targets.reads("the configuration", config));
    settings.tls.name_files(&mut targets);
    Ok(targets.writes("--packets", path)?)
}

/// Writes the packets of an alert. Returns their number.
///
/// # Errors
///
/// An alert without an address or a time; captures that cannot be read; a file that cannot be written.
pub(super) fn cut(
    settings: &Settings,
    alert: AlertDocument<'_>,
    connections: Vec<Connection>,
    captures: &[PathBuf],
    path: &Path,
) -> Result<u64, PacketsError> {
    let client = alert.client().unwrap_or_default();
    let address: std::net::IpAddr =
        client.parse().map_err(|_| PacketsError::NoAddress { client: client.clone().into_owned() })?;
    let times = match alert.activity() {
        Some([start, end]) => Selection::read(Some(start), Some(end), &[])?.times,
        None => None,
    };
    let times = times.unwrap_or(Timestamp::EPOCH..=Timestamp::MAX);
    let about = vec![
        format!("wirespike alert {}", alert.id().unwrap_or_default()),
        format!("rule {}, client {client}", alert.rule().unwrap_or_default()),
        alert.sentence().unwrap_or_default().into_owned(),
    ];
    let whose = (Address::from(address), connections);
    let request =
        Request::new(path.to_owned(), about, whose, [*times.start(), *times.end()], &settings.output.evidence);
    let counters = Arc::new(SharedCounters::default());
    let mut cuts = Cuts::new(cut_settings(settings), None, Arc::clone(&counters)).map_err(RunError::from)?;
    cuts.add_all(std::iter::once(request));
    cut_from_files(cuts, captures, settings.verbosity.is_quiet())?;
    Ok(counters.now().packets)
}
