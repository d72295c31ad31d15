//! Tests of HTTP/2: connections made of frames, whole, cut, with losses, and of random bytes.

mod calls;
mod upgrade;

use super::frames::{FrameHeader, PREFACE, PREFACE_REQUEST, begins_message, block_within, flag, kind, probe};
use crate::{
    exchange::{Exchange, Outcome, Protocol, Remarks},
    stream::{
        Probe, StreamSettings,
        testing::{CLIENT, Numbers, SERVER, Talk},
    },
    tcp::{Chunk, Direction, Ending},
};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal field; it enters the table if `enters` is true.
fn field(name: &str, value: &str, enters: bool) -> Vec<u8> {
    assert!(name.len() < 127 && value.len() < 127);
    let first = if enters { 0x40 } else { 0 };
    [&[first, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value, false)).collect()
}

fn request_block(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":authority", "h.example"), (":path", path)])
}

fn preface() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()
}

fn settings() -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
}

const END: u8 = flag::END_STREAM | flag::END_HEADERS;

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END, stream, &request_block(path))
}

fn answer(stream: u32, status: u16, body: &[u8]) -> Vec<u8> {
    let head = block(&[(":status", &status.to_string()), ("server", "s"), ("content-type", "text/plain")]);
    match body {
        [] => frame(kind::HEADERS, END, stream, &head),
        body => {
            [frame(kind::HEADERS, flag::END_HEADERS, stream, &head), frame(kind::DATA, flag::END_STREAM, stream, body)]
                .concat()
        }
    }
}

/// `stream method target status` or `… outcome`.
fn rows(talk: &Talk) -> Vec<String> {
    let row = |exchange: &Exchange| {
        assert_eq!(exchange.protocol, Protocol::Http2);
        format!("{} {}", exchange.stream, crate::stream::testing::row(exchange))
    };
    talk.finished().iter().map(row).collect()
}

/// A connection that has begun.
fn begun() -> Talk {
    let mut talk = Talk::new();
    talk.client(preface()).server(settings());
    talk
}

#[test]
fn frame_headers_and_what_is_around_blocks() {
    let header = FrameHeader::read(&frame(kind::HEADERS, END | flag::PADDED, 5, &[1, 7, 0])).unwrap();
    assert_eq!((header.length, header.stream), (3, 5));
    for (flags, payload, within) in [
        (0, &[1, 2, 3][..], Some(&[1, 2, 3][..])),
        (flag::PADDED, &[1, 2, 3], Some(&[2])),
        (flag::PADDED, &[2, 2, 3], Some(&[])),
        (flag::PADDED, &[3, 2, 3], None),
        (flag::PADDED, &[], None),
        (flag::PRIORITY, &[0, 0, 0, 0, 9, 7], Some(&[7])),
        (flag::PRIORITY, &[0, 0, 0, 0], None),
        (flag::PADDED | flag::PRIORITY, &[1, 0, 0, 0, 0, 9, 7, 0], Some(&[7])),
    ] {
        assert_eq!(block_within(FrameHeader { flags, ..header }, payload), within, "{flags} {payload:?}");
    }
    for (kind, flags, stream, length, is_valid) in [
        (kind::DATA, 0, 0, 1, false),
        (kind::DATA, 0, 1, 16_385, false),
        (kind::SETTINGS, 0, 0, 12, true),
        (kind::SETTINGS, 0, 1, 12, false),
        (kind::SETTINGS, 0, 0, 13, false),
        (kind::SETTINGS, flag::ACK, 0, 6, false),
        (kind::PING, 0, 0, 8, true),
        (kind::PING, 0, 0, 7, false),
        (kind::RST_STREAM, 0, 1, 4, true),
        (kind::RST_STREAM, 0, 0, 4, false),
        (kind::WINDOW_UPDATE, 0, 0, 4, true),
        (kind::GOAWAY, 0, 0, 7, false),
        (99, 255, 7, 300, true),
    ] {
        let header = FrameHeader { length, kind, flags, stream };
        assert_eq!(header.is_valid(16_384), is_valid, "{header:?}");
    }
}

#[test]
fn only_http2_is_recognised() {
    for length in 1..PREFACE_REQUEST.len() {
        assert_eq!(probe(&PREFACE_REQUEST[..length]), Probe::Undecided);
    }
    let settings = settings();
    for length in 1..9 {
        assert_eq!(probe(&settings[..length]), Probe::Undecided, "{length}");
    }
    for certain in [PREFACE_REQUEST, &settings, &get(3, "/a"), &answer(3, 404, b"x")] {
        assert_eq!(probe(certain), Probe::Certain);
    }
    for other in [
        &b"POST / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x05\x01",
        b"\x00\x00\x00\x08\x01\x02\x03\x04",
        b"\x00\x00\x01\x2c\x00\x00\x00\x00",
        b"\x00\x00\x01\x2c\x00\x00\x00\x00\x00\x00\x00",
        &frame(kind::HEADERS, END, 3, b"no block of any encoder"),
        &frame(kind::DATA, 0, 3, &[0; 40]),
    ] {
        assert_eq!(probe(other), Probe::Other, "{}", other.escape_ascii());
    }
    assert!(!begins_message(&frame(kind::HEADERS, END, 3, &block(&[("grpc-status", "0")]))));
}

#[test]
fn exchanges_of_a_connection() {
    let mut talk = begun();
    talk.client(get(1, "/a")).server(answer(1, 404, b"none"));
    talk.client([get(3, "/b"), get(5, "/c")].concat());
    let interim = frame(kind::HEADERS, flag::END_HEADERS, 5, &block(&[(":status", "103")]));
    talk.server([interim, answer(5, 503, b""), answer(3, 200, b"")].concat());
    let trailers = frame(kind::HEADERS, END, 7, &block(&[("grpc-status", "5")]));
    let head = frame(kind::HEADERS, flag::END_HEADERS, 7, &block(&[(":status", "200")]));
    talk.client(get(7, "/d")).server([head, frame(kind::DATA, 0, 7, b"abc"), trailers].concat());
    talk.end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET /a 404", "5 GET /c 503", "3 GET /b 200", "7 GET /d 200"]);
    let first = &talk.finished()[0];
    let text = |span| std::str::from_utf8(first.field(span)).unwrap();
    assert_eq!((text(first.host), text(first.server), text(first.body_start)), ("h.example", "s", "none"));
    assert_eq!((first.version.major, first.response_body_bytes, first.remarks), (2, 4, Remarks::default()));
    assert_eq!(first.position, u64::from(talk.flow.sequence(SERVER, settings().len() as u64)));
    assert!(first.request_end.is_some() && first.response_end.is_some());
    assert_eq!(talk.streams.counters().http2_unread, 0);
}

#[test]
fn fields_fill_an_exchange_as_those_of_http1_do() {
    let mut talk = begun();
    let fields = [
        (":method", "POST"),
        (":path", "/login?x"),
        (":authority", "h"),
        ("user-agent", "u/1"),
        ("referer", "r"),
        ("cookie", "a=b"),
        ("accept-language", "en"),
        ("x-forwarded-for", "192.0.2.7"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", "Basic Ym9iOnNlY3JldA=="),
    ];
    talk.client(frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields)));
    talk.client(frame(kind::DATA, flag::END_STREAM, 1, b"a=b"));
    let fields = [(":status", "302"), ("location", "/in"), ("set-cookie", "sessionid=1"), ("content-length", "9")];
    talk.server(frame(kind::HEADERS, END, 1, &block(&fields))).end(Ending::Closed);
    let mut plain = Talk::new();
    plain.client(
        "POST /login?x HTTP/1.1\r\nHost: h\r\nUser-Agent: u/1\r\nReferer: r\r\nCookie: a=b\r\nAccept-Language: en\r\n\
         X-Forwarded-For: 192.0.2.7\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\
         Authorization: Basic Ym9iOnNlY3JldA==\r\n\r\na=b",
    );
    plain.server("HTTP/1.1 302 x\r\nLocation: /in\r\nSet-Cookie: sessionid=1\r\nContent-Length: 9\r\n\r\nnine bytes");
    plain.end(Ending::Closed);
    let [one, other] = [&talk, &plain].map(|talk| {
        let exchange = &talk.finished()[0];
        let text = |span| String::from_utf8(exchange.field(span).to_ascii_lowercase()).unwrap();
        let spans = [
            exchange.method,
            exchange.target,
            exchange.host,
            exchange.user_agent,
            exchange.referrer,
            exchange.user,
            exchange.location,
            exchange.forwarded,
        ];
        (spans.map(text), exchange.features, exchange.credentials, exchange.announced_bytes, exchange.status)
    });
    assert_eq!(one, other);
}

#[test]
fn padding_priority_and_continuation() {
    let whole = request_block("/long");
    let mut payload = vec![2];
    payload.extend([0, 0, 0, 0, 9]);
    payload.extend(&whole[..7]);
    payload.extend([0, 0]);
    let flags = flag::END_STREAM | flag::PADDED | flag::PRIORITY;
    let mut bytes = frame(kind::HEADERS, flags, 1, &payload);
    bytes.extend(frame(kind::CONTINUATION, 0, 1, &whole[7..20]));
    bytes.extend(frame(kind::CONTINUATION, flag::END_HEADERS, 1, &whole[20..]));
    let mut talk = begun();
    talk.client(bytes).server(answer(1, 500, b"")).end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET /long 500"]);
}

#[test]
fn what_ends_without_a_response() {
    let reset = |stream, code: u32| frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    let mut talk = begun();
    talk.client([get(1, "/cancel"), get(3, "/refuse"), get(5, "/reset"), get(7, "/close"), get(9, "/late")].concat());
    talk.client(reset(1, 8)).server([reset(3, 7), reset(5, 2)].concat());
    talk.server(frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 0])).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(
        rows(&talk),
        [
            "3 GET /refuse Unknown",
            "5 GET /reset NoResponseReset",
            "7 GET /close NoResponseClosed",
            "1 GET /cancel Unknown",
            "9 GET /late Unknown"
        ]
    );
    let counters = talk.streams.counters();
    assert_eq!((counters.http2_cancelled, counters.http2_refused, counters.no_response), (1, 1, 2));
    // A response that was under way when the client cancelled its stream still counts.
    let mut talk = begun();
    talk.client([get(1, "/a"), reset(1, 8)].concat()).server(answer(1, 500, b"")).end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET /a 500"]);
    assert!(talk.finished()[0].remarks.has(Remarks::RESET));
    let mut talk = begun();
    talk.client(get(1, "/a")).chunk(SERVER, Chunk::Reset).end(Ending::Reset);
    assert_eq!(rows(&talk), ["1 GET /a NoResponseReset"]);
    let mut talk = begun();
    talk.client(get(1, "/a")).wait(100).end(Ending::CaptureEnd);
    assert_eq!(rows(&talk), ["1 GET /a NoResponseTimeout"]);
}

#[test]
fn the_frame_that_ended_a_stream_is_known() {
    let reset = |stream, code: u32| frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    let goaway = |last: u32, code: u32| frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
    let opens = |stream| frame(kind::HEADERS, flag::END_HEADERS, stream, &request_block("/open"));
    let told = |talk: &Talk| {
        let of = |exchange: &Exchange| {
            let end = exchange.stream_end.map_or_else(String::new, |end| {
                format!("{:?} {} {}", end.frame, if end.by_server { "server" } else { "client" }, end.code_name())
            });
            let remarks = [(Remarks::REFUSED, " refused"), (Remarks::CANCELLED, " cancelled")];
            let remarks = remarks.into_iter().filter(|(remark, _)| exchange.remarks.has(*remark));
            format!("{} {end}{}", exchange.stream, remarks.map(|(_, name)| name).collect::<String>())
        };
        let mut told: Vec<String> = talk.finished().iter().map(of).collect();
        told.sort();
        told
    };
    // Resets: before the response, within it, after it, and of nothing that is known.
    let mut talk = begun();
    talk.client([get(1, "/cancel"), get(3, "/refuse"), get(5, "/fail"), get(7, "/early"), opens(9)].concat());
    talk.client([reset(1, 8), reset(1, 1)].concat()).server([reset(3, 7), reset(5, 2), reset(99, 2)].concat());
    talk.server(begins(7)).client(reset(7, 8)).server([answer(9, 403, b""), reset(9, 0)].concat());
    talk.client(get(11, "/whole")).server(answer(11, 200, b"")).end(Ending::Closed);
    let expected = [
        "1 Reset client CANCEL cancelled",
        "11 ",
        "3 Reset server REFUSED_STREAM refused",
        "5 Reset server INTERNAL_ERROR",
        "7 Reset client CANCEL",
        "9 Reset server NO_ERROR",
    ];
    assert_eq!(told(&talk), expected);
    assert!(!talk.finished().iter().any(|exchange| exchange.stream == 7 && exchange.outcome != Outcome::Answered));
    // A graceful end refuses what comes after the last stream, and ends nothing else.
    let mut talk = begun();
    talk.client([get(1, "/a"), get(3, "/b")].concat()).server([goaway(u32::MAX >> 1, 0), goaway(1, 0)].concat());
    talk.client(get(5, "/c")).server(answer(1, 200, b"")).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert_eq!(told(&talk), ["1 ", "3 GoAway server NO_ERROR refused", "5 GoAway server NO_ERROR refused"]);
    // An error of the connection ends all streams that are not whole: the server's, or the client's.
    let mut talk = begun();
    talk.client([get(1, "/a"), get(3, "/b"), get(5, "/c"), get(7, "/d")].concat());
    talk.server([answer(1, 200, b""), begins(3), goaway(5, 11), goaway(5, 0)].concat());
    talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    let expected = [
        "1 ",
        "3 GoAway server ENHANCE_YOUR_CALM",
        "5 GoAway server ENHANCE_YOUR_CALM",
        "7 GoAway server ENHANCE_YOUR_CALM refused",
    ];
    assert_eq!(told(&talk), expected);
    let outcomes: Vec<_> = talk.finished().iter().map(|exchange| (exchange.stream, exchange.outcome)).collect();
    assert!(outcomes.contains(&(5, Outcome::NoResponseClosed)) && outcomes.contains(&(7, Outcome::Unknown)));
    let mut talk = begun();
    talk.client([get(1, "/a"), goaway(0, 9)].concat()).chunk(CLIENT, Chunk::Fin).end(Ending::Closed);
    assert_eq!(told(&talk), ["1 GoAway client COMPRESSION_ERROR"]);
    let mut talk = begun();
    talk.client([get(1, "/a"), goaway(0, 0)].concat()).chunk(CLIENT, Chunk::Fin).end(Ending::Closed);
    assert_eq!(told(&talk), ["1 "]);
}

/// The head of a response that goes on.
fn begins(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block(&[(":status", "200")]))
}

#[test]
fn a_server_that_knows_no_http2_goes_on_in_http1() {
    for cut in 1..preface().len() {
        let (mut talk, preface) = (Talk::new(), preface());
        talk.client(&preface[..cut]).client(&preface[cut..]);
        talk.server("HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n");
        talk.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n").server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
        talk.end(Ending::Closed);
        let answered = talk.finished().iter().filter(|exchange| exchange.outcome == Outcome::Answered);
        let rows: Vec<String> = answered.map(crate::stream::testing::row).collect();
        assert_eq!(rows[0], "PRI * 400", "cut at {cut}");
        // A request may be hidden in the bytes that were read as HTTP/2, so the next pair is not certain.
        assert!(["GET /a 404", "  404"].contains(&rows[1].as_str()) && rows.len() == 2, "cut at {cut}: {rows:?}");
    }
}

#[test]
fn a_connection_is_joined_midway_at_a_message() {
    let mut talk = Talk::new();
    talk.flow.opened_by = None;
    let reference = frame(kind::HEADERS, END, 7, &[0xbf, 0x84]);
    talk.client(b"\x05rest of something").server(b"rest");
    talk.client(get(5, "/a")).server(answer(5, 404, b"x"));
    // The status is that of an entry which was not seen.
    talk.client(get(7, "/b")).server(reference).client(get(9, "/c")).server(answer(9, 403, b""));
    talk.end(Ending::CaptureEnd);
    assert_eq!(rows(&talk), ["5 GET /a 404", "7 GET /b Unknown", "9 GET /c 403"]);
    assert_eq!(talk.streams.counters().http2_statuses_unknown, 1);
}

/// A connection: each side's frames in turns, with fields that enter the table and are used again.
fn conversation(seed: u64) -> Vec<(Direction, Vec<u8>)> {
    let mut numbers = Numbers::new(seed);
    let mut turns = vec![(CLIENT, preface()), (SERVER, settings())];
    for number in 0..6u32 {
        let stream = 2 * number + 1;
        let mut head = block(&[(":method", "GET"), (":path", &format!("/{number}"))]);
        head.extend(if number == 0 { field("user-agent", "agent", true) } else { vec![0xbe] });
        let flags = if numbers.below(2) == 0 { END } else { flag::END_HEADERS };
        let mut asked = frame(kind::HEADERS, flags, stream, &head);
        if flags != END {
            asked.extend(frame(kind::DATA, flag::END_STREAM, stream, &vec![b'q'; numbers.below(40)]));
        }
        turns.push((CLIENT, asked));
        let status = 400 + number;
        let mut answered = field(":status", &status.to_string(), true);
        answered.extend(block(&[("server", "s")]));
        let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, stream, &answered);
        bytes.extend(frame(kind::DATA, 0, stream, &vec![b'b'; numbers.below(80)]));
        bytes.extend(frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]));
        bytes.extend(frame(kind::DATA, flag::END_STREAM, stream, &vec![b'b'; numbers.below(9)]));
        turns.push((SERVER, bytes));
    }
    turns
}

#[test]
fn any_cut_gives_the_same() {
    for seed in 0..200 {
        let turns = conversation(seed);
        let told = |cuts: u64| {
            let (mut talk, mut numbers) = (Talk::new(), Numbers::new(cuts));
            for (direction, bytes) in &turns {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let length = if cuts == 0 { rest.len() } else { 1 + numbers.below(rest.len().min(30)) };
                    talk.chunk(*direction, Chunk::Data(&rest[..length]));
                    rest = &rest[length..];
                }
            }
            talk.end(Ending::Closed);
            let facts = |exchange: &Exchange| {
                let bytes = (exchange.request_body_bytes, exchange.response_body_bytes);
                (crate::stream::testing::row(exchange), exchange.position, bytes, exchange.remarks)
            };
            talk.finished().iter().map(facts).collect::<Vec<_>>()
        };
        let whole = told(0);
        assert_eq!(whole.len(), 6);
        assert_eq!(told(seed + 1), whole, "seed {seed}");
    }
}

#[test]
fn lost_segments_give_no_other_value() {
    let whole = |stream: u64| format!("{stream} GET /{} {}", stream / 2, 400 + stream / 2);
    let (mut seen, mut all) = (0, 0);
    for seed in 0..20_000 {
        let turns = conversation(seed % 50);
        let (mut talk, mut numbers) = (Talk::new(), Numbers::new(seed));
        let lost: Vec<usize> = (0..=seed % 3).map(|_| numbers.below(40)).collect();
        let mut segment = 0;
        for (direction, bytes) in &turns {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + numbers.below(rest.len().min(60)));
                match lost.contains(&segment) {
                    true => talk.chunk(*direction, Chunk::Gap(piece.len() as u64)),
                    false => talk.chunk(*direction, Chunk::Data(piece)),
                };
                (rest, segment) = (after, segment + 1);
            }
        }
        talk.chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        for exchange in talk.finished().iter().filter(|exchange| exchange.protocol == Protocol::Http2) {
            all += 1;
            let text = |span| String::from_utf8(exchange.field(span).to_vec()).unwrap();
            let number = exchange.stream / 2;
            assert!([format!("/{number}"), String::new()].contains(&text(exchange.target)), "seed {seed}");
            assert!(["agent", ""].contains(&text(exchange.user_agent).as_str()), "seed {seed}");
            match exchange.outcome {
                Outcome::Answered => {
                    seen += 1;
                    assert_eq!(u64::from(exchange.status), 400 + number, "seed {seed}, not {}", whole(exchange.stream));
                }
                outcome => assert_eq!(outcome, Outcome::Unknown, "seed {seed}"),
            }
        }
    }
    assert!(seen * 10 > all * 7, "{seen} of {all}");
}

#[test]
fn a_hole_in_data_costs_nothing() {
    let mut talk = begun();
    talk.client(get(1, "/a"));
    let bytes = [answer(1, 200, &[b'x'; 500]), answer(3, 404, b"")].concat();
    let at = bytes.len() - answer(3, 404, b"").len() - 400;
    talk.client(get(3, "/b")).server(&bytes[..at]).chunk(SERVER, Chunk::Gap(390)).server(&bytes[at + 390..]);
    talk.end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET /a 200", "3 GET /b 404"]);
    let first = &talk.finished()[0];
    assert!(first.remarks.has(Remarks::BODY_GAP) && first.response_body_bytes == 500);
}

#[test]
fn floods_stay_within_their_limits() {
    // Requests without an end.
    let mut talk = begun();
    for stream in 0..5_000 {
        talk.client(get(2 * stream + 1, "/a"));
    }
    let counters = talk.streams.counters();
    assert_eq!((counters.http2_streams_dropped, talk.finished().len()), (5_000 - 1_024, 5_000 - 1_024));
    talk.end(Ending::CaptureEnd);
    // Rapid reset: each frees its place.
    let mut talk = begun();
    for stream in 0..5_000 {
        talk.client([get(2 * stream + 1, "/a"), frame(kind::RST_STREAM, 0, 2 * stream + 1, &[0, 0, 0, 8])].concat());
    }
    assert_eq!(talk.streams.counters().http2_streams_dropped, 0);
    talk.end(Ending::CaptureEnd);
    // A block without an end, of many frames or of many bytes.
    for size in [0, 1, 16_000] {
        let mut talk = begun();
        talk.client(frame(kind::HEADERS, 0, 1, &request_block("/a")));
        for _ in 0..200 {
            talk.client(frame(kind::CONTINUATION, 0, 1, &vec![0; size]));
        }
        assert!(talk.streams.held_bytes() < 70_000);
        assert_eq!(talk.streams.counters().heads_over_limit, 1);
        talk.client(get(3, "/b")).server(answer(3, 404, b"")).end(Ending::Closed);
        assert_eq!(rows(&talk), ["3 GET /b 404"]);
    }
    // Fields of one byte each that name a long entry.
    let mut talk = begun();
    let mut bomb = [request_block("/a"), field("long", &"v".repeat(120), true)].concat();
    bomb.extend([0xbe; 16_000]);
    talk.client(frame(kind::HEADERS, END, 1, &bomb)).server(answer(1, 404, b"")).end(Ending::Closed);
    assert_eq!((rows(&talk), talk.streams.counters().heads_over_limit), (vec!["1 GET /a 404".to_owned()], 1));
}

#[test]
fn too_many_exchanges_in_flight_are_relieved() {
    let mut talk = Talk::with(StreamSettings { max_in_flight_bytes: 1_000, ..StreamSettings::default() });
    talk.client(preface()).server(settings()).client([get(1, "/a"), get(3, "/b")].concat());
    talk.relieve();
    talk.client(get(5, "/c")).server([answer(1, 404, b""), answer(5, 405, b"")].concat()).end(Ending::Closed);
    assert_eq!(rows(&talk), ["1 GET /a Unknown", "3 GET /b Unknown", "1   404", "5 GET /c 405"]);
    assert!(talk.finished()[2].remarks.has(Remarks::REQUEST_UNSEEN));
}

#[test]
fn a_response_that_overtakes_its_request_waits_for_it() {
    let asked = get(1, "/a");
    let mut talk = begun();
    let until = talk.sent[CLIENT as usize] + asked.len() as u64;
    talk.acking(until).server(answer(1, 404, b"x"));
    talk.client(&asked).end(Ending::Closed);
    assert_eq!((rows(&talk), talk.finished()[0].remarks), (vec!["1 GET /a 404".to_owned()], Remarks::default()));
    let mut talk = begun();
    talk.acking(until).server(answer(1, 404, b"x")).wait(5);
    assert_eq!(rows(&talk), ["1   404"]);
    talk.end(Ending::CaptureEnd);
}

#[test]
fn nothing_panics_or_stays() {
    for seed in 0..3_000 {
        let mut numbers = Numbers::new(seed);
        let mut talk = if seed % 3 == 0 { Talk::new() } else { begun() };
        if seed % 2 == 0 {
            talk.flow.opened_by = None;
        }
        for (direction, mut bytes) in conversation(seed % 20).into_iter().skip(2) {
            for _ in 0..numbers.below(4) {
                let at = numbers.below(bytes.len());
                bytes[at] = numbers.below(256) as u8;
            }
            match numbers.below(12) {
                0 => _ = talk.chunk(direction, Chunk::Gap(1 + numbers.below(90) as u64)),
                1 => _ = talk.chunk(direction, Chunk::Skipped(1 + numbers.below(90) as u64)),
                2 => _ = talk.chunk(direction, Chunk::Fin),
                3 => _ = talk.server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"),
                _ => {}
            }
            let cut = numbers.below(bytes.len());
            talk.chunk(direction, Chunk::Data(&bytes[..cut])).chunk(direction, Chunk::Data(&bytes[cut..]));
        }
        talk.end(Ending::CaptureEnd);
    }
}
