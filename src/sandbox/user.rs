//! The user that the sensor becomes when it was started as root.
//!
//! In: the user that is asked for, the files that the sensor writes, the files that it reads again. Out: a [`Plan`], made
//! before anything is opened, and carried out once everything is open. Promises: the plan is tried before it is made, so a user
//! who could not rotate a file, save the state or read the configuration is noticed at the start and not at the first rotation;
//! only regular files of root with a single name change their owner, never a folder; a sensor that was not started as root
//! stays who it is.

use std::{
    ffi::CString,
    fmt, fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use caps::securebits;
use nix::{
    errno::Errno,
    unistd::{self, AccessFlags, Gid, Uid, User},
};

use super::{Needs, Status};
use crate::regular::folder_of;

/// Who the sensor becomes where nobody is asked for: the first of these that the system has.
const DEFAULT: [&str; 2] = ["wirespike", "nobody"];

/// The mode bits of a folder like `/tmp`: sticky, and others than its owner may write.
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o022;

/// Why the sensor cannot become the user that is asked for.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("live.user: there is no user {0}")]
    Unknown(String),
    /// The sensor was not started as root.
    #[error("live.user: only a sensor that is started as root can become {0}; start it as root or as that user")]
    NotRoot(String),
    /// The user could not do what the sensor does while it runs.
    #[error("live.user: {0}")]
    Unfit(String),
    /// The kernel refused.
    #[error("cannot become {user}: {source}")]
    Refused {
        /// The user.
        user: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Who the sensor will be once everything is open.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It stays who it is; what the report says of that.
    Stay(Status),
    /// It becomes another user. Where nobody asked for this user, the sensor stays root if the files cannot be handed over.
    Become { account: Account, is_asked_for: bool },
}

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    name: String,
    user: Uid,
    group: Gid,
    /// Whether the system's user database lists the user, and so perhaps further groups.
    is_listed: bool,
}

impl Plan {
    /// Chooses the user, and tries as that user whether the sensor's files can be written and read later on.
    ///
    /// # Errors
    ///
    /// A user who is asked for and who does not exist or could not do the sensor's work.
    pub(crate) fn make(asked: Option<&str>, needs: &Needs) -> Result<Self, UserError> {
        let is_root = |name: &str| name.is_empty() || name == "root" || name == "0";
        if !unistd::geteuid().is_root() {
            return match asked.filter(|name| !is_root(name)) {
                Some(name) if Account::find(name)?.user != unistd::geteuid() => Err(UserError::NotRoot(name.into())),
                _ => Ok(Self::Stay(Status::Applied(format!("user {}", unistd::geteuid())))),
            };
        }
        if asked.is_some_and(is_root) {
            return Ok(Self::Stay(Status::Unavailable("stays root, as live.user says".into())));
        }
        let found = match asked {
            Some(name) => Account::find(name).map(Some)?,
            None => DEFAULT.iter().find_map(|name| Account::find(name).ok()),
        };
        let Some(account) = found else {
            return Ok(Self::Stay(Status::Unavailable(
                "stays root: there is no user wirespike and no user nobody".into(),
            )));
        };
        match account.obstacle(needs) {
            None => Ok(Self::Become { account, is_asked_for: asked.is_some() }),
            Some(obstacle) if asked.is_some() => Err(UserError::Unfit(obstacle)),
            Some(obstacle) => Ok(Self::Stay(stays_root(&obstacle))),
        }
    }

    /// Returns to root the files that an earlier run has left to the user in folders such as `/tmp`. There the kernel refuses
    /// even root to open another user's file with the right to create it.
    pub(crate) fn take_files_back(&self, needs: &Needs) {
        let Self::Become { account, .. } = self else { return };
        for path in &needs.writes {
            let in_sticky = fs::metadata(folder_of(path)).is_ok_and(|at| is_sticky(at.mode()));
            if in_sticky
                && let Ok((file, metadata)) = open_own(path)
                && metadata.uid() == account.user.as_raw()
            {
                // Where this fails, the kernel's refusal is told when the file is opened.
                let _ = fchown(&file, Some(0), None);
            }
        }
    }

    /// Becomes the user. All files that are there already are handed over first.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, or files that cannot be handed over to a user who was asked for.
    pub(super) fn carry_out(self, needs: &Needs) -> Result<Status, UserError> {
        let (account, is_asked_for) = match self {
            Self::Stay(status) => return Ok(status),
            Self::Become { account, is_asked_for } => (account, is_asked_for),
        };
        let handed_over = needs.writes.iter().try_for_each(|path| {
            account.own(path).map_err(|error| format!("{} cannot be given to {account}: {error}", path.display()))
        });
        match handed_over {
            Ok(()) => {}
            Err(reason) if is_asked_for => return Err(UserError::Unfit(reason)),
            Err(reason) => return Ok(stays_root(&reason)),
        }
        account.assume(needs.reopen_interfaces)?;
        Ok(Status::Applied(format!("{account} ({}:{})", account.user, account.group)))
    }
}

/// The report of a sensor that stays root, because the user that it would become lacks something.
fn stays_root(reason: &str) -> Status {
    Status::Unavailable(format!("stays root: {reason}; live.user names another user, or root to keep it"))
}

impl Account {
    /// Finds a user by name, or by number.
    fn find(name: &str) -> Result<Self, UserError> {
        let number = name.parse().ok().map(Uid::from_raw);
        let listed = match number {
            Some(number) => User::from_uid(number),
            None => User::from_name(name),
        };
        match (listed, number) {
            (Ok(Some(User { name, uid, gid, .. })), _) => Ok(Self { name, user: uid, group: gid, is_listed: true }),
            // In a container without a user database there are only numbers.
            (_, Some(user)) => {
                Ok(Self { name: name.into(), user, group: Gid::from_raw(user.as_raw()), is_listed: false })
            }
            (_, None) => Err(UserError::Unknown(name.into())),
        }
    }

    /// What this user could not do, and what helps. Tried with the user's rights, which are given back afterwards.
    fn obstacle(&self, needs: &Needs) -> Option<String> {
        let (groups, group) = (unistd::getgroups(), unistd::getegid());
        let refused = |errno: Errno| Some(format!("cannot become {self}: {}", errno.desc()));
        let tried =
            self.use_groups().and_then(|()| unistd::setegid(self.group)).and_then(|()| unistd::seteuid(self.user));
        let obstacle = tried.map_or_else(refused, |()| self.obstacle_met(needs));
        let restored = unistd::seteuid(Uid::from_raw(0)).and_then(|()| unistd::setegid(group));
        if let Ok(groups) = groups {
            // A kernel that refuses this has refused the other groups too.
            let _ = unistd::setgroups(&groups);
        }
        restored.map_or_else(refused, |()| obstacle)
    }

    fn obstacle_met(&self, Needs { writes, reads, .. }: &Needs) -> Option<String> {
        let not_written = writes.iter().find_map(|path| self.obstacle_to_writing(path));
        not_written.or_else(|| {
            let unread = reads.iter().find_map(|path| refused_to_reading(path))?;
            Some(format!("{self} cannot read {} while it runs: let that user read it", unread.display()))
        })
    }

    fn obstacle_to_writing(&self, path: &Path) -> Option<String> {
        let metadata = fs::metadata(path).ok();
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            // A pipe or a device stays open.
            return None;
        }
        let (shown, folder) = (path.display(), folder_of(path));
        if is_refused(&folder, AccessFlags::W_OK | AccessFlags::X_OK) {
            let folder = folder.display();
            return Some(format!(
                "{self} cannot create files in {folder}, where {shown} is rotated or replaced: chown {self} {folder}, or use another \
                 folder"
            ));
        }
        let metadata = metadata?;
        let becomes_own = metadata.uid() == 0 && metadata.nlink() == 1;
        (!becomes_own && is_refused(path, AccessFlags::W_OK))
            .then(|| format!("{self} cannot write {shown}: chown {self} {shown}"))
    }

    /// Makes a file of root this user's.
    fn own(&self, path: &Path) -> io::Result<()> {
        match open_own(path) {
            Ok((file, metadata)) if metadata.uid() == 0 => {
                fchown(&file, Some(self.user.as_raw()), Some(self.group.as_raw()))
            }
            Ok(_) => Ok(()),
            // Pipes and devices, files with several names, and files that are not there yet.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Becomes this user for good.
    fn assume(&self, keep_capabilities: bool) -> Result<(), UserError> {
        let refused = |source: io::Error| UserError::Refused { user: self.name.clone(), source };
        // Without this the kernel takes all capabilities from a process that root leaves.
        securebits::set_keepcaps(keep_capabilities).map_err(|error| refused(io::Error::other(error.to_string())))?;
        self.use_groups()
            .and_then(|()| unistd::setresgid(self.group, self.group, self.group))
            .and_then(|()| unistd::setresuid(self.user, self.user, self.user))
            .map_err(|errno| refused(errno.into()))?;
        if keep_capabilities {
            // A kernel that refuses this keeps nothing that is not dropped by name.
            let _ = securebits::set_keepcaps(false);
        }
        if unistd::seteuid(Uid::from_raw(0)).is_ok() && !self.user.is_root() {
            return Err(refused(io::Error::other("root can still be had back")));
        }
        Ok(())
    }

    fn use_groups(&self) -> nix::Result<()> {
        match CString::new(self.name.as_str()) {
            Ok(name) if self.is_listed => unistd::initgroups(&name, self.group),
            _ => unistd::setgroups(&[self.group]),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Opens a regular file that has no other name. No link is followed at the end of its true path.
fn open_own(path: &Path) -> io::Result<(fs::File, fs::Metadata)> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path.canonicalize()?)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() == 1 {
        return Ok((file, metadata));
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// A path that may not be read: of a directory, that itself or one of its files.
fn refused_to_reading(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return is_refused(path, AccessFlags::R_OK).then(|| path.to_owned());
    }
    if is_refused(path, AccessFlags::R_OK | AccessFlags::X_OK) {
        return Some(path.to_owned());
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|file| file.is_file()).find(|file| is_refused(file, AccessFlags::R_OK))
}

/// Returns whether the kernel refuses an access. What is not there is not refused: opening it says more.
fn is_refused(path: &Path, access: AccessFlags) -> bool {
    unistd::eaccess(path, access).is_err_and(|errno| errno != Errno::ENOENT)
}

fn is_sticky(mode: u32) -> bool {
    mode & STICKY != 0 && mode & OTHERS_WRITE != 0
}
