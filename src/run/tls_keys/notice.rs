//! What people are told of key logs and private keys.
//!
//! In: a path and what is the matter with it. Out: one line of text. Promises: the line says what helps, and contains nothing
//! that was read from the file.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Something that people should know and that does not end the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Notice {
    /// The file, directory or FIFO.
    pub path: PathBuf,
    /// What is the matter.
    pub warning: Warning,
}

/// What is the matter with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Warning {
    /// It is not there yet.
    Awaited,
    /// It is not there, and no run goes on that could wait for it.
    Missing,
    /// It cannot be opened or read.
    Unreadable(io::ErrorKind),
    /// A FIFO that cannot be read.
    UnreadableFifo(io::ErrorKind),
    /// A FIFO that nobody opened for writing within this time.
    NoWriter(Duration),
    /// A FIFO whose writer wrote nothing within this time.
    NothingInTime(Duration),
    /// A FIFO whose writer was not ready within this time.
    NotWholeInTime(Duration),
    /// It is a device or a socket.
    NotALog,
    /// A directory without files.
    EmptyDirectory,
    /// A directory with more files than are followed.
    TooManyFiles(usize),
    /// A key log that was read to its end and has no secret that can be used.
    NoSecrets,
    /// A key log in which nothing is.
    EmptyLog,
    /// A key log that other users can read.
    OthersCanReadLog,
    /// A private key that other users can read.
    OthersCanReadKey,
}

impl Notice {
    /// A notice about a path.
    pub(super) fn new(path: &Path, warning: Warning) -> Self {
        Self { path: path.to_owned(), warning }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.warning {
            Warning::Awaited => write!(f, "key log {path} is not there yet; it is read once it appears"),
            Warning::Missing => {
                write!(f, "key log {path} is not there: a live run waits for it, a replay does not start without it")
            }
            Warning::Unreadable(kind) => write!(f, "key log {path} cannot be read: {kind}; it is tried again"),
            Warning::UnreadableFifo(kind) => write!(f, "key log {path} cannot be read: {kind}"),
            Warning::NoWriter(waited) => write!(
                f,
                "nobody has opened the key log {path} for writing within {waited:?}, so it is not waited for; start its \
                 writer first"
            ),
            Warning::NothingInTime(waited) => write!(
                f,
                "key log {path} gave nothing within {waited:?}, so it is no longer waited for; write it to a file first"
            ),
            Warning::NotWholeInTime(waited) => write!(
                f,
                "key log {path} is still being written after {waited:?}, so its rest is not waited for; write it to a file first"
            ),
            Warning::NotALog => write!(f, "key log {path} is not a file, directory or FIFO, so it is not read"),
            Warning::EmptyDirectory => write!(f, "there are no files in the directory of key logs {path}"),
            Warning::TooManyFiles(most) => {
                write!(f, "only the {most} files changed last of the directory of key logs {path} are followed")
            }
            Warning::NoSecrets => write!(f, "key log {path} has no TLS secrets that can be used; is it a key log?"),
            Warning::EmptyLog => write!(f, "key log {path} is empty"),
            Warning::OthersCanReadLog => write!(
                f,
                "other users can read the key log {path}, and with it decrypt recorded connections; chmod 600 it, or 640 with \
                 a group of its readers (chgrp)"
            ),
            Warning::OthersCanReadKey => {
                write!(
                    f,
                    "other users can read the private key {path}; chmod 600 it, or 640 with a group of its readers (chgrp)"
                )
            }
        }
    }
}
