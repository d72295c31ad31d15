//! Landlock: only what the sensor needs of the file system can be reached.
//!
//! In: the files that the sensor reads and writes. Out: whether the kernel enforces it, and no_new_privs, which comes with it.
//! Promises: nothing can be executed; files can be created, replaced and rotated only in the folders of the files that are
//! written; only these folders, the folder of the configuration and the files in [`SYSTEM`] can be read.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use ::landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus,
};

use super::{Needs, Status};
use crate::regular::folder_of;

/// The newest set of rights that is asked for. Older kernels enforce the rights that they know.
const ASKED: ABI = ABI::V3;

/// What the C library and libpcap read: the process itself, the interfaces, the names of ports and hosts in filters, the time
/// zone.
const SYSTEM: &[&str] = &[
    "/proc/self",
    "/proc/locks",
    "/proc/stat",
    "/proc/meminfo",
    "/proc/sys",
    "/proc/net",
    "/sys/class/net",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/etc/hosts",
    "/etc/services",
    "/etc/protocols",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/urandom",
];

pub(super) fn restrict(needs: &Needs) -> (Status, Status) {
    let folders = folders(&needs.writes);
    let system = SYSTEM.iter().map(PathBuf::from);
    let read: BTreeSet<PathBuf> = self::folders(&needs.reads).into_iter().chain(system).collect();
    match install(&folders, &read) {
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

fn install(
    folders: &BTreeSet<PathBuf>,
    read: &BTreeSet<PathBuf>,
) -> Result<::landlock::RestrictionStatus, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = AccessFs::from_write(ASKED);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing | AccessFs::from_read(ASKED))?
        .create()?;
    for folder in folders {
        // A folder that cannot be opened cannot be written either. The output reports that when it tries.
        if let Ok(open) = PathFd::new(folder) {
            rules = rules.add_rule(PathBeneath::new(open, rights(folder, writing | reading)))?;
        }
    }
    for path in read {
        // What this system does not have cannot be read either.
        if let Ok(open) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(open, rights(path, reading)))?;
        }
    }
    rules.restrict_self()
}

/// The part of these rights that a path can have: what is no folder cannot be listed and holds no files.
fn rights(path: &Path, rights: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { rights } else { rights & AccessFs::from_file(ASKED) }
}

/// The folders that hold the files. Of devices, the device files themselves.
fn folders(writes: &[PathBuf]) -> BTreeSet<PathBuf> {
    writes
        .iter()
        .map(|path| {
            if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
                return path.clone();
            }
            let folder = folder_of(path);
            if folder == Path::new("/dev") { path.clone() } else { folder }
        })
        .collect()
}

fn describe(folders: &BTreeSet<PathBuf>) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    if names.is_empty() { "writes nowhere".into() } else { format!("writes only in {}", names.join(", ")) }
}
