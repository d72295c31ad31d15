//! The latest packets, where they cannot be read a second time: live, and from standard input.
//!
//! In: batches of packets from the packet thread, requests from the output thread. Out: files, written by a thread of its own.
//! Promises: the packet thread copies each batch once and, live, never waits: if the evidence thread is busy for long, packets
//! are left out of the ring and counted; the ring holds at most the bytes that are configured; a hanging disk stops no other
//! thread.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, atomic::Ordering},
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select};

use super::{SharedCounters, cuts::Cuts, requests::Request, stage};
use crate::{
    capture::{BATCH_BYTES, PacketBatch, PacketRecord},
    output::OutputError,
    sensor::executor::WorkerLost,
    telemetry::snapshot::SharedSnapshot,
    time::Timestamp,
};

/// Chunks that may wait for the evidence thread.
const QUEUE: usize = 16;
/// A chunk is handed over when it holds packets of this much packet time, so that files are not written late.
const CHUNK_TIME: Duration = Duration::from_secs(1);
/// Time between two looks at a full directory, and between two reports of the counters.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What happens to packets when the evidence thread is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum WhenBusy {
    /// They are left out and counted.
    LeaveOut,
    /// The packet thread waits: the packets come from a pipe.
    Wait,
}

/// Hands copies of packets to the evidence thread.
pub(in crate::run) struct Recorder {
    chunk: PacketBatch,
    /// The packet time at which the chunk was begun.
    began: Option<Timestamp>,
    chunks: Sender<PacketBatch>,
    /// Chunks that the ring does not need any more.
    free: Receiver<PacketBatch>,
    when_busy: WhenBusy,
    counters: Arc<SharedCounters>,
}

impl Recorder {
    /// Copies the packets of a batch.
    pub(in crate::run) fn take(&mut self, batch: &PacketBatch) {
        if !self.chunk.records.is_empty() && self.chunk.bytes.len() + batch.bytes.len() > BATCH_BYTES {
            self.hand_over();
        }
        let start = self.chunk.bytes.len() as u32;
        self.chunk.bytes.extend_from_slice(&batch.bytes);
        let moved = |record: &PacketRecord| PacketRecord { offset: record.offset + start, ..*record };
        self.chunk.records.extend(batch.records.iter().map(moved));
        self.chunk.reached = batch.reached.or_else(|| batch.records.last().map(|record| record.stamp.time));
        let Some(now) = self.chunk.reached else { return };
        let began = *self.began.get_or_insert(now);
        if now.since(began) >= CHUNK_TIME || now < began {
            self.hand_over();
        }
    }

    /// Hands the last packets over. Waits until they are taken.
    pub(in crate::run) fn finish(mut self) {
        self.when_busy = WhenBusy::Wait;
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let is_dense = self.chunk.bytes.len() > BATCH_BYTES / 2;
        if !is_dense {
            self.chunk.bytes.shrink_to_fit();
            self.chunk.records.shrink_to_fit();
        }
        let next = match self.free.try_recv() {
            Ok(free) => free,
            Err(_) if is_dense => PacketBatch::with_room(),
            Err(_) => PacketBatch::default(),
        };
        let chunk = mem::replace(&mut self.chunk, next);
        self.chunk.bytes.clear();
        self.chunk.records.clear();
        self.began = chunk.reached;
        let left_out = match self.when_busy {
            WhenBusy::LeaveOut => match self.chunks.try_send(chunk) {
                Ok(()) => 0,
                Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => chunk.records.len(),
            },
            WhenBusy::Wait => self.chunks.send(chunk).map_or_else(|error| error.0.records.len(), |()| 0),
        };
        self.counters.not_kept.fetch_add(left_out as u64, Ordering::Relaxed);
    }
}

/// The latest packets.
#[derive(Default)]
struct Ring {
    /// The oldest first.
    chunks: VecDeque<PacketBatch>,
    bytes: usize,
    /// The packet time up to which packets were dropped.
    dropped_until: Option<Timestamp>,
    /// The packet time that is reached.
    reached: Timestamp,
}

impl Ring {
    /// Adds a chunk. Drops the oldest ones while the ring is larger than `most` bytes, and passes them to `dropped`.
    fn push(&mut self, chunk: PacketBatch, most: usize, mut dropped: impl FnMut(PacketBatch)) {
        self.reached = chunk.reached.unwrap_or(self.reached);
        if chunk.records.is_empty() {
            return dropped(chunk);
        }
        self.bytes += size_of_chunk(&chunk);
        self.chunks.push_back(chunk);
        while self.bytes > most {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.bytes -= size_of_chunk(&oldest);
            let newest = oldest.records.iter().map(|record| record.stamp.time).max();
            self.dropped_until = self.dropped_until.max(newest);
            dropped(oldest);
        }
    }
}

/// The memory that a chunk takes.
fn size_of_chunk(chunk: &PacketBatch) -> usize {
    chunk.bytes.capacity() + chunk.records.capacity() * size_of::<PacketRecord>() + size_of::<PacketBatch>()
}

/// The evidence thread, and the way of packets to it.
pub(in crate::run) struct Recording<'scope> {
    thread: ScopedJoinHandle<'scope, Result<(), OutputError>>,
}

impl<'scope> Recording<'scope> {
    /// Starts the evidence thread. It ends once the recorder is finished and nobody can ask for packets any more.
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        (cuts, requests, counters): (Cuts, Receiver<Request>, Arc<SharedCounters>),
        ring_bytes: usize,
        when_busy: WhenBusy,
        snapshot: Option<SharedSnapshot>,
    ) -> (Recorder, Self) {
        let (chunks, received) = bounded(QUEUE);
        let (used, free) = bounded(QUEUE);
        let recorder = Recorder {
            chunk: PacketBatch::default(),
            began: None,
            chunks,
            free,
            when_busy,
            counters: Arc::clone(&counters),
        };
        let writes_when_due = when_busy == WhenBusy::LeaveOut;
        let thread =
            EvidenceThread { cuts, ring: Ring::default(), ring_bytes, used, writes_when_due, snapshot, counters };
        (recorder, Self { thread: scope.spawn(move || thread.run(received, requests)) })
    }

    /// Waits until all files are written.
    ///
    /// # Errors
    ///
    /// A file that could not be written; a defect of the evidence thread.
    pub(in crate::run) fn join(self) -> Result<Result<(), OutputError>, WorkerLost> {
        self.thread.join().map_err(|_| WorkerLost)
    }
}

struct EvidenceThread {
    cuts: Cuts,
    ring: Ring,
    ring_bytes: usize,
    /// Takes chunks that are to be filled again.
    used: Sender<PacketBatch>,
    /// Whether packet time comes from the clock, so that it says when a file is due. Otherwise the files are written at the end.
    writes_when_due: bool,
    /// Where the counters go.
    snapshot: Option<SharedSnapshot>,
    counters: Arc<SharedCounters>,
}

impl EvidenceThread {
    fn run(mut self, mut chunks: Receiver<PacketBatch>, mut requests: Receiver<Request>) -> Result<(), OutputError> {
        let (mut has_packets, mut has_requests) = (true, true);
        let mut looked = Instant::now();
        self.publish();
        while has_packets || has_requests {
            select! {
                recv(chunks) -> chunk => match chunk {
                    Ok(chunk) => self.take(chunk),
                    Err(_) => (chunks, has_packets) = (never(), false),
                },
                recv(requests) -> request => match request {
                    Ok(request) => self.cut(request),
                    Err(_) => (requests, has_requests) = (never(), false),
                },
                default(LOOK_INTERVAL) => {}
            }
            if looked.elapsed() >= LOOK_INTERVAL {
                looked = Instant::now();
                self.cuts.look_for_room();
                self.publish();
            }
        }
        self.cuts.finish()
    }

    fn take(&mut self, chunk: PacketBatch) {
        if !self.cuts.is_empty() {
            chunk.packets().for_each(|packet| self.cuts.take(&packet));
        }
        // A chunk that finds no place to wait in is freed.
        self.ring.push(chunk, self.ring_bytes, |dropped| drop(self.used.try_send(dropped)));
        if self.writes_when_due {
            self.cuts.write_due(self.ring.reached);
        }
    }

    fn cut(&mut self, request: Request) {
        let earlier = self.ring.chunks.iter().flat_map(PacketBatch::packets);
        self.cuts.add(request, earlier, self.ring.dropped_until);
        if self.writes_when_due {
            self.cuts.write_due(self.ring.reached);
        }
    }

    fn publish(&self) {
        let Some(snapshot) = &self.snapshot else { return };
        let own = stage(&self.counters.now());
        snapshot.update(|snapshot| {
            snapshot.stages.retain(|(stage, _)| *stage != own.stage);
            snapshot.stages.push((own.stage, own.counts));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use crossbeam_channel::unbounded;

    use super::*;
    use crate::{
        address::Address,
        capture::{
            LinkType, Stamp,
            files::{CaptureSet, FileSettings, Filled},
        },
        output::EvidenceSettings,
        run::evidence::{CutSettings, Interfaces},
    };

    const CLIENT: Address = Address::v4([192, 0, 2, 1]);

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    /// A batch with one packet of the client at each of these seconds.
    fn batch(times: &[u64]) -> PacketBatch {
        let mut batch = PacketBatch::default();
        for &time in times {
            let mut data = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
            data.resize(1_000, 0);
            batch.records.push(PacketRecord {
                stamp: Stamp { number: 0, time: seconds(time) },
                offset: batch.bytes.len() as u32,
                captured: data.len() as u32,
                wire_length: data.len() as u32,
                link_type: LinkType(101),
                interface: 0,
            });
            batch.bytes.extend(data);
        }
        batch.reached = times.last().map(|time| seconds(*time));
        batch
    }

    fn request(path: &Path, [start, end]: [u64; 2]) -> Request {
        let settings = EvidenceSettings {
            before: Duration::from_secs(1),
            after: Duration::from_secs(2),
            ..EvidenceSettings::default()
        };
        let whose = (CLIENT, Vec::new());
        Request::new(path.to_owned(), vec!["about".into()], whose, [seconds(start), seconds(end)], &settings)
    }

    /// The seconds of the packets in a file.
    fn times(path: &Path) -> Vec<u64> {
        let mut set = CaptureSet::open(&[path.to_owned()], FileSettings::default()).unwrap();
        let mut batch = PacketBatch::default();
        let mut times = Vec::new();
        while set.fill(&mut batch) == Filled::Packets {
            times.extend(batch.packets().map(|packet| packet.stamp.time.as_nanos() / 1_000_000_000));
        }
        times
    }

    /// An evidence thread that is driven by hand.
    fn thread(ring_bytes: usize) -> (EvidenceThread, Arc<SharedCounters>, Receiver<PacketBatch>) {
        let counters = Arc::new(SharedCounters::default());
        let settings = CutSettings {
            bytes: 1 << 20,
            decode: crate::decode::DecodeSettings::default(),
            filter: None,
            times: None,
            interfaces: Interfaces { names: vec!["eth0".into()], snap_length: 1_000 },
        };
        let (used, free) = bounded(QUEUE);
        let thread = EvidenceThread {
            cuts: Cuts::new(settings, None, Arc::clone(&counters)).unwrap(),
            ring: Ring::default(),
            ring_bytes,
            used,
            writes_when_due: true,
            snapshot: None,
            counters: Arc::clone(&counters),
        };
        (thread, counters, free)
    }

    #[test]
    fn a_file_is_written_when_the_time_after_the_last_error_has_passed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alert.pcapng");
        let (mut thread, counters, _free) = thread(1 << 20);
        thread.take(batch(&[8, 9, 10, 11, 12]));
        thread.cut(request(&path, [10, 12]));
        thread.take(batch(&[13, 14]));
        assert!(!path.exists());
        thread.take(batch(&[15]));
        assert_eq!(times(&path), [9, 10, 11, 12, 13, 14]);
        assert!(thread.cuts.is_empty());
        // An alert that comes late finds its packets in the ring.
        fs::remove_file(&path).unwrap();
        thread.cut(request(&path, [10, 11]));
        assert_eq!(times(&path), [9, 10, 11, 12, 13]);
        let counters = counters.now();
        assert_eq!((counters.files, counters.packets, counters.beginnings_lost), (2, 11, 0));
    }

    #[test]
    fn an_activity_that_goes_on_is_written_at_each_alert_and_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alert.pcapng");
        let (mut thread, counters, _free) = thread(1 << 20);
        let open = |times| Request { is_open: true, ..request(&path, times) };
        let endless = |mut request: Request| {
            request.selection.times = *request.selection.times.start()..=Timestamp::MAX;
            request
        };
        thread.cut(endless(open([10, 11])));
        thread.take(batch(&[9, 10, 11, 12, 13, 14, 15, 16]));
        assert_eq!(times(&path).last(), Some(&16));
        thread.take(batch(&[17, 18, 19, 20]));
        assert_eq!(times(&path).last(), Some(&16), "no alert came");
        thread.cut(endless(open([10, 20])));
        thread.take(batch(&[21, 22, 23]));
        assert_eq!(times(&path).last(), Some(&23));
        assert_eq!(counters.now().files, 0, "counted once, at the end");
        thread.cut(request(&path, [10, 22]));
        thread.take(batch(&[24, 25]));
        assert_eq!(times(&path), (9..=24).collect::<Vec<_>>());
        let counters = counters.now();
        assert_eq!((counters.files, counters.packets), (1, 16));
        assert!(thread.cuts.is_empty());
    }

    #[test]
    fn what_the_ring_does_not_hold_any_more_is_counted_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alert.pcapng");
        let (mut thread, counters, free) = thread(4_500);
        for time in 1..=9 {
            thread.take(batch(&[time]));
            assert!(thread.ring.bytes <= 4_500);
        }
        assert_eq!(free.len(), 6);
        assert_eq!(thread.ring.dropped_until, Some(seconds(6)));
        thread.cut(request(&path, [5, 6]));
        assert_eq!(times(&path), [7, 8]);
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(text.contains("packets up to 1970-01-01T00:00:06") && text.contains("eth0"), "{text}");
        thread.cut(request(&folder.path().join("other.pcapng"), [8, 8]));
        assert_eq!(counters.now().beginnings_lost, 1);
    }

    /// A batch with one TCP segment of the client's connection, with these flags and this payload.
    fn segment(time: u64, flags: u8, payload: &[u8]) -> PacketBatch {
        let mut data = vec![0x45, 0, 0, 40 + payload.len() as u8, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        data.extend([0x9c, 0x40, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0, 9, 0, 0, 0, 0]);
        data.extend(payload);
        let mut batch = batch(&[time]);
        let length = data.len() as u32;
        batch.records.iter_mut().for_each(|record| (record.captured, record.wire_length) = (length, length));
        batch.bytes = data;
        batch
    }

    #[test]
    fn the_handshakes_that_the_ring_holds_come_first_and_others_are_told_missing() {
        let folder = tempfile::tempdir().unwrap();
        let [whole, cut] = ["whole.pcapng", "cut.pcapng"].map(|name| folder.path().join(name));
        let (mut thread, counters, _free) = thread(1 << 20);
        thread.take(segment(1, 2, b""));
        thread.take(segment(2, 24, b"\x16\x03\x01\x02"));
        thread.take(segment(60, 24, b"\x17\x03\x03\x00"));
        thread.cut(request(&whole, [60, 61]));
        // The connection goes on after the alert came, in another file too.
        thread.cut(request(&cut, [63, 63]));
        thread.take(segment(63, 24, b"\x17\x03\x03\x00"));
        thread.take(batch(&[90]));
        assert_eq!(times(&whole), [1, 2, 60, 63]);
        assert_eq!(times(&cut), [1, 2, 60, 63]);
        assert_eq!(counters.now().connections_without_beginning, 0);

        let (mut thread, counters, _free) = self::thread(1 << 20);
        thread.take(segment(101, 24, b"\x17\x03\x03\x00"));
        thread.cut(request(&cut, [101, 101]));
        thread.take(batch(&[110]));
        let text = String::from_utf8_lossy(&fs::read(&cut).unwrap()).into_owned();
        assert!(text.contains("whose first packets are missing, so that they cannot be read: 1;"), "{text}");
        assert_eq!(counters.now().connections_without_beginning, 1);
    }

    #[test]
    fn the_recorder_gathers_small_batches_and_waits_for_nobody() {
        let (chunks, received) = bounded(2);
        let (_used, free) = unbounded();
        let counters = Arc::new(SharedCounters::default());
        let mut recorder = Recorder {
            chunk: PacketBatch::default(),
            began: None,
            chunks,
            free,
            when_busy: WhenBusy::LeaveOut,
            counters: Arc::clone(&counters),
        };
        recorder.take(&batch(&[1, 1]));
        recorder.take(&batch(&[1]));
        assert!(received.is_empty());
        recorder.take(&batch(&[2]));
        let chunk = received.recv().unwrap();
        let seen: Vec<_> = chunk.packets().map(|packet| (packet.stamp.time, packet.data.len())).collect();
        assert_eq!(seen, [1, 1, 1, 2].map(|time| (seconds(time), 1_000)));
        for time in 3..=6 {
            recorder.take(&batch(&[time]));
        }
        assert_eq!((received.len(), counters.now().packets_not_kept), (2, 2), "the evidence thread is busy");
    }
}
