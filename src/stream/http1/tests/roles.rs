//! Tests of roles: the bytes of one side neither silence nor reverse the other side, and content is no exchange.
//!
//! Each test is a family: a table of what one side sends, with cuts and neighbours that a seed chooses.

use crate::{
    stream::testing::{CLIENT, Numbers, SERVER, Talk},
    tcp::{Chunk, Direction, Ending},
};

const SEEDS: u64 = 24;

/// Sends bytes in one to four segments.
fn send(talk: &mut Talk, direction: Direction, bytes: &[u8], numbers: &mut Numbers) {
    let mut rest = bytes;
    for _ in 0..numbers.below(4) {
        if rest.len() > 1 {
            let (piece, after) = rest.split_at(1 + numbers.below(rest.len() - 1));
            talk.chunk(direction, Chunk::Data(piece));
            rest = after;
        }
    }
    talk.chunk(direction, Chunk::Data(rest));
}

fn get(path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn answer(status: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\nnever").into_bytes()
}

/// Sends requests that are answered with 404.
fn ask(talk: &mut Talk, count: usize, numbers: &mut Numbers) {
    for number in 0..count {
        send(talk, CLIENT, &get(&number.to_string()), numbers);
        send(talk, SERVER, &answer(404), numbers);
    }
}

fn statuses(talk: &Talk) -> Vec<u16> {
    talk.finished().iter().map(|exchange| exchange.status).filter(|status| *status != 0).collect()
}

const HELLO: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// What a client may claim to speak, although the server speaks HTTP/1.
fn claims() -> Vec<Vec<u8>> {
    let mut long_proxy_header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x00".to_vec();
    long_proxy_header.extend([7; 256]);
    vec![
        PREFACE.to_vec(),
        PREFACE[..24].to_vec(),
        HELLO.to_vec(),
        [HELLO, b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x02ab"].concat(),
        b"\x15\x03\x03\x00\x02\x02\x28".to_vec(),
        [HELLO, b"\x15\x03\x03\x00\x02\x02\x28"].concat(),
        b"\x05\x01\x00".to_vec(),
        b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00".to_vec(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\nnothing\r\n\r\n".to_vec(),
        long_proxy_header,
        b"OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(),
        b"OPTIONS icap://h/x ICAP/1.0\r\nHost: h\r\n\r\n".to_vec(),
        b"REGISTER sip:h SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        b"EHLO here\r\n".to_vec(),
        b"\x13BitTorrent protocol\x00\x00\x00\x00\x00\x00\x00\x00".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        vec![0xff; 70_000],
    ]
}

#[test]
fn a_claim_that_the_server_refuses_hides_nothing() {
    for claim in claims() {
        for seed in 0..SEEDS {
            for refused in [400, 405] {
                let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
                send(&mut talk, CLIENT, &claim, &mut numbers);
                send(&mut talk, SERVER, &answer(refused), &mut numbers);
                ask(&mut talk, 5, &mut numbers);
                talk.end(Ending::Closed);
                let expected = [refused as u16, 404, 404, 404, 404, 404];
                assert_eq!(statuses(&talk), expected, "{:?} seed {seed}", claim.escape_ascii().to_string());
                assert!(talk.finished().iter().all(|exchange| exchange.endpoints.unwrap().0.port == 40_000));
            }
        }
    }
}

#[test]
fn a_claim_that_the_server_never_received_hides_nothing() {
    for claim in claims() {
        for (seed, before) in (0..SEEDS).zip([0, 1, 3].into_iter().cycle()) {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            ask(&mut talk, before, &mut numbers);
            // The client sends the real requests with the sequence numbers of the claim: the sensor sees the claim.
            let reads = talk.sent[CLIENT as usize];
            send(&mut talk, CLIENT, &claim, &mut numbers);
            for request in 1..=3 {
                talk.acking(reads + (claim.len() as u64 * request).div_ceil(3)).server(answer(404));
            }
            ask(&mut talk, 4, &mut numbers);
            talk.end(Ending::Closed);
            let hidden = if claim.len() < 48 { 1 } else { 3 };
            let count = statuses(&talk).iter().filter(|status| **status == 404).count();
            let label = claim.escape_ascii().to_string();
            assert!(count >= before + hidden + 4, "{count} of {} after {label:?} seed {seed}", before + 7);
        }
    }
}

/// Another protocol: its name, whether the server speaks first, and what client and server say in turn.
type OtherProtocol = (&'static str, bool, Vec<(&'static [u8], &'static [u8])>);

fn other_protocols() -> Vec<OtherProtocol> {
    vec![
        (
            "ICAP",
            false,
            vec![(
                b"REQMOD icap://h/x ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0\r\n\r\n",
                b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=40\r\n\r\n",
            )],
        ),
        (
            "RTSP",
            false,
            vec![(b"DESCRIBE rtsp://h/x RTSP/1.0\r\nCSeq: 2\r\n\r\n", b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n")],
        ),
        ("SIP", false, vec![(b"MESSAGE sip:b@h SIP/2.0\r\nCSeq: 1 MESSAGE\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n")]),
        (
            "Redis",
            false,
            vec![(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"$300\r\n"), (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")],
        ),
        ("Redis inline", false, vec![(b"GET /page\r\n", b"$300\r\n")]),
        ("file transfer", true, vec![(b"USER me\r\n", b"220 here\r\n"), (b"RETR /a\r\n", b"150 comes\r\n")]),
        ("SMTP", true, vec![(b"EHLO me\r\n", b"220 h ESMTP\r\n"), (b"DATA\r\n", b"354 go on\r\n")]),
        ("POP3", true, vec![(b"RETR 1\r\n", b"+OK POP3 ready\r\n")]),
        ("memcached", false, vec![(b"get k\r\n", b"VALUE k 0 300\r\n")]),
        (
            "BitTorrent",
            false,
            vec![(b"\x13BitTorrent protocol\x00\x00\x00\x00", b"\x13BitTorrent protocol\x00\x00\x00\x01")],
        ),
        ("binary", false, vec![(b"\x00\x00\x00\x08\x01\x02\x03\x04", b"\x00\x00\x01\x2c\x00\x00\x00\x00")]),
        ("HTTP/2", false, vec![(PREFACE, b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")]),
    ]
}

#[test]
fn messages_in_a_stream_of_another_protocol_are_content() {
    for (name, server_first, lines) in other_protocols() {
        for seed in 0..SEEDS {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            for (from_client, from_server) in lines.iter().cycle().take(6) {
                if server_first {
                    send(&mut talk, SERVER, from_server, &mut numbers);
                    send(&mut talk, CLIENT, from_client, &mut numbers);
                } else {
                    send(&mut talk, CLIENT, from_client, &mut numbers);
                    send(&mut talk, SERVER, from_server, &mut numbers);
                }
                // The content begins a segment.
                match numbers.below(3) {
                    0 => send(&mut talk, CLIENT, &answer(404), &mut numbers),
                    1 => {
                        send(&mut talk, CLIENT, &get("stored"), &mut numbers);
                        send(&mut talk, SERVER, from_server, &mut numbers);
                    }
                    _ => {}
                }
                for _ in 0..1 + numbers.below(3) {
                    send(&mut talk, SERVER, &answer(400 + numbers.below(9)), &mut numbers);
                }
            }
            talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
            assert_eq!(talk.rows(), [""; 0], "{name} seed {seed}");
        }
    }
}

#[test]
fn a_file_that_is_sent_without_a_word_is_content() {
    for seed in 0..SEEDS {
        for sender in [CLIENT, SERVER] {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            if numbers.below(2) == 0 {
                send(&mut talk, sender, b"first line\r\n", &mut numbers);
            }
            for _ in 0..60 {
                send(&mut talk, sender, &answer(404), &mut numbers);
            }
            talk.chunk(sender, Chunk::Fin).end(Ending::Closed);
            assert_eq!(talk.rows(), [""; 0], "{sender:?} seed {seed}");
        }
    }
}

#[test]
fn http_behind_a_handshake_of_another_protocol_is_read() {
    let socks5: &[(&[u8], &[u8])] = &[
        (b"\x05\x01\x00", b"\x05\x00"),
        (b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", b"\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x50"),
    ];
    let socks4: &[(&[u8], &[u8])] = &[(b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00", b"\x00\x5a\x00\x50\xc0\x00\x02\x01")];
    let greeting: &[(&[u8], &[u8])] = &[(b"open sesame\r\n", b"welcome\r\n")];
    for lines in [socks5, socks4, greeting] {
        for seed in 0..SEEDS {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            for (from_client, from_server) in lines {
                talk.client(from_client).server(from_server);
            }
            talk.client(get("first")).server(answer(200));
            ask(&mut talk, 3, &mut numbers);
            talk.end(Ending::Closed);
            assert_eq!(talk.rows(), ["GET /first 200", "GET /0 404", "GET /1 404", "GET /2 404"], "seed {seed}");
        }
    }
}

#[test]
fn the_side_that_opened_the_connection_sends_no_response() {
    for seed in 0..SEEDS {
        for claimed in [200, 400, 404, 503] {
            // A web server answers with 400: that is the client's error, whatever the client's status line says.
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            for _ in 0..1 + numbers.below(3) {
                send(&mut talk, CLIENT, &answer(claimed), &mut numbers);
            }
            send(&mut talk, SERVER, b"HTTP/1.1 400 x\r\nConnection: close\r\n\r\nbad", &mut numbers);
            talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
            assert_eq!(talk.rows(), ["  400"], "seed {seed}");
            assert_eq!(talk.finished()[0].endpoints.unwrap().0.port, 40_000);
            // The server says nothing.
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            send(&mut talk, CLIENT, &answer(claimed), &mut numbers);
            talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
            assert_eq!(talk.rows(), [""; 0], "seed {seed}");
            // An echo service sends each message back.
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            for number in 0..8 {
                let message = if numbers.below(3) == 0 { b"hello\r\n".to_vec() } else { answer(claimed + number) };
                send(&mut talk, CLIENT, &message, &mut numbers);
                send(&mut talk, SERVER, &message, &mut numbers);
            }
            talk.end(Ending::Closed);
            assert_eq!(talk.rows(), [""; 0], "echo {claimed} seed {seed}");
        }
        // A server that echoes requests, or asks by itself, is no client.
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        for _ in 0..4 {
            send(&mut talk, SERVER, &get("asked"), &mut numbers);
            send(&mut talk, CLIENT, &answer(404), &mut numbers);
        }
        talk.end(Ending::Closed);
        assert_eq!(talk.rows(), [""; 0], "seed {seed}");
    }
}

fn upgrade(talk: &mut Talk, numbers: &mut Numbers) {
    let request = b"POST /up HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n";
    send(talk, CLIENT, request, numbers);
    send(talk, SERVER, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", numbers);
}

#[test]
fn after_an_upgrade_the_first_request_shows_the_roles() {
    for seed in 0..SEEDS {
        // The server asks.
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        upgrade(&mut talk, &mut numbers);
        for status in [404, 200, 500] {
            send(&mut talk, SERVER, &get("turned"), &mut numbers);
            send(&mut talk, CLIENT, &answer(status), &mut numbers);
        }
        talk.end(Ending::Closed);
        assert_eq!(talk.rows(), ["POST /up 101", "GET /turned 404", "GET /turned 200", "GET /turned 500"]);
        assert_eq!(talk.finished()[1].endpoints.unwrap().0.port, 8080, "the source is the side that asks");
        // HTTP/1 goes on in the same roles; the first request may be answered again.
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        upgrade(&mut talk, &mut numbers);
        let is_answered_again = numbers.below(2) == 0;
        if is_answered_again {
            send(&mut talk, SERVER, &answer(403), &mut numbers);
        }
        ask(&mut talk, 3, &mut numbers);
        talk.end(Ending::Closed);
        let expected: &[u16] = if is_answered_again { &[101, 403, 404, 404, 404] } else { &[101, 404, 404, 404] };
        assert_eq!(statuses(&talk), expected, "seed {seed}");
        // Junk of the client, which the server refuses, hides nothing.
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        upgrade(&mut talk, &mut numbers);
        send(&mut talk, CLIENT, b"\x81\x85abcd\x00\x01\x02\x03\x04", &mut numbers);
        send(&mut talk, SERVER, &answer(400), &mut numbers);
        ask(&mut talk, 3, &mut numbers);
        talk.end(Ending::Closed);
        assert_eq!(statuses(&talk), [101, 400, 404, 404, 404], "seed {seed}");
        // A client that answers, although the server has not asked.
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        upgrade(&mut talk, &mut numbers);
        for _ in 0..4 {
            send(&mut talk, CLIENT, &answer(404), &mut numbers);
        }
        talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(talk.rows(), ["POST /up 101"], "seed {seed}");
        // Another protocol, whose content begins segments.
        for first in [CLIENT, SERVER] {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            upgrade(&mut talk, &mut numbers);
            send(&mut talk, first, b"\x82\x7e\x01\x00", &mut numbers);
            if first == CLIENT {
                send(&mut talk, SERVER, b"\x82\x7e\x01\x00", &mut numbers);
            }
            for _ in 0..4 {
                send(&mut talk, SERVER, &answer(404), &mut numbers);
                send(&mut talk, CLIENT, &get("stored"), &mut numbers);
            }
            talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
            assert_eq!(talk.rows(), ["POST /up 101"], "{first:?} seed {seed}");
        }
    }
}

#[test]
fn responses_that_nobody_asked_for_are_not_counted() {
    for seed in 0..SEEDS {
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        let (mut expected, mut unasked) = (Vec::new(), 0);
        for number in 0..6 {
            let requests = 1 + numbers.below(3);
            let asked: Vec<u8> = (0..requests).flat_map(|_| get(&number.to_string())).collect();
            send(&mut talk, CLIENT, &asked, &mut numbers);
            for _ in 0..requests {
                send(&mut talk, SERVER, &answer(404), &mut numbers);
                expected.push(format!("GET /{number} 404"));
            }
            for _ in 0..numbers.below(12) {
                send(&mut talk, SERVER, &answer(500), &mut numbers);
                unasked += 1;
            }
        }
        // The server waited in vain, and says so once.
        for _ in 0..2 {
            send(&mut talk, SERVER, b"HTTP/1.1 408 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", &mut numbers);
        }
        expected.push("  408".to_owned());
        talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(talk.rows(), expected, "seed {seed}");
        assert_eq!(talk.streams.counters().unasked_responses, unasked + 1, "seed {seed}");
    }
}

#[test]
fn responses_count_where_requests_may_have_been_missed() {
    let hidden = get("a").repeat(3);
    for seed in 0..SEEDS {
        // In a body, in a gap, in what was not captured, and in bytes that were not understood.
        for case in 0..4 {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
            match case {
                0 => {
                    let head = format!("POST /b HTTP/1.1\r\nContent-Length: {}\r\n\r\n", hidden.len());
                    send(&mut talk, CLIENT, &[head.as_bytes(), &hidden].concat(), &mut numbers);
                }
                1 => {
                    talk.chunk(CLIENT, Chunk::Gap(hidden.len() as u64));
                }
                2 => talk.flow.opened_by = None,
                _ => send(&mut talk, CLIENT, &vec![0xee; hidden.len()], &mut numbers),
            }
            for _ in 0..3 {
                send(&mut talk, SERVER, &answer(404), &mut numbers);
            }
            ask(&mut talk, 2, &mut numbers);
            talk.end(Ending::Closed);
            assert_eq!(statuses(&talk), [404; 5], "case {case} seed {seed}");
        }
    }
}
