//! The decoder against packets built by hand: every tag, tunnel and link type, cut short, damaged, nested and
//! fragmented.

use proptest::prelude::*;

use super::*;
use crate::{
    address::{Address, Endpoint},
    capture::Stamp,
};

#[path = "../../tests/support/wrap.rs"]
mod wrap;

mod captures;
mod ends;
mod etherparse;
mod fragments;
mod short_way;
mod tags;
mod tunnels;

use wrap::{Frame, Tcp, Wrap};

const ETHERNET: u16 = 1;
const RAW: u16 = 101;

/// A segment that outlives its packet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    source: Endpoint,
    destination: Endpoint,
    numbers: (u32, u32, u8),
    payload: Vec<u8>,
    wire_length: u32,
    encapsulation: Encapsulation,
}

impl Seen {
    fn of(segment: Segment<'_>) -> Self {
        Self {
            source: segment.source,
            destination: segment.destination,
            numbers: (segment.sequence, segment.acknowledgment, segment.flags.0),
            payload: segment.payload.to_vec(),
            wire_length: segment.wire_length,
            encapsulation: Encapsulation { outer_source: 0, ..segment.encapsulation },
        }
    }

    fn expected(tcp: &Tcp) -> Self {
        let endpoint = |(address, port)| Endpoint::new(Address::from(address), port);
        Self {
            source: endpoint(tcp.source),
            destination: endpoint(tcp.destination),
            numbers: (tcp.sequence, tcp.acknowledgment, tcp.flags),
            payload: tcp.payload.clone(),
            wire_length: tcp.payload.len() as u32,
            encapsulation: Encapsulation::default(),
        }
    }

    fn bare(mut self) -> Self {
        self.encapsulation = Encapsulation::default();
        self
    }
}

/// A decoder that takes the short way where it can, and one that never does. Both get every packet and must agree on
/// it, so each test of the decoder is a test of both ways.
#[derive(Debug)]
struct BothWays {
    short: Decoder,
    plain: Decoder,
}

impl BothWays {
    fn new(settings: DecodeSettings) -> Self {
        let plain = Decoder::new(DecodeSettings { short_way: false, ..settings.clone() });
        Self { short: Decoder::new(settings), plain }
    }

    fn decode(&mut self, packet: &Packet<'_>) -> Vec<Seen> {
        let (mut short, mut plain) = (Vec::new(), Vec::new());
        self.short.decode(packet, &mut |segment: Segment<'_>| short.push(Seen::of(segment)));
        self.plain.decode(packet, &mut |segment: Segment<'_>| plain.push(Seen::of(segment)));
        assert_eq!(short, plain, "{packet:?}");
        assert_eq!(self.short.counters, self.plain.counters, "{packet:?}");
        short
    }
}

/// The one that takes the short way, to read counters of.
impl std::ops::Deref for BothWays {
    type Target = Decoder;

    fn deref(&self) -> &Decoder {
        &self.short
    }
}

fn decoder() -> BothWays {
    BothWays::new(DecodeSettings::default())
}

/// For nestings deeper than the decoder reads by default.
fn deep_decoder() -> BothWays {
    BothWays::new(DecodeSettings { max_depth: 32, ..DecodeSettings::default() })
}

fn feed(decoder: &mut BothWays, link: u16, data: &[u8], wire: usize, seconds: u64) -> Vec<Seen> {
    let stamp = Stamp { number: 1, time: Timestamp::from_parts(seconds, 0) };
    decoder.decode(&Packet { stamp, link_type: LinkType(link), interface: 0, wire_length: wire as u32, data })
}

fn decode(link: u16, data: &[u8]) -> Vec<Seen> {
    feed(&mut decoder(), link, data, data.len(), 0)
}

/// As the binary reports them: names of the counters that are not zero.
fn counted(decoder: &Decoder) -> Vec<(&'static str, u64)> {
    decoder
        .counters()
        .counts()
        .into_iter()
        .map(|count| (count.name, count.value))
        .filter(|&(_, value)| value != 0)
        .collect()
}

/// Packets that ended in something, by the counters. Every packet does, but an aggregated 802.11 frame in several.
fn accounted(counters: &DecodeCounters) -> u64 {
    let reasons: u64 = counters
        .counts()
        .into_iter()
        .skip_while(|count| count.name != "unsupported_link_type")
        .take_while(|count| count.name != "fragments")
        .map(|count| count.value)
        .sum();
    counters.segments + reasons + counters.fragments - counters.datagrams_reassembled
}

fn inner(tcp: &Tcp, link: u16, frame: Frame) -> (u16, Vec<u8>) {
    let _ = tcp;
    match (link, frame) {
        (RAW, Frame::Ip(packet)) => (RAW, packet),
        (_, frame) => (ETHERNET, frame.ethernet()),
    }
}

fn tunnel(kind: TunnelKind, identifier: u32) -> Encapsulation {
    Encapsulation { tunnel: kind, tunnel_id: identifier, depth: 1, ..Encapsulation::default() }
}

/// What a wrapping must be recorded as.
fn recorded(wrap: Wrap) -> Encapsulation {
    use TunnelKind as Kind;
    match wrap {
        Wrap::Vlan(id) | Wrap::ServiceVlan(id) | Wrap::OldVlan(id) | Wrap::EdsaVlan(id) => {
            Encapsulation { vlans: [id, 0], depth: 1, ..Encapsulation::default() }
        }
        Wrap::Mpls(id)
        | Wrap::MplsStack(id)
        | Wrap::MplsEthernet(id)
        | Wrap::MplsControlWord(id)
        | Wrap::MplsInUdp(id)
        | Wrap::MplsInUdpEthernet(id)
        | Wrap::MplsInUdpControlWord(id)
        | Wrap::MplsOverIp(id) => tunnel(Kind::Mpls, id),
        Wrap::GreMpls(id) => Encapsulation { depth: 2, ..tunnel(Kind::Mpls, id) },
        Wrap::Pbb(id) => tunnel(Kind::Pbb, id),
        Wrap::Pppoe(id) | Wrap::PppoeShortProtocol(id) => tunnel(Kind::Pppoe, u32::from(id)),
        Wrap::Gre | Wrap::GreRouted | Wrap::GreWifi | Wrap::GreWebCache => tunnel(Kind::Gre, 0),
        Wrap::GreAllOptions(id) | Wrap::GreInUdp(id) => tunnel(Kind::Gre, id),
        Wrap::GrePptp(id) => tunnel(Kind::Gre, u32::from(id)),
        Wrap::Nvgre(id) | Wrap::GreBridging(id) | Wrap::GreInUdpEthernet(id) => tunnel(Kind::Nvgre, id),
        Wrap::Eoip(id) => tunnel(Kind::Nvgre, u32::from(id)),
        Wrap::ErspanI => tunnel(Kind::Erspan, 0),
        Wrap::ErspanII(id) | Wrap::ErspanIII(id) | Wrap::ErspanIIIPlatform(id) => tunnel(Kind::Erspan, u32::from(id)),
        Wrap::Vxlan(id)
        | Wrap::VxlanOldPort(id)
        | Wrap::VxlanPolicy(id)
        | Wrap::VxlanGpe(id)
        | Wrap::VxlanGpeEthernet(id)
        | Wrap::VxlanGpeNsh(id) => tunnel(Kind::Vxlan, id),
        Wrap::Geneve(id) | Wrap::GeneveIp(id) | Wrap::GeneveCloudMirror(id) => tunnel(Kind::Geneve, id),
        Wrap::IpInV4 | Wrap::IpInV6 | Wrap::Ayiya => tunnel(Kind::IpInIp, 0),
        Wrap::GtpU(id) | Wrap::GtpUExtensions(id) => tunnel(Kind::GtpU, id),
        Wrap::Teredo | Wrap::TeredoIndications => tunnel(Kind::Teredo, 0),
        Wrap::L2tpV3Ip(id) | Wrap::L2tpV3IpCookie(id) | Wrap::L2tpV3IpCookieSublayer(id) | Wrap::L2tpV3Udp(id) => {
            tunnel(Kind::L2tp, id)
        }
        Wrap::L2tpV2(id) | Wrap::L2tpV2Options(id) => tunnel(Kind::L2tp, id),
        Wrap::Tzsp | Wrap::TzspTags | Wrap::TzspWifi => tunnel(Kind::Tzsp, 0),
        Wrap::JuniperMirror(id) | Wrap::JuniperMirrorEthernet(id) => tunnel(Kind::JuniperMirror, id),
        Wrap::Capwap | Wrap::CapwapOptions | Wrap::CapwapWifi | Wrap::CapwapWifiSwapped => tunnel(Kind::Capwap, 0),
        Wrap::Lisp(id) | Wrap::LispAnyContent(id) => tunnel(Kind::Lisp, id),
        Wrap::LlcSnap
        | Wrap::LlcIp
        | Wrap::MacsecInClear
        | Wrap::MacsecInClearWithChannel
        | Wrap::VnTag
        | Wrap::ETag
        | Wrap::CiscoMetadata
        | Wrap::FabricPath
        | Wrap::NshOverEthernet
        | Wrap::Hsr
        | Wrap::PrpTrailer
        | Wrap::RTag
        | Wrap::AristaTimeLong
        | Wrap::AristaTimeShort
        | Wrap::Edsa
        | Wrap::EtherTypeOfOtherVersion
        | Wrap::EtherIp
        | Wrap::EthernetInIp
        | Wrap::Authentication
        | Wrap::Ipv6Extensions
        | Wrap::Ipv6AtomicFragment
        | Wrap::Ipv4Options => Encapsulation::default(),
    }
}

fn segments() -> [Tcp; 4] {
    [
        Tcp::v4(b"GET / HTTP/1.1\r\n\r\n"),
        Tcp::v6(b"HTTP/1.1 404 Not Found\r\n\r\n"),
        Tcp::v4(b""),
        Tcp::v6(&[0x45; 1000]),
    ]
}

/// Every wrapping and link type around the segments: name, link type, bytes.
fn every_packet(tcp: &Tcp) -> Vec<(String, u16, Vec<u8>)> {
    let mut packets: Vec<_> =
        wrap::links(&tcp.packet()).into_iter().map(|(name, link, data)| (name.to_owned(), link, data)).collect();
    for wrap in Wrap::ALL {
        if let Some(frame) = wrap.around(tcp.packet()) {
            let (link, data) = inner(tcp, RAW, frame);
            packets.push((format!("{wrap:?}"), link, data));
        }
    }
    packets
}

#[test]
fn every_tag_and_tunnel_is_taken_off() {
    let mut never = Wrap::ALL.to_vec();
    for tcp in segments() {
        for wrap in Wrap::ALL {
            let Some(frame) = wrap.around(tcp.packet()) else { continue };
            never.retain(|&other| other != wrap);
            let expected = vec![Seen { encapsulation: recorded(wrap), ..Seen::expected(&tcp) }];
            let frame = frame.ethernet();
            let mut decoder = decoder();
            assert_eq!(
                feed(&mut decoder, ETHERNET, &frame, frame.len(), 0),
                expected,
                "{wrap:?}: {:?}",
                counted(&decoder)
            );
            assert_eq!(accounted(&decoder.counters()), 1, "{wrap:?}");
        }
    }
    assert_eq!(never, []);
}

#[test]
fn every_link_type_is_taken_off() {
    for tcp in segments() {
        for (name, link, data) in wrap::links(&tcp.packet()) {
            let seen: Vec<_> = decode(link, &data).into_iter().map(Seen::bare).collect();
            assert_eq!(seen, [Seen::expected(&tcp)], "{name}");
        }
    }
}

/// The words in backquotes of a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_readme_names_every_case() {
    let page = include_str!("../../packaging/doc/decoding.md");
    let section = page.split("## What is decoded").nth(1).unwrap().split("\n## ").next().unwrap();
    let tests = [include_str!("tests.rs"), include_str!("tests/fragments.rs"), include_str!("tests/tags.rs")].concat();
    let links = wrap::links(&Tcp::v4(b"x").packet()).into_iter().map(|(name, ..)| name.to_owned());
    let cases: Vec<String> = links.chain(Wrap::ALL.iter().map(|wrap| format!("{wrap:?}"))).collect();
    let is_case = |pattern: &str, case: &str| match pattern.strip_suffix('*') {
        Some(start) => case.starts_with(start),
        None => case.split('(').next() == Some(pattern),
    };
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut named = Vec::new();
    for row in rows {
        let proof = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let (functions, patterns): (Vec<_>, Vec<_>) =
            quoted(proof).into_iter().partition(|word| tests.contains(&format!("fn {word}(")));
        assert!(!functions.is_empty(), "no test: {row}");
        let unknown = patterns.iter().find(|pattern| !cases.iter().any(|case| is_case(pattern, case)));
        assert_eq!(unknown, None, "no such case: {row}");
        named.extend(patterns);
    }
    let unnamed: Vec<_> = cases.iter().filter(|case| !named.iter().any(|pattern| is_case(pattern, case))).collect();
    assert!(unnamed.is_empty(), "in no row of packaging/doc/decoding.md: {unnamed:?}");
}

#[test]
fn tunnels_are_counted_once_a_packet() {
    let tcp = Tcp::v4(b"x");
    let mut frame = tcp.packet();
    for wrap in [Wrap::Gre, Wrap::IpInV4, Wrap::Gre, Wrap::Vlan(3)] {
        frame = wrap.around(frame).unwrap();
    }
    let mut decoder = decoder();
    let frame = frame.ethernet();
    feed(&mut decoder, ETHERNET, &frame, frame.len(), 0);
    let expected = [("packets", 1), ("segments", 1), ("through_vlan", 1), ("through_gre", 1), ("through_ip_in_ip", 1)];
    assert_eq!(counted(&decoder), expected);
}

#[test]
fn tags_keep_the_outermost_and_the_innermost() {
    let tcp = Tcp::v4(b"x");
    let tagged = |ids: &[u16]| {
        let frame = ids.iter().fold(tcp.packet(), |frame, &id| Wrap::Vlan(id).around(frame).unwrap());
        decode(ETHERNET, &frame.ethernet())[0].encapsulation
    };
    assert_eq!((tagged(&[5]).vlans, tagged(&[5]).depth), ([5, 0], 1));
    assert_eq!((tagged(&[5, 6]).vlans, tagged(&[5, 6]).depth), ([6, 5], 2));
    assert_eq!((tagged(&[5, 6, 7]).vlans, tagged(&[5, 6, 7]).depth), ([7, 5], 3));
    assert_eq!(tagged(&[5, 0]).vlans, [5, 0]);
}

#[test]
fn depth_is_limited() {
    let tcp = Tcp::v4(b"x");
    let nested =
        |depth: usize| (0..depth).fold(tcp.packet(), |frame, _| Wrap::IpInV4.around(frame).unwrap()).ethernet();
    assert_eq!(decode(ETHERNET, &nested(8)).len(), 1);
    let mut decoder = decoder();
    let data = nested(9);
    assert!(feed(&mut decoder, ETHERNET, &data, data.len(), 0).is_empty());
    assert_eq!(decoder.counters().too_deep, 1);
    let mut shallow = BothWays::new(DecodeSettings { max_depth: 0, ..DecodeSettings::default() });
    let tagged = Wrap::Vlan(1).around(tcp.packet()).unwrap().ethernet();
    assert!(feed(&mut shallow, ETHERNET, &tagged, tagged.len(), 0).is_empty());
    assert_eq!(shallow.counters().too_deep, 1);
}

#[test]
fn a_snap_length_cuts_bytes_and_not_lengths() {
    for tcp in segments() {
        let expected = Seen::expected(&tcp);
        for (name, link, data) in every_packet(&tcp) {
            for captured in 0..data.len() {
                let mut decoder = decoder();
                let seen = feed(&mut decoder, link, &data[..captured], data.len(), 0);
                let counters = decoder.counters();
                assert_eq!(accounted(&counters).max(1), 1, "{name} cut to {captured}: {:?}", counted(&decoder));
                let Some(seen) = seen.into_iter().next().map(Seen::bare) else { continue };
                assert_eq!(seen.wire_length, expected.wire_length, "{name} cut to {captured}");
                assert!(expected.payload.starts_with(&seen.payload), "{name} cut to {captured}");
                assert_eq!(Seen { payload: expected.payload.clone(), ..seen }, expected, "{name} cut to {captured}");
            }
        }
    }
}

#[test]
fn a_cut_header_is_told_by_its_layer() {
    let frame = Wrap::Gre.around(Tcp::v4(b"x").packet()).unwrap().ethernet();
    for (captured, counter) in [
        (13, "truncated_link"),
        (33, "truncated_ip"),
        (37, "truncated_tunnel"),
        (57, "truncated_ip"),
        (77, "truncated_tcp"),
    ] {
        let mut decoder = decoder();
        assert!(feed(&mut decoder, ETHERNET, &frame[..captured], frame.len(), 0).is_empty());
        assert!(counted(&decoder).contains(&(counter, 1)), "{captured}: {:?}", counted(&decoder));
    }
}

#[test]
fn offloaded_segments_have_no_length_of_their_own() {
    let tcp = Tcp::v4(&vec![7; 40_000]);
    let mut packet = tcp.packet().ip().unwrap();
    packet[2..4].copy_from_slice(&[0, 0]);
    packet.extend(vec![7; 60_000]);
    let frame = Frame::Ip(packet).ethernet();
    let seen = decode(ETHERNET, &frame);
    assert_eq!((seen[0].payload.len(), seen[0].wire_length), (100_000, 100_000));
    // The same with a snap length.
    let seen = feed(&mut decoder(), ETHERNET, &frame[..96], frame.len(), 0);
    assert_eq!((seen[0].payload.len(), seen[0].wire_length), (30, 100_000));

    let mut packet = Tcp::v6(b"abc").packet().ip().unwrap();
    packet[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(decode(RAW, &packet), [Seen::expected(&Tcp::v6(b"abc"))]);
    // A jumbogram says so in a hop-by-hop option.
    let mut jumbo = [&packet[..40], &[6, 0, 0xc2, 4, 0, 1, 0x11, 0x70], &packet[40..]].concat();
    jumbo[6] = 0;
    assert_eq!(decode(RAW, &jumbo), [Seen::expected(&Tcp::v6(b"abc"))]);
}

#[test]
fn lengths_beyond_the_frame_are_believed() {
    // Tools that cut packets do not always say how long they were.
    let packet = Tcp::v4(&[9; 100]).packet().ip().unwrap();
    let seen = decode(RAW, &packet[..packet.len() - 60]);
    assert_eq!((seen[0].payload.len(), seen[0].wire_length), (40, 100));
}

#[test]
fn every_reason_is_counted() {
    let tcp = Tcp::v4(b"x");
    let frame = tcp.packet().ethernet();
    let set = |at: usize, value: u8| {
        let mut frame = frame.clone();
        frame[at] = value;
        frame
    };
    let ip = |protocol: u8, content: &[u8]| wrap::ip(tcp.source.0, tcp.destination.0, protocol, content);
    let wrapped = |wrap: Wrap| wrap.around(tcp.packet()).unwrap().ethernet();
    let with = |mut frame: Vec<u8>, at: usize, value: u8| {
        frame[at] = value;
        frame
    };
    let wifi = |control: [u8; 2], content: &[u8]| wrap::wifi(&control, &[], content);
    let mut wifi_fragment = wifi([0x08, 0x01], &[0xaa]);
    wifi_fragment[22] = 0x11;
    let cases: Vec<(&str, u16, Vec<u8>)> = vec![
        ("unsupported_link_type", 147, frame.clone()),
        ("unsupported_link_type", 65_535, vec![]),
        ("not_ip", ETHERNET, [&frame[..12], &[0x08, 0x06, 0, 1][..]].concat()),
        ("not_ip", ETHERNET, [&frame[..12], &[0, 3, 0x42, 0x42, 0x03][..]].concat()),
        ("icmp", RAW, ip(1, &frame)),
        ("udp", RAW, ip(17, &wrap::udp(53, &frame))),
        ("udp", RAW, ip(17, &[1, 2, 3])),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(4789, b"\x00\x00\x00\x00\x00\x00\x00\x00"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(2152, b"hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(3544, b"hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(1701, b"hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(6081, b"\xffello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(4790, b"\x0c\0\0\xff\0\0\0\0"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(37_008, b"hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(37_008, &[1, 0, 0, 99, 1]))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(30_030, b"hello, world, hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(6_635, b"hello, world, hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(4_754, b"hello, world, hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(5_247, b"hello, world, hello, world"))),
        ("udp_tunnel_mismatches", RAW, ip(17, &wrap::udp(4_341, b"hello, world, hello, world"))),
        ("sctp", RAW, ip(132, &frame)),
        ("esp", RAW, ip(50, &frame)),
        ("other_protocols", RAW, ip(89, &frame)),
        ("malformed_link", ETHERNET, frame[..13].to_vec()),
        ("malformed_link", 107, vec![0, 0, 0, 0, 0, 0]),
        ("malformed_ip", ETHERNET, frame[..33].to_vec()),
        ("malformed_ip", ETHERNET, set(14, 0x65)),
        ("malformed_ip", ETHERNET, set(14, 0x44)),
        ("malformed_ip", ETHERNET, with(set(16, 0), 17, 19)),
        ("malformed_ip", RAW, vec![0x55; 60]),
        ("malformed_ip", RAW, vec![]),
        ("malformed_tunnel", ETHERNET, with(wrapped(Wrap::Gre), 35, 7)),
        ("malformed_tunnel", ETHERNET, with(wrapped(Wrap::Pppoe(1)), 14, 0x12)),
        ("malformed_tcp", ETHERNET, set(46, 0x40)),
        ("malformed_tcp", ETHERNET, set(46, 0xf0)),
        ("malformed_tcp", RAW, ip(6, &[0; 19])),
        ("encrypted_wifi", 105, wifi([0x08, 0x41], &frame)),
        ("encrypted_macsec", ETHERNET, with(wrapped(Wrap::MacsecInClear), 14, 0x0c)),
        ("wifi_without_data", 105, wifi([0x80, 0x00], &frame)),
        ("wifi_without_data", 105, wifi([0x48, 0x01], &[])),
        ("wifi_fragments", 105, wifi([0x08, 0x05], &frame)),
        ("wifi_fragments", 105, wifi_fragment),
        ("tunnel_control", ETHERNET, with(wrapped(Wrap::Pppoe(1)), 15, 0xa7)),
        ("tunnel_control", RAW, ip(17, &wrap::udp(2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]))),
        ("tunnel_control", RAW, ip(17, &wrap::udp(37_008, &[1, 4, 0, 0, 1]))),
        ("tunnel_control", RAW, ip(17, &wrap::udp(5_247, &[0, 16, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4]))),
        ("tunnel_control", RAW, ip(47, &[0x20, 1, 0x64, 0, 0, 0, 7, 0])),
        ("unsupported_link_type", 149, frame.clone()),
        ("malformed_link", 258, frame.clone()),
        ("malformed_link", 178, frame.clone()),
        ("not_ip", 7, vec![1, 2, 241, 0, 0, 0]),
        ("not_ip", ETHERNET, [&frame[..12], &[0xd2, 0x8b, 0xca, 0xfe, 0, 1, 0, 0, 0, 0][..]].concat()),
        ("not_ip", ETHERNET, [&frame[..12], &[0xc0, 0x08, 0, 0, 0x08, 0x06, 0, 1][..]].concat()),
        ("tunnel_fragments", 7, vec![1, 2, 212, 2, 0, 9, 1, 2, 3]),
        ("tunnel_fragments", RAW, ip(17, &wrap::udp(5_247, &[0, 16, 0, 0xc0, 0, 9, 0, 8, 1, 2, 3, 4]))),
        ("encrypted_tunnels", RAW, ip(17, &wrap::udp(5_247, &[1, 0, 0, 0, 0x17, 0xfe, 0xfd, 0]))),
        ("tunnel_control", RAW, ip(115, &[0, 0, 0, 0, 1, 2, 3, 4])),
        ("tunnel_control", RAW, ip(17, &wrap::udp(1701, &[0xc8, 3, 0, 0, 0, 0, 0, 0]))),
        ("tunnel_control", RAW, ip(47, &[&[0, 0, 8, 0][..], &ip(47, &[0, 0, 0, 0])].concat())),
    ];
    for (counter, link, data) in cases {
        let mut decoder = decoder();
        assert_eq!(feed(&mut decoder, link, &data, data.len(), 0), [], "{counter}");
        assert!(counted(&decoder).contains(&(counter, 1)), "{counter}: {:?}", counted(&decoder));
        assert_eq!(accounted(&decoder.counters()), 1, "{counter}: {:?}", counted(&decoder));
    }
}

#[test]
fn tunnel_ports_are_settings_and_only_hints() {
    let tcp = Tcp::v4(b"x");
    let mut packet = Wrap::Vxlan(77).around(tcp.packet()).unwrap().ip().unwrap();
    packet[22..24].copy_from_slice(&9_999u16.to_be_bytes());
    assert!(decode(RAW, &packet).is_empty());
    let ports = TunnelPorts { vxlan: vec![9_999], geneve: vec![9_999], ..TunnelPorts::default() };
    let settings = DecodeSettings { ports, ..DecodeSettings::default() };
    assert_eq!(feed(&mut BothWays::new(settings), RAW, &packet, packet.len(), 0)[0].encapsulation.tunnel_id, 77);
    // The port may be the sender's, and the receiver's may be that of another tunnel.
    packet[20..22].copy_from_slice(&4_789u16.to_be_bytes());
    packet[22..24].copy_from_slice(&2_152u16.to_be_bytes());
    assert_eq!(decode(RAW, &packet)[0].encapsulation, tunnel(TunnelKind::Vxlan, 77));
}

#[test]
fn aggregated_frames_hold_several_segments() {
    let packets = [Tcp::v4(b"one"), Tcp::v6(b"the second"), Tcp::v4(b"")];
    let subframes: Vec<u8> = packets.iter().flat_map(|tcp| wrap::subframe(&tcp.packet().ethernet())).collect();
    let frame = wrap::wifi(&[0x88, 0x01], &[0x80, 0], &subframes);
    let expected: Vec<_> = packets.iter().map(Seen::expected).collect();
    assert_eq!(decode(105, &frame), expected);
    assert_eq!(decode(105, &frame[..frame.len() - 2])[..2], expected[..2]);
}

#[test]
fn checksums_are_verified_when_asked() {
    let settings = DecodeSettings { verify_checksums: ChecksumPolicy::Always, ..DecodeSettings::default() };
    for tcp in segments() {
        for (name, link, data) in every_packet(&tcp) {
            let mut strict = BothWays::new(settings.clone());
            assert_eq!(feed(&mut strict, link, &data, data.len(), 0).len(), 1, "{name}: {:?}", counted(&strict));
        }
    }
    let packet = Tcp::v4(b"some payload").packet().ip().unwrap();
    for (at, counter) in [(8, "wrong_ip_checksums"), (24, "wrong_tcp_checksums"), (60, "wrong_tcp_checksums")] {
        let mut damaged = packet.clone();
        damaged[at] ^= 0x10;
        assert_eq!(decode(RAW, &damaged).len(), 1);
        let mut strict = BothWays::new(settings.clone());
        assert!(feed(&mut strict, RAW, &damaged, damaged.len(), 0).is_empty());
        assert!(counted(&strict).contains(&(counter, 1)), "{:?}", counted(&strict));
        // What was not captured cannot be verified.
        if at > 20 {
            assert_eq!(feed(&mut strict, RAW, &damaged[..61], damaged.len(), 0).len(), 1);
        }
    }
}

/// Any nesting that the inner packet allows, innermost first.
fn nesting() -> impl Strategy<Value = Vec<Wrap>> {
    prop::collection::vec(prop::sample::select(Wrap::ALL.to_vec()), 0..=4)
}

fn any_tcp() -> impl Strategy<Value = Tcp> {
    let payload = prop::collection::vec(any::<u8>(), 0..600);
    (any::<bool>(), any::<u32>(), any::<u16>(), payload).prop_map(|(v4, sequence, window, payload)| {
        let tcp = if v4 { Tcp::v4(&payload) } else { Tcp::v6(&payload) };
        Tcp { sequence, window, ..tcp }
    })
}

fn nest(tcp: &Tcp, wraps: &[Wrap]) -> Frame {
    wraps.iter().fold(tcp.packet(), |frame, wrap| wrap.around(frame.clone()).unwrap_or(frame))
}

proptest! {
    #[test]
    fn any_nesting_gives_the_same_segment(tcp in any_tcp(), wraps in nesting(), link in any::<prop::sample::Index>()) {
        let frame = nest(&tcp, &wraps);
        let links = wrap::links(&frame);
        let (name, link, data) = link.get(&links);
        let seen = feed(&mut deep_decoder(), *link, data, data.len(), 0);
        let seen: Vec<_> = seen.into_iter().map(Seen::bare).collect();
        prop_assert_eq!(seen, [Seen::expected(&tcp)], "{:?} over {}", wraps, name);
    }

    #[test]
    fn any_fragmentation_gives_the_same_segment(
        tcp in any_tcp(),
        inside in nesting(),
        outside in prop::collection::vec(prop::sample::select(Wrap::ALL.to_vec()), 0..=2),
        cuts in prop::collection::vec(0usize..900, 1..40),
        shuffle in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
        copies in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let Some(packet) = nest(&tcp, &inside).ip() else { return Ok(()) };
        let mut pieces = wrap::fragments(&packet, 77, &cuts);
        prop_assume!(pieces.len() > 1);
        for copy in copies {
            pieces.push(copy.get(&pieces).clone());
        }
        for (one, other) in shuffle {
            let (one, other) = (one.index(pieces.len()), other.index(pieces.len()));
            pieces.swap(one, other);
        }
        let mut decoder = deep_decoder();
        let mut seen = Vec::new();
        for piece in pieces {
            let frame = outside.iter().fold(Frame::Ip(piece), |frame, wrap| match wrap {
                // These would go between the IP header and the fragment.
                Wrap::Authentication | Wrap::Ipv6Extensions | Wrap::Ipv6AtomicFragment => frame,
                wrap => wrap.around(frame.clone()).unwrap_or(frame),
            });
            let frame = frame.ethernet();
            seen.extend(feed(&mut decoder, ETHERNET, &frame, frame.len(), 0).into_iter().map(Seen::bare));
            prop_assert_eq!(accounted(&decoder.counters()), decoder.counters().packets);
        }
        prop_assert_eq!(seen, [Seen::expected(&tcp)], "{:?}", counted(&decoder));
    }

    #[test]
    fn damaged_packets_are_accounted_for(
        tcp in any_tcp(),
        wraps in nesting(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        captured in any::<prop::sample::Index>(),
    ) {
        let mut frame = nest(&tcp, &wraps).ethernet();
        for (at, value) in changes {
            *at.get_mut(&mut frame[..]) = value;
        }
        let mut decoder = decoder();
        for wire in [frame.len(), 0] {
            feed(&mut decoder, ETHERNET, &frame[..captured.index(frame.len())], wire, 0);
            feed(&mut decoder, ETHERNET, &frame, wire, 0);
        }
        let accounted = accounted(&decoder.counters());
        let in_wifi = |wrap: &Wrap| format!("{wrap:?}").contains("Wifi");
        let aggregated = wraps.iter().any(in_wifi) && accounted > 4;
        prop_assert!(accounted == 4 || aggregated, "{:?}", counted(&decoder));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&bytes);
    }

    #[test]
    fn fragments_are_as_an_obvious_reference_has_them(operations in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_fragments(&operations);
    }
}
