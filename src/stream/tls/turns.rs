//! Turns of one TLS connection, from record headers alone.
//!
//! In: the suite that the ServerHello chose, and of every record its sender, its type, its length and its packet. Out: a [`Heard`]
//! for each request with its answer. Promises: nothing is decrypted; the state has a limit, and without HTTP/2 a fixed size; there are
//! never more turns than records of the server. After a gap, no turn is made of bytes that lie on both sides of it, except a gap that
//! held the ServerHello.
//!
//! HTTP/1 speaks in turns: records of the client, then records of the server until the client speaks again. In HTTP/2 several
//! requests are under way at once, so a record of the server is an answer as long as a request waits for one, and else goes on
//! with the answer before. Left out are the handshake, session tickets, alerts, and the frames of HTTP/2 that control the
//! connection; they are recognised by their lengths.

use super::{
    batch::{self, Batch},
    decrypt::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES, Sender, body_length},
    lengths::Lengths,
};
use crate::capture::Stamp;

/// The most plain bytes of an alert or a key update in TLS 1.3, whose records have the type of content.
const MAX_SIGNAL_BYTES: u32 = 5;
/// The most records of the client that are taken for the end of its handshake in TLS 1.3.
const MAX_HANDSHAKE_RECORDS: u8 = 8;
/// Fewer bytes than these are no request and no answer of HTTP/1: `GET / HTTP/1.1` with a host, and a status line with a date.
const MIN_REQUEST_BYTES: u32 = 30;
const MIN_ANSWER_BYTES: u32 = 60;
/// The lengths of frames of HTTP/2 without content: SETTINGS that acknowledge, WINDOW_UPDATE or RST_STREAM, PING.
const CONTROL_FRAMES: [u32; 3] = [9, 13, 17];
/// The most bytes of the SETTINGS that each side of HTTP/2 begins with, the client's with its preface.
const MAX_SETTINGS_BYTES: u32 = 100;
/// A first record of a server with more bytes than its usual SETTINGS holds an answer too.
const USUAL_SETTINGS_BYTES: u32 = 60;
/// Requests under way whose lengths are remembered.
const REMEMBERED_REQUESTS: usize = 8;
/// Two answers are of equal length if they differ by at most so many bytes.
const EQUAL_WITHIN: u32 = 4;

/// The application protocol that the connection agreed on, if it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreed {
    Http1,
    Http2,
}

/// A request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// The packet of the answer's first byte.
    pub(super) answered: Stamp,
    /// Plain bytes of the request; 0 if the request shares its record with others.
    pub(super) request_bytes: u32,
    pub(super) request_records: u8,
    pub(super) answer_bytes: u32,
    pub(super) answer_records: u8,
}

/// The state of a connection.
#[derive(Debug, Default)]
pub(super) struct Turns {
    phase: Phase,
    protocol: Protocol,
    lengths: Lengths,
    /// Records of the client that were taken for its handshake.
    skipped: u8,
    /// Records with content so far, up to 255.
    contents: u8,
    /// The length of a session ticket, if one was seen.
    ticket: u32,
    asked: Burst,
    answer: Burst,
    answered: Stamp,
    under_way: UnderWay,
    /// Answers of HTTP/2 that may have been written together.
    batch: Batch,
    /// The first turn, until the second one shows whether a session ticket is in it.
    first: Option<(Heard, u32)>,
    is_past_first: bool,
    /// Whether the suite's lengths were inferred, because the ServerHello was not captured.
    is_inferred: bool,
    /// Requests or answers that were not reported because of a gap.
    dropped: u32,
}

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// No ServerHello yet.
    #[default]
    Hello,
    /// The same, and the client encrypts what follows.
    HelloMissing,
    /// The encrypted part of a handshake of TLS 1.3.
    Handshake,
    /// Content.
    Open,
    /// Bytes are missing. The next turn begins when the client speaks after the server.
    Lost { server_spoke: bool },
    /// The lengths are not those of HTTP.
    Other,
}

/// What the connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Protocol {
    /// HTTP/1, unless a length shows HTTP/2.
    #[default]
    Undecided,
    Http1,
    Http2,
}

/// Records that belong together.
#[derive(Debug, Clone, Copy, Default)]
struct Burst {
    bytes: u32,
    records: u8,
    first: u32,
    last: u32,
}

impl Burst {
    fn add(&mut self, bytes: u32) {
        if self.records == 0 {
            self.first = bytes;
        }
        self.last = bytes;
        self.bytes = self.bytes.saturating_add(bytes);
        self.records = self.records.saturating_add(1);
    }
}

/// Requests of HTTP/2 that wait for their answer, the oldest first.
#[derive(Debug, Clone, Copy, Default)]
struct UnderWay {
    lengths: [u16; REMEMBERED_REQUESTS],
    /// How many of the lengths are valid.
    remembered: u8,
    /// Requests beyond those, of which the length is not remembered.
    more: u16,
    /// Answers that may come beyond those, because records of the client may hold several requests.
    spare: u8,
    /// The shortest record of the client that may be a request; 0 before the first.
    shortest: u16,
}

impl UnderWay {
    fn add(&mut self, bytes: u32) {
        let mut bytes = bytes.min(u16::MAX.into()) as u16;
        self.shortest = if self.shortest == 0 { bytes } else { self.shortest.min(bytes) };
        self.spare =
            u8::try_from(bytes / self.shortest.max(1)).unwrap_or(16).saturating_add(self.spare).clamp(1, 16) - 1;
        // Requests of one length in one record are a multiple of it, and no longer request.
        if bytes / 2 >= self.shortest && bytes.is_multiple_of(self.shortest.max(1)) {
            bytes = 0;
        }
        match self.lengths.get_mut(usize::from(self.remembered)) {
            Some(place) => (*place, self.remembered) = (bytes, self.remembered + 1),
            None => self.more = self.more.saturating_add(1),
        }
    }

    /// Takes the oldest request. Returns its length, 0 if that is not remembered.
    fn take(&mut self) -> Option<u32> {
        if self.remembered > 0 {
            let length = self.lengths[0];
            self.lengths.rotate_left(1);
            self.remembered -= 1;
            return Some(length.into());
        }
        self.more = self.more.checked_sub(1)?;
        Some(0)
    }
}

impl Turns {
    /// Takes the cipher suite of the ServerHello, and the protocol that it names (TLS 1.2).
    pub(super) fn server_hello(&mut self, suite: u16, agreed: Option<Agreed>) {
        let is_awaited = matches!(self.phase, Phase::Hello | Phase::HelloMissing);
        self.lengths = Lengths::of(suite);
        if is_awaited {
            self.phase = if self.lengths.finished > 0 { Phase::Handshake } else { Phase::Open };
        }
        self.protocol = match agreed {
            Some(Agreed::Http2) => Protocol::Http2,
            Some(Agreed::Http1) => Protocol::Http1,
            None if self.lengths.is_in_blocks => Protocol::Http1,
            None => Protocol::Undecided,
        };
    }

    /// Takes the next record of a side by its header. `stamp` is the packet of its first byte.
    pub(super) fn record(
        &mut self,
        by: Sender,
        header: [u8; HEADER_BYTES],
        stamp: Stamp,
        report: &mut impl FnMut(Heard),
    ) {
        let (kind, length) = (header[0], body_length(header) as u16);
        if matches!(self.phase, Phase::Hello | Phase::HelloMissing) && by == Sender::Client {
            self.before_hello(kind, length);
            return;
        }
        if kind != APPLICATION_DATA {
            return;
        }
        let plain = self.lengths.plain(length);
        match self.phase {
            Phase::Handshake => self.handshake(by, length),
            Phase::Open if plain > MAX_SIGNAL_BYTES => self.content(by, plain, stamp, report),
            Phase::Lost { .. } if by == Sender::Server => self.phase = Phase::Lost { server_spoke: true },
            Phase::Lost { server_spoke: true } if plain > MAX_SIGNAL_BYTES => {
                self.phase = Phase::Open;
                self.content(by, plain, stamp, report);
            }
            Phase::Hello | Phase::HelloMissing | Phase::Open | Phase::Lost { .. } | Phase::Other => {}
        }
    }

    /// A record of the client, while no ServerHello was captured. The client sends its Finished only after a ServerHello, so
    /// that hello is lost, or comes later in the capture.
    fn before_hello(&mut self, kind: u8, length: u16) {
        if kind == CHANGE_CIPHER_SPEC {
            self.phase = Phase::HelloMissing;
            return;
        }
        // In TLS 1.3 the client need not change its cipher visibly.
        if kind == HANDSHAKE && self.phase == Phase::Hello {
            return;
        }
        if let Some(lengths) = Lengths::of_finished(kind, length) {
            (self.phase, self.lengths, self.is_inferred) = (Phase::Open, lengths, true);
            self.protocol = if lengths.is_in_blocks { Protocol::Http1 } else { Protocol::Undecided };
        }
    }

    /// Records of a side are missing, or their lengths are not known.
    pub(super) fn gap(&mut self) {
        if matches!(self.phase, Phase::Hello | Phase::HelloMissing | Phase::Other) {
            return;
        }
        let is_news = !matches!(self.phase, Phase::Lost { .. });
        self.dropped += u32::from(is_news);
        (self.asked, self.answer) = (Burst::default(), Burst::default());
        self.under_way = UnderWay { shortest: self.under_way.shortest, ..UnderWay::default() };
        self.is_past_first = true;
        self.phase = Phase::Lost { server_spoke: false };
    }

    /// The first bytes of a side are missing, the ServerHello among them. While at most one record of a request waits, they are taken
    /// to be those of the handshake alone.
    pub(super) fn first_gap(&mut self) {
        let is_of_handshake = self.is_inferred && self.asked.records <= 1 && self.answer.records == 0;
        if !is_of_handshake {
            self.gap();
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, report: &mut impl FnMut(Heard)) {
        if self.phase == Phase::Open {
            self.complete(None, report);
        }
        self.batch.settle(report);
        if let Some((first, _)) = self.first.take() {
            report(first);
        }
    }

    /// Whether the connection speaks HTTP/2, as far as lengths show.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    /// Whether lengths are known to 16 bytes only.
    pub(super) fn is_in_blocks(&self) -> bool {
        self.lengths.is_in_blocks
    }

    /// Whether the connection uses TLS 1.3.
    pub(super) fn is_tls13(&self) -> bool {
        self.lengths.finished > 0
    }

    /// Whether the lengths are not those of HTTP.
    pub(super) fn is_other(&self) -> bool {
        self.phase == Phase::Other
    }

    /// Whether the suite's lengths were inferred, because the ServerHello was not captured.
    pub(super) fn is_inferred(&self) -> bool {
        self.is_inferred
    }

    /// Whether the client encrypts, and neither a ServerHello nor the client's Finished shows the lengths.
    pub(super) fn is_unknown(&self) -> bool {
        self.phase == Phase::HelloMissing
    }

    /// Takes the number of gaps that cost a request or an answer since the last call.
    pub(super) fn take_dropped(&mut self) -> u32 {
        std::mem::take(&mut self.dropped)
    }

    /// A record of the encrypted handshake of TLS 1.3. The server's first holds the agreed protocol: EncryptedExtensions has 6
    /// bytes, ALPN adds 9 (`h2`) or 15 (`http/1.1`), and an acknowledged server name 4 (RFC 8446, section 4.3.1).
    fn handshake(&mut self, by: Sender, length: u16) {
        if by == Sender::Server {
            let extensions = self.lengths.plain(length);
            if self.contents == 0 && self.protocol == Protocol::Undecided {
                self.protocol = match extensions {
                    15 | 19 => Protocol::Http2,
                    21 | 25 => Protocol::Http1,
                    _ => Protocol::Undecided,
                };
            }
            self.contents = 1;
            return;
        }
        self.skipped += 1;
        if length == self.lengths.finished || self.skipped >= MAX_HANDSHAKE_RECORDS {
            (self.phase, self.skipped, self.contents) = (Phase::Open, 0, 0);
        }
    }

    fn content(&mut self, by: Sender, plain: u32, stamp: Stamp, report: &mut impl FnMut(Heard)) {
        self.contents = self.contents.saturating_add(1);
        // Each side of HTTP/2 acknowledges the other's SETTINGS soon, with a frame of this length.
        if self.protocol == Protocol::Undecided && self.contents < 12 && plain == CONTROL_FRAMES[0] {
            self.protocol = Protocol::Http2;
            (self.asked, self.answer, self.first) = (Burst::default(), Burst::default(), None);
            // Preface and SETTINGS were before.
            (self.skipped, self.is_past_first) = (3, true);
        }
        match (self.protocol, by) {
            (Protocol::Http2, _) if CONTROL_FRAMES.contains(&plain) => {}
            (Protocol::Http2, Sender::Client) => self.request(plain),
            (Protocol::Http2, Sender::Server) => self.frames(plain, stamp, report),
            (_, Sender::Client) => {
                if self.answer.records > 0 {
                    self.complete(None, report);
                }
                self.asked.add(plain);
            }
            (_, Sender::Server) => self.answer(plain, stamp),
        }
    }

    /// A record of a server that speaks HTTP/1.
    fn answer(&mut self, plain: u32, stamp: Stamp) {
        if self.is_tls13() && !self.is_past_first {
            // Session tickets come in one flight with the first answer or before it; several have one length.
            let is_second_ticket = self.answer.records == 1 && self.answer.bytes == plain;
            if self.asked.records == 0 || plain == self.ticket || is_second_ticket {
                self.ticket = plain;
                self.answer = Burst::default();
                return;
            }
        }
        if self.asked.records == 0 {
            return;
        }
        if self.answer.records == 0 {
            self.answered = stamp;
        }
        self.answer.add(plain);
    }

    /// A record of a client that speaks HTTP/2. Its first has the preface.
    fn request(&mut self, plain: u32) {
        let is_preface = !std::mem::replace(&mut self.is_past_first, true);
        match is_preface {
            true if plain <= MAX_SETTINGS_BYTES => {}
            true => self.under_way.more += 1,
            false => self.under_way.add(plain),
        }
    }

    /// A record of a server that speaks HTTP/2. Its first ones are session tickets and its SETTINGS.
    fn frames(&mut self, plain: u32, stamp: Stamp, report: &mut impl FnMut(Heard)) {
        if self.skipped < 3 {
            self.skipped = if plain <= MAX_SETTINGS_BYTES { 3 } else { self.skipped + 1 };
            if self.skipped == 3 && plain > USUAL_SETTINGS_BYTES {
                self.under_way.take();
            }
            return;
        }
        let request = self.under_way.take().or_else(|| {
            let is_like_last =
                plain.abs_diff(self.answer.first) <= EQUAL_WITHIN || batch::may_follow(self.answer.first, plain);
            let has_spare = self.under_way.spare > 0 && self.answer.records == 1 && is_like_last;
            self.under_way.spare -= u8::from(has_spare);
            // The record of the request before held several, so its length is none of a request.
            self.asked.bytes = if has_spare { 0 } else { self.asked.bytes };
            has_spare.then_some(0)
        });
        match request {
            Some(request) => {
                self.complete(Some(plain), report);
                self.asked.add(request);
                self.answered = stamp;
                self.answer.add(plain);
            }
            None if self.answer.records > 0 => self.answer.add(plain),
            None => {}
        }
    }

    /// Reports the turn that is complete, if there is one. `next` is the length of the record of the next answer.
    fn complete(&mut self, next: Option<u32>, report: &mut impl FnMut(Heard)) {
        let (asked, answer) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.answer));
        if asked.records == 0 || answer.records == 0 {
            return;
        }
        let heard = Heard {
            answered: self.answered,
            request_bytes: asked.bytes,
            request_records: asked.records,
            answer_bytes: answer.bytes,
            answer_records: answer.records,
        };
        if self.protocol == Protocol::Http2 {
            self.batch.pass(heard, next, report);
            return;
        }
        if asked.bytes < MIN_REQUEST_BYTES || answer.bytes < MIN_ANSWER_BYTES {
            (self.phase, self.first) = (Phase::Other, None);
            return;
        }
        if self.is_tls13() && !self.is_past_first {
            (self.is_past_first, self.first) = (true, Some((heard, answer.last)));
            return;
        }
        self.is_past_first = true;
        if let Some((mut first, last)) = self.first.take() {
            // A single session ticket cannot be told from the head of an answer, except by the next answer.
            if first.answer_records > 1 && last.abs_diff(heard.answer_bytes) <= EQUAL_WITHIN {
                (first.answer_bytes, first.answer_records) = (last, 1);
            }
            report(first);
        }
        report(heard);
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
