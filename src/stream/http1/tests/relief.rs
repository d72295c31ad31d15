//! Exchanges that were let go because too many were in flight: the memory is bounded, and a pair may be unknown, but is never wrong.

use proptest::prelude::*;

use crate::stream::{
    StreamSettings,
    testing::{SERVER, Talk},
};
use crate::tcp::{Chunk, Ending};

const LIMIT: usize = 1;

fn get(number: u16) -> String {
    format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The answer to a request, told by its status.
fn answer(number: u16) -> String {
    format!("HTTP/1.1 {} x\r\nContent-Length: 4\r\n\r\nbody", status(number))
}

fn status(number: u16) -> u16 {
    400 + number % 199
}

fn talk() -> Talk {
    Talk::with(StreamSettings { max_in_flight_bytes: LIMIT, ..StreamSettings::default() })
}

/// Lets go what is in flight, as the shard does over the limit.
fn relieve(talk: &mut Talk) {
    if talk.streams.needs_relief() {
        talk.relieve();
    }
}

#[test]
fn a_client_that_waits_for_answers_is_paired_again_after_one_answer() {
    let mut talk = talk();
    talk.client(get(1)).server(answer(1)).client(get(2));
    relieve(&mut talk);
    talk.server(answer(2)).client(get(3)).server(answer(3)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["GET /1 401", "GET /2 Unknown", "  402", "GET /3 403"]);
    assert_eq!(talk.streams.counters().in_flight_dropped, 1);
}

#[test]
fn an_answer_that_has_begun_is_finished_as_it_stands() {
    let mut talk = talk();
    talk.client(get(1)).client(get(2)).server("HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\nbo");
    relieve(&mut talk);
    assert_eq!(talk.rows(), ["GET /1 404", "GET /2 Unknown"]);
    talk.server("dy").server(answer(2)).end(Ending::Closed);
    assert_eq!(talk.rows()[2..], ["  402"]);
}

#[test]
fn a_response_without_a_request_is_in_flight_too() {
    let mut talk = talk();
    talk.flow.opened_by = None;
    talk.server("HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\nbo");
    relieve(&mut talk);
    assert_eq!(talk.rows(), ["  404"]);
    talk.server("dy").server(answer(1)).end(Ending::Closed);
    assert_eq!(talk.rows(), ["  404", "  401"]);
    assert!(!talk.streams.needs_relief());
}

#[test]
fn nothing_is_charged_when_nothing_is_in_flight() {
    let mut talk = talk();
    for number in 1..50 {
        talk.client(get(number)).server(answer(number));
        assert!(!talk.streams.needs_relief(), "{number}");
    }
    talk.client(get(1)).client(get(2)).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
    assert!(!talk.streams.needs_relief());
}

proptest! {
    /// A client that sends up to four requests ahead, a server that answers in order, and relief at any time.
    #[test]
    fn a_pair_is_never_wrong(steps in proptest::collection::vec(0u8..6, 1..80)) {
        let mut talk = talk();
        let (mut asked, mut answered) = (0u16, 0u16);
        for step in steps {
            match step {
                0..=2 if asked < answered + 4 => {
                    asked += 1;
                    talk.client(get(asked));
                }
                3 | 4 if answered < asked => {
                    answered += 1;
                    talk.server(answer(answered));
                }
                5 => relieve(&mut talk),
                _ => {}
            }
        }
        talk.end(Ending::Closed);
        prop_assert!(!talk.streams.needs_relief());
        let exchanges = talk.finished();
        prop_assert_eq!(exchanges.iter().filter(|exchange| exchange.status != 0).count(), usize::from(answered));
        for exchange in exchanges.iter().filter(|exchange| exchange.status != 0 && !exchange.target.is_empty()) {
            let target = String::from_utf8_lossy(exchange.field(exchange.target)).into_owned();
            let number: u16 = target.trim_start_matches('/').parse().unwrap();
            prop_assert_eq!(exchange.status, status(number), "{:?}", talk.rows());
        }
    }
}
