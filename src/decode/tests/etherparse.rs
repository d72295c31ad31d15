//! Headers that etherparse refuses by itself, and that the decoder reads all the same.

use super::*;

/// The counters of one packet of which `captured` bytes were captured.
fn counted_when_cut(frame: &[u8], captured: usize, wire: usize) -> Vec<(&'static str, u64)> {
    let mut decoder = decoder();
    assert_eq!(feed(&mut decoder, ETHERNET, &frame[..captured], wire, 0), []);
    counted(&decoder)
}

#[test]
fn an_authentication_header_of_length_zero_is_eight_bytes() {
    for tcp in segments() {
        let segment = tcp.packet().ip().unwrap();
        let segment = &segment[if tcp.source.0.is_ipv4() { 20 } else { 40 }..];
        let packet = wrap::ip(tcp.source.0, tcp.destination.0, 51, &[&[6, 0, 0, 0, 0, 0, 0, 1], segment].concat());
        assert_eq!(decode(RAW, &packet), [Seen::expected(&tcp)]);
    }
}

#[test]
fn macsec_tags_of_any_version_and_short_length_are_read() {
    const CONTROL: usize = 14;
    let tcp = Tcp::v4(b"x");
    for wrap in [Wrap::MacsecInClear, Wrap::MacsecInClearWithChannel] {
        let mut frame = wrap.around(tcp.packet()).unwrap().ethernet();
        frame[CONTROL] |= 0x80;
        frame[CONTROL + 1] = 1;
        assert_eq!(decode(ETHERNET, &frame), [Seen::expected(&tcp)], "{wrap:?}");
    }
    // An encrypted frame is known by its first six bytes, a type that was not captured is missed.
    let mut frame = Wrap::MacsecInClearWithChannel.around(tcp.packet()).unwrap().ethernet();
    assert_eq!(counted_when_cut(&frame, CONTROL + 15, frame.len()), [("packets", 1), ("truncated_link", 1)]);
    frame[CONTROL] |= 0x08;
    assert_eq!(counted_when_cut(&frame, CONTROL + 6, frame.len()), [("packets", 1), ("encrypted_macsec", 1)]);
}

#[test]
fn a_snap_length_may_cut_options() {
    let tcp = Tcp::v4(b"payload");
    let frame = Wrap::Ipv4Options.around(tcp.packet()).unwrap().ethernet();
    // Within the IPv4 options, then within the TCP options.
    assert_eq!(counted_when_cut(&frame, 14 + 24, frame.len()), [("packets", 1), ("truncated_tcp", 1)]);
    let seen = feed(&mut decoder(), ETHERNET, &frame[..14 + 28 + 24], frame.len(), 0);
    assert_eq!(seen, [Seen { payload: vec![], ..Seen::expected(&tcp) }]);
}

#[test]
fn an_ipv6_header_that_the_packet_never_had_is_malformed() {
    let frame = Tcp::v6(b"x").packet().ethernet();
    assert_eq!(counted_when_cut(&frame, 14 + 20, frame.len()), [("packets", 1), ("truncated_ip", 1)]);
    assert_eq!(counted_when_cut(&frame, 14 + 20, 14 + 30), [("packets", 1), ("malformed_ip", 1)]);
}
