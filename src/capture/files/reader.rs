//! Reads one capture file or stream as batches of packets.
//!
//! In: a reader of plain or compressed capture bytes. Out: batches whose records point into the bytes that were read. Large
//! reads go directly into the batch. Only a record that is cut by the end of a block is copied, to the start of the next
//! batch.

use std::{
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{capture::PacketBatch, time::Timestamp};

use super::{
    CaptureCounters, Filled, ReadAhead,
    compression::{Compression, Decompressor, Input},
    framing::{Framing, Stop},
    pcap::{FILE_HEADER, PcapHeader},
    pcapng::{PcapngStream, SECTION_MAGIC},
    problem::{CaptureError, CaptureProblem, Part, ProblemKind},
    recognise::{self, resemblance},
    secrets::SecretBlocks,
};

/// The most interfaces of a pcapng section that a checkpoint remembers.
const MOST_REMEMBERED: usize = 256;

/// A capture that is being read.
pub(super) struct CaptureReader {
    path: PathBuf,
    input: Input,
    format: Format,
    compressed: bool,
    /// Bytes that are read but not framed yet.
    carry: Vec<u8>,
    /// Offset in the stream of the first byte of `carry`.
    offset: u64,
    /// The latest packet's time.
    last: Timestamp,
    state: State,
    /// The key logs that were met.
    pub(super) secrets: SecretBlocks,
}

#[derive(Debug, Clone)]
enum Format {
    /// pcap, before its file header.
    PcapHeader,
    Pcap(PcapHeader),
    Pcapng(PcapngStream),
}

enum State {
    Reading,
    /// The next `left` bytes are to be dropped. They belong to the block that starts at offset `block`.
    Skipping {
        left: u64,
        block: u64,
    },
    /// The capture is broken. The problem is reported after the packets before it.
    Broken(Box<CaptureProblem>),
    Ended,
}

/// A place in a capture at which reading can go on later.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    offset: u64,
    format: Format,
    last: Timestamp,
    /// Bytes to drop, and the offset of the block that they belong to.
    skip: Option<(u64, u64)>,
}

impl Checkpoint {
    /// Offset in the file.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }
}

impl CaptureReader {
    /// Opens a capture. Its first bytes decide the format.
    pub(super) fn open(path: &Path, mut input: Input, read_ahead: Option<ReadAhead>) -> Result<Self, CaptureError> {
        let unreadable = |error| CaptureError::Unreadable { path: path.to_owned(), error };
        let mut head = Vec::new();
        read_at_least(&mut *input, &mut head, 4).map_err(unreadable)?;
        if head.is_empty() {
            return Err(CaptureError::Empty { path: path.to_owned() });
        }
        let compressed = Compression::recognise(&head).is_some();
        if compressed {
            let undecompressible = |error| CaptureError::NotDecompressible { path: path.to_owned(), error };
            input = Box::new(Decompressor::new(std::mem::take(&mut head), input));
            if let Some(read_ahead) = read_ahead {
                input = read_ahead(input);
            }
            read_at_least(&mut *input, &mut head, 4).map_err(undecompressible)?;
            if head.is_empty() {
                return Err(CaptureError::Empty { path: path.to_owned() });
            }
        }
        let format = if PcapHeader::recognise(&head) {
            Format::PcapHeader
        } else if head.starts_with(&SECTION_MAGIC) {
            Format::Pcapng(PcapngStream::default())
        } else {
            // After an error here, only the description is less exact.
            let _ = read_at_least(&mut *input, &mut head, recognise::ENOUGH);
            let resemblance = resemblance(head.get(..recognise::ENOUGH).unwrap_or(&head));
            return Err(CaptureError::NotACapture { path: path.to_owned(), resemblance });
        };
        Ok(Self {
            path: path.to_owned(),
            input,
            format,
            compressed,
            carry: head,
            offset: 0,
            last: Timestamp::EPOCH,
            state: State::Reading,
            secrets: SecretBlocks::default(),
        })
    }

    /// Returns the place of the next packet, or `None` if the capture is compressed or over, or knows too many interfaces to
    /// remember them for several places.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let skip = match self.state {
            State::Skipping { left, block } => Some((left, block)),
            State::Reading | State::Ended | State::Broken(_) => None,
        };
        let format = match &self.format {
            Format::Pcapng(stream) if stream.interfaces() > MOST_REMEMBERED => return None,
            format => format.clone(),
        };
        (!self.compressed).then_some(Checkpoint { offset: self.offset, format, last: self.last, skip })
    }

    /// Continues at a checkpoint. The first byte of `input` is the byte at the checkpoint's offset.
    pub(super) fn resume(path: &Path, input: Input, Checkpoint { offset, format, last, skip }: Checkpoint) -> Self {
        let state = skip.map_or(State::Reading, |(left, block)| State::Skipping { left, block });
        let (path, carry, secrets) = (path.to_owned(), Vec::new(), SecretBlocks::default());
        Self { path, input, format, compressed: false, carry, offset, last, state, secrets }
    }

    /// Finds packets in bytes from the middle of the capture. Returns the times of the first and the last of them, of which
    /// the first two are within 60 s. The capture's first packet must have been read.
    pub(super) fn times_within(&self, bytes: &[u8]) -> Option<(Timestamp, Timestamp)> {
        let step = if let Format::Pcapng(_) = self.format { 4 } else { 1 };
        (0..bytes.len()).step_by(step).find_map(|at| {
            let begins_record = match &self.format {
                Format::PcapHeader => false,
                Format::Pcap(header) => header.begins_record(bytes.get(at..)?),
                Format::Pcapng(stream) => stream.begins_packet(bytes.get(at..)?),
            };
            begins_record.then(|| self.times_from(bytes, at)).flatten()
        })
    }

    /// The times of the packets from an offset on, if there are three that support each other.
    fn times_from(&self, bytes: &[u8], at: usize) -> Option<(Timestamp, Timestamp)> {
        let mut records = Vec::new();
        let (secrets, counters) = (&mut SecretBlocks::default(), &mut CaptureCounters::default());
        let records_found = &mut records;
        let mut framing =
            Framing { bytes, at, records: records_found, number: 0, last: Timestamp::EPOCH, secrets, counters };
        let stop = match self.format.clone() {
            Format::PcapHeader => return None,
            Format::Pcap(header) => header.frame(&mut framing),
            Format::Pcapng(mut stream) => stream.frame(&mut framing),
        };
        let times: Vec<Timestamp> = records.iter().map(|record| record.stamp.time).collect();
        let [one, two, three, ..] = times.as_slice() else { return None };
        (!matches!(stop, Stop::Broken(_)) && one.is_near(*two) && two.is_near(*three))
            .then(|| (*one, *times.last().unwrap_or(three)))
    }

    /// Fills the batch with the next packets, numbered from `number`: at least one packet, or none at the end of the
    /// capture. Waits only until one packet is complete. A problem is reported after the packets before it, and ends the
    /// capture.
    pub(super) fn fill(
        &mut self,
        batch: &mut PacketBatch,
        number: u64,
        block: usize,
        counters: &mut CaptureCounters,
    ) -> Result<Filled, CaptureProblem> {
        batch.records.clear();
        let mut filled = self.carry.len();
        make_room(&mut batch.bytes, filled + block.max(1));
        if let Some(start) = batch.bytes.get_mut(..filled) {
            start.copy_from_slice(&self.carry);
        }
        self.carry.clear();
        // The first bytes were read to recognise the format. They may already contain a whole packet.
        let mut unframed = filled > 0 && self.offset == 0;
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Broken(problem) => return Err(*problem),
                State::Ended => return Ok(Filled::End),
                reading => self.state = reading,
            }
            if std::mem::take(&mut unframed) {
                counters.bytes += filled as u64;
            } else {
                let free = batch.bytes.get_mut(filled..).unwrap_or_default();
                match read_some(&mut *self.input, free) {
                    Ok(0) => return self.end(filled),
                    Ok(read) => {
                        counters.bytes += read as u64;
                        filled += read;
                    }
                    Err(error) => return Err(self.failed(&error, filled)),
                }
            }
            let (at, needed) = self.frame(batch, filled, number, counters);
            if !batch.records.is_empty() {
                self.carry.extend_from_slice(batch.bytes.get(at..filled).unwrap_or_default());
                return Ok(Filled::Packets);
            }
            batch.bytes.copy_within(at..filled, 0);
            filled -= at;
            make_room(&mut batch.bytes, needed.max(block));
        }
    }

    /// Returns how many of the next `there` bytes are to be skipped.
    fn skip(&mut self, there: usize) -> usize {
        let State::Skipping { left, .. } = &mut self.state else { return 0 };
        let step = (*left).min(there as u64);
        *left -= step;
        self.offset += step;
        if *left == 0 {
            self.state = State::Reading;
        }
        step as usize
    }

    /// Frames the batch's first `filled` bytes. Returns the offset at which framing stopped, and how many bytes it needs
    /// from there.
    fn frame(
        &mut self,
        batch: &mut PacketBatch,
        filled: usize,
        number: u64,
        counters: &mut CaptureCounters,
    ) -> (usize, usize) {
        let bytes = batch.bytes.get(..filled).unwrap_or_default();
        let (records, last, mut secrets) = (&mut batch.records, self.last, std::mem::take(&mut self.secrets));
        let framing = Framing { bytes, at: 0, records, number, last, secrets: &mut secrets, counters };
        let stopped = self.frame_all(framing);
        self.secrets = secrets;
        stopped
    }

    fn frame_all(&mut self, mut framing: Framing<'_>) -> (usize, usize) {
        loop {
            framing.advance(self.skip(framing.rest().len()));
            let start = framing.at;
            let stop = match &mut self.format {
                Format::Pcap(header) => header.frame(&mut framing),
                Format::Pcapng(stream) => stream.frame(&mut framing),
                Format::PcapHeader => match framing.rest().first_chunk().and_then(PcapHeader::parse) {
                    Some(header) => {
                        self.format = Format::Pcap(header);
                        self.offset += FILE_HEADER as u64;
                        framing.advance(FILE_HEADER);
                        continue;
                    }
                    None => Stop::More(FILE_HEADER),
                },
            };
            self.last = framing.last;
            self.offset += (framing.at - start) as u64;
            match stop {
                Stop::More(needed) => return (framing.at, needed),
                Stop::Skip(left) => self.state = State::Skipping { left, block: self.offset },
                Stop::AnotherFile => {
                    framing.counters.files_run_together += 1;
                    let is_pcap = PcapHeader::recognise(framing.rest());
                    self.format = if is_pcap { Format::PcapHeader } else { Format::Pcapng(PcapngStream::default()) };
                }
                Stop::Broken(kind) => {
                    self.state = State::Broken(Box::new(self.problem(self.offset, kind)));
                    return (framing.at, 0);
                }
            }
        }
    }

    /// Handles the end of the input, where `filled` bytes are left that were not framed.
    fn end(&mut self, filled: usize) -> Result<Filled, CaptureProblem> {
        let (offset, present) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Skipping { block, .. } => (block, self.offset + filled as u64 - block),
            _ if filled > 0 => (self.offset, filled as u64),
            _ => return Ok(Filled::End),
        };
        let part = match self.format {
            Format::PcapHeader => Part::FileHeader,
            Format::Pcap(_) => Part::Record,
            Format::Pcapng(_) => Part::Block,
        };
        Err(self.problem(offset, ProblemKind::Truncated { part, present }))
    }

    fn failed(&mut self, error: &io::Error, filled: usize) -> CaptureProblem {
        self.state = State::Ended;
        let message = error.to_string();
        let kind = if self.compressed { ProblemKind::Decompression { message } } else { ProblemKind::Read { message } };
        self.problem(self.offset + filled as u64, kind)
    }

    fn problem(&self, offset: u64, kind: ProblemKind) -> CaptureProblem {
        CaptureProblem::new(&self.path, offset, self.compressed, kind)
    }
}

/// A reader that adds the bytes read to a shared count.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Makes the buffer at least `length` bytes long. The buffer never shrinks, so its bytes are zeroed only once.
fn make_room(bytes: &mut Vec<u8>, length: usize) {
    if bytes.len() < length {
        bytes.resize(length, 0);
    }
}

/// Reads once. Repeats the read if a signal interrupts it.
fn read_some(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads until `head` has exactly `least` bytes, or until the input ends.
fn read_at_least(input: &mut dyn Read, head: &mut Vec<u8>, least: usize) -> io::Result<()> {
    let missing = least.saturating_sub(head.len());
    input.take(missing as u64).read_to_end(head).map(|_| ())
}
