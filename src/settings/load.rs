//! From file, flags and `--set` to one [`FileConfig`].
//!
//! In: a file's text, flags as typed, `KEY=VALUE` overrides. Out: the merged configuration; flags win over `--set`, which wins over the file.
//! Promises: an error names the file and line, or the flag, and what was expected there.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::{CommonArgs, ModeArg};

use super::{
    ConfigError,
    file::{FileConfig, WrittenDuration},
};

/// Reads and merges all sources.
///
/// # Errors
///
/// The first thing that is wrong.
pub(super) fn load(args: &CommonArgs) -> Result<FileConfig, ConfigError> {
    let mut table = match &args.config {
        Some(path) => read(path)?,
        None => toml::Table::new(),
    };
    for assignment in &args.overrides {
        set(&mut table, assignment)?;
    }
    let mut config = FileConfig::deserialize(table)
        .map_err(|source| ConfigError::Value { place: "--set".to_owned(), reason: first_line(&source.to_string()) })?;
    apply_flags(&mut config, args);
    Ok(config)
}

/// Reads a file alone.
///
/// # Errors
///
/// What is wrong with it, and where.
pub(super) fn from_file(path: &Path) -> Result<FileConfig, ConfigError> {
    FileConfig::deserialize(read(path)?).map_err(|source| ConfigError::Value {
        place: path.display().to_string(),
        reason: first_line(&source.to_string()),
    })
}

/// Reads one file, and checks it by itself so that errors carry its lines.
fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), reason: source.to_string() })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<toml::Table, ConfigError> {
    let fail = |error: toml::de::Error| syntax_error(path, text, &error);
    toml::from_str::<FileConfig>(text).map_err(fail)?;
    toml::from_str::<toml::Table>(text).map_err(fail)
}

fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
    ConfigError::Syntax { path: path.to_owned(), line, reason: first_line(error.message()) }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Puts `limits.flows=5` at its place. The value is TOML, or else a string.
fn set(table: &mut toml::Table, assignment: &str) -> Result<(), ConfigError> {
    let complaint =
        |reason: &str| ConfigError::Value { place: format!("--set {assignment}"), reason: reason.to_owned() };
    let (path, value) =
        assignment.split_once('=').ok_or_else(|| complaint("write KEY=VALUE, such as rule.threshold=20"))?;
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or_else(|| complaint("the key is empty"))?;
    let mut place = table;
    for key in keys {
        let entry = place.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = entry.as_table_mut().ok_or_else(|| complaint("the key's first part is a value, not a section"))?;
    }
    place.insert(last.to_owned(), value);
    FileConfig::deserialize(table_of(path, place.get(last)))
        .map_err(|error| complaint(&first_line(&error.to_string())))?;
    Ok(())
}

/// A table with just this one key, to check it by itself.
fn table_of(path: &str, value: Option<&toml::Value>) -> toml::Table {
    let mut keys = path.trim().rsplit('.');
    let mut inner = toml::Table::new();
    if let (Some(last), Some(value)) = (keys.next(), value) {
        inner.insert(last.to_owned(), value.clone());
    }
    for key in keys {
        inner = toml::Table::from_iter([(key.to_owned(), toml::Value::Table(inner))]);
    }
    inner
}

fn apply_flags(config: &mut FileConfig, args: &CommonArgs) {
    fn over<T: Clone>(place: &mut Option<T>, flag: &Option<T>) {
        if flag.is_some() {
            place.clone_from(flag);
        }
    }
    let duration = |flag: Option<std::time::Duration>| flag.map(WrittenDuration);
    let output: [(&mut Option<PathBuf>, &Option<PathBuf>); 4] = [
        (&mut config.output.alerts, &args.alerts),
        (&mut config.output.events, &args.events),
        (&mut config.output.exchanges, &args.exchanges),
        (&mut config.output.stats, &args.stats),
    ];
    for (place, flag) in output {
        over(place, flag);
    }
    over(&mut config.rule.threshold, &args.threshold);
    over(&mut config.rule.window, &duration(args.window));
    over(&mut config.rule.every, &duration(args.every));
    over(&mut config.rule.max_alerts, &args.max_alerts);
    over::<ModeArg>(&mut config.rule.mode, &args.mode);
    over(&mut config.rule.lateness, &duration(args.lateness));
    over(&mut config.sensor.id, &args.sensor_id);
    over(&mut config.sensor.namespace, &args.namespace);
    over(&mut config.packets.filter, &args.filter);
    over(&mut config.packets.workers, &args.workers);
    if !args.trust.is_empty() {
        config.proxies.trusted.get_or_insert_default().extend(args.trust.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        parse(Path::new("sensor.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_file_is_named_with_its_line() {
        assert!(
            complaint("[rule]\nthreshold = 50\ntreshold = 5\n").starts_with("sensor.toml:3: unknown field `treshold`")
        );
        assert!(complaint("[rule]\n\nwindow = \"eleven\"\n").starts_with("sensor.toml:3: 'eleven' is not a duration"));
        assert!(complaint("[rule\n").starts_with("sensor.toml:1: "));
    }

    #[test]
    fn set_reaches_any_key_and_refuses_what_does_not_fit() {
        let mut table = toml::from_str("[rule]\nthreshold = 50").unwrap();
        set(&mut table, "rule.threshold=7").unwrap();
        set(&mut table, "rule.window=5m").unwrap();
        set(&mut table, "tunnels.vxlan_ports=[1, 2]").unwrap();
        let config = FileConfig::deserialize(table.clone()).unwrap();
        assert_eq!(config.rule.threshold, Some(7));
        assert_eq!(config.rule.window.unwrap().0.as_secs(), 300);
        assert_eq!(config.tunnels.vxlan_ports, Some(vec![1, 2]));
        for bad in ["rule.threshold", "=4", "rule.threshold=many", "rule.nothing=1", "rule.threshold.deep=1"] {
            assert!(set(&mut table.clone(), bad).is_err(), "{bad}");
        }
    }
}
