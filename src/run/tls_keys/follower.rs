//! Reads what is added to key logs during a live run, as `tail -F` does.
//!
//! In: the paths of files, directories and FIFOs, and a call of [`Follower::poll_once`] ten times a second. Out: the secrets in
//! the store; notices. Promises: a call never waits and reads at most [`ROUND`] bytes; files that appear later, that are
//! replaced, renamed or truncated, and FIFOs whose writer is started again are read on; each notice comes once.
//!
//! A file is known by device and inode, so a file that is renamed within its directory is not read twice. A file that has
//! gone from its path is read for [`GRACE`] more rounds, because its writer may not have opened the new one yet.
//!
//! It asks for the length of each file again and again instead of using inotify, because inotify reports nothing about FIFOs and
//! network file systems, and to ask takes only a microsecond.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use zeroize::Zeroizing;

use super::{
    Notice, PathKind, Store, TlsKeysError, Warning,
    followed::{Followed, Identity, Progress, identity_of},
    permissions,
};
use crate::counters;

/// Time between two rounds, unless there is more to read.
const INTERVAL: Duration = Duration::from_millis(100);
/// Rounds after which a directory is listed although it seems unchanged.
const LIST_EVERY: u32 = 10;
/// Rounds that a file is read on after it has gone from its path: 10 s.
const GRACE: u32 = 100;
/// Most bytes to read in one round.
const ROUND: u64 = 8 << 20;
/// Most bytes to read of one file in one round.
const BLOCK: usize = 256 << 10;
/// Most bytes to read of a file that is found, from its end. They hold more secrets than the store.
const MOST_OF_FILE: u64 = 256 << 20;
/// Most files to follow in one directory.
const MOST_FILES: usize = 256;
/// Most notices that are remembered. More are not given.
const MOST_NOTICES: usize = 4_096;

counters! {
    /// Counters of the key logs that are read as they grow.
    pub struct FollowerCounters {
        /// Bytes read.
        bytes,
        /// Files and FIFOs opened.
        files,
        /// Files that are no longer read, because they are no longer at their path or cannot be read.
        files_gone,
        /// Attempts to open or read a key log that failed.
        failures,
    }
}

/// The key logs that are followed.
pub(super) struct Follower {
    sources: Vec<Source>,
    store: Arc<Store>,
    buffer: Zeroizing<Vec<u8>>,
    given: Given,
    counters: FollowerCounters,
}

impl Follower {
    /// Prepares to follow these paths. Nothing is opened yet: that happens as the user who the sensor will be.
    ///
    /// # Errors
    /// A path that cannot be used now or later: a device, a path without access, a file without a folder.
    pub(super) fn new(paths: &[PathBuf], store: Arc<Store>) -> Result<Self, TlsKeysError> {
        for path in paths {
            store.expect_some();
            match fs::metadata(path) {
                Ok(metadata) if PathKind::of(&metadata) == PathKind::Other => {
                    return Err(TlsKeysError::NotALog { path: path.clone() });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let folder = folder_of(path);
                    if !folder.is_dir() {
                        return Err(TlsKeysError::NoFolder { path: path.clone(), folder });
                    }
                }
                Err(error) => return Err(TlsKeysError::Unreadable { path: path.clone(), error }),
            }
        }
        let sources = paths.iter().map(|path| Source::new(path)).collect();
        let buffer = Zeroizing::new(vec![0; BLOCK]);
        Ok(Self { sources, store, buffer, given: Given::default(), counters: FollowerCounters::default() })
    }

    /// Reads the key logs until the other end of the channel `stopped` is dropped. Calls `tell` with each notice. Returns the
    /// counters.
    pub(super) fn run(mut self, stopped: &Receiver<()>, mut tell: impl FnMut(&Notice)) -> FollowerCounters {
        let mut notices = Vec::new();
        loop {
            let is_more = self.poll_once(&mut notices);
            notices.drain(..).for_each(|notice| tell(&notice));
            let pause = if is_more { Duration::ZERO } else { INTERVAL };
            if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return self.counters;
            }
        }
    }

    /// Looks for new files, and reads the new bytes of all files. Returns whether there are more bytes than it reads in one call.
    pub(super) fn poll_once(&mut self, notices: &mut Vec<Notice>) -> bool {
        let mut left = ROUND;
        let mut is_more = false;
        for source in &mut self.sources {
            let mut round = Round {
                store: &self.store,
                buffer: &mut self.buffer,
                given: &mut self.given,
                counters: &mut self.counters,
                notices,
            };
            source.find(&mut round);
            is_more |= source.read(&mut round, &mut left);
        }
        // Whoever could not be read in this round comes first in the next one.
        if left == 0 && !self.sources.is_empty() {
            self.sources.rotate_left(1);
        }
        is_more
    }

    /// Returns the counters as they are now.
    #[cfg(test)]
    pub(super) fn counters(&self) -> &FollowerCounters {
        &self.counters
    }
}

/// The notices that were given.
#[derive(Default)]
struct Given(HashSet<Notice>);

/// What one round works with.
struct Round<'a> {
    store: &'a Store,
    buffer: &'a mut [u8],
    given: &'a mut Given,
    counters: &'a mut FollowerCounters,
    notices: &'a mut Vec<Notice>,
}

impl Round<'_> {
    /// Gives a notice, unless it was given before.
    fn tell(&mut self, path: &Path, warning: Warning) {
        let notice = Notice::new(path, warning);
        if self.given.0.len() < MOST_NOTICES && self.given.0.insert(notice.clone()) {
            self.notices.push(notice);
        }
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        self.counters.failures += 1;
        self.tell(path, Warning::Unreadable(error.kind()));
    }
}

/// A path that is followed, and its files.
struct Source {
    path: PathBuf,
    files: Vec<Followed>,
    /// When the directory was changed last, as it was listed last, and the rounds since then.
    listed: Option<(SystemTime, u32)>,
}

impl Source {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), files: Vec::new(), listed: None }
    }

    /// Opens files that are new, and gives up files that have gone.
    fn find(&mut self, round: &mut Round<'_>) {
        let found = match fs::metadata(&self.path) {
            Ok(metadata) => match PathKind::of(&metadata) {
                PathKind::File | PathKind::Pipe => vec![(self.path.clone(), identity_of(&metadata))],
                PathKind::Directory => {
                    let Some(found) = self.list(&metadata, round) else { return };
                    found
                }
                PathKind::Other => {
                    round.tell(&self.path, Warning::NotALog);
                    Vec::new()
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A file that is being replaced is not awaited: it is followed under its old name.
                if self.files.is_empty() {
                    round.tell(&self.path, Warning::Awaited);
                }
                Vec::new()
            }
            Err(error) => {
                round.failed(&self.path, &error);
                Vec::new()
            }
        };
        self.note_missing(&found, round);
        for (path, identity) in found {
            if !self.files.iter().any(|file| file.identity == identity) {
                self.open(&path, round);
            }
        }
    }

    /// Lists the directory. Returns `None` if it need not be listed in this round.
    fn list(&mut self, metadata: &fs::Metadata, round: &mut Round<'_>) -> Option<Vec<(PathBuf, Identity)>> {
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if let Some((listed, rounds)) = &mut self.listed {
            *rounds += 1;
            let is_gone_soon = self.files.iter().any(|file| file.rounds_missing > 0);
            if *listed == changed && *rounds < LIST_EVERY && !is_gone_soon {
                return None;
            }
        }
        self.listed = Some((changed, 0));
        match files_of(&self.path) {
            Ok((files, is_limited)) => {
                if is_limited {
                    round.tell(&self.path, Warning::TooManyFiles(MOST_FILES));
                }
                Some(files)
            }
            Err(error) => {
                round.failed(&self.path, &error);
                None
            }
        }
    }

    fn open(&mut self, path: &Path, round: &mut Round<'_>) {
        match Followed::open(path, MOST_OF_FILE) {
            Ok(Some((file, metadata))) => {
                round.counters.files += 1;
                if permissions::is_exposed(path, &metadata) {
                    round.tell(path, Warning::OthersCanReadLog);
                }
                self.files.push(file);
            }
            Ok(None) => round.tell(path, Warning::NotALog),
            // It has gone since it was found.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => round.failed(path, &error),
        }
    }

    /// Counts the rounds in which files were not found, and gives up those that have been read to their ends since.
    fn note_missing(&mut self, found: &[(PathBuf, Identity)], round: &mut Round<'_>) {
        for file in &mut self.files {
            match found.iter().find(|(_, identity)| *identity == file.identity) {
                Some((path, _)) => {
                    file.rounds_missing = 0;
                    if file.path != *path {
                        file.path.clone_from(path);
                    }
                }
                None => file.rounds_missing += 1,
            }
        }
        self.files.retain_mut(|file| {
            let is_kept = file.rounds_missing <= GRACE;
            if !is_kept {
                file.finish(round.store);
                round.counters.files_gone += 1;
            }
            is_kept
        });
    }

    /// Reads each file once, while bytes are left for this round. Returns whether there is more to read.
    fn read(&mut self, round: &mut Round<'_>, left: &mut u64) -> bool {
        let (mut is_more, mut failed) = (false, None);
        for (at, file) in self.files.iter_mut().enumerate() {
            let most = usize::try_from(*left).unwrap_or(BLOCK).min(round.buffer.len());
            if most == 0 {
                is_more = true;
                break;
            }
            let mut bytes = 0;
            let buffer = round.buffer.get_mut(..most).unwrap_or_default();
            match file.read_once(round.store, buffer, &mut bytes) {
                Ok(progress) => {
                    is_more |= progress == Progress::More;
                    if progress != Progress::More && file.is_doubtful() {
                        round.tell(&file.path, Warning::NoSecrets);
                    }
                }
                Err(error) => failed = Some((at, error)),
            }
            round.counters.bytes += bytes;
            *left -= bytes;
        }
        if let Some((at, error)) = failed {
            // It is opened again in the next round.
            let file = self.files.remove(at);
            round.failed(&file.path, &error);
            round.counters.files_gone += 1;
        }
        if *left == 0 && !self.files.is_empty() {
            self.files.rotate_left(1);
        }
        is_more
    }
}

/// The regular files of a directory in name order, links followed: the [`MOST_FILES`] that were changed last. Also returns
/// whether there are more.
fn files_of(directory: &Path) -> io::Result<(Vec<(PathBuf, Identity)>, bool)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
        {
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((changed, (path, identity_of(&metadata))));
        }
    }
    let is_limited = files.len() > MOST_FILES;
    if is_limited {
        files.sort_by(|one, other| other.cmp(one));
        files.truncate(MOST_FILES);
    }
    let mut files: Vec<_> = files.into_iter().map(|(_, file)| file).collect();
    files.sort();
    Ok((files, is_limited))
}

/// The path of the folder that holds a file.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}
