//! Reads key logs whole, before a replay begins.
//!
//! In: files, directories and FIFOs. Out: the secrets of the files and of the regular files in the directories, in the order in
//! which they were named, in a directory in name order; and the open FIFOs. Directories below a directory are not entered.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Notice, PathKind, Store, TlsKeysError, Warning,
    followed::{Followed, Progress},
    permissions,
};

/// Bytes to read at once.
const BLOCK: usize = 256 << 10;

/// What reading key logs whole gave.
#[derive(Default)]
pub(super) struct Whole {
    /// What people should know.
    pub notices: Vec<Notice>,
    /// The FIFOs, for [`super::PipeReaders`].
    pub(super) pipes: Vec<Followed>,
}

/// Reads all key logs to their ends, except FIFOs, which are only opened.
///
/// # Errors
/// The first path that cannot be read.
pub(super) fn read_whole(paths: &[PathBuf], store: &Store) -> Result<Whole, TlsKeysError> {
    let mut whole = Whole::default();
    let mut buffer = Zeroizing::new(vec![0; BLOCK]);
    for path in paths {
        store.expect_some();
        let unreadable = |path: &Path, error| TlsKeysError::Unreadable { path: path.to_owned(), error };
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        let files = match PathKind::of(&metadata) {
            PathKind::Directory => files_of(path).map_err(|error| unreadable(path, error))?,
            PathKind::File | PathKind::Pipe => vec![path.clone()],
            PathKind::Other => return Err(TlsKeysError::NotALog { path: path.clone() }),
        };
        if files.is_empty() {
            whole.notices.push(Notice::new(path, Warning::EmptyDirectory));
        }
        for file in files {
            whole.read(&file, store, &mut buffer).map_err(|error| unreadable(&file, error))?;
        }
    }
    Ok(whole)
}

impl Whole {
    fn read(&mut self, path: &Path, store: &Store, buffer: &mut [u8]) -> io::Result<()> {
        let Some((mut file, metadata)) = Followed::open(path, u64::MAX)? else { return Ok(()) };
        if permissions::is_exposed(path, &metadata) {
            self.notices.push(Notice::new(path, Warning::OthersCanReadLog));
        }
        if PathKind::of(&metadata) == PathKind::Pipe {
            self.pipes.push(file);
            return Ok(());
        }
        let mut bytes = 0;
        while file.read_once(store, buffer, &mut bytes)? == Progress::More {}
        file.finish(store);
        if !file.has_secrets() {
            let warning = if file.has_lines() { Warning::NoSecrets } else { Warning::EmptyLog };
            self.notices.push(Notice::new(path, warning));
        }
        Ok(())
    }
}

/// The regular files of a directory, links followed, in name order.
fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
