//! The key logs in the decryption secrets blocks of pcapng files.
//!
//! In: blocks that are met while a file is read, and files that can be read from any place. Out: the text of the key logs, for
//! whoever decrypts. Promises: no part of a key log is in any message; its bytes are overwritten when they are dropped; at most
//! [`MOST_WAITING`] bytes wait to be taken. Secrets of other kinds are counted and skipped.
//!
//! A capture may hold its secrets behind the packets that they decrypt. [`scan`] therefore looks at the blocks of a file before
//! its packets are read. A file with no such block in its first 16 MiB and its last 1 MiB is not looked at further, so that
//! files without secrets cost no more than that; a block that lies between is met when the file is read. The scan needs the headers of the blocks only. While blocks are short, reading everything is faster than a
//! system call for each header, so the scan reads on; behind a long block it reads only the next header.

use std::{fmt, fs::File, os::unix::fs::FileExt};

use zeroize::Zeroizing;

use super::{
    CaptureCounters,
    pcap::begins_file,
    pcapng::{BYTE_ORDER_MAGIC, DECRYPTION_SECRETS, SECTION_MAGIC},
};

/// The longest decryption secrets block that is read: 16 MiB, which is about 90,000 lines.
pub(super) const MAX_SECRETS_BLOCK: u32 = 16 << 20;
/// Most bytes of key logs that wait to be taken.
const MOST_WAITING: usize = 64 << 20;

/// The type of secrets that is the text of a TLS key log: `TLSK`.
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// Bytes from the start of a file in which a decryption secrets block must lie, for the whole file to be looked at.
const FIRST: u64 = 16 << 20;
/// Bytes at the end of a file in which there may also be one.
const LAST: u64 = 1 << 20;

/// Bytes to read at once where blocks are short.
const NEAR: usize = 64 << 10;
/// Bytes to read at once behind a long block: the header of the next block, and some more in case it is short.
const FAR: usize = 512;
/// A block is long from this length on. Here a system call takes as long as copying the block's bytes.
const LONG_BLOCK: u64 = 4 << 10;
/// Bytes of a block that are looked at: the first fields of a section header, and of a pcap file that follows.
const HEADER: usize = 24;

/// The text of a key log. Its bytes are overwritten when it is dropped.
pub type KeyLogText = Zeroizing<Vec<u8>>;

/// Key logs that wait to be taken.
#[derive(Default)]
pub(super) struct SecretBlocks {
    demand: Demand,
    waiting: Vec<KeyLogText>,
    bytes: usize,
}

/// What happens to decryption secrets blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Demand {
    /// Nobody takes key logs. The blocks are counted and skipped.
    #[default]
    Unwanted,
    /// Key logs are taken.
    Wanted,
    /// Key logs were taken from this file before. The blocks are skipped.
    Served,
}

impl SecretBlocks {
    /// A queue that takes blocks, or does not.
    pub(super) fn new(demand: Demand) -> Self {
        Self { demand, ..Self::default() }
    }

    /// Returns whether a block of this length shall be read whole.
    pub(super) fn wants(&self, length: u32) -> bool {
        self.demand == Demand::Wanted && length <= MAX_SECRETS_BLOCK
    }

    /// Counts a block that is too long to be read.
    pub(super) fn skip(&self, counters: &mut CaptureCounters) {
        match self.demand {
            Demand::Unwanted => counters.blocks_decryption_secrets += 1,
            Demand::Wanted => counters.key_logs_refused += 1,
            Demand::Served => {}
        }
    }

    /// Takes, or counts and skips, the body of a decryption secrets block: type, length, data, options. `is_late` says whether packets
    /// were read before it.
    pub(super) fn take_block(
        &mut self,
        body: &[u8],
        word: impl Fn([u8; 4]) -> u32,
        is_late: bool,
        counters: &mut CaptureCounters,
    ) {
        if self.demand != Demand::Wanted {
            self.skip(counters);
            return;
        }
        let fields = body.split_first_chunk().and_then(|(&kind, rest)| {
            let (&length, data) = rest.split_first_chunk()?;
            Some((word(kind), data.get(..usize::try_from(word(length)).ok()?)?))
        });
        match fields {
            Some((TLS_KEY_LOG, text)) if self.bytes + text.len() <= MOST_WAITING => {
                counters.key_logs += 1;
                counters.key_logs_late += u64::from(is_late);
                self.bytes += text.len();
                self.waiting.push(Zeroizing::new(text.to_vec()));
            }
            Some((TLS_KEY_LOG, _)) | None => counters.key_logs_refused += 1,
            Some(_) => counters.secrets_of_other_kinds += 1,
        }
    }

    /// Moves the key logs of another queue to this one.
    pub(super) fn append(&mut self, other: &mut Self, counters: &mut CaptureCounters) {
        other.bytes = 0;
        for text in other.waiting.drain(..) {
            if self.bytes + text.len() <= MOST_WAITING {
                self.bytes += text.len();
                self.waiting.push(text);
            } else {
                counters.key_logs -= 1;
                counters.key_logs_refused += 1;
            }
        }
    }

    /// Takes the key logs that wait, in the order in which they came.
    pub(super) fn take(&mut self) -> Vec<KeyLogText> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

impl fmt::Debug for SecretBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretBlocks").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Looks for decryption secrets blocks in a pcapng file without compression. Returns true if the whole file was looked through: the
/// reader can then skip these blocks. An error in the file is not reported here, but by the reader when it gets there.
pub(super) fn scan(file: &File, size: u64, found: &mut SecretBlocks, counters: &mut CaptureCounters) -> bool {
    let mut window = Window { file, bytes: vec![0; NEAR + HEADER], start: 0, end: 0 };
    let (mut at, mut length, mut is_big_endian) = (0, 0, None);
    let (mut until, mut has_secrets) = (FIRST, false);
    while at < size {
        let Some(header) = window.header(at, length) else { return false };
        let [k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3, ..] = header;
        if [k0, k1, k2, k3] == SECTION_MAGIC {
            is_big_endian = match [m0, m1, m2, m3] {
                magic if u32::from_le_bytes(magic) == BYTE_ORDER_MAGIC => Some(false),
                magic if u32::from_be_bytes(magic) == BYTE_ORDER_MAGIC => Some(true),
                _ => return false,
            };
        } else if begins_file(&header) {
            return false;
        }
        let Some(is_big_endian) = is_big_endian else { return false };
        let word = |bytes| if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        if at >= until {
            if !has_secrets && !ends_with_secrets(file, size, word) {
                return false;
            }
            until = u64::MAX;
        }
        let block = word([l0, l1, l2, l3]);
        if block < 12 {
            return false;
        }
        if word([k0, k1, k2, k3]) == DECRYPTION_SECRETS {
            has_secrets = true;
            if found.wants(block) {
                let mut body = Zeroizing::new(vec![0; block as usize - 12]);
                if file.read_exact_at(&mut body, at + 8).is_err() {
                    return false;
                }
                found.take_block(&body, word, false, counters);
            } else {
                found.skip(counters);
            }
        }
        length = u64::from(block).next_multiple_of(4);
        at += length;
    }
    at == size
}

/// Returns whether a decryption secrets block lies at the end of a file, with at most [`LAST`] bytes behind its end. Blocks can
/// be read backwards, because their lengths stand at their ends too.
fn ends_with_secrets(file: &File, size: u64, word: impl Fn([u8; 4]) -> u32) -> bool {
    let start = size.saturating_sub(LAST);
    let mut bytes = vec![0; usize::try_from(size - start).unwrap_or_default()];
    if file.read_exact_at(&mut bytes, start).is_err() {
        return false;
    }
    while let Some((rest, &trailer)) = bytes.split_last_chunk() {
        let length = word(trailer);
        let end = start + bytes.len() as u64;
        let Some(begin) = end.checked_sub(u64::from(length)).filter(|_| length >= 12) else { return false };
        let Some(left) = begin.checked_sub(start).and_then(|left| usize::try_from(left).ok()) else {
            // The block begins before the bytes that were read.
            let mut kind = [0; 4];
            return file.read_exact_at(&mut kind, begin).is_ok() && word(kind) == DECRYPTION_SECRETS;
        };
        let kind = bytes.get(left..).and_then(<[u8]>::first_chunk).copied();
        if kind.is_some_and(|kind| word(kind) == DECRYPTION_SECRETS) {
            return true;
        }
        bytes.truncate(left.min(rest.len()));
    }
    false
}

/// Part of a file.
struct Window<'a> {
    file: &'a File,
    /// The bytes from offset `start` to offset `end` of the file, and room for more.
    bytes: Vec<u8>,
    start: u64,
    end: u64,
}

impl Window<'_> {
    /// Returns the first bytes of the block at an offset, with zeros behind the end of the file. The block before it has
    /// `before` bytes.
    #[inline]
    fn header(&mut self, at: u64, before: u64) -> Option<[u8; HEADER]> {
        if at < self.start || at + HEADER as u64 > self.end {
            self.read(at, if before < LONG_BLOCK { NEAR } else { FAR })?;
        }
        let place = usize::try_from(at - self.start).ok()?;
        self.bytes.get(place..)?.first_chunk().copied()
    }

    /// Reads a part of the file. Returns `None` if it cannot be read.
    fn read(&mut self, at: u64, length: usize) -> Option<()> {
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(self.bytes.get_mut(filled..length)?, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        self.bytes.iter_mut().skip(filled).take(HEADER).for_each(|byte| *byte = 0);
        (self.start, self.end) = (at, at + filled as u64);
        Some(())
    }
}
