//! Looks at the files of `[tls]` without a run.
//!
//! In: `[tls]` of the settings. Out: what people should know of the files. Promises: what keeps a live run from starting is an error
//! with the same text as at its start; no FIFO is opened, because its writer would take the check for the reader.

use std::{fs, io, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{Follower, Notice, PathKind, Store, Warning, followed::Followed, permissions, read_private_keys};
use crate::{keyed_hash::KeyedState, run::RunError, settings::TlsSettings};

/// Bytes that are read of a key log.
const BLOCK: usize = 256 << 10;

/// Returns what people should know of key logs and private keys, one line each.
///
/// # Errors
///
/// A private key that cannot be read or is none; a key log that can never be read.
pub fn check(settings: &TlsSettings) -> Result<Vec<String>, RunError> {
    let mut notices = Vec::new();
    read_private_keys(&settings.keys, &mut notices)?;
    let store = Arc::new(Store::new(settings.max_secrets, KeyedState::secret(), Vec::new()));
    Follower::new(&settings.key_logs, Arc::clone(&store))?;
    for path in &settings.key_logs {
        let found = match fs::metadata(path).map(|metadata| PathKind::of(&metadata)) {
            Ok(PathKind::File) => look(path, &store, &mut notices),
            Ok(PathKind::Directory) => fs::read_dir(path).map(drop),
            Ok(PathKind::Pipe | PathKind::Other) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = found {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let warning = if is_missing { Warning::Missing } else { Warning::Unreadable(error.kind()) };
            notices.push(Notice::new(path, warning));
        }
    }
    Ok(notices.iter().map(ToString::to_string).collect())
}

/// Looks at the beginning of a key log.
fn look(path: &Path, store: &Store, notices: &mut Vec<Notice>) -> io::Result<()> {
    let Some((mut file, metadata)) = Followed::open(path, u64::MAX)? else { return Ok(()) };
    if permissions::is_exposed(path, &metadata) {
        notices.push(Notice::new(path, Warning::OthersCanReadLog));
    }
    let mut buffer = Zeroizing::new(vec![0; BLOCK]);
    file.read_once(store, &mut buffer, &mut 0)?;
    if file.is_doubtful() {
        notices.push(Notice::new(path, Warning::NoSecrets));
    }
    Ok(())
}
