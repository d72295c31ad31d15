//! A path to an open file.
//!
//! In: a path, and what becomes of what the file holds. Out: the file, at its end. Promises: a pipe is never read; a regular file
//! is locked before it is changed, so no two processes write it; what is written always goes to the file's end, also after
//! somebody has emptied it; a new file can be read by its owner and group only, whatever the umask is.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::super::super::Opening;

/// The permissions of a new file.
const MODE: u32 = 0o640;

/// The longest part of a document that is looked for at the end of a file.
const LONGEST_TORN: u64 = 1 << 20;

/// An open file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) is_regular: bool,
    /// Whether its last line has no end, and is not the start of a document.
    pub(super) ends_within_line: bool,
}

/// Opens a file for writing.
pub(super) fn open(path: &Path, opening: Opening) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.append(true).mode(MODE);
    options.read(opening == Opening::Append && is_regular(path));
    let file = match options.create_new(true).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(MODE))?;
            file
        }
        // The path may also be a link to a file that is not there yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.create_new(false).create(true).open(path)?
        }
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(Opened { file, is_regular: false, ends_within_line: false });
    }
    lock(&file)?;
    let ends_within_line = match opening {
        Opening::Replace => {
            file.set_len(0)?;
            false
        }
        Opening::Append => !cut_torn_document(&file)?,
    };
    Ok(Opened { file, is_regular: true, ends_within_line })
}

/// Returns whether a path is a regular file or will become one. Nothing else is opened for reading: a pipe would never end.
fn is_regular(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// Locks a file until it is closed. The lock is advisory: it keeps out other sensors, not `logrotate`.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::other(held_by(file))),
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Says which process holds the lock of a file, as far as the kernel tells.
fn held_by(file: &File) -> String {
    let inode = file.metadata().map(|metadata| metadata.ino()).unwrap_or_default();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    // 1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF
    let holder = locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let is_it = words.contains(&"FLOCK") && words.get(5)?.rsplit(':').next()? == inode.to_string();
        is_it.then(|| words.get(4).copied()).flatten()
    });
    let holder = holder.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"));
    format!("{holder} writes this file already; give each sensor and each output its own file")
}

/// Cuts off what a crash left of a document at the end of a file. Returns whether the file ends with a whole line now. Text
/// that is not the start of a document stays.
fn cut_torn_document(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST_TORN);
    let mut last = [0];
    if length == 0 || (file.read_exact_at(&mut last, length - 1).is_ok() && last == *b"\n") {
        return Ok(true);
    }
    let mut end = vec![0; usize::try_from(length - start).unwrap_or_default()];
    file.read_exact_at(&mut end, start)?;
    let torn = match memchr::memrchr(b'\n', &end) {
        Some(at) => at + 1,
        None if start == 0 => 0,
        None => return Ok(false),
    };
    let is_whole = serde_json::from_slice::<serde::de::IgnoredAny>(&end[torn..]).is_ok();
    if end.get(torn) != Some(&b'{') || is_whole {
        return Ok(false);
    }
    file.set_len(start + torn as u64)?;
    Ok(true)
}
