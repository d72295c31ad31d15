//! What of the rule survives a restart.
//!
//! In: the rule's open windows, the IDs of written alerts and the alerts on their way, again and again. Out: the same after a
//! restart. Promises: keeping takes at most a twentieth of the output thread's time; a state file that cannot be believed
//! stops nothing.
//!
//! After `kill -9` the errors since the last time of keeping are missing, which is a second ago at most unless keeping itself
//! takes longer than 50 ms. An alert is kept before it is written, so it is neither lost nor written twice: what was on its
//! way is compared with the alert file's end. On standard output that cannot be read back.

use std::{
    borrow::Cow,
    collections::HashSet,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    detect::Snapshot,
    sensor::conclude::{Conclusion, Totals},
    service::state::{Loaded, StateFile},
    settings::Settings,
};

/// Time between two times of keeping, at least.
const EVERY: Duration = Duration::from_secs(1);
/// Keeping that takes no longer is done before every alert.
const CHEAP: Duration = Duration::from_millis(50);
/// Keeping waits so many times as long as it took.
const SHARE: u32 = 20;
/// Bytes at the end of the alert file that are searched for IDs.
const TAIL: u64 = 4 << 20;

/// The content of the state file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<'a> {
    rule: Snapshot<'a>,
    written: Vec<Cow<'a, str>>,
    /// Lines of the alert file that were not in it yet.
    #[serde(default)]
    unwritten: Cow<'a, str>,
}

/// Keeps the open windows in a file, where one is configured.
pub(super) struct Keeper {
    file: Option<StateFile>,
    kept: Instant,
    /// What had been found then.
    found: Totals,
    cost: Duration,
    failing: bool,
}

/// Goes on from what an earlier run has kept.
pub(super) fn restore(settings: &Settings, conclusion: &mut Conclusion) -> Keeper {
    let file = settings.live.state.as_deref().map(StateFile::new);
    if let Some(file) = &file {
        let end = settings.output.alerts.as_deref().map(end_of).unwrap_or_default();
        conclusion.go_on(ids_in(&end), &[]);
        load(file, settings, conclusion, &end);
    }
    Keeper { file, kept: Instant::now(), found: conclusion.totals(), cost: Duration::ZERO, failing: false }
}

fn load(file: &StateFile, settings: &Settings, conclusion: &mut Conclusion, end: &[u8]) {
    let path = file.path().display();
    match file.load::<Kept<'static>>() {
        Ok(Loaded::Absent) => tracing::info!(%path, "no earlier state"),
        Ok(Loaded::Rejected { reason, moved_to }) => {
            tracing::warn!(%path, reason, moved_to = %moved_to.display(), "the state file is not used; it was set aside");
        }
        Ok(Loaded::State(kept)) => {
            let clients = kept.rule.clients();
            conclusion.go_on(
                kept.written.into_iter().map(Cow::into_owned).collect(),
                &missing(kept.unwritten.as_bytes(), end),
            );
            match conclusion.restore(settings.rule.clone(), kept.rule) {
                Ok(()) => tracing::info!(%path, clients, "going on with the open windows of the earlier run"),
                Err(reason) => tracing::warn!(%path, %reason, "the earlier run's windows are not used"),
            }
        }
        Err(error) => tracing::warn!(%error, "going on without earlier state"),
    }
}

impl Keeper {
    /// Keeps the windows when it is time, and before alerts are written.
    pub(super) fn keep(&mut self, conclusion: &Conclusion) {
        let (found, waited) = (conclusion.totals(), self.kept.elapsed());
        let is_urgent = found.alerts != self.found.alerts && self.cost <= CHEAP;
        let is_due = found.errors != self.found.errors && waited >= EVERY;
        if is_urgent || (is_due && waited >= self.cost * SHARE) {
            self.save(conclusion.snapshot(), conclusion);
        }
    }

    /// Keeps these windows, at the end of the run.
    pub(super) fn keep_last(&mut self, windows: Snapshot<'_>, conclusion: &Conclusion) {
        self.save(windows, conclusion);
    }

    fn save(&mut self, rule: Snapshot<'_>, conclusion: &Conclusion) {
        let Some(file) = &self.file else { return };
        let began = Instant::now();
        let alerting = conclusion.alerting();
        let written = alerting.written().map(Cow::Borrowed).collect();
        let unwritten = String::from_utf8_lossy(alerting.unwritten());
        let result = file.save(&Kept { rule, written, unwritten });
        match &result {
            Ok(()) if self.failing => tracing::info!(path = %file.path().display(), "the state file is written again"),
            Err(error) if !self.failing => tracing::error!(%error, "open windows would not survive a restart now"),
            Ok(()) | Err(_) => {}
        }
        self.failing = result.is_err();
        self.found = conclusion.totals();
        self.kept = Instant::now();
        self.cost = began.elapsed();
    }
}

/// The end of an alert file.
fn end_of(path: &Path) -> Vec<u8> {
    let read = || -> std::io::Result<Vec<u8>> {
        if !std::fs::metadata(path)?.is_file() {
            return Ok(Vec::new());
        }
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    };
    // A file that cannot be read has been opened for writing, and says so where that fails.
    read().unwrap_or_default()
}

/// The event IDs in an alert file.
fn ids_in(end: &[u8]) -> Vec<String> {
    end.split(|&byte| byte == b'\n').filter_map(id_of).collect()
}

fn id_of(line: &[u8]) -> Option<String> {
    let alert: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(alert.pointer("/event/id")?.as_str()?.to_owned())
}

/// Those of the lines that an alert file does not hold.
fn missing(lines: &[u8], end: &[u8]) -> Vec<u8> {
    let present: HashSet<&[u8]> = end.split_inclusive(|&byte| byte == b'\n').collect();
    lines.split_inclusive(|&byte| byte == b'\n').filter(|line| !present.contains(line)).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_whole_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts");
        std::fs::write(&path, "{\"event\":{\"id\":\"one\"}}\n{\"event\":{\"id\":\"two\"}}\n{\"event\":{\"id\":\"th")
            .unwrap();
        assert_eq!(ids_in(&end_of(&path)), ["one", "two"]);
        assert_eq!(end_of(Path::new("-")), b"");
        assert_eq!(end_of(Path::new("/dev/null")), b"");
    }

    #[test]
    fn only_lines_that_did_not_arrive_are_written_again() {
        assert_eq!(missing(b"one\ntwo\nthree\n", b"none\none\ntw"), b"two\nthree\n");
        assert_eq!(missing(b"one\n", b"one\n"), b"");
        assert_eq!(missing(b"", b"one\n"), b"");
    }
}
