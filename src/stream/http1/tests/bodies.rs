//! Tests of framing by RFC 9112, section 6, and of the end of messages.

use crate::stream::testing::Talk;
use crate::{
    exchange::Remarks,
    tcp::{Chunk, Ending},
};

/// Sends two responses in one stream, cut at every byte. The first response has this head and body.
fn first_then_404(request: &str, head: &str, body: &str) -> Vec<String> {
    let request = format!("{request} /a HTTP/1.1\r\n\r\n");
    let stream = format!("HTTP/1.1 {head}\r\n\r\n{body}HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
    let speak = |pieces: Vec<&[u8]>| {
        let mut talk = Talk::new();
        talk.client(&request).client("GET /b HTTP/1.1\r\n\r\n");
        pieces.into_iter().for_each(|piece| _ = talk.server(piece));
        talk.end(Ending::CaptureEnd);
        talk.rows()
    };
    let whole = speak(vec![stream.as_bytes()]);
    for cut in 1..stream.len() {
        let (a, b) = stream.as_bytes().split_at(cut);
        assert_eq!(speak(vec![a, b]), whole, "cut at {cut}: {stream:?}");
    }
    whole
}

#[test]
fn lengths_and_what_overrides_them() {
    for (method, head, body) in [
        ("GET", "200 x\r\nContent-Length: 3", "abc"),
        ("GET", "200 x\r\nContent-Length: 3\r\nContent-Length: 3", "abc"),
        ("GET", "200 x\r\nContent-Length: 3, 3", "abc"),
        ("GET", "200 x\r\nContent-Length: 0003", "abc"),
        ("GET", "200 x\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "200 x\r\nTransfer-Encoding: gzip, chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "200 x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "200 x\r\ntransfer-encoding:\tCHUNKED ", "3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "200 x\r\nTransfer-Encoding: identity\r\nContent-Length: 3", "abc"),
        ("GET", "200 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 99", "3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "200 x\r\nTransfer-Encoding: chunked", "3;ext=\"1\"\r\nabc\r\n0;x\r\nTrailer: a\r\nB: c\r\n\r\n"),
        ("GET", "200 x\r\nTransfer-Encoding: chunked", "3\nabc\n0\n\n"),
        ("GET", "200 x\r\nTransfer-Encoding: chunked", " 3 \r\nabc\r\n000\r\n\r\n"),
        ("GET", "200 x\r\nTransfer-Encoding: chunked", "A\r\n0123456789\r\nb\r\n0123456789\n\r\n0\r\n\r\n"),
        ("GET", "204 x\r\nContent-Length: 5", ""),
        ("GET", "304 x\r\nContent-Length: 5", ""),
        ("GET", "304 x\r\nTransfer-Encoding: chunked", ""),
        ("HEAD", "200 x\r\nContent-Length: 5", ""),
        ("HEAD", "200 x\r\nTransfer-Encoding: chunked", ""),
        ("GET", "205 x\r\nContent-Length: 0", ""),
        ("GET", "100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 x\r\nContent-Length: 0", ""),
        ("CONNECT", "407 x\r\nContent-Length: 3", "abc"),
    ] {
        let rows = first_then_404(method, head, body);
        let status = if head.contains("200 x") { "200" } else { &head[..3] };
        assert_eq!(rows, [format!("{method} /a {status}"), "GET /b 404".into()], "{head} {body:?}");
    }
}

#[test]
fn a_length_nobody_can_believe_is_left_at_the_next_status_line() {
    for (head, remark) in [
        ("Content-Length: 3\r\nContent-Length: 4", Remarks::CONFLICTING_LENGTH),
        ("Content-Length: -3", Remarks::CONFLICTING_LENGTH),
        ("Content-Length: 99999999999999999999", Remarks::CONFLICTING_LENGTH),
        ("Content-Length: 18446744073709551615", Remarks::CONFLICTING_LENGTH),
        ("Content-Length: 3x", Remarks::CONFLICTING_LENGTH),
        ("Transfer-Encoding: chunked\r\nX: y", Remarks::BAD_CHUNK),
    ] {
        let mut talk = Talk::new();
        talk.client("GET /a HTTP/1.1\r\n\r\n").server(format!("HTTP/1.1 400 x\r\n{head}\r\n\r\nxyz"));
        talk.client("GET /b HTTP/1.1\r\n\r\n")
            .server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
            .end(Ending::Closed);
        assert_eq!(talk.rows(), ["GET /a 400", "GET /b 404"], "{head}");
        assert!(talk.finished()[0].remarks.has(remark), "{head}");
    }
}

#[test]
fn bodies_until_the_end() {
    for (last, ending, remark) in
        [(Chunk::Fin, Ending::Closed, Remarks::default()), (Chunk::Reset, Ending::Reset, Remarks::RESET)]
    {
        let mut talk = Talk::new();
        talk.client("GET /a HTTP/1.0\r\n\r\n").server("HTTP/1.0 404 x\r\n\r\nnot ").server("here");
        talk.chunk(crate::stream::testing::SERVER, last).end(ending);
        assert_eq!(talk.rows(), ["GET /a 404"]);
        assert_eq!(talk.finished()[0].response_body_bytes, 8);
        assert_eq!(talk.finished()[0].remarks, remark);
    }
}

#[test]
fn a_body_cut_short_is_told() {
    let mut talk = Talk::new();
    talk.client("GET /a HTTP/1.1\r\n\r\n").server("HTTP/1.1 404 x\r\nContent-Length: 9\r\n\r\nnot ");
    talk.chunk(crate::stream::testing::SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /a 404"]);
    assert!(talk.finished()[0].remarks.has(Remarks::BODY_INCOMPLETE));
}

#[test]
fn connect_and_upgrade_open_tunnels() {
    let mut talk = Talk::new();
    talk.client("CONNECT h:80 HTTP/1.1\r\n\r\n").server("HTTP/1.1 200 Established\r\nContent-Length: 7\r\n\r\n");
    talk.client("GET /in HTTP/1.1\r\n\r\n").server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
    assert_eq!(talk.rows(), ["CONNECT h:80 200", "GET /in 404"]);

    // The tunnel's first bytes were captured before the answer that they follow.
    let established = "HTTP/1.1 200 Established\r\n\r\n";
    for size in [4, 500] {
        let mut talk = Talk::new();
        talk.client("CONNECT h:80 HTTP/1.1\r\n\r\n");
        let inside: &[u8] = b"GET /in HTTP/1.1\r\n\r\n";
        inside.chunks(size).for_each(|piece| _ = talk.acking(established.len() as u64).client(piece));
        talk.server(established).server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
        assert_eq!(talk.rows(), ["CONNECT h:80 200", "GET /in 404"], "{size}");
    }

    let mut talk = Talk::new();
    talk.client("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    talk.server("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\u{1}x");
    talk.server("HTTP/1.1 404 x\r\n\r\n").client("GET /b HTTP/1.1\r\n\r\n").end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /ws 101"]);
    assert_eq!(talk.streams.counters().tunnels, 1);
}

#[test]
fn early_answers() {
    let mut talk = Talk::new();
    talk.client("POST /a HTTP/1.1\r\nContent-Length: 100\r\n\r\nfirst part")
        .server("HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n");
    talk.client("x".repeat(90)).client("GET /b HTTP/1.1\r\n\r\n").server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
    talk.end(Ending::Closed);
    assert_eq!(talk.rows(), ["POST /a 413", "GET /b 404"]);
    assert!(talk.finished()[0].remarks.has(Remarks::EARLY_ANSWER));
    assert_eq!(talk.finished()[0].request_body_bytes, 100);

    // A client that sent `Expect: 100-continue` and was refused may send the body, or the next request instead.
    for body in ["", "0123456789"] {
        let mut talk = Talk::new();
        talk.client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
        talk.server("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n");
        if !body.is_empty() {
            talk.client(body);
        }
        talk.client("GET /b HTTP/1.1\r\n\r\n")
            .server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
            .end(Ending::Closed);
        assert_eq!(talk.rows(), ["POST /a 401", "GET /b 404"]);
    }

    let mut talk = Talk::new();
    talk.client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    talk.server("HTTP/1.1 100 Continue\r\n\r\n").client("abc").server("HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n");
    talk.end(Ending::Closed);
    assert_eq!(talk.rows(), ["POST /a 500"]);
    assert_eq!(talk.streams.counters().interim_responses, 1);
}

#[test]
fn answers_to_part_of_a_request_or_none() {
    let mut talk = Talk::new();
    talk.server("HTTP/1.1 408 Timeout\r\nConnection: close\r\n\r\n").end(Ending::Closed);
    assert_eq!(talk.rows(), ["  408"]);
    assert!(talk.finished()[0].remarks.has(Remarks::REQUEST_UNSEEN));

    let mut talk = Talk::new();
    talk.client("GET /slow HTTP/1.1\r\nX: ").server("HTTP/1.1 408 Timeout\r\nConnection: close\r\n\r\n");
    talk.end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /slow 408"]);
    assert!(talk.finished()[0].remarks.has(Remarks::REQUEST_TRUNCATED));

    let mut talk = Talk::new();
    talk.client([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]).server("HTTP/1.1 400 TLS to HTTP\r\nContent-Length: 0\r\n\r\n");
    talk.end(Ending::Closed);
    assert_eq!(talk.rows(), ["  400"]);
}

#[test]
fn pipelining_by_the_hundred() {
    let mut talk = Talk::new();
    let requests: String = (0..500).map(|n| format!("GET /{n} HTTP/1.1\r\n\r\n")).collect();
    let responses: String = (0..500)
        .map(|n| format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n\r\n{}", 400 + n % 100, n, "b".repeat(n)))
        .collect();
    requests.as_bytes().chunks(700).for_each(|piece| _ = talk.client(piece));
    responses.as_bytes().chunks(1448).for_each(|piece| _ = talk.server(piece));
    talk.end(Ending::Closed);
    let expected: Vec<_> = (0..500).map(|n| format!("GET /{n} {}", 400 + n % 100)).collect();
    assert_eq!(talk.rows(), expected);
}

#[test]
fn requests_over_the_pipelining_limit_are_given_up_and_counted() {
    let settings = crate::stream::StreamSettings { max_pipelined: 4, ..Default::default() };
    let mut talk = Talk::with(settings);
    (0..6).for_each(|n| _ = talk.client(format!("GET /{n} HTTP/1.1\r\n\r\n")));
    talk.server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
    assert!(talk.rows().contains(&"  404".to_owned()), "never the wrong request: {:?}", talk.rows());
    assert_eq!(talk.streams.counters().pipelined_dropped, 2);
}
