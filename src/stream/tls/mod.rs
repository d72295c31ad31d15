//! TLS.
//!
//! In: the bytes of both sides. Out: what is inside, as an inner stream that is probed like a connection, as far as its secrets
//! are known; and handshakes that fail. Promises: without secrets, nothing is read after the handshake in clear. Records that
//! nobody needs are not decrypted. What waits for secrets is limited. Whatever could not be decrypted is counted by its cause.
//!
//! # The way of a record
//!
//! 1. `Records` cuts the bytes of a side into records. It keeps a record's body only if it is wanted.
//! 2. `Session` follows the handshake and opens records. It is given the records of both sides in the order of capture.
//! 3. `Inner` passes on the data. Its offsets are those of the data, without records. If the beginning of a record is enough, it is
//!    given that before the record is whole (`beginning`).
//! 4. `Held` keeps records whose secret is not there yet, and all records after them.
//! 5. `Failure` reports a handshake that failed.

mod ahead;
mod batch;
mod beginning;
#[cfg(test)]
mod beginning_tests;
mod decrypt;
#[cfg(test)]
mod early_data_tests;
mod facts;
mod failure;
mod follow;
mod held;
mod inner;
#[cfg(test)]
mod late_side_tests;
mod lengths;
mod reading;
pub mod secrets;
mod shared;
#[cfg(test)]
mod tests;
mod turns;

use std::time::Duration;

pub use self::shared::TlsKeys;
pub(crate) use self::{decrypt::Cause, shared::TlsShared};

use self::{
    ahead::Ahead,
    decrypt::{ALERT, APPLICATION_DATA, GapEffect, HANDSHAKE, HEADER_BYTES, Records, Sender, Session, body_length},
    failure::Failure,
    follow::Follower,
    held::{Held, Unit},
    inner::Inner,
    shared::Spare,
};
use super::{
    End, GapKind, Parser, Probe,
    context::{Origin, ParserContext},
    registry::Reader,
    settings::StreamSettings,
    unread,
};
use crate::{
    capture::Stamp,
    exchange::ExchangeSink,
    tcp::{Chunk, ChunkContext, Direction},
    time::Timestamp,
};

/// The first byte of a record with data.
pub(super) const FIRST_OF_DATA: u8 = APPLICATION_DATA;

/// Handshake messages (RFC 8446, section 4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// An alert that ends the connection (RFC 8446, section 6).
const FATAL: u8 = 2;

/// The least that protection adds to the data of a record: tag and inner type (RFC 8446, section 5.2).
const MIN_OVERHEAD: usize = 17;

/// The most packets of a record whose stamps are kept apart.
const MOST_ORIGINS: usize = 64;

/// How often secrets are looked for while records wait, in packet time.
const RETRY: Duration = Duration::from_secs(1);

/// A TLS connection.
#[derive(Default)]
pub(crate) struct Tls {
    sides: [Side; 2],
    session: Session,
    /// Who sent the ClientHello, or is taken for the client.
    client: Option<Direction>,
    failure: Failure,
    /// Records that were captured before what the other side had sent first.
    ahead: Option<Box<Ahead>>,
    /// The side that was captured too late, and the offset up to which that is so.
    late: Option<(Direction, u64)>,
    /// Records that wait for their secrets.
    held: Option<Box<Held>>,
    /// The offset of each side from which on bytes were not read that may be data, while no data was opened.
    lost_from: [Option<u64>; 2],
    /// Whether some of these bytes are taken for data: the number of the next record does not show that they are missing.
    has_lost_data: [bool; 2],
    /// The stream inside, once a record was opened.
    inner: Option<Box<Inner>>,
    /// Why records could not be opened, the first time.
    cause: Option<Cause>,
    /// Follows the records as long as nothing was decrypted, if turns are wanted.
    follower: Option<Box<Follower>>,
    /// Whether it was counted by what was read of it.
    is_counted: bool,
    is_over: bool,
}

impl std::fmt::Debug for Tls {
    /// Shows no secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("client", &self.client)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

/// One side.
#[derive(Debug, Default)]
struct Side {
    records: Records,
    /// The offset from which on the side's bytes are expected, as long as none came.
    expected_from: Option<u64>,
    /// The packets of the record that has begun and is not whole.
    origins: Vec<Origin>,
    body: Body,
}

/// What becomes of the body of the record that has begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Body {
    /// It is kept, or of no use.
    #[default]
    Plain,
    /// It is kept, and its first `handed_on` bytes of data were handed on already. Then come `data` bytes more.
    Begun { data: u64, handed_on: u64 },
    /// After its first `handed_on` bytes of data it is not decrypted, because nobody needs the next `data` bytes, which are the rest.
    Skipped {
        data: u64,
        handed_on: u64,
        /// Whether bytes of the rest are missing.
        has_hole: bool,
    },
}

impl Parser for Tls {
    /// Returns whether a handshake record or an alert begins at the first byte.
    #[inline]
    fn probe(bytes: &[u8]) -> Probe {
        let (Some(&(HANDSHAKE | ALERT)), major, minor) = (bytes.first(), bytes.get(1), bytes.get(2)) else {
            return Probe::Other;
        };
        // The values 1 and 2 are ClientHello and ServerHello in a handshake record, warning and fatal in an alert.
        match (major, minor, bytes.get(5)) {
            (Some(3), Some(0..=4), Some(1 | 2)) => Probe::Certain,
            (None | Some(3), None | Some(0..=4), None) => Probe::Undecided,
            _ => Probe::Other,
        }
    }

    fn begin<K: ExchangeSink>(around: &mut ParserContext<'_, K>) -> Self {
        around.shared.counters.tls_handshakes += 1;
        let mut tls = Self { follower: around.shared.settings.follow_turns.then(Box::default), ..Self::default() };
        let other = around.direction().opposite();
        tls.sides[other as usize].expected_from = Some(around.sides[other as usize].offset);
        tls
    }

    fn bytes<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, bytes: &[u8], at: usize) -> usize {
        let direction = around.direction();
        if !self.awaits_something() && self.sides[direction as usize].records.pass_within(bytes.len()) {
            return bytes.len();
        }
        let start = around.chunk.offset + at as u64;
        self.tell_first_gap(around, start);
        if let Some(follower) = &mut self.follower
            && follower.is_alone(direction)
        {
            follower.bytes(around, (self.client, &self.session), bytes);
            return bytes.len();
        }
        let here = Origin::within(around.chunk, at);
        self.retry(around);
        let mut rest = bytes;
        while around.reader(direction) == Reader::Tls {
            let Some(piece) = self.sides[direction as usize].records.next(&mut rest, &mut around.shared.tls.spare.body)
            else {
                break;
            };
            let end = start + (bytes.len() - rest.len()) as u64;
            self.piece(around, piece, (end, rest), here);
        }
        self.sides[direction as usize].note_origin(here, &mut around.shared.tls.spare);
        if let Some(follower) = &mut self.follower {
            follower.bytes(around, (self.client, &self.session), bytes);
        }
        self.read_up_to(around, start + bytes.len() as u64);
        bytes.len()
    }

    fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, kind: GapKind) {
        self.sides[around.direction() as usize].expected_from = None;
        if let Some(follower) = &mut self.follower {
            follower.gap(around, length);
            if follower.is_alone(around.direction()) {
                return;
            }
        }
        if !around.shared.tls.expects_secrets() {
            return self.leave_side(around);
        }
        let side = &mut self.sides[around.direction() as usize];
        side.body = side.body.with_gap(kind);
        // If its beginning was handed on, the rest of a record is known to be missing.
        let of_record =
            (side.body.handed_on() > 0).then(|| side.records.left()).flatten().filter(|left| *left < length);
        let (start, end) = (around.chunk.offset, around.chunk.offset.saturating_add(length));
        let within = of_record.map_or(start, |left| start + left);
        if within > start {
            self.missing(around, within - start, within);
        }
        self.missing(around, end - within, end);
        self.read_up_to(around, end);
    }

    fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, end: End) {
        if let Some(follower) = &mut self.follower {
            follower.end(around, &self.session, end);
        }
        self.retry(around);
        match end {
            End::Fin { .. } => {
                self.unit(around, &Unit::Fin);
                self.side_ends(around, around.now());
            }
            End::Reset { by, took_effect } if by == around.direction() => {
                self.give_up_waiting(around);
                if let Some(inner) = &mut self.inner {
                    inner.ends(around, Chunk::Reset);
                }
                self.side_ends(around, took_effect);
            }
            End::Reset { .. } => {}
            End::Flow => {
                self.count_at_end(around);
                self.let_go(around);
            }
        }
    }

    fn deadline(&self, settings: &StreamSettings) -> Option<Timestamp> {
        let retry = self.held.as_ref().map(|held| held.tried.plus(RETRY));
        let ahead = self.ahead.as_ref().map(|ahead| ahead.since.plus(settings.early_patience));
        retry.into_iter().chain(ahead).min()
    }

    fn outlives_flow(&self) -> bool {
        self.held.is_some()
    }

    fn stop_waiting<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        self.go_ahead(around);
        self.retry(around);
        self.give_up_waiting(around);
    }

    fn time<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let early_patience = around.shared.settings.early_patience;
        if self.ahead.as_ref().is_some_and(|ahead| ahead.since.plus(early_patience) < around.now().time) {
            self.go_ahead(around);
        }
        self.retry(around);
        let patience = around.shared.settings.tls_patience;
        if self.held.as_ref().is_some_and(|held| held.since.plus(patience) < around.now().time) {
            self.give_up_waiting(around);
        }
    }

    fn unneeded(&self, direction: Direction) -> u64 {
        let records = self.sides[direction as usize].records.unneeded();
        match &self.follower {
            Some(follower) if follower.is_alone(direction) => follower.unneeded(direction),
            Some(follower) => follower.unneeded(direction).min(records),
            None => records,
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Tls {
    /// The first bytes of the current side begin at `start`. If bytes before them were lost, this notes it: nobody has told this parser,
    /// because it did not read the side yet.
    fn tell_first_gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, start: u64) {
        let side = &mut self.sides[around.direction() as usize];
        let until = side.expected_from.take();
        if let Some(offset) = until.filter(|until| *until < start) {
            let chunk = ChunkContext { offset, ..*around.chunk };
            self.gap(&mut around.with_chunk(&chunk), start - offset, GapKind::NotCaptured);
        }
    }

    /// So many bytes of the current side are missing, which end at the offset `end`.
    fn missing<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64, end: u64) {
        let side = &mut self.sides[around.direction() as usize];
        match (side.records.gap(length), side.body) {
            (GapEffect::Inside, _) => {}
            (GapEffect::Ends(header), Body::Skipped { .. }) => self.passed(around, header, end),
            (GapEffect::Ends(header), _) => self.unit(around, &Unit::Passed { header, end }),
            (GapEffect::Lost, _) => {
                side.body = Body::Plain;
                self.unit(around, &Unit::Missing(length));
            }
        }
    }

    /// Returns whether bytes of a body that is not kept may matter to anything.
    #[inline]
    fn awaits_something(&self) -> bool {
        self.held.is_some() || self.ahead.is_some() || self.follower.is_some()
    }

    /// Counts a connection that has ended. Where secrets were there for all its records and none held data, nothing is unread.
    fn count_at_end<K>(&mut self, around: &mut ParserContext<'_, K>) {
        let has_no_data = self.inner.is_none() && self.cause.is_none() && around.shared.tls.expects_secrets();
        if has_no_data && !std::mem::replace(&mut self.is_counted, true) {
            around.shared.counters.tls_without_data += 1;
        }
        self.count_unread(around);
    }

    /// Counts a connection that was not read, or not wholly.
    fn count_unread<K>(&mut self, around: &mut ParserContext<'_, K>) {
        if self.is_counted {
            return;
        }
        self.is_counted = true;
        match self.cause {
            cause if self.inner.is_none() => {
                around.shared.counters.tls_unread += 1;
                unread::note(&mut around.shared.unread.tls, around.flow);
                cause.into_iter().for_each(|cause| around.shared.counters.note_tls_cause(cause));
            }
            Some(_) => around.shared.counters.tls_partly_read += 1,
            None => {}
        }
    }

    /// Who is the client of a connection whose first record is this one.
    fn client_of<K>(&self, around: &ParserContext<'_, K>, header: [u8; HEADER_BYTES], body: &[u8]) -> Direction {
        let direction = around.direction();
        let [one, other] = [direction, direction.opposite()].map(|side| around.flow.sender(side).port);
        match (around.flow.opened_by, header[0], body.first()) {
            (Some(opener), ..) => opener,
            (None, HANDSHAKE, Some(&CLIENT_HELLO)) => direction,
            (None, HANDSHAKE, Some(&SERVER_HELLO)) => direction.opposite(),
            // The lower port is most likely the server's.
            _ if one < other => direction.opposite(),
            _ => direction,
        }
    }

    fn sender(&self, direction: Direction) -> Sender {
        if self.client.is_none_or(|client| client == direction) { Sender::Client } else { Sender::Server }
    }

    /// Stops reading the current side, because it is encrypted from here on or bytes are missing.
    fn leave_side<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>) {
        let direction = around.direction();
        if !around.shared.tls.expects_secrets() {
            self.cause.get_or_insert(Cause::NoKeys);
        }
        if let Some(follower) = &mut self.follower {
            if follower.take_over(direction) {
                self.count_unread(around);
                self.failure.let_go(around);
            }
            return;
        }
        around.sides[direction as usize].reader = Reader::Opaque;
        if around.reader(direction.opposite()) == Reader::Opaque {
            self.count_unread(around);
            self.let_go(around);
        }
    }

    /// Drops what is kept: nothing more is read.
    fn let_go<K>(&mut self, around: &mut ParserContext<'_, K>) {
        self.is_over = true;
        self.failure.let_go(around);
        if let Some(mut held) = self.held.take() {
            held.clear(around);
        }
        if let Some(mut ahead) = self.ahead.take() {
            ahead.clear(around);
        }
    }

    /// Handles the end of a side. If the server ends the connection after the ClientHello without sending a byte, the
    /// handshake has failed.
    fn side_ends<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, when: Stamp) {
        let by = around.direction();
        let is_refused = self.client == Some(by.opposite())
            && self.failure.is_possible()
            && around.sides[by as usize].offset == 0
            && !around.has_ended(by.opposite())
            && around.flow.is_whole();
        if is_refused {
            self.fail(around, None, when);
        } else if self.inner.is_none()
            && self.held.is_none()
            && self.ahead.is_none()
            && around.sides.iter().all(|side| side.has_ended)
        {
            around.leave_both_sides();
            self.count_at_end(around);
            self.let_go(around);
        }
    }

    /// Reports that the current side made the handshake fail: with an alert and the offset of its last byte, or without an
    /// alert.
    fn fail<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, alert: Option<(u8, u64)>, when: Stamp) {
        let by = around.direction();
        // If no ClientHello was seen, the side that opened the connection is the client.
        let client = if self.failure.is_possible() { self.client } else { around.flow.opened_by };
        let is_other_side_tls = !matches!(around.reader(by.opposite()), Reader::Undecided | Reader::Http1);
        if client != Some(by) || is_other_side_tls {
            around.leave_both_sides();
        } else {
            // The server may not have received these bytes of the client. What the server sends shows its protocol.
            around.sides[by as usize].reader = Reader::Opaque;
        }
        self.is_over = true;
        if let Some(client) = client {
            self.failure.report(around, client, self.session.facts(), alert, when);
        }
        self.let_go(around);
    }
}

impl Body {
    /// What becomes of it if bytes of it are missing.
    fn with_gap(self, kind: GapKind) -> Self {
        let is_hole = kind != GapKind::NotKept;
        match self {
            Self::Plain => Self::Plain,
            Self::Begun { data, handed_on } => Self::Skipped { data, handed_on, has_hole: is_hole },
            Self::Skipped { data, handed_on, has_hole } => {
                Self::Skipped { data, handed_on, has_hole: has_hole || is_hole }
            }
        }
    }

    /// The bytes of data that were handed on before the record was whole.
    fn handed_on(self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::Begun { handed_on, .. } | Self::Skipped { handed_on, .. } => handed_on,
        }
    }
}

impl Side {
    /// Notes the packet of bytes of a record that is not whole yet.
    fn note_origin(&mut self, here: Origin, spare: &mut Spare) {
        if self.records.held() > 0 {
            if self.origins.capacity() == 0 {
                self.origins = std::mem::take(&mut spare.origins);
            }
            if self.origins.len() < MOST_ORIGINS {
                self.origins.push(here);
            }
        } else {
            self.origins.clear();
        }
    }
}

/// Returns whether bytes at the beginning of a segment are those of a record with data, and the header of the next record follows if
/// the bytes go on. A connection whose beginning was not captured may be TLS then.
pub(super) fn begins_record(bytes: &[u8]) -> bool {
    let is_header = |header: &[u8]| matches!(header, [APPLICATION_DATA, 3, 1..=3, high, ..] if *high <= 0x48);
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return false };
    let next = bytes.get(HEADER_BYTES + body_length(*header)..).unwrap_or_default();
    is_header(header) && body_length(*header) >= MIN_OVERHEAD && (next.is_empty() || is_header(next))
}

/// Returns whether a record with this header is in clear, at the beginning of a connection.
fn is_clear([kind, major, _, high, low]: [u8; HEADER_BYTES]) -> bool {
    let length = u16::from_be_bytes([high, low]);
    let is_clear = match kind {
        // An encrypted alert is longer.
        ALERT => length == 2,
        HANDSHAKE => length != 0,
        _ => false,
    };
    is_clear && major == 3
}
