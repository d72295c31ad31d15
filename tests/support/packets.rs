//! Captures as lists of TCP segments, to be changed and written again.
//!
//! In: a pcap file of Ethernet frames, plain or gzip. Out: [`Timed`] segments. Knows nothing of the code under test.

use std::{fs, io::Read, net::IpAddr, path::Path};

use super::wrap::{Frame, Tcp};

/// A segment and when it was captured.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    /// Nanoseconds since the epoch.
    pub(crate) time: u64,
    pub(crate) segment: Tcp,
}

/// The segments of a capture; `None` where it is no pcap file or a packet was cut by a snap length.
pub(crate) fn read(path: &Path) -> Option<Vec<Timed>> {
    let mut bytes = fs::read(path).unwrap();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        bytes = plain;
    }
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    if number(0) != 0xa1b2_3c4d {
        return None;
    }
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let time = u64::from(number(at)) * 1_000_000_000 + u64::from(number(at + 4));
        let (captured, wire) = (number(at + 8) as usize, number(at + 12) as usize);
        let frame = &bytes[at + 16..at + 16 + captured];
        at += 16 + captured;
        if captured < wire {
            return None;
        }
        packets.extend(tcp(frame).map(|segment| Timed { time, segment }));
    }
    Some(packets)
}

/// The TCP segment in an Ethernet frame with IPv4 or IPv6.
fn tcp(frame: &[u8]) -> Option<Tcp> {
    let packet = &frame[14..];
    let short = |bytes: &[u8]| u16::from_be_bytes(bytes[..2].try_into().unwrap());
    let long = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
    let (source, destination, segment): (IpAddr, IpAddr, &[u8]) = match short(&frame[12..]) {
        0x0800 => {
            let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
            let header = usize::from(packet[0] & 15) * 4;
            (address(12), address(16), &packet[header..usize::from(short(&packet[2..]))])
        }
        0x86dd => {
            let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
            (address(8), address(24), &packet[40..40 + usize::from(short(&packet[4..]))])
        }
        _ => return None,
    };
    let header = usize::from(segment[12] >> 4) * 4;
    Some(Tcp {
        source: (source, short(segment)),
        destination: (destination, short(&segment[2..])),
        sequence: long(&segment[4..]),
        acknowledgment: long(&segment[8..]),
        flags: segment[13],
        window: short(&segment[14..]),
        options: segment[20..header].to_vec(),
        payload: segment[header..].to_vec(),
    })
}

/// A pcap file with nanoseconds.
pub(crate) fn pcap(link_type: u32, frames: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, link_type] {
        file.extend(u32::to_le_bytes(word));
    }
    for (time, frame) in frames {
        let length = frame.len() as u32;
        for word in [(time / 1_000_000_000) as u32, (time % 1_000_000_000) as u32, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A pcap file of plain Ethernet frames.
pub(crate) fn plain(packets: &[Timed]) -> Vec<u8> {
    pcap(1, packets.iter().map(|packet| (packet.time, packet.segment.packet().ethernet())))
}

/// A packet as the wrappers take it.
pub(crate) fn frame(packet: &Timed) -> Frame {
    packet.segment.packet()
}

/// A pcapng file of the same packets, with the text of a key log before or after them.
pub(crate) fn pcapng_with_secrets(capture: &Path, key_log: &str, is_first: bool) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = (12 + body.len() + padding) as u32;
        [&kind.to_le_bytes(), &length.to_le_bytes(), body, &vec![0; padding][..], &length.to_le_bytes()].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let section = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    // Ethernet, nanoseconds.
    let interface = block(1, &words(&[1, 0, 1 << 16 | 9, 9, 0]));
    let secrets = block(10, &[words(&[0x544c_534b, key_log.len() as u32]), key_log.as_bytes().to_vec()].concat());
    let packets: Vec<u8> = read(capture)
        .unwrap()
        .iter()
        .flat_map(|packet| {
            let bytes = packet.segment.packet().ethernet();
            let length = bytes.len() as u32;
            block(6, &[words(&[0, (packet.time >> 32) as u32, packet.time as u32, length, length]), bytes].concat())
        })
        .collect();
    let parts = if is_first { [section, interface, secrets, packets] } else { [section, interface, packets, secrets] };
    parts.concat()
}

/// Keeps what a snap length leaves of each packet.
pub(crate) fn snapped(packets: &[Timed], snap_length: usize) -> Vec<u8> {
    let whole = plain(packets);
    let mut capture = whole[..24].to_vec();
    let mut at = 24;
    while at < whole.len() {
        let length = u32::from_le_bytes(whole[at + 8..at + 12].try_into().unwrap()) as usize;
        let kept = length.min(snap_length);
        capture.extend(&whole[at..at + 8]);
        capture.extend((kept as u32).to_le_bytes());
        capture.extend(&whole[at + 12..at + 16 + kept]);
        at += 16 + length;
    }
    capture
}
