//! Repeats captures with other client addresses, for sizes that nobody wants to record.
//!
//! In: classic pcap files of Ethernet frames, little-endian, one link type and time unit. Out: one such file that holds
//! every input COPIES times, one copy after the other in time, each with its own clients. Promises: only IPv4 TCP over
//! plain Ethernet is rewritten, its checksums are adjusted and stay as right or wrong as they were; the same arguments
//! give the same file.
//!
//! `multiply COPIES OUTPUT INPUT...`
//!
//! The client is taken to be the side with the higher port. Copy *k* adds *k* × 65,536 to its address, so that captures
//! whose clients lie in one /16 have disjoint clients in up to 256 copies and stay in the neighbouring /16s.

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    process::ExitCode,
};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Quiet time between two copies.
const PAUSE_SECONDS: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [copies, output, inputs @ ..] = arguments.as_slice() else {
        eprintln!("usage: multiply COPIES OUTPUT INPUT...");
        return ExitCode::from(2);
    };
    match multiply(copies, output, inputs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("multiply: {error}");
            ExitCode::from(2)
        }
    }
}

fn multiply(copies: &str, output: &str, inputs: &[String]) -> Result<(), Box<dyn Error>> {
    let copies: u32 = copies.parse()?;
    let mut output = BufWriter::with_capacity(1 << 20, File::create(output)?);
    let mut clock = Clock::default();
    let mut header = None;
    for copy in 0..copies {
        for (index, input) in inputs.iter().enumerate() {
            let mut reader = BufReader::with_capacity(1 << 20, File::open(input)?);
            let mut found = [0; FILE_HEADER];
            reader.read_exact(&mut found)?;
            if header.is_none() {
                output.write_all(&found)?;
            }
            let wanted = *header.get_or_insert(found);
            if wanted[..4] != found[..4] || wanted[20..] != found[20..] {
                return Err(format!("{input}: another format than {}", inputs[0]).into());
            }
            clock.units = units(&found)?;
            clock.next_input();
            let offset = (copy * inputs.len() as u32 + index as u32) << 16;
            copy_packets(&mut reader, &mut output, &mut clock, offset)?;
        }
    }
    output.flush()?;
    Ok(())
}

/// Time units in a second.
fn units(header: &[u8; FILE_HEADER]) -> Result<u64, String> {
    match word(header, 0) {
        MICROSECONDS => Ok(1_000_000),
        NANOSECONDS => Ok(1_000_000_000),
        other => Err(format!("not a little-endian pcap file: it starts with {other:08x}")),
    }
}

/// Shifts each input's times behind the last packet of the one before.
#[derive(Default)]
struct Clock {
    units: u64,
    last: u64,
    shift: Option<i64>,
    started: bool,
}

impl Clock {
    fn next_input(&mut self) {
        self.shift = None;
    }

    fn shifted(&mut self, seconds: u32, fraction: u32) -> (u32, u32) {
        let time = u64::from(seconds) * self.units + u64::from(fraction);
        let start = if self.started { self.last + PAUSE_SECONDS * self.units } else { time };
        self.started = true;
        let shift = *self.shift.get_or_insert(start as i64 - time as i64);
        let time = time.wrapping_add_signed(shift);
        self.last = self.last.max(time);
        ((time / self.units) as u32, (time % self.units) as u32)
    }
}

fn copy_packets(
    reader: &mut impl Read,
    output: &mut impl Write,
    clock: &mut Clock,
    offset: u32,
) -> Result<(), Box<dyn Error>> {
    let mut record = [0; RECORD_HEADER];
    let mut frame = Vec::new();
    while read_record(reader, &mut record)? {
        let captured = word(&record, 8) as usize;
        if captured > 1 << 20 {
            return Err(format!("a packet of {captured} bytes").into());
        }
        let (seconds, fraction) = clock.shifted(word(&record, 0), word(&record, 4));
        record[..4].copy_from_slice(&seconds.to_le_bytes());
        record[4..8].copy_from_slice(&fraction.to_le_bytes());
        frame.resize(captured, 0);
        reader.read_exact(&mut frame)?;
        move_client(&mut frame, offset);
        output.write_all(&record)?;
        output.write_all(&frame)?;
    }
    Ok(())
}

/// Reads the next record header; false at a clean end.
fn read_record(reader: &mut impl Read, record: &mut [u8; RECORD_HEADER]) -> Result<bool, std::io::Error> {
    match reader.read(&mut record[..1])? {
        0 => Ok(false),
        _ => reader.read_exact(&mut record[1..]).map(|()| true),
    }
}

/// Adds `offset` to the client's address in an Ethernet/IPv4/TCP frame; leaves any other frame as it is.
fn move_client(frame: &mut [u8], offset: u32) {
    let Some(ip) = frame.strip_ethernet() else { return };
    let header = usize::from(ip[0] & 15) * 4;
    if ip.len() < header + 20 || header < 20 {
        return;
    }
    let port = |at: usize| u16::from_be_bytes([ip[header + at], ip[header + at + 1]]);
    let at = if port(0) > port(2) { 12 } else { 16 };
    let old = u32::from_be_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
    let new = old.wrapping_add(offset);
    ip[at..at + 4].copy_from_slice(&new.to_be_bytes());
    adjust(&mut ip[10..12], old, new);
    adjust(&mut ip[header + 16..header + 18], old, new);
}

trait Frame {
    fn strip_ethernet(&mut self) -> Option<&mut [u8]>;
}

impl Frame for [u8] {
    /// The IPv4 packet in an untagged Ethernet frame, when it is one that holds TCP.
    fn strip_ethernet(&mut self) -> Option<&mut [u8]> {
        let tcp = self.len() >= 34 && self[12..14] == [8, 0] && self[14] >> 4 == 4 && self[23] == 6;
        if tcp { self.get_mut(14..) } else { None }
    }
}

/// Adjusts a ones' complement checksum for a changed 32-bit field (RFC 1624, equation 3).
fn adjust(checksum: &mut [u8], old: u32, new: u32) {
    let halves = |value: u32| (value >> 16) + (value & 0xffff);
    let mut sum = u32::from(!u16::from_be_bytes([checksum[0], checksum[1]])) + halves(!old) + halves(new);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    checksum.copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
