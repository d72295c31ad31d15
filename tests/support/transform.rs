//! What networks and capture points do to packets, by seed.
//!
//! In: a capture's segments. Out: the same conversation, seen otherwise. Only [`lose`] takes something away.

use super::{
    packets::{Timed, frame, pcap},
    wrap::{Wrap, fragments},
};

const SYN: u8 = 0x02;
const RESET: u8 = 0x04;
const ENDS: u8 = 0x01 | RESET;
const PUSH: u8 = 0x08;

/// A small generator: the same numbers for the same seed on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// Puts the original times on packets in their new order: a capture's clock does not run backwards.
fn retime(original: &[Timed], mut changed: Vec<Timed>) -> Vec<Timed> {
    let last = original.len() - 1;
    for (index, packet) in changed.iter_mut().enumerate() {
        packet.time = original[index.min(last)].time + index.saturating_sub(last) as u64;
    }
    changed
}

/// Repeats packets, a few places later.
pub(crate) fn repeat(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut changed = packets.to_vec();
    for index in (0..packets.len()).rev().filter(|_| random.percent(30)).collect::<Vec<_>>() {
        let place = (index + 1 + random.below(6)).min(changed.len());
        let mut copy = packets[index].clone();
        copy.time = changed[place - 1].time;
        changed.insert(place, copy);
    }
    changed
}

/// Has both ends of connections reset in their name, now and then, at the very number that is next; they go on as before.
pub(crate) fn forge_resets(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut changed = Vec::new();
    for packet in packets {
        changed.push(packet.clone());
        let segment = &packet.segment;
        if segment.payload.is_empty() || segment.flags & (SYN | ENDS) != 0 || random.percent(60) {
            continue;
        }
        let mut reset = packet.clone();
        (reset.segment.flags, reset.segment.payload) = (RESET, Vec::new());
        if random.percent(50) {
            reset.segment.sequence = segment.sequence.wrapping_add(segment.payload.len() as u32);
        } else {
            (reset.segment.source, reset.segment.destination) = (segment.destination, segment.source);
            (reset.segment.sequence, reset.segment.acknowledgment) = (segment.acknowledgment, 0);
        }
        changed.push(reset);
    }
    changed
}

/// The capture with a copy of every packet in another VLAN, one hop further.
pub(crate) fn twice(packets: &[Timed], _: &mut Random) -> Vec<u8> {
    let copies = |packet: &Timed| {
        let plain = frame(packet).ethernet();
        let mut tagged = Wrap::Vlan(77).around(frame(packet)).unwrap().ethernet();
        let hops = if plain[12..14] == [0x08, 0x00] { 18 + 8 } else { 18 + 7 };
        tagged[hops] -= 1;
        [(packet.time, plain), (packet.time + 1, tagged)]
    };
    pcap(1, packets.iter().flat_map(copies))
}

/// Lets packets overtake those of the same sender, as on parallel links. Each stays within its round trip.
pub(crate) fn reorder(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut changed = packets.to_vec();
    for index in 1..changed.len() {
        let (before, this) = (&changed[index - 1].segment, &changed[index].segment);
        let same_sender = before.source == this.source && before.destination == this.destination;
        if same_sender && before.flags & SYN == 0 && random.percent(60) {
            changed.swap(index - 1, index);
        }
    }
    retime(packets, changed)
}

/// The longest time, in nanoseconds, by which a packet overtakes another. Where packets are seconds apart, none does.
const OVERTAKEN_WITHIN: u64 = 20_000_000;

/// Lets a response overtake the request it answers, and an acknowledgment what it acknowledges, as two capture points
/// merged into one do.
pub(crate) fn interleave(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut changed = packets.to_vec();
    for index in 1..changed.len() {
        let (before, this) = (&changed[index - 1].segment, &changed[index].segment);
        let is_near = packets[index].time.abs_diff(packets[index - 1].time) < OVERTAKEN_WITHIN;
        if (before.flags | this.flags) & (SYN | ENDS) == 0 && random.percent(30) && is_near {
            changed.swap(index - 1, index);
        }
    }
    retime(packets, changed)
}

/// Shows everything that one side sends earlier, or everything that the other side does, by up to 50 milliseconds: the two legs
/// of a tap whose clocks differ.
pub(crate) fn lead(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let lead = 10_000 << random.below(13);
    let leads = random.percent(50);
    let mut changed = packets.to_vec();
    for packet in &mut changed {
        let is_lower = packet.segment.source <= packet.segment.destination;
        packet.time += if is_lower == leads { 0 } else { lead };
    }
    changed.sort_by_key(|packet| packet.time);
    changed
}

/// Cuts segments into smaller ones.
pub(crate) fn split(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut changed = Vec::new();
    for packet in packets {
        let length = packet.segment.payload.len();
        if length < 2 || packet.segment.flags & SYN != 0 || random.percent(20) {
            changed.push(packet.clone());
            continue;
        }
        let mut cuts: Vec<usize> = (0..1 + random.below(4)).map(|_| 1 + random.below(length - 1)).collect();
        cuts.extend([0, length]);
        cuts.sort_unstable();
        cuts.dedup();
        for range in cuts.windows(2) {
            let mut piece = packet.clone();
            piece.segment.payload = packet.segment.payload[range[0]..range[1]].to_vec();
            piece.segment.sequence = packet.segment.sequence.wrapping_add(range[0] as u32);
            if range[1] < length {
                piece.segment.flags &= !(ENDS | PUSH);
            }
            changed.push(piece);
        }
    }
    changed
}

/// Cuts every segment into single bytes.
pub(crate) fn shred(packets: &[Timed], _: &mut Random) -> Vec<Timed> {
    let mut changed = Vec::new();
    for packet in packets {
        let length = packet.segment.payload.len();
        if length < 2 || packet.segment.flags & SYN != 0 {
            changed.push(packet.clone());
        }
        for (at, &byte) in
            packet.segment.payload.iter().enumerate().filter(|_| length > 1 && packet.segment.flags & SYN == 0)
        {
            let mut piece = packet.clone();
            piece.segment.payload = vec![byte];
            piece.segment.sequence = packet.segment.sequence.wrapping_add(at as u32);
            if at + 1 < length {
                piece.segment.flags &= !(ENDS | PUSH);
            }
            changed.push(piece);
        }
    }
    changed
}

/// Joins segments that follow one another, as an offloading card does.
pub(crate) fn join(packets: &[Timed], _: &mut Random) -> Vec<Timed> {
    let mut changed: Vec<Timed> = Vec::new();
    for packet in packets {
        let joined = changed.last_mut().is_some_and(|last| {
            let (before, this) = (&mut last.segment, &packet.segment);
            let follows = before.source == this.source
                && before.destination == this.destination
                && (before.flags | this.flags) & (SYN | ENDS) == 0
                && !before.payload.is_empty()
                && before.sequence.wrapping_add(before.payload.len() as u32) == this.sequence
                && before.payload.len() + this.payload.len() < 60_000;
            if follows {
                before.payload.extend(&this.payload);
                before.acknowledgment = this.acknowledgment;
                before.flags |= this.flags;
            }
            follows
        });
        if !joined {
            changed.push(packet.clone());
        }
    }
    changed
}

/// Moves all sequence numbers so that they wrap around within each stream.
pub(crate) fn wrap_around(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut changed = packets.to_vec();
    let within = random.below(300) as u32;
    for connection in connections(packets) {
        for reversed in [false, true] {
            let sends = |packet: &Timed| {
                let ends = [packet.segment.source, packet.segment.destination];
                ends == if reversed { [connection[1], connection[0]] } else { connection }
            };
            let Some(first) = packets.iter().find(|packet| sends(packet)) else { continue };
            let shift = 0u32.wrapping_sub(within).wrapping_sub(first.segment.sequence);
            for packet in &mut changed {
                let ends = [packet.segment.source, packet.segment.destination];
                if sends(packet) {
                    packet.segment.sequence = packet.segment.sequence.wrapping_add(shift);
                } else if ends == (if reversed { connection } else { [connection[1], connection[0]] })
                    && packet.segment.flags & 0x10 != 0
                {
                    packet.segment.acknowledgment = packet.segment.acknowledgment.wrapping_add(shift);
                    // Selective acknowledgments name the old numbers.
                    packet.segment.options.clear();
                }
            }
        }
    }
    changed
}

type End = (std::net::IpAddr, u16);

fn connections(packets: &[Timed]) -> Vec<[End; 2]> {
    let mut seen: Vec<[End; 2]> = Vec::new();
    for packet in packets {
        let ends = [packet.segment.source, packet.segment.destination];
        if !seen.contains(&ends) && !seen.contains(&[ends[1], ends[0]]) {
            seen.push(ends);
        }
    }
    seen
}

/// Loses packets that the receiver got: the capture's loss, not the network's.
pub(crate) fn lose(packets: &[Timed], random: &mut Random) -> Vec<Timed> {
    let chance = 1 + random.below(10);
    packets.iter().filter(|_| !random.percent(chance)).cloned().collect()
}

/// Keeps what one side sent.
pub(crate) fn one_side(packets: &[Timed], servers: bool) -> Vec<Timed> {
    packets
        .iter()
        .filter(|packet| (packet.segment.source.1 < packet.segment.destination.1) == servers)
        .cloned()
        .collect()
}

/// The capture with every packet in IP fragments, these in any order.
pub(crate) fn in_fragments(packets: &[Timed], random: &mut Random) -> Vec<u8> {
    let mut frames = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        let whole = frame(packet).ip().unwrap();
        let cuts: Vec<usize> = (0..1 + random.below(4)).map(|_| random.below(whole.len())).collect();
        let mut pieces = fragments(&whole, number as u16, &cuts);
        for index in (1..pieces.len()).rev() {
            pieces.swap(index, random.below(index + 1));
        }
        frames.extend(pieces.into_iter().map(|piece| (packet.time, piece)));
    }
    pcap(101, frames)
}

/// The capture in a tunnel, what this one cannot carry left plain; `None` where it can carry nothing.
pub(crate) fn in_tunnel(packets: &[Timed], wrap: Wrap) -> Option<Vec<u8>> {
    let wrapped: Vec<_> = packets.iter().map(|packet| wrap.around(frame(packet))).collect();
    wrapped.iter().any(Option::is_some).then(|| {
        let frames = packets.iter().zip(wrapped);
        pcap(1, frames.map(|(packet, wrapped)| (packet.time, wrapped.unwrap_or_else(|| frame(packet)).ethernet())))
    })
}
