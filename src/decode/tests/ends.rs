//! The ends of packets: the same as those of the segment inside, and known for packets without a segment too.

use super::*;

fn reader() -> EndsReader {
    EndsReader::new(&DecodeSettings::default())
}

fn ends(reader: &mut EndsReader, link: u16, data: &[u8]) -> Vec<Ends> {
    read(reader, link, data).into_iter().map(|(ends, _)| ends).collect()
}

fn read(reader: &mut EndsReader, link: u16, data: &[u8]) -> Vec<(Ends, Option<SegmentStart>)> {
    let stamp = Stamp { number: 1, time: Timestamp::EPOCH };
    let packet = Packet { stamp, link_type: LinkType(link), interface: 0, wire_length: data.len() as u32, data };
    let mut found = Vec::new();
    reader.read(&packet, &mut |ends, start| found.push((ends, start)));
    found
}

fn expected(tcp: &Tcp) -> Ends {
    let (source, destination) = (tcp.source, tcp.destination);
    Ends {
        source: Address::from(source.0),
        destination: Address::from(destination.0),
        ports: Some([source.1, destination.1]),
    }
}

#[test]
fn the_ends_are_those_of_the_segment_inside_every_tag_tunnel_and_link_type() {
    for tcp in [Tcp::v4(b"x"), Tcp::v6(b"x")] {
        for wrap in Wrap::ALL {
            let Some(frame) = wrap.around(tcp.packet()) else { continue };
            for (name, link, data) in wrap::links(&frame) {
                if decode(link, &data).is_empty() {
                    continue;
                }
                let start = SegmentStart { flags: TcpFlags(tcp.flags), has_payload: true, payload: [b'x', 0, 0, 0] };
                let found = read(&mut reader(), link, &data);
                assert_eq!(found, [(expected(&tcp), Some(start))], "{wrap:?} over {name}");
            }
        }
    }
}

#[test]
fn packets_without_tcp_have_addresses_and_no_ports() {
    let tcp = Tcp::v4(b"x");
    let without_ports = Ends { ports: None, ..expected(&tcp) };
    for (protocol, content) in [(1, vec![3, 1, 0, 0, 0, 0, 0, 0]), (17, wrap::udp(53, b"query")), (50, vec![0; 16])] {
        let packet = wrap::ip(tcp.source.0, tcp.destination.0, protocol, &content);
        assert_eq!(ends(&mut reader(), RAW, &packet), [without_ports], "{protocol}");
    }
    // The snap length may cut the ports off.
    assert_eq!(ends(&mut reader(), RAW, &tcp.packet().bytes()[..21]), [without_ports]);
    for not_ip in [&b"\x02\x02\x02\x02\x02\x02\x04\x04\x04\x04\x04\x04\x08\x06\0\x01"[..], b"", b"\0"] {
        assert_eq!(ends(&mut reader(), ETHERNET, not_ip), []);
    }
}

#[test]
fn later_fragments_are_known_from_the_first() {
    let tcp = Tcp::v4(&[b'x'; 400]);
    let known = expected(&tcp);
    let own = |packet: &[u8]| {
        let address = |at: usize| Address::v4(packet[at..at + 4].try_into().unwrap());
        Ends { source: address(12), destination: address(16), ports: None }
    };
    for packet in [tcp.packet(), Wrap::Vxlan(7).around(tcp.packet()).unwrap()] {
        let packet = packet.bytes();
        let pieces = wrap::fragments(packet, 9, &[160, 320]);
        let mut reader = reader();
        assert_eq!(ends(&mut reader, RAW, &pieces[2]), [own(packet)], "before the first, its own header alone");
        for piece in &pieces {
            assert_eq!(ends(&mut reader, RAW, piece), [known]);
        }
        assert_eq!(ends(&mut reader, RAW, &wrap::fragment(packet, 10, 160..320)), [own(packet)], "another datagram");
    }
}

#[test]
fn the_first_fragments_that_are_remembered_are_bounded() {
    let tcp = Tcp::v4(&[b'x'; 400]);
    let mut reader = reader();
    for identification in 0..=5_000 {
        ends(&mut reader, RAW, &wrap::fragment(tcp.packet().bytes(), identification, 0..160));
    }
    assert_eq!((reader.datagrams.len(), reader.order.len()), (4_096, 4_096));
    let later = |identification| wrap::fragment(tcp.packet().bytes(), identification, 160..320);
    assert_eq!(ends(&mut reader, RAW, &later(5_000)), [expected(&tcp)]);
    assert_eq!(ends(&mut reader, RAW, &later(0)), [Ends { ports: None, ..expected(&tcp) }]);
}
