//! Follows the records of a TLS connection whose content cannot be read.
//!
//! In: the bytes of both sides, however they are cut, and what the session knows of the hellos. Out: a [`Turn`] for each request with
//! its answer. Promises: only headers are looked at; a hole within a record costs nothing, any other one at most two turns.

use std::sync::Arc;

use super::{
    super::{End, context::ParserContext, grade},
    decrypt::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HEADER_BYTES, MAX_BODY_BYTES, Sender, Session, body_length},
    facts,
    turns::{Agreed, Heard, Turns},
};
use crate::{
    exchange::{ExchangeSink, TlsConnection, Turn, TurnFlags},
    tcp::Direction,
};

/// The records of both sides, and their turns.
#[derive(Debug, Default)]
pub(super) struct Follower {
    sides: [Headers; 2],
    client: Option<Direction>,
    turns: Turns,
    has_server_hello: bool,
    has_grease: bool,
    /// What the hellos show, once there is a turn.
    connection: Option<Arc<TlsConnection>>,
    is_told_other: bool,
    is_told_inferred: bool,
}

/// The record layer of one side, of which only headers are read.
///
/// [`Records`](super::decrypt::Records) reads a side whose content may be decrypted: after a loss it searches every byte for a record
/// and keeps what may be one, and it closes the side if it finds none. Here a side keeps nothing, and is found again at any chunk that
/// begins with a record.
#[derive(Debug, Default)]
struct Headers {
    header: [u8; HEADER_BYTES],
    header_bytes: u8,
    /// Bytes of the record that have not come yet.
    left: u16,
    /// Whether the beginning of the next record is not known.
    is_lost: bool,
    /// Whether bytes of the side have come, or are known to be missing.
    has_begun: bool,
    /// Whether nothing else reads the side.
    is_alone: bool,
}

/// Returns whether these bytes may be the header of a record.
fn is_header(header: [u8; HEADER_BYTES]) -> bool {
    let [kind, major, minor, ..] = header;
    (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind)
        && major == 3
        && minor <= 4
        && body_length(header) <= MAX_BODY_BYTES
}

impl Headers {
    /// Reads on up to the end of a header or of a record. Returns how many bytes were read, and the header that is whole now.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<[u8; HEADER_BYTES]>) {
        self.has_begun = true;
        if usize::from(self.header_bytes) < HEADER_BYTES {
            let at = usize::from(self.header_bytes);
            let taken = bytes.len().min(HEADER_BYTES - at);
            self.header[at..at + taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken as u8;
            if usize::from(self.header_bytes) < HEADER_BYTES {
                return (taken, None);
            }
            self.left = body_length(self.header) as u16;
            self.pass(0);
            return (taken, Some(self.header));
        }
        let taken = bytes.len().min(usize::from(self.left));
        self.pass(taken as u16);
        (taken, None)
    }

    fn pass(&mut self, bytes: u16) {
        self.left -= bytes;
        if self.left == 0 {
            self.header_bytes = 0;
        }
    }

    /// Bytes are missing. Returns whether the lengths of records are still known.
    fn skip(&mut self, length: u64) -> bool {
        match u16::try_from(length) {
            Ok(length) if usize::from(self.header_bytes) == HEADER_BYTES && length <= self.left => {
                self.pass(length);
                true
            }
            _ => {
                (self.is_lost, self.header_bytes, self.left, self.has_begun) = (true, 0, 0, true);
                false
            }
        }
    }

    /// Looks for the beginning of a record at the beginning of a chunk.
    fn find(&mut self, bytes: &[u8]) {
        if let Some((&header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>()
            && is_header(header)
            && header[0] == APPLICATION_DATA
            && body_length(header) != 0
        {
            let next = rest.get(body_length(header)..).unwrap_or_default();
            self.is_lost = next.first_chunk::<HEADER_BYTES>().is_some_and(|next| !is_header(*next));
        }
    }
}

impl Follower {
    /// Takes bytes of the current side, of which the session has read what it wants. `client` is who is the client, if it is known.
    pub(super) fn bytes<K: ExchangeSink>(
        &mut self,
        around: &mut ParserContext<'_, K>,
        (client, session): (Option<Direction>, &Session),
        mut bytes: &[u8],
    ) {
        let direction = around.direction();
        if self.turns.is_other() {
            return;
        }
        self.client = client;
        self.learn(session);
        if self.sides[direction as usize].is_lost {
            self.sides[direction as usize].find(bytes);
        }
        while !bytes.is_empty() && !self.sides[direction as usize].is_lost {
            let side = &mut self.sides[direction as usize];
            let (taken, header) = side.take(bytes);
            bytes = &bytes[taken..];
            let Some(header) = header else { continue };
            if !is_header(header) {
                self.sides[direction as usize].skip(u64::MAX);
                self.turns.gap();
                break;
            }
            if let Some(client) = self.client {
                let by = if direction == client { Sender::Client } else { Sender::Server };
                let stamp = around.chunk.carried;
                let flags = self.flags();
                let connection = &mut self.connection;
                self.turns.record(by, header, stamp, &mut |heard| {
                    report(around, client, flags, (connection, session), heard);
                });
            }
        }
        self.count(around);
    }

    /// Bytes of the current side are missing.
    pub(super) fn gap<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, length: u64) {
        let side = &mut self.sides[around.direction() as usize];
        let is_first = !side.has_begun;
        if !side.skip(length) {
            if is_first {
                self.turns.first_gap();
            } else {
                self.turns.gap();
            }
            self.count(around);
        }
    }

    /// Returns how many of a side's next bytes are not looked at.
    pub(super) fn unneeded(&self, direction: Direction) -> u64 {
        let side = &self.sides[direction as usize];
        if side.is_lost { 0 } else { side.left.into() }
    }

    /// A side has ended, or the connection. What the server sends after the client's end still belongs to its answer.
    pub(super) fn end<K: ExchangeSink>(&mut self, around: &mut ParserContext<'_, K>, session: &Session, end: End) {
        if end == End::Flow {
            around.shared.counters.tls_not_followed += u64::from(self.turns.is_unknown());
        }
        let is_over = |client| around.direction() != client || end == End::Flow;
        if let Some(client) = self.client.filter(|client| is_over(*client)) {
            let flags = self.flags();
            let connection = &mut self.connection;
            self.turns.end(&mut |heard| report(around, client, flags, (connection, session), heard));
        }
    }

    /// Takes over a side that nothing else reads any more. Returns whether it has both sides now.
    pub(super) fn take_over(&mut self, direction: Direction) -> bool {
        self.sides[direction as usize].is_alone = true;
        self.sides.iter().all(|side| side.is_alone)
    }

    /// Returns whether nothing else reads a side.
    pub(super) fn is_alone(&self, direction: Direction) -> bool {
        self.sides[direction as usize].is_alone
    }

    fn flags(&self) -> TurnFlags {
        let mut flags = TurnFlags::default();
        flags.add_if(self.turns.is_multiplexed(), TurnFlags::MULTIPLEXED);
        flags.add_if(self.turns.is_in_blocks(), TurnFlags::BLOCKS);
        flags.add_if(self.turns.is_tls13(), TurnFlags::TLS13);
        flags.add_if(self.has_grease, TurnFlags::GREASE);
        flags
    }

    fn count<K>(&mut self, around: &mut ParserContext<'_, K>) {
        around.shared.counters.tls_turns_dropped += u64::from(self.turns.take_dropped());
        if self.turns.is_other() && !std::mem::replace(&mut self.is_told_other, true) {
            around.shared.counters.tls_not_http += 1;
        }
        if self.turns.is_inferred() && !std::mem::replace(&mut self.is_told_inferred, true) {
            around.shared.counters.tls_suites_inferred += 1;
        }
    }

    /// Takes what the hellos show from the session.
    fn learn(&mut self, session: &Session) {
        let Some(facts) = session.facts() else { return };
        self.has_grease = facts.offers_grease;
        if facts.version != 0 && !std::mem::replace(&mut self.has_server_hello, true) {
            let agreed = match &*facts.alpn {
                b"h2" => Some(Agreed::Http2),
                b"http/1.1" => Some(Agreed::Http1),
                _ => None,
            };
            self.turns.server_hello(facts.suite, agreed);
        }
    }
}

/// Gives a turn to the sink. What the hellos show is taken from the session at the first turn: both hellos come before it.
fn report<K: ExchangeSink>(
    around: &mut ParserContext<'_, K>,
    client: Direction,
    flags: TurnFlags,
    (connection, session): (&mut Option<Arc<TlsConnection>>, &Session),
    heard: Heard,
) {
    if connection.is_none() {
        *connection = session.facts().map(facts::shared);
    }
    around.shared.counters.tls_turns += 1;
    let turn = Turn {
        time: heard.answered.time,
        packet: heard.answered.number,
        client: around.flow.sender(client),
        server: around.flow.sender(client.opposite()),
        request_bytes: heard.request_bytes,
        answer_bytes: heard.answer_bytes,
        request_records: heard.request_records,
        answer_records: heard.answer_records,
        flags,
        grade: grade::of_connection(around.flow, around.sides),
        connection: connection.clone(),
    };
    let now = around.now();
    around.shared.sink.turn(&turn, now);
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
