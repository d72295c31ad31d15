//! Connections without a ClientHello, whose secrets are among those of many others.

use proptest::prelude::*;

use super::{
    Cause, Content, Label, Sender,
    search::MAX_ATTEMPTS,
    testing::Reader,
    tests13::{LABELS, Peers, learn},
};
use crate::time::Timestamp;

const CLIENT: Sender = Sender::Client;
const SERVER: Sender = Sender::Server;

/// Logs the secrets of some other connections.
fn log_others(reader: &Reader, count: usize) {
    for number in 0..count {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&number.to_be_bytes());
        for label in [Label::ClientTraffic, Label::ServerTraffic] {
            reader.store.add(label, random, &[&random[..8], &[label as u8; 24]].concat());
        }
    }
}

#[test]
fn a_connection_is_found_among_thousands() {
    let mut tried_again = false;
    for (suite, number) in [(0x1301, 0), (0x1301, 100), (0x1301, 4_000), (0x1302, 4_000), (0x1303, 250)] {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        log_others(&reader, 1_000);
        learn(&reader, suite, &LABELS);
        log_others(&reader, 2_000);
        for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut peers.data) {
            sealer.next = number;
            // One record may not be enough, which is counted then.
            let opened: Vec<_> = (0..50).map(|_| reader.data(sender, &sealer.data(b"data"))).collect();
            let tried = opened.iter().take_while(|data| data.is_none()).count();
            assert_eq!(opened[tried], Some(b"data".to_vec()), "{suite:x} {number}");
            assert_eq!(reader.searches.take_put_off(), tried as u64, "{suite:x} {number}");
            tried_again |= tried > 0;
        }
    }
    assert!(tried_again);
}

#[test]
fn a_search_in_vain_ends_and_begins_again_for_new_secrets() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
    log_others(&reader, 100);
    let record = peers.server(b"data");
    let header = *record.first_chunk().expect("a header");
    for round in 0..MAX_ATTEMPTS {
        assert!(reader.wants_body(SERVER, header), "{round}");
        assert_eq!(reader.give(SERVER, &record).content, Content::Failed(Cause::Midstream));
        assert!(!reader.wants_body(SERVER, header), "{round}");
        log_others(&reader, 1);
    }
    assert!(!reader.wants_body(SERVER, header), "not for ever");
    learn(&reader, 0x1301, &LABELS);
    assert_eq!(reader.data(SERVER, &peers.server(b"data")), None);
    // The other side is tried for itself.
    assert_eq!(reader.data(CLIENT, &peers.data[0].data(b"data")), Some(b"data".to_vec()));
    assert_eq!(reader.data(SERVER, &peers.server(b"data")), Some(b"data".to_vec()));
}

#[test]
fn what_all_connections_spend_is_limited_and_searches_go_on_later() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1302));
    learn(&reader, 0x1302, &LABELS);
    reader.searches.refill(Timestamp::from_parts(1, 0));
    reader.searches.exhaust();
    assert_eq!(reader.data(CLIENT, &peers.data[0].data(b"data")), None);
    assert_eq!((reader.searches.take_put_off(), reader.searches.take_put_off()), (1, 0));
    let record = peers.server(b"data");
    assert!(reader.wants_body(SERVER, *record.first_chunk().expect("a header")));
    reader.searches.refill(Timestamp::from_parts(2, 0));
    assert_eq!(reader.data(CLIENT, &peers.data[0].data(b"data")), Some(b"data".to_vec()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever order and whenever secrets are logged: what opens is what was sent.
    #[test]
    fn any_order_of_secrets_opens_what_was_sent_or_nothing(
        lines in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(),
        at_once in 1usize..20,
        first in prop::array::uniform2(0u64..300),
        suite in prop_oneof![Just(0x1301u16), Just(0x1302), Just(0x1303)],
    ) {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        for (sealer, number) in peers.data.iter_mut().zip(first) {
            sealer.next = number;
        }
        for lines in lines.chunks(at_once) {
            for line in lines {
                match LABELS.get(*line) {
                    Some(label) => learn(&reader, suite, &[*label]),
                    None => reader.store.add(LABELS[line % 4].0, [*line as u8; 32], &[*line as u8; 32]),
                }
            }
            for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut peers.data) {
                let sent = sealer.next.to_be_bytes();
                if let Some(data) = reader.data(sender, &sealer.data(&sent)) {
                    prop_assert_eq!(data, sent);
                }
            }
        }
        prop_assert!(!reader.session.is_reversed());
    }
}
