//! Reads the files with TLS secrets: key logs and private keys.
//!
//! In: the paths of `--tls-keylog` (files, directories, FIFOs) and `--tls-key` (PEM files). Out: the secrets in them, in the
//! shared [`Store`]. Promises: no content of a file is in any message; a path that cannot be used at the start is an error that
//! says which path, why, and what helps; a file that others can read is reported once.
//!
//! A replay reads all files before its first packet ([`read_whole`]) and FIFOs while it runs ([`PipeReaders`]). A live run
//! follows the files as `tail -F` does ([`Follower`]). `check` looks at them without a run ([`check()`]).

mod check;
mod followed;
mod follower;
mod live;
mod notice;
mod permissions;
mod pipes;
mod replay;
#[cfg(test)]
mod tests;
mod whole;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::stream::tls::secrets::{PrivateKey, PrivateKeyError, SecretStore as Store};

pub use self::check::check;
use self::{
    follower::Follower,
    notice::{Notice, Warning},
    pipes::PipeReaders,
    whole::{Whole, read_whole},
};
pub(in crate::run) use self::{
    live::{LiveKeys, SecretsCounter},
    replay::ReplayKeys,
};

/// The largest file of private keys in bytes.
const MAX_KEY_FILE: u64 = 1 << 20;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsKeysError {
    /// A key log cannot be opened or read.
    #[error("--tls-keylog {}: {error}; check the path, and that this user may read it", path.display())]
    Unreadable {
        /// The key log.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The folder of a key log that is not there yet is not there either.
    #[error("--tls-keylog {}: there is no folder {}; create it before the start", path.display(), folder.display())]
    NoFolder {
        /// The key log.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// A device or a socket.
    #[error("--tls-keylog {}: not a file, directory or FIFO; name one of these", path.display())]
    NotALog {
        /// The path.
        path: PathBuf,
    },
    /// The thread that reads a FIFO cannot be started.
    #[error("--tls-keylog: {0}; no thread can be started, so check the limits of this user")]
    Thread(io::Error),
    /// A file of private keys cannot be opened or read.
    #[error("--tls-key {}: {error}; check the path, and that this user may read it", path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A file holds no private key that can be used.
    #[error("--tls-key {}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: PrivateKeyError,
    },
}

/// Reads files of private keys. Adds a notice for each file that others can read.
///
/// # Errors
/// The first file that cannot be read or holds no private key that can be used.
fn read_private_keys(paths: &[PathBuf], notices: &mut Vec<Notice>) -> Result<Vec<PrivateKey>, TlsKeysError> {
    let mut keys = Vec::new();
    for path in paths {
        let text =
            read_key_file(path, notices).map_err(|error| TlsKeysError::KeyUnreadable { path: path.clone(), error })?;
        keys.extend(PrivateKey::read_all(&text).map_err(|error| TlsKeysError::Key { path: path.clone(), error })?);
    }
    Ok(keys)
}

/// The paths of key logs that a live run must be able to read once it is in its sandbox: as they were named, and, where links
/// lead elsewhere, the true paths too.
fn paths_to_read(key_logs: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for path in key_logs {
        let true_path = path.canonicalize().ok().filter(|true_path| true_path != path);
        paths.extend([Some(path.clone()), true_path].into_iter().flatten());
    }
    paths
}

fn read_key_file(path: &Path, notices: &mut Vec<Notice>) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = followed::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > MAX_KEY_FILE {
        return Err(io::Error::other("larger than 1 MiB, so it is no file of private keys"));
    }
    if permissions::is_exposed(path, &metadata) {
        notices.push(Notice::new(path, Warning::OthersCanReadKey));
    }
    // A buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE as usize + 1));
    io::Read::read_to_end(&mut io::Read::take(file, MAX_KEY_FILE), &mut text)?;
    Ok(text)
}

/// What a path is, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathKind {
    File,
    Directory,
    Pipe,
    Other,
}

impl PathKind {
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        match () {
            () if kind.is_file() => Self::File,
            () if kind.is_dir() => Self::Directory,
            () if kind.is_fifo() => Self::Pipe,
            () => Self::Other,
        }
    }
}
