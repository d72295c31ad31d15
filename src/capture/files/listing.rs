//! Expands the inputs that the user named to the list of files to read.
//!
//! In: paths of files and directories, and `-`. Out: the files, in the order of the inputs. The files of a directory and of
//! the directories below it are in name order. Inside a directory, only regular files are listed, and links to directories
//! are not followed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::problem::CaptureError;

/// Most levels of nested directories.
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

/// Returns the files that the inputs stand for.
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
