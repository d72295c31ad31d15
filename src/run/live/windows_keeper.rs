//! Saves the rules' open windows, so that a restart goes on with them.
//!
//! In: the open windows, the IDs of written alerts and the alerts that are not written yet, again and again. Out: the same
//! values after a restart. Promises: saving takes at most a twentieth of the output thread's time; a state file that is torn
//! or alien stops nothing.
//!
//! After `kill -9` the errors since the last save are missing: those of one second at most, unless a save takes longer than
//! 50 ms. An alert is saved before it is written, and after a restart the saved alerts are compared with the end of the alert
//! file. So an alert is neither lost nor written twice. Standard output cannot be read back: there it may be.

use std::{
    borrow::Cow,
    collections::HashSet,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    detect::RulesSnapshot,
    run::delivery::Delivery,
    run::save_pace::SavePace,
    sensor::{Evaluator, Totals},
    service::state::{Loaded, StateFile},
    settings::Settings,
    telemetry::summary::StageCounts,
};

/// Where the last save took no longer than this, every new alert is saved at once.
const CHEAP_SAVE: Duration = Duration::from_millis(50);

/// The content of the state file.
#[derive(Debug, Serialize, Deserialize)]
struct SavedState<'r, 'a> {
    rules: RulesSnapshot<'r>,
    written: Vec<Cow<'a, str>>,
    /// Lines of the alert file that were not in it yet.
    unwritten: Cow<'a, str>,
}

crate::counters! {
    /// What happened to the state file.
    pub struct StateCounters {
        /// Times the state file was written
        saves,
        /// Clients left out of the state file because of live.state_bytes, over all saves
        left_out_clients,
    }
}

/// Saves the open windows in a file, where one is configured.
pub(super) struct WindowsKeeper {
    file: Option<StateFile>,
    /// The most bytes of each rule's windows in the file.
    most_bytes: usize,
    counters: StateCounters,
    /// The pace of the saves for new errors.
    pace: SavePace,
    /// What had been found at the last save.
    found: Totals,
    /// Whether the last save failed.
    is_failing: bool,
}

/// Goes on from the state that an earlier run has saved.
pub(super) fn restore(settings: &Settings, evaluator: &mut Evaluator, delivery: &mut Delivery) -> WindowsKeeper {
    let file = settings.live.state.as_deref().map(StateFile::new);
    if let Some(file) = &file {
        let end = delivery.last_alerts();
        evaluator.skip_alerts(ids_in(&end));
        load(file, settings, evaluator, delivery, &end);
    }
    WindowsKeeper {
        file,
        most_bytes: settings.live.state_bytes,
        counters: StateCounters::default(),
        pace: SavePace::new(),
        found: evaluator.totals(),
        is_failing: false,
    }
}

fn load(
    file: &StateFile,
    settings: &Settings,
    evaluator: &mut Evaluator,
    delivery: &mut Delivery,
    alert_file_end: &[u8],
) {
    let path = file.path().display();
    match file.load::<SavedState<'static, 'static>>() {
        Ok(Loaded::Absent) => tracing::info!(%path, "no earlier state"),
        Ok(Loaded::Rejected { reason, moved_to }) => {
            tracing::warn!(%path, reason, moved_to = %moved_to.display(), "the state file is not used; it was set aside");
        }
        Ok(Loaded::State(saved)) => {
            let groups = saved.rules.groups();
            evaluator.skip_alerts(saved.written.into_iter().map(Cow::into_owned).collect());
            delivery.go_on_with(&missing(saved.unwritten.as_bytes(), alert_file_end));
            match evaluator.restore(&settings.rules, saved.rules) {
                Ok(()) => tracing::info!(%path, groups, "going on with the open windows of the earlier run"),
                Err(reason) => tracing::warn!(%path, %reason, "the earlier run's windows are not used"),
            }
        }
        Err(error) => tracing::warn!(%error, "going on without earlier state"),
    }
}

impl WindowsKeeper {
    /// Saves the windows when it is time, and before new alerts are written.
    pub(super) fn save_when_due(&mut self, evaluator: &Evaluator, delivery: &Delivery) {
        let found = evaluator.totals();
        let has_new_alerts = found.alerts != self.found.alerts && self.pace.cost() <= CHEAP_SAVE;
        if has_new_alerts || (found.errors != self.found.errors && self.pace.is_due()) {
            self.save(evaluator.snapshot(), evaluator, delivery);
        }
    }

    /// Copies the windows for a later save, as far as there is room for them in the file.
    pub(super) fn copied(&mut self, mut windows: RulesSnapshot<'_>) -> RulesSnapshot<'static> {
        self.limit(&mut windows);
        windows.into_owned()
    }

    fn limit(&mut self, windows: &mut RulesSnapshot<'_>) {
        if self.file.is_none() {
            return;
        }
        let left_out = windows.limit(self.most_bytes);
        if left_out > 0 && self.counters.left_out_clients == 0 {
            tracing::warn!(
                left_out,
                "the state file holds only the clients with most errors, as live.state_bytes allows"
            );
        }
        self.counters.left_out_clients += left_out as u64;
    }

    /// The counters of the state file, where there is one.
    pub(super) fn counts(&self) -> Option<StageCounts> {
        self.file.as_ref().map(|_| StageCounts { stage: "state", counts: self.counters.counts() })
    }

    /// Saves these windows.
    pub(super) fn save(&mut self, mut windows: RulesSnapshot<'_>, evaluator: &Evaluator, delivery: &Delivery) {
        let began = Instant::now();
        self.limit(&mut windows);
        let Some(file) = &self.file else { return };
        let written = evaluator.remembered_alerts().map(Cow::Borrowed).collect();
        let unwritten = String::from_utf8_lossy(delivery.unwritten_alerts());
        let result = file.save(&SavedState { rules: windows, written, unwritten });
        match &result {
            Ok(()) if self.is_failing => {
                tracing::info!(path = %file.path().display(), "the state file is written again");
            }
            Err(error) if !self.is_failing => {
                tracing::error!(%error, "open windows would not survive a restart now");
            }
            Ok(()) | Err(_) => {}
        }
        self.counters.saves += u64::from(result.is_ok());
        self.is_failing = result.is_err();
        self.found = evaluator.totals();
        self.pace.note(began);
    }
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
        let end = b"{\"event\":{\"id\":\"one\"}}\n{\"event\":{\"id\":\"two\"}}\n{\"event\":{\"id\":\"th";
        assert_eq!(ids_in(end), ["one", "two"]);
    }

    #[test]
    fn only_lines_that_did_not_arrive_are_written_again() {
        assert_eq!(missing(b"one\ntwo\nthree\n", b"none\none\ntw"), b"two\nthree\n");
        assert_eq!(missing(b"one\n", b"one\n"), b"");
        assert_eq!(missing(b"", b"one\n"), b"");
    }
}
