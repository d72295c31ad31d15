//! File and flags to one validated [`Settings`].
//!
//! In: arguments as typed and a TOML file. Out: [`Settings`], which cannot be wrong: every stage's settings are complete
//! and consistent. Promises: what is no key is refused; errors say where, what is wrong, and what to write instead.
//!
//! A value takes this way: `keys/` has an entry for it, once; `flags` makes the command line of the entries, `file` reads TOML by
//! them; both give what was typed (`given`). `meaning` turns that into the type a stage wants, and `load` puts it into its
//! field, file before `--set` before flags. `effective` works out what follows from several keys and refuses contradictions.
//! `print` shows the result, `reload` says what of it waits for a restart.

#[cfg(test)]
mod documents;
pub mod duration;
mod effective;
mod enrich;
mod file;
mod flags;
mod given;
mod key;
mod keys;
mod load;
mod meaning;
mod print;
mod reload;
mod rules;
mod selection;
mod server;

use std::path::PathBuf;

pub use crate::service::logging::LogFormat;

pub use self::{
    effective::{LiveSettings, Settings, TlsSettings, Verbosity},
    load::{Loaded, Sources},
    rules::{RuleInfo, rules},
    selection::Selection,
    server::Server,
};
pub(crate) use self::{
    flags::{FlagSet, flags, given_flags},
    reload::fixed_keys,
};
use effective::MOST_WORKERS;

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
    /// The file is not TOML, or names what is no key.
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
        /// The key or flag, with the line of the file.
        place: String,
        /// What was expected.
        reason: String,
    },
}
