//! A path to an open file.
//!
//! In: a path, and what becomes of what the file holds. Out: the file, at its end. Promises: a pipe is never read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::super::super::Opening;

/// An open file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// Its length, if it is a regular file.
    pub(super) length: Option<u64>,
    /// Whether its last line has no end: a crash cut it short.
    pub(super) ends_within_line: bool,
}

/// Opens a file for writing.
pub(super) fn open(path: &Path, opening: Opening) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    match opening {
        Opening::Replace => options.truncate(true),
        Opening::Append => options.read(is_regular(path)).truncate(false),
    };
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(Opened { file, length: None, ends_within_line: false });
    }
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if opening == Opening::Append && length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(Opened { file, length: Some(length), ends_within_line: last != [b'\n'] })
}

/// Returns whether a path is a regular file or will become one. Nothing else is opened for reading: a pipe would never end.
fn is_regular(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}
