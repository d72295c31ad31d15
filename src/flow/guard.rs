//! Which segments may change a connection: the checksum, and the way through which a segment arrived.
//!
//! In: each segment before reassembly. Out: whether it goes on, waits in doubt, or is dropped. Promises: a segment that its
//! receiver drops for its checksum changes nothing, and neither does one that somebody outside wrapped into a tunnel. A
//! capture that shows all segments before the network card fills the checksums in loses nothing.
//!
//! # Checksums
//!
//! Only segments whose flags or bytes matter are verified, not the bytes of a body that is skipped. A segment with a wrong
//! checksum waits until its receiver acknowledges it, which its receiver does only if the checksum was right when it arrived.
//! From then on the sender's wrong checksums on that interface are expected, in connections in which it sent no right one:
//! who wants an answer from a server must begin with a SYN whose checksum is right, unless its own network card fills it in.
//! A wrong checksum that the receiver's acknowledgments pass by ends that. Where no receiver is seen at all, the segment
//! counts, but what it carries is unconfirmed.
//!
//! # Tunnels
//!
//! Each direction of a connection belongs to the outer source that its first segment came through. Segments through another
//! one wait like those with wrong checksums: only acknowledgments that come the connection's own way let them in. What
//! arrives without a tunnel takes a direction over, so nobody can claim a connection by wrapping its SYN first.

use super::{
    FlowKey, FlowSlot, FlowTable,
    doubts::{Doubt, Reason},
    sources::Standing,
};
use crate::{
    address::Address,
    capture::Stamp,
    decode::{Sum, TcpFlags, judge_checksum},
    tcp::{Direction, FlowSegment, StreamConsumer},
};

/// A segment's flow: its key, its hash, and the direction of the segment.
pub(super) type FlowOf<'a> = (&'a FlowKey, u64, Direction);

/// What is known of the ways and checksums of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Guard {
    /// By direction, the outer source of its own way; 0 is no tunnel. `None` until a segment of a tunnelled connection went
    /// that way.
    ways: [Option<u32>; 2],
    /// By direction, whether a segment had the right checksum.
    has_right_sums: [bool; 2],
}

/// How a segment was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing speaks against it.
    Verified,
    /// Its checksum is wrong, as its sender's are.
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

    /// Notes the first segment of a direction, of a connection that is new or goes through tunnels.
    #[cold]
    pub(super) fn arrive(&mut self, direction: Direction, outer_source: u32) {
        let way = &mut self.ways[direction as usize];
        if way.is_none() || outer_source == 0 {
            *way = Some(outer_source);
        }
    }

    /// Makes a tunnel a direction's own way, in a connection whose other direction needs no tunnel.
    fn adopt(&mut self, direction: Direction, outer_source: u32) {
        self.ways[direction.opposite() as usize].get_or_insert(0);
        self.arrive(direction, outer_source);
    }

    /// Notes the segment that begins the connection.
    pub(super) fn begin(&mut self, direction: Direction, outer_source: u32, trust: Trust) {
        if outer_source != 0 {
            self.arrive(direction, outer_source);
        }
        self.has_right_sums[direction as usize] = trust == Trust::Verified;
    }

    pub(super) fn note_right_sum(&mut self, direction: Direction) {
        self.has_right_sums[direction as usize] = true;
    }

    /// Returns whether a segment arrives the connection's own way.
    fn is_own_way(&self, direction: Direction, outer_source: u32) -> bool {
        match self.ways[direction as usize] {
            _ if outer_source == 0 => true,
            Some(way) => way == outer_source,
            None => self.is_tunnelled(),
        }
    }
}

impl<S: Default> FlowTable<S> {
    /// Returns whether a segment comes without a tunnel, of a connection without tunnels, while nothing is in doubt.
    #[inline]
    pub(super) fn is_undoubted(&self, known: Option<FlowSlot>, segment: &FlowSegment<'_>) -> bool {
        let guard = known.and_then(|slot| self.flows.entry(slot.index)).map(|entry| &entry.guard);
        segment.encapsulation.outer_source == 0
            && self.doubts.is_empty()
            && guard.is_none_or(|guard| !guard.is_tunnelled())
    }

    /// Returns what a segment's checksum is, if its flags or bytes matter.
    #[inline]
    pub(super) fn sum<C: StreamConsumer<S>>(
        &mut self,
        known: Option<FlowSlot>,
        (key, _, direction): FlowOf<'_>,
        segment: &FlowSegment<'_>,
        consumer: &C,
    ) -> Sum {
        const MATTER: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0;
        let flags_matter = segment.flags.0 & MATTER != 0;
        if !self.settings.judges_checksums || (segment.wire_length == 0 && !flags_matter) {
            return Sum::Right;
        }
        let entry = known.map(|slot| self.flows.entry_mut(slot.index));
        if let Some(entry) = &entry
            && !flags_matter
        {
            let unneeded = consumer.unneeded(&entry.state, direction);
            let reach = entry.connection.reach(direction, segment);
            if unneeded > 0 && reach.is_some_and(|reach| u64::from(reach) <= unneeded)
                || entry.connection.is_repeated(direction, segment)
            {
                return Sum::Right;
            }
        }
        let addresses = [key.lower.address, key.upper.address];
        let sum = judge_checksum(addresses, segment.header, segment.payload, segment.wire_length);
        if sum == Sum::Right
            && let Some(entry) = entry
        {
            entry.guard.note_right_sum(direction);
        }
        sum
    }

    /// Examines a segment about which there may be doubt. Returns how far to trust it, or `None` if it waits or is dropped.
    #[cold]
    pub(super) fn examine<C: StreamConsumer<S>>(
        &mut self,
        segment: &FlowSegment<'_>,
        flow: FlowOf<'_>,
        stamp: Stamp,
        consumer: &mut C,
    ) -> Option<Trust> {
        let (key, hash, direction) = flow;
        let known = self.locate(hash, key);
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
        if segment.flags.has(TcpFlags::ACK) && !self.doubts.is_empty() {
            self.release(segment.acknowledgment, flow, stamp, consumer);
        }
        let known = self.locate(hash, key);
        let sum = self.sum(known, flow, segment, consumer);
        if sum == Sum::Right {
            return Some(Trust::Verified);
        }
        self.counters.checksums_wrong += 1;
        let entry = known.and_then(|slot| self.flows.entry(slot.index));
        let is_expected = entry.is_none_or(|entry| !entry.guard.has_right_sums[direction as usize]);
        let is_answered = entry.is_some_and(|entry| entry.connection.is_acknowledged(direction));
        let source = (segment.encapsulation.interface, sender(key, direction));
        match self.sources.standing(source).filter(|_| is_expected) {
            Some(Standing::Offloads) => {
                self.counters.checksums_offloaded += 1;
                Some(Trust::Offloaded)
            }
            Some(Standing::Unanswered) if !is_answered => {
                self.counters.checksums_unanswered += 1;
                Some(Trust::Unconfirmed)
            }
            _ => {
                self.hold(Doubt::of(segment, flow, stamp, Reason::Checksum(sum)), stamp, consumer);
                None
            }
        }
    }

    /// Lets the segments in that an acknowledgment of the receiver confirms.
    fn release<C: StreamConsumer<S>>(
        &mut self,
        number: u32,
        (key, hash, direction): FlowOf<'_>,
        now: Stamp,
        consumer: &mut C,
    ) {
        let window = self.settings.tcp.window;
        let direction = direction.opposite();
        while let Some(doubt) = self.doubts.take_confirmed(hash, direction, number, window) {
            let known = self.locate(hash, key);
            let entry = known.and_then(|slot| self.flows.entry(slot.index));
            if entry.is_some_and(|entry| entry.connection.is_repeated(direction, &doubt.segment())) {
                // What the receiver acknowledged came in other segments: this one proves nothing.
                self.count_refused(doubt.reason);
                continue;
            }
            let trust = match doubt.reason {
                Reason::Checksum(_) => {
                    let source = (doubt.encapsulation.interface, sender(key, direction));
                    self.sources.learn(source, Standing::Offloads);
                    self.counters.checksums_offloaded += 1;
                    Trust::Offloaded
                }
                Reason::Way => {
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
            self.take(&doubt.segment(), (&doubt.key, hash, direction), known, [doubt.carried, now], trust, consumer);
        }
        self.doubts.note_passed_by(hash, direction);
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
            self.hold(Doubt::of(segment, flow, stamp, Reason::Way), stamp, consumer);
        } else {
            self.counters.tunnels_refused += 1;
        }
    }

    fn count_refused(&mut self, reason: Reason) {
        match reason {
            Reason::Checksum(_) => self.counters.checksums_dropped += 1,
            Reason::Way => self.counters.tunnels_refused += 1,
        }
    }

    fn hold<C: StreamConsumer<S>>(&mut self, doubt: Doubt, now: Stamp, consumer: &mut C) {
        self.doubts.hold(doubt);
        self.expire_doubts(now, false, consumer);
    }

    /// Decides about the segments that have waited for too long; at the end about all of them.
    pub(super) fn expire_doubts<C: StreamConsumer<S>>(&mut self, now: Stamp, is_end: bool, consumer: &mut C) {
        while let Some(doubt) = self.doubts.take_expired((!is_end).then_some(now.time)) {
            let Reason::Checksum(sum) = doubt.reason else {
                self.counters.tunnels_refused += 1;
                continue;
            };
            let known = self.locate(doubt.hash, &doubt.key);
            let entry = known.and_then(|slot| self.flows.entry(slot.index));
            let is_answered = entry.is_some_and(|entry| entry.connection.is_acknowledged(doubt.direction));
            let has_right_sums = entry.is_some_and(|entry| entry.guard.has_right_sums[doubt.direction as usize]);
            let is_contradicted = match has_right_sums {
                // Coalesced on receipt, the segments of a sender have no sum while its others have.
                true => is_answered || sum != Sum::Partial,
                false => doubt.is_passed_by,
            };
            let source = (doubt.encapsulation.interface, sender(&doubt.key, doubt.direction));
            let standing = self.sources.standing(source);
            if is_contradicted {
                self.sources.forget(source);
                self.counters.checksums_dropped += 1;
                continue;
            }
            let trust = match standing {
                Some(Standing::Offloads) => Trust::Offloaded,
                _ => Trust::Unconfirmed,
            };
            if trust == Trust::Unconfirmed {
                self.sources.learn(source, Standing::Unanswered);
            }
            self.counters.checksums_offloaded += u64::from(trust == Trust::Offloaded);
            self.counters.checksums_unanswered += u64::from(trust == Trust::Unconfirmed);
            let flow = (&doubt.key, doubt.hash, doubt.direction);
            self.take(&doubt.segment(), flow, known, [doubt.carried, now], trust, consumer);
        }
    }
}

/// The address that sends in a direction.
fn sender(key: &FlowKey, direction: Direction) -> Address {
    key.ends()[direction as usize].address
}
