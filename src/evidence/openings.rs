//! The beginnings of connections, for files whose packets begin later.
//!
//! In: the packets of clients, in order. Out: for a file that takes a connection's packet, the connection's first packets, where they
//! came before the time of the file. Promises: at most twice [`MOST_OF_CONNECTION`] bytes are held of a connection, [`MOST_BYTES`] and
//! [`MOST_CONNECTIONS`] in all, whatever comes; a connection that is over is forgotten.
//!
//! TLS is read from its handshake on, and HTTP/2 from the first entry of its header tables. A connection that begins as HTTP/1 needs no
//! beginning, so only its existence is remembered. If there is no room, the connection goes that has had no packet for longest.
//!
//! A connection is over once both ends have sent FIN or RST, or the end that was connected to has sent RST. Until then another SYN of the
//! same ends may be a new connection, whose predecessor's end was lost, or a lie of the client, which the server ignores. So both
//! beginnings are held: the oldest and the latest.

use std::collections::{BTreeMap, HashMap};

use super::selection::{ClientSegment, Connection};
use crate::{
    capture::{LinkType, Packet, Stamp},
    decode::{SegmentStart, TcpFlags},
    keyed_hash::KeyedState,
    time::Timestamp,
};

/// The most bytes of packets that are held of one beginning: a handshake with long certificates, and some exchanges.
const MOST_OF_CONNECTION: usize = 64 << 10;
/// The most packets that are held of one beginning.
const MOST_PACKETS: usize = 256;
/// The most bytes of packets that are held in all.
const MOST_BYTES: usize = 32 << 20;
/// The most files of which a connection remembers that they have its beginning.
const MOST_FILES: usize = 256;
/// The most connections that are known.
const MOST_CONNECTIONS: usize = 65_536;

/// What a file lacks of a connection.
#[derive(Debug)]
pub enum Beginning<'a> {
    /// These packets came before the time of the file.
    Packets {
        /// The packets.
        packets: Vec<Packet<'a>>,
        /// Whether later packets of the connection are not held.
        has_gap: bool,
    },
    /// The connection looks like TLS, and its beginning is not held.
    Missing,
}

/// The beginnings that are held.
#[derive(Debug, Default)]
pub struct Openings {
    connections: HashMap<Connection, Opening, KeyedState>,
    /// The connections by their turn: the one without a packet for longest comes first.
    order: BTreeMap<u64, Connection>,
    /// The latest turn. The first is 1.
    latest: u64,
    /// Bytes of packets that are held.
    bytes: usize,
}

/// What the table holds of one connection.
#[derive(Debug)]
struct Opening {
    /// Its place in the order.
    turn: u64,
    kind: Kind,
    /// The packets from the first one on, and from the latest of further SYNs on.
    beginnings: [FirstPackets; 2],
    /// Whether there was a further SYN.
    is_again: bool,
    /// Bytes of all packets that are held.
    bytes: usize,
    /// Whether the lower end sent the first SYN; `None` if there was none.
    opened_by_lower: Option<bool>,
    /// Which ends have sent FIN or RST: the lower one, the other one.
    finished: [bool; 2],
    /// The last files that have the beginning, or know that it is missing: at most [`MOST_FILES`].
    given_to: Vec<u64>,
}

/// Packets without a hole.
#[derive(Debug, Default)]
struct FirstPackets {
    packets: Vec<HeldPacket>,
    bytes: usize,
    /// Whether a packet was not held any more.
    is_full: bool,
}

impl FirstPackets {
    fn take(&mut self, packet: &Packet<'_>) {
        self.is_full |= self.bytes + packet.data.len() > MOST_OF_CONNECTION || self.packets.len() >= MOST_PACKETS;
        if !self.is_full {
            self.bytes += packet.data.len();
            self.packets.push(HeldPacket::of(packet));
        }
    }
}

/// What a connection needs to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No payload was seen yet.
    New,
    /// It may be TLS or HTTP/2, so its beginning is held.
    NeedsBeginning,
    /// It can be read from anywhere.
    NeedsNothing,
    /// Its beginning was not seen, or is not held any more.
    Joined,
}

/// A packet that is held.
#[derive(Debug)]
struct HeldPacket {
    stamp: Stamp,
    link_type: LinkType,
    interface: u16,
    wire_length: u32,
    data: Box<[u8]>,
}

impl HeldPacket {
    fn of(packet: &Packet<'_>) -> Self {
        let Packet { stamp, link_type, interface, wire_length, data } = *packet;
        Self { stamp, link_type, interface, wire_length, data: data.into() }
    }

    fn packet(&self) -> Packet<'_> {
        let Self { stamp, link_type, interface, wire_length, ref data } = *self;
        Packet { stamp, link_type, interface, wire_length, data }
    }
}

impl Openings {
    /// Notes a packet of a connection.
    pub fn note(&mut self, segment: &ClientSegment, packet: &Packet<'_>) {
        let ClientSegment { connection, is_from_lower, start } = *segment;
        let begins = start.flags.has(TcpFlags::SYN) && !start.flags.has(TcpFlags::ACK);
        if !self.connections.contains_key(&connection) {
            match () {
                () if begins || starts_connection(start) => self.insert(connection, Opening::new(Kind::New)),
                () if start.has_payload => self.insert(connection, Opening::new(Kind::Joined)),
                () => return,
            }
        }
        self.touch(connection);
        let Some(known) = self.connections.get_mut(&connection) else { return };
        let held = known.bytes;
        known.take(segment, begins, packet);
        self.bytes = self.bytes + known.bytes - held;
        if known.ends_with(start.flags, is_from_lower) {
            self.forget(&connection);
        }
        self.make_room();
    }

    /// What the file with this number, whose packets begin at `start`, lacks of the connection of a packet that was just noted. A file
    /// gets this answer once for each connection.
    pub fn before(&mut self, segment: &ClientSegment, file: u64, start: Timestamp) -> Option<Beginning<'_>> {
        let known = self.connections.get_mut(&segment.connection)?;
        let is_missing = match known.kind {
            Kind::New | Kind::NeedsBeginning => false,
            Kind::Joined if is_record(segment.start) => true,
            Kind::NeedsNothing | Kind::Joined => return None,
        };
        let is_earlier = |held: &&HeldPacket| held.stamp.time < start;
        let is_older = known.beginnings[0].packets.first().filter(is_earlier).is_some();
        if !(is_missing || is_older) || known.given_to.contains(&file) {
            return None;
        }
        known.note_file(file);
        if is_missing {
            return Some(Beginning::Missing);
        }
        let held = known.beginnings.iter().flat_map(|beginning| &beginning.packets);
        let packets = held.filter(is_earlier).map(HeldPacket::packet).collect();
        Some(Beginning::Packets { packets, has_gap: known.beginnings.iter().any(|beginning| beginning.is_full) })
    }

    /// Takes over the beginnings of connections that are not known yet.
    pub fn adopt(&mut self, others: Self) {
        let Self { mut connections, order, .. } = others;
        for connection in order.into_values() {
            let Some(opening) = connections.remove(&connection) else { continue };
            match self.connections.get_mut(&connection) {
                Some(known) => opening.given_to.into_iter().for_each(|file| known.note_file(file)),
                None => self.insert(connection, opening),
            }
        }
        self.make_room();
    }

    fn insert(&mut self, connection: Connection, opening: Opening) {
        self.bytes += opening.bytes;
        // A turn of another table means nothing here.
        self.connections.insert(connection, Opening { turn: 0, ..opening });
        self.touch(connection);
    }

    /// Makes a connection the last one to make room.
    fn touch(&mut self, connection: Connection) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        self.order.remove(&known.turn);
        self.latest += 1;
        known.turn = self.latest;
        self.order.insert(self.latest, connection);
    }

    fn forget(&mut self, connection: &Connection) {
        if let Some(known) = self.connections.remove(connection) {
            self.order.remove(&known.turn);
            self.bytes -= known.bytes;
        }
    }

    fn make_room(&mut self) {
        while self.bytes > MOST_BYTES || self.connections.len() > MOST_CONNECTIONS {
            let Some((_, connection)) = self.order.pop_first() else { return };
            self.forget(&connection);
        }
    }
}

impl Opening {
    fn new(kind: Kind) -> Self {
        Self {
            turn: 0,
            kind,
            beginnings: Default::default(),
            is_again: false,
            bytes: 0,
            opened_by_lower: None,
            finished: [false; 2],
            given_to: Vec::new(),
        }
    }

    /// Takes the next packet of the connection.
    fn take(&mut self, segment: &ClientSegment, begins: bool, packet: &Packet<'_>) {
        let ClientSegment { is_from_lower, start, .. } = *segment;
        if begins && self.kind == Kind::New {
            self.opened_by_lower.get_or_insert(is_from_lower);
        } else if begins && self.kind == Kind::NeedsBeginning {
            self.is_again = true;
            self.beginnings[1] = FirstPackets::default();
        } else if begins {
            self.kind = Kind::New;
        }
        if self.kind == Kind::New && start.has_payload {
            self.kind = if is_http1(start) { Kind::NeedsNothing } else { Kind::NeedsBeginning };
        }
        match self.kind {
            Kind::New | Kind::NeedsBeginning => self.beginnings[usize::from(self.is_again)].take(packet),
            Kind::NeedsNothing => self.beginnings = Default::default(),
            Kind::Joined => {}
        }
        self.bytes = self.beginnings.iter().map(|beginning| beginning.bytes).sum();
    }

    /// Notes that a file has the beginning, or knows that it is missing.
    fn note_file(&mut self, file: u64) {
        if self.given_to.len() >= MOST_FILES {
            self.given_to.remove(0);
        }
        self.given_to.push(file);
    }

    /// Notes the end of one side. Returns whether the connection is over.
    fn ends_with(&mut self, flags: TcpFlags, is_from_lower: bool) -> bool {
        let is_reset = flags.has(TcpFlags::RST);
        self.finished[usize::from(!is_from_lower)] |= is_reset || flags.has(TcpFlags::FIN);
        let is_refused = is_reset && self.opened_by_lower.is_some_and(|by_lower| by_lower != is_from_lower);
        is_refused || self.finished == [true; 2]
    }
}

/// Returns whether a segment begins like a record of TLS.
fn is_record(start: SegmentStart) -> bool {
    start.has_payload && matches!(start.payload, [20..=23, 3, 0..=4, _])
}

/// Returns whether a segment is the first with payload of a connection whose beginning must be held, as its bytes say.
fn starts_connection(start: SegmentStart) -> bool {
    start.has_payload && (matches!(start.payload, [22, 3, 0..=4, _]) || start.payload == *b"PRI ")
}

/// Returns whether a connection that begins like this is HTTP/1. What may lead to TLS or HTTP/2 is not: a tunnel, a proxy's line.
fn is_http1(start: SegmentStart) -> bool {
    start.payload[0].is_ascii_alphabetic() && ![*b"PRI ", *b"CONN", *b"PROX"].contains(&start.payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address, Endpoint};

    const TLS: [u8; 4] = [22, 3, 1, 2];
    const DATA: [u8; 4] = [23, 3, 3, 0];

    fn connection(port: u16) -> Connection {
        let [client, server] = [1, 2].map(|last| Address::v4([192, 0, 2, last]));
        (Endpoint::new(client, port), Endpoint::new(server, 443))
    }

    fn segment(port: u16, flags: TcpFlags, payload: &[u8]) -> ClientSegment {
        let mut first = [0; 4];
        first.iter_mut().zip(payload).for_each(|(byte, &payload)| *byte = payload);
        let start = SegmentStart { flags, has_payload: !payload.is_empty(), payload: first };
        ClientSegment { connection: connection(port), is_from_lower: true, start }
    }

    fn note(openings: &mut Openings, second: u64, segment: &ClientSegment, length: usize) {
        let stamp = Stamp { number: second, time: seconds(second) };
        let data = vec![0; length];
        let packet = Packet { stamp, link_type: LinkType(1), interface: 0, wire_length: length as u32, data: &data };
        openings.note(segment, &packet);
    }

    fn seconds(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    /// The seconds of the packets that a file gets whose time begins at second 50.
    fn given(openings: &mut Openings, segment: &ClientSegment, file: u64) -> Option<Vec<u64>> {
        openings.before(segment, file, seconds(50)).map(|beginning| match beginning {
            Beginning::Packets { packets, .. } => packets.iter().map(|packet| packet.stamp.number).collect(),
            Beginning::Missing => vec![],
        })
    }

    #[test]
    fn a_file_gets_the_beginning_of_a_connection_once() {
        for (first, expected) in [
            (&TLS, Some(vec![1, 2, 3])),
            (b"PRI ", Some(vec![1, 2, 3])),
            (b"CONN", Some(vec![1, 2, 3])),
            (b"GET ", None),
            (b"HTTP", None),
        ] {
            let mut openings = Openings::default();
            note(&mut openings, 1, &segment(1, TcpFlags::SYN, b""), 60);
            note(&mut openings, 2, &segment(1, TcpFlags::ACK, first), 60);
            note(&mut openings, 3, &segment(1, TcpFlags::ACK, &DATA), 60);
            let now = segment(1, TcpFlags::ACK, &DATA);
            note(&mut openings, 60, &now, 60);
            assert_eq!(given(&mut openings, &now, 7), expected, "{first:?}");
            assert_eq!(given(&mut openings, &now, 7), None);
            assert_eq!(given(&mut openings, &now, 8), expected, "another file");
        }
    }

    #[test]
    fn a_connection_remembers_its_last_files() {
        let mut openings = Openings::default();
        let now = segment(1, TcpFlags::ACK, &DATA);
        note(&mut openings, 1, &segment(1, TcpFlags::SYN, b""), 60);
        note(&mut openings, 2, &segment(1, TcpFlags::ACK, &TLS), 60);
        for file in 0..1_000 {
            assert!(given(&mut openings, &now, file).is_some());
            assert_eq!(given(&mut openings, &now, file), None);
        }
        assert_eq!(openings.connections[&connection(1)].given_to.len(), MOST_FILES);
    }

    #[test]
    fn a_connection_that_begins_with_the_file_needs_nothing_and_one_that_is_over_is_forgotten() {
        let mut openings = Openings::default();
        let now = segment(1, TcpFlags::ACK, &TLS);
        note(&mut openings, 60, &segment(1, TcpFlags::SYN, b""), 60);
        note(&mut openings, 61, &now, 60);
        assert_eq!(given(&mut openings, &now, 1), None);
        let of_server = |segment| ClientSegment { is_from_lower: false, ..segment };
        for port in [2, 3] {
            note(&mut openings, 1, &segment(port, TcpFlags::SYN, b""), 60);
            note(&mut openings, 2, &segment(port, TcpFlags::ACK, &TLS), 60);
        }
        note(&mut openings, 3, &of_server(segment(2, TcpFlags::RST, b"")), 60);
        for ending in [TcpFlags::FIN, TcpFlags::RST] {
            note(&mut openings, 3, &segment(3, ending, b""), 60);
            assert_eq!(openings.connections.len(), 2, "one side may still send, and may have ignored a RST");
        }
        note(&mut openings, 3, &of_server(segment(3, TcpFlags::FIN, b"")), 60);
        assert_eq!((openings.connections.len(), openings.bytes), (1, 120));
    }

    #[test]
    fn a_further_syn_adds_a_beginning_and_takes_none_away() {
        let mut openings = Openings::default();
        let now = segment(1, TcpFlags::ACK, &DATA);
        for begin in [1, 11, 21] {
            note(&mut openings, begin, &segment(1, TcpFlags::SYN, b""), 60);
            note(&mut openings, begin + 1, &segment(1, TcpFlags::ACK, &TLS), 60);
            (0..100).for_each(|_| note(&mut openings, begin + 2, &now, 1_400));
        }
        let given = given(&mut openings, &now, 1).unwrap();
        let handshakes: Vec<u64> = given.into_iter().filter(|second| second % 10 < 3).collect();
        assert_eq!(handshakes, [1, 2, 21, 22]);
        assert!(openings.bytes <= 2 * MOST_OF_CONNECTION);
    }

    #[test]
    fn what_looks_like_tls_and_has_no_beginning_is_told_once() {
        let mut openings = Openings::default();
        for (payload, expected) in [(&b"GET "[..], None), (&[1, 2, 3, 4], None), (&DATA, Some(vec![])), (&DATA, None)] {
            let now = segment(1, TcpFlags::ACK, payload);
            note(&mut openings, 60, &now, 60);
            assert_eq!(given(&mut openings, &now, 1), expected, "{payload:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_a_connection_that_goes_on_stays() {
        let mut openings = Openings::default();
        let busy = segment(0, TcpFlags::ACK, &TLS);
        note(&mut openings, 1, &segment(0, TcpFlags::SYN, b""), 60);
        for round in 0..3 {
            for port in 1..=u16::MAX {
                note(&mut openings, 2, &segment(port, TcpFlags::SYN, b""), 60);
                note(&mut openings, 2, &segment(port, TcpFlags::ACK, &TLS), 5_000);
                if port % 1_000 == 0 {
                    note(&mut openings, 3, &busy, 1_000);
                }
            }
            assert!(openings.bytes <= MOST_BYTES, "round {round}");
            assert_eq!(openings.order.len(), openings.connections.len());
        }
        let held: usize = openings.connections.values().map(|known| known.bytes).sum();
        assert_eq!(held, openings.bytes);
        let kept = given(&mut openings, &busy, 1).unwrap();
        assert!(kept.starts_with(&[1, 3]) && openings.connections[&connection(0)].bytes <= MOST_OF_CONNECTION);
    }

    #[test]
    fn beginnings_that_are_taken_over_replace_none() {
        let [mut known, mut others] = [Openings::default(), Openings::default()];
        for (openings, ports) in [(&mut known, [1, 2]), (&mut others, [2, 3])] {
            for port in ports {
                note(openings, 1, &segment(port, TcpFlags::SYN, b""), 60);
                note(openings, 2, &segment(port, TcpFlags::ACK, &TLS), 60);
            }
        }
        let now = segment(2, TcpFlags::ACK, &DATA);
        assert!(given(&mut others, &now, 1).is_some());
        known.adopt(others);
        assert_eq!((known.connections.len(), known.bytes), (3, 360));
        assert_eq!(given(&mut known, &now, 1), None, "this file has it");
        assert_eq!(given(&mut known, &segment(3, TcpFlags::ACK, &DATA), 1), Some(vec![1, 2]));
    }
}
