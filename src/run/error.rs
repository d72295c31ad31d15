//! How a run ends.

use crate::{
    capture::{files::CaptureError, filter::FilterError, live::LiveError},
    enrich::EnrichError,
    output::OutputError,
    sandbox::UserError,
    sensor::executor::WorkerLost,
    service::ServiceError,
    settings::ConfigError,
};

/// How a run came out that could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// All input was read.
    Complete,
    /// Part of the input could not be read. The rest was used.
    Incomplete,
}

/// Why a run could not be started, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A capture file cannot be opened or read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An interface cannot be opened.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The service around a live run cannot start.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The sensor cannot become the user that it shall be.
    #[error(transparent)]
    User(#[from] UserError),
    /// A filter expression is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An output cannot be opened or written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A file that annotates alerts cannot be used.
    #[error(transparent)]
    Enrich(#[from] EnrichError),
    /// A file with TLS secrets cannot be used.
    #[error(transparent)]
    TlsKeys(#[from] super::tls_keys::TlsKeysError),
    /// A thread ended in a defect of this program.
    #[error(transparent)]
    WorkerLost(#[from] WorkerLost),
}

impl RunError {
    /// Returns whether standard output was closed by its reader, which ends a run quietly.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_closed_pipe())
    }
}
