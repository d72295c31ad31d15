//! Tests of tags, link types and mirrors that `wrap.rs` cannot build: the variants of a header, and bytes that only resemble
//! the header and must not be decoded as one.

use super::*;

/// A switch's tag between the addresses and the rest of the frame.
fn with_tag(frame: &[u8], tag: [u8; 4]) -> Vec<u8> {
    [&frame[..12], &tag, &frame[12..]].concat()
}

#[test]
fn a_switch_tag_is_known_in_every_mode() {
    for tcp in segments() {
        let frame = tcp.packet().ethernet();
        for device in 0..32 {
            for mode in [0x00, 0x40, 0xc0] {
                let tag = [mode | device, 0x18, 0, 0];
                assert_eq!(decode(ETHERNET, &with_tag(&frame, tag)), [Seen::expected(&tcp)], "{tag:02x?}");
                let vlan = Encapsulation { vlans: [0x123, 0], depth: 1, ..Encapsulation::default() };
                let tag = [mode | 0x20 | device, 0x18, 0x41, 0x23];
                let expected = Seen { encapsulation: vlan, ..Seen::expected(&tcp) };
                assert_eq!(decode(ETHERNET, &with_tag(&frame, tag)), [expected], "{tag:02x?}");
            }
        }
    }
}

#[test]
fn what_no_ip_packet_follows_is_no_switch_tag() {
    let mut frame = Tcp::v4(b"x").packet().ethernet();
    frame[16..18].copy_from_slice(&[0x40, 0]);
    let frame = with_tag(&frame, [0xc0, 0x18, 0, 0]);
    let mut decoder = decoder();
    assert_eq!(feed(&mut decoder, ETHERNET, &frame, frame.len(), 0), []);
    assert_eq!(counted(&decoder), [("packets", 1), ("not_ip", 1)]);
}

#[test]
fn a_wrong_ether_type_is_overruled_by_version_and_lengths_together() {
    for tcp in segments() {
        let mut frame = Wrap::EtherTypeOfOtherVersion.around(tcp.packet()).unwrap().ethernet();
        let length = if tcp.source.0.is_ipv4() { 16 } else { 18 };
        frame[length] = 0x7f;
        let mut decoder = decoder();
        assert_eq!(feed(&mut decoder, ETHERNET, &frame, frame.len(), 0), []);
        assert_eq!(counted(&decoder), [("packets", 1), ("malformed_ip", 1)]);
    }
}

#[test]
fn every_kind_of_frame_that_tzsp_names_is_read() {
    for tcp in segments() {
        let packet = tcp.packet().ip().unwrap();
        let links = wrap::links(&tcp.packet());
        let link = |name: &str| links.iter().find(|link| link.0 == name).unwrap().2.clone();
        let kinds = [(4, link("PPP")), (7, packet), (18, link("802.11")), (119, link("Prism")), (127, link("AVS"))];
        for (kind, frame) in kinds {
            for message in [0, 1] {
                let content = [&[1, message, 0, kind, 0, 0, 1][..], &frame].concat();
                let datagram = wrap::udp(37_008, &content);
                let mirrored = wrap::ip(tcp.source.0, tcp.destination.0, 17, &datagram);
                let expected = Seen { encapsulation: tunnel(TunnelKind::Tzsp, 0), ..Seen::expected(&tcp) };
                assert_eq!(decode(RAW, &mirrored), [expected], "{kind}");
            }
        }
    }
}

#[test]
fn the_first_fragment_of_a_capwap_frame_is_read() {
    let tcp = Tcp::v4(&[b'a'; 600]);
    let frame = tcp.packet().ethernet();
    let fragment = |offset: u16, flags: u8, content: &[u8]| {
        let [high, low] = (offset << 3).to_be_bytes();
        let content = [&[0, 16, 0, flags, 0, 7, high, low], content].concat();
        wrap::ip(tcp.source.0, tcp.destination.0, 17, &wrap::udp(5_247, &content))
    };
    let seen = decode(RAW, &fragment(0, 0x80, &frame[..400]));
    assert_eq!((seen[0].wire_length, seen[0].payload.len()), (600, 400 - (frame.len() - 600)));
    assert_eq!(decode(RAW, &fragment(50, 0xc0, &frame[400..])), []);
}

#[test]
fn a_mirror_on_the_senders_port_is_read() {
    let tcp = Tcp::v6(b"x");
    for wrap in [Wrap::Tzsp, Wrap::JuniperMirror(1), Wrap::MplsInUdp(2), Wrap::GreInUdp(3), Wrap::Capwap, Wrap::Lisp(4)]
    {
        let mut packet = wrap.around(tcp.packet()).unwrap().ip().unwrap();
        let (source, destination) = packet[20..24].split_at_mut(2);
        source.swap_with_slice(destination);
        assert_eq!(decode(RAW, &packet), [Seen { encapsulation: recorded(wrap), ..Seen::expected(&tcp) }], "{wrap:?}");
    }
}
