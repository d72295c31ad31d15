//! Packets from an interface.
//!
//! In: the interface's memory-mapped ring, through libpcap. Out: the same [`PacketBatch`]es as from files.
//! Promises: a call never waits longer than its time-out. Dropped packets are counted by the place of the drop (kernel or
//! interface). An interface that vanishes is opened again when it is back; this needs no privileges, unless the interface is
//! captured by a fan-out group.

mod opening;
mod socket;

use std::{
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use pcap::{Active, Capture};

pub use self::opening::{LiveError, LiveOptions, StampSource};

use self::opening::open_capture;
use crate::{
    capture::{
        BATCH_BYTES, LinkType, PacketBatch, PacketRecord, Stamp,
        filter::{link_type, reason_of},
    },
    time::Timestamp,
};

/// Most packets taken from the ring in one call. All of them go into the batch, even if the batch is full before the last.
const CALL_PACKETS: usize = 64;
/// Time between attempts to open an interface that vanished.
const RETRY: Duration = Duration::from_secs(1);

/// The result of [`LiveSource::fill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The batch has packets.
    Packets,
    /// No packet arrived within the time-out.
    Quiet,
    /// The interface does not exist at present. Later calls look for it again.
    Gone,
}

crate::counters! {
    /// What an interface delivered and lost.
    pub struct InterfaceCounters {
        /// Packets received
        packets,
        /// Bytes captured
        bytes,
        /// Packets the kernel dropped because the ring was full
        kernel_drops,
        /// Packets the interface or its driver dropped
        interface_drops,
        /// Times the interface vanished or went down
        vanished,
        /// Times the interface was picked up again or came up
        reopened,
    }
}

/// A capture on one interface, or one member of the fan-out group that captures the interface.
pub struct LiveSource {
    interface: String,
    options: LiveOptions,
    capture: Capture<Active>,
    link_type: LinkType,
    group: Option<Arc<Mutex<Group>>>,
    presence: Presence,
    /// Whether the interface was up at the last check, and the time of that check.
    up: (bool, Instant),
    numbers: Arc<AtomicU64>,
    counters: InterfaceCounters,
    last: pcap::Stat,
    newest: Timestamp,
    /// Captured bytes of the largest packet so far.
    largest: usize,
}

/// A fan-out group: its number and the index of its interface. An interface that is removed and created again has another
/// index, and the kernel ties a group to one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    id: u16,
    index: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    Gone { since: Instant, tried: Instant },
}

impl LiveSource {
    /// Opens an interface. Packets are numbered from `numbers`, which all sources of a run share.
    pub fn open(interface: &str, options: &LiveOptions, numbers: Arc<AtomicU64>) -> Result<Self, LiveError> {
        let capture = open_capture(interface, options)?;
        let source = Self {
            interface: interface.into(),
            options: options.clone(),
            link_type: link_type(capture.get_datalink().0),
            capture,
            group: None,
            presence: Presence::Here,
            up: (true, Instant::now()),
            numbers,
            counters: InterfaceCounters::default(),
            last: pcap::Stat { received: 0, dropped: 0, if_dropped: 0 },
            newest: Timestamp::EPOCH,
            largest: 0,
        };
        if options.stamps == StampSource::Hardware && !source.has_hardware_stamps() {
            tracing::warn!(interface, "the interface offers no hardware time stamps; the kernel's are used");
        }
        Ok(source)
    }

    /// Opens an interface `members` times, as a fan-out group. The kernel gives each packet to one member, and all packets
    /// with the same outer addresses and ports to the same member.
    pub fn open_group(
        interface: &str,
        options: &LiveOptions,
        numbers: &Arc<AtomicU64>,
        members: usize,
    ) -> Result<Vec<Self>, LiveError> {
        let mut sources = Vec::with_capacity(members);
        for _ in 0..members.max(1) {
            sources.push(Self::open(interface, options, Arc::clone(numbers))?);
        }
        if let [founder, others @ ..] = &mut sources[..]
            && !others.is_empty()
        {
            let index = socket::interface_index(interface).unwrap_or_default();
            let join = |source: &Self, group| socket::join_fanout(source.capture.as_fd(), group);
            let joined = join(founder, None)
                .and_then(|id| others.iter().try_for_each(|other| join(other, Some(id)).map(drop)).map(|()| id));
            let id = joined.map_err(|error| LiveError::Other {
                interface: interface.into(),
                reason: format!("cannot share the interface between {members} capture threads: {error}"),
            })?;
            let group = Arc::new(Mutex::new(Group { id, index }));
            sources.iter_mut().for_each(|source| source.group = Some(Arc::clone(&group)));
        }
        Ok(sources)
    }

    /// Empties the batch and fills it with the packets that have arrived. Waits for packets at most for the time-out.
    pub fn fill(&mut self, batch: &mut PacketBatch) -> Filled {
        batch.make_room();
        if let Presence::Gone { since, tried } = self.presence
            && !self.try_to_reopen(since, tried)
        {
            return Filled::Gone;
        }
        if let Err(reason) = self.take(batch) {
            self.vanished(&reason);
        }
        if batch.records.is_empty() {
            self.check_whether_up();
        }
        match (batch.records.is_empty(), self.presence) {
            (false, _) => Filled::Packets,
            (true, Presence::Here) => Filled::Quiet,
            (true, Presence::Gone { .. }) => Filled::Gone,
        }
    }

    /// Uses another filter from the next packets on, also after the interface vanishes and comes back. If the kernel refuses
    /// the new filter, the old filter stays and the log gives the reason.
    pub fn set_filter(&mut self, expression: &str) {
        match self.capture.filter(expression, true) {
            Ok(()) => self.options.filter = expression.into(),
            Err(reason) => {
                let reason = reason_of(&reason);
                tracing::error!(
                    interface = self.interface,
                    expression,
                    reason,
                    "the filter is refused; the old one stays"
                );
            }
        }
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The link type of the interface's packets.
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Returns whether the interface exists and is up.
    pub fn is_present(&self) -> bool {
        self.presence == Presence::Here && self.up.0
    }

    /// Returns whether stamps come from the interface's own clock.
    pub fn has_hardware_stamps(&self) -> bool {
        socket::has_hardware_stamps(self.capture.as_fd())
    }

    /// Time of the newest packet in the last batch that had any.
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Returns the counters up to now, including the counters of the kernel.
    pub fn counters(&mut self) -> &InterfaceCounters {
        if let Ok(now) = self.capture.stats() {
            self.counters.kernel_drops += increase_since(self.last.dropped, now.dropped);
            self.counters.interface_drops += increase_since(self.last.if_dropped, now.if_dropped);
            self.last = now;
        }
        &self.counters
    }

    fn take(&mut self, batch: &mut PacketBatch) -> Result<(), String> {
        self.dispatch(batch)?;
        if batch.records.is_empty()
            && socket::wait_readable(self.capture.as_fd(), self.options.timeout).map_err(|error| error.to_string())?
        {
            self.dispatch(batch)?;
        }
        Ok(())
    }

    fn dispatch(&mut self, batch: &mut PacketBatch) -> Result<(), String> {
        let (link_type, interface) = (self.link_type, self.options.number);
        while !batch.is_full() {
            // This many packets fit into the batch, if none of them is larger than the largest packet so far.
            let fitting = (BATCH_BYTES - batch.bytes.len()) / self.largest.max(1);
            let begin = batch.records.len();
            let taken = self
                .capture
                .dispatch(Some(fitting.clamp(1, CALL_PACKETS)), |packet| append(batch, (link_type, interface), &packet))
                .map_err(|error| reason_of(&error))?;
            if taken == 0 {
                break;
            }
            let largest = batch.records.iter().skip(begin).map(|record| record.captured as usize).max();
            self.largest = self.largest.max(largest.unwrap_or_default());
        }
        let first = self.numbers.fetch_add(batch.records.len() as u64, Ordering::Relaxed) + 1;
        for (record, number) in batch.records.iter_mut().zip(first..) {
            record.stamp.number = number;
        }
        if let Some(newest) = batch.records.iter().map(|record| record.stamp.time).max() {
            self.newest = newest;
        }
        self.counters.packets += batch.records.len() as u64;
        self.counters.bytes += batch.bytes.len() as u64;
        Ok(())
    }

    /// Checks whether the interface is up. An interface that is taken down needs no new capture: the open capture continues
    /// when the interface is up again.
    fn check_whether_up(&mut self) {
        let (was_up, looked) = self.up;
        if self.presence != Presence::Here || looked.elapsed() < RETRY || self.interface == "any" {
            return;
        }
        let up = socket::is_up(self.capture.as_fd(), &self.interface).unwrap_or(was_up);
        self.up = (up, Instant::now());
        match (was_up, up) {
            (true, false) => {
                tracing::warn!(interface = self.interface, "the interface is down");
                self.counters.vanished += 1;
            }
            (false, true) => {
                tracing::info!(interface = self.interface, "the interface is up again");
                self.counters.reopened += 1;
            }
            (true, true) | (false, false) => {}
        }
    }

    fn vanished(&mut self, reason: &str) {
        tracing::warn!(interface = self.interface, reason, "the interface is gone; looking for it every second");
        self.counters.vanished += 1;
        let now = Instant::now();
        self.presence = Presence::Gone { since: now, tried: now };
    }

    /// Waits until the next attempt is due, at most for the time-out. Then tries to open the vanished interface again.
    fn try_to_reopen(&mut self, since: Instant, tried: Instant) -> bool {
        let waited = tried.elapsed();
        if waited < RETRY {
            std::thread::sleep(self.options.timeout.min(RETRY - waited));
            return false;
        }
        match self.reopen() {
            Ok(()) => {
                tracing::info!(interface = self.interface, away = ?since.elapsed(), "the interface is back");
                self.counters.reopened += 1;
                self.presence = Presence::Here;
                true
            }
            Err(reason) => {
                // The log reports the absence once. An interface that is back and cannot be opened is logged at each
                // attempt.
                if !matches!(reason, LiveError::NoSuchInterface(_)) {
                    tracing::warn!(interface = self.interface, %reason, "cannot pick the interface up again");
                }
                self.presence = Presence::Gone { since, tried: Instant::now() };
                false
            }
        }
    }

    /// Binds the open socket to the interface that has the name now. If the kernel refuses this, opens a new socket.
    fn reopen(&mut self) -> Result<(), LiveError> {
        let index = socket::interface_index(&self.interface)
            .ok_or_else(|| LiveError::NoSuchInterface(self.interface.clone()))?;
        if self.group.is_none() && socket::rebind(self.capture.as_fd(), index).is_ok() {
            if self.options.promiscuous && socket::enable_promiscuous(self.capture.as_fd(), index).is_err() {
                tracing::warn!(interface = self.interface, "promiscuous mode is refused");
            }
            return Ok(());
        }
        let capture = open_capture(&self.interface, &self.options)?;
        if let Some(group) = &self.group {
            let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
            // The first member that is back creates a new group; the other members join this group.
            let known = (group.index == index).then_some(group.id);
            let id = socket::join_fanout(capture.as_fd(), known).map_err(|error| self.other(error.to_string()))?;
            *group = Group { id, index };
        }
        self.counters();
        self.last = pcap::Stat { received: 0, dropped: 0, if_dropped: 0 };
        self.link_type = link_type(capture.get_datalink().0);
        self.capture = capture;
        Ok(())
    }

    fn other(&self, reason: String) -> LiveError {
        LiveError::Other { interface: self.interface.clone(), reason }
    }
}

/// Returns how much a 32-bit counter of the kernel has increased; the counter may have wrapped around. Returns 0 if the
/// counter went back, which happens to an interface's counters when the interface is created again.
fn increase_since(before: u32, now: u32) -> u64 {
    u64::try_from(now.wrapping_sub(before) as i32).unwrap_or(0)
}

/// How far a packet's timestamp may be ahead of the system clock. Timestamps further ahead are not believed.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Reads the system clock, which is also the clock of the kernel's packet timestamps.
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.plus(since_epoch)
}

#[inline]
fn append(batch: &mut PacketBatch, (link_type, interface): (LinkType, u16), packet: &pcap::Packet<'_>) {
    let time = packet.header.ts;
    batch.records.push(PacketRecord {
        // With nanosecond precision `tv_usec` counts nanoseconds.
        stamp: Stamp { number: 0, time: Timestamp::from_parts(time.tv_sec.max(0) as u64, time.tv_usec.max(0) as u64) },
        offset: batch.bytes.len() as u32,
        captured: packet.data.len() as u32,
        wire_length: packet.header.len.max(packet.data.len() as u32),
        link_type,
        interface,
    });
    batch.bytes.extend_from_slice(packet.data);
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::capture::testing::skipped;

    /// Opens the loopback. Returns `None` if this process has no permission to capture.
    fn loopback(options: &LiveOptions) -> Option<LiveSource> {
        match LiveSource::open("lo", options, Arc::default()) {
            Ok(source) => Some(source),
            Err(LiveError::Permission(_)) => {
                skipped("capture on the loopback", "no permission to capture");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn send(to_port: u16, payloads: &[&[u8]]) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for payload in payloads {
            socket.send_to(payload, ("127.0.0.1", to_port)).unwrap();
        }
    }

    fn receive(source: &mut LiveSource, payload: &[u8]) -> Option<(Stamp, u32)> {
        let mut batch = PacketBatch::default();
        (0..20).find_map(|_| {
            source.fill(&mut batch);
            let found = batch.packets().find(|packet| packet.data.ends_with(payload));
            found.map(|packet| (packet.stamp, packet.wire_length))
        })
    }

    #[test]
    fn packets_arrive_with_the_clocks_time_and_rising_numbers() {
        let options = LiveOptions { filter: "udp dst port 40123".into(), ..LiveOptions::default() };
        let Some(mut source) = loopback(&options) else { return };
        let before = wall_clock();
        send(40_123, &[b"first packet", b"second packet"]);
        let mut batch = PacketBatch::default();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            assert_ne!(source.fill(&mut batch), Filled::Gone);
            seen.extend(batch.packets().map(|packet| (packet.stamp, packet.wire_length, packet.data.to_vec())));
        }
        assert_eq!(seen.iter().map(|(stamp, ..)| stamp.number).collect::<Vec<_>>(), [1, 2]);
        assert!(seen[0].2.ends_with(b"first packet") && seen[0].1 as usize == seen[0].2.len());
        assert!(seen[0].0.time >= before && seen[1].0.time <= wall_clock());
        assert_eq!(source.counters().packets, 2);
        assert_eq!(source.counters().kernel_drops, 0);
    }

    #[test]
    fn a_quiet_interface_returns_in_time() {
        let options = LiveOptions { filter: "udp dst port 40124".into(), ..LiveOptions::default() };
        let Some(mut source) = loopback(&options) else { return };
        let began = Instant::now();
        assert_eq!(source.fill(&mut PacketBatch::default()), Filled::Quiet);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }

    #[test]
    fn a_snap_length_keeps_the_length_on_the_wire() {
        let options = LiveOptions { snap_length: 50, filter: "udp dst port 40125".into(), ..LiveOptions::default() };
        let Some(mut source) = loopback(&options) else { return };
        send(40_125, &[&[b'x'; 500]]);
        let (_, wire_length) = receive(&mut source, b"xxxxxxxx").unwrap();
        assert_eq!(wire_length, 14 + 20 + 8 + 500);
    }

    #[test]
    fn a_group_shares_packets_and_loses_none() {
        // Another run of these tests, at the same time, sends to the same loopback.
        let port = 41_000 + (std::process::id() % 10_000) as u16;
        let options = LiveOptions { filter: format!("udp dst port {port}"), ..LiveOptions::default() };
        if loopback(&options).is_none() {
            return;
        }
        let numbers = Arc::new(AtomicU64::new(0));
        let mut group = LiveSource::open_group("lo", &options, &numbers, 2).unwrap();
        for _ in 0..64 {
            send(port, &[b"shared"]);
        }
        let mut batch = PacketBatch::default();
        let (mut total, mut shares) = (0, [0, 0]);
        for _ in 0..20 {
            for (source, share) in group.iter_mut().zip(&mut shares) {
                source.fill(&mut batch);
                *share += batch.records.len();
                total += batch.records.len();
            }
        }
        // The loopback shows each packet twice, once as sent and once as received; libpcap keeps one of the two.
        assert_eq!(total, 64);
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        assert_eq!(numbers.load(Ordering::Relaxed), 64);
    }

    #[test]
    fn counters_of_the_kernel_wrap_or_begin_anew() {
        for (before, now, up) in [(0, 7, 7), (u32::MAX - 1, 3, 5), (1_000, 0, 0), (7, 7, 0)] {
            assert_eq!(increase_since(before, now), up, "{before} to {now}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let Err(error) = LiveSource::open("no-such-if0", &LiveOptions::default(), Arc::default()) else {
            panic!("opened")
        };
        assert!(error.to_string().contains("wirespike interfaces"), "{error}");
        let options = LiveOptions { filter: "tcp prot 80".into(), ..LiveOptions::default() };
        match LiveSource::open("lo", &options, Arc::default()) {
            Err(LiveError::Filter { source, .. }) => assert!(source.to_string().contains("syntax error")),
            Err(LiveError::Permission(_)) => {}
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("opened"),
        }
    }
}
