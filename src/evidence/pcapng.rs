//! Packets to the bytes of a pcapng file (draft-ietf-opsawg-pcapng).
//!
//! In: a comment, interfaces, packets. Out: the blocks of one section, appended to a buffer. Promises: times are in nanoseconds;
//! the length on the wire is kept; every block is whole, so a file may be cut between blocks.

use crate::capture::{LinkType, Packet};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Tells the byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const APPLICATION: u16 = 4;
const TIME_RESOLUTION: u16 = 9;
/// Times are in units of 10⁻⁹ seconds.
const NANOSECONDS: u8 = 9;

/// The longest option that is written. The format allows 65,535 bytes.
const LONGEST_OPTION: usize = 32 << 10;

/// An interface that packets came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The link-layer header of its packets.
    pub link_type: LinkType,
    /// Bytes that were captured of each packet at most; 0 where there was no limit or it is not known.
    pub snap_length: u32,
    /// Its name, where it is known.
    pub name: Option<String>,
}

/// Appends the header of the section, with a comment that is shown as the comment of the file.
pub fn write_section(out: &mut Vec<u8>, comment: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend(BYTE_ORDER.to_le_bytes());
        // Version 1.0; the length of the section is not said.
        out.extend([1, 0, 0, 0]);
        out.extend([0xff; 8]);
        option(out, COMMENT, comment.as_bytes());
        option(out, APPLICATION, concat!("wirespike ", env!("CARGO_PKG_VERSION")).as_bytes());
        end_of_options(out);
    });
}

/// Appends the description of an interface. Interfaces are numbered from 0 in this order.
pub fn write_interface(out: &mut Vec<u8>, interface: &Interface) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(interface.link_type.0.to_le_bytes());
        out.extend([0, 0]);
        out.extend(interface.snap_length.to_le_bytes());
        if let Some(name) = &interface.name {
            option(out, INTERFACE_NAME, name.as_bytes());
        }
        option(out, TIME_RESOLUTION, &[NANOSECONDS]);
        end_of_options(out);
    });
}

/// Appends a packet of the interface with this number.
pub fn write_packet(out: &mut Vec<u8>, interface: u32, packet: &Packet<'_>) {
    block(out, ENHANCED_PACKET, |out| {
        let time = packet.stamp.time.as_nanos();
        out.extend(interface.to_le_bytes());
        out.extend(((time >> 32) as u32).to_le_bytes());
        out.extend((time as u32).to_le_bytes());
        out.extend((packet.data.len() as u32).to_le_bytes());
        out.extend(packet.wire_length.to_le_bytes());
        out.extend_from_slice(packet.data);
        pad(out, packet.data.len());
    });
}

/// Cuts bytes that hold whole blocks into the blocks.
pub fn blocks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while let Some(length) = bytes.get(4..).and_then(|rest| rest.first_chunk()) {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((block, rest)) = bytes.split_at_checked(length).filter(|_| length > 0) else { break };
        blocks.push(block);
        bytes = rest;
    }
    blocks
}

/// The time in the block of a packet, in nanoseconds.
pub fn packet_time(block: &[u8]) -> u64 {
    let number = |at: usize| {
        let bytes = block.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
    };
    number(12) << 32 | number(16)
}

/// Appends a block: its type, its length, its content, its length again.
fn block(out: &mut Vec<u8>, kind: u32, content: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    content(out);
    let length = ((out.len() + 4 - begin) as u32).to_le_bytes();
    out.extend(length);
    if let Some(place) = out.get_mut(begin + 4..begin + 8) {
        place.copy_from_slice(&length);
    }
}

/// Appends an option. A text that is too long is cut at a character.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let mut length = value.len().min(LONGEST_OPTION);
    while length < value.len() && value.get(length).is_some_and(|byte| byte & 0xc0 == 0x80) {
        length -= 1;
    }
    out.extend(code.to_le_bytes());
    out.extend((length as u16).to_le_bytes());
    out.extend_from_slice(value.get(..length).unwrap_or_default());
    pad(out, length);
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}

/// Fills up to a multiple of four bytes.
fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        capture::{
            Stamp,
            files::{CaptureSet, FileSettings},
            testing::{Sample, drain},
        },
        time::Timestamp,
    };

    fn packet(nanos: u64, link_type: u16, wire_length: u32, data: &[u8]) -> Packet<'_> {
        let stamp = Stamp { number: 0, time: Timestamp::from_nanos(nanos) };
        Packet { stamp, link_type: LinkType(link_type), interface: 0, wire_length, data }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut file = Vec::new();
        write_section(&mut file, "who and what\nsecond line");
        for (link_type, name) in [(1, Some("eth0")), (101, None)] {
            let (link_type, name) = (LinkType(link_type), name.map(str::to_owned));
            write_interface(&mut file, &Interface { link_type, snap_length: 96, name });
        }
        let packets = [
            packet(1_700_000_000_123_456_789, 1, 5, b"abcde"),
            packet(1_700_000_001_000_000_001, 101, 1_500, b"abc"),
            packet(18_000_000_000_000_000_001, 1, 0, b""),
        ];
        for packet in &packets {
            write_packet(&mut file, u32::from(packet.link_type.0 == 101), packet);
        }
        assert!(file.len().is_multiple_of(4));
        let input = Box::new(std::io::Cursor::new(file));
        let mut set = CaptureSet::from_stream("test".as_ref(), input, FileSettings::default()).unwrap();
        let read = drain(&mut set);
        assert!(set.problems().is_empty(), "{:?}", set.problems());
        let written = packets.iter().map(|packet| Sample {
            nanos: packet.stamp.time.as_nanos(),
            link_type: packet.link_type.0,
            wire_length: packet.wire_length,
            data: packet.data.to_vec(),
        });
        assert_eq!(read, written.collect::<Vec<_>>());
    }

    #[test]
    fn a_long_comment_is_cut_at_a_character() {
        let mut file = Vec::new();
        write_section(&mut file, &format!("x{}", "é".repeat(40_000)));
        let length = usize::from(u16::from_le_bytes([file[26], file[27]]));
        assert_eq!(length, LONGEST_OPTION - 1);
        assert!(std::str::from_utf8(&file[28..28 + length]).is_ok());
        assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len());
    }
}
