//! The sensor: every stage from packets to findings, put together.
//!
//! In: packets and the time. Out: [`Finding`]s: exchanges that are over, error events and alerts, in the order of the packets.
//! There are two ways to run the same stages:
//!
//! - [`Sensor`] runs them on the calling thread, one packet at a time. It does no I/O, reads no clock and starts no thread.
//! - [`executor`] spreads them over threads, a batch of packets at a time, and gives the same findings for any number of
//!   workers and any cut into batches.
//!
//! A packet goes through these files: `intake` (filter, `clock`, decoding, flow key) → `shard` (reassembly and HTTP of a fixed
//! part of all flows) → `record` (what a shard found, in order) → `evaluator` (events, and the rules) →
//! `finding`.

pub mod executor;

mod claims;
mod clock;
mod evaluator;
mod finding;
mod intake;
mod record;
mod server_fingerprints;
mod settings;
mod shard;

pub(crate) use self::shard::SHARDS;
pub use self::{
    evaluator::{Evaluator, Totals},
    finding::Finding,
    settings::SensorSettings,
};

use crate::{
    capture::{LinkType, Packet, Stamp, filter::FilterError},
    flow,
    stream::{TlsKeys, UnreadPorts},
    tcp::FlowSegment,
    telemetry::summary::StageCounts,
    time::Timestamp,
};

use self::{
    clock::{Moment, Step, Turn},
    intake::Intake,
    record::Record,
    settings::ShardSettings,
    shard::{FlowRef, Shard, ShardCounters},
};

/// The whole sensor on one thread, without files: packets and time in, findings out.
///
/// The same packets give the same findings. Findings are lent to a closure; what is to be kept is cloned there.
///
/// ```
/// use wirespike::{
///     capture::files::{CaptureSet, FileSettings, Filled},
///     capture::PacketBatch,
///     sensor::{Finding, Sensor, SensorSettings},
/// };
///
/// let mut sensor = Sensor::new(&SensorSettings::default())?;
/// let mut errors = Vec::new();
/// let mut keep_errors = |finding: Finding<'_>| {
///     if let Finding::Event(event) = finding {
///         errors.push((event.client().to_string(), event.exchange.status));
///     }
/// };
///
/// // The packets can come from anywhere; here they come from a capture file.
/// let mut capture = CaptureSet::open(&["pcaps/nginx-curl/capture.pcap".into()], FileSettings::default())?;
/// let mut batch = PacketBatch::default();
/// while let Filled::Packets = capture.fill(&mut batch) {
///     for packet in batch.packets() {
///         sensor.push(&packet, &mut keep_errors);
///     }
/// }
/// // Connections that are still open end here, and the rule's last window is executed.
/// sensor.finish(&mut keep_errors);
///
/// assert_eq!(sensor.totals().errors, errors.len() as u64);
/// assert!(errors.iter().any(|(_, status)| *status == 404));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sensor {
    intake: Intake,
    shards: Vec<Shard>,
    evaluator: Evaluator,
    /// Records of the packet or tick at hand. Empty between calls.
    records: Vec<Record>,
    tls_keys: TlsKeys,
}

impl Sensor {
    /// A sensor that has seen nothing yet.
    ///
    /// # Errors
    ///
    /// A filter expression that is not in libpcap's language.
    pub fn new(settings: &SensorSettings) -> Result<Self, FilterError> {
        let of_shards = ShardSettings::of(settings);
        Ok(Self {
            intake: Intake::new(settings)?,
            shards: (0..settings.shards()).map(|number| Shard::new(number as u8, &of_shards)).collect(),
            evaluator: Evaluator::new(settings),
            records: Vec::new(),
            tls_keys: settings.tls_keys.clone(),
        })
    }

    /// Takes the next packet. A packet that is stamped earlier than one before it counts as being of the latest time seen. A
    /// packet that is stamped more than 60 s from packet time is copied, and processed when the next packet comes; so is
    /// the first packet.
    pub fn push(&mut self, packet: &Packet<'_>, findings: &mut impl FnMut(Finding<'_>)) {
        if !self.intake.admits(packet) {
            return;
        }
        match self.intake.clock.take(packet) {
            Turn::Now => self.process(packet, findings),
            Turn::AfterTick(now) => {
                self.moment(now.number, Moment::Reached(now.time), findings);
                self.process(packet, findings);
            }
            Turn::Instead(steps) => self.follow(steps, findings),
        }
    }

    /// Time has reached this, though no packet says so: connections time out and windows are executed. A sensor on a live
    /// network calls this at least once a second; where packets come from files, their own times are enough.
    pub fn tick(&mut self, time: Timestamp, findings: &mut impl FnMut(Finding<'_>)) {
        let steps = self.intake.clock.reach(time);
        self.follow(steps, findings);
    }

    /// The packets are over: every connection ends, and the open window is executed, marked partial.
    pub fn finish(&mut self, findings: &mut impl FnMut(Finding<'_>)) {
        let steps = self.intake.clock.finish();
        self.follow(steps, findings);
        let last = self.now();
        let end = end_after(last);
        self.tls_keys.clone().until_nothing_is_shown(|| {
            self.shards.iter_mut().for_each(|shard| shard.flush(end, &mut self.records));
            self.records.sort_by_key(|record| record.order);
            self.evaluate(findings);
        });
        self.shards.iter_mut().for_each(|shard| shard.finish(end, &mut self.records));
        self.records.sort_by_key(|record| record.order);
        self.evaluate(findings);
        self.evaluator.finish(last.time, findings);
    }

    /// The last packet's number and the latest packet time.
    pub fn now(&self) -> Stamp {
        self.intake.clock.now()
    }

    /// Findings so far.
    pub fn totals(&self) -> Totals {
        self.evaluator.totals()
    }

    /// The counters of every stage, in the order in which a packet passes the stages.
    pub fn counts(&self) -> Vec<StageCounts> {
        let shards: ShardCounters = self.shards.iter().map(Shard::counters).collect();
        self.intake.stages().into_iter().chain(shards.stages()).chain(self.evaluator.counts()).collect()
    }

    /// The server ports of connections whose content is not read.
    pub fn unread_ports(&self) -> UnreadPorts {
        let shards: ShardCounters = self.shards.iter().map(Shard::counters).collect();
        shards.unread_ports().clone()
    }

    fn follow(&mut self, steps: Vec<Step>, findings: &mut impl FnMut(Finding<'_>)) {
        for step in steps {
            match step {
                Step::Moment(number, moment) => self.moment(number, moment, findings),
                Step::Packet(held) => self.process(&held.packet(), findings),
            }
        }
    }

    /// Processes a packet whose turn has come.
    fn process(&mut self, packet: &Packet<'_>, findings: &mut impl FnMut(Finding<'_>)) {
        let Self { intake: Intake { decoder, keys, .. }, shards, records, .. } = self;
        let of = shards.len();
        let mut push = |mut segment: crate::decode::Segment<'_>| {
            segment.encapsulation.interface = packet.interface;
            let (key, hash, direction) = keys.of(&segment);
            if let Some(shard) = shards.get_mut(flow::shard(hash, of)) {
                let flow = FlowRef { key: &key, hash, direction };
                shard.push(&FlowSegment::of(&segment), flow, packet.stamp, None, records);
            }
        };
        match decoder.decode_ordinary(packet) {
            Some(segment) => push(segment),
            None => decoder.decode_other(packet, &mut push),
        }
        // A packet may hold segments of several shards.
        self.records.sort_by_key(|record| record.order);
        self.evaluate(findings);
    }

    fn moment(&mut self, number: u64, moment: Moment, findings: &mut impl FnMut(Finding<'_>)) {
        self.evaluator.moment(number, moment, findings);
        if let Some(time) = moment.time() {
            let now = Stamp { number, time };
            self.shards.iter_mut().for_each(|shard| shard.advance(now, &mut self.records));
            self.records.sort_by_key(|record| record.order);
            self.evaluate(findings);
        }
    }

    /// Evaluates the records at hand. Their exchanges go back to the shards that made them.
    fn evaluate(&mut self, findings: &mut impl FnMut(Finding<'_>)) {
        for record in self.records.drain(..) {
            let shard = self.shards.get_mut(usize::from(record.order.shard()));
            if let (Some(exchange), Some(shard)) = (self.evaluator.record(record, findings), shard) {
                shard.pool().put(exchange);
            }
        }
    }
}

/// Returns whether packets of a link type are decoded.
pub fn decodes(link_type: LinkType) -> bool {
    crate::decode::decodes(link_type)
}

/// When flows end that the capture's end cuts short: after the last packet.
fn end_after(last: Stamp) -> Stamp {
    Stamp { number: last.number + 1, time: last.time }
}
