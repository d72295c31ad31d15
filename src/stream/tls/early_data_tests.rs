//! Early data of TLS 1.3, of which secrets or packets are missing.

use proptest::prelude::*;

use super::{
    decrypt::{
        Sender,
        tests13::{early_key_log, key_log, recorded_early},
    },
    tests::{SUITE, direction, give, store, talk},
};
use crate::tcp::{Chunk, Ending};

const PATHS: [&str; 4] = ["/1", "/2", "/3", "/4"];

/// The answer to each path has a status of its own.
const TRUTH: [&str; 4] = ["GET /1 401", "GET /2 402", "GET /3 403", "GET /4 404"];

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

/// A connection whose first two requests are early data, and which sends them again if they are rejected.
fn records(is_accepted: bool, answers_early: bool) -> Vec<(Sender, Vec<u8>)> {
    let answer =
        |status: u16| (Sender::Server, format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno").into_bytes());
    let ask = |path: &str| (Sender::Client, get(path));
    let mut parts = vec![answer(401), answer(402), ask("/3"), answer(403), ask("/4"), answer(404)];
    if !is_accepted {
        parts.splice(0..0, [ask("/1")]);
        parts.insert(2, ask("/2"));
    }
    let early = [get(PATHS[0]), get(PATHS[1])];
    let mut records = recorded_early(is_accepted, &[&early[0], &early[1]], &parts);
    if is_accepted && answers_early {
        // The server answers before it has the client's EndOfEarlyData and Finished.
        records[5..9].rotate_left(2);
    }
    records
}

/// The lines of a key log: the early secret, then those of `key_log`.
fn lines() -> Vec<String> {
    [vec![early_key_log()], key_log(SUITE)].concat()
}

#[test]
fn what_the_client_sends_next_shows_whether_early_data_was_accepted() {
    for (is_accepted, answers_early) in [(true, false), (true, true), (false, false)] {
        // The server's handshake secret, then both handshake secrets are missing: its answer cannot be read.
        for missing in [vec![2], vec![1, 2]] {
            let store = store();
            for (number, line) in lines().iter().enumerate() {
                if !missing.contains(&number) {
                    store.read_whole(line.as_bytes());
                }
            }
            let mut talk = talk(&store);
            give(&mut talk, &records(is_accepted, answers_early));
            talk.wait(60).end(Ending::Closed);
            assert_eq!(talk.rows(), TRUTH, "accepted: {is_accepted}, {answers_early}, without lines {missing:?}");
        }
    }
}

#[test]
fn early_data_without_its_secret_costs_no_later_request() {
    for is_accepted in [true, false] {
        let store = store();
        store.read_whole(key_log(SUITE).concat().as_bytes());
        let mut talk = talk(&store);
        give(&mut talk, &records(is_accepted, false));
        talk.wait(60).end(Ending::Closed);
        assert!(
            talk.rows().ends_with(&TRUTH[2..].iter().map(|row| (*row).to_owned()).collect::<Vec<_>>()),
            "{:?}",
            talk.rows()
        );
    }
}

proptest! {
    /// Whatever is missing, no request gets the answer of another one.
    #[test]
    fn no_request_gets_another_answer(
        is_accepted in any::<bool>(),
        answers_early in any::<bool>(),
        known in proptest::collection::vec(any::<bool>(), 5),
        lost in proptest::collection::vec(prop_oneof![8 => Just(0u8), 1 => Just(1), 1 => Just(2)], 20),
    ) {
        let store = store();
        for (line, is_known) in lines().iter().zip(known) {
            if is_known {
                store.read_whole(line.as_bytes());
            }
        }
        let mut talk = talk(&store);
        for ((sender, record), lost) in records(is_accepted, answers_early).iter().zip(lost) {
            let (first, second) = record.split_at(record.len() / 2);
            let (first, gap) = match lost {
                0 => (&record[..], 0),
                1 => (&[][..], record.len()),
                _ => (first, second.len()),
            };
            if !first.is_empty() {
                talk.chunk(direction(*sender), Chunk::Data(first));
            }
            if gap > 0 {
                talk.chunk(direction(*sender), Chunk::Gap(gap as u64));
            }
        }
        talk.wait(60).end(Ending::Closed);
        for row in talk.rows() {
            let is_whole = row.starts_with("GET /") && row.split(' ').nth(2).is_some_and(|status| status.parse::<u16>().is_ok());
            prop_assert!(!is_whole || TRUTH.contains(&row.as_str()), "{:?}", talk.rows());
        }
    }
}
