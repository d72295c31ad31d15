//! The directory of the packets of alerts.
//!
//! In: a path and the most bytes that its files may take. Out: whether there is room. Promises: a directory that cannot be written
//! is told at once; files that others remove make room again; nothing is removed here.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    output::{OutputError, is_evidence_name},
    regular,
};

/// The permissions of a new directory.
const MODE: u32 = 0o750;

/// The directory.
#[derive(Debug)]
pub(in crate::run) struct Directory {
    path: PathBuf,
    most: u64,
    /// The bytes of the files, as last measured, and what was written since.
    used: u64,
    is_full: Arc<AtomicBool>,
}

impl Directory {
    /// Makes the directory if it is missing, and tries to write there.
    ///
    /// # Errors
    ///
    /// A directory that cannot be made or written.
    pub(super) fn open(path: &Path, most: u64) -> Result<Self, OutputError> {
        make(path)?;
        let probe = path.join(format!(".wirespike.{}.part", process::id()));
        regular::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(|source| refused(path, source))?;
        let mut directory = Self { path: path.to_owned(), most, used: 0, is_full: Arc::default() };
        directory.measure();
        Ok(directory)
    }

    /// Whether the directory is full, for another thread to read.
    pub(super) fn full_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_full)
    }

    /// Returns whether the directory was full when it was last looked at.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Returns whether a file of this size has room, in the place of one of `replaced` bytes.
    pub(super) fn has_room(&self, size: u64, replaced: u64) -> bool {
        self.used.saturating_sub(replaced).saturating_add(size) <= self.most
    }

    /// Counts a file that was written in the place of one of `replaced` bytes.
    pub(super) fn note_written(&mut self, size: u64, replaced: u64) {
        self.used = self.used.saturating_sub(replaced).saturating_add(size);
        self.is_full.fetch_or(self.used >= self.most, Ordering::Relaxed);
    }

    /// Notes that a file had no room.
    pub(super) fn note_full(&self) {
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// Adds up the files that are there.
    pub(super) fn measure(&mut self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let files = entries.filter(|entry| is_evidence_name(&entry.file_name().to_string_lossy()));
        self.used = files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
        self.is_full.store(self.used >= self.most, Ordering::Relaxed);
    }
}

/// Makes the directory if it is missing.
///
/// # Errors
///
/// A directory that cannot be made, or a file that stands there.
pub(in crate::run) fn make(path: &Path) -> Result<(), OutputError> {
    if path.exists() && !path.is_dir() {
        return Err(refused(path, io::Error::other("not a directory")));
    }
    DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(|source| refused(path, source))
}

fn refused(path: &Path, source: io::Error) -> OutputError {
    OutputError::Open { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_there_count_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let name = |digit: &str| path.join(format!("{}.pcapng", digit.repeat(40)));
        let mut directory = Directory::open(&path, 100).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::write(name("a"), [0; 60]).unwrap();
        fs::write(path.join("notes.txt"), [0; 600]).unwrap();
        directory.measure();
        assert!(!directory.is_full() && directory.has_room(40, 0) && !directory.has_room(41, 0));
        assert!(directory.has_room(90, 60));
        directory.note_written(100, 60);
        assert!(directory.full_flag().load(Ordering::Relaxed));
        fs::remove_file(name("a")).unwrap();
        directory.measure();
        assert!(!directory.is_full());
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below"), PathBuf::from("/proc/evidence")] {
            let error = Directory::open(&path, 100).unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot open {} for writing", path.display())), "{error}");
        }
    }
}
