//! The first steps of a packet: the filter, the clock, decoding, and the key of its flow.
//!
//! In: packets. Out: whether the filter lets a packet in, the ticks that are due before it, and for each segment its flow's
//! key and hash. Promises: packet time never goes back, unless it is told to; a tick is due whenever packet time crosses a
//! whole second.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    capture::{
        LinkType, Packet, Stamp,
        filter::{Filter, FilterError},
    },
    counters,
    decode::{Decoder, Segment},
    flow::{self, FlowKey, FlowScope},
    tcp::Direction,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::settings::SensorSettings;

/// Packet time between two ticks.
const TICK: Duration = Duration::from_secs(1);

counters! {
    /// What the filter did.
    pub struct FilterCounters {
        /// Packets that the filter left out.
        left_out,
        /// Packets before or after the times asked for, left out.
        outside_time,
    }
}

/// The first steps of a packet.
pub(crate) struct Intake {
    pub(super) decoder: Decoder,
    pub(super) clock: PacketClock,
    pub(super) keys: FlowKeys,
    /// `None` lets every packet in.
    filter: Option<IntakeFilter>,
    counters: FilterCounters,
}

/// What lets a packet in: its time and its content.
struct IntakeFilter {
    times: RangeInclusive<Timestamp>,
    content: Option<PacketFilter>,
}

impl IntakeFilter {
    /// A filter where the settings ask for one.
    fn new(settings: &SensorSettings) -> Result<Option<Self>, FilterError> {
        let content = settings.filter.as_deref().map(PacketFilter::new).transpose()?;
        let is_needed = content.is_some() || settings.times.is_some();
        let times = settings.times.clone().unwrap_or(Timestamp::EPOCH..=Timestamp::MAX);
        Ok(is_needed.then_some(Self { times, content }))
    }

    /// Returns whether a packet is let in. A packet that is not is counted.
    fn admits(&mut self, packet: &Packet<'_>, counters: &mut FilterCounters) -> bool {
        if !self.times.contains(&packet.stamp.time) {
            counters.outside_time += 1;
            return false;
        }
        let matches = self.content.as_mut().is_none_or(|filter| filter.matches(packet));
        counters.left_out += u64::from(!matches);
        matches
    }
}

impl Intake {
    /// An intake that has seen no packet yet.
    ///
    /// # Errors
    ///
    /// A filter expression that is not in libpcap's language.
    pub(crate) fn new(settings: &SensorSettings) -> Result<Self, FilterError> {
        Ok(Self {
            decoder: Decoder::new(settings.decode.clone()),
            clock: PacketClock::default(),
            keys: FlowKeys { scope: settings.scope, hash_key: settings.flow_hash_key },
            filter: IntakeFilter::new(settings)?,
            counters: FilterCounters::default(),
        })
    }

    /// Decodes under other settings from now on. The filter and the keys of flows stay.
    pub(crate) fn reconfigure(&mut self, settings: &SensorSettings) {
        self.decoder.reconfigure(settings.decode.clone());
    }

    /// Returns whether the filter lets a packet in.
    #[inline]
    pub(crate) fn admits(&mut self, packet: &Packet<'_>) -> bool {
        match &mut self.filter {
            None => true,
            Some(filter) => filter.admits(packet, &mut self.counters),
        }
    }

    /// The counters of filter and decoding.
    pub(crate) fn stages(&self) -> [StageCounts; 2] {
        [
            StageCounts { stage: "filter", counts: self.counters.counts() },
            StageCounts { stage: "decode", counts: self.decoder.counters().counts() },
        ]
    }
}

/// How flows are told apart and hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowKeys {
    scope: FlowScope,
    hash_key: u64,
}

impl FlowKeys {
    /// The key of the flow's hash.
    pub(crate) const fn hash_key(self) -> u64 {
        self.hash_key
    }

    /// The key of a segment's flow, its hash, and which way the segment goes.
    #[inline]
    pub(crate) fn of(self, segment: &Segment<'_>) -> (FlowKey, u64, Direction) {
        let (key, direction) = FlowKey::of(segment, self.scope.of(&segment.encapsulation));
        (key, flow::hash(&key, self.hash_key), direction)
    }
}

/// One filter expression, compiled for each link type that comes.
struct PacketFilter {
    expression: String,
    compiled: Vec<(LinkType, Option<Filter>)>,
}

impl PacketFilter {
    /// A filter. The expression must compile for Ethernet, or for raw IP.
    fn new(expression: &str) -> Result<Self, FilterError> {
        let compiled = Filter::compile(LinkType::ETHERNET, expression)?;
        Ok(Self { expression: expression.to_owned(), compiled: vec![(LinkType::ETHERNET, Some(compiled))] })
    }

    /// Returns whether a packet matches. No packet matches on a link type for which the expression does not compile.
    fn matches(&mut self, packet: &Packet<'_>) -> bool {
        let known = self.compiled.iter().position(|(link_type, _)| *link_type == packet.link_type);
        let index = known.unwrap_or_else(|| {
            self.compiled.push((packet.link_type, Filter::compile(packet.link_type, &self.expression).ok()));
            self.compiled.len() - 1
        });
        self.compiled[index].1.as_ref().is_some_and(|filter| filter.matches(packet.data))
    }
}

/// The latest packet time, and when the next tick is due.
#[derive(Debug, Default)]
pub(crate) struct PacketClock {
    now: Stamp,
    next_tick: Timestamp,
}

impl PacketClock {
    /// The last packet's number and the latest packet time.
    pub(crate) const fn now(&self) -> Stamp {
        self.now
    }

    /// Packet time goes on from an earlier time. The tick before the next packet tells the shards.
    pub(crate) fn turn_back(&mut self, time: Timestamp) {
        (self.now.time, self.next_tick) = (time, Timestamp::EPOCH);
    }

    /// Takes the next packet. Returns the tick that is due before it.
    #[inline]
    pub(crate) fn advance(&mut self, packet: Stamp) -> Option<Stamp> {
        self.now = Stamp { number: packet.number, time: self.now.time.max(packet.time) };
        if self.now.time < self.next_tick {
            return None;
        }
        self.next_tick = self.now.time.floor_to(TICK).plus(TICK);
        Some(self.now)
    }

    /// Time has reached this, though no packet says so. Returns the tick that is due: it comes after the last packet, and
    /// so has the number of the next.
    #[inline]
    pub(crate) fn reach(&mut self, time: Timestamp) -> Option<Stamp> {
        let tick = self.advance(Stamp { number: self.now.number, time })?;
        Some(Stamp { number: tick.number + 1, ..tick })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_unless_it_is_set_back() {
        let mut clock = PacketClock::default();
        let at = |clock: &mut PacketClock, seconds| {
            clock.advance(Stamp { number: seconds, time: Timestamp::from_parts(seconds, 0) }).map(|tick| tick.time)
        };
        let time = |seconds| Some(Timestamp::from_parts(seconds, 0));
        assert_eq!([100, 100, 90, 101].map(|seconds| at(&mut clock, seconds)), [time(100), None, None, time(101)]);
        clock.turn_back(Timestamp::from_parts(50, 0));
        assert_eq!([51, 51, 52].map(|seconds| at(&mut clock, seconds)), [time(51), None, time(52)]);
    }
}
