//! The grade of an exchange: how well what was seen of its connection supports it.
//!
//! In: the connection's evidence, the chunk with which the exchange is decided, and both sides' positions. Out: a [`Grade`].
//! Promises: whoever sends the packets of one side alone reaches [`Grade::OneWay`] at most, and so does whoever sends both
//! sides' packets with numbers that do not fit the connection's own.
//!
//! A response is confirmed by three numbers. The server acknowledges bytes of the client that were seen. The client has
//! acknowledged bytes of the server. No gap that the client did not acknowledge lies before the response. A sender off the
//! path must guess the client's position to reach that: it is one of a few thousand among 2³² numbers.

use super::context::Side;
use crate::{
    exchange::{Exchange, Grade, Outcome},
    tcp::{ChunkContext, FlowFacts},
};

/// Returns the grade of an exchange that is decided with `chunk`.
pub(super) fn of(exchange: &Exchange, flow: &FlowFacts, chunk: &ChunkContext, sides: &[Side; 2]) -> Grade {
    if flow.evidence.is_doubtful() {
        return Grade::OneWay;
    }
    match exchange.outcome {
        Outcome::Answered => of_response(exchange, flow, chunk, sides),
        _ => of_silence(flow, sides),
    }
}

/// The grade of a response whose head ends in `chunk`.
fn of_response(exchange: &Exchange, flow: &FlowFacts, chunk: &ChunkContext, sides: &[Side; 2]) -> Grade {
    let (Some(receiver), Some(acknowledged)) = (chunk.receiver, chunk.acknowledged) else { return Grade::OneWay };
    let client_sent = sides[chunk.direction.opposite() as usize].offset;
    let has_request = exchange.request_start.is_some();
    let is_agreed = acknowledged <= client_sent
        && (acknowledged > 0 || !has_request)
        && flow.evidence.is_position_confirmed(chunk.direction, receiver);
    match is_agreed {
        true if has_request && flow.evidence.is_opened_both_ways() => Grade::Handshake,
        true => Grade::TwoWay,
        false => Grade::OneWay,
    }
}

/// The grade of an exchange that has no response. The handshake proves the client's address, but nothing else does.
fn of_silence(flow: &FlowFacts, sides: &[Side; 2]) -> Grade {
    match flow.evidence.is_handshake_complete() {
        true => Grade::Handshake,
        false if sides.iter().all(|side| side.offset > 0) => Grade::TwoWay,
        false => Grade::OneWay,
    }
}
