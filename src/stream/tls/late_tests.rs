//! Secrets that come when nobody waits for them any more: they open what follows.

use proptest::prelude::*;

use super::{CLIENT, SERVER, SUITE, direction, exchanges, give, key_log, recorded, store, talk};
use crate::{
    stream::{
        StreamSettings,
        testing::Talk,
        tls::{TlsKeys, decrypt::Sender},
    },
    tcp::{Chunk, Ending},
};

/// Requests with their responses, numbered, of different lengths.
fn numbered(count: usize) -> Vec<(Sender, Vec<u8>)> {
    let one = |number: usize| {
        let body = "b".repeat(30 + 40 * (number % 9));
        let agent = "a".repeat(60);
        let request = format!("GET /{number} HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\n\r\n").into_bytes();
        let response = format!("HTTP/1.1 404 X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
        [(Sender::Client, request), (Sender::Server, response)]
    };
    (0..count).flat_map(one).collect()
}

/// A connection whose secrets come between two parts of its records, and long after they are waited for.
fn secrets_come_late(before: &[(Sender, Vec<u8>)], after: &[(Sender, Vec<u8>)], secrets: &str) -> Talk {
    let store = store();
    let mut talk = talk(&store);
    give(&mut talk, before);
    talk.wait(60);
    store.read_whole(secrets.as_bytes());
    give(&mut talk, after);
    talk
}

/// The rows of the exchanges from a number on.
fn rows_from(first: usize, count: usize) -> Vec<String> {
    (first..count).map(|number| format!("GET /{number} 404")).collect()
}

/// The rows of the exchanges from a number on, if those before it passed unread. A request among those may wait for the first
/// response, so it is not paired.
fn rows_after(unread: usize, count: usize) -> Vec<String> {
    if unread == 0 {
        return rows_from(0, count);
    }
    [vec![format!("GET /{unread} Unknown"), "  404".to_owned()], rows_from(unread + 1, count)].concat()
}

/// Records of a handshake in front of the data.
const OF_HANDSHAKE: usize = 7;

#[test]
fn secrets_that_come_after_patience_open_what_follows() {
    for suite in [0x1301, 0x1302, 0x1303] {
        for unread in [0, 1, 2, 30, 5_000] {
            let count = unread + 6;
            let records = recorded(suite, &numbered(count));
            let (before, after) = records.split_at(OF_HANDSHAKE + 2 * unread);
            let (hello, before) = before.split_at(4);
            let (store, what) = (store(), format!("{suite:x}, {unread} unread"));
            let mut talk = talk(&store);
            give(&mut talk, hello);
            give(talk.wait(60), before);
            assert_eq!((talk.streams.held_bytes(), talk.finished().len()), (0, 0), "{what}");
            store.read_whole(key_log(suite).concat().as_bytes());
            give(&mut talk, after);
            talk.end(Ending::Closed);
            assert_eq!(talk.rows(), rows_after(unread, count), "{what}");
            let counters = talk.streams.counters();
            assert_eq!((counters.tls_partly_read, counters.tls_unread, counters.tls_no_keys), (1, 0, 0), "{what}");
            assert_eq!((counters.tls_read, counters.tls_given_up), (1, 1), "{what}");
        }
    }
}

#[test]
fn secrets_that_come_when_too_much_was_held_open_what_follows() {
    let store = store();
    let mut talk = talk(&store);
    let records = recorded(SUITE, &[exchanges(400_000), numbered(3)].concat());
    let (before, after) = records.split_at(records.len() - 6);
    give(&mut talk, before);
    assert_eq!(talk.streams.counters().tls_held_refused, 1);
    store.read_whole(key_log(SUITE).concat().as_bytes());
    give(&mut talk, after);
    assert_eq!(talk.end(Ending::Closed).rows(), ["GET /0 Unknown", "  404", "GET /1 404", "GET /2 404"]);
}

/// A response whose request passed unread has no request.
#[test]
fn an_exchange_under_way_when_secrets_come_gets_no_other_half() {
    let body = b"GET /forged HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    let post = format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    let created = b"HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n".to_vec();
    let upload = vec![(Sender::Client, post), (Sender::Client, body), (Sender::Server, created)];
    let records = recorded(SUITE, &[numbered(1), upload, numbered(2)].concat());
    for unread in 0..=5 {
        let (before, after) = records.split_at(OF_HANDSHAKE + unread);
        let mut talk = secrets_come_late(before, after, &key_log(SUITE).concat());
        talk.end(Ending::Closed);
        let rows = talk.rows();
        let expected = match unread {
            0 => vec!["GET /0 404", "POST /up 201", "GET /0 404", "GET /1 404"],
            1 => vec!["  404", "POST /up 201", "GET /0 404", "GET /1 404"],
            2 => vec!["POST /up Unknown", "  201", "GET /0 404", "GET /1 404"],
            // Behind bytes that are missing, what looks like a request may be one. No response is paired with it.
            3 => vec!["GET /forged Unknown", "  201", "GET /0 404", "GET /1 404"],
            4 => vec!["  201", "GET /0 404", "GET /1 404"],
            _ => vec!["GET /0 Unknown", "  404", "GET /1 404"],
        };
        assert_eq!(rows, expected, "{unread}");
    }
}

/// A side whose secrets never come takes nothing from the other.
#[test]
fn late_secrets_of_one_side_give_what_it_sends() {
    for (side, row) in [("SERVER", "  404"), ("CLIENT", "GET /3 Unknown")] {
        let records = recorded(SUITE, &numbered(4));
        let (before, after) = records.split_at(OF_HANDSHAKE + 6);
        let mut talk = secrets_come_late(before, after, &super::secrets_of(side));
        assert_eq!(talk.end(Ending::Closed).rows(), [row]);
    }
}

/// Without secrets, a record that passes is neither kept nor tried, whatever is logged for other connections.
#[test]
fn secrets_of_other_connections_cost_a_connection_without_keys_nothing() {
    let records = recorded(SUITE, &numbered(40));
    let (before, after) = records.split_at(OF_HANDSHAKE);
    let store = store();
    let mut talk = talk(&store);
    give(&mut talk, before);
    talk.wait(60);
    let failed = talk.streams.counters().tls_records_failed;
    for (number, record) in after.iter().enumerate() {
        let random = format!("{number:064x}");
        let line = |label: &str| format!("{label} {random} {}\n", "ab".repeat(32));
        store.read_whole([line("CLIENT_TRAFFIC_SECRET_0"), line("SERVER_TRAFFIC_SECRET_0")].concat().as_bytes());
        give(&mut talk, std::slice::from_ref(record));
    }
    talk.end(Ending::Closed);
    let counters = talk.streams.counters();
    assert_eq!((counters.tls_records_failed, counters.tls_unread, counters.tls_no_keys), (failed, 1, 1));
}

/// Turns are those of what was not read; what is read counts as exchanges.
#[test]
fn turns_and_exchanges_do_not_count_the_same_request() {
    let store = store();
    let mut talk = Talk::with(StreamSettings { follow_turns: true, ..StreamSettings::default() });
    store.expect_some();
    talk.streams.use_tls_keys(TlsKeys::new(std::sync::Arc::clone(&store), false));
    let records = recorded(SUITE, &numbered(40));
    let (before, after) = records.split_at(OF_HANDSHAKE + 40);
    let (hello, before) = before.split_at(OF_HANDSHAKE);
    give(&mut talk, hello);
    give(talk.wait(60), before);
    let turns = talk.streams.counters().tls_turns;
    store.read_whole(key_log(SUITE).concat().as_bytes());
    give(&mut talk, after);
    talk.end(Ending::Closed);
    assert_eq!(talk.rows(), rows_after(20, 40));
    assert_eq!(talk.streams.counters().tls_turns, turns, "none after the first record that was read");
    assert!((17..=19).contains(&turns), "{turns}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whenever the lines of the key log come, and in whatever order, and whatever is lost: what is read is a part of what early
    /// secrets give.
    #[test]
    fn any_time_of_arrival_gives_a_part_of_the_exchanges(
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        times in proptest::array::uniform4(0usize..40),
        wait_at in proptest::collection::vec(0usize..40, 1..4),
        lost in proptest::collection::vec(7usize..40, 0..3),
        suite in prop_oneof![Just(0x1301u16), Just(0x1302), Just(0x1303)],
        cut in 1usize..400,
    ) {
        let (store, lines) = (store(), key_log(suite));
        let mut talk = talk(&store);
        for (number, (sender, record)) in recorded(suite, &numbered(16)).iter().enumerate() {
            if wait_at.contains(&number) {
                talk.wait(11);
            }
            for (line, _) in order.iter().zip(&times).filter(|(_, time)| **time == number) {
                store.read_whole(lines[*line].as_bytes());
            }
            let side = direction(*sender);
            for (part, piece) in record.chunks(cut).enumerate() {
                let is_lost = lost.contains(&number) && part != 1;
                talk.chunk(side, if is_lost { Chunk::Gap(piece.len() as u64) } else { Chunk::Data(piece) });
            }
        }
        talk.chunk(CLIENT, Chunk::Fin).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        let whole = rows_from(0, 16);
        for row in talk.rows() {
            let is_half = row == "  404" || whole.iter().any(|known| row == known.replace("404", "Unknown"));
            prop_assert!(is_half || whole.contains(&row), "{:?}", talk.rows());
        }
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The same as [`numbered`] in HTTP/2. The first request puts its authority into the table, and the others refer to it.
fn numbered_http2(count: usize) -> Vec<(Sender, Vec<u8>)> {
    let settings = frame(4, 0, 0, &[]);
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
    let mut parts = vec![(Sender::Client, preface), (Sender::Server, settings)];
    for number in 0..count {
        let path = format!("/{number}");
        let authority: &[u8] = if number == 0 { &[0x41, 1, b'h'] } else { &[0xbe] };
        let block = [&[0x82, 0x87, 0x04, path.len() as u8], path.as_bytes(), authority].concat();
        let stream = 2 * number as u32 + 1;
        parts.push((Sender::Client, frame(1, 5, stream, &block)));
        parts.push((Sender::Server, frame(1, 5, stream, &[0x8d])));
    }
    parts
}

/// What was put into the table before is not known; nothing else is missing.
#[test]
fn http2_goes_on_with_a_table_that_is_not_known() {
    for unread in [1, 5, 40] {
        let count = unread + 4;
        let records = recorded(SUITE, &numbered_http2(count));
        let (before, after) = records.split_at(OF_HANDSHAKE + 2 + 2 * unread);
        let mut talk = secrets_come_late(before, after, &key_log(SUITE).concat());
        talk.end(Ending::Closed);
        assert_eq!(talk.rows(), rows_from(unread, count));
        let hosts = talk.finished().iter().map(|exchange| exchange.field(exchange.host));
        assert!(hosts.into_iter().all(<[u8]>::is_empty), "{unread}");
    }
}
