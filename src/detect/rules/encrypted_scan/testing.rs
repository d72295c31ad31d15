//! Turns for tests of the rule, and a naive recount.

use super::estimate::BETTER_BY;
use crate::{
    address::{Address, Endpoint},
    detect::{Alert, Inference},
    exchange::{Grade, Turn, TurnFlags},
    time::Timestamp,
};

pub(super) const SERVER: Endpoint = Endpoint { address: Address::v4([198, 51, 100, 1]), port: 443 };

pub(super) fn client(last: u8) -> Address {
    Address::v4([192, 0, 2, last])
}

pub(super) fn turn(at: u64, from: u8, request_bytes: u32, answer_bytes: u32) -> Turn {
    Turn {
        time: Timestamp::from_parts(at, 0),
        packet: at,
        client: Endpoint::new(client(from), 40_000),
        server: SERVER,
        request_bytes,
        answer_bytes,
        request_records: 1,
        answer_records: 1,
        flags: TurnFlags::default(),
        connection: None,
        grade: Grade::Handshake,
    }
}

/// The lengths of requests for the words of a list.
pub(super) fn word(number: u64) -> u32 {
    100 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & 0xffff).count_ones()
}

pub(super) fn inference(alert: &Alert) -> &Inference {
    alert.inference.as_ref().expect("an inferred alert")
}

/// The largest number of turns whose lengths one page explains, by trying every length.
pub(super) fn naive(turns: &[&Turn]) -> u64 {
    let mut best = 0;
    for (at, slope) in [0, 3, 6].into_iter().enumerate() {
        let rest = |turn: &Turn| i64::from(turn.answer_bytes) - i64::from(turn.request_bytes * slope / 3);
        let within = |from: i64| turns.iter().filter(|turn| (from..=from + 3).contains(&rest(turn))).count() as u64;
        let most = turns.iter().map(|turn| within(rest(turn))).max().unwrap_or_default();
        if at == 0 || most * 10 > best * BETTER_BY {
            best = most;
        }
    }
    best
}
