//! Documents out.
//!
//! In: documents and where they go. Out: the documents in files, on standard output, later at other programs. Promises: no output
//! replaces an input or another output; an error names the target and the reason; a reader that went away is told apart from a
//! failure; no error leaves part of a document in a file, and documents that could not be written are kept for the next try.
//!
//! A run asks [`Outputs`] and nothing else. What a sink has to do is told in [`Sink`]; which sinks exist, in `sinks/mod.rs`.

mod outputs;
mod settings;
mod sink;
mod sinks;
mod targets;
#[cfg(test)]
mod testing;

pub use self::{
    outputs::{ChangedOutputs, LastOutput, MAX_PENDING, OutputCounters, Outputs},
    settings::{AlertFormat, EvidenceSettings, Opening, OutputSettings},
    sink::{Accepted, Sink},
    targets::{Targets, evidence_name, is_evidence_name, require_standard_output},
};

/// Why documents could not be written.
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
    /// Documents could not be written; they are kept, and the next write tries again.
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
    /// Two outputs are the same file.
    #[error("{path} is given twice, as {first} and as {second}: give each its own file")]
    SameTarget {
        /// What writes it.
        first: String,
        /// What else writes it.
        second: String,
        /// The path as the second one spells it.
        path: String,
    },
    /// An output is a file that the run reads.
    #[error("{output} {output_path} is the same file as {input} {input_path}: give {output} another file")]
    OverInput {
        /// What would write the file.
        output: String,
        /// The file as the output spells it.
        output_path: String,
        /// What reads the file.
        input: String,
        /// The file as the input spells it.
        input_path: String,
    },
    /// A file stands where the packets of an alert may be written.
    #[error("{output} {directory} would replace {used_for} {path}: give {output} another directory")]
    WithinDirectory {
        /// What fills the directory.
        output: String,
        /// The directory as the output spells it.
        directory: String,
        /// What the file is used for.
        used_for: String,
        /// The file.
        path: String,
    },
    /// Standard output is needed, and there is none.
    #[error("standard output is closed, and {needed_by} is written there: leave it open, or name a file")]
    StandardOutputClosed {
        /// What would be written there.
        needed_by: String,
    },
}

impl OutputError {
    /// Returns whether this only means that nobody reads any more.
    pub const fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::ClosedPipe { .. })
    }
}
