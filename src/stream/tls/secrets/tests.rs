//! Tests of key logs, the store and private keys.

use std::{collections::HashMap, hash::RandomState};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeySize, Pkcs1PublicEncryptingKey, PrivateDecryptingKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::{
    super::decrypt::{Label, MAX_CANDIDATES, SEARCHED_AT_ONCE, SearchPlace, Secret, SecretSource},
    keylog::{self, Key, KeyLog, KeyLogCounters, Line, MAX_LINE, read_in_pieces},
    private_key::{PrivateKey, PrivateKeyError},
    store::Secrets,
    testing::{hex, line, random},
};

const LABELS: [(&str, Label); 6] = [
    ("CLIENT_RANDOM", Label::ClientRandom),
    ("CLIENT_EARLY_TRAFFIC_SECRET", Label::ClientEarlyTraffic),
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", Label::ClientHandshakeTraffic),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", Label::ServerHandshakeTraffic),
    ("CLIENT_TRAFFIC_SECRET_0", Label::ClientTraffic),
    ("SERVER_TRAFFIC_SECRET_0", Label::ServerTraffic),
];

/// The secrets of a connection, by the number of their label.
type SecretsByLabel = HashMap<usize, Vec<Vec<u8>>>;

fn store(max_secrets: usize) -> Secrets<RandomState> {
    Secrets::new(max_secrets, RandomState::new(), Vec::new())
}

fn read(text: &str) -> (KeyLogCounters, Vec<(Key, Vec<u8>)>) {
    let (counters, lines) = read_in_pieces(text.as_bytes(), text.len().max(1));
    (counters, lines.into_iter().map(|Line { key, secret }| (key, secret.bytes().to_vec())).collect())
}

fn candidates(secrets: &impl SecretSource, label: Label, number: u64) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    secrets.candidates(label, &random(number), &mut found);
    found.iter().map(|secret| secret.bytes().to_vec()).collect()
}

#[test]
fn every_label_in_either_case() {
    for (name, label) in LABELS {
        let lengths: &[usize] = if label == Label::ClientRandom { &[48] } else { &[32, 48] };
        for &length in lengths {
            let secret = vec![0xab; length];
            let text = line(name, 7, &secret);
            let upper = format!("{name} {}\n", text.trim().split_once(' ').unwrap().1.to_uppercase());
            for text in [text, upper] {
                let (counters, lines) = read(&text);
                assert_eq!(lines, [(Key::Connection(label, random(7)), secret.clone())], "{name}");
                assert_eq!(counters, KeyLogCounters { lines: 1, secrets_read: 1, ..Default::default() });
            }
        }
    }
}

#[test]
fn what_programs_write_around_a_secret_is_accepted() {
    let (random, secret) = (hex(&random(1)), hex(&[0x5a; 48]));
    let accepted = [
        format!("CLIENT_RANDOM {random} {secret}"),
        format!("CLIENT_RANDOM {random} {secret}\r\n"),
        format!("CLIENT_RANDOM  {random}\t\t{secret} \n"),
        format!("\u{feff}CLIENT_RANDOM {random} {secret}\n"),
        format!("\0\0\0\0CLIENT_RANDOM {random} {secret}\n"),
        format!("{}CLIENT_RANDOM {random} {secret}\n", "\0".repeat(9_000)),
        format!("<134>Nov 29 10:00:00 lb haproxy[77]: CLIENT_RANDOM {random} {secret}\n"),
        format!("Nov 29 lb RSA offload: CLIENT_RANDOM {random} {secret}\n"),
        format!("haproxy: CLIENT_EARLY_TRAFFIC_SECRET {random} -#012CLIENT_RANDOM  {random} {secret}#012\n"),
        format!("haproxy: CLIENT_EARLY_TRAFFIC_SECRET {random} \\nCLIENT_RANDOM {random} {secret}\\n\n"),
        format!("{{\"line\": \"CLIENT_RANDOM {random} {secret}\"}}\n"),
        format!("# comment\n\n  \nCLIENT_RANDOM {random} {secret}\n#\n"),
        format!("CLIENT_RANDOM {random} {secret}{}\n", "00".repeat(16)),
    ];
    for text in accepted {
        let (counters, lines) = read(&text);
        assert_eq!(lines, [(Key::Connection(Label::ClientRandom, self::random(1)), vec![0x5a; 48])], "{text}");
        assert_eq!((counters.secrets_read, counters.lines_unrecognised), (1, 0), "{text}");
    }
}

#[test]
fn what_is_no_secret_is_counted_by_cause() {
    let (random, secret) = (hex(&random(1)), hex(&[0x5a; 32]));
    type Field = fn(&KeyLogCounters) -> u64;
    let cases: [(String, Field); 26] = [
        ("#CLIENT_RANDOM".into(), |c| c.lines_blank),
        (" \t\r".into(), |c| c.lines_blank),
        ("hello".into(), |c| c.lines_unrecognised),
        (format!("client_random {random} {secret}"), |c| c.lines_unrecognised),
        (format!("RSA {random} {secret}"), |c| c.lines_unrecognised),
        (format!("CLIENT_RANDOM {random} {secret}"), |c| c.secrets_malformed),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret}aa"), |c| c.secrets_malformed),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret}a"), |c| c.secrets_malformed),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret}g0"), |c| c.secrets_malformed),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random} {}", "5a".repeat(65)), |c| c.secrets_malformed),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random}00 {secret}"), |c| c.secrets_malformed),
        (format!("CLIENT_TRAFFIC_SECRET_0 {} {secret}", &random[2..]), |c| c.secrets_malformed),
        ("CLIENT_TRAFFIC_SECRET_0".into(), |c| c.secrets_absent),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random}"), |c| c.secrets_absent),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random} -"), |c| c.secrets_absent),
        ("CLIENT_TRAFFIC_SECRET_0 - -".into(), |c| c.secrets_absent),
        (format!("CLIENT_TRAFFIC_SECRET_0 {random} {}", "0".repeat(64)), |c| c.secrets_zero),
        (format!("CLIENT_RANDOM {random} {}", "0".repeat(96)), |c| c.secrets_zero),
        (format!("QUIC_CLIENT_TRAFFIC_SECRET_0 {random} {secret}"), |c| c.secrets_quic),
        (format!("EXPORTER_SECRET {random} {secret}"), |c| c.secrets_unused),
        (format!("EARLY_EXPORTER_SECRET {random} {secret}"), |c| c.secrets_unused),
        (format!("ECH_SECRET {random} {secret}"), |c| c.secrets_unused),
        (format!("SERVER_TRAFFIC_SECRET_1 {random} {secret}"), |c| c.secrets_unused),
        (format!("PMS_CLIENT_RANDOM {random} {secret}"), |c| c.secrets_unsupported),
        (format!("RSA Session-ID:{random} Master-Key:{secret}"), |c| c.secrets_unsupported),
        ("x".repeat(MAX_LINE + 1), |c| c.lines_too_long),
    ];
    for (text, field) in cases {
        for text in [text.clone(), format!("{text}\n")] {
            let (counters, lines) = read(&text);
            assert!(lines.is_empty(), "{text}");
            let all: u64 = counters.counts().iter().map(|count| count.value).sum();
            assert_eq!((counters.lines, field(&counters), all), (1, 1, 2), "{text} {counters:?}");
        }
    }
}

#[test]
fn a_padded_secret_is_offered_at_its_possible_lengths() {
    let of = |secret: &[u8]| {
        let lines = read(&line("SERVER_TRAFFIC_SECRET_0", 1, secret)).1;
        lines.into_iter().map(|(_, secret)| secret.len()).collect::<Vec<_>>()
    };
    let padded = |length: usize| [vec![7; length], vec![0; 64 - length]].concat();
    assert_eq!(of(&padded(32)), [32]);
    assert_eq!(of(&padded(48)), [32, 48], "bytes behind 32 may be left over in the producer's buffer");
    assert_eq!(of(&padded(64)), [32, 48]);
    assert_eq!(of(&padded(32)[..48]), [32, 48]);
}

#[test]
fn a_premaster_secret_is_found_by_its_encryption() {
    let secrets = store(100);
    assert!(!secrets.may_decrypt_premasters());
    secrets.read_whole(format!("RSA 0102030405060708 {}\n", "0303".repeat(24)).as_bytes());
    let mut found = Vec::new();
    secrets.decrypt_premaster(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &mut found);
    secrets.decrypt_premaster(&[1, 2, 3, 4, 5, 6, 7, 9, 9, 10], &mut found);
    secrets.decrypt_premaster(&[1, 2], &mut found);
    assert!(secrets.may_decrypt_premasters());
    assert!(!secrets.has_private_key(), "a line is none");
    assert_eq!(found, [Secret::new(&[3; 48]).unwrap()]);
}

#[test]
fn reading_can_begin_in_the_middle_and_anew() {
    let text = line("CLIENT_TRAFFIC_SECRET_0", 1, &[1; 32]);
    let (mut counters, mut lines) = (KeyLogCounters::default(), Vec::new());
    let mut log = KeyLog::in_the_middle();
    log.read(&text.as_bytes()[1..], &mut counters, &mut |line| lines.push(line));
    log.read(text.as_bytes(), &mut counters, &mut |line| lines.push(line));
    assert_eq!((counters.lines, lines.len()), (1, 1));
    log.read(&text.as_bytes()[..40], &mut counters, &mut |line| lines.push(line));
    log.reset();
    log.read(text.as_bytes(), &mut counters, &mut |line| lines.push(line));
    assert_eq!((counters.lines, counters.secrets_read, lines.len()), (2, 2, 2));
}

#[test]
fn candidates_are_the_newest_four_each_once() {
    let secrets = store(100);
    assert!(!secrets.expects_any());
    for byte in [1, 2, 1, 3, 2] {
        secrets.read_whole(line("CLIENT_TRAFFIC_SECRET_0", 5, &[byte; 32]).as_bytes());
    }
    assert!(secrets.expects_any());
    assert_eq!(secrets.generation(), 3);
    secrets.read_whole(line("SERVER_TRAFFIC_SECRET_0", 5, &[9; 48]).as_bytes());
    assert_eq!(candidates(&secrets, Label::ClientTraffic, 5), [vec![3; 32], vec![2; 32], vec![1; 32]]);
    for byte in [4, 5] {
        secrets.read_whole(line("CLIENT_TRAFFIC_SECRET_0", 5, &[byte; 48]).as_bytes());
    }
    let expected = [vec![5; 48], vec![4; 48], vec![3; 32], vec![2; 32]];
    assert_eq!(candidates(&secrets, Label::ClientTraffic, 5), expected);
    assert_eq!(candidates(&secrets, Label::ServerTraffic, 5), [vec![9; 48]]);
    assert_eq!(candidates(&secrets, Label::ServerTraffic, 6), Vec::<Vec<u8>>::new());
    let counters = secrets.counters().store;
    assert_eq!((counters.kept, counters.repeated, counters.replaced, counters.expired), (6, 2, 1, 0));
    assert_eq!(secrets.sizes(), (1, 5));
    assert_eq!(MAX_CANDIDATES, 4);
}

#[test]
fn the_earliest_connections_make_room() {
    let secrets = store(10);
    for number in 0..1_000 {
        secrets.read_whole(line("CLIENT_TRAFFIC_SECRET_0", number, &[1; 32]).as_bytes());
        secrets.read_whole(line("SERVER_TRAFFIC_SECRET_0", number, &[2; 32]).as_bytes());
    }
    assert_eq!(secrets.sizes(), (5, 10));
    for number in 0..1_000 {
        assert_eq!(candidates(&secrets, Label::ClientTraffic, number).len(), usize::from(number >= 995));
    }
    let counters = secrets.counters().store;
    assert_eq!((counters.kept, counters.expired, counters.connections_expired), (2_000, 1_990, 995));
}

/// All connections that a search finds under a label.
fn searched(secrets: &Secrets<RandomState>, place: &mut SearchPlace) -> Vec<[u8; 32]> {
    let (mut all, mut found) = (Vec::new(), Vec::new());
    place.begin_again();
    let mut is_more = true;
    while is_more {
        is_more = secrets.search(&[Label::ClientRandom], place, &mut found);
        assert!(found.len() <= SEARCHED_AT_ONCE + 1, "{}", found.len());
        all.extend(found.drain(..).map(|logged| logged.client_random));
    }
    all
}

#[test]
fn a_search_comes_to_every_connection_of_the_label_once() {
    let secrets = store(10_000);
    for number in 0..1_000 {
        secrets.read_whole(line("CLIENT_RANDOM", number, &[number as u8 | 1; 48]).as_bytes());
        secrets.read_whole(line("CLIENT_TRAFFIC_SECRET_0", 10_000 + number, &[7; 32]).as_bytes());
    }
    let mut place = SearchPlace::default();
    secrets.begin_search(&mut place, secrets.number_of(&random(300)).unwrap());
    let mut all = searched(&secrets, &mut place);
    assert!(all[..40].contains(&random(310)), "it begins near the connection that it was told");
    all.sort_unstable();
    assert_eq!(all, (0..1_000).map(random).collect::<Vec<_>>());
    secrets.read_whole(line("CLIENT_RANDOM", 5_000, &[9; 48]).as_bytes());
    secrets.begin_search(&mut place, 0);
    let newer = searched(&secrets, &mut place);
    assert!(newer.contains(&random(5_000)) && newer.len() < 20, "the next search is for what is new");
}

#[test]
fn nothing_shows_a_secret() {
    let secret = Secret::new(&[0xab; 32]).unwrap();
    let line = Line { key: Key::Premaster([1; 8]), secret };
    let mut log = KeyLog::default();
    let text = b"CLIENT_RANDOM abab";
    log.read(text, &mut KeyLogCounters::default(), &mut |_| {});
    let shown = format!("{line:?} {log:?} {:?}", PrivateKey::read_all(b"abab").unwrap_err());
    assert!(!shown.contains("171") && !shown.contains("ab") && !shown.contains("97, 98"), "{shown}");
}

fn pem(kind: &str, der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    let lines: Vec<&str> = digits.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

#[test]
fn private_keys_in_either_form_decrypt() {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    // The key of PKCS#1 is the octet string at the end of PKCS#8, behind 26 bytes.
    let pkcs1 = &pkcs8.as_ref()[26..];
    let certificate = pem("CERTIFICATE", &[0x30; 700]);
    let public = Pkcs1PublicEncryptingKey::new(key.public_key()).unwrap();
    let encrypt = |plain: &[u8]| {
        let mut encrypted = vec![0; public.ciphertext_size()];
        public.encrypt(plain, &mut encrypted).unwrap().to_vec()
    };
    let premaster = [&[3, 3][..], &[0x77; 46]].concat();
    // Servers with certificates of two kinds have both keys in one file.
    let curve = pem("EC PRIVATE KEY", &[1; 90]);
    for text in [pem("PRIVATE KEY", pkcs8.as_ref()), pem("RSA PRIVATE KEY", pkcs1)] {
        let text = format!("{certificate}{curve}{}{certificate}", text.replace('\n', "\r\n"));
        let keys = PrivateKey::read_all(text.as_bytes()).unwrap();
        let [key] = keys.as_slice() else { panic!("one key") };
        assert_eq!(key.decrypt_premaster(&encrypt(&premaster)).unwrap().bytes(), premaster);
        assert!(key.decrypt_premaster(&encrypt(&premaster[1..])).is_none());
        assert!(key.decrypt_premaster(&encrypt(&premaster)[1..]).is_none());
        assert!(key.decrypt_premaster(&[0x11; 256]).is_none());
        assert!(key.decrypt_premaster(&[]).is_none());
        let other = PrivateKey::read_all(other_key().as_bytes()).unwrap();
        let secrets = Secrets::new(10, RandomState::new(), other.into_iter().chain(keys).collect());
        assert!(secrets.expects_any());
        let mut found = Vec::new();
        secrets.decrypt_premaster(&encrypt(&premaster), &mut found);
        assert_eq!(found, [Secret::new(&premaster).unwrap()]);
    }
}

fn other_key() -> String {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    pem("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref())
}

#[test]
fn files_without_a_usable_key_are_told_apart() {
    let headers = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
                   -----END RSA PRIVATE KEY-----\n";
    // The key of an elliptic curve in PKCS#8, as far as its algorithm.
    let curve =
        [0x30, 0x15, 2, 1, 0, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x0a];
    let cases = [
        (pem("ENCRYPTED PRIVATE KEY", &[1; 90]), PrivateKeyError::Encrypted),
        (headers.to_owned(), PrivateKeyError::Encrypted),
        (pem("EC PRIVATE KEY", &[1; 90]), PrivateKeyError::NotRsa),
        (pem("PRIVATE KEY", &curve), PrivateKeyError::NotRsa),
        (pem("CERTIFICATE", &[1; 90]), PrivateKeyError::NoKey),
        (String::new(), PrivateKeyError::NoKey),
        ("\u{30}\u{1}\u{2}".into(), PrivateKeyError::Der),
        (pem("RSA PRIVATE KEY", &[1; 90]), PrivateKeyError::Damaged),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n".into(), PrivateKeyError::Damaged),
        ("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n".into(), PrivateKeyError::Damaged),
        (pem("EC PRIVATE KEY", &[1; 9]) + &pem("PRIVATE KEY", &curve), PrivateKeyError::NotRsa),
    ];
    for (text, error) in cases {
        assert_eq!(PrivateKey::read_all(text.as_bytes()).unwrap_err(), error, "{text}");
    }
    assert!(PrivateKey::read_all(&[0x30, 0x82, 1, 2, 3]).is_err_and(|error| error == PrivateKeyError::Der));
}

/// Key logs of a few connections, with lines that are no secrets between them.
fn key_logs() -> impl Strategy<Value = Vec<String>> {
    let secret = (0..6usize, 0..4u64, 1..8u8, prop::bool::ANY).prop_map(|(label, number, byte, long)| {
        let length = if long || label == 0 { 48 } else { 32 };
        line(LABELS[label].0, number, &vec![byte; length])
    });
    let other = prop_oneof![
        Just("\n".to_owned()),
        Just("# comment\r\n".to_owned()),
        "[ -~]{0,60}\n",
        Just(format!("{}\n", "x".repeat(3_000))),
        Just("\0\0\0".to_owned()),
    ];
    prop::collection::vec(prop_oneof![4 => secret, 1 => other], 0..40)
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_lines(lines in key_logs(), steps in prop::collection::vec(1..400usize, 1..30)) {
        let text = lines.concat();
        let whole = read_in_pieces(text.as_bytes(), text.len().max(1));
        let (mut log, mut counters, mut read) = (KeyLog::default(), KeyLogCounters::default(), Vec::new());
        let mut rest = text.as_bytes();
        for step in steps.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*step));
            log.read(piece, &mut counters, &mut |line| read.push(line));
            rest = after;
            if rest.is_empty() { break }
        }
        log.finish(&mut counters, &mut |line| read.push(line));
        prop_assert_eq!((counters, read), whole);
    }

    #[test]
    fn any_bytes_are_read_without_panic(data in prop::collection::vec(any::<u8>(), 0..4_000)) {
        keylog::fuzz(&data);
    }

    #[test]
    fn mutated_key_logs_are_read_without_panic(
        lines in key_logs(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20), step: u8,
    ) {
        let mut bytes = [vec![step], lines.concat().into_bytes()].concat();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        keylog::fuzz(&bytes);
    }

    #[test]
    fn the_store_equals_a_plain_model(lines in key_logs(), max in 4..60usize) {
        let secrets = store(max);
        let mut model: Vec<(u64, SecretsByLabel)> = Vec::new();
        for text in &lines {
            secrets.read_whole(text.as_bytes());
            for (key, secret) in read(text).1 {
                let Key::Connection(label, name) = key else { continue };
                let number = u64::from_be_bytes(name[..8].try_into().unwrap());
                if !model.iter().any(|held| held.0 == number) {
                    model.push((number, HashMap::new()));
                }
                let held = model.iter_mut().find(|held| held.0 == number).unwrap();
                let list = held.1.entry(label as usize).or_default();
                if !list.contains(&secret) {
                    list.insert(0, secret);
                    list.truncate(4);
                }
                while model.iter().flat_map(|held| held.1.values()).map(Vec::len).sum::<usize>() > max {
                    model.remove(0);
                }
            }
        }
        for number in 0..4 {
            for (_, label) in LABELS {
                let held = model.iter().find(|held| held.0 == number);
                let expected = held.and_then(|held| held.1.get(&(label as usize))).cloned().unwrap_or_default();
                prop_assert_eq!(candidates(&secrets, label, number), expected);
            }
        }
        let held = model.iter().flat_map(|held| held.1.values()).map(Vec::len).sum();
        prop_assert_eq!(secrets.sizes(), (model.len(), held));
    }

    #[test]
    fn the_order_of_connections_does_not_matter(lines in key_logs().prop_shuffle()) {
        let (one, other) = (store(1_000), store(1_000));
        lines.iter().for_each(|line| one.read_whole(line.as_bytes()));
        lines.iter().rev().for_each(|line| other.read_whole(line.as_bytes()));
        for (_, label) in LABELS {
            let of = |secrets: &Secrets<RandomState>| {
                let mut found = candidates(secrets, label, 1);
                found.sort();
                found
            };
            if of(&one).len() < 4 {
                prop_assert_eq!(of(&one), of(&other));
            }
        }
    }
}
