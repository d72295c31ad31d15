//! Sessions of TLS 1.0 to 1.2 against peers of the test's own.

use proptest::prelude::*;

use super::{
    Beginning, Cause, Content, Label, PlainLength, Sender,
    schedule::{TLS10, TLS11, TLS12, master_secret, session_hash},
    suite::suite,
    testing::{Reader, Sealer, client_hello, list16, message, record, secret, server_hello},
};

const CLIENT: Sender = Sender::Client;
const SERVER: Sender = Sender::Server;

const CLIENT_RANDOM: [u8; 32] = [0xc2; 32];
const SERVER_RANDOM: [u8; 32] = [0x52; 32];
const RANDOMS: (&[u8; 32], &[u8; 32]) = (&CLIENT_RANDOM, &SERVER_RANDOM);
const MASTER: [u8; 48] = [0x3a; 48];
const FINISHED: [u8; 16] = [20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

const ENCRYPT_THEN_MAC: (u16, Vec<u8>) = (22, Vec::new());
const EXTENDED_MASTER_SECRET: (u16, Vec<u8>) = (23, Vec::new());

/// Gives both hellos.
fn hellos(reader: &mut Reader, version: u16, id: u16, session: &[u8], list: &[(u16, Vec<u8>)]) {
    let hello = client_hello(CLIENT_RANDOM, session, &[id], &[]);
    reader.give(CLIENT, &record(22, 0x0301, &hello));
    let answer = server_hello(version, SERVER_RANDOM, session, id, list);
    reader.give(SERVER, &record(22, version, &answer));
}

/// Gives each sender's ChangeCipherSpec and Finished.
fn finish(reader: &mut Reader, version: u16, sealers: &mut [Sealer; 2]) {
    for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(sealers) {
        assert_eq!(reader.give(sender, &record(20, version, &[1])).content, Content::Nothing);
        assert_eq!(reader.give(sender, &sealer.seal(22, &FINISHED)).content, Content::Handshake);
    }
}

fn exchange(reader: &mut Reader, sealers: &mut [Sealer; 2]) {
    for length in [1, 15, 16, 17, 300, 16000] {
        for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut *sealers) {
            let data: Vec<u8> = (0..length).map(|index| index as u8).collect();
            assert_eq!(reader.data(sender, &sealer.data(&data)), Some(data));
        }
    }
}

fn connected(version: u16, id: u16, etm: bool) -> (Reader, [Sealer; 2]) {
    let mut reader = Reader::default();
    reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
    let list = if etm { vec![ENCRYPT_THEN_MAC] } else { Vec::new() };
    hellos(&mut reader, version, id, &[], &list);
    let mut sealers = Sealer::tls12(version, id, &MASTER, RANDOMS, etm);
    finish(&mut reader, version, &mut sealers);
    (reader, sealers)
}

#[test]
fn each_protection_is_read_in_both_directions() {
    for (id, is_cbc) in [
        (0xc02f, false),
        (0xc030, false),
        (0xcca8, false),
        (0x009c, false),
        (0xc013, true),
        (0x0035, true),
        (0xc027, true),
        (0xc028, true),
        (0x003d, true),
    ] {
        let versions = if id == 0xc013 || id == 0x0035 { &[TLS10, TLS11, TLS12][..] } else { &[TLS12][..] };
        for version in versions {
            for etm in if is_cbc { &[false, true][..] } else { &[false][..] } {
                let (mut reader, mut sealers) = connected(*version, id, *etm);
                exchange(&mut reader, &mut sealers);
            }
        }
    }
}

#[test]
fn beginnings_are_read_of_what_is_no_chain_of_blocks() {
    for (id, front) in [(0xc02f, Some(8)), (0xc030, Some(8)), (0xcca8, Some(0)), (0xc013, None), (0xc027, None)] {
        let (mut reader, mut sealers) = connected(TLS12, id, false);
        let long: Vec<u8> = (0..3_000).map(|index| index as u8).collect();
        assert_eq!(reader.data(SERVER, &sealers[1].data(&long)), Some(long.clone()));
        let record = sealers[1].data(&long);
        let read = reader.session.open_beginning(SERVER, &record[5..1_005], 500, &mut reader.plaintext);
        assert_eq!(read, front.map(|front| Beginning { front, length: 500 }), "{id:x}: no more than the data");
        if read.is_some() {
            assert_eq!(reader.plaintext[..500], long[..500], "{id:x}");
        }
        assert_eq!(reader.data(SERVER, &record), Some(long), "{id:x}");
    }
}

#[test]
fn lost_records_are_counted() {
    for (version, id) in [(TLS12, 0xc02f), (TLS12, 0xcca8), (TLS12, 0xc027), (TLS11, 0xc013)] {
        let (mut reader, mut sealers) = connected(version, id, false);
        for lost in [1, 64, 1000] {
            for _ in 0..lost {
                sealers[1].data(b"lost");
            }
            reader.session.gap(SERVER, u64::from(lost) * 30);
            let opened = reader.give(SERVER, &sealers[1].data(b"after"));
            assert_eq!((opened.lost, opened.content), (lost, Content::Data(0..5)), "{id:x}");
        }
    }
    // Without the block before it, a record of TLS 1.0 does not open. The one after it does.
    let (mut reader, mut sealers) = connected(TLS10, 0xc013, false);
    assert_eq!(reader.data(SERVER, &sealers[1].data(b"first")), Some(b"first".to_vec()));
    sealers[1].data(b"lost");
    reader.session.gap(SERVER, 53);
    assert_eq!(reader.give(SERVER, &sealers[1].data(b"x")).content, Content::Failed(Cause::Desynchronised));
    let opened = reader.give(SERVER, &sealers[1].data(b"after"));
    assert_eq!((opened.lost, opened.content), (1, Content::Data(0..5)));
}

#[test]
fn a_change_cipher_spec_that_is_missing_does_not_matter() {
    let mut reader = Reader::default();
    reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
    hellos(&mut reader, TLS12, 0xc02f, &[], &[]);
    let mut sealers = Sealer::tls12(TLS12, 0xc02f, &MASTER, RANDOMS, false);
    // The client's Finished is there, the server's is not.
    reader.session.gap(CLIENT, 6);
    reader.session.gap(SERVER, 51);
    assert_eq!(reader.give(CLIENT, &sealers[0].seal(22, &FINISHED)).content, Content::Handshake);
    sealers[1].seal(22, &FINISHED);
    assert_eq!(reader.data(SERVER, &sealers[1].data(b"data")), Some(b"data".to_vec()));
    assert_eq!(reader.data(CLIENT, &sealers[0].data(b"data")), Some(b"data".to_vec()));
}

#[test]
fn records_wait_for_the_master_secret() {
    let mut reader = Reader::default();
    hellos(&mut reader, TLS12, 0xcca8, &[], &[]);
    let mut sealers = Sealer::tls12(TLS12, 0xcca8, &MASTER, RANDOMS, false);
    reader.give(CLIENT, &record(20, TLS12, &[1]));
    let finished = sealers[0].seal(22, &FINISHED);
    assert_eq!(reader.give(CLIENT, &finished).content, Content::Waiting);
    let before = reader.progress();
    reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &[0x11; 48]);
    assert_ne!(reader.progress(), before);
    assert_eq!(reader.give(CLIENT, &finished).content, Content::Waiting);
    reader.session.stop_waiting();
    assert_eq!(reader.give(CLIENT, &finished).content, Content::Failed(Cause::WrongKeys));
    reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
    assert_eq!(reader.data(CLIENT, &sealers[0].data(b"data")), Some(b"data".to_vec()));
}

#[test]
fn a_client_hello_that_is_missing_is_found_among_recent_secrets() {
    let mut reader = Reader::default();
    reader.store.add(Label::ClientRandom, [1; 32], &[0x22; 48]);
    reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
    reader.store.add(Label::ClientRandom, [2; 32], &[0x23; 48]);
    reader.session.gap(CLIENT, 300);
    reader.give(SERVER, &record(22, TLS12, &server_hello(TLS12, SERVER_RANDOM, &[], 0xc02f, &[])));
    reader.give(CLIENT, &record(22, TLS12, &message(16, &[9; 60])));
    let mut sealers = Sealer::tls12(TLS12, 0xc02f, &MASTER, RANDOMS, false);
    finish(&mut reader, TLS12, &mut sealers);
    exchange(&mut reader, &mut sealers);
}

/// A second connection that resumes the session of `reader`, of which the key log says nothing.
fn resumed(reader: Reader, session: &[u8], ticket: Option<&[u8]>) -> bool {
    let mut second = Reader { sessions: reader.sessions, ..Reader::default() };
    let list: Vec<_> = ticket.map(|ticket| (35, ticket.to_vec())).into_iter().collect();
    let (client, server) = ([0xc9; 32], [0x59; 32]);
    second.give(CLIENT, &record(22, 0x0301, &client_hello(client, session, &[0xc02f], &list)));
    second.give(SERVER, &record(22, TLS12, &server_hello(TLS12, server, session, 0xc02f, &[])));
    let mut sealers = Sealer::tls12(TLS12, 0xc02f, &MASTER, (&client, &server), false);
    second.give(SERVER, &record(20, TLS12, &[1]));
    let is_read = second.give(SERVER, &sealers[1].seal(22, &FINISHED)).content == Content::Handshake;
    assert_eq!(second.session.facts().expect("a hello").is_resumed, Some(true));
    is_read
}

#[test]
fn resumed_sessions_use_the_earlier_master_secret() {
    let first = |session: &[u8], ticket: Option<&[u8]>| {
        let mut reader = Reader::default();
        reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
        hellos(&mut reader, TLS12, 0xc02f, session, &[]);
        reader.give(SERVER, &record(22, TLS12, &message(14, &[])));
        let mut sealers = Sealer::tls12(TLS12, 0xc02f, &MASTER, RANDOMS, false);
        reader.give(CLIENT, &record(20, TLS12, &[1]));
        reader.give(CLIENT, &sealers[0].seal(22, &FINISHED));
        if let Some(ticket) = ticket {
            let content = [&[0, 0, 1, 0][..], &list16(ticket)].concat();
            reader.give(SERVER, &record(22, TLS12, &message(4, &content)));
        }
        reader.give(SERVER, &record(20, TLS12, &[1]));
        reader.give(SERVER, &sealers[1].seal(22, &FINISHED));
        assert_eq!(reader.session.facts().expect("a hello").is_resumed, Some(false));
        reader
    };
    assert!(resumed(first(&[5; 32], None), &[5; 32], None));
    assert!(resumed(first(&[], Some(b"a ticket")), &[6; 32], Some(b"a ticket")));
    assert!(!resumed(first(&[5; 32], Some(b"a ticket")), &[6; 32], Some(b"another")));
}

#[test]
fn a_static_rsa_key_is_enough() {
    let premaster = [3u8; 48];
    for (version, id) in [(TLS12, 0x009c), (TLS12, 0x009d), (TLS10, 0x002f)] {
        for is_extended in [false, true] {
            let mut reader = Reader::default();
            reader.store.premasters = vec![secret(&[9; 48]), secret(&premaster)];
            let list = if is_extended { vec![EXTENDED_MASTER_SECRET] } else { Vec::new() };
            let exchange_message = message(16, &list16(&[0xee; 256]));
            let messages = [
                (CLIENT, client_hello(CLIENT_RANDOM, &[], &[id], &[])),
                (SERVER, server_hello(version, SERVER_RANDOM, &[1; 32], id, &list)),
                (SERVER, message(11, &[7; 1000])),
                (SERVER, message(14, &[])),
                (CLIENT, exchange_message),
            ];
            for (sender, bytes) in &messages {
                // Cut in two records.
                let (first, second) = bytes.split_at(bytes.len() / 2);
                reader.give(*sender, &record(22, version, first));
                reader.give(*sender, &record(22, version, second));
            }
            let all = messages.iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>();
            let hash = suite(id).expect("supported").hash;
            let hashed = is_extended.then(|| session_hash(version, hash, &all));
            let master =
                master_secret(version, hash, &secret(&premaster), RANDOMS, hashed.as_deref()).expect("48 bytes");
            let mut sealers = Sealer::tls12(version, id, master.bytes(), RANDOMS, false);
            finish(&mut reader, version, &mut sealers);
            exchange(&mut reader, &mut sealers);
        }
    }
}

#[test]
fn a_renegotiation_changes_the_keys() {
    let (mut reader, mut old) = connected(TLS12, 0xc02f, false);
    exchange(&mut reader, &mut old);
    let (client, server, master) = ([0xd1; 32], [0xd2; 32], [0xd3; 48]);
    reader.store.add(Label::ClientRandom, client, &master);
    let mut new = Sealer::tls12(TLS12, 0xcca8, &master, (&client, &server), false);
    let hello = client_hello(client, &[], &[0xcca8], &[]);
    assert_eq!(reader.give(CLIENT, &old[0].seal(22, &hello)).content, Content::Handshake);
    let answer = server_hello(TLS12, server, &[], 0xcca8, &[]);
    assert_eq!(reader.give(SERVER, &old[1].seal(22, &answer)).content, Content::Handshake);
    // Data under the old keys is still possible.
    assert_eq!(reader.data(SERVER, &old[1].data(b"old")), Some(b"old".to_vec()));
    for (sender, (old, new)) in [CLIENT, SERVER].into_iter().zip(old.iter_mut().zip(&mut new)) {
        assert_eq!(reader.give(sender, &old.seal(20, &[1])).content, Content::Nothing);
        assert_eq!(reader.give(sender, &new.seal(22, &FINISHED)).content, Content::Handshake);
    }
    exchange(&mut reader, &mut new);
}

#[test]
fn lengths_are_exact_without_decryption() {
    for (id, expected) in
        [(0xc02f, Some(PlainLength::Exact(333))), (0xcca8, Some(PlainLength::Exact(333))), (0xc013, None)]
    {
        let (mut reader, mut sealers) = connected(TLS12, id, false);
        assert!(reader.data(SERVER, &sealers[1].data(b"first")).is_some());
        let skipped = sealers[1].data(&[0; 333]);
        let header = *skipped.first_chunk().expect("a header");
        assert_eq!(reader.session.plain_length(SERVER, header), expected);
        reader.session.skip(SERVER, header);
        assert_eq!(reader.data(SERVER, &sealers[1].data(b"after")), Some(b"after".to_vec()));
        // An alert is never skipped.
        let alert = sealers[1].seal(21, &[1, 0]);
        assert_eq!(reader.session.plain_length(SERVER, *alert.first_chunk().expect("a header")), None);
        assert_eq!(reader.give(SERVER, &alert).content, Content::Alert { level: 1, description: 0 });
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for (version, id) in [(TLS12, 0x0005), (TLS12, 0xc09c), (0x0300, 0x002f)] {
        let mut reader = Reader::default();
        hellos(&mut reader, version, id, &[], &[]);
        reader.give(SERVER, &record(20, version, &[1]));
        let content = reader.give(SERVER, &record(22, version, &[0; 40])).content;
        let expected =
            if version == 0x0300 { Content::Handshake } else { Content::Failed(Cause::UnsupportedSuite(id)) };
        assert!(content == Content::Failed(Cause::UnsupportedSuite(id)) || content == expected, "{content:?}");
    }
}

proptest! {
    /// Whatever is lost or changed, each other record is read with its own data.
    #[test]
    fn every_record_that_is_there_is_read(
        id in prop::sample::select(vec![0xc02fu16, 0xcca8, 0xc013, 0xc027]),
        etm in any::<bool>(),
        fates in prop::collection::vec(0u8..8, 1..40),
    ) {
        let (mut reader, mut sealers) = connected(TLS12, id, etm && id >> 8 == 0xc0 && id != 0xc02f);
        let mut lost = 0;
        for (index, fate) in fates.into_iter().enumerate() {
            let mut bytes = sealers[1].data(&[index as u8; 40]);
            match fate {
                0 => {
                    reader.session.gap(SERVER, bytes.len() as u64);
                    lost += 1;
                }
                1 => {
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    prop_assert_eq!(reader.give(SERVER, &bytes).content, Content::Failed(Cause::Desynchronised));
                }
                _ => {
                    let opened = reader.give(SERVER, &bytes);
                    prop_assert_eq!((opened.lost, opened.content), (lost, Content::Data(0..40)));
                    prop_assert_eq!(&reader.plaintext[..40], &[index as u8; 40]);
                    lost = 0;
                }
            }
        }
    }

    #[test]
    fn mutated_records_never_panic(
        id in prop::sample::select(vec![0xc02fu16, 0xcca8, 0xc013, 0xc027]),
        version in prop::sample::select(vec![TLS10, TLS11, TLS12]),
        etm in any::<bool>(),
        bodies in prop::collection::vec((20u8..24, prop::collection::vec(any::<u8>(), 0..120)), 0..20),
    ) {
        let etm = etm && id >> 8 == 0xc0 && id != 0xc02f;
        let (mut reader, _) = connected(version, id, etm);
        for (kind, body) in bodies {
            reader.give(SERVER, &record(kind, version, &body));
        }
    }
}
