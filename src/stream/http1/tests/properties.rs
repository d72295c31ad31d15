//! Property tests: generated conversations, cut in any way, must give the exchanges that they were generated from. Heads are
//! compared with httparse.

use crate::stream::testing::{CLIENT, SERVER, Talk, row};
use crate::{
    exchange::{Outcome, Remarks},
    stream::http1::{
        field_values::Length,
        fields::Fields,
        plain_head,
        start_line::{self, StartLine},
    },
    tcp::{Chunk, Direction, Ending},
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Body {
    None,
    Length(usize),
    Chunks(Vec<usize>),
}

#[derive(Debug, Clone)]
struct Pair {
    method: &'static str,
    asked: Body,
    interim: usize,
    status: u16,
    answered: Body,
    /// The bytes that bodies are made of.
    content: &'static [u8],
}

/// Line ends and text that looks like messages, if it is not at a chunk's start.
const LOOKALIKES: &[u8] = b"..\r\n\r\nGET /x HTTP\r\n";

/// Whole messages.
const MESSAGES: &[u8] = b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n0\r\n\r\n";

/// Pairs whose requests are sent together.
type Flight = Vec<Pair>;

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        2 => Just(Body::None),
        2 => (1usize..3000).prop_map(Body::Length),
        1 => prop::collection::vec(1usize..500, 0..5).prop_map(Body::Chunks),
    ]
}

fn pair() -> impl Strategy<Value = Pair> {
    let method = prop::sample::select(&["GET", "POST", "HEAD", "PROPFIND", "DEBUG", "MKCALENDAR"][..]);
    let status = prop::sample::select(&[200u16, 204, 304, 401, 404, 500, 503, 599][..]);
    (method, body(), 0usize..3, status, body()).prop_map(|(method, asked, interim, status, answered)| Pair {
        method,
        asked,
        interim,
        status,
        answered,
        content: LOOKALIKES,
    })
}

fn flights(pipelined: bool) -> impl Strategy<Value = Vec<Flight>> {
    prop::collection::vec(prop::collection::vec(pair(), 1..if pipelined { 6 } else { 2 }), 1..8)
}

impl Body {
    fn header(&self) -> String {
        match self {
            Self::None => "Content-Length: 0\r\n".into(),
            Self::Length(length) => format!("Content-Length: {length}\r\n"),
            Self::Chunks(_) => "Transfer-Encoding: chunked\r\n".into(),
        }
    }

    fn bytes(&self, content: &[u8]) -> Vec<u8> {
        let content = |length: usize| -> Vec<u8> { content.iter().copied().cycle().take(length).collect() };
        match self {
            Self::None => Vec::new(),
            Self::Length(length) => content(*length),
            Self::Chunks(chunks) => {
                let mut bytes = Vec::new();
                for length in chunks {
                    bytes.extend(format!("{length:x};e=1\r\n").bytes());
                    bytes.extend(content(*length));
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\nTrailer: x\r\n\r\n");
                bytes
            }
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Length(length) => *length as u64,
            Self::Chunks(chunks) => chunks.iter().sum::<usize>() as u64,
        }
    }
}

impl Pair {
    fn has_body(&self) -> bool {
        self.method != "HEAD" && !matches!(self.status, 204 | 304)
    }

    fn request(&self, id: usize) -> Vec<u8> {
        let head = format!("{} /{id} HTTP/1.1\r\nHost: h\r\n{}\r\n", self.method, self.asked.header());
        [head.into_bytes(), self.asked.bytes(self.content)].concat()
    }

    fn response(&self, id: usize) -> Vec<u8> {
        let interim = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".repeat(self.interim);
        let head = format!("HTTP/1.1 {} {id}\r\nServer: s\r\n{}\r\n", self.status, self.answered.header());
        let body = if self.has_body() { self.answered.bytes(self.content) } else { Vec::new() };
        [interim.into_bytes(), head.into_bytes(), body].concat()
    }

    fn row(&self, id: usize) -> String {
        format!("{} /{id} {}", self.method, self.status)
    }
}

/// One piece of a stream on the wire.
#[derive(Debug, Clone)]
struct Piece {
    direction: Direction,
    bytes: Vec<u8>,
    acknowledged: u64,
}

/// The conversation on the wire, cut into pieces of these lengths (in turn).
fn wire(flights: &[Flight], cuts: &[usize]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut sent = [0u64; 2];
    let mut cuts = cuts.iter().copied().cycle();
    let mut id = 0;
    for flight in flights {
        let requests: Vec<u8> = flight.iter().enumerate().flat_map(|(index, pair)| pair.request(id + index)).collect();
        let responses: Vec<u8> =
            flight.iter().enumerate().flat_map(|(index, pair)| pair.response(id + index)).collect();
        id += flight.len();
        for (direction, bytes) in [(CLIENT, requests), (SERVER, responses)] {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().unwrap_or(1448).clamp(1, rest.len()));
                rest = after;
                let acknowledged = sent[direction.opposite() as usize];
                pieces.push(Piece { direction, bytes: piece.to_vec(), acknowledged });
                sent[direction as usize] += piece.len() as u64;
            }
        }
    }
    pieces
}

fn expected(flights: &[Flight]) -> Vec<(String, u64, u64)> {
    let pairs = flights.iter().flatten().enumerate();
    pairs
        .map(|(id, pair)| {
            let answered = if pair.has_body() { pair.answered.length() } else { 0 };
            (pair.row(id), pair.asked.length(), answered)
        })
        .collect()
}

fn told(talk: &Talk) -> Vec<(String, u64, u64)> {
    let tell = |exchange| (row(exchange), exchange.request_body_bytes, exchange.response_body_bytes);
    talk.finished().iter().map(tell).collect()
}

/// Sends pieces. Pieces that `is_lost` names are missing; the gap is reported when the stream continues.
fn speak(pieces: &[Piece], is_lost: impl Fn(usize) -> bool) -> Talk {
    let mut talk = Talk::new();
    let mut lost = [0u64; 2];
    for (index, piece) in pieces.iter().enumerate() {
        let missing = &mut lost[piece.direction as usize];
        if is_lost(index) {
            *missing += piece.bytes.len() as u64;
            continue;
        }
        if *missing != 0 {
            let gap = std::mem::take(missing);
            talk.chunk(piece.direction, Chunk::Gap(gap));
        }
        talk.acking(piece.acknowledged).chunk(piece.direction, Chunk::Data(&piece.bytes));
    }
    talk.end(Ending::CaptureEnd);
    talk
}

/// Checks that a head that `plain_head` accepts is read in the same way by `start_line` and `fields`, and that nothing in it
/// was tolerated.
fn check_plain(bytes: &[u8]) -> Result<bool, TestCaseError> {
    let mut fields = Fields::default();
    let Some((line, length)) = plain_head::read(bytes, &mut fields) else { return Ok(false) };
    prop_assert_eq!(line, start_line::start_line(bytes));
    let (StartLine::Request(_, first) | StartLine::Response(_, first)) = line else {
        return Err(TestCaseError::fail("neither request nor response"));
    };
    prop_assert_eq!((fields, Some(length - first)), Fields::scan(&bytes[first..]));
    prop_assert!(!fields.odd);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same(flights in flights(true), cuts in prop::collection::vec(1usize..1500, 1..20)) {
        let talk = speak(&wire(&flights, &cuts), |_| false);
        prop_assert_eq!(told(&talk), expected(&flights));
        let talk = speak(&wire(&flights, &[cuts[0] % 7 + 1]), |_| false);
        prop_assert_eq!(told(&talk), expected(&flights));
    }

    #[test]
    fn messages_inside_bodies_are_content(mut flights in flights(true), cuts in prop::collection::vec(1usize..200, 1..20)) {
        flights.iter_mut().flatten().for_each(|pair| pair.content = MESSAGES);
        let talk = speak(&wire(&flights, &cuts), |_| false);
        prop_assert_eq!(told(&talk), expected(&flights));
        // These pieces begin where the messages inside the bodies begin.
        let talk = speak(&wire(&flights, &[MESSAGES.len()]), |_| false);
        prop_assert_eq!(told(&talk), expected(&flights));
    }

    #[test]
    fn responses_may_overtake(flights in flights(false), cuts in prop::collection::vec(40usize..1500, 1..20)) {
        // Each flight's requests come after its responses.
        let mut pieces = wire(&flights, &cuts);
        let mut at = 0;
        while at < pieces.len() {
            let requests = pieces[at..].iter().take_while(|piece| piece.direction == CLIENT).count();
            let responses = pieces[at + requests..].iter().take_while(|piece| piece.direction == SERVER).count();
            pieces[at..at + requests + responses].rotate_left(requests);
            at += requests + responses;
        }
        let talk = speak(&pieces, |_| false);
        prop_assert_eq!(told(&talk), expected(&flights));
    }

    #[test]
    fn loss_makes_rows_unknown_and_never_wrong(
        flights in any::<bool>().prop_flat_map(flights),
        cuts in prop::collection::vec(1usize..1500, 1..20),
        losses in prop::collection::vec(prop::bool::weighted(0.2), 1..40),
    ) {
        let talk = speak(&wire(&flights, &cuts), |index| losses[index % losses.len()]);
        let expected: Vec<String> = expected(&flights).into_iter().map(|(row, ..)| row).collect();
        for exchange in talk.finished() {
            if exchange.outcome == Outcome::Answered && !exchange.method.is_empty() {
                prop_assert!(expected.contains(&row(exchange)), "{} is not of {expected:?}", row(exchange));
                let (id, reason) = (&exchange.field(exchange.target)[1..], exchange.field(exchange.reason));
                // After a gap in the status line, the rest of the reason is missing.
                let may_be_cut = exchange.remarks.has(Remarks::RESPONSE_TRUNCATED);
                prop_assert!(id == reason || (may_be_cut && id.starts_with(reason)), "{id:?} {reason:?}");
            }
        }
    }

    #[test]
    fn loss_inside_bodies_costs_nothing(flights in flights(false), size in 1usize..400) {
        // Each body of known length has its own pieces; all bytes but the first are in gaps.
        let mut talk = Talk::new();
        for (id, pair) in flights.iter().flatten().enumerate() {
            for (direction, bytes, body) in
                [(CLIENT, pair.request(id), &pair.asked), (SERVER, pair.response(id), &pair.answered)]
            {
                let has_body = matches!(body, Body::Length(_)) && (direction == CLIENT || pair.has_body());
                let body = if has_body { body.length() as usize } else { 0 };
                let lost = body.saturating_sub(1).min(size);
                talk.chunk(direction, Chunk::Data(&bytes[..bytes.len() - lost]));
                if lost != 0 {
                    talk.chunk(direction, Chunk::Gap(lost as u64));
                }
            }
        }
        talk.end(Ending::CaptureEnd);
        prop_assert_eq!(told(&talk), expected(&flights));
    }

    #[test]
    fn nothing_panics_or_stays(steps in prop::collection::vec((any::<bool>(), 0u8..12, any::<u16>()), 0..60)) {
        let mut talk = Talk::new();
        for (from_client, kind, number) in steps {
            let direction = if from_client { CLIENT } else { SERVER };
            let text: &[u8] = match kind {
                0 => b"GET /a HTTP/1.1\r\n",
                1 => b"HTTP/1.1 404 x\r\n",
                2 => b"Content-Length: 10\r\n\r\n",
                3 => b"Transfer-Encoding: chunked\r\n\r\n",
                4 => b"5\r\nabcde\r\n0\r\n\r\n",
                5 => b"\r\n\r\n",
                6 => b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\x15\x03\x03\x00\x02\x02\x28",
                7 => b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
                8 => b"CONNECT h:1 HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
                9 => {
                    talk.chunk(direction, Chunk::Gap(u64::from(number)));
                    continue;
                }
                10 if number % 8 == 0 => {
                    talk.chunk(direction, if number % 16 == 0 { Chunk::Fin } else { Chunk::Reset });
                    continue;
                }
                _ => &number.to_be_bytes(),
            };
            let acknowledged = talk.sent[direction.opposite() as usize].saturating_add_signed(i64::from(number % 64) - 32);
            talk.acking(acknowledged).chunk(direction, Chunk::Data(&text[..text.len().min(usize::from(number % 40) + 1)]));
        }
        talk.end(Ending::CaptureEnd);
    }

    #[test]
    fn arbitrary_bytes(pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..60)), 0..30)) {
        let mut talk = Talk::new();
        for (from_client, bytes) in pieces {
            talk.chunk(if from_client { CLIENT } else { SERVER }, Chunk::Data(&bytes));
        }
        talk.end(Ending::CaptureEnd);
    }

    #[test]
    fn requests_that_httparse_reads_are_read_alike(
        method in "[A-Z!#$%&'*+.^_`|~-]{1,20}",
        target in "/[!-~]{0,40}|\\*|http://h/[!-~]{0,20}|[a-z]{1,9}:[0-9]{1,4}",
        minor in 0u8..2,
        lines in prop::collection::vec("[A-Za-z-]{1,12}: ?[ -~]{0,20}|Content-Length: [0-9]{1,6}", 0..12),
        end in prop::sample::select(&["\r\n", "\n"][..]),
        before in prop::sample::select(&["", "\r\n", "\n\n"][..]),
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let lines: String = lines.iter().map(|line| format!("{line}{end}")).collect();
        let mut bytes = format!("{before}{method} {target} HTTP/1.{minor}{end}{lines}{end}next").into_bytes();
        if let Some((index, byte)) = change {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        check_plain(&bytes[blank..])?;
        let mut theirs = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(length)) = theirs.parse(&bytes) {
            let StartLine::Request(line, first) = start_line::start_line(&bytes[blank..]) else {
                return Err(TestCaseError::fail(format!("not seen as a request: {:?}", String::from_utf8_lossy(&bytes))));
            };
            prop_assert_eq!(Some(line.method), theirs.method.map(str::as_bytes));
            prop_assert_eq!(Some(line.target), theirs.path.map(str::as_bytes));
            prop_assert_eq!((line.version.major, Some(line.version.minor)), (1, theirs.version));
            let (fields, found) = Fields::scan(&bytes[blank + first..]);
            prop_assert_eq!(found, Some(length - blank - first));
            let hosts: Vec<_> = theirs.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host")).collect();
            if let [one] = hosts[..] {
                prop_assert_eq!(fields.host, one.value.trim_ascii());
            }
        }
    }

    #[test]
    fn heads_that_httparse_reads_are_read_alike(
        start in prop::sample::select(&[
            "HTTP/1.1 404 Not Found", "HTTP/1.0 200 OK", "HTTP/1.1 500", "HTTP/1.1 401 ", "\r\nHTTP/1.1 302 x",
        ][..]),
        lines in prop::collection::vec("[A-Za-z-]{1,12}: ?[ -~]{0,20}|Content-Length: [0-9]{1,6}|(?i)transfer-encoding: ?chunked", 0..12),
        ends in prop::collection::vec(prop::sample::select(&["\r\n", "\n"][..]), 14),
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        after in "[ -~]{0,10}",
    ) {
        let mut head = format!("{start}{}", ends[13]);
        for (line, end) in lines.iter().zip(&ends) {
            head.push_str(line);
            head.push_str(end);
        }
        head.push_str(ends[12]);
        let mut bytes = (head + &after).into_bytes();
        if let Some((index, byte)) = change {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        check_plain(&bytes[blank..])?;
        let mut theirs = httparse::Response::new(&mut headers);
        if let Ok(httparse::Status::Complete(length)) = theirs.parse(&bytes) {
            let StartLine::Response(line, first) = start_line::start_line(&bytes[blank..]) else {
                return Err(TestCaseError::fail(format!("not seen as a response: {:?}", String::from_utf8_lossy(&bytes))));
            };
            // Three digits below 100 are no status (RFC 9110, section 15).
            prop_assert_eq!(Some(line.status), theirs.code.map(|code| if code < 100 { 0 } else { code }));
            let (fields, end) = Fields::scan(&bytes[blank + first..]);
            prop_assert_eq!(end, Some(length - blank - first));
            let value = |name: &str| theirs.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
            prop_assert_eq!(fields.server, value("server").unwrap_or_default().trim_ascii());
            let lengths: Vec<_> = theirs.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length")).collect();
            if let [one] = lengths[..] && let Some(number) = std::str::from_utf8(one.value).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok()) {
                prop_assert_eq!(fields.length, Length::Known(number));
            }
        }
    }
}

#[test]
fn no_byte_of_a_head_is_searched_twice() {
    let mut talk = Talk::new();
    let head = format!("GET /{} HTTP/1.1\r\nx: {}\r\n", "t".repeat(50_000), "v".repeat(50_000));
    let line_end = head.find('\n').unwrap();
    for (index, byte) in head.bytes().enumerate().take(head.len() - 1) {
        talk.client([byte]);
        let Some(in_flight) = &talk.stream.http1().in_flight else { continue };
        let kept = &in_flight.partial_heads[CLIENT as usize];
        assert_eq!(kept.searched, kept.bytes.len(), "the end is looked for in new bytes only");
        if index > start_line::UNDECIDED_BYTES {
            let told = index >= line_end && kept.is_message;
            assert!(told || kept.line_searched == kept.bytes.len(), "so is the first line's end, at {index}");
        }
    }
    talk.end(Ending::CaptureEnd);
    assert_eq!(talk.rows().len(), 1);
}

#[test]
fn plain_heads_are_left_to_httparse_and_others_are_not() {
    let many = format!("GET /a HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    for (head, is_plain) in [
        ("GET /a?b=c HTTP/1.1\r\nHost: h\r\nUser-Agent: x y\r\nAccept: \r\n\r\nbody", true),
        ("GET / HTTP/1.0\r\n\r\n", true),
        ("POST /a HTTP/1.1\r\nContent-Length:5\r\nHost:\t h \t\r\n\r\n", true),
        ("HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 \r\nDate: d\r\n\r\n", true),
        ("HTTP/1.1 200\r\nDate: d\r\n\r\n", true),
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", false),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\r\n more\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\r\n", false),
        ("GET / HTTP/2.0\r\n\r\n", false),
        ("GET /a b HTTP/1.1\r\n\r\n", false),
        ("ICY 200 HTTP/1.1\r\n\r\n", false),
        ("HTTP/1.1 099 x\r\n\r\n", false),
        ("HTTP/1.1 4040 x\r\n\r\n", false),
        ("HTTP/1.1 200 \u{e9}\r\n\r\n", false),
        (&many, false),
    ] {
        assert_eq!(check_plain(head.as_bytes()).unwrap(), is_plain, "{head:?}");
    }
}
