//! Connections of which one side was captured later than the other.

use proptest::prelude::*;

use super::{
    TlsKeys,
    decrypt::{
        Sender,
        tests13::{key_log, recorded},
    },
    tests::{SUITE, direction, store, talk},
};
use crate::{
    stream::{
        StreamSettings,
        testing::{SERVER, Talk},
    },
    tcp::{Chunk, Direction, Ending},
};

/// Requests, each with an answer of its own status. Up to three requests come before their answers.
fn exchanges(count: u16, together: usize) -> Vec<(Sender, Vec<u8>)> {
    let numbers: Vec<u16> = (0..count).collect();
    let get = |number: &u16| (Sender::Client, format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes());
    let answer = |number: &u16| {
        let head = format!("HTTP/1.1 {} X\r\nContent-Length: 90\r\n\r\n", 400 + number);
        (Sender::Server, [head.into_bytes(), vec![b'b'; 90]].concat())
    };
    let turns = numbers.chunks(together);
    turns.flat_map(|turn| turn.iter().map(get).chain(turn.iter().map(answer)).collect::<Vec<_>>()).collect()
}

/// The records in the order of capture, each with the offset of the other side that its packet acknowledges: those of one side come
/// `late` records of the other side later.
fn captured(parts: &[(Sender, Vec<u8>)], late: Sender, by: usize) -> Vec<(Direction, Vec<u8>, u64)> {
    let (mut sent, mut ahead) = ([0u64; 2], 0);
    let mut records: Vec<_> = recorded(SUITE, parts)
        .into_iter()
        .map(|(sender, record)| {
            let side = direction(sender);
            let acknowledged = sent[side.opposite() as usize];
            sent[side as usize] += record.len() as u64;
            ahead += usize::from(sender != late);
            let place = ahead + if sender == late { by } else { 0 };
            (place, side, record, acknowledged)
        })
        .collect();
    records.sort_by_key(|(place, ..)| *place);
    records.into_iter().map(|(_, side, record, acknowledged)| (side, record, acknowledged)).collect()
}

/// The server refuses the handshake. Its alert, and what it sent after that, were captured before the ClientHello.
#[test]
fn nothing_is_kept_of_a_connection_that_is_over() {
    let store = store();
    store.expect_some();
    let mut talk = talk(&store);
    let [(_, hello), (_, answer), ..] = &recorded(SUITE, &[])[..] else { return };
    let alert = [21, 3, 3, 0, 2, 2, 40];
    let received = hello.len() as u64;
    talk.acking(received).chunk(SERVER, Chunk::Data(&alert)).acking(received + 50).chunk(SERVER, Chunk::Data(&alert));
    assert_ne!(talk.streams.held_bytes(), 0);
    talk.client(hello).end(Ending::Closed);
    assert_eq!(talk.streams.held_bytes(), 0);

    // There is no room for the second record, so that the alert is read before it.
    let mut talk = Talk::with(StreamSettings { max_tls_held_bytes: 300, ..StreamSettings::default() });
    talk.streams.use_tls_keys(TlsKeys::new(store, false));
    let data = [&[23, 3, 3, 0, 60][..], &[7; 60]].concat();
    talk.client(hello).server(answer).acking(received + 50).chunk(SERVER, Chunk::Data(&alert));
    talk.acking(received + 50).chunk(SERVER, Chunk::Data(&data)).end(Ending::Closed);
    assert_eq!(talk.streams.held_bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_request_gets_another_answer(
        together in 1usize..4,
        is_client_late in any::<bool>(),
        by in 0usize..30,
        room in prop_oneof![Just(1_000usize), Just(3_000), Just(1 << 20)],
    ) {
        let store = store();
        store.read_whole(key_log(SUITE).concat().as_bytes());
        let mut talk = Talk::with(StreamSettings { max_tls_held_bytes: room, ..StreamSettings::default() });
        talk.streams.use_tls_keys(TlsKeys::new(store, false));
        let late = if is_client_late { Sender::Client } else { Sender::Server };
        for (side, record, acknowledged) in captured(&exchanges(20, together), late, by) {
            talk.acking(acknowledged).chunk(side, Chunk::Data(&record));
        }
        talk.end(Ending::Closed);
        let truth: Vec<String> = (0..20).map(|number| format!("GET /{number} {}", 400 + number)).collect();
        if room > 100_000 && is_client_late {
            prop_assert_eq!(&talk.rows(), &truth);
        }
        for row in talk.rows() {
            let is_whole = row.starts_with("GET") && row.split(' ').nth(2).is_some_and(|status| status.parse::<u16>().is_ok());
            prop_assert!(!is_whole || truth.contains(&row), "{:?}", talk.rows());
        }
    }
}
