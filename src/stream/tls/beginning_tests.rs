//! Records of which the beginning is enough, and such of which it is not.

use proptest::prelude::*;

use super::tests::{direction, store, talk};
use crate::{
    stream::{
        testing::{CLIENT, SERVER, Talk},
        tls::decrypt::{
            Sender,
            tests13::{key_log, recorded},
        },
    },
    tcp::{Chunk, Direction, Ending},
};

/// Bytes of data in a full segment.
const SEGMENT: usize = 1_448;

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

fn request(number: usize) -> Vec<u8> {
    format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
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
    (0..=count).map(|number| format!("GET /{number} {}", 400 + number)).collect()
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
        for size in [300, SEGMENT, 65_000] {
            let mut talk = with_secrets(suite);
            for (direction, segment, _) in segments(suite, &exchanges(&[(Framing::Length, 12_000); 6]), &[size]) {
                talk.chunk(direction, Chunk::Data(&segment));
            }
            assert_eq!(talk.end(Ending::Closed).rows(), rows(6));
            assert_eq!(body_bytes(&talk), [12_000; 6]);
            let counters = talk.streams.counters();
            assert_eq!((counters.tls_records_begun, counters.tls_records_skipped), (6, 0), "{suite:x} {size}");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_cut_gives_what_was_sent(
        responses in prop::collection::vec(
            (prop_oneof![Just(Framing::Length), Just(Framing::Chunks), Just(Framing::Together)], 0usize..20_000),
            1..6,
        ),
        sizes in prop::collection::vec(1usize..3_000, 1..6),
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
