//! Generated connections, by seed, in which a response could be given to a request that it does not answer: requests sent
//! without waiting, packets that the capture lacks, captures that begin within a connection, requests captured with two
//! contents, proxies. A response may be without its request. It never has another one.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use tempfile::TempDir;

use crate::support::{Replay, file, packets::pcap, transform::Random, wrap::Tcp};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A connection as it goes over the wire, and what the server answers.
struct Wire {
    client: (IpAddr, u16),
    server: (IpAddr, u16),
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
    /// The first sequence numbers.
    base: [u32; 2],
    /// What client and server have received, and acknowledge.
    received: [u32; 2],
    packets: Vec<Tcp>,
    /// The first packets, which the capture does not lack.
    kept: usize,
    /// The status with which the server answered each method and target.
    answers: BTreeMap<(String, String), u16>,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Wire {
    fn new(seed: u32) -> Self {
        let next = [seed.wrapping_mul(0x9e37_79b9), seed.wrapping_mul(0x85eb_ca6b)];
        Self {
            client: (IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + seed)), 1024 + (seed % 60_000) as u16),
            server: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)), 80),
            next,
            base: next,
            received: [next[1], next[0]],
            packets: Vec::new(),
            kept: 0,
            answers: BTreeMap::new(),
        }
    }

    /// Puts a segment on the wire that does not change what its sender has sent.
    fn put(&mut self, side: usize, flags: u8, sequence: u32, payload: &[u8]) {
        let (source, destination) =
            if side == CLIENT { (self.client, self.server) } else { (self.server, self.client) };
        self.packets.push(Tcp {
            source,
            destination,
            sequence,
            acknowledgment: if flags & ACK == 0 { 0 } else { self.received[side] },
            flags,
            window: 1_024,
            options: Vec::new(),
            payload: payload.to_vec(),
        });
    }

    fn open(&mut self) -> &mut Self {
        self.put(CLIENT, SYN, self.next[CLIENT], b"");
        self.advance(CLIENT, 1);
        self.put(SERVER, SYN | ACK, self.next[SERVER], b"");
        self.advance(SERVER, 1);
        self.put(CLIENT, ACK, self.next[CLIENT], b"");
        self
    }

    /// The sender's bytes reach the receiver.
    fn advance(&mut self, side: usize, length: usize) {
        self.next[side] = self.next[side].wrapping_add(length as u32);
        self.received[1 - side] = self.next[side];
    }

    fn send(&mut self, side: usize, payload: &[u8]) -> &mut Self {
        self.put(side, ACK, self.next[side], payload);
        self.advance(side, payload.len());
        self
    }

    /// Sends bytes that the receiver has not acknowledged yet.
    fn send_unreceived(&mut self, side: usize, payload: &[u8]) {
        self.put(side, ACK, self.next[side], payload);
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32);
    }

    fn acknowledge(&mut self, side: usize) -> &mut Self {
        self.put(side, ACK, self.next[side], b"");
        self
    }

    /// Notes that the server answers a request, and returns its response.
    fn answer(&mut self, method: &str, target: &str, status: u16, body: usize) -> Vec<u8> {
        self.answers.insert((method.to_owned(), target.to_owned()), status);
        let body = if method == "HEAD" { String::new() } else { "x".repeat(body) };
        let length = if method == "HEAD" { 5_000_000 } else { body.len() };
        format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    /// One request and its answer.
    fn exchange(&mut self, method: &str, target: &str, status: u16) -> &mut Self {
        self.send(CLIENT, &request(method, target, ""));
        let answer = self.answer(method, target, status, 3);
        self.send(SERVER, &answer).acknowledge(CLIENT)
    }

    /// Returns whether a capture that begins with this packet shows whether requests before it wait.
    fn is_telling(&self, begun: usize) -> bool {
        let count = |packets: &[Tcp], from_client: bool, what: &str| {
            let sent = packets.iter().filter(|tcp| (tcp.source == self.client) == from_client);
            let sent: Vec<u8> = sent.flat_map(|tcp| tcp.payload.clone()).collect();
            String::from_utf8_lossy(&sent).matches(what).count()
        };
        let (before, after) = self.packets.split_at(begun);
        let waiting = count(before, true, "Host: h\r\n") - count(before, false, "HTTP/1.1 ");
        let first = after.iter().position(|tcp| tcp.source == self.server && !tcp.payload.is_empty());
        let captured = count(&after[..first.unwrap_or(0)], true, " HTTP/1.1\r\nHost: h\r\n");
        let begins = after
            .first()
            .is_none_or(|tcp| [&b"GET "[..], b"HEAD ", b"POST "].iter().any(|method| tcp.payload.starts_with(method)));
        begins && (waiting == 0 || captured > 1)
    }

    /// The capture lacks packets.
    fn lose(&mut self, percent: u64, random: &mut Random) {
        let mut number = 0;
        let kept = self.kept;
        self.packets.retain(|_| {
            number += 1;
            number <= kept || random.below(100) >= percent as usize
        });
    }

    /// What was captured, for a person.
    fn transcript(&self) -> String {
        let line = |tcp: &Tcp| {
            let (side, base) =
                if tcp.source == self.client { ('C', self.base) } else { ('S', [self.base[1], self.base[0]]) };
            let text: String = String::from_utf8_lossy(&tcp.payload).escape_debug().take(60).collect();
            let numbers = [tcp.sequence.wrapping_sub(base[0]), tcp.acknowledgment.wrapping_sub(base[1])];
            format!("{side} {numbers:?} {:#x} {} {text}\n", tcp.flags, tcp.payload.len())
        };
        self.packets.iter().map(line).collect()
    }

    fn close(&mut self) {
        for side in [CLIENT, SERVER] {
            self.put(side, FIN | ACK, self.next[side], b"");
            self.advance(side, 1);
        }
        self.acknowledge(CLIENT);
    }
}

fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

/// What the sensor found on all connections.
struct Found {
    paired: usize,
    statuses: usize,
    sent: usize,
}

/// Replays the connections one after another, and checks every pair against the server's answers.
fn replay(wires: &[Wire], arguments: &[&str], about: &str) -> Found {
    let (found, wrong) = judge(wires, arguments, about);
    assert!(wrong.is_empty(), "{about}: {} wrong pairs: {wrong:#?}", wrong.len());
    found
}

/// Replays the connections, and returns the pairs that the server's answers do not have.
fn judge(wires: &[Wire], arguments: &[&str], about: &str) -> (Found, Vec<String>) {
    let packets = wires.iter().flat_map(|wire| &wire.packets).enumerate();
    let packets = packets.map(|(at, tcp)| (at as u64 * 1_000_000, tcp.packet().ip().unwrap()));
    let folder = TempDir::new().unwrap();
    let capture = file(&folder, "capture.pcap", pcap(101, packets));
    let rows = Replay::run(&capture, arguments).succeeded().rows();
    let mut found = Found { paired: 0, statuses: 0, sent: wires.iter().map(|wire| wire.answers.len()).sum() };
    let answers: BTreeMap<String, &Wire> =
        wires.iter().map(|wire| (format!("{} {}", wire.client.0, wire.client.1), wire)).collect();
    let (mut wrong, mut transcript) = (Vec::new(), None);
    for row in rows.iter().filter(|row| !row.status.is_empty()) {
        found.statuses += 1;
        if row.method.is_empty() && row.target.is_empty() {
            continue;
        }
        found.paired += 1;
        let wire = answers.get(&row.peer).unwrap_or_else(|| panic!("{about}: nobody sent {row:?}"));
        let mut possible = wire.answers.iter().filter(|((method, target), status)| {
            (row.method.is_empty() || *method == row.method)
                && *target == row.target
                && status.to_string() == row.status
        });
        let number = u32::from_be_bytes(match wire.client.0 {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => unreachable!(),
        });
        if possible.next().is_none() {
            wrong.push(format!("seed {}: {} {} {}", number - 0x0a00_0000, row.method, row.target, row.status));
            transcript = transcript.or_else(|| Some(wire.transcript()));
        }
    }
    println!("{about}: {} responses, {} seen, {} with their request", found.sent, found.statuses, found.paired);
    wrong.extend(transcript);
    (found, wrong)
}

fn status(number: usize) -> u16 {
    410 + (number % 80) as u16
}

/// A client that keeps up to `ahead` requests unanswered, and a server that acknowledges and answers as it likes.
fn talk(seed: u32, ahead: usize, opened: bool) -> Wire {
    let random = &mut Random::new(u64::from(seed) + 1);
    let mut wire = Wire::new(seed);
    if opened {
        wire.open();
    }
    let count = 6 + random.below(20);
    let (mut asked, mut answered) = (Vec::new(), 0);
    if opened && ahead > 1 {
        // The client is seen to send requests without waiting.
        let targets = [format!("/{seed}/first"), format!("/{seed}/second")];
        wire.send(CLIENT, &targets.each_ref().map(|target| request("GET", target, "")).concat());
        for (number, target) in targets.iter().enumerate() {
            let answer = wire.answer("GET", target, status(60 + number), 7);
            wire.send(SERVER, &answer);
        }
    }
    wire.kept = wire.packets.len();
    while answered < count {
        let waiting = asked.len() - answered;
        if asked.len() < count && waiting < ahead && (waiting == 0 || random.below(3) != 0) {
            let together = 1 + random.below((ahead - waiting).min(count - asked.len()));
            let mut flight = Vec::new();
            for _ in 0..together {
                let number = asked.len();
                let method = ["GET", "GET", "HEAD", "POST"][random.below(4)];
                let body = if method == "POST" { 1 + random.below(30) } else { 0 };
                let length = if body == 0 { String::new() } else { format!("Content-Length: {body}\r\n") };
                let target = format!("/{seed}/{number}");
                flight.extend(request(method, &target, &length));
                flight.extend(std::iter::repeat_n(b'b', body));
                asked.push((method, target));
            }
            // The flight as one segment or as several, received at once or later.
            let parts = 1 + random.below(2);
            for part in flight.chunks(flight.len().div_ceil(parts)) {
                wire.send_unreceived(CLIENT, part);
            }
            if random.below(2) == 0 {
                wire.received[SERVER] = wire.next[CLIENT];
                wire.acknowledge(SERVER);
            }
        } else {
            // What the server answers, it has received.
            wire.received[SERVER] = wire.next[CLIENT];
            let together = if random.below(3) == 0 { 1 + random.below(waiting) } else { 1 };
            let mut flight = Vec::new();
            for (method, target) in asked[answered..answered + together].iter().cloned() {
                flight.extend(wire.answer(method, &target, status(answered), random.below(40)));
                answered += 1;
            }
            let parts = 1 + random.below(2);
            for part in flight.chunks(flight.len().div_ceil(parts)) {
                wire.send(SERVER, part);
            }
            if random.below(2) == 0 {
                wire.acknowledge(CLIENT);
            }
        }
    }
    wire.close();
    wire
}

#[test]
fn requests_sent_without_waiting_and_packets_that_were_not_captured() {
    for (ahead, floor) in [(1, 30), (2, 5), (6, 5)] {
        for percent in [1, 5, 20] {
            let wires: Vec<Wire> = (0..400)
                .map(|seed| {
                    let mut wire = talk(seed, ahead, true);
                    let random = &mut Random::new(u64::from(seed) * 31 + percent);
                    wire.lose(percent, random);
                    wire
                })
                .collect();
            let found = replay(&wires, &[], &format!("{ahead} ahead, {percent} % lost"));
            assert!(found.paired * 100 >= found.sent * floor, "{ahead} ahead, {percent} % lost");
        }
    }
}

#[test]
fn requests_sent_without_waiting_under_relief() {
    for ahead in [1, 2, 6] {
        for percent in [0, 5] {
            let wires: Vec<Wire> = (0..200)
                .map(|seed| {
                    let mut wire = talk(seed, ahead, true);
                    let random = &mut Random::new(u64::from(seed) * 17 + percent);
                    wire.lose(percent, random);
                    wire
                })
                .collect();
            // All connections at the same time.
            let mut together = Wire::new(9_999);
            let mut rest: Vec<_> = wires.iter().map(|wire| wire.packets.iter()).collect();
            while rest.iter().any(|packets| packets.len() != 0) {
                together.packets.extend(rest.iter_mut().filter_map(|packets| packets.next().cloned()));
            }
            let wires: Vec<Wire> =
                wires.into_iter().map(|wire| Wire { packets: Vec::new(), ..wire }).chain([together]).collect();
            let limits = ["--workers", "1", "--set", "limits.in_flight_bytes=200000"];
            replay(&wires, &limits, &format!("{ahead} ahead under relief, {percent} % lost"));
        }
    }
}

#[test]
fn captures_that_begin_within_a_connection() {
    for (ahead, floor) in [(1, 90), (2, 10), (6, 1)] {
        let wires: Vec<Wire> = (0..600)
            .map(|seed| {
                let mut wire = talk(seed, ahead, false);
                let random = &mut Random::new(u64::from(seed) * 13);
                // Where one request waits and another is captured alone, nothing tells which one the first response answers.
                let mut begun = random.below(wire.packets.len() / 2);
                while !wire.is_telling(begun) {
                    begun += 1;
                }
                wire.packets.drain(..begun);
                let seen: Vec<u8> = wire.packets.iter().flat_map(|tcp| tcp.payload.clone()).collect();
                let seen = String::from_utf8_lossy(&seen).into_owned();
                if ahead == 1 {
                    wire.answers.retain(|(_, target), _| seen.contains(&format!("{target} ")));
                }
                wire
            })
            .collect();
        let found = replay(&wires, &[], &format!("{ahead} ahead, midstream"));
        assert!(found.paired * 100 >= found.sent * floor, "{ahead} ahead, midstream");
    }
}

/// The first captured request is sent while an earlier one waits for its answer.
#[test]
fn a_request_before_the_first_captured_one() {
    let wires: Vec<Wire> = (0..400)
        .map(|seed| {
            let random = &mut Random::new(u64::from(seed) * 7 + 3);
            let mut wire = Wire::new(seed);
            let method = ["GET", "HEAD"][random.below(2)];
            let targets: Vec<String> = (0..2 + random.below(4)).map(|number| format!("/{seed}/{number}")).collect();
            for target in &targets {
                wire.send_unreceived(CLIENT, &request(method, target, ""));
            }
            wire.packets.remove(0);
            let unreceived = wire.next[CLIENT];
            // With one captured request, only an acknowledgment of less can show that the first answer belongs to another.
            if targets.len() == 2 || random.below(2) == 0 {
                wire.received[SERVER] =
                    wire.received[SERVER].wrapping_add(request(method, &targets[0], "").len() as u32);
            } else {
                wire.received[SERVER] = unreceived;
            }
            for (number, target) in targets.iter().enumerate() {
                let answer = wire.answer(method, target, status(number), 4);
                wire.send(SERVER, &answer);
                wire.received[SERVER] = unreceived;
            }
            for number in 0..5 {
                wire.exchange("GET", &format!("/{seed}/later{number}"), status(20 + number));
            }
            wire.close();
            wire
        })
        .collect();
    let found = replay(&wires, &[], "an uncaptured request before");
    assert_eq!(found.statuses, found.sent);
}

/// A request that the server received, and a decoy with other contents at the same place that it did not receive.
#[test]
fn a_decoy_over_a_request() {
    let wires: Vec<Wire> = (0..1_200)
        .map(|seed| {
            let random = &mut Random::new(u64::from(seed) * 11 + 5);
            let mut wire = Wire::new(seed);
            wire.open();
            for number in 0..random.below(3) {
                wire.exchange("GET", &format!("/{seed}/before{number}"), status(number));
            }
            let (method, decoy_method, decoy_fields) = [
                ("HEAD", "GET", ""),
                ("GET", "HEAD", ""),
                ("GET", "POST", "Content-Length: 100000\r\n"),
                ("HEAD", "POST", "Content-Length: 40\r\n"),
                ("GET", "GET", "Transfer-Encoding: chunked\r\n"),
                ("GET", "CONNECT", ""),
            ][random.below(6)];
            let target = format!("/{seed}/real");
            let real = request(method, &target, "");
            let base = request(decoy_method, "/d", decoy_fields);
            let length = match random.below(3) {
                0 => base.len(),
                1 => base.len().max(real.len()),
                _ => real.len() + 1 + random.below(120),
            };
            let decoy_target = format!("/d{}", "y".repeat(length.saturating_sub(base.len())));
            let decoy = request(decoy_method, &decoy_target, decoy_fields);
            let sequence = wire.next[CLIENT];
            let is_first = random.below(2) == 0;
            if is_first {
                wire.put(CLIENT, ACK, sequence, &decoy);
            }
            let cut = if random.below(3) == 0 { 1 + random.below(real.len() - 1) } else { real.len() };
            wire.send(CLIENT, &real[..cut]);
            if cut < real.len() {
                wire.send(CLIENT, &real[cut..]);
            }
            if !is_first {
                wire.put(CLIENT, ACK, sequence, &decoy);
            }
            let answer = wire.answer(method, &target, 404, 3);
            wire.send(SERVER, &answer).acknowledge(CLIENT);
            for number in 0..20 {
                let method = ["GET", "GET", "HEAD"][random.below(3)];
                wire.exchange(method, &format!("/{seed}/after{number}"), status(number + 5));
            }
            wire.close();
            wire
        })
        .collect();
    let found = replay(&wires, &[], "decoys");
    assert_eq!(found.statuses, found.sent);
}

/// A client that sends its request with the SOCKS handshake, or before the proxy has answered.
#[test]
fn requests_that_are_sent_with_a_socks_handshake() {
    let wires: Vec<Wire> = (0..300)
        .map(|seed| {
            let random = &mut Random::new(u64::from(seed) * 3 + 1);
            let mut wire = Wire::new(seed);
            wire.open();
            let first = request("GET", &format!("/{seed}/first"), "");
            let answer = wire.answer("GET", &format!("/{seed}/first"), 404, 5);
            let name = "host.example.test";
            let named = [&[5, 1, 0, 3, name.len() as u8][..], name.as_bytes(), &[0, 80]].concat();
            let connect = [vec![5, 1, 0, 1, 10, 1, 2, 3, 0, 80], named][random.below(2)].clone();
            let reply = [5, 0, 0, 1, 10, 9, 9, 9, 4, 4];
            match random.below(5) {
                0 => {
                    wire.send(CLIENT, &[&[4, 1, 0, 80, 10, 1, 2, 3][..], b"user\0", &first].concat());
                    wire.send(SERVER, &[0, 0x5a, 0, 80, 10, 1, 2, 3]).send(SERVER, &answer);
                }
                1 => {
                    wire.send(CLIENT, &[5, 1, 0]).send(SERVER, &[5, 0]);
                    wire.send(CLIENT, &[&connect[..], &first].concat());
                    wire.send(SERVER, &reply).send(SERVER, &answer);
                }
                2 => {
                    wire.send(CLIENT, &[&[5, 1, 0][..], &connect, &first].concat());
                    wire.send(SERVER, &[5, 0]).send(SERVER, &reply).send(SERVER, &answer);
                }
                3 => {
                    wire.send(CLIENT, &[5, 1, 0]).send(SERVER, &[5, 0]);
                    wire.send(CLIENT, &connect).send(CLIENT, &first);
                    wire.send(SERVER, &[&reply[..], &answer].concat());
                }
                _ => {
                    wire.send(CLIENT, &[5, 1, 2]).send(SERVER, &[5, 2]);
                    wire.send(CLIENT, b"\x01\x04user\x04pass").send(SERVER, &[1, 0]);
                    wire.send(CLIENT, &connect).send(CLIENT, &first);
                    wire.send(SERVER, &reply).send(SERVER, &answer);
                }
            }
            wire.acknowledge(CLIENT);
            for number in 0..5 {
                wire.exchange("GET", &format!("/{seed}/{number}"), status(number));
            }
            wire.close();
            wire
        })
        .collect();
    let found = replay(&wires, &[], "SOCKS");
    assert_eq!((found.paired, found.statuses), (found.sent, found.sent));
}
