//! Capture files, directories and standard input as one timeline of packets.
//!
//! In: paths. Out: [`PacketBatch`]es in the order of packet time. Formats: pcap and pcapng, plain or compressed with gzip,
//! zstd, lz4 or xz, recognised by content. Promises:
//!
//! - Files whose times do not overlap are read one after the other, and merging costs nothing.
//! - Files whose times overlap are merged by packet time. Packets of equal time come in the order of the inputs. The packets
//!   of one file keep their order.
//! - A regular file without compression whose stamps go backwards is read in the order of time (`index.rs`). Other inputs are
//!   read as they are.
//! - An error in a file is kept as a [`CaptureProblem`], and reading continues with the other files.
//! - This module starts no threads. A caller that wants decompression on another thread passes a [`ReadAhead`].

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    fs::{File, Metadata},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    capture::{LinkType, PacketBatch, PacketRecord},
    counters,
    time::Timestamp,
};

mod compression;
mod framing;
mod index;
mod listing;
mod pcap;
mod pcapng;
mod problem;
mod reader;
mod recognise;
mod run;
mod secrets;
#[cfg(test)]
mod tests;
mod timeline;

pub use compression::Input;
pub use framing::MAX_CAPTURED;
pub use problem::{CaptureError, CaptureProblem, Part, ProblemKind};
pub use recognise::Resemblance;
pub use secrets::KeyLogText;

use index::Index;
use listing::Listed;
use reader::{CaptureReader, Counted};
use secrets::{Demand, SecretBlocks};
use timeline::{OpenFile, Source, Waiting};

/// Makes a reader that reads ahead of its caller, for instance on a thread.
pub type ReadAhead = fn(Input) -> Input;

/// Bytes to read of a file to learn the time of its first packet.
const PEEK_BLOCK: usize = 4 * 1024;

/// The most link types that are noted of a file.
const MOST_LINK_TYPES: usize = 16;

counters! {
    /// What capture files held.
    pub struct CaptureCounters {
        /// Bytes of capture data read, after decompression.
        bytes,
        /// Packets read.
        packets,
        /// Files read.
        files,
        /// Files in directories that are no captures.
        files_skipped,
        /// Captures without a single packet.
        files_without_packets,
        /// Files that broke off or could not be read.
        files_broken,
        /// Captures that follow another one in the same file.
        files_run_together,
        /// Sections of pcapng.
        sections,
        /// Interfaces beyond the most a section may have.
        interfaces_refused,
        /// Packets on an interface that no block describes.
        packets_of_unknown_interface,
        /// Packets without a time of their own, given that of the packet before.
        packets_without_time,
        /// Packets earlier than the packet before them in their file.
        time_backwards,
        /// Files that were not in the order of time, and were read in that order.
        files_sorted,
        /// Packets stamped before 1970 or after 2553, given the nearest time that can be shown.
        stamps_clamped,
        /// Packets with more captured bytes than bytes on the wire.
        captured_beyond_wire_length,
        /// Name resolution blocks skipped.
        blocks_name_resolution,
        /// Interface statistics blocks skipped.
        blocks_interface_statistics,
        /// Decryption secrets blocks skipped because nothing is decrypted.
        blocks_decryption_secrets,
        /// TLS key logs in decryption secrets blocks, read.
        key_logs,
        /// The same: behind packets of the file, which could not be searched for them beforehand.
        key_logs_late,
        /// TLS key logs in decryption secrets blocks that are malformed, longer than 16 MiB, or too many at once.
        key_logs_refused,
        /// Decryption secrets blocks for other protocols than TLS, skipped.
        secrets_of_other_kinds,
        /// Systemd journal blocks skipped.
        blocks_journal,
        /// Custom blocks skipped.
        blocks_custom,
        /// Blocks of unknown type skipped.
        blocks_unknown,
    }
}

/// How to read captures.
#[derive(Debug, Clone, Copy)]
pub struct FileSettings {
    /// Bytes to read at once.
    pub block: usize,
    /// How to decompress ahead of the reader. Without it, decompression happens in [`CaptureSet::fill`].
    pub read_ahead: Option<ReadAhead>,
    /// Whether the key logs in pcapng files are read, for [`CaptureSet::take_key_logs`].
    pub key_logs: bool,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { block: 256 * 1024, read_ahead: None, key_logs: false }
    }
}

impl FileSettings {
    fn demand(self) -> Demand {
        if self.key_logs { Demand::Wanted } else { Demand::Unwanted }
    }
}

/// The result of a call that fills a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// At least one packet.
    Packets,
    /// No packet, and none will follow.
    End,
}

/// A regular file that is read. Device and inode identify it, even if it has several paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// The path as it was named or found; `-` is standard input.
    pub path: PathBuf,
    /// The device that holds the file.
    pub device: u64,
    /// The file's inode.
    pub inode: u64,
}

impl InputFile {
    fn new(path: &Path, metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

/// How much of one file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRead {
    /// The path as it was named or found; `-` is standard input.
    pub path: PathBuf,
    /// Packets read.
    pub packets: u64,
    /// Bytes of capture data read, after decompression.
    pub bytes: u64,
    /// The link types of the packets read, each once, at most 16.
    pub link_types: Vec<LinkType>,
}

impl FileRead {
    fn begun(path: &Path) -> Self {
        Self { path: path.to_owned(), packets: 0, bytes: 0, link_types: Vec::new() }
    }

    fn note_link_types(&mut self, records: &[PacketRecord]) {
        let mut known = self.link_types.last().copied();
        // Nearly every file has one link type: this is decided without a branch a packet.
        if let Some(LinkType(last)) = known
            && records.iter().fold(0, |difference, record| difference | (record.link_type.0 ^ last)) == 0
        {
            return;
        }
        for record in records {
            if Some(record.link_type) != known {
                known = Some(record.link_type);
                if !self.link_types.contains(&record.link_type) && self.link_types.len() < MOST_LINK_TYPES {
                    self.link_types.push(record.link_type);
                }
            }
        }
    }
}

/// Captures as one timeline.
#[derive(Default)]
pub struct CaptureSet {
    settings: FileSettings,
    inputs: Vec<InputFile>,
    /// Files that are not begun yet, in the order of the times of their first packets.
    waiting: VecDeque<Waiting>,
    /// Files that are begun. On top is a file that must be read further, or else the file with the earliest next packet.
    open: BinaryHeap<Box<OpenFile>>,
    /// The latest packet time that was delivered while several files were open. A file that begins later has no earlier
    /// packet, unless too many files were open.
    merged_until: Timestamp,
    counters: CaptureCounters,
    /// How much was read of each file that is begun. The key is the file's place among the inputs.
    files: BTreeMap<usize, FileRead>,
    problems: Vec<CaptureProblem>,
    /// The key logs that wait to be taken.
    key_logs: SecretBlocks,
    /// The places among the inputs of files whose key logs were all read before their packets.
    scanned: BTreeSet<usize>,
    consumed: Arc<AtomicU64>,
    total: Option<u64>,
}

impl CaptureSet {
    /// Opens the inputs: files, directories (their captures in name order, also those in directories below) and `-` for
    /// standard input. Reads the beginning of every file.
    ///
    /// # Errors
    /// When an input cannot be used at all: it is unreadable, empty, not a capture, or a directory without captures. In a
    /// directory, files that are not captures are counted and skipped.
    pub fn open(inputs: &[PathBuf], settings: FileSettings) -> Result<Self, CaptureError> {
        if inputs.is_empty() {
            return Err(CaptureError::NoInput);
        }
        let files = listing::list(inputs)?;
        let key_logs = SecretBlocks::new(settings.demand());
        let mut set = Self { settings, key_logs, total: Some(0), ..Self::default() };
        let alone = files.len() == 1;
        let mut found = vec![0u64; inputs.len()];
        for (order, file) in files.into_iter().enumerate() {
            match file {
                Listed::StandardInput => {
                    set.total = None;
                    set.inputs.extend(standard_input());
                    set.add_stream(Path::new("-"), Box::new(io::stdin()), order, alone)?;
                }
                Listed::Named(path) => set.add_file(&path, order, alone)?,
                Listed::Found { path, directory } => {
                    let captures = found.get_mut(directory);
                    if set.add_found(&path, order, alone)
                        && let Some(captures) = captures
                    {
                        *captures += 1;
                    }
                }
            }
        }
        for (input, captures) in inputs.iter().zip(found) {
            if captures == 0 && input.as_os_str() != "-" && input.is_dir() {
                let skipped = set.counters.files_skipped;
                return Err(CaptureError::NoCaptureInDirectory { path: input.clone(), skipped });
            }
        }
        set.waiting.make_contiguous().sort_by_key(|waiting| waiting.key);
        Ok(set)
    }

    /// Creates a set of one stream, for instance for tests. Messages refer to the stream by `path`.
    ///
    /// # Errors
    /// When the stream is empty, is not a capture, or cannot be read.
    pub fn from_stream(path: &Path, input: Input, settings: FileSettings) -> Result<Self, CaptureError> {
        let mut set = Self { settings, ..Self::default() };
        set.add_stream(path, input, 0, true)?;
        Ok(set)
    }

    /// Returns the regular files that are read, including the files that broke off. Files in directories that are not
    /// captures are not included.
    pub fn inputs(&self) -> &[InputFile] {
        &self.inputs
    }

    /// Returns how much of each file was read so far, in the order of the inputs.
    pub fn files(&self) -> impl Iterator<Item = &FileRead> {
        self.files.values()
    }

    /// Adds to a file's counts after a call that filled a batch: these packets, and the bytes counted since `bytes_before`.
    fn note_read(&mut self, order: usize, records: &[PacketRecord], bytes_before: u64) {
        if let Some(file) = self.files.get_mut(&order) {
            file.packets += records.len() as u64;
            file.bytes += self.counters.bytes - bytes_before;
            file.note_link_types(records);
        }
    }

    /// Takes the key logs that were found since the last call: at first those of all files that can be read from any place,
    /// later those of other inputs, each before the packets of the batch in which it is.
    pub fn take_key_logs(&mut self) -> Vec<KeyLogText> {
        self.key_logs.take()
    }

    /// Returns the counts of everything that was read and skipped so far.
    pub fn counters(&self) -> &CaptureCounters {
        &self.counters
    }

    /// Returns the problems so far: inputs that broke off. A run with problems has not read everything.
    pub fn problems(&self) -> &[CaptureProblem] {
        &self.problems
    }

    /// Returns the size of all inputs in bytes, before decompression, or `None` if an input is a stream.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    /// Returns the shared count of input bytes read so far, before decompression. Other threads may read this count.
    pub fn consumed_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.consumed)
    }

    /// Adds a file that the user named. It may also be a pipe or a device.
    fn add_file(&mut self, path: &Path, order: usize, alone: bool) -> Result<(), CaptureError> {
        let unreadable = |error| CaptureError::Unreadable { path: path.to_owned(), error };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        self.inputs.extend(InputFile::new(path, &metadata));
        if !metadata.is_file() {
            self.total = None;
            return self.add_stream(path, Box::new(file), order, alone);
        }
        self.total = self.total.map(|total| total + metadata.len());
        if self.settings.key_logs && secrets::scan(&file, metadata.len(), &mut self.key_logs, &mut self.counters) {
            self.scanned.insert(order);
        }
        if let Some(index) = Index::of(path, &file, metadata.len(), !alone) {
            self.add_runs(path, index, order);
            return Ok(());
        }
        if alone {
            return self.add_stream(path, Box::new(file), order, alone);
        }
        let mut reader = CaptureReader::open(path, Box::new(file), None)?;
        let mut batch = PacketBatch::default();
        let first = match reader.fill(&mut batch, 0, PEEK_BLOCK, &mut CaptureCounters::default()) {
            Ok(Filled::Packets) => timeline::first_time(&batch.records),
            // The file breaks before its first packet. The problem is reported when the file's turn comes.
            Err(_) => Some(Timestamp::EPOCH),
            Ok(Filled::End) => None,
        };
        if first.is_some() {
            self.waiting.push_back(Waiting { key: (first, (order, 0)), source: Source::File(path.to_owned()) });
        } else {
            self.counters.files += 1;
            self.counters.files_without_packets += 1;
            self.files.insert(order, FileRead::begun(path));
            self.consumed.fetch_add(metadata.len(), Relaxed);
        }
        Ok(())
    }

    /// Adds the runs of a file that is not in order.
    fn add_runs(&mut self, path: &Path, Index { runs, mut counters, problem }: Index, order: usize) {
        if self.settings.key_logs {
            // The scan before has counted them.
            counters.blocks_decryption_secrets = 0;
        }
        self.counters.merge(&counters);
        self.counters.files += 1;
        self.counters.files_sorted += 1;
        self.files.insert(order, FileRead { bytes: counters.bytes, ..FileRead::begun(path) });
        for (place, run) in runs.into_iter().enumerate() {
            let key = (Some(run.first), (order, place));
            self.waiting.push_back(Waiting { key, source: Source::Run(path.to_owned(), Box::new(run)) });
        }
        if let Some(problem) = problem {
            self.broken(problem);
        }
    }

    /// Adds a file found in a directory. Returns `false` if the file is not a capture.
    fn add_found(&mut self, path: &Path, order: usize, alone: bool) -> bool {
        let (total, inputs) = (self.total, self.inputs.len());
        let error = self.add_file(path, order, alone).err();
        match error {
            None => true,
            Some(CaptureError::Empty { .. } | CaptureError::NotACapture { .. }) => {
                self.counters.files_skipped += 1;
                self.total = total;
                self.inputs.truncate(inputs);
                false
            }
            Some(CaptureError::NotDecompressible { error, .. }) => {
                self.broken(CaptureProblem::new(
                    path,
                    0,
                    true,
                    ProblemKind::Decompression { message: error.to_string() },
                ));
                true
            }
            Some(error) => {
                self.broken(CaptureProblem::new(path, 0, false, ProblemKind::Read { message: error.to_string() }));
                true
            }
        }
    }

    /// Adds an input that can be read only once. Unless it is the only input, waits for its first packet.
    fn add_stream(&mut self, path: &Path, input: Input, order: usize, alone: bool) -> Result<(), CaptureError> {
        let mut file = Box::new(self.opened(path, input, order)?);
        let mut first = Some(Timestamp::EPOCH);
        if !alone {
            match self.read_into_own(&mut file, self.settings.block) {
                Ok(Filled::Packets) => first = file.key().0,
                Ok(Filled::End) => self.counters.files_without_packets += 1,
                Err(problem) => self.broken(problem),
            }
        }
        self.waiting.push_back(Waiting { key: (first, (order, 0)), source: Source::Opened(file) });
        Ok(())
    }

    /// Reads the next packets of a file into its own batch.
    fn read_into_own(&mut self, file: &mut OpenFile, block: usize) -> Result<Filled, CaptureProblem> {
        let before = self.counters.bytes;
        let filled = file.read(block, &mut self.counters);
        self.key_logs.append(file.secrets(), &mut self.counters);
        let records = if let Ok(Filled::Packets) = filled { file.held() } else { &[] };
        self.note_read(file.order(), records, before);
        filled
    }

    fn opened(&mut self, path: &Path, input: Input, order: usize) -> Result<OpenFile, CaptureError> {
        let input = Box::new(Counted { inner: input, count: Arc::clone(&self.consumed) });
        let mut reader = CaptureReader::open(path, input, self.settings.read_ahead)?;
        reader.secrets = SecretBlocks::new(match self.scanned.contains(&order) {
            true => Demand::Served,
            false => self.settings.demand(),
        });
        self.files.insert(order, FileRead::begun(path));
        Ok(OpenFile::new(order, reader))
    }

    fn broken(&mut self, problem: CaptureProblem) {
        self.counters.files_broken += 1;
        self.problems.push(problem);
    }
}

/// Returns the file that standard input was redirected from.
fn standard_input() -> Option<InputFile> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    InputFile::new(Path::new("-"), &file.metadata().ok()?)
}

/// Fuzz entry: reads the bytes as one capture, in small blocks, and checks the promises that every reader of batches relies
/// on.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let settings = FileSettings { block: 512, read_ahead: None, key_logs: true };
    let input = Box::new(io::Cursor::new(data.to_vec()));
    let Ok(mut set) = CaptureSet::from_stream(Path::new("fuzz"), input, settings) else { return };
    let mut batch = PacketBatch::default();
    let mut packets = 0;
    while set.fill(&mut batch) == Filled::Packets {
        for record in &batch.records {
            packets += 1;
            assert_eq!(record.stamp.number, packets);
            assert!(record.offset as usize + record.captured as usize <= batch.bytes.len());
            assert!(record.captured <= record.wire_length && record.captured <= MAX_CAPTURED);
        }
    }
    assert!(set.problems().len() <= 1);
}
