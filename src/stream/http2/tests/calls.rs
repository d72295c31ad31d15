//! Tests of gRPC, of pushed responses, and of tunnels.

use super::*;

fn call(stream: u32, path: &str) -> Vec<u8> {
    let head = block(&[(":method", "POST"), (":path", path), ("content-type", "application/grpc"), ("te", "trailers")]);
    let message = frame(kind::DATA, flag::END_STREAM, stream, &[0; 7]);
    [frame(kind::HEADERS, flag::END_HEADERS, stream, &head), message].concat()
}

fn begins(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let all = [&[(":status", "200"), ("content-type", "application/grpc+proto")][..], fields].concat();
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block(&all))
}

fn trailers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, END, stream, &block(fields))
}

fn statuses(talk: &Talk) -> Vec<(u64, Option<u16>)> {
    talk.finished().iter().map(|exchange| (exchange.stream, exchange.grpc_status)).collect()
}

#[test]
fn the_status_of_grpc_is_in_the_trailers_or_in_the_only_block() {
    for (number, (answer, expected)) in [
        (vec![begins(1, &[]), frame(kind::DATA, 0, 1, b"x"), trailers(1, &[("grpc-status", "0")])], Some(0)),
        (vec![begins(1, &[]), trailers(1, &[("grpc-message", "m"), ("grpc-status", "13")])], Some(13)),
        (vec![trailers(1, &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "7")])], Some(7)),
        // What a head without the end says is not final.
        (vec![begins(1, &[("grpc-status", "0")]), trailers(1, &[("grpc-status", "5")])], Some(5)),
        (vec![begins(1, &[("grpc-status", "0")]), trailers(1, &[])], None),
        // Unknown is not 0.
        (vec![begins(1, &[]), trailers(1, &[("grpc-message", "m")])], None),
        (vec![begins(1, &[]), frame(kind::DATA, flag::END_STREAM, 1, b"x")], None),
        (vec![begins(1, &[]), trailers(1, &[("grpc-status", "")])], None),
        (vec![begins(1, &[]), trailers(1, &[("grpc-status", "-1")])], None),
        (vec![begins(1, &[]), trailers(1, &[("grpc-status", "1234")])], None),
        (vec![begins(1, &[]), trailers(1, &[("grpc-status", "0"), ("grpc-status", "5")])], None),
        (vec![begins(1, &[]), frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])], None),
        (vec![begins(1, &[])], None),
        // The content type decides.
        (vec![trailers(1, &[(":status", "200"), ("content-type", "text/html"), ("grpc-status", "7")])], None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut talk = begun();
        talk.client(call(1, "/s/m"));
        answer.iter().for_each(|bytes| _ = talk.server(bytes));
        talk.end(Ending::Closed);
        assert_eq!(rows(&talk), ["1 POST /s/m 200"], "{number}");
        assert_eq!(statuses(&talk), [(1, expected)], "{number}");
        assert_eq!(talk.streams.sink().decided[0].grpc_status, expected, "{number}: it is known when it is decided");
    }
}

#[test]
fn a_status_of_grpc_that_was_lost_is_unknown() {
    // The status is an entry of the table that is forgotten.
    let mut talk = begun();
    talk.client([call(1, "/a"), call(3, "/b")].concat());
    talk.server([begins(1, &[]), frame(kind::HEADERS, END, 1, &field("grpc-status", "5", true))].concat());
    talk.chunk(SERVER, Chunk::Gap(100));
    talk.server([begins(3, &[]), frame(kind::HEADERS, END, 3, &[0xbe])].concat()).end(Ending::Closed);
    assert_eq!(statuses(&talk), [(1, Some(5)), (3, None)]);
    assert_eq!(rows(&talk), ["1 POST /a 200", "3 POST /b 200"]);
}

fn promise(stream: u32, promised: u32, path: &str) -> Vec<u8> {
    frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, &[&promised.to_be_bytes()[..], &request_block(path)].concat())
}

#[test]
fn what_a_server_pushes_was_asked_by_nobody() {
    let mut talk = begun();
    talk.client(get(1, "/")).server([promise(1, 2, "/style"), promise(1, 4, "/never"), answer(1, 200, b"x")].concat());
    talk.server(answer(2, 404, b"")).end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET / 200", "2 GET /style 404"]);
    let pushed = &talk.finished()[1];
    assert!(pushed.remarks.has(Remarks::PUSHED) && pushed.request_start.is_none());
    assert_eq!(talk.streams.counters().http2_pushes, 2);
    // Promises fill no table, and clients cannot promise.
    let mut talk = begun();
    talk.client(get(1, "/"));
    for promised in 1..2_000 {
        talk.server(promise(1, 2 * promised, "/p")).client(promise(1, 2 * promised, "/c"));
    }
    talk.server(answer(1, 404, b"")).end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET / 404"]);
    assert!(talk.streams.counters().http2_streams_dropped > 1_900);
}

fn connects(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block(&[(":method", "CONNECT"), (":authority", "inner:80")]))
}

fn accepts(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block(&[(":status", "200")]))
}

#[test]
fn a_tunnel_is_read_as_a_connection() {
    let mut talk = begun();
    talk.client(connects(1)).server(accepts(1));
    talk.client(frame(kind::DATA, 0, 1, b"GET /in HTTP/1.1\r\nHost: h\r\n\r")).client(frame(kind::DATA, 0, 1, b"\n"));
    talk.client(get(3, "/out")).server(answer(3, 403, b"out"));
    talk.server(frame(kind::DATA, 0, 1, b"HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\nab"));
    // A refused CONNECT is a response like others; a second tunnel is passed over.
    talk.client(connects(5)).server(answer(5, 502, b"x")).client(connects(7)).server(accepts(7));
    talk.client(frame(kind::DATA, 0, 7, b"GET /second HTTP/1.1\r\n\r\n"));
    talk.client(frame(kind::DATA, flag::END_STREAM, 1, b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n"));
    talk.server(frame(kind::DATA, flag::END_STREAM, 1, b"")).end(Ending::Closed);
    let rows: Vec<String> = talk.finished().iter().map(crate::stream::testing::row).collect();
    for row in ["CONNECT inner:80 200", "GET /in 404", "GET /out 403", "CONNECT inner:80 502"] {
        assert!(rows.contains(&row.to_owned()), "{row} in {rows:?}");
    }
    assert!(!rows.iter().any(|row| row.contains("/second")));
    let counters = talk.streams.counters();
    assert_eq!((counters.tunnels, counters.http2_tunnels_unread), (2, 1));
}

#[test]
fn a_tunnel_after_a_loss_gives_no_wrong_pair() {
    let mut talk = begun();
    talk.client(connects(1)).server(accepts(1)).client(frame(kind::DATA, 0, 1, b"GET /a HTTP/1.1\r\n\r\n"));
    talk.chunk(SERVER, Chunk::Gap(300)).server(frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]));
    talk.server(frame(kind::DATA, 0, 1, b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"));
    talk.chunk(SERVER, Chunk::Fin).wait(200).end(Ending::Closed);
    let rows: Vec<String> = talk.finished().iter().map(crate::stream::testing::row).collect();
    assert!(!rows.iter().any(|row| row.contains("/a 404") || row.contains("NoResponse")), "{rows:?}");
}

#[test]
fn what_a_tunnel_holds_is_relieved() {
    let mut talk = Talk::with(StreamSettings { max_in_flight_bytes: 4_000, ..StreamSettings::default() });
    talk.client(preface()).server(settings()).client(connects(1)).server(accepts(1));
    for _ in 0..8 {
        talk.client(frame(kind::DATA, 0, 1, b"GET /a HTTP/1.1\r\n\r\n"));
    }
    talk.relieve();
    assert_eq!(talk.streams.counters().in_flight_dropped, 8);
    talk.end(Ending::Closed);
}
