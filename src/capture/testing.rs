//! For tests: writers of capture files, a reader, and a function that reports a skipped test.
//!
//! In: packets. Out: the bytes of a pcap or pcapng file, in either byte order and any time unit; or the packets of files. The
//! writers can also make malformed files.

use std::{env, fs, io::Write};

use super::{
    PacketBatch,
    files::{CaptureSet, Filled},
};

/// Reports that a test is skipped: on standard error, and in the file that `tests/run` prints at its end.
pub(crate) fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}");
    eprintln!("{line}");
    if let Some(path) = env::var_os("WIRESPIKE_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// A packet to write to a file, or a packet read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Packet time in nanoseconds since the epoch.
    pub(crate) nanos: u64,
    /// The registry's number of its link type.
    pub(crate) link_type: u16,
    /// Length on the wire.
    pub(crate) wire_length: u32,
    /// The captured bytes.
    pub(crate) data: Vec<u8>,
}

/// Reads every packet.
pub(crate) fn drain(set: &mut CaptureSet) -> Vec<Sample> {
    let (mut batch, mut samples, mut number) = (PacketBatch::default(), Vec::new(), 0);
    while set.fill(&mut batch) == Filled::Packets {
        assert!(!batch.records.is_empty());
        for packet in batch.packets() {
            number += 1;
            assert_eq!(packet.stamp.number, number);
            samples.push(Sample {
                nanos: packet.stamp.time.as_nanos(),
                link_type: packet.link_type.0,
                wire_length: packet.wire_length,
                data: packet.data.to_vec(),
            });
        }
    }
    assert_eq!(set.counters().packets, number);
    assert_eq!(set.fill(&mut batch), Filled::End);
    samples
}

/// A pcap file with this magic number, this number of nanoseconds in a time unit, and this link-type field.
pub(crate) fn pcap(samples: &[Sample], magic: u32, nanos_per_unit: u64, big_endian: bool, link: u32) -> Vec<u8> {
    let word = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let half = |value: u16| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut bytes = [word(magic).as_slice(), &half(2), &half(4), &word(0), &word(0), &word(0), &word(link)].concat();
    for sample in samples {
        bytes.extend(word((sample.nanos / 1_000_000_000) as u32));
        bytes.extend(word((sample.nanos % 1_000_000_000 / nanos_per_unit) as u32));
        bytes.extend(word(sample.data.len() as u32));
        bytes.extend(word(sample.wire_length));
        if magic == 0xa1b2_cd34 {
            bytes.extend([0xee; 8]);
        }
        bytes.extend(&sample.data);
    }
    bytes
}

/// A pcapng file of one section, one interface and enhanced packets in microseconds.
pub(crate) fn pcapng(samples: &[Sample], big_endian: bool) -> Vec<u8> {
    let mut ng = Ng::new(big_endian);
    ng.interface(1, 0, &[]);
    for sample in samples {
        ng.enhanced(0, sample.nanos / 1_000, &sample.data, sample.wire_length);
    }
    ng.bytes
}

/// The eight bytes of a signed number, for options.
pub(crate) fn i64_bytes(value: i64, big_endian: bool) -> [u8; 8] {
    if big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
}

/// A pcapng section that is being written.
pub(crate) struct Ng {
    big_endian: bool,
    /// The bytes so far.
    pub(crate) bytes: Vec<u8>,
}

impl Ng {
    /// A section header.
    pub(crate) fn new(big_endian: bool) -> Self {
        let mut ng = Self { big_endian, bytes: Vec::new() };
        let body = [ng.word(0x1a2b_3c4d).as_slice(), &ng.half(1), &ng.half(0), &[0xff; 8]].concat();
        ng.block(0x0a0d_0d0a, &body);
        ng
    }

    /// A block of any type.
    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = self.word(padded as u32 + 12);
        self.bytes.extend(self.word(kind));
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.extend(vec![0; padded - body.len()]);
        self.bytes.extend(length);
    }

    /// An interface description with options.
    pub(crate) fn interface(&mut self, link_type: u16, snap_length: u32, options: &[(u16, &[u8])]) {
        let mut body = [self.half(link_type).as_slice(), &[0; 2], &self.word(snap_length)].concat();
        for (code, value) in options {
            body.extend(self.half(*code));
            body.extend(self.half(value.len() as u16));
            body.extend(*value);
            body.extend(vec![0; value.len().next_multiple_of(4) - value.len()]);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
        self.block(1, &body);
    }

    /// An enhanced packet block.
    pub(crate) fn enhanced(&mut self, interface: u32, units: u64, data: &[u8], wire_length: u32) {
        let mut body = self.word(interface).to_vec();
        body.extend(self.word((units >> 32) as u32));
        body.extend(self.word(units as u32));
        body.extend(self.word(data.len() as u32));
        body.extend(self.word(wire_length));
        body.extend(data);
        self.block(6, &body);
    }

    /// An old packet block.
    pub(crate) fn old(&mut self, interface: u16, units: u64, data: &[u8], wire_length: u32) {
        let mut body = [self.half(interface), self.half(0)].concat();
        body.extend(self.word((units >> 32) as u32));
        body.extend(self.word(units as u32));
        body.extend(self.word(data.len() as u32));
        body.extend(self.word(wire_length));
        body.extend(data);
        self.block(2, &body);
    }

    /// A simple packet block.
    pub(crate) fn simple(&mut self, data: &[u8], wire_length: u32) {
        let body = [self.word(wire_length).as_slice(), data].concat();
        self.block(3, &body);
    }

    fn word(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn half(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}
