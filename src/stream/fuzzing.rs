//! Streams of arbitrary bytes, for fuzzing.
//!
//! In: a list of operations as bytes. Out: nothing. The promises that the stage makes for any input are asserted.

use super::{Stream, StreamSettings, Streams};
use crate::exchange::{Exchange, ExchangePool, ExchangeSink, Outcome};
use crate::{
    address::{Address, Endpoint},
    capture::Stamp,
    decode::Encapsulation,
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
    let endpoint = |last| Endpoint::new(Address::v4([192, 0, 2, last]), 80);
    let settings = StreamSettings {
        max_head_bytes: 512,
        max_target_bytes: 64,
        max_field_bytes: 32,
        max_pipelined: 8,
        max_early_bytes: 256,
        max_held_bytes: 1024,
        keep_forwarded: true,
        ..StreamSettings::default()
    };
    let mut streams = Streams::new(settings, Tally::default());
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
            4 => Chunk::Gap(u64::from(*length)),
            5 if unneeded != 0 => Chunk::Skipped(unneeded.min(u64::from(*length))),
            6 if *length < 8 => Chunk::Fin,
            6 if *length < 16 => Chunk::Reset,
            _ => Chunk::Data(bytes),
        };
        offsets[direction as usize] += match chunk {
            Chunk::Data(bytes) => bytes.len() as u64,
            Chunk::Gap(count) | Chunk::Skipped(count) => count,
            Chunk::Fin | Chunk::Reset => 0,
        };
        if let Chunk::Gap(count) = chunk {
            flow.gap_bytes += count;
        }
        streams.chunk(&flow, &mut stream, &context, chunk);
        if streams.awaits_time(&stream) {
            streams.tick(&flow, &mut stream, now);
        }
        assert!(streams.held_bytes() <= 2048, "what is held stays under its limit");
    }
    streams.end(&flow, &mut stream, now, if data.len() & 1 == 0 { Ending::CaptureEnd } else { Ending::Idle });
    assert_eq!(streams.held_bytes(), 0);
    let tally = streams.sink();
    assert_eq!(tally.decided + tally.finished_unknown, tally.finished);
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

    proptest! {
        #[test]
        fn what_is_promised_of_any_input_holds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            super::fuzz(&bytes);
        }
    }
}
