//! The packets of alerts, in files.
//!
//! In: the settings of `output.evidence`, alerts, packets. Out: one pcapng file for each alert that has a client. Promises: nothing
//! here is on the packet path but one copy of each batch, and that only where packets cannot be read a second time.
//!
//! ```text
//! delivery ──▶ requests ──▶ cuts ──▶ file       an alert names its file, and asks for it
//!                            ▲
//! second pass over files ────┤                  a replay, once it is over
//! ring of the latest packets ┘                  live, and a replay of standard input
//! ```
//!
//! # Which packets
//!
//! All packets that the alert's client sent or received, as the innermost IP header says, from its first error to its last and some
//! time before and after. If a trusted proxy named the client, its address is in no packet behind the proxy. Then the
//! connections count that carried its errors, from one end to the other within the time. A proxy may send requests of other
//! clients on the same connection, and requests of the client without an error on others: this is the limit of what an alert
//! knows.
//!
//! Of a connection that was open before and may be TLS or HTTP/2, its first packets come first in the file
//! ([`Openings`](crate::evidence::Openings)), because without them nothing in it can be read.
//!
//! # Limits
//!
//! - A fragment of a tunnel's outer packet that comes before the first fragment is not known to belong to the client.
//! - In streaming mode, a live run writes the file some time after the alert opens, again after each update, and for the last time after it
//!   closes. Up to then it takes every packet of the client.
//! - A reload does not change how the packets of alerts are decoded: the ports of tunnels stay those of the start.

mod connections;
mod cuts;
mod directory;
mod file;
mod requests;
mod ring;
mod second_pass;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::Scope,
};

use crossbeam_channel::{Receiver, bounded, unbounded};

pub(super) use self::{
    connections::connection,
    cuts::{CutSettings, Cuts},
    directory::make as make_directory,
    file::Interfaces,
    requests::{EvidenceRequests, Request},
    ring::{Recorder, Recording, WhenBusy},
    second_pass::cut_from_files,
};

use self::directory::Directory;
use super::RunError;
pub(super) use crate::evidence::Connection;
use crate::{
    evidence::EvidenceCounters,
    output::{EvidenceSettings, Opening},
    settings::Settings,
    telemetry::{
        snapshot::SharedSnapshot,
        summary::{StageCounts, grouped},
    },
};

/// Requests that may wait in a live run. Alerts beyond name no file.
const QUEUE: usize = 1_024;

/// The counters of all threads that deal with the packets of alerts.
#[derive(Debug, Default)]
pub(super) struct SharedCounters {
    counters: Mutex<EvidenceCounters>,
    /// Packets that the ring did not take. The packet thread counts them, which must not wait.
    not_kept: AtomicU64,
}

impl SharedCounters {
    fn add(&self, add: impl FnOnce(&mut EvidenceCounters)) {
        add(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The counters up to now.
    pub(super) fn now(&self) -> EvidenceCounters {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        EvidenceCounters { packets_not_kept: self.not_kept.load(Ordering::Relaxed), ..counters }
    }
}

/// The counters as those of a stage.
pub(super) fn stage(counters: &EvidenceCounters) -> StageCounts {
    StageCounts { stage: "evidence", counts: counters.counts() }
}

/// Everything that is open for the packets of alerts, before the run begins.
pub(super) struct Evidence {
    cuts: Cuts,
    received: Receiver<Request>,
    counters: Arc<SharedCounters>,
    ring_bytes: usize,
}

impl Evidence {
    /// Opens the directory, where one is configured. The requests go to the delivery.
    ///
    /// # Errors
    ///
    /// A directory that cannot be written; a filter that is not in libpcap's language.
    pub(super) fn open(
        settings: &Settings,
        interfaces: Interfaces,
    ) -> Result<Option<(EvidenceRequests, Self)>, RunError> {
        let of_evidence = &settings.output.evidence;
        let Some(path) = &of_evidence.directory else { return Ok(None) };
        let directory = Directory::open(path, of_evidence.total_bytes)?;
        let counters = Arc::new(SharedCounters::default());
        let is_live = settings.output.opening == Opening::Append;
        // A replay of files asks for everything before anything is written.
        let (sender, received) = if is_live { bounded(QUEUE) } else { unbounded() };
        let (opening, full) = (settings.output.opening, directory.full_flag());
        let requests = EvidenceRequests::new(of_evidence, opening, full, sender, Arc::clone(&counters));
        let cut = CutSettings {
            // The interfaces filter the packets of a live run already.
            filter: settings.filter.clone().filter(|_| !is_live),
            interfaces,
            ..cut_settings(settings)
        };
        let cuts = Cuts::new(cut, Some(directory), Arc::clone(&counters))?;
        Ok(Some((requests, Self { cuts, received, counters, ring_bytes: of_evidence.ring_bytes })))
    }

    /// The counters, which stay when everything is written.
    pub(super) fn counters(&self) -> Arc<SharedCounters> {
        Arc::clone(&self.counters)
    }

    /// Starts the thread that holds the latest packets and writes the files.
    pub(super) fn record<'scope, 'env>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        when_busy: WhenBusy,
        snapshot: Option<SharedSnapshot>,
    ) -> (Recorder, Recording<'scope>) {
        let Self { cuts, received, counters, ring_bytes } = self;
        Recording::start(scope, (cuts, received, counters), ring_bytes, when_busy, snapshot)
    }
}

/// How the packets of a replay are cut out.
pub(super) fn cut_settings(settings: &Settings) -> CutSettings {
    CutSettings {
        bytes: settings.output.evidence.bytes,
        decode: settings.decode.clone(),
        filter: settings.filter.clone(),
        times: settings.times.clone(),
        interfaces: Interfaces::default(),
    }
}

/// What a replay's user must know about the packets of alerts, one line each.
pub(super) fn warnings(counters: &EvidenceCounters, settings: &EvidenceSettings) -> Vec<String> {
    let [file, total, ring] = [settings.bytes, settings.total_bytes, settings.ring_bytes as u64].map(grouped);
    let lines = [
        (
            counters.packets_left_out,
            "packets left out of the files of --evidence",
            format!("a file holds {file} bytes at most; allow more with output.evidence_bytes"),
        ),
        (
            counters.files_over_total,
            "files of --evidence without packets",
            format!(
                "the directory holds {total} bytes at most; remove files from it or allow more with output.evidence_total_bytes"
            ),
        ),
        (
            counters.alerts_without_file,
            "alerts that name no file of packets",
            format!(
                "the directory of --evidence holds {total} bytes already; remove files from it or allow more with \
                 output.evidence_total_bytes"
            ),
        ),
        (
            counters.beginnings_lost,
            "files of --evidence without their first packets",
            format!(
                "standard input and pipes are read once, and the latest {ring} bytes of packets are held; save the capture to a \
                 file or allow more with output.evidence_ring_bytes"
            ),
        ),
    ];
    let told = lines.into_iter().filter(|(count, ..)| *count > 0);
    told.map(|(count, what, why)| format!("{what}: {}; {why}", grouped(count))).collect()
}
