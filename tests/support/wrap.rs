//! Packets built by hand, and every wrapping that the decoder takes off again.
//!
//! In: an IP packet or an Ethernet frame. Out: the same in a tag, a tunnel, a link type or in fragments. Knows bytes only,
//! nothing of the code under test, so that unit, property and corpus tests can all include it by path.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::net::IpAddr;

/// A TCP segment to be put in a packet.
#[derive(Debug, Clone)]
pub struct Tcp {
    pub source: (IpAddr, u16),
    pub destination: (IpAddr, u16),
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
    pub window: u16,
    /// A multiple of four bytes.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Tcp {
    /// A data segment from a client to a server, over IPv4.
    pub fn v4(payload: &[u8]) -> Self {
        Self::between("192.0.2.1", "198.51.100.2", payload)
    }

    /// The same over IPv6.
    pub fn v6(payload: &[u8]) -> Self {
        Self::between("2001:db8::1", "2001:db8:1::2", payload)
    }

    fn between(source: &str, destination: &str, payload: &[u8]) -> Self {
        Self {
            source: (source.parse().unwrap(), 40_000),
            destination: (destination.parse().unwrap(), 80),
            sequence: 0xfedc_ba98,
            acknowledgment: 0x0123_4567,
            flags: 0x18,
            window: 0x7fff,
            options: vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
            payload: payload.to_vec(),
        }
    }

    /// The IP packet, with right checksums.
    pub fn packet(&self) -> Frame {
        let mut segment = [self.source.1.to_be_bytes(), self.destination.1.to_be_bytes()].concat();
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgment.to_be_bytes());
        segment.extend([((20 + self.options.len()) * 4) as u8, self.flags]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&self.options);
        segment.extend(&self.payload);
        let pseudo = pseudo_header(self.source.0, self.destination.0, 6, segment.len());
        let sum = checksum(&[&pseudo[..], &segment[..]].concat());
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        Frame::Ip(ip(self.source.0, self.destination.0, 6, &segment))
    }
}

/// What a wrapping goes around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// An IPv4 or IPv6 packet.
    Ip(Vec<u8>),
    /// An Ethernet frame without check sequence.
    Ethernet(Vec<u8>),
}

impl Frame {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Ip(bytes) | Self::Ethernet(bytes) => bytes,
        }
    }

    /// As an Ethernet frame.
    pub fn ethernet(self) -> Vec<u8> {
        match self {
            Self::Ip(packet) => [&MACS[..], &ip_ethertype(&packet).to_be_bytes(), &packet].concat(),
            Self::Ethernet(frame) => frame,
        }
    }

    /// As an IP packet; not possible with tags around it.
    pub fn ip(self) -> Option<Vec<u8>> {
        match self {
            Self::Ip(packet) => Some(packet),
            Self::Ethernet(frame) => match frame.get(12..14)? {
                [0x08, 0x00] | [0x86, 0xdd] => Some(without_trailer(&frame[14..]).to_vec()),
                _ => None,
            },
        }
    }
}

const MACS: [u8; 12] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];

fn ip_ethertype(packet: &[u8]) -> u16 {
    if is_v4(packet) { 0x0800 } else { 0x86dd }
}

/// The packet up to the end that its header says. One whose header says none has no trailer.
fn without_trailer(packet: &[u8]) -> &[u8] {
    let field =
        |at: usize| packet.get(at..at + 2).map_or(0, |field| usize::from(field[0]) << 8 | usize::from(field[1]));
    let length = match (is_v4(packet), field(2), field(4)) {
        (true, 0, _) | (false, _, 0) => packet.len(),
        (true, total, _) => total,
        (false, _, payload) => payload + 40,
    };
    packet.get(..length).unwrap_or(packet)
}

fn is_v4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4)
}

/// A tag or a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    Vlan(u16),
    ServiceVlan(u16),
    OldVlan(u16),
    LlcSnap,
    LlcIp,
    Mpls(u32),
    MplsStack(u32),
    MplsEthernet(u32),
    MplsControlWord(u32),
    MplsOverIp(u32),
    Pbb(u32),
    Pppoe(u16),
    PppoeShortProtocol(u16),
    MacsecInClear,
    MacsecInClearWithChannel,
    VnTag,
    ETag,
    CiscoMetadata,
    FabricPath,
    NshOverEthernet,
    Hsr,
    PrpTrailer,
    RTag,
    AristaTimeLong,
    AristaTimeShort,
    Edsa,
    EdsaVlan(u16),
    EtherTypeOfOtherVersion,
    Gre,
    GreAllOptions(u32),
    GreRouted,
    GrePptp(u16),
    GreWebCache,
    GreMpls(u32),
    GreWifi,
    Nvgre(u32),
    GreBridging(u32),
    ErspanI,
    ErspanII(u16),
    ErspanIII(u16),
    ErspanIIIPlatform(u16),
    Vxlan(u32),
    VxlanOldPort(u32),
    VxlanGpe(u32),
    VxlanGpeEthernet(u32),
    VxlanGpeNsh(u32),
    Geneve(u32),
    GeneveIp(u32),
    IpInV4,
    IpInV6,
    EtherIp,
    EthernetInIp,
    GtpU(u32),
    GtpUExtensions(u32),
    Teredo,
    TeredoIndications,
    Ayiya,
    L2tpV3Ip(u32),
    L2tpV3IpCookie(u32),
    L2tpV3IpCookieSublayer(u32),
    L2tpV3Udp(u32),
    L2tpV2(u32),
    L2tpV2Options(u32),
    Tzsp,
    TzspTags,
    TzspWifi,
    JuniperMirror(u32),
    JuniperMirrorEthernet(u32),
    MplsInUdp(u32),
    MplsInUdpEthernet(u32),
    MplsInUdpControlWord(u32),
    GreInUdp(u32),
    GreInUdpEthernet(u32),
    Eoip(u16),
    Capwap,
    CapwapOptions,
    CapwapWifi,
    CapwapWifiSwapped,
    Lisp(u32),
    LispAnyContent(u32),
    GeneveCloudMirror(u32),
    VxlanPolicy(u32),
    Authentication,
    Ipv6Extensions,
    Ipv6AtomicFragment,
    Ipv4Options,
}

use Wrap::*;

impl Wrap {
    /// Every wrapping, with an identifier where it has one.
    pub const ALL: [Self; 86] = [
        Vlan(7),
        ServiceVlan(8),
        OldVlan(9),
        LlcSnap,
        LlcIp,
        Mpls(0x12345),
        MplsStack(0x12346),
        MplsEthernet(0x12347),
        MplsControlWord(0x12348),
        MplsOverIp(0x12349),
        Pbb(0xabcdef),
        Pppoe(0x1234),
        PppoeShortProtocol(0x1235),
        MacsecInClear,
        MacsecInClearWithChannel,
        VnTag,
        ETag,
        CiscoMetadata,
        FabricPath,
        NshOverEthernet,
        Hsr,
        PrpTrailer,
        RTag,
        AristaTimeLong,
        AristaTimeShort,
        Edsa,
        EdsaVlan(10),
        EtherTypeOfOtherVersion,
        Gre,
        GreAllOptions(0x8765_4321),
        GreRouted,
        GrePptp(0x4321),
        GreWebCache,
        GreMpls(0x54321),
        GreWifi,
        Nvgre(0x123456),
        GreBridging(5),
        ErspanI,
        ErspanII(0x3f1),
        ErspanIII(0x2f2),
        ErspanIIIPlatform(0x1f3),
        Vxlan(0x112233),
        VxlanOldPort(0x112234),
        VxlanGpe(0x112235),
        VxlanGpeEthernet(0x112236),
        VxlanGpeNsh(0x112237),
        Geneve(0x223344),
        GeneveIp(0x223345),
        IpInV4,
        IpInV6,
        EtherIp,
        EthernetInIp,
        GtpU(0x3344_5566),
        GtpUExtensions(0x3344_5567),
        Teredo,
        TeredoIndications,
        Ayiya,
        L2tpV3Ip(0x4455_6677),
        L2tpV3IpCookie(0x4455_6678),
        L2tpV3IpCookieSublayer(0x4455_6679),
        L2tpV3Udp(0x4455_667a),
        L2tpV2(0x5566_7788),
        L2tpV2Options(0x5566_7789),
        Tzsp,
        TzspTags,
        TzspWifi,
        JuniperMirror(0x8000_0001),
        JuniperMirrorEthernet(0x8000_0002),
        MplsInUdp(0x1234a),
        MplsInUdpEthernet(0x1234b),
        MplsInUdpControlWord(0x1234c),
        GreInUdp(0x8765_4322),
        GreInUdpEthernet(6),
        Eoip(0x1236),
        Capwap,
        CapwapOptions,
        CapwapWifi,
        CapwapWifiSwapped,
        Lisp(0x667788),
        LispAnyContent(0x667789),
        GeneveCloudMirror(0x223346),
        VxlanPolicy(0x112238),
        Authentication,
        Ipv6Extensions,
        Ipv6AtomicFragment,
        Ipv4Options,
    ];

    /// Wraps the frame; `None` where this cannot carry it (a tunnel for IP packets around a tagged frame).
    pub fn around(self, inner: Frame) -> Option<Frame> {
        if let Some(frame) = self.as_tag(&inner) {
            return Some(Frame::Ethernet(frame));
        }
        let in_udp = || self.in_udp(&inner).or_else(|| self.mirrored(&inner));
        if let Some(packet) = self.in_gre(&inner).or_else(in_udp).or_else(|| self.in_ip(&inner)) {
            return Some(Frame::Ip(packet));
        }
        self.in_headers(&inner).map(Frame::Ip)
    }

    /// Between the MAC addresses and what was there.
    fn as_tag(self, inner: &Frame) -> Option<Vec<u8>> {
        let frame = inner.clone().ethernet();
        let (macs, rest) = frame.split_at(12);
        let ip = inner.clone().ip();
        let between = |tag: &[u8]| Some([macs, tag, rest].concat());
        let instead = |kind: u16, content: &[u8]| Some([macs, &kind.to_be_bytes()[..], content].concat());
        match self {
            Vlan(id) => between(&[&[0x81, 0x00], &(id | 0x6000).to_be_bytes()[..]].concat()),
            ServiceVlan(id) => between(&[&[0x88, 0xa8], &id.to_be_bytes()[..]].concat()),
            OldVlan(id) => between(&[&[0x91, 0x00], &id.to_be_bytes()[..]].concat()),
            LlcSnap => {
                let content = [&[0xaa, 0xaa, 0x03, 0, 0, 0][..], rest].concat();
                // Longer ones have no 802.3 length to go by.
                let kind = if content.len() <= 1500 { content.len() as u16 } else { 0x8870 };
                instead(kind, &[content, vec![0; 3]].concat())
            }
            LlcIp => {
                let content = [&[0x06, 0x06, 0x03], &ip.filter(|ip| is_v4(ip) && ip.len() <= 1497)?[..]].concat();
                instead(content.len() as u16, &content)
            }
            Mpls(label) => instead(0x8847, &[&mpls(label, true), &ip?[..]].concat()),
            MplsStack(label) => {
                instead(0x8848, &[&mpls(16, false), &mpls(17, false), &mpls(label, true), &ip?[..]].concat())
            }
            MplsEthernet(label) => instead(0x8847, &[&mpls(label, true), &frame[..]].concat()),
            MplsControlWord(label) => instead(0x8847, &[&mpls(label, true), &[0, 0, 0, 9], &frame[..]].concat()),
            Pbb(service) => instead(0x88e7, &[&service.to_be_bytes(), &frame[..]].concat()),
            Pppoe(session) => {
                let content = ppp(&ip?);
                let header = [&[0x11, 0], &session.to_be_bytes()[..], &(content.len() as u16).to_be_bytes()].concat();
                instead(0x8864, &[header, content, vec![0xee; 5]].concat())
            }
            PppoeShortProtocol(session) => {
                let content = &ppp(&ip?)[1..];
                let header = [&[0x11, 0], &session.to_be_bytes()[..], &(content.len() as u16).to_be_bytes()].concat();
                instead(0x8864, &[&header, content].concat())
            }
            MacsecInClear => Some([macs, &[0x88, 0xe5, 0x00, 0, 0, 0, 0, 1], rest, &[0xcc; 16]].concat()),
            MacsecInClearWithChannel => {
                Some([macs, &[0x88, 0xe5, 0x20, 0, 0, 0, 0, 1], &[0xbb; 8], rest, &[0xcc; 16]].concat())
            }
            VnTag => between(&[0x89, 0x26, 1, 2, 3, 4]),
            ETag => between(&[0x89, 0x3f, 1, 2, 3, 4, 5, 6]),
            CiscoMetadata => between(&[0x89, 0x09, 1, 1, 0, 1, 0, 7]),
            FabricPath => instead(0x8903, &[&[0x04, 0x41], &frame[..]].concat()),
            NshOverEthernet => instead(0x894f, &nsh(3, &frame)),
            Hsr => between(&[0x89, 0x2f, 0, 44, 0, 9]),
            // Sequence number, LAN and length, and a mark.
            PrpTrailer => Some([&frame[..], &[0, 9, 0xa0, 44, 0x88, 0xfb]].concat()),
            RTag => between(&[0xf1, 0xc1, 0, 0, 0, 9]),
            AristaTimeLong => between(&[0xd2, 0x8b, 0, 1, 1, 0x10, 1, 2, 3, 4, 5, 6, 7, 8]),
            AristaTimeShort => between(&[0xd2, 0x8b, 0, 1, 0, 0x21, 1, 2, 3, 4, 5, 6]),
            Edsa => between(&[0xda, 0xda, 0, 0, 0x40, 0x08, 0, 0]),
            EdsaVlan(id) => between(&[&[0xda, 0xda, 0, 0, 0xe0, 0x08], &(id | 0x6000).to_be_bytes()[..]].concat()),
            EtherTypeOfOtherVersion => {
                let packet = ip?;
                instead(if is_v4(&packet) { 0x86dd } else { 0x0800 }, &packet)
            }
            _ => None,
        }
    }

    fn in_gre(self, inner: &Frame) -> Option<Vec<u8>> {
        let frame = inner.clone().ethernet();
        let ip = inner.clone().ip();
        let header = |flags: u16, kind: u16| [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        let packet = |parts: &[&[u8]]| Some(outer(47, &parts.concat()));
        match self {
            Gre => ip.and_then(|ip| packet(&[&header(0, ip_ethertype(&ip)), &ip])),
            GreAllOptions(key) => ip.and_then(|ip| {
                packet(&[&header(0xb000, ip_ethertype(&ip)), &[0; 4], &key.to_be_bytes(), &[0, 0, 0, 9], &ip])
            }),
            GreRouted => ip.and_then(|ip| {
                let routes = [8, 0, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0];
                packet(&[&header(0x4000, ip_ethertype(&ip)), &[0; 4], &routes, &ip])
            }),
            GrePptp(call) => ip.and_then(|ip| {
                let content = [&[0xff, 0x03], &ppp(&ip)[..]].concat();
                let length = (content.len() as u16).to_be_bytes();
                packet(&[&header(0x3081, 0x880b), &length, &call.to_be_bytes(), &[0, 0, 0, 1, 0, 0, 0, 2], &content])
            }),
            GreWebCache => ip.filter(|ip| is_v4(ip)).and_then(|ip| packet(&[&header(0, 0x883e), &[0, 0, 1, 0], &ip])),
            GreMpls(label) => ip.and_then(|ip| packet(&[&header(0, 0x8847), &mpls(label, true), &ip])),
            GreWifi => packet(&[&header(0, 0x8240), &wifi(&[0x88, 0x02], &[0, 0], &llc(&frame))]),
            Nvgre(subnet) => packet(&[&header(0x2000, 0x6558), &(subnet << 8 | 0x77).to_be_bytes(), &frame]),
            GreBridging(key) => packet(&[&header(0x2000, 0x6558), &key.to_be_bytes(), &frame]),
            // Its key field is a length and an identifier in little-endian order.
            Eoip(id) => {
                let length = (frame.len() as u16).to_be_bytes();
                packet(&[&header(0x2001, 0x6400), &length, &id.to_le_bytes(), &frame])
            }
            ErspanI => packet(&[&header(0, 0x88be), &frame]),
            ErspanII(session) => {
                let [high, low] = session.to_be_bytes();
                packet(&[&header(0x1000, 0x88be), &[0, 0, 0, 5], &[0x10, 9, 0x18 | high, low, 0, 0, 0, 1], &frame])
            }
            ErspanIII(session) => {
                let [high, low] = session.to_be_bytes();
                let fields = [0x20, 9, high, low, 1, 2, 3, 4, 0, 0, 0, 0];
                packet(&[&header(0x1000, 0x22eb), &[0, 0, 0, 5], &fields, &frame])
            }
            ErspanIIIPlatform(session) => {
                let [high, low] = session.to_be_bytes();
                let fields = [0x20, 9, high, low, 1, 2, 3, 4, 0, 0, 0, 1, 0xf, 1, 2, 3, 4, 5, 6, 7];
                packet(&[&header(0x1000, 0x22eb), &[0, 0, 0, 5], &fields, &frame])
            }
            _ => None,
        }
    }

    fn in_udp(self, inner: &Frame) -> Option<Vec<u8>> {
        let frame = inner.clone().ethernet();
        let ip = inner.clone().ip();
        let vni = |id: u32| (id << 8).to_be_bytes();
        let packet = |port: u16, parts: &[&[u8]]| Some(outer(17, &udp(port, &parts.concat())));
        let gpe = |ip: &[u8]| if is_v4(ip) { 1 } else { 2 };
        match self {
            Vxlan(id) => packet(4789, &[&[8, 0, 0, 0], &vni(id), &frame]),
            VxlanOldPort(id) => packet(8472, &[&[8, 0, 0, 0], &vni(id), &frame]),
            VxlanGpe(id) => ip.and_then(|ip| packet(4790, &[&[12, 0, 0, gpe(&ip)], &vni(id), &ip])),
            VxlanGpeEthernet(id) => packet(4790, &[&[12, 0, 0, 3], &vni(id), &frame]),
            VxlanGpeNsh(id) => ip.and_then(|ip| packet(4790, &[&[12, 0, 0, 4], &vni(id), &nsh(gpe(&ip), &ip)])),
            Geneve(id) => packet(6081, &[&[0, 0, 0x65, 0x58], &vni(id), &frame]),
            GeneveIp(id) => ip.and_then(|ip| {
                let options = [1, 2, 0x80, 1, 0xaa, 0xbb, 0xcc, 0xdd];
                packet(6081, &[&[2, 0x40], &ip_ethertype(&ip).to_be_bytes(), &vni(id), &options, &ip])
            }),
            GtpU(id) => ip
                .and_then(|ip| packet(2152, &[&[0x30, 255], &(ip.len() as u16).to_be_bytes(), &id.to_be_bytes(), &ip])),
            GtpUExtensions(id) => ip.and_then(|ip| {
                // Sequence number, then the PDU session container and a longer extension.
                let options = [0, 7, 0, 0x85, 1, 0x10, 9, 0x40, 2, 1, 2, 3, 4, 5, 6, 0];
                let length = (ip.len() + options.len()) as u16;
                packet(2152, &[&[0x36, 255], &length.to_be_bytes(), &id.to_be_bytes(), &options, &ip])
            }),
            Teredo => ip.filter(|ip| !is_v4(ip)).and_then(|ip| packet(3544, &[&ip])),
            TeredoIndications => ip.filter(|ip| !is_v4(ip)).and_then(|ip| {
                let authentication = [0, 1, 2, 3, 0xa, 0xb, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0];
                packet(3544, &[&authentication, &[0, 0, 1, 2, 3, 4, 5, 6], &ip])
            }),
            Ayiya => ip.and_then(|ip| {
                let next = if is_v4(&ip) { 4 } else { 41 };
                packet(5072, &[&[0x41, 0x52, 0x11, next, 1, 2, 3, 4], &[0x1d; 16], &[0x5e; 20], &ip])
            }),
            L2tpV3Udp(session) => packet(1701, &[&[0, 3, 0, 0], &session.to_be_bytes(), &frame]),
            L2tpV2(ids) => ip.and_then(|ip| packet(1701, &[&[0, 2], &ids.to_be_bytes(), &[0xff, 0x03], &ppp(&ip)])),
            L2tpV2Options(ids) => ip.and_then(|ip| {
                let content = ppp(&ip);
                let length = (content.len() + 16) as u16;
                packet(
                    1701,
                    &[
                        &[0x4a, 2],
                        &length.to_be_bytes(),
                        &ids.to_be_bytes(),
                        &[0, 1, 0, 2],
                        &[0, 2, 0xee, 0xee],
                        &content,
                    ],
                )
            }),
            _ => None,
        }
    }

    /// Mirrors and tunnels in UDP whose header says little of their content.
    fn mirrored(self, inner: &Frame) -> Option<Vec<u8>> {
        let frame = inner.clone().ethernet();
        let ip = inner.clone().ip();
        let packet = |port: u16, parts: &[&[u8]]| Some(outer(17, &udp(port, &parts.concat())));
        let capwap = |length: u8, binding: u8, flags: u8| [0, length << 3, binding, flags, 0, 0, 0, 0];
        let wifi = wifi(&[0x88, 0x02], &[0, 0], &llc(&frame));
        match self {
            Tzsp => packet(37_008, &[&[1, 0, 0, 1, 1], &frame]),
            // Signal, padding, channel and sensor address.
            TzspTags => {
                packet(37_008, &[&[1, 0, 0, 1, 10, 1, 0xd0, 0, 18, 1, 6, 60, 6, 2, 0, 0, 0, 0, 7, 1], &frame, &[0; 4]])
            }
            TzspWifi => packet(37_008, &[&[1, 0, 0, 18, 1], &wifi]),
            JuniperMirror(session) => {
                ip.and_then(|ip| packet(30_030, &[&[0x40, 0, 0, 1], &session.to_be_bytes(), &ip]))
            }
            JuniperMirrorEthernet(session) => packet(30_030, &[&[0x40, 0, 0, 1], &session.to_be_bytes(), &frame]),
            MplsInUdp(label) => ip.and_then(|ip| packet(6635, &[&mpls(3, false), &mpls(label, true), &ip])),
            MplsInUdpEthernet(label) => packet(6635, &[&mpls(label, true), &frame]),
            MplsInUdpControlWord(label) => packet(6635, &[&mpls(label, true), &[0, 0, 0, 9], &frame]),
            GreInUdp(key) => {
                ip.and_then(|ip| packet(4754, &[&[0x20, 0], &ip_ethertype(&ip).to_be_bytes(), &key.to_be_bytes(), &ip]))
            }
            GreInUdpEthernet(key) => packet(4754, &[&[0x20, 0, 0x65, 0x58], &key.to_be_bytes(), &frame]),
            Capwap => packet(5247, &[&capwap(2, 0, 0), &frame]),
            // The address of the radio.
            CapwapOptions => packet(5247, &[&capwap(4, 0, 0x10), &[6, 2, 0, 0, 0, 0, 9, 0], &frame]),
            CapwapWifi => packet(5247, &[&capwap(2, 0x03, 0), &wifi]),
            CapwapWifiSwapped => packet(5247, &[&capwap(2, 0x03, 0), &[wifi[1], wifi[0]], &wifi[2..]]),
            Lisp(id) => ip.and_then(|ip| packet(4341, &[&[0x88, 1, 2, 3], &(id << 8 | 1).to_be_bytes(), &ip])),
            LispAnyContent(id) => packet(4341, &[&[0x0c, 0, 0, 3], &(id << 8).to_be_bytes(), &frame]),
            // Options as a gateway load balancer writes them: endpoint, attachment and flow.
            GeneveCloudMirror(id) => ip.and_then(|ip| {
                let option = |kind: u8| [&[0x01, 0x08, kind, 2], &[kind; 8][..]].concat();
                let options = [option(1), option(2), vec![0x01, 0x08, 3, 1, 9, 9, 9, 9]].concat();
                let length = (options.len() / 4) as u8;
                packet(6081, &[&[length, 0], &ip_ethertype(&ip).to_be_bytes(), &(id << 8).to_be_bytes(), &options, &ip])
            }),
            VxlanPolicy(id) => packet(4789, &[&[0x88, 0x40, 0x12, 0x34], &(id << 8).to_be_bytes(), &frame]),
            _ => None,
        }
    }

    fn in_ip(self, inner: &Frame) -> Option<Vec<u8>> {
        let frame = inner.clone().ethernet();
        let packet = inner.clone().ip();
        let number = |packet: &[u8]| if is_v4(packet) { 4 } else { 41 };
        match self {
            IpInV4 => packet.map(|packet| outer(number(&packet), &packet)),
            IpInV6 => packet.map(|packet| outer_v6(number(&packet), &packet)),
            MplsOverIp(label) => packet.map(|packet| outer(137, &[&mpls(label, true), &packet[..]].concat())),
            EtherIp => Some(outer(97, &[&[0x30, 0], &frame[..]].concat())),
            EthernetInIp => Some(outer_v6(143, &frame)),
            L2tpV3Ip(session) => Some(outer(115, &[&session.to_be_bytes(), &frame[..]].concat())),
            L2tpV3IpCookie(session) => Some(outer(115, &[&session.to_be_bytes()[..], &[0xc0; 8], &frame[..]].concat())),
            L2tpV3IpCookieSublayer(session) => {
                Some(outer(115, &[&session.to_be_bytes()[..], &[0xc0; 8], &[0x40, 0, 0, 1], &frame[..]].concat()))
            }
            _ => None,
        }
    }

    /// Headers put into the packet itself; a link layer is taken off for it.
    fn in_headers(self, inner: &Frame) -> Option<Vec<u8>> {
        let packet = inner.clone().ip()?;
        match self {
            Authentication => {
                let header = |next: u8| [&[next, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &[0xab; 12][..]].concat();
                Some(insert(&packet, 51, header))
            }
            Ipv6Extensions if !is_v4(&packet) => {
                let header = |next: u8| {
                    let hop_by_hop = [43, 0, 1, 4, 0, 0, 0, 0];
                    let routing = [&[60, 2, 3, 0, 0, 0, 0, 0], &[0x20; 16][..]].concat();
                    let options = [next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                    [&hop_by_hop[..], &routing, &options].concat()
                };
                Some(insert(&packet, 0, header))
            }
            Ipv6AtomicFragment if !is_v4(&packet) => Some(insert(&packet, 44, |next| vec![next, 0, 0, 0, 1, 2, 3, 4])),
            Ipv4Options if is_v4(&packet) && packet[0] == 0x45 => {
                let mut header = [&packet[..20], &[0x94, 4, 0, 0, 1, 1, 1, 0]].concat();
                header[0] = 0x47;
                Some(with_length([&header, &packet[20..]].concat()))
            }
            _ => None,
        }
    }
}

/// Puts a header right after the fixed IP header.
fn insert(packet: &[u8], protocol: u8, header: impl FnOnce(u8) -> Vec<u8>) -> Vec<u8> {
    let (at, length) = if is_v4(packet) { (9, usize::from(packet[0] & 15) * 4) } else { (6, 40) };
    let mut packet = [&packet[..length], &header(packet[at]), &packet[length..]].concat();
    packet[at] = protocol;
    with_length(packet)
}

/// Sets length and, for IPv4, checksum.
fn with_length(mut packet: Vec<u8>) -> Vec<u8> {
    if is_v4(&packet) {
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[10..12].copy_from_slice(&[0, 0]);
        let sum = checksum(&packet[..usize::from(packet[0] & 15) * 4]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        let length = packet.len() as u16 - 40;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
    }
    packet
}

/// An IP packet of the addresses' version.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, content: &[u8]) -> Vec<u8> {
    let packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = [0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
            [&header, &source.octets()[..], &destination.octets(), content].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            [&[0x60, 0, 0, 0, 0, 0, protocol, 64], &source.octets()[..], &destination.octets(), content].concat()
        }
        _ => panic!("addresses of different versions"),
    };
    with_length(packet)
}

fn outer(protocol: u8, content: &[u8]) -> Vec<u8> {
    ip("10.1.0.1".parse().unwrap(), "10.1.0.2".parse().unwrap(), protocol, content)
}

fn outer_v6(protocol: u8, content: &[u8]) -> Vec<u8> {
    ip("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), protocol, content)
}

/// A UDP datagram to a port.
pub fn udp(port: u16, content: &[u8]) -> Vec<u8> {
    let length = (content.len() + 8) as u16;
    [&[0xc0, 0x01], &port.to_be_bytes()[..], &length.to_be_bytes(), &[0, 0], content].concat()
}

fn mpls(label: u32, bottom: bool) -> [u8; 4] {
    (label << 12 | u32::from(bottom) << 8 | 64).to_be_bytes()
}

fn ppp(packet: &[u8]) -> Vec<u8> {
    [&[0x00, if is_v4(packet) { 0x21 } else { 0x57 }], packet].concat()
}

fn nsh(next: u8, content: &[u8]) -> Vec<u8> {
    [&[0x0f, 0xc6, 0x01, next, 0, 0, 1, 255][..], &[0xdd; 16], content].concat()
}

fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    [octets(source), octets(destination), (length as u32).to_be_bytes().to_vec(), vec![0, 0, 0, protocol]].concat()
}

/// The Internet checksum.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Cuts an IP packet into fragments at offsets of its content, which are rounded down to multiples of eight.
pub fn fragments(packet: &[u8], identification: u16, cuts: &[usize]) -> Vec<Vec<u8>> {
    let header = if is_v4(packet) { usize::from(packet[0] & 15) * 4 } else { 40 };
    let content = &packet[header..];
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut / 8 * 8).filter(|&cut| cut < content.len()).collect();
    bounds.extend([0, content.len()]);
    bounds.sort_unstable();
    bounds.dedup();
    bounds.windows(2).map(|ends| fragment(packet, identification, ends[0]..ends[1])).collect()
}

/// One fragment of an IP packet: the range of its content.
pub fn fragment(packet: &[u8], identification: u16, range: std::ops::Range<usize>) -> Vec<u8> {
    let header = if is_v4(packet) { usize::from(packet[0] & 15) * 4 } else { 40 };
    let content = &packet[header..];
    let more = range.end < content.len();
    if is_v4(packet) {
        let mut piece = [&packet[..header], &content[range.clone()]].concat();
        piece[4..6].copy_from_slice(&identification.to_be_bytes());
        let field = (range.start / 8) as u16 | u16::from(more) << 13;
        piece[6..8].copy_from_slice(&field.to_be_bytes());
        with_length(piece)
    } else {
        let field = (range.start as u16 | u16::from(more)).to_be_bytes();
        let [high, low] = identification.to_be_bytes();
        let head = [&packet[..header], &content[range]].concat();
        insert(&head, 44, |next| vec![next, 0, field[0], field[1], 0, 0, high, low])
    }
}

/// Every link type that is decoded, by its name and number, around a packet of either IP version.
pub fn links(packet: &Frame) -> Vec<(&'static str, u16, Vec<u8>)> {
    let frame = packet.clone().ethernet();
    let whole = vec![
        ("Ethernet", 1, frame.clone()),
        ("Ethernet with padding", 1, [&frame[..], &[0; 7]].concat()),
        ("Frame Relay, bridged", 107, [&[0x18, 0x41, 0x03, 0x00, 0x80, 0, 0x80, 0xc2, 0, 7], &frame[..]].concat()),
        ("PKTAP", 258, [packet_tap(1), frame.clone()].concat()),
        ("PKTAP, private number", 149, [packet_tap(1), frame.clone()].concat()),
        ("Juniper Ethernet", 178, [b"MGC\x80\x00\x06\x01\x01\x81\x04\x01\x00", &frame[..]].concat()),
        ("Juniper Ethernet, no extensions", 178, [b"MGC\x01", &frame[..]].concat()),
        ("DSA", 284, [&frame[..12], &[0x00, 0x18, 0, 0], &frame[12..]].concat()),
        ("EDSA", 285, [&frame[..12], &[0xdb, 0xdb, 0, 0, 0x00, 0x18, 0, 0], &frame[12..]].concat()),
        ("PPP, bridged", 9, [&[0x00, 0x31, 0x00, 0x01], &frame[..]].concat()),
    ];
    if u16::from_be_bytes([frame[12], frame[13]]) <= 1500 {
        // A length is no EtherType; only whole frames can carry it, and a cooked header that says so.
        let cooked = [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4], &frame[14..]].concat();
        return [whole, vec![("Linux cooked, 802.2", 113, cooked)]].concat();
    }
    let mut links = whole;
    links.extend([
        ("Linux cooked", 113, [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &frame[12..]].concat()),
        (
            "Linux cooked 2",
            276,
            [&frame[12..14], &[0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &frame[14..]].concat(),
        ),
        ("Apple, IP over IEEE 1394", 138, [&[1; 8], &[2; 8], &frame[12..]].concat()),
        ("C-HDLC", 104, [&[0x0f, 0], &frame[12..]].concat()),
        ("PPP HDLC with Cisco's address", 50, [&[0x8f, 0], &frame[12..]].concat()),
        ("Frame Relay, Cisco", 107, [&[0x18, 0x41], &frame[12..]].concat()),
        ("Frame Relay, SNAP", 107, [&[0x18, 0x41, 0x03, 0x00, 0x80, 0, 0, 0], &frame[12..]].concat()),
        ("ATM, RFC 1483", 100, llc(&frame)),
        ("802.11", 105, wifi(&[0x08, 0x02], &[], &llc(&frame))),
        ("802.11, quality of service", 105, wifi(&[0x88, 0x01], &[0, 0], &llc(&frame))),
        ("802.11, four addresses", 105, wifi(&[0x88, 0x03], &[2, 0, 0, 0, 0, 9, 0, 0], &llc(&frame))),
        ("802.11, high throughput control", 105, wifi(&[0x88, 0x81], &[0, 0, 1, 2, 3, 4], &llc(&frame))),
        ("802.11, padded", 105, wifi(&[0x88, 0x01], &[0, 0, 0, 0], &llc(&frame))),
        ("802.11, aggregated", 105, wifi(&[0x88, 0x01], &[0x80, 0], &subframe(&frame))),
        (
            "802.11, aggregated, with check sequence",
            105,
            wifi(&[0x88, 0x01], &[0x80, 0], &[subframe(&frame), vec![1; 4]].concat()),
        ),
        (
            "radiotap",
            127,
            [&[0, 0, 9, 0, 2, 0, 0, 0, 0x10], &wifi(&[0x08, 0x02], &[], &llc(&frame))[..], &[1; 4]].concat(),
        ),
        ("Prism", 119, [prism(), wifi(&[0x08, 0x02], &[], &llc(&frame))].concat()),
        ("AVS", 163, [avs(), wifi(&[0x08, 0x02], &[], &llc(&frame))].concat()),
        ("AVS in Prism's place", 119, [avs(), wifi(&[0x08, 0x02], &[], &llc(&frame))].concat()),
        ("PPI", 192, [&[0, 0, 12, 0, 105, 0, 0, 0, 1, 2, 3, 4], &wifi(&[0x08, 0x02], &[], &llc(&frame))[..]].concat()),
    ]);
    if let Some(packet) = packet.clone().ip() {
        links.extend(ip_links(&packet));
    }
    links
}

fn ip_links(packet: &[u8]) -> Vec<(&'static str, u16, Vec<u8>)> {
    let v4 = is_v4(packet);
    let ppp = ppp(packet);
    let session = [&[0x11, 0, 0, 5], &(ppp.len() as u16).to_be_bytes()[..], &ppp].concat();
    let identifier = if v4 { 0xcc } else { 0x8e };
    let arcnet = if v4 { 212 } else { 196 };
    let ether_type = ip_ethertype(packet).to_be_bytes();
    let mut links = vec![
        ("Ethernet, DSA", 1, [&MACS[..], &[0xc0, 0x08, 0, 0], &ether_type, packet].concat()),
        ("Ethernet, DSA, VLAN", 1, [&MACS[..], &[0xe0, 0x08, 0x60, 7], &ether_type, packet].concat()),
        ("raw IP, BSD", 12, packet.to_vec()),
        ("raw IP, OpenBSD", 14, packet.to_vec()),
        ("raw IP", 101, packet.to_vec()),
        ("IP of one version", if v4 { 228 } else { 229 }, packet.to_vec()),
        ("PPP", 9, ppp.clone()),
        ("PPP with address and control", 9, [&[0xff, 0x03], &ppp[..]].concat()),
        ("PPP with a short protocol", 9, ppp[1..].to_vec()),
        ("PPP HDLC", 50, [&[0xff, 0x03], &ppp[..]].concat()),
        ("PPPoE", 51, session),
        ("PPP, pppd", 166, [&[0x01, 0x03], &ppp[..]].concat()),
        ("PPP with direction", 204, [&[0x00, 0xff, 0x03], &ppp[..]].concat()),
        ("Frame Relay", 107, [&[0x18, 0x41, 0x03, identifier], packet].concat()),
        ("Frame Relay, four-byte address", 107, [&[0x18, 0x40, 0x02, 0x01, 0x03, identifier], packet].concat()),
        ("NFLOG, little-endian", 239, netfilter_log(packet, u16::to_le_bytes)),
        ("NFLOG, big-endian", 239, netfilter_log(packet, u16::to_be_bytes)),
        ("IPsec, decapsulated", 109, [&[if v4 { 2 } else { 24 }, 0, 0, 0], &[7; 8][..], packet].concat()),
        ("PKTAP, raw IP", 258, [&packet_tap(12), packet].concat()),
        ("Juniper Ethernet, no link layer", 178, [b"MGC\x82\x00\x03\x04\x01\x00\x02\x00\x00\x00", packet].concat()),
        ("ARCNET", 7, [&[1, 2, arcnet, 0, 0, 9], packet].concat()),
        ("ARCNET, exception", 7, [&[1, 2, arcnet, 0xff, 0xff, 0xff, arcnet, 0, 0, 9], packet].concat()),
        ("ARCNET, Linux", 129, [&[1, 2, 0, 0, arcnet, 0, 0, 9], packet].concat()),
        ("packet filter log", 117, [&[61, if v4 { 2 } else { 24 }], &[0; 62][..], packet].concat()),
    ];
    if v4 {
        links.push(("ARCNET, RFC 1051", 7, [&[1, 2, 240], packet].concat()));
        links.push(("ARCNET, RFC 1051, Linux", 129, [&[1, 2, 0, 0, 240], packet].concat()));
    }
    for family in if v4 { &[2u32][..] } else { &[10, 24, 28, 30] } {
        links.push(("NULL, little-endian", 0, [&family.to_le_bytes(), packet].concat()));
        links.push(("NULL, big-endian", 0, [&family.to_be_bytes(), packet].concat()));
        links.push(("LOOP", 108, [&family.to_be_bytes(), packet].concat()));
        links.push(("LOOP, little-endian", 108, [&family.to_le_bytes(), packet].concat()));
    }
    links
}

fn llc(frame: &[u8]) -> Vec<u8> {
    [&[0xaa, 0xaa, 0x03, 0, 0, 0], &frame[12..]].concat()
}

/// An 802.11 header: frame control, addresses, then what comes before the content.
pub fn wifi(control: &[u8; 2], before: &[u8], content: &[u8]) -> Vec<u8> {
    [&control[..], &[0, 0], &MACS, &[2, 0, 0, 0, 0, 3], &[0x10, 0], before, content].concat()
}

/// A subframe of an aggregated 802.11 frame, padded.
pub fn subframe(frame: &[u8]) -> Vec<u8> {
    let content = llc(frame);
    let mut subframe = [&MACS[..], &(content.len() as u16).to_be_bytes(), &content].concat();
    subframe.resize(subframe.len().next_multiple_of(4), 0);
    subframe
}

fn prism() -> Vec<u8> {
    [&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0x33; 136][..]].concat()
}

fn avs() -> Vec<u8> {
    [&[0x80, 0x21, 0x10, 0x01, 0, 0, 0, 64], &[0x44; 56][..]].concat()
}

/// The packet tap's header before a frame of a link type.
fn packet_tap(link: u32) -> Vec<u8> {
    let mut header = [108u32, 1, link].map(u32::to_le_bytes).concat();
    header.extend(b"en0");
    header.resize(108, 0);
    header
}

fn netfilter_log(packet: &[u8], order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let attribute = |kind: u16, content: &[u8]| {
        let mut bytes = [&order(content.len() as u16 + 4)[..], &order(kind), content].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let family = if is_v4(packet) { 2 } else { 10 };
    [vec![family, 0, 0, 1], attribute(1, &[8, 0, 1, 0]), attribute(10, b"prefix\0"), attribute(9, packet)].concat()
}
