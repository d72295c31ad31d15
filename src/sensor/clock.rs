//! The packet clock: which stamps move packet time.
//!
//! In: packets, and times that are known from elsewhere. Out: for each packet when its turn comes, under which time; and the
//! [`Moment`]s before it. Promises: a stamp that is more than [`NEAR`] from packet time moves it only after a second packet
//! supports it; the packets keep their order; the result does not depend on how packets are cut into batches.
//!
//! A stamp is a claim. The packet with a doubtful stamp is held until the next packet comes. That packet decides:
//!
//! | the next packet is | the held packet |
//! |---|---|
//! | near the held packet, or later still | is believed: there was a pause, and packet time moves on |
//! | near the held packet, which is earlier than packet time | is believed: packet time goes back, at most [`MOST_SETBACKS`] times |
//! | near packet time | is not believed: its content is processed under packet time, and its stamp is passed on as a [`Moment::Claimed`] |
//!
//! At the end of the input a held packet is processed like one that is not believed. The first packets are treated alike:
//! packet time starts at the first stamp that a second packet supports. Two wrong stamps side by side that support each
//! other do move packet time; the next two packets move it back.

use std::time::Duration;

use crate::{
    capture::{LinkType, Packet, Stamp},
    counters,
    time::{NEAR, Timestamp},
};

/// Packet time between two ticks.
const TICK: Duration = Duration::from_secs(1);

/// The most packets that are held at the start, while no two of them are near each other.
const MOST_AT_START: usize = 3;

/// The most times that packet time goes back. Where it would go back more often, two clocks are mixed in one input; packet
/// time then stays with the later clock.
pub(super) const MOST_SETBACKS: u64 = 16;

counters! {
    /// What the packet clock did.
    pub struct ClockCounters {
        /// Packets whose time no other packet within 60 s supports; they move no window and time out nothing.
        stamps_doubted,
        /// Times that packet time went back by more than 60 s.
        time_set_back,
    }
}

/// Something about packet time that happens before a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Packet time has reached this: timers run and windows that are over are executed.
    Reached(Timestamp),
    /// Packet time goes on from this earlier time.
    WentBack(Timestamp),
    /// The packet is processed under packet time, but its stamp is this. Its events have this time.
    Claimed(Timestamp),
}

impl Moment {
    /// The time to which the timers of the shards move.
    pub(crate) const fn time(self) -> Option<Timestamp> {
        match self {
            Self::Reached(time) | Self::WentBack(time) => Some(time),
            Self::Claimed(_) => None,
        }
    }
}

/// A copy of a packet that was held.
#[derive(Debug, Clone)]
pub(crate) struct HeldPacket {
    stamp: Stamp,
    link_type: LinkType,
    interface: u16,
    wire_length: u32,
    data: Vec<u8>,
}

impl HeldPacket {
    fn of(packet: &Packet<'_>) -> Self {
        let Packet { stamp, link_type, interface, wire_length, data } = *packet;
        Self { stamp, link_type, interface, wire_length, data: data.to_vec() }
    }

    /// The packet.
    pub(crate) fn packet(&self) -> Packet<'_> {
        let Self { stamp, link_type, interface, wire_length, .. } = *self;
        Packet { stamp, link_type, interface, wire_length, data: &self.data }
    }
}

/// What to do next, in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// Take note of a moment, at the packet with this number.
    Moment(u64, Moment),
    /// Process a packet.
    Packet(HeldPacket),
}

/// What the clock says of a packet.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Process the packet now.
    Now,
    /// The packet makes this tick due. Process the packet after it.
    AfterTick(Stamp),
    /// The clock has a copy of the packet. Do these steps instead of processing it.
    Instead(Vec<Step>),
}

/// What the clock rests on.
#[derive(Debug)]
enum State {
    /// No two packets have supported each other yet. Holds the packets so far, at most [`MOST_AT_START`].
    Starting(Vec<HeldPacket>),
    /// Packet time is known, and no packet is held.
    Steady,
    /// The last packet's stamp is far from packet time. The packet is held.
    Doubting(HeldPacket),
}

/// Packet time, and when the next tick is due.
#[derive(Debug)]
pub(crate) struct PacketClock {
    /// The number of the last packet that was processed, and packet time.
    now: Stamp,
    /// Stamps from here to `next_tick` need no attention. Later than `next_tick` while packets are held.
    near_from: Timestamp,
    next_tick: Timestamp,
    state: State,
    counters: ClockCounters,
    /// The number of the first packet whose stamp was not believed, or at which packet time went back.
    first_disorder: Option<u64>,
}

impl Default for PacketClock {
    fn default() -> Self {
        Self {
            now: Stamp::default(),
            near_from: Timestamp::MAX,
            next_tick: Timestamp::EPOCH,
            state: State::Starting(Vec::new()),
            counters: ClockCounters::default(),
            first_disorder: None,
        }
    }
}

impl PacketClock {
    /// The last processed packet's number, and packet time.
    pub(crate) const fn now(&self) -> Stamp {
        self.now
    }

    /// The counters.
    pub(crate) const fn counters(&self) -> &ClockCounters {
        &self.counters
    }

    /// The number of the first packet whose stamp was not believed, or at which packet time went back.
    pub(crate) const fn first_disorder(&self) -> Option<u64> {
        self.first_disorder
    }

    /// Packet time goes on from an earlier time. The tick before the next packet tells the shards.
    pub(crate) fn turn_back(&mut self, time: Timestamp) {
        (self.now.time, self.next_tick) = (time, Timestamp::EPOCH);
    }

    /// Takes the next packet.
    #[inline]
    pub(crate) fn take(&mut self, packet: &Packet<'_>) -> Turn {
        let Stamp { number, time } = packet.stamp;
        if time < self.next_tick && time >= self.near_from {
            self.now = Stamp { number, time: self.now.time.max(time) };
            return Turn::Now;
        }
        self.take_other(packet)
    }

    /// Takes a packet that makes a tick due, or that is doubtful, or that follows held packets.
    #[cold]
    fn take_other(&mut self, packet: &Packet<'_>) -> Turn {
        if let State::Steady = self.state
            && self.is_near(packet.stamp.time)
        {
            return self.advance(packet.stamp).map_or(Turn::Now, Turn::AfterTick);
        }
        let mut steps = Vec::new();
        self.decide(Some(packet.stamp.time), &mut steps);
        self.take_held(HeldPacket::of(packet), &mut steps);
        Turn::Instead(steps)
    }

    /// Time has reached this, though no packet says so. Decides about held packets, and returns the steps that are due. A tick
    /// comes after the last packet, and so has the number of the next.
    #[inline]
    pub(crate) fn reach(&mut self, time: Timestamp) -> Vec<Step> {
        let mut steps = Vec::new();
        if !matches!(self.state, State::Steady) {
            self.decide(Some(time), &mut steps);
            self.begin(time, &mut steps);
        }
        if let Some(tick) = self.advance(Stamp { number: self.now.number, time }) {
            steps.push(Step::Moment(tick.number + 1, Moment::Reached(tick.time)));
        }
        steps
    }

    /// The input is over. Returns the steps for the packets that are still held.
    pub(crate) fn finish(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.decide(None, &mut steps);
        if let State::Starting(held) = &self.state
            && let Some(first) = held.first().map(|first| first.stamp.time)
        {
            self.begin(first, &mut steps);
            self.decide(None, &mut steps);
        }
        steps
    }

    fn is_near(&self, time: Timestamp) -> bool {
        time >= self.now.time.floor_to(TICK).minus(NEAR) && time <= self.now.time.plus(NEAR)
    }

    /// Moves packet time on to a stamp. Returns the tick that is due.
    fn advance(&mut self, stamp: Stamp) -> Option<Stamp> {
        self.now = Stamp { number: stamp.number, time: self.now.time.max(stamp.time) };
        if self.now.time < self.next_tick {
            return None;
        }
        self.rest();
        Some(self.now)
    }

    /// Sets the limits between which stamps need no attention.
    fn rest(&mut self) {
        let second = self.now.time.floor_to(TICK);
        (self.near_from, self.next_tick) = (second.minus(NEAR), second.plus(TICK));
    }

    /// Decides about the held packet, if there is one. `next` is the time of what follows it, `None` at the end of the input.
    fn decide(&mut self, next: Option<Timestamp>, steps: &mut Vec<Step>) {
        match std::mem::replace(&mut self.state, State::Steady) {
            State::Steady => {}
            State::Doubting(held) => {
                let stamp = held.stamp;
                if next.is_some_and(|next| self.is_supported(stamp.time, next)) {
                    if stamp.time < self.now.time {
                        self.counters.time_set_back += 1;
                        self.first_disorder.get_or_insert(stamp.number);
                        self.now = stamp;
                        self.rest();
                        steps.push(Step::Moment(stamp.number, Moment::WentBack(stamp.time)));
                    }
                    self.process(held, steps);
                } else {
                    self.disbelieve(held, steps);
                }
                self.rest();
            }
            State::Starting(held) => {
                let near = |held: &HeldPacket| next.is_some_and(|next| held.stamp.time.is_near(next));
                let start = held.iter().find(|held| near(held)).map(|held| held.stamp.time);
                let is_full = held.len() >= MOST_AT_START;
                let first = held.first().map(|first| first.stamp.time);
                self.state = State::Starting(held);
                if let Some(start) = start.or(first.filter(|_| is_full)) {
                    self.begin(start, steps);
                }
            }
        }
    }

    /// Returns whether the packet or time that follows a doubtful stamp supports it.
    fn is_supported(&self, doubtful: Timestamp, next: Timestamp) -> bool {
        if doubtful > self.now.time {
            return next.plus(NEAR) >= doubtful;
        }
        let goes_on = next > doubtful && next < self.now.time && !self.is_near(next);
        self.counters.time_set_back < MOST_SETBACKS && (doubtful.is_near(next) || goes_on)
    }

    /// Packet time starts here, unless it has started already. Packets that were held so far are processed; those whose stamps
    /// are far from this time are not believed.
    fn begin(&mut self, start: Timestamp, steps: &mut Vec<Step>) {
        let State::Starting(held) = std::mem::replace(&mut self.state, State::Steady) else { return };
        let number = held.first().map_or(0, |first| first.stamp.number);
        self.now = Stamp { number, time: start };
        if !held.is_empty() {
            self.rest();
            steps.push(Step::Moment(number, Moment::Reached(start)));
        }
        for packet in held {
            if self.is_near(packet.stamp.time) {
                self.process(packet, steps);
            } else {
                self.disbelieve(packet, steps);
            }
        }
    }

    /// Takes a packet after everything before it is decided.
    fn take_held(&mut self, packet: HeldPacket, steps: &mut Vec<Step>) {
        if let State::Starting(held) = &mut self.state {
            held.push(packet);
        } else if self.is_near(packet.stamp.time) {
            self.process(packet, steps);
        } else {
            self.state = State::Doubting(packet);
            (self.near_from, self.next_tick) = (Timestamp::MAX, Timestamp::EPOCH);
        }
    }

    /// Processes a packet whose stamp is believed.
    fn process(&mut self, packet: HeldPacket, steps: &mut Vec<Step>) {
        if let Some(tick) = self.advance(packet.stamp) {
            steps.push(Step::Moment(tick.number, Moment::Reached(tick.time)));
        }
        steps.push(Step::Packet(packet));
    }

    /// Processes a packet under packet time, because its stamp is not believed.
    fn disbelieve(&mut self, mut packet: HeldPacket, steps: &mut Vec<Step>) {
        let Stamp { number, time } = packet.stamp;
        self.counters.stamps_doubted += 1;
        self.first_disorder.get_or_insert(number);
        self.now.number = number;
        packet.stamp.time = self.now.time;
        steps.push(Step::Moment(number, Moment::Claimed(time)));
        steps.push(Step::Packet(packet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clock does with packets of these times, in seconds: `t` ticks, `<` goes back, `?` doubts; then the time under
    /// which each packet is processed.
    fn run(times: &[u64]) -> String {
        let mut clock = PacketClock::default();
        let mut said = Vec::new();
        let mut note = |steps: Vec<Step>| {
            for step in steps {
                said.push(match step {
                    Step::Moment(_, Moment::Reached(time)) => format!("t{}", seconds(time)),
                    Step::Moment(_, Moment::WentBack(time)) => format!("<{}", seconds(time)),
                    Step::Moment(_, Moment::Claimed(time)) => format!("?{}", seconds(time)),
                    Step::Packet(held) => format!("{}", seconds(held.stamp.time)),
                });
            }
        };
        for (number, &time) in (1..).zip(times) {
            let stamp = Stamp { number, time: Timestamp::from_parts(time, 0) };
            let packet = Packet { stamp, link_type: LinkType::ETHERNET, interface: 0, wire_length: 0, data: &[] };
            let own = || Step::Packet(HeldPacket::of(&packet));
            match clock.take(&packet) {
                Turn::Now => note(vec![own()]),
                Turn::AfterTick(tick) => note(vec![Step::Moment(tick.number, Moment::Reached(tick.time)), own()]),
                Turn::Instead(steps) => note(steps),
            }
        }
        note(clock.finish());
        assert_eq!(clock.now().number, times.len() as u64);
        said.join(" ")
    }

    fn seconds(time: Timestamp) -> u64 {
        time.as_nanos() / 1_000_000_000
    }

    #[test]
    fn one_stamp_alone_moves_nothing_and_a_supported_one_does() {
        for (case, times, does) in [
            ("one packet", &[9000][..], "t9000 9000"),
            ("in order", &[9000, 9000, 9001, 8999], "t9000 9000 9000 t9001 9001 8999"),
            ("a pause", &[9000, 9001, 12_000, 12_001], "t9000 9000 t9001 9001 t12000 12000 t12001 12001"),
            ("pauses alone", &[1000, 1001, 2000, 3000, 4000], "t1000 1000 t1001 1001 t2000 2000 t3000 3000 ?4000 3000"),
            ("one ahead", &[9000, 9001, 99_000, 9002], "t9000 9000 t9001 9001 ?99000 9001 t9002 9002"),
            ("one behind", &[9000, 9001, 5, 9002], "t9000 9000 t9001 9001 ?5 9001 t9002 9002"),
            ("the first ahead", &[99_000, 9000, 9001], "t9000 ?99000 9000 9000 t9001 9001"),
            ("the first behind", &[5, 9000, 9001], "t9000 ?5 9000 9000 t9001 9001"),
            ("the second", &[9000, 5, 9001], "t9000 9000 ?5 9000 t9001 9001"),
            ("the last", &[9000, 9001, 99_000], "t9000 9000 t9001 9001 ?99000 9001"),
            ("goes back", &[9000, 9001, 500, 501], "t9000 9000 t9001 9001 <500 500 t501 501"),
            ("never two near", &[1000, 2000, 3000, 4000], "t1000 1000 ?2000 1000 ?3000 1000 ?4000 1000"),
        ] {
            assert_eq!(run(times), does, "{case}");
        }
    }

    #[test]
    fn packet_time_goes_back_a_limited_number_of_times() {
        let times: Vec<u64> = (0..200).map(|index| if index / 2 % 2 == 0 { 90_000 } else { 5_000 }).collect();
        assert_eq!(run(&times).matches('<').count() as u64, MOST_SETBACKS);
    }

    #[test]
    fn a_known_time_decides_about_held_packets() {
        let mut clock = PacketClock::default();
        let packet = |number, time| Packet {
            stamp: Stamp { number, time: Timestamp::from_parts(time, 0) },
            link_type: LinkType::ETHERNET,
            interface: 0,
            wire_length: 0,
            data: &[],
        };
        assert!(matches!(clock.take(&packet(1, 900)), Turn::Instead(steps) if steps.is_empty()));
        assert_eq!(clock.reach(Timestamp::from_parts(901, 0)).len(), 3);
        assert!(matches!(clock.take(&packet(2, 5_000)), Turn::Instead(steps) if steps.is_empty()));
        assert_eq!(clock.reach(Timestamp::from_parts(5_001, 0)).len(), 3);
        clock.turn_back(Timestamp::from_parts(50, 0));
        assert!(
            matches!(clock.take(&packet(3, 51)), Turn::AfterTick(tick) if tick.time == Timestamp::from_parts(51, 0))
        );
    }
}
