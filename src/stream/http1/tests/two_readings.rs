//! Generated conversations whose bytes can be read in two ways, with a model of the server that decides how they are read.
//! The statuses must be the server's, in number and order, and no request may be given to a response that it did not get.

use super::super::framing::{Chunked, Progress};
use crate::{
    exchange::Outcome,
    stream::testing::{CLIENT, SERVER, Talk},
    tcp::{Chunk, Direction, Ending},
};

/// A small generator of numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }
}

/// What a server does with the body of a request that it refused.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Server {
    /// Reads the body and drops it, as nginx and Apache do.
    ReadsOn,
    /// Takes the bytes after the header block for the next request.
    TakesForRequests,
    /// Closes the connection.
    Closes,
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    row: String,
    status: u16,
}

/// A server's side of a connection, as far as it has read.
struct Model {
    kind: Server,
    /// Whether the server answers a request with a body before it reads the body.
    answers_early: bool,
    read: usize,
    /// Bytes of a refused body that are still to be dropped.
    dropping: usize,
    is_closed: bool,
    answers: Vec<Answer>,
}

const BODY: &str = "<p>This page is not here.</p>\n";

impl Model {
    fn new(kind: Server, answers_early: bool) -> Self {
        Self { kind, answers_early, read: 0, dropping: 0, is_closed: false, answers: Vec::new() }
    }

    /// Reads what the client has sent so far, and returns what the server sends.
    fn serve(&mut self, sent: &[u8]) -> String {
        let mut said = String::new();
        while !self.is_closed {
            let dropped = self.dropping.min(sent.len() - self.read);
            self.dropping -= dropped;
            self.read += dropped;
            self.read += sent[self.read..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let rest = &sent[self.read..];
            let Some(end) = rest.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4) else { break };
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
            let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
            if !is_method || !target.starts_with(['/', 'd']) || !head.contains(" HTTP/1.1\r\n") {
                self.is_closed = true;
                self.answers.push(Answer { row: String::new(), status: 400 });
                return said + "HTTP/1.1 400 Bad\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            }
            let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            let is_early = length != 0 && self.answers_early;
            if !is_early && rest.len() < end + length {
                break;
            }
            self.read += end + if is_early { 0 } else { length };
            let status = if is_early { 413 } else { 404 + self.answers.len() as u16 % 90 };
            if is_early && self.kind == Server::ReadsOn {
                self.dropping = length;
            }
            self.is_closed = is_early && self.kind == Server::Closes;
            self.answers.push(Answer { row: format!("{method} {target} {status}"), status });
            let field = if self.is_closed { "Connection: close\r\n" } else { "" };
            let body = if method == "HEAD" { "" } else { BODY };
            said += &format!("HTTP/1.1 {status} x\r\n{field}Content-Length: {}\r\n\r\n{body}", BODY.len());
        }
        said
    }
}

/// Sends the client's flights to the model, and everything on the wire to the sensor, in pieces of these lengths.
fn converse(flights: &[Vec<u8>], mut model: Model, cuts: &[usize]) -> (Talk, Vec<Answer>) {
    let mut talk = Talk::new();
    let mut sent = Vec::new();
    let mut cuts = cuts.iter().copied().cycle();
    let mut send = |talk: &mut Talk, direction: Direction, bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts.next().unwrap().clamp(1, rest.len()));
            talk.chunk(direction, Chunk::Data(piece));
            rest = after;
        }
    };
    for flight in flights {
        if model.is_closed {
            break;
        }
        sent.extend_from_slice(flight);
        send(&mut talk, CLIENT, flight);
        let said = model.serve(&sent);
        send(&mut talk, SERVER, said.as_bytes());
    }
    talk.end(Ending::CaptureEnd);
    (talk, model.answers)
}

/// Returns the answered exchanges in the order of their responses, and checks them against the server's answers.
fn check(talk: &Talk, answers: &[Answer], about: &str) -> Vec<String> {
    let decided: Vec<_> =
        talk.streams.sink().decided.iter().filter(|exchange| exchange.outcome == Outcome::Answered).collect();
    let rows: Vec<String> = decided.iter().map(|exchange| crate::stream::testing::row(exchange)).collect();
    let statuses: Vec<u16> = decided.iter().map(|exchange| exchange.status).collect();
    let expected: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, expected, "{about}: {rows:?} {answers:?}");
    for (exchange, answer) in decided.iter().zip(answers) {
        let row = crate::stream::testing::row(exchange);
        assert!(exchange.method.is_empty() || row == answer.row, "{about}: {row:?} is {answer:?}");
    }
    rows
}

fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} /{target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Promised {
    /// The length is that of the decoys, which are sent.
    Decoys,
    /// The length is more than the client sends on the connection.
    TooLong,
    /// The length ends somewhere in the requests that follow.
    Anything(usize),
}

/// A request with a doubtful body, and the requests after it, as flights that are each sent after the answers to the last.
fn doubtful(dice: &mut Dice, promised: Promised) -> Vec<Vec<u8>> {
    let mut flights: Vec<Vec<u8>> = (0..dice.roll(3)).map(|n| request("GET", &format!("before{n}"), "")).collect();
    let decoys: Vec<u8> =
        (0..1 + dice.roll(2)).flat_map(|n| request(dice.one_of(&["GET", "POST"]), &format!("decoy{n}"), "")).collect();
    let length = match promised {
        Promised::Decoys => decoys.len(),
        Promised::TooLong => 1 << 20,
        Promised::Anything(length) => length,
    };
    let (method, field) = dice.one_of(&[
        ("POST", "Expect: 100-continue\r\n"),
        ("PUT", ""),
        ("CONNECT", ""),
        ("CONNECT", "Expect: 100-continue\r\n"),
        ("GET", ""),
    ]);
    flights.push(request(method, "doubtful", &format!("{field}Content-Length: {length}\r\n")));
    if promised == Promised::Decoys {
        flights.push(decoys);
    }
    let requests: Vec<Vec<u8>> =
        (0..20).map(|n| request(dice.one_of(&["HEAD", "HEAD", "GET"]), &n.to_string(), "")).collect();
    let together = dice.one_of(&[1, 1, 3]);
    flights.extend(requests.chunks(together).map(<[_]>::concat));
    if dice.roll(3) == 0 {
        // The body is in one flight with the request after it.
        let at = flights.len() - requests.len().div_ceil(together);
        let next = flights.remove(at);
        flights[at - 1].extend(next);
    }
    flights
}

#[test]
fn bodies_that_a_server_reads_or_takes_for_requests() {
    for seed in 0..600 {
        let dice = &mut Dice(seed);
        let promised = match dice.roll(3) {
            0 => Promised::Decoys,
            1 => Promised::TooLong,
            _ => Promised::Anything(1 + dice.roll(400)),
        };
        let kind = dice.one_of(&[Server::ReadsOn, Server::TakesForRequests, Server::Closes]);
        let flights = doubtful(dice, promised);
        let about = format!("seed {seed}, {promised:?}, {kind:?}");
        let (talk, answers) = converse(&flights, Model::new(kind, true), &[1448]);
        let rows = check(&talk, &answers, &about);
        for cut in [1, 7, 1 + dice.roll(60)] {
            let (talk, answers) = converse(&flights, Model::new(kind, true), &[cut, 1 + dice.roll(90)]);
            let cut_rows = check(&talk, &answers, &format!("{about}, cut {cut}"));
            // Where the bytes after the body are no request, the next request is looked for at the start of a segment.
            if !matches!(promised, Promised::Anything(_)) {
                assert_eq!(cut_rows, rows, "{about}, cut {cut}");
            }
        }
    }
}

#[test]
fn the_next_request_in_place_of_a_refused_body_is_paired() {
    for seed in 0..100 {
        let dice = &mut Dice(seed);
        let mut flights = vec![request("POST", "a", "Expect: 100-continue\r\nContent-Length: 100000\r\n")];
        flights.extend((0..20).map(|n| request(dice.one_of(&["HEAD", "GET"]), &n.to_string(), "")));
        let (talk, answers) = converse(&flights, Model::new(Server::TakesForRequests, true), &[1 + dice.roll(100)]);
        let expected: Vec<String> = answers.iter().map(|answer| answer.row.clone()).collect();
        assert_eq!(check(&talk, &answers, "refused"), expected, "no other reading is possible");
    }
}

#[test]
fn a_body_that_holds_requests_stays_a_body_if_the_server_reads_it_first() {
    for seed in 0..200 {
        let dice = &mut Dice(seed);
        let flights = doubtful(dice, Promised::Decoys);
        let (talk, answers) = converse(&flights, Model::new(Server::ReadsOn, false), &[1 + dice.roll(200)]);
        let rows = check(&talk, &answers, &format!("seed {seed}"));
        let text = flights.concat();
        if !text.windows(7).any(|word| word == b"Expect:" || word == b"CONNECT") {
            assert_eq!(rows, answers.iter().map(|answer| answer.row.clone()).collect::<Vec<_>>(), "all are certain");
        }
    }
}

#[test]
fn lengths_that_servers_read_differently() {
    for seed in 0..200 {
        let dice = &mut Dice(seed);
        let smuggled = request("GET", "smuggled", "");
        let chunked = [format!("{:x}\r\n", smuggled.len()).into_bytes(), smuggled, b"\r\n0\r\n\r\n".to_vec()].concat();
        let first_line = 4;
        let length = dice.one_of(&[first_line, chunked.len(), chunked.len() + 40]);
        let head = request("POST", "a", &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"));
        let mut flights = vec![[head, chunked].concat()];
        flights.extend((0..10).map(|n| request(dice.one_of(&["HEAD", "GET"]), &n.to_string(), "")));
        // The model goes by the length.
        let (talk, answers) = converse(&flights, Model::new(Server::ReadsOn, false), &[1 + dice.roll(100)]);
        check(&talk, &answers, &format!("seed {seed}, length {length}"));
    }
}

#[test]
fn a_last_chunk_without_its_empty_line() {
    for seed in 0..300 {
        let dice = &mut Dice(seed);
        let is_tolerant = dice.roll(2) == 0;
        let is_answered_first = is_tolerant && dice.roll(2) == 0;
        let requests: Vec<Vec<u8>> =
            (0..6).map(|n| request(dice.one_of(&["HEAD", "GET"]), &n.to_string(), "")).collect();
        let post = [request("POST", "a", "Transfer-Encoding: chunked\r\n"), b"5\r\nhello\r\n0\r\n".to_vec()].concat();
        let answer = |n: usize, is_head: bool| {
            format!("HTTP/1.1 {} x\r\nContent-Length: 2\r\n\r\n{}", 404 + n, if is_head { "" } else { "no" })
        };
        let cut = dice.one_of(&[1, 5, 1448]);
        let mut talk = Talk::new();
        let send = |talk: &mut Talk, direction, bytes: &[u8]| {
            bytes.chunks(cut).for_each(|piece| _ = talk.chunk(direction, Chunk::Data(piece)));
        };
        let mut answers = vec![Answer { row: "POST /a 500".into(), status: 500 }];
        let first = "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n";
        send(&mut talk, CLIENT, &post);
        if is_answered_first {
            send(&mut talk, SERVER, first.as_bytes());
        }
        for (n, bytes) in requests.iter().enumerate() {
            send(&mut talk, CLIENT, bytes);
            if n == 0 && !is_answered_first {
                send(&mut talk, SERVER, first.as_bytes());
            }
            // A strict server takes the first request for a trailer.
            if n == 0 && !is_tolerant {
                continue;
            }
            let method = if bytes[0] == b'H' { "HEAD" } else { "GET" };
            send(&mut talk, SERVER, answer(n, method == "HEAD").as_bytes());
            let status = 404 + n as u16;
            answers.push(Answer { row: format!("{method} /{n} {status}"), status });
        }
        talk.end(Ending::CaptureEnd);
        let rows = check(&talk, &answers, &format!("seed {seed}, {is_tolerant}, cut {cut}"));
        if is_answered_first {
            assert_eq!(rows, answers.into_iter().map(|answer| answer.row).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_servers_last_chunk_without_its_empty_line() {
    for cut in 1..80 {
        let stream = "HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\
                      HTTP/1.1 405 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: HTTP/1.1 500\r\n\r\n\
                      HTTP/1.1 406 x\r\nContent-Length: 0\r\n\r\n";
        let mut talk = Talk::new();
        ["a", "b", "c"].iter().for_each(|target| _ = talk.client(request("GET", target, "")));
        stream.as_bytes().chunks(cut).for_each(|piece| _ = talk.server(piece));
        talk.end(Ending::CaptureEnd);
        assert_eq!(talk.rows(), ["GET /a 404", "GET /b 405", "GET /c 406"], "cut {cut}");
    }
}

#[test]
fn chunks_are_read_alike_however_they_are_cut() {
    let stream = b"3\r\nabc\r\n0\r\nHTTP/1.1 404";
    for cut in 1..stream.len() {
        let (mut chunked, mut body, mut at) = (Chunked::START, 0, 0);
        let found = stream.chunks(cut).find_map(|piece| match chunked.take(piece, &mut body) {
            Progress::Trailer(taken) => Some(at + taken),
            _ => {
                at += piece.len();
                None
            }
        });
        assert_eq!((found, body), (Some(11), 3), "cut {cut}");
    }
}

#[test]
fn surplus_bytes_hide_no_status() {
    let surplus = [
        "EXTRA",
        "H",
        "HTTP",
        "HTTP/1.1",
        "I",
        "ICY",
        "i am more",
        "<html>",
        "HH",
        "HTTPHTTP/1.",
        "\r\nGET / HTTP/1.1\r\n",
        "Hello\r\n\r\n",
        "\u{1f}\u{8b}\u{0}",
        "a long text about HTTP/1.1 and HTTP/2 ",
    ];
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let mut talk = Talk::new();
        let mut answers = Vec::new();
        let (in_one, cut) = (dice.roll(2) == 0, dice.one_of(&[1, 3, 1448]));
        let mut server = Vec::new();
        let count = 2 + dice.roll(4);
        let mut has_name = false;
        for n in 0..count {
            let method = dice.one_of(&["HEAD", "GET"]);
            let status = 404 + n as u16;
            let said = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\n");
            // Where the pair is not known, the first surplus bytes after a response to HEAD may be its body.
            let surplus = if (in_one || has_name) && method == "HEAD" { "" } else { dice.one_of(&surplus) };
            has_name |= surplus.contains("HTTP/1.");
            let more = format!("{}{surplus}", if method == "HEAD" { "" } else { "no" });
            answers.push(Answer { row: format!("{method} /{n} {status}"), status });
            let bytes = (said + &more).into_bytes();
            if in_one {
                talk.client(request(method, &n.to_string(), ""));
                server.extend(bytes);
            } else {
                talk.client(request(method, &n.to_string(), ""));
                bytes.chunks(cut).for_each(|piece| _ = talk.server(piece));
            }
        }
        server.chunks(cut).for_each(|piece| _ = talk.server(piece));
        talk.end(Ending::CaptureEnd);
        let rows = check(&talk, &answers, &format!("seed {seed}, in one {in_one}, cut {cut}"));
        // Which packet carried the first byte of the status line is not known after bytes that look like one.
        if !in_one && !has_name {
            assert_eq!(rows, answers.into_iter().map(|answer| answer.row).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn lines_that_end_with_two_returns() {
    for cut in 1..60 {
        let mut talk = Talk::new();
        let mut send = |direction, text: &str| {
            text.replace('\n', "\r\r\n").as_bytes().chunks(cut).for_each(|piece| {
                talk.chunk(direction, Chunk::Data(piece));
            });
        };
        for (target, status) in [("a", 404), ("b", 500)] {
            send(CLIENT, &format!("POST /{target} HTTP/1.1\nHost: h\nContent-Length: 1\n\n"));
            send(CLIENT, "x");
            send(SERVER, &format!("HTTP/1.1 {status} Not Here\nContent-Length: 2\n\n"));
            send(SERVER, "no");
        }
        talk.end(Ending::CaptureEnd);
        assert_eq!(talk.rows(), ["POST /a 404", "POST /b 500"], "cut {cut}");
        let exchange = &talk.finished()[0];
        assert_eq!(exchange.field(exchange.reason), b"Not Here");
    }
}

#[test]
fn a_request_longer_than_its_length() {
    for (surplus, target, status) in [
        ("}", "/b", 404),
        ("xyz", "/b", 404),
        ("XYZ", "/b", 404),
        (" more\r\n", "/b", 404),
        ("\r\n--boundary--\r\n", "/b", 404),
        ("}", "/b", 400),
        ("XYZ", "/b", 501),
    ] {
        for cut in [1, 3, 9, 1448] {
            for is_apart in [true, false] {
                let mut talk = Talk::new();
                let post = [request("POST", "a", "Content-Length: 3\r\n"), b"abc".to_vec(), surplus.into()].concat();
                post.chunks(cut).for_each(|piece| _ = talk.client(piece));
                let head = request("HEAD", &target[1..], "");
                if is_apart {
                    talk.server("HTTP/1.1 405 x\r\nContent-Length: 0\r\n\r\n");
                }
                head.chunks(cut).for_each(|piece| _ = talk.client(piece));
                if !is_apart {
                    talk.server("HTTP/1.1 405 x\r\nContent-Length: 0\r\n\r\n");
                }
                talk.server(format!("HTTP/1.1 {status} x\r\nContent-Length: 50\r\n\r\n"));
                talk.client(request("GET", "c", ""));
                talk.server("HTTP/1.1 406 x\r\nContent-Length: 0\r\n\r\n").end(Ending::CaptureEnd);
                let answers = [("POST /a 405", 405), ("HEAD /b 404", status), ("GET /c 406", 406)];
                let answers = answers.map(|(row, status)| Answer { row: row.into(), status });
                let about = format!("{surplus:?}, {status}, cut {cut}, apart {is_apart}");
                let rows = check(&talk, &answers, &about);
                if is_apart {
                    assert_eq!(rows[0], "POST /a 405", "{about}");
                }
            }
        }
    }
}

#[test]
fn what_the_client_received_behind_expect_proves_nothing() {
    // `100 Continue` is lost. The next request is sent before the response to the first.
    let post = request("POST", "a", "Expect: 100-continue\r\nContent-Length: 3\r\n");
    for is_seen in [false, true] {
        let mut talk = Talk::new();
        talk.client(&post);
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        if is_seen {
            talk.server(interim);
        } else {
            talk.chunk(SERVER, Chunk::Gap(interim.len() as u64));
        }
        talk.client("abc").client(request("GET", "b", ""));
        talk.server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
            .server("HTTP/1.1 405 x\r\nContent-Length: 0\r\n\r\n");
        talk.end(Ending::CaptureEnd);
        let answers = [("POST /a 404", 404), ("GET /b 405", 405)];
        check(&talk, &answers.map(|(row, status)| Answer { row: row.into(), status }), "expect");
    }
}

#[test]
fn midstream_a_response_to_an_unseen_head_has_no_body() {
    for seed in 0..300 {
        let dice = &mut Dice(seed);
        let mut talk = Talk::new();
        talk.flow.opened_by = None;
        let unseen = dice.one_of(&["HEAD", "GET"]);
        let (is_pipelined, cut) = (dice.roll(2) == 0, dice.one_of(&[1, 20, 1448]));
        let methods: Vec<&str> = (0..8).map(|_| dice.one_of(&["HEAD", "GET"])).collect();
        let mut answers = vec![Answer { row: String::new(), status: 404 }];
        let says = |status: u16, method: &str| {
            format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{}",
                BODY.len(),
                if method == "HEAD" { "" } else { BODY }
            )
        };
        let mut waiting = vec![says(404, unseen)];
        for (n, method) in methods.iter().enumerate() {
            let status = 410 + n as u16;
            if !(is_pipelined && n == 0) {
                waiting.drain(..).for_each(|said| said.as_bytes().chunks(cut).for_each(|piece| _ = talk.server(piece)));
            }
            talk.client(request(method, &n.to_string(), ""));
            answers.push(Answer { row: format!("{method} /{n} {status}"), status });
            waiting.push(says(status, method));
        }
        let rest = waiting.concat();
        rest.as_bytes().chunks(cut).for_each(|piece| _ = talk.server(piece));
        talk.end(Ending::CaptureEnd);
        let statuses: Vec<u16> = talk.streams.sink().decided.iter().map(|exchange| exchange.status).collect();
        assert_eq!(statuses, answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), "seed {seed}");
        if !is_pipelined {
            let rows = check(&talk, &answers, &format!("seed {seed}"));
            assert!(rows[1..].iter().zip(&answers[1..]).all(|(row, answer)| *row == answer.row), "{rows:?}");
        }
    }
}
