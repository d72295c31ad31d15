//! The HTTP stage alone, from chunk to finished exchange, beside httparse's reading of the same heads.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespike::{
    address::{Address, Endpoint},
    capture::Stamp,
    decode::Encapsulation,
    exchange::{Exchange, ExchangePool, ExchangeSink},
    stream::{Stream, StreamSettings, Streams},
    tcp::{Chunk, ChunkContext, Direction, FlowFacts, StreamConsumer},
    time::Timestamp,
};

/// Counts what it is given.
#[derive(Default)]
struct Count {
    finished: u64,
}

impl ExchangeSink for Count {
    fn decided(&mut self, _: &mut Box<Exchange>, _: &mut ExchangePool, _: Stamp) {}

    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, _: Stamp) {
        self.finished += u64::from(exchange.status);
        pool.put(exchange);
    }
}

/// One connection on which the same exchange is spoken again and again.
struct Talk {
    streams: Streams<Count>,
    stream: Stream,
    flow: FlowFacts,
    offsets: [u64; 2],
    now: Stamp,
}

impl Talk {
    fn new(keep_detail: bool) -> Self {
        let endpoint = |last, port| Endpoint::new(Address::v4([192, 0, 2, last]), port);
        Self {
            streams: Streams::new(StreamSettings { keep_detail, ..StreamSettings::default() }, Count::default()),
            stream: Stream::default(),
            flow: FlowFacts {
                opened_by: Some(Direction::Ascending),
                ..FlowFacts::new([endpoint(1, 40_000), endpoint(2, 80)], Encapsulation::default())
            },
            offsets: [0; 2],
            now: Stamp { number: 0, time: Timestamp::from_parts(1, 0) },
        }
    }

    fn say(&mut self, direction: Direction, bytes: &[u8]) {
        self.now.number += 1;
        let context = ChunkContext {
            carried: self.now,
            now: self.now,
            direction,
            offset: self.offsets[direction as usize],
            acknowledged: Some(self.offsets[direction.opposite() as usize]),
            receiver: None,
        };
        self.streams.chunk(&self.flow, &mut self.stream, &context, Chunk::Data(bytes));
        self.offsets[direction as usize] += bytes.len() as u64;
    }

    fn exchange(&mut self, request: &[u8], response: &[u8]) {
        self.say(Direction::Ascending, request);
        for segment in response.chunks(1448) {
            self.say(Direction::Descending, segment);
        }
    }
}

const REQUEST: &[u8] = b"GET /wp-login.php?x=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n";

fn small_404() -> Vec<u8> {
    let body = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n\
        <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    let length = body.len();
    format!(
        "HTTP/1.1 404 Not Found\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 21:00:00 GMT\r\nContent-Type: text/html\r\n\
         Content-Length: {length}\r\nConnection: keep-alive\r\n\r\n{body}"
    )
    .into_bytes()
}

fn many_headers() -> Vec<u8> {
    let fields: String = (0..28).map(|n| format!("X-Header-Number-{n}: some value of usual length {n}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\nServer: nginx\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
}

fn chunked() -> Vec<u8> {
    let chunk = format!("400\r\n{}\r\n", "c".repeat(0x400)).repeat(16);
    format!("HTTP/1.1 200 OK\r\nServer: nginx\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n").into_bytes()
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http");
    group.throughput(Throughput::Elements(2));
    for (name, response) in
        [("small_404", small_404()), ("thirty_headers", many_headers()), ("chunked_16_kib", chunked())]
    {
        for (detail, keep_detail) in [("", false), ("_in_detail", true)] {
            group.bench_function(format!("{name}{detail}"), |bencher| {
                let mut talk = Talk::new(keep_detail);
                bencher.iter(|| talk.exchange(black_box(REQUEST), black_box(&response)));
                assert!(talk.streams.sink().finished > 0);
            });
        }
        group.bench_function(format!("{name}_httparse_alone"), |bencher| {
            bencher.iter(|| {
                let mut headers = [httparse::EMPTY_HEADER; 64];
                let mut request = httparse::Request::new(&mut headers);
                black_box(request.parse(black_box(REQUEST)).is_ok_and(|status| status.is_complete()));
                let mut headers = [httparse::EMPTY_HEADER; 64];
                let mut parsed = httparse::Response::new(&mut headers);
                black_box(parsed.parse(black_box(&response)).is_ok_and(|status| status.is_complete()));
            });
        });
    }
    group.finish();
}

criterion_group!(http, benches);
criterion_main!(http);
