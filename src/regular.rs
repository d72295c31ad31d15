//! Opens files that must be regular, and finds the folder of a file.
//!
//! In: a path. Out: an open regular file, or the path of its folder. Promises: a pipe, a device or a folder is refused, and opening never waits.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The permissions of a new file, whatever the umask is.
const MODE: u32 = 0o640;

/// Opens a file for reading, and returns its length too.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let length = require_regular(&file)?;
    Ok((file, length))
}

/// Creates or replaces a file.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)?;
    require_regular(&file)?;
    file.set_len(0)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Returns the path of the folder that holds a file.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn require_regular(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(io::Error::other("not a regular file")) }
}
