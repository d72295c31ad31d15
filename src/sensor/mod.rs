//! The line, running: reader, shards, workers and merge, and the only threads.
//!
//! In: [`Settings`](crate::settings::Settings) and where packets come from. Out: alerts, events and exchanges in sinks. The
//! packet path is `dispatch` → `shard` → `merge`: `workers` starts its threads, and `schedule` tells each what to do next;
//! `conclude` runs on a thread of its own. Every queue is bounded and holds its sender back.

pub(crate) mod alerting;
pub(crate) mod build;
pub(crate) mod conclude;
pub(crate) mod dispatch;
pub(crate) mod merge;
pub(crate) mod prefetch;
pub(crate) mod record;
pub(crate) mod reports;
pub(crate) mod schedule;
pub(crate) mod segments;
pub(crate) mod shard;
pub(crate) mod teaching;
pub(crate) mod workers;

pub use dispatch::FilterCounters;
pub use segments::SHARDS;

use crate::{
    capture::{files::CaptureError, filter::FilterError, live::LiveError},
    output::OutputError,
    settings::ConfigError,
};

/// How a run that could be made came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything asked was done.
    Done,
    /// Part of the input could not be read; what could was used.
    Incomplete,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Input.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An interface.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The metrics endpoint.
    #[error("cannot serve metrics on {address}: {source}")]
    Metrics {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Edge(std::io::Error),
    /// A filter expression.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A thread ended in a defect of this program.
    #[error("a worker thread ended unexpectedly; this is a defect: please report it with the capture's kind")]
    Crashed,
}

impl RunError {
    /// Whether standard output was closed by its reader, which ends a run quietly.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_closed_pipe())
    }
}
