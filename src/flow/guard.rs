//! Which segments may change a connection: the checksum, and the way through which a segment arrived.
//!
//! In: each segment before reassembly. Out: whether it goes on, waits in doubt, or is dropped. Promises: a segment that its
//! receiver drops for its checksum changes nothing, and neither does one that somebody outside wrapped into a tunnel. A
//! capture that shows all segments before the network card fills the checksums in loses nothing.
//!
//! # Checksums
//!
//! Only segments whose flags or bytes matter are verified, not the bytes of a body that is skipped, and acknowledgments of
//! bytes that were not seen. A segment with a wrong checksum waits until its receiver acknowledges it, which its receiver does
//! only if the checksum was right when it arrived. From then on wrong checksums are expected in this direction of this
//! connection, unless a segment with the right checksum came in it: who wants an answer from a server must begin with a SYN
//! whose checksum is right, unless its own network card fills it in. Where no receiver is seen at all, the segment counts, but
//! what it carries is unconfirmed.
//!
//! Each connection brings its own evidence. Evidence of other connections would depend on which of them are in the same
//! shard, so on the seed of the hash, and a sender could choose connections that speak for forged segments.
//!
//! # Tunnels
//!
//! Each direction of a connection belongs to the outer source that its first segment came through. Segments through another
//! one wait like those with wrong checksums. Two segments of the connection's own way must confirm them: the receiver
//! acknowledges the bytes, and the sender sends bytes that follow them, although the bytes themselves did not come that way.
//! The receiver alone does not prove them: a client can wrap a response that its server never sent, and acknowledge it. The receiver is enough for a direction of which
//! nothing came the own way yet, as where a mirror sends each direction from another address, and where the time to wait is
//! over in a direction whose own way is a tunnel, as where a mirror has several addresses: these bytes stay unconfirmed.
//! What arrives without a tunnel takes a direction over, so nobody can claim a connection by wrapping its SYN first.
//!
//! The kind of tunnel is not part of the way. Who forges the outer source forges the kind as well, and one mirror may use
//! several kinds.

use std::num::NonZeroU32;

use super::{
    FlowKey, FlowSlot, FlowTable,
    doubts::{Doubt, Due, Reason},
    slab::Entry,
};
use crate::{
    capture::Stamp,
    decode::{Sum, TcpFlags, judge_checksum},
    tcp::{Direction, FlowSegment, StreamConsumer},
};

/// Flags by which a segment without payload changes a connection.
const FLAGS_THAT_MATTER: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0;

/// A segment's flow: its key, its hash, and the direction of the segment.
pub(super) type FlowOf<'a> = (&'a FlowKey, u64, Direction);

/// What is known of the ways and checksums of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Guard {
    /// By direction, its own way. `None` until a segment of a tunnelled connection went that way.
    ways: [Option<Way>; 2],
    /// What the checksums of each direction were so far.
    sums: [Sums; 2],
}

/// The way through which segments arrive: an outer source, which is never 1, or no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way(NonZeroU32);

impl Way {
    const PLAIN: Self = Self(NonZeroU32::MIN);

    #[inline]
    fn of(outer_source: u32) -> Self {
        NonZeroU32::new(outer_source).map_or(Self::PLAIN, Self)
    }
}

/// What the checksums of one direction of a connection were so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sums {
    /// None was verified.
    #[default]
    Unknown,
    /// A segment had the right checksum.
    Right,
    /// They are wrong, and the receiver acknowledged one: the sender's network card fills them in. Bytes are not verified any
    /// more.
    Offloaded,
    /// They are wrong, and the receiver did not answer in time.
    Unanswered,
}

/// How a segment was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing speaks against it.
    Verified,
    /// Its checksum is wrong, as those of its direction are.
    Offloaded,
    /// Nothing confirms it.
    Unconfirmed,
}

impl Guard {
    /// Returns whether a segment of this connection came through a tunnel.
    #[inline]
    pub(super) fn is_tunnelled(&self) -> bool {
        self.ways[0].is_some() || self.ways[1].is_some()
    }

    /// Returns whether a direction's own way is a tunnel.
    fn is_tunnelled_in(&self, direction: Direction) -> bool {
        self.ways[direction as usize].is_some_and(|way| way != Way::PLAIN)
    }

    /// Notes the first segment of a direction, of a connection that is new or goes through tunnels.
    #[cold]
    pub(super) fn arrive(&mut self, direction: Direction, outer_source: u32) {
        let way = &mut self.ways[direction as usize];
        if way.is_none() || outer_source == 0 {
            *way = Some(Way::of(outer_source));
        }
    }

    /// Makes a tunnel a direction's own way, in a connection whose other direction needs no tunnel.
    fn adopt(&mut self, direction: Direction, outer_source: u32) {
        self.ways[direction.opposite() as usize].get_or_insert(Way::PLAIN);
        self.arrive(direction, outer_source);
    }

    /// Notes the segment that begins the connection.
    pub(super) fn begin(&mut self, direction: Direction, outer_source: u32, trust: Trust) {
        if outer_source != 0 {
            self.arrive(direction, outer_source);
        }
        self.sums[direction as usize] = if trust == Trust::Verified { Sums::Right } else { Sums::Unknown };
    }

    pub(super) fn note_right_sum(&mut self, direction: Direction) {
        self.sums[direction as usize] = Sums::Right;
    }

    /// Notes what a wrong checksum turned out to mean. A right one says more.
    fn note_wrong_sum(&mut self, direction: Direction, meaning: Sums) {
        let sums = &mut self.sums[direction as usize];
        if *sums != Sums::Right {
            *sums = meaning;
        }
    }

    fn has_right_sums(&self, direction: Direction) -> bool {
        self.sums[direction as usize] == Sums::Right
    }

    /// Returns whether a segment arrives the connection's own way.
    fn is_own_way(&self, direction: Direction, outer_source: u32) -> bool {
        match self.ways[direction as usize] {
            _ if outer_source == 0 => true,
            Some(way) => way == Way::of(outer_source),
            None => self.is_tunnelled(),
        }
    }
}

/// Returns whether the checksum of a segment that belongs to no known flow must be right.
#[inline]
pub(super) fn needs_sum(segment: &FlowSegment<'_>) -> bool {
    segment.flags.0 & FLAGS_THAT_MATTER != 0 || segment.wire_length != 0
}

impl<S> Entry<S> {
    /// Returns whether the checksum of a segment of this flow must be right: its flags or bytes matter.
    #[inline]
    pub(super) fn needs_sum<C: StreamConsumer<S>>(
        &self,
        direction: Direction,
        segment: &FlowSegment<'_>,
        consumer: &C,
    ) -> bool {
        if segment.flags.0 & FLAGS_THAT_MATTER != 0 {
            return true;
        }
        if segment.wire_length == 0 {
            // A bare acknowledgment can do harm only if it declares a gap.
            return self.connection.acknowledges_unseen(direction, segment);
        }
        if self.guard.sums[direction as usize] == Sums::Offloaded {
            return false;
        }
        let unneeded = consumer.unneeded(&self.state, direction);
        let reach = self.connection.reach(direction, segment);
        let is_skipped = unneeded > 0 && reach.is_some_and(|reach| u64::from(reach) <= unneeded);
        !is_skipped && !self.connection.is_repeated(direction, segment)
    }
}

impl<S: Default> FlowTable<S> {
    /// Returns what a segment's checksum is.
    pub(super) fn sum(
        &mut self,
        known: Option<FlowSlot>,
        (key, _, direction): FlowOf<'_>,
        segment: &FlowSegment<'_>,
    ) -> Sum {
        let addresses = [key.lower.address, key.upper.address];
        let sum = judge_checksum(addresses, segment.header, segment.payload, segment.wire_length);
        if sum == Sum::Right
            && let Some(slot) = known
        {
            self.flows.entry_mut(slot.index).guard.note_right_sum(direction);
        }
        sum
    }

    /// Examines a segment about which there may be doubt. Returns how far to trust it, or `None` if it waits or is dropped.
    #[cold]
    pub(super) fn examine<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: FlowOf<'_>,
        known: Option<FlowSlot>,
        stamp: Stamp,
        consumer: &mut C,
    ) -> Option<Trust> {
        let (_, hash, direction) = flow;
        let outer_source = segment.encapsulation.outer_source;
        if let Some(slot) = known {
            let guard = &mut self.flows.entry_mut(slot.index).guard;
            if !guard.is_own_way(direction, outer_source) {
                self.hold_other_way(slot, segment, flow, stamp, consumer);
                return None;
            }
            if guard.is_tunnelled() {
                guard.arrive(direction, outer_source);
            }
        }
        if self.doubts.holds(hash) {
            let window = self.settings.tcp.window;
            let acknowledgment = segment.flags.has(TcpFlags::ACK).then_some(segment.acknowledgment);
            if self.doubts.note_segment(hash, direction, (segment.sequence, acknowledgment), window) {
                self.release(flow, direction, stamp, consumer);
                self.release(flow, direction.opposite(), stamp, consumer);
            }
        }
        let known = self.locate_again(flow, known);
        let entry = known.and_then(|slot| self.flows.entry(slot.index));
        let needs_sum = entry.map_or_else(|| needs_sum(segment), |entry| entry.needs_sum(direction, segment, consumer));
        if !needs_sum || !self.settings.judges_checksums {
            return Some(Trust::Verified);
        }
        let sum = self.sum(known, flow, segment);
        if sum == Sum::Right {
            return Some(Trust::Verified);
        }
        self.counters.checksums_wrong += 1;
        let entry = known.and_then(|slot| self.flows.entry(slot.index));
        let is_answered = entry.is_some_and(|entry| entry.connection.is_acknowledged(direction));
        match entry.map(|entry| entry.guard.sums[direction as usize]) {
            Some(Sums::Offloaded) => {
                self.counters.checksums_offloaded += 1;
                Some(Trust::Offloaded)
            }
            Some(Sums::Unanswered) if !is_answered => {
                self.counters.checksums_unanswered += 1;
                Some(Trust::Unconfirmed)
            }
            _ => {
                self.hold(segment, flow, (stamp, Reason::Checksum(sum)), is_answered, consumer);
                None
            }
        }
    }

    /// Lets the segments of a direction in that are confirmed.
    fn release<C: StreamConsumer<S>>(
        &mut self,
        (key, hash, _): FlowOf<'_>,
        direction: Direction,
        now: Stamp,
        consumer: &mut C,
    ) {
        while let Some(doubt) = self.doubts.take_confirmed(hash, direction) {
            let known = self.locate(hash, key);
            let entry = known.and_then(|slot| self.flows.entry(slot.index));
            if entry.is_some_and(|entry| entry.connection.is_repeated(direction, &doubt.segment())) {
                // What the receiver acknowledged came in other segments: this one proves nothing.
                self.count_refused(doubt.reason);
                continue;
            }
            let trust = match doubt.reason {
                Reason::Checksum(_) => {
                    self.counters.checksums_offloaded += 1;
                    Trust::Offloaded
                }
                Reason::Way { .. } => {
                    self.counters.tunnels_confirmed += 1;
                    match known.map(|slot| self.flows.entry_mut(slot.index)) {
                        // The direction has no own way yet: this is it.
                        Some(entry) if !entry.connection.has_begun(direction) => {
                            entry.guard.adopt(direction, doubt.encapsulation.outer_source);
                            Trust::Offloaded
                        }
                        _ => Trust::Unconfirmed,
                    }
                }
            };
            let flow = (&doubt.key, hash, direction);
            let slot = self.take_doubted(&doubt.segment(), flow, known, [doubt.carried, now], trust, consumer);
            if let (Reason::Checksum(_), Some(slot)) = (doubt.reason, slot) {
                self.flows.entry_mut(slot.index).guard.note_wrong_sum(direction, Sums::Offloaded);
            }
        }
    }

    /// Handles a segment that arrives another way than its connection. Only new bytes, SYNs and FINs can be confirmed.
    fn hold_other_way<C: StreamConsumer<S>>(
        &mut self,
        slot: FlowSlot,
        segment: &FlowSegment<'_>,
        flow: FlowOf<'_>,
        stamp: Stamp,
        consumer: &mut C,
    ) {
        let (_, _, direction) = flow;
        let entry = self.flows.entry_mut(slot.index);
        let can_be_confirmed = segment.flags.has(TcpFlags::SYN)
            || segment.flags.has(TcpFlags::FIN)
            || segment.wire_length > 0 && !entry.connection.is_repeated(direction, segment);
        if can_be_confirmed && !segment.flags.has(TcpFlags::RST) {
            let is_answered = entry.connection.is_acknowledged(direction);
            let needs_sender = entry.connection.has_begun(direction);
            self.hold(segment, flow, (stamp, Reason::Way { needs_sender }), is_answered, consumer);
        } else {
            self.counters.tunnels_refused += 1;
        }
    }

    fn count_refused(&mut self, reason: Reason) {
        match reason {
            Reason::Checksum(_) => self.counters.checksums_dropped += 1,
            Reason::Way { .. } => self.counters.tunnels_refused += 1,
        }
    }

    /// Lets a segment wait, unless nothing could confirm it or too many of its connection wait.
    fn hold<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: FlowOf<'_>,
        (now, reason): (Stamp, Reason),
        is_answered: bool,
        consumer: &mut C,
    ) {
        let is_bare = segment.wire_length == 0 && segment.flags.0 & FLAGS_THAT_MATTER == 0;
        if is_bare || !self.doubts.hold(Doubt::of(segment, flow, now, reason, is_answered)) {
            self.count_refused(reason);
        }
        self.decide_doubts(Due::OverCap, now, consumer);
    }

    /// Decides about a segment that arrived another way and that its sender did not confirm in time.
    fn decide_other_way<C: StreamConsumer<S>>(&mut self, doubt: &Doubt, now: Stamp, consumer: &mut C) {
        let known = self.locate(doubt.hash, &doubt.key);
        let is_of_mirror = known.and_then(|slot| self.flows.entry(slot.index)).is_some_and(|entry| {
            entry.guard.is_tunnelled_in(doubt.direction)
                && !entry.connection.is_repeated(doubt.direction, &doubt.segment())
        });
        if doubt.is_acknowledged && is_of_mirror {
            self.counters.tunnels_confirmed += 1;
            let flow = (&doubt.key, doubt.hash, doubt.direction);
            self.take_doubted(&doubt.segment(), flow, known, [doubt.carried, now], Trust::Unconfirmed, consumer);
        } else {
            self.count_refused(doubt.reason);
        }
    }

    /// Decides about the segments in doubt that are due.
    pub(super) fn decide_doubts<C: StreamConsumer<S>>(&mut self, due: Due, now: Stamp, consumer: &mut C) {
        while let Some(doubt) = self.doubts.take_due(due) {
            self.counters.doubts_evicted += u64::from(due == Due::OverCap);
            let Reason::Checksum(sum) = doubt.reason else {
                self.decide_other_way(&doubt, now, consumer);
                continue;
            };
            let known = self.locate(doubt.hash, &doubt.key);
            let entry = known.and_then(|slot| self.flows.entry(slot.index));
            let is_answered = entry.is_some_and(|entry| entry.connection.is_acknowledged(doubt.direction));
            let has_right_sums = entry.is_some_and(|entry| entry.guard.has_right_sums(doubt.direction));
            let is_contradicted = match has_right_sums {
                // Coalesced on receipt, the segments of a sender have no sum while its others have.
                true => is_answered || sum != Sum::Partial,
                false => doubt.is_passed_by,
            };
            if is_contradicted {
                self.counters.checksums_dropped += 1;
                continue;
            }
            let is_offloaded = entry.is_some_and(|entry| entry.guard.sums[doubt.direction as usize] == Sums::Offloaded);
            let trust = if is_offloaded { Trust::Offloaded } else { Trust::Unconfirmed };
            self.counters.checksums_offloaded += u64::from(is_offloaded);
            self.counters.checksums_unanswered += u64::from(!is_offloaded);
            let flow = (&doubt.key, doubt.hash, doubt.direction);
            let slot = self.take_doubted(&doubt.segment(), flow, known, [doubt.carried, now], trust, consumer);
            if let Some(slot) = slot.filter(|_| !is_offloaded) {
                self.flows.entry_mut(slot.index).guard.note_wrong_sum(doubt.direction, Sums::Unanswered);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::{Address, Endpoint},
        decode::{Encapsulation, Segment},
        flow::{FlowSettings, hash},
        tcp::{Chunk, ChunkContext, Ending, FlowFacts},
        time::Timestamp,
    };
    use std::time::Duration;

    const SYN: u8 = TcpFlags::SYN.0;
    const ACK: u8 = TcpFlags::ACK.0;
    const SEEDS: u32 = 16;

    /// The payload and the gaps that each sender's stream delivered.
    #[derive(Default)]
    struct Log {
        streams: [Vec<u8>; 2],
        gaps: u64,
        is_doubtful: bool,
    }

    impl StreamConsumer<()> for Log {
        fn chunk(&mut self, flow: &FlowFacts, (): &mut (), context: &ChunkContext, chunk: Chunk<'_>) {
            self.is_doubtful |= flow.evidence.is_doubtful();
            match chunk {
                Chunk::Data(bytes) => self.streams[context.direction as usize].extend_from_slice(bytes),
                Chunk::Gap(length) | Chunk::Snapped(length) => self.gaps += length,
                _ => {}
            }
        }

        fn end(&mut self, _: &FlowFacts, (): &mut (), _: Stamp, _: Ending) {}

        fn unneeded(&self, (): &(), _: Direction) -> u64 {
            0
        }
    }

    /// How a segment's checksum is written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Written {
        Right,
        Wrong,
        /// The sum of the pseudo-header alone, as an operating system leaves it.
        Partial,
    }

    /// A client and a server, whose segments have real headers.
    struct Play {
        table: FlowTable<()>,
        log: Log,
        now: Stamp,
        ends: [Endpoint; 2],
        next: [u32; 2],
        /// How the client's and the server's checksums are written.
        written: [Written; 2],
    }

    impl Play {
        fn new(seed: u32, is_v6: bool) -> Self {
            let host = |last: u8| match is_v6 {
                true => Address::v6([0xfd, 0, seed as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]),
                false => Address::v4([10, 0, seed as u8, last]),
            };
            let numbers = seed.wrapping_mul(0x9e37_79b9);
            Self {
                table: FlowTable::new(FlowSettings::default()),
                log: Log::default(),
                now: Stamp { number: 0, time: Timestamp::from_parts(1_000, 0) },
                ends: [Endpoint::new(host(1), 40_000), Endpoint::new(host(2), 80)],
                next: [numbers, numbers.rotate_left(9)],
                written: [Written::Right; 2],
            }
        }

        fn opened(seed: u32, is_v6: bool, written: [Written; 2]) -> Self {
            let mut play = Self { written, ..Self::new(seed, is_v6) };
            play.send(0, SYN, b"");
            play.send(1, SYN | ACK, b"");
            play.send(0, ACK, b"");
            play
        }

        /// Sends a segment whose payload was captured without its last `cut` bytes. Numbers do not move.
        fn peek(&mut self, side: usize, flags: u8, payload: &[u8], cut: usize, written: Written, ahead: u32) {
            let (source, destination) = (self.ends[side], self.ends[1 - side]);
            let acknowledgment = self.next[1 - side].wrapping_add(ahead);
            let mut header = [0u8; 20];
            header[4..8].copy_from_slice(&self.next[side].to_be_bytes());
            header[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
            (header[12], header[13]) = (0x50, flags);
            let addresses = [source.address, destination.address];
            let wire_length = payload.len() as u32;
            let sums = (0..=u16::MAX).find(|sum| {
                header[16..18].copy_from_slice(&sum.to_be_bytes());
                let sum = judge_checksum(addresses, &header, payload, wire_length);
                match written {
                    Written::Right => sum == Sum::Right,
                    Written::Wrong => sum == Sum::Wrong,
                    Written::Partial => sum == Sum::Partial,
                }
            });
            assert!(sums.is_some(), "no such checksum");
            let segment = Segment {
                source,
                destination,
                sequence: self.next[side],
                acknowledgment,
                flags: TcpFlags(flags),
                payload: &payload[..payload.len() - cut],
                wire_length,
                header: &header,
                encapsulation: Encapsulation::default(),
            };
            self.now.number += 1;
            self.now.time = self.now.time.plus(Duration::from_millis(1));
            let (key, direction) = FlowKey::of(&segment, 0);
            let hash = hash(&key, 7);
            let hint = self.table.locate(hash, &key);
            self.table.push(&FlowSegment::of(&segment), &key, direction, hash, hint, self.now, &mut self.log);
        }

        fn send(&mut self, side: usize, flags: u8, payload: &[u8]) {
            self.peek(side, flags, payload, 0, self.written[side], 0);
            self.moved(side, payload.len() as u32 + u32::from(flags & SYN != 0));
        }

        fn moved(&mut self, side: usize, by: u32) {
            self.next[side] = self.next[side].wrapping_add(by);
        }

        fn exchange(&mut self) {
            self.send(0, ACK, b"ask ");
            self.send(1, ACK, b"answer ");
            self.send(0, ACK, b"");
        }

        fn wait(&mut self, seconds: u64) {
            self.now.time = self.now.time.plus(Duration::from_secs(seconds));
            self.table.advance(self.now, &mut self.log);
        }

        fn stream(&self, side: usize) -> String {
            String::from_utf8_lossy(&self.log.streams[side]).into_owned()
        }

        /// Returns what the table has found about the checksums that a side sends.
        fn sums(&self, side: usize) -> Sums {
            let [own, other] = [self.ends[side], self.ends[1 - side]];
            let key = FlowKey { lower: own.min(other), upper: own.max(other), scope: 0 };
            let slot = self.table.locate(hash(&key, 7), &key).unwrap();
            self.table.flows.entry(slot.index).unwrap().guard.sums[usize::from(own > other)]
        }
    }

    #[test]
    fn senders_that_offload_lose_nothing_and_senders_that_do_not_offload_change_nothing() {
        for seed in 0..SEEDS {
            for is_v6 in [false, true] {
                for wrong in [Written::Wrong, Written::Partial] {
                    for written in [[wrong, Written::Right], [Written::Right, wrong], [wrong; 2], [Written::Right; 2]] {
                        let mut play = Play::opened(seed, is_v6, written);
                        (0..3).for_each(|_| play.exchange());
                        let context = format!("seed {seed}, IPv6 {is_v6}, {written:?}");
                        assert_eq!(play.stream(0), "ask ask ask ", "{context}");
                        assert_eq!(play.stream(1), "answer answer answer ", "{context}");
                        assert!(!play.log.is_doubtful && play.log.gaps == 0, "{context}");
                        for (side, written) in written.into_iter().enumerate() {
                            let expected = if written == Written::Right { Sums::Right } else { Sums::Offloaded };
                            assert_eq!(play.sums(side), expected, "{context}");
                        }
                    }
                }
                let mut play = Play::opened(seed, is_v6, [Written::Right; 2]);
                for side in [0, 1, 0] {
                    play.peek(side, ACK, b"forged", 0, Written::Wrong, 0);
                    play.exchange();
                }
                play.wait(4);
                assert_eq!(
                    (play.stream(0).as_str(), play.stream(1).as_str()),
                    ("ask ask ask ", "answer answer answer ")
                );
                assert!(play.table.counters.checksums_dropped == 3 && !play.log.is_doubtful);
            }
        }
    }

    #[test]
    fn what_other_connections_of_a_sender_showed_says_nothing_of_its_next_one() {
        for written in [Written::Right, Written::Wrong] {
            let mut play = Play::opened(1, false, [Written::Wrong, Written::Right]);
            play.exchange();
            assert_eq!(play.sums(0), Sums::Offloaded);
            play.ends[0].port += 1;
            play.written[0] = written;
            play.log.streams = Default::default();
            play.send(0, SYN, b"");
            play.send(1, SYN | ACK, b"");
            play.send(0, ACK, b"");
            let (is_offloaded, known) = (written == Written::Wrong, play.sums(0));
            assert_eq!(known, if is_offloaded { Sums::Offloaded } else { Sums::Right });
            if !is_offloaded {
                play.peek(0, ACK, b"forged", 0, Written::Wrong, 0);
            }
            play.exchange();
            play.wait(4);
            assert_eq!(play.stream(0), "ask ");
            assert!(!play.log.is_doubtful);
        }
    }

    #[test]
    fn a_connection_that_takes_the_ports_of_another_brings_its_own_evidence() {
        let mut play = Play::opened(1, false, [Written::Wrong, Written::Right]);
        play.exchange();
        play.next[0] = play.next[0].wrapping_add(0x0100_0000);
        play.next[1] = play.next[1].wrapping_add(0x0100_0000);
        for (flags, side) in [(SYN, 0), (SYN | ACK, 1), (ACK, 0)] {
            play.send(side, flags, b"");
        }
        play.exchange();
        assert_eq!((play.sums(0), play.sums(1)), (Sums::Offloaded, Sums::Right));
        assert_eq!((play.stream(0).as_str(), play.stream(1).as_str()), ("ask ask ", "answer answer "));
        assert!(!play.log.is_doubtful);
    }

    #[test]
    fn of_one_side_alone_the_first_segments_wait_and_the_others_count_at_once() {
        let mut play = Play { written: [Written::Wrong; 2], ..Play::new(1, false) };
        play.send(1, ACK, b"one ");
        assert_eq!(play.stream(1), "");
        play.wait(4);
        play.send(1, ACK, b"two ");
        assert_eq!(play.sums(1), Sums::Unanswered);
        play.wait(4);
        assert_eq!((play.stream(1).as_str(), play.log.is_doubtful), ("one two ", true));
    }

    #[test]
    fn snapped_segments_and_segments_without_a_header_count_as_right() {
        let mut play = Play::opened(1, false, [Written::Right; 2]);
        play.peek(0, ACK, b"ask ", 2, Written::Wrong, 0);
        play.moved(0, 4);
        play.send(1, ACK, b"answer ");
        assert_eq!((play.stream(0).as_str(), play.log.gaps), ("as", 2));
        assert_eq!(play.table.counters.checksums_wrong, 0);
        let addresses = play.ends.map(|end| end.address);
        assert_eq!(judge_checksum(addresses, &[], b"reassembled from fragments", 26), Sum::Right);
    }

    #[test]
    fn coalesced_segments_with_partial_checksums_are_taken_of_a_sender_whose_others_are_right() {
        for seed in 0..SEEDS {
            let mut play = Play::opened(seed, seed % 2 == 0, [Written::Right; 2]);
            play.send(0, ACK, b"ask ");
            let coalesced = vec![b'a'; 4_000];
            play.peek(1, ACK, &coalesced, 0, Written::Partial, 0);
            play.moved(1, 4_000);
            play.send(0, ACK, b"");
            assert_eq!(play.log.streams[1], coalesced);
            assert!(!play.log.is_doubtful);
        }
    }

    #[test]
    fn an_acknowledgment_with_a_wrong_checksum_declares_no_gap() {
        for written in [Written::Wrong, Written::Right] {
            let mut play = Play::opened(3, false, [Written::Right; 2]);
            play.send(0, ACK, b"ask ");
            play.peek(0, ACK, b"", 0, written, 3);
            // The server's first bytes come late, behind the others.
            play.moved(1, 3);
            play.send(1, ACK, b"wer ");
            (0..200).for_each(|_| play.peek(1, ACK, b"", 0, Written::Right, 0));
            play.moved(1, 0_u32.wrapping_sub(7));
            play.send(1, ACK, b"ans");
            let expected = if written == Written::Wrong { ("answer ", 0) } else { ("wer ", 3) };
            assert_eq!((play.stream(1).as_str(), play.log.gaps), expected, "{written:?}");
        }
    }

    #[test]
    fn a_flood_of_wrong_checksums_pushes_no_true_segment_out() {
        for seed in 0..4 {
            let mut play = Play::opened(seed, false, [Written::Right; 2]);
            play.send(0, ACK, b"ask ");
            play.peek(1, ACK, &[b'a'; 4_000], 0, Written::Partial, 0);
            play.moved(1, 4_000);
            let (ends, next) = (play.ends, play.next);
            for number in 0..2_000 {
                play.ends[0] = Endpoint::new(Address::v4([10, 9, (number >> 8) as u8, number as u8]), 1_000 + number);
                play.now.time = Timestamp::from_parts(1_000, 500_000_000);
                play.peek(0, ACK, b"flood", 0, Written::Wrong, 0);
            }
            (play.ends, play.next) = (ends, next);
            play.log.streams = Default::default();
            play.send(0, ACK, b"");
            assert_eq!(play.log.streams[1], vec![b'a'; 4_000], "seed {seed}");
        }
    }
}
