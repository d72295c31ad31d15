//! The cells of the table in `packaging/doc/tls.md`: each protection of records with each way that a connection can go.
//!
//! A test stands for a column, and goes through all rows that the table has for it. The name of a row is in its assertions.

use super::{
    Cause, Content, Label, Opened, Sender,
    schedule::{TLS10, TLS11, TLS12, master_secret, session_hash},
    suite::{suite, suite_name},
    testing::{Reader, Sealer, chooses_tls13, client_hello, list16, message, record, secret, server_hello},
    tests13::{self, KEY_UPDATE, LABELS, Peers, RANDOM, learn},
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

/// A row of TLS 1.2 and before.
#[derive(Debug, Clone, Copy)]
struct Row {
    version: u16,
    suite: u16,
    encrypt_then_mac: bool,
}

impl Row {
    fn name(self) -> String {
        format!("{:x} {} {}", self.version, suite_name(self.suite).expect("supported"), self.encrypt_then_mac)
    }

    fn extensions(self) -> Vec<(u16, Vec<u8>)> {
        if self.encrypt_then_mac { vec![ENCRYPT_THEN_MAC] } else { Vec::new() }
    }

    fn sealers(self, master: &[u8], randoms: (&[u8; 32], &[u8; 32])) -> [Sealer; 2] {
        Sealer::tls12(self.version, self.suite, master, randoms, self.encrypt_then_mac)
    }

    fn client_hello(self) -> Vec<u8> {
        record(22, 0x0301, &client_hello(CLIENT_RANDOM, &[], &[self.suite], &self.extensions()))
    }

    fn server_hello(self) -> Vec<u8> {
        let hello = server_hello(self.version, SERVER_RANDOM, &[], self.suite, &self.extensions());
        record(22, self.version, &hello)
    }

    fn change(self) -> Vec<u8> {
        record(20, self.version, &[1])
    }
}

/// The rows whose keys come from a key log, and below them those of a server's RSA key.
const BY_KEY_LOG: [&[u16]; 2] = [&[0xc02f, 0xc030, 0xcca8, 0xc013, 0xc014, 0xc027, 0x003d, 0xc028], &[0xc013, 0xc014]];
const BY_RSA_KEY: [&[u16]; 2] = [&[0x009c, 0x009d, 0x002f, 0x0035, 0x003c, 0x003d], &[0x002f, 0x0035]];

/// All rows of these suites: those of TLS 1.2, and those of 1.1 and 1.0.
fn rows([of_tls12, before]: [&[u16]; 2]) -> Vec<Row> {
    let versions = [(TLS12, of_tls12), (TLS11, before), (TLS10, before)];
    let mut rows = Vec::new();
    for (version, suites) in versions {
        for suite in suites {
            let is_cbc = suite_name(*suite).is_some_and(|name| name.contains("_CBC_"));
            for encrypt_then_mac in [false, true].into_iter().take(1 + usize::from(is_cbc)) {
                rows.push(Row { version, suite: *suite, encrypt_then_mac });
            }
        }
    }
    rows
}

/// Gives each sender's ChangeCipherSpec and Finished.
fn finish(reader: &mut Reader, row: Row, sealers: &mut [Sealer; 2]) {
    for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(sealers) {
        assert_eq!(reader.give(sender, &row.change()).content, Content::Nothing, "{}", row.name());
        assert_eq!(reader.give(sender, &sealer.seal(22, &FINISHED)).content, Content::Handshake, "{}", row.name());
    }
}

/// Both sides send data, which is read.
fn talk(reader: &mut Reader, row: Row, sealers: &mut [Sealer; 2]) {
    for length in [1, 15, 16, 300] {
        for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut *sealers) {
            let data = vec![length as u8; length];
            assert_eq!(reader.data(sender, &sealer.data(&data)), Some(data), "{}", row.name());
        }
    }
}

/// A connection whose handshake was seen and whose secret is known.
fn connected(row: Row) -> (Reader, [Sealer; 2]) {
    let mut reader = Reader::default();
    reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
    reader.give(CLIENT, &row.client_hello());
    reader.give(SERVER, &row.server_hello());
    let mut sealers = row.sealers(&MASTER, RANDOMS);
    finish(&mut reader, row, &mut sealers);
    (reader, sealers)
}

#[test]
fn key_log() {
    for row in rows(BY_KEY_LOG) {
        let (mut reader, mut sealers) = connected(row);
        talk(&mut reader, row, &mut sealers);
    }
}

#[test]
fn rsa_key() {
    let premaster = [3u8; 48];
    for row in rows(BY_RSA_KEY) {
        for is_extended in [false, true] {
            let mut reader = Reader::default();
            reader.store.premasters = vec![secret(&premaster)];
            let mut list = row.extensions();
            list.extend(is_extended.then_some(EXTENDED_MASTER_SECRET));
            let messages = [
                (CLIENT, client_hello(CLIENT_RANDOM, &[], &[row.suite], &list)),
                (SERVER, server_hello(row.version, SERVER_RANDOM, &[], row.suite, &list)),
                (SERVER, message(14, &[])),
                (CLIENT, message(16, &list16(&[0xee; 256]))),
            ];
            for (sender, bytes) in &messages {
                reader.give(*sender, &record(22, row.version, bytes));
            }
            let all = messages.iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>();
            let hash = suite(row.suite).expect("supported").hash;
            let hashed = is_extended.then(|| session_hash(row.version, hash, &all));
            let premaster = secret(&premaster);
            let master = master_secret(row.version, hash, &premaster, RANDOMS, hashed.as_deref()).expect("48 bytes");
            let mut sealers = row.sealers(master.bytes(), RANDOMS);
            finish(&mut reader, row, &mut sealers);
            talk(&mut reader, row, &mut sealers);
        }
    }
}

#[test]
fn late_secret() {
    for row in rows(BY_KEY_LOG) {
        let mut reader = Reader::default();
        reader.give(CLIENT, &row.client_hello());
        reader.give(SERVER, &row.server_hello());
        let mut sealers = row.sealers(&MASTER, RANDOMS);
        reader.give(CLIENT, &row.change());
        let finished = sealers[0].seal(22, &FINISHED);
        assert_eq!(reader.give(CLIENT, &finished).content, Content::Waiting, "{}", row.name());
        reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
        assert_eq!(reader.give(CLIENT, &finished).content, Content::Handshake, "{}", row.name());
        reader.give(SERVER, &row.change());
        assert_eq!(reader.give(SERVER, &sealers[1].seal(22, &FINISHED)).content, Content::Handshake, "{}", row.name());
        talk(&mut reader, row, &mut sealers);
    }
}

/// Records have passed before the secret comes: some without their bodies. In TLS 1.0 the first record after those does not open.
#[test]
fn secret_after_the_wait() {
    for row in rows(BY_KEY_LOG) {
        let mut reader = Reader::default();
        reader.give(CLIENT, &row.client_hello());
        reader.give(SERVER, &row.server_hello());
        let mut sealers = row.sealers(&MASTER, RANDOMS);
        reader.session.stop_waiting();
        for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut sealers) {
            reader.give(sender, &row.change());
            let finished = sealer.seal(22, &FINISHED);
            assert_eq!(reader.give(sender, &finished).content, Content::Failed(Cause::NoKeys), "{}", row.name());
            for _ in 0..3 {
                let header = *sealer.data(b"GET /unread").first_chunk().expect("a header");
                assert!(!reader.wants_body(sender, header), "{}", row.name());
                reader.session.skip(sender, header);
            }
        }
        reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
        if row.version == TLS10 {
            for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut sealers) {
                let content = reader.give(sender, &sealer.data(b"a block and some more")).content;
                assert!(!matches!(content, Content::Data(_)), "{}", row.name());
            }
        }
        talk(&mut reader, row, &mut sealers);
    }
}

/// A record was not given. In TLS 1.0 the record after it is chained to it, so it does not open.
#[test]
fn a_record_that_was_not_given_makes_no_other_data() {
    for row in rows(BY_KEY_LOG) {
        let (mut reader, mut sealers) = connected(row);
        let header = *sealers[1].data(b"not given").first_chunk().expect("a header");
        reader.session.skip(SERVER, header);
        let next = reader.data(SERVER, &sealers[1].data(b"a block and some more"));
        assert_eq!(next.is_some(), row.version != TLS10, "{}", row.name());
        assert!(next.is_none_or(|data| data == b"a block and some more"), "{}", row.name());
        talk(&mut reader, row, &mut sealers);
    }
}

/// A record of the server is missing. In TLS 1.0 the record after it does not open, because its first block needs the block before.
fn lose_one(reader: &mut Reader, row: Row, sealer: &mut Sealer) {
    sealer.data(b"lost");
    reader.session.gap(SERVER, 53);
    if row.version == TLS10 {
        let content = reader.give(SERVER, &sealer.data(b"a block and some more")).content;
        assert_eq!(content, Content::Failed(Cause::Desynchronised), "{}", row.name());
    }
    let opened = reader.give(SERVER, &sealer.data(b"after"));
    assert_eq!((opened.lost, opened.content), (1, Content::Data(0..5)), "{}", row.name());
    assert_eq!(&reader.plaintext[..5], b"after", "{}", row.name());
}

#[test]
fn lost_record() {
    for row in rows(BY_KEY_LOG) {
        let (mut reader, mut sealers) = connected(row);
        talk(&mut reader, row, &mut sealers);
        lose_one(&mut reader, row, &mut sealers[1]);
        talk(&mut reader, row, &mut sealers);
    }
}

/// So many records are lost that their numbers cannot all be tried. The tag shows the number, or the bytes about how many they were.
#[test]
fn many_lost_records() {
    for row in rows(BY_KEY_LOG) {
        let (mut reader, mut sealers) = connected(row);
        talk(&mut reader, row, &mut sealers);
        let lost = 30_000;
        let mut bytes = 0;
        for _ in 0..lost {
            bytes += sealers[1].data(b"lost").len() as u64;
        }
        reader.session.gap(SERVER, bytes);
        if row.version == TLS10 {
            reader.give(SERVER, &sealers[1].data(b"lost as well"));
        }
        let opened = reader.give(SERVER, &sealers[1].data(b"after"));
        assert_eq!(opened, Opened { lost, content: Content::Data(0..5) }, "{}", row.name());
        talk(&mut reader, row, &mut sealers);
    }
}

/// AES-GCM shows any number, also if nonces do not count up by one.
#[test]
fn any_number_of_lost_records_with_gcm() {
    for row in rows(BY_KEY_LOG).into_iter().filter(|row| matches!(row.suite, 0xc02f | 0xc030)) {
        let (mut reader, mut sealers) = connected(row);
        talk(&mut reader, row, &mut sealers);
        sealers[1].next += 10_000_000;
        reader.session.gap(SERVER, 1 << 40);
        assert_eq!(reader.data(SERVER, &sealers[1].data(b"after")), Some(b"after".to_vec()), "{}", row.name());
        talk(&mut reader, row, &mut sealers);
    }
}

#[test]
fn lost_client_hello() {
    for row in rows(BY_KEY_LOG) {
        let mut reader = Reader::default();
        reader.store.add(Label::ClientRandom, [1; 32], &[0x22; 48]);
        reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
        reader.session.gap(CLIENT, 300);
        reader.give(SERVER, &row.server_hello());
        let mut sealers = row.sealers(&MASTER, RANDOMS);
        finish(&mut reader, row, &mut sealers);
        talk(&mut reader, row, &mut sealers);
    }
}

#[test]
fn resumption() {
    for row in rows(BY_KEY_LOG) {
        for ticket in [None, Some(&b"a ticket"[..])] {
            let session: &[u8] = if ticket.is_none() { &[5; 32] } else { &[] };
            let mut first = Reader::default();
            first.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
            first.give(CLIENT, &row.client_hello());
            let hello = server_hello(row.version, SERVER_RANDOM, session, row.suite, &row.extensions());
            first.give(SERVER, &record(22, row.version, &hello));
            if let Some(ticket) = ticket {
                let content = [&[0, 0, 1, 0][..], &list16(ticket)].concat();
                first.give(SERVER, &record(22, row.version, &message(4, &content)));
            }
            finish(&mut first, row, &mut row.sealers(&MASTER, RANDOMS));

            // The key log says nothing of the second connection.
            let mut second = Reader { sessions: first.sessions, ..Reader::default() };
            let (client, server) = ([0xc9; 32], [0x59; 32]);
            let session: &[u8] = if ticket.is_none() { &[5; 32] } else { &[6; 32] };
            let mut list = row.extensions();
            list.extend(ticket.map(|ticket| (35, ticket.to_vec())));
            second.give(CLIENT, &record(22, 0x0301, &client_hello(client, session, &[row.suite], &list)));
            let hello = server_hello(row.version, server, session, row.suite, &row.extensions());
            second.give(SERVER, &record(22, row.version, &hello));
            let mut sealers = row.sealers(&MASTER, (&client, &server));
            finish(&mut second, row, &mut sealers);
            assert_eq!(second.session.facts().expect("a hello").is_resumed, Some(true), "{}", row.name());
            talk(&mut second, row, &mut sealers);
        }
    }
}

#[test]
fn renegotiation() {
    for row in rows(BY_KEY_LOG) {
        let (mut reader, mut old) = connected(row);
        talk(&mut reader, row, &mut old);
        let (client, server, master) = ([0xd1; 32], [0xd2; 32], [0xd3; 48]);
        reader.store.add(Label::ClientRandom, client, &master);
        let mut new = row.sealers(&master, (&client, &server));
        let hello = client_hello(client, &[], &[row.suite], &row.extensions());
        assert_eq!(reader.give(CLIENT, &old[0].seal(22, &hello)).content, Content::Handshake, "{}", row.name());
        let answer = server_hello(row.version, server, &[], row.suite, &row.extensions());
        assert_eq!(reader.give(SERVER, &old[1].seal(22, &answer)).content, Content::Handshake, "{}", row.name());
        for (sender, (old, new)) in [CLIENT, SERVER].into_iter().zip(old.iter_mut().zip(&mut new)) {
            assert_eq!(reader.give(sender, &old.seal(20, &[1])).content, Content::Nothing, "{}", row.name());
            assert_eq!(reader.give(sender, &new.seal(22, &FINISHED)).content, Content::Handshake, "{}", row.name());
        }
        talk(&mut reader, row, &mut new);
    }
}

/// The suites of TLS 1.3 that are read.
const OF_TLS13: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// Both sides of a connection of TLS 1.3 send data, which is read.
fn talk13(reader: &mut Reader, peers: &mut Peers) {
    for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut peers.data) {
        assert_eq!(reader.data(sender, &sealer.data(&[7; 300])), Some(vec![7; 300]));
    }
}

/// Gives records of a handshake, all of which are understood.
fn give_all(reader: &mut Reader, records: &[(Sender, Vec<u8>)]) {
    for (sender, bytes) in records {
        let content = reader.give(*sender, bytes).content;
        assert!(matches!(content, Content::Handshake | Content::Nothing), "{content:?}");
    }
}

#[test]
fn key_log_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = tests13::connected(suite);
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn late_secret_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        reader.give(CLIENT, &tests13::hello());
        reader.give(SERVER, &tests13::answer(suite));
        let records = tests13::handshake_records(&mut peers);
        assert_eq!(reader.give(SERVER, &records[1].1).content, Content::Waiting);
        learn(&reader, suite, &LABELS);
        give_all(&mut reader, &records[1..]);
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn lost_record_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = tests13::connected(suite);
        talk13(&mut reader, &mut peers);
        peers.server(b"lost");
        reader.session.gap(SERVER, 26);
        let opened = reader.give(SERVER, &peers.server(b"after"));
        assert_eq!((opened.lost, opened.content), (1, Content::Data(0..5)));
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn lost_client_hello_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        learn(&reader, suite, &LABELS);
        reader.give(SERVER, &tests13::answer(suite));
        give_all(&mut reader, &tests13::handshake_records(&mut peers));
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn joined_midway_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        learn(&reader, suite, &LABELS);
        peers.data.iter_mut().for_each(|sealer| sealer.next = 40);
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn resumption_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        learn(&reader, suite, &LABELS);
        let hello = client_hello(RANDOM, &[7; 32], &[suite], &[(41, vec![0; 40])]);
        reader.give(CLIENT, &record(22, 0x0301, &hello));
        let answer = server_hello(0x0304, [0x5e; 32], &[7; 32], suite, &[chooses_tls13(), (41, vec![0, 0])]);
        reader.give(SERVER, &record(22, 0x0303, &answer));
        give_all(&mut reader, &tests13::handshake_records(&mut peers));
        assert_eq!(reader.session.facts().expect("a hello").is_resumed, Some(true));
        talk13(&mut reader, &mut peers);
    }
}

/// The random that makes a ServerHello a HelloRetryRequest (RFC 8446, section 4.1.3).
const RETRY: &str = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";

#[test]
fn hello_retry_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = (Reader::default(), Peers::new(suite));
        learn(&reader, suite, &LABELS);
        reader.give(CLIENT, &tests13::hello());
        let retry = super::testing::unhex(RETRY).try_into().expect("32 bytes");
        let retry = server_hello(0x0304, retry, &[7; 32], suite, &[chooses_tls13(), (51, vec![0, 23])]);
        reader.give(SERVER, &record(22, 0x0303, &retry));
        reader.give(CLIENT, &tests13::hello());
        reader.give(SERVER, &tests13::answer(suite));
        give_all(&mut reader, &tests13::handshake_records(&mut peers));
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn key_update_13() {
    for suite in OF_TLS13 {
        let (mut reader, mut peers) = tests13::connected(suite);
        for (sender, sealer) in [CLIENT, SERVER].into_iter().zip(&mut peers.data) {
            assert_eq!(reader.give(sender, &sealer.seal(22, &KEY_UPDATE)).content, Content::Handshake);
            sealer.update();
        }
        talk13(&mut reader, &mut peers);
        // The update itself is lost.
        peers.data[1].seal(22, &KEY_UPDATE);
        peers.data[1].update();
        reader.session.gap(SERVER, 27);
        talk13(&mut reader, &mut peers);
    }
}

#[test]
fn early_data_13() {
    for suite in OF_TLS13 {
        for is_accepted in [true, false] {
            let (mut reader, mut peers, data) = tests13::early(suite, is_accepted, true);
            let read = is_accepted.then(|| b"GET /early".to_vec());
            assert_eq!(reader.data(CLIENT, &data), read);
            talk13(&mut reader, &mut peers);
        }
    }
}

#[test]
fn other_suites_are_named() {
    // AES-CCM, Camellia, ARIA, 3DES, RC4, SEED, no encryption.
    for suite in [0xc09c, 0xc0ac, 0xc076, 0xc050, 0x000a, 0x0005, 0x0096, 0x0002] {
        let mut reader = Reader::default();
        reader.store.add(Label::ClientRandom, CLIENT_RANDOM, &MASTER);
        reader.give(CLIENT, &record(22, 0x0301, &client_hello(CLIENT_RANDOM, &[], &[suite], &[])));
        reader.give(SERVER, &record(22, TLS12, &server_hello(TLS12, SERVER_RANDOM, &[], suite, &[])));
        reader.give(SERVER, &record(20, TLS12, &[1]));
        let content = reader.give(SERVER, &record(22, TLS12, &[0; 64])).content;
        assert_eq!(content, Content::Failed(Cause::UnsupportedSuite(suite)), "{suite:x}");
    }
    for suite in [0x1304, 0x1305] {
        let mut reader = Reader::default();
        learn(&reader, suite, &LABELS);
        reader.give(CLIENT, &tests13::hello());
        reader.give(SERVER, &tests13::answer(suite));
        let content = reader.give(SERVER, &record(23, 0x0303, &[0; 64])).content;
        assert_eq!(content, Content::Failed(Cause::UnsupportedSuite(suite)), "{suite:x}");
    }
}
