//! The state file: what must survive a restart.
//!
//! In: a value to keep. Out: the same value after a restart, or nothing. Promises: the file is replaced whole or not at
//! all, whatever happens while it is written; a torn or alien file is never used and never deleted, but renamed; a sensor that
//! holds the lock is the only one that uses the file.
//!
//! The file is one line of header (magic word, version, length and SHA-1 of what follows) and one JSON document.

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use sha1::{Digest, Sha1};

use crate::regular;

const MAGIC: &str = "wirespike-state";
const VERSION: u32 = 6;
/// Bytes given to the system at once.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// Larger files are not state files of this program.
const MAX_BYTES: u64 = 1 << 30;
/// Most files that are set aside under names of their own.
const MAX_REJECTED: u32 = 1000;

/// Why state could not be kept or fetched.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another sensor uses the file.
    #[error("state file {path}: another sensor keeps its state here; give each sensor its own state file")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("state file {path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The value cannot be written as JSON.
    #[error("state file {path}: cannot be written as JSON: {source}")]
    Serialize {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// What [`StateFile::load`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded<T> {
    /// The kept value.
    State(T),
    /// No file: the first start.
    Absent,
    /// A file that is torn or not a state file. It was renamed.
    Rejected {
        /// What is wrong with it.
        reason: String,
        /// Where it is now.
        moved_to: PathBuf,
    },
}

/// A place for one value that survives restarts.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The state file at this path; nothing is opened yet.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path under which a new state is written before it replaces the one in force.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.beside("tmp")
    }

    /// The path of the file that is locked while a sensor uses this state. The state file itself is replaced again and again.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.beside("lock")
    }

    /// Keeps other sensors from this state until the returned file is closed.
    pub(crate) fn lock(&self) -> Result<File, StateError> {
        let file = regular::create(&self.lock_path()).map_err(|source| self.io("lock", source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: self.path.clone() }),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
            Err(TryLockError::Error(source)) => Err(self.io("lock", source)),
        }
    }

    /// Replaces the kept value. After `Ok` it survives a power failure.
    pub(crate) fn save<T: Serialize>(&self, value: &T) -> Result<(), StateError> {
        let temporary = self.temporary();
        if let Err(error) = self.write(&temporary, value) {
            // An incomplete file is of no use, and on a full disk its space is.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        fs::rename(&temporary, &self.path).map_err(|source| self.io("replace", source))?;
        // The rename itself is durable once its folder is written.
        File::open(regular::folder_of(&self.path))
            .and_then(|folder| folder.sync_all())
            .map_err(|source| self.io("write the folder of", source))
    }

    /// Loads the kept value. A file that is torn or not a state file is renamed to `<name>.rejected-<n>`.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Loaded<T>, StateError> {
        let (mut file, size) = match regular::open(&self.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Absent),
            Err(source) => return Err(self.io("read", source)),
        };
        let parsed = if size > MAX_BYTES {
            Err(format!("{size} bytes are more than a state file can have"))
        } else {
            let mut text = Vec::new();
            file.read_to_end(&mut text).map_err(|source| self.io("read", source))?;
            parse(&text)
        };
        match parsed {
            Ok(value) => Ok(Loaded::State(value)),
            Err(reason) => Ok(Loaded::Rejected { reason, moved_to: self.set_aside()? }),
        }
    }

    /// Writes a state file piece by piece: the whole text would take more memory than the value itself.
    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), StateError> {
        let refused = |source| self.io("write", source);
        let mut file = regular::create(path).map_err(refused)?;
        file.write_all(header(0, &Sha1::new()).as_bytes()).map_err(refused)?;
        let body = Body { file, length: 0, sum: Sha1::new() };
        let mut buffered = BufWriter::with_capacity(WRITTEN_AT_ONCE, body);
        serde_json::to_writer(&mut buffered, value).map_err(|source| match source.is_io() {
            true => refused(source.into()),
            false => StateError::Serialize { path: self.path.clone(), source },
        })?;
        let Body { mut file, length, sum } = buffered.into_inner().map_err(|error| refused(error.into_error()))?;
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(header(length, &sum).as_bytes()));
        written.and_then(|()| file.sync_all()).map_err(refused)
    }

    fn set_aside(&self) -> Result<PathBuf, StateError> {
        let free = (1..=MAX_REJECTED).map(|n| self.beside(&format!("rejected-{n}"))).find(|path| !path.exists());
        let target = free.unwrap_or_else(|| self.beside("rejected-1"));
        fs::rename(&self.path, &target).map_err(|source| self.io("set aside", source))?;
        Ok(target)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        name.into()
    }

    fn io(&self, action: &'static str, source: io::Error) -> StateError {
        StateError::Io { path: self.path.clone(), action, source }
    }
}

/// The first line, equally long for any content.
fn header(length: u64, sum: &Sha1) -> String {
    format!("{MAGIC} {VERSION} {length:020} {}\n", hexadecimal(sum.clone()))
}

/// Writes the part after the header, and takes its length and checksum on the way.
struct Body {
    file: File,
    length: u64,
    sum: Sha1,
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let end = memchr::memchr(b'\n', bytes).ok_or("no header line: not a state file")?;
    let header = str::from_utf8(&bytes[..end]).map_err(|_| "no header line: not a state file")?;
    let body = &bytes[end + 1..];
    let fields: Vec<&str> = header.split(' ').collect();
    let [MAGIC, version, length, sum] = fields[..] else { return Err("not a state file of wirespike".into()) };
    if version != VERSION.to_string() {
        return Err(format!("format version {version}; this release reads version {VERSION}"));
    }
    if length.parse() != Ok(body.len()) {
        return Err(format!("torn: {} of {length} bytes are there", body.len()));
    }
    if sum != checksum(body) {
        return Err("its checksum does not match its content".into());
    }
    serde_json::from_slice(body).map_err(|error| format!("unexpected content: {error}"))
}

fn checksum(bytes: &[u8]) -> String {
    hexadecimal(Sha1::new_with_prefix(bytes))
}

fn hexadecimal(sum: Sha1) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, StateFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("windows.state"));
        (folder, file)
    }

    fn rejected(file: &StateFile) -> (String, PathBuf) {
        match file.load::<Vec<u32>>().unwrap() {
            Loaded::Rejected { reason, moved_to } => (reason, moved_to),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (folder, file) = file();
        assert_eq!(file.load::<Vec<u32>>().unwrap(), Loaded::Absent);
        file.save(&vec![1u32, 2, 3]).unwrap();
        file.save(&vec![4u32]).unwrap();
        assert_eq!(file.load().unwrap(), Loaded::State(vec![4u32]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_larger_than_a_block_is_saved_whole() {
        let (_folder, file) = file();
        let many: Vec<u32> = (0..WRITTEN_AT_ONCE as u32).collect();
        file.save(&many).unwrap();
        assert_eq!(file.load().unwrap(), Loaded::State(many));
    }

    #[test]
    fn a_length_without_leading_zeros_is_read_too() {
        let (_folder, file) = file();
        fs::write(file.path(), format!("{MAGIC} {VERSION} 3 {}\n[7]", checksum(b"[7]"))).unwrap();
        assert_eq!(file.load().unwrap(), Loaded::State(vec![7u32]));
    }

    #[test]
    fn every_torn_prefix_is_set_aside() {
        let (_folder, file) = file();
        file.save(&vec![10u32, 20, 30]).unwrap();
        let whole = fs::read(file.path()).unwrap();
        for length in 0..whole.len() {
            fs::write(file.path(), &whole[..length]).unwrap();
            let (_, moved_to) = rejected(&file);
            assert_eq!(fs::read(moved_to).unwrap(), &whole[..length]);
            assert!(!file.path().exists());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (_folder, file) = file();
        file.save(&vec![10u32, 20, 30]).unwrap();
        let whole = fs::read(file.path()).unwrap();
        for (position, bit) in (0..whole.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut bytes = whole.clone();
            bytes[position] ^= 1 << bit;
            assert!(parse::<Vec<u32>>(&bytes).is_err(), "byte {position}, bit {bit}");
        }
    }

    #[test]
    fn alien_files_are_named_for_what_they_are() {
        let (_folder, file) = file();
        for (content, sign) in [
            (&b"\x7fELF\0\0\n"[..], "not a state file"),
            (b"[alerts]\nthreshold = 50\n", "not a state file"),
            (b"wirespike-state 3 0 da39\n", "version 3"),
        ] {
            fs::write(file.path(), content).unwrap();
            let (reason, moved_to) = rejected(&file);
            assert!(reason.contains(sign), "{reason}");
            assert!(moved_to.to_string_lossy().contains(".rejected-"));
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let (folder, file) = file();
        assert!(std::process::Command::new("mkfifo").arg(file.path()).status().unwrap().success());
        let refusal = file.load::<Vec<u32>>().unwrap_err().to_string();
        assert!(refusal.contains("not a regular file"), "{refusal}");
        for path in [folder.path(), Path::new("/dev/zero")] {
            let refusal = StateFile::new(path).load::<Vec<u32>>().unwrap_err().to_string();
            assert!(refusal.contains("not a regular file"), "{refusal}");
        }
        let (_folder, file) = self::file();
        assert!(std::process::Command::new("mkfifo").arg(file.temporary()).status().unwrap().success());
        assert!(file.save(&vec![1u32]).is_err(), "nobody reads the pipe");
    }

    #[test]
    fn only_one_sensor_uses_a_state_file() {
        let (_folder, file) = file();
        let held = file.lock().unwrap();
        file.save(&vec![1u32]).unwrap();
        let refusal = StateFile::new(file.path()).lock().unwrap_err().to_string();
        assert!(refusal.contains("another sensor") && refusal.contains("windows.state"), "{refusal}");
        drop(held);
        drop(file.lock().unwrap());
        assert_eq!(file.load().unwrap(), Loaded::State(vec![1u32]));
    }

    #[test]
    fn a_failed_save_keeps_the_old_state() {
        let (_folder, file) = file();
        file.save(&vec![1u32]).unwrap();
        // A folder in the temporary file's place makes writing fail even for root.
        fs::create_dir(file.beside("tmp")).unwrap();
        let error = file.save(&vec![2u32]).unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
        assert_eq!(file.load().unwrap(), Loaded::State(vec![1u32]));
    }
}
