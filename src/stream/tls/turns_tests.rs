use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

fn heard(suite: u16, agreed: Option<Agreed>, script: &str) -> (Vec<(u32, u32)>, Turns) {
    let mut turns = Turns::default();
    turns.server_hello(suite, agreed);
    followed(turns, script)
}

/// Records in the order of the capture, such as `C154` for a client's record of 154 bytes with content. `H` is a record of the
/// client's handshake, `K` its change of cipher, and `-` a gap.
fn followed(mut turns: Turns, script: &str) -> (Vec<(u32, u32)>, Turns) {
    let mut found = Vec::new();
    for (number, word) in script.split_whitespace().enumerate() {
        let stamp = Stamp { number: number as u64, time: Timestamp::from_parts(number as u64, 0) };
        let mut report = |heard: Heard| found.push((heard.request_bytes, heard.answer_bytes));
        let (by, length) = word.split_at(1);
        let (by, kind) = match by {
            "C" => (Sender::Client, APPLICATION_DATA),
            "H" => (Sender::Client, HANDSHAKE),
            "K" => (Sender::Client, CHANGE_CIPHER_SPEC),
            "S" => (Sender::Server, APPLICATION_DATA),
            _ => {
                turns.gap();
                continue;
            }
        };
        let [high, low] = length.parse::<u16>().expect("a length").to_be_bytes();
        turns.record(by, [kind, 3, 3, high, low], stamp, &mut report);
    }
    turns.end(&mut |heard| found.push((heard.request_bytes, heard.answer_bytes)));
    (found, turns)
}

const GCM_TLS12: u16 = 0xc02f;
const GCM_TLS13: u16 = 0x1302;

#[test]
fn turns_are_those_of_recorded_connections() {
    for (what, suite, agreed, script, expected) in [
        (
            "curl: one ticket before the request, one after it, of one length",
            GCM_TLS13,
            None,
            "S38 S870 S281 S69 C69 S282 C154 S282 S214 C154 S214",
            &[(137, 197), (137, 197)][..],
        ),
        (
            "both tickets after the request",
            GCM_TLS13,
            None,
            "S38 S870 S281 S69 C69 C154 S282 S282 S214 C160 S214",
            &[(137, 197), (143, 197)],
        ),
        (
            "one ticket only: the second answer shows that it is none of the first",
            GCM_TLS13,
            None,
            "S38 S870 S281 S69 C69 C154 S150 S214 C160 S214",
            &[(137, 197), (143, 197)],
        ),
        ("a connection for one request", GCM_TLS13, None, "S38 S69 C69 C154 S282 S282 S214", &[(137, 197)]),
        ("TLS 1.2", GCM_TLS12, None, "C120 S398 C156 S398", &[(96, 374), (132, 374)]),
        ("TLS 1.2 with ChaCha20", 0xcca8, None, "C116 S390", &[(100, 374)]),
        ("CBC", 0xc013, None, "C133 S405", &[(96, 368)]),
        ("an answer of several records", GCM_TLS12, None, "C120 S398 S1024 C60 C94 S398", &[(96, 1374), (106, 374)]),
        ("an alert is no turn", GCM_TLS12, None, "C120 S398 C26 S26", &[(96, 374)]),
        ("lengths of WebSocket", GCM_TLS12, None, "C120 S398 C40 S50 C120 S398 C120 S398", &[(96, 374)]),
        (
            "HTTP/2: requests overtake answers",
            GCM_TLS13,
            None,
            "S32 S870 S281 S53 C69 C87 S250 S250 S66 C26 C40 C35 S238 C41 S238 S238",
            &[(23, 221), (18, 221), (24, 221)],
        ),
        (
            "HTTP/2: an answer of two records",
            GCM_TLS12,
            Some(Agreed::Http2),
            "C94 S54 C33 S33 C47 S84 S48 C50 S84 S48",
            &[(23, 84), (26, 84)],
        ),
        (
            "HTTP/2: three requests in one record",
            GCM_TLS12,
            Some(Agreed::Http2),
            "C94 S54 C33 S33 C44 S245 C84 S245 S245 S245",
            &[(20, 221), (0, 221), (0, 221), (0, 221)],
        ),
        (
            "HTTP/2: five answers whose heads share the first record, as Apache httpd writes them",
            GCM_TLS12,
            Some(Agreed::Http2),
            "C94 S54 C33 S33 C44 S288 C124 S364 S269 S269 S269 S269 C46 S288",
            &[(20, 264), (0, 264), (0, 264), (0, 264), (0, 264), (0, 264), (22, 264)],
        ),
        (
            "HTTP/2: two answers whose heads share a record, of a length that was seen alone",
            GCM_TLS12,
            Some(Agreed::Http2),
            "C94 S54 C33 S33 C44 S288 C45 C47 S307 S269",
            &[(20, 264), (21, 264), (23, 264)],
        ),
        (
            "HTTP/2: answers of other lengths stay as they are",
            GCM_TLS12,
            Some(Agreed::Http2),
            "C94 S54 C33 S33 C44 S288 C45 C47 S327 S289 C46 C48 C49 S401 S300 S300",
            &[(20, 264), (21, 303), (23, 265), (22, 377), (24, 276), (25, 276)],
        ),
        (
            "HTTP/2 that only its lengths show",
            GCM_TLS13,
            None,
            "S900 C69 C87 S250 S250 S66 C26 S26 C40 S238 C41 S238",
            &[(23, 221), (24, 221)],
        ),
        (
            "a gap costs the turn that it is in",
            GCM_TLS12,
            None,
            "C120 S398 C121 - S398 C122 S398",
            &[(96, 374), (98, 374)],
        ),
        ("no gap joins two turns", GCM_TLS12, None, "C120 - C121 S398 C122 S398", &[(98, 374)]),
    ] {
        assert_eq!(heard(suite, agreed, script).0, expected, "{what}");
    }
}

#[test]
fn a_server_hello_that_was_lost_is_replaced_by_the_clients_finished() {
    for (what, script, expected) in [
        ("TLS 1.3, SHA-384", "H512 K1 C69 C154 S214 C160 S214", &[(137, 197), (143, 197)][..]),
        ("TLS 1.3, SHA-256, without a visible change of cipher", "H512 C53 C154 S214", &[(137, 197)]),
        ("TLS 1.3, a second ClientHello and a certificate", "H512 K1 H520 C900 C69 C154 S214", &[(137, 197)]),
        ("TLS 1.2, GCM", "H200 H37 K1 H40 C120 S398", &[(96, 374)]),
        ("TLS 1.2, ChaCha20", "H200 H37 K1 H32 C116 S390", &[(100, 374)]),
        ("CBC", "H200 H70 K1 H64 C133 S405", &[(96, 368)]),
        ("HTTP/2 that only its lengths show", "H512 K1 C69 C87 S66 C26 S26 C40 S238 C41 S238", &[(23, 221), (24, 221)]),
        ("a key exchange of the same length is none", "H512 H40 C120 S398", &[]),
        ("another length shows no suite", "H512 K1 H41 C120 S398", &[]),
    ] {
        let (found, turns) = followed(Turns::default(), script);
        assert_eq!((found.as_slice(), turns.is_inferred()), (expected, !expected.is_empty()), "{what}");
    }
    assert!(followed(Turns::default(), "H512 K1 H41 C120").1.is_unknown());
}

#[test]
fn a_server_hello_that_comes_late_in_the_capture_corrects_the_suite() {
    let (_, mut turns) = followed(Turns::default(), "H512 K1 C69");
    turns.server_hello(GCM_TLS13, None);
    assert_eq!(followed(turns, "C154 S214").0, [(137, 197)]);
}

#[test]
fn what_is_lost_and_what_is_not_http_is_told() {
    let (found, mut turns) = heard(GCM_TLS12, None, "C120 - - S398");
    assert_eq!((found, turns.take_dropped(), turns.take_dropped()), (vec![], 1, 0));
    assert!(heard(GCM_TLS12, None, "C120 S398 C40 S50 C120").1.is_other());
}

#[test]
fn the_state_of_a_connection_is_small() {
    assert!(size_of::<Turns>() <= 272, "{}", size_of::<Turns>());
}

fn script() -> impl Strategy<Value = Vec<String>> {
    let record = (any::<bool>(), 6u16..1_500).prop_map(|(by_client, length)| {
        let by = if by_client { 'C' } else { 'S' };
        format!("{by}{}", length + 24 + if by_client { 30 } else { 60 })
    });
    proptest::collection::vec(record, 1..80)
}

proptest! {
    #[test]
    fn there_are_never_more_turns_than_records_of_either_side_can_make(script in script(), suite in prop_oneof![Just(GCM_TLS12), Just(GCM_TLS13)], http2: bool) {
        let agreed = http2.then_some(Agreed::Http2);
        let (found, _) = heard(suite, agreed, &script.join(" "));
        let of = |side: char| script.iter().filter(|word| word.starts_with(side)).count();
        prop_assert!(found.len() <= of('S'));
        prop_assert!(http2 || found.len() <= of('C'));
    }

    #[test]
    fn a_loss_leaves_a_subset_of_the_turns(script in script(), lost in 0usize..80) {
        let (all, _) = heard(GCM_TLS12, Some(Agreed::Http1), &script.join(" "));
        let mut cut = script.clone();
        let lost = lost % cut.len();
        cut[lost] = "-".to_owned();
        let (some, _) = heard(GCM_TLS12, Some(Agreed::Http1), &cut.join(" "));
        let mut rest = all.clone();
        for turn in &some {
            let at = rest.iter().position(|one| one == turn);
            prop_assert!(at.is_some(), "{turn:?} is not in {all:?}");
            rest.remove(at.unwrap_or_default());
        }
    }
}
