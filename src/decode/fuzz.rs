//! Entries for fuzzing: bytes to several packets of one link type, and bytes to fragments beside an obvious reference.

use std::collections::BTreeMap;

use super::{
    ChecksumPolicy, DecodeCounters, DecodeSettings, Decoder, EndsReader, FragmentLimits, Segment,
    cursor::Cursor,
    fragments::{FragmentTable, Reassembly},
    layer::{Fragment, IpVersion},
    outer::OuterHeaders,
};
use crate::{
    capture::{LinkType, Packet, Stamp},
    time::Timestamp,
};

/// Decodes `data` as settings, a link type and packets, each after a byte pair of captured length and of what the snap
/// length cut off. Panics where the decoder breaks its promises.
#[allow(clippy::panic, reason = "a panic is how a fuzz target reports")]
pub fn fuzz(data: &[u8]) {
    let &[link_type, options, ref rest @ ..] = data else { return };
    let mut rest = rest;
    let fragments = FragmentLimits { bytes: 20_000, datagrams: 8, pieces: 16, ..FragmentLimits::default() };
    let settings = DecodeSettings {
        verify_checksums: if options & 1 != 0 { ChecksumPolicy::Always } else { ChecksumPolicy::Auto },
        max_depth: options >> 4,
        fragments,
        ..DecodeSettings::default()
    };
    let (mut ends, mut decoder) = (EndsReader::new(&settings), Decoder::new(settings));
    // One byte has no room for the highest numbers.
    let link_type = match link_type {
        255 => 276,
        254 => 258,
        253 => 284,
        252 => 285,
        link_type => u16::from(link_type),
    };
    let mut number = 0;
    while let &[captured, cut, ref packets @ ..] = rest {
        let (data, after) = packets.split_at(usize::from(captured).min(packets.len()));
        rest = after;
        number += 1;
        let packet = Packet {
            stamp: Stamp { number, time: Timestamp::from_parts(number * u64::from(options >> 1 & 7), 0) },
            link_type: LinkType(link_type),
            interface: 0,
            wire_length: data.len() as u32 + u32::from(cut),
            data,
        };
        decoder.decode(&packet, &mut |segment: Segment<'_>| {
            assert!(segment.payload.len() <= segment.wire_length as usize);
        });
        assert!(decoder.fragment_bytes_held() <= fragments.bytes);
        ends.read(&packet, &mut |_, _| {});
    }
}

/// What is known of one datagram, byte by byte.
#[derive(Debug, Default)]
struct Reference {
    bytes: Vec<Option<u8>>,
    total: Option<usize>,
    accepted: Vec<(usize, Vec<u8>)>,
    over: bool,
}

impl Reference {
    /// The datagram, if this fragment completes it.
    fn take(&mut self, version: IpVersion, start: usize, content: &[u8], more: bool) -> Option<Vec<u8>> {
        let end = start + content.len();
        let contradiction = match self.total {
            Some(total) => end > total || !more && end != total,
            None => !more && end < self.bytes.len(),
        };
        let copy = self.accepted.iter().any(|(at, bytes)| *at == start && bytes == content);
        if self.over || content.is_empty() || contradiction {
            return None;
        }
        if !copy && version == IpVersion::V6 {
            self.over = self.bytes.iter().take(end).skip(start).any(Option::is_some);
        }
        if self.over {
            return None;
        }
        self.bytes.resize(self.bytes.len().max(end), None);
        for (byte, new) in self.bytes[start..end].iter_mut().zip(content) {
            byte.get_or_insert(*new);
        }
        self.accepted.push((start, content.to_vec()));
        if !more {
            self.total = Some(end);
        }
        let whole = self.bytes.iter().copied().collect::<Option<Vec<u8>>>();
        whole.filter(|_| self.total == Some(self.bytes.len())).inspect(|_| self.over = true)
    }
}

/// Reassembles fragments, four bytes of `data` each, and panics where an obvious reference comes to something else.
pub fn fuzz_fragments(data: &[u8]) {
    let outer = OuterHeaders::new(8);
    let mut counters = DecodeCounters::default();
    let mut fragments = FragmentTable::new(FragmentLimits::default(), 0);
    let mut references = BTreeMap::<u32, Reference>::new();
    for &[options, start, length, fill] in data.as_chunks::<4>().0 {
        let identification = u32::from(options & 3);
        let version = if identification == 3 { IpVersion::V6 } else { IpVersion::V4 };
        let more = options & 4 != 0;
        let start = usize::from(start & 63) * 8;
        let length = usize::from(length & 31) * 8 + if more { 0 } else { usize::from(options >> 5) };
        let content: Vec<u8> = (0..length).map(|at| fill.wrapping_mul(at as u8 & 3)).collect();
        let reference = references.entry(identification).or_default();
        let over = reference.over;
        let expected = reference.take(version, start, &content, more);
        let fragment = Fragment { version, identification, offset: start, more, protocol: 6 };
        let cursor = Cursor::new(&content, content.len());
        let result = fragments.add(&fragment, cursor, &outer, Timestamp::EPOCH, &mut counters);
        match result {
            Reassembly::Complete { bytes, wire_length, .. } if !over => {
                assert_eq!((Some(&bytes), wire_length), (expected.as_ref(), bytes.len()))
            }
            Reassembly::Incomplete => assert_eq!(expected, None),
            // Identifications may be used again.
            Reassembly::Complete { .. } => {}
        }
    }
}
