//! Proxies whose two sides are on the wire, and clients that make up for whom they come.
//!
//! In: generated connections of one request each, and their responses. What is checked: an error through a proxy counts once, for the
//! client; nobody's errors vanish; the alert says what is made up about its client, and advises accordingly.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Replay, documents, field, file, packets::pcap, wrap::Tcp};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Changes an exchange, by its number.
type Maker<'a> = dyn Fn(u16, &mut Exchange<'_>) + 'a;

/// Packets with their times in microseconds.
type Packets = Vec<(u64, Vec<u8>)>;

/// A connection that carries one request and its response.
struct Exchange<'a> {
    client: &'a str,
    port: u16,
    server: &'a str,
    /// What stands before the request line, such as a PROXY header.
    before: Vec<u8>,
    path: String,
    headers: String,
    status: u16,
    /// When the request was sent, and when it was answered, in microseconds.
    times: (u64, u64),
}

impl Exchange<'_> {
    fn packets(&self) -> Packets {
        let client = (self.client.parse::<IpAddr>().unwrap(), self.port);
        let server: SocketAddr = self.server.parse().unwrap();
        let server = (server.ip(), server.port());
        let mut next = [1_000u32, 9_000];
        let mut send = |from_client: bool, flags: u8, payload: &[u8]| {
            let (source, destination) = if from_client { (client, server) } else { (server, client) };
            let [own, other] = if from_client { next } else { [next[1], next[0]] };
            let acknowledgment = if flags & ACK != 0 { other } else { 0 };
            let length = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
            next[usize::from(!from_client)] = own + length;
            let (window, options, payload) = (900, Vec::new(), payload.to_vec());
            let tcp = Tcp { source, destination, sequence: own, acknowledgment, flags, window, options, payload };
            tcp.packet().ip().unwrap()
        };
        let request = format!("GET {} HTTP/1.1\r\nHost: h\r\nUser-Agent: tester/1\r\n{}\r\n", self.path, self.headers);
        let response = format!("HTTP/1.1 {} X\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nno", self.status);
        let (asked, answered) = self.times;
        vec![
            (asked - 3, send(true, SYN, b"")),
            (asked - 2, send(false, SYN | ACK, b"")),
            (asked - 1, send(true, ACK, b"")),
            (asked, send(true, ACK, &[&self.before, request.as_bytes()].concat())),
            (answered, send(false, ACK, response.as_bytes())),
            (answered + 1, send(true, ACK, b"")),
            (answered + 2, send(true, FIN | ACK, b"")),
            (answered + 3, send(false, FIN | ACK, b"")),
            (answered + 4, send(true, ACK, b"")),
        ]
    }
}

/// Replays packets in the order of their times.
fn replay(mut packets: Packets, arguments: &[&str]) -> Replay {
    packets.sort_by_key(|(time, _)| *time);
    let folder = TempDir::new().unwrap();
    let capture = file(&folder, "capture.pcap", pcap(101, packets));
    Replay::run(&capture, arguments).succeeded()
}

/// Requests of one client to one server, ten milliseconds apart.
fn requests(count: u16, client: &str, server: &str, make: impl Fn(u16, &mut Exchange<'_>)) -> Packets {
    let each = |number: u16| {
        let asked = 1_000_000 + 10_000 * u64::from(number);
        let (path, times) = (format!("/missing-{number}"), (asked, asked + 4_000));
        let mut exchange = Exchange {
            client,
            port: 20_000 + number,
            server,
            before: Vec::new(),
            path,
            headers: String::new(),
            status: 404,
            times,
        };
        make(number, &mut exchange);
        exchange.packets()
    };
    (0..count).flat_map(each).collect()
}

/// How many events each client has.
fn events_of(replay: &Replay, clients: &[&str]) -> Vec<usize> {
    let sources: Vec<String> = documents(&replay.events).iter().map(|event| field(event, "source.ip")).collect();
    clients.iter().map(|client| sources.iter().filter(|source| source == client).count()).collect()
}

const CLIENT: &str = "198.51.100.7";

#[test]
fn a_proxied_error_counts_once_wherever_the_servers_are_and_whatever_they_are_told() {
    for (proxy, server, headers, counted) in [
        ("192.0.2.20", "192.0.2.80:80", "X-Forwarded-For: 198.51.100.7\r\n", 0),
        ("192.0.2.20", "192.0.2.20:8000", "X-Forwarded-For: 198.51.100.7\r\n", 0),
        ("127.0.0.1", "127.0.0.1:8000", "X-Forwarded-For: 198.51.100.7\r\n", 0),
        ("127.0.0.1", "127.0.0.1:8000", "X-Real-IP: 198.51.100.7\r\n", 0),
        // Nothing shows that the first request comes from a proxy.
        ("192.0.2.20", "192.0.2.80:80", "", 1),
        // Nothing connects the two.
        ("127.0.0.1", "127.0.0.1:8000", "", 60),
    ] {
        let client_side = requests(60, CLIENT, "192.0.2.20:80", |_, _| {});
        let server_side = requests(60, proxy, server, |_, exchange| {
            exchange.headers = headers.into();
            exchange.times = (exchange.times.0 + 1_000, exchange.times.1 - 1_000);
        });
        let seen = replay([client_side, server_side.clone()].concat(), &[]);
        assert_eq!(events_of(&seen, &[CLIENT, proxy]), [60, counted], "{proxy} {server} {headers}");
        assert_eq!(documents(&seen.exchanges).len(), 120);
        let alone = replay(server_side, &[]);
        assert_eq!(events_of(&alone, &[proxy]), [60], "without the client's side: {proxy} {server} {headers}");
        assert_eq!(documents(&alone.alerts).len(), 1);
    }
}

#[test]
fn windows_count_errors_that_wait_at_their_end() {
    // The boundary is at 600 s: the errors come just before it, and no client's side follows.
    let late = |_, exchange: &mut Exchange<'_>| {
        exchange.headers = "X-Forwarded-For: 203.0.113.5\r\n".into();
        exchange.times = (exchange.times.0 + 597_500_000, exchange.times.1 + 597_500_000);
    };
    for lateness in ["0s", "1s", "60s"] {
        let later = requests(1, "203.0.113.99", "192.0.2.80:80", |_, exchange| {
            exchange.status = 200;
            exchange.times = (900_000_000, 900_004_000);
        });
        let packets = [requests(60, CLIENT, "192.0.2.80:80", late), later].concat();
        let seen = replay(packets, &["--lateness", lateness]);
        let counts: Vec<String> =
            documents(&seen.alerts).iter().map(|alert| field(alert, "Esql.event_count")).collect();
        assert_eq!(counts.last().map(String::as_str), Some("60"), "{lateness}: {counts:?}");
    }
}

/// The one alert of a client that sends these headers with each of 60 requests, and its text.
fn alert(arguments: &[&str], peer: &str, make: impl Fn(u16, &mut Exchange<'_>)) -> (Value, String) {
    let seen = replay(requests(60, peer, "192.0.2.80:80", make), arguments);
    let mut alerts = documents(&seen.alerts);
    assert_eq!(alerts.len(), 1, "{}", seen.alerts);
    (alerts.remove(0), seen.alerts)
}

#[test]
fn headers_that_somebody_made_up_are_told_and_make_nobody_a_proxy() {
    let local = |_, exchange: &mut Exchange<'_>| exchange.headers = "X-Forwarded-For: 127.0.0.1\r\n".into();
    let invalid = |_, exchange: &mut Exchange<'_>| exchange.headers = "X-Real-IP: ' or 1=1 --\r\n".into();
    let other = |_, exchange: &mut Exchange<'_>| {
        exchange.headers = "X-Forwarded-For: 203.0.113.5\r\nTrue-Client-IP: 203.0.113.6\r\n".into();
    };
    let rotating =
        |number, exchange: &mut Exchange<'_>| exchange.headers = format!("X-Forwarded-For: 203.0.113.{number}\r\n");
    let makers: [(&str, &str, &Maker<'_>); 4] = [
        (
            "60 of 60 failed requests with a forwarding header claim to come for the server's own host",
            "claims_local",
            &local,
        ),
        (
            "60 of 60 failed requests with a forwarding header name a client that cannot be",
            "claims_impossible",
            &invalid,
        ),
        ("60 of 60 failed requests with a forwarding header name a client that cannot be", "claims_impossible", &other),
        ("60 failed requests claim to come for 60 different clients", "claimed_clients", &rotating),
    ];
    for (reason, signal, make) in makers {
        let (alert, text) = alert(&[], CLIENT, make);
        assert_eq!(field(&alert, "wirespike.alert.verdict.name"), "enumeration", "{text}");
        assert!(text.contains(reason), "{text}");
        assert_eq!(field(&alert, &format!("wirespike.alert.signals.{signal}")), "60", "{text}");
        assert!(
            !text.contains("--trust") && !text.contains("nft add"),
            "neither to trust nor to block at once: {text}"
        );
        assert!(text.contains("make sure that 198.51.100.7 is no proxy of yours before you block it"), "{text}");
    }
}

#[test]
fn a_proxy_stays_one_whose_clients_make_up_headers() {
    let chain = |_, exchange: &mut Exchange<'_>| {
        exchange.headers = "X-Forwarded-For: 127.0.0.1, 198.51.100.7\r\n".into();
    };
    let (untrusted, text) = alert(&[], "192.0.2.20", chain);
    assert_eq!(field(&untrusted, "wirespike.alert.verdict.name"), "proxy_as_client", "{text}");
    assert!(
        text.contains("60 of 60 failed requests with a forwarding header claim to come for the server's own host"),
        "{text}"
    );
    let (trusted, text) = alert(&["--trust", "192.0.2.20"], "192.0.2.20", chain);
    assert_eq!(field(&trusted, "source.ip"), CLIENT);
    assert_eq!(field(&trusted, "wirespike.alert.verdict.name"), "enumeration", "{text}");
    assert!(
        text.contains("60 of 60 failed requests with a forwarding header claim to come for the server's own host"),
        "{text}"
    );
    assert!(!text.contains("trust 198.51.100.7"), "the client is no proxy: {text}");
}

#[test]
fn proxy_protocol_from_a_peer_that_is_not_trusted_is_counted_and_told_first() {
    let version_1 = b"PROXY TCP4 203.0.113.5 192.0.2.80 4711 80\r\n".to_vec();
    let version_2 =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[203, 0, 113, 5, 192, 0, 2, 80, 0x12, 0x67, 0, 80]].concat();
    for header in [version_1, version_2] {
        let seen =
            replay(requests(60, "192.0.2.20", "192.0.2.80:80", |_, exchange| exchange.before.clone_from(&header)), &[]);
        let alerts = documents(&seen.alerts);
        assert!(
            field(&alerts[0], "message")
                .starts_with("60 of 60 requests name a client behind a proxy, trust 192.0.2.20"),
            "{}",
            seen.alerts
        );
        let stats: Value = serde_json::from_str(&seen.stats).unwrap();
        assert_eq!(field(&stats, "stages.event.clients_forged"), "60");
    }
}
