//! The sink for files, and for pipes and devices that have a path.
//!
//! In: a path. Out: documents behind what the file holds, or in the place of it. Promises: no error leaves part of a document in
//! a file; what a crash cut short does not stay before the next line; only one process writes a file; a file that was moved away
//! can be told.

mod opening;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use self::opening::{Opened, open};
use super::{
    super::{Accepted, Opening, OutputError, Sink},
    descriptor::Descriptor,
};
use crate::document::Batch;

/// A file that documents are written to.
#[derive(Debug)]
pub(in crate::output) struct File {
    path: PathBuf,
    descriptor: Descriptor,
    is_null: bool,
    /// Whether the file's last line has no end and is not the start of a document.
    ends_within_line: bool,
}

impl Sink for File {
    fn is_meant_by(_target: &Path) -> bool {
        true
    }

    fn open(target: &Path, opening: Opening) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Open { path: target.display().to_string(), source };
        let Opened { file, is_regular, ends_within_line } = open(target, opening).map_err(failed)?;
        let descriptor = if is_regular { Descriptor::regular(file) } else { Descriptor::new(file) };
        Ok(Self { path: target.to_owned(), is_null: descriptor.is_null(), descriptor, ends_within_line })
    }

    fn write(&mut self, batch: &mut Batch) -> Result<Accepted, OutputError> {
        if self.ends_within_line {
            self.descriptor.end_line(&self.name())?;
            self.ends_within_line = false;
        }
        self.descriptor.write(batch, &self.path.to_string_lossy())
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn is_moved_away(&self) -> bool {
        let is_same = |here: &Metadata, held: &Metadata| (here.dev(), here.ino()) == (held.dev(), held.ino());
        let held = self.descriptor.file.metadata().ok().filter(Metadata::is_file);
        held.is_some_and(|held| !fs::metadata(&self.path).is_ok_and(|here| is_same(&here, &held)))
    }

    fn is_useful(&self) -> bool {
        !self.is_null
    }

    fn tail(&self, most: u64) -> Vec<u8> {
        let file = &self.descriptor.file;
        let read = || -> io::Result<Vec<u8>> {
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Ok(Vec::new());
            }
            let length = metadata.len().min(most);
            let mut tail = vec![0; length as usize];
            file.read_exact_at(&mut tail, metadata.len() - length)?;
            Ok(tail)
        };
        // A file that cannot be read can still be written, and says so where that fails.
        read().unwrap_or_default()
    }
}
