//! Lines out.
//!
//! In: complete lines. Out: the same lines in a file or on standard output. Promises: an error names the path and the
//! reason; a reader that went away is told apart from a failure; no error leaves part of a line in a file, and lines that
//! could not be written are kept for the next try.

mod sink;

pub use sink::{MAX_PENDING, Opening, Sink, refuse_same_target};

/// Why lines could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file could not be opened.
    #[error("cannot open {path} for writing: {source}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Lines could not be written; they are kept, and the next write tries again.
    #[error("cannot write to {path}: {source}")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody reads any more: the end of a pipe such as `| head`, which is no failure.
    #[error("the reader of {path} has gone away")]
    ClosedPipe {
        /// Which output.
        path: String,
    },
    /// Two outputs, or an output and an input, are the same file.
    #[error("{first} and {second} are both {path}: give each its own file")]
    SameTarget {
        /// What uses it.
        first: String,
        /// What else uses it.
        second: String,
        /// The path as the second one spells it.
        path: String,
    },
}

impl OutputError {
    /// Whether this only means that nobody reads any more.
    pub const fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::ClosedPipe { .. })
    }
}
