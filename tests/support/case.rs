//! The cases in `pcaps/`.
//!
//! In: a folder. Out: a [`Case`]: its capture, its log, and what `case.toml` says that the files cannot.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    log::{Entry, entries},
    root,
};

/// `case.toml`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CaseSettings {
    /// Whether the log's order is the order on the wire: requests were made one after another.
    pub(crate) ordered: bool,
    /// Whether the client's bytes can be read in two ways. Then the sensor may say that a request is unknown.
    pub(crate) doubtful: bool,
    /// The address of a proxy whose two sides are both in the capture and in the log: errors count on the client's side.
    pub(crate) two_legs_of: Option<String>,
    /// Arguments for the program.
    pub(crate) args: Vec<String>,
}

/// One folder of `pcaps/`.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) capture: PathBuf,
    pub(crate) settings: CaseSettings,
    pub(crate) log: Vec<Entry>,
}

impl Case {
    /// Every case, by name.
    pub(crate) fn all() -> Vec<Self> {
        let mut folders: Vec<PathBuf> = fs::read_dir(root().join("pcaps"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        assert!(folders.len() >= 6, "pcaps/ has its recorded cases");
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    fn read(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let captures: Vec<PathBuf> =
            files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("capture.")).collect();
        let [capture] = &captures[..] else { panic!("{name}: one capture, not {captures:?}") };
        let capture = capture.clone();
        assert!(folder.join("README.md").is_file(), "{name}: a case says where it is from in README.md");
        let settings = fs::read_to_string(folder.join("case.toml")).unwrap_or_default();
        let settings = toml::from_str(&settings).unwrap_or_else(|error| panic!("{name}: case.toml: {error}"));
        let log = fs::read(folder.join("access.log")).unwrap_or_else(|error| panic!("{name}: access.log: {error}"));
        Self { name, folder: folder.to_owned(), capture, settings, log: entries(&log) }
    }
}
