//! Floods with real exchanges between them: memory stays under the caps, the exchanges are seen.
//!
//! Small floods under small caps; `tests/benches/attacks` measures a million of each under the default ones.

use std::net::{IpAddr, Ipv4Addr};

use tempfile::TempDir;

use crate::support::{
    Replay, documents, field, file,
    packets::pcap,
    wrap::{Frame, Tcp, fragment, fragments, subframe, wifi},
};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// Packets of a flood.
const FLOOD: u32 = 40_000;
/// Packets of a flood between two of real exchanges.
const BETWEEN: u32 = 19;
const CLIENTS: u32 = 0xc633_6400;

fn segment(client: (u32, u16), from_client: bool, numbers: (u32, u32), flags: u8, payload: &[u8]) -> Tcp {
    let client = (IpAddr::V4(Ipv4Addr::from(client.0)), client.1);
    let server = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)), 80);
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    let (sequence, acknowledgment) = numbers;
    Tcp {
        source,
        destination,
        sequence,
        acknowledgment,
        flags,
        window: 1_024,
        options: Vec::new(),
        payload: payload.to_vec(),
    }
}

/// The IP packets of a connection with one exchange, of one of two hundred clients.
fn exchange(number: u32) -> Vec<Vec<u8>> {
    exchange_of(CLIENTS + number % 200, number)
}

/// The IP packets of a connection with one exchange, the response out of order and its first part in fragments.
fn exchange_of(address: u32, number: u32) -> Vec<Vec<u8>> {
    let client = (address, 20_000 + number as u16);
    let request = format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n");
    let response =
        b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nnever";
    let (first, second) = response.split_at(60);
    let (asked, answered) = (1 + request.len() as u32, 1 + response.len() as u32);
    let ip = |tcp: Tcp| tcp.packet().ip().unwrap();
    let mut packets = vec![
        ip(segment(client, true, (0, 0), SYN, b"")),
        ip(segment(client, false, (0, 1), SYN | ACK, b"")),
        ip(segment(client, true, (1, 1), ACK, b"")),
        ip(segment(client, true, (1, 1), ACK, request.as_bytes())),
        ip(segment(client, false, (61, asked), ACK, second)),
    ];
    packets.extend(fragments(&ip(segment(client, false, (1, asked), ACK, first)), number as u16, &[40]));
    packets.push(ip(segment(client, true, (asked, answered), ACK, b"")));
    packets.push(ip(segment(client, false, (answered, asked), FIN | ACK, b"")));
    packets.push(ip(segment(client, true, (asked, answered + 1), FIN | ACK, b"")));
    packets
}

/// Replays a flood under small caps; every exchange in it must be seen. Returns the counters.
fn survive(flood: impl Fn(u32) -> Vec<u8>) -> impl Fn(&str) -> u64 {
    let real: Vec<Vec<u8>> = (0..FLOOD / BETWEEN / 10).flat_map(exchange).collect();
    let count = real.len() / 10;
    let mut waiting = real.into_iter();
    let packets = (0..FLOOD).flat_map(|index| {
        let real = (index % BETWEEN == 0).then(|| waiting.next()).flatten();
        [Some(flood(index)), real].into_iter().flatten().map(move |packet| (u64::from(index) * 100_000, packet))
    });
    let folder = TempDir::new().unwrap();
    let capture = file(&folder, "flood.pcap", pcap(101, packets));
    let limits = [
        "flows=1600",
        "reassembly_bytes=400000",
        "reassembly_segments=1600",
        "fragment_bytes=100000",
        "fragment_datagrams=200",
        "in_flight_bytes=1600000",
    ];
    let arguments: Vec<String> =
        limits.iter().flat_map(|limit| ["--set".to_owned(), format!("limits.{limit}")]).collect();
    let replay = Replay::run(&capture, &arguments).succeeded();
    let mut seen: Vec<_> = replay
        .rows()
        .into_iter()
        .filter(|row| row.status == "404")
        .map(|row| format!("{} {}", row.method, row.target))
        .collect();
    seen.sort();
    let mut expected: Vec<_> = (0..count).map(|number| format!("GET /{number}")).collect();
    expected.sort();
    assert!(count > 200);
    assert_eq!(seen, expected);
    let counters = documents(&replay.stats).remove(0);
    let seed = field(&counters, "hash_seed");
    assert!(replay.said().contains(&format!("--set packets.hash_seed={seed} repeats")) && !seed.is_empty());
    let again =
        Replay::run(&capture, &[&arguments[..], &["--set".into(), format!("packets.hash_seed={seed}")]].concat());
    assert!(again.exchanges == replay.exchanges && again.events == replay.events && again.alerts == replay.alerts);
    let again = documents(&again.stats).remove(0);
    assert_eq!((&again["stages"], &again["hash_seed"]), (&counters["stages"], &counters["hash_seed"]));
    move |name| field(&counters, name).parse().unwrap_or_else(|_| panic!("no counter {name} in {counters}"))
}

#[test]
fn half_open_connections() {
    let counter =
        survive(|index| segment((0x1400_0000 + index, 1_024), true, (index, 0), SYN, b"").packet().ip().unwrap());
    assert!(counter("stages.flow.ended_evicted") > 30_000);
}

#[test]
fn one_byte_segments_out_of_order() {
    let counter = survive(|index| {
        let client = (0x1400_0000 + index / 500, 1_024);
        let (flags, sequence) = if index % 500 == 0 { (SYN, 0) } else { (ACK, 1 + index % 500 * 2) };
        segment(client, true, (sequence, 1), flags, if flags == ACK { b"x" } else { b"" }).packet().ip().unwrap()
    });
    assert!(counter("stages.flow.holes_total_cap") > 100);
}

#[test]
fn one_byte_segments_of_one_connection() {
    let counter = survive(|index| {
        let sequence = if index == 0 { 0 } else { 1 + index * 2 };
        let (flags, payload) = if index == 0 { (SYN, &b""[..]) } else { (ACK, &b"x"[..]) };
        segment((0x1400_0000, 1_024), true, (sequence, 1), flags, payload).packet().ip().unwrap()
    });
    assert!(counter("stages.flow.holes_total_cap") + counter("stages.flow.holes_direction_cap") > 10);
}

#[test]
fn fragments_that_are_never_completed() {
    let counter = survive(|index| {
        let whole = segment((0x1400_0000 + index, 1_024), true, (1, 1), ACK, &[b'x'; 64]).packet().ip().unwrap();
        fragment(&whole, index as u16, 0..40)
    });
    assert!(counter("stages.decode.datagrams_evicted") > 30_000);
}

/// Each client sends forty requests ahead and gets no answer.
#[test]
fn requests_that_are_never_answered() {
    let requests = "GET /never/answered?and=long HTTP/1.1\r\nHost: h\r\n\r\n".repeat(4);
    let length = requests.len() as u32;
    let counter = survive(|index| {
        let client = (0x1400_0000 + index / 10, 1_024);
        segment(client, true, (1 + index % 10 * length, 1), ACK, requests.as_bytes()).packet().ip().unwrap()
    });
    let (asked, dropped) = (counter("stages.http.requests"), counter("stages.http.in_flight_dropped"));
    assert!(asked > 4 * u64::from(FLOOD) && dropped > asked * 9 / 10, "{asked} {dropped}");
}

/// One sender forges responses to many addresses: more alerts than an execution has places, then more clients than the table
/// has. A scanner among them is in the first alert, with all its errors.
#[test]
fn forged_responses_take_no_place_from_a_scanner() {
    let scanner = 0xcb00_7109;
    let forged = b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n";
    let folder = TempDir::new().unwrap();
    for each in [51, 1] {
        let flood = (0..10_200u32).map(|index| {
            let client = (0x1400_0000 + index / each, 1_024 + (index % each) as u16);
            segment(client, false, (1, 1), ACK, forged).packet().ip().unwrap()
        });
        let real: Vec<Vec<u8>> = (0..60).flat_map(|number| exchange_of(scanner, number)).collect();
        let mut real = real.into_iter();
        let packets = flood.enumerate().flat_map(|(index, forged)| {
            let real = if index % 17 == 0 { real.next() } else { None };
            [Some(forged), real].into_iter().flatten().map(move |packet| (index as u64 * 1_000_000, packet))
        });
        let capture = file(&folder, "forged.pcap", pcap(101, packets));
        let arguments = ["--max-alerts", "20", "--set", "limits.clients=150"];
        let with =
            |workers: &str| Replay::run(&capture, &[&arguments[..], &["--workers", workers]].concat()).succeeded();
        let one = with("1");
        let alerts = documents(&one.alerts);
        let said = |index: usize, path: &str| field(&alerts[index], &format!("wirespike.alert.{path}"));
        assert_eq!(field(&alerts[0], "source.ip"), "203.0.113.9", "{each}");
        assert_eq!((said(0, "count"), said(0, "evidence.grade")), ("60".into(), "handshake".into()));
        let last = alerts.len() - 1;
        assert_eq!(said(last, "kind"), "left_out");
        assert!((1..last).all(|index| said(index, "evidence.grade") == "one_way"));
        assert_eq!(last, if each == 51 { 20 } else { 1 }, "left_out takes no place");
        let lost: u64 = said(last, "left_out.client_limit.errors").parse().unwrap();
        assert!(
            lost >= 10_200 - 150 * u64::from(each) && said(last, "left_out.client_limit.confirmed") == "0",
            "{lost}"
        );
        assert_eq!(with("4").alerts, one.alerts);
    }
}

/// A client that sends status lines on connections which it opened itself accuses nobody.
#[test]
fn fifty_one_connections_frame_no_server() {
    let status = b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 5\r\n\r\nnever";
    let folder = TempDir::new().unwrap();
    for is_answered in [false, true] {
        let packets = (0..51).flat_map(|number| {
            let client = (0xcb00_7109, 20_000 + number);
            let sent = 1 + status.len() as u32;
            let reply: &[u8] = if is_answered { b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" } else { b"" };
            [
                segment(client, true, (0, 0), SYN, b""),
                segment(client, false, (0, 1), SYN | ACK, b""),
                segment(client, true, (1, 1), ACK, b""),
                segment(client, true, (1, 1), ACK, status),
                segment(client, false, (1, sent), ACK, reply),
                segment(client, true, (sent, 1 + reply.len() as u32), FIN | ACK, b""),
            ]
            .map(|tcp| tcp.packet().ip().unwrap())
        });
        let timed = packets.enumerate().map(|(index, packet)| (index as u64 * 1_000_000, packet));
        let replay = Replay::run::<&str>(&file(&folder, "framed.pcap", pcap(101, timed)), &[]).succeeded();
        assert_eq!((replay.alerts.as_str(), replay.events.as_str()), ("", ""), "answered: {is_answered}");
    }
}

/// A packet may hold segments of many connections, and what they say must come in the same order whoever works on which.
#[test]
fn aggregated_frames_give_the_same_bytes_for_any_number_of_workers() {
    let connections: Vec<Vec<Vec<u8>>> = (0..40).map(exchange).collect();
    let together = |step: usize| {
        let subframes = connections.iter().flat_map(|packets| subframe(&Frame::Ip(packets[step].clone()).ethernet()));
        (step as u64 * 1_000_000, wifi(&[0x88, 0x01], &[0x80, 0], &subframes.collect::<Vec<u8>>()))
    };
    let folder = TempDir::new().unwrap();
    let capture = file(&folder, "aggregated.pcap", pcap(105, (0..10).map(together)));
    let with = |workers: &str| Replay::run(&capture, &["--workers", workers]).succeeded();
    let one = with("1");
    assert_eq!(one.rows().len(), connections.len());
    for many in ["2", "4", "8", "16"].map(with) {
        assert_eq!((&one.exchanges, &one.events), (&many.exchanges, &many.events));
    }
}
