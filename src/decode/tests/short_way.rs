//! The short way beside the plain one: packets that are almost ordinary.

use super::*;

/// What ordinary packets have around them, and what makes them not quite ordinary.
fn almost_ordinary() -> impl Strategy<Value = Vec<Wrap>> {
    let wraps = [Wrap::Vlan(5), Wrap::ServiceVlan(6), Wrap::OldVlan(0), Wrap::Ipv4Options, Wrap::Ipv6AtomicFragment];
    prop::collection::vec(prop::sample::select(wraps.to_vec()), 0..4)
}

proptest! {
    /// Any ordinary packet, changed and cut anywhere in its headers, and also in a tunnel. `BothWays` compares the two
    /// ways.
    #[test]
    fn the_short_way_is_no_other_way(
        tcp in any_tcp(),
        wraps in almost_ordinary(),
        tunnel in prop::option::of(prop::sample::select(Wrap::ALL.to_vec())),
        changes in prop::collection::vec((0usize..120, any::<u8>()), 0..3),
        captured in 0usize..700,
        wire in prop::option::of(0usize..700),
        udp in prop::option::of(prop::sample::select(vec![53, 443, 2152, 4789])),
        depth in 0u8..5,
    ) {
        let mut inner = nest(&tcp, &wraps);
        if let (Some(port), Some(packet)) = (udp, inner.clone().ip()) {
            inner = Frame::Ip(wrap::ip(tcp.source.0, tcp.destination.0, 17, &wrap::udp(port, &packet)));
        }
        if let Some(tunnel) = tunnel {
            inner = tunnel.around(inner.clone()).unwrap_or(inner);
        }
        let mut frame = inner.ethernet();
        for (at, value) in changes {
            let at = at % frame.len();
            frame[at] = value;
        }
        let data = &frame[..captured.min(frame.len())];
        let mut decoder = BothWays::new(DecodeSettings { max_depth: depth, ..DecodeSettings::default() });
        feed(&mut decoder, ETHERNET, data, wire.unwrap_or(frame.len()), 0);
    }
}

#[test]
fn the_setting_switches_the_short_way_off_and_on() {
    let with = |short_way: bool| DecodeSettings { short_way, ..DecodeSettings::default() };
    let tcp = Tcp::v4(b"x").packet().ethernet();
    let stamp = Stamp { number: 1, time: Timestamp::EPOCH };
    let packet =
        Packet { stamp, link_type: LinkType::ETHERNET, interface: 0, wire_length: tcp.len() as u32, data: &tcp };
    let mut decoder = Decoder::new(with(false));
    assert!(decoder.decode_ordinary(&packet).is_none());
    decoder.reconfigure(with(true));
    assert!(decoder.decode_ordinary(&packet).is_some());
    decoder.reconfigure(DecodeSettings { verify_checksums: ChecksumPolicy::Always, ..with(true) });
    assert!(decoder.decode_ordinary(&packet).is_none());
}
