use proptest::prelude::*;

use crate::{
    exchange::{Grade, Outcome, Turn, TurnFlags},
    stream::{
        StreamSettings,
        testing::{CLIENT, SERVER, Talk},
    },
    tcp::{Chunk, Direction, Ending},
};

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    [&[kind, 3, 3, length[0], length[1]], content].concat()
}

/// A hello with one suite: of a client (1) or of a server (2).
fn hello(kind: u8, suite: [u8; 2]) -> Vec<u8> {
    let suites = if kind == 1 { [&[0, 2], &suite[..], &[1, 0]].concat() } else { [&suite[..], &[0]].concat() };
    let body = [&[3, 3], &[7; 32][..], &[0], &suites].concat();
    record(22, &[&[kind, 0, 0, body.len() as u8], &body[..]].concat())
}

/// What each side sends in turn: two requests with their answers under TLS 1.2.
fn talk() -> Vec<(Direction, Vec<u8>)> {
    let opened =
        |direction, kind| (direction, [hello(kind, [0xc0, 0x2f]), record(20, &[1]), record(22, &[0; 40])].concat());
    let content = |direction, length| (direction, record(23, &vec![0xee; length]));
    vec![
        opened(CLIENT, 1),
        opened(SERVER, 2),
        content(CLIENT, 124),
        content(SERVER, 332),
        content(CLIENT, 130),
        (SERVER, [record(23, &[1; 200]), record(23, &[2; 156])].concat()),
    ]
}

fn following() -> Talk {
    Talk::with(StreamSettings { follow_turns: true, ..StreamSettings::default() })
}

fn lengths(talk: &Talk) -> Vec<(u32, u32)> {
    let lengths = |turn: &Turn| (turn.request_bytes, turn.answer_bytes);
    talk.streams.sink().turns.iter().map(lengths).collect()
}

const BOTH: [(u32, u32); 2] = [(100, 308), (106, 308)];

#[test]
fn turns_are_reported_with_their_ends_and_their_grade() {
    let mut connection = following();
    talk().iter().for_each(|(direction, bytes)| {
        connection.chunk(*direction, Chunk::Data(bytes));
    });
    connection.end(Ending::Closed);
    assert_eq!(lengths(&connection), BOTH);
    let turn = &connection.streams.sink().turns[0];
    assert_eq!((turn.client, turn.server), (connection.flow.sender(CLIENT), connection.flow.sender(SERVER)));
    assert_eq!((turn.packet, turn.flags, turn.grade), (4, TurnFlags::default(), Grade::TwoWay));
    assert!(turn.connection.is_some(), "the hellos were seen");
    assert!(connection.streams.sink().finished.is_empty(), "a turn is no exchange");
}

#[test]
fn nothing_is_followed_unless_it_is_wanted() {
    let mut connection = Talk::new();
    talk().iter().for_each(|(direction, bytes)| {
        connection.chunk(*direction, Chunk::Data(bytes));
    });
    connection.end(Ending::Closed);
    assert_eq!((lengths(&connection), connection.streams.counters().tls_turns), (vec![], 0));
}

#[test]
fn a_handshake_that_fails_is_reported_as_without_turns() {
    let mut connection = following();
    connection.client(hello(1, [0xc0, 0x2f])).server(record(21, &[2, 40])).end(Ending::Closed);
    let outcomes: Vec<Outcome> = connection.streams.sink().finished.iter().map(|exchange| exchange.outcome).collect();
    assert_eq!(outcomes, [Outcome::TlsAlert]);
}

#[test]
fn a_hole_within_a_record_costs_nothing_and_another_at_most_its_turns() {
    for (start, length, expected) in
        [(0, 0, &BOTH[..]), (60, 100, &BOTH[..]), (60, 277, &BOTH[..]), (2, 300, &[]), (60, 278, &[])]
    {
        let mut connection = following();
        for (number, (direction, bytes)) in talk().into_iter().enumerate() {
            if number == 3 && length > 0 {
                let (before, rest) = bytes.split_at(start.min(bytes.len()));
                connection.chunk(direction, Chunk::Data(before));
                connection.chunk(direction, Chunk::Gap(length as u64));
                connection.chunk(direction, Chunk::Data(rest.get(length..).unwrap_or_default()));
            } else {
                connection.chunk(direction, Chunk::Data(&bytes));
            }
        }
        connection.end(Ending::Closed);
        assert_eq!(lengths(&connection), expected, "{length} bytes at {start}");
    }
}

#[test]
fn a_connection_whose_server_hello_was_lost_is_followed() {
    let mut connection = following();
    let finished = [hello(1, [0xc0, 0x2f]), record(20, &[1]), record(22, &[0; 40])].concat();
    connection.client(finished).chunk(SERVER, Chunk::Gap(300));
    for (direction, bytes) in talk().into_iter().skip(2) {
        connection.chunk(direction, Chunk::Data(&bytes));
    }
    connection.end(Ending::Closed);
    assert_eq!(lengths(&connection), BOTH);
    let counters = connection.streams.counters();
    assert_eq!((counters.tls_suites_inferred, counters.tls_not_followed), (1, 0));
}

#[test]
fn a_connection_that_shows_no_suite_is_counted() {
    let mut connection = following();
    connection.client([hello(1, [0xc0, 0x2f]), record(20, &[1]), record(22, &[0; 43])].concat());
    connection.chunk(SERVER, Chunk::Gap(300));
    for (direction, bytes) in talk().into_iter().skip(2) {
        connection.chunk(direction, Chunk::Data(&bytes));
    }
    connection.end(Ending::Closed);
    let counters = connection.streams.counters();
    assert_eq!((lengths(&connection), counters.tls_not_followed), (vec![], 1));
}

#[test]
fn the_client_of_a_lost_client_hello_is_the_other_side_of_the_server_hello() {
    let mut connection = following();
    connection.chunk(CLIENT, Chunk::Gap(200));
    for (direction, bytes) in talk().into_iter().skip(1) {
        connection.chunk(direction, Chunk::Data(&bytes));
    }
    connection.end(Ending::Closed);
    assert_eq!(lengths(&connection), BOTH);
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_gives_the_same_turns(cuts in proptest::collection::vec(1usize..60, 1..200)) {
        let (mut connection, mut cuts) = (following(), cuts.into_iter().cycle());
        for (direction, bytes) in talk() {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                connection.chunk(direction, Chunk::Data(chunk));
                rest = after;
            }
        }
        connection.end(Ending::Closed);
        prop_assert_eq!(lengths(&connection), BOTH);
    }

    #[test]
    fn no_bytes_and_no_holes_cause_a_panic(
        parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40), 0u64..400), 0..40),
        at in 0usize..6,
    ) {
        let mut connection = following();
        for (direction, bytes) in talk().into_iter().take(at) {
            connection.chunk(direction, Chunk::Data(&bytes));
        }
        for (by_client, bytes, hole) in parts {
            let direction = if by_client { CLIENT } else { SERVER };
            connection.chunk(direction, Chunk::Data(&bytes));
            if hole % 3 == 0 {
                connection.chunk(direction, Chunk::Gap(hole + 1));
            }
        }
        connection.end(Ending::Closed);
    }
}
