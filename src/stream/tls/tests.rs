//! TLS on a connection: HTTP inside records, with secrets before, after and without them.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    TlsKeys,
    decrypt::{
        Sender,
        tests13::{early_key_log, key_log, recorded, recorded_early},
    },
    secrets::{SecretStore, Secrets},
};
use crate::{
    keyed_hash::KeyedState,
    stream::{
        StreamSettings,
        testing::{CLIENT, SERVER, Talk},
    },
    tcp::{Chunk, Direction, Ending},
};

pub(super) const SUITE: u16 = 0x1301;

pub(super) fn store() -> Arc<SecretStore> {
    Arc::new(Secrets::new(1_000, KeyedState::secret(), Vec::new()))
}

/// A connection's end that is decrypted with the secrets of a store.
pub(super) fn talk(store: &Arc<SecretStore>) -> Talk {
    let mut talk = Talk::new();
    store.expect_some();
    talk.streams.use_tls_keys(TlsKeys::new(Arc::clone(store), false));
    talk
}

pub(super) fn direction(sender: Sender) -> Direction {
    if sender == Sender::Client { CLIENT } else { SERVER }
}

/// Three exchanges: an error, a download, an error.
fn exchanges(download: usize) -> Vec<(Sender, Vec<u8>)> {
    let get = |path: &str| (Sender::Client, format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes());
    let answer = |status: u16, body: usize| {
        let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {body}\r\n\r\n").into_bytes();
        bytes.extend(vec![b'b'; body]);
        (Sender::Server, bytes)
    };
    vec![get("/a"), answer(404, 153), get("/b"), answer(200, download), get("/c"), answer(503, 20)]
}

/// Each record comes in a packet of its own.
pub(super) fn give(talk: &mut Talk, records: &[(Sender, Vec<u8>)]) {
    for (sender, record) in records {
        talk.chunk(direction(*sender), Chunk::Data(record));
    }
}

fn whole(store: &Arc<SecretStore>, download: usize) -> Talk {
    let mut talk = talk(store);
    give(&mut talk, &recorded(SUITE, &exchanges(download)));
    talk
}

const ROWS: [&str; 3] = ["GET /a 404", "GET /b 200", "GET /c 503"];

#[test]
fn each_suite_is_read_whatever_the_order_of_the_secrets() {
    for suite in [0x1301, 0x1302, 0x1303] {
        for backwards in [false, true] {
            let store = store();
            let mut lines = key_log(suite);
            if backwards {
                lines.reverse();
            }
            store.read_whole(lines.concat().as_bytes());
            let mut talk = talk(&store);
            give(&mut talk, &recorded(suite, &exchanges(5_000)));
            assert_eq!(talk.end(Ending::Closed).rows(), ROWS);
            assert_eq!(talk.finished()[0].tls.as_ref().unwrap().version, 0x0304);
        }
    }
}

#[test]
fn records_are_held_for_secrets_that_come_late() {
    let store = store();
    let mut talk = whole(&store, 100);
    assert!(talk.finished().is_empty() && talk.streams.held_bytes() > 0);
    store.read_whole(key_log(SUITE).concat().as_bytes());
    talk.wait(2);
    assert_eq!(talk.rows(), ROWS);
    assert_eq!(talk.streams.held_bytes(), 0);
    let times: Vec<_> = talk.finished().iter().map(|exchange| exchange.response_start.unwrap().number).collect();
    assert_eq!(times, [9, 11, 13], "an exchange has the stamps of the packets that carried it");
    talk.end(Ending::Closed);
}

/// The secrets of a connection come one after another, in any order, while its packets come, too.
#[test]
fn secrets_that_come_one_by_one_open_all() {
    for order in [[0, 1, 2, 3], [2, 3, 0, 1], [2, 0, 3, 1], [3, 2, 1, 0], [0, 2, 1, 3]] {
        for before in [0, 4, 8, 20] {
            let (store, lines) = (store(), key_log(SUITE));
            let mut talk = talk(&store);
            let records = recorded(SUITE, &exchanges(100));
            let (first, second) = records.split_at(before.min(records.len()));
            give(&mut talk, first);
            for line in order {
                store.read_whole(lines[line].as_bytes());
                talk.wait(2);
            }
            give(&mut talk, second);
            assert_eq!(talk.wait(2).end(Ending::Closed).rows(), ROWS, "{order:?}, {before} records before");
        }
    }
}

/// Only the client's side can be read. Its requests are of unknown outcome, and none counts as unanswered.
#[test]
fn without_the_servers_secrets_nothing_is_said_of_answers() {
    let store = store();
    let lines = key_log(SUITE);
    store.read_whole([lines[0].as_str(), &lines[2]].concat().as_bytes());
    let mut talk = whole(&store, 100);
    talk.wait(60).chunk(SERVER, Chunk::Fin).chunk(CLIENT, Chunk::Fin).end(Ending::Closed);
    assert_eq!(talk.streams.counters().no_response, 0, "{:?}", talk.rows());
}

/// Early data is read as soon as the server has accepted it, whenever the secrets come; what was rejected is sent again.
#[test]
fn early_data_is_read_when_it_is_accepted() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
    let answer = (Sender::Server, b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno".to_vec());
    let (one, two, three) = (get("/1"), get("/2"), get("/3"));
    let sent_again = (Sender::Client, [&one[..], &two].concat());
    for (is_accepted, comes_late) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut parts = vec![answer.clone(), answer.clone(), (Sender::Client, three.clone()), answer.clone()];
        if !is_accepted {
            parts.insert(0, sent_again.clone());
        }
        for early in [vec![&one[..], &two], vec![&sent_again.1]] {
            let records = recorded_early(is_accepted, &early, &parts);
            let store = store();
            let secrets = [key_log(SUITE).concat(), early_key_log()].concat();
            let mut talk = talk(&store);
            if !comes_late {
                store.read_whole(secrets.as_bytes());
            }
            for (number, (sender, record)) in records.iter().enumerate() {
                talk.chunk(direction(*sender), Chunk::Data(record));
                let is_answered = number > early.len() + 2 && is_accepted && !comes_late;
                assert!(!is_answered || talk.streams.counters().requests >= 2, "held after the server's answer");
            }
            store.read_whole(secrets.as_bytes());
            talk.wait(2).end(Ending::Closed);
            let what = format!("accepted: {is_accepted}, secrets late: {comes_late}");
            assert_eq!(talk.rows(), ["GET /1 404", "GET /2 404", "GET /3 404"], "{what}");
            let counters = talk.streams.counters();
            assert_eq!(
                (counters.tls_records_failed, counters.tls_given_up, talk.streams.held_bytes()),
                (0, 0, 0),
                "{what}"
            );
        }
    }
}

/// The first data of the server is cut: the answer behind it is that of the second request.
#[test]
fn an_answer_that_is_not_whole_does_not_move_the_others() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut talk = talk(&store);
    let mut parts = exchanges(100);
    parts.swap(1, 2);
    let records = recorded(SUITE, &parts);
    let cut = records.len() - parts.len() + 2;
    for (number, (sender, record)) in records.iter().enumerate() {
        let (first, rest) = record.split_at(if number == cut { 30 } else { record.len() });
        talk.chunk(direction(*sender), Chunk::Data(first));
        if !rest.is_empty() {
            talk.chunk(direction(*sender), Chunk::Gap(rest.len() as u64));
        }
    }
    let rows = talk.end(Ending::Closed).rows();
    // What comes after a hole may answer either request.
    assert!(rows.iter().any(|row| row == "  200"), "{rows:?}");
    assert!(rows.iter().all(|row| !row.starts_with("GET") || row.ends_with(" Unknown")), "{rows:?}");
}

/// A client that opens connections ahead and closes them unused leaves nothing unread.
#[test]
fn a_connection_without_data_is_not_unread() {
    for (has_keys, expected) in [(true, (1, 0)), (false, (0, 1))] {
        let store = store();
        let mut talk = talk(&store);
        if has_keys {
            store.read_whole(key_log(SUITE).concat().as_bytes());
        }
        give(&mut talk, &recorded(SUITE, &[]));
        talk.wait(60).chunk(CLIENT, Chunk::Fin).chunk(SERVER, Chunk::Fin).end(Ending::Closed);
        let counters = talk.streams.counters();
        assert_eq!((counters.tls_without_data, counters.tls_unread), expected, "keys: {has_keys}");
    }
}

#[test]
fn what_is_held_in_vain_is_given_up_and_counted() {
    for (seconds, download) in [(60, 100), (0, 400_000), (0, 100)] {
        let mut talk = whole(&store(), download);
        talk.wait(seconds).end(Ending::Closed);
        let counters = talk.streams.counters();
        assert_eq!((counters.tls_no_keys, counters.tls_read), (1, 0));
        assert_eq!(counters.tls_held_refused, u64::from(download > 100_000));
        assert!(talk.rows().is_empty());
    }
}

/// The client's secrets never come. What does not fit among the records that wait for them is read after these.
#[test]
fn what_finds_no_room_is_read_all_the_same() {
    let store = store();
    let lines = key_log(SUITE);
    store.read_whole([lines[1].as_str(), &lines[3]].concat().as_bytes());
    store.expect_some();
    let mut talk = Talk::with(StreamSettings { max_tls_held_bytes: 3_000, ..StreamSettings::default() });
    talk.streams.use_tls_keys(TlsKeys::new(store, false));
    let parts: Vec<_> = (0..10).flat_map(|_| exchanges(100)).collect();
    give(&mut talk, &recorded(SUITE, &parts));
    talk.end(Ending::Closed);
    assert_eq!(talk.streams.counters().tls_held_refused, 1);
    assert_eq!(talk.rows().iter().filter(|row| !row.ends_with(" Unknown")).count(), 30, "{:?}", talk.rows());
}

#[test]
fn a_wrong_secret_opens_nothing_and_hides_no_right_one() {
    let store = store();
    let wrong: Vec<String> =
        key_log(SUITE).iter().map(|line| line.replace("0303", "0909").replace("0404", "0808")).collect();
    store.read_whole(wrong.concat().as_bytes());
    let mut talk = whole(&store, 100);
    assert!(talk.rows().is_empty());
    store.read_whole(key_log(SUITE).concat().as_bytes());
    assert_eq!(talk.wait(2).end(Ending::Closed).rows(), ROWS);
}

#[test]
fn the_middle_of_a_download_is_not_decrypted() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut talk = whole(&store, 1 << 20);
    assert_eq!(talk.end(Ending::Closed).rows(), ROWS);
    let counters = talk.streams.counters();
    assert!(counters.tls_records_skipped > 60, "{}", counters.tls_records_skipped);
    assert_eq!(talk.finished()[1].response_body_bytes, 1 << 20);
}

/// Requests over one connection, the record of one of which was not captured: its response is known without its request, and all
/// others have their own.
#[test]
fn a_lost_request_costs_nothing_but_itself() {
    for suite in [0x1301, 0x1303] {
        let store = store();
        store.read_whole(key_log(suite).concat().as_bytes());
        let parts: Vec<(Sender, Vec<u8>)> = (0..12)
            .flat_map(|number| {
                let path = "x".repeat(number % 5);
                let request = format!("GET /{number}{path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
                let response = b"HTTP/1.1 404 X\r\nContent-Length: 3\r\n\r\nabc".to_vec();
                [(Sender::Client, request), (Sender::Server, response)]
            })
            .collect();
        let mut talk = talk(&store);
        for (index, (sender, record)) in recorded(suite, &parts).into_iter().enumerate() {
            let is_lost = index == 7 + 2 * 4;
            let length = record.len() as u64;
            talk.chunk(direction(sender), if is_lost { Chunk::Gap(length) } else { Chunk::Data(&record) });
        }
        let expected: Vec<String> =
            (0..12)
                .map(|number| {
                    if number == 4 {
                        "  404".to_owned()
                    } else {
                        format!("GET /{number}{} 404", "x".repeat(number % 5))
                    }
                })
                .collect();
        assert_eq!(talk.end(Ending::Closed).rows(), expected);
    }
}

/// A client writes its secrets while it connects, and a short connection is over before they are read.
#[test]
fn secrets_that_come_after_the_end_open_what_was_held() {
    for ending in [Ending::Closed, Ending::Reset, Ending::Idle, Ending::Evicted, Ending::Replaced] {
        let store = store();
        let mut talk = whole(&store, 100);
        talk.chunk(CLIENT, Chunk::Fin).chunk(SERVER, Chunk::Fin).close(ending);
        assert!(talk.streams.held_bytes() > 0 && talk.finished().is_empty(), "{ending:?}");
        store.read_whole(key_log(SUITE).concat().as_bytes());
        assert_eq!(talk.wait(2).rows(), ROWS, "{ending:?}");
        assert_eq!(talk.streams.held_bytes(), 0);
        assert_eq!(talk.streams.counters().tls_read, 1);
    }
}

/// The lines of the key log that are of one side.
fn secrets_of(side: &str) -> String {
    let lines = key_log(SUITE).concat();
    lines.lines().filter(|line| line.starts_with(side)).map(|line| format!("{line}\n")).collect()
}

/// OpenSSL writes the client's secret last, so a key log that is cut off lacks it.
#[test]
fn the_secrets_of_one_side_give_what_it_sent() {
    for (side, rows) in
        [("SERVER", ["  404", "  200", "  503"]), ("CLIENT", ["GET /a Unknown", "GET /b Unknown", "GET /c Unknown"])]
    {
        for seconds in [0, 11] {
            let store = store();
            store.read_whole(secrets_of(side).as_bytes());
            assert_eq!(whole(&store, 100).wait(seconds).end(Ending::Closed).rows(), rows, "{side} {seconds}");
        }
    }
}

/// The first records wait for the other side's secrets, in vain; later ones do not.
#[test]
fn the_secrets_of_the_server_give_all_responses() {
    let store = store();
    store.read_whole(secrets_of("SERVER_TRAFFIC").as_bytes());
    let parts: Vec<(Sender, Vec<u8>)> = (0..70)
        .flat_map(|number| {
            let request = format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
            let body = "b".repeat(40 * number);
            let response = format!("HTTP/1.1 404 X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            [(Sender::Client, request), (Sender::Server, response.into_bytes())]
        })
        .collect();
    let mut talk = talk(&store);
    for (sender, record) in recorded(SUITE, &parts) {
        record.chunks(700).for_each(|segment| _ = talk.chunk(direction(sender), Chunk::Data(segment)).wait(1));
    }
    assert_eq!(talk.end(Ending::Closed).rows(), ["  404"; 70]);
}

#[test]
fn what_is_held_after_the_end_is_let_go_in_time() {
    let store = store();
    let mut talk = whole(&store, 100);
    talk.close(Ending::Closed).wait(9);
    assert!(talk.streams.held_bytes() > 0);
    talk.wait(2);
    assert_eq!(talk.streams.held_bytes(), 0);
    let counters = talk.streams.counters();
    assert_eq!((counters.tls_given_up, counters.tls_no_keys, counters.tls_without_data), (1, 1, 0));
}

#[test]
fn few_connections_are_kept_after_their_end() {
    let store = store();
    let mut talk = talk(&store);
    for _ in 0..1_030 {
        for (sender, record) in recorded(SUITE, &exchanges(100)) {
            talk.chunk(direction(sender), Chunk::Data(&record));
        }
        talk.close(Ending::Closed);
    }
    assert_eq!(talk.streams.counters().tls_given_up, 6, "the oldest are let go");
    store.read_whole(key_log(SUITE).concat().as_bytes());
    assert_eq!(talk.wait(2).finished().len(), 3 * 1_024);
}

/// What was not read because of its suite, or not captured whole, is not taken for a connection without data.
#[test]
fn a_connection_without_data_has_no_records_that_were_not_read() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut unsupported = talk(&store);
    for (sender, mut record) in recorded(SUITE, &exchanges(100)) {
        // AES-CCM in the ServerHello, behind its version, its random and an empty session identifier.
        if sender == Sender::Server && record[0] == 22 && record[5] == 2 {
            let at = record.windows(2).position(|pair| pair == SUITE.to_be_bytes()).unwrap();
            record[at + 1] = 4;
        }
        unsupported.chunk(direction(sender), Chunk::Data(&record));
    }
    let counters = unsupported.end(Ending::Closed).streams.counters();
    assert_eq!((counters.tls_unsupported_suite, counters.tls_without_data, counters.tls_unread), (1, 0, 1));

    let mut snapped = talk(&store);
    for (sender, record) in recorded(SUITE, &exchanges(100)) {
        let (kept, cut) = record.split_at(record.len().min(if record[0] == 22 { 500 } else { 20 }));
        snapped.chunk(direction(sender), Chunk::Data(kept));
        if !cut.is_empty() {
            snapped.chunk(direction(sender), Chunk::Snapped(cut.len() as u64));
        }
    }
    let counters = snapped.end(Ending::Closed).streams.counters();
    assert_eq!((counters.tls_incomplete, counters.tls_without_data, counters.tls_unread), (1, 0, 1));
}

/// The snap length leaves no record of the server whole.
#[test]
fn a_connection_of_which_records_are_not_whole_is_read_in_part() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut talk = talk(&store);
    for (sender, record) in recorded(SUITE, &exchanges(100)) {
        let (kept, beyond) = record.split_at(record.len().min(if sender == Sender::Server { 60 } else { 1_000 }));
        talk.chunk(direction(sender), Chunk::Data(kept));
        if !beyond.is_empty() {
            talk.chunk(direction(sender), Chunk::Snapped(beyond.len() as u64));
        }
    }
    let counters = talk.end(Ending::Closed).streams.counters();
    assert_eq!((counters.tls_read, counters.tls_partly_read, counters.tls_unread), (1, 1, 0));
}

/// A proxy's tunnel carries TLS, and TLS carries a tunnel.
#[test]
fn a_tunnel_through_a_proxy_is_read() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut talk = talk(&store);
    talk.client("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").server("HTTP/1.1 200 OK\r\n\r\n");
    for (sender, record) in recorded(SUITE, &exchanges(100)) {
        talk.chunk(direction(sender), Chunk::Data(&record));
    }
    assert_eq!(talk.end(Ending::Closed).rows(), ["CONNECT h:443 200", ROWS[0], ROWS[1], ROWS[2]]);
}

/// After an upgrade, what is in the records is no HTTP, though it may look like it.
#[test]
fn a_websocket_inside_is_left_alone() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut parts = exchanges(5_000);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    parts.push((Sender::Client, format!("GET /ws HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n").into_bytes()));
    parts.push((Sender::Server, format!("HTTP/1.1 101 X\r\n{upgrade}\r\n").into_bytes()));
    for number in 0..40 {
        let message = |text: &[u8]| [&[0x81, 126, 0x0f, 0xa0][..], text, &[b'.'; 4_000]].concat();
        parts.push((Sender::Client, message(format!("GET /{number} HTTP/1.1\r\n\r\n").as_bytes())));
        parts.push((Sender::Server, message(b"HTTP/1.1 404 X\r\n\r\n")));
    }
    let mut talk = talk(&store);
    give(&mut talk, &recorded(SUITE, &parts));
    assert_eq!(talk.end(Ending::Closed).rows(), [ROWS[0], ROWS[1], ROWS[2], "GET /ws 101"]);
    let counters = talk.streams.counters();
    assert_eq!((counters.tunnels, counters.tls_read, counters.tls_partly_read), (1, 1, 0));
    assert!(counters.tls_records_skipped >= 70, "nobody needs what comes then: {}", counters.tls_records_skipped);
}

/// The capture has the server's side of the handshake before the client's. What a packet acknowledges shows what came first.
#[test]
fn directions_that_overtake_each_other_are_put_in_order() {
    let store = store();
    store.read_whole(key_log(SUITE).concat().as_bytes());
    let mut talk = talk(&store);
    let mut sent = [0u64; 2];
    let parts: Vec<(Direction, Vec<u8>, u64)> = recorded(SUITE, &exchanges(100))
        .into_iter()
        .map(|(sender, record)| {
            let side = direction(sender);
            sent[side as usize] += record.len() as u64;
            (side, record, sent[side.opposite() as usize])
        })
        .collect();
    let (early, late): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(side, ..)| *side == SERVER);
    let mut late = late.into_iter();
    for (index, (_, record, acknowledged)) in early.iter().enumerate() {
        talk.acking(*acknowledged).chunk(SERVER, Chunk::Data(record));
        if index >= 2
            && let Some((_, record, acknowledged)) = late.next()
        {
            talk.acking(acknowledged).chunk(CLIENT, Chunk::Data(&record));
        }
    }
    for (_, record, acknowledged) in late {
        talk.acking(acknowledged).chunk(CLIENT, Chunk::Data(&record));
    }
    assert_eq!(talk.end(Ending::Closed).rows(), ROWS);
}

/// The bytes of both sides in segments, each with its sender.
fn segments(cuts: &[usize]) -> Vec<(Direction, Vec<u8>)> {
    let mut segments = Vec::new();
    let mut sizes = cuts.iter().cycle();
    for (sender, record) in recorded(SUITE, &exchanges(40_000)) {
        let mut rest = &record[..];
        while !rest.is_empty() {
            let (segment, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            segments.push((direction(sender), segment.to_vec()));
            rest = after;
        }
    }
    segments
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_gives_the_same_exchanges(cuts in proptest::collection::vec(1usize..3_000, 1..8), late: bool) {
        let store = store();
        if !late {
            store.read_whole(key_log(SUITE).concat().as_bytes());
        }
        let mut talk = talk(&store);
        for (direction, segment) in segments(&cuts) {
            talk.chunk(direction, Chunk::Data(&segment));
        }
        store.read_whole(key_log(SUITE).concat().as_bytes());
        talk.wait(2).end(Ending::Closed);
        prop_assert_eq!(talk.rows(), ROWS);
    }

    /// Segments that were not captured take exchanges away. What is left has its own request, or none.
    #[test]
    fn a_loss_never_gives_another_exchange(
        cuts in proptest::collection::vec(200usize..1_500, 1..6),
        lost in proptest::collection::vec(0usize..60, 1..4),
    ) {
        let store = store();
        store.read_whole(key_log(SUITE).concat().as_bytes());
        let mut talk = talk(&store);
        for (index, (direction, segment)) in segments(&cuts).into_iter().enumerate() {
            let length = segment.len() as u64;
            talk.chunk(direction, if lost.contains(&index) { Chunk::Gap(length) } else { Chunk::Data(&segment) });
        }
        talk.end(Ending::Closed);
        let allowed = |row: &String| {
            ROWS.contains(&row.as_str())
                || ROWS.iter().any(|known| known.ends_with(row.trim()))
                || ROWS.iter().any(|known| row.starts_with(known.rsplit_once(' ').unwrap().0) && !row.ends_with(|c: char| c.is_ascii_digit()))
        };
        prop_assert!(talk.rows().iter().all(allowed), "{:?}", talk.rows());
    }

    #[test]
    fn mutated_records_break_nothing(
        changes in proptest::collection::vec((0usize..60_000, any::<u8>()), 1..12),
        cuts in proptest::collection::vec(1usize..3_000, 1..5),
    ) {
        let store = store();
        store.read_whole(key_log(SUITE).concat().as_bytes());
        let mut talk = talk(&store);
        let mut segments = segments(&cuts);
        for (at, byte) in changes {
            let count = segments.len();
            let segment = &mut segments[at % count].1;
            let place = at % segment.len();
            segment[place] = byte;
        }
        for (direction, segment) in segments {
            talk.chunk(direction, Chunk::Data(&segment));
        }
        talk.wait(60).end(Ending::Closed);
    }
}

#[path = "late_tests.rs"]
mod late;
