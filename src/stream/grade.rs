//! The grade of an exchange: how well what was seen of its connection supports it.
//!
//! In: the connection's evidence, the chunk with which the exchange is decided, and both sides' positions. Out: a [`Grade`].
//! Promises: whoever sends the packets of one side alone reaches [`Grade::OneWay`] at most, and so does whoever sends both
//! sides' packets with numbers that do not fit the connection's own.
//!
//! A response is confirmed by three numbers. The server acknowledges bytes of its request, and only bytes that were seen. It
//! need not acknowledge the whole request, since servers refuse a long one before its end. The client has
//! acknowledged bytes of the server. No gap that the client did not acknowledge lies before the response. A sender off the
//! path must guess the client's position to reach that: it is one of a few thousand among 2³² numbers.

use super::context::Side;
use crate::{
    exchange::{Exchange, Grade, Outcome},
    tcp::{ChunkContext, FlowFacts},
};

/// Returns the grade of an exchange that is decided with `chunk`. `asked` is the offset of the request in the client's stream,
/// or 0 if its protocol does not know it.
pub(super) fn of(exchange: &Exchange, flow: &FlowFacts, chunk: &ChunkContext, sides: &[Side; 2], asked: u64) -> Grade {
    if flow.evidence.is_doubtful() {
        return Grade::OneWay;
    }
    match exchange.outcome {
        Outcome::Answered => of_response(exchange, flow, chunk, sides, asked),
        _ => of_silence(flow, sides),
    }
}

/// The grade of a response whose head ends in `chunk`.
fn of_response(exchange: &Exchange, flow: &FlowFacts, chunk: &ChunkContext, sides: &[Side; 2], asked: u64) -> Grade {
    let (Some(receiver), Some(acknowledged)) = (chunk.receiver, chunk.acknowledged) else { return Grade::OneWay };
    let client_sent = sides[chunk.direction.opposite() as usize].offset;
    let has_request = exchange.request_start.is_some();
    let is_agreed = acknowledged <= client_sent
        && (acknowledged > asked || !has_request)
        && flow.evidence.is_position_confirmed(chunk.direction, receiver);
    // Which request a response answers may be unknown. That the server has bytes of the client is enough.
    let is_whole = flow.evidence.is_opened_both_ways() && (acknowledged > 0 || flow.evidence.is_handshake_complete());
    match is_agreed {
        true if is_whole => Grade::Handshake,
        true => Grade::TwoWay,
        false => Grade::OneWay,
    }
}

/// Returns the grade of a connection whose content cannot be read: what the handshake proves.
pub(super) fn of_connection(flow: &FlowFacts, sides: &[Side; 2]) -> Grade {
    if flow.evidence.is_doubtful() { Grade::OneWay } else { of_silence(flow, sides) }
}

/// The grade of an exchange that has no response. The handshake proves the client's address, but nothing else does.
fn of_silence(flow: &FlowFacts, sides: &[Side; 2]) -> Grade {
    match flow.evidence.is_handshake_complete() {
        true => Grade::Handshake,
        false if sides.iter().all(|side| side.offset > 0) => Grade::TwoWay,
        false => Grade::OneWay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::{Address, Endpoint},
        capture::Stamp,
        decode::Encapsulation,
        stream::testing::{CLIENT, SERVER},
    };

    #[test]
    fn a_response_is_confirmed_only_by_the_acknowledgment_of_its_own_request() {
        let request = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
        let length = request.len() as u64;
        for (acknowledged, is_confirmed) in [
            (0, false),
            (length, false),
            (length + 1, true),
            (2 * length - 1, true),
            (2 * length, true),
            (2 * length + 1, false),
        ] {
            let flow = FlowFacts::new([Endpoint::new(Address::v4([10, 0, 0, 1]), 80); 2], Encapsulation::default());
            let chunk = ChunkContext {
                carried: Stamp::default(),
                now: Stamp::default(),
                direction: SERVER,
                offset: 0,
                acknowledged: Some(acknowledged),
                receiver: Some(1),
            };
            let mut sides = [Side::default(); 2];
            sides[CLIENT as usize].offset = 2 * length;
            let exchange =
                Exchange { outcome: Outcome::Answered, request_start: Some(chunk.carried), ..Exchange::default() };
            let grade = of(&exchange, &flow, &chunk, &sides, length);
            assert_eq!(grade != Grade::OneWay, is_confirmed, "{acknowledged}");
        }
    }
}
