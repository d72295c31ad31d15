//! Compressed input: gzip, zstd, lz4 and xz, recognised by content.
//!
//! In: a reader of compressed bytes. Out: a reader of the decompressed bytes of all members, frames or streams, one after
//! the other. Skippable frames and zero padding between them are left out. Promises: bytes that can be decompressed before
//! an error are delivered before the error. The window sizes stated here bound the memory, whatever the input declares.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use liblzma::{bufread::XzDecoder, stream::Stream};
use lz4_flex::frame::FrameDecoder;

/// Any reader that can be handed to another thread.
pub type Input = Box<dyn Read + Send>;

const COMPRESSED_BLOCK: usize = 64 * 1024;
/// Longest zstd window, as a power of two: 2^27 bytes (128 MiB), as `zstd --long` writes it. Output of `--ultra --long=31`
/// is refused.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Most memory for one xz stream, in bytes; `xz -9` needs 65 MiB to decompress.
const XZ_MEMORY: u64 = 256 << 20;

/// A compression format, recognised by its magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Lz4,
    Lz4Legacy,
    Xz,
    /// A frame that holds no content. The zstd and the lz4 format both have such frames.
    Skippable,
}

impl Compression {
    /// Returns the compression format that `head` starts with.
    pub(super) fn recognise(head: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = head.first_chunk()?;
        match u32::from_le_bytes([a, b, c, d]) {
            0xfd2f_b528 => Some(Self::Zstd),
            0x184d_2204 => Some(Self::Lz4),
            0x184c_2102 => Some(Self::Lz4Legacy),
            0x184d_2a50..=0x184d_2a5f => Some(Self::Skippable),
            _ if [a, b, c] == [0x1f, 0x8b, 0x08] => Some(Self::Gzip),
            // The first four of the six bytes of xz's magic number; no other format starts so.
            _ if [a, b, c, d] == *b"\xfd7zX" => Some(Self::Xz),
            _ => None,
        }
    }
}

/// The decompressed bytes of a compressed stream.
pub(super) struct Decompressor {
    state: State,
    /// Members begun so far. After the first member, zero bytes between members are skipped as padding.
    members: u64,
}

enum State {
    Between(Source),
    Gzip(Box<GzDecoder<Source>>),
    Zstd(Box<zstd::Decoder<'static, Source>>),
    Lz4(Box<FrameDecoder<Source>>, Compression),
    Xz(Box<XzDecoder<Source>>),
    Ended,
}

impl Decompressor {
    /// Creates a decompressor for the bytes of `head`, followed by the bytes of `input`.
    pub(super) fn new(head: Vec<u8>, input: Input) -> Self {
        Self { state: State::Between(Source::new(head, input)), members: 0 }
    }

    /// Starts the next member. Returns `false` at the end of the input.
    fn next_member(&mut self, mut source: Source) -> io::Result<bool> {
        loop {
            let head = source.peek(4)?;
            if head.is_empty() {
                return Ok(false);
            }
            let Some(compression) = Compression::recognise(head) else {
                if self.members > 0 && head.first() == Some(&0) {
                    source.consume(1);
                    continue;
                }
                return Err(invalid("something else follows the compressed data"));
            };
            if compression == Compression::Skippable {
                source.skip_frame()?;
                self.members += 1;
                continue;
            }
            self.members += 1;
            self.state = match compression {
                Compression::Gzip => State::Gzip(Box::new(GzDecoder::new(source))),
                Compression::Zstd => {
                    let mut decoder = zstd::Decoder::with_buffer(source)?.single_frame();
                    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                    State::Zstd(Box::new(decoder))
                }
                Compression::Xz => {
                    let stream = Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                    State::Xz(Box::new(XzDecoder::new_stream(source, stream)))
                }
                Compression::Lz4 | Compression::Lz4Legacy | Compression::Skippable => {
                    State::Lz4(Box::new(FrameDecoder::new(source)), compression)
                }
            };
            return Ok(true);
        }
    }

    /// Returns the source of the member that has just ended.
    fn end_member(&mut self) -> io::Result<Option<Source>> {
        Ok(match std::mem::replace(&mut self.state, State::Ended) {
            State::Between(source) => Some(source),
            State::Gzip(decoder) => Some(decoder.into_inner()),
            State::Zstd(decoder) => Some(decoder.finish()),
            State::Xz(decoder) => Some(decoder.into_inner()),
            State::Lz4(decoder, compression) => {
                let source = decoder.into_inner();
                // The decoder does not report a missing end mark as an error. A legacy frame has no end mark.
                if source.ended && source.is_empty() && source.read_past_end && compression == Compression::Lz4 {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "incomplete frame"));
                }
                Some(source)
            }
            State::Ended => None,
        })
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.state {
                State::Between(_) => 0,
                State::Gzip(decoder) => decoder.read(buffer)?,
                State::Zstd(decoder) => decoder.read(buffer)?,
                State::Lz4(decoder, _) => decoder.read(buffer)?,
                State::Xz(decoder) => decoder.read(buffer)?,
                State::Ended => return Ok(0),
            };
            if read > 0 {
                return Ok(read);
            }
            let Some(source) = self.end_member()? else { return Ok(0) };
            if !self.next_member(source)? {
                return Ok(0);
            }
        }
    }
}

/// Compressed bytes. A caller can look ahead for a magic number, even if the input delivers only a few bytes at each read.
struct Source {
    input: Input,
    buffer: Vec<u8>,
    /// The unread bytes are `buffer[start..end]`; `start <= end <= buffer.len()`.
    start: usize,
    end: usize,
    /// Whether the input has no more bytes.
    ended: bool,
    /// Whether a read was attempted after the last byte.
    read_past_end: bool,
}

impl Source {
    fn new(head: Vec<u8>, input: Input) -> Self {
        let end = head.len();
        let mut buffer = head;
        buffer.resize(end.max(COMPRESSED_BLOCK), 0);
        Self { input, buffer, start: 0, end, ended: false, read_past_end: false }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the unread bytes: at least `least` bytes, unless the input ends first.
    fn peek(&mut self, least: usize) -> io::Result<&[u8]> {
        while self.end - self.start < least && !self.ended {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.input.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.unread())
    }

    /// Skips a skippable frame: a magic number, a length, and as many bytes as the length says.
    fn skip_frame(&mut self) -> io::Result<()> {
        let Some(&[_, _, _, _, a, b, c, d]) = self.peek(8)?.first_chunk() else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let mut left = 8 + u64::from(u32::from_le_bytes([a, b, c, d]));
        while left > 0 {
            let there = self.peek(1)?.len();
            if there == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let step = left.min(there as u64);
            self.consume(step as usize);
            left -= step;
        }
        Ok(())
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let read = there.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..read), there.get(..read)) {
            to.copy_from_slice(from);
        }
        self.read_past_end |= read == 0 && !buffer.is_empty();
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)
    }

    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}
