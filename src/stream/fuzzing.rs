//! Streams of arbitrary bytes, for fuzzing.
//!
//! In: a list of operations as bytes. Out: nothing. The promises that the stage makes for any input are asserted.

use std::sync::Arc;

use super::{Stream, StreamSettings, Streams, TlsKeys, tls::secrets::SecretStore};
use crate::exchange::{Exchange, ExchangePool, ExchangeSink, Outcome};
use crate::{
    address::{Address, Endpoint},
    capture::Stamp,
    decode::Encapsulation,
    keyed_hash::KeyedState,
    tcp::{Chunk, ChunkContext, Direction, Ending, FlowFacts, StreamConsumer},
    time::Timestamp,
};
use std::time::Duration;

/// Counts the exchanges that are reported.
#[derive(Debug, Default)]
struct Tally {
    decided: u64,
    finished: u64,
    finished_unknown: u64,
}

impl ExchangeSink for Tally {
    fn decided(&mut self, exchange: &mut Box<Exchange>, _: &mut ExchangePool, _: Stamp) {
        assert!(exchange.outcome != Outcome::Pending && exchange.outcome != Outcome::Unknown);
        assert_eq!(exchange.outcome == Outcome::Answered, exchange.status != 0);
        self.decided += 1;
    }

    fn finished(&mut self, exchange: Box<Exchange>, pool: &mut ExchangePool, _: Stamp) {
        assert!(exchange.endpoints.is_some());
        self.finished += 1;
        self.finished_unknown += u64::from(exchange.outcome == Outcome::Unknown);
        pool.put(exchange);
    }
}

/// Runs the operations that the bytes describe, and asserts the promises that hold for any input.
///
/// Each operation is a byte of kind and direction, a byte of length, and that many bytes of data.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz target calls it"))]
pub fn fuzz(data: &[u8]) {
    run(data, TlsKeys::default());
}

/// TLS with secrets that open nothing: both sides' bytes are records whose type and content the bytes describe, cut into chunks, with
/// gaps, after a handshake whose messages have any content. Work and memory stay within their limits.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz target calls it"))]
pub fn fuzz_tls(data: &[u8]) {
    const KINDS: [u8; 8] = [22, 23, 23, 22, 20, 21, 23, 24];
    let store = Arc::new(SecretStore::new(64, KeyedState::secret(), Vec::new()));
    store.read_whole(data);
    for label in ["CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
        let digits = if label == "CLIENT_RANDOM" { 96 } else { 64 };
        store.read_whole(format!("{label} {} {}\n", "00".repeat(32), "1".repeat(digits)).as_bytes());
    }
    let mut operations = vec![data.first().copied().unwrap_or(0)];
    let mut put = |direction: u8, bytes: &[u8]| {
        for piece in bytes.chunks(255) {
            operations.extend([direction, piece.len() as u8]);
            operations.extend(piece);
        }
    };
    let record =
        |kind: u8, content: &[u8]| [&[kind, 3, 3], &(content.len() as u16).to_be_bytes()[..], content].concat();
    let hello = |kind: u8, content: &[u8]| {
        let body = [&[3, 3][..], &[0; 32], content].concat();
        record(22, &[&[kind, 0], &(body.len() as u16).to_be_bytes()[..], &body].concat())
    };
    let (client, rest) = data.split_at(data.len().min(usize::from(data.first().copied().unwrap_or(0))));
    let (server, mut rest) = rest.split_at(rest.len().min(40));
    put(0, &hello(1, client));
    put(1, &hello(2, server));
    while let [what, length, after @ ..] = rest {
        let (content, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let direction = what & 1;
        match what >> 4 {
            14 => put(direction | 8, content),
            15 => put(direction, content),
            _ => put(direction, &record(KINDS[usize::from(what >> 1 & 7)], content)),
        }
    }
    run(&operations, TlsKeys::new(store, data.len() & 2 == 0));
}

fn run(data: &[u8], keys: TlsKeys) {
    let endpoint = |last| Endpoint::new(Address::v4([192, 0, 2, last]), 80);
    let settings = StreamSettings {
        max_head_bytes: 512,
        max_target_bytes: 64,
        max_field_bytes: 32,
        max_pipelined: 8,
        max_early_bytes: 256,
        max_held_bytes: 1024,
        max_tls_held_bytes: 512,
        ..StreamSettings::default()
    };
    let mut streams = Streams::new(settings, Tally::default());
    streams.use_tls_keys(keys);
    let mut stream = Stream::default();
    let mut flow = FlowFacts {
        opened_by: data.first().filter(|first| **first & 1 == 0).map(|_| Direction::Ascending),
        ..FlowFacts::new([endpoint(1), endpoint(2)], Encapsulation::default())
    };
    if flow.opened_by.is_some() {
        flow.evidence.note_handshake();
    }
    let mut offsets = [0u64; 2];
    let mut now = Stamp { number: 0, time: Timestamp::from_parts(1, 0) };
    let mut rest = data.get(1..).unwrap_or_default();
    while let [kind, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let direction = if kind & 1 == 0 { Direction::Ascending } else { Direction::Descending };
        let behind = u64::from(kind >> 5) * 16;
        let acknowledged = (offsets[direction.opposite() as usize] + 32).saturating_sub(behind);
        now.number += 1;
        now.time = now.time.plus(Duration::from_millis(u64::from(*length) * 20));
        let context = ChunkContext {
            carried: now,
            now,
            direction,
            offset: offsets[direction as usize],
            acknowledged: (kind & 0x10 == 0).then_some(acknowledged),
            receiver: None,
        };
        let unneeded = streams.unneeded(&stream, direction);
        let chunk = match kind >> 1 & 7 {
            4 if *length < 128 => Chunk::Gap(u64::from(*length)),
            4 => Chunk::Snapped(u64::from(*length)),
            5 if unneeded != 0 => Chunk::Skipped(unneeded.min(u64::from(*length))),
            6 if *length < 8 => Chunk::Fin,
            6 if *length < 16 => Chunk::Reset,
            _ => Chunk::Data(bytes),
        };
        offsets[direction as usize] += chunk.length();
        if let Chunk::Gap(count) | Chunk::Snapped(count) = chunk {
            flow.gap_bytes += count;
        }
        streams.chunk(&flow, &mut stream, &context, chunk);
        if streams.awaits_time(&stream) {
            streams.tick(&flow, &mut stream, now);
        }
        assert!(streams.held_bytes() <= 2048, "what is held stays under its limit");
    }
    streams.end(&flow, &mut stream, now, if data.len() & 1 == 0 { Ending::CaptureEnd } else { Ending::Idle });
    streams.finish(now);
    assert_eq!(streams.held_bytes(), 0);
    let tally = streams.sink();
    assert_eq!(tally.decided + tally.finished_unknown, tally.finished);
}

/// Frames of HTTP/2 with any content, and header blocks: both sides' bytes are frames whose type, flags, stream and content the
/// bytes describe, cut into chunks, with gaps. Then the same bytes as header blocks of one direction.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz target calls it"))]
pub fn fuzz_http2(data: &[u8]) {
    let mut operations = vec![data.first().copied().unwrap_or(0)];
    let mut put = |direction: u8, bytes: &[u8]| {
        for piece in bytes.chunks(255) {
            operations.extend([direction, piece.len() as u8]);
            operations.extend(piece);
        }
    };
    put(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    put(1, b"\0\0\0\x04\0\0\0\0\0");
    let mut rest = data;
    while let [what, flags, stream, length, after @ ..] = rest {
        let (content, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let frame = [&[0, 0, content.len() as u8, what >> 1 & 15, *flags, 0, 0, 0, stream & 15], content].concat();
        match what >> 5 {
            // A gap, and the frame as it is, or cut.
            7 => put(what & 1 | 8, &frame),
            6 => frame.chunks(7).for_each(|piece| put(what & 1, piece)),
            _ => put(what & 1, &frame),
        }
    }
    fuzz(&operations);
    super::http2::fuzz_blocks(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// While the first response is held, both sides turn out to be of another protocol, so that nobody is the client.
    #[test]
    fn what_is_held_is_released_when_nobody_is_the_client_any_more() {
        let input = b"\0O=STP @/a HTTP/1.1\r\nEx1p t:ec00-continue\r\nContent-Lengt\\: 9\r\n\r\nA%HTTP/2.1 417 MKWContent-Length: 0\r\n\r\n\
            @\x13GET /\x01\0\0\0\0\0\0\x19 9\r\n\r\nA%HTTP/2.1 4T\xd0/1\n1\r.\r\n";
        super::fuzz(input);
    }

    /// Parts of messages.
    const PARTS: &[&str] = &[
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD /b HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /c HTTP/1.1\r\nContent-Length: 30\r\n\r\n",
        "POST /d HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 27\r\n\r\n",
        "PUT /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
        "GET /f HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        "GET /g\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /i HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n",
        // Frames: SETTINGS, requests and responses (some with fields that enter the table), DATA, resets, a tunnel, a promise.
        "\0\0\0\x04\0\0\0\0\0",
        "\0\0\x06\x01\x05\0\0\0\x01\x02\x07GET\x04",
        "\0\0\x14\x01\x04\0\0\0\x03\x02\x04POST\x04\x02/b\x40\x03foo\x03bar\x3e",
        "\0\0\x05\x01\x05\0\0\0\x01\x08\x03404",
        "\0\0\x11\x01\x04\0\0\0\x03\x48\x03200\x5f\x0aapplicatio",
        "\0\0\x03\x01\x01\0\0\0\x05\x02\x03P",
        "\0\0\x02\x09\x04\0\0\0\x05UT",
        "\0\0\x04\0\x01\0\0\0\x03body",
        "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
        "\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0",
        "\0\0\x0e\x01\x04\0\0\0\x07\x02\x07CONNECT\x01\x01h\x04",
        "\0\0\x06\x05\x04\0\0\0\x01\0\0\0\x02\x04\0",
        "GET /h HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 x\r\nContent-Length: 5000\r\n\r\n",
        "HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 400 x\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 408 x\r\n\r\n",
        "HTTP/1.1 200 x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 204 x\r\n\r\n",
        "HTTP/1.1 4040 x\r\n\r\n",
        "4\r\nbody\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "\r\n",
        "RTSP/1.0 200 OK\r\n\r\n",
        "\x05\x01\x00",
        "\x05\x00",
        "\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50",
        "\x05\x00\x00\x01\x0a\x01\x02\x03\x00\x50",
        "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "junk without a line end",
        "x",
    ];

    /// Operations like those of real conversations: heads, bodies and junk, whole, cut or joined, gaps, ends and jumps in time.
    fn operations() -> impl Strategy<Value = Vec<u8>> {
        let parts = || prop::sample::select(PARTS).prop_map(|part| part.as_bytes().to_vec());
        let whole = prop_oneof![
            4 => parts(),
            2 => (parts(), any::<prop::sample::Index>()).prop_map(|(part, cut)| part[..=cut.index(part.len())].to_vec()),
            1 => (parts(), any::<prop::sample::Index>()).prop_map(|(part, cut)| part[cut.index(part.len())..].to_vec()),
            2 => (parts(), parts()).prop_map(|(one, two)| [one, two].concat()),
        ];
        let data = (whole, any::<u8>()).prop_map(|(bytes, flags)| {
            let bytes = &bytes[..bytes.len().min(255)];
            [&[flags & 0xf1, bytes.len() as u8][..], bytes].concat()
        });
        let other = (4..7u8, any::<u8>(), 0..250u8).prop_map(|(kind, flags, length)| {
            let length = if kind == 6 { length % 16 } else { length };
            [vec![flags & 0xf1 | kind << 1, length], vec![b'x'; usize::from(length)]].concat()
        });
        prop::collection::vec(prop_oneof![6 => data, 1 => other], 1..40).prop_map(|operations| operations.concat())
    }

    proptest! {
        #[test]
        fn what_is_promised_of_conversations_holds(begin in any::<u8>(), operations in operations()) {
            super::fuzz(&[&[begin][..], &operations].concat());
        }

        #[test]
        fn what_is_promised_of_frames_holds(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..20], 0..400)) {
            super::fuzz_http2(&bytes);
        }

        #[test]
        fn what_is_promised_of_tls_holds(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..40], 0..600)) {
            super::fuzz_tls(&bytes);
        }

        #[test]
        fn what_is_promised_of_any_input_holds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            super::fuzz(&bytes);
        }
    }
}
