//! The first steps of a packet: the filter, the clock, decoding, and the key of its flow.
//!
//! In: packets. Out: whether the filter lets a packet in, the ticks that are due before it, and for each segment its flow's
//! key and hash. Promises: packet time never goes back, unless it is told to; a tick is due whenever packet time crosses a
//! whole second.

use std::ops::RangeInclusive;

use crate::{
    capture::{
        Packet,
        filter::{FilterError, PacketFilter},
    },
    counters,
    decode::{Decoder, Segment},
    flow::{self, FlowKey, FlowScope},
    tcp::Direction,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use super::{clock::PacketClock, settings::SensorSettings};

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

    /// The counters of filter, clock and decoding.
    pub(crate) fn stages(&self) -> [StageCounts; 3] {
        [
            StageCounts { stage: "filter", counts: self.counters.counts() },
            StageCounts { stage: "time", counts: self.clock.counters().counts() },
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
