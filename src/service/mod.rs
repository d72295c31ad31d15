//! What a sensor that runs for months needs around it: signals, the service manager, the metrics endpoint, logs and the
//! state file.
//!
//! In: signals, scrapes, values to keep. Out: [`Request`](signals::Request)s to the run, pages of numbers, log lines, files.
//! Promises: nothing here touches a packet; `thread` alone is async.

pub(crate) mod heartbeat;
pub(crate) mod logging;
pub(crate) mod manager;
pub(crate) mod metrics;
pub(crate) mod signals;
pub(crate) mod state;
pub(crate) mod thread;

/// Why the service around a live run cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The address of the metrics endpoint cannot be bound.
    #[error("cannot serve metrics on {address}: {source}")]
    Metrics {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] state::StateError),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
}
