//! Records of which the beginning is enough, and such of which it is not.

use proptest::prelude::*;

use super::tests::{direction, give, store, talk};
use crate::{
    stream::{
        testing::{CLIENT, SERVER, Talk},
        tls::decrypt::{
            Sender,
            tests13::{key_log, recorded, recorded_with},
        },
    },
    tcp::{Chunk, Direction, Ending},
};

/// Bytes of data in a full segment.
const SEGMENT: usize = 1_448;

/// Sizes of segments: less than is looked at, those of Ethernet, a long one that cuts a record in its tag, and whole records.
const SIZES: [usize; 4] = [100, SEGMENT, 12_070, 65_000];

/// What a response's body is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Its length is in the head.
    Length,
    /// In chunks of 700 bytes, of which all lengths must be read.
    Chunks,
    /// As `Length`, and the next response follows in the same record.
    Together,
}

/// After a loss, no request with this method would be found again.
fn request(number: usize) -> Vec<u8> {
    format!("BREW /{number} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn response(number: usize, framing: Framing, body: usize) -> Vec<u8> {
    let status = 400 + number;
    let text = vec![b'.'; body];
    match framing {
        Framing::Length | Framing::Together => {
            [format!("HTTP/1.1 {status} X\r\nContent-Length: {body}\r\n\r\n").as_bytes(), &text].concat()
        }
        Framing::Chunks => {
            let chunks =
                text.chunks(700).map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
            let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
            [head.as_bytes(), &chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n"].concat()
        }
    }
}

/// What each side sends: a short exchange, and one for each of these. Requests are sent when the response before was.
fn exchanges(responses: &[(Framing, usize)]) -> Vec<(Sender, Vec<u8>)> {
    let mut parts = vec![(Sender::Client, request(0)), (Sender::Server, response(0, Framing::Length, 5))];
    let mut answers = Vec::new();
    for (index, (framing, body)) in responses.iter().enumerate() {
        parts.push((Sender::Client, request(index + 1)));
        answers.extend(response(index + 1, *framing, *body));
        if *framing != Framing::Together || index + 1 == responses.len() {
            parts.push((Sender::Server, std::mem::take(&mut answers)));
        }
    }
    parts
}

fn rows(count: usize) -> Vec<String> {
    (0..=count).map(|number| format!("BREW /{number} {}", 400 + number)).collect()
}

/// The segments of some records, each with its sender and with whether it begins a record.
fn segments(suite: u16, parts: &[(Sender, Vec<u8>)], sizes: &[usize]) -> Vec<(Direction, Vec<u8>, bool)> {
    let mut sizes = sizes.iter().cycle();
    let mut segments = Vec::new();
    for (sender, record) in recorded(suite, parts) {
        let mut rest = &record[..];
        while !rest.is_empty() {
            let (segment, after) = rest.split_at(rest.len().min(*sizes.next().expect("there are some")));
            segments.push((direction(sender), segment.to_vec(), rest.len() == record.len()));
            rest = after;
        }
    }
    segments
}

fn with_secrets(suite: u16) -> Talk {
    let store = store();
    store.read_whole(key_log(suite).concat().as_bytes());
    talk(&store)
}

fn body_bytes(talk: &Talk) -> Vec<u64> {
    talk.finished().iter().skip(1).map(|exchange| exchange.response_body_bytes).collect()
}

#[test]
fn of_a_page_only_the_beginning_is_decrypted() {
    for suite in [0x1301, 0x1302, 0x1303] {
        for size in SIZES {
            let mut talk = with_secrets(suite);
            for (direction, segment, _) in segments(suite, &exchanges(&[(Framing::Length, 12_000); 6]), &[size]) {
                talk.chunk(direction, Chunk::Data(&segment));
            }
            assert_eq!(talk.end(Ending::Closed).rows(), rows(6));
            assert_eq!(body_bytes(&talk), [12_000; 6]);
            let counters = talk.streams.counters();
            let begun = if size == SEGMENT { 6 } else { 0 };
            assert_eq!((counters.tls_records_begun, counters.tls_records_skipped), (begun, 0), "{suite:x} {size}");
        }
    }
}

#[test]
fn if_all_of_a_record_is_needed_each_byte_is_handed_on_once() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let mut talk = with_secrets(suite);
        for (direction, segment, _) in segments(suite, &exchanges(&[(Framing::Chunks, 12_345); 6]), &[SEGMENT]) {
            talk.chunk(direction, Chunk::Data(&segment));
        }
        assert_eq!(talk.end(Ending::Closed).rows(), rows(6));
        assert_eq!(body_bytes(&talk), [12_345; 6]);
        assert_eq!(talk.streams.counters().tls_records_begun, 0);
    }
}

/// The hole ends in the record that has begun, or in a later one, or between two.
#[test]
fn a_hole_after_the_beginning_costs_nothing_of_the_exchanges_after_it() {
    let parts = exchanges(&[(Framing::Length, 30_000); 6]);
    let all = segments(0x1301, &parts, &[SEGMENT]);
    let is_first =
        |(side, segment, begins): &(Direction, Vec<u8>, bool)| *side == SERVER && *begins && segment.len() == SEGMENT;
    let first = all.iter().position(is_first).expect("there is a long record") + 1;
    for lost in 1..21 {
        let mut talk = with_secrets(0x1301);
        let (before, rest) = all.split_at(first);
        let (missing, after) = rest.split_at(lost);
        let give = |talk: &mut Talk, segments: &[(Direction, Vec<u8>, bool)]| {
            for (direction, segment, _) in segments {
                talk.chunk(*direction, Chunk::Data(segment));
            }
        };
        give(&mut talk, before);
        talk.chunk(SERVER, Chunk::Gap(missing.iter().map(|(_, segment, _)| segment.len() as u64).sum()));
        give(&mut talk, after);
        assert_eq!(talk.end(Ending::Closed).rows(), rows(6), "{lost} segments");
        assert_eq!(body_bytes(&talk), [30_000; 6], "{lost} segments");
    }
}

/// Gives records of these types, each with so much padding, in segments of each size. The same must be read every time.
fn all_sizes(parts: &[(Sender, u8, Vec<u8>, usize)], rows: &[String]) {
    for size in SIZES {
        let mut talk = with_secrets(0x1301);
        for (sender, record) in recorded_with(0x1301, parts) {
            record.chunks(size).for_each(|segment| {
                talk.chunk(direction(sender), Chunk::Data(segment));
            });
        }
        assert_eq!(talk.end(Ending::Closed).rows(), rows, "{size}");
    }
}

fn of_client(number: usize) -> (Sender, u8, Vec<u8>, usize) {
    (Sender::Client, 23, request(number), 0)
}

fn of_server(number: usize) -> (Sender, u8, Vec<u8>, usize) {
    (Sender::Server, 23, response(number, Framing::Length, 5), 0)
}

/// A handshake message of 3,000 bytes, with a request in it.
fn long_message(kind: u8) -> Vec<u8> {
    let mut message =
        [&[kind, 0, 0x0b, 0xb8][..], &[b'c'; 300], b"\r\nGET /made-up HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    message.resize(3_004, b'c');
    message
}

#[test]
fn a_long_handshake_message_after_data_is_no_data() {
    let certificate_request = (Sender::Server, 22, vec![13, 0, 0, 3, 0, 0, 0], 0);
    let finished = (Sender::Client, 22, [&[20, 0, 0, 32][..], &[1; 32]].concat(), 0);
    let certificate = (Sender::Client, 22, long_message(11), 0);
    let before = [of_client(0), of_server(0), of_client(1), certificate_request];
    let after = [certificate, finished, of_server(1), of_client(2), of_server(2)];
    all_sizes(&[&before[..], &after].concat(), &rows(2));
    let ticket = (Sender::Server, 22, long_message(4), 0);
    let both = (Sender::Client, 23, [request(1), request(2)].concat(), 0);
    let parts = [of_client(0), of_server(0), both, ticket, of_server(1), of_server(2), of_client(3), of_server(3)];
    all_sizes(&parts, &rows(3));
}

#[test]
fn the_first_record_with_padding_hides_nothing() {
    for padding in [1_700, 3_000, 12_000] {
        let mut parts = vec![of_client(0), of_server(0)];
        parts.push((Sender::Client, 23, request(1), padding));
        parts.push((Sender::Server, 23, response(1, Framing::Length, 5), padding));
        parts.push((Sender::Client, 23, [request(2), request(3)].concat(), padding));
        parts.push((Sender::Server, 23, response(2, Framing::Length, 500), padding));
        parts.push((Sender::Server, 23, response(3, Framing::Length, 1_500), padding));
        parts.extend((4..7).flat_map(|number| [of_client(number), of_server(number)]));
        all_sizes(&parts, &rows(6));
    }
}

/// One bit of a status is another one than was sealed, in records of which all is needed. Where a packet has the whole record, no such
/// status is believed; otherwise it is, as it would be in clear, and what follows is missing.
#[test]
fn a_forged_record_that_is_whole_in_its_packet_is_not_believed() {
    for size in [4_100, 65_000] {
        let mut talk = with_secrets(0x1301);
        for (sender, mut record) in recorded(0x1301, &exchanges(&[(Framing::Chunks, 3_800); 4])) {
            if sender == Sender::Server && record.len() > 3_000 {
                record[5 + 9] ^= 1;
            }
            record.chunks(size).for_each(|segment| {
                talk.chunk(direction(sender), Chunk::Data(segment));
            });
        }
        talk.end(Ending::Closed);
        assert!(talk.rows().iter().all(|row| !row.contains(" 50")), "{:?}", talk.rows());
        assert_eq!(talk.streams.counters().tls_records_failed, 4);
    }
}

/// Only the beginning of a long response was captured when the client acknowledges all of it and sends its next request. The rest counts
/// as missing then, to its last byte.
#[test]
fn the_rest_of_a_beginning_may_be_captured_too_late() {
    for size in SIZES {
        let mut talk = with_secrets(0x1301);
        let all =
            recorded(0x1301, &exchanges(&[(Framing::Length, 12_000), (Framing::Length, 5), (Framing::Length, 5)]));
        let long = all.iter().position(|(_, record)| record.len() > 10_000).expect("it is there");
        let (before, after) = all.split_at(long);
        give(&mut talk, before);
        let (first, rest) = after[0].1.split_at(size.min(SEGMENT));
        talk.chunk(SERVER, Chunk::Data(first));
        talk.acking(talk.sent[SERVER as usize] + rest.len() as u64).chunk(CLIENT, Chunk::Data(&after[1].1));
        talk.wait(60);
        talk.chunk(SERVER, Chunk::Data(rest));
        give(&mut talk, &after[2..]);
        let rows = talk.end(Ending::Closed).rows();
        assert_eq!(rows[rows.len() - 2..], ["BREW /2 402", "BREW /3 403"], "{size}: {rows:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_cut_gives_what_was_sent(
        responses in prop::collection::vec(
            (prop_oneof![Just(Framing::Length), Just(Framing::Chunks), Just(Framing::Together)], 0usize..20_000),
            1..6,
        ),
        sizes in prop::collection::vec(prop_oneof![1usize..3_000, 3_000usize..30_000], 1..6),
    ) {
        let mut talk = with_secrets(0x1301);
        for (direction, segment, _) in segments(0x1301, &exchanges(&responses), &sizes) {
            talk.chunk(direction, Chunk::Data(&segment));
        }
        prop_assert_eq!(talk.end(Ending::Closed).rows(), rows(responses.len()));
        let sent: Vec<u64> = responses.iter().map(|(_, body)| *body as u64).collect();
        prop_assert_eq!(body_bytes(&talk), sent);
    }

    /// Whatever is lost, no request has another one's answer; and where the client's side is whole and no segment is lost that begins a
    /// response, each request has its own.
    #[test]
    fn any_loss_gives_a_part_of_what_was_sent(
        bodies in prop::collection::vec(3_000usize..16_000, 1..6),
        sizes in prop::collection::vec(200usize..1_500, 1..6),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        spares_heads: bool,
    ) {
        let responses: Vec<_> = bodies.iter().map(|body| (Framing::Length, *body)).collect();
        let all = segments(0x1301, &exchanges(&responses), &sizes);
        let lost: Vec<usize> = lost.iter().map(|index| index.index(all.len())).collect();
        let mut talk = with_secrets(0x1301);
        for (index, (direction, segment, begins)) in all.iter().enumerate() {
            let is_spared = spares_heads && (*begins || *direction == CLIENT);
            let length = segment.len() as u64;
            let is_lost = lost.contains(&index) && !is_spared;
            talk.chunk(*direction, if is_lost { Chunk::Gap(length) } else { Chunk::Data(segment) });
        }
        talk.end(Ending::Closed);
        let whole = rows(bodies.len());
        let of_request = |row: &str| whole.iter().find(|known| known.starts_with(row.rsplit_once(' ').map_or(row, |(start, _)| start)));
        for row in talk.rows() {
            let is_part = whole.contains(&row)
                || row.trim_start().parse::<u16>().is_ok()
                || (row.ends_with(|last: char| last.is_alphabetic()) && of_request(&row).is_some());
            prop_assert!(is_part, "{:?}", talk.rows());
        }
        if spares_heads {
            prop_assert_eq!(talk.rows(), whole);
        }
    }
}
