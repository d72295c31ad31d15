//! File and flags to one validated [`Settings`].
//!
//! In: arguments as typed and a TOML file. Out: [`Settings`], which cannot be wrong: every stage's settings are complete
//! and consistent. Promises: unknown keys are refused, errors say where and what was expected.

pub mod duration;
mod effective;
mod file;
mod fixed;
mod load;

use std::path::PathBuf;

pub use effective::{LiveSettings, Settings};

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not TOML, or has a key or a type that is not known.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A value that does not fit.
    #[error("{place}: {reason}")]
    Value {
        /// The key or flag.
        place: String,
        /// What was expected.
        reason: String,
    },
}
