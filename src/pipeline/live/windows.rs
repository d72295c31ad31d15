//! What of the rule survives a restart.
//!
//! In: the rule's open windows and the IDs of written alerts, again and again. Out: the same after a restart. Promises: keeping
//! takes at most a twentieth of the output thread's time; a state file that cannot be believed stops nothing.
//!
//! After `kill -9` the errors since the last time of keeping are missing; the IDs of alerts are not, they are found in the
//! alert file itself.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::Settings,
    detect::Snapshot,
    pipeline::conclude::Conclusion,
    state::{Loaded, StateFile},
};

/// Time between two times of keeping, at least.
const EVERY: Duration = Duration::from_secs(5);
/// Keeping waits so many times as long as it took.
const SHARE: u32 = 20;
/// Bytes at the end of the alert file that are searched for IDs.
const TAIL: u64 = 4 << 20;

/// The content of the state file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    rule: Snapshot,
    written: Vec<String>,
}

/// Keeps the open windows in a file, where one is configured.
pub(super) struct Keeper {
    file: Option<StateFile>,
    kept: Instant,
    cost: Duration,
    failing: bool,
}

/// Goes on from what an earlier run has kept.
pub(super) fn restore(settings: &Settings, conclusion: &mut Conclusion) -> Keeper {
    let file = settings.live.state.as_deref().map(StateFile::new);
    if let Some(file) = &file {
        load(file, settings, conclusion);
        if let Some(path) = settings.output.alerts.as_deref() {
            conclusion.skip_alerts(written_ids(path));
        }
    }
    Keeper { file, kept: Instant::now(), cost: Duration::ZERO, failing: false }
}

fn load(file: &StateFile, settings: &Settings, conclusion: &mut Conclusion) {
    let path = file.path().display();
    match file.load::<Kept>() {
        Ok(Loaded::Absent) => tracing::info!(%path, "no earlier state"),
        Ok(Loaded::Rejected { reason, moved_to }) => {
            tracing::warn!(%path, reason, moved_to = %moved_to.display(), "the state file is not used; it was set aside");
        }
        Ok(Loaded::State(kept)) => {
            let clients = kept.rule.clients();
            conclusion.skip_alerts(kept.written);
            match conclusion.restore(settings.rule.clone(), kept.rule) {
                Ok(()) => tracing::info!(%path, clients, "going on with the open windows of the earlier run"),
                Err(reason) => tracing::warn!(%path, %reason, "the earlier run's windows are not used"),
            }
        }
        Err(error) => tracing::warn!(%error, "going on without earlier state"),
    }
}

impl Keeper {
    /// Keeps the windows when it is time.
    pub(super) fn keep(&mut self, conclusion: &Conclusion) {
        if self.file.is_some() && self.kept.elapsed() >= EVERY.max(self.cost * SHARE) {
            self.save(conclusion.snapshot(), conclusion);
        }
    }

    /// Keeps these windows, at the end of the run.
    pub(super) fn keep_last(&mut self, windows: Snapshot, conclusion: &Conclusion) {
        self.save(windows, conclusion);
    }

    fn save(&mut self, rule: Snapshot, conclusion: &Conclusion) {
        let Some(file) = &self.file else { return };
        let began = Instant::now();
        let result = file.save(&Kept { rule, written: conclusion.written_alerts().map(str::to_owned).collect() });
        match &result {
            Ok(()) if self.failing => tracing::info!(path = %file.path().display(), "the state file is written again"),
            Err(error) if !self.failing => tracing::error!(%error, "open windows would not survive a restart now"),
            Ok(()) | Err(_) => {}
        }
        self.failing = result.is_err();
        self.kept = Instant::now();
        self.cost = began.elapsed();
    }
}

/// The event IDs at the end of an alert file.
fn written_ids(path: &Path) -> Vec<String> {
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
    let tail = read().unwrap_or_default();
    tail.split(|&byte| byte == b'\n').filter_map(id_of).collect()
}

fn id_of(line: &[u8]) -> Option<String> {
    let alert: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(alert.pointer("/event/id")?.as_str()?.to_owned())
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
        assert_eq!(written_ids(&path), ["one", "two"]);
        assert_eq!(written_ids(Path::new("-")), Vec::<String>::new());
        assert_eq!(written_ids(Path::new("/dev/null")), Vec::<String>::new());
    }
}
