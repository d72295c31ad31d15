//! A slow and simple reference reassembler. Tests compare the real reassembly with it.
//!
//! In: bytes, read as a list of operations. Out: nothing, or a panic if reassembly and reference disagree. Tests and the
//! fuzz target `reassembly` use this module.
//!
//! For each byte of each stream that is not delivered yet, the reference keeps the arrival that wins by the overlap policy.
//! At the end, every winning byte must have been delivered exactly once, with its packet, and no other byte.

use std::{collections::BTreeMap, time::Duration};

use super::{FlowKey, FlowSettings, FlowTable, hash};
use crate::{
    address::{Address, Endpoint},
    capture::Stamp,
    decode::{Encapsulation, Segment, TcpFlags},
    tcp::{Chunk, ChunkContext, Direction, Ending, FlowFacts, FlowSegment, OverlapPolicy, ResetPolicy, StreamConsumer},
    time::Timestamp,
};

/// First sequence numbers. Both wrap around early in the stream.
const FIRST: [u32; 2] = [u32::MAX - 300, u32::MAX - 2_000];
/// Length of each stream.
const STREAM: u64 = 4_096;
/// The consumer needs the first half of every block of this length.
const BLOCK: u64 = 512;

/// The arrival that won a byte.
#[derive(Debug, Clone, Copy)]
struct Winner {
    /// The byte's value; `None` if the snap length cut it off.
    byte: Option<u8>,
    packet: u64,
    acknowledged: Option<u64>,
}

#[derive(Debug, Default)]
struct Stream {
    winners: BTreeMap<u64, Winner>,
    delivered: u64,
    fin_sent: bool,
    /// Whether the sender has acknowledged anything yet. From then on, its segments without ACK are dropped.
    acknowledges: bool,
    fins: u32,
}

/// Both streams as they should be, and the checks of the streams that are delivered.
#[derive(Debug, Default)]
struct Reference {
    streams: [Stream; 2],
    /// Whether to compare content. If not, only the order of chunks is checked.
    is_strict: bool,
    endings: u32,
    checked: u64,
}

impl Reference {
    fn arrive(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        cut: u64,
        policy: OverlapPolicy,
        winner: Winner,
    ) {
        let stream = &mut self.streams[direction as usize];
        if stream.fins > 0 {
            return;
        }
        for index in 0..bytes.len() as u64 + cut {
            let winner = Winner { byte: bytes.get(index as usize).copied(), ..winner };
            if offset + index >= stream.delivered {
                match policy {
                    OverlapPolicy::First => _ = stream.winners.entry(offset + index).or_insert(winner),
                    OverlapPolicy::Last => _ = stream.winners.insert(offset + index, winner),
                }
            }
        }
    }

    fn check_data(&mut self, context: &ChunkContext, bytes: &[u8]) {
        let stream = &mut self.streams[context.direction as usize];
        for (index, byte) in (0u64..).zip(bytes) {
            let winner = stream.winners.remove(&(context.offset + index));
            assert!(winner.is_some_and(|winner| winner.byte == Some(*byte)), "{context:?} +{index} {winner:?}");
            let winner = winner.unwrap_or(Winner { byte: None, packet: 0, acknowledged: None });
            assert_eq!(winner.packet, context.carried.number);
            assert_eq!(winner.acknowledged, context.acknowledged);
        }
    }

    fn check_absent(&mut self, context: &ChunkContext, length: u64, is_skip: bool) {
        let stream = &mut self.streams[context.direction as usize];
        for offset in context.offset..context.offset + length {
            let winner = stream.winners.remove(&offset);
            if is_skip {
                assert!(winner.is_some_and(|winner| winner.byte.is_some()), "skipped a byte that never came");
                assert!(offset % BLOCK >= BLOCK / 2, "skipped a needed byte");
            } else {
                assert!(winner.is_none_or(|winner| winner.byte.is_none()), "a gap over a byte that came");
            }
        }
    }
}

impl StreamConsumer<u32> for Reference {
    fn chunk(&mut self, _: &FlowFacts, state: &mut u32, context: &ChunkContext, chunk: Chunk<'_>) {
        assert_eq!(*state, self.endings, "a chunk of a flow that ended");
        assert!(context.carried <= context.now);
        let stream = &mut self.streams[context.direction as usize];
        assert_eq!(context.offset, stream.delivered, "{chunk:?}");
        assert!(!self.is_strict || stream.fins == 0, "{chunk:?} after FIN");
        let length = match chunk {
            Chunk::Data(_) | Chunk::Skipped(_) | Chunk::Gap(_) | Chunk::Snapped(_) => chunk.length(),
            Chunk::Fin => {
                stream.fins += 1;
                assert!(!self.is_strict || (stream.fin_sent && context.offset == STREAM), "FIN out of place");
                return;
            }
            Chunk::Reset => {
                assert!(!self.is_strict);
                return;
            }
        };
        assert!(length > 0);
        stream.delivered += length;
        self.checked += length;
        if self.is_strict {
            match chunk {
                Chunk::Data(bytes) => self.check_data(context, bytes),
                Chunk::Skipped(_) => self.check_absent(context, length, true),
                _ => self.check_absent(context, length, false),
            }
        }
    }

    fn end(&mut self, _: &FlowFacts, state: &mut u32, _: Stamp, _: Ending) {
        assert_eq!(*state, self.endings, "a flow ended twice");
        *state += 1;
        if self.is_strict {
            let left = self.streams.iter().flat_map(|stream| stream.winners.iter()).next();
            assert!(left.is_none(), "never delivered: {left:?}");
        }
        self.streams = Default::default();
        *state = u32::MAX;
    }

    fn unneeded(&self, _: &u32, direction: Direction) -> u64 {
        let place = self.streams[direction as usize].delivered % BLOCK;
        if place >= BLOCK / 2 { BLOCK - place } else { 0 }
    }
}

/// Reads operations from bytes.
struct Operations<'a>(&'a [u8]);

impl Operations<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u64 {
        u64::from(self.byte()) << 8 | u64::from(self.byte())
    }
}

/// The table under test, beside the reference.
struct Bench {
    table: FlowTable<u32>,
    settings: FlowSettings,
    reference: Reference,
    now: Stamp,
}

impl Bench {
    fn push(
        &mut self,
        direction: Direction,
        sequence: u32,
        acknowledgment: u32,
        flags: TcpFlags,
        payload: &[u8],
        cut: u32,
    ) {
        let ends = [Endpoint::new(Address::v4([10, 0, 0, 1]), 40_000), Endpoint::new(Address::v4([10, 0, 0, 2]), 80)];
        let key = FlowKey { lower: ends[0], upper: ends[1], scope: 0 };
        let segment = Segment {
            source: key.ends()[direction as usize],
            destination: key.ends()[direction.opposite() as usize],
            sequence,
            acknowledgment,
            flags,
            payload,
            wire_length: payload.len() as u32 + cut,
            header: &[],
            encapsulation: Encapsulation::default(),
        };
        self.table.push(
            &FlowSegment::of(&segment),
            &key,
            direction,
            hash(&key, 1),
            None,
            self.now,
            &mut self.reference,
        );
        assert!(self.table.waiting_bytes() <= self.settings.tcp.max_total_waiting_bytes);
        assert!(self.table.waiting_pieces() <= self.settings.tcp.max_total_waiting_pieces);
    }

    fn tick(&mut self, milliseconds: u64) {
        self.now.time = self.now.time.plus(Duration::from_millis(milliseconds));
        self.table.advance(self.now, &mut self.reference);
    }
}

/// Returns the byte at an offset of a stream. Forged segments (`is_forged`) carry a different byte.
fn content(offset: u64, is_forged: bool) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9) >> 13) as u8 ^ if is_forged { 0x55 } else { 0 }
}

fn direction(bit: bool) -> Direction {
    if bit { Direction::Descending } else { Direction::Ascending }
}

/// Runs a list of operations. Panics where table and reference disagree. Returns how many bytes were compared.
pub(super) fn run(data: &[u8]) -> u64 {
    let mut operations = Operations(data);
    let shape = operations.byte();
    let is_strict = shape & 1 == 0;
    let mut settings = FlowSettings::default();
    if shape & 2 != 0 {
        (settings.tcp.max_waiting_pieces, settings.tcp.max_total_waiting_pieces) = (4, 6);
    }
    if shape & 4 != 0 {
        (settings.tcp.max_in_flight_bytes, settings.tcp.max_total_waiting_bytes) = (1_000, 2_500);
    }
    if shape & 8 != 0 {
        settings.tcp.overlap = OverlapPolicy::Last;
    }
    if shape & 16 != 0 {
        settings.tcp.reset = ResetPolicy::Window;
    }
    if is_strict {
        let long = Duration::from_secs(1 << 30);
        (settings.linger_time, settings.half_open_time) = (long, long);
        (settings.half_closed_time, settings.established_time) = (long, long);
    }
    let now = Stamp { number: 0, time: Timestamp::from_parts(1_000, 0) };
    let mut bench = Bench { table: FlowTable::new(settings.clone()), settings, reference: Reference::default(), now };
    bench.reference.is_strict = is_strict;
    if is_strict {
        bench.push(Direction::Descending, FIRST[1].wrapping_sub(1), FIRST[0], TcpFlags(0x12), b"", 0);
        bench.reference.streams[Direction::Descending as usize].acknowledges = true;
    }
    while !operations.0.is_empty() {
        bench.now.number += 1;
        if is_strict { strict_step(&mut bench, &mut operations) } else { wild_step(&mut bench, &mut operations) }
    }
    bench.now.number += 1;
    bench.table.finish(bench.now, &mut bench.reference);
    assert!(bench.table.is_empty());
    assert_eq!((bench.table.waiting_bytes(), bench.table.waiting_pieces(), bench.table.waiting_flows()), (0, 0, 0));
    bench.reference.checked
}

/// Sends a segment of two regular streams: any part, in any order, possibly cut short, with any acknowledgment. Only its
/// bytes may be forged.
fn strict_step(bench: &mut Bench, operations: &mut Operations<'_>) {
    let kind = operations.byte();
    if kind & 0xf0 == 0xf0 {
        let milliseconds = operations.word() % 2_000;
        return bench.tick(milliseconds);
    }
    let direction = direction(kind & 1 != 0);
    let (own, other) = (direction as usize, direction.opposite() as usize);
    let mut offset = operations.word() % STREAM;
    let mut length = u64::from(operations.byte()).min(STREAM - offset);
    let has_ack = kind & 2 != 0;
    let acknowledged = operations.word() % (STREAM / 4);
    let cut = if kind & 4 != 0 { length / 3 } else { 0 };
    let fin = kind & 0x18 == 0x18;
    let stream = &mut bench.reference.streams[own];
    let is_dropped = !has_ack && stream.acknowledges;
    stream.acknowledges |= has_ack;
    if fin {
        (offset, length) = (STREAM - length, length);
        stream.fin_sent |= !is_dropped;
    }
    let bytes: Vec<u8> = (offset..offset + length - cut).map(|offset| content(offset, kind & 0x20 != 0)).collect();
    let winner = Winner { byte: None, packet: bench.now.number, acknowledged: has_ack.then_some(acknowledged) };
    if !is_dropped {
        bench.reference.arrive(direction, offset, &bytes, cut, bench.settings.tcp.overlap, winner);
    }
    let flags = TcpFlags(u8::from(fin) | if has_ack { 0x10 } else { 0 });
    let acknowledgment = FIRST[other].wrapping_add(acknowledged as u32);
    bench.push(direction, FIRST[own].wrapping_add(offset as u32), acknowledgment, flags, &bytes, cut as u32);
}

/// Sends a random segment, in most cases near the stream's position.
fn wild_step(bench: &mut Bench, operations: &mut Operations<'_>) {
    let kind = operations.byte();
    if kind & 0xf0 == 0xf0 {
        let milliseconds = operations.word();
        return bench.tick(milliseconds);
    }
    let direction = direction(kind & 1 != 0);
    let (own, other) = (direction as usize, direction.opposite() as usize);
    let flags = TcpFlags(operations.byte() & 0x17);
    let scale = if kind & 2 != 0 { 1 } else { 0x0001_2345 };
    let sequence = FIRST[own].wrapping_add((operations.word() as u32).wrapping_mul(scale));
    let acknowledgment = FIRST[other].wrapping_add((operations.word() as u32).wrapping_mul(scale));
    let payload = [b'x'; 255];
    let length = if kind & 4 != 0 { usize::from(operations.byte()) } else { 0 };
    bench.push(direction, sequence, acknowledgment, flags, &payload[..length], u32::from(kind & 8 != 0) * 100);
}
