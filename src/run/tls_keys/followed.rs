//! One key log that is read as it grows.
//!
//! In: an open file or FIFO. Out: its new bytes, read into the store. Promises: opening and reading never wait. A file that has become
//! shorter is read again from its beginning. Half a line is kept until the other half is written. The buffer is overwritten with zeros
//! once its bytes were read.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroize;

use super::{PathKind, Store};
use crate::stream::tls::secrets::{KeyLog, KeyLogCounters};

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// A key log that is open.
pub(super) struct Followed {
    /// The path under which it was opened.
    pub(super) path: PathBuf,
    /// The file itself, whatever it is called now.
    pub(super) identity: Identity,
    /// Rounds since the file was last found under a path that is followed.
    pub(super) rounds_missing: u32,
    file: File,
    kind: Kind,
    log: KeyLog,
    /// What was in it so far.
    held: KeyLogCounters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file, of which this many bytes were read.
    File { read: u64 },
    /// A FIFO, and whether a writer was noticed that has not closed it yet.
    Pipe { has_writer: bool },
}

/// How far reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There may be more to read now.
    More,
    /// All that is there was read.
    UpToDate,
    /// All writers have closed the FIFO.
    Closed,
}

/// Opens a file or FIFO for reading without waiting for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

pub(super) fn identity_of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl Followed {
    /// Opens a key log. Of a file that is longer than `most` bytes, only the last `most` bytes are read. Returns `None` if it is
    /// neither a file nor a FIFO.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Option<(Self, Metadata)>> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        let skipped = metadata.len().saturating_sub(most);
        let kind = match PathKind::of(&metadata) {
            PathKind::File => Kind::File { read: skipped },
            PathKind::Pipe => Kind::Pipe { has_writer: false },
            PathKind::Directory | PathKind::Other => return Ok(None),
        };
        let log = if skipped > 0 { KeyLog::in_the_middle() } else { KeyLog::default() };
        let (path, identity) = (path.to_owned(), identity_of(&metadata));
        Ok(Some((
            Self { path, identity, rounds_missing: 0, file, kind, log, held: KeyLogCounters::default() },
            metadata,
        )))
    }

    /// Reads once, at most as many bytes as the buffer has. Adds their number to `bytes`.
    pub(super) fn read_once(&mut self, store: &Store, buffer: &mut [u8], bytes: &mut u64) -> io::Result<Progress> {
        self.begin_anew_if_truncated()?;
        let result = match self.kind {
            Kind::File { read } => self.file.read_at(buffer, read),
            Kind::Pipe { .. } => self.file.read(buffer),
        };
        let length = match result {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Progress::More),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.kind = Kind::Pipe { has_writer: true };
                return Ok(Progress::UpToDate);
            }
            Err(error) => return Err(error),
        };
        *bytes += length as u64;
        let new = buffer.get_mut(..length).unwrap_or_default();
        self.held.merge(&store.read(&mut self.log, new));
        // The buffer of a live run stays as long as the run.
        new.zeroize();
        let progress = match &mut self.kind {
            Kind::File { read } => {
                *read += length as u64;
                if length < buffer.len() { Progress::UpToDate } else { Progress::More }
            }
            Kind::Pipe { has_writer } if length > 0 => {
                *has_writer = true;
                Progress::More
            }
            Kind::Pipe { has_writer: true } => Progress::Closed,
            Kind::Pipe { has_writer: false } => Progress::UpToDate,
        };
        if progress == Progress::Closed {
            self.kind = Kind::Pipe { has_writer: false };
            self.finish(store);
        }
        Ok(progress)
    }

    /// Returns whether it held any secret that can be used.
    pub(super) fn has_secrets(&self) -> bool {
        self.held.secrets_read > 0
    }

    /// Returns whether it held lines, if only comments and empty ones.
    pub(super) fn has_lines(&self) -> bool {
        self.held.lines > 0
    }

    /// Returns whether what it held so far is not what key logs hold.
    pub(super) fn is_doubtful(&self) -> bool {
        let KeyLogCounters { lines_unrecognised, lines_too_long, secrets_malformed, .. } = self.held;
        !self.has_secrets() && lines_unrecognised + lines_too_long + secrets_malformed > 0
    }

    /// Returns whether this is a FIFO that a writer has open, as far as reading has shown.
    pub(super) fn has_writer(&self) -> bool {
        self.kind == Kind::Pipe { has_writer: true }
    }

    /// Reads the last line, which nobody will finish.
    pub(super) fn finish(&mut self, store: &Store) {
        self.held.merge(&store.finish(&mut self.log));
    }

    fn begin_anew_if_truncated(&mut self) -> io::Result<()> {
        if let Kind::File { read } = &mut self.kind
            && self.file.metadata()?.len() < *read
        {
            *read = 0;
            self.log.reset();
        }
        Ok(())
    }
}
