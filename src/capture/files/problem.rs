//! Errors of capture input.
//!
//! [`CaptureError`]: nothing can be read from an input. [`CaptureProblem`]: an input breaks off in the middle. Both print one
//! line. It says what is wrong, in which file and at which byte, and what to do.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::recognise::Resemblance;

/// An input that cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No input was named.
    #[error("no capture named; name a file or a directory, or - for standard input")]
    NoInput,
    /// Standard input was named twice.
    #[error("-: standard input is named more than once; name it once")]
    StandardInputTwice,
    /// The file or directory cannot be opened or listed.
    #[error("{}: {error}; check the path and its permissions", path.display())]
    Unreadable {
        /// The input.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The file has no bytes.
    #[error("{}: the file is empty (0 bytes), not a capture; check what should have written it", path.display())]
    Empty {
        /// The input.
        path: PathBuf,
    },
    /// The content is of another kind.
    #[error("{}: not a capture file (byte 0): {resemblance}", path.display())]
    NotACapture {
        /// The input.
        path: PathBuf,
        /// What it looks like instead.
        resemblance: Resemblance,
    },
    /// The compressed content cannot be decompressed from its start.
    #[error("{}: looks compressed but cannot be decompressed (byte 0): {error}; check that the file is whole", path.display())]
    NotDecompressible {
        /// The input.
        path: PathBuf,
        /// What the decompressor said.
        error: io::Error,
    },
    /// The directory holds no capture.
    #[error("{}: no capture file in this directory ({skipped} other files); name captures (pcap or pcapng, plain or \
             compressed) or a directory that holds some", path.display())]
    NoCaptureInDirectory {
        /// The directory.
        path: PathBuf,
        /// Files in it that are no captures.
        skipped: u64,
    },
}

/// Where and why an input broke off; everything before it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureProblem {
    /// The input.
    pub path: PathBuf,
    /// Byte offset of the first byte that could not be used.
    pub offset: u64,
    /// Whether `offset` counts bytes of the decompressed stream rather than of the file.
    pub compressed: bool,
    /// The reason.
    pub kind: ProblemKind,
}

impl CaptureProblem {
    pub(super) fn new(path: &Path, offset: u64, compressed: bool, kind: ProblemKind) -> Self {
        Self { path: path.to_owned(), offset, compressed, kind }
    }
}

/// Why an input broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The input ends inside a packet record, a block or the file header.
    Truncated {
        /// The part that is incomplete.
        part: Part,
        /// Bytes of the part that are present.
        present: u64,
    },
    /// A record's captured length is beyond [`MAX_CAPTURED`](super::MAX_CAPTURED).
    CapturedLength {
        /// The length the record claims.
        length: u32,
    },
    /// A pcapng block's length is impossible: too short for the block's type, not a multiple of four, or too long for any
    /// real packet.
    BlockLength {
        /// The length the block claims.
        length: u32,
    },
    /// A pcapng block's two length fields differ.
    BlockTrailer {
        /// The length at the block's start.
        leading: u32,
        /// The length at the block's end.
        trailing: u32,
    },
    /// A pcapng section header without a byte-order magic.
    SectionMagic {
        /// The number in the place of the byte-order magic.
        found: u32,
    },
    /// A pcapng section of a major version other than 1.
    SectionVersion {
        /// The major version.
        major: u16,
    },
    /// The compressed stream is corrupt or breaks off.
    Decompression {
        /// What the decompressor said.
        message: String,
    },
    /// The operating system failed to read.
    Read {
        /// The operating system's message.
        message: String,
    },
    /// More files overlap in time than are kept open. This file was begun too late, so its first packets come after later
    /// packets.
    TooManyOverlapping {
        /// Files kept open at once.
        limit: usize,
    },
}

/// A part of a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The file header of pcap.
    FileHeader,
    /// A packet record of pcap.
    Record,
    /// A block of pcapng.
    Block,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileHeader => "file header",
            Self::Record => "packet record",
            Self::Block => "pcapng block",
        })
    }
}

impl fmt::Display for CaptureProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = if self.compressed { " of the decompressed stream" } else { "" };
        write!(f, "{}: byte {}{stream}: {}", self.path.display(), self.offset, self.kind)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const COPY: &str = "everything before it was used; copy or record the file again to get the rest";
        const REPAIR: &str = "everything before it was used; the file is corrupt from here on, get a good copy";
        match self {
            Self::Truncated { part, present } => {
                write!(f, "the file breaks off {present} bytes into a {part}; {COPY}")
            }
            Self::CapturedLength { length } => {
                write!(f, "a packet record claims {length} captured bytes, more than any packet has; {REPAIR}")
            }
            Self::BlockLength { length } => {
                write!(f, "a pcapng block claims an impossible length of {length}; {REPAIR}")
            }
            Self::BlockTrailer { leading, trailing } => {
                write!(f, "a pcapng block starts with length {leading} but ends with {trailing}; {REPAIR}")
            }
            Self::SectionMagic { found } => {
                write!(f, "a pcapng section has byte-order magic {found:#010x} instead of 0x1a2b3c4d; {REPAIR}")
            }
            Self::SectionVersion { major } => {
                write!(f, "a pcapng section has version {major}, only 1 is known; rewrite the file with editcap")
            }
            Self::Decompression { message } => write!(f, "cannot decompress further: {message}; {COPY}"),
            Self::Read { message } => write!(f, "cannot read further: {message}; everything before it was used"),
            Self::TooManyOverlapping { limit } => write!(
                f,
                "more than {limit} files overlap in time, so this one was read late; merge them first with mergecap"
            ),
        }
    }
}
