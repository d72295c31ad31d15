//! Landlock: the file system is read-only outside of the paths written.
//!
//! In: the files that the sensor writes. Out: whether the kernel enforces it, and no_new_privs, which comes with it.
//! Promises: reading stays free (configuration, interfaces, name resolution); nothing can be executed; files can be
//! created, replaced and rotated only in the folders of the files that are written.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use ::landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus,
};

use super::Status;

/// The newest set of rights that is asked for. Older kernels enforce the rights that they know.
const ASKED: ABI = ABI::V3;

pub(super) fn restrict(writes: &[PathBuf]) -> (Status, Status) {
    let folders = folders(writes);
    match install(&folders) {
        Ok(status) => {
            let no_new_privileges = if status.no_new_privs {
                Status::Applied("set".into())
            } else {
                Status::Unavailable("the kernel refused".into())
            };
            let landlock = match status.ruleset {
                RulesetStatus::FullyEnforced => Status::Applied(describe(&folders)),
                RulesetStatus::PartiallyEnforced => Status::Partial("the kernel knows only some of the rights".into()),
                RulesetStatus::NotEnforced => Status::Unavailable("the kernel lacks it".into()),
            };
            (no_new_privileges, landlock)
        }
        Err(error) => (Status::Unavailable(error.to_string()), Status::Unavailable(error.to_string())),
    }
}

fn install(folders: &BTreeSet<PathBuf>) -> Result<::landlock::RestrictionStatus, RulesetError> {
    let writing = AccessFs::from_write(ASKED);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing | AccessFs::Execute)?
        .create()?;
    for folder in folders {
        // A folder that cannot be opened cannot be written either. The output reports that when it tries.
        if let Ok(open) = PathFd::new(folder) {
            rules = rules.add_rule(PathBeneath::new(open, writing))?;
        }
    }
    rules.restrict_self()
}

/// The folders that hold the files. Of devices, the device files themselves.
fn folders(writes: &[PathBuf]) -> BTreeSet<PathBuf> {
    writes
        .iter()
        .filter_map(|path| {
            if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
                return Some(path.clone());
            }
            let parent = path.parent()?;
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Some(if parent == Path::new("/dev") { path.clone() } else { parent.to_path_buf() })
        })
        .collect()
}

fn describe(folders: &BTreeSet<PathBuf>) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    if names.is_empty() { "writes nowhere".into() } else { format!("writes only in {}", names.join(", ")) }
}
