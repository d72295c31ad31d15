//! The files that are being gathered: packets to the files of their alerts.
//!
//! In: requests, and packets in order. Out: pcapng files. Promises: one decoding a packet, however many files are gathered; a
//! bounded amount of memory, whatever comes; a file that cannot be written disturbs no other file.

use std::{
    collections::HashMap,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    SharedCounters,
    directory::Directory,
    file::{Interfaces, PacketFile},
    requests::Request,
};
use crate::{
    capture::{Packet, filter::FilterError},
    decode::DecodeSettings,
    evidence::{Beginning, ClientSegment, Openings, Selector},
    output::OutputError,
    printable::printable,
    telemetry::summary::grouped,
    time::Timestamp,
};

/// The most bytes of packets that are gathered in memory. Over it all of them go to disk.
const MOST_IN_MEMORY: usize = 64 << 20;

/// How packets are cut out.
pub(in crate::run) struct CutSettings {
    /// The most bytes of an alert's packets.
    pub(in crate::run) bytes: u64,
    /// How packets are decoded.
    pub(in crate::run) decode: DecodeSettings,
    /// Only packets that this BPF expression matches.
    pub(in crate::run) filter: Option<String>,
    /// Only packets of these times.
    pub(in crate::run) times: Option<RangeInclusive<Timestamp>>,
    /// What is known of the interfaces.
    pub(in crate::run) interfaces: Interfaces,
}

/// One file that is being gathered.
struct Cut {
    /// Its number. No other file of the run has the same.
    number: u64,
    request: Request,
    file: PacketFile,
    /// When the file is written next. `None` where it waits for another alert of the activity.
    due: Option<Timestamp>,
    /// Packets up to this time were lost before the alert came.
    lost_until: Option<Timestamp>,
    /// Connections that look like TLS and whose beginning is not in the file.
    without_beginning: u64,
    /// Connections whose beginning is in the file, and not the packets that follow it.
    with_gap: u64,
    /// Whether a part of the file could not be written.
    has_failed: bool,
}

impl Cut {
    /// Takes a packet. Returns the bytes by which the memory has grown.
    fn take(&mut self, packet: &Packet<'_>, segments: &[ClientSegment], openings: &mut Openings) -> usize {
        let start = *self.request.selection.times.start();
        let mut grown = 0;
        for segment in segments {
            match openings.before(segment, self.number, start) {
                Some(Beginning::Packets { packets, has_gap }) => match self.file.take_opening(&packets) {
                    Some(bytes) => {
                        self.with_gap += u64::from(has_gap);
                        grown += bytes;
                    }
                    None => self.without_beginning += 1,
                },
                Some(Beginning::Missing) => self.without_beginning += 1,
                None => {}
            }
        }
        grown + self.file.take(packet)
    }
}

/// The files that are being gathered.
pub(in crate::run) struct Cuts {
    settings: CutSettings,
    selector: Selector,
    openings: Openings,
    cuts: Vec<Cut>,
    /// The number of the next file.
    next: u64,
    /// Bytes of packets in memory, at most.
    in_memory: usize,
    directory: Option<Directory>,
    counters: Arc<SharedCounters>,
    /// The first file that could not be written.
    failure: Option<OutputError>,
}

impl Cuts {
    /// No files yet. Without a directory there is no bound on the bytes of all files.
    ///
    /// # Errors
    ///
    /// A filter that is not in libpcap's language.
    pub(in crate::run) fn new(
        settings: CutSettings,
        directory: Option<Directory>,
        counters: Arc<SharedCounters>,
    ) -> Result<Self, FilterError> {
        let selector = Selector::new(&settings.decode, settings.filter.as_deref())?;
        let openings = Openings::default();
        Ok(Self {
            settings,
            selector,
            openings,
            cuts: Vec::new(),
            next: 0,
            in_memory: 0,
            directory,
            counters,
            failure: None,
        })
    }

    /// Takes a request. `earlier` are the packets that have come before it, and `lost_until` is the time up to which such
    /// packets were lost.
    pub(in crate::run) fn add<'p>(
        &mut self,
        request: Request,
        earlier: impl Iterator<Item = Packet<'p>>,
        lost_until: Option<Timestamp>,
    ) {
        let known = self.cuts.iter_mut().find(|cut| cut.request.path == request.path);
        if let Some(known) = known {
            known.request.merge(request);
            known.due = Some(known.request.due);
        } else {
            self.begin(request, earlier, lost_until);
        }
        self.select_again();
        self.spill_when_large();
    }

    /// Takes all requests at once, before any packet comes. Requests for the same file become one.
    pub(in crate::run) fn add_all(&mut self, requests: impl Iterator<Item = Request>) {
        let mut merged: Vec<Request> = Vec::new();
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        for request in requests {
            match places.get(&request.path).and_then(|place| merged.get_mut(*place)) {
                Some(known) => known.merge(request),
                None => {
                    places.insert(request.path.clone(), merged.len());
                    merged.push(request);
                }
            }
        }
        for mut request in merged {
            request.close();
            self.begin(request, std::iter::empty(), None);
        }
        self.select_again();
    }

    fn begin<'p>(
        &mut self,
        request: Request,
        earlier: impl Iterator<Item = Packet<'p>>,
        lost_until: Option<Timestamp>,
    ) {
        let lost_until = lost_until.filter(|until| request.selection.times.start() <= until);
        self.counters.add(|counters| counters.beginnings_lost += u64::from(lost_until.is_some()));
        let (due, file) = (Some(request.due), PacketFile::new(request.path.clone(), self.settings.bytes));
        let number = self.next;
        self.next += 1;
        let mut cut =
            Cut { number, request, file, due, lost_until, without_beginning: 0, with_gap: 0, has_failed: false };
        // The filter compiled once already.
        if let Ok(mut selector) = Selector::new(&self.settings.decode, self.settings.filter.as_deref()) {
            selector.select(std::iter::once(&cut.request.selection));
            let mut openings = Openings::default();
            for packet in earlier.filter(|packet| is_wanted(&self.settings, packet)) {
                let Some(found) = selector.find(&packet) else { continue };
                found.segments.iter().for_each(|segment| openings.note(segment, &packet));
                if !found.selections.is_empty() {
                    self.in_memory += cut.take(&packet, found.segments, &mut openings);
                }
            }
            self.openings.adopt(openings);
        }
        self.cuts.push(cut);
    }

    /// Returns whether no file is gathered.
    pub(in crate::run) fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Takes the next packet.
    pub(in crate::run) fn take(&mut self, packet: &Packet<'_>) {
        if !is_wanted(&self.settings, packet) {
            return;
        }
        let Self { selector, openings, cuts, in_memory, .. } = self;
        let Some(found) = selector.find(packet) else { return };
        found.segments.iter().for_each(|segment| openings.note(segment, packet));
        for index in found.selections {
            if let Some(cut) = cuts.get_mut(*index).filter(|cut| !cut.has_failed) {
                *in_memory += cut.take(packet, found.segments, openings);
            }
        }
        self.spill_when_large();
    }

    /// Writes the files that are due. Packet time has reached `now`.
    pub(in crate::run) fn write_due(&mut self, now: Timestamp) {
        let is_due = |cut: &Cut| cut.due.is_some_and(|due| due < now);
        if !self.cuts.iter().any(is_due) {
            return;
        }
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.cuts).into_iter().partition(is_due);
        self.cuts = rest;
        for mut cut in due {
            self.write(&cut);
            if cut.request.is_open {
                cut.due = None;
                self.cuts.push(cut);
            }
        }
        self.select_again();
        if self.cuts.is_empty() {
            self.in_memory = 0;
            self.openings = Openings::default();
        }
    }

    /// Writes all files: the packets are over.
    ///
    /// # Errors
    ///
    /// The first file that could not be written. The others are written nevertheless.
    pub(in crate::run) fn finish(mut self) -> Result<(), OutputError> {
        for mut cut in std::mem::take(&mut self.cuts) {
            cut.request.is_open = false;
            self.write(&cut);
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// Looks again whether files were removed from a directory that was full.
    pub(in crate::run) fn look_for_room(&mut self) {
        if let Some(directory) = self.directory.as_mut().filter(|directory| directory.is_full()) {
            directory.measure();
        }
    }

    fn select_again(&mut self) {
        self.selector.select(self.cuts.iter().map(|cut| &cut.request.selection));
    }

    fn spill_when_large(&mut self) {
        if self.in_memory < MOST_IN_MEMORY {
            return;
        }
        self.in_memory = 0;
        for cut in self.cuts.iter_mut().filter(|cut| !cut.has_failed) {
            if let Err(source) = cut.file.spill() {
                cut.has_failed = true;
                cut.file.clear();
                note_failure(&mut self.failure, &self.counters, cut.file.path(), source);
            }
        }
    }

    /// Writes one file.
    fn write(&mut self, cut: &Cut) {
        if cut.has_failed {
            return;
        }
        let path = cut.file.path();
        let replaced = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let size = cut.file.bytes();
        let has_room = self.directory.as_ref().is_none_or(|directory| directory.has_room(size, replaced));
        if let (false, Some(directory)) = (has_room, &self.directory) {
            directory.note_full();
        }
        let comment = comment(cut, has_room);
        match cut.file.write(&comment, &self.settings.interfaces, has_room) {
            Ok(size) => {
                if let Some(directory) = &mut self.directory {
                    directory.note_written(size, replaced);
                }
                if !cut.request.is_open {
                    self.count(cut, size, has_room);
                }
                tracing::debug!(path = %path.display(), size, "the packets of an alert are written");
            }
            Err(source) => note_failure(&mut self.failure, &self.counters, path, source),
        }
    }

    fn count(&self, cut: &Cut, size: u64, has_room: bool) {
        let bound = cut.file.bound();
        self.counters.add(|counters| {
            counters.files += 1;
            counters.bytes += size;
            if has_room {
                counters.packets += bound.kept().packets + cut.file.openings().packets;
                counters.connections_without_beginning += cut.without_beginning;
                counters.packets_left_out += bound.left_out().packets;
                counters.files_without_packets += u64::from(bound.kept().packets == 0);
            } else {
                counters.files_over_total += 1;
            }
        });
    }
}

/// Returns whether a packet is of the times that the run reads.
fn is_wanted(settings: &CutSettings, packet: &Packet<'_>) -> bool {
    settings.times.as_ref().is_none_or(|times| times.contains(&packet.stamp.time))
}

fn note_failure(failure: &mut Option<OutputError>, counters: &SharedCounters, path: &Path, source: std::io::Error) {
    let error = OutputError::Write { path: path.display().to_string(), source };
    tracing::error!(%error, "the packets of an alert are not written");
    counters.add(|counters| counters.files_failed += 1);
    failure.get_or_insert(error);
}

/// What a file says about its alert, and about what is missing.
fn comment(cut: &Cut, has_room: bool) -> String {
    let (request, bound) = (&cut.request, cut.file.bound());
    let mut lines: Vec<String> = request.about.iter().map(|line| printable(line).into_owned()).collect();
    let times = &request.selection.times;
    let until = if request.is_open { "it goes on".to_owned() } else { format!("to {}", times.end()) };
    lines.push(format!("packets from {} {until}", times.start()));
    let connections = request.selection.connections.len();
    if connections > 0 {
        lines.push(format!(
            "a proxy named the client; with the packets of {connections} of the proxy's connections that carried its errors, and \
             perhaps requests of others"
        ));
    }
    let left_out = bound.left_out();
    if !has_room {
        lines.push(
            "no packets: the directory holds as many bytes as output.evidence_total_bytes allows; remove files or allow more"
                .to_owned(),
        );
    } else if left_out.packets > 0 {
        lines.push(format!(
            "{} packets with {} bytes are left out after the first {}: output.evidence_bytes allows {} bytes",
            grouped(left_out.packets),
            grouped(left_out.bytes),
            grouped(bound.first_packets()),
            grouped(bound.most()),
        ));
    } else if bound.kept().packets == 0 {
        lines.push("no packet of the client was found".to_owned());
    }
    let openings = cut.file.openings();
    if has_room && openings.packets > 0 {
        lines.push(format!(
            "before them the first {} packets of connections that were open already, without which their TLS cannot be read",
            grouped(openings.packets)
        ));
    }
    if has_room && cut.with_gap > 0 {
        lines.push(format!(
            "between these and the rest, packets are left out of {} of these connections; one that lacks more than 4,096 TLS records of \
             one side cannot be read",
            grouped(cut.with_gap)
        ));
    }
    if has_room && cut.without_beginning > 0 {
        lines.push(format!(
            "connections that look like TLS, and whose first packets are missing, so that they cannot be read: {}; they began before \
             the capture or long before the alert",
            grouped(cut.without_beginning)
        ));
    }
    if let Some(until) = cut.lost_until {
        lines.push(format!(
            "packets up to {until} are missing: output.evidence_ring_bytes is too little to hold them until the alert"
        ));
    }
    lines.join("\n")
}
