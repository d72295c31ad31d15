//! Frames (RFC 9113, sections 4 and 6): their headers, what is around their content, and chains of them.
//!
//! In: bytes that may be frames. Out: [`FrameHeader`], the header block within a payload, and whether bytes are frames.
//! Promises: frames are recognised by content alone. Bytes of another protocol are not taken for frames that carry a message:
//! for that, a whole header block must name a status or a method.

use super::messages::Head;
use crate::stream::{Probe, StreamSettings};

/// Bytes of a frame header.
pub(super) const HEADER_BYTES: usize = 9;

/// The client's preface (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The part of the client's preface that looks like a request of HTTP/1.
pub(in crate::stream) const PREFACE_REQUEST: &[u8] = PREFACE.split_at(PREFACE.len() - 6).0;

/// Longest frame of a sender whose receiver has not allowed longer ones (`SETTINGS_MAX_FRAME_SIZE`).
pub(super) const DEFAULT_MAX_LENGTH: u32 = 16_384;

/// Longest frame that a receiver can allow.
pub(super) const GREATEST_MAX_LENGTH: u32 = (1 << 24) - 1;

/// Most frames of a chain that are looked at.
const MOST_CHAINED: usize = 32;

/// Most settings that the first SETTINGS frame of a side has.
const MOST_SETTINGS: u32 = 64;

pub(super) mod kind {
    pub(in crate::stream::http2) const DATA: u8 = 0;
    pub(in crate::stream::http2) const HEADERS: u8 = 1;
    pub(in crate::stream::http2) const PRIORITY: u8 = 2;
    pub(in crate::stream::http2) const RST_STREAM: u8 = 3;
    pub(in crate::stream::http2) const SETTINGS: u8 = 4;
    pub(in crate::stream::http2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::stream::http2) const PING: u8 = 6;
    pub(in crate::stream::http2) const GOAWAY: u8 = 7;
    pub(in crate::stream::http2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::stream::http2) const CONTINUATION: u8 = 9;
    pub(in crate::stream::http2) const ALTSVC: u8 = 10;
    pub(in crate::stream::http2) const ORIGIN: u8 = 12;
    pub(in crate::stream::http2) const PRIORITY_UPDATE: u8 = 16;
}

pub(super) mod flag {
    pub(in crate::stream::http2) const ACK: u8 = 1;
    pub(in crate::stream::http2) const END_STREAM: u8 = 1;
    pub(in crate::stream::http2) const END_HEADERS: u8 = 4;
    pub(in crate::stream::http2) const PADDED: u8 = 8;
    pub(in crate::stream::http2) const PRIORITY: u8 = 0x20;
}

/// The header of a frame (RFC 9113, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Reads a frame header; `None` when the bytes are too few.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEADER_BYTES>()?;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Some(Self { length: u32::from_be_bytes([0, a, b, c]), kind, flags, stream })
    }

    /// Returns whether a flag is set.
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Returns whether a receiver that follows RFC 9113 accepts the frame, given the longest frame that it has allowed.
    pub(super) fn is_valid(self, max_length: u32) -> bool {
        let is_on_stream = self.stream != 0;
        self.length <= max_length
            && match self.kind {
                kind::DATA | kind::HEADERS | kind::CONTINUATION => is_on_stream,
                kind::PRIORITY => is_on_stream && self.length == 5,
                kind::RST_STREAM => is_on_stream && self.length == 4,
                kind::SETTINGS => {
                    !is_on_stream && self.length.is_multiple_of(6) && !(self.has(flag::ACK) && self.length > 0)
                }
                kind::PUSH_PROMISE => is_on_stream && self.length >= 4,
                kind::PING => !is_on_stream && self.length == 8,
                kind::GOAWAY => !is_on_stream && self.length >= 8,
                kind::WINDOW_UPDATE => self.length == 4,
                _ => true,
            }
    }

    /// Returns whether senders make such a frame: it is valid, has a known type, and has only flags of that type.
    fn is_usual(self) -> bool {
        let (is_known, flags) = match self.kind {
            kind::DATA => (self.length > 0 || self.has(flag::END_STREAM), flag::END_STREAM | flag::PADDED),
            kind::HEADERS => (self.length > 0, flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY),
            kind::SETTINGS | kind::PING => (true, flag::ACK),
            kind::PUSH_PROMISE => (true, flag::END_HEADERS | flag::PADDED),
            kind::CONTINUATION => (true, flag::END_HEADERS),
            kind::PRIORITY | kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => (true, 0),
            kind::ALTSVC | kind::ORIGIN | kind::PRIORITY_UPDATE => (true, 0),
            _ => (false, 0),
        };
        is_known && self.flags & !flags == 0 && self.is_valid(DEFAULT_MAX_LENGTH)
    }

    /// Returns whether this may be the first frame of a server (RFC 9113, section 3.4).
    fn is_first_of_server(self) -> bool {
        self.kind == kind::SETTINGS && self.is_usual() && self.length <= 6 * MOST_SETTINGS
    }
}

/// Returns the part of a payload of HEADERS or PUSH_PROMISE that belongs to the header block: without padding, priority and the
/// promised stream. `None` when the payload contradicts its flags.
pub(super) fn block_within(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload;
    if header.has(flag::PADDED) {
        let (padding, after) = rest.split_first()?;
        rest = after.get(..after.len().checked_sub(usize::from(*padding))?)?;
    }
    match header.kind {
        kind::PUSH_PROMISE => rest.get(4..),
        _ if header.has(flag::PRIORITY) => rest.get(5..),
        _ => Some(rest),
    }
}

/// Returns the stream to which a message belongs: that of its frame, or the one that a PUSH_PROMISE announces.
pub(super) fn stream_of(header: FrameHeader, payload: &[u8]) -> u32 {
    match header.kind {
        kind::PUSH_PROMISE => {
            let promised = if header.has(flag::PADDED) { payload.get(1..).unwrap_or_default() } else { payload };
            first_number(promised) & (u32::MAX >> 1)
        }
        _ => header.stream,
    }
}

/// The first unsigned 32-bit number of a payload.
pub(super) fn first_number(payload: &[u8]) -> u32 {
    payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Returns the longest frame that a payload of SETTINGS allows (RFC 9113, section 6.5.2), if it says so.
pub(super) fn max_frame_length(payload: &[u8]) -> Option<u32> {
    let settings = payload.as_chunks::<6>().0.iter();
    let lengths = settings.filter(|[high, low, ..]| (*high, *low) == (0, 5)).map(|[_, _, value @ ..]| *value);
    lengths.map(u32::from_be_bytes).next_back().map(|length| length.clamp(DEFAULT_MAX_LENGTH, GREATEST_MAX_LENGTH))
}

/// Returns whether a side that begins with these bytes speaks HTTP/2: with the client's preface, with the SETTINGS of a server,
/// or, in a capture that begins within the connection, with a frame that carries a message.
#[inline]
pub(super) fn probe(bytes: &[u8]) -> Probe {
    match bytes.first() {
        Some(b'P') => {
            let common = bytes.len().min(PREFACE_REQUEST.len());
            match bytes[..common] == PREFACE_REQUEST[..common] {
                true if common == PREFACE_REQUEST.len() => Probe::Certain,
                true => Probe::Undecided,
                false => Probe::Other,
            }
        }
        Some(0) => probe_frames(bytes),
        _ => Probe::Other,
    }
}

#[cold]
fn probe_frames(bytes: &[u8]) -> Probe {
    match FrameHeader::read(bytes) {
        Some(header) if header.is_first_of_server() => Probe::Certain,
        Some(_) if begins_message(bytes) => Probe::Certain,
        Some(_) => Probe::Other,
        None => {
            // What is not seen yet is taken as that of an empty SETTINGS frame.
            let mut filled = [0, 0, 0, kind::SETTINGS, 0, 0, 0, 0, 0];
            filled[..bytes.len()].copy_from_slice(bytes);
            if bytes.len() <= 3 {
                filled[2] = 0;
            }
            match FrameHeader::read(&filled) {
                Some(header) if header.is_first_of_server() => Probe::Undecided,
                _ => Probe::Other,
            }
        }
    }
}

/// Returns whether bytes are a chain of frames, one of which carries a whole header block with a status or a method.
pub(in crate::stream) fn begins_message(bytes: &[u8]) -> bool {
    let mut head = Head::default();
    let mut rest = bytes;
    let mut is_found = false;
    for _ in 0..MOST_CHAINED {
        let Some(header) = FrameHeader::read(rest) else { break };
        // The reserved bit is 0.
        if !header.is_usual() || rest[5] & 0x80 != 0 {
            return false;
        }
        let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + header.length as usize) else { break };
        if header.kind == kind::HEADERS && header.has(flag::END_HEADERS) {
            match block_within(header, payload) {
                Some(block) if head.is_message(block) => is_found = true,
                // Trailers name neither; a chain with a message proves more than they disprove.
                Some(_) => {}
                None => return false,
            }
        }
        rest = &rest[HEADER_BYTES + header.length as usize..];
    }
    is_found
}

/// Returns whether the frames of a connection that is known to be HTTP/2 go on at these bytes: two whole frames, and a third or
/// nothing behind them. One frame proves nothing: the end of a WINDOW_UPDATE and the beginning of DATA look like an empty DATA
/// frame. `is_near` says whether the connection may have a stream.
pub(super) fn goes_on(bytes: &[u8], is_near: impl Fn(u32) -> bool) -> bool {
    let mut rest = bytes;
    for chained in 0..MOST_CHAINED {
        let Some(header) = FrameHeader::read(rest) else { return chained > 1 && rest.is_empty() };
        if !header.is_usual() || rest[5] & 0x80 != 0 || !is_near(header.stream) {
            return false;
        }
        let Some(after) = rest.get(HEADER_BYTES + header.length as usize..) else { return chained > 1 };
        rest = after;
    }
    true
}

/// Limits of a header block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockLimits {
    /// Most bytes of a block as it is sent.
    pub(super) bytes: usize,
    /// Most frames that carry a block.
    pub(super) frames: u32,
}

impl BlockLimits {
    /// The limits that settings give. Servers accept blocks of 8 to 64 KiB.
    pub(super) fn of(settings: &StreamSettings) -> Self {
        Self { bytes: settings.max_head_bytes.min(64 << 10), frames: 64 }
    }
}
