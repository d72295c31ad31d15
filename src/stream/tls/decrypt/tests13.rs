//! Sessions of TLS 1.3 against peers of the test's own.

use super::{
    Beginning, Cause, Content, Label, PlainLength, Sender,
    testing::{Reader, Sealer, chooses_tls13, client_hello, message, record, secret, server_hello},
};

pub(super) const CLIENT: Sender = Sender::Client;
pub(super) const SERVER: Sender = Sender::Server;

pub(super) const RANDOM: [u8; 32] = [0xc1; 32];
/// Each byte of the early data's secret.
const EARLY: u8 = 5;
const FINISHED: [u8; 36] =
    [20, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// Both ends of a connection. Each secret is of bytes of one value.
pub(super) struct Peers {
    /// Handshake sealers, the client's first.
    handshake: [Sealer; 2],
    /// Sealers of data, the client's first.
    pub(super) data: [Sealer; 2],
}

impl Peers {
    pub(super) fn new(suite: u16) -> Self {
        let bytes = |value| vec![value; secret_bytes(suite)];
        let sealers = |client, server| [Sealer::tls13(suite, &bytes(client)), Sealer::tls13(suite, &bytes(server))];
        Self { handshake: sealers(1, 2), data: sealers(3, 4) }
    }

    fn client(&mut self, content: &[u8]) -> Vec<u8> {
        self.data[0].data(content)
    }

    pub(super) fn server(&mut self, content: &[u8]) -> Vec<u8> {
        self.data[1].data(content)
    }
}

fn secret_bytes(suite: u16) -> usize {
    if suite == 0x1302 { 48 } else { 32 }
}

pub(super) const LABELS: [(Label, u8); 4] = [
    (Label::ClientHandshakeTraffic, 1),
    (Label::ServerHandshakeTraffic, 2),
    (Label::ClientTraffic, 3),
    (Label::ServerTraffic, 4),
];

pub(super) fn learn(reader: &Reader, suite: u16, labels: &[(Label, u8)]) {
    for (label, value) in labels {
        reader.store.add(*label, RANDOM, &vec![*value; secret_bytes(suite)]);
    }
}

pub(super) fn hello() -> Vec<u8> {
    record(22, 0x0301, &client_hello(RANDOM, &[7; 32], &[0x1301, 0x1302, 0x1303], &[]))
}

pub(super) fn answer(suite: u16) -> Vec<u8> {
    record(22, 0x0303, &server_hello(0x0304, [0x5e; 32], &[7; 32], suite, &[chooses_tls13()]))
}

/// The records of a handshake after the hellos.
pub(super) fn handshake_records(peers: &mut Peers) -> Vec<(Sender, Vec<u8>)> {
    let extensions = message(8, &[0, 0]);
    vec![
        (SERVER, record(20, 0x0303, &[1])),
        (SERVER, peers.handshake[1].seal(22, &extensions)),
        (SERVER, peers.handshake[1].seal(22, &FINISHED)),
        (CLIENT, record(20, 0x0303, &[1])),
        (CLIENT, peers.handshake[0].seal(22, &FINISHED)),
    ]
}

/// A reader and peers after a handshake of which everything was seen.
pub(super) fn connected(suite: u16) -> (Reader, Peers) {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
    learn(&reader, suite, &LABELS);
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(suite));
    for (sender, bytes) in handshake_records(&mut peers) {
        let content = reader.give(sender, &bytes).content;
        assert!(matches!(content, Content::Handshake | Content::Nothing), "{content:?}");
    }
    (reader, peers)
}

#[test]
fn each_suite_is_read_in_both_directions() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let (mut reader, mut peers) = connected(suite);
        for index in 0..5u8 {
            assert_eq!(reader.data(CLIENT, &peers.client(&[index; 100])), Some(vec![index; 100]));
            assert_eq!(reader.data(SERVER, &peers.server(&[index; 3000])), Some(vec![index; 3000]));
        }
        assert!(reader.session.is_open(CLIENT) && reader.session.is_open(SERVER));
    }
}

#[test]
fn records_wait_for_secrets_that_come_late() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1301));
    let records = handshake_records(&mut peers);
    assert_eq!(reader.give(SERVER, &records[1].1).content, Content::Waiting);
    let before = reader.progress();
    learn(&reader, 0x1301, &LABELS);
    assert_ne!(reader.progress(), before);
    for (sender, bytes) in &records[1..] {
        assert!(matches!(reader.give(*sender, bytes).content, Content::Handshake | Content::Nothing));
    }
    assert_eq!(reader.data(SERVER, &peers.server(b"late")), Some(b"late".to_vec()));
}

#[test]
fn secrets_that_come_after_the_wait_open_what_follows() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1303));
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1303));
    reader.session.stop_waiting();
    let records = handshake_records(&mut peers);
    for (_, bytes) in records.iter().filter(|(sender, bytes)| *sender == SERVER && bytes[0] == 23) {
        assert_eq!(reader.give(SERVER, bytes).content, Content::Failed(Cause::NoKeys));
    }
    for _ in 0..10 {
        assert_eq!(reader.give(SERVER, &peers.server(b"unread")).content, Content::Failed(Cause::NoKeys));
    }
    learn(&reader, 0x1303, &LABELS);
    let opened = reader.give(SERVER, &peers.server(b"read"));
    // Nobody knew whether these ten were data.
    assert_eq!((opened.lost, opened.content), (10, Content::Data(0..4)));
}

#[test]
fn the_tag_decides_among_candidates() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
    // The newest is tried first. The last one is of another length.
    learn(&reader, 0x1301, &LABELS);
    for (label, _) in LABELS {
        reader.store.add(label, RANDOM, &[0x99; 32]);
        reader.store.add(label, RANDOM, &[0x98; 48]);
    }
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1301));
    for (sender, bytes) in handshake_records(&mut peers) {
        reader.give(sender, &bytes);
    }
    assert_eq!(reader.data(CLIENT, &peers.client(b"right")), Some(b"right".to_vec()));
}

#[test]
fn wrong_secrets_open_nothing() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
    for (label, _) in LABELS {
        reader.store.add(label, RANDOM, &[0x99; 32]);
    }
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1301));
    let bytes = peers.handshake[1].seal(22, &FINISHED);
    assert_eq!(reader.give(SERVER, &bytes).content, Content::Waiting);
    reader.session.stop_waiting();
    assert_eq!(reader.give(SERVER, &bytes).content, Content::Failed(Cause::WrongKeys));
}

#[test]
fn the_secrets_of_data_are_enough() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1302));
    learn(&reader, 0x1302, &LABELS[2..]);
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1302));
    for (sender, bytes) in handshake_records(&mut peers) {
        assert_eq!(reader.give(sender, &bytes).content, Content::Nothing);
    }
    let opened = reader.give(SERVER, &peers.server(b"data"));
    assert_eq!((opened.lost, opened.content), (0, Content::Data(0..4)));
    assert_eq!(reader.data(CLIENT, &peers.client(b"data")), Some(b"data".to_vec()));
}

#[test]
fn a_server_hello_that_is_missing_does_not_matter() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        learn(&reader, suite, &LABELS);
        reader.give(CLIENT, &hello());
        reader.session.gap(SERVER, 200);
        for (sender, bytes) in handshake_records(&mut peers) {
            reader.give(sender, &bytes);
        }
        assert_eq!(reader.data(SERVER, &peers.server(b"data")), Some(b"data".to_vec()), "{suite:x}");
        assert_eq!(reader.data(CLIENT, &peers.client(b"data")), Some(b"data".to_vec()), "{suite:x}");
    }
}

#[test]
fn key_updates_of_either_side_are_followed() {
    let (mut reader, mut peers) = connected(0x1301);
    for round in 0..3u8 {
        for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut peers.data) {
            assert_eq!(reader.data(sender, &sealer.data(&[round])), Some(vec![round]));
            assert_eq!(reader.give(sender, &sealer.seal(22, &KEY_UPDATE)).content, Content::Handshake);
            sealer.update();
            assert_eq!(reader.data(sender, &sealer.data(&[round, 1])), Some(vec![round, 1]));
        }
    }
}

#[test]
fn a_key_update_that_is_missing_or_was_skipped_is_found() {
    let (mut reader, mut peers) = connected(0x1301);
    assert_eq!(reader.data(SERVER, &peers.server(b"a")), Some(b"a".to_vec()));
    peers.data[1].update();
    reader.session.gap(SERVER, 30);
    assert_eq!(reader.data(SERVER, &peers.server(b"b")), Some(b"b".to_vec()));
    // The update and five records after it are skipped.
    let update = peers.data[1].seal(22, &KEY_UPDATE);
    reader.session.skip(SERVER, *update.first_chunk().expect("a header"));
    peers.data[1].update();
    for _ in 0..5 {
        let skipped = peers.server(&[0; 4000]);
        reader.session.skip(SERVER, *skipped.first_chunk().expect("a header"));
    }
    let opened = reader.give(SERVER, &peers.server(b"c"));
    assert_eq!((opened.lost, opened.content), (0, Content::Data(0..1)));
}

#[test]
fn lost_records_are_counted() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let (mut reader, mut peers) = connected(suite);
        for lost in [1, 2, 63, 64, 1000, 4000, 20_000] {
            for _ in 0..lost {
                peers.server(&[9; 20]);
            }
            reader.session.gap(SERVER, u64::from(lost) * 42);
            let opened = reader.give(SERVER, &peers.server(b"after"));
            assert_eq!((opened.lost, opened.content), (lost, Content::Data(0..5)), "{suite:x}");
        }
        peers.data[1].next += 100_000;
        reader.session.gap(SERVER, 1 << 40);
        let bytes = peers.server(b"too far");
        let content = reader.give(SERVER, &bytes).content;
        // The tag of AES-GCM shows the number.
        let is_shown = suite != 0x1303;
        assert_eq!(content, if is_shown { Content::Data(0..7) } else { Content::Failed(Cause::BudgetSpent) });
        // The other side is not concerned.
        assert_eq!(reader.data(CLIENT, &peers.client(b"x")), Some(b"x".to_vec()));
    }
}

#[test]
fn a_finished_that_is_missing_does_not_matter() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
    learn(&reader, 0x1301, &LABELS);
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1301));
    let records = handshake_records(&mut peers);
    reader.give(SERVER, &records[1].1);
    reader.session.gap(SERVER, 58);
    peers.server(b"missing too");
    let opened = reader.give(SERVER, &peers.server(b"data"));
    assert_eq!((opened.lost, opened.content), (1, Content::Data(0..4)));
    reader.session.gap(CLIENT, 58);
    assert_eq!(reader.data(CLIENT, &peers.client(b"data")), Some(b"data".to_vec()));
}

#[test]
fn a_record_that_was_changed_fails_and_the_next_opens() {
    let (mut reader, mut peers) = connected(0x1301);
    assert_eq!(reader.data(SERVER, &peers.server(b"first")), Some(b"first".to_vec()));
    let mut changed = peers.server(b"changed");
    changed[10] ^= 1;
    assert_eq!(reader.give(SERVER, &changed).content, Content::Failed(Cause::Desynchronised));
    let opened = reader.give(SERVER, &peers.server(b"next"));
    assert_eq!((opened.lost, opened.content), (0, Content::Data(0..4)));
}

#[test]
fn a_record_that_the_sender_did_not_send_does_not_matter() {
    for suite in [0x1301, 0x1303] {
        let (mut reader, mut peers) = connected(suite);
        let mut forged = peers.server(b"first");
        assert_eq!(reader.data(SERVER, &forged), Some(b"first".to_vec()));
        for _ in 0..3 {
            forged[20] ^= 7;
            assert_eq!(reader.give(SERVER, &forged).content, Content::Failed(Cause::Desynchronised));
        }
        let opened = reader.give(SERVER, &peers.server(b"next"));
        assert_eq!((opened.lost, opened.content), (0, Content::Data(0..4)));
    }
}

#[test]
fn the_search_ends_when_the_budget_is_spent() {
    let (mut reader, mut peers) = connected(0x1303);
    let other = Sealer::tls13(0x1303, &[0x77; 32]).data(&[0; 16000]);
    reader.session.gap(SERVER, 1 << 40);
    let mut causes = (0..40).map(|_| reader.give(SERVER, &other).content);
    assert!(causes.any(|content| content == Content::Failed(Cause::BudgetSpent)));
    assert_eq!(reader.data(CLIENT, &peers.client(b"x")), Some(b"x".to_vec()));
}

#[test]
fn padding_is_taken_off_and_forbids_skips() {
    let (mut reader, mut peers) = connected(0x1301);
    let long = peers.server(&[1; 4000]);
    let header = *long.first_chunk().expect("a header");
    assert_eq!(reader.session.plain_length(SERVER, header), None);
    assert_eq!(reader.data(SERVER, &long), Some(vec![1; 4000]));
    assert_eq!(reader.session.plain_length(SERVER, header), Some(PlainLength::Unpadded(4000)));
    let short = *peers.server(&[1; 500]).first_chunk().expect("a header");
    reader.session.skip(SERVER, short);
    assert_eq!(reader.session.plain_length(SERVER, short), None);
    let padded = peers.data[1].seal_padded(23, b"padded", 3000);
    assert_eq!(reader.data(SERVER, &padded), Some(b"padded".to_vec()));
    assert_eq!(reader.session.plain_length(SERVER, header), None);
    // Only zeros, and no data.
    for content in [&[][..], &[0; 10]] {
        let sealed = peers.data[1].seal_padded(if content.is_empty() { 23 } else { 0 }, content, 5);
        assert_eq!(reader.give(SERVER, &sealed).content, Content::Nothing);
    }
}

#[test]
fn alerts_are_decrypted() {
    let (mut reader, mut peers) = connected(0x1301);
    let alert = peers.data[1].seal(21, &[2, 40]);
    assert_eq!(reader.give(SERVER, &alert).content, Content::Alert { level: 2, description: 40 });
    let clear = record(21, 0x0303, &[2, 80]);
    assert_eq!(Reader::default().give(SERVER, &clear).content, Content::Alert { level: 2, description: 80 });
}

/// A connection whose client sends early data; the server's EncryptedExtensions accept it or not.
pub(super) fn early(suite: u16, is_accepted: bool, is_logged: bool) -> (Reader, Peers, Vec<u8>) {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
    learn(&reader, suite, &LABELS);
    if is_logged {
        learn(&reader, suite, &[(Label::ClientEarlyTraffic, EARLY)]);
    }
    let hello = client_hello(RANDOM, &[7; 32], &[suite], &[(42, vec![]), (41, vec![0; 40])]);
    reader.give(CLIENT, &record(22, 0x0301, &hello));
    let data = Sealer::tls13(suite, &vec![EARLY; secret_bytes(suite)]).data(b"GET /early");
    assert_eq!(reader.give(CLIENT, &data).content, Content::Waiting);
    let answer = server_hello(0x0304, [0x5e; 32], &[7; 32], suite, &[chooses_tls13(), (41, vec![0, 0])]);
    reader.give(SERVER, &record(22, 0x0303, &answer));
    assert_eq!(reader.give(CLIENT, &data).content, Content::Waiting);
    let extensions = if is_accepted { message(8, &[0, 4, 0, 42, 0, 0]) } else { message(8, &[0, 0]) };
    let flight = [&extensions[..], &FINISHED].concat();
    assert_eq!(reader.give(SERVER, &peers.handshake[1].seal(22, &flight)).content, Content::Handshake);
    (reader, peers, data)
}

#[test]
fn early_data_is_read_only_if_it_was_accepted() {
    let (mut reader, mut peers, data) = early(0x1301, true, true);
    assert_eq!(reader.data(CLIENT, &data), Some(b"GET /early".to_vec()));
    let mut sealer = Sealer::tls13(0x1301, &[EARLY; 32]);
    sealer.next = 1;
    assert_eq!(reader.give(CLIENT, &sealer.seal(22, &[5, 0, 0, 0])).content, Content::Handshake);
    assert_eq!(reader.give(CLIENT, &peers.handshake[0].seal(22, &FINISHED)).content, Content::Handshake);
    assert_eq!(reader.data(CLIENT, &peers.client(b"GET /")), Some(b"GET /".to_vec()));

    let (mut reader, mut peers, data) = early(0x1301, false, true);
    assert_eq!(reader.give(CLIENT, &data).content, Content::Nothing);
    assert_eq!(reader.give(CLIENT, &peers.handshake[0].seal(22, &FINISHED)).content, Content::Handshake);
    assert_eq!(reader.data(CLIENT, &peers.client(b"GET /")), Some(b"GET /".to_vec()));
    assert_eq!(reader.session.facts().expect("a hello").early_data_accepted, Some(false));
}

#[test]
fn early_data_without_a_secret_is_missing() {
    let (mut reader, mut peers, data) = early(0x1301, true, false);
    assert_eq!(reader.give(CLIENT, &data).content, Content::Failed(Cause::EarlyData));
    assert_eq!(reader.give(CLIENT, &peers.handshake[0].seal(22, &FINISHED)).content, Content::Handshake);
    let opened = reader.give(CLIENT, &peers.client(b"GET /"));
    assert_eq!((opened.lost, opened.content), (0, Content::Data(0..5)));
}

#[test]
fn a_connection_without_its_beginning_is_found_among_recent_secrets() {
    for (suite, before) in [(0x1301, 3000), (0x1302, 3000), (0x1303, 60)] {
        for is_reversed in [false, true] {
            let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
            reader.store.add(Label::ServerTraffic, [1; 32], &[0x31; 48]);
            learn(&reader, suite, &LABELS);
            reader.store.add(Label::ServerTraffic, [2; 32], &[0x32; 32]);
            let senders = if is_reversed { [SERVER, CLIENT] } else { [CLIENT, SERVER] };
            for (sender, sealer) in senders.into_iter().zip(&mut peers.data) {
                sealer.next = before;
                let opened = reader.give(sender, &sealer.data(b"data"));
                // Records that were sent before the capture began do not count as lost.
                assert_eq!((opened.lost, opened.content), (0, Content::Data(0..4)), "{suite:x}");
                assert_eq!(reader.data(sender, &sealer.data(b"more")), Some(b"more".to_vec()));
            }
            assert_eq!(reader.session.is_reversed(), is_reversed);
        }
    }
    let mut peers = Peers::new(0x1301);
    assert_eq!(Reader::default().give(CLIENT, &peers.client(b"x")).content, Content::Failed(Cause::Midstream));
}

#[test]
fn a_client_hello_that_is_missing_is_found_among_recent_secrets() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        learn(&reader, suite, &LABELS);
        reader.give(SERVER, &answer(suite));
        for (sender, bytes) in handshake_records(&mut peers) {
            let content = reader.give(sender, &bytes).content;
            assert!(matches!(content, Content::Handshake | Content::Nothing), "{content:?}");
        }
        assert_eq!(reader.data(CLIENT, &peers.client(b"data")), Some(b"data".to_vec()));
    }
}

#[test]
fn an_unknown_suite_is_named() {
    let mut reader = Reader::default();
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1304));
    let bytes = Peers::new(0x1301).server(b"x");
    let header = *bytes.first_chunk().expect("a header");
    assert!(!reader.wants_body(SERVER, header));
    assert_eq!(reader.give(SERVER, &bytes).content, Content::Failed(Cause::UnsupportedSuite(0x1304)));
    assert_eq!(reader.session.cause(&reader.store), Cause::UnsupportedSuite(0x1304));
}

#[test]
fn forward_secrecy_is_named_where_private_keys_were_given() {
    for (premasters, cause) in [(Vec::new(), Cause::NoKeys), (vec![secret(&[3; 48])], Cause::ForwardSecret)] {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
        reader.store.premasters = premasters;
        reader.give(CLIENT, &hello());
        reader.give(SERVER, &answer(0x1301));
        reader.session.stop_waiting();
        assert_eq!(reader.give(SERVER, &peers.server(b"x")).content, Content::Failed(cause));
    }
}

#[test]
fn bodies_without_secrets_are_not_wanted_after_the_wait() {
    let (mut reader, mut peers) = (Reader::default(), Peers::new(0x1301));
    reader.give(CLIENT, &hello());
    reader.give(SERVER, &answer(0x1301));
    let bytes = peers.handshake[1].seal(22, &FINISHED);
    let header = *bytes.first_chunk().expect("a header");
    assert_eq!(reader.give(SERVER, &bytes).content, Content::Waiting);
    assert!(reader.wants_body(SERVER, header));
    reader.session.stop_waiting();
    assert_eq!(reader.give(SERVER, &bytes).content, Content::Failed(Cause::NoKeys));
    assert!(!reader.wants_body(SERVER, header));
    peers.server(b"skipped");
    reader.session.skip(SERVER, header);
    learn(&reader, 0x1301, &LABELS);
    assert!(reader.wants_body(SERVER, header));
    assert_eq!(reader.data(SERVER, &peers.server(b"read")), Some(b"read".to_vec()));
}

#[test]
fn a_connection_without_keys_is_small() {
    assert!(size_of::<super::Session>() <= 240, "{}", size_of::<super::Session>());
    assert!(size_of::<super::Records>() <= 24, "{}", size_of::<super::Records>());
}

/// The beginning of a record of so many bytes, as far as it is read without the rest.
fn beginning(reader: &mut Reader, sender: Sender, record: &[u8]) -> Option<Vec<u8>> {
    let data = record.len() as u64 - 5 - 17;
    let Beginning { front, length } =
        reader.session.open_beginning(sender, record.get(5..1_005)?, data, &mut reader.plaintext)?;
    assert_eq!((front, length), (0, 1_000));
    Some(reader.plaintext[..1_000].to_vec())
}

#[test]
fn a_beginning_is_read_only_where_keys_and_number_are_certain() {
    let long: Vec<u8> = (0..3_000).map(|index| index as u8).collect();
    let head = Some(long[..1_000].to_vec());
    let header = |record: &[u8]| *record.first_chunk().expect("a header");
    for suite in [0x1301, 0x1302, 0x1303] {
        let (mut reader, mut peers) = connected(suite);
        let (mut mute, _) = connected(suite);
        let first = peers.server(&long);
        assert_eq!(beginning(&mut reader, SERVER, &first), None, "no data was authenticated");
        assert_eq!(reader.data(SERVER, &first), Some(long.clone()));
        for _ in 0..3 {
            let record = peers.server(&long);
            assert_eq!(beginning(&mut reader, SERVER, &record), head);
            reader.session.skip(SERVER, header(&record));
        }
        assert_eq!(beginning(&mut mute, SERVER, &first), None, "not of another connection");
        // Each of these may change the keys or the number.
        for uncertain in 0..4 {
            match uncertain {
                0 => reader.session.gap(SERVER, 50),
                1 => reader.session.skip(SERVER, header(&peers.server(b"short"))),
                2 => {
                    let mut record = peers.server(&long);
                    *record.last_mut().expect("a tag") ^= 1;
                    assert!(matches!(reader.give(SERVER, &record).content, Content::Failed(_)));
                }
                _ => {
                    let update = peers.data[1].seal(22, &message(24, &[0]));
                    assert_eq!(reader.give(SERVER, &update).content, Content::Handshake);
                    peers.data[1].update();
                }
            }
            let record = peers.server(&long);
            assert_eq!(beginning(&mut reader, SERVER, &record), None, "{suite:x} {uncertain}");
            assert_eq!(reader.data(SERVER, &record), Some(long.clone()), "{suite:x} {uncertain}");
            let record = peers.server(&long);
            assert_eq!(beginning(&mut reader, SERVER, &record), head, "{suite:x} {uncertain}");
            assert_eq!(reader.data(SERVER, &record), Some(long.clone()), "{suite:x} {uncertain}");
        }
    }
}

/// The records of a connection that carries this data, each with its sender.
pub(crate) fn recorded(suite: u16, parts: &[(Sender, Vec<u8>)]) -> Vec<(Sender, Vec<u8>)> {
    let records_of = |(sender, data): &(Sender, Vec<u8>)| {
        let sender = *sender;
        data.chunks(16 << 10).map(move |part| (sender, 23, part.to_vec(), 0)).collect::<Vec<_>>()
    };
    recorded_with(suite, &parts.iter().flat_map(records_of).collect::<Vec<_>>())
}

/// The same for records of these inner types, each with so many bytes of padding.
pub(crate) fn recorded_with(suite: u16, records: &[(Sender, u8, Vec<u8>, usize)]) -> Vec<(Sender, Vec<u8>)> {
    let mut peers = Peers::new(suite);
    let mut all = vec![(CLIENT, hello()), (SERVER, answer(suite))];
    all.extend(handshake_records(&mut peers));
    for (sender, kind, content, padding) in records {
        let sealer = &mut peers.data[usize::from(*sender == SERVER)];
        all.push((*sender, sealer.seal_padded(*kind, content, *padding)));
    }
    all
}

/// The same for a connection whose client sends early data, which the server accepts or not.
pub(crate) fn recorded_early(
    is_accepted: bool,
    early: &[&[u8]],
    parts: &[(Sender, Vec<u8>)],
) -> Vec<(Sender, Vec<u8>)> {
    let mut peers = Peers::new(0x1301);
    let mut sealer = Sealer::tls13(0x1301, &[EARLY; 32]);
    let hello = client_hello(RANDOM, &[7; 32], &[0x1301], &[(42, vec![]), (41, vec![0; 40])]);
    let answer = server_hello(0x0304, [0x5e; 32], &[7; 32], 0x1301, &[chooses_tls13(), (41, vec![0, 0])]);
    let extensions = if is_accepted { message(8, &[0, 4, 0, 42, 0, 0]) } else { message(8, &[0, 0]) };
    let flight = [&extensions[..], &FINISHED].concat();
    let mut records = vec![(CLIENT, record(22, 0x0301, &hello))];
    records.extend(early.iter().map(|data| (CLIENT, sealer.data(data))));
    records.push((SERVER, record(22, 0x0303, &answer)));
    records.push((SERVER, peers.handshake[1].seal(22, &flight)));
    records.extend(is_accepted.then(|| (CLIENT, sealer.seal(22, &message(5, &[])))));
    records.push((CLIENT, peers.handshake[0].seal(22, &FINISHED)));
    for (sender, data) in parts {
        records.push((*sender, peers.data[usize::from(*sender == SERVER)].data(data)));
    }
    records
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The line of a key log for the early data of such a connection.
pub(crate) fn early_key_log() -> String {
    format!("CLIENT_EARLY_TRAFFIC_SECRET {} {}\n", hex(&RANDOM), hex(&[EARLY; 32]))
}

/// The lines of a key log for such a connection.
pub(crate) fn key_log(suite: u16) -> Vec<String> {
    let names = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ];
    let line = |(name, (_, value)): (&str, (Label, u8))| {
        format!("{name} {} {}\n", hex(&RANDOM), hex(&vec![value; secret_bytes(suite)]))
    };
    names.into_iter().zip(LABELS).map(line).collect()
}
