//! Finds out whether users can read a file with secrets who should not.
//!
//! In: a path and the file's metadata. Out: yes or no. A file is exposed:
//!
//! - if all users can read or write it, and can enter every folder above it;
//! - if its group can read or write it, it belongs to this process's user, and its group is the one that files of this user get by
//!   themselves. A file of another user or another group was given to its readers on purpose.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use nix::unistd::{getegid, geteuid};

const GROUP_READ_WRITE: u32 = 0o060;
const OTHERS_READ_WRITE: u32 = 0o006;
const GROUP_ENTER: u32 = 0o010;
const OTHERS_ENTER: u32 = 0o001;

/// Returns whether users can read a file with secrets who should not.
pub(super) fn is_exposed(path: &Path, metadata: &Metadata) -> bool {
    let mode = metadata.permissions().mode();
    let to_others = mode & OTHERS_READ_WRITE != 0;
    let is_own = metadata.uid() == geteuid().as_raw() && metadata.gid() == getegid().as_raw();
    let to_group = mode & GROUP_READ_WRITE != 0 && is_own;
    to_others && can_enter(path, OTHERS_ENTER) || to_group && can_enter(path, GROUP_ENTER | OTHERS_ENTER)
}

/// Returns whether every folder above a file has one of these bits.
fn can_enter(path: &Path, bits: u32) -> bool {
    let Ok(path) = path.canonicalize() else { return true };
    let has_bits = |folder: &Path| fs::metadata(folder).map_or(true, |folder| folder.permissions().mode() & bits != 0);
    path.ancestors().skip(1).all(has_bits)
}
