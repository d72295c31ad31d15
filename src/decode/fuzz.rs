//! Entry for fuzzing: bytes to several packets of one link type.

use super::{DecodeSettings, Decoder, FragmentLimits, Segment};
use crate::{
    capture::{LinkType, Packet, Stamp},
    time::Timestamp,
};

/// Decodes `data` as settings, a link type and packets, each after a byte pair of captured length and of what the snap length
/// cut off. Panics where the decoder breaks its promises.
#[doc(hidden)]
#[allow(clippy::panic, reason = "a panic is how a fuzz target reports")]
pub fn fuzz(data: &[u8]) {
    let &[link_type, options, ref rest @ ..] = data else { return };
    let mut rest = rest;
    let fragments = FragmentLimits { bytes: 20_000, datagrams: 8, pieces: 16, ..FragmentLimits::default() };
    let mut decoder = Decoder::new(DecodeSettings {
        verify_checksums: options & 1 != 0,
        max_depth: options >> 4,
        fragments,
        ..DecodeSettings::default()
    });
    let mut number = 0;
    while let &[captured, cut, ref packets @ ..] = rest {
        let (data, after) = packets.split_at(usize::from(captured).min(packets.len()));
        rest = after;
        number += 1;
        let packet = Packet {
            stamp: Stamp { number, time: Timestamp::from_parts(number * u64::from(options >> 1 & 7), 0) },
            link_type: LinkType(u16::from(link_type)),
            wire_length: data.len() as u32 + u32::from(cut),
            data,
        };
        decoder.decode(&packet, &mut |segment: Segment<'_>| {
            assert!(segment.payload.len() <= segment.wire_length as usize);
        });
        assert!(decoder.fragment_bytes_held() <= fragments.bytes);
    }
}
