//! Inputs as named to files as read.
//!
//! In: paths of files and directories, and `-`. Out: the files in order: as named, and in name order within a directory and
//! the directories below it. Links to directories and anything but regular files are left out inside a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::problem::CaptureError;

/// Most directories within directories.
const MAX_DEPTH: usize = 32;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed {
    /// Standard input.
    StandardInput,
    /// A file, pipe or device that was named.
    Named(PathBuf),
    /// A regular file found in the named directory.
    Found {
        /// The file.
        path: PathBuf,
        /// Index of the directory among the inputs.
        directory: usize,
    },
}

/// The files that `inputs` mean.
pub(super) fn list(inputs: &[PathBuf]) -> Result<Vec<Listed>, CaptureError> {
    let mut files = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        if input.as_os_str() == "-" {
            if files.contains(&Listed::StandardInput) {
                return Err(CaptureError::StandardInputTwice);
            }
            files.push(Listed::StandardInput);
            continue;
        }
        let unreadable = |error| CaptureError::Unreadable { path: input.clone(), error };
        if fs::metadata(input).map_err(unreadable)?.is_dir() {
            walk(input, index, MAX_DEPTH, &mut files).map_err(unreadable)?;
        } else {
            files.push(Listed::Named(input.clone()));
        }
    }
    Ok(files)
}

fn walk(directory: &Path, index: usize, depth: usize, files: &mut Vec<Listed>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if depth > 0 {
                walk(&path, index, depth - 1, files)?;
            }
        } else if kind.is_file() || kind.is_symlink() && fs::metadata(&path).is_ok_and(|target| target.is_file()) {
            files.push(Listed::Found { path, directory: index });
        }
    }
    Ok(())
}
