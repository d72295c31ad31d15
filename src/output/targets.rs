//! Which file is which: no output destroys an input or another output.
//!
//! In: what a run reads, then what it writes, by the names people use (`--alerts`, `the capture`). Out: an error for the first
//! output that is the same file as an input or as another output. Promises: opens and changes nothing. Files are compared by
//! device and inode, so links and other spellings of a path are seen through; a file that does not exist yet is compared by
//! the path it will have. Character devices such as `/dev/null` and terminals hold nothing and may be shared.

use std::{
    fs::{self, File, Metadata},
    io,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use super::{OutputError, sinks::stdout::closed_start};
use crate::regular::folder_of;

/// Links that are followed from one path before it is taken as it is; the kernel's own limit.
const MOST_LINKS: usize = 40;

/// How the name of a file with the packets of an alert ends. It begins with the alert's ID.
const EVIDENCE_ENDING: &str = ".pcapng";

/// The digits of an alert's ID.
const ID_DIGITS: usize = 40;

/// The files of a run.
#[derive(Debug, Default)]
pub struct Targets {
    uses: Vec<Use>,
}

/// One file, and what it is used for.
#[derive(Debug)]
struct Use {
    name: String,
    path: PathBuf,
    target: Target,
    is_read: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// A terminal or a device as standard output.
    StandardOutput,
    Existing {
        device: u64,
        inode: u64,
    },
    /// A file that opening will make, under the path that no link leads away from.
    New(PathBuf),
}

impl Targets {
    /// A file that the run reads. One that does not exist is nothing to protect.
    pub fn reads(&mut self, name: &str, path: &Path) {
        if let Ok(metadata) = fs::metadata(path)
            && let Some(target) = existing(&metadata)
        {
            self.uses.push(Use { name: name.to_owned(), path: path.to_owned(), target, is_read: true });
        }
    }

    /// A file that the run has opened to read, by device and inode.
    pub fn reads_open(&mut self, name: &str, path: &Path, device: u64, inode: u64) {
        let target = Target::Existing { device, inode };
        self.uses.push(Use { name: name.to_owned(), path: path.to_owned(), target, is_read: true });
    }

    /// A file that the run will write; `-` is standard output. Inputs are to be named before.
    ///
    /// # Errors
    ///
    /// A file that is read, or written for another purpose; a standard output that was closed from the start.
    pub fn writes(&mut self, name: &str, path: &Path) -> Result<(), OutputError> {
        let is_standard = is_standard_output(path);
        if is_standard {
            require_standard_output(name)?;
        }
        let Some(target) = target_of(path, is_standard) else { return Ok(()) };
        if let Some(other) = self.uses.iter().find(|other| other.target == target) {
            return Err(clash(other, name, path));
        }
        self.uses.push(Use { name: name.to_owned(), path: path.to_owned(), target, is_read: false });
        Ok(())
    }

    /// A directory in which the run will write or replace files with the packets of alerts. All other files are to be named
    /// before.
    ///
    /// # Errors
    ///
    /// A file in this directory that is read or written and whose name one of these files may have.
    pub fn fills(&self, name: &str, directory: &Path) -> Result<(), OutputError> {
        let Ok(true_directory) = directory.canonicalize() else { return Ok(()) };
        let stands_in_the_way = |used: &&Use| {
            let path = future_path(&used.path);
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            is_evidence_name(&file) && folder_of(&path) == true_directory
        };
        let Some(used) = self.uses.iter().find(stands_in_the_way) else { return Ok(()) };
        Err(OutputError::WithinDirectory {
            output: name.to_owned(),
            directory: directory.display().to_string(),
            used_for: used.name.clone(),
            path: used.path.display().to_string(),
        })
    }
}

/// The name of the file with the packets of an alert.
pub fn evidence_name(id: &str) -> String {
    format!("{id}{EVIDENCE_ENDING}")
}

/// Returns whether a file's name may be that of a file with the packets of an alert.
pub fn is_evidence_name(name: &str) -> bool {
    let stem = name.strip_suffix(EVIDENCE_ENDING).and_then(|stem| stem.get(..ID_DIGITS));
    stem.is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Refuses to go on where standard output is needed and was closed when the program started.
///
/// # Errors
///
/// A standard output that was closed (`>&-`); `needed_by` is what would be written there.
pub fn require_standard_output(needed_by: &str) -> Result<(), OutputError> {
    if closed_start::was_closed() {
        return Err(OutputError::StandardOutputClosed { needed_by: needed_by.to_owned() });
    }
    Ok(())
}

fn clash(other: &Use, name: &str, path: &Path) -> OutputError {
    let shown = |path: &Path| match is_standard_output(path) {
        true => "standard output".to_owned(),
        false => path.display().to_string(),
    };
    if other.is_read {
        let input_path = if other.path == Path::new("-") { "standard input".to_owned() } else { shown(&other.path) };
        return OutputError::OverInput {
            output: name.to_owned(),
            output_path: shown(path),
            input: other.name.clone(),
            input_path,
        };
    }
    OutputError::SameTarget { first: other.name.clone(), second: name.to_owned(), path: shown(path) }
}

fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// What a path leads to; `None` for a character device, which may be shared.
fn target_of(path: &Path, is_standard: bool) -> Option<Target> {
    if is_standard {
        let open = standard_output().ok()?;
        return Some(existing(&open).unwrap_or(Target::StandardOutput));
    }
    match fs::metadata(path) {
        Ok(metadata) => existing(&metadata),
        Err(_) => Some(Target::New(future_path(path))),
    }
}

fn existing(metadata: &Metadata) -> Option<Target> {
    let shared = metadata.file_type().is_char_device();
    (!shared).then(|| Target::Existing { device: metadata.dev(), inode: metadata.ino() })
}

fn standard_output() -> io::Result<Metadata> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).metadata()
}

/// Where a file will be that is opened to be made: links that lead nowhere yet are followed, and its folder is the true one.
fn future_path(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(next);
    }
    let folder = folder_of(&path);
    let folder = folder.canonicalize().unwrap_or(folder);
    path.file_name().map_or_else(|| path.clone(), |name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What is said of these outputs beside these inputs; empty where they are accepted.
    fn said(reads: &[(&str, &Path)], writes: &[(&str, &Path)]) -> String {
        let mut targets = Targets::default();
        for (name, path) in reads {
            targets.reads(name, path);
        }
        let refused = writes.iter().try_for_each(|(name, path)| targets.writes(name, path));
        refused.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_output_has_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other, link, linked] = ["one", "other", "link", "linked"].map(|name| folder.path().join(name));
        let twice = |first: &Path, second: &Path| said(&[], &[("--alerts", first), ("--events", second)]);
        assert_eq!(twice(Path::new("-"), &one), "");
        assert_eq!(twice(&one, &other), "");
        assert_eq!(twice(Path::new("/dev/null"), Path::new("/dev/null")), "");
        assert_eq!(
            twice(Path::new("-"), Path::new("/dev/stdout")),
            "standard output is given twice, as --alerts and as --events: give each its own file"
        );
        let dotted = folder.path().join("./one");
        assert!(twice(&one, &dotted).contains("twice"), "before the file is there");
        symlink("linked", &link).unwrap();
        assert!(twice(&linked, &link).contains("twice"), "a link to a file that is not there yet");
        fs::write(&one, "").unwrap();
        assert!(twice(&one, &dotted).contains("twice"), "once the file is there");
        fs::hard_link(&one, &other).unwrap();
        assert!(twice(&one, &other).contains("twice"), "hard links");
    }

    #[test]
    fn a_directory_of_packets_holds_no_input_that_it_would_replace() {
        let folder = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef0123456789abcdef01234567";
        let [evidence, other] = [format!("{id}.pcapng"), "capture.pcapng".into()].map(|name| folder.path().join(name));
        let link = folder.path().join("link");
        for path in [&evidence, &other] {
            fs::write(path, "").unwrap();
        }
        symlink(&evidence, &link).unwrap();
        let fills = |path: &Path| {
            let mut targets = Targets::default();
            targets.reads("the capture", path);
            let result = targets.fills("--evidence", &folder.path().join("."));
            result.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(fills(&other), "");
        assert!(fills(&evidence).contains("would replace the capture"), "{}", fills(&evidence));
        assert!(fills(&link).contains("give --evidence another directory"));
        assert!(Targets::default().fills("--evidence", &folder.path().join("new")).is_ok());
        assert!(is_evidence_name(&format!("{id}.2.pcapng")) && !is_evidence_name(&id[1..]));
    }

    #[test]
    fn no_input_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [input, link, other] = ["input", "link", "other"].map(|name| folder.path().join(name));
        fs::write(&input, "").unwrap();
        symlink(&input, &link).unwrap();
        let reads = [("the capture", input.as_path()), ("the configuration", Path::new("/dev/null"))];
        let (input_path, link_path) = (input.display(), link.display());
        assert_eq!(
            said(&reads, &[("--alerts", &link)]),
            format!("--alerts {link_path} is the same file as the capture {input_path}: give --alerts another file")
        );
        assert_eq!(said(&reads, &[("--alerts", &other), ("--events", Path::new("/dev/null"))]), "");
        let missing = folder.path().join("missing");
        assert_eq!(said(&[("the capture", &missing)], &[("--alerts", &missing)]), "", "nothing to protect");
    }
}
