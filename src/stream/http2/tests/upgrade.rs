//! Tests of the change from HTTP/1 to HTTP/2 by `Upgrade`.

use super::*;

const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";

fn asks(method: &str, fields: &str) -> String {
    format!(
        "{method} /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\
         {fields}\r\n"
    )
}

/// `protocol stream method target status` or `… outcome`.
fn all_rows(talk: &Talk) -> Vec<String> {
    let row = |exchange: &Exchange| {
        let version = exchange.version;
        format!("{}.{} {} {}", version.major, version.minor, exchange.stream, crate::stream::testing::row(exchange))
    };
    talk.finished().iter().map(row).collect()
}

#[test]
fn stream_1_answers_the_request_of_http1() {
    let mut talk = Talk::new();
    talk.client(asks("GET", "")).server("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n").server(SWITCHES);
    talk.server([settings(), answer(1, 404, b"none")].concat());
    talk.client([preface(), get(3, "/b")].concat()).server(answer(3, 503, b"")).end(Ending::Closed);
    assert_eq!(all_rows(&talk), ["1.1 0 GET /up 101", "2.0 1 GET /up 404", "2.0 3 GET /b 503"]);
    let upgraded = &talk.finished()[1];
    assert_eq!((upgraded.protocol, upgraded.remarks), (Protocol::Http2, Remarks::default()));
    assert_eq!(upgraded.field(upgraded.host), b"h");
    assert!(upgraded.request_end.is_some() && upgraded.response_end.is_some());
    let counters = talk.streams.counters();
    assert_eq!((counters.requests, counters.responses, counters.http2_unread), (2, 3, 0));
    // The response may come before or after the client's preface, and with the 101 in one segment.
    let mut talk = Talk::new();
    talk.client(asks("HEAD", "")).server([SWITCHES.as_bytes(), &settings(), &answer(1, 403, b"")].concat());
    talk.client(preface()).end(Ending::Closed);
    assert_eq!(all_rows(&talk), ["1.1 0 HEAD /up 101", "2.0 1 HEAD /up 403"]);
}

#[test]
fn any_cut_of_an_upgrade_gives_the_same() {
    let client = [asks("POST", "Content-Length: 3\r\n").as_bytes(), b"a=b"].concat();
    let server = [SWITCHES.as_bytes(), &settings(), &answer(1, 401, b"x"), &answer(3, 404, b"")].concat();
    let after = [preface(), get(3, "/b")].concat();
    for size in 1..40 {
        let mut talk = Talk::new();
        client.chunks(size).for_each(|piece| _ = talk.client(piece));
        server[..SWITCHES.len()].chunks(size).for_each(|piece| _ = talk.server(piece));
        after.chunks(size).for_each(|piece| _ = talk.client(piece));
        server[SWITCHES.len()..].chunks(size).for_each(|piece| _ = talk.server(piece));
        talk.end(Ending::Closed);
        assert_eq!(all_rows(&talk), ["1.1 0 POST /up 101", "2.0 1 POST /up 401", "2.0 3 GET /b 404"], "{size}");
        assert_eq!(talk.finished()[1].request_body_bytes, 3);
    }
}

#[test]
fn the_client_may_be_captured_before_the_101() {
    let after = [preface(), get(3, "/b")].concat();
    let server = [settings(), answer(1, 401, b"x"), answer(3, 404, b"")].concat();
    for size in [1, 7, 30, 500] {
        let mut talk = Talk::new();
        talk.client(asks("GET", ""));
        after.chunks(size).for_each(|piece| _ = talk.acking(SWITCHES.len() as u64).client(piece));
        talk.server(SWITCHES).server(&server).end(Ending::Closed);
        assert_eq!(all_rows(&talk), ["1.1 0 GET /up 101", "2.0 1 GET /up 401", "2.0 3 GET /b 404"], "{size}");
        // Part of the client's bytes comes after the 101.
        let mut talk = Talk::new();
        talk.client(asks("GET", "")).acking((SWITCHES.len() + settings().len()) as u64).client(&after[..size.min(40)]);
        talk.server(SWITCHES).client(&after[size.min(40)..]).server(&server).end(Ending::Closed);
        assert_eq!(all_rows(&talk), ["1.1 0 GET /up 101", "2.0 1 GET /up 401", "2.0 3 GET /b 404"], "{size}");
    }
    // The server's frames come in one segment with the 101.
    let mut talk = Talk::new();
    talk.client(asks("GET", "")).acking((SWITCHES.len() + settings().len()) as u64).client(&after);
    talk.server([SWITCHES.as_bytes(), &server].concat()).end(Ending::Closed);
    assert_eq!(all_rows(&talk), ["1.1 0 GET /up 101", "2.0 1 GET /up 401", "2.0 3 GET /b 404"]);
    // The server refuses, and what the client sends is a request.
    let refusal = "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n";
    let mut talk = Talk::new();
    talk.client(asks("GET", "")).acking(refusal.len() as u64).client("GET /n HTTP/1.1\r\n\r\n");
    talk.server(refusal).server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
    assert_eq!(all_rows(&talk), ["1.1 0 GET /up 200", "1.1 0 GET /n 404"]);
    // The answer does not come.
    let mut talk = Talk::new();
    talk.client(asks("GET", "")).acking(SWITCHES.len() as u64).client(&after).wait(60).end(Ending::Closed);
    assert_eq!(all_rows(&talk)[0], "1.1 0 GET /up Unknown");
}

#[test]
fn a_body_may_end_after_the_101() {
    for lost in [false, true] {
        let mut talk = Talk::new();
        talk.client(asks("POST", "Content-Length: 40\r\n")).client([b'q'; 10]).server(SWITCHES).server(settings());
        match lost {
            true => _ = talk.chunk(CLIENT, Chunk::Gap(25)),
            false => _ = talk.client([b'q'; 25]),
        }
        talk.client([&[b'q'; 5][..], &preface(), &get(3, "/b")].concat());
        talk.server([answer(1, 500, b"x"), answer(3, 404, b"")].concat()).end(Ending::Closed);
        let rows = all_rows(&talk);
        assert_eq!(rows[1..], ["2.0 1 POST /up 500", "2.0 3 GET /b 404"], "{lost}");
        assert_eq!((talk.finished()[1].request_body_bytes, rows.len()), (40, 3));
        assert_eq!(talk.finished()[1].remarks.has(Remarks::BODY_GAP), lost);
    }
}

#[test]
fn only_a_server_changes_to_http2() {
    // The server refuses, changes to something else, or was not asked.
    for (fields, answered, rows) in [
        ("Upgrade: h2c", "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", &["1.1 0 GET / 404", "1.1 0 GET /n 404"][..]),
        ("Upgrade: h2c, websocket", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", &["1.1 0 GET / 101"]),
        ("Upgrade: websocket", "HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n", &["1.1 0 GET / 101"]),
    ] {
        let mut talk = Talk::new();
        talk.client(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n")).server(answered);
        talk.client("GET /n HTTP/1.1\r\n\r\n")
            .server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
            .end(Ending::Closed);
        assert!(all_rows(&talk).iter().all(|row| row.starts_with("1.1")), "{:?}", all_rows(&talk));
        assert_eq!(all_rows(&talk)[..rows.len()], *rows);
    }
    // A client cannot send the 101 itself.
    let mut talk = Talk::new();
    talk.client(asks("GET", "")).client(SWITCHES).client([preface(), get(3, "/b")].concat());
    talk.server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
    // Which request the 404 answers is not certain among such bytes.
    assert_eq!(all_rows(&talk), ["1.1 0 GET /up Unknown", "1.1 0   404"]);
}

#[test]
fn a_loss_around_an_upgrade_gives_no_other_value() {
    let turns = [
        (CLIENT, asks("GET", "").into_bytes()),
        (SERVER, [SWITCHES.as_bytes(), &settings(), &answer(1, 401, b"x")].concat()),
        (CLIENT, [preface(), get(3, "/b")].concat()),
        (SERVER, answer(3, 403, b"xyz")),
        (CLIENT, get(5, "/c")),
        (SERVER, answer(5, 404, b"")),
    ];
    let expected = ["1.1 0 GET /up 101", "2.0 1 GET /up 401", "2.0 3 GET /b 403", "2.0 5 GET /c 404"];
    let (mut seen, mut possible) = (0, 0);
    for seed in 0..3_000 {
        let mut numbers = Numbers::new(seed);
        let mut talk = Talk::new();
        let (lost, most) = (numbers.below(20), 20 + numbers.below(100));
        let mut segment = 0;
        for (direction, bytes) in &turns {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + numbers.below(rest.len().min(most)));
                match segment == lost {
                    true => talk.chunk(*direction, Chunk::Gap(piece.len() as u64)),
                    false => talk.chunk(*direction, Chunk::Data(piece)),
                };
                (rest, segment) = (after, segment + 1);
            }
        }
        talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        possible += expected.len();
        for exchange in talk.finished() {
            let text = |span| String::from_utf8(exchange.field(span).to_vec()).unwrap();
            let whole = match (exchange.protocol, exchange.stream) {
                (Protocol::Http1, _) => ("/up", 101),
                (_, 1) => ("/up", 401),
                (_, 3) => ("/b", 403),
                (_, stream) => ("/c", if stream == 5 { 404 } else { panic!("stream {stream}") }),
            };
            assert!([whole.0, ""].contains(&text(exchange.target).as_str()), "seed {seed}: {:?}", all_rows(&talk));
            match exchange.outcome {
                Outcome::Answered => assert_eq!(exchange.status, whole.1, "seed {seed}: {:?}", all_rows(&talk)),
                outcome => assert_eq!(outcome, Outcome::Unknown, "seed {seed}: {:?}", all_rows(&talk)),
            }
            seen += usize::from(exchange.outcome == Outcome::Answered);
        }
    }
    assert!(seen * 10 > possible * 6, "{seen} of {possible}");
}
