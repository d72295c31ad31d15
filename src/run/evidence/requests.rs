//! Requests for the packets of alerts.
//!
//! In: error events and alerts, in order. Out: for each alert with a client the name of its file, and a [`Request`] to whoever
//! writes the file. Promises: nothing here waits; an alert that names no file although packets are asked for is counted.
//!
//! A file is named by the alert's ID. In streaming mode the alerts that open, update and close an activity have one ID, so they
//! have one file. A replay replaces the file of an earlier replay. A live run never does: where an earlier run has written a
//! file for the ID, the name gets a number.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_channel::Sender;

use super::{SharedCounters, connections::NamedConnections};
use crate::{
    address::Address,
    detect::{Alert, AlertKind},
    document::sentence,
    event::ErrorEvent,
    evidence::Selection,
    output::{EvidenceSettings, Opening, evidence_name},
    time::Timestamp,
    verdict::Verdict,
};

/// The most names that are remembered, so that all alerts of an activity have one file.
const MOST_NAMES: usize = 65_536;

/// What is to be written for an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) struct Request {
    /// The file.
    pub(in crate::run) path: PathBuf,
    /// What the file says about the alert, one line each.
    pub(in crate::run) about: Vec<String>,
    /// The packets. While the activity goes on, they have no end.
    pub(in crate::run) selection: Selection,
    /// The packet time after which the file is written.
    pub(in crate::run) due: Timestamp,
    /// Whether more alerts of the activity follow.
    pub(in crate::run) is_open: bool,
}

impl Request {
    /// A request for the packets of a client from its first error to its last, and some time before and after.
    pub(in crate::run) fn new(
        path: PathBuf,
        about: Vec<String>,
        (client, connections): (Address, Vec<super::Connection>),
        [start, end]: [Timestamp; 2],
        settings: &EvidenceSettings,
    ) -> Self {
        let due = end.plus(settings.after);
        let selection = Selection { client, connections, times: start.minus(settings.before)..=due };
        Self { path, about, selection, due, is_open: false }
    }

    /// The same request while the activity goes on: its packets have no end yet.
    fn open(mut self) -> Self {
        self.is_open = true;
        self.selection.times = *self.selection.times.start()..=Timestamp::MAX;
        self
    }

    /// Goes on with a later request for the same file.
    pub(super) fn merge(&mut self, later: Self) {
        self.selection.merge(&later.selection);
        self.about = later.about;
        self.due = self.due.max(later.due);
        self.is_open = later.is_open;
        if !self.is_open {
            self.close();
        }
    }

    /// Ends the packets at the time when the file is due.
    pub(super) fn close(&mut self) {
        self.selection.times = *self.selection.times.start()..=self.due;
    }
}

/// Asks for the packets of alerts.
pub(in crate::run) struct EvidenceRequests {
    directory: PathBuf,
    settings: EvidenceSettings,
    /// Whether files of earlier runs are replaced.
    replaces: bool,
    /// The files of this run by the alert's ID.
    names: HashMap<String, PathBuf>,
    connections: NamedConnections,
    is_full: Arc<AtomicBool>,
    requests: Sender<Request>,
    counters: Arc<SharedCounters>,
    /// Whether it was logged that alerts name no file.
    has_warned: bool,
}

impl EvidenceRequests {
    pub(super) fn new(
        settings: &EvidenceSettings,
        opening: Opening,
        is_full: Arc<AtomicBool>,
        requests: Sender<Request>,
        counters: Arc<SharedCounters>,
    ) -> Self {
        Self {
            directory: settings.directory.clone().unwrap_or_default(),
            settings: settings.clone(),
            replaces: opening == Opening::Replace,
            names: HashMap::new(),
            connections: NamedConnections::default(),
            is_full,
            requests,
            counters,
            has_warned: false,
        }
    }

    /// Notes an error, whose connection may belong to a client that a proxy named.
    pub(in crate::run) fn note(&mut self, event: &ErrorEvent) {
        if self.connections.note(event) {
            self.counters.add(|counters| counters.connections_forgotten += 1);
        }
    }

    /// Asks for the packets of an alert. Returns the name of their file, if the alert has a client and there is room.
    pub(in crate::run) fn request(&mut self, alert: &Alert, verdict: &Verdict) -> Option<String> {
        let client = alert.group.client()?;
        let path = self.path_of(&alert.id);
        let sent = path.and_then(|path| {
            let about = vec![
                format!("wirespike alert {}", alert.id),
                format!("rule {}, client {client}", alert.rule.title),
                sentence(alert, verdict),
            ];
            let whose = (client, self.connections.of(client));
            let request = Request::new(path.clone(), about, whose, activity(alert, verdict), &self.settings);
            let goes_on = matches!(alert.kind, AlertKind::Open | AlertKind::Update);
            let request = if goes_on { request.open() } else { request };
            self.requests.try_send(request).is_ok().then_some(path)
        });
        match sent {
            Some(path) => {
                if self.names.len() >= MOST_NAMES {
                    self.names.clear();
                }
                self.names.insert(alert.id.clone(), path.clone());
                self.has_warned = false;
                Some(path.to_string_lossy().into_owned())
            }
            None => {
                self.counters.add(|counters| counters.alerts_without_file += 1);
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(
                        directory = %self.directory.display(),
                        "alerts name no file of packets: the directory is full, or too many files wait to be written"
                    );
                }
                None
            }
        }
    }

    /// The file of an alert; `None` where the directory is full.
    fn path_of(&self, id: &str) -> Option<PathBuf> {
        if let Some(known) = self.names.get(id) {
            return Some(known.clone());
        }
        if self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        let first = self.directory.join(evidence_name(id));
        if self.replaces || !first.exists() {
            return Some(first);
        }
        let numbered = (2..=99).map(|number| self.directory.join(evidence_name(&format!("{id}.{number}"))));
        numbered.into_iter().find(|path| !path.exists())
    }
}

/// When the errors of an alert's client began and ended.
fn activity(alert: &Alert, verdict: &Verdict) -> [Timestamp; 2] {
    let extent = verdict.conduct.as_ref().and_then(|conduct| conduct.extent);
    let samples = [&alert.summary.first, &alert.summary.last].into_iter().flatten().map(|sample| sample.time);
    let times: Vec<Timestamp> = samples
        .chain(extent.into_iter().flat_map(|extent| [extent.start, extent.end]))
        .chain(alert.episode.into_iter().flat_map(|episode| [episode.started, episode.last]))
        .collect();
    let start = times.iter().min().copied().unwrap_or(alert.window.start);
    let end = times.iter().max().copied().unwrap_or(alert.window.end);
    [start, end]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crossbeam_channel::bounded;

    use super::*;

    fn requests(directory: PathBuf, opening: Opening) -> EvidenceRequests {
        let settings = EvidenceSettings { directory: Some(directory), ..EvidenceSettings::default() };
        EvidenceRequests::new(&settings, opening, Arc::default(), bounded(1).0, Arc::default())
    }

    #[test]
    fn a_replay_replaces_files_and_a_live_run_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.pcapng"), "").unwrap();
        let replay = requests(folder.path().to_owned(), Opening::Replace);
        assert_eq!(replay.path_of("a"), Some(path("a.pcapng")));
        let mut live = requests(folder.path().to_owned(), Opening::Append);
        assert_eq!(live.path_of("a"), Some(path("a.2.pcapng")));
        assert_eq!(live.path_of("b"), Some(path("b.pcapng")));
        live.names.insert("a".to_owned(), path("a.pcapng"));
        assert_eq!(live.path_of("a"), Some(path("a.pcapng")), "this run has written it");
        live.is_full.store(true, Ordering::Relaxed);
        assert_eq!(live.path_of("b"), None);
        assert_eq!(live.path_of("a"), Some(path("a.pcapng")), "its file is there");
    }

    #[test]
    fn later_requests_extend_the_packets_until_the_activity_ends() {
        let request = |start: u64, end: u64| {
            let times = [start, end].map(|seconds| Timestamp::from_parts(seconds, 0));
            let whose = (Address::v4([192, 0, 2, 1]), Vec::new());
            Request::new("a".into(), Vec::new(), whose, times, &EvidenceSettings::default())
        };
        let mut known = request(100, 110).open();
        assert_eq!(*known.selection.times.end(), Timestamp::MAX);
        known.merge(request(100, 150).open());
        assert_eq!((*known.selection.times.end(), known.due), (Timestamp::MAX, Timestamp::from_parts(180, 0)));
        known.merge(request(90, 140));
        let expected = Timestamp::from_parts(60, 0)..=Timestamp::from_parts(180, 0);
        assert_eq!((known.selection.times, known.is_open), (expected, false));
    }
}
