//! Tests with several parsers: how a side's parser is chosen, and what a further parser needs (`lines`, for tests only).

use super::{
    Stream, StreamSettings,
    lines::{KEY, PATIENCE},
    testing::{CLIENT, SERVER, Talk},
};
use crate::{
    exchange::{Exchange, Outcome, Protocol, Remarks},
    tcp::{Chunk, Ending},
};

/// `protocol target status` or `protocol target outcome` of every finished exchange.
fn told(talk: &Talk) -> Vec<String> {
    let tell = |exchange: &Exchange| {
        let target = String::from_utf8_lossy(exchange.field(exchange.target)).into_owned();
        let protocol = match exchange.protocol {
            Protocol::Http1 => "http",
            Protocol::Http2 if exchange.stream > 0 => "http2",
            Protocol::Http2 | Protocol::Tls => "lines",
        };
        match exchange.outcome {
            Outcome::Answered => format!("{protocol} {target} {}", exchange.status),
            outcome => format!("{protocol} {target} {outcome:?}"),
        }
    };
    talk.finished().iter().map(tell).collect()
}

fn hidden(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ KEY).collect()
}

#[test]
fn a_further_parser_is_probed_however_its_beginning_is_cut() {
    for cut in 1..12 {
        let mut talk = Talk::new();
        let asked = b"LINES\nfirst\n";
        talk.client(&asked[..cut]).client(&asked[cut..]).server("200\n").client("second\n").server("40").server("4\n");
        talk.end(Ending::Closed);
        assert_eq!(told(&talk), ["lines first 200", "lines second 404"], "cut at {cut}");
    }
}

#[test]
fn what_only_begins_like_a_further_parser_is_http() {
    let mut talk = Talk::new();
    talk.client("LI").client("NK /a HTTP/1.1\r\n\r\n").server("HTTP/1.1 204 x\r\n\r\n").end(Ending::Closed);
    assert_eq!(told(&talk), ["http /a 204"]);
    // The first bytes are cut off before they show the protocol: HTTP/1 reads them as an incomplete header block.
    let mut talk = Talk::new();
    talk.client("LIN").chunk(CLIENT, Chunk::Gap(5)).client("GET /b HTTP/1.1\r\n\r\n").end(Ending::Closed);
    assert_eq!((told(&talk), talk.streams.counters().heads_cut), (vec!["http /b Unknown".to_owned()], 1));
}

#[test]
fn a_further_parser_is_told_of_gaps_ends_and_time() {
    let mut talk = Talk::new();
    talk.client("LINES\na").chunk(CLIENT, Chunk::Gap(3)).client("b\n").server("500\n");
    talk.client("closed\n").chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(told(&talk), ["lines a=b 500", "lines closed NoResponseClosed"]);

    let mut talk = Talk::new();
    talk.client("LINES\nreset\n").chunk(SERVER, Chunk::Reset).end(Ending::Reset);
    assert_eq!(told(&talk), ["lines reset NoResponseReset"]);

    let mut talk = Talk::new();
    talk.client("LINES\nslow\n").wait(PATIENCE.as_secs() - 1);
    assert_eq!(told(&talk), [""; 0]);
    talk.wait(2);
    assert_eq!(told(&talk), ["lines slow NoResponseTimeout"]);
    talk.client("cut\n").end(Ending::CaptureEnd);
    assert_eq!(told(&talk)[1], "lines cut Unknown");
}

#[test]
fn an_inner_protocol_is_probed_as_a_connection_is() {
    let mut talk = Talk::new();
    talk.client("LINES\nINSIDE\n");
    talk.client(hidden(b"PROXY TCP4 192.0.2.9 192.0.2.8 4711 80\r\nGET /inner HT")).client(hidden(b"TP/1.1\r\n\r\n"));
    talk.server(hidden(b"HTTP/1.1 404 x\r\nContent-Length: 300\r\n\r\nsome"));
    talk.chunk(SERVER, Chunk::Gap(296));
    talk.client(hidden(b"POST /next HTTP/1.1\r\n\r\n")).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(told(&talk), ["http /inner 404", "http /next NoResponseClosed"]);
    let first = &talk.finished()[0];
    assert_eq!(first.position, 0, "the offset in the inner stream of the status line's first byte");
    assert!(first.remarks.has(Remarks::BODY_GAP));
    assert_eq!(first.proxied_source.unwrap().to_string(), "192.0.2.9:4711");
    // The inner stream is again a connection of `lines`, and so on, until the nesting is too deep.
    let mut talk = Talk::new();
    let mut bytes = b"GET /deep HTTP/1.1\r\n\r\n".to_vec();
    for _ in 0..3 {
        bytes = [b"LINES\nINSIDE\n".as_slice(), &hidden(&bytes)].concat();
    }
    talk.client(&bytes).end(Ending::CaptureEnd);
    assert_eq!(told(&talk), ["http /deep Unknown"]);
    let mut talk = Talk::new();
    for _ in 0..3 {
        bytes = [b"LINES\nINSIDE\n".as_slice(), &hidden(&bytes)].concat();
    }
    talk.client(&bytes).end(Ending::CaptureEnd);
    assert_eq!(told(&talk), [""; 0]);
    assert!(talk.streams.counters().bytes_passed_over > 0, "what is too deep is counted");
}

#[test]
fn http2_is_read_inside_another_protocol() {
    const ASKS: &[u8] = b"\0\0\x05\x01\x05\0\0\0\x01\x82\x85\x86\x41\0";
    const ANSWERS: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x8d";
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS].concat();
    for begin in ["LINES\nINSIDE\n", "LINES\nINSIDE HTTP2\n"] {
        let mut talk = Talk::new();
        talk.client(begin).client(hidden(&preface)).server(hidden(SETTINGS));
        talk.client(hidden(ASKS)).server(hidden(ANSWERS)).end(Ending::Closed);
        assert_eq!(told(&talk), ["http2 /index.html 404"]);
        // The capture shows the response before its request, which does not come: time passes inside, too.
        let mut talk = Talk::new();
        talk.client(begin).client(hidden(&preface)).server(hidden(SETTINGS)).client(hidden(ASKS));
        talk.wait(100).end(Ending::CaptureEnd);
        assert_eq!(told(&talk), ["http2 /index.html NoResponseTimeout"]);
        // What is in flight inside can be let go.
        let mut talk = Talk::with(StreamSettings { max_in_flight_bytes: 100, ..StreamSettings::default() });
        talk.client(begin).client(hidden(&preface)).server(hidden(SETTINGS)).client(hidden(ASKS));
        talk.relieve();
        assert_eq!(told(&talk), ["http2 /index.html Unknown"]);
        talk.end(Ending::Closed);
    }
    // Where the outer protocol names it, the first bytes may be missing.
    let mut talk = Talk::new();
    talk.client("LINES\nINSIDE HTTP2\n").chunk(CLIENT, Chunk::Gap(33)).chunk(SERVER, Chunk::Gap(9));
    talk.client(hidden(ASKS)).server(hidden(ANSWERS)).end(Ending::Closed);
    assert_eq!(told(&talk), ["http2 /index.html 404"]);
}

#[test]
fn what_waits_inside_waits_for_time_too() {
    let mut talk = Talk::new();
    talk.client("LINES\nINSIDE\n").client(hidden(b"LINES\nslow\n")).wait(PATIENCE.as_secs() + 1);
    assert_eq!(told(&talk), ["lines slow NoResponseTimeout"]);
    talk.end(Ending::CaptureEnd);
}

#[test]
fn http_is_not_disturbed_by_a_further_parser() {
    let mut talk = Talk::new();
    talk.client("GET /LINES HTTP/1.1\r\n\r\n").server("HTTP/1.1 200 x\r\nContent-Length: 6\r\n\r\n").server("LINES\n");
    talk.client("POST /b HTTP/1.1\r\nContent-Length: 6\r\n\r\n").client("LINES\n");
    talk.server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
    assert_eq!(told(&talk), ["http /LINES 200", "http /b 404"]);
    // The bytes in a tunnel are probed in the same way.
    let mut talk = Talk::new();
    talk.client("CONNECT h:1 HTTP/1.1\r\n\r\n")
        .server("HTTP/1.1 200 x\r\n\r\n")
        .client("LINES\nin tunnel\n")
        .server("503\n");
    talk.end(Ending::Closed);
    assert_eq!(told(&talk), ["http h:1 200", "lines in tunnel 503"]);
}

#[test]
fn a_side_changes_its_protocol_only_by_what_it_sends() {
    const HELLO: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    // HTTP is sent to a TLS server, which answers with an alert: both are reported.
    let mut talk = Talk::new();
    talk.client("GET /a HTTP/1.1\r\n\r\n").server(b"\x15\x03\x03\x00\x02\x02\x46").end(Ending::Closed);
    assert_eq!(
        talk.finished().iter().map(|exchange| exchange.outcome).collect::<Vec<_>>(),
        [Outcome::TlsAlert, Outcome::Unknown]
    );
    // TLS is sent to an HTTP server, which answers in clear.
    let mut talk = Talk::new();
    talk.client(HELLO).server("HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n").end(Ending::Closed);
    assert_eq!(told(&talk), ["http  400"]);
}

/// Sequence numbers of the first bytes of both sides in the tests below.
const FIRST: [u32; 2] = [u32::MAX - 20, 5_000];

fn talk_with_sequence_numbers() -> Talk {
    let mut talk = Talk::with(StreamSettings::default());
    talk.flow.first_sequence = FIRST;
    talk
}

fn position(direction: crate::tcp::Direction, offset: usize) -> u64 {
    u64::from(FIRST[direction as usize].wrapping_add(offset as u32))
}

#[test]
fn an_exchange_stands_where_its_status_line_begins() {
    let request = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    let response = "HTTP/1.1 404 x\r\nContent-Length: 3\r\n\r\nabc";
    for cut in [1, 9, 20, 33, 40] {
        let mut talk = talk_with_sequence_numbers();
        let both = format!("HTTP/1.1 100 x\r\n\r\n{response}{response}");
        talk.client(request).client(request).server(&both[..cut]).server(&both[cut..]).end(Ending::Closed);
        let positions: Vec<_> = talk.finished().iter().map(|exchange| exchange.position).collect();
        assert_eq!(positions, [position(SERVER, 18), position(SERVER, 18 + response.len())], "cut at {cut}");
        assert!(talk.streams.sink().decided.iter().map(|exchange| exchange.position).eq(positions));
    }
    // The request of the response was not seen.
    let mut talk = talk_with_sequence_numbers();
    talk.flow.opened_by = None;
    talk.server("junk").server(response).end(Ending::Closed);
    assert_eq!(talk.finished()[0].position, position(SERVER, 4));
}

#[test]
fn an_error_without_a_status_stands_where_its_request_ends() {
    let head = "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    let chunked = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (request, last) in [
        ("GET /a HTTP/1.1\r\n\r\n".to_owned(), 18),
        (format!("{head}body"), head.len() + 3),
        (chunked.into(), chunked.len() - 1),
    ] {
        for cut in [0, 5, 18, request.len() - 1] {
            let mut talk = talk_with_sequence_numbers();
            talk.client(&request[..cut]).client(&request[cut..]).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
            let exchange = &talk.finished()[0];
            assert_eq!(exchange.outcome, Outcome::NoResponseClosed);
            assert_eq!(exchange.position, position(CLIENT, last), "{request} cut at {cut}");
        }
    }
    // For a message that no server could parse, the position is the end of its first line.
    for cut in [1, 6, 16] {
        let (line, mut talk) = ("GET / HTTP/x.y\r\nmore\r\n", talk_with_sequence_numbers());
        talk.client(&line[..cut]).client(&line[cut..]).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(talk.finished()[0].outcome, Outcome::MalformedRequest);
        assert_eq!(talk.finished()[0].position, position(CLIENT, 15), "cut at {cut}");
    }
}

#[test]
fn a_failed_handshake_stands_where_its_alert_ends_or_else_its_client_hello() {
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    for cut in 1..hello.len() {
        let mut talk = talk_with_sequence_numbers();
        talk.client(&hello[..cut]).client(&hello[cut..]).server(alert).end(Ending::Closed);
        let exchange = &talk.finished()[0];
        assert_eq!((exchange.outcome, exchange.protocol), (Outcome::TlsAlert, Protocol::Tls));
        assert_eq!(exchange.position, position(SERVER, alert.len() - 1), "cut at {cut}");
        // If the server closes without an alert, the position is that of the ClientHello's last byte.
        let mut talk = talk_with_sequence_numbers();
        talk.client(&hello[..cut]).client(&hello[cut..]).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        assert_eq!(talk.finished()[0].position, position(CLIENT, hello.len() - 1), "cut at {cut}");
    }
    // The ClientHello may be missing in the capture, or come after the alert.
    let mut talk = talk_with_sequence_numbers();
    talk.server(alert).end(Ending::Closed);
    assert_eq!(talk.finished()[0].position, position(SERVER, alert.len() - 1));
}

#[test]
fn a_stream_costs_each_flow_little() {
    assert!(size_of::<Stream>() <= 136, "{}", size_of::<Stream>());
}
