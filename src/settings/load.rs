//! From file, `--set` and flags to one validated [`Settings`].
//!
//! In: [`Sources`]: what was typed, and where the file is. Out: [`Loaded`]: the settings, and where each value came from.
//! Flags win over `--set`, which wins over the file, which wins over the defaults. Promises: an error names the file and the
//! line, or the flag, says what is wrong, and what to write instead.

use std::{collections::BTreeMap, path::PathBuf};

use crate::regular;

use super::{
    ConfigError, Settings,
    file::{self, Assignment, Target},
    given::{Given, Origin},
    key::{Flag, Key, Takes},
    keys,
    server::Server,
};

/// What was typed, and where the rest stands.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// `KEY=VALUE`.
    pub assignments: Vec<String>,
    /// Flags of keys, by the key's name, with the words that followed.
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
}

/// Settings, and where they came from.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    pub(super) origins: Origins,
}

/// Where the values came from that are not defaults.
#[derive(Debug, Default)]
pub(super) struct Origins {
    by_key: BTreeMap<(Option<usize>, &'static str), Vec<Origin>>,
}

impl Origins {
    /// Where a key's value came from; several where a flag adds to the file. The index is a server's.
    pub(super) fn of(&self, server: Option<usize>, key: &'static str) -> &[Origin] {
        self.by_key.get(&(server, key)).map_or(&[], Vec::as_slice)
    }

    /// How an error names a key's value.
    pub(super) fn place(&self, server: Option<usize>, key: &'static str) -> String {
        self.of(server, key).last().map_or_else(|| key.to_owned(), |origin| origin.place(key))
    }

    fn forget_servers(&mut self) {
        self.by_key.retain(|(server, _), _| server.is_none());
    }
}

impl Sources {
    /// A configuration file alone.
    pub fn file(path: PathBuf) -> Self {
        Self { config: Some(path), ..Self::default() }
    }

    /// Loads everything.
    ///
    /// # Errors
    ///
    /// The first value that is wrong, or values that contradict each other.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut loader = Loader::default();
        if let Some(path) = &self.config {
            let text = regular::open(path)
                .and_then(|(file, _)| std::io::read_to_string(file))
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), reason: source.to_string() })?;
            file::read(path, &text)?.into_iter().try_for_each(|assignment| loader.take(assignment))?;
        }
        for text in &self.assignments {
            file::assignment(text)?.into_iter().try_for_each(|assignment| loader.set(assignment))?;
        }
        for (name, words) in &self.flags {
            if let Some(key) = keys::find(name)
                && let Some(flag) = key.flag
            {
                loader.flag(key, flag, words)?;
            }
        }
        let Loader { mut loaded, .. } = loader;
        loaded.settings.config_file.clone_from(&self.config);
        loaded.settings.complete(&loaded.origins)?;
        Ok(loaded)
    }
}

/// Takes values in, the weakest first.
#[derive(Default)]
struct Loader {
    loaded: Loaded,
    /// What was typed for keys whose flag adds to it.
    lists: BTreeMap<&'static str, Given>,
}

impl Loader {
    fn take(&mut self, Assignment { target, given, origin }: Assignment) -> Result<(), ConfigError> {
        let Loaded { settings, origins } = &mut self.loaded;
        match target {
            Target::Settings(key) => {
                key.take(settings, &given).map_err(|reason| refused(key, &origin, reason))?;
                origins.by_key.insert((None, key.name), vec![origin]);
                self.lists.insert(key.name, given);
            }
            Target::Server(index, key) => {
                let servers = &mut settings.servers;
                servers.resize(servers.len().max(index + 1), Server::default());
                if let Some(server) = servers.get_mut(index) {
                    key.take(server, &given).map_err(|reason| refused(key, &origin, reason))?;
                }
                origins.by_key.insert((Some(index), key.name), vec![origin]);
            }
            Target::Servers => {
                settings.servers.clear();
                origins.forget_servers();
            }
        }
        Ok(())
    }

    /// Takes in what `--set` says. Two values for one key are a mistake.
    fn set(&mut self, assignment: Assignment) -> Result<(), ConfigError> {
        if let Target::Settings(key) = assignment.target
            && self.loaded.origins.of(None, key.name) == [Origin::Set]
        {
            let reason = format!("{} is the second value for this key; leave one out", assignment.given);
            return Err(ConfigError::Value { place: assignment.origin.place(key.name), reason });
        }
        self.take(assignment)
    }

    fn flag(&mut self, key: &'static Key<Settings>, flag: Flag, words: &[String]) -> Result<(), ConfigError> {
        let mut given = Given::Words(words.to_vec());
        let mut origins = self.loaded.origins.of(None, key.name).to_vec();
        match (flag.takes, self.lists.get(key.name)) {
            (Takes::Values, Some(before)) => given = before.extended(&given).unwrap_or(given),
            (Takes::Nothing { value, .. }, _) => given = Given::Words(vec![value.to_owned()]),
            (Takes::Values, None) | (Takes::Value, _) => origins.clear(),
        }
        if flag.takes != Takes::Values {
            origins.clear();
        }
        let origin = Origin::Flag(flag.long);
        key.take(&mut self.loaded.settings, &given).map_err(|reason| refused(key, &origin, reason))?;
        origins.push(origin);
        self.loaded.origins.by_key.insert((None, key.name), origins);
        Ok(())
    }
}

/// What is wrong with a value, and what to write instead.
fn refused<T>(key: &Key<T>, origin: &Origin, reason: String) -> ConfigError {
    let instead = match (origin, key.flag) {
        (Origin::Flag(long), Some(Flag { takes: Takes::Value | Takes::Values, .. })) => {
            format!("--{long} {}", quoted(&key.example_word()))
        }
        (Origin::Set, _) => format!("--set {}", quoted(&format!("{}={}", key.name, key.example))),
        _ => format!("{} = {}", key.short_name(), key.example),
    };
    // The reason quotes the value.
    let reason = if key.secret { "the value does not fit".to_owned() } else { reason };
    ConfigError::Value { place: origin.place(key.name), reason: format!("{reason}; write for example {instead}") }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
