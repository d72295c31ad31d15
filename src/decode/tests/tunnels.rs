//! What it takes to add a tunnel: `tunnel/made_up.rs` and its line in the list of tunnels, and nothing else.

use super::*;
use crate::decode::tunnel::made_up;

/// The tunnel's header and an IP packet.
fn content(identifier: u16, tcp: &Tcp) -> Vec<u8> {
    [&made_up::MARK[..], &identifier.to_be_bytes(), tcp.packet().bytes()].concat()
}

#[test]
fn a_tunnel_is_a_file_and_a_line() {
    for tcp in segments() {
        let expected = |depth, vlans| Encapsulation { depth, vlans, ..tunnel(TunnelKind::IpInIp, 0x1234) };
        let content = content(0x1234, &tcp);

        let kind = made_up::ETHER_TYPE.to_be_bytes();
        let frame = [&[2; 12][..], &[0x81, 0, 0, 9], &kind, &content].concat();
        let seen = Seen { encapsulation: expected(2, [9, 0]), ..Seen::expected(&tcp) };
        assert_eq!(decode(ETHERNET, &frame), [seen]);

        let datagram = wrap::udp(made_up::UDP_PORT, &content);
        let packet = wrap::ip(tcp.source.0, tcp.destination.0, 17, &datagram);
        let seen = Seen { encapsulation: expected(1, [0, 0]), ..Seen::expected(&tcp) };
        assert_eq!(decode(RAW, &packet), [seen]);
    }
}

#[test]
fn a_port_without_the_tunnel_is_plain_udp() {
    let tcp = Tcp::v4(b"x");
    let mut content = content(1, &tcp);
    content[0] ^= 1;
    let packet = wrap::ip(tcp.source.0, tcp.destination.0, 17, &wrap::udp(made_up::UDP_PORT, &content));
    let mut decoder = decoder();
    assert_eq!(feed(&mut decoder, RAW, &packet, packet.len(), 0), []);
    assert_eq!(decoder.counters().udp_tunnel_mismatches, 1);
}
