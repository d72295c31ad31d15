//! What decoding costs a packet: ordinary packets, tunnels, fragments, and a flood of them, each with the short way and on
//! the plain way alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{hint::black_box, net::IpAddr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespike::{
    capture::{LinkType, Packet, Stamp},
    decode::{DecodeSettings, Decoder, Segment},
    time::Timestamp,
};

#[path = "../support/wrap.rs"]
mod wrap;

use wrap::{Frame, Tcp, Wrap};

const PACKETS: u64 = 1_000;

/// Decodes the frames in turn, `PACKETS` in all.
fn run(decoder: &mut Decoder, link: u16, frames: &[Vec<u8>]) -> u64 {
    let mut bytes = 0;
    for (number, data) in (1..=PACKETS).zip(frames.iter().cycle()) {
        let stamp = Stamp { number, time: Timestamp::from_parts(number, 0) };
        let packet = Packet { stamp, link_type: LinkType(link), interface: 0, wire_length: data.len() as u32, data };
        decoder.decode(black_box(&packet), &mut |segment: Segment<'_>| bytes += u64::from(segment.wire_length));
    }
    bytes
}

fn decode(criterion: &mut Criterion) {
    let (v4, v6) = (Tcp::v4(&[7; 1_000]).packet(), Tcp::v6(&[7; 1_000]).packet());
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let around = |wraps: &[Wrap], frame: &Frame| {
        wraps.iter().fold(frame.clone(), |frame, wrap| wrap.around(frame.clone()).unwrap_or(frame)).ethernet()
    };
    let plain_udp = Frame::Ip(wrap::ip(loopback, loopback, 17, &wrap::udp(53, &[7; 100])));
    let fragments = wrap::fragments(v4.bytes(), 1, &[512]).into_iter().map(|piece| Frame::Ip(piece).ethernet());
    let flood = (0..PACKETS as u16).map(|number| Frame::Ip(wrap::fragment(v4.bytes(), number, 0..512)).ethernet());
    let cases = [
        ("ethernet_ipv4", 1, vec![around(&[], &v4)]),
        ("ethernet_ipv6", 1, vec![around(&[], &v6)]),
        ("two_vlans_ipv4", 1, vec![around(&[Wrap::Vlan(1), Wrap::ServiceVlan(2)], &v4)]),
        ("udp", 1, vec![plain_udp.ethernet()]),
        ("raw_ipv4", 101, vec![v4.bytes().to_vec()]),
        ("vxlan", 1, vec![around(&[Wrap::Vxlan(5)], &v4)]),
        ("gre_gtp_u_mpls", 1, vec![around(&[Wrap::Gre, Wrap::GtpU(5), Wrap::Mpls(6)], &v4)]),
        ("two_fragments", 1, fragments.collect()),
        ("flood_of_fragments", 1, flood.collect()),
    ];
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(PACKETS));
    for (name, link, frames) in cases {
        for (way, short_way) in [("short", true), ("plain", false)] {
            let mut decoder = Decoder::new(DecodeSettings { short_way, ..DecodeSettings::default() });
            group.bench_function(format!("{name}/{way}"), |bencher| bencher.iter(|| run(&mut decoder, link, &frames)));
        }
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
